"""Ready-made models for `fastnat.fit`.

``normal`` is the article's Gaussian, with parameters mu and log_sigma: score (z / sigma, z**2 - 1)
with z = (x - mu) / sigma, expected information diag(1 / sigma**2, 2).  For complete data
`fastnat.fit_normal` knows the maximum in closed form; this one shows how metrics get there.
"""

import math

from fastnat.likelihood import Model

__all__ = ["normal"]


def _normal_loglik(x: float, mu: float, log_sigma: float) -> float:
    z = (x - mu) * math.exp(-log_sigma)
    return -0.5 * z * z - log_sigma - 0.5 * math.log(2.0 * math.pi)


def _normal_score(x: float, mu: float, log_sigma: float) -> tuple[float, float]:
    unit = math.exp(-log_sigma)
    z = (x - mu) * unit
    return z * unit, z * z - 1.0


def _normal_fisher(
    mu: float,  # noqa: ARG001
    log_sigma: float,
) -> tuple[tuple[float, float], tuple[float, float]]:
    return (math.exp(-2.0 * log_sigma), 0.0), (0.0, 2.0)


normal = Model(_normal_loglik, _normal_score, fisher=_normal_fisher)
