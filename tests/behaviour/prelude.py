"""What a prelude reads, leaves or does is never another run's: the ladder finds the rung that is right."""

import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import pythons

MAIN = "if __name__ == '__main__':\n    "

FORKS = """
import logging, os, posix, random, threading
CALLED = []
from os import register_at_fork
for function, when in ((os.register_at_fork, 'before'), (posix.register_at_fork, 'after_in_child'),
                       (register_at_fork, 'after_in_parent')):
    function(**{when: lambda when=when: CALLED.append(when)})
for wrong in ({}, {'before': 1}, {'after': print}):
    try:
        os.register_at_fork(**wrong)
    except TypeError as error:
        CALLED.append(str(error))
if __name__ == '__main__':
    print(CALLED, os.register_at_fork is posix.register_at_fork, os.register_at_fork, flush=True)
    register_at_fork(after_in_child=lambda: CALLED.append('given in main'))
    state, lock = random.getstate(), logging._lock
    if os.fork():
        os.wait()
    print(CALLED, random.getstate() == state, threading.current_thread() is threading.main_thread(), flush=True)
"""

# name: (prelude, main, rung). The main part prints what a wrong rung would get wrong.
CASES = {
    "nothing": ("import json", "print(json.dumps(1))", "prelude"),
    "prints": ("print('early', flush=True)", "print('late')", "interpreter"),
    "prints to fd 2": ("import os; os.write(2, b'early')", "print('late')", "interpreter"),
    "raises": ("1 / 0", "print('late')", "interpreter"),
    "exits": ("import sys; sys.exit(5)", "print('late')", "interpreter"),
    "reads argv": ("import sys; A = sys.argv[1:]", "print(A)", "interpreter"),
    "counts argv": ("import sys; A = len(sys.argv)", "print(A)", "interpreter"),
    "reads stdin": ("import sys; A = sys.stdin.read()", "print(A)", "interpreter"),
    "names argv": ("from sys import argv", "print(argv)", "prelude"),
    "seeds random": ("import random; random.seed(42)", "print(random.random())", "interpreter"),
    "sets random's state": ("import random; random.setstate(random.Random(1).getstate())", "print(random.random())",
                            "interpreter"),
    "seeds numpy": ("import numpy; numpy.random.seed(0)", "print(numpy.random.rand())", "interpreter"),
    "imports random": ("import random, numpy.random", "print(random.random() != numpy.random.rand())", "prelude"),
    "opens a file": ("F = open(__file__)", "print(len(F.read()))", "interpreter"),
    "writes a file": ("F = open('made', 'w')", "F.write('x'); F.close(); print(open('made').read())", "interpreter"),
    "makes a directory": ("import os, tempfile; D = tempfile.TemporaryDirectory()", "print(os.path.exists(D.name))",
                          "interpreter"),
    "opens an fd of its own": ("import os; os.fdopen(os.open(__file__, 0)).close()", "print('late')", "prelude"),
    "opens stdout": ("import os; F = os.fdopen(1, 'w', closefd=False)", "print(F.isatty(), file=F, flush=True)", "interpreter"),
    "opens stdin": ("F = open(0, closefd=False)", "print(F.read())", "interpreter"),
    "opens a socket": ("import socket; S = socket.socket()", "print(S.fileno() > 2)", "interpreter"),
    "opens a pipe": ("import os; P = os.pipe()", "os.write(P[1], b'x'); print(os.read(P[0], 9))", "interpreter"),
    "leaves a thread": ("import threading, time\nT = threading.Thread(target=time.sleep, args=(1e4,), daemon=True)\nT.start()",
                        "print(T.is_alive())", "interpreter"),
    "leaves a timer": ("import signal; signal.setitimer(signal.ITIMER_REAL, 0.2)", "signal.pause()", "interpreter"),
    "leaves a child": ("import subprocess; P = subprocess.Popen(['sleep', '0.2'])", "print(P.wait())", "interpreter"),
    "forks": ("import os\nos.register_at_fork(before=lambda: print('before'))\nos.fork() or os._exit(3)\nA = os.wait()[1]",
              "print(A)", "interpreter"),
    "changes the directory": ("import os; os.chdir('/')", "print(os.getcwd())", "interpreter"),
    "changes the umask": ("import os; os.umask(0o70)", "print(os.umask(0))", "interpreter"),
    "sets a variable": ("import os; os.environ['A_VARIABLE'] = 'set'", "os.system('echo $A_VARIABLE')", "prelude"),
    "removes a variable": ("import os; os.environ.pop('TERM')", "os.system('echo ${TERM-none}')", "prelude"),
    "handles a signal": ("import signal; signal.signal(signal.SIGTERM, lambda *_: print('heard'))",
                         "import os; os.kill(os.getpid(), signal.SIGTERM)", "prelude"),
    "registers an exit function": ("import atexit; atexit.register(print, 'bye')", "print('late')", "prelude"),
    "warns": ("A = 1 is 1", "print(A)", "interpreter"),
    "threads that forks end": ("import numpy", "print(numpy.ones((300, 300)).dot(numpy.ones((300, 300)))[0, 0])",
                               "prelude"),
}


@harness.each_activation
class Prelude:
    def test_each_gets_its_rung(self):
        for name, (prelude, main, rung) in CASES.items():
            with self.subTest(prelude=name):
                script = self.bed.write("script.py", f"{prelude}\n{MAIN}{main}\n")
                self.assert_same([script, "one", "two"], stdin=b"input")
                self.assertEqual(rung, self.bed.status(script)["rung"])

    def test_module_that_was_never_compiled(self):
        """The first import of it writes its compiled form, as every first run of a program does."""
        self.bed.write("never_compiled.py", "A = 1\n")
        script = self.bed.write("script.py", f"import never_compiled\n{MAIN}print(never_compiled.A)\n")
        self.bed.quick([script])
        self.assertTrue(os.path.isdir(self.bed.path("__pycache__")))
        self.assertEqual("prelude", self.bed.status(script)["rung"])

    def test_directory_that_was_read(self):
        """Served to clients in the same directory; plainly elsewhere."""
        script = self.bed.write("script.py", f"import os\nD = os.getcwd()\n{MAIN}print(D, os.getcwd())\n")
        self.assert_same([script])
        self.assert_same([script], cwd="/", served=False)
        self.assert_same([script])

    def test_functions_for_forks(self):
        """Those that the prelude registers are for the program's own forks, in which they do what they do plainly."""
        script = self.bed.write("script.py", FORKS)
        for version, python in sorted(pythons.pythons().items()):
            with self.subTest(version):
                result = self.assert_same([script], python=python, plain=[python, script])
                self.assertIn(b"'before', 'after_in_child', 'given in main'] False", result.stdout)
                state = self.bed.ctl("status", "--json", "--python", python, "--file", script).stdout
                self.assertEqual("prelude", json.loads(state)["rung"])

    def test_directory_that_multiprocessing_keeps(self):
        """It is put right, so a program that imports it is served everywhere."""
        script = self.bed.write("script.py", "import multiprocessing.process as p\n" + MAIN + "print(p.ORIGINAL_DIR)\n")
        self.assert_same([script])
        self.assert_same([script], cwd="/")

    def test_name_that_was_read(self):
        script = self.bed.write("script.py", f"import argparse\nP = argparse.ArgumentParser()\n{MAIN}P.parse_args()\n")
        self.assert_same([script, "--help"])
        os.symlink(script, self.bed.path("other"))
        relative = [harness.PYTHON, "script.py", "--help"]
        self.assertEqual(self.bed.run(relative), self.bed.run([harness.QUICKEN, "run", "--file", "script.py", "--help"]))

    def test_variable_that_was_set(self):
        """A default that a client has otherwise is the client's."""
        script = self.bed.write("script.py", "import os\nos.environ.setdefault('A_VARIABLE', 'default')\n"
                                             f"{MAIN}print(os.environ['A_VARIABLE'])\n")
        self.assert_same([script])
        self.assert_same([script], env={"A_VARIABLE": "other"}, served=False)

    def test_many_that_do_not_fit(self):
        """Clients that are rightly refused do not wear the server out."""
        script = self.bed.write("script.py", f"import os\nD = os.getcwd()\n{MAIN}print(D)\n")
        self.assert_same([script])
        for _ in range(15):
            self.assertEqual(b"/\n", self.bed.quick([script], cwd="/").stdout)
        self.assert_served([script])


if __name__ == "__main__":
    harness.main()
