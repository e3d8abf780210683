"""The package of the sample projects, whose console scripts run plainly and through quicken."""

__version__ = "1.0"


def main():
    print("hello", __version__)
