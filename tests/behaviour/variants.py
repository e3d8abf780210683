"""Templates side by side: clients of whom the prelude has read different things each get one that is right for them.

That a run was a server's is told by its count of commands, which template it was by the parent's view of it: the
prelude keeps its own pid.
"""

import os
import random
import signal
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

MAIN = "if __name__ == '__main__':\n    "
SCRIPT = "import os\nTEMPLATE, KIND = os.getpid(), os.environ.get('KIND')\n" + MAIN + "print(KIND, TEMPLATE)\n"


class Variants:
    def setUp(self):
        super().setUp()
        # An edit of the same size in the same second is not seen in what is compiled (PEP 3147), quickened or not.
        self.bed.environment.update(QUICKEN_LOG_FILE=self.bed.path("log"), PYTHONDONTWRITEBYTECODE="1")
        self.script = self.bed.write("script.py", SCRIPT)

    def log(self):
        with open(self.bed.path("log")) as file:
            return file.read()

    def made(self):
        return self.log().count("ready, rung: ")

    def template(self, kind, script=None, **options):
        """Of the template that serves this kind; 0 if it is a plain run."""
        before = self.bed.commands_run(script or self.script)
        result = self.bed.quick([script or self.script], env={"KIND": kind}, **options)
        self.assertEqual((0, b""), (result.status, result.stderr))
        said, pid = result.stdout.decode().split()
        self.assertEqual(str(kind), said)
        served = harness.wait_until(lambda: self.bed.commands_run(script or self.script) > before, 0.3)
        return int(pid) if served else 0

    def test_side_by_side(self):
        """Four kinds, each with its own, whatever the order."""
        kinds = {kind: self.template(kind) for kind in "abcd"}
        self.assertEqual(4, len(set(kinds.values()) - {0}))
        order = list("abcd" * 6)
        random.Random(1).shuffle(order)
        for kind in order:
            self.assertEqual(kinds[kind], self.template(kind), kind)
        self.assertEqual(4, self.made())

    def test_least_recently_used_goes(self):
        kinds = {kind: self.template(kind) for kind in "abcd"}
        for kind in "abdacb":
            self.assertEqual(kinds[kind], self.template(kind))
        later = self.template("e")  # d was used least recently
        self.assertNotIn(later, kinds.values())
        for kind in "bc":
            self.assertEqual(kinds[kind], self.template(kind))
        self.assertNotEqual(kinds["d"], self.template("d"))
        harness.wait_until(lambda: not os.path.exists(f"/proc/{kinds['d']}"), 2)
        self.assertFalse(os.path.exists(f"/proc/{kinds['d']}"))

    def test_one_that_is_used_in_a_row(self):
        """It takes its clients itself from then on; the others still get theirs."""
        kinds = {kind: self.template(kind) for kind in "ab"}
        for _run in range(12):
            self.assertEqual(kinds["b"], self.template("b"))
        self.assertIn("takes clients itself", self.log())
        for kind in "abab":
            self.assertEqual(kinds[kind], self.template(kind))

    def test_many_at_once(self):
        """More clients than spares, of a kind that begins to take its clients itself meanwhile."""
        kinds = {kind: self.template(kind) for kind in "ab"}
        running = [self.bed.start([self.script], env={"KIND": "b"}) for _client in range(30)]
        for process in running:
            with process:
                self.assertEqual(f"b {kinds['b']}\n", process.stdout.read().decode())
        self.assertIn("takes clients itself", self.log())
        harness.wait_until(lambda: self.bed.commands_run(self.script) == 32, 2)
        self.assertEqual(32, self.bed.commands_run(self.script), "some were run plainly")

    def test_always_another(self):
        """A value that no second client has is not worth a template each time."""
        plain = [kind for kind in range(12) if not self.template(f"kind{kind}")]
        self.assertIn(len(plain), range(1, 8))
        self.assertIn("no template for clients of another kind", self.log())
        self.assertNotEqual(0, self.template("kind0"))

    def test_edit(self):
        """Of a module that all have read: all are new."""
        script = self.bed.write("edited.py", "import os, module\nKIND, TEMPLATE = os.environ.get('KIND'), os.getpid()\n"
                                + MAIN + "print(KIND + module.WORD, TEMPLATE)\n")
        templates = []
        for word in ("one", "two", "six"):
            self.bed.write("module.py", f"WORD = {word!r}\n")
            for kind in "abc":
                result = self.bed.quick([script], env={"KIND": kind})
                said, pid = result.stdout.decode().split()
                self.assertEqual(kind + word, said)
                templates.append(pid)
        self.assertEqual(9, len(set(templates)))

    def test_only_one_reads_it(self):
        """A change of what one of them alone has read."""
        script = self.bed.write("reads.py", "import os\nKIND = os.environ.get('KIND')\n"
                                "DATA = open(os.path.dirname(__file__) + '/data').read() if KIND == 'b' else ''\n"
                                + MAIN + "print(KIND, DATA)\n")
        self.bed.write("data", "old")
        for kind, data in (("a", "old"), ("b", "old"), ("b", "new"), ("a", "new"), ("b", "abc"), ("b", "def")):
            self.bed.write("data", data)
            result = self.bed.quick([script], env={"KIND": kind})
            self.assertEqual(f"{kind} {data if kind == 'b' else ''}\n", result.stdout.decode())

    def test_one_that_cannot_be(self):
        """For one kind the prelude is unfit, for another it raises: the others keep theirs."""
        script = self.bed.write("bad.py", "import os, sys, threading, time\nKIND, TEMPLATE = os.environ.get('KIND'), os.getpid()\n"
                                "if KIND == 'thread': threading.Thread(target=time.sleep, args=(.01,)).start()\n"
                                "if KIND == 'raises': raise SystemExit(7)\n"
                                "if KIND == 'dies': os.kill(os.getpid(), 9)\n" + MAIN + "print(KIND, TEMPLATE)\n")
        good = self.template("good", script)
        for kind in ("thread", "raises", "dies", "thread", "raises", "dies"):
            env = {"KIND": kind}
            plain, quick = self.bed.plain([script], env=env), self.bed.quick([script], env=env)
            same = slice(0, 1) if kind == "thread" else slice(0, 3)
            self.assertEqual(plain[same], quick[same], kind)
            self.assertEqual(good, self.template("good", script))

    def test_killed_template(self):
        """One is lost: it comes again, and the others do not mind."""
        kinds = {kind: self.template(kind) for kind in "abc"}
        os.kill(kinds["b"], signal.SIGKILL)
        for kind in "ac":
            self.assertEqual(kinds[kind], self.template(kind))
        self.assertNotIn(harness.wait_until(lambda: self.template("b")), kinds.values())
        os.kill(kinds["a"], signal.SIGKILL)
        for kind in "abc":
            self.template(kind)

    def test_killed_client(self):
        """Its command ends although its template is not the one that listens."""
        script = self.bed.write("sleep.py", "import os, time\nKIND = os.environ['KIND']\n" + MAIN
                                + "print('up', flush=True); time.sleep(600)\n")
        waiting = self.bed.start([script], env={"KIND": "a"})
        self.assertEqual(b"up\n", waiting.stdout.readline())
        other = self.bed.start([script], env={"KIND": "b"})
        self.assertEqual(b"up\n", other.stdout.readline())
        self.assertEqual(2, len(self.bed.status(script)["commands"]))
        for process in (other, waiting):
            with process:
                process.kill()
        harness.wait_until(lambda: not self.bed.status(script)["commands"], 2)
        self.assertEqual([], self.bed.status(script)["commands"])

    def test_big_request(self):
        """A large environment, many arguments, and fds go with a client that is passed on."""
        script = self.bed.write("big.py", "import os, sys\nKIND = os.environ['KIND']\n" + MAIN
                                + "print(KIND, len(os.environ['BIG']), len(sys.argv), sys.stdin.read(), os.read(7, 9))\n")
        reading, writing = os.pipe()
        try:
            for kind in "abab":
                os.write(writing, b"by fd 7")
                env = {"KIND": kind, "BIG": "x" * 100000}
                argv = ["sh", "-c", f'exec "$@" 7<&{reading}', "sh", *self.bed.quick_argv([script, *("y" * 50,) * 9000])]
                result = self.bed.run(argv, stdin=b"input", env=env, pass_fds=[reading])
                self.assertEqual(f"{kind} 100000 9001 input b'by fd 7'\n", result.stdout.decode(), result)
        finally:
            os.close(reading)
            os.close(writing)

    def test_directory_and_name(self):
        """A prelude that reads the working directory or sys.argv[0]."""
        script = self.bed.write("where.py", "import os, sys\nKIND, TEMPLATE = os.getcwd() + ':' + sys.argv[0], os.getpid()\n"
                                + MAIN + "print(KIND, TEMPLATE, os.getcwd())\n")
        os.symlink(script, self.bed.path("link.py"))
        places = ["/tmp", "/", self.bed.work]
        found = {}
        for _round in range(3):
            for place in places:
                result = self.bed.quick([script], cwd=place)
                kind, pid, now = result.stdout.decode().split()
                self.assertEqual((place + ":" + script, place), (kind, now))
                self.assertEqual(found.setdefault(place, pid), pid)
        self.assertEqual(3, len(set(found.values())))

    def test_stop_and_idle(self):
        """Nothing is left of any of them (the bed looks)."""
        for kind in "abc":
            self.template(kind)
        self.assertEqual(0, self.bed.ctl("stop", "--file", self.script).status)
        self.assertEqual([], self.bed.leftovers())
        self.bed.environment["QUICKEN_IDLE_TIMEOUT"] = "0.5"
        for kind in "abc":
            self.template(kind)
        harness.wait_until(lambda: not self.bed.processes(), 10)
        self.assertEqual(set(), self.bed.processes())

    def test_clients_at_once(self):
        """Of four kinds, while the program is edited."""
        script = self.bed.write("edited.py", "import os, module\nKIND = os.environ.get('KIND')\n"
                                + MAIN + "print(KIND, module.WORD)\n")
        self.bed.write("module.py", "WORD = '0000'\n")
        wrong, done = [], threading.Event()

        def client(kind):
            last = 0
            while not done.is_set():
                result = self.bed.quick([script], env={"KIND": kind})
                said = result.stdout.decode().split()
                if result.status or len(said) != 2 or said[0] != kind or int(said[1]) < last:
                    wrong.append((kind, last, result))
                last = int(said[1]) if len(said) == 2 else last

        clients = [threading.Thread(target=client, args=(kind,)) for kind in "abcd"]
        for each in clients:
            each.start()
        try:
            for edit in range(1, 12):
                with open(self.bed.path("new.py"), "w") as file:
                    file.write(f"WORD = '{edit:04}'\n")
                os.rename(self.bed.path("new.py"), self.bed.path("module.py"))
                threading.Event().wait(0.25)
                result = self.bed.quick([script], env={"KIND": "a"})
                self.assertEqual(f"a {edit:04}\n", result.stdout.decode(), result)
        finally:
            done.set()
            for each in clients:
                each.join()
        self.assertEqual([], wrong)


harness.each_activation(Variants)

if __name__ == "__main__":
    harness.main()
