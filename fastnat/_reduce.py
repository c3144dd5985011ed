"""Observations to statistics: the moments of every problem, block by block, on threads."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnat import _blocks
from fastnat._arrays import Array, Problems, mergeable
from fastnat._blocks import Work
from fastnat._rows import Rows
from fastnat.kernels import columns, deviations, moments, rows, second_look

Stats = NDArray[np.float64]
Limits = NDArray[np.float64] | None
Tally = NDArray[np.float64] | None
Finish = Callable[[Stats, Tally, int, int], None]


class Use(NamedTuple):
    """Which values are used, and for what.

    limits : (2, 1) or (2, n_fits), values outside are not used; None for no limits.
    omit : True if NaN are not used either, else None.
    high : True for third and fourth moments as well, else None.
    """

    limits: Limits = None
    omit: Literal[True] | None = None
    high: Literal[True] | None = None

    @property
    def n_stats(self) -> int:
        return 5 if self.high is None else 7

    def new(self, n_fits: int, tallied: bool) -> tuple[Stats, Tally]:
        """Room for what is kept of each problem."""
        tally = np.empty((deviations.N_OUTSIDE, n_fits)) if tallied else None
        return np.empty((self.n_stats, n_fits)), tally

    def of(self, first: int, n_fits: int) -> "Use":
        """The same for these problems alone, as kernels read it."""
        if self.limits is None or self.limits.shape[1] == 1:
            return self
        return self._replace(limits=np.ascontiguousarray(self.limits[:, first : first + n_fits]))


_SMALL = 1 << 14  # observations in all that are one block of rows without further planning
_MAX_FITS = 1 << 14  # problems in a block of rows: their statistics stay in the cache
_COLUMNS = 1 << 10  # columns in a block that is read where it is, at least
_COPIED_COLUMNS = 1 << 4  # and in one that must be copied


class Batch(NamedTuple):
    """Problems that are to be reduced, and what gets their moments."""

    problems: Problems
    use: Use
    finish: Finish

    @property
    def n_bytes(self) -> int:
        problems = self.problems
        n_arrays = 1 if problems.weights is None else 2
        return 8 * problems.n_obs * problems.n_fits * n_arrays


def reduce_moments(
    problems: Problems, use: Use, tallied: bool, n_threads: int | None, finish: Finish
) -> None:
    """Reduce each problem to its moments: ``finish(stats, tally, first, n_fits)`` gets them.

    tallied : also the weight of what is not used; else the tally is None.
    finish : called once for every block of problems, from any thread.
    """
    n_fits, n_obs = problems.n_fits, problems.n_obs
    if n_obs * n_fits > _SMALL or problems.inner:
        reduce_batches([Batch(problems, use, finish)], tallied, n_threads)
        return
    # One block, and no time to lose.
    stats, tally = use.new(n_fits, tallied)
    values, weights = _blocks.flat(problems.x), problems.weights
    if weights is not None:
        weights = _blocks.flat(weights, float32=False)
    ends = _blocks.offsets(n_fits, n_obs)
    reduce_rows(values, weights, ends, use, 0, stats, tally)
    finish(stats, tally, 0, n_fits)


def reduce_batches(batches: Sequence[Batch], tallied: bool, n_threads: int | None) -> None:
    """`reduce_moments` of each, with threads that share the blocks of all."""
    n_bytes = sum(batch.n_bytes for batch in batches)
    works, ends = list[Work](), list[Callable[[], None]]()
    for batch in batches:
        problems, use, finish = batch
        size = _block_bytes(problems, n_bytes, n_threads)
        if problems.n_obs <= (columns.SEGMENT if problems.inner else rows.SEGMENT):
            cut = _columns if problems.inner else _rows
            works.append(cut(problems, size, use, tallied, finish))
        else:
            work, end = _segments(batch, size, tallied)
            works.append(work)
            ends.append(end)
    _blocks.run_all(works, n_threads, n_bytes)
    for end in ends:
        end()


def _segments(batch: Batch, size: int, tallied: bool) -> tuple[Work, Callable[[], None]]:
    """Blocks of segments of long problems, and what merges these in the end."""
    problems, use, finish = batch
    n_fits = problems.n_fits
    n_segments = -(-problems.n_obs // (columns.SEGMENT if problems.inner else rows.SEGMENT))
    parts = use.new(n_segments * n_fits, tallied)
    cut = _column_segments if problems.inner else _row_segments

    def end() -> None:
        stats, tally = use.new(n_fits, tallied)
        steps = (1, n_fits) if problems.inner else (n_segments, 1)
        moments.merge_segments(parts[0], n_segments, *steps, use.high, 0, stats)
        if tally is not None and parts[1] is not None:
            shape = (n_segments, n_fits) if problems.inner else (n_fits, n_segments)
            parts[1].reshape(-1, *shape).sum(axis=1 if problems.inner else 2, out=tally)
        finish(stats, tally, 0, n_fits)

    return cut(problems, size, use, parts), end


def collector(stats: Stats, tally: NDArray[np.float64]) -> Finish:
    """What puts the moments of some problems among those of all."""

    def collect(part: Stats, beyond: Tally, first: int, n_fits: int) -> None:
        stats[:, first : first + n_fits] = part
        if beyond is not None:
            tally[:, first : first + n_fits] = beyond

    return collect


def reduce_groups(
    groups: Rows, use: Use, tallied: bool, n_threads: int | None, finish: Finish
) -> None:
    """`reduce_moments` of ragged problems; their columns are those of `Given`."""

    def reduce(columns: Any, offsets: NDArray[np.int64], first: int) -> None:
        x, *_, weights = columns
        n_fits = offsets.size - 1
        stats, tally = use.new(n_fits, tallied)
        reduce_rows(x, weights, offsets, use.of(first, n_fits), 0, stats, tally)
        finish(stats, tally, first, n_fits)

    groups.run(reduce, n_threads)


def reduce_rows(
    x: Array,
    w: Array | None,
    offsets: NDArray[np.int64],
    use: Use,
    first: int,
    stats: Stats,
    tally: Tally,
) -> None:
    """`rows.reduce_rows`, and a second look at what is doubtful."""
    if rows.reduce_rows(x, w, offsets, *use, first, stats, tally):
        _look_again(x, w, offsets[:-1], offsets[1:], 1, use, first, stats)


def reduce_columns(
    x: Array,
    w: Array | None,
    layout: tuple[int, int, int, int, int, int],
    use: Use,
    first: int,
    stats: Stats,
    tally: Tally,
) -> None:
    """`columns.reduce_columns`, and a second look at what is doubtful.

    layout : (start, n_slabs, slab, n, stride, width).
    """
    if columns.reduce_columns(x, w, *layout, *use, first, stats, tally):
        start, n_slabs, slab, n, stride, width = layout
        starts = np.add.outer(start + slab * np.arange(n_slabs), np.arange(width)).reshape(-1)
        _look_again(x, w, starts, starts + n * stride, stride, use, first, stats)


_NO_LIMITS = np.empty((2, 0))


def _look_again(
    x: Array,
    w: Array | None,
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    stride: int,
    use: Use,
    first: int,
    stats: Stats,
) -> None:
    limits = _NO_LIMITS if use.limits is None else use.limits
    second_look.look_again(
        x, _blocks.or_nothing(w), starts, stops, stride, limits, use.omit is True, first, stats
    )


def _block_bytes(problems: Problems, n_bytes: int, n_threads: int | None) -> int:
    if _direct(problems):
        return _blocks.direct_bytes(n_bytes, n_threads)
    return _blocks.SCRATCH_BYTES


def _direct(problems: Problems) -> bool:
    x, w = problems.x, problems.weights
    return _blocks.readable(x) and (w is None or _blocks.readable(w, float32=False))


def _flat(x: Array, w: Array | None, index: Any) -> tuple[Array, Array | None]:
    return _blocks.flat(x[index]), None if w is None else _blocks.flat(w[index], float32=False)


def _rows(problems: Problems, block_bytes: int, use: Use, tallied: bool, finish: Finish) -> Work:
    """Each block is a number of whole rows."""
    limit = max(1, min(_MAX_FITS, block_bytes // (8 * problems.n_obs + 1)))
    blocks = list(_blocks.cut(problems.batch, limit))

    def work(i: int) -> None:
        index, first, n_fits = blocks[i]
        stats, tally = use.new(n_fits, tallied)
        values, weights = _flat(problems.x, problems.weights, index)
        ends = _blocks.offsets(n_fits, problems.n_obs)
        reduce_rows(values, weights, ends, use.of(first, n_fits), 0, stats, tally)
        finish(stats, tally, first, n_fits)

    return work, len(blocks)


def _row_segments(
    problems: Problems, block_bytes: int, use: Use, parts: tuple[Stats, Tally]
) -> Work:
    """Each block is a number of segments of one row; segment s of row f is f * n_segments + s."""
    x, w, n_obs, size = problems.x, problems.weights, problems.n_obs, rows.SEGMENT
    n_segments = -(-n_obs // size)
    step = max(1, block_bytes // (8 * size))
    blocks = [(f, s) for f in range(problems.n_fits) for s in range(0, n_segments, step)]

    def work(i: int) -> None:
        f, s = blocks[i]
        begin, stop = s * size, min(n_obs, (s + step) * size)
        index = _blocks.place(f, problems.batch)
        values = _blocks.flat(_stretch(x[index], begin, stop))
        weights = w
        if w is not None:
            weights = _blocks.flat(_stretch(w[index], begin, stop), float32=False)
        ends = np.minimum(_blocks.offsets(min(step, n_segments - s), size), stop - begin)
        reduce_rows(values, weights, ends, use.of(f, 1), f * n_segments + s, *parts)

    return work, len(blocks)


def _stretch(row: Array, begin: int, stop: int) -> Array:
    """Elements begin to stop - 1 of the row, whose axes may not merge to one."""
    stretch: Array = (row.reshape(-1) if mergeable(row, range(row.ndim)) else row.flat)[begin:stop]
    return stretch


def _columns(problems: Problems, block_bytes: int, use: Use, tallied: bool, finish: Finish) -> Work:
    """Each block is a number of columns, or of whole slabs of columns."""
    blocks, reduce = _column_blocks(problems, block_bytes, use)

    def work(i: int) -> None:
        first, n_fits = blocks[i][:2]
        stats, tally = use.new(n_fits, tallied)
        reduce(blocks[i], 0, problems.n_obs, 0, stats, tally)
        finish(stats, tally, first, n_fits)

    return work, len(blocks)


def _column_segments(
    problems: Problems, block_bytes: int, use: Use, parts: tuple[Stats, Tally]
) -> Work:
    """Each block is one segment of columns; segment s of column f is s * n_fits + f."""
    blocks, reduce = _column_blocks(problems, block_bytes, use)
    n_obs, size = problems.n_obs, columns.SEGMENT
    n_segments = -(-n_obs // size)

    def work(i: int) -> None:
        s, k = divmod(i, len(blocks))
        column = s * problems.n_fits + blocks[k][0]
        reduce(blocks[k], s * size, min(n_obs, (s + 1) * size), column, *parts)

    return work, n_segments * len(blocks)


def _column_blocks(problems: Problems, block_bytes: int, use: Use) -> tuple[list[Any], Any]:
    """Blocks (first, n_fits, index of slabs, first slab, columns) and how to reduce one."""
    x, w = problems.x, problems.weights
    *outer, n_obs, width = x.shape
    n_rows = min(n_obs, columns.SEGMENT)
    direct = _direct(problems)
    slabs_at_once = block_bytes // (8 * n_rows * width + 1)
    least = _COLUMNS if direct else _COPIED_COLUMNS
    step = width if slabs_at_once else max(least, block_bytes // (8 * n_rows) // least * least)
    blocks = []
    for index, slab, n_slabs in _blocks.cut(tuple(outer), max(1, slabs_at_once)):
        for j in range(0, width, step):
            here = slice(j, min(j + step, width))
            n_fits = n_slabs * (here.stop - j)
            blocks.append((slab * width + j, n_fits, index, slab, here))
    if direct:
        flat_x, flat_w = _flat(x, w, ...)

    def reduce(block: Any, begin: int, stop: int, column: int, stats: Stats, tally: Tally) -> None:
        first, n_fits, index, slab, here = block
        n, n_columns = stop - begin, here.stop - here.start
        n_slabs = n_fits // n_columns
        if direct:
            values, weights = flat_x, flat_w
            start, size, stride = (slab * n_obs + begin) * width, n_obs * width, width
            start += here.start
        else:
            rest = (..., slice(begin, stop), here)
            values, weights = _flat(x[index], None if w is None else w[index], rest)
            start, size, stride = 0, n * n_columns, n_columns
        layout = start, n_slabs, size, n, stride, n_columns
        own = use.of(first, n_fits)
        reduce_columns(values, weights, layout, own, column, stats, tally)

    return blocks, reduce
