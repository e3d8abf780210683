"""`quickenctl explain` and `verify`: what a server says of its templates, whether a quickened run is a plain one."""

import json
import os
import py_compile
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import pythons
import template

MAIN = "if __name__ == '__main__':\n    "
REPORT_KEYS = {"prelude_seconds", "modules", "imports", "left"}
SECTION_KEYS = {"rung", "reason", "variables", "whole_environment", "terminal", "size", "cwd", "argv0",
                "modules_in_advance", "files", "directories", "absent",
                "checked_by_stat", "commands_run"} | REPORT_KEYS
EXPLAIN_KEYS = {"status", "name", "state", "reason", "commands_run", "changes", "blind", "made_stale", "templates",
                "given_up", "rung", "interpreter"}
HOOKED = "'quicken-interp' in open('/proc/self/maps').read()"  # true in a quickened run
DEBIAN = {"black": ["--version"], "hg": ["--version"]}


class Report(harness.Case):
    """The template's record for people."""

    def report(self, prelude, **options):
        script = self.bed.write("script.py", prelude + "\n" + MAIN + "pass\n")
        try:
            others = template.trace_of(self.bed, script, **options).others
        except template.Unfit as unfit:
            others = unfit.trace.others
        (text,) = [text for kind, text in others if kind == template.REPORT]
        return json.loads(text)

    def test_prelude(self):
        self.bed.write("slow.py", "import time\nimport nested\ntime.sleep(0.05)\n")
        self.bed.write("nested.py", "import time\ntime.sleep(0.2)\n")
        for version, python in sorted(pythons.pythons().items()):
            with self.subTest(version):
                started = time.monotonic()
                report = self.report("import os, signal, slow\nos.environ['SET'] = 'ä\"'\nos.environ.pop('GONE')\n"
                                     "os.environb[b'ODD'] = b'\\xff'\n"
                                     "def handler(*args): pass\nsignal.signal(signal.SIGTERM, handler)\n"
                                     "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n",
                                     env={"GONE": "x"}, python=python)
                whole = time.monotonic() - started
                self.assertEqual(REPORT_KEYS, report.keys())
                self.assertEqual({"SET": [None, 'ä"'], "GONE": ["x", None], "ODD": [None, "\\udcff"]},
                                 report["left"]["environment"])
                self.assertEqual({"SIGTERM": "handler", "SIGPIPE": "default"}, report["left"]["signals"])
                seconds = dict(report["imports"])
                self.assertTrue(0.2 <= seconds["nested"] < whole, seconds)
                self.assertTrue(0.05 <= seconds["slow"] < 0.2, seconds)  # without nested
                self.assertEqual("nested", report["imports"][0][0])
                self.assertTrue(0.25 <= report["prelude_seconds"] <= whole, (report["prelude_seconds"], whole))
                self.assertGreater(report["modules"], 20)

    def test_extension_modules(self):
        for version, python in sorted(pythons.pythons().items()):
            with self.subTest(version):
                code = "import _ctypes; print(getattr(_ctypes, '__file__', ''))"
                if subprocess.run([python, "-c", code], capture_output=True).stdout.strip():
                    self.assertIn("_ctypes", dict(self.report("import _ctypes", python=python)["imports"]))

    def test_given_up(self):
        """Also a template that serves nobody says what it has read, up to where it was."""
        report = self.report("import threading, time\n"
                             "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()")
        self.assertEqual(1, report["left"]["threads"])
        for prelude in ("import sys, json\nA = sys.argv[1:]", "import os, json\nos.mkdir('made')", "import json\n1 / 0",
                        "import json, os\nos.umask(0)"):
            with self.subTest(prelude):
                self.assertIn("json", dict(self.report(prelude)["imports"]))

    def test_nothing_is_seen(self):
        """The methods that were timed are as they were; no frame of ours is in a traceback or counts for a warning."""
        self.bed.write("fails.py", "def f():\n    raise ValueError('x')\nf()\n")
        self.bed.write("broken.py", "import nowhere_at_all\n")
        self.bed.write("syntax.py", "a b\n")
        self.bed.write("warns.py", "import warnings\nwarnings.warn('old', stacklevel=2)\n")
        script = self.bed.write("script.py", """
            import importlib.machinery, sys, traceback, warnings
            TEXTS = []
            for name in ('fails', 'broken', 'syntax'):
                try:
                    __import__(name)
                except Exception:
                    TEXTS.append(traceback.format_exc())
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter('always')
                import warns
            TEXTS += [(w.filename, w.lineno) for w in caught]
            if __name__ == '__main__':
                print(*TEXTS, sep='\\n')
                for loader in ('SourceFileLoader', 'SourcelessFileLoader', 'ExtensionFileLoader'):
                    kind = getattr(importlib.machinery, loader)
                    for name in ('exec_module', 'create_module'):
                        print(sorted(kind.__dict__), getattr(kind, name).__code__.co_firstlineno)
        """)
        for version, python in sorted(pythons.pythons().items()):
            with self.subTest(version):
                self.assert_same([script], python=python, plain=[python, script])


class Explain(harness.Case):

    def explain(self, script, *options, env=None):
        result = self.bed.ctl("explain", script, "--json", *options, env=env)
        self.assertEqual((0, b""), (result.status, result.stderr))
        return json.loads(result.stdout)

    def test_keys(self):
        read = self.bed.write("read.txt", "")
        script = self.bed.write("script.py", f"""
            import os, json
            open({read!r}).close()
            try: import not_there
            except ImportError: pass
            A = os.environ.get('VAR'), os.environ.get('MY_API_KEY'), os.environ.get('UNSET')
            os.environ['X_PASSWORD'] = 'secret'
            if __name__ == '__main__': pass
        """)
        env = {"VAR": "one", "MY_API_KEY": "secret"}
        self.bed.quick([script], env=env)
        self.bed.quick([script], env=env)
        harness.wait_until(lambda: self.bed.commands_run(script) == 2)
        everything = self.explain(script, env=env)
        self.assertLessEqual(EXPLAIN_KEYS, everything.keys())
        self.assertEqual(("up", "ready", 2, "inotify", "", [], []),
                         tuple(everything[key] for key in ("status", "state", "commands_run", "changes", "blind",
                                                           "made_stale", "given_up")))
        (section,) = everything["templates"]
        self.assertEqual(SECTION_KEYS, section.keys())
        self.assertEqual(("prelude", "", False, 0), (section["rung"], section["reason"], section["whole_environment"],
                                                     section["left"]["threads"]))
        read_variables = {"VAR": "one", "MY_API_KEY": "(hidden)", "UNSET": None}
        self.assertLessEqual(read_variables.items(), section["variables"].items())
        self.assertEqual({"X_PASSWORD": [None, "(hidden)"]}, section["left"]["environment"])
        shown = self.explain(script, "--show-secrets", "--files")["templates"][0]
        self.assertEqual(("secret", [None, "secret"]), (shown["variables"]["MY_API_KEY"],
                                                        shown["left"]["environment"]["X_PASSWORD"]))
        self.assertIn(read, shown["paths"]["files"])
        self.assertIn(self.bed.path("not_there"), shown["paths"]["absent"])
        self.assertIn(self.bed.work, shown["paths"]["directories"])
        for key in ("files", "directories", "absent"):
            self.assertEqual(len(shown["paths"][key]), section[key])
        text = self.bed.ctl("explain", "--file", script, "--files")
        for part in (read, "VAR=one", "MY_API_KEY=(hidden)", "after the prelude", "told by inotify", "X_PASSWORD"):
            self.assertIn(part, text.stdout.decode())
        self.assertNotIn(b"secret", text.stdout)

    def test_why_not_the_prelude(self):
        script = self.bed.write("script.py", f"import os, sys\nA = sys.argv[1:]\nB = dict(os.environ)\n{MAIN}pass\n")
        self.bed.quick([script])
        everything = self.explain(script)
        why = "the prelude reads sys.argv"
        self.assertEqual([("interpreter", why)], [(each["rung"], each["reason"]) for each in everything["templates"]])
        (given_up,) = everything["given_up"]
        self.assertEqual(("prelude", why, True), (given_up["rung"], given_up["reason"], given_up["whole_environment"]))
        self.assertEqual(self.bed.home, given_up["variables"]["HOME"])
        for command in ("explain", "status"):
            self.assertIn(f"after the interpreter ({why})", self.bed.ctl(command, "--file", script).stdout.decode())

    def test_nothing_serves(self):
        script = self.bed.write("script.py", b"print(1)\0")
        self.bed.quick([script])
        everything = self.explain(script)
        self.assertEqual("refusing", everything["state"])
        self.assertEqual([], everything["templates"])
        self.assertEqual([(rung, "a script with NUL bytes") for rung in ("prelude", "interpreter")],
                         [(each["rung"], each["reason"].rpartition(": ")[2]) for each in everything["given_up"]])

    def test_after_a_better_template(self):
        """What has given up is told of the last way down only."""
        script = self.bed.write("script.py", f"import sys\nA = sys.argv[1:]\n{MAIN}pass\n")
        self.bed.quick([script])
        self.assertEqual(1, len(self.explain(script)["given_up"]))
        self.bed.write("script.py", f"{MAIN}pass\n")
        self.bed.quick([script])
        everything = self.explain(script)
        self.assertEqual(["prelude"], [each["rung"] for each in everything["templates"]])
        self.assertEqual([], everything["given_up"])

    def test_made_stale(self):
        """The last ten, the newest first."""
        script = self.bed.write("script.py", f"import first, second\n{MAIN}pass\n")
        names = ["first.py", "second.py"] * 6
        for number, name in enumerate(["first.py", *names]):
            self.bed.write("second.py" if number == 0 else name, f"A = {number}\n")
            self.bed.write(name, f"A = {number}\n")
            self.bed.quick([script])
        events = self.explain(script)["made_stale"]
        expected = [f"{self.bed.path(name)} has changed" for name in reversed(names)][:10]
        self.assertEqual(expected, [event["reason"] for event in events])
        times = [event["time"] for event in events]
        self.assertEqual(sorted(times, reverse=True), times)
        self.assertLess(abs(times[0] - time.time()), 60)

    def test_names_of_any_bytes(self):
        script = self.bed.write("script.py", f"import os\nA = os.environb.get(b'ODD')\n{MAIN}pass\n")
        name = os.fsencode(self.bed.work) + b"/odd\xff.py"
        os.rename(script, name)
        env = {"ODD": "a\udcff\"\n"}
        self.bed.quick([os.fsdecode(name)], env=env)
        section = self.explain(os.fsdecode(name), "--files", env=env)["templates"][0]
        self.assertEqual("a�\"\n", section["variables"]["ODD"])
        self.assertIn(self.bed.path("odd�.py"), section["paths"]["files"])

    def test_no_server(self):
        script = self.bed.write("script.py", MAIN + "pass\n")
        result = self.bed.ctl("explain", script)
        self.assertEqual(1, result.status)
        self.assertIn(b"down", result.stdout)
        result = self.bed.ctl("explain", "--json", script)
        self.assertEqual((1, {"status": "down"}), (result.status, json.loads(result.stdout)))
        self.assertEqual(set(), self.bed.processes())
        for wrong in ([], ["--nothing", script], [script, "more"], [script, "-m", "json"]):
            self.assertEqual(2, self.bed.ctl("explain", *wrong).status, wrong)


class Verify(harness.Case):

    def verify(self, *arguments, status=0, cwd=None, env=None):
        result = self.bed.ctl("verify", *arguments, cwd=cwd, env=env)
        self.assertEqual(status, result.status, result)
        self.assertEqual(set(), self.scratch() - self.before)
        return result.stdout.decode()

    def setUp(self):
        super().setUp()
        self.before = self.scratch()

    @staticmethod
    def scratch():
        return {name for name in os.listdir("/tmp") if name.startswith("quicken-verify.")}

    def differs(self, main, *parts, arguments=()):
        script = self.bed.write("script.py", f"import os, sys\n{MAIN}WARM = {HOOKED}\n    {main}\n")
        text = self.verify(script, "--", *arguments, status=1)
        for part in parts:
            self.assertIn(part, text)
        self.assertIn("different: 2 plain runs, 3 quickened, 3 of them served", text)

    def test_equal(self):
        """Arguments, input, the content of the directory, and what is written there; found by a relative path."""
        os.mkdir(self.bed.path("content"))
        self.bed.write("content/given", "given", 0o640)
        os.symlink("given", self.bed.path("content/link"))
        self.bed.write("in.txt", "input")
        script = self.bed.write("script.py", f"""
            import os, sys
            if __name__ == '__main__':
                assert sorted(os.listdir()) == ['given', 'link'] and os.readlink('link') == 'given'
                assert os.environ['PWD'] == os.getcwd() and os.stat('given').st_mode & 0o777 == 0o640
                print(sys.argv[1:], sys.stdin.read(), open('given').read(), os.getcwd())
                print('error', file=sys.stderr)
                os.makedirs('a/b', 0o500)
                open('given', 'a').write('more')
                os.unlink('link')
                sys.exit(3)
        """)
        text = self.verify("--input", "in.txt", "--directory", "content", "--runs", "2",
                           "script.py", "--", "--", "-x", "--json")
        self.assertEqual("equal: 2 plain runs, 2 quickened, 2 of them served by a template after the prelude\n", text)
        self.assertEqual("given", open(self.bed.path("content/given")).read())
        self.assertEqual("down", self.bed.status(script)["status"])  # what it has started it stops
        self.bed.quick([script])
        pid = self.bed.server_pid(script)
        self.verify("--input", "in.txt", "--directory", "content", script)
        self.assertEqual(pid, self.bed.server_pid(script))

    def test_differences(self):
        self.differs("print('a'); print('warm' if WARM else 'plain'); print('b')",
                     "standard output: differs in quickened run 1, 2, 3\n--- plain\n+++ quickened\n@@ line 2 @@\n"
                     " a\n-plain\n+warm\n b\n")
        self.differs("print('warm' if WARM else 'plain', file=sys.stderr)", "standard error: differs",
                     "-plain\n+warm\n")
        self.differs("sys.exit(4 if WARM else 5)", "ending: differs", "-exit status 5\n+exit status 4\n")
        self.differs("WARM and os.kill(os.getpid(), 15)", "-exit status 0\n+killed by SIGTERM\n")
        self.differs("open('f', 'w').write('x' * WARM)", "file f: differs")
        self.differs("os.close(os.open('f', os.O_CREAT, 0o600 if WARM else 0o644))", "-a file, mode 644",
                     "+a file, mode 600")
        self.differs("(os.mkdir if WARM else os.mkfifo)('f')", "-a FIFO", "+a directory")
        self.differs("WARM and os.mkdir('f')", "file f: differs", "only there after a quickened run")
        self.differs("WARM or os.mkdir('f')", "file f: differs", "only there after a plain run")
        self.differs("os.symlink('there' if WARM else 'here', 'f')", "+a symbolic link, mode 777, to there")
        self.differs("print('x', end='' if WARM else chr(10))", "no newline at the end")

    def test_by_chance(self):
        script = self.bed.write("script.py", f"""
            import os, time
            if __name__ == '__main__':
                print(time.time_ns())
                os.mkdir(f'd{{os.getpid()}}')
                open(f'd{{os.getpid()}}/same', 'w').close()
        """)
        text = self.verify(script)
        self.assertIn("standard output: differs between plain runs too\n", text)
        self.assertIn("equal: ", text)
        # What they share with one another counts all the same.
        self.differs("print(os.getpid()); open('f' + str(os.getpid()), 'w'); open('g', 'w').write(str(WARM))",
                     "file g: differs", "standard output: differs between plain runs too")

    def test_plain_in_truth(self):
        refused = self.bed.path("script.pyc")
        py_compile.compile(self.bed.write("script.py", "print(1)\n"), refused)
        text = self.verify("--python", sys.executable, refused)
        for run in (1, 2, 3):
            said = f"quickened run {run} was in truth a plain one (before the program: Unfit: a compiled script)\n"
            self.assertIn(said, text)
        self.assertIn("equal: 2 plain runs, 3 quickened, 0 of them served", text)
        served = self.bed.write("served.py", MAIN + "print(1)\n")
        text = self.verify(served, env={"QUICKEN_VERBOSE": "1", "QUICKEN_DISABLE": "1"})
        self.assertIn("equal: 2 plain runs, 3 quickened, 3 of them served", text)

    def test_time_out(self):
        script = self.bed.write("script.py", f"import time\n{MAIN}if {HOOKED}: time.sleep(300)\n")
        text = self.verify("--timeout", "2", "--runs", "1", script, status=1)
        self.assertIn("-exit status 0\n+ended by verify after 2 s\n", text)
        self.assertEqual(set(), self.bed.processes())
        script = self.bed.write("slow.py", f"import time\n{MAIN}time.sleep(300)\n")
        result = self.bed.ctl("verify", "--timeout", "1", script)
        self.assertEqual((1, b"quickenctl verify: a plain run takes longer than 1 s (--timeout)\n"),
                         (result.status, result.stderr))
        self.assertEqual("", self.running(script))

    @staticmethod
    def running(script):
        pattern = "[" + script[0] + "]" + script[1:]  # not pgrep itself
        return subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True).stdout

    def test_interrupted(self):
        script = self.bed.write("script.py", f"import time\n{MAIN}time.sleep(300)\n")
        for number in (signal.SIGINT, signal.SIGTERM):
            process = subprocess.Popen([harness.QUICKENCTL, "verify", script], env=self.bed.env(), cwd=self.bed.work)
            self.assertTrue(harness.wait_until(lambda: self.running("/usr/bin/python3 " + script)))
            process.send_signal(number)
            self.assertEqual(-number, process.wait(harness.TIMEOUT))
            self.assertEqual(set(), self.scratch() - self.before)
            self.assertEqual("", self.running("/usr/bin/python3 " + script))

    def test_forms(self):
        self.verify("-m", "json.tool", "--", "--help")
        self.verify("--entry", "json.tool:main", "--", "--help")
        for wrong in ([], ["--instance", "ab"], ["x.py", "more"], ["--runs", "0", "x.py"], ["--timeout", "x", "x.py"]):
            self.verify(*wrong, status=2)
        for missing in (["nowhere.py"], ["--input", "nowhere", __file__], ["--directory", "nowhere", __file__]):
            self.verify(*missing, status=1)


@harness.each_activation
class Programs:
    """Real ones of Debian, however servers are started."""

    def test_nothing_is_left(self):
        """Of a server that verify has started itself."""
        script = self.bed.write("script.py", MAIN + "print(1)\n")
        result = self.bed.run([harness.QUICKEN, "verify", script])
        self.assertIn(b"equal: 2 plain runs, 3 quickened, 3 of them served", result.stdout, result)
        self.assertTrue(harness.wait_until(lambda: not self.bed.leftovers()), self.bed.leftovers())

    def test_debian(self):
        numpy = self.bed.write("table.py", f"import numpy\n{MAIN}print(numpy.arange(6).reshape(2, 3) * 2)\n")
        programs = {f"/usr/bin/{name}": arguments for name, arguments in DEBIAN.items()}
        for path, arguments in [*programs.items(), (numpy, [])]:
            with self.subTest(path):
                if not os.path.exists(path):
                    self.skipTest(path + " is not installed")
                self.bed.quick([path, *arguments])
                everything = json.loads(self.bed.ctl("explain", path, "--json").stdout)
                (section,) = everything["templates"]
                self.assertEqual("prelude", section["rung"], section["reason"])
                self.assertGreater(section["files"], 20)
                # hg imports when a name is first used: mostly after its fork point.
                self.assertTrue(path.endswith("hg") or len(section["imports"]) > 10, section["imports"])
                text = self.bed.ctl("explain", path).stdout.decode()
                self.assertIn(f"saves         {section['prelude_seconds'] * 1e3:.1f} ms a run", text)
                result = self.bed.ctl("verify", path, "--", *arguments)
                expected = b"equal: 2 plain runs, 3 quickened, 3 of them served by a template after the prelude\n"
                self.assertEqual(expected, result.stdout, result)


if __name__ == "__main__":
    harness.main()
