"""A point where the ascent has come to rest proves that the likelihood has a maximum.

In Olsen's chart the log-likelihood f is concave.  If it has no maximum, there is a direction d
along which no row ever loses: row i gains s_i >= 0, and g d = sum s_i.  Its curvature along d is at
most c_i D_i s_i, where D_i is what t = (limit - mu) / sigma changes by, and c_i bounds curvature by
slope.  For a half-line c_i is |t| and the hazard.  For an interval it is the largest |t|, and the
densities at its ends over its probability, which are below 10 (1 / width + |t| + 1) together; its
ends move apart, so D_i is at most the change of its width.  For a known value, along which only
1 / sigma can change, it is that over 1 / sigma.  Let H be the curvature of f, and d'Hd = 1.  Then

    1 = sum d'H_i d <= max(c_i D_i) g d <= sqrt(trace(H^-1 M)) sqrt(g'H^-1 g),

with M the sum of c_i**2 times the outer products of the derivatives of what D_i measures, and
times the weight if it is above 1, so that M bounds what rounding does to g as well.  So a point
where the product on the right is below 1 proves that there is a maximum.  It is about 1 wherever an
ascent along such a d stops, and 1e-8 near a maximum: a linear program (`_existence`) has to tell
only where curvature is nearly lost.

Below 1 / 16, with 1 added to c, more is true: H changes by less than a third within twice the
Newton step, which does not take 1 / sigma to 0; so the maximum lies there, and not at a sigma that
is infinite.  (Rockafellar 1970, Convex Analysis, section 27, for the directions.)
"""

import math

from fastnat.kernels._jit import helper
from fastnat.kernels.curvature import copy, copy_matrix
from fastnat.kernels.linalg import cholesky, cholesky_solve
from fastnat.kernels.linear_memory import (
    CELLS,
    GRAD,
    INFORMATION,
    METRIC,
    ORIGIN,
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
    cholesky_solve(factor, step)
    decrement = 0.0
    for j in range(p + 1):
        decrement += memory[GRAD][j] * step[j]
    if not (decrement >= 0.0 and 0.0 <= reach < math.inf):
        return False
    reach = math.sqrt(reach)
    rounding = _ROUNDING * math.sqrt(memory[CELLS][TOTAL]) * reach
    return (math.sqrt(decrement) + rounding) * reach < _ENOUGH
