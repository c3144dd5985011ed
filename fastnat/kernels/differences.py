"""Observed information by differences of the score.  Told values, as `ascent` is:

    start(state, total, products, theta)
    while not done:
        ... the gradient at theta, by whoever knows the model ...
        done = advance(state, grad, products, information, theta)

Central differences of fourth order, with a step of about a thousandth of the standard deviation
of one observation: twelve digits, if the score has all of its own.
"""

import math

import numpy as np

from fastnat.kernels._jit import helper, kernel
from fastnat.kernels.curvature import copy

POINT, COLUMN, STEP, TRIES, TOTAL = range(5)
CENTRE = 5
"""Cells of the state: which of the offsets, of which parameter, with which step (0: none yet), how
many were tried; the total weight.  From CENTRE on: the centre (p,), sums of a column (p,)."""

_OFFSETS = (1.0, -1.0, 2.0, -2.0)
_COEFFICIENTS = (8.0 / 12.0, -8.0 / 12.0, -1.0 / 12.0, 1.0 / 12.0)
_RELATIVE_STEP = 2.0**-10  # of the standard deviation of one observation
_TOO_LONG = 2.0**-12  # of its square
_SHORTEN = 2.0**-10
_MAX_TRIES = 10
_SMALLEST_STEP = 2.0**-1000


@kernel
def state_size(p):
    """The length of the state for ``p`` parameters."""
    return np.int64(CENTRE + 2 * p)


@kernel
def start(state, total, products, theta):
    """Begin around ``theta`` (p,), which becomes the first point.

    state : (state_size(p),), out.
    total : the total weight of the observations.
    products : (p, p), the OPG there, which tells scales.
    """
    state[POINT] = state[COLUMN] = state[STEP] = state[TRIES] = 0.0
    state[TOTAL] = total
    copy(theta, state[CENTRE : CENTRE + theta.shape[0]])
    _offset(state, products, theta)


@kernel
def advance(state, grad, products, information, theta):
    """Use the gradient at ``theta`` and move on to the next point; True at the end.

    grad : (p,).
    information : (p, p), out; symmetric at the end, when theta is back at the centre.
    """
    p = theta.shape[0]
    j, point = int(state[COLUMN]), int(state[POINT])
    column = state[CENTRE + p :]
    for k in range(p):
        before = 0.0 if point == 0 else column[k]
        column[k] = before - _COEFFICIENTS[point] * grad[k]
    state[POINT] += 1.0
    if state[POINT] == len(_OFFSETS):
        state[POINT] = 0.0
        for k in range(p):
            information[j, k] = column[k] / state[STEP]
        if not _step_was_too_long(state, information[j, j], state[CENTRE + j]):
            state[COLUMN] += 1.0
            state[STEP] = state[TRIES] = 0.0
        if state[COLUMN] == p:
            for i in range(p):
                for k in range(i):
                    mean = 0.5 * (information[i, k] + information[k, i])
                    information[i, k] = information[k, i] = mean
            copy(state[CENTRE : CENTRE + p], theta)
            return True
    _offset(state, products, theta)
    return False


@helper
def _offset(state, products, theta):
    """Move theta to the next point."""
    p, j = theta.shape[0], int(state[COLUMN])
    copy(state[CENTRE : CENTRE + p], theta)
    if state[STEP] == 0.0:
        # The standard deviation of one observation is 1 / sqrt(mean squared score).
        scale = math.sqrt(state[TOTAL] / products[j, j])
        if not (scale > 0.0 and scale < math.inf):
            scale = max(1.0, abs(theta[j]))
        _set_step(state, _RELATIVE_STEP * scale, theta[j])
    theta[j] += _OFFSETS[int(state[POINT])] * state[STEP]


@helper
def _set_step(state, step, at):
    """A power of two, not below the resolution of theta: what is added is what was meant."""
    least = max(_SMALLEST_STEP, 2.0**-40 * abs(at))
    _, exponent = math.frexp(max(step, least))
    state[STEP] = math.ldexp(0.5, exponent)


@helper
def _step_was_too_long(state, curvature, at):
    """Whether a shorter step is to be tried: this one is no small part of 1 / sqrt(curvature).

    The OPG misleads where all scores of a parameter vanish, as with two observations.
    """
    step = state[STEP]
    state[TRIES] += 1.0
    if step * step * abs(curvature) <= _TOO_LONG * state[TOTAL] or state[TRIES] == _MAX_TRIES:
        return False
    _set_step(state, _SHORTEN * step, at)
    return 0.0 < state[STEP] < step
