"""The natural-gradient step: steepest ascent under a metric."""

import math

from fastnat.kernels._jit import helper, kernel
from fastnat.kernels.linalg import cholesky, cholesky_solve

_LEAST = 1e-9  # the first damping, relative to the diagonal, of a metric that does not factor
_MOST = 1e9


@kernel
def natural_step(metric, grad, damping, step):
    """Solve ``(metric + damping D) step = grad`` and return the decrement ``grad' step``.

    Parameters
    ----------
    metric : (p, p) ndarray
        Symmetric, both triangles; the upper one becomes the factor U of U'U.
    grad : (p,) ndarray
        The gradient.
    damping : float
        The least multiple of D, the absolute diagonal of the metric, that is added.  More is
        added, ten times as much at a time, only if the metric does not factor.
    step : (p,) ndarray
        Out.

    Returns
    -------
    float
        The decrement: the squared length of the step in the metric, and twice the gain that a
        quadratic model promises.  It is NaN, and so is the step, if no damping up to 1e9 helps
        (an entry is NaN or infinite, or all are zero).

    Notes
    -----
    Amari (1998), Neural Computation 10, 251-276; damping as in Marquardt (1963).
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


@kernel
def natural_step_mvn(root, grad_mean, grad_root, step_mean, step_root):
    """The natural gradient of any function of a mean and a root L of a covariance L L'.

    Parameters
    ----------
    root : (d, d) ndarray
        L, lower triangular.
    grad_mean : (d,) ndarray
        The derivatives with respect to the mean.
    grad_root : (d, d) ndarray
        Those with respect to L, of which the lower triangle counts.
    step_mean : (d,) ndarray
        Out.
    step_root : (d, d) ndarray
        Out, lower triangular.

    Returns
    -------
    float
        The decrement, the gradient times the step.

    Notes
    -----
    The metric is the Fisher information of one observation of the multivariate normal.  Its
    inverse needs no solution of equations: the step is L L' times the first gradient, and L times
    the lower triangle of L' times the second, its diagonal halved.  The root remains one for
    steps that leave its diagonal positive.  (Tan 2021, arXiv:2109.00375.)
    """
    d = root.shape[0]
    decrement = 0.0
    # Column by column: what L' makes of the gradient, to the step, then L of that in place.
    for j in range(d):
        total = 0.0
        for i in range(j, d):
            total += root[i, j] * grad_mean[i]
        step_mean[j] = total
        for k in range(d):
            step_root[k, j] = 0.0
        for k in range(j, d):
            for i in range(k, d):
                step_root[k, j] += root[i, k] * grad_root[i, j]
        step_root[j, j] *= 0.5
    for i in range(d - 1, -1, -1):
        total = 0.0
        for k in range(i + 1):
            total += root[i, k] * step_mean[k]
        step_mean[i] = total
        decrement += grad_mean[i] * total
        for j in range(i + 1):
            total = 0.0
            for k in range(j, i + 1):
                total += root[i, k] * step_root[k, j]
            step_root[i, j] = total
            decrement += grad_root[i, j] * total
    return decrement
