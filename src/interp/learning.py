

# --- learning: what a command imports late --------------------------------------------
#
# With learning on, a command appends one line to the instance's file when its client has been told of its end: what
# it has imported since the fork point, or that it has changed what an import may depend on. Format and use of the
# file: src/server/learned.hpp. The file is never made here: it is there as long as learning is on.

class Learning:
    known = None          # names of sys.modules at the fork point; None: learning is off
    surroundings = None


LEARNING_LINE = 64 << 10  # bytes; a longer one is not written


def _surroundings():
    """What a late import may depend on, and no client brings."""
    warnings = loaded('warnings') or loaded('_warnings')
    finders = [id(delayed_by(finder)[0] or finder) for finder in sys.meta_path]
    return (dict(posix.environ), list(sys.path), finders, list(map(id, sys.path_hooks)),
            list(getattr(warnings, 'filters', ())), _directory(), _locale.setlocale(_locale.LC_ALL, None))


def begin_learning():
    """In the template, at the fork point."""
    Learning.known = frozenset(name for name, module in sys.modules.items() if not is_delayed(module))


def learn_client():
    """In a command, when it has become the client's."""
    Learning.surroundings = _surroundings()


def _late_modules():
    names = []
    for name in list(sys.modules):
        if name in Learning.known or name == '__main__' or is_delayed(sys.modules[name]) and not _is_made(name):
            continue
        if fits_list(name) and is_found_by_name(name):
            names.append(name)
    return _delaying_finders() + with_packages(names, Learning.known)


def _is_made(name):
    """Code in C is loaded to make its module, though that is delayed."""
    return isinstance(getattr(spec_of(name), 'origin', None), str) and spec_of(name).origin.endswith('.so')


def _delaying_finders():
    """Not a module: how the others are to be imported."""
    return sorted({text for text in (delayed_by(finder)[1] for finder in sys.meta_path) if text is not None})


def record_late(path):
    """Best effort: whoever cannot is not counted."""
    if Learning.surroundings is None:
        return
    if _surroundings() != Learning.surroundings:
        line = 'run *\n'
    else:
        line = ' '.join(['run', *_late_modules()]) + '\n'
    if len(line) > LEARNING_LINE:
        return
    fd = posix.open(path, posix.O_WRONLY | posix.O_APPEND | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC)
    try:
        posix.write(fd, line.encode())
    finally:
        posix.close(fd)
