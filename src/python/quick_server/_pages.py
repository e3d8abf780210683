"""Error pages, as Python's own http.server has them."""

import html
import re
from http import HTTPStatus
from typing import List, Optional, Tuple

Fields = List[Tuple[str, str]]

# The same as src/http/message.cpp has: what the engine answers by itself looks like what a script answers.
_PAGE = """\
<!DOCTYPE HTML>
<html lang="en">
    <head>
        <meta charset="utf-8">
        <title>Error response</title>
    </head>
    <body>
        <h1>Error response</h1>
        <p>Error code: %d</p>
        <p>Message: %s.</p>
        <p>Error code explanation: %d - %s.</p>
    </body>
</html>
"""
_CONTROL = re.compile(r'[\x00-\x1f\x7f]+')
_REASON = 200  # characters of a message that go into the status line


def reason_of(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return 'Unknown'


def _explanation(code: int) -> str:
    try:
        return HTTPStatus(code).description or HTTPStatus(code).phrase
    except ValueError:
        return 'Unknown'


def _without_dashes(text: str) -> str:
    while '--' in text:
        text = text.replace('--', '-')
    return text


def status_line_text(text: str) -> str:
    """Of a message what fits into a status line: one line of Latin-1."""
    return _CONTROL.sub(' ', text)[:_REASON].encode('latin-1', 'replace').decode('latin-1')


def error_page(code: int, message: Optional[str] = None, explain: Optional[str] = None,
               ) -> Tuple[int, str, Fields, bytes]:
    """Status, reason, fields and body of the page for an error."""
    if message is None:
        message = reason_of(code)
    shown = [html.escape(_without_dashes(text), quote=False) for text in (message, explain or _explanation(code))]
    fields = [('Content-Type', 'text/html;charset=utf-8'), ('Cache-Control', 'no-store')]
    body = (_PAGE % (code, shown[0], code, shown[1])).encode('utf-8', 'replace')
    return code, status_line_text(message), fields, b'' if code in (204, 304) or code < 200 else body
