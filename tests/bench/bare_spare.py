"""bare_spare.py SOCKET SCRIPT - the least that a server of warm Python can be.

Runs all of SCRIPT but its main(), then keeps two forks of that waiting for a
floor-client each. The fork runs main() with the client's streams, arguments,
environment, reports its status itself and ends once the client has. That is
all: no terminal, no signals, no freshness, no directory, and no page is made
ready in advance. Ends with the process that started it.
"""

import array
import ctypes
import gc
import os
import signal
import socket
import struct
import sys
import time

SPARES = 2
HEADER = struct.Struct("=II")  # floor/message.hpp
PR_SET_PDEATHSIG = 1


def receive(connection):
    """Arguments, environment, descriptors of a request."""
    data, control, _, _ = connection.recvmsg(1 << 16, socket.CMSG_SPACE(12))
    fds = array.array("i", control[0][2][:12])
    argc, length = HEADER.unpack_from(data)
    body = bytearray(data[HEADER.size:])
    while len(body) < length:
        body += connection.recv(1 << 16)
    strings = bytes(body).split(b"\0")
    return strings[:argc], strings[argc:-1], fds


def serve(listener, main):
    connection, _ = listener.accept()
    listener.close()
    arguments, environment, fds = receive(connection)
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
        os.close(fd)
    sys.argv[:] = [os.fsdecode(text) for text in arguments]
    os.environ.clear()
    os.environ.update(os.fsdecode(text).split("=", 1) for text in environment)
    main()
    sys.stdout.flush()
    connection.sendall(struct.pack("=i", 0))
    connection.recv(1)  # the end of the client
    time.sleep(0.003)  # what this process leaves to the kernel is not to disturb whoever waited for it
    os._exit(0)


def end_with(parent):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def main():
    end_with(os.getppid())
    path, script = sys.argv[1:]
    with open(script) as file:
        code = compile(file.read(), script, "exec")
    names = {"__name__": "prelude", "__builtins__": __builtins__}
    exec(code, names)
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(128)
    parent, spares = os.getpid(), 0
    while True:
        while spares < SPARES:
            if os.fork() == 0:
                end_with(parent)
                serve(listener, names["main"])
            spares += 1
        os.wait()
        spares -= 1


if __name__ == "__main__":
    main()
