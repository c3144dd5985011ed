"""`fit_linear` against exact and published answers, other programs, an oracle, and itself."""

import json
import math
import pickle
import re
import tracemalloc
from pathlib import Path

import naive
import naive_linear as nl
import numpy as np
import pytest
from conftest import COMPILED, assert_same_bits, refused, scaled
from naive import mp
from scipy import optimize, stats

import fastnat
from fastnat import Status, _existence
from fastnat.kernels import linear
from fastnat.streaming import LinearStats

DATA = Path(__file__).parent / "data"
REFERENCE, NIST, STATSMODELS = (
    json.loads((DATA / name).read_text())
    for name in ("regression.json", "nist_linear.json", "statsmodels_linear.json")
)
PROBLEMS = {p["id"]: p for p in REFERENCE["problems"]}
PUBLISHED = REFERENCE["published"]
INF = np.inf


def assert_close(a, b, rtol, atol=0.0):
    np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def assert_cov_close(a, b, tolerance):
    """Relative to the standard errors."""
    scale = np.sqrt(np.diagonal(b, axis1=-2, axis2=-1))
    gap = np.abs(np.asarray(a) - b) / (scale[..., :, None] * scale[..., None, :])
    assert np.all(gap <= tolerance), gap.max()


def assert_maximum(fit, P, *, cov=1e-8):
    """One fit, held against the oracle."""
    assert fit.success, fit
    b, g = fit
    decrement, definite = nl.at_maximum(P, b, g)
    assert definite
    assert decrement <= 1e-18, decrement
    assert_close(fit.loglik, nl.loglik(P, b, g), 1e-11, 1e-11)
    assert fit.nobs == P.weights.sum()
    if cov and fit.cov_type in ("observed", "opg", "sandwich"):
        assert_cov_close(fit.cov_params, nl.covariance(P, b, g, fit.cov_type), cov)


def floats(values):
    return np.array([float(v) for v in values])


# ---- the oracle itself -----------------------------------------------------------------------


def problem_of(p):
    d = p["data"]
    return nl.problem(
        floats(d["lo"]), d["X"], d["Z"], upper=floats(d["hi"]), weights=floats(d["w"])
    )


@pytest.mark.parametrize("p", PROBLEMS.values(), ids=PROBLEMS)
def test_the_oracle_knows_the_exact_problems(p):
    P = problem_of(p)
    exact = [mp.mpf(p["mle"][name]) for name in p["param_names"]]
    loglik = mp.mpf(p["loglik"])
    assert abs(nl.loglik_mp(P, exact[: P.p], exact[P.p :]) - loglik) < 1e-30
    b, g = floats(exact[: P.p]), floats(exact[P.p :])
    assert naive.error(nl.loglik(P, b, g), loglik) <= 1e-13
    assert nl.at_maximum(P, b, g)[0] <= 1e-24
    assert_cov_close(nl.covariance(P, b, g), np.array(p["cov_observed"], float), 1e-12)
    for ours, theirs in zip(nl.climb(P, *nl.start(P)), (b, g), strict=True):
        assert_close(ours, theirs, 1e-12)
    if "se_expected" in p:
        se = [float(p["se_expected"][name]) for name in p["param_names"]]
        assert_close(np.sqrt(np.diag(nl.covariance(P, b, g, "expected"))), se, 1e-12)


ORACLE = {
    "exact": {},
    "truncation": {"truncation": (-3.0, 9.0)},
    "noise": {"noise_std": np.array([0.1, 0.7, 0.3, 1.2, 0.0, 0.4, 0.2, 0.9])},
    "all": {"truncation": (-3.0, INF), "noise_std": 0.5, "weights": np.linspace(0.5, 2.0, 8)},
}


@pytest.mark.parametrize("intervals", [False, True])
@pytest.mark.parametrize("options", ORACLE.values(), ids=ORACLE)
def test_the_oracle_has_the_derivatives_of_its_likelihood(options, intervals, rng):
    """By differences with 60 digits."""
    x = rng.normal(size=(2, 8))
    X, Z = np.stack([np.ones(8), x[0]], 1), np.stack([np.ones(8), x[1]], 1)
    lower = np.array([-INF, 0.3, 1.0, -1.0, -2.0, 5.0, -INF, 8.0])
    upper = np.array([-1.0, INF, 1.01, 2.0, -2.0, 5.5, INF, INF])
    least, most = options.get("truncation", (-INF, INF))
    lower, upper = np.maximum(lower, least), np.minimum(upper, most)
    y = np.clip(rng.normal(size=8), least, most)
    P = nl.problem(lower if intervals else y, X, Z, upper=upper if intervals else None, **options)
    at, h = [mp.mpf(v) for v in (0.3, -0.4, 0.2, 0.3)], mp.mpf(10) ** -12

    def value(*moves):
        theta = list(at)
        for i, sign in moves:
            theta[i] += sign * h
        return nl.loglik_mp(P, theta[:2], theta[2:])

    score = floats([(value((i, 1)) - value((i, -1))) / (2 * h) for i in range(4)])
    info = -np.array(
        [
            floats(
                [
                    sum(s * t * value((i, s), (j, t)) for s in (1, -1) for t in (1, -1))
                    / (2 * h) ** 2
                    for j in range(4)
                ]
            )
            for i in range(4)
        ]
    )
    b, g = floats(at[:2]), floats(at[2:])
    assert_close(nl.loglik(P, b, g), float(value()), 1e-13)
    assert_close(nl.score(P, b, g), score, 1e-12, 1e-12)
    assert_close(nl.observed(P, b, g), info, 1e-12, 1e-12)


# ---- exact and published answers -------------------------------------------------------------


@pytest.mark.parametrize("cov_type", ["observed", "expected"])
@pytest.mark.parametrize("p", PROBLEMS.values(), ids=PROBLEMS)
def test_exact_problems(p, cov_type):
    """Parameters and log-likelihood to 1e-9, standard errors to 1e-8."""
    d, names = p["data"], p["param_names"]
    lower, upper = floats(d["lo"]), floats(d["hi"])
    Z = None if len(d["Z"][0]) == 1 else d["Z"]
    options = {"Z": Z, "weights": d["w"], "cov_type": cov_type}
    if np.array_equal(lower, upper):
        fit = fastnat.fit_linear(lower, d["X"], **options)
    elif cov_type == "expected":
        return  # the limits of the exact values are not known
    else:
        fit = fastnat.fit_linear(lower, d["X"], upper=upper, **options)
    assert fit.status is Status.OK
    assert naive.error(fit.loglik, mp.mpf(p["loglik"])) <= 1e-9
    for value, se, name in zip(fit.params, fit.stderr, names, strict=True):
        assert naive.error(value, mp.mpf(p["mle"][name])) <= 1e-9
        assert naive.error(se, mp.mpf(p["se_" + cov_type][name])) <= 1e-8
    if cov_type == "observed":
        assert_cov_close(fit.cov_params, np.array(p["cov_observed"], float), 1e-8)


def test_tobin_1958():
    """Econometrica 26, 24-36; as on the help page of R's survreg."""
    data = PUBLISHED["tobin"]
    fit = fastnat.fit_linear(data["y"], data["X"], left=0.0)
    theirs = data["published"]
    # R stops at a relative change of the log-likelihood of 1e-9.
    assert_close(fit.coef, theirs["coef"], 5e-9)
    assert_close(fit.sigma, theirs["sigma"], 5e-9)
    assert abs(fit.loglik - theirs["loglik"]) <= 5e-11
    assert_close(fit.params, data["ours"]["params"], 1e-12)
    assert_close(fit.stderr, data["ours"]["stderr"], 1e-10)
    assert_close(fit.loglik, data["ours"]["loglik"], 1e-13)


def test_sas_qlim():
    """SAS/ETS QLIM, example 22.2: log-likelihood -74.93700, AIC 157.87400."""
    data = PUBLISHED["sas_qlim"]
    fit = fastnat.fit_linear(data["y"], data["X"], left=0.0)
    assert f"{fit.loglik:.5f}" == "-74.93700"
    assert f"{fit.aic:.5f}" == "157.87400"
    assert_close(fit.params, data["ours"]["params"], 1e-12)
    assert_close(fit.stderr, data["ours"]["stderr"], 1e-10)
    assert_close(fit.loglik, data["ours"]["loglik"], 1e-13)


def test_motorettes():
    data = PUBLISHED["motorettes"]
    theirs = data["published"]
    hours, running = np.log(data["hours"]), np.array(data["running"], bool)
    X = np.stack([np.ones(30), 1000.0 / (273.2 + np.array(data["temperature"]))], axis=1)
    fit = fastnat.fit_linear(hours, X, upper=np.where(running, INF, hours))
    assert np.round(fit.coef, 3).tolist() == theirs["coef"]
    assert round(float(fit.scale_coef[0]), 3) == theirs["log_sigma"]
    assert np.round(fit.stderr, 3).tolist() == theirs["stderr"]
    assert round(float(fit.loglik), 5) == theirs["loglik_of_logarithms"]
    loglik = fit.loglik - hours[~running].sum()
    assert round(float(loglik), 1) == theirs["loglik_of_hours"]
    right = np.where(running, hours, INF)
    assert_close(fastnat.fit_linear(hours, X, right=right).params, fit.params, 1e-11)


BCG_COLUMNS = {"none": [], "latitude": [4], "latitude and year": [4, 5]}


@pytest.mark.parametrize("name", BCG_COLUMNS)
def test_meta_regression(name):
    """Viechtbauer (2010), Journal of Statistical Software 36(3): four digits after the point.

    metafor stops where tau**2 changes by less than 1e-5, so the last digit may be one off.
    """
    table, theirs = np.array(PUBLISHED["bcg"]["trials"], float), PUBLISHED["bcg"]["published"][name]
    a, b, c, d = table.T[:4]
    y = np.log(a / (a + b)) - np.log(c / (c + d))
    std = np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))
    X = np.column_stack([np.ones(13), table[:, BCG_COLUMNS[name]]])
    fit = fastnat.fit_linear(y, X, noise_std=std, reml=True, cov_type="expected")
    assert fit.status is Status.OK
    assert_close(fit.coef, theirs["coef"], 0, 1.5e-4)
    assert_close(fit.sigma**2, theirs["tau2"], 0, 1.5e-4)
    assert_close(fit.stderr[:-1], theirs["stderr"], 1e-4, 5.1e-5)
    P = nl.problem(y, X, noise_std=std, reml=True)
    assert_close(fit.loglik, nl.loglik(P, *fit), 1e-12)
    plain = fastnat.fit_linear(y, X, noise_std=std)
    assert_maximum(plain, nl.problem(y, X, noise_std=std))
    assert plain.sigma < fit.sigma


# ---- NIST ------------------------------------------------------------------------------------

ACCURACY = {
    # What doubles allow: about the condition number of the design times 1e-16, in units of the
    # least accurate coefficient; columns that are powers are rounded themselves.
    "Norris": (1e-12, 1e-12),
    "Pontius": (1e-11, 1e-11),
    "NoInt1": (1e-14, 1e-13),
    "NoInt2": (1e-14, 1e-13),
    "Filip": (1e-6, 1e-6),  # condition 1e15: R's lm has 7 to 8 digits
    "Longley": (1e-9, 1e-10),
    "Wampler3": (1e-8, 1e-10),
    "Wampler4": (1e-6, 1e-10),  # residuals 100 times as large as those of Wampler3
    "Wampler5": (1e-4, 1e-10),  # and 10,000 times
}


def nist(name):
    data = NIST[name]
    y, x = np.array(data["y"], float), np.array(data["x"], float)
    if "degree" in data:
        X = np.stack([x**k for k in range(data["degree"] + 1)], axis=1)
    else:
        X = x[:, None] if data["model"] == "origin" else np.column_stack([np.ones(len(x)), x])
    return y, X


@pytest.mark.parametrize("name", ACCURACY)
def test_nist_certified_values(name):
    y, X = nist(name)
    params, errors = ACCURACY[name]
    fit = fastnat.fit_linear(y, X, reml=True)
    assert fit.status is Status.OK
    assert_close(fit.coef, floats(NIST[name]["params"]), params)
    assert_close(fit.stderr[:-1], floats(NIST[name]["stderr"]), errors)
    assert_close(fit.sigma, float(NIST[name]["residual_sd"]), errors)


@pytest.mark.parametrize("name", ["Wampler1", "Wampler2"])
def test_nist_perfect_fits(name):
    """Integers that a polynomial interpolates, and the same but for the rounding of decimals."""
    y, X = nist(name)
    fit = fastnat.fit_linear(y, X)
    allowed = [Status.SIGMA_ZERO] if name == "Wampler1" else [Status.SIGMA_ZERO, Status.OK]
    assert fit.status in allowed
    # Condition 1e7 of scaled columns, and coefficients over six decades.
    assert_close(fit.coef, floats(NIST[name]["params"]), 1e-7)
    assert fit.sigma <= 1e-12 * np.abs(y).max()


# ---- statsmodels -----------------------------------------------------------------------------

SM_Y, SM_X = np.array(STATSMODELS["y"]), np.array(STATSMODELS["X"])


def test_least_squares_of_statsmodels():
    theirs = STATSMODELS["ols"]
    fit = fastnat.fit_linear(SM_Y, SM_X)
    assert_close(fit.coef, theirs["params"], 1e-12)
    assert_close(fit.loglik, theirs["llf"], 1e-12)
    assert_close(fit.conf_int(0.9, method="exact")[:-1], theirs["conf_int_0.1"], 1e-12)
    assert_close(fit.predict(STATSMODELS["new_X"])[0], theirs["predicted"], 1e-12)
    assert fit.nit == 0
    restricted = fastnat.fit_linear(SM_Y, SM_X, reml=True)
    assert_close(restricted.coef, theirs["params"], 1e-12)
    assert_close(restricted.stderr[:-1], theirs["bse"], 1e-12)
    assert_close(restricted.sigma**2, theirs["scale"], 1e-12)
    assert_cov_close(restricted.cov_params[:-1, :-1], np.array(theirs["cov"]), 1e-12)


def test_robust_covariances_of_statsmodels():
    theirs, clusters = STATSMODELS["ols"], np.array(STATSMODELS["clusters"])
    robust = fastnat.fit_linear(SM_Y, SM_X, cov_type="sandwich")
    assert_cov_close(robust.cov_params[:-1, :-1], np.array(theirs["hc0_cov"]), 1e-12)
    clustered = fastnat.fit_linear(SM_Y, SM_X, cov_type="sandwich", clusters=clusters)
    assert_cov_close(clustered.cov_params[:-1, :-1], np.array(theirs["cluster_cov"]), 1e-12)


def test_weighted_least_squares_of_statsmodels():
    theirs = STATSMODELS["counts_glm"]
    counts = np.array(STATSMODELS["counts"])
    fit = fastnat.fit_linear(SM_Y, SM_X, weights=counts)
    assert_close(fit.coef, theirs["params"], 1e-12)
    assert_close(fit.loglik, theirs["llf_of_repeated"], 1e-12)
    assert fit.nobs == counts.sum()
    restricted = fastnat.fit_linear(SM_Y, SM_X, weights=counts, reml=True)
    assert_close(restricted.stderr[:-1], theirs["bse"], 1e-12)
    fit = fastnat.fit_linear(SM_Y, SM_X, weights=STATSMODELS["variance_weights"])
    assert_close(fit.coef, STATSMODELS["wls"]["params"], 1e-12)


def test_restricted_likelihood_of_r():
    """R: logLik(lm(y ~ x), REML = TRUE), with its lines of code as the formula."""
    n, p = SM_X.shape
    r = np.linalg.qr(SM_X)[1]
    res = SM_Y - SM_X @ np.linalg.lstsq(SM_X, SM_Y, rcond=None)[0]
    m = n - p
    value = 0.5 * (-m * (math.log(2 * math.pi) + 1 - math.log(m) + math.log(res @ res)))
    value -= np.log(np.abs(np.diag(r))).sum()
    fit = fastnat.fit_linear(SM_Y, SM_X, reml=True)
    assert_close(fit.loglik, value, 1e-13)
    assert_close(nl.loglik(nl.problem(SM_Y, SM_X, reml=True), *fit), value, 1e-13)
    assert_close(fit.stderr[-1], 1.0 / math.sqrt(2 * m), 1e-13)


def test_exact_intervals():
    """Student's t for coefficients; chi-square for sigma, on the log scale."""
    fit = fastnat.fit_linear(SM_Y, SM_X)
    n, p = SM_X.shape
    squares = ((SM_Y - SM_X @ fit.coef) ** 2).sum()
    ends = fit.conf_int(0.8, method="exact")
    chi2 = stats.chi2.ppf([0.9, 0.1], n - p)
    assert_close(ends[-1], 0.5 * np.log(squares / chi2), 1e-12)
    wald = fit.conf_int(0.8)
    half = stats.norm.ppf(0.9) * fit.stderr
    assert_close(wald, np.stack([fit.params - half, fit.params + half], -1), 1e-12)
    both = fastnat.fit_linear(np.stack([SM_Y, SM_Y]), SM_X, reml=True)
    assert_close(both.conf_int(0.8, method="exact"), np.stack([ends, ends]), 1e-12)


# ---- random problems against the oracle ------------------------------------------------------

KINDS = {
    "complete": {},
    "heteroscedastic": {"Z": True},
    "left": {"left": 0.0},
    "both sides": {"left": -0.5, "right": 2.5},
    "heteroscedastic left": {"Z": True, "left": 0.0},
    "intervals": {"upper": True},
    "heteroscedastic intervals": {"Z": True, "upper": True},
    "truncation": {"truncation": (-4.0, INF)},
    "noise": {"noise_std": True},
    "heteroscedastic noise": {"Z": True, "noise_std": True},
    "noise left": {"left": 0.0, "noise_std": True},
    "noise truncation": {"truncation": (-4.0, INF), "noise_std": True},
    "heteroscedastic truncation": {"Z": True, "truncation": (-6.0, INF)},
}
SLOW_UNCOMPILED = "noise truncation"  # a search whose every step is quadrature
if not COMPILED:
    del KINDS[SLOW_UNCOMPILED]
UNIQUE = [  # of which one maximum is all that there is, or one is far above all others
    name for name in KINDS if name not in ("heteroscedastic truncation", "heteroscedastic noise")
]


N_ROWS = scaled(40, 20)


def make(rng, kind, n=N_ROWS, batch=(), p=3):
    """Arguments of fit_linear: (y, X, options)."""
    options = dict(KINDS[kind])
    x = rng.uniform(-1.7, 1.7, (n, p))
    x[:, 0] = 1.0
    Z = np.stack([np.ones(n), x[:, 1]], axis=1)
    slopes = np.resize([0.4, -0.8, 0.5, 0.3], p)
    sigma = np.exp(0.1 + 0.4 * Z[:, 1]) if options.get("Z") else 1.3
    y = x @ slopes + sigma * rng.normal(size=(*batch, n))
    if options.get("noise_std"):
        options["noise_std"] = rng.uniform(0.1, 1.0, n)
        y = y + options["noise_std"] * rng.normal(size=y.shape)
    if "truncation" in options:
        y = np.maximum(y, options["truncation"][0] + rng.exponential(0.5, y.shape))
    if options.get("Z"):
        options["Z"] = Z
    if options.get("upper"):
        width = rng.choice([0.0, 0.3, 1.0, INF], y.shape, p=[0.3, 0.3, 0.2, 0.2])
        below = np.where(rng.random(y.shape) < 0.1, INF, 0.4 * np.minimum(width, 1.0))
        options["upper"] = y + width
        y = np.where(width == 0.0, y, y - np.where(np.isinf(width), 0.4, below))
    return y, x, options


def fit_and_problem(y, X, options, **more):
    fit = fastnat.fit_linear(y, X, **options, **more)
    options = {name: v for name, v in options.items() if name not in ("cov_type", "n_threads")}
    weights = more.get("weights")
    return fit, nl.problem(y, X, **options, weights=weights)


@pytest.mark.parametrize("cov_type", ["observed", "opg", "sandwich"])
@pytest.mark.parametrize("kind", KINDS)
def test_against_the_oracle(kind, cov_type, rng):
    for n in scaled((20, 50, 300), (20,)):
        y, X, options = make(rng, kind, n)
        fit, P = fit_and_problem(y, X, options, cov_type=cov_type)
        assert_maximum(fit, P)
        if kind in UNIQUE and cov_type == "observed":
            b, g = nl.climb(P, *nl.start(P))
            assert fit.loglik >= nl.loglik(P, b, g) - 1e-9
            if nl.is_maximum(P, b, g):
                assert_close(fit.params, np.concatenate([b, g]), 1e-8, 1e-8)


@pytest.mark.parametrize(
    "kind", ["complete", "heteroscedastic", "left", "both sides", "truncation"]
)
def test_expected_information(kind, rng):
    y, X, options = make(rng, kind, 20)
    fit, P = fit_and_problem(y, X, options, cov_type="expected")
    assert_cov_close(fit.cov_params, nl.covariance(P, *fit, "expected"), 1e-9)


@pytest.mark.parametrize("kind", ["noise", "heteroscedastic left"])
def test_expected_information_of_others(kind, rng):
    y, X, options = make(rng, kind, 20)
    fit, P = fit_and_problem(y, X, options, cov_type="expected")
    assert_cov_close(fit.cov_params, nl.covariance(P, *fit, "expected"), 1e-9)


@pytest.mark.parametrize("kind", ["complete", "heteroscedastic", "left", "heteroscedastic left"])
def test_clusters(kind, rng):
    y, X, options = make(rng, kind, 30)
    codes = rng.integers(0, 7, 30)
    weights = rng.uniform(0.5, 2.0, 30)
    for w in (None, weights):
        fit = fastnat.fit_linear(y, X, **options, weights=w, clusters=codes, cov_type="sandwich")
        P = nl.problem(y, X, **options, weights=w)
        wanted = nl.covariance(P, *fit, clusters=codes)
        assert_cov_close(fit.cov_params, wanted, 1e-8)
        other_names = fastnat.fit_linear(
            y, X, **options, weights=w, clusters=100 - codes, cov_type="sandwich"
        )
        assert_cov_close(other_names.cov_params, wanted, 1e-8)
    own = {"clusters": np.arange(30), "cov_type": "sandwich"}
    each = fastnat.fit_linear(y, X, **options, **own)
    plain = fastnat.fit_linear(y, X, **options, cov_type="sandwich")
    assert_cov_close(each.cov_params, plain.cov_params, 1e-10)
    # Sampling weights: the sum of w**2 s s'.
    each = fastnat.fit_linear(y, X, **options, **own, weights=weights)
    P = nl.problem(y, X, **options, weights=weights)
    assert_cov_close(each.cov_params, nl.covariance(P, *each, clusters=np.arange(30)), 1e-8)
    batch = fastnat.fit_linear(np.stack([y, y + 0.1]), X, **options, **own)
    assert_cov_close(batch.cov_params[0], plain.cov_params, 1e-10)


def test_like_crch(rng):
    """Left-censored precipitation with a scale that depends on the ensemble's spread."""
    n = scaled(400, 25)
    mean, spread = rng.gamma(2.0, 1.0, n), rng.gamma(3.0, 0.3, n)
    rain = np.maximum(
        0.0, -0.5 + 0.9 * mean + np.exp(-0.4 + 0.6 * np.log(spread)) * rng.normal(size=n)
    )
    X = np.stack([np.ones(n), mean], axis=1)
    Z = np.stack([np.ones(n), np.log(spread)], axis=1)
    fit, P = fit_and_problem(rain, X, {"Z": Z, "left": 0.0})
    assert_maximum(fit, P)
    expected = fastnat.fit_linear(rain, X, Z, left=0.0, cov_type="expected")
    assert_cov_close(expected.cov_params, nl.covariance(P, *fit, "expected"), 1e-9)
    assert np.all(np.abs(fit.params - [-0.5, 0.9, -0.4, 0.6]) < scaled(5, 8) * fit.stderr)


@pytest.mark.parametrize("kind", ["complete", "noise"])
def test_restricted_likelihood(kind, rng):
    """No other scale has a higher one, the coefficients being those of least squares."""
    y, X, options = make(rng, kind, 20)
    fit = fastnat.fit_linear(y, X, **options, reml=True)
    P = nl.problem(y, X, **options, reml=True)

    def profile(g):
        s = np.hypot(np.exp(P.Z @ g), P.noise)[:, None]
        b = np.linalg.lstsq(X / s, y / s[:, 0], rcond=None)[0]
        return b, nl.loglik(P, b, g)

    assert fit.success
    assert_close(profile(fit.scale_coef)[0], fit.coef, 1e-10)
    assert_close(fit.loglik, nl.loglik(P, *fit), 1e-12)
    best = optimize.minimize(
        lambda g: -profile(g)[1], fit.scale_coef, method="Nelder-Mead", options={"fatol": 1e-13}
    )
    assert fit.loglik >= -best.fun - 1e-10
    assert_close(fit.scale_coef, best.x, 0, 1e-3)
    # The square root of the rounding of the log-likelihood, by a central difference.
    for step in 1e-4 * np.eye(len(best.x)):
        slope = profile(fit.scale_coef + step)[1] - profile(fit.scale_coef - step)[1]
        assert abs(slope) / 2e-4 < 1e-6


# ---- a constant is fit_normal ----------------------------------------------------------------

NORMAL = {
    "complete": {},
    "left": {"left": 2.0},
    "right": {"right": 4.0},
    "both": {"left": 2.0, "right": 4.5},
    "own limits": {"left": np.linspace(0.0, 3.0, 25)},
    "intervals": {"upper": True},
    "truncation": {"truncation": (-1.0, INF)},
    "both bounds": {"truncation": (-3.0, 9.0)},
    "noise": {"noise_std": np.linspace(0.1, 1.5, 25)},
    "much noise": {"noise_std": 5.0},
    "noise left": {"noise_std": np.linspace(0.1, 1.5, 25), "left": 2.0},
    "reml": {"reml": True},
    "reml noise": {"reml": True, "noise_std": np.linspace(0.1, 1.5, 25)},
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", NORMAL)
def test_a_constant_is_fit_normal(kind, weighted, rng):
    y = np.clip(rng.normal(3.0, 1.5, (scaled(4, 2), 25)), -0.9, 8.9)
    options = dict(NORMAL[kind])
    if options.get("upper"):
        options["upper"] = y + 0.7
    if weighted:
        options["weights"] = rng.choice([0.0, 0.5, 1.0, 3.0], 25)
    for cov_type in scaled(("observed", "opg", "sandwich", "expected"), ("observed", "sandwich")):
        if cov_type == "expected" and ("upper" in options or kind == "noise left"):
            continue
        if cov_type in ("opg", "sandwich") and options.get("reml"):
            continue
        normal = fastnat.fit_normal(y, **options, cov_type=cov_type)
        fit = fastnat.fit_linear(y, np.ones((25, 1)), **options, cov_type=cov_type)
        assert np.array_equal(fit.status, normal.status)
        assert_close(fit.coef[:, 0], normal.mu, 1e-9)
        assert_close(fit.sigma, normal.sigma, 1e-9)
        assert_close(fit.loglik, normal.loglik, 1e-11)
        assert np.array_equal(fit.nobs, normal.nobs)
        assert_close(fit.stderr[:, 0], normal.stderr[:, 0], 1e-8)
        with np.errstate(invalid="ignore"):
            assert_close(fit.stderr[:, 1] * fit.sigma, normal.stderr[:, 1], 1e-8)


NORMAL_STATUSES = {
    "sigma_zero": ([2.0, 2.0, 2.0], {}),
    "one value inside": ([2.0, 1.0, -INF], {"upper": [2.0, 3.0, 2.0]}),
    "common interval": ([0.0, 1.0], {"upper": [2.0, 3.0]}),
    "all below": ([-INF, -INF], {"upper": [2.0, 3.0]}),
    "all above": ([2.0, 3.0], {"upper": [INF, INF]}),
    "adjacent bins": ([0.0, 1.0], {"upper": [1.0, 2.0]}),
    "a probit at one point": ([-INF, 1.0], {"upper": [1.0, INF]}),
    "means tie": ([-INF, -INF, 1.0, 3.0], {"upper": [0.5, 3.5, INF, INF]}),
    "half-lines with a maximum": ([-INF, -INF, 1.0, 3.0], {"upper": [0.5, 4.5, INF, INF]}),
    "nothing": ([-INF, -INF], {"upper": [INF, INF]}),
    "exponential limit": ([0.1, 0.2, 9.0], {"truncation": (0.0, INF)}),
    "equal and truncated": ([2.0, 2.0], {"truncation": (0.0, INF)}),
    "outside": ([2.0, -1.0], {"truncation": (0.0, INF)}),
    "one without noise": ([1.0, 2.0, 3.0], {"noise_std": [0.0, 1.0, 1.0]}),
    "only one": ([1.0], {"noise_std": [2.0]}),
    "negative noise": ([1.0, 2.0], {"noise_std": [1.0, -1.0]}),
    "infinite": ([1.0, INF], {}),
    "crossed": ([1.0, 2.0], {"upper": [0.0, 3.0]}),
    "one end": ([1.0, np.nan], {"upper": [2.0, 3.0]}),
    "missing": ([1.0, np.nan, 2.0], {}),
    "no weight": ([1.0, 2.0], {"weights": [0.0, 0.0]}),
    "empty": ([], {}),
}


@pytest.mark.parametrize("name", NORMAL_STATUSES)
def test_statuses_of_a_constant_are_those_of_fit_normal(name):
    y, options = NORMAL_STATUSES[name]
    y = np.array(y, float)
    normal = fastnat.fit_normal(y, **options)
    fit = fastnat.fit_linear(y, np.ones((len(y), 1)), **options)
    assert fit.status is normal.status
    assert np.isclose(fit.loglik, normal.loglik, rtol=1e-11, atol=1e-13, equal_nan=True)
    # Of several coefficients nobody can say which of them go to infinity.
    limit = np.nan if fit.status is Status.MU_INFINITE else normal.mu
    assert np.isclose(fit.coef[0], limit, rtol=1e-9, equal_nan=True)
    assert np.isclose(fit.sigma, normal.sigma, rtol=1e-9, equal_nan=True)


# ---- invariances -----------------------------------------------------------------------------


def moved(options, y_factor=1.0, shift=0.0):
    """The options of y * factor + shift."""
    new = dict(options)
    for name in ("left", "right", "upper"):
        if name in new:
            new[name] = np.asarray(new[name]) * y_factor + shift
    if "truncation" in new:
        new["truncation"] = tuple(np.asarray(end) * y_factor + shift for end in new["truncation"])
    if "noise_std" in new:
        new["noise_std"] = new["noise_std"] * y_factor
    return new


def assert_same_fit(fit, other, tolerance=1e-9):
    assert fit.status is other.status is Status.OK
    scale = np.maximum(np.abs(fit.params), fit.stderr)
    assert np.all(np.abs(fit.params - other.params) <= tolerance * scale)
    assert_close(fit.loglik, other.loglik, 1e-11, 1e-11)
    assert_cov_close(other.cov_params, fit.cov_params, 1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_shift_by_a_combination_of_columns(kind, rng):
    y, X, options = make(rng, kind)
    c = np.array([2.0, -1.0, 0.5])
    fit = fastnat.fit_linear(y, X, **options)
    other = fastnat.fit_linear(y + X @ c, X, **moved(options, shift=X @ c))
    assert_close(other.coef - c, fit.coef, 1e-9, 1e-9)
    assert_close(other.scale_coef, fit.scale_coef, 1e-9, 1e-9)
    assert_close(other.loglik, fit.loglik, 1e-11, 1e-11)
    assert_cov_close(other.cov_params, fit.cov_params, 1e-7)


@pytest.mark.parametrize("power", scaled([-300, -3, 7, 300], [-3]))
@pytest.mark.parametrize("kind", KINDS)
def test_units_of_y_do_not_matter(kind, power, rng):
    y, X, options = make(rng, kind)
    unit = 2.0**power
    fit = fastnat.fit_linear(y, X, **options)
    other = fastnat.fit_linear(y * unit, X, **moved(options, unit))
    assert_close(other.coef / unit, fit.coef, 1e-9, 1e-9)
    shift = np.eye(len(fit.scale_coef))[0] * power * math.log(2.0)
    assert_close(other.scale_coef - shift, fit.scale_coef, 1e-9, 1e-9)
    assert_close(other.stderr[:3] / unit, fit.stderr[:3], 1e-8)
    assert_close(other.stderr[3:], fit.stderr[3:], 1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_columns_of_x_can_be_changed(kind, rng):
    y, X, options = make(rng, kind)
    change = np.array([[1.0, 30e4, -2.0], [0.0, 1e4, 0.5], [0.0, 0.0, 2.0]])
    fit = fastnat.fit_linear(y, X, **options)
    other = fastnat.fit_linear(y, X @ change, **options)
    assert_close(change @ other.coef, fit.coef, 1e-8, 1e-8)
    assert_close(other.scale_coef, fit.scale_coef, 1e-9, 1e-9)
    assert_close(other.loglik, fit.loglik, 1e-11, 1e-11)
    back = change @ other.cov_params[:3, :3] @ change.T
    assert_cov_close(back, fit.cov_params[:3, :3], 1e-6)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "Z" in KINDS[kind]])
def test_columns_of_z_can_be_changed(kind, rng):
    y, X, options = make(rng, kind)
    change = np.array([[1e2, -3.0], [0.0, 1e-3]])
    fit = fastnat.fit_linear(y, X, **options)
    other = fastnat.fit_linear(y, X, **(options | {"Z": options["Z"] @ change}))
    assert_close(other.coef, fit.coef, 1e-9, 1e-9)
    assert_close(change @ other.scale_coef, fit.scale_coef, 1e-8, 1e-8)
    assert_close(other.loglik, fit.loglik, 1e-11, 1e-11)


def taken(options, rows):
    """The options of these rows."""
    return {
        name: value[rows] if isinstance(value, np.ndarray) and value.ndim else value
        for name, value in options.items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_order_and_repetition_of_rows(kind, rng):
    y, X, options = make(rng, kind)
    fit = fastnat.fit_linear(y, X, **options)
    order = rng.permutation(len(y))
    assert_same_fit(fit, fastnat.fit_linear(y[order], X[order], **taken(options, order)))
    counts = rng.integers(0, 4, len(y))
    rows = np.repeat(np.arange(len(y)), counts)
    repeated = fastnat.fit_linear(y[rows], X[rows], **taken(options, rows))
    weighted = fastnat.fit_linear(y, X, **options, weights=counts)
    assert_same_fit(repeated, weighted)
    assert weighted.nobs == counts.sum()
    assert_same_bits(fit, fastnat.fit_linear(y, X, **options, weights=np.ones(len(y))))


@pytest.mark.parametrize("kind", KINDS)
def test_weight_zero_is_left_out(kind, rng):
    """Whatever stands there: NaN in y, in X, in Z, in the noise."""
    y, X, options = make(rng, kind)
    weights = rng.choice([0.5, 1.0, 2.0], len(y))
    weights[[3, 11, 14, 17]] = 0.0
    kept = weights > 0
    fit = fastnat.fit_linear(y[kept], X[kept], **taken(options, kept), weights=weights[kept])
    y, X, dirty = y.copy(), X.copy(), {k: np.array(v) for k, v in options.items() if k == "Z"}
    options = options | dirty
    y[[3, 14]], X[11], X[17, 1] = np.nan, INF, np.nan
    if "Z" in options:
        options["Z"][[3, 17]] = np.nan
    if "noise_std" in options:
        options["noise_std"] = options["noise_std"].copy()
        options["noise_std"][[3, 11]] = -1.0, np.nan
    assert_same_fit(fit, fastnat.fit_linear(y, X, **options, weights=weights))


@pytest.mark.parametrize("reml", [False, True])
def test_plain_responses_beside_others(reml, rng):
    """One that cannot be fitted at once leaves nothing behind for the next."""
    n = scaled(1300, 600)  # more than one block of rows
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    line = X @ [1.0, 2.0, -0.5]
    noise = rng.normal(size=n)
    odd = [
        np.where(np.arange(n) == 7, np.nan, line),
        np.where(np.arange(n) == 7, INF, line),
        1e200 * line,
        np.full(n, 3.0),
        np.zeros(n),
        line,
        1e-200 * (line + noise),
    ]
    plain = {1.0: line + noise, 1e-2: line + 1e-2 * noise, 1e-5: line + 1e-5 * noise}
    Y = np.array([y for other in odd for y in (*plain.values(), 1e9 + line + noise, other)])
    found = fastnat.fit_linear(Y, X, reml=reml)
    for k, y in enumerate(Y):
        single = fastnat.fit_linear(y, X, reml=reml)
        for name in ("params", "loglik", "stderr", "cov_params", "status", "nobs"):
            a, b = getattr(found, name)[k], getattr(single, name)
            assert np.array_equal(a, b, equal_nan=True), (name, k)
    statuses = [Status(s).name for s in found.status.reshape(-1, 5)[:, 4]]
    ends = ["SIGMA_ZERO"] * 4
    assert statuses == ["NAN_INPUT", "INVALID_INPUT", *ends, "OK"]
    shared, *_ = np.linalg.lstsq(X, noise, rcond=None)
    rest = np.sum((noise - X @ shared) ** 2)
    sigma = math.sqrt(rest / (n - 3 if reml else n))
    for k, size in enumerate(plain):
        assert_close(found.sigma[k], size * sigma, 1e-14 / size)  # the sum was rounded
        assert_close(found.coef[k], [1.0, 2.0, -0.5] + size * shared, 1e-13)
    assert_close(found.sigma[3], sigma, 1e-6)  # half an ulp of 1e9 in each value


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_loops(kind, rng):
    """To the last bit: one by one, together, in parts, on threads, with a design for each."""
    n_fits = scaled(60, 2)
    y, X, options = make(rng, kind, n=scaled(25, 10), batch=(n_fits,))
    together = fastnat.fit_linear(y, X, **options)
    assert together.params.shape == (n_fits, 3 + together.scale_coef.shape[-1])

    def one(k):
        own = dict(options, upper=options["upper"][k]) if "upper" in options else options
        return fastnat.fit_linear(y[k], X, **own)

    for k in range(scaled(4, 2)):
        single = one(k)
        for name in ("params", "loglik", "stderr", "cov_params", "status", "nit", "nobs"):
            a, b = getattr(together, name)[k], getattr(single, name)
            assert np.array_equal(a, b, equal_nan=True), (name, k)
    for n_threads in (1, 2):
        assert_same_bits(together, fastnat.fit_linear(y, X, **options, n_threads=n_threads))
    stacked = np.repeat(X[None], n_fits, axis=0)
    assert_same_bits(together, fastnat.fit_linear(y, stacked, **options))
    if "Z" in options:
        more = dict(options, Z=np.repeat(options["Z"][None], n_fits, axis=0))
        assert_same_bits(together, fastnat.fit_linear(y, stacked, **more))
        assert_same_bits(together, fastnat.fit_linear(y, X, **more))
    part = dict(options, upper=options["upper"][1:]) if "upper" in options else options
    rest = fastnat.fit_linear(y[1:], X, **part)
    assert np.array_equal(rest.params, together.params[1:], equal_nan=True)
    assert np.array_equal(rest.stderr, together.stderr[1:], equal_nan=True)


@pytest.mark.parametrize("kind", ["complete", "heteroscedastic", "left", "heteroscedastic left"])
def test_one_long_problem(kind, rng):
    """Its rows are cut into blocks: the same bits for every number of threads."""
    n = scaled(150_000, 400)
    y, X, options = make(rng, kind, n)
    fit, P = fit_and_problem(y, X, options, n_threads=1)
    assert_same_bits(fit, fastnat.fit_linear(y, X, **options, n_threads=2))
    assert_same_bits(fit, fastnat.fit_linear(y, X, **options))
    assert fit.success
    some = slice(0, n, scaled(50, 1))  # the oracle is slow
    total, info = 0.0, 0.0
    for start in range(0, n, 10_000):
        part = nl.rows_of(P, slice(start, start + 10_000))
        _, s, j = nl.per_row(part, *fit)
        total, info = total + s.sum(0), info + j.sum(0)
    assert total @ np.linalg.solve(info, total) <= 1e-16 * n
    assert_cov_close(fit.cov_params, np.linalg.inv(info), 1e-8)
    assert nl.per_row(nl.rows_of(P, some), *fit)[0].shape == (len(range(*some.indices(n))),)


# ---- shapes ----------------------------------------------------------------------------------


def test_shapes(rng):
    n = 15
    y, X, Z = rng.normal(size=n), rng.normal(size=(n, 3)), np.ones((n, 1))
    fit = fastnat.fit_linear(y, X)
    for name in ("loglik", "nobs", "sigma", "aic", "bic"):
        assert type(getattr(fit, name)) is np.float64, name
    assert type(fit.status) is Status
    assert fit.success is True
    assert (fit.coef.shape, fit.scale_coef.shape) == ((3,), (1,))
    assert (fit.params.shape, fit.stderr.shape, fit.cov_params.shape) == ((4,), (4,), (4, 4))
    assert fit.conf_int().shape == (4, 2)
    shapes = [
        # y, X, Z, batch
        ((5, n), (n, 3), None, (5,)),
        ((5, n), (5, n, 3), None, (5,)),
        ((n,), (5, n, 3), None, (5,)),
        ((2, 5, n), (n, 3), (n, 2), (2, 5)),
        ((2, 1, n), (5, n, 3), (n, 2), (2, 5)),
        ((n,), (n, 3), (4, n, 2), (4,)),
        ((0, n), (n, 3), None, (0,)),
        ((0, n), (0, n, 3), (n, 2), (0,)),
        ((3, 0, n), (n, 3), None, (3, 0)),
        ((1, n), (1, n, 3), (1, n, 2), (1,)),
    ]
    for y_shape, x_shape, z_shape, batch in shapes:
        y, X = rng.normal(size=y_shape), rng.normal(size=x_shape)
        Z = None if z_shape is None else rng.normal(size=z_shape) * 0.1
        q = 1 if Z is None else 2
        fit = fastnat.fit_linear(y, X, Z)
        assert fit.params.shape == (*batch, 3 + q)
        assert fit.coef.shape == (*batch, 3)
        assert fit.scale_coef.shape == (*batch, q)
        assert fit.cov_params.shape == (*batch, 3 + q, 3 + q)
        assert fit.conf_int(0.9).shape == (*batch, 3 + q, 2)
        for name in ("loglik", "nobs", "status", "nit", "success", "aic", "bic"):
            assert getattr(fit, name).shape == batch, name
        assert fit.status.dtype == np.int8
        for index in list(np.ndindex(batch))[:3]:
            full = np.broadcast_to(y, (*batch, n))[index]
            designs = [
                None if d is None else np.broadcast_to(d, (*batch, *d.shape[-2:]))[index]
                for d in (X, Z)
            ]
            one = fastnat.fit_linear(full, *designs)
            assert np.array_equal(one.params, fit.params[index], equal_nan=True)


def test_it_unpacks_to_coefficients(rng):
    y, X, options = make(rng, "heteroscedastic", batch=(4,))
    fit = fastnat.fit_linear(y, X, **options)
    b, g = fit
    assert np.array_equal(b, fit.coef)
    assert np.array_equal(g, fit.scale_coef)
    assert np.array_equal(fit.params, np.concatenate([b, g], axis=-1))
    with pytest.raises(AttributeError, match="sigma"):
        fit.sigma  # noqa: B018
    assert not hasattr(fit, "sigma")
    plain = fastnat.fit_linear(y, X)
    assert_close(plain.sigma, np.exp(plain.scale_coef[..., 0]), 1e-15)


def test_limits_noise_and_weights_broadcast(rng):
    y, X, _ = make(rng, "complete", 30, (3,))
    limits = np.array([-0.5, 0.0, 0.3])
    fit = fastnat.fit_linear(y, X, left=limits[:, None])
    rows = rng.uniform(-1.0, 0.0, 30)
    own = fastnat.fit_linear(y, X, left=rows)
    bounds = y.min(axis=1) - 0.1
    truncated = fastnat.fit_linear(y, X, truncation=(bounds[:, None], INF))
    noisy = fastnat.fit_linear(y, X, noise_std=limits[:, None] + 1.0)
    for k in range(3):
        for fits, options in (
            (fit, {"left": limits[k]}),
            (own, {"left": rows}),
            (truncated, {"truncation": (bounds[k], INF)}),
            (noisy, {"noise_std": limits[k] + 1.0}),
        ):
            one = fastnat.fit_linear(y[k], X, **options)
            assert one.status == fits.status[k]
            assert_close(fits.params[k], one.params, 1e-11, 1e-11)
    bootstrap = rng.multinomial(30, np.full(30, 1 / 30), size=4)
    fit = fastnat.fit_linear(y[0], X, weights=bootstrap)
    assert fit.params.shape == (4, 4)
    for k in range(4):
        rows = np.repeat(np.arange(30), bootstrap[k])
        assert_close(fit.params[k], fastnat.fit_linear(y[0][rows], X[rows]).params, 1e-10, 1e-12)


LAYOUTS = {
    "integers": lambda a: np.round(a * 8).astype(int),
    "float32": lambda a: a.astype(np.float32),
    "other byte order": lambda a: a.astype(">f8"),
    "Fortran": np.asfortranarray,
    "every second": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
    "long double": lambda a: a.astype(np.longdouble),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["complete", "heteroscedastic left", "noise"])
def test_any_layout(kind, layout, rng):
    y, X, options = make(rng, kind, scaled(25, 12), (scaled(3, 2),))
    change = LAYOUTS[layout]
    y, X = change(y), change(X)
    assert not (y.flags.c_contiguous and X.flags.c_contiguous and y.dtype == X.dtype == float)
    before = y.copy(), X.copy()
    read_only = [a.view() for a in (y, X)]
    for a in read_only:
        a.flags.writeable = False
    fit = fastnat.fit_linear(*read_only, **options)
    plain = fastnat.fit_linear(
        np.array(y, float, order="C"), np.array(X, float, order="C"), **options
    )
    assert_same_bits(fit, plain)
    assert np.array_equal(before[0], y)
    assert np.array_equal(before[1], X)
    as_lists = fastnat.fit_linear(
        np.array(y, float).tolist(), np.array(X, float).tolist(), **options
    )
    assert_same_bits(as_lists, plain)


@pytest.mark.parametrize("kind", ["complete", "heteroscedastic", "left"])
@pytest.mark.parametrize("shared", [False, True])
def test_no_temporary_of_the_size_of_x(kind, shared, rng):
    n_fits, n = scaled((100, 2000), (3, 30))
    batch = () if shared else (n_fits,)
    length = n_fits * n if shared else n
    y, X, options = make(rng, kind, length, batch, p=10)
    if not shared:
        X = np.repeat(X[None], n_fits, axis=0)
    fastnat.fit_linear(y, X, **options)  # compiles
    tracemalloc.start()
    try:
        fastnat.fit_linear(y, X, **options, n_threads=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < scaled(0.3, 1000) * X.nbytes


# ---- what can go wrong -----------------------------------------------------------------------


def line(n=10):
    return np.stack([np.ones(n), np.arange(n) - 3.0], axis=1)


def test_dependent_columns_are_named(rng):
    y, x = rng.normal(size=20), rng.normal(size=20)
    X = np.stack([np.ones(20), x, rng.normal(size=20), x], axis=1)
    for left in (None, -0.5):
        fit = fastnat.fit_linear(y, X, left=left)
        assert fit.status is Status.NOT_IDENTIFIED
        assert np.all(np.isnan(fit.params))
        assert np.all(np.isnan(fit.stderr))
        assert re.search(r"\bX\b", fit.message)
        assert re.search(r"\b[13]\b", fit.message)
        assert not re.search(r"\b2\b", fit.message)
    Z = np.stack([np.ones(20), x, 2.0 * x], axis=1)
    fit = fastnat.fit_linear(y, X[:, :2], Z)
    assert fit.status is Status.NOT_IDENTIFIED
    assert re.search(r"\bZ\b", fit.message)
    assert re.search(r"\b[12]\b", fit.message)
    zero = fastnat.fit_linear(y, np.stack([np.ones(20), np.zeros(20)], axis=1))
    assert zero.status is Status.NOT_IDENTIFIED
    assert re.search(r"\b1\b", zero.message)
    with pytest.raises(fastnat.FitError, match="X"):
        zero.raise_for_status()


@pytest.mark.parametrize("factor", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("scale", [1e-6, 1e-9, 1e-11])
def test_nearly_dependent_columns_are_fitted(scale, factor, rng):
    """What 16 digits can tell apart: the fitted values agree with those of orthogonal columns."""
    x, rest = rng.normal(size=(2, 30))
    base = np.stack([np.ones(30), x, rest], axis=1)
    X = base.copy()
    X[:, 2] = x + scale * rest
    y = base @ [1.0, 2.0, 3.0] + rng.normal(size=30)
    for options in ({}, {"left": 0.0}):
        good = fastnat.fit_linear(y, base, **options)
        fit = fastnat.fit_linear(y, X * [1.0, factor, 1.0 / factor], **options)
        assert fit.status is Status.OK
        # An error of eps in X is one of eps / scale in the small part of a column.
        assert_close(fit.loglik, good.loglik, 1e-4 * 1e-11 / scale)
        assert_close(fit.sigma, good.sigma, 1e-3 * 1e-11 / scale)


def test_too_few_rows():
    y = np.array([1.0, 4.0, 2.0])
    X = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0, 2.0, 4.0]])
    fit = fastnat.fit_linear(y, X)
    assert fit.status is Status.SIGMA_ZERO
    assert_close(fit.coef, np.linalg.solve(X, y), 1e-13)
    assert fit.sigma == 0.0
    assert fit.loglik == INF
    assert fit.scale_coef[0] == -INF
    assert np.all(np.isnan(fit.stderr))
    few = fastnat.fit_linear(y[:2], X[:2])
    assert few.status is Status.NOT_IDENTIFIED
    assert np.isnan(few.loglik)
    assert fastnat.fit_linear(y[:0], X[:0]).status is Status.NO_DATA
    assert fastnat.fit_linear(y, X, weights=[0.0, 0.0, 0.0]).status is Status.NO_DATA
    assert fastnat.fit_linear(y, X, weights=[1.0, 0.0, 1.0]).status is Status.NOT_IDENTIFIED
    # With as many parameters as values the restricted likelihood is constant.
    assert fastnat.fit_linear(y, X, reml=True).status is Status.NOT_IDENTIFIED


@pytest.mark.parametrize("weight", [0.5, 0.4])
def test_restricted_likelihood_with_no_more_weight_than_coefficients(weight):
    """-dof log(sigma) - RSS / (2 sigma**2) - log|X'WX| / 2, dof <= 0: largest at infinity."""
    X, y = np.stack([np.ones(4), np.arange(4.0)], axis=1), np.array([1.0, 2.0, 4.0, 3.0])
    weights = np.full(4, weight)
    stats = LinearStats()
    stats.update(y, X, weights=weights)
    constant = -0.5 * np.linalg.slogdet(X.T @ (weights[:, None] * X))[1]
    for fit in (fastnat.fit_linear(y, X, weights=weights, reml=True), stats.fit(reml=True)):
        assert fit.status is Status.SIGMA_INFINITE
        assert fit.sigma == math.inf
        if weight == 0.5:
            assert_close(fit.loglik, constant, 1e-13)
        else:
            assert fit.loglik == math.inf
    weights[2:] = 0.0  # a plane goes through the rest, and the likelihood does not know sigma
    weights[:2] = 1.0
    flat = fastnat.fit_linear(y, X, weights=weights, reml=True)
    assert flat.status is Status.NOT_IDENTIFIED


@pytest.mark.parametrize("n", [40, scaled(70_000, 600)])
@pytest.mark.parametrize("limits", [{}, {"left": -0.125}, {"right": 0.125}])
def test_an_offset_costs_no_digits(n, limits, rng):
    """Values near 1e7 with a deviation of 0.1, wherever the constant is among the columns."""
    t = rng.normal(size=n)
    near = np.round(rng.normal(0.3 * t, 0.1) * 2.0**20) / 2.0**20  # so that adding 1e7 is exact
    there = {k: v + 1e7 for k, v in limits.items()}
    for X in (np.stack([np.ones(n), t], axis=1), np.stack([t, np.ones(n)], axis=1)):
        here, far = (
            fastnat.fit_linear(near, X, **limits),
            fastnat.fit_linear(near + 1e7, X, **there),
        )
        column = int(X[0, 0] == 1.0)
        assert_close(far.coef[column], here.coef[column], 1e-13)
        assert_close(far.sigma, here.sigma, 1e-13)
        assert_close(far.stderr, here.stderr, 1e-12)


def test_a_perfect_fit():
    X = line()
    b = np.array([2.0, -3.0])
    for options in ({}, {"weights": np.arange(1.0, 11.0)}, {"left": -100.0}, {"reml": True}):
        fit = fastnat.fit_linear(X @ b, X, **options)
        assert fit.status is Status.SIGMA_ZERO
        assert_close(fit.coef, b, 1e-12)
        assert (fit.sigma, fit.loglik) == (0.0, INF)
        assert np.all(np.isnan(fit.stderr))
    # Censored rows that agree with the line do not keep sigma from 0.
    fit = fastnat.fit_linear(X @ b, X, left=-5.0)
    assert fit.status is Status.SIGMA_ZERO
    assert fit.loglik == INF
    assert_close(fit.coef, b, 1e-9)
    Z = np.stack([np.ones(10), np.arange(10.0)], axis=1)
    fit = fastnat.fit_linear(X @ b, X, Z)
    assert fit.status in (Status.SIGMA_ZERO, Status.UNBOUNDED)
    assert fit.loglik == INF


def test_a_dummy_for_one_row_in_z(rng):
    """Its scale goes to zero, and the likelihood to infinity."""
    X, y = line(), rng.normal(size=10)
    dummy = np.zeros(10)
    dummy[4] = 1.0
    for options in ({}, {"left": -10.0}, {"left": np.sort(y)[2], "weights": np.full(10, 2.0)}):
        left = options.get("left", -INF)
        row = int(np.argmax(y))
        Z = np.stack([np.ones(10), np.roll(dummy, row - 4)], axis=1)
        assert y[row] > left
        fit = fastnat.fit_linear(y, X, Z, **options)
        assert fit.status is Status.UNBOUNDED
        assert fit.loglik == INF
        assert np.all(np.isnan(fit.params))
    # For a row that is censored the scale has no such limit.
    censored = int(np.argmin(y))
    Z = np.stack([np.ones(10), np.roll(dummy, censored - 4)], axis=1)
    limit = np.sort(y)[1] - 1e-9
    fit = fastnat.fit_linear(y, X, Z, left=limit)
    assert not fit.success
    assert fit.status is not Status.UNBOUNDED
    # Two rows that a line can pass through.
    Z = np.stack([np.ones(10), dummy + np.roll(dummy, 3)], axis=1)
    assert fastnat.fit_linear(y, X, Z).status is Status.UNBOUNDED
    # Three that no line passes through.
    Z = np.stack([np.ones(10), dummy + np.roll(dummy, 3) + np.roll(dummy, 5)], axis=1)
    fit = fastnat.fit_linear(y, X, Z)
    assert fit.status is Status.OK
    assert_maximum(fit, nl.problem(y, X, Z))


def test_all_censored(rng):
    X, y = line(), rng.normal(size=10)
    for options in ({"left": 5.0}, {"right": -5.0}):
        fit = fastnat.fit_linear(y, X, **options)
        assert fit.status is Status.MU_INFINITE
        assert fit.loglik == 0.0
        assert np.all(np.isnan(fit.stderr))
        assert np.all(np.isnan(fit.coef))
        Z = np.stack([np.ones(10), np.arange(10.0)], axis=1)
        assert not fastnat.fit_linear(y, X, Z, **options).success


def test_separation(rng):
    """A group of which all are censored: the likelihood approaches that of the others."""
    y = rng.normal(size=20)
    group = np.arange(20) >= 14
    X = np.stack([np.ones(20), group], axis=1)
    y[group] = -9.0
    fit = fastnat.fit_linear(y, X, left=-2.5)
    assert fit.status is Status.MU_INFINITE
    others = fastnat.fit_linear(y[~group], X[~group, :1], left=-2.5)
    assert_close(fit.loglik, others.loglik, 1e-9)
    y[15] = -1.0
    fit = fastnat.fit_linear(y, X, left=-2.5)
    assert_maximum(fit, nl.problem(y, X, left=-2.5))


def recession(X, lower, upper):
    """Directions (d, dh) that no row of a Tobit model objects to: (any, any with dh > 0).

    By linear programming: dh >= 0, dh y = x'd for exact values, dh U >= x'd, dh L <= x'd.
    """
    p = X.shape[1]
    exact = lower == upper
    below, above = np.isfinite(upper) & ~exact, np.isfinite(lower) & ~exact
    slack = np.concatenate(  # which must not be negative
        [
            np.column_stack([-X[below], upper[below]]),
            np.column_stack([X[above], -lower[above]]),
        ]
    )
    equal = np.column_stack([X[exact], -lower[exact]])
    limits = {"bounds": [(-1, 1)] * p + [(0, 1)]}
    if len(slack):
        limits |= {"A_ub": -slack, "b_ub": np.zeros(len(slack))}
    if len(equal):
        limits |= {"A_eq": equal, "b_eq": np.zeros(len(equal))}
    scale = np.eye(p + 1)[p]
    found = [optimize.linprog(-objective, **limits) for objective in (slack.sum(0) + scale, scale)]
    assert all(f.status == 0 for f in found)
    return tuple(-f.fun > 1e-6 for f in found)


@pytest.mark.parametrize("seed", range(scaled(20, 3)))
def test_existence_is_a_linear_program(seed):
    """Small problems, of which half have no maximum."""
    rng = np.random.default_rng(seed)
    n_fits, n, p = scaled(20, 4), int(rng.integers(4, 9)), int(rng.integers(1, 4))
    X = rng.integers(-2, 3, (n_fits, n, p)).astype(float)
    X[:, :, 0] = 1.0
    lower = rng.integers(-3, 4, (n_fits, n)).astype(float)
    kind = rng.integers(0, 4, (n_fits, n))
    upper = np.select([kind == 0, kind == 1], [lower, INF], lower + rng.integers(1, 4, (n_fits, n)))
    lower = np.where(kind == 2, -INF, lower)
    fit = fastnat.fit_linear(lower, X, upper=upper)
    for k in range(n_fits):
        status = fit.status[k]
        if np.linalg.matrix_rank(X[k]) < p:
            assert status == Status.NOT_IDENTIFIED
            continue
        some, scale = recession(X[k], lower[k], upper[k])
        finite = np.isfinite(lower[k]) & np.isfinite(upper[k])
        if not some and finite.any():
            assert status == Status.OK, (k, X[k], lower[k], upper[k])
            one = nl.problem(lower[k], X[k], upper=upper[k])
            assert nl.is_maximum(one, fit.coef[k], fit.scale_coef[k])
        elif not some:
            assert status in (Status.OK, Status.SIGMA_INFINITE)
        elif scale and np.any(lower[k] == upper[k]):
            assert status == Status.SIGMA_ZERO
        elif scale:
            allowed = (Status.SIGMA_ZERO, Status.MU_INFINITE, Status.NOT_IDENTIFIED)
            assert status in allowed
        else:
            assert status in (Status.MU_INFINITE, Status.NOT_IDENTIFIED, Status.SIGMA_INFINITE)


def test_half_lines_only(rng):
    """Whether values are above or below limits of their own: a maximum, or sigma is infinite."""
    n = 60
    X = np.stack([np.ones(n), rng.normal(size=n)], axis=1)
    limit = rng.normal(size=n) * 2.0
    y = X @ [0.3, 0.5] + rng.normal(size=n)
    lower, upper = np.where(y > limit, limit, -INF), np.where(y > limit, INF, limit)
    fit = fastnat.fit_linear(lower, X, upper=upper)
    assert_maximum(fit, nl.problem(lower, X, upper=upper))
    # The other way round, larger limits make larger values more likely.
    lower, upper = np.where(y > limit, -limit, -INF), np.where(y > limit, INF, -limit)
    fit = fastnat.fit_linear(lower, X, upper=upper)
    assert fit.status is Status.SIGMA_INFINITE
    assert np.isnan(fit.coef).all()
    assert fit.sigma == INF


def test_noise_statuses():
    X, y = line(), np.array([3.0, 1.0, 2.5, 0.0, 4.0, 3.0, 1.0, 0.5, 2.0, 2.0])
    fit = fastnat.fit_linear(y, X, noise_std=5.0)
    assert fit.status is Status.BOUNDARY
    assert fit.success
    assert fit.sigma == 0.0
    assert fit.scale_coef[0] == -INF
    assert_close(fit.coef, np.linalg.lstsq(X, y, rcond=None)[0], 1e-12)
    cov = 25.0 * np.linalg.inv(X.T @ X)
    assert_close(fit.stderr[:2], np.sqrt(np.diag(cov)), 1e-12)
    assert np.isnan(fit.stderr[2])
    some = np.full(10, 1.0)
    some[3] = 0.0  # a row without noise, which a line passes through
    fit = fastnat.fit_linear(y, X, noise_std=some)
    assert (fit.status, fit.loglik) == (Status.UNBOUNDED, INF)
    some[[3, 4, 5]] = 0.0  # three, which no line passes through
    fit = fastnat.fit_linear(y, X, noise_std=some)
    assert fit.status is Status.OK
    assert_maximum(fit, nl.problem(y, X, noise_std=some))
    quiet = fastnat.fit_linear(y, X, noise_std=0.0)
    assert_close(quiet.params, fastnat.fit_linear(y, X).params, 1e-12)


def test_missing_and_impossible_values(rng):
    y, X, options = make(rng, "heteroscedastic", 30)
    Z = options["Z"]
    clean = fastnat.fit_linear(y[3:], X[3:], Z[3:])
    dirty = [y.copy(), X.copy(), Z.copy()]
    for k, name in enumerate(("y", "X", "Z")):
        dirty[k][k] = np.nan
        one = [y, X, Z]
        one[k] = dirty[k]
        assert fastnat.fit_linear(*one).status is Status.NAN_INPUT
        with pytest.raises(ValueError, match=rf"\b{name}\b.* contains NaN"):
            fastnat.fit_linear(*one, nan_policy="raise")
    fit = fastnat.fit_linear(*dirty, nan_policy="omit")
    assert_same_fit(clean, fit)
    assert fit.nobs == 27
    # In a batch with a common design: a row is left out of the problem whose value is missing.
    batch = np.stack([y, dirty[0], y])
    fit = fastnat.fit_linear(batch, X, Z, nan_policy="omit")
    assert fit.nobs.tolist() == [30, 29, 30]
    assert_same_fit(
        fastnat.fit_linear(y[1:], X[1:], Z[1:]),
        fastnat.fit_linear(batch[1], X, Z, nan_policy="omit"),
    )
    assert fastnat.fit_linear(batch, X, Z).status.tolist() == [0, 3, 0]
    for k in range(3):
        one = [y.copy(), X.copy(), Z.copy()]
        one[k][5] = INF
        assert fastnat.fit_linear(*one).status is Status.INVALID_INPUT
    assert fastnat.fit_linear(y, X, left=np.where(np.arange(30) == 2, np.nan, -9.0)).status == 4
    assert fastnat.fit_linear(y, X, truncation=(0.0, INF)).status is Status.INVALID_INPUT
    lower, upper = y.copy(), y + 1.0
    upper[4] = y[4] - 1.0
    assert fastnat.fit_linear(lower, X, upper=upper).status is Status.INVALID_INPUT
    upper[4], lower[4] = np.nan, np.nan
    assert fastnat.fit_linear(lower, X, upper=upper).status is Status.NAN_INPUT
    assert fastnat.fit_linear(lower, X, upper=upper, nan_policy="omit").nobs == 29
    lower[4] = 0.0
    for policy in ("propagate", "omit"):
        fit = fastnat.fit_linear(lower, X, upper=upper, nan_policy=policy)
        assert fit.status is Status.INVALID_INPUT


@pytest.mark.parametrize("value", [np.nan, INF])
@pytest.mark.parametrize("kind", ["plain", "limit", "noise", "truncation", "Z"])
@pytest.mark.parametrize("weighted", [False, True])
def test_values_that_spoil_a_fit_count_as_in_fit_normal(kind, value, weighted, rng):
    y, w = rng.uniform(0.0, 5.0, 700), np.arange(700) % 3 + 1.0  # two blocks
    y[[3, 600]] = value, np.nan
    options = {
        "limit": {"left": 1.0},
        "noise": {"noise_std": 0.5},
        "truncation": {"truncation": (0, 9)},
    }
    options = options.get(kind, {}) | ({"weights": w} if weighted else {})
    Z = {"Z": line(700)} if kind == "Z" else {}
    for policy in ("propagate", "omit"):
        plain = fastnat.fit_normal(y, nan_policy=policy, **options)
        fit = fastnat.fit_linear(y, line(700), nan_policy=policy, **Z, **options)
        assert plain.nobs == fit.nobs
        if not (policy == "omit" and np.isnan(value)):
            assert not fit.success
    # Dependent only in the problem that lost rows.
    X = np.stack([np.ones(6), [1.0, 0, 0, 0, 0, 0]], axis=1)
    y = np.array([[1.0, 2.0, 4.0, 3.0, 2.0, 5.0]] * 2)
    y[1, 0] = np.nan
    fit = fastnat.fit_linear(y, X, nan_policy="omit")
    assert fit.status.tolist() == [Status.OK, Status.NOT_IDENTIFIED]


def test_all_statuses_in_one_call():
    X = line(6)
    y = np.array([1.0, 3.0, 2.0, 5.0, 4.0, 7.0])
    weights = np.ones((6, 6))
    values = np.stack([y, y, y, y, X @ [1.0, 2.0], y])
    values[1, 2], values[2, 3] = np.nan, INF
    weights[3], weights[5, 1:] = 0.0, 0.0
    fit = fastnat.fit_linear(values, X, weights=weights)
    names = [Status(s).name for s in fit.status]
    assert names == ["OK", "NAN_INPUT", "INVALID_INPUT", "NO_DATA", "SIGMA_ZERO", "NOT_IDENTIFIED"]
    assert fit.message.startswith("6 fits: 1 ok, ")
    assert np.isnan(fit.params[1:4]).all()
    assert np.isnan(fit.stderr[1:]).all()
    assert fit.loglik[3] == 0.0
    assert fit.loglik[4] == INF
    assert np.isnan(fit.loglik[1:3]).all()
    fit.conf_int(), fit.aic, fit.bic, repr(fit), fit.predict(X)


def test_iterations_can_be_limited(rng):
    y, X, options = make(rng, "heteroscedastic left", 60)
    fit = fastnat.fit_linear(y, X, **options, max_iter=1)
    assert fit.status is Status.MAX_ITER
    assert not fit.success
    assert np.isfinite(fit.params).all()
    assert np.isnan(fit.stderr).all()
    exact = fastnat.fit_linear(y, X, **options, tol=0.0)
    assert exact.success
    assert_maximum(exact, nl.problem(y, X, **options))


@pytest.mark.parametrize("kind", UNIQUE)
def test_the_start_does_not_matter(kind, rng):
    y, X, options = make(rng, kind)
    fit = fastnat.fit_linear(y, X, **options)
    for start in (fit.params, np.zeros(len(fit.params)), fit.params + 0.3):
        assert_same_fit(fit, fastnat.fit_linear(y, X, **options, start=start), 1e-8)
    both = np.stack([y, y])
    options = {k: np.stack([v, v]) if k == "upper" else v for k, v in options.items()}
    starts = np.stack([fit.params, fit.params * 0.5])
    fits = fastnat.fit_linear(both, X, **options, start=starts)
    assert_close(fits.params, np.stack([fit.params] * 2), 1e-8, 1e-8)


# ---- arguments -------------------------------------------------------------------------------

Y4, X4 = [1.0, 2.0, 4.0, 3.0], [[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 4.0]]
REFUSED = {
    "y": [
        {"y": 1.0},
        {"y": ["a"] * 4},
        {"y": np.ma.masked_array(Y4, [0, 1, 0, 0])},
        {"y": [1j] * 4},
    ],
    "X": [
        {"X": Y4},
        {"X": 1.0},
        {"X": X4[:3]},
        {"X": np.ones((4, 0))},
        {"X": [[1.0], [1.0, 2.0], [1.0], [1.0]]},
        {"X": "design"},
        {"X": np.ma.masked_array(X4)},
        {"X": np.ones((3, 4, 2)), "y": np.ones((2, 4))},
    ],
    "Z": [
        {"Z": Y4},
        {"Z": X4[:2]},
        {"Z": np.ones((4, 0))},
        {"Z": "scale"},
        {"Z": np.ones((3, 5, 2))},
    ],
    "left": [{"left": np.nan}, {"left": INF}, {"left": 2.0, "right": 1.0}, {"left": [1.0, 2.0]}],
    "right": [{"right": np.nan}, {"right": -INF}, {"right": "high"}],
    "upper": [{"upper": Y4, "left": 0.0}, {"upper": [1.0, 2.0]}, {"upper": ["a"] * 4}],
    "truncation": [
        {"truncation": 3.0},
        {"truncation": (0.0, 1.0, 2.0)},
        {"truncation": (1.0, 0.0)},
        {"truncation": (np.nan, 1.0)},
        {"truncation": (0.0, 5.0), "left": 0.5},
        {"truncation": (0.0, 5.0), "upper": Y4},
        {"truncation": ([0.0, 1.0], 5.0)},
    ],
    "noise_std": [{"noise_std": -1.0}, {"noise_std": np.nan}, {"noise_std": [1.0, 2.0]}],
    "weights": [
        {"weights": [1.0, -1.0, 1.0, 1.0]},
        {"weights": [1.0, np.nan, 1.0, 1.0]},
        {"weights": [1.0, INF, 1.0, 1.0], "left": 0.0},
        {"weights": [1.0, -1.0, 1.0, 1.0], "Z": X4},
        {"weights": [1.0, -1.0, 1.0, 1.0], "noise_std": 1.0},
        {"weights": [1.0, -1.0, 1.0, 1.0], "truncation": (0.0, 5.0)},
        {"weights": [1.0, 2.0]},
        {"weights": "heavy"},
    ],
    "clusters": [
        {"clusters": [0, 1], "cov_type": "sandwich"},
        {"clusters": [0.0, 1.0, 2.0, 3.0], "cov_type": "sandwich"},
        {"clusters": ["a", "b", "a", "b"], "cov_type": "sandwich"},
        {"clusters": [0, 0, 1, 1], "cov_type": "opg"},
        {"clusters": [0, 0, 1, 1], "cov_type": "expected"},
    ],
    "nan_policy": [{"nan_policy": "drop"}, {"nan_policy": None}],
    "reml": [
        {"reml": 1},
        {"reml": True, "Z": X4},
        {"reml": True, "left": 0.0},
        {"reml": True, "truncation": (0.0, 5.0)},
    ],
    "cov_type": [
        {"cov_type": "robust"},
        {"upper": Y4, "cov_type": "expected"},
    ],
    "start": [
        {"start": [1.0, 2.0]},
        {"start": "zero"},
        {"start": [1.0, np.nan, 0.0], "left": 1.5},
        {"start": [1.0, INF, 0.0], "left": 1.5},
        {"start": np.zeros((2, 3)), "left": 1.5},
    ],
    "max_iter": [{"max_iter": 0, "left": 0.0}, {"max_iter": 2.5, "left": 0.0}],
    "tol": [{"tol": 1.0, "left": 0.0}, {"tol": -1.0, "left": 0.0}, {"tol": "small", "left": 0.0}],
    "n_threads": [{"n_threads": 0}, {"n_threads": 1.5}],
}


@pytest.mark.parametrize(("name", "options"), [(n, o) for n, all_ in REFUSED.items() for o in all_])
def test_bad_arguments_get_one_sentence(name, options):
    with refused((TypeError, ValueError), name):
        fastnat.fit_linear(**({"y": Y4, "X": X4} | options))


def test_one_covariate_is_a_column():
    """The message says how to write it."""
    t = np.array([0.0, 1.0, 2.0, 4.0])
    with refused(ValueError, "X of shape (4,)", "X[:, None]", "column of ones"):
        fastnat.fit_linear(Y4, t)
    assert fastnat.fit_linear(Y4, t[:, None]).coef.shape == (1,)


def test_values_are_no_column():
    y = np.array(Y4)[:, None]
    with refused(ValueError, "X of shape (4, 2)", "each of 1 values in y", "y[:, 0]"):
        fastnat.fit_linear(y, X4)
    assert fastnat.fit_linear(y[:, 0], X4).coef.shape == (2,)
    with refused(
        ValueError, "X of shape (3, 2)", "each of 4 values in y, along its last dimension"
    ):
        fastnat.fit_linear(Y4, X4[:3])


def test_prediction_of_one_row():
    fit = fastnat.fit_linear(Y4, X4)
    row = np.array([1.0, 3.0])
    with refused(ValueError, "X of shape (2,)", "X[None, :]"):
        fit.predict(row)
    assert_close(fit.predict(row[None, :]).mean, [row @ fit.coef], 1e-15, 0.0)


def test_bad_questions_get_one_sentence(rng):
    y, X, options = make(rng, "heteroscedastic", 30)
    het, plain = fastnat.fit_linear(y, X, **options), fastnat.fit_linear(y, X)
    with refused(AttributeError, "sigma", "Z"):
        het.sigma  # noqa: B018
    for question, words in (
        (lambda: het.predict(X), "Z"),
        (lambda: plain.predict(X, options["Z"]), "Z"),
        (lambda: plain.predict(X[:, :2]), "X"),
        (lambda: het.predict(X, options["Z"][:, :1]), "Z"),
        (lambda: het.predict(X, options["Z"][:7]), "Z"),
        (lambda: het.conf_int(method="exact"), "exact"),
        (lambda: fastnat.fit_linear(y, X, left=0.0).conf_int(method="exact"), "exact"),
        (lambda: fastnat.fit_linear(y, X, noise_std=0.1).conf_int(method="exact"), "exact"),
        (lambda: fastnat.fit_linear(y, X, weights=np.ones(30)).conf_int(method="exact"), "exact"),
        (lambda: plain.conf_int(method="likelihood"), "method"),
        (lambda: plain.conf_int(method="profile"), "profile"),
        (lambda: plain.conf_int(1.5), "level"),
        (lambda: fastnat.fit_linear(y, X, cov_type=None).stderr, "cov_type"),
        (lambda: fastnat.fit_linear(y, X, cov_type=None).cov_params, "cov_type"),
    ):
        with refused((TypeError, ValueError), words):
            question()


# ---- what a result says ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["complete", "heteroscedastic", "left", "noise"])
def test_predictions(kind, rng):
    y, X, options = make(rng, kind, 30, (4,))
    fit = fastnat.fit_linear(y, X, **options)
    new = rng.normal(size=(7, 3))
    Z = rng.normal(size=(7, 2)) if "Z" in options else None
    mean, sd = fit.predict(new, Z)
    assert mean.shape == (4, 7)
    assert_close(mean, fit.coef @ new.T, 1e-13, 1e-13)
    wanted = fit.sigma[:, None] if Z is None else np.exp(fit.scale_coef @ Z.T)
    assert_close(np.broadcast_to(sd, (4, 7)), np.broadcast_to(wanted, (4, 7)), 1e-13)
    mean, sd = fastnat.fit_linear(y[0], X, **options).predict(new, Z)
    assert mean.shape == (7,)
    assert_close(mean, new @ fit.coef[0], 1e-13, 1e-13)
    one = fastnat.fit_linear(y[0], X, **options)
    designs = np.stack([new, new + 1.0])
    mean, _ = one.predict(designs, None if Z is None else np.stack([Z, Z]))
    assert mean.shape == (2, 7)
    assert_close(mean[1], (new + 1.0) @ one.coef, 1e-13, 1e-13)
    failed = fastnat.fit_linear(np.stack([y[0], y[0] * np.nan]), X, **options)
    mean, sd = failed.predict(new, Z)
    assert np.isnan(mean[1]).all()
    assert np.isnan(np.broadcast_to(sd, (2, 7))[1]).all()


@pytest.mark.parametrize("kind", ["complete", "heteroscedastic left"])
def test_information_criteria(kind, rng):
    y, X, options = make(rng, kind, 30, (3,))
    weights = rng.uniform(0.5, 2.0, 30)
    fit = fastnat.fit_linear(y, X, **options, weights=weights)
    k = fit.params.shape[-1]
    assert_close(fit.aic, 2 * k - 2 * fit.loglik, 1e-14)
    assert_close(fit.bic, k * np.log(fit.nobs) - 2 * fit.loglik, 1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_pickles_and_words(kind, rng):
    y, X, options = make(rng, kind, scaled(200, 30))
    for fit in (fastnat.fit_linear(y, X, **options), fastnat.fit_linear(y, X * INF, **options)):
        data = pickle.dumps(fit)
        assert len(data) < scaled(1, 10) * X.nbytes  # without what was given
        again = pickle.loads(data)
        assert_same_bits(fit, again)
        assert repr(again) == repr(fit)
        assert again.message == fit.message
        assert again.summary() == fit.summary()
        assert np.array_equal(again.conf_int(), fit.conf_int(), equal_nan=True)
        text = repr(fit)
        assert text.startswith("<LinearFit: ")
        assert "\n" not in text
        assert len(text) < 400
        summary = fit.summary()
        assert summary.isascii()
        assert max(len(row) for row in summary.splitlines()) <= 100
        assert summary == "\n".join(row.rstrip() for row in summary.splitlines())
        if fit.success:
            assert len(summary.splitlines()) >= len(fit.params)
            numbers = [float(word) for word in re.findall(r"-?\d+\.\d+(?:e[-+]\d+)?", summary)]
            for value in (*fit.params, *fit.stderr, fit.loglik):
                assert min(abs(n - value) for n in numbers) <= 1e-3 * abs(value) + 1e-4, value
        else:
            assert fit.status.name.lower() in summary
    batch = fastnat.fit_linear(np.stack([y, y]) if "upper" not in options else y, X, **options)
    assert "\n" not in repr(batch)
    assert_same_bits(pickle.loads(pickle.dumps(batch)), batch)


@pytest.mark.parametrize("offset", [0.0, 1e5, 1e7])
def test_fewer_exact_values_than_coefficients_far_from_zero(offset):
    """Exact rows then leave the fit open, and censored ones settle it."""
    X = np.array(
        [
            [1.0, 0.27806057, -0.0311812, 0.32416634],
            [1.0, 0.71470261, 0.05696118, 2.36398011],
            [1.0, -0.79277726, -2.63814873, 0.53920896],
            [1.0, 0.7375872, 0.67851879, -0.57738066],
            [1.0, 0.12592679, 2.13146411, 0.20997582],
        ]
    )
    left = 0.75
    y = np.array([2.03125, left, left, left, 1.6875])  # exact with each of these offsets
    fit = fastnat.fit_linear(y + offset, X, left=left + offset)
    assert fit.status == Status.OK
    problem = nl.problem(y, X, left=left)
    b = fit.coef - np.array([offset, 0.0, 0.0, 0.0])
    assert nl.is_maximum(problem, b, fit.scale_coef, 1e-9)


@pytest.mark.parametrize("junk", [0.0, 1e300, np.nan])
def test_whether_there_is_a_maximum_is_for_the_rows_that_are_used(junk):
    """Z of a row of weight 0 does not tell whether sigma can vanish."""
    t = np.arange(6.0)
    X, Z = np.column_stack([np.ones(6), t, t**2]), np.column_stack([np.ones(6), np.cos(t)])
    y = np.array([1.0, -1.0, 2.0, -1.0, -1.0, -1.0])  # two are exact; a parabola suits them all
    options = {"left": np.array([-2.0, 9.0, -2.0, 9.0, 9.0, 9.0])}
    plain = fastnat.fit_linear(y, X, Z, **options)
    more = fastnat.fit_linear(
        np.append(y, junk),
        np.vstack([X, [junk] * 3]),
        np.vstack([Z, [junk, junk]]),
        left=np.append(options["left"], 0.0),
        weights=np.append(np.ones(6), 0.0),
    )
    assert plain.status == more.status == Status.SIGMA_ZERO
    assert plain.loglik == more.loglik == INF


@pytest.mark.parametrize("cov_type", ["opg", "sandwich"])
def test_the_restricted_likelihood_with_noise_is_no_sum_over_rows(cov_type):
    with refused(ValueError, "cov_type", "reml=True", "noise_std"):
        fastnat.fit_linear(
            [1.0, 2.0, 4.0], np.ones((3, 1)), noise_std=0.5, reml=True, cov_type=cov_type
        )


def test_nothing_is_said_of_rows_that_the_others_do_not_tell():
    """Rows that run away along with b; the rest, whose X is 0, has no regression of its own."""
    X = np.array([[0.0], [0.0], [0.0], [1.0], [-1.0]])
    low, high = np.array([1.0, -1.0, 0.5, 0.0, -INF]), np.array([1.0, -1.0, 0.5, INF, 0.0])
    fit = fastnat.fit_linear(low, X, upper=high)
    assert fit.status is Status.MU_INFINITE
    assert np.isnan(fit.loglik)


def test_a_linear_program_that_is_given_up(monkeypatch):
    """Its solver may fail: then there is no supremum to tell, but the limit is the same."""
    X = np.column_stack([np.ones(5), np.arange(5.0)])
    low = X @ [0.5, 2.0] - [0.0, 0.3, 0.2, 0.1, 0.4]
    want = fastnat.fit_linear(low, X, upper=low + 0.5)
    assert (want.status, want.loglik) == (Status.SIGMA_ZERO, 0.0)
    solve = _existence._optimum

    def fails(cost, *rest):
        return None if cost.size > X.shape[1] + 1 else solve(cost, *rest)

    monkeypatch.setattr(_existence, "_optimum", fails)
    fit = fastnat.fit_linear(low, X, upper=low + 0.5)
    assert fit.status is Status.SIGMA_ZERO
    assert np.isnan(fit.loglik)


@pytest.mark.parametrize(
    "rows", [[[1, 2, 3]], [[0, 0, 0]], [[1, 2, 3], [2, 4, 6]], [[1, 2, 3], [2, 4, 7]], [[1], [2]]]
)
def test_whether_rows_are_independent(rows):
    matrix = np.array(rows, float)
    independent = np.linalg.matrix_rank(matrix) == len(rows)
    assert linear._independent(matrix.copy()) == independent
