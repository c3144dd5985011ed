"""The multivariate normal with missing entries: natural-gradient steps to a maximum.

Steps are taken in the chart of `missing`, around the last accepted point, under the observed
information there where it is positive definite, else under the expected one.
"""

import math

import numpy as np

from fastnat.kernels import ascent, codes, mvn
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels.curvature import copy_matrix, definite
from fastnat.kernels.em import climb_by_em
from fastnat.kernels.linalg import cholesky
from fastnat.kernels.missing import TRIAL, evaluate, gradient, information, n_params, new_tools
from fastnat.kernels.mvn_start import are_nested, cholesky_lower, closed_form, from_pairs, relative_pivot
from fastnat.kernels.patterns import COLUMNS, SIZES, WEIGHT, compress, look_at_columns, total_weight

LARGE = 32
"""More variables are fitted by expectation-maximisation, for steps cost their sixth power."""

_FLOOR = 1e-24  # decrements below it are rounding
_SINGULAR = 1e-6  # standard deviations of what others do not explain, relative: none is left
_ASIDE = 0.3  # how far from a saddle, in standard deviations
_ESCAPES = 4
_SHARE = 0.25  # of the expected information, more each time, in a metric that needs it


@helper
def place(mu, root, theta, low, new_mu, new_root):
    """The point ``theta`` away from (mu, root); False if its covariance is not one.

    low : (d, d), scratch: the inverse of I - A.
    """
    d = mu.size
    for i in range(d):
        a = 1.0 - 0.5 * theta[d + i * (i + 3) // 2]
        if not a > 0.0:
            return False
        for j in range(i):
            total = 0.0
            for k in range(j, i):
                total += theta[d + i * (i + 1) // 2 + k] * low[k, j]
            low[i, j] = total / a
        low[i, i] = 1.0 / a
    for i in range(d):
        for j in range(i + 1):
            total = 0.0
            for k in range(j, i + 1):
                total += root[i, k] * low[k, j]
            new_root[i, j] = total
    for i in range(d):
        new_mu[i] = mu[i]
        for j in range(i + 1):
            new_mu[i] += new_root[i, j] * theta[j]
    return True


@helper
def to_chart(grad, info, d):
    """Information of the chart from that of (u, E): what second derivatives of E add."""
    for i in range(d):
        for j in range(i + 1):
            first = d + i * (i + 1) // 2 + j
            x = 1.0 if i > j else 0.5
            # with u_j: g_u' A t
            info[first, j] -= x * grad[i]
            info[j, first] -= x * grad[i]
            for k in range(d):
                # A A': a_ij with a_kj
                if k >= j:
                    y = 1.0 if k > j else 0.5
                    second = d + k * (k + 1) // 2 + j
                    info[first, second] -= 2.0 * x * y * _element(grad, d, i, k)
                # A A: a_ij with a_jk
                if k <= j:
                    y = 1.0 if j > k else 0.5
                    second = d + j * (j + 1) // 2 + k
                    value = 2.0 * x * y * _element(grad, d, k, i)
                    info[first, second] -= value
                    info[second, first] -= value


@helper
def _element(grad, d, i, j):
    """Of G, the derivative by E."""
    if i == j:
        return grad[d + i * (i + 3) // 2]
    low, high = min(i, j), max(i, j)
    return 0.5 * grad[d + high * (high + 1) // 2 + low]


@helper
def climb(found, total, tol, max_iter, mu, root, tools, info):
    """From (mu, root) uphill: (status, log-likelihood, accepted steps, least pivot).

    mu, root : in and out, the last accepted point.
    info : (p, p), out: the observed information there.
    """
    d = mu.size
    state, theta, grad, metric = ascent.new_tools(n_params(d))
    new_mu, new_root, low = mu.copy(), root.copy(), np.zeros((d, d))
    expected = np.empty_like(metric)
    theta[:] = 0.0
    ascent.start(state, theta, total, tol, _FLOOR, max_iter)
    code, least = ascent.RUNNING, 0.0
    while code == ascent.RUNNING:
        pivot, loglik = 0.0, -math.inf
        grad[:] = 0.0
        if place(mu, root, theta, low, new_mu, new_root):
            value, pivot = evaluate(found, new_mu, new_root, tools)
            if math.isfinite(value):
                loglik = value
                gradient(tools, grad)
        accepted = ascent.accepts(state, loglik, grad)
        if accepted:
            mu[:] = new_mu
            root[:] = new_root
            information(False, tools, info)
            least = min(pivot, relative_pivot(root))
            if least < _SINGULAR:
                return codes.SINGULAR, loglik, state[ascent.NIT] + 1.0, pivot
            _choose_metric(grad, tools, info, expected, metric)
            least = pivot
        code = ascent.advance(state, loglik, grad, metric, theta)
        if accepted:  # the coordinates are those around the new point
            for k in range(theta.size):
                theta[k] -= state[ascent.BASE + k]
                state[ascent.BASE + k] = 0.0
    return code, state[ascent.LOGLIK], state[ascent.NIT], least


@helper
def _choose_metric(grad, tools, info, expected, metric):
    """The observed information in the chart, with as little of the expected one as it needs."""
    d = tools[0].shape[0]
    share = 0.0
    while True:
        copy_matrix(info, metric)
        to_chart(grad, metric, d)
        if share > 0.0:
            for i in range(grad.size):
                for j in range(grad.size):
                    metric[i, j] += share * (expected[i, j] - metric[i, j])
            if share >= 1.0:
                return
            copy_matrix(metric, tools[TRIAL])
        else:
            copy_matrix(metric, tools[TRIAL])
        if cholesky(tools[TRIAL]):
            return
        if share == 0.0:
            information(True, tools, expected)
        share += _SHARE


@helper
def _escape(found, total, tol, max_iter, mu, root, tools, direction, info):
    """From a saddle, both ways along a direction of negative curvature; the higher end is kept.

    Returns what `climb` does.
    """
    d = mu.size
    low = np.zeros((d, d))
    best, loglik, nit, least = codes.SADDLE, -math.inf, 0.0, 0.0
    start_mu, start_root, theta = mu.copy(), root.copy(), np.empty(direction.size)
    own = np.empty_like(info)
    largest = 0.0
    for k in range(direction.size):
        largest = max(largest, abs(direction[k]))
    for sign in (1.0, -1.0):
        for k in range(direction.size):
            theta[k] = sign * _ASIDE * direction[k] / largest
        new_mu, new_root = start_mu.copy(), start_root.copy()
        while not place(start_mu, start_root, theta, low, new_mu, new_root):
            for k in range(direction.size):
                theta[k] *= 0.5
        got = climb(found, total, tol, max_iter, new_mu, new_root, tools, own)
        if got[1] > loglik:
            best, loglik, nit, least = got
            mu[:] = new_mu
            root[:] = new_root
            copy_matrix(own, info)
    return best, loglik, nit, least


@helper
def solve(found, total, tol, max_iter, mu, root, info):
    """Climb, judge the end, leave saddles: (status, log-likelihood, accepted steps, least)."""
    d = mu.size
    tools, direction = new_tools(d, found[SIZES].size, True), np.empty(n_params(d))
    work, nothing = np.empty_like(info), np.zeros_like(info)
    if d <= LARGE:
        status, loglik, nit, least = climb(found, total, tol, max_iter, mu, root, tools, info)
    else:
        end = climb_by_em(found, total, tol, max_iter, _SINGULAR, mu, root)
        status, loglik, nit, least = end
        evaluate(found, mu, root, tools)
        information(False, tools, info)
    for escape in range(_ESCAPES + 1):
        if status != codes.OK:
            break
        status = definite(info, nothing, work, direction)
        if status != codes.SADDLE or escape == _ESCAPES:
            break
        status, loglik, more, least = _escape(
            found, total, tol, max_iter, mu, root, tools, direction, info
        )
        nit += more
    return status, loglik, nit, least


@kernel
def fit_missing(x, w, start_mean, start_cov, max_iter, tol, mean, scatter, scale, numbers):
    """Fit one table with missing entries.

    x, w : flat, rows of d values, NaN where missing, and their weights or None.
    start_mean, start_cov : (d,), (d, d) where to start, or None.
    mean, scatter, scale, numbers : as of `mvn.finish`, a row each, out.
    """
    d = mean.size
    status = np.empty(1, np.int64)
    numbers[mvn.MISSING] = 1.0
    columns = look_at_columns(x, w, d, status)
    order, origins, units = columns
    for j in range(d):
        scale[j] = units[j]
    if status[0] == codes.INVALID_INPUT:
        numbers[mvn.NOBS] = math.nan
        mvn.give_up(codes.INVALID_INPUT, math.nan, mean, scatter, numbers)
        return
    found = compress(x, w, d, columns)
    total = total_weight(found)
    numbers[mvn.NOBS] = total
    if total == 0.0 or not math.isfinite(total):
        mvn.give_up(codes.NO_DATA, 0.0, mean, scatter, numbers)
        return
    if status[0] == codes.NOT_IDENTIFIED:
        mvn.give_up(codes.NOT_IDENTIFIED, math.nan, mean, scatter, numbers)
        return
    mu, root, pairs = np.empty(d), np.empty((d, d)), np.empty((d, d))
    from_pairs(found, mu, root, pairs)
    if status[0] == codes.SINGULAR:
        numbers[mvn.STATUS], numbers[mvn.LOGLIK], numbers[mvn.NIT] = codes.SINGULAR, math.inf, 0.0
    else:
        given = False
        if start_mean is not None:
            given = _set_start(columns, start_mean, start_cov, mu, root)
        _search(found, total, pairs, columns, given, max_iter, tol, mu, root, numbers)
    _write(columns, mu, root, mean, scatter, numbers)


@helper
def _set_start(columns, start_mean, start_cov, mu, root):
    """The caller's start in the order and units of the patterns; False if it is none."""
    d = mu.size
    order, origins, units = columns
    cov = np.empty((d, d))
    for a in range(d):
        i = order[a]
        mu[a] = start_mean[i] / units[i] - origins[i] / units[i]
        for b in range(d):
            cov[a, b] = start_cov[i, order[b]] / units[i] / units[order[b]]
    return cholesky_lower(cov, 0.0, root)


@helper
def _search(found, total, pairs, columns, given, max_iter, tol, mu, root, numbers):
    """Status, log-likelihood and steps; ``given`` is whether (mu, root) is the caller's start."""
    d = mu.size
    if not given and are_nested(found):
        mean, factor = np.empty(d), np.empty((d, d))
        if closed_form(found, mean, factor) > _SINGULAR:
            mu[:] = mean
            root[:] = factor
    info = np.empty((n_params(d), n_params(d)))
    status, loglik, nit, least = solve(found, total, tol, max_iter, mu, root, info)
    for i in range(d):
        for j in range(i):
            if pairs[i, j] == 0.0:
                status = codes.NOT_IDENTIFIED
    if status == codes.SINGULAR and least < _SINGULAR:
        loglik = math.inf
    if math.isfinite(loglik):
        order, _, units = columns
        for m in range(found[SIZES].size):
            for a in range(found[SIZES][m]):
                loglik -= found[WEIGHT][m] * math.log(units[order[found[COLUMNS][m, a]]])
    numbers[mvn.STATUS], numbers[mvn.LOGLIK], numbers[mvn.NIT] = status, loglik, nit


@helper
def _write(columns, mu, root, mean, scatter, numbers):
    """Estimates in the order and units of the caller; the rank."""
    d = mu.size
    order, origins, units = columns
    status = int(numbers[mvn.STATUS])
    rank = 0
    for a in range(d):
        i, squares = order[a], 0.0
        mean[i] = origins[i] + units[i] * mu[a]
        for b in range(a + 1):
            total = 0.0
            for k in range(b + 1):
                total += root[a, k] * root[b, k]
            scatter[i, order[b]] = scatter[order[b], i] = total
            squares = total
        rank += root[a, a] * root[a, a] > 1e-8 * squares
    numbers[mvn.RANK] = rank if status == codes.SINGULAR else d
    if status == codes.NOT_IDENTIFIED:
        mvn.give_up(status, numbers[mvn.LOGLIK], mean, scatter, numbers)
