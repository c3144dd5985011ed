"""What the moments of complete data say beyond the estimates, computed when first asked for."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnat._arrays import Array, CovType, check_weights
from fastnat.kernels import codes
from fastnat.kernels import normal as kernels


def maximise(stats: Array, n_fits: int, lost: float, first: int, out: Array) -> None:
    """Fit from the moments of complete data; arguments as of `fastnat.kernels.normal.finish`."""
    check_weights(kernels.finish(stats, n_fits, lost, first, out))


class ClosedForm:
    """The likelihood of complete data at its maximum.

    out : (4 or 6, ...) ndarray
        Rows of `fastnat.kernels.normal`, in the shape of the result.
    """

    def __init__(self, out: Array, cov_type: CovType, reml: bool, weighted: bool) -> None:
        self.out = out
        self.cov_type = cov_type
        self.reml = reml
        self.weighted = weighted

    @property
    def nit(self) -> NDArray[np.int64]:
        return np.zeros(self.out.shape[1:], np.int64)

    @property
    def _status(self) -> NDArray[np.int8]:
        return np.asarray(self.out[kernels.STATUS], np.int8)

    @property
    def _sigma(self) -> Any:
        return self.out[kernels.SIGMA][()]

    @property
    def _dof(self) -> Any:
        nobs = self.out[kernels.NOBS][()]
        return nobs - 1.0 if self.reml else nobs

    def loglik(self) -> Any:
        with np.errstate(all="ignore"):
            dof = self._dof
            value = -dof * (np.log(self._sigma) + 0.5 * (math.log(2.0 * math.pi) + 1.0))
            if self.reml:
                value = value - 0.5 * np.log(self.out[kernels.NOBS][()])
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

    def cov_params(self) -> Array:
        mu, both, sigma = self._relative_cov()
        cov = np.empty((*self._status.shape, 2, 2))
        cov[..., 0, 0], cov[..., 0, 1], cov[..., 1, 0], cov[..., 1, 1] = mu, both, both, sigma
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for _ in range(2):
                cov *= np.asarray(self._sigma)[..., None, None]
        return cov

    def stderr(self) -> Array:
        mu, _, sigma = self._relative_cov()
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return np.stack([np.sqrt(mu) * self._sigma, np.sqrt(sigma) * self._sigma], axis=-1)

    def stderr_along(self, z: Array) -> Any:
        """Standard error of mu + z sigma, (..., *z.shape)."""
        rest = (..., *(None,) * z.ndim)
        sigma = np.asarray(self._sigma)[rest]
        of_mu, of_both, of_sigma = (np.asarray(v)[rest] for v in self._relative_cov())
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            var = of_mu + 2.0 * z * of_both + np.square(z) * of_sigma
            # Rounding may leave less than zero of a variance that is zero.
            return sigma * np.sqrt(np.maximum(var, 0.0))

    @np.errstate(over="ignore", under="ignore", invalid="ignore")  # a total weight of 5e-324
    def _relative_cov(self) -> tuple[Any, Any, Any]:
        """Entries (mu, mu), (mu, sigma), (sigma, sigma) of the covariance of (mu, sigma) / sigma.

        Relative to sigma, nothing underflows; NaN unless OK.  Restricted likelihood makes the
        scores of sigma z**2 - (W - 1) / W.
        """
        total = np.where(self._status == codes.OK, self.out[kernels.NOBS][()], np.nan)
        share = self._dof / total  # 1, or (W - 1) / W with restricted likelihood
        if self.cov_type in ("observed", "expected"):
            return 1.0 / total, 0.0 * total, 0.5 / (share * total)
        skewness, kurtosis = self.out[kernels.SKEWNESS], self.out[kernels.KURTOSIS]
        if self.cov_type == "sandwich":
            both = 0.5 * skewness * np.sqrt(share) / total
            excess = np.maximum(kurtosis - 1.0, 0.0)  # rounding may leave less than nothing
            return share / total, both, 0.25 * excess / total
        det = kurtosis - 1.0 - np.square(skewness)
        # It is zero for two distinct values; what rounding leaves of zero is no information.
        det = np.where(det > 64.0 * np.finfo(float).eps * kurtosis, det, np.nan)
        unit = 1.0 / (share * det * total)
        return unit * (kurtosis - 1.0), unit * -skewness / np.sqrt(share), unit / share

    def profile(self, level: float) -> Array:
        from scipy.special import chdtri

        if self.reml:
            raise ValueError(
                "method='profile' needs reml=False, for the restricted likelihood has no mu;"
                " use method='exact'"
            )
        total = np.where(self._status == codes.OK, self.out[kernels.NOBS][()], np.nan)
        drop = chdtri(1.0, 1.0 - level) / total
        center, sigma = self.out[kernels.MU][()], self._sigma
        # The root may be a number where expm1(drop) is not.
        half = sigma * np.exp(0.5 * drop) * np.sqrt(-np.expm1(-drop))
        lower, upper = _roots_of_profile(drop)
        mu = np.stack([center - half, center + half], axis=-1)
        ends = np.stack([sigma * np.exp(lower), sigma * np.exp(upper)], axis=-1)
        return np.stack([mu, ends], axis=-2)

    def exact(self, level: float) -> Array:
        from scipy.special import chdtri, stdtrit

        if self.weighted:
            raise ValueError("method='exact' needs unweighted data; use method='profile'")
        total = np.where(self._status == codes.OK, self.out[kernels.NOBS][()], np.nan)
        dof = np.where(self._status == codes.OK, self._dof, np.nan)
        center, squares = self.out[kernels.MU][()], self._sigma * np.sqrt(dof)
        tail = 0.5 - 0.5 * level
        half = stdtrit(total - 1.0, 1.0 - tail) * squares / np.sqrt((total - 1.0) * total)
        mu = np.stack([center - half, center + half], axis=-1)
        chi2 = np.stack([chdtri(total - 1.0, tail), chdtri(total - 1.0, 1.0 - tail)], axis=-1)
        return np.stack([mu, np.asarray(squares)[..., None] / np.sqrt(chi2)], axis=-2)


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
