"""Many connections at once: those that do nothing hold up nobody, and cost little.

The servers are http_echo, the engine with no script behind it, and a script by `quicken serve`.
"""

import contextlib
import os
import resource
import select
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

import harness
import serving
from serve_malformed import GOOD, LAST, TIMEOUT, Server, read_all, take_answers

IDLE = {"idle_timeout": 300, "header_timeout": 300, "handshake_timeout": 300}


def raise_limit(wanted):
    """Descriptors of this process and of those that it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        with contextlib.suppress(PermissionError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
        wanted = hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def memory(pid):
    """Bytes of RAM that the process has."""
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def family(pid):
    """The process and all that have come from it."""
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [pid, *(one for child in children.read().split() for one in family(child))]


class Connections:
    """`serve` starts the server of a test, `serve_tls` one with that certificate; `pids` are its processes."""

    def setUp(self):
        self.connections = contextlib.ExitStack()
        self.addCleanup(self.connections.close)

    def connect(self, server, source="127.0.0.1"):
        return self.connections.enter_context(
            socket.create_connection(("127.0.0.1", server.port), TIMEOUT, (source, 0)))

    def test_idle_tls_connections(self):
        """500 after their handshake, 250 that have sent nothing of it, 250 that are stuck in its middle."""
        raise_limit(4096)
        certificate, key = self.certificate()
        server = self.serve_tls(certificate, key)
        hello = self.hello()
        for i in range(1000):
            connection = self.connect(server)
            if i % 4 == 0:
                connection.sendall(hello[:len(hello) // 2])
            elif i % 4 != 1:
                self.connections.enter_context(self.context.wrap_socket(connection))
        for _ in range(20):
            began = time.monotonic()
            with socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as plain, \
                    self.context.wrap_socket(plain) as connection:
                connection.sendall(LAST)
                self.assertEqual(take_answers(read_all(connection)), (200,))
            # Ten seconds are the handshake's default limit: nobody's has been waited for.
            self.assertLess(time.monotonic() - began, 5)

    def certificate(self):
        directory = self.connections.enter_context(tempfile.TemporaryDirectory())
        names = [os.path.join(directory, name) for name in ("cert.pem", "key.pem")]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=x", "-out", names[0], "-keyout", names[1]],
                       check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.load_verify_locations(names[0])
        return names

    def hello(self):
        """A client's first message."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        with contextlib.suppress(ssl.SSLWantReadError):
            self.context.wrap_bio(incoming, outgoing).do_handshake()
        return outgoing.read()

    def test_ten_thousand_that_keep_alive(self):
        count = 10000
        self.assertGreater(raise_limit(count + 500), count + 100, "RLIMIT_NOFILE does not allow it")
        server = self.serve()
        crowd = []
        for i in range(count):
            # More than one source: there are 28,000 ports to each.
            crowd.append(self.connect(server, f"127.0.0.{1 + i % 4}"))
            crowd[-1].sendall(GOOD)
            if i % 100 == 99:
                for connection in crowd[-100:]:
                    self.assertEqual(take_answers(connection.recv(1 << 16)), (200,))
        used = sum(memory(pid) for pid in self.pids(server))
        print(f"{count} connections: {used / (1 << 20):.0f} MiB", flush=True)
        self.assertLess(used, 200 << 20)
        poll = select.poll()
        for connection in crowd:
            poll.register(connection, select.POLLIN)
        self.assertEqual(poll.poll(0), [], "some were not kept")
        for connection in crowd[::97]:  # they are still served
            connection.sendall(GOOD)
            self.assertEqual(take_answers(connection.recv(1 << 16)), (200,))


class Crowd(Connections, unittest.TestCase):
    def serve(self, *options, **settings):
        server = Server("http_echo", *options, **{**IDLE, **settings})
        self.addCleanup(server.close)
        return server

    def serve_tls(self, certificate, key):
        return self.serve("--certificate", certificate, "--key", key)

    def pids(self, server):
        return [server.process.pid]

    def test_past_the_limit(self):
        server = self.serve(max_connections=50)
        crowd = [self.connect(server) for _ in range(50)]
        for connection in crowd:
            connection.sendall(GOOD)
            self.assertEqual(take_answers(connection.recv(1 << 16)), (200,))
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as connection:
                answer = read_all(connection)
            self.assertEqual(take_answers(answer), (503,))
            self.assertIn(b"\r\nRetry-After: 1\r\n", answer)
            self.assertIn(b"\r\nConnection: close\r\n", answer)
        crowd[0].sendall(GOOD)
        self.assertEqual(take_answers(crowd[0].recv(1 << 16)), (200,))
        crowd[1].close()

        def served():
            with socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as connection:
                connection.sendall(LAST)
                return take_answers(read_all(connection)) == (200,)
        self.assertTrue(harness.wait_until(served, TIMEOUT), "the place of one that has gone is not given away")


class Script(Connections, unittest.TestCase):
    """Answers come from a handler. The supervisor, its client and the script's process are one server."""

    def serve(self, more=""):
        server = serving.Site(more + """
server.add_text_get_mask('/f.txt', lambda req, args: 'content')
server.suppress_noise = True
serve()
""", **IDLE)
        self.addCleanup(server.close)
        return server

    def serve_tls(self, certificate, key):
        return self.serve(f"""
import ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain({certificate!r}, {key!r})
server.socket = context.wrap_socket(server.socket, server_side=True)
""")

    def pids(self, server):
        return {*family(server.process.pid), server.pid}


if __name__ == "__main__":
    harness.main()
