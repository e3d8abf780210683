"""The package `quicken`: what a program says with it holds in a plain run and in quickened ones alike."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import pythons

PACKAGE = os.path.join(harness.PREFIX, "share", "quicken", "python")
MAIN = "if __name__ == '__main__':\n    "

HOOKS = """
import os, sys
import quicken

@quicken.after_fork
def first():
    print('first', sys.argv, os.environ.get('MINE'), os.getcwd(), sys.stdin.readline())

def second():
    quicken.after_fork(lambda: print('inner'))
    print('second', file=sys.stderr)

assert quicken.after_fork(second) is second
quicken.after_fork(print)
"""

# What is raised: how the hook raises it.
ENDINGS = {"exception": "1 / 0", "status": "raise SystemExit(3)", "text": "raise SystemExit('text')",
           "interrupt": "raise KeyboardInterrupt", "kill": "import os; os.kill(os.getpid(), 15)"}


@harness.each_activation
class Api:
    def setUp(self):
        super().setUp()
        self.bed.environment["PYTHONPATH"] = PACKAGE

    def assert_rung(self, rung, script, **options):
        self.assertEqual(rung, self.bed.status(script, **options)["rung"])

    def test_hooks_see_the_client(self):
        script = self.bed.write("hooks.py", HOOKS + MAIN + "print('main')\n")
        for cwd, mine in ((self.bed.work, "1"), ("/", "2"), ("/tmp", None)):
            result = self.assert_same([script, mine or "-"], env={"MINE": mine}, cwd=cwd, stdin=b"line\n")
            self.assertRegex(result.stdout, rb"(?s)^first.*\ninner\n\nmain\n$")
        self.assert_rung("prelude", script)

    def test_hooks_of_a_program_without_a_guard(self):
        script = self.bed.write("hooks.py", HOOKS + "print('main')\n")
        self.assert_same([script], stdin=b"line\n")

    def test_hooks_given_in_main(self):
        script = self.bed.write("hooks.py", f"import quicken\n{MAIN}quicken.after_fork(lambda: print(1)); print(2)\n")
        self.assertEqual(b"1\n2\n", self.assert_same([script]).stdout)

    def test_hooks_of_modules_and_entries(self):
        self.bed.write("hooked.py", "import quicken\nquicken.after_fork(lambda: print('hook'))\n"
                                    f"def main():\n    print('main')\n{MAIN}main()\n")
        self.bed.environment["PYTHONPATH"] += ":" + self.bed.work
        for form in (["-m", "hooked"], ["--entry", "hooked:main"]):
            for _ in range(2):
                self.assertEqual((0, b"hook\nmain\n", b""), self.bed.run([harness.QUICKEN, "run", *form]))
                state = json.loads(self.bed.ctl("status", "--json", *form).stdout)
                self.assertEqual("prelude", state["rung"])

    def test_what_a_hook_raises(self):
        """Ends the program as it does in a plain run; its traceback has frames of the program alone."""
        for name, statement in ENDINGS.items():
            with self.subTest(name):
                script = self.bed.write("raises.py", f"import quicken\ndef hook():\n    {statement}\nquicken.after_fork(hook)\n"
                                                     f"quicken.after_fork(lambda: print('later'))\n{MAIN}print('main')\n")

                def end_of_traceback(result):
                    at = result.stderr.find(b", in hook\n")
                    return result._replace(stderr=result.stderr[max(at, 0):])
                result = self.assert_same([script], normal=end_of_traceback)
                self.assertEqual(b"", result.stdout)
                self.assertNotIn(b"<quicken>", self.bed.quick([script]).stderr)
                self.assert_rung("prelude", script)

    def test_a_process_of_its_own_runs_no_hook(self):
        script = self.bed.write("forks.py", "import os, quicken\nquicken.after_fork(lambda: print('hook', flush=True))\n"
                                            f"{MAIN}os.fork() and os.wait(); print('main')\n")
        self.assertEqual(b"hook\nmain\nmain\n", self.assert_same([script]).stdout)

    def test_warming(self):
        script = self.bed.write("warming.py", "import quicken\nfrom quicken import warming\n"
                                              "SEEN = bool(quicken.warming), bool(warming), warming == True\n"
                                              f"{MAIN}print(SEEN, bool(quicken.warming), warming, warming == False)\n")
        self.assertEqual(b"(False, False, False) False False True\n", self.bed.plain([script]).stdout)
        for _ in range(2):
            self.assertEqual(b"(True, True, True) False False True\n", self.bed.quick([script]).stdout)

    def test_never_warming_on_other_rungs(self):
        script = self.bed.write("warming.py", "import quicken\nprint(quicken.warming)\n")
        self.assertEqual(b"False\n", self.assert_same([script]).stdout)
        fallen = self.bed.write("fallen.py", f"import quicken, sys\nA = sys.argv[1:], bool(quicken.warming)\n{MAIN}print(A)\n")
        self.assertEqual(b"([], False)\n", self.assert_same([fallen]).stdout)
        self.assert_rung("interpreter", fallen)

    def test_importing_it_imports_nothing_else(self):
        code = "import sys; b = set(sys.modules); import quicken; print(sorted(set(sys.modules) - b))"
        found = subprocess.run([harness.PYTHON, "-S", "-c", code], env=self.bed.env(), capture_output=True)
        self.assertEqual((b"['quicken']\n", b""), (found.stdout, found.stderr))

    def test_version(self):
        shown = self.bed.run([harness.QUICKEN, "--version"]).stdout.split()
        code = "import quicken; print(quicken.__version__)"
        self.assertIn(self.bed.run([harness.PYTHON, "-c", code]).stdout.strip(), shown)

    def test_every_python(self):
        script = self.bed.write("hooks.py", HOOKS + MAIN + "print('main', quicken.warming)\n")
        for version, python in sorted(pythons.pythons().items()):
            with self.subTest(version):
                result = self.assert_same([script], python=python, plain=[python, script], stdin=b"line\n")
                self.assertEqual(0, result.status, result)


if __name__ == "__main__":
    harness.main()
