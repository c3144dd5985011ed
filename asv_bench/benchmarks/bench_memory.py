"""Memory: the largest a process gets, and what a call takes beyond its input."""

import tracemalloc

import numpy as np

import fastnat

from . import common, linear, observed

N = 1000 if common.QUICK else 1_000_000


def _table():
    x = common.normal(N, 20)
    return (x,), lambda: fastnat.fit_mvn(x, n_threads=1)


def _regression():
    data = linear.scale_problem(N)
    return data, lambda: fastnat.fit_linear(*data, n_threads=1)


def _model():
    x = common.normal(10 * N)
    return (x,), lambda: fastnat.fit(fastnat.models.normal, x, n_threads=1)


def _normal(**options):
    def make():
        x = common.normal(N, 10)
        return (x,), lambda: fastnat.fit_normal(x, n_threads=1, **options)

    return make


def _own_limits():
    y = common.normal(10 * N)
    limit = np.random.default_rng(1).normal(1.0, 0.3, y.size)
    return (y, limit), lambda: fastnat.fit_normal(y, right=limit, n_threads=1)


def _batch_noise():
    n = observed.size(200_000, 100)
    std = np.random.default_rng(1).gamma(2.0, 0.5, (n, 20))
    x = std * 0.9
    return (x, std), lambda: fastnat.fit_normal(x, noise_std=std, n_threads=1)


def _numpy():
    x = common.normal(10 * N)
    return (x,), lambda: common.numpy_fit(x)


WORKS = {
    "numpy mean and std, 1e7": _numpy,
    "moments, 1e6 x 10": _normal(),
    "moments, 1e6 x 10 axis 0": _normal(axis=0),
    "10 % NaN": _normal(nan_policy="omit"),
    "one limit, 1e6 x 10": _normal(left=-1.0),
    "own limits, 1e7": _own_limits,
    "noise, 2e5 x 20": _batch_noise,
    "model, 1e7": _model,
    "mvn, 1e6 x 20": _table,
    "regression, 1e6 x (20 + 5)": _regression,
}


class Memory:
    params, param_names = list(WORKS), ["case"]
    timeout = 300

    def setup(self, case):
        self.data, self.fit = WORKS[case]()

    def peakmem_fit(self, case):
        """Of the whole process: interpreter, machine code, data and fit."""
        self.fit()

    def track_share_of_input(self, case):
        """What NumPy's allocations reach during the fit, results included, over the input."""
        self.fit()
        tracemalloc.start()
        try:
            self.fit()
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return most / sum(x.nbytes for x in self.data)

    track_share_of_input.unit = "of the input"


if common.QUICK:
    Memory.params = list(WORKS)[-1:]
