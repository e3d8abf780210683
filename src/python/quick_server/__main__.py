"""python -m quick_server: the files of a directory, over HTTP."""

import argparse
import os
import sys
from typing import List, Optional

from quick_server import _hand_over, create_server
from quick_server._log import server_msg


def _read(arguments: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='quick_server', description='Serves the files of a directory.')
    parser.add_argument('-a', metavar='ADDR', dest='address', default='localhost',
                        help='address to listen at; "" is all; default: %(default)s')
    parser.add_argument('-p', metavar='PORT', dest='port', type=int, default=8080,
                        help='port; 0 is any free one; default: %(default)s')
    parser.add_argument('--www', metavar='DIR', default='.', help='the directory; default: this one')
    parser.add_argument('-v', dest='verbose', action='store_true', help='log every request')
    options = parser.parse_args(arguments)
    if not os.path.isdir(options.www):
        parser.error('--www: there is no directory %s' % options.www)
    if not 0 <= options.port <= 65535:
        parser.error('-p: %d is no port' % options.port)
    return options


def main(arguments: Optional[List[str]] = None) -> int:
    """Returns the exit status."""
    options = _read(arguments)
    if not options.verbose:  # the files alone need no interpreter
        words = ['--www', options.www, '-a', options.address, '-p', str(options.port)]
        _hand_over.hand_over([os.fsencode(word) for word in words])
    server = create_server((options.address, options.port))
    server.bind_path('/', options.www)
    server.directory_listing = True
    server.suppress_noise = not options.verbose
    server_msg('serving %s at http://%s:%d/' % (
        os.path.abspath(options.www), options.address or 'localhost', server.server_port))
    server.serve_forever()
    server.server_close()
    return 0


if __name__ == '__main__':
    sys.exit(main())
