"""What does not wobble: vector instructions, signatures, cache hits, no stale machine code."""

import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import fastnat
from fastnat import kernels
from fastnat._warmup import _WARMUPS

PACKAGE = Path(fastnat.__file__).parent

# Fits every kind of array with default options, and tells what was compiled for it.
ZOO = """
import collections, json, sys
import numpy as np
import fastnat
from fastnat.kernels import columns, moments, normal, rows, second_look

x = np.arange(600.0).reshape(20, 30)
read_only = x.copy()
read_only.flags.writeable = False
arrays = [x, x.T, x[::2], x[:, ::3], x[::-1, ::-1], np.asfortranarray(x), read_only, x[0], x[:, 0],
    x.astype(np.float32), x.astype(int), x.astype(bool), x.astype(">f8"), x.astype(np.float16),
    np.broadcast_to(x[0], (9, 30)), x.astype(np.longdouble), x.reshape(4, 5, 30), x[:0], x[:, :0]]
for array in arrays:
    for axis in (-1, 0, None):
        fastnat.fit_normal(array, axis=axis)
fastnat.fit_normal(np.arange(300_000.0).reshape(2, -1))
fastnat.fit_normal(np.arange(300_000.0).reshape(-1, 2), axis=0)
entries = [columns.reduce_columns, moments.merge_segments, normal.finish, rows.reduce_rows]
entries += [second_look.look_again]
hits, misses = collections.Counter(), collections.Counter()
report = {}
for entry in entries:
    name = entry.py_func.__qualname__.partition("-")[0]
    hits[name] = sum(entry.stats.cache_hits.values())
    misses[name] = sum(entry.stats.cache_misses.values())
    report[name] = len(entry.signatures)
asm = ""
if misses["reduce_rows"]:
    asm = "\\n".join(rows.reduce_rows.inspect_asm().values())
print(json.dumps({"signatures": report, "hits": hits, "misses": misses, "asm": asm}))
"""


def run(code, cache=None, **environment):
    """Run code in a new process with its own cache, or that of all; what it prints as JSON."""
    env = os.environ | {"NUMBA_DISABLE_JIT": "0"} | environment
    if cache is not None:
        env["NUMBA_CACHE_DIR"] = str(cache)
    command = [sys.executable, "-P", "-W", "error", "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def cold_and_warm(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    cold = run(ZOO, cache)
    files = sorted(path.name for path in cache.rglob("*.nb*"))
    warm = run(ZOO, cache)
    assert sorted(path.name for path in cache.rglob("*.nb*")) == files
    return cold | {"files": files}, warm


def test_one_signature_a_kernel_and_element_type(cold_and_warm):
    """float64 and float32 for those that read the data, if it is passed, and nothing else."""
    cold, _ = cold_and_warm
    expected = {"reduce_columns": 2, "merge_segments": 1, "finish": 1, "reduce_rows": 2}
    expected["look_again"] = 1  # at the booleans, which are equal
    assert cold["signatures"] == expected


def test_a_second_process_compiles_nothing(cold_and_warm):
    cold, warm = cold_and_warm
    assert sum(cold["misses"].values()) == 7
    assert sum(warm["misses"].values()) == 0
    assert sum(warm["hits"].values()) == 7


def test_rows_are_reduced_by_vector_instructions(cold_and_warm):
    """Both loops load, subtract and multiply-add whole vectors; no call but for allocation."""
    asm = cold_and_warm[0]["asm"]
    if platform.machine() not in ("x86_64", "AMD64"):
        assert asm
        return
    packed = len(re.findall(r"\bvfn?m(?:add|sub)\d+pd\b", asm))
    loads = len(re.findall(r"\bv(?:sub|add)pd\b.*[yz]mm", asm))
    assert packed >= 16, "eight rows, and four vectors of one row, fused multiply-add"
    assert loads >= 32
    assert "__svml" not in asm
    assert not re.search(r"callq?\s+\*?fma\b", asm)


def test_the_digest_names_every_cache_file(cold_and_warm):
    assert re.fullmatch(r"[0-9a-f]{12}", kernels.DIGEST)
    files = cold_and_warm[0]["files"]
    assert len(files) == 7
    assert all(kernels.DIGEST in name for name in files)


def test_an_edit_in_another_file_is_never_stale(tmp_path):
    """Numba itself looks at the file of the cached function only."""
    copy = tmp_path / "copy"
    shutil.copytree(PACKAGE, copy / "fastnat", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "import json\n"
        "from fastnat.kernels import memory\n"
        "size = memory.memory_size(2)\n"
        "(misses,) = memory.memory_size.stats.cache_misses.values() or [0]\n"
        "print(json.dumps([size, misses, memory.__file__]))"
    )
    cache = tmp_path / "cache"
    before, misses, file = run(code, cache, PYTHONPATH=str(copy))
    assert (misses, Path(file).parents[1]) == (1, copy / "fastnat")
    assert run(code, cache, PYTHONPATH=str(copy)) == [before, 0, file], "it is cached"
    edited = copy / "fastnat" / "kernels" / "ascent.py"
    text = edited.read_text()
    assert text.count("return np.int64(BASE + 2 * p)") == 1
    edited.write_text(text.replace("np.int64(BASE + 2 * p)", "np.int64(BASE + 2 * p + 1)"))
    assert run(code, cache, PYTHONPATH=str(copy)) == [before + 1, 1, file]


def test_without_any_directory_to_write_to_it_still_works(tmp_path):
    """As in a read-only install without a home: compiled in every process."""
    code = (
        "import json, numba.core.caching as caching\n"
        "for cache in (caching.CacheImpl, caching.CompileResultCacheImpl):\n"
        "    cache._locator_classes = []\n"
        "import numpy as np\n"
        "from fastnat.kernels import log_det\n"
        "print(json.dumps([log_det(np.array([[2.0]])), log_det.stats.cache_path]))"
    )
    assert run(code, tmp_path) == [2.0 * math.log(2.0), None]
    assert not list(tmp_path.rglob("*.nb*"))


# A function of a kernel, then called from Python.
PART = """
import json
from fastnat.kernels._jit import helper, uncached

@helper
def twice(x):
    return 2.0 * x

@uncached
def four_times(x):
    return twice(twice(x))

@helper
def more(n, up):
    return n + 1 if up else n

@uncached
def three_more(n):
    for _ in range(2):
        n = more(n, True)
    return n + more(0, n > 0)

assert three_more(1) == 4
assert len(more.overloads) == 1, "a constant is no type of its own"
results = [four_times(1.5)]
(made,) = twice.overloads.values()
address = made.library.get_pointer_to_function(made.fndesc.llvm_func_name)
results += [twice(1.5), twice(1), four_times(2.5)]
print(json.dumps([address, results]))
"""


def test_a_helper_has_machine_code_of_its_own_only_if_python_calls_it(tmp_path):
    assert run(PART, tmp_path) == [0, [6.0, 3.0, 2.0, 10.0]]


@pytest.mark.slow
def test_many_processes_on_a_cold_cache(tmp_path):
    code = "import json, fastnat; print(json.dumps(fastnat.fit_normal([1.0, 2.0, 6.0]).mu))"
    env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-P", "-W", "error", "-c", code]
    jobs = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(8)
    ]
    for job in jobs:
        out, error = job.communicate()
        assert job.returncode == 0, error.decode()
        assert json.loads(out) == 3.0


# ---- kernels for other people's compiled code -------------------------------------------------

# A module of somebody else's, which follows the advice on DIGEST, and fits a normal distribution.
OTHER_PEOPLE = """
import math, os
import numba, numpy as np
from fastnat.kernels import DIGEST, accumulate, ascent, natural_step

numba.config.CACHE_DIR = os.path.join(os.environ["THEIRS"], "theirs-" + DIGEST)


@numba.njit(cache=True)
def fit(x, tol):
    n, p = x.shape[0], 2
    theta = np.array([x[0], 0.0])  # mu, log sigma
    state = np.empty(ascent.state_size(p))
    scores, grad = np.empty((p + 1, n)), np.empty(p + 1)
    opg, metric = np.empty((p, p)), np.zeros((p, p))
    ascent.start(state, theta, float(n), tol, 0.0, 1000)
    code = ascent.RUNNING
    while code == ascent.RUNNING:
        mu, sigma = theta[0], math.exp(theta[1])
        for i in range(n):
            z = (x[i] - mu) / sigma
            scores[0, i], scores[1, i] = z / sigma, z * z - 1.0
            scores[2, i] = -0.5 * z * z - theta[1]  # summed with the scores
        grad[:] = 0.0
        opg[:] = 0.0
        accumulate(scores, None, n, grad, opg)
        metric[0, 0], metric[1, 1] = n / sigma**2, 2.0 * n
        metric[0, 1] = metric[1, 0] = 0.0
        code = ascent.advance(state, grad[2], grad[:2], metric, theta)
    step = np.empty(p)
    left = natural_step(opg.copy(), grad[:2].copy(), 0.0, step) / n
    return code, theta, state[ascent.LOGLIK], opg, left
"""

FIT = """
import json
import numpy as np
import other

x = np.random.default_rng(5).normal(3.0, 2.0, 1001)
code, theta, loglik, opg, left = other.fit(x, 1e-8)
hits, misses = (sum(c.values()) for c in (other.fit.stats.cache_hits, other.fit.stats.cache_misses))
print(json.dumps({"code": code, "theta": theta.tolist(), "loglik": loglik, "opg": opg.tolist(),
    "left": left, "hits": hits, "misses": misses}))
"""


def test_other_people_fit_and_cache(tmp_path):
    """Their function with cache=True works, and a second process compiles nothing."""
    (tmp_path / "other.py").write_text(OTHER_PEOPLE)
    cache = tmp_path / "cache"
    path = os.pathsep.join([str(tmp_path), str(Path(fastnat.__file__).parents[1])])
    cold = run(FIT, THEIRS=str(cache), PYTHONPATH=path)
    assert (cold.pop("hits"), cold.pop("misses")) == (0, 1)
    files = sorted(path.name for path in cache.rglob("*.nb*"))
    assert list(cache.glob(f"theirs-{kernels.DIGEST}/**/other.fit-*.nbc"))
    warm = run(FIT, THEIRS=str(cache), PYTHONPATH=path)
    assert (warm.pop("hits"), warm.pop("misses")) == (1, 0)
    assert sorted(path.name for path in cache.rglob("*.nb*")) == files
    assert warm == cold, "and gives the same bits"

    x = np.random.default_rng(5).normal(3.0, 2.0, 1001)
    n, mu, sigma = x.size, x.mean(), x.std()
    z = (x - mu) / sigma
    scores = np.array([z / sigma, z * z - 1.0])
    assert cold["code"] == fastnat.Status.OK
    # Fisher scoring goes from a decrement of 1e-8 to its square at least: 1e-8 standard errors
    # of one observation, of which the decrement that is left is the square.
    assert np.allclose(cold["theta"], [mu, np.log(sigma)], rtol=0, atol=1e-7)
    assert 0.0 <= cold["left"] <= 1e-14
    assert np.isclose(cold["loglik"], -n * (np.log(sigma) + 0.5), rtol=1e-13, atol=0)
    assert np.allclose(cold["opg"], scores @ scores.T, rtol=0, atol=1e-6 * n)


PUBLIC = """
import json
import numpy as np
from numba.core.caching import NullCache
from fastnat import kernels
from fastnat.kernels import ascent, root

kernels.accumulate._cache = NullCache()  # what comes from a cache has no assembly to look at
rng = np.random.default_rng(1)
for p in (1, 2, 3, 4, 5, 9, 21):
    for n in (0, 1, 8, 70, 600):
        scores, weights = rng.standard_normal((p + 1, n)), rng.uniform(0.0, 1.0, n)
        grad, fisher = np.zeros(p + 1), np.zeros((p, p))
        for w in (None, weights):
            kernels.accumulate(scores, w, n, grad, fisher)
            kernels.accumulate(scores[1:], w, n, grad[1:], fisher[:0, :0].copy())
            kernels.accumulate(scores, w, np.int64(n), grad, fisher)
    metric = fisher + np.eye(p)
    kernels.natural_step(metric.copy(), grad[:p], 0.0, np.empty(p))
    factor, b = metric.copy(), np.ones(p)
    if kernels.cholesky(factor):
        kernels.cholesky_solve(factor, b)
        kernels.log_det(factor)
    many = np.ascontiguousarray(np.broadcast_to(metric[:, :, None], (p, p, 70)))
    kernels.cholesky_many(many)
    kernels.cholesky_solve_many(many, np.ones((p, 70)))
    kernels.natural_step_mvn(metric, np.ones(p), metric.copy(), np.ones(p), metric.copy())
    theta, state = np.ones(p), np.empty(ascent.state_size(p))
    ascent.start(state, theta, 2.0, 1e-8, 0.0, 50)
    code = ascent.RUNNING
    while code == ascent.RUNNING:
        loglik, grad = -0.5 * theta @ metric @ theta, -metric @ theta
        ascent.accepts(state, loglik, grad)
        code = ascent.advance(state, loglik, grad, metric.copy(), theta)
    state = np.empty(root.SIZE)
    x = root.start(state, 0.0, 2.0 * p, True)
    while x == x:
        x = root.advance(state, x * x - p, 2.0 * x)
report = {}
entries = [getattr(kernels, name) for name in kernels.__all__]
entries += [ascent.state_size, ascent.start, ascent.accepts, ascent.advance]
entries += [root.start, root.advance]
for entry in entries:
    if hasattr(entry, "signatures"):
        module = entry.py_func.__module__.rpartition(".")[2]
        name = module + "." + entry.py_func.__qualname__.partition("-")[0]
        report[name] = len(entry.signatures)
asm = {str(types[1]): text for types, text in kernels.accumulate.inspect_asm().items()}
print(json.dumps({"signatures": report, "asm": asm}))
"""


@pytest.fixture(scope="module")
def public():
    """What was compiled for the public kernels, or read from a cache, by a zoo of calls."""
    return run(PUBLIC)


def test_one_signature_a_public_kernel(public):
    """One with weights and one without for accumulate; natural_step is the same in an ascent."""
    once = ["ascent.accepts", "ascent.advance", "ascent.start", "ascent.state_size"]
    once += ["linalg.cholesky", "linalg.cholesky_many", "linalg.cholesky_solve"]
    once += ["linalg.cholesky_solve_many", "linalg.log_det", "root.advance", "root.start"]
    once += ["step.natural_step", "step.natural_step_mvn"]
    # These become a part of the loops that call them, in kernels of ours as well.
    never = ["observation.log_interval_prob", "quadrature.truncated_moments", "special.hazard"]
    never += ["special.hazard_remainder", "special.log_ndtr", "special.ndtr"]
    expected = dict.fromkeys(once, 1) | dict.fromkeys(never, 0) | {"fisher.accumulate": 2}
    assert public["signatures"] == expected


def test_scores_are_accumulated_by_vector_instructions(public):
    """Packed fused multiply-adds in every tile, of 30 products and more without their repeats."""
    assert len(public["asm"]) == 2
    for asm in public["asm"].values():
        if platform.machine() not in ("x86_64", "AMD64"):
            assert asm
            continue
        packed = len(re.findall(r"\bvfmadd\d+pd\b.*[yz]mm", asm))
        # Triangles of 1, 3, 6 and 10 products and rectangles of 4, 8, 12 and 16, once each at
        # least; AVX-512 has one vector for eight observations, AVX2 two.
        assert packed >= 60
        assert not re.search(r"\bvfmadd\d+sd\b", asm), "nothing is left to scalars"
        assert "__svml" not in asm
        assert not re.search(r"callq?\s+\*?fma\b", asm)


BITS = """
import hashlib, json
import numpy as np
import fastnat

rng = np.random.default_rng(3)
digest = hashlib.sha256()
for n in (1, 5, 8, 31, 100, 1000, 4097, 20_000):
    for offset in (0.0, 1e6):
        x = rng.standard_normal((9, n)) + offset
        w = rng.integers(0, 3, (9, n)) * 0.7
        for axis in (0, 1):
            for options in ({}, {"weights": w}, {"nan_policy": "omit", "cov_type": "opg"}):
                fit = fastnat.fit_normal(x, axis=axis, **options)
                digest.update(fit.params.tobytes() + fit.stderr.tobytes())
for p in (1, 5, 8, 20):
    X, w = rng.standard_normal((9, 61, p)), rng.uniform(0.1, 3.0, (9, 61))
    y = rng.standard_normal((9, 61)) + 9.0 * X[..., 0]
    for design in (X, X[0]):
        for weights in (None, w):
            fit = fastnat.fit_linear(y, design, weights=weights)
            digest.update(fit.params.tobytes() + fit.stderr.tobytes())
print(json.dumps(digest.hexdigest()))
"""


@pytest.mark.slow
def test_bits_do_not_depend_on_the_instruction_set(tmp_path):
    """AVX2 and AVX-512 give the same bits; a processor can only run what it has."""
    names = [None, "haswell"]
    if "+avx512f" in numba.core.codegen.get_host_cpu_features():
        names.append("skylake-avx512")
    digests = set()
    for name in names:
        target = {} if name is None else {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": ""}
        digests.add(run(BITS, tmp_path / str(name), **target))
    assert len(digests) == 1


SQUARES = """
import json, re
from numba import types
from fastnat.kernels import panels, products
from fastnat.kernels._jit import kernel

@kernel
def columns(x, panel, n, p, cells, single):
    panels.add_squares(panel, 0, p, n, single, cells, 0, x, 0, 0)

@kernel
def squares(x, w, n, p, out):
    products.add_squares(x, 0, p, w, n, out, 0)

@kernel
def together(x, w, n, p, out):
    products.add_squares_and_row(w, x, 0, p, None, n, out, 0)

def count(kernel, second, *more):
    kernel.compile((flat, second, types.int64, types.int64, flat, *more))
    asm = "".join(kernel.inspect_asm().values())
    stack = "ymm[0-9]+, *-?[0-9]*[(]%r[sb]p|[(]%r[sb]p[)], *%ymm"
    kinds = "vfmadd[0-9]+p[ds]", stack, "vfmadd[0-9]+s[ds]"
    return [len(re.findall(what, asm)) for what in kinds]

flat, table = (types.Array(types.float64, n, "C") for n in (1, 2))
by_columns = count(columns, table, types.boolean)
print(json.dumps([count(squares, flat), count(together, flat), by_columns]))
"""


def test_sums_of_products_stay_in_registers(tmp_path):
    """Of 16 registers of 256 bits: far more multiply-adds than moves to the stack and back."""
    target = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"}
    *by_rows, by_columns = run(SQUARES, tmp_path, **target)
    for multiplications, moves, scalars in by_rows:
        assert multiplications > 500
        assert moves < 0.3 * multiplications
        assert scalars == 0
    multiplications, moves, scalars = by_columns
    halves = 2 * (110 + 110)  # of the sums of all shapes, of doubles and in single precision
    assert multiplications >= halves
    assert moves < 2 * halves  # sums of a tile wait for each other: there and back
    assert scalars == 0


AHEAD = """
import json
import re
from numba import types
from fastnat.kernels import deviations, lanes, panels, products, tables
from fastnat.kernels._jit import kernel

def count(sums):
    @kernel
    def row(x, n, consts, out):
        sums((x, None), 0, 0, n, 0, consts, (None, None, None, None, None), out, 1, 0)

    row.compile((flat, types.int64, table, table))
    return prefetches(row)

@kernel
def small_table(x, n, like, consts, out):
    tables._small_table(x, None, 0, n, like, consts, out, 0)

@kernel
def row(y, x, p, n, out):
    products.add_row(y, x, 0, p, None, n, out, 0)

@kernel
def squares_and_row(y, x, p, n, out):
    products.add_squares_and_row(y, x, 0, p, None, n, out, 0)

@kernel
def columns(x, panel, n, cells):
    panels.add_squares(panel, 0, 5, n, False, cells, 0, x, 0, n)

@kernel
def turned(x, n, panel):
    panels.turn(x, 0, 5, 5, n, (), 0.0, (), panel, 0, n, None)

def prefetches(kernel):
    return len(re.findall("prefetch|prfm", "".join(kernel.inspect_asm().values())))

flat, table = (types.Array(types.float64, n, "C") for n in (1, 2))
just_made = lanes.row_sums(deviations._centred, deviations.N_CONSTS, 1, 4, prefetch=False)
counts = [count(sums) for sums in (deviations.total_of_row, deviations.centred_row, just_made)]
small_table.compile((flat, types.int64, types.UniTuple(types.float64, 3), table, flat))
for sums in (row, squares_and_row):
    sums.compile((flat, flat, types.int64, types.int64, flat))
columns.compile((flat, table, types.int64, flat))
turned.compile((flat, types.int64, table))
kernels = small_table, row, squares_and_row, columns, turned
print(json.dumps([*counts, *map(prefetches, kernels)]))
"""


def test_rows_are_prefetched(tmp_path):
    """A long row as well: its reader, which is alone, follows too late on some processors."""
    counts = run(AHEAD, tmp_path)
    total, centred, just_made, small_table, row, squares_and_row, columns, turned = counts
    assert min(total, centred) >= 4  # vectors a step
    assert just_made == row == 0  # nor what has just been read
    assert small_table >= 3  # vectors of eight rows
    assert squares_and_row >= 8 * 4  # numbers of columns, rows together
    assert columns >= 10  # shapes of a tile
    assert turned >= 2  # columns by fours, and those that are left


# ---- warmup ----------------------------------------------------------------------------------

WARM = """
import sys
import numpy as np
import fastnat
from fastnat.streaming import LinearStats, MvnStats, NormalStats, OnlineNormal

x = np.random.default_rng(1).normal(size=(4, 12))
X = np.column_stack([np.ones(12), np.arange(12.0)])
gaps = x.T[:, :2].copy()
gaps[0, 0] = gaps[5, 1] = np.nan

def stream(stats, *chunk):
    stats.update(*chunk)
    stats.update(*chunk)
    return stats.fit()

CALLS = {
    "fit_normal": [
        lambda: fastnat.fit_normal(x),
        lambda: fastnat.fit_normal(x, weights=np.abs(x), axis=0, nan_policy="omit"),
        lambda: fastnat.fit_normal(x, left=0.5),
        lambda: fastnat.fit_normal(x, noise_std=0.5),
    ],
    "fit_linear": [
        lambda: fastnat.fit_linear(x, X),
        lambda: fastnat.fit_linear(x, X, X, left=0.0, cov_type="sandwich"),
    ],
    "fit_mvn": [lambda: fastnat.fit_mvn(x.T), lambda: fastnat.fit_mvn(gaps, nan_policy="mle")],
    "streaming": [
        lambda: stream(NormalStats(), x[0]),
        lambda: stream(MvnStats(), x.T[:, :2]),
        lambda: stream(LinearStats(), x[0], X),
        lambda: OnlineNormal(left=0.0, burn_in=4).update(x[0]),
    ],
    "fit": [lambda: fastnat.fit(fastnat.models.normal, x)],
}
def signatures():  # of all kernels, compiled or from a cache
    modules = [m for n, m in sys.modules.items() if n.startswith("fastnat.kernels.")]
    members = [(m.__name__, n, f) for m in modules for n, f in vars(m).items()]
    return {(m, n, s) for m, n, f in members for s in getattr(f, "signatures", ())}

fastnat.warmup(sys.argv[1])
before = signatures()
for call in CALLS[sys.argv[1]]:
    call()
assert signatures() == before, signatures() - before
"""


@pytest.mark.parametrize("name", _WARMUPS)
def test_after_a_warmup_nothing_is_compiled(name):
    """Nor read from a cache: calls find their machine code in memory."""
    env = os.environ | {"NUMBA_DISABLE_JIT": "0"}
    command = [sys.executable, "-W", "error", "-c", WARM, name]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
