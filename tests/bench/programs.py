"""The programs that are measured, and the rows of the two main tables."""

import os
import shlex
import shutil
import subprocess

from driver import BenchError, Row
from scratch import PATH

PYTHON = "/usr/bin/python3"  # has Debian's numpy and pandas
HERE = os.path.dirname(os.path.abspath(__file__))

HELLO = """#!{python}
def main():
    print('hello')
if __name__ == '__main__':
    main()
"""

NUMPY_PANDAS = """#!{python}
import numpy
import pandas
def main():
    print('hello', numpy.__version__, pandas.__version__)
if __name__ == '__main__':
    main()
"""

REALISTIC = """#!{python}
import sys
import numpy
import pandas
def main():
    frame = pandas.DataFrame({{'group': [f'g{{i % 20}}' for i in range(1000)], 'x': numpy.arange(1000),
                              'y': numpy.sqrt(numpy.arange(1000.0))}})
    frame.groupby('group').agg({{'x': 'sum', 'y': 'mean'}}).to_csv(sys.stdout)
if __name__ == '__main__':
    main()
"""

SMALL = '''"""A small module."""
import sys


def greeting(name: str, *, loud: bool = False) -> str:
    """What to say."""
    text = f"hello {name}"
    return text.upper() if loud else text


if __name__ == "__main__":
    for number, name in enumerate(sys.argv[1:]):
        print(number, greeting(name, loud=number % 2 == 0))
'''


class Programs:
    """Written or linked into the scratch directory: so no server of theirs is anybody else's."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.skipped = {}  # name of a program or a row: why it is not measured
        self.commands = {}  # name: script, arguments, directory
        work = scratch.work
        self.add("hello", scratch.write("hello.py", HELLO.format(python=PYTHON)))
        if subprocess.run([PYTHON, "-c", "import numpy, pandas"], capture_output=True).returncode == 0:
            self.add("pandas", scratch.write("numpy_pandas.py", NUMPY_PANDAS.format(python=PYTHON)))
            self.add("realistic", scratch.write("realistic.py", REALISTIC.format(python=PYTHON)))
        else:
            self.skipped["pandas"] = self.skipped["realistic"] = f"{PYTHON} has no numpy and pandas"
        self.add("black", self.link("black"), "--check", scratch.write("small.py", SMALL))
        repository = os.path.join(work, "repository")
        self.add("hg", self.link("hg"), "status", directory=repository)
        self.add("hg-learned", self.link("hg", "hg-learned"), "status", directory=repository)
        if "hg" in self.commands:
            self.make_repository(repository)

    def add(self, name, script, *arguments, directory=""):
        if script:
            self.commands[name] = (script, arguments, directory or self.scratch.work)
        else:
            self.skipped[name] = f"{name.partition('-')[0]} is not installed"

    def link(self, program, name=""):
        found = shutil.which(program, path=PATH)
        if not found:
            return ""
        directory = os.path.join(self.scratch.work, "bin")
        os.makedirs(directory, exist_ok=True)
        os.symlink(found, os.path.join(directory, name or program))
        return os.path.join(directory, name or program)

    def make_repository(self, directory):
        """20 files, one of them changed, and one that hg does not know."""
        def hg(*arguments):
            subprocess.run(["hg", *arguments], cwd=directory, env=self.scratch.env, check=True, capture_output=True)
        os.mkdir(directory)
        for number in range(20):
            self.scratch.write(f"repository/file{number}", f"{number}\n" * 10)
        hg("init")
        hg("commit", "--addremove", "--message", "first")
        self.scratch.write("repository/file3", "changed\n")
        self.scratch.write("repository/new", "new\n")

    def plain(self, name, streams="pipes"):
        script, arguments, directory = self.commands[name]
        return Row("plain", name, streams, [PYTHON, script, *arguments], self.scratch.builds[0].env, directory, burst=2)

    def quickened(self, build, how, name, streams):
        script, arguments, directory = self.commands[name]
        if name.endswith("-learned"):
            build.learn(script)
        return Row(how, name, streams, build.argv(script, *arguments), build.env, directory, build=build, script=script)

    def simple(self, how, program, streams, argv, **options):
        return Row(how, program, streams, argv, self.scratch.builds[0].env, self.scratch.work, **options)


def base_rows(programs):
    """What the ratios are taken to."""
    scratch = programs.scratch
    socket = os.path.join(scratch.root, "floor")
    scratch.helper([scratch.program("floor-server"), socket], lambda: os.path.exists(socket))
    rows = [programs.simple("plain", "pass", "pipes", [PYTHON, "-c", "pass"], burst=2),
            programs.simple("floor", "echo", "pipes", [scratch.program("floor-client"), socket])]
    if scratch.program("static-true"):
        rows.append(programs.simple("true", "static", "pipes", [scratch.program("static-true")]))
    else:
        programs.skipped["true/static/pipes"] = "there is no static C library"
    return rows


def bare_spares(programs):
    """Rows of a least server in Python, whose spares are forked in advance: what quicken does beyond that shows."""
    scratch, rows = programs.scratch, []
    for name in ("pandas", "realistic"):
        if name not in programs.commands:
            continue
        script, _, _ = programs.commands[name]
        socket = os.path.join(scratch.root, f"spare-{name}")
        scratch.helper([PYTHON, os.path.join(HERE, "bare_spare.py"), socket, script],
                       lambda path=socket: os.path.exists(path))
        rows.append(programs.simple("bare-spare", name, "pipes", [scratch.program("floor-client"), socket]))
    return rows


def launcher_rows(programs, launchers):
    rows = []
    for text in launchers:
        name, equals, command = text.partition("=")
        argv = shlex.split(command)
        if not name or not equals or not argv or "/" in name:
            raise BenchError(f"--launcher {text}: it has to be NAME=COMMAND")
        script = programs.commands.get("pandas", programs.commands["hello"])[0]
        argv = [part.replace("{script}", script).replace("{python}", PYTHON) for part in argv]
        found = shutil.which(argv[0])
        if not found:
            programs.skipped[name] = f"{argv[0]} is not there"
            continue
        argv[0] = os.path.abspath(found)
        rows += [programs.simple(name, "pandas", streams, argv) for streams in ("pipes", "terminal")]
    return rows


def chg_rows(programs):
    if "hg" not in programs.commands or not shutil.which("chg", path=PATH):
        programs.skipped["chg"] = "chg is not installed"
        return []
    directory = programs.commands["hg"][2]
    return [Row("chg", "hg", streams, [shutil.which("chg", path=PATH), "status"], programs.scratch.builds[0].env,
                directory) for streams in ("pipes", "terminal")]


def main_rows(programs, launchers):
    """All rows of the tables with a pause and back to back, those of base_rows() first."""
    first, *others = programs.scratch.builds
    both = ("pipes", "terminal")
    rows = base_rows(programs)
    rows.append(programs.simple("plain", "pass", "terminal", [PYTHON, "-c", "pass"], burst=2))
    rows += [programs.plain(name) for name in programs.commands if name != "hg-learned"]
    rows += [programs.quickened(first, "quickened", name, streams) for name in programs.commands for streams in both]
    rows += [programs.quickened(build, "against", name, streams)
             for build in others for name in programs.commands for streams in both]
    return rows + bare_spares(programs) + chg_rows(programs) + launcher_rows(programs, launchers)
