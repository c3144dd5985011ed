"""Least squares of plain responses, many at a time: each is a lane, as its design is.

A response costs its products with X, and another pass where the fit leaves less than 1/64 of its
squares; its design costs X'WX, and is looked at once if all share it.  Whatever is not plain
(missing or huge values, weights of 0, a plane through all values, columns that are nearly
dependent) is left to `linear`, which finds the same but for rounding, and takes much longer to
compile.
"""

import math

import numpy as np

from fastnat.kernels import codes, lanes
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels._scalar import borrow, keep
from fastnat.kernels.curvature import copy
from fastnat.kernels.fisher import BLOCK, STRIDE
from fastnat.kernels.linalg import cholesky_solve_many
from fastnat.kernels.linear_design import (
    LOG_DET,
    TOTAL,
    USABLE,
    lanes_of,
    learn,
    new_designs,
    set_squares,
    spread,
)
from fastnat.kernels.linear_least_squares import ENOUGH, LEAST, MOST, log_likelihood
from fastnat.kernels.linear_memory import PENDING
from fastnat.kernels.linear_outcome import R_COLUMN, R_LOGLIK, R_NIT, R_NOBS, R_STATUS
from fastnat.kernels.linear_rows import LOW, move, new_scratch
from fastnat.kernels.outcome import NO_COV
from fastnat.kernels.products import add_row, add_squares_and_row, wide

FIRST, SQUARES, LEFT, REST, N_CELLS = range(5)
"""Cells of a response: the sum of its squares, of what the last pass began with, and what that has
left; and what the fit leaves, OPEN until it is known, LOST if it is not precise."""

OPEN, LOST = 0.0, -1.0

_MOST_PASSES = 3
_PLANE = 2.0**-80  # of squares: where less is left, a plane may go through all values


def _square(v, values, consts, flags):
    """The sum of w y y."""
    y, w = values
    return [(y if w is None else v.mul(w, y), y)]


_squares = lanes.row_sums(_square, 0, rows=1, unroll=4, prefetch=True)


@kernel
def fit_rows(y, w, x, offsets, x_step, reml, cov, first, results, params, stderr, corr):
    """Fit the plain ones of problems as `linear.fit_rows` does; returns how many are PENDING.

    y : (n_total,); w : the same, or (0,); cov : NO_COV, or that of both informations, which are
        the same here.  The rest as there; problems have as many rows each.
    """
    p, n_fits, pending = x.shape[1], offsets.size - 1, 0
    size = lanes_of(p, n_fits)
    owners = (
        new_designs(p, size),
        new_fits(p, size),
        np.empty((LOW + 1, STRIDE)),
        new_scratch(p),
        (np.zeros((p + 1) * wide(p)), np.empty((1, 1)), np.empty(p), np.empty(p)),
        (y, w, x.reshape(x.size)),
        (results, params, stderr, corr),
    )
    designs, fits, block, scratch, work, given, found = borrow(owners)
    tools = designs, fits, block, scratch, work
    lost, problems = float(p) if reml else 0.0, (offsets, x_step)
    for begin in range(0, n_fits, size):
        count, shared = min(size, n_fits - begin), x_step == 0 and w.size == 0
        _sum_up(given, problems, begin, count, shared, tools)
        if begin == 0 or not shared:
            learn(lost, designs)
        _solve(given, problems, begin, count, tools)
        for t in range(count):
            pending += not _write(t, lost, cov, designs, fits, first + begin + t, found)
    keep(owners)
    return pending


@helper
def new_fits(p, size):
    """(cells, products with the values, steps of the coefficients, coefficients)."""
    shape = p, size
    return np.zeros((N_CELLS, size)), np.zeros(shape), np.zeros(shape), np.zeros(shape)


@helper
def _sum_up(given, problems, begin, count, shared, tools):
    """Squares and products of so many problems; of one design if it is shared by all."""
    y, w, x = given
    offsets, x_step = problems
    designs, (cells, products, _, _), _, _, (sums, _, _, _) = tools
    p, row = products.shape[0], products.shape[0] * wide(products.shape[0])
    for t in range(count):
        start, stop = offsets[begin + t], offsets[begin + t + 1]
        at, n, values, weights = (
            (begin + t) * x_step * p,
            stop - start,
            y[start:stop],
            w[start:stop],
        )
        if w.size > 0:
            add_squares_and_row(values, x, at, p, weights, n, sums, 0)
        elif begin + t == 0 or not shared:
            add_squares_and_row(values, x, at, p, None, n, sums, 0)
        else:
            add_row(values, x, at, p, None, n, sums, row)
        if begin + t == 0 or not shared:
            set_squares(sums, n, weights, designs, t)
        cells[FIRST, t] = cells[SQUARES, t] = _squares_of(values, weights, tools)
        _take_row(sums, row, products, t)
    if shared and begin == 0:
        spread(designs)


@helper
def _squares_of(values, weights, tools):
    square = tools[4][1]
    if weights.size > 0:
        _squares((values, weights), 0, 0, values.size, 0, square, (), square, 0, 0)
    else:
        _squares((values, None), 0, 0, values.size, 0, square, (), square, 0, 0)
    return square[0, 0]


@helper
def _take_row(sums, row, products, t):
    """Products of a response; all sums become 0."""
    for j in range(products.shape[0]):
        products[j, t] = sums[row + j]
    sums[:] = 0.0


@helper
def _solve(given, problems, begin, count, tools):
    """Least squares of so many responses, of which products and squares are known."""
    designs, (cells, products, steps, coef) = tools[:2]
    usable, rest = designs[0][USABLE], cells[REST]
    for t in range(rest.size):
        rest[t] = OPEN if t < count and usable[t] > 0.0 else LOST
    coef[:] = 0.0
    for k in range(_MOST_PASSES):
        if k > 0 and _tell_open(given, problems, begin, tools) == 0:
            break
        _step(designs[1], cells, products, steps, coef)
        for t in range(count):
            if rest[t] == OPEN:
                rest[t] = _judge(cells[FIRST, t], cells[SQUARES, t], cells[LEFT, t])


@helper
def _tell_open(given, problems, begin, tools):
    """Another pass over the problems that are OPEN; returns how many they are."""
    offsets, x_step = problems
    cells, products, _, coef = tools[1]
    n_open = 0
    products[:] = 0.0
    for t in range(cells.shape[1]):
        if cells[REST, t] == OPEN:
            start, at = offsets[begin + t], (begin + t) * x_step * coef.shape[0]
            n = offsets[begin + t + 1] - start
            cells[SQUARES, t] = _tell_rest(given, start, at, n, t, tools)
            n_open += 1
    return n_open


@helper
def _tell_rest(given, start, at, n, t, tools):
    """Products with what the coefficients leave of a response; returns the sum of its squares."""
    y, w, x = given
    designs, (_, products, _, coef), block, scratch, (sums, _, own, sizes) = tools
    p, squares = coef.shape[0], 0.0
    for j in range(p):
        own[j], sizes[j] = coef[j, t], designs[3][j, t]
    for skip in range(0, n, BLOCK):
        size, here, x_at = min(BLOCK, n - skip), start + skip, at + skip * p
        rest, weights = block[LOW, :size], w[here : here + size]
        copy(y[here : here + size], rest)
        move(block, size, x, x_at, p, own, sizes, 1.0, False, scratch)
        squares += _squares_of(rest, weights, tools)
        if w.size > 0:
            add_row(rest, x, x_at, p, weights, size, sums, 0)
        else:
            add_row(rest, x, x_at, p, None, size, sums, 0)
    _take_row(sums, 0, products, t)
    return squares


@helper
def _step(upper, cells, products, steps, coef):
    """Newton's step of each lane; where products are 0 it is 0."""
    left, squares = cells[LEFT], cells[SQUARES]
    for j in range(coef.shape[0]):
        copy(products[j], steps[j])
    cholesky_solve_many(upper, steps)
    for t in range(left.size):
        left[t] = squares[t]
    for j in range(coef.shape[0]):
        b, step, product = coef[j], steps[j], products[j]
        for t in range(left.size):
            b[t] += step[t]
            left[t] -= step[t] * product[t]


@helper
def _judge(first, squares, left):
    """What the fit leaves of the squares: LOST if that is not precise, OPEN if it may become so."""
    if not LEAST < first < MOST:
        return LOST
    if not left >= ENOUGH * squares:
        return OPEN
    return left if left > _PLANE * first else LOST


@helper
def _write(t, lost, cov, designs, fits, row, found):
    """The outcome of lane t, to a row of what is found; returns whether there is one."""
    results, all_params, all_errors, all_corr = found
    result, params, stderr, corr = results[row], all_params[row], all_errors[row], all_corr[row]
    design, _, inverse, _, errors = designs
    cells, _, _, coef = fits
    p, dof = coef.shape[0], design[TOTAL, t] - lost
    rest, variance = cells[REST, t], cells[REST, t] / dof
    if not (rest > 0.0 and LEAST < variance < MOST):  # weights may be of any size
        result[R_STATUS] = PENDING
        return False
    sigma = math.sqrt(variance)
    for j in range(p):
        params[j] = coef[j, t]
    params[p] = math.log(sigma)
    loglik = log_likelihood(dof, params[p])
    result[R_LOGLIK] = loglik - 0.5 * design[LOG_DET, t] if lost > 0.0 else loglik
    result[R_STATUS], result[R_NOBS] = codes.OK, design[TOTAL, t]
    result[R_NIT], result[R_COLUMN] = 0.0, -1.0
    if cov == NO_COV:
        stderr[:] = math.nan
        corr[:] = math.nan
        return True
    for j in range(p):
        stderr[j] = sigma * errors[j, t]
        for k in range(j):
            corr[j, k] = corr[k, j] = inverse[j, k, t]
        corr[j, j] = 1.0
        corr[p, j] = corr[j, p] = 0.0
    stderr[p], corr[p, p] = 1.0 / math.sqrt(2.0 * dof), 1.0
    return True
