"""Least squares from the statistics of tables whose last column is the response."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnat import _levels
from fastnat._arrays import Array
from fastnat._table_stats import COUNTS, STATS, TRIANGLES

_REFINEMENTS = 2
_DEPENDENT = 1e-12  # what is left of a column that depends on those before it, relative to it
_PERFECT = 2.0**-50  # residuals that are rounding, relative to the values
_SAME = 2.0**-46  # how close to 1 a combination of columns is that is rounding
_SPLIT = 2.0**27 + 1.0


class Regression(NamedTuple):
    """Least squares of n problems with p columns.

    coef : (n, p).  rss : (n,), in units of ``scale**2``.  scale : (n,), powers of two.
    root : (n, p, p), upper triangular, whose square root' root is X'WX; NaN where columns are
        dependent.
    dependent : (n,), the first column that depends on those before it, or -1.
    perfect : (n,), whether a plane goes through all values, but for rounding.
    """

    coef: Array
    rss: Array
    scale: Array
    root: Array
    dependent: NDArray[np.int64]
    perfect: NDArray[np.bool_]


def solve(parts: _levels.Parts) -> Regression:
    """Solve by QR, refined with residuals that are computed in twice the digits.

    The rows of the triangle about the means and the means themselves have the same sums of
    squares and products as the data.  Means come first: of rows that differ in size, the large
    ones must, so that the others keep their digits (Higham, Accuracy and Stability of Numerical
    Algorithms, section 19.4).  Where 1 is a combination of columns, the mean of the response is
    taken from it, so that it does not matter how far from zero it is.
    """
    stats, roots = parts[STATS], parts[TRIANGLES]
    n, d = roots.shape[:2]
    p = d - 1
    weight, scale = np.sqrt(stats[:, 3 * d]), stats[:, 2 * d : 3 * d]
    means = stats[:, :d] / scale + stats[:, d : 2 * d]
    # The scale is that of the deviations: squares of means far from zero may overflow in it.
    far = np.ldexp(1.0, np.maximum(np.frexp(means)[1] - 1, 0))
    means, roots, scale = means / far, roots / far[:, None, :], scale * far
    centers = stats[:, d : 2 * d] / far
    rows = np.concatenate([(weight[:, None] * means)[:, None, :], roots], axis=1)
    sizes = np.max(np.abs(rows), axis=1)
    unit = np.ldexp(1.0, np.frexp(np.where(sizes > 0.0, sizes, 1.0))[1])
    scaled = rows / unit[:, None, :]  # squares of equal values that are tiny would be nothing
    x, norms = scaled[..., :p], np.sqrt(np.sum(np.square(scaled), axis=1))
    one = np.zeros((n, d + 1))
    one[:, 0] = weight
    of_one, left, _, _ = _fit(x, one, norms)
    size = 1.0 + np.sum(np.abs(of_one) * norms[:, :p], axis=1) / weight
    constant = left <= _SAME * size * weight
    y = rows[..., p].copy()
    shift = np.where(constant, stats[:, p] + scale[:, p] * centers[:, p], 0.0)
    gap = (stats[:, p] - shift) / scale[:, p] + centers[:, p]
    y[:, 0] = weight * gap
    coef, left, root, dependent = _fit(x, y, norms)
    coef = coef + of_one * (shift / scale[:, p])[:, None]
    largest = np.sum(np.abs(coef) * norms[:, :p], axis=1) + norms[:, p] * unit[:, p]
    perfect = (parts[COUNTS] <= p) | ~(left > _PERFECT * largest)
    # Exponents first, for the ratio of two units may not be a number.
    of_y, of_x, of_units = (np.frexp(a)[1] for a in (scale[:, p:], scale[:, :p], unit[:, :p]))
    with np.errstate(over="ignore", under="ignore"):  # of columns as small, or large, as can be
        coef = np.ldexp(coef, of_y - of_x - (of_units - 1))
        root = root * (unit * scale)[:, None, :p]
    return Regression(coef, np.square(left), scale[:, p], root, dependent, perfect)


def _fit(x: Array, y: Array, norms: Array) -> tuple[Array, Array, Array, NDArray[np.int64]]:
    """(coefficients, length of the residuals, root, first dependent column or -1)."""
    n, _, p = x.shape
    coef, rest = np.zeros((n, p)), y
    dependent, bad = np.full(n, -1), np.zeros(n, bool)
    triangle = np.empty((n, p + 1, p + 1))
    for k in range(1 + _REFINEMENTS):
        joint = np.concatenate([x, rest[..., None]], axis=2)
        triangle = np.asarray(np.linalg.qr(joint, mode="r"))
        if k == 0:
            left = np.abs(np.diagonal(triangle, axis1=1, axis2=2))[:, :p]
            gone = ~(left > _DEPENDENT * norms[:, :p])
            dependent = np.where(gone.any(axis=1), gone.argmax(axis=1), -1)
            bad = dependent >= 0
        upper = triangle[:, :p, :p].copy()
        upper[bad] = np.eye(p)
        coef = coef + np.linalg.solve(upper, triangle[:, :p, p:])[..., 0]
        rest = _residuals(y, x, coef)
    root = triangle[:, :p, :p].copy()
    root[bad] = np.nan
    return coef, np.abs(triangle[:, p, p]), root, dependent


def _residuals(y: Array, x: Array, coef: Array) -> Array:
    """y - x coef (n, m), rounded once (Ogita, Rump and Oishi 2005, SIAM J. Sci. Comput. 26)."""
    high, low = y.copy(), np.zeros(y.shape)
    for j in range(coef.shape[1]):
        product, lost = _product(x[..., j], -coef[:, None, j])
        total = high + product
        shifted = total - high
        low += lost + ((high - (total - shifted)) + (product - shifted))
        high = total
    residuals: Array = high + low
    return residuals


def _product(a: Array, b: Array) -> tuple[Array, Array]:
    """The product, and what rounding has taken from it (Dekker 1971)."""
    product = a * b
    a_high, b_high = _SPLIT * a, _SPLIT * b
    a_high, b_high = a_high - (a_high - a), b_high - (b_high - b)
    a_low, b_low = a - a_high, b - b_high
    lost = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, lost


def log_det(regression: Regression) -> Array:
    """log det X'WX."""
    diagonal = np.abs(np.diagonal(regression.root, axis1=1, axis2=2))
    total: Array = 2.0 * np.log(diagonal).sum(axis=1)
    return total


def covariance(regression: Regression) -> tuple[Array, Array]:
    """Roots of the diagonal of (X'WX)^-1, (n, p), and the correlations of it, (n, p, p)."""
    n, p = regression.coef.shape
    known = regression.dependent < 0
    spread, corr = np.full((n, p), math.nan), np.full((n, p, p), math.nan)
    with np.errstate(over="ignore", invalid="ignore"):  # the inverse may not be a number
        inverse = np.linalg.solve(regression.root[known], np.eye(p)[None])
        # Squares of them may overflow, or underflow.
        largest = np.max(np.abs(inverse), axis=2, keepdims=True)
        inverse = inverse / largest
        lengths = np.sqrt(np.sum(np.square(inverse), axis=2, keepdims=True))
        spread[known] = (lengths * largest)[..., 0]
        inverse = inverse / lengths
        corr[known] = inverse @ np.swapaxes(inverse, 1, 2)
    diagonal = np.arange(p)
    corr[:, diagonal, diagonal] = np.where(known, 1.0, math.nan)[:, None]
    return spread, corr
