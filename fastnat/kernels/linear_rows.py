"""Rows of a regression, sorted by kind in blocks: what is known of each value, and where X lies.

A block is up to BLOCK rows.  Its *cells* (N_CELLS, STRIDE) are what is known of each row's value, a
column each, sorted by kind.  Its rows of X and Z are read where the caller's are if they are in
that order already, as those of complete data are, and if no other coordinates are needed; else they
are copied.  Rows that are not used, for their weight is 0, or they are missing and left out, or say
nothing, have no place.
"""

import math

import numpy as np

from fastnat.kernels._jit import helper, kernel
from fastnat.kernels._scalar import fma
from fastnat.kernels.compression import verdict
from fastnat.kernels.fisher import BLOCK, STRIDE
from fastnat.kernels.linear_frame import factors_of, lead_of
from fastnat.kernels.products import predict

LOW, WIDTH, NOISE, LEAST, MOST, WEIGHT, CLUSTER, N_CELLS = range(8)
"""Cells of a row: its value or limit or lower end, the width of its interval, its noise, the bounds
or limits between which a value would have been seen, weight, cluster; and how many they are."""

LEFT, RIGHT, BETWEEN, TRUNCATED, EXACT, N_KINDS = range(6)
"""Kinds of rows, in the order in which a block has them, and how many they are."""

_MISSING, _IMPOSSIBLE, _SILENT = -3, -2, -1
"""In the place of kinds, of rows that are not used; the last ones say nothing."""


@helper
def new_blocks(n_blocks, p, q):
    """(cells, ends, own X, own Z, is own) of so many blocks.

    ends : (n_blocks, N_KINDS + 1), where kinds begin; own X and Z : flat, copies of rows, where
    they are needed; is own : (n_blocks,), whether they are.
    """
    cells = np.empty((n_blocks, N_CELLS, STRIDE))
    for i in range(n_blocks):
        # What is not given stays so.
        cells[i] = 0.0
        _fill(cells[i, LEAST], -math.inf)
        _fill(cells[i, MOST], math.inf)
        _fill(cells[i, WEIGHT], 1.0)
    ends, is_own = np.empty((n_blocks, N_KINDS + 1), np.int64), np.zeros(n_blocks, np.int64)
    return cells, ends, np.empty(n_blocks * BLOCK * p), np.empty(n_blocks * BLOCK * q), is_own


@helper
def _fill(row, value):
    for i in range(row.size):
        row[i] = value


@helper
def new_scratch(p):
    """(kinds, order, fit, coefficients): what `pack` and `move` work with."""
    kinds, order = np.empty(BLOCK, np.int64), np.empty(BLOCK + 1, np.int64)
    return kinds, order, np.empty((3, STRIDE)), np.empty(p)


@kernel
def all_finite(x, first, n):
    """Whether n rows of x (any, p), from ``first`` on, are finite."""
    p = x.shape[1]
    flat, none, products = x.reshape(x.size), np.zeros(p), np.empty(STRIDE)
    for skip in range(0, n, BLOCK):
        size = min(BLOCK, n - skip)
        predict(flat, (first + skip) * p, p, p, size, none, 0.0, products)
        wrong = 0
        for i in range(size):
            wrong += products[i] != 0.0  # 0 times inf is NaN
        if wrong > 0:
            return False
    return True


@helper
def pack(columns, x, z, first, n, x_first, z_first, omit, careful, scratch, i, blocks):
    """Pack rows first, ..., first + n - 1 as block ``i``; returns (status, total weight).

    columns : (y, upper, left, right, least, most, noise, weights, clusters), each (n_total,), or
        (0,) if it is not given, so that there is one signature; y is.
    x, z : (any, p) and (any, q), of which the rows from ``x_first`` and ``z_first`` on are these;
        z may be (0, 0), for a column of ones.
    omit : whether a row with a NaN is left out.
    careful : whether X and Z may have numbers that are not finite.
    The status is -1 if weights cannot be used.
    """
    kinds, order, limits, _ = scratch
    cells, ends = blocks[0][i], blocks[1][i]
    y, upper, left, right, lower, higher, noise, w, clusters = columns
    find_kinds(y, upper, left, right, lower, higher, first, n, limits, kinds)
    if careful or noise.size > 0:
        _look_closer(x, z, noise, first, x_first, z_first, n, careful, kinds)
    bad = _leave_out(w, first, n, kinds)
    whole = _sort(kinds, n, ends, order)
    used = ends[N_KINDS]
    _set_values(y, upper, first, limits, whole, ends, order, cells)
    # Bounds and limits are never given together.
    _gather(lower if lower.size > 0 else left, first, whole, used, order, cells[LEAST])
    _gather(higher if higher.size > 0 else right, first, whole, used, order, cells[MOST])
    _gather(noise, first, whole, used, order, cells[NOISE])
    _gather(w, first, whole, used, order, cells[WEIGHT])
    _gather(clusters, first, whole, used, order, cells[CLUSTER])
    blocks[4][i] = 0
    if not whole:
        own(x, z, x_first, z_first, order, i, blocks)
    total = 0.0 if w.size > 0 else float(used)
    for t in range(used if w.size > 0 else 0):
        total += cells[WEIGHT, t]
    missing = impossible = np.int64(0)
    for t in range(n if not whole else 0):
        wrong = kinds[t] == _IMPOSSIBLE or (kinds[t] == _MISSING and not omit)
        if wrong:  # it counts, for it is why there are no estimates
            total += w[first + t] if w.size > 0 else 1.0
        missing += kinds[t] == _MISSING
        impossible += kinds[t] == _IMPOSSIBLE
    return verdict(bad, 0.0, missing, impossible, omit, used), total


@helper
def own(x, z, x_first, z_first, order, i, blocks):
    """Copy the rows of X and Z of block ``i``, in its order."""
    _, ends, own_x, own_z, is_own = blocks
    n = ends[i, N_KINDS]
    _copy_rows(x, x_first, order, n, own_x, i * BLOCK)
    _copy_rows(z, z_first, order, n, own_z, i * BLOCK)
    is_own[i] = 1


@helper
def _copy_rows(source, first, order, n, target, at):
    p = np.uint64(source.shape[1])
    flat, place, begin = source.reshape(source.size), np.uint64(at) * p, np.uint64(first)
    for t in range(n):
        row = (begin + np.uint64(order[t])) * p
        for j in range(p):
            target[place + j] = flat[row + j]
        place += p


# ---- kinds -----------------------------------------------------------------------------------


@helper
def find_kinds(y, upper, left, right, lower, higher, first, n, limits, kinds):
    """The kind of each row; limits (3, STRIDE): the first two get the limits of its value."""
    least, most = limits[0], limits[1]
    if upper.size > 0:
        _find_intervals(y, upper, first, n, kinds)
    elif lower.size > 0:
        _find_inside(y, lower, higher, first, n, kinds)
    elif left.size + right.size > 0:
        _copy_or_fill(left, -math.inf, first, n, least)
        _copy_or_fill(right, math.inf, first, n, most)
        _find_limited(y, least, most, first, n, kinds)
    else:
        begin = np.uint64(first)
        for i in range(np.uint64(n)):
            value = y[begin + i]
            kind = _MISSING if value != value else EXACT
            kinds[i] = _IMPOSSIBLE if abs(value) == math.inf else kind


@helper
def _find_limited(y, least, most, first, n, kinds):
    """Without a branch: which of the limits a value is at or beyond."""
    begin = np.uint64(first)
    for i in range(np.uint64(n)):
        value, low, high = y[begin + i], least[i], most[i]
        kind = _IMPOSSIBLE if abs(value) == math.inf else EXACT
        kind = RIGHT if value >= high else kind
        kind = LEFT if value <= low else kind
        # A limit at infinity on the wrong side is no limit: it is the value that is impossible.
        kind = _IMPOSSIBLE if value <= low and low == -math.inf else kind
        kind = _IMPOSSIBLE if value >= high and high == math.inf else kind
        kind = _MISSING if value != value else kind
        good = low <= high and low < math.inf and high > -math.inf
        kinds[i] = kind if good else _IMPOSSIBLE


@helper
def _find_inside(y, lower, higher, first, n, kinds):
    begin = np.uint64(first)
    for i in range(np.uint64(n)):
        value, least, most = y[begin + i], lower[begin + i], higher[begin + i]
        kind = TRUNCATED if least <= value <= most else _IMPOSSIBLE
        kind = kind if abs(value) < math.inf else _IMPOSSIBLE
        kind = _MISSING if value != value else kind
        kinds[i] = kind if least < most else _IMPOSSIBLE


@helper
def _find_intervals(y, upper, first, n, kinds):
    begin = np.uint64(first)
    for i in range(np.uint64(n)):
        low, high = y[begin + i], upper[begin + i]
        kind = BETWEEN
        kind = EXACT if low == high else kind
        kind = LEFT if low == -math.inf else kind
        kind = RIGHT if high == math.inf else kind
        kind = _SILENT if low == -math.inf and high == math.inf else kind
        kind = kind if low <= high and not (low == high and math.isinf(low)) else _IMPOSSIBLE
        kinds[i] = _MISSING if low != low and high != high else kind


@helper
def _look_closer(x, z, noise, first, x_first, z_first, n, careful, kinds):
    """Noise, and with ``careful`` X and Z, may be NaN or infinite."""
    for i in range(n):
        if careful:
            fault = min(_fault(x, x_first + i), _fault(z, z_first + i))
            kinds[i] = fault if fault < 0 else kinds[i]
        if noise.size > 0 and not 0.0 <= noise[first + i] < math.inf:
            silent = noise[first + i] == math.inf and kinds[i] >= 0
            kinds[i] = _SILENT if silent else min(kinds[i], _IMPOSSIBLE)


@helper
def _fault(a, row):
    """_MISSING for a row with a NaN, else _IMPOSSIBLE for an infinite number, else 0."""
    fault = 0
    for j in range(a.shape[1]):
        if a[row, j] != a[row, j]:
            fault = _MISSING
        elif math.isinf(a[row, j]):
            fault = min(fault, _IMPOSSIBLE)
    return fault


@helper
def _leave_out(w, first, n, kinds):
    """Rows of weight 0 say nothing, whatever they are; returns how many weights are bad."""
    bad, total = np.int64(0), 0.0
    for i in range(n if w.size > 0 else 0):
        weight = w[first + i]
        total += weight
        bad += not weight >= 0.0
        if not weight > 0.0:
            kinds[i] = _SILENT
    return bad + (not total < math.inf)


@helper
def _sort(kinds, n, ends, order):
    """Where each kind begins, and which row is at each place; whether they are there already."""
    ends[0] = 0
    present = 0
    for kind in range(N_KINDS):
        count = np.int64(0)
        for i in range(n):
            count += kinds[i] == kind
        ends[kind + 1] = ends[kind] + count
        present += count > 0
    if ends[N_KINDS] == n and present == 1:
        for i in range(ends[TRUNCATED]):  # values are where they are
            order[i] = i
        return True
    at = np.int64(0)
    for kind in range(N_KINDS):
        for i in range(n if ends[kind + 1] > ends[kind] else 0):
            # Written over until it is of this kind.
            order[np.uint64(at)] = i
            at += kinds[i] == kind
    return False


# ---- cells -----------------------------------------------------------------------------------


@helper
def _set_values(y, upper, first, limits, whole, ends, order, cells):
    """The value or limit of each row, and the width of its interval."""
    low, width = cells[LOW], cells[WIDTH]
    used = ends[N_KINDS]
    _gather(y, first, whole, used, order, low)
    high = upper if upper.size > 0 else limits[0]
    skip = first if upper.size > 0 else 0
    for t in range(ends[LEFT], ends[LEFT + 1]):
        low[t] = high[skip + order[t]]
    if upper.size > 0:
        for t in range(used):
            width[t] = 0.0
        for t in range(ends[BETWEEN], ends[BETWEEN + 1]):
            width[t] = upper[first + order[t]] - low[t]
    else:
        for t in range(ends[RIGHT], ends[RIGHT + 1]):
            low[t] = limits[1, order[t]]


@helper
def _copy_or_fill(column, default, first, n, out):
    # Unsigned, for numba asks of every signed index whether it is negative.
    begin = np.uint64(first)
    if column.size == 0:
        for i in range(np.uint64(n)):
            out[i] = default
    else:
        for i in range(np.uint64(n)):
            out[i] = column[begin + i]


@helper
def _gather(column, first, whole, used, order, out):
    """The element of a column for each place, if it is given."""
    begin = np.uint64(first)
    if column.size == 0:
        return
    if whole:
        for t in range(np.uint64(used)):
            out[t] = column[begin + t]
    else:
        for t in range(np.uint64(used)):
            out[t] = column[begin + np.uint64(order[t])]


# ---- other coordinates -----------------------------------------------------------------------


@helper
def x_of(blocks, x, x_first, i):
    """(flat, start) of the rows of X of block ``i``; x : flat; x_first : its row 0 of block 0."""
    _, ends, own_x, _, is_own = blocks
    p = own_x.size // (ends.shape[0] * BLOCK)
    if is_own[i] == 1:
        return own_x, i * BLOCK * p
    return x, (x_first + i * BLOCK) * p


@helper
def z_of(blocks, z, z_first, i):
    """(flat, start) of the rows of Z of block ``i``, likewise; nothing if Z is a column of ones."""
    _, ends, _, own_z, is_own = blocks
    q = own_z.size // (ends.shape[0] * BLOCK)
    if is_own[i] == 1:
        return own_z, i * BLOCK * q
    return z, (z_first + i * BLOCK) * q


@helper
def move(cells, n, x, start, p, origin, sizes, unit, limited, scratch):
    """Values lose X origin, and their unit, a power of two.

    cells : of one block, of n rows; x, start : `x_of` it, in the new coordinates, as ``origin``
    (p,) is.  sizes : (p,), of the columns.  limited : whether there is more than values.
    """
    fit, rest = scratch[2][2], scratch[3]
    lead, factor = lead_of(origin, sizes, rest)
    if factor != 0.0:
        predict(x, start, p, p, n, rest, 0.0, fit)
        for cell in (LOW, LEAST, MOST):
            if limited or cell == LOW:
                _take_column(factor, x, start + lead, p, n, cells[cell])
                _subtract(fit, n, cells[cell])
    if unit != 1.0:
        _scale(unit, n, cells[LOW])
        if limited:
            for cell in (WIDTH, NOISE, LEAST, MOST):
                _scale(unit, n, cells[cell])


@helper
def _take_column(factor, x, start, step, n, row):
    for i in range(n):
        row[i] = fma(-factor, x[start + i * step], row[i])


@helper
def _subtract(fit, n, row):
    for i in range(n):
        row[i] -= fit[i]


@helper
def _scale(unit, n, row):
    first, second = factors_of(unit)
    for i in range(n):
        row[i] = row[i] * first * second


@helper
def change_basis(rows, start, n, basis):
    """Rows (p,) of a flat array times the inverse of an upper triangular matrix (p, p)."""
    p = basis.shape[0]
    for i in range(n):
        at = start + i * p
        for j in range(p):
            value = rows[at + j]
            for k in range(j):
                value -= rows[at + k] * basis[k, j]
            rows[at + j] = value / basis[j, j]
