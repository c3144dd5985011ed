"""Anything at all, for every public function: a status or one sentence, and what cannot change.

`test_hostile.py` and `test_invariance.py` have this for complete samples of `fit_normal`.
"""

import datetime as dt
import math
import warnings

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from conftest import COMPILED, assert_one_sentence, same_bits, scaled
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.exceptions import ConvergenceWarning

import fastnat.dask
import fastnat.xarray
from fastnat import Status, geometry, special, streaming
from fastnat.sklearn import LocationScaleRegressor

INF, NAN = math.inf, math.nan
KINDS = ["intervals", "left", "right", "truncation", "noise", "noisy limit", "groups"]
EXTREME = [0.0, -0.0, 5e-324, 1e-300, 1e-154, 1e154, 1e300, 1.7e308, -1.7e308, 1e16]
# Plain Python raises where compiled code has NaN: log(0), exp(1000).
FAR = EXTREME if COMPILED else [0.0, -0.0, 1e-30, 1e30, -1e30, 1e16]


# ---- what may be asked of a fit, and what a status promises ----------------------------------

# (mu, sigma) of each status, as far as both are told; see `Status`.
PROMISED = {
    Status.OK: (np.isfinite, lambda s: np.isfinite(s) & (s > 0)),
    Status.BOUNDARY: (np.isfinite, lambda s: s == 0),
    Status.NO_DATA: (np.isnan, np.isnan),
    Status.NAN_INPUT: (np.isnan, np.isnan),
    Status.INVALID_INPUT: (np.isnan, np.isnan),
    Status.SIGMA_ZERO: (lambda m: np.isnan(m) | np.isfinite(m), lambda s: s == 0),
    Status.SIGMA_INFINITE: (np.isnan, lambda s: s == INF),
    Status.MU_INFINITE: (np.isinf, np.isnan),
    Status.UNBOUNDED: (np.isnan, np.isnan),
    Status.NOT_IDENTIFIED: (np.isnan, np.isnan),
    Status.SADDLE: (lambda m: ~np.isnan(m), lambda s: ~np.isnan(s)),
    Status.MAX_ITER: (lambda m: ~np.isnan(m), lambda s: ~np.isnan(s)),
}


def assert_keeps_promises(fit):
    status, mu, sigma = (np.ravel(v) for v in (fit.status, fit.mu, fit.sigma))
    loglik = np.ravel(fit.loglik)
    for code, (of_mu, of_sigma) in PROMISED.items():
        at = status == code
        assert np.all(of_mu(mu[at])), code
        assert np.all(of_sigma(sigma[at])), code
    assert np.all(np.isfinite(loglik[status <= Status.BOUNDARY]))
    assert np.all(loglik[status == Status.NO_DATA] == 0.0)
    lost = (status == Status.NAN_INPUT) | (status == Status.INVALID_INPUT)
    assert np.all(np.isnan(loglik[lost]))
    assert np.array_equal(np.ravel(fit.success), status <= Status.BOUNDARY)
    if fit.cov_type is not None:
        errors = fit.stderr.reshape(-1, fit.params.shape[-1])
        assert np.all(np.isnan(errors[status > Status.BOUNDARY]))


def ask(fit):
    """Everything; what does not apply is said in one sentence."""
    for question in (
        lambda: fit.cov_params,
        lambda: fit.stderr,
        lambda: fit.conf_int(0.9),
        lambda: fit.conf_int(0.9, method="profile"),
        lambda: fit.conf_int(0.9, method="exact"),
        lambda: fit.quantile([0.01, 0.5]) if isinstance(fit, fastnat.NormalFit) else None,
        lambda: fit.summary(),
        lambda: fit.stderr_correlation if isinstance(fit, fastnat.MvnFit) else None,
    ):
        try:
            question()
        except ValueError as error:
            assert_one_sentence(str(error))
    fit.nobs, fit.nit, fit.message, fit.loglik, repr(fit)


def fit_or_sentence(function, *arguments, **options):
    """The fit, or None if a sentence says why not; arguments stay as they were."""
    given_arrays = [a for a in (*arguments, *options.values()) if isinstance(a, np.ndarray)]
    before = [a.copy() for a in given_arrays]
    try:
        fit = function(*arguments, **options)
    except (TypeError, ValueError) as error:
        assert_one_sentence(str(error))
        fit = None
    else:
        ask(fit)
    for array, copy in zip(given_arrays, before, strict=True):
        assert same_bits(array, copy)
    return fit


# ---- anything, in any kind -------------------------------------------------------------------

NUMBER = st.one_of(
    st.integers(-3, 3).map(float),
    st.floats(-1e3, 1e3, width=32),
    st.sampled_from([*FAR, 1.0, 1.0 + 2.0**-52, 1e8, 1e8 + 1.0]),
)
MODERATE = NUMBER.filter(lambda number: abs(number) < 1e100)
CELL = st.one_of(NUMBER, NUMBER, NUMBER, st.sampled_from([NAN, INF, -INF]))
WEIGHT = st.sampled_from([0.0, 1.0, 1.0, 2.0, 0.5, 1e-10, 1e10, *map(abs, FAR[:5])])


def arrays(shape, cells=CELL):
    size = math.prod(shape)
    return st.lists(cells, min_size=size, max_size=size).map(
        lambda values: np.array(values, float).reshape(shape)
    )


@st.composite
def smaller(draw, shape, cells=CELL):
    """An array that broadcasts to this shape."""
    sizes = tuple(draw(st.sampled_from([1, size])) for size in shape)
    return draw(arrays(sizes[draw(st.integers(0, len(shape))) :], cells))


@st.composite
def problems(draw):
    """Arguments of fit_normal of any kind, most of which can be used."""
    kind = draw(st.sampled_from(KINDS))
    shape = draw(
        st.sampled_from([(1,), (2,), (7,), (2, 4), (3, 3), (2, 1, 3), (0,), (0, 2), (2, 0)])
    )
    x, options = draw(arrays(shape)), {}
    with np.errstate(all="ignore"):
        if kind == "intervals":
            widths = st.sampled_from([0.0, 0.0, 1.0, INF, 1e-10, -1.0])
            upper = x + draw(arrays(shape, widths))
            options["upper"] = upper
            x = np.where(draw(arrays(shape, st.sampled_from([0.0, 0.0, 1.0]))) > 0, -INF, x)
        if kind in ("left", "noisy limit"):
            options["left"] = draw(smaller(shape))
        if kind == "right":
            options["right"] = draw(st.sampled_from([0.0, 1.5, -1e30]) | smaller(shape))
        if kind == "truncation":
            low = draw(st.sampled_from([-INF, -1e4]) | smaller(shape))
            options["truncation"] = low, draw(st.sampled_from([INF, 2e4]) | smaller(shape))
        if kind.startswith("nois"):
            options["noise_std"] = np.abs(draw(smaller(shape)))
    if kind == "groups":
        x = x.reshape(-1)
        codes = draw(st.lists(st.integers(0, 3), min_size=x.size, max_size=x.size))
        options |= {"groups": np.array(codes, int), "right": draw(st.sampled_from([None, 2.0]))}
    elif draw(st.booleans()):
        options["axis"] = draw(st.sampled_from([None, 0, -1, *range(len(shape))]))
    if draw(st.booleans()):
        options["weights"] = draw(smaller(x.shape, WEIGHT))
    options["nan_policy"] = draw(st.sampled_from(["propagate", "omit", "raise"]))
    options["cov_type"] = draw(st.sampled_from([None, "observed", "expected", "opg", "sandwich"]))
    options["reml"] = draw(st.sampled_from([False, False, True]))
    options["max_iter"] = draw(st.sampled_from([1, 100]))
    return x, options


@settings(max_examples=scaled(400, 60))
@given(problems())
def test_any_normal_problem(problem):
    x, options = problem
    fit = fit_or_sentence(fastnat.fit_normal, x, **options)
    if fit is not None:
        assert_keeps_promises(fit)


@st.composite
def regressions(draw):
    kind = draw(st.sampled_from(["complete", "left", "intervals", "truncation", "noise", "Z"]))
    batch, n, p = draw(st.sampled_from([((), 4, 1), ((2,), 6, 2), ((1,), 3, 3), ((2,), 0, 1)]))
    y, options = draw(arrays((*batch, n))), {}
    X = draw(arrays((*batch, n, p) if draw(st.booleans()) else (n, p), NUMBER))
    if draw(st.booleans()):
        X[..., 0] = 1.0
    if kind == "left":
        options["left"] = draw(st.sampled_from([0.0, 1.0, -1e30]))
    if kind == "intervals":
        with np.errstate(all="ignore"):
            options["upper"] = y + draw(arrays(y.shape, st.sampled_from([0.0, 0.0, 1.0, INF])))
    if kind == "truncation":
        options["truncation"] = draw(st.sampled_from([-4.0, -1e3, -INF])), INF
    if kind == "noise":
        options["noise_std"] = np.abs(draw(arrays((n,))))
    if kind == "Z":
        options["Z"] = np.column_stack([np.ones(n), draw(arrays((n,), NUMBER))])
    if draw(st.booleans()):
        options["weights"] = draw(smaller((n,), WEIGHT))
    options["nan_policy"] = draw(st.sampled_from(["propagate", "omit", "raise"]))
    options["cov_type"] = draw(st.sampled_from([None, "observed", "expected", "opg", "sandwich"]))
    options["reml"] = draw(st.sampled_from([False, False, True]))
    return y, X, options


@settings(max_examples=scaled(300, 40))
@given(regressions())
def test_any_regression(regression):
    y, X, options = regression
    fit = fit_or_sentence(fastnat.fit_linear, y, X, **options)
    if fit is None:
        return
    status = np.ravel(fit.status)
    params = fit.params.reshape(status.size, -1)
    assert np.all(np.isfinite(params[status == Status.OK]))
    assert np.all(np.isfinite(np.ravel(fit.loglik)[status == Status.OK]))
    assert np.all(np.isnan(params[status == Status.NAN_INPUT]))
    assert np.all(np.isnan(params[status == Status.INVALID_INPUT]))
    if fit.cov_type is not None:
        errors = fit.stderr.reshape(params.shape)
        assert np.all(np.isnan(errors[status > Status.BOUNDARY]))


@settings(max_examples=scaled(200, 40))
@given(st.data(), st.sampled_from(["propagate", "omit", "raise", "mle"]))
def test_any_table(data, nan_policy):
    shape = data.draw(st.sampled_from([(3, 1), (5, 2), (2, 4, 2), (4, 3), (0, 2), (2, 0, 1)]))
    X = data.draw(arrays(shape))
    weights = data.draw(st.none() | smaller(shape[:-1], WEIGHT))
    cov_type = data.draw(st.sampled_from([None, "observed", "opg", "sandwich"]))
    options = {"weights": weights, "nan_policy": nan_policy, "cov_type": cov_type}
    fit = fit_or_sentence(fastnat.fit_mvn, X, **options)
    if fit is None:
        return
    status = np.ravel(fit.status)
    good, d = status == Status.OK, shape[-1]
    assert np.all(np.isfinite(fit.mean.reshape(-1, d)[good]))
    cov = fit.covariance.reshape(-1, d, d)[good]  # inf where a square is beyond a double
    assert np.all(np.diagonal(cov, axis1=-2, axis2=-1) >= 0.0)
    assert np.all(np.isfinite(np.ravel(fit.loglik)[good]))
    lost = (status == Status.NAN_INPUT) | (status == Status.INVALID_INPUT)
    assert np.all(np.isnan(fit.mean.reshape(-1, d)[lost]))


# ---- the same numbers, however they are kept -------------------------------------------------


class Own(np.ndarray):
    """A subclass."""


def unaligned(x):
    """Doubles at odd addresses, every nine bytes."""
    table = np.zeros(x.shape, np.dtype([("flag", "u1"), ("value", "<f8")]))
    table["value"] = x
    return table["value"]


KEPT = {
    "as it is": lambda x: x,
    "Fortran": np.asfortranarray,
    "reversed": lambda x: np.ascontiguousarray(x[..., ::-1])[..., ::-1],
    "upside down": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "every other": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "unaligned": unaligned,
    "big-endian": lambda x: x.astype(">f8"),
    "long double": lambda x: x.astype(np.longdouble),
    "read-only": lambda x: np.frombuffer(np.ascontiguousarray(x).tobytes()).reshape(x.shape),
    "a subclass": lambda x: x.view(Own),
    "lists": lambda x: x.tolist(),
    "pandas": lambda x: pd.DataFrame(x) if x.ndim == 2 else pd.Series(x) if x.ndim == 1 else x,
}
NARROW = ["?", "i1", ">i2", "u4", "i8", "f2", ">f4", "f4"]


def options_of(kind, x, keep):
    """Options of this kind whose arrays are kept in this way."""
    low, high = float(np.min(x)), float(np.max(x))
    return {
        "complete": {},
        "weights": {"weights": keep(np.abs(x) + 1.0)},
        "intervals": {"upper": keep(np.where(x > np.median(x), x + 1.0, x))},
        "left": {"left": 0.5 * (low + high)},
        "limits": {"right": keep(np.full(x.shape, 0.3 * low + 0.7 * high))},
        "truncation": {"truncation": (keep(np.full(x.shape, low - 1.0)), high + 2.0)},
        "noise": {"noise_std": keep(0.1 + np.abs(x) / 8.0)},
    }[kind]


def assert_close(fit, want, params=1e-9):
    """The same statuses, and estimates within this share of sigma."""
    assert np.array_equal(fit.status, want.status)
    same = np.ravel(want.status) == Status.OK
    got, wanted = (np.reshape(f.params, (same.size, -1))[same] for f in (fit, want))
    size = np.maximum(np.abs(wanted), np.ravel(want.sigma)[same][:, None])
    assert np.all(np.abs(got - wanted) <= params * size)
    logliks = np.ravel(fit.loglik)[same] - np.ravel(want.loglik)[same]
    assert np.all(np.abs(logliks) <= 1e-9 * (1.0 + np.abs(np.ravel(want.loglik)[same])))


KINDS_OF_OPTIONS = ["complete", "weights", "intervals", "left", "limits", "truncation", "noise"]


@pytest.mark.parametrize("kind", KINDS_OF_OPTIONS)
@pytest.mark.parametrize("axis", [0, 1])
def test_how_samples_are_kept(kind, axis, rng):
    x = rng.integers(-20, 40, scaled((7, 9), (3, 4))) / 8.0
    want = fastnat.fit_normal(x.copy(), axis=axis, **options_of(kind, x, np.copy))
    assert np.any(want.success)
    for keep in KEPT.values():
        fit = fastnat.fit_normal(keep(x), axis=axis, **options_of(kind, x, keep))
        assert_close(fit, want)
        assert isinstance(fit.mu, np.ndarray)
        assert not isinstance(fit.mu, Own)


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("kind", ["intervals", "limits", "noise"])
def test_narrow_samples(kind, dtype, rng):
    x = rng.integers(0, 2 if dtype == "?" else 100, (3, 12)).astype(dtype)
    wide = x.astype(float)
    options = options_of(kind, wide, np.copy)
    assert_close(fastnat.fit_normal(x, **options), fastnat.fit_normal(wide, **options), 0.0)


@pytest.mark.parametrize("name", KEPT)
def test_how_regressions_and_tables_are_kept(name, rng):
    keep = KEPT[name]
    X = np.column_stack([np.ones(12), rng.normal(size=12)])
    y = X @ [1.0, 2.0] + rng.normal(size=(3, 12))
    w, e = rng.uniform(0.5, 2.0, 12), rng.uniform(0.1, 0.5, 12)
    for options in ({}, {"left": 0.0}, {"noise_std": e}, {"weights": w}, {"Z": X}):
        kept = {k: keep(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        fit, want = (
            fastnat.fit_linear(keep(y), keep(X), **kept),
            fastnat.fit_linear(y, X, **options),
        )
        assert np.array_equal(fit.status, want.status)
        np.testing.assert_allclose(fit.params, want.params, rtol=1e-9, atol=1e-9)
    T = rng.normal(size=(3, 9, 2))
    holes = np.where(rng.random(T.shape) < 0.2, NAN, T)
    for table, policy in ((T, "propagate"), (holes, "mle"), (holes, "omit")):
        fit = fastnat.fit_mvn(keep(table), nan_policy=policy)
        want = fastnat.fit_mvn(table, nan_policy=policy)
        assert np.array_equal(fit.status, want.status)
        np.testing.assert_allclose(fit.params, want.params, rtol=1e-9, atol=1e-9)


def test_limits_far_away(rng):
    """1e200 standard deviations away is no limit: the bits of an infinite one."""
    x = rng.normal(size=9)
    X = np.column_stack([np.ones(9), rng.normal(size=9)])
    for cov_type in ("observed", "expected", "opg", "sandwich"):
        options = {"right": np.full(9, 1.0), "cov_type": cov_type}
        far, none = (fastnat.fit_normal(x, left=low, **options) for low in (-1e200, -INF))
        assert same_bits(far.stderr, none.stderr)
        assert np.all(far.stderr > 0.0)
        far, none = (fastnat.fit_linear(x, X, left=low, **options) for low in (-1e200, -INF))
        assert same_bits(far.stderr, none.stderr)
        assert np.all(far.stderr > 0.0)


def test_far_weights_and_noise():
    """What is beyond a double in a square is inf there, and no warning."""
    fit = fastnat.fit_normal(X4, weights=5e-324)
    assert (fit.mu, fit.sigma) == (2.5, fastnat.fit_normal(X4).sigma)
    ask(fit)
    fit = fastnat.fit_normal(1e200 * X4, noise_std=1e190)
    assert np.all(fit.stderr > 1e198)
    assert np.array_equal(fit.cov_params, [[INF, 0.0], [0.0, INF]])
    wide = np.array([[1e300, 1.0], [0.0, 2.0], [2.0, 5.0], [-1e300, NAN]])
    assert not np.any(np.abs(fastnat.fit_mvn(wide, nan_policy="mle").correlation) > 1.0)


def test_repeated_memory(rng):
    """Strides of zero: one sample as many, one row as many rows."""
    x = rng.normal(size=8)
    many = np.broadcast_to(x, (5, 8))
    for kind in KINDS_OF_OPTIONS:
        fit = fastnat.fit_normal(many, **options_of(kind, many, lambda a: a))
        one = fastnat.fit_normal(x, **options_of(kind, x, np.copy))
        assert_close(fit, fastnat.fit_normal(many.copy(), **options_of(kind, many, np.copy)))
        np.testing.assert_allclose(fit.params, np.broadcast_to(one.params, (5, 2)), rtol=1e-9)
    same = np.broadcast_to(3.5, (4, 6))
    assert np.all(fastnat.fit_normal(same).status == Status.SIGMA_ZERO)
    assert np.all(fastnat.fit_normal(same, left=0.0, axis=0).status == Status.SIGMA_ZERO)
    assert fastnat.fit_mvn(np.broadcast_to(x[:2], (6, 2))).status == Status.SINGULAR


# ---- what cannot change an estimate ----------------------------------------------------------


@st.composite
def samples(draw):
    """(x, options) with a maximum in most cases: a few ordinary numbers of one kind."""
    n = draw(st.integers(3, 12))
    values = st.integers(-64, 64).map(lambda k: k / 8.0)
    x = np.array(draw(st.lists(values, min_size=n, max_size=n)))
    assume(np.ptp(x) > 0.0)
    kind = draw(st.sampled_from(KINDS_OF_OPTIONS[2:]))
    return kind, x, options_of(kind, x, np.copy)


def moved(options, change, spread):
    """The options for changed data: limits like values, noise like differences."""
    new = {}
    for name, value in options.items():
        if name == "noise_std":
            new[name] = spread(value)
        elif name == "truncation":
            new[name] = tuple(change(end) for end in value)
        else:
            new[name] = value if name == "weights" else change(value)
    return new


def assert_moved(fit, want, scale, shift):
    """``want`` of data times scale plus shift."""
    assert fit.status == want.status
    if want.status == Status.OK:
        size = scale * want.sigma
        assert abs(fit.mu - (scale * want.mu + shift)) <= 1e-7 * max(size, abs(scale * want.mu))
        assert abs(fit.sigma - size) <= 1e-7 * size


@settings(max_examples=scaled(200, 40))
@given(samples(), st.integers(-60, 60), st.sampled_from([0.0, 1.0, -3.0, 1024.0]))
def test_scale_and_shift(sample, power, shift):
    """Both exact: powers of two, and eighths."""
    _, x, options = sample
    want = fastnat.fit_normal(x, **options)
    scale = 2.0**power
    fit = fastnat.fit_normal(
        scale * (x + shift),
        **moved(options, lambda v: scale * (v + shift), lambda v: scale * v),
    )
    assert_moved(fit, want, scale, scale * shift)


@settings(max_examples=scaled(150, 30))
@given(samples(), st.randoms(use_true_random=False), st.integers(2, 4))
def test_order_and_repetition(sample, random, times):
    """Any order; times as many of each are weights; both halves of them are the whole."""
    _, x, options = sample
    order = np.array(random.sample(range(x.size), x.size))

    def pick(rows):
        def of(value):
            return value[rows] if np.ndim(value) else value

        return fastnat.fit_normal(x[rows], **moved(options, of, of))

    want = fastnat.fit_normal(x, **options)
    assert_moved(pick(order), want, 1.0, 0.0)
    repeated = pick(np.tile(order, times))
    weighted = fastnat.fit_normal(x, weights=float(times), **options)
    assert_moved(weighted, repeated, 1.0, 0.0)
    assert weighted.nobs == repeated.nobs == times * want.nobs
    if want.status == Status.OK:
        assert abs(repeated.loglik - times * want.loglik) <= 1e-9 * (1.0 + abs(repeated.loglik))
        np.testing.assert_allclose(repeated.stderr, want.stderr / math.sqrt(times), rtol=1e-5)


def loglik_of(kind, x, options, mu, sigma):
    """By SciPy."""
    normal = stats.norm(mu, sigma)
    if kind == "noise":
        return stats.norm.logpdf(x, mu, np.hypot(sigma, options["noise_std"])).sum()
    if kind == "truncation":
        low, high = options["truncation"]
        return (normal.logpdf(x) - np.log(normal.cdf(high) - normal.cdf(low))).sum()
    lower, upper = x, options.get("upper", x)
    if "left" in options:
        lower, upper = np.where(x <= options["left"], -INF, x), np.maximum(x, options["left"])
    if "right" in options:
        lower, upper = np.minimum(x, options["right"]), np.where(x >= options["right"], INF, x)
    exact = lower == upper
    with np.errstate(all="ignore"):
        mass = np.log(normal.cdf(upper) - normal.cdf(lower))
    return np.where(exact, normal.logpdf(x), mass).sum()


@settings(max_examples=scaled(150, 30))
@given(samples())
def test_maxima_are_maxima(sample):
    """The log-likelihood is SciPy's, and lower at every point around it."""
    kind, x, options = sample
    fit = fastnat.fit_normal(x, **options)
    if fit.status != Status.OK:
        return
    # With sigma far beyond the bounds the difference of SciPy's probabilities cancels.
    assume(fit.sigma < 1e3 * np.ptp(x))
    top = loglik_of(kind, x, options, fit.mu, fit.sigma)
    assert abs(top - fit.loglik) <= 1e-8 * (1.0 + abs(top))
    for angle in np.arange(8) * (math.pi / 4.0):
        mu = fit.mu + 0.02 * math.cos(angle) * fit.stderr[0]
        sigma = fit.sigma * math.exp(0.02 * math.sin(angle) * fit.stderr[1] / fit.sigma)
        assert loglik_of(kind, x, options, mu, sigma) <= top + 1e-9 * (1.0 + abs(top))


# ---- streams ---------------------------------------------------------------------------------


@settings(max_examples=scaled(100, 25))
@given(st.data(), st.sampled_from(["normal", "limits", "table", "missing", "regression"]))
def test_any_cut_of_a_stream(data, kind):
    """Chunks in any cut, merged or taken in: the fit of all at once."""
    n = data.draw(st.integers(1, 12))
    rows = np.round(data.draw(arrays((n, 3), st.floats(-8.0, 8.0))) * 8.0) / 8.0
    weights = data.draw(arrays((n,), st.sampled_from([0.0, 1.0, 2.0, 0.5])))
    cut = data.draw(st.integers(0, n))
    chunks = slice(0, cut), slice(cut, n)
    if kind in ("table", "missing"):
        table = np.where(rows[:, :2] > 6.0, NAN, rows[:, :2])
        policy = "mle" if kind == "missing" else "omit"
        make = lambda: streaming.MvnStats(nan_policy=policy)  # noqa: E731
        take = lambda s, c: s.update(table[c], weights=weights[c])  # noqa: E731
        want = fastnat.fit_mvn(table, weights=weights, nan_policy=policy)
    elif kind == "regression":
        X = np.column_stack([np.ones(n), rows[:, 1]])
        make = streaming.LinearStats
        take = lambda s, c: s.update(rows[c, 0], X[c], weights=weights[c])  # noqa: E731
        want = fastnat.fit_linear(rows[:, 0], X, weights=weights)
    else:
        left = -1.0 if kind == "limits" else None
        make = lambda: streaming.NormalStats(left=left)  # noqa: E731
        take = lambda s, c: s.update(rows[c].T, weights=weights[c])  # noqa: E731
        want = fastnat.fit_normal(rows.T, weights=weights, left=left)
    whole, second = make(), make()
    for chunk in chunks:
        take(whole, chunk)
    first = make()
    take(first, chunks[0])
    take(second, chunks[1])
    first.merge(second)
    for found in (whole.fit(), first.fit(), type(whole).from_arrays(whole.to_arrays()).fit()):
        assert np.array_equal(found.status, want.status)
        np.testing.assert_array_equal(found.nobs, want.nobs)
        good = np.ravel(want.status) == Status.OK
        got, wanted = (np.reshape(f.params, (good.size, -1))[good] for f in (found, want))
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)


@given(arrays((4,)), st.sampled_from([0.0, 0.5]))
def test_any_stream_of_one_series(x, forgetting):
    stream = streaming.OnlineNormal(forgetting=forgetting, burn_in=2)
    for value in (*x, x):
        try:
            stream.update(value)
        except ValueError as error:
            assert_one_sentence(str(error), "x")
    stream.mu, stream.sigma, stream.nobs, stream.n_eff, stream.ready, stream.stderr, repr(stream)


# ---- geometry and the tail -------------------------------------------------------------------

MEAN = st.one_of(NUMBER, st.sampled_from([NAN, INF, -INF, *EXTREME]))
SCALE = st.one_of(st.floats(1e-3, 1e3), st.sampled_from([NAN, INF, *map(abs, EXTREME)]))


@given(MEAN, SCALE, MEAN, SCALE)
def test_any_divergence(m1, s1, m2, s2):
    """Not negative, zero for the same, symmetric where it should be, and no warning."""
    pair = m1, s1, m2, s2
    known = all(map(math.isfinite, pair)) and s1 > 0.0 and s2 > 0.0
    for function in (geometry.kl_normal, geometry.fisher_rao_distance):
        value = float(function(*pair))
        assert not value < 0.0
        assert not known or not math.isnan(value)
        if known and (m1, s1) == (m2, s2):
            assert value == 0.0
    if known:
        there = float(geometry.fisher_rao_distance(*pair))
        back = float(geometry.fisher_rao_distance(m2, s2, m1, s1))
        assert there == back or abs(there - back) <= 1e-12 * there
    geometry.kl_normal_quadratic(*pair)
    geometry.fisher_rao_geodesic(*pair, [0.0, 0.5, 1.0])
    geometry.fisher_normal(m1, s1)
    for chart in ("log_sigma", "sigma", "variance", "natural", "mean", "olsen"):
        geometry.to_chart(m1, s1, chart)


@given(st.lists(MEAN, min_size=1, max_size=9))
def test_any_tail(x):
    values = np.sort(np.array(x))
    for name in ("ndtr", "log_ndtr", "hazard", "hazard_remainder"):
        found = getattr(special, name)(values)
        assert np.array_equal(np.isnan(found), np.isnan(values))
        known = found[~np.isnan(found)]
        ordered = known if name != "hazard_remainder" else known[::-1]
        with np.errstate(invalid="ignore"):  # inf - inf
            steps = np.diff(ordered)
        assert np.all(np.isnan(steps) | (steps >= -1e-15 * np.abs(ordered[1:])))
    ends = special.log_interval_prob(values, values[::-1])
    assert np.all(np.isnan(ends) | (ends <= 0.0))


# ---- arguments that are something else -------------------------------------------------------

X4 = np.array([1.0, 2.0, 4.0, 3.0])
D4 = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 4.0]])
T4 = np.array([[1.0, 2.0], [2.0, 1.0], [4.0, 5.0], [0.0, 7.0]])
S2 = np.array([[2.0, 0.5], [0.5, 1.0]])
FITS = dict.fromkeys(("nan_policy", "cov_type", "max_iter", "tol", "n_threads"))
OBSERVED = dict.fromkeys(("upper", "left", "right", "truncation", "noise_std", "weights", "reml"))
PAIR = {"mu1": 0.0, "sigma1": 1.0, "mu2": 1.0, "sigma2": 2.0}
MVN_PAIR = {"mean1": [0.0, 1.0], "covariance1": S2, "mean2": [1.0, 1.0], "covariance2": S2}


def updated(kind, *chunk):
    new = kind()
    new.update(*chunk)
    return new


def descend(x0, **options):
    return fastnat.steepest_descent(
        lambda x: float(np.sum(np.minimum(np.abs(x), 1e100) ** 2)),
        lambda x: 2.0 * np.clip(x, -1e100, 1e100),
        x0,
        **options,
    )


# function: (arguments it needs, arguments it may have)
FUNCTIONS = {
    fastnat.fit_normal: ({"x": X4}, OBSERVED | FITS | dict.fromkeys(("groups", "axis"))),
    fastnat.fit_linear: ({"y": X4, "X": D4}, OBSERVED | FITS | dict.fromkeys(("Z", "start"))),
    fastnat.fit_mvn: ({"X": T4}, FITS | dict.fromkeys(("weights", "start"))),
    descend: (
        {"x0": [1.0, 2.0]},
        dict.fromkeys(("metric", "step_size", "line_search", "max_iter", "tol", "trace")),
    ),
    geometry.kl_normal: (PAIR, {}),
    geometry.kl_normal_quadratic: (PAIR, {}),
    geometry.fisher_rao_distance: (PAIR, {}),
    geometry.fisher_rao_geodesic: (PAIR | {"t": 0.5}, {}),
    geometry.fisher_normal: ({"mu": 0.0, "sigma": 1.0}, {"chart": None}),
    geometry.to_chart: ({"mu": 0.0, "sigma": 1.0}, {"chart": None}),
    geometry.from_chart: ({"theta": [0.0, 1.0]}, {"chart": None}),
    geometry.kl_mvn: (MVN_PAIR, {}),
    geometry.kl_mvn_quadratic: (MVN_PAIR, {}),
    geometry.fisher_mvn: ({"covariance": S2}, {}),
    geometry.mahalanobis: ({"x": [0.0, 1.0], "y": [1.0, 3.0], "covariance": S2}, {}),
    special.ndtr: ({"x": X4}, {}),
    special.log_ndtr: ({"x": X4}, {}),
    special.hazard: ({"x": X4}, {}),
    special.hazard_remainder: ({"x": X4}, {}),
    special.log_interval_prob: ({"a": X4, "b": X4 + 1.0}, {}),
    special.low_level_callable: ({}, {"name": None}),
    streaming.NormalStats: ({}, dict.fromkeys(("shape", "left", "right", "moments", "nan_policy"))),
    streaming.MvnStats: ({}, {"shape": None, "nan_policy": None}),
    streaming.LinearStats: ({}, {"shape": None, "nan_policy": None}),
    streaming.OnlineNormal: ({}, dict.fromkeys(("shape", "left", "forgetting", "burn_in"))),
    streaming.NormalStats().update: ({"x": X4}, dict.fromkeys(("weights", "groups", "axis"))),
    streaming.MvnStats().update: ({"X": T4}, {"weights": None}),
    streaming.LinearStats().update: ({"y": X4, "X": D4}, {"weights": None}),
    streaming.OnlineNormal().update: ({"x": X4}, {"n_threads": None}),
    streaming.NormalStats.from_arrays: ({}, {"arrays": None}),
    streaming.MvnStats.from_arrays: ({}, {"arrays": None}),
    streaming.LinearStats.from_arrays: ({}, {"arrays": None}),
    updated(streaming.NormalStats, X4).merge: ({}, {"other": None}),
    updated(streaming.NormalStats, X4).fit: ({}, {"reml": None, "cov_type": None, "tol": None}),
    fastnat.fit_normal(X4).conf_int: ({}, {"level": None, "method": None}),
    fastnat.fit_normal(X4).quantile: ({}, {"q": None}),
    fastnat.fit_linear(X4, D4).predict: ({"X": D4}, {"Z": None}),
    fastnat.fit_linear(X4, D4).summary: ({}, {"level": None}),
    fastnat.fit_linear(X4, D4).conf_int: ({}, {"level": None, "method": None}),
    fastnat.fit_mvn(T4).conf_int: ({}, {"level": None, "method": None}),
}
# One more than NumPy can broadcast, where it can hold so many.
MOST_DIMENSIONS = 33 if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else 32
JUNK = [
    None, "a", b"1", "", 1, -1, 0, True, 1.5, NAN, INF, 10**400, 2**63, 1j, [], {}, {1, 2}, len,
    object(), [[1.0, 2.0], [3.0]], ["a", "b"], [None, 1.0], dt.date(2020, 1, 1), ...,
    np.empty((0, 3)), np.ones((1,) * MOST_DIMENSIONS), np.arange(4), np.arange(16.0).reshape(4, 4),
    np.arange(3.0), np.ma.masked, np.ma.masked_array(X4, [0, 1, 0, 0]), np.array(None, object),
    np.zeros(4, [("a", float)]), np.array(["2020"], "M8[Y]"), np.full(4, NAN), np.full(4, 5e-324),
    np.array([1e308, -1e308, 1e308, 0.0]), np.array([2**64 - 1] * 4, np.uint64), (1.0, 2.0),
    (None, None), ("a", "b"), np.str_("observed"), np.bool_(True), pd.NA, pd.NaT,
    pd.Series([1.0, 2.0, 4.0, 3.0]), pd.Series(list("abca"), dtype="category"),
    pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}), memoryview(X4), range(4), slice(1),
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: getattr(f, "__qualname__", str(f)))
def test_arguments_that_are_something_else(function):
    """One argument is junk: a result, or one sentence that names an argument."""
    needed, optional = FUNCTIONS[function]
    known = {*needed, *optional, "metric", "chunk"}
    for name in [*needed, *optional]:
        for junk in JUNK:
            said = None
            try:
                result = function(**(needed | {name: junk}))
            except (TypeError, ValueError) as error:
                said = str(error)
            if said is not None:
                assert_one_sentence(said)
                assert any(word in said for word in known), (name, junk, said)
            elif isinstance(result, fastnat.FitResult):
                result.loglik, result.params, result.message, repr(result)


def test_names_that_are_something_else():
    for junk in JUNK[:20]:
        with pytest.raises(ValueError, match="names") as caught:
            fastnat.warmup(junk)
        assert_one_sentence(str(caught.value))


def test_unusual_but_right():
    """What looks like junk and is none."""
    assert fastnat.fit_normal(X4, axis=np.int8(-1), reml=False, max_iter=np.uint8(3)).success
    assert fastnat.fit_normal(X4, left=np.array(1.5), tol=np.float32(0.5)).success
    assert fastnat.fit_normal(X4, weights=np.float16(2)).nobs == 8.0
    assert fastnat.fit_normal(X4, cov_type=np.str_("opg")).success
    assert fastnat.fit_normal(pd.Series(X4), groups=pd.Series([0, 1, 0, 1])).success.all()


# ---- a user's own functions ------------------------------------------------------------------


@given(st.sampled_from([NAN, INF, -INF, 1e300, 0.0]), st.integers(1, 4), st.booleans())
def test_functions_that_fail(bad, when, in_slope):
    """A value or slope that is no number ends a descent, or is stepped over; no exception."""
    calls = 0

    def spoil(value):
        nonlocal calls
        calls += 1
        return value if calls < when else value * 0.0 + bad

    for line_search in (False, True):
        calls = 0
        with np.errstate(all="ignore"):
            result = fastnat.steepest_descent(
                (lambda x: float(x @ x)) if in_slope else (lambda x: float(spoil(x @ x))),
                (lambda x: spoil(2.0 * x)) if in_slope else (lambda x: 2.0 * x),
                [1.0, 2.0],
                step_size=0.4,
                line_search=line_search,
                max_iter=20,
            )
        assert result.nit <= 20
        assert isinstance(result.message, str)
        assert isinstance(result.success, bool)


@settings(max_examples=scaled(60, 15))
@given(arrays((2, 5)), st.sampled_from(["propagate", "omit"]), st.none() | arrays((5,), WEIGHT))
def test_any_data_of_a_model(x, nan_policy, weights):
    assume(np.all(np.abs(x[np.isfinite(x)]) < 1e100))
    fit = fit_or_sentence(
        fastnat.fit, fastnat.models.normal, x, weights=weights, nan_policy=nan_policy, max_iter=30
    )
    if fit is not None:
        good = fit.status == Status.OK
        assert np.all(np.isfinite(fit.params[good]))
        assert np.all(np.isnan(fit.params[fit.status == Status.NAN_INPUT]))


# ---- labelled, lazy, and as an estimator -----------------------------------------------------


@settings(max_examples=scaled(40, 15))
@given(arrays((3, 4)), st.sampled_from(["propagate", "omit"]), st.none() | arrays((4,), WEIGHT))
def test_any_labelled_or_lazy_array(x, nan_policy, weights):
    """The same statuses and bits as of the array itself, in chunks of any size."""
    kept = np.asfortranarray(x.astype(">f8"))
    want = fit_or_sentence(fastnat.fit_normal, x, weights=weights, nan_policy=nan_policy)
    labelled = None if weights is None else xr.DataArray(weights, dims="time")
    lazy = None if weights is None else da.from_array(weights, chunks=4)
    calls = (
        lambda: fastnat.xarray.fit_normal(
            xr.DataArray(kept, dims=("place", "time")),
            dim="time",
            weights=labelled,
            nan_policy=nan_policy,
        ),
        lambda: fastnat.dask.fit_normal(
            da.from_array(kept, chunks=(2, 4)), weights=lazy, nan_policy=nan_policy
        ),
    )
    for call in calls:
        if want is None:
            with pytest.raises(ValueError, match="weights") as caught:
                np.asarray(call().mu)
            assert_one_sentence(str(caught.value))
        else:
            fit = call()
            assert np.array_equal(np.asarray(fit.status), want.status)
            # A copy of Fortran's order is read along its columns.
            np.testing.assert_allclose(np.asarray(fit.sigma), want.sigma, rtol=1e-12)


@settings(max_examples=scaled(30, 10))
@given(arrays((6, 2), MODERATE), arrays((6,), MODERATE))
def test_any_data_of_an_estimator(X, y):
    """Finite data are fitted, or refused in one sentence; a warning says what is wanting."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = LocationScaleRegressor().fit(X, y)
        mean, sd = model.predict(X, return_std=True)
    assert {warning.category for warning in said} <= {ConvergenceWarning}
    assert mean.shape == sd.shape == (6,)
    assert not np.any(np.isnan(mean))
