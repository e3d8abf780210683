"""What a run costs by size: of the template, of the environment, of the crowd."""

import dataclasses

import figures
from programs import PYTHON

TEMPLATE = """#!{python}
blocks = [bytearray(b'x' * 4096) * 256 for _ in range({megabytes})]
def main():
    print(len(blocks))
if __name__ == '__main__':
    main()
"""

VARIABLE = 1000  # bytes of each variable that fills an environment


def templates(session, megabytes, rounds, pause):
    """A prelude that fills so many MB; with a pause and back to back."""
    rows, build = [], session.scratch.builds[0]
    for size in megabytes:
        name = f"template-{size}MB"
        path = session.scratch.write(f"{name}.py", TEMPLATE.format(python=PYTHON, megabytes=size))
        session.programs.commands[name] = (path, (), session.scratch.work)
        rows.append(session.programs.quickened(build, "quickened", name, "pipes"))
    rows = session.warm_up(rows)
    bases = {"smallest": rows[0].name}
    paused = figures.summaries(rows, session.measure(rows, rounds, pause), bases)
    bursts = [dataclasses.replace(row, block=row.burst) for row in rows]
    back = figures.summaries(bursts, session.measure(bursts, max(1, rounds // 4)), bases)
    for row in rows:
        build.stop(row.script)
        del session.programs.commands[row.program]
    return {"megabytes": megabytes, "pause": paused, "burst": back}


def filled(env, kilobytes):
    """`env` with as many variables as it takes; 1000 bytes a kilobyte, or 2 MB would be beyond execve(2)'s limit."""
    env = dict(env)
    missing = kilobytes * 1000 - sum(len(name) + len(value) + 2 for name, value in env.items())
    for number in range(max(0, missing) // VARIABLE + 1):
        size = min(VARIABLE, missing - number * VARIABLE) - len(f"FILL{number:06}=") - 1
        if size >= 0:
            env[f"FILL{number:06}"] = "x" * size
    return env


def environments(session, kilobytes, bases, rounds, pause):
    """hello and what is least, with an environment of each size. `bases` are the rows of base_rows()."""
    rows, build = [], session.scratch.builds[0]
    for size in kilobytes:
        for row in [*bases, session.programs.quickened(build, "quickened", "hello", "pipes")]:
            rows.append(dataclasses.replace(row, program=f"{row.program}-{size}KB", env=filled(row.env, size)))
    rows = session.warm_up(rows)
    measured = session.measure(rows, rounds, pause)
    found = []
    for size in kilobytes:
        those = [row for row in rows if row.program.endswith(f"-{size}KB")]
        names = {name: row.replace("/pipes", f"-{size}KB/pipes") for name, row in figures.BASES.items()}
        found += figures.summaries(those, measured, names)
    return {"kilobytes": kilobytes, "rows": found}


def crowds(session, clients, bases, rounds):
    """So many clients at once, each starting one run after the other."""
    program = "pandas" if "pandas" in session.programs.commands else "hello"
    build, rows = session.scratch.builds[0], []
    for number in clients:
        for row in [*bases, session.programs.quickened(build, "quickened", program, "pipes")]:
            rows.append(dataclasses.replace(row, program=f"{row.program}-{number}-clients", clients=number,
                                            block=max(64, 4 * number)))
    rows = session.warm_up(rows)
    before = len(session.served)
    measured = session.measure(rows, rounds)
    refused = sum(entry["runs"] - entry["served"] for entry in session.served[before:])
    return {"clients": clients, "program": program, "rounds": rounds, "refused": refused,
            "rows": figures.summaries(rows, measured, {})}
