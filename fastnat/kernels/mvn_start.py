"""Where to begin with missing entries: the closed form of nested patterns, or what pairs say."""

import math

import numpy as np

from fastnat.kernels._jit import helper
from fastnat.kernels.patterns import COLUMNS, MEANS, SPREAD, SIZES, STARTS, WEIGHT

_SHRINKAGE = 0.1  # more each time, of correlations that are not those of any data
_LEAST_PIVOT = 1e-3  # of correlations that had to be shrunk


@helper
def cholesky_lower(a, least, root):
    """L of a = L L' to ``root``; False if a pivot is not above that part of its diagonal entry."""
    d = a.shape[0]
    for i in range(d):
        for j in range(d):
            root[i, j] = 0.0
    for i in range(d):
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= root[i, k] * root[j, k]
            if i > j:
                root[i, j] = total / root[j, j]
            elif total > least * a[i, i]:
                root[i, i] = math.sqrt(total)
            else:
                return False
    return True


@helper
def are_nested(found):
    """Whether every pattern is the leading columns, and their order from large to small."""
    sizes, which = found[SIZES], found[COLUMNS]
    for m in range(sizes.size):
        if which[m, sizes[m] - 1] != sizes[m] - 1:
            return False
    return True


@helper
def closed_form(found, mu, root):
    """The maximum for nested patterns; the least relative pivot, 0 if there is no maximum.

    Each column is regressed on those before it, in the rows that have it (Anderson 1957, Journal
    of the American Statistical Association 52, 200-203).
    """
    sizes = found[SIZES]
    d = mu.size
    total, mean, scatter = 0.0, np.zeros(d), np.zeros((d, d))
    own, coefs = np.zeros((d, d)), np.empty(d)
    for i in range(d):
        for j in range(d):
            root[i, j] = 0.0
    # From the last column to the first: which rows have it, and what they say.
    rows_mean, rows_scatter = np.zeros((d, d)), np.zeros((d, d, d))
    for size in range(d, 0, -1):
        for m in range(sizes.size):
            if sizes[m] == size:
                total = _merge(found, m, total, mean, scatter)
        for i in range(size):
            rows_mean[size - 1, i] = mean[i]
            for j in range(i + 1):
                rows_scatter[size - 1, i, j] = scatter[i, j] / total if total > 0.0 else 0.0
    least = math.inf
    for j in range(d):
        part = rows_scatter[j]
        if part[j, j] == 0.0:
            return 0.0
        # A triangle of its own for each column: its rows are others.
        for i in range(j + 1):
            for k in range(i + 1):
                value = part[i, k]
                for a in range(k):
                    value -= own[i, a] * own[k, a]
                if i > k:
                    own[i, k] = value / own[k, k]
                elif value > 0.0:
                    own[i, i] = math.sqrt(value)
                else:
                    return 0.0
        for i in range(j - 1, -1, -1):
            value = own[j, i]
            for a in range(i + 1, j):
                value -= own[a, i] * coefs[a]
            coefs[i] = value / own[i, i]
        mu[j] = rows_mean[j, j]
        for i in range(j):
            mu[j] += coefs[i] * (mu[i] - rows_mean[j, i])
            root[j, i] = 0.0
            for a in range(i, j):
                root[j, i] += coefs[a] * root[a, i]
        root[j, j] = own[j, j]
        least = min(least, own[j, j] / math.sqrt(part[j, j]))
    return least


@helper
def _merge(found, m, total, mean, scatter):
    """Add pattern m to the moments of its columns; returns the weight."""
    size, weight = found[SIZES][m], found[WEIGHT][m]
    means, spread = found[MEANS][m], found[SPREAD]
    after = total + weight
    for i in range(size):
        for j in range(i + 1):
            gap = (means[i] - mean[i]) * (means[j] - mean[j])
            scatter[i, j] += total * weight / after * gap
            for f in range(found[STARTS][m], found[STARTS][m + 1], size):
                scatter[i, j] += weight * spread[f + i] * spread[f + j]
    for i in range(size):
        mean[i] += weight / after * (means[i] - mean[i])
    return after


@helper
def from_pairs(found, mu, root, pairs):
    """Means and variances of what is observed, correlations of pairs, shrunk if they must be.

    pairs : (d, d), out: the weight of the rows that have both columns.
    """
    sizes, which, means = found[SIZES], found[COLUMNS], found[MEANS]
    d = mu.size
    cross, first, second = np.zeros((d, d)), np.zeros((d, d)), np.zeros((d, d))
    for i in range(d):
        for j in range(d):
            pairs[i, j] = 0.0
    for m in range(sizes.size):
        size, weight = sizes[m], found[WEIGHT][m]
        for a in range(size):
            for b in range(size):
                i, j = which[m, a], which[m, b]
                pairs[i, j] += weight
                first[i, j] += weight * means[m, a]  # of column i, where j is observed, too
                value = means[m, a] * means[m, b]
                square = means[m, a] * means[m, a]
                for f in range(found[STARTS][m], found[STARTS][m + 1], size):
                    value += found[SPREAD][f + a] * found[SPREAD][f + b]
                    square += found[SPREAD][f + a] * found[SPREAD][f + a]
                cross[i, j] += weight * value
                second[i, j] += weight * square
    cov, sd = np.empty((d, d)), np.empty(d)
    for i in range(d):
        mu[i] = first[i, i] / pairs[i, i]
        sd[i] = math.sqrt(max(0.0, second[i, i] / pairs[i, i] - mu[i] * mu[i]))
    for i in range(d):
        for j in range(d):
            cov[i, j] = 1.0 if i == j else 0.0
            n = pairs[i, j]
            if n > 0.0 and i != j:
                a, b = first[i, j] / n, first[j, i] / n
                variances = (second[i, j] / n - a * a) * (second[j, i] / n - b * b)
                if variances > 0.0:
                    cov[i, j] = (cross[i, j] / n - a * b) / math.sqrt(variances)
    shrunk = 0.0
    while not cholesky_lower(cov, _LEAST_PIVOT, root):
        keep = (1.0 - shrunk - _SHRINKAGE) / (1.0 - shrunk)
        shrunk += _SHRINKAGE
        for i in range(d):
            for j in range(d):
                cov[i, j] *= 1.0 if i == j else max(0.0, keep)
    for i in range(d):
        for j in range(i + 1):
            root[i, j] *= sd[i]


@helper
def relative_pivot(root):
    """The least of what the columns before do not explain of a column's standard deviation."""
    least = math.inf
    for i in range(root.shape[0]):
        squares = 0.0
        for j in range(i + 1):
            squares += root[i, j] * root[i, j]
        least = min(least, abs(root[i, i]) / math.sqrt(squares) if squares > 0.0 else 0.0)
    return least


@helper
def to_patterns(columns, mean, cov, mu, sigma):
    """A mean and a covariance in the order and units of the patterns."""
    order, origins, units = columns
    for a in range(mu.size):
        i = order[a]
        mu[a] = mean[i] / units[i] - origins[i] / units[i]
        for b in range(mu.size):
            j = order[b]
            sigma[a, b] = cov[i, j] / units[i] / units[j]
