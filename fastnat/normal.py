"""`fit_normal`: the normal distribution, for one sample or a million of them in one call."""

import math
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnat._arrays import (
    Array,
    CovType,
    NanPolicy,
    Problems,
    arrange,
    as_array,
    check_cov_type,
    check_n_threads,
    check_nan_policy,
)
from fastnat._reduce import reduce_moments
from fastnat.kernels import codes
from fastnat.kernels import normal as kernels
from fastnat.result import FitResult, Status

_FINITE_AND_INFINITE = np.array([[-np.inf], [np.inf]])  # limits that only a NaN fails


class Quantile(NamedTuple):
    """A quantile of the fitted distribution and its standard error."""

    value: Any
    stderr: Any


class NormalFit(FitResult):
    """The result of `fit_normal`; unpacks to ``mu, sigma``.

    Attributes
    ----------
    mu, sigma : (...) ndarray
        Mean and standard deviation; ``params`` is (..., 2) of both.
    reml : bool
        Whether sigma maximises the restricted likelihood.

    The other attributes are those of `FitResult`.
    """

    _positive: ClassVar[tuple[int, ...]] = (1,)

    def __init__(self, problems: Problems, out: Array, cov_type: CovType, reml: bool) -> None:
        self._problems = problems
        self._flat = out
        self.cov_type = cov_type
        self.reml = reml

    @cached_property
    def _out(self) -> Array:
        return self._problems.to_result(self._flat)

    @cached_property
    def _status(self) -> NDArray[np.int8]:
        return np.asarray(self._out[kernels.STATUS], np.int8)

    @cached_property
    def _weighted(self) -> bool:
        return self._problems.weights is not None

    def __getstate__(self) -> dict[str, Any]:
        """All but the input, in the shape of the result."""
        shaped = {"_out": self._out, "_status": self._status, "_weighted": self._weighted}
        return self.__dict__ | shaped | {"_problems": None, "_flat": None}

    @property
    def mu(self) -> Any:
        return self._out[kernels.MU][()]

    @property
    def sigma(self) -> Any:
        return self._out[kernels.SIGMA][()]

    @property
    def params(self) -> Array:
        return np.moveaxis(self._out[: kernels.NOBS], 0, -1)

    @property
    def nobs(self) -> Any:
        return self._out[kernels.NOBS][()]

    @property
    def loglik(self) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            dof = self._dof
            value = -dof * (np.log(self.sigma) + 0.5 * (math.log(2.0 * math.pi) + 1.0))
            if self.reml:
                value = value - 0.5 * np.log(self.nobs)
        status = self._status
        limits = (
            (codes.OK, value),
            (codes.NO_DATA, 0.0),
            (codes.SIGMA_ZERO, np.inf),
            (codes.SIGMA_INFINITE, np.where(dof < 0.0, np.inf, 0.0)),
            (codes.NOT_IDENTIFIED, 0.0),
        )
        at = [status == code for code, _ in limits]
        return np.select(at, [np.asarray(limit) for _, limit in limits], np.nan)[()]

    @property
    def cov_params(self) -> Array:
        mu, both, sigma = self._relative_cov()
        cov = np.empty((*self._status.shape, 2, 2))
        cov[..., 0, 0], cov[..., 0, 1], cov[..., 1, 0], cov[..., 1, 1] = mu, both, both, sigma
        with np.errstate(under="ignore", over="ignore"):
            for _ in range(2):
                cov *= np.asarray(self.sigma)[..., None, None]
        return cov

    @property
    def stderr(self) -> Array:
        mu, _, sigma = self._relative_cov()
        with np.errstate(over="ignore"):
            return np.stack([np.sqrt(mu) * self.sigma, np.sqrt(sigma) * self.sigma], axis=-1)

    @property
    def _dof(self) -> Any:
        return self.nobs - 1.0 if self.reml else self.nobs

    def _relative_cov(self) -> tuple[Any, Any, Any]:
        """Entries (mu, mu), (mu, sigma), (sigma, sigma) of the covariance of (mu, sigma) / sigma.

        Relative to sigma, nothing underflows; NaN unless OK.  Restricted likelihood makes the
        scores of sigma z**2 - (W - 1) / W.
        """
        if self.cov_type is None:
            raise ValueError("cov_type=None was asked for; fit again with cov_type='observed'")
        total = np.where(self._status == codes.OK, self.nobs, np.nan)
        share = self._dof / total  # 1, or (W - 1) / W with restricted likelihood
        if self.cov_type in ("observed", "expected"):
            return 1.0 / total, 0.0 * total, 0.5 / (share * total)
        skewness, kurtosis = self._out[kernels.SKEWNESS], self._out[kernels.KURTOSIS]
        if self.cov_type == "sandwich":
            both = 0.5 * skewness * np.sqrt(share) / total
            excess = np.maximum(kurtosis - 1.0, 0.0)  # rounding may leave less than nothing
            return share / total, both, 0.25 * excess / total
        det = kurtosis - 1.0 - np.square(skewness)
        # It is zero for two distinct values; what rounding leaves of zero is no information.
        det = np.where(det > 64.0 * np.finfo(float).eps * kurtosis, det, np.nan)
        unit = 1.0 / (share * det * total)
        return unit * (kurtosis - 1.0), unit * -skewness / np.sqrt(share), unit / share

    def _profile(self, level: float) -> Array:
        from scipy.special import chdtri

        if self.reml:
            raise ValueError(
                "method='profile' needs reml=False, for the restricted likelihood has no mu;"
                " use method='exact'"
            )
        total = np.where(self._status == codes.OK, self.nobs, np.nan)
        drop = chdtri(1.0, 1.0 - level) / total
        # The root may be a number where expm1(drop) is not.
        half = self.sigma * np.exp(0.5 * drop) * np.sqrt(-np.expm1(-drop))
        lower, upper = _roots_of_profile(drop)
        mu = np.stack([self.mu - half, self.mu + half], axis=-1)
        sigma = np.stack([self.sigma * np.exp(lower), self.sigma * np.exp(upper)], axis=-1)
        return np.stack([mu, sigma], axis=-2)

    def _exact(self, level: float) -> Array:
        from scipy.special import chdtri, stdtrit

        if self._weighted:
            raise ValueError("method='exact' needs unweighted data; use method='profile'")
        total = np.where(self._status == codes.OK, self.nobs, np.nan)
        dof = np.where(self._status == codes.OK, self._dof, np.nan)
        squares = self.sigma * np.sqrt(dof)  # the root of the sum of squares
        tail = 0.5 - 0.5 * level
        half = stdtrit(total - 1.0, 1.0 - tail) * squares / np.sqrt((total - 1.0) * total)
        mu = np.stack([self.mu - half, self.mu + half], axis=-1)
        chi2 = np.stack([chdtri(total - 1.0, tail), chdtri(total - 1.0, 1.0 - tail)], axis=-1)
        return np.stack([mu, np.asarray(squares)[..., None] / np.sqrt(chi2)], axis=-2)

    def quantile(self, q: ArrayLike) -> Quantile:
        """Quantiles of the fitted distribution, mu + z_q sigma.

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
        z = ndtri(probability)
        rest = (..., *(None,) * z.ndim)
        mu, sigma = np.asarray(self.mu)[rest], np.asarray(self.sigma)[rest]
        of_mu, of_both, of_sigma = (np.asarray(v)[rest] for v in self._relative_cov())
        var = of_mu + 2.0 * z * of_both + np.square(z) * of_sigma
        # Rounding may leave less than zero of a variance that is zero.
        with np.errstate(invalid="ignore", over="ignore"):
            value, stderr = mu + z * sigma, sigma * np.sqrt(np.maximum(var, 0.0))
        return Quantile(value[()], stderr[()])

    def _describe(self) -> str:
        if not self.success:
            return f"{Status(int(self._status)).name.lower()}, nobs = {self.nobs:g}: {self.message}"
        errors = ["", ""]
        if self.cov_type is not None:
            errors = [f" +- {error:.3g}" for error in self.stderr]
        mu = f"mu = {self.mu:.10g}{errors[0]}"
        return f"{mu}, sigma = {self.sigma:.6g}{errors[1]}, nobs = {self.nobs:g}"


def _roots_of_profile(drop: Any) -> tuple[Any, Any]:
    """The d < 0 and d > 0 with 2 d + exp(-2 d) - 1 = drop: log sigma - log sigma-hat."""
    roots = []
    for sign in (-1.0, 1.0):
        # Start beyond the root, from where Newton's steps on a convex function are monotone.
        size = np.sqrt(2.0 * drop) + drop
        u = -np.log1p(size) if sign < 0.0 else size
        for _ in range(60):
            step = (_excess(u) - drop) / -np.expm1(-u)
            u = u - step
            if not np.any(np.abs(step) > 1e-15 * np.abs(u)):
                break
        roots.append(0.5 * u)
    return roots[0], roots[1]


def _excess(u: Any) -> Any:
    """u + exp(-u) - 1 without cancellation."""
    series = np.zeros_like(u)
    for k in range(16, 1, -1):
        series = (1.0 - series) * u / k
    return np.where(np.abs(u) < 0.5, series * u, u + np.expm1(-u))


def fit_normal(
    x: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    axis: int | tuple[int, ...] | None = -1,
    nan_policy: NanPolicy = "propagate",
    reml: bool = False,
    cov_type: CovType = "observed",
    n_threads: int | None = None,
) -> NormalFit:
    """Fit a normal distribution to each of many samples by maximum likelihood.

    For complete data the maximum is known in closed form: mu is the mean, sigma the standard
    deviation with divisor n.  (In the mean parameters of the distribution, one natural-gradient
    step arrives there from anywhere.)  It is computed in one pass, at the speed of memory.

    Parameters
    ----------
    x : array_like
        Observations: real numbers of any dtype and layout.  The dimensions that ``axis`` does
        not name are independent problems.
    weights : array_like, optional
        Frequency weights, broadcast with ``x`` by NumPy's rules (either may be enlarged): an
        integer weight equals repetition.  An observation of weight 0 is not looked at.
    axis : int, tuple of int or None, default -1
        The dimensions of the observations of one problem; None for all.
    nan_policy : {"propagate", "omit", "raise"}, default "propagate"
        A NaN makes its problem's estimates NaN, is left out, or raises.
    reml : bool, default False
        Restricted maximum likelihood: sigma with divisor n - 1 (total weight - 1).
    cov_type : {"observed", "expected", "opg", "sandwich"} or None, default "observed"
        Kind of covariance: inverse observed or expected information (which agree here), inverse
        outer product of the scores, or the sandwich that is robust to a wrong model.
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
    Statistics are merged as in Chan, Golub and LeVeque (1983), The American Statistician 37,
    242-247, relative to an origin in the data, so that an offset costs no digits.  The restricted
    likelihood is that of Patterson and Thompson (1971), Biometrika 58, 545-554; its value has the
    constant of R's ``logLik(lm(x ~ 1), REML = TRUE)``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnat
    >>> fit = fastnat.fit_normal([[1.0, 2.0, 3.0, 4.0, 10.0], [5.0, 5.0, 5.0, 5.0, 5.0]])
    >>> fit.mu
    array([4., 5.])
    >>> fit
    <NormalFit: 2 fits: 1 ok, 1 sigma_zero>
    """
    values = as_array("x", x)
    factors = None if weights is None else as_array("weights", weights)
    check_nan_policy(nan_policy)
    check_cov_type(cov_type)
    if reml is not True and reml is not False:
        raise TypeError(f"reml must be True or False, not {reml!r}")
    if n_threads is not None:
        check_n_threads(n_threads)
    problems = arrange(values, factors, axis)
    high = cov_type == "opg" or cov_type == "sandwich"
    lost = 1.0 if reml else 0.0
    out = np.empty((6 if high else 4, problems.n_fits))

    def finish(stats: Array, first: int, n_fits: int) -> None:
        if kernels.finish(stats, n_fits, lost, first, out):
            raise ValueError("weights must be finite and not negative, and so must their sum")

    limits = _FINITE_AND_INFINITE if nan_policy == "omit" else None
    reduce_moments(problems, limits, high, n_threads, finish)
    if nan_policy == "raise" and np.any(out[kernels.STATUS] == codes.NAN_INPUT):
        raise ValueError("x contains NaN, and nan_policy is 'raise'")
    return NormalFit(problems, out, cov_type, reml)
