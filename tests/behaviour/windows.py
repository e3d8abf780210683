"""Toolkits that are preloaded: each program shows a real window on its own display, and who uses none has none.

Under Xvfb; the windows are found by the X server's own account of them.
"""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

GTK3 = """
    import sys, gi
    gi.require_version('Gtk', '3.0')
    from gi.repository import Gtk, Gdk, GLib
    window = Gtk.Window(title=TITLE)
    window.show_all()
    print(Gtk.get_major_version(), sys.argv, Gdk.Display.get_default().get_name(), Gtk.Window is type(window), flush=True)
    GLib.io_add_watch(0, GLib.IO_HUP | GLib.IO_IN, lambda *_: Gtk.main_quit())
    Gtk.main()
    """
GTK4 = """
    import sys, gi
    gi.require_version('Gtk', '4.0')
    from gi.repository import Gtk, Gdk, GLib
    window = Gtk.Window(title=TITLE)
    window.present()
    print(Gtk.get_major_version(), sys.argv, Gdk.Display.get_default().get_name(), flush=True)
    loop = GLib.MainLoop()
    GLib.io_add_watch(0, GLib.IO_HUP | GLib.IO_IN, lambda *_: loop.quit())
    loop.run()
    """
QT = """
    import sys
    from PyQt5 import QtCore, QtWidgets
    application = QtWidgets.QApplication(sys.argv)
    window = QtWidgets.QLabel('hello')
    window.setWindowTitle(TITLE)
    window.show()
    application.processEvents()
    print(QtCore.qVersion()[:2], sys.argv, application.platformName(), flush=True)
    notifier = QtCore.QSocketNotifier(0, QtCore.QSocketNotifier.Read)
    notifier.activated.connect(application.quit)
    sys.exit(application.exec_())
    """
TOOLKITS = {"gtk": GTK3, "gtk4": GTK4, "qt": QT}

# Names of all windows, of whatever depth.
NAMES = """
    import Xlib.display
    def names(window):
        yield window.get_wm_name()
        for child in window.query_tree().children:
            yield from names(child)
    print([name for name in names(Xlib.display.Display().screen().root) if name])
    """


class Windows(harness.Case):
    def setUp(self):
        super().setUp()
        self.display = self.start_display()
        self.bed.environment.update(DISPLAY=self.display, NO_AT_BRIDGE="1", GSK_RENDERER="cairo", GDK_BACKEND="x11",
                                    QT_QPA_PLATFORM="xcb", DBUS_SESSION_BUS_ADDRESS="disabled:")
        self.names = self.bed.write("names.py", NAMES)

    def windows(self):
        return self.bed.run([harness.PYTHON, self.names]).stdout.decode()

    def quick(self, preload, *words):
        return [harness.QUICKEN, "python", "--preload", preload, *words]

    def show(self, command, title):
        """What a program prints once its window is there, and its status when it has been told to end."""
        process = subprocess.Popen(command, env=self.bed.env(), cwd=self.bed.work, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            line = process.stdout.readline()
            self.assertTrue(harness.wait_until(lambda: title in self.windows(), 20), f"no window {title}: {line}")
            process.stdin.close()
            return line, process.wait(harness.TIMEOUT)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def served(self):
        return sum(each.get("commands_run") or 0 for each in json.loads(self.bed.ctl("list", "--json").stdout))

    def check(self, toolkit):
        titles = [f"{toolkit} {n}" for n in range(3)]
        scripts = [self.bed.write("window.py", f"TITLE = {title!r}\n" + harness.dedent(TOOLKITS[toolkit])) and title for title in titles]
        results = []
        for title, command in zip(scripts, ([harness.PYTHON], self.quick(toolkit), self.quick(toolkit))):
            self.bed.write("window.py", f"TITLE = {title!r}\n" + harness.dedent(TOOLKITS[toolkit]))
            results.append(self.show([*command, "window.py", "argument"], title))
        self.assertEqual(0, results[0][1], results)
        self.assertEqual([results[0]] * 2, results[1:])
        self.assert_count(2, self.served, "not the server's")
        # The display's server sees a connection's end in its own time.
        self.assertTrue(harness.wait_until(lambda: toolkit not in self.windows(), 10))

    def test_gtk(self):
        self.check("gtk")

    def test_gtk4(self):
        self.check("gtk4")

    def test_qt(self):
        self.check("qt")

    def test_side_by_side(self):
        """Two programs of one template have windows at once; the end of one is not the other's."""
        one, two = (self.bed.write(f"{n}.py", f"TITLE = 'side {n}'\n" + harness.dedent(GTK3)) for n in "12")
        processes = [subprocess.Popen(self.quick("gtk", each), env=self.bed.env(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
                     for each in (one, two)]
        try:
            self.assertTrue(harness.wait_until(lambda: "side 1" in self.windows() and "side 2" in self.windows(), 20))
            processes[0].stdin.close()
            self.assertEqual(0, processes[0].wait(harness.TIMEOUT))
            self.assertTrue(harness.wait_until(lambda: "side 1" not in self.windows(), 10))
            self.assertIn("side 2", self.windows())
            processes[1].stdin.close()
            self.assertEqual(0, processes[1].wait(harness.TIMEOUT))
        finally:
            for process in processes:
                process.kill()
                process.wait()

    def test_no_connection(self):
        """Neither the template nor a program that does not import GTK is connected."""
        code = "import os; print(os.listdir('/proc/self/fd'), [m for m in __import__('sys').modules if m.endswith(('repository.Gtk', 'repository.Gdk'))])"
        expected = self.bed.run([harness.PYTHON, "-c", code])
        for _ in range(2):
            self.assertEqual(expected, self.bed.run(self.quick("gtk,qt", "-c", code)))
        templates = [pid for pid in self.bed.processes() if "quicken-server" not in harness.command_line(pid)]
        looked_at = 0
        for pid in templates:  # and their spares
            try:
                fds = [fd for fd in os.listdir(f"/proc/{pid}/fd") if int(fd) < 800]  # above are ours
            except (FileNotFoundError, PermissionError):
                continue  # it has ended
            looked_at += 1
            self.assertFalse([fd for fd in fds if os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")])
        self.assertGreater(looked_at, 1)

    def test_no_display(self):
        """In the toolkit's own words."""
        code = "import gi; gi.require_version('Gtk', '3.0')\nfrom gi.repository import Gtk\nprint(Gtk.init_check([]))\nGtk.Window()"
        expected = self.bed.run([harness.PYTHON, "-c", code], env={"DISPLAY": None})
        self.assertEqual(1, expected.status)
        for _ in range(2):
            self.assertEqual(expected, self.bed.run(self.quick("gtk", "-c", code), env={"DISPLAY": None}))

    def test_other_version(self):
        """A program that wants another GTK than the one that was preloaded is run plainly."""
        script = self.bed.write("window.py", "TITLE = 'other'\n" + harness.dedent(GTK4))
        self.bed.run(self.quick("gtk", "-c", "pass"))
        before = self.served()
        plain = self.show([harness.PYTHON, script], "other")
        self.assertEqual(plain, self.show(self.quick("gtk", script), "other"))
        self.assertEqual(before, self.served())

    def test_without_version(self):
        """A program that says no version gets the newest, and a warning."""
        code = "from gi.repository import Gtk; print(Gtk.get_major_version())"
        expected = self.bed.run([harness.PYTHON, "-c", code])
        self.assertIn(b"without specifying a version", expected.stderr)
        for toolkit in ("gtk", "gtk4"):
            for _ in range(2):
                self.assertEqual(expected, self.bed.run(self.quick(toolkit, "-c", code)), toolkit)

    def test_other_names(self):
        """What the import of GTK leaves, in a program that has imported it."""
        code = ("import gi\ngi.require_version('Gtk', '3.0')\nfrom gi.repository import Gtk\nimport gi.repository, sys\n"
                "print(sorted(vars(gi.repository)), sorted(gi._versions.items()), Gtk is sys.modules['gi.repository.Gtk'], Gtk.__loader__.__class__,\n"
                "      gi.importer.DynamicImporter.load_module.__module__, sys.argv, Gtk.__spec__.name, Gtk.init_check)\n")
        expected = self.bed.run([harness.PYTHON, "-c", code, "--name=x", "y"])
        for _ in range(2):
            self.assert_result(expected, self.bed.run(self.quick("gtk", "-c", code, "--name=x", "y")), "names")


if __name__ == "__main__":
    if subprocess.run(["which", "Xvfb"], stdout=subprocess.DEVNULL).returncode:
        sys.exit("Xvfb is not installed")
    harness.main()
