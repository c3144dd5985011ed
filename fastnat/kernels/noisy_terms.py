"""What intervals and truncated values with noise add to the log-likelihood of (mu, v)."""

import math

from fastnat.kernels._jit import helper
from fastnat.kernels._stop import stopped
from fastnat.kernels.observation import interval
from fastnat.kernels.special import tail

_LOG_2PI = math.log(2.0 * math.pi)

LOW, HIGH, LEAST, MOST, NOISE, WEIGHT, N_ROWS = range(7)
"""Rows of the workspace: ends of the observations, their bounds, noise and weights."""


@helper
def sums_of(work, n, mu, v):
    """(loglik, its slopes by mu and v, and the observed information), in the order

    loglik, score of mu, information of mu, score of v, of both, information of v.

    At v = 0 what is known without noise is certain, between `_edges`.
    """
    loglik = of_mu = info_mu = of_v = info_both = info_v = 0.0
    for i in range(1 if stopped() else n):
        variance = v + work[NOISE, i] * work[NOISE, i]
        if variance == 0.0:
            continue
        s = math.sqrt(variance)
        ll, s_m, s_l, j_mm, j_ml, j_ll = terms_of(work, i, mu, s)
        w = work[WEIGHT, i]
        loglik += w * ll
        of_mu += w * s_m / s
        info_mu += w * j_mm / variance
        of_v += 0.5 * w * s_l / variance
        info_both += 0.5 * w * j_ml / (variance * s)
        info_v += w * (0.25 * j_ll + 0.5 * s_l) / (variance * variance)
    return loglik, of_mu, info_mu, of_v, info_both, info_v


@helper
def terms_of(work, i, mu, s):
    """(loglik, s_m, s_l, J) of an observation, in (mu / s, log s)."""
    low, high, least, most = work[LOW, i], work[HIGH, i], work[LEAST, i], work[MOST, i]
    if low == high:
        z = (low - mu) / s
        terms = (
            -0.5 * (z * z + _LOG_2PI) - math.log(s),
            z,
            z * z - 1.0,
            1.0,
            2.0 * z,
            2.0 * z * z,
        )
    else:
        terms = _probability(low, high, mu, s)
    if least > -math.inf or most < math.inf:
        inside = _probability(least, most, mu, s)
        terms = (
            terms[0] - inside[0],
            terms[1] - inside[1],
            terms[2] - inside[2],
            terms[3] - inside[3],
            terms[4] - inside[4],
            terms[5] - inside[5],
        )
    return terms


@helper
def _probability(low, high, mu, s):
    """The same for the probability between two ends."""
    a, b = (low - mu) / s, (high - mu) / s
    if b == math.inf or a == -math.inf:
        sign = 1.0 if b == math.inf else -1.0
        z = a if b == math.inf else -b
        hazard, remainder, log_tail = tail(z)
        part = hazard * remainder
        ll, s_m, s_l = log_tail, sign * hazard, z * hazard
        g_mm, g_ml, g_ll = part, sign * z * part, z * z * part
    else:
        ll, s_m, s_l, g_mm, g_ml, g_ll = interval(a, b, (high - low) / s)
    return ll, s_m, s_l, g_mm, g_ml + s_m, g_ll + s_l
