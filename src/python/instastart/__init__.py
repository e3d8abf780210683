"""instastart's API on quicken: see instastart.auto, and quicken(7)."""

__version__ = '@PROJECT_VERSION@'
