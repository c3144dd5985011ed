"""Designs of plain regressions: X'WX, its factor, and what that says of standard errors.

Many designs are looked at together, each a *lane*: element t of the last dimension of every array.
Of one problem alone each step would wait for a division or a root of the step before.
"""

import math

import numpy as np

from fastnat.kernels._jit import helper
from fastnat.kernels.linalg import cholesky_many, invert_many, least_alone
from fastnat.kernels.linear_frame import factor, is_good
from fastnat.kernels.linear_least_squares import LEAST, MOST
from fastnat.kernels.products import add_squares, wide

USABLE, TOTAL, LOG_DET, N_CELLS = range(4)
"""Cells of a design: whether it is of use here, 1 or 0; the weight of its rows; log det X'WX."""

_MOST_LANES = 64
_ROOM = 1 << 12  # elements of the matrices of all lanes: two of these stay in the caches


@helper
def lanes_of(p, n_fits):
    """How many problems of p columns are looked at together."""
    return max(np.int64(1), min(np.int64(n_fits), _MOST_LANES, _ROOM // (p * p)))


@helper
def new_designs(p, lanes):
    """(cells, factor, its inverse, norms of columns, standard errors in units of sigma)."""
    return (
        np.zeros((N_CELLS, lanes)),
        np.empty((p, p, lanes)),
        np.empty((p, p, lanes)),
        np.empty((p, lanes)),
        np.empty((p, lanes)),
    )


@helper
def are_ones(weights, start, n):
    """Whether all weights are 1, given or not."""
    others = 0
    for i in range(n if weights.size > 0 else 0):
        others += weights[start + i] != 1.0
    return others == 0


@helper
def find_squares(x, at, n, sums, gram, upper, norms):
    """X'X of ``n`` rows from ``at`` on, its factor, and the norms of the columns.

    sums : (p * wide(p),), 0; gram : at least (p, p).  Returns whether numbers are finite and
    moderate, and columns far from dependent.
    """
    p = norms.size
    step = wide(p)
    add_squares(x, at, p, None, n, sums, 0)
    for j in range(p):
        for k in range(j + 1):
            gram[j, k] = gram[k, j] = sums[j * step + k]
    sums[:] = 0.0
    for j in range(p):
        if not LEAST < gram[j, j] < MOST:
            return False
        norms[j] = math.sqrt(gram[j, j])
    good = is_good(factor(gram, p, upper)) and is_good(least_alone(upper, p, sums))
    sums[:p] = 0.0
    return good


@helper
def _weight_of(weights):
    """Their sum; NaN if one is 0 or cannot be used."""
    total, others = 0.0, 0
    for value in weights:
        total += value
        others += not 0.0 < value < math.inf
    return total if others == 0 else math.nan


@helper
def set_squares(sums, n, weights, designs, t):
    """The squares of lane t, of n rows, from what `products.add_squares` has summed up.

    weights : (n,), or (0,) for ones.
    """
    cells, upper = designs[0], designs[1]
    p = upper.shape[0]
    step = wide(p)
    total = _weight_of(weights) if weights.size > 0 else float(n)
    cells[TOTAL, t] = total if n > p else math.nan
    for j in range(p):
        for k in range(j + 1):
            upper[k, j, t] = sums[j * step + k]


@helper
def spread(designs):
    """All lanes become what the first one is."""
    cells, upper = designs[0], designs[1]
    p = upper.shape[0]
    _fill(cells[TOTAL])
    for j in range(p):
        for k in range(j, p):
            _fill(upper[j, k])


@helper
def _fill(lanes):
    for t in range(1, lanes.size):
        lanes[t] = lanes[0]


@helper
def learn(lost, designs):
    """What X'WX of each lane, where `set_squares` has left it, says.

    lost : degrees of freedom that restricted likelihood takes.  Standard errors are in units of
    sigma, and correlations of two coefficients are in the lower triangle of the inverse.
    """
    cells, upper, inverse, norms, errors = designs
    p = norms.shape[0]
    usable, total = cells[USABLE], cells[TOTAL]
    for t in range(usable.size):
        usable[t] = 1.0 if lost < total[t] < math.inf else 0.0
    for j in range(p):
        square, norm = upper[j, j], norms[j]
        for t in range(usable.size):
            usable[t] = usable[t] if LEAST < square[t] < MOST else 0.0
            norm[t] = np.sqrt(square[t])  # of what may be negative
    cholesky_many(upper)
    invert_many(upper, inverse)
    _set_errors(inverse, errors)
    for j in range(p):
        error, norm = errors[j], norms[j]
        for t in range(usable.size):
            part = 1.0 / (error[t] * norm[t])  # of the column, which the others leave
            usable[t] = usable[t] if is_good(part * part) else 0.0
    if lost > 0.0:
        _add_logs(upper, cells[LOG_DET])


@helper
def _add_logs(upper, log_det):
    for t in range(log_det.size):
        log_det[t] = 0.0
        for j in range(upper.shape[0]):
            log_det[t] += 2.0 * np.log(upper[j, j, t])


@helper
def _set_errors(inverse, errors):
    """Standard errors are lengths of rows of the inverse of U: nothing cancels."""
    p = errors.shape[0]
    for i in range(p):
        _dot(inverse, i, i, errors[i])
        error = errors[i]
        for t in range(error.size):
            error[t] = np.sqrt(error[t])
        for j in range(i):
            _dot(inverse, i, j, inverse[i, j])
    for i in range(p):
        for j in range(i):
            a, b, corr = errors[i], errors[j], inverse[i, j]
            for t in range(corr.size):
                corr[t] = corr[t] / a[t] / b[t]


@helper
def _dot(inverse, i, j, out):
    """Products of rows i and j <= i of upper triangular matrices."""
    for t in range(out.size):
        out[t] = 0.0
    for m in range(i, inverse.shape[0]):
        a, b = inverse[i, m], inverse[j, m]
        for t in range(out.size):
            out[t] += a[t] * b[t]
