"""Which handler a path has: the decorators and their plain forms.

A mask is the begin of a path, by whole segments; the longest one that fits is asked first. `argc` is how many segments
must follow it, else the path is not the handler's. Segments like ":name" stand for any. Handlers are called as
handler(request, args) and may be added before and while the server serves.
"""

import contextlib
from typing import Callable, Iterator, List, Optional

from quick_server._engine import Engine
from quick_server._handlers import Handler, Middleware, compose, for_engine

Decorator = Callable[[Handler], Handler]

METHODS = ('GET', 'POST', 'PUT', 'DELETE')


def _check(middleware: Middleware) -> None:
    if not callable(middleware):
        raise TypeError('the middleware %r cannot be called' % (middleware,))


class Routing:
    _engine: Engine

    def _set_up_routing(self) -> None:
        self._before = []  # type: List[Middleware]
        self._active = []  # type: List[Middleware]

    def _route(self, method: str, mask: str, kind: str, handler: Handler, argc: Optional[int] = None) -> None:
        if not mask.startswith('/'):
            raise ValueError('the mask %r does not begin with "/"' % mask)
        if method.upper() not in METHODS:
            raise ValueError('%r is none of %s' % (method, ', '.join(METHODS)))
        if not callable(handler):
            raise TypeError('the handler of %s %s cannot be called: %r' % (method, mask, handler))
        if argc is not None and (isinstance(argc, bool) or not isinstance(argc, int) or argc < 0):
            raise ValueError('argc of %s %s is a number of segments or None, not %r' % (method, mask, argc))
        called = for_engine(compose(handler, self._active), self._before)
        self._engine.route(method.upper(), mask, kind, argc, called)

    def _decorator(self, method: str, mask: str, kind: str, argc: Optional[int]) -> Decorator:
        if not isinstance(mask, str):  # the decorator without its brackets would do nothing
            raise TypeError("a mask is a str, not %r: @server.%s_%s('/path')" % (mask, kind, method.lower()))

        def decorate(handler: Handler) -> Handler:
            self._route(method, mask, kind, handler, argc)
            return handler
        return decorate

    # Middlewares: f(request, args, okay) returns `okay`, or the response

    def middleware(self, function: Middleware) -> Decorator:
        """A decorator for one handler, below that of its route: asks `function` first."""
        _check(function)
        return lambda handler: compose(handler, [function])

    @contextlib.contextmanager
    def middlewares(self, *functions: Middleware) -> Iterator[None]:
        """Handlers that are added within the context have these asked first, in their order, after those of the
        contexts around it."""
        for function in functions:
            _check(function)
        before = self._active
        self._active = [*before, *functions]
        try:
            yield
        finally:
            self._active = before

    def add_pre_middleware(self, function: Middleware) -> None:
        """Is asked before every handler, and before all their other middlewares."""
        _check(function)
        self._before.append(function)

    # JSON: what the handler returns is dumped by json_dumps(); None is 404

    def add_json_mask(self, start: str, method_str: str, json_producer: Handler) -> None:
        self._route(method_str, start, 'json', json_producer)

    def add_json_get_mask(self, start: str, json_producer: Handler, argc: Optional[int] = None) -> None:
        self._route('GET', start, 'json', json_producer, argc)

    def add_json_post_mask(self, start: str, json_producer: Handler, argc: Optional[int] = None) -> None:
        self._route('POST', start, 'json', json_producer, argc)

    def add_json_put_mask(self, start: str, json_producer: Handler, argc: Optional[int] = None) -> None:
        self._route('PUT', start, 'json', json_producer, argc)

    def add_json_delete_mask(self, start: str, json_producer: Handler, argc: Optional[int] = None) -> None:
        self._route('DELETE', start, 'json', json_producer, argc)

    def json_get(self, mask: str, argc: Optional[int] = None) -> Decorator:
        return self._decorator('GET', mask, 'json', argc)

    def json_post(self, mask: str, argc: Optional[int] = None) -> Decorator:
        return self._decorator('POST', mask, 'json', argc)

    def json_put(self, mask: str, argc: Optional[int] = None) -> Decorator:
        return self._decorator('PUT', mask, 'json', argc)

    def json_delete(self, mask: str, argc: Optional[int] = None) -> Decorator:
        return self._decorator('DELETE', mask, 'json', argc)

    # Text: str, bytes, a file object; text/html where a Response does not say otherwise; None is 404

    def add_text_mask(self, start: str, method_str: str, text_producer: Handler) -> None:
        self._route(method_str, start, 'text', text_producer)

    def add_text_get_mask(self, start: str, text_producer: Handler, argc: Optional[int] = None) -> None:
        self._route('GET', start, 'text', text_producer, argc)

    def add_text_post_mask(self, start: str, text_producer: Handler, argc: Optional[int] = None) -> None:
        self._route('POST', start, 'text', text_producer, argc)

    def add_text_put_mask(self, start: str, text_producer: Handler, argc: Optional[int] = None) -> None:
        self._route('PUT', start, 'text', text_producer, argc)

    def add_text_delete_mask(self, start: str, text_producer: Handler, argc: Optional[int] = None) -> None:
        self._route('DELETE', start, 'text', text_producer, argc)

    def text_get(self, mask: str, argc: Optional[int] = None) -> Decorator:
        return self._decorator('GET', mask, 'text', argc)

    def text_post(self, mask: str, argc: Optional[int] = None) -> Decorator:
        return self._decorator('POST', mask, 'text', argc)

    def text_put(self, mask: str, argc: Optional[int] = None) -> Decorator:
        return self._decorator('PUT', mask, 'text', argc)

    def text_delete(self, mask: str, argc: Optional[int] = None) -> Decorator:
        return self._decorator('DELETE', mask, 'text', argc)
