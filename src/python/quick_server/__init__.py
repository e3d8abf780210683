"""quick_server: a server for back ends in the making, on quicken's engine.

    from quick_server import create_server, msg, setup_restart

    setup_restart()
    server = create_server(('', 8080))
    server.bind_path('/', 'www')

    @server.json_get('/api/hello', 0)
    def hello(req, args):
        return {'hello': args['query'].get('name', 'world')}

    msg('serving at http://localhost:{0}/', server.server_port)
    server.serve_forever()

The interface is that of the package of this name, of its versions 0.4.11 and 0.10.0 at once. See quicken-serve(1).
Importing it starts no thread, opens nothing, and asks neither clock nor random numbers: a template of quicken can.
"""

from quick_server._cache import QuickCache
from quick_server._engine import json_dumps
from quick_server._errors import set_global_error_handler
from quick_server._handlers import OKAY, ReqNext
from quick_server._jobs import WorkerDeath, get_worker_check, is_worker_alive
from quick_server._log import debug, msg, set_log_file
from quick_server._request import QuickServerRequestHandler
from quick_server._response import MultipartResponse, PreventDefaultResponse, Response
from quick_server._restart import (get_exec_arr, get_time, has_been_restarted, is_original, set_error_exit_code,
                                   set_restart_exit_code, setup_restart)
from quick_server._server import QuickServer, create_server
from quick_server._shutdown import add_shutdown_hook, setup_shutdown
from quick_server._tokens import DefaultTokenHandler, DiskTokenHandler, TokenHandler, TokenObj
from quick_server._worker_client import WorkerError, worker_request
from quick_server._workers import BaseWorker, DefaultWorker, WorkerOptions

__version__ = '0.10.0'  # whose interface this is

LONG_MSG = True
"""Whether msg() says which line of which file it was called in; otherwise lines begin with "[SERVER] "."""

MSG_STDERR = True
"""Whether messages go to standard error as well where set_log_file() has named a file."""

__all__ = [
    'BaseWorker', 'DefaultTokenHandler', 'DefaultWorker', 'DiskTokenHandler', 'LONG_MSG', 'MSG_STDERR',
    'MultipartResponse', 'OKAY', 'PreventDefaultResponse', 'QuickCache', 'QuickServer', 'QuickServerRequestHandler',
    'ReqNext', 'Response', 'TokenHandler', 'TokenObj', 'WorkerDeath', 'WorkerError', 'WorkerOptions',
    'add_shutdown_hook', 'create_server', 'debug', 'get_exec_arr', 'get_time', 'get_worker_check',
    'has_been_restarted', 'is_original', 'is_worker_alive', 'json_dumps', 'msg', 'set_error_exit_code',
    'set_global_error_handler', 'set_log_file', 'set_restart_exit_code', 'setup_restart', 'setup_shutdown',
    'worker_request',
]
