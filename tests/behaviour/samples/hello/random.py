"""What cannot be served from after its prelude: every run draws its own number."""

import os
import sys

NUMBER = os.urandom(4)


def main():
    print(len(NUMBER), sys.argv[1:], [name for name in os.environ if name.startswith("QUICKEN_S")])
