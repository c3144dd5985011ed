"""The normal distribution with complete data: statistics -> maximum, in closed form."""

import math

import numpy as np

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
    here = slice(first, first + n_fits)
    mus, sigmas, nobs, statuses = (
        out[MU, here],
        out[SIGMA, here],
        out[NOBS, here],
        out[STATUS, here],
    )
    origins, scales, weights = stats[moments.ORIGIN], stats[moments.SCALE], stats[moments.W]
    means, m2s = stats[moments.MEAN], stats[moments.M2]
    irregular = 0
    for j in range(n_fits):  # without branches, so that LLVM vectorises it
        dof = weights[j] - lost
        mus[j] = origins[j] + means[j]
        sigmas[j] = np.sqrt(m2s[j] / dof)
        nobs[j] = weights[j]
        statuses[j] = codes.OK
        plain = m2s[j] > 0.0 and dof > 0.0 and weights[j] < math.inf and scales[j] == 1.0
        irregular += not plain
    if stats.shape[0] > moments.M3:
        for j in range(n_fits):
            variance = m2s[j] / weights[j]
            third = stats[moments.M3, j] / weights[j]
            fourth = stats[moments.M4, j] / weights[j]
            out[SKEWNESS, first + j] = third / (variance * np.sqrt(variance))
            out[KURTOSIS, first + j] = fourth / (variance * variance)
    bad_weights = 0
    if irregular:
        for j in range(n_fits):
            dof = weights[j] - lost
            if not weights[j] < math.inf:
                bad_weights += 1
                continue
            # The sum may be a number where scale * mean is not.
            mus[j] = scales[j] * (origins[j] / scales[j] + means[j])
            sigmas[j] *= scales[j]
            if not (m2s[j] > 0.0 and dof > 0.0):
                code, mu, sigma = _degenerate(weights[j], means[j], m2s[j], dof, mus[j])
                statuses[j], mus[j], sigmas[j] = code, mu, sigma
    return bad_weights
