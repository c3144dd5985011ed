"""What an observation adds to the sums: its weight, and powers of its deviation from a shift.

A value is used if its weight is positive and, with limits, unless it is below the lower or above
the upper one; a NaN is used, and makes the sums NaN, unless NaN are to be omitted.
"""

import math

from fastnat.kernels import lanes
from fastnat.kernels._jit import helper

# Constants of both bodies, a row each.
SHIFT, RUNNING, LOWER, UPPER = range(4)
N_CONSTS = 4


def _used(v, values, consts, limited, omit):
    """The mask of the observations that count (None: all), and their weights (None: one)."""
    x, w = values
    mask = _inside(v, x, consts, limited, omit)
    if w is None:
        return mask, None
    positive = v.lt(v.constant(0.0), w)
    mask = positive if mask is None else v.both(positive, mask)
    return mask, v.select(mask, w, v.constant(0.0))


def _inside(v, x, consts, limited, omit):
    """The mask of the values that are to be used; None: all."""
    if limited and omit:
        return v.both(v.le(consts[LOWER], x), v.le(x, consts[UPPER]))
    if limited:
        return v.both(v.not_lt(x, consts[LOWER]), v.not_lt(consts[UPPER], x))
    return v.le(x, x) if omit else None


def _weigh(v, values, mask, weight):
    """What is added to W: a negative, NaN or infinite weight makes it NaN, used or not."""
    w = values[1]
    if w is None:
        return lanes.Count(mask)
    good = v.both(v.le(v.constant(0.0), w), v.lt(w, v.constant(math.inf)))
    return v.select(good, weight, v.constant(math.nan))


def _total(v, values, consts, flags):
    """Sums: [w, ]w x; the first only if some observations may not count as one."""
    limited, omit, _, _, _ = flags
    mask, weight = _used(v, values, consts, limited, omit)
    x = values[0]
    if mask is None:
        return [x]
    x = v.select(mask, x, v.constant(0.0))
    return [_weigh(v, values, mask, weight), x if weight is None else (weight, x)]


def _centred(v, values, consts, flags):
    """Sums: [w, ]w d, w d**2[, w d**3, w d**4][, tally] with d = x - shift[ - running].

    The shift is subtracted in two steps: it is exact for data close to their origin, and the
    running mean relative to the origin takes the rest.
    """
    limited, omit, high, running, tallied = flags
    mask, weight = _used(v, values, consts, limited, omit)
    d = v.sub(values[0], consts[SHIFT])
    if running:
        d = v.sub(d, consts[RUNNING])
    if mask is not None:
        d = v.select(mask, d, v.constant(0.0))
    wd = d if weight is None else v.mul(weight, d)
    sums = [] if mask is None else [_weigh(v, values, mask, weight)]
    sums += [wd, (wd, d)]
    if high:
        d2 = v.mul(d, d)
        sums += [(wd, d2), (v.mul(wd, d), d2)]
    if tallied:
        sums += _outside(v, *values, consts, omit)
    return sums


def _outside(v, x, w, consts, omit):
    """Sums that `add_tally` understands; where limits meet, what is beyond both is below."""
    if w is None:
        sums = [lanes.Count(v.not_lt(x, consts[LOWER]))]
        return [*sums, lanes.Count(v.le(x, x))] if omit else sums
    zero = v.constant(0.0)
    weight = v.select(v.lt(zero, w), w, zero)
    sums = [
        v.select(v.lt(x, consts[LOWER]), weight, zero),
        v.select(v.both(v.le(consts[LOWER], x), v.lt(consts[UPPER], x)), weight, zero),
    ]
    return [*sums, v.select(v.le(x, x), zero, weight)] if omit else sums


total_of_rows = lanes.row_sums(_total, N_CONSTS, rows=8, unroll=1, prefetch=True)
total_of_row = lanes.row_sums(_total, N_CONSTS, rows=1, unroll=4, prefetch=True)
total_of_columns = lanes.column_sums(_total, N_CONSTS)
centred_rows = lanes.row_sums(_centred, N_CONSTS, rows=8, unroll=1, prefetch=True)
centred_row = lanes.row_sums(_centred, N_CONSTS, rows=1, unroll=4, prefetch=True)
centred_columns = lanes.column_sums(_centred, N_CONSTS)

BELOW, ABOVE, MISSING, N_OUTSIDE = range(4)
"""Rows of the tally of what is left out, and how many they are; a NaN that is used is not."""

N_SUMS = 5 + N_OUTSIDE
"""How many sums there are at most."""


@helper
def first_sum(w, limits, omit):
    """1 if every observation counts as one, so that the bodies do not sum the weights."""
    return 1 if w is None and limits is None and omit is None else 0


@helper
def clear(tally, first, n):
    for s in range(N_OUTSIDE):
        for j in range(first, first + n):
            tally[s, j] = 0.0


@helper
def add_tally(w, omit, high, n, width, sums, first, tally):
    """Add the weight of what is left out, of n observations in each of these columns.

    Weights are summed apart, for a difference of sums may lose them; counts lose nothing.
    """
    top = 3 if high is None else 5
    for r in range(width):
        missing = 0.0
        if w is not None:
            below, above = sums[top, r], sums[top + 1, r]
            if omit is not None:
                missing = sums[top + 2, r]
        else:
            below = n - sums[top, r]
            if omit is not None:
                missing = n - sums[top + 1, r]
            above = n - sums[0, r] - below - missing
        tally[BELOW, first + r] += below
        tally[ABOVE, first + r] += above
        tally[MISSING, first + r] += missing


@helper
def set_limits(limits, first, consts):
    """The limits of problem ``first`` and those after it, to the columns of ``consts``."""
    if limits is not None:
        for r in range(consts.shape[1]):
            k = (first + r) % limits.shape[1]
            consts[LOWER, r] = limits[0, k]
            consts[UPPER, r] = limits[1, k]
