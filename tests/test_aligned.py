"""Rows that begin with a line of the cache, wherever memory comes from."""

import numpy as np
import pytest

from fastnat.kernels import likelihood, linear_known, linear_values, tables
from fastnat.kernels.aligned import aligned, aligned_rows

LINE = 64  # bytes


def begins(array):
    """Where the rows of an array begin in their lines."""
    return {(array.ctypes.data + i * array.strides[0]) % LINE for i in range(len(array))}


@pytest.mark.parametrize("function", [aligned, aligned_rows])
def test_rows_begin_with_a_line(function):
    kept = []  # else memory might be that of the one before
    for n in range(1, 40):
        room = function(n, 8 * (n % 5 + 1))
        kept.append(room)
        assert room.shape == (n, 8 * (n % 5 + 1))
        assert room.dtype == np.float64
        assert room.flags.c_contiguous
        assert room.flags.writeable
        assert begins(room) == {0}
        room[:] = n
    for n, room in enumerate(kept, 1):
        assert np.all(room == n)


@pytest.mark.parametrize("function", [aligned, aligned_rows])
def test_there_may_be_no_rows(function):
    assert function(0, 8).shape == (0, 8)


def test_what_tiles_read_begins_with_a_line():
    kept = []
    for p in range(1, 20):
        kept += [*linear_values.new_work(p, 2)[:2], *linear_known.new_tools(p, 2)[:2]]
        kept += [tables.new_tools(p, False)[2], likelihood.make_scratch(p)[0]]
    for room in kept:
        assert begins(room) == {0}
