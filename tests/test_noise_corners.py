"""Known noise: turns of the searches that few data take, each by a small example."""

import naive_linear as nl
import numpy as np
import pytest
from scipy import stats

from fastnat import Status, fit_normal

INF = np.inf


def is_maximum(fit, x, noise, **options):
    P = nl.problem(x, np.ones((len(x), 1)), noise_std=noise, **options)
    return nl.is_maximum(P, np.array([fit.mu]), np.array([np.log(fit.sigma)]))


def test_noise_and_bounds_on_either_side():
    """Rows open to the left and others open to the right have no exponential limit in common."""
    x, noise = np.array([0.1, 0.9, 2.0, 3.0, 0.4, 1.5]), np.array([0.2, 0.1, 0.3, 0.2, 0.1, 0.2])
    bounds = np.where(np.arange(6) < 3, 0.0, -INF), np.where(np.arange(6) < 3, INF, 4.0)
    fit = fit_normal(x, noise_std=noise, truncation=bounds)
    assert fit.status is Status.OK
    assert is_maximum(fit, x, noise, truncation=bounds)


def test_noisy_values_on_the_wrong_sides_of_their_limits():
    """Below 0 and above 1: as sigma grows both become as likely as not, and no more than that."""
    fit = fit_normal([-INF, 1.0], [0.0, INF], noise_std=0.5)
    assert fit.status is Status.SIGMA_INFINITE
    assert fit.loglik == pytest.approx(-2.0 * np.log(2.0), rel=1e-12)
    assert fit.sigma == INF
    assert np.isnan(fit.mu)


@pytest.mark.parametrize("options", [{"max_iter": 1}, {"tol": 0.0}])
def test_steps_and_tolerances_of_noise_with_limits(options):
    x, noise = np.array([0.1, 0.9, 2.0, 3.0, 0.4, 1.5]), np.array([0.2, 0.1, 0.3, 0.2, 0.1, 0.2])
    fit = fit_normal(x, noise_std=noise, left=0.5, **options)
    if "tol" in options:
        assert fit.status is Status.OK
        assert is_maximum(fit, x, noise, left=0.5)
    else:
        assert fit.status is Status.MAX_ITER
        assert np.all(np.isnan(fit.stderr))


def test_a_mean_whose_distance_from_a_value_is_no_number():
    """Values near both ends of the range, in units of 1 / 16 with the same bits."""
    x, noise = np.array([1.7e308, -1.7e308, -1.6e308, -1.75e308]), np.full(4, 1e300)
    noise[0] = 1e299
    fit, small = fit_normal(x, noise_std=noise), fit_normal(x / 16.0, noise_std=noise / 16.0)
    assert fit.status is small.status is Status.OK
    assert fit.mu == 16.0 * small.mu
    assert fit.sigma == 16.0 * small.sigma
    assert fit.mu < 0.0


@pytest.mark.parametrize("weight", [0.03, 1e-20])
def test_profiles_that_fall_slowly(weight):
    """With equal noise the ends are known: exp(1.92 / W), which may be no number."""
    fit = fit_normal([0.0, 1.0], noise_std=1.0, weights=weight)
    assert fit.status is Status.BOUNDARY
    (low, high), (least, most) = fit.conf_int(method="profile")
    fall = stats.chi2.ppf(0.95, 1) / (2.0 * weight)
    reach = np.exp(0.5 * (fall - 0.75)) if fall < 1000.0 else INF
    np.testing.assert_allclose([low, high], [0.5 - reach, 0.5 + reach], rtol=1e-9)
    # And of the variance v + 1 it is 1 / 4 / (v + 1) + log(v + 1).
    assert least == 0.0
    if fall < 1000.0:
        grown = most**2 + 1.0
        assert np.log(grown) + 0.25 / grown == pytest.approx(0.25 + fall, rel=1e-9)
    else:
        assert most == INF


def profile(x, noise, v):
    """The largest log-likelihood for each v = sigma**2."""
    variance = v[:, None] + noise**2
    mu = np.sum(x / variance, axis=1) / np.sum(1.0 / variance, axis=1)
    return stats.norm.logpdf(x, mu[:, None], np.sqrt(variance)).sum(axis=1)


@pytest.mark.parametrize(
    ("x", "noise"),
    [
        ([0.45, -0.77, 12.62], [0.015, 0.01, 3.502]),
        ([16.97, -0.91, -2.35], [4.699, 0.023, 0.002]),
        ([0.46, 0.15, 0.12], [0.089, 0.004, 0.002]),
    ],
)
def test_a_low_hump_within_a_step_of_the_search(x, noise):
    """Between two points where the profile rises it falls, a little: the interval tells."""
    x, noise = np.array(x), np.array(noise)
    fit = fit_normal(x, noise_std=noise)
    v = fit.sigma**2 * np.geomspace(1e-6, 1e2, 20_001)
    values = profile(x, noise, v)
    turns = np.flatnonzero(np.diff(np.sign(np.diff(values)))) + 1
    hump, valley, top = turns[-3:]
    assert values[valley] < values[hump] < values[top]
    assert fit.loglik == pytest.approx(values[top], abs=1e-6)
    drop = fit.loglik - 0.5 * (values[hump] + values[valley])
    ends = fit.conf_int(level=stats.chi2.cdf(2.0 * drop, 1), method="profile")[1]
    inside = v[values >= fit.loglik - drop]
    assert inside[0] < v[hump] < v[valley] < inside[-1]
    np.testing.assert_allclose(ends**2, inside[[0, -1]], rtol=2e-3)  # the grid's


def test_where_tangents_leave_room_for_a_hump_that_is_not_there():
    """The search looks between two points of its grid, more than once, and finds no turn."""
    x, noise = np.array([19.51, 15.27, 14.51, 4.46]), np.array([1.543, 0.125, 0.036, 9.192])
    fit = fit_normal(x, noise_std=noise)
    v = np.append(0.0, np.ptp(x) ** 2 * np.geomspace(1e-12, 1e3, 20_001))
    values = profile(x, noise, v)
    assert fit.loglik == pytest.approx(values.max(), abs=1e-5)
    inside = v[values >= fit.loglik - 0.5 * stats.chi2.ppf(0.95, 1)]
    ends = fit.conf_int(method="profile")[1]
    np.testing.assert_allclose(ends**2, inside[[0, -1]], rtol=4e-3)  # the grid's
