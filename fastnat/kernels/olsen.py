"""Exact and censored observations in Olsen's chart (beta, h) = ((mu - origin) / sigma, 1 / sigma).

The log-likelihood is concave there (Olsen 1978, Econometrica 46, 1211-1215; intervals: Burridge
1981, Journal of the Royal Statistical Society B 43, 41-45), so natural-gradient steps with its
own curvature as the metric, Newton's steps in this chart, go to the only maximum from anywhere.
A problem is what `compression` has made of its observations.
"""

import math

import numpy as np

from fastnat.kernels import ascent, lanes
from fastnat.kernels._jit import helper, inlined
from fastnat.kernels._stop import stopped
from fastnat.kernels.ascent import GRAD, METRIC, STATE, THETA
from fastnat.kernels.fisher import BLOCK, STRIDE
from fastnat.kernels.observation import interval
from fastnat.kernels.special import right_tail, tail

_LOG_2PI = math.log(2.0 * math.pi)
_FEW = 16  # that are added up one by one
_SELDOM = 4  # one in so many may be on the other side of the mean
_FLOOR = 1e-22  # decrements below it are rounding
_MANY, _PART, _ROUGH = 4096, 16, 1e-4  # so many observations, of which a part gives the start
_LOST = 1e4  # standard deviations from the origin at which another is taken at once

FAR = 4.0
"""Standard deviations from the origin that cost digits."""

BUFFER, PLACES, SUMS, CONSTS = range(4, 8)
"""The tools beyond those of the ascent."""

X, LOG_PROB, HAZARD, REMAINDER = range(4)
"""Rows of the buffer; four more are for those beyond the mean."""


def _terms(v, values, consts, flags):
    """Sums of log-likelihood, score s and curvature c, and of s l, c l, c l**2, l the limit."""
    limit, weight, log_prob, hazard, remainder = values
    limit = v.sub(limit, consts[0])
    score = v.mul(weight, hazard)
    curvature = v.mul(score, remainder)
    both = v.mul(curvature, limit)
    return [(weight, log_prob), score, (score, limit), curvature, both, (both, limit)]


_add_terms = lanes.row_sums(_terms, 1, rows=1, unroll=1, prefetch=False)


@helper
def new_tools():
    return (
        *ascent.new_tools(np.int64(2)),
        np.empty((8, STRIDE)),
        np.empty(BLOCK, np.int64),
        np.empty((6, lanes.WIDTH)),
        np.empty((1, lanes.WIDTH)),
    )


@inlined
def _half_lines(limits, weights, sign, origin, beta, h, tools):
    """(loglik, gradient, curvature) of the observations on one side of their limits.

    sign : 1 for values above the limit, -1 for values below it.
    """
    n = limits.size
    loglik = first = second = a = b = c = 0.0
    if n <= _FEW:
        for k in range(n):
            limit = limits[k] - origin
            hazard, remainder, log_prob = tail(sign * (limit * h - beta))
            score = weights[k] * hazard
            curvature = score * remainder
            loglik += weights[k] * log_prob
            first += score
            second += score * limit
            a += curvature
            b += curvature * limit
            c += curvature * limit * limit
    else:
        buffer, places, sums, consts = tools[BUFFER], tools[PLACES], tools[SUMS], tools[CONSTS]
        consts[0, 0] = origin
        zero = np.int64(0)
        for start in range(0, 0 if stopped() else n, BLOCK):
            size = min(BLOCK, n - start)
            here, factors = limits[start : start + size], weights[start : start + size]
            _fill(here, sign, origin, beta, h, buffer, places)
            parts = (here, factors, buffer[LOG_PROB], buffer[HAZARD], buffer[REMAINDER])
            _add_terms(parts, zero, zero, size, zero, consts, (), sums, zero, zero)
            loglik += sums[0, 0]
            first += sums[1, 0]
            second += sums[2, 0]
            a += sums[3, 0]
            b += sums[4, 0]
            c += sums[5, 0]
    return loglik, sign * first, -sign * second, a, -b, c


@inlined
def _fill(limits, sign, origin, beta, h, buffer, places):
    """`tail` of up to a block of limits, in loops that LLVM vectorises.

    Most are on the side of the mean where few values are, and need no exponential; the others are
    looked at together.
    """
    n, others = limits.size, 0
    x, log_prob, hazard, remainder = buffer[X], buffer[LOG_PROB], buffer[HAZARD], buffer[REMAINDER]
    for k in range(n):
        x[k] = sign * ((limits[k] - origin) * h - beta)
    for k in range(n):
        places[others] = k
        others += x[k] < 0.0
    if _SELDOM * others > n:
        _tails(x, n, log_prob, hazard, remainder)
        return
    for k in range(_whole(x, n)):
        hazard[k], remainder[k], log_prob[k] = right_tail(x[k])
    if others > 0:
        x_of, log_prob_of, hazard_of, remainder_of = buffer[4], buffer[5], buffer[6], buffer[7]
        for k in range(others):
            x_of[k] = x[places[k]]
        _tails(x_of, others, log_prob_of, hazard_of, remainder_of)
        for k in range(others):
            place = places[k]
            log_prob[place], hazard[place] = log_prob_of[k], hazard_of[k]
            remainder[place] = remainder_of[k]


@inlined
def _tails(x, n, log_prob, hazard, remainder):
    for k in range(_whole(x, n)):
        hazard[k], remainder[k], log_prob[k] = tail(x[k])


@inlined
def _whole(x, n):
    """``n``, rounded up to whole vectors: the others' places get zeros."""
    whole = (n + lanes.WIDTH - 1) // lanes.WIDTH * lanes.WIDTH
    for k in range(n, whole):
        x[k] = 0.0
    return whole


@inlined
def _between(between, origin, beta, h):
    """(loglik, gradient, curvature) of the observations in finite intervals."""
    lower, upper, weights = between
    loglik = s_m = s_l = g_mm = g_ml = g_ll = 0.0
    for k in range(lower.size):
        if k % BLOCK == 0 and stopped():
            break
        a, b = (lower[k] - origin) * h - beta, (upper[k] - origin) * h - beta
        terms = interval(a, b, (upper[k] - lower[k]) * h)
        loglik += weights[k] * terms[0]
        s_m += weights[k] * terms[1]
        s_l += weights[k] * terms[2]
        g_mm += weights[k] * terms[3]
        g_ml += weights[k] * terms[4]
        g_ll += weights[k] * terms[5]
    # From (mu / sigma, log sigma) to the chart.
    return (
        loglik,
        s_m,
        -(s_l + beta * s_m) / h,
        g_mm,
        -(beta * g_mm + g_ml) / h,
        (beta * (beta * g_mm + 2.0 * g_ml) + g_ll) / (h * h),
    )


@inlined
def _exact(exact, origin, beta, h):
    """(loglik, gradient, curvature) of the observations whose values are known."""
    weight, own, mean, m2, _, _ = exact
    if weight == 0.0:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    offset = (own - origin) + mean
    z = offset * h - beta
    loglik = weight * (math.log(h) - 0.5 * _LOG_2PI) - 0.5 * (weight * z * z + h * h * m2)
    return (
        loglik,
        weight * z,
        weight / h - weight * z * offset - h * m2,
        weight,
        -weight * offset,
        weight / (h * h) + weight * offset * offset + m2,
    )


@inlined
def evaluate(problem, origin, beta, h, tools):
    """Log-likelihood; its gradient and curvature go to ``tools[GRAD]`` and ``tools[METRIC]``."""
    exact, left, right, between = problem
    grad, metric = tools[GRAD], tools[METRIC]
    total = _exact(exact, origin, beta, h)
    if left[0].size > 0:
        total = _plus(total, _half_lines(left[0], left[1], -1.0, origin, beta, h, tools))
    if right[0].size > 0:
        total = _plus(total, _half_lines(right[0], right[1], 1.0, origin, beta, h, tools))
    if between[0].size > 0:
        total = _plus(total, _between(between, origin, beta, h))
    grad[0], grad[1] = total[1], total[2]
    metric[0, 0], metric[0, 1], metric[1, 0], metric[1, 1] = total[3], total[4], total[4], total[5]
    return total[0]


@inlined
def _plus(a, b):
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4], a[5] + b[5]


@inlined
def maximise(problem, total, start, max_iter, tol, tools):
    """Climb to the maximum; returns (code, origin, loglik, accepted steps, curvature).

    start : (beta, h, steps that led there), relative to the mean of the exact values, or NaN.

    The point is in ``tools[THETA]``, the curvature there a tuple (first, both, second).
    """
    state, theta, grad, metric = tools[STATE], tools[THETA], tools[GRAD], tools[METRIC]
    nit, kept = 0.0, (0.0, 0.0, 0.0)
    part = _PART if _n_terms(problem) > _MANY else 1
    piece = _piece_of(problem, part)
    if start[0] == start[0]:
        origin = problem[0][1] + problem[0][2]
        theta[0], theta[1], nit = start
    else:
        origin = _start(piece, theta)
    ascent.start(state, theta, total / part, _ROUGH if part > 1 else tol, _FLOOR, max_iter)
    while True:
        loglik = evaluate(piece, origin, theta[0], theta[1], tools)
        curvature = metric[0, 0], metric[0, 1], metric[1, 1]
        code = ascent.advance(state, loglik, grad, metric, theta)
        if state[ascent.LOGLIK] == loglik:
            kept = curvature
        running = code == ascent.RUNNING
        if running:
            ascent.keep_sign(state, grad, metric, theta)
        # So far from the origin that digits are lost, or even all of the curvature?
        at, h = state[ascent.BASE], state[ascent.BASE + 1]
        moved, beta = False, at
        if abs(at) > (_LOST if running else FAR):
            moved, origin, beta = _move(problem, origin, at, h)
        if running and not moved:
            continue
        nit += state[ascent.NIT]
        if part == 1 and not running and (not moved or nit >= max_iter):
            theta[0], theta[1] = beta, h
            break
        if moved:
            theta[0], theta[1] = beta, h
        if not running:
            part, piece = 1, problem
        enough = _ROUGH if part > 1 else tol
        ascent.start(state, theta, total / part, enough, _FLOOR, max(max_iter - nit, 1.0))
    return code, origin, state[ascent.LOGLIK], nit, kept


@helper
def _move(problem, origin, beta, h):
    """(whether, origin, beta): to the number that is nearest to mu, if that is much nearer."""
    mu = beta / h
    nearest = nearest_datum(problem, origin, mu)
    gap = mu - (nearest - origin)
    if abs(gap) < 0.5 * abs(mu):
        return True, nearest, gap * h
    return False, origin, beta


@helper
def _n_terms(problem):
    return problem[1][0].size + problem[2][0].size + problem[3][0].size


@helper
def _piece_of(problem, part):
    """One part in so many of a problem, to begin with where there are many observations."""
    exact, left, right, between = problem
    weight, own, mean, m2, m3, m4 = exact
    i, j, k = left[0].size // part, right[0].size // part, between[0].size // part
    return (
        (weight / part, own, mean, m2 / part, m3 / part, m4 / part),
        (left[0][:i], left[1][:i]),
        (right[0][:j], right[1][:j]),
        (between[0][:k], between[1][:k], between[2][:k]),
    )


@helper
def _start(problem, theta):
    """Mean and standard deviation of the values, with limits and midpoints in the place of others.

    Returns the origin.
    """
    exact, left, right, between = problem
    weight, own, mean, m2, _, _ = exact
    reference = own + mean
    if weight == 0.0:
        reference = nearest_datum(problem, 0.0, 0.0)
    total, first, second = weight, 0.0, m2
    if weight > 0.0:
        offset = (own - reference) + mean
        first, second = weight * offset, m2 + weight * offset * offset
    for limits, weights in (left, right):
        for k in range(limits.size):
            d = limits[k] - reference
            total += weights[k]
            first += weights[k] * d
            second += weights[k] * d * d
    for k in range(between[0].size):
        d = 0.5 * (between[0][k] - reference) + 0.5 * (between[1][k] - reference)
        width = between[1][k] - between[0][k]
        total += between[2][k]
        first += between[2][k] * d
        second += between[2][k] * (d * d + width * width / 12.0)
    shift = first / total
    variance = max(second / total - shift * shift, 1e-30 * second / total)
    theta[0], theta[1] = 0.0, 1.0 / math.sqrt(variance)
    own_variance = m2 / weight if weight > 0.0 else 0.0
    if 0.0 < own_variance < 0.01 * variance:
        # A limit far from all else tells little: the exact values alone are another start.  The
        # middle of both, on the logarithmic scale, is as many doublings from either.
        theta[1] = 1.0 / math.sqrt(math.sqrt(variance) * math.sqrt(own_variance))
        return reference
    return reference + shift


@helper
def nearest_datum(problem, origin, mu):
    """The limit, or mean of the exact values, nearest to ``origin + mu``."""
    exact, left, right, between = problem
    best, distance = 0.0, math.inf
    if exact[0] > 0.0:
        best = exact[1] + exact[2]
        distance = abs((best - origin) - mu)
    for limits in (left[0], right[0], between[0], between[1]):
        for k in range(limits.size):
            gap = abs((limits[k] - origin) - mu)
            if gap < distance:
                best, distance = limits[k], gap
    return best
