"""The article "Natural gradients", computed: what is wrong in it, what is right instead.

Its errata are numbered 1 to 37; each that can be computed is computed here, under its number.  Not
here: 26 and part of 37, which are slips of typesetting and spelling.  The last section is why the
empirical Fisher matrix (the outer product of the scores of the data) is not Fisher's.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
from conftest import refused, scaled
from scipy import optimize, stats
from test_geometry import CHARTS, scores

import fastnat
from fastnat import geometry, steepest_descent

A = np.array([[1.0, -0.5], [-0.5, 1.0]])
START = np.array([8.0, 3.0])
EXPECTED = np.polynomial.hermite_e.hermegauss(40)


def fun(x):
    """x1^2 + x2^2 - x1 x2, the example of the article."""
    return x @ A @ x


def grad(x):
    return 2.0 * A @ x


def mean_under(mu, sigma, function):
    """The expectation of a function of (x, z) under the model, by quadrature."""
    z, w = EXPECTED
    return np.asarray(function(mu + sigma * z, z)) @ w / w.sum()


def score(z, sigma):
    """Of (mu, log sigma)."""
    return np.array([z / sigma, z * z - 1.0])


def log_density(x, mu, log_sigma):
    return -0.5 * ((x - mu) / math.exp(log_sigma)) ** 2 - log_sigma - 0.5 * math.log(2.0 * math.pi)


def minimum(function, p=2):
    """Of a smooth function, by somebody else's method."""
    return optimize.minimize(function, np.zeros(p), method="BFGS", options={"gtol": 1e-9}).x


def hessian(function, at, h=1e-4):
    """By central differences."""
    p = len(at)
    e = h * np.eye(p)
    out = np.empty((p, p))
    for i in range(p):
        for j in range(p):
            ends = [function(at + a * e[i] + b * e[j]) * a * b for a in (1, -1) for b in (1, -1)]
            out[i, j] = sum(ends) / (4.0 * h * h)
    return out


def kl(theta, other):
    """In (mu, log sigma)."""
    return geometry.kl_normal(theta[0], np.exp(theta[1]), other[0], np.exp(other[1]))


# ---- A. steepest descent ---------------------------------------------------------------------


def test_01_the_metric_is_not_a_property_of_the_function():
    """Wrong: it accounts for the curvature of f.  Right: for the geometry of the parameters."""
    metric = geometry.fisher_normal(0.3, 2.0)
    x = np.array([0.0, 1.0, 5.0])
    losses = [
        lambda t: -np.mean(log_density(x, t[0], t[1])),
        lambda t: (t[0] - 1.0) ** 4 + math.cosh(t[1]),
    ]
    at = np.array([0.3, math.log(2.0)])
    for loss in losses:
        assert not np.allclose(hessian(loss, at), metric, rtol=0.05)
        slope = optimize.approx_fprime(at, loss, 1e-7)
        step = -1e-3 * np.linalg.solve(metric, slope)
        assert loss(at + step) < loss(at), "and yet under the one metric both descend"


def test_02_a_penalty_of_weight_gamma_gives_a_step_of_its_inverse():
    """Wrong: (gamma / 2) |d|^2 gives gamma grad.  Right: it gives grad / gamma."""
    gamma, slope = 4.0, grad(START)
    best = minimum(lambda d: slope @ d + 0.5 * gamma * d @ d)
    np.testing.assert_allclose(best, -slope / gamma, rtol=1e-6)
    best = minimum(lambda d: slope @ d + d @ d / (2.0 * gamma))
    np.testing.assert_allclose(best, -slope * gamma, rtol=1e-6)


def test_03_the_gradient_is_steepest_for_the_linearised_function_only():
    """Wrong: for a fixed length of the step.  Right: as the length goes to 0."""
    angle = np.linspace(0.0, 2.0 * np.pi, 100_001)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    downhill = -grad(START) / np.linalg.norm(grad(START))
    turned = []
    for length in (4.0, 0.4, 0.04):
        values = np.einsum("ni,ij,nj->n", START + length * circle, A, START + length * circle)
        turned.append(np.linalg.norm(circle[np.argmin(values)] - downhill))
    assert turned[0] > 0.1
    np.testing.assert_allclose(turned[1] / turned[2], 10.0, rtol=0.1)
    # Of the linearised function: the direction of the gradient, but the length that was fixed.
    assert np.linalg.norm(circle[np.argmin(circle @ grad(START))] - downhill) < 1e-4


def test_04_what_is_penalised_is_no_metric():
    """Wrong: a distance.  Right: half of a squared one; and KL is not even symmetric."""
    assert geometry.kl_normal(0.0, 1.0, 0.0, 2.0) != geometry.kl_normal(0.0, 2.0, 0.0, 1.0)
    far, near = geometry.kl_normal(0.0, 1.0, 2.0, 1.0), geometry.kl_normal(0.0, 1.0, 1.0, 1.0)
    assert far > near + near, "no triangle inequality"
    # A penalty that is a distance and not its square does not move at all, or without end.
    assert np.linalg.norm(minimum_of_distance(2.0)) < 1e-3
    assert np.linalg.norm(minimum_of_distance(0.5)) > 1e3


def minimum_of_distance(weight):
    """argmin over d of slope d + weight |d|, with |slope| = 1, on a grid up to 10,000."""
    d = np.linspace(-1e4, 1e4, 20_001)
    return d[np.argmin(d + weight * np.abs(d))]


def test_05_the_gradient_is_multiplied_by_the_inverse_metric():
    """Wrong: G grad.  Right: G^-1 grad, as a direction; of unit length, over its length."""
    metric = np.array([[5.0, 1.0], [1.0, 0.5]])
    slope = grad(START)
    right, wrong = -np.linalg.solve(metric, slope), -metric @ slope
    best = minimum(lambda d: slope @ d + 0.5 * d @ metric @ d)
    np.testing.assert_allclose(best, right, rtol=1e-5)
    unit = [d / geometry.mahalanobis(d, [0.0, 0.0], metric) for d in (right, wrong)]
    assert slope @ unit[0] < slope @ unit[1]
    assert math.isclose(slope @ unit[0], -math.sqrt(slope @ np.linalg.solve(metric, slope)))
    first = steepest_descent(fun, grad, START, metric=metric, max_iter=1, trace=True)
    np.testing.assert_allclose(first.path[1] - START, right, rtol=1e-13)


# ---- B. Mahalanobis --------------------------------------------------------------------------


def test_06_without_the_half_the_step_is_half_as_long():
    """Wrong: d' A d gives A^-1 grad.  Right: half of that; and the distance is the root."""
    slope = grad(START)
    whole = minimum(lambda d: slope @ d + d @ A @ d)
    np.testing.assert_allclose(whole, -0.5 * np.linalg.solve(A, slope), rtol=1e-6)
    half = minimum(lambda d: slope @ d + 0.5 * d @ A @ d)
    np.testing.assert_allclose(half, -np.linalg.solve(A, slope), rtol=1e-6)
    assert math.isclose(geometry.mahalanobis(START, [0, 0], A), math.sqrt(START @ A @ START))


def test_07_the_metric_must_be_positive_definite():
    """Wrong: positive semi-definite is enough.  Right: its inverse is needed."""
    flat = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert np.all(np.linalg.eigvalsh(flat) > -1e-15)
    with refused(ValueError, "metric must be positive definite"):
        steepest_descent(fun, grad, START, metric=flat)


def test_08_rates_multiply_element_by_element():
    """Wrong: the product of two vectors, a number.  Right: rates 1 / a_i, each for its own."""
    rates = np.array([0.5, 0.1])
    assert np.ndim(rates @ grad(START)) == 0
    result = steepest_descent(fun, grad, START, metric=1.0 / rates, max_iter=1)
    np.testing.assert_allclose(result.x, START - rates * grad(START), rtol=1e-14)


def test_09_newton_is_the_metric_of_this_function():
    """Wrong: Newton's since the loss is taken for quadratic.  Right: only if G is its Hessian."""

    def other(x):
        return 2.0 * x[0] ** 2 + 0.5 * x[1] ** 2

    def slope(x):
        return np.array([4.0 * x[0], x[1]])

    assert steepest_descent(fun, grad, START, metric=2.0 * A).nit == 1
    assert steepest_descent(other, slope, START, metric=2.0 * A, line_search=True).nit > 10
    assert steepest_descent(other, slope, START, metric=[4.0, 1.0]).nit == 1


def test_10_under_half_of_the_hessian_it_oscillates_for_ever():
    """Wrong: x - A^-1 grad is Newton's.  Right: it is -x; half of the step arrives."""
    result = steepest_descent(fun, grad, START, metric=A, max_iter=100, trace=True)
    np.testing.assert_allclose(result.path[1], [-8.0, -3.0], rtol=1e-14)
    np.testing.assert_allclose(result.path[100], START, rtol=1e-12)
    assert not result.success
    np.testing.assert_allclose(START - 0.5 * np.linalg.solve(A, grad(START)), 0.0, atol=1e-14)


def test_11_the_matrix_of_the_text_is_not_that_of_the_code():
    """Wrong: +1/2 off the diagonal.  Right: -1/2, for this function."""
    text = np.abs(A)
    assert START @ text @ START == 97.0
    assert START @ A @ START == 49.0 == 8.0**2 + 3.0**2 - 8.0 * 3.0


def test_12_the_comparison_is_of_steps_not_of_metrics():
    """Wrong: the better metric wins.  Right: a tuned step beats a badly tuned one, barely."""
    np.testing.assert_allclose(np.linalg.eigvalsh(2.0 * A), [1.0, 3.0])
    options = {"max_iter": 10, "tol": 0.0}
    plain = steepest_descent(fun, grad, START, step_size=0.5, **options)
    mahalanobis = steepest_descent(fun, grad, START, metric=A, step_size=0.3, **options)
    assert math.isclose(np.linalg.norm(plain.x), 8.3e-3, rel_tol=0.01)
    assert math.isclose(np.linalg.norm(mahalanobis.x), 9.0e-4, rel_tol=0.01)
    for size in (0.4, 0.6):
        worse = steepest_descent(fun, grad, START, step_size=size, **options)
        assert np.linalg.norm(worse.x) > np.linalg.norm(plain.x), "0.5 = 2 / (1 + 3) is the best"
    assert steepest_descent(fun, grad, START, metric=A, step_size=0.5).nit == 1


# ---- C. Fisher's metric ----------------------------------------------------------------------


def test_13_and_33_the_half_of_the_second_order():
    """Wrong: KL is about F, or d' F d.  Right: half of d' F d."""
    at, d = np.array([0.0, 0.3]), np.array([0.001, 0.002])
    exact = kl(at + d, at)
    form = d @ geometry.fisher_normal(0.0, math.exp(0.3)) @ d
    assert math.isclose(exact, 4.2797e-6, rel_tol=1e-4)
    assert math.isclose(0.5 * form, 4.2744e-6, rel_tol=1e-4)
    assert math.isclose(form, 8.549e-6, rel_tol=1e-4)
    half = geometry.kl_normal_quadratic(0.001, math.exp(0.302), 0.0, math.exp(0.3))
    assert math.isclose(half, 0.5 * form, rel_tol=1e-12)


def test_14_the_step_of_the_half_form_has_no_other_factor():
    """Wrong: a rate from nowhere, F at no point in particular.  Right: 1, and F at theta_t."""
    at, x = np.array([0.0, 0.3]), np.array([0.5, 1.0, 3.0])
    z = (x - at[0]) / math.exp(at[1])
    slope = -score(z, math.exp(at[1])).mean(axis=1)
    metric = geometry.fisher_normal(at[0], math.exp(at[1]))
    best = minimum(lambda d: slope @ d + 0.5 * d @ metric @ d)
    np.testing.assert_allclose(best, -np.linalg.solve(metric, slope), rtol=1e-5)
    there = geometry.fisher_normal(at[0] + best[0], math.exp(at[1] + best[1]))
    assert not np.allclose(np.linalg.solve(there, slope), np.linalg.solve(metric, slope), rtol=0.1)


def test_15_x_is_integrated_not_given():
    """Wrong: x is the fixed data.  Right: x is of the model; data give the empirical Fisher."""
    x = np.array([1.0, 2.0, 6.0])
    mu, sigma = 0.0, 1.0
    empirical = score((x - mu) / sigma, sigma) @ score((x - mu) / sigma, sigma).T / x.size
    model = mean_under(mu, sigma, lambda _, z: score(z, sigma)[:, None] * score(z, sigma))
    np.testing.assert_allclose(model, geometry.fisher_normal(mu, sigma), atol=1e-12)
    assert np.linalg.norm(empirical - model) > 100.0


def test_16_fisher_is_not_the_curvature_of_the_loss():
    """Wrong: it has all information on it.  Right: J has; F = E[J], J itself in natural ones."""
    x, at = np.array([1.0, 2.0, 6.0]), np.array([0.5, 0.3])

    def loss(theta):
        return -np.mean(log_density(x, theta[0], theta[1]))

    fisher = geometry.fisher_normal(at[0], math.exp(at[1]))
    assert not np.allclose(hessian(loss, at), fisher, rtol=0.1)
    fit = fastnat.fit_normal(x)
    at_best = hessian(loss, np.array([fit.mu, math.log(fit.sigma)]))
    np.testing.assert_allclose(at_best, geometry.fisher_normal(*fit), rtol=1e-5, atol=1e-6)

    def natural(eta):
        mu, sigma = geometry.from_chart(eta, "natural")
        return -np.mean(log_density(x, mu, math.log(sigma)))

    eta = geometry.to_chart(at[0], math.exp(at[1]), "natural")
    same = geometry.fisher_normal(at[0], math.exp(at[1]), "natural")
    np.testing.assert_allclose(hessian(natural, eta), same, rtol=1e-4)


@pytest.mark.parametrize("start", [(0.0, 1.0), (-50.0, 0.02), (1000.0, 30.0)])
def test_17_the_example_of_the_article_has_a_closed_form(start):
    """Wrong: with KL itself intractable.  Right: mean parameters move by -grad: the maximum."""
    x = np.array([1.0, 2.0, 6.0])
    mean = geometry.to_chart(*start, "mean")
    data = np.array([x.mean(), np.mean(x * x)])
    slope = mean - data  # of the mean negative log-likelihood in natural parameters

    def proximal(theta):
        eta = geometry.to_chart(theta[0], math.exp(theta[1]), "natural")
        return slope @ eta + geometry.kl_normal(*start, theta[0], math.exp(theta[1]))

    mu, sigma = geometry.from_chart(mean - slope, "mean")
    np.testing.assert_allclose([mu, sigma], [x.mean(), x.std()], rtol=1e-9)
    best = np.array([mu, math.log(sigma)])
    # Far starts make the function large: differences of it are as good as these.
    scale = max(1.0, abs(proximal(best)))
    for d in 0.01 * np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, 1]]):
        assert proximal(best + d) > proximal(best) - 1e-15 * scale
    if start == (0.0, 1.0):
        np.testing.assert_allclose(minimum(proximal), best, rtol=1e-5)


def test_18_f_is_a_mean_over_the_observations():
    """Wrong: never said.  Right: F_n = n F; F^-1 with a sum of scores steps n times too far."""
    x = np.array([1.0, 2.0, 6.0, 7.0])
    s = score(x - 0.0, 1.0)
    one = geometry.fisher_normal(0.0, 1.0)
    step = np.linalg.solve(one, s.mean(axis=1))
    np.testing.assert_allclose(np.linalg.solve(4 * one, s.sum(axis=1)), step)
    np.testing.assert_allclose(np.linalg.solve(one, s.sum(axis=1)), 4 * step)
    assert step[0] == x.mean(), "in mu one step arrives"
    free = fastnat.fit_normal(x, cov_type="expected")
    np.testing.assert_allclose(
        np.linalg.inv(free.cov_params), 4 * geometry.fisher_normal(*free, "sigma"), atol=1e-12
    )


def test_19_the_order_of_kl_matters_at_the_third_order():
    """Wrong: not discussed.  Right: both have the Hessian F, and differ by d^3."""
    h = 2.0 ** -np.arange(4, 16)
    one, two = (
        geometry.kl_normal(*pair) for pair in [(h, 1.0 + h, 0.0, 1.0), (0.0, 1.0, h, 1.0 + h)]
    )
    np.testing.assert_allclose(one[-1] / two[-1], 1.0, atol=1e-3)
    cubes = (one - two) / h**3
    np.testing.assert_allclose(cubes[-1], cubes[-2], rtol=1e-3)
    assert abs(cubes[-1]) > 0.1


def test_20_invariance_is_infinitesimal():
    """Wrong: not mentioned.  Right: short natural steps agree in all charts, long ones do not."""
    x = np.array([1.0, 2.0, 6.0])
    mu, sigma = 0.7, 2.3

    def moved(chart, size, natural):
        slope = scores(chart, mu, sigma, x).mean(axis=1)
        if natural:
            slope = np.linalg.solve(geometry.fisher_normal(mu, sigma, chart), slope)
        theta = geometry.to_chart(mu, sigma, chart) + size * slope
        return geometry.from_chart(theta, chart)

    def spread(size, natural):
        ends = [moved(chart, size, natural) for chart in CHARTS]
        return max(geometry.fisher_rao_distance(*one, *two) for one in ends for two in ends)

    order = math.log2(spread(1e-3, True) / spread(5e-4, True))
    assert math.isclose(order, 2.0, abs_tol=0.02)
    order = math.log2(spread(1e-5, False) / spread(5e-6, False))
    assert math.isclose(order, 1.0, abs_tol=0.05)
    assert spread(0.5, True) > 0.1


# ---- D. the Gaussian -------------------------------------------------------------------------


@pytest.mark.parametrize(("mu", "sigma"), [(0.0, 1.0), (-3.0, 0.2), (5.0, 7.0)])
def test_21_score_and_fisher_are_right(mu, sigma):
    """Right: also what is off the diagonal, 0."""
    x = np.linspace(mu - 3 * sigma, mu + 3 * sigma, 7)
    z = (x - mu) / sigma
    by_steps = scores("log_sigma", mu, sigma, x)
    np.testing.assert_allclose(score(z, sigma), by_steps, rtol=1e-12, atol=1e-14)
    expected = mean_under(mu, sigma, lambda _, z: score(z, sigma)[:, None] * score(z, sigma))
    fisher = np.diag([1.0 / sigma**2, 2.0])
    np.testing.assert_allclose(expected, fisher, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.linalg.inv(fisher), np.diag([sigma**2, 0.5]))


def test_22_the_outer_product_of_one_gradient_is_singular():
    """Wrong: F is the outer product.  Right: its expectation."""
    one = np.outer(score(1.7, 2.0), score(1.7, 2.0))
    assert np.linalg.matrix_rank(one) == 1
    assert np.linalg.matrix_rank(geometry.fisher_normal(0.0, 2.0)) == 2


def test_23_the_third_moment_is_zero_and_the_fourth_is_3_sigma_4():
    """Wrong: E (x - mu)^3 = 3 sigma^4.  Right: that is the fourth."""
    mu, sigma = 1.5, 2.0
    assert abs(mean_under(mu, sigma, lambda x, _: (x - mu) ** 3)) < 1e-10
    fourth = mean_under(mu, sigma, lambda x, _: (x - mu) ** 4)
    assert math.isclose(fourth, 3.0 * sigma**4, rel_tol=1e-12)


def test_24_the_last_entry():
    """Wrong: 1 - E[2 u + u^2], which is -4.  Right: E[1 - 2 u + u^2] = 2, u = z^2."""
    wrong = 1.0 - mean_under(0.0, 1.0, lambda _, z: 2.0 * z**2 + z**4)
    right = mean_under(0.0, 1.0, lambda _, z: 1.0 - 2.0 * z**2 + z**4)
    assert math.isclose(wrong, -4.0, rel_tol=1e-12)
    assert math.isclose(right, 2.0, rel_tol=1e-12)


def test_25_what_is_constant_is_of_the_log_standard_deviation():
    """Wrong: the scaling of the variance.  Right: of log sigma; of v it is 2 v^2."""
    sigma = np.array([0.1, 1.0, 10.0])
    inverse = np.linalg.inv(geometry.fisher_normal(0.0, sigma))
    np.testing.assert_allclose(inverse[:, 1, 1], 0.5)
    of_variance = np.linalg.inv(geometry.fisher_normal(0.0, sigma, "variance"))
    np.testing.assert_allclose(of_variance[:, 1, 1], 2.0 * sigma**4)


def test_27_the_origin_is_the_truth_not_the_maximum(rng):
    """Wrong: contours with mu = 0, log sigma = 0.  Right: over both; the data came from there."""
    x = rng.normal(size=2000)
    fit = fastnat.fit_normal(x)
    at_truth = log_density(x, 0.0, 0.0).sum()
    assert fit.loglik > at_truth
    assert 2.0 * (fit.loglik - at_truth) < stats.chi2.ppf(0.999, 2), "the truth is in the region"
    # It is a sum: 2000 observations make it fall 2000 times as fast as one.
    moved = log_density(x, fit.mu + 0.1 * fit.sigma, math.log(fit.sigma)).sum()
    assert math.isclose(fit.loglik - moved, 2000 * 0.1**2 / 2, rel_tol=1e-9)


def natural_gradient(mu, log_sigma, chart, cap=math.inf, most=2500):
    """Unit steps towards the maximum (0, 0) of the mean log-likelihood: how many, None if lost.

    The statistics are mean 0 and variance 1; it has arrived at a decrement of 1e-12.
    """
    for nit in range(most):
        sigma = math.exp(log_sigma)
        u, l = -mu / sigma, 0.5 * ((1.0 + mu * mu) / sigma / sigma - 1.0)  # noqa: E741
        if u * u + 2.0 * l * l < 1e-12:
            return nit
        short = min(1.0, cap / abs(l)) if l else 1.0
        mu += short * u * sigma
        log_sigma += l * short if chart == "log_sigma" else 0.5 * math.log1p(2.0 * l)
        if log_sigma > 700.0:  # exp overflows
            return None
    return most


def test_28_in_log_sigma_the_unit_step_is_not_drastically_better():
    """Wrong: asserted without a run.  Right: a hundred steps from a sigma 10 times too small."""
    assert natural_gradient(0.0, -math.log(10.0), "log_sigma") in range(95, 105)
    assert natural_gradient(0.0, -math.log(20.0), "log_sigma") in range(390, 410)
    assert natural_gradient(1000.0, 0.0, "log_sigma") is None, "overflow"
    assert natural_gradient(0.0, -math.log(20.0), "variance") <= 3
    # S / sigma^2 goes through the map r exp(1 - r) of Ricker.
    r = 1.7
    sigma = 1.0 / math.sqrt(r)
    after = 1.0 / math.exp(2.0 * (math.log(sigma) + 0.5 * (r - 1.0)))
    assert math.isclose(after, r * math.exp(1.0 - r), rel_tol=1e-14)


STARTS = [(3, 0), (30, 0), (1000, 0), (0, 3), (0, -1), (0, -3), (10, -3), (0, 10)]


def test_28_in_which_chart_the_step_is_taken_decides():
    """Steps from eight starts (offset in sigma, error of log sigma)."""
    free = [natural_gradient(*start, "log_sigma") for start in STARTS]
    assert free == [14, 905, None, 10, 9, 401, None, 24]
    capped = [natural_gradient(*start, "log_sigma", cap=1.0) for start in STARTS]
    assert capped == [8, 14, 25, 10, 1, 3, 14, 24]
    assert max(natural_gradient(*start, "variance") for start in STARTS) <= 3


def test_29_pairs_of_equal_distance_and_unequal_divergence():
    """Right: KL = (mu1 - mu2)^2 / (2 sigma^2) = 8 / sigma^2 for means -2 and 2."""
    sigma = np.array([0.5, 1.0, 3.0])
    np.testing.assert_allclose(geometry.kl_normal(-2.0, sigma, 2.0, sigma), 8.0 / sigma**2)


# ---- E. the code -----------------------------------------------------------------------------


def test_30_the_gradient_of_the_code(rng):
    """Wrong: a factor -1/2, products for sums, +n.  Right: differences of the function say so."""
    x = rng.normal(size=2000)
    mu, log_sigma = 0.8, -0.2
    n, total, square = x.size, x.sum(), np.sum((x - mu) ** 2)
    unit = math.exp(-2.0 * log_sigma)

    def loglik(theta):
        return log_density(x, theta[0], theta[1]).sum()

    differences = optimize.approx_fprime(np.array([mu, log_sigma]), loglik, 1e-6)
    right = np.array([unit * (total - n * mu), unit * square - n])
    np.testing.assert_allclose(right, differences, rtol=1e-4)
    wrong = np.array([-0.5 * unit * (2.0 * mu * total + n * mu), unit * square + n])
    assert np.all(np.abs(wrong / differences - 1.0) > 0.3)
    of_model = sum(np.array(fastnat.models.normal.score(v, mu, log_sigma)) for v in x)
    np.testing.assert_allclose(of_model, right, rtol=1e-11)


def test_31_sums_of_squares_cancel(rng):
    """Wrong: Sxx - 2 mu Sx + n mu^2, all noise at an offset of 1e8.  Right: differences first."""
    x = 1e8 + rng.normal(size=1000)
    mu = float(x.mean())
    exact = float(sum((Fraction(float(v)) - Fraction(mu)) ** 2 for v in x))
    expanded = np.sum(x * x) - 2.0 * mu * np.sum(x) + x.size * mu * mu
    assert abs(expanded - exact) > 0.05 * exact
    fit = fastnat.fit_normal(x)
    assert math.isclose(fit.nobs * fit.sigma**2, exact, rel_tol=1e-7)
    # (mu, rounded to 1.5e-8, is part of the question; sigma is not: both differ by n (d mu)^2.)
    mean = sum(map(Fraction, x.tolist())) / x.size
    about_mean = float(sum((Fraction(float(v)) - mean) ** 2 for v in x))
    assert math.isclose(fit.nobs * fit.sigma**2, about_mean, rel_tol=1e-13)


def test_32_an_inverse_loses_what_a_solution_keeps():
    """Wrong: inv(A) @ g, and ten steps whatever happens.  Right: solve, and stop."""
    n = 10
    hilbert = 1.0 / (np.arange(n)[:, None] + np.arange(n) + 1.0)
    g = hilbert @ np.ones(n)
    by_inverse = np.linalg.norm(hilbert @ (np.linalg.inv(hilbert) @ g) - g)
    by_solving = np.linalg.norm(hilbert @ np.linalg.solve(hilbert, g) - g)
    assert by_inverse > 1e4 * by_solving
    assert steepest_descent(fun, grad, START, metric=2.0 * A, max_iter=10).nit == 1


# ---- F. the appendix -------------------------------------------------------------------------


def test_34_the_hessian_is_that_of_a_function_of_one_argument():
    """Wrong: of D(theta_t, theta_t), which is 0.  Right: of theta -> D(theta, theta_t), at it."""
    at = np.array([0.4, 0.3])
    fisher = geometry.fisher_normal(at[0], math.exp(at[1]))
    assert np.all(hessian(lambda theta: kl(theta, theta), at) == 0.0)
    np.testing.assert_allclose(hessian(lambda t: kl(t, at), at), fisher, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(hessian(lambda t: kl(at, t), at), fisher, rtol=1e-5, atol=1e-7)


THETA, OTHER = np.array([0.4, 0.1]), np.array([0.0, 0.3])


def parts_of_kl():
    """At THETA: the gradient by differences, and a way to take means under it."""
    slope = optimize.approx_fprime(THETA, lambda t: kl(t, OTHER), 1e-7)
    sigma = math.exp(THETA[1])

    def mean(function):
        return mean_under(THETA[0], sigma, lambda x, z: function(x, z, score(z, sigma)))

    def log_ratio(x):
        return log_density(x, *THETA) - log_density(x, *OTHER)

    return slope, mean, log_ratio


def test_35_gradient_and_expectation_do_not_commute():
    """Wrong: grad E = E grad, which is 0 everywhere.  Right: E[s log(p / p_t)]."""
    slope, mean, log_ratio = parts_of_kl()
    swapped = mean(lambda x, z, s: s)  # noqa: ARG005
    np.testing.assert_allclose(swapped, 0.0, atol=1e-14)
    right = mean(lambda x, z, s: s * log_ratio(x))  # noqa: ARG005
    np.testing.assert_allclose(right, slope, rtol=1e-5)
    d = THETA[1] - OTHER[1]
    known = [(THETA[0] - OTHER[0]) / math.exp(2.0 * OTHER[1]), math.expm1(2.0 * d)]
    np.testing.assert_allclose(right, known, rtol=1e-12)
    assert np.all(np.abs(right) > 0.1)


def test_36_the_hessian_of_kl_is_fisher_only_at_equality():
    """Wrong: not derived.  Right: E[s s'] + E[(hess log p + s s') log(p / p_t)]."""
    _, mean, log_ratio = parts_of_kl()
    sigma = math.exp(THETA[1])

    def hess(z):
        cross = -2.0 * z / sigma
        return np.array([[np.full(z.shape, -1.0 / sigma**2), cross], [cross, -2.0 * z * z]])

    outer = mean(lambda x, z, s: s[:, None] * s)  # noqa: ARG005
    rest = mean(lambda x, z, s: (hess(z) + s[:, None] * s) * log_ratio(x))
    by_differences = hessian(lambda t: kl(t, OTHER), THETA)
    np.testing.assert_allclose(outer + rest, by_differences, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(outer, geometry.fisher_normal(THETA[0], sigma), atol=1e-12)
    assert np.linalg.norm(rest) > 0.1, "which vanishes where the log-ratio does"


def test_37_the_support_must_not_move():
    """Wrong: no conditions.  Right: of uniform ones on [0, theta] the mean score is not 0."""
    theta, h = 2.0, 1e-3
    law = stats.uniform

    def of_x(x):
        return (law(0.0, theta + h).logpdf(x) - law(0.0, theta).logpdf(x)) / h

    x = np.linspace(0.01, 1.99, 100)  # the midpoints of [0, theta]
    mean_score, fisher = of_x(x).mean(), np.mean(of_x(x) ** 2)
    assert math.isclose(mean_score, -1.0 / theta, rel_tol=1e-3)
    # KL is of first order one way and infinite the other, and not fisher h^2 / 2.
    divergence = np.mean(law(0.0, theta).logpdf(x) - law(0.0, theta + h).logpdf(x))
    assert divergence > 100.0 * 0.5 * fisher * h * h
    beyond = theta + 0.5 * h
    assert law(0.0, theta + h).pdf(beyond) > 0.0 == law(0.0, theta).pdf(beyond)


# ---- the empirical Fisher matrix is not Fisher's ---------------------------------------------


def empirical(x, mu=0.0, log_sigma=0.0):
    """(gradient, outer product) of the scores in (mu / sigma, log sigma), per observation."""
    s = score((x - mu) / math.exp(log_sigma), 1.0)
    return s.mean(axis=1), s @ s.T / x.size


def standardised(x):
    return (x - x.mean()) / x.std()


def quantiles(law, n):
    return standardised(law.ppf((np.arange(n) + 0.5) / n))


def test_the_outer_product_has_the_residuals_in_it():
    """At the maximum it is [[1, skewness], [skewness, kurtosis - 1]], not diag(1, 2)."""
    x = standardised(np.array([0.0, 0.1, 0.5, 1.0, 4.0, 2.0]))
    _, outer = empirical(x)
    skewness, kurtosis = stats.skew(x), stats.kurtosis(x, fisher=False)
    np.testing.assert_allclose(outer, [[1.0, skewness], [skewness, kurtosis - 1.0]], rtol=1e-12)


def test_far_away_its_steps_shrink_as_the_error_grows():
    """It grows like the square of the error, so a step is 1 / D where D is to be gone."""
    x = quantiles(stats.norm, 200)
    steps = []
    for offset in (30.0, 300.0):
        slope, outer = empirical(x, offset)
        steps.append(np.linalg.norm(np.linalg.solve(outer, slope)))
        natural = np.linalg.solve(np.diag([1.0, 2.0]), slope)
        assert math.isclose(natural[0], -offset, rel_tol=1e-10)
    assert math.isclose(steps[0] / steps[1], 10.0, rel_tol=0.1)
    assert steps[0] < 2.0 / 30.0


def shrink(x, nit, error=1e-3):
    """By what the error of log sigma is multiplied at each unit step near the maximum."""
    log_sigma = error
    for _ in range(nit):
        slope, outer = empirical(x, 0.0, log_sigma)
        before, log_sigma = log_sigma, log_sigma + np.linalg.solve(outer, slope)[1]
    return log_sigma / before


def test_near_the_maximum_it_converges_only_if_the_model_is_true():
    """At the rate 1 - 2 / (kurtosis - 1), for symmetric data."""
    uniform = quantiles(stats.uniform, 2000)
    assert math.isclose(stats.kurtosis(uniform, fisher=False), 1.8, rel_tol=1e-3)
    assert math.isclose(shrink(uniform, 3), -1.5, rel_tol=0.02), "it diverges"
    heavy = quantiles(stats.t(5), 5000)
    kurtosis = stats.kurtosis(heavy, fisher=False)
    assert 6.0 < kurtosis < 9.0
    assert math.isclose(shrink(heavy, 3), 1.0 - 2.0 / (kurtosis - 1.0), rel_tol=0.02)
    assert pytest.approx(0.66, abs=0.01) == 1.0 - 2.0 / (6.8 - 1.0)
    assert abs(shrink(quantiles(stats.norm, 5000), 1)) < 0.02


@pytest.mark.parametrize("x", [[-1.0, 1.0, -1.0, 1.0], [0.7]])
def test_it_may_be_singular(x):
    """Two distinct values; fewer observations than parameters."""
    _, outer = empirical(np.array(x))
    assert abs(np.linalg.det(outer)) < 1e-15


def test_as_a_metric_it_crawls_where_others_run():
    """From 30 sigma away hundreds of steps; what learns the curvature on the way takes a dozen."""
    x, start = quantiles(stats.norm, scaled(200, 40)), (30.0, 0.0)

    def nit(metric, most=1000):
        fit = fastnat.fit(fastnat.models.normal, x, start=start, metric=metric, max_iter=most)
        return fit.nit, fit.success

    known, success = nit("auto")
    assert success
    assert known <= 30
    few, success = nit("empirical", 100)
    assert (few, success) == (100, False)
    many, success = nit("empirical")
    assert success
    assert 400 <= many <= 600
    newton, success = nit("observed")
    assert success
    assert newton <= 30
