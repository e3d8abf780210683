"""Wheels of the package `quicken` and of the sample projects, built without a network, in virtual environments.

What is compared is the console script `hello` with `helloc`, which has the
same entry point in quicken.script.
"""

import os
import re
import shutil
import subprocess

import harness

SAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "samples")
PACKAGE = os.path.join(harness.PREFIX, "share", "quicken", "python")
BUILDERS = ("setup_py", "setuptools", "flit", "poetry")
ENVIRONMENT = {"PATH": harness.PATH, "LANG": "C.UTF-8", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def call(*argv, cwd="/"):
    done = subprocess.run(argv, cwd=cwd, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=300)
    if done.returncode:
        raise AssertionError(f"{argv}: status {done.returncode}\n{done.stdout}")
    return done.stdout


def sample(builder, place, name="hello"):
    """The sample project in a new directory below `place`."""
    project = os.path.join(place, f"{name}-{builder}")
    shutil.copytree(os.path.join(SAMPLES, builder), project)
    shutil.copytree(os.path.join(SAMPLES, "hello"), os.path.join(project, "hello"))
    return project


def wheel(project):
    """Path of the project's wheel, which is left in the project."""
    place = os.path.join(project, "dist")
    call(harness.PYTHON, "-m", "build", "--wheel", "--no-isolation", "--outdir", place, project)
    (name,) = os.listdir(place)
    return os.path.join(place, name)


def package_wheel(place):
    """Of `quicken`, built from where CMake has put it."""
    project = os.path.join(place, "quicken")
    shutil.copytree(PACKAGE, project)
    return wheel(project)


class Venv:
    """A virtual environment of its own: nothing of the system's is in it."""

    def __init__(self, root, python=harness.PYTHON):
        self.root = root
        # Debian's own pip installs into it; another Python brings one along.
        self.own_pip = python != harness.PYTHON
        call(python, "-m", "venv", *([] if self.own_pip else ["--without-pip"]), root)
        self.python = self.script("python")

    def script(self, name):
        return os.path.join(self.root, "bin", name)

    def site_packages(self):
        (name,) = os.listdir(os.path.join(self.root, "lib"))
        return os.path.join(self.root, "lib", name, "site-packages")

    def begin_by_import(self):
        """From now on a script hands over when it imports quicken.script, not before."""
        os.unlink(os.path.join(self.site_packages(), "quicken.pth"))

    def install(self, *wheels):
        pip = [self.python, "-m", "pip"] if self.own_pip else [harness.PYTHON, "-m", "pip", "--python", self.python]
        call(*pip, "install", "--no-index", "--no-deps", "--force-reinstall", *wheels)


def alike(result):
    """Without what must differ: the script's own name, and its expression for what it calls."""
    def clean(text):
        text = re.sub(rb"hello(c\b)", b"hello", text)
        text = text.replace(b"hello.cli._.Cli.run()", b"Cli.run()")
        return re.sub(rb"\n +[~^]+(?=\n)", b"", text)
    return result._replace(stdout=clean(result.stdout), stderr=clean(result.stderr))
