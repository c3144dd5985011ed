"""The benchmarks in asv_bench/, imported but not run: asv ignores a wrong name without a word."""

import ast
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastnat

BENCH = Path(__file__).parent.parent / "asv_bench"
FILES = sorted((BENCH / "benchmarks").glob("bench_*.py"))
PREFIXES = ("time_", "timeraw_", "track_", "mem_", "peakmem_")
HOOKS = ("setup", "setup_cache", "teardown")
SPACES = ("geometry", "kernels", "special", "streaming")

# In a process of its own, for the suite limits threads.
LIST = """
import importlib, inspect, itertools, json, sys
found = {}
for module in sys.argv[1:]:
    for name, made in vars(importlib.import_module(f"benchmarks.{module}")).items():
        ours = inspect.isclass(made) and made.__module__.endswith(module)
        if not ours or name.startswith("_"):
            continue
        sizes = getattr(made, "params", [])
        sizes = sizes if not sizes or isinstance(sizes[0], list) else [sizes]
        cases = [", ".join(case) for case in itertools.product(*sizes)]
        for what, function in inspect.getmembers(made, inspect.isfunction):
            found[f"{module}.{name}.{what}"] = cases
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def suite():
    """{benchmark: cases}."""
    env = os.environ | {
        "NUMBA_DISABLE_JIT": "1",
        "PYTHONPATH": os.pathsep.join(map(str, (BENCH, BENCH.parent))),
    }
    env.pop("FASTNAT_BENCH_QUICK", None)
    command = [sys.executable, "-c", LIST, *(path.stem for path in FILES)]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def test_names_have_a_prefix(suite):
    """A method is a benchmark, a hook of asv, or begins with an underscore."""
    for name in suite:
        what = name.rpartition(".")[2]
        assert what.startswith((*PREFIXES, "_")) or what in HOOKS, f"asv ignores {name}"
    for path in FILES:
        of_file = [name for name in suite if name.startswith(f"{path.stem}.")]
        assert any(name.rpartition(".")[2].startswith(PREFIXES) for name in of_file), path.stem


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_functions_of_a_file_are_no_benchmarks(path):
    """asv would take those with a prefix, and say nothing of others."""
    for node in ast.parse(path.read_text()).body:
        assert not isinstance(node, ast.FunctionDef) or node.name.startswith("_"), node.name


def test_classes_have_caches_of_their_own():
    """Asv tells caches apart by the line at which they are made: an inherited one is shared."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Beside"):
                assert "setup_cache" in [getattr(item, "name", None) for item in node.body]


def attributes(text):
    """{(name or attribute, attribute of it)} of Python source."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            of = node.value
            found.add((getattr(of, "id", getattr(of, "attr", None)), node.attr))
    return found


def test_every_public_function_has_a_benchmark():
    used = set().union(*(attributes(path.read_text()) for path in FILES))
    helpers = (BENCH / "benchmarks" / "engine.py").read_text()
    imported = {
        alias.name
        for node in ast.walk(ast.parse(helpers))
        if isinstance(node, ast.ImportFrom) and node.module == "fastnat.kernels"
        for alias in node.names
    }
    text = "\n".join(path.read_text() for path in FILES)
    for name in fastnat.__all__:
        if inspect.isfunction(getattr(fastnat, name)) and name != "warmup":
            assert ("fastnat", name) in used, f"no benchmark calls fastnat.{name}"
    assert "processes.WARMUP" in text
    for space in SPACES:
        module = getattr(fastnat, space)
        for name in module.__all__:
            if name in ("DIGEST", "Normal"):  # no functions
                continue
            reached = (space, name) in used or (space == "kernels" and name in imported)
            assert reached, f"no benchmark uses fastnat.{space}.{name}"


def test_targets_name_benchmarks_and_cases(suite, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    from benchmarks.targets import TARGETS

    assert len(TARGETS) > 50
    for target in TARGETS:
        assert (target.least is None) != (target.most is None), target
        assert target.benchmark in suite, target
        cases = suite[target.benchmark]
        assert target.case in cases if target.case else cases == [""], target
    assert len({(t.benchmark, t.case) for t in TARGETS}) == len(TARGETS)
