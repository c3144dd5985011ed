"""`LinearStats`: what fits of regressions need to know of rows that are gone."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnat import _least_squares, _levels, _linear, _table_stats, _tables
from fastnat._arrays import (
    Array,
    NanPolicy,
    as_array,
    as_shape,
    check_cov_type,
    check_flag,
    check_n_threads,
    check_nan_policy,
    nan_found,
)
from fastnat._mvn_stats import Closed
from fastnat.kernels import codes
from fastnat.kernels import linear_outcome as rows
from fastnat.linear import LinearFit


class LinearStats:
    """Statistics of regressions whose rows come in chunks, for many problems at a time.

    They are all that `fit_linear` needs for complete data and a constant sigma: chunks are
    forgotten, memory does not grow, and the fit is that of all rows at once, to rounding.

    Parameters
    ----------
    shape : int or tuple of int, optional
        The shape of the batch; by default that of the first chunk.
    nan_policy : {"propagate", "omit", "raise"}, default "propagate"
        A row with a NaN makes its problem's estimates NaN, is left out, or is refused with its
        chunk.

    Attributes
    ----------
    shape : tuple of int or None
        The shape of the batch; None if it is not known yet.
    n_columns : int or None
        The number of columns of X, likewise.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used.

    Notes
    -----
    What is kept are the means of X and y and the triangle of a QR decomposition of the centred
    rows, not X'X, whose digits are those of half as many (Golub and Van Loan, Matrix
    Computations, section 5.3).

    Examples
    --------
    >>> import numpy as np
    >>> from fastnat.streaming import LinearStats
    >>> stats = LinearStats()
    >>> for t in (np.arange(3.0), np.arange(3.0, 6.0)):
    ...     X = np.column_stack([np.ones(3), t])
    ...     stats.update(1.0 + 2.0 * t + np.cos(t), X)
    >>> stats.fit().coef.round(4)
    array([1.5134, 1.7789])
    """

    def __init__(
        self,
        shape: int | tuple[int, ...] | None = None,
        *,
        nan_policy: NanPolicy = "propagate",
    ) -> None:
        check_nan_policy(nan_policy)
        self.shape = None if shape is None else as_shape(shape)
        self.nan_policy = nan_policy
        self.n_columns: int | None = None
        self.weighted = False
        self._levels = _table_stats.levels()

    def __repr__(self) -> str:
        columns = [] if self.n_columns is None else [f"{self.n_columns} columns"]
        total = self._levels.total()
        nobs = 0.0 if total is None else float(_table_stats.weight(total).sum())
        return _levels.describe(self, nobs, *columns)

    def update(
        self,
        y: ArrayLike,
        X: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> None:
        """Take in a chunk of rows.

        Parameters
        ----------
        y, X, weights, n_threads : optional
            As of `fit_linear`; the batch of both has the shape of these statistics.

        Raises
        ------
        TypeError, ValueError
            If the chunk cannot be used; a negative, NaN or infinite weight is one reason.
        """
        check_n_threads(n_threads)
        source = _join(as_array("y", y), as_array("X", X), weights, self.nan_policy == "omit")
        self._check_shape("the chunk", source.batch, source.d - 1)
        parts = _table_stats.reduce(source, n_threads)
        if self.nan_policy == "raise" and _table_stats.has_nan(parts):
            raise nan_found("y or X contains")
        self.shape, self.n_columns = source.batch, source.d - 1
        self.weighted = self.weighted or weights is not None
        self._levels.add(parts)

    def _check_shape(self, name: str, shape: tuple[int, ...], n_columns: int | None) -> None:
        _levels.check_shape(name, shape, self.shape)
        if self.n_columns is not None and n_columns != self.n_columns:
            raise ValueError(
                f"{name} has {n_columns} columns of X, these statistics have {self.n_columns}"
            )

    def merge(self, other: "LinearStats") -> None:
        """Take in all that ``other`` has seen; it stays as it is.

        Parameters
        ----------
        other : LinearStats
            Made with the same options, and of the same shape and number of columns.

        Raises
        ------
        TypeError, ValueError
            If it is something else.
        """
        _levels.check_other(self, other, "nan_policy")
        if other.shape is None:
            return
        self._check_shape("other", other.shape, other.n_columns or self.n_columns)
        self.shape, self.n_columns = other.shape, other.n_columns or self.n_columns
        self.weighted = self.weighted or other.weighted
        total = other._levels.total()
        if total is not None:
            self._levels.add(total)

    def _total(self) -> _levels.Parts:
        total = self._levels.total()
        if total is None:
            raise ValueError("fit needs a chunk that says how many columns X has")
        return total

    def fit(self, *, reml: bool = False, cov_type: Closed = "observed") -> LinearFit:
        """Fit the rows so far; more may follow.

        Parameters
        ----------
        reml : bool, default False
            Restricted maximum likelihood: sigma with divisor n - p.
        cov_type : {"observed", "expected"} or None, default "observed"
            Kind of covariance; the others that `fit_linear` knows need the data.

        Returns
        -------
        LinearFit

        Raises
        ------
        TypeError, ValueError
            If an option cannot be used, or there has been no chunk yet.
        """
        check_flag("reml", reml)
        check_cov_type(cov_type)
        if cov_type in ("opg", "sandwich"):
            raise ValueError(f"cov_type={cov_type!r} needs the data: use fit_linear")
        parts = self._total()
        assert self.shape is not None
        p = parts[_table_stats.TRIANGLES].shape[1] - 1
        found = _fit(parts, float(p) if reml else 0.0, cov_type is not None)
        dof = None
        if not self.weighted and cov_type is not None:
            dof = found.results[:, rows.R_NOBS].reshape(self.shape) - p
        return LinearFit(found, self.shape, (p, 1), True, dof, cov_type)

    def to_arrays(self) -> dict[str, Array]:
        """All of it as arrays, for `numpy.savez`; none is of objects.

        Returns
        -------
        dict of ndarray
        """
        arrays = _levels.label("LinearStats") | {
            "shape": np.array([-1] if self.shape is None else self.shape, np.int64),
            "n_columns": np.array(self.n_columns or 0),
            "nan_policy": np.array(self.nan_policy),
            "weighted": np.array(self.weighted),
        }
        if self.n_columns is None:
            return arrays
        return arrays | dict(zip(("stats", "triangles", "counts"), self._total(), strict=True))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> "LinearStats":
        """Statistics from what `to_arrays` gave, or from the file it was saved to.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            Such as `numpy.load` returns.

        Returns
        -------
        LinearStats

        Raises
        ------
        ValueError
            If the arrays are not those of a LinearStats, or of a later version.
        """
        name = "LinearStats"
        _levels.check_label(name, arrays)
        policy: Any = str(_levels.get(name, arrays, "nan_policy", "U"))
        new = cls(_levels.get_shape(name, arrays), nan_policy=policy)
        new.n_columns = _levels.get_size(name, arrays, "n_columns")
        new.weighted = bool(_levels.get(name, arrays, "weighted", "b"))
        if new.n_columns is not None:
            n_fits, d = math.prod(new.shape or ()), new.n_columns + 1
            new._levels.add(_table_stats.from_arrays(name, arrays, n_fits, d))
        return new


def _join(y: Array, x: Array, weights: ArrayLike | None, omit: bool) -> _tables.Tables:
    """Tables whose last column is y."""
    if y.ndim == 0:
        raise ValueError("y must have at least one dimension")
    if x.ndim < 2 or x.shape[-1] == 0:
        raise ValueError(f"X must be of shape (..., n, p) with p at least 1, not {x.shape}")
    if x.shape[-2] != y.shape[-1]:
        raise ValueError(
            f"X of shape {x.shape} must have a row for each of {y.shape[-1]} values in y"
        )
    try:
        shape = np.broadcast_shapes(y.shape, x.shape[:-1])
    except ValueError:
        raise ValueError(
            f"X of shape {x.shape} does not broadcast with y of shape {y.shape}"
        ) from None
    table = np.empty((*shape, x.shape[-1] + 1))
    table[..., :-1], table[..., -1] = x, y
    return _tables.arrange(table, weights, omit)


def _fit(parts: _levels.Parts, lost: float, errors: bool) -> _linear.Found:
    """Least squares as `fit_linear` reports them.

    lost : degrees of freedom that restricted likelihood takes.
    """
    total, status = _table_stats.weight(parts), _table_stats.status(parts)
    n, d = parts[_table_stats.TRIANGLES].shape[:2]
    found = _linear.Found(
        np.zeros((n, rows.R_SIZE)),
        np.full((n, d), math.nan),
        np.full((n, d), math.nan),
        np.full((n, d, d), math.nan),
    )
    results, params = found.results, found.params
    results[:, rows.R_NOBS], results[:, rows.R_COLUMN] = total, -1.0
    usable = np.flatnonzero(status == codes.OK)
    solved = _least_squares.solve(tuple(part[usable] for part in parts))
    dof = total[usable] - lost
    dependent, perfect = solved.dependent >= 0, solved.perfect
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        sigma = np.sqrt(solved.rss / dof) * solved.scale
        constant = 0.0 - 0.5 * _least_squares.log_det(solved) if lost else 0.0
        loglik = constant - dof * (np.log(sigma) + 0.5 * (math.log(2.0 * math.pi) + 1.0))
    # The restricted likelihood grows with sigma, or is constant in it.
    over, spent = (dof < 0.0) & (lost > 0.0), (dof == 0.0) & (lost > 0.0)
    cases = [dependent, over, spent & perfect, spent, perfect]
    names = (
        codes.NOT_IDENTIFIED,
        codes.SIGMA_INFINITE,
        codes.NOT_IDENTIFIED,
        codes.SIGMA_INFINITE,
        codes.SIGMA_ZERO,
    )
    own = np.select(cases, names, codes.OK)
    # Coefficients beyond what a double can tell, as in `linear_outcome.finish`.
    own[(own == codes.OK) & ~np.isfinite(solved.coef).all(axis=1)] = codes.MAX_ITER
    status[usable] = own
    results[:, rows.R_STATUS] = status
    results[:, rows.R_LOGLIK] = np.where(status == codes.NO_DATA, 0.0, math.nan)
    results[usable, rows.R_LOGLIK] = np.select(
        cases, [math.nan, math.inf, constant, constant, math.inf], loglik
    )
    results[usable, rows.R_COLUMN] = solved.dependent
    ended = (own == codes.OK) | (own == codes.MAX_ITER)
    located = ended | (own == codes.SIGMA_ZERO)
    params[usable[located], :-1] = solved.coef[located]
    with np.errstate(divide="ignore", invalid="ignore"):
        params[usable, -1] = np.select(
            [ended, own == codes.SIGMA_ZERO, own == codes.SIGMA_INFINITE],
            [np.log(sigma), -math.inf, math.inf],
            math.nan,
        )
    if errors:
        spread, corr = _least_squares.covariance(solved)
        fine, at = own == codes.OK, usable[own == codes.OK]
        with np.errstate(over="ignore", invalid="ignore"):  # a total weight of 5e-324
            found.stderr[at, :-1] = (sigma[:, None] * spread)[fine]
            found.stderr[at, -1] = np.sqrt(0.5 / dof[fine])
        found.corr[at] = 0.0
        found.corr[at, :-1, :-1] = corr[fine]
        found.corr[at, -1, -1] = 1.0
    return found
