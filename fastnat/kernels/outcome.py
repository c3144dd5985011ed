"""What a search has found: estimates, standard errors, correlations, status."""

import math

from fastnat.kernels import codes
from fastnat.kernels._jit import kernel
from fastnat.kernels.curvature import copy_matrix, invert, sandwich
from fastnat.kernels.memory import (
    COV,
    INFORMATION,
    LOGLIK,
    NIT,
    PRODUCTS,
    SPARE,
    STATUS,
    WORK,
    matrix,
    vector,
)

NO_COV, COV_OBSERVED, COV_EXPECTED, COV_OPG, COV_SANDWICH = range(5)
"""Covariances."""


@kernel
def finish(memory, theta, result, corr):
    """After DONE: what the search has found; returns the status.

    theta : (p,); becomes NaN where the status leaves no estimate.
    result : (2 + p,), out: log-likelihood, accepted steps, standard errors.
    corr : (p, p), out: correlations of the estimates.
    """
    p = theta.shape[0]
    status, cov = int(memory[STATUS]), int(memory[COV])
    stderr = result[2:]
    loglik, nit = memory[LOGLIK], memory[NIT]
    if status == codes.OK and cov != NO_COV:
        work, products = matrix(memory, p, WORK), matrix(memory, p, PRODUCTS)
        spare = vector(memory, p, SPARE)
        known = cov in (COV_OBSERVED, COV_SANDWICH)
        copy_matrix(matrix(memory, p, INFORMATION) if known else products, work)
        invert(work, spare, stderr, corr)
        if cov == COV_SANDWICH:
            sandwich(products, spare, work, stderr, corr)
    else:
        keep = status == codes.OK or status == codes.MAX_ITER or status == codes.SADDLE
        for j in range(p):
            stderr[j] = math.nan
            theta[j] = theta[j] if keep else math.nan
            for k in range(p):
                corr[j, k] = math.nan
    result[0] = math.nan if status == codes.INVALID_INPUT else loglik
    result[1] = nit
    return status


@kernel
def give_up(status, theta, result, corr):
    """Results of a problem that was not searched, for the status says why."""
    for j in range(theta.shape[0]):
        theta[j] = math.nan
        result[2 + j] = math.nan
        for k in range(theta.shape[0]):
            corr[j, k] = math.nan
    result[0] = 0.0 if status == codes.NO_DATA else math.nan
    result[1] = 0.0
