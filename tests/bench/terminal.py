#!/usr/bin/python3
"""What a terminal costs: output through it, and the start of a run on it.

    terminal.py [--size MB] [--rounds N] [--starts N] [--pause SECONDS] [--json]

First a program writes SIZE MB to the terminal, plainly, quickened and below
script(1), which relays through a pty as well. Then a program that says hello
is started, plainly and quickened, on pipes and on the terminal. Times are those
of whole processes, from posix_spawn to waitpid; rows are interleaved, round by
round; figures are medians. The terminal is a pty of this program's own session,
drained by another process as fast as it can. Programs are those of
QUICKEN_PREFIX (default: build/release), activation is the environment's own.
"""

import argparse
import json
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import time

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PREFIX = os.path.abspath(os.environ.get("QUICKEN_PREFIX") or os.path.join(REPOSITORY, "build", "release"))
QUICKEN = os.path.join(PREFIX, "bin", "quicken")
QUICKENCTL = os.path.join(PREFIX, "bin", "quickenctl")
PYTHON = "/usr/bin/python3"
SCRIPT = "/usr/bin/script"

WRITE = """#!/usr/bin/python3
import os, sys
if __name__ == '__main__':
    block = ('x' * 78 + '\\n').encode() * 800
    for _ in range(int(float(sys.argv[1]) * 1e6 / (len(block) + 800))):
        rest = block
        while rest:
            rest = rest[os.write(1, rest):]
"""

HELLO = """#!/usr/bin/python3
if __name__ == '__main__':
    print('hello')
"""


def timed(argv, terminal):
    """Seconds; on the terminal, or on pipes as in a shell's $(...)."""
    fds = []
    if terminal:
        actions = [(os.POSIX_SPAWN_DUP2, terminal, fd) for fd in range(3)]
    else:
        read_in, write_in = os.pipe()
        read_out, write_out = os.pipe()
        fds = [read_in, write_in, read_out, write_out]
        actions = [(os.POSIX_SPAWN_DUP2, fd, to) for fd, to in ((read_in, 0), (write_out, 1), (write_out, 2))]
    start = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
    _, status = os.waitpid(pid, 0)
    took = time.perf_counter() - start
    for fd in fds:
        os.close(fd)
    if status:
        sys.exit(f"{argv}: wait status {status}")
    return took


def commands_run(script):
    shown = subprocess.run([QUICKENCTL, "status", "--json", "--file", script], capture_output=True)
    return int(json.loads(shown.stdout or b"{}").get("commands_run", 0))


def measure(rows, script, rounds, pause):
    """Seconds of every run by name of row; a row is a command line and its terminal. All of `script` must be warm."""
    for row in rows.values():
        timed(*row)
    time.sleep(0.5)
    before = commands_run(script)
    times = {name: [] for name in rows}
    for _ in range(rounds):
        for name, row in rows.items():
            time.sleep(pause)
            times[name].append(timed(*row))
    quickened = rounds * sum(argv[0] == QUICKEN for argv, _ in rows.values())
    for _ in range(100):  # a server may count a command after its client has ended
        if commands_run(script) == before + quickened:
            return times
        time.sleep(0.02)
    sys.exit(f"not every quickened run was a warm one: {commands_run(script) - before} of {quickened}")


def summary(times, size=None):
    base = statistics.median(next(iter(times.values())))
    rows = []
    for name, samples in times.items():
        samples.sort()
        median = statistics.median(samples)
        rows.append({"what": name, "median_ms": median * 1e3, "p90_ms": samples[int(len(samples) * 0.9)] * 1e3,
                     "min_ms": samples[0] * 1e3, "runs": len(samples), "to_plain": median / base,
                     **({"mb_per_s": size / median} if size else {})})
    return rows


def bench(options, terminal):
    with tempfile.TemporaryDirectory() as directory:
        scripts = [os.path.join(directory, name) for name in ("write.py", "hello.py")]
        for path, text in zip(scripts, (WRITE, HELLO)):
            with open(path, "w") as file:
                file.write(text)
        writer, hello = scripts
        size = str(options.size)
        try:
            output = measure({
                "plain": ([PYTHON, writer, size], terminal),
                "quickened": ([QUICKEN, "run", "--file", writer, size], terminal),
                "plain below script(1)": ([SCRIPT, "-qec", f"{PYTHON} {writer} {size}", "/dev/null"], terminal),
            }, writer, options.rounds, options.pause)
            start = measure({
                "plain, terminal": ([PYTHON, hello], terminal),
                "plain, pipes": ([PYTHON, hello], None),
                "quickened, pipes": ([QUICKEN, "run", "--file", hello], None),
                "quickened, terminal": ([QUICKEN, "run", "--file", hello], terminal),
            }, hello, options.starts, options.pause)
        finally:
            for script in scripts:
                subprocess.run([QUICKENCTL, "stop", "--file", script], stdout=subprocess.DEVNULL)
    rows = {"output": summary(output, options.size), "start": summary(start)}
    pipes, on_terminal = (row["median_ms"] for row in rows["start"][2:])
    return {**rows, "size_mb": options.size, "terminal_overhead_ms": on_terminal - pipes}


def show(result):
    for title, name in (f"{result['size_mb']:g} MB of output", "output"), ("start and end", "start"):
        print(f"{title:32}{'median ms':>10}{'p90 ms':>10}{'min ms':>10}{'x plain':>9}{'MB/s':>9}")
        for row in result[name]:
            speed = f"{row['mb_per_s']:9.1f}" if "mb_per_s" in row else f"{'-':>9}"
            print(f"{row['what']:32}{row['median_ms']:10.3f}{row['p90_ms']:10.3f}{row['min_ms']:10.3f}"
                  f"{row['to_plain']:9.4f}{speed}")
    print(f"a terminal adds {result['terminal_overhead_ms']:.3f} ms to a warm run")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=20, metavar="MB")
    parser.add_argument("--rounds", type=int, default=7, help="of the output")
    parser.add_argument("--starts", type=int, default=50, help="rounds of the start")
    parser.add_argument("--pause", type=float, default=0.05)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    out, err = os.dup(1), os.dup(2)
    child, master = pty.fork()
    if child:
        os.close(out), os.close(err)
        try:
            while os.read(master, 1 << 16):
                pass
        except OSError:  # EIO: nobody has the terminal open any more
            pass
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    terminal = os.dup(0)
    os.dup2(out, 1), os.dup2(err, 2)
    result = bench(options, terminal)
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        show(result)


if __name__ == "__main__":
    main()
