"""How time grows with n, B, p and threads: what the plots of the page show."""

import functools
import os

import numpy as np

import fastnat

from . import common, linear
from .measuring import Work, measured, times, told


def _length(n):
    x = common.normal(n)
    return Work(
        lambda: fastnat.fit_normal(x, n_threads=1),
        {"numpy": lambda: common.numpy_fit(x)},
        items=x.size,
    )


def _number(n_fits, left=None):
    x = common.normal(n_fits, 32)
    peers = {"numpy": lambda: common.numpy_fit(x)} if left is None else {}
    return Work(lambda: fastnat.fit_normal(x, left=left, n_threads=1), peers, items=len(x))


def _width(d):
    x = common.normal(100_000, d)
    return Work(
        lambda: fastnat.fit_mvn(x, n_threads=1), {"numpy": lambda: np.cov(x.T)}, items=len(x)
    )


def _columns(p):
    y, X, _ = linear.scale_problem(1000 if common.QUICK else 100_000, p, 1)
    return Work(
        lambda: fastnat.fit_linear(y, X, n_threads=1),
        {"numpy": lambda: np.linalg.lstsq(X, y, rcond=None)},
        items=len(y),
    )


EXPONENTS = range(1, 8)
WORKS = (
    {f"n=1e{k}": functools.partial(_length, 10**k) for k in EXPONENTS}
    | {f"B=1e{k}": functools.partial(_number, 10**k) for k in range(7)}
    | {f"B=1e{k} censored": functools.partial(_number, 10**k, -1.0) for k in range(6)}
    | {f"d={d}": functools.partial(_width, d) for d in (2, 3, 4, 6, 8, 12, 20, 32, 50)}
    | {f"p={p}": functools.partial(_columns, p) for p in (2, 3, 5, 10, 20, 50)}
)
CHOSEN = ["n=1e2", "B=1e2", "B=1e2 censored", "d=4", "p=3"] if common.QUICK else list(WORKS)


class ScalingBeside:
    """``n``: a sample; ``B``: samples of 32; ``d``: a table's columns; ``p``: a regression's."""

    params, param_names = CHOSEN, ["case"]
    timeout = 900

    def setup_cache(self):
        return measured(WORKS, CHOSEN)

    track_seconds = told("seconds", "s")
    track_ns_each = told("ns each", "ns")
    track_times_numpy = times("numpy")


def _processors():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _threads():
    """1, 2, 4 and so on, and all."""
    most = _processors()
    return [n for n in (1, 2, 4, 8, 16, 32, 64) if n < most] + [most]


def _moments():
    x = common.normal(5 * 10**7)
    return lambda n: fastnat.fit_normal(x, n_threads=n)


def _censored():
    x = common.normal(10**6)
    limit = np.random.default_rng(1).normal(1.0, 0.3, x.size)
    return lambda n: fastnat.fit_normal(x, right=limit, n_threads=n)


def _batch():
    x = common.normal(10**5, 100)
    return lambda n: fastnat.fit_normal(x, left=-1.0, n_threads=n)


def _model():
    x = common.normal(10**6)
    return lambda n: fastnat.fit(fastnat.models.normal, x, n_threads=n)


def _regression():
    data = linear.scale_problem(1000 if common.QUICK else 200_000)
    return lambda n: fastnat.fit_linear(*data, n_threads=n)


def _mvn():
    x = common.normal(10**6, 20)
    return lambda n: fastnat.fit_mvn(x, n_threads=n)


PARALLEL = {
    "moments 5e7": _moments,
    "mvn 1e6 x 20": _mvn,
    "censored, own limits 1e6": _censored,
    "censored (1e5, 100)": _batch,
    "fit of a model 1e6": _model,
    "regression 2e5 x (20 + 5)": _regression,
}


class ThreadsBeside:
    """One thread's time over that of more."""

    params = [list(PARALLEL), [str(n) for n in _threads()]]
    param_names = ["case", "threads"]
    timeout = 900

    def setup_cache(self):
        found = {}
        for case, make in PARALLEL.items():
            fit = make()
            common.limit_threads(_processors())
            numbers = _threads()
            seconds = common.medians(*(functools.partial(fit, n) for n in numbers))
            common.limit_threads(1)
            found |= {f"{case} {n}": seconds[0] / t for n, t in zip(numbers, seconds, strict=True)}
        return found

    def track_times_one_thread(self, found, case, threads):
        return found[f"{case} {threads}"]

    track_times_one_thread.unit = "times as fast"
