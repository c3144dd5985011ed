"""Models and peers of the engine's benchmarks."""

import functools
import importlib.util
import math

import numpy as np

import fastnat
from fastnat import _compile
from fastnat.kernels import cholesky_many, cholesky_solve_many, fisher, likelihood, search

from . import common

BLOCK = fisher.BLOCK
STRIDE = getattr(fisher, "STRIDE", BLOCK)  # before d7e0082 rows had no gap


def linear_model(p):
    """log N(y; b1 x1 + ... , sigma = 1) of p - 1 covariates and a scale: (loglik, score).

    The source is made for p, for models name their arguments.
    """
    x = [f"x{k}" for k in range(1, p)]
    b = [f"b{k}" for k in range(1, p)]
    arguments = ", ".join(["y", *x, *b, "s"])
    mean = " + ".join(f"{v} * {w}" for v, w in zip(b, x, strict=True)) or "s"
    scores = ", ".join([*(f"z * {v}" for v in x), "z * z - 1.0"])
    source = (
        f"def loglik({arguments}):\n z = y - ({mean})\n return -0.5 * z * z - s\n"
        f"def score({arguments}):\n z = y - ({mean})\n return ({scores},)\n"
    )
    made = {}
    exec(source, made)
    return made["loglik"], made["score"]


def _evaluator(functions, p, columns):
    """What evaluates a model, given data and a point."""
    model = _compile.compiled(*functions, None, p, columns)
    if hasattr(model, "evaluate"):  # before 88cb39d each model had its own
        return model.evaluate
    return functools.partial(likelihood.evaluate, likelihood.places_of(*model, columns))


class Fisher:
    """Log-likelihood, gradient and empirical Fisher matrix of n observations; and by NumPy.

    p = 2 is the article's Gaussian, larger p a linear model.
    """

    def __init__(self, p, n):
        self.p = p
        if p == 2:
            model = fastnat.models.normal
            functions, columns = (model.loglik, model.score), 1
        else:
            functions, columns = linear_model(p), p
        self.evaluate = _evaluator(functions, p, columns)
        self.data = tuple(common.normal(columns, n))
        self.theta = np.full(p, 0.1)
        self.scratch = likelihood.make_scratch(p)[:2]
        self.told = np.empty(p + 1 + p * p)
        self.rows = np.ascontiguousarray(np.array(self.data).T)  # as NumPy's users have them
        # No weights, and no NaN left out; before there was a second look, kernels had None for it.
        before = importlib.util.find_spec("fastnat.kernels.second_look") is None
        self.unweighted = (None, None) if before else (np.empty(0), False)

    def ours(self):
        n = len(self.data[0])
        arguments = (self.theta, *self.scratch, self.told)
        self.evaluate(self.data, *self.unweighted, 0, n, search.OUTER, *arguments)
        return self.told[: self.p], self.told[self.p + 1 :].reshape(self.p, self.p)

    def numpy(self):
        if self.p == 2:
            mu, log_sigma = self.theta
            unit = math.exp(-log_sigma)
            z = (self.data[0] - mu) * unit
            scores = np.stack([z * unit, z * z - 1.0], axis=1)
        else:
            x = self.rows[:, 1:]
            z = self.rows[:, 0] - x @ self.theta[:-1]
            scores = np.empty((len(z), self.p))
            np.multiply(x, z[:, None], out=scores[:, :-1])
            scores[:, -1] = z * z - 1.0
        return scores.sum(axis=0), scores.T @ scores


class Cholesky:
    """Many small positive definite systems; and by `numpy.linalg.solve`."""

    def __init__(self, p, n):
        rng = np.random.default_rng(4)
        n = min(n, 100) if common.QUICK else n
        root = rng.standard_normal((n, p, p + 2))
        self.a = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(p)
        self.b = rng.standard_normal((n, p, 1))
        self.a_lanes = np.ascontiguousarray(self.a.transpose(1, 2, 0))
        self.b_lanes = np.ascontiguousarray(self.b[:, :, 0].T)
        self.a_work, self.b_work = self.a_lanes.copy(), self.b_lanes.copy()

    def ours(self):
        """With the copy of the input, for it is solved in place."""
        self.a_work[:] = self.a_lanes
        self.b_work[:] = self.b_lanes
        cholesky_many(self.a_work)
        cholesky_solve_many(self.a_work, self.b_work)
        return self.b_work.T

    def numpy(self):
        return np.linalg.solve(self.a, self.b)[:, :, 0]


def rosenbrock(x):
    return 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2


def rosenbrock_gradient(x):
    a = x[1] - x[0] ** 2
    return np.array([-400.0 * a * x[0] - 2.0 * (1.0 - x[0]), 200.0 * a])


def rosenbrock_metric(x):
    """The Gauss-Newton matrix: the Hessian without the term of second derivatives."""
    jacobian = np.array([[-20.0 * x[0], 10.0], [-1.0, 0.0]])
    return 2.0 * jacobian.T @ jacobian
