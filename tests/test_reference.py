"""Against answers that others computed: 34-digit problems, SciPy, statsmodels, R's formula."""

import json
import math
from pathlib import Path

import naive
import numpy as np
import pytest
import scipy.stats
from naive import mp

import fastnat

DATA = Path(__file__).parent / "data"
REFERENCE = json.loads((DATA / "gaussian.json").read_text())
PROBLEMS = {p["id"]: p for p in REFERENCE["problems"]}
DEGENERATE = {p["id"]: p for p in REFERENCE["degenerate"]}
STATSMODELS = json.loads((DATA / "statsmodels.json").read_text())
MICHELSO = json.loads((DATA / "michelso.json").read_text())["x"]


@pytest.mark.parametrize("p", PROBLEMS.values(), ids=PROBLEMS)
def test_exact_problems(p):
    x, w = p["data"]["x"], p["data"]["w"]
    fit = fastnat.fit_normal(x, weights=w)
    assert fit.status is fastnat.Status.OK
    sigma = mp.mpf(p["mle"]["sigma"])
    assert naive.error(fit.mu, mp.mpf(p["mle"]["mu"])) <= 1e-15
    assert naive.error(fit.sigma, sigma) <= 1e-15
    assert naive.error(fit.loglik, mp.mpf(p["loglik"])) <= 1e-14
    se = p["se_observed"]
    assert naive.error(fit.stderr[0], mp.mpf(se["mu"])) <= 1e-12
    assert naive.error(fit.stderr[1], sigma * mp.mpf(se["log_sigma"])) <= 1e-12


@pytest.mark.parametrize("cov_type", ["observed", "expected", "sandwich"])
@pytest.mark.parametrize("p", PROBLEMS.values(), ids=PROBLEMS)
def test_exact_covariances(p, cov_type):
    """The reference is for (mu, log sigma): by the chain rule, a factor sigma for each sigma."""
    fit = fastnat.fit_normal(p["data"]["x"], weights=p["data"]["w"], cov_type=cov_type)
    given = p["cov_sandwich" if cov_type == "sandwich" else "cov_observed"]
    sigma = mp.mpf(p["mle"]["sigma"])
    for i in range(2):
        for j in range(2):
            want = mp.mpf(given[i][j]) * sigma ** (i + j)
            # Zero in the reference: next to nothing beside the variances.
            unit = want or mp.sqrt(mp.mpf(given[0][0]) * mp.mpf(given[1][1])) * sigma or 1
            assert naive.error(fit.cov_params[i, j], want, unit) <= 1e-12
        assert naive.error(fit.stderr[i], mp.sqrt(mp.mpf(given[i][i])) * sigma**i) <= 1e-12


@pytest.mark.parametrize("p", DEGENERATE.values(), ids=DEGENERATE)
def test_degenerate_problems(p):
    fit = fastnat.fit_normal(np.array(p["data"]["x"], float))
    assert fit.status.name.lower() == p["status"]
    assert not fit.success
    for name, value in p.get("limit", {}).items():
        assert getattr(fit, name) == float(value)


def test_scipy_norm_fit(rng):
    x = rng.normal(3.0, 2.0, (5, 80))
    fit = fastnat.fit_normal(x)
    for k in range(5):
        mu, sigma = scipy.stats.norm.fit(x[k])
        assert math.isclose(fit.mu[k], mu, rel_tol=1e-14)
        assert math.isclose(fit.sigma[k], sigma, rel_tol=1e-14)
        loglik = scipy.stats.norm.logpdf(x[k], mu, sigma).sum()
        assert math.isclose(fit.loglik[k], loglik, rel_tol=1e-13)


def test_statsmodels_weighted_statistics():
    theirs = STATSMODELS["weighted"]
    x, weights = theirs["x"], theirs["weights"]
    fit = fastnat.fit_normal(x, weights=weights)
    assert math.isclose(fit.mu, theirs["mean"], rel_tol=1e-14)
    assert math.isclose(fit.sigma, theirs["std"], rel_tol=1e-13)
    assert math.isclose(fit.nobs, theirs["sum_weights"], rel_tol=1e-15)
    fit = fastnat.fit_normal(x, weights=weights, reml=True)
    assert math.isclose(fit.sigma, theirs["std_ddof_1"], rel_tol=1e-13)
    assert math.isclose(fit.stderr[0], theirs["std_mean_ddof_1"], rel_tol=1e-13)
    half = fit.stderr[0] * scipy.stats.t.ppf(0.975, fit.nobs - 1)
    ends = [fit.mu - half, fit.mu + half]
    assert np.allclose(ends, theirs["tconfint_mean_0.05"], rtol=1e-12, atol=0)


def test_statsmodels_least_squares_on_a_constant():
    theirs = STATSMODELS["michelso"]
    fit = fastnat.fit_normal(MICHELSO)
    assert math.isclose(fit.mu, theirs["params"], rel_tol=1e-14)
    assert math.isclose(fit.loglik, theirs["llf"], rel_tol=1e-12)
    ends = fit.conf_int(0.9, "exact")[0]
    assert np.allclose(ends, theirs["conf_int_0.1"], rtol=1e-13, atol=0)
    reml = fastnat.fit_normal(MICHELSO, reml=True)
    # Their sum of squares is about a mean rounded at 300: 1e-12 of a standard deviation of 0.08.
    assert math.isclose(reml.sigma, math.sqrt(theirs["scale"]), rel_tol=1e-12)
    assert math.isclose(reml.stderr[0], theirs["bse"], rel_tol=1e-12)
    robust = fastnat.fit_normal(MICHELSO, cov_type="sandwich")
    assert math.isclose(robust.stderr[0], theirs["HC0_se"], rel_tol=1e-12)


def test_restricted_loglik_is_that_of_r():
    """R: logLik(lm(x ~ 1), REML = TRUE), with its lines of code as the formula."""
    x = np.array([4.1, -2.0, 3.3, 0.7, 12.9, 5.2])
    n, p = x.size, 1
    res = x - x.mean()
    q, r = np.linalg.qr(np.ones((n, 1)))
    assert np.allclose(q.T @ res, 0.0, atol=1e-14)
    big_n = n - p
    value = 0.5 * (-big_n * (math.log(2 * math.pi) + 1 - math.log(big_n) + math.log(sum(res**2))))
    value -= math.log(abs(r[0, 0]))
    assert math.isclose(fastnat.fit_normal(x, reml=True).loglik, value, rel_tol=1e-14)
    assert math.isclose(naive.fit(x, reml=True).loglik, value, rel_tol=1e-14)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("n", [2, 3, 10, 1000])
def test_exact_intervals_are_student_and_chi_square(n, reml, level, rng):
    x = rng.normal(1e3, 5.0, n)
    ends = fastnat.fit_normal(x, reml=reml).conf_int(level, method="exact")
    exact = naive.fit(x, reml=True)
    tails = [(1 - level) / 2, 1 - (1 - level) / 2]
    t = scipy.stats.t.ppf(tails, n - 1)
    chi2 = scipy.stats.chi2.ppf(tails[::-1], n - 1)
    for k in range(2):
        mu = exact.mu + t[k] * exact.sigma / mp.sqrt(n)
        assert naive.error(ends[0, k], mu) <= 1e-12
        assert naive.error(ends[1, k], exact.sigma * mp.sqrt((n - 1) / mp.mpf(chi2[k]))) <= 1e-12
