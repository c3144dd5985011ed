"""Whether the likelihood of a table with missing entries has a bound.

Let v be a direction, and A the variables in it.  If v'x is the same number in all rows that have
all of A, and there is such a row, the variance along v can go to zero: the density of those rows
grows without bound, and the others do not notice, for the covariance of what they have stays as
it is.  A pattern says so if it is, with all its variables, in no more rows than it has variables.
"""

import math

import numpy as np

from fastnat.kernels._jit import helper
from fastnat.kernels.patterns import COLUMNS, ENDS, ROWS, SIZES, read_row

_DEPENDENT = 1e-10  # of a difference of rows is left by those before it
_ALONE = 1e-10  # of a variable is left beyond the differences of rows


@helper
def has_no_bound(x, d, columns, found):
    """Whether some pattern says so, of the table that `compress` has seen."""
    chosen, basis, row = np.empty(d, np.int64), np.empty((d, d)), np.empty(d)
    for k in range(found[SIZES].size):
        n = _rows_with(found, k, chosen)
        if n <= found[SIZES][k] and _leave_direction(
            x, d, columns, found, k, chosen[:n], basis, row
        ):
            return True
    return False


@helper
def _rows_with(found, k, chosen):
    """How many rows have all variables of pattern k, and which: if no more than its variables."""
    size, n = found[SIZES][k], 0
    for m in range(found[SIZES].size):
        if not _has(found, m, k):
            continue
        for r in range(found[ENDS][m], found[ENDS][m + 1]):
            if n == size:
                return size + 1
            chosen[n] = found[ROWS][r]
            n += 1
    return n


@helper
def _has(found, m, k):
    """Whether pattern m has all variables of pattern k; both are in order."""
    if found[SIZES][m] < found[SIZES][k]:
        return False
    b, size = 0, found[SIZES][m]
    for a in range(found[SIZES][k]):
        while b < size and found[COLUMNS][m, b] < found[COLUMNS][k, a]:
            b += 1
        if b == size or found[COLUMNS][m, b] != found[COLUMNS][k, a]:
            return False
    return True


@helper
def _leave_direction(x, d, columns, found, k, chosen, basis, row):
    """Whether the differences of so few rows leave a direction of all variables of pattern k.

    There is none if some variable by itself is a combination of the differences.
    """
    rank = _span(x, d, columns, found, k, chosen, basis, row)
    for a in range(found[SIZES][k]):
        explained = 0.0
        for b in range(rank):
            explained += basis[b, a] * basis[b, a]
        if explained > 1.0 - _ALONE:
            return False
    return True


@helper
def _span(x, d, columns, found, k, chosen, basis, row):
    """An orthonormal basis of the differences of rows in the variables of pattern k; its size."""
    size, which = found[SIZES][k], found[COLUMNS][k]
    first = np.empty(size)
    read_row(x, d, columns, which, size, chosen[0], first)
    rank = 0
    for i in chosen[1:]:
        read_row(x, d, columns, which, size, i, row)
        for a in range(size):
            row[a] -= first[a]
        before = _squares(row, size)
        for _ in range(2):  # once more, for what rounding has left
            for b in range(rank):
                _remove(row, basis[b], size)
        after = _squares(row, size)
        if after > _DEPENDENT * _DEPENDENT * before:
            for a in range(size):
                basis[rank, a] = row[a] / math.sqrt(after)
            rank += 1
    return rank


@helper
def _squares(row, size):
    total = 0.0
    for a in range(size):
        total += row[a] * row[a]
    return total


@helper
def _remove(row, unit, size):
    """Of a row, what is along a vector of length 1."""
    share = 0.0
    for a in range(size):
        share += row[a] * unit[a]
    for a in range(size):
        row[a] -= share * unit[a]
