"""Steepest descent of any function of one vector, under any metric."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastnat._arrays import Array, as_array, as_integer, as_number, check_flag, check_metric, shown
from fastnat.kernels.step import natural_step

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

_RUNNING = -1
_SUCCESS, _MAX_ITER, _NO_DESCENT, _NOT_FINITE = range(4)
_MESSAGES = {
    _SUCCESS: "The decrement is below tol.",
    _MAX_ITER: "The iteration was stopped after max_iter steps, before it converged.",
    _NO_DESCENT: "No step along the direction lowers the function.",
    _NOT_FINITE: "The function, its gradient or the metric is not finite.",
}
_ARMIJO = 1e-4
_SLACK = 2.0**-50  # what rounding may add to a value, relative to it
_SMALLEST = 2.0**-60


def steepest_descent(
    fun: Callable[[Array], Any],
    grad: Callable[[Array], Any],
    x0: ArrayLike,
    *,
    metric: str | ArrayLike | Callable[[Array], Any] = "euclidean",
    step_size: float = 1.0,
    line_search: bool = False,
    max_iter: int = 1000,
    tol: float = 1e-12,
    trace: bool = False,
) -> "OptimizeResult":
    """Minimise a function of one vector along -G^-1 grad, the steepest direction under G.

    Parameters
    ----------
    fun : callable
        ``fun(x) -> float``.
    grad : callable
        ``grad(x) -> (p,) array_like``, its gradient.
    x0 : (p,) array_like
        Where to start.
    metric : "euclidean", array_like or callable, default "euclidean"
        G: the identity; a positive vector (p,), the diagonal; a symmetric positive definite
        matrix (p, p) (Mahalanobis); or a function of x that returns one of the last two (if what
        it returns is not positive definite, multiples of its diagonal are added until it is).
    step_size : float, default 1.0
        The step is ``-step_size * G^-1 grad``.
    line_search : bool, default False
        Whether to halve a step until the function falls enough (Armijo).  Without, every step is
        taken, and nothing keeps the iteration from diverging.
    max_iter : int, default 1000
        Steps at most.
    tol : float, default 1e-12
        The decrement grad' G^-1 grad at which to stop; 0 never stops early.
    trace : bool, default False
        Whether to keep the path.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x``, ``fun``, ``jac``, ``nit``, ``nfev``, ``njev``, ``success``, ``status``, ``message``
        and ``decrement``; with ``trace=True`` also ``path`` (nit + 1, p).  ``status`` is 0 on
        success, 1 after max_iter steps, 2 if no step lowers the function, 3 if it, its gradient or
        the metric is not finite.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used.

    Notes
    -----
    The direction minimises the linearised function plus half the squared length of the step
    under G (Amari 1998, Neural Computation 10, 251-276); Armijo's rule as in Nocedal and Wright,
    Numerical Optimization, 2nd edition, section 3.1.

    Examples
    --------
    The function x1^2 + x2^2 - x1 x2 has the Hessian 2 A with A = [[1, -1/2], [-1/2, 1]].  Under
    2 A the first step is Newton's and arrives; under A it is twice as long and never does.

    >>> import numpy as np
    >>> import fastnat
    >>> A = np.array([[1.0, -0.5], [-0.5, 1.0]])
    >>> def fun(x):
    ...     return x @ A @ x
    >>> def grad(x):
    ...     return 2.0 * A @ x
    >>> fastnat.steepest_descent(fun, grad, [8.0, 3.0], metric=2.0 * A).nit
    1
    >>> fastnat.steepest_descent(fun, grad, [8.0, 3.0], metric=A).success
    False
    """
    from scipy.optimize import OptimizeResult

    x = _vector("x0", x0)
    step_size, tol = as_number("step_size", step_size), as_number("tol", tol)
    max_iter = as_integer("max_iter", max_iter, 0)
    _check_options(step_size, tol, line_search, trace)
    function, metric_at = _Function(fun, grad, x.size), _metric(metric, x.size)
    step, path = np.empty(x.size), [x]
    nit, status, decrement = 0, _RUNNING, math.nan
    value, slope = function.value(x), function.slope(x)
    while status == _RUNNING:
        decrement = natural_step(metric_at(x), -slope, 0.0, step)
        if not (math.isfinite(value) and math.isfinite(decrement)):
            status = _NOT_FINITE
        elif decrement < tol:
            status = _SUCCESS
        elif nit == max_iter:
            status = _MAX_ITER
        else:
            fall = _ARMIJO * decrement if line_search else -math.inf
            size, new = _search(function, x, step, step_size, value, fall)
            if size == 0.0:
                status = _NO_DESCENT
            elif not math.isfinite(new):
                status = _NOT_FINITE
            else:
                x, value, nit = x + size * step, new, nit + 1
                slope = function.slope(x)
                path.append(x)
    result = OptimizeResult(
        x=x,
        fun=value,
        jac=slope,
        nit=nit,
        nfev=function.nfev,
        njev=function.njev,
        decrement=decrement,
        success=status == _SUCCESS,
        status=status,
        message=_MESSAGES[status],
    )
    if trace:
        result.path = np.array(path)
    return result


def _search(
    function: "_Function", x: Array, step: Array, size: float, value: float, fall: float
) -> tuple[float, float]:
    """Halve the size until the function falls by ``size * fall``: (size, new value).

    With ``fall`` -inf every value will do; the size is 0 if none does.
    """
    smallest = size * _SMALLEST
    slack = _SLACK * abs(value)  # for the whole step: a halved one was wanting by more
    while size > smallest:
        new = function.value(x + size * step)
        falls = new < value or slack > 0.0
        if fall == -math.inf or (falls and new <= value - size * fall + slack):
            return size, new
        size, slack = 0.5 * size, 0.0
    return 0.0, value


class _Function:
    """A function and its gradient, held to their shapes, and how often they were called."""

    def __init__(self, fun: Any, grad: Any, p: int) -> None:
        for name, function in (("fun", fun), ("grad", grad)):
            if not callable(function):
                raise TypeError(f"{name} must be a function, not {shown(function)}")
        self.fun, self.grad, self.p = fun, grad, p
        self.nfev = self.njev = 0

    def value(self, x: Array) -> float:
        self.nfev += 1
        value = as_array("the value of fun", self.fun(x.copy())).astype(np.float64)
        if value.size != 1:
            raise ValueError(f"fun must return a number, not an array of shape {value.shape}")
        return float(value.reshape(()))

    def slope(self, x: Array) -> Array:
        self.njev += 1
        slope = as_array("the value of grad", self.grad(x.copy())).astype(np.float64)
        if slope.shape != (self.p,):
            raise ValueError(f"grad must return an array of shape {(self.p,)}, not {slope.shape}")
        return slope


def _check_options(step_size: float, tol: float, line_search: Any, trace: Any) -> None:
    if not 0.0 < step_size < math.inf:
        raise ValueError(f"step_size must be positive and finite, not {step_size}")
    if not tol >= 0.0:
        raise ValueError(f"tol must be 0 or greater, not {tol}")
    check_flag("line_search", line_search)
    check_flag("trace", trace)


def _vector(name: str, value: ArrayLike) -> Array:
    array = as_array(name, value).astype(np.float64)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"{name} must have one dimension and not be empty; it is {array.shape}")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} must be finite")
    return array


def _metric(metric: Any, p: int) -> Callable[[Array], Array]:
    """A function of x that returns the metric as a new matrix."""
    if isinstance(metric, str):
        if metric != "euclidean":
            raise ValueError(
                f"metric must be 'euclidean', an array or a function, not {shown(metric)}"
            )
        return lambda _: np.eye(p)
    if callable(metric):
        return lambda x: _matrix(metric(x.copy()), p)
    fixed = _matrix(metric, p)
    check_metric(fixed)
    return lambda _: fixed.copy()


def _matrix(metric: Any, p: int) -> Array:
    array = as_array("metric", metric).astype(np.float64)
    if array.shape == (p,):
        return np.diag(array)
    if array.shape != (p, p):
        raise ValueError(f"metric must be of shape {(p,)} or {(p, p)}, not {array.shape}")
    if not np.array_equal(array, array.T, equal_nan=True):
        raise ValueError("metric must be symmetric")
    return np.ascontiguousarray(array)
