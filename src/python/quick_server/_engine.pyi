"""The native side of quick_server: engine, routes, threads for handlers, JSON (src/http/python).

All methods may be called from any thread, before and while the engine serves, but where it says otherwise.
"""

from typing import Any, BinaryIO, Callable, Dict, Iterable, List, Optional, Sequence, Tuple, Union

def json_dumps(value: Any) -> str:
    """The same as json.dumps(value, indent=2, sort_keys=True) of a value whose NaN and infinities are the strings
    "NaN", "Infinity", "-Infinity"; natively for exact built-in types, by Python's json for all else.
    Errors are Python's (TypeError, ValueError for circles, RecursionError)."""

class Request:
    """One request: the base of quick_server's class of that, of which the engine makes the instances.

    The instance is the script's only during its handler's call (and for a handler in a thread of its own, until that ends);
    later its attributes still work, and what it would send goes nowhere.
    """

    command: str                          # method, "GET"
    path: str                             # target as sent
    requestline: str
    request_version: str                  # "HTTP/1.1"
    client_address: Tuple[str, int]
    secure: bool                          # TLS

    def fields(self) -> List[Tuple[str, str]]:
        """Header lines, latin-1, in their order."""

    def body(self) -> Union[bytes, BinaryIO]:
        """The whole body, read before the handler was called: bytes up to spool_size, a binary file beyond."""

    # What send_response() and its kin are made of. `write` blocks (without the interpreter's lock) while more
    # than 1 MiB waits for the client; raises ConnectionError once it has gone.
    def begin(self, status: int, reason: str, fields: Sequence[Tuple[str, str]]) -> None: ...
    def write(self, data: bytes) -> None: ...
    def hijack(self) -> int:
        """A connected socket's descriptor that stands for the client without HTTP (a socketpair that the engine
        relays); the caller owns it. For scripts that write bytes of their own to wfile. OSError: there is none, and
        nothing is sent yet. ConnectionError: the client has gone."""

# What a handler's result becomes when it is not what its route natively knows: the engine calls
# `finish(request, kind, result)`, or `fail(request, exception)` for what it has raised. Both give one of these.
# None: the handler has answered by itself.
Answer = Optional[Tuple[int, str, Sequence[Tuple[str, str]], Union[bytes, BinaryIO]]]  # status, reason, fields, body

class Engine:
    def __init__(self, request_type: type, finish: Callable[[Request, str, Any], Answer],
                 fail: Callable[[Request, BaseException], Answer],
                 log: Callable[[str], None]) -> None: ...

    def configure(self, **values: Any) -> None:
        """Settings of src/http/settings.hpp by their names, of FileRules by theirs (white, black, favicon,
        favicon_empty, favicon_everywhere, directory_listing, max_age, cross_origin, compress), and
        parallel (bool): False calls one handler at a time, on the thread that is in serve();
        suppress_noise (bool): no log line for 200 and 304; report_slow (seconds, 0: never; then
        slow(method, path, seconds, done), a value of its own here, is called once while it runs and once after);
        debug_proxy (bool): a log line for what a proxy is asked; server_version (str): the field Server of answers.
        ValueError for an unknown name or a bad value: nothing is changed then."""

    def route(self, method: str, mask: str, kind: str, argc: Optional[int], handler: Callable[..., Any]) -> None:
        """Calls handler(request, args) for paths that begin with the mask by whole segments; the longest mask first,
        of equal ones the one added last. kind: 'json' (the result is dumped, application/json) or 'text' (str or bytes,
        text/html). argc: that many segments must follow the mask, else the next mask is tried, and in the end the files.
        ":name" segments of the mask match any one. args has paths, query, fragment, segments, meta, cookie and, for methods
        with a body, post and files (from `parse_body(request, args)` of the request type where the
        body is not empty).
        The engine itself answers GET-routes for HEAD, without the body."""

    def bind_path(self, name: str, folder: str, fallback: bool = False) -> None: ...
    def bind_proxy(self, name: str, url: str) -> None: ...
    def special(self, name: str, path: str, content: Optional[bytes], content_type: str) -> None: ...
    def set_fallback(self, hook: Optional[Callable[[str], Optional[str]]]) -> None:
        """Asked with the path where neither a route nor a file nor a proxy has it: a file to send instead, or None."""

    def listen(self, fd: int, ssl_context: Any = None) -> None:
        """Takes a listening socket over (the engine owns a duplicate of it). ssl_context: an ssl.SSLContext whose
        OpenSSL is the engine's, else ValueError."""

    def close(self) -> None:
        """Gives up what listen() has taken, unless it serves."""

    def serve(self, requests: int = 0, seconds: float = -1.0) -> Optional[bool]:
        """Serves until stop() or until drained, on threads of its own; this thread waits, handles signals
        (KeyboardInterrupt comes out of it, and ends it), and calls handlers where parallel is False. May be called again
        after stop(): it begins anew then. True: it is over.

        False: so many requests (0: any number) have ended since it began. None: so many seconds (< 0: any) have passed.
        It serves on then, and the next serve() goes on with that; what has ended meanwhile counts. One thread at a time,
        else RuntimeError. Who holds the engine ends it before it lets it go."""

    def stop(self, latency: float = 0.0) -> None:
        """No more accepts; what is being answered is for at most `latency` seconds; then serve() returns. Called while
        nobody is in serve(): the next serve() returns at once."""
    def drain(self, successor: int) -> None:
        """See Server::drain(); the engine owns a duplicate of the descriptor. Called while nobody is in serve(): as stop()."""
    def adopt(self, predecessor: int) -> None:
        """See Server::adopt(); the engine owns a duplicate. Called before serve(): then."""
    def activity(self) -> Dict[str, Any]:
        """answering, connections, seconds_idle, requests: see Server::Activity (src/http/server.hpp)."""
    def set_busy(self, delta: int) -> None:
        """+1, -1: a worker computes. While any does, or a handler has left the loop's thread, the interpreter's switch interval
        is 0.5 ms, else what it was."""
    def abandon(self) -> None:
        """In the child of a fork: closes the engine's descriptors."""
