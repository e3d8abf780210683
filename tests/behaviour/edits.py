"""Whatever is changed right before a run shows in it: random edits, each followed at once by a run, compared with plain.

Changed are the script, its modules at three depths, a data file that is read at import, a .pth file, a directory of
plugins that is listed, a file that shadows a module, and a variable that is read. Rounds: QUICKEN_TEST_ROUNDS
(default 60 an activation). The seed is in the message of a failure.
"""

import os
import random
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

SCRIPT = """
import os, sys
import top
from package.inner import deep
try: import extra
except ImportError: extra = None
HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, 'data.txt')) as file: DATA = file.read()
PLUGINS = sorted(os.listdir(os.path.join(HERE, 'plugins')))
VARIABLE = os.environ.get('MY_VARIABLE')
if __name__ == '__main__':
    print({word!r}, top.WORD, deep.WORD, deep.inner, extra and extra.WORD, DATA, PLUGINS, VARIABLE,
          getattr(sys, 'from_pth', None))
"""
FILES = {
    "top.py": "WORD = {word!r}\n",
    "package/__init__.py": "WORD = {word!r}\n",
    "package/inner/__init__.py": "from package import WORD\n",
    "package/inner/deep.py": "from package import inner as _i\ninner = _i.WORD\nWORD = {word!r}\n",
    "data.txt": "{word}",
}


class Tree:
    """The program and what it depends on, in a directory of its own, with a virtual environment."""

    def __init__(self, bed, seed):
        self.seed = seed
        self.random = random.Random(seed)
        self.bed = bed
        self.count = 0
        subprocess.run([harness.PYTHON, "-m", "venv", "--without-pip", bed.path("venv")], check=True)
        self.python = bed.path("venv/bin/python3")
        self.site = bed.path(f"venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages")
        self.variable = None
        os.makedirs(bed.path("package/inner"))
        os.mkdir(bed.path("plugins"))
        for name in FILES:
            self.write(name, FILES[name].format(word=self.word()))
        self.edit_script()

    def word(self):
        """Of one length, so that sizes do not tell."""
        self.count += 1
        return f"w{self.count:06}"

    def write(self, name, text):
        """In place, by a rename, or in place with the times set back."""
        path = os.path.join(self.site if name.endswith(".pth") else self.bed.work, name)
        way = self.random.randrange(3)
        before = os.stat(path) if os.path.exists(path) else None
        target = path + ".new" if way == 0 else path
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)
        if way == 0:
            os.rename(target, path)
        elif way == 1 and before and not name.endswith(".py"):
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        # Python itself knows a module's source by its size and its seconds: what it has compiled is not asked about here.
        if name.endswith(".py"):
            os.utime(path, (self.count, self.count))

    def edit_script(self):
        self.write("script.py", SCRIPT.replace("{word!r}", repr(self.word())))

    def edit_file(self):
        name = self.random.choice(list(FILES))
        self.write(name, FILES[name].format(word=self.word()))

    def edit_pth(self):
        self.write("mine.pth", f"import sys; sys.from_pth = {self.word()!r}\n")

    def toggle(self, name):
        path = self.bed.path(name)
        if os.path.exists(path):
            os.unlink(path)
        else:
            self.write(name, f"WORD = {self.word()!r}\n")

    def edit_plugins(self):
        self.toggle(f"plugins/p{self.random.randrange(4)}.py")

    def edit_shadow(self):
        self.toggle("extra.py")

    def edit_variable(self):
        self.variable = self.random.choice([None, "", "a", "b"])

    def edit(self):
        change = self.random.choice([self.edit_script, self.edit_file, self.edit_file, self.edit_pth, self.edit_plugins,
                                     self.edit_shadow, self.edit_variable])
        change()
        return change.__name__

    def run(self, quickened):
        script, env = self.bed.path("script.py"), {"MY_VARIABLE": self.variable}
        if quickened:
            return self.bed.quick([script], python=self.python, env=env)
        return self.bed.run([self.python, script], env=env)


@harness.each_activation
class Edits:
    def edit_and_compare(self, tree, rounds):
        done = []
        for number in range(rounds):
            done.append(tree.edit())
            actual = tree.run(True)
            self.assert_result(tree.run(False), actual, f"round {number}, seed {tree.seed}, edits {done[-5:]}")
            if tree.random.randrange(3) == 0:
                self.assert_result(actual, tree.run(True), f"round {number} again, seed {tree.seed}")

    def test_random_edits(self):
        seed = random.randrange(1 << 30)
        tree = Tree(self.bed, seed)
        rounds = harness.ROUNDS or 60
        self.edit_and_compare(tree, rounds)
        served = self.count(self.bed.path("script.py"), None, tree.python)
        self.assertGreater(served, rounds / 3, f"seed {seed}: too many runs were plain")

    def test_beside_clients(self):
        """The same while four others run the program all the time, of two kinds. What they see is whatever was there
        at some moment, so that only who runs after an edit is compared."""
        tree = Tree(self.bed, random.randrange(1 << 30))
        done, runs, wrong = threading.Event(), [], []

        def client(variable):
            while not done.is_set():
                argv = self.bed.quick_argv([self.bed.path("script.py")], tree.python)
                result = self.bed.run(argv, env={"MY_VARIABLE": variable})
                runs.append(result.status)
                if result.status not in (0, 1):
                    wrong.append(result)

        clients = [threading.Thread(target=client, args=(variable,)) for variable in (None, "a", None, "a")]
        for each in clients:
            each.start()
        try:
            self.edit_and_compare(tree, harness.ROUNDS or 40)
        finally:
            done.set()
            for each in clients:
                each.join()
        self.assertEqual([], wrong)
        self.assertGreater(len(runs), 40)


if __name__ == "__main__":
    harness.main()
