"""The main tables: with a pause between runs, back to back, the first run, much output on a terminal."""

import dataclasses
import os
import shutil
import statistics
import time

import figures
from driver import BenchError, measure
from programs import PYTHON

WARM_UP = 6  # runs of each row that do not count: a server learns from its first commands

WRITE = """#!{python}
import os, sys
def main():
    block = ('x' * 78 + '\\n').encode() * 800
    for _ in range(int(float(sys.argv[1]) * 1e6 / (len(block) + 800))):
        rest = block
        while rest:
            rest = rest[os.write(1, rest):]
if __name__ == '__main__':
    main()
"""


class Session:
    """What all parts share: how rows are run, and what is noted on the way."""

    def __init__(self, scratch, programs):
        self.scratch = scratch
        self.programs = programs
        self.driver = scratch.program("bench-driver")
        self.served = []

    def measure(self, rows, rounds, pause=0.0):
        """As measure(); what each server has run meanwhile goes to `served`."""
        before = {key: self.commands_run(row) for key, row in self.by_server(rows).items()}
        found = measure(self.driver, rows, rounds, pause)
        for key, row in self.by_server(rows).items():
            runs = rounds * sum(other.block for other in rows if (other.build, other.script) == key)
            ran = self.ran(row, before[key], runs)
            self.served.append({"how": row.how, "program": row.program, "runs": runs, "served": ran,
                                "rung": row.build.status(row.script).get("rung", "")})
        return found

    def by_server(self, rows):
        return {(row.build, row.script): row for row in rows if row.build}

    def commands_run(self, row):
        return int(row.build.status(row.script).get("commands_run") or 0)

    def ran(self, row, before, runs):
        """A server may count a command after its client has ended."""
        deadline = time.monotonic() + 2
        while self.commands_run(row) - before < runs and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.commands_run(row) - before

    def warm_up(self, rows):
        """The rows that work; for the others the reason is noted, unless they are ours."""
        working = []
        for row in rows:
            try:
                measure(self.driver, [dataclasses.replace(row, block=1, clients=1)], 1)
            except BenchError as error:
                if row.build or row.how in ("plain", "floor", "true"):
                    raise
                self.programs.skipped[row.name] = str(error)
                continue
            if row.build:
                row.build.wait_ready(row.script)
            working.append(row)
        # Plain ones know nothing of earlier runs.
        once = [dataclasses.replace(row, block=1, clients=1) for row in working if row.how not in ("plain", "true")]
        measure(self.driver, once, WARM_UP, 0.1)
        return working


def differences(rows, measured):
    """A run that is fast and wrong is no result: texts on outputs that are not the plain run's."""
    found = []
    for row in rows:
        samples = measured.get(row.name)
        plain = measured.get(f"plain/{row.program.replace('-learned', '')}/pipes")
        if not samples:
            continue
        if samples.differing:
            found.append(f"{row.name}: the output of {samples.differing} runs was not that of the first")
        if row.build and row.streams == "pipes" and plain and samples.output != plain.output:
            found.append(f"{row.name}: the output was not the plain run's")
    return found


def with_pause(session, rows, rounds, pause):
    measured = session.measure(rows, rounds, pause)
    return {"pause_ms": pause * 1e3, "rounds": rounds, "rows": figures.main_summaries(rows, measured),
            "comparison": figures.comparison(rows, measured), "differences": differences(rows, measured)}


def back_to_back(session, rows, rounds):
    rows = [dataclasses.replace(row, block=row.burst) for row in rows]
    measured = session.measure(rows, rounds)
    return {"rounds": rounds, "rows": figures.main_summaries(rows, measured),
            "comparison": figures.comparison(rows, measured), "differences": differences(rows, measured)}


def cold(session, rounds):
    """The first run, server start included, each after a plain one."""
    found = []
    for name in ("hello", "pandas"):
        if name not in session.programs.commands:
            continue
        plain = session.programs.plain(name)
        build = session.scratch.builds[0]
        first = session.programs.quickened(build, "first", name, "pipes")
        times = {plain.name: [], first.name: []}
        for _ in range(rounds):
            build.stop(first.script)
            time.sleep(0.3)
            for row in (plain, first):
                times[row.name].append(measure(session.driver, [row], 1)[row.name].runs[0][0])
            build.wait_ready(first.script)
        pairs = list(zip(*times.values()))
        found.append({"program": name, "runs": rounds, "plain_us": statistics.median(pair[0] for pair in pairs),
                      "first_us": statistics.median(pair[1] for pair in pairs),
                      "more_us": statistics.median(pair[1] - pair[0] for pair in pairs)})
    return found


def output(session, megabytes, rounds):
    """How fast a program writes to a terminal; script(1) relays through a pty as well."""
    path = session.scratch.write("write.py", WRITE.format(python=PYTHON))
    session.programs.commands["write"] = (path, (str(megabytes),), session.scratch.work)
    build = session.scratch.builds[0]
    rows = [session.programs.plain("write", "terminal"),
            session.programs.quickened(build, "quickened", "write", "terminal")]
    script = shutil.which("script")
    if script:
        rows.append(session.programs.simple("script(1)", "write", "terminal", [
            script, "-qec", f"{PYTHON} {path} {megabytes}", os.devnull]))
    rows = session.warm_up(rows)
    measured = session.measure(rows, rounds, 0.05)
    found = figures.summaries(rows, measured, {"plain": "plain/write/terminal"})
    for row in found:
        row["mb_per_s"] = megabytes / row["median_us"] * 1e6
    del session.programs.commands["write"]
    return {"megabytes": megabytes, "rounds": rounds, "rows": found}
