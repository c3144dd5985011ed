"""What streams of statistics share: merges that keep their digits, and arrays for files."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from fastnat._arrays import Array, shown
from fastnat.kernels import moments

Parts = tuple[Array, ...]

_VERSION = 1
_FAR = 1e150  # from the origin, in units of the scale
_MOST = 64  # merges into one level before it moves up


class Levels:
    """Statistics of many chunks, merged a few at a time and then with each other.

    A sum of n numbers one after the other has up to n rounding errors; here, where a level takes
    64 chunks before it becomes one chunk of the next level, 64 for each factor of 64.

    merge : merges the second tuple of arrays into the first, and may use it up.
    """

    def __init__(self, merge: Callable[[Parts, Parts], None]) -> None:
        self._merge = merge
        self._levels: list[Parts | None] = []
        self._counts: list[int] = []

    def add(self, parts: Parts) -> None:
        """Add the statistics of a chunk, which are used up."""
        for k in range(len(self._levels) + 1):
            if k == len(self._levels):
                self._levels.append(None)
                self._counts.append(0)
            level = self._levels[k]
            if level is None:
                level = parts
            else:
                self._merge(level, parts)
            self._levels[k] = level
            self._counts[k] += 1
            if self._counts[k] < _MOST:
                return
            parts, self._levels[k], self._counts[k] = level, None, 0

    def total(self) -> Parts | None:
        """The statistics of all chunks, as new arrays; None if there were none."""
        total: Parts | None = None
        for level in self._levels:
            if level is None:
                continue
            copy = tuple(array.copy() for array in level)
            if total is None:
                total = copy
            else:
                self._merge(copy, total)
                total = copy
        return total


def label(name: str) -> dict[str, Array]:
    """What says whose arrays these are."""
    return {"kind": np.array(name), "version": np.array(_VERSION)}


def check_label(name: str, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays of something else, or of a later version."""
    if not isinstance(arrays, Mapping):
        raise TypeError(f"arrays must be a mapping of names to arrays, not {shown(arrays)}")
    found = str(get(name, arrays, "kind", "U"))
    if found != name:
        raise ValueError(f"arrays are those of {shown(found)}, not of {name}")
    version = int(get(name, arrays, "version", "iu"))
    if version != _VERSION:
        raise ValueError(f"arrays are of version {version}; this fastnat reads version {_VERSION}")


def get(
    name: str,
    arrays: Mapping[str, Any],
    key: str,
    kinds: str = "f",
    shape: tuple[int, ...] | None = (),
) -> Array:
    """An array of ``to_arrays``, of these kinds of dtypes and this shape (None for any)."""
    try:
        array = np.asarray(arrays[key])
    except KeyError:
        raise ValueError(f"arrays are not those of {name}.to_arrays: {key!r} is missing") from None
    if array.dtype.kind not in kinds or (shape is not None and array.shape != shape):
        raise ValueError(
            f"arrays[{key!r}] cannot be {array.dtype} of shape {array.shape} in those of {name}"
        )
    return array


def get_all(
    name: str, arrays: Mapping[str, Any], keys: Iterable[str], shapes: Iterable[tuple[int, ...]]
) -> Parts:
    """Copies of arrays of numbers, one for each key and shape."""
    found = (get(name, arrays, k, "f", shape) for k, shape in zip(keys, shapes, strict=True))
    return tuple(np.array(array, np.float64, order="C") for array in found)


def check_values(key: str, possible: Array) -> None:
    """Refuse numbers that no observations can have left; damaged files have them."""
    if not np.all(possible):
        raise ValueError(
            f"arrays[{key!r}] cannot be of observations: weights and squares must be finite and"
            " not negative, scales powers of two, means near their origins"
        )


def possible_units(scale: Array, mean: Array) -> Array:
    """Whether scales are powers of two, and means have a square in them; elementwise."""
    possible: Array = (np.frexp(scale)[0] == 0.5) & (np.abs(mean) < _FAR)
    return possible


def check_moments(stats: Array, tally: Array) -> None:
    """Refuse moments, and tallies of what is beyond limits, that no observations can have left."""
    weight = stats[moments.W]
    possible = (weight >= 0.0) & (weight < np.inf)
    fine = np.isfinite(stats).all(axis=0) & (stats[moments.M2] >= 0.0)
    fine &= possible_units(stats[moments.SCALE], stats[moments.MEAN])
    # Of values that are not finite the mean tells, and their squares are not a number.
    unusable = (weight > 0.0) & ~np.isfinite(stats[moments.MEAN]) & np.isnan(stats[moments.M2])
    check_values("stats", possible & (fine | unusable))
    check_values("tally", (tally >= 0.0) & (tally < np.inf))


def get_shape(name: str, arrays: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The shape of the batch, which may not be known."""
    sizes = get(name, arrays, "shape", "iu", None).reshape(-1).tolist()
    if sizes == [-1]:
        return None
    if any(size < 0 for size in sizes):
        raise ValueError(f"arrays['shape'] cannot be {shown(sizes)} in those of {name}")
    return tuple(sizes)


def get_size(name: str, arrays: Mapping[str, Any], key: str) -> int | None:
    """A number of columns, which may not be known."""
    size = int(get(name, arrays, key, "iu"))
    if size < 0:
        raise ValueError(f"arrays[{key!r}] cannot be {size} in those of {name}")
    return size or None


def check_other(mine: Any, other: Any, *options: str) -> None:
    """Refuse to merge what is something else, or was made with other options."""
    name = type(mine).__name__
    if not isinstance(other, type(mine)):
        raise TypeError(f"other must be a {name}, not {type(other).__name__}")
    for option in options:
        own, found = getattr(mine, option), getattr(other, option)
        if own is not found and not np.array_equal(np.asarray(own), np.asarray(found)):
            words = [
                shown(v.item() if isinstance(v, np.ndarray) and not v.ndim else v)
                for v in (found, own)
            ]
            raise ValueError(
                f"other was made with {option}={words[0]}, these statistics with {words[1]}"
            )


def check_shape(name: str, shape: tuple[int, ...], own: tuple[int, ...] | None) -> None:
    """Refuse a chunk, or statistics, of another batch."""
    if own is not None and shape != own:
        raise ValueError(
            f"{name} has problems of shape {shape}, these statistics are of shape {own}"
        )


def describe(stats: Any, nobs: float, *words: str) -> str:
    """What `repr` says of statistics."""
    batch = [f"{math.prod(stats.shape):,} problems"] if stats.shape else []
    text = ", ".join([*batch, *words, f"nobs = {nobs:.10g}"])
    return f"<{type(stats).__name__}: {text}>"
