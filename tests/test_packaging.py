"""What is shipped: version, files, imports."""

import ast
import importlib
import importlib.metadata
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fastnat

ROOT = Path(__file__).parent.parent
PACKAGE = Path(fastnat.__file__).parent

# ---- files and versions ----------------------------------------------------------------------


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_version_is_that_of_the_changelog():
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest[1] == fastnat.__version__


def test_version_is_that_of_the_metadata():
    try:
        installed = importlib.metadata.version("fastnat")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("fastnat is not installed: the source tree is on the path")
    assert installed == fastnat.__version__


def test_oldest_versions_are_those_declared():
    """.ci/full tests on the versions that the metadata promise."""
    path = ROOT / ".ci" / "oldest.txt"
    if not path.exists():
        pytest.skip("not a checkout: source distributions have no .ci")
    oldest = dict(re.findall(r"^(\w+)==(.+)$", path.read_text(), re.MULTILINE))
    extras = project()["optional-dependencies"]
    declared = project()["dependencies"] + extras["cli"] + extras["parquet"]
    assert oldest == dict(requirement.split(">=") for requirement in declared)


def test_py_typed_is_shipped():
    assert (PACKAGE / "py.typed").is_file()


def test_what_a_user_writes_with_types_runs():
    """That its types are right is for mypy to say, in `make lint`."""
    script = Path(__file__).parent / "user_script.py"
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("0 (2, 2) (2,) (4, 4) 170.12")


def test_text_is_ascii():
    for path in (*PACKAGE.rglob("*.py"), *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        assert path.read_text(encoding="utf-8").isascii(), path


def test_every_public_name_exists_and_is_documented():
    for name in fastnat.__all__:
        assert inspect.getdoc(getattr(fastnat, name)), name


# ---- imports ---------------------------------------------------------------------------------

IMPORT = """
import sys
import numba  # which imports the top of scipy
before = set(sys.modules)
with numba.core.event.install_recorder("numba:compile") as compiled:
    import fastnat
assert not compiled.buffer, compiled.buffer
EXTRAS = {"scipy", "tqdm", "matplotlib", "pandas", "xarray", "dask", "distributed", "sklearn"}
slow = {name for name in set(sys.modules) - before if name.partition(".")[0] in EXTRAS}
assert not slow, slow
"""


WITHOUT = """
import importlib, sys
for name, module in zip(sys.argv[1::2], sys.argv[2::2]):
    sys.modules[module] = None
    try:
        importlib.import_module(f"fastnat.{name}")
    except ImportError as error:
        print(error)
"""


def test_modules_say_which_extra_they_need():
    extras = {"plotting": "matplotlib", "xarray": "xarray", "dask": "dask", "sklearn": "sklearn"}
    argv = [word for pair in extras.items() for word in pair]
    command = [sys.executable, "-c", WITHOUT, *argv]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    for name, line in zip(extras, lines, strict=True):
        extra = {"plotting": "plot"}.get(name, name)
        assert line.startswith(f"fastnat.{name} needs ")
        assert line.endswith(f": pip install 'fastnat[{extra}]'")
        assert extra in project()["optional-dependencies"]


def test_import_compiles_nothing_and_leaves_scipy_alone():
    subprocess.run([sys.executable, "-c", IMPORT], cwd=ROOT, check=True)


# Every module may import those in rows above its own, and none else of the package.
FLOORS = [
    {"kernels._cache", "kernels._numpy_lanes", "kernels._stop", "kernels.codes"},
    {"kernels._parts"},
    {"kernels._jit"},
    {"kernels._scalar"},
    {
        "kernels._llvm",
        "kernels.aligned",
        "kernels.grouping",
        "kernels.linalg",
        "kernels.root",
        "kernels.special",
        "kernels.tuples",
    },
    {"kernels._llvm_products", "kernels._llvm_rows", "kernels._llvm_tables"},
    {"kernels._llvm_tiles"},
    {"kernels._llvm_panels"},
    {
        "kernels.lanes",
        "kernels.observation",
        "kernels.step",
        "kernels.curvature",
        "kernels.quadrature",
    },
    {
        "kernels.ascent",
        "kernels.differences",
        "kernels.deviations",
        "kernels.existence",
        "kernels.moments",
        "kernels.panels",
        "kernels.products",
        "kernels.profile",
        "kernels.tiles",
    },
    {"kernels.fisher"},
    {
        "kernels.compression",
        "kernels.memory",
        "kernels.mvn",
        "kernels.noisy_terms",
        "kernels.olsen",
        "kernels.patterns",
        "kernels.rows",
        "kernels.tables",
    },
    {
        "kernels.linear_frame",
        "kernels.missing",
        "kernels.mvn_start",
        "kernels.second_look",
        "kernels.triangles",
    },
    {
        "kernels.linear_rows",
        "kernels.olsen_lanes",
        "kernels.online",
        "kernels.outcome",
    },
    {
        "kernels.em",
        "kernels.estimates",
        "kernels.linear_memory",
        "kernels.mvn_errors",
        "kernels.mvn_existence",
        "kernels.mvn_search",
        "kernels.noise_data",
        "kernels.search",
    },
    {
        "kernels.linear_outcome",
        "kernels.linear_precise",
        "kernels.linear_shorten",
        "kernels.linear_terms",
    },
    {"kernels.linear_values"},
    {"kernels.linear_known", "kernels.linear_limit", "kernels.linear_proof"},
    {"kernels.linear_climb", "kernels.linear_least_squares", "kernels.linear_noise"},
    {"kernels.linear_search"},
    {"kernels.linear_design"},
    {"kernels.linear_plain"},
    {
        "kernels.censored",
        "kernels.columns",
        "kernels.likelihood",
        "kernels.linear",
        "kernels.linear_tobit",
        "kernels.mvn_missing",
        "kernels.noise",
        "kernels.normal",
        "kernels.truncated",
        "kernels",
    },
    {
        "kernels.censored_profile",
        "kernels.linear_long",
        "kernels.noise_profile",
        "kernels.noisy",
        "kernels.truncated_profile",
    },
    {"_arrays", "_blocks"},
    {"_compile"},
    {"_charts", "_climb", "_closed_form", "_covariances", "_levels", "_limits"},
    {"_model_check", "_rows", "_searched"},
    {"_long", "_tables", "descent", "geometry", "result"},
    {"_reduce", "special"},
    {"_existence", "_observed", "_table_stats"},
    {"_least_squares", "_linear_arguments", "_scale_limits"},
    {"_linear"},
    {"likelihood", "linear", "multivariate", "normal"},
    {"_mvn_stats", "_normal_stats", "models"},
    {"_linear_stats", "_online"},
    {"streaming"},
    {"_spool", "_warmup"},
    {""},  # fastnat itself: the public names
    {"_chunk_stats", "_files", "_lazy", "_sample", "sklearn", "xarray"},
    {"_drawing"},
    {"plotting"},
    {"_chunked", "_show", "_stores", "_workers"},
    {"_chunked_rows", "_demo"},
    {"_map_reduce"},
    {"dask"},
    {"__main__"},
]


def module_name(path):
    parts = ("fastnat", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
FLOOR_OF = {
    ".".join(filter(None, ("fastnat", name))): k for k, names in enumerate(FLOORS) for name in names
}


def imports_of(path):
    """What a module imports, ``from a import b`` being a.b if that is a module of ours, else a."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in full)
            if node.module == "numba" and path.name != "_jit.py":
                assert not {alias.name for alias in node.names} & {"njit", "jit"}, path


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down(name):
    assert name in FLOOR_OF, f"{name} is new: give it a floor above"
    ours = [other for other in imports_of(MODULES[name]) if other.partition(".")[0] == "fastnat"]
    for other in ours:
        assert FLOOR_OF[other] < FLOOR_OF[name], f"{name} imports {other}"
