"""The worker protocol: a client starts a job by POST, asks for its result now and then, may stop it.

A request's body is {"action": A, "token": T, "payload": P}, the answer
    {"token": T, "done": D, "result": R, "continue": C}

    start   begins a job with the payload and waits START_WAIT for its end; then as get
    get     running: not done, continue. Ended: done, do not continue, R is the result's JSON as a string, and the job
            is forgotten. Its result longer than max_chunk_size: done, continue, R is a list of cargo tokens. Unknown:
            neither. Failed: 500 "worker error", or what its PreventDefaultResponse says
    stop    ends and forgets it: done, do not continue, no result
    cargo   {"token": T, "result": a piece of the JSON}, once; 404 if there is no such piece (any more)

A result that nobody asks for goes after RESULT_KEPT, a piece after CARGO_KEPT. At most max_workers jobs are running
or unread, then 503. A token that this process has not made may be one of another process of the same script (_relay).

Races: a job is in `_jobs` from before its thread starts until one request takes it out, under `_guard`: two clients
that ask at once get one result and one "unknown".
"""

import contextlib
import itertools
import threading
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from quick_server import _relay
from quick_server._isolated import run_isolated
from quick_server._jobs import Job, Outcome, without_our_frames
from quick_server._log import server_msg
from quick_server._response import PreventDefaultResponse

START_WAIT = 0.1  # seconds
RESULT_KEPT = 120.0  # seconds
CARGO_KEPT = 600.0  # seconds
ABANDONED = 150.0  # seconds without a question, which clients ask each minute: then a draining process need not finish it

Answer = Dict[str, Any]


class WorkerOptions(NamedTuple):
    """What json_worker() and the server say about a mask's jobs. Functions are asked each time."""

    function: Callable[[Any], Any]
    cache_id: Optional[Callable[[Any], Any]]
    cache_method: str
    cache_section: str
    isolate: bool
    soft_death: bool
    cache: Callable[[], Any]
    dumps: Callable[[Any], str]
    busy: Callable[[int], None]
    thread_factory: Callable[..., threading.Thread]
    max_chunk: Callable[[], int]
    admit: Callable[[], bool]
    report: Callable[[str, BaseException], None]
    log: Callable[[str], None]
    verbose: Callable[[], bool]


class _Entry:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.asked = time.monotonic()
        self.expires: Optional[float] = None  # once it has ended


def answer(token: str, done: bool, result: Any, go_on: bool) -> Answer:
    return {'token': token, 'done': done, 'result': result, 'continue': go_on}


class BaseWorker:
    """What has a mask's jobs; worker_constructor(mask, options) makes one."""

    def __init__(self, mask: str, options: WorkerOptions) -> None:
        self.mask = mask
        self.options = options

    def handle(self, post: Any) -> Answer:
        """The answer to a request with this body. Any thread. PreventDefaultResponse for errors."""
        raise NotImplementedError

    def count(self) -> int:
        """Jobs that are running, and results that are kept."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Called now and then by a process that is to end: stops jobs that nobody has asked for in a while."""

    def stop_all(self) -> None:
        """Ends all jobs."""


class DefaultWorker(BaseWorker):
    def __init__(self, mask: str, options: WorkerOptions) -> None:
        super().__init__(mask, options)
        self._guard = threading.Lock()
        self._jobs: Dict[str, _Entry] = {}
        self._cargo: Dict[str, Tuple[str, float]] = {}
        self._timer: Optional[threading.Timer] = None
        self._numbers = itertools.count(1)

    def handle(self, post: Any) -> Answer:
        action = post.get('action') if isinstance(post, dict) else None
        if action not in ('start', 'get', 'stop', 'cargo'):
            raise PreventDefaultResponse(400, 'unknown worker action')
        self._sweep()
        if action == 'start':
            return self._start(post.get('payload', {}))
        if isinstance(post.get('token'), (dict, list)):  # str() of one that is nested deeply fails
            raise PreventDefaultResponse(400, 'bad worker token')
        token = str(post.get('token'))
        if not self.knows(token):
            elsewhere = _relay.ask(token, self.mask, post)
            if elsewhere is not None:
                return elsewhere
        return {'get': self._get, 'stop': self._stop, 'cargo': self._take_cargo}[action](token)

    def count(self) -> int:
        with self._guard:
            return len(self._jobs) + len(self._cargo)

    def abandon(self) -> None:
        self._sweep()
        late = time.monotonic() - ABANDONED
        with self._guard:
            gone = [token for token, entry in self._jobs.items() if entry.asked < late]
        for token in gone:
            self._stop(token)

    def stop_all(self) -> None:
        with self._guard:
            entries = list(self._jobs.values())
            self._jobs.clear()
            self._cargo.clear()
        for entry in entries:
            entry.job.stop()

    def knows(self, token: str) -> bool:
        with self._guard:
            return token in self._jobs or token in self._cargo

    def _start(self, payload: Any) -> Answer:
        if not self.options.admit():
            raise PreventDefaultResponse(503, 'too many workers')
        token = _relay.new_token(self)
        job = Job(lambda this: self._compute(this, payload), self._busy, self.options.soft_death,
                  lambda this: self._ended(token, this))
        with self._guard:
            self._jobs[token] = _Entry(job)
        self._tell(f'worker {self.mask}: {token} starts')
        try:
            job.start(self.options.thread_factory, f'worker {self.mask} {next(self._numbers)}')
        except BaseException as error:
            with self._guard:
                self._jobs.pop(token, None)
            if isinstance(error, RuntimeError):
                server_msg(f'worker {self.mask}: {error}')
                raise PreventDefaultResponse(503, 'no thread for a worker') from None
            raise
        job.done.wait(START_WAIT)
        return self._get(token)

    def _get(self, token: str) -> Answer:
        with self._guard:
            entry = self._jobs.get(token)
            if entry is None:
                return answer(token, False, None, False)
            entry.asked = time.monotonic()
            if not entry.job.done.is_set():
                return answer(token, False, None, True)
            del self._jobs[token]
        return self._result(token, entry.job.outcome)

    def _stop(self, token: str) -> Answer:
        with self._guard:
            entry = self._jobs.pop(token, None)
        if entry is not None:
            entry.job.stop()
            self._tell(f'worker {self.mask}: {token} is stopped')
        return answer(token, True, None, False)

    def _take_cargo(self, token: str) -> Answer:
        with self._guard:
            text = self._cargo.pop(token, ('', 0.0))[0]
        if not text:
            raise PreventDefaultResponse(404, None)
        return {'token': token, 'result': text}

    def _result(self, token: str, outcome: Outcome) -> Answer:
        if outcome.error is not None:
            raise _as_answer(outcome.error)
        if outcome.text is None:
            return answer(token, False, None, False)  # stopped meanwhile
        chunk = max(1, int(self.options.max_chunk()))
        if len(outcome.text) <= chunk:
            return answer(token, True, outcome.text, False)
        return answer(token, True, self._add_cargo(outcome.text, chunk), True)

    def _add_cargo(self, text: str, chunk: int) -> List[str]:
        pieces = {_relay.new_token(self): text[at:at + chunk] for at in range(0, len(text), chunk)}
        expires = time.monotonic() + CARGO_KEPT
        with self._guard:
            self._cargo.update((token, (piece, expires)) for token, piece in pieces.items())
        self._sweep()
        return list(pieces)

    def _busy(self, delta: int) -> None:
        if not self.options.isolate:  # else another process computes
            self.options.busy(delta)

    def _compute(self, job: Job, payload: Any) -> str:
        """The result as JSON, from the cache if it has it."""
        options = self.options
        cache = options.cache() if options.cache_id is not None else None
        name = options.cache_id(payload) if options.cache_id is not None and cache is not None else None
        if cache is None or name is None:
            return self._run(job, payload)
        with cache.get_hnd(name, section=options.cache_section, method=options.cache_method) as handle:
            if handle.has():
                return str(handle.read())
            text = self._run(job, payload)
            handle.write(text)
            return text

    def _run(self, job: Job, payload: Any) -> str:
        options = self.options
        if options.isolate:
            return run_isolated(job, lambda: options.dumps(options.function(payload)))
        return options.dumps(options.function(payload))

    def _ended(self, token: str, job: Job) -> None:
        """In the job's thread."""
        if job.outcome.error is not None and _as_answer(job.outcome.error) is not job.outcome.error:
            self.options.report(f'worker {self.mask}', without_our_frames(job.outcome.error))
        self._tell(f'worker {self.mask}: {token} has ended')
        with self._guard:
            entry = self._jobs.get(token)
            if entry is None:
                return
            entry.expires = time.monotonic() + RESULT_KEPT
        self._sweep()

    def _sweep(self) -> None:
        """Forgets what is too old, and sees to it that this is done again in time."""
        now = time.monotonic()
        with self._guard:
            for token in [token for token, entry in self._jobs.items() if entry.expires and entry.expires <= now]:
                del self._jobs[token]
            for token in [token for token, piece in self._cargo.items() if piece[1] <= now]:
                del self._cargo[token]
            due = [entry.expires for entry in self._jobs.values() if entry.expires]
            due += [piece[1] for piece in self._cargo.values()]
            if due and self._timer is None:
                timer = threading.Timer(min(due) - now + 0.1, self._time)
                timer.daemon = True
                with contextlib.suppress(RuntimeError):  # no thread: the next one that asks or ends sees to it
                    timer.start()
                    self._timer = timer

    def _time(self) -> None:
        with self._guard:
            self._timer = None
        self._sweep()

    def _tell(self, text: str) -> None:
        if self.options.verbose():
            self.options.log(text)


def _as_answer(error: BaseException) -> PreventDefaultResponse:
    return error if isinstance(error, PreventDefaultResponse) else PreventDefaultResponse(500, 'worker error')
