"""The script's side of src/serve/protocol.hpp, in plain Python: what the supervisor is tested with.

A script says `import serve_stand_in`, then `server = serve_stand_in.Server(port)`, sets `server.answer` (a
function of the path, which gives text) and calls `server.serve()`.
"""

import array
import json
import os
import select
import socket
import sys
import time

CONTROL = "QUICKEN_SERVE_FD"
DRAIN = 10  # seconds


class Control:
    def __init__(self):
        self.socket = socket.socket(fileno=int(os.environ[CONTROL]))
        os.set_inheritable(self.socket.fileno(), False)

    def tell(self, **message):
        self.socket.sendmsg([json.dumps(message).encode()])

    def hear(self):
        """A message and its descriptors; (None, []) when the supervisor has gone."""
        size = array.array("i").itemsize
        data, ancillary, _, _ = self.socket.recvmsg(1 << 16, socket.CMSG_SPACE(4 * size))
        fds = array.array("i")
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(content[:len(content) - len(content) % size])
        return (json.loads(data) if data else None), list(fds)


class Connection:
    """One client; answers its requests one after the other."""

    def __init__(self, server, plug, data=b""):
        self.server, self.plug, self.data = server, plug, data
        self.plug.setblocking(True)
        if plug.family != socket.AF_UNIX:
            plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def take(self):
        """What has come; True if the connection goes on."""
        part = self.plug.recv(65536)
        if not part:
            return False
        self.data += part
        while b"\r\n\r\n" in self.data:
            head, _, self.data = self.data.partition(b"\r\n\r\n")
            if not self.reply(head.decode()):
                return False
        return True

    def reply(self, head):
        line, *fields = head.split("\r\n")
        close = any(field.lower() == "connection: close" for field in fields)
        body = self.server.answer(line.split()[1]).encode()
        self.server.requests += 1
        self.server.last = time.monotonic()
        self.plug.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s"
                          % (len(body), b"Connection: close\r\n" if close else b"", body))
        return not close


class Server:
    """One thread and one poll(2); what the supervisor says is heard between requests."""

    def __init__(self, *ports, address="localhost"):
        sys.audit("quicken.start")  # what follows is done in each process
        self.control = Control()
        self.answer = lambda path: "hello"
        self.commands = {}  # name: function of the rest of the line
        self.complete = lambda line: []
        self.members = {}  # of `serving`
        self.leave_idle = True
        self.requests, self.last = 0, time.monotonic()
        self.connections = {}
        self.running, self.draining, self.successor, self.status = True, None, None, 0
        self.poll = select.poll()
        self.others = {}  # fd: what is done when it is readable
        self.listeners = [self.listen(address, port) for port in ports]

    def listen(self, address, port):
        self.control.tell(do="listen", address=address, port=port)
        message, fds = self.control.hear()
        if "errno" in message:
            raise OSError(message["errno"], message["error"])
        listener = socket.socket(fileno=fds[0])
        listener.setblocking(False)
        self.port = message["port"]
        return listener

    def watch(self, *files):
        self.control.tell(do="watch", files=list(files))

    def serve(self):
        """Returns when the script is to end."""
        self.last = time.monotonic()
        self.on(self.control.socket.fileno(), self.hear)
        for listener in self.listeners:
            self.on(listener.fileno(), lambda listener=listener: self.accept(listener))
        builtin = ["help", "restart", "quit"]
        self.control.tell(do="serving", **{
            "prompt": "> ", "history": "", "commands": sorted([*self.commands, *builtin]), "prompts": True,
            "script": os.path.abspath(sys.argv[0]), **self.members})
        while self.running and not self.is_drained():
            for fd, _ in self.poll.poll(100):
                # Once it leaves it accepts nothing more: that waits for the next process.
                if self.running and fd in self.others:
                    self.others[fd]()

    def is_drained(self):
        return self.draining is not None and (not self.connections or time.monotonic() > self.draining)

    def on(self, fd, action):
        self.others[fd] = action
        self.poll.register(fd, select.POLLIN)

    def off(self, fd):
        del self.others[fd]
        self.poll.unregister(fd)

    def accept(self, listener):
        try:
            plug, _ = listener.accept()
        except BlockingIOError:
            return  # another process has it
        self.add(Connection(self, plug))

    def add(self, connection):
        fd = connection.plug.fileno()
        self.connections[fd] = connection
        self.on(fd, lambda: self.serve_connection(fd))

    def serve_connection(self, fd):
        connection = self.connections[fd]
        try:
            goes_on = connection.take()
        except OSError:
            goes_on = False
        if not goes_on:
            self.forget(fd)
        elif self.draining is not None:
            self.hand_over(fd)

    def forget(self, fd):
        self.off(fd)
        self.connections.pop(fd).plug.close()

    def hand_over(self, fd):
        if self.successor is not None:
            connection = self.connections[fd]
            self.successor.sendmsg([connection.data or b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                                                 array.array("i", [fd]))])
            self.forget(fd)

    def hear(self):
        message, fds = self.control.hear()
        if message is None:
            self.drain(None)
            self.off(self.control.socket.fileno())
            return
        getattr(self, "do_" + message["do"].rstrip("?"))(message, fds)

    def drain(self, successor):
        for listener in self.listeners:
            self.off(listener.fileno())
            listener.close()
        self.listeners = []
        self.draining = time.monotonic() + DRAIN
        self.successor = successor
        for fd in list(self.connections):
            self.hand_over(fd) if successor else self.forget(fd)

    def do_drain(self, message, fds):
        self.drain(socket.socket(fileno=fds[0]))

    def do_adopt(self, message, fds):
        predecessor = socket.socket(fileno=fds[0])
        self.on(fds[0], lambda: self.take_over(predecessor))

    def take_over(self, predecessor):
        data, ancillary, _, _ = predecessor.recvmsg(1 << 16, socket.CMSG_SPACE(4))
        if not data:
            self.off(predecessor.fileno())
            predecessor.close()
            return
        fd = array.array("i", ancillary[0][2])[0]
        self.add(Connection(self, socket.socket(fileno=fd), b"" if data == b"\0" else data))

    def do_activity(self, message, fds):
        self.control.tell(do="activity", answering=0, connections=len(self.connections), requests=self.requests,
                          seconds_idle=time.monotonic() - self.last, workers=0)

    def do_idle(self, message, fds):
        if self.connections or not self.leave_idle:
            self.control.tell(do="busy")
        else:
            self.leave()

    def do_stop(self, message, fds):
        self.leave()

    def leave(self, restart=False):
        self.control.tell(do="leaving", restart=restart)
        self.running = False

    def do_complete(self, message, fds):
        self.control.tell(do="words", id=message["id"], words=self.complete(message["line"]))

    def do_run(self, message, fds):
        line = message["line"].strip()
        for name in sorted(self.commands, key=len, reverse=True):
            if line == name or line.startswith(name + " "):
                self.commands[name](line[len(name):].strip())
                break
        else:
            if line == "quit":
                self.leave()
            elif line == "restart":
                self.control.tell(do="restart")
            elif line == "help":
                print("available commands:", " ".join(self.commands), flush=True)
            elif line:
                print(f"unknown command '{line}'", flush=True)
        self.control.tell(do="ran", id=message["id"])
