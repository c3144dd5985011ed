"""Values with known noise: the kernel that fits rows of them, and the one for intervals.

Reference problems: mpmath with 110 digits.  Published: Viechtbauer (2005), Journal of Educational
and Behavioral Statistics 30, 261-293, pages 271-272.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import same_bits, scaled

from fastnat import fit_normal
from fastnat.kernels import codes, estimates, noise, noise_profile
from fastnat.kernels.outcome import (
    COV_EXPECTED,
    COV_OBSERVED,
    COV_OPG,
    COV_SANDWICH,
    NO_COV,
)

NAN, INF = np.nan, np.inf
CHI2_95 = 3.841458820694124


def flat_rows(a, shape):
    """As the kernels take it: a broadcast could not be written to, and they be compiled anew."""
    return np.array(np.broadcast_to(np.asarray(a, float), shape)).ravel()


def fit_all(x, e, w=None, omit=False, reml=False, cov=COV_OBSERVED, max_iter=100, tol=1e-12):
    """Rows (B, n) -> (estimates.SIZE, B)."""
    x = np.asarray(x, float)
    e = flat_rows(e, x.shape)
    flat = np.empty(0) if w is None else flat_rows(w, x.shape)
    ends = np.arange(len(x) + 1, dtype=np.int64) * x.shape[1]
    out = np.full((estimates.SIZE, len(x)), 7.0)
    bad = noise.fit_rows(x.ravel(), e, flat, ends, omit, reml, cov, max_iter, tol, 0, out)
    return out, bad


def fit(x, e, w=None, **options):
    x = np.atleast_1d(np.asarray(x, float))
    w = None if w is None else np.asarray(w, float)[None]
    out, bad = fit_all(x[None], np.broadcast_to(np.asarray(e, float), x.shape)[None], w, **options)
    assert bad == 0
    return out[:, 0]


def profile(x, e, w, v, reml=False):
    """Log-likelihood at each v (G,) and the best mu, (B, G): slow and obvious."""
    values = np.empty((len(x), v.shape[-1]))
    for g in range(v.shape[-1]):
        var = v[..., g, None] + e * e
        total = np.sum(w / var, axis=1, keepdims=True)
        mu = np.sum(w / var * x, axis=1, keepdims=True) / total
        values[:, g] = -0.5 * np.sum(w * (np.log(2 * np.pi * var) + (x - mu) ** 2 / var), axis=1)
        if reml:
            values[:, g] += 0.5 * np.log(2 * np.pi) - 0.5 * np.log(total[:, 0])
    return values


# ---- known answers ---------------------------------------------------------------------------

D1 = (
    [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0],
    [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0],
)
D3 = ([-0.8, -9.9, 0.2, 0.6], [8.8, 0.1, 5.5, 1.3])
D5 = (
    [1000000.25, 1000001.5, 999999.0, 1000000.75, 1000003.0, 1000050.0],
    [0.01, 0.1, 1.0, 2.0, 10.0, 100.0],
)


def test_eight_schools():
    """The maximum is at sigma = 0."""
    for cov in (COV_OBSERVED, COV_EXPECTED):
        out = fit(*D1, cov=cov)
        assert out[estimates.STATUS] == codes.BOUNDARY
        assert out[estimates.SIGMA] == 0.0
        assert out[estimates.NIT] == 0.0
        assert out[estimates.MU] == pytest.approx(7.685616724956035163, rel=1e-14)
        assert out[estimates.LOGLIK] == pytest.approx(-29.6742436879966688, rel=1e-14)
        assert out[estimates.SE_MU] == pytest.approx(4.071919158402296100, rel=1e-13)
        assert np.isnan(out[[estimates.SE_SIGMA, estimates.CORR]]).all()


REFERENCE = [
    # data, mu, tau, loglik, covariance of (mu, tau2), expected standard errors of (mu, tau2)
    (
        D3,
        -3.6576409127881074351,
        4.73044509619302322110,
        -12.532900274562312283,
        (9.00596399573665687064, 11.0475220368056959542, 371.706590558389552099),
        (2.94577997956596812950, 21.8656928283866263949),
    ),
    (
        D5,
        1000000.61794267901718,
        0.69209610272750505065,
        -14.617452799589562153,
        (0.21725469067795738691, -0.0704645458468312513, 0.26258126292584825219),
        (0.44535973993911512176, 0.47020984432637915251),
    ),
]


@pytest.mark.parametrize(("data", "mu", "tau", "loglik", "cov", "expected"), REFERENCE)
def test_reference_problems(data, mu, tau, loglik, cov, expected):
    """D3 has two maxima, the other 27.6 lower; D5 noise over four decades and an offset of 1e6."""
    out = fit(*data)
    assert out[estimates.STATUS] == codes.OK
    assert out[estimates.MU] == pytest.approx(mu, rel=1e-14)
    assert out[estimates.SIGMA] == pytest.approx(tau, rel=1e-13)
    assert out[estimates.LOGLIK] == pytest.approx(loglik, rel=1e-14)
    assert out[estimates.SE_MU] == pytest.approx(np.sqrt(cov[0]), rel=1e-12)
    assert out[estimates.SE_SIGMA] == pytest.approx(np.sqrt(cov[2]) / (2 * tau), rel=1e-12)
    assert out[estimates.CORR] == pytest.approx(cov[1] / np.sqrt(cov[0] * cov[2]), rel=1e-11)
    out = fit(*data, cov=COV_EXPECTED)
    assert out[estimates.SE_MU] == pytest.approx(expected[0], rel=1e-12)
    assert out[estimates.SE_SIGMA] == pytest.approx(expected[1] / (2 * tau), rel=1e-12)
    assert out[estimates.CORR] == 0.0


FIRST = (
    [-0.581, 0.53, 0.771, 1.031, 0.553, 0.295, 0.078, 0.573, -0.176, -0.232],
    [0.023, 0.052, 0.06, 0.115, 0.095, 0.203, 0.2, 0.211, 0.051, 0.04],
)
# fmt: off
SECOND = (
    [
        0.1, -0.162, -0.09, -0.049, -0.046, -0.01, -0.431, -0.261, 0.134,
        0.019, 0.175, 0.056, 0.045, 0.103, 0.121, -0.482, 0.29, 0.342,
    ],
    [
        0.016, 0.015, 0.05, 0.05, 0.032, 0.052, 0.036, 0.024, 0.034,
        0.033, 0.031, 0.034, 0.039, 0.167, 0.134, 0.096, 0.016, 0.035,
    ],
)
# fmt: on


@pytest.mark.parametrize(("data", "ml", "reml"), [(FIRST, 0.197, 0.223), (SECOND, 0.013, 0.016)])
def test_published(data, ml, reml):
    x, variances = data
    for published, restricted in ((ml, False), (reml, True)):
        out = fit(x, np.sqrt(variances), reml=restricted)
        assert out[estimates.STATUS] == codes.OK
        assert round(out[estimates.SIGMA] ** 2, 3) == published


def test_published_as_computed_independently():
    out = fit(FIRST[0], np.sqrt(FIRST[1]))
    assert out[estimates.MU] == pytest.approx(0.239446476450819, rel=1e-13)
    assert out[estimates.SIGMA] ** 2 == pytest.approx(0.1966697214737546, rel=1e-13)
    assert out[estimates.LOGLIK] == pytest.approx(-7.48607311442593, rel=1e-13)
    assert out[estimates.SE_MU] == pytest.approx(0.17065363907360773, rel=1e-8)


# ---- against a slow and obvious implementation -----------------------------------------------


def some(rng, n_fits, n):
    """Random rows whose maxima lie in all places."""
    e = 10 ** rng.uniform(-2, 0.5, (n_fits, n))
    tau = rng.choice([0.0, 0.1, 1.0, 5.0], (n_fits, 1))
    return tau * rng.standard_t(3, (n_fits, n)) + e * rng.standard_normal((n_fits, n)) + 10, e


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("n", [2, 5, 20])
def test_no_point_of_a_fine_grid_is_higher(rng, n, reml):
    x, e = some(rng, scaled(400, 15), n)
    w = rng.choice([1.0, 2.0, 3.5], x.shape)
    out, bad = fit_all(x, e, w, reml=reml)
    assert bad == 0
    assert np.isin(out[estimates.STATUS], [codes.OK, codes.BOUNDARY]).all()
    square = np.ptp(x, axis=1) ** 2
    grid = profile(x, e, w, square[:, None] * np.append(0, np.geomspace(1e-9, 2, 400)), reml)
    best = grid.max(axis=1)
    loglik = out[estimates.LOGLIK]
    assert np.all(loglik >= best - 1e-12 * (1 + np.abs(best)))
    again = profile(x, e, w, out[estimates.SIGMA, :, None] ** 2, reml)[:, 0]
    assert np.allclose(again, loglik, rtol=1e-12, atol=1e-12)
    assert (out[estimates.STATUS] == codes.BOUNDARY).any() == (out[estimates.SIGMA] == 0).any()


def sums_of_scores(x, e, w, mu, v, lost):
    """Scores of each value in (mu, v)."""
    om = 1 / (v + e * e)
    r = x - mu
    return np.array([om * r, 0.5 * (om**2 * r**2 - om * (1 - lost * om / np.sum(w * om)))])


@pytest.mark.parametrize("reml", [False, True])
def test_standard_errors_of_each_kind(rng, reml):
    """Rebuilt from the definitions, in (mu, v), and taken to (mu, sigma)."""
    x, e = 3 * rng.standard_normal(12) + 100, 10 ** rng.uniform(-1, 0.3, 12)
    w = rng.choice([1.0, 2.0, 2.5], 12)
    lost = 1.0 if reml else 0.0
    kinds = {k: fit(x, e, w, reml=reml, cov=k) for k in range(5)}
    mu, sigma = kinds[NO_COV][:2]
    assert np.isnan(kinds[NO_COV][estimates.SE_MU :]).all()
    om, r = 1 / (sigma**2 + e * e), x - mu
    s1, s2, s3 = (np.sum(w * om**k) for k in (1, 2, 3))
    score = sums_of_scores(x, e, w, mu, sigma**2, lost)
    assert np.allclose((w * score).sum(axis=1), 0, atol=1e-11)
    expected = np.diag([s1, 0.5 * (s2 - lost * (2 * s3 / s1 - (s2 / s1) ** 2))])
    cross, own = np.sum(w * om**2 * r), np.sum(w * (om**3 * r**2 - om**2 / 2))
    observed = np.array([[s1, cross], [cross, own]])
    if reml:
        profiled = own - cross**2 / s1 - 0.5 * (-2 * s3 / s1 + (s2 / s1) ** 2)
        observed = np.diag([s1, profiled])
    products = np.einsum("i,ji,ki->jk", w, score, score)
    bread = np.linalg.inv(observed)
    covs = {
        COV_OBSERVED: bread,
        COV_EXPECTED: np.linalg.inv(expected),
        COV_OPG: np.linalg.inv(products),
        COV_SANDWICH: bread @ products @ bread,
    }
    for kind, cov in covs.items():
        se = np.sqrt(np.diag(cov)) / [1, 2 * sigma]
        got = kinds[kind]
        assert np.allclose(got[[estimates.SE_MU, estimates.SE_SIGMA]], se, rtol=1e-9)
        corr = cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1])
        assert got[estimates.CORR] == pytest.approx(corr, abs=1e-9)


def test_standard_errors_at_the_boundary():
    x, e = np.array(D1[0]), np.array(D1[1])
    om = 1 / e**2
    r = x - np.sum(om * x) / om.sum()
    products = np.sum(om**2 * r**2)
    for kind, square in ((COV_OPG, 1 / products), (COV_SANDWICH, products / om.sum() ** 2)):
        assert fit(x, e, cov=kind)[estimates.SE_MU] == pytest.approx(np.sqrt(square), rel=1e-13)


@pytest.mark.parametrize("reml", [False, True])
def test_without_noise_it_is_the_plain_model(rng, reml):
    x = rng.standard_normal(9) + 5
    out = fit(x, 0.0, reml=reml)
    dof = 8 if reml else 9
    sigma = x.std(ddof=9 - dof)
    loglik = -dof * (np.log(sigma) + 0.5 * np.log(2 * np.pi) + 0.5)
    loglik -= 0.5 * np.log(9) if reml else 0.0
    assert out[estimates.STATUS] == codes.OK
    assert np.allclose(out[:2], [x.mean(), sigma], rtol=1e-14)
    assert out[estimates.LOGLIK] == pytest.approx(loglik, rel=1e-14)
    errors = sigma * np.array([1 / 3, 1 / np.sqrt(2 * dof)])
    assert np.allclose(out[[estimates.SE_MU, estimates.SE_SIGMA]], errors, rtol=1e-12)


def test_equal_noise_is_closed_form(rng):
    x = 3 * rng.standard_normal(15)
    out = fit(x, 1.5)
    assert out[estimates.SIGMA] == pytest.approx(np.sqrt(x.var() - 1.5**2), rel=1e-13)
    assert out[estimates.MU] == pytest.approx(x.mean(), abs=1e-14)


# ---- invariances -----------------------------------------------------------------------------


def assert_same(a, b, rtol=1e-11, sigma=1.0):
    """Two fits agree; what is near the square root of rounding in sigma is 0."""
    assert np.array_equal(a[estimates.STATUS], b[estimates.STATUS])
    rows = [estimates.SIGMA, estimates.NOBS, estimates.SE_MU, estimates.SE_SIGMA]
    assert np.allclose(a[rows], b[rows], rtol=rtol, atol=0, equal_nan=True)
    assert np.allclose(a[estimates.MU], b[estimates.MU], rtol=rtol, atol=1e-12 * sigma)
    assert np.allclose(a[estimates.LOGLIK], b[estimates.LOGLIK], rtol=rtol, atol=1e-11)


@pytest.fixture
def rows(rng):
    return some(rng, scaled(200, 10), 7)


def test_shift(rows):
    x, e = rows
    x = np.round(x * 2**20) / 2**20  # so that the shift is exact
    a, b = fit_all(x, e)[0], fit_all(x + 2.0**20, e)[0]
    b[estimates.MU] -= 2.0**20
    assert np.allclose(a[estimates.MU], b[estimates.MU], rtol=0, atol=2**-32)
    b[estimates.MU] = a[estimates.MU]
    assert same_bits(a, b)


@pytest.mark.parametrize("exponent", [3, 600, -600, 1000, -1000])
def test_scale(rows, exponent):
    x, e = rows
    scale = 2.0**exponent
    a, b = fit_all(x, e)[0], fit_all(x * scale, e * scale)[0]
    scaled_rows = [estimates.MU, estimates.SIGMA, estimates.SE_MU, estimates.SE_SIGMA]
    b[estimates.LOGLIK] += x.shape[1] * exponent * np.log(2)
    b[scaled_rows] /= scale
    assert same_bits(a[scaled_rows], b[scaled_rows])
    assert np.allclose(a, b, rtol=1e-11, atol=1e-10, equal_nan=True)


def test_any_scale(rows):
    x, e = rows
    a = fit_all(x, e)[0]
    for scale in (1e200, 1e-200, 0.3):
        b = fit_all(x * scale, e * scale)[0]
        assert np.allclose(a[:2] * scale, b[:2], rtol=1e-7)


@pytest.mark.parametrize("reml", [False, True])
def test_weights_are_repetitions(rows, rng, reml):
    x, e = rows
    w = rng.integers(0, 4, x.shape)
    w[:, 0] = 2
    out, bad = fit_all(x, e, w, reml=reml)
    assert bad == 0
    for b in range(len(x)):
        again = fit(np.repeat(x[b], w[b]), np.repeat(e[b], w[b]), reml=reml)
        assert_same(out[:, b], again, 1e-8)


def test_weight_zero_is_absent_and_not_looked_at(rows):
    x, e = (a.copy() for a in rows)
    w = np.ones_like(x)
    w[:, 3] = 0.0
    x[:, 3], e[:, 3] = NAN, NAN
    a = fit_all(x, e, w)[0]
    b = fit_all(np.delete(x, 3, 1), np.delete(e, 3, 1))[0]
    assert same_bits(a, b)


def test_unit_weights_change_no_bit(rows):
    assert same_bits(fit_all(*rows)[0], fit_all(*rows, np.ones(7))[0])


def test_order_does_not_matter(rows, rng):
    x, e = rows
    order = rng.permutation(7)
    assert_same(fit_all(x, e)[0], fit_all(x[:, order], e[:, order])[0], 1e-9)


def test_neighbours_do_not_matter(rows):
    out = fit_all(*rows)[0]
    for b in range(len(rows[0])):
        assert same_bits(out[:, b], fit(rows[0][b], rows[1][b]))


def test_ragged_rows_and_first(rows):
    x, e = rows[0].ravel()[:9], rows[1].ravel()[:9]
    out = np.full((estimates.SIZE, 6), 7.0)
    ends = np.array([0, 2, 2, 9])
    assert (
        noise.fit_rows(x, e, np.empty(0), ends, False, False, COV_OBSERVED, 100, 1e-12, 2, out) == 0
    )
    assert same_bits(out[:, 2], fit(x[:2], e[:2]))
    assert out[estimates.STATUS, 3] == codes.NO_DATA
    assert same_bits(out[:, 4], fit(x[2:], e[2:]))
    assert np.all(out[:, [0, 1, 5]] == 7.0)


# ---- statuses --------------------------------------------------------------------------------

STATUSES = [
    # x, noise, options, status, mu, sigma, loglik
    ([], 1.0, {}, codes.NO_DATA, NAN, NAN, 0.0),
    ([1.0, 2.0], INF, {}, codes.NO_DATA, NAN, NAN, 0.0),
    ([NAN, NAN], 1.0, {"omit": True}, codes.NO_DATA, NAN, NAN, 0.0),
    ([1.0, 2.0], 1.0, {"w": [0.0, 0.0]}, codes.NO_DATA, NAN, NAN, 0.0),
    ([1.0, NAN, INF], 1.0, {}, codes.NAN_INPUT, NAN, NAN, NAN),
    ([1.0, NAN], [1.0, NAN], {}, codes.NAN_INPUT, NAN, NAN, NAN),
    ([1.0, 2.0], [1.0, NAN], {}, codes.INVALID_INPUT, NAN, NAN, NAN),
    ([1.0, 2.0], [1.0, NAN], {"omit": True}, codes.INVALID_INPUT, NAN, NAN, NAN),
    ([1.0, 2.0], [1.0, -1.0], {}, codes.INVALID_INPUT, NAN, NAN, NAN),
    ([1.0, 2.0], [1.0, -INF], {}, codes.INVALID_INPUT, NAN, NAN, NAN),
    ([1.0, INF], 1.0, {}, codes.INVALID_INPUT, NAN, NAN, NAN),
    ([1.0, -INF], INF, {}, codes.INVALID_INPUT, NAN, NAN, NAN),
    ([3.0], 0.0, {}, codes.SIGMA_ZERO, 3.0, 0.0, INF),
    ([3.0, 3.0], 0.0, {}, codes.SIGMA_ZERO, 3.0, 0.0, INF),
    ([3.0, 3.0], 0.0, {"reml": True}, codes.SIGMA_ZERO, 3.0, 0.0, INF),
    ([3.0], 0.0, {"reml": True}, codes.NOT_IDENTIFIED, NAN, NAN, 0.0),
    ([3.0], 1.0, {"reml": True}, codes.NOT_IDENTIFIED, NAN, NAN, 0.0),
    ([1.0, 2.0], 1.0, {"reml": True, "w": [0.5, 0.5]}, codes.SIGMA_INFINITE, NAN, INF, 0.0),
    ([1.0, 2.0], 1.0, {"reml": True, "w": [0.1, 0.5]}, codes.SIGMA_INFINITE, NAN, INF, INF),
    ([1.0, 2.0, 4.0], [0.0, 1.0, 1.0], {}, codes.UNBOUNDED, NAN, NAN, INF),
    ([1.0, 1.0, 4.0], [0.0, 0.0, 1.0], {"reml": True}, codes.UNBOUNDED, NAN, NAN, INF),
]


@pytest.mark.parametrize(("x", "e", "options", "status", "mu", "sigma", "loglik"), STATUSES)
def test_statuses_without_a_maximum(x, e, options, status, mu, sigma, loglik):
    out = fit(x, e, **options)
    assert out[estimates.STATUS] == status
    left = [mu, sigma, loglik, 0.0]
    rows = [estimates.MU, estimates.SIGMA, estimates.LOGLIK, estimates.NIT]
    assert np.array_equal(out[rows], left, equal_nan=True)
    assert np.isnan(out[estimates.SE_MU :]).all()


def test_one_noisy_value():
    out = fit([3.0], 0.5)
    assert out[estimates.STATUS] == codes.BOUNDARY
    assert np.array_equal(out[:3], [3.0, 0.0, 1.0])
    assert out[estimates.SE_MU] == 0.5
    assert out[estimates.LOGLIK] == pytest.approx(-0.5 * np.log(2 * np.pi) - np.log(0.5))


def test_equal_values_with_noise():
    out = fit([3.0, 3.0], [1.0, 2.0])
    assert out[estimates.STATUS] == codes.BOUNDARY
    assert np.array_equal(out[:2], [3.0, 0.0])


def test_infinite_noise_says_nothing():
    assert same_bits(fit([1.0, 2.0, 7.0], [0.1, INF, 1.0]), fit([1.0, 7.0], [0.1, 1.0]))


def test_nan_is_left_out():
    assert same_bits(fit([1.0, NAN, 7.0], [0.1, NAN, 1], omit=True), fit([1.0, 7.0], [0.1, 1.0]))


@pytest.mark.parametrize("weight", [-1.0, NAN, INF, -INF])
def test_bad_weights_are_counted(weight):
    w = np.array([[1.0, 1.0], [weight, 1.0], [1.0, 1.0]])
    out, bad = fit_all([[1.0, 9.0]] * 3, 1.0, w)
    assert bad == 1
    assert same_bits(out[:, 0], out[:, 2])
    assert fit_all([[1.0, 2.0]], 1.0, np.full((1, 2), 1e308))[1] == 1  # their sum is infinite


def test_max_iter():
    out = fit(*D5, max_iter=1)
    assert out[estimates.STATUS] == codes.MAX_ITER
    assert out[estimates.NIT] == 1.0
    assert np.isfinite(out[[estimates.MU, estimates.SIGMA, estimates.LOGLIK]]).all()
    assert np.isnan(out[estimates.SE_MU :]).all()
    full = fit(*D5, tol=0.0)
    assert full[estimates.STATUS] == codes.OK
    assert np.allclose(full[:2], fit(*D5)[:2], rtol=1e-14)


# ---- hostile ---------------------------------------------------------------------------------


def test_restricted_likelihood_of_one_exact_value():
    """It spends its weight of 1 on mu; ever less noise tends to the same."""
    for x in ([1.0, 2.0, 4.0, 8.0], [1.0, 1.2, 1.1, 0.8]):
        exact = fit(x, [0.0, 1.0, 1.0, 2.0], reml=True)
        almost = fit(x, [1e-9, 1.0, 1.0, 2.0], reml=True)
        assert exact[estimates.STATUS] == almost[estimates.STATUS] < 2
        assert np.allclose(exact[:5], almost[:5], rtol=1e-12)


def test_light_weights_in_the_restricted_likelihood():
    """Weights below 1 can push the maximum beyond the range."""
    x, e, w = np.array([1.0, 2.0, 40.0]), np.array([1.0, 2.0, 0.1]), np.array([0.4, 0.3, 0.33])
    out = fit(x, e, w, reml=True)
    assert out[estimates.SIGMA] > 40.0
    v = np.append(0, np.geomspace(1e-8, 1e8, 4000))
    assert out[estimates.LOGLIK] >= profile(x[None], e[None], w, v[None], True).max() - 1e-12


def test_values_of_any_size():
    out = fit([1.7e308, -1.7e308, 0.0], [1e308, 1e307, 1e306])
    assert out[estimates.STATUS] == codes.OK
    assert np.isfinite(out).all()
    assert fit([5e-324, 0.0], 5e-324)[estimates.STATUS] == codes.BOUNDARY
    assert fit([1e300] * 2, 1e-300)[estimates.SE_MU] == pytest.approx(1e-300 / np.sqrt(2))
    out = fit([1.0, 2.0, 7.0], [0.1, 0.2, 1e250])
    rest = fit([1.0, 2.0], [0.1, 0.2])
    assert np.allclose(out[:2], rest[:2], rtol=1e-14)
    lost = -0.5 * np.log(2 * np.pi) - 250 * np.log(10)
    assert out[estimates.LOGLIK] == pytest.approx(rest[estimates.LOGLIK] + lost)


def test_structure_far_below_the_range():
    """A hundred decades between the values that matter and one that does not."""
    out = fit([0.0, 1.0, 5.0, 1e100], [1.0, 1.0, 0.5, 1e100])
    rest = fit([0.0, 1.0, 5.0], [1.0, 1.0, 0.5])
    assert np.allclose(out[:2], rest[:2], rtol=1e-12)


@pytest.mark.parametrize("size", [1e300, 1e-300])
def test_weights_of_any_size(size):
    x, e = [1.0, 2.0, 9.0], [1.0, 0.5, 2.0]
    a, b = fit(x, e), fit(x, e, [size] * 3)
    assert np.allclose(a[:2], b[:2], rtol=1e-13)
    assert b[estimates.SE_MU] * np.sqrt(size) == pytest.approx(a[estimates.SE_MU])


def test_a_maximum_between_two_points_of_the_search():
    """A low hump between 0 and the first point: the slopes there give it away."""
    x = np.array([-1.127633430459805, -0.2591523451008602])
    e = np.array([0.4355514611527828, 0.21252953911782718])
    out = fit(x, e)
    assert out[estimates.STATUS] == codes.OK
    assert out[estimates.SIGMA] == pytest.approx(0.12192, abs=1e-5)
    v = np.append(0, np.geomspace(1e-3, 1.0, 3000))
    level = profile(x[None], e[None], np.ones(2), v[None])[0]
    assert level[0] > level[1]
    assert 1e-4 < level.max() - level[0] < 1e-3
    assert out[estimates.LOGLIK] >= level.max()


DESIGNS = 8


def designed(rng, n_fits, n, design):
    """Rows (n_fits, n) of values, noise and weights."""
    shape = (n_fits, n)
    w, scale = np.ones(shape), 1.0
    tau, z = 10 ** rng.uniform(-2, 1, (n_fits, 1)), rng.standard_normal(shape)
    e = 10 ** rng.uniform(-2, 1, shape)
    if design == 0:  # equal noise
        e = np.ones(shape)
    elif design == 1:  # noise over five decades
        e = 10 ** rng.uniform(-4, 1, shape)
    elif design == 2:  # clusters and an outlier with little noise
        z = 0.1 * z + rng.integers(0, 3, shape) * 10 ** rng.uniform(-1, 2, (n_fits, 1))
        z[:, 0] = 50 * rng.standard_normal(n_fits)
        e = 10 ** rng.uniform(-3, 0, shape)
        e[:, 0], tau = 1e-3, 1.0
    elif design == 3:  # heavy tails
        z = rng.standard_t(1.5, shape)
    elif design == 4:  # weights
        w = rng.choice([0.5, 1, 2, 7.3, 100], shape)
    elif design == 5:  # much noise
        e = 10 ** rng.uniform(-1, 0.5, shape)
    elif design == 6:  # eight decades of scale
        scale = 10 ** rng.uniform(-4, 4, (n_fits, 1))
    else:  # nothing but noise
        tau = 0.0
    x = tau * z + e * rng.standard_normal(shape)
    return x * scale + scale * rng.choice([0, 100.0]), e * scale, w


@pytest.mark.slow
@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("design", range(DESIGNS))
def test_the_maximum_is_global(rng, design, reml):
    """100,000 problems in all, none beaten by any of 500 points down to 1e-11 of range**2."""
    lengths = [(2, 1.0), (3, 1.0), (5, 1.0), (20, 1.0), (60, 0.33), (200, 0.1)]
    for n, share in lengths:
        n_fits = int(scaled(1412, 3) * share)
        x, e, w = designed(rng, n_fits, n, design)
        out, bad = fit_all(x, e, w, reml=reml, cov=NO_COV)
        assert bad == 0
        good = out[estimates.STATUS] != codes.SIGMA_INFINITE  # total weight 1, restricted
        assert np.all(out[estimates.STATUS][good] <= codes.BOUNDARY)
        square = np.ptp(x, axis=1)[:, None] ** 2
        v = square * np.append(0, np.geomspace(1e-11, 2, 500))
        best = profile(x, e, w, v, reml).max(axis=1)[good]
        assert np.all(out[estimates.LOGLIK][good] >= best - 1e-11 * (1 + np.abs(best)))


# ---- intervals -------------------------------------------------------------------------------


def intervals(x, e, w=None):
    x, e = np.atleast_2d(np.asarray(x, float)), np.atleast_2d(np.asarray(e, float))
    out = fit_all(x, e, w)[0]
    flat = np.empty(0) if w is None else flat_rows(w, x.shape)
    offsets, ends = np.arange(len(x) + 1) * x.shape[1], np.full((4, len(x)), 7.0)
    noise_profile.intervals(x.ravel(), e.ravel(), flat, offsets, 0.5 * CHI2_95, out, 0, ends)
    return out, ends


def at_mu(x, e, w, mu, v):
    """Log-likelihood at mu and the best of many v."""
    var = v[:, None] + e * e
    return np.max(-0.5 * np.sum(w * (np.log(2 * np.pi * var) + (x - mu) ** 2 / var), axis=1))


def test_the_ends_are_where_the_profile_has_dropped(rng):
    x, e = some(rng, scaled(40, 5), 6)
    w = rng.choice([1.0, 2.0], x.shape)
    out, ends = intervals(x, e, w)
    assert np.all(ends[0] < out[estimates.MU])
    assert np.all(ends[1] > out[estimates.MU])
    target = out[estimates.LOGLIK] - 0.5 * CHI2_95
    for k in (2, 3):
        level = profile(x, e, w, ends[k, :, None] ** 2)[:, 0]
        zero = ends[k] == 0.0
        assert np.all(level[zero] >= target[zero])
        assert np.allclose(level[~zero], target[~zero], rtol=1e-12, atol=1e-10)
    v = np.append(0, np.geomspace(1e-6, 1e4, scaled(20001, 4001))) ** 1.0
    for b in range(len(x)):
        for k in (0, 1):
            level = at_mu(x[b], e[b], w[b], ends[k, b], v)
            assert level == pytest.approx(target[b], abs=1e-5)


def test_nothing_outside_the_interval_is_high_enough(rng):
    """Also not at other maxima: noise over three decades, heavy tails."""
    n_fits = scaled(40, 4)
    e = 10 ** rng.uniform(-2.5, 0.5, (n_fits, 4))
    x = rng.choice([0.3, 3.0], (n_fits, 1)) * rng.standard_t(2, (n_fits, 4))
    x += e * rng.standard_normal(x.shape)
    out, ends = intervals(x, e)
    target = out[estimates.LOGLIK] - 0.5 * CHI2_95
    for b in range(n_fits):
        size = np.ptp(x[b]) + e[b].max()
        v = np.append(0, np.geomspace(1e-9, 1e5, 2000)) * size**2
        enough = profile(x[b][None], e[b][None], 1.0, v[None])[0] >= target[b] + 1e-9
        sigma = np.sqrt(v[enough])
        assert ends[2, b] * (1 - 1e-9) <= sigma.min()
        assert sigma.max() <= ends[3, b] * (1 + 1e-9)
        rough = np.append(0, np.geomspace(1e-6, 1e4, 100)) * size**2
        for mu in out[estimates.MU, b] + size * np.linspace(-30, 30, 301):
            if at_mu(x[b], e[b], 1.0, mu, rough) >= target[b] + 1e-9:
                assert ends[0, b] <= mu <= ends[1, b]


def test_a_part_of_the_interval_with_no_value_in_it():
    """High enough are mu around the precise value, and halfway to the one with much noise."""
    x, e = np.array([0.0, 4.715]), np.array([0.0023, 1.291])
    out, ends = intervals(x, e)
    target = out[estimates.LOGLIK, 0] - 0.5 * CHI2_95
    v = np.append(0, np.geomspace(1e-9, 1e3, scaled(20001, 4001)))
    excess = [at_mu(x, e, 1.0, mu, v) - target for mu in (0.005, 0.5, 2.0, 4.0)]
    assert np.array_equal(np.sign(excess), [1, -1, 1, -1])
    assert 2.0 < ends[1, 0] < 4.0
    assert at_mu(x, e, 1.0, ends[1, 0], v) == pytest.approx(target, abs=1e-5)


def test_an_interval_that_ends_beyond_all_numbers():
    """One of the weights is so small that the profile hardly falls."""
    fit = fit_normal(
        [0.7214870296514015, -0.0014769140931701],
        noise_std=[583.7858027359703, 2.995254183220921e-4],
        weights=[8.44177823871097e-06, 3.933345124300158e-06],
    )
    low, high = fit.conf_int(method="profile")[0]
    assert not low > fit.mu
    assert not high < fit.mu


COUNT_LOOKS = """
import numpy as np
import fastnat
from fastnat.kernels import noise

looks, evaluate = [], noise.evaluate

def counted(problem, v):
    looks.append(v)
    return evaluate(problem, v)

noise.evaluate = counted
rng = np.random.default_rng(1)
for n in (50, 800):
    e = rng.uniform(0.1, 1.0, n)
    fit = fastnat.fit_normal(rng.standard_normal(n) + e * rng.standard_normal(n), noise_std=e)
    looks.clear()
    fit.conf_int(method="profile")
    print(len(looks))
"""


def test_intervals_look_at_long_problems_no_more_often_than_at_short_ones():
    """Each look reads all values once.  Counted in plain Python, where it can be."""
    env = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-W", "error", "-c", COUNT_LOOKS]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    few, many = map(int, done.stdout.split())
    assert 0 < many < 1.5 * few


def test_the_interval_of_sigma_reaches_to_the_lower_of_two_maxima():
    """The highest is at sigma = 9.5; at 0.32 there is another one, 1.2 lower."""
    x, e = np.array([-0.75, -1.4, 2.1, -6.3, 27.1]), np.array([0.03, 0.01, 4.9, 6.2, 5.9])
    out, ends = intervals(x, e)
    target = out[estimates.LOGLIK] - 0.5 * CHI2_95
    v = np.geomspace(1e-4, 1e4, 4001)
    sigma = np.sqrt(v[profile(x[None], e[None], 1.0, v[None])[0] >= target])
    assert np.max(sigma[1:] / sigma[:-1]) > 1.1  # lower between them
    assert sigma.min() < 0.32 < 5.0 < out[estimates.SIGMA, 0]
    assert ends[2, 0] == pytest.approx(sigma.min(), rel=0.003)  # the grid's
    assert ends[3, 0] == pytest.approx(sigma.max(), rel=0.003)


def test_intervals_without_noise_are_closed_form(rng):
    x = rng.standard_normal(11)
    out, ends = intervals(x, np.zeros(11))
    half = x.std() * np.sqrt(np.expm1(CHI2_95 / 11))
    assert np.allclose(ends[:2, 0], x.mean() + half * np.array([-1, 1]), rtol=1e-12)
    d = np.log(ends[2:, 0] / out[estimates.SIGMA, 0])
    assert np.allclose(11 * (2 * d + np.exp(-2 * d) - 1), CHI2_95, rtol=1e-11)


def test_interval_of_one_noisy_value():
    """-log|mu - x| falls without end, slowly."""
    _, ends = intervals([3.0], [0.5])
    # Beyond the noise, the best v is (mu - x)**2 - noise**2.
    reach = 0.5 * np.exp(0.5 * (CHI2_95 - 1))
    assert np.allclose(ends[:2, 0], [3 - reach, 3 + reach], rtol=1e-12)
    assert ends[2, 0] == 0.0
    assert ends[3, 0] == pytest.approx(0.5 * np.sqrt(np.expm1(CHI2_95)), rel=1e-12)


def test_intervals_only_where_there_is_a_maximum():
    x = np.array([[1.0, NAN, 2.0], [1.0, 2.0, 4.0], [3.0, 3.0, 3.0]])
    e = np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    out, ends = intervals(x, e)
    assert list(out[estimates.STATUS]) == [codes.NAN_INPUT, codes.UNBOUNDED, codes.BOUNDARY]
    assert np.isnan(ends[:, :2]).all()
    assert np.isfinite(ends[:, 2]).all()


@pytest.mark.parametrize("exponent", [600, -600])
def test_intervals_scale(rng, exponent):
    x, e = some(rng, scaled(20, 3), 5)
    a, b = intervals(x, e)[1], intervals(x * 2.0**exponent, e * 2.0**exponent)[1]
    assert np.allclose(a, b * 2.0**-exponent, rtol=1e-9)
