"""wrk against one server, and the time on a processor that the server spent on it."""

import dataclasses
import os
import re
import subprocess

from driver import BenchError

THREADS = 2
CONNECTIONS = 32


@dataclasses.dataclass
class Figures:
    per_second: float
    cpu_us: float  # of the server, per request
    p99_ms: float


def cpu_seconds(pids):
    """Time that all threads of the processes have been on a processor (schedstat: nanoseconds); one that has ended
    since is not counted, so servers whose threads come and go are a little better than they look."""
    total = 0
    for pid in pids:
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                    total += int(file.read().split()[0])
        except FileNotFoundError:
            raise BenchError(f"process {pid} of a server has ended") from None
    return total / 1e9


def number(pattern, text):
    found = re.search(pattern, text)
    if not found:
        raise BenchError(f"wrk said no {pattern}:\n{text}")
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s)?", found[1]).groups()
    return float(value) * {"us": 1e-3, "ms": 1, "s": 1e3, None: 1}[unit]


def load(url, seconds, pids, script=None):
    argv = ["wrk", f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
    before = cpu_seconds(pids)
    done = subprocess.run(argv + (["-s", script] if script else []) + [url], capture_output=True, text=True,
                          timeout=seconds + 60)
    spent = cpu_seconds(pids) - before
    if done.returncode or "Socket errors" in done.stdout or "Non-2xx" in done.stdout:
        raise BenchError(f"wrk {url}: status {done.returncode}\n{done.stdout}{done.stderr}")
    count = number(r"(\d+) requests in", done.stdout)
    return Figures(number(r"Requests/sec:\s+([\d.]+)", done.stdout), spent / count * 1e6,
                   number(r"99%\s+([\d.]+(?:us|ms|s))", done.stdout))
