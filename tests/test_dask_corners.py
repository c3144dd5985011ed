"""Long problems on Dask that the search cannot finish in passing."""

import dask
import dask.array as da
import numpy as np
import pytest
from conftest import refused

import fastnat
import fastnat.dask
from fastnat import Status, _arrays

X = np.column_stack([np.ones(6), np.arange(6.0)])
Y = np.array([1.0, 3.0, 2.0, 2.5, 5.0, 4.0])


def test_a_missing_value_of_a_long_search():
    y = np.where(np.arange(6) == 3, np.nan, Y)
    with refused(ValueError, "NaN", "nan_policy"):
        fastnat.dask.fit_linear(da.from_array(y, chunks=2), X, left=0.0, nan_policy="raise")
    fit = fastnat.dask.fit_linear(da.from_array(y, chunks=2), X, left=0.0)
    assert fit.status is Status.NAN_INPUT


@pytest.mark.parametrize(
    ("left", "status"),
    [(np.full(6, 9.0), Status.MU_INFINITE), (np.full(6, -9.0), Status.SIGMA_ZERO)],
)
def test_a_long_regression_without_a_maximum(left, status):
    """All censored, or all on a line: that is looked at where all rows are."""
    y = Y if status == Status.MU_INFINITE else X @ [0.5, 0.25]
    want = fastnat.fit_linear(y, X, left=left)
    fit = fastnat.dask.fit_linear(da.from_array(y, chunks=2), X, left=left)
    fit = fit.compute() if da.core.is_dask_collection(fit) else fit
    assert fit.status == want.status == status
    np.testing.assert_array_equal(fit.params, want.params)
    assert fit.loglik == want.loglik


def test_programs_say_that_there_is_a_maximum(rng):
    """With covariates of the scale the search does not; then it goes on."""
    x = np.column_stack([np.ones(40), np.linspace(-1.0, 1.0, 40)])
    low = np.floor(2.0 * (x @ [0.3, 1.0] + np.exp(0.3 * x[:, 1]) * rng.normal(size=40))) / 2.0
    want = fastnat.fit_linear(low, x, x, upper=low + 0.5)
    fit = fastnat.dask.fit_linear(da.from_array(low, chunks=10), x, x, upper=low + 0.5)
    assert fit.status == want.status == Status.OK
    np.testing.assert_allclose(fit.params, want.params, rtol=1e-12)


def test_the_weight_of_a_long_sample_with_a_missing_value():
    """Weights in chunks of their own are added up where they are."""
    x, w = np.where(np.arange(6) == 3, np.nan, Y), np.array([1.0, 2.0, 0.5, 3.0, 1.0, 0.0])
    options = {"left": np.minimum(Y, 2.5)}
    fit = fastnat.dask.fit_normal(da.from_array(x, chunks=2), weights=w, **options)
    want = fastnat.fit_normal(x, weights=w, **options)
    assert fit.status is want.status is Status.NAN_INPUT
    assert fit.nobs == want.nobs == w.sum()


def computed(fit):
    return fit.compute() if dask.is_dask_collection(fit) else fit


def assert_same_end(fit, want):
    """Where there is no maximum as well."""
    fit = computed(fit)
    assert np.array_equal(fit.status, want.status)
    assert fit.message == want.message
    np.testing.assert_allclose(fit.params, want.params, rtol=1e-12)
    np.testing.assert_allclose(fit.stderr, want.stderr, rtol=1e-10)
    assert np.array_equal(fit.nobs, want.nobs)


@pytest.mark.parametrize("second", [[1.0, 2.0], [0.0, 1.0]])
@pytest.mark.parametrize("chunks", [15, 60])
def test_the_first_rows_leave_a_coefficient_open(second, chunks, rng):
    """They have a maximum, whatever it is; the others have none: no interval ends above."""
    group = np.repeat([0, 1], 30)
    low = np.floor(rng.normal(size=60))
    upper = np.where(group == 1, np.inf, low + 1.0)
    design = np.column_stack([np.ones(60), np.array(second)[group]])
    want = fastnat.fit_linear(low, design, upper=upper)
    assert want.status is Status.MU_INFINITE
    fit = fastnat.dask.fit_linear(da.from_array(low, chunks=chunks), design, upper=upper)
    assert_same_end(fit, want)


@pytest.mark.parametrize("seed", [1, 4, 7, 9])
def test_the_first_rows_are_half_lines(seed):
    """They have a maximum, and yet sigma is infinite for all together."""
    rng, n = np.random.default_rng(seed), 12
    limit, _, value = rng.normal(size=2 * n), rng.random(2 * n), rng.normal(size=2 * n)
    is_low = value > limit
    is_low[n:] = value[n:] < limit[n:] * rng.choice([1, -1])
    low, upper = np.where(is_low, limit, -np.inf), np.where(is_low, np.inf, limit)
    ones = np.ones((2 * n, 1))
    assert fastnat.fit_linear(low[:n], ones[:n], upper=upper[:n]).success
    want = fastnat.fit_linear(low, ones, upper=upper)
    assert want.status is Status.SIGMA_INFINITE
    fit = fastnat.dask.fit_linear(da.from_array(low, chunks=n), ones, upper=upper)
    assert_same_end(fit, want)


@pytest.mark.parametrize("chunks", [(1, 2), (0, 1, 2)])
def test_the_first_rows_say_nothing(chunks):
    x, options = np.array([1.0, 2.0, 3.0]), {"upper": 9.0, "weights": [0.0, 1.0, 1.0]}
    want = fastnat.fit_normal(x, **options)
    assert want.status is Status.SIGMA_ZERO
    assert_same_end(fastnat.dask.fit_normal(da.from_array(x, chunks=(chunks,)), **options), want)


@pytest.mark.parametrize(
    "options",
    [{"left": np.array([1.5])}, {"left": np.arange(6.0) - 1.0}, {"weights": np.ones(6)}],
)
def test_empty_chunks_among_others(options):
    """As a filter leaves them."""
    data = da.from_array(Y, chunks=2)
    data = data[data > 2.5].compute_chunk_sizes()
    data = da.concatenate([data[:0], data, data[:0], data])
    assert 0 in data.chunks[0]
    fit = fastnat.dask.fit_normal(data, **options)
    assert_same_end(fit, fastnat.fit_normal(data.compute(), **options))


def test_an_empty_chunk_of_a_scale(rng):
    y, z = da.from_array(Y, chunks=((3, 0, 3),)), 1.0 + rng.random((6, 1))
    assert_same_end(fastnat.dask.fit_linear(y, X, z), fastnat.fit_linear(Y, X, z))


def masked(values):
    return da.from_array(np.ma.masked_greater(values, 3.0), chunks=2)


@pytest.mark.parametrize("name", ["x", "weights", "noise_std"])
def test_masked_arrays_are_refused(name):
    """Nobody would look at the mask."""
    given = {"x": da.from_array(Y, chunks=2), "left": Y - 1.0, name: masked(Y)}
    with refused(TypeError, name, "masked array"):
        fastnat.dask.fit_normal(**given)


def test_chunks_that_are_not_what_their_array_said():
    """Masks and complex numbers are refused when they are seen."""
    data = da.from_array(Y, chunks=2)
    for made, words in ((np.ma.masked_less, "masked array"), (np.multiply, "complex128")):
        other = data.map_blocks(made, 3.0 if words == "masked array" else 1j, meta=data._meta)
        with refused(TypeError, words):
            computed(fastnat.dask.fit_normal(other, left=Y - 1.0))


@pytest.mark.parametrize("short", ["y", "X", "Z"])
def test_chunks_that_are_shorter_than_their_array_said(short):
    """Kernels would read beyond the end of one of them."""
    data = {"y": da.from_array(Y, chunks=2), "X": da.from_array(X, chunks=(2, 2))}
    data["Z"] = data["X"]
    data[short] = data[short].map_blocks(lambda rows: rows[:1], meta=data[short]._meta)
    words = {"y": "X has 2 along axis 0 in a chunk, where y has 1"}
    rest = f"{short} has 1 along axis 0 in a chunk, where y has 2"
    with refused(ValueError, words.get(short, rest)):
        computed(fastnat.dask.fit_linear(**data))


@pytest.mark.parametrize(("name", "options"), [("X", {}), ("X", {"left": 1.5}), ("Z", {})])
@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("odd", [[0], [4], [0, 2, 4]])
def test_chunks_that_have_other_columns_than_their_array(odd, columns, name, options):
    """As of categories that are coded chunk by chunk: the first, the last, or all of them."""

    def cut(rows):
        return np.tile(rows[:, :1], columns) if rows[0, 1] in odd else rows

    data = {"X": da.from_array(X, chunks=(2, 2)), **options}
    data[name] = da.from_array(X, chunks=(2, 2)).map_blocks(cut, meta=X[:0])
    with refused(ValueError, name, f"{columns} along axis 1 in a chunk", "array has 2"):
        computed(fastnat.dask.fit_linear(da.from_array(Y, chunks=2), **data))


@pytest.mark.parametrize("options", [{}, {"left": 1.5}, {"Z": X}])
def test_chunks_of_columns_that_are_wider_than_their_array_said(options):
    """Which are put together first."""
    wide = da.from_array(X, chunks=(2, 1)).map_blocks(lambda b: np.tile(b, (1, 20)), meta=X[:0])
    y = da.from_array(Y, chunks=2)
    with refused(ValueError, "X", "40 along axis 1 in a chunk", "array has 2"):
        computed(fastnat.dask.fit_linear(y, wide, **options))
    with refused(ValueError, "x", "40 along axis 1 in a chunk", "array has 2"):
        computed(fastnat.dask.fit_mvn(wide))


@pytest.mark.parametrize(
    ("name", "cut", "words"),
    [
        ("x", lambda b: b[:1], "left has 2 along axis 0 in a chunk, where x has 1"),
        ("weights", lambda b: b[:1], "weights has 1 along axis 0 in a chunk, where x has 2"),
        ("left", lambda b: b[:1], "left has 1 along axis 0 in a chunk, where x has 2"),
        *(
            (name, cut, f"{name} has {n} dimensions in a chunk, where the array has 1")
            for name in ("x", "weights", "left")
            for n, cut in ((2, lambda b: b[:, None]), (0, lambda b: b[0]))
        ),
    ],
)
def test_chunks_that_would_be_broadcast(name, cut, words):
    """To those of the other arguments, whatever their array said."""
    good = {"x": Y, "weights": Y, "left": Y - 1.0}
    data = {key: da.from_array(array, chunks=2) for key, array in good.items()}
    data[name] = data[name].map_blocks(cut, meta=Y[:0])
    with refused(ValueError, words):
        computed(fastnat.dask.fit_normal(**data))


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_axes_that_are_not_in_order(order, rng):
    x = rng.normal(size=(4, 3, 2))
    data = da.from_array(x, chunks=(2, 3, 1)).transpose(order)
    assert_same_end(fastnat.dask.fit_normal(data), fastnat.fit_normal(x.transpose(order)))


@pytest.mark.parametrize("x", [0.0, da.from_array(np.array(0.0)), -np.inf])
def test_one_value_for_all(x):
    upper = np.array([1.0, 2.0, 3.0, 5.0, 2.0, 6.0])
    want = fastnat.fit_normal(np.full(6, float(x)), upper)
    assert_same_end(fastnat.dask.fit_normal(x, da.from_array(upper, chunks=2)), want)


@pytest.mark.parametrize("nan_policy", ["propagate", "omit"])
def test_the_weight_of_an_impossible_sample(nan_policy):
    low = np.array([3.0, 1.0, 1.0, 1.0, 2.0, np.nan])
    upper = np.array([1.0, 2.0, 3.0, 5.0, 2.0, np.nan])
    for end in (5, 6):
        want = fastnat.fit_normal(low[:end], upper[:end], nan_policy=nan_policy)
        data = da.from_array(low[:end], chunks=2)
        fit = fastnat.dask.fit_normal(data, upper[:end], nan_policy=nan_policy)
        assert_same_end(fit, want)


@pytest.mark.parametrize("options", [{}, {"left": -1.0}])
@pytest.mark.parametrize("chunks", [9, 60])
def test_values_that_infinite_noise_hides(options, chunks, rng):
    y, noise = rng.normal(size=60), np.full(60, 0.3)
    noise[3] = np.inf
    data = da.from_array(y, chunks=chunks)
    fit = computed(fastnat.dask.fit_normal(data, noise_std=noise, **options))
    rest = np.arange(60) != 3
    want = fastnat.fit_normal(y[rest], noise_std=noise[rest], **options)
    assert fit.success
    assert fit.nobs == want.nobs == 59
    np.testing.assert_allclose(fit.params, want.params, rtol=1e-9)


@pytest.mark.parametrize("start", [[np.nan, 1.0], [0.0, np.inf]])
@pytest.mark.parametrize("left", [None, 0.5])
def test_a_start_that_is_not_finite(start, left):
    y, ones = da.from_array(Y, chunks=2), np.ones((6, 1))
    for given in (start, da.from_array(np.array(start))):
        with refused(ValueError, "start", "finite"):
            fastnat.dask.fit_linear(y, ones, left=left, start=given)


def test_codes_of_groups_are_those_of_all(monkeypatch):
    """Not of a chunk, which has less to compare with."""
    monkeypatch.setattr(_arrays, "_MOST_GROUPS", 1)  # a thousand, or as many as observations
    codes = np.r_[np.zeros(1999, int), 1500]
    x = da.from_array(np.arange(2000.0), chunks=500)
    fit = fastnat.dask.fit_normal(x, groups=codes)
    assert fit.nobs.shape == (1501,)
    assert fit.nobs[0] == 1999.0
    assert fit.nobs[-1] == 1.0
    for wrong, words in ((10**12, "0, 1, 2 and so on"), (-1, "negative")):
        codes[7] = wrong
        with refused(ValueError, "groups", words):
            fastnat.dask.fit_normal(x, groups=codes)
