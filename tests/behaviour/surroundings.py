"""The programs of the subject `debian` in changed surroundings, one after the other on one server: locale, variables, home, terminal.

Each change is run plainly and quickened, twice, and what is seen is compared to the byte. In the end a table tells which
rung each program has reached, and why not the top one.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import termios
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import debian
import harness

# What is changed, and whether in the way that shows help (which is wrapped) or in one that does something.
VARIABLES = (
    ("LANG=C", {"LANG": "C"}, False),
    ("LANG=de_DE.UTF-8", {"LANG": "de_DE.UTF-8"}, False),
    ("NO_COLOR=1", {"NO_COLOR": "1"}, False),
    ("FORCE_COLOR=1", {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}, False),
    ("COLUMNS=47", {"COLUMNS": "47"}, True),
    ("another HOME", {"HOME": "{other}"}, False),
    ("TERM=xterm-256color", {"TERM": "xterm-256color"}, False),
    ("an unknown variable", {"SOMETHING_ELSE": "x"}, False),
)
TERMINALS = ((24, 80), (40, 133))
ABSENT = [name for name, *_ in debian.PROGRAMS if not os.path.exists("/usr/bin/" + name)]


class Screen:
    def on_terminal(self, argv, env, place, size, typed=b""):
        """All that the terminal gets of a command whose controlling terminal it is, and its exit status.

        What is typed is typed before the command is started.
        """
        master, slave = os.openpty()
        with open(master, "r+b", buffering=0) as terminal:
            termios.tcsetwinsize(slave, size)
            terminal.write(typed)
            process = subprocess.Popen(argv, env=self.bed.env(env), cwd=place, stdin=slave, stdout=slave, stderr=slave,
                                       start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
            os.close(slave)
            killer = threading.Timer(harness.TIMEOUT, process.kill)
            killer.start()
            shown = b""
            try:
                while part := terminal.read(65536):
                    shown += part
            except OSError:
                pass  # EIO: nobody has it open any more
            status = process.wait(harness.TIMEOUT)
            killer.cancel()
            return b"%d\n" % status + shown


class Surroundings(Screen, debian.Runs):
    rungs = {}

    def program(self, name, ways, prepare):
        path = "/usr/bin/" + name
        doing = next(way for way in ways[2:] if not way["stdin"])
        self.prepare(prepare)
        self.other = self.bed.path("other home")
        for what, change, helps in VARIABLES:
            env = {key: value.format(other=self.other) for key, value in change.items()}
            with self.subTest(what):
                self.assert_alike(path, ways[0] if helps else doing, env)
        with self.subTest("no change"):
            self.assert_alike(path, doing, {})
        for size in TERMINALS:
            with self.subTest(terminal=size):
                self.assert_alike(path, ways[0], {"TERM": "xterm-256color", "PAGER": "cat"}, size)
        status = self.bed.status(path)
        self.rungs[name] = status.get("rung") or status.get("state"), status.get("reason")

    def assert_alike(self, path, way, env, size=None):
        expected = self.seen([path], way, env, size)
        for run in range(2):
            self.assert_outcome(expected, self.seen(self.bed.quick_argv([path]), way, env, size))

    def seen(self, argv, way, env, size):
        place = self.bed.path("place")
        for folder in (place, self.bed.home, self.other):
            shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(self.bed.home)
        os.mkdir(self.other)
        shutil.copytree(self.pristine, place, symlinks=True)
        argv = [*argv, *way["words"]]
        if size:
            seen = {"screen": self.on_terminal(argv, env, place, size)}
        else:
            with open(os.devnull, "rb") as stdin:
                seen = self.bed.run(argv, cwd=place, env=env, stdin_file=stdin)._asdict()
        return debian.masked({**seen, **debian.read_files(place)}, way)

    @classmethod
    def tearDownClass(cls):
        print(f"\n{sum(rung == 'prelude' for rung, _ in cls.rungs.values())} of {len(cls.rungs)} programs reach the top rung.")
        for name, (rung, reason) in sorted(cls.rungs.items()):
            print(f"  {name:18} {rung:12} {reason if rung != 'prelude' else ''}")
        sys.stdout.flush()


def test_of(name, ways, prepare):
    def test(self):
        self.program(name, ways, prepare)

    return unittest.skipIf(name in ABSENT, f"{name} is not installed")(test)


TESTS = {"test_" + name.replace("-", "_"): test_of(name, ways, prepare) for name, ways, prepare in debian.PROGRAMS}
Surroundings_self = type("Surroundings_self", (Surroundings, harness.Case),
                         {"activation": "self", "__module__": __name__, **TESTS})

if __name__ == "__main__":
    harness.main()
