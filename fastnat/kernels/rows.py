"""Moments of rows: the observations of a problem are neighbours in memory."""

import math

import numpy as np

from fastnat.kernels import deviations, lanes, moments
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels._scalar import borrow, keep, part

SEGMENT = 1 << 17
"""A longer row is cut into segments of this size, whose statistics are merged in a tree."""

# A lane of a short row or of a block adds up 128 or 64 numbers: where data are periodic it gets
# the same one each time, and rounding errors do not average out.
_SHORT = 1024  # observations of a row that is reduced together with its neighbours
_BLOCK = 2048  # observations of a longer one between two updates of the running shift
_SHORT_HEAD = 16  # observations whose mean is the origin of a short row
_LONG_HEAD = 256  # and of a longer one

_EPS = 2.0**-52
_LARGEST = math.ldexp(2.0 - 2.0**-52, 1023)
_TINY = 1e-280  # below it the squares of some deviations may have lost digits
_LOOK = 64  # columns among which doubtful ones are counted at once
_MAX_LOSS = 16.0  # the factor of accuracy that a badly placed origin may cost


@helper
def _short_rows(x, w, limits, omit, high, start, n, head, rows, consts, sums, first, stats, tally):
    """Sums of up to eight rows of n <= _SHORT about the mean of their first ``head`` values."""
    top = deviations.first_sum(w, limits, omit)
    deviations.total_of_rows(
        (x, w), start, n, head, rows - 1, consts, (limits, omit, None, None, None), sums, top, 0
    )
    for r in range(lanes.WIDTH):
        weight = float(head) if top else sums[0, r]
        consts[deviations.SHIFT, r] = sums[1, r] / weight if weight > 0.0 else 0.0
    out, row, column = sums, top, 0
    direct = rows == lanes.WIDTH and tally is None
    if direct:
        out, row, column = stats, moments.W + top, first
    deviations.centred_rows(
        (x, w), start, n, n, rows - 1, consts, (limits, omit, high, None, tally), out, row, column
    )
    for r in range(rows):
        stats[moments.ORIGIN, first + r] = consts[deviations.SHIFT, r]
        if top:
            stats[moments.W, first + r] = n
    if not direct:
        for s in range(moments.W + top, stats.shape[0]):
            for r in range(rows):
                stats[s, first + r] = sums[s - moments.W, r]
    if tally is not None:
        for r in range(rows):
            tally[:, first + r] = 0.0
        deviations.add_tally(w, omit, high, n, rows, sums, first, tally)


@helper
def _short_rows_to_moments(high, first, stop, stats):
    """The sums that `_short_rows` left in these columns, to moments."""
    scales, weights = stats[moments.SCALE, first:stop], stats[moments.W, first:stop]
    means, m2s = stats[moments.MEAN, first:stop], stats[moments.M2, first:stop]
    for j in range(stop - first):
        q, c, f = m2s[j], 0.0, 0.0
        if high is not None:
            c, f = stats[moments.M3, first + j], stats[moments.M4, first + j]
        mean, m2, m3, m4 = moments.central(high, weights[j], means[j], q, c, f)
        means[j] = mean
        m2s[j] = m2
        scales[j] = scale_or_nan(q, m2)
        if high is not None:
            stats[moments.M3, first + j] = m3
            stats[moments.M4, first + j] = m4


@helper
def scale_or_nan(q, m2):
    """The scale 1, or NaN to ask for a second look: the shifts were too far from the mean.

    The rounding error of M2 is that of the squares q about the shifts, which it came from.
    """
    return math.nan if q > _MAX_LOSS * m2 else 1.0


@helper
def _long_row(x, w, limits, omit, high, start, n, head, follow, consts, sums, first, stats, tally):
    """A row in blocks, about the mean of its first ``head`` used values or so.

    follow : 1 to shift each block by the running mean, 0 if the origin is the mean of all.
    """
    top = deviations.first_sum(w, limits, omit)
    stop = start + n
    origin = 0.0
    for i in range(start, stop, head):
        size = min(head, stop - i)
        deviations.total_of_row(
            (x, w), i, 0, size, 0, consts, (limits, omit, None, None, None), sums, top, 0
        )
        weight = float(size) if top else sums[0, 0]
        if weight != 0.0:
            origin = sums[1, 0] / weight
            break
    consts[deviations.SHIFT, 0] = origin
    if tally is not None:
        tally[:, first] = 0.0
    squares = 0.0
    state = (0.0, 0.0, 0.0, 0.0, 0.0)
    for i in range(start, stop, _BLOCK):
        size = min(_BLOCK, stop - i)
        running = follow * state[1]
        consts[deviations.RUNNING, 0] = running
        flags = (limits, omit, high, True, tally)
        deviations.centred_row((x, w), i, 0, size, 0, consts, flags, sums, top, 0)
        weight = float(size) if top else sums[0, 0]
        q, c, f = sums[2, 0], 0.0, 0.0
        if high is not None:
            c, f = sums[3, 0], sums[4, 0]
        if tally is not None:
            deviations.add_tally(w, omit, high, size, 1, sums, first, tally)
        squares += q
        shift, m2, m3, m4 = moments.central(high, weight, sums[1, 0], q, c, f)
        state = moments.combine(high, state, (weight, running + shift, m2, m3, m4))
    weight, mean, m2, m3, m4 = state
    scale = scale_or_nan(squares, m2)
    moments.store((origin, scale, weight, mean, m2, m3, m4), stats, first)


@kernel
def reduce_rows(x, w, offsets, limits, omit, high, first, stats, tally):
    """Statistics of the rows ``x[offsets[b]:offsets[b + 1]]``, to columns ``first + b``.

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
    n_rows = offsets.size - 1
    b = 0
    while b < n_rows:
        begin = b
        while b < n_rows and offsets[b + 1] - offsets[b] <= _SHORT:
            start = offsets[b]
            n = offsets[b + 1] - start
            rows = 1
            while rows < lanes.WIDTH and b + rows < n_rows:
                if offsets[b + rows + 1] - offsets[b + rows] != n:
                    break
                rows += 1
            deviations.set_limits(limits, b, consts)
            head = min(n, _SHORT_HEAD)
            here = first + b
            _short_rows(
                x, w, limits, omit, high, start, n, head, rows, consts, sums, here, stats, tally
            )
            b += rows
        _short_rows_to_moments(high, first + begin, first + b, stats)
        if b < n_rows:
            start = offsets[b]
            n = offsets[b + 1] - start
            deviations.set_limits(limits, b, consts)
            head, follow, here = min(n, _LONG_HEAD), 1.0, first + b
            _long_row(
                x, w, limits, omit, high, start, n, head, follow, consts, sums, here, stats, tally
            )
            b += 1
    b = next_doubtful(high, stats, first, first + n_rows) - first
    while b < n_rows:
        row = part(x, offsets[b], offsets[b + 1])
        weights = part(w, offsets[b], offsets[b + 1])
        deviations.set_limits(limits, b, consts)
        look_again(row, weights, limits, omit, high, consts, sums, first + b, stats)
        b = next_doubtful(high, stats, first + b + 1, first + n_rows) - first
    keep(owners)


@helper
def next_doubtful(high, stats, first, stop):
    """The first of these columns whose plain sums may have missed what is promised, or ``stop``."""
    for begin in range(first, stop, _LOOK):
        end = min(stop, begin + _LOOK)
        if _n_doubtful(high, stats, begin, end) > 0:
            while _n_doubtful(high, stats, begin, begin + 1) == 0:
                begin += 1
            return begin
    return stop


@helper
def _n_doubtful(high, stats, first, stop):
    """How many of these columns are; LLVM vectorises the loop."""
    origins, scales = stats[moments.ORIGIN, first:stop], stats[moments.SCALE, first:stop]
    weights, means = stats[moments.W, first:stop], stats[moments.MEAN, first:stop]
    m2s, count = stats[moments.M2, first:stop], 0
    for j in range(stop - first):
        m2, weight = m2s[j], weights[j]
        level = _EPS * (origins[j] + means[j])
        fine = (m2 > _TINY) & (m2 < math.inf) & (m2 > weight * level * level) & (scales[j] == 1.0)
        if high is not None:
            m4 = stats[moments.M4, first + j]
            fine = fine & (m4 > _TINY) & (m4 < math.inf)
        count += (weight > 0.0) & (not fine)
    return count


@helper
def look_again(x, w, limits, omit, high, consts, sums, first, stats):
    """Look at the values: name NaN, inf and equality, else repeat on a scaled copy."""
    lower, upper = consts[deviations.LOWER, 0], consts[deviations.UPPER, 0]
    # The copy is shifted by a value that most of the weight is near, so that it is exact there.
    mean = stats[moments.ORIGIN, first] + stats[moments.MEAN, first]
    low, top, origin = moments.scan(x, w, limits, omit, lower, upper, mean)
    weight = stats[moments.W, first]
    bad = math.nan
    if low != low:
        moments.store((0.0, 1.0, weight, bad, bad, bad, bad), stats, first)
        return
    if low == -math.inf or top == math.inf:
        moments.store((0.0, 1.0, weight, math.inf, bad, bad, bad), stats, first)
        return
    if low == top:
        moments.store((low, 1.0, weight, 0.0, 0.0, 0.0, 0.0), stats, first)
        return
    # In units of 2**exponent the largest value is near 1.
    exponent = moments.with_room(math.frexp(max(abs(low), abs(top)))[1], weight)
    factor = math.ldexp(1.0, -exponent)
    n = x.size
    copy = np.empty(n)
    for i in range(n):
        value = float(x[i])
        copy[i] = value * factor - origin * factor
        if limits is not None and (value < lower or value > upper):
            copy[i] = math.inf
    consts[deviations.LOWER, 0] = -_LARGEST
    consts[deviations.UPPER, 0] = _LARGEST
    # np.int64, for numba compiles a function once more for each literal that it is given.
    begin, one, follow = np.int64(0), np.int64(1), 0.0
    if n <= _SHORT:
        _short_rows(copy, w, limits, omit, high, begin, n, n, one, consts, sums, first, stats, None)
        _short_rows_to_moments(high, first, first + 1, stats)
    else:
        _long_row(
            copy, w, limits, omit, high, begin, n, n, follow, consts, sums, first, stats, None
        )
    stats[moments.MEAN, first] += stats[moments.ORIGIN, first]
    stats[moments.ORIGIN, first] = origin
    stats[moments.SCALE, first] = math.ldexp(1.0, exponent)
