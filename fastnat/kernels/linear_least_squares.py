"""Least squares: the coordinates of a regression, and all of its fit for complete data.

Told sums of squares and products, pass by pass, as a part of `linear_search`.
"""

import math

from fastnat.kernels import codes
from fastnat.kernels._jit import helper
from fastnat.kernels.curvature import copy_matrix
from fastnat.kernels.linear_frame import (
    factor,
    is_good,
    multiply,
    set_identity,
    solve_factor,
    times,
)
from fastnat.kernels.linear_memory import (
    BASIS_X,
    BASIS_Z,
    CELLS,
    COLUMN,
    DENSE,
    GRAD,
    INFORMATION,
    LOG_DET,
    LOGLIK,
    LOST,
    METRIC,
    MOVED,
    N_ROWS,
    NOISE_FREE,
    NORMS,
    ORIGIN,
    PASSES,
    RSS,
    SIZE,
    SIZES,
    SPARE,
    SQUARES_Z,
    STEP_ORIGIN,
    STEP_UNIT,
    STEP_X,
    STEP_Z,
    TOTAL,
    UNIT,
)
from fastnat.kernels.linear_values import DENSITY, NO_NOISE, WEIGHT_SUM, parts

MORE, FITTED, DEPENDENT = range(3)
"""What `fit` answers."""

_MOST_PASSES = 6
_DEPENDENT = 1e-12  # what is left of a column that depends on those before it, relative to it
_PERFECT = 2.0**-50  # residuals that are rounding, relative to the values


@helper
def fit(memory, told):
    """One pass: turn the bases, fit what is left of the values, and take it from them.

    Returns MORE if another pass over the rows is needed, FITTED, or DEPENDENT.
    """
    cells, step, fit = memory[CELLS], memory[STEP_X], memory[GRAD]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    _, aims, _, _, zz = parts(told, p, q)
    total, yy = told[WEIGHT_SUM], aims[p, p]
    if cells[PASSES] == 0.0:
        cells[TOTAL], cells[DENSE], cells[NOISE_FREE] = total, told[DENSITY], told[NO_NOISE]
        cells[SIZE] = math.sqrt(yy / total) * cells[UNIT]
        for j in range(p):
            memory[NORMS][j] = math.sqrt(aims[j, j])
        for j in range(q):
            memory[NORMS][p + j] = math.sqrt(zz[j, j])
    cells[PASSES] += 1.0
    good_x = _turn(memory, aims, 0, memory[BASIS_X], step, memory[SPARE])
    good_z = _turn(memory, zz, p, memory[BASIS_Z], memory[STEP_Z], memory[METRIC])
    if cells[COLUMN] >= 0.0:
        return DEPENDENT
    for j in range(p):
        fit[j] = aims[j, p]
    solve_factor(memory[SPARE], p, fit)
    explained = 0.0
    for j in range(p):
        explained += fit[j] * aims[j, p]
    rest = max(yy - explained, 0.0)
    done = good_x and good_z and explained <= 0.5 * yy
    _shift(memory, fit, math.sqrt(rest / total))
    cells[RSS] = rest / (cells[STEP_UNIT] * cells[STEP_UNIT])
    if not done and cells[PASSES] < _MOST_PASSES:
        return MORE
    copy_matrix(zz, memory[SQUARES_Z])
    return FITTED


@helper
def _turn(memory, gram, first, basis, step, upper):
    """Factor the squares, and turn the basis if columns are nearly dependent; whether they are not.

    upper : gets the factor.  COLUMN becomes the first column that depends on those before it.
    """
    cells, n = memory[CELLS], basis.shape[0]
    good = is_good(factor(gram, n, upper))
    set_identity(step)
    for j in range(n):
        norm = memory[NORMS][first + j]
        size = memory[SIZES][first + 1 + j] if first > 0 else memory[SIZES][j]
        # What is left of the column, or as much as it has at most, if its squares are shifted.
        left = (upper[j, j] if good else math.sqrt(gram[j, j])) * (basis[j, j] / size)
        if cells[COLUMN] < 0.0 and not left > _DEPENDENT * norm:
            cells[COLUMN] = first + j
    if not good:
        for j in range(n):
            for k in range(j, n):
                step[j, k] = upper[j, k]
        multiply(step, basis)
    return good


@helper
def _shift(memory, fit, size):
    """Take the fit from the values; their unit becomes a power of two near the size of the rest."""
    cells, step = memory[CELLS], memory[STEP_X]
    times(step, fit)
    times(step, memory[ORIGIN])
    for j in range(memory[ORIGIN].size):
        memory[STEP_ORIGIN][j] = fit[j]
        memory[ORIGIN][j] += fit[j] * cells[UNIT]
    change = math.ldexp(1.0, math.frexp(size)[1] - 1) if 0.0 < size < math.inf else 1.0
    cells[STEP_UNIT] = change
    cells[UNIT] *= change
    cells[MOVED] = 1.0


@helper
def finish(memory, aims, theta):
    """Complete data and a constant sigma: the maximum is here; returns the status."""
    cells, upper = memory[CELLS], memory[SPARE]
    p = memory[ORIGIN].size
    dof = cells[TOTAL] - cells[LOST]
    cells[LOG_DET] = 0.0
    for j in range(p):
        theta[j] = 0.0
        cells[LOG_DET] += 2.0 * math.log(upper[j, j] * memory[BASIS_X][j, j])
    if cells[LOST] > 0.0 and not dof > 0.0:
        # The restricted likelihood is constant in sigma, or grows with it.
        cells[LOGLIK] = math.inf if dof < 0.0 else 0.0
        return codes.SIGMA_INFINITE if dof < 0.0 else codes.NOT_IDENTIFIED
    if is_perfect(memory, aims):
        cells[LOGLIK] = math.inf
        return codes.SIGMA_ZERO
    variance = cells[RSS] / dof
    theta[p] = 0.5 * math.log(variance) + math.log(cells[UNIT])
    loglik = -dof * (theta[p] + 0.5 * math.log(2.0 * math.pi) + 0.5)
    cells[LOGLIK] = loglik - (0.5 * cells[LOG_DET] if cells[LOST] > 0.0 else 0.0)
    information = memory[INFORMATION]
    for j in range(p):
        for k in range(p):
            information[j, k] = aims[j, k] / variance
        information[j, p] = information[p, j] = 0.0
    information[p, p] = 2.0 * dof
    return codes.OK


@helper
def is_perfect(memory, aims):
    """Whether a plane goes through all values, but for rounding."""
    cells, origin = memory[CELLS], memory[ORIGIN]
    size = cells[SIZE]
    for j in range(origin.size):
        size += abs(origin[j]) * math.sqrt(aims[j, j] / cells[TOTAL])
    rms = math.sqrt(cells[RSS] / cells[TOTAL]) * cells[UNIT]
    return cells[N_ROWS] <= origin.size or not rms > _PERFECT * size
