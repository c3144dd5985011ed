"""Fits of tables with missing entries: from the data to estimates and statuses."""

import math

import numpy as np

from fastnat.kernels import codes, mvn
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels._scalar import part
from fastnat.kernels.curvature import copy, copy_matrix, definite
from fastnat.kernels.em import climb_by_em
from fastnat.kernels.linalg import cholesky
from fastnat.kernels.missing import evaluate, information, n_params, new_tools
from fastnat.kernels.mvn_existence import has_no_bound
from fastnat.kernels.mvn_search import SINGULAR, climb, place
from fastnat.kernels.mvn_start import (
    are_nested,
    cholesky_lower,
    closed_form,
    from_pairs,
    relative_pivot,
    to_patterns,
)
from fastnat.kernels.patterns import (
    COLUMNS,
    SIZES,
    WEIGHT,
    compress,
    look_at_columns,
    total_weight,
)

_ASIDE = 0.3  # how far from a saddle, in standard deviations
_FLAT = 1e-8  # of the information about complete data: no more is no information
_LIMIT = 1e-3  # of a standard deviation is left, where a covariance on its way to be singular stops
_ROUNDED = 10.0  # times what counts as singular
_NO_SPREAD = 1e-6  # of a variance, that others do not explain: it does not count for the rank


@helper
def _prepare(x, w, d, numbers):
    """(status, columns, patterns) of one table."""
    status = np.empty(1, np.int64)
    columns = look_at_columns(x, w, d, status)
    found = compress(x, w, d, columns)
    total = total_weight(found)
    numbers[mvn.NOBS], numbers[mvn.NIT], numbers[mvn.MISSING] = total, 0.0, 1.0
    if status[0] != codes.INVALID_INPUT and total == 0.0:
        status[0] = codes.NO_DATA
    return status[0], columns, found


@helper
def _begin(found, columns, given, start_mean, start_cov, mu, root):
    """Where to start, as given or not; returns whether every two columns are observed together."""
    d = mu.size
    pairs = np.empty((d, d))
    from_pairs(found, mu, root, pairs)
    if given:
        sigma = np.empty((d, d))
        to_patterns(columns, start_mean, start_cov, np.ones(d), mu, sigma)
        cholesky_lower(sigma, d, 0.0, root)
    elif are_nested(found):
        mean, factor = np.empty(d), np.empty((d, d))
        if closed_form(found, mean, factor) > SINGULAR:
            copy(mean, mu)
            copy_matrix(factor, root)
    together = True
    for i in range(d):
        for j in range(i):
            together = together and pairs[i, j] > 0.0
    return together


@helper
def _judge(status, total, root, info):
    """The status of an end that was arrived at, of this total weight and observed information.

    The information is compared with that about complete data: in a limit, at a covariance that is
    singular along what no row has seen, next to nothing is left of it.
    """
    if status != codes.OK:
        return status
    p = info.shape[0]
    work = info.copy()
    for k in range(p):
        work[k, k] -= _FLAT * total
    if cholesky(work):
        return codes.OK
    status, left = definite(info, np.zeros((p, p)), work, np.empty(p)), relative_pivot(root)
    if status == codes.SADDLE:  # also what rounding makes of a limit
        return codes.SINGULAR if left < _ROUNDED * SINGULAR else status
    return codes.SINGULAR if left < _LIMIT else codes.NOT_IDENTIFIED


@helper
def _supremum(status, loglik, least, x, columns, found):
    """(status, log-likelihood) of an end with this least pivot of a pattern.

    Where no maximum was found, perhaps there is no bound.
    """
    if status != codes.SINGULAR and status != codes.MAX_ITER:
        return status, loglik
    if least < SINGULAR and status == codes.SINGULAR:
        return status, math.inf
    if has_no_bound(x, columns[0].size, columns, found):
        return codes.UNBOUNDED if status == codes.MAX_ITER else status, math.inf
    return status, loglik


@helper
def _write(end, found, columns, mu, root, mean, scatter, scale, numbers):
    """Estimates in the order and units of the caller, log-likelihood and rank.

    end : (status, log-likelihood, accepted steps).
    """
    status, loglik, nit = end
    order, origins, units = columns
    d, rank = mu.size, 0
    for a in range(d):
        i, total = order[a], 0.0
        scale[i] = units[i]
        mean[i] = units[i] * (origins[i] / units[i] + mu[a])
        for b in range(a + 1):
            total = 0.0
            for k in range(b + 1):
                total += root[a, k] * root[b, k]
            scatter[i, order[b]] = scatter[order[b], i] = total
        rank += root[a, a] * root[a, a] > _NO_SPREAD * total
    for m in range(found[SIZES].size):
        for a in range(found[SIZES][m]):
            loglik -= found[WEIGHT][m] * math.log(units[order[found[COLUMNS][m, a]]])
    if status == codes.NOT_IDENTIFIED or status == codes.UNBOUNDED:
        mvn.give_up(status, loglik, mean, scatter, numbers)
        return
    numbers[mvn.STATUS], numbers[mvn.LOGLIK], numbers[mvn.RANK] = status, loglik, d
    numbers[mvn.NIT] += nit
    if status == codes.SINGULAR:
        numbers[mvn.RANK] = rank


@helper
def _give_up(status, found, columns, mu, root, mean, scatter, scale, numbers):
    """A table that cannot be fitted; of a column of equal values, what there is to say."""
    d = mean.size
    if status == codes.SINGULAR:
        from_pairs(found, mu, root, np.empty((d, d)))
        end = status, math.inf, 0.0
        _write(end, found, columns, mu, root, mean, scatter, scale, numbers)
        return
    for j in range(d):
        scale[j] = 1.0
    mvn.give_up(status, 0.0 if status == codes.NO_DATA else math.nan, mean, scatter, numbers)


@kernel
def fit_missing(
    x, w, offsets, which, start_mean, start_cov, max_iter, tol, mean, scatter, scale, numbers
):
    """Fit tables with missing entries; a saddle may be left to `leave_saddle`.

    x, w : flat, rows of d values, NaN where missing, and their weights, or (0,).
    offsets : (n + 1,) rows where tables begin.
    which : numbers of the tables to fit.
    start_mean, start_cov : (n, d), (n, d, d) where to start, or (0, d), (0, d, d).
    mean, scatter, scale, numbers : as of `mvn.finish`, out.
    """
    d = mean.shape[1]
    p = n_params(d)
    mu, root, info = np.empty(d), np.empty((d, d)), np.empty((p, p))
    for b in which:
        table = x[offsets[b] * d : offsets[b + 1] * d]
        weights = part(w, offsets[b], offsets[b + 1])
        status, columns, found = _prepare(table, weights, d, numbers[b])
        out = mean[b], scatter[b], scale[b], numbers[b]
        if status != codes.OK:
            _give_up(status, found, columns, mu, root, *out)
            continue
        given = start_mean.shape[0] > 0
        start = (start_mean[b], start_cov[b]) if given else (mean[b], scatter[b])
        together = _begin(found, columns, given, *start, mu, root)
        tools, total = new_tools(d, found[SIZES].size, True), total_weight(found)
        status, loglik, nit, least = climb(found, total, tol, max_iter, mu, root, tools, info)
        status = _judge(status, total, root, info) if together else codes.NOT_IDENTIFIED
        status, loglik = _supremum(status, loglik, least, table, columns, found)
        _write((status, loglik, nit), found, columns, mu, root, *out)


@kernel
def fit_many_variables(x, w, start_mean, start_cov, max_iter, tol, mean, scatter, scale, numbers):
    """`fit_missing` of one table by `climb_by_em`: steps of the other cost the sixth power of d."""
    d = mean.size
    p = n_params(d)
    status, columns, found = _prepare(x, w, d, numbers)
    mu, root, info = np.empty(d), np.empty((d, d)), np.empty((p, p))
    if status != codes.OK:
        _give_up(status, found, columns, mu, root, mean, scatter, scale, numbers)
        return
    given = start_mean.shape[0] > 0
    start = (start_mean[0], start_cov[0]) if given else (mean, scatter)
    together = _begin(found, columns, given, *start, mu, root)
    total = total_weight(found)
    status, loglik, nit, least = climb_by_em(found, total, tol, max_iter, SINGULAR, mu, root)
    if status == codes.OK:
        tools = new_tools(d, found[SIZES].size, True)
        evaluate(found, mu, root, tools)
        information(False, tools, info)
        status = _judge(status, total, root, info)
    if not together:
        status = codes.NOT_IDENTIFIED
    status, loglik = _supremum(status, loglik, least, x, columns, found)
    end = status, loglik, nit
    _write(end, found, columns, mu, root, mean, scatter, scale, numbers)


@kernel
def leave_saddle(x, w, max_iter, tol, mean, scatter, scale, numbers):
    """From a saddle, both ways along a direction of negative curvature; the higher end is kept.

    mean, scatter, scale, numbers : of the saddle, in, and of the end, out.
    """
    d = mean.size
    p = n_params(d)
    before = numbers[mvn.NIT]
    _, columns, found = _prepare(x, w, d, numbers)
    tools, total = new_tools(d, found[SIZES].size, True), total_weight(found)
    sigma, info, low = np.empty((d, d)), np.empty((p, p)), np.zeros((d, d))
    saddle, saddle_root = np.empty(d), np.empty((d, d))
    to_patterns(columns, mean, scatter, scale, saddle, sigma)
    cholesky_lower(sigma, d, 0.0, saddle_root)
    evaluate(found, saddle, saddle_root, tools)
    information(False, tools, info)
    direction, theta = np.empty(p), np.empty(p)
    definite(info, np.zeros((p, p)), np.empty((p, p)), direction)
    largest = 0.0
    for k in range(p):
        largest = max(largest, abs(direction[k]))
    best = -math.inf
    mu, root = saddle.copy(), saddle_root.copy()
    for side in range(2):
        length = _ASIDE if side == 0 else -_ASIDE
        for k in range(p):
            theta[k] = length * direction[k] / largest
        place(saddle, saddle_root, theta, low, mu, root)
        status, loglik, nit, least = climb(found, total, tol, max_iter, mu, root, tools, info)
        if loglik > best:
            best, status = loglik, _judge(status, total, root, info)
            numbers[mvn.NIT] = before
            status, loglik = _supremum(status, loglik, least, x, columns, found)
            end = status, loglik, nit
            _write(end, found, columns, mu, root, mean, scatter, scale, numbers)
