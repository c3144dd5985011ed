"""Intervals and truncated values with known noise: the variance of each is v + noise_i**2.

For every v the log-likelihood is concave in mu, so the best mu is found by safeguarded Newton's
steps, and the profile that is left is searched as in `noise`: its slope on a grid of v, and the
root of the slope in every bracket of a maximum.  Nothing is known about how far apart its maxima
can be, so what is found is a maximum, and the highest of those the grid tells apart.
"""

import math

import numpy as np

from fastnat.kernels import ascent, codes, estimates, existence, root, truncated
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels._scalar import weight_at
from fastnat.kernels.compression import interval_of, longest, unit_of
from fastnat.kernels.noisy_terms import (
    HIGH,
    LEAST,
    LOW,
    MOST,
    N_ROWS,
    NOISE,
    WEIGHT,
    sums_of,
    terms_of,
)
from fastnat.kernels.outcome import COV_OPG, COV_SANDWICH, NO_COV
from fastnat.kernels.quadrature import truncated_moments

_TOP, _LEAST, _LARGEST = 16.0, 1e-16, 1e30  # of v over the square of the range; by factors of 4
_FAR, _CLEAR = 2.0**14, 1e-8  # v, and what a maximum must be above the limit of an observation
_TIE = 1e-12  # slopes below it may be rounding
_FARTHEST = 1e9  # standard deviations from the data that are as good as infinity
_MOST = 200  # steps in one dimension
_CLOSE = 1e-26  # decrement there


@kernel
def fit_rows(columns, offsets, omit, cov, max_iter, tol, first, out):
    """Fit rows of observations, ``offsets[b]`` to ``offsets[b + 1] - 1``; returns bad weights.

    columns : x, upper, left, right as in `compression.compress`, bounds of truncation (both or
        none), standard errors, weights; each (n_total,), or (0,) if it is not given, so that there
        is one signature.
    omit : whether a missing observation is left out.
    cov : the kind of covariance, as `outcome` numbers them, but for the expected information.
    out : (estimates.SIZE, at least first + n_rows), out.
    """
    work = np.empty((N_ROWS, longest(offsets)))
    state, tools = np.empty(root.SIZE), ascent.new_tools(np.int64(2))
    bad_weights = 0
    for b in range(offsets.size - 1):
        column, start, stop = first + b, offsets[b], offsets[b + 1]
        status, n, total = _gather(columns, start, stop, omit, work)
        bad_weights += status < 0
        if status != codes.OK:
            estimates.blame(max(status, codes.NO_DATA), total, column, out)
            continue
        origin, scale, n_values = _standardise(work, n)
        status, mu, sigma, supremum = _judge(work, n)
        if status != codes.OK:
            estimates.give_up(status, origin + scale * mu, sigma, supremum, total, column, out)
            continue
        limit = -math.inf
        if columns[4].size > 0:
            limit = _limit(work, n, total, tools)
        status, nit, v, mu, loglik = _search(work, n, limit, total, max_iter, tol, state)
        loglik -= n_values * math.log(scale)
        if status == codes.SIGMA_INFINITE:
            estimates.give_up(status, math.nan, math.inf, loglik, total, column, out)
            continue
        sigma = math.sqrt(v) * scale
        estimates.arrive(status, origin + scale * mu, sigma, loglik, total, nit, column, out)
        if status != codes.MAX_ITER and cov != NO_COV and _is_free(work, n, mu, v):
            _report_errors(work, n, mu, v, scale, cov, column, out)
    return bad_weights


@helper
def _gather(columns, start, stop, omit, work):
    """(status, number, total weight) of the usable observations of a row, copied to ``work``."""
    x, upper, left, right, lower, higher, noise, w = columns
    n, missing, invalid, total = np.int64(0), 0, 0, 0.0
    for i in range(start, stop):
        weight = weight_at(w, i)
        if not 0.0 <= weight < math.inf:
            return np.int64(-1), n, total
        if weight == 0.0:
            continue
        lost, wrong, low, high = _observe(x, upper, left, right, i)
        least, most, error = _at(lower, i, -math.inf), _at(higher, i, math.inf), noise[i]
        if lower.size > 0:
            wrong = wrong or not least < most or not (lost or least <= low <= most)
        missing += lost
        total += weight if lost and not omit else 0.0
        invalid += wrong or not error >= 0.0
        informative = low > -math.inf or high < math.inf
        if not lost and informative and error < math.inf:
            total += weight
            work[LOW, n], work[HIGH, n], work[LEAST, n], work[MOST, n] = low, high, least, most
            work[NOISE, n], work[WEIGHT, n] = error, weight
            n += 1
    status = codes.OK if n > 0 else codes.NO_DATA
    if not total < math.inf:
        status = -1
    elif missing > 0 and not omit:
        status = codes.NAN_INPUT
    elif invalid > 0:
        status = codes.INVALID_INPUT
    return np.int64(status), n, total


@helper
def _at(column, i, default):
    return column[i] if column.size > 0 else default


@helper
def _observe(x, upper, left, right, i):
    """(missing, impossible, lower, upper) of observation i: an interval, or a value with limits."""
    if upper.size > 0:
        return interval_of(x, upper, i)
    value, least, most = x[i], _at(left, i, -math.inf), _at(right, i, math.inf)
    missing, wrong = value != value, not (least <= most and least < math.inf and most > -math.inf)
    low = high = value
    if value <= least:
        low, high = -math.inf, least
    elif value >= most:
        low, high = most, math.inf
    return missing and not wrong, wrong or (abs(low) == math.inf and low == high), low, high


@helper
def _standardise(work, n):
    """(origin, scale, weight of the exact values): all to units of the range."""
    bottom, top, error = math.inf, -math.inf, 0.0
    for i in range(n):
        for row in (LOW, HIGH):
            if math.isfinite(work[row, i]):
                bottom, top = min(bottom, work[row, i]), max(top, work[row, i])
        error = max(error, work[NOISE, i])
    unit = unit_of(max(abs(bottom), abs(top)))
    origin = bottom
    scale = (top / unit - bottom / unit) * unit
    scale = scale if scale > 0.0 else (error if error > 0.0 else 1.0)
    exact = 0.0
    for i in range(n):
        exact += work[WEIGHT, i] if work[LOW, i] == work[HIGH, i] else 0.0
        for row in (LOW, HIGH, LEAST, MOST):
            work[row, i] = (work[row, i] / unit - origin / unit) / (scale / unit)
        work[NOISE, i] /= scale
    return origin, scale, exact


@helper
def _judge(work, n):
    """(status, mu, sigma, supremum) where it can be said before any search, else OK."""
    below = above = free = True
    value, exact, others = 0.0, False, False
    low, high = -math.inf, math.inf
    for i in range(n):
        below = below and work[LOW, i] == -math.inf
        above = above and work[HIGH, i] == math.inf
        if work[NOISE, i] > 0.0:
            others = True
        elif work[LOW, i] == work[HIGH, i]:
            free = free and (not exact or value == work[LOW, i])
            value, exact = work[LOW, i], True
        else:
            low, high = max(low, work[LOW, i]), min(high, work[HIGH, i])
    nan = math.nan
    if below or above:
        return codes.MU_INFINITE, -math.inf if below else math.inf, nan, 0.0
    # Noise-free values that agree, and that no other noise-free observation contradicts.
    if exact and free and low <= value <= high:
        if others:
            return codes.UNBOUNDED, nan, nan, math.inf
        return codes.SIGMA_ZERO, value, 0.0, math.inf
    if not exact and not others:
        return existence.judge((0.0, 0.0, 0.0, 0.0, 0.0, 0.0), *_lists(work, n))
    return codes.OK, nan, nan, nan


@helper
def _lists(work, n):
    """Intervals of each kind, as `existence` knows them."""
    lists = np.empty((7, n))
    a = b = c = 0
    for i in range(n):
        low, high, weight = work[LOW, i], work[HIGH, i], work[WEIGHT, i]
        if low == -math.inf:
            lists[0, a], lists[1, a] = high, weight
            a += 1
        elif high == math.inf:
            lists[2, b], lists[3, b] = low, weight
            b += 1
        else:
            lists[4, c], lists[5, c], lists[6, c] = low, high, weight
            c += 1
    left, right = (lists[0, :a], lists[1, :a]), (lists[2, :b], lists[3, :b])
    return left, right, (lists[4, :c], lists[5, :c], lists[6, :c])


@helper
def _limit(work, n, total, tools):
    """The supremum of the log-likelihood of truncated values as v goes to infinity, or -inf.

    There they are exponential, whatever their noise; but to first order in 1 / v the noise
    matters: -inf if the log-likelihood grows with 1 / v, for then there is a maximum below.
    """
    t, lower, upper, weights = work[LOW, :n], work[LEAST, :n], work[MOST, :n], work[WEIGHT, :n]
    first = second = 0.0
    for i in range(n):
        first += weights[i] * t[i]
        second += weights[i] * t[i] * t[i]
    problem = t, lower, upper, weights, False, total, first, second
    loglik = truncated.exponential_limit(problem, tools)
    if loglik == -math.inf:
        return loglik
    e1, slope = tools[ascent.THETA][0], -0.5 * tools[ascent.GRAD][1]
    for i in range(n):
        excess = t[i] - truncated_moments(e1, 0.0, lower[i], upper[i])[1]
        slope -= e1 * weights[i] * work[NOISE, i] * work[NOISE, i] * excess
    return -math.inf if slope > _TIE * total else loglik


@helper
def _edges(work, n):
    """Between which mu must be where v = 0, for all that is known without noise."""
    low, high = -math.inf, math.inf
    for i in range(n):
        if work[NOISE, i] == 0.0:
            low, high = max(low, work[LOW, i]), min(high, work[HIGH, i])
    return low, high


@helper
def _is_free(work, n, mu, v):
    """Whether the log-likelihood is smooth in mu: at v = 0 it is not where an interval ends."""
    low, high = _edges(work, n)
    return v > 0.0 or low < mu < high


@helper
def _search(work, n, limit, total, max_iter, tol, state):
    """(status, steps, v, mu, log-likelihood) of the highest maximum.

    limit : supremum as v goes to infinity if the log-likelihood falls from there, else -inf.
    """
    low, high = _edges(work, n)
    least = 0.0 if low == -high == -math.inf else _LEAST
    v, mu, slope = _top_of_grid(work, n, limit)
    if slope > 0.0 and limit == -math.inf:
        return codes.SIGMA_INFINITE, 0.0, v, mu, sums_of(work, n, mu, v)[0]
    best, best_v, best_mu, best_nit, status = -math.inf, 0.0, mu, 0.0, codes.MAX_ITER
    while v > least:
        below = 0.25 * v if v > _LEAST else least
        mu = _best_mu(work, n, mu, below)
        slope_below = sums_of(work, n, mu, below)[3]
        if slope <= 0.0 < slope_below:
            bottom = below if below > 0.0 else v * 1e-12
            code, nit, at, at_mu = _refine(work, n, bottom, v, mu, max_iter, tol, state)
            loglik = sums_of(work, n, at_mu, at)[0]
            if loglik > best:
                best, best_v, best_mu, best_nit, status = loglik, at, at_mu, nit, code
        v, slope = below, slope_below
    if low < high:
        mu = max(low, min(high, _best_mu(work, n, mu, 0.0)))
        loglik = sums_of(work, n, mu, 0.0)[0]
        if loglik >= best:
            best, best_v, best_mu, best_nit, status = loglik, 0.0, mu, 0.0, codes.BOUNDARY
    if limit > -math.inf and not best > limit + _CLEAR * total:
        return codes.SIGMA_INFINITE, 0.0, math.inf, math.nan, limit
    return status, best_nit, best_v, best_mu, best


@helper
def _top_of_grid(work, n, limit):
    """(v, mu, slope) where the profile falls, beyond which nothing is looked for.

    With a limit of v going to infinity the profile rises towards it, sooner or later.
    """
    v, slope, mu = _TOP, 1.0, 0.5
    if limit > -math.inf:
        mu = _best_mu(work, n, mu, _FAR)
        return _FAR, mu, sums_of(work, n, mu, _FAR)[3]
    while slope > 0.0 and v < _LARGEST:
        v *= 4.0
        mu = _best_mu(work, n, mu, v)
        slope = sums_of(work, n, mu, v)[3]
    return v, mu, slope


@helper
def _refine(work, n, low, high, mu, max_iter, tol, state):
    """(status, steps, v, mu) of the maximum between ``low`` and ``high``."""
    u = root.start(state, math.log(low), math.log(high), False)
    nit, v = 0.0, high
    while u == u:
        v = math.exp(u)
        mu = _best_mu(work, n, mu, v)
        _, _, of_mu, score, cross, of_v = sums_of(work, n, mu, v)
        nit += 1.0
        curvature = of_v - cross * cross / of_mu
        if score * score <= tol * tol * max(curvature, 0.0):
            return codes.OK, nit, v, mu
        if nit >= max_iter:
            return codes.MAX_ITER, nit, v, mu
        # In log v, whose slope and curvature are these.
        u = root.advance(state, score * v, v * (score - v * curvature))
    v = math.exp(state[root.ROOT])
    return codes.OK, nit, v, _best_mu(work, n, mu, v)


@helper
def _best_mu(work, n, mu, v):
    """The mu that maximises the log-likelihood for this v, which is concave in mu."""
    low, high = -math.inf, math.inf
    for _ in range(_MOST):
        sums = sums_of(work, n, mu, v)
        score, curvature = sums[1], sums[2]
        if score > 0.0:
            low = mu
        else:
            high = mu
        step = score / curvature if curvature != 0.0 else math.copysign(math.inf, score)
        if not score * step > _CLOSE:
            break
        new = mu + step
        if not low < new < high:
            new = 0.5 * (mu + (low if step < 0.0 else high))
        if not (abs(new) < _FARTHEST and new != mu):
            break
        mu = new
    return mu


@helper
def _report_errors(work, n, mu, v, scale, cov, column, out):
    """Standard errors, in (mu / sigma, log sigma); at v = 0, of mu alone."""
    _, _, of_mu, _, both, of_v = sums_of(work, n, mu, v)
    a = b = c = 0.0
    for i in range(n):
        variance = v + work[NOISE, i] * work[NOISE, i]
        if variance == 0.0:
            continue
        terms = terms_of(work, i, mu, math.sqrt(variance))
        first, second = terms[1] / math.sqrt(variance), 0.5 * terms[2] / variance
        a += work[WEIGHT, i] * first * first
        b += work[WEIGHT, i] * first * second
        c += work[WEIGHT, i] * second * second
    if v == 0.0:
        variance = 1.0 / of_mu
        if cov == COV_OPG:
            variance = 1.0 / a
        elif cov == COV_SANDWICH:
            variance = a / (of_mu * of_mu)
        estimates.set_errors(scale * math.sqrt(variance), math.nan, math.nan, column, out)
        return
    sigma = math.sqrt(v)
    observed = v * of_mu, 2.0 * v * sigma * both, 4.0 * v * v * of_v
    products = v * a, 2.0 * v * sigma * b, 4.0 * v * v * c
    result = estimates.covariance(cov, observed, observed, products)
    estimates.set_covariance(result, scale * sigma, column, out)
