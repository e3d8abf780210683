

# --- what a prelude has made to be removed at its end -------------------------------
#
# A process removes its temporary directories and files when it ends. A template that gives up does so for
# its prelude, whose functions for its end are not called: they may print or send what no run has asked for.
# One that serves must have none, or each command would remove the same.

def temporary():
    """What the prelude has made with `tempfile` and still holds, as functions that remove it."""
    tempfile = loaded('tempfile')
    if not Watch.temporary_made or tempfile is None:
        return []
    removers = []
    for finalizer in list(_own_import('weakref').finalize._registry):
        directory = (finalizer.peek() or (None,))[0]
        if isinstance(directory, tempfile.TemporaryDirectory) and getattr(directory, '_delete', True):
            removers.append(directory.cleanup)
    for each in _own_import('gc').get_objects():
        if issubclass(type(each), tempfile._TemporaryFileWrapper) and each._closer.delete and _exists(each.name):
            removers.append(each._closer.__del__)
    return removers


def _exists(path):
    try:
        posix.lstat(path)
    except OSError:
        return False
    return True


def give_up():
    for remove in temporary():
        try:
            remove()
        except OSError:
            pass  # it stays, as where a process is killed
