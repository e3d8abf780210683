#!/usr/bin/python3
"""picture.py JSON SVG - bars on a logarithmic scale, from what `run --json` wrote."""

import json
import math
import sys
from xml.sax.saxutils import escape

LEFT, RIGHT, BAR, GAP, HEADING = 260, 110, 14, 6, 40  # pixels
WIDTH = 960
COLOURS = {"quickened": "#2a7f62", "against": "#8fc1a9", "plain": "#b0413e", "true": "#777777", "floor": "#aaaaaa",
           "bare-spare": "#c9a227", "chg": "#5b6c9e"}
OTHER = "#8e6c8a"  # a launcher
TITLES = {"pause": "with a pause of {pause_ms:g} ms before each run", "burst": "back to back"}


class Scale:
    """From microseconds to pixels; its ends are powers of ten."""

    def __init__(self, times):
        self.low = math.floor(math.log10(min(times)))
        self.high = max(self.low + 1, math.ceil(math.log10(max(times))))

    def x(self, time):
        part = (math.log10(time) - self.low) / (self.high - self.low)
        return LEFT + max(0.0, part) * (WIDTH - LEFT - RIGHT)

    def ticks(self):
        return [10.0 ** power for power in range(self.low, self.high + 1)]


def readable(time):
    for limit, unit, size in ((1e3, "µs", 1), (1e6, "ms", 1e3)):
        if time < limit:
            return f"{time / size:.3g} {unit}"
    return f"{time / 1e6:.3g} s"


def text(x, y, content, **options):
    attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in options.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(content)}</text>'


def bar(row, y, scale):
    """The median, with a line from p10 to p90."""
    colour, end, middle = COLOURS.get(row["how"], OTHER), scale.x(row["median_us"]), y + BAR / 2
    low, high = scale.x(row["p10_us"]), scale.x(row["p90_us"])
    return [text(LEFT - 8, y + BAR - 3, row["row"], text_anchor="end"),
            f'<rect x="{LEFT}" y="{y}" width="{max(1.0, end - LEFT):.1f}" height="{BAR}" fill="{colour}"/>',
            f'<line x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}" stroke="#222" stroke-width="1.5"/>',
            text(max(end, high) + 6, y + BAR - 3, readable(row["median_us"]))]


def chart(title, rows, top, scale):
    """Elements, and where the next one may begin."""
    bottom = top + HEADING + len(rows) * (BAR + GAP)
    found = [text(12, top + 20, title, font_size=15, font_weight="bold")]
    for tick in scale.ticks():
        x = scale.x(tick)
        found.append(f'<line x1="{x:.1f}" y1="{top + HEADING - 4}" x2="{x:.1f}" y2="{bottom}" stroke="#ddd"/>')
        found.append(text(x, top + HEADING - 8, readable(tick), text_anchor="middle", fill="#666"))
    for number, row in enumerate(sorted(rows, key=lambda row: row["median_us"])):
        found += bar(row, top + HEADING + number * (BAR + GAP), scale)
    return found, bottom + 24


def svg(result):
    parts = [(name, result[name]) for name in TITLES if result.get(name, {}).get("rows")]
    times = [row[key] for _, part in parts for row in part["rows"] for key in ("p10_us", "p90_us")]
    elements, top = [], 8
    for name, part in parts:
        found, top = chart(TITLES[name].format(**part), part["rows"], top, Scale(times))
        elements += found
    note = "whole processes, from spawn to reaped exit; bar: median, line: p10 to p90; logarithmic scale"
    elements.append(text(12, top, note, fill="#666"))
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top + 16}" '
            f'viewBox="0 0 {WIDTH} {top + 16}" font-family="sans-serif" font-size="12">')
    return "\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *elements, "</svg>\n"])


def write(result, path):
    with open(path, "w", encoding="utf-8") as file:
        file.write(svg(result))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as source:
        write(json.load(source), sys.argv[2])
