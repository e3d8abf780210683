"""What a handler may return or raise beside plain values."""

import os
from typing import Any, BinaryIO, List, Mapping, Optional, Tuple, Union

PartValue = Union[str, bytes, BinaryIO, dict, list, int, float, bool, None]


class PreventDefaultResponse(Exception):
    """Raised (or returned) by a handler whose result is not to be sent.

    Without a code the handler has answered by itself, with send_response() and its kin. With one, the answer is the
    error page of that code and message.
    """

    def __init__(self, code: Optional[int] = None, message: Optional[str] = None) -> None:
        super().__init__(*(each for each in (code, message) if each is not None))
        self.code = code
        self.message = message
        self.msg = message


class Response:
    """A handler's result with a status and a type of its own. A `response` of None is 404."""

    def __init__(self, response: Any, code: int = 200, ctype: Optional[str] = None) -> None:
        self.response = response
        self.code = code
        self.ctype = ctype

    def get_ctype(self, default: str) -> str:
        return self.ctype or default


class MultipartResponse(Response):
    """Several named parts as multipart/form-data, as parse_body() reads them: a str is a field; bytes and binary files
    are files, "application/octet-stream"; anything else is JSON. The whole answer is made in memory."""

    def __init__(self, parts: Mapping[str, PartValue], code: int = 200, ctype: Optional[str] = None) -> None:
        super().__init__(parts, code, ctype)
        self.boundary = os.urandom(16).hex()

    def get_ctype(self, default: str) -> str:
        return '%s; boundary=%s' % (self.ctype or 'multipart/form-data', self.boundary)

    def content(self) -> bytes:
        """The body. TypeError or ValueError if a part is no JSON."""
        out = []  # type: List[bytes]
        for name, value in self.response.items():
            kind, content = _encode_part(value)
            quoted = name.replace('"', '%22').replace('\r', '%0D').replace('\n', '%0A')
            head = '--%s\r\nContent-Disposition: form-data; name="%s"' % (self.boundary, quoted)
            head += '; filename="%s"\r\nContent-Type: %s' % (quoted, kind) if kind else ''
            out += [head.encode('utf-8'), b'\r\n\r\n', content, b'\r\n']
        out.append(b'--%s--\r\n' % self.boundary.encode('ascii'))
        return b''.join(out)


def _encode_part(value: PartValue) -> Tuple[str, bytes]:
    """Its type, empty for a field, and its content."""
    if isinstance(value, str):
        return '', value.encode('utf-8')
    if isinstance(value, (bytes, bytearray, memoryview)):
        return 'application/octet-stream', bytes(value)
    if hasattr(value, 'read'):
        return 'application/octet-stream', value.read()  # type: ignore[union-attr]
    from quick_server._engine import json_dumps
    return 'application/json', json_dumps(value).encode('ascii')
