"""compile_bootstrap.py SOURCE: the code of SOURCE, by the interpreter that runs this, as an entry of bootstrap.cpp's
table: the number of the interpreter's bytecode (PEP 552 has where it stands in a .pyc), and the code as marshal has it."""
import importlib.util
import marshal
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    code = compile(file.read(), "<quicken>", "exec", 0, True)
magic = int.from_bytes(importlib.util.MAGIC_NUMBER, "little")
name = f"k_code_{magic}"
print(f"static const unsigned char {name}[] = {{{','.join(map(str, marshal.dumps(code)))}}};")
print(f"#define QUICKEN_COMPILED_{magic} {{{magic}, {name}, sizeof {name}}},")
