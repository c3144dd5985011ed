"""Statistics of streams: the fit of chunks is the fit of all, whatever their order."""

import io
import operator
import pickle
from fractions import Fraction
from itertools import chain, pairwise, product

import numpy as np
import pytest
from conftest import assert_one_sentence, refused, same_bits, scaled
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from test_linear import ACCURACY, NIST, assert_close, floats, nist

import fastnat
from fastnat import Status
from fastnat.kernels import online as steps
from fastnat.streaming import LinearStats, MvnStats, NormalStats, OnlineNormal

NAN = np.nan


def assert_equal_fits(a, b, rtol=1e-12):
    """Everything that two fits say is the same to rounding, the estimates to that of sigma."""
    assert np.array_equal(a.status, b.status)
    for name in ("sigma", "stderr", "nobs"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol, 1e-300, err_msg=name)
    known = np.where(np.isfinite(b.mu), b.mu, 0.0)
    spread = rtol * np.nan_to_num(b.sigma, posinf=0.0) + 2 * np.spacing(np.abs(known))
    with np.errstate(invalid="ignore"):
        assert np.all((np.abs(a.mu - b.mu) <= spread) | same(a.mu, b.mu))
    size = rtol * np.maximum(np.nan_to_num(b.nobs), 1.0)
    with np.errstate(invalid="ignore"):
        assert np.all((np.abs(a.loglik - b.loglik) <= 4 * size) | same(a.loglik, b.loglik))


def same(a, b):
    return (np.asarray(a) == b) | (np.isnan(a) & np.isnan(b))


def in_chunks(rng, n, most):
    """Slices of 0 to n, in any order."""
    cuts = [0]
    while cuts[-1] < n:
        cuts.append(min(n, cuts[-1] + int(rng.integers(1, most))))
    spans = [slice(*pair) for pair in pairwise(cuts)]
    rng.shuffle(spans)
    return spans


LIMITS = {
    "complete": {},
    "left": {"left": -0.05},
    "both": {"left": -0.05, "right": 0.1},
    "of problems": {"left": np.array([-0.1, -np.inf, 0.0]), "right": 0.2},
}


@pytest.mark.parametrize("offset", [0.0, 1e7])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", LIMITS)
def test_normal_stats_in_any_order(rng, kind, weighted, offset):
    n = scaled(20_000, 150)
    x = np.round(offset + 0.1 * rng.standard_normal((3, n)), 9)
    w = rng.integers(0, 4, (3, n)) if weighted else None
    limits = {name: offset + value for name, value in LIMITS[kind].items()}
    stats, other = NormalStats(moments=4, **limits), NormalStats(moments=4, **limits)
    for k, span in enumerate(in_chunks(rng, n, n // 10)):
        to = stats if k % 3 else other
        to.update(x[:, span], weights=None if w is None else w[:, span])
    stats.merge(other)
    columns = {k: v[:, None] if np.ndim(v) else v for k, v in limits.items()}
    for cov_type in ("observed", "expected", "sandwich", "opg"):
        fit = stats.fit(cov_type=cov_type)
        want = fastnat.fit_normal(x, weights=w, cov_type=cov_type, **columns)
        assert_equal_fits(fit, want)
    # A profile is flat at its end: its root is known to the root of what rounding leaves there.
    ends, same_ends = (f.conf_int(method="profile") for f in (fit, want))
    np.testing.assert_allclose(ends, same_ends, 1e-10)
    if kind == "complete":
        assert_equal_fits(stats.fit(reml=True), fastnat.fit_normal(x, weights=w, reml=True))


def test_normal_stats_keep_digits_of_many_chunks():
    """Against rational numbers: one value at a time, sorted, far from zero."""
    n = scaled(20_000, 300)
    x = 1e7 + 0.1 * np.arange(n) / n
    stats = NormalStats()
    for value in x:
        stats.update([value])
    exact = [Fraction(v) for v in x.tolist()]
    mean = sum(exact) / n
    variance = sum((v - mean) ** 2 for v in exact) / n
    fit = stats.fit()
    assert abs(Fraction(float(fit.mu)) - mean) <= Fraction(np.spacing(1e7))
    assert abs(Fraction(float(fit.sigma)) ** 2 / variance - 1) < Fraction(1, 10**13)


@given(
    st.lists(st.lists(st.integers(-8, 8), max_size=4), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
    st.sampled_from([None, -2.0]),
)
def test_normal_stats_of_small_chunks(chunks, random, left):
    """Every status: empty, equal, beyond the limit."""
    stats = NormalStats((), left=left)
    order = list(chunks)
    random.shuffle(order)
    for chunk in order:
        other = NormalStats(left=left)
        other.update(np.array(chunk, float))
        stats.merge(other)
    want = fastnat.fit_normal(np.array(list(chain(*chunks)), float), left=left)
    assert_equal_fits(stats.fit(), want)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, ">f8"])
def test_normal_stats_of_any_layout(rng, dtype):
    n = scaled(30, 8)
    x = (100 * rng.standard_normal((4, n, 5))).astype(dtype)
    for axis in (0, 1, 2, (0, 2), (-1, 0)):
        stats = NormalStats(left=-20.0)
        for half in np.array_split(x, 2, axis=axis if isinstance(axis, int) else axis[0]):
            stats.update(half, axis=axis)
        assert_equal_fits(stats.fit(), fastnat.fit_normal(x, left=-20.0, axis=axis))
    x = x.transpose(2, 0, 1)
    stats = NormalStats(left=np.full((5, n), -20.0))
    stats.update(x, axis=1)
    assert_equal_fits(stats.fit(), fastnat.fit_normal(x, left=-20.0, axis=1))


def test_normal_stats_and_missing_values(rng):
    x = rng.standard_normal((3, 40))
    x[1, 7] = NAN
    for left in (None, -0.5):
        for policy in ("propagate", "omit"):
            stats = NormalStats(left=left, nan_policy=policy)
            stats.update(x[:, :20])
            stats.update(x[:, 20:])
            want = fastnat.fit_normal(x, left=left, nan_policy=policy)
            assert_equal_fits(stats.fit(), want)
        stats = NormalStats(left=left, nan_policy="raise")
        stats.update(x[:, 20:])
        with refused(ValueError, "x contains NaN"):
            stats.update(x[:, :20])
        assert_equal_fits(stats.fit(), fastnat.fit_normal(x[:, 20:], left=left))


@pytest.mark.parametrize("limits", ["none", "one", "one each"])
def test_normal_stats_of_groups(limits, rng):
    n, n_groups = 600, scaled(40, 12)
    x, codes = rng.standard_normal(n), rng.integers(0, n_groups, n)
    codes[codes == 7] = 8
    left = {"none": None, "one": -0.5, "one each": rng.uniform(-1.0, 0.0, n_groups)}[limits]
    stats = NormalStats(n_groups, left=left)
    for span in in_chunks(rng, n, 100):
        stats.update(x[span], groups=codes[span])
    members = codes == np.arange(n_groups)[:, None]
    column = left[:, None] if limits == "one each" else left
    want = fastnat.fit_normal(np.tile(x, (n_groups, 1)), weights=members, left=column)
    assert_equal_fits(stats.fit(), want)
    assert stats.fit().status[7] == fastnat.Status.NO_DATA


def test_normal_stats_of_a_million(rng):
    """One object, four numbers a chunk for each problem."""
    n_fits = scaled(1_000_000, 20)
    stats, chunks = NormalStats(n_fits), []
    for k in range(3):
        chunks.append(rng.standard_normal((n_fits, 4)) + k)
        stats.update(chunks[-1])
    assert_equal_fits(stats.fit(), fastnat.fit_normal(np.concatenate(chunks, axis=1)))


def test_nothing_is_changed_by_a_chunk_that_is_refused(rng):
    x = rng.standard_normal((2, 10))
    stats = NormalStats()
    stats.update(x)
    before = stats.fit()
    for bad in (-1.0, NAN, np.inf):
        with refused(ValueError, "weights"):
            stats.update(x, weights=np.where(x == x[1, 3], bad, 1.0))
    with refused(ValueError, "x has problems of shape (3,)", "(2,)"):
        stats.update(np.ones((3, 4)))
    with refused(ValueError, "dimension"):
        stats.update(1.0)
    with refused(TypeError, "real numbers"):
        stats.update(["a"])
    after = stats.fit()
    assert same_bits(before.params, after.params)
    assert same_bits(before.nobs, after.nobs)
    first = NormalStats()
    with refused(ValueError, "weights"):
        first.update(x, weights=-np.ones_like(x))
    assert first.shape is None
    first.update(x[0])
    assert first.shape == ()


def test_statistics_of_nothing():
    for stats in (NormalStats(), NormalStats(()), NormalStats(left=0.0)):
        assert stats.fit().status == fastnat.Status.NO_DATA
        stats.update([])
        assert stats.fit().status == fastnat.Status.NO_DATA
    stats = NormalStats()
    _ = stats.fit()  # which decides nothing
    stats.update(np.ones((3, 2)))
    assert stats.shape == (3,)
    assert NormalStats((2, 3)).fit().status.shape == (2, 3)
    stats = NormalStats((0, 3))
    stats.update(np.empty((0, 3, 5)))
    assert stats.fit().mu.shape == (0, 3)


def test_what_does_not_go_together(rng):
    x = rng.standard_normal(10)
    for options in ({"left": 0.0}, {"right": 0.0}, {"moments": 4}, {"nan_policy": "omit"}):
        with refused(ValueError, "other was made with", *options):
            NormalStats().merge(NormalStats(**options))
    with refused(ValueError, "other was made with left=1.0, these statistics with 0.0"):
        NormalStats(left=0.0).merge(NormalStats(left=1.0))
    with refused(ValueError, "other has problems of shape (2,)", "(3,)"):
        NormalStats(3).merge(NormalStats(2))
    with refused(TypeError, "other must be a NormalStats, not ndarray"):
        NormalStats().merge(x)
    with refused(ValueError, "moments=4"):
        NormalStats().fit(cov_type="sandwich")
    with refused(ValueError, "reml"):
        NormalStats(left=0.0).fit(reml=True)
    with refused(ValueError, "moments must be 2 or 4"):
        NormalStats(moments=3)
    with refused(ValueError, "left of shape (2,)", "(3,)"):
        NormalStats(3, left=np.zeros(2))
    with refused(ValueError, "left must not be above right"):
        NormalStats(left=1.0, right=0.0)
    with refused(ValueError, "shape must be between 0"):
        NormalStats(-1)
    with refused(ValueError, "groups must be below 3"):
        NormalStats(3).update(x, groups=np.full(10, 3))
    with refused(ValueError, "groups needs statistics made with a shape"):
        NormalStats().update(x, groups=np.zeros(10, int))


def test_memory_does_not_grow(rng):
    """A thousand chunks take as much as three; to keep them would take 240 MB."""
    x = rng.standard_normal((scaled(10_000, 20), 3))
    stats = NormalStats(left=0.0)
    sizes = []
    for count in (3, scaled(1000, 30)):
        for _ in range(count):
            stats.update(x)
        sizes.append(len(pickle.dumps(stats)))  # all that the object holds
    assert sizes[1] < 2.5 * sizes[0]  # at most one more level


def test_stream_of_a_mapped_file(rng, tmp_path):
    """In one pass, a tenth at a time."""
    x = 1e7 + 0.1 * rng.standard_normal(scaled(300_000, 300))
    np.save(tmp_path / "x.npy", x)
    stats = NormalStats(left=1e7 - 0.03)
    for chunk in np.array_split(np.load(tmp_path / "x.npy", mmap_mode="r"), 10):
        stats.update(chunk)
    assert_equal_fits(stats.fit(), fastnat.fit_normal(x, left=1e7 - 0.03))


# Files


def saved(stats):
    """Through a file, without pickle."""
    file = io.BytesIO()
    np.savez(file, **stats.to_arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return type(stats).from_arrays(arrays)


@pytest.mark.parametrize("kind", LIMITS)
def test_normal_stats_in_files(rng, kind):
    x = rng.standard_normal((3, 90))
    stats = NormalStats(moments=4, nan_policy="omit", **LIMITS[kind])
    assert saved(stats).shape == stats.shape
    stats.update(x[:, :50], weights=np.ones(50))
    again = saved(stats)
    assert same_bits(stats.fit().params, again.fit().params)
    for each in (stats, again):
        each.update(x[:, 50:])
    assert_equal_fits(stats.fit(cov_type="opg"), again.fit(cov_type="opg"))
    if kind == "complete":
        with refused(ValueError, "unweighted"):
            again.fit().conf_int(method="exact")


def some_statistics(kind):
    """Statistics of a chunk, which every call takes in again."""
    x = np.arange(24.0).reshape(8, 3) ** 1.5
    stats = kind()

    def update():
        stats.update(*((x[:, 0], x[:, 1:]) if kind is LinearStats else (x,)))

    update()
    return stats, update


@pytest.mark.parametrize("kind", [NormalStats, MvnStats, LinearStats])
def test_arrays_of_something_else(kind):
    """They are versioned, and say what is missing or wrong."""
    arrays = some_statistics(kind)[0].to_arrays()
    for key in arrays:
        with refused(ValueError, f"'{key}' is missing"):
            kind.from_arrays({k: v for k, v in arrays.items() if k != key})
        with refused(ValueError, "arrays["):
            kind.from_arrays(arrays | {key: np.array(["a", "b"], object)})
    with refused(ValueError, "arrays are of version 2"):
        kind.from_arrays(arrays | {"version": np.array(2)})
    with refused(ValueError, "arrays are those of 'OnlineNormal'"):
        kind.from_arrays(arrays | {"kind": np.array("OnlineNormal")})
    for key, array in arrays.items():
        if array.dtype.kind == "f" and array.ndim and key not in ("left", "right"):
            with refused(ValueError, f"arrays['{key}'] cannot be"):
                kind.from_arrays(arrays | {key: np.zeros((5, 3, 2, 2, 2))})


@pytest.mark.parametrize("kind", [NormalStats, MvnStats, LinearStats])
def test_damaged_arrays(kind):
    """One number that no observations can have left is refused, or does no harm."""
    arrays, refusals = some_statistics(kind)[0].to_arrays(), 0
    for key, array in arrays.items():
        if array.dtype.kind != "f" or key in ("left", "right"):
            continue
        for i, value in product(range(array.size), (NAN, np.inf, -1.0)):
            damaged = array.copy()
            damaged.flat[i] = value
            try:
                stats = kind.from_arrays(arrays | {key: damaged})
            except ValueError as error:
                refusals += 1
                assert_one_sentence(str(error), "arrays[")
                continue
            fit = stats.fit()
            if value < 0.0:  # of an origin, a mean, and the sign of a row of a triangle
                assert np.isfinite(fit.params).all()
                assert np.isfinite(fit.stderr).all()
            else:  # so means say that a value was not finite
                status = Status.INVALID_INPUT if value > 0.0 else Status.NAN_INPUT
                assert np.max(fit.status) == status
    assert refusals > 10


def test_damaged_shapes():
    """No negative sizes, and no pattern without a column."""
    for kind, key in ((NormalStats, "shape"), (MvnStats, "n_dim"), (LinearStats, "n_columns")):
        arrays = some_statistics(kind)[0].to_arrays()
        with refused(ValueError, f"arrays['{key}']", "-2"):
            kind.from_arrays(arrays | {key: np.full(arrays[key].shape, -2)})
    stats = MvnStats(nan_policy="mle")
    stats.update([[1.0, NAN], [2.0, 3.0], [4.0, 1.0], [0.0, 2.0]])
    arrays = stats.to_arrays()
    with refused(ValueError, "arrays['patterns']", "column"):
        MvnStats.from_arrays(arrays | {"patterns": np.zeros((2, 2), bool)})


def test_columns_far_from_zero(rng):
    """Squares of them overflow; their scale is that of their deviations, of which one has none."""
    y, x = rng.standard_normal((2, 30))
    for column in (np.full(30, 1e200), 1e300 * (1 + 0.1 * x), 1e-300 * x):
        for response, X in ((y, column[:, None]), (column, np.column_stack([np.ones(30), x]))):
            stats = LinearStats()
            stats.update(response, X)
            want, got = fastnat.fit_linear(response, X), stats.fit()
            assert got.status == want.status
            size = np.abs(want.coef).max()
            assert np.allclose(got.coef / size, want.coef / size, rtol=0, atol=1e-12)
            assert np.allclose(got.stderr, want.stderr, rtol=1e-9, atol=0, equal_nan=True)


@pytest.mark.parametrize("kind", [NormalStats, MvnStats, LinearStats])
def test_statistics_can_be_sent_away(kind):
    """By pickle, as multiprocessing does it, and merged elsewhere."""
    stats, update = some_statistics(kind)
    again = pickle.loads(pickle.dumps(stats))
    again.merge(pickle.loads(pickle.dumps(stats)))
    update()
    assert same_bits(again.fit().params, stats.fit().params)


@pytest.mark.parametrize("kind", [NormalStats, MvnStats, LinearStats])
def test_size_does_not_depend_on_the_number_of_chunks(kind):
    """All of them keep at most a level for each factor of 64."""
    stats, update = some_statistics(kind)
    sizes = []
    for count in (70, 630):
        for _ in range(count):
            update()
        sizes.append(len(pickle.dumps(stats)))
    assert sizes[1] < 1.1 * sizes[0]


def test_statistics_say_what_they_are():
    stats = NormalStats(left=0.0)
    assert repr(stats) == "<NormalStats: nobs = 0>"
    stats.update(np.arange(6.0).reshape(2, 3))
    assert repr(stats) == "<NormalStats: 2 problems, nobs = 6>"


# Tables


def tables(rng, shape, n, d, offset=0.0):
    """Correlated columns."""
    root = rng.standard_normal((d, d))
    return offset + 0.1 * (rng.standard_normal((*shape, n, d)) @ root)


def assert_equal_tables(a, b, rtol=1e-12):
    """The same to rounding, in units of standard deviations."""
    assert np.array_equal(a.status, b.status)
    sd = np.sqrt(np.diagonal(b.covariance, axis1=-2, axis2=-1))
    with np.errstate(invalid="ignore"):
        assert np.all(
            (np.abs(a.mean - b.mean) <= rtol * sd + 2 * np.spacing(np.abs(b.mean)))
            | same(a.mean, b.mean)
        )
        units = sd[..., :, None] * sd[..., None, :]
        assert np.all(
            (np.abs(a.covariance - b.covariance) <= rtol * units) | same(a.covariance, b.covariance)
        )
        gap = np.abs(a.loglik - b.loglik) <= 1e-11 * np.maximum(b.nobs, 1.0)
    assert np.all(gap | same(a.loglik, b.loglik))
    np.testing.assert_allclose(a.nobs, b.nobs, 1e-14)
    np.testing.assert_allclose(a.stderr, b.stderr, 1e-9)


@pytest.mark.parametrize("d", [1, 3, 7])
@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
def test_mvn_stats_in_any_order(rng, shape, d):
    n = scaled(2000, 30)
    x = tables(rng, shape, n, d, 1e7)
    w = rng.integers(0, 3, (*shape, n))
    for weights in (None, w):
        stats, other = MvnStats(), MvnStats()
        for k, span in enumerate(in_chunks(rng, n, n // 5)):
            own = None if weights is None else weights[..., span]
            (stats if k % 3 else other).update(x[..., span, :], weights=own)
        stats.merge(other)
        assert_equal_tables(stats.fit(), fastnat.fit_mvn(x, weights=weights))
        assert_equal_tables(saved(stats).fit(), fastnat.fit_mvn(x, weights=weights))


def test_mvn_stats_of_a_long_table(rng):
    """Longer than a segment: read in pieces, on threads."""
    x = tables(rng, (), scaled(300_000, 40), 2)
    stats = MvnStats()
    stats.update(x)
    assert same_bits(stats.fit().covariance, fastnat.fit_mvn(x).covariance)


@pytest.mark.parametrize("noise", [0.0, 1e-8, 1e-4])
def test_mvn_stats_and_rank(rng, noise):
    """Collinear but for a little, which a scatter cannot see; a row at a time, too."""
    n = 60
    x = tables(rng, (2,), n, 3)
    x[..., 2] = x[..., 0] + x[..., 1] + noise * rng.standard_normal((2, n))
    want = fastnat.fit_mvn(x)
    for size in (1, 2, 30, 60):
        stats = MvnStats()
        for k in range(0, n, size):
            stats.update(x[:, k : k + size])
        fit = stats.fit()
        assert np.array_equal(fit.status, want.status)
        np.testing.assert_allclose(fit.covariance, want.covariance, 1e-9, 1e-15)
        if noise:
            # Half of the digits that the noise leaves.
            np.testing.assert_allclose(fit.loglik, want.loglik, 1e-7)


@pytest.mark.parametrize("policy", ["propagate", "omit", "raise"])
def test_mvn_stats_and_missing_rows(rng, policy):
    x = tables(rng, (3,), 20, 2)
    x[1, 4, 1] = NAN
    stats = MvnStats(nan_policy=policy)
    stats.update(x[:, 5:])
    if policy == "raise":
        with refused(ValueError, "X contains NaN"):
            stats.update(x[:, :5])
        assert_equal_tables(stats.fit(), fastnat.fit_mvn(x[:, 5:]))
    else:
        stats.update(x[:, :5])
        assert_equal_tables(stats.fit(), fastnat.fit_mvn(x, nan_policy=policy))


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_mvn_stats_by_pattern(rng, offset):
    """The same maximum, to the tolerance of the search, and the same standard errors."""
    n = scaled(400, 40)
    x = tables(rng, (3,), n, 3, offset)
    x[rng.random(x.shape) < 0.2] = NAN
    x[0] = np.where(np.isnan(x[0]), offset, x[0])  # a complete one among them
    w = rng.integers(0, 3, (3, n))
    for weights in (None, w):
        stats, other = MvnStats(nan_policy="mle"), MvnStats(nan_policy="mle")
        for k, span in enumerate(in_chunks(rng, n, n // 3)):
            own = None if weights is None else weights[:, span]
            (other if k == 1 else stats).update(x[:, span], weights=own)
        stats.merge(other)
        for cov_type in ("observed", "expected"):
            fit = saved(stats).fit(cov_type=cov_type)
            want = fastnat.fit_mvn(x, weights=weights, nan_policy="mle", cov_type=cov_type)
            assert_equal_tables(fit, want, 1e-12 if offset == 0.0 else 1e-9)
            np.testing.assert_allclose(fit.stderr_correlation, want.stderr_correlation, 1e-8)


def test_what_tables_refuse(rng):
    x = tables(rng, (), 20, 2)
    stats = MvnStats()
    with refused(ValueError, "fit needs a chunk"):
        stats.fit()
    stats.update(x)
    with refused(ValueError, "X has 3 columns", "have 2"):
        stats.update(tables(rng, (), 5, 3))
    with refused(ValueError, "X has problems of shape (1,)"):
        stats.update(x[None])
    with refused(ValueError, "weights"):
        stats.update(x, weights=-np.ones(20))
    with refused(ValueError, "other was made with nan_policy='mle'"):
        stats.merge(MvnStats(nan_policy="mle"))
    with refused(TypeError, "other must be a MvnStats"):
        stats.merge(NormalStats())
    with refused(ValueError, "cov_type='opg' needs the data"):
        stats.fit(cov_type="opg")
    with refused(ValueError, "weights"):
        MvnStats(nan_policy="mle").update(x, weights=np.full(20, NAN))
    stats.update(np.empty((0, 2)))
    assert_equal_tables(stats.fit(), fastnat.fit_mvn(x))
    assert repr(stats) == "<MvnStats: 2 columns, nobs = 20>"
    assert MvnStats.from_arrays(MvnStats().to_arrays()).shape is None


# Regressions


def design(rng, n, p, offset=0.0):
    x = offset + rng.standard_normal((n, p))
    x[:, 0] = 1.0
    return x


def assert_equal_regressions(a, b, rtol=1e-12):
    """The same to rounding, in units of standard errors of one observation."""
    assert np.array_equal(a.status, b.status)
    unit = np.nan_to_num(b.stderr, nan=1.0) * np.sqrt(b.nobs)[..., None]
    with np.errstate(invalid="ignore"):
        close = np.abs(a.params - b.params) <= rtol * unit + 8 * np.spacing(np.abs(b.params))
        gap = np.abs(a.loglik - b.loglik) <= 1e-11 * np.maximum(b.nobs, 1.0)
    assert np.all(close | same(a.params, b.params))
    assert np.all(gap | same(a.loglik, b.loglik))
    np.testing.assert_allclose(a.stderr, b.stderr, 1e-11)
    np.testing.assert_allclose(a.cov_params, b.cov_params, 1e-10, 1e-12)
    assert np.array_equal(a.nobs[a.success], b.nobs[a.success])
    assert same_bits(a.nit, b.nit)


@pytest.mark.parametrize("shape", [(), (3,)])
@pytest.mark.parametrize("p", [1, 4])
def test_linear_stats_in_any_order(rng, shape, p):
    n = scaled(1000, 40)
    x = design(rng, n, p)
    y = x @ rng.standard_normal(p) + 0.1 * rng.standard_normal((*shape, n)) + 100.0
    w = rng.integers(0, 3, (*shape, n)).astype(float)
    for weights in (None, w):
        stats, other = LinearStats(), LinearStats()
        for k, span in enumerate(in_chunks(rng, n, n // 5)):
            own = None if weights is None else weights[..., span]
            (stats if k % 3 else other).update(y[..., span], x[span], weights=own)
        stats.merge(other)
        for reml in (False, True):
            want = fastnat.fit_linear(y, x, weights=weights, reml=reml)
            for each in (stats, saved(stats)):
                assert_equal_regressions(each.fit(reml=reml), want)
    unweighted = LinearStats()
    unweighted.update(y, x)
    exact, want = (f.conf_int(method="exact") for f in (unweighted.fit(), fastnat.fit_linear(y, x)))
    np.testing.assert_allclose(exact, want, 1e-11)


@pytest.mark.parametrize("name", ACCURACY)
def test_linear_stats_of_certified_problems(name):
    """NIST's linear regressions, two rows at a time."""
    y, x = nist(name)
    params, errors = ACCURACY[name]
    stats = LinearStats()
    for k in range(0, y.size, 2):
        stats.update(y[k : k + 2], x[k : k + 2])
    fit = stats.fit(reml=True)
    # Each merge rounds: the least accurate coefficient may lose a digit.
    assert_close(fit.coef, floats(NIST[name]["params"]), 10.0 * params)
    assert_close(fit.stderr[:-1], floats(NIST[name]["stderr"]), 10.0 * errors)
    assert_close(fit.sigma, float(NIST[name]["residual_sd"]), errors)


def exact_least_squares(y, x):
    """(coefficients, residual sum of squares) as rational numbers, from the normal equations."""
    columns = [[Fraction(v) for v in column] for column in (*x.T.tolist(), y.tolist())]
    gram = [[sum(map(operator.mul, a, b)) for b in columns] for a in columns]
    p = len(columns) - 1
    for k in range(p):
        for i in range(p + 1):
            if i != k:
                factor = gram[i][k] / gram[k][k]
                gram[i] = [a - factor * b for a, b in zip(gram[i], gram[k], strict=True)]
    return [gram[k][p] / gram[k][k] for k in range(p)], gram[p][p]


@pytest.mark.parametrize("grouped", [False, True])
def test_linear_stats_keep_digits(rng, grouped):
    """Far from zero, and where 1 is no column but a combination of columns."""
    n = 120
    x = design(rng, n, 4)
    if grouped:
        x = np.eye(4)[np.arange(n) % 4]
    y = 1e7 + x @ rng.standard_normal(4) + 0.1 * rng.standard_normal(n)
    stats = LinearStats()
    for k in range(0, n, 10):
        stats.update(y[k : k + 10], x[k : k + 10])
    coef, rss = exact_least_squares(y, x)
    fit = stats.fit()
    assert abs(Fraction(float(fit.sigma)) ** 2 * n / rss - 1) < Fraction(1, 10**12)
    for b, exact in zip(fit.coef.tolist(), coef, strict=True):
        assert abs(Fraction(b) - exact) < 1e-13 + 2 * np.spacing(float(abs(exact)))


def test_statuses_of_linear_stats(rng):
    n = 12
    x = design(rng, n, 3)
    cases = {
        "ok": (x @ [1.0, 2.0, 3.0] + rng.standard_normal(n), x),
        "no rows": (np.empty(0), x[:0]),
        "nan": (np.full(n, NAN), x),
        "inf": (np.full(n, np.inf), x),
        "dependent": (rng.standard_normal(n), np.column_stack([x, x[:, 1] - x[:, 2]])),
        "zero": (rng.standard_normal(n), np.column_stack([x, np.zeros(n)])),
        "perfect": (x @ [1.0, 2.0, 3.0], x),
        "beyond doubles": (x @ [1.0, 2.0, 3.0] + rng.standard_normal(n), 3e-310 * x),
        "few": (rng.standard_normal(3), x[:3]),
        "fewer": (rng.standard_normal(2), x[:2]),
    }
    for name, (y, design_) in cases.items():
        for reml in (False, True):
            stats = LinearStats()
            for k in range(0, max(y.size, 1), 2):
                stats.update(y[k : k + 2], design_[k : k + 2])
            fit, want = stats.fit(reml=reml), fastnat.fit_linear(y, design_, reml=reml)
            assert fit.status == want.status, name
            assert fit.message == want.message, name
            if name not in ("perfect", "beyond doubles"):  # residuals are rounding, no numbers
                assert_equal_regressions(fit, want)


@pytest.mark.parametrize(("size", "unit"), [(1e-20, 3e-310), (1e20, 1e307), (1e-300, 1.0)])
def test_linear_stats_of_columns_at_the_ends_of_the_range(size, unit, rng):
    """A coefficient may be a number where the ratio of two units is none."""
    x = design(rng, 8, 2)
    y, column = size * (x @ [1.0, 2.0] + rng.standard_normal(8)), unit * x[:, 1:]
    stats = LinearStats()
    stats.update(y, column)
    fit, want = stats.fit(), fastnat.fit_linear(y, column)
    assert fit.status is want.status is Status.OK
    assert_close(fit.coef, want.coef, 1e-12)
    # Equal values have no scale of their own, and must not underflow either.
    one = LinearStats()
    one.update(y, np.full((8, 1), unit))
    assert_close(one.fit().coef, np.mean(y / size) * (size / unit), 1e-12)


def test_what_linear_stats_refuse(rng):
    x = design(rng, 20, 3)
    y = rng.standard_normal(20)
    stats = LinearStats()
    with refused(ValueError, "fit needs a chunk"):
        stats.fit()
    stats.update(y, x)
    with refused(ValueError, "the chunk has 2 columns of X", "have 3"):
        stats.update(y, x[:, :2])
    with refused(ValueError, "the chunk has problems of shape (2,)"):
        stats.update(np.stack([y, y]), x)
    with refused(ValueError, "X of shape (19, 3)", "20"):
        stats.update(y, x[1:])
    with refused(ValueError, "X must be of shape"):
        stats.update(y, y)
    with refused(ValueError, "y must have"):
        stats.update(1.0, x)
    with refused(ValueError, "weights"):
        stats.update(y, x, weights=np.full(20, NAN))
    with refused(ValueError, "does not broadcast"):
        stats.update(np.ones((2, 20)), np.ones((3, 20, 3)))
    with refused(ValueError, "cov_type='sandwich' needs the data"):
        stats.fit(cov_type="sandwich")
    with refused(TypeError, "other must be a LinearStats"):
        stats.merge(MvnStats())
    with refused(ValueError, "other has 2 columns"):
        other = LinearStats()
        other.update(y, x[:, :2])
        stats.merge(other)
    strict = LinearStats(nan_policy="raise")
    with refused(ValueError, "y or X contains NaN"):
        strict.update(np.full(20, NAN), x)
    assert strict.shape is None
    omit = LinearStats(nan_policy="omit")
    omit.update(np.where(y > 0.0, y, NAN), x)
    assert_equal_regressions(omit.fit(), fastnat.fit_linear(y[y > 0.0], x[y > 0.0]))
    assert repr(stats) == "<LinearStats: 3 columns, nobs = 20>"
    assert LinearStats.from_arrays(LinearStats().to_arrays()).shape is None


# Followed, not fitted


def spans_of(n, rng):
    cuts = np.sort(rng.integers(0, n, 5))
    return [slice(*pair) for pair in pairwise([0, *cuts.tolist(), n])]


def test_online_complete_is_the_running_maximum(rng):
    x = 1e7 + 0.1 * rng.standard_normal((2, 3, 500))
    x[0, 1, 7] = x[1, 2, 0] = NAN
    online = OnlineNormal((2, 3))
    online.update(x[..., 0])
    for span in spans_of(499, rng):
        online.update(x[..., 1:][..., span])
    want = fastnat.fit_normal(x, nan_policy="omit")
    np.testing.assert_allclose(online.mu, want.mu, 1e-16)
    np.testing.assert_allclose(online.sigma, want.sigma, 1e-13)
    np.testing.assert_allclose(online.stderr, want.stderr, 1e-13)
    np.testing.assert_allclose(online.n_eff, want.nobs, 1e-12)
    assert np.array_equal(online.nobs, want.nobs)
    assert np.all(online.ready)


def test_online_forgetting_is_a_weighted_fit(rng):
    """The weights of an exponential window, from the first observation on."""
    x, share = rng.standard_normal((4, 60)), 0.05
    online = OnlineNormal(4, forgetting=share)
    online.update(x)
    w = (1.0 - share) ** np.arange(59, -1, -1)
    want = fastnat.fit_normal(x, weights=w)
    np.testing.assert_allclose(online.mu, want.mu, 0, 1e-14)
    np.testing.assert_allclose(online.sigma, want.sigma, 1e-13)
    np.testing.assert_allclose(online.n_eff, w.sum() ** 2 / (w**2).sum(), 1e-13)


# The standard error of a variance from this many series; 4 of them are allowed.
N_SERIES = scaled(4000, 40)
MARGIN = 4.0 * np.sqrt(2.0 / N_SERIES)


def crb(left, right=np.inf):
    """Variances of mu and sigma of one observation from N(0, 1), by quadrature."""
    info = np.zeros((2, 2))
    for value, prob in ((left, norm.cdf(left)), (right, norm.sf(right))):
        if prob:
            sign = -1.0 if value == left else 1.0
            score = sign * norm.pdf(value) / prob * np.array([1.0, value])
            info += prob * np.outer(score, score)
    z, w = np.polynomial.legendre.leggauss(200)
    low, high = max(left, -10.0), min(right, 10.0)
    z = 0.5 * (high - low) * (z + 1.0) + low
    for z_k, w_k in zip(z, 0.5 * (high - low) * w, strict=True):
        score = np.array([z_k, z_k * z_k - 1.0])
        info += w_k * norm.pdf(z_k) * np.outer(score, score)
    return np.diag(np.linalg.inv(info))


@pytest.mark.parametrize("left", [-np.inf, 0.0, 1.0])
def test_online_limits_reach_the_cramer_rao_bound(rng, left):
    """Also where 84 % are censored: the metric of complete data would need 49 times as many."""
    n = scaled(4000, 150)
    x = 3.0 + 2.0 * rng.standard_normal((N_SERIES, n))
    online = OnlineNormal(N_SERIES, left=3.0 + 2.0 * left, right=np.inf)
    online.update(x)
    assert np.mean(online.ready) > 0.99
    errors = np.stack([online.mu - 3.0, online.sigma - 2.0])[:, online.ready] / 2.0
    ratio = n * np.mean(errors**2, axis=1) / crb(left)
    # The bound is that of many observations: of few, small-sample terms add some.
    assert np.all(ratio < 1.0 + MARGIN + scaled(0.05, 1.0))
    assert np.all(ratio > 1.0 - MARGIN - scaled(0.05, 0.3))
    # And the standard errors that it reports are those of the bound, as sigma is known.
    bound = 2.0 * np.sqrt(crb(left) / n)
    np.testing.assert_allclose(np.median(online.stderr[online.ready], 0), bound, scaled(0.05, 0.3))


@pytest.mark.parametrize("limited", [False, True])
def test_online_forgetting_follows_a_drift(rng, limited):
    """A level that moves: the best gain is that of the steady Kalman filter."""
    n, q = scaled(1000, 150), 0.1
    level = np.cumsum(q * rng.standard_normal((N_SERIES, n)), axis=1)
    x = level + rng.standard_normal((N_SERIES, n))
    best = 0.5 * (np.sqrt(q**4 + 4.0 * q**2) - q**2)
    mse = {}
    for share in (0.0, 0.25 * best, best, 4.0 * best):
        # A limit that is never reached: steps of the other kind.
        right = 1000.0 if limited else None
        online = OnlineNormal(N_SERIES, forgetting=share, right=right)
        online.update(x)
        mse[share] = np.mean((online.mu - level[:, -1])[online.ready] ** 2)
    assert min(mse, key=mse.get) == best
    # Of the filter: the variance of its prediction, r, solves r**2 - q**2 r - q**2 = 0.
    assert abs(mse[best] / best - 1.0) < MARGIN + scaled(0.1, 0.3)


def test_online_waits_for_a_maximum(rng):
    """A series that has shown nothing but its limit has no estimate; the others go on."""
    x = rng.standard_normal((3, 400))
    x[1] = -5.0
    x[2, :300] = -5.0
    online = OnlineNormal(3, left=-1.0, burn_in=20)
    online.update(x[:, :200])
    assert online.ready.tolist() == [True, False, False]
    assert np.isnan(online.mu).tolist() == [False, True, True]
    online.update(x[:, 200:])
    assert online.ready.tolist() == [True, False, True]
    assert online.nobs.tolist() == [400, 400, 400]
    assert abs(online.mu[0]) < 0.3
    whole = fastnat.fit_normal(x[2], left=-1.0)
    assert abs(online.mu[2] - whole.mu) < 3.0 * whole.stderr[0]


def test_online_results_do_not_depend_on_chunks_or_threads(rng):
    n_series = scaled(200, 9)
    x = rng.standard_normal((n_series, 120))
    whole = OnlineNormal(n_series, left=-0.5, burn_in=20)
    whole.update(x, n_threads=1)
    parts = OnlineNormal(n_series, left=-0.5, burn_in=20)
    for k in range(0, 120, 20):
        parts.update(x[:, k : k + 20], n_threads=2)
    assert same_bits(whole.mu, parts.mu)
    assert same_bits(whole.sigma, parts.sigma)
    one = OnlineNormal(left=-0.5, burn_in=20)
    one.update(x[7])
    assert one.mu == whole.mu[7]
    assert isinstance(one.mu, float)


def test_what_online_refuses():
    with refused(ValueError, "forgetting must be at least 0"):
        OnlineNormal(forgetting=1.0)
    with refused(TypeError, "forgetting must be a number"):
        OnlineNormal(forgetting="a")
    with refused(ValueError, "burn_in"):
        OnlineNormal(burn_in=1)
    with refused(ValueError, "left of shape (2,)"):
        OnlineNormal(3, left=[0.0, 1.0])
    online = OnlineNormal(3)
    with refused(ValueError, "x of shape (2,) must be of shape (3,)"):
        online.update([1.0, 2.0])
    with refused(ValueError, "x must be finite"):
        online.update([1.0, np.inf, 2.0])
    assert np.isnan(online.mu).all()
    online.update(np.empty((3, 0)))
    assert repr(online) == "<OnlineNormal: 3 series, nobs = 0>"
    limited = OnlineNormal(right=1.0)
    limited.update([np.inf, 0.0, -1.0])
    assert repr(limited) == "<OnlineNormal: nobs = 3>"
    with refused(ValueError, "x must be finite"):
        limited.update(-np.inf)


# ---- of all kinds ----------------------------------------------------------------------------

EMPTY = {
    NormalStats: (np.array([1.0, 2.0, 6.0]),),
    MvnStats: (np.array([[1.0, 0.0], [2.0, 3.0], [6.0, 1.0]]),),
    LinearStats: (np.array([1.0, 2.0, 6.0]), np.array([[1.0, 0.0], [1.0, 3.0], [1.0, 1.0]])),
}


@pytest.mark.parametrize("kind", EMPTY)
def test_merging_what_has_seen_nothing_changes_nothing(kind):
    stats = kind()
    stats.update(*EMPTY[kind])
    before = stats.fit().params
    stats.merge(kind())
    assert stats.shape == ()
    assert same_bits(stats.fit().params, before)


@pytest.mark.parametrize("n_chunks", [64, 65, 128])
def test_as_many_chunks_as_a_level_holds(n_chunks):
    """A level that has just been merged into the next one is empty."""
    x = np.arange(float(n_chunks)) ** 2
    stats = NormalStats()
    for value in x:
        stats.update([value])
    assert stats.fit().mu == pytest.approx(np.mean(x), rel=1e-14)
    assert stats.fit().sigma == pytest.approx(np.std(x), rel=1e-14)
    assert stats.fit().nobs == n_chunks


def test_chunks_whose_weights_sum_up_to_infinity():
    for kind, chunk in EMPTY.items():
        stats = kind()
        stats.update(*chunk, weights=np.full(3, 2.0**1022))
        with refused(ValueError, "weights", "finite", "sum"):
            stats.update(*chunk, weights=np.full(3, 2.0**1022)), stats.fit()


def test_patterns_of_another_table():
    stats = MvnStats(nan_policy="mle")
    stats.update([[1.0, NAN], [2.0, 3.0], [6.0, 1.0]])
    arrays = stats.to_arrays()
    for bad in (arrays["patterns"][0], arrays["patterns"][:, :1]):
        with refused(ValueError, "patterns", "2 columns", "n_dim"):
            MvnStats.from_arrays(arrays | {"patterns": bad})


def test_online_limits_on_either_side_are_mirror_images(rng):
    x = rng.standard_normal((3, 120))
    below, above = OnlineNormal(3, left=-0.5, burn_in=30), OnlineNormal(3, right=0.5, burn_in=30)
    below.update(x)
    above.update(-x)
    assert np.all(below.ready)
    np.testing.assert_allclose(above.mu, -below.mu, 1e-9, 1e-12)
    np.testing.assert_allclose(above.sigma, below.sigma, 1e-9)
    assert np.max(np.abs(below.mu)) < 1.0


@pytest.mark.parametrize("far", [-1e3, 1e3])
def test_online_steps_of_observations_without_information(far):
    """All of the distribution is on one side of the limit: nothing can be learnt, nor spoilt."""
    state = np.zeros((steps.SIZE, 1))
    state[steps.SPREAD] = 2.0
    before = state.copy()
    limits = (-np.inf, far) if far < 0.0 else (far, np.inf)
    with np.errstate(all="ignore"):
        steps._step(far, *limits, 0.1, 0, state)
    assert same_bits(state, before)


@pytest.mark.parametrize(
    ("a", "b"), [(1.7e308, -1.7e308), (1.0, 1e150), (1e250, 1.0), (1e-200, 1.0)]
)
def test_tables_without_a_common_scale(a, b):
    """Gaps between chunks that no number holds, or beside which their spread is nothing."""
    chunks = [np.array([[u, 0.0], [u, 3.0], [0.5 * u, 1.0]]) for u in (a, b)]
    stats = MvnStats()
    for chunk in chunks:
        stats.update(chunk)
    fit = stats.fit()
    unit = Fraction(max(a, b)), Fraction(1)
    for j, column in enumerate(np.concatenate(chunks).T.tolist()):
        values = [Fraction(v) / unit[j] for v in column]
        mean = sum(values) / 6
        variance = float(sum((v - mean) ** 2 for v in values) / 6)
        assert abs(float(Fraction(float(fit.mean[j])) / unit[j] - mean)) < 1e-13
        if float(unit[j]) < 1e150:  # else it is no number
            size = float(unit[j]) ** 2
            assert fit.covariance[j, j] == pytest.approx(variance * size, rel=1e-12, abs=1e-320)


def test_tables_of_tremendous_weights(rng):
    """Estimates know no unit of weight; the log-likelihood is proportional to it."""
    x, w = rng.normal(size=(7, 3)), rng.uniform(0.5, 1.5, 7)
    want = fastnat.fit_mvn(x, weights=w)
    for unit in (2.0**700, 2.0**-700):
        fit = fastnat.fit_mvn(x, weights=unit * w)
        np.testing.assert_allclose(fit.mean, want.mean, 1e-13)
        np.testing.assert_allclose(fit.covariance, want.covariance, 1e-13)
        np.testing.assert_allclose(fit.loglik / unit, want.loglik, 1e-13)
