"""Regressions on one thread, beside what else there is."""

import functools

import numpy as np
from scipy import special

import fastnat

from . import common, linear, observed
from .measuring import Timed, Work, largest, measured, times, told


def _fit(*args, **kwargs):
    return fastnat.fit_linear(*args, **({"n_threads": 1} | kwargs))


def _scale_score(fit, y, X, Z):
    unit = np.exp(-(Z @ fit.scale_coef))
    z = (y - X @ fit.coef) * unit
    return largest(np.concatenate([X.T @ (z * unit), Z.T @ (z * z - 1.0)]), fit.stderr)


def _scale(n):
    """Complete data, 20 columns for the mean and 5 for the scale."""
    data = y, X, Z = linear.scale_problem(observed.size(n))
    fit = _fit(*data)
    w = np.exp(-2.0 * (Z @ fit.scale_coef))
    nit = int(fit.nit)

    def more():
        """What an iteration takes beyond those before."""
        whole, short, gram, two, two_short = common.medians(
            lambda: _fit(*data, cov_type=None),
            lambda: _fit(*data, cov_type=None, max_iter=2),
            lambda: linear.numpy_gram(X, w),
            lambda: _fit(*data, cov_type=None, n_threads=2),
            lambda: _fit(*data, cov_type=None, max_iter=2, n_threads=2),
        )
        one, pair = (max(t / (nit - 2), 1e-12) for t in (whole - short, two - two_short))
        return {
            "iteration ns": 1e9 * one / n,
            "iteration times numpy gram": gram / one,
            "two threads times numpy gram": gram / pair,
            "iteration read fraction": common.medians(lambda: common.read(*data))[0] / one,
        }

    p, q = X.shape[1], Z.shape[1]
    return Work(
        lambda: _fit(*data),
        {"scoring by hand": lambda: linear.numpy_iteration(*data, *fit)},
        {"scoring by hand": nit},
        reads=data,
        flops=nit * len(y) * ((p + q) * (p + q + 1.0) + 6.0 * (p + q)),
        items=len(y) * nit,
        on_two_threads=lambda: _fit(*data, n_threads=2),
        score=lambda fit: _scale_score(fit, *data),
        more=more,
    )


SCALES = {
    "n=1e4, 20 + 5": functools.partial(_scale, 10**4),
    "n=1e6, 20 + 5": functools.partial(_scale, 10**6),
}


class Scale(Timed):
    """Covariates for the scale."""

    works, params, param_names = SCALES, common.few(SCALES), ["case"]

    def time_fit_linear(self, case):
        self.work.ours()


class ScaleBeside:
    params, param_names = common.few(SCALES), ["case"]
    timeout = 600

    def setup_cache(self):
        return measured(SCALES)

    track_ns_a_row_and_iteration = told("iteration ns", "ns")
    track_iteration_times_numpy_gram = told("iteration times numpy gram", "times as fast")
    track_iteration_fraction_of_reading = told("iteration read fraction", "of 1")
    track_two_threads_times_numpy_gram = told("two threads times numpy gram", "times as fast")
    track_times_scoring_by_hand = times("scoring by hand")
    track_two_threads = told("two threads", "times as fast")
    track_iterations = told("iterations")
    track_largest_score = told("score", "standard errors")
    track_fraction_of_dgemm = told("dgemm fraction", "of 1")
    track_gflops = told("gflops", "GFLOP/s")
    track_flops_a_byte = told("flops a byte")


def _tobit_score(fit, Y, X):
    sigma = np.asarray(fit.sigma)[..., None]
    z = (Y - fit.coef @ X.T) / sigma
    below = Y <= 0.0
    h = observed.hazard(np.where(below, fit.coef @ X.T / sigma, 0.0))
    of_mean = np.where(below, -h, z)
    of_log_sigma = np.where(below, h * (fit.coef @ X.T) / sigma, z * z - 1.0).sum(axis=-1)
    scores = np.column_stack([of_mean @ X / sigma, of_log_sigma])
    return largest(scores, fit.stderr)


def _tobit():
    """One design of 500 x 5 and many responses, a quarter of them censored."""
    Y, X = linear.tobit_problems(observed.size(50_000, 50))
    few = 3 if common.QUICK else 20

    def loop(peer):
        return lambda: [peer(y, X) for y in Y[:few]]

    peers = {
        "newton": loop(linear.tobit_by_newton),
        "lbfgs": loop(linear.tobit_by_lbfgs),
        "statsmodels": loop(linear.tobit_by_statsmodels),
    }
    return Work(
        lambda: _fit(Y, X, left=0.0),
        peers,
        dict.fromkeys(peers, len(Y) / few),
        items=len(Y),
        on_two_threads=lambda: _fit(Y, X, left=0.0, n_threads=2),
        score=lambda fit: _tobit_score(fit, Y, X),
    )


def _rounded():
    """The same responses, rounded down to whole numbers: no value is known."""
    Y, X = linear.tobit_problems(observed.size(5000, 50))
    low = np.floor(Y)
    few = 3 if common.QUICK else 20
    return Work(
        lambda: _fit(low, X, upper=low + 1.0),
        {"lbfgs": lambda: [linear.rounded_by_lbfgs(y, X) for y in low[:few]]},
        {"lbfgs": len(low) / few},
        items=len(low),
        on_two_threads=lambda: _fit(low, X, upper=low + 1.0, n_threads=2),
        score=lambda fit: _rounded_score(fit, low, X),
    )


def _rounded_score(fit, low, X):
    sigma = np.asarray(fit.sigma)[..., None]
    a = (low - fit.coef @ X.T) / sigma
    b = a + 1.0 / sigma
    p = special.ndtr(b) - special.ndtr(a)
    of_low, of_high = (np.exp(-0.5 * z * z - linear.LOG_ROOT) / p for z in (a, b))
    of_log_sigma = (a * of_low - b * of_high).sum(axis=-1)
    return largest(np.column_stack([(of_low - of_high) @ X / sigma, of_log_sigma]), fit.stderr)


def _least_squares(own_designs):
    """The same without censoring: a closed form."""
    n_fits = observed.size(2000 if own_designs else 50_000, 50)
    Y, X = linear.tobit_problems(n_fits)
    few = Y[: 5 if common.QUICK else 100]
    designs = np.repeat(X[None], n_fits, axis=0) if own_designs else X

    def sklearn():
        from sklearn.linear_model import LinearRegression

        return LinearRegression(fit_intercept=False).fit(X, Y.T)

    peers = {"statsmodels": lambda: linear.least_squares_by_statsmodels(few, X)}
    if not own_designs:
        peers |= {"numpy": lambda: linear.least_squares_by_numpy(Y, X), "sklearn": sklearn}
    return Work(
        lambda: _fit(Y, designs),
        peers,
        {"statsmodels": n_fits / len(few)},
        items=n_fits,
        on_two_threads=lambda: _fit(Y, designs, n_threads=2),
    )


MANY = {
    "(5e4, 500, 5)": functools.partial(_least_squares, False),
    "(2e3, 500, 5) own designs": functools.partial(_least_squares, True),
    "(5e4, 500, 5) Tobit": _tobit,
    "(5e3, 500, 5) rounded": _rounded,
}


class Many(Timed):
    """Many responses: (n_fits, n_obs, p)."""

    works, params, param_names = MANY, list(MANY), ["case"]

    def time_fit_linear(self, case):
        self.work.ours()


class ManyBeside:
    params, param_names = list(MANY), ["case"]
    timeout = 600

    def setup_cache(self):
        return measured(MANY, list(MANY))

    track_ns_a_problem = told("ns each", "ns")
    track_times_numpy = times("numpy")
    track_times_sklearn = times("sklearn")
    track_times_statsmodels = times("statsmodels")
    track_times_newton_by_hand = times("newton")
    track_times_lbfgs_by_hand = times("lbfgs")
    track_iterations = told("iterations")
    track_failures = told("failures")
    track_largest_score = told("score", "standard errors")
    track_two_threads = told("two threads", "times as fast")
