"""Launchers, written by `quickenctl wrap`: they run their original as if by its own path. `unwrap` removes them."""

import os
import platform
import shutil
import signal
import stat
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import calls
import debian
import harness
import surroundings

LEAST_PROGRAMS = 20
INSTALLED = [row for row in debian.PROGRAMS if os.path.exists("/usr/bin/" + row[0])]

# link, linkat, rename, renameat, renameat2, unlink, unlinkat
NAMING = {"x86_64": (86, 265, 82, 264, 316, 87, 263), "aarch64": (37, 38, 276, 35)}[platform.machine()]

# What a program can see of how it was started.
MIRROR = """#!{interpreter}
import sys
WARM = __name__ == '__main__' and 'x'
if __name__ == '__main__':
    with open('/proc/self/cmdline', 'rb') as file:
        print(file.read())
    with open('/proc/self/comm') as file:
        print(file.read())
    print(ascii([sys.argv, getattr(sys, 'orig_argv', None), __file__, sys.path, sys.flags, sys.prefix, sys.executable]))
    if sys.argv[1:] == ['fail']:
        raise ValueError('in a traceback')
    sys.exit(len(sys.argv))
"""

# As uv writes the scripts of an environment that may be moved.
MOVABLE = """#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/'python' "$0" "$@"
' '''
"""


def snapshot(folder):
    """What is at each path: its identity, times and content."""
    return {entry.name: (entry.stat(follow_symlinks=False), debian.read_files(folder).get("file " + entry.name))
            for entry in os.scandir(folder)}


def names(folder):
    return sorted(os.listdir(folder))


class Wrapping:
    """What the tests share: `self.bin` is where launchers go, `self.home` where they go without --into."""

    def setUp(self):
        super().setUp()
        self.bin = self.bed.path("bin")
        self.home = os.path.join(self.bed.home, ".local", "bin")

    def script(self, name, content=MIRROR, interpreter=harness.PYTHON, mode=0o755):
        return self.bed.write(name, content.replace("{interpreter}", interpreter).encode(), mode)

    def wrap(self, *words, status=0, **options):
        result = self.bed.ctl("wrap", *words, **options)
        self.assertEqual(status, result.status, result)
        return result

    def unwrap(self, *words, status=0, **options):
        result = self.bed.ctl("unwrap", *words, **options)
        self.assertEqual(status, result.status, result)
        return result

    def wrapped(self, path, **options):
        """The launcher of a script."""
        self.wrap("--into", self.bin, path, **options)
        return os.path.join(self.bin, os.path.basename(path))

    def assert_like_plain(self, path, launcher, *arguments, served=True, normal=lambda result: result, **options):
        """Run by its launcher, first and warm, as by its own path."""
        plain = normal(self.bed.run([path, *arguments], **options))
        before = self.bed.commands_run(path) if served else 0
        for what in "first", "warm":
            self.assert_result(plain, normal(self.bed.run([launcher, *arguments], **options)), what)
        if served:
            self.assert_count(before + 2, lambda: self.bed.commands_run(path), "the server has not run both")
        return plain


@harness.each_activation
class Programs(Wrapping, debian.Runs):
    """All programs of the subject `debian` that are installed, wrapped with one command."""

    def compare_launched(self, path, launcher, ways, prepare):
        shutil.rmtree(self.bed.path("pristine"), ignore_errors=True)
        self.prepare(prepare)
        plain = [self.outcome([path], index, way) for index, way in enumerate(ways)]
        for number, index in enumerate((0, 1, 0), 1):
            way = ways[index]
            with self.subTest(launcher, line=way["line"], run=number):
                self.assertEqual(way["status"], plain[index]["status"])
                self.assert_outcome(plain[index], self.outcome([launcher], index, way))
        self.assert_count(3, lambda: self.bed.commands_run(path), f"{path}: not all were the server's")
        self.assertEqual(0, self.bed.ctl("stop", "--file", launcher).status)

    def test_wrapped_with_one_command(self):
        self.assertGreaterEqual(len(INSTALLED), LEAST_PROGRAMS)
        programs = INSTALLED if self.activation == "systemd" else INSTALLED[::4]
        done = self.wrap("--into", self.bin, *(name for name, *_ in programs),
                         env={"PATH": self.bin + ":" + harness.PATH})
        self.assertEqual(b"", done.stderr)
        self.assertEqual(sorted(name for name, *_ in programs), names(self.bin))
        for name, ways, prepare in programs:
            self.compare_launched("/usr/bin/" + name, os.path.join(self.bin, name), ways[1:4:2], prepare)
        self.assertEqual(b"", self.unwrap("--into", self.bin, *(name for name, *_ in programs)).stderr)
        self.assertEqual([], names(self.bin))


@harness.each_activation
class Launched(Wrapping, surroundings.Screen):
    def test_what_the_program_sees(self):
        path = self.script("mirror")
        launcher = self.wrapped(path)
        for arguments in ((), ("a b", "", "--", "-x"), ("fail",)):
            with self.subTest(arguments=arguments):
                self.assert_like_plain(path, launcher, *arguments)
        self.assertIn(b"in a traceback", self.bed.run([launcher, "fail"]).stderr)

    def test_on_a_terminal(self):
        path = self.script("asks", "#!{interpreter}\nif __name__ == '__main__':\n    print(open('/proc/self/comm').read())\n"
                                   "    print(input('name? '), flush=True)\n    print(open('/dev/tty').isatty())\n")
        launcher = self.wrapped(path)
        plain = self.on_terminal([path], {}, self.bed.work, (24, 80), b"me\n")
        self.assertIn(b"asks", plain)
        for what in "first", "warm":
            self.assertEqual(plain, self.on_terminal([launcher], {}, self.bed.work, (24, 80), b"me\n"), what)
        self.assert_count(2, lambda: self.bed.commands_run(path), "not the server's")

    def test_one_process_has_the_name(self):
        """`killall NAME` is to hit the program, once."""
        path = self.script("waits", "#!{interpreter}\nif __name__ == '__main__':\n    print(flush=True)\n    input()\n")
        launcher = self.wrapped(path)
        for what in "first", "warm":
            with self.subTest(what), subprocess.Popen([launcher], env=self.bed.env(), stdin=subprocess.PIPE,
                                                      stdout=subprocess.PIPE) as client:
                client.stdout.readline()
                expected = [f"{harness.PYTHON} {path}"]
                harness.wait_until(lambda: self.named("waits") == expected)  # the one of before may be ending
                self.assertEqual(expected, self.named("waits"))
                client.communicate(b"\n", timeout=harness.TIMEOUT)
                self.assertEqual(0, client.returncode)

    def named(self, name):
        """Command lines of the processes of this name."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                    if file.read() == name + "\n":
                        found.append(harness.command_line(pid))
            except OSError:
                pass  # gone
        return found

    def test_learning_by_a_launcher(self):
        path = self.script("learns", "#!{interpreter}\nif __name__ == '__main__':\n    import xml.dom.minidom\n"
                                     "    print('done')\n")
        done = self.bed.run([harness.QUICKEN, "run", "--learn", self.wrapped(path)])
        self.assertEqual(harness.Result(0, b"done\n", b""), done)
        self.assertEqual(1, len(os.listdir(os.path.join(self.bed.home, ".local", "state", "quicken", "learn"))))

    def test_ends(self):
        for number, last in enumerate(("sys.exit('a message')", "sys.exit(77)", "os._exit(3)", "1 / 0",
                                       "os.kill(os.getpid(), 9)", "os.kill(os.getpid(), 15)")):
            with self.subTest(last):
                path = self.script(f"end{number}", f"#!{harness.PYTHON}\nimport os, sys\nif __name__ == '__main__':\n"
                                                   f"    print('said', flush=True)\n    {last}\n")
                self.assert_like_plain(path, self.wrapped(path))

    def test_usage_names_the_original(self):
        path = self.script("usage", "#!{interpreter}\nimport argparse\nif __name__ == '__main__':\n"
                                    "    argparse.ArgumentParser().parse_args()\n")
        self.wrap("--into", self.bin, "--suffix", "c", path)
        self.assertIn(b": Not a directory", self.wrap("--into", path, path, status=1).stderr)
        plain = self.assert_like_plain(path, os.path.join(self.bin, "usagec"), "--wrong")
        self.assertIn(b"usage: usage ", plain.stderr)

    def test_found_along_path(self):
        path = self.script("mirror")
        env = {"PATH": f"{self.bin}:{self.bed.work}:{harness.PATH}"}
        self.wrap("--into", self.bin, "mirror", env=env)
        plain = self.bed.run([path, "x"], env=env)
        for what in "first", "warm", "again":
            self.assert_result(plain, self.bed.run(["sh", "-c", "mirror x"], env=env), what)
        # It stands before its own original, and is the launcher of that and not of itself.
        again = self.wrap("--into", self.bin, "mirror", env=env)
        self.assertIn(b"already runs " + path.encode(), again.stdout)

    def test_odd_names(self):
        long = "d" * 200 + "/" + "e" * 200
        os.makedirs(self.bed.path(long))
        for name in (b"a b", b"new\nline", b"end ", b"tab\t", b"-x", b"quo'te\"", b"$HOME", b"\xff\xfe",
                     "ä€".encode(), b"=", b" ", long.encode() + b"/deep", b"a=b --launch"):
            with self.subTest(name):
                path = os.fsencode(self.bed.work) + b"/" + name
                with open(path, "wb") as file:
                    file.write(MIRROR.format(interpreter=harness.PYTHON).encode())
                os.chmod(path, 0o755)
                self.wrap("--into", self.bin, "--", path)
                launcher = os.path.join(os.fsencode(self.bin), os.path.basename(name))
                self.assert_like_plain(os.fsdecode(path), os.fsdecode(launcher), "x")
                listed = self.bed.ctl("wrap", "--list", "--into", self.bin).stdout
                self.assertEqual(1, listed.count(b"\n"), listed)
                self.unwrap("--into", self.bin, "--", os.path.basename(name))
                self.assertEqual([], names(self.bin))

    def test_without_a_server(self):
        path = self.script("mirror")
        launcher = self.wrapped(path)
        for env in ({"QUICKEN_DISABLE": "1"}, {"QUICKEN_ACTIVATION": "none"}, {"XDG_RUNTIME_DIR": "relative"}):
            with self.subTest(env):
                self.assert_like_plain(path, launcher, "x", served=False, env=env)

    def test_other_commands_take_a_launcher_for_its_original(self):
        path = self.script("mirror")
        launcher = self.wrapped(path)
        self.bed.run([launcher])
        self.bed.run([launcher])
        self.assert_count(2, lambda: self.bed.commands_run(launcher), "another server")
        self.assertIn(path.encode(), self.bed.ctl("explain", launcher).stdout)
        verified = self.bed.ctl("verify", launcher, "--", "x")
        self.assertEqual(0, verified.status, verified)
        plain = self.bed.run([path, "x"])
        self.assert_result(plain, self.bed.run([harness.QUICKEN, launcher, "x"]), "quicken LAUNCHER")
        self.assert_result(plain, self.bed.quick([launcher, "x"]), "quicken run --file LAUNCHER")

    def test_read_by_python_it_says_what_it_is(self):
        result = self.bed.run([harness.PYTHON, self.wrapped(self.script("mirror"))])
        self.assertEqual((1, b""), (result.status, result.stdout))
        self.assertIn(b"a launcher of quickenctl wrap", result.stderr)


class Interpreters(Wrapping, harness.Case):
    """#! lines of Debian's and of pip's scripts."""

    def test_options(self):
        for line in ("", " -s", " -I", " -E", " -Es", " -u", " -X dev", " -Wignore"):
            with self.subTest(line):
                path = self.script("mirror" + line.replace(" ", ""), interpreter="/usr/bin/python3" + line)
                self.assert_like_plain(path, self.wrapped(path), "x")

    def test_env(self):
        """On the command line the interpreter that was found along PATH has its path (quicken(7))."""
        def normal(result):
            shown, _, rest = result.stdout.partition(b"\\x00")
            rest = rest.replace(b"['/usr/bin/python3'", b"['python3'")
            return result._replace(stdout=shown.replace(b"/usr/bin/", b"") + rest)

        for number, line in enumerate(("python3", "-S python3 -u -X dev")):
            with self.subTest(line):
                path = self.script(f"env{number}", interpreter="/usr/bin/env " + line)
                plain = self.assert_like_plain(path, self.wrapped(path), "x", normal=normal)
                self.assertIn(b"\npython3\n", plain.stdout)

    def test_options_that_no_server_can_have(self):
        path = self.script("strange", interpreter="/usr/bin/python3 -E -s")  # one word, which Python does not know
        plain = self.assert_like_plain(path, self.wrapped(path), served=False)
        self.assertEqual(2, plain.status)

    def venv(self, name):
        """A virtual environment with a package and what pip's own code makes of its entry points."""
        root = self.bed.path(name)
        self.assertEqual(0, self.bed.run([harness.PYTHON, "-m", "venv", "--without-pip", root]).status)
        [site] = (os.path.join(root, "lib", each, "site-packages") for each in os.listdir(os.path.join(root, "lib")))
        body = MIRROR.partition("if __name__ == '__main__':\n")[2]
        with open(os.path.join(site, "hello.py"), "w", encoding="ascii") as file:
            file.write("import sys\ndef main():\n" + body)
        make = ("import sys; sys.path.append('/usr/lib/python3/dist-packages')\n"
                "from pip._vendor.distlib.scripts import ScriptMaker\n"
                "maker = ScriptMaker(None, sys.argv[1]); maker.variants = {''}\n"
                "maker.set_mode = True\n"
                "maker.make_multiple(['hello = hello:main', 'hello-again = hello:main'])\n")
        made = self.bed.run([os.path.join(root, "bin", "python"), "-c", make, os.path.join(root, "bin")])
        self.assertEqual(0, made.status, made)
        return root

    def test_virtual_environments(self):
        """Also those whose path the kernel does not take, where pip has sh(1) find the interpreter."""
        for name in ("venv", "my venv", "v" * 150):
            with self.subTest(name):
                root = self.venv(name)
                path = os.path.join(root, "bin", "hello")
                with open(path, "rb") as file:
                    self.assertEqual(name == "venv", not file.readline().startswith(b"#!/bin/sh"))
                self.wrap("--into", self.bin, path)
                launcher = os.path.join(self.bin, "hello")
                plain = self.assert_like_plain(path, launcher, "x")
                self.assertIn(root.encode(), plain.stdout)
                self.assert_like_plain(path, launcher, "fail")
                self.unwrap("--into", self.bin, "hello")

    def test_two_environments_have_two_servers(self):
        for name in "one", "two":
            path = os.path.join(self.venv(name), "bin", "hello")
            self.wrap("--into", self.bin, "--suffix", name, path)
            self.assert_like_plain(path, os.path.join(self.bin, "hello" + name), "x")
        self.assertEqual(2, len(self.bed.instances()))

    def test_all_of_an_environment(self):
        root = self.venv("venv")
        shutil.copy("/usr/bin/true", os.path.join(root, "bin", "machine"))
        with open(os.path.join(root, "bin", "unfit.py"), "w", encoding="ascii") as file:
            file.write("print('not executable')\n")
        done = self.wrap("--all", root, env={"PATH": self.home + ":" + harness.PATH})
        self.assertEqual((b"", 2), (done.stderr, done.stdout.count(b"\n")))
        self.assertEqual(["hello", "hello-again"], names(self.home))
        self.assert_like_plain(os.path.join(root, "bin", "hello"), os.path.join(self.home, "hello"), "x")
        shutil.rmtree(root)
        self.unwrap("--all", root)
        self.assertEqual([], names(self.home))

    def test_all_of_an_environment_but_what_is_taken(self):
        root = self.venv("venv")
        os.makedirs(self.home)
        with open(os.path.join(self.home, "hello"), "w", encoding="ascii") as file:
            file.write("mine\n")
        before = snapshot(self.home)["hello"]
        self.assertIn(b"nothing is overwritten", self.wrap("--all", root, status=1).stderr)
        self.assertEqual(["hello", "hello-again"], names(self.home))
        self.unwrap("--all", root)
        self.assertEqual({"hello": before}, snapshot(self.home))

    def test_no_environment(self):
        os.makedirs(self.bed.path("empty/bin"))
        for folder in "empty", "missing":
            self.wrap("--all", self.bed.path(folder), status=1)
            self.unwrap("--all", self.bed.path(folder), status=1)


class Changed(Wrapping, harness.Case):
    """The original is what it is at the time of the run."""

    def setUp(self):
        super().setUp()
        self.path = self.script("tool", "#!{interpreter}\nif __name__ == '__main__':\n    print('first')\n")
        self.launcher = self.wrapped(self.path)
        for _ in range(2):
            self.assertEqual((0, b"first\n", b""), self.run_it())

    def run_it(self, *words):
        return self.bed.run([self.launcher, *words])

    def replace(self, content, mode=0o755):
        new = self.bed.write("new", content, mode)
        os.rename(new, self.path)

    def listed(self):
        return self.bed.ctl("wrap", "--list", "--into", self.bin).stdout.decode()

    def test_an_upgrade_is_followed(self):
        self.assertTrue(self.listed().endswith(f"runs {self.path}\n"))
        self.replace(f"#!{harness.PYTHON}\nif __name__ == '__main__':\n    print('second')\n")
        for _ in range(2):
            self.assertEqual((0, b"second\n", b""), self.run_it())

    def test_another_interpreter_is_followed(self):
        root = self.bed.path("venv")
        self.bed.run([harness.PYTHON, "-m", "venv", "--without-pip", root])
        self.replace(f"#!{root}/bin/python -I\nimport sys\nif __name__ == '__main__':\n"
                     "    print(sys.prefix, sys.flags.isolated)\n")
        for _ in range(2):
            self.assertEqual((0, f"{root} 1\n".encode(), b""), self.run_it())

    def test_removed(self):
        os.remove(self.path)
        for _ in range(2):
            result = self.run_it()
            self.assertEqual((127, b""), (result.status, result.stdout))
            self.assertEqual(f"quicken: {self.path}: No such file or directory; quickenctl unwrap {self.launcher} "
                             "removes its launcher\n", result.stderr.decode())
        self.assertIn("No such file or directory", self.listed())
        self.unwrap(self.launcher)
        self.assertEqual([], names(self.bin))

    def test_no_python_script_any_more(self):
        """It is executed as it is, as without a launcher, but not in silence."""
        for what, content in (("a shell's", b'#!/bin/sh\necho "$0" "$@"\nexit 7\n'),
                              ("machine code", open(shutil.which("echo"), "rb").read())):
            with self.subTest(what):
                self.replace(content)
                plain = self.bed.run([self.path, "a b", "c"])
                result = self.run_it("a b", "c")
                self.assertEqual(plain[:2], result[:2])
                self.assertIn(b"is no Python script any more", result.stderr)
                self.assertIn(f"unwrap {self.launcher} ".encode(), result.stderr)
                self.assertIn("is no Python script", self.listed())

    def test_what_cannot_be_executed(self):
        for content, mode, message in (("print('a')\n", 0o755, "Exec format error"),
                                       (f"#!{harness.PYTHON}\nprint('a')\n", 0o644, "Permission denied"),
                                       ("#!/nonexistent/python3\nprint('a')\n", 0o755,
                                        "its interpreter: No such file or directory")):
            with self.subTest(message):
                self.replace(content, mode)
                result = self.run_it()
                self.assertEqual(127 if "No such" in message else 126, result.status)
                self.assertIn(message, result.stderr.decode())
                self.assertEqual(b"", result.stdout)

    def test_a_directory(self):
        os.remove(self.path)
        os.mkdir(self.path)
        self.assertIn((126, b""), [self.run_it()[:2]])

    def test_a_launcher_in_its_place(self):
        """Two that stand for one another would run for ever."""
        shutil.copy(self.launcher, self.path)
        result = self.run_it()
        self.assertEqual((126, b""), result[:2])
        self.assertIn(b"is a launcher itself", result.stderr)

    def test_begun_with_quicken_it_still_runs(self):
        self.replace(f"#!{harness.QUICKEN}\nif __name__ == '__main__':\n    print('own')\n")
        for _ in range(2):
            self.assertEqual((0, b"own\n", b""), self.run_it())

    def test_gone_between_the_kernel_and_the_client(self):
        """Of a launcher with the path in it there is nothing left to read; of the other there is."""
        gone = os.path.join(self.bin, "gone")
        result = self.bed.run([harness.QUICKEN, "--launch", gone])
        self.assertEqual(harness.Result(127, b"", f"quicken: {gone}: No such file or directory\n".encode()), result)
        result = self.bed.run([harness.QUICKEN, "--launch", self.path])
        self.assertEqual(126, result.status)
        self.assertIn(b"is no launcher", result.stderr)


class Refused(Wrapping, harness.Case):
    """What is not wrapped, and what is not touched."""

    def assert_refused(self, text, *words, **options):
        result = self.wrap("--into", self.bin, *words, status=1, **options)
        self.assertIn(text, result.stderr.decode())
        self.assertEqual(b"", result.stdout)
        self.assertEqual([], [name for name in (names(self.bin) if os.path.isdir(self.bin) else ()) if name != "there"])

    def test_no_python_script(self):
        self.bed.write("data", "some text\n")
        os.mkdir(self.bed.path("folder"))
        os.mkfifo(self.bed.path("fifo"))
        os.symlink("nowhere", self.bed.path("dangling"))
        for name, text in ((self.bed.path("missing"), "No such file or directory"), ("no-such-program", "on PATH"),
                           ("ls", "machine code"), (self.script("shell", "#!/bin/sh\n"), "names /bin/sh"),
                           (self.script("bash", "#!/usr/bin/env bash\n"), "no Python script"),
                           (self.script("pypy", "#!/usr/bin/pypy3\n"), "names /usr/bin/pypy3"),
                           (self.script("none", "print(1)\n"), "no #! line"), (self.script("empty", ""), "no #! line"),
                           (self.script("still", mode=0o644), "not executable"),
                           (self.bed.path("folder"), "is a directory"),
                           (self.bed.path("data"), "not executable"), (self.bed.path("fifo"), "not a regular file"),
                           (self.bed.path("dangling"), "No such file or directory"),
                           (self.script("gone", interpreter="/nonexistent/python3"), "its interpreter /nonexistent/"),
                           (self.script("quick", interpreter=harness.QUICKEN), "#!quicken already"),
                           (self.script("odd", interpreter="/usr/bin/env -S A=1 python3"), "env(1)"),
                           (self.script("movable", MOVABLE), "sh(1)")):
            with self.subTest(name):
                self.assert_refused(text, name)

    @unittest.skipIf(os.geteuid() == 0, "root reads everything")
    def test_unreadable(self):
        self.assert_refused("Permission denied", self.script("secret", mode=0o111))
        os.mkdir(self.bed.path("locked"), 0o555)
        result = self.wrap("--into", self.bed.path("locked"), self.script("tool"), status=1)
        self.assertIn(b"Permission denied", result.stderr)

    def test_one_that_cannot_be_wrapped_does_not_keep_the_others(self):
        one, two = self.script("one"), self.script("two")
        result = self.wrap("--into", self.bin, one, "/bin/sh", two, status=1)
        self.assertEqual(["one", "two"], names(self.bin))
        self.assertEqual(1, result.stderr.count(b"wrap: /bin/sh is no Python script"))

    def test_a_launcher(self):
        launcher = self.wrapped(self.script("tool"))
        os.symlink(launcher, self.bed.path("link"))
        for path in launcher, self.bed.path("link"):
            result = self.wrap("--into", self.bed.path("other"), path, status=1)
            self.assertIn(f"{path} is a launcher of quicken itself".encode(), result.stderr)
        os.remove(self.bed.path("tool"))
        result = self.wrap("--into", self.bin, "tool", status=1, env={"PATH": self.bin})
        self.assertIn(b"on PATH, tool is only a launcher", result.stderr)

    def test_what_is_there_stays(self):
        path = self.script("tool")
        other = self.script("other/tool") if os.makedirs(self.bed.path("other")) is None else None
        places = {"file": lambda at: shutil.copy("/etc/passwd", at), "empty": lambda at: open(at, "x").close(),
                  "directory": os.mkdir, "link": lambda at: os.symlink(path, at),
                  "dangling": lambda at: os.symlink("nowhere", at), "fifo": os.mkfifo,
                  "original": lambda at: shutil.copy(path, at),
                  "launcher": lambda at: self.wrap("--into", os.path.dirname(at), other),
                  "link to its own launcher": lambda at: os.symlink(self.wrapped(path), at)}
        for what, make in places.items():
            with self.subTest(what):
                folder = self.bed.path("place " + what)
                os.mkdir(folder)
                make(os.path.join(folder, "tool"))
                before = snapshot(folder)
                result = self.wrap("--into", folder, path, status=1)
                self.assertIn(b"another program" if what == "launcher" else b"nothing is overwritten", result.stderr)
                self.assertEqual(before, snapshot(folder))
                if what != "launcher":
                    self.assertIn(b"is no launcher", self.unwrap("--into", folder, "tool", status=1).stderr)
                    self.assertEqual(before, snapshot(folder))

    def test_beside_the_original(self):
        path = self.script("tool")
        before = snapshot(self.bed.work)
        self.wrap("--into", self.bed.work, path, status=1)
        self.assertEqual(before, snapshot(self.bed.work))
        self.wrap("--into", self.bed.work, "--suffix", "c", path)
        self.assert_like_plain(path, path + "c", "x")

    def test_command_lines(self):
        for words, text in (((), "exactly one"), (("--list", "x"), "exactly one"), (("--all", "v", "x"), "exactly one"),
                            (("",), "must not be empty"), (("--suffix", "a/b", "x"), "has no"),
                            (("--into", "", "x"), "empty")):
            for command in "wrap", "unwrap":
                with self.subTest(command, words=words):
                    result = self.bed.ctl(command, *words)
                    self.assertEqual(2, result.status)
                    if command == "wrap":
                        self.assertIn(text, result.stderr.decode())
        self.assertIn(b"HOME", self.wrap("black", status=1, env={"HOME": None}).stderr)

    def test_unwrap(self):
        launcher = self.wrapped(self.script("tool"))
        for words, text in ((("--into", self.bin, "missing"), "there is no"),
                            ((self.bed.path("tool"),), "is no launcher"), (("tool",), "there is no")):
            self.assertIn(text, self.unwrap(*words, status=1).stderr.decode())
        self.unwrap(launcher)
        self.assertIn(b"there is no", self.unwrap(launcher, status=1).stderr)


class Places(Wrapping, harness.Case):
    def test_the_default_directory(self):
        path = self.script("tool")
        self.assertIn(b"on PATH, tool is not found", self.wrap(path).stderr)
        self.assertEqual(0o755, stat.S_IMODE(os.stat(os.path.join(self.home, "tool")).st_mode))
        self.assertEqual(b"", self.wrap(path, "--suffix", "c", env={"PATH": self.home}).stderr)
        self.assertEqual(["tool", "toolc"], names(self.home))
        self.wrap("--into", self.bin, path)
        for env, count in (({}, 2), ({"PATH": f"{self.bin}:{self.home}:{harness.PATH}"}, 3)):
            self.assertEqual(count, self.bed.ctl("wrap", "--list", env=env).stdout.count(b"\n"))
        self.unwrap("tool")
        self.unwrap("--suffix", "c", "tool")
        self.assertEqual([], names(self.home))

    def test_umask(self):
        self.wrap("--into", self.bin, self.script("tool"), preexec_fn=lambda: os.umask(0o077))
        self.assertEqual(0o700, stat.S_IMODE(os.stat(os.path.join(self.bin, "tool")).st_mode))

    def installation(self, name):
        """Another prefix with quicken and quickenctl."""
        os.makedirs(self.bed.path(name) + "/bin")
        for program in harness.QUICKEN, harness.QUICKENCTL:
            shutil.copy(program, self.bed.path(name) + "/bin")
        return self.bed.path(name)

    def test_another_installation(self):
        """One whose launchers are the first one's: they become its own. Its path in them is that on PATH, a link."""
        first = self.wrapped(self.script("tool"))
        prefix = self.installation("prefix")
        os.mkdir(self.bed.path("links"))
        os.symlink(prefix + "/bin/quicken", self.bed.path("links/quicken"))
        for path, client in ((harness.PATH, prefix + "/bin"), (self.bed.path("links"), self.bed.path("links"))):
            words = ["wrap", "--into", self.bin, self.bed.path("tool")]
            done = self.bed.run([prefix + "/bin/quickenctl", *words], env={"PATH": path})
            self.assertEqual(0, done.status, done)
            with open(first, "rb") as file:
                self.assertEqual(f"#!{client}/quicken --launch={self.bed.path('tool')}\n".encode(), file.readline())
            self.assertEqual(["tool"], names(self.bin))

    def test_an_installation_that_no_line_can_name(self):
        for name, text in (("pre fix", b"blanks"), ("p" * 240, b"too long")):
            prefix = self.installation(name)
            done = self.bed.run([prefix + "/bin/quickenctl", "wrap", "--into", self.bin, self.script("tool")])
            self.assertEqual(1, done.status)
            self.assertIn(text, done.stderr)


class Races(Wrapping, harness.Case):
    """Whoever else is at work in the directory."""

    def processes(self, commands):
        return [subprocess.Popen([harness.QUICKENCTL, *words], env=self.bed.env(), stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL) for words in commands]

    def test_one_of_many_wins(self):
        paths = []
        for number in range(8):
            os.mkdir(self.bed.path(str(number)))
            paths.append(self.script(f"{number}/tool"))
        for _ in range(harness.ROUNDS or 10):
            running = self.processes([["wrap", "--into", self.bin, path] for path in paths])
            statuses = [process.wait(harness.TIMEOUT) for process in running]
            self.assertEqual(1, statuses.count(0), statuses)
            self.assertEqual(["tool"], names(self.bin))
            winner = paths[statuses.index(0)]
            self.assertIn(f"runs {winner}\n", self.bed.ctl("wrap", "--list", "--into", self.bin).stdout.decode())
            self.unwrap("--into", self.bin, "tool")

    def test_many_of_the_same(self):
        for _ in range(harness.ROUNDS or 10):
            running = self.processes([["wrap", "--into", self.bin, self.path]] * 8)
            self.assertEqual([0] * 8, [process.wait(harness.TIMEOUT) for process in running])
            self.assertEqual(["tool"], names(self.bin))
            self.unwrap("--into", self.bin, "tool")

    def test_many_replace_another_installations(self):
        for _ in range(harness.ROUNDS or 10):
            self.of_another_installation()
            running = self.processes([["wrap", "--into", self.bin, self.path]] * 8)
            self.assertEqual([0] * 8, [process.wait(harness.TIMEOUT) for process in running])
            self.assertEqual(["tool"], names(self.bin))
            self.unwrap("--into", self.bin, "tool")

    def of_another_installation(self):
        with open(self.wrapped(self.path), "r+b") as file:
            text = file.read().replace(harness.QUICKEN.encode(), b"/opt/bin/quicken")
            file.seek(0)
            file.truncate()
            file.write(text)

    def at_calls(self, words, *actions):
        """Runs quickenctl; just before each of its calls that give or take a name the next action is done."""
        with open(os.devnull, "r+b") as null, open(self.bed.path("said"), "w+b") as said:
            pid = calls.start_traced([harness.QUICKENCTL, *words], self.bed.env(), self.bed.work,
                                     [null.fileno(), said.fileno(), said.fileno()])
            left = list(actions)

            def look(number, _):
                if number in NAMING and left:
                    left.pop(0)(pid)

            status = calls.trace(pid, look)[1]
            said.seek(0)
            self.said = said.read().decode()
        self.assertEqual([], left, "there were fewer calls")
        return status

    def setUp(self):
        super().setUp()
        self.path = self.script("tool")
        self.target = os.path.join(self.bin, "tool")
        os.mkdir(self.bin)

    def foreign(self, content):
        """Somebody else renames a file of their own to the launcher's name."""
        return lambda _: os.rename(self.bed.write("foreign", content), self.target)

    def assert_left(self, **content):
        self.assertEqual({"file " + name: (oct(0o100644), text.encode()) for name, text in content.items()},
                         debian.read_files(self.bin))

    def test_a_file_that_comes_before_the_launcher(self):
        self.assertEqual(1, self.at_calls(["wrap", "--into", self.bin, self.path], self.foreign("theirs")))
        self.assertIn("nothing is overwritten", self.said)
        self.assert_left(tool="theirs")

    def test_a_file_that_comes_before_the_end(self):
        self.wrapped(self.path)
        self.assertEqual(1, self.at_calls(["unwrap", self.target], self.foreign("theirs")))
        self.assertIn("has been replaced meanwhile\n", self.said)
        self.assert_left(tool="theirs")

    def test_a_file_that_comes_when_another_has_come(self):
        self.wrapped(self.path)
        self.assertEqual(1, self.at_calls(["unwrap", self.target], self.foreign("first"), self.foreign("second")))
        hidden = self.said.strip().rpartition("/")[2]
        self.assertIn("what was there is now", self.said)
        self.assert_left(**{"tool": "second", hidden: "first"})

    def test_a_file_that_comes_instead_of_another_installations_launcher(self):
        self.of_another_installation()
        self.assertEqual(1, self.at_calls(["wrap", "--into", self.bin, self.path], lambda _: None,
                                          self.foreign("theirs")))
        self.assertIn("has been replaced meanwhile\n", self.said)
        self.assert_left(tool="theirs")

    def wraps(self, _):
        """Somebody else makes the same launcher."""
        self.assertEqual(0, subprocess.run([harness.QUICKENCTL, "wrap", "--into", self.bin, self.path],
                                           env=self.bed.env(), stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL).returncode)

    def test_the_same_that_comes_before_the_launcher(self):
        self.assertEqual(0, self.at_calls(["wrap", "--into", self.bin, self.path], self.wraps))
        self.assertIn("already runs", self.said)
        self.assertEqual(["tool"], names(self.bin))

    def test_the_same_that_replaces_another_installations(self):
        self.of_another_installation()
        self.assertEqual(0, self.at_calls(["wrap", "--into", self.bin, self.path], lambda _: None, self.wraps))
        self.assertEqual(["tool"], names(self.bin))

    def test_another_installations_launcher_that_goes(self):
        self.of_another_installation()
        self.assertEqual(0, self.at_calls(["wrap", "--into", self.bin, self.path], lambda _: None,
                                          lambda _: os.remove(self.target)))
        self.assertEqual(["tool"], names(self.bin))

    def test_a_launcher_that_goes(self):
        self.wrapped(self.path)
        self.assertEqual(1, self.at_calls(["unwrap", self.target], lambda _: os.remove(self.target)))
        self.assertIn("No such file or directory", self.said)
        self.assert_left()

    def test_signals_wait(self):
        for words, left in ((["wrap", "--into", self.bin, self.path], ["tool"]), (["unwrap", self.target], [])):
            for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
                with self.subTest(words[0], signal=number):
                    shutil.rmtree(self.bin)
                    if words[0] == "unwrap":
                        self.wrapped(self.path)
                    self.assertEqual(-number, self.at_calls(words, lambda pid, number=number: os.kill(pid, number)))
                    self.assertEqual(left, names(self.bin))


if __name__ == "__main__":
    harness.main()
