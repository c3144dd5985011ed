"""`fit_mvn`: the multivariate normal, for one table of observations or many of them in one call."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnat import _tables
from fastnat._arrays import (
    COVS,
    Array,
    CovType,
    as_array,
    as_integer,
    as_tolerance,
    check_cov_type,
    check_n_threads,
    check_nan_policy,
    nan_found,
)
from fastnat.kernels import codes, mvn
from fastnat.result import FitResult

MvnNanPolicy = Literal["propagate", "omit", "raise", "mle"]
Relative = Callable[[NDArray[np.int64]], Array]


class MvnFit(FitResult):
    """The result of `fit_mvn`; unpacks to ``mean, covariance``.

    What all fits have is said in `FitResult`.

    Attributes
    ----------
    mean : (..., d) ndarray
    covariance : (..., d, d) ndarray
    correlation : (..., d, d) ndarray
    stderr_mean : (..., d) ndarray
    stderr_covariance, stderr_correlation : (..., d, d) ndarray
        Standard errors of each element.
    params : (..., p) ndarray
        The mean, then the lower triangle of the covariance, row by row: p = d + d (d + 1) / 2.
    """

    def __init__(
        self,
        found: _tables.Estimates,
        batch: tuple[int, ...],
        cov_type: CovType,
        relative: Relative,
    ) -> None:
        self._found = _tables.Estimates(*(a.reshape(*batch, *a.shape[1:]) for a in found))
        self._relative_of: Relative | None = relative
        self.cov_type = cov_type

    def __getstate__(self) -> dict[str, Any]:
        """All but the input."""
        known = {} if self.cov_type is None else {"_from_data": self._from_data}
        return self.__dict__ | known | {"_relative_of": None}

    @property
    def _status(self) -> NDArray[np.int8]:
        return np.asarray(self._found.numbers[..., mvn.STATUS], np.int8)

    @property
    def _d(self) -> int:
        return int(self._found.mean.shape[-1])

    @property
    def _names(self) -> list[str]:
        places = zip(*np.tril_indices(self._d), strict=True)
        return [
            *(f"mean[{j}]" for j in range(self._d)),
            *(f"covariance[{i}, {j}]" for i, j in places),
        ]

    @property
    def _positive(self) -> tuple[int, ...]:  # type: ignore[override]
        """Where the variances are among the parameters."""
        return tuple(self._d + j * (j + 3) // 2 for j in range(self._d))

    @property
    def mean(self) -> Array:
        return self._found.mean

    @cached_property
    def covariance(self) -> Array:
        scale = self._found.scale
        with np.errstate(over="ignore", under="ignore"):
            cov: Array = self._found.scatter * scale[..., :, None] * scale[..., None, :]
        return cov

    @cached_property
    def _sd(self) -> Array:
        sd: Array = self._scaled_sd * self._found.scale
        return sd

    @cached_property
    def _scaled_sd(self) -> Array:
        sd: Array = np.sqrt(np.diagonal(self._found.scatter, axis1=-2, axis2=-1))
        return sd

    @cached_property
    def correlation(self) -> Array:
        d, ones = self._d, np.where(self._scaled_sd > 0.0, 1.0, np.nan)
        sd = self._scaled_sd * ones  # NaN where a variance is zero
        corr: Array = self._found.scatter / sd[..., :, None] / sd[..., None, :]
        diagonal = np.arange(d)
        corr = np.clip(corr, -1.0, 1.0)
        corr[..., diagonal, diagonal] = ones
        return corr

    @property
    def params(self) -> Array:
        return self._pack(self.mean, self.covariance)

    def _pack(self, of_mean: Array, of_covariance: Array) -> Array:
        rows, columns = np.tril_indices(self._d)
        return np.concatenate([of_mean, of_covariance[..., rows, columns]], axis=-1)

    def _unpack(self, triangle: Array) -> Array:
        """The lower triangle, row by row, as a symmetric matrix."""
        rows, columns = np.tril_indices(self._d)
        full = np.empty((*triangle.shape[:-1], self._d, self._d))
        full[..., rows, columns] = triangle
        full[..., columns, rows] = triangle
        return full

    @property
    def nobs(self) -> Any:
        return self._found.numbers[..., mvn.NOBS][()]

    @property
    def nit(self) -> Any:
        return np.asarray(self._found.numbers[..., mvn.NIT], np.int64)[()]

    @property
    def loglik(self) -> Any:
        return self._found.numbers[..., mvn.LOGLIK][()]

    @property
    def message(self) -> str:
        text = super().message
        if not self._status.ndim and self._status == codes.NAN_INPUT:
            return "An entry is NaN; nan_policy='mle' uses the rest of its row, 'omit' no such row."
        if not self._status.ndim and self._status == codes.SINGULAR:
            rank = int(self._found.numbers[..., mvn.RANK])
            text = text.replace("singular", f"singular, of rank {rank} of {self._d}")
            if np.isfinite(self.loglik):
                text = text.replace("grows without bound", "is largest in this limit")
        return text

    @cached_property
    def _which(self) -> NDArray[np.int64]:
        """Problems, numbered in order, whose covariance is not known in closed form."""
        wanted = self._status == codes.OK
        if self.cov_type in ("observed", "expected"):
            wanted &= self._found.numbers[..., mvn.MISSING] > 0.0
        return np.flatnonzero(wanted)

    @cached_property
    def _from_data(self) -> Array:
        """Relative covariances of those problems."""
        if not self._which.size:
            p = self._units.shape[-1]
            return np.empty((0, p, p))
        assert self._relative_of is not None
        return self._relative_of(self._which)

    @property
    def _relative(self) -> Array:
        """Covariance of the parameters in units of standard deviations and their products."""
        corr, d = self.correlation, self._d
        i, j = np.tril_indices(d)
        full = np.zeros((*self._status.shape, *(self._units.shape[-1],) * 2))
        full[..., :d, :d] = corr
        full[..., d:, d:] = (
            corr[..., i[:, None], i] * corr[..., j[:, None], j]
            + corr[..., i[:, None], j] * corr[..., j[:, None], i]
        )
        full /= self._total[..., None, None]
        full.reshape(-1, *full.shape[-2:])[self._which] = self._from_data
        return full

    @property
    def _total(self) -> Array:
        """The total weight, NaN unless OK."""
        return np.where(self._status == codes.OK, self._found.numbers[..., mvn.NOBS], np.nan)

    @property
    def _relative_stderr(self) -> Array:
        total = np.sqrt(self._total)[..., None]
        i, j = np.tril_indices(self._d)
        of_covariance = np.hypot(1.0, self.correlation[..., i, j]) / total
        of_mean = np.broadcast_to(1.0 / total, self._sd.shape)
        stderr = np.concatenate([of_mean, of_covariance], axis=-1)
        variances = np.diagonal(self._from_data, axis1=-2, axis2=-1)
        stderr.reshape(-1, stderr.shape[-1])[self._which] = np.sqrt(variances)
        return stderr

    @cached_property
    def _units(self) -> Array:
        """Standard deviations, and their products."""
        sd = self._sd
        i, j = np.tril_indices(self._d)
        with np.errstate(over="ignore", under="ignore"):
            return np.concatenate([sd, sd[..., i] * sd[..., j]], axis=-1)

    @property
    def cov_params(self) -> Array:
        self._need_covariance()
        units = self._units
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return self._relative * units[..., :, None] * units[..., None, :]

    @property
    def stderr(self) -> Array:
        self._need_covariance()
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return self._relative_stderr * self._units

    @property
    def stderr_mean(self) -> Array:
        return self.stderr[..., : self._d]

    @property
    def stderr_covariance(self) -> Array:
        return self._unpack(self.stderr[..., self._d :])

    @property
    def stderr_correlation(self) -> Array:
        """By the delta method; 0 on the diagonal."""
        self._need_covariance()
        d, corr = self._d, self.correlation
        i, j = np.tril_indices(d)
        r = corr[..., i, j]
        below = (1.0 - np.square(r)) / np.sqrt(self._total)[..., None]
        r, cov = r.reshape(-1, i.size)[self._which], self._from_data[:, d:, d:]
        both, first, second = np.arange(i.size), i * (i + 3) // 2, j * (j + 3) // 2
        parts = ((1.0, both), (-0.5 * r, first), (-0.5 * r, second))
        var = sum(a * b * cov[:, k, m] for a, k in parts for b, m in parts)
        # Rounding may leave less than zero of a variance that is zero.
        below.reshape(-1, i.size)[self._which] = np.sqrt(np.maximum(var, 0.0))
        full = self._unpack(below)
        diagonal = np.arange(d)
        full[..., diagonal, diagonal] = np.where(np.isnan(self._total), np.nan, 0.0)[..., None]
        return full

    def _profile(self, level: float) -> Array:  # noqa: ARG002
        raise ValueError("method='profile' is for fit_normal; use method='wald' here")

    def _exact(self, level: float) -> Array:  # noqa: ARG002
        raise ValueError("method='exact' is for fit_normal; use method='wald' here")

    def __iter__(self) -> Iterator[Any]:
        return iter((self.mean, self.covariance))

    def _estimates(self) -> str:
        words = [f"{value:.6g}" for value in self.mean[:5]] + ["..."] * (self._d > 5)
        return f"mean = ({', '.join(words)}), loglik = {self.loglik:.8g}"


def fit_mvn(
    X: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    nan_policy: MvnNanPolicy = "propagate",
    cov_type: CovType = "observed",
    start: tuple[ArrayLike, ArrayLike] | None = None,
    max_iter: int = 100,
    tol: float = 1e-12,
    n_threads: int | None = None,
) -> MvnFit:
    """Fit a multivariate normal distribution to each of many tables by maximum likelihood.

    For complete data the maximum is known in closed form, and is computed in one pass; with
    missing entries, natural-gradient steps find one.

    Parameters
    ----------
    X : (..., n, d) array_like
        Tables of n observations of d variables; the leading dimensions are independent problems.
    weights : (..., n) array_like, optional
        Frequency weights of the observations, broadcast with ``X.shape[:-1]`` (either may be
        enlarged): an integer weight equals repetition.  A row of weight 0 is not looked at.
    nan_policy : {"propagate", "omit", "raise", "mle"}, default "propagate"
        A row with a NaN makes its problem's estimates NaN, is left out, or raises; "mle" takes
        NaN as a missing entry, and uses what the row has otherwise.
    cov_type : {"observed", "expected", "opg", "sandwich"} or None, default "observed"
        Kind of covariance of the estimates: inverse observed or expected information, inverse
        outer product of the scores, or the sandwich that is robust to a wrong model.  With
        missing entries, "expected" is the information of these patterns of missing entries,
        which is right only if they are missing completely at random.
    start : (mean, covariance), optional
        Where to start with missing entries: arrays (..., d) and (..., d, d).  By default, from
        means and variances of what is observed and correlations of pairs.
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
    MvnFit
        ``mean``, ``covariance``, ``correlation``, their standard errors, ``loglik``, ``status``
        and more.  A problem without a maximum gets a status, not an exception.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used; a negative, NaN or infinite weight is one.

    Notes
    -----
    *Complete*: sums about an origin in the data, so that an offset costs no digits.  SINGULAR,
    with the rank in the message, is decided by a QR decomposition of the centred data, not by
    the covariance, which has lost half of the digits by then.

    *Missing entries* are assumed to be missing at random.  Rows are grouped by what is observed,
    so no iteration touches the data.  Patterns that are nested have a closed form (Anderson 1957,
    Journal of the American Statistical Association 52, 200-203).  Otherwise steps are taken in
    the parameters of the regressions of each variable on those before it, under the observed
    information where it is positive definite; more than 32 variables are fitted by EM,
    extrapolated (Varadhan and Roland 2008, Scandinavian Journal of Statistics 35, 335-353).  The
    observed information decides whether the end is a maximum, and saddles are left.  The maximum
    is local: there may be several (Murray 1977), and where no more rows have some set of
    variables than it has members, the likelihood has no bound, though it may have a maximum.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnat
    >>> fit = fastnat.fit_mvn([[1.0, 2.0], [3.0, 1.0], [4.0, 7.0], [0.0, 3.0]])
    >>> fit.mean
    array([2.  , 3.25])
    >>> fit.covariance
    array([[2.5   , 1.75  ],
           [1.75  , 5.1875]])
    >>> X = [[1.0, 2.0], [3.0, 1.0], [4.0, 7.0], [0.0, np.nan], [2.0, 3.0]]
    >>> fastnat.fit_mvn(X, nan_policy="mle").mean.round(6)
    array([2. , 2.6])
    """
    check_nan_policy(nan_policy, "mle")
    check_cov_type(cov_type)
    check_n_threads(n_threads)
    tol = as_tolerance(tol)
    max_iter = as_integer("max_iter", max_iter, 1)
    source = _tables.arrange(X, weights, nan_policy == "omit")
    found = _tables.new_estimates(source.n_fits, source.d)
    begin = np.empty((0, source.d)), np.empty((0, source.d, source.d))
    if start is not None:
        begin = _as_start(start, source)
    search = _tables.Search(begin, max_iter, tol) if nan_policy == "mle" else None
    _tables.fit(source, found, search, n_threads)
    if nan_policy == "raise" and np.any(found.numbers[:, mvn.STATUS] == codes.NAN_INPUT):
        raise nan_found("X contains")

    def relative(which: NDArray[np.int64]) -> Array:
        return _tables.relative_covariances(source, found, which, COVS[cov_type], n_threads)

    return MvnFit(found, source.batch, cov_type, relative)


def _as_start(start: Any, source: _tables.Tables) -> tuple[Array, Array]:
    """A mean and a covariance for each problem."""
    if not isinstance(start, tuple | list) or len(start) != 2:
        raise ValueError("start must be a pair, a mean and a covariance")
    d, n_fits = source.d, source.n_fits
    pair = []
    for name, value, shape in zip(("mean", "covariance"), start, ((d,), (d, d)), strict=True):
        array = as_array(f"start, the {name},", value).astype(np.float64)
        try:
            array = np.broadcast_to(array, (*source.batch, *shape)).reshape(n_fits, *shape)
        except ValueError:
            raise ValueError(
                f"start: the {name} must be of shape (..., {', '.join(map(str, shape))}), not"
                f" {array.shape}"
            ) from None
        if not np.all(np.isfinite(array)):
            raise ValueError(f"start: the {name} must be finite")
        # Numba would compile once more for read-only arrays.
        pair.append(np.require(array, requirements=("C", "W")))
    mean, cov = pair
    if not np.array_equal(cov, np.swapaxes(cov, -1, -2)):
        raise ValueError("start: the covariance must be symmetric")
    if n_fits and not np.all(np.linalg.eigvalsh(cov) > 0.0):
        raise ValueError("start: the covariance must be positive definite")
    return mean, cov
