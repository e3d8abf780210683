"""One job of a worker: a thread that computes, and how it is ended.

stop() raises WorkerDeath in the job's thread: CPython delivers such an exception before one of the next byte codes,
so a thread that is in a call of C code (a long read, time.sleep()) ends when that returns. It may hit any line of the
script's function, but none of ours that it must not: it is sent at most once, under the job's lock, while `_running`;
and what comes after the function (_end) takes the same lock, clears an exception that is pending, and only then does
things that must not be done half or twice.

A job whose work is done by a process of its own is `shielded` meanwhile: then stop() calls what ends that instead.
"""

import contextlib
import os
import threading
from typing import Any, Callable, Iterator, Optional

from quick_server._locks import let_go_all

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_local = threading.local()


class WorkerDeath(BaseException):
    """Raised in a worker that is to stop. Not an Exception: `except Exception` must not keep it alive."""


class Outcome:
    """How a job ended: with a text (its result as JSON), an error, or (dead) neither."""

    def __init__(self, text: Optional[str] = None, error: Optional[BaseException] = None) -> None:
        self.text = text
        self.error = error


def _raise_in(thread: int, exception: Optional[type]) -> None:
    """None clears what is pending (Python/C API, PyThreadState_SetAsyncExc)."""
    import ctypes  # 5 ms that most servers never need
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(exception) if exception is not None else None)


class Job:
    """compute(job): gives the result as JSON; runs in a thread made by thread_factory(target=…, name=…, daemon=True).
    busy(+1), busy(-1): around the computation. soft: stop() only makes `wanted` False. ended(job): called at the end,
    in the job's thread."""

    def __init__(self, compute: Callable[['Job'], str], busy: Callable[[int], None], soft: bool,
                 ended: Callable[['Job'], None]) -> None:
        self.done = threading.Event()
        self.outcome = Outcome()
        self.wanted = True
        self._compute = compute
        self._busy = busy
        self._soft = soft
        self._on_end = ended
        self._lock = threading.Lock()
        self._thread = 0
        self._running = False
        self._counted = False
        self._kill: Optional[Callable[[], None]] = None

    def start(self, thread_factory: Callable[..., threading.Thread], name: str) -> None:
        """RuntimeError if the system has no thread left."""
        thread_factory(target=self._run, name=name, daemon=True).start()

    def stop(self) -> None:
        """Any thread; more than once does no harm."""
        with self._lock:
            if not self.wanted:
                return
            self.wanted = False
            if self._kill is not None:
                self._kill()
            elif self._running and not self._soft:
                _raise_in(self._thread, WorkerDeath)

    @contextlib.contextmanager
    def unarmed(self) -> Iterator[None]:
        """Inside shielded(): stop() does nothing during the block, nor after it."""
        with self._lock:
            self._kill = lambda: None
            yield

    @contextlib.contextmanager
    def shielded(self) -> Iterator[Callable[[Callable[[], None]], None]]:
        """In the job's thread. Gives a function that is to be called with what stop() shall call. WorkerDeath before
        and after the block if the job is not wanted."""
        def arm(kill: Callable[[], None]) -> None:
            with self._lock:
                self._kill = kill
                if not self.wanted:
                    kill()

        with self._lock:
            self._check()
            self._kill = lambda: None
        try:
            yield arm
        finally:
            with self._lock:
                self._kill = None
        with self._lock:
            self._check()

    def _check(self) -> None:
        if not self.wanted:
            if not self._soft:
                _raise_in(self._thread, None)  # one is enough
            raise WorkerDeath()

    def _run(self) -> None:
        outcome = Outcome()
        self._thread = threading.get_ident()
        _local.job = self
        try:
            try:
                outcome = self._attempt()
            finally:
                self._end(outcome)
        except WorkerDeath:
            self._end(outcome)

    def _attempt(self) -> Outcome:
        self._busy(1)
        self._counted = True
        with self._lock:
            if not self.wanted:
                return Outcome()
            self._running = True
        try:
            return Outcome(self._compute(self))
        except WorkerDeath:
            return Outcome()
        except BaseException as error:  # sys.exit() as well: it is the job's end, not the server's
            return Outcome(None, error)

    def _end(self, outcome: Outcome) -> None:
        with self._lock:
            if not self.wanted and self._running and not self._soft:
                _raise_in(self._thread, None)
            self._running = False
            if self.done.is_set():
                return
            self.outcome = outcome if self.wanted else Outcome()
            counted, self._counted = self._counted, False
        let_go_all()
        if counted:
            self._busy(-1)
        _local.job = None
        self.done.set()
        self._on_end(self)


def get_worker_check(*_unused: Any) -> Callable[[], bool]:
    """A function that says whether the job that calls this is still wanted; for use in any thread. Outside of a job
    it always says so."""
    job: Optional[Job] = getattr(_local, 'job', None)
    return lambda: job is None or job.wanted


def is_worker_alive(*_unused: Any) -> bool:
    """Whether the job that this thread runs is still wanted (see soft_worker_death)."""
    return get_worker_check()()


def without_our_frames(error: BaseException) -> BaseException:
    """The same, with a traceback that begins in the script's function."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_HERE):
        trace = trace.tb_next
    return error.with_traceback(trace)
