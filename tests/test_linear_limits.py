"""`fit_linear` where a likelihood has no maximum, or where rounding makes one hard to find."""

import mpmath
import naive_linear as nl
import numpy as np
import pytest
from conftest import scaled
from scipy import optimize, stats

import fastnat
from fastnat import Status, _scale_limits
from fastnat._existence import Problem
from fastnat.kernels import linear_memory

INF = np.inf
mp = mpmath.mp.clone()
mp.dps = 40


def line(n):
    return np.stack([np.ones(n), np.linspace(-1.0, 1.0, n)], axis=1)


# ---- truncated values, sigma infinite --------------------------------------------------------


def exponential_limit(t, x, z):
    """(value, slope by 1 / sigma**2 there) of exponential rates -x'eta exp(-2 z'c), by SciPy."""

    def rates(theta):
        return -(x @ theta[: x.shape[1]]) * np.exp(-2.0 * (z @ theta[x.shape[1] :]))

    def minus(theta):
        rate = rates(theta)
        return -np.sum(np.log(rate) - rate * t) if np.all(rate > 0.0) else INF

    start = np.zeros(x.shape[1] + z.shape[1])
    start[0] = -1.0 / t.mean()
    options = {"xatol": 1e-10, "fatol": 1e-13, "maxiter": 20_000, "maxfev": 20_000}
    for _ in range(3):
        start = optimize.minimize(minus, start, method="Nelder-Mead", options=options).x
    h = np.exp(-2.0 * (z @ start[x.shape[1] :]))
    return -minus(start), -0.5 * np.sum(h * (t**2 - 2.0 / rates(start) ** 2))


N_TAILS = scaled(40, 20)


def heavy_tailed(seed, n=N_TAILS):
    """Distances from a bound whose spread is more than that of an exponential distribution."""
    rng = np.random.default_rng(seed)
    x = line(n)
    return x, rng.gamma(0.5, 2.0, n) * np.exp(0.3 * x[:, 1]) + 1e-3


@pytest.mark.parametrize("slope", [1e-3, 400.0])
def test_steps_beyond_all_numbers_are_no_warning(slope):
    """exp(800) overflows: such a point has no value, and a step to it is halved."""
    n = 5
    z = (np.arange(n) - 2.0)[:, None] / np.sqrt(10.0)
    ends = np.zeros(n), np.full(n, INF)
    rows = _scale_limits._Cut(np.ones(n), *ends, np.ones(n), np.ones((n, 1)) / np.sqrt(n), z)
    value, grad, *_ = _scale_limits._values(rows, np.array([-1.0, slope * np.sqrt(10.0), 1e-3]))
    assert np.isfinite(value) == (slope < 1.0)
    assert np.all(np.isfinite(grad)) == (slope < 1.0)


def test_derivatives_where_tau_is_small(rng):
    """The climb's coordinates against differences of SciPy's truncated normal density."""
    n = 6
    x = np.linalg.qr(line(n))[0]
    z = (np.arange(n) - 2.5)[:, None] / np.sqrt(17.5)
    lower, upper = np.zeros(n), np.array([INF, 3.0, INF, 4.0, INF, 5.0])
    t, w = rng.uniform(0.2, 2.5, n), rng.uniform(0.5, 2.0, n)
    theta = np.array([-1.5, 0.3, 0.2, 0.4])

    def loglik(theta):
        mu = x @ theta[:2] / theta[3]
        sigma = np.exp(z @ theta[2:3]) / np.sqrt(theta[3])
        ends = (lower - mu) / sigma, (upper - mu) / sigma
        return float(w @ stats.truncnorm.logpdf(t, *ends, loc=mu, scale=sigma))

    value, grad, _, information = _scale_limits._values(
        _scale_limits._Cut(t, lower, upper, w, x, z), theta
    )
    step = 1e-3 * np.eye(4)  # of tau = 0.4: errors of (1e-3 / 0.4)**2, less in other directions
    slopes = [(loglik(theta + e) - loglik(theta - e)) / 2e-3 for e in step]
    bends = [
        [
            loglik(theta + a + b) - loglik(theta + a - b) - loglik(theta - a + b)
            + loglik(theta - a - b)
            for a in step
        ]
        for b in step
    ]  # fmt: skip
    assert value == pytest.approx(loglik(theta), rel=1e-12)
    assert grad == pytest.approx(slopes, rel=1e-5)
    assert information == pytest.approx(-np.array(bends) / 4e-6, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("p", scaled([1, 2], [1]))
@pytest.mark.parametrize("seed", range(1, scaled(5, 2)))
def test_scales_that_are_all_infinite(p, seed):
    """The supremum is that of exponential distributions, unless more is gained on the way to it."""
    z, t = heavy_tailed(seed)
    x = z[:, :p]
    bound = x @ [3.0, 1.0][:p]  # a plane, so mu - bound is x'eta / tau as well
    fit = fastnat.fit_linear(bound + t, x, z, truncation=(bound, INF))
    value, by_tau = exponential_limit(t, x, z[:, 1:])
    P = nl.problem(bound + t, x, z, truncation=(bound, INF))
    if by_tau > 0.0:
        assert fit.status is Status.OK
        assert nl.is_maximum(P, *fit)
        return
    assert fit.status is Status.SIGMA_INFINITE
    assert fit.loglik == pytest.approx(value, abs=1e-7)
    assert np.all(np.isnan(fit.params))
    assert nl.loglik(P, *nl.start(P)) < value


def test_a_maximum_at_a_large_sigma():
    """Nearly exponential values: far along the valley there is a maximum all the same."""
    n = scaled(200, 50)
    z = line(n)
    t = stats.weibull_min(1.04).ppf((np.random.default_rng(5).permutation(n) + 0.5) / n)
    fit = fastnat.fit_linear(t, z[:, :1], z, truncation=(0.0, INF))
    P = nl.problem(t, z[:, :1], z, truncation=(0.0, INF))
    assert fit.status is Status.OK
    assert np.min(z @ fit.scale_coef) > 1.0  # sigma is much larger than what is seen
    assert nl.is_maximum(P, *fit)


# ---- unbounded likelihoods -------------------------------------------------------------------


def test_whether_some_scales_can_go_to_zero(rng):
    """A linear program, of the rows that have the least scales where the climb has stopped."""
    n = 12
    x, y = line(n), rng.normal(size=n)
    end = np.array([0.0, 0.0, 0.0, 3.0])

    def verdict(z, left=-INF):
        columns = [np.empty(0)] * 9
        columns[0], columns[2] = y, np.full(n, left)
        params = np.concatenate(
            [end[:2], np.linalg.lstsq(z, np.where(alone, -9.0, 0.0), rcond=None)[0]]
        )
        problem = Problem(tuple(columns), x, z, linear_memory.SCALED)
        return _scale_limits.judge(problem, params, 1e-12, 100)

    alone = np.arange(n) == 4
    z = np.stack([np.ones(n), np.where(alone, 0.0, 1.0)], axis=1)  # no column is a dummy
    found = verdict(z)
    assert found.status == Status.UNBOUNDED
    assert found.loglik == INF
    P = nl.problem(y, x, z)
    values = [nl.loglik(P, [y[4], 0.0], [-t, t]) for t in (0.0, 10.0, 100.0, 300.0)]
    assert np.all(np.diff(values) > 0.0)
    assert verdict(z, left=y[4]) is None  # censored, it has a probability and no density
    alone = np.arange(n) < 3  # more rows than a line goes through
    assert verdict(np.stack([np.ones(n), np.where(alone, 0.0, 1.0)], axis=1)) is None
    alone = np.arange(n) == 0  # the row at the end of a slope: other scales must grow
    assert verdict(line(n)) is None


def test_intervals_have_no_density(rng):
    """Scales that go to zero where no row is exact, or all have noise: finite, whatever it is."""
    for _ in range(scaled(40, 10)):
        n = 12
        x, z = line(n), np.stack([np.ones(n), np.arange(n) < 4], axis=1)
        y = x @ [0.0, 1.0] + 0.2 * rng.normal(size=n)
        upper = np.where(z[:, 1] > 0.0, y + 3.0, y)
        lower = np.where(z[:, 1] > 0.0, y - 3.0, y)
        assert fastnat.fit_linear(lower, x, z, upper=upper).loglik < INF
        noise = np.where(rng.random(n) < 0.5, 1.0, 0.3)
        fit = fastnat.fit_linear(0.1 * y, x, z, noise_std=noise)
        assert fit.loglik < -np.log(noise).sum()  # all densities at their peaks


# ---- weights of sixteen decades --------------------------------------------------------------


def spread_weights(seed):
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(10, 25)), int(rng.integers(3, 7))
    x = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    y = x @ rng.normal(size=p) + rng.normal(size=n) * 10.0 ** rng.uniform(-2, 1)
    return y, x, 10.0 ** rng.uniform(-8, 8, n), np.quantile(y, rng.uniform(0.0, 0.6))


def decrement_mp(y, x, w, left, fit):
    """Newton's decrement per weight in (b / sigma, 1 / sigma), with 40 digits."""
    p = x.shape[1]
    h = mp.exp(-mp.mpf(float(fit.scale_coef[0])))
    a = [mp.mpf(float(v)) * h for v in fit.coef]
    score, info = mp.zeros(p + 1, 1), mp.zeros(p + 1)
    for value, row, weight in zip(y.tolist(), x.tolist(), w.tolist(), strict=True):
        end = mp.mpf(max(value, left))
        u = mp.matrix([-mp.mpf(v) for v in row] + [end])  # of end h - x'a
        t = mp.fdot(u, [*a, h])
        if value > left:
            slope, bend = -t, mp.mpf(1)
            score[p] += weight / h
            info[p, p] += weight / h**2
        else:
            slope = mp.npdf(t) / mp.ncdf(t)
            bend = slope * (slope + t)
        score += weight * slope * u
        info += weight * bend * (u * u.T)
    return float((score.T * mp.lu_solve(info, score))[0] / mp.fsum(w.tolist()))


# Two of those whose ascent needs another frame, and a few others.
@pytest.mark.parametrize("seed", scaled(range(60), [0, 1, 2, 47, 49]))
def test_weights_of_sixteen_decades(seed):
    """Rows that have no say in sums all the same decide where the maximum is."""
    y, x, w, left = spread_weights(seed)
    fit = fastnat.fit_linear(y, x, weights=w, left=left)
    if fit.status is Status.OK:
        assert decrement_mp(y, x, w, left, fit) < 1e-12
    else:
        assert fit.status in (Status.MU_INFINITE, Status.SIGMA_ZERO)
        ones = fastnat.fit_linear(y, x, left=left)  # existence is not a question of weights
        assert ones.status is fit.status


# ---- restricted likelihood and known noise ---------------------------------------------------


def restricted(y, x, noise):
    """A function of the variance, by contrasts, which have a normal distribution of their own."""
    u = np.linalg.svd(x)[0][:, x.shape[1] :]
    half = np.linalg.slogdet(x.T @ x)[1] / 2.0

    def loglik(variance):
        cov = u.T @ ((variance + noise**2)[:, None] * u)
        return stats.multivariate_normal.logpdf(u.T @ y, cov=cov) - half

    return loglik


@pytest.mark.parametrize("seed", range(scaled(40, 4)))
@pytest.mark.parametrize("free", [0, 1, 2])
def test_restricted_likelihood_of_few_rows(seed, free):
    """Rows without noise that fix coefficients only: a maximum, in whatever form they are given."""
    rng = np.random.default_rng(1000 * free + seed)
    p = max(free, int(rng.integers(1, 5)))
    n = p + int(rng.integers(1, 4))
    x = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    noise = rng.gamma(1.0, 1.0, n) + 0.05
    noise[:free] = 0.0
    y = x @ rng.normal(size=p) + noise * rng.normal(size=n) * 10.0 ** rng.uniform(-0.5, 1)
    loglik = restricted(y, x, noise)
    found = optimize.minimize_scalar(
        lambda u: -loglik(np.exp(u)), bounds=(-9.0, 12.0), method="bounded"
    )
    inner, at_zero = -found.fun, loglik(0.0)
    fit = fastnat.fit_linear(y, x, noise_std=noise, reml=True)
    assert fit.status in (Status.OK, Status.BOUNDARY)
    assert fit.loglik >= max(inner, at_zero) - 1e-7 * (1 + abs(at_zero))
    if fit.status is Status.BOUNDARY:
        # Seen from a variance that is 1e-6 of the noise's, for below it digits cancel.
        assert fit.loglik == pytest.approx(at_zero, rel=1e-6, abs=1e-6)
    else:
        assert fit.loglik == pytest.approx(loglik(fit.sigma**2), abs=1e-8)
    turn, order = np.triu(rng.normal(size=(p, p))) + 2.0 * np.eye(p), rng.permutation(n)
    for other in (
        fastnat.fit_linear(y, x @ turn, noise_std=noise, reml=True),
        fastnat.fit_linear(y[order], x[order], noise_std=noise[order], reml=True),
        fastnat.fit_linear(y + x @ turn[0], x, noise_std=noise, reml=True),
    ):
        assert other.status is fit.status


@pytest.mark.parametrize("free", [0, 1, 3])
def test_restricted_likelihood_of_no_contrasts(free, rng):
    """As many rows as coefficients: constant, 1 / |det X|."""
    for _ in range(scaled(40, 10)):
        x, noise = rng.normal(size=(3, 3)), rng.gamma(1.0, 1.0, 3)
        noise[:free] = 0.0
        fit = fastnat.fit_linear(rng.normal(size=3), x, noise_std=noise, reml=True)
        assert fit.status is Status.NOT_IDENTIFIED
        assert fit.loglik == pytest.approx(-np.linalg.slogdet(x)[1], abs=1e-9)


# ---- equivalent formulations -----------------------------------------------------------------


@pytest.mark.parametrize("number", [1.0, -2.0])
@pytest.mark.parametrize("kind", ["complete", "left", "noise", "some noise", "truncation"])
def test_a_column_of_one_number_is_a_constant_sigma(kind, number, rng):
    x = line(15)
    b = scaled(6, 3)
    y = x @ rng.normal(size=(2, b)) + rng.normal(size=(15, b)) * 10.0 ** rng.uniform(-2, 1, b)
    y = y.T.copy()
    noise = np.ones(15)
    if kind == "some noise":
        noise[: rng.integers(1, 4)] = 0.0
    options = {
        "complete": {},
        "left": {"left": 0.0},
        "noise": {"noise_std": noise},
        "some noise": {"noise_std": noise},
        "truncation": {"truncation": (y.min() - 0.1, INF)},
    }[kind]
    fit = fastnat.fit_linear(y, x, **options)
    other = fastnat.fit_linear(y, x, np.full((15, 1), number), **options)
    assert np.array_equal(other.status, fit.status)
    assert np.array_equal(other.coef, fit.coef, equal_nan=True)
    assert np.array_equal(other.loglik, fit.loglik, equal_nan=True)
    assert np.array_equal(other.scale_coef * number, fit.scale_coef, equal_nan=True)
    signs = np.array([1.0, 1.0, number])
    np.testing.assert_allclose(other.cov_params * signs * signs[:, None], fit.cov_params, 1e-14)


@pytest.mark.parametrize("kind", ["complete", "left", "noise"])
def test_a_constant_sigma_is_a_matter_of_each_problem(kind, rng):
    """Those beside it, whose Z is another number, no number or missing, change no bit of a fit."""
    x = line(15)
    z = np.ones((2, 3, 15, 1))
    z[0, 1], z[0, 2], z[1, 0] = -2.0, x[:, 1:], 0.0
    z[1, 1, 3], z[1, 2, 4] = np.nan, 1.25
    y = x @ [0.3, 0.7] + rng.normal(size=(2, 3, 15))
    options = {
        "complete": {"start": [0.3, 0.7, 0.1]},
        "left": {"left": 0.0},
        "noise": {"noise_std": 0.5},
    }[kind]
    whole = fastnat.fit_linear(y, x, z, **options)
    constant = fastnat.fit_linear(y, x, **{k: v for k, v in options.items() if k != "start"})
    for k in np.ndindex(2, 3):
        alone = fastnat.fit_linear(y[k], x, z[k], **options)
        for name in ("params", "stderr", "cov_params", "loglik", "status", "nit", "nobs"):
            got = np.asarray(getattr(whole, name))[k]
            assert np.array_equal(got, getattr(alone, name), equal_nan=True), (k, name)
    for k in ((0, 0), (0, 1)):
        np.testing.assert_allclose(whole.coef[k], constant.coef[k], 1e-9)
    assert whole.status[0, 0] == whole.status[0, 1] == constant.status[0, 0]


SMALL = {
    "complete": {},
    "left": {"left": -0.25},
    "both": {"left": -0.25, "right": 0.75},
    "truncation": {"truncation": (-9.0, 9.0)},
    "noise": {"noise_std": 0.125},
}


@pytest.mark.parametrize("kind", SMALL)
def test_subnormal_values(kind, rng):
    """Numbers that a power of two can make as small as doubles go, without losing a digit."""
    x, unit = line(40), 2.0**-1066
    y = np.round(64.0 * (x @ [0.3, 0.7] + rng.normal(size=40))) / 64.0
    fit = fastnat.fit_linear(y, x, **SMALL[kind])
    options = {
        name: tuple(unit * v for v in value) if isinstance(value, tuple) else unit * value
        for name, value in SMALL[kind].items()
    }
    small = fastnat.fit_linear(unit * y, x, **options)
    assert small.status is fit.status is Status.OK
    np.testing.assert_allclose(small.scale_coef, fit.scale_coef + np.log(2.0) * -1066, 1e-12)
    # Coefficients are subnormal too, of 8 digits at most.
    np.testing.assert_allclose(small.coef / unit, fit.coef, 0.0, 2.0**-8)


@pytest.mark.parametrize("kind", ["complete", "left", "heteroscedastic", "sandwich"])
def test_standard_errors_whose_squares_are_no_numbers(kind, rng):
    x = line(30)
    y = x @ [0.3, 0.7] + rng.normal(size=30)
    options = {
        "complete": {},
        "left": {"left": 0.0},
        "heteroscedastic": {"Z": x},
        "sandwich": {"cov_type": "sandwich"},
    }[kind]
    units = np.array([1e-200, 1e200])
    fit, other = (fastnat.fit_linear(y, columns, **options) for columns in (x, x * units))
    np.testing.assert_allclose(other.stderr[:2] * units, fit.stderr[:2], 1e-9)
    np.testing.assert_allclose(other.coef * units, fit.coef, 1e-9, 1e-12)


@pytest.mark.parametrize("far", [1e3, 1e8])
@pytest.mark.parametrize("kind", ["left", "truncation", "heteroscedastic", "heteroscedastic left"])
def test_starts_that_lead_nowhere(kind, far, rng):
    """The search has a start of its own for them."""
    n = scaled(30, 12)
    x = line(n)
    y = x @ [0.3, 0.7] + rng.normal(size=n)
    options = {"left": -0.1} if "left" in kind else {}
    if kind == "truncation":
        options["truncation"] = (y.min() - 0.5, INF)
    if "heteroscedastic" in kind:
        options["Z"] = x
    fit = fastnat.fit_linear(y, x, **options)
    P = nl.problem(y, x, **options)
    for _ in range(scaled(20, 1)):
        start = fit.params + rng.normal(size=fit.params.size) * np.repeat(
            [far, np.log(far) / 4.0], [2, fit.params.size - 2]
        )
        other = fastnat.fit_linear(y, x, start=start, **options)
        assert other.status is Status.OK
        assert nl.is_maximum(P, *other)


@pytest.mark.parametrize("log_sigma", [-800.0, -416.6, 416.6, 800.0])
@pytest.mark.parametrize("kind", ["left", "interval", "truncation", "heteroscedastic left"])
def test_starts_beyond_all_numbers(kind, log_sigma):
    """No number is 1 / sigma there, or its square: nothing is known of such a point."""
    y, x = np.array([1000.0, 0.0, 0.0, 0.0]), np.ones((4, 1))
    options = {
        "left": {"left": 0.0},
        "interval": {"upper": [1000.0, 0.0, 1.0, 1000.0]},
        "truncation": {"truncation": (-1.0, INF)},
        "heteroscedastic left": {"left": -0.5, "Z": line(4)},
    }[kind]
    start = [4623.0, log_sigma] + [0.0] * ("Z" in options)
    fit, own = (fastnat.fit_linear(y, x, **options, start=s) for s in (start, None))
    assert fit.status is own.status
    np.testing.assert_allclose(fit.params, own.params, rtol=1e-6)
    np.testing.assert_allclose(fit.loglik, own.loglik, rtol=1e-9)


@pytest.mark.parametrize("kind", ["left", "heteroscedastic", "heteroscedastic left"])
@pytest.mark.parametrize("seed", range(scaled(10, 2)))
def test_steps_from_a_bad_start_are_not_counted(kind, seed):
    """Out of steps far away, the search begins again from its own start, and has all of them."""
    rng = np.random.default_rng(seed)
    x = line(12)
    y = x @ [0.3, 0.7] + rng.normal(size=12)
    options = {"left": -0.1} if "left" in kind else {}
    if "heteroscedastic" in kind:
        options["Z"] = x
    start = np.append(1e6 * rng.normal(size=2), rng.normal(size=1 + ("Z" in options)))
    own = fastnat.fit_linear(y, x, **options)
    assert own.status is Status.OK
    fit = fastnat.fit_linear(y, x, start=start, max_iter=int(own.nit) + 1, **options)
    assert fit.status is Status.OK
    assert nl.is_maximum(nl.problem(y, x, **options), *fit)
    assert fit.nit <= own.nit + 1


def test_a_maximum_behind_the_exponential_limit():
    """Neither a bad start nor the search's own leads there; in other coordinates it is found."""
    y, w = np.array([2.0, 1.0, 0.0, 1.0, 0.0, 1000.0]), np.array([1.0, 2.0, 2.0, 0.0, 2.0, 2.0])
    x = np.ones((6, 1))
    z = np.column_stack([x, [2.706, -2.025, 4.705, 1.659, 0.2816, -1.217]])
    options = {"truncation": (-0.1, INF), "weights": w}
    fit = fastnat.fit_linear(y, x, z, start=[-629.7, 47.04, 504.3], **options)
    assert fit.status is Status.OK
    assert nl.is_maximum(nl.problem(y, x, z, **options), *fit)
    assert np.max(z @ fit.scale_coef) > 6.0  # sigma is much larger than what is seen
