"""Known noise and a constant sigma: all maxima of the profile likelihood of the variance.

At each variance the likelihood is concave in b (for truncated values too: b over the variance is a
natural parameter), so an ascent finds its best, and the derivative by the variance there is that
of the profile.  Where it changes its sign on a grid that goes down from far above the residuals,
a root is a maximum; at variance 0 it needs no change.  The best of all is kept.  (Viechtbauer
2005, Journal of Educational and Behavioral Statistics 30, 261-293, has the model.)

A part of `linear_search`, and told values like it.
"""

import math

from fastnat.kernels import ascent, codes, root
from fastnat.kernels._jit import helper
from fastnat.kernels.curvature import copy, copy_matrix
from fastnat.kernels.linalg import cholesky, cholesky_solve, log_det
from fastnat.kernels.linear_frame import times
from fastnat.kernels.linear_memory import (
    BEST,
    CELLS,
    COV,
    FACTOR,
    FIRST,
    FRAMES,
    GRAD,
    INFORMATION,
    LOGLIK,
    LOST,
    MAX_ITER,
    NIT,
    NOISE_FREE,
    ORIGIN,
    PLANE,
    PROFILE,
    RSS,
    SQUARES_Z,
    STATE,
    STEP_X,
    TOL,
    TOTAL,
)
from fastnat.kernels.linear_precise import is_poor, tell_rounding, turn
from fastnat.kernels.linear_values import BY_VARIANCE, CURVES, SLOPES, VALUE, parts
from fastnat.kernels.outcome import COV_EXPECTED

POINT, ABOVE, SLOPE_ABOVE, BELOW, SLOPE_BELOW, HIGHEST, MODE, WANTS, SCORE, CURVE, SEEN, TRIES = (
    range(12)
)
EXPECTED_CURVE, SIZE_OF_SLOPE, FLATS, TURNS, NOTED = range(12, 17)
"""Cells of the profile: which point of the grid is next; the last one and the slope there; the one
below it and the slope there, while a root between them is looked for; the best log-likelihood;
what the search is doing, and what it has asked for; derivatives of the profile and its value at
the variance it looks at; how often the top was raised; the expected value of CURVE; how large the
terms of SCORE are at most, and at how many points in turn they have cancelled; how often the
coordinates were turned at this variance, and how often in all when the best was noted."""
_ROOT = 17

FAILED, FOUND = -1, -2
"""Answers beyond requests: there is no maximum; ``BEST`` is one."""

_GRID, _ROOTING, _AT_ZERO, _LAST_ROOT, _AGAIN = range(5)  # modes
_N_POINTS = 27
_RATIO = math.sqrt(0.1)
_LOWEST = 1e-12  # of the lowest point of the grid, where a root may be below it
_MOST_TRIES = 20
_FLOOR = 1e-22
_MOST_TURNS, _MOST_FRAMES = 4, 32  # at a variance, and in all
_CANCELLED = 1e-6  # of the terms of a slope, if no more is left of them
_ROUNDED = 1e-12  # the same, where rows have noise, and less would be none of theirs
_VISIBLE = 1e-6  # squares of residuals over variances, if they are rounding
_DOUBTFUL = 1e-3  # the same, near variance 0, where little may be rounding


@helper
def begin(memory, theta):
    """Begin above the residuals; returns what is wanted."""
    cells, profile = memory[CELLS], memory[PROFILE]
    for k in range(profile.size):
        profile[k] = 0.0
    profile[HIGHEST] = -math.inf
    return _look_at(memory, 4.0 * cells[RSS] if cells[RSS] > 0.0 else 1.0, theta)


@helper
def _look_at(memory, variance, theta):
    """Ask for the best b at this variance, from the last one."""
    theta[memory[ORIGIN].size] = variance
    memory[PROFILE][TURNS] = 0.0
    return _climb(memory, theta)


@helper
def _climb(memory, theta):
    cells, p = memory[CELLS], memory[ORIGIN].size
    total, tol = cells[TOTAL], cells[TOL]
    ascent.start(memory[STATE], theta[:p], total, tol, _FLOOR, cells[MAX_ITER])
    memory[PROFILE][WANTS] = BY_VARIANCE
    return BY_VARIANCE


@helper
def proceed(memory, told, theta):
    """Take what was asked for; returns what is wanted, or FAILED, or FOUND."""
    cells, profile, state = memory[CELLS], memory[PROFILE], memory[STATE]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    grad, _, by_x, zx, zz = parts(told, p, q)
    if profile[WANTS] == SLOPES:
        copy_matrix(by_x, memory[FIRST])
        profile[EXPECTED_CURVE] = zz[0, 0]
        profile[SIZE_OF_SLOPE] = math.sqrt(0.5 * cells[TOTAL] * zz[0, 0])
        profile[WANTS] = CURVES
        return CURVES
    if profile[WANTS] == CURVES:
        _restrict(memory, by_x)
        return _go_on(memory, theta)
    new = state[ascent.STEP_SIZE] == 0.0 and profile[TURNS] < _MOST_TURNS
    if new and cells[FRAMES] < _MOST_FRAMES and is_poor(memory, by_x):
        return _turn(memory, theta)
    copy_matrix(by_x, memory[PLANE])
    tell_rounding(state, told[VALUE], by_x, theta[:p], _FLOOR)
    code = ascent.advance(state, told[VALUE], grad[:p], memory[PLANE], theta[:p])
    if code == ascent.RUNNING:
        return BY_VARIANCE
    cells[NIT] += state[ascent.NIT]
    if code != codes.OK:
        return FAILED
    copy_matrix(by_x, memory[PLANE])
    profile[SEEN], profile[SCORE], profile[CURVE] = told[VALUE], grad[p], zz[0, 0]
    _let_b_follow(memory, zx[0])
    if cells[LOST] > 0.0:
        profile[WANTS] = SLOPES
        return SLOPES
    return _go_on(memory, theta)


@helper
def _turn(memory, theta):
    """Go to coordinates for these weights, with all that is known, and ask again."""
    cells, profile, upper = memory[CELLS], memory[PROFILE], memory[FACTOR]
    p = memory[ORIGIN].size
    profile[TURNS] += 1.0
    turn(memory, upper)
    times(memory[STEP_X], theta[:p])
    times(memory[STEP_X], memory[BEST][:p])
    if cells[LOST] > 0.0:  # log det X'WX is that in these coordinates
        for j in range(p):
            profile[HIGHEST] += math.log(upper[j, j])
    return _climb(memory, theta)


@helper
def _let_b_follow(memory, cross):
    """The curvature of the profile: b is at its best for every variance."""
    profile, factor, fit = memory[PROFILE], memory[FACTOR], memory[GRAD]
    p = memory[ORIGIN].size
    copy_matrix(memory[PLANE], factor)
    if not cholesky(factor):
        return
    for j in range(p):
        fit[j] = cross[j]
    cholesky_solve(factor, fit[:p])
    for j in range(p):
        profile[CURVE] -= fit[j] * cross[j]


@helper
def _restrict(memory, second):
    """The restricted likelihood has minus half of log det X'WX, whose derivatives are these.

    memory[FIRST], second : (p, p), first and second derivative of X'WX; memory[FACTOR]: its factor.
    """
    profile, factor, first, column = memory[PROFILE], memory[FACTOR], memory[FIRST], memory[GRAD]
    p = memory[ORIGIN].size
    trace = curved = 0.0
    for j in range(p):
        for k in range(p):
            column[k] = second[k, j]
        cholesky_solve(factor, column[:p])
        curved += column[j]
    for j in range(p):
        for k in range(p):
            column[k] = first[k, j]
        cholesky_solve(factor, column[:p])
        trace += column[j]
        for k in range(p):
            first[k, j] = column[k]
    for j in range(p):
        for k in range(p):
            curved -= first[j, k] * first[k, j]
    profile[SEEN] -= 0.5 * log_det(factor)
    profile[SCORE] -= 0.5 * trace
    profile[CURVE] += 0.5 * curved
    profile[EXPECTED_CURVE] -= 0.5 * curved


@helper
def _go_on(memory, theta):
    """What the profile at this variance means for the search."""
    profile, mode = memory[PROFILE], memory[PROFILE][MODE]
    p = memory[ORIGIN].size
    variance, score = theta[p], profile[SCORE]
    if mode == _GRID:
        return _on_grid(memory, variance, score, theta)
    if mode == _AT_ZERO:
        if score <= 0.0 or (profile[SLOPE_ABOVE] < 0.0 and _has_cancelled(memory)):
            _note(memory, theta)
            return _end(memory, theta)
        if profile[SLOPE_ABOVE] < 0.0:
            lowest = _LOWEST * profile[ABOVE]
            profile[MODE] = _LAST_ROOT
            return _look_for_root(memory, lowest, theta)
        return _end(memory, theta)
    if mode == _AGAIN:
        profile[HIGHEST] = -math.inf
        _note(memory, theta)
        return FOUND
    at = root.advance(
        profile[_ROOT:],
        score * variance,
        variance * (score - variance * profile[CURVE]),
    )
    if at == at:
        return _look_at(memory, math.exp(at), theta)
    _note(memory, theta)
    if mode == _LAST_ROOT:
        return _end(memory, theta)
    profile[MODE] = _GRID
    profile[ABOVE], profile[SLOPE_ABOVE] = profile[BELOW], profile[SLOPE_BELOW]
    return _next_point(memory, theta)


@helper
def _has_cancelled(memory):
    """Whether the slope of the restricted likelihood is what rounding leaves of its terms.

    No more rows than coefficients are fitted exactly, whatever their variance.
    """
    profile, cells = memory[PROFILE], memory[CELLS]
    if cells[LOST] == 0.0:
        return False
    rounding = _ROUNDED + cells[TOTAL] * memory[STATE][ascent.FLOOR]
    share = _CANCELLED if cells[NOISE_FREE] > 0.0 else rounding
    return abs(profile[SCORE]) < share * profile[SIZE_OF_SLOPE]


@helper
def _on_grid(memory, variance, score, theta):
    profile = memory[PROFILE]
    if memory[CELLS][NOISE_FREE] > 0.0:
        # Rows without noise: coefficients take up what they say, as long as those suffice, and
        # the likelihood of the others does not depend on a small variance.
        profile[FLATS] = profile[FLATS] + 1.0 if _has_cancelled(memory) else 0.0
        if profile[FLATS] > 0.0:
            return _on_flat(memory, variance, theta)
    if profile[POINT] == 0.0 and score > 0.0 and profile[TRIES] < _MOST_TRIES:
        profile[TRIES] += 1.0
        return _look_at(memory, 10.0 * variance, theta)
    if score >= 0.0 and profile[POINT] > 0.0 and profile[SLOPE_ABOVE] < 0.0:
        profile[BELOW], profile[SLOPE_BELOW] = variance, score
        profile[MODE] = _ROOTING
        return _look_for_root(memory, variance, theta)
    profile[ABOVE], profile[SLOPE_ABOVE] = variance, score
    return _next_point(memory, theta)


@helper
def _on_flat(memory, variance, theta):
    """Two such points in turn are no root: the grid ends.  Where it begins with one, it rises."""
    profile = memory[PROFILE]
    if profile[POINT] == 0.0 and profile[TRIES] < _MOST_TRIES:
        profile[TRIES] += 1.0
        return _look_at(memory, 1000.0 * variance, theta)
    if profile[FLATS] == 1.0:
        profile[POINT] += 1.0
        return _look_at(memory, variance * _RATIO, theta)
    if profile[SLOPE_ABOVE] < 0.0:
        profile[SEEN] -= variance * profile[SCORE]
        theta[memory[ORIGIN].size] = 0.0
        _note(memory, theta)
    return _end(memory, theta)


@helper
def _look_for_root(memory, lower, theta):
    """Between here and the last point: in the logarithm of the variance."""
    profile = memory[PROFILE]
    at = root.start(profile[_ROOT:], math.log(lower), math.log(profile[ABOVE]), False)
    return _look_at(memory, math.exp(at), theta)


@helper
def _next_point(memory, theta):
    profile = memory[PROFILE]
    profile[POINT] += 1.0
    if profile[POINT] < _N_POINTS:
        return _look_at(memory, profile[ABOVE] * _RATIO, theta)
    if memory[CELLS][NOISE_FREE] > 0.0:
        # Values without noise that a plane goes through: the likelihood is infinite at 0.
        cells = memory[CELLS]
        least = _DOUBTFUL * profile[SIZE_OF_SLOPE] if cells[LOST] > 0.0 else 0.0
        if not profile[SLOPE_ABOVE] < -least:
            return _end(memory, theta)
        # Or it goes through them nearly, and there is a maximum further down.
        if cells[TOTAL] * memory[STATE][ascent.FLOOR] > _VISIBLE:
            return FAILED
        return _look_at(memory, profile[ABOVE] * _RATIO, theta)
    profile[MODE] = _AT_ZERO
    return _look_at(memory, 0.0, theta)


@helper
def _end(memory, theta):
    """The best maximum is that of all, and is looked at again if coordinates were others there."""
    profile, best, p = memory[PROFILE], memory[BEST], memory[ORIGIN].size
    if profile[NOTED] == memory[CELLS][FRAMES] or profile[HIGHEST] == -math.inf:
        return FOUND if profile[HIGHEST] > -math.inf else FAILED
    profile[MODE] = _AGAIN
    copy(best[:p], theta)
    return _look_at(memory, best[p], theta)


@helper
def _note(memory, theta):
    """Keep the best maximum, and the information there."""
    profile, information = memory[PROFILE], memory[INFORMATION]
    if not profile[SEEN] > profile[HIGHEST]:
        return
    p = memory[ORIGIN].size
    profile[HIGHEST] = memory[CELLS][LOGLIK] = profile[SEEN]
    copy(theta[: p + 1], memory[BEST])
    profile[NOTED] = memory[CELLS][FRAMES]
    for j in range(p):
        for k in range(p):
            information[j, k] = memory[PLANE][j, k]
        information[j, p] = information[p, j] = 0.0
    # Of log sigma, given that b is at its best for every variance.
    curve = profile[EXPECTED_CURVE if memory[CELLS][COV] == COV_EXPECTED else CURVE]
    information[p, p] = 4.0 * theta[p] * theta[p] * curve
