"""Rows of a regression, packed: blocks of a structure of arrays, sorted by kind, without units.

A block holds up to BLOCK rows.  Its *design* (n_rows_of(p, q), STRIDE) has the p columns of X, then
what the predictor aims at (the value, or a limit, or a midpoint, to begin with), then zeros up to
a multiple of four, then the q columns of Z.  Its *cells* (N_CELLS, STRIDE) are what else is known
of each row.  Rows that are not used, for their weight is 0, or they are missing and left out, or
say nothing, are not packed.
"""

import math

import numpy as np

from fastnat.kernels._jit import helper
from fastnat.kernels.compression import verdict
from fastnat.kernels.tiles import TILE

BLOCK = 512
STRIDE = BLOCK + 8  # neighbours in a column must not fall on one place of the cache

LOW, WIDTH, NOISE, LEAST, MOST, WEIGHT, CLUSTER, N_CELLS = range(8)
"""Cells of a row: its value or limit or lower end, the width of its interval, its noise, the bounds
or limits between which a value would have been seen, weight, cluster; and how many they are."""

EXACT, TRUNCATED, LEFT, RIGHT, BETWEEN, N_KINDS = range(6)
"""Kinds of rows, in the order in which a block has them, and how many they are."""


@helper
def z_row(p):
    """The row of a design where Z begins."""
    return TILE * ((p + 1 + TILE - 1) // TILE)


@helper
def new_block(n_blocks, p, q):
    """(cells, design, ends) of so many blocks; ends (n_blocks, N_KINDS + 1): where kinds begin."""
    n_rows = z_row(p) + TILE * ((q + TILE - 1) // TILE)
    return (
        np.empty((n_blocks, N_CELLS, STRIDE)),
        np.zeros((n_blocks, n_rows, STRIDE)),
        np.empty((n_blocks, N_KINDS + 1), np.int64),
    )


@helper
def pack(columns, x, z, first, n, x_first, z_first, omit, kinds, cells, design, ends):
    """Pack rows first, ..., first + n - 1, at most a block; returns (status, total weight).

    columns : (y, upper, left, right, least, most, noise, weights, clusters), each (n_total,), or
        (0,) if it is not given, so that there is one signature; y is.
    x, z : (any, p) and (any, q), of which the rows from ``x_first`` and ``z_first`` on are these;
        z may be (0, 0), for a column of ones.
    omit : whether a row with a NaN is left out.
    kinds : (BLOCK,) int8, scratch.
    The status is -1 if weights cannot be used.
    """
    code, total = _classify(columns, x, z, first, n, x_first, z_first, omit, kinds, ends)
    _, _, left, right, least, most, noise, w, clusters = columns
    p, own_z = x.shape[1], z_row(x.shape[1])
    at = np.empty(N_KINDS, np.int64)
    for kind in range(N_KINDS):
        at[kind] = ends[kind]
    for i in range(n):
        kind = np.int64(kinds[i])
        if kind < 0:
            continue
        t, row = at[kind], first + i
        at[kind] += 1
        _, _, low, high = _observe(columns, row)
        cells[LOW, t] = high if kind == LEFT else low
        cells[WIDTH, t] = high - low if kind == BETWEEN else 0.0
        design[p, t] = low + 0.5 * (high - low) if kind == BETWEEN else cells[LOW, t]
        cells[WEIGHT, t] = _at(w, row, 1.0)
        cells[NOISE, t] = _at(noise, row, 0.0)
        # Bounds and limits are never given together.
        cells[LEAST, t] = _at(left, row, _at(least, row, -math.inf))
        cells[MOST, t] = _at(right, row, _at(most, row, math.inf))
        cells[CLUSTER, t] = _at(clusters, row, 0.0)
        for j in range(p):
            design[j, t] = x[x_first + i, j]
        if z.size == 0:
            design[own_z, t] = 1.0
        for j in range(z.shape[1]):
            design[own_z + j, t] = z[z_first + i, j]
    return code, total


@helper
def _at(column, row, default):
    """An element of a column, or what it is if the column is not given."""
    return column[row] if column.size > 0 else default


@helper
def _observe(columns, row):
    """(missing, impossible, lower end, upper end) of what is known of a value; see `compression`."""
    y, upper, left, right, _, _, _, _, _ = columns
    low = y[row]
    high = _at(upper, row, low)
    missing = low != low and high != high
    least, most = _at(left, row, -math.inf), _at(right, row, math.inf)
    wrong = not (least <= most and least < math.inf and most > -math.inf)
    if left.size > 0 and low <= least:
        low, high = -math.inf, least
    elif right.size > 0 and low >= most:
        low, high = most, math.inf
    impossible = wrong or (not missing and not low <= high)
    impossible = impossible or (low == high and math.isinf(low))
    return missing and not wrong, impossible, low, high


@helper
def _classify(columns, x, z, first, n, x_first, z_first, omit, kinds, ends):
    """The kind of each row, -1 if it is not used, and where the kinds of the block begin."""
    _, _, _, _, lower, upper, noise, w, _ = columns
    missing_rows = impossible_rows = bad = used = np.int64(0)
    total = all_weights = 0.0
    for kind in range(N_KINDS + 1):
        ends[kind] = 0
    for i in range(n):
        row = first + i
        kinds[i] = -1
        weight = _at(w, row, 1.0)
        all_weights += weight
        bad += not weight >= 0.0
        if not weight > 0.0:
            continue
        missing, impossible, low, high = _observe(columns, row)
        kind = _kind(low, high)
        if lower.size > 0:
            kind = TRUNCATED
            impossible = impossible or not lower[row] < upper[row]
            impossible = impossible or not (missing or lower[row] <= low <= upper[row])
        impossible = impossible or not 0.0 <= _at(noise, row, 0.0) < math.inf
        missing = missing or _has_nan(x, x_first + i) or _has_nan(z, z_first + i)
        largest = max(_largest(x, x_first + i), _largest(z, z_first + i))
        impossible = impossible or largest == math.inf
        missing_rows += missing
        impossible_rows += impossible
        if missing or impossible or kind < 0:
            continue
        kinds[i] = kind
        ends[kind + 1] += 1
        used += 1
        total += weight
    for kind in range(N_KINDS):
        ends[kind + 1] += ends[kind]
    bad += not all_weights < math.inf
    return verdict(bad, 0.0, missing_rows, impossible_rows, omit, used), total


@helper
def _kind(low, high):
    """Of an observation between these ends; -1 if it says nothing."""
    if low == high:
        return EXACT
    if low == -math.inf:
        return LEFT if high < math.inf else -1
    return RIGHT if high == math.inf else BETWEEN


@helper
def _largest(a, row):
    size = 0.0
    for j in range(a.shape[1]):
        if abs(a[row, j]) > size:  # NaN is not
            size = abs(a[row, j])
    return size


@helper
def _has_nan(a, row):
    for j in range(a.shape[1]):
        if a[row, j] != a[row, j]:
            return True
    return False


@helper
def move(block, p, basis, origin, unit, fit):
    """Go to other coordinates: X becomes X basis^-1, values lose X origin, and their unit.

    block : (cells (N_CELLS, STRIDE), design (rows, STRIDE), ends), of one block.
    basis : (p, p), upper triangular.
    origin : (p,), in the new coordinates.
    fit : (STRIDE,), scratch.
    """
    cells, design, ends = block
    n = ends[N_KINDS]
    change_basis(design[:p], n, basis)
    for i in range(n):
        fit[i] = 0.0
    for j in range(p):
        _subtract(design[j], n, -origin[j], fit)
    for row in (design[p], cells[LOW], cells[LEAST], cells[MOST]):
        for i in range(n):
            row[i] = (row[i] - fit[i]) / unit
    for row in (cells[WIDTH], cells[NOISE]):
        for i in range(n):
            row[i] /= unit


@helper
def change_basis(columns, n, basis):
    """Columns (p, at least n) times the inverse of an upper triangular matrix (p, p)."""
    for j in range(basis.shape[0]):
        own = columns[j]
        for k in range(j):
            if basis[k, j] != 0.0:
                _subtract(columns[k], n, basis[k, j], own)
        if basis[j, j] != 1.0:
            for i in range(n):
                own[i] /= basis[j, j]


@helper
def _subtract(column, n, factor, out):
    for i in range(n):
        out[i] -= factor * column[i]
