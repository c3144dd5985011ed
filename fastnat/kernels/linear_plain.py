"""Least squares of plain responses to a design: what is found of X serves all that share it.

A response costs its products with X, and another pass where the fit leaves little of it.  Whatever
is not plain (missing or huge values, weights, a plane through all of them, columns that are nearly
dependent) is left to `linear`, which finds the same but for rounding, and takes much longer to
compile.
"""

import math

import numpy as np

from fastnat.kernels import codes, linear_outcome
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels._scalar import borrow, keep
from fastnat.kernels.compression import longest
from fastnat.kernels.curvature import copy, copy_matrix
from fastnat.kernels.fisher import BLOCK, STRIDE
from fastnat.kernels.linear_frame import factor, invert_upper, is_good, solve_factor
from fastnat.kernels.linear_least_squares import ENOUGH, LEAST, MOST, log_likelihood
from fastnat.kernels.linear_memory import (
    BEST,
    GRAD,
    INFORMATION,
    PENDING,
    SPARE,
    new_memory,
)
from fastnat.kernels.linear_outcome import (
    R_LOGLIK,
    R_SIZE,
    R_STATUS,
    set_errors_of,
    take_unit,
)
from fastnat.kernels.linear_rows import LOW, move, new_blocks, new_scratch
from fastnat.kernels.linear_terms import CC, N_TERMS
from fastnat.kernels.outcome import NO_COV
from fastnat.kernels.products import add_row, add_squares, wide
from fastnat.kernels.tiles import moments_tiles, new_cells, total

N_ROWS, DOF, CONSTANT, N_CELLS = range(4)
"""Cells of a design: its rows, or 0 if it is of no use here; degrees of freedom that are left;
what restricted likelihood adds to the log-likelihood."""

_MOST_PASSES = 3
_PLANE = 2.0**-80  # of squares: where less is left, a plane may go through all values


@kernel
def fit_rows(y, w, x, offsets, x_step, reml, cov, first, results, params, stderr, corr):
    """Fit the plain ones of problems as `linear.fit_rows` does; returns how many are PENDING.

    y : (n_total,); w : the same, or (0,); cov : NO_COV, or that of both informations, which are
        the same here.  The rest as there.
    """
    p, lost = x.shape[1], float(x.shape[1]) if reml else 0.0
    n_blocks = max(np.int64(1), (longest(offsets) + BLOCK - 1) // BLOCK)
    outcome = np.empty(R_SIZE), np.empty(p + 1), np.empty((p + 1, p + 1))
    owners = (
        new_memory(p, 1),
        new_blocks(n_blocks, p, 0),
        new_scratch(p),
        new_work(p),
        (np.zeros(N_CELLS), np.empty((p, p)), np.empty(p), outcome),
        (y, w, x),
        (results, params, stderr, corr),
    )
    memory, blocks, scratch, work, design, given, found = borrow(owners)
    tools = memory, blocks, scratch, work, design
    pending = _fit_all(given, (offsets, x_step, first), (cov, lost), tools, found)
    keep(owners)
    return pending


@helper
def new_work(p):
    """(terms, sums of products in whole vectors, cells of the tiles of p + 1 rows)."""
    return np.empty((N_TERMS, STRIDE)), np.zeros(p * wide(p)), new_cells(moments_tiles(p + 1))


@helper
def _take_squares(sums, p, out):
    """Add sums of squares, below the diagonal, to a symmetric matrix; they become 0."""
    step = wide(p)
    for j in range(p):
        for k in range(j + 1):
            value = sums[j * step + k]
            out[j, k] += value
            if k != j:
                out[k, j] += value
    sums[: p * step] = 0.0


@helper
def _take_row(sums, p, out):
    for j in range(p):
        out[j] += sums[j]
    sums[: wide(p)] = 0.0


@helper
def _fit_all(given, problems, how, tools, found):
    """`fit_rows`, with nothing left to allocate, and references that nobody counts."""
    y, w, x = given
    offsets, x_step, first = problems
    memory, blocks, scratch, work, design = tools
    results, params, stderr, corr = found
    p, flat, pending = x.shape[1], x.reshape(x.size), 0
    for b in range(offsets.size - 1):
        start, n, at, row = offsets[b], offsets[b + 1] - offsets[b], b * x_step * p, first + b
        if b == 0 or x_step > 0:
            _learn(flat, at, n, how, memory, work, design)
        out = results[row], params[row], stderr[row], corr[row]
        plain = design[0][N_ROWS] == n and are_ones(w, start, n)
        values = y[start : start + n]
        if not plain or not _fit(design, values, flat, at, memory, blocks, scratch, work, *out):
            results[row, R_STATUS] = PENDING
            pending += 1
    return pending


@helper
def are_ones(weights, start, n):
    """Whether all weights are 1, given or not."""
    others = 0
    for i in range(n if weights.size > 0 else 0):
        others += weights[start + i] != 1.0
    return others == 0


@helper
def find_squares(x, at, n, work, gram, upper, norms):
    """X'X of ``n`` rows from ``at`` on, its factor, and the norms of the columns.

    gram : at least (p, p).  Returns whether numbers are finite and moderate, and columns far from
    dependent.
    """
    weights, p = work[0][CC], norms.size
    for i in range(min(BLOCK, n)):
        weights[i] = 1.0
    for skip in range(0, n, BLOCK):
        size = min(BLOCK, n - skip)
        add_squares(x, at + skip * p, p, weights, size, work[1], 0)
    gram[:] = 0.0
    _take_squares(work[1], p, gram)
    for j in range(p):
        if not LEAST < gram[j, j] < MOST:
            return False
        norms[j] = math.sqrt(gram[j, j])
    return is_good(factor(gram, p, upper))


@helper
def _learn(x, at, n, how, memory, work, design):
    """Look at a design: ``n`` rows of X from ``at`` on."""
    found, upper, norms, (result, errors, corr) = design
    cov, lost = how
    gram, root, units, p, dof = (
        memory[INFORMATION],
        memory[SPARE],
        memory[GRAD],
        norms.size,
        n - lost,
    )
    found[N_ROWS] = 0.0
    if n <= p or not dof > 0.0 or not find_squares(x, at, n, work, gram, upper, norms):
        return
    log_det = 0.0
    for j in range(p):
        log_det += 2.0 * math.log(upper[j, j])
    found[N_ROWS], found[DOF] = float(n), dof
    found[CONSTANT] = -0.5 * log_det if lost > 0.0 else 0.0
    linear_outcome.give_up(codes.OK, float(n), result, errors, errors, corr)  # NaN, to begin with
    if cov == NO_COV:
        return
    root[:] = 0.0
    invert_upper(upper, p, root)
    for j in range(p):
        take_unit(root[j], j, units)
    set_errors_of(root, p, units, errors, corr)
    errors[p] = 1.0 / math.sqrt(2.0 * dof)
    corr[p, p] = 1.0
    for j in range(p):
        corr[p, j] = corr[j, p] = 0.0


@helper
def _fit(design, y, x, at, memory, blocks, scratch, work, result, params, stderr, corr):
    """Fit a response (n,), if it is a plain one; returns whether it is."""
    found, _, norms, (plain_result, errors, plain_corr) = design
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
        _take_row(work[1], p, products)  # first of all, for what is left there adds to the next
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
