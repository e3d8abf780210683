"""What is to be reached, and whether it is. Informational: whoever reads a JSON decides what follows from it."""


def find(rows, name):
    return next((row for row in rows if row["row"] == name), None)


def ratio(result, part, row, base):
    found = find(result.get(part, {}).get("rows", []), row)
    return found["to"].get(base) if found else None


def on_terminal(result):
    found = find(result.get("pause", {}).get("rows", []), "quickened/pandas/terminal")
    return found.get("terminal_us") if found else None


def first_run(result):
    return next((entry["more_us"] / 1e3 for entry in result.get("cold", []) if entry["program"] == "pandas"), None)


def crowd(result):
    part = result.get("clients", {})
    found = find(part.get("rows", []), f"quickened/{part.get('program')}-32-clients/pipes")
    return found["per_second"] if found else None


def largest_template(result):
    part = result.get("templates", {})
    return part["pause"][-1]["to"]["smallest"] if part.get("megabytes") in ([10, 1000], [10, 100, 300, 1000]) else None


def memory(result):
    """MB beyond plain python, 4 MB and 8 MB a spare."""
    entry = next((entry for entry in result.get("memory", [])
                  if entry["program"] == "pandas" and entry["streams"] == "pipes"), None)
    return (entry["server_kb"] - entry["plain_kb"]) / 1024 - 4 - 8 * entry["spares"] if entry else None


def goals(result):
    pandas = "quickened/pandas/pipes"
    table = [
        ("numpy+pandas, pipes, pause: x static true", 0.75, ratio(result, "pause", pandas, "true")),
        ("numpy+pandas, pipes, pause: x python3 -c pass", 0.035, ratio(result, "pause", pandas, "python")),
        ("the same on a terminal: µs more", 150, on_terminal(result)),
        ("realistic command: x bare spare", 0.45, ratio(result, "pause", "quickened/realistic/pipes", "bare-spare")),
        ("back to back, one client: x python3 -c pass", 0.15, ratio(result, "burst", pandas, "python")),
        ("32 clients: runs a second, at least", 500, crowd(result)),
        ("clients refused", 0, result["clients"]["refused"] if "clients" in result else None),
        ("hg status: x chg", 0.5, ratio(result, "pause", "quickened/hg/pipes", "chg")),
        ("hg status, learned: x chg", 0.5, ratio(result, "pause", "quickened/hg-learned/pipes", "chg")),
        ("first run: ms more than plain", 30, first_run(result)),
        ("template of 1000 MB: x 10 MB", 1.25, largest_template(result)),
        ("idle server: MB beyond plain + 4 + 8 a spare", 0, memory(result)),
    ]
    found = []
    for goal, limit, measured in table:
        at_least = "at least" in goal
        holds = None if measured is None else measured >= limit if at_least else measured <= limit
        found.append({"goal": goal, "limit": limit, "measured": measured, "holds": holds})
    return found
