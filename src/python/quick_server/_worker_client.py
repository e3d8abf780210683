"""The worker protocol's other side in Python: worker_request()."""

import json
import time
from typing import Any, Dict, Optional

FIRST_DELAY = 0.5  # seconds between questions, then max(d * 1.01, d + 0.01), at most
LAST_DELAY = 60.0
MAX_ANSWER = 1 << 30  # bytes of one answer


class WorkerError(Exception):
    """A worker's job has no result. status: the HTTP status, None if there was no such answer. message: why."""

    def __init__(self, message: str, status: Optional[int] = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status

    def get_message(self) -> str:
        return self.message

    def get_status(self) -> Optional[int]:
        return self.status


def next_delay(delay: float) -> float:
    """The pause between two questions that follows one of `delay` seconds."""
    return min(max(delay * 1.01, delay + 0.01), LAST_DELAY)


def worker_request(url: str, payload: Any, timeout: Optional[float] = None) -> Any:
    """Has the worker at the URL compute, waits, and gives its result. timeout: seconds in all, None: any.

    WorkerError if it fails, is not known any more, or takes too long; then, and if this is interrupted, it is stopped."""
    end = None if timeout is None else time.monotonic() + timeout
    answer = _post(url, {'action': 'start', 'payload': payload})
    token = answer.get('token')
    try:
        delay = FIRST_DELAY
        while answer.get('continue') and not answer.get('done'):
            left = delay if end is None else min(delay, end - time.monotonic())
            if left <= 0:
                raise WorkerError('timeout')
            time.sleep(left)
            delay = next_delay(delay)
            answer = _post(url, {'action': 'get', 'token': token})
    except BaseException:
        _stop(url, token)
        raise
    if not answer.get('done'):
        raise WorkerError('the server does not know the job any more')
    result: Any = answer.get('result')
    if answer.get('continue'):
        result = ''.join(_post(url, {'action': 'cargo', 'token': piece})['result'] for piece in result)
    return json.loads(result)


def _stop(url: str, token: Any) -> None:
    try:
        _post(url, {'action': 'stop', 'token': token})
    except WorkerError:
        pass  # the first error is the one to tell


def _post(url: str, body: Dict[str, Any]) -> Dict[str, Any]:
    import urllib.error  # they draw random numbers when they are imported, which a template had better not
    import urllib.request
    request = urllib.request.Request(url, json.dumps(body).encode(), {'Content-Type': 'application/json'})
    try:
        with urllib.request.urlopen(request, timeout=LAST_DELAY) as response:
            answer = json.loads(response.read(MAX_ANSWER))
    except urllib.error.HTTPError as error:
        with error:
            raise WorkerError(str(error.reason), error.code) from None
    except (OSError, ValueError) as error:
        raise WorkerError(str(error)) from error
    if not isinstance(answer, dict):
        raise WorkerError("not a worker's answer")
    return answer
