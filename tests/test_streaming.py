"""Statistics of streams: the fit of chunks is the fit of all, whatever their order."""

import io
from fractions import Fraction
from itertools import chain, pairwise

import numpy as np
import pytest
from conftest import refused, same_bits, scaled
from hypothesis import given
from hypothesis import strategies as st

import fastnat
from fastnat.streaming import NormalStats

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
    x = (100 * rng.standard_normal((4, 30, 5))).astype(dtype)
    for axis in (0, 1, 2, (0, 2), (-1, 0)):
        stats = NormalStats(left=-20.0)
        for half in np.array_split(x, 2, axis=axis if isinstance(axis, int) else axis[0]):
            stats.update(half, axis=axis)
        assert_equal_fits(stats.fit(), fastnat.fit_normal(x, left=-20.0, axis=axis))
    x = x.transpose(2, 0, 1)
    stats = NormalStats(left=np.full((5, 30), -20.0))
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


def test_normal_stats_of_groups(rng):
    n, n_groups = 600, 40
    x, codes = rng.standard_normal(n), rng.integers(0, n_groups, n)
    codes[codes == 7] = 8
    stats = NormalStats(n_groups)
    for span in in_chunks(rng, n, 100):
        stats.update(x[span], groups=codes[span])
    assert_equal_fits(stats.fit(), fastnat.fit_normal(x, groups=codes))
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


def test_statistics_of_nothing():
    for stats in (NormalStats(), NormalStats(()), NormalStats(left=0.0)):
        assert stats.fit().status == fastnat.Status.NO_DATA
        stats.update([])
        assert stats.fit().status == fastnat.Status.NO_DATA
    assert NormalStats((2, 3)).fit().status.shape == (2, 3)
    stats = NormalStats((0, 3))
    stats.update(np.empty((0, 3, 5)))
    assert stats.fit().mu.shape == (0, 3)


def test_what_does_not_go_together(rng):
    x = rng.standard_normal(10)
    for options in ({"left": 0.0}, {"right": 0.0}, {"moments": 4}, {"nan_policy": "omit"}):
        with refused(ValueError, "other was made with", *options):
            NormalStats().merge(NormalStats(**options))
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
    with refused(ValueError, "groups needs statistics without left"):
        NormalStats(3, left=0.0).update(x, groups=np.zeros(10, int))


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


def test_arrays_of_something_else():
    arrays = NormalStats(2).to_arrays()
    for key in arrays:
        with refused(ValueError, f"'{key}' is missing"):
            NormalStats.from_arrays({k: v for k, v in arrays.items() if k != key})
        with refused(ValueError, "arrays["):
            NormalStats.from_arrays(arrays | {key: np.array(["a", "b"], object)})
    with refused(ValueError, "arrays are of version 2"):
        NormalStats.from_arrays(arrays | {"version": np.array(2)})
    with refused(ValueError, "arrays are those of 'MvnStats'"):
        NormalStats.from_arrays(arrays | {"kind": np.array("MvnStats")})
    with refused(ValueError, "arrays['stats'] cannot be"):
        NormalStats.from_arrays(arrays | {"stats": np.zeros((5, 3))})


def test_statistics_say_what_they_are():
    stats = NormalStats(left=0.0)
    assert repr(stats) == "<NormalStats: nobs = 0>"
    stats.update(np.arange(6.0).reshape(2, 3))
    assert repr(stats) == "<NormalStats: 2 problems, nobs = 6>"
