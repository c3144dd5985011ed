"""fit_normal against the exact oracle: estimates, covariances, intervals, quantiles, statuses."""

import math

import naive
import numpy as np
import pytest
from conftest import EPS, same_bits, scaled
from naive import number
from scipy.special import ndtr

import fastnat

COV_TYPES = ["observed", "expected", "opg", "sandwich"]
INF, NAN = math.inf, math.nan

BIG = np.finfo(float).max
TINY = 5e-324
SAMPLES = {
    "integers": [1.0, 2.0, 3.0, 4.0, 10.0],
    "skew": [0.0, 0.1, 0.3, 0.2, 9.0, 0.4, 0.15],
    "two values": [3.0, 3.0, 3.0, 4.0],
    "two": [1.25, -7.5],
    "offset": [1e9 + k * 0.1 for k in (0, 1, 5, 3, 2, 2)],
    "one ulp apart": [1.0, 1.0 + EPS],
    "one ulp apart, many": [1.0, 1.0 + EPS] * 10 + [1.0],
    "one ulp apart below 1": [1.0 - EPS / 2, 1.0, 1.0 - EPS / 2],
    "one ulp apart, 1e300": [1e300, np.nextafter(1e300, INF), 1e300],
    "one ulp apart, 1e-300": [1e-300, np.nextafter(1e-300, INF), 1e-300],
    "tiny": [1e-200, 2e-200, 4e-200, -1e-200],
    "huge": [1e200, 2e200, 4e200, -1e200],
    "tiny, tiny": [1e-300, 2e-300, 4e-300, -1e-300],
    "huge, huge": [1e307, 2e307, 4e307, -1e307],
    "subnormal": [TINY, 3 * TINY, 2000 * TINY, -700 * TINY, 12345 * TINY],
    "largest": [-BIG, BIG],
    "largest, one side": [BIG, BIG, 0.5 * BIG],
    "largest, unequal": [-BIG, BIG, BIG],
    "largest, unequal, many": [-BIG] + [BIG] * 40,
    "largest, one ulp apart": [BIG, np.nextafter(BIG, 0.0)],
    "over all magnitudes": [1e300, 1e-300, -1e150, 1.0],
    "outlier first": [1e12] + [1.0, 2.0, 4.0] * 20,
    "outlier last": [1.0, 2.0, 4.0] * 20 + [1e12],
    "signed zeros": [0.0, -0.0, 1.0],
    "cancelling": [1e16, 1.0, -1e16, 1.0, 3.0],
}
WEIGHTS = {
    "none": None,
    "mixed": [0.5, 2.0, 0.0, 1.25, 3.0, 7.0],
    "small": [1e-2, 3e-2, 2e-2],
    "large": [1e6, 3e9],
}


def weights_of(kind, n):
    return None if WEIGHTS[kind] is None else np.resize(WEIGHTS[kind], n)


def condition(exact, cov_type):
    """How much larger a rounding error is in a covariance than in the fourth moment.

    The sandwich has kurtosis - 1, which is zero for two values of the same weight; the
    determinant of the outer product is kurtosis - 1 - skewness**2, zero for any two values.
    """
    if cov_type in ("observed", "expected") or exact.status != "OK":
        return 1.0
    total = number(exact.nobs)
    variance = sum(w * (x - exact.mu) ** 2 for x, w in exact.values) / total
    third, fourth = (sum(w * (x - exact.mu) ** p for x, w in exact.values) / total for p in (3, 4))
    kurtosis = fourth / variance**2
    rest = kurtosis - 1
    if cov_type == "opg":
        rest -= third**2 / variance**3
    return float(kurtosis / max(rest, 1e-16))


def assert_matches(fit, exact, cov_type="observed"):
    """All numbers of a fit of one problem against the oracle."""
    assert fit.status.name == exact.status
    assert fit.success == (exact.status == "OK")
    rel, size = 1e-13, None
    if exact.status == "OK":
        size = max(abs(exact.mu), exact.sigma)
        rel += float(TINY / exact.sigma)  # a subnormal sigma is rounded before anything uses it
    assert naive.error(fit.nobs, exact.nobs) <= rel
    assert naive.error(fit.mu, exact.mu, size) <= 4 * EPS
    assert naive.error(fit.sigma, exact.sigma) <= rel
    if exact.status == "OK" and exact.sigma >= naive.LARGEST:
        return
    # log(sigma) and the constant may cancel: relative to the larger of the terms.
    assert naive.error(fit.loglik, exact.loglik, max(abs(exact.loglik), number(exact.nobs))) <= rel
    assert same_bits(fit.params, np.array([fit.mu, fit.sigma]))
    rel *= 10 * condition(exact, cov_type)
    if rel > 0.01:
        # Singular to working precision: two values, or nearly.
        assert np.all(np.isnan(fit.stderr) | (fit.stderr >= 0.0))
        if cov_type == "sandwich":
            assert not np.isnan(fit.stderr).any()
        return
    for got, want in zip(fit.stderr, exact.stderr(cov_type), strict=True):
        assert naive.error(got, want) <= rel
    cov = exact.cov(cov_type)
    unit = naive.mp.sqrt(abs(cov[0, 0] * cov[1, 1]))
    for i in range(2):
        for j in range(2):
            got = fit.cov_params[i, j]
            if exact.status == "OK" and exact.sigma**2 >= naive.LARGEST and np.isinf(got):
                continue  # overflow is allowed here, and NaN is not; stderr is exact all the same
            assert naive.error(got, cov[i, j], unit) <= rel


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("sample", SAMPLES)
def test_estimates(sample, weights, reml):
    x = SAMPLES[sample]
    w = weights_of(weights, len(x))
    assert_matches(fastnat.fit_normal(x, weights=w, reml=reml), naive.fit(x, w, reml=reml))


@pytest.mark.parametrize("cov_type", COV_TYPES)
@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("weights", ["none", "mixed"])
@pytest.mark.parametrize("sample", SAMPLES)
def test_covariances(sample, weights, reml, cov_type):
    x = SAMPLES[sample]
    w = weights_of(weights, len(x))
    exact = naive.fit(x, w, reml=reml)
    fit = fastnat.fit_normal(x, weights=w, reml=reml, cov_type=cov_type)
    assert_matches(fit, exact, cov_type)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("sample", ["integers", "skew", "two", "offset", "tiny", "huge"])
def test_intervals(sample, weights, level):
    x = SAMPLES[sample]
    w = weights_of(weights, len(x))
    fit, exact = fastnat.fit_normal(x, weights=w), naive.fit(x, w)
    for method in ["wald", "profile"]:
        got = fit.conf_int(level, method=method)
        want = getattr(exact, method)(level)
        assert got.shape == (2, 2)
        for i in range(2):
            for j in range(2):
                # The end of an interval may cancel to nearly nothing: relative to its width.
                unit = max(abs(want[i][j]), abs(want[i][1] - want[i][0]) if i == 0 else 0)
                assert naive.error(got[i, j], want[i][j], unit) <= 1e-12, (method, i, j)


@pytest.mark.parametrize("total", [1e-3, 4e-3, 0.03, 1.0, 1e5, 1e12])
@pytest.mark.parametrize("level", [0.1, 0.95, 0.9999])
def test_profile_intervals_of_any_total_weight(level, total):
    """From intervals over thousands of decades to ones of a millionth of sigma."""
    x, w = [1.0, 2.0], [0.25 * total, 0.75 * total]
    got = fastnat.fit_normal(x, weights=w).conf_int(level, method="profile")
    want = naive.fit(x, w).profile(level)
    for i in range(2):
        for j in range(2):
            size = abs(want[i][j]) if i else max(abs(want[i][j]), 1)
            assert naive.error(got[i, j], want[i][j], size) <= 1e-12, (i, j)


@pytest.mark.parametrize("cov_type", COV_TYPES)
@pytest.mark.parametrize("sample", ["integers", "skew", "offset", "tiny", "huge"])
def test_quantiles(sample, cov_type):
    x = SAMPLES[sample]
    fit, exact = fastnat.fit_normal(x, cov_type=cov_type), naive.fit(x)
    for q in [1e-10, 0.01, 0.5, 0.9, 0.999]:
        value, stderr = fit.quantile(q)
        want_value, want_stderr = exact.quantile(q, cov_type)
        assert naive.error(value, want_value, max(abs(exact.mu), exact.sigma)) <= 1e-13
        # The four terms of the variance may cancel, at most to this.
        size = max(exact.stderr(cov_type))
        assert naive.error(stderr, want_stderr, max(want_stderr, size / 10)) <= 1e-11


@pytest.mark.parametrize("zeros", range(1, 12))
def test_the_quantile_without_error(zeros):
    """Two values: the sandwich has rank one, and one quantile has variance zero, not NaN.

    It is that with z = -2 / skewness; what rounding leaves of zero is not negative.
    """
    for ones in {*range(1, 12)} - {zeros}:
        z = -2 * math.sqrt(zeros * ones) / (zeros - ones)
        fit = fastnat.fit_normal([0.0] * zeros + [1.0] * ones, cov_type="sandwich")
        if abs(z) < 5:  # farther out neighbouring probabilities are far apart
            for q in [np.nextafter(ndtr(z), 0), ndtr(z), np.nextafter(ndtr(z), 1)]:
                assert 0.0 <= fit.quantile(q).stderr <= 1e-6


def test_quantile_of_one_and_two_probabilities():
    fit = fastnat.fit_normal([[1.0, 2.0, 4.0], [3.0, 5.0, 5.0], [0.0, 1.0, 7.0]])
    assert fit.quantile(0.5).value.shape == (3,)
    assert same_bits(fit.quantile(0.5).value, fit.mu)
    value, stderr = fit.quantile([[0.1], [0.9]])
    assert value.shape == stderr.shape == (3, 2, 1)
    assert same_bits(value[:, 1, 0], fit.quantile(0.9).value)
    assert same_bits(stderr[:, 1, 0], fit.quantile(0.9).stderr)


# x, weights, and what the table of architecture.md says of it: status, mu, sigma, loglik
COMPLETE = [
    ([1.0, 3.0], [1.0, 1.0], "OK", 2.0, 1.0, -math.log(2 * math.pi) - 1),
    ([NAN, INF], [0.0, 0.0], "NO_DATA", NAN, NAN, 0.0),
    ([NAN, 3.0], [1.0, 1.0], "NAN_INPUT", NAN, NAN, NAN),
    ([INF, 3.0], [1.0, 1.0], "INVALID_INPUT", NAN, NAN, NAN),
    ([-INF, 3.0], [1.0, 1.0], "INVALID_INPUT", NAN, NAN, NAN),
    ([INF, -INF], [1.0, 1.0], "INVALID_INPUT", NAN, NAN, NAN),
    ([INF, INF], [1.0, 1.0], "INVALID_INPUT", NAN, NAN, NAN),
    ([5.5, 5.5], [1.0, 1.0], "SIGMA_ZERO", 5.5, 0.0, INF),
    ([5.5, 7.0], [3.0, 0.0], "SIGMA_ZERO", 5.5, 0.0, INF),
    ([0.1, 0.1], [0.25, 0.5], "SIGMA_ZERO", 0.1, 0.0, INF),
    ([5.5, NAN], [2.0, 0.0], "SIGMA_ZERO", 5.5, 0.0, INF),
]
RESTRICTED = [
    (
        [1.0, 3.0],
        [1.0, 1.0],
        "OK",
        2.0,
        math.sqrt(2),
        -0.5 * math.log(2 * math.pi) - 0.5 - math.log(2),
    ),
    *[row for row in COMPLETE if row[2] != "OK" and sum(row[1]) != 0.75],
    ([3.0, 3.0], [0.5, 0.5], "NOT_IDENTIFIED", NAN, NAN, 0.0),
    ([3.0, NAN], [1.0, 0.0], "NOT_IDENTIFIED", NAN, NAN, 0.0),
    ([3.0, 4.0], [0.5, 0.5], "SIGMA_INFINITE", NAN, INF, 0.0),
    ([3.0, 4.0], [0.25, 0.5], "SIGMA_INFINITE", NAN, INF, INF),
    ([3.0, 3.0], [0.25, 0.5], "SIGMA_INFINITE", NAN, INF, INF),
    ([3.0, INF], [0.25, 0.0], "SIGMA_INFINITE", NAN, INF, INF),
]


@pytest.mark.parametrize("cov_type", COV_TYPES)
@pytest.mark.parametrize("reml", [False, True])
def test_all_statuses_in_one_call(reml, cov_type):
    rows = RESTRICTED if reml else COMPLETE
    x, w = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    fit = fastnat.fit_normal(x, weights=w, reml=reml, cov_type=cov_type)
    for k, (_, weights, status, mu, sigma, loglik) in enumerate(rows):
        assert fastnat.Status(int(fit.status[k])).name == status
        assert fit.success[k] == (status == "OK")
        assert fit.nobs[k] == sum(weights)
        for got, want in [(fit.mu[k], mu), (fit.sigma[k], sigma), (fit.loglik[k], loglik)]:
            assert naive.error(got, want) <= EPS
        exact = naive.fit(x[k], w[k], reml=reml)
        assert exact.status == status
        assert naive.error(loglik, exact.loglik) <= EPS
    bad = np.asarray(fit.status) != fastnat.Status.OK
    assert np.isnan(fit.stderr[bad]).all()
    assert np.isnan(fit.cov_params[bad]).all()
    assert np.isnan(fit.conf_int()[bad]).all()
    value, stderr = fit.quantile([0.1, 0.5, 0.9])
    assert np.isnan(stderr[bad]).all()
    assert same_bits(value[:, 1], fit.mu)  # z = 0, also beside sigma = inf
    if cov_type != "opg":  # two values: an outer product of rank one
        assert np.isfinite(fit.stderr[~bad]).all()
        assert np.isfinite(fit.conf_int()[~bad]).all()
    if not reml:
        assert np.isnan(fit.conf_int(method="profile")[bad]).all()
        assert np.isfinite(fit.conf_int(method="profile")[~bad]).all()


@pytest.mark.parametrize("reml", [False, True])
def test_exact_intervals_of_all_statuses(reml):
    x = [[1.0, 3.0], [NAN, NAN], [5.5, 5.5], [INF, 1.0], [7.0, NAN]]
    fit = fastnat.fit_normal(x, nan_policy="omit", reml=reml)
    last = "NOT_IDENTIFIED" if reml else "SIGMA_ZERO"
    names = ["OK", "NO_DATA", "SIGMA_ZERO", "INVALID_INPUT", last]
    assert [fastnat.Status(int(code)).name for code in fit.status] == names
    ends = fit.conf_int(method="exact")
    assert np.isfinite(ends[0]).all()
    assert np.isnan(ends[1:]).all()


@pytest.mark.parametrize("nan_policy", ["propagate", "omit"])
def test_nan_comes_before_infinity(nan_policy):
    """The table names both; the one that nan_policy can do something about is said first."""
    status = fastnat.fit_normal([[NAN, INF], [INF, NAN]], nan_policy=nan_policy).status
    want = "NAN_INPUT" if nan_policy == "propagate" else "INVALID_INPUT"
    assert [fastnat.Status(int(code)).name for code in status] == [want, want]


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 16, 17, 100, scaled(5000, 2100)])
@pytest.mark.parametrize("value", [0.0, -0.0, 0.1, -1e300, TINY, BIG, 1e-200, 3.0])
def test_equal_values_are_seen_as_equal(value, n):
    """Also where their mean or their sum of squares is rounded."""
    for weights in [None, np.full(n, 0.1), np.linspace(0.1, 1e5, n)]:
        for axis in [-1, 0]:
            x = np.full((n, 3) if axis == 0 else (3, n), value)
            w = weights if weights is None or axis else weights[:, None]
            fit = fastnat.fit_normal(x, weights=w, axis=axis)
            assert (fit.status == fastnat.Status.SIGMA_ZERO).all()
            assert (fit.mu == value).all()
            assert (fit.sigma == 0).all()


@pytest.mark.parametrize("n", [2, 7, 8, 9, 16, 17, 100, scaled(5000, 2100)])
@pytest.mark.parametrize("value", [0.0, 0.1, -1e300, TINY, 1.0, 1e-200, 1e15])
def test_one_ulp_is_not_equal(value, n):
    """One observation of n is a neighbouring double, wherever it stands."""
    other = np.nextafter(value, INF)
    exact = naive.fit_large(np.append(np.full(n - 1, value), other))
    for place in scaled({0, 1, n // 2, n - 1}, {0, n // 2, n - 1} if n < 1000 else {n - 1}):
        x = np.full(n, value)
        x[place] = other
        for fit in [
            fastnat.fit_normal(x),
            fastnat.fit_normal(np.stack([x, x], axis=1), axis=0),
            fastnat.fit_normal(x, weights=np.full(n, 3.0)),
        ]:
            assert np.all(fit.status == fastnat.Status.OK)
            assert naive.error(np.ravel(fit.sigma)[0], exact.sigma) <= 1e-13


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("sample", SAMPLES)
def test_estimates_of_many(sample, axis):
    """Several segments, whose levels and scales differ by as much as doubles can."""
    n = scaled(300_000, 5000 if axis else 9000)
    for x in [np.resize(SAMPLES[sample], n), np.sort(np.resize(SAMPLES[sample], n))]:
        exact = naive.fit_large(x)
        table = np.stack([x, x[::-1]], axis=1 - axis)
        fit = fastnat.fit_normal(table, axis=axis, n_threads=1)
        for k in range(2):
            assert fastnat.Status(int(fit.status[k])).name == exact.status
            # Rounding errors of many deviations add up: 5 EPS of sigma where outliers come last.
            size = max(abs(exact.mu), exact.sigma)
            assert naive.error(fit.mu[k], exact.mu, size) <= 8 * EPS
            if exact.sigma > BIG * (1 - 4 * EPS) and fit.sigma[k] == INF:
                continue  # rounded up from the largest double there is
            assert naive.error(fit.sigma[k], exact.sigma) <= 1e-14


@pytest.mark.parametrize("kind", ["plain", "weights", "nan"])
@pytest.mark.parametrize("axis", [0, 1])
def test_third_and_fourth_moments_of_many(axis, kind, rng):
    """Blocks and segments with a mean, spread and skewness of their own, merged."""
    n = scaled(300_000, 9000)
    levels = np.array([0.0, 1.0, 2.5, 2.75, 9.0])
    x = np.concatenate(
        [rng.choice(levels, size) * slope + 100.0 for slope, size in [(1, n // 5), (-3, n // 2)]]
    )
    x = np.append(x, np.full(n // 7, 77.0))
    weights, options = None, {}
    if kind == "weights":
        weights = rng.choice([0.0, 0.5, 1.0, 4.0], x.size)
    if kind == "nan":
        x[rng.random(x.size) < 0.3] = np.nan
        options = {"nan_policy": "omit"}
    exact = naive.fit_large(x, weights, **options)
    table = np.stack([x, x[::-1]], axis=1 - axis)
    if weights is not None:
        options["weights"] = np.stack([weights, weights[::-1]], axis=1 - axis)
    for cov_type in ["sandwich", "opg"]:
        fit = fastnat.fit_normal(table, axis=axis, cov_type=cov_type, **options)
        cov = exact.cov(cov_type)
        for k in range(2):
            for i, j in [(0, 0), (0, 1), (1, 1)]:
                assert naive.error(fit.cov_params[k, i, j], cov[i, j]) <= 1e-12


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_narrow_types_are_computed_in_float64(dtype):
    x = np.array([1000.0, 1001.0, 1000.5, 1003.0, 0.1], dtype)
    fit = fastnat.fit_normal(x)
    assert_matches(fit, naive.fit(x))
    for name in ["mu", "sigma", "loglik", "nobs"]:
        assert getattr(fit, name).dtype == np.float64


@pytest.mark.parametrize("n", [4, 5000])
@pytest.mark.parametrize("x", [[0.0, TINY, TINY, TINY], [-TINY, TINY, 0.0, -0.0]])
def test_no_double_is_as_small_as_this_sigma(x, n):
    """Values one unit of the subnormal numbers apart differ; sigma is one unit or none."""
    fit = fastnat.fit_normal(np.resize(x, n))
    assert fit.status is fastnat.Status.OK
    assert 0.0 <= fit.sigma <= TINY
    assert not np.isnan(fit.loglik)
    assert (fit.stderr >= 0.0).all()


EXTREME = {
    "one heavy": ([0.0, 0.1], [1.0, 1e40]),
    "one heavy, first": ([0.1, 0.0], [1e40, 1.0]),
    "one light": ([0.1, 0.1, 0.7], [1.0, 3.0, 1e-30]),
    "one light, below": ([0.7, 0.7, 0.1], [1.0, 3.0, 1e-30]),
    "lighter, below": ([-9.0, 0.0], [1.0, 1e4]),
    "lighter, far below": ([-1e6, 0.25, 0.5], [1e-9, 1.0, 1.0]),
    "both ends": ([1.0, 2.0, 3.0], [1e-100, 1.0, 1e100]),
    "tiny": ([1.0, 2.0, 4.0], [1e-300, 2e-300, 1e-300]),
    "huge": ([1.0, 2.0, 4.0], [1e300, 2e300, 1e300]),
    "huge values and weights": ([1e200, 2e200, -4e200], [1e200, 2e200, 1e200]),
    "tiny values and weights": ([1e-200, 2e-200, -4e-200], [1e-200, 2e-200, 1e-200]),
}


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", EXTREME)
def test_extreme_weights(name, axis):
    """Weights only count relative to each other: mu and sigma do not feel their size."""
    x, w = EXTREME[name]
    exact = naive.fit(x, w)
    table, weights = np.array([x, x]), np.array([w, w])
    if axis == 0:
        table, weights = table.T.copy(), weights.T.copy()
    fit = fastnat.fit_normal(table, weights=weights, axis=axis)
    for k in range(2):
        assert fastnat.Status(int(fit.status[k])).name == exact.status == "OK"
        assert naive.error(fit.mu[k], exact.mu, max(abs(exact.mu), exact.sigma)) <= 4 * EPS
        assert naive.error(fit.sigma[k], exact.sigma) <= 1e-13


@pytest.mark.parametrize("weight", [1e-310, 5e-324])
@pytest.mark.parametrize("axis", [0, 1])
def test_subnormal_weights(axis, weight):
    """They have few digits, and the fit no more; but values that differ are not equal."""
    x = np.array([[1.0, 2.0, 4.0], [4.0, 2.0, 1.0]])
    fit = fastnat.fit_normal(x if axis else x.T.copy(), weights=weight, axis=axis)
    assert (fit.status == fastnat.Status.OK).all()
    assert ((fit.mu > 1.0) & (fit.mu < 4.0)).all()
    assert ((fit.sigma > 0.0) & (fit.sigma < 3.0)).all()


@pytest.mark.parametrize(
    ("n_far", "n_near"),
    [(1, 300), (8, 300), (16, 300), (40, 300), (300, 300), (300, 9000), (4096, 300), (5000, 9000)],
)
@pytest.mark.parametrize(
    ("far", "weight"),
    scaled(
        [(1e8, 2.0**-80), (-1e8, 2.0**-80), (1e5, 2.0**-20), (-1e5, 2.0**-20)],
        [(-1e8, 2.0**-80), (1e5, 2.0**-20)],
    ),
)
@pytest.mark.parametrize("axis", [0, 1])
def test_light_observations_far_away_come_first(axis, far, weight, n_far, n_near):
    """A beginning that hardly counts must not be taken for where the data are."""
    if axis == 1:
        n_near = min(n_near, scaled(n_near, 4200))  # more than two blocks
    x = np.concatenate([np.resize([far, 2 * far], n_far), np.resize([0.5, 1.5, 2.25], n_near)])
    w = np.concatenate([np.full(n_far, weight), np.ones(n_near)])
    exact = naive.fit_large(x, w)
    if axis == 0:
        x, w = np.stack([x, x], axis=1), w[:, None]
    fit = fastnat.fit_normal(x, weights=w, axis=-1 if axis else 0)
    size = max(abs(exact.mu), exact.sigma)
    assert naive.error(np.ravel(fit.mu)[0], exact.mu, size) <= 4 * EPS
    assert naive.error(np.ravel(fit.sigma)[0], exact.sigma) <= 1e-13


@pytest.mark.parametrize("weights", [None, 0.5])
def test_offset_and_outliers_in_long_rows(weights, rng):
    """Several blocks of a row, whose levels differ: exact to 1e-14 all the same."""
    n = 3 * 4096 + 17
    levels = rng.normal(0, 1, 50)
    for offset in [0.0, 1e8, 1e15]:
        for outlier, place in [(None, 0), (1e12, 0), (-1e12, n - 1), (1e5, 5000)]:
            x = rng.choice(levels, n) + offset
            x[: n // 3] += 1000.0
            if outlier is not None:
                x[place] = outlier
            exact = naive.fit_large(x, weights)
            fit = fastnat.fit_normal(x, weights=weights)
            assert naive.error(fit.mu, exact.mu, max(abs(exact.mu), exact.sigma)) <= 4 * EPS
            assert naive.error(fit.sigma, exact.sigma) <= 1e-14
