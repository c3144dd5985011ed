"""`fit_mvn` with complete data; missing entries are in test_mvn_missing.py."""

import json
import math
import pickle
import re
from fractions import Fraction
from pathlib import Path

import naive
import numpy as np
import pytest
import scipy.stats
from conftest import assert_one_sentence, refused, same_bits, scaled
from naive import mp

import fastnat
from fastnat import Status, _tables

REFERENCE = json.loads((Path(__file__).parent / "data" / "mvn.json").read_text())
PROBLEMS = {p["id"]: p for p in REFERENCE["problems"] if p["model"] == "mvn"}
COLUMNS = [1, 2, 3, 5, 6, 7, 9, 20]  # small tables, and larger ones to either side of eights


def assert_same_fit(a, b):
    for name in ("mean", "covariance", "nobs", "loglik", "status", "stderr", "cov_params"):
        assert same_bits(np.asarray(getattr(a, name)), np.asarray(getattr(b, name))), name


def table(rng, *shape):
    """Correlated columns of various sizes and offsets."""
    d = shape[-1]
    x = rng.normal(size=shape) @ (np.eye(d) + 0.4 * rng.normal(size=(d, d)))
    return x * 10.0 ** rng.integers(-2, 3, d) + rng.normal(0.0, 20.0, d)


def assert_exact(fit, x, weights=None, *, tol=1e-14):
    """Entries to so many standard deviations, the log-likelihood to the conditioning."""
    mean, cov, loglik = naive.fit_table(x, weights)
    sd = [mp.sqrt(naive.number(cov[j][j])) for j in range(len(mean))]
    for i in range(len(mean)):
        offset = max(1.0, float(abs(naive.number(mean[i])) / sd[i]))
        assert naive.error(fit.mean[i], mean[i], sd[i]) <= 4e-16 * offset
        for j in range(len(mean)):
            assert naive.error(fit.covariance[i, j], cov[i][j], sd[i] * sd[j]) <= tol
    assert naive.error(fit.loglik, loglik, 1 + abs(loglik)) <= 1e-12


# ---- answers of others -----------------------------------------------------------------------


@pytest.mark.parametrize("p", PROBLEMS.values(), ids=PROBLEMS)
def test_exact_problems(p):
    fit = fastnat.fit_mvn(p["data"]["X"], weights=p["data"]["w"])
    assert fit.status is Status.OK
    assert fit.nit == 0
    d = len(fit.mean)
    for i in range(d):
        assert naive.error(fit.mean[i], mp.mpf(p["mle"][f"mu{i}"])) <= 1e-15
        assert naive.error(fit.stderr_mean[i], mp.mpf(p["se_observed"][f"mu{i}"])) <= 1e-14
        for j in range(i + 1):
            assert naive.error(fit.covariance[i, j], mp.mpf(p["mle"][f"S{i}{j}"])) <= 1e-15
    # e3 has a pivot of 1.7e-15.
    assert naive.error(fit.loglik, mp.mpf(p["loglik"])) <= 1e-9


@pytest.mark.parametrize("p", PROBLEMS.values(), ids=PROBLEMS)
def test_exact_covariances_by_the_chain_rule(p):
    """The reference is for the mean and the log-Cholesky factor."""
    fit = fastnat.fit_mvn(p["data"]["X"])
    d, names = len(fit.mean), p["param_names"]
    factor = mp.cholesky(
        mp.matrix(d, d)
        + mp.matrix([[p["mle"][f"S{max(i, j)}{min(i, j)}"] for j in range(d)] for i in range(d)])
    )
    jacobian = mp.zeros(len(names))
    pairs = [(i, j) for i in range(d) for j in range(i + 1)]
    for k, name in enumerate(names):
        if name.startswith("mu"):
            jacobian[int(name[2:]), k] = 1
            continue
        a, b = int(name[-2]), int(name[-1])
        change = factor[a, b] if name.startswith("log") else 1
        for row, (i, j) in enumerate(pairs, start=d):
            jacobian[row, k] = change * ((i == a) * factor[j, b] + (j == a) * factor[i, b])
    given = mp.matrix([[mp.mpf(v) for v in row] for row in p["cov_observed"]])
    want = jacobian * given * jacobian.T
    for i in range(len(names)):
        assert naive.error(fit.stderr[i], mp.sqrt(want[i, i])) <= 1e-9
        for j in range(len(names)):
            unit = mp.sqrt(want[i, i] * want[j, j])
            assert naive.error(fit.cov_params[i, j], want[i, j], unit) <= 1e-9


@pytest.mark.parametrize("d", COLUMNS)
@pytest.mark.parametrize("n", [2, 9, 40])
def test_exact_moments(n, d, rng):
    n = max(n, d + 2)
    x = table(rng, n, d)
    assert_exact(fastnat.fit_mvn(x), x, tol=1e-13)
    w = rng.integers(0, 4, n) + 0.5
    assert_exact(fastnat.fit_mvn(x, weights=w), x, w, tol=1e-13)


def test_numpy_and_scipy(rng):
    x = table(rng, 60, 4)
    fit = fastnat.fit_mvn(x)
    mean, cov = x.mean(axis=0), np.cov(x, rowvar=False, bias=True)
    assert np.allclose(fit.mean, mean, rtol=1e-14)
    assert np.allclose(fit.covariance, cov, rtol=1e-12)
    loglik = scipy.stats.multivariate_normal(mean, cov).logpdf(x).sum()
    assert math.isclose(fit.loglik, loglik, rel_tol=1e-12)


def test_one_column_is_fit_normal(rng):
    x = rng.normal(5.0, 2.0, (7, 30))
    fit, plain = fastnat.fit_mvn(x[..., None]), fastnat.fit_normal(x)
    assert np.allclose(fit.mean[:, 0], plain.mu, rtol=1e-15)
    assert np.allclose(fit.covariance[:, 0, 0], plain.sigma**2, rtol=1e-14)
    assert np.allclose(fit.loglik, plain.loglik, rtol=1e-14)
    # By the delta method, of sigma squared.
    assert np.allclose(fit.stderr[:, 1], 2.0 * plain.sigma * plain.stderr[:, 1], rtol=1e-14)


# ---- digits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 5, 8])
def test_an_offset_costs_no_digits(d, rng):
    x = rng.normal(size=(scaled(100_000, 300), d)) * 0.1 + 1e7
    fit = fastnat.fit_mvn(x)
    centred = (x - 1e7).tolist()
    mean = [math.fsum(column) / len(x) for column in zip(*centred, strict=True)]
    for i in range(d):
        for j in range(i + 1):
            products = [(row[i] - mean[i]) * (row[j] - mean[j]) for row in centred]
            assert abs(fit.covariance[i, j] - math.fsum(products) / len(x)) <= 1e-13 * 0.01


@pytest.mark.parametrize("scale", [1e-200, 1e-160, 1e150, 1e200, 1e300])
def test_any_scale(scale, rng):
    x = rng.normal(size=(50, 3))
    x[:, 1] += x[:, 0]
    fit, plain = fastnat.fit_mvn(x * scale), fastnat.fit_mvn(x)
    assert fit.status is Status.OK
    assert np.allclose(fit.mean / scale, plain.mean, rtol=1e-14)
    assert np.allclose(fit.stderr_mean / scale, plain.stderr_mean, rtol=1e-14)
    assert np.allclose(fit.correlation, plain.correlation, rtol=1e-14)
    assert np.allclose(fit.stderr_correlation, plain.stderr_correlation, rtol=1e-12)
    assert math.isclose(fit.loglik, plain.loglik - 150 * math.log(scale), rel_tol=1e-13)


def test_columns_of_very_different_scales(rng):
    x = rng.normal(size=(50, 3))
    scale = np.array([1e-300, 1.0, 1e300])
    fit, plain = fastnat.fit_mvn(x * scale), fastnat.fit_mvn(x)
    assert fit.status is Status.OK
    assert np.allclose(fit.correlation, plain.correlation, atol=1e-15)
    assert np.allclose(fit.stderr_mean, plain.stderr_mean * scale, rtol=1e-14)
    assert math.isclose(fit.loglik, plain.loglik, rel_tol=1e-12)


@pytest.mark.parametrize("d", [2, 7])
def test_a_first_row_far_away(d, rng):
    x = rng.normal(size=(40, d))
    x[0] = 1e12
    w = np.full(40, 1.0)
    w[0] = 1e-20
    assert_exact(fastnat.fit_mvn(x, weights=w), x, w, tol=1e-10)


# ---- rank ------------------------------------------------------------------------------------


def test_singular_reference():
    (p,) = REFERENCE["degenerate"]
    fit = fastnat.fit_mvn(p["data"]["X"])
    assert fit.status.name.lower() == p["status"]
    assert fit.loglik == math.inf
    assert np.array_equal(fit.mean, [1.5, 3.0])
    assert np.array_equal(fit.covariance, [[0.25, 0.5], [0.5, 1.0]])
    assert np.all(np.isnan(fit.stderr))
    assert "rank 1 of 2" in fit.message
    assert_one_sentence(fit.message.removesuffix("."))


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("d", [2, 3, 8, 12])
def test_rank(d, offset, rng):
    def rank(x):
        fit = fastnat.fit_mvn(x + offset)
        return fit.status, fit.message

    x = rng.normal(size=(60, d))
    assert rank(x)[0] is Status.OK
    for n in (1, 2, d):
        status, message = rank(x[:n])
        assert status is Status.SINGULAR
        assert f"rank {n - 1} of {d}:" in message
    assert rank(x[: d + 1])[0] is Status.OK
    x[:, 0] = x[:, 1:].sum(axis=1)
    assert f"rank {d - 1} of {d}:" in rank(x)[1]
    x[:, 0] = 7.25
    assert f"rank {d - 1} of {d}:" in rank(x)[1]
    x[:, 1] = 7.25
    assert f"rank {d - 2} of {d}:" in rank(x)[1]


def test_nearly_singular_is_not_singular(rng):
    """A covariance of 1e-16 of the variance is seen in the data, not in the covariance."""
    x = rng.normal(size=(30, 3))
    x[:, 2] = x[:, 0] - x[:, 1] + 1e-8 * rng.normal(size=30)
    fit = fastnat.fit_mvn(x)
    assert fit.status is Status.OK
    assert naive.error(fit.loglik, naive.fit_table(x)[2]) <= 1e-8


def test_equal_values_are_found_by_comparison():
    x = np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 4.0]] * 7)
    fit = fastnat.fit_mvn(x)
    assert fit.status is Status.SINGULAR
    assert fit.covariance[0, 0] == 0.0
    assert fit.mean[0] == 0.1
    x[0, 0] = np.nextafter(0.1, 1.0)
    fit = fastnat.fit_mvn(x[:, :1])
    assert fit.status is Status.OK


# ---- invariances -----------------------------------------------------------------------------


@pytest.mark.parametrize("d", [3, 7])
def test_batch_is_a_loop_of_singles(d, rng):
    x = table(rng, 5, 4, 30, d)
    x[1, 2, 3, 0] = np.nan
    x[2, 2, :, 1] = 4.0
    x[3, 0, 1] = np.inf
    w = rng.integers(0, 3, (5, 4, 30))
    w[4, 3] = 0
    for weights in (None, w):
        fit = fastnat.fit_mvn(x, weights=weights)
        assert fit.mean.shape == (5, 4, d)
        assert fit.covariance.shape == (5, 4, d, d)
        assert fit.status.dtype == np.int8
        for b in np.ndindex(5, 4):
            one = fastnat.fit_mvn(x[b], weights=None if weights is None else weights[b])
            for name in ("mean", "covariance", "loglik", "nobs", "status", "stderr"):
                got = np.asarray(getattr(fit, name)[b])
                assert same_bits(got, np.asarray(getattr(one, name), got.dtype)), name


@pytest.mark.parametrize("d", [2, 7])
def test_weights(d, rng):
    x = table(rng, 40, d)
    assert_same_fit(fastnat.fit_mvn(x), fastnat.fit_mvn(x, weights=np.ones(40)))
    w = rng.integers(0, 4, 40)
    x[w == 0] = np.nan  # not looked at
    fit, repeated = fastnat.fit_mvn(x, weights=w), fastnat.fit_mvn(np.repeat(x, w, axis=0))
    assert fit.nobs == w.sum()
    for name in ("mean", "covariance", "loglik", "stderr"):
        a, b = getattr(fit, name), getattr(repeated, name)
        assert np.allclose(a, b, rtol=1e-13, atol=1e-13 * np.max(np.abs(b))), name


def test_weights_enlarge(rng):
    """A bootstrap in one call."""
    x = table(rng, 30, 3)
    counts = rng.multinomial(30, np.full(30, 1 / 30), size=5)
    fit = fastnat.fit_mvn(x, weights=counts)
    assert fit.mean.shape == (5, 3)
    assert np.array_equal(fit.mean[2], fastnat.fit_mvn(x, weights=counts[2]).mean)


@pytest.mark.parametrize("d", [3, 10])
def test_layouts_and_dtypes(d, rng):
    x = rng.integers(-50, 50, (4, 30, d))
    fit = fastnat.fit_mvn(x.astype(float))
    for other in (x, x.astype(np.float32), np.asfortranarray(x), x[:, ::-1][:, ::-1], x.tolist()):
        assert_same_fit(fit, fastnat.fit_mvn(other))
    frozen = x.astype(float)
    frozen.flags.writeable = False
    assert_same_fit(fit, fastnat.fit_mvn(frozen))


@pytest.mark.parametrize("d", [2, 8])
def test_threads_and_segments(d, rng, monkeypatch):
    monkeypatch.setattr(_tables, "SEGMENT", 400)
    x = table(rng, 3, 500, d)
    x[1, 100, 0] = np.nan
    x[2, 499, 1] = -np.inf
    fit = fastnat.fit_mvn(x, n_threads=1)
    assert fit.status.tolist() == [Status.OK, Status.NAN_INPUT, Status.INVALID_INPUT]
    assert_same_fit(fit, fastnat.fit_mvn(x, n_threads=2))
    assert_exact(fastnat.fit_mvn(x[0]), x[0], tol=1e-13)
    w = rng.random(500)
    assert_exact(fastnat.fit_mvn(x[0], weights=w), x[0], w, tol=1e-13)
    x[0, :, 1] = 2.0 * x[0, :, 0]
    fit = fastnat.fit_mvn(x[0])
    assert f"rank {d - 1} of {d}" in fit.message


@pytest.mark.parametrize("d", [1, 3, 8])
def test_segments_with_scales_of_their_own(d, rng, monkeypatch):
    """The merge brings segments to one scale, and one origin."""
    monkeypatch.setattr(_tables, "SEGMENT", 20 * d)
    for jump in (1e160, 1e200):
        x = rng.normal(size=(60, d))
        x[20:40] *= jump
        x[40:] = 3.0
        x[40:, 0] = -jump
        fit = fastnat.fit_mvn(x / jump)  # in one scale, but for the first segment
        large = fastnat.fit_mvn(x)
        assert large.status == fit.status
        assert np.allclose(large.mean / jump, fit.mean, rtol=1e-13)
        assert np.allclose(large.correlation, fit.correlation, atol=1e-13)


def test_affine_equivariance(rng):
    x = table(rng, 80, 4)
    a, b = rng.normal(size=(4, 4)), rng.normal(size=4)
    fit, moved = fastnat.fit_mvn(x), fastnat.fit_mvn(x @ a.T + b)
    assert np.allclose(moved.mean, a @ fit.mean + b, rtol=1e-11)
    assert np.allclose(moved.covariance, a @ fit.covariance @ a.T, rtol=1e-10)
    assert math.isclose(moved.loglik, fit.loglik - 80 * np.linalg.slogdet(a)[1], rel_tol=1e-11)


# ---- results ---------------------------------------------------------------------------------


def test_result(rng):
    x = table(rng, 50, 3)
    fit = fastnat.fit_mvn(x)
    mean, covariance = fit
    assert mean is fit.mean
    assert covariance is fit.covariance
    assert np.array_equal(covariance, covariance.T)
    rows, columns = np.tril_indices(3)
    assert np.array_equal(fit.params, [*mean, *covariance[rows, columns]])
    assert np.array_equal(fit.stderr[3:], fit.stderr_covariance[rows, columns])
    assert np.array_equal(fit.stderr[:3], fit.stderr_mean)
    assert np.allclose(fit.stderr, np.sqrt(np.diag(fit.cov_params)), rtol=1e-14)
    assert fit.success is True
    assert isinstance(fit.nobs, float)
    assert repr(fit).startswith("<MvnFit: mean = (")
    again = pickle.loads(pickle.dumps(fit))
    assert_same_fit(again, fit)


def test_standard_errors_are_those_of_the_textbook(rng):
    """Anderson, An Introduction to Multivariate Statistical Analysis, 3.4 and 4.2."""
    x = table(rng, 50, 3)
    fit = fastnat.fit_mvn(x)
    s, r = fit.covariance, np.corrcoef(x.T)
    assert np.allclose(fit.correlation, r, rtol=1e-13)
    assert np.allclose(fit.stderr_mean, np.sqrt(np.diag(s) / 50), rtol=1e-14)
    assert np.allclose(
        fit.stderr_covariance, np.sqrt((np.outer(np.diag(s), np.diag(s)) + s**2) / 50), rtol=1e-14
    )
    want = (1.0 - r**2) / math.sqrt(50)
    assert np.allclose(fit.stderr_correlation, want, atol=1e-14)


def test_confidence_intervals(rng):
    fit = fastnat.fit_mvn(table(rng, 4, 50, 3))
    ends = fit.conf_int(0.9)
    assert ends.shape == (4, 9, 2)
    z = scipy.stats.norm.ppf(0.95)
    assert np.allclose(ends[:, :3, 1], fit.mean + z * fit.stderr_mean, rtol=1e-13)
    for k, j in ((3, 0), (5, 1), (8, 2)):  # variances: on the log scale
        v, se = fit.covariance[:, j, j], fit.stderr_covariance[:, j, j]
        assert np.allclose(ends[:, k, 0], v * np.exp(-z * se / v), rtol=1e-13)
    for method in ("profile", "exact"):
        with refused(ValueError, "method", method):
            fit.conf_int(0.9, method=method)


def test_statuses(rng):
    x = rng.normal(size=(5, 20, 2))
    x[1, 3, 1], x[2, 3, 1] = np.nan, np.inf
    w = np.ones((5, 20))
    w[3] = 0.0
    x[4, :, 0] = x[4, :, 1]
    fit = fastnat.fit_mvn(x, weights=w)
    names = ["OK", "NAN_INPUT", "INVALID_INPUT", "NO_DATA", "SINGULAR"]
    assert [Status(s).name for s in fit.status] == names
    assert np.array_equal(np.isnan(fit.mean[:, 0]), [False, True, True, True, False])
    assert fit.loglik[3] == 0.0
    assert fit.loglik[4] == math.inf
    assert np.all(np.isnan(fit.loglik[1:3]))
    assert np.all(np.isnan(fit.stderr[1:]))
    assert np.all(np.isnan(fit.stderr_correlation[1:]))
    assert repr(fit) == (
        "<MvnFit: 5 fits: 1 ok, 1 no_data, 1 nan_input, 1 invalid_input, 1 singular>"
    )
    with pytest.raises(fastnat.FitError):
        fit.raise_for_status()


def test_nan_policies(rng):
    x = rng.normal(size=(3, 20, 4))
    x[0, 3, 1] = x[0, 7, 2] = x[1, :, 3] = np.nan
    fit = fastnat.fit_mvn(x, nan_policy="omit")
    assert fit.status.tolist() == [Status.OK, Status.NO_DATA, Status.OK]
    assert fit.nobs.tolist() == [18, 0, 20]
    assert np.allclose(fit.mean[0], np.delete(x[0], [3, 7], axis=0).mean(axis=0), rtol=1e-14)
    assert same_bits(fit.mean[2], fastnat.fit_mvn(x[2]).mean)
    weighted = fastnat.fit_mvn(x, nan_policy="omit", weights=np.full(20, 2.0))
    assert weighted.nobs.tolist() == [36, 0, 40]
    with refused(ValueError, "X", "nan_policy"):
        fastnat.fit_mvn(x, nan_policy="raise")


def test_empty():
    fit = fastnat.fit_mvn(np.empty((0, 5, 3)))
    assert fit.mean.shape == (0, 3)
    assert fit.cov_params.shape == (0, 9, 9)
    fit = fastnat.fit_mvn(np.empty((2, 0, 3)))
    assert fit.status.tolist() == [Status.NO_DATA] * 2


def test_the_message_of_a_missing_entry_names_both_policies():
    X = [[1.0, 2.0], [2.0, np.nan], [4.0, 1.0], [3.0, 5.0]]
    fit = fastnat.fit_mvn(X)
    assert fit.status is Status.NAN_INPUT
    policies = re.findall(r"'(\w+)'", fit.message)
    assert [fastnat.fit_mvn(X, nan_policy=p).nobs for p in policies] == [4.0, 3.0]


# ---- arguments -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words", "x", "options"),
    [
        (ValueError, ("X", "(..., n, d)"), [1.0, 2.0], {}),
        (ValueError, ("X", "column"), np.empty((3, 0)), {}),
        (TypeError, ("X", "real"), [["a", "b"]], {}),
        (TypeError, ("X", "masked"), np.ma.array([[1.0, 2.0]]), {}),
        (ValueError, ("X", "rows"), [[1.0], [1.0, 2.0]], {}),
        (ValueError, ("weights", "broadcast"), np.ones((3, 2)), {"weights": [1.0, 2.0]}),
        (ValueError, ("weights", "negative"), np.ones((3, 2)), {"weights": [1.0, 2.0, -1.0]}),
        (ValueError, ("weights", "finite"), np.ones((3, 2)), {"weights": [1.0, 2.0, np.nan]}),
        (ValueError, ("weights", "finite"), np.ones((3, 9)), {"weights": [1.0, 2.0, np.inf]}),
        (ValueError, ("nan_policy", "mle"), np.ones((3, 2)), {"nan_policy": "drop"}),
        (ValueError, ("cov_type",), np.ones((3, 2)), {"cov_type": "robust"}),
        (ValueError, ("n_threads",), np.ones((3, 2)), {"n_threads": 0}),
        (ValueError, ("max_iter",), np.ones((3, 2)), {"max_iter": 0}),
        (TypeError, ("max_iter",), np.ones((3, 2)), {"max_iter": 1.5}),
        (ValueError, ("tol",), np.ones((3, 2)), {"tol": 1.0}),
        (TypeError, ("tol",), np.ones((3, 2)), {"tol": "small"}),
    ],
)
def test_bad_arguments(error, words, x, options):
    with refused(error, *words):
        fastnat.fit_mvn(x, **options)


def test_no_covariance(rng):
    fit = fastnat.fit_mvn(rng.normal(size=(9, 2)), cov_type=None)
    for name in ("stderr", "cov_params", "stderr_mean", "stderr_correlation"):
        with refused(ValueError, "cov_type"):
            getattr(fit, name)


def test_the_exact_oracle_is_exact():
    mean, cov, loglik = naive.fit_table([[1.0, 2.0], [3.0, 1.0], [4.0, 7.0], [0.0, 3.0]])
    assert mean == [2, Fraction(13, 4)]
    assert cov == [[Fraction(5, 2), Fraction(7, 4)], [Fraction(7, 4), Fraction(83, 16)]]
    assert abs(loglik - mp.mpf("-15.93784000779249006846984101526040")) < mp.mpf(10) ** -30
