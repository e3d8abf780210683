"""How a script begins anew, and with which status it ends.

Under `quicken serve` the supervisor starts a successor, and this process drains. Otherwise a process whose script has
called setup_restart() ends with the restart's exit code, and its parent, which does nothing else, starts it again;
without that the process executes itself. Both happen at the very end, when all that the script has for its own end has
run.
"""

import atexit
import os
import signal
import subprocess
import sys
import time
from typing import Any, Dict, List

from quick_server import _hand_over

RESTART = 'QUICK_SERVER_RESTART'
SUBSEQUENT = 'QUICK_SERVER_SUBSEQ'

_state = {'restart_code': 42, 'error_code': 1, 'restart': False, 'failed': False}  # type: Dict[str, Any]


def set_restart_exit_code(code: int) -> None:
    """The exit status (1 to 255) that means "start me again"; 42 unless set."""
    _state['restart_code'] = _checked(code)


def set_error_exit_code(code: int) -> None:
    """The exit status (1 to 255) of a server that ends by an exception; 1 unless set."""
    _state['error_code'] = _checked(code)


def _checked(code: int) -> int:
    if not 0 < code < 256:
        raise ValueError('%r is no exit status of a restart or an error' % code)
    return code


def is_original() -> bool:
    """Whether this process is not one that can be restarted by its parent."""
    return RESTART not in os.environ


def has_been_restarted() -> bool:
    """Whether the script runs for the second time or more."""
    return os.environ.get(SUBSEQUENT) == '1'


def get_time() -> float:
    """Seconds of a clock that never goes back."""
    return time.monotonic()


def get_exec_arr() -> List[str]:
    """The command line that runs this script again."""
    if not sys.executable:
        raise RuntimeError('the interpreter does not know its own path')
    whole = getattr(sys, 'orig_argv', None)
    if whole:
        return [sys.executable, *whole[1:]]
    spec = getattr(sys.modules['__main__'], '__spec__', None)
    if spec is None:
        return [sys.executable, *sys.argv]
    name = spec.name[:-len('.__main__')] if spec.name.endswith('.__main__') else spec.name
    return [sys.executable, '-m', name, *sys.argv[1:]]


def setup_restart() -> None:
    """The first call of a script that wants to be restarted by the command `restart`: returns in the process that
    runs the script. The process that was started stays its parent, and ends as the script does in the end."""
    if RESTART in os.environ:
        return
    _hand_over.hand_over()
    sys.exit(_run_again_and_again())


def _run_again_and_again() -> int:
    variables = dict(os.environ, **{RESTART: str(_state['restart_code'])})
    while True:
        status = _wait(subprocess.Popen(get_exec_arr(), env=variables))
        if status != _state['restart_code']:
            return status if status >= 0 else 128 - status
        variables[SUBSEQUENT] = '1'


def _wait(child: 'subprocess.Popen[bytes]') -> int:
    """Its status. It gets a SIGTERM that comes here; a SIGINT it gets from the terminal, as this process does."""
    before = signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
    try:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                pass  # whether it ends is the child's to decide
    finally:
        signal.signal(signal.SIGTERM, before)


def restart_at_exit() -> None:
    """For a server that has been told to restart and has nobody else who does it."""
    _state['restart'] = True


def note_failure() -> None:
    """serve_forever() has been left by an exception: the process is to end with the error's exit code."""
    _state['failed'] = True


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # closed, or nobody reads it: what would be told is lost in any case


def _end() -> None:
    if _state['restart']:
        _flush()
        if RESTART in os.environ:
            os._exit(_state['restart_code'])
        os.environ[SUBSEQUENT] = '1'
        command = get_exec_arr()
        os.execv(command[0], command)
    if _state['failed'] and _state['error_code'] != 1:
        _flush()
        os._exit(_state['error_code'])


# Registered before those of the script, so that it is called after them
atexit.register(_end)
