"""One problem's observations as plain arrays, and their log-likelihood and density anywhere.

For pictures: many points of (mu, sigma), few kinds of observations.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastnat import _observed
from fastnat._arrays import Array, check_weights
from fastnat.special import log_interval_prob

_LOG_ROOT_TWO_PI = 0.5 * math.log(2.0 * math.pi)


class Sample(NamedTuple):
    """Observations (n,) of one problem: ends of intervals, bounds, noise, weights.

    ``limits`` are the left and the right limit of each observation, None where nobody gave any.
    """

    lower: Array
    upper: Array
    least: Array
    most: Array
    noise: Array
    weights: Array
    limits: tuple[Array, Array] | None

    @property
    def exact(self) -> Array:
        return np.asarray(self.lower == self.upper)

    def rows(self, where: Array, *columns: Array) -> tuple[Array, Array]:
        """Distinct rows (k, ...) of some columns among the observations where, and their weights.

        Returns
        -------
        rows : (k, n_columns) ndarray
        weights : (k,) ndarray
        """
        table = np.stack([column[where] for column in columns], axis=-1)
        distinct, which = np.unique(table, axis=0, return_inverse=True)
        return distinct, np.bincount(which.reshape(-1), self.weights[where], len(distinct))


def read_sample(
    x: ArrayLike,
    upper: ArrayLike | None,
    left: ArrayLike | None,
    right: ArrayLike | None,
    truncation: Any,
    noise_std: ArrayLike | None,
    weights: ArrayLike | None,
) -> Sample:
    """The arguments of `fit_normal` as arrays; missing values and weights of 0 are left out."""
    given = _observed.read(x, upper, left, right, truncation, noise_std, weights)
    views, shape = _observed.broadcast(given)
    if len(shape) != 1:
        raise ValueError(f"x must be one problem, with one dimension, not of shape {shape}")

    def column(view: Array | None, default: float) -> Array:
        return np.full(shape, default) if view is None else view.astype(np.float64)

    low = column(views.x, 0.0)
    high = low.copy() if views.upper is None else column(views.upper, 0.0)
    below, above = column(views.left, -math.inf), column(views.right, math.inf)
    under, over = low <= below, low >= above
    limited = views.left is not None or views.right is not None
    if limited:
        low = np.where(under, -math.inf, np.where(over, above, low))
        high = np.where(under, below, np.where(over, math.inf, high))
    w = column(views.weights, 1.0)
    check_weights(not np.all((w >= 0.0) & (w < math.inf)))
    used = (w > 0.0) & ~(np.isnan(low) | np.isnan(high))
    return Sample(
        low[used],
        high[used],
        column(views.least, -math.inf)[used],
        column(views.most, math.inf)[used],
        column(views.noise, 0.0)[used],
        w[used],
        (below[used], above[used]) if limited else None,
    )


def loglik(sample: Sample, mu: ArrayLike, sigma: ArrayLike) -> Array:
    """The log-likelihood at each point of (mu, sigma), in their broadcast shape."""
    m, s = np.broadcast_arrays(np.asarray(mu, float), np.asarray(sigma, float))
    exact, clear = sample.exact, sample.noise == 0.0
    total = np.zeros(m.shape)
    plain = exact & clear
    if np.any(plain):  # moments say all of values without noise
        x, w = sample.lower[plain], sample.weights[plain]
        n, mean = np.sum(w), np.average(x, weights=w)
        square = np.sum(w * (x - mean) ** 2) + n * (mean - m) ** 2
        total -= n * (np.log(s) + _LOG_ROOT_TWO_PI) + square / (2.0 * s * s)
    rows, w = sample.rows(exact & ~clear, sample.lower, sample.noise)
    for (x_k, e), w_k in zip(rows, w, strict=True):
        v = s * s + e * e
        total -= w_k * (0.5 * np.log(v) + _LOG_ROOT_TWO_PI + (x_k - m) ** 2 / (2.0 * v))
    rows, w = sample.rows(~exact, sample.lower, sample.upper, sample.noise)
    total += _log_probabilities(rows, w, m, s)
    bounded = np.isfinite(sample.least) | np.isfinite(sample.most)
    rows, w = sample.rows(bounded, sample.least, sample.most, sample.noise)
    return total - _log_probabilities(rows, w, m, s)


def _log_probabilities(rows: Array, weights: Array, m: Array, s: Array) -> Array:
    """Sum of weighted log-probabilities of the intervals in the rows (lower, upper, noise)."""
    total = np.zeros(m.shape)
    for (low, high, e), w in zip(rows, weights, strict=True):
        scale = np.hypot(s, e)
        total += w * log_interval_prob((low - m) / scale, (high - m) / scale)
    return total


def density(sample: Sample, mu: float, sigma: float, x: Array) -> Array:
    """Of what would be observed: with noise, and within the bounds of truncation.

    A mean over the observations, each with its own noise and bounds.
    """
    everywhere = np.ones(sample.lower.shape, bool)
    rows, w = sample.rows(everywhere, sample.least, sample.most, sample.noise)
    return _parts(rows, w / np.sum(w), mu, sigma, x)


def beyond(sample: Sample, mu: float, sigma: float, x: Array) -> Array:
    """Observations known from one side only, each spread as the fit says it is spread there.

    Its integral is their share of all weight.
    """
    half = np.isinf(sample.lower) != np.isinf(sample.upper)
    rows, w = sample.rows(half, sample.lower, sample.upper, sample.noise)
    return _parts(rows, w / np.sum(sample.weights), mu, sigma, x)


def _parts(rows: Array, shares: Array, mu: float, sigma: float, x: Array) -> Array:
    """The sum of normal densities within the intervals of the rows (lower, upper, noise)."""
    total = np.zeros(x.shape)
    for (low, high, e), share in zip(rows, shares, strict=True):
        scale = math.hypot(sigma, e)
        z = (x - mu) / scale
        log_part = log_interval_prob((low - mu) / scale, (high - mu) / scale)
        log_density = -0.5 * z * z - math.log(scale) - _LOG_ROOT_TWO_PI - log_part
        total += np.where((low < x) & (x < high), share * np.exp(log_density), 0.0)
    return total


def share_beyond(sample: Sample, mu: float, sigma: float) -> tuple[float, float] | None:
    """What the fit says is at or beyond the limits, left and right: None without limits."""
    if sample.limits is None:
        return None
    scale = np.hypot(sigma, sample.noise)
    w = sample.weights / np.sum(sample.weights)
    left, right = sample.limits
    below = np.exp(log_interval_prob(np.full(left.shape, -np.inf), (left - mu) / scale))
    above = np.exp(log_interval_prob((right - mu) / scale, np.full(right.shape, np.inf)))
    return float(np.sum(w * below)), float(np.sum(w * above))
