"""The search for the maximum of a regression's likelihood; told values, like `search`.

    request = begin(memory, ...)
    while request != DONE:
        if memory[CELLS][MOVED] > 0: rows go to the new coordinates
        told[:] = values at theta, as `request` says
        request = proceed(memory, told, theta)

First come the coordinates (`linear_frame`), and with them the least-squares fit, which is all of
it for complete data and a constant sigma.  Then whether censored rows have a likelihood with a
maximum, unless known values alone say so; the ascent; and the information at its end.

Within, theta is (beta, gamma): X b = X' (origin + unit beta), log sigma = Z' gamma, and the ascent
has a chart of its own.
"""

import math

from fastnat.kernels import ascent, codes, linear_noise
from fastnat.kernels import linear_least_squares as least_squares
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels.curvature import copy, copy_matrix, definite
from fastnat.kernels.linalg import cholesky
from fastnat.kernels.linear_frame import (
    factor,
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
    CLUSTERED,
    COLUMN,
    COMPLETE,
    COV,
    CUT,
    DENSE,
    ESCAPES,
    GRAD,
    INFORMATION,
    LOGLIK,
    LOST,
    MAX_ITER,
    MEAT,
    METRIC,
    MODEL,
    MOVED,
    NIT,
    NOISE_FREE,
    NOISY,
    ORIGIN,
    PHASE,
    PLANE,
    RETRIED,
    RSS,
    SCALED,
    SIZES,
    SPARE,
    SQUARES_Z,
    START,
    STARTED,
    STATE,
    STATUS,
    STEP_ORIGIN,
    STEP_UNIT,
    STEP_X,
    STEP_Z,
    SURE,
    TOL,
    TOTAL,
    UNDECIDED,
    UNIT,
    WANTED,
    WITH_NOISE,
)
from fastnat.kernels.linear_values import (
    CLUSTERS,
    DONE,
    EXPECTED,
    GRAM,
    GRAM_EXACT,
    HUGE,
    IN_NATURAL,
    IN_OLSEN,
    OBSERVED,
    PRODUCTS,
    SAFE,
    TINY,
    VALUE,
    metric_of,
    parts,
)
from fastnat.kernels.outcome import COV_EXPECTED, COV_OBSERVED, NO_COV

_FRAME, _EXISTENCE, _CLIMB, _FACE, _NOISE, _INFORMATION, _MEAT = range(7)  # phases

_CERTAIN = 1e-10  # pivots of known values that leave no doubt about their rank
_FLOOR = 1e-22  # decrements below it are rounding
_CAP, _SHORT = 1.5, 0.3  # most that log sigma changes in a step, in the mean; if that failed
# Information on the scale that is none, 1e-7 of that of known values, in the terms of `definite`.
_FLAT = 1e12
_ESCAPE, _MOST_ESCAPES = (
    0.3,
    2,
)  # how far a saddle is left, in standard deviations of an observation
_NEAR_FACE = 1e-7  # of the first precision


@kernel
def begin(memory, theta):
    """Begin with a problem that `linear_memory.prepare` has described; returns what is wanted."""
    cells, sizes = memory[CELLS], memory[SIZES]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    cells[COLUMN], cells[PHASE], cells[STATUS] = -1.0, _FRAME, codes.OK
    cells[UNIT] = cells[STEP_UNIT] = sizes[p]
    cells[MOVED] = 1.0
    set_identity(memory[BASIS_X])
    set_identity(memory[BASIS_Z])
    for j in range(p):
        memory[BASIS_X][j, j] = sizes[j]
        memory[ORIGIN][j] = memory[STEP_ORIGIN][j] = 0.0
    for j in range(q):
        memory[BASIS_Z][j, j] = sizes[p + 1 + j]
    copy_matrix(memory[BASIS_X], memory[STEP_X])
    copy_matrix(memory[BASIS_Z], memory[STEP_Z])
    for j in range(p + q):
        theta[j] = 0.0
    return GRAM


@kernel
def proceed(memory, told, theta):
    """Take what was asked for at ``theta`` (p + q,), and say what is wanted next, and where."""
    phase = memory[CELLS][PHASE]
    memory[CELLS][MOVED] = 0.0
    if phase == _FRAME:
        answer = least_squares.fit(memory, told)
        if answer == least_squares.DEPENDENT:
            return _stop(memory, codes.NOT_IDENTIFIED)
        return GRAM if answer == least_squares.MORE else _set_out(memory, told, theta)
    if phase == _EXISTENCE:
        return _judge_existence(memory, told, theta)
    if phase == _CLIMB:
        return _climb(memory, told, theta)
    if phase == _FACE:
        return _climb_face(memory, told, theta)
    if phase == _NOISE:
        return _take_from_noise(memory, linear_noise.proceed(memory, told, theta), theta)
    return _finish(memory, told, theta)


@helper
def _stop(memory, status):
    memory[CELLS][STATUS] = status
    return DONE


# ---- from least squares to the model ---------------------------------------------------------


@helper
def _set_out(memory, told, theta):
    """The rows are in their coordinates: what is next depends on the model."""
    cells = memory[CELLS]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    grad, aims, _, _, _ = parts(told, p, q)
    spread = math.sqrt(cells[RSS] / cells[TOTAL])
    if cells[MODEL] == COMPLETE:
        code = least_squares.finish(memory, aims, theta)
        return _want_meat(memory, True) if code == codes.OK else _stop(memory, code)
    plain = cells[MODEL] == SCALED and cells[WITH_NOISE] == 0.0 and cells[DENSE] == cells[TOTAL]
    if (plain or cells[MODEL] == CUT) and least_squares.is_perfect(memory, aims):
        cells[LOGLIK] = math.inf
        for j in range(p):
            theta[j] = 0.0
        return _stop(memory, codes.SIGMA_ZERO)
    _set_start(memory, grad[p:], spread if spread > 0.0 else 1.0)
    for j in range(p + q):
        theta[j] = 0.0
    doubtful = cells[MODEL] == CENSORED or cells[DENSE] != cells[TOTAL]
    if doubtful and cells[SURE] == 0.0:
        cells[PHASE] = _EXISTENCE
        return GRAM_EXACT
    return _begin_climb(memory, theta)


@helper
def _set_start(memory, z_sums, spread):
    """Where to start: least squares and a constant sigma, or what was given."""
    cells, start = memory[CELLS], memory[START]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    if cells[STARTED] > 0.0:
        times(memory[BASIS_X], start[:p])
        times(memory[BASIS_Z], start[p:])
        for j in range(p):
            start[j] = (start[j] - memory[ORIGIN][j]) / cells[UNIT]
        return
    log_sigma = math.log(spread) + math.log(cells[UNIT])
    for j in range(p):
        start[j] = 0.0
    for j in range(q):
        start[p + j] = z_sums[j] * log_sigma
    solve_factor(memory[METRIC], q, start[p:])


# ---- existence -------------------------------------------------------------------------------


@helper
def _judge_existence(memory, told, theta):
    """Known values of full rank, which no plane goes through, have a maximum.

    With covariates of the scale, they need full rank only: what else can go wrong is seen later.
    """
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    _, aims, _, _, _ = parts(told, p, q)
    n = p if memory[CELLS][MODEL] == SCALED else p + 1
    # All in the scale that the columns have in all rows together.
    upper = memory[METRIC]
    if factor(aims, n, upper) > _CERTAIN:
        return _begin_climb(memory, theta)
    return _stop(memory, UNDECIDED)


# ---- the ascent ------------------------------------------------------------------------------


@helper
def _begin_climb(memory, theta):
    """From the start, in the chart of the model."""
    cells, start = memory[CELLS], memory[START]
    p = memory[ORIGIN].size
    if cells[MODEL] == NOISY:
        cells[PHASE] = _NOISE
        return linear_noise.begin(memory, theta)
    copy(start, theta)
    if cells[MODEL] != SCALED:
        h = cells[UNIT] * math.exp(-start[p])
        power = h if cells[MODEL] != CUT else h * h
        for j in range(p):
            theta[j] = start[j] * power
        theta[p] = h if cells[MODEL] != CUT else -0.5 * h * h
        start[p] = theta[p]
    return _climb_from(memory, theta)


@helper
def _climb_from(memory, theta):
    cells = memory[CELLS]
    cells[PHASE] = _CLIMB
    total, tol, left = cells[TOTAL], cells[TOL], max(cells[MAX_ITER] - cells[NIT], 1.0)
    ascent.start(memory[STATE], theta, total, tol, _FLOOR, left)
    return _want_values(cells)


@helper
def _want_values(cells):
    if cells[MODEL] == SCALED:
        cells[WANTED] = OBSERVED
    elif cells[MODEL] == CUT:
        cells[WANTED] = IN_NATURAL
    else:
        cells[WANTED] = IN_OLSEN
    return int(cells[WANTED])


@helper
def _climb(memory, told, theta):
    cells, state, metric = memory[CELLS], memory[STATE], memory[METRIC]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    grad = parts(told, p, q)[0]
    metric_of(told, p, q, metric)
    scaled = cells[MODEL] == SCALED
    if scaled and ascent.accepts(state, told[VALUE], grad):
        if told[TINY] > 0.0 or told[HUGE] > 0.0:
            return _stop_at_extreme(memory, told, theta)
        if cells[WANTED] == OBSERVED:
            copy_matrix(metric, memory[SPARE])
            if not cholesky(memory[SPARE]):
                cells[WANTED] = SAFE
                return SAFE
    code = ascent.advance(state, told[VALUE], grad, metric, theta)
    if code == ascent.RUNNING:
        if scaled:
            _shorten(memory, theta)
        else:
            ascent.keep_sign(state, grad, metric, theta)
        return _want_values(cells)
    cells[NIT] += state[ascent.NIT]
    cells[LOGLIK] = state[ascent.LOGLIK] - cells[DENSE] * math.log(cells[UNIT])
    if cells[MODEL] == CUT:
        near = abs(theta[p]) < _NEAR_FACE * abs(memory[START][p])
        if near or code != codes.OK:
            return _begin_face(memory, code, theta)
    return _arrive(memory, code, theta)


@helper
def _stop_at_extreme(memory, told, theta):
    """The scale has left the data behind, for some rows or for all."""
    cells = memory[CELLS]
    cells[NIT] += memory[STATE][ascent.NIT]
    if told[TINY] > 0.0:
        cells[LOGLIK] = math.inf
        all_rows = told[TINY] >= cells[TOTAL] * (1.0 - 1e-12)
        return _end_badly(memory, codes.SIGMA_ZERO if all_rows else codes.UNBOUNDED, theta)
    cells[LOGLIK] = told[VALUE] - cells[DENSE] * math.log(cells[UNIT])
    return _end_badly(memory, codes.SIGMA_INFINITE, theta)


@helper
def _shorten(memory, theta):
    """Log sigma must not change too much at once, for what it does is exponential."""
    state, squares = memory[STATE], memory[SQUARES_Z]
    p, q = memory[ORIGIN].size, squares.shape[0]
    first = ascent.BASE + 2 * p + q
    total = 0.0
    for j in range(q):
        for k in range(q):
            total += state[first + j] * squares[j, k] * state[first + k]
    size = math.sqrt(max(total, 0.0) / memory[CELLS][TOTAL])
    cap = _CAP if memory[CELLS][RETRIED] == 0.0 else _SHORT
    if size > cap:
        ascent.shorten(state, cap / size, theta)


@helper
def _arrive(memory, code, theta):
    """The ascent has ended: back to (beta, gamma), and ask for the information there."""
    cells = memory[CELLS]
    p = memory[ORIGIN].size
    if cells[MODEL] != SCALED:
        power = h = theta[p]
        if cells[MODEL] == CUT:
            power = -2.0 * h
            h = math.sqrt(power)
        for j in range(p):
            theta[j] /= power
        theta[p] = math.log(cells[UNIT]) - math.log(h)
    if code != codes.OK:
        return _stop(memory, codes.MAX_ITER)
    cells[PHASE] = _INFORMATION
    return OBSERVED


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
    cells[PHASE] = _FACE
    return IN_NATURAL


@helper
def _climb_face(memory, told, theta):
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
        return _stop(memory, codes.SIGMA_INFINITE)
    copy(memory[START], theta)
    return _arrive(memory, int(cells[STATUS]), theta)


# ---- known noise -----------------------------------------------------------------------------


@helper
def _take_from_noise(memory, answer, theta):
    """Pass on what the search wants, or take what it has found."""
    cells, best = memory[CELLS], memory[BEST]
    p = memory[ORIGIN].size
    if answer >= 0:
        return answer
    if answer == linear_noise.FAILED:
        if cells[NOISE_FREE] == 0.0:
            return _stop(memory, codes.MAX_ITER)
        cells[LOGLIK] = math.inf
        alone = cells[NOISE_FREE] == cells[TOTAL]
        return _stop(memory, codes.SIGMA_ZERO if alone else codes.UNBOUNDED)
    cells[LOGLIK] -= cells[DENSE] * math.log(cells[UNIT])
    if cells[LOST] > 0.0:
        cells[LOGLIK] += _restricted_constant(memory)
    copy(best[:p], theta)
    theta[p] = -math.inf
    if best[p] > 0.0:
        theta[p] = 0.5 * math.log(best[p]) + math.log(cells[UNIT])
        if cells[LOST] == 0.0:
            cells[PHASE] = _INFORMATION
            return OBSERVED
    else:
        cells[STATUS] = codes.BOUNDARY
    return _want_meat(memory, cells[LOST] > 0.0)


@helper
def _restricted_constant(memory):
    """From X'WX in these coordinates to that of X, and the 2 pi of as many values."""
    p, total = memory[ORIGIN].size, 0.5 * memory[CELLS][LOST] * math.log(2.0 * math.pi)
    for j in range(p):
        total -= math.log(abs(memory[BASIS_X][j, j])) - math.log(memory[CELLS][UNIT])
    return total


# ---- information -----------------------------------------------------------------------------


@helper
def _finish(memory, told, theta):
    """Take the information at the end, or the products of the scores."""
    cells = memory[CELLS]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    if cells[PHASE] == _MEAT:
        expected = cells[COV] == COV_EXPECTED
        metric_of(told, p, q, memory[INFORMATION] if expected else memory[MEAT])
        return DONE
    information = memory[INFORMATION]
    metric_of(told, p, q, information)
    cells[LOGLIK] = told[VALUE] - cells[DENSE] * math.log(cells[UNIT])
    if cells[MODEL] == SCALED:
        code = _judge_information(memory)
        if code == codes.SADDLE and cells[ESCAPES] < _MOST_ESCAPES:
            return _escape(memory, theta)
        if code != codes.OK:
            return _end_badly(memory, code, theta)
        return _want_meat(memory, False)
    copy_matrix(information, memory[METRIC])
    if not cholesky(memory[METRIC]):
        return _stop(memory, codes.NOT_IDENTIFIED)
    return _want_meat(memory, False)


@helper
def _judge_information(memory):
    """Whether the information is positive definite; on the scale, whether there is any at all."""
    information, least = memory[INFORMATION], memory[MEAT]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    set_identity(least)
    for j in range(p):
        least[j, j] = abs(information[j, j])
    for j in range(q):
        least[p + j, p + j] = _FLAT * memory[SQUARES_Z][j, j]
    return definite(information, least, memory[METRIC], memory[GRAD])


@helper
def _escape(memory, theta):
    """Leave a saddle along a direction of positive curvature of the likelihood."""
    cells, direction = memory[CELLS], memory[GRAD]
    cells[ESCAPES] += 1.0
    far = _ESCAPE * math.sqrt(cells[TOTAL])
    for j in range(theta.size):
        theta[j] += far * direction[j]
    return _climb_from(memory, theta)


@helper
def _end_badly(memory, code, theta):
    """Once, try again from the start with shorter steps."""
    cells = memory[CELLS]
    if cells[RETRIED] > 0.0:
        return _stop(memory, code)
    cells[RETRIED] = 1.0
    copy(memory[START], theta)
    return _climb_from(memory, theta)


@helper
def _want_meat(memory, least_squares):
    """What the covariance needs beyond the observed information."""
    cells = memory[CELLS]
    cells[PHASE] = _MEAT
    cov = cells[COV]
    if cov in (NO_COV, COV_OBSERVED) or (cov == COV_EXPECTED and least_squares):
        return DONE
    if cov == COV_EXPECTED:
        return EXPECTED
    return CLUSTERS if cells[CLUSTERED] > 0.0 else PRODUCTS
