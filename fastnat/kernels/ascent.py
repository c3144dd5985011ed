"""The ascent: accept or halve, step, stop.  It is told values and never calls a model::

    start(state, theta, total, tol, floor, max_iter)
    while running:
        ... loglik, grad and a metric at theta, by whoever knows the model ...
        code = advance(state, loglik, grad, metric, theta)
        running = code == RUNNING

So one ascent serves kernels, rows in blocks on threads, and workers elsewhere.  In a chart whose
last coordinate has a sign to keep, `keep_sign` has its say before the next values are found.
"""

import math

import numpy as np

from fastnat.kernels import codes
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels._stop import stopped
from fastnat.kernels.step import natural_step

RUNNING = -1
"""`advance` wants to be told the values at the new theta."""

LOGLIK, NIT, STEP_SIZE, DECREMENT, LAST, TOTAL, TOL, FLOOR, MAX_ITER, GAIN, SLOPE, SLACK = range(12)
BASE = 12
"""Cells of the state: log-likelihood at the last accepted point, accepted steps, size of the step
that is on trial, decrement over total weight, whether it is the last one, then what `start` was
given, the least share of the promised gain that a step must bring, what the gradient promises for
the whole step, and what rounding may take from the log-likelihood beyond the usual.  From BASE on:
the last accepted point (p,), and the step from there (p,)."""

_ARMIJO = 1e-4
_SLACK = 1e-13  # what rounding may take from a log-likelihood, relative to it and the weight
_OVERSHOOT = 0.9  # of the slope at the start may be found, downhill, at the end of a step
_NEAREST = 0.1  # of the way to zero that is left to a coordinate with a sign
_SMALLEST = 2.0**-60  # step sizes below it change nothing


@kernel
def state_size(p):
    """Give the length of the state.

    Parameters
    ----------
    p : int
        The number of parameters.

    Returns
    -------
    int
        How many numbers the state has.
    """
    return np.int64(BASE + 2 * p)


STATE, THETA, GRAD, METRIC = range(4)
"""The tools: arrays that every problem uses in turn."""


@helper
def new_tools(p):
    return np.empty(BASE + 2 * p), np.empty(p), np.empty(p), np.empty((p, p))


@kernel
def start(state, theta, total, tol, floor, max_iter):
    """Begin the ascent at a point.

    Parameters
    ----------
    state : (state_size(p),) ndarray
        Out.
    theta : (p,) ndarray
        The point.
    total : float
        The total weight of the observations; decrements are divided by it.
    tol : float
        Decrement at which to stop, after one more step; at once if it is below its square.
    floor : float
        A decrement below which an increase is due to rounding, and ends the ascent; with ``tol``
        0 it is needed for that, for rounding can go on for ever.
    max_iter : int
        How many accepted steps, at most.
    """
    for k in range(BASE):
        state[k] = 0.0
    state[LOGLIK] = -math.inf
    state[DECREMENT] = math.inf
    state[TOTAL], state[TOL], state[FLOOR], state[MAX_ITER] = total, tol, floor, max_iter
    state[GAIN] = _ARMIJO
    for j in range(theta.shape[0]):
        state[BASE + j] = theta[j]


@kernel
def accepts(state, loglik, grad):
    """Whether `advance`, told these values, would accept the point on trial."""
    for j in range(grad.shape[0]):
        if not math.isfinite(grad[j]):
            return loglik == math.inf
    if state[STEP_SIZE] == 0.0:  # nothing is on trial yet
        return math.isfinite(loglik) or loglik == math.inf
    needed = state[GAIN] * state[STEP_SIZE] * state[SLOPE]
    gain = loglik - state[LOGLIK]
    if gain > 0.0 and gain >= needed:
        return True
    if state[STEP_SIZE] < 1.0:  # the whole step has been wanting by more than rounding
        return False
    # Where rounding hides the gain, the slope tells whether the step went too far.
    p = grad.shape[0]
    slope = 0.0
    for j in range(p):
        slope += grad[j] * state[BASE + p + j]
    slack = _SLACK * (state[TOTAL] + abs(state[LOGLIK])) + state[SLACK]
    too_far = slope < -_OVERSHOOT * state[SLOPE]
    return bool(gain >= needed - slack and not too_far)


@kernel
def advance(state, loglik, grad, metric, theta):
    """Accept or reject the point on trial, given its values, and go on.

    Parameters
    ----------
    state : (state_size(p),) ndarray
        What `start` has begun.
    loglik : float
        The value, to be increased.
    grad : (p,) ndarray
        Its gradient.
    metric : (p, p) ndarray
        Symmetric; not looked at if the point is rejected, else lost.
    theta : (p,) ndarray
        In: the point on trial; out: the next one, or the last one accepted.

    Returns
    -------
    int
        A code: RUNNING; OK; UNBOUNDED, an infinite log-likelihood; MAX_ITER, out of steps, or
        none ascends; INVALID_INPUT, no finite values at the start; NOT_IDENTIFIED, an unusable
        metric.
    """
    p = theta.shape[0]
    base, step = state[BASE : BASE + p], state[BASE + p : BASE + 2 * p]
    if stopped():
        return codes.MAX_ITER
    if accepts(state, loglik, grad):
        for j in range(p):
            base[j] = theta[j]
        code = _accept(state, loglik, grad, metric, step)
        if code != RUNNING:
            return code
    elif state[STEP_SIZE] == 0.0:
        return codes.INVALID_INPUT
    else:
        state[STEP_SIZE] *= 0.5
    moved = False
    for j in range(p):
        theta[j] = base[j] + state[STEP_SIZE] * step[j]
        moved = moved or theta[j] != base[j]
    if moved and state[STEP_SIZE] >= _SMALLEST:
        return RUNNING
    for j in range(p):
        theta[j] = base[j]
    # A step too small to be represented is an arrival if little was left to gain.
    return codes.OK if state[DECREMENT] <= max(state[TOL], state[FLOOR]) else codes.MAX_ITER


@kernel
def keep_sign(state, grad, factor, theta):
    """After RUNNING: let the last coordinate go at most half of its way to zero.

    Parameters
    ----------
    state : (state_size(p),) ndarray
        That of the ascent.
    grad : (p,) ndarray
        What `advance` was given.
    factor : (p, p) ndarray
        What `advance` has left in the metric: U of U'U, the upper triangle.
    theta : (p,) ndarray
        In and out: the point on trial.

    Notes
    -----
    Where the step would go further, it goes half of the way, and the other coordinates are
    solved for anew, given that.  Shortening the whole step instead can jam at the boundary.
    """
    p = theta.shape[0]
    last = p - 1
    base, step = state[BASE : BASE + p], state[BASE + p : BASE + 2 * p]
    # Of shorter steps this is true, for the whole one was cut if it had to be.
    if theta[last] * base[last] > 0.0 and abs(theta[last]) >= _NEAREST * abs(base[last]):
        return
    # Minus the inverse of the leading block times the last column, which U has as well.
    change = step[last] + 0.5 * base[last]
    for j in range(p - 2, -1, -1):
        value = factor[j, last]
        for k in range(j + 1, last):
            value -= factor[j, k] * theta[k]
        theta[j] = value / factor[j, j]
    slope = 0.0
    for j in range(last):
        step[j] += change * theta[j]
        slope += grad[j] * step[j]
    step[last] = -0.5 * base[last]
    state[SLOPE] = slope + grad[last] * step[last]
    state[LAST] = 0.0
    for j in range(p):
        theta[j] = base[j] + step[j]


@helper
def shorten(state, factor, theta):
    """After RUNNING: let a whole step be only ``factor`` of itself; ``theta`` (p,) is on trial."""
    p = theta.shape[0]
    state[SLOPE] *= factor
    state[LAST] = 0.0
    for j in range(p):
        state[BASE + p + j] *= factor
        theta[j] = state[BASE + j] + state[BASE + p + j]


@helper
def _accept(state, loglik, grad, metric, step):
    """Take the values of an accepted point: stop, or find the step from there."""
    if state[STEP_SIZE] > 0.0:
        state[NIT] += 1
    state[LOGLIK] = loglik
    if loglik == math.inf:
        return codes.UNBOUNDED
    if state[LAST] > 0.0:
        return codes.OK
    uphill = 0.0
    for j in range(grad.shape[0]):
        uphill = max(uphill, abs(grad[j]))
    if uphill == 0.0:  # where the metric may be zero as well
        return codes.OK
    decrement = natural_step(metric, grad, 0.0, step) / state[TOTAL]
    if not decrement >= 0.0:
        return codes.NOT_IDENTIFIED
    at_rest = decrement <= state[FLOOR] and decrement >= state[DECREMENT]
    state[DECREMENT], state[SLOPE] = decrement, decrement * state[TOTAL]
    if at_rest or decrement <= state[TOL] * state[TOL]:
        return codes.OK
    if state[NIT] >= state[MAX_ITER]:
        return codes.MAX_ITER
    state[LAST] = 1.0 if decrement <= state[TOL] else 0.0
    state[STEP_SIZE] = 1.0
    return RUNNING
