

# --- the fork point -----------------------------------------------------------

def _is_name_main_test(node, ast):
    """`__name__ == '__main__'`, in either order."""
    if not (isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq)):
        return False
    sides = (node.left, node.comparators[0])
    names = [side for side in sides if isinstance(side, ast.Name) and side.id == '__name__']
    texts = [side for side in sides if isinstance(side, ast.Constant) and side.value == '__main__']
    return len(names) == 1 and len(texts) == 1


def with_fork_point(source, filename):
    """Code of `source`. If it does not call the fork point itself, with such a call as first statement of the first
    top-level `if __name__ == '__main__'`; None if there is no such statement."""
    ast = _own_import('_ast')
    tree = compile(source, filename, 'exec', ast.PyCF_ONLY_AST, True)
    if Watch.called or calls_start(source, tree, ast):
        Watch.called = True
        note_beginning(tree.body, ast)
        return compile(tree, filename, 'exec', 0, True)
    for node in tree.body:
        if isinstance(node, ast.If) and _is_name_main_test(node.test, ast):
            break
    else:
        return None
    note_beginning(tree.body, ast)
    first = node.body[0]
    place = {'lineno': first.lineno, 'col_offset': first.col_offset,
             'end_lineno': first.end_lineno, 'end_col_offset': first.end_col_offset}
    name = ast.Name(id=FORK_POINT, ctx=ast.Load(), **place)
    call = ast.Call(func=name, args=[], keywords=[], **place)
    node.body.insert(0, ast.Expr(value=call, **place))
    return compile(tree, filename, 'exec', 0, True)


# A program that calls it says so in its source, or its client does for it (quicken run --fork-point start).

START_MODULES = ('quicken', 'instastart.auto')
STARTS = ('start', 'serve')


def is_called():
    """Whether the fork point is the program's own call of quicken.start()."""
    return Watch.called


def calls_start(source, tree, ast):
    """Whether it imports one of these from one of those, and calls it."""
    packages = (b'quicken', b'instastart') if isinstance(source, bytes) else ('quicken', 'instastart')
    if not any(name in source for name in packages):
        return False
    names, called, left = set(), set(), [tree]
    while left:
        node = left.pop()
        left += _nodes_of(node, ast)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= _start_names(node, ast)
        elif isinstance(node, ast.Call):
            called.add(_dotted(node.func, ast))
    return not names.isdisjoint(called)


def _nodes_of(node, ast):
    found = []
    for name in node._fields:
        value = getattr(node, name, None)
        found += [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, ast.AST)]
    return found


def _start_names(node, ast):
    """What start() and serve() are called where this import has been made."""
    if isinstance(node, ast.Import):
        modules = [each.asname or each.name for each in node.names if each.name in START_MODULES]
    elif node.module in START_MODULES and not node.level:
        return {each.asname or each.name for each in node.names if each.name in STARTS} | \
            {name for each in node.names if each.name == '*' for name in STARTS}
    else:
        modules = [each.asname or each.name for each in node.names
                   if '%s.%s' % (node.module, each.name) in START_MODULES and not node.level]
    return {module + '.' + name for module in modules for name in STARTS}


def _dotted(node, ast):
    """a.b.c; None of anything else."""
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value, ast)
        return before and before + '.' + node.attr
    return node.id if isinstance(node, ast.Name) else None


def install_fork_point(fork):
    """Make FORK_POINT callable from the code of with_fork_point. It is the C function itself, so that
    no frame of ours is on the stack while it waits; unfit() removes the name again."""
    setattr(builtins, FORK_POINT, fork)


def forget_fork_point():
    if hasattr(builtins, FORK_POINT):
        delattr(builtins, FORK_POINT)


# --- what is run ----------------------------------------------------------------

def _insert_path(entry):
    flags = sys.flags
    if not flags.isolated and not getattr(flags, 'safe_path', False):
        sys.path.insert(0, entry)


def _script_directory(path):
    """dirname(realpath(path)), as the interpreter computes sys.path[0] of a script."""
    posixpath = _own_import('posixpath')
    return posixpath.dirname(posixpath.realpath(path))


def _compile_silently(source, path):
    """Code, or None if the compiler has something to say that every run is to say. What does not compile is
    not served at all: the interpreter reads a script in another way than compile() does, and words the
    error accordingly."""
    modules, stream = set(sys.modules), sys.stderr
    sys.stderr = io.StringIO()
    try:
        code = compile(source, path, 'exec', 0, True)
        return None if sys.stderr.getvalue() else code
    finally:
        sys.stderr = stream
        for added in set(sys.modules) - modules:
            del sys.modules[added]


class Program:
    """What C evaluates: `code` in __main__, or runpy for a module. A code of None means that the
    command compiles `source` itself, so that what the compiler prints is printed by every run."""

    def __init__(self, what, name):
        self.what = what
        self.name = name
        self.source = None
        self.filename = None
        self.identity = None
        self.code = None
        self.forks = False  # the code has a fork point in it


def _read_script(path):
    with io.open_code(path) as file:
        status = posix.fstat(file.fileno())
        source = file.read()
    identity = (status.st_dev, status.st_ino, status.st_size, *divmod(status.st_mtime_ns, 10**9))
    if path.endswith('.pyc') or source[:4] == _compiled_magic():
        raise Unfit('a compiled script')
    if b'\0' in source:
        raise Unfit('a script with NUL bytes')
    return source, identity


def _compiled_magic():
    import _frozen_importlib_external
    return _frozen_importlib_external.MAGIC_NUMBER


def prepare_file(path, prelude):
    import _frozen_importlib_external
    program = Program('file', path)
    program.filename = path
    program.source, program.identity = _read_script(path)
    main = sys.modules['__main__'].__dict__
    main['__file__'] = path
    main['__cached__'] = None
    main['__loader__'] = _frozen_importlib_external.SourceFileLoader('__main__', path)
    _insert_path(_script_directory(path))
    if prelude:
        program.code = with_fork_point(program.source, path)
        program.forks = program.code is not None
    else:
        program.code = _compile_silently(program.source, path)
    return program


def prepare_entry(entry, code, prelude):
    program = Program('entry', entry)
    program.filename = '<string>'
    program.source = code.encode('utf-8', 'surrogateescape')
    _insert_path('')
    if prelude:
        program.code = with_fork_point(program.source, '<string>')
        program.forks = program.code is not None
    return program


def prepare_module(name, prelude, fork):
    import runpy
    program = Program('module', name)
    _insert_path(posix.getcwd())
    Imports.programs = name, name + '.__main__'
    Arguments.program = Arguments.name  # -m, until runpy knows better
    if not prelude:
        return program
    program.forks = True
    original = runpy._get_module_details

    def details(*args, **kwargs):
        found = original(*args, **kwargs)
        if args and args[0] != name and not args[0].endswith('.__main__'):
            return found
        if runpy._get_module_details is not details:
            return found
        runpy._get_module_details = original
        mod_name, spec, code = found
        Arguments.program = sys.argv[0] = spec.origin
        source = spec.loader.get_source(mod_name) if hasattr(spec.loader, 'get_source') else None
        cut = with_fork_point(source, code.co_filename) if source is not None else None
        if cut is None and not Watch.called:
            fork()
            return found
        return mod_name, spec, cut or code

    runpy._get_module_details = details
    return program


def prepare(what, name, code, prelude, fork, called):
    """What to evaluate. `prelude`: with a fork point inside; `called`: which is a call. Raises Unfit, or what compiling
    raises."""
    install_fork_point(fork)
    if what == 'python':
        forget_fork_point()
        return prepare_shared()
    Watch.called = bool(prelude and called)
    if not ORIGINAL_HAS_SCRIPT:
        Arguments.name_read = False  # it was -c or -m, whatever the client's is
    if what == 'file':
        program = prepare_file(name, prelude)
    elif what == 'entry':
        program = prepare_entry(name, code, prelude)
    else:
        program = prepare_module(name, prelude, fork)
    if not program.forks:
        forget_fork_point()
    else:
        begin_imports()
        if what == 'entry':
            Arguments.program = name
    return program
