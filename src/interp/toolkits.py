

# --- toolkits: what is preloaded under a name that is no module's ---------------------------

TOOLKITS = {
    'qt': ('PyQt5.QtCore', 'PyQt5.QtGui', 'PyQt5.QtWidgets'),
}


def load_toolkit(name):
    """True if there is one of that name, which is imported."""
    for module in TOOLKITS.get(name, ()):
        ORIGINAL_IMPORT(module)
    return name in TOOLKITS
