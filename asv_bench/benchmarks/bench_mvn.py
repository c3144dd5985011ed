"""The multivariate normal on one thread, beside NumPy, and EM for missing entries."""

import numpy as np

import fastnat

from . import common


def _fit(*args, **kwargs):
    return fastnat.fit_mvn(*args, n_threads=1, **kwargs)


class Complete:
    """One long table; `np.cov` has no mean, no rank and no log-likelihood."""

    params = common.few({"2": 0, "3": 0, "5": 0, "20": 0, "100": 0})
    param_names = ["d"]
    timeout = 300

    def setup(self, d):
        d = int(d)
        n = 1000 if common.QUICK else 500_000 if d == 100 else 1_000_000
        self.x = common.normal(n, d) + 1000.0
        _fit(self.x)

    def time_fit(self, d):
        _fit(self.x)

    def track_ratio_cov(self, d):
        return common.ratio(lambda: np.cov(self.x.T), lambda: _fit(self.x))


class Batch:
    """100,000 tables of 100 rows and 3 columns."""

    def setup(self):
        self.x = common.normal(100 if common.QUICK else 100_000, 100, 3)
        _fit(self.x)

    def time_fit(self):
        _fit(self.x)

    def track_ratio_matmul(self):
        return common.ratio(lambda: common.numpy_mvn(self.x), lambda: _fit(self.x))


class Missing:
    """Draper and Smith's cement, whose missing entries are nested, and many small tables."""

    def setup(self):
        self.cement = common.CEMENT
        rng = np.random.default_rng(1)
        self.small = common.normal(100 if common.QUICK else 10_000, 40, 3)
        self.small[rng.random(self.small.shape) < 0.2] = np.nan
        _fit(self.cement, nan_policy="mle")

    def time_cement(self):
        _fit(self.cement, nan_policy="mle")

    def time_many(self):
        _fit(self.small, nan_policy="mle")

    def track_cement_ratio_em(self):
        peer = lambda: common.numpy_em(self.cement)  # noqa: E731
        return common.ratio(peer, lambda: _fit(self.cement, nan_policy="mle"))

    def track_many_ratio_em(self):
        """The peer takes the first fifty."""
        peer = lambda: [common.numpy_em(x) for x in self.small[:50]]  # noqa: E731
        theirs, ours = common.medians(peer, self.time_many, rounds=3)
        return theirs / 50 / (ours / len(self.small))


class NaturalStep:
    """The closed form for a mean and a root of a covariance, d = 50."""

    def setup(self):
        root = np.tril(common.normal(50, 50)) + 10.0 * np.eye(50)
        self.arguments = root, np.ones(50), np.ones((50, 50)), np.empty(50), np.empty((50, 50))
        fastnat.kernels.natural_step_mvn(*self.arguments)

    def time_step(self):
        fastnat.kernels.natural_step_mvn(*self.arguments)
