"""Coordinates in which a regression is well conditioned, from sums of squares and products.

X = X' B with B upper triangular, such that no column of X' is nearly in the span of the others, and
y = X' origin + unit y', such that y' is about of size 1 and fits to nothing.  B is found
as in the Cholesky QR algorithm, shifted where X is so ill conditioned that its squares are
singular, and repeated (Fukaya, Kannan, Nakatsukasa, Yamamoto and Yanagisawa 2020, SIAM Journal on
Scientific Computing 42, A477-A503): each pass reads the rows once.
"""

import math

from fastnat.kernels._jit import helper

_LEAST_PIVOT = 1e-11  # of a matrix with a diagonal of ones, below which it is shifted
_SHIFT = 1e-11
_GOOD_PIVOT = 1e-4  # above which columns are left as they are, whichever comes last


@helper
def factor(gram, p, upper):
    """Cholesky factor ``upper`` (p, p) of the leading part of ``gram``; returns the least pivot.

    Pivots are relative to the diagonal.  Where one is too small, all are raised by a shift.
    """
    least = _try_factor(gram, p, 0.0, upper)
    if not least > _LEAST_PIVOT:
        _try_factor(gram, p, _SHIFT, upper)
    return least


@helper
def _try_factor(gram, p, shift, upper):
    least = math.inf
    for j in range(p):
        size = gram[j, j]
        for k in range(j, p):
            upper[j, k] = gram[j, k]
        for k in range(j):
            upper[j, k] = 0.0
        upper[j, j] *= 1.0 + shift
        for m in range(j):
            for k in range(j, p):
                upper[j, k] -= upper[m, j] * upper[m, k]
        pivot = upper[j, j] / size if size > 0.0 else 0.0
        least = min(least, pivot)
        if not pivot > 0.0:
            # A column of zeros, or one that is lost in rounding even with the shift.
            for k in range(j, p):
                upper[j, k] = 0.0
            upper[j, j] = math.sqrt(_SHIFT * size) if size > 0.0 else 1.0
            continue
        root = math.sqrt(upper[j, j])
        for k in range(j, p):
            upper[j, k] /= root
    return least


@helper
def is_good(least):
    """Whether columns of which so much is left are left as they are."""
    return least > _GOOD_PIVOT


@helper
def set_identity(a):
    for j in range(a.shape[0]):
        for k in range(a.shape[0]):
            a[j, k] = 1.0 if j == k else 0.0


@helper
def solve_factor(upper, p, b):
    """Solve U'U x = b in place, in the first ``p`` of b."""
    for j in range(p):
        for k in range(j):
            b[j] -= upper[k, j] * b[k]
        b[j] /= upper[j, j]
    for j in range(p - 1, -1, -1):
        for k in range(j + 1, p):
            b[j] -= upper[j, k] * b[k]
        b[j] /= upper[j, j]


@helper
def times(upper, b):
    """b becomes U b."""
    p = upper.shape[0]
    for j in range(p):
        total = 0.0
        for k in range(j, p):
            total += upper[j, k] * b[k]
        b[j] = total


@helper
def multiply(upper, basis):
    """basis becomes U basis; both are upper triangular."""
    p = upper.shape[0]
    for j in range(p):
        for m in range(j, p):
            total = 0.0
            for k in range(j, m + 1):
                total += upper[j, k] * basis[k, m]
            basis[j, m] = total


@helper
def solve_upper(upper, b):
    """Solve U x = b in place."""
    p = upper.shape[0]
    for j in range(p - 1, -1, -1):
        for k in range(j + 1, p):
            b[j] -= upper[j, k] * b[k]
        b[j] /= upper[j, j]


@helper
def invert_upper(upper, k, out):
    """The inverse of the leading (k, k) of an upper triangular matrix, with its zeros."""
    for j in range(k):
        inverse = 1.0 / upper[j, j]
        for i in range(k):
            total = -1.0 if i == j else 0.0
            for m in range(i, j):
                total += out[i, m] * upper[m, j]
            out[i, j] = -total * inverse


@helper
def lead_of(origin, sizes, rest):
    """(place, coefficient) of the largest part of a fit; ``rest`` (p,) becomes the others.

    sizes : (p,), of the columns.  The largest part is taken from the values first and on its own:
    as a rule that is a constant, which leaves exact differences, and what comes then is no longer
    small beside the values.  The coefficient is 0 if there is nothing to take.
    """
    lead, largest = 0, 0.0
    for j in range(origin.size):
        rest[j] = origin[j]
        size = abs(origin[j]) * sizes[j]
        if size > largest:
            largest, lead = size, j
    rest[lead] = 0.0
    return lead, origin[lead] if largest > 0.0 else 0.0


@helper
def factors_of(unit):
    """Two powers of two whose product is the inverse of one, which may not be a number."""
    first = 2.0**100 if unit < 2.0**-1000 else 1.0
    return first, 1.0 / (unit * first)
