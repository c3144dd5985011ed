"""Observations to what the likelihood needs: moments of the exact ones, weights of equal limits.

Everything is in units of a power of two, 1 unless numbers near the ends of the range of doubles
are among the data.
"""

import math

import numpy as np

from fastnat.kernels import codes, deviations, moments
from fastnat.kernels._jit import helper, inlined, kernel
from fastnat.kernels._scalar import from_bits, select, to_bits

VALUE, VALUE_W, LEFT, LEFT_W, RIGHT, RIGHT_W, LOWER, UPPER, BETWEEN_W, N_LISTS = range(10)
"""Rows of the lists that observations are sorted into, a kind each, and how many they are."""

VALUES, LEFTS, RIGHTS, BETWEENS, N_KINDS = range(5)
"""Rows of the table that says where the lists of each problem end, and how many they are."""

_N_SLOTS = 1 << 12  # of the table that finds equal limits; those who lose their place stay apart
_PROBES, _LEAST_EQUAL = 256, 16  # so few equal ones among so many are not worth a look at the rest

_LARGE, _SMALL = 1e140, 1e-140


@helper
def unit_of(size):
    """A power of two near the largest number of a problem, or 1 if that is of moderate size."""
    if size == 0.0 or _SMALL < size < _LARGE:
        return 1.0
    return math.ldexp(1.0, max(-1000, min(1000, math.frexp(size)[1])))


@helper
def longest(offsets):
    """The number of observations in the longest row."""
    most = np.int64(0)
    for b in range(offsets.size - 1):
        most = max(most, offsets[b + 1] - offsets[b])
    return most


@inlined
def interval_of(x, upper, i):
    """(missing, impossible, lower, upper) of observation i, an interval.

    Without branches, for which kind an observation is of cannot be predicted.
    """
    low, high = float(x[i]), float(upper[i])
    missing = (low != low) & (high != high)
    impossible = (not missing) & ((not low <= high) | ((low == high) & math.isinf(low)))
    return missing, impossible, low, high


@kernel
def compress(x, upper, left, right, w, offsets, omit, lists, ends, status, units):
    """Sort the observations of rows by kind, and merge equal limits; returns bad weights.

    x, upper : (n_total,), the ends of the interval that each observation lies in; or, without
        ``upper``, values, known only to be at most ``left`` or at least ``right`` if they are
        not between them.  Each of the three, and the weights w, may be None.
    offsets : (n_rows + 1,) int64, where rows begin.
    omit : whether a missing observation is left out.
    lists : (N_LISTS, at least n_total + 1), out; values in their own unit, limits in ``units``.
    ends : (N_KINDS, n_rows + 1) int64, out: where the lists of each row begin and end.
    status, units : (n_rows,) int8 and float64, out.

    Of rows that cannot be used the lists say only how much weight they have; with it a missing
    observation counts unless it is to be left out.
    """
    table = np.full(_N_SLOTS, -1, np.int64)
    bad_weights = 0
    ends[:, 0] = 0
    for b in range(offsets.size - 1):
        start, stop = offsets[b], offsets[b + 1]
        _begin_row(ends, b)
        code, size = _sort(x, upper, left, right, w, start, stop, 1.0, omit, lists, ends, b + 1)
        units[b] = unit_of(size) if code == codes.OK else 1.0
        if units[b] != 1.0:
            _begin_row(ends, b)
            _sort(x, upper, left, right, w, start, stop, units[b], omit, lists, ends, b + 1)
        bad_weights += code < 0
        if code == codes.OK:
            for kind, lower, upper_, mass in (
                (LEFTS, lists[LEFT], lists[LEFT], lists[LEFT_W]),
                (RIGHTS, lists[RIGHT], lists[RIGHT], lists[RIGHT_W]),
                (BETWEENS, lists[LOWER], lists[UPPER], lists[BETWEEN_W]),
            ):
                begin, end = ends[kind, b], ends[kind, b + 1]
                ends[kind, b + 1] = _merge_equal(lower, upper_, mass, begin, end, table)
        status[b] = code
    return bad_weights


@helper
def _begin_row(ends, row):
    """Its lists begin where those of the row before end."""
    # Not by slices, for whose error message numba compiles the formatting of strings, for 2 s.
    for k in range(N_KINDS):
        ends[k, row + 1] = ends[k, row]


@helper
def _sort(x, upper, left, right, w, start, stop, unit, omit, lists, ends, row):
    """Append the observations of a row to the lists, whose ends are in column ``row``.

    Returns (status, size): what is wrong with the data, -1 for the weights, and the largest
    number.  An observation is written to every list that it could belong to, and stays in the one
    whose end then moves: which one cannot be predicted.  One of weight 0 is not looked at.
    """
    if upper is not None:
        return _sort_intervals(x, upper, w, start, stop, unit, omit, lists, ends, row)
    return _sort_values(x, left, right, w, start, stop, unit, omit, lists, ends, row)


@helper
def _sort_values(x, left, right, w, start, stop, unit, omit, lists, ends, row):
    """Values with limits."""
    bad, total = _add_weights(w, start, stop)
    missing, impossible, size = _survey_values(x, left, right, w, start, stop)
    values, values_w, lefts, lefts_w = lists[VALUE], lists[VALUE_W], lists[LEFT], lists[LEFT_W]
    rights, rights_w = lists[RIGHT], lists[RIGHT_W]
    # Unsigned, for numba asks of every signed index whether it is negative.
    a, b, c = (
        np.uint64(ends[VALUES, row]),
        np.uint64(ends[LEFTS, row]),
        np.uint64(ends[RIGHTS, row]),
    )
    begin = a + b + c
    factor, weight, used = 1.0 / unit, 1.0, True
    for i in range(np.uint64(start), np.uint64(stop)):
        value = float(x[i])
        below = above = False
        if w is not None:
            weight = float(w[i])
            used = weight > 0.0
            values_w[a] = weight
        values[a] = value
        if left is not None:
            least = float(left[i])
            below = value <= least
            lefts[b], lefts_w[b] = least * factor + 0.0, weight  # no negative zeros
            b += np.uint64(used & below)
        if right is not None:
            most = float(right[i])
            above = (value >= most) & (not below)
            rights[c], rights_w[c] = most * factor + 0.0, weight
            c += np.uint64(used & above)
        a += np.uint64(used & ((value == value) | (not omit)) & (not (below | above)))
    ends[VALUES, row], ends[LEFTS, row], ends[RIGHTS, row] = np.int64(a), np.int64(b), np.int64(c)
    return verdict(bad, total, missing, impossible, omit, np.int64(a + b + c - begin)), size


@helper
def _add_weights(w, start, stop):
    """(how many are negative or NaN, their sum)."""
    bad, total = np.int64(0), 0.0
    if w is not None:
        for i in range(start, stop):
            weight = float(w[i])
            bad += not weight >= 0.0
            total += weight
    return bad, total


@helper
def _survey_values(x, left, right, w, start, stop):
    """(how many are missing, how many impossible, the largest number): a loop that is vectorised.

    The bits of numbers that are not negative are in their order, and have a maximum that is.
    """
    missing = impossible = largest = np.int64(0)
    for i in range(np.uint64(start), np.uint64(stop)):
        value = number = float(x[i])
        wrong = False
        if left is not None or right is not None:
            least, most = -math.inf, math.inf
            if left is not None:
                least = float(left[i])
            if right is not None:
                most = float(right[i])
            number = select(value <= least, least, select(value >= most, most, value))
            wrong = not ((least <= most) & (least < math.inf) & (most > -math.inf))
        used = True
        if w is not None:
            used = float(w[i]) > 0.0
        missing += used & (value != value)
        impossible += used & (wrong | (abs(number) == math.inf))
        bits = to_bits(select(used & (number == number), abs(number), 0.0))
        largest = bits if bits > largest else largest
    return missing, impossible, from_bits(largest)


@helper
def verdict(bad, total, missing, impossible, omit, n):
    """The status of a row, -1 for weights that cannot be used."""
    if bad > 0 or not total < math.inf:
        return np.int64(-1)
    if missing > 0 and not omit:
        return np.int64(codes.NAN_INPUT)
    if impossible > 0:
        return np.int64(codes.INVALID_INPUT)
    return np.int64(codes.OK if n > 0 else codes.NO_DATA)


@helper
def _sort_intervals(x, upper, w, start, stop, unit, omit, lists, ends, row):
    """Intervals."""
    values, values_w, lower, upper_ = lists[VALUE], lists[VALUE_W], lists[LOWER], lists[UPPER]
    lefts, lefts_w, rights, rights_w = lists[LEFT], lists[LEFT_W], lists[RIGHT], lists[RIGHT_W]
    between_w = lists[BETWEEN_W]
    a, b = np.uint64(ends[VALUES, row]), np.uint64(ends[LEFTS, row])
    c, d = np.uint64(ends[RIGHTS, row]), np.uint64(ends[BETWEENS, row])
    n_missing = n_impossible = n_bad = np.int64(0)
    factor, size, total, weight, used = 1.0 / unit, 0.0, 0.0, 1.0, True
    for i in range(np.uint64(start), np.uint64(stop)):
        if w is not None:
            weight = float(w[i])
            used = weight > 0.0
            n_bad += not weight >= 0.0
            total += weight
        missing, impossible, low, high = interval_of(x, upper, i)
        n_missing += used & missing
        n_impossible += used & impossible
        fine = used & (not (missing & omit))
        no_low, no_high = low == -math.inf, high == math.inf
        below, above = 0.0 if no_low else abs(low), 0.0 if no_high else abs(high)
        largest = below if below > above else above
        size = largest if fine & (largest > size) else size
        values[a] = low
        if w is not None:
            values_w[a] = weight
        exact = fine & (low == high)
        a += np.uint64(exact)
        low, high = low * factor + 0.0, high * factor + 0.0  # no negative zeros
        lefts[b], lefts_w[b] = high, weight
        b += np.uint64(fine & no_low & (not (exact | no_high)))
        rights[c], rights_w[c] = low, weight
        c += np.uint64(fine & no_high & (not (exact | no_low)))
        lower[d], upper_[d], between_w[d] = low, high, weight
        d += np.uint64(fine & (not (exact | no_low | no_high)))
    n = np.int64(a + b + c + d) - ends[:, row].sum()
    ends[VALUES, row], ends[LEFTS, row] = np.int64(a), np.int64(b)
    ends[RIGHTS, row], ends[BETWEENS, row] = np.int64(c), np.int64(d)
    return verdict(n_bad, total, n_missing, n_impossible, omit, n), size


@helper
def _merge_equal(lower, upper, weights, start, stop, table):
    """Merge equal entries, up to a few that the table has no place for; returns the new end.

    lower, upper : what makes entries equal; the same array for one-sided limits.
    """
    n = start
    lows, highs = lower.view(np.int64), upper.view(np.int64)
    for i in range(start, stop):
        if i - start == _PROBES and n - start > _PROBES - _LEAST_EQUAL:
            # All different so far: the rest moves to its place.
            gap = i - n
            if gap > 0:
                for k in range(i, stop):
                    lower[k - gap], upper[k - gap] = lower[k], upper[k]
                    weights[k - gap] = weights[k]
            return stop - gap
        bits = lows[i] + 31 * highs[i]
        mixed = (bits ^ (bits >> 32)) * 0x1E3779B97F4A7C15  # round numbers differ in high bits only
        slot = (mixed >> 40) & (_N_SLOTS - 1)
        known = table[slot]
        if start <= known < n and lower[known] == lower[i] and upper[known] == upper[i]:
            weights[known] += weights[i]
        else:
            lower[n], upper[n], weights[n] = lower[i], upper[i], weights[i]
            table[slot] = n
            n += 1
    return n


@helper
def from_tally(stats, tally, limits, first):
    """What `compress` would make of problems whose observations share their limits.

    stats, tally : of n_fits problems, of `moments`.
    limits : (2, 1) or (2, at least first + n_fits), left and right; values at or beyond are only
        known to be so.

    Returns (lists, ends, status, units) and how many have bad weights.
    """
    n_fits = stats.shape[1]
    lists, ends = np.empty((N_LISTS, n_fits)), np.empty((N_KINDS, n_fits + 1), np.int64)
    status, units = np.empty(n_fits, np.int8), np.empty(n_fits)
    bad_weights = 0
    ends[:, 0] = 0
    for j in range(n_fits):
        column = (first + j) % limits.shape[1]
        least, most = limits[0, column], limits[1, column]
        weight, mean = stats[moments.W, j], stats[moments.MEAN, j]
        below, above = tally[deviations.BELOW, j], tally[deviations.ABOVE, j]
        missing = tally[deviations.MISSING, j]
        _begin_row(ends, j)
        units[j], status[j] = 1.0, codes.OK
        bad_weights += not weight + below + above + missing < math.inf
        if not (least <= most and least < math.inf and most > -math.inf):
            status[j] = codes.INVALID_INPUT
        elif weight > 0.0 and mean != mean:
            status[j] = codes.NAN_INPUT
        elif weight > 0.0 and not math.isfinite(mean):
            status[j] = codes.INVALID_INPUT
        elif weight + below + above == 0.0:
            status[j] = codes.NO_DATA
        else:
            units[j] = unit_of(
                _size(stats, j, least if below > 0.0 else 0.0, most if above > 0.0 else 0.0)
            )
        _put(least / units[j], below, lists[LEFT], lists[LEFT_W], ends[LEFTS], j)
        _put(most / units[j], above, lists[RIGHT], lists[RIGHT_W], ends[RIGHTS], j)
    return (lists, ends, status, units), bad_weights


@helper
def _size(stats, j, least, most):
    """The largest number of a problem with common limits, about."""
    size = max(abs(least), abs(most))
    weight = stats[moments.W, j]
    if weight > 0.0:
        spread = max(abs(stats[moments.MEAN, j]), math.sqrt(stats[moments.M2, j] / weight))
        size = max(size, abs(stats[moments.ORIGIN, j]), stats[moments.SCALE, j] * spread)
    return size


@helper
def _put(limit, weight, limits, weights, ends, j):
    """The limit of problem j, to the list whose end it moves; nothing if nothing is beyond it."""
    if weight > 0.0:
        limits[ends[j]], weights[ends[j]] = limit + 0.0, weight
        ends[j + 1] = ends[j] + 1


@helper
def exact_part(stats, j, unit):
    """(weight, origin, mean, M2, M3, M4) of a column of statistics, in these units."""
    origin, scale, weight, mean, m2, m3, m4 = moments.load(stats, j)
    if weight == 0.0:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    size = scale / unit
    if m2 == 0.0:  # equal values have the scale 1 however small they are
        return weight, origin / unit, mean * size, 0.0, 0.0, 0.0
    square = size * size
    return weight, origin / unit, mean * size, m2 * square, m3 * square * size, m4 * square * square


@helper
def problem_of(stats, lists, ends, units, j):
    """Problem j, as `existence` and `olsen` know it: (exact, left, right, between)."""
    left, right = (
        slice(ends[LEFTS, j], ends[LEFTS, j + 1]),
        slice(ends[RIGHTS, j], ends[RIGHTS, j + 1]),
    )
    between = slice(ends[BETWEENS, j], ends[BETWEENS, j + 1])
    return (
        exact_part(stats, j, units[j]),
        (lists[LEFT][left], lists[LEFT_W][left]),
        (lists[RIGHT][right], lists[RIGHT_W][right]),
        (lists[LOWER][between], lists[UPPER][between], lists[BETWEEN_W][between]),
    )
