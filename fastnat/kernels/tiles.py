"""Weighted sums and sums of products of rows, in register tiles.

Rows lie in a structure of arrays, one for each variable, so that eight observations are one
vector.  A tile of 4 x 4 products holds 16 sums in registers and reads each row once for four.
"""

import numpy as np

from fastnat.kernels import lanes
from fastnat.kernels._jit import helper

TILE = 4

CHECKED = (True,)
"""Weights are not negative, and an observation of weight 0 is not looked at."""
SIGNED = (None,)
"""Weights may have any sign, and every observation is looked at."""


def _weigh(v, rows, w, flags):
    """The rows, and the rows times their weights."""
    if w is None:
        return rows, rows
    if flags[0]:
        used = v.lt(v.constant(0.0), w)
        rows = [v.select(used, row, v.constant(0.0)) for row in rows]
    return rows, [v.mul(row, w) for row in rows]


def _total(v, values, consts, flags):
    """Sums of w a, of each row a."""
    _, weighted = _weigh(v, values[:-1], values[-1], flags)
    return weighted


def _triangle(v, values, consts, flags):
    """Sums of w a, and of w a b for each row a, with itself and the rows before it.

    Additions are free where multiply-adds are what takes time.
    """
    rows, weighted = _weigh(v, values[:-1], values[-1], flags)
    return [*weighted, *((weighted[i], rows[j]) for i in range(len(rows)) for j in range(i + 1))]


def _rectangle(v, values, consts, flags):
    """Sums of w a b for each of the first rows a with each of the last four rows b."""
    rows, weighted = _weigh(v, values[:-1], values[-1], flags)
    n = len(rows) - TILE
    return [(weighted[i], rows[n + j]) for i in range(n) for j in range(TILE)]


def _make(body, unrolls):
    return [lanes.row_sums(body, 0, rows=1, unroll=unroll) for unroll in unrolls]


# Eight sums or more in flight hide the latency of a multiply-add.
_total_1, _total_2, _total_3, _total_4 = _make(_total, (4, 4, 2, 2))
_triangle_1, _triangle_2, _triangle_3, _triangle_4 = _make(_triangle, (4, 4, 2, 1))
_rectangle_1, _rectangle_2, _rectangle_3, _rectangle_4 = _make(_rectangle, (2, 1, 1, 1))


@helper
def new_sums():
    """Room for the sums of a tile."""
    return np.empty((TILE * TILE, 1))


@helper
def _totals(s, size, w, n, kind, out):
    if size == 1:
        _total_1((s[0], w), 0, 0, n, 0, out, kind, out, 0, 0)
    elif size == 2:
        _total_2((s[0], s[1], w), 0, 0, n, 0, out, kind, out, 0, 0)
    elif size == 3:
        _total_3((s[0], s[1], s[2], w), 0, 0, n, 0, out, kind, out, 0, 0)
    else:
        _total_4((s[0], s[1], s[2], s[3], w), 0, 0, n, 0, out, kind, out, 0, 0)


@helper
def _triangles(s, size, w, n, kind, out):
    if size == 1:
        _triangle_1((s[0], w), 0, 0, n, 0, out, kind, out, 0, 0)
    elif size == 2:
        _triangle_2((s[0], s[1], w), 0, 0, n, 0, out, kind, out, 0, 0)
    elif size == 3:
        _triangle_3((s[0], s[1], s[2], w), 0, 0, n, 0, out, kind, out, 0, 0)
    else:
        _triangle_4((s[0], s[1], s[2], s[3], w), 0, 0, n, 0, out, kind, out, 0, 0)


@helper
def _rectangles(a, size, b, w, n, kind, out):
    s, t, u, v = b[0], b[1], b[2], b[3]
    if size == 1:
        _rectangle_1((a[0], s, t, u, v, w), 0, 0, n, 0, out, kind, out, 0, 0)
    elif size == 2:
        _rectangle_2((a[0], a[1], s, t, u, v, w), 0, 0, n, 0, out, kind, out, 0, 0)
    elif size == 3:
        _rectangle_3((a[0], a[1], a[2], s, t, u, v, w), 0, 0, n, 0, out, kind, out, 0, 0)
    else:
        _rectangle_4((a[0], a[1], a[2], a[3], s, t, u, v, w), 0, 0, n, 0, out, kind, out, 0, 0)


@helper
def total(row, n, sums):
    """The sum of the first ``n`` of a row."""
    _total_1((row, None), 0, 0, n, 0, sums, SIGNED, sums, 0, 0)
    return sums[0, 0]


@helper
def add_totals(rows, weights, n, kind, sums, out):
    """Add the sums over ``n`` observations of w a, for each row a, to ``out`` (number of rows,).

    rows : (q, m >= n); weights : (at least n,) or None; kind : CHECKED or SIGNED.
    sums : what `new_sums` has made, lost.
    """
    for j in range(0, rows.shape[0], TILE):
        size = min(TILE, rows.shape[0] - j)
        _totals(rows[j:], size, weights, n, kind, sums)
        for i in range(size):
            out[j + i] += sums[i, 0]


@helper
def add_moments(rows, p, weights, n, kind, sums, totals, out):
    """Add the sums of w a and w a b, for each pair of the first ``p`` rows.

    totals : (p,); out : (p, p); the rest as in `add_totals`.
    """
    for j in range(0, p, TILE):
        size = min(TILE, p - j)
        _triangles(rows[j:], size, weights, n, kind, sums)
        cell = size
        for i in range(size):
            totals[j + i] += sums[i, 0]
            for k in range(i + 1):
                _add_to_both(out, j + i, j + k, sums[cell, 0])
                cell += 1
        for k in range(0, j, TILE):
            _rectangles(rows[j:], size, rows[k:], weights, n, kind, sums)
            for i in range(size):
                for m in range(TILE):
                    _add_to_both(out, j + i, k + m, sums[TILE * i + m, 0])


@helper
def _add_to_both(matrix, j, k, value):
    matrix[j, k] += value
    if j != k:
        matrix[k, j] += value
