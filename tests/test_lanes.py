"""The lane reductions: compiled against their Python twin and against plain sums."""

import ctypes
import ctypes.util
import mmap
from functools import cache
from itertools import product

import numba
import numpy as np
import pytest
from numba import njit

from fastnat.kernels import _llvm_rows, deviations, lanes, tables

rng = np.random.default_rng(20)

JIT = not numba.config.DISABLE_JIT
FLAGS = [None, True]


def dyadic(*shape):
    """Values whose products and sums are exact, so that fused and separate rounding agree."""
    return rng.integers(-64, 64, shape).astype(float) / 8


@cache  # of what compiles for each kind of arguments
def compiled(sums):
    """The reduction as Python can call it."""
    if not JIT:
        return sums

    @njit
    def rows(arrays, start, stride, n, last, consts, flags, out, top, column):
        sums(arrays, start, stride, n, last, consts, flags, out, top, column)

    @njit
    def columns(arrays, start, stride, rows, width, consts, flags, out, top):
        sums(arrays, start, stride, rows, width, consts, flags, out, top)

    return lambda *args: (rows if len(args) == 10 else columns)(*args)


def twin(sums):
    return sums.twin if JIT else sums


def many_sums(lanes, values, *_):
    return [lanes.mul(values[0], lanes.constant(float(2**k))) for k in range(7)]


@pytest.mark.skipif(not JIT, reason="needs machine code")
@pytest.mark.parametrize("most", [5, 1000])
def test_sums_are_the_same_whatever_registers_hold(most, monkeypatch):
    """Where they are few, rows and sums are taken in parts."""
    monkeypatch.setattr(_llvm_rows, "in_registers", lambda _: most)
    sums = lanes.row_sums(many_sums, 0, rows=8, unroll=1, prefetch=True)
    x, none, out = dyadic(8 * 21), np.zeros((0, 8)), np.full((8, 9), 3.0)
    compiled(sums)((x,), 0, 21, 21, 6, none, (), out, 1, 0)
    rows = x.reshape(8, 21).sum(axis=1)
    rows[7] = rows[6]
    np.testing.assert_array_equal(out[1:, :8], 2.0 ** np.arange(7)[:, None] * rows)
    assert np.all(out[0] == 3.0)
    assert np.all(out[:, 8] == 3.0)


def constants(columns):
    consts = np.zeros((deviations.N_CONSTS, columns))
    consts[deviations.SHIFT] = np.arange(columns) / 4
    consts[deviations.RUNNING] = 0.5
    consts[deviations.LOWER] = -6.0
    consts[deviations.UPPER] = 7.0
    return consts


def used_terms(x, w, consts, limited, omit, high):
    """What the body `_centred` adds up, for one problem, in plain NumPy."""
    used = np.ones(x.shape, bool) if w is None else w > 0
    if limited:
        used &= ~(x < consts[2]) & ~(x > consts[3])
    if omit:
        used &= x == x
    d = np.where(used, x - consts[0] - consts[1], 0)
    wd = d if w is None else np.where(used, w, 0) * d
    all_ones = w is None and not limited and not omit
    sums = [] if all_ones else [np.where(used, 1 if w is None else w, 0).sum()]
    sums += [wd.sum(), (wd * d).sum()]
    sums += [(wd * d**2).sum(), (wd * d**3).sum()] if high else []
    if limited and w is None:
        sums += [(~(x < consts[2])).sum(), (x == x).sum()][: 2 if omit else 1]
    elif limited:  # and the weight of what they leave out
        weight = np.maximum(w, 0)
        sums += [weight[x < consts[2]].sum(), weight[x > consts[3]].sum()]
        sums += [weight[x != x].sum()] if omit else []
    return sums


def choices(n):
    """Whether each of n things is so: all combinations; compiled, which takes time, half of them,
    among which any n - 1 are in all of theirs.
    """
    every = product(FLAGS, repeat=n)
    return [flags for flags in every if not JIT or flags.count(True) % 2 == 0]


@pytest.mark.parametrize(("weighted", "limited", "omit", "high", "single"), choices(5))
def test_rows_equal_twin_and_plain_sums(weighted, limited, omit, high, single):
    """Eight rows at a time and one row in four vectors, for every length of the tail."""
    dtype = np.float32 if single else np.float64
    for sums, rows in ((deviations.centred_rows, 8), (deviations.centred_row, 1)):
        run = compiled(sums)
        for n in (0, 1, 7, 8, 9, 16, 31, 32, 33, 75):
            x = dyadic(rows * n).astype(dtype)
            x[::5] = np.nan if omit else 0.0
            w = rng.integers(0, 3, rows * n).astype(float) if weighted else None
            consts = constants(8)
            out, expected = np.full((9, 8), 7.0), np.full((9, 8), 7.0)
            flags = (limited, omit, high, True, limited)
            run((x, w), 0, n, n, rows - 1, consts, flags, out, 1, 0)
            twin(sums)((x, w), 0, n, n, rows - 1, consts, flags, expected, 1, 0)
            np.testing.assert_array_equal(out, expected)
            assert np.all(out[0] == 7.0), "the rows of the output above `top` are not touched"
            for r in range(rows):
                row = slice(r * n, (r + 1) * n)
                plain = used_terms(
                    x[row].astype(float),
                    None if w is None else w[row],
                    consts[:, r],
                    limited,
                    omit,
                    high,
                )
                np.testing.assert_array_equal(out[1 : 1 + len(plain), r], plain)


@pytest.mark.parametrize(("weighted", "limited", "omit", "high"), choices(4))
def test_columns_equal_twin_and_plain_sums(weighted, limited, omit, high):
    run = compiled(deviations.centred_columns)
    for rows in (1, 3, 8):
        for width in (1, 7, 8, 9, 17):
            x = dyadic(3 + rows * 20)
            x[::5] = np.nan if omit else 0.0
            w = rng.integers(0, 3, x.size).astype(float) if weighted else None
            consts = constants(24)
            out = np.zeros((9, 24))
            expected = out.copy()
            flags = (limited, omit, high, True, limited)
            call = ((x, w), 3, 20, rows, width, consts, flags)
            run(*call, out, 1)
            twin(deviations.centred_columns)(*call, expected, 1)
            np.testing.assert_array_equal(out[:, :width], expected[:, :width])
            for j in range(width):
                column = slice(3 + j, 3 + j + (rows - 1) * 20 + 1, 20)
                plain = used_terms(
                    x[column], None if w is None else w[column], consts[:, j], limited, omit, high
                )
                np.testing.assert_array_equal(out[1 : 1 + len(plain), j], plain)


def test_order_of_summation_does_not_depend_on_rows_taken_together():
    """A row gives the same bits in each of the eight places, and alone."""
    run = compiled(deviations.total_of_rows)
    consts = np.zeros((4, 8))
    for n in (5, 40, 77):
        row = rng.standard_normal(n)
        together, alone = np.empty((1, 8)), np.empty((1, 8))
        run((np.tile(row, 8), None), 0, n, n, 7, consts, (None,) * 5, together, 0, 0)
        run((row, None), 0, n, n, 0, consts, (None,) * 5, alone, 0, 0)
        assert len(set(together[0])) == 1
        assert together[0, 0] == alone[0, 0]


def test_bad_weights_poison_the_total():
    run = compiled(deviations.total_of_row)
    for bad in (-1.0, np.nan, np.inf, -np.inf):
        for value in (1.0, np.nan):  # also where the limits leave the value out
            x, w = np.ones(11), np.ones(11)
            x[9], w[9] = value, bad
            out, consts = np.empty((2, 8)), np.zeros((4, 8))
            consts[deviations.UPPER] = 2.0
            run((x, w), 0, 0, 11, 0, consts, (True, None, None, None, None), out, 0, 0)
            assert np.isnan(out[0, 0])


def test_arrays_that_are_not_contiguous_are_refused():
    if not JIT:
        return  # only the compiled form has types
    run = compiled(deviations.total_of_row)
    x = np.ones((4, 2))[:, 0]
    with pytest.raises(numba.TypingError, match="lanes read C-contiguous arrays"):
        run(
            (x, None),
            0,
            0,
            4,
            0,
            np.zeros((4, 8)),
            (None,) * 5,
            np.empty((2, 8)),
            0,
            0,
        )


def before_guard_page(n, dtype):
    """An array of n elements whose end is the end of the memory that may be read."""
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 2 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    assert libc.mprotect(address + page, page, 0) == 0  # PROT_NONE
    array = np.frombuffer(memory, dtype, n, page - n * np.dtype(dtype).itemsize)
    return array, memory


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_nothing_is_read_beyond_the_end(dtype):
    """Bounds checks do not see vector loads; a page that cannot be read does."""
    rows, row = compiled(deviations.centred_rows), compiled(deviations.centred_row)
    columns = compiled(deviations.centred_columns)
    for n in (1, 5, 8, 13, 35):
        x, memory = before_guard_page(8 * n, dtype)
        x[:] = 1.0
        out = np.zeros((5, 8))
        rows((x, None), 0, n, n, 7, np.zeros((4, 8)), (None, None, None, True, None), out, 0, 0)
        assert np.all(out[:2] == n)
        row((x, None), 0, 0, 8 * n, 0, np.zeros((4, 8)), (None, None, None, True, None), out, 0, 0)
        assert out[0, 0] == 8 * n
        out = np.zeros((5, 40))
        flags = (None, None, None, True, None)
        columns((x, None), 0, n, 8, n, np.zeros((4, 40)), flags, out, 0)
        assert np.all(out[:2, :n] == 8)
        del x
        assert not memory.closed  # it has lived until here


# ---- tables ----------------------------------------------------------------------------------


@cache
def compiled_for_tables():
    """`tables._small_table` and `lanes.centre_transposed` as Python can call them."""
    small, transposed = tables._small_table, lanes.centre_transposed
    if not JIT:
        return small, transposed

    @njit
    def sums(x, w, start, n, like, consts, out, top):
        small(x, w, start, n, like, consts, out, top)

    @njit
    def centre(x, start, n, d, consts, out):
        transposed(x, start, n, d, consts, out)

    return sums, centre


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_tables_equal_twin_and_plain_sums(weighted, d):
    sums, _ = compiled_for_tables()
    for n in (0, 1, 7, 8, 9, 31, 32, 33, 75):
        x, start = dyadic((n + 3) * d), 2
        w = rng.integers(0, 3, n + 3).astype(float) if weighted else None
        consts = np.stack([np.arange(8) / 4, np.full(8, 0.5)])
        size = 2 + d + d * (d + 1) // 2
        out, expected = np.full(size, 7.0), np.full(size, 7.0)
        arguments = (x, w, start, n, (0.0,) * d, consts)
        sums(*arguments, out, 1)
        twin(tables._small_table)(*arguments, expected, 1)
        np.testing.assert_array_equal(out, expected)
        rows = x.reshape(-1, d)[start : start + n] - consts[:, :d].sum(axis=0)
        factors = np.ones(n) if w is None else w[start : start + n]
        weighed = rows * factors[:, None]
        plain = [*weighed.sum(axis=0), *(weighed.T @ rows)[np.tril_indices(d)]]
        plain = [*([] if w is None else [factors.sum()]), *plain]
        np.testing.assert_array_equal(out[: 2 + len(plain) - 1], [7.0, *plain])


@pytest.mark.parametrize("d", [7, 8, 9, 17])
def test_transposed_tables(d):
    _, centre = compiled_for_tables()
    for n in (1, 7, 8, 9, 20):
        x = dyadic((n + 3) * d)
        consts = np.stack([np.arange(24) / 4, np.full(24, 0.5)])
        out = np.full((24, 32), 7.0)
        centre(x, 2, n, d, consts, out)
        want = x.reshape(-1, d)[2 : 2 + n] - consts[:, :d].sum(axis=0)
        np.testing.assert_array_equal(out[:d, :n], want.T)
        assert np.all(out[-(-d // 8) * 8 :] == 7.0)
        assert np.all(out[:, -(-n // 8) * 8 :] == 7.0)


def test_nothing_is_read_beyond_the_end_of_a_table():
    sums, centre = compiled_for_tables()
    for n, d in ((1, 2), (5, 5), (8, 3), (13, 1), (9, 5)):
        x, memory = before_guard_page(n * d, np.float64)
        w, other = before_guard_page(n, np.float64)
        x[:], w[:] = 1.0, 1.0
        for weights in (None, w):
            out = np.zeros(30)
            sums(x, weights, 0, n, (0.0,) * d, np.zeros((2, 8)), out, 0)
            assert out[0] == n
        out = np.zeros((8, 16))
        centre(x, 0, n, d, np.zeros((2, 8)), out)
        assert np.all(out[:d, :n] == 1.0)
        del x, w
        assert not memory.closed
        assert not other.closed


def test_width_is_eight():
    assert lanes.WIDTH == 8
