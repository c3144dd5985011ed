"""`LocationScaleRegressor`: a regression of mean and log standard deviation, for scikit-learn.

Needs scikit-learn (``pip install fastnat[sklearn]``).
"""

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    words = "fastnat.sklearn needs scikit-learn 1.6 or newer: pip install 'fastnat[sklearn]'"
    raise ImportError(words) from error

from fastnat._arrays import Array, check_flag
from fastnat.linear import LinearFit, fit_linear
from fastnat.result import Status

__all__ = ["LocationScaleRegressor"]


# Combinations of features, (n_features, r), for the mean and the scale; None for all as they are.
_Features = tuple[Array | None, Array | None]


class LocationScaleRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Normal regression in which the mean and the log standard deviation are linear in X.

    Maximum likelihood by natural gradient, `fastnat.fit_linear` as a scikit-learn estimator.

    Parameters
    ----------
    fit_intercept : bool, default True
        Whether the mean has an intercept.  The log standard deviation always has one, for it says
        in which unit y is.
    constant_scale : bool, default False
        True for a standard deviation that does not depend on X: least squares.
    max_iter : int, default 100
        Accepted steps, at most.
    tol : float, default 1e-12
        Decrement per unit of weight at which to stop.
    n_threads : int, optional
        At most so many threads; the result does not depend on it.

    Attributes
    ----------
    coef_ : (n_features,) ndarray
        Coefficients of the mean; the shortest ones if features depend on each other.
    intercept_ : float
        Intercept of the mean, 0.0 without.
    scale_coef_ : (n_features,) ndarray
        Coefficients of the log standard deviation; zeros if it is constant.
    scale_intercept_ : float
        Its intercept; -inf if all values are on the fitted plane.
    loglik_ : float
        Log-likelihood at the maximum, or its supremum.
    n_iter_ : int
        Accepted steps.
    result_ : LinearFit
        The fit, with standard errors and a status.  Its columns are the intercept, if any, then the
        features; or as many combinations of them as are independent.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : (n_features,) ndarray
        Their names, if X had some.

    Notes
    -----
    Where the likelihood has no maximum because the standard deviation of some values can go to 0,
    as with few rows or many features, a constant one is fitted, with a ``ConvergenceWarning``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnat.sklearn import LocationScaleRegressor
    >>> x = np.arange(8.0)
    >>> y = x + np.array([0.1, -0.1, 0.3, -0.2, 0.5, -0.6, 0.9, -0.8])
    >>> model = LocationScaleRegressor().fit(x[:, None], y)
    >>> mean, std = model.predict([[0.0], [7.0]], return_std=True)
    >>> bool(std[1] > 3.0 * std[0])
    True
    """

    def __init__(
        self,
        *,
        fit_intercept: bool = True,
        constant_scale: bool = False,
        max_iter: int = 100,
        tol: float = 1e-12,
        n_threads: int | None = None,
    ) -> None:
        self.fit_intercept = fit_intercept
        self.constant_scale = constant_scale
        self.max_iter = max_iter
        self.tol = tol
        self.n_threads = n_threads

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit mean and standard deviation.

        Parameters
        ----------
        X : array_like (n, n_features)
            Features.
        y : array_like (n,)
            Values.
        sample_weight : array_like (n,), optional
            Frequency weights: an integer weight equals repetition.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an argument cannot be used, or there is nothing that can be fitted.
        """
        check_flag("fit_intercept", self.fit_intercept)
        check_flag("constant_scale", self.constant_scale)
        rows, values = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(
                sample_weight, rows, dtype=np.float64, ensure_non_negative=True
            )
        features: _Features = None, None
        fit = self._maximise(rows, values, weights, features, self.constant_scale)
        if fit.status is Status.NOT_IDENTIFIED:
            used = rows if weights is None else rows[weights > 0.0]
            features = _combinations(used, self.fit_intercept), _combinations(used, True)
            fit = self._maximise(rows, values, weights, features, self.constant_scale)
        constant = self.constant_scale
        hopeless = fit.status in (Status.MAX_ITER, Status.SADDLE, Status.NO_DATA)
        if not (fit.success or constant or hopeless):
            self._warn("a constant standard deviation is fitted instead", fit)
            constant = True
            fit = self._maximise(rows, values, weights, features, constant)
        if fit.status not in (Status.OK, Status.SIGMA_ZERO, Status.MAX_ITER, Status.SADDLE):
            raise ValueError(f"y has no regression on X: {fit.message}")
        if not fit.success:
            self._warn("see result_", fit)
        self.result_, self.loglik_, self.n_iter_ = fit, float(fit.loglik), max(1, int(fit.nit))
        lead = int(self.fit_intercept)
        self.intercept_ = float(fit.coef[0]) if lead else 0.0
        self.coef_ = _expand(features[0], fit.coef[lead:])
        self.scale_intercept_ = float(fit.scale_coef[0])
        self.scale_coef_ = np.zeros(self.n_features_in_)
        if not constant:
            self.scale_coef_ = _expand(features[1], fit.scale_coef[1:])
        return self

    def _maximise(
        self, X: Array, y: Array, weights: Array | None, features: _Features, constant: bool
    ) -> LinearFit:
        ones = np.ones((len(y), 1))
        mean, scale = (X if matrix is None else X @ matrix for matrix in features)
        return fit_linear(
            y,
            np.hstack([ones, mean]) if self.fit_intercept else mean,
            None if constant else np.hstack([ones, scale]),
            weights=weights,
            max_iter=self.max_iter,
            tol=self.tol,
            n_threads=self.n_threads,
        )

    def _warn(self, consequence: str, fit: LinearFit) -> None:
        message = f"{fit.message[:-1]}; {consequence}."
        warnings.warn(message, ConvergenceWarning, stacklevel=3)

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Mean, and standard deviation, of new values.

        Parameters
        ----------
        X : array_like (n, n_features)
            Features.
        return_std : bool, default False
            Whether to return standard deviations as well: of values, not of the mean.

        Returns
        -------
        (n,) ndarray, or two of them
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        mean = rows @ self.coef_ + self.intercept_
        if not return_std:
            return mean
        with np.errstate(over="ignore", under="ignore"):
            return mean, np.exp(rows @ self.scale_coef_ + self.scale_intercept_)


def _expand(combinations: Array | None, coef: Array) -> Array:
    """Coefficients of the features from those of their combinations."""
    return np.array(coef if combinations is None else combinations @ coef)


def _combinations(X: NDArray[np.float64], centred: bool) -> Array:
    """(n_features, r): combinations of features that are independent, of a constant too."""
    if centred:
        X = X - X.mean(axis=0)
    _, sizes, rows = np.linalg.svd(X, full_matrices=False)
    least = 1e-10 * np.max(sizes, initial=0.0)
    return np.asarray(rows[sizes > least].T)
