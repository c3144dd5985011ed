"""Steps of a regression with a scale that go too far, for what log sigma does is exponential."""

import math

from fastnat.kernels import ascent
from fastnat.kernels._jit import helper
from fastnat.kernels.curvature import copy_matrix
from fastnat.kernels.linear_memory import (
    CELLS,
    GRAD,
    INFORMATION,
    ORIGIN,
    SPARE,
    SQUARES_Z,
    STATE,
    TOTAL,
    VERDICT,
    WITH_NOISE,
)
from fastnat.kernels.step import natural_step

_CAP, _SHORT = 1.5, 0.3  # most that log sigma changes in a step, in the mean; if that failed
_LEAST_DAMPING = 2.0**-52  # of log sigma, of which known values tell 2
_FACTOR, _HALVINGS = 16.0, 4  # from too little to enough, and of what is between them


@helper
def shorten(memory, theta):
    """After RUNNING: log sigma must not change by more than that; ``theta`` is on trial."""
    cells, state = memory[CELLS], memory[STATE]
    cap, change = _CAP if cells[VERDICT] == 0.0 else _SHORT, _change(memory)
    if not change > cap or state[ascent.STEP_SIZE] != 1.0:
        return
    if cells[WITH_NOISE] > 0.0:
        _dampen(memory, cap, theta)
    else:
        ascent.shorten(state, cap / change, theta)


@helper
def _change(memory):
    """How much log sigma changes in the step, in the mean."""
    state, squares = memory[STATE], memory[SQUARES_Z]
    p, q = memory[ORIGIN].size, squares.shape[0]
    first = ascent.BASE + 2 * p + q
    total = 0.0
    for j in range(q):
        for k in range(q):
            total += state[first + j] * squares[j, k] * state[first + k]
    return math.sqrt(max(total, 0.0) / memory[CELLS][TOTAL])


@helper
def _dampen(memory, cap, theta):
    """The step that gains most, of about those that change log sigma so much.

    Where noise explains the scatter of some rows, their scale goes to 0, and a step along it is as
    long as one likes: if the whole of it were shortened, all others would stand still.  So it is
    solved for anew, with squares of what log sigma changes added to the metric (More 1978, in
    Watson, Numerical Analysis, Lecture Notes in Mathematics 630, 105-116).
    """
    state, step = memory[STATE], memory[STATE][ascent.BASE + theta.size :]
    most = _LEAST_DAMPING
    while _damped_change(memory, most, step) > cap:
        most *= _FACTOR
    least = most / _FACTOR
    for _ in range(_HALVINGS):
        damping = math.sqrt(least * most)
        if _damped_change(memory, damping, step) > cap:
            least = damping
        else:
            most = damping
    _damped_change(memory, most, step)
    # A whole step promises something for ever.
    enough = state[ascent.SLOPE] <= state[ascent.TOL] * state[ascent.TOTAL]
    state[ascent.LAST] = 1.0 if enough else 0.0
    for j in range(theta.size):
        theta[j] = state[ascent.BASE + j] + step[j]


@helper
def _damped_change(memory, damping, step):
    """Solve for the step with so much of the squares in the metric; returns its `_change`."""
    squares, damped, p = memory[SQUARES_Z], memory[SPARE], memory[ORIGIN].size
    copy_matrix(memory[INFORMATION], damped)
    for j in range(squares.shape[0]):
        for k in range(squares.shape[0]):
            damped[p + j, p + k] += damping * squares[j, k]
    memory[STATE][ascent.SLOPE] = natural_step(damped, memory[GRAD], 0.0, step)
    return _change(memory)
