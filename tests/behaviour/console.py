"""Console scripts with an entry point in quicken.script: the same as those that name it themselves, and warm."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import installed
import pythons

# Command lines of the sample, and what more they are run with.
RUNS = [
    ([], {}), (["about", "one", "two words", "--", "-x"], {"cwd": "/"}), (["--help"], {}), (["--unknown"], {}),
    (["raise", "text"], {}), (["return", "3"], {}), (["return", '"said"'], {}), (["return", "null"], {}),
    (["return", "true"], {}), (["read"], {"stdin": b"line\n" * 1000}), (["kill", "15"], {}), (["kill", "9"], {}),
    (["kill", "2"], {}), (["about", "\udcff"], {}), (["pipe"], {}), (["system", "env | sort"], {}),
]

WHEELS = {}


def setUpModule():
    WHEELS["place"] = place = tempfile.mkdtemp(prefix="qk.", dir="/tmp")
    os.chmod(place, 0o755)
    WHEELS["quicken"] = installed.package_wheel(place)
    WHEELS["hello"] = installed.wheel(installed.sample("setuptools", place))
    WHEELS["venv"] = venv = installed.Venv(os.path.join(place, "venv"))
    venv.install(WHEELS["quicken"], WHEELS["hello"])


def tearDownModule():
    shutil.rmtree(WHEELS.get("place", ""), ignore_errors=True)


class ConsoleCase:
    def setUp(self):
        super().setUp()
        self.bed.environment["PATH"] = os.path.dirname(harness.QUICKEN) + ":" + harness.PATH
        self.venv = WHEELS["venv"]

    def served(self, script, env=None):
        return self.bed.commands_run(script, env=env)

    def assert_alike(self, venv, arguments, count=1, env=None, **options):
        """`hello` and `helloc`, the latter twice; `count` of how many runs a server does."""
        hello, helloc = venv.script("hello"), venv.script("helloc")
        expected = installed.alike(self.bed.run([hello, *arguments], env=env, **options))
        self.bed.run([helloc, *arguments], env=env, **options)
        before = self.served(helloc, env)
        actual = installed.alike(self.bed.run([helloc, *arguments], env=env, **options))
        self.assert_result(expected, actual, f"{arguments} {env}")
        self.assert_count(before + count, lambda: self.served(helloc, env), f"{arguments} {env}: not the server's")
        return actual


class Projects(ConsoleCase, harness.Case):
    """One of each way to build a project."""

    def check(self, builder):
        project = installed.sample(builder, self.bed.root)
        venv = installed.Venv(self.bed.path("venv"))
        venv.install(WHEELS["quicken"], installed.wheel(project))
        for arguments, options in RUNS:
            with self.subTest(arguments):
                self.assert_alike(venv, arguments, **options)
        status = json.loads(self.bed.run([venv.script("helloctl"), "status", "--json"]).stdout)
        self.assertEqual(("prelude", venv.script("helloc")), (status["rung"], status["name"]))

    def test_setup_py(self):
        self.check("setup_py")

    def test_setuptools(self):
        self.check("setuptools")

    def test_flit(self):
        self.check("flit")

    def test_poetry(self):
        self.check("poetry")


class ProjectsOfSystemd(Projects):
    activation = "systemd"
    test_setup_py = test_flit = test_poetry = None


class Console(ConsoleCase, harness.Case):
    def test_develop(self):
        """`setup.py develop`: the script looks its entry point up in the metadata, in main."""
        project = installed.sample("setup_py", self.bed.root)
        venv = installed.Venv(self.bed.path("venv"))
        venv.install(WHEELS["quicken"])
        with open(os.path.join(venv.site_packages(), "debian.pth"), "w") as pth:
            pth.write("/usr/lib/python3/dist-packages\n")  # setuptools
        installed.call(venv.python, "setup.py", "-q", "develop", cwd=project)
        with open(venv.script("helloc")) as script:
            self.assertIn("EASY-INSTALL", script.read())
        for arguments in ([], ["raise"], ["return", "3"]):
            self.assert_alike(venv, arguments)

    def test_by_import(self):
        """Without quicken.pth: the script's own import hands over."""
        venv = installed.Venv(self.bed.path("venv"))
        venv.install(WHEELS["quicken"], WHEELS["hello"])
        venv.begin_by_import()
        for arguments, options in RUNS:
            with self.subTest(arguments):
                self.assert_alike(venv, arguments, **options)
        self.assert_alike(venv, ["again", "about"], count=2)
        self.assert_alike(venv, ["about"], env={"LANG": None})
        self.assert_alike(venv, ["again", "about"], count=0, env={"PYTHONHASHSEED": "random"})
        for _ in range(3):
            self.assertEqual((0, b"4 [] []\n", b""), self.bed.run([venv.script("randomc")]))
        self.assert_count(3, lambda: self.bed.commands_run(venv.script("randomc")), "not the server's")

    def test_long_path(self):
        """An installer has the shell start an interpreter whose path is too long for a #! line."""
        venv = installed.Venv(os.path.join(self.bed.path("v" * 120), "venv"))
        venv.install(WHEELS["quicken"], WHEELS["hello"])
        with open(venv.script("helloc")) as script:
            self.assertEqual("#!/bin/sh\n", script.readline())
        for arguments in (["raise"], ["return", "3"]):
            expected = installed.alike(self.bed.run([venv.script("hello"), *arguments]))
            for _ in range(2):
                self.assertEqual(expected, installed.alike(self.bed.run([venv.script("helloc"), *arguments])))
        status = json.loads(self.bed.run([venv.script("helloctl"), "status", "--json"]).stdout)
        self.assertEqual(4, status["commands_run"])

    def test_other_programs(self):
        """Of the environment find nothing imported; a script in a pipe is read once."""
        text = "import sys; print([name for name in sys.modules if 'quicken' in name], sys.argv[1:])\n"
        script = self.bed.write("script.py", text)
        for argv in ([script, "one"], ["-c", text, "one"], ["-X", "dev", script, "one"]):
            self.assertEqual((0, b"[] ['one']\n", b""), self.bed.run([self.venv.python, *argv]))
        piped = self.bed.run(["/bin/bash", "-c", 'exec "$0" <(cat "$1") one', self.venv.python, script])
        self.assertEqual((0, b"[] ['one']\n", b""), piped)
        for argv in (["absent.py"], ["."], ["-m", "absent"]):
            with_pth, without = self.bed.run([self.venv.python, *argv]), self.bed.run([harness.PYTHON, *argv])
            self.assertEqual(without.status, with_pth.status)
            self.assertEqual(without.stderr.count(b"\n"), with_pth.stderr.count(b"\n"), with_pth)

    def test_other_forms(self):
        """A module that is called; a function of a package itself."""
        for name, stdout, status in (("calledc", b"called hello.called ", 4), ("topc", b"hello 1.0\n", 0)):
            script = self.venv.script(name)
            for env in ({"QUICKEN_DISABLE": "1"}, {}, {}):
                result = self.bed.run([script], env=env)
                self.assertEqual((status, b""), (result.status, result.stderr))
                self.assertTrue(result.stdout.startswith(stdout), result)
            self.assert_count(2, lambda: self.bed.commands_run(script), name)

    def test_plain(self):
        """Disabled, without quicken's programs, with another program of that name, a directory, with none of that."""
        self.bed.write("quicken", "#!/bin/sh\necho wrong\n", 0o755)
        os.mkdir(self.bed.path("d"))
        os.mkdir(self.bed.path("d/quicken"))
        for env in ({"QUICKEN_DISABLE": "1"}, {"PATH": harness.PATH}, {"PATH": f"{self.bed.work}:{harness.PATH}"},
                    {"PATH": f".:{self.bed.work}/d:"}, {"PATH": None}, {"PATH": ""}):
            for arguments in ([], ["raise"], ["return", "3"]):
                self.assert_alike(self.venv, arguments, count=0, env=env)
        self.assertEqual([], self.bed.instances())

    def test_client_is_looked_for(self):
        """Along PATH, also by a link; nothing of it is run where it is not wanted any more."""
        os.symlink(harness.QUICKEN, self.bed.path("quicken"))
        self.assert_alike(self.venv, ["return", "3"], env={"PATH": f"/nowhere:{self.bed.work}"})

    def test_package_of_the_installation(self):
        """It has its programs at its side."""
        script = self.bed.write("helloc", f"#!{self.venv.python}\nimport sys\nfrom quicken.script import hello\n"
                                          "if __name__ == '__main__':\n    sys.exit(hello.cli._.main())\n", 0o755)
        env = {"PATH": harness.PATH, "PYTHONPATH": installed.PACKAGE}
        for _ in range(2):
            self.assertEqual(3, self.bed.run([script, "return", "3"], env=env).status)
        self.assert_count(2, lambda: self.bed.commands_run(script, env=env), "not the server's")

    def test_client_that_runs_plainly(self):
        """It executes the script again, in the same process, which does not go round in circles."""
        for arguments in ([], ["raise"], ["again", "return", "3"], ["system", "env | sort"]):
            self.assert_alike(self.venv, arguments, count=0, env={"QUICKEN_ACTIVATION": "none"})
            self.assert_alike(self.venv, arguments, count=0, env={"PYTHONHASHSEED": "random"})

    def test_script_from_its_top(self):
        """In a command that has not got past the prelude."""
        plain = self.bed.run([self.venv.script("random"), "one"])
        script = self.venv.script("randomc")
        for _ in range(4):
            self.assertEqual(plain, self.bed.run([script, "one"]))
        self.assertEqual("interpreter", self.bed.status(script)["rung"])
        self.assert_count(4, lambda: self.bed.commands_run(script), "not the server's")

    def test_run_by_the_client(self):
        """`quicken run` has the same server."""
        script = self.venv.script("helloc")
        for argv in ([script], [harness.QUICKEN, "run", "--file", script], [harness.QUICKEN, script]) * 2:
            self.assertEqual(3, self.bed.run([*argv, "return", "3"]).status)
        self.assertEqual(1, len(self.bed.instances()))
        self.assert_count(6, lambda: self.bed.commands_run(script), "not the server's")

    def test_program_that_runs_itself(self):
        self.assert_alike(self.venv, ["again", "return", "3"], count=2)
        self.assert_alike(self.venv, ["again", "about"], count=2)

    def test_environment(self):
        """The C locale, which Python leaves (PEP 538), and settings of interpreters."""
        for env in ({"LANG": None}, {"LC_ALL": "C"}, {"LANG": None, "LC_CTYPE": "C"}, {"LANG": "POSIX"},
                    {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONUTF8": "1"}, {"PYTHONOPTIMIZE": "2"},
                    {"PYTHONWARNINGS": "error"}, {"PYTHONDEVMODE": "1"}, {"PYTHONUNBUFFERED": "1"}, {"EMPTY": ""},
                    {"TWO": "a=b\n=", "\udcff": "\udcfe"}):
            for arguments in (["about", "\udcff"], ["raise"]):
                self.assert_alike(self.venv, arguments, env=env)

    def test_what_the_interpreter_prints(self):
        """It is printed once."""
        for env in ({"PYTHONCOERCECLOCALE": "warn", "LC_ALL": None, "LANG": None}, {"PYTHONVERBOSE": "1"},
                    {"PYTHONPROFILEIMPORTTIME": "1"}):
            text = {"PYTHONVERBOSE": b"import 'site'", "PYTHONPROFILEIMPORTTIME": b"cumulative"}
            text = next((text[name] for name in env if name in text), b"locale coercion")
            for name in ("hello", "helloc"):
                result = self.bed.run([self.venv.script(name), "return", "3"], env=env)
                self.assertEqual((3, 1), (result.status, result.stderr.count(text)), env)

    def test_options(self):
        """Of the #! line and of a command line."""
        venv = installed.Venv(self.bed.path("venv"))
        venv.install(WHEELS["quicken"], WHEELS["hello"])
        for options in ("-I", "-sE", "-Xdev", "-Wdefault", "-OO"):
            for name in ("hello", "helloc"):
                with open(venv.script(name), "r+") as script:
                    text = script.read().partition("\n")[2]
                    script.seek(0)
                    script.truncate()
                    script.write(f"#!{venv.python} {options}\n{text}")
            self.assert_alike(venv, [])
            result = json.loads(self.bed.run([venv.script("helloctl"), "status", "--json"]).stdout)
            self.assertEqual("down", result["status"])  # its own #! line has no options
        for option in ("-Xdev", "-I", "-v", "-i"):
            argv = [self.venv.python, option, self.venv.script("helloc"), "return", "3"]
            plain = self.bed.run(argv, env={"QUICKEN_DISABLE": "1"})
            self.assertEqual(plain.status, self.bed.run(argv).status)

    def test_interpreter_by_name(self):
        for argv in (["python3"], [self.venv.python]):
            env = {"PATH": f"{os.path.dirname(harness.QUICKEN)}:{self.venv.root}/bin:{harness.PATH}"}
            for _ in range(2):
                result = self.bed.run([*argv, self.venv.script("helloc"), "return", "3"], env=env)
                self.assertEqual((3, b""), (result.status, result.stderr))

    def test_caller(self):
        """Ignored signals, a blocked one, streams that are closed or do not wait, descriptors, umask."""
        def ignore():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

        def block():
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGUSR1])
            os.umask(0o27)

        for prepare in (ignore, block):
            self.assert_alike(self.venv, ["about"], preexec_fn=prepare)
        self.assert_alike(self.venv, ["kill", "2"], preexec_fn=ignore)
        for close in (0, 1, 2):
            argv = [f'exec "$0" return 3 {close}>&-']
            for name in ("hello", "helloc"):
                self.assertEqual(3, self.bed.run(["/bin/sh", "-c", *argv, self.venv.script(name)]).status)
        read, write = os.pipe()
        os.set_blocking(read, False)
        with os.fdopen(read), os.fdopen(write, "w"):
            about = self.assert_alike(self.venv, ["about"], stdin_file=read, pass_fds=(write,))
        self.assertFalse(json.loads(about.stdout)["blocking"][0])

    def test_process(self):
        """The script's process is the client's; what is sent to it arrives."""
        self.bed.run([self.venv.script("helloc")])
        child = subprocess.Popen([self.venv.script("helloc"), "read"], env=self.bed.env(), stdin=subprocess.PIPE)
        with child:
            def is_client():
                with open(f"/proc/{child.pid}/comm") as comm:
                    return comm.read() == "quicken\n"
            self.assertTrue(harness.wait_until(is_client, 10))
            self.assertTrue(harness.wait_until(
                lambda: self.bed.status(self.venv.script("helloc"))["commands_running"] == 1, 10))
            self.assertFalse(self.ignored(child.pid) & {signal.SIGPIPE, signal.SIGXFSZ})
            child.terminate()
            self.assertEqual(-signal.SIGTERM, child.wait(10))

    def ignored(self, pid):
        with open(f"/proc/{pid}/status") as status:
            mask = int(next(line for line in status if line.startswith("SigIgn")).split()[1], 16)
        return {number for number in range(1, 65) if mask >> (number - 1) & 1}

    def test_failed_import(self):
        """Ends as it does without quicken, with no frame of ours."""
        venv = installed.Venv(self.bed.path("venv"))
        venv.install(WHEELS["quicken"], WHEELS["hello"])
        with open(os.path.join(venv.site_packages(), "hello", "cli.py"), "a") as module:
            module.write("\nimport absent_module\n")
        for env in ({}, {}, {"QUICKEN_DISABLE": "1"}):
            expected = self.bed.run([venv.script("hello")], env=env)
            actual = self.bed.run([venv.script("helloc")], env=env)
            self.assertEqual((1, expected.stderr.splitlines()[-3:]), (actual.status, actual.stderr.splitlines()[-3:]))
            self.assertNotIn(b"quicken/", actual.stderr)
            self.assertEqual(4 if b"^^^" in actual.stderr else 3, actual.stderr.count(b"\n  ") - 1, actual.stderr)

    def test_upgrade(self):
        """The next run is the new version, each time."""
        project = installed.sample("setuptools", self.bed.root)
        venv = installed.Venv(self.bed.path("venv"))
        venv.install(WHEELS["quicken"], WHEELS["hello"])
        for version in ("1.0", "2.0", "1.0", "3.0"):
            for name in ("pyproject.toml", "hello/__init__.py"):
                self.replace(os.path.join(project, name), version)
            shutil.rmtree(os.path.join(project, "build"), ignore_errors=True)
            shutil.rmtree(os.path.join(project, "dist"), ignore_errors=True)
            venv.install(installed.wheel(project))
            for _ in range(3):
                self.assertEqual((0, b"hello %s\n" % version.encode(), b""), self.bed.run([venv.script("topc")]))
        self.assertEqual("prelude", self.bed.status(venv.script("topc"))["rung"])
        self.assert_count(12, lambda: self.bed.commands_run(venv.script("topc")), "not the server's")

    def replace(self, path, version):
        with open(path, "r+") as file:
            lines = [line.split("=")[0] + f'= "{version}"\n' if line.lstrip("_").startswith("version") else line
                     for line in file]
            file.seek(0)
            file.truncate()
            file.writelines(lines)

    def test_two_environments(self):
        """The same project in two has two servers, each with its own files."""
        other = installed.Venv(self.bed.path("venv"))
        other.install(WHEELS["quicken"], WHEELS["hello"])
        for venv in (self.venv, other) * 2:
            about = json.loads(self.bed.run([venv.script("helloc")]).stdout)
            self.assertEqual(venv.root, about["prefix"])
        self.assertEqual(2, len(self.bed.instances()))
        self.bed.run([other.script("helloctl"), "stop"])
        states = [json.loads(self.bed.run([venv.script("helloctl"), "status", "--json"]).stdout)["status"]
                  for venv in (self.venv, other)]
        self.assertEqual(["up", "down"], states)


class Control(ConsoleCase, harness.Case):
    """quicken.ctl_script"""

    def control(self, *arguments, **options):
        return self.bed.run([self.venv.script("helloctl"), *arguments], **options)

    def test_commands(self):
        script = self.venv.script("helloc")
        self.assertEqual({"status": "down"}, json.loads(self.control("status", "--json").stdout))
        self.bed.run([script])
        ours = json.loads(self.control("status", "--json").stdout)
        self.assertEqual(dict(self.bed.status(script), memory=ours["memory"]), ours)
        self.assertEqual("up", ours["status"])
        self.assertEqual(self.bed.ctl("is-active", "--file", script), self.control("is-active"))
        self.assertIn(script.encode(), self.control("status").stdout)
        self.assertIn("templates", json.loads(self.control("explain", "--json").stdout))
        self.assertEqual(0, self.control("learn", "on").status)
        self.assertEqual(0, self.control("stop").status)
        self.assertEqual({"status": "down"}, json.loads(self.control("status", "--json").stdout))
        self.assertEqual(0, self.control("learn", "off").status)
        self.assertEqual([], self.bed.leftovers())

    def test_locale_of_the_server(self):
        """The servers of a caller in the C locale are others, and these are found."""
        env = {"LANG": None}
        self.bed.run([self.venv.script("helloc")], env=env)
        self.assertEqual("up", json.loads(self.control("status", "--json", env=env).stdout)["status"])
        self.assertEqual("down", json.loads(self.control("status", "--json").stdout)["status"])

    def test_errors(self):
        usage = self.control()
        self.assertEqual((2, b""), (usage.status, usage.stdout))
        self.assertTrue(usage.stderr.startswith(b"usage: helloctl "), usage)
        self.assertEqual((0, usage.stderr, b""), self.control("--help"))
        for arguments in (["list"], ["status", "--", "x"], ["verify"], ["run"]):
            self.assertEqual(2, self.control(*arguments).status)
        self.assertEqual(2, self.control("status", "--unknown").status)
        missing = self.control("status", env={"PATH": harness.PATH})
        self.assertEqual((1, b""), (missing.status, missing.stdout))
        self.assertRegex(missing.stderr, rb"^helloctl: quickenctl is not installed")
        stray = self.bed.run([self.venv.script("strayctl"), "status"])
        self.assertEqual((1, b"strayctl: no console script is installed that has the entry point "
                             b"quicken.script:hello.stray._.main\n"), (stray.status, stray.stderr))


class Package(ConsoleCase, harness.Case):
    """quicken.script as a module that others import."""

    def python(self, text, *arguments):
        script = self.bed.write("script.py", text)
        return self.bed.run([self.venv.python, script, *arguments])

    def test_entry_point_that_is_loaded(self):
        """By another program, which goes on."""
        self.assertEqual(b"before\nhello 1.0\nafter\n", self.python("""
            from importlib.metadata import entry_points
            print('before', flush=True)
            points = entry_points()
            points = points.select(group='console_scripts') if hasattr(points, 'select') else points['console_scripts']
            {point.name: point for point in points}['topc'].load()()
            print('after')
            """).stdout)
        self.assertEqual([], self.bed.instances())

    def test_script_that_has_begun(self):
        """What it has done is not done again."""
        self.assertEqual(b"once\nhello 1.0\n", self.python("""
            print('once', flush=True)
            from quicken.script import hello
            if __name__ == '__main__':
                hello._.main()
            """).stdout)
        self.assertEqual([], self.bed.instances())

    def test_names(self):
        result = self.python("""
            import quicken.script as script
            print(hasattr(script, '__path__'), script.hello.cli, hasattr(script.hello, '__wrapped__'))
            import hello.cli
            print(script.hello.cli._ is hello.cli, script.hello.called() is None)
            script.nothing.at.all._.main
            """)
        self.assertTrue(result.stdout.startswith(b"False <entry point in hello.cli, see quicken.script> False\ncalled"))
        self.assertTrue(result.stdout.endswith(b"\nTrue False\n"), result)
        self.assertTrue(result.stderr.endswith(b"ModuleNotFoundError: No module named 'nothing'\n"), result)
        self.assertNotIn(b"quicken/", result.stderr)

    def test_imports_little(self):
        """Before it hands over."""
        code = ("import sys; before = set(sys.modules); import quicken.script, quicken._hand_over; "
                "print(sorted(set(sys.modules) - before))")
        code = f"import sys; sys.path.append({installed.PACKAGE!r}); {code}"
        found = self.bed.run([self.venv.python, "-S", "-c", code])
        self.assertEqual((b"['_functools', '_operator', 'quicken', 'quicken._client', 'quicken._hand_over', 'quicken.script']\n", b""),
                         (found.stdout, found.stderr))

    def test_version_of_the_wheel(self):
        shown = self.bed.run([harness.QUICKEN, "--version"]).stdout.decode().split()[-1]
        self.assertIn(f"quicken-{shown}-py3-none-any.whl", WHEELS["quicken"])
        code = "import quicken, importlib.metadata as m; print(quicken.__version__, m.version('quicken'))"
        self.assertEqual(f"{shown} {shown}\n", self.bed.run([self.venv.python, "-c", code]).stdout.decode())


class Pythons(ConsoleCase, harness.Case):
    """One test a version is added below."""

    def check(self, python):
        venv = installed.Venv(self.bed.path("venv"), python)
        venv.install(WHEELS["quicken"], WHEELS["hello"])
        for arguments, options in RUNS:
            with self.subTest(arguments):
                self.assert_alike(venv, arguments, **options)
        venv.begin_by_import()
        for arguments, options in RUNS[:2] + [(["raise"], {}), (["kill", "15"], {})]:
            self.assert_alike(venv, arguments, **options)
        self.assert_alike(venv, [], env={"LANG": None})
        self.assert_alike(venv, ["raise"], count=0, env={"PYTHONHASHSEED": "random"})
        self.assertEqual(0, self.bed.run([venv.script("helloctl"), "stop"]).status)


def add(version, python):
    def test(self):
        self.check(python)

    test.__doc__ = python
    setattr(Pythons, "test_" + version.replace(".", "_"), test)


for version_, python_ in sorted(pythons.pythons().items()):
    add(version_, python_)

if __name__ == "__main__":
    harness.main()
