"""`fit_mvn` with missing entries."""

import json
import math
import pickle
from pathlib import Path

import naive
import numpy as np
import pytest
from conftest import COMPILED, assert_one_sentence, refused, same_bits, scaled
from naive import mp

import fastnat
from fastnat import Status, _tables
from fastnat.kernels import em, mvn_missing, mvn_search
from fastnat.kernels.fisher import BLOCK

REFERENCE = json.loads((Path(__file__).parent / "data" / "mvn.json").read_text())
PROBLEMS = {p["id"]: p for p in REFERENCE["problems"] if p["model"] == "mvn_missing"}
PUBLISHED = REFERENCE["published"]
MURRAY = np.array(PROBLEMS["f1"]["data"]["X"], float)
NAN = np.nan


def fit(x, **options):
    return fastnat.fit_mvn(x, nan_policy="mle", **options)


def table(rng, n, d, share):
    """Correlated columns, entries missing at random; every row has something."""
    x = rng.normal(size=(n, d)) @ (np.eye(d) + 0.5 * rng.normal(size=(d, d)))
    x = x * 10.0 ** rng.integers(-2, 3, d) + rng.normal(0.0, 20.0, d)
    gone = rng.random((n, d)) < share
    gone[np.arange(n), rng.integers(0, d, n)] = False
    return np.where(gone, NAN, x)


def assert_maximum(x, found, weights=None):
    """The score vanishes and the information is positive definite, by the naive formulas."""
    weights = np.ones(len(x)) if weights is None else weights
    _, scores = naive.table_scores(x, found.mean, found.covariance)
    info = naive.table_information(x, weights, found.mean, found.covariance)
    unit = 1.0 / np.sqrt(np.diag(info))
    eigenvalues = np.linalg.eigvalsh(info * unit[:, None] * unit)
    assert eigenvalues[0] > 0.0
    # How far from the maximum, in standard errors.
    assert np.max(np.abs(np.linalg.solve(info, weights @ scores)) / unit) < 1e-6
    return info


def assert_higher_than_around(x, found):
    """For covariances so close to singular that the naive derivatives have no digits left."""
    rng, root = np.random.default_rng(1), np.linalg.cholesky(found.covariance)
    top, d = naive.table_scores(x, found.mean, found.covariance)[0].sum(), len(found.mean)
    for _ in range(300):
        e = rng.normal(size=(d, d))
        change = np.eye(d) + 0.03 * (e + e.T) / np.linalg.norm(e + e.T)
        cov = root @ change @ root.T
        mean = found.mean + 0.01 * root @ rng.normal(size=d)
        assert naive.table_scores(x, mean, 0.5 * (cov + cov.T))[0].sum() < top


def inverse(a):
    """Scaled first, so that no digit is lost to the units."""
    unit = 1.0 / np.sqrt(np.diag(a))
    return np.linalg.inv(a * unit * unit[:, None]) * unit * unit[:, None]


# ---- answers of others -----------------------------------------------------------------------


@pytest.mark.parametrize("p", PROBLEMS.values(), ids=PROBLEMS)
def test_exact_problems(p):
    """The reference is for the mean and the log-Cholesky factor: by the chain rule."""
    found = fit(np.array(p["data"]["X"], float))
    assert found.status is Status.OK
    d, names = found.mean.size, p["param_names"]
    cov = mp.matrix(d, d)
    sign = math.copysign(1.0, found.covariance[1, 0])  # of Murray's two maxima
    flip = [1.0, sign] if p["id"] == "f1" else [1.0] * d
    for i in range(d):
        assert naive.error(found.mean[i], mp.mpf(p["mle"][f"mu{i}"]), 1) <= 1e-12
        for j in range(i + 1):
            cov[i, j] = cov[j, i] = mp.mpf(p["mle"][f"S{i}{j}"])
            got = found.covariance[i, j] * flip[i] * flip[j]
            assert naive.error(got, cov[i, j]) <= 1e-11
    assert naive.error(found.loglik, mp.mpf(p["loglik"])) <= 1e-13
    factor, jacobian = mp.cholesky(cov), mp.zeros(len(names))
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
    signs = [*flip, *(flip[i] * flip[j] for i, j in pairs)]
    for i in range(len(names)):
        assert naive.error(found.stderr[i], mp.sqrt(want[i, i])) <= 1e-9
        for j in range(len(names)):
            unit = mp.sqrt(want[i, i] * want[j, j])
            got = found.cov_params[i, j] * signs[i] * signs[j]
            assert naive.error(got, want[i, j], unit) <= 1e-9


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_tables(name):
    """Apples and the cement of Draper and Smith: nested, so exact by regressions."""
    p = PUBLISHED[name]
    x = np.array(p["data"], float)
    found = fit(x)
    assert found.status is Status.OK
    assert found.nit == 0
    mean, cov = naive.fit_nested_table(x)
    sd = [mp.sqrt(naive.number(cov[j][j])) for j in range(len(mean))]
    for i in range(len(mean)):
        assert naive.error(found.mean[i], mean[i]) <= 1e-14
        for j in range(len(mean)):
            assert naive.error(found.covariance[i, j], cov[i][j], sd[i] * sd[j]) <= 1e-13
    published = p["published"]
    # Six digits are printed, the last of them where R's nlm has stopped.
    assert np.allclose(found.mean, published["mean"], rtol=0, atol=1.5e-6)
    tril = published.get("covariance_tril")
    if tril:
        assert np.allclose(found.params[len(mean) :], tril, rtol=0, atol=6e-10)
    ours = p["ours"]  # by an iteration, to about ten digits
    assert np.allclose(found.covariance, ours["covariance"], rtol=1e-9, atol=1e-9)
    assert math.isclose(found.loglik, ours["loglik"], rel_tol=1e-12)
    assert_maximum(x, found)


def test_murrays_saddle_is_left():
    """The means of pairs and of what is there begin on a saddle (Murray 1977)."""
    found = fit(MURRAY)
    assert found.status is Status.OK
    saddle = float(PROBLEMS["f1"]["saddle_loglik"])
    assert found.loglik > saddle + 0.05
    assert math.isclose(abs(found.correlation[0, 1]), 0.5, rel_tol=1e-12)
    assert found.nit > 0
    at_the_saddle = fit(MURRAY, start=(np.zeros(2), 2.5 * np.eye(2)))
    assert math.isclose(at_the_saddle.loglik, found.loglik, rel_tol=1e-13)
    for sign in (-1.0, 1.0):
        found = fit(MURRAY, start=([0.1, 0.1], [[2.0, sign], [sign, 2.0]]))
        # The square of the distance at which the last step begins, 1e-6 standard deviations.
        assert math.isclose(found.correlation[0, 1], 0.5 * sign, rel_tol=1e-11)


# ---- the naive formulas ----------------------------------------------------------------------


@pytest.mark.parametrize(("d", "n"), [(2, 20), (3, 40), (5, 100)])
def test_naive_formulas(d, n, rng):
    x = table(rng, n, d, 0.25)
    w = rng.integers(1, 4, n).astype(float)
    for weights in (None, w):
        found = fit(x, weights=weights)
        assert found.status is Status.OK
        info = assert_maximum(x, found, weights)
        factors = np.ones(n) if weights is None else weights
        logliks, scores = naive.table_scores(x, found.mean, found.covariance)
        assert math.isclose(found.loglik, factors @ logliks, rel_tol=1e-12)
        assert found.nobs == factors.sum()
        bread = inverse(info)
        meat = (scores * factors[:, None]).T @ scores
        wanted = {"observed": bread, "opg": inverse(meat), "sandwich": bread @ meat @ bread}
        for kind, want in wanted.items():
            other = fit(x, weights=weights, cov_type=kind)
            unit = np.sqrt(np.diag(want))
            assert np.allclose(other.stderr, unit, rtol=1e-9)
            assert np.allclose(
                other.cov_params / unit / unit[:, None], want / unit / unit[:, None], atol=1e-9
            )


def test_the_naive_information_is_that_of_the_naive_scores(rng):
    x = table(rng, 30, 3, 0.3)
    found, w = fit(x), rng.random(30)
    info = naive.table_information(x, w, found.mean, found.covariance)
    rows, columns = np.tril_indices(3)
    sd = np.sqrt(np.diag(found.covariance))
    unit = np.concatenate([sd, sd[rows] * sd[columns]])
    for k in range(9):
        ends = []
        for t in (-1e-5, 1e-5):
            mean, cov = found.mean.copy(), found.covariance.copy()
            if k < 3:
                mean[k] += t * unit[k]
            else:
                i, j = rows[k - 3], columns[k - 3]
                cov[i, j] = cov[j, i] = cov[i, j] + t * unit[k]
            ends.append(w @ naive.table_scores(x, mean, cov)[1])
        slope = (ends[0] - ends[1]) / 2e-5
        assert np.allclose(
            slope * unit, info[k] * unit[k] * unit, atol=1e-5 * info[k, k] * unit[k] ** 2
        )


def test_expected_information(rng):
    """That of the patterns: the weighted sum of what complete data of their columns would have."""
    x = table(rng, 60, 3, 0.3)
    found = fit(x, cov_type="expected")
    rows, columns = np.tril_indices(3)
    info = np.zeros((9, 9))
    for row in x:
        known = np.flatnonzero(~np.isnan(row))
        m = np.zeros((3, 3))
        m[np.ix_(known, known)] = np.linalg.inv(found.covariance[np.ix_(known, known)])
        info[:3, :3] += m
        for a, (i, j) in enumerate(zip(rows, columns, strict=True)):
            for b, (k, h) in enumerate(zip(rows, columns, strict=True)):
                both = m[i, k] * m[j, h] + m[i, h] * m[j, k]
                info[3 + a, 3 + b] += 0.25 * both * (2 - (i == j)) * (2 - (k == h))
    want = inverse(info)
    assert np.allclose(found.stderr, np.sqrt(np.diag(want)), rtol=1e-10)


def test_correlations_by_the_delta_method(rng):
    x = table(rng, 50, 3, 0.3)
    found = fit(x)
    rows, columns = np.tril_indices(3)
    for i, j in ((1, 0), (2, 0), (2, 1)):

        def correlation(v, i=i, j=j):
            cov = np.empty((3, 3))
            cov[rows, columns] = cov[columns, rows] = v
            return cov[i, j] / math.sqrt(cov[i, i] * cov[j, j])

        v = found.params[3:]
        slope = np.array(
            [
                (correlation(v + step) - correlation(v - step)) / (2e-5 * abs(v[k]))
                for k, step in enumerate(np.diag(1e-5 * np.abs(v)))
            ]
        )
        want = math.sqrt(slope @ found.cov_params[3:, 3:] @ slope)
        assert math.isclose(found.stderr_correlation[i, j], want, rel_tol=1e-7)
        assert math.isclose(found.correlation[i, j], correlation(v), rel_tol=1e-14)
    assert np.array_equal(np.diag(found.stderr_correlation), np.zeros(3))


@pytest.mark.parametrize("d", [2, 4])
def test_nested_tables(d, rng):
    x = rng.normal(size=(30, d)) @ rng.normal(size=(d, d)) + 5.0
    for j in range(1, d):
        x[28 - 5 * j :, d - 1 - j] = NAN
    found = fit(x)
    assert found.nit == 0
    _, cov = naive.fit_nested_table(x)
    for i in range(d):
        for j in range(d):
            unit = mp.sqrt(naive.number(cov[i][i]) * naive.number(cov[j][j]))
            assert naive.error(found.covariance[i, j], cov[i][j], unit) <= 1e-13
    assert_maximum(x, found)
    away = fit(x, start=(np.zeros(d), np.eye(d)))
    assert away.nit > 0
    assert np.allclose(away.covariance, found.covariance, rtol=1e-9, atol=1e-9)


def test_close_to_singular(rng):
    """Scatter matrices would lose what a pivot of 1e-10 leaves: triangles of the rows keep it."""
    x = rng.normal(size=(200, 3))
    x[:, 2] = x[:, 0] + x[:, 1] + 1e-5 * rng.normal(size=200)
    x[rng.random((200, 3)) < 0.15] = NAN
    found = fit(x)
    assert found.status is Status.OK
    assert found.nit < 30


# ---- invariances -----------------------------------------------------------------------------


def assert_alike(a, b, tol=1e-9):
    assert np.array_equal(a.status, b.status)
    unit = np.sqrt(np.diagonal(b.covariance, axis1=-2, axis2=-1))
    assert np.allclose(a.mean / unit, b.mean / unit, atol=tol)
    units = unit[..., :, None] * unit[..., None, :]
    assert np.allclose(a.covariance / units, b.covariance / units, atol=tol)
    assert np.allclose(a.loglik, b.loglik, rtol=1e-12)
    assert np.allclose(a.stderr, b.stderr, rtol=1e-7)


def test_rows_and_columns_in_another_order(rng):
    x = table(rng, 60, 4, 0.25)
    found, order = fit(x), rng.permutation(4)
    assert_alike(fit(x[rng.permutation(60)]), found)
    moved = fit(x[:, order])
    assert np.allclose(moved.mean, found.mean[order], rtol=1e-9)
    assert np.allclose(moved.covariance, found.covariance[np.ix_(order, order)], rtol=1e-8)
    assert np.allclose(moved.stderr_mean, found.stderr_mean[order], rtol=1e-7)


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_units(scale, rng):
    x = table(rng, 60, 3, 0.25)
    factors = np.array([1.0, scale, -3.0])
    found, moved = fit(x), fit(x * factors)
    assert moved.status is Status.OK
    assert np.allclose(moved.mean, found.mean * factors, rtol=1e-9)
    assert np.allclose(moved.stderr_mean, found.stderr_mean * np.abs(factors), rtol=1e-8)
    assert np.allclose(np.abs(moved.correlation), np.abs(found.correlation), atol=1e-9)
    cells = np.sum(~np.isnan(x), axis=0) @ np.log(np.abs(factors))
    assert math.isclose(moved.loglik, found.loglik - cells, rel_tol=1e-12)


def test_an_offset_costs_no_digits(rng):
    x = np.round(table(rng, 60, 3, 0.25), 6)
    found, moved = fit(x), fit(x + 2.0**20)
    assert np.allclose(moved.covariance, found.covariance, rtol=1e-7)  # the digits of the sum


def test_weights_are_repetition(rng):
    x = table(rng, 60, 3, 0.25)
    w = rng.integers(0, 4, 60)
    x[w == 0] = np.inf  # not looked at
    assert_alike(fit(x, weights=w), fit(np.repeat(x, w, axis=0)))
    x[w == 0] = NAN
    ones = fit(x[w > 0], weights=np.ones(np.sum(w > 0)))
    assert same_bits(ones.params, fit(x[w > 0]).params)


def test_batch_is_a_loop_of_singles(rng):
    x = np.array([table(rng, 40, 3, 0.25) for _ in range(6)])
    x[1] = rng.normal(size=(40, 3))  # complete
    x[2, :, 1] = NAN
    x[3, 5, 0] = np.inf
    x[4] = NAN
    found = fit(x.reshape(2, 3, 40, 3), n_threads=2)
    statuses = ["OK", "OK", "NOT_IDENTIFIED", "INVALID_INPUT", "NO_DATA", "OK"]
    assert [Status(s).name for s in found.status.reshape(-1)] == statuses
    for k, index in enumerate(np.ndindex(2, 3)):
        one = fit(x[k])
        for name in ("mean", "covariance", "loglik", "nobs", "nit", "stderr", "cov_params"):
            got = np.asarray(getattr(found, name)[index])
            assert same_bits(got, np.asarray(getattr(one, name))), name
        assert same_bits(found.stderr_correlation[index], one.stderr_correlation)


def test_complete_tables_are_those_of_complete_data(rng):
    x = rng.normal(size=(30, 3))
    found, complete = fit(x), fastnat.fit_mvn(x)
    for name in ("mean", "covariance", "loglik", "stderr"):
        assert same_bits(np.asarray(getattr(found, name)), np.asarray(getattr(complete, name)))
    gone = np.vstack([x, np.full((5, 3), NAN)])
    assert_alike(fit(gone), complete, tol=1e-13)


def test_long_tables(rng, monkeypatch):
    x = table(rng, 300, 3, 0.25)
    found = fit(x)
    monkeypatch.setattr(_tables, "SEGMENT", 100)
    assert same_bits(fit(x).params, found.params)
    assert same_bits(fit(x, start=(np.zeros(3), np.eye(3))).params.shape, found.params.shape)


def test_many_columns(rng, monkeypatch):
    """More columns are fitted by EM; made to do so, it arrives where the other steps do."""
    for d, n, share in ((3, 60, 0.3), (4, 100, 0.2)):
        x = table(rng, n, d, share)
        with monkeypatch.context() as patch:
            found = fit(x)
            patch.setattr(_tables, "LARGE", 1)
            slow = fit(x, max_iter=500)
        assert_alike(slow, found)
    with monkeypatch.context() as patch:
        patch.setattr(_tables, "LARGE", 1)
        assert math.isclose(fit(MURRAY).loglik, fit(MURRAY).loglik)
        assert fit(MURRAY).status is Status.OK
        assert fit(x, max_iter=2).status is Status.MAX_ITER


@pytest.mark.parametrize("d", [34, 66])
def test_more_columns_than_a_word_has_bits(d, rng):
    n = scaled(200, 80)
    x = rng.normal(size=(n, d)) + rng.normal(size=(n, 1))
    x[: n // 20, ::7] = NAN
    x[n // 20 : n // 10, 3::5] = NAN
    found = fit(x, cov_type=None, tol=1e-6, max_iter=scaled(100, 2))
    assert found.status is scaled(Status.OK, Status.MAX_ITER)
    logliks, scores = naive.table_scores(x, found.mean, found.covariance)
    assert math.isclose(found.loglik, logliks.sum(), rel_tol=1e-11)
    if found.success:
        steps = scores.sum(axis=0)[:d] * np.sqrt(np.diag(found.covariance) / n)
        assert np.max(np.abs(steps)) < 1e-3


# ---- statuses --------------------------------------------------------------------------------


def test_pairs_never_observed_together(rng):
    x = rng.normal(size=(30, 3))
    x[:15, 0] = x[15:, 1] = NAN
    found = fit(x)
    assert found.status is Status.NOT_IDENTIFIED
    assert np.all(np.isnan(found.mean))
    assert np.all(np.isnan(found.stderr))


def test_the_supremum_of_what_is_not_identified(rng):
    """Two columns never together: that of each by itself."""
    x = rng.normal(size=(30, 2))
    x[:15, 0] = x[15:, 1] = NAN
    a, b = fastnat.fit_normal(x[15:, 0]), fastnat.fit_normal(x[:15, 1])
    assert math.isclose(fit(x).loglik, a.loglik + b.loglik, rel_tol=1e-12)


def test_singular(rng):
    """Few rows have all columns: a plane goes through them, and the likelihood has no bound."""
    x = np.array([[0.0, 1.0, 2.0], [1.0, 3.0, 1.0], [2.0, 2.0, 5.0]])
    x = np.vstack([x, [[NAN, 1.5, 2.0], [1.0, NAN, 3.0], [0.5, 2.0, NAN], [NAN, 2.5, 3.0]]])
    found = fit(x)
    assert found.status is Status.SINGULAR
    assert found.loglik == math.inf
    assert "rank 2 of 3" in found.message
    assert_one_sentence(found.message.removesuffix("."))
    assert np.all(np.isnan(found.stderr))
    assert np.all(np.isfinite(found.covariance))
    x = rng.normal(size=(30, 3))
    x[:, 1] = 2.5
    x[:9, 0] = NAN
    found = fit(x)
    assert found.status is Status.SINGULAR
    assert found.loglik == math.inf
    assert found.covariance[1, 1] == 0.0
    assert "rank 2 of 3" in found.message


def test_a_limit_without_a_row_that_tells():
    """Three columns in pairs, whose correlations no three variables have."""
    rng = np.random.default_rng(3)
    x = np.full((90, 3), NAN)
    for k, (i, j, sign) in enumerate(((0, 1, 1.0), (1, 2, 1.0), (0, 2, -1.0))):
        here = slice(30 * k, 30 * k + 30)
        x[here, i] = rng.normal(size=30)
        x[here, j] = sign * (x[here, i] + 0.3 * rng.normal(size=30))
    found = fit(x)
    assert found.status is Status.SINGULAR
    assert math.isfinite(found.loglik)  # a supremum, at a singular covariance
    assert "is largest in this limit" in found.message
    assert_one_sentence(found.message.removesuffix("."))
    logliks, _ = naive.table_scores(x, found.mean, found.covariance)
    assert math.isclose(found.loglik, logliks.sum(), rel_tol=1e-9)


def test_stopped_where_there_is_no_bound(rng):
    """Another number of steps might find a local maximum, but there is no highest point."""
    x = table(rng, 60, 4, 0.3)
    complete = np.flatnonzero(~np.isnan(x).any(axis=1))
    x[complete[3:], 0] = NAN  # all four variables in three rows only
    found = fit(x, max_iter=1)
    assert found.status is Status.UNBOUNDED
    assert found.loglik == math.inf
    assert np.all(np.isnan(found.params))
    # Of variables 0 to 3, seen together in two rows that differ in one variable, no plane says so.
    x[complete[2:], 0] = NAN
    x[complete[1], :3] = x[complete[0], :3]
    for k in range(4):  # and of any three of them there is more to see
        x = np.vstack([x, np.insert(rng.normal(size=(20, 3)), k, NAN, axis=1)])
    assert fit(x, max_iter=1).status is Status.MAX_ITER
    x[complete[1], 2] += 0.5
    assert fit(x, max_iter=1).status is Status.UNBOUNDED


def test_stopped(rng):
    x = table(rng, 60, 4, 0.3)
    found = fit(x, max_iter=1)
    assert found.status is Status.MAX_ITER
    assert found.nit == 1
    assert np.all(np.isfinite(found.mean))
    assert np.all(np.isnan(found.stderr))


def test_pickle(rng):
    x = np.array([table(rng, 40, 3, 0.25), rng.normal(size=(40, 3))])
    found = fit(x)
    data = pickle.dumps(found)
    assert len(data) < 20_000
    again = pickle.loads(data)
    assert same_bits(again.cov_params, found.cov_params)
    assert same_bits(again.stderr, found.stderr)
    assert pickle.loads(pickle.dumps(fit(x, cov_type=None))).loglik[0] == found.loglik[0]


@pytest.mark.parametrize(
    ("error", "words", "start"),
    [
        (ValueError, ("start", "pair"), 3.0),
        (ValueError, ("start", "pair"), ([0.0, 0.0],)),
        (ValueError, ("start", "mean"), ([0.0, 0.0, 0.0], np.eye(2))),
        (ValueError, ("start", "covariance", "shape"), ([0.0, 0.0], np.eye(3))),
        (ValueError, ("start", "finite"), ([0.0, NAN], np.eye(2))),
        (ValueError, ("start", "symmetric"), ([0.0, 0.0], [[1.0, 0.5], [0.0, 1.0]])),
        (ValueError, ("start", "definite"), ([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]])),
        (TypeError, ("start", "real"), (["a", "b"], np.eye(2))),
    ],
)
def test_bad_starts(error, words, start):
    with refused(error, *words):
        fit(MURRAY, start=start)


def test_starts_of_a_batch():
    x = np.array([MURRAY, MURRAY])
    cov = np.array([[[2.0, 1.0], [1.0, 2.0]], [[2.0, -1.0], [-1.0, 2.0]]])
    found = fit(x, start=([0.0, 0.0], cov))
    assert np.allclose(found.correlation[:, 0, 1], [0.5, -0.5], rtol=1e-10)


@pytest.mark.skipif(not COMPILED, reason="nothing is compiled")
def test_a_start_for_all_compiles_nothing_anew():
    """It is broadcast, and numba takes arrays that cannot be written to for others."""
    for x in (MURRAY, np.array([MURRAY, MURRAY])):
        fit(x)
        before = mvn_missing.fit_missing.signatures
        fit(x, start=([0.0, 0.0], np.eye(2)))
        assert mvn_missing.fit_missing.signatures == before


# ---- heavy missingness -----------------------------------------------------------------------


def plane_goes_through(x):
    """Whether some pattern is in so few rows that a plane goes through all that have its columns.

    Then the likelihood has no bound: the variance across the plane can go to zero.
    """
    known = ~np.isnan(x)
    for pattern in np.unique(known, axis=0):
        rows = known[:, pattern].all(axis=1).sum()
        if pattern.sum() > 0 and rows <= pattern.sum():
            return True
    return False


def hold_against_naive_formulas(d, n, share, n_fits, seed):
    """Fit many random tables; each is at a maximum, or there is a reason; returns the counts."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_fits, n, d))
    for k in range(n_fits):  # variances along the axes from 1 to 0.01: the formulas need digits
        axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
        x[k] = x[k] * np.geomspace(1.0, 0.1, d) @ axes
    x[rng.random(x.shape) < share] = NAN
    found = fit(x, cov_type=None)
    counts = {}
    for k in range(n_fits):
        name, bounded = Status(found.status[k]).name, not plane_goes_through(x[k])
        counts[name, bounded] = counts.get((name, bounded), 0) + 1
        if name == "OK":
            used = x[k][~np.isnan(x[k]).all(axis=1)]
            one = fit(x[k], cov_type=None)
            if np.linalg.eigvalsh(one.correlation)[0] > 1e-4:
                assert_maximum(used, one)
            else:
                assert_higher_than_around(used, one)
        elif name in ("SINGULAR", "UNBOUNDED"):
            assert math.isfinite(found.loglik[k]) == bounded
            assert bounded <= (name == "SINGULAR")
        else:
            assert name == "NOT_IDENTIFIED"
    return counts


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_heavy_missingness(share):
    counts = hold_against_naive_formulas(3, 40, share, scaled(40, 3), 1)
    # Where the likelihood is bounded, a maximum is found.
    assert sum(v for (_, bounded), v in counts.items() if bounded) == counts.get(("OK", True), 0)


STUDY = [
    (d, n, share, n_fits)
    for d, sizes, n_fits in ((3, (20, 40), 500), (5, (60, 200), 300), (10, (100, 400), 60))
    for n in sizes
    for share in (0.3, 0.5, 0.6)
]


@pytest.mark.slow
@pytest.mark.parametrize(("d", "n", "share", "n_fits"), STUDY)
def test_heavy_missingness_counted(d, n, share, n_fits):
    """5160 tables in all; docs/develop/missing.md has the counts."""
    counts = hold_against_naive_formulas(d, n, share, n_fits, [d, n, round(100 * share)])
    stopped = sum(v for (name, _), v in counts.items() if name == "MAX_ITER")
    assert stopped <= (0.01 if d < 10 else 0.25) * n_fits
    if share == 0.3:  # where the likelihood is bounded there is a maximum, and it is found
        assert {name for name, bounded in counts if bounded} <= {"OK"}


@pytest.mark.parametrize("least_for_em", [1, 32])
def test_statuses_whichever_way_is_taken(least_for_em, monkeypatch, rng):
    """What EM says of many variables, made to look at few."""
    monkeypatch.setattr(_tables, "LARGE", least_for_em)
    x = rng.normal(size=(30, 3))
    x[:15, 0] = x[15:, 1] = NAN  # never together
    assert fit(x).status is Status.NOT_IDENTIFIED
    infinite = x.copy()
    infinite[3, 2] = np.inf
    assert fit(infinite).status is Status.INVALID_INPUT
    assert fit(np.full((4, 3), NAN)).status is Status.NO_DATA
    # A plane through the few complete rows.
    x = np.array([[0.0, 1.0, 2.0], [1.0, 3.0, 1.0], [2.0, 2.0, 5.0]])
    x = np.vstack([x, [[NAN, 1.5, 2.0], [1.0, NAN, 3.0], [0.5, 2.0, NAN], [NAN, 2.5, 3.0]]])
    found = fit(x, max_iter=1000)
    assert found.status in (Status.SINGULAR, Status.UNBOUNDED)
    assert found.loglik == math.inf


def test_a_step_of_em_that_rounding_spoils_is_no_number():
    """A covariance that no data have has no root."""
    one, root = np.zeros(1), np.eye(1)
    grad, e, low = np.array([0.0, -10.0]), np.zeros((1, 1)), np.zeros((1, 1))
    assert np.isnan(em._em_step(2.0, one, root, grad, e, low))
    grad[1] = 0.5  # per unit of weight: the variance grows by half, 2 * 0.25**2 is to be gained
    assert em._em_step(2.0, one, root, grad, e, low) == 0.125
    assert root[0, 0] == pytest.approx(math.sqrt(1.5), rel=1e-15)


def test_a_step_beyond_all_covariances_is_none():
    root, low = np.array([[2.0, 0.0], [1.0, 3.0]]), np.zeros((2, 2))
    mu, new_mu, new_root = np.zeros(2), np.zeros(2), np.zeros((2, 2))
    theta = np.zeros(5)
    assert mvn_search.place(mu, root, theta, low, new_mu, new_root)
    np.testing.assert_allclose(new_root, root, 1e-15)
    for cell in (2, 4):  # of the diagonal
        theta[:] = 0.0
        theta[cell] = 2.0
        assert not mvn_search.place(mu, root, theta, low, new_mu, new_root)


@pytest.mark.parametrize("column", [0, 1, 2])
def test_nested_patterns_without_a_spread(column):
    """The closed form stops at a column that those before it determine."""
    x = np.array(
        [[1.0, 2.0, 0.0], [2.0, 1.0, 3.0], [4.0, 5.0, 1.0], [3.0, 0.0, 2.0], [0.0, 2.0, 7.0]]
    )
    x[:, column] = x[:, 0] if column else 1.0
    x[3:, 2] = x[4:, 1] = NAN
    found = fit(x)
    assert found.status is Status.SINGULAR
    assert found.loglik == math.inf
    assert np.all(np.isnan(found.stderr))


@pytest.mark.parametrize("cov_type", ["opg", "sandwich"])
def test_robust_errors_of_more_rows_than_are_added_at_once(cov_type):
    rng = np.random.default_rng(8)
    x = table(rng, 3 * BLOCK // 2, 2, 0.2)
    found = fit(x, cov_type=cov_type)
    _, scores = naive.table_scores(x, found.mean, found.covariance)
    info = naive.table_information(x, np.ones(len(x)), found.mean, found.covariance)
    bread, meat = inverse(info), scores.T @ scores
    want = inverse(meat) if cov_type == "opg" else bread @ meat @ bread
    np.testing.assert_allclose(found.stderr, np.sqrt(np.diag(want)), rtol=1e-6)
