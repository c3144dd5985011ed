"""Least squares: the coordinates of a regression, and all of its fit for complete data.

Told sums of squares and products, pass by pass, as a part of `linear_search`.
"""

import math

from fastnat.kernels import codes
from fastnat.kernels._jit import helper
from fastnat.kernels.compression import unit_of
from fastnat.kernels.curvature import copy, copy_matrix
from fastnat.kernels.linalg import least_alone
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
    BEST,
    CELLS,
    CENSORED,
    COLUMN,
    DENSE,
    GRAD,
    INFORMATION,
    KNOWN,
    LOG_DET,
    LOGLIK,
    LOST,
    MEAN_NOISE,
    METRIC,
    MODEL,
    MOVED,
    N_ROWS,
    NOISE_FREE,
    NORMS,
    ORIGIN,
    PASSES,
    PLANE,
    RESCALED,
    REST,
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
    TURNED,
    UNIT,
)
from fastnat.kernels.linear_values import (
    DENSITY,
    NO_NOISE,
    NOISE_SUM,
    ROWS,
    WEIGHT_SUM,
    known_part,
    parts,
)

MORE, FITTED, DEPENDENT, NO_UNITS = range(4)
"""What `fit` answers."""

_MOST_PASSES = 6
_DEPENDENT = 1e-12  # what is left of a column that depends on those before it, relative to it
_ROUNDING = 2.0**-52  # of squares
PERFECT = 2.0**-50  # residuals that are rounding, relative to the values
SOUND = 2.0**10  # times rounding: a sigma above it is of the data
ENOUGH = 2.0**-6  # of squares, left by a fit: with less, too many digits have cancelled
LEAST, MOST = 1e-280, 1e280  # squares of numbers that need no units


@helper
def fit(memory, told):
    """One pass: turn the bases where columns are nearly dependent, fit the values.

    Where little is left of them, the fit is taken from them, and another pass finds what is left:
    of the exact rows for censored ones, whose likelihood is found from their squares; else of all.
    Returns MORE if another pass over the rows is needed, NO_UNITS if one for units is, FITTED, with
    the fit in memory[GRAD], or DEPENDENT.
    """
    cells, step, fit = memory[CELLS], memory[STEP_X], memory[GRAD]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    _, aims, _, _, zz = parts(told, p, q)
    known = known_part(told, p, q)
    for j in range(p + 1):
        for k in range(p + 1):
            aims[j, k] += known[j, k]
    for j in range(p):
        memory[STEP_ORIGIN][j] = 0.0
    if cells[RESCALED] == 0.0 and not _is_moderate(aims, zz):
        cells[RESCALED] = 1.0
        return NO_UNITS
    if cells[PASSES] == 0.0:
        _take_totals(memory, told, aims, zz)
    cells[PASSES] += 1.0
    last = cells[PASSES] >= _MOST_PASSES
    good = _turn(memory, aims, 0, memory[BASIS_X], step, memory[SPARE], last)
    good = _turn(memory, zz, p, memory[BASIS_Z], memory[STEP_Z], memory[METRIC], last) and good
    if cells[COLUMN] >= 0.0:
        return DEPENDENT
    rest = max(aims[p, p] - _explain(aims, memory[SPARE], fit), 0.0)
    precise = rest >= ENOUGH * aims[p, p]
    if cells[MODEL] == CENSORED:
        precise = _fit_known(memory, known, precise, fit)
    # Where what is left is rounding it may be 0, and a unit of 1 would be any number.
    change = _unit_of(math.sqrt(max(rest, _ROUNDING * aims[p, p]) / cells[TOTAL]))
    if cells[UNIT] * change == 0.0:
        change = 1.0  # there are no smaller numbers
    cells[RSS] = rest / (change * change)
    if (good and precise) or last:
        _set_unit(memory, change)
        _finish_pass(memory, aims, known, zz, change)
        return FITTED
    _shift(memory, fit)
    _set_unit(memory, change)
    return MORE


@helper
def _fit_known(memory, known, precise, fit):
    """Fit the exact rows: ``fit`` is what to take from the values, unless this is precise."""
    cells, p = memory[CELLS], memory[ORIGIN].size
    factor(known, p, memory[PLANE])
    own = max(known[p, p] - _explain(known, memory[PLANE], memory[BEST]), 0.0)
    cells[REST] = own * cells[UNIT] * cells[UNIT]
    # First that of all rows: what exact ones leave open is junk in proportion to the values.
    if not precise and cells[PASSES] == 1.0:
        return False
    if own >= ENOUGH * known[p, p]:
        return True
    copy(memory[BEST][:p], fit)
    return False


@helper
def _is_moderate(aims, zz):
    """Whether squares neither overflow nor underflow."""
    good = True
    for j in range(aims.shape[0]):
        good = good and LEAST < aims[j, j] < MOST
    for j in range(zz.shape[0]):
        good = good and LEAST < zz[j, j] < MOST
    return good


@helper
def take_units(memory, told):
    """Units of the columns of X, the values and Z: powers of two, from sums of roots."""
    cells, sizes = memory[CELLS], memory[SIZES]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    _, aims, _, _, zz = parts(told, p, q)
    for j in range(p + 1):
        sizes[j] = unit_of((aims[j, j] / told[ROWS]) ** 2)
    for j in range(q):
        sizes[p + 1 + j] = unit_of((zz[j, j] / told[ROWS]) ** 2)
    for j in range(p):
        memory[BASIS_X][j, j] = memory[STEP_X][j, j] = sizes[j]
    for j in range(q):
        memory[BASIS_Z][j, j] = memory[STEP_Z][j, j] = sizes[p + 1 + j]
    cells[TURNED] = cells[RESCALED] = 1.0
    _set_unit(memory, sizes[p])


@helper
def _take_totals(memory, told, aims, zz):
    cells = memory[CELLS]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    total = told[WEIGHT_SUM]
    cells[TOTAL], cells[DENSE], cells[NOISE_FREE] = total, told[DENSITY], told[NO_NOISE]
    cells[N_ROWS], cells[MEAN_NOISE] = told[ROWS], told[NOISE_SUM] / total * cells[UNIT]
    cells[SIZE] = math.sqrt(aims[p, p] / total) * cells[UNIT]
    for j in range(p):
        memory[NORMS][j] = math.sqrt(aims[j, j])
    for j in range(q):
        memory[NORMS][p + j] = math.sqrt(zz[j, j])


@helper
def _explain(aims, upper, fit):
    """Fit the values by least squares, given a factor; returns what that explains."""
    p = aims.shape[0] - 1
    for j in range(p):
        fit[j] = aims[j, p]
    solve_factor(upper, p, fit)
    explained = 0.0
    for j in range(p):
        explained += fit[j] * aims[j, p]
    return explained


@helper
def _finish_pass(memory, aims, known, zz, change):
    """All is in its last coordinates, but for the unit of the values."""
    p = memory[ORIGIN].size
    for j in range(p):
        memory[GRAD][j] /= change
    for squares in (aims, known):
        for j in range(p + 1):
            squares[j, p] /= change
            squares[p, j] /= change
    copy_matrix(known, memory[KNOWN])
    copy_matrix(zz, memory[SQUARES_Z])


@helper
def _turn(memory, gram, first, basis, step, upper, last):
    """Factor the squares, and turn the basis if columns are nearly dependent; whether they are not.

    upper : gets the factor.  COLUMN becomes the first column that depends on those before it.
    """
    cells, n = memory[CELLS], basis.shape[0]
    good = is_good(factor(gram, n, upper))
    good = good and is_good(least_alone(upper, n, memory[GRAD]))
    set_identity(step)
    for j in range(n):
        norm = memory[NORMS][first + j]
        size = memory[SIZES][first + 1 + j] if first > 0 else memory[SIZES][j]
        # What is left of the column, or as much as it has at most, if its squares are shifted.
        left = (upper[j, j] if good else math.sqrt(gram[j, j])) * (basis[j, j] / size)
        if cells[COLUMN] < 0.0 and not left > _DEPENDENT * norm:
            cells[COLUMN] = first + j
    if not good and not last:
        cells[TURNED] = 1.0
        for j in range(n):
            for k in range(j, n):
                step[j, k] = upper[j, k]
        multiply(step, basis)
    return good


@helper
def _shift(memory, fit):
    """Take the fit from the values."""
    cells, step = memory[CELLS], memory[STEP_X]
    times(step, fit)
    times(step, memory[ORIGIN])
    for j in range(memory[ORIGIN].size):
        memory[STEP_ORIGIN][j] = fit[j]
        memory[ORIGIN][j] += fit[j] * cells[UNIT]


@helper
def _unit_of(size):
    """A power of two near what is left of the values."""
    return math.ldexp(1.0, math.frexp(size)[1] - 1) if 0.0 < size < math.inf else 1.0


@helper
def _set_unit(memory, change):
    cells = memory[CELLS]
    cells[STEP_UNIT] = change
    cells[UNIT] *= change
    cells[MOVED] = 1.0


@helper
def is_spent(memory):
    """Whether as many rows as coefficients leave nothing to restricted likelihood: it is flat."""
    cells = memory[CELLS]
    return cells[LOST] > 0.0 and cells[TOTAL] == cells[LOST] == cells[N_ROWS]


@helper
def finish(memory, aims, theta):
    """Complete data and a constant sigma: the maximum is here; returns the status."""
    cells, upper = memory[CELLS], memory[SPARE]
    p = memory[ORIGIN].size
    dof = cells[TOTAL] - cells[LOST]
    cells[LOG_DET] = 0.0
    for j in range(p):
        theta[j] = memory[GRAD][j]
        cells[LOG_DET] += 2.0 * math.log(upper[j, j] * memory[BASIS_X][j, j])
    if cells[LOST] > 0.0 and not dof > 0.0:
        # The restricted likelihood grows with sigma, or is constant in it.
        cells[LOGLIK] = math.inf if dof < 0.0 else 0.0 - 0.5 * cells[LOG_DET]
        flat = dof == 0.0 and is_perfect(memory, aims)
        return codes.NOT_IDENTIFIED if flat else codes.SIGMA_INFINITE
    if is_perfect(memory, aims):
        cells[LOGLIK] = math.inf
        return codes.SIGMA_ZERO
    variance = cells[RSS] / dof
    theta[p] = 0.5 * math.log(variance) + math.log(cells[UNIT])
    loglik = log_likelihood(dof, theta[p])
    cells[LOGLIK] = loglik - (0.5 * cells[LOG_DET] if cells[LOST] > 0.0 else 0.0)
    information = memory[INFORMATION]
    for j in range(p):
        for k in range(p):
            information[j, k] = aims[j, k] / variance
        information[j, p] = information[p, j] = 0.0
    information[p, p] = 2.0 * dof
    return codes.OK


@helper
def log_likelihood(dof, log_sigma):
    """The most that so many degrees of freedom can have."""
    return -dof * (log_sigma + 0.5 * math.log(2.0 * math.pi) + 0.5)


@helper
def is_perfect(memory, aims):
    """Whether a plane goes through all values, but for rounding."""
    cells = memory[CELLS]
    if cells[N_ROWS] <= memory[ORIGIN].size:
        return True
    return not math.sqrt(cells[RSS] / cells[TOTAL]) * cells[UNIT] > rounding(memory, aims)


@helper
def is_perfect_where_known(memory, aims):
    """Whether a plane goes through all values that are exact, but for rounding."""
    cells = memory[CELLS]
    return not math.sqrt(cells[REST] / cells[DENSE]) > rounding(memory, aims)


@helper
def rounding(memory, aims):
    """Residuals that are rounding."""
    cells, origin = memory[CELLS], memory[ORIGIN]
    size = cells[SIZE]
    for j in range(origin.size):
        own = origin[j] + cells[UNIT] * memory[GRAD][j]
        size += abs(own) * math.sqrt(aims[j, j] / cells[TOTAL])
    return PERFECT * size
