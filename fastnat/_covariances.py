"""Geometry of vectors and of multivariate normal distributions: see `fastnat.geometry`."""

import math

import numpy as np
from numpy.typing import ArrayLike

from fastnat._arrays import Array, as_array

# 1 / 3, 1 / 5, 1 / 7, ...: 2 s^3 times this series in s^2 is log((1 + s) / (1 - s)) - 2 s.  For
# s^2 <= 0.045 the next term is below 2^-60.
_ATANH = [1.0 / (2 * k + 3) for k in range(13)]

_SYMMETRY = 1e-12  # products of matrices are symmetric to rounding only


def excess(r: Array, log1p: Array) -> Array:
    """r - log(1 + r), to rounding.

    log1p : log(1 + r), read where r is not small (there it may know more than r does).
    """
    near = np.abs(r - 0.075) <= 0.425
    out = np.asarray(r - log1p)
    out[np.isposinf(r)] = np.inf
    small = r[near]
    s = small / (2.0 + small)
    square = s * s
    series = np.full(s.shape, _ATANH[-1])
    for coefficient in reversed(_ATANH[:-1]):
        series *= square
        series += coefficient
    out[near] = s * (small - 2.0 * square * series)
    return out


# ---- arguments -------------------------------------------------------------------------------


def _vectors(name: str, value: ArrayLike) -> Array:
    array = as_array(name, value).astype(np.float64)
    if not array.ndim or not array.shape[-1]:
        raise ValueError(f"{name} must be of shape (..., d) with d at least 1, not {array.shape}")
    return array


def _matrices(name: str, value: ArrayLike) -> Array:
    array = as_array(name, value).astype(np.float64)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2] or not array.shape[-1]:
        raise ValueError(f"{name} must be of shape (..., d, d), not {array.shape}")
    with np.errstate(invalid="ignore"):
        scale = np.sqrt(np.abs(np.diagonal(array, axis1=-2, axis2=-1)))
        gap = np.abs(array - array.swapaxes(-1, -2))
        if np.any(gap > _SYMMETRY * scale[..., :, None] * scale[..., None, :]):
            raise ValueError(f"{name} must be symmetric")
        return 0.5 * array + 0.5 * array.swapaxes(-1, -2)


def _batch(names: str, d: int, *arrays: tuple[Array, int]) -> tuple[int, ...]:
    """The common batch shape; the pairs are an array and how many of its axes are d."""
    for array, n_axes in arrays:
        if array.shape[-1] != d:
            shapes = ", ".join(str(array.shape) for array, _ in arrays)
            raise ValueError(f"{names} must agree in d; their shapes are {shapes}")
        assert array.ndim >= n_axes
    try:
        return np.broadcast_shapes(*(array.shape[: array.ndim - n] for array, n in arrays))
    except ValueError:
        shapes = ", ".join(str(array.shape) for array, _ in arrays)
        raise ValueError(f"{names} do not broadcast; their shapes are {shapes}") from None


def _root(name: str, matrix: Array) -> tuple[Array, Array, Array]:
    """(L, D, whether finite) with matrix = (D L)(D L)': rows of any scale; L = 1 if not finite."""
    d = matrix.shape[-1]
    finite = np.all(np.isfinite(matrix), axis=(-2, -1))
    whole = np.where(finite[..., None, None], matrix, np.eye(d))
    diagonal = np.diagonal(whole, axis1=-2, axis2=-1)
    if np.all(diagonal > 0.0):
        scale = np.sqrt(diagonal)
        try:
            unit = whole / scale[..., :, None] / scale[..., None, :]
            return np.linalg.cholesky(unit), scale, finite
        except np.linalg.LinAlgError:
            pass
    raise ValueError(f"{name} must be positive definite")


def _solve(root: Array, vector: Array) -> Array:
    return np.asarray(np.linalg.solve(root, vector[..., None])[..., 0])


def _pair(
    mean1: ArrayLike, covariance1: ArrayLike, mean2: ArrayLike, covariance2: ArrayLike
) -> tuple[Array, Array, Array]:
    """What the two functions below share, in coordinates in which covariance2 is correlations.

    Returns
    -------
    z : (..., d)
        L2^-1 (mean1 - mean2).
    r : (..., d, d)
        L2^-1 (covariance1 - covariance2) L2^-T; NaN where an argument is not finite.
    roots : (2, ..., d)
        The diagonals of L1 and L2.
    """
    m1, m2 = _vectors("mean1", mean1), _vectors("mean2", mean2)
    c1, c2 = _matrices("covariance1", covariance1), _matrices("covariance2", covariance2)
    names, d = "mean1, covariance1, mean2 and covariance2", m1.shape[-1]
    batch = _batch(names, d, (m1, 1), (c1, 2), (m2, 1), (c2, 2))
    root1, scale1, finite1 = _root("covariance1", c1)
    root2, scale2, finite2 = _root("covariance2", c2)
    gap = np.where((finite1 & finite2)[..., None, None], c1 - c2, np.nan)
    gap = gap / scale2[..., :, None] / scale2[..., None, :]
    z = _solve(root2, np.broadcast_to((m1 - m2) / scale2, (*batch, d)))
    half = np.linalg.solve(root2, gap)
    r = np.linalg.solve(root2, half.swapaxes(-1, -2))
    own1 = np.diagonal(root1, axis1=-2, axis2=-1) * scale1 / scale2
    own2 = np.diagonal(root2, axis1=-2, axis2=-1)
    roots = np.stack(np.broadcast_arrays(own1, own2))
    return z, 0.5 * (r + r.swapaxes(-1, -2)), roots


# ---- the public functions --------------------------------------------------------------------


def kl_mvn(
    mean1: ArrayLike, covariance1: ArrayLike, mean2: ArrayLike, covariance2: ArrayLike
) -> Array:
    """Kullback-Leibler divergence of two multivariate normal distributions.

    KL(1 || 2) is the mean of log p1(x) - log p2(x) under p1.

    Parameters
    ----------
    mean1, mean2 : (..., d) array_like
        Means.
    covariance1, covariance2 : (..., d, d) array_like
        Covariances, symmetric and positive definite.

    Returns
    -------
    (...) ndarray or float
        Not negative; NaN where an argument is not finite.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used: a covariance that is not symmetric and positive definite,
        shapes that do not broadcast.

    Notes
    -----
    Half of z'z + sum(r - log(1 + r)), where z is the difference of the means and r are the
    eigenvalues of the difference of the covariances, both in coordinates in which covariance2 is
    the identity (Kullback and Leibler 1951, Annals of Mathematical Statistics 22, 79-86).  The
    differences are taken first, so that distributions which are nearly the same cost no digits.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnat import geometry
    >>> print(f"{geometry.kl_mvn([0.0, 0.0], np.eye(2), [1.0, 0.0], 2 * np.eye(2)):.6f}")
    0.443147
    """
    z, r, roots = _pair(mean1, covariance1, mean2, covariance2)
    finite = np.all(np.isfinite(r), axis=(-2, -1))
    values = np.linalg.eigvalsh(np.where(finite[..., None, None], r, 0.0))
    with np.errstate(all="ignore"):
        near = np.sum(excess(values, np.log1p(values)), axis=-1)
        # Of eigenvalues near -1 little is known: use the determinants instead.
        far = np.trace(r, axis1=-2, axis2=-1) - 2.0 * np.sum(np.log(roots[0] / roots[1]), axis=-1)
        spread = np.where(np.all(np.abs(values) <= 0.5, axis=-1), near, far)
        total = 0.5 * (np.sum(z * z, axis=-1) + np.where(finite, spread, np.nan))
    return np.asarray(total)[()]


def kl_mvn_quadratic(
    mean1: ArrayLike, covariance1: ArrayLike, mean2: ArrayLike, covariance2: ArrayLike
) -> Array:
    """Second-order expansion of `kl_mvn` about the second distribution.

    Parameters
    ----------
    mean1, mean2 : (..., d) array_like
        Means.
    covariance1, covariance2 : (..., d, d) array_like
        Covariances, symmetric and positive definite.

    Returns
    -------
    (...) ndarray or float
        1/2 delta' F delta, with delta the difference of means and covariances and F the
        `fisher_mvn` of the second.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used.

    Notes
    -----
    1/2 (z'z + 1/2 tr(R^2)), with R the difference of the covariances in coordinates in which
    covariance2 is the identity.  No matrix of the size of F is made.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnat import geometry
    >>> near = geometry.kl_mvn([0.0, 0.01], 1.01 * np.eye(2), [0.0, 0.0], np.eye(2))
    >>> half = geometry.kl_mvn_quadratic([0.0, 0.01], 1.01 * np.eye(2), [0.0, 0.0], np.eye(2))
    >>> print(f"{near:.4e}, {half:.4e}")
    9.9669e-05, 1.0000e-04
    """
    z, r, _ = _pair(mean1, covariance1, mean2, covariance2)
    with np.errstate(all="ignore"):
        squares = np.sum(r * r, axis=(-2, -1))
        total = 0.5 * (np.sum(z * z, axis=-1) + 0.5 * squares)
    return np.asarray(total)[()]


def fisher_mvn(covariance: ArrayLike) -> Array:
    """Fisher's information of a multivariate normal distribution, per observation.

    Parameters
    ----------
    covariance : (..., d, d) array_like
        Covariance, symmetric and positive definite.

    Returns
    -------
    (..., p, p) ndarray
        p = d (d + 3) / 2: the mean, then the lower triangle of the covariance, row by row, as in
        the ``params`` of `fastnat.fit_mvn`; NaN where the covariance is not finite.

    Raises
    ------
    TypeError, ValueError
        If the covariance cannot be used.

    Notes
    -----
    With P the inverse of the covariance: P for the mean, 1/2 tr(P dS P dS) for a change dS of the
    covariance, and nothing between them (Skovgaard 1984, Scandinavian Journal of Statistics 11,
    211-223).

    Examples
    --------
    >>> from fastnat import geometry
    >>> geometry.fisher_mvn([[4.0]])
    array([[0.25   , 0.     ],
           [0.     , 0.03125]])
    """
    c = _matrices("covariance", covariance)
    root, scale, finite = _root("covariance", c)
    inverse = np.linalg.inv(root) / scale[..., None, :]
    precision = np.matmul(inverse.swapaxes(-1, -2), inverse)
    precision[~finite] = np.nan
    d = c.shape[-1]
    row, column = np.tril_indices(d)
    share = np.where(row == column, 0.5, 1.0)
    same = precision[..., row[:, None], row] * precision[..., column[:, None], column]
    crossed = precision[..., row[:, None], column] * precision[..., column[:, None], row]
    out = np.zeros((*c.shape[:-2], d + row.size, d + row.size))
    out[..., :d, :d] = precision
    out[..., d:, d:] = (same + crossed) * (share[:, None] * share)
    out[~finite] = np.nan
    return out


def mahalanobis(
    x: ArrayLike,
    y: ArrayLike,
    metric: ArrayLike | None = None,
    *,
    covariance: ArrayLike | None = None,
) -> Array:
    """Mahalanobis distance, sqrt((x - y)' G (x - y)).

    Parameters
    ----------
    x, y : (..., p) array_like
        Points that broadcast.
    metric : (p,) or (..., p, p) array_like, optional
        G, symmetric and positive definite; a vector is its diagonal.
    covariance : (..., p, p) array_like, optional
        The inverse of G, instead of it: distances are then in standard deviations.

    Returns
    -------
    (...) ndarray or float
        Distances; half of their squares is what a step of `fastnat.steepest_descent` under the
        same ``metric`` is charged.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used, or not one of metric and covariance is given.

    Notes
    -----
    Mahalanobis (1936), Proceedings of the National Institute of Sciences of India 2, 49-55.

    Examples
    --------
    >>> from fastnat import geometry
    >>> float(geometry.mahalanobis([3.0, 2.0], [0.0, 0.0], [1.0, 4.0]))
    5.0
    >>> geometry.mahalanobis([[3.0, 0.0], [0.0, 3.0]], [0.0, 0.0], covariance=[[9, 0], [0, 1]])
    array([1., 3.])
    """
    a, b = _vectors("x", x), _vectors("y", y)
    if (metric is None) == (covariance is None):
        raise ValueError("metric or covariance must be given, one of them")
    name, given = ("metric", metric) if covariance is None else ("covariance", covariance)
    assert given is not None
    array = as_array(name, given)
    if name == "metric" and array.ndim == 1:
        array = np.diag(array)
    matrix = _matrices(name, array)
    p = a.shape[-1]
    batch = _batch(f"x, y and {name}", p, (a, 1), (b, 1), (matrix, 2))
    root, scale, finite = _root(name, matrix)
    gap = np.broadcast_to(a - b, (*batch, p))
    if name == "metric":
        z = np.matmul(root.swapaxes(-1, -2), (gap * scale)[..., None])[..., 0]
    else:
        z = _solve(root, gap / scale)
    length = np.sqrt(np.sum(z * z, axis=-1))
    return np.asarray(np.where(finite, length, math.nan))[()]
