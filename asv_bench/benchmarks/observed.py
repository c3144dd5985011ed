"""Data, peers and scores of values that are not fully known, shared by several files."""

import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats

from . import common
from .measuring import largest

LOG_ROOT = 0.5 * np.log(2.0 * np.pi)


def size(n, most=1000):
    """The number of observations, or a small one in a smoke run."""
    return min(n, most) if common.QUICK else n


def hazard(a):
    """phi / Q, by SciPy."""
    return np.exp(-0.5 * a * a - LOG_ROOT - scipy.special.log_ndtr(-a))


# ---- peers -----------------------------------------------------------------------------------


def by_scipy(x, limit):
    """`scipy.stats.norm.fit`, which takes a limit for every observation."""
    beyond = x >= limit
    data = scipy.stats.CensoredData(uncensored=x[~beyond], right=limit[beyond])
    return scipy.stats.norm.fit(data)


def by_hand(x, limit):
    """L-BFGS-B on the log-likelihood and its gradient, as one would write it with NumPy."""
    beyond = x >= limit
    exact, limits = x[~beyond], limit[beyond]

    def objective(theta):
        mu, sigma = theta[0], np.exp(theta[1])
        z, a = (exact - mu) / sigma, (limits - mu) / sigma
        log_tail = scipy.special.log_ndtr(-a)
        h = np.exp(-0.5 * a * a - LOG_ROOT - log_tail)
        value = 0.5 * np.sum(z * z) + exact.size * theta[1] - np.sum(log_tail)
        of_log_sigma = exact.size - np.sum(z * z) - np.sum(a * h)
        return value, np.array([-(np.sum(z) + np.sum(h)) / sigma, of_log_sigma])

    start = [x.mean(), np.log(x.std())]
    options = {"ftol": 1e-15, "gtol": 1e-8 * x.size}
    return scipy.optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options=options)


def by_surpyval(x, limit):
    """SurPyval's maximum likelihood."""
    import surpyval

    beyond = x >= limit
    return surpyval.Normal.fit(x=np.where(beyond, limit, x), c=beyond.astype(int))


def iteration_by_numpy(x, limit, mu=2.1, sigma=2.9):
    """Log-likelihood, gradient and Hessian: what Newton's method needs of every iteration."""
    beyond = x >= limit
    z, a = (x[~beyond] - mu) / sigma, (limit[beyond] - mu) / sigma
    log_tail = scipy.special.log_ndtr(-a)
    h = np.exp(-0.5 * a * a - LOG_ROOT - log_tail)
    k = h * (h - a)
    sums = np.sum(z), np.sum(z * z), np.sum(h), np.sum(a * h)
    return np.sum(log_tail), *sums, np.sum(k), np.sum(a * k), np.sum(a * a * k)


# ---- scores ----------------------------------------------------------------------------------


def censored_score(fit, x, beyond, limit, sign=1.0):
    """Of the last axis: values, of which some are beyond a limit on the right (-1: left)."""
    mu, sigma = (np.asarray(v)[..., None] for v in (fit.mu, fit.sigma))
    z, a = (x - mu) / sigma, sign * (limit - mu) / sigma
    h = hazard(np.where(beyond, a, 0.0))
    of_mu = np.where(beyond, sign * h, z).sum(axis=-1)
    of_log_sigma = np.where(beyond, a * h, z * z - 1.0).sum(axis=-1)
    return largest(np.stack([of_mu, of_log_sigma], axis=-1) / sigma, fit.stderr)


def truncated_score(fit, x, lower, upper):
    mu, sigma = (np.asarray(v)[..., None] for v in (fit.mu, fit.sigma))
    z, a, b = ((v - mu) / sigma for v in (x, lower, upper))
    density = [np.exp(-0.5 * v * v - LOG_ROOT) for v in (a, b)]
    inside = scipy.special.ndtr(b) - scipy.special.ndtr(a)
    of_mu = np.sum(z + (density[1] - density[0]) / inside, axis=-1)
    of_log_sigma = np.sum(z * z - 1.0 + (b * density[1] - a * density[0]) / inside, axis=-1)
    return largest(np.stack([of_mu, of_log_sigma], axis=-1) / sigma, fit.stderr)


def interval_score(fit, lower, upper):
    mu, sigma = (np.asarray(v)[..., None] for v in (fit.mu, fit.sigma))
    a, b = (lower - mu) / sigma, (upper - mu) / sigma
    density = [np.exp(-0.5 * v * v - LOG_ROOT) for v in (a, b)]
    inside = scipy.special.ndtr(b) - scipy.special.ndtr(a)
    of_mu = np.sum((density[0] - density[1]) / inside, axis=-1)
    of_log_sigma = np.sum((a * density[0] - b * density[1]) / inside, axis=-1)
    return largest(np.stack([of_mu, of_log_sigma], axis=-1) / sigma, fit.stderr)


def noise_score(fit, x, std):
    """That for sigma is not zero at the boundary, where sigma is."""
    mu, sigma = (np.asarray(v)[..., None] for v in (fit.mu, fit.sigma))
    v = std**2 + sigma**2
    of_mu = np.sum((x - mu) / v, axis=-1)
    of_sigma = np.sum(sigma * ((x - mu) ** 2 / v - 1.0) / v, axis=-1)
    return largest(np.stack([of_mu, of_sigma], axis=-1), fit.stderr)
