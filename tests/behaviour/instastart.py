"""quicken.start(), done(), serve(), and instastart on top of them: `python3 script.py` is as with INSTA_DISABLE, and warm.

What is printed, exit statuses, and on a terminal screens and settings are compared with those of the same command line
under INSTA_DISABLE=yes.
"""

import concurrent.futures
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import pythons
import screen
import terminal
from signals import NOT_RELAYED
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
                     "async def c():\n    start()\n    return 5\ntry: c().send(None)\nexcept StopIteration as e: print(e.value)\n",
                     "class C:\n    start()\n    x = 1\nprint(C.x)\n",
                     "print([start() for _ in range(2)])\n",
                     "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    start()\n    import sys\n    print(sys.exc_info()[0])\n"):
            with self.subTest(body=body):
                script = self.bed.write("fast.py", IMPORT + FORKED + body + "if not 'plain': print(forked())\n")
                self.compare([script])

    def test_in_an_imported_module(self):
        """Also while that is being imported, with the script knowing nothing of it."""
        for place in "import", "call":
            start = "start()\n" if place == "import" else "def run():\n    start()\n    print('ran', sys.argv[1:])\n"
            self.bed.write("app.py", IMPORT + FORKED + "import sys\n" + start + "LATER = sys.argv[1:]\n" * (place == "import"))
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

    def test_how_a_script_says_it(self):
        """By any form of import of either package; run by `quicken` itself, too."""
        for imported, call in (("from quicken import start", "start()"), ("import quicken", "quicken.start()"),
                               ("import quicken as q", "q.start()"), ("from quicken import start as s", "s()"),
                               ("from quicken import serve", "with serve(): pass"), ("from quicken import *", "start()"),
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
        self.bed.write("mod.py", IMPORT + FORKED + "import sys\ndef f():\n    start()\n    print(sys.argv[1:], __spec__.name)\n"
                       "    print(forked())\nf()\n")
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
                self.assertEqual(harness.Result(0, b"['x']\nTrue True\n", b""), self.run_script([script, "x"], python=python))


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
        self.check("if len(sys.argv) < 2:\n    open('log', 'a').write('usage\\n')\n    sys.exit(2)\nstart()\n", "usage\n")
        self.check("def f():\n    open('log', 'a').write('one\\n')\n    if 'never' in os.environ: start()\nf()\n", "one\n")

    def test_a_child(self):
        self.check("import subprocess\nsubprocess.run(['sh', '-c', 'echo one >>log'])\nstart()\n", "one\n")
        self.check("os.system('echo one >>log')\nstart()\n", "one\n")

    def test_what_is_found_late_otherwise(self):
        """A database, a file's mode, a datagram, in the prelude of a program that gets to its start()."""
        self.check("import sqlite3\nd = sqlite3.connect('db'); d.execute('create table if not exists t (x)')\n"
                   "d.execute('insert into t values (1)'); d.commit()\nn = d.execute('select count(*) from t').fetchone()[0]\n"
                   "d.close()\nstart()\nopen('log', 'a').write('%d\\n' % n)\nprint('end')\n", None)
        self.check("import socket\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
                   "try: s.sendto(b'x', 'receiver')\nexcept OSError: pass\ns.close()\nopen('log', 'a').write('one\\n')\nstart()\n", "one\n")

    def test_removed_and_made(self):
        self.check("os.mkdir('d')\nos.rmdir('d')\nopen('log', 'a').write('one\\n')\n", "one\n")

    def test_in_an_import(self):
        self.check("import app\n", "one\n", files=[("app.py", "open('log', 'a').write('one\\n')\n")])

    def test_an_exception(self):
        self.check("open('log', 'a').write('one\\n')\n1 / 0\n", "one\n")

    def test_from_the_top(self):
        """A program that reads its arguments before start() is run from its top, its imports in advance."""
        script = self.bed.write("fast.py", IMPORT + "import decimal, json, sys\nif 'x' in sys.argv: print('x')\nstart()\nprint('end')\n")
        self.compare([script, "x"], rung="interpreter")


class Ends(Insta):
    def test_statuses(self):
        for end in ("pass", "sys.exit()", "sys.exit(7)", "sys.exit(300)", "sys.exit('words')", "raise ValueError('x')",
                    "raise KeyboardInterrupt", "os._exit(9)", "os.kill(os.getpid(), 9)", "os.abort()", "done()"):
            for place in "start()\n{}\n", "def f():\n    start()\n    {}\nf()\n", "{}\nstart()\n":
                script = self.bed.write("fast.py", IMPORT + "import os, sys\nprint('one')\n" + place.format(end) + "print('two')\n")
                with self.subTest(end=end, place=place):
                    self.compare([script], served=False)

    def test_done_status(self):
        """In a plain run it is the program's own end that counts."""
        for status in 0, 1, 77, 255:
            script = self.bed.write("fast.py", IMPORT + f"start()\nprint('out')\ndone({status})\nprint('later')\n")
            for _ in range(2):
                self.assertEqual(harness.Result(status, b"out\nlater\n", b""), self.run_script([script]))
        for wrong in "'x'", "None", "1.5":
            script = self.bed.write("fast.py", IMPORT + f"start()\ntry: done({wrong})\nexcept TypeError as e: print('wrong')\n")
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
                             "threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()\ndone(1)\nprint('x')\n")
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
        script = self.bed.write("done.py", "import quicken, time\nif __name__ == '__main__':\n    print('a')\n    quicken.done(6)\n    print('b')\n")
        for _ in range(2):
            self.assertEqual(harness.Result(6, b"a\nb\n", b""), self.bed.quick([script]))


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


ABOUT = IMPORT + """
import sys, os, signal
def main():
    start()
    status = [line for line in open('/proc/self/status') if line.startswith(('SigIgn', 'SigBlk', 'SigCgt'))]
    print(sys.argv, list(sys.flags), sys.warnoptions, sorted(sys._xoptions), sys.executable, sys.prefix, __file__, __name__)
    print(sorted(os.environ.items()), status, getattr(sys, 'orig_argv', None), sys.path, os.getcwd())
    print(sys.stdout.encoding, sys.stdout.errors, sys.getfilesystemencoding(), 'instastart.auto' in sys.modules)
    print(open('/proc/self/cmdline').read(), sorted(os.listdir('/proc/self/fd'))[:-1], sorted(dir(__builtins__)))
main()
"""


class Surroundings(Insta):
    """The interpreter that was asked for, as it would be, and nothing of ours to be seen."""

    def test_options(self):
        script = self.bed.write("about.py", ABOUT)
        for options in ([], ["-O"], ["-OO", "-B"], ["-X", "dev"], ["-Xutf8"], ["-W", "error", "-Wdefault"], ["-bb", "-s"],
                        ["-u"], ["-OBWignore"], ["-OX", "dev"]):
            with self.subTest(options=options):
                self.compare([script, "-x", "a b", ""], options=options, env=self.disable_is_seen())

    def disable_is_seen(self):
        """INSTA_DISABLE is a variable too: set for both, to something else."""
        return {"INSTA_DISABLE": "0"}

    def compare(self, argv, env=None, **more):
        normal = lambda result: result._replace(stdout=result.stdout.replace(b"('INSTA_DISABLE', 'yes')", b"('INSTA_DISABLE', '0')"))
        run = self.run_script
        self.run_script = lambda *a, **o: normal(run(*a, **o))
        try:
            return super().compare(argv, env=env, **more)
        finally:
            self.run_script = run

    def test_environments(self):
        script = self.bed.write("about.py", ABOUT)
        for env in ({"LANG": None}, {"LANG": "C"}, {"LC_ALL": "C"}, {"LANG": None, "LC_CTYPE": "C.UTF-8"}, {"PYTHONUTF8": "1"},
                    {"PYTHONDONTWRITEBYTECODE": "1"}, {"A": "", "PYTHONOPTIMIZE": "2"}):
            with self.subTest(env=env):
                self.compare_in(script, dict(env, INSTA_DISABLE="0"))

    def compare_in(self, script, env):
        """As compare(), where the server is another because of the environment."""
        expected = self.run_script([script], env=dict(env, INSTA_DISABLE="yes"))
        expected = expected._replace(stdout=expected.stdout.replace(b"('INSTA_DISABLE', 'yes')", b"('INSTA_DISABLE', '0')"))
        for what in "cold", "warm":
            self.assert_result(expected, self.run_script([script], env=env), what)

    def test_ignored_signals(self):
        script = self.bed.write("about.py", ABOUT)
        expected = None
        for disable in "yes", "0", "0":
            line = f"trap '' INT HUP; exec {harness.PYTHON} {script}"
            result = self.bed.run(["sh", "-c", line], env={"INSTA_DISABLE": disable})
            result = result._replace(stdout=result.stdout.replace(b"'yes'", b"'0'"))
            expected = expected or result
            self.assert_result(expected, result, disable)

    def test_plain_fallback(self):
        """Refused by quicken it is run by the same interpreter, once, with nothing of the way to be seen."""
        script = self.bed.write("about.py", ABOUT)
        env = {"QUICKEN_ACTIVATION": "none"}
        expected = self.run_script([script, "x"], env=dict(env, INSTA_DISABLE="yes"))
        actual = self.run_script([script, "x"], env=dict(env, INSTA_DISABLE="0"))
        self.assertEqual(expected.stdout.replace(b"'yes'", b"'0'"), actual.stdout)
        self.assertEqual((expected.status, expected.stderr), (actual.status, actual.stderr))

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
        """The packages alone, as of a wheel: plain, unless the client is on PATH; another program of its name is not it."""
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
                            (["-i", "fast.py"], b""), (["-i"], b"import fast\n"), (["tool.py"], b""), (["runner.py"], b""),
                            (["-m", "tool"], b""), (["-m", "runpy", "fast"], b""), (["-m", "cProfile", "-o", "prof", "fast.py"], b""),
                            (["-m", "trace", "--count", "-C", "counts", "fast.py"], b"")):
            with self.subTest(argv=argv):
                expected = self.bed.run([harness.PYTHON, *argv], stdin=stdin, env={"INSTA_DISABLE": "yes"})
                self.assert_result(expected, self.bed.run([harness.PYTHON, *argv], stdin=stdin), "enabled")
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
        script = self.bed.write("late.py", FORKED + "if __name__ == '__main__':\n    from instastart.auto import start\n"
                                "    start()\n    print(forked())\n")
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
        self.done("print('first'); done()" + wait + "os.system('echo child')", at_prompt, make_file("go"), r"child\n", b"\r")
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
                  terminal.soon("xxx"), b"echo hi$((1))>file; >go\r", file_has("file", b"hi1"), terminal.soon("last"), b"clear\r")



if __name__ == "__main__":
    harness.main()
