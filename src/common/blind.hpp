// Where inotify(7) does not tell of every change: what is changed on another machine, or in a layer below
// (its "Limitations"). Files there are looked at by every spare.
#pragma once

#include <linux/magic.h>
#include <sys/vfs.h>

#include <initializer_list>

namespace quicken {

/// Of what is there; false if nothing is.
inline bool is_blind_system(const char* path) {
    struct statfs system {};
    if (statfs(path, &system) != 0) return false;
    const auto type = static_cast<unsigned long>(system.f_type) & 0xffffffffUL;
    for (const unsigned long blind :
         {0UL + NFS_SUPER_MAGIC, 0UL + SMB_SUPER_MAGIC, 0UL + CIFS_SUPER_MAGIC, 0UL + SMB2_SUPER_MAGIC,
          0UL + FUSE_SUPER_MAGIC, 0UL + V9FS_MAGIC, 0UL + OVERLAYFS_SUPER_MAGIC}) {
        if (type == blind) return true;
    }
    return false;
}

}  // namespace quicken
