"""Tables of observations to means and covariances: block by block, on threads."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnat import _blocks
from fastnat._arrays import Array, as_array
from fastnat.kernels import codes, mvn, mvn_errors, mvn_missing, tables

SEGMENT = 1 << 18
"""Numbers of a table in one segment, about: longer tables are cut, and the statistics merged."""

LARGE = 32
"""Tables with missing entries and more columns are fitted by expectation-maximisation."""

_ESCAPES = 4  # from saddles, at most
_COPIED = 1 << 15  # numbers in a block of tables that must be copied first
_DIRECT = 1 << 19  # and in one that is read where it is
_WORK = 64  # how much more is done with a byte than reading it where entries are missing, about


class Tables(NamedTuple):
    """Problems (*batch, n_obs, d), and weights (*batch, n_obs) or None, as views."""

    x: Array
    weights: Array | None
    batch: tuple[int, ...]
    omit: bool  # rows with a NaN

    @property
    def n_fits(self) -> int:
        return math.prod(self.batch)

    @property
    def n_obs(self) -> int:
        return int(self.x.shape[-2])

    @property
    def d(self) -> int:
        return int(self.x.shape[-1])

    def part(self, index: Any) -> tuple[Array, Array | None]:
        """A part of the observations as flat arrays that kernels read."""
        values = _blocks.flat(self.x[index], float32=False)
        w = None
        if self.weights is not None:
            w = _blocks.flat(self.weights[index], float32=False)
        if self.omit:
            complete = np.empty(values.size // self.d)
            tables.weigh_complete(values, w, self.d, complete)
            w = complete
        return values, w

    def blocks(self) -> list[tuple[Any, int, int]]:
        """(index, first, n_fits) of blocks of whole problems."""
        readable = _blocks.readable(self.x, float32=False)
        limit = (_DIRECT if readable else _COPIED) // max(1, self.n_obs * self.d)
        return list(_blocks.cut(self.batch, max(1, limit)))

    @property
    def like(self) -> tuple[float, ...] | None:
        """What tells kernels a small number of columns when they are compiled."""
        return (0.0,) * self.d if self.d <= tables.SMALL else None


def arrange(x: Any, weights: Any, omit: bool) -> Tables:
    """Broadcast X and the weights of its rows."""
    values = as_array("X", x)
    if values.ndim < 2:
        raise ValueError(f"X must be of shape (..., n, d), not {values.shape}")
    d = values.shape[-1]
    if d == 0:
        raise ValueError("X must have at least one column")
    if weights is None:
        return Tables(values, None, values.shape[:-2], omit)
    factors = as_array("weights", weights)
    try:
        shape = np.broadcast_shapes(values.shape[:-1], factors.shape)
    except ValueError:
        raise ValueError(
            f"weights of shape {factors.shape} do not broadcast with the rows of X,"
            f" {values.shape[:-1]}; one weight per problem is weights[:, None]"
        ) from None
    values, factors = np.broadcast_to(values, (*shape, d)), np.broadcast_to(factors, shape)
    return Tables(values, factors, shape[:-1], omit)


class Estimates(NamedTuple):
    """Where kernels write, a row for each problem."""

    mean: Array  # (n_fits, d)
    scatter: Array  # (n_fits, d, d): the covariance in units of the scale
    scale: Array  # (n_fits, d): powers of two
    numbers: Array  # (n_fits, mvn.SIZE)

    def rows(self, first: int, n_fits: int) -> "Estimates":
        here = slice(first, first + n_fits)
        return Estimates(*(array[here] for array in self))


def new_estimates(n_fits: int, d: int) -> Estimates:
    return Estimates(
        np.empty((n_fits, d)),
        np.empty((n_fits, d, d)),
        np.empty((n_fits, d)),
        np.empty((n_fits, mvn.SIZE)),
    )


class Search(NamedTuple):
    """What is asked for where entries are missing."""

    start: tuple[Array, Array]  # (n_fits, d), (n_fits, d, d); or of no problems: none is given
    max_iter: int
    tol: float


def fit(source: Tables, out: Estimates, search: Search | None, n_threads: int | None) -> None:
    """Fit all problems; where entries are missing, if a search is asked for, else NAN_INPUT."""
    if source.n_obs * source.d > SEGMENT:
        _fit_long(source, out, search, n_threads)
    else:
        _fit_blocks(source, out, search, n_threads)


def _fit_missing(
    x: Array, w: Array | None, n: int, first: int, out: Estimates, search: Search | None
) -> None:
    """Fit those of neighbouring tables of n rows that have missing entries."""
    which = np.flatnonzero(out.numbers[:, mvn.STATUS] == codes.NAN_INPUT)
    if search is None or not which.size:
        return
    n_fits, d = out.mean.shape
    start = search.start[0][first : first + n_fits], search.start[1][first : first + n_fits]
    end = search.max_iter, search.tol

    def one(b: Any) -> tuple[Array, Array | None]:
        return x[b * n * d : (b + 1) * n * d], None if w is None else w[b * n : (b + 1) * n]

    if d > LARGE:
        for b in which:
            own = (*one(b), *(array[b : b + 1] for array in start), *end)
            mvn_missing.fit_many_variables(*own, *(array[b] for array in out))
    else:
        offsets = _blocks.offsets(n_fits, n)
        mvn_missing.fit_missing(x, w, offsets, which, *start, *end, *out)
    for _ in range(_ESCAPES):
        for b in np.flatnonzero(out.numbers[:, mvn.STATUS] == codes.SADDLE):
            mvn_missing.leave_saddle(*one(b), *end, *(array[b] for array in out))


def relative_covariances(
    source: Tables, found: Estimates, which: NDArray[np.int64], kind: int, n_threads: int | None
) -> Array:
    """Covariances (len(which), p, p) of the parameters in units of standard deviations."""
    d = source.d
    p = d + d * (d + 1) // 2
    cov = np.empty((which.size, p, p))

    def work(k: int) -> None:
        f = which[k]
        index = np.unravel_index(f, source.batch) if source.batch else ()
        x, w = source.part(index)
        mvn_errors.relative_covariance(
            x, w, found.mean[f], found.scatter[f], found.scale[f], kind, cov[k]
        )

    _blocks.run(work, which.size, n_threads, which.size * (8 * p * p + 64 * source.n_obs * d))
    return cov


def _fit_block(
    x: Array, w: Array | None, like: Any, offsets: NDArray[np.int64], d: int, out: Estimates
) -> None:
    """Fit neighbouring tables."""
    stats = np.empty((offsets.size - 1, tables.n_stats(d)))
    tables.reduce_tables(x, w, like, offsets, d, stats)
    _finish(stats, d, out)
    for b in np.flatnonzero(out.numbers[:, mvn.RANK] == mvn.DOUBTFUL):
        r = np.zeros((d, d))
        n = offsets[b + 1] - offsets[b]
        mvn.triangle(x, w, offsets[b], n, stats[b], out.scatter[b], r)
        mvn.decide(stats[b], out.mean[b], out.scatter[b], r, out.numbers[b])


def _finish(stats: Array, d: int, out: Estimates) -> None:
    if mvn.finish(stats, out.mean, out.scatter, out.scale, np.empty((d, d)), out.numbers):
        raise ValueError("weights must be finite and not negative, and so must their sum")


def _fit_blocks(
    source: Tables, out: Estimates, search: Search | None, n_threads: int | None
) -> None:
    """Each block is a number of problems."""
    blocks, d = source.blocks(), source.d

    def work(i: int) -> None:
        index, first, n_fits = blocks[i]
        offsets, own = _blocks.offsets(n_fits, source.n_obs), out.rows(first, n_fits)
        x, w = source.part(index)
        _fit_block(x, w, source.like, offsets, d, own)
        _fit_missing(x, w, source.n_obs, first, own, search)

    n_bytes = 8 * source.n_fits * source.n_obs * d * (1 if search is None else _WORK)
    _blocks.run(work, len(blocks), n_threads, n_bytes)


def _fit_long(source: Tables, out: Estimates, search: Search | None, n_threads: int | None) -> None:
    """One problem after the other, each in segments whose statistics are merged in a tree."""
    d, n_obs = source.d, source.n_obs
    size = max(1, SEGMENT // d)
    parts = np.empty((-(-n_obs // size), tables.n_stats(d)))

    for f in range(source.n_fits):
        index = np.unravel_index(f, source.batch) if source.batch else ()
        own = out.rows(f, 1)

        def rows(i: int, index: Any = index) -> tuple[Array, Array | None, int]:
            begin, stop = i * size, min(n_obs, (i + 1) * size)
            return *source.part((*index, slice(begin, stop))), stop - begin

        def work(i: int, rows: Callable[[int], Any] = rows) -> None:
            x, w, n = rows(i)
            tables.reduce_tables(x, w, source.like, np.array([0, n]), d, parts[i : i + 1])

        _blocks.run(work, len(parts), n_threads, 8 * n_obs * d)
        tables.merge_tables(parts, d)
        _finish(parts[:1], d, own)
        if own.numbers[0, mvn.RANK] == mvn.DOUBTFUL:
            r = np.zeros((d, d))
            for i in range(len(parts)):
                x, w, n = rows(i)
                mvn.triangle(x, w, 0, n, parts[0], own.scatter[0], r)
            mvn.decide(parts[0], own.mean[0], own.scatter[0], r, own.numbers[0])
        if search is not None and own.numbers[0, mvn.STATUS] == codes.NAN_INPUT:
            _fit_missing(*source.part(index), n_obs, f, own, search)
