"""Rare turns of searches and merges, each by the smallest data that ask for it."""

import math
import threading

import mpmath
import naive_linear as nl
import numpy as np
import pytest
from scipy import optimize, stats

import fastnat
from fastnat import Status, fit_normal
from fastnat.kernels import _stop, profile
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


def test_an_interval_of_half_lines():
    """Above -0.2, below -0.4, above -1.8: no mu is too far away if sigma may be as large."""
    low, high = np.array([-0.2, -np.inf, -1.8]), np.array([np.inf, -0.4, np.inf])
    fit = fit_normal(low, high)
    assert fit.status is Status.OK
    drop = stats.chi2.ppf(0.95, 1) / 2.0
    assert 3.0 * np.log(0.5) > fit.loglik - drop  # half of each, where mu / sigma goes to 0
    ends, (least, most) = fit.conf_int(method="profile")
    assert (*ends, most) == (-np.inf, np.inf, np.inf)
    P = nl.problem(low, np.ones((3, 1)), upper=high)
    best = optimize.minimize_scalar(
        lambda mu: -nl.loglik(P, np.array([mu]), np.log([least])), bounds=(-2.0, 1.0)
    )
    assert -best.fun == pytest.approx(fit.loglik - drop, rel=1e-8)


def test_exponential_limits_of_narrow_bounds():
    """Distances from bounds have lost half of their digits, and the search ends where it is."""
    x = np.array([1.172, -8.452, 0.787])
    low, high = np.array([1.17198, -8.4520001, 0.7862]), np.array([1.17208, np.inf, 0.7874])
    fit = fit_normal(x, truncation=(low, high))
    assert fit.status is Status.SIGMA_INFINITE

    def minus(log_rate):  # of exponential distributions between bounds
        rate, total = mp.exp(log_rate), mp.mpf(0)
        for value, a, b in zip(x, low, high, strict=True):
            mass = 1 if np.isinf(b) else -mp.expm1(-rate * (mp.mpf(b) - a))
            total += mp.log(rate) - rate * (mp.mpf(value) - a) - mp.log(mass)
        return -float(total)

    best = optimize.minimize_scalar(minus, bounds=(5.0, 25.0), method="bounded")
    assert fit.loglik == pytest.approx(-best.fun, rel=1e-7)


def loglik(x, mu):
    return -0.5 * (x - mu) ** 2


def score(x, mu):
    return (x - mu,)


@pytest.mark.parametrize("metric", ["auto", "empirical"])
def test_doubts_when_no_step_is_left(metric):
    """Scores a thousand times as large as the model has them make a step, and its gain, tiny."""
    model = fastnat.Model(loglik, score)
    x = 1000.0 * np.array([-1.5, -0.5, 0.5, 1.5]) + 40.0
    stopped = fastnat.fit(model, x, start=[0.0], metric=metric, tol=1e-2, max_iter=1)
    assert stopped.status is Status.MAX_ITER
    assert abs(stopped.params[0] - 40.0) > 30.0  # 15 standard errors
    assert np.isnan(stopped.stderr[0])


@pytest.mark.parametrize("metric", ["auto", "empirical"])
def test_doubts_are_climbed_on(metric):
    """Where the metric says too early that nothing is left."""
    x = 3.0 * np.array([-1.5, -0.5, 0.5, 1.5]) + 40.0
    fit = fastnat.fit(fastnat.Model(loglik, score), x, start=[40.25], metric=metric, tol=1e-2)
    assert fit.status is Status.OK
    assert fit.params[0] == pytest.approx(40.0, abs=1e-9)
    assert fit.stderr[0] == pytest.approx(0.5, rel=1e-9)


def waves(x, mu):
    """Humps that become lower on both sides of a minimum at x."""
    d = mu - x
    return 0.00111 * (1.0 - math.cos(10.0 * d)) - 0.0045 * d * d


def waves_score(x, mu):
    d = mu - x
    return (0.0111 * math.sin(10.0 * d) - 0.009 * d,)


def test_a_maximum_below_the_saddle_it_was_left_for():
    """The step away from a minimum leads over the hump beside it, to one that is lower."""
    fit = fastnat.fit(
        fastnat.Model(waves, waves_score), np.zeros(4), start=[0.0], metric="observed"
    )
    assert fit.status is Status.SADDLE
    assert abs(fit.params[0]) == pytest.approx(0.861, abs=0.01)
    assert waves(0.0, fit.params[0]) < 0.0 < waves(0.0, 0.3)
    assert np.isnan(fit.stderr[0])


SIZE = (0.3 / (2.0 * math.pi)) ** 2


def periods(x, mu):
    """Minima as far apart as a step away from one of them is long."""
    return SIZE * (1.0 - math.cos(mu - x))


def periods_score(x, mu):
    return (SIZE * math.sin(mu - x),)


def test_from_one_minimum_to_the_next():
    """It says so at last; and half of the way away there is a maximum, from which it is found."""
    model = fastnat.Model(periods, periods_score)
    fit = fastnat.fit(model, np.zeros(4), start=[0.0], metric="observed")
    assert fit.status is Status.SADDLE
    turns = fit.params[0] / (2.0 * math.pi)
    assert turns == pytest.approx(round(turns), abs=1e-6)
    assert round(turns) != 0
    assert np.isnan(fit.stderr[0])


def test_limits_of_which_few_are_on_the_far_side_of_the_mean():
    """Those have a formula of their own; the two ways meet in one sum."""
    ends = np.append(np.linspace(-6.0, -3.0, 20), [1.0, 1.5])  # below these, and above minus these
    low = np.concatenate([np.linspace(-2.0, 2.5, 20), np.full(22, -np.inf), -ends])
    high = np.concatenate([low[:20], ends, np.full(22, np.inf)])
    fit = fit_normal(low, high)
    assert fit.status is Status.OK
    assert abs(fit.mu) < 1.0
    P = nl.problem(low, np.ones((64, 1)), upper=high)
    b, g = np.array([fit.mu]), np.array([math.log(fit.sigma)])
    assert nl.is_maximum(P, b, g, tolerance=1e-20)
    assert fit.loglik == pytest.approx(nl.loglik(P, b, g), rel=1e-13)


def test_a_profile_that_nobody_waits_for():
    """It ends where it is, compiled or not."""
    state, theta = np.empty(profile.SIZE), np.array([0.0, 1.0])
    values = -1.0, np.array([0.5, 0.5]), np.eye(2)
    profile.begin(state, theta, 0.0, 1.92, 10.0, 1.0, 1.0, (0.3, 0.2))
    assert profile.advance(state, *values, theta)
    stop = threading.Event()
    with _stop.serving(stop):
        _stop.begin(stop)
        try:
            assert not profile.advance(state, *values, theta)
        finally:
            _stop.end(stop)
