"""Scripts of quick_server under `quicken serve`, edited, restarted and broken while clients ask: the whole of it, with
nothing stood in for.
"""

import http.client
import json
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import serving

TEXT = """
import os
from quick_server import create_server, has_been_restarted, setup_restart
import version
setup_restart()
server = create_server(('localhost', {port}))
server.suppress_noise = True
server.shutdown_latency = 5

@server.json_get('/version')
def get_version(req, args):
    return [version.VERSION, os.getpid(), has_been_restarted()]

@server.json_post('/echo')
def echo(req, args):
    return args['post']

@server.cmd(argc=1)
def print_it(args):
    print('printed', args[0], version.VERSION, flush=True)

print('port', server.server_port, flush=True)
server.serve_forever()
server.server_close()
"""


class Asker(threading.Thread):
    """Asks until it is told to stop, on one connection or on one each time; what goes wrong is in `errors`."""

    def __init__(self, port, keep_alive):
        super().__init__()
        self.port, self.keep_alive = port, keep_alive
        self.asked, self.errors, self.wanted = 0, [], True
        self.start()

    def run(self):
        connection = None
        while self.wanted:
            try:
                connection = connection or http.client.HTTPConnection("localhost", self.port, timeout=15)
                connection.request("POST", "/echo", json.dumps({"n": self.asked}), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200 or json.loads(body) != {"n": self.asked}:
                    self.errors.append((answer.status, body))
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.errors.append(repr(error))
                connection = None
            self.asked += 1
            if not self.keep_alive and connection is not None:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()


class Live(serving.Case):
    def setUp(self):
        super().setUp()
        with socket.create_server(("localhost", 0)) as free:
            self.port = free.getsockname()[1]
        self.put_version(0)
        self.site = self.script(TEXT.format(port=self.port), head="", served=True)

    def put_version(self, number, more=""):
        """In one step, as editors save."""
        self.bed.write("version.new", f"VERSION = {number}\n{more}")
        os.rename(self.bed.path("version.new"), self.bed.path("version.py"))

    def version(self):
        return json.loads(self.site.ask("/version").body)

    def wait_for(self, number):
        found = harness.wait_until(lambda: self.version()[0] == number and self.version(), 20)
        self.assertTrue(found, (self.version(), self.site.log))
        return found

    def test_edits_under_load(self):
        """A module is edited five times while six clients ask: no request fails."""
        askers = [Asker(self.port, bool(i % 2)) for i in range(6)]
        try:
            for number in range(1, 6):
                self.put_version(number)
                self.wait_for(number)
        finally:
            for asker in askers:
                asker.wanted = False
            for asker in askers:
                asker.join()
        self.assertEqual([], [error for asker in askers for error in asker.errors])
        self.assertTrue(all(asker.asked > 5 for asker in askers), [asker.asked for asker in askers])

    def test_edit_before_it_serves(self):
        """Between the import of a module and the first request: the module is not yet among those that are watched."""
        text = TEXT.format(port=0).replace("server.serve_forever()", "import time; time.sleep(1); server.serve_forever()")
        site = self.script(text, head="", served=True)
        self.put_version(7)
        found = harness.wait_until(lambda: json.loads(site.ask("/version").body)[0] == 7, 20)
        self.assertTrue(found, site.log)

    def of_package(self):
        """A script that answers with what is in part/text.py."""
        return self.script("""
            import part.text
            server.add_text_get_mask('/', lambda req, args: part.text.TEXT)
            serve()
            """, served=True)

    def put_text(self, directory, text):
        os.mkdir(self.bed.path(directory))
        self.bed.write(directory + "/__init__.py", "")
        self.bed.write(directory + "/text.py", f"TEXT = {text!r}\n")

    def assert_answers(self, site, text):
        self.assertTrue(harness.wait_until(lambda: site.ask("/").text == text, 20), (site.ask("/").text, site.log))

    def test_package_that_is_exchanged(self):
        """Moved away, and a moment later another one is in its place; edits of that are seen as well."""
        self.put_text("part", "first")
        self.put_text("new", "second")
        site = self.of_package()
        self.assert_answers(site, "first")
        os.rename(self.bed.path("part"), self.bed.path("old"))
        time.sleep(1)  # it is looked for, and not there
        os.rename(self.bed.path("new"), self.bed.path("part"))
        self.assert_answers(site, "second")
        self.bed.write("part/text.py", "TEXT = 'the third'\n")
        self.assert_answers(site, "the third")

    def test_link_to_another_release(self):
        for release in ("first", "second"):
            self.put_text(release, release)
        os.symlink("first", self.bed.path("part"))
        site = self.of_package()
        self.assert_answers(site, "first")
        os.symlink("second", self.bed.path("link"))
        os.rename(self.bed.path("link"), self.bed.path("part"))
        self.assert_answers(site, "second")
        self.bed.write("second/text.py", "TEXT = 'the third'\n")
        self.assert_answers(site, "the third")

    def test_broken_edit(self):
        """The old code goes on serving, and what is wrong is shown; the next good edit is served."""
        pid = self.version()[1]
        self.put_version(1, "this is no Python\n")
        self.assertTrue(self.site.has_logged("SyntaxError", 15), self.site.log)
        self.assertEqual([0, pid, False], self.version())
        self.put_version(2)
        self.assertTrue(self.wait_for(2)[2])

    def test_prompt(self):
        """Commands run in the process that serves, also after a restart that was typed."""
        pid = self.version()[1]
        self.site.type("print it one")
        self.assertTrue(harness.wait_until(lambda: "printed one 0" in self.site.lines), self.site.lines)
        self.site.type("restart")
        self.assertTrue(harness.wait_until(lambda: self.version()[1] != pid, 20))
        self.assertTrue(self.version()[2])
        self.site.type("print it two")
        self.assertTrue(harness.wait_until(lambda: "printed two 0" in self.site.lines), self.site.lines)
        self.site.type("quit")
        self.assertEqual(0, self.site.end(), self.site.log)

    def test_killed(self):
        """A process that is killed is replaced; the port never closes."""
        pid = self.version()[1]
        os.kill(pid, 9)
        self.assertTrue(harness.wait_until(lambda: self.version()[1] != pid, 20))


if __name__ == "__main__":
    harness.main()
