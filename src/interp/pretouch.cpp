#include "pretouch.hpp"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

namespace quicken::interp {

namespace {

constexpr long k_few_faults = 32;               // that a command may have without being looked at
constexpr std::uint32_t k_most_written = 1984;  // pages: a spare has less than 8 MiB of its own
constexpr std::uint32_t k_most_read = 8192;     // pages, which all share
constexpr std::uint32_t k_most_pause = 1024;    // commands
constexpr std::size_t k_entries = 4096;         // of the pagemap at once

// Of an entry (Documentation/admin-guide/mm/pagemap.rst).
constexpr std::uint64_t k_exclusive = 1ULL << 56;  // no other process maps it: written since the fork
constexpr std::uint64_t k_of_file = 1ULL << 61;
constexpr std::uint64_t k_present = 1ULL << 63;

/// Consecutive pages of the template with the same use.
struct Region {
    std::uintptr_t start;
    std::size_t pages;
    std::size_t first_mark;
    bool writable;
};

/// Shared by the template and all that is forked from it.
struct Learned {
    std::atomic<std::uint32_t> commands;  // that could have been looked at
    std::atomic<std::uint32_t> next;      // look again when there are as many
    std::atomic<std::uint32_t> pause;     // commands between looks; doubled when one finds little
    std::atomic<std::uint32_t> written;   // marks in writable regions
    std::atomic<std::uint32_t> read;      // in the others
};

Region* regions = nullptr;
std::size_t region_count = 0;
Learned* learned = nullptr;
unsigned char* marks = nullptr;
long page_size = 4096;
long faults_before = 0;

/// A line of proc(5) "maps": private memory of this process that a fork passes on.
bool read_region(const char* line, Region& region) {
    unsigned long start = 0, end = 0;
    char modes[5] = "";
    if (sscanf(line, "%lx-%lx %4s", &start, &end, modes) != 3 || modes[3] != 'p' || modes[0] != 'r')
        return false;
    if (strstr(line, "[v") != nullptr) return false;  // vdso, vvar, vsyscall
    region.start = start;
    region.pages = (end - start) / static_cast<unsigned long>(page_size);
    region.writable = modes[1] == 'w';
    return true;
}

/// The number of pages of all regions; 0 if it cannot be told.
std::size_t read_regions() {
    FILE* maps = fopen("/proc/self/maps", "re");
    if (maps == nullptr) return 0;
    std::size_t room = 0, pages = 0;
    char line[4400];
    while (fgets(line, sizeof line, maps) != nullptr) {
        Region region{};
        if (!read_region(line, region)) continue;
        if (region_count == room) {
            room = room * 2 + 256;
            auto* more = static_cast<Region*>(realloc(regions, room * sizeof(Region)));
            if (more == nullptr) break;
            regions = more;
        }
        region.first_mark = pages;
        pages += region.pages;
        regions[region_count++] = region;
    }
    fclose(maps);
    return pages;
}

long count_faults() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

/// Marks `page` if there is room. True if it is news.
bool mark(const Region& region, std::size_t page, std::uint64_t entry) {
    const std::uint64_t written = entry & (k_present | k_exclusive | k_of_file);
    const bool touched = region.writable ? written == (k_present | k_exclusive) : (entry & k_present) != 0;
    unsigned char& its_mark = marks[region.first_mark + page];
    if (!touched || its_mark != 0) return false;
    std::atomic<std::uint32_t>& count = region.writable ? learned->written : learned->read;
    const std::uint32_t most = region.writable ? k_most_written : k_most_read;
    if (count.load(std::memory_order_relaxed) >= most) return false;
    count.fetch_add(1, std::memory_order_relaxed);
    its_mark = 1;
    return true;
}

/// How many of its pages are news; what cannot be read is none.
std::size_t look_at(int pagemap, const Region& region) {
    static std::uint64_t entries[k_entries];
    std::size_t news = 0;
    for (std::size_t page = 0; page < region.pages;) {
        const std::size_t wanted = region.pages - page < k_entries ? region.pages - page : k_entries;
        const auto at = static_cast<off_t>((region.start / static_cast<unsigned long>(page_size) + page) * 8);
        const ssize_t size = pread(pagemap, entries, wanted * 8, at);
        if (size < 8) return news;
        const auto count = static_cast<std::size_t>(size) / 8;
        for (std::size_t i = 0; i < count; ++i) news += mark(region, page + i, entries[i]) ? 1 : 0;
        page += count;
    }
    return news;
}

/// The next run of marked pages from `page` on; false if there is none.
bool next_run(const Region& region, std::size_t& page, std::size_t& end) {
    const unsigned char* its_marks = marks + region.first_mark;
    const void* found = page < region.pages ? memchr(its_marks + page, 1, region.pages - page) : nullptr;
    if (found == nullptr) return false;
    page = static_cast<std::size_t>(static_cast<const unsigned char*>(found) - its_marks);
    for (end = page + 1; end < region.pages && its_marks[end] != 0;) ++end;
    return true;
}

/// A program that does other things than those it was learned from: what was marked is forgotten.
void begin_anew() {
    for (std::size_t i = 0; i < region_count; ++i) memset(marks + regions[i].first_mark, 0, regions[i].pages);
    learned->written.store(0);
    learned->read.store(0);
}

}  // namespace

void prepare_pretouch() {
    page_size = sysconf(_SC_PAGESIZE);
    const std::size_t pages = read_regions();
    if (pages == 0) return;
    void* memory = mmap(nullptr, sizeof(Learned) + pages, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return;
    learned = static_cast<Learned*>(memory);
    marks = static_cast<unsigned char*>(memory) + sizeof(Learned);
}

void pretouch() {
    if (learned == nullptr) return;
    for (std::size_t i = 0; i < region_count && learned->written.load() + learned->read.load() != 0; ++i) {
        const Region& region = regions[i];
        std::size_t page = 0, end = 0;
        for (; next_run(region, page, end); page = end) {
            const auto size = static_cast<std::size_t>(page_size);
            madvise(reinterpret_cast<void*>(region.start + page * size), (end - page) * size,
                    region.writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
        }
    }
}

void begin_to_count() {
    faults_before = count_faults();
}

void learn_touched() {
    if (learned == nullptr) return;
    const std::uint32_t command = learned->commands.fetch_add(1) + 1;
    const long faults = count_faults() - faults_before;
    if (faults < k_few_faults || command < learned->next.load()) return;
    const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (pagemap < 0) return;
    std::size_t news = 0;
    for (std::size_t i = 0; i < region_count; ++i) news += look_at(pagemap, regions[i]);
    close(pagemap);
    const bool full = learned->written.load() >= k_most_written;
    std::uint32_t pause = news * 4 > static_cast<std::size_t>(faults) ? 0 : learned->pause.load() * 2 + 1;
    if (pause > k_most_pause) pause = k_most_pause;
    learned->pause.store(pause);
    learned->next.store(command + 1 + pause);
    if (full && pause == k_most_pause) begin_anew();
}

}  // namespace quicken::interp
