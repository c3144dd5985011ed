"""Rare turns of searches and merges, each by the smallest data that ask for it."""

import mpmath
import numpy as np
import pytest

from fastnat.streaming import MvnStats

mp = mpmath.mp.clone()
mp.dps = 400


def exact_moments(rows):
    """(mean, covariance) with 400 digits."""
    n, d = len(rows), len(rows[0])
    mean = [mp.fsum(mp.mpf(row[j]) for row in rows) / n for j in range(d)]
    cov = [
        [
            mp.fsum((mp.mpf(r[i]) - mean[i]) * (mp.mpf(r[j]) - mean[j]) for r in rows) / n
            for j in range(d)
        ]
        for i in range(d)
    ]
    return np.array(mean, float), np.array(cov, float)


@pytest.mark.parametrize("first", [0, 1])
def test_a_merge_across_many_scales(first):
    """Equal values have no scale of their own, and are 1e150 scales of the others away."""
    near, far = [[1.0, 2.0], [2.0, 1.0], [3.0, 5.0]], [[1e150, 4.0]] * 2
    parts = [near, far]
    stats, other = MvnStats(), MvnStats()
    stats.update(parts[first])
    other.update(parts[1 - first])
    stats.merge(other)
    fit = stats.fit()
    mean, cov = exact_moments(near + far)
    np.testing.assert_allclose(fit.mean, mean, rtol=1e-14)
    np.testing.assert_allclose(fit.covariance, cov, rtol=1e-13)
