"""The request as handlers see it: named and shaped like Python's own BaseHTTPRequestHandler.

A handler that answers by itself calls send_response(), send_header(), end_headers(), writes to wfile, and raises
PreventDefaultResponse(). One that writes to wfile without any of these speaks to the client without HTTP: what it
writes is sent as it is, and the connection ends with it.
"""

import http.client
import http.cookies
import io
import os
import re
import socket
from typing import TYPE_CHECKING, Any, BinaryIO, Dict, Optional, Tuple

from quick_server import _body, _engine
from quick_server._log import server_msg
from quick_server._pages import error_page, reason_of, status_line_text

if TYPE_CHECKING:
    from quick_server._server import QuickServer

_TOKEN = re.compile("[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class _Writer(io.RawIOBase):
    """wfile: nothing of it is kept back, flush() has nothing to do. ConnectionError once the client has gone."""

    def __init__(self, request: 'QuickServerRequestHandler') -> None:
        self._request = request

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        content = bytes(memoryview(data))  # TypeError for what has no bytes, as an int: bytes(5) would be five zeros
        self._request.send_bytes(content)
        return len(content)


class QuickServerRequestHandler(_engine.Request):
    """One request. Only the thread of its handler may use it."""

    server = None   # type: QuickServer
    answered = False      # the handler has begun an answer of its own
    is_special = False    # what its handler returns cannot be taken as it is
    client_gone = False   # and wfile has said so
    _headers = None       # type: Optional[http.client.HTTPMessage]
    _rfile = None         # type: Optional[BinaryIO]
    _status = None        # type: Optional[Tuple[int, str]]
    _fields = ()          # type: Any
    _raw = None           # type: Optional[socket.socket]
    _raw_pid = 0          # of the process whose handler made it
    cookies = ()          # type: Any  # fields Set-Cookie of the answer

    # What has come

    @property
    def headers(self) -> http.client.HTTPMessage:
        if self._headers is None:
            headers = http.client.HTTPMessage()
            for name, value in self.fields():
                headers[name] = value
            self._headers = headers
        return self._headers

    @property
    def rfile(self) -> BinaryIO:
        """The body, from its start where nothing of it has been read here."""
        if self._rfile is None:
            body = self.body()
            self._rfile = io.BytesIO(body) if isinstance(body, bytes) else body
            self._rfile.seek(0)
        return self._rfile

    def parse_body(self, args: Dict[str, Any]) -> None:
        """Sets args["post"] and args["files"] from a body that is not empty; for the engine."""
        content_type = ''
        for name, value in self.fields():
            if name.lower() == 'content-type':
                content_type = value
        _body.parse(self.body(), content_type, args)

    def get_original_host(self) -> str:
        """The host that the client has asked for, also where a proxy is in front of this server; '' without one."""
        forwarded = self.headers.get('X-Forwarded-Host', '')
        return forwarded.split(',')[0].strip() or self.headers.get('Host', '')

    def address_string(self) -> str:
        return self.client_address[0]

    # What goes

    @property
    def wfile(self) -> _Writer:
        """A new one each time: one that is kept would be a circle, and a body's file open until that is collected."""
        return _Writer(self)

    def send_response(self, code: int, message: Optional[str] = None) -> None:
        """The status of an answer; end_headers() sends it."""
        self._status = (int(code), reason_of(int(code)) if message is None else status_line_text(message))
        self._fields = []

    send_response_only = send_response

    def send_header(self, keyword: str, value: Any) -> None:
        """A field of the answer that send_response() has begun; RuntimeError before that. A line end in the value is
        sent as a space. ValueError for what is no name of a field (RFC 9110, 5.6.2)."""
        if self._status is None:
            raise RuntimeError('send_header() without send_response()')
        if _TOKEN.fullmatch(keyword) is None:
            raise ValueError('%r is no name of a header field' % (keyword,))
        self._fields.append((keyword, str(value)))

    def end_headers(self) -> None:
        """Sends status and fields. RuntimeError without send_response()."""
        if self._status is None:
            raise RuntimeError('end_headers() without send_response()')
        self.answered = self.is_special = True
        self.begin(self._status[0], self._status[1], [*self._fields, *self.cookies])

    def send_bytes(self, data: bytes) -> None:
        """What wfile.write() does."""
        if self._status is not None and not self.answered:
            self.end_headers()
        try:
            if not self.answered:
                self._raw = socket.socket(fileno=self.hijack())
                self._raw_pid = os.getpid()
                self.answered = self.is_special = True  # not before: if there is no descriptor, nothing is sent
            if self._raw is None:
                self.write(data)
            else:
                self._raw.sendall(data)
        except ConnectionError:
            self.client_gone = True
            raise

    def send_error(self, code: int, message: Optional[str] = None, explain: Optional[str] = None) -> None:
        """Sends Python's page for that error."""
        status, reason, fields, body = error_page(int(code), message, explain)
        self.send_response(status, reason)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header('Content-Length', len(body))
        self.end_headers()
        if body:
            self.write(body)

    def send_cookie(self, name: str, value: str, **attributes: Any) -> None:
        """Sets a cookie with the answer, whoever makes that. Attributes are those of http.cookies.Morsel, with "_" for
        "-": path, domain, max_age (seconds), expires, secure, httponly, samesite. http.cookies.CookieError for a bad
        name or attribute."""
        cookie = http.cookies.SimpleCookie()  # type: http.cookies.SimpleCookie[str]
        cookie[name] = value
        for attribute, setting in attributes.items():
            cookie[name][attribute.replace('_', '-')] = setting
        self.cookies = [*self.cookies, ('Set-Cookie', cookie[name].OutputString())]
        self.is_special = True

    def check_cache(self, e_tag: str, match: Optional[str]) -> bool:
        """Whether the client has what has this ETag, `match` being its If-None-Match: then it is sent 304."""
        if e_tag != match:
            return False
        self.send_response(304)
        self.send_header('ETag', e_tag)
        self.send_header('Cache-Control', 'max-age=%g' % self.server.max_age)
        self.end_headers()
        return True

    def close_raw(self) -> None:
        """The end of a connection without HTTP; after the handler. A process that has been forked meanwhile has the
        socket as well, so it is not enough to close it; such a one, if it comes back here, ends only its own."""
        if self._raw is None:
            return
        if self._raw_pid == os.getpid():
            try:
                self._raw.shutdown(socket.SHUT_RDWR)  # what has been written is still relayed
            except OSError:
                pass  # the other side has gone
        self._raw.close()

    # The log

    def log_message(self, format: str, *args: Any) -> None:
        server_msg(format % args if args else format)

    log_error = log_message

    def log_elapsed_time_string(self, elapsed: float) -> str:
        """Seconds as a log line has them: '12.34ms', '1.20s'; '' for a negative time."""
        if elapsed < 0:
            return ''
        return '%.2fms' % (elapsed * 1e3) if elapsed < 1 else '%.2fs' % elapsed

    def log_size_string(self, size: float) -> str:
        """Bytes as a log line has them: '512B', '1.5KiB'; '' for a negative size."""
        if size < 0:
            return ''
        for unit in ('B', 'KiB', 'MiB', 'GiB'):
            if size < 1024 or unit == 'GiB':
                break
            size /= 1024
        return '%d%s' % (size, unit) if unit == 'B' else '%.1f%s' % (size, unit)
