"""`fit_linear` where its search takes a turn that data of every day do not ask for."""

import mpmath as mp
import naive_linear as nl
import numpy as np
import pytest
from scipy import stats

import fastnat
from fastnat import Status, _linear, _scale_limits
from fastnat._existence import Limit, Problem
from fastnat.kernels import linear_memory

INF = np.inf


def line(n):
    return np.stack([np.ones(n), np.linspace(-1.0, 1.0, n)], axis=1)


# ---- around the search -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["left", "scale"])
def test_coefficients_beyond_all_numbers(kind, rng):
    """Units of 1e200 and 1e-200 leave the scale as it is, and coefficients that are no numbers."""
    x = line(12)
    y = x @ [0.3, 0.7] + rng.normal(size=12)
    left, dense = (-0.1, np.sum(y > -0.1)) if kind == "left" else (-INF, 12)
    z = x if kind == "scale" else None
    fit = fastnat.fit_linear(y, x, z, left=left)
    far = fastnat.fit_linear(1e200 * y, 1e-200 * x, z, left=1e200 * left)
    assert fit.status is Status.OK
    assert far.status is Status.MAX_ITER
    assert far.coef[1] == np.copysign(INF, fit.coef[1])
    shift = 200.0 * np.log(10.0)
    np.testing.assert_allclose(far.scale_coef[0], fit.scale_coef[0] + shift, rtol=1e-12)
    np.testing.assert_allclose(far.loglik, fit.loglik - dense * shift, rtol=1e-12)
    assert np.all(np.isnan(far.stderr))


def test_a_long_problem_is_fitted_again(monkeypatch):
    """Intervals alone leave it open whether there is a maximum, until a program says so."""
    x, y = line(8), np.array([0.0, 3.0, 1.0, 3.5, 0.5, 4.0, 2.0, 5.0])
    fit = fastnat.fit_linear(y, x, upper=y + 1.0)
    monkeypatch.setattr(_linear, "LONG", 4)
    long = fastnat.fit_linear(y, x, upper=y + 1.0)
    assert fit.status is long.status is Status.OK
    assert nl.is_maximum(nl.problem(y, x, upper=y + 1.0), *long)
    np.testing.assert_allclose(long.params, fit.params, rtol=1e-12)


# ---- what a climb with covariates of the scale was heading for -------------------------------


def beyond(z, x, t, params, max_iter=100):
    """The verdict of `_scale_limits` on values t > 0, truncated at 0."""
    columns = [np.empty(0)] * 9
    columns[0], columns[4], columns[5] = t, np.zeros(t.size), np.full(t.size, INF)
    problem = Problem(tuple(columns), x, z, linear_memory.SCALED)
    return _scale_limits.judge(problem, np.asarray(params), 1e-12, max_iter)


def test_scales_that_can_be_infinite_and_those_that_cannot():
    """Heavier tails than exponential ones: if all scales can grow, they do."""
    z, t = line(5), np.array([0.01, 1.26, 0.02, 0.23, 0.34])
    found = beyond(z, z[:, :1], t, [-50.0, 4.0, 0.3])
    assert isinstance(found, Limit)
    assert found.status == Status.SIGMA_INFINITE
    # Where log sigma is a multiple of a covariate that is 0 somewhere, they cannot.
    assert beyond(z[:, 1:], z[:, :1], t, [-50.0, 4.0]) is None
    # And nothing is said of a limit that was not reached.
    assert beyond(z, z[:, :1], t, [-50.0, 4.0, 0.3], max_iter=1) is None


def test_rows_that_no_plane_goes_through(rng):
    """Two values at one place: the scale that they share cannot go to zero, as others can."""
    n = 12
    x, y = line(n), rng.normal(size=n)
    x[4] = x[7]
    for few in ([4, 7], [4, 6]):
        z = np.ones((n, 2))
        z[few, 1] = 0.0  # no column is a dummy
        columns = [np.empty(0)] * 9
        columns[0] = y
        problem = Problem(tuple(columns), x, z, linear_memory.SCALED)
        verdict = _scale_limits.judge(problem, np.array([0.0, 0.0, -9.0, 9.0]), 1e-12, 100)
        r = y[few] - x[few] @ np.linalg.lstsq(x[few], y[few], rcond=None)[0]
        bounded = np.max(np.abs(r)) > 1e-6  # by the residuals that are left
        assert bounded == (few == [4, 7])
        assert (verdict is None) == bounded
        assert bounded or verdict.status == Status.UNBOUNDED


def test_out_of_steps_with_a_verdict():
    """Long steps have found that there is no bound; that short ones come to no end is no doubt."""
    n = 12
    x, y = line(n), np.random.default_rng(5).normal(size=n)
    y[4] = 0.0
    z = np.stack([np.ones(n), np.where(np.arange(n) == 4, 0.0, 1.0)], axis=1)
    P = nl.problem(y, x, z)
    values = [nl.loglik(P, [y[4], 0.0], [-t, t]) for t in (0.0, 10.0, 100.0, 300.0)]
    assert np.all(np.diff(values) > 0.0)
    for max_iter in (29, 100):
        fit = fastnat.fit_linear(y, x, z, max_iter=max_iter)
        assert fit.status is Status.UNBOUNDED
        assert fit.loglik == INF
        assert np.all(np.isnan(fit.params))


def test_weights_and_limits_that_hide_nothing():
    """Known values are sums of squares, and no row is left for the rest of the likelihood."""
    x, y = line(9), np.array([0.5, -1.0, 1.2, 0.9, -1.5, 1.1, 2.0, 0.1, 2.2])
    weights = np.array([2.0, 1.0, 0.5, 1.0, 3.0, 1.0, 1.0, 2.0, 1.0])
    fit = fastnat.fit_linear(y, x, left=-99.0, weights=weights)
    closed = fastnat.fit_linear(y, x, weights=weights)
    np.testing.assert_allclose(fit.params, closed.params, rtol=1e-10)
    np.testing.assert_allclose(fit.loglik, closed.loglik, rtol=1e-13)
    np.testing.assert_allclose(fit.stderr, closed.stderr, rtol=1e-10)


# ---- the exponential face --------------------------------------------------------------------


def test_no_exponential_distribution_has_bounds_on_either_side():
    """Rows open to the left and others open to the right: sigma cannot be infinite."""
    x, t = np.ones((8, 1)), np.array([0.1, 0.5, 1.0, 3.0, 0.2, 0.4, 1.5, 2.5])
    low = np.where(np.arange(8) < 4, 0.0, -INF)
    high = np.where(np.arange(8) < 4, INF, 4.0)
    stopped = fastnat.fit_linear(t, x, truncation=(low, high), max_iter=1)
    assert stopped.status is Status.MAX_ITER
    fit = fastnat.fit_linear(t, x, truncation=(low, high))
    assert fit.status is Status.OK
    assert nl.is_maximum(nl.problem(t, x, truncation=(low, high)), *fit)


@pytest.mark.parametrize("max_iter", [1, 2])
def test_a_climb_that_is_stopped_claims_no_limit(max_iter):
    """Of values with a maximum, whatever the exponential distributions have."""
    x, t = line(9), np.array([0.5, 1.0, 1.2, 0.9, 1.5, 1.1, 2.0, 1.8, 2.2])
    stopped = fastnat.fit_linear(t, x, truncation=(0.0, INF), max_iter=max_iter)
    assert stopped.status is Status.MAX_ITER
    fit = fastnat.fit_linear(t, x, truncation=(0.0, INF))
    assert fit.status is Status.OK
    assert nl.is_maximum(nl.problem(t, x, truncation=(0.0, INF)), *fit)
    assert stopped.loglik <= fit.loglik + 1e-13  # two steps leave rounding only


@pytest.mark.parametrize("max_iter", [2, 10, 100])
def test_a_limit_that_a_stopped_climb_sees(max_iter):
    """Heavier tails than an exponential distribution's: that is the limit, wherever steps end."""
    t = np.array([0.01, 1.26, 0.02, 0.23, 0.34, 4.0])
    assert np.std(t) > np.mean(t)  # del Castillo's condition
    fit = fastnat.fit_linear(3.0 + t, np.ones((6, 1)), truncation=(3.0, INF), max_iter=max_iter)
    if max_iter == 2:  # too few steps for the best of these distributions
        assert fit.status is Status.MAX_ITER
        return
    assert fit.status is Status.SIGMA_INFINITE
    assert fit.loglik == pytest.approx(-6.0 * (np.log(np.mean(t)) + 1.0), rel=1e-10)
    assert np.isnan(fit.coef[0])


# ---- saddles ---------------------------------------------------------------------------------


def test_a_saddle_is_left():
    """Two groups with scales of their own and one mean: it is that of either, not between them."""
    y = np.array([-1.1, -0.9, 0.9, 1.1])
    x, z = np.ones((4, 1)), np.stack([np.ones(4), [-1.0, -1.0, 1.0, 1.0]], axis=1)
    fit = fastnat.fit_linear(y, x, z)
    P = nl.problem(y, x, z)
    assert fit.status is Status.OK
    assert nl.is_maximum(P, *fit)
    assert abs(fit.coef[0]) > 0.5
    between = [0.0], [0.5 * np.log(1.01), 0.0]
    assert np.max(np.abs(nl.score(P, *between))) < 1e-12
    assert np.linalg.eigvalsh(nl.observed(P, *between))[0] < 0.0
    assert fit.loglik > nl.loglik(P, *between)
    mirror = fastnat.fit_linear(-y, x, z * [1.0, -1.0])
    np.testing.assert_allclose(np.abs(mirror.params), np.abs(fit.params), rtol=1e-9)


# ---- restricted likelihood -------------------------------------------------------------------


@pytest.mark.parametrize("cov_type", ["opg", "sandwich"])
@pytest.mark.parametrize("clusters", [None, np.array([0, 0, 1, 1, 2, 2, 3, 3, 4])])
def test_scores_of_the_restricted_scale(cov_type, clusters):
    """Each row has its share of what the coefficients take up: p / n of a unit."""
    if clusters is not None and cov_type == "opg":
        cov_type = "sandwich"
    x = line(9)
    y = np.array([0.5, -1.0, 1.2, 0.9, -1.5, 1.1, 2.0, 0.1, 2.2])
    fit = fastnat.fit_linear(y, x, reml=True, cov_type=cov_type, clusters=clusters)
    r = (y - x @ fit.coef) / fit.sigma
    scores = np.column_stack([r[:, None] * x / fit.sigma, r**2 - 1.0 + 2.0 / 9.0])
    np.testing.assert_allclose(scores.sum(axis=0), 0.0, atol=1e-12)
    if clusters is not None:
        scores = np.array([scores[clusters == c].sum(axis=0) for c in range(5)])
    products = scores.T @ scores
    bread = np.linalg.inv(np.block([
        [x.T @ x / fit.sigma**2, np.zeros((2, 1))], [np.zeros((1, 2)), 2.0 * (9 - 2) * np.eye(1)]
    ]))  # fmt: skip
    want = np.linalg.inv(products) if cov_type == "opg" else bread @ products @ bread
    np.testing.assert_allclose(fit.cov_params, want, rtol=1e-10, atol=1e-13)


# ---- known noise -----------------------------------------------------------------------------


def assert_like_fit_normal(y, noise, **options):
    """The kernel for samples has another search."""
    fit = fastnat.fit_linear(y, np.ones((len(y), 1)), noise_std=noise, **options)
    other = fastnat.fit_normal(y, noise_std=noise, **options)
    assert fit.status is other.status
    np.testing.assert_allclose(fit.loglik, other.loglik, rtol=1e-10)
    np.testing.assert_allclose(fit.coef[0], other.mu, rtol=1e-9)
    return fit, other


def test_scatter_far_below_the_residuals():
    """Two precise values differ by 1e-7 where others differ by 1."""
    y = np.array([0.0, 1e-7, 1.0, -1.0, 0.5])
    noise = np.array([1e-9, 1e-9, 1.0, 1.0, 1.0])
    fit, other = assert_like_fit_normal(y, noise)
    assert fit.status is Status.OK
    assert fit.sigma < 1e-6
    np.testing.assert_allclose(fit.sigma, other.sigma, rtol=1e-7)
    assert nl.is_maximum(nl.problem(y, np.ones((5, 1)), noise_std=noise), *fit)


@pytest.mark.parametrize("p", [1, 2])
def test_restricted_likelihood_that_is_flat_where_the_search_begins(p):
    """Rows without noise fix coefficients, and the noise of the others dwarfs their residuals."""
    x, y = line(6)[:, :p], np.array([0.3, 1.0, -1.0, 0.5, 0.2, -0.4])
    noise = np.array([0.0, 1e5, 2e5, 1e5, 3e5, 0.0 if p == 2 else 1e5])
    fit = fastnat.fit_linear(y, x, noise_std=noise, reml=True)
    assert fit.status is Status.BOUNDARY
    contrasts = np.linalg.svd(x)[0][:, p:]
    cov = contrasts.T @ (noise[:, None] ** 2 * contrasts)
    z = contrasts.T @ y
    loglik = (
        -0.5
        * (z @ np.linalg.solve(cov, z) + np.linalg.slogdet(cov)[1] + (6 - p) * np.log(2.0 * np.pi))
        - 0.5 * np.linalg.slogdet(x.T @ x)[1]
    )
    np.testing.assert_allclose(fit.loglik, loglik, rtol=1e-7)
    np.testing.assert_allclose(x[noise == 0.0] @ fit.coef, y[noise == 0.0], atol=1e-6)


def test_intervals_so_wide_that_they_are_certain():
    """Any plane within them has probability 1, and no row has curvature."""
    x, low = line(6), np.array([-1e3, -1.1e3, -1.2e3, -1e3, -1.3e3, -1e3])
    fit = fastnat.fit_linear(low, x, upper=low + 2e3, noise_std=1.0)
    assert fit.status is Status.NOT_IDENTIFIED
    assert fit.loglik == 0.0
    P = nl.problem(low, x, upper=low + 2e3, noise_std=1.0)
    for b in ([-50.0, 0.0], [30.0, 20.0]):
        assert nl.loglik(P, np.array(b), [0.0]) == pytest.approx(0.0, abs=1e-12)


def exact_profile(y, X, noise, v, reml):
    """(log-likelihood, slope by v, best b, their standard errors) at a variance, with 60 digits."""
    with mp.workdps(60):
        x, total = mp.matrix(X.tolist()), [mp.mpf(e) ** 2 + v for e in noise.tolist()]
        weighted = mp.matrix([[x[i, j] / t for j in range(x.cols)] for i, t in enumerate(total)])
        cov = mp.inverse(weighted.T * x)
        b = cov * (weighted.T * mp.matrix(y.tolist()))
        r = mp.matrix(y.tolist()) - x * b
        loglik = sum(
            -(mp.log(2 * mp.pi * t) + e * e / t) / 2 for e, t in zip(r, total, strict=True)
        )
        slope = sum((e * e / t - 1) / t / 2 for e, t in zip(r, total, strict=True))
        if reml:
            loglik += (mp.log(mp.det(cov)) + x.cols * mp.log(2 * mp.pi)) / 2
            taken = cov * (weighted.T * weighted)
            slope += sum(taken[j, j] for j in range(x.cols)) / 2
        return loglik, slope, b, [mp.sqrt(cov[j, j]) for j in range(x.cols)]


def exact_maximum(y, X, noise, reml):
    """(log-likelihood, variance) of the highest maximum: a grid, and bisection of its slopes."""

    def at(u):
        return exact_profile(y, X, noise, mp.exp(u), reml)[1]

    top = np.log(16.0 * y @ y)
    grid = np.linspace(top, 2.0 * np.log(np.min(noise)) - 9.0, 30)
    slopes = [at(u) for u in grid]
    loglik, slope = exact_profile(y, X, noise, mp.mpf(0), reml)[:2]
    found = [(loglik, mp.mpf(0))] if slope <= 0 else []
    for k in range(grid.size - 1):
        if slopes[k] < 0 <= slopes[k + 1]:
            with mp.workdps(30):
                u = mp.findroot(at, (grid[k + 1], grid[k]), solver="anderson", verify=False)
            found.append((exact_profile(y, X, noise, mp.exp(u), reml)[0], mp.exp(u)))
    return max(found)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("decades", [5, 8, 10])
@pytest.mark.parametrize("few", [1, 2, 5])
def test_noise_of_many_sizes(few, decades, reml):
    """A few rows are far more precise than all others: their squares hide what those say of b."""
    for seed, scale in enumerate((1e-12, 0.3 * 10.0**-decades, 2.0)):
        rng = np.random.default_rng([few, decades, seed])
        X, noise = rng.normal(size=(16, 3)), 10.0 ** rng.uniform(-0.5, 0.5, 16)
        noise[rng.permutation(16)[:few]] *= 10.0**-decades
        y = X @ rng.normal(size=3) + np.hypot(noise, scale) * rng.normal(size=16)
        fit = fastnat.fit_linear(y, X, noise_std=noise, reml=reml)
        loglik, v = exact_maximum(y, X, noise, reml)
        assert fit.status is (Status.OK if v > 0 else Status.BOUNDARY)
        _, _, b, errors = exact_profile(y, X, noise, v, reml)
        errors = np.array(errors, dtype=float)
        # Residuals have the rounding of values, and noise may be as small; some of it adds up.
        rounding = 2.0**-49 * np.max(np.abs(y)) / np.min(np.hypot(noise, float(mp.sqrt(v))))
        wrong = [float(mp.mpf(have) - want) for have, want in zip(fit.coef, b, strict=True)]
        assert np.max(np.abs(wrong) / errors) < 1e-11 + rounding
        assert abs(float(mp.mpf(float(fit.loglik)) - loglik)) < 1e-11 + 16.0 * rounding
        np.testing.assert_allclose(fit.sigma, float(mp.sqrt(v)), rtol=1e-10 + 4.0 * rounding)
        if reml or v == 0:  # else they are those of the observed information, with sigma
            np.testing.assert_allclose(fit.stderr[:3], errors, rtol=1e-10 + 4.0 * rounding)


def test_more_rows_without_noise_than_a_plane_goes_through(rng):
    """Their residuals, a thousandth of the noise of the others, bound the likelihood."""
    for _ in range(40):
        X, noise = rng.normal(size=(20, 3)), np.where(np.arange(20) < 4, 0.0, 1.0)
        y = X @ [1.0, -0.5, 2.0] + np.where(noise == 0.0, 1e-3, 2.0) * rng.normal(size=20)
        fit = fastnat.fit_linear(y, X, noise_std=noise)
        assert fit.status is Status.OK
        _, slope, b, _ = exact_profile(y, X, noise, mp.mpf(float(fit.sigma)) ** 2, False)
        # The slope by log sigma, of which curvature is about 1.
        assert abs(2.0 * float(slope) * fit.sigma**2) < 1e-8
        np.testing.assert_allclose(fit.coef, [float(v) for v in b], rtol=1e-10)


@pytest.mark.parametrize("options", [{"left": -0.5}, {"right": 1.0}])
def test_noise_of_many_sizes_and_limits(options):
    """Likewise with limits, where the ascent in b takes more than a step."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        X, noise = rng.normal(size=(30, 3)), 10.0 ** rng.uniform(-0.5, 0.5, 30)
        noise[:2] *= 1e-8
        y = X @ rng.normal(size=3) + 1.5 * noise * rng.normal(size=30)
        fit = fastnat.fit_linear(y, X, noise_std=noise, **options)
        assert fit.status in (Status.OK, Status.BOUNDARY)


def exact_end(y, X, Z, noise, params):
    """(loglik, score, information) at b and g with 50 digits, as `mpmath` matrices."""
    p, k = X.shape[1], len(params)
    with mp.workdps(50):
        at = [mp.mpf(float(v)) for v in params]
        loglik, score, J = mp.mpf(0), mp.zeros(k, 1), mp.zeros(k)
        for value, x, z, e in zip(y, X.tolist(), Z.tolist(), noise, strict=True):
            own = mp.exp(2 * sum(a * c for a, c in zip(z, at[p:], strict=True)))
            total = own + mp.mpf(float(e)) ** 2
            r = mp.mpf(float(value)) - sum(a * c for a, c in zip(x, at[:p], strict=True))
            share, square = own / total, r * r / total
            loglik -= (mp.log(2 * mp.pi * total) + square) / 2
            by = [r / total] * p + [share * (square - 1)] * (k - p)
            mixed = 2 * share * r / total
            by_scale = 2 * share * (share * square - (1 - share) * (square - 1))
            row = [*x, *z]
            for i in range(k):
                score[i] += by[i] * row[i]
                for j in range(k):
                    kind = (i >= p) + (j >= p)
                    J[i, j] += (1 / total, mixed, by_scale)[kind] * row[i] * row[j]
        return loglik, score, J


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize(
    ("precise", "near"), [(1e-3, 1e-4), (1e-5, 1e-2), (1e-5, 0.0), (1e-7, 1e-2), (1e-9, 1e-2)]
)
def test_precise_rows_of_which_columns_are_nearly_dependent(precise, near, noisy):
    """With a scale for the few rows that count most, which hide what the others say of b."""
    n, few = 40, np.arange(40) < 8
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X = np.column_stack([line(n)[:, 0], rng.normal(size=(n, 2))])
        X[few, 2] = X[few, 1] + near * rng.normal(size=8)
        Z, sd = np.column_stack([np.ones(n), few]), np.where(few, precise, 1.0)
        noise, options = (sd, {"noise_std": sd}) if noisy else (0.0 * sd, {})
        y = X @ [1.0, 2.0, 3.0] + 3.0 * sd * rng.normal(size=n)
        fit = fastnat.fit_linear(y, X, Z, **options)
        assert fit.status is Status.OK
        loglik, score, J = exact_end(y, X, Z, noise, fit.params)
        cov = mp.inverse(J)
        errors = np.array([float(mp.sqrt(cov[j, j])) for j in range(5)])
        # Values, and what is fitted to them, have this rounding, in standard deviations.
        rounding = 2.0**-50 * np.max(np.abs(y)) / precise
        far = [float(step) for step in cov * score] / errors
        assert np.max(np.abs(far)) < 1e-10 + rounding
        assert abs(float(mp.mpf(float(fit.loglik)) - loglik)) < 1e-10 + 4.0 * rounding
        np.testing.assert_allclose(fit.stderr, errors, rtol=1e-9 + rounding)


def test_noise_and_limits_out_of_steps():
    x, y = line(8), np.array([0.1, -0.4, 0.8, 0.3, 1.5, 0.9, 2.2, 1.4])
    options = {"noise_std": 0.3, "left": 0.5}
    fit = fastnat.fit_linear(y, x, **options)
    assert fit.success
    stopped = fastnat.fit_linear(y, x, **options, max_iter=1)
    assert stopped.status is Status.MAX_ITER
    assert np.all(np.isnan(stopped.stderr))


def test_light_weights_hide_how_large_the_scatter_is():
    """The search begins above the sum of squares, which is small if weights are."""
    x, y = line(7), np.array([0.1, -2.4, 1.8, 0.3, -1.5, 2.9, 1.2])
    noise = np.array([0.1, 0.2, 0.1, 0.3, 0.1, 0.2, 0.1])
    fit = fastnat.fit_linear(y, x, noise_std=noise)
    light = fastnat.fit_linear(y, x, noise_std=noise, weights=1e-3)
    assert fit.status is light.status is Status.OK
    np.testing.assert_allclose(light.params, fit.params, rtol=1e-9)
    np.testing.assert_allclose(light.stderr, fit.stderr * np.sqrt(1e3), rtol=1e-7)
    np.testing.assert_allclose(light.loglik, 1e-3 * fit.loglik, rtol=1e-12)


def test_scores_that_say_nothing_of_a_coefficient():
    """That of a row by itself, which is met exactly: the product of the scores is singular."""
    x = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    y = np.array([3.0, 1.0, 2.0, 5.0, 4.0])
    fit = fastnat.fit_linear(y, x, cov_type="opg")
    assert fit.status is Status.OK
    np.testing.assert_array_equal(fit.coef, [3.0, 3.0])
    assert np.all(np.isnan(fit.stderr))
    assert np.all(np.isnan(fit.cov_params))


# ---- columns each of which is near the one before ---------------------------------------------


def chain(rng, shape, k, s=0.02):
    """Columns with pivots of 4e-4, that together are nearly dependent: condition 1e7 with five."""
    own = rng.normal(size=(*shape, k))
    own[..., 0] = 1.0
    before = np.concatenate([own[..., :1], own[..., :1], own[..., 1:-1]], axis=-1)
    return np.concatenate([own[..., :1], before[..., 1:] + s * own[..., 1:]], axis=-1)


@pytest.mark.parametrize("kind", ["own", "shared", "weights", "far limit", "limit", "scale", "Z"])
def test_a_chain_of_columns(kind, rng, monkeypatch):
    """Scores in orthonormal columns, which have no condition, are 0 beside their deviations."""
    monkeypatch.setattr(_linear, "LONG", 100)
    batch, n = ((3,), 60) if kind in ("own", "shared", "weights") else ((), 300)
    X = chain(rng, (n,) if kind == "shared" else (*batch, n), 5)
    Z = np.column_stack([np.ones(n), rng.normal(size=n)]) if kind == "scale" else None
    Z = 0.3 * chain(rng, (n,), 4, 0.03) if kind == "Z" else Z
    y = X @ np.array([1.0, -2.0, 0.5, 1.0, 2.0]) + rng.normal(size=(*batch, n))
    options = {"Z": Z, "weights": rng.uniform(0.5, 2.0, y.shape) if kind == "weights" else None}
    if "limit" in kind:
        options["left"] = -1e3 if kind == "far limit" else 0.5
    fit = fastnat.fit_linear(y, X, **options)
    assert np.all(fit.success)
    w = 1.0 if options["weights"] is None else options["weights"]
    log_sigma = np.log(fit.sigma)[..., None] if Z is None else fit.scale_coef @ Z.T
    mean = (X @ fit.coef[..., None])[..., 0]
    r = (np.maximum(y, options.get("left", -np.inf)) - mean) * np.exp(-log_sigma)
    at = r.copy() if kind == "limit" else None
    by_mean, by_scale = w * r, w * (r * r - 1.0)
    if kind == "limit":
        cut = y <= 0.5
        h = np.exp(stats.norm.logpdf(at) - stats.norm.logcdf(at))
        by_mean, by_scale = np.where(cut, -h, r), np.where(cut, -h * r, by_scale)
    for column, design in ((by_mean * np.exp(-log_sigma), X), (by_scale, Z)):
        if design is not None:
            scores = np.einsum("...ij,...i->...j", np.linalg.qr(design)[0], column)
            size = np.sqrt(np.mean(column * column))
            assert np.max(np.abs(scores)) < 1e-7 * size


# ---- known noise that says nothing ------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "left", "interval", "truncation", "Z", "long"])
def test_infinite_noise_hides_a_value(kind, rng, monkeypatch):
    """As in `fit_normal`: whatever the row is, it says nothing."""
    if kind == "long":
        monkeypatch.setattr(_linear, "LONG", 30)
    X, noise = line(40), rng.uniform(0.2, 0.5, 40)
    y, hidden = X @ [1.0, 2.0] + rng.normal(size=40), np.isin(np.arange(40), (0, 7, 39))
    options = {
        "left": {"left": 0.5},
        "interval": {"upper": y + 0.5},
        "truncation": {"truncation": (-9.0, 9.0)},
        "Z": {"Z": X},
    }.get(kind, {})
    fit = fastnat.fit_linear(y, X, noise_std=np.where(hidden, INF, noise), **options)
    rest = {
        k: np.delete(v, [0, 7, 39], 0) if np.ndim(v) > 0 and k != "truncation" else v
        for k, v in options.items()
    }
    want = fastnat.fit_linear(y[~hidden], X[~hidden], noise_std=noise[~hidden], **rest)
    assert fit.status is want.status is Status.OK
    assert fit.nobs == want.nobs == 37
    np.testing.assert_allclose(fit.params, want.params, rtol=1e-8)
    np.testing.assert_allclose(fit.stderr, want.stderr, rtol=1e-6)


def test_infinite_noise_excuses_nothing(rng):
    """A value that is missing or impossible stays so, and noise may not be negative or NaN."""
    X, y = line(20), rng.normal(size=20)
    for value, std, status in (
        (np.nan, INF, Status.NAN_INPUT),
        (INF, INF, Status.INVALID_INPUT),
        (0.0, -1.0, Status.INVALID_INPUT),
        (0.0, np.nan, Status.INVALID_INPUT),
    ):
        values, noise = y.copy(), np.ones(20)
        values[3], noise[3] = value, std
        assert fastnat.fit_linear(values, X, noise_std=noise).status is status
        assert fastnat.fit_normal(values, noise_std=noise).status is status


# ---- limits that a plane separates ------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["constant", "noise", "scale", "scale and noise", "dummy of scale"]
)
def test_the_supremum_of_separated_rows_is_that_of_the_others(kind, rng):
    """A group that is all below its limit is certain, wherever its mean goes."""
    n, group = 40, (np.arange(40) < 6) * 1.0
    X = np.column_stack([line(n), group])
    y = np.where(group == 1.0, -9.0, line(n) @ [1.0, 1.0] + rng.normal(size=n))
    rest, options = group == 0.0, {}
    if "noise" in kind:
        options["noise_std"] = rng.uniform(0.1, 1.0, n)
    if "scale" in kind:
        options["Z"] = np.column_stack([np.ones(n), group]) if "dummy" in kind else line(n)
    fit = fastnat.fit_linear(y, X, left=-0.5, **options)
    assert fit.status is Status.MU_INFINITE
    others = {name: value[rest] for name, value in options.items()}
    if "dummy" in kind:
        others["Z"] = others["Z"][:, :1]
    want = fastnat.fit_linear(y[rest], X[rest, :2], left=-0.5, **others)
    assert want.success
    assert abs(fit.loglik - want.loglik) < 1e-10
