"""Values with known noise: x_i is normal with mean mu and variance v + noise_i**2, v = sigma**2.

The likelihood, maximised over mu for each v, is a function of one variable that may have several
maxima, all between 0 and the square of the range (restricted likelihood: not far beyond).  Its
slope is looked at on a grid, and every bracket of a maximum is searched by safeguarded Newton's
steps; the highest maximum counts, v = 0 among them.  In log sigma, v = 0 is out of reach.
(Viechtbauer 2005, Journal of Educational and Behavioral Statistics 30, 261-293, for the model and
its estimators.)
"""

import math

import numpy as np

from fastnat.kernels import codes, estimates, root
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels.compression import unit_of
from fastnat.kernels.outcome import COV_EXPECTED, COV_OBSERVED, COV_OPG, NO_COV

_LOG_2PI = math.log(2.0 * math.pi)
_N = 32  # points of the grid of v, up to the square of the range
_FIRST = 1e-8  # of them, over the square of the range, or less: a share of the least noise
_SHARE = 0.03
_LEAST, _LARGEST = 1e-60, 1e30  # beyond the grid

X, NOISE, WEIGHT, N_ROWS = range(4)
"""Rows of the workspace: the observations of a problem, in its own units."""

A1, A2, A3, SCORE, CROSS, CURVATURE, N_SUMS = range(7)
"""What is summed at a v: w om, w om**2, w om**3 (om = 1 / variance), the slope of the profile, w
om**2 r, and the observed information of v."""


@kernel
def fit_rows(x, noise, w, offsets, omit, reml, cov, max_iter, tol, first, out):
    """Fit rows of observations, ``offsets[b]`` to ``offsets[b + 1] - 1``; returns bad weights.

    x, noise, w : (n_total,) values, their standard errors and weights; w may be None.
    omit : whether a missing observation is left out.
    reml : whether the restricted likelihood is maximised.
    cov : the kind of covariance, as `outcome` numbers them.
    out : (estimates.SIZE, at least first + n_rows), out.
    """
    work = np.empty((N_ROWS, longest(offsets)))
    grid = new_grid()
    state = np.empty(root.SIZE)
    bad_weights = 0
    for b in range(offsets.size - 1):
        column = first + b
        status, n, total = gather(x, noise, w, offsets[b], offsets[b + 1], omit, work)
        bad_weights += status < 0
        if status != codes.OK:
            estimates.blame(max(status, codes.NO_DATA), total, column, out)
            continue
        problem, origin, scale = standardise(work, n)
        status, nit, v = search(problem, math.nan, total, reml, max_iter, tol, grid, state)
        sigma = math.sqrt(v) * scale
        dof = total - 1.0 if reml else total
        if status == codes.SIGMA_ZERO:
            estimates.give_up(status, origin, 0.0, math.inf, total, column, out)
        elif status == codes.UNBOUNDED:
            estimates.give_up(status, math.nan, math.nan, math.inf, total, column, out)
        elif status == codes.SIGMA_INFINITE:
            supremum = math.inf if dof < 0.0 else 0.0
            estimates.give_up(status, math.nan, math.inf, supremum, total, column, out)
        else:
            mu, loglik = profile_loglik(problem, v, math.nan, reml)
            loglik -= dof * math.log(scale)
            estimates.arrive(status, origin + scale * mu, sigma, loglik, total, nit, column, out)
            if status != codes.MAX_ITER and cov != NO_COV:
                _report_errors(problem, v, mu, scale, reml, cov, column, out)
    return bad_weights


@helper
def new_grid():
    return np.empty((6, _N))


@helper
def longest(offsets):
    """The number of observations in the longest row."""
    most = np.int64(0)
    for b in range(offsets.size - 1):
        most = max(most, offsets[b + 1] - offsets[b])
    return most


@helper
def _kind(value, error):
    """NAN_INPUT, INVALID_INPUT, or NO_DATA for an observation that cannot be used, else OK."""
    if not error >= 0.0 or math.isinf(value):
        return codes.INVALID_INPUT
    if value != value:
        return codes.NAN_INPUT
    return codes.NO_DATA if math.isinf(error) else codes.OK


@helper
def gather(x, noise, w, start, stop, omit, work):
    """(status, number, total weight) of the usable observations of a row, copied to ``work``.

    The status is -1 if a weight cannot be used; an observation of weight 0 is not looked at, and
    one of infinite noise says nothing.
    """
    n, missing, invalid, total = np.int64(0), 0, 0, 0.0
    for i in range(start, stop):
        weight = 1.0
        if w is not None:
            weight = float(w[i])
            if not 0.0 <= weight < math.inf:
                return np.int64(-1), n, total
            if weight == 0.0:
                continue
        value, error = float(x[i]), float(noise[i])
        kind = _kind(value, error)
        missing += kind == codes.NAN_INPUT
        invalid += kind == codes.INVALID_INPUT
        if kind == codes.OK:
            total += weight
            work[X, n], work[NOISE, n], work[WEIGHT, n] = value, error, weight
            n += 1
    if not total < math.inf:
        return np.int64(-1), n, total
    status = codes.OK
    if missing > 0 and not omit:
        status = codes.NAN_INPUT
    elif invalid > 0:
        status = codes.INVALID_INPUT
    elif n == 0:
        status = codes.NO_DATA
    return np.int64(status), n, total


@helper
def standardise(work, n):
    """(problem, origin, scale): relative to the most exact value, in units of the range.

    A problem is (values, noise, weights).
    """
    x, noise, weights = work[X][:n], work[NOISE][:n], work[WEIGHT][:n]
    best, largest = 0, 0.0
    for i in range(n):
        best = i if noise[i] < noise[best] else best
        largest = max(largest, abs(x[i]))
    unit = unit_of(largest)
    origin = x[best]
    low = high = 0.0
    for i in range(n):
        x[i] = x[i] / unit - origin / unit
        low, high = min(low, x[i]), max(high, x[i])
    spread = high - low
    if spread == 0.0:  # nothing but noise has a size
        for i in range(n):
            spread = max(spread, noise[i] / unit)
        spread = 1.0 if spread == 0.0 else spread
    for i in range(n):
        x[i] /= spread
        noise[i] = noise[i] / unit / spread
    return (x, noise, weights), origin, spread * unit


@helper
def search(problem, fixed, total, reml, max_iter, tol, grid, state):
    """(status, steps, v) of the highest maximum.

    fixed : a value of mu that stays, or NaN for the best mu at each v.
    """
    x, noise, weights = problem
    exact, differ, all_exact = False, False, True
    mean = 0.0
    for i in range(x.size):
        if noise[i] == 0.0:  # the origin is one of them
            exact, differ = True, differ or x[i] != 0.0
        all_exact = all_exact and noise[i] == 0.0
        mean += weights[i] / total * x[i]
    if all_exact:
        mean = fixed if fixed == fixed else mean
        square = 0.0
        for i in range(x.size):
            square += weights[i] * (x[i] - mean) * (x[i] - mean)
        dof = total - 1.0 if reml else total
        if dof > 0.0:
            return codes.OK if differ else codes.SIGMA_ZERO, 0.0, square / dof
        return codes.SIGMA_INFINITE, 0.0, math.inf
    if exact and not differ:
        return codes.UNBOUNDED, 0.0, 0.0
    return _search_brackets(problem, fixed, exact, reml, max_iter, tol, grid, state)


@helper
def _search_brackets(problem, fixed, exact, reml, max_iter, tol, grid, state):
    """The same where the profile has to be searched; exact: v = 0 is no candidate."""
    slopes = grid[3]
    _fill_grid(problem, fixed, reml, grid)
    best, best_v, best_nit, status = -math.inf, 0.0, 0.0, codes.OK
    below = slope_at_zero = math.inf
    low = 0.0
    if not exact:
        slope_at_zero = sums_at(problem, 0.0, fixed, reml)[SCORE]
        if slope_at_zero <= 0.0:
            best, status = profile_loglik(problem, 0.0, fixed, reml)[1], codes.BOUNDARY
    below = slope_at_zero
    for k in range(_N + 1):
        if k < _N:
            v, slope = grid[5, k], slopes[k]
        elif below > 0.0:
            v, slope = _beyond(problem, fixed, reml)
            if slope > 0.0:
                return codes.SIGMA_INFINITE, 0.0, math.inf
        else:
            break
        if below > 0.0 and slope <= 0.0:
            if low == 0.0:
                low = _just_above_zero(problem, v, fixed, reml)
            code, nit, at = _refine(problem, low, v, fixed, reml, max_iter, tol, state)
            loglik = profile_loglik(problem, at, fixed, reml)[1]
            if loglik > best:
                best, best_v, best_nit, status = loglik, at, nit, code
        low, below = v, slope
    return status, best_nit, best_v


@helper
def _beyond(problem, fixed, reml):
    """The first v beyond the grid with a falling profile, and the slope there."""
    v, slope = 16.0, 1.0
    while slope > 0.0 and v < _LARGEST:
        slope = sums_at(problem, v, fixed, reml)[SCORE]
        v *= 16.0
    return v / 16.0, slope


@helper
def _just_above_zero(problem, v, fixed, reml):
    """A v below the grid from which the profile still rises."""
    while v > _LEAST:
        v *= 1e-2
        if sums_at(problem, v, fixed, reml)[SCORE] > 0.0:
            break
    return v


@helper
def _refine(problem, low, high, fixed, reml, max_iter, tol, state):
    """(status, steps, v) of the maximum between ``low`` and ``high``, by the root of the slope."""
    u = root.start(state, math.log(low), math.log(high), False)
    nit = 0.0
    while u == u:
        v = math.exp(u)
        sums = sums_at(problem, v, fixed, reml)
        score, curvature = sums[SCORE], _profile_curvature(sums, reml)
        nit += 1.0
        size = max(abs(curvature), 0.5 * sums[A2])
        if score * score <= tol * tol * size * sums[A1] * v:
            break
        if nit >= max_iter:
            return codes.MAX_ITER, nit, v
        u = root.advance(state, score, -v * curvature)
    return codes.OK, nit, math.exp(state[root.ROOT])


@helper
def _place_grid(noise, points):
    """Evenly on the logarithmic scale, from below the least noise to the range."""
    least = _FIRST / _SHARE
    for i in range(noise.size):
        if noise[i] > 0.0:
            least = min(least, noise[i] * noise[i])
    v = max(_SHARE * least, _LEAST)
    factor = math.exp(-math.log(v) / (_N - 1))
    for k in range(_N):
        points[k] = v
        v *= factor


@helper
def _fill_grid(problem, fixed, reml, grid):
    """The grid, to row 5, and slopes of the profile, to row 3; the grid points are lanes."""
    x, noise, weights = problem
    first, sums, mus, slopes, squares = grid[0], grid[1], grid[2], grid[3], grid[4]
    points = grid[5]
    _place_grid(noise, points)
    for k in range(_N):
        first[k], sums[k], slopes[k], squares[k] = 0.0, 0.0, 0.0, 0.0
    for i in range(x.size):
        square, w, wx = noise[i] * noise[i], weights[i], weights[i] * x[i]
        for k in range(_N):
            om = 1.0 / (points[k] + square)
            first[k] += w * om
            sums[k] += wx * om
    for k in range(_N):
        mus[k] = fixed if fixed == fixed else sums[k] / first[k]
    for i in range(x.size):
        square, w, value = noise[i] * noise[i], weights[i], x[i]
        for k in range(_N):
            om, r = 1.0 / (points[k] + square), value - mus[k]
            slopes[k] += w * om * (om * r * r - 1.0)
            squares[k] += w * om * om
    if reml:
        for k in range(_N):
            slopes[k] += squares[k] / first[k]


@helper
def sums_at(problem, v, fixed, reml):
    """The sums at one v, as the rows A1 to CURVATURE name them."""
    x, noise, weights = problem
    a1 = first = 0.0
    for i in range(x.size):
        om = weights[i] / (v + noise[i] * noise[i])
        a1 += om
        first += om * x[i]
    mu = fixed if fixed == fixed else first / a1
    a2 = a3 = score = cross = curvature = 0.0
    for i in range(x.size):
        om, r = 1.0 / (v + noise[i] * noise[i]), x[i] - mu
        share = weights[i] * om
        z = om * r * r
        a2 += share * om
        a3 += share * om * om
        score += 0.5 * share * (z - 1.0)
        cross += share * om * r
        curvature += share * om * (z - 0.5)
    if reml:
        score += 0.5 * a2 / a1
    # What mu would take with it, were it free.
    return a1, a2, a3, score, 0.0 if fixed == fixed else cross, curvature


@helper
def _profile_curvature(sums, reml):
    """Minus the second derivative of the profile by v."""
    curvature = sums[CURVATURE] - sums[CROSS] * sums[CROSS] / sums[A1]
    if reml:
        ratio = sums[A2] / sums[A1]
        curvature += sums[A3] / sums[A1] - 0.5 * ratio * ratio
    return curvature


@helper
def profile_loglik(problem, v, fixed, reml):
    """(mu, log-likelihood) of the best mu for this v."""
    x, noise, weights = problem
    a1 = first = 0.0
    for i in range(x.size):
        om = weights[i] / (v + noise[i] * noise[i])
        a1 += om
        first += om * x[i]
    mu = fixed if fixed == fixed else first / a1
    loglik = loglik_at(problem, mu, v)
    if reml:
        loglik += 0.5 * (_LOG_2PI - math.log(a1))
    return mu, loglik


@helper
def loglik_at(problem, mu, v):
    """Log-likelihood of mu and v."""
    x, noise, weights = problem
    loglik = 0.0
    for i in range(x.size):
        variance = v + noise[i] * noise[i]
        size = math.log(variance) if variance < math.inf else 2.0 * math.log(noise[i])
        r = x[i] - mu
        loglik -= 0.5 * weights[i] * (_LOG_2PI + size + r / variance * r)
    return loglik


@helper
def _report_errors(problem, v, mu, scale, reml, cov, column, out):
    """Standard errors, in (mu / sigma, log sigma); at v = 0, of mu alone."""
    sums = sums_at(problem, v, math.nan, reml)
    products = _products(problem, mu, v)
    if v == 0.0:
        bread, meat = 1.0 / sums[A1], products[0]
        variance = bread
        if cov != COV_OBSERVED and cov != COV_EXPECTED:
            variance = 1.0 / meat if cov == COV_OPG else bread * meat * bread
        estimates.set_errors(scale * math.sqrt(variance), math.nan, math.nan, column, out)
        return
    sigma = math.sqrt(v)
    observed = v * sums[A1], 2.0 * v * sigma * sums[CROSS], 4.0 * v * v * sums[CURVATURE]
    expected = v * sums[A1], 0.0, 2.0 * v * v * sums[A2]
    if reml:
        ratio = sums[A2] / sums[A1]
        trace = sums[A2] - 2.0 * sums[A3] / sums[A1] + ratio * ratio
        observed = v * sums[A1], 0.0, 4.0 * v * v * _profile_curvature(sums, reml)
        expected = v * sums[A1], 0.0, 2.0 * v * v * trace
    products = v * products[0], 2.0 * v * sigma * products[1], 4.0 * v * v * products[2]
    result = estimates.covariance(cov, observed, expected, products)
    estimates.set_covariance(result, scale * sigma, column, out)


@helper
def _products(problem, mu, v):
    """Sum of the outer products of the scores in (mu, v)."""
    x, noise, weights = problem
    a = b = c = 0.0
    for i in range(x.size):
        om, r = 1.0 / (v + noise[i] * noise[i]), x[i] - mu
        first, second = om * r, 0.5 * om * (om * r * r - 1.0)
        a += weights[i] * first * first
        b += weights[i] * first * second
        c += weights[i] * second * second
    return a, b, c
