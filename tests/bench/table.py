"""A result as text."""

COLUMNS = (("python", "x python"), ("true", "x true"), ("floor", "x floor"), ("smallest", "x smallest"),
           ("plain", "x plain"))


def rows_table(title, rows, lines):
    bases = [(name, heading) for name, heading in COLUMNS if any(name in row["to"] for row in rows)]
    extra = [(key, heading) for key, heading in (("worst_us", "worst"), ("per_second", "runs/s"), ("mb_per_s", "MB/s"))
             if any(key in row for row in rows) and (key != "worst_us" or not bases)]
    lines.append(f"\n{title:44}{'median µs':>10}{'p10':>9}{'p90':>9}{'p99':>9}"
                 + "".join(f"{heading:>11}" for _, heading in bases + extra))
    for row in rows:
        line = f"{row['row']:44}{row['median_us']:10.0f}{row['p10_us']:9.0f}{row['p90_us']:9.0f}{row['p99_us']:9.0f}"
        line += "".join(f"{row['to'][name]:11.3f}" if name in row["to"] else f"{'-':>11}" for name, _ in bases)
        line += "".join(f"{row[key]:11.0f}" if key in row else f"{'-':>11}" for key, _ in extra)
        lines.append(line)


def comparison_table(title, rows, lines):
    if rows:
        lines.append(f"\n{title:44}{'build µs':>10}{'against':>9}{'ratio':>9}{'p25':>9}{'p75':>9}")
    for row in rows:
        lines.append(f"{row['program'] + '/' + row['streams']:44}{row['build_us']:10.0f}{row['against_us']:9.0f}"
                     f"{row['ratio']:9.3f}{row['ratio_p25']:9.3f}{row['ratio_p75']:9.3f}")


def cold_table(rows, lines):
    lines.append(f"\n{'first run, server start included':44}{'plain ms':>10}{'first':>9}{'more':>9}")
    for row in rows:
        lines.append(f"{row['program']:44}{row['plain_us'] / 1e3:10.1f}{row['first_us'] / 1e3:9.1f}"
                     f"{row['more_us'] / 1e3:9.1f}")


def memory_table(rows, lines):
    lines.append(f"\n{'idle memory, MB of PSS':44}{'plain':>10}{'server':>9}{'template':>9}{'spares':>9}{'number':>9}"
                 f"{'a spare':>9}")
    for row in rows:
        mega = {key: row[f"{key}_kb"] / 1024 for key in ("plain", "server", "template", "spares", "per_spare")}
        lines.append(f"{row['program'] + '/' + row['streams']:44}{mega['plain']:10.1f}{mega['server']:9.1f}"
                     f"{mega['template']:9.1f}{mega['spares']:9.1f}{row['spares']:9}{mega['per_spare']:9.1f}")
    lines.append("(a spare: what the server has beyond plain python, by the number of its spares)")


def goals_table(rows, lines):
    lines.append(f"\n{'goal':50}{'limit':>10}{'measured':>10}")
    for row in rows:
        measured = "-" if row["measured"] is None else f"{row['measured']:.3f}"
        holds = {True: "holds", False: "MISSED", None: "not measured"}[row["holds"]]
        lines.append(f"{row['goal']:50}{row['limit']:10g}{measured:>10}  {holds}")


def remarks(result, lines):
    for name, reason in result["skipped"].items():
        lines.append(f"not measured: {name}: {reason}")
    for entry in result["served"]:
        if entry["served"] != entry["runs"]:
            lines.append(f"not all warm: {entry['how']}/{entry['program']}: {entry['served']} of {entry['runs']} runs")
    rungs = {f"{entry['how']}/{entry['program']}": entry["rung"] for entry in result["served"]}
    lines += [f"{name}: the server's rung is '{rung}'" for name, rung in rungs.items() if rung != "prelude"]
    lines += [f"DIFFERS: {text}" for part in ("pause", "burst") for text in result.get(part, {}).get("differences", [])]


def table(result):
    lines = []
    machine = result["machine"]
    lines.append(f"{machine['cores']} cores, {machine['processor']}, Linux {machine['kernel']}, "
                 f"load {machine['load_before']:.2f} before")
    if "pause" in result:
        part = result["pause"]
        rows_table(f"{part['pause_ms']:g} ms before each, {part['rounds']} rounds", part["rows"], lines)
        comparison_table("build / against, with a pause", part["comparison"], lines)
    if "burst" in result:
        rows_table(f"back to back, {result['burst']['rounds']} rounds", result["burst"]["rows"], lines)
        comparison_table("build / against, back to back", result["burst"]["comparison"], lines)
    if "cold" in result:
        cold_table(result["cold"], lines)
    if "templates" in result:
        rows_table("by template, with a pause", result["templates"]["pause"], lines)
        rows_table("by template, back to back", result["templates"]["burst"], lines)
    if "environments" in result:
        rows_table("by environment", result["environments"]["rows"], lines)
    if "clients" in result:
        rows_table("by clients at once", result["clients"]["rows"], lines)
        lines.append(f"clients refused: {result['clients']['refused']}")
    if "memory" in result:
        memory_table(result["memory"], lines)
    if "output" in result:
        rows_table(f"{result['output']['megabytes']:g} MB to a terminal", result["output"]["rows"], lines)
    goals_table(result["goals"], lines)
    lines.append("")
    remarks(result, lines)
    return "\n".join(lines).rstrip()
