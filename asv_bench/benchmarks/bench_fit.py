"""`fit` of a user's model and `steepest_descent`, on one thread, beside SciPy and statsmodels."""

import functools

import numpy as np

import fastnat

from . import common, engine
from .measuring import Timed, Work, largest, measured, times, told


def _by_scipy(x):
    from scipy import optimize

    def loss(theta):
        unit = np.exp(-theta[1])
        z = (x - theta[0]) * unit
        value = 0.5 * np.sum(z * z) + theta[1] * x.size
        return value, np.array([-unit * np.sum(z), x.size - np.sum(z * z)])

    return optimize.minimize(loss, np.zeros(2), jac=True, method="BFGS")


def _by_statsmodels(x):
    from statsmodels.base.model import GenericLikelihoodModel

    class Normal(GenericLikelihoodModel):
        def loglike(self, params):
            z = (self.endog - params[0]) * np.exp(-params[1])
            return np.sum(-0.5 * z * z - params[1])

        def score(self, params):
            unit = np.exp(-params[1])
            z = (self.endog - params[0]) * unit
            return np.array([np.sum(z) * unit, np.sum(z * z) - z.size])

    model = Normal(x, np.ones((x.size, 1)), extra_params_names=["log_sigma"])
    return model.fit(start_params=np.zeros(2), method="bfgs", disp=0, skip_hessian=True)


def _score(fit, x):
    mu, log_sigma = (fit.params[..., k, None] for k in (0, 1))
    unit = np.exp(-log_sigma)
    z = (x - mu) * unit
    scores = np.stack([np.sum(z * unit, axis=-1), np.sum(z * z - 1.0, axis=-1)], axis=-1)
    return largest(scores, fit.stderr)


def _normal(*shape):
    x = common.normal(*shape)
    one = x.reshape(-1, x.shape[-1])[0]
    n_fits = x.size // one.size
    peers = {"scipy": lambda: _by_scipy(one)}
    if one.size < 10**6:
        peers["statsmodels"] = lambda: _by_statsmodels(one)

    def fit(n_threads=1):
        return fastnat.fit(fastnat.models.normal, x, n_threads=n_threads)

    return Work(
        fit,
        peers,
        dict.fromkeys(peers, n_fits),  # one of the problems is given to them
        items=n_fits,
        on_two_threads=lambda: fit(2),
        score=lambda fit: _score(fit, x),
    )


WORKS = {
    "(1e4, 100)": functools.partial(_normal, 10**4, 100),
    "(1e5, 20)": functools.partial(_normal, 10**5, 20),
    "n=1e6": functools.partial(_normal, 10**6),
}


class Fit(Timed):
    """The article's Gaussian as a user's model: (n_fits, n_obs)."""

    works, params, param_names = WORKS, common.few(WORKS), ["case"]

    def time_fit(self, case):
        self.work.ours()


class FitBeside:
    params, param_names = common.few(WORKS), ["case"]
    timeout = 600

    def setup_cache(self):
        return measured(WORKS)

    track_ns_a_problem = told("ns each", "ns")
    track_times_scipy = times("scipy")
    track_times_statsmodels = times("statsmodels")
    track_iterations = told("iterations")
    track_failures = told("failures")
    track_largest_score = told("score", "standard errors")
    track_two_threads = told("two threads", "times as fast")


class Descent:
    """Rosenbrock's function under the Gauss-Newton metric, beside SciPy's BFGS."""

    def setup(self):
        assert self._descend().success

    def _descend(self):
        return fastnat.steepest_descent(
            engine.rosenbrock,
            engine.rosenbrock_gradient,
            [-1.2, 1.0],
            metric=engine.rosenbrock_metric,
            line_search=True,
        )

    def _scipy(self):
        from scipy import optimize

        return optimize.minimize(
            engine.rosenbrock, [-1.2, 1.0], jac=engine.rosenbrock_gradient, method="BFGS"
        )

    def time_steepest_descent(self):
        self._descend()

    def track_iterations(self):
        return self._descend().nit

    def track_times_scipy(self):
        return common.ratio(self._scipy, self._descend)
