"""Coordinates of the normal distributions, and the same small step seen in each of them.

A chart says where (mu, sigma) is, and which displacement (u, l), in units of mu / sigma and log
sigma, a difference of its coordinates is.  The squared Fisher length of (u, l) is u^2 + 2 l^2.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastnat._arrays import Array, as_array, bad_choice

Pair = tuple[Array, Array]


class Chart(NamedTuple):
    """Coordinates (a, b) of (mu, sigma), and the frame of their metric.

    to : (mu, sigma) -> (a, b).
    back : (a, b) -> (mu, sigma), with NaN for sigma where there is none.
    frame : (mu, sigma) -> (u_a, u_b, l_a, l_b), the derivatives of (u, l).
    step : (d, q, g) -> (u, l), what the frame at (mu2, sigma2) makes of the difference between the
        coordinates of (mu1, sigma1) and (mu2, sigma2), where d is (mu1 - mu2) / sigma2, q is
        sigma1 / sigma2 - 1 and g is log(sigma1 / sigma2).  It is free of mu: an offset that is in
        the coordinates costs no digits.
    """

    to: Callable[[Array, Array], Pair]
    back: Callable[[Array, Array], Pair]
    frame: Callable[[Array, Array], tuple[Array, Array, Array, Array]]
    step: Callable[[Array, Array, Array], Pair]


def _root(v: Array) -> Array:
    return np.sqrt(np.where(v < 0.0, np.nan, v))


def _from_natural(a: Array, b: Array) -> Pair:
    v = -0.5 / b
    return a * v, _root(v)


def _zero(sigma: Array) -> Array:
    return np.zeros_like(sigma)


CHARTS = {
    "log_sigma": Chart(
        lambda mu, s: (mu, np.log(s)),
        lambda a, b: (a, np.exp(b)),
        lambda _, s: (1.0 / s, _zero(s), _zero(s), np.ones_like(s)),
        lambda d, _, g: (d, g),
    ),
    "sigma": Chart(
        lambda mu, s: (mu, s),
        lambda a, b: (a, np.where(b < 0.0, np.nan, b)),
        lambda _, s: (1.0 / s, _zero(s), _zero(s), 1.0 / s),
        lambda d, q, _: (d, q),
    ),
    "variance": Chart(
        lambda mu, s: (mu, s * s),
        lambda a, b: (a, _root(b)),
        lambda _, s: (1.0 / s, _zero(s), _zero(s), 0.5 / (s * s)),
        lambda d, q, _: (d, 0.5 * q * (2.0 + q)),
    ),
    "natural": Chart(
        lambda mu, s: (mu / (s * s), -0.5 / (s * s)),
        _from_natural,
        lambda mu, s: (s, 2.0 * mu * s, _zero(s), s * s),
        lambda d, q, _: (d / (1.0 + q) ** 2, 0.5 * q * (2.0 + q) / (1.0 + q) ** 2),
    ),
    "mean": Chart(
        lambda mu, s: (mu, mu * mu + s * s),
        lambda a, b: (a, _root(b - a * a)),
        lambda mu, s: (1.0 / s, _zero(s), -mu / (s * s), 0.5 / (s * s)),
        lambda d, q, _: (d, 0.5 * (q * (2.0 + q) + d * d)),
    ),
    "olsen": Chart(
        lambda mu, s: (mu / s, 1.0 / s),
        lambda a, b: (a / b, np.where(b < 0.0, np.nan, 1.0 / b)),
        lambda mu, s: (np.ones_like(s), -mu, _zero(s), -s),
        lambda d, q, _: (d / (1.0 + q), q / (1.0 + q)),
    ),
}


def chart_named(name: object) -> Chart:
    """The chart, or one clear sentence."""
    if not isinstance(name, str) or name not in CHARTS:
        raise bad_choice("chart", name, tuple(CHARTS))
    return CHARTS[name]


# ---- arguments -------------------------------------------------------------------------------


def parameters(mu: ArrayLike, sigma: ArrayLike, number: str = "") -> Pair:
    """Means and standard deviations in one shape, or one clear sentence."""
    m = as_array(f"mu{number}", mu).astype(np.float64)
    s = as_array(f"sigma{number}", sigma).astype(np.float64)
    if np.any(s < 0.0):
        raise ValueError(f"sigma{number} must not be negative")
    try:
        shape = np.broadcast_shapes(m.shape, s.shape)
    except ValueError:
        raise ValueError(
            f"mu{number} {m.shape} and sigma{number} {s.shape} do not broadcast"
        ) from None
    return np.broadcast_to(m, shape), np.broadcast_to(s, shape)


def two_of(
    mu1: ArrayLike, sigma1: ArrayLike, mu2: ArrayLike, sigma2: ArrayLike
) -> tuple[Array, Array, Array, Array]:
    """The parameters of two distributions in one shape."""
    m1, s1 = parameters(mu1, sigma1, "1")
    m2, s2 = parameters(mu2, sigma2, "2")
    try:
        shape = np.broadcast_shapes(m1.shape, m2.shape)
    except ValueError:
        raise ValueError(
            f"mu1, sigma1 {m1.shape} do not broadcast with mu2, sigma2 {m2.shape}"
        ) from None
    m1, s1, m2, s2 = (np.broadcast_to(a, shape) for a in (m1, s1, m2, s2))
    return m1, s1, m2, s2
