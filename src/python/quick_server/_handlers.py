"""What is around a handler: middlewares before it, and behind it the answer that its result or exception becomes.

The engine takes what it knows by itself (JSON of a json handler; str and bytes of a text handler) and asks finish()
and fail() for all else, so that nothing here is on the way of an ordinary answer but one short call.
"""

import functools
import io
from typing import Any, BinaryIO, Callable, Dict, List, Optional, Sequence, Tuple, Union

from quick_server import _engine
from quick_server._errors import describe, report_error
from quick_server._pages import error_page, reason_of
from quick_server._request import QuickServerRequestHandler
from quick_server._response import MultipartResponse, PreventDefaultResponse, Response

Args = Dict[str, Any]
Handler = Callable[[Any, Args], Any]
Answer = Optional[Tuple[int, str, Sequence[Tuple[str, str]], Union[bytes, BinaryIO]]]

_TEXT_TYPE = 'text/html; charset=utf-8'  # of a str; of bytes nobody knows the charset


class ReqNext:
    """What a middleware returns for "go on": it is given it."""

    def __repr__(self) -> str:
        return 'OKAY'


OKAY = ReqNext()

Middleware = Callable[[Any, Args, ReqNext], Any]


def compose(handler: Handler, middlewares: Sequence[Middleware]) -> Handler:
    """A handler that asks the middlewares first, in their order: the first one that does not return OKAY answers."""
    if not middlewares:
        return handler
    steps = tuple(middlewares)

    @functools.wraps(handler)
    def composed(request: Any, args: Args) -> Any:
        for step in steps:
            result = step(request, args, OKAY)
            if result is not OKAY:
                return result
        return handler(request, args)

    return composed


def for_engine(handler: Handler, before: List[Middleware]) -> Handler:
    """What the engine calls. `before`: middlewares of all handlers; may grow while it serves."""

    @functools.wraps(handler)
    def call(request: QuickServerRequestHandler, args: Args) -> Any:
        try:
            for step in before:
                result = step(request, args, OKAY)
                if result is not OKAY:
                    break
            else:
                result = handler(request, args)
        except PreventDefaultResponse as response:  # is no failure: what has been sent is whole
            result = response
        # Only finish() knows what else is to be sent, or that nothing is
        return Response(result) if request.is_special and not isinstance(result, Response) else result

    return call


def finish(request: Any, kind: str, result: Any) -> Answer:
    """The answer of what a handler has returned; None if it has answered by itself."""
    if request.answered:
        request.close_raw()
        return None
    try:
        return _answer(request, kind, result)
    except Exception as error:
        return fail(request, error)


def _answer(request: QuickServerRequestHandler, kind: str, result: Any) -> Answer:
    code, ctype, value = 200, '', result
    while isinstance(value, Response):  # one may be in another: what a handler has returned, and its middleware
        code, ctype = (code if value.code == 200 else value.code), value.get_ctype(ctype)
        value = value.content() if isinstance(value, MultipartResponse) else value.response
    if isinstance(value, PreventDefaultResponse):
        return _prevented(request, value)
    if value is None:
        return _page(request, 404, 'File not found')
    if not ctype:
        ctype = 'application/json' if kind == 'json' else _TEXT_TYPE if isinstance(value, str) else 'text/html'
    body = _json_body(value, ctype) if kind == 'json' else _text_body(value)
    return code, reason_of(code), [('Content-Type', ctype), *request.cookies], body


def _json_body(value: Any, ctype: str) -> bytes:
    if isinstance(value, bytes) and ctype != 'application/json':
        return value
    return _engine.json_dumps(value).encode('ascii')


def _text_body(value: Any) -> Union[bytes, BinaryIO]:
    if isinstance(value, str):
        return value.encode('utf-8')
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, io.BytesIO):
        return value.getvalue()
    if not hasattr(value, 'read'):
        raise TypeError('a text handler has returned %s' % type(value).__name__)
    if isinstance(value, io.FileIO) or isinstance(getattr(value, 'raw', None), io.FileIO):
        file: BinaryIO = value
        return file
    with value:
        content = value.read()
    return content.encode('utf-8') if isinstance(content, str) else bytes(content)


def fail(request: Any, error: BaseException) -> Answer:
    """The answer for what a handler has raised; None if it has answered by itself, or begun to. That the client has
    gone is no failure of the script: the log has the request as one that was cut."""
    gone = request.client_gone and isinstance(error, ConnectionError)
    if not gone and not isinstance(error, PreventDefaultResponse):
        report_error('%s %s' % (request.command, request.path), error)
    if request.answered:
        request.close_raw()
        return None
    if isinstance(error, PreventDefaultResponse):
        return _prevented(request, error)
    return _page(request, 500, describe(error))


def _prevented(request: QuickServerRequestHandler, response: PreventDefaultResponse) -> Answer:
    if response.code is None:
        return None
    return _page(request, response.code, None if response.message is None else str(response.message))


def _page(request: QuickServerRequestHandler, code: int, message: Optional[str] = None) -> Answer:
    status, reason, fields, body = error_page(code, message)
    return status, reason, [*fields, *request.cookies], body
