"""Weighted sums and sums of products of rows, in register tiles.

Rows lie in a structure of arrays, one for each variable, so that eight observations are one
vector.  A tile of 4 x 4 products holds 16 sums in registers and reads each row once for four.

Sums are added to *cells*, a flat array with CELLS of them for each tile, until somebody takes them.
"""

from typing import Any

import numpy as np

from fastnat.kernels._jit import helper, with_twin
from fastnat.kernels._llvm import call_of, check_types
from fastnat.kernels._llvm_tiles import emit_tile
from fastnat.kernels._numpy_lanes import Shape, sums_of_row

TILE = 4
CELLS = TILE * TILE

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
    rows, w = values[:-1], values[-1]
    if w is None:
        return rows
    return [(row, w) for row in _weigh(v, rows, w, flags)[0]]


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


# Eight sums or more in flight hide the latency of a multiply-add.
_SHAPES = (
    *(Shape(_total, size, 0, unroll) for size, unroll in ((1, 4), (2, 4), (3, 2), (4, 2))),
    *(Shape(_triangle, size, 0, unroll) for size, unroll in ((1, 4), (2, 4), (3, 2), (4, 1))),
    *(Shape(_rectangle, size, TILE, unroll) for size, unroll in ((1, 2), (2, 1), (3, 1), (4, 1))),
)
_TOTALS, _TRIANGLES, _RECTANGLES = -1, TILE - 1, 2 * TILE - 1  # and the size, is a shape


def _kinds_of_tile(*kinds: Any) -> Any:
    check_types((kinds[1], kinds[4]), kinds[7], kinds[7])
    return call_of(kinds), lambda *call: emit_tile(_SHAPES, *call)


@with_twin(_kinds_of_tile)
def _tile(
    shape: int, rows: Any, first: int, second: int, w: Any, n: int, kind: Any, cells: Any, at: int
) -> None:
    """Add the sums of a shape, over the first ``n`` of its rows, to ``cells[at:]``.

    Its own rows are those from ``first`` on, the others those from ``second`` on; w may be None.
    """
    body, own, others, unroll = _SHAPES[shape]
    rows = np.atleast_2d(rows)
    arrays = [rows[first + j] for j in range(own)] + [rows[second + j] for j in range(others)]
    flags = tuple(flag is not None for flag in kind)
    for s, found in enumerate(sums_of_row(body, [*arrays, w], [], flags, n, unroll)):
        cells[at + s] += found


@helper
def new_cells(n):
    """Room for the sums of ``n`` tiles."""
    return np.zeros(n * CELLS)


@helper
def total(row, n, cells):
    """The sum of the first ``n`` of a row; cells : of a tile, 0."""
    _tile(_TOTALS + 1, row, 0, 0, None, n, SIGNED, cells, 0)
    found = cells[0]
    cells[0] = 0.0
    return found


@helper
def totals_tiles(p):
    """How many tiles `add_totals` needs."""
    return (p + TILE - 1) // TILE


@helper
def add_totals(rows, first, p, weights, n, kind, cells, at):
    """Add the sums over ``n`` observations of w a, for ``p`` rows a from ``first`` on.

    rows : (at least first + p, m >= n); weights : (at least n,) or None; kind : CHECKED or SIGNED.
    at : where the cells of these sums begin.
    """
    for j in range(0, p, TILE):
        size = min(TILE, p - j)
        _tile(_TOTALS + size, rows, first + j, 0, weights, n, kind, cells, at + j // TILE * CELLS)


@helper
def take_totals(cells, at, p, out):
    """Add what `add_totals` has found to ``out`` (p,); cells become 0."""
    for j in range(p):
        out[j] += cells[at + j // TILE * CELLS + j % TILE]
    cells[at : at + totals_tiles(p) * CELLS] = 0.0


@helper
def moments_tiles(p):
    """How many tiles `add_moments` needs."""
    n = (p + TILE - 1) // TILE
    return n * (n + 1) // 2


@helper
def add_moments(rows, first, p, weights, n, kind, cells, at):
    """Add the sums of w a and w a b, for each pair of ``p`` rows; the rest as in `add_totals`."""
    for j in range(0, p, TILE):
        size = min(TILE, p - j)
        _tile(_TRIANGLES + size, rows, first + j, 0, weights, n, kind, cells, at)
        at += CELLS
        for k in range(0, j, TILE):
            _tile(_RECTANGLES + size, rows, first + j, first + k, weights, n, kind, cells, at)
            at += CELLS


@helper
def take_moments(cells, at, p, totals, out):
    """Add what `add_moments` has found to ``totals`` (p,) and ``out`` (p, p); cells become 0."""
    for j in range(0, p, TILE):
        size = min(TILE, p - j)
        cell = at + size
        for i in range(size):
            totals[j + i] += cells[at + i]
            for k in range(i + 1):
                _add_to_both(out, j + i, j + k, cells[cell])
                cell += 1
        cells[at : at + CELLS] = 0.0
        at += CELLS
        for k in range(0, j, TILE):
            for i in range(size):
                for m in range(TILE):
                    _add_to_both(out, j + i, k + m, cells[at + TILE * i + m])
            cells[at : at + CELLS] = 0.0
            at += CELLS


@helper
def products_tiles(q, p):
    """How many tiles `add_products` needs."""
    return totals_tiles(q) * totals_tiles(p)


@helper
def add_products(rows, first, q, second, p, weights, n, kind, cells, at):
    """Add the sums of w a b, for ``q`` rows a from ``first`` and ``p`` rows b from ``second`` on.

    There are as many rows as if p were rounded up to fours; the rest as in `add_totals`.
    """
    for j in range(0, q, TILE):
        size = min(TILE, q - j)
        for k in range(0, p, TILE):
            _tile(_RECTANGLES + size, rows, first + j, second + k, weights, n, kind, cells, at)
            at += CELLS


@helper
def take_products(cells, at, q, p, out):
    """Add what `add_products` has found to ``out`` (q, p); cells become 0."""
    for j in range(0, q, TILE):
        for k in range(0, p, TILE):
            for i in range(min(TILE, q - j)):
                for m in range(min(TILE, p - k)):
                    out[j + i, k + m] += cells[at + TILE * i + m]
            cells[at : at + CELLS] = 0.0
            at += CELLS


@helper
def _add_to_both(matrix, j, k, value):
    matrix[j, k] += value
    if j != k:
        matrix[k, j] += value
