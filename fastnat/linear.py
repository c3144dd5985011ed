"""`fit_linear`: normal regression, for one data set or a hundred thousand of them in one call."""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnat import _linear, _observed
from fastnat import _linear_arguments as arguments
from fastnat._arrays import (
    COVS,
    Array,
    CovType,
    NanPolicy,
    as_array,
    as_integer,
    as_tolerance,
    check_cov_type,
    check_flag,
    check_n_threads,
    check_nan_policy,
    nan_found,
)
from fastnat._searched import covariance
from fastnat.kernels import codes, linear_memory
from fastnat.kernels import linear_outcome as rows
from fastnat.result import FitResult


class Prediction(NamedTuple):
    """Mean and standard deviation of the values that a regression predicts."""

    mean: Any
    sd: Any


class LinearFit(FitResult):
    """The result of `fit_linear`; unpacks to ``b, g``.

    Attributes
    ----------
    coef : (..., p) ndarray
        Coefficients b of the mean, X b.
    scale_coef : (..., q) ndarray
        Coefficients g of the logarithm of the standard deviation, Z g.
    sigma : (...) ndarray
        The standard deviation, if it has no covariates; then g is its logarithm.
    aic, bic : (...) ndarray
        Akaike's and Schwarz's information criteria.

    The other attributes are those of `FitResult`; ``params`` is b, then g.
    """

    def __init__(
        self,
        found: _linear.Found,
        batch: tuple[int, ...],
        n_params: tuple[int, int],
        constant: bool,
        exact_dof: Array | None,
        cov_type: CovType,
    ) -> None:
        self._found = found
        self._batch = batch
        self._n_params = n_params
        self._constant = constant
        self._exact_dof = exact_dof
        self.cov_type = cov_type

    def _result(self, column: int) -> Array:
        return self._found.results[:, column].reshape(self._batch)

    @cached_property
    def _status(self) -> NDArray[np.int8]:
        return self._result(rows.R_STATUS).astype(np.int8)

    @property
    def params(self) -> Array:
        return self._found.params.reshape(*self._batch, sum(self._n_params))

    @property
    def coef(self) -> Array:
        return self.params[..., : self._n_params[0]]

    @property
    def scale_coef(self) -> Array:
        return self.params[..., self._n_params[0] :]

    @property
    def sigma(self) -> Any:
        if not self._constant:
            raise AttributeError(
                "sigma differs from row to row; predict(X, Z).sd has it, scale_coef is g of Z g"
            )
        with np.errstate(over="ignore", under="ignore"):
            return np.exp(self.params[..., -1])[()]

    @property
    def nobs(self) -> Any:
        return self._result(rows.R_NOBS)[()]

    @property
    def nit(self) -> Any:
        return self._result(rows.R_NIT).astype(np.int64)[()]

    @property
    def loglik(self) -> Any:
        return self._result(rows.R_LOGLIK)[()]

    @property
    def aic(self) -> Any:
        return 2.0 * sum(self._n_params) - 2.0 * self.loglik

    @property
    def bic(self) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return sum(self._n_params) * np.log(self.nobs) - 2.0 * self.loglik

    @property
    def stderr(self) -> Array:
        self._need_covariance()
        return self._found.stderr.reshape(*self._batch, sum(self._n_params))

    @property
    def cov_params(self) -> Array:
        se = self.stderr
        return covariance(se, self._found.corr.reshape(*se.shape, se.shape[-1]))

    @property
    def message(self) -> str:
        text = super().message
        if self._batch:
            return text
        if self._status == codes.BOUNDARY and not self._constant:
            return f"{text[:-1]}, in rows whose scatter the known noise explains."
        if self._status != codes.NOT_IDENTIFIED:
            return text
        column = int(self._result(rows.R_COLUMN))
        if column < 0:
            return text
        p, name = self._n_params[0], self._names[column]
        before = (
            "is zero" if column in (0, p) else "is a linear combination of the columns before it"
        )
        return f"{text[:-1]}: {name} {before}, in the rows that are used."

    def predict(self, X: ArrayLike, Z: ArrayLike | None = None) -> Prediction:
        """Mean and standard deviation of values with these covariates.

        Parameters
        ----------
        X : array_like (m, p) or (..., m, p)
            Covariates of the mean.
        Z : array_like (m, q) or (..., m, q), optional
            Covariates of the log standard deviation; needed if and only if the fit had some.

        Returns
        -------
        Prediction
            ``mean`` and ``sd``, each (..., m); without known noise, and not of the estimates.

        Raises
        ------
        ValueError
            If Z is missing or superfluous, or shapes do not fit.
        """
        if (Z is None) != self._constant:
            raise ValueError(f"Z must be {'None' if self._constant else 'given'}, as in the fit")
        mean = self._times("X", X, self.coef)
        with np.errstate(over="ignore", under="ignore"):
            if Z is None:
                sd = np.broadcast_to(np.asarray(self.sigma)[..., None], mean.shape)
            else:
                sd = np.exp(self._times("Z", Z, self.scale_coef))
        if sd.shape[-1] != mean.shape[-1]:
            raise ValueError(f"Z has {sd.shape[-1]} rows, and X has {mean.shape[-1]}")
        return Prediction(mean, sd)

    def _times(self, name: str, matrix: ArrayLike, coef: Array) -> Array:
        array = as_array(name, matrix)
        if array.ndim < 2:
            raise ValueError(
                f"{name} of shape {array.shape} must have two dimensions at least: one row is"
                f" {name}[None, :], one column {name}[:, None]"
            )
        if array.shape[-1] != coef.shape[-1]:
            raise ValueError(
                f"{name} of shape {array.shape} must have {coef.shape[-1]} columns, as in the fit"
            )
        # Where sigma is 0, coefficients may have no value, of which a covariate of 0 has no part.
        kept = np.isfinite(coef) | (self._status[..., None] != codes.BOUNDARY)
        with np.errstate(invalid="ignore"):
            product = np.matmul(array, np.where(kept, coef, 0.0)[..., None])[..., 0]
            if not np.all(kept):
                used = (array != 0.0) & ~kept[..., None, :]
                product = product + np.sum(array * coef[..., None, :], axis=-1, where=used)
        return np.asarray(product)

    def _profile(self, level: float) -> Array:  # noqa: ARG002
        raise ValueError("method='profile' is for fit_normal; use method='wald' for a regression")

    def _exact(self, level: float) -> Array:
        from scipy.special import chdtri, stdtrit

        if self._exact_dof is None:
            raise ValueError(
                "method='exact' needs complete unweighted data, no Z and the observed information;"
                " use method='wald'"
            )
        p = self._n_params[0]
        dof = np.where(self._status == codes.OK, self._exact_dof, np.nan)
        # The residual sum of squares, whatever the divisor of the estimate.
        divisor = 0.5 / np.square(self.stderr[..., p])
        ratio = np.sqrt(divisor / dof)
        half = stdtrit(dof, 0.5 + 0.5 * level) * ratio
        b = self.coef[..., None] + (self.stderr[..., :p] * half[..., None])[..., None] * [-1.0, 1.0]
        tail = 0.5 - 0.5 * level
        chi2 = np.stack([chdtri(dof, tail), chdtri(dof, 1.0 - tail)], axis=-1)
        g = self.params[..., p:] + 0.5 * np.log(divisor[..., None] / chi2)
        return np.concatenate([b, g[..., None, :]], axis=-2)

    def __iter__(self) -> Any:
        return iter((self.coef, self.scale_coef))

    def _numbered(self, b: str, g: str) -> list[str]:
        """Names of the coefficients, with their numbers."""
        p, q = self._n_params
        scale = ["log sigma"] if self._constant else [g.format(j) for j in range(q)]
        return [b.format(j) for j in range(p)] + scale

    @property
    def _names(self) -> list[str]:
        return self._numbered("X[:, {}]", "Z[:, {}]")

    def _estimates(self) -> str:
        return self._named(self._numbered("b{}", "g{}"))


def fit_linear(
    y: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike | None = None,
    *,
    upper: ArrayLike | None = None,
    left: ArrayLike | None = None,
    right: ArrayLike | None = None,
    truncation: tuple[ArrayLike, ArrayLike] | None = None,
    noise_std: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    nan_policy: NanPolicy = "propagate",
    reml: bool = False,
    cov_type: CovType = "observed",
    start: ArrayLike | None = None,
    max_iter: int = 100,
    tol: float = 1e-12,
    n_threads: int | None = None,
) -> LinearFit:
    """Fit a normal regression to each of many samples by maximum likelihood.

    The mean is X b, and the logarithm of the standard deviation a constant, or Z g.  The values
    may be known exactly, up to a limit (Tobit), within an interval, only because they lie within
    bounds, or with an error of known size.

    Parameters
    ----------
    y : array_like (..., n)
        Values; the leading dimensions are independent problems.  With ``upper``, lower ends of
        intervals.
    X : array_like (n, p) or (..., n, p)
        Covariates of the mean: one design for all problems, or one each.  They are used as they
        are; a constant is a column of ones.
    Z : array_like (n, q) or (..., n, q), optional
        Covariates of the log standard deviation, likewise.  By default, and with one column of
        one number, it is constant.
    upper, left, right, truncation, noise_std : optional
        How values are known; see `fit_normal`.  They broadcast with ``y``.
    weights : array_like, optional
        Frequency weights, which broadcast with ``y``: an integer weight equals repetition.  A row
        of weight 0 is not looked at.
    clusters : array_like (n,) of int, optional
        Codes of the clusters that rows belong to, for a sandwich that adds up scores by cluster;
        ``np.arange(n)`` gives the one for sampling weights.  Needs ``cov_type="sandwich"``.
    nan_policy : {"propagate", "omit", "raise"}, default "propagate"
        A NaN in y, X or Z makes its problem's estimates NaN, is left out with its row, or raises.
    reml : bool, default False
        Restricted maximum likelihood: sigma with divisor n - p for complete data, and the like
        with ``noise_std``; not for limits, truncation or ``Z``.
    cov_type : {"observed", "expected", "opg", "sandwich"} or None, default "observed"
        Kind of covariance; see `fit_normal`.
    start : array_like (p + q,) or (..., p + q), optional
        Where to start, where iterations are needed: b, then g.  Where nothing good is found from
        there, the search has a start of its own.
    max_iter, tol, n_threads : optional
        See `fit_normal`.

    Returns
    -------
    LinearFit
        ``coef``, ``scale_coef``, ``stderr``, ``loglik``, ``status``, ``predict`` and more.  A
        problem without a maximum gets a status, not an exception.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used; a negative, NaN or infinite weight is one.

    Notes
    -----
    *Complete data, constant sigma*: least squares, by the Cholesky QR algorithm, so that columns
    that are close to dependent keep their digits; a column whose residual in those before it is
    less than 1e-12 of it depends on them, and the status is NOT_IDENTIFIED.

    *Limits and intervals, constant sigma*: Newton's steps in (b / sigma, 1 / sigma), where the
    log-likelihood is concave (Olsen 1978, Econometrica 46, 1211-1215), after a decision on whether
    there is a maximum.  *Truncation*: in (b / sigma**2, -1 / (2 sigma**2)), likewise.

    *Z*: natural-gradient steps with the observed information where it is positive definite, else
    with the part of it that always is.  The log-likelihood is not concave, and where the scale of
    some rows can go to zero it has no maximum (UNBOUNDED): what is found is a maximum uphill from
    the start, perhaps not the highest; so is the limit of truncated values where all scales go to
    infinity (SIGMA_INFINITE).

    *Known noise* may explain the scatter of all rows, or of some that ``Z`` tells apart: the status
    is BOUNDARY, a success, and coefficients of the scale that have no value are infinite, or NaN
    where the data do not say which way they go.  With a constant sigma, the profile likelihood of
    sigma**2 is searched from 0 upwards for all its maxima, at 26 points and between them.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnat
    >>> t = np.arange(6.0)
    >>> X = np.column_stack([np.ones(6), t])
    >>> fit = fastnat.fit_linear([0.0, 0.0, 1.1, 2.8, 4.2, 4.9], X, left=0.0)
    >>> fit.coef.round(4)
    array([-1.4815,  1.3429])
    """
    check_nan_policy(nan_policy)
    check_cov_type(cov_type)
    check_n_threads(n_threads)
    check_flag("reml", reml)
    given = _observed.read(y, upper, left, right, truncation, noise_std, weights, "y")
    design = as_array("X", X)
    scale = None if Z is None else as_array("Z", Z)
    arguments.check_combination(given, scale is not None, reml, cov_type, clusters is not None)
    tol = as_tolerance(tol)
    samples = arguments.arrange(given, design, scale, clusters)
    p, q = samples.n_params
    constant = _linear.Options(
        arguments.model_of(given, False),
        COVS[cov_type],
        as_integer("max_iter", max_iter, 1),
        tol,
        nan_policy == "omit",
        reml,
        n_threads,
    )
    starts = None if start is None else arguments.as_start(start, samples.batch, p + q)
    if scale is None:
        found = _linear.solve(samples, starts, constant)
    else:
        scaled = constant._replace(model=arguments.model_of(given, True))
        found = _linear.solve_scaled(samples, starts, scaled, constant)
    status = found.results[:, rows.R_STATUS]
    if nan_policy == "raise" and np.any(status == codes.NAN_INPUT):
        raise nan_found("y, X or Z contains")
    plain = constant.model == linear_memory.COMPLETE and scale is None and weights is None
    plain = plain and cov_type in ("observed", "expected")
    dof = found.results[:, rows.R_NOBS].reshape(samples.batch) - p if plain else None
    return LinearFit(found, samples.batch, (p, q), Z is None, dof, cov_type)
