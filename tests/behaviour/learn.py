"""Modules that are imported in advance: what the prelude of the interpreter rung imports, and what was learned.

Which ones they are says the server's log. A module that must not be imported early tells on itself: the plain run is
the measure, and its name must not be in the list.
"""

import json
import os
import stat
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import pythons

MAIN = "if __name__ == '__main__':\n    "

# What a module does when it is imported, for which it must not be imported in advance.
TAINTS = {
    "reads sys.argv": "import sys; A = sys.argv[1:]",
    "reads sys.argv[0]": "import sys; A = sys.argv[0]",
    "draws random numbers": "import random; A = random.random() and None",
    "seeds random": "import random; A = random.seed(3)",
    "keeps the time": "import time; START = time.time()",
    "prints": "print('imported')",
    "writes to stderr": "import os; os.write(2, b'imported\\n')",
    "changes the environment": "import os; os.environ['A_VARIABLE'] = 'x'",
    "changes the directory": "import os; os.chdir('/')",
    "reads the directory": "import os; A = os.getcwd()",
    "handles a signal": "import signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN)",
    "registers a function for the end": "import atexit; atexit.register(print, 'bye')",
    "installs a finder": "import sys; sys.meta_path.append(type('F', (), {'find_spec': lambda *a: None}))",
    "installs a hook": "import sys; sys.path_hooks.append(lambda path: 1 / 0)",
    "changes sys.path": "import sys; sys.path.append('/nowhere')",
    "filters warnings": "import warnings; warnings.simplefilter('ignore')",
    "starts a thread": "import threading, time; threading.Thread(target=time.sleep, args=(1e4,), daemon=True).start()",
    "opens a file": "A = open('/etc/hostname')",
    "writes a file": "open('written', 'a').close()",
    "changes sys": "import sys; sys.excepthook = print",
    "changes builtins": "import builtins; builtins.A_NAME = 1",
    "opens a standard stream": "import os; os.fdopen(0, closefd=False)",
}

# Done by the script before an import of `late`, which reads what it changed.
BEFORE = {
    "environment": ("import os; os.environ['A_VARIABLE'] = 'script'", "import os; A = os.environ.get('A_VARIABLE')"),
    "sys.path": ("import sys; sys.path.insert(0, sys.path[0] + '/other')", "A = __file__"),
    "a module's name": ("import string; string.digits = 'x'", "from string import digits as A"),
    "builtins": ("import builtins; builtins.A_NAME = 1", "A = A_NAME"),
    "a module": ("import sys, types; sys.modules['mocked'] = types.ModuleType('mocked')", "from mocked import __spec__ as A"),
    "stdout": ("import io, sys; sys.stdout, O = io.StringIO(), sys.stdout", "import sys; A = type(sys.stdout)"),
    "directory": ("import os; os.chdir('/')", "import os; A = os.path.exists('etc')"),
    "arguments": ("import sys, os\nif len(sys.argv) > 1: os.environ['A_VARIABLE'] = sys.argv[1]",
                  "import os; A = os.environ.get('A_VARIABLE')"),
}


class Learn(harness.Case):
    def setUp(self):
        super().setUp()
        self.log = os.path.join(self.bed.root, "log")
        self.bed.environment["QUICKEN_LOG_FILE"] = self.log

    def advance(self):
        """Names that the last template has imported in advance."""
        with open(self.log) as log:
            parts = log.read().rpartition("ready, rung: ")[2].partition("imported in advance: ")
        return parts[2].partition("\n")[0].split()

    def file(self, select, script):
        """The instance's learning file."""
        instance = json.loads(self.bed.ctl("status", "--json", select, script).stdout)["instance"]
        return os.path.join(self.bed.home, ".local", "state", "quicken", "learn", instance)

    def random_script(self, text):
        """A script whose prelude is unfit after what it imports: `text`."""
        return self.bed.write("script.py", f"{text}\nimport random\nB = random.random()\n{MAIN}print(A, type(B))\n")

    def test_modules_of_an_unfit_prelude(self):
        """They are there when the script starts from its top; it starts there, and that it draws is each run's own."""
        self.bed.write("deep.py", "A = [1]\n")
        self.bed.write("late.py", "import json, deep\nA = deep.A\n")
        script = self.random_script("import late\nfrom late import A")
        self.assert_same([script])
        self.assertEqual("interpreter", self.bed.status(script)["rung"])
        for name in ("json", "deep", "late", "random"):
            self.assertIn(name, self.advance())

    def test_each_python(self):
        self.bed.write("late.py", "import json, decimal, logging\nA = 1\n")
        script = self.random_script("from late import A")
        for version, python in sorted(pythons.pythons().items()):
            with self.subTest(version):
                self.assert_same([script], python=python, plain=[python, script])
                for name in ("json", "decimal", "logging", "late"):
                    self.assertIn(name, self.advance())

    def test_taints_of_an_unfit_prelude(self):
        for name, text in TAINTS.items():
            with self.subTest(name):
                self.bed.write("clean.py", "A = 1\n")
                self.bed.write("tainted.py", text + "\n")
                self.bed.write("above.py", "import tainted\nA = 1\n")
                script = self.random_script("import clean, above\nA = above.A, getattr(above.tainted, 'A', 0)")
                self.assert_same([script, "one", "two"])
                self.assert_same([script, "three"])
                self.assertIn("clean", self.advance())
                self.assertFalse({"tainted", "above"} & set(self.advance()), self.advance())
                self.bed.ctl("stop", "--file", script)

    def test_changed_by_the_script_before(self):
        """What an import can depend on is what it would be in a plain run, or it is not done in advance."""
        os.mkdir(self.bed.path("other"))
        self.bed.write("other/late.py", "A = 'other'\n")
        for name, (before, late) in BEFORE.items():
            with self.subTest(name):
                self.bed.write("late.py", late + "\n")
                self.bed.write("early.py", "A = 1\n")
                text = f"import early\n{before}\nfrom late import A"
                if name == "stdout":
                    text += "\nsys.stdout = O"
                script = self.random_script(text)
                self.assert_same([script], normal=lambda result: result)
                self.assert_same([script, "argument"])
                self.assertIn("early", self.advance())
                self.assertNotIn("late", self.advance())
                self.bed.ctl("stop", "--file", script)

    def test_imports_that_fail(self):
        """A module that is not there is looked for again; one that raises raises again."""
        self.bed.write("raises.py", "raise ImportError('on purpose')\n")
        self.bed.write("late.py", "try:\n    import raises\nexcept ImportError as error:\n    A = str(error)\n")
        script = self.random_script("try:\n    import nothing\nexcept ImportError:\n    nothing = None\nfrom late import A")
        self.assert_same([script])
        self.bed.write("nothing.py", "print('it is here')\n")
        self.assert_same([script])

    def test_file_of_the_same_name(self):
        """What the script loads by path is not what an import of that name finds."""
        os.mkdir(self.bed.path("plugins"))
        self.bed.write("plugins/plugin.py", "A = 'by path'\n")
        self.bed.write("plugin.py", "raise SystemExit('by name')\n")
        script = self.random_script("from importlib import util\n"
                                    "S = util.spec_from_file_location('plugin', __file__[:-9] + 'plugins/plugin.py')\n"
                                    "P = util.module_from_spec(S); S.loader.exec_module(P); A = P.A")
        self.assert_same([script])
        self.assertNotIn("plugin", self.advance())

    def test_module_that_is_run(self):
        """It is not imported under its own name before it is run, of which Python warns."""
        os.mkdir(self.bed.path("package"))
        self.bed.write("package/__init__.py", "")
        self.bed.write("package/late.py", "import json, package.tool\nA = 1\n")
        self.bed.write("package/tool.py", f"import sys, base64\nif __name__ != 'package.tool':\n    import package.late\n"
                                          f"import random\nB = random.random()\n{MAIN}print(sys.argv[1:])\n")
        argv = ["-m", "package.tool", "x"]
        expected = self.bed.run([harness.PYTHON, *argv])
        self.assertEqual((0, b""), (expected.status, expected.stderr))
        for _ in range(2):
            self.assert_result(expected, self.bed.run([harness.QUICKEN, "run", *argv]), "a module")
        self.assertIn("base64", self.advance())
        self.assertFalse({"package.tool", "package.late"} & set(self.advance()))

    # --- learned

    def learn(self, script, argv=(), runs=8):
        self.assertEqual(0, self.bed.ctl("learn", "on", "--file", script).status)
        expected = self.bed.plain([script, *argv])
        for _ in range(runs):
            self.assert_result(expected, self.bed.quick([script, *argv]), "while it learns")

    def assert_learns(self, script, names, argv=()):
        self.learn(script, argv)
        found = harness.wait_until(lambda: set(names) <= set(self.advance()), 15, 0.1)
        self.assertTrue(found, self.advance())
        self.assert_same([script, *argv])

    def test_late_modules_are_learned(self):
        """In its main part, from most runs; both by the prelude's template and where there is no fork point."""
        self.bed.write("late.py", "import json\nA = 2\n")
        for name, text in {"prelude": f"A = 1\n{MAIN}import late; print(late.A)\n", "top": "import late\nprint(late.A)\n"}.items():
            with self.subTest(name):
                script = self.bed.write(name + ".py", text)
                self.assert_learns(script, ["late", "json"])
                self.bed.write("late.py", "import json\nA = 3\n")
                self.assert_same([script])

    def test_learned_below_the_prelude(self):
        self.bed.write("late.py", "A = 2\n")
        script = self.bed.write("script.py", f"import random, json\nrandom.seed()\n{MAIN}import late; print(late.A)\n")
        self.assert_learns(script, ["late", "json"])
        self.assertEqual("interpreter", self.bed.status(script)["rung"])

    def test_taints_of_late_modules(self):
        for name, text in TAINTS.items():
            with self.subTest(name):
                self.bed.write("clean.py", "A = 1\n")
                self.bed.write("tainted.py", text + "\n")
                script = self.bed.write("script.py", f"{MAIN}import clean, tainted\n    print(getattr(tainted, 'A', 0))\n")
                self.learn(script, ["one"])
                time.sleep(1.5)
                self.bed.ctl("restart", "--file", script)
                self.assert_same([script, "two"])
                self.assertNotIn("tainted", self.advance())
                self.bed.ctl("stop", "--file", script)
                self.bed.ctl("learn", "off", "--file", script)

    def test_variable_that_a_late_module_reads(self):
        """It becomes one of those that a client must have like the first."""
        self.bed.write("late.py", "import os\nA = os.environ.get('A_VARIABLE')\n")
        script = self.bed.write("script.py", f"{MAIN}import late; print(late.A)\n")
        self.assert_learns(script, ["late"])
        self.assert_same([script], env={"A_VARIABLE": "other"}, served=False)

    def test_changed_before_a_late_import(self):
        """Nothing is learned of a program that changes, in its main part, what imports may depend on."""
        self.bed.write("late.py", "import os\nA = os.environ.get('A_VARIABLE')\n")
        script = self.bed.write("script.py", f"import os\n{MAIN}os.environ['A_VARIABLE'] = 'x'; import late; print(late.A)\n")
        self.learn(script)
        time.sleep(1.5)
        self.assert_same([script])
        self.assertEqual([], self.advance())

    def test_sometimes_changed_before_a_late_import(self):
        """One run of several is enough, and that is noted by each."""
        self.bed.write("late.py", "A = 1\n")
        script = self.bed.write("script.py", f"import os, sys\n{MAIN}os.environ.update(A=sys.argv[-1][:1]); import late\n"
                                             "    if sys.argv[1:] != ['x']: del os.environ['A']\n    print(late.A)\n")
        self.assert_learns(script, ["late"])
        for _ in range(4):
            self.assert_same([script, "x"])
        self.assertTrue(harness.wait_until(lambda: not self.advance(), 15, 0.1))

    def test_unlearned(self):
        """A module that is not there any more, or fails, is as in a plain run."""
        self.bed.write("late.py", "A = 2\n")
        script = self.bed.write("script.py", f"{MAIN}import late; print(late.A)\n")
        self.assert_learns(script, ["late"])
        os.unlink(self.bed.path("late.py"))
        self.assert_same([script])
        self.assertNotIn("late", self.advance())
        self.bed.write("late.py", "raise ValueError('on purpose')\n")
        self.assert_same([script])

    def test_files(self):
        """There while learning is on, for its user alone; no command makes one, or fails without it."""
        script = self.bed.write("script.py", f"{MAIN}print('ran')\n")
        self.assertEqual(0, self.bed.ctl("learn", "on", "--file", script).status)
        self.bed.quick([script])
        path = self.file("--file", script)
        self.assertEqual(0o600, stat.S_IMODE(os.stat(path).st_mode))
        self.assertEqual(0o700, stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode))
        harness.wait_until(lambda: b"run" in open(path, "rb").read(), 2)
        os.unlink(path)
        self.assert_same([script])
        self.assertFalse(os.path.exists(path))
        for text in (b"", b"\xff\0garbage\nlearned x\nnever a\nrun \0\nran", b"learned 9 no.such.module sys ../x\n"):
            self.bed.ctl("learn", "on", "--file", script)
            with open(path, "wb") as file:
                file.write(text)
            self.bed.ctl("restart", "--file", script)
            self.assert_same([script])
            self.bed.ctl("learn", "off", "--file", script)
            self.assertFalse(os.path.exists(path))

    def test_run_learn(self):
        self.bed.write("late.py", "A = 2\n")
        script = self.bed.write("script.py", f"import sys\n{MAIN}import late; print(late.A, sys.argv)\n")
        expected = self.bed.plain([script, "--learn", "x"])
        for _ in range(8):
            argv = [harness.QUICKEN, "run", "--learn", "--python", harness.PYTHON, "--file", script, "--", "--learn", "x"]
            self.assert_result(expected, self.bed.run(argv), "run --learn")
        instance = json.loads(self.bed.ctl("list", "--json").stdout)[0]["instance"]
        self.assertTrue(os.path.exists(os.path.join(self.bed.home, ".local/state/quicken/learn", instance)))
        self.assertTrue(harness.wait_until(lambda: "late" in self.advance(), 15, 0.1))
        result = self.bed.run([harness.QUICKEN, "run", "--learn", "--file", script], env={"HOME": None})
        self.assertEqual((0, b"quicken: nothing is learned: neither XDG_STATE_HOME nor HOME is an absolute path\n"),
                         (result.status, result.stderr))

    def test_debians_programs(self):
        """yt-dlp draws random numbers before its fork point, pylint imports in its main part."""
        self.assert_same(["/usr/bin/yt-dlp", "--version"])
        self.assertIn("asyncio", self.advance())
        self.assertNotIn("yt_dlp.utils", self.advance())
        self.assert_learns("/usr/bin/pylint", ["astroid"], ["--version"])

    def test_delayed_imports(self):
        """hg imports on demand, by a finder of its own: what a run does not use is not loaded in advance either."""
        hg = "/usr/bin/hg"
        for argv in (["init"], ["commit", "--config", "ui.username=x", "--addremove", "--message", "first"]):
            self.bed.write("file", "text\n")
            self.assertEqual(0, self.bed.run([hg, *argv]).status)
        self.bed.write("new", "")
        self.assert_learns(hg, ["mercurial.dispatch", "mercurial.pycompat", "mercurial.localrepo"], ["status"])
        self.assertNotIn("mercurial.patch", self.advance())
        for argv in (["status", "--all"], ["log", "--template", "{node}\\n"], ["diff", "-c", "0"], ["no-such-command"],
                     ["status", "\udcff"], ["debuginstall", "--config", "ui.debug=1"], ["cat", "file", "--cwd", ".."]):
            with self.subTest(argv=argv):
                self.assert_same([hg, *argv])
        self.assert_same([hg, "status"], umask=0o77, served=False)
        code = "import sys; sys.argv[0] = '/usr/bin/hg'; exec(open('/usr/bin/hg').read())"
        loaded = ("import atexit, sys\n@atexit.register\ndef show():\n"
                  "    print(*sorted((n, type(m).__name__) for n, m in sys.modules.items() if n[:4] == 'merc'))\n")
        script = self.bed.write("script.py", loaded + code)
        self.assert_learns(script, ["mercurial.localrepo"], ["status"])

    def test_modules_that_a_prelude_delays(self):
        """They are loaded where the program looks into them, if it does."""
        self.bed.write("late.py", "print('loaded')\nA = 1\n")
        self.bed.write("never.py", "print('loaded as well')\n")
        script = self.bed.write("script.py", f"""import importlib.util as util, sys
def delayed(name):
    spec = util.find_spec(name)
    spec.loader = util.LazyLoader(spec.loader)
    sys.modules[name] = module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
late, never, logging = map(delayed, ("late", "never", "logging"))
{MAIN}print("main"); print(late.A, type(never).__name__, object.__getattribute__(logging, "__class__").__name__)
""")
        self.assert_same([script])
        self.assertEqual("prelude", self.bed.status(script)["rung"])

    def test_arguments_that_a_known_module_keeps(self):
        """Put right in every command, if the module is as it is known to be."""
        text = "import os, sys\nsysargv = [os.fsencode(each) for each in sys.argv]\n"
        os.mkdir(self.bed.path("mercurial"))
        self.bed.write("mercurial/__init__.py", "")
        for more, fits in (("", True), ("B = [each for each in sys.argv]\n", False), ("sysargv = tuple(sysargv)\n", False),
                           ("sysargv = sysargv[1:]\n", False), ("B = len(sys.argv)\n", False)):
            with self.subTest(more=more):
                self.bed.write("mercurial/pycompat.py", text + more)
                script = self.bed.write("script.py", f"import mercurial.pycompat as late\n{MAIN}"
                                        "import sys; print(late.sysargv, getattr(late, 'B', 0), sys.argv)\n")
                self.assert_same([script, "one"])
                self.assert_same([script, "one", "two\udcff"])
                self.assertEqual("prelude" if fits else "interpreter", self.bed.status(script)["rung"])

    def test_questions_of_late_modules(self):
        """With learning on there is a template for each answer; a closed stream is none."""
        self.bed.write("late.py", "import os, sys\nA = sys.stdout and sys.stdout.isatty()\nB = os.umask(0)\nos.umask(B)\n")
        for name, text in {"prelude": f"import late\n{MAIN}", "main": f"{MAIN}import late; "}.items():
            with self.subTest(name):
                script = self.bed.write(name + ".py", text + "print(late.A, late.B)\n")
                self.assert_learns(script, ["late"] if name == "main" else [])
                self.assert_same([script], umask=0o27, served=False)
                plain = self.bed.run(["sh", "-c", f"exec {harness.PYTHON} {script} >&-"])
                self.assert_result(plain, self.bed.run(["sh", "-c", f"exec {harness.QUICKEN} run --file {script} >&-"]), "closed")


if __name__ == "__main__":
    harness.main()
