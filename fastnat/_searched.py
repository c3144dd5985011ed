"""What a search has left of every problem, beyond the estimates."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnat._arrays import Array
from fastnat.kernels import estimates


def covariance(stderr: Array, corr: Array) -> Array:
    """What standard errors (..., p) and correlations (..., p, p) are together."""
    with np.errstate(under="ignore", over="ignore"):
        return np.asarray(corr * stderr[..., :, None] * stderr[..., None, :])


class Searched:
    """The likelihood at the maximum that a kernel has found.

    out : (estimates.SIZE, ...) ndarray
        Rows of `fastnat.kernels.estimates`, in the shape of the result.
    ends : function or None
        (level) -> (4, ...), the profile intervals of mu and sigma, from the data.
    """

    def __init__(
        self, out: Array, reml: bool, kind: str, ends: Callable[[float], Array] | None
    ) -> None:
        self.out = out
        self.reml = reml
        self.kind = kind
        self.ends = ends

    @property
    def nit(self) -> NDArray[np.int64]:
        return np.asarray(self.out[estimates.NIT], np.int64)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"ends": None}

    def loglik(self) -> Any:
        return self.out[estimates.LOGLIK][()]

    def stderr(self) -> Array:
        return np.moveaxis(self.out[estimates.SE_MU : estimates.CORR], 0, -1)

    def cov_params(self) -> Array:
        se = self.stderr()
        corr = np.ones((*se.shape, 2))
        corr[..., 0, 1] = corr[..., 1, 0] = self.out[estimates.CORR]
        return covariance(se, corr)

    def stderr_along(self, z: Array) -> Any:
        """Standard error of mu + z sigma, (..., *z.shape)."""
        rest = (..., *(None,) * z.ndim)
        rows = (estimates.SE_MU, estimates.SE_SIGMA, estimates.CORR)
        mu, sigma, corr = (self.out[row][rest] for row in rows)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            sigma = z * sigma
            # The part of sigma that mu does not tell, and the rest.
            return np.hypot(mu + corr * sigma, np.sqrt((1.0 - corr) * (1.0 + corr)) * sigma)

    def profile(self, level: float) -> Array:
        if self.reml:
            raise ValueError(
                "method='profile' needs reml=False, for the restricted likelihood has no mu"
            )
        if self.kind == "noisy limits":
            raise ValueError("method='profile' is not known for noise with limits or truncation")
        if self.ends is None:
            raise ValueError(
                "method='profile' needs the data, which no copy of a fit has; fit again"
            )
        ends = self.ends(level)
        return np.moveaxis(ends.reshape(2, 2, *ends.shape[1:]), (0, 1), (-2, -1))

    def exact(self, level: float) -> Array:  # noqa: ARG002
        raise ValueError(f"method='exact' needs complete data, not {self.kind}; use 'profile'")
