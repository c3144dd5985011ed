"""Symmetric matrices of curvature: learnt from gradients, judged, inverted.  All in place."""

import math

from fastnat.kernels import codes
from fastnat.kernels._jit import helper
from fastnat.kernels.linalg import cholesky, cholesky_solve

_FLAT = 1e-9  # pivots of a scaled information below this are rounding of its differences
_NOISE = 1e-10  # what differences of the score leave of curvature, relative to the OPG, at most
_SINGLE_INFLATION, _SINGLE_SQUARE = 1e4, 1e-24
_MOST_SCALING = 1e-3  # less loses what is known of the other directions


@helper
def copy(source, target):
    for j in range(source.shape[0]):
        target[j] = source[j]


@helper
def copy_matrix(source, target):
    for j in range(source.shape[0]):
        for k in range(source.shape[0]):
            target[j, k] = source[j, k]


@helper
def update_bfgs(bfgs, base, theta, grad_base, grad, product, change):
    """BFGS: what the change of the gradient says of the curvature.

    bfgs : (p, p), in, out.
    base, theta, grad_base, grad : (p,), two points and the gradients there.
    product, change : (p,), scratch.

    The outer product of the scores is far too large far from the maximum, so the matrix is scaled
    down first to the curvature seen along the step (self-scaling: Al-Baali and Khalfan 2007, SQU
    Journal for Science 12, 199-209); negative curvature is damped as by Powell (Nocedal and
    Wright, Numerical Optimization, 2nd edition, procedure 18.2).
    """
    p = theta.shape[0]
    curvature = seen = 0.0
    for j in range(p):
        total = 0.0
        for k in range(p):
            total += bfgs[j, k] * (theta[k] - base[k])
        product[j] = total
        curvature += total * (theta[j] - base[j])
        seen += (grad_base[j] - grad[j]) * (theta[j] - base[j])
    if not (curvature > 0.0 and math.isfinite(curvature)):
        return
    if 0.0 < seen < curvature:
        ratio = max(seen / curvature, _MOST_SCALING)
        _scale(bfgs, product, ratio)
        curvature *= ratio
    share = 1.0
    if seen < 0.2 * curvature:
        share = 0.8 * curvature / (curvature - seen)
    seen = share * seen + (1.0 - share) * curvature
    for j in range(p):
        change[j] = share * (grad_base[j] - grad[j]) + (1.0 - share) * product[j]
    for j in range(p):
        for k in range(p):
            bfgs[j, k] += change[j] * change[k] / seen - product[j] * product[k] / curvature


@helper
def _scale(matrix, vector, factor):
    for j in range(vector.shape[0]):
        vector[j] *= factor
        for k in range(vector.shape[0]):
            matrix[j, k] *= factor


@helper
def definite(information, products, work, direction):
    """Whether the information is positive definite beyond rounding: a status.

    information, products : (p, p), the observed information and the OPG.
    work : (p, p), scratch.
    direction : (p,), out: one of negative curvature if the status is SADDLE.
    """
    p = information.shape[0]
    for j in range(p):
        size = max(abs(information[j, j]), _NOISE * products[j, j])
        if not size < math.inf:
            return codes.MAX_ITER
        direction[j] = 1.0 / math.sqrt(size) if size > 0.0 else 0.0
    for j in range(p):
        for k in range(p):
            work[j, k] = information[j, k] * direction[j] * direction[k]
    for j in range(p):
        for m in range(j):
            factor = work[m, j] / work[m, m]
            for k in range(j, p):
                work[j, k] -= factor * work[m, k]
        pivot = work[j, j]
        if pivot < -_FLAT:
            _downhill(work, j, direction)
            return codes.SADDLE
        if not pivot > _FLAT:
            return codes.NOT_IDENTIFIED if pivot == pivot else codes.MAX_ITER
    return codes.OK


@helper
def _downhill(work, j, direction):
    """The direction along which the curvature is the negative pivot j of an elimination.

    direction : (p,), in: the scale of each row, out.
    """
    # The vector v with L'v = e_j has v' A v = pivot; it grows in column j of the work.
    for m in range(j - 1, -1, -1):
        total = work[m, j]
        for k in range(m + 1, j):
            total += work[m, k] * work[k, j]
        work[m, j] = -total / work[m, m]
        direction[m] *= work[m, j]
    for k in range(j + 1, direction.shape[0]):
        direction[k] = 0.0


@helper
def invert(a, column, stderr, corr):
    """Standard errors and correlations from information ``a`` (lost); NaN if it is singular.

    It is scaled to a diagonal of ones first, so nothing underflows.
    """
    p = a.shape[0]
    for j in range(p):
        stderr[j] = 1.0 / math.sqrt(a[j, j]) if a[j, j] > 0.0 else math.nan
    for j in range(p):
        for k in range(p):
            a[j, k] *= stderr[j] * stderr[k]
    fine = cholesky(a)
    for k in range(p):
        for j in range(p):
            column[j] = 1.0 if j == k else 0.0
        cholesky_solve(a, column)
        for j in range(p):
            corr[j, k] = column[j] if fine else math.nan
    _normalise(stderr, corr)


@helper
def sandwich(products, column, work, stderr, corr):
    """Covariance H K H of H, given as its standard errors and correlations, and K."""
    p = stderr.shape[0]
    for j in range(p):
        for k in range(p):
            total = 0.0
            for m in range(p):
                total += corr[j, m] * stderr[m] * products[m, k] * stderr[k]
            work[j, k] = total
    for j in range(p):
        for k in range(p):
            column[k] = corr[j, k]
        for k in range(p):
            total = 0.0
            for m in range(p):
                total += work[j, m] * corr[m, k]
            products[j, k] = total
    for j in range(p):
        for k in range(p):
            corr[j, k] = products[j, k]
    _normalise(stderr, corr)


@helper
def _normalise(stderr, corr):
    """Move the scale of a covariance, relative to ``stderr``, from ``corr`` to ``stderr``."""
    p = stderr.shape[0]
    for j in range(p):
        root = math.sqrt(corr[j, j]) if corr[j, j] > 0.0 else math.nan
        stderr[j] *= root
        for k in range(p):
            corr[j, k] /= root
            corr[k, j] /= root
        corr[j, j] = 1.0


@helper
def leave_chart(information, grad, theta):
    """The observed information by Olsen's parameters becomes that by b and log sigma.

    With a = b h and h = 1 / sigma; the gradient counts, for the chart is not linear.
    """
    p = theta.size - 1
    h, by_a, by_h = theta[p], 0.0, 0.0
    for j in range(p):
        own = 0.0
        for k in range(p):
            own += information[j, k] * theta[k]
        by_a += theta[j] * own
        by_h += theta[j] * information[j, p]
        information[p, j] = h * (grad[j] - own - h * information[j, p])
        by_a -= theta[j] * grad[j]
    last = by_a + 2.0 * h * by_h + h * h * information[p, p] - h * grad[p]
    information[p, p] = last
    for j in range(p):
        information[j, p] = information[p, j]
        for k in range(p):
            information[j, k] *= h * h


@helper
def outlasts_singles(matrix, factor, n, column):
    """Whether rounding of single precision leaves a sum of ``n`` products to go by.

    factor : of `cholesky`; column : (p,), scratch.

    Entries are wrong by less than 1e-6 of the roots of both diagonal ones, which the inverse
    multiplies: by its own diagonal where that of the matrix is 1, the inflation of a variance by
    the other columns.  So a step is wrong by some 1e-3 of itself at most.  And a number below 1e-38
    is none in single precision.
    """
    for j in range(matrix.shape[0]):
        size = matrix[j, j]
        if not size > _SINGLE_SQUARE * n:
            return False
        for k in range(matrix.shape[0]):
            column[k] = 0.0
        column[j] = size
        cholesky_solve(factor, column)
        if not column[j] < _SINGLE_INFLATION:
            return False
    return True
