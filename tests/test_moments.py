"""Statistics: what they promise about hostile data, and their merge."""

from fractions import Fraction

import numpy as np
import pytest
from conftest import COMPILED, scaled

from fastnat._reduce import Use, reduce_columns, reduce_rows
from fastnat.kernels import moments, rows

rng = np.random.default_rng(21)


def reduce_one(x, w=None, limits=None, omit=None, high=True, tally=None):
    """The statistics of one row, as a column; with limits there is a tally, as in fits."""
    stats = np.full((7 if high else 5, 1), 123.0)
    if limits is not None and tally is None:
        tally = np.empty((3, 1))
    ends = np.array([0, len(x)])
    use = Use(limits, omit, True if high else None)
    reduce_rows(np.asarray(x), w, ends, use, 0, stats, tally)
    return stats


def exact(x, w=None):
    """(W, mean, M2, M3, M4) as fractions."""
    w = [1] * len(x) if w is None else w
    x, w = [Fraction(float(v)) for v in x], [Fraction(float(v)) for v in w]
    total = sum(w)
    mean = sum(a * b for a, b in zip(w, x, strict=True)) / total
    powers = [sum(a * (b - mean) ** p for a, b in zip(w, x, strict=True)) for p in (2, 3, 4)]
    return total, mean, *powers


def check(stats, x, w=None, tol=1e-13):
    """Statistics describe x; third moments to `tol` of the scale that M2 and M4 give them."""
    origin, scale, total, mean, *powers = (Fraction(float(v)) for v in stats[:, 0])
    want = exact(x, w)
    sd = float(want[2] / want[0] / scale**2) ** 0.5 * float(scale) if want[2] else 0.0
    assert abs(total - want[0]) <= tol * want[0]
    assert abs(float(origin + scale * mean - want[1])) <= tol * sd
    for p, got, true in zip((2, 3, 4), powers, want[2:], strict=False):
        size = true if p == 2 else float(want[0]) * float(want[4] / want[0] / scale**4) ** (p / 4)
        got = got if p == 2 else float(got)
        true = true / scale**p
        size = true if p == 2 else size
        assert abs(got - true) <= tol * size, (p, float(got), float(true))


ROWS = {
    "ordinary": [1.0, 2.5, 4.0, -3.0, 0.25],
    "offset": [1e9 + 0.1, 1e9 + 0.3, 1e9 + 0.2, 1e9 + 0.4],
    "one ulp": [1.0, 1.0 + 2**-52, 1.0],
    "huge": [1e200, 3e200, -2e200, 1.5e200],
    "tiny": [1e-200, 3e-200, -2e-200, 1.5e-200],
    "largest": [1.7e308, -1.7e308, 1.0, 0.0],
    "smallest": [5e-324, 0.0, 0.0, 1e-323],
    "fourth powers overflow": [1e100, 2e100, -1e100, 4e100],
    "fourth powers underflow": [1e-100, 2e-100, -1e-100, 4e-100],
    "outlier first": [1e12, *np.linspace(-1, 1, 60)],
    "outlier last": [*np.linspace(-1, 1, 60), 1e12],
    "step": [*np.zeros(20), *np.ones(80)],
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("weighted", [False, True])
def test_rows_and_columns_describe_the_data(name, weighted):
    x = np.array(ROWS[name])
    w = rng.integers(1, 4, x.size).astype(float) if weighted else None
    check(reduce_one(x, w), x, w)
    stats = np.empty((7, 3))
    matrix = np.stack([x, x[::-1], x], axis=1).reshape(-1)
    weights = None if w is None else np.stack([w, w[::-1], w], axis=1).reshape(-1)
    sizes = (0, 1, matrix.size, x.size, 3, 3)
    reduce_columns(matrix, weights, sizes, Use(high=True), 0, stats, None)
    for j in range(3):
        check(stats[:, j : j + 1], x, w)


@pytest.mark.parametrize("n", [1, 2, 8, 100, 4096, 4097, 9000])
@pytest.mark.parametrize("value", [0.1, -1e300, 5e-324, 0.0])
def test_m2_is_zero_if_and_only_if_all_are_equal(n, value):
    x = np.full(n, value)
    stats = reduce_one(x)
    assert stats[moments.M2, 0] == 0.0
    assert stats[moments.ORIGIN, 0] + stats[moments.MEAN, 0] == value
    if x.size > 1:
        x[-1] = np.nextafter(value, np.inf)
        assert reduce_one(x)[moments.M2, 0] > 0.0


def test_nan_inf_and_bad_weights_are_named():
    for x, mean in (([1.0, np.nan, np.inf], np.nan), ([1.0, -np.inf, 2.0], np.inf)):
        np.testing.assert_equal(reduce_one(x)[moments.MEAN, 0], mean)
    for bad in (-1.0, np.nan, np.inf):
        stats = reduce_one(np.ones(3), np.array([1.0, bad, 1.0]))
        assert not stats[moments.W, 0] < np.inf
    assert reduce_one(np.array([np.nan, 1.0]), np.zeros(2))[moments.W, 0] == 0.0


def test_limits_select_values_and_nan_is_omitted_or_spoils():
    x = np.array([-5.0, -1.0, 0.0, np.nan, 2.0, 9.0, np.inf])
    check(reduce_one(x[:-1], omit=True), [-5.0, -1.0, 0.0, 2.0, 9.0])
    check(reduce_one(x, limits=np.array([[-1.0], [2.0]]), omit=True), [-1.0, 0.0, 2.0])
    stats = reduce_one(x, limits=np.array([[-1.0], [2.0]]))
    assert stats[moments.W, 0] == 4.0
    assert np.isnan(stats[moments.MEAN, 0])
    # A second look, at a scaled copy, leaves out the same.
    for far in (1e200, 5e307, -1e-200):
        pair = np.array([1.0, 2.0]) * far
        limits = np.array([[-np.inf], [np.abs(far) * 3.0]])
        check(reduce_one(np.array([*pair, np.inf]), limits=limits), pair)
        check(reduce_one(np.array([*pair, np.nan, np.inf]), limits=limits, omit=True), pair)
    # Limits of each problem: rows of equal length are taken together.
    rows = np.tile(x, 9)
    limits = np.stack([np.full(9, -2.0), np.arange(9.0)])
    stats = np.empty((7, 9))
    tally = np.empty((3, 9))
    use = Use(limits, True, True)
    reduce_rows(rows, None, np.arange(10) * x.size, use, 0, stats, tally)
    for j in range(9):
        check(stats[:, j : j + 1], [v for v in x if -2.0 <= v <= j])
    columns = np.repeat(x, 9)
    again = np.empty((7, 9))
    sizes = (0, 1, columns.size, x.size, 9, 9)
    reduce_columns(columns, None, sizes, use, 0, again, tally)
    np.testing.assert_allclose(again[moments.M2], stats[moments.M2], rtol=1e-14)


# Each compiles two kernels, so these have every two of them together, and all three uncompiled.
PAIRS = [(False, False, None), (False, True, True), (True, False, True), (True, True, None)]
OTHERS = [(False, False, True), (False, True, None), (True, False, None), (True, True, True)]


@pytest.mark.parametrize("n", scaled([1, 13, 1100, 5000], [1, 13, 1100, 2100]))
@pytest.mark.parametrize(("high", "weighted", "omit"), scaled(PAIRS, PAIRS + OTHERS))
@pytest.mark.parametrize(("least", "most"), [(-0.5, 0.75), (0.25, -0.25)])
def test_what_is_not_used_is_tallied(n, high, weighted, omit, least, most):
    """Rows and columns: below, above, NaN; what is used is W.

    Limits of a fit that meet leave nothing between them, and cross as limits of what is used.
    """
    x = np.round(4.0 * rng.standard_normal(n)) / 4.0
    x[rng.random(n) < 0.1] = np.nan
    w = rng.integers(0, 4, n).astype(float) if weighted else None
    limits = np.array([[least], [most]])
    weights = np.ones(n) if w is None else w
    nan, below = np.isnan(x), x < least
    above = (x > most) & ~below
    want = [weights[below].sum(), weights[above].sum(), weights[nan].sum() if omit else 0.0]
    used = ~below & ~above & ~(nan & bool(omit))
    tally, again = np.full((3, 1), 5.0), np.full((3, 2), 5.0)
    stats = reduce_one(x, w, limits, omit, high, tally)
    np.testing.assert_array_equal(tally[:, 0], want)
    assert stats[moments.W, 0] == weights[used].sum()
    stats = np.empty((7 if high else 5, 2))
    flat = np.repeat(x, 2)
    both = None if w is None else np.repeat(w, 2)
    sizes = (0, 1, 2 * n, n, 2, 2)
    use = Use(limits, omit, True if high else None)
    reduce_columns(flat, both, sizes, use, 0, stats, again)
    np.testing.assert_array_equal(again, np.repeat(np.array(want)[:, None], 2, axis=1))
    np.testing.assert_array_equal(stats[moments.W], weights[used].sum())


@pytest.mark.parametrize("far", [1e-200, 1e200])
@pytest.mark.parametrize("most", [np.inf, 2.0])
def test_a_second_look_in_pieces(far, most, monkeypatch):
    """A long row, such as that of a group, is looked at again in pieces, which are merged."""
    if not COMPILED:
        monkeypatch.setattr(rows, "SEGMENT", 5)
    n = 7 * rows.SEGMENT // 2
    x = np.resize([1.0, 2.0, -3.0, 4.0, 0.5], n) * far
    w = np.arange(n) % 3 * 0.5
    w[3 * rows.SEGMENT :] = 0.0  # two full pieces without limits, and then one of nothing
    limits = None if most == np.inf else np.array([[-np.inf], [most * far]])
    used = (w > 0.0) & (x <= most * far)
    values, places = np.unique(x[used], return_inverse=True)
    check(reduce_one(x, w, limits), values, np.bincount(places, w[used]), tol=1e-14)


def test_pieces_of_equal_values_find_a_common_unit(monkeypatch):
    """The first two are so close to each other that only the third has one for all."""
    if not COMPILED:
        monkeypatch.setattr(rows, "SEGMENT", 5)
    values, weights = np.array([0.0, 1.0, 3e199, -1e200]), np.array([0.125, 0.125, 2.0, 0.625])
    n = rows.SEGMENT
    check(reduce_one(np.repeat(values, n), np.repeat(weights, n)), values, n * weights, tol=1e-14)


def test_ragged_rows_are_rows():
    """Lengths may differ, and what comes before and after does not matter."""
    lengths = [0, 3, 3, 3, 1, 17, 17, 4096, 4097, 5, 0, 100] + [6] * 11
    ends = np.cumsum([0, *lengths])
    x = rng.standard_normal(ends[-1])
    together = np.empty((5, len(lengths)))
    reduce_rows(x, None, ends, Use(), 0, together, None)
    for b, n in enumerate(lengths):
        alone = reduce_one(x[ends[b] : ends[b] + n], high=False)
        np.testing.assert_array_equal(together[:, b], alone[:, 0])


PARTS = [
    ([1.0, 2.0, 4.0], [10.0, 20.0]),
    ([1e9, 1e9 + 1], [1e9 + 0.5, 1e9 + 3, 1e9 + 2]),
    ([0.0, 0.0], [1e-200]),
    ([5.0, 5.0], [5.0, 5.0, 5.0]),
    ([1e300, -1e300], [1.0, 2.0]),
    ([1.7e308], [-1.7e308]),
    ([1e-300, 2e-300], [3e-300, 3e-300]),
    ([1e-300, 2e-300], [1.0, 3.0]),
    ([5e-324], [0.0]),
    ([], [1.0, 2.0, 5.0]),
    ([1.0, 2.0, 5.0], []),
    ([], []),
]


@pytest.mark.parametrize("parts", PARTS)
def test_merge_is_as_if_never_apart(parts):
    whole = np.array([*parts[0], *parts[1]])
    both = np.concatenate([reduce_one(np.array(part)) for part in parts], axis=1)
    merged = np.empty((7, 1))
    moments.merge_segments(both, 2, 2, 1, True, 0, merged)
    if whole.size:
        check(merged, whole)
        assert (merged[moments.M2, 0] == 0.0) == (len(set(whole)) == 1)
    else:
        assert merged[moments.W, 0] == 0.0


def test_merge_keeps_what_is_wrong():
    good, nan, inf = ([1.0, 2.0], [1.0, np.nan], [np.inf, 2.0])
    cases = {(0, 1): np.nan, (1, 0): np.nan, (0, 2): np.inf, (2, 0): np.inf, (1, 2): np.nan}
    rows = [reduce_one(np.array(row)) for row in (good, nan, inf)]
    for (a, b), mean in cases.items():
        merged = np.empty((7, 1))
        both = np.concatenate([rows[a], rows[b]], axis=1)
        moments.merge_segments(both, 2, 2, 1, True, 0, merged)
        np.testing.assert_equal(merged[moments.MEAN, 0], mean)
        assert np.isnan(merged[moments.M2, 0])
    bad = reduce_one(np.ones(2), np.array([1.0, -1.0]))
    both = np.concatenate([rows[0], bad], axis=1)
    moments.merge_segments(both, 2, 2, 1, True, 0, merged)
    assert np.isnan(merged[moments.W, 0])


@pytest.mark.parametrize("n_segments", [1, 2, 3, 5, 8, 13])
def test_tree_of_segments(n_segments):
    """Any number of segments, in both orders of memory."""
    x = rng.standard_normal((4, n_segments, 10)) + 1e6
    ends = np.arange(4 * n_segments + 1) * 10
    stats = np.empty((7, 4))
    for steps, order in (((n_segments, 1), (0, 1, 2)), ((1, 4), (1, 0, 2))):
        parts = np.empty((7, 4 * n_segments))
        flat = np.ascontiguousarray(x.transpose(order)).reshape(-1)
        reduce_rows(flat, None, ends, Use(high=True), 0, parts, None)
        moments.merge_segments(parts, n_segments, *steps, True, 0, stats)
        for p in range(4):
            check(stats[:, p : p + 1], x[p].reshape(-1), tol=1e-12)


@pytest.mark.parametrize("far", [1e150, 1e-150, 1e250, -1e250])
def test_merges_of_what_has_no_common_scale(far):
    """Beside a gap of 1e150 squares of ordinary numbers are nothing, and the other way round."""
    near = [0.0, 1.0, 3.0]
    for a, b in ((near, [far, 2.0 * far]), ([far, 2.0 * far], near), ([far, far], near)):
        parts, merged = np.hstack([reduce_one(a), reduce_one(b)]), np.empty((7, 1))
        moments.merge_segments(parts, 2, 2, 1, True, 0, merged)
        check(merged, np.array([*a, *b]))
