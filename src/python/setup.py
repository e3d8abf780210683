"""Puts quicken.pth next to the package in the wheel, and leaves nothing where it builds: in an installation, maybe."""

import atexit
import os
import shutil
import tempfile

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildPy(build_py):
    def run(self):
        super().run()
        self.copy_file("quicken.pth", os.path.join(self.build_lib, "quicken.pth"))


place = tempfile.mkdtemp()
atexit.register(shutil.rmtree, place, ignore_errors=True)
setup(cmdclass={"build_py": BuildPy}, options={"build": {"build_base": place}, "egg_info": {"egg_base": place}})
