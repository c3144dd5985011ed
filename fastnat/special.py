"""The tail of the normal distribution, for arrays and for SciPy's integrators.

The same functions of single numbers are in `fastnat.kernels`, for compiled code of your own.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnat import _blocks
from fastnat._arrays import Array, as_array, bad_choice
from fastnat.kernels import observation
from fastnat.kernels import special as scalar
from fastnat.kernels._jit import c_function, kernel

__all__ = [
    "hazard",
    "hazard_remainder",
    "log_interval_prob",
    "log_ndtr",
    "low_level_callable",
    "ndtr",
]


@kernel
def _hazard(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = scalar.hazard(x[i])


@kernel
def _hazard_remainder(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = scalar.hazard_remainder(x[i])


@kernel
def _log_ndtr(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = scalar.log_ndtr(x[i])


@kernel
def _ndtr(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = scalar.ndtr(x[i])


@kernel
def _log_interval_prob(a: Any, b: Any, out: Any) -> None:
    for i in range(a.size):
        out[i] = observation.log_interval_prob(a[i], b[i])


def _map(function: Any, x: Array, *others: Array) -> Any:
    """The function of each element of arrays of one shape."""
    out = np.empty(x.shape)
    flat = out if out.ndim == 1 else out.reshape(-1)
    function(_flat(x), *map(_flat, others), flat)
    return out if out.ndim else out[()]


def _flat(array: Array) -> Array:
    return _blocks.flat(array, float32=False)


def hazard(x: ArrayLike) -> Any:
    """The hazard phi(x) / (1 - Phi(x)) of the normal distribution, the inverse Mills ratio.

    Parameters
    ----------
    x : array_like
        Real numbers.

    Returns
    -------
    ndarray or float
        In the shape of x, to a few units in the last place; 0 and inf in the limits.

    Raises
    ------
    TypeError
        If x is not an array of real numbers.

    Notes
    -----
    For x >= 0 the remainder, hazard less x, is a rational function of type (10, 11) to 8e-17; for
    x < 0 the same function gives the upper tail of -x.  (Rational approximations of the tail, in
    three pieces, are Cody's: 1969, Mathematics of Computation 23, 631-637.)

    Examples
    --------
    >>> from fastnat import special
    >>> special.hazard([-40.0, 0.0, 100.0]).round(6)
    array([  0.      ,   0.797885, 100.009998])
    """
    return _map(_hazard, as_array("x", x))


def hazard_remainder(x: ArrayLike) -> Any:
    """The hazard less x, without cancellation: about 1 / x for large x.

    Parameters
    ----------
    x : array_like
        Real numbers.

    Returns
    -------
    ndarray or float
        In the shape of x.

    Raises
    ------
    TypeError
        If x is not an array of real numbers.

    Examples
    --------
    >>> from fastnat import special
    >>> print(f"{special.hazard_remainder(1e10):.12g}")
    1e-10
    """
    return _map(_hazard_remainder, as_array("x", x))


def log_ndtr(x: ArrayLike) -> Any:
    """Logarithm of the normal distribution function, accurate in both tails.

    Parameters
    ----------
    x : array_like
        Real numbers.

    Returns
    -------
    ndarray or float
        In the shape of x.

    Raises
    ------
    TypeError
        If x is not an array of real numbers.

    Examples
    --------
    >>> from fastnat import special
    >>> special.log_ndtr([-1e10, 0.0])
    array([-5.00000000e+19, -6.93147181e-01])
    """
    return _map(_log_ndtr, as_array("x", x))


def ndtr(x: ArrayLike) -> Any:
    """The normal distribution function, accurate in both tails.

    Parameters
    ----------
    x : array_like
        Real numbers.

    Returns
    -------
    ndarray or float
        In the shape of x.

    Raises
    ------
    TypeError
        If x is not an array of real numbers.

    Examples
    --------
    >>> from fastnat import special
    >>> special.ndtr([-10.0, 0.0])
    array([7.61985302e-24, 5.00000000e-01])
    """
    return _map(_ndtr, as_array("x", x))


def log_interval_prob(a: ArrayLike, b: ArrayLike) -> Any:
    """The logarithm of Phi(b) - Phi(a), without cancellation in tails and for narrow intervals.

    Parameters
    ----------
    a, b : array_like
        Ends that broadcast, -inf and inf among them.

    Returns
    -------
    ndarray or float
        In the broadcast shape; -inf where a = b, NaN where a > b.

    Raises
    ------
    TypeError, ValueError
        If an end is not an array of real numbers, or the shapes do not broadcast.

    Examples
    --------
    >>> from fastnat import special
    >>> special.log_interval_prob(30.0, [30.0, 31.0, float("inf")])
    array([         -inf, -454.32124396, -454.32124396])
    """
    lower, upper = as_array("a", a), as_array("b", b)
    try:
        shape = np.broadcast_shapes(lower.shape, upper.shape)
    except ValueError:
        raise ValueError(f"shapes do not broadcast: a {lower.shape} and b {upper.shape}") from None
    return _map(_log_interval_prob, np.broadcast_to(lower, shape), np.broadcast_to(upper, shape))


_SCALARS = {
    "hazard": (scalar.hazard, 1),
    "hazard_remainder": (scalar.hazard_remainder, 1),
    "log_interval_prob": (observation.log_interval_prob, 2),
    "log_ndtr": (scalar.log_ndtr, 1),
    "ndtr": (scalar.ndtr, 1),
}


def low_level_callable(name: str) -> Any:
    """A function of this module as ``scipy.LowLevelCallable``, compiled when first asked for.

    Parameters
    ----------
    name : str
        "hazard", "hazard_remainder", "log_ndtr" or "ndtr", as ``double (double)``, or
        "log_interval_prob", as ``double (double, double)``.

    Returns
    -------
    scipy.LowLevelCallable
        For ``scipy.integrate.quad`` and others that call compiled code.

    Raises
    ------
    ValueError
        If the name is not known.

    Examples
    --------
    >>> from fastnat import special
    >>> from scipy.integrate import quad
    >>> value, _ = quad(special.low_level_callable("ndtr"), -1.0, 1.0)
    >>> round(value, 12)
    1.0
    """
    if not isinstance(name, str) or name not in _SCALARS:
        raise bad_choice("name", name, tuple(_SCALARS))
    return _compiled(name)


@cache
def _compiled(name: str) -> Any:
    from scipy import LowLevelCallable

    function: Any
    function, n_arguments = _SCALARS[name]
    compiled = c_function(function, n_arguments)
    return LowLevelCallable(compiled.ctypes)
