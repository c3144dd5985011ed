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
def pack(columns, x, z, first, n, x_first, z_first, omit, places, cells, design, ends):
    """Pack rows first, ..., first + n - 1, at most a block; returns (status, total weight).

    columns : (y, upper, left, right, least, most, noise, weights, clusters), each (n_total,), or
        (0,) if it is not given, so that there is one signature; y is.
    x, z : (any, p) and (any, q), of which the rows from ``x_first`` and ``z_first`` on are these;
        z may be (0, 0), for a column of ones.
    omit : whether a row with a NaN is left out.
    places : (BLOCK,) int64, scratch.
    The status is -1 if weights cannot be used.
    """
    code, total = _sort(columns, x, z, first, n, x_first, z_first, False, omit, places, cells, ends)
    _fill_design(x, z, n, x_first, z_first, places, design)
    p = x.shape[1]
    if not _all_finite(design, p, max(np.int64(1), z.shape[1]), ends[-1], cells[CLUSTER]):
        # Some row of X or Z is not finite: look at them all.
        code, total = _sort(
            columns, x, z, first, n, x_first, z_first, True, omit, places, cells, ends
        )
        _fill_design(x, z, n, x_first, z_first, places, design)
    aim, low, width = design[p], cells[LOW], cells[WIDTH]
    for t in range(ends[-1]):
        aim[t] = low[t] + 0.5 * width[t]
    _fill(columns[8], 0.0, first, n, places, cells[CLUSTER])
    return code, total


@helper
def _fill_design(x, z, n, x_first, z_first, places, design):
    """Rows of X and Z become columns, where ``places`` says."""
    own_z = z_row(x.shape[1])
    _transpose(x, x_first, n, places, design)
    _transpose(z, z_first, n, places, design[own_z:])
    if z.size == 0:
        for i in range(n):
            if places[i] >= 0:
                design[own_z, places[i]] = 1.0


@helper
def _transpose(source, first, n, places, out):
    # Unsigned, for numba asks of every signed index whether it is negative.
    p = np.uint64(source.shape[1])
    whole = p - p % np.uint64(TILE)
    one, begin = np.uint64(1), np.uint64(first)
    for j in range(np.uint64(0), whole, np.uint64(TILE)):
        a, b, c, d = out[j], out[j + one], out[j + one + one], out[j + one + one + one]
        for i in range(n):
            if places[i] >= 0:
                t, row = np.uint64(places[i]), begin + np.uint64(i)
                a[t], b[t] = source[row, j], source[row, j + one]
                c[t], d[t] = source[row, j + one + one], source[row, j + one + one + one]
    for j in range(whole, p):
        a = out[j]
        for i in range(n):
            if places[i] >= 0:
                a[np.uint64(places[i])] = source[begin + np.uint64(i), j]


@helper
def _all_finite(design, p, q, n, sums):
    """Whether X and Z are finite; ``sums`` (STRIDE,) is scratch."""
    own_z = z_row(p)
    for t in range(n):
        sums[t] = 0.0
    for j in range(p + q):
        column = design[j if j < p else own_z + j - p]
        for t in range(n):
            sums[t] += 0.0 * column[t]  # NaN for infinite numbers as well
    total = 0.0
    for t in range(n):
        total += sums[t]
    return total == 0.0


@helper
def _at(column, row, default):
    """An element of a column, or what it is if the column is not given."""
    return column[row] if column.size > 0 else default


@helper
def _observe(y, upper, left, right, row):
    """(missing, impossible, lower end, upper end) of what is known of a value."""
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
def _sort(columns, x, z, first, n, x_first, z_first, careful, omit, places, cells, ends):
    """Find the kind of each row, and fill the cells of the block, kind by kind.

    careful : whether to look at X and Z as well.
    places : (n,), out: where each row is in the block, -1 if it is not used.
    """
    y, upper, left, right, lower, higher, noise, w, _ = columns
    if upper.size + left.size + right.size > 0:
        _find_intervals(y, upper, left, right, first, n, places)
    else:
        _find_values(y, lower, higher, first, n, places)
    if careful or noise.size > 0:
        _look_closer(x, z, noise, first, x_first, z_first, n, careful, places)
    bad = _leave_out(w, first, n, places)
    missing, impossible = _place(y, upper, left, right, first, n, places, cells, ends)
    # Bounds and limits are never given together.
    _fill(lower if lower.size > 0 else left, -math.inf, first, n, places, cells[LEAST])
    _fill(higher if higher.size > 0 else right, math.inf, first, n, places, cells[MOST])
    _fill(noise, 0.0, first, n, places, cells[NOISE])
    _fill(w, 1.0, first, n, places, cells[WEIGHT])
    total = 0.0
    for t in range(ends[-1]):
        total += cells[WEIGHT, t]
    return verdict(bad, 0.0, missing, impossible, omit, ends[-1]), total


_MISSING, _IMPOSSIBLE, _SILENT = -3, -2, -1
"""In the place of kinds, of rows that are not used; the last ones say nothing."""


@helper
def _place(y, upper, left, right, first, n, places, cells, ends):
    """Kinds become places, and values go there; returns how many are missing, and impossible."""
    missing = impossible = np.int64(0)
    at = np.zeros(N_KINDS, np.int64)
    for i in range(n):
        kind = places[i]
        if kind >= 0:
            at[kind] += 1
        missing += kind == _MISSING
        impossible += kind == _IMPOSSIBLE
    ends[0] = 0
    for kind in range(N_KINDS):
        ends[kind + 1] = ends[kind] + at[kind]
        at[kind] = ends[kind]
    for i in range(n):
        kind = places[i]
        if kind > TRUNCATED:
            _, _, low, high = _observe(y, upper, left, right, first + i)
            cells[LOW, at[kind]] = high if kind == LEFT else low
            cells[WIDTH, at[kind]] = high - low if kind == BETWEEN else 0.0
        elif kind >= 0:
            cells[LOW, at[kind]], cells[WIDTH, at[kind]] = y[first + i], 0.0
        places[i] = -1
        if kind >= 0:
            places[i] = at[kind]
            at[kind] += 1
    return missing, impossible


@helper
def _find_values(y, lower, higher, first, n, places):
    for i in range(n):
        value = y[first + i]
        kind = _MISSING if value != value else EXACT
        if math.isinf(value):
            kind = _IMPOSSIBLE
        if lower.size > 0:
            least, most = lower[first + i], higher[first + i]
            inside = least <= value <= most or value != value
            if not (least < most and inside) or math.isinf(value):
                kind = _IMPOSSIBLE
            elif kind == EXACT:
                kind = TRUNCATED
        places[i] = kind


@helper
def _find_intervals(y, upper, left, right, first, n, places):
    for i in range(n):
        missing, impossible, low, high = _observe(y, upper, left, right, first + i)
        if impossible:
            places[i] = _IMPOSSIBLE
        elif missing:
            places[i] = _MISSING
        elif low == high:
            places[i] = EXACT
        elif low == -math.inf:
            places[i] = LEFT if high < math.inf else _SILENT
        else:
            places[i] = RIGHT if high == math.inf else BETWEEN


@helper
def _look_closer(x, z, noise, first, x_first, z_first, n, careful, places):
    """Noise, and with ``careful`` X and Z, may be NaN or infinite."""
    for i in range(n):
        if careful:
            nan = _has_nan(x, x_first + i) or _has_nan(z, z_first + i)
            infinite = _has_infinite(x, x_first + i) or _has_infinite(z, z_first + i)
            places[i] = _MISSING if nan else (_IMPOSSIBLE if infinite else places[i])
        if noise.size > 0 and not 0.0 <= noise[first + i] < math.inf:
            places[i] = _IMPOSSIBLE


@helper
def _leave_out(w, first, n, places):
    """Rows of weight 0 say nothing, whatever they are; returns how many weights are bad."""
    bad, total = np.int64(0), 0.0
    for i in range(n if w.size > 0 else 0):
        weight = w[first + i]
        total += weight
        bad += not weight >= 0.0
        if not weight > 0.0:
            places[i] = _SILENT
    return bad + (not total < math.inf)


@helper
def _fill(column, default, first, n, places, out):
    if column.size == 0:
        for t in range(n):
            out[t] = default
        return
    for i in range(n):
        if places[i] >= 0:
            out[np.uint64(places[i])] = column[first + i]


@helper
def _has_infinite(a, row):
    found = False
    for j in range(a.shape[1]):
        found = found or math.isinf(a[row, j])
    return found


@helper
def _has_nan(a, row):
    found = False
    for j in range(a.shape[1]):
        found = found or a[row, j] != a[row, j]
    return found


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
