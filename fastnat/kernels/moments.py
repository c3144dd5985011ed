"""Moments in one pass: (origin, scale, W, mean, M2[, M3, M4]) of each problem, and their merge.

A column of a statistics array describes the observations x = origin + scale * t of one problem by
the total weight W, the weighted mean of t and the weighted sums of (t - mean)**p, p = 2, 3, 4.
The origin is close to the data, so that no digit is lost however large their offset; the scale is
a power of two, 1 unless the powers of the data would overflow or underflow.  The statistics say
what is wrong with the data, too:

* M2 is zero if and only if all observations that are used are equal;
* the mean is NaN if one of them is NaN, else inf if one is infinite;
* W is NaN if a weight is negative, NaN or infinite, and inf if their sum is.

A value is used if its weight is positive and, with limits, unless it is below the lower or above
the upper one; a NaN is used unless NaN are to be omitted.

Updating formulas: Chan, Golub and LeVeque (1983), The American Statistician 37, 242-247; third and
fourth moments: Pebay (2008), Sandia report SAND2008-6212.
"""

import math

import numpy as np

from fastnat.kernels._jit import helper, kernel
from fastnat.kernels._scalar import weight_at

ORIGIN, SCALE, W, MEAN, M2, M3, M4 = range(7)
"""Rows of a statistics array; without third and fourth moments it ends with M2."""

_EPS = 2.0**-52
_TINY = 1e-280  # below it the squares of some deviations may have lost digits
_MAX_LOSS = 16.0  # the factor of accuracy that a badly placed origin may cost


@helper
def central(high, weight, e, q, c, f):
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
def combine(high, a, b):
    """Merge two tuples (W, mean, M2, M3, M4) that share an origin and a scale; no branches."""
    wa, ma, m2a, m3a, m4a = a
    wb, mb, m2b, m3b, m4b = b
    w = wa + wb
    fa = wa / w if w > 0.0 else 0.0
    fb = wb / w if w > 0.0 else 0.0
    delta = mb - ma
    # From the heavier side: the lighter mean may be far away.
    mean = ma + delta * fb if wa >= wb else mb - delta * fa
    between = delta * delta * (wa * fb)
    m2 = m2a + m2b + between
    if high is None:
        return w, mean, m2, 0.0, 0.0
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
def scale_or_nan(high, weight, origin, mean, q, m2, m4):
    """The scale 1, or NaN to ask for a second look: sums may have missed what is promised.

    The rounding error of M2 is that of the squares q about the shifts, which it came from.
    """
    level = _EPS * (origin + mean)
    fine = (m2 > _TINY) & (m2 < math.inf) & (m2 > weight * level * level) & (q <= _MAX_LOSS * m2)
    if high is not None:
        fine = fine & (m4 > _TINY) & (m4 < math.inf)
    return math.nan if (weight > 0.0) & (not fine) else 1.0


@helper
def common_scale(a_scale, a_m2, b_scale, b_m2, gap):
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
def is_used(value, weight, lower, upper, omit):
    return weight > 0.0 and not (value < lower or value > upper or (omit and value != value))


@helper
def scan(x, w, span, lower, upper, omit, target):
    """(min, max, one nearest to ``target``) of the used values; all NaN if one of them is.

    span : (start, stop, stride) of these values, and of their weights if w is not (0,).
    """
    low, top, nearest, distance = math.inf, -math.inf, 0.0, math.inf
    start, stop, stride = span
    for i in range(start, stop, stride):
        value = float(x[i])
        if not is_used(value, weight_at(w, i), lower, upper, omit):
            continue
        if value != value:
            return math.nan, math.nan, math.nan
        half = abs(0.5 * value - 0.5 * target)  # the whole may overflow
        if low == math.inf or half < distance:
            nearest, distance = value, half
        low = min(low, value)
        top = max(top, value)
    return low, top, nearest


@helper
def with_room(exponent, weight):
    """The binary exponent of a scale in which squares times such weights are numbers.

    For weights near the ends of the range of numbers the squares have to make up for them.
    """
    if weight < 1e-200:
        exponent -= 250
    elif weight > 1e200:
        exponent += 250
    return max(-1022, min(1022, exponent))


@helper
def merge(high, a, b):
    """Merge two columns of statistics, given and returned as tuples of seven.

    The origin of the heavier one stays: the other may be far away, with next to no weight.
    """
    if b[W] > a[W]:
        a, b = b, a
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
    scale = common_scale(scale_a, m2a, scale_b, m2b, gap)
    ra = scale_a / scale
    rb = scale_b / scale
    ma *= ra
    mb = mb * rb + gap / scale * half
    w, mean, m2, m3, m4 = combine(
        high,
        (wa, ma, m2a * ra * ra, m3a * ra * ra * ra, m4a * ra * ra * ra * ra),
        (wb, mb, m2b * rb * rb, m3b * rb * rb * rb, m4b * rb * rb * rb * rb),
    )
    return origin_a, scale, w, mean, m2, m3, m4


@helper
def load(stats, j):
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
def store(values, stats, j):
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
                merged = merge(high, load(parts, i), load(parts, i + distance * step_segment))
                store(merged, parts, i)
            distance *= 2
        store(load(parts, start), stats, first + p)


@kernel
def merge_columns(others, high, stats):
    """Merge each column of ``others`` into that column of ``stats``: another part of its data."""
    for j in range(stats.shape[1]):
        store(merge(high, load(stats, j), load(others, j)), stats, j)
