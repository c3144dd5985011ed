"""Starts for many problems with common limits at once: each is a lane of a vectorised loop.

Newton's steps in Olsen's chart, damped as for self-concordant functions but not otherwise
controlled: what comes out is only where `olsen.maximise` begins, close to the end as a rule.
"""

import math

import numpy as np

from fastnat.kernels import compression, moments
from fastnat.kernels._jit import helper, inlined
from fastnat.kernels._scalar import select
from fastnat.kernels.special import hazards

_TILE = 128
_STEPS = 6
_CALM = 0.25  # distances to the maximum, in standard deviations, of undamped steps
_LEAST = 0.1  # of 1 / sigma is left by any step

_W, _M2, _LEFT, _LEFT_W, _RIGHT, _RIGHT_W, _BETA, _H, _ROWS = range(9)


@helper
def start_many(stats, lists, ends, units, starts):
    """Starts (beta, h), relative to the mean of the exact values, of problems as in `fit`.

    starts : (3, n_fits), out; with the number of steps taken; NaN for problems without different
        exact values.  Every problem has at most one left and one right limit.
    """
    tile = np.empty((_ROWS, _TILE))
    n = units.size
    for first in range(0, n, _TILE):
        size = min(_TILE, n - first)
        for k in range(size):
            _load(stats, lists, ends, units, first + k, tile, k)
        for _ in range(_STEPS):
            _step(tile, size)
        for k in range(size):
            j = first + k
            spread = units[j] / (stats[moments.SCALE, j] * math.sqrt(_variance(stats, j)))
            starts[0, j], starts[1, j], starts[2, j] = tile[_BETA, k], tile[_H, k] * spread, _STEPS
            if ends[compression.LEFTS, j] == ends[compression.LEFTS, j + 1] and (
                ends[compression.RIGHTS, j] == ends[compression.RIGHTS, j + 1]
            ):
                starts[0, j], starts[1, j], starts[2, j] = 0.0, spread, 0.0  # the answer


@helper
def _variance(stats, j):
    return stats[moments.M2, j] / stats[moments.W, j]


@helper
def _load(stats, lists, ends, units, j, tile, k):
    """Problem j in units of the standard deviation of its exact values, about their mean."""
    weight = stats[moments.W, j]
    scale = stats[moments.SCALE, j]
    size = math.sqrt(_variance(stats, j))
    total, first, second = weight, 0.0, weight
    for row, limits, weights, kind in (
        (_LEFT, lists[compression.LEFT], lists[compression.LEFT_W], compression.LEFTS),
        (_RIGHT, lists[compression.RIGHT], lists[compression.RIGHT_W], compression.RIGHTS),
    ):
        tile[row, k], tile[row + 1, k] = 0.0, 0.0
        at = ends[kind, j]
        if at < ends[kind, j + 1]:
            limit = limits[at] * (units[j] / scale) - stats[moments.ORIGIN, j] / scale
            limit = (limit - stats[moments.MEAN, j]) / size
            tile[row, k], tile[row + 1, k] = limit, weights[at]
            total += weights[at]
            first += weights[at] * limit
            second += weights[at] * limit * limit
    mean = first / total
    h = 1.0 / math.sqrt(second / total - mean * mean)
    tile[_W, k], tile[_M2, k], tile[_BETA, k], tile[_H, k] = weight, weight, mean * h, h


@helper
def _step(tile, size):
    """One step of each lane."""
    weight, left, left_w = tile[_W], tile[_LEFT], tile[_LEFT_W]
    right, right_w, betas, hs = tile[_RIGHT], tile[_RIGHT_W], tile[_BETA], tile[_H]
    for k in range(size):
        beta, h, w = betas[k], hs[k], weight[k]
        u, v = left[k], right[k]
        a, p = _terms(beta - h * u, left_w[k])
        b, q = _terms(h * v - beta, right_w[k])
        of_beta = b - a - w * beta
        of_h = w / h - w * h + a * u - b * v
        first, both = w + p + q, -(p * u + q * v)
        second = w / (h * h) + w + p * u * u + q * v * v
        det = first * second - both * both
        d_beta = (second * of_beta - both * of_h) / det
        d_h = (first * of_h - both * of_beta) / det
        total = w + left_w[k] + right_w[k]
        distance = np.sqrt(abs(of_beta * d_beta + of_h * d_h) / total)
        share = select(distance > _CALM, 1.0 / (1.0 + distance), 1.0)
        betas[k] = beta + share * d_beta
        new = h + share * d_h
        hs[k] = select(new > _LEAST * h, new, _LEAST * h)


@inlined
def _terms(z, weight):
    """Weighted hazard and curvature; those of no observation are zero."""
    hazard, remainder = hazards(z)
    return weight * hazard, weight * hazard * remainder
