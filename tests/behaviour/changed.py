"""An edited script runs as edited, however quickly and in whatever way it was edited."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness


def text(word, main=True):
    guard = "if __name__ == '__main__':\n    " if main else ""
    return f"word = '{word}'\n{guard}print(word)\n"


@harness.each_activation
class Changed:
    def edit_and_run(self, edit, main=True):
        """Fifteen edits; each must show in the very next run."""
        script = self.bed.write("script.py", text("w00", main))
        self.bed.quick([script])
        for round_ in range(1, 16):
            word = f"w{round_:02}"
            edit(script, text(word, main))
            self.assertEqual(harness.Result(0, word.encode() + b"\n", b""), self.bed.quick([script]))
            # Also from the warm server of the new text.
            self.assertEqual(harness.Result(0, word.encode() + b"\n", b""), self.bed.quick([script]))
        self.assert_served([script])

    @staticmethod
    def in_place(path, content):
        with open(path, "r+") as file:
            file.write(content)
            file.truncate()

    @staticmethod
    def by_rename(path, content):
        with open(path + "~", "w") as file:
            file.write(content)
        os.rename(path + "~", path)

    @staticmethod
    def with_old_times(path, content):
        """Same size and same mtime: only inode or ctime tell."""
        before = os.stat(path)
        Changed.by_rename(path, content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    @staticmethod
    def by_removal(path, content):
        os.unlink(path)
        with open(path, "w") as file:
            file.write(content)

    def test_same_size_in_place(self):
        self.edit_and_run(self.in_place)

    def test_replaced_by_rename(self):
        self.edit_and_run(self.by_rename)

    def test_replaced_with_the_old_times(self):
        self.edit_and_run(self.with_old_times)

    def test_removed_and_made_anew(self):
        self.edit_and_run(self.by_removal)

    def test_without_a_main_guard(self):
        self.edit_and_run(self.in_place, main=False)

    def test_script_behind_a_link(self):
        one, two = self.bed.write("one.py", text("one")), self.bed.write("two.py", text("two"))
        link = self.bed.path("link.py")
        os.symlink(one, link)
        self.assertEqual(b"one\n", self.bed.quick([link]).stdout)
        self.assertEqual(b"one\n", self.bed.quick([link]).stdout)
        os.symlink(two, link + "~")
        os.rename(link + "~", link)
        self.assertEqual(b"two\n", self.bed.quick([link]).stdout)

    def test_script_that_is_gone(self):
        script = self.bed.write("script.py", text("here"))
        self.bed.quick([script])
        os.unlink(script)
        expected = self.bed.plain([script])
        self.assertEqual(2, expected.status)
        self.assertEqual(expected, self.bed.quick([script]))

    def test_edited_to_a_syntax_error_and_back(self):
        script = self.bed.write("script.py", text("good"))
        self.bed.quick([script])
        self.bed.write("script.py", "print(\n")
        self.assertEqual(self.bed.plain([script]), self.bed.quick([script]))
        self.bed.write("script.py", text("fine"))
        self.assertEqual(b"fine\n", self.bed.quick([script]).stdout)


if __name__ == "__main__":
    harness.main()
