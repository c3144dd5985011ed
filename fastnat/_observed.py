"""How the observations of `fit_normal` are known: the arguments that say so, and what fits them."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastnat import _limits
from fastnat._arrays import (
    Array,
    CovType,
    Problems,
    arrange,
    as_array,
    as_groups,
    check_weights,
    how_to_broadcast,
    reduced_axes,
)
from fastnat._blocks import or_nothing
from fastnat._limits import Options, Packed, fit_packed, needs_high
from fastnat._reduce import Use, reduce_moments, reduce_rows
from fastnat._rows import WORK, Columns, Fit, Groups, Rows
from fastnat.kernels import (
    censored,
    censored_profile,
    compression,
    estimates,
    noise,
    noise_profile,
    noisy,
    outcome,
    truncated,
    truncated_profile,
)

Ends = Callable[[float], Array]

BOUNDS = ("truncation[0]", "truncation[1]")
"""What the bounds of a truncation are called where each is an argument of its own."""


class Given(NamedTuple):
    """The arguments that say how observations are known, as arrays or None."""

    x: Array
    upper: Array | None = None
    left: Array | None = None
    right: Array | None = None
    least: Array | None = None
    most: Array | None = None
    noise: Array | None = None
    weights: Array | None = None

    @property
    def limited(self) -> bool:
        """Whether anything but noise is between the values and us."""
        free = self.upper is None and self.left is None and self.right is None
        return not free or self.least is not None

    @property
    def kind(self) -> str:
        """What the observations are, in words."""
        if self.noise is not None:
            return "noisy limits" if self.limited else "noisy ones"
        return "censored ones" if self.least is None else "truncated ones"


class Solution(NamedTuple):
    """Rows of estimates, how they become the shape of the result, and intervals by profile."""

    out: Array
    to_result: Callable[[Array], Array]
    ends: Ends | None


def read(
    x: ArrayLike,
    upper: ArrayLike | None,
    left: ArrayLike | None,
    right: ArrayLike | None,
    truncation: Any,
    noise_std: ArrayLike | None,
    weights: ArrayLike | None,
    name: str = "x",
) -> Given:
    """Check the arguments, each for itself and against each other; not the cells of arrays.

    name : of the values in messages.
    """
    if is_censored_data(x):
        for own, limit in (("upper", upper), ("left", left), ("right", right)):
            if limit is not None:
                raise ValueError(
                    f"{own} must be None if {name} is a CensoredData, which has its own limits"
                )
        x, upper = ends_of_censored_data(x)
    given = Given(
        as_array(name, x),
        _optional("upper", upper),
        _optional("left", left),
        _optional("right", right),
        *_bounds(truncation),
        _optional("noise_std", noise_std),
        _optional("weights", weights),
    )
    limits = given.left is not None or given.right is not None
    if given.upper is not None and limits:
        raise ValueError(
            f"left and right are limits of values; with upper, {name} is a lower limit"
        )
    if given.least is not None and (limits or given.upper is not None):
        raise ValueError(
            "truncation cannot be combined with upper, left or right: no method is known to find"
            " the maximum"
        )
    _check_scalars(given)
    return given


def is_censored_data(x: Any) -> bool:
    """Whether x is a `scipy.stats.CensoredData`, which SciPy has from 1.11 on."""
    return type(x).__name__ == "CensoredData" and type(x).__module__.startswith("scipy.stats")


def ends_of_censored_data(data: Any) -> tuple[Array, Array]:
    """The intervals of a `scipy.stats.CensoredData`, which keeps them under private names."""
    exact, left, right = data._uncensored, data._left, data._right
    between = np.asarray(data._interval, float).reshape(-1, 2)
    lower = np.concatenate([exact, np.full(len(left), -np.inf), right, between[:, 0]])
    upper = np.concatenate([exact, left, np.full(len(right), np.inf), between[:, 1]])
    return lower, upper


def check_expected(given: Given, cov_type: CovType) -> None:
    """The expected information takes the limits that known values might have been beyond."""
    if cov_type == "expected" and given.upper is not None:
        raise ValueError(
            "cov_type='expected' needs the limits of every observation: give left and right"
            " instead of upper"
        )


def _optional(name: str, value: ArrayLike | None) -> Array | None:
    return None if value is None else as_array(name, value)


def bounds_apart(truncation: Any) -> dict[str, Any]:
    """The bounds of a truncation as arguments of their own, by name; none without one."""
    if truncation is None:
        return {}
    if not isinstance(truncation, tuple | list) or len(truncation) != 2:
        raise ValueError("truncation must be a pair of bounds, such as (0, np.inf)")
    return dict(zip(BOUNDS, truncation, strict=True))


def bounds_together(named: dict[str, Any]) -> dict[str, Any]:
    """Arguments by name, the bounds of a truncation as a pair again."""
    rest = {name: value for name, value in named.items() if name not in BOUNDS}
    if len(rest) < len(named):
        rest["truncation"] = tuple(named[name] for name in BOUNDS if name in named)
    return rest


def _bounds(truncation: Any) -> tuple[Array | None, Array | None]:
    if truncation is None:
        return None, None
    least, most = (as_array(name, value) for name, value in bounds_apart(truncation).items())
    low, high = _scalar(least, -math.inf), _scalar(most, math.inf)
    if low != low or high != high:
        raise ValueError("truncation must not be NaN")
    if not low < high:
        raise ValueError(f"truncation must be a lower and a higher bound, not ({low}, {high})")
    return least, most


def _scalar(array: Array | None, default: float) -> float:
    return default if array is None or array.ndim else float(array)


def _check_scalars(given: Given) -> None:
    """Scalars that are wrong for every observation."""
    left, right = _scalar(given.left, -math.inf), _scalar(given.right, math.inf)
    if left != left or left == math.inf:
        raise ValueError(f"left must be a number or -inf, not {left}")
    if right != right or right == -math.inf:
        raise ValueError(f"right must be a number or inf, not {right}")
    if left > right:
        raise ValueError(f"left must not be above right, but {left} > {right}")
    std = _scalar(given.noise, 0.0)
    if not 0.0 <= std < math.inf:
        raise ValueError(f"noise_std must be finite and not negative, not {std}")


_NAMES = ("upper", "left", "right", *BOUNDS, "noise_std", "weights")


def broadcast(given: Given, values: str = "x") -> tuple[Given, tuple[int, ...]]:
    """All arrays in one shape, as views; ``values`` is the name of the values."""
    shape = given.x.shape
    for name, array in zip(_NAMES, given[1:], strict=True):
        if array is None:
            continue
        try:
            shape = np.broadcast_shapes(shape, array.shape)
        except ValueError:
            one = {"noise_std": "number", "weights": "weight"}.get(name, "limit")
            raise ValueError(
                f"{name} of shape {array.shape} does not broadcast with {values} of shape {shape};"
                f" {how_to_broadcast(name, one, array.shape, shape)}"
            ) from None
    if not shape:
        raise ValueError(f"{values} must have at least one dimension")
    views: Any = (
        a if a is None or a.shape == shape else np.broadcast_to(a, shape) for a in given
    )  # broadcasting takes microseconds
    return Given(*views), shape


def solve(given: Given, groups: Any, axis: Any, options: Options) -> Solution:
    """Fit every problem with what its observations need."""
    if groups is None and limits_are_common(given, axis):
        return _solve_common_limits(given, axis, options)
    source = rows_of(given, groups, axis)
    out = np.empty((estimates.SIZE, source.n_fits))
    ends = None if given.noise is not None and given.limited else _profiler(options, source, out)
    source.run(_fitter(options, given.limited, out), options.n_threads)
    return Solution(out, source.to_result, ends)


def rows_of(given: Given, groups: Any, axis: Any, n_groups: int | None = None) -> Rows:
    views, shape = broadcast(given)
    if groups is not None:
        if axis not in (-1, 0, None) or len(shape) != 1:
            raise ValueError("groups needs x with one dimension, and no axis")
        return Groups(tuple(views), as_groups(groups, shape[0], n_groups))
    reduced = reduced_axes(axis, len(shape))
    kept = [a for a in range(len(shape)) if a not in reduced]
    order = (*kept, *reduced)
    columns = tuple(None if v is None else v.transpose(order) for v in views)
    return Rows(columns, tuple(shape[a] for a in kept))


def _compress(columns: Any, offsets: Any, omit: bool, cov: int) -> Packed:
    """Rows of observations to (moments of exact values, lists of the others, ...)."""
    n_fits = offsets.size - 1
    lists = np.empty((compression.N_LISTS, int(offsets[-1]) + 1))
    ends = np.empty((compression.N_KINDS, n_fits + 1), np.int64)
    status, units = np.empty(n_fits, np.int8), np.empty(n_fits)
    x, upper, left, right, w = columns
    bad = compression.compress(x, upper, left, right, w, offsets, omit, lists, ends, status, units)
    check_weights(bad)
    use = Use(high=True if needs_high(cov) else None)
    stats, _ = use.new(n_fits, False)
    weights = None if w is None else lists[compression.VALUE_W]
    reduce_rows(lists[compression.VALUE], weights, ends[compression.VALUES], use, 0, stats, None)
    return stats, lists, ends, status, units


def _fitter(options: Options, limited: bool, out: Array) -> Fit:
    """What fits a block of rows."""
    omit, reml, cov, max_iter, tol, _ = options
    end = cov, max_iter, tol

    def fit(columns: Columns, offsets: Any, first: int) -> None:
        x, upper, left, right, least, most, std, w = columns
        if std is not None and limited:
            bad = noisy.fit_rows(tuple(map(or_nothing, columns)), offsets, omit, *end, first, out)
        elif std is not None:
            bad = noise.fit_rows(x, std, or_nothing(w), offsets, omit, reml, *end, first, out)
        elif least is not None:
            bad = truncated.fit_rows(x, least, most, or_nothing(w), offsets, omit, *end, first, out)
        else:
            packed = _compress((x, upper, left, right, w), offsets, omit, cov)
            fit_packed(packed, options, first, out)
            if cov == outcome.COV_EXPECTED:
                left, right, w = map(or_nothing, (left, right, w))
                censored.expected_of_rows(x, left, right, w, offsets, first, out)
            return
        check_weights(bad)

    return fit


def _profiler(options: Options, source: Rows, fits: Array) -> Ends:
    """The function of the level that finds the profile intervals of all problems."""

    def ends(level: float) -> Array:
        from scipy.special import chdtri

        drop = 0.5 * float(chdtri(1.0, 1.0 - level))
        found = np.empty((4, source.n_fits))

        def bracket(columns: Columns, offsets: Any, first: int) -> None:
            x, upper, left, right, least, most, std, w = columns
            end = offsets, drop, fits, first, found
            if std is not None:
                noise_profile.intervals(x, std, or_nothing(w), *end)
            elif least is not None:
                truncated_profile.intervals(x, least, most, or_nothing(w), *end)
            else:
                packed = _compress((x, upper, left, right, w), offsets, True, outcome.NO_COV)
                stats, lists, ends, _, units = packed
                censored_profile.intervals(stats, lists, ends, units, drop, fits, first, found)

        source.run(bracket, options.n_threads, WORK)
        return source.to_result(found)

    return ends


def limits_are_common(given: Given, axis: Any) -> bool:
    """Whether all observations of a problem share their limits, and nothing else is special."""
    if not (given.upper is given.least is given.noise is None):
        return False
    if _limits_are_numbers(given):
        return not (given.left is given.right is None)
    limits = [a for a in (given.left, given.right) if a is not None]
    ndim = max((a.ndim for a in (*limits, given.x, given.weights) if a is not None), default=0)
    reduced = reduced_axes(axis, ndim)
    return all(a.shape[i - ndim] == 1 for a in limits for i in reduced if i - ndim >= -a.ndim)


def _limits_are_numbers(given: Given) -> bool:
    left, right = given.left, given.right
    return (left is None or not left.ndim) and (right is None or not right.ndim)


def _limits_of_problems(given: Given, axis: Any) -> tuple[Problems, Array]:
    """The problems, and the limits (2, 1) or (2, n_fits) that their observations share."""
    if _limits_are_numbers(given):
        limits = np.empty((2, 1))
        limits[0, 0] = _scalar(given.left, -math.inf)
        limits[1, 0] = _scalar(given.right, math.inf)
        return arrange(given.x, given.weights, axis), limits
    views, shape = broadcast(given)
    problems = arrange(views.x, views.weights, axis)
    reduced = reduced_axes(axis, len(shape))
    first = tuple(slice(0, 1) if a in reduced else slice(None) for a in range(len(shape)))
    batch = [shape[a] for a in range(len(shape)) if a not in reduced]
    limits = np.empty((2, problems.n_fits))
    pair = (views.left, -math.inf), (views.right, math.inf)
    for row, (view, none) in zip(limits, pair, strict=True):
        if view is None or not view.size:  # without observations nothing is at a limit
            row[:] = none
        else:
            row[:] = problems.from_result(view[first].reshape(batch))
    return problems, limits


def _solve_common_limits(given: Given, axis: Any, options: Options) -> Solution:
    """Moments of the values between the limits, and the weight beyond them, say all."""
    problems, limits = _limits_of_problems(given, axis)
    out = np.empty((estimates.SIZE, problems.n_fits))

    def finish(stats: Array, tally: Array | None, start: int, n_fits: int) -> None:  # noqa: ARG001
        assert tally is not None
        _limits.fit(stats, tally, limits, options, start, out)

    omit: Literal[True] | None = True if options.omit else None
    use = Use(_limits.inside(limits), omit, True if needs_high(options.cov) else None)
    reduce_moments(problems, use, True, options.n_threads, finish)

    def ends(level: float) -> Array:
        fits = problems.to_result(out).reshape(estimates.SIZE, -1)
        return _profiler(options, rows_of(given, None, axis), fits)(level)

    return Solution(out, problems.to_result, ends)
