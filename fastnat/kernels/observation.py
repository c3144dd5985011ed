"""One observation known to lie in a finite interval: log-likelihood, score and information.

For standardised ends a < b with probability Z between them, and phi(a) / Z, phi(b) / Z times
powers of a and b, everything is closed form, but cancels in the tails and for narrow intervals;
so there are three regimes.  The width w = b - a is given separately, for the difference cancels.
"""

import math

import numpy as np

from fastnat.kernels._jit import helper
from fastnat.kernels.special import exp, hazard, log_ndtr, ndtr, tail

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_INV_SQRT_2PI = 1.0 / math.sqrt(2.0 * math.pi)
_NODES = (
    0.14887433898163122,
    0.4333953941292472,
    0.6794095682990244,
    0.8650633666889845,
    0.9739065285171717,
)
_WEIGHTS = (
    0.29552422471475287,
    0.26926671930999635,
    0.21908636251598204,
    0.1494513491505806,
    0.06667134430868814,
)
"""Gauss-Legendre, 10 nodes (Abramowitz and Stegun 1964, table 25.4)."""

_NARROW, _FLAT = 1.5, 1.0  # width, and its product with the centre, of what 10 nodes integrate


@helper
def interval(a, b, w):
    """(loglik, s_m, s_l, g_mm, g_ml, g_ll) of an observation between a and b = a + w.

    s_m, s_l : the score in mu / sigma (one unit of which is a unit of the ends) and log sigma.
    g_mm, g_ml, g_ll : the observed information of Olsen's chart (mu / sigma, 1 / sigma), taken
        back to these coordinates: positive semi-definite, and the observed information itself
        where the total score is zero.

    a, b, w must be finite, w positive.
    """
    if a + b >= 0.0:
        return _right_of_zero(a, b, w)
    loglik, s_m, s_l, g_mm, g_ml, g_ll = _right_of_zero(-b, -a, w)
    return loglik, -s_m, s_l, g_mm, -g_ml, g_ll


@helper
def log_interval_prob(a, b):
    """The logarithm of Phi(b) - Phi(a), without cancellation in the tails and for narrow intervals.

    Parameters
    ----------
    a, b : float
        The ends, either of which may be infinite.

    Returns
    -------
    float
        Its value; -inf for a = b, NaN for a > b.
    """
    if not a < b:
        return -math.inf if a == b else math.nan
    if a == -math.inf:
        return log_ndtr(b)
    if b == math.inf:
        return log_ndtr(-a)
    return interval(a, b, b - a)[0]


@helper
def _right_of_zero(a, b, w):
    """The same for an interval whose centre is not negative."""
    centre = 0.5 * (a + b)
    if w <= _NARROW and w * centre <= _FLAT:
        return _by_quadrature(centre, w)
    if a > 0.0:
        return _in_the_tail(a, b, w, centre)
    return _about_zero(a, b)


@helper
def _by_quadrature(c, w):
    """Density times width, corrected by the moments within the interval."""
    half = 0.5 * w
    total = first = 0.0
    for k in range(5):
        t = half * _NODES[k]
        up, down = _WEIGHTS[k] * _relative(c, t), _WEIGHTS[k] * _relative(c, -t)
        total += up + down
        first += t * (up - down)
    mean = first / total
    k2 = k3 = k4 = 0.0
    for k in range(5):
        for sign in (-1.0, 1.0):
            t = sign * half * _NODES[k]
            share, d = _WEIGHTS[k] * _relative(c, t) / total, t - mean
            k2 += share * d * d
            k3 += share * d * d * d
            k4 += share * d * d * d * d
    m = c + mean
    square = m * m
    return (
        np.log(half * total) - 0.5 * c * c - _HALF_LOG_2PI,
        m,
        square + k2 - 1.0,
        1.0 - k2,
        m * (1.0 - 2.0 * k2) - k3,
        square * (1.0 - 4.0 * k2) + k2 + 1.0 - 4.0 * m * k3 - k4 + k2 * k2,
    )


@helper
def _relative(c, t):
    """The density at c + t, relative to that at c."""
    return exp(-t * (c + 0.5 * t), 0.0)


@helper
def _in_the_tail(a, b, w, c):
    """By hazards: what is beyond b is a share of what is beyond a."""
    p, remainder, log_beyond = tail(a)
    drop = math.exp(-w * c)
    share = p / hazard(b) * drop
    inside = 1.0 - share
    p_a = p / inside
    p_b = p_a * drop
    f_aa = p_a * (remainder + a * share) / inside
    f_ab, f_bb = -p_a * p_b, p_b * (p_b + b)
    g_mm = f_aa + 2.0 * f_ab + f_bb
    cross = w * (f_ab + f_bb)
    s_m = -p_a * math.expm1(-w * c)
    return (
        log_beyond + np.log1p(-share),
        s_m,
        a * s_m - w * p_b,
        g_mm,
        a * g_mm + cross,
        a * (a * g_mm + 2.0 * cross) + w * w * f_bb,
    )


@helper
def _about_zero(a, b):
    """Nothing cancels where most of the probability may be inside."""
    p_a, _, log_a = tail(-a)
    p_b, _, log_b = tail(b)
    below, above = math.exp(log_a), math.exp(log_b)
    inside = 1.0 - below - above
    p_a, p_b = p_a * below / inside, p_b * above / inside
    q0, q1, q2 = p_a - p_b, a * p_a - b * p_b, a * a * p_a - b * b * p_b
    q3 = a * a * a * p_a - b * b * b * p_b
    return (
        np.log1p(-(below + above)),
        q0,
        q1,
        q0 * q0 - q1,
        q0 * q1 - q2,
        q1 * q1 - q3,
    )


@helper
def expected_information(a, b):
    """(mm, ml, ll) of (mu / sigma, log sigma), of an observation with these standardised limits.

    The known values between them, and the probabilities beyond (Schmee and Hahn 1979).
    """
    lower, upper = _beyond(-a), _beyond(b)
    inside = 1.0 - ndtr(a) - ndtr(-b) if a < 0.0 < b else abs(ndtr(b) - ndtr(a))
    return (
        inside + upper[1] + lower[1],
        lower[0] - upper[0] + upper[2] - lower[2],
        2.0 * inside - lower[3] - upper[3] + upper[4] + lower[4],
    )


@helper
def _beyond(z):
    """phi(z) times 1, the remainder of the hazard, z and its square times that, and z."""
    if abs(z) > 1e100:  # whose square may be infinite
        return 0.0, 0.0, 0.0, 0.0, 0.0
    density = math.exp(-0.5 * z * z) * _INV_SQRT_2PI
    remainder = tail(z)[1]
    part = density * remainder
    return density, part, z * part, z * density, z * z * part
