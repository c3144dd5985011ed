"""Regressions some of whose rows are far more precise than others, by their scale or noise."""

import math

from fastnat.kernels import ascent
from fastnat.kernels._jit import helper
from fastnat.kernels.linalg import least_alone
from fastnat.kernels.linear_frame import factor, multiply, set_identity, times
from fastnat.kernels.linear_memory import (
    BASIS_X,
    CELLS,
    FACTOR,
    FRAMES,
    MOVED,
    ORIGIN,
    SPARE,
    STEP_ORIGIN,
    STEP_UNIT,
    STEP_X,
    STEP_Z,
    TURNED,
)

_ROUNDING = 2.0**-50  # of a fit
_POOR = 1e-6  # of a column, left by the others in these weights: coordinates for others


@helper
def is_poor(memory, by_x):
    """Whether columns are nearly dependent in the weights that rows have in these squares.

    Where few rows are far more precise than others, they alone are seen.  memory[FACTOR] gets
    their factor.
    """
    upper, p = memory[FACTOR], memory[ORIGIN].size
    for j in range(p):
        if not 0.0 < by_x[j, j] < math.inf:
            return False
    least = factor(by_x, p, upper)
    if least**p > _POOR:  # at most the product of pivots, beyond which the others leave any column
        return False
    return not (least > _POOR and least_alone(upper, p, memory[SPARE][0]) > _POOR)


@helper
def turn(memory, upper):
    """X gets the coordinates in which squares with this factor are the identity; rows follow."""
    cells, step = memory[CELLS], memory[STEP_X]
    p = step.shape[0]
    set_identity(memory[STEP_Z])
    set_identity(step)
    for j in range(p):
        for k in range(j, p):
            step[j, k] = upper[j, k]
    multiply(step, memory[BASIS_X])
    times(step, memory[ORIGIN])
    memory[STEP_ORIGIN][:] = 0.0
    cells[STEP_UNIT], cells[MOVED], cells[TURNED] = 1.0, 1.0, 1.0
    cells[FRAMES] += 1.0


@helper
def tell_rounding(state, loglik, by_x, theta, floor):
    """Tell the ascent what rounding of the fit does, which noise may be small beside.

    It moves residuals by as many of their standard deviations, all in all; the log-likelihood by
    these times its own, and a decrement by their square.
    """
    squares = state[ascent.TOTAL] + 2.0 * abs(loglik)
    fit = 0.0
    for j in range(theta.size):
        fit += abs(theta[j]) * math.sqrt(max(by_x[j, j], 0.0))
    moved = _ROUNDING * (fit + math.sqrt(squares))
    if moved < math.inf:
        state[ascent.SLACK] = moved * math.sqrt(squares)
        state[ascent.FLOOR] = max(floor, moved * moved / state[ascent.TOTAL])
