"""What a prelude has read may change in any way: the next run is of the new state, and nothing else makes another template.

The script imports a module three levels down and prints its word and the time
at which its template was made: the token tells whether it is still the same one.
"""

import contextlib
import glob
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

SCRIPT = """
    import time
    import outer.middle.inner
    from outer.middle import leaf
    try:
        import extra
    except ImportError:
        extra = None
    TOKEN = hash("token")  # differs by process, and so by template
    if __name__ == '__main__':
        print(leaf.WORD, extra and extra.WORD, TOKEN)
"""


class Program:
    """A script with its package in a directory of its own: what it is and what it says."""

    def __init__(self, bed):
        self.bed = bed
        self.directory = bed.path("project")
        os.makedirs(os.path.join(self.directory, "outer", "middle", "inner"))
        for package in ("outer", "outer/middle", "outer/middle/inner"):
            self.write(f"{package}/__init__.py", "")
        self.write("outer/middle/leaf.py", "WORD = 'w000'\n")
        self.script = self.write("script.py", harness.dedent(SCRIPT))
        self.leaf = self.path("outer/middle/leaf.py")

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    def run(self, **options):
        result = self.bed.quick([self.script], **options)
        if result.status or result.stderr:
            raise AssertionError(result)
        return result.stdout.decode().split()

    def warm(self):
        """Runs twice; what the second, warm run says."""
        self.run()
        return self.run()


# What a prelude asks about the directory HERE, and what somebody does there.
ASKED = {
    "a flag": ("os.path.exists(HERE + '/flag')", lambda here: os.unlink(here + "/flag")),
    "a flag by pathlib": ("pathlib.Path(HERE, 'flag').is_file()", lambda here: os.unlink(here + "/flag")),
    "a time": ("os.path.getmtime(HERE + '/flag')", lambda here: os.utime(here + "/flag", (7, 7))),
    "a size": ("os.stat(HERE + '/flag').st_size", lambda here: by_rename(here + "/flag", "longer")),
    "a mode": ("oct(os.stat(HERE + '/flag').st_mode)", lambda here: os.chmod(here + "/flag", 0o600)),
    "a directory's mode": ("oct(os.stat(HERE + '/one').st_mode)", lambda here: os.chmod(here + "/one", 0o700)),
    "leave to read": ("os.access(HERE + '/flag', os.X_OK)", lambda here: os.chmod(here + "/flag", 0o755)),
    "what is to come": ("os.access(HERE + '/later', 0), os.path.lexists(HERE + '/later')",
                        lambda here: os.symlink("nowhere", here + "/later")),
    "a link": ("os.readlink(HERE + '/link')", lambda here: relink(here + "/link", "two")),
    "a link on the way": ("os.path.realpath(HERE + '/link/data')", lambda here: relink(here + "/link", "two")),
    "no link": ("os.path.islink(HERE + '/two')", lambda here: (os.rename(here + "/two", here + "/2"), os.symlink("2", here + "/two"))),
    "a directory to go to": ("gone_to(HERE + '/two')", lambda here: os.rename(here + "/two", here + "/2")),
    "a library": ("loads(HERE + '/lib.so')", lambda here: shutil.copy(glob.glob("/lib/*/libz.so.1")[0], here + "/lib.so")),
    "a directory": ("os.path.isdir(HERE + '/two')", lambda here: os.rename(here + "/two", here + "/2")),
    "a file in a directory that is open": ("read(os.open('data', 0, dir_fd=D))", lambda here: in_place(here + "/one/data", "edited")),
    "an open directory": ("sorted(os.listdir(D))", lambda here: os.mkdir(here + "/one/new")),
    "an open directory by scandir": ("sorted(e.name for e in os.scandir(D))", lambda here: os.mkdir(here + "/one/new")),
    "an open directory by fwalk": ("[each[:3] for each in os.fwalk('one', dir_fd=H)]", lambda here: os.mkdir(here + "/one/new")),
    "an entry by its descriptor": ("os.stat('data', dir_fd=D).st_size", lambda here: in_place(here + "/one/data", "edited")),
    "a database": ("rows(HERE + '/db')", lambda here: insert(here + "/db")),
    "certificates": ("ssl.create_default_context(cafile=HERE + '/ca.pem').cert_store_stats()",
                     lambda here: by_rename(here + "/ca.pem", certificates(1))),
    "a file in C": ("first_of(HERE + '/flag')", lambda here: in_place(here + "/flag", "edited")),
}
ASKS = """
import ctypes, os, pathlib, sqlite3, ssl
C = ctypes.CDLL(None)
C.fopen.restype = ctypes.c_void_p
HERE = os.path.dirname(os.path.abspath(__file__))
D, H = os.open(HERE + '/one', 0), os.open(HERE, 0)
def read(fd):
    with open(fd) as file: return file.read()
def gone_to(path):
    back = os.getcwd()
    try: os.chdir(path)
    except OSError: return False
    os.chdir(back)
    return True
def loads(path):
    try: return bool(ctypes.CDLL(path))
    except OSError: return False
def rows(path):
    database = sqlite3.connect(path)
    try: return database.execute('select * from t').fetchall()
    finally: database.close()
def first_of(path):
    file = ctypes.c_void_p(C.fopen(os.fsencode(path), b'r'))
    try: return C.fgetc(file)
    finally: C.fclose(file)
A = {}
os.close(D), os.close(H)
if __name__ == '__main__':
    print(A)
"""


def relink(path, target):
    os.symlink(target, path + "~")
    os.rename(path + "~", path)


def insert(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("create table if not exists t (v)")
        database.execute("insert into t values (1)")
        database.commit()


def certificates(count):
    with open("/etc/ssl/certs/ca-certificates.crt") as file:
        return "-----END CERTIFICATE-----\n".join(file.read().split("-----END CERTIFICATE-----\n", count)[:count] + [""])


def leaf(word):
    return f"WORD = '{word}'\n"


def in_place(path, text):
    with open(path, "r+") as file:
        file.write(text)
        file.truncate()


def by_rename(path, text):
    with open(path + "~", "w") as file:
        file.write(text)
    os.rename(path + "~", path)


def with_old_times(path, text):
    before = os.stat(path)
    in_place(path, text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def by_removal(path, text):
    os.unlink(path)
    with open(path, "w") as file:
        file.write(text)


class Fresh(harness.Case):
    def setUp(self):
        super().setUp()
        # Caches are made by the commands, not by the template, and are a subject of their own.
        self.bed.environment["PYTHONDONTWRITEBYTECODE"] = "1"
        self.program = Program(self.bed)

    def assert_kept(self, change, *arguments):
        """The change makes no other template, before and after things have settled."""
        token = self.program.warm()[-1]
        change(*arguments)
        self.assertEqual(token, self.program.run()[-1])
        time.sleep(0.4)
        self.assertEqual(token, self.program.run()[-1])

    def assert_words(self, leaf_word, extra="None"):
        """The next run says so; and so does the one after it, from the same template."""
        first = self.program.run()
        self.assertEqual([leaf_word, extra], first[:2])
        self.assertEqual(first, self.program.run())

    def edit_and_run(self, edit):
        self.program.warm()
        for round_ in range(1, 16):
            word = f"w{round_:03}"
            edit(self.program.leaf, leaf(word))
            self.assert_words(word)
        self.assert_served([self.program.script])

    # --- the module three levels down

    def test_edited_in_place(self):
        self.edit_and_run(in_place)

    def test_edited_with_size_and_times_kept(self):
        self.edit_and_run(with_old_times)

    def test_replaced_by_rename(self):
        self.edit_and_run(by_rename)

    def test_removed_and_made_anew(self):
        self.edit_and_run(by_removal)

    def test_edited_by_another_name(self):
        """As an installer does that has its cache and the installed files share inodes."""
        cache = self.bed.path("cache.py")
        os.link(self.program.leaf, cache)
        self.edit_and_run(lambda _path, text: in_place(cache, text))

    def test_edited_to_an_error_and_back(self):
        self.program.warm()
        in_place(self.program.leaf, "raise SystemExit('broken')\n")
        self.assertEqual((1, b"", b"broken\n"), tuple(self.bed.quick([self.program.script])))
        in_place(self.program.leaf, leaf("fixed"))
        self.assertEqual("fixed", self.program.run()[0])

    def test_says_which_file(self):
        self.program.warm()
        in_place(self.program.leaf, leaf("again"))
        self.program.run()
        self.assertEqual(self.program.leaf + " has changed", self.bed.status(self.program.script)["stale"])

    # --- paths

    def test_module_becomes_a_package(self):
        self.program.warm()
        directory = self.program.leaf[:-3]
        os.mkdir(directory)
        with open(os.path.join(directory, "__init__.py"), "w") as file:
            file.write(leaf("package"))
        self.assert_words("package")
        shutil.rmtree(directory)
        self.assert_words("w000")

    def test_new_module_that_is_found_first(self):
        self.program.warm()
        self.program.write("extra.py", leaf("new"))
        self.assert_words("w000", "new")
        os.unlink(self.program.path("extra.py"))
        self.assert_words("w000")

    def test_new_module_shadows_the_standard_library(self):
        self.program.warm()
        self.program.write("time.py", "def time_ns():\n    return 7\n")  # builtin: not shadowed
        self.program.write("outer/time.py", "")
        self.program.run()
        self.program.write("script.py", harness.dedent(SCRIPT).replace("import time", "import time, textwrap"))
        self.program.warm()
        self.program.write("textwrap.py", "raise SystemExit('shadowed')\n")
        self.assertEqual((1, b"", b"shadowed\n"), tuple(self.bed.quick([self.program.script])))

    def test_path_directory_that_was_not_there(self):
        late = self.bed.path("late")
        self.bed.environment["PYTHONPATH"] = late + "/lib"
        self.program.warm()
        os.makedirs(late + "/lib")
        with open(late + "/lib/extra.py", "w") as file:
            file.write(leaf("late"))
        self.assert_words("w000", "late")
        shutil.rmtree(late)
        self.assert_words("w000")

    def test_link_on_the_way_is_moved(self):
        """As a release is switched."""
        for version in ("v1", "v2"):
            shutil.copytree(self.program.path("outer"), self.bed.path(version + "/outer"))
            with open(self.bed.path(version + "/outer/middle/leaf.py"), "w") as file:
                file.write(leaf(version))
        shutil.rmtree(self.program.path("outer"))
        os.symlink("v1", self.bed.path("current"))
        self.bed.environment["PYTHONPATH"] = self.bed.path("current")
        self.program.warm()
        for version in ("v2", "v1", "v2"):
            os.symlink(version, self.bed.path("next"))
            os.rename(self.bed.path("next"), self.bed.path("current"))
            self.assert_words(version)

    def test_package_directory_is_exchanged(self):
        self.program.warm()
        shutil.copytree(self.program.path("outer"), self.program.path("next"))
        self.program.write("next/middle/leaf.py", leaf("next"))
        os.rename(self.program.path("outer"), self.program.path("old"))
        os.rename(self.program.path("next"), self.program.path("outer"))
        self.assert_words("next")

    # --- what is asked

    def make_place(self, name):
        here = self.bed.path(name)
        for directory in ("one", "two"):
            os.makedirs(os.path.join(here, directory))
            with open(os.path.join(here, directory, "data"), "w") as file:
                file.write(directory)
        with open(here + "/flag", "w"):
            pass
        with open(here + "/ca.pem", "w") as file:
            file.write(certificates(2))
        os.symlink("one", here + "/link")
        insert(here + "/db")
        return here

    def test_what_is_asked(self):
        """What a plain run says after the change is what the next run says, of a new template that is served."""
        for number, (name, (asks, change)) in enumerate(ASKED.items()):
            with self.subTest(name):
                here = self.make_place(f"place{number}")
                script = self.bed.write(f"place{number}/asks.py", ASKS.replace("{}", asks, 1))
                before = self.bed.plain([script])
                self.assertEqual((0, b""), (before.status, before.stderr))
                self.assertEqual(before, self.bed.quick([script]))
                self.assertEqual(before, self.assert_served([script]))
                self.assertEqual("prelude", self.bed.status(script)["rung"])
                change(here)
                after = self.bed.plain([script])
                self.assertNotEqual(before, after)
                self.assertEqual(after, self.bed.quick([script]))
                self.assertEqual(after, self.assert_served([script]))
                self.assertEqual("prelude", self.bed.status(script)["rung"])

    def test_entries_of_a_directory_that_is_asked_about(self):
        """It is there and is one: what comes and goes in it is nobody's business."""
        self.program.write("script.py", harness.dedent(SCRIPT).replace("TOKEN =", (
            "import os, pathlib; HERE = os.path.dirname(__file__)\n"
            "os.path.isdir(HERE); os.stat(HERE); pathlib.Path(HERE).exists(); os.access(HERE, 0); os.path.realpath(HERE)\n"
            "TOKEN =")))
        self.assert_kept(self.program.write, "new.txt", "x")

    def test_what_is_kept_in_the_cache(self):
        """What the prelude has made there counts as it has left it."""
        cache = self.bed.path("cache")
        self.bed.environment["XDG_CACHE_HOME"] = cache
        for name, write in {"written": "open(P, 'w').write('first')",
                            "replaced": "open(P + '~', 'w').write('first'); os.replace(P + '~', P)",
                            # open() of the directory, with an opener, is what tempfile does since 3.11.
                            "temporary": "T = tempfile.NamedTemporaryFile('w', dir=os.path.dirname(P), delete=False); "
                                         "T.write('first'); T.close(); os.replace(T.name, P)"}.items():
            with self.subTest(name):
                script = self.bed.write(f"{name}.py", "import os, tempfile\nP = os.environ['XDG_CACHE_HOME'] + '/kept'\n"
                                        "if not os.path.isdir(os.path.dirname(P)): os.mkdir(os.path.dirname(P))\n"
                                        f"if not os.path.exists(P): {write}\nA = open(P).read()\n"
                                        "if __name__ == '__main__':\n    print(A)\n")
                if name == "temporary":  # in a directory that is there already
                    os.mkdir(cache)
                self.assertEqual(b"first\n", self.bed.quick([script]).stdout)
                self.assertEqual("prelude", self.bed.status(script)["rung"])
                self.assertEqual(b"first\n", self.assert_served([script]).stdout)
                self.assertEqual("prelude", self.bed.status(script)["rung"])
                self.assertFalse(self.bed.status(script).get("stale"))
                in_place(cache + "/kept", "edited")
                self.assertEqual(b"edited\n", self.bed.quick([script]).stdout)
                shutil.rmtree(cache)
                self.assertEqual(b"first\n", self.bed.quick([script]).stdout)
                shutil.rmtree(cache)

    def test_a_cache_that_cannot_be(self):
        """Below /dev/null, where nothing is ever made."""
        script = self.bed.write("none.py", "import os, tempfile\nE = []\n"
                                "for f in (os.makedirs, tempfile.mkdtemp, lambda p: open(p, 'w')):\n"
                                "    try: f(*['/dev/null/none'] if f is not tempfile.mkdtemp else ['', '', '/dev/null/none'])\n"
                                "    except OSError as error: E.append(error.errno)\n"
                                "if __name__ == '__main__':\n    print(E)\n")
        self.assertEqual(self.bed.plain([script]), self.bed.quick([script]))
        self.assert_served([script])
        self.assertEqual("prelude", self.bed.status(script)["rung"])

    def test_what_every_run_does_to_the_cache(self):
        """A log, a counter: each run writes its own."""
        self.bed.environment["XDG_CACHE_HOME"] = self.bed.path("cache")
        os.mkdir(self.bed.path("cache"))
        for name, write in {
                "log": "with open(P, 'a') as f: f.write('ran\\n')",
                "log by open": "f = os.open(P, os.O_WRONLY | os.O_CREAT | os.O_APPEND); os.write(f, b'ran\\n'); os.close(f)",
                "changed in place": "f = open(P, 'r+' if os.path.exists(P) else 'w+'); n = int(f.read() or 0) + 1; f.seek(0); f.write(str(n)); f.close()",
                "given by an opener": "open(os.path.dirname(P), 'w', opener=lambda *_: os.open(P, os.O_WRONLY | os.O_CREAT | os.O_APPEND)).write('x')",
                "written anew": "n = int(open(P).read()) + 1 if os.path.exists(P) else 0\nwith open(P, 'w') as f: f.write(str(n))",
                "replaced": "n = int(open(P).read()) + 1 if os.path.exists(P) else 0\nwith open(P + '~', 'w') as f: f.write(str(n))\nos.replace(P + '~', P)",
                "touched": "os.utime(P, (len(sys.path), 7)) if os.path.exists(P) else open(P, 'w').close()",
                "by C": "d = sqlite3.connect(P); d.execute('create table if not exists t (v)'); d.execute('insert into t values (1)'); d.commit(); d.close()",
                }.items():
            with self.subTest(name):
                path = self.bed.path("cache/" + name)
                script = self.bed.write(f"{name.replace(' ', '_')}.py", f"import os, sqlite3, sys\nP = {path!r}\n{write}\n"
                                        "if __name__ == '__main__':\n    print(open(P, 'rb').read() if P[-1] != 'C' else sqlite3.connect(P).execute('select count(*) from t').fetchall())\n")
                for _run in range(2):
                    self.bed.plain([script])
                self.bed.quick([script])  # its prelude is run once for nothing
                for count in range(3):
                    with open(path, "rb") as file:
                        before = file.read()
                    plain = self.bed.plain([script])
                    with open(path, "wb") as file:
                        file.write(before)
                    self.assertEqual(plain, self.bed.quick([script]), f"run {count}")

    # --- installations

    def make_environment(self):
        """A virtual environment; its interpreter and its site-packages."""
        environment = self.bed.path("venv")
        subprocess.run([harness.PYTHON, "-m", "venv", "--without-pip", environment], check=True)
        return environment, glob.glob(environment + "/lib/python3*/site-packages")[0]

    def test_package_installed_upgraded_and_removed(self):
        environment, packages = self.make_environment()
        python = environment + "/bin/python3"

        def run():
            return self.program.run(python=python)[:2]

        self.assertEqual(["w000", "None"], run())
        for word in ("e1", "e2"):
            os.mkdir(packages + "/extra.new")
            with open(packages + "/extra.new/__init__.py", "w") as file:
                file.write(leaf(word))
            shutil.rmtree(packages + "/extra", ignore_errors=True)
            os.rename(packages + "/extra.new", packages + "/extra")
            self.assertEqual(["w000", word], run())
            self.assertEqual(["w000", word], run())
        shutil.rmtree(packages + "/extra")
        self.assertEqual(["w000", "None"], run())
        self.assertEqual(["w000", "None"], run())

    def test_pth_file(self):
        environment, packages = self.make_environment()
        python = environment + "/bin/python3"
        os.mkdir(self.bed.path("editable"))
        with open(self.bed.path("editable/extra.py"), "w") as file:
            file.write(leaf("e1"))
        self.assertEqual("None", self.program.run(python=python)[1])
        self.assertEqual("None", self.program.run(python=python)[1])
        with open(packages + "/editable.pth", "w") as file:
            file.write(self.bed.path("editable") + "\n")
        self.assertEqual("e1", self.program.run(python=python)[1])
        os.unlink(packages + "/editable.pth")
        self.assertEqual("None", self.program.run(python=python)[1])

    def test_environment_made_to_see_the_systems_packages(self):
        environment, _packages = self.make_environment()
        script = self.bed.write("sees.py", "import sys\nSEES = '/usr/lib/python3/dist-packages' in sys.path\n"
                                           "if __name__ == '__main__':\n    print(SEES)\n")
        python = environment + "/bin/python3"
        for _ in range(2):
            self.assertEqual(b"False\n", self.bed.quick([script], python=python).stdout)
        with open(environment + "/pyvenv.cfg") as file:
            text = file.read()
        in_place(environment + "/pyvenv.cfg", text.replace("system-site-packages = false", "system-site-packages = true"))
        for _ in range(2):
            self.assertEqual(b"True\n", self.bed.quick([script], python=python).stdout)

    def test_interpreter_upgraded(self):
        """The program is served by the new one: the old one's inode is nobody's any more."""
        python = self.bed.path("python3")
        shutil.copy(os.path.realpath(harness.PYTHON), python)
        script = self.bed.write("which.py", "import os\nif __name__ == '__main__':\n"
                                            "    print(os.stat('/proc/self/exe').st_ino)\n")
        for _ in range(2):
            self.assertEqual(os.stat(python).st_ino, int(self.bed.quick([script], python=python).stdout))
        shutil.copy(os.path.realpath(harness.PYTHON), python + "~")
        os.rename(python + "~", python)
        for _ in range(2):
            self.assertEqual(os.stat(python).st_ino, int(self.bed.quick([script], python=python).stdout))

    def test_quicken_upgraded(self):
        """Server and hook are those of the new installation, although the version is the same."""
        prefix = self.bed.path("prefix")
        for part in ("bin", "libexec", "share"):
            if os.path.isdir(os.path.join(harness.PREFIX, part)):
                shutil.copytree(os.path.join(harness.PREFIX, part), os.path.join(prefix, part))
        script = self.bed.write("parent.py", "import os\nif __name__ == '__main__':\n    print(os.getppid())\n")
        quicken = [prefix + "/bin/quicken", "run", "--file", script]
        for upgraded in ("quicken-interp.so", "quicken-server", "quicken-session"):
            with self.subTest(upgraded=upgraded):
                server = self.bed.run(quicken).stdout
                self.assertEqual(server, self.bed.run(quicken).stdout)
                path = prefix + "/libexec/quicken/" + upgraded
                shutil.copy(path, path + "~")
                os.rename(path + "~", path)
                fresh = self.bed.run(quicken)
                self.assertEqual((0, b""), (fresh.status, fresh.stderr))
                self.assertNotEqual(server, fresh.stdout)
                self.assertEqual(fresh.stdout, self.bed.run(quicken).stdout)

    # --- what does not concern it

    def test_unrelated_entries_keep_the_template(self):
        def change():
            for name in ("notes.txt", "outer/data.json", "outer/middle/other.py"):
                self.program.write(name, "x")
                self.program.write(name, "y")
            os.unlink(self.program.path("notes.txt"))
            os.mkdir(self.bed.path("beside"))
        self.assert_kept(change)

    def test_reading_keeps_the_template(self):
        self.assert_kept(shutil.copytree, self.program.directory, self.bed.path("copy"))

    def test_runs_among_unrelated_changes_are_served(self):
        """However busy its directory is, a client gets its command from the server."""
        token = self.program.warm()[-1]
        before = self.bed.commands_run(self.program.script)
        ended = threading.Event()

        def make_noise():
            name = self.program.path("noise.txt")
            while not ended.is_set():
                os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600))
                os.unlink(name)

        noise = threading.Thread(target=make_noise)
        noise.start()
        try:
            for _ in range(50):
                self.assertEqual(token, self.program.run()[-1])
        finally:
            ended.set()
            noise.join()
        self.assert_count(before + 50, lambda: self.bed.commands_run(self.program.script), "run plainly")

    def test_changes_without_clients_make_few_templates(self):
        """A file that always changes costs next to nothing while nobody runs the program."""
        self.program.warm()
        made = self.program.write("made", "")
        in_place(self.program.script,
                 harness.dedent(SCRIPT).replace("TOKEN =", f"open({made!r}, 'rb').read(); TOKEN ="))
        log = self.bed.path("log")
        self.bed.environment["QUICKEN_LOG_FILE"] = log
        self.program.run()
        deadline = time.monotonic() + 3
        number = 0
        while time.monotonic() < deadline:
            number += 1
            in_place(self.program.leaf, leaf(f"w{number:06}"))
            time.sleep(0.005)
        self.assertEqual(f"w{number:06}", self.program.run()[0])
        if os.path.exists(log):
            with open(log) as file:
                self.assertLess(file.read().count("ready"), 8)

    # --- all at once

    def test_edits_under_concurrent_clients(self):
        """What a client prints is at least as new as the last edit that ended before it was started."""
        self.program.warm()
        current = 0
        wrong = []
        ended = threading.Event()

        def be_clients():
            while not ended.is_set():
                least = current
                word = self.program.run()[0]
                if int(word[1:]) < least:
                    wrong.append((least, word))

        threads = [threading.Thread(target=be_clients) for _ in range(4)]
        for thread in threads:
            thread.start()
        edits = (in_place, by_rename, with_old_times, by_rename)
        for number in range(1, (harness.ROUNDS or 60) + 1):
            # In one system call: no client is to find half of it.
            edits[1 if number % 4 else 3](self.program.leaf, leaf(f"w{number:03}"))
            current = number
            time.sleep((number % 7) * 0.02)
        ended.set()
        for thread in threads:
            thread.join()
        self.assertEqual([], wrong)
        self.assert_words(f"w{harness.ROUNDS or 60:03}")


if __name__ == "__main__":
    harness.main()
