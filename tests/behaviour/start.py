"""quicken.start(), done() and serve(), wherever a program calls them: as plain, and what comes before is run once.

Run by python3 itself, through instastart; so the plain run is that under INSTA_DISABLE=yes.
"""

import os
import re
import resource
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import pythons
from instastart import FORKED, IMPORT, PACKAGES, Insta
from signals import NOT_RELAYED


class Served(Insta):
    """Wherever start() stands."""

    def test_example(self):
        script = self.bed.write("fast.py", IMPORT + """
import argparse, asyncio, decimal, json, sys
start()
parser = argparse.ArgumentParser()
parser.add_argument('--name', default='nobody')
print(json.dumps(vars(parser.parse_args())), sys.argv, __file__, __name__)
done()
""")
        self.compare([script])
        self.compare([script, "--name", "a b"])
        self.compare([script, "--help"])
        self.compare([script, "--wrong"])
        self.assertIn(b"a b", self.compare(["fast.py", "--name", "a b"], served=False).stdout)

    def test_in_a_function(self):
        script = self.bed.write("fast.py", IMPORT + FORKED + """
def inner(things):
    with open(__file__) as file:
        things.append(len(file.read()))
    start()
    things.append(sys.argv[1:])
    return things
def outer():
    local = {'a': 1}
    return [local, *inner([])], sorted(locals())
import sys
print(outer())
print(sum(value for value in (outer()[0][1], 2)))
""")
        self.compare([script, "x"])
        with open(script, "a", encoding="utf-8") as file:
            file.write("print(forked())\n")
        self.assertTrue(self.is_forked([script]))

    def test_in_a_generator_and_a_coroutine(self):
        for body in ("def g():\n    yield 1\n    start()\n    yield 2\nprint(list(g()))\n",
                     "async def c():\n    start()\n    return 5\ntry: c().send(None)\n"
                     "except StopIteration as e: print(e.value)\n",
                     "class C:\n    start()\n    x = 1\nprint(C.x)\n",
                     "print([start() for _ in range(2)])\n",
                     "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    start()\n    import sys\n"
                     "    print(sys.exc_info()[0])\n"):
            with self.subTest(body=body):
                script = self.bed.write("fast.py", IMPORT + FORKED + body + "if not 'plain': print(forked())\n")
                self.compare([script])

    def test_in_an_imported_module(self):
        """Also while that is being imported, with the script knowing nothing of it."""
        for place in "import", "call":
            start = "start()\n" if place == "import" else "def run():\n    start()\n    print('ran', sys.argv[1:])\n"
            later = "LATER = sys.argv[1:]\n" * (place == "import")
            self.bed.write("app.py", IMPORT + FORKED + "import sys\n" + start + later)
            call = "print(app.LATER, app.start)\n" if place == "import" else "app.run()\nprint(app.start)\n"
            script = self.bed.write(place + ".py", "import app\n" + call)
            with self.subTest(place=place):
                normal = re.compile(rb" at 0x[0-9a-f]+")
                seen = [normal.sub(b"", self.run_script([script, "x"], env={"INSTA_DISABLE": disable}).stdout)
                        for disable in ("yes", "", "")]
                self.assertEqual([seen[0]] * 2, seen[1:])
                self.assertIn(b"['x']", seen[0])
                with open(script, "a", encoding="utf-8") as file:
                    file.write("print(app.forked())\n")
                self.assertTrue(self.is_forked([script]))

    def test_serve(self):
        for body in ("with serve(): print('in')\nprint('after')\n", "with serve(autodone=False): print('in')\n",
                     "with serve(): sys.exit(3)\n", "with serve(): 1 / 0\n", "with serve(): sys.exit('words')\n",
                     "try:\n    with serve(): sys.exit(3)\nexcept SystemExit: print('caught')\n"):
            with self.subTest(body=body):
                self.compare([self.bed.write("fast.py", IMPORT + "import sys\n" + body)])

    def test_what_the_package_has_besides(self):
        """after_fork and warming, of which the fork point is the start()."""
        script = self.bed.write("fast.py", """
import quicken, sys
from instastart.auto import start
said = [bool(quicken.warming)]
quicken.after_fork(lambda: print('hook', sys.argv[1:]))
def main():
    start()
    print('main', bool(quicken.warming))
    quicken.after_fork(lambda: print('at once'))
main()
if len(sys.argv) > 2: print(said)
""")
        self.assertEqual(b"hook ['x']\nmain False\nat once\n", self.compare([script, "x"]).stdout)
        self.assertIn(b"[True]", self.run_script([script, "x", "y"]).stdout)

    def test_how_a_script_says_it(self):
        """By any form of import of either package; run by `quicken` itself, too."""
        for imported, call in (("from quicken import start", "start()"), ("import quicken", "quicken.start()"),
                               ("import quicken as q", "q.start()"), ("from quicken import start as s", "s()"),
                               ("from quicken import serve", "with serve(): pass"),
                               ("from quicken import *", "start()"),
                               ("import instastart.auto", "instastart.auto.start()"),
                               ("from instastart import auto", "auto.start()"),
                               ("def f():\n    import quicken\n    quicken.start()", "f()")):
            script = self.bed.write("said.py", f"{FORKED}{imported}\ndef g():\n    {call}\ng()\nprint(forked())\n")
            with self.subTest(imported=imported):
                self.bed.quick([script])
                self.assertEqual(harness.Result(0, b"True\n", b""), self.bed.quick([script]))

    def test_what_says_nothing(self):
        """Another start(), or none that is called: `if __name__` is the fork point, and start() does nothing."""
        for text in ("def start(): pass\nstart()", "from threading import Thread as quicken\nquicken().start()",
                     "import quicken, later\nlater.begin()", "from quicken import start"):
            self.bed.write("later.py", "import quicken\ndef begin(): quicken.start()\n")
            script = self.bed.write("said.py", FORKED + text + "\nif __name__ == '__main__':\n    print(forked())\n")
            with self.subTest(text=text):
                self.bed.quick([script])
                self.assertEqual(harness.Result(0, b"True\n", b""), self.bed.quick([script]))

    def test_an_option_says_it(self):
        """For a script, a module and an entry of which start() is in a module that they import."""
        self.bed.write("deep.py", FORKED + "import quicken\ndef run():\n    quicken.start()\n    print(forked())\n")
        script = self.bed.write("said.py", "import deep\nif __name__ == '__main__':\n    deep.run()\n")
        path = {"PYTHONPATH": PACKAGES + ":" + self.bed.work}
        for program in (["--file", script], ["-m", "said"], ["--entry", "deep:run"]):
            with self.subTest(program=program):
                argv = [harness.QUICKEN, "run", "--fork-point", "start", *program]
                self.bed.run(argv, env=path)
                self.assertEqual(harness.Result(0, b"True\n", b""), self.bed.run(argv, env=path))

    def test_a_module(self):
        self.bed.write("mod.py", IMPORT + FORKED + "import sys\ndef f():\n    start()\n"
                       "    print(sys.argv[1:], __spec__.name)\n    print(forked())\nf()\n")
        self.assertTrue(self.is_forked(["-m", "mod", "-x"]))
        self.assertTrue(self.is_forked(["-Om", "mod"]))

    def test_every_python(self):
        found = pythons.pythons()
        self.assertTrue(found)
        script = self.bed.write("fast.py", IMPORT + FORKED + """
import json, sys
def main():
    start()
    with serve(): print(json.dumps([sys.argv, list(sys.version_info), sys.executable, sys.flags.optimize]))
    done()
    print('after')
main()
""")
        for version, python in found.items():
            with self.subTest(version=version):
                self.compare([script, "a"], python=python, options=["-O"])

    def test_every_python_within_an_import(self):
        for version, python in pythons.pythons().items():
            self.bed.write("app.py", IMPORT + FORKED + "import sys\nstart()\nimport decimal\nprint(sys.argv[1:])\n")
            script = self.bed.write("fast.py", "import app, app as again\nprint(app is again, app.forked())\n")
            with self.subTest(version=version):
                self.run_script([script, "x"], python=python)
                self.assertEqual(harness.Result(0, b"['x']\nTrue True\n", b""),
                                 self.run_script([script, "x"], python=python))


class Once(Insta):
    """What a program does that does not get to its start() is done once a run."""

    def check(self, text, expected, argv=(), files=()):
        """The file `log` after three runs, and what each has printed."""
        for name, content in files:
            self.bed.write(name, content)
        script = self.bed.write("fast.py", IMPORT + "import os, sys\n" + text)
        log = self.bed.path("log")
        results = [self.run_script([script, *argv], env={"INSTA_DISABLE": disable}) for disable in ("yes", "", "")]
        self.assertEqual([results[0]] * 2, results[1:])
        with open(log, encoding="utf-8") as file:
            self.assertEqual(expected * 3 if expected else "1\n2\n3\n", file.read())
        os.unlink(log)

    def test_a_file(self):
        self.check("print('here')\nwith open('log', 'a') as f: f.write('one\\n')\nprint('there')\n", "one\n")

    def test_start_that_is_not_reached(self):
        self.check("if len(sys.argv) < 2:\n    open('log', 'a').write('usage\\n')\n    sys.exit(2)\nstart()\n",
                   "usage\n")
        self.check("def f():\n    open('log', 'a').write('one\\n')\n    if 'never' in os.environ: start()\nf()\n",
                   "one\n")

    def test_a_child(self):
        self.check("import subprocess\nsubprocess.run(['sh', '-c', 'echo one >>log'])\nstart()\n", "one\n")
        self.check("os.system('echo one >>log')\nstart()\n", "one\n")

    def test_what_is_found_late_otherwise(self):
        """A database, a file's mode, a datagram, in the prelude of a program that gets to its start()."""
        self.check("import sqlite3\nd = sqlite3.connect('db'); d.execute('create table if not exists t (x)')\n"
                   "d.execute('insert into t values (1)'); d.commit()\n"
                   "n = d.execute('select count(*) from t').fetchone()[0]\n"
                   "d.close()\nstart()\nopen('log', 'a').write('%d\\n' % n)\nprint('end')\n", None)
        self.check("import socket\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
                   "try: s.sendto(b'x', 'receiver')\nexcept OSError: pass\ns.close()\n"
                   "open('log', 'a').write('one\\n')\nstart()\n", "one\n")

    def test_removed_and_made(self):
        self.check("os.mkdir('d')\nos.rmdir('d')\nopen('log', 'a').write('one\\n')\n", "one\n")

    def test_in_an_import(self):
        self.check("import app\n", "one\n", files=[("app.py", "open('log', 'a').write('one\\n')\n")])

    def test_an_exception(self):
        self.check("open('log', 'a').write('one\\n')\n1 / 0\n", "one\n")

    def test_from_the_top(self):
        """A program that reads its arguments before start() is run from its top, its imports in advance."""
        script = self.bed.write("fast.py", IMPORT + "import decimal, json, sys\nif 'x' in sys.argv: print('x')\n"
                                "start()\nprint('end')\n")
        self.compare([script, "x"], rung="interpreter")


class Ends(Insta):
    def test_statuses(self):
        for end in ("pass", "sys.exit()", "sys.exit(7)", "sys.exit(300)", "sys.exit('words')", "raise ValueError('x')",
                    "raise KeyboardInterrupt", "os._exit(9)", "os.kill(os.getpid(), 9)", "os.abort()", "done()"):
            for place in "start()\n{}\n", "def f():\n    start()\n    {}\nf()\n", "{}\nstart()\n":
                script = self.bed.write("fast.py", IMPORT + "import os, sys\nprint('one')\n" + place.format(end) +
                                        "print('two')\n")
                with self.subTest(end=end, place=place):
                    self.compare([script], served=False)

    def test_done_status(self):
        """In a plain run it is the program's own end that counts."""
        for status in 0, 1, 77, 255:
            script = self.bed.write("fast.py", IMPORT + f"start()\nprint('out')\ndone({status})\nprint('later')\n")
            for _ in range(2):
                self.assertEqual(harness.Result(status, b"out\nlater\n", b""), self.run_script([script]))
        for wrong in "'x'", "None", "1.5":
            script = self.bed.write("fast.py", IMPORT + f"start()\ntry: done({wrong})\n"
                                    "except TypeError as e: print('wrong')\n")
            self.assertEqual(b"wrong\n", self.compare([script]).stdout)

    def test_every_deadly_signal(self):
        script = self.bed.write("fast.py", IMPORT + "import time\nstart()\nprint('up', flush=True)\ntime.sleep(20)\n")
        stops = {signal.SIGTSTP, signal.SIGTTIN, signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT}
        limits = lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        self.run_script([self.bed.write("other.py", "")])
        for number in [number for number in range(1, 65) if number not in NOT_RELAYED - {signal.SIGKILL} | stops]:
            seen = []
            for disable in "yes", "":
                process = subprocess.Popen([harness.PYTHON, script], env=self.bed.env({"INSTA_DISABLE": disable}),
                                           cwd=self.bed.work, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                           preexec_fn=limits)
                self.assertEqual(b"up\n", process.stdout.readline())
                time.sleep(0.1 if number == signal.SIGINT else 0)  # so that it is the same line that is interrupted
                process.send_signal(number)
                if number in (signal.SIGPIPE, signal.SIGXFSZ):  # ignored by an interpreter
                    time.sleep(0.1)
                    process.terminate()
                out, err = process.communicate(timeout=10)
                seen.append((process.returncode, out, err))
            with self.subTest(signal=number):
                self.assertEqual(seen[0], seen[1])


class Done(Insta):
    """The client has ended, the program goes on."""

    def start(self, body, **options):
        script = self.bed.write("fast.py", IMPORT + "import os, sys, time\nstart()\n" + body)
        self.run_script([self.bed.write("warm.py", IMPORT + "start()\n")])
        process = subprocess.Popen([harness.PYTHON, script], env=self.bed.env(), cwd=self.bed.work,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
        self.addCleanup(lambda: (process.stdout.close(), process.kill(), process.wait()))
        return process

    def wait_for_go(self):
        return "\nwhile not os.path.exists('go'): time.sleep(0.02)\n"

    def go(self):
        self.bed.write("go", "")

    def test_ends_at_once(self):
        """Before the rest is run, whose output still comes; in the order in which it was printed."""
        process = self.start("print('first')\ndone(5)" + self.wait_for_go() + "print('last')\n")
        self.assertEqual(5, process.wait(10))
        self.go()
        self.assertEqual(b"first\nlast\n", process.stdout.read())

    def test_what_goes_wrong_later(self):
        for later in "1 / 0", "sys.exit(9)", "os._exit(9)", "os.kill(os.getpid(), 15)", "done(6)", "sys.stdout.close()":
            with self.subTest(later=later):
                process = self.start(f"done(5)\n{later}\n")
                self.assertEqual(5, process.wait(10))
                process.stdout.read()
                self.assertTrue(harness.wait_until(lambda: self.running() == 0, 5))

    def running(self):
        return self.status(self.bed.path("fast.py"))["commands_running"]

    def test_it_is_a_command_until_it_ends(self):
        """The server does not end before it, and stops it when it is stopped."""
        self.bed.environment["INSTA_TIMEOUT"] = "0.2"
        process = self.start("done()" + self.wait_for_go())
        self.assertEqual(0, process.wait(10))
        time.sleep(0.6)
        self.assertEqual(1, self.running())
        self.go()
        self.assertTrue(harness.wait_until(lambda: not self.bed.processes(), 10))

    def test_signals_no_longer_reach_it(self):
        """Its client's end, however it comes, is none of its business."""
        process = self.start("print('up', flush=True)\ndone()" + self.wait_for_go() + "print('end')\n")
        self.assertEqual(b"up\n", process.stdout.readline())
        self.assertEqual(0, process.wait(10))
        time.sleep(0.5)  # the server looks at clients of commands every 0.2 s
        self.go()
        self.assertEqual(b"end\n", process.stdout.read())

    def test_the_last_words_of_exit_functions(self):
        process = self.start("import atexit, threading\natexit.register(print, 'bye')\n"
                             "threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()\n"
                             "done(1)\nprint('x')\n")
        self.assertEqual(1, process.wait(10))
        self.assertEqual(b"x\nthread\nbye\n", process.stdout.read())

    def test_in_a_child(self):
        """Only the command itself has a client to tell."""
        script = self.bed.write("fast.py", IMPORT + "import os, sys\nstart()\nsys.stdout.flush()\n"
                                "if not os.fork():\n    done(7)\n    os._exit(0)\nprint(os.wait()[1])\n")
        self.compare([script])

    def test_in_a_thread(self):
        process = self.start("import threading\nt = threading.Thread(target=done, args=(4,))\nt.start(); t.join()"
                             + self.wait_for_go() + "print('end')\n")
        self.assertEqual(4, process.wait(10))
        self.go()
        self.assertEqual(b"end\n", process.stdout.read())

    def test_before_start(self):
        script = self.bed.write("fast.py", IMPORT + "print('a')\ndone(6)\nprint('b')\nstart()\nprint('c')\n")
        for _ in range(2):
            self.assertEqual(harness.Result(6, b"a\nb\nc\n", b""), self.run_script([script]))

    def test_without_start(self):
        """Of a program whose fork point is `if __name__`."""
        script = self.bed.write("done.py", "import quicken, time\nif __name__ == '__main__':\n    print('a')\n"
                                "    quicken.done(6)\n    print('b')\n")
        for _ in range(2):
            self.assertEqual(harness.Result(6, b"a\nb\n", b""), self.bed.quick([script]))


if __name__ == "__main__":
    harness.main()
