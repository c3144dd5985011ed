"""Means and scatter of tables in one pass: rows are observations, columns are variables.

A row of a statistics array describes the n rows x = origin + scale * t of one table of d columns:
its origins, scales and means of t (d each), the total weight, and the weighted sums of
(t_i - mean_i) (t_j - mean_j), the lower triangle row by row.  Origins are close to the data, so
that no digit is lost however large their offset; scales are powers of two, 1 unless squares would
overflow or underflow.  As in `moments`, the statistics say what is wrong with the data:

* the scatter of a column is zero if and only if all its values that are used are equal;
* the first mean is NaN if a value is NaN, else inf if one is infinite;
* the weight is NaN if a weight is negative, NaN or infinite, and inf if their sum is.

Rows of weight 0 are not looked at.  Updating formulas: Chan, Golub and LeVeque (1983), The
American Statistician 37, 242-247.
"""

import math

import numpy as np

from fastnat.kernels import lanes, moments
from fastnat.kernels._jit import helper, inlined, kernel
from fastnat.kernels._scalar import borrow, keep, part, weight_at
from fastnat.kernels.aligned import aligned_rows
from fastnat.kernels.fisher import BLOCK, STRIDE
from fastnat.kernels.tiles import CHECKED, add_moments, moments_tiles, new_cells, take_moments

SMALL = 6
"""Tables of at most so many columns are summed in registers, all products at once."""

_SHORT = 1024  # rows of a small table between two updates of the running shift
_HEAD = 4  # rows whose mean is the origin
_EPS = 2.0**-52
_TINY = 1e-280  # below it squares may have lost digits
_HUGE = 1e280
_USUAL = 300  # binary exponents of deviations whose squares are no trouble
_MAX_LOSS = 16.0  # the factor of accuracy that a badly placed origin may cost


def _sums(v, columns, weight, consts):
    """Sums: [w, ]w d_i for each column, w d_i d_j for j <= i, with d = x - origin - running."""
    deviations = [
        v.sub(v.sub(x, shift), running) for x, shift, running in zip(columns, *consts, strict=True)
    ]
    weighted, total = deviations, []
    if weight is not None:
        zero = v.constant(0.0)
        used = v.lt(zero, weight)
        good = v.both(v.le(zero, weight), v.lt(weight, v.constant(math.inf)))
        weight = v.select(used, weight, zero)
        total = [v.select(good, weight, v.constant(math.nan))]
        deviations = [v.select(used, d, zero) for d in deviations]
        weighted = [v.mul(weight, d) for d in deviations]
    products = [(weighted[i], deviations[j]) for i in range(len(deviations)) for j in range(i + 1)]
    return [*total, *weighted, *products]


_small_table = lanes.table_sums(_sums)


@kernel
def n_stats(d):
    """The length of the statistics of a table of d columns."""
    return np.int64(3 * d + 1 + d * (d + 1) // 2)


@helper
def new_tools(d, small):
    """Scratch: consts, sums, a transposed block, its sums and products, squares, a tile."""
    width = -(-d // lanes.WIDTH) * lanes.WIDTH
    if small:
        return (
            np.zeros((2, width)),
            np.empty(1 + d + d * (d + 1) // 2),
            np.empty((0, 0)),
            np.empty(0),
            np.empty((0, 0)),
            np.empty(d),
            new_cells(0),
        )
    return (
        np.zeros((2, width)),
        np.empty(1 + d + d * (d + 1) // 2),
        aligned_rows(width, STRIDE),
        np.empty(d),
        np.empty((d, d)),
        np.empty(d),
        new_cells(moments_tiles(d)),
    )


@helper
def _weight_of(w, start, n):
    """The sum of weights; NaN if one of them is negative, NaN or infinite."""
    if w is None:
        return float(n)
    total = 0.0
    for i in range(start, start + n):
        total += w[i] if 0.0 <= w[i] < math.inf else math.nan
    return total


@inlined
def _block_sums(x, w, like, start, n, d, tools):
    """Sums of a block about the shifts in ``tools[0]``: to ``tools[1]``, as in the statistics."""
    consts, sums = tools[0], tools[1]
    if like is not None:
        if w is None:
            _small_table(x, w, start, n, like, consts, sums, 1)
            sums[0] = float(n)
        else:
            _small_table(x, w, start, n, like, consts, sums, 0)
    else:
        block, e, products = tools[2], tools[3], tools[4]
        lanes.centre_transposed(x, start, n, d, consts, block)
        e[:] = 0.0
        products[:] = 0.0
        weights = part(w, start, start + n)
        add_moments(block, 0, d, weights, n, CHECKED, tools[6], 0)
        take_moments(tools[6], 0, d, e, products)
        sums[0] = _weight_of(w, start, n)
        cell = 1 + d
        for i in range(d):
            sums[1 + i] = e[i]
            for j in range(i + 1):
                sums[cell] = products[i, j]
                cell += 1


@inlined
def _fold(sums, d, consts, squares, stats):
    """Merge the sums of a block about the running means into them and the scatter."""
    total = stats[3 * d] + sums[0]
    stats[3 * d] = total
    inverse = 1.0 / total if total != 0.0 else 0.0
    cell = 1 + d
    for i in range(d):
        share = sums[1 + i] * inverse
        for j in range(i + 1):
            stats[2 * d + cell] += sums[cell] - share * sums[1 + j]
            cell += 1
        squares[i] += sums[cell - 1]
        consts[1, i] += share


@inlined
def _find_origin(x, w, start, n, d, consts):
    """Take the mean of the first rows that are used."""
    for j in range(d):
        consts[0, j] = consts[1, j] = 0.0
    weight, i = 0.0, start
    while i < start + n and (weight == 0.0 or i < start + _HEAD):
        factor = 1.0
        if w is not None:
            factor = w[i]
        if factor > 0.0:
            weight += factor
            for j in range(d):
                consts[0, j] += factor * x[i * d + j]
        i += 1
    for j in range(d):
        consts[0, j] /= weight if weight > 0.0 else 1.0


@inlined
def _reduce(x, w, like, start, n, d, tools, stats):
    """Statistics of one table about the origins in ``tools[0]``, to a row."""
    consts, sums, squares = tools[0], tools[1], tools[5]
    for k in range(3 * d + 1 + d * (d + 1) // 2):
        stats[k] = 0.0
    for j in range(d):
        squares[j] = consts[1, j] = 0.0
    size = BLOCK if like is None else _SHORT
    for i in range(start, start + n, size):
        _block_sums(x, w, like, i, min(size, start + n - i), d, tools)
        _fold(sums, d, consts, squares, stats)
    for j in range(d):
        stats[j], stats[d + j], stats[2 * d + j] = consts[0, j], consts[1, j], 1.0


@inlined
def _is_doubtful(d, squares, stats):
    """Whether the plain sums may have missed what the contract of the statistics promises."""
    weight = stats[3 * d]
    if not weight > 0.0:
        return False
    cell = 3 * d
    for j in range(d):
        cell += j + 1
        m2 = stats[cell]
        level = _EPS * (stats[j] + stats[d + j])
        fine = _TINY < m2 < _HUGE and m2 > weight * level * level
        if not (fine and squares[j] <= _MAX_LOSS * m2):
            return True
    return False


@kernel
def reduce_tables(x, w, like, offsets, d, stats):
    """Statistics of the tables of rows ``offsets[b]`` to ``offsets[b + 1]``.

    x : flat, rows of d elements.  w : flat, a weight for each row, or None.
    like : a tuple of d elements if d <= SMALL, else None.
    offsets : (n_tables + 1,) int64.
    stats : (n_tables, n_stats(d)), out; the first scale is NaN where `look_again` has to look.
    Returns how many those are.
    """
    size = d if like is None else len(like)  # the latter is known when this is compiled
    owners = x, w, stats, new_tools(d, like is not None)
    values, weights, out, tools = borrow(owners)
    n_doubtful = 0
    for b in range(offsets.size - 1):
        start, row = offsets[b], out[b]
        n = offsets[b + 1] - start
        _find_origin(values, weights, start, n, size, tools[0])
        _reduce(values, weights, like, start, n, size, tools, row)
        if _is_doubtful(size, tools[5], row):
            row[2 * size] = math.nan
            n_doubtful += 1
    keep(owners)
    return n_doubtful


@kernel
def look_again(x, w, offsets, d, stats):
    """Name NaN, inf and equality of columns, else repeat on a scaled copy, where it is doubtful.

    w : (0,) if there are no weights.  The rest as in `reduce_tables`; there are few such tables,
    and so there is one kernel for all of them.
    """
    tools = new_tools(d, False)
    for b in range(offsets.size - 1):
        row = stats[b]
        if row[2 * d] == row[2 * d]:
            continue
        start, n = offsets[b], 0
        used, factors = np.empty((offsets[b + 1] - start) * d), np.empty(offsets[b + 1] - start)
        for i in range(start, offsets[b + 1]):
            factors[n] = weight_at(w, i)
            if factors[n] > 0.0:
                for j in range(d):
                    used[n * d + j] = x[i * d + j]
                n += 1
        _reduce_scaled(used, factors, n, d, tools, row)


@helper
def _reduce_scaled(x, w, n, d, tools, stats):
    """What the statistics promise of the first n rows of a table, which are lost."""
    consts, infinite = tools[0], False
    stats[2 * d] = 1.0
    origins, factors = np.empty(d), np.empty(d)
    for j in range(d):
        mean, span = stats[j] + stats[d + j], (np.int64(j), n * d, d)
        low, top, nearest = moments.scan(x, w[:0], span, -math.inf, math.inf, False, mean)
        if low != low:
            stats[d] = math.nan
            return
        infinite = infinite or low == -math.inf or top == math.inf
        origins[j] = nearest
        factors[j] = _factor_of(0.5 * top - 0.5 * low, stats[3 * d])
    if infinite:
        stats[d] = math.inf
        return
    for i in range(n):
        for j in range(d):
            x[i * d + j] = x[i * d + j] * factors[j] - origins[j] * factors[j]
    for j in range(d):
        consts[0, j] = consts[1, j] = 0.0
    for _ in range(2):  # to find the mean, and about it
        _reduce(x, w, None, 0, n, d, tools, stats)
        for j in range(d):
            consts[0, j] = stats[j] + stats[d + j]
    for j in range(d):
        stats[d + j] += stats[j]
        stats[j] = origins[j]
        stats[2 * d + j] = 1.0 / factors[j] if factors[j] > 0.0 else 1.0


@helper
def _factor_of(half, weight):
    """What to multiply with: a power of two, 1 for usual values, 0 if they are all equal."""
    if not 0.0 < half < math.inf:
        return 0.0
    exponent = math.frexp(half)[1] + 1
    if abs(exponent) < _USUAL:
        exponent = 0
    return math.ldexp(1.0, -moments.with_room(exponent, weight))


@helper
def merge(a, b, d):
    """Merge the row of statistics b into a; the origins of the heavier one stay.

    If both have data, the first d cells of b become the gaps between their means, in the scales
    of a.
    """
    if b[3 * d] > a[3 * d]:
        for k in range(a.size):
            a[k], b[k] = b[k], a[k]
    weight = a[3 * d]
    total = weight + b[3 * d]
    a[3 * d] = total
    if b[3 * d] == 0.0:
        return
    if not (math.isfinite(total) and math.isfinite(a[d] + b[d])):
        a[d] += b[d]  # NaN is worse than inf
        return
    share = b[3 * d] / total
    for j in range(d):
        gap, half = b[j] - a[j], 1.0
        if not math.isfinite(gap):
            gap, half = 0.5 * b[j] - 0.5 * a[j], 2.0
        b[j] = half * (gap / _rescale(a, b, d, j, gap)) + b[d + j] - a[d + j]
    cell = 3 * d + 1
    for i in range(d):
        for j in range(i + 1):
            a[cell] += b[cell] + b[i] * b[j] * (weight * share)
            cell += 1
    for j in range(d):
        a[d + j] += share * b[j]


@helper
def _rescale(a, b, d, j, gap):
    """Bring column j of two rows to one scale that suits the gap, too, and return it."""
    diagonal = 3 * d + (j + 1) * (j + 2) // 2
    scale = moments.common_scale(a[2 * d + j], a[diagonal], b[2 * d + j], b[diagonal], gap)
    for row in (a, b):
        ratio = row[2 * d + j] / scale
        row[2 * d + j] = scale
        if ratio != 1.0:
            row[d + j] *= ratio
            for i in range(d):
                low, high = min(i, j), max(i, j)
                row[3 * d + 1 + high * (high + 1) // 2 + low] *= ratio
            row[diagonal] *= ratio
    return scale


@kernel
def merge_tables(parts, d):
    """Merge all rows of statistics into the first, in a fixed tree; the others are used up."""
    distance = 1
    while distance < parts.shape[0]:
        for s in range(0, parts.shape[0] - distance, 2 * distance):
            merge(parts[s], parts[s + distance], d)
        distance *= 2


@kernel
def weigh_complete(x, w, d, out):
    """The weights of rows (1 if w is None), 0 for those with a NaN, to ``out``."""
    for i in range(out.size):
        out[i] = 1.0 if w is None else w[i]
        for k in range(i * d, (i + 1) * d):
            if x[k] != x[k]:
                out[i] = 0.0
