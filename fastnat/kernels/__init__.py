"""Nopython code, callable from other compiled code: the public part is in ``__all__``.

`accumulate` turns scores into a gradient and an empirical Fisher matrix, `natural_step` a metric
and a gradient into a step, in place, `natural_step_mvn` does so for functions of the mean and the
covariance of a multivariate normal, without solving anything, `cholesky` and its companions
factor and solve. `ascent` and `root` are told values and say where they want the next ones, so
they run in a kernel of yours, in Python, or over workers elsewhere. `hazard`, `hazard_remainder`,
`log_ndtr`, `ndtr` and `log_interval_prob` are the normal tail, and `truncated_moments` those of a
part of it.

``DIGEST`` changes whenever a source file of the package does.  Numba does not notice that a
function of yours that is compiled with ``cache=True`` and calls our kernels is out of date after
an upgrade; put the digest into the name of your cache directory, or clear it.
"""

from fastnat.kernels import ascent, root
from fastnat.kernels._jit import DIGEST
from fastnat.kernels.fisher import accumulate
from fastnat.kernels.linalg import (
    cholesky,
    cholesky_many,
    cholesky_solve,
    cholesky_solve_many,
    log_det,
)
from fastnat.kernels.observation import log_interval_prob
from fastnat.kernels.quadrature import truncated_moments
from fastnat.kernels.special import hazard, hazard_remainder, log_ndtr, ndtr
from fastnat.kernels.step import natural_step, natural_step_mvn

__all__ = [
    "DIGEST",
    "accumulate",
    "ascent",
    "cholesky",
    "cholesky_many",
    "cholesky_solve",
    "cholesky_solve_many",
    "hazard",
    "hazard_remainder",
    "log_det",
    "log_interval_prob",
    "log_ndtr",
    "natural_step",
    "natural_step_mvn",
    "ndtr",
    "root",
    "truncated_moments",
]
