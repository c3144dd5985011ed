"""`fit_normal`: the normal distribution, for one sample or a million of them in one call."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnat import _limits, _observed
from fastnat._arrays import (
    COVS,
    Array,
    CovType,
    NanPolicy,
    arrange,
    as_array,
    as_integer,
    as_tolerance,
    check_cov_type,
    check_flag,
    check_n_threads,
    check_nan_policy,
    nan_found,
)
from fastnat._closed_form import ClosedForm, maximise
from fastnat._reduce import Use, reduce_groups, reduce_moments
from fastnat._searched import Searched
from fastnat.kernels import codes, estimates
from fastnat.result import FitResult

Shape = Callable[[Array], Array]
Describe = Callable[[Array], ClosedForm | Searched]

_MAX_ITER, _TOL = 100, 1e-12


class Quantile(NamedTuple):
    """A quantile of the fitted distribution and its standard error.

    Attributes
    ----------
    value : ndarray or float
        The quantile.
    stderr : ndarray or float
        Its standard error.
    """

    value: Any
    stderr: Any


class NormalFit(FitResult):
    """The result of `fit_normal`; unpacks to ``mu, sigma``.

    What all fits have is said in `FitResult`.

    Attributes
    ----------
    mu, sigma : (...) ndarray
        Mean and standard deviation; ``params`` is (..., 2) of both.  With ``noise_std``, sigma is
        the scatter beyond the noise.
    reml : bool
        Whether sigma maximises the restricted likelihood.
    """

    _positive: ClassVar[tuple[int, ...]] = (1,)

    def __init__(self, flat: Array, shape: Shape, describe: Describe, cov_type: CovType) -> None:
        self._flat = flat
        self._shape: Shape | None = shape
        self._describe_rest: Describe | None = describe
        self.cov_type = cov_type

    @cached_property
    def _out(self) -> Array:
        assert self._shape is not None
        return self._shape(self._flat)

    @cached_property
    def _status(self) -> NDArray[np.int8]:
        return np.asarray(self._out[estimates.STATUS], np.int8)

    @cached_property
    def _rest(self) -> ClosedForm | Searched:
        assert self._describe_rest is not None
        return self._describe_rest(self._out)

    def __getstate__(self) -> dict[str, Any]:
        """All but the input, in the shape of the result."""
        shaped = {"_out": self._out, "_status": self._status, "_rest": self._rest}
        return self.__dict__ | shaped | {"_shape": None, "_flat": None, "_describe_rest": None}

    @property
    def _names(self) -> tuple[str, str]:
        return "mu", "sigma"

    @property
    def reml(self) -> bool:
        return self._rest.reml

    @property
    def mu(self) -> Any:
        return self._out[estimates.MU][()]

    @property
    def sigma(self) -> Any:
        return self._out[estimates.SIGMA][()]

    @property
    def params(self) -> Array:
        return np.moveaxis(self._out[: estimates.NOBS], 0, -1)

    @property
    def nobs(self) -> Any:
        return self._out[estimates.NOBS][()]

    @property
    def nit(self) -> Any:
        return self._rest.nit[()]

    @property
    def loglik(self) -> Any:
        return self._rest.loglik()

    @property
    def cov_params(self) -> Array:
        self._need_covariance()
        return self._rest.cov_params()

    @property
    def stderr(self) -> Array:
        self._need_covariance()
        return self._rest.stderr()

    def _profile(self, level: float) -> Array:
        return self._rest.profile(level)

    def _exact(self, level: float) -> Array:
        return self._rest.exact(level)

    def quantile(self, q: ArrayLike) -> Quantile:
        """The quantiles mu + z_q sigma of the fitted distribution.

        Parameters
        ----------
        q : array_like
            Probabilities between 0 and 1.

        Returns
        -------
        Quantile
            ``value`` and ``stderr`` (delta method), each of the batch's shape followed by q's.

        Raises
        ------
        ValueError
            If a probability is not between 0 and 1.
        """
        from scipy.special import ndtri

        probability = as_array("q", q).astype(np.float64)
        if not np.all((probability > 0.0) & (probability < 1.0)):
            raise ValueError("q must be between 0 and 1")
        self._need_covariance()
        z = ndtri(probability)
        rest = (..., *(None,) * z.ndim)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            value = np.asarray(self.mu)[rest] + z * np.asarray(self.sigma)[rest]
        return Quantile(value[()], self._rest.stderr_along(z)[()])

    def _estimates(self) -> str:
        return self._named(self._names, (".10g", ".6g"))


def fit_normal(
    x: ArrayLike,
    upper: ArrayLike | None = None,
    *,
    left: ArrayLike | None = None,
    right: ArrayLike | None = None,
    truncation: tuple[ArrayLike, ArrayLike] | None = None,
    noise_std: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    axis: int | tuple[int, ...] | None = -1,
    nan_policy: NanPolicy = "propagate",
    reml: bool = False,
    cov_type: CovType = "observed",
    max_iter: int = _MAX_ITER,
    tol: float = _TOL,
    n_threads: int | None = None,
) -> NormalFit:
    """Fit a normal distribution to each of many samples by maximum likelihood.

    The observations may be known exactly, up to a detection limit, within an interval, only
    because they lie within bounds, or with an error of known size.  For complete data the maximum
    is known in closed form, mu the mean and sigma the standard deviation with divisor n, and is
    computed in one pass at the speed of memory; for all others, natural-gradient steps find it in
    a chart in which they are safe, and whether there is one is decided before.

    Parameters
    ----------
    x : array_like
        Observations: real numbers of any dtype and layout.  The dimensions that ``axis`` does
        not name are independent problems.  With ``upper``, lower ends of intervals.  A
        ``scipy.stats.CensoredData`` is understood, too.
    upper : array_like, optional
        Upper ends: an observation is only known to lie between ``x`` and ``upper``.  Equal ends
        are a value known exactly; -inf or inf is no end at all; NaN at both is a missing value.
    left, right : array_like, optional
        Detection limit and saturation: values at or below ``left`` are only known to be so, and
        values at or above ``right``.  They are compared in double precision: of float32 values,
        0.1 is above a limit of 0.1, and not above one of ``np.float32(0.1)``.
    truncation : (array_like, array_like), optional
        Bounds, -inf and inf among them, beyond which a value would not have been observed at all.
    noise_std : array_like, optional
        Standard deviation of the known, normal error of each value; sigma is then the scatter
        beyond it, and may be 0.
    weights : array_like, optional
        Frequency weights, such as the counts of a histogram: an integer weight equals repetition.
        An observation of weight 0 is not looked at.
    groups : array_like of int, optional
        For problems of unequal lengths: ``x`` has one dimension, and observation i belongs to
        problem ``groups[i]``, from 0 to G - 1; the result has the shape (G,).
    axis : int, tuple of int or None, default -1
        The dimensions of the observations of one problem; None for all.
    nan_policy : {"propagate", "omit", "raise"}, default "propagate"
        A missing value makes its problem's estimates NaN, is left out, or raises.
    reml : bool, default False
        Restricted maximum likelihood: sigma with divisor n - 1 (total weight - 1) for complete
        data, and the like with ``noise_std``; not for limits and truncation.
    cov_type : {"observed", "expected", "opg", "sandwich"} or None, default "observed"
        Kind of covariance: inverse observed or expected information, inverse outer product of
        the scores, or the sandwich that is robust to a wrong model.  "expected" needs the limits
        of every observation, so ``left`` and ``right`` instead of ``upper``.
    max_iter : int, default 100
        Accepted steps of an iteration, at most.
    tol : float, default 1e-12
        Decrement per unit of weight at which to stop, after one more step: the square of the
        distance to the maximum in standard deviations.
    n_threads : int, optional
        At most so many threads; by default one for small data, else one a processor.  The
        result does not depend on it.

    Returns
    -------
    NormalFit
        ``mu``, ``sigma``, ``stderr``, ``loglik``, ``status`` and more, shaped like ``x`` without
        ``axis``.  A problem without a maximum gets a status, not an exception.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used; a negative, NaN or infinite weight is one.

    Notes
    -----
    All arrays broadcast with ``x`` by NumPy's rules (each may be enlarged); one limit per problem
    is ``left=limits[:, None]``.  Limits that the observations of a problem share cost no more
    than one pass over the data.

    *Complete*: statistics are merged as in Chan, Golub and LeVeque (1983), The American
    Statistician 37, 242-247, relative to an origin in the data, so that an offset costs no digits.
    The restricted likelihood is that of Patterson and Thompson (1971), Biometrika 58, 545-554; its
    value has the constant of R's ``logLik(lm(x ~ 1), REML = TRUE)``.

    *Limits and intervals*: Newton's steps in (mu / sigma, 1 / sigma), where the log-likelihood is
    concave (Olsen 1978, Econometrica 46, 1211-1215).

    *Truncation*: the natural parameters of the exponential family, where it is concave as well.
    Where sigma would go to infinity, ``loglik`` is that of the limit, an exponential distribution
    (del Castillo 1994, Annals of the Institute of Statistical Mathematics 46, 57-66).

    *Known noise*: the profile likelihood of sigma**2 may have several maxima; it is searched from
    0 to the square of the range, and the highest is kept.  With limits or truncation as well, the
    search is like it, but less is known: what is found is a maximum, perhaps not the highest.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnat
    >>> fit = fastnat.fit_normal([[1.0, 2.0, 3.0, 4.0, 10.0], [5.0, 5.0, 5.0, 5.0, 5.0]])
    >>> fit.mu
    array([4., 5.])
    >>> fit
    <NormalFit: 2 fits: 1 ok, 1 sigma_zero>

    Two of five values are below the detection limit 0.5:

    >>> fastnat.fit_normal([0.5, 0.5, 0.9, 1.3, 2.2], left=0.5)
    <NormalFit: mu = 0.8143230898 +- 0.484, sigma = 0.962369 +- 0.434, nobs = 5>
    """
    check_nan_policy(nan_policy)
    check_cov_type(cov_type)
    check_flag("reml", reml)
    if n_threads is not None:
        check_n_threads(n_threads)
    if max_iter is not _MAX_ITER or tol is not _TOL:
        max_iter, tol = as_integer("max_iter", max_iter, 1), as_tolerance(tol)
    plain = upper is None and left is None and right is None
    plain = plain and truncation is None and noise_std is None
    if plain and not _observed.is_censored_data(x):
        fit = _fit_complete(x, weights, groups, axis, nan_policy, reml, cov_type, n_threads)
    else:
        given = _observed.read(x, upper, left, right, truncation, noise_std, weights)
        fit = _fit_observed(
            given, groups, axis, nan_policy, reml, cov_type, max_iter, tol, n_threads
        )
    if nan_policy == "raise" and np.any(fit._flat[estimates.STATUS] == codes.NAN_INPUT):
        raise nan_found("x contains")
    return fit


def _fit_complete(
    x: ArrayLike,
    weights: ArrayLike | None,
    groups: ArrayLike | None,
    axis: int | tuple[int, ...] | None,
    nan_policy: NanPolicy,
    reml: bool,
    cov_type: CovType,
    n_threads: int | None,
) -> NormalFit:
    values = as_array("x", x)
    factors = None if weights is None else as_array("weights", weights)
    high = cov_type == "opg" or cov_type == "sandwich"
    lost = 1.0 if reml else 0.0
    use = Use(None, True if nan_policy == "omit" else None, True if high else None)

    def finish(stats: Array, tally: Array | None, first: int, n_fits: int) -> None:  # noqa: ARG001
        maximise(stats, n_fits, lost, first, out)

    def describe(shaped: Array) -> ClosedForm:
        return ClosedForm(shaped, cov_type, reml, weights is not None)

    if groups is None:
        problems = arrange(values, factors, axis)
        out = np.empty((6 if high else 4, problems.n_fits))
        reduce_moments(problems, use, False, n_threads, finish)
        return NormalFit(out, problems.to_result, describe, cov_type)
    given = _observed.Given(values, weights=factors)
    rows = _observed.rows_of(given, groups, axis)
    out = np.empty((6 if high else 4, rows.n_fits))
    reduce_groups(rows, use, False, n_threads, finish)
    return NormalFit(out, rows.to_result, describe, cov_type)


def _fit_observed(
    given: _observed.Given,
    groups: ArrayLike | None,
    axis: int | tuple[int, ...] | None,
    nan_policy: NanPolicy,
    reml: bool,
    cov_type: CovType,
    max_iter: int,
    tol: float,
    n_threads: int | None,
) -> NormalFit:
    if reml and (given.noise is None or given.limited):
        raise ValueError("reml=True needs values without limits or truncation")
    if cov_type == "expected" and given.noise is not None and given.limited:
        raise ValueError("cov_type='expected' is not known for noise with limits or truncation")
    _observed.check_expected(given, cov_type)
    omit = nan_policy == "omit"
    options = _limits.Options(omit, reml, COVS[cov_type], max_iter, tol, n_threads)
    found = _observed.solve(given, groups, axis, options)

    def describe(shaped: Array) -> Searched:
        return Searched(shaped, reml, given.kind, found.ends)

    return NormalFit(found.out, found.to_result, describe, cov_type)
