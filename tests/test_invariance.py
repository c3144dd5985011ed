"""What must not change a fit: bits where they are promised, digits elsewhere."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, permutations, product

import naive
import numpy as np
import pytest
from conftest import COMPILED, assert_agree, assert_same_bits, same_bits, scaled

import fastnat

# Every length near the boundaries of lanes, heads, blocks and segments.
LENGTHS = [*range(scaled(301, 35))]
LONG_LENGTHS = scaled([4095, 4096, 4097, 131071, 131072, 131073, 300000], [4095, 4096, 4097])
MODES = ["plain", "weights", "omit", "sandwich", "reml"]


def problems_for(mode, shape, rng):
    """(x, keyword arguments) with a hard offset, and per mode weights, NaN and options."""
    x = rng.normal(100.0, 1.0, shape) * 10.0 ** rng.integers(-3, 3)
    options = {}
    if mode == "weights":
        options["weights"] = rng.choice([0.0, 0.1, 1.0, 2.7], shape)
    if mode == "omit":
        x[rng.random(shape) < 0.2] = np.nan
        options["nan_policy"] = "omit"
    if mode == "sandwich":
        options["cov_type"] = "sandwich"
    if mode == "reml":
        options["reml"] = True
    return x, options


def fit_rows(x, options, rows):
    """The fit of some of the problems on the first axis."""
    weights = options.get("weights")
    if weights is not None:
        options = options | {"weights": weights[rows]}
    return fastnat.fit_normal(x[rows], **options)


def assert_rows_are(fit, k, single):
    """Problem k of a fit is this fit of one problem, to the last bit."""
    for name in ["params", "stderr", "cov_params", "loglik", "nobs", "nit"]:
        a, b = np.asarray(getattr(fit, name))[k], np.asarray(getattr(single, name))
        assert same_bits(a, b), (name, a, b)
    assert fit.status[k] == single.status
    assert fit.success[k] == single.success


@pytest.mark.parametrize("mode", MODES)
def test_batch_is_a_loop_of_singles(mode, rng):
    for n in LENGTHS:
        x, options = problems_for(mode, (11, n), rng)
        fit = fastnat.fit_normal(x, **options)
        for k in range(11):
            assert_rows_are(fit, k, fit_rows(x, options, k))


@pytest.mark.parametrize("n", LONG_LENGTHS)
@pytest.mark.parametrize("mode", MODES)
def test_long_batch_is_a_loop_of_singles(mode, n, rng):
    x, options = problems_for(mode, (3, n), rng)
    fit = fastnat.fit_normal(x, **options)
    for k in range(3):
        assert_rows_are(fit, k, fit_rows(x, options, k))


@pytest.mark.parametrize("n", scaled([0, 1, 5, 8, 17, 100, 5000], [0, 1, 5, 17]))
@pytest.mark.parametrize("mode", MODES)
def test_place_neighbours_and_batch_size(mode, n, rng):
    x, options = problems_for(mode, (40, n), rng)
    whole = fastnat.fit_normal(x, **options)
    for first, size in [(0, 1), (1, 7), (3, 8), (5, 9), (7, 16), (0, 17), (8, 31)]:
        rows = slice(first, first + size)
        part = fit_rows(x, options, rows)
        assert same_bits(part.params, whole.params[rows])
        assert same_bits(part.stderr, whole.stderr[rows])
    hostile = x.copy()
    hostile[0], hostile[2], hostile[4], hostile[5:9], hostile[9] = (
        np.nan,
        1e300,
        0.0,
        -np.inf,
        1e-310,
    )
    if mode == "weights":
        options["weights"][11] = 0.0
    beside = fastnat.fit_normal(hostile, **options)
    for k in [1, 3, 10, *range(12, 40)]:
        assert same_bits(beside.params[k], whole.params[k])
        assert same_bits(beside.stderr[k], whole.stderr[k])
        assert beside.status[k] == whole.status[k]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        (scaled((300, 5001), (20, 60)), -1),
        (scaled((3, 400_003), (2, 5000)), -1),
        (scaled((5001, 300), (60, 20)), 0),
        (scaled((300_001, 4), (600, 4)), 0),
        (scaled((7, 130, 1100), (3, 20, 11)), 1),
        (scaled((7, 130, 1100), (3, 20, 11)), (0, 2)),
    ],
)
def test_number_of_threads(shape, axis, mode, rng):
    x, options = problems_for(mode, shape, rng)
    one = fastnat.fit_normal(x, axis=axis, n_threads=1, **options)
    for n_threads in [2, 3, 8, None]:
        assert_same_bits(one, fastnat.fit_normal(x, axis=axis, n_threads=n_threads, **options))


@pytest.mark.parametrize("mode", MODES)
def test_float32_is_its_float64_copy(mode, rng):
    for n in [*LENGTHS[:40], *scaled([300, 5000, 140_000], [41])]:
        x, options = problems_for(mode, (9, n), rng)
        narrow = x.astype(np.float32)
        wide = fastnat.fit_normal(narrow.astype(np.float64), **options)
        assert_same_bits(fastnat.fit_normal(narrow, **options), wide)
        if options.get("weights") is None:
            turned = np.asarray(narrow.T, order="C")
            fit = fastnat.fit_normal(turned, axis=0, **options)
            assert_same_bits(fit, fastnat.fit_normal(turned.astype(float), axis=0, **options))


# Both options compile four kernels: of float32, all or none when compiled, and uncompiled one, too.
ONE_OPTION = [(float, "omit", "observed"), (float, "propagate", "sandwich")]
ONE_OPTION += scaled([], [(np.float32, *options) for _, *options in ONE_OPTION])
ALL_OR_NONE = [
    (dtype, *options)
    for dtype in (float, np.float32)
    for options in (("propagate", "observed"), ("omit", "sandwich"))
]
INTEGERS = list(product((int, bool), ("propagate", "omit"), ("observed", "sandwich")))


@pytest.mark.parametrize("axis", [-1, 0, 1, (0, 1), (1, 2), None])
@pytest.mark.parametrize(("dtype", "nan_policy", "cov_type"), ALL_OR_NONE + ONE_OPTION + INTEGERS)
def test_unit_weights_are_no_weights(cov_type, nan_policy, axis, dtype, rng):
    options = {"axis": axis, "nan_policy": nan_policy, "cov_type": cov_type}
    for shape in scaled([(5, 6, 7), (3, 40, 60), (2, 5000, 3), (3, 2, 5000)], [(5, 6, 7)]):
        x = rng.normal(100, 30, shape).astype(dtype)
        if nan_policy == "omit" and x.dtype.kind == "f":
            x[rng.random(shape) < 0.1] = np.nan
        without = fastnat.fit_normal(x, **options)
        for ones in [np.ones(shape), np.ones(()), np.ones(shape[-1], bool), np.ones(shape, "f4")]:
            assert_same_bits(fastnat.fit_normal(x, weights=ones, **options), without)


@pytest.mark.parametrize("n", scaled([1, 2, 20, 300, 5000], [2, 20]))
def test_integer_weights_are_repetition(n, rng):
    x, weights = rng.normal(50, 2, n), rng.integers(0, 6, n)
    weights[0] = 2
    for reml in [False, True]:
        a = fastnat.fit_normal(x, weights=weights, reml=reml)
        b = fastnat.fit_normal(np.repeat(x, weights), reml=reml)
        assert_agree(a, b, sigma=1e-13)
        assert np.isclose(a.loglik, b.loglik, rtol=1e-13, atol=0)
        assert np.allclose(a.stderr, b.stderr, rtol=1e-13, atol=0, equal_nan=True)


@pytest.mark.parametrize("value", [7.0, 1e300, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("nan_policy", ["propagate", "omit", "raise"])
@pytest.mark.parametrize("axis", [0, 1])
def test_weight_zero_is_leaving_out(axis, nan_policy, value, rng):
    for n in scaled([2, 9, 40, 300, 5000], [2, 9, 40]):
        x, weights = rng.normal(-3, 1, (3, n)), rng.uniform(0.1, 2.0, (3, n))
        out = rng.random(n) < 0.5
        out[0] = False
        weights[:, out] = 0.0
        kept = fastnat.fit_normal(x[:, ~out], weights=weights[:, ~out])
        x[:, out] = value
        if axis == 0:
            x, weights = x.T.copy(), weights.T.copy()
        fit = fastnat.fit_normal(x, weights=weights, axis=axis, nan_policy=nan_policy)
        assert_agree(fit, kept, sigma=1e-13)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("axis", [0, 1])
def test_omitting_nan_is_dropping(axis, share, rng):
    for n in scaled([2, 9, 40, 300, 5000, 140_000], [2, 9, 40]):
        x = rng.normal(1e4, 1, n)
        x[rng.random(n) < share] = np.nan
        x[-1] = 1e4
        table = np.stack([x, x[::-1]], axis=1 - axis)
        fit = fastnat.fit_normal(table, axis=axis, nan_policy="omit", cov_type="sandwich")
        dropped = fastnat.fit_normal(x[~np.isnan(x)], cov_type="sandwich")
        for k in range(2):
            assert fit.nobs[k] == dropped.nobs
            assert fit.status[k] == dropped.status
            if dropped.success:
                assert abs(fit.mu[k] - dropped.mu) <= 4 * np.spacing(dropped.mu)
                assert np.isclose(fit.sigma[k], dropped.sigma, rtol=1e-13, atol=0)
                if dropped.nobs > 3:
                    assert np.allclose(fit.stderr[k], dropped.stderr, rtol=1e-11, atol=0)


@pytest.mark.parametrize("mode", ["plain", "weights", "sandwich", "reml"])
def test_powers_of_two_scale_exactly(mode, rng):
    for n in scaled([2, 5, 33, 300, 5000], [2, 5, 33]):
        x, options = problems_for(mode, (2, n), rng)
        fit = fastnat.fit_normal(x, **options)
        for exponent in [-200, -1, 1, 10, 200]:
            factor = 2.0**exponent
            scaled_fit = fastnat.fit_normal(x * factor, **options)
            assert same_bits(scaled_fit.params, fit.params * factor)
            assert same_bits(scaled_fit.stderr, fit.stderr * factor)
        for exponent in [-1000, 900]:  # beyond the range of squares: another path
            factor = 2.0**exponent
            far = fastnat.fit_normal(x * factor, **options)
            assert np.allclose(far.params / factor, fit.params, rtol=1e-14, atol=0)
            if mode != "sandwich" or n > 2:  # of two values nothing but rounding
                # Third and fourth moments are sums of terms of both signs.
                assert np.allclose(far.stderr / factor, fit.stderr, rtol=1e-12, atol=0)
        mirrored = fastnat.fit_normal(-x, **options)
        assert same_bits(mirrored.mu, -fit.mu)
        assert same_bits(mirrored.sigma, fit.sigma)


@pytest.mark.parametrize("exponent", [-60, -1, 3, 60])
def test_scaled_weights(exponent, rng):
    x, weights = rng.normal(5, 1, (2, 300)), rng.uniform(0, 3, (2, 300))
    fit = fastnat.fit_normal(x, weights=weights)
    other = fastnat.fit_normal(x, weights=weights * 2.0**exponent)
    assert same_bits(other.params, fit.params)
    assert same_bits(other.nobs, fit.nobs * 2.0**exponent)
    assert np.allclose(other.stderr, fit.stderr * 2.0 ** (-exponent / 2), rtol=1e-15, atol=0)


@pytest.mark.parametrize("shift", [1.0, -3.0, 2.0**20, 2.0**40])
def test_shifts_that_are_exact(shift, rng):
    x = rng.integers(-500, 500, (3, 777)) / 8.0
    fit, other = fastnat.fit_normal(x), fastnat.fit_normal(x + shift)
    assert np.all(np.abs(other.mu - shift - fit.mu) <= np.spacing(np.abs(other.mu)))
    assert np.allclose(other.sigma, fit.sigma, rtol=1e-14, atol=0)
    assert np.allclose(other.loglik, fit.loglik, rtol=1e-13, atol=0)


@pytest.mark.parametrize("n", scaled([2, 10, 300, 5000, 140_000], [2, 10, 300]))
def test_order_and_duplication(n, rng):
    x = rng.normal(0, 1, n) + 10.0 ** rng.integers(0, 8)
    fit = fastnat.fit_normal(x)
    for other in [rng.permutation(x), np.sort(x), np.sort(x)[::-1]]:
        assert_agree(fastnat.fit_normal(other), fit)
    doubled = fastnat.fit_normal(np.concatenate([x, x]))
    assert doubled.nobs == 2 * n
    assert np.isclose(doubled.mu, fit.mu, rtol=1e-15, atol=0)
    assert np.isclose(doubled.sigma, fit.sigma, rtol=1e-14, atol=0)


def arrangements(x):
    """(name, array equal to x) for every way to lay out the same numbers."""
    yield "C", np.ascontiguousarray(x)
    yield "F", np.asfortranarray(x)
    for order in permutations(range(x.ndim)):
        back = np.argsort(order)
        yield f"transposed {order}", np.ascontiguousarray(x.transpose(order)).transpose(back)
    wide = np.zeros([3 * size for size in x.shape], x.dtype)
    every_third = wide[tuple(slice(1, None, 3) for _ in x.shape)]
    every_third[...] = x
    yield "strided", every_third
    for axis in range(x.ndim):
        yield f"reversed {axis}", np.flip(np.flip(x, axis).copy(), axis)
    yield "all reversed", np.flip(np.flip(x).copy())
    frozen = x.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen
    yield (
        "read-only and strided",
        np.lib.stride_tricks.as_strided(
            every_third, every_third.shape, every_third.strides, writeable=False
        ),
    )
    unaligned = np.empty(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    unaligned[...] = x
    yield "unaligned", unaligned
    yield "other byte order", x.astype(x.dtype.newbyteorder())
    records = np.zeros(x.shape, [("flag", "u1"), ("value", x.dtype)])
    records["value"] = x
    yield "field of records", records["value"]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
@pytest.mark.parametrize("weighted", [False, True])
def test_layouts_and_axes(weighted, dtype, rng):
    """Every axis, tuple of axes and layout says the same as contiguous single problems."""
    for shape in scaled([(7,), (5, 9), (3, 4, 5), (2, 3, 17, 4)], [(7,), (5, 9), (2, 3, 4)]):
        x = rng.normal(1000.0, 40.0, shape).astype(dtype)
        weights = rng.uniform(0.5, 2.0, shape) if weighted else None
        axes = [a for k in range(1, len(shape) + 1) for a in combinations(range(len(shape)), k)]
        for axis in axes:
            kept = [a for a in range(len(shape)) if a not in axis]
            rows = x.transpose(*kept, *axis).reshape(*(shape[a] for a in kept), -1)
            if weighted:
                w = weights.transpose(*kept, *axis).reshape(rows.shape)
            want = fastnat.fit_normal(np.ascontiguousarray(rows), weights=w if weighted else None)
            spellings = [axis, axis[::-1], tuple(a - len(shape) for a in axis)]
            if len(axis) == 1:
                spellings += [axis[0], np.int32(axis[0] - len(shape))]
            if len(axis) == len(shape):
                spellings.append(None)
            if not COMPILED:  # nothing about them is compiled
                spellings = spellings[:2]
            for name, array in arrangements(x):
                fits = [fastnat.fit_normal(array, weights=weights, axis=s) for s in spellings]
                assert fits[0].mu.shape == want.mu.shape, name
                assert_agree(fits[0], want)
                for fit in fits[1:]:
                    assert_same_bits(fit, fits[0])
                again = fastnat.fit_normal(array, weights=weights, axis=axis)
                assert_same_bits(again, fits[0])


@pytest.mark.parametrize("layout", ["C", "F", "strided", "read-only", "other byte order"])
def test_contiguous_along_the_axis_are_the_same_bits(layout, rng):
    """Where the observations of a problem are neighbours, nothing else of the layout counts."""
    x = rng.normal(3, 1, (6, 50))
    want = fastnat.fit_normal(x)
    stretched = np.zeros((12, 100))
    stretched[::2, :50] = x
    frozen = x.copy()
    frozen.flags.writeable = False
    array, axis = {
        "C": (x, 1),
        "F": (np.asfortranarray(x.T), 0),
        "strided": (stretched[::2, :50], 1),
        "read-only": (frozen, 1),
        "other byte order": (x.astype(">f8"), 1),
    }[layout]
    assert_same_bits(fastnat.fit_normal(array, axis=axis), want)
    cube = np.broadcast_to(x[:, None, :], (6, 4, 50))
    fit = fastnat.fit_normal(cube)
    for k in range(4):
        assert same_bits(fit.params[:, k], want.params)


@pytest.mark.parametrize("n", scaled([2, 9, 300, 5000], [2, 9]))
@pytest.mark.parametrize("mode", MODES)
def test_columns_do_not_feel_their_neighbours(mode, n, rng):
    """Problems side by side: the same bits in any selection of at least two of them."""
    x, options = problems_for(mode, (n, scaled(1500, 20)), rng)
    weights = options.pop("weights", None)
    whole = fastnat.fit_normal(x, axis=0, weights=weights, **options)
    for columns in [slice(0, 2), slice(3, 11), slice(1, 1400), slice(-9, None)]:
        w = None if weights is None else weights[:, columns]
        part = fastnat.fit_normal(x[:, columns], axis=0, weights=w, **options)
        assert same_bits(part.params, whole.params[columns])
        copied = fastnat.fit_normal(x[:, columns].copy(), axis=0, weights=w, **options)
        assert same_bits(copied.params, whole.params[columns])
    if mode != "weights":
        hostile = x.copy()
        hostile[0, 1::2] = np.nan
        beside = fastnat.fit_normal(hostile, axis=0, **options)
        assert same_bits(beside.params[::2], whole.params[::2])


@pytest.mark.parametrize(
    ("x_shape", "w_shape"),
    [
        ((30,), (5, 30)),  # a bootstrap
        ((5, 30), (30,)),
        ((5, 30), (5, 1)),
        ((5, 30), ()),
        ((5, 1), (5, 30)),
        ((1, 30), (5, 1)),
        ((4, 1, 30), (5, 1)),
        ((), (5, 30)),
        ((5, 30), (1, 1)),
    ],
)
@pytest.mark.parametrize("axis", [-1, 0, None])
def test_broadcasting(axis, x_shape, w_shape, rng):
    x, weights = rng.normal(7, 2, x_shape), rng.uniform(0.5, 3.0, w_shape)
    full_x, full_w = (a.copy() for a in np.broadcast_arrays(x, weights))
    fit = fastnat.fit_normal(x, weights=weights, axis=axis)
    assert_agree(fit, fastnat.fit_normal(full_x, weights=full_w, axis=axis))
    axis = tuple(range(full_x.ndim)) if axis is None else (axis % full_x.ndim,)
    kept = [a for a in range(full_x.ndim) if a not in axis]
    full_x, full_w = (a.transpose(*kept, *axis) for a in (full_x, full_w))
    assert fit.mu.shape == tuple(full_x.shape[: len(kept)])
    for index in np.ndindex(fit.mu.shape):
        exact = naive.fit(full_x[index].ravel(), full_w[index].ravel())
        assert fastnat.Status(int(np.asarray(fit.status)[index])).name == exact.status
        assert naive.error(fit.mu[index], exact.mu) <= 1e-15
        assert naive.error(fit.sigma[index], exact.sigma) <= 1e-14


def test_a_bootstrap_is_a_loop(rng):
    x = rng.normal(0, 1, 200)
    weights = rng.multinomial(200, np.full(200, 1 / 200), size=50)
    fit = fastnat.fit_normal(x, weights=weights)
    for k in range(50):
        assert_rows_are(fit, k, fastnat.fit_normal(x, weights=weights[k]))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("cov_type", ["observed", "sandwich"])
@pytest.mark.parametrize("nan_policy", ["propagate", "omit", "raise"])
def test_nothing_at_all(nan_policy, cov_type, weighted):
    """Zero problems give an empty result; zero observations are NO_DATA: on every axis."""
    for shape in [(0,), (0, 5), (5, 0), (0, 0), (0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 3, 0)]:
        axes = [a for k in range(1, len(shape) + 1) for a in combinations(range(len(shape)), k)]
        for axis in axes:
            for order in "CFS":
                if order == "S":  # part of a larger array, with steps that are not 0
                    x = np.zeros([size + 1 for size in shape])[tuple(map(slice, shape))]
                else:
                    x = np.zeros(shape, order=order)
                weights = np.ones_like(x) if weighted else None
                fit = fastnat.fit_normal(
                    x, axis=axis, weights=weights, cov_type=cov_type, nan_policy=nan_policy
                )
                batch = tuple(shape[a] for a in range(len(shape)) if a not in axis)
                assert np.shape(fit.mu) == batch
                assert fit.params.shape == (*batch, 2)
                assert fit.stderr.shape == (*batch, 2)
                assert fit.cov_params.shape == (*batch, 2, 2)
                assert fit.conf_int().shape == (*batch, 2, 2)
                if 0 not in batch:  # then there are no observations
                    assert np.all(np.asarray(fit.status) == fastnat.Status.NO_DATA)
                    assert np.isnan(fit.params).all()
                    assert np.all(fit.loglik == 0.0)
                    assert np.all(fit.nobs == 0.0)


def test_many_threads_of_the_caller(rng):
    """Eight threads at once, each with every kind of call: the bits of one thread alone."""
    small = rng.normal(0, 1, scaled((50, 40), (9, 20)))
    wide = rng.normal(0, 1, scaled((40, 3000), (9, 20)))
    long = rng.normal(0, 1, scaled((2, 400_000), (2, 500)))
    calls = [
        (small, {}),
        (small, {"cov_type": "sandwich", "nan_policy": "omit"}),
        (wide, {"axis": 0}),
        (wide, {"axis": 0, "weights": np.abs(wide)}),
        (long, {"n_threads": 2}),
        (long, {"weights": np.abs(long), "n_threads": 3}),
        (long, {"axis": 0}),
        (small[0], {}),
    ]
    want = [fastnat.fit_normal(x, **options) for x, options in calls]

    def work(first):
        for k in range(3 * len(calls)):
            x, options = calls[(first + k) % len(calls)]
            assert_same_bits(fastnat.fit_normal(x, **options), want[(first + k) % len(calls)])
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


CALLS = """
import sys, zlib
import numpy as np, fastnat
rng = np.random.default_rng(5)
parts = []
for shape in [(9, 1), (9, 7), (9, 8), (9, 33), (9, 300), (3, 5000), (2, 140000)]:
    x = rng.normal(10.0, 1.0, shape)
    w = rng.uniform(0.0, 2.0, shape)
    for options in [{}, {"weights": w}, {"nan_policy": "omit"}, {"cov_type": "sandwich"}]:
        for axis in [-1, 0]:
            fit = fastnat.fit_normal(x, axis=axis, **options)
            parts += [fit.params.tobytes(), fit.stderr.tobytes()]
    parts.append(fastnat.fit_normal(x.astype("f4")).params.tobytes())
print(zlib.crc32(b"".join(parts)))
"""


@pytest.mark.slow
def test_instruction_sets(tmp_path):
    """The same bits from the code for an old processor (AVX2 and FMA) and from this one's."""
    answers = []
    for settings in [{}, {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"}]:
        environment = os.environ | settings | {"NUMBA_CACHE_DIR": str(tmp_path)}
        answers.append(
            subprocess.run(
                [sys.executable, "-c", CALLS], env=environment, capture_output=True, check=True
            ).stdout
        )
    assert answers[0] == answers[1]
