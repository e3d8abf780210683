"""Command-line programs of Debian, each in several ways, compared byte for byte: plain, cold and warm.

A program is a row of PROGRAMS, each way to call it a line of its own: arguments as a shell has them, with `<FILE`
at the end for standard input. A way has a directory of its own, new for each run, with all FILES in it, and an empty
home. Compared: output, errors, exit status, and the files, with content and mode, that are there afterwards. Cold is
the run that starts the server; warm one of a server that another way has started, with other arguments in another
directory. The server must have counted both. Only what differs from one plain run to the next is masked, by the line
that needs it.
"""

import base64
import os
import re
import shlex
import shutil
import stat
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

HELP, VERSION = "--help", "--version"
SECONDS = rb"\d+(\.\d+)? ?m?s\b"
DATE = rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
DIRSTATE = r"r/\.hg/dirstate"  # has times
PICKLE = r"out/\.doctrees/environment\.pickle"  # has sets


def call(line, status=0, shows="", mask=None, skip=None):
    """One way to call a program.

    status  the plain run's; anything else would test something else than was meant
    shows   text that is in its output or errors, where the status does not tell
    mask    pattern of what differs between two plain runs
    skip    pattern of files that differ between two plain runs
    """
    words = shlex.split(line)
    stdin = words.pop()[1:] if words and words[-1].startswith("<") else None
    return {"line": line, "words": words, "stdin": stdin, "status": status, "shows": shows.encode(),
            "mask": mask, "skip": skip}


def fails(line, status=1, **options):
    return call(line, status, **options)


def of(name, *calls, prepare=None, place=None):
    """A program of /usr/bin.

    prepare  a shell's command line that adds to the FILES
    place    the name that the directory of each way has, for a program that reads its working directory in its prelude
    """
    ways = [call(way) if isinstance(way, str) else way for way in calls]
    return name, [dict(way, place=place) for way in ways], prepare


PROGRAMS = (
    of("autopep8", HELP, VERSION, call("-d bad.py", shows="+def f(x):"), "--in-place --aggressive bad.py",
       call("- <bad.py", shows="def f(x):"), fails("missing.py", 1)),
    of("bandit", HELP, VERSION, fails("-f json bad.py", shows="B605", mask=rb'"generated_at": ".*"'),
       fails("-f csv - <bad.py", shows="B605"), fails("--no-such-option", 2)),
    of("black", HELP, VERSION, "bad.py", call("-q - <bad.py", shows="def f(x):"),
       fails("--check bad.py"), fails("-c 'def ('", 123)),
    of("chardetect", HELP, VERSION, "bad.py latin1.txt page.md", "<latin1.txt", fails("missing.txt", 2)),
    of("codespell", HELP, VERSION, fails("notes.txt", 65, shows="the"), "-w notes.txt", fails("- <notes.txt", 65),
       fails("--no-such-option", 2)),
    of("cookiecutter", HELP, VERSION, "--no-input template", "--no-input -o out template name=other",
       "template <answers.txt", fails("missing", 1)),
    of("csvcut", HELP, VERSION, "-c name,price table.csv", "-n <table.csv", fails("-c nothing table.csv", 1)),
    of("csvstat", HELP, VERSION, "table.csv", "--mean -c price <table.csv", fails("-c nothing table.csv", 1)),
    of("flake8", HELP, VERSION, fails("bad.py"), fails("--max-line-length 20 --statistics - <good.py"), "good.py",
       fails("missing.py", shows="E902")),
    of("gcovr", HELP, VERSION, "-a coverage.json", "-a coverage.json --csv -o out.csv", fails("--no-such-option", 2)),
    of("hg", HELP, VERSION, "init other", "log -R r", call("status -A -R r", skip=DIRSTATE),
       call("import -R r --no-commit - <change.diff", skip=DIRSTATE),
       fails("log -R missing", 255),
       prepare="hg init r && cp old.txt r && hg add -q -R r r/old.txt && hg commit -R r -m first -u me -d '0 0'"),
    of("http", HELP, VERSION, call("--offline --ignore-stdin POST example.org/a name=value n:=1", shows="POST /a"),
       "--offline --ignore-stdin --print=HB --pretty=format PUT example.org/x @instance.json",
       call("--offline example.org <instance.json", shows='"name"'), fails("--no-such-option", 1)),
    of("icdiff", HELP, VERSION, fails("--cols=80 old.txt new.txt"),
       fails("--cols=80 --no-headers -N old.txt /dev/stdin <new.txt"),
       "old.txt old.txt", fails("missing.txt old.txt", 2)),
    of("isort", HELP, VERSION, "-d bad.py", "bad.py", "- <bad.py", fails("--check-only bad.py"), fails("missing.py")),
    of("jc", HELP, VERSION, call("--ini <sample.ini", shows='"section"'), "-p --csv <table.csv",
       call("wc table.csv", shows='"lines":3'),
       fails("--no-such-parser <table.csv", 100)),
    of("jsonschema", HELP, VERSION, "-i instance.json schema.json", fails("-i wrong.json schema.json"),
       fails("schema.json <wrong.json"), fails("missing.json", 1)),
    of("markdown_py", HELP, VERSION, "page.md", "-x toc -x tables <page.md",
       "-f out.html page.md", fails("missing.md", 1)),
    of("mypy", HELP, VERSION, fails("--cache-dir=/dev/null --check-untyped-defs bad.py", shows="name-defined"),
       fails("missing.py", 2)),
    of("pdf2txt", HELP, VERSION, call("letter.pdf", shows="Hello"), "-t xml -o out.xml letter.pdf",
       fails("missing.pdf", 1)),
    of("pip3", HELP, VERSION, "hash table.csv", "show pip", "list --no-index", fails("install --no-index missing", 1),
       place="place"),
    of("pycodestyle", HELP, VERSION, fails("bad.py"), fails("--show-source --statistics - <bad.py"), "good.py",
       fails("missing.py")),
    of("pydocstyle", HELP, VERSION, fails("bad.py"), fails("--explain bad.py"), fails("--no-such-option", 2)),
    of("pygmentize", "-h", "-V", "-f html bad.py", "-l python -f terminal <bad.py",
       "-l python -f latex -O full -o out.tex bad.py", fails("missing.py", 1)),
    of("pylint", HELP, VERSION, fails("bad.py", 22, shows="undefined-variable"), "-f json good.py",
       fails("--from-stdin x.py <bad.py", 22), fails("missing.py", 1)),
    of("pytest", HELP, VERSION, call("-q test_sums.py -k good", mask=SECONDS), fails("test_sums.py", mask=SECONDS),
       call("-s test_sums.py -k good <notes.txt", mask=SECONDS), fails("missing.py", 4, mask=SECONDS)),
    of("python3-coverage", "help", VERSION, call("run good.py", mask=DATE), "debug config", fails("report", 1)),
    of("rst2html5", HELP, VERSION, "page.rst", "- out.html <page.rst", fails("--halt=2 broken.rst"),
       fails("missing.rst", 1)),
    of("scour", HELP, VERSION, call("-i shape.svg -o out.svg", mask=SECONDS), call("<shape.svg", mask=SECONDS),
       fails("-i missing.svg", 1)),
    of("sphinx-build", HELP, VERSION, call("-b text docs out", skip=PICKLE),
       call("-Q -b html docs out", skip=PICKLE),
       fails("-b text missing out", 2)),
    of("sqlformat", HELP, VERSION, "-r -k upper query.sql", "-r - <query.sql", fails("missing.sql", 1)),
    of("virtualenv", HELP, VERSION, call("--without-pip --no-setuptools --no-wheel out", mask=SECONDS),
       fails("--no-such-option", 2)),
    of("vulture", HELP, VERSION, fails("bad.py"), "good.py", fails("missing.py", 1)),
    of("yamllint", HELP, VERSION, fails("-f parsable broken.yaml"), "good.yaml", fails("- <broken.yaml"),
       fails("missing.yaml", 255)),
    of("yapf3", HELP, VERSION, "bad.py", "<bad.py", "-i bad.py", fails("-d bad.py", 1), fails("missing.py", 1)),
    of("yq", HELP, VERSION, ".list[1] good.yaml", "-y .list <good.yaml", fails(". broken.yaml", 1)),
    of("yt-dlp", HELP, VERSION, "--list-extractors",
       call("--simulate -O %(title)s-%(id)s --load-info-json info.json", shows="Sample-s1"),
       call("--simulate -O title --load-info-json - <info.json", shows="Sample"), fails("--no-such-option", 2)),
)

FILES = {
    "answers.txt": "other\n",
    "bad.py": """
        import sys
        import os
        def f( x ):
          os.system('ls ' + x)
          return y
        x = {  'a':1,
          'b':2 }
        """,
    "broken.rst": "Title\n==\n\n.. nonsense::\n",
    "broken.yaml": "list: [1,2\nkey:   value\n",
    "change.diff": """
        diff --git a/new.txt b/new.txt
        new file mode 100644
        --- /dev/null
        +++ b/new.txt
        @@ -0,0 +1,1 @@
        +hello
        """,
    "coverage.json": """
        {"gcovr/format_version": "0.3", "files": [{"file": "a.c", "functions": [], "lines": [
        {"line_number": 1, "count": 2, "gcovr/noncode": false, "gcovr/excluded": false,
        "branches": []},
        {"line_number": 2, "count": 0, "gcovr/noncode": false, "gcovr/excluded": false,
        "branches": []}]}]}
        """,
    "docs/conf.py": "project = 'sample'\n",
    "docs/index.rst": "Sample\n======\n\n* One :ref:`search`.\n\n.. code-block:: python\n\n   print(1)\n",
    "good.py": '"""Do nothing much."""\nVALUE = [1, 2]\nprint(VALUE)\n',
    "good.yaml": "---\nlist:\n  - one\n  - {two: 2}\n",
    "info.json": """
        {"id": "s1", "title": "Sample", "extractor": "x", "extractor_key": "X", "webpage_url": "http://localhost/",
        "formats": [{"format_id": "f", "url": "http://localhost/f.mp4", "ext": "mp4"}]}
        """,
    "instance.json": '{"name": "x", "size": 3}\n',
    "latin1.txt": "Une phrase en français, où l'été a été très agréable.\n".encode("latin-1"),
    "letter.pdf": base64.b64decode(
        "JVBERi0xLjQKMSAwIG9iajw8L1R5cGUvQ2F0YWxvZy9QYWdlcyAyIDAgUj4+ZW5kb2JqCjIgMCBvYmo8PC9UeXBlL1BhZ2VzL0tpZHNbMyAw"
        "IFJdL0NvdW50IDE+PmVuZG9iagozIDAgb2JqPDwvVHlwZS9QYWdlL1BhcmVudCAyIDAgUi9NZWRpYUJveFswIDAgMjAwIDEwMF0vQ29udGVu"
        "dHMgNCAwIFIvUmVzb3VyY2VzPDwvRm9udDw8L0YxPDwvVHlwZS9Gb250L1N1YnR5cGUvVHlwZTEvQmFzZUZvbnQvSGVsdmV0aWNhPj4+Pj4+"
        "Pj5lbmRvYmoKNCAwIG9iajw8L0xlbmd0aCA0MT4+c3RyZWFtCkJUIC9GMSAxMiBUZiAxMCA1MCBUZCAoSGVsbG8gcGFnZSkgVGogRVQKZW5k"
        "c3RyZWFtIGVuZG9iagp0cmFpbGVyPDwvUm9vdCAxIDAgUj4+Cg=="),
    "new.txt": "one\ntwo\nthree and more\n",
    "notes.txt": "teh first line\nof two, recieved\n",
    "old.txt": "one\n2\nthree\n",
    "page.md": "# Title\n\nSome *text*, `code`.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
    "page.rst": "Title\n=====\n\nSome *text* and a `link <http://example.org>`_.\n\n* a\n* b\n",
    "query.sql": "select a,b from t where x=1 and y in (select z from u) order by 1;\n",
    "sample.ini": "[section]\nversion = 1.2.3\n",
    "schema.json": '{"type": "object", "properties": {"name": {"type": "string"}, "size": {"type": "integer"}}}\n',
    "shape.svg": '<svg xmlns="http://www.w3.org/2000/svg"><g><rect x="1.00000" width="2.0px" height="3"/></g></svg>\n',
    "table.csv": "name,price,day\nnut,1.50,2020-01-02\nbolt,2,2021-03-04\n",
    "template/cookiecutter.json": '{"name": "sample"}\n',
    "template/{{cookiecutter.name}}/readme.txt": "This is {{ cookiecutter.name }}.\n",
    "test_sums.py": "def test_good():\n    assert 1 + 1 == 2\n\n\ndef test_bad():\n    assert 1 + 1 == 3\n",
    "wrong.json": '{"name": 1, "size": "x"}\n',
}


def write_files(place):
    for name, content in FILES.items():
        path = os.path.join(place, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else harness.dedent(content).encode())
        os.utime(path, (1e9, 1e9))  # compiled modules have it in them


def read_files(place):
    """What is at each path below `place`: mode, and content or target."""
    found = {}
    for folder, folders, files in os.walk(place):
        for path in (os.path.join(folder, name) for name in folders + files):
            status = os.lstat(path)
            content = b""
            if stat.S_ISLNK(status.st_mode):
                content = os.fsencode(os.readlink(path))
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = file.read()
            found["file " + os.path.relpath(path, place)] = (oct(status.st_mode), content)
    return found


def masked(outcome, way):
    """Without the files of `skip`, and T for what matches `mask`."""
    def mask(value):
        if isinstance(value, bytes):
            return re.sub(way["mask"], b"T", value)
        return (value[0], mask(value[1])) if isinstance(value, tuple) else value

    return {what: mask(value) if way["mask"] else value for what, value in outcome.items()
            if not (way["skip"] and re.fullmatch("file " + way["skip"], what))}


class Runs:
    def compare(self, path, ways, prepare):
        self.prepare(prepare)
        plain = {}
        for index, way in enumerate(ways):
            with self.subTest(plain=way["line"]):
                plain[index] = self.outcome([path], index, way)
                said = plain[index]["stdout"] + plain[index]["stderr"]
                self.assertEqual(way["status"], plain[index]["status"], said)
                self.assertIn(way["shows"], said)
        for cold, way in enumerate(ways):
            self.assertEqual(0, self.bed.ctl("stop", "--file", path).status)
            warm = cold - 1 if cold else len(ways) - 1
            with self.subTest(cold=way["line"]):
                self.assert_outcome(plain[cold], self.outcome(self.bed.quick_argv([path]), cold, way))
            with self.subTest(warm=ways[warm]["line"], after=way["line"]):
                self.assert_outcome(plain[warm], self.outcome(self.bed.quick_argv([path]), warm, ways[warm]))
                self.assert_count(2, lambda: self.bed.commands_run(path), "the server has not run both")

    def prepare(self, command):
        """The directory that each run has a copy of."""
        self.pristine = self.bed.path("pristine")
        os.mkdir(self.pristine)
        write_files(self.pristine)
        if command:
            self.assertEqual(0, self.bed.run(["sh", "-c", command], cwd=self.pristine).status, command)

    def outcome(self, argv, index, way):
        """All that is compared, by what it is: status, stdout, stderr, and each file that is there afterwards."""
        place = self.bed.path(way["place"] or f"place {index}")
        for folder in (place, self.bed.home):
            shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(self.bed.home)
        shutil.copytree(self.pristine, place, symlinks=True)
        with open(os.path.join(place, way["stdin"]) if way["stdin"] else os.devnull, "rb") as stdin:
            result = self.bed.run([*argv, *way["words"]], cwd=place, stdin_file=stdin)
        return masked({**result._asdict(), **read_files(place)}, way)

    def assert_outcome(self, expected, actual):
        for name in expected.keys() | actual.keys():
            self.assertEqual(expected.get(name, "not there"), actual.get(name, "not there"), f"{name} differs")


def test_of(name, ways, prepare):
    def test(self):
        self.compare("/usr/bin/" + name, ways, prepare)

    return unittest.skipUnless(os.path.exists("/usr/bin/" + name), f"{name} is not installed")(test)


def case_of(activation, programs):
    tests = {"test_" + name.replace("-", "_"): test_of(name, ways, prepare) for name, ways, prepare in programs}
    members = {"activation": activation, "__module__": __name__, **tests}
    return type(f"Debian_{activation}", (Runs, harness.Case), members)


Debian_systemd = case_of("systemd", PROGRAMS)
# Only the start differs from the other activation: every third program, in two ways that do something.
Debian_self = case_of("self", [(name, ways[2:4], prepare) for name, ways, prepare in PROGRAMS[::3]])


class Table(unittest.TestCase):
    def test_the_table_is_large(self):
        self.assertGreaterEqual(len(PROGRAMS), 16)
        self.assertEqual(len(PROGRAMS), len({name for name, *_ in PROGRAMS}))
        for name, ways, _ in PROGRAMS:
            with self.subTest(name):
                self.assertGreaterEqual(len({way["line"] for way in ways}), 4)
                self.assertTrue([way for way in ways if way["status"]], "no way that fails")


DEPLOY = """#!{interpreter}
# PYTHON_ARGCOMPLETE_OK
import argparse
import argcomplete


def hosts(prefix, parsed_args, **options):
    return ["alpha", "beta", "with space"] if parsed_args.all else ["alpha"]


if __name__ == '__main__':
    parser = argparse.ArgumentParser(prog='deploy')
    parser.add_argument('--colour', choices=['always', 'never'], help='in colour')
    parser.add_argument('--count', type=int)
    parser.add_argument('--all', action='store_true')
    commands = parser.add_subparsers()
    push = commands.add_parser('push', help='to a host')
    push.add_argument('host').completer = hosts
    commands.add_parser('pull').add_argument('file')
    argcomplete.autocomplete(parser)
    print('never printed in a completion')
"""

# As the function that register-python-argcomplete writes for bash runs it.
COMPLETE = ["sh", "-c", 'exec "$@" 8>&1 9>&2 1>/dev/null 2>&1', "sh"]
BASH = """
eval "$(register-python-argcomplete deploy)"
COMP_LINE=$1 COMP_POINT=${#1}
_python_argcomplete deploy 2>/dev/null
echo "$?: ${#COMPREPLY[@]}"
printf '%s;' "${COMPREPLY[@]}"
"""


@unittest.skipUnless(os.path.exists("/usr/bin/register-python-argcomplete"), "python3-argcomplete is not installed")
class Completion:
    """argcomplete: the program itself is run, told by its environment, and answers on descriptor 8."""

    LINES = ("deploy ", "deploy -", "deploy --c", "deploy --colour ", "deploy --colour=n", "deploy p", "deploy push ",
             "deploy --all push ", "deploy --all push 'wi", "deploy pull pl", "deploy --nothing")

    def deploy(self, folder, interpreter):
        os.makedirs(self.bed.path(folder), exist_ok=True)
        return self.bed.write(f"{folder}/deploy", DEPLOY.format(interpreter=interpreter).encode(), mode=0o755)

    def assert_completed(self, path, line, answers=True, **more):
        """The same is written on 8 (here: output) and 9 (errors), by the server."""
        env = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), **more}

        def run(argv):
            result = self.bed.run([*COMPLETE, *argv], env=env)
            return result._replace(stderr=re.sub(rb"0x[0-9a-f]{6,}", b"0x", result.stderr))

        plain = run([path])
        self.assertEqual(answers, bool(plain.stdout), plain)
        self.assertEqual(0, self.bed.ctl("stop", "--file", path).status)
        for what in "cold", "warm":
            self.assert_result(plain, run(self.bed.quick_argv([path])), what)
        self.assert_count(2, lambda: self.bed.commands_run(path), "the server has not run both")
        return plain

    def test_descriptor_8(self):
        path = self.deploy("plain", harness.PYTHON)
        for line in self.LINES:
            with self.subTest(line=line):
                self.assert_completed(path, line, answers=line != "deploy --nothing")

    def test_descriptor_9_has_what_argcomplete_logs(self):
        path = self.deploy("plain", harness.PYTHON)
        self.assertIn(b"LINE", self.assert_completed(path, "deploy --all push ", _ARC_DEBUG="1").stderr)

    def test_programs_of_debian(self):
        for name, line in (("yq", "yq --in"), ("pytest", "pytest --verb")):
            if os.path.exists("/usr/bin/" + name):
                with self.subTest(name):
                    self.assert_completed("/usr/bin/" + name, line)

    def test_bash(self):
        """The function for bash gets the same words of a script that begins with `#!quicken`."""
        self.deploy("plain", harness.PYTHON)
        quick = self.deploy("quick", harness.QUICKEN)

        def words(folder, line):
            path = self.bed.path(folder) + ":" + self.bed.env()["PATH"]
            return self.bed.run(["bash", "-c", BASH, "bash", line], env={"PATH": path})

        for line in self.LINES:
            with self.subTest(line=line):
                plain = words("plain", line)
                self.assertEqual(0, plain.status, plain)
                self.assert_result(plain, words("quick", line), "cold or warm")
        self.assert_count(len(self.LINES), lambda: self.bed.commands_run(quick), "not all runs were the server's")


harness.each_activation(Completion)


if __name__ == "__main__":
    harness.main()
