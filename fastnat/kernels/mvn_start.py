"""Where to begin with missing entries: the closed form of nested patterns, or what pairs say."""

import math

import numpy as np

from fastnat.kernels._jit import helper
from fastnat.kernels.patterns import COLUMNS, MEANS, SIZES, SPREAD, STARTS, WEIGHT

_SHRINKAGE = 0.1  # more each time, of correlations that are not those of any data
_LEAST_PIVOT = 1e-3  # of correlations that had to be shrunk


@helper
def cholesky_lower(a, n, least, root):
    """L of the leading n rows and columns of a = L L', to those of ``root``.

    False if a pivot is not above that part of its diagonal entry.
    """
    for i in range(n):
        for j in range(n):
            root[i, j] = 0.0
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
    """Whether every pattern is the leading columns."""
    sizes, which = found[SIZES], found[COLUMNS]
    nested = True
    for m in range(sizes.size):
        nested = nested and which[m, sizes[m] - 1] == sizes[m] - 1
    return nested


@helper
def closed_form(found, mu, root):
    """The maximum for nested patterns; the least relative pivot, 0 if there is no maximum.

    Each column is regressed on those before it, in the rows that have it (Anderson 1957, Journal
    of the American Statistical Association 52, 200-203).
    """
    sizes = found[SIZES]
    d = mu.size
    total, mean, scatter = 0.0, np.zeros(d), np.zeros((d, d))
    means, scatters = np.zeros((d, d)), np.zeros((d, d, d))
    # From the last column to the first: what the rows that have it say.
    for j in range(d - 1, -1, -1):
        for m in range(sizes.size):
            if sizes[m] == j + 1:
                total = _merge(found, m, total, mean, scatter)
        for i in range(j + 1):
            means[j, i] = mean[i]
            for k in range(i + 1):
                scatters[j, i, k] = scatter[i, k] / total if total > 0.0 else 0.0
    least, own = math.inf, np.zeros((d, d))
    for j in range(d):
        pivot = _regress(j, means[j], scatters[j], own, mu, root)
        least = min(least, pivot)
        if pivot == 0.0:
            break
    return least


@helper
def _regress(j, mean, scatter, own, mu, root):
    """The mean and the row of the root of column j, given those before it; its relative pivot.

    own : (d, d), scratch, for the triangle of its own scatter.
    """
    if not cholesky_lower(scatter, j + 1, 0.0, own):
        return 0.0
    mu[j] = mean[j]
    coefs = own[j]
    spread = coefs[j]
    for i in range(j - 1, -1, -1):
        for a in range(i + 1, j):
            coefs[i] -= own[a, i] * coefs[a]
        coefs[i] /= own[i, i]
    for i in range(j):
        mu[j] += coefs[i] * (mu[i] - mean[i])
        root[j, i] = 0.0
        for a in range(i, j):
            root[j, i] += coefs[a] * root[a, i]
    root[j, j] = spread
    for i in range(j + 1, root.shape[0]):
        root[j, i] = 0.0
    return spread / math.sqrt(scatter[j, j])


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
    d = mu.size
    cross, first, second = np.zeros((d, d)), np.zeros((d, d)), np.zeros((d, d))
    for i in range(d):
        for j in range(d):
            pairs[i, j] = 0.0
    for m in range(found[SIZES].size):
        _add_pairs(found, m, pairs, cross, first, second)
    corr, sd = np.empty((d, d)), np.empty(d)
    for i in range(d):
        mu[i] = first[i, i] / pairs[i, i]
        sd[i] = math.sqrt(max(0.0, second[i, i] / pairs[i, i] - mu[i] * mu[i]))
        for j in range(d):
            corr[i, j] = 1.0 if i == j else 0.0
            n = pairs[i, j]
            if n > 0.0 and i != j:
                a, b = first[i, j] / n, first[j, i] / n
                variances = (second[i, j] / n - a * a) * (second[j, i] / n - b * b)
                if variances > 0.0:
                    corr[i, j] = (cross[i, j] / n - a * b) / math.sqrt(variances)
    _shrink(corr, root)
    for i in range(d):
        for j in range(i + 1):
            root[i, j] *= sd[i]


@helper
def _add_pairs(found, m, pairs, cross, first, second):
    """Add what pattern m says of pairs: sums of column i, and its squares, where j is, too."""
    size, weight, which, mean = (
        found[SIZES][m],
        found[WEIGHT][m],
        found[COLUMNS][m],
        found[MEANS][m],
    )
    spread = found[SPREAD]
    for a in range(size):
        square = mean[a] * mean[a]
        for f in range(found[STARTS][m], found[STARTS][m + 1], size):
            square += spread[f + a] * spread[f + a]
        for b in range(size):
            i, j = which[a], which[b]
            value = mean[a] * mean[b]
            for f in range(found[STARTS][m], found[STARTS][m + 1], size):
                value += spread[f + a] * spread[f + b]
            pairs[i, j] += weight
            first[i, j] += weight * mean[a]
            cross[i, j] += weight * value
            second[i, j] += weight * square


@helper
def _shrink(corr, root):
    """The root of correlations, which are shrunk until they have one."""
    kept = 1.0
    while not cholesky_lower(corr, corr.shape[0], _LEAST_PIVOT, root):
        keep = max(0.0, 1.0 - _SHRINKAGE / kept)
        kept -= _SHRINKAGE
        for i in range(corr.shape[0]):
            for j in range(corr.shape[0]):
                corr[i, j] *= 1.0 if i == j else keep


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
def to_patterns(columns, mean, scatter, scale, mu, sigma):
    """A mean, and a covariance in units of a scale, in the order and units of the patterns."""
    order, origins, units = columns
    for a in range(mu.size):
        i = order[a]
        mu[a] = mean[i] / units[i] - origins[i] / units[i]
        for b in range(mu.size):
            j = order[b]
            sigma[a, b] = scatter[i, j] * (scale[i] / units[i]) * (scale[j] / units[j])
