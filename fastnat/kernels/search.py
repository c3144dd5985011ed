"""The search for the maximum of a likelihood of which only values and scores are known.

What `ascent` is to one step, this is to a whole fit: which metric, whether the end is a maximum,
and the covariance there.  It asks for values at one point after the other and calls no model:

    request = begin(memory, theta, ...)
    while request != DONE:
        told[:] = values at theta, as `request` says
        request = proceed(memory, told, fixed, theta, path)

The metric "auto" is BFGS seeded with the outer product of the scores (OPG) at the start.  An end
counts as a maximum only if the observed information there, taken from differences of the score,
is positive definite and agrees that nothing is left to climb, and if the log-likelihood is lower
a standard error away.
"""

import math

from fastnat.kernels import ascent, codes, differences
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels.curvature import (
    copy,
    copy_matrix,
    definite,
    update_bfgs,
)
from fastnat.kernels.linalg import cholesky_solve
from fastnat.kernels.memory import (
    BFGS,
    CHANGE,
    COV,
    DOUBTS,
    ESCAPES,
    GRAD,
    INFORMATION,
    LOGLIK,
    MAX_ITER,
    METRIC,
    N_CELLS,
    NIT,
    PHASE,
    PROBE,
    PRODUCTS,
    SADDLE_AT,
    SEEDED,
    SPARE,
    STATUS,
    TOL,
    TOTAL,
    WANTED,
    WORK,
    ascent_state,
    differences_state,
    matrix,
    vector,
)
from fastnat.kernels.outcome import COV_EXPECTED
from fastnat.kernels.step import natural_step

DONE, SCORE, VALUE, OUTER, EXPECTED = range(5)
"""What is wanted next at theta: nothing; the gradient; it and the log-likelihood; these and the
OPG; these and the expected information."""

AUTO, MEASURED, MODELLED, EMPIRICAL, FIXED = range(5)
"""Metrics: BFGS; observed information; expected information; OPG; a given matrix."""

# Phases: what the values that come next are for.
_CLIMB, _DIFFER_FOR_METRIC, _OUTER_AT_END, _DIFFER_AT_END, _PROBE_AT_END, _EXPECTED_AT_END = range(
    6
)

_FLOOR = 1e-14  # decrements below this may be rounding
_LEAST_LOSS = 1e-3  # of log-likelihood, a standard error from a maximum; 1/2 is usual
_RIDGE = 1e-2  # added to the diagonal of the seed of BFGS
_MAX_DOUBTS = 4
_MAX_ESCAPES = 3
_ESCAPE = 0.3  # how far a saddle is left, in standard deviations of one observation


@kernel
def begin(memory, theta, total, metric, cov, tol, max_iter):
    """Begin at ``theta`` (p,); returns what is wanted there.

    memory : (memory_size(p),), out.
    total : the total weight of the observations.
    metric, cov : which ones, by their numbers above and in `outcome`.
    """
    for k in range(memory.shape[0]):
        memory[k] = 0.0
    memory[METRIC], memory[COV] = metric, cov
    memory[TOTAL], memory[TOL], memory[MAX_ITER] = total, tol, max_iter
    memory[STATUS] = codes.MAX_ITER
    memory[SADDLE_AT] = -math.inf
    return _restart(memory, theta, tol)


@helper
def _restart(memory, theta, tol):
    """Climb from theta, as if it were the start."""
    p = theta.shape[0]
    left = memory[MAX_ITER] - memory[NIT]
    ascent.start(ascent_state(memory, p), theta, memory[TOTAL], tol, _FLOOR, left)
    memory[PHASE] = _CLIMB
    memory[SEEDED] = 0.0
    return _want_for_climb(memory)


@helper
def _want_for_climb(memory):
    """Curvature is asked for where it will be used: with the OPG also at the last step."""
    metric = memory[METRIC]
    unseeded = metric == AUTO and memory[SEEDED] == 0.0
    outer = unseeded or metric in (EMPIRICAL, MEASURED)
    if metric == MODELLED:
        want = EXPECTED
    elif outer or memory[N_CELLS + ascent.LAST] > 0.0:
        want = OUTER
    else:
        want = VALUE
    memory[WANTED] = want
    return want


@kernel
def proceed(memory, told, fixed, theta, path):
    """Take note of the values at ``theta`` and say what is wanted next.

    told : (p + 1 + p * p,): gradient, log-likelihood, and what was wanted of curvature.
    fixed : (p, p), the metric of one observation for FIXED; (0, 0) otherwise.
    theta : (p,), in: where the values are from; out: where the next ones are wanted; the estimate
        when DONE is returned.
    path : (max_iter + 1, p), out: the accepted points; (0, p) if they are not asked for.
    """
    p = theta.shape[0]
    phase = memory[PHASE]
    grad = told[:p]
    curvature = told[p + 1 :].reshape(p, p)
    if phase == _CLIMB:
        return _climb(memory, told[p], grad, curvature, fixed, theta, path)
    if phase == _OUTER_AT_END:
        copy_matrix(curvature, matrix(memory, p, PRODUCTS))
        return _differ(memory, theta, _DIFFER_AT_END)
    if phase == _PROBE_AT_END:
        return _probe(memory, told[p], theta)
    if phase == _EXPECTED_AT_END:
        copy_matrix(curvature, matrix(memory, p, PRODUCTS))
        return DONE
    information, products = matrix(memory, p, INFORMATION), matrix(memory, p, PRODUCTS)
    if not differences.advance(differences_state(memory, p), grad, products, information, theta):
        return SCORE
    if phase == _DIFFER_FOR_METRIC:
        copy_matrix(information, matrix(memory, p, WORK))
        grad = vector(memory, p, GRAD)
        return _advance(memory, memory[LOGLIK], grad, curvature, theta)
    return _judge(memory, theta)


@helper
def _climb(memory, loglik, grad, curvature, fixed, theta, path):
    """Values at a point on trial: choose the metric if it is accepted, and advance."""
    p = theta.shape[0]
    state = ascent_state(memory, p)
    if ascent.accepts(state, loglik, grad):
        nit = int(memory[NIT] + state[ascent.NIT])
        if state[ascent.STEP_SIZE] > 0.0:
            nit += 1
        if nit < path.shape[0]:
            copy(theta, path[nit])
        _choose_metric(memory, grad, curvature, fixed, theta)
        memory[LOGLIK] = loglik
        copy(grad, vector(memory, p, GRAD))
        if memory[METRIC] == MEASURED and loglik < math.inf:
            copy_matrix(curvature, matrix(memory, p, PRODUCTS))
            return _differ(memory, theta, _DIFFER_FOR_METRIC)
    return _advance(memory, loglik, grad, curvature, theta)


@helper
def _choose_metric(memory, grad, curvature, fixed, theta):
    """The metric at an accepted point, to the work matrix."""
    p = theta.shape[0]
    work = matrix(memory, p, WORK)
    if memory[METRIC] == FIXED:
        for j in range(p):
            for k in range(p):
                work[j, k] = memory[TOTAL] * fixed[j, k]
        return
    if memory[METRIC] != AUTO:
        copy_matrix(curvature, work)
        return
    bfgs = matrix(memory, p, BFGS)
    if memory[SEEDED] == 0.0:
        copy_matrix(curvature, bfgs)
        for j in range(p):  # it is singular where scores are few or alike
            bfgs[j, j] *= 1.0 + _RIDGE
        memory[SEEDED] = 1.0
    else:
        base = ascent_state(memory, p)[ascent.BASE : ascent.BASE + p]
        spare, change = vector(memory, p, SPARE), vector(memory, p, CHANGE)
        update_bfgs(bfgs, base, theta, vector(memory, p, GRAD), grad, spare, change)
    copy_matrix(bfgs, work)


@helper
def _advance(memory, loglik, grad, curvature, theta):
    p = theta.shape[0]
    state = ascent_state(memory, p)
    work = matrix(memory, p, WORK)
    code = ascent.advance(state, loglik, grad, work, theta)
    if code == ascent.RUNNING:
        memory[PHASE] = _CLIMB
        return _want_for_climb(memory)
    memory[NIT] += state[ascent.NIT]
    state[ascent.NIT] = 0.0
    memory[STATUS] = code
    memory[LOGLIK] = state[ascent.LOGLIK]
    if code != codes.OK:
        return DONE
    if memory[METRIC] == MEASURED:  # they have been taken here
        return _differ(memory, theta, _DIFFER_AT_END)
    if memory[WANTED] == OUTER:
        copy_matrix(curvature, matrix(memory, p, PRODUCTS))
        return _differ(memory, theta, _DIFFER_AT_END)
    memory[PHASE] = _OUTER_AT_END
    return OUTER


@helper
def _differ(memory, theta, phase):
    """Begin to take differences of the score around theta."""
    p = theta.shape[0]
    memory[PHASE] = phase
    products = matrix(memory, p, PRODUCTS)
    differences.start(differences_state(memory, p), memory[TOTAL], products, theta)
    return SCORE


@helper
def _judge(memory, theta):
    """The information at the end is known: is it a maximum?"""
    p = theta.shape[0]
    work, information = matrix(memory, p, WORK), matrix(memory, p, INFORMATION)
    products, grad = matrix(memory, p, PRODUCTS), vector(memory, p, GRAD)
    spare = vector(memory, p, SPARE)
    memory[STATUS] = definite(information, products, work, spare)
    if memory[STATUS] == codes.SADDLE:
        return _escape(memory, spare, theta)
    if memory[STATUS] != codes.OK:
        return DONE
    copy_matrix(information, work)
    decrement = natural_step(work, grad, 0.0, spare) / memory[TOTAL]
    if not decrement <= max(memory[TOL], _FLOOR):
        return _doubt(memory, decrement, theta)
    # The information is at hand, so its step is free.
    for j in range(p):
        theta[j] += spare[j]
    memory[LOGLIK] += 0.5 * decrement * memory[TOTAL]
    if memory[LOGLIK] < memory[SADDLE_AT]:
        memory[STATUS] = codes.SADDLE
        return DONE
    memory[PHASE] = _PROBE_AT_END
    memory[PROBE] = 0.0 if decrement > 0.0 else 1.0
    copy(theta, vector(memory, p, CHANGE))
    _move_to_probe(memory, theta)
    return VALUE


@helper
def _reach(memory):
    """How many standard errors away the end is probed: one, if that changes more than rounding."""
    return max(1.0, math.sqrt(1e-12 * abs(memory[LOGLIK])))


@helper
def _move_to_probe(memory, theta):
    """Theta a standard error from the end, along the last step or the profile of a parameter."""
    p = theta.shape[0]
    number = int(memory[PROBE]) - 1
    column, grad = vector(memory, p, SPARE), vector(memory, p, GRAD)
    for k in range(p):
        column[k] = grad[k] if number < 0 else 0.0
    if number >= 0:
        column[number // 2] = 1.0
    cholesky_solve(matrix(memory, p, WORK), column)  # which holds the information's factor
    square = 0.0 if number < 0 else column[number // 2]
    if number < 0:
        for k in range(p):
            square += grad[k] * column[k]
    size = _reach(memory) / math.sqrt(square) if square > 0.0 else 0.0
    if number > 0 and number % 2 == 1:
        size = -size
    end = vector(memory, p, CHANGE)
    for k in range(p):
        theta[k] = end[k] + size * column[k]


@helper
def _probe(memory, loglik, theta):
    """The log-likelihood a standard error away: it must have fallen, by about a half.

    It has not where the maximum is a limit (two groups that a straight line separates): there
    score and curvature die away together, and every decrement ends up small.
    """
    p = theta.shape[0]
    reach = _reach(memory)
    least = _LEAST_LOSS * min(1.0, memory[TOTAL]) * reach * reach
    if loglik > memory[LOGLIK] + least:  # a better point
        memory[ESCAPES] += 1.0
        memory[STATUS] = codes.SADDLE
        return DONE if memory[ESCAPES] > _MAX_ESCAPES else _restart(memory, theta, memory[TOL])
    if loglik > memory[LOGLIK] - least:
        memory[STATUS] = codes.NOT_IDENTIFIED
        return DONE
    memory[PROBE] += 1.0
    if memory[PROBE] <= 2 * p:
        _move_to_probe(memory, theta)
        return VALUE
    copy(vector(memory, p, CHANGE), theta)
    if memory[COV] == COV_EXPECTED:
        memory[PHASE] = _EXPECTED_AT_END
        return EXPECTED
    return DONE


@helper
def _doubt(memory, decrement, theta):
    """Not there yet, whatever the metric says: climb on."""
    p = theta.shape[0]
    memory[STATUS] = codes.MAX_ITER
    memory[DOUBTS] += 1.0
    state = ascent_state(memory, p)
    if memory[METRIC] == AUTO:
        if memory[DOUBTS] > _MAX_DOUBTS or memory[NIT] >= memory[MAX_ITER]:
            return DONE
        information = matrix(memory, p, INFORMATION)
        _restart(memory, theta, memory[TOL])
        copy_matrix(information, matrix(memory, p, BFGS))
        copy_matrix(information, matrix(memory, p, WORK))
        memory[SEEDED] = 1.0
    else:
        # The metric's own decrement is too small by this factor.
        own = state[ascent.DECREMENT]
        tol = 0.1 * own * min(1.0, memory[TOL] / decrement)
        if not (tol > 1e-30 and memory[NIT] < memory[MAX_ITER]):
            return DONE
        _restart(memory, theta, tol)
        return _want_for_climb(memory)
    grad = vector(memory, p, GRAD)
    return _advance(memory, memory[LOGLIK], grad, matrix(memory, p, PRODUCTS), theta)


@helper
def _escape(memory, direction, theta):
    """Leave a saddle along a direction of negative curvature, and climb again."""
    p = theta.shape[0]
    memory[ESCAPES] += 1.0
    if memory[ESCAPES] > _MAX_ESCAPES:
        return DONE
    memory[SADDLE_AT] = max(memory[SADDLE_AT], memory[LOGLIK])
    information, products = matrix(memory, p, INFORMATION), matrix(memory, p, PRODUCTS)
    grad = vector(memory, p, GRAD)
    uphill = length = 0.0
    for j in range(p):
        uphill += grad[j] * direction[j]
        length += max(abs(information[j, j]), products[j, j]) * direction[j] * direction[j]
    size = _ESCAPE * math.sqrt(memory[TOTAL] / length)
    if uphill < 0.0:
        size = -size
    for j in range(p):
        theta[j] += size * direction[j]
    return _restart(memory, theta, memory[TOL])
