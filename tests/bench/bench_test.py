"""bench_test.py BUILD [TEST...] - the benchmark runs, says all that it promises, leaves nothing. No time is judged."""

import glob
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
os.environ.setdefault("QUICKEN_PREFIX", sys.argv.pop(1))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "behaviour")]
sys.dont_write_bytecode = True
import harness
import scratch
import speed
from driver import Row, Samples

RUN = os.path.join(HERE, "run")
PROGRAMS = ("hello", "pandas", "realistic", "black", "hg", "hg-learned")
BASES = ["plain/pass/pipes", "floor/echo/pipes", "true/static/pipes"]
LAUNCHER = "env=/usr/bin/env {python} {script}"


def main_rows():
    """What must be there, or be given a reason for its absence."""
    names = [*BASES, "plain/pass/terminal", "bare-spare/pandas/pipes", "bare-spare/realistic/pipes"]
    names += [f"plain/{program}/pipes" for program in PROGRAMS if program != "hg-learned"]
    names += [f"quickened/{program}/{streams}" for program in PROGRAMS for streams in ("pipes", "terminal")]
    return names + [f"{how}/{streams}" for how in ("chg/hg", "env/pandas") for streams in ("pipes", "terminal")]


class Bench(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="qbt.", dir="/tmp")
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.scratch = os.path.join(self.directory, "tmp")
        os.mkdir(self.scratch)

    def start(self, *arguments):
        return subprocess.Popen([RUN, harness.PREFIX, *arguments], env={**os.environ, "TMPDIR": self.scratch},
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run_it(self, *arguments):
        """Its JSON and its table."""
        path = os.path.join(self.directory, "result.json")
        process = self.start("--json", path, *arguments)
        out, errors = process.communicate(timeout=400)
        self.assertEqual(0, process.returncode, errors)
        self.assert_nothing_left()
        with open(path) as file:
            return json.load(file), out

    def assert_nothing_left(self):
        self.assertEqual([], os.listdir(self.scratch))
        left = [harness.command_line(pid) for pid in self.processes()]
        self.assertEqual([], left)

    def processes(self):
        """Of the benchmark; it gives all that it starts a home below its own directory."""
        return scratch.processes_with(os.fsencode("HOME=" + self.scratch))

    def assert_rows(self, rows, names, runs, bases):
        self.assertEqual(sorted(names), sorted(row["row"] for row in rows))
        for row in rows:
            self.assertEqual(runs(row), row["runs"], row)
            order = [row[f"{name}_us"] for name in ("p10", "median", "p90", "p99", "worst")]
            self.assertGreater(order[0], 0, row)
            self.assertEqual(sorted(order), order, row)
            self.assertLessEqual(set(bases), set(row["to"]), row)

    def assert_served(self, result):
        """Every quickened run was its server's: a plain one in its place would be counted as its time."""
        self.assertTrue(result["served"])
        for entry in result["served"]:
            self.assertEqual(entry["runs"], entry["served"], entry)

    def test_all_main_rows(self):
        picture = os.path.join(self.directory, "picture.svg")
        result, text = self.run_it("--rounds", "2", "--pause", "5", "--picture", picture, "--launcher", LAUNCHER,
                                   "--launcher", "broken=/bin/false", "--launcher", "none=/nowhere/none")
        missing = {name for name in main_rows() for reason in result["skipped"] if reason in (name, name.split("/")[1])}
        missing |= {name for name in main_rows() if name.split("/")[0] in result["skipped"]}
        names = set(main_rows()) - missing
        self.assertLessEqual({*BASES[:2], "quickened/hello/pipes", "quickened/hello/terminal"}, names)
        bases = ["python", "floor", "true"] if BASES[2] in names else ["python", "floor"]
        self.assert_rows(result["pause"]["rows"], names, lambda row: 2, bases)
        self.assert_rows(result["burst"]["rows"], names, lambda row: 2 if row["how"] == "plain" else 20, bases)
        for row in result["pause"]["rows"]:
            if row["how"] == "quickened":
                self.assertIn("plain", row["to"])
                self.assertEqual(row["streams"] == "terminal", "terminal_us" in row)
        self.assert_served(result)
        self.assertIn("wait status 256", result["skipped"]["broken/pandas/pipes"])
        self.assertIn("not there", result["skipped"]["none"])
        self.assertEqual({"hello", "pandas"} - set(result["skipped"]), {entry["program"] for entry in result["cold"]})
        self.assert_texts(names, text)
        xml.etree.ElementTree.parse(picture)
        with open(picture) as file:
            self.assert_texts(names, file.read())
        self.assertEqual(12, len(result["goals"]))

    def assert_texts(self, names, text):
        for name in names:
            self.assertIn(name, text)

    def test_sizes(self):
        result, _ = self.run_it("--rounds", "2", "--pause", "5", "--rows", "none", "--sizes", "--templates", "10,20",
                                "--environments", "4,64", "--clients", "1,4", "--parts", "output", "--output", "1")
        names = [f"quickened/template-{size}MB/pipes" for size in (10, 20)]
        self.assert_rows(result["templates"]["pause"], names, lambda row: 2, ["smallest"])
        self.assert_rows(result["templates"]["burst"], names, lambda row: 20, ["smallest"])
        self.assertEqual(8, len(result["environments"]["rows"]) + 2 * ("true/static/pipes" in result["skipped"]))
        crowd = [row for row in result["clients"]["rows"] if row["how"] == "quickened"]
        self.assert_rows(crowd, [f"quickened/{result['clients']['program']}-{number}-clients/pipes"
                                 for number in (1, 4)], lambda row: 64, [])
        self.assertGreater(min(row["per_second"] for row in crowd), 0)
        self.assertEqual(0, result["clients"]["refused"])
        self.assert_served(result)
        for entry in result["memory"]:
            self.assertGreaterEqual(entry["spares"], 1, entry)
            self.assertGreater(min(entry["plain_kb"], entry["template_kb"], entry["spares_kb"]), 1000, entry)
        self.assertIn("quickened/write/terminal", [row["row"] for row in result["output"]["rows"]])

    def test_two_builds(self):
        """The same one twice: each with servers of its own, whose runs are counted apart."""
        result, _ = self.run_it("--rounds", "3", "--pause", "5", "--parts", "pause", "--rows", "quickened/hello/*",
                                "--against", harness.PREFIX)
        self.assertEqual([("hello", "pipes"), ("hello", "terminal")],
                         [(row["program"], row["streams"]) for row in result["pause"]["comparison"]])
        self.assertEqual([("quickened", 6, 6), ("against", 6, 6)],
                         [(entry["how"], entry["runs"], entry["served"]) for entry in result["served"]])

    def test_interrupted(self):
        """At whatever it is just doing; a second Ctrl-C changes nothing."""
        for patience in (0.7, 3):
            process = self.start("--rounds", "1000", "--rows", "quickened/hello/*")
            self.assertTrue(harness.wait_until(lambda: glob.glob(self.scratch + "/*/run1/quicken/*.sock"), 30))
            time.sleep(patience)
            self.assertIsNone(process.poll())
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=60)
            self.assertEqual((130, ""), (process.returncode, out), errors)
            self.assert_nothing_left()

    def test_wrong_output_is_found(self):
        def row(how):
            return Row(how, "hello", "pipes", ["x"], {}, "/", build=None if how == "plain" else "build")

        def found(output, differing=0):
            rows = [row("plain"), row("quickened")]
            return speed.differences(rows, {rows[0].name: Samples(output=b"hello\n"),
                                            rows[1].name: Samples(output=output, differing=differing)})

        self.assertEqual([], found(b"hello\n"))
        self.assertEqual(1, len(found(b"hullo\n")))
        self.assertEqual(1, len(found(b"hello\n", differing=1)))


if __name__ == "__main__":
    harness.main()
