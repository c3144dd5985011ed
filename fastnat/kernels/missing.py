"""The likelihood of a multivariate normal with missing entries, and its curvature.

At a covariance S = L L', directions are (u, E): the mean changes by L u and the covariance by
L E L', E symmetric.  In these coordinates the information about complete data is the identity
(mean, off-diagonal elements) and a half (diagonal), whatever the correlations.  For a pattern
that observes rows B of L, B = C Q with C triangular and Q orthonormal (LQ decomposition); K = Q'Q
is a projector, z = C^-1 (mean - mu) the standardised mean, q = Q'z and
T = Q' (C^-1 scatter C^-T + z z') Q.  Then

    gradient           q,  (T - K) / 2
    information   u,u  K
                  u,E  u' K E q
                  E,E  tr(E K E H) with H = T - K / 2, in expectation H = K / 2

times the weight of the pattern.  Elements of E are ordered as the lower triangle, row by row; the
derivative by an element off the diagonal counts both of its places.  (Little and Rubin 2019,
Statistical Analysis with Missing Data, 3rd edition, chapter 11; the coordinates are ours.)

All of it is in the sums over patterns of K, T and q and of their products with each other, which
`fisher.accumulate` takes in register tiles, a vector of eight patterns at a time.

A step moves in another chart, (I - A, t) with E = A + A' to first order, A lower triangular:
L becomes L (I - A)^-1, and the mean moves by that times t.  These are the coefficients of the
regression of each variable on those before it, divided by its standard deviation, and the inverse
of that: Olsen's parameters, in which the likelihood of complete data is concave (Olsen 1978,
Econometrica 46, 1211-1215).  A covariance cannot stop being one, and may become singular fast.
"""

import math

import numpy as np

from fastnat.kernels._jit import helper
from fastnat.kernels._stop import stopped
from fastnat.kernels.fisher import accumulate
from fastnat.kernels.patterns import COLUMNS, MEANS, SIZES, SPREAD, STARTS, WEIGHT

_LOG_2PI = math.log(2.0 * math.pi)

_MANY = 128  # patterns whose terms are summed at a time

SKETCH, ROTATION, REFLECTED, WHITE, TERMS, WEIGHTS, SUMS, PRODUCTS, TRIAL = range(9)
"""Scratch: B, then C (d, d); Q; vectors of reflections; z, q and another; terms of patterns, a row
each of K, T (lower triangles) and q, and their weights; the sums and products of those; (p, p)."""


@helper
def n_params(d):
    return d + d * (d + 1) // 2


@helper
def new_tools(d, n_patterns, with_products):
    n_terms = 2 * n_params(d) - d
    n_products = n_terms if with_products else 0
    p = n_params(d) if with_products else 0
    many = min(_MANY, (n_patterns + 7) // 8 * 8)
    return (
        np.empty((d, d)),
        np.empty((d, d)),
        np.empty((d, d)),
        np.empty((3, d)),
        np.empty((n_terms, many)),
        np.empty(many),
        np.empty(n_terms),
        np.empty((n_products, n_products)),
        np.empty((p, p)),
    )


@helper
def factor_rows(root, which, size, tools):
    """C and Q of the rows ``which[:size]`` of the lower triangular ``root``.

    Returns the least C[a, a] relative to the length of its row: 0 where the rows are dependent.
    """
    c, q, vectors = tools[SKETCH], tools[ROTATION], tools[REFLECTED]
    for a in range(size):
        for j in range(root.shape[0]):
            c[a, j] = root[which[a], j]
            q[a, j] = 1.0 if a == j else 0.0
    least = math.inf
    for a in range(size):
        # There is nothing further right than this in row a or those before it.
        _set_reflection(c[a], a, which[a], vectors[a])
        _reflect_rows(c, a, size, which[a], vectors[a])
        length = 0.0
        for j in range(a + 1):
            length += c[a, j] * c[a, j]
        least = min(least, abs(c[a, a]) / math.sqrt(length) if length > 0.0 else 0.0)
    for a in range(size - 1, -1, -1):
        _reflect_rows(q, a, size, which[a], vectors[a])
    return least


@helper
def _set_reflection(row, a, last, vector):
    """The reflection that leaves nothing of a row beyond column a, scaled to a length of root 2."""
    squares = 0.0
    for j in range(a + 1, last + 1):
        squares += row[j] * row[j]
    vector[a] = 0.0
    if squares == 0.0:
        return
    norm = math.sqrt(squares + row[a] * row[a])
    top = row[a] + norm if row[a] > 0.0 else row[a] - norm
    factor = math.sqrt(2.0 / (squares + top * top))
    vector[a] = factor * top
    for j in range(a + 1, last + 1):
        vector[j] = factor * row[j]


@helper
def _reflect_rows(matrix, a, size, last, vector):
    """Reflect rows a to size - 1 in columns a to last."""
    if vector[a] == 0.0:
        return
    for i in range(a, size):
        total = 0.0
        for j in range(a, last + 1):
            total += matrix[i, j] * vector[j]
        for j in range(a, last + 1):
            matrix[i, j] -= total * vector[j]


@helper
def whiten(size, tools, z):
    """Solve C z = z in place."""
    c = tools[SKETCH]
    for a in range(size):
        value = z[a]
        for b in range(a):
            value -= c[a, b] * z[b]
        z[a] = value / c[a, a]


@helper
def rotate_back(size, tools, z, q):
    """q = Q' z."""
    rotation = tools[ROTATION]
    for j in range(q.size):
        q[j] = 0.0
    for a in range(size):
        part, row = z[a], rotation[a]
        for j in range(q.size):
            q[j] += part * row[j]


@helper
def set_projector(size, tools, column):
    """K = Q'Q, to a column of the terms."""
    rotation, terms = tools[ROTATION], tools[TERMS]
    d = rotation.shape[0]
    cell = 0
    for i in range(d):
        for j in range(i + 1):
            total = 0.0
            for a in range(size):
                total += rotation[a, i] * rotation[a, j]
            terms[cell, column] = total
            cell += 1


@helper
def _set_second_moments(spread, size, tools, column):
    """T = Q' C^-1 F'F C^-T Q + q q' of the spread F, to a column of the terms; its trace."""
    terms, q, z, each = tools[TERMS], tools[WHITE][1], tools[WHITE][0], tools[WHITE][2]
    d = q.size
    half = d * (d + 1) // 2
    cell = half
    for i in range(d):
        for j in range(i + 1):
            terms[cell, column] = q[i] * q[j]
            cell += 1
        terms[2 * half + i, column] = q[i]
    for first in range(0, spread.size, size):
        for a in range(size):
            z[a] = spread[first + a]
        whiten(size, tools, z)
        rotate_back(size, tools, z, each)
        cell = half
        for i in range(d):
            for j in range(i + 1):
                terms[cell, column] += each[i] * each[j]
                cell += 1
    trace = 0.0
    for i in range(d):
        trace += terms[half + i * (i + 3) // 2, column]
    return trace


@helper
def evaluate(found, mu, root, tools):
    """(log-likelihood, least relative pivot) at a mean and a root of a covariance.

    found : of `patterns.compress`.
    mu, root : (d,), (d, d) lower triangular, in the units and order of the patterns.
    tools : of `new_tools`; leaves sums and products of the terms, which `gradient` and
        `information` read.

    The least pivot, relative to the row it belongs to, is 0 if a pattern's covariance is singular.
    """
    sizes, starts = found[SIZES], found[STARTS]
    sums, products = tools[SUMS], tools[PRODUCTS]
    terms, weights = tools[TERMS], tools[WEIGHTS]
    loglik, least = 0.0, math.inf
    for i in range(sums.size):
        sums[i] = 0.0
    for i in range(products.shape[0]):
        for j in range(products.shape[0]):
            products[i, j] = 0.0
    column = 0
    for m in range(sizes.size):
        if stopped():
            return math.nan, 0.0
        size, weight = sizes[m], found[WEIGHT][m]
        pivot, log_det = look_at_pattern(found, m, mu, root, tools)
        least = min(least, pivot)
        set_projector(size, tools, column)
        spread = found[SPREAD][starts[m] : starts[m + 1]]
        trace = _set_second_moments(spread, size, tools, column)
        weights[column] = weight
        loglik -= 0.5 * weight * (size * _LOG_2PI + 2.0 * log_det + trace)
        column += 1
        if column == weights.size or m == sizes.size - 1:
            accumulate(terms, weights, column, sums, products)
            column = 0
    return loglik, least


@helper
def look_at_pattern(found, m, mu, root, tools):
    """C, Q, z and q of a pattern; returns the least relative pivot and log det C."""
    size, which = found[SIZES][m], found[COLUMNS][m]
    least = factor_rows(root, which, size, tools)
    c, z, q = tools[SKETCH], tools[WHITE][0], tools[WHITE][1]
    log_det = 0.0
    for a in range(size):
        z[a] = found[MEANS][m, a] - mu[which[a]]
        pivot = abs(c[a, a])
        log_det += math.log(pivot) if pivot != 0.0 else -math.inf
    whiten(size, tools, z)
    rotate_back(size, tools, z, q)
    return least, log_det


@helper
def gradient(tools, grad):
    """The gradient by (u, E), from the sums of `evaluate`."""
    sums = tools[SUMS]
    d = tools[SKETCH].shape[0]
    half = d * (d + 1) // 2
    cell = 0
    for i in range(d):
        grad[i] = sums[2 * half + i]
        for j in range(i + 1):
            factor = 1.0 if i > j else 0.5
            grad[d + cell] = factor * (sums[half + cell] - sums[cell])
            cell += 1


@helper
def _cell(i, j):
    """Where element (i, j) of a symmetric matrix is in its lower triangle, row by row."""
    return i * (i + 1) // 2 + j if i > j else j * (j + 1) // 2 + i


@helper
def information(expected, tools, info):
    """The information about (u, E), from the sums and products of `evaluate`.

    expected : whether it is the expected one, of these patterns of missing entries.
    """
    sums, products = tools[SUMS], tools[PRODUCTS]
    d = tools[SKETCH].shape[0]
    half = d * (d + 1) // 2
    for i in range(d):
        for j in range(d):
            info[i, j] = sums[_cell(i, j)]
    row = d
    for i in range(d):
        for j in range(i + 1):
            x = 1.0 if i > j else 0.5
            for m in range(d):
                value = 0.0
                if not expected:
                    value = (
                        products[_cell(m, i), 2 * half + j] + products[_cell(m, j), 2 * half + i]
                    )
                info[m, row] = info[row, m] = x * value
            column = d
            for a in range(i + 1):
                for b in range(a + 1):
                    if column > row:
                        break
                    y = x if a > b else 0.5 * x
                    value = (
                        _pair(expected, products, half, _cell(j, a), _cell(i, b))
                        + _pair(expected, products, half, _cell(i, a), _cell(j, b))
                        + _pair(expected, products, half, _cell(j, b), _cell(i, a))
                        + _pair(expected, products, half, _cell(i, b), _cell(j, a))
                    )
                    info[row, column] = info[column, row] = y * value
                    column += 1
            row += 1


@helper
def _pair(expected, products, half, k, h):
    """The sum of the products of K[k] and H[h]."""
    if expected:
        return 0.5 * products[k, h]
    return products[k, half + h] - 0.5 * products[k, h]
