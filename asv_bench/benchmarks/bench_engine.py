"""Scores to Fisher matrix, Cholesky, and whole fits of a user's model, on one thread."""

import numpy as np
from scipy import optimize

import fastnat

from . import common, engine


class FisherMatrix:
    """In nanoseconds an observation: 1e6 of them."""

    params = common.few([2, 4, 8, 20])
    param_names = ["p"]

    def setup(self, p):
        self.case = engine.Fisher(p, 10**6 if p < 8 else 2 * 10**5)
        for ours, theirs in zip(self.case.ours(), self.case.numpy(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-6)

    def time_evaluate(self, p):
        self.case.ours()

    def time_numpy(self, p):
        self.case.numpy()

    def track_ratio_numpy(self, p):
        return common.ratio(self.case.numpy, self.case.ours)

    def track_ns_an_observation(self, p):
        return 1e9 * common.medians(self.case.ours)[0] / len(self.case.data[0])


class CholeskyMany:
    params = common.few([2, 3, 4, 8, 20])
    param_names = ["p"]

    def setup(self, p):
        self.case = engine.Cholesky(p, 200_000 if p < 8 else 20_000)
        np.testing.assert_allclose(self.case.ours(), self.case.numpy(), rtol=1e-6, atol=1e-6)

    def time_solve(self, p):
        self.case.ours()

    def time_numpy(self, p):
        self.case.numpy()

    def track_ratio_numpy(self, p):
        return common.ratio(self.case.numpy, self.case.ours)


class FitModel:
    """The article's Gaussian as a user's model: many short samples, or a long one."""

    shapes = {"1e6": (10**6,), "1e4x100": (10**4, 100), "1e5x20": (10**5, 20)}
    params = common.few(shapes)
    param_names = ["shape"]

    def setup(self, shape):
        self.x = common.normal(*self.shapes[shape])
        self._fit()

    def _fit(self):
        return fastnat.fit(fastnat.models.normal, self.x, n_threads=1)

    def _scipy(self):
        """One of the problems."""
        x = self.x.reshape(-1, self.x.shape[-1])[0]

        def _loss(theta):
            unit = np.exp(-theta[1])
            z = (x - theta[0]) * unit
            value = 0.5 * np.sum(z * z) + theta[1] * x.size
            return value, np.array([-unit * np.sum(z), x.size - np.sum(z * z)])

        return optimize.minimize(_loss, np.zeros(2), jac=True, method="BFGS")

    def time_fit(self, shape):
        self._fit()

    def track_iterations(self, shape):
        return float(np.mean(self._fit().nit))

    def track_ratio_scipy(self, shape):
        """Against a loop over the problems, one of which is timed."""
        n_fits = self.x.size // self.x.shape[-1]
        return n_fits * common.ratio(self._scipy, self._fit)


class Descent:
    """Rosenbrock's function under the Gauss-Newton metric, beside SciPy's BFGS."""

    def _descend(self):
        return fastnat.steepest_descent(
            engine.rosenbrock,
            engine.rosenbrock_gradient,
            [-1.2, 1.0],
            metric=engine.rosenbrock_metric,
            line_search=True,
        )

    def _scipy(self):
        return optimize.minimize(
            engine.rosenbrock, [-1.2, 1.0], jac=engine.rosenbrock_gradient, method="BFGS"
        )

    def setup(self):
        assert self._descend().success

    def time_steepest_descent(self):
        self._descend()

    def time_scipy(self):
        self._scipy()

    def track_iterations(self):
        return self._descend().nit
