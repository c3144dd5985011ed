"""Nothing of the size of the input is allocated, whatever its dtype and layout."""

import tracemalloc

import numpy as np
import pytest
from conftest import scaled

import fastnat

N = scaled(4_000_000, 4_000)
ARRAYS = {
    "contiguous": (lambda: np.arange(N, dtype=float), -1),
    "integers": (lambda: np.arange(N), -1),
    "reversed": (lambda: np.arange(N, dtype=float)[::-1], -1),
    "rows of every second element": (lambda: np.ones((N // 400, 400))[:, ::2], -1),
    "columns": (lambda: np.ones((400, N // 400)), 0),
    "columns of integers": (lambda: np.ones((400, N // 400), int), 0),
    "long columns": (lambda: np.ones((N // 4, 4), int), 0),
    "middle axis": (lambda: np.ones((N // 400, 20, 20)), 1),
    "axes that do not merge": (lambda: np.ones((20, N // 400, 20)), (0, 2)),
    "one problem of axes that do not merge": (lambda: np.ones((40, N // 400, 10))[:, ::2], None),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("options", [{}, {"nan_policy": "omit", "weights": np.ones(())}])
def test_no_temporary_of_the_size_of_the_input(name, options):
    make, axis = ARRAYS[name]
    x = make()
    fastnat.fit_normal(x, axis=axis, **options)  # compiles
    tracemalloc.start()
    try:
        fit = fastnat.fit_normal(x, axis=axis, n_threads=1, **options)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    results = 8 * 10 * fit.nobs.size  # statistics and estimates of every problem
    scratch = 1 << 22  # a few blocks
    assert peak < results + scratch
    assert scaled(scratch < x.nbytes / 3, True), "the test can see a copy"
