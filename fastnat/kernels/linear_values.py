"""Values of a regression's likelihood over blocks of rows: what `linear_search` is told.

``told`` is one array, so that the parts of a long problem add up: cells, the gradient (p + q,),
then the sums by pairs of columns: of X with itself, room for (p + 1, p + 1); of Z with X (q, p); of
Z with itself (q, q); of X and the values that are known exactly, (p + 1, p + 1).
"""

import math

import numpy as np

from fastnat.kernels._jit import helper
from fastnat.kernels._scalar import matrix_at
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
    LOGLIK,
    N_TERMS,
    NATURAL,
    OLSEN,
    SCALE,
    VARIANCE,
    A,
    C,
    find_terms,
    to_derivatives,
    to_expected,
    to_products,
)
from fastnat.kernels.products import add_products, add_row, add_squares, predict, wide
from fastnat.kernels.tiles import new_sums, total

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
) = range(13)
"""What is wanted next: nothing; sums of the sizes of X, the values and Z; sums of squares and
products of X, the values and Z, also of the exact rows only; log-likelihood, gradient and curvature
in the charts OLSEN (of all rows but the exact ones, of which those sums say everything), NATURAL
and SCALE, there with the observed information or its safe part, and VARIANCE, there also with the
first and the second derivative by the variance of the curvature of known values by location; at the
maximum, the outer product of the scores, the expected information, and the scores summed up by
clusters."""

VALUE, ROWS, WEIGHT_SUM, DENSITY, NO_NOISE, TINY, SHARP, HUGE, N_CELLS = range(9)
"""Cells of what is told: log-likelihood; how many rows; total weight, that of the rows with a
density, and that of those without noise; the weight of rows whose sigma is almost 0, of those
among them whose density grows without bound, and of those that do not lose though their sigma is
almost infinite, in this unit."""

_TINY, _HUGE = -30.0, 30.0  # log sigma beyond which the scale has left the data behind


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
# They are in whole vectors, below the diagonal only: X with itself, the gradient by X, Z with X, Z
# with itself, the gradient by Z.


@helper
def new_work(p, q):
    """(terms, sums, totals): what `tell` works with."""
    size = (p + 1 + q) * wide(p) + (q + 1) * wide(q)
    return np.empty((N_TERMS, STRIDE)), np.zeros(size), new_sums()


@helper
def _places(p, q):
    """Where the sums begin."""
    x = p * wide(p)
    zx = x + wide(p)
    z = zx + q * wide(p)
    return x, zx, z, z + q * wide(q)


@helper
def take_squares(sums, at, p, out):
    """Add sums of squares to a symmetric matrix (at least p, at least p); they become 0."""
    step = wide(p)
    for j in range(p):
        for k in range(j + 1):
            value = sums[at + j * step + k]
            out[j, k] += value
            if k != j:
                out[k, j] += value
    sums[at : at + p * step] = 0.0


@helper
def take_row(sums, at, p, out):
    for j in range(p):
        out[j] += sums[at + j]
    sums[at : at + wide(p)] = 0.0


@helper
def collect(p, q, work, told):
    """After the last block: what has been summed goes to ``told``."""
    sums = work[1]
    by_x, zx_at, z, by_z = _places(p, q)
    grad, _, squares, zx, zz = parts(told, p, q)
    take_squares(sums, 0, p, squares)
    take_row(sums, by_x, p, grad)
    for j in range(q):
        take_row(sums, zx_at + j * wide(p), p, zx[j])
    take_squares(sums, z, q, zz)
    take_row(sums, by_z, q, grad[p:])


# ---- what a block adds -----------------------------------------------------------------------


@helper
def tell(request, theta, shift, share, noisy, rows, p, q, work, told, by_cluster):
    """Add the values of one block at ``theta`` (p + q,) to ``told``, or to the sums of ``work``.

    shift : what is added to Z theta in the chart SCALE, for the unit of the values.
    share : of a unit, what restricted likelihood adds to the score of log sigma of a row.
    noisy : whether any row has noise.
    rows : (cells, ends, X, where it begins, Z, where it begins) of the block, X and Z flat, Z empty
        for a column of ones.
    by_cluster : (number of clusters, p + q), added to if CLUSTERS are wanted.
    """
    cells, ends, x, x_start, z, z_start = rows
    terms = work[0]
    n = ends[EXACT] if request == IN_OLSEN else ends[N_KINDS]
    if n == 0:
        return
    if request == GRAM:
        _add_gram(noisy, rows, p, q, work, told)
        return
    if request == UNITS:
        _add_sizes(rows, p, q, told)
        return
    chart = _chart_of(request)
    predict(x, x_start, p, p, n, theta, 0.0, terms[A])
    constant = shift if chart == SCALE else 0.0
    if z.size == 0:
        for i in range(n):
            terms[C, i] = constant + theta[p]
    else:
        predict(z, z_start, q, q, n, theta[p:], constant, terms[C])
    find_terms(chart, noisy, 0.0 if request == SAFE else 1.0, cells, ends, terms)
    if share > 0.0:
        _add_share(share, cells[WEIGHT], terms[BY_C], n)
    if request == CLUSTERS:
        _add_clusters(rows, p, q, n, terms, by_cluster)
        return
    _replace_curvature(request, cells, ends, terms)
    told[VALUE] += total(terms[LOGLIK], n, work[2])
    if chart == SCALE:
        _note_extremes(cells, ends, terms[C], told)
    _add_terms(rows, n, p, q, work)


@helper
def _add_terms(rows, n, p, q, work):
    """Gradient and curvature by both predictors become those by all columns."""
    _, _, x, x_start, z, z_start = rows
    terms, sums, totals = work
    by_x, zx, zz, by_z = _places(p, q)
    add_squares(x, x_start, p, terms[AA], n, sums, 0)
    add_row(terms[BY_A], x, x_start, p, n, sums, by_x)
    if z.size == 0:
        add_row(terms[AC], x, x_start, p, n, sums, zx)
        sums[zz] += total(terms[CC], n, totals)
        sums[by_z] += total(terms[BY_C], n, totals)
        return
    add_products(z, z_start, q, x, x_start, p, terms[AC], n, sums, zx)
    add_squares(z, z_start, q, terms[CC], n, sums, zz)
    add_row(terms[BY_C], z, z_start, q, n, sums, by_z)


@helper
def _add_gram(noisy, rows, p, q, work, told):
    """Squares and products, apart for the rows that are exact and those that are not."""
    cells, ends, x, x_start, z, z_start = rows
    terms, sums, totals = work
    _, _, zz, by_z = _places(p, q)
    n, first = ends[N_KINDS], ends[EXACT]
    weights, aim = cells[WEIGHT], terms[A]
    for i in range(n):
        aim[i] = cells[LOW, i] + 0.5 * cells[WIDTH, i]
    _note_weights(cells, ends, noisy, totals, told)
    if first > 0:
        aims = parts(told, p, q)[1]
        _add_aims(x, x_start, p, aim, weights, first, work, _places(p, q)[0], aims)
    if first < n:
        known = known_part(told, p, q)
        begin = x_start + first * p
        own = _places(p, q)[0]
        _add_aims(x, begin, p, aim[first:], weights[first:], n - first, work, own, known)
    if z.size == 0:
        weight = total(weights, n, totals)
        sums[zz] += weight
        sums[by_z] += weight
        return
    add_squares(z, z_start, q, weights, n, sums, zz)
    add_row(weights, z, z_start, q, n, sums, by_z)


@helper
def _add_aims(x, x_start, p, aim, weights, n, work, by_x, out):
    """Add squares and products of X and the values to ``out`` (p + 1, p + 1)."""
    terms, sums, totals = work
    for i in range(n):
        terms[C, i] = weights[i] * aim[i]
        terms[CC, i] = terms[C, i] * aim[i]
    add_squares(x, x_start, p, weights, n, sums, 0)
    add_row(terms[C], x, x_start, p, n, sums, by_x)
    take_squares(sums, 0, p, out)
    for j in range(p):
        out[j, p] += sums[by_x + j]
        out[p, j] += sums[by_x + j]
    sums[by_x : by_x + wide(p)] = 0.0
    out[p, p] += total(terms[CC], n, totals)


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
    if request == IN_OLSEN:
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
def _note_weights(cells, ends, noisy, totals, told):
    weights, n, first = cells[WEIGHT], ends[N_KINDS], ends[TRUNCATED]
    all_rows = without_noise = total(weights, n, totals)
    if noisy:
        without_noise = 0.0
        for i in range(n):
            without_noise += weights[i] if cells[NOISE, i] == 0.0 else 0.0
    told[ROWS] += n
    told[WEIGHT_SUM] += all_rows
    told[DENSITY] += total(weights[first:], n - first, totals) if first > 0 else all_rows
    told[NO_NOISE] += without_noise


@helper
def _note_extremes(cells, ends, log_sigma, told):
    """Intervals have no density, and rows with noise do not notice that sigma is small."""
    n, weights, noise = ends[N_KINDS], cells[WEIGHT], cells[NOISE]
    count = 0
    for i in range(n):
        count += log_sigma[i] < _TINY
        count += log_sigma[i] > _HUGE
    for i in range(n if count > 0 else 0):
        tiny = weights[i] if log_sigma[i] < _TINY else 0.0
        told[TINY] += tiny
        told[SHARP] += tiny if i >= ends[TRUNCATED] and noise[i] == 0.0 else 0.0
        told[HUGE] += weights[i] if log_sigma[i] > _HUGE and i < ends[EXACT] else 0.0


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
