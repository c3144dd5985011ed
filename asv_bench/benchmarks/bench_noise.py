"""Samples whose every value has a known error, on one thread, beside PyMARE."""

import functools

import numpy as np

import fastnat

from . import common, observed
from .measuring import Timed, Work, measured, times, told


def _noisy(n_fits, n):
    n_fits = observed.size(n_fits, 50)
    rng = np.random.default_rng(1)
    std = rng.gamma(2.0, 0.5, (n_fits, n))
    x = rng.normal(size=std.shape) * np.sqrt(0.3 + std**2)

    def fit(n_threads=1):
        return fastnat.fit_normal(x, noise_std=std, n_threads=n_threads)

    some = slice(0, 20_000)
    y, v = x[some].T.copy(), (std[some] ** 2).T.copy()

    def pymare():
        from pymare.estimators import VarianceBasedLikelihoodEstimator

        return VarianceBasedLikelihoodEstimator(method="ml").fit(y=y, v=v, X=np.ones((n, 1)))

    return Work(
        fit,
        {"pymare": pymare},
        {"pymare": n_fits / y.shape[1]},
        items=n_fits,
        on_two_threads=lambda: fit(2),
        score=lambda fit: observed.noise_score(fit, x, std),
    )


WORKS = {
    "(1, 1e5)": functools.partial(_noisy, 1, 10**5),
    "(2e5, 20)": functools.partial(_noisy, 200_000, 20),
}


class Noise(Timed):
    """(n_fits, n_obs)."""

    works, params, param_names = WORKS, common.few(WORKS), ["case"]

    def time_fit_normal(self, case):
        self.work.ours()


class NoiseBeside:
    params, param_names = common.few(WORKS), ["case"]
    timeout = 600

    def setup_cache(self):
        return measured(WORKS)

    track_ns_a_problem = told("ns each", "ns")
    track_times_pymare = times("pymare")
    track_iterations = told("iterations")
    track_failures = told("failures")
    track_largest_score = told("score", "standard errors")
    track_two_threads = told("two threads", "times as fast")
