

# --- what a prelude asks about terminals ------------------------------------------
#
# Its standard streams are pipes, or a terminal as large as that of its clients, and it is told so. A client for whom
# that would have been another answer is not served. Asked is by isatty() of the streams, down to a raw stream of ours
# beneath them, by functions of os, by ioctl(2) and by what questions.cpp sees. Printing asks where streams and
# buffers differ by it. The terminal's name, settings and process group no client has like another.

STREAM_NAMES = ('stdin', 'stdout', 'stderr')

terminals_asked = set()  # of the fds 0 to 2
sizes_asked = set()      # of those of them that are terminals


def note_terminal(fd):
    if fd in (0, 1, 2) and isinstance(fd, int):
        terminals_asked.add(fd)


def unfit_terminal():
    for fd in terminals_asked:
        is_terminal = posix.isatty(fd)
        if is_terminal != was_terminal(fd):
            return 'the prelude asks whether %s is a terminal, and it is %s' % (STREAM_NAMES[fd],
                                                                                'one' if is_terminal else 'none')
        if not is_terminal and not _is_open(fd):
            return 'the prelude asks whether %s is a terminal, and it is closed' % STREAM_NAMES[fd]
    for fd in sizes_asked:
        if posix.get_terminal_size(fd) != (COLUMNS, ROWS):
            return 'the prelude asks how large the terminal is, and it has another size'
    return None


def _is_open(fd):
    try:
        posix.fstat(fd)
    except OSError:
        return False
    return True


def was_terminal(fd):
    return bool(TERMINALS >> fd & 1)


def _is_thrown_away(frame):
    """argparse makes a formatter, which asks for the width, to check an argument that it is given."""
    for _ in range(8):
        if frame is None:
            return False
        if frame.f_code.co_name == 'add_argument' and frame.f_globals.get('__name__') == 'argparse':
            return True
        frame = frame.f_back
    return False


def before_question(_module, *args):
    if not _is_thrown_away(sys._getframe(1)):
        note_terminal(args[0] if args else 1)
        return None
    known = exchange_questions(0)
    return lambda failed: exchange_questions(known)


def _before_own_question(name):
    """Of a function whose answer on a terminal is a command's own."""
    def before(_module, *args):
        note_terminal(args[0] if args else None)
        if args and args[0] in (0, 1, 2) and was_terminal(args[0]):
            Watch.reason = Watch.reason or 'the prelude calls os.%s of a terminal' % name
    return before


def watch_terminals():
    for name in ('isatty', 'get_terminal_size'):
        watch_call(ORIGINALS[name], before_question)
    for name in ('ttyname', 'tcgetpgrp', 'tcsetpgrp'):
        watch_call(ORIGINALS[name], _before_own_question(name))


def end_questions():
    """At the fork point: what C has seen."""
    asked = exchange_questions(0)
    for fd in (0, 1, 2):
        if asked >> fd & 1:
            note_terminal(fd)
            if was_terminal(fd):
                Watch.reason = Watch.reason or 'the prelude asks for the settings of the terminal'
        if asked >> fd + 3 & 1:
            note_terminal(fd)
            if was_terminal(fd):
                sizes_asked.add(fd)
