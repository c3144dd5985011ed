"""Values that are not fully known, on one thread, beside what else there is."""

import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats

import fastnat
from fastnat import special

from . import common


def _fit(*args, **kwargs):
    return fastnat.fit_normal(*args, n_threads=1, **kwargs)


class Tail:
    """4096 numbers between -5 and 5: they stay in the first-level cache."""

    params = ["hazard", "log_ndtr"]
    param_names = ["function"]
    peers = {
        "hazard": lambda x: np.sqrt(2.0 / np.pi) / scipy.special.erfcx(x / np.sqrt(2.0)),
        "log_ndtr": scipy.special.log_ndtr,
    }

    def setup(self, function):
        self.x = np.random.default_rng(1).uniform(-5.0, 5.0, 4096)
        self.ours, self.theirs = getattr(special, function), self.peers[function]
        self.ours(self.x)

    def time_fastnat(self, function):
        self.ours(self.x)

    def track_ratio_scipy(self, function):
        return common.ratio(lambda: self.theirs(self.x), lambda: self.ours(self.x))


def _censored_by_scipy(x, limit):
    """`scipy.stats.norm.fit`, which takes a limit for every observation."""
    beyond = x >= limit
    data = scipy.stats.CensoredData(uncensored=x[~beyond], right=limit[beyond])
    return scipy.stats.norm.fit(data)


def _censored_by_hand(x, limit):
    """L-BFGS-B on the log-likelihood and its gradient, as one would write it with NumPy."""
    beyond = x >= limit
    exact, limits = x[~beyond], limit[beyond]

    def _objective(theta):
        mu, sigma = theta[0], np.exp(theta[1])
        z, a = (exact - mu) / sigma, (limits - mu) / sigma
        log_tail = scipy.special.log_ndtr(-a)
        hazard = np.exp(-0.5 * a * a - 0.9189385332046727 - log_tail)
        value = 0.5 * np.sum(z * z) + exact.size * theta[1] - np.sum(log_tail)
        of_log_sigma = exact.size - np.sum(z * z) - np.sum(a * hazard)
        return value, np.array([-(np.sum(z) + np.sum(hazard)) / sigma, of_log_sigma])

    start = [x.mean(), np.log(x.std())]
    options = {"ftol": 1e-15, "gtol": 1e-8 * x.size}
    return scipy.optimize.minimize(_objective, start, jac=True, method="L-BFGS-B", options=options)


class Censored:
    """A quarter of the values or so is beyond a limit."""

    params = common.few({"1000": 0, "1e5": 0, "1e6": 0})
    param_names = ["n"]
    timeout = 300

    def setup(self, n):
        n = int(float(n)) if not common.QUICK else 1000
        rng = np.random.default_rng(1)
        self.y = rng.normal(2.0, 3.0, n)
        self.limit = rng.normal(4.0, 1.0, n)
        self.x = np.minimum(self.y, self.limit)
        self._own()
        self._common()

    def _own(self):
        return _fit(self.x, right=self.limit)

    def _common(self):
        return _fit(self.y, right=4.0)

    def time_own_limits(self, n):
        self._own()

    def time_common_limit(self, n):
        self._common()

    def track_own_limits_ratio_scipy(self, n):
        return common.ratio(lambda: _censored_by_scipy(self.x, self.limit), self._own)

    def track_own_limits_ratio_by_hand(self, n):
        return common.ratio(lambda: _censored_by_hand(self.x, self.limit), self._own)

    def track_common_limit_ratio_scipy(self, n):
        limit = np.full(self.y.size, 4.0)
        return common.ratio(lambda: _censored_by_scipy(self.y, limit), self._common)

    def track_common_limit_over_moments(self, n):
        """The time of a censored fit over that of a plain one."""
        return common.ratio(self._common, lambda: _fit(self.y))


class Batches:
    """Many problems at once."""

    def setup(self):
        rng = np.random.default_rng(1)
        n_fits = 1000 if common.QUICK else 100_000
        self.x = rng.normal(2.0, 3.0, (n_fits, 100))
        self.limit = rng.uniform(0.0, 2.0, (n_fits, 1))
        self.std = rng.gamma(2.0, 0.5, (2 * n_fits, 20))
        self.noisy = rng.normal(size=self.std.shape) * np.sqrt(0.3 + self.std**2)
        self.time_limit_per_problem()
        _fit(self.noisy[:2], noise_std=self.std[:2])

    def time_limit_per_problem(self):
        _fit(self.x, left=self.limit)

    def time_truncation(self):
        _fit(self.x[:1000], truncation=(-20.0, 20.0))

    def time_noise(self):
        _fit(self.noisy, noise_std=self.std)

    def track_noise_ratio_pymare(self):
        from pymare.estimators import VarianceBasedLikelihoodEstimator

        y, v = self.noisy.T.copy(), (self.std**2).T.copy()
        ones = np.ones((20, 1))
        peer = VarianceBasedLikelihoodEstimator(method="ml")
        return common.ratio(lambda: peer.fit(y=y, v=v, X=ones), self.time_noise)
