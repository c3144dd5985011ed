"""Least squares of plain responses to a design: what is found of X serves all that share it.

A response costs its products with X, and another pass where the fit leaves little of it.  Whatever
is not plain (missing or huge values, a plane through all of them, columns that are nearly
dependent) is left to `linear_search`, which finds the same but for rounding.
"""

import math

import numpy as np

from fastnat.kernels import linear_outcome
from fastnat.kernels._jit import helper
from fastnat.kernels.curvature import copy, copy_matrix
from fastnat.kernels.fisher import BLOCK
from fastnat.kernels.linear_frame import factor, is_good, solve_factor
from fastnat.kernels.linear_least_squares import ENOUGH, LEAST, MOST, log_likelihood
from fastnat.kernels.linear_memory import (
    BEST,
    CELLS,
    COMPLETE,
    COV,
    GRAD,
    INFORMATION,
    LOST,
    MODEL,
    TOTAL,
)
from fastnat.kernels.linear_outcome import R_LOGLIK, R_SIZE
from fastnat.kernels.linear_rows import LOW, move
from fastnat.kernels.linear_terms import CC
from fastnat.kernels.linear_values import take_row, take_squares
from fastnat.kernels.outcome import COV_EXPECTED, COV_OBSERVED, NO_COV
from fastnat.kernels.products import add_row, add_squares
from fastnat.kernels.tiles import total

N_ROWS, DOF, CONSTANT, N_CELLS = range(4)
"""Cells of a design: its rows, or 0 if it is of no use here; degrees of freedom that are left;
what restricted likelihood adds to the log-likelihood."""

_MOST_PASSES = 3
_PLANE = 2.0**-80  # of squares: where less is left, a plane may go through all values


@helper
def new_design(p, q):
    """(cells, factor of X'X, norms of its columns, what comes out if sigma is 1)."""
    k = p + q
    outcome = np.empty(R_SIZE), np.empty(k), np.empty(k), np.empty((k, k))
    return np.zeros(N_CELLS), np.empty((p, p)), np.empty(p), outcome


@helper
def learn(x, at, n, memory, work, theta, design):
    """Look at a design: ``n`` rows of X, finite, from ``at`` on; memory: of a search just begun."""
    found, upper, norms, (result, params, errors, corr) = design
    cells, gram = memory[CELLS], memory[INFORMATION]
    p, dof = norms.size, n - cells[LOST]
    found[N_ROWS] = 0.0
    if cells[MODEL] != COMPLETE or cells[COV] not in (NO_COV, COV_OBSERVED, COV_EXPECTED):
        return
    if n <= p or not dof > 0.0:
        return
    weights = work[0][CC]
    for i in range(min(BLOCK, n)):
        weights[i] = 1.0
    for skip in range(0, n, BLOCK):
        size = min(BLOCK, n - skip)
        add_squares(x, at + skip * p, p, weights, size, work[1], 0)
    gram[:] = 0.0
    take_squares(work[1], 0, p, gram)
    for j in range(p):
        if not LEAST < gram[j, j] < MOST:
            return
        norms[j] = math.sqrt(gram[j, j])
    if not is_good(factor(gram, p, upper)):
        return
    log_det = 0.0
    for j in range(p):
        log_det += 2.0 * math.log(upper[j, j])
    gram[p, p], cells[TOTAL] = 2.0 * dof, float(n)
    linear_outcome.finish(memory, theta, result, params, errors, corr)
    found[N_ROWS], found[DOF] = float(n), dof
    found[CONSTANT] = -0.5 * log_det if cells[LOST] > 0.0 else 0.0


@helper
def fit(design, y, x, at, memory, blocks, scratch, work, result, params, stderr, corr):
    """Fit a response (n,), if it is a plain one; returns whether it is."""
    found, _, norms, (plain_result, _, errors, plain_corr) = design
    p = norms.size
    rest = _solve(design, y, x, at, memory, blocks, scratch, work, params)
    if not rest > 0.0:
        return False
    sigma = math.sqrt(rest / found[DOF])
    params[p] = math.log(sigma)
    copy(plain_result, result)
    result[R_LOGLIK] = log_likelihood(found[DOF], params[p]) + found[CONSTANT]
    for j in range(p):
        stderr[j] = sigma * errors[j]
    stderr[p] = errors[p]
    copy_matrix(plain_corr, corr)
    return True


@helper
def _solve(design, y, x, at, memory, blocks, scratch, work, params):
    """Least squares; returns what is left of the squares, or -1 if that is not precise."""
    _, upper, norms, _ = design
    p, step, products = norms.size, memory[GRAD], memory[BEST]
    first = 0.0
    for j in range(p):
        step[j] = params[j] = 0.0
    for k in range(_MOST_PASSES):
        squares = _tell(y, x, at, k > 0, step, norms, blocks, scratch, work)
        for j in range(p):
            products[j] = 0.0
        take_row(work[1], 0, p, products)  # first of all, for what is left there adds to the next
        first = squares if k == 0 else first
        if not LEAST < first < MOST:
            return -1.0
        for j in range(p):
            step[j] = products[j]
        solve_factor(upper, p, step)
        rest = squares
        for j in range(p):
            params[j] += step[j]
            rest -= step[j] * products[j]
        if rest >= ENOUGH * squares:
            return rest if rest > _PLANE * first else -1.0
    return -1.0


@helper
def _tell(y, x, at, again, step, norms, blocks, scratch, work):
    """Sum up products of X with the values, into ``work``; returns the sum of their squares.

    ``again``: of what is left of them, for they lose X step first.
    """
    p, squares = norms.size, 0.0
    for skip in range(0, y.size, BLOCK):
        size, cells = min(BLOCK, y.size - skip), blocks[0][skip // BLOCK]
        low, square = cells[LOW], work[0][CC]
        if again:
            move(cells, size, x, at + skip * p, p, step, norms, 1.0, False, scratch)
        else:
            for i in range(size):
                low[i] = y[skip + i]
        for i in range(size):
            square[i] = low[i] * low[i]
        squares += total(square, size, work[2])
        add_row(low, x, at + skip * p, p, size, work[1], 0)
    return squares
