"""Problems as rows of several arrays, for kernels that look at every observation more than once."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnat import _blocks
from fastnat._arrays import Array
from fastnat.kernels import grouping

Columns = tuple[Array | None, ...]
Fit = Callable[[Columns, NDArray[np.int64], int], None]

BLOCK = 1 << 15  # observations
WORK = 64  # how much more is done with a byte than reading it, about


class Rows:
    """Arrays of one shape, None for an array not given, whose reduced axes are the last ones.

    most : observations in a block of rows, unless a single row has more.
    """

    def __init__(self, columns: Columns, batch: tuple[int, ...], most: int = BLOCK) -> None:
        self.columns = columns
        self.batch = batch
        self.most = most
        self.n_fits = math.prod(batch)
        first = next(column for column in columns if column is not None)
        self.n_obs = math.prod(first.shape[len(batch) :])

    def to_result(self, flat: Array) -> Array:
        """(..., n_fits) -> (..., *batch)."""
        return flat.reshape(flat.shape[:-1] + self.batch)

    def _cut(self) -> list[tuple[Any, int, int]]:
        limit = max(1, self.most // max(self.n_obs, 1))
        return list(_blocks.cut(self.batch, limit))

    def _read(self, column: Array, index: Any) -> Array:
        return _blocks.flat(column[index], float32=False)

    def _ends(self, first: int, n_fits: int) -> NDArray[np.int64]:  # noqa: ARG002
        return _blocks.offsets(n_fits, self.n_obs)

    def run(self, fit: Fit, n_threads: int | None, work: int = WORK) -> None:
        """Call ``fit(columns, offsets, first)`` for every block of rows, from any thread.

        work : how much more is done with a byte of a column than reading it, about.
        """
        blocks = self._cut()

        def fit_block(i: int) -> None:
            index, first, n_fits = blocks[i]
            columns = tuple(None if c is None else self._read(c, index) for c in self.columns)
            fit(columns, self._ends(first, n_fits), first)

        n_bytes = 8 * self.n_fits * self.n_obs * work
        _blocks.run(fit_block, len(blocks), n_threads, n_bytes)


class Groups(Rows):
    """Ragged problems: one-dimensional arrays, and to which problem each observation belongs."""

    def __init__(self, columns: Columns, groups: NDArray[np.int64]) -> None:
        counts = np.zeros(int(np.max(groups, initial=-1)) + 1, np.int64)
        ascending = grouping.count(groups, counts)
        self.offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        if not ascending:
            columns = tuple(None if c is None else self._gather(c, groups) for c in columns)
        super().__init__(columns, (counts.size,))
        self.n_obs = groups.size // max(counts.size, 1)

    def _gather(self, column: Array, groups: NDArray[np.int64]) -> Array:
        """The column in the order of the groups."""
        if column.strides == (0,):  # one number for all
            return column
        gathered = np.empty(column.size)
        values = _blocks.flat(column, float32=False)
        grouping.collect(groups, values, self.offsets[:-1].copy(), gathered)
        return gathered

    def _cut(self) -> list[tuple[Any, int, int]]:
        blocks, first = [], 0
        while first < self.n_fits:
            start = self.offsets[first]
            end = int(np.searchsorted(self.offsets, start + self.most, side="right")) - 1
            end = min(max(end, first + 1), self.n_fits)
            blocks.append((slice(start, self.offsets[end]), first, end - first))
            first = end
        return blocks

    def _ends(self, first: int, n_fits: int) -> NDArray[np.int64]:
        own = self.offsets[first : first + n_fits + 1]
        return np.asarray(own - own[0], np.int64)
