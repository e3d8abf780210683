"""Real programs, as Debian installs them, behave as when run plainly."""

import functools
import http.server
import os
import re
import shutil
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness


def program(name):
    return shutil.which(name, path="/usr/bin:/bin:/usr/local/bin")


def needs(name):
    return unittest.skipUnless(program(name), f"{name} is not installed")


def without_times(result):
    """black tells how long it took, and yt-dlp from where it was loaded."""
    return harness.Result(result.status, re.sub(rb"\d+\.\d+ ?s\b", b"T", result.stdout),
                          re.sub(rb"\d+\.\d+ ?s\b", b"T", result.stderr))


@harness.each_activation
class Programs:
    def same(self, name, *arguments, **options):
        return self.assert_same([program(name), *arguments], **options)

    def introduces_itself(self, name):
        for option in ("--version", "--help"):
            with self.subTest(option=option):
                self.assertEqual(0, self.same(name, option).status)

    @needs("black")
    def test_black_introduces_itself(self):
        self.introduces_itself("black")

    @needs("black")
    def test_black_formats_a_file(self):
        path = self.bed.path("ugly.py")
        formatted = []

        def reset():
            self.bed.write("ugly.py", "x = {  'a':1,\n  'b':2 }\ndef f( a ): return a\n")

        def normal(result):
            with open(path, "rb") as file:
                formatted.append(file.read())
            return without_times(result)

        result = self.same("black", "ugly.py", reset=reset, normal=normal)
        self.assertEqual(0, result.status)
        self.assertEqual(3, len(formatted))
        self.assertEqual(1, len(set(formatted)))
        self.assertIn(b'x = {"a": 1, "b": 2}', formatted[0])

    @needs("black")
    def test_black_reads_standard_input(self):
        result = self.same("black", "-q", "-", stdin=b"x=[1,\n2]\n")
        self.assertEqual(b"x = [1, 2]\n", result.stdout)

    @needs("black")
    def test_black_reports_a_syntax_error(self):
        self.assertEqual(123, self.same("black", "--check", "-c", "def (", normal=without_times).status)

    @needs("pylint")
    def test_pylint_introduces_itself(self):
        self.introduces_itself("pylint")

    @needs("pylint")
    def test_pylint_lints_a_file(self):
        self.bed.write("bad.py", "import os\ndef f(x):\n    return y\n")
        # Its cache of earlier scores is part of its output.
        result = self.same("pylint", "bad.py",
                           reset=lambda: shutil.rmtree(os.path.join(self.bed.home, ".cache"), ignore_errors=True))
        self.assertIn(b"undefined-variable", result.stdout)
        self.assertNotEqual(0, result.status)

    @needs("hg")
    def test_hg_introduces_itself(self):
        self.introduces_itself("hg")

    @needs("hg")
    def test_hg_keeps_a_repository(self):
        """The same history, to the hash, comes of the same commands."""
        repository = self.bed.path("r")
        hg = program("hg")
        steps = (["init", repository], ["add", "-R", repository, repository + "/a.txt"],
                 ["status", "-R", repository],
                 ["commit", "-R", repository, "-m", "first", "-u", "me", "-d", "0 0"],
                 ["log", "-R", repository], ["status", "-R", repository, "-A"], ["log", "-R", "/nonexistent"])

        def work(run):
            shutil.rmtree(repository, ignore_errors=True)
            results = []
            for step in steps:
                results.append(run([hg, *step]))
                if step[0] == "init":
                    self.bed.write("r/a.txt", "hello\n")
            return results

        expected = work(self.bed.run)
        self.assertEqual([0] * 6, [result.status for result in expected[:6]])
        self.assertIn(b"first", expected[4].stdout)
        self.assertEqual(expected, work(self.bed.quick), "cold")
        before = self.bed.commands_run(hg)
        self.assertEqual(expected, work(self.bed.quick), "warm")
        self.assert_count(before + len(steps), lambda: self.bed.commands_run(hg), "not all runs were the server's")

    @needs("yt-dlp")
    def test_yt_dlp_introduces_itself(self):
        self.introduces_itself("yt-dlp")

    @needs("yt-dlp")
    def test_yt_dlp_lists_its_extractors(self):
        result = self.same("yt-dlp", "--list-extractors")
        self.assertGreater(result.stdout.count(b"\n"), 1000)

    @needs("yt-dlp")
    def test_yt_dlp_refuses_a_local_file(self):
        self.bed.write("clip.mp4", b"not really")
        result = self.same("yt-dlp", "--no-update", "file://" + self.bed.path("clip.mp4"))
        self.assertIn(b"ERROR", result.stderr)
        self.assertEqual(1, result.status)

    @needs("http")
    def test_http_introduces_itself(self):
        self.introduces_itself("http")

    @needs("http")
    def test_http_gets_a_page(self):
        self.bed.write("page.json", '{"a": [1, 2, {"b": null}]}\n')

        class Handler(http.server.SimpleHTTPRequestHandler):
            def date_time_string(self, timestamp=None):
                return "Thu, 01 Jan 1970 00:00:00 GMT"

            def log_message(self, *_):
                pass

        handler = functools.partial(Handler, directory=self.bed.work)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.addCleanup(server.server_close)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.shutdown)
        address = f"http://127.0.0.1:{server.server_port}"
        result = self.same("http", "--ignore-stdin", "--print=hb", "GET", address + "/page.json")
        self.assertIn(b'"b": null', result.stdout)
        self.same("http", "--ignore-stdin", "--check-status", "GET", address + "/missing")

    def test_numpy_and_pandas(self):
        if self.bed.run([harness.PYTHON, "-c", "import pandas"]).status:
            self.skipTest("pandas is not installed")
        script = self.bed.write("table.py", """
            import sys
            import numpy as np
            import pandas as pd
            if __name__ == '__main__':
                n = int(sys.argv[1])
                table = pd.DataFrame({'k': np.arange(n) % 3, 'v': np.arange(n) ** 2})
                print(table.groupby('k').agg(['sum', 'mean', 'count']))
                table.to_csv(sys.stdout, index=False)
                print(np.linalg.det(np.eye(4) * 2))
        """)
        for n in ("5", "1000"):
            with self.subTest(n=n):
                self.assertEqual(0, self.assert_same([script, n]).status)


if __name__ == "__main__":
    harness.main()
