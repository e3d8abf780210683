"""Memory of an idle server and its spares against plain Python asleep: proportional set sizes (PSS, proc(5)), in KB."""

import os
import subprocess
import time

from driver import measure
from programs import PYTHON

ASLEEP = """#!{python}
{imports}
import signal
print('asleep', flush=True)
signal.pause()
"""

SETTLE = 1.5  # seconds


def pss(pid):
    """0 if it has ended."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    except OSError:
        return 0


def children(pid):
    """The oldest first."""
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if int(fields[1]) == pid:
            found.append((int(fields[19]), int(number)))  # when it was started, proc(5)
    return [number for _, number in sorted(found)]


def program_of(pid):
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return ""


def asleep(session, name, imports):
    path = session.scratch.write(f"asleep_{name}.py", ASLEEP.format(python=PYTHON, imports=imports))
    process = subprocess.Popen([PYTHON, path], env=session.scratch.env, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        return pss(process.pid)
    finally:
        process.kill()
        process.communicate()


def server(session, name, streams):
    """After some runs, once it has been idle for a while."""
    build = session.scratch.builds[0]
    row = session.programs.quickened(build, "quickened", name, streams)
    measure(session.driver, [row], 1)
    build.wait_ready(row.script)
    measure(session.driver, [row], 5, 0.1)
    time.sleep(SETTLE)
    supervisor = build.status(row.script)["pid"]
    below = children(supervisor)
    sessions = [pid for pid in below if program_of(pid) == "quicken-session"]
    sessions += [pid for leader in sessions for pid in children(leader)]
    pythons = [pid for pid in below if pid not in sessions]  # the template, then its spares
    found = {"program": name, "streams": streams, "spares": len(pythons) - 1,
             "supervisor_kb": pss(supervisor), "template_kb": pss(pythons[0]),
             "spares_kb": sum(map(pss, pythons[1:])), "sessions_kb": sum(map(pss, sessions))}
    found["server_kb"] = sum(found[part] for part in ("supervisor_kb", "template_kb", "spares_kb", "sessions_kb"))
    build.stop(row.script)
    return found


def idle(session):
    """Servers are measured one by one and alone: what processes share counts in part for each."""
    found = []
    for build in session.scratch.builds:
        for script in build.scripts:
            build.stop(script)
    for name, imports in (("hello", ""), ("pandas", "import numpy, pandas")):
        if name not in session.programs.commands:
            continue
        plain = asleep(session, name, imports)
        for streams in ("pipes", "terminal"):
            entry = server(session, name, streams)
            entry["plain_kb"] = plain
            entry["per_spare_kb"] = (entry["server_kb"] - plain) / max(1, entry["spares"])
            found.append(entry)
    return found
