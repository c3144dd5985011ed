"""The natural-gradient step: steepest ascent under a metric."""

import math

from fastnat.kernels._jit import helper, kernel
from fastnat.kernels.linalg import cholesky, cholesky_solve

_LEAST = 1e-9  # the first damping, relative to the diagonal, of a metric that does not factor
_MOST = 1e9


@kernel
def natural_step(metric, grad, damping, step):
    """Solve ``(metric + damping D) step = grad`` and return the decrement ``grad . step``.

    metric : (p, p), symmetric, both triangles; the upper one becomes the factor U of U'U.
    grad : (p,).
    damping : the least multiple of D, the absolute diagonal of the metric, that is added.  More
        is added, ten times as much at a time, only if the metric does not factor.
    step : (p,), out.

    The decrement is the squared length of the step in the metric, and twice the gain that a
    quadratic model promises.  It is NaN, and so is the step, if no damping up to 1e9 helps (an
    entry is NaN or infinite, or all are zero).
    (Amari 1998, Neural Computation 10, 251-276; damping as in Marquardt 1963.)
    """
    p = metric.shape[0]
    for j in range(p):
        step[j] = metric[j, j]  # kept here while factors are tried
    amount = damping
    _damp(metric, step, amount)
    while not cholesky(metric):
        amount = max(_LEAST, 10.0 * amount)
        if not amount <= _MOST:
            for j in range(p):
                step[j] = math.nan
            return math.nan
        for j in range(p):
            for k in range(j):
                metric[k, j] = metric[j, k]
        _damp(metric, step, amount)
    for j in range(p):
        step[j] = grad[j]
    cholesky_solve(metric, step)
    decrement = 0.0
    for j in range(p):
        decrement += grad[j] * step[j]
    return decrement


@helper
def _damp(metric, diagonal, amount):
    """Give the metric its diagonal, and so many times its size more."""
    largest = 0.0
    for j in range(diagonal.shape[0]):
        largest = max(largest, abs(diagonal[j]))
    for j in range(diagonal.shape[0]):
        size = abs(diagonal[j])
        metric[j, j] = diagonal[j] + amount * (size if size > 0.0 else largest)
