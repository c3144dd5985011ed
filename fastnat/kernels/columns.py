"""Moments of columns: the problems are neighbours in memory, and each is a lane."""

import math

import numpy as np

from fastnat.kernels import deviations, moments
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels.aligned import aligned_rows

SEGMENT = 1 << 13
"""Longer columns are cut into segments of this size, whose statistics are merged in a tree."""

_BLOCK = 128  # rows between two updates of the running shifts
_ROWS = 8  # rows of one sweep over the columns
_TILE = 1024  # columns swept at a time: their sums stay in the caches


@kernel
def reduce_columns(
    x, w, start, n_slabs, slab, n, stride, width, limits, omit, high, first, stats, tally
):
    """Statistics of problems whose observations are ``stride`` apart in memory.

    Observation i < n of column j < width of slab a < n_slabs is element
    ``start + a * slab + i * stride + j`` of the flat arrays x and w; its statistics go to column
    ``first + a * width + j`` of ``stats``.  The rest as in `reduce_rows`, with limits (2, 1) or
    (2, n_slabs * width), and what is returned.
    """
    consts, n_doubtful = aligned_rows(deviations.N_CONSTS, _TILE), 0
    consts[:] = 0.0
    sums = aligned_rows(deviations.N_SUMS, _TILE)
    state = aligned_rows(6, _TILE)
    outside = aligned_rows(deviations.N_OUTSIDE, _TILE)
    for a in range(n_slabs):
        for j in range(0, width, _TILE):
            tile = min(_TILE, width - j)
            column = a * width + j
            deviations.set_limits(limits, column, consts)
            begin = start + a * slab + j
            _column_tile(
                x,
                w,
                limits,
                omit,
                high,
                begin,
                n,
                stride,
                tile,
                consts,
                sums,
                state,
                tally,
                outside,
            )
            if tally is not None:
                _store_tally(tile, outside, first + column, tally)
            n_doubtful += _store_moments(high, tile, consts, state, first + column, stats)
    return n_doubtful


@helper
def _store_tally(tile, outside, first, tally):
    for s in range(deviations.N_OUTSIDE):
        for k in range(tile):
            tally[s, first + k] = outside[s, k]


@helper
def _store_moments(high, tile, consts, state, first, stats):
    """The statistics of the columns of a tile; returns how many are doubtful."""
    origins, n_doubtful = consts[deviations.SHIFT], 0
    for k in range(tile):
        m3, m4 = 0.0, 0.0
        if high is not None:
            m3, m4 = state[3, k], state[4, k]
        weight, mean, m2, origin = state[0, k], state[1, k], state[2, k], origins[k]
        scale = moments.scale_or_nan(high, weight, origin, mean, state[5, k], m2, m4)
        moments.store((origin, scale, weight, mean, m2, m3, m4), stats, first + k)
        n_doubtful += scale != scale
    return n_doubtful


@helper
def _column_tile(
    x, w, limits, omit, high, start, n, stride, tile, consts, sums, state, tally, outside
):
    """(W, mean, M2, M3, M4) of each column of a tile, about the origins left in ``consts``.

    The last row of ``state`` collects the squares about the running means, ``outside`` what the
    limits leave out if there is a tally.
    """
    top = deviations.first_sum(w, limits, omit)
    state[:] = 0.0
    outside[:] = 0.0
    consts[deviations.RUNNING] = 0.0
    consts[deviations.SHIFT] = math.nan  # not known yet
    unknown = tile
    for i0 in range(0, n, _BLOCK):
        size = min(_BLOCK, n - i0)
        sums[:] = 0.0
        for i in range(i0, i0 + size, _ROWS):
            rows = min(_ROWS, i0 + size - i)
            at = start + i * stride
            if unknown > 0:
                unknown = _find_origins(x, w, limits, omit, at, rows, stride, tile, consts)
            flags = (limits, omit, high, True, tally)
            deviations.centred_columns((x, w), at, stride, rows, tile, consts, flags, sums, top)
        if top:
            sums[0] = size
        if tally is not None:
            deviations.add_tally(w, omit, high, size, tile, sums, 0, outside)
        _merge_columns(high, tile, sums, state, consts[deviations.RUNNING])
    for k in range(tile):
        if consts[deviations.SHIFT, k] != consts[deviations.SHIFT, k]:
            consts[deviations.SHIFT, k] = 0.0


@helper
def _find_origins(x, w, limits, omit, at, rows, stride, tile, consts):
    """Take the mean of these rows as origin of each column that has none; how many have none."""
    top = deviations.first_sum(w, limits, omit)
    total = np.zeros((2, _TILE))
    flags = (limits, omit, None, None, None)
    deviations.total_of_columns((x, w), at, stride, rows, tile, consts, flags, total, top)
    return _set_shifts(top, rows, tile, total, consts)


@helper
def _set_shifts(top, rows, tile, total, consts):
    unknown = 0
    for k in range(tile):
        weight = float(rows) if top else total[0, k]
        if consts[deviations.SHIFT, k] != consts[deviations.SHIFT, k]:
            if weight > 0.0:
                consts[deviations.SHIFT, k] = total[1, k] / weight
            else:
                unknown += 1
    return unknown


@helper
def _merge_columns(high, tile, sums, state, running):
    """Merge the sums of a block about the running means into the state of each column."""
    weights, means, m2s, squares = state[0], state[1], state[2], state[5]
    w, e, q = sums[0], sums[1], sums[2]
    for k in range(tile):
        c, f, m3, m4 = 0.0, 0.0, 0.0, 0.0
        if high is not None:
            c, f, m3, m4 = sums[3, k], sums[4, k], state[3, k], state[4, k]
        shift, m2b, m3b, m4b = moments.central(high, w[k], e[k], q[k], c, f)
        before = weights[k], means[k], m2s[k], m3, m4
        weight, mean, m2, m3, m4 = moments.combine(
            high, before, (w[k], means[k] + shift, m2b, m3b, m4b)
        )
        weights[k] = weight
        means[k] = mean
        running[k] = mean
        m2s[k] = m2
        squares[k] += q[k]
        if high is not None:
            state[3, k] = m3
            state[4, k] = m4
