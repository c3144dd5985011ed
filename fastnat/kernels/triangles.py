"""Triangles R of tables: R'R is the scatter, and R keeps the digits that a scatter has lost."""

import math

import numpy as np

from fastnat.kernels import mvn, tables
from fastnat.kernels._jit import kernel
from fastnat.kernels.linalg import cholesky, reflect


@kernel
def from_scatter(scatter, numbers, r):
    """Triangles (n, d, d) of tables whose covariances `mvn.finish` has found clear; else zero.

    r : in the units of the scatter, out.
    """
    d = scatter.shape[1]
    for b in range(scatter.shape[0]):
        for i in range(d):
            for j in range(d):
                r[b, i, j] = scatter[b, i, j]
        clear = numbers[b, mvn.RANK] == d and cholesky(r[b])
        root = math.sqrt(numbers[b, mvn.NOBS])
        for i in range(d):
            for j in range(d):
                r[b, i, j] = root * r[b, i, j] if clear and j >= i else 0.0


@kernel
def merge(others, other_r, d, stats, r):
    """Merge each row of ``others`` into that row of ``stats`` (`tables`), and their triangles.

    The scatter of both is the sum of theirs and of that of their means: the triangle is that of a
    QR decomposition of all three.  The others are used up.
    """
    block, scales = np.empty((2 * d + 1, d)), np.empty((2, d))
    for b in range(stats.shape[0]):
        own, other = stats[b], others[b]
        own_weight, weight = own[3 * d], other[3 * d]
        for j in range(d):
            scales[0, j], scales[1, j] = own[2 * d + j], other[2 * d + j]
        tables.merge(own, other, d)
        if weight == 0.0:
            continue
        factor = math.sqrt(own_weight * (weight / (own_weight + weight)))
        for j in range(d):
            first, second = scales[0, j] / own[2 * d + j], scales[1, j] / own[2 * d + j]
            for i in range(d):
                block[i, j] = r[b, i, j] * first if own_weight > 0.0 else 0.0
                block[d + i, j] = other_r[b, i, j] * second
            block[2 * d, j] = factor * other[j] if own_weight > 0.0 else 0.0
        for j in range(d if own_weight > 0.0 else 0):
            reflect(block, j, 2 * d + 1)
        from_row = 0 if own_weight > 0.0 else d
        for i in range(d):
            for j in range(d):
                r[b, i, j] = block[from_row + i, j] if j >= i else 0.0
