"""Known noise with covariates of the scale, which goes to 0 where noise explains the scatter."""

import naive_linear as nl
import numpy as np
import pytest

import fastnat
from fastnat import Status
from fastnat.kernels import codes, linear_limit, linear_memory


def line(n):
    return np.stack([np.ones(n), np.linspace(-1.0, 1.0, n)], axis=1)


def two_groups(rng, n=16):
    group = np.arange(n) % 2
    noise = np.round(rng.uniform(0.1, 1.0, n), 1)
    y = np.round(1.0 - group + rng.normal(size=n) * np.where(group == 1, noise, 1.0), 1)
    return y, group, noise


def fits_of_groups(y, group, noise, **options):
    return [
        fastnat.fit_normal(y[group == k], noise_std=noise[group == k], **options)
        for k in range(max(group) + 1)
    ]


def covariance_in_limit(fit, P, scale, cov_type):
    """What tells the estimates, at a maximum of the problem P in which some scales are all but 0.

    scale : (q,), P's coefficients of the scale; those that are -300 are not told.
    """
    told = np.append(np.ones(P.p, bool), scale > -300.0)
    kept = np.ix_(told, told)
    J = nl.observed(P, fit.coef, scale)[kept]
    gradient = nl.score(P, fit.coef, scale)[told]
    assert gradient @ np.linalg.solve(J, gradient) < 1e-12 * len(P.noise)
    if cov_type == "expected":
        return np.linalg.inv(nl.expected(P, fit.coef, scale)[kept])
    K, inverse = nl.outer_products(P, fit.coef, scale)[kept], np.linalg.inv(J)
    return {"observed": inverse, "opg": np.linalg.inv(K), "sandwich": inverse @ K @ inverse}[
        cov_type
    ]


@pytest.mark.parametrize("left", [None, -0.5])
@pytest.mark.parametrize("seed", range(12))
def test_the_supremum_where_noise_explains_a_group(seed, left):
    """X and Z tell two groups apart, so that it is the sum of what two samples have."""
    y, group, noise = two_groups(np.random.default_rng(seed))
    X = np.column_stack([1 - group, group])
    options = {} if left is None else {"left": left}
    parts = fits_of_groups(y, group, noise, **options)
    assert all(part.success for part in parts)
    inside = all(part.status is Status.OK for part in parts)
    for Z in (X, np.column_stack([np.ones(16), group])):
        fit = fastnat.fit_linear(y, X, Z, noise_std=noise, **options)
        assert fit.status is (Status.OK if inside else Status.BOUNDARY)
        assert abs(fit.loglik - sum(part.loglik for part in parts)) < 1e-9
        # Information is 1e-12 of a row's from that of the limit; sigma is where a step is 1e-6.
        for k, part in enumerate(parts):
            mu, sigma = fit.predict(X, Z).mean[k], fit.predict(X, Z).sd[k]
            np.testing.assert_allclose((mu, sigma), part.params, rtol=1e-6)
            np.testing.assert_allclose(fit.stderr[k], part.stderr[0], rtol=1e-9)
        told = np.isfinite(fit.scale_coef)
        np.testing.assert_array_equal(np.isnan(fit.stderr[2:]), ~told)
        np.testing.assert_array_equal(
            np.isnan(fit.cov_params), ~np.logical_and.outer(*2 * [[True, True, *told]])
        )
    assert inside or ("sigma = 0" in fit.message and "known noise explains" in fit.message)


@pytest.mark.parametrize("cov_type", ["observed", "expected", "opg", "sandwich"])
@pytest.mark.parametrize("which", [(1,), (0, 3), (0, 1, 2, 3)])
def test_noise_explains_some_groups_of_a_regression(which, cov_type, rng):
    """The line is that of all groups, and it is told with what the limit says."""
    n, group = 80, np.arange(80) % 4
    D, X = np.eye(4)[group], line(n)
    noise, quiet = rng.uniform(0.5, 1.0, n), np.isin(group, which)
    y = X @ [1.0, -0.5] + np.where(quiet, 0.3 * noise, 2.0) * rng.normal(size=n)
    fit = fastnat.fit_linear(y, X, D, noise_std=noise, cov_type=cov_type)
    assert fit.status is Status.BOUNDARY
    assert fit.success
    np.testing.assert_array_equal(np.isneginf(fit.scale_coef), np.isin(range(4), which))
    scale = np.maximum(fit.scale_coef, -300.0)
    P, told = nl.problem(y, X, D, noise_std=noise), np.append([True, True], scale > -300.0)
    np.testing.assert_allclose(fit.loglik, nl.loglik(P, fit.coef, scale), atol=1e-9)
    want = covariance_in_limit(fit, P, scale, cov_type)
    found = fit.cov_params[np.ix_(told, told)]
    # 1e-12 of a row's information is left of the limit, times what the inverse makes of it; what is
    # 0 by symmetry is so but for rounding of the reference, which has quadrature.
    np.testing.assert_allclose(found, want, rtol=1e-7, atol=1e-15)
    sd = np.where(quiet, 0.0, np.exp(D @ scale))
    np.testing.assert_allclose(fit.predict(X, D).sd, sd, rtol=1e-12)
    # The same in other columns, of which a difference that is infinite tells no number.
    Z = np.column_stack([np.ones(n), D[:, 1:]])
    other = fastnat.fit_linear(y, X, Z, noise_std=noise, cov_type=cov_type)
    assert abs(other.loglik - fit.loglik) < 1e-9
    np.testing.assert_allclose(other.cov_params[:2, :2], want[:2, :2], rtol=1e-7)
    if 0 in which:
        sd[~quiet] = np.nan
    np.testing.assert_allclose(other.predict(X, Z).sd, sd, rtol=1e-6)


def test_noise_explains_all_of_a_trend(rng):
    """Weighted least squares: whether sigma grows or falls with t is not told, but it is 0."""
    X, noise = line(50), np.linspace(1.0, 2.0, 50)
    y = X @ [1.0, 2.0] + 0.2 * noise * rng.normal(size=50)
    q, r = np.linalg.qr(X / noise[:, None])
    fit = fastnat.fit_linear(y, X, X, noise_std=noise)
    assert fit.status is Status.BOUNDARY
    np.testing.assert_allclose(fit.coef, np.linalg.solve(r, q.T @ (y / noise)), rtol=1e-10)
    want = np.sqrt(np.sum(np.linalg.inv(r) ** 2, axis=1))
    np.testing.assert_allclose(fit.stderr[:2], want, rtol=1e-10)
    np.testing.assert_array_equal(fit.scale_coef, [-np.inf, np.nan])


def test_noise_explains_what_a_single_covariate_tells(rng):
    """Where t is 0 sigma is 1, elsewhere 0: with weights, and with columns that are alike."""
    t, noise, w = (
        np.repeat([0.0, 0.5, 1.0, 2.0], 15),
        rng.uniform(0.8, 1.2, 60),
        1.0 + np.arange(60) % 3,
    )
    X = np.column_stack([np.ones(60), t])
    y = X @ [1.0, 2.0] + 0.1 * rng.normal(size=60) + (t == 0.0) * rng.normal(size=60)
    sd = np.hypot(noise, t == 0.0) / np.sqrt(w)
    q, r = np.linalg.qr(X / sd[:, None])
    want = np.linalg.solve(r, q.T @ (y / sd)), np.sqrt(np.sum(np.linalg.inv(r) ** 2, axis=1))
    fit = fastnat.fit_linear(y, X, t[:, None], noise_std=noise, weights=w)
    assert (fit.status, fit.scale_coef) == (Status.BOUNDARY, -np.inf)
    np.testing.assert_allclose(fit.coef, want[0], rtol=1e-9)
    np.testing.assert_allclose(fit.stderr, [*want[1], np.nan], rtol=1e-9)
    np.testing.assert_array_equal(fit.predict(X, t[:, None]).sd, 1.0 * (t == 0.0))
    # A group beside one that is nearly it: only what tells them apart is explained.
    odd = (np.arange(60) == 20) * 1.0
    near = np.column_stack([1.0 * (t == 0.0), 1.0 * (t > 0.0), (t > 0.0) + 1e-7 * odd])
    other = fastnat.fit_linear(y, X, near, noise_std=noise, weights=w)
    assert other.status is Status.BOUNDARY
    assert other.loglik >= fit.loglik - 1e-9


def test_others_do_not_stand_still_while_a_scale_goes_to_zero():
    """Steps that were shortened as a whole ended far from the supremum, out of steps."""
    y = [
        -0.4,
        -1.8,
        -1.6,
        -1.1,
        -0.9,
        -0.4,
        -1.6,
        -0.2,
        -1.2,
        0.3,
        -0.3,
        2.0,
        -1.3,
        0.8,
        -0.9,
        -0.9,
    ]
    group = np.array([1, 1, 1, 1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0])
    noise = [0.8, 0.9, 0.8, 0.7, 0.9, 0.8, 0.5, 0.4, 0.7, 0.2, 0.6, 0.2, 0.9, 0.8, 0.3, 0.2]
    cases = [(y, group, noise, {"left": -0.5})]
    y = [3.1, 2.1, 1.7, 2.0, 2.0, 2.2, 0.8, 1.8, -0.1, 2.6, 0.8, 2.8]
    noise = [0.9, 0.1, 0.4, 0.1, 0.5, 0.2, 0.8, 0.6, 0.9, 0.8, 0.9, 0.8]
    cases.append((y, np.arange(12) % 2, noise, {}))
    for y, group, noise, options in cases:
        y, noise = np.array(y), np.array(noise)
        X = np.column_stack([np.ones(len(y)), group])
        parts = [
            fastnat.fit_normal(y[group == k], noise_std=noise[group == k], **options)
            for k in (0, 1)
        ]
        assert Status.BOUNDARY in [part.status for part in parts]
        for start in (None, [-0.2, -0.8, 0.2, -10.0]):
            fit = fastnat.fit_linear(y, X, X, noise_std=noise, start=start, **options)
            assert fit.status is Status.BOUNDARY
            assert abs(fit.loglik - sum(part.loglik for part in parts)) < 1e-9


# ---- what it must not depend on --------------------------------------------------------------


def one_quiet_group(rng, n=80):
    """(y, X, a column for each of four groups, noise), which explains the second group."""
    group, noise = np.arange(n) % 4, rng.uniform(0.5, 1.0, n)
    y = line(n) @ [1.0, -0.5] + np.where(group == 1, 0.3 * noise, 2.0) * rng.normal(size=n)
    return y, line(n), np.eye(4)[group], noise


def assert_same_limit(fit, want, unit=1.0, lost=0.0):
    """Of values in another unit, ``lost`` from the log-likelihood for it."""
    assert fit.status is want.status is Status.BOUNDARY
    np.testing.assert_allclose(fit.loglik + lost, want.loglik, rtol=1e-9)
    np.testing.assert_allclose(fit.coef / unit, want.coef, rtol=1e-7)
    np.testing.assert_allclose(fit.stderr[:2] / unit, want.stderr[:2], rtol=1e-9)


@pytest.mark.parametrize("size", [1e-100, 1e-8, 1e-3, 1e3, 1e8, 1e100])
def test_units_of_covariates_and_values(size, rng):
    """Columns of large numbers were opened again and again, and the fit never ended."""
    y, X, D, noise = one_quiet_group(rng)
    want = fastnat.fit_linear(y, X, D, noise_std=noise)
    for k in range(4):
        scaled = D * np.where(np.arange(4) == k, size, 1.0)
        fit = fastnat.fit_linear(y, X, scaled, noise_std=noise)
        assert_same_limit(fit, want)
        np.testing.assert_allclose(fit.scale_coef[k] * size, want.scale_coef[k], rtol=1e-7)
    fit = fastnat.fit_linear(size * y, X, D, noise_std=size * noise)
    assert_same_limit(fit, want, size, 80 * np.log(size))


@pytest.mark.parametrize("weight", [1e-6, 3.0, 1e6])
def test_weights_of_a_limit(weight, rng):
    y, X, D, noise = one_quiet_group(rng)
    want = fastnat.fit_linear(y, X, D, noise_std=noise)
    fit = fastnat.fit_linear(y, X, D, noise_std=noise, weights=np.full(80, weight))
    assert fit.status is Status.BOUNDARY
    np.testing.assert_allclose(fit.loglik, weight * want.loglik, rtol=1e-9)
    np.testing.assert_allclose(fit.stderr * np.sqrt(weight), want.stderr, rtol=1e-9)


HARD_BASES = (
    np.array([[0.0129, -1.543], [-1.543, 0.267]]),
    np.array([[-0.00088, -1.98], [-1.003, 1.52]]),
)
"""Ways that a change of the loud group hides, and coordinates that are nearly a way."""


def test_columns_that_span_the_same(rng):
    """Whatever a group's coefficient is called, whether it is 0 is not changed by it."""
    Y, D = [], np.eye(2)[np.arange(40) % 2]
    for _ in range(60):
        noise = rng.uniform(0.5, 1.0, 40)
        y = np.where(D[:, 1] == 1.0, rng.choice([0.3, 0.6]) * noise, 2.0) * rng.normal(size=40)
        Y.append((y, noise, rng.normal(size=(2, 2))))
    Y += [(y, noise, M) for (y, noise, _), M in zip(Y, HARD_BASES, strict=False)]
    for y, noise, M in Y:
        want = fastnat.fit_linear(y, np.ones((40, 1)), D, noise_std=noise)
        fit = fastnat.fit_linear(y, np.ones((40, 1)), D @ M, noise_std=noise)
        assert fit.status is want.status
        np.testing.assert_allclose(fit.loglik, want.loglik, atol=1e-7)
        np.testing.assert_allclose(fit.stderr[0], want.stderr[0], rtol=1e-8)


@pytest.mark.parametrize("far", [-10.0, -20.0, -40.0, -80.0, -300.0])
def test_a_start_that_is_too_far_down(far, rng):
    """There nothing moves; on the way back the likelihood is higher, for some groups or all."""
    y, X, D, noise = one_quiet_group(rng)
    for group, starts in (
        (y, ([far] * 4, [far, far, 0.0, 0.0])),
        (y + 2.0 * D[:, 1], ([far] * 4,)),
    ):
        want = fastnat.fit_linear(group, X, D, noise_std=noise)
        assert want.success
        for g in starts:
            fit = fastnat.fit_linear(group, X, D, noise_std=noise, start=[1.0, -0.5, *g])
            assert fit.status is want.status
            np.testing.assert_allclose(fit.loglik, want.loglik, atol=1e-8)


@pytest.mark.parametrize("size", [0.0, 1e-12, 1e-6, 1.0, 1e3])
def test_values_on_a_line_with_noise(size, rng):
    """Their spread is rounding, from which a scale would never move."""
    _, X, D, noise = one_quiet_group(rng)
    y = size * (X @ [1.0, -0.5])
    want = fastnat.fit_linear(y, X, noise_std=noise)
    assert want.status is Status.BOUNDARY
    for Z in (D, X):
        fit = fastnat.fit_linear(y, X, Z, noise_std=noise)
        assert fit.status is Status.BOUNDARY
        np.testing.assert_allclose(fit.loglik, want.loglik, rtol=1e-12)
        np.testing.assert_allclose(fit.stderr[:2], want.stderr[:2], rtol=1e-10)


def test_every_limit_is_one():
    """No group's scale is 0 where its likelihood would rise with it, whatever weights and noise.

    A search that came to rest too far down took that for the limit.
    """
    zeros = 0
    for seed in (547, *range(40)):
        rng = np.random.default_rng(seed)
        q, n = int(rng.integers(2, 5)), 36
        group = rng.permutation(np.arange(n) % q)
        D, X, w = np.eye(q)[group], line(n), 10.0 ** rng.uniform(-3.0, 3.0, n)
        noise = 10.0 ** rng.uniform(-2.0, 0.5, n)
        y = X @ [1.0, 0.5] + np.hypot(0.5 * noise, 0.3 * (group == 0)) * rng.normal(size=n)
        fit = fastnat.fit_linear(y, X, D, noise_std=noise, weights=w)
        assert fit.success
        variance = np.hypot(np.exp(D @ np.maximum(fit.scale_coef, -300.0)), noise) ** 2
        square = (y - X @ fit.coef) ** 2
        slopes = D.T @ (0.5 * w * (square / variance**2 - 1.0 / variance))
        size = np.sqrt(D.T @ (w**2 / variance**2))
        zero = np.isneginf(fit.scale_coef)
        zeros += zero.sum()
        assert np.all(slopes[zero] < 1e-9 * size[zero])
        assert np.all(np.abs(slopes[~zero]) < 1e-4 * size[~zero])
    assert zeros > 40


def test_a_scale_that_is_little_beside_the_noise(rng):
    """From shares of 1e-5 to 1e-2 of the variance: a maximum, or the limit if that is as high."""
    noise, X, found = np.ones(400), np.ones((400, 1)), set()
    D, z = np.eye(2)[np.arange(400) % 2], np.repeat(rng.normal(size=200), 2)
    for share in np.geomspace(1e-5, 1e-2, 31):
        y = z.copy()
        for k in (0, 1):  # variance of each group exactly so, or 4
            own = D[:, k] == 1.0
            y[own] -= y[own].mean()
            y[own] *= np.sqrt((1.0 / (1.0 - share), 4.0)[k] / np.mean(y[own] ** 2))
        fit = fastnat.fit_linear(y, X, D, noise_std=noise)
        want = (
            -200.0 * (np.log(2.0 * np.pi) + 1.0) - 50.0 * (np.log(4.0) - np.log(1.0 - share)) * 2.0
        )
        assert fit.success
        assert abs(fit.loglik - want) < 1.5e-8 * 400  # a row, what is taken for the same
        found.add(fit.status)
        if share > 3e-4:
            assert fit.status is Status.OK
            # Its standard error is 170 where the share is least: the search ends far within it.
            np.testing.assert_allclose(
                fit.scale_coef[0], 0.5 * np.log(share / (1.0 - share)), rtol=1e-6
            )
    assert found == {Status.OK, Status.BOUNDARY}


def test_no_coordinate_is_open_where_the_mean_is_not_known():
    memory = linear_memory.new_memory(2, 1)
    memory[linear_memory.CELLS][linear_memory.WITH_NOISE] = 1.0
    memory[linear_memory.SQUARES_Z][:] = 4.0
    memory[linear_memory.INFORMATION][:] = np.diag([1.0, 0.0, 0.0])
    assert linear_limit.judge(memory) == codes.NOT_IDENTIFIED
    assert not linear_limit.has_open(memory)
    memory[linear_memory.INFORMATION][1, 1] = 1.0
    assert linear_limit.judge(memory) == codes.OK
    assert linear_limit.has_open(memory)


def test_a_scale_that_goes_to_infinity_is_no_limit_where_it_is_zero(rng):
    """Half-lines that exclude each other become coins, in a group of their own."""
    group, noise, y = np.arange(40) % 2, np.full(40, 0.3), rng.normal(size=40)
    sign = np.where(np.arange(40) % 4 == 1, 1.0, -1.0)
    low = np.where(group == 0, y, np.where(sign > 0.0, 5.0, -np.inf))
    high = np.where(group == 0, y, np.where(sign > 0.0, np.inf, -5.0))
    fit = fastnat.fit_linear(low, np.ones((40, 1)), np.eye(2)[group], upper=high, noise_std=noise)
    assert fit.status is Status.NOT_IDENTIFIED
    rest = fastnat.fit_normal(y[group == 0], noise_std=0.3)
    assert abs(fit.loglik - rest.loglik - 20.0 * np.log(0.5)) < 1e-8
