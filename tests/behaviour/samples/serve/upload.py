"""A file store: as it is written for quick_server 0.10.0."""
import sys
import threading
from io import BytesIO
from typing import Any, Dict

from quick_server import (create_server, msg, PreventDefaultResponse, QuickServer, QuickServerRequestHandler as QSRH,
                          ReqNext, Response, set_global_error_handler)

LOCK = threading.RLock()
FILES: Dict[str, bytes] = {}
SESSIONS: Dict[str, str] = {}


def setup(addr: str, port: int, parallel: bool) -> QuickServer:
    server: QuickServer = create_server((addr, port), parallel, thread_factory=threading.Thread)
    server.max_file_size = 10 * 1024 * 1024
    server.no_command_loop = True

    def login_mw(_req: QSRH, args: Dict[str, Any], okay: ReqNext) -> Any:
        user = SESSIONS.get(args['cookie'].get('session', ''))
        if user is None:
            return Response('please log in', 403)
        args['meta']['user'] = user
        return okay

    @server.json_post('/login', 0)
    def _login(req: QSRH, args: Dict[str, Any]) -> Any:
        if 'user' not in args['post']:
            raise PreventDefaultResponse(400, 'no user')
        SESSIONS['token'] = args['post']['user']
        req.send_cookie('session', 'token', path='/')
        return {'success': True}

    with server.middlewares(login_mw):
        @server.json_get('/api/files')
        def _list(_req: QSRH, _args: Dict[str, Any]) -> Any:
            return {name: len(content) for name, content in FILES.items()}

        @server.json_post('/api/files')
        def _upload(_req: QSRH, args: Dict[str, Any]) -> Any:
            with LOCK:
                for file in args['files'].values():
                    FILES['big'] = file.read()
            return _list(_req, args)

        @server.text_get('/api/files/:name')
        def _get(_req: QSRH, args: Dict[str, Any]) -> Response:
            content = FILES.get(args['segments']['name'])
            return Response(None if content is None else BytesIO(content), ctype='application/octet-stream')

    return server


def start(server: QuickServer) -> None:
    set_global_error_handler(lambda source, message, lines: print(source, message, file=sys.stderr))
    msg(f"starting server at http://{server.server_address[0] or 'localhost'}:{server.server_port}/")
    server.register_shutdown()
    try:
        server.serve_forever()
    finally:
        msg('shutting down..')
        server.server_close()


if __name__ == '__main__':
    start(setup('localhost', int(sys.argv[1]), True))
