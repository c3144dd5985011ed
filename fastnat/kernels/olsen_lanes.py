"""The climb of many problems with common limits at once: each is a lane of vectorised loops.

Newton's steps in Olsen's chart, damped as for self-concordant functions but not otherwise
controlled.  Where they arrive, as they do as a rule, this is all of the fit; where they do not,
`olsen.maximise` begins at what they have found.
"""

import math

import numpy as np

from fastnat.kernels import compression, moments
from fastnat.kernels._jit import helper, inlined
from fastnat.kernels._scalar import select
from fastnat.kernels.olsen import FAR
from fastnat.kernels.special import hazards, log, tail

BETA, H, STEPS, TOTAL, LOGLIK, AA, AC, CC, N_FOUND = range(9)
"""Rows of what is found: the point (beta, h), relative to the mean of the exact values; steps that
led there; total weight; log-likelihood, NaN where the climb has not arrived; curvature.  How many
they are."""

_TILE = 128
_STEPS = 8
_CALM = 0.25  # distances to the maximum, in standard deviations, of undamped steps
_LEAST = 0.1  # of 1 / sigma is left by any step
_REST = 1e-28  # decrements that are rounding, all but
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)

# Rows of a tile beyond those: weight of the exact values, what makes of its h that of the problem,
# and of each side the limit, the weight beyond it, score and curvature.
_W, _SPREAD, _LEFT, _RIGHT, _N_ROWS = N_FOUND, N_FOUND + 1, N_FOUND + 2, N_FOUND + 6, N_FOUND + 10
_WEIGHT, _SCORE, _CURVE = 1, 2, 3


@helper
def climb(stats, lists, ends, units, tol, found):
    """Climb with problems as in `censored.fit`, of which each has at most one limit on a side.

    found : (N_FOUND, n_fits), out; of problems without different exact values NaN, and junk.
    """
    tile, enough = np.empty((_N_ROWS, _TILE)), min(tol * tol, _REST)
    for first in range(0, units.size, _TILE):
        size = min(_TILE, units.size - first)
        left, right = _load(stats, lists, ends, units, first, size, tile)
        for _ in range(_STEPS):
            if left:
                _look(tile, size, _LEFT, -1.0)
            if right:
                _look(tile, size, _RIGHT, 1.0)
            if _step(tile, size, enough) == 0:
                break
        _arrive(tile, size, left, right, enough)
        for row in range(N_FOUND):
            for k in range(size):
                found[row, first + k] = tile[row, k]


@helper
def _load(stats, lists, ends, units, first, size, tile):
    """Problems in units of the standard deviation of their exact values, about their mean.

    Returns whether any has values beyond a limit on the left, and on the right.
    """
    for k in range(size):
        j = first + k
        weight, scale = stats[moments.W, j], stats[moments.SCALE, j]
        deviation = math.sqrt(stats[moments.M2, j] / weight)
        tile[_W, k], tile[_SPREAD, k] = weight, units[j] / (scale * deviation)
        for row, limits, weights, kind in (
            (_LEFT, lists[compression.LEFT], lists[compression.LEFT_W], compression.LEFTS),
            (_RIGHT, lists[compression.RIGHT], lists[compression.RIGHT_W], compression.RIGHTS),
        ):
            at = ends[kind, j]
            limit = own = 0.0
            if at < ends[kind, j + 1]:
                limit = limits[at] * (units[j] / scale) - stats[moments.ORIGIN, j] / scale
                limit, own = (limit - stats[moments.MEAN, j]) / deviation, weights[at]
            tile[row, k], tile[row + _WEIGHT, k] = limit, own
            tile[row + _SCORE, k] = tile[row + _CURVE, k] = 0.0
    left, right = 0.0, 0.0
    for k in range(size):
        left += tile[_LEFT + _WEIGHT, k]
        right += tile[_RIGHT + _WEIGHT, k]
        _start(tile, k)
    return left > 0.0, right > 0.0


@helper
def _start(tile, k):
    """Mean and standard deviation of the values, with limits in the place of others."""
    u, v, w = tile[_LEFT, k], tile[_RIGHT, k], tile[_W, k]
    below, above = tile[_LEFT + _WEIGHT, k], tile[_RIGHT + _WEIGHT, k]
    total = w + below + above
    mean = (below * u + above * v) / total
    h = 1.0 / math.sqrt((w + below * u * u + above * v * v) / total - mean * mean)
    tile[BETA, k], tile[H, k], tile[STEPS, k], tile[TOTAL, k] = mean * h, h, 0.0, total


@helper
def _look(tile, size, side, sign):
    """Weighted hazards of what is beyond the limits on one side, and their derivatives."""
    for k in range(size):
        hazard, remainder = hazards(sign * (tile[side, k] * tile[H, k] - tile[BETA, k]))
        score = tile[side + _WEIGHT, k] * hazard
        tile[side + _SCORE, k], tile[side + _CURVE, k] = score, score * remainder


@inlined
def _newton(tile, k):
    """(decrement, step (beta, h), curvature (first, both, second)) of lane k, from its scores."""
    beta, h, w, u, v = tile[BETA, k], tile[H, k], tile[_W, k], tile[_LEFT, k], tile[_RIGHT, k]
    a, p = tile[_LEFT + _SCORE, k], tile[_LEFT + _CURVE, k]
    b, q = tile[_RIGHT + _SCORE, k], tile[_RIGHT + _CURVE, k]
    of_beta, of_h = b - a - w * beta, w / h - w * h + a * u - b * v
    first, both = w + p + q, -(p * u + q * v)
    second = w / (h * h) + w + p * u * u + q * v * v
    det = first * second - both * both
    d_beta = (second * of_beta - both * of_h) / det
    d_h = (first * of_h - both * of_beta) / det
    decrement = abs(of_beta * d_beta + of_h * d_h) / tile[TOTAL, k]
    return decrement, (d_beta, d_h), (first, both, second)


@helper
def _step(tile, size, enough):
    """One step of each lane that has not arrived; returns how many these are."""
    moving = np.int64(0)
    for k in range(size):
        decrement, step, _ = _newton(tile, k)
        beta, h, distance = tile[BETA, k], tile[H, k], np.sqrt(decrement)
        share = select(distance > _CALM, 1.0 / (1.0 + distance), 1.0)
        more, new = decrement > enough, h + share * step[1]
        tile[BETA, k] = select(more, beta + share * step[0], beta)
        tile[H, k] = select(more, select(new > _LEAST * h, new, _LEAST * h), h)
        tile[STEPS, k] += select(more, 1.0, 0.0)
        moving += more
    return moving


@helper
def _arrive(tile, size, left, right, enough):
    """What is to be known at the end, in the problems' own units."""
    for k in range(size):
        beta, h, w = tile[BETA, k], tile[H, k], tile[_W, k]
        own = log(h * tile[_SPREAD, k]) - _HALF_LOG_2PI - 0.5 * (beta * beta + h * h)
        tile[LOGLIK, k] = w * own
    if left:
        _look_closer(tile, size, _LEFT, -1.0)
    if right:
        _look_closer(tile, size, _RIGHT, 1.0)
    for k in range(size):
        spread = tile[_SPREAD, k]
        decrement, _, curvature = _newton(tile, k)
        near = select(abs(tile[BETA, k]) <= FAR, decrement, math.inf)
        # Equal values have no spread.
        near = select(spread < math.inf, near, math.inf)
        tile[LOGLIK, k] = select(near <= enough, tile[LOGLIK, k], math.nan)
        tile[H, k] *= spread
        tile[AA, k] = curvature[0]
        tile[AC, k] = curvature[1] / spread
        tile[CC, k] = curvature[2] / spread / spread


@helper
def _look_closer(tile, size, side, sign):
    """`_look` that adds to the log-likelihood."""
    for k in range(size):
        z = sign * (tile[side, k] * tile[H, k] - tile[BETA, k])
        hazard, remainder, log_prob = tail(z)
        weight = tile[side + _WEIGHT, k]
        score = weight * hazard
        tile[side + _SCORE, k], tile[side + _CURVE, k] = score, score * remainder
        tile[LOGLIK, k] += weight * log_prob
