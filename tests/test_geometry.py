"""Divergences, metrics and distances, against definitions, exact arithmetic and each other."""

import math

import mpmath as mp
import numpy as np
import pytest
from conftest import refused
from scipy import integrate, optimize, stats
from scipy.spatial import distance

import fastnat
from fastnat import geometry

EPS = 2.0**-52

# mu1, sigma1, mu2, sigma2: far and near, in units of any size.
PAIRS = [
    (0.0, 1.0, 0.0, 1.0 + 1e-9),
    (0.0, 3.0 * (1.0 + 1e-9), 0.0, 3.0),
    (0.0, 1.0 + EPS, 0.0, 1.0),
    (1e8, 1.0, 1e8 + 2.0**-20, 1.0),
    (0.0, 1.0 - 1e-5, 1e-5, 1.0),
    (0.0, 0.99, 0.0, 1.0),
    (0.0, 0.7, 0.0, 1.0),
    (0.0, 0.70711, 0.0, 1.0),
    (0.0, 1.4142, 0.0, 1.0),
    (0.0, 1.4143, 0.0, 1.0),
    (0.0, 2.5, 0.0, 1.0),
    (-2.0, 1.0, 2.0, 0.3),
    (3.0, 1e-20, -1.0, 2.0),
    (3.0, 1e20, -1.0, 2.0),
    (1e-200, 2e-200, 0.0, 1e-200),
    (1e200, 2e200, 0.0, 1e200),
    (0.0, 1e-300, 0.0, 1e300),
]


def exact_kl(m1, s1, m2, s2):
    with mp.workdps(60):
        m1, s1, m2, s2 = map(mp.mpf, (m1, s1, m2, s2))
        return mp.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - mp.mpf(1) / 2


def relative_error(value, exact):
    with mp.workdps(60):
        return float(abs(mp.mpf(float(value)) - exact) / abs(exact))


# ---- the divergence of two normal distributions ----------------------------------------------


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("turn", [False, True])
def test_kl_is_exact_to_rounding(pair, turn):
    m1, s1, m2, s2 = (*pair[2:], *pair[:2]) if turn else pair
    exact = exact_kl(m1, s1, m2, s2)
    value = geometry.kl_normal(m1, s1, m2, s2)
    if exact > 1e308:
        assert value == np.inf
    else:
        # A handful of roundings; the differences themselves are exact.
        assert relative_error(value, exact) < 6 * EPS


def test_kl_is_the_mean_log_ratio_of_densities():
    for m1, s1, m2, s2 in [(0.0, 1.0, 0.5, 1.2), (-2.0, 1.0, 2.0, 3.0), (1.0, 2.0, 1.5, 0.8)]:
        p, q = stats.norm(m1, s1), stats.norm(m2, s2)
        defined, _ = integrate.quad(
            lambda x, p=p, q=q: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)),
            m1 - 12 * s1,
            m1 + 12 * s1,
            epsabs=1e-13,
        )
        assert math.isclose(geometry.kl_normal(m1, s1, m2, s2), defined, rel_tol=1e-11)


def test_kl_of_equal_ones_is_zero():
    s = np.geomspace(1e-300, 1e300, 101)
    assert np.all(geometry.kl_normal(s, s, s, s) == 0.0)
    assert np.all(geometry.kl_normal_quadratic(s, s, s, s) == 0.0)


def test_kl_is_not_negative(rng):
    base = rng.normal(size=20_000)
    s = np.exp(rng.normal(size=20_000))
    tiny = 10.0 ** rng.uniform(-17, 0, (2, 20_000))
    assert np.all(geometry.kl_normal(base + tiny[0] * s, s * (1.0 + tiny[1]), base, s) >= 0.0)


# ---- its expansion ---------------------------------------------------------------------------

CHARTS = {  # again, in complex numbers: derivatives are then exact
    "log_sigma": (lambda m, s: (m, np.log(s)), lambda a, b: (a, np.exp(b))),
    "sigma": (lambda m, s: (m, s), lambda a, b: (a, b)),
    "variance": (lambda m, s: (m, s**2), lambda a, b: (a, np.sqrt(b))),
    "natural": (
        lambda m, s: (m / s**2, -1 / (2 * s**2)),
        lambda a, b: (-a / (2 * b), np.sqrt(-1 / (2 * b))),
    ),
    "mean": (lambda m, s: (m, m**2 + s**2), lambda a, b: (a, np.sqrt(b - a**2))),
    "olsen": (lambda m, s: (m / s, 1 / s), lambda a, b: (a / b, 1 / b)),
}


def log_density(x, m, s):
    return -(((x - m) / s) ** 2) / 2 - np.log(s) - np.log(2 * np.pi) / 2


def scores(chart, mu, sigma, x):
    """(2, n), by complex steps in the coordinates of the chart."""
    theta = CHARTS[chart][0](mu, sigma)
    h = 1e-30
    out = []
    for step in [(1j * h, 0.0), (0.0, 1j * h)]:
        m, s = CHARTS[chart][1](theta[0] + step[0], theta[1] + step[1])
        out.append(np.imag(log_density(x, m, s)) / h)
    return np.array(out)


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize(("mu", "sigma"), [(0.0, 1.0), (0.7, 2.3), (-5.0, 0.4)])
def test_fisher_is_the_expected_outer_product_of_the_score(chart, mu, sigma):
    """By Gauss-Hermite quadrature, exact for polynomials of the fourth degree."""
    z, w = np.polynomial.hermite_e.hermegauss(5)
    s = scores(chart, mu, sigma, mu + sigma * z)
    expected = (s * (w / w.sum())) @ s.T
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    found = geometry.fisher_normal(mu, sigma, chart)
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=1e-13)


def test_fisher_in_the_charts_of_the_article():
    np.testing.assert_array_equal(geometry.fisher_normal(7.0, 2.0), [[0.25, 0.0], [0.0, 2.0]])
    variance = geometry.fisher_normal(7.0, 2.0, "variance")
    np.testing.assert_array_equal(variance, [[0.25, 0.0], [0.0, 1.0 / (2.0 * 16.0)]])


def test_natural_and_mean_parameters_are_dual():
    natural = geometry.fisher_normal(0.7, 2.3, "natural")
    mean = geometry.fisher_normal(0.7, 2.3, "mean")
    np.testing.assert_allclose(natural @ mean, np.eye(2), atol=1e-14)


@pytest.mark.parametrize("chart", CHARTS)
def test_charts_and_back(chart, rng):
    mu, sigma = rng.normal(size=50), np.exp(rng.normal(size=50))
    theta = geometry.to_chart(mu, sigma, chart)
    a, b = CHARTS[chart][0](mu, sigma)
    np.testing.assert_allclose(theta, np.stack([a, b], axis=-1), rtol=4 * EPS)
    back = geometry.from_chart(theta, chart)
    np.testing.assert_allclose(back.mu, mu, rtol=1e-14)
    np.testing.assert_allclose(back.sigma, sigma, rtol=1e-12)  # of mean parameters, mu^2 is lost


def test_coordinates_without_a_distribution():
    for chart, theta in {
        "sigma": [0.0, -1.0],
        "variance": [0.0, -1.0],
        "natural": [0.0, 0.1],
        "mean": [2.0, 3.0],
        "olsen": [0.0, -1.0],
    }.items():
        assert np.isnan(geometry.from_chart(theta, chart).sigma), chart


@pytest.mark.parametrize("chart", CHARTS)
def test_expansion_is_half_of_delta_fisher_delta(chart, rng):
    for m1, s1, m2, s2 in zip(*rng.uniform(0.5, 2.0, (4, 20)), strict=True):
        delta = geometry.to_chart(m1, s1, chart) - geometry.to_chart(m2, s2, chart)
        half = 0.5 * delta @ geometry.fisher_normal(m2, s2, chart) @ delta
        found = geometry.kl_normal_quadratic(m1, s1, m2, s2, chart)
        assert math.isclose(found, half, rel_tol=1e-11)


@pytest.mark.parametrize("chart", CHARTS)
def test_expansion_is_right_to_third_order(chart):
    """Halving the step divides the error by eight, at steps where nothing but care keeps digits."""
    h = 2.0 ** -np.arange(5, 25)
    kl = geometry.kl_normal(1e3 + h, 1.0 + h, 1e3, 1.0)
    half = geometry.kl_normal_quadratic(1e3 + h, 1.0 + h, 1e3, 1.0, chart)
    orders = np.log2(np.abs(kl / half - 1.0)[:-1] / np.abs(kl / half - 1.0)[1:])
    np.testing.assert_allclose(orders[5:], 1.0, atol=0.02)  # of the relative error
    other = geometry.kl_normal(1e3, 1.0, 1e3 + h, 1.0 + h)
    assert np.all(np.abs(other / half - 1.0) < 10.0 * h), "either order of the arguments"


def test_expansion_far_away():
    assert geometry.kl_normal_quadratic(0.0, 1e-300, 0.0, 1e300) == pytest.approx(
        math.log(1e300) * 2 * math.log(1e300) * 2
    )


# ---- multivariate ----------------------------------------------------------------------------


def random_covariance(rng, d, scale=1.0):
    root = rng.normal(size=(d, d + 3)) * scale
    product = root @ root.T
    return 0.5 * (product + product.T)


def exact_kl_mvn(m1, c1, m2, c2):
    with mp.workdps(60):
        one, two = mp.matrix(c1.tolist()), mp.matrix(c2.tolist())
        gap = mp.matrix(m1.tolist()) - mp.matrix(m2.tolist())
        inverse = two**-1
        product = inverse * one
        trace = sum(product[i, i] for i in range(len(m1)))
        square = (gap.T * inverse * gap)[0]
        return (trace - len(m1) + square + mp.log(mp.det(two) / mp.det(one))) / 2


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("size", [1e-9, 1e-4, 0.05, 1.0, 100.0])
def test_kl_mvn_against_exact_arithmetic(d, size, rng):
    c2 = random_covariance(rng, d)
    change = random_covariance(rng, d, math.sqrt(size))
    m2 = rng.normal(size=d)
    m1, c1 = m2 + size * rng.normal(size=d), c2 + change
    for args in [(m1, c1, m2, c2), (m2, c2, m1, c1)]:
        exact = exact_kl_mvn(*args)
        condition = np.linalg.cond(args[3])
        # The differences are exact; solving costs what the condition says.
        assert relative_error(geometry.kl_mvn(*args), exact) < 20 * d * condition * EPS


def test_kl_mvn_of_one_dimension_is_kl_normal():
    for m1, s1, m2, s2 in PAIRS[4:-3]:
        one = geometry.kl_mvn([m1], [[s1 * s1]], [m2], [[s2 * s2]])
        # The squares are rounded, so that differences are not what they were.
        assert math.isclose(one, geometry.kl_normal(m1, s1, m2, s2), rel_tol=1e-9)


def test_kl_mvn_adds_up_over_independent_parts(rng):
    m, s = rng.normal(size=(2, 4)), np.exp(rng.normal(size=(2, 4)))
    whole = geometry.kl_mvn(m[0], np.diag(s[0] ** 2), m[1], np.diag(s[1] ** 2))
    assert math.isclose(whole, geometry.kl_normal(m[0], s[0], m[1], s[1]).sum(), rel_tol=1e-13)


def test_kl_mvn_knows_no_units(rng):
    d = 4
    m, c = rng.normal(size=(2, d)), np.array([random_covariance(rng, d) for _ in range(2)])
    unit = np.array([1e-120, 1e-3, 1.0, 1e120])
    scaled_c = c * unit[:, None] * unit
    for function in (geometry.kl_mvn, geometry.kl_mvn_quadratic):
        plain = function(m[0], c[0], m[1], c[1])
        scaled = function(m[0] * unit, scaled_c[0], m[1] * unit, scaled_c[1])
        assert math.isclose(plain, scaled, rel_tol=1e-12)


def test_kl_mvn_of_a_nearly_singular_one():
    """The smaller eigenvalue is nothing beside the other covariance, but its logarithm counts."""
    c1 = np.array([[1.0, 0.0], [0.0, 1e-40]])
    exact = exact_kl_mvn(np.zeros(2), c1, np.zeros(2), np.eye(2))
    assert relative_error(geometry.kl_mvn([0, 0], c1, [0, 0], np.eye(2)), exact) < 4 * EPS


@pytest.mark.parametrize("d", [1, 2, 3])
def test_fisher_mvn_is_the_hessian_of_kl(d, rng):
    """kl_mvn keeps its digits at small steps, so twice it over the square is the metric."""
    mean, c = rng.normal(size=d), random_covariance(rng, d)
    row, column = np.tril_indices(d)
    found = geometry.fisher_mvn(c)
    p = d + row.size
    for _ in range(10):
        delta = 1e-7 * rng.normal(size=p)
        change = np.zeros((d, d))
        change[row, column] = change[column, row] = delta[d:]
        moved = c + change
        exact = (moved - c)[row, column]  # what rounding has left of the change
        step = np.concatenate([(mean + delta[:d]) - mean, exact])
        half = 0.5 * step @ found @ step
        assert math.isclose(geometry.kl_mvn(mean + delta[:d], moved, mean, c), half, rel_tol=1e-5)
        quadratic = geometry.kl_mvn_quadratic(mean + delta[:d], moved, mean, c)
        assert math.isclose(quadratic, half, rel_tol=1e-11)


def test_fisher_mvn_is_what_fit_mvn_inverts(rng):
    x = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 3))
    fit = fastnat.fit_mvn(x, cov_type="expected")
    inverse = np.linalg.inv(40 * geometry.fisher_mvn(fit.covariance))
    np.testing.assert_allclose(fit.cov_params, inverse, rtol=1e-9, atol=1e-14)


def test_fisher_mvn_of_one_dimension():
    found = geometry.fisher_mvn([[[4.0]], [[9.0]]])
    np.testing.assert_allclose(found, geometry.fisher_normal(0.0, [2.0, 3.0], "variance"))


# ---- Mahalanobis -----------------------------------------------------------------------------


def test_mahalanobis_is_scipys(rng):
    x, y, c = rng.normal(size=3), rng.normal(size=3), random_covariance(rng, 3)
    reference = distance.mahalanobis(x, y, np.linalg.inv(c))
    assert math.isclose(geometry.mahalanobis(x, y, covariance=c), reference, rel_tol=1e-12)
    inverse = np.linalg.inv(c)
    inverse = 0.5 * (inverse + inverse.T)
    assert math.isclose(geometry.mahalanobis(x, y, inverse), reference, rel_tol=1e-12)


def test_mahalanobis_of_a_vector_of_rates():
    assert geometry.mahalanobis([3.0, 2.0], [0.0, 0.0], [1.0, 4.0]) == 5.0
    full = geometry.mahalanobis([3.0, 2.0], [0.0, 0.0], np.diag([1.0, 4.0]))
    assert full == 5.0
    assert geometry.mahalanobis([3.0, 4.0], [0.0, 0.0], np.eye(2)) == 5.0


def test_the_step_of_steepest_descent_is_the_shortest_for_its_fall(rng):
    """Of all steps of its length under the metric none lowers the linear function more."""
    metric, slope = random_covariance(rng, 2), rng.normal(size=2)
    step = -np.linalg.solve(metric, slope)
    angle = np.linspace(0.0, 2.0 * np.pi, 721)
    others = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    others *= (
        geometry.mahalanobis(step, 0 * step, metric)
        / geometry.mahalanobis(others, np.zeros(2), metric)
    )[:, None]
    assert np.all(others @ slope >= step @ slope - 1e-12)


# ---- Fisher-Rao ------------------------------------------------------------------------------


def exact_distance(m1, s1, m2, s2):
    with mp.workdps(80):
        m1, s1, m2, s2 = map(mp.mpf, (m1, s1, m2, s2))
        return mp.sqrt(2) * mp.acosh(1 + ((m1 - m2) ** 2 / 2 + (s1 - s2) ** 2) / (2 * s1 * s2))


@pytest.mark.parametrize("pair", PAIRS)
def test_distance_against_exact_arithmetic(pair):
    found = geometry.fisher_rao_distance(*pair)
    assert relative_error(found, exact_distance(*pair)) < 6 * EPS
    assert found == geometry.fisher_rao_distance(*pair[2:], *pair[:2])


def test_distance_of_known_cases():
    assert geometry.fisher_rao_distance(3.0, 1.0, 3.0, math.e) == pytest.approx(math.sqrt(2.0))
    # Equal sigma: the closed form in Costa, Santos and Strapasson (2015).
    m, s = 3.0, 2.0
    root = m * math.sqrt(8.0 * s * s + m * m)
    known = math.sqrt(2.0) * math.log((4.0 * s * s + m * m + root) / (4.0 * s * s))
    assert geometry.fisher_rao_distance(0.0, s, m, s) == pytest.approx(known, rel=1e-14)


def test_distance_is_a_metric(rng):
    m, s = rng.normal(size=(3, 1000)) * 3.0, np.exp(rng.normal(size=(3, 1000)))
    d = geometry.fisher_rao_distance
    ab, bc, ac = (d(m[i], s[i], m[j], s[j]) for i, j in [(0, 1), (1, 2), (0, 2)])
    assert np.all(ac <= (ab + bc) * (1.0 + 1e-12))
    assert np.all(d(m[0], s[0], m[0], s[0]) == 0.0)


def test_distance_is_free_of_units_and_origin(rng):
    m, s = rng.normal(size=(2, 100)), np.exp(rng.normal(size=(2, 100)))
    plain = geometry.fisher_rao_distance(m[0], s[0], m[1], s[1])
    moved = geometry.fisher_rao_distance(3 - 7 * m[0], 7 * s[0], 3 - 7 * m[1], 7 * s[1])
    np.testing.assert_allclose(moved, plain, rtol=1e-13)


def test_half_of_the_squared_distance_is_kl_to_second_order():
    h = 2.0 ** -np.arange(8, 25)
    half = 0.5 * geometry.fisher_rao_distance(h, 1.0 + h, 0.0, 1.0) ** 2
    assert np.all(np.abs(geometry.kl_normal(h, 1.0 + h, 0.0, 1.0) / half - 1.0) < 2.0 * h)


@pytest.mark.parametrize(
    "pair",
    [
        (0.0, 1.0, 0.0, 5.0),
        (-2.0, 1.0, 2.0, 1.0),
        (0.0, 0.1, 30.0, 2.0),
        (1e6, 1.0, 1e6 + 1e-3, 1.001),
    ],
)
def test_geodesic_has_the_length_of_the_distance(pair):
    """And constant speed: measured by the metric, along a dense polygon."""
    t = np.linspace(0.0, 1.0, 4001)
    mu, sigma = geometry.fisher_rao_geodesic(*pair, t)
    assert (mu[0], sigma[0], mu[-1], sigma[-1]) == pair
    length = geometry.fisher_rao_distance(*pair)
    middle = geometry.fisher_normal(mu[1:], np.sqrt(sigma[1:] * sigma[:-1]))
    delta = np.stack([np.diff(mu), np.diff(np.log(sigma))], axis=-1)
    pieces = np.sqrt(np.einsum("ni,nij,nj->n", delta, middle, delta))
    # A polygon of 4000 pieces, and the rounding of a mean of 1e6 among steps of 1e-7.
    np.testing.assert_allclose(pieces.sum(), length, rtol=1e-5)
    whole = geometry.fisher_rao_distance(pair[0], pair[1], mu, sigma)
    np.testing.assert_allclose(whole, t * length, rtol=1e-6, atol=1e-6 * length)


def test_geodesic_is_the_shortest_way():
    """Of a family of curves between the same ends: those through a point at half-time."""
    pair = (-2.0, 1.0, 2.0, 1.5)
    mu, sigma = geometry.fisher_rao_geodesic(*pair, 0.5)

    def length(point):
        m, s = point[0], math.exp(point[1])
        there = geometry.fisher_rao_distance(*pair[:2], m, s)
        return there**2 + geometry.fisher_rao_distance(m, s, *pair[2:]) ** 2

    best = optimize.minimize(length, [0.0, 0.0], tol=1e-12)
    np.testing.assert_allclose(best.x, [mu, math.log(sigma)], atol=1e-5)


def test_geodesic_is_half_an_ellipse_and_goes_on_beyond_its_ends():
    """mu^2 / 2 + sigma^2 is constant about the centre of symmetry."""
    mu, sigma = geometry.fisher_rao_geodesic(-2.0, 1.0, 2.0, 1.0, np.linspace(-1.0, 2.0, 31))
    np.testing.assert_allclose(mu**2 / 2.0 + sigma**2, 3.0, rtol=1e-12)


def test_geodesics_of_extreme_pairs():
    mu, sigma = geometry.fisher_rao_geodesic(3.0, 2.0, 3.0, 2.0, [0.0, 0.3, 1.0])
    assert np.all(mu == 3.0)
    assert np.all(sigma == 2.0)
    mu, sigma = geometry.fisher_rao_geodesic(0.0, 1e-300, 0.0, 1e300, [0.0, 0.25, 0.5, 1.0])
    assert np.all(mu == 0.0)
    np.testing.assert_allclose(sigma, [1e-300, 1e-150, 1.0, 1e300], rtol=1e-12)


# ---- arrays and arguments --------------------------------------------------------------------

FOUR = [
    geometry.kl_normal,
    geometry.kl_normal_quadratic,
    geometry.fisher_rao_distance,
]


@pytest.mark.parametrize("function", FOUR)
def test_arrays_broadcast(function, rng):
    m1, s1 = rng.normal(size=(5, 1)), np.exp(rng.normal(size=(5, 1)))
    m2, s2 = rng.normal(size=3), 2.0
    found = function(m1, s1, m2, s2)
    assert found.shape == (5, 3)
    for i in range(5):
        for j in range(3):
            assert found[i, j] == function(m1[i, 0], s1[i, 0], m2[j], s2)
    assert isinstance(function(0, 1, 1, 2), np.float64)
    assert function([], 1.0, 0.0, 1.0).shape == (0,)


def test_shapes_of_the_others():
    assert geometry.fisher_normal(np.zeros((4, 1)), np.ones(3)).shape == (4, 3, 2, 2)
    assert geometry.to_chart(np.zeros((4, 1)), np.ones(3)).shape == (4, 3, 2)
    way = geometry.fisher_rao_geodesic(np.zeros((4, 1)), 1.0, np.ones(3), 1.0, np.zeros((2, 5)))
    assert way.mu.shape == way.sigma.shape == (4, 3, 2, 5)
    c = np.broadcast_to(np.eye(2), (3, 1, 2, 2))
    assert geometry.kl_mvn(np.zeros((4, 2)), c, [0.0, 0.0], np.eye(2)).shape == (3, 4)
    assert geometry.fisher_mvn(c).shape == (3, 1, 5, 5)
    assert geometry.mahalanobis(np.zeros((4, 2)), [0.0, 0.0], c).shape == (3, 4)
    assert isinstance(geometry.kl_mvn([0.0], [[1.0]], [1.0], [[1.0]]), np.float64)


def test_a_million_at_once_are_the_same_as_one(rng):
    c = np.array([random_covariance(rng, 3) for _ in range(4)])
    m = rng.normal(size=(4, 3))
    for function in (geometry.kl_mvn, geometry.kl_mvn_quadratic):
        found = function(m, c, m[::-1], c[::-1])
        alone = [function(m[k], c[k], m[3 - k], c[3 - k]) for k in range(4)]
        np.testing.assert_allclose(found, alone, rtol=1e-14)


def test_nan_and_limits():
    nan, inf = math.nan, math.inf
    for function in FOUR:
        assert np.isnan(function(0.0, nan, 0.0, 1.0))
        assert np.isnan(function(nan, 1.0, 0.0, 1.0))
        assert function(0.0, 1.0, 0.0, 0.0) == inf
        assert np.isnan(function(0.0, 0.0, 0.0, 0.0))
    for s1, s2 in [(0.0, 1.0), (inf, 1.0), (1.0, inf)]:
        assert geometry.kl_normal(0.0, s1, 0.0, s2) == inf
        assert geometry.fisher_rao_distance(0.0, s1, 0.0, s2) == inf
    bad = np.array([np.eye(2), [[nan, 0.0], [0.0, 1.0]]])
    np.testing.assert_array_equal(geometry.kl_mvn([0, 0], bad, [0, 0], np.eye(2)), [0.0, nan])
    np.testing.assert_array_equal(geometry.kl_mvn([0, 0], np.eye(2), [0, 0], bad), [0.0, nan])
    assert np.isnan(geometry.kl_mvn_quadratic([0, 0], bad[1], [0, 0], np.eye(2)))
    assert np.all(np.isnan(geometry.fisher_mvn(bad)[1]))
    assert np.isnan(geometry.mahalanobis([0, 0], [0, 0], bad)[1])
    assert np.isnan(geometry.mahalanobis([0, 0], [0, 0], covariance=bad)[1])


def test_what_fits_leave_can_be_compared():
    fit = fastnat.fit_normal([[1.0, 2.0, 4.0], [1.0, 1.0, 1.0], [math.nan, 1.0, 2.0]])
    kl = geometry.kl_normal(*fit, 0.0, 1.0)
    assert np.isfinite(kl[0])
    assert kl[1] == math.inf
    assert np.isnan(kl[2])


def test_bad_arguments_of_univariate_functions():
    for function in FOUR:
        with refused(ValueError, "sigma1 must not be negative"):
            function(0.0, -1.0, 0.0, 1.0)
        with refused(ValueError, "sigma2 must not be negative"):
            function(0.0, 1.0, 0.0, [1.0, -1.0])
        with refused(TypeError, "mu2", "real numbers"):
            function(0.0, 1.0, "zero", 1.0)
        with refused(ValueError, "mu1", "sigma1", "broadcast"):
            function([0.0, 1.0], [1.0, 1.0, 1.0], 0.0, 1.0)
        with refused(ValueError, "mu1", "mu2", "broadcast"):
            function([0.0, 1.0], 1.0, [0.0, 1.0, 2.0], 1.0)
    with refused(ValueError, "sigma must not be negative"):
        geometry.fisher_normal(0.0, -1.0)
    with refused(ValueError, "chart", "natural"):
        geometry.fisher_normal(0.0, 1.0, "polar")
    with refused(ValueError, "chart"):
        geometry.kl_normal_quadratic(0.0, 1.0, 0.0, 1.0, 3)
    with refused(ValueError, "theta", "(3,)"):
        geometry.from_chart([1.0, 2.0, 3.0])
    with refused(TypeError, "t must"):
        geometry.fisher_rao_geodesic(0.0, 1.0, 0.0, 1.0, "half")


def test_bad_arguments_of_multivariate_functions():
    mean, c = [0.0, 0.0], np.eye(2)
    with refused(ValueError, "covariance1 must be positive definite"):
        geometry.kl_mvn(mean, [[1.0, 2.0], [2.0, 1.0]], mean, c)
    with refused(ValueError, "covariance2 must be positive definite"):
        geometry.kl_mvn_quadratic(mean, c, mean, -c)
    with refused(ValueError, "covariance2 must be symmetric"):
        geometry.kl_mvn(mean, c, mean, [[1.0, 0.1], [0.0, 1.0]])
    with refused(ValueError, "covariance1", "(..., d, d)"):
        geometry.kl_mvn(mean, [1.0, 1.0], mean, c)
    with refused(ValueError, "mean1", "(..., d)"):
        geometry.kl_mvn(0.0, c, mean, c)
    with refused(ValueError, "agree in d"):
        geometry.kl_mvn([0.0, 0.0, 0.0], c, mean, c)
    with refused(ValueError, "broadcast"):
        geometry.kl_mvn(np.zeros((2, 2)), np.broadcast_to(c, (3, 2, 2)), mean, c)
    with refused(ValueError, "covariance must be positive definite"):
        geometry.fisher_mvn([[0.0]])
    for both in [{}, {"metric": c, "covariance": c}]:
        with refused(ValueError, "metric or covariance"):
            geometry.mahalanobis(mean, mean, **both)
    with refused(ValueError, "metric must be positive definite"):
        geometry.mahalanobis(mean, mean, [1.0, 0.0])
    with refused(TypeError, "metric must hold real numbers"):
        geometry.mahalanobis(mean, mean, "euclidean")
