"""Every CPython that is found, in a virtual environment, is the same as plain."""

import glob
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

SCRIPT = """
import sys, sysconfig
import json
def main():
    print(json.dumps([sys.path, sys.prefix, sys.base_prefix, sys.exec_prefix, sys.executable,
                      sys.orig_argv[2:] if hasattr(sys, 'orig_argv') else None, sys.argv,
                      list(map(str, sys.flags)), sys.version, list(sys.version_info),
                      sys.implementation.name, sys.implementation.cache_tag, sys.maxsize, sys.byteorder,
                      sysconfig.get_paths(), sys.getfilesystemencoding(), sys.stdout.encoding,
                      sys.stdout.errors, sys.stderr.errors, sys.getrecursionlimit(), sys.getswitchinterval(),
                      sys.warnoptions, sorted(sys._xoptions), __name__, __file__, repr(__spec__),
                      repr(__builtins__), sorted(globals()), sys.modules['__main__'].__dict__ is globals()],
                     indent=1))
if __name__ == '__main__':
    main()
"""

VERSION = "import sys; print(sys.implementation.name, '%d.%d.%d' % sys.version_info[:3])"


def pythons():
    """{version: path} of every CPython >= 3.8, the first of each version."""
    homes = {os.path.expanduser("~"), "/root"} | set(glob.glob("/home/*"))
    patterns = ["/usr/bin/python3*", "/usr/local/bin/python3*", "/opt/*/bin/python3*"]
    patterns += [home + "/.pyenv/versions/*/bin/python3" for home in sorted(homes)]
    extra = os.environ.get("QUICKEN_TEST_PYTHONS", "").split(":")
    found = {}
    for path in filter(None, sum((sorted(glob.glob(pattern)) for pattern in patterns), extra)):
        if path.endswith("-config") or not os.access(path, os.X_OK):
            continue
        try:
            name, version = subprocess.check_output([path, "-c", VERSION], stderr=subprocess.DEVNULL,
                                                    text=True, timeout=20).split()
        except (OSError, ValueError, subprocess.SubprocessError):
            continue
        if name == "cpython" and tuple(map(int, version.split("."))) >= (3, 8):
            found.setdefault(version, path)
    return found


@harness.each_activation
class Pythons:
    """One test a version is added below."""

    def check(self, python):
        venv = self.bed.path("venv")
        subprocess.run([python, "-m", "venv", "--without-pip", venv], check=True, capture_output=True)
        inner = os.path.join(venv, "bin", "python")
        script = self.bed.write("about.py", SCRIPT)
        arguments = [script, "one", "two words"]
        result = self.assert_same(arguments, python=inner, plain=[inner, *arguments])
        self.assertEqual(0, result.status)
        self.assertIn(venv.encode(), result.stdout)
        # As an activated environment has it.
        env = {"VIRTUAL_ENV": venv, "PATH": f"{venv}/bin:{harness.PATH}"}
        self.assertEqual(self.bed.run([inner, *arguments], env=env), self.bed.quick(arguments, env=env))
        # As an installed script has it.
        shebang = self.bed.write("tool", f"#!{inner}\n" + SCRIPT, 0o755)
        self.assert_same([shebang, "three"])
        # With options in the #! line, which are the interpreter's.
        options = self.bed.write("options", f"#!{inner} -IO\n" + SCRIPT, 0o755)
        self.assert_same([options, "four"])


def add(version, python):
    def test(self):
        self.check(python)

    test.__doc__ = python
    name = "test_" + version.replace(".", "_")
    for activation in ("systemd", "self"):
        setattr(globals()[f"Pythons_{activation}"], name, test)


for version_, python_ in sorted(pythons().items()):
    add(version_, python_)

if __name__ == "__main__":
    harness.main()
