"""#! lines that name quicken: the script runs as with one that names the Python itself, from the first run on.

The kernel makes one word of all that follows the interpreter (execve(2)); env(1) -S splits it.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

BIN = os.path.join(harness.PREFIX, "bin")
WITH_QUICKEN = {"PATH": BIN + ":" + harness.PATH}

MIRROR = """
import sys
if __name__ == '__main__':
    print(ascii([sys.argv, __file__, sys.path, sys.flags, sys.prefix, sys.executable, sys.warnoptions]))
    if sys.argv[1:] == ['fail']:
        raise ValueError('in a traceback')
    sys.exit(len(sys.argv))
"""

ARGUMENTS = ((), ("a b", "", "-x", "--help"), ("--", "x"), ("run", "--python", "--file"), ("fail",))


def without_dots(result):
    """`__file__` has no "." components (quicken(7))."""
    return result._replace(stdout=result.stdout.replace(b"/./", b"/"), stderr=result.stderr.replace(b"/./", b"/"))


@harness.each_activation
class Lines:
    def setUp(self):
        super().setUp()
        self.venvs = []
        for name in ("venv", "my venv"):
            root = self.bed.path(name)
            self.assertEqual(0, self.bed.run([harness.PYTHON, "-m", "venv", "--without-pip", root]).status)
            self.venvs.append(os.path.join(root, "bin", "python"))

    def script(self, name, line):
        os.makedirs(os.path.dirname(self.bed.path(name)), exist_ok=True)
        return self.bed.write(name, f"#!{line}\n{MIRROR}", 0o755)

    def assert_like(self, plain_argv, line, name="tool"):
        """A script with this line, by absolute and relative paths, does what `plain_argv` with the same script does."""
        path = self.script(name, line)
        for typed, cwd in ((path, None), ("./" + name, None), ("../" + name, os.path.join(self.bed.work, "venv"))):
            for arguments in ARGUMENTS:
                with self.subTest(line, typed=typed, arguments=arguments):
                    plain = without_dots(self.bed.run([*plain_argv, typed, *arguments], cwd=cwd))
                    quick = self.bed.run([typed, *arguments], cwd=cwd, env=WITH_QUICKEN)
                    self.assert_result(plain, quick, "first or warm")
        # The same server, whoever asks: quickenctl understands the line.
        self.assert_count(2 * len(ARGUMENTS), lambda: self.bed.commands_run(path, env=WITH_QUICKEN),
                          "not all runs were the server's")
        self.assertEqual(0, self.bed.ctl("stop", "--file", path, env=WITH_QUICKEN).status)

    def test_env(self):
        self.assert_like([harness.PYTHON], "/usr/bin/env quicken")

    def test_env_with_words(self):
        plain, _ = self.venvs
        for line in (f"/usr/bin/env -S quicken run --python {plain}", f"/usr/bin/env -S quicken run --python={plain}"):
            with self.subTest(line):
                self.assert_like([plain], line)

    def test_env_with_the_old_form(self):
        """--file takes one `--` for itself, so it is not for #! lines; all else is the script's."""
        path = self.script("tool", f"/usr/bin/env -S quicken run --python {self.venvs[0]} --file")
        plain = self.bed.run([self.venvs[0], path, "x", "--"])
        self.assert_result(plain, self.bed.run([path, "x", "--"], env=WITH_QUICKEN), "first")

    def test_an_interpreter(self):
        for venv in self.venvs:
            with self.subTest(venv):
                self.assert_like([venv], f"{harness.QUICKEN} {venv}")

    def test_an_interpreter_with_options(self):
        for venv in self.venvs:
            for options in ("-I", "-s -E", "-X dev -W error"):
                with self.subTest(venv, options=options):
                    self.assert_like([venv, *options.split()], f"{harness.QUICKEN} {venv} {options}")

    def test_odd_names_of_scripts(self):
        for name in ("a b", "-x", "python3", "quicken", "new\nline", "status"):
            with self.subTest(name):
                path = self.script("odd/" + name, f"{harness.QUICKEN} {self.venvs[1]}")
                plain = self.bed.run([self.venvs[1], path, "x"])
                for what in "first", "warm":
                    self.assert_result(plain, self.bed.run([path, "x"]), what)

    def test_commands_take_the_line(self):
        path = self.script("tool", f"{harness.QUICKEN} {self.venvs[1]} -I")
        self.bed.run([path])
        self.assert_count(1, lambda: self.bed.commands_run(path), "quickenctl status")
        self.assertEqual(1, len(self.bed.instances()))
        self.assertEqual(f"{path} stopped\n".encode(), self.bed.ctl("stop", "--file", path).stdout)

    def test_without_a_server(self):
        path = self.script("tool", f"{harness.QUICKEN} {self.venvs[1]} -I")
        plain = self.bed.run([self.venvs[1], "-I", path, "x"])
        self.assert_result(plain, self.bed.run([path, "x"], env={"QUICKEN_DISABLE": "1"}), "QUICKEN_DISABLE")

    def test_no_such_interpreter(self):
        path = self.script("tool", f"{harness.QUICKEN} {self.bed.work}/none/python")
        result = self.bed.run([path])
        self.assertEqual((127, b""), result[:2])
        self.assertIn(b"/none/python: No such file or directory", result.stderr)


class Typed(harness.Case):
    """What tells an interpreter from a script: it is absolute, and called python, python3, python3.11 and so on."""

    def test_a_script_called_python(self):
        path = self.bed.write("python3", f"#!{harness.PYTHON}\n" + MIRROR, 0o755)
        plain = self.bed.run([harness.PYTHON, "./python3", "x"])
        self.assert_result(without_dots(plain), self.bed.run([harness.QUICKEN, "./python3", "x"]), "relative")
        plain = self.bed.run([harness.PYTHON, path, "x"])
        self.assert_result(plain, self.bed.run([harness.QUICKEN, "run", "--file", path, "x"]), "run --file")
        self.assert_result(plain, self.bed.run([harness.QUICKEN, "run", path, "x"]), "run")

    def test_usage(self):
        for words in ([harness.PYTHON], [harness.PYTHON, "-I", "x.py"], ["--launch"], ["--launch=/x"]):
            with self.subTest(words):
                result = self.bed.run([harness.QUICKEN, *words])
                self.assertEqual((2, b""), result[:2])
                self.assertIn(b"see quicken --help", result.stderr)


if __name__ == "__main__":
    harness.main()
