"""Tables of observations to means and covariances: block by block, on threads."""

import math
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnat import _blocks
from fastnat._arrays import Array, as_array, check_weights
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


class Block:
    """Neighbouring problems, of which rows are read in one piece or in segments."""

    def __init__(
        self, source: Tables, index: Any, first: int, n_fits: int, segment: int | None = None
    ) -> None:
        self.source = source
        self.index = index
        self.first = first
        self.n_fits = n_fits
        self.segment = segment

    @cached_property
    def data(self) -> tuple[Array, Array | None]:
        return self.source.part(self.index)

    def pieces(self) -> Iterator[tuple[Array, Array | None, NDArray[np.int64]]]:
        """All rows, piece by piece: values, weights, and where those of each problem begin."""
        n_obs = self.source.n_obs
        if self.segment is None:
            yield *self.data, _blocks.offsets(self.n_fits, n_obs)
            return
        for begin in range(0, n_obs, self.segment):
            stop = min(n_obs, begin + self.segment)
            part = self.source.part((*self.index, slice(begin, stop)))
            yield *part, _blocks.offsets(1, stop - begin)


Finish = Callable[[Array, Block], None]


def reduce(source: Tables, n_threads: int | None, work: int, finish: Finish) -> None:
    """Reduce each problem to its statistics: ``finish(stats, block)`` gets them.

    work : how much more is done with a byte than reading it.
    finish : called once for every block of problems, from any thread.
    """
    if source.n_obs * source.d > SEGMENT:
        _reduce_long(source, n_threads, work, finish)
        return
    blocks, d = source.blocks(), source.d

    def reduce_block(i: int) -> None:
        block = Block(source, *blocks[i])
        stats = np.empty((block.n_fits, tables.n_stats(d)))
        ends = _blocks.offsets(block.n_fits, source.n_obs)
        _reduce_tables(*block.data, ends, d, stats)
        finish(stats, block)

    _blocks.run(reduce_block, len(blocks), n_threads, 8 * source.n_fits * source.n_obs * d * work)


def _reduce_tables(
    x: Array, w: Array | None, offsets: NDArray[np.int64], d: int, stats: Array
) -> None:
    """`tables.reduce_tables`, and a second look at what is doubtful."""
    # What tells the kernel a small number of columns when it is compiled.
    like = (0.0,) * d if d <= tables.SMALL else None
    if tables.reduce_tables(x, w, like, offsets, d, stats):
        tables.look_again(x, _blocks.or_nothing(w), offsets, d, stats)


def _reduce_long(source: Tables, n_threads: int | None, work: int, finish: Finish) -> None:
    """One problem after the other, each in segments whose statistics are merged in a tree."""
    d, n_obs = source.d, source.n_obs
    size = max(1, SEGMENT // d)
    parts = np.empty((-(-n_obs // size), tables.n_stats(d)))

    for f in range(source.n_fits):
        index = _blocks.place(f, source.batch)

        def reduce_segment(i: int, index: Any = index) -> None:
            begin, stop = i * size, min(n_obs, (i + 1) * size)
            x, w = source.part((*index, slice(begin, stop)))
            ends = np.array([0, stop - begin])
            _reduce_tables(x, w, ends, d, parts[i : i + 1])

        _blocks.run(reduce_segment, len(parts), n_threads, 8 * n_obs * d)
        tables.merge_tables(parts, d)
        block = Block(source, index, f, 1, size)

        def finish_one(_: int, block: Block = block) -> None:
            finish(parts[:1], block)

        _blocks.run(finish_one, 1, 1, 8 * n_obs * d * (work - 1))


def maximise(stats: Array, out: Estimates) -> NDArray[np.int64]:
    """Fit from statistics; the problems whose rank takes triangles to decide."""
    d = out.mean.shape[1]
    work = np.empty((d + 1, d))
    check_weights(mvn.finish(stats, out.mean, out.scatter, out.scale, work, out.numbers))
    return np.flatnonzero(out.numbers[:, mvn.RANK] == mvn.DOUBTFUL)


def triangles(block: Block, which: NDArray[np.int64], stats: Array, scatter: Array) -> Array:
    """Those (len(which), d, d) of these problems of a block, in units of standard deviations."""
    d = scatter.shape[-1]
    found = np.zeros((which.size, d, d))
    if which.size:
        for x, w, offsets in block.pieces():
            for r, b in zip(found, which, strict=True):
                n = offsets[b + 1] - offsets[b]
                mvn.triangle(x, w, offsets[b], n, stats[b], scatter[b], r)
    return found


def fit(source: Tables, out: Estimates, search: Search | None, n_threads: int | None) -> None:
    """Fit all problems; where entries are missing, if a search is asked for, else NAN_INPUT."""

    def finish(stats: Array, block: Block) -> None:
        own = out.rows(block.first, block.n_fits)
        which = maximise(stats, own)
        decide(stats, which, triangles(block, which, stats, own.scatter), own)
        if search is not None and np.any(own.numbers[:, mvn.STATUS] == codes.NAN_INPUT):
            x, w = block.data
            _fit_missing(x, _blocks.or_nothing(w), source.n_obs, block.first, own, search)

    reduce(source, n_threads, 1 if search is None else _WORK, finish)


def decide(stats: Array, which: NDArray[np.int64], found: Array, out: Estimates) -> None:
    """Rank, status and log-likelihood of problems that `maximise` has left, by triangles."""
    for r, b in zip(found, which, strict=True):
        mvn.decide(stats[b], out.mean[b], out.scatter[b], r, out.numbers[b])


def _fit_missing(x: Array, w: Array, n: int, first: int, out: Estimates, search: Search) -> None:
    """Fit those of neighbouring tables of n rows that have missing entries."""
    which = np.flatnonzero(out.numbers[:, mvn.STATUS] == codes.NAN_INPUT)
    n_fits, d = out.mean.shape
    start = search.start[0][first : first + n_fits], search.start[1][first : first + n_fits]
    end = search.max_iter, search.tol

    def one(b: Any) -> tuple[Array, Array]:
        return x[b * n * d : (b + 1) * n * d], w[b * n : (b + 1) * n]

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
        index = _blocks.place(f, source.batch)
        x, w = source.part(index)
        mvn_errors.relative_covariance(
            x, _blocks.or_nothing(w), found.mean[f], found.scatter[f], found.scale[f], kind, cov[k]
        )

    _blocks.run(work, which.size, n_threads, which.size * (8 * p * p + 64 * source.n_obs * d))
    return cov
