#!/usr/bin/python3
"""How long whole processes take, from posix_spawn to waitpid: quickened, plain and the least there is.

    warm.py [--rounds N] [--pause SECONDS] [--first N] [--json]

All rows of a table are interleaved, round by round, so that whatever else the
machine does falls on all alike; figures are medians. Between two runs there is
a pause, in which a server replaces the spare that was used. With --first it is
the first run, server start included, against the plain one. Programs are those
of QUICKEN_PREFIX (default: build/release), activation is the environment's own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PREFIX = os.path.abspath(os.environ.get("QUICKEN_PREFIX") or os.path.join(REPOSITORY, "build", "release"))
QUICKEN = os.path.join(PREFIX, "bin", "quicken")
QUICKENCTL = os.path.join(PREFIX, "bin", "quickenctl")
PYTHON = "/usr/bin/python3"  # has Debian's numpy and pandas

HELLO = """#!/usr/bin/python3
import numpy
import pandas
if __name__ == '__main__':
    print('hello', numpy.__version__, pandas.__version__)
"""


def timed(argv):
    """Seconds; its streams are pipes, as in a shell's $(...)."""
    out, write_out = os.pipe()
    read_in, into = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, read_in, 0), (os.POSIX_SPAWN_DUP2, write_out, 1), (os.POSIX_SPAWN_DUP2, write_out, 2)]
    start = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
    _, status = os.waitpid(pid, 0)
    took = time.perf_counter() - start
    for fd in (write_out, read_in, into):
        os.close(fd)
    with os.fdopen(out, "rb") as file:
        output = file.read()
    if status:
        sys.exit(f"{argv}: wait status {status}: {output.decode(errors='replace')}")
    return took


def make_true(directory):
    """A statically linked `true`; None without a compiler or a static C library."""
    source, program = os.path.join(directory, "true.c"), os.path.join(directory, "true")
    with open(source, "w") as file:
        file.write("int main(void) { return 0; }\n")
    try:
        subprocess.run(["cc", "-O2", "-static", "-o", program, source], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return program


def commands_run(script):
    shown = subprocess.run([QUICKENCTL, "status", "--json", "--file", script], capture_output=True)
    return int(json.loads(shown.stdout or b"{}").get("commands_run", 0))


def stop(script):
    subprocess.run([QUICKENCTL, "stop", "--file", script], check=True, stdout=subprocess.DEVNULL)


def warm(script, directory, rounds, pause):
    quick = [QUICKEN, "run", "--file", script]
    rows = {"python3 -c pass": [PYTHON, "-c", "pass"], "plain numpy+pandas": [PYTHON, script],
            "quickened numpy+pandas, warm": quick}
    true = make_true(directory)
    if true:
        rows["true, static C"] = [true]
    timed(quick)
    time.sleep(0.5)
    for argv in rows.values():
        timed(argv)
    before = commands_run(script)
    times = {name: [] for name in rows}
    for _ in range(rounds):
        for name, argv in rows.items():
            time.sleep(pause)
            times[name].append(timed(argv))
    if commands_run(script) != before + rounds:
        sys.exit("not every quickened run was a warm one")
    return times


def first(script, rounds, pause):
    times = {"plain numpy+pandas": [], "quickened numpy+pandas, first": []}
    timed([PYTHON, script])
    for _ in range(rounds):
        stop(script)
        time.sleep(pause)
        times["plain numpy+pandas"].append(timed([PYTHON, script]))
        time.sleep(pause)
        times["quickened numpy+pandas, first"].append(timed([QUICKEN, "run", "--file", script]))
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--pause", type=float, default=0.05)
    parser.add_argument("--first", type=int, metavar="N", help="N first runs instead")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        script = os.path.join(directory, "hello.py")
        with open(script, "w") as file:
            file.write(HELLO)
        try:
            if options.first:
                times = first(script, options.first, options.pause)
            else:
                times = warm(script, directory, options.rounds, options.pause)
        finally:
            stop(script)
    base = statistics.median(times.get("true, static C") or times["plain numpy+pandas"])
    plain = statistics.median(times["plain numpy+pandas"])
    rows = []
    for name, samples in times.items():
        samples.sort()
        median = statistics.median(samples)
        rows.append({"what": name, "median_ms": median * 1e3, "p90_ms": samples[int(len(samples) * 0.9)] * 1e3,
                     "min_ms": samples[0] * 1e3, "runs": len(samples), "to_plain": median / plain,
                     **({"to_true": median / base} if "true, static C" in times else {})})
    result = {"rows": rows}
    if options.first:
        result["first_run_overhead_ms"] = rows[1]["median_ms"] - rows[0]["median_ms"]
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print(f"{'':32}{'median ms':>10}{'p90 ms':>10}{'min ms':>10}{'x plain':>9}{'x true':>9}")
    for row in rows:
        ratio = f"{row['to_true']:9.2f}" if "to_true" in row else f"{'-':>9}"
        print(f"{row['what']:32}{row['median_ms']:10.3f}{row['p90_ms']:10.3f}{row['min_ms']:10.3f}"
              f"{row['to_plain']:9.4f}{ratio}")
    if options.first:
        print(f"the first run takes {result['first_run_overhead_ms']:.1f} ms more than a plain one")


if __name__ == "__main__":
    main()
