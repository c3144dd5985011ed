"""Moments of the density proportional to exp(e1 t + e2 t**2) on an interval, e2 <= 0."""

import math

import numpy as np

from fastnat.kernels._jit import helper, kernel
from fastnat.kernels.special import exp

_DROP = 45.0  # nats below the peak, where the density no longer counts
# Gauss and Legendre: half of the 48 nodes, the others being mirror images, and their weights, by
# Newton's steps on the polynomial in 40 digits; NumPy's weights are only good to 1e-12.
_NODES = (
    0.03238017096286936,
    0.0970046992094627,
    0.1612223560688917,
    0.22476379039468905,
    0.28736248735545555,
    0.34875588629216075,
    0.4086864819907167,
    0.4669029047509584,
    0.523160974722233,
    0.5772247260839727,
    0.6288673967765136,
    0.6778723796326639,
    0.7240341309238146,
    0.7671590325157404,
    0.8070662040294426,
    0.8435882616243935,
    0.8765720202742479,
    0.9058791367155696,
    0.9313866907065543,
    0.9529877031604309,
    0.9705915925462473,
    0.9841245837228269,
    0.9935301722663508,
    0.9987710072524261,
)
_WEIGHTS = (
    0.06473769681268392,
    0.06446616443595009,
    0.06392423858464819,
    0.06311419228625402,
    0.062039423159892665,
    0.06070443916589388,
    0.059114839698395635,
    0.057277292100403214,
    0.055199503699984165,
    0.05289018948519367,
    0.05035903555385447,
    0.04761665849249048,
    0.04467456085669428,
    0.04154508294346475,
    0.03824135106583071,
    0.03477722256477044,
    0.03116722783279809,
    0.027426509708356948,
    0.02357076083932438,
    0.01961616045735553,
    0.015579315722943849,
    0.01147723457923454,
    0.0073275539012762625,
    0.0031533460523058385,
)


@helper
def truncated_moments(e1, e2, lower, upper):
    """Normalisation and moments of a normal or exponential distribution cut off at both ends.

    Parameters
    ----------
    e1, e2 : float
        Natural parameters: the density is exp(e1 t + e2 t**2), up to a factor; e2 <= 0.
    lower, upper : float
        The ends of the interval.  Where one is infinite, e2 < 0, or e1 must point away from it.

    Returns
    -------
    (log_z, mean, k2, k3, k4) : tuple of float
        Logarithm of the integral, mean, variance, third and fourth central moment.

    Notes
    -----
    The interval is cut where the density is 45 nats below its peak, then 48 nodes of Gauss and
    Legendre leave errors of some 1e-14 in the central moments.
    """
    if lower == -math.inf and upper == math.inf:
        k2 = -0.5 / e2
        log_z = 0.5 * math.log(2.0 * math.pi * k2) + 0.5 * e1 * e1 * k2
        return log_z, e1 * k2, k2, 0.0, 3.0 * k2 * k2
    peak = upper if e1 > 0.0 else lower
    if e2 < 0.0:
        peak = min(max(-0.5 * e1 / e2, lower), upper)
    slope = e1 + 2.0 * e2 * peak
    if lower < peak < upper:
        slope = 0.0  # but for rounding
    rate = abs(slope) + math.sqrt(slope * slope - 4.0 * e2 * _DROP)
    reach = 2.0 * _DROP / rate if rate > 0.0 else math.inf
    # Distances from the peak: its own digits may be too few for them.
    below, above = min(peak - lower, reach), min(upper - peak, reach)
    half, shift = 0.5 * (above + below), 0.5 * (above - below)
    total = first = 0.0
    for k in range(24):
        d = half * _NODES[k]
        up, down = _relative(slope, e2, shift + d), _relative(slope, e2, shift - d)
        total += _WEIGHTS[k] * (up + down)
        first += _WEIGHTS[k] * d * (up - down)
    mean = first / total
    k2 = k3 = k4 = 0.0
    for k in range(24):
        d = half * _NODES[k]
        up = _WEIGHTS[k] * _relative(slope, e2, shift + d) / total
        down = _WEIGHTS[k] * _relative(slope, e2, shift - d) / total
        a, b = d - mean, -d - mean
        k2 += up * a * a + down * b * b
        k3 += up * a * a * a + down * b * b * b
        k4 += up * a * a * a * a + down * b * b * b * b
    log_z = np.log(half * total) + peak * (e1 + e2 * peak)
    return log_z, peak + (shift + mean), k2, k3, k4


@kernel
def moments_of_rows(e1, e2, lower, upper):
    """`truncated_moments` of n rows, each argument (n,), as (5, n)."""
    out = np.empty((5, e1.size))
    for i in range(e1.size):
        row = truncated_moments(e1[i], e2[i], lower[i], upper[i])
        out[0, i], out[1, i], out[2, i], out[3, i], out[4, i] = row
    return out


@helper
def _relative(slope, e2, d):
    """The density at a distance from the peak, relative to that there."""
    return exp(d * (slope + e2 * d), 0.0)
