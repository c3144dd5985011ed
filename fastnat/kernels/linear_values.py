"""Values of a regression's likelihood over blocks of rows: what `linear_search` is told.

``told`` is one array, so that the parts of a long problem add up: cells, the gradient (p + q,),
then the sums by pairs of columns: of X with itself, room for (p + 1, p + 1); of Z with X (q, p); of
Z with itself (q, q).
"""

import numpy as np

from fastnat.kernels._jit import helper
from fastnat.kernels.linear_rows import CLUSTER, EXACT, NOISE, STRIDE, TRUNCATED, WEIGHT, z_row
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
from fastnat.kernels.tiles import SIGNED, add_products, add_squares, add_totals, new_sums

(
    DONE,
    GRAM,
    GRAM_EXACT,
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
"""What is wanted next: nothing; sums of squares and products of X, the aim and Z, also of the exact
rows only; log-likelihood, gradient and curvature in the charts OLSEN, NATURAL and SCALE, there with
the observed information or its safe part, and VARIANCE, there also with the first and the second
derivative by the variance of the curvature of known values by location; at the maximum, the outer
product of the scores, the expected information, and the scores summed up by clusters."""

VALUE, WEIGHT_SUM, DENSITY, NO_NOISE, TINY, HUGE, N_CELLS = range(7)
"""Cells of what is told: log-likelihood; total weight, that of the rows with a density, and that of
those without noise; the weight of rows whose sigma is almost 0, or infinite, in this unit."""

_TINY, _HUGE = -30.0, 30.0  # log sigma beyond which the scale has left the data behind


@helper
def told_size(p, q):
    return N_CELLS + (p + q) + (p + 1) * (p + 1) + q * p + q * q


@helper
def parts(told, p, q):
    """(gradient, squares of X as (p + 1, p + 1), the same as (p, p), Z by X, squares of Z)."""
    a = N_CELLS + p + q
    b = a + (p + 1) * (p + 1)
    c = b + q * p
    return (
        told[N_CELLS:a],
        told[a:b].reshape(p + 1, p + 1),
        told[a : a + p * p].reshape(p, p),
        told[b:c].reshape(q, p),
        told[c : c + q * q].reshape(q, q),
    )


@helper
def new_terms():
    """(terms, sums of a tile): what `tell` works with."""
    return np.empty((N_TERMS, STRIDE)), new_sums()


@helper
def tell(request, theta, shift, share, noisy, block, p, q, work, told, by_cluster):
    """Add the values of one block at ``theta`` (p + q,) to ``told``.

    shift : what is added to Z theta in the chart SCALE, for the unit of the values.
    share : of a unit, what restricted likelihood adds to the score of log sigma of a row.
    noisy : whether any row has noise.
    by_cluster : (number of clusters, p + q), added to if CLUSTERS are wanted.
    """
    cells, design, ends = block
    terms, sums = work
    n, own_z = ends[-1], z_row(p)
    grad, aims, by_x, zx, zz = parts(told, p, q)
    x, z = design[:own_z], design[own_z : own_z + q]
    if request in (GRAM, GRAM_EXACT):
        n = ends[EXACT + 1] if request == GRAM_EXACT else n
        weights = cells[WEIGHT]
        _note_weights(cells, ends, told)
        add_squares(x, p + 1, weights, n, SIGNED, sums, aims)
        add_squares(z, q, weights, n, SIGNED, sums, zz)
        add_totals(z, weights, n, SIGNED, sums, grad[p:])
        return
    chart = _chart_of(request)
    _predict(x, p, theta[:p], n, 0.0, terms[A])
    _predict(z, q, theta[p:], n, shift if chart == SCALE else 0.0, terms[C])
    find_terms(chart, noisy, 0.0 if request == SAFE else 1.0, cells, ends, terms)
    if share > 0.0:
        _add_share(share, cells[WEIGHT], terms[BY_C], n)
    if request == CLUSTERS:
        _add_clusters(cells, x, z, p, q, n, terms, by_cluster)
        return
    _replace_curvature(request, cells, ends, terms)
    for i in range(n):
        told[VALUE] += terms[LOGLIK, i]
    if chart == SCALE:
        _note_extremes(cells[WEIGHT], terms[C], n, told)
    add_totals(x[:p], terms[BY_A], n, SIGNED, sums, grad[:p])
    add_totals(z, terms[BY_C], n, SIGNED, sums, grad[p:])
    add_squares(x, p, terms[AA], n, SIGNED, sums, by_x)
    add_products(z, x, p, terms[AC], n, SIGNED, sums, zx)
    add_squares(z, q, terms[CC], n, SIGNED, sums, zz)


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
def _note_weights(cells, ends, told):
    weights, noise = cells[WEIGHT], cells[NOISE]
    for i in range(ends[-1]):
        told[WEIGHT_SUM] += weights[i]
        told[NO_NOISE] += weights[i] if noise[i] == 0.0 else 0.0
    for i in range(ends[EXACT], ends[TRUNCATED + 1]):
        told[DENSITY] += weights[i]


@helper
def _predict(columns, p, theta, n, shift, out):
    for i in range(n):
        out[i] = shift
    for j in range(p):
        column, factor = columns[j], theta[j]
        for i in range(n):
            out[i] += factor * column[i]


@helper
def _note_extremes(weights, log_sigma, n, told):
    for i in range(n):
        told[TINY] += weights[i] if log_sigma[i] < _TINY else 0.0
        told[HUGE] += weights[i] if log_sigma[i] > _HUGE else 0.0


@helper
def _add_share(share, weights, by_c, n):
    for i in range(n):
        by_c[i] += share * weights[i]


@helper
def _add_clusters(cells, x, z, p, q, n, terms, by_cluster):
    for i in range(n):
        row = by_cluster[np.int64(cells[CLUSTER, i])]
        for j in range(p):
            row[j] += terms[BY_A, i] * x[j, i]
        for j in range(q):
            row[p + j] += terms[BY_C, i] * z[j, i]


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
