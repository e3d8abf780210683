

# --- what else is known of the prelude, for people ------------------------------------
#
# The record `report` of common/trace.hpp: an object in JSON, shown by `quickenctl explain`. Nothing is decided by it.

CLOCK = _own_import('time').perf_counter  # CLOCK_MONOTONIC; the program may replace it in `time`
SHOWN_TEXT = 200    # characters of a value
SHOWN_IMPORTS = 50  # the slowest


class Report:
    prelude_seconds = None  # from the start of the process to the fork point
    threads = 0             # beside the main one, at the fork point
    signals = {}            # as they were before `site`


def _signal_handlers():
    """By number."""
    signal = loaded('_signal')
    return {} if signal is None else {number: signal.getsignal(number) for number in _signal_names(signal)}


def _signal_names(signal):
    return {number: name for name, number in signal.__dict__.items() if name[:3] == 'SIG' and name[3:4].isalpha()}


def note_fork_point():
    """Before anything is done about what is there."""
    Report.prelude_seconds = CLOCK() - STARTED_MONOTONIC / 10**9
    try:
        Report.threads = posix.stat('/proc/self/task').st_nlink - 3
    except OSError:
        pass  # no /proc


def _describe_handler(handler):
    if handler is None:
        return 'set by native code'
    if isinstance(handler, int):
        return 'ignored' if handler else 'default'
    if type(handler) in (type(_describe_handler), type(len)):
        return handler.__qualname__
    return 'a ' + type(handler).__name__


def _changed_signals():
    before, now = Report.signals, _signal_handlers()
    names = _signal_names(sys.modules['_signal']) if now else {}
    return {name: _describe_handler(now[number]) for number, name in names.items()
            if number in before and now[number] is not before[number]}


def _shown(value):
    if value is None:
        return None
    text = value.decode(sys.getfilesystemencoding(), 'surrogateescape')
    return text if len(text) <= SHOWN_TEXT else text[:SHOWN_TEXT] + '…'


def _changed_variables():
    now = dict(dict.items(posix.environ))
    return {_shown(name): [_shown(STARTED_ENVIRON.get(name)), _shown(now.get(name))]
            for name in sorted(STARTED_ENVIRON.keys() | now.keys()) if STARTED_ENVIRON.get(name) != now.get(name)}


# --- JSON, without its module

ESCAPES = {number: '\\u%04x' % number for number in (*range(32), 127)}
ESCAPES.update({ord('"'): '\\"', ord('\\'): '\\\\'})


def _json(value):
    """Of None, bool, int, finite float, str, list, tuple and dict. A surrogate becomes the text \\udcXX: it has no
    place in UTF-8."""
    if value is None or value is True or value is False:
        return {None: 'null', True: 'true', False: 'false'}[value]
    if isinstance(value, str):
        return '"' + value.encode('utf-8', 'backslashreplace').decode().translate(ESCAPES) + '"'
    if isinstance(value, dict):
        return '{' + ','.join(_json(str(key)) + ':' + _json(each) for key, each in value.items()) + '}'
    if isinstance(value, (list, tuple)):
        return '[' + ','.join(map(_json, value)) + ']'
    return repr(value)


def report():
    """The record's text."""
    if Report.prelude_seconds is None:  # it has not come to the fork point
        note_fork_point()
    slowest = sorted(module_times(), key=lambda item: -item[1])[:SHOWN_IMPORTS]
    return _json({
        'prelude_seconds': round(Report.prelude_seconds, 6),
        'modules': len(sys.modules),
        'imports': [(name, round(seconds, 6)) for name, seconds in slowest],
        'left': {'environment': _changed_variables(), 'signals': _changed_signals(), 'threads': Report.threads,
                 'at_fork': len(kept or ())},
    }).encode('utf-8')


Report.signals = _signal_handlers()
