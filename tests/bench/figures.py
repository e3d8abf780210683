"""From samples to figures. Times are microseconds."""

import math
import statistics

# Of the same program, on pipes: what else runs it.
OTHERS = ("plain", "bare-spare", "chg")
BASES = {"python": "plain/pass/pipes", "true": "true/static/pipes", "floor": "floor/echo/pipes"}


def quantile(ordered, part):
    """The nearest rank."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def ratio(samples, base):
    """The median of what each round gives: its block's median to that of the base."""
    return statistics.median(statistics.median(block) / statistics.median(other)
                             for block, other in zip(samples.runs, base.runs))


def summary(row, samples, bases):
    """`bases` has Samples of the same rounds by the ratio's name."""
    times = samples.flat()
    found = {"row": row.name, "how": row.how, "program": row.program, "streams": row.streams, "runs": len(times),
             "median_us": statistics.median(times), "p10_us": quantile(times, 0.1), "p90_us": quantile(times, 0.9),
             "p99_us": quantile(times, 0.99), "worst_us": times[-1],
             "to": {name: ratio(samples, base) for name, base in bases.items()}}
    if samples.walls:
        found["per_second"] = row.block / statistics.median(samples.walls) * 1e6
    return found


def more(samples, base):
    """The median of the rounds' differences."""
    return statistics.median(statistics.median(block) - statistics.median(other)
                             for block, other in zip(samples.runs, base.runs))


def summaries(rows, measured, names=None):
    bases = {name: measured[row] for name, row in (names or BASES).items() if row in measured}
    return [summary(row, measured[row.name], bases) for row in rows if row.name in measured]


def main_summaries(rows, measured):
    """With ratios to the same program run by others, and what a terminal adds to the same row on pipes."""
    found = summaries(rows, measured)
    for row, entry in zip(rows, found):
        program, samples = row.program.replace("-learned", ""), measured[row.name]
        if row.how in ("plain", "floor", "true"):
            continue
        names = {how: f"{how}/{program}/pipes" for how in OTHERS if how != row.how}
        entry["to"].update({how: ratio(samples, measured[name]) for how, name in names.items() if name in measured})
        pipes = measured.get(f"{row.how}/{row.program}/pipes")
        if row.streams == "terminal" and pipes:
            entry["terminal_us"] = more(samples, pipes)
    return found


def comparison(rows, measured):
    """Of each row of a second build the first one's time to its, round by round."""
    found = []
    for row in rows:
        first = measured.get(f"quickened/{row.program}/{row.streams}")
        if row.how != "against" or not first:
            continue
        second = measured[row.name]
        ratios = sorted(statistics.median(new) / statistics.median(old)
                        for new, old in zip(first.runs, second.runs))
        found.append({"program": row.program, "streams": row.streams,
                      "build_us": statistics.median(first.flat()), "against_us": statistics.median(second.flat()),
                      "ratio": statistics.median(ratios),
                      "ratio_p25": quantile(ratios, 0.25), "ratio_p75": quantile(ratios, 0.75)})
    return found
