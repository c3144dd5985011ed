"""The benchmarks in asv_bench/, read but not run: asv ignores a wrong name without a word."""

import ast
import inspect
from pathlib import Path

import pytest

import fastnat

FOLDER = Path(__file__).parent.parent / "asv_bench" / "benchmarks"
PREFIXES = ("time_", "timeraw_", "track_", "mem_", "peakmem_")
HOOKS = ("setup", "setup_cache", "teardown")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("bench_*.py")), ids=lambda path: path.stem)
def test_names_have_a_prefix(path):
    """A function is a benchmark, a hook of asv, or begins with an underscore."""
    nodes = ast.walk(ast.parse(path.read_text()))
    names = [node.name for node in nodes if isinstance(node, ast.FunctionDef)]
    assert any(name.startswith(PREFIXES) for name in names)
    for name in names:
        assert name.startswith((*PREFIXES, "_")) or name in HOOKS, f"asv ignores {name}"


def test_every_public_function_has_a_benchmark():
    text = "\n".join(path.read_text() for path in FOLDER.glob("*.py"))
    for name in fastnat.__all__:
        if inspect.isfunction(getattr(fastnat, name)):
            assert f"fastnat.{name}(" in text, f"no benchmark calls fastnat.{name}"
    for name in fastnat.streaming.__all__:
        assert f"fastnat.streaming.{name}(" in text, f"no benchmark makes a {name}"
