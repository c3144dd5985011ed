"""Intervals and truncated values with known noise: the variance of each is v + noise_i**2.

For every v the log-likelihood is concave in mu, so the best mu is found by safeguarded Newton's
steps, and the profile that is left is searched as in `noise`: its slope on a grid of v, and the
root of the slope in every bracket of a maximum.  Nothing is known about how far apart its maxima
can be, so what is found is a maximum, and the highest of those the grid tells apart.
"""

import math

import numpy as np

from fastnat.kernels import codes, estimates, root
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels.compression import longest, observe, unit_of
from fastnat.kernels.observation import interval
from fastnat.kernels.outcome import COV_OPG, COV_SANDWICH, NO_COV
from fastnat.kernels.special import tail

_LOG_2PI = math.log(2.0 * math.pi)
_TOP, _LEAST, _LARGEST = 16.0, 1e-16, 1e30  # of v over the square of the range; by factors of 4
_FARTHEST = 1e9  # standard deviations from the data that are as good as infinity
_MOST = 200  # steps in one dimension
_CLOSE = 1e-26  # decrement there

LOW, HIGH, LEAST, MOST, NOISE, WEIGHT, N_ROWS = range(7)
"""Rows of the workspace: ends of the observations, their bounds, noise and weights."""


@kernel
def fit_rows(
    x, upper, left, right, lower, higher, noise, w, offsets, omit, cov, max_iter, tol, first, out
):
    """Fit rows of observations, ``offsets[b]`` to ``offsets[b + 1] - 1``; returns bad weights.

    x, upper, left, right : as in `compression.compress`.
    lower, higher : (n_total,) bounds of truncation, or None, both.
    noise, w : (n_total,) standard errors and weights; w may be None.
    omit : whether a missing observation is left out.
    cov : the kind of covariance, as `outcome` numbers them, but for the expected information.
    out : (estimates.SIZE, at least first + n_rows), out.
    """
    work = np.empty((N_ROWS, longest(offsets)))
    state = np.empty(root.SIZE)
    bad_weights = 0
    for b in range(offsets.size - 1):
        column, start, stop = first + b, offsets[b], offsets[b + 1]
        status, n, total = _gather(
            x, upper, left, right, lower, higher, noise, w, start, stop, omit, work
        )
        bad_weights += status < 0
        if status != codes.OK:
            estimates.blame(max(status, codes.NO_DATA), total, column, out)
            continue
        origin, scale, n_values = _standardise(work, n)
        status, mu, supremum = _judge(work, n)
        if status != codes.OK:
            sigma = math.inf if status == codes.SIGMA_INFINITE else math.nan
            estimates.give_up(status, mu, sigma, supremum, total, column, out)
            continue
        status, nit, v, mu = _search(work, n, max_iter, tol, state)
        sums = _sums(work, n, mu, v)
        loglik = sums[0] - n_values * math.log(scale)
        if status == codes.SIGMA_INFINITE:
            estimates.give_up(status, math.nan, math.inf, loglik, total, column, out)
            continue
        sigma = math.sqrt(v) * scale
        estimates.arrive(status, origin + scale * mu, sigma, loglik, total, nit, column, out)
        if status != codes.MAX_ITER and cov != NO_COV:
            _report_errors(work, n, mu, v, scale, cov, column, out)
    return bad_weights


@helper
def _gather(x, upper, left, right, lower, higher, noise, w, start, stop, omit, work):
    """(status, number, total weight) of the usable observations of a row, copied to ``work``."""
    n, missing, invalid, total = np.int64(0), 0, 0, 0.0
    for i in range(start, stop):
        weight = 1.0 if w is None else float(w[i])
        if not 0.0 <= weight < math.inf:
            return np.int64(-1), n, total
        if weight == 0.0:
            continue
        lost, wrong, low, high = observe(x, upper, left, right, i)
        least, most, error = -math.inf, math.inf, float(noise[i])
        if lower is not None:
            least, most = float(lower[i]), float(higher[i])
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
    """(status, mu, supremum) where it can be said before any search, else OK."""
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
    if below or above:
        return codes.MU_INFINITE, -math.inf if below else math.inf, 0.0
    # Noise-free values that agree, and that no other noise-free observation contradicts.
    if exact and free and low <= value <= high:
        return codes.UNBOUNDED if others else codes.SIGMA_ZERO, math.nan, math.inf
    return codes.OK, math.nan, math.nan


@helper
def _search(work, n, max_iter, tol, state):
    """(status, steps, v, mu) of the highest maximum."""
    least = 0.0  # but not where something is known without noise
    for i in range(n):
        least = _LEAST if work[NOISE, i] == 0.0 else least
    v, mu, slope = _top_of_grid(work, n)
    if slope > 0.0:
        return codes.SIGMA_INFINITE, 0.0, v, mu
    best, best_v, best_mu, best_nit, status = -math.inf, 0.0, mu, 0.0, codes.MAX_ITER
    while v > least:
        below = 0.25 * v if v > _LEAST else least
        mu = _best_mu(work, n, mu, below)
        slope_below = _sums(work, n, mu, below)[3]
        if slope <= 0.0 < slope_below:
            bottom = below if below > 0.0 else v * 1e-12
            code, nit, at, at_mu = _refine(work, n, bottom, v, mu, max_iter, tol, state)
            loglik = _sums(work, n, at_mu, at)[0]
            if loglik > best:
                best, best_v, best_mu, best_nit, status = loglik, at, at_mu, nit, code
        v, slope = below, slope_below
    if v == 0.0 and slope <= 0.0 and _sums(work, n, mu, 0.0)[0] >= best:
        return codes.BOUNDARY, 0.0, 0.0, mu
    return status, best_nit, best_v, best_mu


@helper
def _top_of_grid(work, n):
    """(v, mu, slope) where the profile falls, beyond which nothing is looked for."""
    v, slope, mu = _TOP, 1.0, 0.5
    while slope > 0.0 and v < _LARGEST:
        v *= 4.0
        mu = _best_mu(work, n, mu, v)
        slope = _sums(work, n, mu, v)[3]
    return v, mu, slope


@helper
def _refine(work, n, low, high, mu, max_iter, tol, state):
    """(status, steps, v, mu) of the maximum between ``low`` and ``high``."""
    u = root.start(state, math.log(low), math.log(high), False)
    nit, v = 0.0, high
    while u == u:
        v = math.exp(u)
        mu = _best_mu(work, n, mu, v)
        _, _, of_mu, score, cross, of_v = _sums(work, n, mu, v)
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
        sums = _sums(work, n, mu, v)
        score, curvature = sums[1], sums[2]
        if score > 0.0:
            low = mu
        else:
            high = mu
        step = score / curvature
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
def _sums(work, n, mu, v):
    """(loglik, its slopes by mu and v, and the observed information), in the order

    loglik, score of mu, information of mu, score of v, of both, information of v.
    """
    loglik = of_mu = info_mu = of_v = info_both = info_v = 0.0
    for i in range(n):
        variance = v + work[NOISE, i] * work[NOISE, i]
        s = math.sqrt(variance)
        ll, s_m, s_l, j_mm, j_ml, j_ll = _terms(work, i, mu, s)
        w = work[WEIGHT, i]
        loglik += w * ll
        of_mu += w * s_m / s
        info_mu += w * j_mm / variance
        of_v += 0.5 * w * s_l / variance
        info_both += 0.5 * w * j_ml / (variance * s)
        info_v += w * (0.25 * j_ll + 0.5 * s_l) / (variance * variance)
    return loglik, of_mu, info_mu, of_v, info_both, info_v


@helper
def _terms(work, i, mu, s):
    """(loglik, s_m, s_l, J) of an observation, in (mu / s, log s)."""
    low, high, least, most = work[LOW, i], work[HIGH, i], work[LEAST, i], work[MOST, i]
    if low == high:
        z = (low - mu) / s
        terms = (
            -0.5 * (z * z + _LOG_2PI) - math.log(s),
            z,
            z * z - 1.0,
            1.0,
            2.0 * z,
            2.0 * z * z,
        )
    else:
        terms = _probability(low, high, mu, s)
    if least > -math.inf or most < math.inf:
        inside = _probability(least, most, mu, s)
        terms = (
            terms[0] - inside[0],
            terms[1] - inside[1],
            terms[2] - inside[2],
            terms[3] - inside[3],
            terms[4] - inside[4],
            terms[5] - inside[5],
        )
    return terms


@helper
def _probability(low, high, mu, s):
    """The same for the probability between two ends."""
    a, b = (low - mu) / s, (high - mu) / s
    if b == math.inf or a == -math.inf:
        sign = 1.0 if b == math.inf else -1.0
        z = a if b == math.inf else -b
        hazard, remainder, log_tail = tail(z)
        part = hazard * remainder
        ll, s_m, s_l = log_tail, sign * hazard, z * hazard
        g_mm, g_ml, g_ll = part, sign * z * part, z * z * part
    else:
        ll, s_m, s_l, g_mm, g_ml, g_ll = interval(a, b, (high - low) / s)
    return ll, s_m, s_l, g_mm, g_ml + s_m, g_ll + s_l


@helper
def _report_errors(work, n, mu, v, scale, cov, column, out):
    """Standard errors, in (mu / sigma, log sigma); at v = 0, of mu alone."""
    _, _, of_mu, _, both, of_v = _sums(work, n, mu, v)
    a = b = c = 0.0
    for i in range(n):
        variance = v + work[NOISE, i] * work[NOISE, i]
        terms = _terms(work, i, mu, math.sqrt(variance))
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
