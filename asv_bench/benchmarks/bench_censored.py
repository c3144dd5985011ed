"""Censored and interval data on one thread, beside what else there is."""

import functools

import numpy as np

import fastnat

from . import common, observed
from .measuring import Timed, Work, measured, times, told


def _fit(*args, **kwargs):
    return fastnat.fit_normal(*args, **({"n_threads": 1} | kwargs))


def _data(n):
    """A quarter of the values or so is beyond a limit."""
    rng = np.random.default_rng(1)
    y, limit = rng.normal(2.0, 3.0, n), rng.normal(4.0, 1.0, n)
    return y, limit


def _own_limits(n):
    y, limit = _data(observed.size(n))
    x = np.minimum(y, limit)
    peers = {"lbfgs": lambda: observed.by_hand(x, limit)}
    if n < 10**6:
        peers["scipy"] = lambda: observed.by_scipy(x, limit)
        peers["surpyval"] = lambda: observed.by_surpyval(x, limit)

    def more():
        """An iteration more, beside NumPy's."""
        work = {"right": limit, "cov_type": None}
        more = common.difference(
            lambda: _fit(x, max_iter=4, **work), lambda: _fit(x, max_iter=1, **work)
        )
        each = max(more / 3.0, 1e-12)
        numpy = common.medians(lambda: observed.iteration_by_numpy(x, limit))[0]
        return {"ns an iteration": 1e9 * each / x.size, "iteration times numpy": numpy / each}

    return Work(
        lambda: _fit(x, right=limit),
        peers,
        items=x.size,
        on_two_threads=lambda: _fit(x, right=limit, n_threads=2),
        score=lambda fit: observed.censored_score(fit, x, x >= limit, limit),
        more=more if n <= 10**4 else None,  # beyond, the first ones look at a part of the data
    )


OWN = {
    f"n={n}": functools.partial(_own_limits, int(float(n))) for n in ("1e3", "1e4", "1e5", "1e6")
}


class OwnLimits(Timed):
    """One sample, a limit for every observation."""

    works, params, param_names = OWN, common.few(OWN), ["case"]

    def time_fit_normal(self, case):
        self.work.ours()


class OwnLimitsBeside:
    params, param_names = common.few(OWN), ["case"]
    timeout = 600

    def setup_cache(self):
        return measured(OWN)

    track_times_scipy = times("scipy")
    track_times_lbfgs_by_hand = times("lbfgs")
    track_times_surpyval = times("surpyval")
    track_iterations = told("iterations")
    track_largest_score = told("score", "standard errors")
    track_two_threads = told("two threads", "times as fast")
    track_ns_an_iteration = told("ns an iteration", "ns")
    track_iteration_times_numpy = told("iteration times numpy", "times as fast")


def _one_limit(n):
    y, _ = _data(observed.size(n))
    limit = np.full(y.size, 4.0)
    peers = {"plain fit": lambda: _fit(y)}
    if n < 10**6:
        peers["scipy"] = lambda: observed.by_scipy(y, limit)
        peers["surpyval"] = lambda: observed.by_surpyval(y, limit)
    return Work(
        lambda: _fit(y, right=4.0),
        peers,
        reads=(y,),
        items=y.size,
        score=lambda fit: observed.censored_score(fit, y, y >= 4.0, limit),
    )


COMMON = {f"n={n}": functools.partial(_one_limit, int(float(n))) for n in ("1e3", "1e5", "1e6")}


class OneLimit(Timed):
    """One sample with one limit: its sufficient statistics take a pass."""

    works, params, param_names = COMMON, common.few(COMMON), ["case"]

    def time_fit_normal(self, case):
        self.work.ours()


class OneLimitBeside:
    params, param_names = common.few(COMMON), ["case"]
    timeout = 600

    def setup_cache(self):
        return measured(COMMON)

    track_times_scipy = times("scipy")
    track_times_surpyval = times("surpyval")
    track_times_plain_fit = times("plain fit")
    track_fraction_of_reading = told("read fraction", "of 1")
    track_largest_score = told("score", "standard errors")


def _batch(n_fits, n):
    n_fits = observed.size(n_fits, 100)
    rng = np.random.default_rng(1)
    x, limit = rng.normal(2.0, 3.0, (n_fits, n)), rng.uniform(0.0, 2.0, (n_fits, 1))
    few = 3

    def scipy():
        for row, least in zip(x[:few], limit[:few, 0], strict=True):
            observed.by_scipy(-row, np.full(n, -least))

    return Work(
        lambda: _fit(x, left=limit),
        {"scipy": scipy},
        {"scipy": n_fits / few},
        items=n_fits,
        on_two_threads=lambda: _fit(x, left=limit, n_threads=2),
        score=lambda fit: observed.censored_score(fit, x, x <= limit, limit, -1.0),
    )


def _intervals(n_fits, n):
    n_fits = observed.size(n_fits, 50)
    x = np.random.default_rng(1).normal(2.0, 3.0, (n_fits, n))
    lower, upper = np.floor(x), np.floor(x) + 1.0

    def surpyval():
        import surpyval

        return surpyval.Normal.fit(x=np.column_stack([lower[0], upper[0]]), c=np.full(n, 2))

    return Work(
        lambda: _fit(lower, upper),
        {"surpyval": surpyval},
        {"surpyval": n_fits},
        items=n_fits,
        on_two_threads=lambda: _fit(lower, upper, n_threads=2),
        score=lambda fit: observed.interval_score(fit, lower, upper),
    )


BATCHES = {
    "(1e5, 100) a limit each": functools.partial(_batch, 10**5, 100),
    "(1e3, 100) intervals": functools.partial(_intervals, 1000, 100),
}


class Batches(Timed):
    """Many samples in one call: (n_fits, n_obs)."""

    works, params, param_names = BATCHES, list(BATCHES), ["case"]

    def time_fit_normal(self, case):
        self.work.ours()


class BatchesBeside:
    params, param_names = list(BATCHES), ["case"]
    timeout = 600

    def setup_cache(self):
        return measured(BATCHES, list(BATCHES))

    track_ns_a_problem = told("ns each", "ns")
    track_times_scipy = times("scipy")
    track_times_surpyval = times("surpyval")
    track_iterations = told("iterations")
    track_failures = told("failures")
    track_largest_score = told("score", "standard errors")
    track_two_threads = told("two threads", "times as fast")
