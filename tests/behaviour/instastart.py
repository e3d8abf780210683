"""instastart: `python3 script.py` is as with INSTA_DISABLE, and from its second run on a server's.

What is printed, exit statuses, and on a terminal screens and settings are compared with those of the same command line
under INSTA_DISABLE=yes.
"""

import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import pythons
import screen
import terminal
from terminal import AT, C_C, PROMPT, STARTED, file_has, make_file

PACKAGES = os.path.join(harness.PREFIX, "share", "quicken", "python")
IMPORT = "from instastart.auto import start, done, serve\n"

# A line that tells a fork of a template from all else: there the prelude's pid is another.
FORKED = "import os\nPRELUDE = os.getpid()\ndef forked(): return PRELUDE != os.getpid()\n"


class Insta(harness.Case):
    def setUp(self):
        super().setUp()
        self.bed.environment["PYTHONPATH"] = PACKAGES

    def run_script(self, argv, python=harness.PYTHON, options=(), **more):
        return self.bed.run([python, *options, *argv], **more)

    def select(self, script, python=harness.PYTHON, options=()):
        return ["--file", script, "--python", python, "--fork-point", "start",
                *("--python-option=" + each for each in options)]

    def status(self, script, **more):
        result = self.bed.ctl("status", "--json", *self.select(script, **more))
        return json.loads(result.stdout)

    def compare(self, argv, python=harness.PYTHON, options=(), served=True, rung="prelude", env=None, **more):
        """Disabled, cold and warm, the same; and the warm one the server's."""
        expected = self.run_script(argv, python, options, env=dict(env or {}, INSTA_DISABLE="yes"), **more)
        self.assert_result(expected, self.run_script(argv, python, options, env=env, **more), "cold")
        select = dict(python=python, options=options)
        before = int(self.status(argv[0], **select).get("commands_run") or 0) if served else 0
        self.assert_result(expected, self.run_script(argv, python, options, env=env, **more), "warm")
        if served:
            self.assert_count(before + 1, lambda: int(self.status(argv[0], **select).get("commands_run") or 0),
                              "the warm run was not the server's")
            self.assertEqual(rung, self.status(argv[0], **select)["rung"], self.status(argv[0], **select))
        return expected

    def is_forked(self, argv, **more):
        """What the script's last line says of its second run: forked()."""
        self.run_script(argv, **more)
        result = self.run_script(argv, **more)
        self.assertIn(result.stdout.splitlines()[-1:], ([b"True"], [b"False"]), result)
        return result.stdout.splitlines()[-1] == b"True"


class Settings(Insta):
    def script(self):
        return self.bed.write("fast.py", IMPORT + "start()\nprint('out')\n")

    def test_stop(self):
        script = self.script()
        self.run_script([script])
        self.assertTrue(self.bed.processes())
        result = self.run_script([script], env={"INSTA_CMD": "stop"})
        self.assertEqual((0, b""), (result.status, result.stderr))
        self.assertNotIn(b"out", result.stdout)
        self.assertEqual([], self.bed.leftovers())
        again = self.run_script([script], env={"INSTA_CMD": "stop"})
        self.assertEqual((0, b""), (again.status, again.stderr))
        self.assertEqual(set(), self.bed.processes())

    def test_stop_is_of_this_interpreter(self):
        script = self.script()
        self.run_script([script])
        self.run_script([script], options=["-O"])
        self.run_script([script], options=["-O"], env={"INSTA_CMD": "stop"})
        self.assertEqual("inactive", "inactive" if not self.status(script, options=["-O"]).get("pid") else "active")
        self.assertTrue(self.status(script).get("pid"))

    def test_another_command(self):
        result = self.run_script([self.script()], env={"INSTA_CMD": "start"})
        self.assertEqual((1, b""), (result.status, result.stdout))
        self.assertIn(b"INSTA_CMD", result.stderr)

    def test_disabled(self):
        self.run_script([self.script()], env={"INSTA_DISABLE": "yes"})
        self.run_script([self.script()], env={"QUICKEN_DISABLE": "1"})
        self.assertEqual(set(), self.bed.processes())

    def test_timeout(self):
        for seconds in "0", "0.3":
            with self.subTest(seconds=seconds):
                for _ in range(3):
                    self.assertEqual(harness.Result(0, b"out\n", b""),
                                     self.run_script([self.script()], env={"INSTA_TIMEOUT": seconds}))
                self.assertTrue(harness.wait_until(lambda: not self.bed.processes(), 5))
                self.assertEqual([], self.bed.leftovers())

    def test_a_longer_timeout(self):
        self.run_script([self.script()], env={"INSTA_TIMEOUT": "30"})
        time.sleep(0.5)
        self.assertTrue(self.bed.processes())

    def test_edits(self):
        self.bed.write("part.py", "WORD = 'one'\n")
        script = self.bed.write("fast.py", IMPORT + "import part\ndef f():\n    start()\n    print(part.WORD)\nf()\n")
        self.assertEqual(b"one\n", self.compare([script]).stdout)
        self.bed.write("part.py", "WORD = 'three'\n")
        self.assertEqual(b"three\n", self.compare([script]).stdout)
        self.bed.write("fast.py", IMPORT + "import part\nstart()\nprint(part.WORD * 2)\n")
        self.assertEqual(b"threethree\n", self.compare([script]).stdout)
        self.bed.write("fast.py", IMPORT + "start(\n")
        self.assertIn(b"SyntaxError", self.compare([script], served=False).stderr)


class ThroughSystemd(Insta):
    activation = "systemd"

    def test_served_and_stopped(self):
        script = self.bed.write("fast.py", IMPORT + "start()\nprint('out', flush=True)\ndone()\nprint('later')\n")
        self.compare([script])
        self.assertEqual(0, self.run_script([script], env={"INSTA_CMD": "stop"}).status)
        self.assertEqual([], self.bed.leftovers())


ABOUT = IMPORT + """
import sys, os, signal
def main():
    start()
    status = [line for line in open('/proc/self/status') if line.startswith(('SigIgn', 'SigBlk', 'SigCgt'))]
    print(sys.argv, list(sys.flags), sys.warnoptions, sorted(sys._xoptions), sys.executable, sys.prefix, __file__)
    print(sorted(os.environ.items()), status, getattr(sys, 'orig_argv', None), sys.path, os.getcwd())
    print(sys.stdout.encoding, sys.stdout.errors, sys.getfilesystemencoding(), 'instastart.auto' in sys.modules)
    print(open('/proc/self/cmdline').read(), sorted(os.listdir('/proc/self/fd'))[:-1], sorted(dir(__builtins__)))
main()
"""


def as_enabled(result):
    """INSTA_DISABLE is a variable that a program sees, too."""
    return result._replace(stdout=result.stdout.replace(b"('INSTA_DISABLE', 'yes')", b"('INSTA_DISABLE', '0')"))


class Surroundings(Insta):
    """The interpreter that was asked for, as it would be, and nothing of ours to be seen."""

    def test_options(self):
        script = self.bed.write("about.py", ABOUT)
        for options in ([], ["-O"], ["-OO", "-B"], ["-X", "dev"], ["-Xutf8"], ["-W", "error", "-Wdefault"],
                        ["-bb", "-s"], ["-u"], ["-OBWignore"], ["-OX", "dev"]):
            with self.subTest(options=options):
                self.compare([script, "-x", "a b", ""], options=options, env={"INSTA_DISABLE": "0"})

    def compare(self, argv, env=None, **more):
        run = self.run_script
        self.run_script = lambda *a, **o: as_enabled(run(*a, **o))
        try:
            return super().compare(argv, env=env, **more)
        finally:
            self.run_script = run

    def test_environments(self):
        script = self.bed.write("about.py", ABOUT)
        for env in ({"LANG": None}, {"LANG": "C"}, {"LC_ALL": "C"}, {"LANG": None, "LC_CTYPE": "C.UTF-8"},
                    {"PYTHONUTF8": "1"}, {"PYTHONDONTWRITEBYTECODE": "1"}, {"A": "", "PYTHONOPTIMIZE": "2"}):
            with self.subTest(env=env):
                self.compare_in(script, dict(env, INSTA_DISABLE="0"))

    def compare_in(self, script, env):
        """As compare(), where the server is another because of the environment."""
        expected = as_enabled(self.run_script([script], env=dict(env, INSTA_DISABLE="yes")))
        for what in "cold", "warm":
            self.assert_result(expected, self.run_script([script], env=env), what)

    def test_ignored_signals(self):
        script = self.bed.write("about.py", ABOUT)
        expected = None
        for disable in "yes", "0", "0":
            line = f"trap '' INT HUP; exec {harness.PYTHON} {script}"
            result = as_enabled(self.bed.run(["sh", "-c", line], env={"INSTA_DISABLE": disable}))
            expected = expected or result
            self.assert_result(expected, result, disable)

    def test_plain_fallback(self):
        """Refused by quicken it is run by the same interpreter, once, with nothing of the way to be seen."""
        script = self.bed.write("about.py", ABOUT)
        env = {"QUICKEN_ACTIVATION": "none"}
        expected = self.run_script([script, "x"], env=dict(env, INSTA_DISABLE="yes"))
        self.assert_result(as_enabled(expected), self.run_script([script, "x"], env=dict(env, INSTA_DISABLE="0")), "")

    def test_virtual_environments(self):
        """Each has a server."""
        script = self.bed.write("fast.py", IMPORT + "import sys\nstart()\nprint(sys.prefix)\n")
        for name in "one", "two":
            venv = self.bed.path(name)
            subprocess.run([harness.PYTHON, "-m", "venv", "--without-pip", venv], check=True)
            python = os.path.join(venv, "bin", "python")
            self.assertEqual(venv.encode() + b"\n", self.compare([script], python=python).stdout)
        pids = {self.status(script, python=self.bed.path(f"{name}/bin/python"))["pid"] for name in ("one", "two")}
        self.assertEqual(2, len(pids))

    def test_not_installed(self):
        """The packages alone, as of a wheel: plain, unless the client, and no script of its name, is on PATH."""
        packages = self.bed.path("packages")
        shutil.copytree(PACKAGES, packages)
        script = self.bed.write("fast.py", IMPORT + FORKED + "start()\nprint(forked())\n")
        os.mkdir(self.bed.path("bin"))
        self.bed.write("bin/quicken", "#!/bin/sh\necho wrong\n", 0o755)
        for path, expected in ((harness.PATH, False), (self.bed.path("bin") + ":" + harness.PATH, False),
                               (os.path.dirname(harness.QUICKEN) + ":" + harness.PATH, True)):
            with self.subTest(path=path):
                self.assertEqual(expected, self.is_forked([script], env={"PYTHONPATH": packages, "PATH": path}))

    def test_what_is_no_script(self):
        """-c, standard input, interactive mode, a debugger, and an import by somebody's call: plain, and the same."""
        self.bed.write("fast.py", IMPORT + FORKED + "start()\nprint(forked())\n")
        self.bed.write("tool.py", "import importlib\ndef load(): importlib.import_module('fast')\nload()\n")
        self.bed.write("runner.py", "import runpy\nrunpy.run_path('fast.py', run_name='__main__')\n")
        for argv, stdin in ((["-c", "import fast"], b""), ([], b"import fast\n"), (["-"], b"import fast\n"),
                            (["-i", "fast.py"], b""), (["-i"], b"import fast\n"), (["tool.py"], b""),
                            (["runner.py"], b""), (["-m", "tool"], b""), (["-m", "runpy", "fast"], b""),
                            (["-m", "cProfile", "-o", "prof", "fast.py"], b""), (["-v", "fast.py"], b""),
                            (["-X", "importtime", "fast.py"], b""),
                            (["-m", "trace", "--count", "-C", "counts", "fast.py"], b"")):
            with self.subTest(argv=argv):
                expected = self.bed.run([harness.PYTHON, *argv], stdin=stdin, env={"INSTA_DISABLE": "yes"})
                actual = self.bed.run([harness.PYTHON, *argv], stdin=stdin)
                timed = re.compile(rb"(?m)^import time:[ \d]+\|[ \d]+|0x[0-9a-f]+")
                expected, actual = (each._replace(stderr=timed.sub(b"", each.stderr)) for each in (expected, actual))
                self.assert_result(expected, actual, "enabled")
                self.assertIn(b"False", expected.stdout)
                self.assertEqual(set(), self.bed.processes())

    def test_in_a_run(self):
        """A quickened script starts another, by the same interpreter."""
        inner = self.bed.write("inner.py", IMPORT + FORKED + "start()\nprint(forked())\n")
        outer = self.bed.write("outer.py", IMPORT + "import subprocess, sys\nstart()\n"
                               f"sys.exit(subprocess.call([sys.executable, {inner!r}]))\n")
        self.run_script([outer])
        self.assertEqual(harness.Result(0, b"True\n", b""), self.run_script([outer]))

    def test_late_import(self):
        """In main it does nothing: the program is a command already."""
        script = self.bed.write("late.py", FORKED + "if __name__ == '__main__':\n"
                                "    from instastart.auto import start\n    start()\n    print(forked())\n")
        self.bed.quick([script])
        self.assertEqual(harness.Result(0, b"True\n", b""), self.bed.quick([script]))

    def test_code_before_the_import(self):
        """Is run again, where the environment and the arguments are what they were."""
        script = self.bed.write("fast.py", "import os, sys\nos.environ['MADE'] = os.environ.get('MADE', '') + 'x'\n"
                                + IMPORT + "def f():\n    start()\n    print(os.environ['MADE'], sys.argv)\nf()\n")
        self.assertEqual(b"x ", self.compare([script, "a"]).stdout[:2])

    def test_time(self):
        """A local name of a function that is not over at the fork point keeps the time as any other."""
        text = "import time\ndef f():\n    began = time.time()\n    names = locals()\n    start()\n" \
               "    print(round(time.time() - began), round(time.time() - names['began']))\nf()\n"
        for version, python in pythons.pythons().items():
            with self.subTest(version=version):
                script = self.bed.write("fast.py", IMPORT + text)
                self.run_script([script], python=python)
                time.sleep(1.1)
                self.assertEqual(b"0 0\n", self.run_script([script], python=python).stdout)
                self.assertEqual("interpreter", self.status(script, python=python)["rung"])
                self.assertIn("f().began", self.status(script, python=python)["reason"])


class Session(terminal.Session):
    """Of a script that imports instastart.auto, run by python3 itself."""

    def __init__(self, bed, options, quickened):
        super().__init__(bed, options, quickened)
        self.env.update(PYTHONPATH=PACKAGES, INSTA_DISABLE=None if quickened else "yes")

    @staticmethod
    def program(prelude, main):
        if not re.match(r"\n\S", main):
            main = main.replace("\n    ", "\n")
        return f"{IMPORT}{prelude}\nstart()\n{main}\n"

    def launcher(self):
        return [harness.PYTHON]

    def status(self):
        result = self.bed.ctl("status", "--json", "--file", self.script, "--python", harness.PYTHON, "--fork-point",
                              "start", env=self.env)
        return json.loads(result.stdout)


# Of the table of terminal.py: all of it, if QUICKEN_TEST_ROUNDS asks for more than each test's default.
CHOSEN = {
    "isatty", "dev tty", "foreground group", "settings", "size", "order of streams", "input", "lines to the end",
    "end at input", "readline", "getpass", "interrupt a sleep", "interrupt an input", "interrupt sh", "quit",
    "interrupt a bash script", "stop an input", "stop a sleep", "stop twice", "stop, and go on in the background",
    "two jobs", "through less", "substitution", "pager", "editor", "killed", "terminated", "hung up",
    "exception in raw mode is seen", "terminal closed", "ten runs", "four at once", "orphan"}


class OnATerminal(Insta):
    def test_as_in_the_table(self):
        chosen = [index for index, each in enumerate(terminal.CASES)
                  if (each[0] in CHOSEN or harness.ROUNDS and each[0] != "env -i") and "script" not in each[4]]
        self.assertLessEqual(CHOSEN, {terminal.CASES[index][0] for index in chosen})
        with concurrent.futures.ProcessPoolExecutor(terminal.JOBS) as pool:
            wrong = {index: pool.submit(terminal.job, "self", index, Session) for index in chosen}
            for index in chosen:
                with self.subTest(case=terminal.CASES[index][0]):
                    self.assertEqual("", wrong[index].result())

    def bytes_of(self, argv, env):
        """All that comes out of a terminal."""
        shown = screen.Terminal(argv, self.bed.env(env), self.bed.work, b"HOME=" + os.fsencode(self.bed.home))
        try:
            while shown.process.poll() is None or shown.read(0.05):
                shown.read(0.05)
            return shown.process.returncode, bytes(shown.received)
        finally:
            shown.close()

    def test_progress(self):
        """A bar that is drawn again and again, byte for byte; also with what the prelude has printed."""
        script = self.bed.write("bar.py", IMPORT + """
import sys, time
print('starting \\t\\033[1mnow\\033[0m')
sys.stderr.write('loading ...')
start()
def bar(stream, char):
    for n in range(0, 101, 2):
        stream.write('\\r[%-50s] %3d%%' % (char * (n // 2), n))
        stream.flush()
        time.sleep(0.002)
    stream.write('\\r\\033[K')
bar(sys.stdout, '#')
bar(sys.stderr, '\\u2588')
print('done\\r\\n\\n\\rend', end='\\r')
done()
""")
        expected = self.bytes_of([harness.PYTHON, script], {"INSTA_DISABLE": "yes"})
        self.assertEqual(0, expected[0])
        for what in "cold", "warm", "warm":
            self.assertEqual(expected, self.bytes_of([harness.PYTHON, script], {}), what)
        self.assertEqual(3, self.status(script)["commands_run"])

    def done(self, main, *steps, **options):
        """A script that goes on after done(); quickened, cold and warm."""
        self.bed.write("prog", Session.program("import os, sys, time", main))
        for what in "cold", "warm":
            with self.subTest(main=main, what=what):
                Session(self.bed, options, True).run(steps)

    def test_output_after_done(self):
        """The shell has its prompt, and what comes later is still shown, in the background as well."""
        wait = "\nwhile not os.path.exists('go'): time.sleep(0.02)\n"
        at_prompt = r"^first\n\$ " + AT
        self.done("print('first'); done()" + wait + "print('later')", at_prompt, make_file("go"), r"later\n", b"\r")
        self.done("print('first'); done()" + wait + "os.system('echo child')", at_prompt, make_file("go"), r"child\n",
                  b"\r")
        self.done("print('first'); done()" + wait + "1 / 0", at_prompt, make_file("go"), "ZeroDivisionError", b"\r")
        self.done("done()" + wait + "print('later')", STARTED, make_file("go"), r"later\n", b"\r", line="run prog &")

    def test_keys_after_done(self):
        """Are the shell's. A program that reads them nonetheless is told that there are none."""
        self.done("done()\ntry: line = input('? ')\nexcept (EOFError, OSError) as e: line = type(e).__name__\n"
                  "open('said', 'w').write(line)", file_has("said", b"Error"), b"echo hi$((1))\r", r"hi1\n\$ " + AT)
        self.done("done()\nwhile not os.path.exists('go'): time.sleep(0.02)\nopen('said', 'w').write('end')",
                  r"run prog\n\$ " + AT, C_C, r"\^C\n\$ " + AT, make_file("go"), file_has("said", b"end"))

    def test_settings_after_done(self):
        """The terminal is the user's again."""
        self.done("import tty; tty.setcbreak(0); done()\nwhile not os.path.exists('go'): time.sleep(0.02)\n",
                  PROMPT, make_file("go"), b"stty sane\r", PROMPT)

    def test_much_output_after_done(self):
        """It does not keep the client."""
        self.done("done()\nwhile not os.path.exists('go'): print('x' * 70); time.sleep(0.001)\nprint('last')",
                  terminal.soon("xxx"), b"echo hi$((1))>file; >go\r", file_has("file", b"hi1"), terminal.soon("last"),
                  b"clear\r")



if __name__ == "__main__":
    harness.main()
