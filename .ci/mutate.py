#!/usr/bin/env python3
"""Change the numerical core in one place at a time, and see whether a test notices.

    .ci/mutate.py                 a sample of 25, as in .ci/full
    .ci/mutate.py --count 200     a larger one, which begins with the smaller
    .ci/mutate.py --match root.py --count 20    a sample of one file

Kernels run as plain Python.  Which tests concern a file, and which mutants nobody can tell from
the original, is in `.ci/mutation.toml`; a mutant that survives and is not explained there is a
failure, and so is an explanation that is no longer true.

The order of the mutants is that of the digests of their names: an edit of one file leaves the
sample of the others alone.  No file is written.  pytest collects the tests once; a fork of it for
each mutant gives functions their new code and runs them.  What is not in a function is compiled
in the place of the file's code in a fork that has not imported fastnat.
"""

import argparse
import ast
import copy
import gc
import hashlib
import os
import resource
import signal
import sys
import time
import tomllib
from collections import Counter
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType

os.environ["NUMBA_DISABLE_JIT"] = "1"
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests"))
CONFIG = ROOT / ".ci/mutation.toml"
CPU_SECONDS = 90  # of a mutant that does not end; the tests of a file take less than half of it

# Machine code, compilation and caches: nothing that plain Python would run.
LEFT_OUT = {
    *("lanes", "_cache", "_jit", "_parts", "_stop"),
    *("_llvm", "_llvm_panels", "_llvm_products", "_llvm_rows", "_llvm_tables", "_llvm_tiles"),
}
NUMERICAL = ["_charts", "_closed_form", "_covariances", "_existence", "_least_squares", "_levels",
             "_limits", "_scale_limits", "_searched"]  # fmt: skip

COMPARISONS = {
    ast.Lt: [ast.LtE, ast.GtE], ast.LtE: [ast.Lt, ast.Gt], ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt], ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq], ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is], ast.In: [ast.NotIn], ast.NotIn: [ast.In],
}  # fmt: skip
ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
}  # fmt: skip
TWINS = {"min": "max", "minimum": "maximum", "fmin": "fmax", "floor": "ceil", "any": "all",
         "argmin": "argmax"}  # fmt: skip
TWINS |= {b: a for a, b in TWINS.items()}


def changes(node):
    """What else a node could be, as pairs of what changes and its new value."""
    kind = type(node)
    if kind is ast.Compare and len(node.ops) == 1:
        return [{"ops": [other()]} for other in COMPARISONS[type(node.ops[0])]]
    if kind is ast.Compare:
        return [
            {"ops": [*node.ops[:i], COMPARISONS[type(op)][0](), *node.ops[i + 1 :]]}
            for i, op in enumerate(node.ops)
        ]
    if kind in (ast.BinOp, ast.AugAssign) and type(node.op) in ARITHMETIC:
        return [{"op": ARITHMETIC[type(node.op)]()}]
    if kind is ast.BoolOp:
        return [{"op": ast.Or() if isinstance(node.op, ast.And) else ast.And()}]
    if kind is ast.Constant and isinstance(node.value, bool):
        return [{"value": not node.value}]
    if kind is ast.Constant and isinstance(node.value, int):
        return [{"value": node.value + 1}]
    if kind is ast.Constant and isinstance(node.value, float):
        return [{"value": 2.0 * node.value or 1.0}]
    if kind is ast.Name and node.id in TWINS:
        return [{"id": TWINS[node.id]}]
    if kind is ast.Attribute and node.attr in TWINS:
        return [{"attr": TWINS[node.attr]}]
    return []


def replacements(node):
    """Nodes that could stand in the place of this one."""
    made = []
    for change in changes(node):
        other = copy.copy(node)
        for name, value in change.items():
            setattr(other, name, value)
        made.append(other)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        made.append(node.operand)
    if isinstance(node, (ast.If, ast.IfExp)):
        other = copy.copy(node)
        other.test = ast.UnaryOp(ast.Not(), node.test)
        made.append(other)
    stores = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript)
    calls = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    if stores or calls or isinstance(node, (ast.AugAssign, ast.Break, ast.Continue, ast.Return)):
        made.append(ast.Pass())
    return made


def said(node):
    """A node as one short line; of an `if` its condition."""
    if isinstance(node, ast.If):
        return f"if {ast.unparse(node.test)}"
    return ast.unparse(node)


def is_plain_python(node):
    """Whether numba's types and LLVM's builders have no part in it."""
    if not isinstance(node, ast.FunctionDef):
        return True
    known = {"intrinsic", "overload", "register_pass"}
    decorators = map(ast.unparse, node.decorator_list)
    return not any(known & set(d.replace("(", " ").split()) for d in decorators)


def children(node):
    """Fields of a node that a mutant may differ in, with the place of each in its list."""
    skipped = {"decorator_list", "returns", "annotation", "args"} if isinstance(
        node, (ast.FunctionDef, ast.AnnAssign)) else set()  # fmt: skip
    if isinstance(node, ast.If) and "config.DISABLE_JIT" in ast.unparse(node.test):
        skipped = {"test", "orelse"} if "not" not in ast.unparse(node.test) else {"test", "body"}
    for name, value in ast.iter_fields(node):
        if name in skipped:
            continue
        for i, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, ast.AST) and is_plain_python(child):
                yield name, i if isinstance(value, list) else None, child


def mutants_of(path):
    """Names of the mutants of a file -> the trees that compile to them, made when called."""
    tree = ast.parse(path.read_text())
    found = {}
    seen = Counter()
    where = path.relative_to(ROOT / "fastnat").as_posix()

    def put(node, name, index, value):
        if index is None:
            setattr(node, name, value)
        else:
            getattr(node, name)[index] = value

    def visit(node, inside):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            inside = [*inside, node.name]
        for name, index, child in children(node):
            if ast.unparse(child).startswith("range(") and not inside:
                continue  # names of cells: an import would fail
            if isinstance(child, ast.Return) and node.body[-1] is child and inside[-1:] == [
                getattr(node, "name", "")]:  # fmt: skip
                visit(child, inside)
                continue  # without its last return a function returns None
            around = node if isinstance(child, ast.Constant) else child
            for other in replacements(child):
                before = said(around)
                put(node, name, index, other)
                after = "pass" if isinstance(other, ast.Pass) else said(
                    node if around is node else other)  # fmt: skip
                put(node, name, index, child)
                title = f"{where} {'.'.join(inside) or '(module)'}: {before} -> {after}"
                title = " ".join(title.split())
                seen[title] += 1
                if seen[title] > 1:
                    title += f" ({seen[title]})"
                found[title] = (path, (node, name, index, other, child, put, tree))
            visit(child, inside)

    visit(tree, [])
    return found


def code_of(path, made):
    """The file with that change, compiled."""
    node, name, index, other, child, put, tree = made
    put(node, name, index, other)
    code = compile(ast.fix_missing_locations(tree), str(path), "exec")
    put(node, name, index, child)
    return code


def all_mutants():
    """Every mutant of the numerical core, in the order in which samples are drawn."""
    paths = [ROOT / f"fastnat/{name}.py" for name in NUMERICAL]
    paths += [p for p in (ROOT / "fastnat/kernels").glob("*.py") if p.stem not in LEFT_OUT]
    found = {}
    for path in sorted(paths):
        found |= mutants_of(path)
    return dict(sorted(found.items(), key=lambda pair: hashlib.sha256(pair[0].encode()).digest()))


def codes_in(code):
    """A code object and all inside of it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_in(constant)


def change_functions(path, code):
    """Give the functions that have been made from a file the code of its mutant."""
    new = {(c.co_qualname, c.co_firstlineno): c for c in codes_in(code)}
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and function.__code__.co_filename == str(path):
            old = function.__code__
            function.__code__ = new[old.co_qualname, old.co_firstlineno]


def change_import(path, code):
    """Let a file that has not been imported yet be its mutant."""
    original = SourceFileLoader.get_code

    def get_code(loader, name):
        return code if loader.path == str(path) else original(loader, name)

    SourceFileLoader.get_code = get_code


def outcome_of(child):
    """How the tests in a fork end."""
    patience = time.monotonic() + 20 * CPU_SECONDS
    pid = 0
    while not pid:
        pid, status = os.waitpid(child, os.WNOHANG)
        if time.monotonic() > patience:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    code = os.waitstatus_to_exitcode(status)
    return "timeout" if code < 0 else {0: "survived", 1: "killed", 2: "killed"}[code]


def limit_time():
    """Have the system end what does not end by itself."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))


class Forks:
    """Where pytest would run the tests, run them in a fork for each mutant."""

    def __init__(self, mutants, out):
        self.mutants, self.out = mutants, out

    def pytest_runtestloop(self):
        """Report on each; None, in a fork, is for going on with the tests."""
        for name, (path, made) in self.mutants.items():
            begin = time.monotonic()
            child = os.fork()
            if child == 0:
                limit_time()
                change_functions(path, code_of(path, made))
                return None
            report(self.out, name, outcome_of(child), begin)
        return True


def report(out, name, outcome, begin):
    """A line for those who wait, by way of the first process, which counts."""
    os.write(out, f"{outcome:9} {time.monotonic() - begin:5.1f} s  {name}\n".encode())


def pytest_status(files, log, plugins):
    """Run pytest here, with its output in a file."""
    import pytest

    for stream in (1, 2):
        os.dup2(log, stream)
    os.chdir(ROOT)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow"]
    try:
        return int(pytest.main([*options, *files], plugins))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def in_a_fork(action):
    """The process that runs an action and ends with its status."""
    child = os.fork()
    if child == 0:
        status = 3
        try:
            status = action()
        finally:
            os._exit(status)
    return child


def try_mutants(files, mutants, log, out):
    """Report on mutants that the same tests concern."""
    at_import = {name: change for name, change in mutants.items() if " (module): " in name}
    for name, (path, made) in at_import.items():
        begin = time.monotonic()

        def action(path=path, made=made):
            limit_time()
            change_import(path, code_of(path, made))
            return pytest_status(files, log, [])

        report(out, name, outcome_of(in_a_fork(action)), begin)
    rest = {name: change for name, change in mutants.items() if name not in at_import}
    if rest:
        child = in_a_fork(lambda: pytest_status(files, log, [Forks(rest, out)]))
        if os.waitpid(child, 0)[1]:
            sys.exit(f"pytest did not get as far as the tests of {files}")


def tests_of(name, table):
    """The test files that concern a mutant, those first that fail soonest."""
    return tuple(f"tests/test_{test}.py" for test in table.get(name.split()[0], "").split())


def outcomes_of(mutants, table, log):
    """Try mutants, grouped by their tests; name -> outcome."""
    for needed in ("numpy", "numba", "scipy.optimize", "scipy.stats", "mpmath"):
        __import__(needed)  # once; not fastnat, nor what pytest rewrites
    groups = {}
    for name, change in mutants.items():
        groups.setdefault(tests_of(name, table), {})[name] = change
    outcomes = {}
    for files, group in groups.items():
        source, out = os.pipe()
        child = in_a_fork(
            lambda files=files, group=group, out=out: try_mutants(files, group, log, out) or 0
        )
        os.close(out)
        with os.fdopen(source) as lines:
            for line in lines:
                print(line, end="", flush=True)
                outcome, _, _, name = line.rstrip("\n").split(maxsplit=3)
                outcomes[name] = outcome
        os.waitpid(child, 0)
    assert outcomes.keys() == mutants.keys(), "some have not been tried: see --log"
    return outcomes


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=25, help="size of the sample (25)")
    parser.add_argument("--skip", type=int, default=0, help="leave out so many of it (0)")
    parser.add_argument("--match", default="", help="only mutants whose name contains this")
    parser.add_argument("--list", action="store_true", help="say their names only")
    parser.add_argument("--log", default=os.devnull, help="a file for what pytest says")
    options = parser.parse_args()
    config = tomllib.loads(CONFIG.read_text())
    explained = config["explained"]
    mutants = all_mutants()
    names = [name for name in mutants if options.match in name][options.skip : options.count]
    control = config["control"]
    names += [control] * (control not in names)
    if options.list:
        print("\n".join(names), f"\n{len(mutants)} in all")
        return 0
    log = os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    outcomes = outcomes_of({name: mutants[name] for name in names}, config["tests"], log)
    wrong = [
        f"{outcome}, but explained: {name}" if name in explained else f"{outcome}: {name}"
        for name, outcome in outcomes.items()
        if outcome == ("killed" if name in explained else "survived")
    ]
    files = {name.split()[0] for name in mutants}
    wrong += [f"no tests are named for {file}" for file in files - config["tests"].keys()]
    wrong += [f"no such mutant: {name}" for name in explained if name not in mutants]
    if outcomes[control] != "survived":
        wrong.append(f"{outcomes[control]}: the control.  Do the tests pass at all?")
    print(f"{len(names)} of {len(mutants)} mutants:", dict(Counter(outcomes.values())))
    print(*wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
