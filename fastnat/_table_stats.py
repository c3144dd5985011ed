"""Statistics of many complete tables that come in chunks: what means and regressions share."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnat import _levels, _tables
from fastnat._arrays import Array, check_weights
from fastnat.kernels import codes, tables, triangles

STATS, TRIANGLES, COUNTS = range(3)
"""Statistics (n, n_stats(d)) as of `tables`; triangles (n, d, d) of the scatter in their units;
numbers of rows (n,), right up to d."""

_SAME = 1e-6  # how well scatter and triangle agree, in units of standard deviations


def new(n_fits: int, d: int) -> _levels.Parts:
    """Those of no data."""
    stats, roots, counts = (np.zeros(shape) for shape in _shapes(n_fits, d))
    stats[:, 2 * d : 3 * d] = 1.0
    return stats, roots, counts


def _shapes(n_fits: int, d: int) -> tuple[tuple[int, ...], ...]:
    return (n_fits, int(tables.n_stats(d))), (n_fits, d, d), (n_fits,)


def from_arrays(
    name: str, arrays: Mapping[str, Any], n_fits: int, d: int, suffix: str = ""
) -> _levels.Parts:
    """Those that ``to_arrays`` gave, whose names end so."""
    keys = [f"{key}{suffix}" for key in ("stats", "triangles", "counts")]
    parts = _levels.get_all(name, arrays, keys, _shapes(n_fits, d))
    stats, roots, counts = parts
    total, mean = weight(parts), stats[:, d]
    lower = np.tril_indices(d)
    scatter = stats[:, 3 * d + 1 :]
    squares = scatter[:, lower[0] == lower[1]]
    possible = (total >= 0.0) & (total < np.inf)
    fine = np.isfinite(stats).all(axis=1) & (squares >= 0.0).all(axis=1)
    fine &= _levels.possible_units(stats[:, 2 * d : 3 * d], stats[:, d : 2 * d]).all(axis=1)
    # Of values that are not finite the mean tells, and nothing else has to be a number.
    unusable = (total > 0.0) & ~np.isfinite(mean)
    _levels.check_values(keys[STATS], possible & (fine | unusable))
    with np.errstate(all="ignore"):
        gap = np.abs((np.swapaxes(roots, 1, 2) @ roots)[:, *lower] - scatter)
        size = np.sqrt(squares[:, lower[0]]) * np.sqrt(squares[:, lower[1]])
        same = (gap <= _SAME * size).all(axis=1)
    _levels.check_values(keys[TRIANGLES], same | unusable)
    _levels.check_values(keys[COUNTS], (counts >= 0.0) & (counts < np.inf))
    return parts


def levels() -> _levels.Levels:
    """Where chunks of them are merged."""
    return _levels.Levels(_merge)


def _merge(into: _levels.Parts, other: _levels.Parts) -> None:
    d = into[TRIANGLES].shape[1]
    triangles.merge(other[STATS], other[TRIANGLES], d, into[STATS], into[TRIANGLES])
    np.add(into[COUNTS], other[COUNTS], out=into[COUNTS])


def reduce(source: _tables.Tables, n_threads: int | None) -> _levels.Parts:
    """The statistics of a chunk; ValueError if a weight cannot be used."""
    d = source.d
    parts = new(source.n_fits, d)

    def finish(stats: Array, block: _tables.Block) -> None:
        here = slice(block.first, block.first + block.n_fits)
        parts[STATS][here] = stats
        found = _tables.new_estimates(block.n_fits, d)
        which = _tables.maximise(stats, found)
        own = parts[TRIANGLES][here]
        triangles.from_scatter(found.scatter, found.numbers, own)
        own[which] = _tables.triangles(block, which, stats, found.scatter)
        own[which] *= _sd(found.scatter[which])[:, None, :]
        parts[COUNTS][here] = _count(block, d)

    _tables.reduce(source, n_threads, 1, finish)
    return parts


def _sd(scatter: Array) -> Array:
    sd: Array = np.sqrt(np.diagonal(scatter, axis1=-2, axis2=-1))
    return sd


def _count(block: _tables.Block, d: int) -> Any:
    """The number of rows of each problem, d at least if there are more."""
    counts = np.zeros(block.n_fits)
    for _, w, offsets in block.pieces():
        if w is None:
            return counts + block.source.n_obs
        used = np.concatenate([[0], np.cumsum(w > 0.0)])
        counts += used[offsets[1:]] - used[offsets[:-1]]
        if np.all(counts > d):
            break
    return counts


def weight(parts: _levels.Parts) -> Array:
    """The total weight of each problem."""
    total: Array = parts[STATS][:, 3 * parts[TRIANGLES].shape[1]]
    return total


def status(parts: _levels.Parts) -> NDArray[np.int64]:
    """NO_DATA, NAN_INPUT or INVALID_INPUT, or OK if the values can be used."""
    mean = parts[STATS][:, parts[TRIANGLES].shape[1]]
    total = weight(parts)
    check_weights(not np.all(total < np.inf))
    cases = [total == 0.0, np.isnan(mean), np.isinf(mean)]
    return np.select(cases, [codes.NO_DATA, codes.NAN_INPUT, codes.INVALID_INPUT], codes.OK)


def has_nan(parts: _levels.Parts) -> bool:
    """Whether a value that is used is NaN."""
    d = parts[TRIANGLES].shape[1]
    stats = parts[STATS]
    return bool(np.any(np.isnan(stats[:, d]) & (stats[:, 3 * d] > 0.0)))


def fit(parts: _levels.Parts) -> _tables.Estimates:
    """Means and covariances of complete tables."""
    stats, roots, _ = parts
    found = _tables.new_estimates(*roots.shape[:2])
    which = _tables.maximise(stats, found)
    sd = _sd(found.scatter[which])[:, None, :]
    unit = np.where(sd > 0.0, sd, 1.0)
    _tables.decide(stats, which, roots[which] / unit, found)
    return found


def center(parts: _levels.Parts, origins: Array | float) -> Array:
    """Means (n, d) relative to these origins (n, d)."""
    stats, roots, _ = parts
    d = roots.shape[1]
    shift: Array = (stats[:, :d] - origins) + stats[:, 2 * d : 3 * d] * stats[:, d : 2 * d]
    return shift


def points(parts: _levels.Parts, origins: Array) -> tuple[Array, Array]:
    """Few rows (n, 2 d, d), relative to origins, and their weights, with the same statistics.

    From the mean, up and down along each row of the triangle.
    """
    stats, roots, _ = parts
    d = roots.shape[1]
    weight = stats[:, 3 * d]
    with np.errstate(invalid="ignore"):  # of infinite values
        mean = center(parts, origins)
    used = weight > 0.0
    with np.errstate(over="ignore"):  # a total weight of 5e-324, values of 1e308
        size = np.sqrt(np.divide(d, weight, np.zeros(weight.shape), where=used))
        away = size[:, None, None] * (roots * stats[:, None, 2 * d : 3 * d])
    bad = used & ~np.isfinite(stats[:, d])
    mean[bad], away[bad] = np.inf, 0.0
    mean[~used] = 0.0
    rows = np.concatenate([mean[:, None, :] + away, mean[:, None, :] - away], axis=1)
    return rows, np.repeat(weight[:, None] / (2 * d), 2 * d, axis=1)
