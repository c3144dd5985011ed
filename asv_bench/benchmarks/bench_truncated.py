"""Truncated samples on one thread, beside SciPy and SurPyval, which fit one at a time."""

import functools

import numpy as np

import fastnat

from . import common, observed
from .measuring import Timed, Work, measured, times, told

BOUNDS = -1.0, 6.0


def _truncated(n_fits, n):
    n_fits = observed.size(n_fits, 20)
    rng = np.random.default_rng(1)
    x = rng.normal(2.0, 3.0, (n_fits, 4 * n))
    x = np.stack([row[(row > BOUNDS[0]) & (row < BOUNDS[1])][:n] for row in x])
    one = x[0]

    def fit(n_threads=1):
        return fastnat.fit_normal(x, truncation=BOUNDS, n_threads=n_threads)

    def surpyval():
        import surpyval

        return surpyval.Normal.fit(x=one, tl=BOUNDS[0], tr=BOUNDS[1])

    return Work(
        fit,
        {"surpyval": surpyval},
        {"surpyval": n_fits},
        items=n_fits,
        on_two_threads=lambda: fit(2),
        score=lambda fit: observed.truncated_score(fit, x, *BOUNDS),
    )


WORKS = {
    "(1, 1e5)": functools.partial(_truncated, 1, 10**5),
    "(1e3, 100)": functools.partial(_truncated, 1000, 100),
}


class Truncated(Timed):
    """(n_fits, n_obs)."""

    works, params, param_names = WORKS, common.few(WORKS), ["case"]

    def time_fit_normal(self, case):
        self.work.ours()


class TruncatedBeside:
    params, param_names = common.few(WORKS), ["case"]
    timeout = 600

    def setup_cache(self):
        return measured(WORKS)

    track_ns_a_problem = told("ns each", "ns")
    track_times_surpyval = times("surpyval")
    track_iterations = told("iterations")
    track_failures = told("failures")
    track_largest_score = told("score", "standard errors")
    track_two_threads = told("two threads", "times as fast")
