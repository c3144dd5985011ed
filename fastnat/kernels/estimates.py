"""What a fit of (mu, sigma) leaves in the output: estimates, standard errors, status."""

import math

from fastnat.kernels import codes
from fastnat.kernels._jit import helper
from fastnat.kernels.outcome import COV_EXPECTED, COV_OBSERVED, COV_OPG

MU, SIGMA, NOBS, STATUS, LOGLIK, NIT, SE_MU, SE_SIGMA, CORR, SIZE = range(10)
"""Rows of the output, and how many they are.  CORR is the correlation of the estimates."""


@helper
def give_up(status, mu, sigma, loglik, nobs, column, out):
    """A problem without an interior maximum: the limits that its status leaves, or NaN."""
    out[MU, column], out[SIGMA, column], out[NOBS, column] = mu, sigma, nobs
    out[STATUS, column], out[LOGLIK, column], out[NIT, column] = status, loglik, 0.0
    set_errors(math.nan, math.nan, math.nan, column, out)


@helper
def blame(status, nobs, column, out):
    """A problem whose data cannot be used: NO_DATA, NAN_INPUT or INVALID_INPUT."""
    nan = math.nan
    give_up(status, nan, nan, 0.0 if status == codes.NO_DATA else nan, nobs, column, out)


@helper
def arrive(status, mu, sigma, loglik, nobs, nit, column, out):
    """A problem that was iterated; standard errors are for `set_covariance` to add."""
    give_up(status, mu, sigma, loglik, nobs, column, out)
    out[NIT, column] = nit


@helper
def set_errors(se_mu, se_sigma, corr, column, out):
    out[SE_MU, column], out[SE_SIGMA, column], out[CORR, column] = se_mu, se_sigma, corr


@helper
def set_covariance(cov, sigma, column, out):
    """Take the covariance of (mu / sigma, log sigma), as (first, both, second)."""
    mu, both, scale = cov
    fine = mu > 0.0 and scale > 0.0 and mu < math.inf and scale < math.inf
    se_mu = math.sqrt(mu) if fine else math.nan
    se_scale = math.sqrt(scale) if fine else math.nan
    corr = both / (se_mu * se_scale) if fine else math.nan
    set_errors(se_mu * sigma, se_scale * sigma, max(-1.0, min(1.0, corr)), column, out)


@helper
def covariance(kind, observed, expected, products):
    """Covariance of two parameters in any chart, of a kind `outcome` numbers, not NO_COV.

    observed, expected : information matrices as (first, both, second).
    products : sum of the outer products of the scores, likewise.
    """
    if kind == COV_EXPECTED:
        return _inverse(expected)
    if kind == COV_OPG:
        return _inverse(products)
    bread = _inverse(observed)
    if kind == COV_OBSERVED:
        return bread
    # Row by row: bread times products times bread.
    a, b, c = bread
    k, m, n = products
    first, second = a * k + b * m, a * m + b * n
    third, fourth = b * k + c * m, b * m + c * n
    return (
        first * a + second * b,
        first * b + second * c,
        third * b + fourth * c,
    )


@helper
def transform(cov, from_first, from_second):
    """Covariance of two functions, from the covariance of two variables.

    from_first, from_second : (d first function, d second function) by each variable.
    """
    a, b, c = cov
    p, q = from_first
    r, s = from_second
    return (
        p * p * a + 2.0 * p * r * b + r * r * c,
        p * q * a + (p * s + q * r) * b + r * s * c,
        q * q * a + 2.0 * q * s * b + s * s * c,
    )


@helper
def _inverse(matrix):
    """Of a positive definite matrix, else NaN; scaled, so that nothing underflows."""
    a, b, c = matrix
    if not (a > 0.0 and c > 0.0):
        return math.nan, math.nan, math.nan
    corr = b / math.sqrt(a) / math.sqrt(c)
    left = (1.0 - corr) * (1.0 + corr)
    if not left > 0.0:
        return math.nan, math.nan, math.nan
    return 1.0 / a / left, -corr / math.sqrt(a) / math.sqrt(c) / left, 1.0 / c / left
