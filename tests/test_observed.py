"""Censored, truncated and noisy observations: exact answers, published ones, other programs."""

import json
import math
import pickle
from pathlib import Path

import naive
import naive_linear as nl
import numba
import numpy as np
import pytest
import scipy.stats
from conftest import COMPILED, assert_same_bits, refused, scaled
from naive import mp
from scipy import optimize, special

import fastnat
from fastnat import Status
from fastnat.kernels import censored, compression, estimates, olsen_lanes
from fastnat.kernels.outcome import COV_OBSERVED

DATA = Path(__file__).parent / "data"
REFERENCE = json.loads((DATA / "observed.json").read_text())
PUBLISHED = json.loads((DATA / "published.json").read_text())
PROBLEMS = {p["id"]: p for p in REFERENCE["problems"]}
DEGENERATE = {p["id"]: p for p in REFERENCE["degenerate"]}
INF, NAN = np.inf, np.nan


def floats(values):
    return np.array([float(v) for v in values])


def fit_problem(p, **options):
    d = {name: floats(values) for name, values in p["data"].items()}
    options["weights"] = d.get("w")
    if p["model"] == "censored":
        return fastnat.fit_normal(d["lo"], d["hi"], **options)
    if p["model"] == "truncated":
        return fastnat.fit_normal(d["x"], truncation=(d["L"], d["U"]), **options)
    return fastnat.fit_normal(d["x"], noise_std=d["e"], **options)


@pytest.mark.parametrize("p", PROBLEMS.values(), ids=PROBLEMS)
def test_exact_problems(p):
    """Parameters and log-likelihood to 1e-10, standard errors to 1e-8."""
    fit = fit_problem(p)
    noisy = p["model"] == "noise"
    mu = mp.mpf(p["mle"]["mu"])
    sigma = mp.mpf(p["mle"]["tau" if noisy else "sigma"])
    assert fit.status == (Status.BOUNDARY if sigma == 0 else Status.OK)
    assert naive.error(fit.mu, mu) <= 1e-10
    assert naive.error(fit.loglik, mp.mpf(p["loglik"])) <= 1e-10
    if sigma == 0:
        assert fit.sigma == 0.0
        assert naive.error(fit.stderr[0], mp.mpf(p["se_expected"]["mu"])) <= 1e-8
        assert np.isnan(fit.stderr[1])
        return
    assert naive.error(fit.sigma, sigma) <= 1e-10
    for cov_type in ("observed", "expected"):
        se = p.get("se_" + cov_type)
        if se is None:
            continue
        own = fit_problem(p, cov_type=cov_type).stderr
        # By the chain rule from log sigma, or from sigma**2.
        other = mp.mpf(se["tau2"]) / (2 * sigma) if noisy else sigma * mp.mpf(se["log_sigma"])
        assert naive.error(own[0], mp.mpf(se["mu"])) <= 1e-8
        assert naive.error(own[1], other) <= 1e-8


@pytest.mark.parametrize("p", DEGENERATE.values(), ids=DEGENERATE)
def test_degenerate_problems(p):
    fit = fit_problem(p)
    assert fit.status.name.lower() == p["status"]
    assert not fit.success
    assert np.all(np.isnan(fit.stderr))
    limits = {
        Status.SIGMA_ZERO: (0.0, 0.0),  # its one exact value is 0
        Status.SIGMA_INFINITE: (np.nan, INF),
        Status.NOT_IDENTIFIED: (np.nan, np.nan),
    }
    assert np.array_equal(fit.params, limits[fit.status], equal_nan=True)
    if "limit" in p:
        # What rounding leaves of log 1 is not 0.
        assert math.isclose(fit.loglik, float(p["limit"]["loglik"]), rel_tol=1e-14, abs_tol=1e-14)


def printed(value, text):
    """Whether rounding to as many decimals as were printed gives what was printed."""
    return f"{value:.{len(text.partition('.')[2])}f}" == text


@pytest.mark.parametrize("name", ["viechtbauer_1", "viechtbauer_2"])
def test_viechtbauer_2005(name):
    """Journal of Educational and Behavioral Statistics 30, pages 271 and 272: three digits.

    Standard errors of R's metafor come from the expected information; ours are the observed one.
    """
    data = PUBLISHED[name]
    std = np.sqrt(data["v"])
    fit = fastnat.fit_normal(data["y"], noise_std=std)
    restricted = fastnat.fit_normal(data["y"], noise_std=std, reml=True)
    assert round(float(fit.sigma) ** 2, 3) == data["published"]["tau2_ml"]
    assert round(float(restricted.sigma) ** 2, 3) == data["published"]["tau2_reml"]
    for value, theirs in ((fit.mu, "mu"), (fit.sigma**2, "tau2"), (fit.loglik, "loglik")):
        assert math.isclose(value, data["ours"][theirs], rel_tol=1e-12)
    np.testing.assert_allclose(fit.stderr, data["ours"]["stderr"], rtol=1e-8)
    expected = fastnat.fit_normal(data["y"], noise_std=std, cov_type="expected")
    assert printed(fit.mu, data["metafor"]["mu"])
    assert printed(fit.loglik, data["metafor"]["loglik"])
    assert printed(expected.stderr[0], data["metafor"]["se_mu"])


def test_manganese():
    """Two detection limits; the interval is EnvStats' by profile likelihood."""
    data = PUBLISHED["manganese"]
    x = np.log(data["ppb"])
    fit = fastnat.fit_normal(np.where(data["limit"], -INF, x), x)
    published = data["published"]
    assert printed(fit.mu, published["mu"])
    assert printed(fit.sigma, published["sigma"])
    for end, theirs in zip(fit.conf_int(method="profile")[0], published["profile_mu"], strict=True):
        assert printed(end, theirs)


def test_one_limit_of_envstats():
    data = PUBLISHED["envstats_single"]
    x = np.concatenate([data["x"], np.full(data["n_below"], data["limit"])])
    fit = fastnat.fit_normal(x, left=data["limit"])
    assert printed(fit.mu, data["published"]["mu"])
    assert printed(fit.sigma, data["published"]["sigma"])


def interval_loglik(lower, upper, mu, sigma):
    """Log-likelihood by SciPy, the nearer tail taken."""
    a, b = (lower - mu) / sigma, (upper - mu) / sigma
    exact = lower == upper
    with np.errstate(all="ignore"):
        flip = a + b > 0
        low, high = np.where(flip, -b, a), np.where(flip, -a, b)
        high_log, low_log = special.log_ndtr(high), special.log_ndtr(low)
        inside = high_log + np.log1p(-np.exp(low_log - high_log))
        value = scipy.stats.norm.logpdf(np.where(exact, a, 0.0)) - np.log(sigma)
    return np.where(exact, value, inside).sum()


def best_by_scipy(loglik, mu, sigma):
    """The maximum of a function of (mu, sigma), by two methods of SciPy's."""
    objective = lambda theta: -loglik(theta[0], np.exp(theta[1]))  # noqa: E731
    start = np.array([mu, np.log(sigma)])
    for _ in range(3):
        start = optimize.minimize(
            objective, start, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-13}
        ).x
    return -objective(start), start[0], np.exp(start[1])


@pytest.mark.parametrize("name", ["tobin", "sas_qlim"])
def test_tobit_data_without_covariates(name):
    """Tobin (1958) and the example of SAS's QLIM and LIFEREG, to the root of the score."""
    y = PUBLISHED[name]["y"]

    def loglik(mu, sigma):
        total = mp.mpf(0)
        for z in ((mp.mpf(value) - mu) / sigma for value in y):
            inside = z == -mu / sigma
            total += mp.log(mp.ncdf(z)) if inside else mp.log(mp.npdf(z) / sigma)
        return total

    h = mp.mpf(10) ** -25

    def score(mu, sigma):
        return [
            (loglik(mu + h, sigma) - loglik(mu - h, sigma)) / (2 * h),
            (loglik(mu, sigma + h) - loglik(mu, sigma - h)) / (2 * h),
        ]

    fit = fastnat.fit_normal(y, left=0.0)
    assert fit.success
    start = [mp.mpf(round(float(value), 3)) for value in fit.params]
    mu, sigma = mp.findroot(score, start, tol=1e-40)
    assert naive.error(fit.mu, mu) <= 1e-10
    assert naive.error(fit.sigma, sigma) <= 1e-10
    assert naive.error(fit.loglik, loglik(mu, sigma)) <= 1e-10
    cov = np.linalg.inv(numerical_information(loglik, mu, sigma))
    np.testing.assert_allclose(fit.cov_params, cov, rtol=1e-8)


def random_intervals(rng, n):
    """Exact values, both kinds of half-lines, and bins."""
    x = rng.normal(3.0, 2.0, n)
    kind = rng.integers(0, 4, n)
    kind[:2] = 0
    width = rng.exponential(1.0, n) + 0.01
    lower = np.select([kind == 0, kind == 1], [x, -INF], x - 0.3 * width)
    upper = np.select([kind == 0, kind == 2], [x, INF], x + 0.7 * width)
    return lower, upper


@pytest.mark.parametrize("seed", range(scaled(12, 2)))
def test_against_scipy(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 30))
    lower, upper = random_intervals(rng, n)
    fit = fastnat.fit_normal(lower, upper)
    best = best_by_scipy(lambda m, s: interval_loglik(lower, upper, m, s), 3.0, 2.0)[0]
    assert fit.success
    assert math.isclose(fit.loglik, best, rel_tol=1e-11)
    assert math.isclose(fit.loglik, interval_loglik(lower, upper, fit.mu, fit.sigma), rel_tol=1e-12)
    x = np.abs(rng.normal(1.0, 1.0, n)) + 0.5
    fit = fastnat.fit_normal(x, truncation=(0.5, 6.0))
    if fit.success:

        def loglik(mu, sigma):
            inside = special.ndtr((6.0 - mu) / sigma) - special.ndtr((0.5 - mu) / sigma)
            with np.errstate(divide="ignore"):
                return scipy.stats.norm.logpdf(x, mu, sigma).sum() - n * np.log(inside)

        assert fit.loglik >= best_by_scipy(loglik, fit.mu, fit.sigma)[0] - 1e-9
    std = rng.gamma(1.0, 1.0, n) + 0.01
    fit = fastnat.fit_normal(x, noise_std=std)
    v = np.ptp(x) ** 2 * np.concatenate([[0.0], 10.0 ** np.linspace(-10, 0.2, 400)])[:, None]
    om = 1.0 / (v + std**2)
    mu = (om * x).sum(1, keepdims=True) / om.sum(1, keepdims=True)
    profile = scipy.stats.norm.logpdf(x, mu, om**-0.5).sum(1)
    assert fit.loglik >= profile.max() - 1e-12 * n
    assert math.isclose(
        fit.loglik,
        scipy.stats.norm.logpdf(x, fit.mu, np.hypot(fit.sigma, std)).sum(),
        rel_tol=1e-13,
    )


def test_censored_data_of_scipy():
    """SciPy has it from 1.11 on, and fits it to four digits."""
    assert hasattr(scipy.stats, "CensoredData") == (
        tuple(map(int, scipy.__version__.split(".")[:2])) >= (1, 11)
    )
    if hasattr(scipy.stats, "CensoredData"):
        data = scipy.stats.CensoredData(
            [1.0, 2.5, 3.0], left=[0.5, 1.5], right=[4.0], interval=[[2.0, 3.0], [0.0, 5.0]]
        )
        lower = [1.0, 2.5, 3.0, -INF, -INF, 4.0, 2.0, 0.0]
        upper = [1.0, 2.5, 3.0, 0.5, 1.5, INF, 3.0, 5.0]
        fit = fastnat.fit_normal(data)
        assert_same_bits(fit, fastnat.fit_normal(lower, upper))
        mu, sigma = scipy.stats.norm.fit(data)
        assert abs(fit.mu - mu) < 1e-3
        assert abs(fit.sigma - sigma) < 1e-3
        for name in ("upper", "left", "right"):
            with refused(ValueError, name, "CensoredData"):
                fastnat.fit_normal(data, **{name: 1.0})


def test_the_restricted_likelihood_has_no_profile_of_mu():
    fit = fastnat.fit_normal([1.0, 2.0, 4.0], noise_std=[0.5, 0.1, 0.2], reml=True)
    assert fit.success
    with refused(ValueError, "profile", "reml=False"):
        fit.conf_int(method="profile")


LIMITED = {
    "left": {"left": 1.5},
    "right": {"right": 4.0},
    "both": {"left": 1.5, "right": 4.0},
}


def same(a, b, tolerance=1e-11):
    assert np.array_equal(a.status, b.status)
    np.testing.assert_allclose(a.params, b.params, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(a.loglik, b.loglik, rtol=tolerance)
    np.testing.assert_allclose(a.stderr, b.stderr, rtol=1e-9)


@pytest.mark.parametrize("limits", LIMITED.values(), ids=LIMITED)
@pytest.mark.parametrize("cov_type", ["observed", "opg", "sandwich", "expected"])
def test_a_limit_can_be_given_in_many_ways(limits, cov_type, rng):
    x = rng.normal(3.0, 2.0, (4, 40))
    fit = fastnat.fit_normal(x, **limits, cov_type=cov_type)
    for shape in ((4, 1), (1, 40), (4, 40)):
        arrays = {name: np.full(shape, value) for name, value in limits.items()}
        same(fit, fastnat.fit_normal(x, **arrays, cov_type=cov_type))
    if cov_type != "expected":
        left, right = limits.get("left", -INF), limits.get("right", INF)
        lower = np.where(x <= left, -INF, np.minimum(x, right))
        upper = np.where(x >= right, INF, np.maximum(x, left))
        same(fit, fastnat.fit_normal(lower, upper, cov_type=cov_type))
    same(fit, fastnat.fit_normal(np.asfortranarray(x.T), axis=0, **limits, cov_type=cov_type))
    groups = np.repeat(np.arange(4), 40)
    same(fit, fastnat.fit_normal(x.ravel(), groups=groups, **limits, cov_type=cov_type))


def calls():
    """Every kind of fit of the same values."""
    return {
        "limits": lambda v, **k: fastnat.fit_normal(v, left=1.5, **k),
        "arrays": lambda v, **k: fastnat.fit_normal(v, right=np.full(v.shape[-1:], 4.0), **k),
        "intervals": lambda v, **k: fastnat.fit_normal(v - 0.5, v + 0.5, **k),
        "truncation": lambda v, **k: fastnat.fit_normal(v, truncation=(-20.0, INF), **k),
        "noise": lambda v, **k: fastnat.fit_normal(v, noise_std=np.full(v.shape[-1:], 0.7), **k),
    }


KINDS = list(calls())


@pytest.mark.parametrize("kind", KINDS)
def test_batches_weights_and_threads(kind, rng):
    x = rng.normal(3.0, 2.0, (scaled(300, 6), 12))
    fit = calls()[kind]
    together = fit(x)
    for k in (0, 3, 5):
        alone = fit(x[k])
        for name in ("params", "loglik", "stderr", "status", "nit"):
            assert np.array_equal(getattr(together, name)[k], getattr(alone, name), equal_nan=True)
    assert_same_bits(together, fit(x, n_threads=1))
    assert_same_bits(together, fit(x, n_threads=2))
    weights = rng.integers(0, 3, 12).astype(float)
    weights[0], weights[1] = 0.0, 2.0
    one = x[0].copy()
    repeated = np.repeat(one, weights.astype(int))
    hidden = np.where(weights == 0.0, np.nan, one)
    same(fit(hidden, weights=weights), fit(repeated), 1e-9)
    same(fit(x, weights=np.ones(12)), together)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("power", [-650, -3, 5, 650])
def test_units_do_not_matter(kind, power, rng):
    """Powers of two, and even 1e200 and 1e-200."""
    unit = 2.0**power
    x = rng.normal(3.0, 2.0, 25)
    fit = calls()[kind](x)
    if kind == "limits":
        other = fastnat.fit_normal(x * unit, left=1.5 * unit)
    elif kind == "arrays":
        other = fastnat.fit_normal(x * unit, right=np.full(25, 4.0 * unit))
    elif kind == "intervals":
        other = fastnat.fit_normal((x - 0.5) * unit, (x + 0.5) * unit)
    elif kind == "truncation":
        other = fastnat.fit_normal(x * unit, truncation=(-20.0 * unit, INF))
    else:
        other = fastnat.fit_normal(x * unit, noise_std=0.7 * unit)
    assert fit.success
    assert other.status == fit.status
    np.testing.assert_allclose(other.params / unit, fit.params, rtol=1e-10)
    np.testing.assert_allclose(other.stderr / unit, fit.stderr, rtol=1e-8)
    n_densities = (
        0
        if kind == "intervals"
        else 25 - np.sum({"limits": x <= 1.5, "arrays": x >= 4.0}.get(kind, np.zeros(25, bool)))
    )
    shift = n_densities * power * math.log(2.0)
    assert math.isclose(other.loglik, fit.loglik - shift, rel_tol=1e-12)


@pytest.mark.parametrize("unit", [2.0**-1000, 2.0**-560, 2.0**560, 2.0**1000])
def test_one_exact_value_has_no_scale(unit):
    """Its square is 0, whatever the unit of the intervals that exclude it."""
    lower, upper = np.array([-INF, 3.0, -2.0, -1.0]), np.array([0.0, 3.0, 1.0, 1.0])
    fit, other = fastnat.fit_normal(lower, upper), fastnat.fit_normal(lower * unit, upper * unit)
    assert fit.success
    assert other.success
    np.testing.assert_allclose(other.params / unit, fit.params, rtol=1e-12)


@pytest.mark.parametrize("nan_policy", ["propagate", "omit"])
@pytest.mark.parametrize("weights", [None, np.array([2.0, 1.0, 1.0, 3.0])])
def test_limits_that_meet(weights, nan_policy):
    """A probit: what is at the limit is below it, however limits are given."""
    x = np.array([[2.0, 1.0, -3.0, -3.0], [-3.0, -3.0, -4.0, -3.0], [-2.0, 7.0, INF, 0.0]])
    options = {"weights": weights, "nan_policy": nan_policy}
    fit = fastnat.fit_normal(x, left=-3.0, right=-3.0, **options)
    assert fit.status.tolist() == [Status.NOT_IDENTIFIED, Status.MU_INFINITE, Status.MU_INFINITE]
    assert fit.mu.tolist()[1:] == [-INF, INF]
    for shape in ((3, 1), (3, 4)):
        limit = np.full(shape, -3.0)
        other = fastnat.fit_normal(x, left=limit, right=limit, **options)
        same(fit, other)
        assert np.array_equal(other.nobs, fit.nobs)
    assert fit.nobs[0] == (4.0 if weights is None else 7.0)


def test_a_histogram_is_counts_of_intervals(rng):
    x = rng.normal(3.0, 2.0, 5000)
    counts, edges = np.histogram(x, bins=np.arange(-6.0, 13.0, 0.5))
    fit = fastnat.fit_normal(edges[:-1], edges[1:], weights=counts)
    lower = np.repeat(edges[:-1], counts)
    same(fit, fastnat.fit_normal(lower, lower + 0.5), 1e-9)
    assert fit.nobs == counts.sum()
    assert abs(fit.mu - x.mean()) < 0.01


STATUSES = {
    "nothing": ([], [], Status.NO_DATA, (np.nan, np.nan, 0.0)),
    "uninformative": ([-INF], [INF], Status.NO_DATA, (np.nan, np.nan, 0.0)),
    "missing": ([np.nan, 1.0], [np.nan, 2.0], Status.NAN_INPUT, (np.nan,) * 3),
    "one end is NaN": ([np.nan, 1.0], [3.0, 2.0], Status.INVALID_INPUT, (np.nan,) * 3),
    "ends crossed": ([2.0, 1.0], [1.0, 1.0], Status.INVALID_INPUT, (np.nan,) * 3),
    "infinite": ([INF, 1.0], [INF, 1.0], Status.INVALID_INPUT, (np.nan,) * 3),
    "one value": ([2.0], [2.0], Status.SIGMA_ZERO, (2.0, 0.0, INF)),
    "one value inside": ([2.0, 1.0, -INF], [2.0, 3.0, 2.0], Status.SIGMA_ZERO, (2.0, 0.0, INF)),
    "common interval": ([0.0, 1.0], [2.0, 3.0], Status.SIGMA_ZERO, (np.nan, 0.0, 0.0)),
    "half-lines overlap": ([-INF, 1.0], [2.0, INF], Status.SIGMA_ZERO, (np.nan, 0.0, 0.0)),
    "all below": ([-INF, -INF], [2.0, 3.0], Status.MU_INFINITE, (-INF, np.nan, 0.0)),
    "all above": ([2.0, 3.0], [INF, INF], Status.MU_INFINITE, (INF, np.nan, 0.0)),
    "adjacent bins": (
        [0.0, 1.0],
        [1.0, 2.0],
        Status.SIGMA_ZERO,
        (1.0, 0.0, 2.0 * math.log(0.5)),
    ),
    "adjacent half-lines and another": (
        [-INF, 1.0, -INF],
        [1.0, INF, 5.0],
        Status.SIGMA_ZERO,
        (1.0, 0.0, 2.0 * math.log(0.5)),
    ),
    "a probit at one point": (
        [-INF, 1.0],
        [1.0, INF],
        Status.NOT_IDENTIFIED,
        (np.nan, np.nan, 2.0 * math.log(0.5)),
    ),
    "means tie": (
        [-INF, -INF, 1.0, 3.0],
        [0.5, 3.5, INF, INF],
        Status.SIGMA_INFINITE,
        (np.nan, INF, 4.0 * math.log(0.5)),
    ),
}


@pytest.mark.parametrize("name", STATUSES)
def test_statuses_of_intervals(name):
    lower, upper, status, values = STATUSES[name]
    fit = fastnat.fit_normal(np.array(lower, float), np.array(upper, float))
    assert fit.status is status
    found = (fit.mu, fit.sigma, fit.loglik)
    assert np.allclose(found, values, rtol=1e-15, atol=0.0, equal_nan=True), found
    assert np.all(np.isnan(fit.stderr))
    quiet = fastnat.fit_normal(np.array(lower, float), np.array(upper, float), noise_std=0.0)
    assert quiet.status is status
    found = (quiet.mu, quiet.sigma, quiet.loglik)
    assert np.allclose(found, values, rtol=1e-15, atol=0.0, equal_nan=True), found
    mirrored = fastnat.fit_normal(-np.array(upper, float), -np.array(lower, float))
    assert mirrored.status is status
    assert np.isclose(mirrored.mu, -values[0], equal_nan=True)


def test_just_beyond_a_tie_of_means_there_is_a_maximum():
    lower = np.array([-INF, -INF, 1.0, 3.0])
    fit = fastnat.fit_normal(lower, np.array([0.5, 3.5 * (1 + 1e-9), INF, INF]))
    assert fit.success
    assert fit.sigma > 1e3


def test_statuses_of_truncation():
    fit = fastnat.fit_normal([2.0, 2.0], truncation=(0.0, INF))
    assert (fit.status, fit.mu, fit.sigma, fit.loglik) == (Status.SIGMA_ZERO, 2.0, 0.0, INF)
    assert fastnat.fit_normal([2.0, -1.0], truncation=(0.0, INF)).status is Status.INVALID_INPUT
    assert fastnat.fit_normal([np.nan], truncation=(0.0, INF)).status is Status.NAN_INPUT
    x = np.array([1.0, 1.0, 10.0])  # more spread than an exponential distribution
    fit = fastnat.fit_normal(x, truncation=(0.0, INF))
    assert fit.status is Status.SIGMA_INFINITE
    assert math.isclose(fit.loglik, -3.0 * (math.log(4.0) + 1.0), rel_tol=1e-14)
    assert np.isnan(fit.mu)
    assert fit.sigma == INF
    mirrored = fastnat.fit_normal(-x, truncation=(-INF, 0.0))
    assert mirrored.status is Status.SIGMA_INFINITE
    assert math.isclose(mirrored.loglik, fit.loglik, rel_tol=1e-14)
    bounds = (np.array([[0.0], [np.nan], [0.0]]), np.array([[5.0], [5.0], [0.0]]))
    assert fastnat.fit_normal([[1.0, 2.0]] * 3, truncation=bounds).status.tolist()[1:] == [4, 4]


@pytest.mark.parametrize("excess", [-1e-6, 1e-6])
def test_existence_with_one_bound_is_sharp(excess):
    """A maximum if and only if mean(t**2) < 2 mean(t)**2."""
    x = np.array([1.0, 2.0, 0.0])
    # The root of (1 + 4 + z**2) / 3 = 2 ((3 + z) / 3)**2.
    z = 6.0 + math.sqrt(39.0)
    x[2] = z * (1.0 + excess)
    fit = fastnat.fit_normal(x, truncation=(0.0, INF))
    assert fit.status is (Status.SIGMA_INFINITE if excess > 0 else Status.OK)


def test_no_truncation_is_the_plain_fit(rng):
    x = rng.normal(3.0, 2.0, (3, 20))
    same(fastnat.fit_normal(x, truncation=(-INF, INF)), fastnat.fit_normal(x), 1e-13)
    same(fastnat.fit_normal(x, noise_std=0.0), fastnat.fit_normal(x), 1e-13)
    restricted = fastnat.fit_normal(x, reml=True)
    same(fastnat.fit_normal(x, noise_std=0.0, reml=True), restricted, 1e-13)
    same(fastnat.fit_normal(x, left=-100.0), fastnat.fit_normal(x), 1e-13)
    same(fastnat.fit_normal(x, x), fastnat.fit_normal(x), 1e-13)


def test_statuses_of_noise():
    fit = fastnat.fit_normal([1.0, 2.0, 3.0], noise_std=[0.0, 1.0, 1.0])
    assert (fit.status, fit.loglik) == (Status.UNBOUNDED, INF)
    assert fastnat.fit_normal([1.0, 2.0], noise_std=[0.0, 0.0]).success
    fit = fastnat.fit_normal([1.0, 1.0], noise_std=[0.0, 0.0])
    assert (fit.status, fit.mu, fit.sigma) == (Status.SIGMA_ZERO, 1.0, 0.0)
    fit = fastnat.fit_normal([1.0], noise_std=[2.0])
    assert (fit.status, fit.mu, fit.sigma) == (Status.BOUNDARY, 1.0, 0.0)
    assert fit.stderr[0] == 2.0
    std = np.array([[1.0, -1.0], [1.0, np.nan], [1.0, INF], [INF, INF]])
    statuses = fastnat.fit_normal([1.0, 2.0], noise_std=std).status.tolist()
    assert statuses == [4, 4, 1, 2]
    assert fastnat.fit_normal([np.nan, 2.0], noise_std=1.0).status is Status.NAN_INPUT


def noisy_loglik(lower, upper, bounds, std, mu, sigma):
    """By SciPy: intervals, or truncated values, with noise."""
    s = np.hypot(sigma, std)
    total = interval_loglik(lower, upper, mu, s)
    if bounds is not None:
        total -= np.sum(special.log_ndtr((mu - bounds[0]) / s))
    return total


@pytest.mark.parametrize("seed", range(scaled(8, 2)))
def test_noise_with_limits_and_truncation(seed):
    rng = np.random.default_rng(seed)
    n = 15
    std = rng.gamma(2.0, 0.4, n)
    x = rng.normal(1.0, 1.0, n) + std * rng.normal(size=n)
    cases = {
        "left": ({"left": 0.5}, np.where(x <= 0.5, -INF, x), np.maximum(x, 0.5), None),
        "truncation": ({"truncation": (x.min() - 0.2, INF)}, x, x, (x.min() - 0.2,)),
    }
    for options, lower, upper, bounds in cases.values():
        fit = fastnat.fit_normal(x, noise_std=std, **options)
        loglik = lambda mu, sigma, a=(lower, upper, bounds): noisy_loglik(*a, std, mu, sigma)  # noqa: E731
        assert fit.success
        assert math.isclose(fit.loglik, loglik(fit.mu, fit.sigma), rel_tol=1e-11)
        for start in (0.1, 1.0):
            assert fit.loglik >= best_by_scipy(loglik, x.mean(), start)[0] - 1e-9
        if fit.status is Status.OK:
            objective = lambda t, f=loglik: -f(t[0], t[1])  # noqa: E731
            at, h = np.array(fit.params), 1e-4
            hessian = np.empty((2, 2))
            for i in range(2):
                for j in range(2):
                    e, f = h * np.eye(2)[i], h * np.eye(2)[j]
                    hessian[i, j] = (
                        objective(at + e + f)
                        - objective(at + e - f)
                        - objective(at - e + f)
                        + objective(at - e - f)
                    ) / (4 * h * h)
            np.testing.assert_allclose(fit.cov_params, np.linalg.inv(hessian), rtol=1e-4)
        with pytest.raises(ValueError, match="method='profile' is not known"):
            fit.conf_int(method="profile")


@pytest.mark.parametrize("seed", range(scaled(60, 4)))
def test_noisy_truncated_values_without_a_maximum(seed):
    """Spread like an exponential distribution, or nearly so; noise of any size."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 9))
    x = rng.exponential(size=n) if seed % 2 else rng.integers(0, 6, n) + 0.25
    std = rng.choice([0.01, 0.1, 1.0]) * rng.uniform(0.5, 2.0, n)
    fit = fastnat.fit_normal(x, truncation=(0.0, INF), noise_std=std)

    def loglik(mu, sigma):
        s = np.hypot(sigma, std)
        return scipy.stats.norm.logpdf(x, mu, s).sum() - special.log_ndtr(mu / s).sum()

    limit = -n * (math.log(x.mean()) + 1.0)
    highest = -INF
    for sigma in np.ptp(x) * 10.0 ** np.linspace(-3, 1, 33):
        bracket = (x.mean() - 2.0 * sigma**2 / x.mean(), x.mean())
        best = optimize.minimize_scalar(lambda mu, s=sigma: -loglik(mu, s), bracket=bracket)
        highest = max(highest, -best.fun)
    if fit.status is Status.SIGMA_INFINITE:
        assert (np.isnan(fit.mu), fit.sigma) == (True, INF)
        assert math.isclose(fit.loglik, limit, rel_tol=1e-12)
        assert highest <= limit + 1e-9
    else:
        assert fit.success
        assert fit.loglik > limit
        assert fit.loglik >= highest - 1e-9
        assert math.isclose(fit.loglik, loglik(fit.mu, fit.sigma), rel_tol=1e-9)


def test_what_is_known_without_noise_among_noisy_values():
    """At sigma = 0 an interval without noise only says where mu may be."""
    fit = fastnat.fit_normal([0.0, 1.0], [2.0, 1.0], noise_std=[0.0, 1.0])
    assert (fit.status, fit.mu, fit.sigma) == (Status.BOUNDARY, 1.0, 0.0)
    assert math.isclose(fit.loglik, scipy.stats.norm.logpdf(0.0), rel_tol=1e-14)
    assert fit.stderr[0] == 1.0
    fit = fastnat.fit_normal([2.0, 0.0], left=1.0, noise_std=[1.5, 0.0])
    assert (fit.status, fit.mu, fit.sigma) == (Status.BOUNDARY, 1.0, 0.0)
    assert math.isclose(fit.loglik, scipy.stats.norm.logpdf(2.0, 1.0, 1.5), rel_tol=1e-14)
    assert np.all(np.isnan(fit.stderr))  # there is a corner in mu
    # Intervals that contradict each other need a sigma; as does a value outside of one.
    assert fastnat.fit_normal([0, 1, 1.0], [0.5, 1, 2.0], noise_std=[0, 1, 0.0]).status == 0
    assert fastnat.fit_normal([0, 1, 1.0], [0.5, 1, 1.0], noise_std=[0, 1, 0.0]).status == 0


def test_noise_that_is_none_is_no_noise(rng):
    x = rng.normal(1.0, 1.0, 20)
    tiny = 1e-9
    same(fastnat.fit_normal(x, left=0.5, noise_std=tiny), fastnat.fit_normal(x, left=0.5), 1e-9)
    bounds = (-5.0, 5.0)
    fit = fastnat.fit_normal(x, truncation=bounds, noise_std=tiny)
    same(fit, fastnat.fit_normal(x, truncation=bounds), 1e-9)
    same(fastnat.fit_normal(x, x, noise_std=0.5), fastnat.fit_normal(x, noise_std=0.5), 1e-9)
    assert fastnat.fit_normal([1.0, 2.0], left=3.0, noise_std=1.0).status is Status.MU_INFINITE
    fit = fastnat.fit_normal([1.0, 0.0], left=0.5, noise_std=[0.0, 1.0])
    assert fit.status is Status.UNBOUNDED
    assert fastnat.fit_normal([1.0, np.nan], left=0.5, noise_std=1.0).status is Status.NAN_INPUT
    assert fastnat.fit_normal([1.0, 2.0], left=0.5, noise_std=[1, -1]).status == 4


def test_missing_values(rng):
    x = rng.normal(3.0, 2.0, 30)
    holes = np.insert(x, [0, 7, 30], np.nan)
    for fit in calls().values():
        assert fit(holes).status is Status.NAN_INPUT
        same(fit(holes, nan_policy="omit"), fit(x), 1e-12)
        with pytest.raises(ValueError, match="x contains NaN"):
            fit(holes, nan_policy="raise")


@pytest.mark.parametrize("kind", ["limit", *KINDS, "noisy limits", "noisy truncation"])
def test_weight_of_problems_that_cannot_be_fitted(kind):
    """It counts what is there: all, a missing value too unless it is left out; 0 never."""
    values = np.array([[1.0, 2.0, NAN, 3.0, NAN], [1.0, 2.0, INF, 3.0, NAN], [1.0, NAN, 2.0, 3, 4]])
    values[1] *= -1.0 if kind == "arrays" else 1.0  # where limits leave it infinite
    weights = np.array([2.0, 1.0, 1.0, 1.0, 0.0])
    fits = calls() | {
        "limit": lambda v, **k: fastnat.fit_normal(v, left=0.5, **k),
        "noisy limits": lambda v, **k: fastnat.fit_normal(v, left=0.5, noise_std=0.1, **k),
        "noisy truncation": lambda v, **k: fastnat.fit_normal(
            v, truncation=(-20.0, INF), noise_std=0.1, **k
        ),
    }
    for policy, nobs in ("propagate", [5.0, 5.0, 5.0]), ("omit", [4.0, 5.0, 4.0]):
        fit = fits[kind](values, weights=weights, nan_policy=policy)
        assert fit.status[1] == Status.INVALID_INPUT
        assert fit.nobs.tolist() == nobs
        assert fits[kind](values[0], nan_policy=policy).nobs == (5.0 if policy != "omit" else 3.0)


def grouped(rng, codes):
    """Every way in which observations can be known, one by one: name -> arrays and options."""
    n = codes.size
    x, std = rng.normal(3.0, 2.0, n), rng.uniform(0.2, 1.0, n)
    return {
        "complete": ({"x": x}, {}),
        "reml": ({"x": x}, {"reml": True}),
        "one limit": ({"x": x}, {"left": 2.0}),
        "limits": ({"x": x, "left": np.minimum(x - 1.0, 2.0), "right": np.full(n, 4.0)}, {}),
        "intervals": ({"x": np.floor(x), "upper": np.floor(x) + 1.0}, {}),
        "truncation": ({"x": x}, {"truncation": (-9.0, 20.0)}),
        "noise": ({"x": x, "noise_std": std}, {}),
        "noisy limits": ({"x": x, "noise_std": std, "left": np.full(n, 2.0)}, {}),
        "noisy truncation": ({"x": x, "noise_std": std}, {"truncation": (-9.0, 20.0)}),
        "weights": ({"x": x, "weights": np.floor(4.0 * std), "right": np.full(n, 4.0)}, {}),
    }


GROUPED = list(grouped(np.random.default_rng(0), np.zeros(1, int)))


@pytest.mark.parametrize("kind", GROUPED)
def test_groups(kind, rng):
    """Each group is fitted as if it were alone, whatever the order; empty ones are NO_DATA."""
    codes = np.repeat(np.arange(5), scaled([5, 0, 40, 3, 17], [5, 0, 12, 3, 7]))
    arrays, options = grouped(rng, codes)[kind]
    order = rng.permutation(codes.size)
    fit = fastnat.fit_normal(**arrays, **options, groups=codes)
    mixed = {name: array[order] for name, array in arrays.items()}
    assert fit.mu.shape == (5,)
    assert fit.status[1] == Status.NO_DATA
    assert fit.success[[0, 2, 4]].all()
    same(fit, fastnat.fit_normal(**mixed, **options, groups=codes[order]), 1e-8)
    for g in (0, 2, 4):
        own = {name: array[codes == g] for name, array in arrays.items()}
        alone = fastnat.fit_normal(**own, **options)
        np.testing.assert_allclose(fit.params[g], alone.params, rtol=1e-11)
        np.testing.assert_allclose(fit.stderr[g], alone.stderr, rtol=1e-9)
        assert math.isclose(fit.loglik[g], alone.loglik, rel_tol=1e-12)
        assert fit.nobs[g] == alone.nobs


@pytest.mark.parametrize("options", [{}, {"left": 0.0}, {"weights": True}])
def test_groups_in_any_order_and_layout(options, rng):
    """The order within a group is kept, so results have the same bits; layouts do not matter."""
    n = scaled(5000, 200)
    codes, x = rng.integers(0, 30, n), rng.normal(size=n)
    order = np.argsort(codes, kind="stable")
    weights = rng.integers(0, 4, n)
    if "weights" in options:
        options = {"weights": weights}
    fit = fastnat.fit_normal(x, groups=codes, **options)
    in_order = {name: v[order] if np.ndim(v) else v for name, v in options.items()}
    assert_same_bits(fit, fastnat.fit_normal(x[order], groups=codes[order], **in_order))
    codes.flags.writeable = False
    other = np.empty((n, 2))
    other[:, 1] = x
    for groups in (codes, codes.astype(np.uint8), np.repeat(codes, 2)[::2], codes.tolist()):
        assert_same_bits(fit, fastnat.fit_normal(other[:, 1], groups=groups, **options))
    single = x.astype(np.float32)
    assert_same_bits(
        fastnat.fit_normal(single, groups=codes, **options),
        fastnat.fit_normal(single.astype(float), groups=codes, **options),
    )


def test_groups_of_one_value_repeated():
    """A column of one broadcast number is not sorted."""
    fit = fastnat.fit_normal(np.broadcast_to(3.0, 4), groups=[1, 0, 1, 0], noise_std=1.0)
    assert fit.mu.tolist() == [3.0, 3.0]


@pytest.mark.parametrize("kind", KINDS)
def test_profile_intervals(kind, rng):
    """At the ends the log-likelihood, maximised over the other parameter, is lower by chi2 / 2."""
    x = rng.normal(3.0, 2.0, 15)
    fit = calls()[kind](x)
    ends = fit.conf_int(0.9, method="profile")
    assert ends.shape == (2, 2)
    target = fit.loglik - 0.5 * special.chdtri(1, 0.1)

    def loglik(mu, sigma):
        if kind == "noise":
            return scipy.stats.norm.logpdf(x, mu, np.hypot(sigma, 0.7)).sum()
        if kind == "truncation":
            inside = special.log_ndtr((mu + 20.0) / sigma)
            return scipy.stats.norm.logpdf(x, mu, sigma).sum() - 15 * inside
        lower, upper = {
            "limits": (np.where(x <= 1.5, -INF, x), np.maximum(x, 1.5)),
            "arrays": (np.minimum(x, 4.0), np.where(x >= 4.0, INF, x)),
            "intervals": (x - 0.5, x + 0.5),
        }[kind]
        return interval_loglik(lower, upper, mu, sigma)

    for mu in ends[0]:
        best = optimize.minimize_scalar(
            lambda t, mu=mu: -loglik(mu, np.exp(t)), bracket=(0.0, 1.0), tol=1e-12
        )
        assert math.isclose(-best.fun, target, rel_tol=1e-9)
    for sigma in ends[1]:
        best = optimize.minimize_scalar(
            lambda mu, sigma=sigma: -loglik(mu, sigma), bracket=(2.0, 4.0), tol=1e-12
        )
        assert math.isclose(-best.fun, target, rel_tol=1e-9)
    assert ends[0, 0] < fit.mu < ends[0, 1]
    assert ends[1, 0] < fit.sigma < ends[1, 1]
    again = pickle.loads(pickle.dumps(fit))
    np.testing.assert_array_equal(again.params, fit.params)
    with pytest.raises(ValueError, match="copy of a fit"):
        again.conf_int(method="profile")
    with pytest.raises(ValueError, match="method='exact' needs complete data"):
        fit.conf_int(method="exact")


def test_profile_intervals_that_do_not_end():
    fit = fastnat.fit_normal([0.2, 0.5, 0.9, 1.1, 1.6, 0.4, 2.2, 0.75], truncation=(0.0, INF))
    ends = fit.conf_int(method="profile")
    assert ends[0, 0] == -INF
    assert ends[1, 1] == INF
    assert np.all(np.isfinite([ends[0, 1], ends[1, 0]]))


def numerical_information(loglik, mu, sigma):
    """Minus the second derivatives by (mu, sigma), in 60 digits."""
    h = mp.mpf(10) ** -15
    at = lambda i, j: loglik(mp.mpf(float(mu)) + i * h, mp.mpf(float(sigma)) + j * h)  # noqa: E731
    second = [
        [at(1, 0) - 2 * at(0, 0) + at(-1, 0), (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4],
        [0, at(0, 1) - 2 * at(0, 0) + at(0, -1)],
    ]
    second[1][0] = second[0][1]
    return -np.array([[float(value / h**2) for value in row] for row in second])


@pytest.mark.parametrize("n", [12, 100])
def test_observed_covariances(n, rng):
    """Few limits are added up one by one, more than 16 on a side in vectors."""
    lower, upper = random_intervals(rng, n)
    fit = fastnat.fit_normal(lower, upper)

    def loglik(mu, sigma):
        total = mp.mpf(0)
        for a, b in zip(lower.tolist(), upper.tolist(), strict=True):
            if a == b:
                total += -((a - mu) ** 2) / (2 * sigma**2) - mp.log(sigma)
            else:
                total += mp.log(mp.ncdf((b - mu) / sigma) - mp.ncdf((a - mu) / sigma))
        return total

    information = numerical_information(loglik, fit.mu, fit.sigma)
    np.testing.assert_allclose(fit.cov_params, np.linalg.inv(information), rtol=1e-9)


@pytest.mark.parametrize("limits", LIMITED.values(), ids=LIMITED)
def test_expected_covariances(limits, rng):
    """Quadrature of the observed information of all that one observation could have been."""
    x = rng.normal(3.0, 2.0, 30)
    fit = fastnat.fit_normal(x, **limits, cov_type="expected")
    mu, sigma = fit.mu, fit.sigma
    left, right = limits.get("left", -INF), limits.get("right", INF)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    low, high = max(left, mu - 12 * sigma), min(right, mu + 12 * sigma)
    values = 0.5 * (low + high) + 0.5 * (high - low) * nodes
    z = (values - mu) / sigma
    share = 0.5 * (high - low) * weights * scipy.stats.norm.pdf(values, mu, sigma)
    score = np.stack([z, z * z - 1.0]) / sigma
    total = (share * score) @ score.T
    for limit, sign in ((left, -1.0), (right, 1.0)):
        if np.isfinite(limit):
            a = sign * (limit - mu) / sigma
            hazard = scipy.stats.norm.pdf(a) / scipy.stats.norm.sf(a)
            one = np.array([sign * hazard, a * hazard]) / sigma
            total += scipy.stats.norm.sf(a) * np.outer(one, one)
    np.testing.assert_allclose(fit.cov_params, np.linalg.inv(30 * total), rtol=1e-9)


@pytest.mark.parametrize("kind", [*KINDS, "noisy limits"])
def test_opg_and_sandwich(kind, rng):
    x = rng.normal(3.0, 2.0, 25)
    fit = calls().get(kind, lambda v, **k: fastnat.fit_normal(v, left=1.5, noise_std=0.7, **k))
    fits = {c: fit(x, cov_type=c) for c in ("observed", "opg", "sandwich")}
    bread, inverse = fits["observed"].cov_params, fits["opg"].cov_params
    expected = bread @ np.linalg.inv(inverse) @ bread
    np.testing.assert_allclose(fits["sandwich"].cov_params, expected, rtol=1e-7)
    mu, sigma = fits["opg"]
    # Scores by differences of each observation's log-likelihood.
    weight = np.ones(25)
    h = 1e-5

    def one(mu, sigma, i):
        if kind == "noise":
            return scipy.stats.norm.logpdf(x[i], mu, np.hypot(sigma, 0.7))
        if kind == "truncation":
            return scipy.stats.norm.logpdf(x[i], mu, sigma) - special.log_ndtr((mu + 20) / sigma)
        if kind == "noisy limits":
            sigma = np.hypot(sigma, 0.7)
        lower, upper = {
            "noisy limits": (np.where(x <= 1.5, -INF, x), np.maximum(x, 1.5)),
            "limits": (np.where(x <= 1.5, -INF, x), np.maximum(x, 1.5)),
            "arrays": (np.minimum(x, 4.0), np.where(x >= 4.0, INF, x)),
            "intervals": (x - 0.5, x + 0.5),
        }[kind]
        return interval_loglik(lower[i : i + 1], upper[i : i + 1], mu, sigma)

    scores = np.array(
        [
            [
                (one(mu + h, sigma, i) - one(mu - h, sigma, i)) / (2 * h),
                (one(mu, sigma + h, i) - one(mu, sigma - h, i)) / (2 * h),
            ]
            for i in range(25)
        ]
    )
    products = (scores * weight[:, None]).T @ scores
    np.testing.assert_allclose(inverse, np.linalg.inv(products), rtol=1e-6)


def test_quantiles(rng):
    x = rng.normal(3.0, 2.0, (2, 40))
    fit = fastnat.fit_normal(x, left=2.0)
    q = fit.quantile([0.1, 0.5, 0.9])
    z = special.ndtri([0.1, 0.5, 0.9])
    np.testing.assert_allclose(q.value, fit.mu[:, None] + z * fit.sigma[:, None], rtol=1e-15)
    direction = np.stack([np.ones(3), z], axis=-1)
    var = np.einsum("qi,bij,qj->bq", direction, fit.cov_params, direction)
    np.testing.assert_allclose(q.stderr, np.sqrt(var), rtol=1e-12)


X = [1.0, 2.0, 3.0]
REFUSED = {
    "left": [{"left": np.nan}, {"left": INF}, {"left": 2.0, "right": 1.0}, {"left": [1.0, 2.0]}],
    "right": [{"right": np.nan}, {"right": -INF}, {"right": "high"}],
    "upper": [{"upper": X, "left": 0.0}, {"upper": [1.0, 2.0]}, {"upper": ["a", "b", "c"]}],
    "truncation": [
        {"truncation": 3.0},
        {"truncation": (0.0, 1.0, 2.0)},
        {"truncation": (1.0, 0.0)},
        {"truncation": (np.nan, 1.0)},
        {"truncation": (0.0, 5.0), "left": 0.5},
        {"truncation": (0.0, 5.0), "upper": X},
        {"truncation": ([0.0, 1.0], 5.0)},
    ],
    "noise_std": [{"noise_std": -1.0}, {"noise_std": np.nan}, {"noise_std": [1.0, 2.0]}],
    "groups": [
        {"groups": [0, 1]},
        {"groups": [0.0, 1.0, 2.0]},
        {"groups": [0, -1, 2]},
        {"groups": [0, 1, 10**12]},
        {"groups": [0, 1, 2], "axis": 1},
        {"groups": ["a", "b", "a"]},
    ],
    "reml": [{"reml": True, "left": 0.0}, {"reml": True, "truncation": (0.0, 5.0)}],
    "cov_type": [
        {"upper": X, "cov_type": "expected"},
        {"left": 0.0, "noise_std": 1.0, "cov_type": "expected"},
    ],
    "max_iter": [{"left": 0.0, "max_iter": 0}, {"max_iter": 0}, {"max_iter": 1.5}],
    "tol": [{"left": 0.0, "tol": 1.0}, {"left": 0.0, "tol": "small"}, {"tol": np.nan}],
    "weights": [
        {"left": 0.0, "weights": [1.0, -1.0, 1.0]},
        {"upper": X, "weights": [1.0, np.nan, 1.0]},
        {"truncation": (0.0, 5.0), "weights": [1.0, INF, 1.0]},
        {"noise_std": 1.0, "weights": [1.0, -1.0, 1.0]},
    ],
}


@pytest.mark.parametrize(("name", "options"), [(n, o) for n, all_ in REFUSED.items() for o in all_])
def test_bad_arguments_get_one_sentence(name, options):
    with refused((TypeError, ValueError), name):
        fastnat.fit_normal(X, **options)


def test_names_are_no_codes():
    names = np.array(["b", "a", "b"])
    with refused(TypeError, "groups must be integers, not text; np.unique"):
        fastnat.fit_normal(X, groups=names)
    with refused(TypeError, "clusters must be integers, not text; np.unique"):
        fastnat.fit_linear(X, np.ones((3, 1)), cov_type="sandwich", clusters=names)


def test_a_bad_cell_is_the_problem_of_its_own_problem():
    left = np.array([[0.0], [np.nan], [INF], [0.0]])
    fit = fastnat.fit_normal([X, X, X, [1.0, INF, 2.0]], left=left)
    assert fit.status.tolist() == [0, 4, 4, 4]
    limits = np.array([0.0, 0.0, np.nan])
    assert fastnat.fit_normal(X, left=limits).status is Status.INVALID_INPUT
    assert fastnat.fit_normal(X, left=[0.0, 0.0, 2.0], right=[5.0, 5.0, 1.0]).status == 4


LIMITS = {
    "left": {"left": -0.5},
    "right": {"right": 0.3},
    "both": {"left": -0.7, "right": 0.6},
    "of problems": {"left": np.linspace(-1.5, 0.5, 20)[:, None]},
    "beyond": {"right": 50.0},
}


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
def test_climbs_in_lanes_end_where_others_do(limits, rng):
    """With tol = 0 lanes do not arrive, and problems are climbed on their own from there."""
    x, w = rng.normal(size=(20, 50)), rng.uniform(0.5, 2.0, (20, 50))
    for cov_type in ("observed", "opg"):
        fit = fastnat.fit_normal(x, weights=w, cov_type=cov_type, **limits)
        slow = fastnat.fit_normal(x, weights=w, cov_type=cov_type, tol=0.0, **limits)
        assert fit.success.all()
        assert slow.success.all()
        assert fit.nit.max() <= 7
        np.testing.assert_allclose(fit.params, slow.params, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(fit.loglik, slow.loglik, rtol=1e-14)
        np.testing.assert_allclose(fit.stderr, slow.stderr, rtol=1e-11)


def test_what_lanes_leave(rng, monkeypatch):
    """Nothing, but for problems that are far from their exact values or have no spread."""
    given = []
    fit_common = censored.fit_common
    monkeypatch.setattr(censored, "fit_common", lambda *a: given.append(a) or fit_common(*a))
    x = rng.normal(size=(150, 30))
    x[7] = 0.25
    x[9, :28] = -7.0
    fit = fastnat.fit_normal(x, left=-1.0, right=0.9, n_threads=1)
    ((stats, tally, limits, _, _, tol, first, _),) = given

    def climb(stats, tally, limits, first, tol):
        (lists, ends, _, units), _ = compression.from_tally(stats, tally, limits, first)
        found = np.empty((olsen_lanes.N_FOUND, units.size))
        olsen_lanes.climb(stats, lists, ends, units, tol, found)
        return found

    climb = numba.njit(error_model="numpy")(climb) if COMPILED else np.errstate(all="ignore")(climb)
    found = climb(stats, tally, limits, first, tol)
    left = np.isnan(found[olsen_lanes.LOGLIK])
    assert np.flatnonzero(left).tolist() == [7, 9]
    assert fit.status[7] == Status.SIGMA_ZERO
    assert fit.success[9]
    assert np.array_equal(found[olsen_lanes.LOGLIK, ~left], fit.loglik[~left])
    assert np.array_equal(found[olsen_lanes.STEPS, ~left], fit.nit[~left])


def test_lanes_do_not_know_their_neighbours(rng):
    """Each stops where it has arrived, however long others climb."""
    x = rng.normal(size=(300, 12)) * 2.0 ** rng.integers(-4, 5, (300, 1))
    x[::7] += 3.0
    fit = fastnat.fit_normal(x, left=-0.5, right=2.0)
    assert len(set(fit.nit[fit.success].tolist())) > 3
    for j in range(0, 300, 23):
        alone = fastnat.fit_normal(x[j], left=-0.5, right=2.0)
        for name in ("params", "loglik", "stderr", "status", "nit"):
            assert np.array_equal(getattr(fit, name)[j], getattr(alone, name), equal_nan=True)


@pytest.mark.parametrize("offset", [0.0, 2.0**30, -(2.0**45)])
def test_intervals_far_away_lose_no_digits_and_no_steps(offset, rng):
    """Where no value is exact, the search begins at the moments of the midpoints."""
    lower = np.floor(4.0 * rng.normal(size=30)) / 4.0  # exact with any of the offsets
    near = fastnat.fit_normal(lower, lower + 0.25)
    fit = fastnat.fit_normal(lower + offset, lower + 0.25 + offset)
    assert fit.sigma == pytest.approx(near.sigma, rel=1e-14)
    assert abs(fit.mu - offset - near.mu) <= np.spacing(abs(offset)) + 1e-14
    assert fit.nit <= 4  # Newton, from so near


def test_iterations_can_be_limited(rng):
    x = rng.normal(3.0, 2.0, 50)
    fit = fastnat.fit_normal(x, right=np.full(50, 2.0), max_iter=1)
    assert fit.status is Status.MAX_ITER
    assert np.all(np.isfinite(fit.params))
    assert np.all(np.isnan(fit.stderr))
    assert fastnat.fit_normal(x, right=np.full(50, 2.0), tol=0.0).success


@pytest.mark.parametrize("equal", [0, 3])
def test_hundreds_of_different_intervals(equal, rng):
    """Equal ones are merged, unless there are next to none of them: the sums are the same."""
    n = 400
    low = rng.normal(size=n)
    low[10 : 10 + equal] = low[:equal]
    high = low + 0.5
    fit = fastnat.fit_normal(low, high)
    mu, sigma = fit
    z = np.stack([low - mu, high - mu]) / sigma
    prob = special.ndtr(z[1]) - special.ndtr(z[0])
    density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    assert math.isclose(fit.loglik, np.sum(np.log(prob)), rel_tol=1e-12)
    scores = (density[1] - density[0]) / prob, (z[1] * density[1] - z[0] * density[0]) / prob
    assert np.max(np.abs(np.sum(scores, axis=1))) < 1e-8 * n
    assert fit.nobs == n


def test_expected_errors_of_what_has_weights(rng):
    """Weight 0 is absence, also of the limits, and so is a NaN that is left out."""
    x = rng.normal(size=12)
    left = np.sort(x)[3] + 0.1 * np.arange(12.0)
    w = np.arange(12) % 3.0
    options = {"cov_type": "expected"}
    want = fastnat.fit_normal(x[w > 0], left=left[w > 0], weights=w[w > 0], **options)
    same(fastnat.fit_normal(x, left=left, weights=w, **options), want)
    gone = np.where(w > 0.0, x, np.nan)
    filled = np.where(w > 0.0, w, 1.0)
    same(fastnat.fit_normal(gone, left=left, weights=filled, nan_policy="omit", **options), want)


@pytest.mark.parametrize("bad", [[1.0, -1.0, 1.0], [1.0, np.inf, 1.0], [2.0**1023] * 3])
@pytest.mark.parametrize("kind", ["truncation", "noise", "noise and limits"])
def test_weights_that_searches_refuse(kind, bad):
    options = {
        "truncation": {"truncation": (0.0, [9.0, 8.0, 7.0])},
        "noise": {"noise_std": 0.5},
        "noise and limits": {"noise_std": 0.5, "left": 1.0},
    }[kind]
    with refused(ValueError, "weights", "finite"):
        fastnat.fit_normal([1.0, 2.0, 4.0], weights=bad, **options)


@pytest.mark.parametrize("cov_type", ["observed", "opg", "sandwich"])
def test_errors_of_mu_where_the_noise_explains_all(cov_type):
    """A limit that hides nothing: the weighted mean, whose score and curvature are known."""
    x, e = np.array([1.0, 1.1, 0.9, 1.05]), np.array([0.5, 0.7, 0.5, 0.6])
    fit = fastnat.fit_normal(x, noise_std=e, left=-50.0, cov_type=cov_type)
    assert fit.status is Status.BOUNDARY
    assert fit.mu == pytest.approx(np.average(x, weights=e**-2), rel=1e-12)
    curvature, squares = np.sum(e**-2), np.sum(((x - fit.mu) / e**2) ** 2)
    variance = {
        "observed": 1.0 / curvature,
        "opg": 1.0 / squares,
        "sandwich": squares / curvature**2,
    }[cov_type]
    assert fit.stderr[0] == pytest.approx(math.sqrt(variance), rel=1e-10)
    assert np.isnan(fit.stderr[1])


@pytest.mark.parametrize("matrix", [(-1.0, 0.0, 1.0), (1.0, 0.0, 0.0), (1.0, 2.0, 1.0)])
def test_no_covariance_from_an_indefinite_information(matrix):
    none = estimates.covariance(COV_OBSERVED, matrix, matrix, matrix)
    assert np.all(np.isnan(none))
    definite = 2.0, 0.5, 1.0
    a, b, c = estimates.covariance(COV_OBSERVED, definite, definite, definite)
    np.testing.assert_allclose([[a, b], [b, c]], np.linalg.inv([[2.0, 0.5], [0.5, 1.0]]), 1e-14)


# What searches rarely meet: two of three nearest data in turn, neighbours of a maximum that a grid
# does not see, ends of an interval between values of many sizes.
RARE = {
    "a nearest value": ([0.0, 2.0, 1.0, 2.0, 0.0], {"upper": [69.0, 2.0, 1.03, 4536.0, 523.0]}),
    "weights of twelve decades": (
        [-2.113, 590.8, -12960.0, 2.785e-4, 0.01303],
        {
            "upper": [-2.113, 590.8, -12960.0, 152.0, 519.5],
            "weights": [58.07, 1.388e-5, 2.796e-5, 15840.0, 7.191e7],
        },
    ),
    "narrow bounds": (
        [-9.804e-4, -0.5191, 3511.0, -0.02078],
        {"truncation": ([-0.005906, -INF, 3510.9, -3.255], [0.01436, 87.13, 3512.0, -0.01926])},
    ),
    "some noise": (
        [7.218e-5, -4.703e-4, 58.45, 349.4, -0.0523],
        {
            "noise_std": [0.0, 9e-4, 0.1145, 0.3351, 0.0],
            "weights": [5960.0, 2.402e-8, 3267.0, 3.07e-4, 1.585e7],
        },
    ),
}


@pytest.mark.parametrize("case", RARE)
def test_rare_ways_lead_to_the_same_ends(case):
    x, options = RARE[case]
    options = {k: np.array(v) if k != "truncation" else v for k, v in options.items()}
    fit = fastnat.fit_normal(x, options.pop("upper", None), **options)
    assert fit.status is Status.OK
    P = nl.problem(x, np.ones((len(x), 1)), **dict(RARE[case][1]))
    b, g = np.array([fit.mu]), np.array([math.log(fit.sigma)])
    assert nl.is_maximum(P, b, g)
    # The naive sum rounds each of its terms, heavy rows have large ones, and SciPy 1.9 is wrong by
    # 2e-15 in one of weight 7e7.
    error = 1e-11 * abs(fit.loglik) + 4e-15 * fit.nobs + 1e-10
    assert nl.loglik(P, b, g) == pytest.approx(fit.loglik, abs=error)
    for end in fit.conf_int(method="profile")[0]:
        best = optimize.minimize_scalar(
            lambda s, end=end: -nl.loglik(P, np.array([end]), np.array([s])),
            bounds=(g[0] - 3.0, g[0] + 3.0),
            method="bounded",
            options={"xatol": 1e-9},
        )
        fall = scipy.stats.chi2.ppf(0.95, 1) / 2.0
        assert fit.loglik + best.fun == pytest.approx(fall, rel=1e-5, abs=10.0 * error)


def test_profiles_beside_a_problem_without_a_maximum():
    """It has no interval, and its neighbours have theirs."""
    x = np.array([[1.0, 2.0, 2.5, 4.0], [1.0, 1.5, 2.0, 30.0], [1.0, 3.0, 3.5, 4.5]])
    fit = fastnat.fit_normal(x, truncation=(0.9, INF))
    ends = fit.conf_int(method="profile")
    assert fit.status[1] == Status.SIGMA_INFINITE
    assert np.all(np.isnan(ends[1]))
    for k in (0, 2):
        one = fastnat.fit_normal(x[k], truncation=(0.9, INF))
        assert one.success
        np.testing.assert_array_equal(ends[k], one.conf_int(method="profile"))


def test_values_at_their_bounds_and_one_that_is_not():
    """Sigma cannot go to 0: a value at a lower bound is above one at an upper bound."""
    x = np.array([-0.938, -1.111, 0.9617])
    bounds = np.array([-3.856, -1.111, -5.671]), np.array([-0.938, -1.025, 0.9617])
    fit = fastnat.fit_normal(x, truncation=bounds)
    assert fit.status is Status.SIGMA_INFINITE

    def loglik(e1):  # of exponential distributions between bounds
        with mp.workdps(30):
            parts = [
                (mp.e ** (e1 * b) - mp.e ** (e1 * a)) / e1 for a, b in zip(*bounds, strict=True)
            ]
            return float(sum(e1 * v - mp.log(m) for v, m in zip(x, parts, strict=True)))

    found = optimize.minimize_scalar(
        lambda e1: -loglik(e1), bounds=(1e-3, 500.0), method="bounded", options={"xatol": 1e-9}
    )
    other = optimize.minimize_scalar(
        lambda e1: -loglik(e1), bounds=(-500.0, -1e-3), method="bounded", options={"xatol": 1e-9}
    )
    assert fit.loglik == pytest.approx(-min(found.fun, other.fun), rel=1e-8)


def test_equal_limits_become_one_with_their_weight():
    """An iteration takes as long as there are different limits."""
    x, left = np.full(1000, 1.0), np.where(np.arange(1000) % 4 == 0, 2.0, 3.0)
    lists = np.empty((compression.N_LISTS, x.size + 1))
    ends = np.empty((compression.N_KINDS, 2), np.int64)
    status, units = np.empty(1, np.int8), np.empty(1)
    offsets = np.array([0, x.size])
    bad = compression.compress(
        x, None, left, None, None, offsets, False, lists, ends, status, units
    )
    assert (bad, status[0], units[0]) == (0, Status.OK, 1.0)
    assert ends[:, 1].tolist() == [0, 2, 0, 0]
    assert lists[compression.LEFT, :2].tolist() == [2.0, 3.0]
    assert lists[compression.LEFT_W, :2].tolist() == [250.0, 750.0]
