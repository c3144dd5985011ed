"""The geometry of normal distributions: divergences, metrics, distances and geodesics.

Arrays broadcast by NumPy's rules; NaN gives NaN.  A sigma of 0 or infinity, as some statuses leave
it, gives the limit where there is one, and NaN where there is none.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastnat._arrays import Array, as_array
from fastnat._charts import chart_named, parameters, two_of
from fastnat._covariances import excess, fisher_mvn, kl_mvn, kl_mvn_quadratic, mahalanobis

__all__ = [
    "Normal",
    "fisher_mvn",
    "fisher_normal",
    "fisher_rao_distance",
    "fisher_rao_geodesic",
    "from_chart",
    "kl_mvn",
    "kl_mvn_quadratic",
    "kl_normal",
    "kl_normal_quadratic",
    "mahalanobis",
    "to_chart",
]

_TINY = 2.0**-1000
_ROOT_HALF = math.sqrt(0.5)


class Normal(NamedTuple):
    """Parameters of normal distributions."""

    mu: Array
    sigma: Array


def kl_normal(mu1: ArrayLike, sigma1: ArrayLike, mu2: ArrayLike, sigma2: ArrayLike) -> Array:
    """Kullback-Leibler divergence of two normal distributions.

    KL(1 || 2) is the mean of log p1(x) - log p2(x) under p1: not negative, not symmetric, and no
    distance.

    Parameters
    ----------
    mu1, sigma1, mu2, sigma2 : array_like
        Means and standard deviations that broadcast.

    Returns
    -------
    ndarray or float
        In the broadcast shape.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used; a negative sigma is one.

    Notes
    -----
    log(sigma2 / sigma1) + (sigma1^2 + (mu1 - mu2)^2) / (2 sigma2^2) - 1/2 (Kullback and Leibler
    1951, Annals of Mathematical Statistics 22, 79-86), written in the relative difference of
    the variances, so that distributions which are nearly the same cost no digits.

    Examples
    --------
    Two pairs whose means are 4 apart, and whose divergence is 8 / sigma^2:

    >>> from fastnat import geometry
    >>> geometry.kl_normal(-2.0, [1.0, 2.0], 2.0, [1.0, 2.0])
    array([8., 2.])

    It depends on the order:

    >>> geometry.kl_normal(0.0, [1.0, 2.0], 0.0, [2.0, 1.0]).round(6)
    array([0.318147, 0.806853])
    """
    m1, s1, m2, s2 = two_of(mu1, sigma1, mu2, sigma2)
    with np.errstate(all="ignore"):
        d, q, log_ratio = _differences(m1, s1, m2, s2)
        return np.asarray(0.5 * (excess(q * (2.0 + q), 2.0 * log_ratio) + d * d))[()]


def kl_normal_quadratic(
    mu1: ArrayLike,
    sigma1: ArrayLike,
    mu2: ArrayLike,
    sigma2: ArrayLike,
    chart: str = "log_sigma",
) -> Array:
    """Second-order expansion of `kl_normal` about the second distribution, in any chart.

    Parameters
    ----------
    mu1, sigma1, mu2, sigma2 : array_like
        Means and standard deviations that broadcast.
    chart : str, default "log_sigma"
        Coordinates in which the difference is taken, as in `to_chart`.

    Returns
    -------
    ndarray or float
        1/2 delta' F delta, with delta the difference of coordinates and F the `fisher_normal` of
        the second distribution.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used.

    Notes
    -----
    The expansions in two charts, and those of KL(1 || 2) and KL(2 || 1), differ by terms of third
    order.  For finite steps they are different: see `to_chart`.

    Examples
    --------
    >>> from fastnat import geometry
    >>> kl = geometry.kl_normal(0.01, 1.01, 0.0, 1.0)
    >>> half = geometry.kl_normal_quadratic(0.01, 1.01, 0.0, 1.0)
    >>> print(f"{kl:.6e}, {half:.6e}")
    1.496691e-04, 1.490091e-04
    """
    known = chart_named(chart)
    m1, s1, m2, s2 = two_of(mu1, sigma1, mu2, sigma2)
    with np.errstate(all="ignore"):
        d, q, log_ratio = _differences(m1, s1, m2, s2)
        near = np.abs(q) < 0.5
        along, across = known.step(d, q, np.where(near, np.log1p(q), log_ratio))
        return np.asarray(0.5 * along * along + across * across)[()]


def fisher_normal(mu: ArrayLike, sigma: ArrayLike, chart: str = "log_sigma") -> Array:
    """Fisher's information of a normal distribution, per observation: the metric.

    Parameters
    ----------
    mu, sigma : array_like
        Mean and standard deviation that broadcast.
    chart : str, default "log_sigma"
        Coordinates, as in `to_chart`.

    Returns
    -------
    (..., 2, 2) ndarray
        diag(1 / sigma^2, 2) in (mu, log sigma); in other coordinates the same metric.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used.

    Notes
    -----
    The expectation, under the model, of the outer product of the score; the Hessian of
    `kl_normal` in either argument where the two are equal.  Data do not enter.

    Examples
    --------
    >>> from fastnat import geometry
    >>> geometry.fisher_normal(5.0, 2.0)
    array([[0.25, 0.  ],
           [0.  , 2.  ]])
    >>> geometry.fisher_normal(5.0, 2.0, "natural")
    array([[  4.,  40.],
           [ 40., 432.]])
    """
    known = chart_named(chart)
    m, s = parameters(mu, sigma)
    with np.errstate(all="ignore"):
        ua, ub, la, lb = known.frame(m, s)
        cross = ua * ub + 2.0 * la * lb
        rows = [[ua * ua + 2.0 * la * la, cross], [cross, ub * ub + 2.0 * lb * lb]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def to_chart(mu: ArrayLike, sigma: ArrayLike, chart: str = "log_sigma") -> Array:
    """Coordinates of a normal distribution.

    Parameters
    ----------
    mu, sigma : array_like
        Mean and standard deviation that broadcast.
    chart : str, default "log_sigma"
        "log_sigma" (mu, log sigma); "sigma" (mu, sigma); "variance" (mu, sigma^2); "natural"
        (mu / sigma^2, -1 / (2 sigma^2)), the natural parameters of the exponential family; "mean"
        (E x, E x^2), its mean parameters; "olsen" (mu / sigma, 1 / sigma) (Olsen 1978, Econometrica
        46, 1211-1215).

    Returns
    -------
    (..., 2) ndarray
        The coordinates.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used.

    Examples
    --------
    >>> from fastnat import geometry
    >>> geometry.to_chart(3.0, 2.0, "mean")
    array([ 3., 13.])
    >>> geometry.to_chart(3.0, 2.0, "natural")
    array([ 0.75 , -0.125])
    """
    known = chart_named(chart)
    m, s = parameters(mu, sigma)
    with np.errstate(all="ignore"):
        return np.stack(known.to(m, s), axis=-1)


def from_chart(theta: ArrayLike, chart: str = "log_sigma") -> Normal:
    """Mean and standard deviation of coordinates: the inverse of `to_chart`.

    Parameters
    ----------
    theta : (..., 2) array_like
        Coordinates.
    chart : str, default "log_sigma"
        Which, as in `to_chart`.

    Returns
    -------
    Normal
        ``mu`` and ``sigma``; sigma is NaN where no normal distribution has these coordinates, as
        after a step that was too long.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used.

    Examples
    --------
    >>> from fastnat import geometry
    >>> mu, sigma = geometry.from_chart([1.0, 5.0], "mean")
    >>> float(mu), float(sigma)
    (1.0, 2.0)
    """
    known = chart_named(chart)
    array = as_array("theta", theta).astype(np.float64)
    if not array.ndim or array.shape[-1] != 2:
        raise ValueError(f"theta must be of shape (..., 2), not {array.shape}")
    with np.errstate(all="ignore"):
        mu, sigma = known.back(array[..., 0], array[..., 1])
    return Normal(np.asarray(mu)[()], np.asarray(sigma)[()])


def fisher_rao_distance(
    mu1: ArrayLike, sigma1: ArrayLike, mu2: ArrayLike, sigma2: ArrayLike
) -> Array:
    """Fisher-Rao distance between normal distributions: the length of the shortest way.

    Parameters
    ----------
    mu1, sigma1, mu2, sigma2 : array_like
        Means and standard deviations that broadcast.

    Returns
    -------
    ndarray or float
        In the broadcast shape; infinite if one sigma is 0.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used.

    Notes
    -----
    Length is measured by `fisher_normal`, so the distance is a metric and the same in all charts;
    half of its square agrees with `kl_normal` to second order.  In (mu / sqrt(2), sigma) it is
    sqrt(2) times the distance of the hyperbolic half-plane (Atkinson and Mitchell 1981, Sankhya A
    43, 345-365; Costa, Santos and Strapasson 2015, Discrete Applied Mathematics 197, 59-69):
    sqrt(8) asinh(h / sqrt(4 sigma1 sigma2)) with h the Euclidean distance there, a form without
    cancellation.

    Examples
    --------
    >>> import math
    >>> from fastnat import geometry
    >>> geometry.fisher_rao_distance(0.0, 1.0, [0.0, 1.0, 1000.0], [math.e, 1.0, 1.0]).round(6)
    array([ 1.414214,  0.980258, 18.55783 ])
    """
    m1, s1, m2, s2 = two_of(mu1, sigma1, mu2, sigma2)
    with np.errstate(all="ignore"):
        return np.asarray(math.sqrt(2.0) * _hyperbolic(m1, s1, m2, s2))[()]


def fisher_rao_geodesic(
    mu1: ArrayLike, sigma1: ArrayLike, mu2: ArrayLike, sigma2: ArrayLike, t: ArrayLike
) -> Normal:
    """The shortest way between two normal distributions, at constant speed.

    Parameters
    ----------
    mu1, sigma1, mu2, sigma2 : array_like
        Means and standard deviations that broadcast: where the way begins and ends.
    t : array_like
        Times: 0 is the beginning, 1 the end; others are on the same geodesic, before and after.

    Returns
    -------
    Normal
        ``mu`` and ``sigma``, each of the broadcast shape followed by that of t.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used.

    Notes
    -----
    On the hyperboloid a geodesic is a sum of its ends with weights sinh((1 - t) D) and
    sinh(t D), D being the hyperbolic distance.  Of these coordinates 1 / sigma and mu / sigma are
    two, so that mu is a weighted mean of the ends, also where they have the same mean or are nearly
    the same.

    Examples
    --------
    Half-way between distributions with means far apart sigma is large:

    >>> from fastnat import geometry
    >>> mu, sigma = geometry.fisher_rao_geodesic(-2.0, 1.0, 2.0, 1.0, [0.0, 0.5, 1.0])
    >>> mu.round(12), sigma.round(6)
    (array([-2.,  0.,  2.]), array([1.      , 1.732051, 1.      ]))
    """
    m1, s1, m2, s2 = two_of(mu1, sigma1, mu2, sigma2)
    time = as_array("t", t).astype(np.float64)
    index = (..., *(None,) * time.ndim)
    m1, s1, m2, s2 = m1[index], s1[index], m2[index], s2[index]
    with np.errstate(all="ignore"):
        length = _hyperbolic(m1, s1, m2, s2)
        # Divided by sinh(length), and by the exponential that would overflow.
        a, b = _share(length, 1.0 - time), _share(length, time)
        from1 = a + _quotient(b, s2 / s1)  # 1 / sigma in units of 1 / sigma1
        from2 = _quotient(a, s1 / s2) + b
        early = np.abs(time) <= np.abs(1.0 - time)
        of_end, of_start = _quotient(b, from2), _quotient(a, from1)
        mu = np.where(early, m1 + (m2 - m1) * of_end, m2 + (m1 - m2) * of_start)
        sigma = np.where(early, s1 / from1, s2 / from2)
    return Normal(np.asarray(mu)[()], np.asarray(sigma)[()])


# ---- what they share -------------------------------------------------------------------------


def _differences(m1: Array, s1: Array, m2: Array, s2: Array) -> tuple[Array, Array, Array]:
    """(mu1 - mu2) / sigma2, sigma1 / sigma2 - 1, and log(sigma1 / sigma2) where that is not small.

    Differences first: those of numbers that are nearly equal are exact.
    """
    ratio = s1 / s2
    close = (ratio >= 0.5) & (ratio <= 2.0)
    q = np.where(close, (s1 - s2) / s2, ratio - 1.0)
    log_ratio = np.log(ratio)
    tiny = ratio < _TINY
    if np.any(tiny):
        log_ratio = np.where(tiny, np.log(s1) - np.log(s2), log_ratio)
    return np.where(m1 == m2, 0.0, (m1 - m2) / s2), q, log_ratio


def _hyperbolic(m1: Array, s1: Array, m2: Array, s2: Array) -> Array:
    """The distance in the half-plane (mu / sqrt(2), sigma)."""
    gap = np.hypot((m1 - m2) * _ROOT_HALF, s1 - s2)
    larger, smaller = np.sqrt(np.maximum(s1, s2)), np.sqrt(np.minimum(s1, s2))
    ratio = np.where(np.isinf(s1) != np.isinf(s2), gap, gap / larger / smaller)
    return np.asarray(2.0 * np.arcsinh(0.5 * ratio))


def _quotient(a: Array, b: Array) -> Array:
    """a / b, but 0 where a is 0."""
    return np.asarray(np.where(a == 0.0, 0.0, a / b))


def _share(length: Array, t: Array) -> Array:
    """sinh(t length) / sinh(length): t where the length is 0."""
    factor = np.exp((t - 1.0) * length)
    part = np.expm1(-2.0 * t * length) / np.expm1(-2.0 * length)
    return np.asarray(np.where(length > 0.0, factor * part, t + 0.0 * length))
