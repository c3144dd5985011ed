"""What does not wobble: vector instructions, signatures, cache hits, no stale machine code."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

import fastnat
from fastnat import kernels

PACKAGE = Path(fastnat.__file__).parent

# Fits every kind of array with default options, and tells what was compiled for it.
ZOO = """
import collections, json, sys
import numpy as np
import fastnat
from fastnat.kernels import columns, moments, normal, rows

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


def run(code, cache, **environment):
    """Run code in a new process with its own cache; what it prints as JSON."""
    env = os.environ | {"NUMBA_CACHE_DIR": str(cache), "NUMBA_DISABLE_JIT": "0"} | environment
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
    return cold, warm


def test_one_signature_a_kernel_and_element_type(cold_and_warm):
    """float64 and float32 for the two that read the data, whatever is passed."""
    cold, _ = cold_and_warm
    expected = {"reduce_columns": 2, "merge_segments": 1, "finish": 1, "reduce_rows": 2}
    assert cold["signatures"] == expected


def test_a_second_process_compiles_nothing(cold_and_warm):
    cold, warm = cold_and_warm
    assert sum(cold["misses"].values()) == 6
    assert sum(warm["misses"].values()) == 0
    assert sum(warm["hits"].values()) == 6


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


def test_the_digest_names_every_cache_file(tmp_path):
    assert re.fullmatch(r"[0-9a-f]{12}", kernels.DIGEST)
    code = "import fastnat, json; fastnat.fit_normal([1.0, 2.0]); print(json.dumps(0))"
    run(code, tmp_path)
    indices = list(tmp_path.rglob("*.nbi"))
    assert indices
    assert all(kernels.DIGEST in path.name for path in indices)


def test_an_edit_in_another_file_is_never_stale(tmp_path):
    """Numba itself looks at the file of the cached function only."""
    copy = tmp_path / "copy"
    shutil.copytree(PACKAGE, copy / "fastnat", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "import json, fastnat\n"
        "fit = fastnat.fit_normal([1.0, 2.0, 6.0])\n"
        "print(json.dumps([fit.mu, fastnat.__file__]))"
    )
    cache = tmp_path / "cache"
    mu, file = run(code, cache, PYTHONPATH=str(copy))
    assert (mu, Path(file).parent) == (3.0, copy / "fastnat")
    edited = copy / "fastnat" / "kernels" / "deviations.py"
    text = edited.read_text()
    assert text.count("d = v.sub(values[0], consts[SHIFT])") == 1
    edited.write_text(text.replace("d = v.sub(values[0], consts[SHIFT])", "d = consts[SHIFT]"))
    mu, _ = run(code, cache, PYTHONPATH=str(copy))
    assert mu != 3.0


def test_without_any_directory_to_write_to_it_still_works(tmp_path):
    """As in a read-only install without a home: compiled in every process."""
    code = (
        "import json, numba.core.caching as caching\n"
        "for cache in (caching.CacheImpl, caching.CompileResultCacheImpl):\n"
        "    cache._locator_classes = []\n"
        "import fastnat\n"
        "print(json.dumps(fastnat.fit_normal([1.0, 2.0, 6.0]).mu))"
    )
    assert run(code, tmp_path) == 3.0
    assert not list(tmp_path.rglob("*.nb*"))


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
print(json.dumps(digest.hexdigest()))
"""


@pytest.mark.slow
def test_bits_do_not_depend_on_the_instruction_set(tmp_path):
    """AVX2 and AVX-512 give the same bits; a processor can only run what it has."""
    names = [None, "haswell"]
    if "avx512f" in numba.core.codegen.get_host_cpu_features():
        names.append("skylake-avx512")
    digests = set()
    for name in names:
        target = {} if name is None else {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": ""}
        digests.add(run(BITS, tmp_path / str(name), **target))
    assert len(digests) == 1
