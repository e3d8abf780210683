"""A request's body as args["post"] and args["files"].

What the client has sent wrongly is 400 with a text that says what. How much may come is the engine's to judge
(server.max_file_size) before anything of it is here.
"""

import email.message
import json
import mmap
from typing import Any, BinaryIO, Dict, Tuple, Union
from urllib.parse import unquote_plus

from quick_server._multipart import MultipartError, Reader, parameter
from quick_server._response import PreventDefaultResponse

MAX_FIELDS = 10000  # of an urlencoded body

Body = Union[bytes, BinaryIO]


def _refuse(text: str) -> PreventDefaultResponse:
    return PreventDefaultResponse(400, text)


def _all(body: Body) -> bytes:
    if isinstance(body, bytes):
        return body
    body.seek(0)
    return body.read()


def _json(body: Body) -> Any:
    try:
        return json.loads(_all(body))
    except RecursionError:
        raise _refuse('JSON body is nested too deeply') from None
    except ValueError as error:
        raise _refuse('JSON body is malformed: %s' % error) from None


def _urlencoded(body: Body) -> Dict[str, Any]:
    """The last value of a name wins, a name without "=" is True."""
    content = _all(body)
    if content.count(b'&') >= MAX_FIELDS:
        raise _refuse('urlencoded body has more than %d fields' % MAX_FIELDS)
    result = {}  # type: Dict[str, Any]
    try:
        for section in content.decode('utf-8').split('&'):
            name, equals, value = section.partition('=')
            if section:
                name = unquote_plus(name, errors='strict')
                result[name] = unquote_plus(value, errors='strict') if equals else True
    except UnicodeDecodeError:
        raise _refuse('urlencoded body is no UTF-8') from None
    return result


def _multipart(body: Body, content_type: str) -> Tuple[Dict[str, str], Dict[str, BinaryIO]]:
    head = email.message.Message()
    head['content-type'] = content_type
    try:
        boundary = (parameter(head, 'boundary', 'content-type') or '').rstrip()
        if isinstance(body, bytes):
            reader = Reader(body, boundary)
            reader.read()
        else:
            with mmap.mmap(body.fileno(), 0, access=mmap.ACCESS_READ) as data:
                reader = Reader(data, boundary, body)
                reader.read()
    except MultipartError as error:
        raise _refuse(str(error)) from None
    return reader.post, reader.files


def parse(body: Body, content_type: str, args: Dict[str, Any]) -> None:
    """Sets args["post"] and args["files"]. PreventDefaultResponse(400, what is wrong)."""
    args['post'], args['files'] = {}, {}
    kind = content_type.partition(';')[0].strip().lower()
    if kind == 'application/json' or kind.endswith('+json') or kind == 'text/json':
        args['post'] = _json(body)
    elif kind == 'application/x-www-form-urlencoded':
        args['post'] = _urlencoded(body)
    elif kind == 'multipart/form-data':
        args['post'], args['files'] = _multipart(body, content_type)
