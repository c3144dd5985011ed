"""The normal distribution with complete data: statistics -> maximum, in closed form."""

import math

from fastnat.kernels import codes, moments
from fastnat.kernels._jit import helper, kernel

MU, SIGMA, NOBS, STATUS, SKEWNESS, KURTOSIS = range(6)
"""Rows of the output; without third and fourth moments it ends with STATUS."""


@helper
def _degenerate(weight, mean, m2, dof, mu):
    """(status, mu, sigma) where there is no interior maximum."""
    nan = math.nan
    if weight == 0.0:
        return codes.NO_DATA, nan, nan
    if mean != mean:
        return codes.NAN_INPUT, nan, nan
    if mean == math.inf:
        return codes.INVALID_INPUT, nan, nan
    if dof > 0.0:
        return codes.SIGMA_ZERO, mu, 0.0
    # Restricted likelihood of a total weight of at most one: there is nothing left for sigma.
    if dof == 0.0 and m2 == 0.0:
        return codes.NOT_IDENTIFIED, nan, nan
    return codes.SIGMA_INFINITE, nan, math.inf


@kernel
def finish(stats, n_fits, lost, first, out):
    """Maximise the likelihood of columns 0 to n_fits - 1 of ``stats``; returns bad weights.

    lost : degrees of freedom used up by the mean, 0 (maximum likelihood) or 1 (restricted).
    out : (6 or 4, at least first + n_fits), out.

    The mean parameters (E x, E x**2) of the maximum are the weighted means of (x, x**2): one
    natural-gradient step in that chart, from anywhere.
    """
    bad_weights = 0
    for j in range(n_fits):
        weight = stats[moments.W, j]
        mean = stats[moments.MEAN, j]
        m2 = stats[moments.M2, j]
        scale = stats[moments.SCALE, j]
        dof = weight - lost
        mu = stats[moments.ORIGIN, j] + scale * mean
        sigma = scale * math.sqrt(m2 / dof) if dof > 0.0 else math.inf
        code = codes.OK
        if not (m2 > 0.0 and dof > 0.0 and weight < math.inf):
            if not weight < math.inf:
                bad_weights += 1
            code, mu, sigma = _degenerate(weight, mean, m2, dof, mu)
        out[MU, first + j] = mu
        out[SIGMA, first + j] = sigma
        out[NOBS, first + j] = weight
        out[STATUS, first + j] = code
        if stats.shape[0] > moments.M3:
            variance = m2 / weight
            third = stats[moments.M3, j] / weight
            fourth = stats[moments.M4, j] / weight
            out[SKEWNESS, first + j] = third / (variance * math.sqrt(variance))
            out[KURTOSIS, first + j] = fourth / (variance * variance)
    return bad_weights
