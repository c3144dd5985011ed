"""Regressions on one thread, beside what else there is."""

import numpy as np

import fastnat

from . import common, linear


def _fit(*args, **kwargs):
    return fastnat.fit_linear(*args, **({"n_threads": 1} | kwargs))


class Scale:
    """Complete data, 20 columns for the mean and 5 for the scale."""

    params = common.few({"1e4": 0, "1e6": 0})
    param_names = ["n"]
    timeout = 300

    def setup(self, n):
        n = 1000 if common.QUICK else int(float(n))
        self.data = linear.scale_problem(n)
        fit = _fit(*self.data)
        self.at, self.nit = (fit.coef, fit.scale_coef), int(fit.nit)
        self.weights = np.exp(-2.0 * (self.data[2] @ fit.scale_coef))

    def _whole(self):
        return _fit(*self.data)

    def time_fit(self, n):
        self._whole()

    def track_iteration_ratio_numpy_gram(self, n):
        """An iteration of NumPy's product of matrices alone over one of ours (all of it)."""
        gram = lambda: linear.numpy_gram(self.data[1], self.weights)  # noqa: E731
        return self.nit * common.ratio(gram, self._whole)

    def track_iteration_ratio_numpy(self, n):
        """The same for an iteration of Fisher scoring as one would write it."""
        step = lambda: linear.numpy_iteration(*self.data, *self.at)  # noqa: E731
        return self.nit * common.ratio(step, self._whole)

    def track_two_threads_ratio(self, n):
        return common.ratio(self._whole, lambda: _fit(*self.data, n_threads=2))


class Tobit:
    """One design of 500 x 5 and many responses, a quarter of them censored."""

    timeout = 600

    def setup(self):
        self.Y, self.X = linear.tobit_problems(100 if common.QUICK else 100_000)
        _fit(self.Y[:10], self.X, left=0.0)

    def _all(self):
        return _fit(self.Y, self.X, left=0.0)

    def time_tobit(self):
        self._all()

    def time_tobit_with_sandwich(self):
        _fit(self.Y, self.X, left=0.0, cov_type="sandwich")

    def track_ratio_newton_by_hand(self):
        (ours,) = common.medians(self._all, rounds=3)
        each = linear.seconds_of_loop(linear.tobit_by_newton, self.Y, self.X)
        return each * len(self.Y) / ours

    def track_ratio_lbfgs_by_hand(self):
        (ours,) = common.medians(self._all, rounds=3)
        each = linear.seconds_of_loop(linear.tobit_by_lbfgs, self.Y, self.X)
        return each * len(self.Y) / ours

    def track_two_threads_ratio(self):
        return common.ratio(self._all, lambda: _fit(self.Y, self.X, left=0.0, n_threads=2))


class LeastSquares:
    """The same without censoring: a closed form."""

    def setup(self):
        self.Y, self.X = linear.tobit_problems(100 if common.QUICK else 20_000)
        _fit(self.Y[:10], self.X)

    def _all(self):
        return _fit(self.Y, self.X)

    def time_least_squares(self):
        self._all()

    def time_least_squares_own_designs(self):
        some = self.Y[:1000]
        _fit(some, np.broadcast_to(self.X, (len(some), *self.X.shape)))

    def track_ratio_numpy(self):
        return common.ratio(lambda: linear.least_squares_by_numpy(self.Y, self.X), self._all)
