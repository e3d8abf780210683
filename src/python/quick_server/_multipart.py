"""multipart/form-data (RFC 7578) as fields and files.

Works on bytes and on a map of a spooled body's file alike. Of the latter only a piece at a time is looked at, and a
large part of it is no copy but a view of that file: however large an upload is, little of it is in memory.
"""

import email.message
import email.utils
import io
import mmap
import os
from typing import Any, BinaryIO, Dict, Optional, Tuple, Union

MAX_PARTS = 1000
MAX_HEAD = 16 << 10      # bytes of one part's header
MAX_BOUNDARY = 200       # characters; RFC 2046 has 70
MAX_PARAMETERS = 100     # of a header line: email's parser takes quadratic time
MAX_PADDING = 1000       # blanks behind a boundary
IN_MEMORY = 256 << 10    # bytes of a file that is a BytesIO even where the body is spooled
_WINDOW = 1 << 20        # bytes that are searched at once

Data = Union[bytes, mmap.mmap]


class MultipartError(ValueError):
    """What is wrong with a body, in words for the client."""


def parameter(head: email.message.Message, name: str, header: str) -> Optional[str]:
    """A parameter of a header line; None without it. MultipartError if it cannot be decoded (RFC 2231)."""
    if str(head.get(header, '')).count(';') > MAX_PARAMETERS:
        raise MultipartError('multipart body with more than %d parameters in a header line' % MAX_PARAMETERS)
    try:
        value = head.get_param(name, header=header)
        return None if value is None else email.utils.collapse_rfc2231_value(value)
    except (LookupError, TypeError, ValueError):
        raise MultipartError('multipart body with a bad %s' % name) from None


class MemoryFile(io.BytesIO):
    """An uploaded file. `filename` and `content_type` are as the client has sent them."""

    filename = ''      # type: str
    content_type = ''  # type: str


class _View(io.RawIOBase):
    """A part of an open file, which is read at positions of its own: several views do not disturb one another."""

    def __init__(self, fd: int, start: int, size: int) -> None:
        self._fd, self._start, self._size, self._at = os.dup(fd), start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(0, self._size - self._at))
        data = os.pread(self._fd, wanted, self._start + self._at)
        buffer[:len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if at < 0:
            raise ValueError('negative seek position %d' % at)
        self._at = at
        return at

    def tell(self) -> int:
        return self._at

    def content(self) -> bytes:
        return os.pread(self._fd, self._size, self._start)

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
        super().close()


class SpooledFile(io.BufferedReader):
    """A large uploaded file, read from the temporary file that the request's body is in; that goes with the last of
    its parts. getvalue() is all of it, wherever it has been read to, as BytesIO has it."""

    filename = ''      # type: str
    content_type = ''  # type: str

    def __init__(self, fd: int, start: int, size: int) -> None:
        self._view = _View(fd, start, size)
        super().__init__(self._view)

    def getvalue(self) -> bytes:
        return self._view.content()


def _find(data: Data, mark: bytes, start: int, end: int) -> int:
    """Where `mark` is first, wholly below `end`, or -1."""
    if isinstance(data, bytes):
        return data.find(mark, start, end)
    while start < end:
        stop = min(end, start + _WINDOW + len(mark) - 1)
        at = data[start:stop].find(mark)
        if at >= 0:
            return start + at
        start += _WINDOW
    return -1


class Reader:
    """post and files of one body. MultipartError if it is not well-formed."""

    def __init__(self, data: Data, boundary: str, file: Optional[BinaryIO] = None) -> None:
        if not 0 < len(boundary) <= MAX_BOUNDARY or not boundary.isascii():
            raise MultipartError('multipart body with a bad boundary')
        self._data, self._file = data, file
        self._mark = b'\r\n--' + boundary.encode('ascii')
        self.post = {}   # type: Dict[str, str]
        self.files = {}  # type: Dict[str, BinaryIO]

    def read(self) -> None:
        at = self._first()
        for _ in range(MAX_PARTS):
            begin = self._line_end(at)
            if begin is None:
                return
            head, begin = self._head(begin)
            end = _find(self._data, self._mark, begin, len(self._data))
            if end < 0:
                raise MultipartError('multipart body does not end with its boundary')
            self._add(head, begin, end)
            at = end + len(self._mark)
        if self._line_end(at) is not None:
            raise MultipartError('multipart body with more than %d parts' % MAX_PARTS)

    def _first(self) -> int:
        if self._data[:len(self._mark) - 2] == self._mark[2:]:
            return len(self._mark) - 2
        at = _find(self._data, self._mark, 0, len(self._data))
        if at < 0:
            raise MultipartError('multipart body without its boundary')
        return at + len(self._mark)

    def _line_end(self, at: int) -> Optional[int]:
        """Where the part behind a boundary begins; None if that was the last one."""
        if self._data[at:at + 2] == b'--':
            return None
        end = at + MAX_PADDING
        while at < end and self._data[at:at + 1] in (b' ', b'\t'):
            at += 1
        if self._data[at:at + 2] != b'\r\n':
            raise MultipartError('multipart body with a boundary that does not end its line')
        return at + 2

    def _head(self, at: int) -> Tuple[email.message.Message, int]:
        head = email.message.Message()
        if self._data[at:at + 2] == b'\r\n':
            return head, at + 2
        end = _find(self._data, b'\r\n\r\n', at, min(len(self._data), at + MAX_HEAD))
        if end < 0:
            raise MultipartError('multipart body with a part whose header has no end')
        text = self._data[at:end].decode('utf-8', 'replace').replace('\r\n ', ' ').replace('\r\n\t', ' ')
        for line in text.split('\r\n'):
            name, colon, value = line.partition(':')
            if not colon or not name.strip():
                raise MultipartError('multipart body with a bad header line in a part')
            head[name.strip()] = value.strip()
        return head, end + 4

    def _add(self, head: email.message.Message, begin: int, end: int) -> None:
        name = parameter(head, 'name', 'content-disposition')
        if name is None:
            raise MultipartError('multipart body with a part that has no name')
        if head.get('content-transfer-encoding', 'binary').lower() not in ('7bit', '8bit', 'binary'):
            raise MultipartError('multipart body with an unknown transfer encoding in part "%s"' % name)
        if 'content-type' in head:
            self.files[name] = self._as_file(head, begin, end)
            return
        try:
            self.post[name] = self._data[begin:end].decode('utf-8')
        except UnicodeDecodeError:
            raise MultipartError('multipart body with a part "%s" that is no UTF-8' % name) from None

    def _as_file(self, head: email.message.Message, begin: int, end: int) -> BinaryIO:
        if self._file is None or end - begin <= IN_MEMORY:
            result = MemoryFile(self._data[begin:end])  # type: Union[MemoryFile, SpooledFile]
        else:
            result = SpooledFile(self._file.fileno(), begin, end - begin)
        filename = parameter(head, 'filename', 'content-disposition') or parameter(head, 'name', 'content-type')
        result.filename = (filename or '').strip()
        result.content_type = str(head['content-type'])
        return result
