"""What the search for a regression's maximum has found: estimates and their standard errors."""

import math

from fastnat.kernels import codes
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels.curvature import copy_matrix
from fastnat.kernels.linalg import cholesky
from fastnat.kernels.linear_frame import invert_upper, solve_upper
from fastnat.kernels.linear_memory import (
    BASIS_X,
    BASIS_Z,
    CELLS,
    COLUMN,
    COV,
    GRAD,
    INFORMATION,
    LIMITS,
    LOGLIK,
    MEAT,
    METRIC,
    NIT,
    ORIGIN,
    SPARE,
    SQUARES_Z,
    START,
    STATUS,
    TOTAL,
    TURNED,
    UNIT,
    close,
)
from fastnat.kernels.outcome import COV_OPG, COV_SANDWICH, NO_COV

R_STATUS, R_LOGLIK, R_NOBS, R_NIT, R_COLUMN, R_SIZE = range(6)
"""Columns of the results; R_COLUMN is the column of (X, Z) that depends on others, or -1."""


_SMALL, _LARGE = 1e-100, 1e100  # numbers between them have squares, and products of these


@helper
def finish(memory, theta, result, params, stderr, corr):
    """After DONE: what the search has found.

    theta : (p + q,), where it has ended.
    result : (R_SIZE,); params, stderr : (p + q,); corr : (p + q, p + q); out.
    """
    cells = memory[CELLS]
    status = int(cells[STATUS])
    result[R_STATUS], result[R_LOGLIK], result[R_NOBS] = status, cells[LOGLIK], cells[TOTAL]
    result[R_NIT], result[R_COLUMN] = cells[NIT], cells[COLUMN]
    _set_params(memory, status, theta, params)
    if status == codes.OK and not _are_finite(params):  # of numbers beyond what a double can tell
        status = codes.MAX_ITER
        result[R_STATUS] = status
    for i in range(theta.size):
        stderr[i] = math.nan
    told = status in (codes.OK, codes.BOUNDARY) and cells[COV] != NO_COV
    if not (told and _set_errors(memory, stderr, corr)):
        _set_nan(corr)


@helper
def _set_nan(corr):
    for i in range(corr.shape[0]):
        for j in range(corr.shape[0]):
            corr[i, j] = math.nan


@helper
def _are_finite(params):
    finite = True
    for j in range(params.size):
        finite = finite and math.isfinite(params[j])
    return finite


@kernel
def give_up(status, nobs, result, params, stderr, corr):
    """A problem that was not searched, for the status says why."""
    result[R_STATUS], result[R_NOBS], result[R_NIT], result[R_COLUMN] = status, nobs, 0.0, -1.0
    result[R_LOGLIK] = 0.0 if status == codes.NO_DATA else math.nan
    for j in range(params.size):
        params[j] = stderr[j] = math.nan
    _set_nan(corr)


@helper
def _set_params(memory, status, theta, params):
    cells = memory[CELLS]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    has_location = status in (
        codes.OK,
        codes.BOUNDARY,
        codes.SIGMA_ZERO,
        codes.MAX_ITER,
        codes.SADDLE,
    )
    for j in range(p):
        params[j] = memory[ORIGIN][j] + cells[UNIT] * theta[j] if has_location else math.nan
    for j in range(q):
        params[p + j] = theta[p + j]
    solve_upper(memory[BASIS_X], params[:p])
    solve_upper(memory[BASIS_Z], params[p:])
    known = status in (codes.OK, codes.BOUNDARY, codes.MAX_ITER, codes.SADDLE)
    for j in range(q):
        if not known:
            params[p + j] = math.nan
        elif status == codes.BOUNDARY and memory[LIMITS][j] != 0.0:
            params[p + j] = memory[LIMITS][j]
    if q == 1 and status == codes.SIGMA_ZERO:
        params[p] = -math.inf
    if q == 1 and status == codes.SIGMA_INFINITE:
        params[p] = math.inf


@helper
def _set_errors(memory, stderr, corr):
    """From the information in these coordinates, of the parameters that are estimates.

    With U'U the information and B the basis, (U B)^-1 is a root of the covariance, so a standard
    error is the length of a row of it, and nothing cancels.  Rows have units of their own, for a
    variance may not be a number where a standard deviation is.  Returns whether there are any.
    """
    cells = memory[CELLS]
    p, cov = memory[ORIGIN].size, cells[COV]
    upper, root, meat = memory[METRIC], memory[SPARE], memory[MEAT]
    copy_matrix(meat if cov == COV_OPG else memory[INFORMATION], upper)
    close(memory, upper)
    if not cholesky(upper):
        return False
    _set_root(memory, upper, root)
    if cov == COV_SANDWICH:
        _whiten(upper, meat, memory[START])
        _by_meat(root, meat, corr)
    else:
        _by_root(root, corr)
    _normalise(memory[GRAD], stderr, corr)
    for j in range(p):
        stderr[j] *= cells[UNIT]
    for j in range(memory[LIMITS].size):
        if memory[LIMITS][j] != 0.0:
            stderr[p + j] = math.nan
            for i in range(stderr.size):
                corr[i, p + j] = corr[p + j, i] = math.nan
    return True


@helper
def _by_root(root, out):
    """A covariance from its triangular root."""
    for i in range(out.shape[0]):
        for j in range(i + 1):
            out[i, j] = out[j, i] = _dot(root[i, i:], root[j, i:])


@helper
def _normalise(units, stderr, corr):
    """A covariance becomes standard errors and correlations."""
    k = corr.shape[0]
    for i in range(k):
        stderr[i] = math.sqrt(corr[i, i]) if corr[i, i] > 0.0 else math.nan
        inverse = 1.0 / stderr[i]
        for j in range(i):
            corr[i, j] *= inverse
        for j in range(i, k):
            corr[j, i] *= inverse
    for i in range(k):
        for j in range(i):
            corr[j, i] = corr[i, j]
        corr[i, i] = 1.0
    for i in range(k):
        stderr[i] *= units[i]


@helper
def _dot(a, b):
    total = 0.0
    for m in range(a.size):
        total += a[m] * b[m]
    return total


@helper
def _set_root(memory, upper, root):
    """The inverse of ``upper`` times the basis of both predictors, an upper triangle."""
    p, k = memory[ORIGIN].size, upper.shape[0]
    column = memory[START]
    invert_upper(upper, k, root)
    for j in range(k if memory[CELLS][TURNED] > 0.0 else 0):
        for i in range(k):
            column[i] = root[i, j]
        solve_upper(memory[BASIS_X], column[:p])
        solve_upper(memory[BASIS_Z], column[p:])
        for i in range(k):
            root[i, j] = column[i]
    for i in range(k):
        take_unit(root[i], i, memory[GRAD])


@helper
def take_unit(row, i, units):
    """Divide a row of very large or very small numbers by a power of two, which is noted."""
    largest = 0.0
    for value in row:
        largest = max(largest, abs(value))
    units[i] = 1.0
    if 0.0 < largest < math.inf and not _SMALL < largest < _LARGE:
        units[i] = math.ldexp(1.0, math.frexp(largest)[1] - 1)
        for j in range(row.size):
            row[j] /= units[i]


@helper
def _whiten(upper, meat, column):
    """The meat becomes U'^-1 meat U^-1."""
    k = upper.shape[0]
    for _ in range(2):
        for j in range(k):
            for i in range(k):
                column[i] = meat[i, j]
                for m in range(i):
                    column[i] -= upper[m, i] * column[m]
                column[i] /= upper[i, i]
            for i in range(k):
                meat[i, j] = column[i]
        for i in range(k):
            for j in range(i):
                meat[i, j], meat[j, i] = meat[j, i], meat[i, j]


@helper
def _by_meat(root, meat, out):
    k = root.shape[0]
    for i in range(k):
        for j in range(k):
            total = 0.0
            for m in range(k):
                for s in range(k):
                    total += root[i, m] * meat[m, s] * root[j, s]
            out[i, j] = total
