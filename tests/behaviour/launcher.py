"""`quicken python`, and a link called python3: command lines of python3, each the same as given to it.

One table, run plainly, cold and warm, with modules preloaded: standard output, standard error and status are compared,
and whether a server has run it. Then what a table cannot say: shadowed and edited modules, what is preloaded, the link,
interactive mode, signals.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import pythons
import screen

PRELOAD = "json,decimal,http.client"

FILES = {
    "about.py": """
        import sys, os
        print(sys.argv, getattr(sys, 'orig_argv', None), sys.executable, sys.path[0])
        print(sys.flags, sys.warnoptions, sys._xoptions)
        print(__name__, __file__, __spec__, __package__, __cached__, type(__loader__), __builtins__, sorted(globals()))
        print(open('/proc/self/cmdline').read().split('\\0'), sorted(os.listdir('/proc/self/fd')), os.getcwd())
        print(sys.path, sys.stdout.line_buffering, sys.stdout.encoding, sys.stdin.read() if sys.argv[1:] == ['-'] else '')
        """,
    "raises.py": "def f(n):\n    return 1 / n\nprint('before')\ntry:\n    f(0)\nexcept ZeroDivisionError:\n    {}['x']\n",
    "syntax.py": "print('never')\nx = = 1\n",
    "encoded.py": b"# coding: latin-1\nprint('\xe9t\xe9')\n",
    "broken.py": b"print('\xe9')\n",
    "nul.py": b"print(1)\n\0\n",
    "warns.py": "import warnings\nwarnings.warn('old', DeprecationWarning)\nx = '\\d'\nassert False, 'kept'\nprint(f.__doc__)\n",
    "exits.py": "import sys, atexit\natexit.register(print, 'at exit')\nsys.exit(sys.argv[1] if len(sys.argv) > 1 else 7)\n",
    "at_exit.py": "import atexit, sys\n@atexit.register\ndef f(): print(sorted(globals()))\nif sys.argv[1:]: sys.exit(int(sys.argv[1]))\n",
    "killed.py": "import os, signal\nprint('up', flush=True)\nos.kill(os.getpid(), signal.SIGTERM)\n",
    "interrupted.py": "raise KeyboardInterrupt\n",
    "os_exit.py": "import os\nos._exit(9)\n",
    "forks.py": "import os\npid = os.fork()\nif pid: print(os.waitpid(pid, 0)[1])\nelse: print('child')\n",
    "children.py": "import subprocess, sys\nprint(subprocess.run([sys.executable, 'about.py', 'x'], capture_output=True).stdout)\n",
    "pool.py": "import multiprocessing\ndef f(x): return x * x\n"
               "if __name__ == '__main__':\n    print(multiprocessing.Pool(2).map(f, range(5)))\n",
    "pickles.py": "import pickle\nclass C: pass\nprint(pickle.dumps(C))\n",
    "module.py": "import sys\nprint(sys.argv, __name__, __file__, __spec__ and __spec__.name, sys.path[0])\n",
    "package/__init__.py": "print('package', __name__)\n",
    "package/__main__.py": "import sys\nprint(sys.argv, __name__, __file__, __spec__.name, __package__, sys.path[0])\n",
    "mainless/__init__.py": "",
    "tree/__main__.py": "import sys, beside\nprint(sys.argv, __name__, __file__, __spec__.name, sys.path[0], beside.X)\n1 / 0\n",
    "tree/beside.py": "X = 1\n",
    "empty/nothing": "",
    "data.json": '{"a": [1, 2]}',
    "-dash.py": "print('dash')\n",
}

# Command lines after python3, that a server runs.
SERVED = [
    "about.py", "./about.py a", "./package/../about.py", "about.py -c -m --", "-- about.py -x", ".//about.py",
    "-B about.py", "-E about.py", "-I about.py", "-O about.py", "-OO about.py", "-s about.py", "-u about.py",
    "-BEsu about.py", "-W error about.py", "-Wignore about.py", "-W error -W default about.py",
    "-X utf8 about.py", "-Xutf8=0 about.py", "about.py -",
    "raises.py", "syntax.py", "encoded.py", "broken.py", "nul.py", "warns.py", "-W error warns.py", "-W always warns.py",
    "-O warns.py", "exits.py", "exits.py text", "at_exit.py", "at_exit.py 3", "at_exit.py x", "killed.py", "interrupted.py", "os_exit.py", "forks.py", "children.py",
    "pool.py", "pickles.py", "-- -dash.py",
    "-m module", "-mmodule a", "-Im json.tool data.json", "-m json.tool data.json", "-m json.tool", "-m json.tool nosuch",
    "-m package", "-m package.__main__", "-m mainless", "-m nosuch", "-m nosuch.module", "-m sys", "-I -m module",
    "tree", "tree/ a", "archive.zip a", "-I tree", "empty", "-m package a -m x",
]
# What is plain with a Python that keeps the text of -c.
CODE = [
    ["-c", "import sys; print(sys.argv, sys.path[:2], __name__, sorted(globals()))", "a", "-c"], ["-c", ""],
    ["-c", "1 / 0"], ["-c", "x = = 1"], ["-c", "def f():\n  raise SystemExit('bye')\nf()"], ["-Ic", "import sys; print(sys.path)"],
    ["-cprint(1)"], ["-Oc", "assert 0; print(__debug__)"], ["-c", "print('\u00e9')"], ["-c", "import nosuch"],
    ["-c", "# coding: latin-1\nprint('\u00e9')"], ["-c", "import linecache; print(linecache.getlines('<string>'))"],
]
# That are given to python3.
PLAIN = [
    "", "-", "- a b", "-i about.py", "-V", "-VV", "--version", "-h", "--help", "-Z", "-c", "-m", "-W", "--nosuch", "-x about.py",
    "-q", "-X nosuch about.py", "-X pycache_prefix=/nowhere about.py", "-X importtime=1 -V", "-X", "nosuch.py", "about.pyc", "--check-hash-based-pycs never about.py", "/dev/null", "-d about.py",
    "-i -c pass", "-O", "-b about.py", "-bb about.py", "-S about.py",
]


class Launcher(harness.Case):
    def setUp(self):
        super().setUp()
        self.python = harness.PYTHON
        self.make_files()

    def make_files(self):
        for name, text in FILES.items():
            os.makedirs(os.path.dirname(self.bed.path(name)), exist_ok=True)
            self.bed.write(name, text)
        with zipfile.ZipFile(self.bed.path("archive.zip"), "w") as archive:
            for name in ("__main__.py", "beside.py"):
                archive.write(self.bed.path("tree/" + name), name)

    def compile(self):
        subprocess.run([self.python, "-c", "import py_compile; py_compile.compile('about.py', 'about.pyc')"],
                       cwd=self.bed.work, check=True)

    def quick(self, words, preload=PRELOAD, **options):
        ours = [f"--preload={preload}"] if preload is not None else []
        if self.python != harness.PYTHON:
            ours += ["--python", self.python]
        return self.bed.run([harness.QUICKEN, "python", *ours, *words], **options)

    def plain(self, words, **options):
        return self.bed.run([self.python, *words], **options)

    def commands(self, **options):
        return sum(each.get("commands_run") or 0 for each in json.loads(self.bed.ctl("list", "--json", **options).stdout))

    def check(self, words, served=True, **options):
        """Plain, cold and warm are the same. Returns the plain result."""
        expected = self.plain(words, **options)
        self.assert_result(expected, self.quick(words, **options), f"cold: {words}")
        before = self.commands()
        self.assert_result(expected, self.quick(words, **options), f"warm: {words}")
        self.assert_count(before + (1 if served else 0), self.commands, f"a server's: {served}: {words}")
        return expected

    def check_table(self, rows, served):
        for words in self.split(rows):
            with self.subTest(words=words):
                self.check(words, served=served, stdin=self.input_of(served))

    def split(self, rows):
        return [words.split() if isinstance(words, str) else words for words in rows]

    def input_of(self, served):
        return b"[1]" if served else b'print("from stdin")\nimport sys; print(sys.argv)\n'

    def test_served(self):
        self.check_table(SERVED, True)

    def test_code(self):
        self.check_table(CODE, True)

    def test_plain(self):
        self.compile()
        self.check_table(PLAIN, False)

    def test_settings(self):
        """PYTHON* of the environment."""
        for name, value, served in (("PYTHONOPTIMIZE", "2", True), ("PYTHONUTF8", "1", True), ("PYTHONWARNINGS", "error", True),
                                    ("PYTHONPATH", "tree", True), ("PYTHONUNBUFFERED", "1", True), ("PYTHONHASHSEED", "5", True),
                                    ("PYTHONINSPECT", "1", False), ("PYTHONDEVMODE", "1", False), ("PYTHONHASHSEED", "random", False),
                                    ("PYTHONSTARTUP", "raises.py", True), ("PYTHONNOUSERSITE", "1", True)):
            with self.subTest(name=name):
                self.check(["about.py"], served=served, env={name: value})
        self.check(["warns.py"], env={"PYTHONWARNINGS": "error"})

    def test_directory(self):
        """A script that is elsewhere, and a caller in another directory than the first."""
        os.mkdir(self.bed.path("other"))
        for cwd in (self.bed.path("other"), "/", self.bed.work):
            self.check([self.bed.path("about.py")], cwd=cwd)
            self.check(["-c", "import sys, os; print(sys.path[0], os.getcwd())"], cwd=cwd)
        self.check(["../about.py"], cwd=self.bed.path("other"))
        os.symlink("../about.py", self.bed.path("other/link.py"))
        self.check(["other/link.py"])

    def test_one_server(self):
        """All of them are one server's."""
        for words in (["about.py"], ["module.py"], ["-m", "module"], ["-c", "pass"], ["tree"]):
            self.quick(words)
        self.assertEqual(1, len(self.bed.instances()))

    def test_closed_streams(self):
        for redirection in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "7</dev/null"):
            shell = 'exec "$@" ' + redirection
            words = ["exits.py", "text"]
            expected = self.bed.run(["/bin/sh", "-c", shell, "sh", self.python, *words])
            for state in ("cold", "warm"):
                quick = self.bed.run(["/bin/sh", "-c", shell, "sh", harness.QUICKEN, "python", f"--preload={PRELOAD}", *words])
                self.assert_result(expected, quick, f"{state}: {redirection}")

    def test_signals(self):
        """A signal to the client is the program's."""
        script = self.bed.write("sleeps.py", "import time\nprint('up', flush=True)\ntime.sleep(60)\n")
        self.quick(["-c", "pass"])
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGUSR1):
            ends = []
            for command in ([self.python], [harness.QUICKEN, "python", f"--preload={PRELOAD}"]):
                process = subprocess.Popen([*command, script], env=self.bed.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                self.assertEqual(b"up\n", process.stdout.readline())
                process.send_signal(number)
                _output, errors = process.communicate(timeout=harness.TIMEOUT)
                ends.append((process.returncode, errors.splitlines()[-1:]))  # it may be in either line
            self.assertEqual(*ends, number)

    # --- what is preloaded

    def loaded(self, names, **options):
        """Which of these modules a program finds imported; warm."""
        code = f"import sys; print(*[each for each in {names!r} if each in sys.modules])"
        self.quick(["-c", code], **options)
        return self.quick(["-c", code], **options).stdout.decode().split()

    def modules(self, **texts):
        """Modules on PYTHONPATH; returns the environment that has it."""
        os.makedirs(self.bed.path("lib"), exist_ok=True)
        for name, text in texts.items():
            self.bed.write(f"lib/{name}.py", text)
        return {"PYTHONPATH": self.bed.path("lib")}

    def test_preload(self):
        """From the option or the file, of which comments count for nothing."""
        self.assertEqual(["json", "decimal"], self.loaded(["json", "decimal", "csv"]))
        self.assertEqual([], self.loaded(["json"], preload=""))
        self.assertEqual([], self.loaded(["json"], preload=None))
        os.makedirs(os.path.join(self.bed.home, ".config/quicken"))
        with open(os.path.join(self.bed.home, ".config/quicken/preload.conf"), "w") as file:
            file.write("# mine\n\n  json # of all\r\njson\n\tcsv")
        self.assertEqual(["json", "csv"], self.loaded(["json", "decimal", "csv"], preload=None))
        shared = json.loads(self.bed.ctl("status", "--json", "--shared").stdout)
        self.assertEqual(("python", "json csv", 2), (shared["what"], shared["name"], shared["commands_run"]))
        self.assertEqual(0, self.bed.ctl("stop", "--shared").status)
        self.assertEqual(3, self.bed.ctl("is-active", "--shared").status)
        self.assertEqual(["decimal"], self.loaded(["csv", "decimal"], preload="decimal"))
        os.makedirs(self.bed.path("config/quicken"))
        with open(self.bed.path("config/quicken/preload.conf"), "w") as file:
            file.write("decimal")
        self.assertEqual(["decimal"], self.loaded(["csv", "decimal"], preload=None, env={"XDG_CONFIG_HOME": self.bed.path("config")}))

    def test_bad_preload(self):
        """What cannot be understood is said, and the program is run plainly."""
        for text in ("json\na b\n", "json\n1x", "x" * 20000, "..", "json\nos.path.\n"):
            os.makedirs(self.bed.path("config/quicken"), exist_ok=True)
            with open(self.bed.path("config/quicken/preload.conf"), "w") as file:
                file.write(text)
            env = {"XDG_CONFIG_HOME": self.bed.path("config"), "QUICKEN_VERBOSE": "1"}
            result = self.quick(["-c", "print(1)"], preload=None, env=env)
            self.assertEqual((0, b"1\n"), result[:2])
            self.assertRegex(result.stderr, b"^quicken: plain run: .*preload")
        for words in (["--preload"], ["--preload", "a b", "-c", "pass"], ["--preload=" + "x" * 5000, "-c", "pass"], ["--python", ""]):
            result = self.bed.run([harness.QUICKEN, "python", *words])
            self.assertEqual((2, b""), result[:2], words)
            self.assertIn(b"see quicken --help", result.stderr)

    def test_modules_that_cannot_be(self):
        """One that fails or does what nobody expects is not preloaded; the others are."""
        bad = {"prints": "print('hello')", "fails": "1 / 0", "leaves": "F = open('/etc/hostname')", "reads": "import sys; A = sys.argv[1:]",
               "asks": "import os; D = os.getcwd()", "ends": "import sys; sys.exit(3)", "draws": "import random; A = random.random()",
               "threads": "import threading, time; threading.Thread(target=time.sleep, args=(1e3,), daemon=True).start()",
               "connects": "import socket; A = socket.socketpair()", "writes": "open('written', 'w').close()"}
        env = self.modules(good="A = 1", late="import good; B = 2", **bad)
        names = ["good", *bad, "late", "nosuch"]
        self.assertEqual(["good", "late"], self.loaded(names, preload=",".join(names), env=env))
        told = self.bed.ctl("explain", "--instance", self.bed.instances()[0]).stdout.decode()
        self.assertRegex(told, "in advance +good\n +late\n")
        for name in [*bad, "nosuch"]:
            self.assertIn(f" {name}: ", told)
        for name in bad:
            with self.subTest(name=name):
                program = ["-c", f"import {name}; print(sorted(vars({name}))[-1])", "x"]
                expected = self.plain(program, env=env)
                self.assert_result(expected, self.quick(program, preload=",".join(names), env=env), name)

    def test_edited(self):
        """A module that was preloaded, and one that it has imported."""
        env = self.modules(first="import second; A = second.A", second="A = 1")
        run = lambda: self.quick(["-c", "import first; print(first.A)"], preload="first", env=env).stdout
        self.assertEqual([b"1\n", b"1\n"], [run(), run()])
        for value in (22, 333):
            self.modules(second=f"A = {value}")
            self.assertEqual([b"%d\n" % value] * 2, [run(), run()])
        self.modules(third="")
        os.rename(self.bed.path("lib/second.py"), self.bed.path("lib/gone"))
        self.assert_result(self.plain(["-c", "import first"], env=env), self.quick(["-c", "import first"], preload="first", env=env), "gone")

    def test_shadowed(self):
        """What a plain run would find beside the program, or in the working directory."""
        program = "import json; print(json.__file__)\nimport re; print(re.__file__)\n"
        shadows = {"module": ("json.py", "x = 1", False), "package": ("json/__init__.py", "", False),
                   "of an imported one": ("decoder.py", "", True), "below": ("re/__init__.py", "", False),
                   "a directory": ("json/data", "", True), "another file": ("json.txt", "", True),
                   "indirectly": ("http.py", "", False), "of a later one": ("csv.py", "1 / 0", True),
                   "extension": ("_decimal.so", "", False)}
        for case, (name, text, served) in shadows.items():
            with self.subTest(case=case):
                place = self.bed.path("place " + case)
                os.makedirs(os.path.join(place, os.path.dirname(name)))
                for each, content in ((name, text), ("program.py", program)):
                    with open(os.path.join(place, each), "w") as file:
                        file.write(content)
                self.check([os.path.join(place, "program.py")], served=served)
                self.check(["-c", program], served=served, cwd=place)
                self.check(["-m", "program"], served=served, cwd=place)
                self.check(["-I", os.path.join(place, "program.py")])
                self.check([place + "/program.py"], served=served, cwd="/")
        with zipfile.ZipFile(self.bed.path("shadows.zip"), "w") as archive:
            archive.writestr("__main__.py", program)
            archive.writestr("re.py", "")
        self.check(["shadows.zip"], served=False)

    # --- the link

    def test_link(self):
        """A link called python3, before the real one on PATH."""
        os.mkdir(self.bed.path("bin"))
        os.symlink(harness.QUICKEN, self.bed.path("real-name"))
        link = self.bed.path("bin/python3")
        os.symlink("../real-name", link)
        env = {"PATH": self.bed.path("bin") + ":" + harness.PATH}
        child = ("import subprocess, sys; print(sys.executable, subprocess.run(['python3', '-c', "
                 "'import sys; print(sys.executable, sys.argv)'], capture_output=True))")
        self.bed.write("env.py", "#!/usr/bin/env python3\nimport sys\nprint(sys.argv, sys.executable)\n", 0o755)
        for words in (["about.py", "a"], ["-m", "json.tool", "data.json"], ["-c", child], ["-V"], ["-"], ["-i", "-c", "pass"],
                      ["-c", "import sys; print(sys.executable, sys.base_prefix, sys._base_executable)"]):
            expected = self.bed.run([harness.PYTHON, *words], stdin=b"print(3)")
            for state in ("cold", "warm"):
                quick = self.bed.run(["python3", *words], stdin=b"print(3)", env=env, executable=link)
                self.assert_result(expected, quick, f"{state}: {words}")
        self.assertGreater(self.commands(), 3)
        expected = self.bed.run([harness.PYTHON, self.bed.path("env.py"), "x"])
        self.assertEqual(expected, self.bed.run([self.bed.path("env.py"), "x"], env=env))
        self.assertEqual(expected, self.bed.run([harness.QUICKEN, self.bed.path("env.py"), "x"], env=env))
        venv = self.bed.run([link, "-m", "venv", "--without-pip", self.bed.path("venv")], env=env)
        self.assertEqual((0, b"", b""), venv)
        self.assertEqual(os.path.realpath(harness.PYTHON), os.path.realpath(self.bed.path("venv/bin/python")))
        alone = self.bed.run(["python3", "-c", "pass"], env={"PATH": self.bed.path("bin")}, executable=link)
        self.assertEqual((127, b"quicken: python3: No such file or directory\n"), (alone.status, alone.stderr))

    def test_script_that_runs_us(self):
        """As a python3 before the real one on PATH: who is it is not looked for there, or it would come back for ever."""
        script = self.bed.path("bin/python3")
        os.mkdir(self.bed.path("bin"))
        self.bed.write("bin/python3", f"#!/bin/sh\nexec {os.path.dirname(harness.QUICKEN)}/quicken python \"$@\"\n", 0o755)
        env = {"PATH": self.bed.path("bin") + ":" + harness.PATH}
        for words in (["about.py", "a"], ["-V"]):
            expected = self.bed.run([harness.PYTHON, *words])
            for state in ("cold", "warm"):
                self.assert_result(expected, self.bed.run([script, *words], env=env), f"{state}: {words}")

    def test_other_names_of_ours(self):
        """A hard link, a copy, a link to a copy of another name: on PATH none of them is a Python."""
        installed = self.bed.path("other/bin")
        shutil.copytree(os.path.dirname(harness.SERVER), self.bed.path("other/libexec/quicken"))
        os.mkdir(installed)
        shutil.copy(harness.QUICKEN, installed + "/quicken-1")
        for name, make in (("hard", lambda path: os.link(installed + "/quicken-1", path)),
                           ("copy", lambda path: shutil.copy(harness.QUICKEN, path)),
                           ("link", lambda path: os.symlink(installed + "/quicken-1", path))):
            os.mkdir(self.bed.path(name))
            make(self.bed.path(name + "/python3"))
            env = {"PATH": self.bed.path(name) + ":" + harness.PATH}
            expected = self.bed.run([harness.PYTHON, "about.py", "a"])
            for argv in (["python3"], [harness.QUICKEN, "python"]):
                self.assert_result(expected, self.bed.run([*argv, "about.py", "a"], env=env), f"{name}: {argv}")

    def test_directory_that_one_is_in(self):
        """By ".", for which the interpreter has a rule of its own since 3.11."""
        for words in ([".", "a"], ["./", "a"]):
            expected = self.bed.run([harness.PYTHON, *words], cwd=self.bed.path("tree"))
            for state in ("cold", "warm"):
                quick = self.bed.run([harness.QUICKEN, "python", *words], cwd=self.bed.path("tree"))
                self.assert_result(expected, quick, f"{state}: {words}")

    def test_interactive(self):
        """-i, and no program at all, on a terminal."""
        screens = []
        for command in ([self.python], [harness.QUICKEN, "python", f"--preload={PRELOAD}"], [harness.QUICKEN, "python", f"--preload={PRELOAD}"]):
            for words in (["-i", "module.py"], ["-q"]):
                mark = f"LAUNCHER_TEST={len(screens)}"
                name, _, value = mark.partition("=")
                terminal = screen.Terminal([*command, *words], self.bed.env({name: value}), self.bed.work, mark.encode())
                try:
                    terminal.type(b"x = 6 * 7; x\n")
                    harness.wait_until(lambda: terminal.read(0.05) and False or b"\n42" in terminal.received, 10)
                    terminal.type(b"raise SystemExit(5)\n")
                    screens.append((words, terminal.process.wait(harness.TIMEOUT), b"42" in terminal.received))
                finally:
                    terminal.process.kill()
                    terminal.process.wait()
                    os.close(terminal.master)
        self.assertEqual(screens[:2], screens[2:4])
        self.assertEqual(screens[:2], screens[4:])
        self.assertEqual([5, 5], [each[1] for each in screens[:2]])

    def test_random(self):
        """What a template would have drawn is drawn by each command."""
        code = ("import numpy, random, uuid, tempfile\n"
                "print(numpy.random.rand(), random.random(), uuid.uuid4(), next(tempfile._get_candidate_names()))")
        drawn = [self.quick(["-c", code], preload="numpy,random,uuid,tempfile").stdout.split() for _ in range(4)]
        for values in zip(*drawn):
            self.assertEqual(4, len(set(values)), drawn)

    def test_at_once(self):
        """More clients than spares, each with a program of its own."""
        self.quick(["-c", "pass"])
        programs = [["-c", f"import time; time.sleep(0.2); print({n})"] for n in range(12)]
        running = [subprocess.Popen([harness.QUICKEN, "python", f"--preload={PRELOAD}", *words], env=self.bed.env(),
                                    stdout=subprocess.PIPE) for words in programs]
        outputs = [process.communicate(timeout=harness.TIMEOUT)[0] for process in running]
        self.assertEqual([b"%d\n" % n for n in range(12)], outputs)


class Login(harness.Case):
    """The unit that starts a shared interpreter at login."""

    activation = "systemd"

    def test_unit(self):
        unit = os.path.join(harness.PREFIX, "lib/systemd/user/quicken-python.service")
        self.addCleanup(self.bed.systemctl, "disable", "quicken-python.service")
        enabled = self.bed.systemctl("enable", unit)
        self.assertEqual(0, enabled.status, enabled)
        wanted = self.bed.systemctl("show", "-p", "Wants", "--value", "default.target").stdout.decode()
        self.assertIn("quicken-python.service", wanted)
        started = self.bed.systemctl("start", "quicken-python.service")
        self.assertEqual(0, started.status, self.bed.systemctl("status", "quicken-python.service"))
        server = self.only_server()
        self.assertEqual(("python", 1, 31536000), (server["what"], server["commands_run"], server["idle_timeout"]))
        # Who has the manager's environment is served by it.
        told = self.bed.run(["systemd-run", "--user", "--wait", "--pipe", "--quiet", harness.QUICKEN, "python", "-c", "print(6 * 7)"])
        self.assertEqual((0, b"42\n"), told[:2], told)
        self.assert_count(2, lambda: self.only_server()["commands_run"], "not this server's")

    def only_server(self):
        found = [each for each in json.loads(self.bed.ctl("list", "--json").stdout)
                 if each["instance"] not in self.bed.instances_before]
        self.assertEqual(1, len(found), found)
        return found[0]


class Preload(harness.Case):
    """quickenctl preload."""

    def setUp(self):
        super().setUp()
        self.file = os.path.join(self.bed.home, ".config/quicken/preload.conf")

    def preload(self, *words, **options):
        return self.bed.ctl("preload", *words, **options)

    def text(self):
        with open(self.file) as file:
            return file.read()

    def keep(self, text):
        os.makedirs(os.path.dirname(self.file), exist_ok=True)
        with open(self.file, "w") as file:
            file.write(text)

    def test_add_remove_list(self):
        self.assertEqual((0, b"", b""), self.preload("list"))
        self.assertFalse(os.path.exists(self.file))
        self.assertEqual((0, b"", b""), self.preload("add", "json", "os.path", "json"))
        self.assertEqual("json\nos.path\n", self.text())
        self.assertEqual((0, b"json\nos.path\n", b""), self.preload("list"))
        self.assertEqual((0, b'["json","os.path"]\n', b""), self.preload("list", "--json"))
        self.assertEqual((0, b"", b""), self.preload("remove", "json"))
        self.assertEqual("os.path\n", self.text())
        self.assertEqual(b"os.path\n", self.bed.run([harness.QUICKEN, "preload", "list"]).stdout)

    def test_comments_and_mode(self):
        """Lines that are not ours stay, a link too, and the file's mode."""
        self.keep("# mine\n\n  csv  # why\njson")
        os.chmod(self.file, 0o600)
        kept = self.bed.path("kept.conf")
        os.rename(self.file, kept)
        os.symlink(kept, self.file)
        self.preload("add", "decimal")
        self.assertEqual("# mine\n\n  csv  # why\njson\ndecimal\n", self.text())
        self.preload("remove", "csv")
        self.assertEqual("# mine\n\njson\ndecimal\n", self.text())
        self.assertTrue(os.path.islink(self.file))
        self.assertEqual(0o600, os.stat(kept).st_mode & 0o777)
        self.assertEqual(["kept.conf"], [name for name in os.listdir(self.bed.work) if "kept" in name])

    def test_bad_input(self):
        """An error says what is wrong, and nothing is changed."""
        self.keep("json\n")
        for words, error in ((["add", "nosuch"], "finds no module nosuch"), (["add", "json", "nosuch.below"], "finds no module nosuch.below"),
                             (["add", "a b"], "not the name of a module"), (["add", ""], "not the name"), (["add", "json."], "not the name"),
                             (["remove", "csv"], "csv is not in"), (["remove", "json", "csv"], "csv is not in"),
                             (["add", "csv", "--python", "/nowhere/python"], "/nowhere/python cannot say")):
            result = self.preload(*words)
            self.assertEqual(1, result.status, words)
            self.assertIn(error, result.stderr.decode(), words)
            self.assertEqual("json\n", self.text(), words)
        for words in ([], ["add"], ["nonsense"], ["remove"], ["list", "x"]):
            self.assertEqual(2, self.preload(*words).status, words)
        # A module beside the caller is none of a script elsewhere.
        self.bed.write("local_module.py", "")
        self.assertEqual(1, self.preload("add", "local_module").status)

    def test_bad_file(self):
        for text, error in (("json\n1 2\n", "preload.conf:2: \"1 2\" is not the name"), ("x" * 16384, "is longer than")):
            self.keep(text)
            for words in (["list"], ["add", "csv"], ["remove", "json"]):
                result = self.preload(*words)
                self.assertEqual(1, result.status)
                self.assertIn(error, result.stderr.decode())
                self.assertEqual(text, self.text())
        os.remove(self.file)
        os.mkfifo(self.file)
        self.assertEqual(1, self.preload("list").status)
        os.remove(self.file)
        os.rmdir(os.path.dirname(self.file))
        open(os.path.dirname(self.file), "w").close()
        self.assertEqual(1, self.preload("add", "csv").status)
        self.assertEqual(1, self.preload("list", env={"HOME": None}).status)

    def test_at_once(self):
        """Many at once lose nothing."""
        names = ["json", "csv", "decimal", "fractions", "string", "textwrap", "shlex", "glob"]
        running = [subprocess.Popen([harness.QUICKENCTL, "preload", "add", name], env=self.bed.env()) for name in names]
        self.assertEqual([0] * len(names), [process.wait(harness.TIMEOUT) for process in running])
        self.assertEqual(sorted(names), sorted(self.text().split()))
        self.assertEqual(["preload.conf"], os.listdir(os.path.dirname(self.file)))


class Pythons(Launcher):
    """Every CPython that is found; one test a version is added below."""

    def check_python(self, python):
        self.python = python
        self.compile()
        later = subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info >= (3, 13))"]).returncode
        self.check_once(SERVED, True)
        self.check_once(CODE, not later)
        self.check_once(PLAIN, False)

    def check_once(self, rows, served):
        """One run of each, most of them warm, and in the end all of them have been a server's."""
        before, stdin = self.commands(), self.input_of(served)
        for words in self.split(rows):
            with self.subTest(words=words):
                self.assert_result(self.plain(words, stdin=stdin), self.quick(words, stdin=stdin), words)
        self.assert_count(before + (len(rows) if served else 0), self.commands, f"a server's: {served}")


for name_ in [each for each in dir(Launcher) if each.startswith("test_")]:
    setattr(Pythons, name_, None)  # of Debian's alone


def add(version, python):
    def test(self):
        self.check_python(python)

    test.__doc__ = python
    setattr(Pythons, "test_" + version.replace(".", "_"), test)


for version_, python_ in sorted(pythons.pythons().items()):
    if python_ != harness.PYTHON:
        add(version_, python_)

if __name__ == "__main__":
    harness.main()
