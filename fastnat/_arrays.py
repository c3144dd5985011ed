"""The arguments of the front doors: shapes, axes, dtypes, and every message about them."""

import math
import numbers
import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnat.kernels import outcome

Array = NDArray[Any]
NanPolicy = Literal["propagate", "omit", "raise"]
CovType = Literal["observed", "expected", "opg", "sandwich"] | None

COVS = {
    None: outcome.NO_COV,
    "observed": outcome.COV_OBSERVED,
    "expected": outcome.COV_EXPECTED,
    "opg": outcome.COV_OPG,
    "sandwich": outcome.COV_SANDWICH,
}
_MOST_DIMENSIONS = 30  # results have two more, and NumPy broadcasts 32
_NAN_POLICIES = ("propagate", "omit", "raise")


class Problems:
    """Independent problems as views of the caller's arrays, laid out for the kernels.

    With ``inner`` = 0 the axes of a view are the batch, then the reduced ones, and the
    observations of a problem are neighbours in memory (or are made so, block by block).  With
    ``inner`` > 0 the reduced axes and the last ``inner`` axes of the batch are merged to one
    each, in this order, and problems are neighbours.
    """

    __slots__ = ("batch", "inner", "n_fits", "n_obs", "order", "weights", "x")

    def __init__(
        self,
        x: Array,
        weights: Array | None,
        batch: tuple[int, ...],
        n_obs: int,
        inner: int = 0,
        order: tuple[int, ...] | None = None,
    ) -> None:
        self.x = x
        self.weights = weights
        self.batch = batch  # in the order of the views
        self.n_fits = math.prod(batch) if batch else 1
        self.n_obs = n_obs
        self.inner = inner
        self.order = order  # where the axes of the result are in the batch, if not in order

    def to_result(self, flat: Array) -> Array:
        """(..., n_fits) in the order of the views -> (..., *shape) in the order of the caller."""
        shaped = flat.reshape(flat.shape[:-1] + self.batch)
        if self.order is None:
            return shaped
        k = flat.ndim - 1
        return shaped.transpose((*range(k), *(k + i for i in self.order)))

    def from_result(self, shaped: Array) -> Array:
        """(..., *shape) in the order of the caller -> (..., n_fits) in the order of the views."""
        k = shaped.ndim - len(self.batch)
        if self.order is not None:
            inverse = sorted(range(len(self.order)), key=self.order.__getitem__)
            shaped = shaped.transpose((*range(k), *(k + i for i in inverse)))
        return shaped.reshape((*shaped.shape[:k], self.n_fits))


def as_array(name: str, value: ArrayLike) -> Array:
    """A real array, or one clear sentence."""
    if type(value) is np.ndarray and value.dtype.kind in "fiub" and value.ndim <= _MOST_DIMENSIONS:
        return value
    array = _of_any_dtype(name, value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, not {_contents(name, array)}")
    if array.ndim > _MOST_DIMENSIONS:
        raise ValueError(f"{name} must have at most {_MOST_DIMENSIONS} dimensions")
    return array


def _of_any_dtype(name: str, value: ArrayLike) -> Array:
    """A plain array in memory."""
    if isinstance(value, np.ma.MaskedArray):
        real = "" if value.dtype.kind == "f" else ".astype(float)"
        way_out = f"{name}{real}.filled(np.nan) and nan_policy='omit'"
        if name == "weights":
            way_out = "weights.filled(0)"
        elif not name.startswith(("x", "data", "y", "X", "Z")) or name == "x0":
            way_out = "a plain array"
        raise TypeError(f"{name} is a masked array; pass {way_out} instead")
    _refuse_lazy_and_labelled(name, value)
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be rectangular: its rows differ in length") from error


def _contents(name: str, array: Array) -> str:
    """What an array without numbers holds, in words."""
    if array.dtype.kind != "O":
        return {"U": "text", "S": "text"}.get(array.dtype.kind, array.dtype.name)
    others = [v for v in array.flat if not isinstance(v, numbers.Real)] or list(array.flat[:1])
    if not others:
        return "objects"
    if isinstance(others[0], str):
        return f"text such as {shown(others[0])}"
    # None, Decimal and integers of any size are floats to NumPy, if one asks for them.
    advice = f"; np.array({name}, float) may convert them" * (" " not in name)
    return f"objects such as {shown(others[0])}{advice}"


def _refuse_lazy_and_labelled(name: str, value: object) -> None:
    """Say which function takes an object of xarray or Dask, which may not be imported here."""
    kind, other = type(value), name.startswith(("y", "X", "Z", "data"))  # not of fit_normal
    if kind.__module__.startswith("xarray."):
        call = "" if other else "call fastnat.xarray.fit_normal, or "
        raise TypeError(f"{name} is xarray's {kind.__name__}: {call}pass to_numpy() of it")
    if kind.__module__.startswith("dask"):
        call = "call the function of the same name in fastnat.dask, or "
        call *= not name.startswith("data")  # whose likelihood may be anything
        raise TypeError(f"{name} is Dask's {kind.__name__}: {call}pass compute() of it")


def shown(value: object) -> str:
    """What messages show of an argument that cannot be used: one line, and not too long."""
    text = " ".join(ascii(value).split())
    return text if len(text) <= 60 else f"{text[:40]}...{text[-17:]}"


def bad_choice(name: str, value: object, choices: Sequence[object]) -> ValueError:
    known = ", ".join(repr(choice) for choice in choices)
    return ValueError(f"{name} must be one of {known}, not {shown(value)}")


_LARGEST = 2**31 - 1
_MOST_GROUPS = 1000  # times the observations: more are codes of something else


def _index(value: Any) -> int:
    """The integer; a TypeError where there is none, whatever the version of NumPy."""
    if isinstance(value, np.bool_):
        raise TypeError
    return operator.index(value)


def as_integer(name: str, value: Any, least: int) -> int:
    try:
        n = _index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {shown(value)}") from None
    if not least <= n <= _LARGEST:
        raise ValueError(f"{name} must be between {least} and {_LARGEST}, not {shown(n)}")
    return n


def as_shape(shape: Any) -> tuple[int, ...]:
    """The shape of a batch."""
    sizes = shape if isinstance(shape, tuple | list) else (shape,)
    return tuple(as_integer("shape", size, 0) for size in sizes)


def as_number(name: str, value: Any) -> float:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, not {shown(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be a number that a float can hold") from None


def as_tolerance(tol: Any) -> float:
    value = as_number("tol", tol)
    if not 0.0 <= value < 1.0:
        raise ValueError(f"tol must be at least 0 and less than 1, not {value}")
    return value


def check_flag(name: str, value: object) -> None:
    if value is not True and value is not False:
        raise TypeError(f"{name} must be True or False, not {shown(value)}")


def nan_found(where: str) -> ValueError:
    """What ``nan_policy="raise"`` raises; ``where``, with its verb: "x contains"."""
    return ValueError(f"{where} NaN, and nan_policy is 'raise'")


def check_weights(bad: object) -> None:
    """Refuse weights of which some were found to be bad, or their sum."""
    if bad:
        raise ValueError("weights must be finite and not negative, and so must their sum")


def as_integers(name: str, value: ArrayLike) -> Array:
    """Integers that stand for names."""
    codes = _of_any_dtype(name, value)
    if codes.dtype.kind not in "iu":
        found = "objects" if codes.dtype.kind == "O" else _contents(name, codes)
        raise TypeError(
            f"{name} must be integers, not {found}; np.unique({name}, return_inverse=True)[1]"
            " makes codes of names"
        )
    return codes


def as_codes(name: str, value: ArrayLike, values: str, n_obs: int) -> Array:
    """Integers that say which observations belong together, one for each of the values."""
    codes = as_integers(name, value)
    if codes.shape != (n_obs,):
        raise ValueError(
            f"{name} of shape {codes.shape} must have a code for each of {n_obs} values in {values}"
        )
    return codes


def as_groups(groups: Any, n_obs: int, n_groups: int | None = None) -> NDArray[np.int64]:
    """Codes of ragged problems, one for each observation; below ``n_groups``, if that is known."""
    codes = as_codes("groups", groups, "x", n_obs)
    if n_obs:
        check_groups(int(codes.min()), int(codes.max()), n_obs, n_groups)
    return np.require(codes, np.int64, ["C", "A", "W"])  # as kernels read them


def check_groups(least: int, most: int, n_obs: int, n_groups: int | None = None) -> None:
    """Refuse codes of so many observations, of which these are the least and the greatest."""
    if least < 0:
        raise ValueError(f"groups must not be negative, but one is {least}")
    if n_groups is None and most > _MOST_GROUPS * max(n_obs, 1000):
        raise ValueError(f"groups must be 0, 1, 2 and so on, but one is {most}")
    if n_groups is not None and most >= n_groups:
        raise ValueError(f"groups must be below {n_groups}, but one is {most}")


def check_metric(matrix: Array) -> None:
    """A symmetric positive definite matrix, whatever the scales of its rows."""
    if not np.all(np.isfinite(matrix)):
        raise ValueError("metric must be finite")
    if not np.array_equal(matrix, matrix.T):
        raise ValueError("metric must be symmetric")
    diagonal = np.diag(matrix)
    if np.all(diagonal > 0.0):
        scale = np.sqrt(diagonal)
        if np.linalg.eigvalsh(matrix / scale[:, None] / scale)[0] > 0.0:
            return
    raise ValueError("metric must be positive definite")


def check_n_threads(n_threads: int | None) -> None:
    if n_threads is None:
        return
    try:
        good = _index(n_threads) >= 1
    except TypeError:
        raise TypeError(f"n_threads must be an integer or None, not {shown(n_threads)}") from None
    if not good:
        raise ValueError(f"n_threads must be at least 1, not {shown(n_threads)}")


def check_nan_policy(nan_policy: object, *others: str) -> None:
    """One of the policies that all front doors know, or of the others."""
    if not isinstance(nan_policy, str) or nan_policy not in _NAN_POLICIES + others:
        raise bad_choice("nan_policy", nan_policy, _NAN_POLICIES + others)


def check_cov_type(cov_type: object) -> None:
    if cov_type is not None and (not isinstance(cov_type, str) or cov_type not in COVS):
        raise bad_choice("cov_type", cov_type, [*list(COVS)[1:], None])


def check_level(level: float) -> None:
    if not isinstance(level, numbers.Real):
        raise TypeError(f"level must be a number between 0 and 1, not {shown(level)}")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must be between 0 and 1, not {shown(level)}")


def reduced_axes(axis: int | tuple[int, ...] | None, ndim: int) -> tuple[int, ...]:
    """The reduced axes, from 0 to ndim - 1."""
    if axis is None:
        return tuple(range(ndim))
    try:
        given = [_index(a) for a in (axis if isinstance(axis, tuple) else (axis,))]
    except TypeError:
        raise TypeError(
            f"axis must be an integer, a tuple of integers or None, not {shown(axis)}"
        ) from None
    for a in given:
        if not -ndim <= a < ndim:
            raise ValueError(f"axis {shown(a)} is out of range for data of {ndim} dimensions")
    axes = tuple(a % ndim for a in given)
    if len(set(axes)) < len(axes) or not axes:
        raise ValueError(f"axis must name different axes, at least one, not {shown(axis)}")
    return axes


def mergeable(view: Array, axes: Sequence[int]) -> bool:
    """Whether neighbouring axes can be seen as one without a copy."""
    big = [a for a in axes if view.shape[a] > 1]
    return all(view.strides[a] == view.shape[b] * view.strides[b] for a, b in pairwise(big))


def arrange(x: Array, weights: Array | None, axis: int | tuple[int, ...] | None) -> Problems:
    """Broadcast x and weights, and see them as problems along ``axis``.

    Nothing is copied, but for weights that vary along some of several axes that are reduced.  The
    layout is that of x: weights do not change the order of summation.
    """
    ndim = x.ndim
    if weights is None and type(axis) is int and (axis == -1 or axis == ndim - 1):
        if ndim and x.flags.c_contiguous:
            return Problems(x, None, x.shape[:-1], x.shape[-1])
    if weights is not None:
        x, weights = _broadcast(x, weights)
        ndim = x.ndim
    if ndim == 0:
        raise ValueError("x must have at least one dimension")
    reduced = reduced_axes(axis, ndim)

    def steps(a: int) -> int:
        """Bytes between neighbours; those of repeated elements are not in the way."""
        return abs(x.strides[a]) or 1 << 62

    outer = sorted((a for a in range(ndim) if a not in reduced), key=steps, reverse=True)
    reduced = tuple(sorted(reduced, key=steps, reverse=True))
    closest = steps(reduced[-1])
    inner: list[int] = []
    if x.size and closest < 1 << 62 and mergeable(x, reduced):
        views = (x,) if weights is None else (x, weights)
        inner = _inner_axes(views, [a for a in outer if steps(a) < closest])
        outer = [a for a in outer if a not in inner]
    n_obs = math.prod(x.shape[a] for a in reduced)
    batch_axes = (*outer, *inner)
    axes = (*outer, *reduced, *inner)
    view = x.transpose(axes)
    if inner:
        merged = (*(x.shape[a] for a in outer), n_obs, math.prod(x.shape[a] for a in inner))
        view = view.reshape(merged)
        if weights is not None:
            weights = _merge_weights(weights, outer, reduced, inner, merged)
    elif weights is not None:
        weights = weights.transpose(axes)
    batch = tuple(x.shape[a] for a in batch_axes)
    order = tuple(batch_axes.index(a) for a in sorted(batch_axes))
    changed = None if order == tuple(range(len(order))) else order
    return Problems(view, weights, batch, n_obs, len(inner), changed)


def how_to_broadcast(name: str, one: str, given: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """Words about an array that does not broadcast: what its user may have meant."""
    places = [k for k, n in enumerate(shape[:-1]) if given == (n,)]
    if len(shape) > 2 and places:
        new = ", None" * (len(shape) - 1 - places[0])
        return f"along dimension {places[0]} it is {name}[:{new}]"
    return f"one {one} per problem is {name}[:, None]"


def _broadcast(x: Array, weights: Array) -> tuple[Array, Array]:
    try:
        shape = np.broadcast_shapes(x.shape, weights.shape)
    except ValueError:
        raise ValueError(
            f"weights of shape {weights.shape} do not broadcast with x of shape {x.shape};"
            f" {how_to_broadcast('weights', 'weight', weights.shape, x.shape)}"
        ) from None
    return np.broadcast_to(x, shape), np.broadcast_to(weights, shape)


def _inner_axes(views: tuple[Array, ...], axes: list[int]) -> list[int]:
    """The most of the last axes that can be seen as one."""
    while not all(mergeable(view, axes) for view in views):
        axes = axes[1:]
    return axes


def _merge_weights(
    weights: Array,
    outer: list[int],
    reduced: tuple[int, ...],
    inner: list[int],
    shape: tuple[int, ...],
) -> Array:
    """Weights in the shape of the columns; a copy only if the reduced axes do not merge."""
    if not mergeable(weights, reduced):
        repeated = (*outer, *inner)
        index = tuple(
            slice(0, 1) if a in repeated and weights.strides[a] == 0 else slice(None)
            for a in range(weights.ndim)
        )
        small = weights[index].transpose((*outer, *reduced, *inner))
        sizes = (*small.shape[: len(outer)], shape[-2], *small.shape[small.ndim - len(inner) :])
        full = (*shape[:-2], shape[-2], *(weights.shape[a] for a in inner))
        return np.broadcast_to(small.reshape(sizes), full).reshape(shape)
    return weights.transpose((*outer, *reduced, *inner)).reshape(shape)
