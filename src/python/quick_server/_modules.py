"""Which files are the script's own: a change of them is a reason to start it anew."""

import os
import sys
from typing import Any, Optional, Set

# What the interpreter brings along, and what has been installed beside it.
_NOT_OWN = ('/site-packages/', '/dist-packages/')
_NOT_OWN_BELOW = (os.path.dirname(os.path.abspath(os.__file__)) + '/', os.path.dirname(os.path.abspath(__file__)) + '/')


def _file_of(module: Any) -> Optional[str]:
    """Does not load a module that is delayed (importlib.util.LazyLoader), as an attribute would."""
    try:
        file = object.__getattribute__(module, '__dict__').get('__file__')
    except AttributeError:
        return None
    return os.path.abspath(file) if isinstance(file, str) else None


def own_files() -> Set[str]:
    """Absolute paths of the script and of the modules that it has imported, but for installed ones."""
    files = {_file_of(module) for module in list(sys.modules.values())}
    return {file for file in files if file is not None and not file.startswith(_NOT_OWN_BELOW)
            and not any(part in file for part in _NOT_OWN)}


def script() -> str:
    """The absolute path of the main script; '' if there is none."""
    return _file_of(sys.modules.get('__main__')) or ''
