"""Scores to gradient and empirical Fisher matrix: sums and products in register tiles.

Scores lie in a structure of arrays, a row for each parameter, so that eight observations are one
vector.  A tile of 4 x 4 products holds 16 sums in registers and reads each row once for four.
"""

import numpy as np

from fastnat.kernels import lanes
from fastnat.kernels._jit import helper, kernel

BLOCK = 512
"""Observations in a block: their scores stay in the first-level cache for small p."""

_TILE = 4


def _weigh(v, rows, w):
    """The rows, and the rows times their weights; what has no weight is not looked at."""
    if w is None:
        return rows, rows
    used = v.lt(v.constant(0.0), w)
    rows = [v.select(used, row, v.constant(0.0)) for row in rows]
    return rows, [v.mul(row, w) for row in rows]


def _total(v, values, consts, flags):
    """Sums of w a, of each row a."""
    _, weighted = _weigh(v, values[:-1], values[-1])
    return weighted


def _triangle(v, values, consts, flags):
    """Sums of w a b for each row a, with itself and the rows before it."""
    rows, weighted = _weigh(v, values[:-1], values[-1])
    return [(weighted[i], rows[j]) for i in range(len(rows)) for j in range(i + 1)]


def _rectangle(v, values, consts, flags):
    """Sums of w a b for each of the first rows a with each of the last four rows b."""
    rows, weighted = _weigh(v, values[:-1], values[-1])
    n = len(rows) - _TILE
    return [(weighted[i], rows[n + j]) for i in range(n) for j in range(_TILE)]


def _make(body, unrolls):
    return [lanes.row_sums(body, 0, rows=1, unroll=unroll) for unroll in unrolls]


# Eight sums or more in flight hide the latency of a multiply-add.
_total_1, _total_2, _total_3, _total_4 = _make(_total, (4, 4, 2, 2))
_triangle_1, _triangle_2, _triangle_3, _triangle_4 = _make(_triangle, (4, 4, 2, 1))
_rectangle_1, _rectangle_2, _rectangle_3, _rectangle_4 = _make(_rectangle, (2, 1, 1, 1))


@helper
def _totals(s, size, weights, n, out):
    if size == 1:
        _total_1((s[0], weights), 0, 0, n, 0, out, (), out, 0, 0)
    elif size == 2:
        _total_2((s[0], s[1], weights), 0, 0, n, 0, out, (), out, 0, 0)
    elif size == 3:
        _total_3((s[0], s[1], s[2], weights), 0, 0, n, 0, out, (), out, 0, 0)
    else:
        _total_4((s[0], s[1], s[2], s[3], weights), 0, 0, n, 0, out, (), out, 0, 0)


@helper
def _triangles(s, size, weights, n, out):
    if size == 1:
        _triangle_1((s[0], weights), 0, 0, n, 0, out, (), out, 0, 0)
    elif size == 2:
        _triangle_2((s[0], s[1], weights), 0, 0, n, 0, out, (), out, 0, 0)
    elif size == 3:
        _triangle_3((s[0], s[1], s[2], weights), 0, 0, n, 0, out, (), out, 0, 0)
    else:
        _triangle_4((s[0], s[1], s[2], s[3], weights), 0, 0, n, 0, out, (), out, 0, 0)


@helper
def _rectangles(a, size, b, weights, n, out):
    s, t, u, v = b[0], b[1], b[2], b[3]
    if size == 1:
        _rectangle_1((a[0], s, t, u, v, weights), 0, 0, n, 0, out, (), out, 0, 0)
    elif size == 2:
        _rectangle_2((a[0], a[1], s, t, u, v, weights), 0, 0, n, 0, out, (), out, 0, 0)
    elif size == 3:
        _rectangle_3((a[0], a[1], a[2], s, t, u, v, weights), 0, 0, n, 0, out, (), out, 0, 0)
    else:
        _rectangle_4((a[0], a[1], a[2], a[3], s, t, u, v, weights), 0, 0, n, 0, out, (), out, 0, 0)


@kernel
def accumulate(scores, weights, n, grad, fisher):
    """Add the sums and the sums of products of ``n`` observations' scores.

    scores : (q, m >= n), q >= p; row j holds the scores of parameter j.
    weights : (at least n,), not negative, or None; an observation of weight 0 is not looked at.
    grad : (q,), added to: sum of w s, for all q rows.
    fisher : (p, p), added to: sum of w s s', of the first p rows.  p may be 0.

    All are C-contiguous and float64.  The order of summation depends on n and on the number of
    rows.
    """
    out = np.empty((_TILE * _TILE, 1))  # the sums of a tile
    q, p = scores.shape[0], fisher.shape[0]
    for j in range(0, q, _TILE):
        size = min(_TILE, q - j)
        _totals(scores[j:], size, weights, n, out)
        for i in range(size):
            grad[j + i] += out[i, 0]
    for j in range(0, p, _TILE):
        size = min(_TILE, p - j)
        _triangles(scores[j:], size, weights, n, out)
        cell = 0
        for i in range(size):
            for k in range(i + 1):
                _add_to_both(fisher, j + i, j + k, out[cell, 0])
                cell += 1
        for k in range(0, j, _TILE):
            _rectangles(scores[j:], size, scores[k:], weights, n, out)
            for i in range(size):
                for m in range(_TILE):
                    _add_to_both(fisher, j + i, k + m, out[_TILE * i + m, 0])


@helper
def _add_to_both(fisher, j, k, value):
    fisher[j, k] += value
    if j != k:
        fisher[k, j] += value
