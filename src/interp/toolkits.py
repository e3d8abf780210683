

# --- toolkits: what is preloaded under a name that is no module's ---------------------------
#
# GTK connects to the display when `gi.repository.Gtk` is imported. So that import is done here without it, and
# in a command the module is not there until the program imports it: then it is, and is connected, as the end of
# gi.overrides does it. Qt connects when the program makes its application.

TOOLKITS = {
    'qt': ('PyQt5.QtCore', 'PyQt5.QtGui', 'PyQt5.QtWidgets'),
    'qt6': ('PyQt6.QtCore', 'PyQt6.QtGui', 'PyQt6.QtWidgets'),
}
GTK = {'gtk': '3.0', 'gtk4': '4.0'}


class Gtk:
    version = None  # of the one that was preloaded
    hidden = {}     # namespace: its module, until the program imports it
    original = None  # DynamicImporter.load_module, while some are hidden


def load_toolkit(name):
    """True if there is one of that name, which is imported."""
    for module in TOOLKITS.get(name, ()):
        ORIGINAL_IMPORT(module)
    if name in GTK:
        # GModule asks for each library in the working directory, and then has the system find it in any case.
        note_files()
        before = Watch.directory_read
        _load_gtk(GTK[name])
        note_files()
        Watch.directory_read = before
    return name in TOOLKITS or name in GTK


def _load_gtk(version):
    gi = ORIGINAL_IMPORT('gi.repository')
    gi.require_version('Gtk', version)
    getattr(sys.modules['gi.importer'].DynamicImporter, 'load_module')  # or it is another PyGObject's
    gtk, gdk = map(sys.modules['gi.module'].get_introspection_module, ('Gtk', 'Gdk'))
    if version == '4.0':
        gtk.init_check = lambda: False
    else:
        gtk.init_check = gdk.init_check = lambda _arguments: (False, [])
    ORIGINAL_IMPORT('gi.repository.Gtk')
    sys.argv = Arguments.given  # GTK 3 has put the list there that it has got
    for namespace in (gtk, gdk):
        vars(namespace).pop('init_check', None)
    gi._versions.pop('Gtk', None)  # the program has asked for none
    Gtk.version = version


def uses_gtk(names):
    """Whether one of these modules has it already: it would not be connected by their import."""
    if Gtk.version is None:
        return False
    modules = [sys.modules['gi.repository.' + each] for each in ('Gtk', 'Gdk')]
    for name in names:
        values = list(getattr(sys.modules.get(name), '__dict__', {}).values())
        if name.partition('.')[0] != 'gi' and any(value is module for value in values for module in modules):
            return True
    return False


# --- in a command

def other_gtk(source):
    """Whether a program's text asks for another one than is here, of which a process can have only one."""
    if Gtk.version is None:
        return False
    asked = set(_own_import('re').findall(br'require_version\(\s*[\'"]G[td]k[\'"]\s*,\s*[\'"]([0-9.]+)', source))
    if asked:
        return asked != {Gtk.version.encode()}
    newest = max(sys.modules['gi'].Repository.get_default().enumerate_versions('Gtk'))
    return newest != Gtk.version and b'gi.repository' in source


def hide_gtk():
    """Before the program."""
    if Gtk.version is None:
        return
    repository, importer = sys.modules['gi.repository'], sys.modules['gi.importer'].DynamicImporter
    for namespace in ('Gtk', 'Gdk'):
        Gtk.hidden['gi.repository.' + namespace] = sys.modules.pop('gi.repository.' + namespace)
        vars(repository).pop(namespace, None)
    Gtk.original, importer.load_module = importer.load_module, _load_module


def _load_module(self, fullname):
    """DynamicImporter.load_module."""
    if fullname not in Gtk.hidden:
        return Gtk.original(self, fullname)
    if fullname == 'gi.repository.Gtk':
        ORIGINAL_IMPORT('gi.repository.Gdk')
    _warn_of_version(fullname.rpartition('.')[2])
    module = sys.modules[fullname] = Gtk.hidden.pop(fullname)
    if not Gtk.hidden:
        type(self).load_module = Gtk.original
    _connect_gtk(fullname.rpartition('.')[2])
    return module


def _warn_of_version(namespace):
    gi = sys.modules['gi']
    if namespace == 'Gtk' and gi.get_required_version('Gtk') is None:
        sys.modules['warnings'].warn(
            "%s was imported without specifying a version first. Use gi.require_version('%s', '%s') before import to "
            'ensure that the right version gets loaded.' % (namespace, namespace, Gtk.version),
            gi.PyGIWarning, stacklevel=3)


def _connect_gtk(namespace):
    """The last lines of gi.overrides.Gdk and Gtk."""
    introspected = sys.modules['gi.module'].get_introspection_module(namespace)
    names = vars(sys.modules['gi.overrides.' + namespace])
    if Gtk.version == '4.0':
        if namespace == 'Gtk':
            names['initialized'] = introspected.init_check()
        return
    names['initialized'], names['argv'] = introspected.init_check(sys.argv)
    if namespace == 'Gtk':
        sys.argv = list(names['argv'])
