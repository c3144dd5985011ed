"""A point where the ascent has come to rest proves that the likelihood has a maximum.

In Olsen's chart the log-likelihood f is concave.  If it has no maximum, there is a direction d
along which no row ever loses: row i gains s_i >= 0, and g d = sum s_i.  Its curvature along d is at
most c_i D_i s_i, where D_i is what t = (limit - mu) / sigma changes by, and c_i bounds curvature by
slope.  For a half-line c_i is |t| and the hazard, together below 2 |t| + 1.  For an interval it is
the largest |t|, and the densities at its ends over its probability, which are together below
10 (1 / width + |t| + 1); its ends move apart, so D_i is at most the change of its width.  For a
known value, along which only 1 / sigma can change, it is that over 1 / sigma.  Let H be the
curvature of f, and d'Hd = 1.  Then

    1 = sum d'H_i d <= max(c_i D_i) g d <= sqrt(trace(H^-1 M)) sqrt(g'H^-1 g),

with M the sum of c_i**2 times the outer products of the derivatives of what D_i measures.  So a
point where the product on the right is below 1 proves that there is a maximum.  It is about 1
wherever an ascent along such a d stops, and 1e-8 near a maximum: a linear program (`_existence`)
has to tell only where curvature is nearly lost.

The maximum shall also be near.  With 1 added to c, and intervals moved as a whole in M as well,
c_i D_i bounds by how much of itself the curvature of a row changes (for an interval that moves, its
third cumulant over 1 less its variance is below the largest |t| + 1).  So below 1 / 16 H changes by
less than a third within twice the Newton step, which does not take 1 / sigma to 0, and the maximum
lies there: neither far away on a ridge, nor at a sigma that is infinite.

Rounding of X and of sums changes g d by less than 2**-50 sum w_i |s_i| |x_ij| |d_j|, in columns of
X as they are given.  With d_j**2 <= (H^-1)_jj, and slopes that are curvature on the whole, that is
2**-50 sqrt(sum w) sqrt(sum_j H_jj (H^-1)_jj), which is added to the last factor.  (Rockafellar
1970, Convex Analysis, section 27, for the directions.)
"""

import math

from fastnat.kernels._jit import helper
from fastnat.kernels.curvature import copy, copy_matrix
from fastnat.kernels.linalg import cholesky, cholesky_solve
from fastnat.kernels.linear_frame import invert_upper
from fastnat.kernels.linear_memory import (
    BASIS_X,
    CELLS,
    GRAD,
    INFORMATION,
    METRIC,
    N_ROWS,
    ORIGIN,
    PLANE,
    SPARE,
    TOTAL,
)
from fastnat.kernels.linear_values import metric_of

_ENOUGH = 1.0 / 16.0
_ROUNDING = 2.0**-50  # of what a row adds to the gradient


@helper
def is_proven(memory, told, theta):
    """Whether gradient and curvature at ``theta``, in Olsen's chart, prove that there is a maximum.

    told : the values of all rows there, asked for as BOUNDS.
    """
    bounds, factor, p = memory[METRIC], memory[SPARE], memory[ORIGIN].size
    metric_of(told, p, 1, bounds)
    bounds[p, p] += 1.0 / (theta[p] * theta[p])
    copy_matrix(memory[INFORMATION], factor)
    if not cholesky(factor):
        return False
    reach = 0.0
    for j in range(p + 1):
        cholesky_solve(factor, bounds[j])
        reach += bounds[j, j]
    step = bounds[0]
    copy(memory[GRAD], step)
    decrement = _square(factor, step)
    if not (decrement >= 0.0 and 0.0 <= reach < math.inf):
        return False
    total = max(memory[CELLS][TOTAL], memory[CELLS][N_ROWS])  # M has no weights below 1
    rounding = _ROUNDING * math.sqrt(total * _inflation(memory, factor, step))
    return (math.sqrt(decrement) + rounding) * math.sqrt(reach) < _ENOUGH


@helper
def _inflation(memory, factor, row):
    """The sum of H_jj (H^-1)_jj over the columns of X as they are given, and 1 / sigma.

    Columns are combinations of those of the search, here in units in which their own part is 1.
    """
    info, basis, root, p = memory[INFORMATION], memory[BASIS_X], memory[PLANE], factor.shape[0] - 1
    root[:] = 0.0
    invert_upper(basis, p, root)
    row[:] = 0.0
    row[p] = 1.0
    total = info[p, p] * _square(factor, row)
    for j in range(p):
        own = 0.0
        for k in range(j + 1):
            for m in range(j + 1):
                own += basis[k, j] / basis[j, j] * info[k, m] * (basis[m, j] / basis[j, j])
        row[:] = 0.0
        for k in range(j, p):
            row[k] = root[j, k] * basis[j, j]
        total += own * _square(factor, row)
    return total


@helper
def _square(factor, row):
    """row' A^-1 row, of A = U'U; the row is lost."""
    total = 0.0
    for j in range(row.size):
        row[j] /= factor[j, j]
        total += row[j] * row[j]
        for k in range(j + 1, row.size):
            row[k] -= factor[j, k] * row[j]
    return total
