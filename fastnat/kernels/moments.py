"""Moments in one pass: (origin, scale, W, mean, M2[, M3, M4]) of each problem, and their merge.

A column of a statistics array describes the observations x = origin + scale * t of one problem by
the total weight W, the weighted mean of t and the weighted sums of (t - mean)**p, p = 2, 3, 4.
The origin is close to the data, so that no digit is lost however large their offset; the scale is
a power of two, 1 unless the powers of the data would overflow or underflow.  The statistics say
what is wrong with the data, too:

* M2 is zero if and only if all observations that are used are equal;
* the mean is NaN if one of them is NaN, else inf if one is infinite;
* W is NaN if a weight is negative or NaN, inf if one is infinite.

A value is used if its weight is positive and, with limits, if lower <= x <= upper (NaN fails).

Updating formulas: Chan, Golub and LeVeque (1983), The American Statistician 37, 242-247; third and
fourth moments: Pebay (2008), Sandia report SAND2008-6212.
"""

import math

import numpy as np

from fastnat.kernels import lanes
from fastnat.kernels._jit import helper, kernel

ORIGIN, SCALE, W, MEAN, M2, M3, M4 = range(7)
"""Rows of a statistics array; without third and fourth moments it ends with M2."""

SEGMENT = 1 << 17
"""A longer problem is cut into segments of this size, whose statistics are merged in a tree."""

_BLOCK = 4096  # observations between two updates of the running shift of a row
_SHORT_HEAD = 16  # observations whose mean is the origin of a row that is one block
_LONG_HEAD = 256  # and of a longer one
_COLUMN_BLOCK = 256  # rows between two updates of the running shifts of columns
_COLUMN_TILE = 1024  # columns swept at a time: their sums stay in the caches

_EPS = 2.0**-52
_TINY = 1e-280  # below it the squares of some deviations may have lost digits
_MAX_LOSS = 16.0  # the factor of accuracy that a badly placed origin may cost

# ---- bodies ----------------------------------------------------------------------------------

# Constants of both bodies, a row each.
_SHIFT, _RUNNING, _LOWER, _UPPER = range(4)
_N_CONSTS = 4


def _used(v, values, consts, limited):
    """The mask of the observations that count (None: all), and their weights (None: one)."""
    x, w = values
    mask = None
    if w is not None:
        mask = v.lt(v.constant(0.0), w)
    if limited:
        inside = v.both(v.le(consts[_LOWER], x), v.le(x, consts[_UPPER]))
        mask = inside if mask is None else v.both(mask, inside)
    if mask is None:
        return None, None
    weight = v.select(mask, v.constant(1.0) if w is None else w, v.constant(0.0))
    return mask, weight


def _count(v, values, weight):
    """What is added to W: a negative or NaN weight makes it NaN."""
    w = values[1]
    if w is None:
        return weight
    return v.select(v.le(v.constant(0.0), w), weight, v.constant(math.nan))


def _total(v, values, consts, flags):
    """Sums: [w, ]w x; the first only if there are weights or limits."""
    limited, _, _ = flags
    mask, weight = _used(v, values, consts, limited)
    x = values[0]
    if mask is None:
        return [x]
    x = v.select(mask, x, v.constant(0.0))
    return [_count(v, values, weight), (weight, x)]


def _centred(v, values, consts, flags):
    """Sums: [w, ]w d, w d**2[, w d**3, w d**4] with d = x - shift[ - running].

    The shift is subtracted in two steps: it is exact for data close to their origin, and the
    running mean relative to the origin takes the rest.
    """
    limited, high, running = flags
    mask, weight = _used(v, values, consts, limited)
    d = v.sub(values[0], consts[_SHIFT])
    if running:
        d = v.sub(d, consts[_RUNNING])
    if mask is not None:
        d = v.select(mask, d, v.constant(0.0))
    wd = d if values[1] is None else v.mul(weight, d)
    sums = [] if mask is None else [_count(v, values, weight)]
    sums += [wd, (wd, d)]
    if high:
        d2 = v.mul(d, d)
        sums += [(wd, d2), (v.mul(wd, d), d2)]
    return sums


_total_of_rows = lanes.row_sums(_total, _N_CONSTS, rows=8, unroll=1)
_total_of_row = lanes.row_sums(_total, _N_CONSTS, rows=1, unroll=4)
_total_of_columns = lanes.column_sums(_total, _N_CONSTS, rows=8)
_total_of_columns_1 = lanes.column_sums(_total, _N_CONSTS, rows=1)
_centred_rows = lanes.row_sums(_centred, _N_CONSTS, rows=8, unroll=1)
_centred_row = lanes.row_sums(_centred, _N_CONSTS, rows=1, unroll=4)
_centred_columns = lanes.column_sums(_centred, _N_CONSTS, rows=8)
_centred_columns_1 = lanes.column_sums(_centred, _N_CONSTS, rows=1)

# ---- sums to moments, and the merge ----------------------------------------------------------


@helper
def _central(high, weight, e, q, c, f):
    """Sums of powers of d -> (mean of d, M2, M3, M4) about their mean."""
    shift = e / weight if weight > 0.0 else 0.0
    m2 = q - e * shift
    m2 = 0.0 if m2 < 0.0 else m2
    if high is None:
        return shift, m2, 0.0, 0.0
    m3 = c - 3.0 * shift * q + 2.0 * shift * shift * e
    m4 = f - 4.0 * shift * c + 6.0 * shift * shift * q - 3.0 * shift * shift * shift * e
    return shift, m2, m3, m4


@helper
def _combine(high, a, b):
    """Merge two tuples (W, mean, M2, M3, M4) that share an origin and a scale; no branches."""
    wa, ma, m2a, m3a, m4a = a
    wb, mb, m2b, m3b, m4b = b
    w = wa + wb
    fb = wb / w if w > 0.0 else 0.0
    delta = mb - ma
    mean = ma + delta * fb
    between = delta * delta * (wa * fb)
    m2 = m2a + m2b + between
    if high is None:
        return w, mean, m2, 0.0, 0.0
    fa = wa / w if w > 0.0 else 0.0
    m3 = m3a + m3b + between * delta * (fa - fb) + 3.0 * delta * (fa * m2b - fb * m2a)
    m4 = (
        m4a
        + m4b
        + between * delta * delta * (fa * fa - fa * fb + fb * fb)
        + 6.0 * delta * delta * (fa * fa * m2b + fb * fb * m2a)
        + 4.0 * delta * (fa * m3b - fb * m3a)
    )
    return w, mean, m2, m3, m4


@helper
def _common_scale(a_scale, a_m2, b_scale, b_m2, gap):
    """A power of two in which neither the gap between two origins nor their M2 overflow."""
    scale = 0.0  # equal observations have no scale of their own
    if a_m2 > 0.0:
        scale = a_scale
    if b_m2 > 0.0 and b_scale > scale:
        scale = b_scale
    if gap != 0.0:
        size = math.ldexp(1.0, max(-1022, min(1023, math.frexp(gap)[1])))
        if scale == 0.0:
            scale = 1.0 if 1e-100 < size < 1e100 else size
        elif size / scale > 1e100:
            scale = size
    return scale if scale > 0.0 else 1.0


@helper
def merge(high, a, b):
    """Merge two columns of statistics, given and returned as tuples of seven."""
    origin_a, scale_a, wa, ma, m2a, m3a, m4a = a
    origin_b, scale_b, wb, mb, m2b, m3b, m4b = b
    if wa == 0.0:
        return b
    if wb == 0.0:
        return a
    if not np.isfinite(ma + mb + wa + wb):
        bad = math.nan
        return 0.0, 1.0, wa + wb, ma + mb, bad, bad, bad
    gap = origin_b - origin_a
    half = 1.0
    if not np.isfinite(gap):
        half = 2.0
        gap = 0.5 * origin_b - 0.5 * origin_a
    scale = _common_scale(scale_a, m2a, scale_b, m2b, gap)
    ra = scale_a / scale
    rb = scale_b / scale
    ma *= ra
    mb = mb * rb + gap / scale * half
    w, mean, m2, m3, m4 = _combine(
        high,
        (wa, ma, m2a * ra * ra, m3a * ra * ra * ra, m4a * ra * ra * ra * ra),
        (wb, mb, m2b * rb * rb, m3b * rb * rb * rb, m4b * rb * rb * rb * rb),
    )
    return origin_a, scale, w, mean, m2, m3, m4


@helper
def _load(stats, j):
    m3 = 0.0
    m4 = 0.0
    if stats.shape[0] > M3:
        m3 = stats[M3, j]
        m4 = stats[M4, j]
    return (
        stats[ORIGIN, j],
        stats[SCALE, j],
        stats[W, j],
        stats[MEAN, j],
        stats[M2, j],
        m3,
        m4,
    )


@helper
def _store(values, stats, j):
    stats[ORIGIN, j] = values[ORIGIN]
    stats[SCALE, j] = values[SCALE]
    stats[W, j] = values[W]
    stats[MEAN, j] = values[MEAN]
    stats[M2, j] = values[M2]
    if stats.shape[0] > M3:
        stats[M3, j] = values[M3]
        stats[M4, j] = values[M4]


@kernel
def merge_segments(parts, n_segments, step_problem, step_segment, high, first, stats):
    """Merge the segments of each problem in a fixed tree.

    Segment s of problem p is column ``p * step_problem + s * step_segment`` of ``parts`` (which
    is used up); the result goes to column ``first + p`` of ``stats``.
    """
    for p in range(parts.shape[1] // n_segments):
        start = p * step_problem
        distance = 1
        while distance < n_segments:
            for s in range(0, n_segments - distance, 2 * distance):
                i = start + s * step_segment
                merged = merge(high, _load(parts, i), _load(parts, i + distance * step_segment))
                _store(merged, parts, i)
            distance *= 2
        _store(_load(parts, start), stats, first + p)


# ---- rows: the observations of a problem are neighbours in memory ------------------------------


@helper
def _first_sum(w, limits):
    """1 if every observation counts as one, so that the bodies do not sum the weights."""
    return 1 if w is None and limits is None else 0


@helper
def _short_rows(x, w, limits, high, start, n, head, rows, consts, sums, first, stats):
    """Sums of up to eight rows of n <= _BLOCK about the mean of their first ``head`` values."""
    top = _first_sum(w, limits)
    _total_of_rows((x, w), start, n, head, rows - 1, consts, (limits, None, None), sums[top:], 0)
    for r in range(lanes.WIDTH):
        weight = float(head) if top else sums[0, r]
        consts[_SHIFT, r] = sums[1, r] / weight if weight > 0.0 else 0.0
    out, column = sums[top:], 0
    if rows == lanes.WIDTH:
        out, column = stats[W + top :], first
    _centred_rows((x, w), start, n, n, rows - 1, consts, (limits, high, None), out, column)
    for r in range(rows):
        stats[ORIGIN, first + r] = consts[_SHIFT, r]
        if top:
            stats[W, first + r] = n
    if rows < lanes.WIDTH:
        for s in range(W + top, stats.shape[0]):
            for r in range(rows):
                stats[s, first + r] = sums[s - W, r]


@helper
def _short_rows_to_moments(high, first, stop, stats):
    """The sums that `_short_rows` left in these columns, to moments."""
    scales, weights = stats[SCALE, first:stop], stats[W, first:stop]
    means, m2s = stats[MEAN, first:stop], stats[M2, first:stop]
    for j in range(stop - first):
        q, c, f = m2s[j], 0.0, 0.0
        if high is not None:
            c, f = stats[M3, first + j], stats[M4, first + j]
        mean, m2, m3, m4 = _central(high, weights[j], means[j], q, c, f)
        means[j] = mean
        m2s[j] = m2
        scales[j] = _scale_or_nan(q, m2)
        if high is not None:
            stats[M3, first + j] = m3
            stats[M4, first + j] = m4


@helper
def _scale_or_nan(q, m2):
    """The scale 1, or NaN to ask for a second look: the origin was too far from the mean."""
    return math.nan if q > _MAX_LOSS * m2 else 1.0


@helper
def _long_row(x, w, limits, high, start, n, consts, sums, first, stats):
    """A row in blocks: the mean of its first used values is the origin, then a running shift."""
    top = _first_sum(w, limits)
    stop = start + n
    consts[_SHIFT, 0] = 0.0
    for i in range(start, stop, _LONG_HEAD):
        size = min(_LONG_HEAD, stop - i)
        _total_of_row((x, w), i, 0, size, 0, consts, (limits, None, None), sums[top:], 0)
        weight = float(size) if top else sums[0, 0]
        if not weight == 0.0:
            consts[_SHIFT, 0] = sums[1, 0] / weight
            break
    scale = 1.0
    state = (0.0, 0.0, 0.0, 0.0, 0.0)
    for i in range(start, stop, _BLOCK):
        size = min(_BLOCK, stop - i)
        consts[_RUNNING, 0] = state[1]
        _centred_row((x, w), i, 0, size, 0, consts, (limits, high, True), sums[top:], 0)
        weight = float(size) if top else sums[0, 0]
        q, c, f = sums[2, 0], 0.0, 0.0
        if high is not None:
            c, f = sums[3, 0], sums[4, 0]
        shift, m2, m3, m4 = _central(high, weight, sums[1, 0], q, c, f)
        if state[0] == 0.0:
            scale = _scale_or_nan(q, m2)
        state = _combine(high, state, (weight, state[1] + shift, m2, m3, m4))
    weight, mean, m2, m3, m4 = state
    _store((consts[_SHIFT, 0], scale, weight, mean, m2, m3, m4), stats, first)


@helper
def _set_limits(limits, b, rows, consts):
    if limits is not None:
        for r in range(rows):
            k = (b + r) % limits.shape[1]
            consts[_LOWER, r] = limits[0, k]
            consts[_UPPER, r] = limits[1, k]


@kernel
def reduce_rows(x, w, offsets, limits, high, first, stats):
    """Statistics of the rows ``x[offsets[b]:offsets[b + 1]]``, to columns ``first + b``.

    x : (n_total,) float64 or float32.  w : (n_total,) float64 weights, or None.
    offsets : (n_rows + 1,) int64.
    limits : (2, 1) or (2, n_rows) lower and upper limits of the values to use, or None.
    high : True for third and fourth moments, or None.
    stats : (7 or 5, at least first + n_rows), out.
    """
    consts = np.zeros((_N_CONSTS, lanes.WIDTH))
    sums = np.empty((5, lanes.WIDTH))
    n_rows = offsets.size - 1
    b = 0
    while b < n_rows:
        begin = b
        while b < n_rows and offsets[b + 1] - offsets[b] <= _BLOCK:
            start = offsets[b]
            n = offsets[b + 1] - start
            rows = 1
            while rows < lanes.WIDTH and b + rows < n_rows:
                if offsets[b + rows + 1] - offsets[b + rows] != n:
                    break
                rows += 1
            _set_limits(limits, b, rows, consts)
            head = min(n, _SHORT_HEAD)
            _short_rows(x, w, limits, high, start, n, head, rows, consts, sums, first + b, stats)
            b += rows
        _short_rows_to_moments(high, first + begin, first + b, stats)
        if b < n_rows:
            start = offsets[b]
            n = offsets[b + 1] - start
            _set_limits(limits, b, n // n, consts)
            _long_row(x, w, limits, high, start, n, consts, sums, first + b, stats)
            b += 1
    for b in range(n_rows):
        if _is_doubtful(high, stats, first + b):
            row = _part(x, offsets[b], offsets[b + 1])
            weights = _part(w, offsets[b], offsets[b + 1])
            _set_limits(limits, b, (b + 1) // (b + 1), consts)
            _look_again(row, weights, limits, high, consts, sums, first + b, stats)


@helper
def _part(x, start, stop):
    if x is not None:
        return x[start:stop]
    return x


# ---- columns: the problems are neighbours in memory --------------------------------------------


@kernel
def reduce_columns(x, w, start, n_slabs, slab, n, stride, width, limits, high, first, stats):
    """Statistics of problems whose observations are ``stride`` apart in memory.

    Observation i < n of column j < width of slab a < n_slabs is element
    ``start + a * slab + i * stride + j`` of the flat arrays x and w; its statistics go to column
    ``first + a * width + j`` of ``stats``.  The rest as in `reduce_rows`, with limits (2, 1) or
    (2, n_slabs * width).
    """
    consts = np.zeros((_N_CONSTS, _COLUMN_TILE))
    sums = np.empty((5, _COLUMN_TILE))
    state = np.empty((5, _COLUMN_TILE))
    for a in range(n_slabs):
        for j in range(0, width, _COLUMN_TILE):
            tile = min(_COLUMN_TILE, width - j)
            column = a * width + j
            _set_limits(limits, column, tile, consts)
            begin = start + a * slab + j
            _column_tile(x, w, limits, high, begin, n, stride, tile, consts, sums, state)
            for k in range(tile):
                m3, m4 = 0.0, 0.0
                if high is not None:
                    m3, m4 = state[3, k], state[4, k]
                origin = consts[_SHIFT, k]
                values = origin, 1.0, state[0, k], state[1, k], state[2, k], m3, m4
                _store(values, stats, first + column + k)
    row_consts = np.zeros((_N_CONSTS, lanes.WIDTH))
    for b in range(n_slabs * width):
        if _is_doubtful(high, stats, first + b):
            begin = start + b // width * slab + b % width
            row = _gather(x, begin, n, stride)
            weights = _gather(w, begin, n, stride)
            _set_limits(limits, b, (b + 1) // (b + 1), row_consts)
            _look_again(row, weights, limits, high, row_consts, sums, first + b, stats)


@helper
def _gather(x, start, n, stride):
    if x is not None:
        row = np.empty(n)
        for i in range(n):
            row[i] = x[start + i * stride]
        return row
    return x


@helper
def _column_tile(x, w, limits, high, start, n, stride, tile, consts, sums, state):
    """(W, mean, M2, M3, M4) of each column of a tile, about the origins left in ``consts``."""
    top = _first_sum(w, limits)
    state[:] = 0.0
    consts[_RUNNING] = 0.0
    consts[_SHIFT] = math.nan  # not known yet
    unknown = tile
    for i0 in range(0, n, _COLUMN_BLOCK):
        size = min(_COLUMN_BLOCK, n - i0)
        sums[:] = 0.0
        i = 0
        while i < size:
            rows = 8 if i + 8 <= size else 1
            at = start + (i0 + i) * stride
            if unknown > 0:
                unknown = _find_origins(x, w, limits, at, rows, stride, tile, consts, state)
            flags = (limits, high, True)
            if rows == 8:
                _centred_columns((x, w), at, stride, tile, consts, flags, sums[top:])
            else:
                _centred_columns_1((x, w), at, stride, tile, consts, flags, sums[top:])
            i += rows
        if top:
            sums[0] = size
        _merge_columns(high, tile, sums, state, consts[_RUNNING])
    for k in range(tile):
        if consts[_SHIFT, k] != consts[_SHIFT, k]:
            consts[_SHIFT, k] = 0.0


@helper
def _find_origins(x, w, limits, at, rows, stride, tile, consts, state):
    """Take the mean of these rows as origin of each column that has none; how many have none."""
    top = _first_sum(w, limits)
    total = np.zeros((2, _COLUMN_TILE))
    flags = (limits, None, None)
    if rows == 8:
        _total_of_columns((x, w), at, stride, tile, consts, flags, total[top:])
    else:
        _total_of_columns_1((x, w), at, stride, tile, consts, flags, total[top:])
    unknown = 0
    for k in range(tile):
        weight = float(rows) if top else total[0, k]
        if consts[_SHIFT, k] != consts[_SHIFT, k]:
            if weight > 0.0:
                consts[_SHIFT, k] = total[1, k] / weight
            else:
                unknown += 1
    return unknown


@helper
def _merge_columns(high, tile, sums, state, running):
    """Merge the sums of a block about the running means into the state of each column."""
    weights, means, m2s = state[0], state[1], state[2]
    w, e, q = sums[0], sums[1], sums[2]
    for k in range(tile):
        c, f, m3, m4 = 0.0, 0.0, 0.0, 0.0
        if high is not None:
            c, f, m3, m4 = sums[3, k], sums[4, k], state[3, k], state[4, k]
        shift, m2b, m3b, m4b = _central(high, w[k], e[k], q[k], c, f)
        before = weights[k], means[k], m2s[k], m3, m4
        weight, mean, m2, m3, m4 = _combine(high, before, (w[k], means[k] + shift, m2b, m3b, m4b))
        weights[k] = weight
        means[k] = mean
        running[k] = mean
        m2s[k] = m2
        if high is not None:
            state[3, k] = m3
            state[4, k] = m4


# ---- a second look -----------------------------------------------------------------------------


@helper
def _is_doubtful(high, stats, j):
    """Whether the plain sums may have missed what the contract of the statistics promises."""
    m2 = stats[M2, j]
    weight = stats[W, j]
    level = _EPS * (stats[ORIGIN, j] + stats[MEAN, j])
    fine = _TINY < m2 < math.inf and m2 > weight * level * level and stats[SCALE, j] == 1.0
    if high is not None:
        fine = fine and _TINY < stats[M4, j] < math.inf
    return weight > 0.0 and not fine


@helper
def _scan(x, w, limits, lower, upper):
    """(min, max) of the used values; (NaN, NaN) if one of them is NaN."""
    low, top = math.inf, -math.inf
    for i in range(x.size):
        if w is not None:
            if not w[i] > 0.0:
                continue
        value = float(x[i])
        if limits is not None:
            if not lower <= value <= upper:
                continue
        if value != value:
            return math.nan, math.nan
        low = min(low, value)
        top = max(top, value)
    return low, top


@helper
def _look_again(x, w, limits, high, consts, sums, first, stats):
    """Look at the values: name NaN, inf and equality, else repeat on a scaled copy."""
    lower, upper = consts[_LOWER, 0], consts[_UPPER, 0]
    low, top = _scan(x, w, limits, lower, upper)
    weight = stats[W, first]
    bad = math.nan
    if low != low:
        _store((0.0, 1.0, weight, bad, bad, bad, bad), stats, first)
        return
    if low == -math.inf or top == math.inf:
        _store((0.0, 1.0, weight, math.inf, bad, bad, bad), stats, first)
        return
    if low == top:
        _store((low, 1.0, weight, 0.0, 0.0, 0.0, 0.0), stats, first)
        return
    exponent = max(-1022, min(1023, math.frexp(max(abs(low), abs(top)))[1]))
    factor = math.ldexp(1.0, -exponent)
    n = x.size
    copy = np.empty(n)
    for i in range(n):
        value = float(x[i])
        copy[i] = value * factor - low * factor
        if limits is not None:
            if not lower <= value <= upper:
                copy[i] = math.nan
    consts[_LOWER, 0] = -math.inf
    consts[_UPPER, 0] = math.inf
    begin = n - n
    if n <= _BLOCK:
        _short_rows(copy, w, limits, high, begin, n, n, n // n, consts, sums, first, stats)
        _short_rows_to_moments(high, first, first + 1, stats)
    else:
        _long_row(copy, w, limits, high, begin, n, consts, sums, first, stats)
    stats[MEAN, first] += stats[ORIGIN, first]
    stats[ORIGIN, first] = low
    stats[SCALE, first] = math.ldexp(1.0, exponent)
