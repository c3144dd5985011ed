"""Plain responses to a design of which some are beyond a limit: what Tobin's model is for.

Columns of X lie one after the other here, so the rows of a response that are beyond a limit are
gathered as vectors, eight observations each.  Known values are sums of squares and products, found
once.  So a step of the search, Newton's in Olsen's chart, costs the censored rows only.

The likelihood is concave, and known values of full rank give it a maximum.  Whatever is not plain
(intervals, weights, missing or impossible values, known values that are few or nearly on a plane,
columns that are nearly dependent, steps that are not calm) is left to `linear`, which finds the
same but for rounding.
"""

import math

import numpy as np

from fastnat.kernels import linear_outcome, linear_search
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels._scalar import borrow, fma, keep, select
from fastnat.kernels.compression import longest
from fastnat.kernels.curvature import copy_matrix, leave_chart
from fastnat.kernels.fisher import BLOCK
from fastnat.kernels.lanes import WIDTH
from fastnat.kernels.linalg import cholesky, least_alone
from fastnat.kernels.linear_design import are_ones, find_squares
from fastnat.kernels.linear_frame import is_good, solve_factor
from fastnat.kernels.linear_least_squares import ENOUGH, LEAST, MOST, PERFECT, SOUND
from fastnat.kernels.linear_memory import (
    BEST,
    CELLS,
    DENSE,
    GRAD,
    INFORMATION,
    KNOWN,
    LOGLIK,
    MAX_ITER,
    METRIC,
    NIT,
    ORIGIN,
    PENDING,
    SPARE,
    START,
    TOL,
    TOTAL,
    UNIT,
    new_memory,
    prepare,
)
from fastnat.kernels.linear_outcome import R_STATUS
from fastnat.kernels.linear_rows import EXACT, LEFT, RIGHT, find_kinds, new_scratch
from fastnat.kernels.products import wide
from fastnat.kernels.special import hazards, tail
from fastnat.kernels.step import natural_step
from fastnat.kernels.tiles import (
    SIGNED,
    add_moments,
    add_totals,
    moments_tiles,
    new_cells,
    take_moments,
    take_totals,
    total,
)

MOST_ROWS = 8 * BLOCK
"""More rows of one problem are not gathered, for they would leave the caches."""

SIGN, AT, HAZARD, CURVATURE, LOG_PROB, N_VECTORS = range(6)
"""Vectors: -1 for values beyond a limit on the left, else 1; and of those beyond limits: where they
are in units of sigma, minus the hazards, curvatures, log-probabilities."""

_MOST_PASSES = 3
_PRECISE = 2.0**-4  # of squares, left by a fit: with less, digits would cancel

_MOST_STEPS = 20
_CALM = 0.25  # distances to the maximum, in standard deviations, of undamped steps
_LEAST_H = 0.1  # of 1 / sigma is left by any step
_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)


@kernel
def fit_rows(columns, x, offsets, x_step, options, first, results, params, stderr, corr):
    """Fit the plain ones of problems as `linear.fit_rows` does; returns how many are PENDING."""
    p, n = x.shape[1], longest(offsets)
    room = wide(n) + WIDTH if n <= MOST_ROWS else np.int64(0)
    owners = (
        new_memory(p, 1),
        new_scratch(p),
        (np.zeros(p * wide(p)), new_cells(moments_tiles(p + 1))),
        np.empty(p + 1),
        (np.empty((p, p)), np.empty((p, p)), np.empty(p)),
        (np.empty((p + 1, room)), np.empty((p + 1, room)), np.empty((N_VECTORS, room))),
        np.empty(room, np.int64),
        (columns, x),
        (results, params, stderr, corr),
    )
    memory, scratch, work, theta, design, rows, places, given, found = borrow(owners)
    tools = memory, scratch, work, theta, design, (rows[0], rows[1], rows[2], places)
    pending = _fit_all(given, (offsets, x_step, first), options, tools, found)
    keep(owners)
    return pending


@helper
def _fit_all(given, problems, options, tools, found):
    """`fit_rows`, with nothing left to allocate, and references that nobody counts."""
    columns, x = given
    offsets, x_step, first = problems
    memory, _, work, theta, design, rows = tools
    results, params, stderr, corr = found
    p, flat, pending, good = x.shape[1], x.reshape(x.size), 0, False
    for b in range(offsets.size - 1):
        start, n, at, row = offsets[b], offsets[b + 1] - offsets[b], b * x_step * p, first + b
        if b == 0 or x_step > 0:
            good = p < n <= MOST_ROWS and find_squares(flat, at, n, work[0], *design)
            if good:
                _lay_out(flat, at, n, rows[0])
        prepare(memory, options, False, 0.0, False)
        linear_search.begin(memory, theta)
        if good and are_ones(columns[7], start, n) and _fit(columns, start, n, tools):
            linear_outcome.finish(memory, theta, results[row], params[row], stderr[row], corr[row])
        else:
            results[row, R_STATUS] = PENDING
            pending += 1
    return pending


@helper
def _lay_out(x, at, n, columns):
    """Minus the ``n`` rows of X, flat, that begin at ``at``."""
    place = np.uint64(at)
    for i in range(n):
        for j in range(columns.shape[0] - 1):
            columns[j, i] = -x[place]
            place += np.uint64(1)


@helper
def _fit(given, first, n, tools):
    """Search the maximum of a response, if it is a plain one; returns whether it has been found.

    given : columns as `linear_rows.pack` takes them, of which ``n`` rows from ``first`` on count.
    memory : of a search that has just begun; what `linear_outcome.finish` needs, out.
    """
    memory, scratch, work, theta, design, rows = tools
    cells, tiles, p = memory[CELLS], work[1], design[2].size
    beyond = _sort(given, first, n, scratch, rows)
    if beyond < 0 or not _begin(design, n, memory, tiles, rows, theta):
        return False
    cells[TOTAL], cells[DENSE] = float(n), float(n - beyond)
    _gather(beyond, 1.0 / cells[UNIT], rows)
    if not _know(design[0], beyond, memory, tiles, rows):
        return False
    if not _climb(beyond, memory, tiles, rows, theta):
        return False
    log_prob = _evaluate(True, beyond, memory, tiles, rows, theta)
    if _is_rounding(theta, memory, design[2], n):
        return False
    squares, h = _squares_of_known(memory[KNOWN], theta), theta[p]
    if not squares >= ENOUGH * h * h * memory[KNOWN][p, p]:  # too many digits have cancelled
        return False
    log_h = math.log(h) - math.log(cells[UNIT])
    cells[LOGLIK] = cells[DENSE] * (log_h - _LOG_SQRT_2PI) - 0.5 * squares + log_prob
    copy_matrix(memory[METRIC], memory[INFORMATION])
    leave_chart(memory[INFORMATION], memory[GRAD], theta)
    for j in range(p):
        theta[j] /= h
    theta[p] = -log_h
    return True


# ---- rows ------------------------------------------------------------------------------------


@helper
def _sort(given, first, n, scratch, rows):
    """Tell known values from limits; returns how many of these there are, or -1 for others."""
    kinds, limits = scratch[0], scratch[2]
    y, upper, left, right, lower, higher = given[:6]
    _, _, vectors, places = rows
    value, sign = rows[0][rows[0].shape[0] - 1], vectors[SIGN]
    beyond = np.int64(0)
    for skip in range(0, n, BLOCK):
        size = min(BLOCK, n - skip)
        find_kinds(y, upper, left, right, lower, higher, first + skip, size, limits, kinds)
        others = 0
        for i in range(size):
            others += kinds[i] != EXACT and kinds[i] != LEFT and kinds[i] != RIGHT
        if others > 0:
            return np.int64(-1)
        high, low, begin = limits[0], limits[1], np.int64(0)
        if upper.size > 0:
            high, low, begin = upper, y, first + skip
        own = np.uint64(first + skip)
        for i in range(np.uint64(size)):
            kind, at = kinds[i], np.uint64(begin) + i
            known = select(kind == LEFT, high[at], select(kind == RIGHT, low[at], y[own + i]))
            value[np.uint64(skip) + i] = known
            sign[np.uint64(skip) + i] = select(kind == LEFT, -1.0, 1.0)
        for i in range(size):
            # Written over until it is beyond a limit.
            places[np.uint64(beyond)] = skip + i
            beyond += kinds[i] != EXACT
    return beyond


@helper
def _begin(design, n, memory, tiles, rows, theta):
    """Fit values and limits by least squares, which is where the search begins.

    Where the fit leaves little of them, it is taken from them, into memory[ORIGIN], and they are
    fitted again.  memory[BEST] : their products with the columns, and the sum of their squares.
    Returns whether these are moderate numbers.
    """
    _, upper, norms = design
    columns, cells, origin, products = rows[0], memory[CELLS], memory[ORIGIN], memory[BEST]
    p, last = norms.size, _MOST_PASSES - 1
    for k in range(_MOST_PASSES):
        products[:] = 0.0
        add_totals(columns, 0, p + 1, columns[p], n, SIGNED, tiles, 0)
        take_totals(tiles, 0, p + 1, products)
        rest = products[p]
        if not LEAST < rest < MOST:
            return False
        for j in range(p):
            theta[j] = -products[j]
        solve_factor(upper, p, theta)
        for j in range(p):
            rest += theta[j] * products[j]
        if rest >= _PRECISE * products[p]:
            h = math.sqrt(n / rest)
            cells[UNIT] = math.ldexp(1.0, -math.frexp(h)[1])
            for j in range(p):
                theta[j] *= h
            theta[p] = h * cells[UNIT]
            return True
        if k < last:
            _take_fit(theta, norms, n, columns, origin)
    return False


@helper
def _take_fit(fit, norms, n, columns, origin):
    """Take X fit from the values, the largest part first, as `linear_rows.move` does."""
    p, largest, lead = norms.size, 0.0, 0
    for j in range(p):
        origin[j] += fit[j]
        if abs(fit[j]) * norms[j] > largest:
            largest, lead = abs(fit[j]) * norms[j], j
    _add_multiple(fit[lead], columns[lead], n, columns[p])
    for j in range(p):
        if j != lead:
            _add_multiple(fit[j], columns[j], n, columns[p])


@helper
def _add_multiple(factor, row, n, out):
    for i in range(n):
        out[i] = fma(factor, row[i], out[i])


@helper
def _gather(beyond, scale, rows):
    """The rows beyond a limit, values times ``scale``, and zeros up to a whole vector."""
    columns, gathered, vectors, places = rows
    sign, last = vectors[SIGN], columns.shape[0] - 1
    for j in range(last + 1):
        row, out, factor = columns[j], gathered[j], scale if j == last else 1.0
        for i in range(beyond):
            place = np.uint64(places[i])
            out[i] = sign[place] * factor * row[place]
        for i in range(beyond, wide(beyond)):
            out[i] = 0.0


@helper
def _know(squares, beyond, memory, tiles, rows):
    """Squares and products of known values: those of all, less those beyond limits.

    Returns whether they say enough: each column has a part in them that is its own.
    """
    _, gathered, vectors, _ = rows
    known, fit, unit = memory[KNOWN], memory[BEST], memory[CELLS][UNIT]
    p, least, ones = squares.shape[0], math.inf, vectors[CURVATURE]
    for j in range(p):
        for k in range(p):
            known[j, k] = squares[j, k]
        known[j, p] = known[p, j] = fit[j] / unit
    known[p, p] = fit[p] / unit / unit
    for j in range(p + 1):
        memory[START][j] = known[j, j]
    others = memory[METRIC]
    others[:] = 0.0
    for i in range(beyond):
        ones[i] = 1.0
    add_moments(gathered, 0, p + 1, ones, beyond, SIGNED, tiles, 0)
    take_moments(tiles, 0, p + 1, fit, others)
    for j in range(p + 1):
        for k in range(p + 1):
            known[j, k] -= others[j, k]
            others[j, k] = known[j, k]
    if not cholesky(others):
        return False
    for j in range(p + 1):
        least = min(least, others[j, j] * others[j, j] / memory[START][j])
    return is_good(least) and is_good(least_alone(others, p, memory[GRAD]))


# ---- search ----------------------------------------------------------------------------------


@helper
def _climb(beyond, memory, tiles, rows, theta):
    """Newton's steps; whether they arrive."""
    cells, step, p = memory[CELLS], memory[BEST], theta.size - 1
    most = min(float(_MOST_STEPS), cells[MAX_ITER])
    while cells[NIT] < most:
        _evaluate(False, beyond, memory, tiles, rows, theta)
        gain = natural_step(memory[METRIC], memory[GRAD], 0.0, step) / cells[TOTAL]
        if gain <= cells[TOL] * cells[TOL]:
            return True
        distance = math.sqrt(gain)
        share = 1.0 / (1.0 + distance) if distance > _CALM else 1.0
        if not theta[p] + share * step[p] > _LEAST_H * theta[p]:
            return False
        for j in range(p + 1):
            theta[j] += share * step[j]
        cells[NIT] += 1.0
        if gain <= cells[TOL]:
            return True
    return False


@helper
def _evaluate(with_value, beyond, memory, tiles, rows, theta):
    """Gradient and curvature, to memory[GRAD] and memory[METRIC].

    Returns the log-likelihood of the rows beyond their limits, if it is wanted.
    """
    _, gathered, vectors, _ = rows
    known, grad, metric, p = memory[KNOWN], memory[GRAD], memory[METRIC], theta.size - 1
    at, hazard, curvature = vectors[AT], vectors[HAZARD], vectors[CURVATURE]
    n, log_prob = wide(beyond), vectors[LOG_PROB]
    _score_of_known(known, memory[CELLS][DENSE], theta, grad)
    copy_matrix(known, metric)
    metric[p, p] += memory[CELLS][DENSE] / (theta[p] * theta[p])
    for i in range(n):
        at[i] = 0.0
    for j in range(p + 1):
        _add_multiple(theta[j], gathered[j], n, at)
    if with_value:
        for i in range(n):
            value, remainder, log_prob[i] = tail(at[i])
            hazard[i], curvature[i] = -value, value * remainder
    else:
        for i in range(n):
            value, remainder = hazards(at[i])
            hazard[i], curvature[i] = -value, value * remainder
    add_totals(gathered, 0, p + 1, hazard, beyond, SIGNED, tiles, 0)
    take_totals(tiles, 0, p + 1, grad)
    add_moments(gathered, 0, p + 1, curvature, beyond, SIGNED, tiles, 0)
    take_moments(tiles, 0, p + 1, memory[SPARE][0], metric)
    return total(log_prob, beyond, tiles) if with_value else 0.0


@helper
def _score_of_known(known, n, theta, grad):
    """The gradient of ``n`` known values."""
    k = theta.size
    for j in range(k):
        grad[j] = n / theta[j] if j == k - 1 else 0.0
        for m in range(k):
            grad[j] -= known[j, m] * theta[m]


@helper
def _is_rounding(theta, memory, norms, n):
    """Whether sigma is so small that a plane may go through all known values, but for rounding."""
    sigma, size = memory[CELLS][UNIT] / theta[norms.size], 0.0
    for j in range(norms.size):
        size += abs(memory[ORIGIN][j] + theta[j] * sigma) * norms[j]
    return sigma < SOUND * PERFECT * size / math.sqrt(n)


@helper
def _squares_of_known(known, theta):
    """The sum of the squares of known values, in units of sigma."""
    squares = 0.0
    for j in range(theta.size):
        for m in range(theta.size):
            squares += theta[j] * known[j, m] * theta[m]
    return squares
