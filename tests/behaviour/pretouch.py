"""Pages that commands write are written ahead of need by later spares: seen in the faults that the commands count."""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

# Main writes a page for each object of 4 KB that the prelude has made, and says how many faults that took.
SCRIPT = """
    import resource
    DATA = [bytearray(4096) for _ in range({pages})]
    def faults():
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    if __name__ == '__main__':
        import sys
        first, last = map(int, sys.argv[1:])
        before = faults()
        for each in DATA[first:last]:
            each[2048] = 1
        print(faults() - before, sum(each[2048] for each in DATA))
"""


class Pretouch(harness.Case):
    def faults(self, script, first, last):
        """Of a command that must find all zero before it writes."""
        result = self.bed.quick([script, str(first), str(last)])
        self.assertEqual((0, b""), (result.status, result.stderr))
        count, written = map(int, result.stdout.split())
        self.assertEqual(last - first, written)
        return count

    def script(self, pages):
        return self.bed.write("script.py", harness.dedent(SCRIPT).format(pages=pages))

    def test_what_is_written_is_touched_ahead(self):
        script = self.script(1000)
        first = self.faults(script, 0, 1000)
        self.assertGreater(first, 900)
        self.assertTrue(harness.wait_until(lambda: self.faults(script, 0, 1000) < first // 4, 20, 0.05))

    def test_on_a_terminal(self):
        """Whose hangup comes when the client ends: the command has yet to look at its pages then."""
        script = self.script(1000)
        argv = self.bed.quick_argv([script, "0", "1000"])

        def faults():
            shown, status = self.bed.on_own_terminal(argv)
            self.assertEqual(0, status)
            return int(shown.split()[0])
        first = faults()
        self.assertGreater(first, 900)
        for _ in range(8):
            time.sleep(0.1)  # in which a spare is made
            last = faults()
        self.assertLess(last, first // 4)

    def test_another_habit_is_learned_too(self):
        script = self.script(1000)
        self.assertTrue(harness.wait_until(lambda: self.faults(script, 0, 500) < 100, 20, 0.05))
        self.assertTrue(harness.wait_until(lambda: self.faults(script, 500, 1000) < 100, 20, 0.05))

    def test_there_is_a_limit(self):
        """Of 40 MB that each command writes a spare holds a part only."""
        script = self.script(10000)
        for _ in range(8):
            self.faults(script, 0, 10000)
        self.assertGreater(self.faults(script, 0, 10000), 7000)


if __name__ == "__main__":
    harness.main()
