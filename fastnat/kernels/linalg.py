"""Cholesky in place: one symmetric positive definite matrix of any size, or many small ones.

A = U'U, and U lies in the upper triangle, row by row, so that every inner loop runs along a row
and is vectorised without changing the order of a sum.  The strict lower triangle is not touched.
(Golub and Van Loan, Matrix Computations, section 4.2.)
"""

import math

import numpy as np

from fastnat.kernels._jit import helper, kernel

SMALLEST_PIVOT = 2.0**-46
"""Pivots below this part of their diagonal entry are rounding: the matrix does not factor."""

_TILE = 64  # problems whose entries stay in the first-level cache


@kernel
def cholesky(a):
    """Factor a matrix, a = U'U, in place.

    Parameters
    ----------
    a : (p, p) ndarray
        In: symmetric, of which only the upper triangle is read; out: U in it.  It is left half
        done if a pivot is not above ``SMALLEST_PIVOT`` of its diagonal entry (or is NaN).

    Returns
    -------
    bool
        Whether the matrix is positive definite.
    """
    p = a.shape[0]
    for j in range(p):
        row = a[j]
        diagonal = row[j]
        for m in range(j):
            above = a[m]
            factor = above[j]
            for k in range(j, p):
                row[k] -= factor * above[k]
        if not row[j] > SMALLEST_PIVOT * diagonal:
            return False
        inverse = 1.0 / math.sqrt(row[j])
        for k in range(j, p):
            row[k] *= inverse
    return True


@kernel
def cholesky_solve(factor, b):
    """Solve A x = b in place.

    Parameters
    ----------
    factor : (p, p) ndarray
        What `cholesky` has left of A.
    b : (p,) ndarray
        In: the right side; out: x.
    """
    p = factor.shape[0]
    for m in range(p):
        row = factor[m]
        b[m] /= row[m]
        for k in range(m + 1, p):
            b[k] -= row[k] * b[m]
    for m in range(p - 1, -1, -1):
        row = factor[m]
        total = b[m]
        for k in range(m + 1, p):
            total -= row[k] * b[k]
        b[m] = total / row[m]


@kernel
def log_det(factor):
    """Compute log det A.

    Parameters
    ----------
    factor : (p, p) ndarray
        What `cholesky` has left of A.

    Returns
    -------
    float
        The logarithm of the determinant.
    """
    total = 0.0
    for j in range(factor.shape[0]):
        total += math.log(factor[j, j])
    return 2.0 * total


@kernel
def cholesky_many(a):
    """Factor many small matrices in place, as `cholesky` does one.

    Parameters
    ----------
    a : (p, p, n) ndarray
        The matrices: problems are neighbours in memory.

    Returns
    -------
    int
        How many are not positive definite; their factors hold NaN.
    """
    p, n = a.shape[0], a.shape[2]
    failed = 0
    if p == 0:
        return failed
    scale = np.empty(_TILE)
    for first in range(0, n, _TILE):
        size = min(_TILE, n - first)
        here = slice(first, first + size)
        for j in range(p):
            _factor_row(a, j, here, scale)
        for t in range(first, first + size):
            failed += not a[p - 1, p - 1, t] > 0.0
    return failed


@helper
def _factor_row(a, j, here, scale):
    """Row j of the factors of a tile of problems; scale is scratch."""
    p = a.shape[0]
    pivot = a[j, j, here]
    for t in range(pivot.shape[0]):
        scale[t] = pivot[t]
    for m in range(j):
        left = a[m, j, here]
        for k in range(j, p):
            cell, above = a[j, k, here], a[m, k, here]
            for t in range(pivot.shape[0]):
                cell[t] -= left[t] * above[t]
    for t in range(pivot.shape[0]):
        fine = pivot[t] > SMALLEST_PIVOT * scale[t]
        scale[t] = 1.0 / math.sqrt(pivot[t]) if fine else math.nan
    for k in range(j, p):
        cell = a[j, k, here]
        for t in range(pivot.shape[0]):
            cell[t] *= scale[t]


@kernel
def cholesky_solve_many(factor, b):
    """Solve many small systems in place.

    Parameters
    ----------
    factor : (p, p, n) ndarray
        What `cholesky_many` has left of the matrices.
    b : (p, n) ndarray
        In: the right sides; out: the solutions.
    """
    p, n = b.shape
    for first in range(0, n, _TILE):
        size = min(_TILE, n - first)
        here = slice(first, first + size)
        for m in range(p):
            x, pivot = b[m, here], factor[m, m, here]
            for t in range(size):
                x[t] /= pivot[t]
            for k in range(m + 1, p):
                y, cell = b[k, here], factor[m, k, here]
                for t in range(size):
                    y[t] -= cell[t] * x[t]
        for m in range(p - 1, -1, -1):
            x, pivot = b[m, here], factor[m, m, here]
            for k in range(m + 1, p):
                y, cell = b[k, here], factor[m, k, here]
                for t in range(size):
                    x[t] -= cell[t] * y[t]
            for t in range(size):
                x[t] /= pivot[t]


@helper
def invert_many(factor, out):
    """The inverses of upper triangular matrices, to the upper triangles of ``out``.

    factor, out : (p, p, n), contiguous; what is below the diagonals is not touched.
    """
    p = factor.shape[0]
    for j in range(p):
        pivot, inverse = factor[j, j], out[j, j]
        for t in range(pivot.size):
            inverse[t] = 1.0 / pivot[t]
        for i in range(j):
            cell = out[i, j]
            for t in range(cell.size):
                cell[t] = 0.0
            for m in range(i, j):
                left, above = out[i, m], factor[m, j]
                for t in range(cell.size):
                    cell[t] -= left[t] * above[t]
            for t in range(cell.size):
                cell[t] *= inverse[t]


@helper
def reflect(a, k, n):
    """Reflect rows k to n - 1 of ``a``, so that column k ends at row k: a step of a QR.

    (Householder; Golub and Van Loan, section 5.2.)
    """
    norm = 0.0
    for i in range(k, n):
        norm += a[i, k] * a[i, k]
    norm = math.sqrt(norm)
    if norm == 0.0:
        return
    top = a[k, k]
    alpha = -norm if top > 0.0 else norm
    a[k, k] = top - alpha
    factor = 1.0 / (alpha * (alpha - top))
    for j in range(k + 1, a.shape[1]):
        total = 0.0
        for i in range(k, n):
            total += a[i, k] * a[i, j]
        total *= factor
        for i in range(k, n):
            a[i, j] -= total * a[i, k]
    a[k, k] = alpha
    for i in range(k + 1, n):
        a[i, k] = 0.0


@helper
def least_alone(upper, p, column):
    """How much of the squares of a column the others leave, relative to it, at least.

    upper : (p, p) at least, a triangle R, of which R'R are the squares; column : (p,), scratch.

    That is the last pivot, if the column comes last; 1 over the inflation of its variance.  Pivots
    as they are do not tell it: where each column is near the last, all may be large.
    """
    least = 1.0
    for j in range(p):
        size = inverse = 0.0  # elements (j, j) of R'R and of its inverse: R'z = e_j, z'z
        for m in range(j + 1):
            size += upper[m, j] * upper[m, j]
        for k in range(j, p):
            value = 1.0 if k == j else 0.0
            for m in range(j, k):
                value -= upper[m, k] * column[m]
            column[k] = value / upper[k, k]
            inverse += column[k] * column[k]
        least = min(least, 1.0 / (size * inverse))
    return least
