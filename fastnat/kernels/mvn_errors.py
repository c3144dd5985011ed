"""Covariances of the estimates of a multivariate normal, complete or not, from its data.

They are found in the coordinates of `missing`, in which nothing is badly scaled, and brought to
means and covariances in units of standard deviations and their products.
"""

import math

import numpy as np

from fastnat.kernels._jit import helper, kernel
from fastnat.kernels._scalar import weight_at
from fastnat.kernels.aligned import aligned_rows
from fastnat.kernels.curvature import copy_matrix
from fastnat.kernels.fisher import BLOCK, STRIDE, accumulate
from fastnat.kernels.linalg import cholesky, cholesky_solve
from fastnat.kernels.missing import (
    TERMS,
    WHITE,
    evaluate,
    information,
    look_at_pattern,
    n_params,
    new_tools,
    rotate_back,
    set_projector,
    whiten,
)
from fastnat.kernels.mvn_start import cholesky_lower, to_patterns
from fastnat.kernels.outcome import COV_EXPECTED, COV_OPG, COV_SANDWICH
from fastnat.kernels.patterns import (
    COLUMNS,
    ENDS,
    ORDER,
    ROWS,
    SIZES,
    compress,
    look_at_columns,
    read_row,
)


@kernel
def relative_covariance(x, w, mean, scatter, scale, kind, cov):
    """Covariance of the parameters of one table, in units of standard deviations.

    x, w : flat, rows of d values, NaN where missing, and their weights, or (0,).
    mean, scatter, scale : the estimates, as `mvn.finish` leaves them.
    kind : a covariance that `outcome` numbers.
    cov : (p, p), out; NaN if a matrix that must be inverted is singular.
    """
    d = mean.size
    p = n_params(d)
    status = np.empty(1, np.int64)
    columns = look_at_columns(x, w, d, status)
    found = compress(x, w, d, columns)
    mu, sigma, root = np.empty(d), np.empty((d, d)), np.empty((d, d))
    to_patterns(columns, mean, scatter, scale, mu, sigma)
    tools, info, meat = new_tools(d, found[SIZES].size, True), np.empty((p, p)), np.zeros((p, p))
    fine = cholesky_lower(sigma, d, 0.0, root)
    if fine:
        evaluate(found, mu, root, tools)
        information(kind == COV_EXPECTED, tools, info)
        if kind in (COV_OPG, COV_SANDWICH):
            _add_products(x, w, columns, found, mu, root, tools, meat)
        if kind == COV_OPG:
            copy_matrix(meat, info)
        fine = cholesky(info)
    if not fine:
        for i in range(p):
            for j in range(p):
                cov[i, j] = math.nan
        return
    change = np.empty((p, p))
    _set_change(columns[ORDER], root, change)
    solved = change.copy()
    for i in range(p):
        cholesky_solve(info, solved[i])
    if kind == COV_SANDWICH:
        _multiply(solved, meat, info)
        _multiply(info, solved, cov)
    else:
        _multiply(change, solved, cov)


@helper
def _multiply(a, b, out):
    """a b' to ``out``."""
    p = a.shape[0]
    for i in range(p):
        for j in range(p):
            total = 0.0
            for k in range(p):
                total += a[i, k] * b[j, k]
            out[i, j] = total


@helper
def _set_change(order, root, change):
    """How means and covariances, in the order of the caller, change with (u, E)."""
    d = order.size
    unit = np.zeros((d, d))  # of standard deviations, in that order
    for a in range(d):
        length = 0.0
        for k in range(a + 1):
            length += root[a, k] * root[a, k]
        for k in range(a + 1):
            unit[order[a], k] = root[a, k] / math.sqrt(length)
    row = d
    for i in range(d):
        for k in range(change.shape[0]):
            change[i, k] = unit[i, k] if k < d else 0.0
        for j in range(i + 1):
            _set_change_of_covariance(unit[i], unit[j], change[row])
            row += 1


@helper
def _set_change_of_covariance(first, second, row):
    d = first.size
    column = d
    for k in range(d):
        row[k] = 0.0
        for m in range(k):
            row[column] = first[k] * second[m] + first[m] * second[k]
            column += 1
        row[column] = first[k] * second[k]
        column += 1


@helper
def _add_products(x, w, columns, found, mu, root, tools, meat):
    """Add the outer products of the scores of all rows."""
    d, p = mu.size, meat.shape[0]
    scores, weights, total = aligned_rows(p, STRIDE), np.empty(BLOCK), np.zeros(p)
    z, q, terms = tools[WHITE][0], tools[WHITE][1], tools[TERMS]
    filled = 0
    for m in range(found[SIZES].size):
        size, which = found[SIZES][m], found[COLUMNS][m]
        look_at_pattern(found, m, mu, root, tools)
        set_projector(size, tools, 0)
        for r in range(found[ENDS][m], found[ENDS][m + 1]):
            row = found[ROWS][r]
            read_row(x, d, columns, which, size, row, z)
            for a in range(size):
                z[a] -= mu[which[a]]
            whiten(size, tools, z)
            rotate_back(size, tools, z, q)
            cell = 0
            for i in range(d):
                scores[i, filled] = q[i]
                for j in range(i + 1):
                    factor = 1.0 if i > j else 0.5
                    scores[d + cell, filled] = factor * (q[i] * q[j] - terms[cell, 0])
                    cell += 1
            weights[filled] = weight_at(w, row)
            filled += 1
            if filled == BLOCK:
                accumulate(scores, weights, filled, total, meat)
                filled = 0
    if filled > 0:
        accumulate(scores, weights, filled, total, meat)
