#!/usr/bin/env python3
"""A server that shows what quick_server has: files, JSON, a worker with progress, an upload, a token, a proxy.

    quicken serve contrib/examples/serve/example.py [PORT]
    python3 contrib/examples/serve/example.py [PORT]        (starts the same by itself)

For python3 the package is to be on its path: PYTHONPATH=PREFIX/libexec/quicken/python, with quicken's PREFIX.

Then look at http://localhost:8080/. Edit this file while it runs: the next request is answered by the new one, and
no request is lost. At the prompt `help` lists the commands; `show jobs` is one of this script's. Results and tokens are
kept in $XDG_CACHE_HOME/quick_server_example (~/.cache).
"""

import hashlib
import http.server
import os
import sys
import threading
import time

from quick_server import PreventDefaultResponse, QuickCache, create_server, msg, setup_restart

HERE = os.path.dirname(os.path.abspath(__file__))
KEPT = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "quick_server_example")
LARGEST = 20_000_000  # that primes are counted up to

setup_restart()
server = create_server(("", int(sys.argv[1]) if len(sys.argv) > 1 else 8080))

# Files: what is in www, of the types that pages are made of.
server.bind_path("/", os.path.join(HERE, "www"))
server.add_default_white_list()
server.directory_listing = False
server.link_empty_favicon_fallback()
server.link_worker_js("/worker.js")
server.suppress_noise = True

# What is not to be computed again, and what is to be known after a restart.
server.cache = QuickCache(__file__, quota=50, ram_quota=5, temp=KEPT)
server.token_file = os.path.join(KEPT, "tokens.db")


# JSON: what a function returns is dumped. /api/hello?name=Ann, or /api/hello/Ann
@server.json_get("/api/hello")
def hello(req, args):
    name = args["paths"][0] if args["paths"] else args["query"].get("name", "world")
    return {"hello": name, "time": time.strftime("%H:%M:%S"), "process": os.getpid()}


# A worker: a thread that the page starts, asks, and stops; worker.js does that. What it tells on its way is in
# `progress`, which all handlers share.
progress = {}


@server.json_worker("/api/primes", cache_id=lambda args: args["below"])
def primes(args):
    below, name = min(int(args["below"]), LARGEST), str(args["name"])
    try:
        return {"below": below, "primes": count_primes(below, name)}
    finally:  # also when the page has stopped it
        progress.pop(name, None)


def count_primes(below, name):
    """By trial, so that there is time to look at the progress."""
    found = []
    for number in range(2, below):
        if number % 500 == 0:
            progress[name] = number / below
        root = number ** 0.5
        for prime in found:
            if prime > root:
                found.append(number)
                break
            if number % prime == 0:
                break
        else:
            found.append(number)
    return len(found)


@server.json_get("/api/jobs", 0)
def jobs(req, args):
    return dict(progress)


# The same in a process of its own: it takes nothing of this one's time, and a stop ends it wherever it is.
@server.json_worker("/api/pause", isolate=True)
def pause(args):
    time.sleep(min(float(args["seconds"]), 60))
    return {"process": os.getpid()}


# An upload: fields are in args["post"], files in args["files"], as binary files.
@server.json_post("/api/upload", 0)
def upload(req, args):
    if not args["files"]:
        raise PreventDefaultResponse(400, "no file")
    contents = {field: file.read() for field, file in args["files"].items()}
    return {field: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for field, content in contents.items()}


# A token: the page keeps its name, the server what belongs to it, for a day since the last visit.
@server.json_post("/api/visit", 0)
def visit(req, args):
    token = args["post"].get("token") or server.create_token()
    with server.get_token_obj(token, 24 * 3600) as visitor:
        visitor["visits"] = visitor.get("visits", 0) + 1
        return {"token": token, "visits": visitor["visits"]}


# A proxy: another server, here a thread of this process, is seen below /other/.
class Other(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"The other server was asked for {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other)
threading.Thread(target=other.serve_forever, daemon=True).start()
server.bind_proxy("/other/", f"http://127.0.0.1:{other.server_port}/")


# A command at the prompt: "show jobs".
@server.cmd()
def show_jobs(args):
    """Lists the jobs that run."""
    for name, part in progress.items():
        msg("{0}: {1:.0%}", name, part)


msg("http://localhost:{0}/", server.server_address[1])
server.serve_forever()
