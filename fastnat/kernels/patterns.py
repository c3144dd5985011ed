"""Rows of a table with missing entries, grouped by what is observed: to moments of each group.

The observed values of a pattern are known by their weight, mean and scatter, so that after this
no iteration touches the data.  Values are taken relative to an origin in each column, in units of
a power of two, and columns are reordered: those observed most often come first, so that nested
patterns are leading columns.
"""

import math

import numpy as np

from fastnat.kernels import codes
from fastnat.kernels._jit import helper
from fastnat.kernels._scalar import weight_at
from fastnat.kernels.linalg import least_alone, reflect

_BITS = 62  # of a word of a pattern
_PRIME = 0x9E3779B97F4A7
_CLEAR = 1e-5  # a pivot above this part of its diagonal entry has eleven digits

WEIGHT, SIZES, COLUMNS, MEANS, SPREAD, STARTS, ROWS, ENDS = range(8)
"""Of m patterns of d columns: weights (m,); numbers of observed columns (m,); which (m, d), in
their new order; means (m, d); the spread about them, flat, as rows F of which F'F is the scatter
over the weight, and where those of each pattern start (m + 1,); row numbers in the order of
patterns, and where those of each pattern end (m + 1,)."""

ORDER, ORIGINS, UNITS = range(3)
"""The column at each new place (d,), and its origin and unit."""


@helper
def look_at_columns(x, w, d, status):
    """(order, origins, units) of the columns of one table; ``status[0]`` says what is wrong.

    SINGULAR if all values of a column are equal, NOT_IDENTIFIED if there are none.
    """
    n = x.size // d
    origins, units, counts = np.empty(d), np.ones(d), np.zeros(d, np.int64)
    status[0] = codes.OK
    for j in range(d):
        weight, mean, low, top = 0.0, 0.0, math.inf, -math.inf
        for i in range(n):
            value = x[i * d + j]
            if value == value and weight_at(w, i) > 0.0:
                low, top = min(low, value), max(top, value)
                counts[j] += 1
        if low == -math.inf or top == math.inf:
            status[0] = codes.INVALID_INPUT
            break
        middle = 0.5 * low + 0.5 * top
        half = 0.5 * top - 0.5 * low
        exponent = math.frexp(half)[1] if half > 0.0 else 1
        unit = math.ldexp(1.0, max(-1021, min(1021, exponent - 1)))
        total = 0.0
        for i in range(n):
            value = x[i * d + j]
            if value == value and weight_at(w, i) > 0.0:
                factor = weight_at(w, i)
                weight += factor
                total += factor * (value / unit - middle / unit)
        mean = total / weight if weight > 0.0 else 0.0
        origins[j] = middle + mean * unit if counts[j] > 0 else 0.0
        units[j] = unit
        if counts[j] == 0:
            status[0] = codes.NOT_IDENTIFIED
        elif low == top and status[0] == codes.OK:
            origins[j] = low
            status[0] = codes.SINGULAR
    return _sorted(counts), origins, units


@helper
def _sorted(counts):
    """Numbers of columns, those with the most observed values first."""
    order = np.arange(counts.size)
    for k in range(1, counts.size):
        j, place = order[k], k
        while place > 0 and counts[order[place - 1]] < counts[j]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = j
    return order


@helper
def _find(words, i, table, n_patterns, firsts):
    """The pattern of row i, by hashing; a new one if it is not in the table."""
    mask = table.size - 1
    code = np.int64(0)
    for k in range(words.shape[1]):
        code = (code ^ words[i, k]) * _PRIME
        code ^= code >> 29
    place = code & mask
    while table[place] >= 0:
        other = firsts[table[place]]
        same = True
        for k in range(words.shape[1]):
            same = same and words[i, k] == words[other, k]
        if same:
            return table[place]
        place = (place + 1) & mask
    table[place] = n_patterns
    firsts[n_patterns] = i
    return n_patterns


@helper
def _group(x, w, d, order):
    """(pattern of each row or -1, first row of each pattern): rows that tell nothing have none."""
    n = x.size // d
    words = np.zeros((n, (d - 1) // _BITS + 1), np.int64)
    size = 16
    while size < 2 * n:
        size *= 2
    table, firsts = np.full(size, -1), np.empty(n, np.int64)
    pattern = np.full(n, -1)
    m = 0
    for i in range(n):
        if not weight_at(w, i) > 0.0:
            continue
        known = False
        for j in range(d):
            value = x[i * d + order[j]]
            if value == value:
                words[i, j // _BITS] |= np.int64(1) << (j % _BITS)
                known = True
        if known:
            pattern[i] = _find(words, i, table, m, firsts)
            m = max(m, pattern[i] + 1)
    return pattern, firsts[:m].copy()


@helper
def compress(x, w, d, columns):
    """Patterns of the observed values of one table, of `look_at_columns`' columns."""
    order = columns[ORDER]
    pattern, firsts = _group(x, w, d, order)
    m = firsts.size
    rows, ends = _sort_rows(pattern, m)
    sizes, which, starts = (
        np.zeros(m, np.int64),
        np.empty((m, d), np.int64),
        np.zeros(m + 1, np.int64),
    )
    for k in range(m):
        for j in range(d):
            value = x[firsts[k] * d + order[j]]
            if value == value:
                which[k, sizes[k]] = j
                sizes[k] += 1
        n = ends[k + 1] - ends[k]
        starts[k + 1] = starts[k] + (sizes[k] * min(sizes[k], n) if n > 1 else 0)
    weights, means, spread = np.zeros(m), np.zeros((m, d)), np.zeros(starts[m])
    found = weights, sizes, which, means, spread, starts, rows, ends
    row = np.empty(d)
    for k in range(m):
        _take_mean(x, w, d, columns, found, k, row)
        if ends[k + 1] - ends[k] > 1:
            _take_spread(x, w, d, columns, found, k, row)
    return found


@helper
def _sort_rows(pattern, m):
    """Row numbers in the order of their patterns, and where those of each pattern end."""
    ends = np.zeros(m + 1, np.int64)
    for i in range(pattern.size):
        if pattern[i] >= 0:
            ends[pattern[i] + 1] += 1
    for k in range(m):
        ends[k + 1] += ends[k]
    rows, place = np.empty(ends[m], np.int64), ends.copy()
    for i in range(pattern.size):
        k = pattern[i]
        if k >= 0:
            rows[place[k]] = i
            place[k] += 1
    return rows, ends


@helper
def read_row(x, d, columns, which, size, i, row):
    """The observed values of row i, in the units and the order of the patterns."""
    order, origins, units = columns
    for a in range(size):
        j = order[which[a]]
        row[a] = x[i * d + j] / units[j] - origins[j] / units[j]


@helper
def _take_mean(x, w, d, columns, found, k, row):
    size, mean = found[SIZES][k], found[MEANS][k]
    total = 0.0
    for r in range(found[ENDS][k], found[ENDS][k + 1]):
        i = found[ROWS][r]
        factor = weight_at(w, i)
        read_row(x, d, columns, found[COLUMNS][k], size, i, row)
        total += factor
        for a in range(size):
            mean[a] += factor * row[a]
    found[WEIGHT][k] = total
    for a in range(size):
        mean[a] /= total


@helper
def _deviation(x, w, d, columns, found, k, r, row):
    """Row r of pattern k less the mean, times the root of its share of the weight."""
    i = found[ROWS][r]
    share = math.sqrt(weight_at(w, i) / found[WEIGHT][k])
    read_row(x, d, columns, found[COLUMNS][k], found[SIZES][k], i, row)
    for a in range(found[SIZES][k]):
        row[a] = share * (row[a] - found[MEANS][k, a])


@helper
def _take_spread(x, w, d, columns, found, k, row):
    """The rows themselves if they are few, a triangle if they are many.

    The triangle of the scatter would lose digits where that is close to singular: there it is the
    one of a QR decomposition of the rows.
    """
    size, first, last = found[SIZES][k], found[ENDS][k], found[ENDS][k + 1]
    spread = found[SPREAD][found[STARTS][k] : found[STARTS][k + 1]].reshape(-1, size)
    if last - first <= size:
        for r in range(first, last):
            _deviation(x, w, d, columns, found, k, r, row)
            for a in range(size):
                spread[r - first, a] = row[a]
        return
    for r in range(first, last):
        _deviation(x, w, d, columns, found, k, r, row)
        for a in range(size):
            part, line = row[a], spread[a]
            for b in range(a, size):
                line[b] += part * row[b]
    if not (_factor(spread) and least_alone(spread, size, row) > _CLEAR):
        _triangle(x, w, d, columns, found, k, row, spread)


@helper
def _triangle(x, w, d, columns, found, k, row, spread):
    """The triangle of a QR decomposition of the deviations of pattern k."""
    size, first, last = found[SIZES][k], found[ENDS][k], found[ENDS][k + 1]
    block = np.zeros((2 * size, size))
    for begin in range(first, last, size):
        n = min(size, last - begin)
        for i in range(n):
            _deviation(x, w, d, columns, found, k, begin + i, row)
            for a in range(size):
                block[size + i, a] = row[a]
        for a in range(size):
            reflect(block, a, size + n)
    for a in range(size):
        for b in range(size):
            spread[a, b] = block[a, b] if b >= a else 0.0


@helper
def _factor(a):
    """U of a = U'U in place; False if a pivot has lost digits."""
    p = a.shape[0]
    for j in range(p):
        diagonal = a[j, j]
        for m in range(j):
            for k in range(j, p):
                a[j, k] -= a[m, j] * a[m, k]
        if not a[j, j] > _CLEAR * diagonal:
            return False
        inverse = 1.0 / math.sqrt(a[j, j])
        for k in range(j, p):
            a[j, k] *= inverse
        for k in range(j):
            a[j, k] = 0.0
    return True


@helper
def total_weight(found):
    """The weight of all rows that tell something."""
    total = 0.0
    for weight in found[WEIGHT]:
        total += weight
    return total
