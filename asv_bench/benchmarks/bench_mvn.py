"""The multivariate normal on one thread, beside NumPy, scikit-learn, and EM for missing entries."""

import functools

import numpy as np

import fastnat

from . import common, observed
from .measuring import Timed, Work, fraction, measured, times, told


def _fit(*args, **kwargs):
    return fastnat.fit_mvn(*args, **({"n_threads": 1} | kwargs))


def _table(d, n=10**6):
    """One long table; `np.cov` has no mean, no rank and no log-likelihood."""
    x = common.normal(n, d) + 1000.0

    def sklearn():
        from sklearn.covariance import EmpiricalCovariance

        return EmpiricalCovariance(store_precision=False).fit(x)

    return Work(
        lambda: _fit(x),
        {"numpy": lambda: np.cov(x.T), "sklearn": sklearn},
        reads=(x,),
        flops=len(x) * (d * (d + 1.0) + 3.0 * d),
        items=len(x),
    )


def _batch(n_fits):
    x = common.normal(n_fits, 100, 3)
    peers = {"numpy": lambda: common.numpy_mvn(x)}
    flops = x.shape[0] * x.shape[1] * (12.0 + 9.0)
    return Work(lambda: _fit(x), peers, reads=(x,), flops=flops, items=len(x))


TABLES = {
    "(1, 1e6, 2)": functools.partial(_table, 2),
    "(1, 1e6, 3)": functools.partial(_table, 3),
    "(1, 1e6, 5)": functools.partial(_table, 5),
    "(1, 1e6, 20)": functools.partial(_table, 20),
    "(1, 3e5, 100)": functools.partial(_table, 100, 300_000),
    "(1e5, 100, 3)": functools.partial(_batch, 10**5),
}


class Tables(Timed):
    """(n_fits, n_obs, d)."""

    works, params, param_names = TABLES, common.few(TABLES), ["case"]

    def time_fit_mvn(self, case):
        self.work.ours()


class TablesBeside:
    params, param_names = common.few(TABLES), ["case"]
    timeout = 600

    def setup_cache(self):
        return measured(TABLES)

    track_ns_each = told("ns each", "ns")
    track_times_numpy = times("numpy")
    track_times_sklearn = times("sklearn")
    track_fraction_of_reading = fraction("read")
    track_fraction_of_dgemm = fraction("dgemm")
    track_gflops = told("gflops", "GFLOP/s")
    track_flops_a_byte = told("flops a byte")


def _missing_score(x, means, covariances):
    """For the mean and a root L of the covariance, in units of their natural metric."""
    largest = 0.0
    for rows, mean, cov in zip(x, means, covariances, strict=True):
        of_mean, of_cov = np.zeros(len(mean)), np.zeros_like(cov)
        for row in rows:
            o = ~np.isnan(row)
            r = np.linalg.solve(cov[np.ix_(o, o)], row[o] - mean[o])
            of_mean[o] += r
            of_cov[np.ix_(o, o)] += np.outer(r, r) - np.linalg.inv(cov[np.ix_(o, o)])
        root = np.linalg.cholesky(cov)
        both = [root.T @ of_mean, np.tril(root.T @ of_cov @ root).reshape(-1)]
        largest = max(largest, np.max(np.abs(np.concatenate(both))) / np.sqrt(len(rows)))
    return largest


def _cement():
    """Draper and Smith's, 13 x 5, whose missing entries are nested."""
    x = common.CEMENT
    return Work(
        lambda: _fit(x, nan_policy="mle"),
        {"em": lambda: common.numpy_em(x)},
        score=lambda fit: _missing_score(x[None], fit.mean[None], fit.covariance[None]),
    )


def _many_missing(n_fits):
    x = common.normal(observed.size(n_fits, 50), 40, 3)
    x[np.random.default_rng(1).random(x.shape) < 0.2] = np.nan
    few = x[: 2 if common.QUICK else 20]

    def pystatistics():
        from pystatistics.mvnmle import mlest

        # It refuses empty rows, which change nothing.
        return [mlest(one[~np.isnan(one).all(axis=1)], method="em", tol=1e-8) for one in few]

    peers = {"em": lambda: [common.numpy_em(one) for one in few], "pystatistics": pystatistics}
    return Work(
        lambda: _fit(x, nan_policy="mle"),
        peers,
        dict.fromkeys(peers, len(x) / len(few)),
        items=len(x),
        on_two_threads=lambda: _fit(x, nan_policy="mle", n_threads=2),
        score=lambda fit: _missing_score(x[:20], fit.mean[:20], fit.covariance[:20]),
    )


MISSING = {"(1, 13, 5) cement": _cement, "(1e4, 40, 3)": functools.partial(_many_missing, 10**4)}


class Missing(Timed):
    """Missing entries: (n_fits, n_obs, d)."""

    works, params, param_names = MISSING, list(MISSING), ["case"]

    def time_fit_mvn(self, case):
        self.work.ours()


class MissingBeside:
    params, param_names = list(MISSING), ["case"]
    timeout = 600

    def setup_cache(self):
        return measured(MISSING, list(MISSING))

    track_ns_a_problem = told("ns each", "ns")
    track_times_em_by_hand = times("em")
    track_times_pystatistics = times("pystatistics")
    track_iterations = told("iterations")
    track_failures = told("failures")
    track_largest_score = told("score", "natural units")
    track_two_threads = told("two threads", "times as fast")
