"""The servers that are compared, each on a free port, in a scratch directory; stop() ends all of their processes."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time

from driver import BenchError

# As Debian's (worker_processes auto: one a core; sendfile, tcp_nopush, mime.types), without a log, and with
# connections that live as long as the load.
NGINX = """
daemon off;
worker_processes {cores};
pid {directory}/nginx.pid;
error_log stderr crit;
{user}
events {{ worker_connections 4096; }}
http {{
  include /etc/nginx/mime.types;
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{ listen 127.0.0.1:{port}; root {directory}/www; }}
}}
"""

STARLETTE = """
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

async def text(request):
    return PlainTextResponse("Hello, World!")

async def post(request):
    body = await request.json()
    return JSONResponse({"name": body["name"], "sum": sum(body["numbers"]), "ok": True})

app = Starlette(routes=[Route("/text", text), Route("/json", post, methods=["POST"])])
"""

SCRIPT = """
import os
import time
from quick_server import create_server

server = create_server(("127.0.0.1", {port}))
server.suppress_noise = True
server.no_command_loop = True

@server.text_get("/text", 0)
def text(req, args):
    return "Hello, World!"

@server.json_post("/json", 0)
def post(req, args):
    body = args["post"]
    return {{"name": body["name"], "sum": sum(body["numbers"]), "ok": True}}

@server.text_get("/pid", 0)
def pid(req, args):
    return str(os.getpid())

@server.json_worker("/work")
def work(args):
    end = time.monotonic() + args["seconds"]
    count = 0
    while time.monotonic() < end:
        count += 1
    return count

server.serve_forever()
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def family(pid):
    """The process and all that descend from it."""
    found = [pid]
    for parent in found:
        with open(f"/proc/{parent}/task/{parent}/children") as file:
            found += map(int, file.read().split())
    return found


class Contender:
    """A server that has answered once. `pids` are the processes whose time counts."""

    def __init__(self, name, argv, port, path, env=None, cwd=None):
        self.name = name
        self.port = port
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors,
                                        env=env, cwd=cwd, start_new_session=True)
        deadline = time.monotonic() + 30
        while not self.answers(path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                self.errors.seek(0)
                raise BenchError(f"{name} does not serve: {self.errors.read().decode(errors='replace')}")
            time.sleep(0.05)
        self.pids = family(self.process.pid)

    def answers(self, path):
        try:
            return self.request("GET", path)[0] == 200
        except OSError:
            return False

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def stop(self):
        """TERM, then KILL to its whole session's group."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # the usual case: all have ended
        self.process.wait()


def nginx(directory):
    port = free_port()
    config = os.path.join(directory, "nginx.conf")
    with open(config, "w") as file:
        file.write(NGINX.format(directory=directory, port=port, cores=os.cpu_count(),
                                user="user root;" if os.geteuid() == 0 else ""))
    binary = "/usr/sbin/nginx"
    return Contender("nginx", [binary, "-p", directory, "-e", "stderr", "-c", config], port, "/1k.bin")


def files(prefix, directory):
    port = free_port()
    program = os.path.join(prefix, "libexec/quicken/quicken-www")
    return Contender("quicken", [program, "--www", f"{directory}/www", "-a", "127.0.0.1", "-p", str(port)], port, "/1k.bin")


def starlette(directory):
    port = free_port()
    with open(os.path.join(directory, "contender.py"), "w") as file:
        file.write(STARLETTE)
    argv = ["/usr/bin/python3", "-m", "uvicorn", "--host", "127.0.0.1", "--port", str(port), "--loop", "uvloop", "--http",
            "httptools", "--no-access-log", "--log-level", "error", "contender:app"]
    return Contender("uvicorn", argv, port, "/text", cwd=directory)


def script(prefix, directory):
    """The script's own process counts, not its supervisor, which does nothing meanwhile."""
    port = free_port()
    path = os.path.join(directory, "served.py")
    with open(path, "w") as file:
        file.write(SCRIPT.format(port=port))
    runtime = os.path.join(directory, "run")
    os.mkdir(runtime, 0o700)
    env = dict(os.environ, XDG_RUNTIME_DIR=runtime, XDG_STATE_HOME=runtime, QUICKEN_ACTIVATION="self",
               QUICKEN_IDLE_TIMEOUT="5")
    contender = Contender("quicken", [os.path.join(prefix, "bin/quicken"), "serve", path], port, "/text", env=env)
    contender.pids = [int(contender.request("GET", "/pid")[1])]
    return contender


@contextlib.contextmanager
def computing(contender, seconds):
    """One worker computes in the script's process meanwhile, and for so long at most."""
    token = ask_worker(contender, {"action": "start", "token": None, "payload": {"seconds": seconds}})["token"]
    try:
        yield
    finally:
        ask_worker(contender, {"action": "stop", "token": token})


def ask_worker(contender, question):
    status, answer = contender.request("POST", "/work", json.dumps(question))
    answer = json.loads(answer) if status == 200 else {}
    if answer.get("continue") != (question["action"] == "start"):
        raise BenchError(f"no worker: {status} {answer}")
    return answer
