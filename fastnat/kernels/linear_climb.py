"""The ascent of a regression's likelihood, in the chart of its model; a part of `linear_search`.

Constant sigma: Olsen's chart, or the natural one for truncated values, in which the likelihood is
concave.  Covariates of sigma: (b, g), with the observed information where it is positive definite,
else the part of it that always is, and steps that do not change log sigma too much.
"""

import math

import numpy as np

from fastnat.kernels import ascent, codes
from fastnat.kernels._jit import helper
from fastnat.kernels.curvature import copy, copy_matrix, leave_chart, outlasts_singles
from fastnat.kernels.linalg import cholesky
from fastnat.kernels.linear_frame import factor, times
from fastnat.kernels.linear_memory import (
    CELLS,
    CENSORED,
    COV,
    CUT,
    DENSE,
    FRAMES,
    GRAD,
    INFORMATION,
    INFORMED,
    KNOWN,
    LOGLIK,
    MAX_ITER,
    METRIC,
    MODEL,
    NIT,
    OPEN,
    ORIGIN,
    OWN_START,
    PHASE,
    PLANE,
    PRECISE,
    SCALED,
    SPARE,
    SQUARES_Z,
    START,
    STARTED,
    STATE,
    STATUS,
    STEP_ORIGIN,
    STEP_UNIT,
    STEP_X,
    TOL,
    TOTAL,
    UNIT,
    VERDICT,
    WANTED,
)
from fastnat.kernels.linear_precise import tell_rounding, turn
from fastnat.kernels.linear_shorten import shorten
from fastnat.kernels.linear_values import (
    BOUNDS,
    DONE,
    GRAM,
    HUGE,
    IN_NATURAL,
    IN_OLSEN,
    OBSERVED,
    ROUGH,
    ROUGHLY,
    SAFE,
    SHARP,
    TINY,
    VALUE,
    known_part,
    metric_of,
    parts,
)
from fastnat.kernels.outcome import NO_COV

FRAME, CLIMB, FACE, NOISE, AT_END, MEAT_WANTED, REFRAME, PROOF, LIMIT = range(9)
"""Phases of the search: what the values that come next are for."""

ARRIVED = -1
"""An answer beyond requests: the ascent is over, and the information at its end is known."""

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_FLOOR = 1e-22  # decrements below it are rounding
_NEAR_FACE = 1e-7  # of the first precision
_MOST_FRAMES, _TINY_STEP = 8, 2.0**-8


@helper
def stop(memory, status):
    """The search is over; returns DONE."""
    memory[CELLS][STATUS] = status
    return DONE


@helper
def _stop_early(memory, theta):
    """Out of steps: what long ones have found, if short ones were tried after that."""
    cells = memory[CELLS]
    if cells[STARTED] > 0.0:
        return _begin_again(memory, theta)
    verdict = int(cells[VERDICT])
    if verdict in (codes.UNBOUNDED, codes.SIGMA_ZERO):
        cells[LOGLIK] = math.inf
    return stop(memory, verdict if verdict > 0 else codes.MAX_ITER)


@helper
def _begin_again(memory, theta):
    """From a start that was given nothing good was found, so the search has its own."""
    cells = memory[CELLS]
    cells[STARTED] = cells[NIT] = cells[VERDICT] = 0.0
    cells[STATUS] = codes.OK
    copy(memory[OWN_START], memory[START])
    return begin(memory, theta)


@helper
def begin(memory, theta):
    """From the start, in the chart of the model."""
    cells, start = memory[CELLS], memory[START]
    p = memory[ORIGIN].size
    copy(start, theta)
    if cells[MODEL] != SCALED:
        h = np.exp(math.log(cells[UNIT]) - start[p])  # sigma itself may underflow
        power = h if cells[MODEL] != CUT else h * h
        for j in range(p):
            theta[j] = start[j] * power
        theta[p] = h if cells[MODEL] != CUT else -0.5 * h * h
        start[p] = theta[p]
    return climb_from(memory, theta)


@helper
def climb_from(memory, theta):
    cells = memory[CELLS]
    cells[PHASE], cells[INFORMED], cells[PRECISE] = CLIMB, 0.0, 0.0
    total, tol, left = cells[TOTAL], cells[TOL], max(cells[MAX_ITER] - cells[NIT], 1.0)
    ascent.start(memory[STATE], theta, total, tol, _FLOOR, left)
    return _want_values(memory)


@helper
def _want_values(memory):
    """What the ascent wants; information roughly, but at the end, if that is what errors are of."""
    cells = memory[CELLS]
    if cells[MODEL] == SCALED:
        last = memory[STATE][ascent.LAST] > 0.0 and cells[COV] != NO_COV
        cells[WANTED] = OBSERVED if last or cells[PRECISE] > 0.0 else ROUGHLY
    elif cells[MODEL] == CUT:
        cells[WANTED] = IN_NATURAL
    else:
        cells[WANTED] = IN_OLSEN
    return int(cells[WANTED])


@helper
def proceed(memory, told, theta):
    cells, state, metric = memory[CELLS], memory[STATE], memory[METRIC]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    scaled, censored = cells[MODEL] == SCALED, cells[MODEL] == CENSORED
    if censored:
        _add_known(memory, told, theta)
    grad = parts(told, p, q)[0]
    metric_of(told, p, q, metric)
    if (scaled or censored) and ascent.accepts(state, told[VALUE], grad):
        if told[SHARP] > 0.0 or told[HUGE] > 0.0:
            return _stop_at_extreme(memory, told, theta)
        if not _take_metric(memory, told, grad, theta):
            return int(cells[WANTED])
    code = ascent.advance(state, told[VALUE], grad, metric, theta)
    if censored and _is_stuck(cells, state, code):
        return _begin_frame(memory, theta)
    if code == ascent.RUNNING:
        if scaled:
            shorten(memory, theta)
        else:
            ascent.keep_sign(state, grad, metric, theta)
        return _want_values(memory)
    cells[NIT] += state[ascent.NIT]
    cells[LOGLIK] = state[ascent.LOGLIK] - cells[DENSE] * math.log(cells[UNIT])
    if cells[MODEL] == CUT:
        near = abs(theta[p]) < _NEAR_FACE * abs(memory[START][p])
        if near or code != codes.OK:
            return _begin_face(memory, code, theta)
    return arrive(memory, code, theta)


@helper
def _take_metric(memory, told, grad, theta):
    """Keep the information at an accepted point; false if another is WANTED for the metric."""
    cells, metric, factor, rough = memory[CELLS], memory[METRIC], memory[SPARE], told[ROUGH]
    if cells[WANTED] in (OBSERVED, ROUGHLY):
        copy_matrix(metric, factor)
        good = cholesky(factor)
        if rough > 0.0 and not (good and outlasts_singles(metric, factor, rough, memory[GRAD])):
            cells[PRECISE], cells[WANTED] = 1.0, OBSERVED
            return False
        if not good:
            cells[WANTED] = SAFE
            return False
    enough = rough == 0.0 or cells[COV] == NO_COV
    cells[INFORMED] = 1.0 if enough and cells[WANTED] != SAFE else 0.0
    copy_matrix(metric, memory[INFORMATION])
    copy(grad, memory[GRAD])
    if cells[MODEL] == SCALED:
        b = theta[: memory[ORIGIN].size]
        tell_rounding(memory[STATE], told[VALUE], metric, b, _FLOOR)
    return True


@helper
def _is_stuck(cells, state, code):
    """Whether rounding hides what is gained: no step, or only a tiny one, leads uphill.

    Nothing is hidden where there are no numbers, as at a start that is beyond them.
    """
    tiny = code == ascent.RUNNING and state[ascent.STEP_SIZE] <= _TINY_STEP
    if not (tiny or code == codes.MAX_ITER):
        return False
    steps = cells[NIT] + state[ascent.NIT]
    return cells[FRAMES] < _MOST_FRAMES and steps < cells[MAX_ITER]


@helper
def _begin_frame(memory, theta):
    """New coordinates, where weights of many sizes have left few rows with a say.

    In coordinates that are well conditioned here, and where values are what is left of them here,
    no digits cancel.
    """
    cells, state = memory[CELLS], memory[STATE]
    p = memory[ORIGIN].size
    cells[NIT] += state[ascent.NIT]
    copy(state[ascent.BASE : ascent.BASE + p + 1], theta)
    factor(memory[INFORMATION], p, memory[PLANE])
    turn(memory, memory[PLANE])
    times(memory[STEP_X], theta[:p])
    for j in range(p):
        memory[STEP_ORIGIN][j] = theta[j] / theta[p]
        memory[ORIGIN][j] += memory[STEP_ORIGIN][j] * cells[UNIT]
        theta[j] = 0.0
    cells[STEP_UNIT] = math.ldexp(1.0, -math.frexp(theta[p])[1])
    cells[UNIT] *= cells[STEP_UNIT]
    theta[p] *= cells[STEP_UNIT]
    cells[PHASE] = REFRAME
    return GRAM


@helper
def take_frame(memory, told, theta):
    """The squares of the exact rows in these coordinates; the ascent goes on."""
    copy_matrix(known_part(told, memory[ORIGIN].size, memory[SQUARES_Z].shape[0]), memory[KNOWN])
    return climb_from(memory, theta)


@helper
def _add_known(memory, told, theta):
    """What exact rows add in Olsen's chart, from sums of squares and products."""
    known, n = memory[KNOWN], memory[CELLS][DENSE]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    grad, _, by_x, zx, zz = parts(told, p, q)
    h, yy = theta[p], known[p, p]
    by_y = squares = 0.0
    for j in range(p):
        fit = 0.0
        for k in range(p):
            fit += known[j, k] * theta[k]
            by_x[j, k] += known[j, k]
        by_y += theta[j] * known[j, p]
        squares += theta[j] * fit
        grad[j] += h * known[j, p] - fit
        zx[0, j] -= known[j, p]
    grad[p] += n / h - h * yy + by_y
    zz[0, 0] += n / (h * h) + yy
    rest = h * h * yy - 2.0 * h * by_y + squares
    told[VALUE] += n * (np.log(h) - _HALF_LOG_2PI) - 0.5 * rest


@helper
def _stop_at_extreme(memory, told, theta):
    """The scale has left the data behind, for some rows or for all."""
    cells = memory[CELLS]
    cells[NIT] += memory[STATE][ascent.NIT]
    if told[SHARP] > 0.0:
        cells[LOGLIK] = math.inf
        all_rows = told[TINY] >= cells[TOTAL] * (1.0 - 1e-12)
        return end_badly(memory, codes.SIGMA_ZERO if all_rows else codes.UNBOUNDED, theta)
    cells[LOGLIK] = told[VALUE] - cells[DENSE] * math.log(cells[UNIT])
    return end_badly(memory, codes.SIGMA_INFINITE, theta)


@helper
def arrive(memory, code, theta):
    """The ascent has ended: back to (beta, gamma), with the information there.

    If that is to prove that there is a maximum, this is asked first.
    """
    cells = memory[CELLS]
    p = memory[ORIGIN].size
    if cells[OPEN] > 0.0 and code == codes.OK:
        cells[PHASE] = PROOF
        return BOUNDS
    if cells[MODEL] == CENSORED:
        leave_chart(memory[INFORMATION], memory[GRAD], theta)
    if cells[MODEL] != SCALED:
        power = h = theta[p]
        if cells[MODEL] == CUT:
            power = -2.0 * h
            h = np.sqrt(power)
        for j in range(p):
            theta[j] /= power
        theta[p] = math.log(cells[UNIT]) - np.log(h)
    if code != codes.OK:
        return _stop_early(memory, theta)
    cells[PHASE] = AT_END
    return ARRIVED if cells[INFORMED] > 0.0 else OBSERVED


@helper
def end_badly(memory, code, theta):
    """Once, try again from the start with shorter steps; the verdict is kept."""
    cells = memory[CELLS]
    if cells[STARTED] > 0.0:
        return _begin_again(memory, theta)
    if cells[VERDICT] > 0.0:
        return stop(memory, code)
    cells[VERDICT] = code
    copy(memory[START], theta)
    return climb_from(memory, theta)


# ---- truncation: is the maximum beyond the normal family? ------------------------------------


@helper
def _begin_face(memory, code, theta):
    """Where the precision goes to zero, rows are exponential: is the likelihood largest there?"""
    cells = memory[CELLS]
    p = memory[ORIGIN].size
    copy(theta, memory[START])
    cells[STATUS] = code
    theta[p] = 0.0
    total, tol = cells[TOTAL], cells[TOL]
    ascent.start(memory[STATE], theta[:p], total, tol, _FLOOR, cells[MAX_ITER])
    cells[PHASE] = FACE
    return IN_NATURAL


@helper
def proceed_on_face(memory, told, theta):
    cells, state = memory[CELLS], memory[STATE]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    grad, _, by_x, _, _ = parts(told, p, q)
    by_precision = grad[p]
    copy_matrix(by_x, memory[PLANE])
    code = ascent.advance(state, told[VALUE], grad[:p], memory[PLANE], theta[:p])
    if code == ascent.RUNNING:
        return IN_NATURAL
    if code == codes.OK and by_precision >= 0.0:
        cells[LOGLIK] = state[ascent.LOGLIK] - cells[DENSE] * math.log(cells[UNIT])
        return stop(memory, codes.SIGMA_INFINITE)
    copy(memory[START], theta)
    return arrive(memory, int(cells[STATUS]), theta)
