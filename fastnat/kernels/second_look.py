"""A second look at problems whose plain sums may have missed what `moments` promises.

There are few of them, and so there is one kernel for all that can be asked of the first look.
"""

import math

import numpy as np

from fastnat.kernels import deviations, lanes, moments, rows
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels._scalar import weight_at


@kernel
def look_again(x, w, starts, stops, stride, limits, omit, first, stats):
    """Name NaN, inf and equality, else repeat on a scaled copy, where the scale is NaN.

    Problem b is the elements ``starts[b]``, ``starts[b] + stride``, ... before ``stops[b]`` of the
    flat x and w, and column ``first + b`` of ``stats``.

    w : (0,) if there are no weights.  limits : (2, 0) if there are none.  omit : whether NaN are
    left out.  The rest as in `rows.reduce_rows`.
    """
    consts = np.zeros((deviations.N_CONSTS, lanes.WIDTH))
    sums = np.empty((deviations.N_SUMS, lanes.WIDTH))
    for b in range(starts.size):
        j = first + b
        if stats[moments.SCALE, j] == stats[moments.SCALE, j]:
            continue
        lower, upper = -math.inf, math.inf
        if limits.size > 0:
            k = b % limits.shape[1]
            lower, upper = limits[0, k], limits[1, k]
        span, use = (starts[b], stops[b], stride), (lower, upper, omit)
        # What is looked at is shifted by a value that most of the weight is near.
        target = stats[moments.ORIGIN, j] + stats[moments.MEAN, j]
        low, top, origin = moments.scan(x, w, span, *use, target)
        weight, bad = stats[moments.W, j], math.nan
        if low != low:
            moments.store((0.0, 1.0, weight, bad, bad, bad, bad), stats, j)
        elif low == -math.inf or top == math.inf:
            moments.store((0.0, 1.0, weight, math.inf, bad, bad, bad), stats, j)
        elif low == top:
            moments.store((low, 1.0, weight, 0.0, 0.0, 0.0, 0.0), stats, j)
        else:
            # In units of 2**exponent the largest value is near 1.
            exponent = moments.with_room(math.frexp(max(abs(low), abs(top)))[1], weight)
            found = _of_scaled_copy(x, w, span, use, origin, exponent, consts, sums)
            shift, unit, weight, mean, m2, m3, m4 = found
            scale = math.ldexp(unit, exponent)
            moments.store((origin, scale, weight, shift / unit + mean, m2, m3, m4), stats, j)


@helper
def _of_scaled_copy(x, w, span, use, origin, exponent, consts, sums):
    """Statistics of the used values less the origin, which is exact there, in these units."""
    i, stop, stride = span
    most = min(rows.SEGMENT, (stop - i + stride - 1) // stride)
    values, weights = np.empty(most), np.empty(most)
    stats, found = np.empty((moments.M4 + 1, 1)), (0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    while i < stop:
        n, i = _gather(x, w, (i, stop, stride), use, origin, exponent, values, weights)
        if n > 0:
            rows.long_row(
                values, weights, None, None, True, 0, n, n, 0.0, consts, sums, 0, stats, None
            )
            stats[moments.SCALE, 0] = 1.0  # there is no third look
            found = moments.merge(True, found, moments.load(stats, 0))
    return found


@helper
def _gather(x, w, span, use, origin, exponent, values, weights):
    """As many used values as there is room for: their number, and where the next one is."""
    i, stop, stride = span
    factor, n = math.ldexp(1.0, -exponent), 0
    while i < stop and n < values.size:
        value, weight = float(x[i]), weight_at(w, i)
        if moments.is_used(value, weight, *use):
            values[n], weights[n] = value * factor - origin * factor, weight
            n += 1
        i += stride
    return n, i
