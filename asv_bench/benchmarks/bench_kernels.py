"""Building blocks that users call from kernels of theirs."""

import numpy as np

from fastnat import kernels

from . import common

SIZES = ["2", "8", "50"]


class Dense:
    """One symmetric system of p equations, by a call each from Python."""

    params, param_names = common.few(SIZES), ["p"]

    def setup(self, p):
        p = int(p)
        root = np.random.default_rng(4).standard_normal((p, p + 2))
        self.matrix = root @ root.T + 0.1 * np.eye(p)
        self.vector = np.ones(p)
        self.a, self.b, self.step = self.matrix.copy(), self.vector.copy(), np.empty(p)
        self.lower, self.step_root = np.linalg.cholesky(self.matrix), np.empty((p, p))
        self.factor = self.matrix.copy()
        kernels.cholesky(self.factor)
        self._factor_and_solve()
        self.time_natural_step(p)
        self.time_natural_step_mvn(p)
        self.time_log_det(p)
        np.testing.assert_allclose(self.b, np.linalg.solve(self.matrix, self.vector), rtol=1e-6)

    def _factor_and_solve(self):
        self.a[:], self.b[:] = self.matrix, self.vector
        kernels.cholesky(self.a)
        kernels.cholesky_solve(self.a, self.b)

    def _numpy(self):
        np.linalg.solve(self.matrix, self.vector)

    def time_cholesky_and_solve(self, p):
        self._factor_and_solve()

    def time_natural_step(self, p):
        self.a[:] = self.matrix
        kernels.natural_step(self.a, self.vector, 0.0, self.step)

    def time_natural_step_mvn(self, p):
        kernels.natural_step_mvn(self.lower, self.vector, self.matrix, self.step, self.step_root)

    def time_log_det(self, p):
        kernels.log_det(self.factor)

    def track_times_numpy(self, p):
        return common.ratio(self._numpy, self._factor_and_solve)


class Ascent:
    """A quadratic function of 5 parameters, told to the ascent by Python."""

    def setup(self):
        self.metric = np.diag(np.arange(1.0, 6.0))
        self.state = np.empty(kernels.ascent.state_size(5))
        self._ascend()

    def _ascend(self):
        theta = np.ones(5)
        kernels.ascent.start(self.state, theta, 1.0, 1e-12, 1e-14, 50)
        code = kernels.ascent.RUNNING
        while code == kernels.ascent.RUNNING:
            gradient = -self.metric @ theta
            value = 0.5 * float(gradient @ theta)
            code = kernels.ascent.advance(self.state, value, gradient, self.metric.copy(), theta)
        return theta

    def time_ascent(self):
        self._ascend()


class Root:
    """The square root of two, told to the root by Python, beside SciPy's brentq."""

    def setup(self):
        from scipy import optimize

        self.brentq = optimize.brentq
        self.state = np.empty(kernels.root.SIZE)
        self._find()

    def _find(self):
        x = kernels.root.start(self.state, 0.0, 2.0, True)
        while x == x:
            x = kernels.root.advance(self.state, x * x - 2.0, 2.0 * x)
        return self.state[kernels.root.ROOT]

    def time_root(self):
        self._find()

    def track_times_scipy(self):
        return common.ratio(
            lambda: self.brentq(lambda x: x * x - 2.0, 0.0, 2.0, xtol=1e-15), self._find
        )
