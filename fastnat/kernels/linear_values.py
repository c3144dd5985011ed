"""Values of a regression's likelihood over blocks of rows: what `linear_search` is told.

``told`` is one array, so that the parts of a long problem add up: cells, the gradient (p + q,),
then the sums by pairs of columns: of X with itself, room for (p + 1, p + 1); of Z with X (q, p); of
Z with itself (q, q); of X and the values that are known exactly, (p + 1, p + 1).
"""

import math

import numpy as np

from fastnat.kernels._jit import helper
from fastnat.kernels._scalar import matrix_at
from fastnat.kernels.aligned import aligned_rows
from fastnat.kernels.fisher import STRIDE
from fastnat.kernels.linear_rows import (
    CLUSTER,
    EXACT,
    LOW,
    N_KINDS,
    NOISE,
    TRUNCATED,
    WEIGHT,
    WIDTH,
)
from fastnat.kernels.linear_terms import (
    AA,
    AC,
    BY_A,
    BY_C,
    CC,
    INV,
    LOGLIK,
    N_TERMS,
    NATURAL,
    OLSEN,
    SCALE,
    VARIANCE,
    A,
    C,
    find_bounds,
    find_terms,
    to_derivatives,
    to_expected,
    to_products,
)
from fastnat.kernels.products import ROOM, turn
from fastnat.kernels.tiles import (
    CELLS,
    SIGNED,
    add_moments,
    add_products,
    add_totals,
    moments_tiles,
    new_cells,
    products_tiles,
    take_moments,
    take_products,
    take_totals,
    total,
    totals_tiles,
)

(
    DONE,
    UNITS,
    GRAM,
    IN_OLSEN,
    IN_NATURAL,
    OBSERVED,
    SAFE,
    BY_VARIANCE,
    SLOPES,
    CURVES,
    PRODUCTS,
    EXPECTED,
    CLUSTERS,
    BOUNDS,
    ROUGHLY,
) = range(15)
"""What is wanted next: nothing; sums of the sizes of X, the values and Z; sums of squares and
products of X, the values and Z, also of the exact rows only; log-likelihood, gradient and curvature
in the charts OLSEN (of all rows but the exact ones, of which those sums say everything), NATURAL
and SCALE, there with the observed information or its safe part, and VARIANCE, there also with the
first and the second derivative by the variance of the curvature of known values by location; at the
maximum, the outer product of the scores, the expected information, and the scores summed up by
clusters; in the chart OLSEN, in the place of the curvature, what `linear_proof` asks for; and as
OBSERVED, but rows may tell curvature in single precision."""

VALUE, ROWS, WEIGHT_SUM, DENSITY, NO_NOISE, NOISE_SUM, TINY, SHARP, HUGE, ROUGH, N_CELLS = range(11)
"""Cells of what is told: log-likelihood; how many rows; total weight, that of the rows with a
density, and that of those without noise; the sum of the noise; the weight of rows whose sigma is
almost 0, of those among them whose density grows without bound, and of those that do not lose
though their sigma is almost infinite, in this unit; how many rows have told their curvature in
single precision."""

SMALLEST, LARGEST = -30.0, 30.0
"""Log sigma beyond which the scale has left the data behind."""


@helper
def told_size(p, q):
    return N_CELLS + (p + q) + 2 * (p + 1) * (p + 1) + q * p + q * q


@helper
def parts(told, p, q):
    """(gradient, squares of X as (p + 1, p + 1), the same as (p, p), Z by X, squares of Z)."""
    a = N_CELLS + p + q
    b = a + (p + 1) * (p + 1)
    return (
        told[N_CELLS:a],
        matrix_at(told, a, p + 1, p + 1),
        matrix_at(told, a, p, p),
        matrix_at(told, b, q, p),
        matrix_at(told, b + q * p, q, q),
    )


@helper
def known_part(told, p, q):
    """Squares and products of X and the values of exact rows, (p + 1, p + 1)."""
    return matrix_at(told, told_size(p, q) - (p + 1) * (p + 1), p + 1, p + 1)


# ---- sums ------------------------------------------------------------------------------------
# They are in cells of `tiles`, until the last block: a tile for what is summed at once, then the
# gradient by X and by Z, X with itself, Z with X, Z with itself.


@helper
def _places(p, q):
    """Where the cells of each begin, and how many tiles there are."""
    by_z = 1 + totals_tiles(p)
    x = by_z + totals_tiles(q)
    zx = x + moments_tiles(p)
    z = zx + products_tiles(q, p)
    return CELLS, by_z * CELLS, x * CELLS, zx * CELLS, z * CELLS, z + moments_tiles(q)


@helper
def new_work(p, q):
    """(terms, columns, cells, lost): what `tell` works with.

    columns : (p + q, STRIDE) and some room, the columns of X and Z of a block as rows.
    lost : room for sums of which nobody asks.
    """
    cells = new_cells(_places(p, q)[5])
    terms, columns = aligned_rows(N_TERMS, STRIDE), aligned_rows(p + q + ROOM, STRIDE)
    return terms, columns, cells, np.zeros(max(p + 1, q))


@helper
def collect(p, q, work, told):
    """After the last block: what has been summed goes to ``told``."""
    cells, lost = work[2], work[3]
    by_x, by_z, x, zx_at, z, _ = _places(p, q)
    grad, _, squares, zx, zz = parts(told, p, q)
    take_totals(cells, by_x, p, grad)
    take_totals(cells, by_z, q, grad[p:])
    take_moments(cells, x, p, lost, squares)
    take_products(cells, zx_at, q, p, zx)
    take_moments(cells, z, q, lost, zz)
    lost[:] = 0.0


# ---- what a block adds -----------------------------------------------------------------------


@helper
def tell(request, theta, shift, share, noisy, rows, p, q, work, told, by_cluster):
    """Add the values of one block at ``theta`` (p + q,) to ``told``, or to the cells of ``work``.

    shift : what is added to Z theta in the chart SCALE, for the unit of the values.
    share : of a unit, what restricted likelihood adds to the score of log sigma of a row.
    noisy : whether any row has noise.
    rows : (cells, ends, X, where it begins, Z, where it begins) of the block, X and Z flat, Z empty
        for a column of ones.
    by_cluster : (number of clusters, p + q), added to if CLUSTERS are wanted.
    """
    cells, ends, x, x_start, z, z_start = rows
    terms, columns, tiles, _ = work
    n = ends[EXACT] if request in (IN_OLSEN, BOUNDS) else ends[N_KINDS]
    if n == 0:
        return
    if request == GRAM:
        _add_gram(noisy, rows, p, q, work, told)
        return
    if request == UNITS:
        _add_sizes(rows, p, q, told)
        return
    chart = _chart_of(request)
    constant = shift if chart == SCALE else 0.0
    turn(x, x_start, p, p, n, theta, 0.0, terms[A], columns, 0)
    if z.size > 0:
        turn(z, z_start, q, q, n, theta[p:], constant, terms[C], columns, p)
    for i in range(n if z.size == 0 else 0):
        terms[C, i] = constant + theta[p]
    if request == BOUNDS:
        find_bounds(cells, ends, terms)
    else:
        find_terms(chart, noisy, 0.0 if request == SAFE else 1.0, cells, ends, terms)
    if share > 0.0:
        _add_share(share, cells[WEIGHT], terms[BY_C], n)
    if request == CLUSTERS:
        _add_clusters(rows, p, q, n, terms, by_cluster)
        return
    _replace_curvature(request, cells, ends, terms)
    told[VALUE] += total(terms[LOGLIK], n, tiles)
    if chart == SCALE:
        _note_extremes(cells, ends, terms[C], told)
    _add_terms(n, p, q, z.size == 0, work)


@helper
def _add_terms(n, p, q, constant, work):
    """Gradient and curvature by both predictors become those by all columns."""
    terms, columns, tiles, _ = work
    by_x, by_z, x, zx, z, _ = _places(p, q)
    add_totals(columns, 0, p, terms[BY_A], n, SIGNED, tiles, by_x)
    add_moments(columns, 0, p, terms[AA], n, SIGNED, tiles, x)
    if constant:
        for i in range(n):
            columns[p, i] = 1.0
    add_totals(columns, p, q, terms[BY_C], n, SIGNED, tiles, by_z)
    add_products(columns, p, q, 0, p, terms[AC], n, SIGNED, tiles, zx)
    add_moments(columns, p, q, terms[CC], n, SIGNED, tiles, z)


@helper
def _add_gram(noisy, rows, p, q, work, told):
    """Squares and products, apart for the rows that are exact and those that are not."""
    cells, ends, x, x_start, z, z_start = rows
    terms, columns, tiles, lost = work
    grad, aims, _, _, zz = parts(told, p, q)
    n, first = ends[N_KINDS], ends[EXACT]
    weights, aim = cells[WEIGHT], terms[A]
    for i in range(n):
        aim[i] = cells[LOW, i] + 0.5 * cells[WIDTH, i]
    _note_weights(cells, ends, noisy, tiles, told)
    if first > 0:
        _add_aims(x, x_start, p, aim, weights, first, work, aims)
    if first < n:
        known = known_part(told, p, q)
        _add_aims(x, x_start + first * p, p, aim[first:], weights[first:], n - first, work, known)
    if z.size == 0:
        weight = total(weights, n, tiles)
        zz[0, 0] += weight
        grad[p] += weight
        return
    turn(z, z_start, q, q, n, lost, 0.0, terms[INV], columns, 0)
    add_moments(columns, 0, q, weights, n, SIGNED, tiles, 0)
    take_moments(tiles, 0, q, grad[p:], zz)


@helper
def _add_aims(x, x_start, p, aim, weights, n, work, out):
    """Add squares and products of X and the values to ``out`` (p + 1, p + 1)."""
    terms, columns, tiles, lost = work
    turn(x, x_start, p, p, n, lost, 0.0, terms[INV], columns, 0)
    for i in range(n):
        columns[p, i] = aim[i]
    add_moments(columns, 0, p + 1, weights, n, SIGNED, tiles, 0)
    take_moments(tiles, 0, p + 1, lost, out)
    lost[:] = 0.0


@helper
def _add_sizes(rows, p, q, told):
    """Sums of the roots of sizes, which are moderate numbers, to the diagonals of the squares."""
    cells, ends, x, x_start, z, z_start = rows
    _, aims, _, _, zz = parts(told, p, q)
    for i in range(ends[N_KINDS]):
        for j in range(p):
            aims[j, j] += math.sqrt(abs(x[x_start + i * p + j]))
        for j in range(q):
            zz[j, j] += math.sqrt(abs(z[z_start + i * q + j])) if z.size > 0 else 1.0
        aims[p, p] += math.sqrt(abs(cells[LOW, i] + 0.5 * cells[WIDTH, i]))
    told[ROWS] += ends[N_KINDS]


@helper
def _chart_of(request):
    if request in (IN_OLSEN, BOUNDS):
        return OLSEN
    if request == IN_NATURAL:
        return NATURAL
    return VARIANCE if request in (BY_VARIANCE, SLOPES, CURVES) else SCALE


@helper
def _replace_curvature(request, cells, ends, terms):
    """What is wanted in the place of the curvature."""
    if request == PRODUCTS:
        to_products(cells, ends[-1], terms)
    elif request == EXPECTED:
        to_expected(cells, ends, terms)
    elif request in (SLOPES, CURVES):
        to_derivatives(request == CURVES, cells, ends[-1], terms)


@helper
def _note_weights(cells, ends, noisy, tiles, told):
    weights, n, first = cells[WEIGHT], ends[N_KINDS], ends[TRUNCATED]
    all_rows = without_noise = total(weights, n, tiles)
    if noisy:
        without_noise = 0.0
        for i in range(n):
            without_noise += weights[i] if cells[NOISE, i] == 0.0 else 0.0
            told[NOISE_SUM] += weights[i] * cells[NOISE, i]
    told[ROWS] += n
    told[WEIGHT_SUM] += all_rows
    told[DENSITY] += total(weights[first:], n - first, tiles) if first > 0 else all_rows
    told[NO_NOISE] += without_noise


@helper
def _note_extremes(cells, ends, log_sigma, told):
    """Intervals have no density, and rows with noise do not notice that sigma is small."""
    n, weights, noise = ends[N_KINDS], cells[WEIGHT], cells[NOISE]
    count = 0
    for i in range(n):
        count += log_sigma[i] < SMALLEST
        count += log_sigma[i] > LARGEST
    for i in range(n if count > 0 else 0):
        tiny = weights[i] if log_sigma[i] < SMALLEST else 0.0
        told[TINY] += tiny
        told[SHARP] += tiny if i >= ends[TRUNCATED] and noise[i] == 0.0 else 0.0
        told[HUGE] += weights[i] if log_sigma[i] > LARGEST and i < ends[EXACT] else 0.0


@helper
def _add_share(share, weights, by_c, n):
    for i in range(n):
        by_c[i] += share * weights[i]


@helper
def _add_clusters(rows, p, q, n, terms, by_cluster):
    cells, _, x, x_start, z, z_start = rows
    for i in range(n):
        row = by_cluster[np.int64(cells[CLUSTER, i])]
        for j in range(p):
            row[j] += terms[BY_A, i] * x[x_start + i * p + j]
        for j in range(q):
            row[p + j] += terms[BY_C, i] * (z[z_start + i * q + j] if z.size > 0 else 1.0)


@helper
def metric_of(told, p, q, metric):
    """The curvature of all parameters, (p + q, p + q), from its parts."""
    _, _, by_x, zx, zz = parts(told, p, q)
    for j in range(p):
        for k in range(p):
            metric[j, k] = by_x[j, k]
    for j in range(q):
        for k in range(p):
            metric[p + j, k] = metric[k, p + j] = zx[j, k]
        for k in range(q):
            metric[p + j, p + k] = zz[j, k]
