"""The writer of JSON in src/interp/report.py: what it writes the module json reads as it was."""

import ast
import json
import sys

VALUES = [None, True, False, 0, 1, -5, 2**70, 0.5, 1e-07, 1e300, "", "plain",
          "\"\\/\n\t\r\0\x1f\x7f", "ä€😀\u2028\U0010ffff",
          [], {}, [1, [2, {"a": None}]], {"": "", "\n": [True]}]


def load(source):
    """The writer alone: the rest of the file is of a template."""
    with open(source, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    wanted = [node for node in tree.body if "ESCAPES" in ast.unparse(node)]
    space = {}
    exec(compile(ast.Module(wanted, []), source, "exec"), space)
    return space["_json"]


def main():
    write = load(sys.argv[1])
    for value in [*VALUES, VALUES]:
        text = write(value)
        assert json.loads(text.encode("utf-8")) == value, (value, text)
        assert type(json.loads(text)) is type(value), (value, text)
        assert min(text, default=" ") >= " ", text
    assert json.loads(write((1, "a"))) == [1, "a"]
    assert json.loads(write({1: 2})) == {"1": 2}
    # A byte that is no UTF-8, as the interpreter has it in texts from outside: JSON has no place for it.
    assert json.loads(write("a\udcff").encode("utf-8")) == "a\\udcff"


main()
