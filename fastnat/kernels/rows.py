"""Moments of rows: the observations of a problem are neighbours in memory."""

import numpy as np

from fastnat.kernels import deviations, lanes, moments
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels._scalar import borrow, keep

SEGMENT = 1 << 17
"""A longer row is cut into segments of this size, whose statistics are merged in a tree."""

# A lane of a short row or of a block adds up 128 or 64 numbers: where data are periodic it gets
# the same one each time, and rounding errors do not average out.
_SHORT = 1024  # observations of a row that is reduced together with its neighbours
_BLOCK = 2048  # observations of a longer one between two updates of the running shift
_SHORT_HEAD = 16  # observations whose mean is the origin of a short row
_LONG_HEAD = 256  # and of a longer one


# What needs none of the arguments of many types has a function of its own: compiled once for all.


@helper
def _short_rows(x, w, limits, omit, high, start, n, head, rows, consts, sums, first, stats, tally):
    """Sums of up to eight rows of n <= _SHORT about the mean of their first ``head`` values."""
    top = deviations.first_sum(w, limits, omit)
    deviations.total_of_rows(
        (x, w), start, n, head, rows - 1, consts, (limits, omit, None, None, None), sums, top, 0
    )
    _set_shifts(top, head, sums, consts)
    out, row, column = sums, top, 0
    direct = rows == lanes.WIDTH and tally is None
    if direct:
        out, row, column = stats, moments.W + top, first
    deviations.centred_rows(
        (x, w), start, n, n, rows - 1, consts, (limits, omit, high, None, tally), out, row, column
    )
    _store_sums(top, n, rows, direct, consts, sums, first, stats)
    if tally is not None:
        deviations.clear(tally, first, rows)
        deviations.add_tally(w, omit, high, n, rows, sums, first, tally)


@helper
def _set_shifts(top, head, sums, consts):
    for r in range(lanes.WIDTH):
        weight = float(head) if top else sums[0, r]
        consts[deviations.SHIFT, r] = sums[1, r] / weight if weight > 0.0 else 0.0


@helper
def _store_sums(top, n, rows, direct, consts, sums, first, stats):
    """The rest of what `_short_rows` leaves in ``stats``: all but what has its place already."""
    for r in range(rows):
        stats[moments.ORIGIN, first + r] = consts[deviations.SHIFT, r]
        if top:
            stats[moments.W, first + r] = n
    if not direct:
        for s in range(moments.W + top, stats.shape[0]):
            for r in range(rows):
                stats[s, first + r] = sums[s - moments.W, r]


@helper
def _short_rows_to_moments(high, first, stop, stats):
    """The sums that `_short_rows` left in these columns, to moments; how many are doubtful."""
    origins, scales = stats[moments.ORIGIN, first:stop], stats[moments.SCALE, first:stop]
    means, m2s = stats[moments.MEAN, first:stop], stats[moments.M2, first:stop]
    weights, n_doubtful = stats[moments.W, first:stop], 0
    for j in range(stop - first):
        q, c, f = m2s[j], 0.0, 0.0
        if high is not None:
            c, f = stats[moments.M3, first + j], stats[moments.M4, first + j]
        mean, m2, m3, m4 = moments.central(high, weights[j], means[j], q, c, f)
        means[j] = mean
        m2s[j] = m2
        scale = moments.scale_or_nan(high, weights[j], origins[j], mean, q, m2, m4)
        scales[j] = scale
        n_doubtful += scale != scale
        if high is not None:
            stats[moments.M3, first + j] = m3
            stats[moments.M4, first + j] = m4
    return n_doubtful


@helper
def long_row(x, w, limits, omit, high, start, n, head, follow, consts, sums, first, stats, tally):
    """A row in blocks, about the mean of its first ``head`` used values or so.

    follow : 1 to shift each block by the running mean, 0 if the origin is the mean of all.
    Returns whether the sums are doubtful.
    """
    top = deviations.first_sum(w, limits, omit)
    stop = start + n
    consts[deviations.SHIFT, 0] = 0.0
    for i in range(start, stop, head):
        size = min(head, stop - i)
        deviations.total_of_row(
            (x, w), i, 0, size, 0, consts, (limits, omit, None, None, None), sums, top, 0
        )
        if _set_shift(top, size, sums, consts):
            break
    if tally is not None:
        deviations.clear(tally, first, 1)
    state, squares = (0.0, 0.0, 0.0, 0.0, 0.0), 0.0
    for i in range(start, stop, _BLOCK):
        size = min(_BLOCK, stop - i)
        consts[deviations.RUNNING, 0] = follow * state[1]
        flags = (limits, omit, high, True, tally)
        deviations.centred_row((x, w), i, 0, size, 0, consts, flags, sums, top, 0)
        if tally is not None:
            deviations.add_tally(w, omit, high, size, 1, sums, first, tally)
        state = _merge_block(high, top, size, consts, sums, state)
        squares += sums[2, 0]
    return _store_moments(high, consts, state, squares, first, stats)


@helper
def _set_shift(top, size, sums, consts):
    """Whether there are used values, whose mean is the origin then."""
    weight = float(size) if top else sums[0, 0]
    if weight != 0.0:
        consts[deviations.SHIFT, 0] = sums[1, 0] / weight
    return weight != 0.0


@helper
def _merge_block(high, top, size, consts, sums, state):
    """The state of a row, with the sums of a block about the running mean."""
    weight = float(size) if top else sums[0, 0]
    q, c, f = sums[2, 0], 0.0, 0.0
    if high is not None:
        c, f = sums[3, 0], sums[4, 0]
    shift, m2, m3, m4 = moments.central(high, weight, sums[1, 0], q, c, f)
    running = consts[deviations.RUNNING, 0]
    return moments.combine(high, state, (weight, running + shift, m2, m3, m4))


@helper
def _store_moments(high, consts, state, squares, first, stats):
    """The statistics of a row; returns whether they are doubtful."""
    weight, mean, m2, m3, m4 = state
    origin = consts[deviations.SHIFT, 0]
    scale = moments.scale_or_nan(high, weight, origin, mean, squares, m2, m4)
    moments.store((origin, scale, weight, mean, m2, m3, m4), stats, first)
    return scale != scale


@helper
def _n_equal(offsets, b):
    """How many rows from b on are as long as that one, up to eight."""
    n, rows, most = offsets[b + 1] - offsets[b], 1, min(lanes.WIDTH, offsets.size - 1 - b)
    while rows < most and offsets[b + rows + 1] - offsets[b + rows] == n:
        rows += 1
    return rows


@kernel
def reduce_rows(x, w, offsets, limits, omit, high, first, stats, tally):
    """Statistics of the rows ``x[offsets[b]:offsets[b + 1]]``, to columns ``first + b``.

    Returns how many are doubtful, and left to `second_look`.

    x : (n_total,) float64 or float32.  w : (n_total,) float64 weights, or None.
    offsets : (n_rows + 1,) int64.
    limits : (2, 1) or (2, n_rows) lower and upper limits of the values to use, or None.
    omit : True if NaN are left out, or None.
    high : True for third and fourth moments, or None.
    stats : (7 or 5, at least first + n_rows), out.
    tally : (3, at least first + n_rows), out, the weight of what is left out: below the limits,
        above, NaN; or None.
    """
    room = np.empty((deviations.N_CONSTS, lanes.WIDTH)), np.empty((deviations.N_SUMS, lanes.WIDTH))
    owners = x, w, limits, stats, tally, room
    x, w, limits, stats, tally, (consts, sums) = borrow(owners)
    n_rows, n_doubtful = offsets.size - 1, 0
    b = 0
    while b < n_rows:
        begin = b
        while b < n_rows and offsets[b + 1] - offsets[b] <= _SHORT:
            start = offsets[b]
            n = offsets[b + 1] - start
            rows = _n_equal(offsets, b)
            deviations.set_limits(limits, b, consts)
            head = min(n, _SHORT_HEAD)
            here = first + b
            _short_rows(
                x, w, limits, omit, high, start, n, head, rows, consts, sums, here, stats, tally
            )
            b += rows
        n_doubtful += _short_rows_to_moments(high, first + begin, first + b, stats)
        if b < n_rows:
            start = offsets[b]
            n = offsets[b + 1] - start
            deviations.set_limits(limits, b, consts)
            head, follow, here = min(n, _LONG_HEAD), 1.0, first + b
            n_doubtful += long_row(
                x, w, limits, omit, high, start, n, head, follow, consts, sums, here, stats, tally
            )
            b += 1
    keep(owners)
    return n_doubtful
