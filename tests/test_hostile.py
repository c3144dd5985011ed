"""Arguments that cannot be used, and data that nobody would expect."""

import decimal
import math
import re

import naive
import numpy as np
import pandas as pd
import pytest
from conftest import EPS, assert_agree, assert_one_sentence, assert_same_bits, refused, scaled
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastnat

X = [1.0, 2.0, 4.0]
INT_MASK = np.ma.masked_array([1, 2, 3], [False, True, False])
FLOAT_MASK = np.ma.masked_array([1.0, 2.0, 4.0], [False, False, True])


# What is wrong with x or weights whatever the numbers are: TypeError or ValueError, and words.
UNUSABLE = {
    "complex": (np.array([1.0, 2.0j]), TypeError, ["complex128"]),
    "strings": (["1", "2"], TypeError, ["real numbers"]),
    "bytes": ([b"1", b"2"], TypeError, ["real numbers"]),
    "objects": (np.array([1.0, 2.0], object), TypeError, ["object"]),
    "None": ([1.0, None], TypeError, ["object"]),
    "decimals": ([decimal.Decimal(1), decimal.Decimal(2)], TypeError, ["object"]),
    "large integers": ([2**70, 1], TypeError, ["object"]),
    "dates": (np.array(["2020-01-01"], "M8[D]"), TypeError, ["datetime64"]),
    "durations": (np.array([5], "m8[s]"), TypeError, ["timedelta64"]),
    "records": (np.zeros(3, [("a", float)]), TypeError, ["real numbers"]),
    "ragged": ([[1.0, 2.0], [3.0]], (TypeError, ValueError), []),
    "a mapping": ({"a": 1.0}, TypeError, ["object"]),
    "a masked array": (FLOAT_MASK, TypeError, ["masked"]),
    "a masked array of integers": (INT_MASK, TypeError, ["masked"]),
    "a masked array without mask": (np.ma.masked_array([1.0, 2.0]), TypeError, ["masked"]),
}


@pytest.mark.parametrize("name", ["x", "weights"])
@pytest.mark.parametrize("case", UNUSABLE)
def test_arrays_that_are_refused(case, name):
    value, error, words = UNUSABLE[case]
    arguments = {"x": X, "weights": None} | {name: value}
    with refused(error, name, *words):
        fastnat.fit_normal(**arguments)


def test_the_way_out_of_a_masked_array():
    """What the messages advise works: code in them is taken at its word."""
    for masked in [FLOAT_MASK, FLOAT_MASK.astype(np.float32)]:
        with pytest.raises(TypeError) as caught:
            fastnat.fit_normal(masked)
        assert "x.filled(np.nan)" in str(caught.value)
        assert "nan_policy='omit'" in str(caught.value)
        fit = fastnat.fit_normal(masked.filled(np.nan), nan_policy="omit")
        assert fit.mu == 1.5
    # A masked weight is one of an observation to leave out; NaN would be refused.
    with pytest.raises(TypeError) as caught:
        fastnat.fit_normal(X, weights=FLOAT_MASK)
    assert "weights.filled(0)" in str(caught.value)
    assert "nan" not in str(caught.value)


def test_regressions_leave_out_masked_rows():
    y, X = np.ma.masked_array([1.0, 2.0, 9.0], [False, False, True]), np.ones((3, 1))
    with pytest.raises(TypeError) as caught:
        fastnat.fit_linear(y, X)
    assert_one_sentence(str(caught.value), "y.filled(np.nan)", "nan_policy='omit'")
    fit = fastnat.fit_linear(y.filled(np.nan), X, nan_policy="omit")
    assert abs(fit.coef[0] - 1.5) <= EPS


@pytest.mark.parametrize("name", ["weights", "left", "noise_std"])
@pytest.mark.parametrize("shape", [(3, 4, 2), (4, 3, 2), (4, 2, 3, 5)])
def test_the_way_out_of_an_array_along_another_dimension(shape, name, rng):
    """One number for each image of a stack, or for each of its rows."""
    x, numbers = rng.normal(size=shape), np.array([0.5, 1.0, 0.75])
    with pytest.raises(ValueError, match="broadcast") as caught:
        fastnat.fit_normal(x, axis=0, **{name: numbers})
    k = shape.index(3)
    assert_one_sentence(str(caught.value), f"{name} of shape (3,)", f"along dimension {k} it is ")
    advice = re.search(rf"{name}\[.*?\]", str(caught.value))[0]
    spread = eval(advice, {name: numbers})
    full = np.broadcast_to(
        np.moveaxis(np.broadcast_to(numbers, (1,) * (x.ndim - 1) + (3,)), -1, k), shape
    )
    got, want = (fastnat.fit_normal(x, axis=0, **{name: v}) for v in (spread, full))
    np.testing.assert_allclose(got.mu, want.mu, rtol=1e-12, atol=1e-12)


def test_integers_have_no_nan_to_fill():
    with pytest.raises(TypeError) as caught:
        fastnat.fit_normal(INT_MASK)
    advice = re.search(r"x\.[\w.()]*", str(caught.value))[0]
    filled = eval(advice.rstrip(","), {"x": INT_MASK, "np": np, "float": float})
    assert fastnat.fit_normal(filled, nan_policy="omit").mu == 2.0


BAD_OPTIONS = [
    ({"axis": 1}, ValueError, ["axis", "1"]),
    ({"axis": -2}, ValueError, ["axis", "-2"]),
    ({"axis": (0, 0)}, ValueError, ["axis", "(0, 0)"]),
    ({"axis": (0, -1)}, ValueError, ["axis", "(0, -1)"]),
    ({"axis": ()}, ValueError, ["axis", "()"]),
    ({"axis": (0, 1)}, ValueError, ["axis", "1"]),
    ({"axis": "0"}, TypeError, ["axis", "'0'"]),
    ({"axis": 0.0}, TypeError, ["axis", "0.0"]),
    ({"axis": -1.0}, TypeError, ["axis", "-1.0"]),
    ({"axis": (0.0,)}, TypeError, ["axis", "0.0"]),
    ({"axis": [0]}, TypeError, ["axis", "[0]"]),
    ({"axis": np.array([0, 0])}, TypeError, ["axis"]),
    ({"axis": np.nan}, TypeError, ["axis", "nan"]),
    ({"nan_policy": "skip"}, ValueError, ["nan_policy", "'skip'", "'propagate'", "'omit'"]),
    ({"nan_policy": None}, ValueError, ["nan_policy", "None"]),
    ({"nan_policy": "OMIT"}, ValueError, ["nan_policy", "'OMIT'"]),
    ({"nan_policy": ["omit"]}, ValueError, ["nan_policy"]),
    ({"nan_policy": np.array(["omit", "raise"])}, ValueError, ["nan_policy"]),
    ({"cov_type": "HC0"}, ValueError, ["cov_type", "'HC0'", "'sandwich'"]),
    ({"cov_type": 1}, ValueError, ["cov_type", "1"]),
    ({"cov_type": True}, ValueError, ["cov_type", "True"]),
    ({"cov_type": np.array(["opg", "opg"])}, ValueError, ["cov_type"]),
    ({"n_threads": 0}, ValueError, ["n_threads", "0"]),
    ({"n_threads": -1}, ValueError, ["n_threads", "-1"]),
    ({"n_threads": 1.0}, TypeError, ["n_threads", "1.0"]),
    ({"n_threads": "2"}, TypeError, ["n_threads", "'2'"]),
    ({"weights": [1.0, 2.0]}, ValueError, ["weights", "(2,)", "(3,)"]),
    ({"weights": [1.0, -1.0, 1.0]}, ValueError, ["weights"]),
    ({"weights": [1.0, np.nan, 1.0]}, ValueError, ["weights"]),
    ({"weights": [1.0, np.inf, 1.0]}, ValueError, ["weights"]),
    ({"weights": [1.0, -np.inf, 1.0]}, ValueError, ["weights"]),
    ({"weights": -1e-300}, ValueError, ["weights"]),
    ({"weights": -5e-324}, ValueError, ["weights"]),
]


@pytest.mark.parametrize(("options", "error", "words"), BAD_OPTIONS, ids=lambda v: repr(v)[:40])
def test_options_that_are_refused(options, error, words):
    with refused(error, *words):
        fastnat.fit_normal(X, **options)


def test_whether_an_axis_is_an_integer_does_not_depend_on_the_layout():
    for x in [np.ones((3, 3)), np.ones((3, 3), order="F"), np.ones((6, 6))[::2, ::2]]:
        for axis in [-1.0, 1.0, 0.0, np.float64(1)]:
            with pytest.raises(TypeError, match="axis"):
                fastnat.fit_normal(x, axis=axis)


def test_no_dimension():
    with pytest.raises(ValueError, match="x must have at least one dimension"):
        fastnat.fit_normal(3.0)
    with pytest.raises(ValueError, match="x must have at least one dimension"):
        fastnat.fit_normal(np.float64(3.0), weights=2.0, axis=None)
    for number in [3.0, np.float32(3), np.array(3.0)]:
        with pytest.raises(ValueError, match="x must have at least one dimension"):
            fastnat.fit_normal(number, axis=None)


def test_options_are_keywords():
    with pytest.raises(TypeError, match="positional"):
        fastnat.fit_normal(X, None, None, [1.0, 1.0, 1.0])
    with pytest.raises(TypeError, match="weight"):
        fastnat.fit_normal(X, weight=[1.0, 1.0, 1.0])


@pytest.mark.parametrize("bad", [-1.0, -5e-324, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "shape", scaled([(3,), (1000, 20), (3, 5000), (2, 300_000)], [(3,), (20, 9)])
)
@pytest.mark.parametrize("axis", [-1, 0])
def test_one_bad_weight_anywhere(axis, shape, bad, rng):
    """Also where no other weight counts, or the observation is NaN and left out."""
    x, weights = rng.normal(0, 1, shape), rng.integers(0, 2, shape).astype(float)
    for place in [0, x.size // 2, x.size - 1]:
        spoilt, unknown = weights.copy(), x.copy()
        spoilt.flat[place] = bad
        unknown.flat[place] = np.nan
        for values in [x, unknown]:
            for options in [{}, {"nan_policy": "omit"}, {"cov_type": "opg", "n_threads": 2}]:
                with refused(ValueError, "weights", "finite", "negative"):
                    fastnat.fit_normal(values, weights=spoilt, axis=axis, **options)
    with pytest.raises(ValueError, match="weights"):
        fastnat.fit_normal(x, weights=np.full(shape, bad), axis=axis)
    # The next call does not remember.
    assert fastnat.fit_normal(x, weights=weights + 1, axis=axis).nobs.min() > 0


def test_minus_zero_is_a_weight():
    fit = fastnat.fit_normal([1.0, 2.0, np.nan], weights=[1.0, 1.0, -0.0])
    assert fit.mu == 1.5


def test_finite_weights_whose_sum_is_not():
    """Each of them is fine: whatever is said must not be that one is not finite."""
    try:
        fit = fastnat.fit_normal([1.0, 2.0, 3.0], weights=[1e308, 1e308, 1e308])
    except ValueError as error:
        assert_one_sentence(str(error), "weights", "sum")
    else:
        assert fit.mu == 2.0


def test_nan_policy_raise():
    for x in [[1.0, np.nan], [[1.0, 2.0], [np.nan, np.inf]], [np.nan]]:
        with refused(ValueError, "x", "NaN", "nan_policy"):
            fastnat.fit_normal(x, nan_policy="raise")
    assert fastnat.fit_normal([1.0, np.inf], nan_policy="raise").status.name == "INVALID_INPUT"
    fit = fastnat.fit_normal([1.0, np.nan], weights=[1.0, 0.0], nan_policy="raise")
    assert fit.status.name == "SIGMA_ZERO"


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 95, np.nan, np.inf])
@pytest.mark.parametrize("method", ["wald", "profile", "exact"])
def test_levels_that_are_refused(level, method):
    with refused(ValueError, "level", repr(level)):
        fastnat.fit_normal(X).conf_int(level, method=method)


@pytest.mark.parametrize("level", ["0.95", None, [0.5, 0.9], 0.5j])
def test_levels_that_are_no_numbers(level):
    with refused((TypeError, ValueError), "level"):
        fastnat.fit_normal(X).conf_int(level)


@pytest.mark.parametrize("method", ["Wald", "bootstrap", None, 1, ["wald"]])
def test_methods_that_are_refused(method):
    with refused(ValueError, "method", repr(method), "'wald'", "'profile'"):
        fastnat.fit_normal(X).conf_int(0.9, method=method)


def test_methods_that_do_not_apply():
    with refused(ValueError, "exact", "weight"):
        fastnat.fit_normal(X, weights=[1.0, 2.0, 1.0]).conf_int(method="exact")
    with refused(ValueError, "profile", "reml"):
        fastnat.fit_normal(X, reml=True).conf_int(method="profile")


@pytest.mark.parametrize("q", [0.0, 1.0, -0.1, 1.1, np.nan, np.inf, [0.5, 1.0], [[0.5], [np.nan]]])
def test_probabilities_that_are_refused(q):
    with refused(ValueError, "q ", "between 0 and 1"):
        fastnat.fit_normal(X).quantile(q)


@pytest.mark.parametrize("q", ["half", None, 0.5j, [[0.5], [0.5, 0.6]], np.array([0.5, None])])
def test_probabilities_that_are_no_numbers(q):
    with refused((TypeError, ValueError), "q "):
        fastnat.fit_normal(X).quantile(q)


def test_without_covariance():
    fit = fastnat.fit_normal([[1.0, 2.0, 4.0], [1.0, 1.0, 1.0]], cov_type=None)
    for ask in [
        lambda: fit.stderr,
        lambda: fit.cov_params,
        lambda: fit.conf_int(),
        lambda: fit.quantile(0.5),
    ]:
        with refused(ValueError, "cov_type"):
            ask()
    assert fit.conf_int(method="exact").shape == (2, 2, 2)
    assert fit.conf_int(method="profile").shape == (2, 2, 2)
    assert repr(fastnat.fit_normal(X, cov_type=None)).startswith("<NormalFit: mu = 2.333333333,")


def test_pandas():
    """Series and frames are arrays of what they hold; missing entries of all kinds are NaN."""
    series = pd.Series([1.0, 2.0, np.nan, 4.0], index=list("abcd"))
    fit = fastnat.fit_normal(series, nan_policy="omit", weights=pd.Series([1, 2, 1, 1]))
    assert fit.status is fastnat.Status.OK
    assert fit.mu == 2.25
    frame = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [1, 5, 5]})
    fit = fastnat.fit_normal(frame, axis=0)
    assert_agree(fit, fastnat.fit_normal(frame.to_numpy().copy(), axis=0))
    assert isinstance(fit.mu, np.ndarray)
    assert fastnat.fit_normal(frame["b"]).mu == 11 / 3
    assert fastnat.fit_normal(pd.Series([True, False])).mu == 0.5
    for column in [["a", "b"], [pd.Timestamp(2020, 1, 1)], [None, "x"]]:
        with refused(TypeError, "x must hold real numbers"):
            fastnat.fit_normal(pd.Series(column))
    with refused(TypeError, "x must hold real numbers, not text"):
        fastnat.fit_normal(["1.5", "<0.5"])
    with refused(TypeError, "x must hold real numbers, not text such as '<0.5'"):
        fastnat.fit_normal(pd.Series([1.5, "<0.5"], dtype=object))


@pytest.mark.parametrize(
    ("x", "found", "mean"),
    [
        ([1.0, None, 4.0], "None", 2.5),
        ([decimal.Decimal("1.5"), decimal.Decimal("2.5")], "Decimal('1.5')", 2.0),
        ([2**70, 2**70], str(2**70), 2.0**70),
    ],
)
def test_the_way_out_of_objects(x, found, mean):
    with pytest.raises(TypeError) as caught:
        fastnat.fit_normal(x)
    assert_one_sentence(str(caught.value), f"x must hold real numbers, not objects such as {found}")
    advice = re.search(r"np\.array\(.*?\)", str(caught.value))[0]
    converted = eval(advice, {"x": x, "np": np, "float": float})
    assert fastnat.fit_normal(converted, nan_policy="omit").mu == mean
    with refused(TypeError, "x must hold real numbers, not objects"):
        fastnat.fit_normal(np.array([], object))


@pytest.mark.parametrize(
    "names", [list("bab"), pd.Series(list("bab")), pd.Categorical(list("bab"))]
)
def test_the_way_out_of_names_of_groups(names):
    x = [2.0, 1.0, 4.0]
    calls = {
        "groups": lambda codes: fastnat.fit_normal(x, groups=codes).mu,
        "clusters": lambda codes: (
            fastnat.fit_linear(x, np.ones((3, 1)), clusters=codes, cov_type="sandwich").stderr
        ),
    }
    for argument, call in calls.items():
        with pytest.raises(TypeError) as caught:
            call(names)
        assert_one_sentence(str(caught.value), f"{argument} must be integers, not ")
        advice = re.search(r"np\.unique\(.*?\)\[1\]", str(caught.value))[0]
        codes = eval(advice, {argument: names, "np": np, "True": True})
        np.testing.assert_array_equal(call(codes), call([1, 0, 1]))


@pytest.mark.parametrize("cov_type", ["observed", "opg", "sandwich"])
@pytest.mark.parametrize("unit", [1e-310, 1e-160, 1.0, 1e160, 1e308])
def test_whoever_wants_floating_point_errors_gets_none_of_ours(unit, cov_type):
    x = np.array([0.1, 0.25, 0.3, 0.75, 1.0])
    with np.errstate(under="ignore"):
        x *= unit
    with np.errstate(all="raise"):
        for options in ({}, {"weights": 1e-300}, {"weights": 1e300}, {"left": x[0]}):
            fit = fastnat.fit_normal(x, cov_type=cov_type, **options)
            assert fit.success
            assert all(np.ndim(v) == 0 for v in (fit.mu, fit.sigma, fit.loglik, fit.nobs))
            assert fit.stderr.shape == (2,)
            assert fit.cov_params.shape == (2, 2)
            assert fit.quantile(np.array([0.1, 0.999])).stderr.shape == (2,)
            assert fit.conf_int().shape == (2, 2)
            assert repr(fit)


class Duck:
    """Says what array it is, as many libraries' arrays do."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype=dtype)


def test_array_likes(tmp_path):
    want = fastnat.fit_normal(np.array(X))
    path = tmp_path / "x"
    np.array(X).tofile(path)
    on_disk = np.memmap(path, dtype=float, mode="r")
    for x in [X, tuple(X), Duck(X), memoryview(np.array(X)), on_disk]:
        assert_same_bits(fastnat.fit_normal(x), want)
    assert fastnat.fit_normal(range(5)).mu == 2.0
    assert fastnat.fit_normal([True, False, True, True]).mu == 0.75
    assert fastnat.fit_normal(np.ma.masked_array(X).data).mu == want.mu


DTYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "g"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1])
def test_every_real_dtype(axis, dtype, rng):
    dtype = np.dtype(dtype)
    low, high = (0, 2) if dtype.kind == "b" else (0 if dtype.kind == "u" else -50, 100)
    x = rng.integers(low, high, (40, 30)).astype(dtype)
    weights = rng.integers(0, 2 if dtype.kind == "b" else 50, (40, 30)).astype(dtype)
    for array in [x, np.asfortranarray(x), x[::2, ::3], x.astype(dtype.newbyteorder())]:
        want = fastnat.fit_normal(array.astype(np.float64), axis=axis)
        assert_agree(fastnat.fit_normal(array, axis=axis), want)
    fit = fastnat.fit_normal(x, weights=weights, axis=axis)
    want = fastnat.fit_normal(x.astype(float), weights=weights.astype(float), axis=axis)
    assert_agree(fit, want)


def test_integers_near_the_end():
    """They are rounded to doubles first: 2**63 - 1 is 2**63, and so is its neighbour."""
    x = np.array([2**63 - 1, 2**63 - 2, -(2**63), -(2**63) + 1])
    fit, exact = fastnat.fit_normal(x), naive.fit(x.astype(float))
    assert fit.mu == exact.mu == 0.0
    assert naive.error(fit.sigma, exact.sigma) <= EPS
    assert fastnat.fit_normal(x[:2]).status.name == "SIGMA_ZERO"
    x = np.array([2**64 - 1, 2**64 - 4096, 0], np.uint64)
    fit, exact = fastnat.fit_normal(x), naive.fit(x.astype(float))
    assert naive.error(fit.mu, exact.mu) <= EPS
    assert naive.error(fit.sigma, exact.sigma) <= 2 * EPS
    assert fastnat.fit_normal(np.array([-128, 127], np.int8)).sigma == 127.5
    assert fastnat.fit_normal(np.array([2**31 - 1, -(2**31)], np.int32)).sigma == 2**31 - 0.5


def test_long_doubles_beyond_double_are_infinite():
    x = np.array([1.0, 2.0], np.longdouble) * np.longdouble(2.0) ** 1500
    if np.isfinite(x).all():  # where long double is wider than double
        assert fastnat.fit_normal(x).status.name == "INVALID_INPUT"
        assert fastnat.fit_normal(1 / x).status.name == "SIGMA_ZERO"


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", ">f8", ">f4", "g"])
def test_signalling_nan(dtype):
    """A NaN is a NaN; the one that traps must not warn either."""
    dtype = np.dtype(dtype)
    if dtype == np.longdouble:
        x = np.array([1.0, np.nan, 2.0], dtype)
    else:
        quiet = {2: 0x7D01, 4: 0x7FA00001, 8: 0x7FF4000000000001}[dtype.itemsize]
        x = np.array([1.0, 0.0, 2.0], dtype)
        x.view(f"{dtype.byteorder}u{dtype.itemsize}")[1] = quiet
    assert np.isnan(x[1])
    assert fastnat.fit_normal(x).status.name == "NAN_INPUT"
    assert fastnat.fit_normal(x, nan_policy="omit").mu == 1.5
    assert fastnat.fit_normal(x, weights=[1, 0, 1]).mu == 1.5


@pytest.mark.parametrize("mode", ["plain", "weights", "omit", "opg"])
@pytest.mark.parametrize("order", ["C", "F", "A"])
def test_input_is_not_modified(order, mode, rng):
    x = np.array(rng.normal(0, 1, scaled((60, 900), (6, 9))), order="F" if order == "F" else "C")
    x[3, 5], x[5], x[0, 2] = np.nan, 7.0, 1e300
    weights = rng.uniform(0, 1, x.shape)
    if order == "A":
        x, weights = x[::-1, ::2], weights[::-1, ::2]
    before_x, before_w = x.copy(), weights.copy()
    for axis in [0, 1, None]:
        options = {
            "plain": {},
            "weights": {"weights": weights},
            "omit": {"nan_policy": "omit", "weights": weights},
            "opg": {"cov_type": "opg"},
        }[mode]
        fit = fastnat.fit_normal(x, axis=axis, **options)
        fit.conf_int()
        fit.quantile(0.3)
    assert np.array_equal(x, before_x, equal_nan=True)
    assert np.array_equal(weights, before_w)


def test_overlapping_windows(rng):
    """A view in which observations belong to many problems."""
    x = rng.normal(0, 1, 300)
    windows = np.lib.stride_tricks.sliding_window_view(x, 20)
    fit = fastnat.fit_normal(windows)
    assert_same_bits(fit, fastnat.fit_normal(windows.copy()))
    along = fastnat.fit_normal(windows.T, axis=0)
    assert_agree(along, fit)


# ---- anything at all -------------------------------------------------------------------------

ORDINARY = st.floats(-1e3, 1e3, width=32)
ANY_SIZE = st.one_of(
    ORDINARY,
    st.floats(-1e300, 1e300, allow_subnormal=True),
    st.floats(-1e-300, 1e-300, allow_subnormal=True),
    st.sampled_from([0.0, -0.0, 1.0, 1.0 + EPS, 5e-324, 1e150, 1e-150, 1.7976931348623157e308]),
)
WITH_NAN = st.one_of(ANY_SIZE, ANY_SIZE, st.sampled_from([math.nan, math.inf, -math.inf]))
WEIGHTS = st.sampled_from([0.0, 0.0, 1.0, 1.0, 0.5, 2.0, 3.0, 1e-3, 0.1, 7.25, 1e4])
NAN_POLICY = st.sampled_from(["propagate", "omit"])


def assert_is_exact(fit, index, exact):
    """Status, mu, sigma and total weight of one problem of a fit."""
    status = fastnat.Status(int(np.asarray(fit.status)[index]))
    assert status.name == exact.status
    mu, sigma = np.asarray(fit.mu)[index], np.asarray(fit.sigma)[index]
    size = max(abs(exact.mu), exact.sigma) if exact.status == "OK" else None
    assert naive.error(mu, exact.mu, size) <= 8 * EPS
    assert naive.error(sigma, exact.sigma) <= 1e-14
    assert naive.error(np.asarray(fit.nobs)[index], exact.nobs) <= 1e-15


@given(
    st.lists(WITH_NAN, max_size=30),
    NAN_POLICY,
    st.booleans(),
    st.sampled_from(["observed", "opg", "sandwich"]),
)
def test_any_sample(x, nan_policy, reml, cov_type):
    fit = fastnat.fit_normal(x, nan_policy=nan_policy, reml=reml, cov_type=cov_type)
    assert_is_exact(fit, (), naive.fit(x, reml=reml, nan_policy=nan_policy))
    # Nothing that is asked of a result raises or warns, whatever became of the fit.
    fit.loglik, fit.stderr, fit.cov_params, fit.conf_int(), fit.quantile([0.5, 0.9])
    fit.conf_int(method="exact")
    repr(fit)


@given(st.lists(st.tuples(WITH_NAN, WEIGHTS), max_size=30), NAN_POLICY, st.booleans())
def test_any_weighted_sample(pairs, nan_policy, reml):
    x, weights = [p[0] for p in pairs], [p[1] for p in pairs]
    fit = fastnat.fit_normal(x, weights=weights, nan_policy=nan_policy, reml=reml)
    assert_is_exact(fit, (), naive.fit(x, weights, reml=reml, nan_policy=nan_policy))
    fit.loglik, fit.stderr, fit.cov_params, fit.conf_int()
    if not reml:
        fit.conf_int(method="profile")


@given(
    st.lists(
        st.sampled_from([0.1, 0.2, 0.30000000000000004, 1e8, -5.0, 3.0]), min_size=1, max_size=60
    ),
    st.data(),
)
def test_weights_of_any_size(x, data):
    """Weights over 24 decades: relative to each other they say how much a value counts."""
    powers = st.floats(1e-12, 1e12)
    weights = data.draw(st.lists(powers, min_size=len(x), max_size=len(x)))
    exact = naive.fit(x, weights)
    assert_is_exact(fastnat.fit_normal(x, weights=weights), (), exact)
    table, columns = np.stack([x, x, x], axis=1), np.stack([weights] * 3, axis=1)
    fit = fastnat.fit_normal(table, axis=0, weights=columns)
    for k in range(3):
        assert_is_exact(fit, k, exact)


@st.composite
def views(draw):
    """An array of up to three dimensions of any real dtype, seen through some view."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    if draw(st.booleans()):
        dtype = dtype.newbyteorder()
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9))
    if dtype.kind == "f":
        values = WITH_NAN if dtype.itemsize >= 8 else ORDINARY
    else:
        values = st.integers(0, 1) if dtype.kind == "b" else st.integers(0, 127)
    wide = draw(hnp.arrays(float, shape, elements=values, fill=st.nothing()))
    flat = wide.astype(dtype)
    steps = tuple(slice(None, None, draw(st.sampled_from([1, 1, 2, -1, -2]))) for _ in shape)
    order = draw(st.permutations(range(len(shape))))
    view = flat[steps].transpose(order)
    if draw(st.booleans()):
        view = view.copy(order=draw(st.sampled_from("CF")))
    if draw(st.booleans()):
        view.flags.writeable = False
    return view


@given(views(), st.data())
def test_any_array(x, data):
    """Any dtype, shape, strides, axis, broadcast weights: every problem against the oracle."""
    axes = st.sets(st.integers(0, x.ndim - 1), min_size=1).map(lambda s: tuple(sorted(s)))
    axis = data.draw(axes)
    nan_policy = data.draw(NAN_POLICY)
    weights = None
    if data.draw(st.booleans()):
        shape = tuple(1 if data.draw(st.booleans()) else size for size in x.shape)
        shape = shape[data.draw(st.integers(0, x.ndim)) :]
        weights = data.draw(hnp.arrays(float, shape, elements=WEIGHTS, fill=st.nothing()))
    fit = fastnat.fit_normal(x, weights=weights, axis=axis, nan_policy=nan_policy)
    kept = [a for a in range(x.ndim) if a not in axis]
    full = np.broadcast_to(1.0 if weights is None else weights, x.shape).transpose(*kept, *axis)
    moved = x.transpose(*kept, *axis)
    assert np.shape(fit.mu) == moved.shape[: len(kept)]
    for index in np.ndindex(np.shape(fit.mu)):
        values = moved[index].astype(np.float64).ravel()
        assert_is_exact(fit, index, naive.fit(values, full[index].ravel(), nan_policy=nan_policy))


@settings(max_examples=scaled(40, 10))  # the oracle is slow
@given(st.lists(ORDINARY, min_size=2, max_size=12), st.floats(0.01, 0.999), st.floats(0.001, 0.999))
def test_intervals_and_quantiles_of_any_sample(x, level, q):
    fit, exact = fastnat.fit_normal(x), naive.fit(x)
    for method in ["wald", "profile"]:
        got, want = fit.conf_int(level, method=method), getattr(exact, method)(level)
        for k in range(2):
            size = max(abs(exact.mu), exact.sigma) if exact.status == "OK" else None
            assert naive.error(got[0, k], want[0][k], size) <= 1e-12
            assert naive.error(got[1, k], want[1][k]) <= 1e-12
    value, stderr = fit.quantile(q)
    want_value, want_stderr = exact.quantile(q)
    if exact.status == "OK":
        assert naive.error(value, want_value, max(abs(exact.mu), exact.sigma)) <= 1e-13
        assert naive.error(stderr, want_stderr) <= 1e-13
