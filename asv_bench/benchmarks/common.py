"""Data, peers and interleaved measurements."""

import os
import statistics
import time

import numba
import numpy as np
import threadpoolctl

QUICK = os.environ.get("FASTNAT_BENCH_QUICK") == "1"
"""Small data, for a smoke run: whether benchmarks work, not what they measure."""


def limit_threads(n):
    """Let NumPy's BLAS and numbagg use n threads."""
    global _n_threads
    threadpoolctl.threadpool_limits(n)
    _n_threads = n


limit_threads(1)

# ---- data ------------------------------------------------------------------------------------


def few(cases):
    """Names of cases, or the first one in a smoke run."""
    return list(cases)[:1] if QUICK else list(cases)


def normal(*shape):
    """Standard normal numbers of this shape, or of a small one in a smoke run."""
    shape = tuple(min(n, 1000) for n in shape) if QUICK else shape
    return np.random.default_rng(1).standard_normal(shape)


def with_nans(x):
    """A copy in which one value in ten is missing."""
    return np.where(np.random.default_rng(2).random(x.shape) < 0.1, np.nan, x)


def weights_for(x):
    """Small positive integers."""
    return np.random.default_rng(3).integers(1, 5, x.shape).astype(np.float64)


# The heat of hardening cement with entries removed: Draper and Smith; Little and Rubin (1987).
CEMENT = np.array(
    [
        [7.0, 26.0, 6.0, 60.0, 78.5],
        [1.0, 29.0, 15.0, 52.0, 74.3],
        [11.0, 56.0, 8.0, 20.0, 104.3],
        [11.0, 31.0, 8.0, 47.0, 87.6],
        [7.0, 52.0, 6.0, 33.0, 95.9],
        [11.0, 55.0, 9.0, 22.0, 109.2],
        [3.0, 71.0, 17.0, np.nan, 102.7],
        [1.0, 31.0, 22.0, np.nan, 72.5],
        [2.0, 54.0, 18.0, np.nan, 93.1],
        [np.nan, np.nan, 4.0, np.nan, 115.9],
        [np.nan, np.nan, 23.0, np.nan, 83.8],
        [np.nan, np.nan, 9.0, np.nan, 113.3],
        [np.nan, np.nan, 8.0, np.nan, 109.4],
    ]
)

# ---- peers: imported where they are called, for a process needs a few of them only -------------


def numpy_fit(x, axis=-1):
    return np.mean(x, axis=axis), np.std(x, axis=axis)


def numpy_nan_fit(x, axis=-1):
    return np.nanmean(x, axis=axis), np.nanstd(x, axis=axis)


def numpy_weighted_fit(x, w, axis=-1):
    mean = np.average(x, axis=axis, weights=w, keepdims=True)
    return mean, np.average((x - mean) ** 2, axis=axis, weights=w)


def numpy_four_moments(x, axis=-1):
    mean = np.mean(x, axis=axis, keepdims=True)
    d = x - mean
    d2 = d * d
    return mean, *(np.mean(power, axis=axis) for power in (d2, d2 * d, d2 * d2))


def numpy_mvn(x):
    """Means and covariances of (..., n, d)."""
    mean = x.mean(axis=-2)
    d = x - mean[..., None, :]
    return mean, np.matmul(d.swapaxes(-1, -2), d) / x.shape[-2]


def numpy_em(x, tol=1e-10, max_iter=10_000):
    """Expectation-maximisation for missing entries by patterns, until the log-likelihood rests.

    As R's norm and its ports do it; no standard errors.
    """
    n, d = x.shape
    known = ~np.isnan(x)
    patterns, which = np.unique(known, axis=0, return_inverse=True)
    mean, cov = np.nanmean(x, axis=0), np.diag(np.nanvar(x, axis=0))
    before = -np.inf
    for _ in range(max_iter):
        total, second, loglik = np.zeros(d), np.zeros((d, d)), 0.0
        for k, o in enumerate(patterns):
            rows = x[which.reshape(-1) == k]
            filled = np.tile(mean, (len(rows), 1))
            r = rows[:, o] - mean[o]
            part = cov[np.ix_(o, o)]
            coefs = np.linalg.solve(part, cov[o])
            filled += r @ coefs
            total += filled.sum(axis=0)
            second += filled.T @ filled + len(rows) * (cov - cov[:, o] @ coefs)
            squares = np.sum(r * np.linalg.solve(part, r.T).T)
            loglik -= 0.5 * (len(rows) * np.linalg.slogdet(2 * np.pi * part)[1] + squares)
        mean = total / n
        cov = second / n - np.outer(mean, mean)
        if loglik - before < tol * abs(loglik):
            break
        before = loglik
    return mean, cov


def bottleneck_fit(x, axis=-1):
    import bottleneck

    return bottleneck.nanmean(x, axis=axis), bottleneck.nanstd(x, axis=axis)


def numbagg_fit(x, axis=-1):
    import numbagg

    numba.set_num_threads(_n_threads)  # starts them, so not before asv has forked
    return numbagg.nanmean(x, axis=axis), numbagg.nanstd(x, axis=axis, ddof=0)


def read(*arrays):
    """Read arrays from end to end: the fastest of the sums tried, over NumPy's and numba's."""
    for x in arrays:
        np.dot(x.reshape(-1), x.reshape(-1))


# ---- measurements ----------------------------------------------------------------------------


BUDGET = 4.0
"""Seconds that turns may take before there are fewer of them, three at least."""


def medians(*functions, rounds=9, budget=BUDGET):
    """Median seconds of a call of each function; they take turns, so all see the same noise."""
    if QUICK:
        return [_seconds_of(function, 1) for function in functions]
    numbers, turn = [], 0.0
    for function in functions:
        function()  # compiles, and touches the data
        once = _seconds_of(function, 1)
        numbers.append(max(1, int(0.005 / once)))
        turn += once * numbers[-1]
    seconds = [[] for _ in functions]
    for _ in range(max(3, min(rounds, int(budget / turn)))):
        for function, number, measured in zip(functions, numbers, seconds, strict=True):
            if number > 1:
                function()  # fetches what the others have put out of the caches
            measured.append(_seconds_of(function, number))
    return [statistics.median(measured) for measured in seconds]


def _seconds_of(function, number):
    start = time.perf_counter()
    for _ in range(number):
        function()
    return (time.perf_counter() - start) / number


def difference(longer, shorter, pairs=500):
    """Median seconds that one function takes more than another, of neighbouring calls.

    Medians of each differ by the drift of the machine as well, which may be as large.
    """
    functions = longer, shorter
    for function in functions:
        function()
    seconds = [[_seconds_of(f, 1) for f in functions] for _ in range(1 if QUICK else pairs)]
    return statistics.median(long - short for long, short in seconds)


def ratio(peer, ours):
    """How many times longer the peer takes."""
    theirs, mine = medians(peer, ours)
    return theirs / mine
