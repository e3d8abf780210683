

# --- what the prelude asks of its process that a command has of its client -------------------
#
# The template has its own. A command has its client's by the time it becomes one, and asks again: where the answer is
# another it is not served.

QUESTIONS = ('getpriority', 'sched_getaffinity', 'sched_getparam', 'sched_getscheduler')

answers = {}           # (function, arguments): what it said
asked_signals = set()  # numbers, of those about whose handling it asked


def _before_client_question(function):
    def before(_module, *args):
        try:
            answers[function, args] = function(*args)
        except (OSError, TypeError, ValueError):
            pass  # it is to fail
    return before


def umask():
    mask = ORIGINALS['umask'](0o77)
    ORIGINALS['umask'](mask)
    return mask


def _before_umask(_module, *_args):
    """It cannot be asked for without being set: the second call puts it back."""
    if (umask, ()) not in answers:
        answers[umask, ()] = umask()


def _before_signal(_module, *args):
    if args and isinstance(args[0], int) and 0 < args[0] < _signal.NSIG:  # others it is to refuse
        asked_signals.add(args[0])


def _before_mask(_module, *args):
    if len(args) == 2 and not args[1]:
        answers[_signal.pthread_sigmask, (_signal.SIG_BLOCK, ())] = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())


def watch_client_questions():
    for name in QUESTIONS:
        if name in ORIGINALS:
            watch_call(ORIGINALS[name], _before_client_question(ORIGINALS[name]))
    watch_call(ORIGINALS['umask'], _before_umask)
    for function in (_signal.getsignal, _signal.signal):
        watch_call(function, _before_signal)
    watch_call(_signal.pthread_sigmask, _before_mask)


def unfit_answers(ignored):
    """`ignored`: bit N - 1 if the client ignores signal N."""
    for number in asked_signals:
        if ignored >> number - 1 & 1:
            return 'the prelude asks how signal %d is handled, and the caller ignores it' % number
    for (function, args), answer in answers.items():
        if function(*args) != answer:
            return 'the prelude calls %s, which has another answer' % function.__name__
    return None
