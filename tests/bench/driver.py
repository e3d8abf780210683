"""Rows of commands, and what bench-driver measures of them."""

import dataclasses
import os
import subprocess

PATIENCE = 3600  # seconds for one call; a single block that takes too long ends earlier, by the driver itself


class BenchError(Exception):
    """The benchmark cannot go on; the text says why."""


@dataclasses.dataclass
class Row:
    how: str  # by what it is run: plain, quickened, ...
    program: str
    streams: str  # pipes or terminal
    argv: list
    env: dict
    directory: str
    burst: int = 20  # runs in one round when it is measured back to back
    clients: int = 1
    block: int = 1  # runs in one round
    build: object = None  # whose server runs it; None: none does
    script: str = ""  # what that server is asked for by

    @property
    def name(self):
        return f"{self.how}/{self.program}/{self.streams}"


@dataclasses.dataclass
class Samples:
    """Of one row, by rounds."""

    runs: list = dataclasses.field(default_factory=list)  # lists of microseconds
    walls: list = dataclasses.field(default_factory=list)  # microseconds of each block, where one is more than a run
    output: bytes = b""
    differing: int = 0

    def flat(self):
        return sorted(time for block in self.runs for time in block)


def encode(rows, rounds, pause):
    strings = [rounds, int(pause * 1e6), 0, len(rows)]
    for row in rows:
        env = [f"{name}={value}" for name, value in row.env.items()]
        strings += [row.streams, row.block, row.clients, row.directory, len(row.argv), *row.argv, len(env), *env]
    return b"".join(os.fsencode(str(text)) + b"\0" for text in strings)


def decode(text, rows, rounds):
    found = [Samples([[] for _ in range(rounds)]) for _ in rows]
    failed = {}
    for line in text.splitlines():
        what, row, *rest = line.split(" ")
        samples = found[int(row)]
        if what == "run":
            samples.runs[int(rest[0])].append(int(rest[1]) / 1e3)
            if rest[2] != "0":
                failed.setdefault(int(row), int(rest[2]))
        elif what == "block":
            samples.walls.append(int(rest[1]) / 1e3)
        else:
            samples.differing, samples.output = int(rest[1]), bytes.fromhex(rest[2])
    for row, status in failed.items():
        output = found[row].output.decode(errors="replace").strip()
        raise BenchError(f"{rows[row].name}: wait status {status}: {output[-400:]}")
    return found


def measure(program, rows, rounds, pause=0.0):
    """Samples of each row, by its name; no run may fail. `pause` is in seconds, before each block."""
    if not rows:
        return {}
    process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True)
    try:
        out, errors = process.communicate(encode(rows, rounds, pause), timeout=PATIENCE)
    except BaseException:
        process.terminate()  # it ends what it has started
        process.wait()
        raise
    if process.returncode:
        raise BenchError(f"bench-driver ended with {process.returncode}: {errors.decode().strip()}")
    return {row.name: samples for row, samples in zip(rows, decode(out.decode(), rows, rounds))}
