"""Exact, censored, interval and binned observations: from compressed rows to estimates."""

import math

import numpy as np

from fastnat.kernels import (
    ascent,
    codes,
    compression,
    estimates,
    existence,
    moments,
    olsen,
    olsen_lanes,
)
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels._scalar import weight_at
from fastnat.kernels.observation import expected_information, interval
from fastnat.kernels.outcome import COV_EXPECTED, COV_OBSERVED, NO_COV
from fastnat.kernels.special import tail


@kernel
def fit(stats, lists, ends, status, units, climbed, cov, max_iter, tol, first, out):
    """Fit problems that `compression` has made of rows, with the moments of their exact values.

    stats : (5 or 7, n_fits), the moments; third and fourth ones for COV_OPG and COV_SANDWICH.
    climbed : (olsen_lanes.N_FOUND, n_fits), what `olsen_lanes.climb` has found, or NaN.
    cov : the kind of covariance, as `outcome` numbers them; COV_EXPECTED is not known here.
    out : (estimates.SIZE, at least first + n_fits), out.
    """
    _fit_all(stats, lists, ends, status, units, climbed, cov, max_iter, tol, first, out)


@helper
def _fit_all(stats, lists, ends, status, units, climbed, cov, max_iter, tol, first, out):
    arrays, tools = (stats, lists, ends, units), olsen.new_tools()
    theta = tools[ascent.THETA]
    for j in range(status.size):
        column, loglik = first + j, climbed[olsen_lanes.LOGLIK, j]
        theta[0], theta[1] = climbed[olsen_lanes.BETA, j], climbed[olsen_lanes.H, j]
        nit = climbed[olsen_lanes.STEPS, j]
        if status[j] == codes.OK and loglik == loglik:  # then it has a maximum
            exact = compression.exact_part(stats, j, units[j])
            total, origin = climbed[olsen_lanes.TOTAL, j], exact[1] + exact[2]
            curvature = (
                climbed[olsen_lanes.AA, j],
                climbed[olsen_lanes.AC, j],
                climbed[olsen_lanes.CC, j],
            )
            found = codes.OK, origin, loglik, nit, curvature
            _report(arrays, j, found, total, theta, cov, column, out)
            continue
        problem = compression.problem_of(stats, lists, ends, units, j)
        total = _total(problem)
        if status[j] != codes.OK:
            estimates.blame(status[j], total, column, out)
            continue
        status_, mu, sigma, supremum = existence.judge(*problem)
        if status_ != codes.OK:
            estimates.give_up(status_, mu * units[j], sigma, supremum, total, column, out)
            continue
        start = theta[0], theta[1], nit
        found = olsen.maximise(problem, total, start, max_iter, tol, tools)
        _report(arrays, j, found, total, theta, cov, column, out)


@kernel
def fit_common(stats, tally, limits, cov, max_iter, tol, first, out):
    """Fit problems whose observations share their limits; returns how many have bad weights.

    stats, tally : of n_fits problems, of `moments` with the values next to the limits.
    limits : (2, 1) or (2, at least first + n_fits).  The rest as in `fit`.
    """
    (lists, ends, status, units), bad = compression.from_tally(stats, tally, limits, first)
    if bad > 0:
        return bad
    climbed = np.empty((olsen_lanes.N_FOUND, units.size))
    olsen_lanes.climb(stats, lists, ends, units, tol, climbed)
    _fit_all(stats, lists, ends, status, units, climbed, cov, max_iter, tol, first, out)
    return bad


@helper
def _total(problem):
    exact, left, right, between = problem
    total = exact[0]
    for weights in (left[1], right[1], between[2]):
        total += existence.total_of(weights)
    return total


@helper
def _report(arrays, j, found, total, theta, cov, column, out):
    """Estimates of problem j, and standard errors at a maximum, in (mu / sigma, log sigma).

    found : (code, origin, loglik, steps, curvature), as `olsen.maximise` returns it.
    """
    stats, lists, ends, units = arrays
    code, origin, loglik, nit, curvature = found
    mu, sigma = (origin + theta[0] / theta[1]) * units[j], units[j] / theta[1]
    loglik -= stats[moments.W, j] * math.log(units[j])
    status = codes.OK if code == codes.OK else codes.MAX_ITER
    estimates.arrive(status, mu, sigma, loglik, total, nit, column, out)
    if status != codes.OK or cov == NO_COV:
        return
    observed, products = information(theta, curvature), (0.0, 0.0, 0.0)
    if cov != COV_OBSERVED:
        problem = compression.problem_of(stats, lists, ends, units, j)
        products = _products(problem, origin, theta[0], theta[1])
    result = estimates.covariance(cov, observed, observed, products)
    estimates.set_covariance(result, sigma, column, out)


@helper
def information(theta, curvature):
    """The curvature at the maximum, from Olsen's chart to (mu / sigma, log sigma)."""
    beta, h = theta[0], theta[1]
    a, b, c = curvature
    return a, -beta * a - h * b, beta * (beta * a + 2.0 * h * b) + h * h * c


@helper
def _products(problem, origin, beta, h):
    """Sum of the outer products of the scores in (mu / sigma, log sigma)."""
    exact, left, right, between = problem
    weight, own, mean, m2, m3, m4 = exact
    z = ((own - origin) + mean) * h - beta if weight > 0.0 else 0.0
    s2, s3, s4 = h * h * m2, h * h * h * m3, h * h * h * h * m4
    second = weight * z * z + s2
    third = weight * z * z * z + 3.0 * z * s2 + s3
    fourth = weight * z * z * z * z + 6.0 * z * z * s2 + 4.0 * z * s3 + s4
    total = second, third - weight * z, fourth - 2.0 * second + weight
    for sign, limits, weights in ((-1.0, left[0], left[1]), (1.0, right[0], right[1])):
        for k in range(limits.size):
            z = sign * ((limits[k] - origin) * h - beta)
            hazard = tail(z)[0]
            total = _add_product(total, weights[k], sign * hazard, z * hazard)
    for k in range(between[0].size):
        lower, upper = between[0][k], between[1][k]
        a, b = (lower - origin) * h - beta, (upper - origin) * h - beta
        terms = interval(a, b, (upper - lower) * h)
        total = _add_product(total, between[2][k], terms[1], terms[2])
    return total


@helper
def _add_product(total, weight, s_m, s_l):
    return (
        total[0] + weight * s_m * s_m,
        total[1] + weight * s_m * s_l,
        total[2] + weight * s_l * s_l,
    )


@kernel
def expected_of_rows(x, left, right, w, offsets, first, out):
    """Standard errors of rows from the expected information, which takes all their limits.

    Limits and weights that are not given are (0,).
    """
    for b in range(offsets.size - 1):
        column = first + b
        mu, sigma = out[estimates.MU, column], out[estimates.SIGMA, column]
        total = 0.0, 0.0, 0.0
        for i in range(offsets[b], offsets[b + 1]):
            weight = weight_at(w, i)
            if weight == 0.0 or float(x[i]) != float(x[i]):
                continue
            least = left[i] if left.size > 0 else -math.inf
            most = right[i] if right.size > 0 else math.inf
            total = _add_expected(total, weight, (least - mu) / sigma, (most - mu) / sigma)
        _set_expected(total, column, out)


@kernel
def expected_of_limits(left, right, first, n_fits, out):
    """The same for problems with one left and one right limit."""
    for column in range(first, first + n_fits):
        mu, sigma = out[estimates.MU, column], out[estimates.SIGMA, column]
        a = (left[column % left.size] - mu) / sigma
        b = (right[column % right.size] - mu) / sigma
        zero = 0.0, 0.0, 0.0
        _set_expected(_add_expected(zero, out[estimates.NOBS, column], a, b), column, out)


@helper
def _set_expected(information, column, out):
    if out[estimates.STATUS, column] == codes.OK:
        cov = estimates.covariance(COV_EXPECTED, information, information, information)
        estimates.set_covariance(cov, out[estimates.SIGMA, column], column, out)


@helper
def _add_expected(total, weight, a, b):
    first, both, second = expected_information(a, b)
    return total[0] + weight * first, total[1] + weight * both, total[2] + weight * second
