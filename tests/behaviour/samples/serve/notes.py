#!/usr/bin/env python3
"""Notes: a back end as it is written for quick_server 0.4.11."""
from __future__ import print_function

import os
import sys

from quick_server import create_server, msg, setup_restart

setup_restart()

addr = ''
port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
server = create_server((addr, port))

os.path.isdir('www') or os.mkdir('www')
server.bind_path('/', 'www')
server.add_default_white_list()
server.directory_listing = False
server.link_empty_favicon_fallback()
server.suppress_noise = True
server.report_slow_requests = True

notes = {}


def write_page():
    with open('www/notes.html', 'w') as page:
        page.write(''.join('<p>{0}: {1}</p>'.format(*note) for note in sorted(notes.items())))


@server.json_get('/api/notes', 0)
def get_notes(_req, _args):
    return notes


@server.json_post('/api/note', 0)
def add_note(_req, args):
    number = len(notes) + 1
    notes[number] = args['post']['text']
    write_page()
    return {'id': number}


@server.json_put('/api/note', 1)
def change_note(_req, args):
    notes[int(args['paths'][0])] = args['post']['text']
    write_page()
    return notes


@server.json_delete('/api/note', 1)
def delete_note(_req, args):
    if notes.pop(int(args['paths'][0]), None) is None:
        return None
    return notes


@server.cmd(argc=0)
def notes_clear(args):
    print('cleared', len(notes))
    sys.stdout.flush()
    notes.clear()


msg('starting server at http://{0}:{1}/', addr if addr else 'localhost', server.server_port)
try:
    server.serve_forever()
finally:
    msg('shutting down..')
    server.server_close()
