"""Sums of products over rows where they lie: against NumPy, the Python twin, and guard pages."""

from functools import cache

import numba
import numpy as np
import pytest
from numba import njit
from test_lanes import before_guard_page, dyadic

from fastnat.kernels import products

JIT = not numba.config.DISABLE_JIT
SHAPES = [(0, 1), (1, 1), (3, 2), (7, 3), (9, 5), (16, 7), (33, 8), (40, 9), (21, 17), (30, 26)]
SHAPES += [(12, 50)]


@cache  # of what compiles once
def compiled():
    """The sums as Python can call them."""
    squares, row, both, fit, lay = (
        products.add_squares,
        products.add_row,
        products.add_squares_and_row,
        products.predict,
        products.turn,
    )
    if not JIT:
        return squares, row, both, fit, lay

    @njit
    def add_squares(x, start, p, w, n, out, at):
        squares(x, start, p, w, n, out, at)

    @njit
    def add_row(y, x, start, p, w, n, out, at):
        row(y, x, start, p, w, n, out, at)

    @njit
    def add_squares_and_row(y, x, start, p, w, n, out, at):
        both(y, x, start, p, w, n, out, at)

    @njit
    def predict(x, start, step, columns, n, coef, shift, out):
        fit(x, start, step, columns, n, coef, shift, out)

    @njit
    def turn(x, start, step, columns, n, coef, shift, out, panel, top):
        lay(x, start, step, columns, n, coef, shift, out, panel, top)

    return add_squares, add_row, add_squares_and_row, predict, turn


def rows_of(flat, start, n, p):
    return flat[start : start + n * p].reshape(n, p)


@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_sums_equal_numpy(n, p):
    """Of values whose products and sums are exact."""
    add_squares, add_row, add_both, predict, _ = compiled()
    width = -(-p // 8) * 8
    x, w, start = dyadic(n * p + 5), dyadic(n), 3
    rows = rows_of(x, start, n, p)
    out = np.full((p + 1) * width, 2.0)
    add_squares(x, start, p, w, n, out, width)
    assert np.all(out[:width] == 2.0)
    lower = np.tril_indices(p)
    sums = out[width:].reshape(p, width)[:, :p]
    np.testing.assert_array_equal(sums[lower], (2.0 + (w * rows.T) @ rows)[lower])
    out = np.zeros(width)
    add_row(w, x, start, p, None, n, out, 0)
    np.testing.assert_array_equal(out[:p], w @ rows)
    y, both = dyadic(n + 3)[3:], np.full((p + 1) * width, 2.0)
    add_both(y, x, start, p, w, n, both, 0)
    np.testing.assert_array_equal(both[: p * width].reshape(p, width)[:, :p][lower], sums[lower])
    np.testing.assert_array_equal(both[p * width :][:p], 2.0 + y * w @ rows)
    coef, fit = dyadic(p), np.full(-(-n // 8) * 8 + 1, 7.0)
    predict(x, start, p, p, n, coef, 0.5, fit)
    np.testing.assert_array_equal(fit[:n], 0.5 + rows @ coef)
    assert fit[-1] == 7.0


@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_columns_and_what_they_predict(n, p):
    """Of a matrix whose rows are a part of longer ones; coefficients end where the columns do."""
    *_, turn = compiled()
    step, start, top = p + 2, 3, 1
    x, coef = dyadic(n * step + start + 1), dyadic(p)
    rows = np.array([x[start + i * step :][:p] for i in range(n)]).reshape(n, p)
    panel = np.full((top + p + products.ROOM, -(-n // 8) * 8 + 8), 7.0)
    out = np.full(-(-n // 8) * 8 + 1, 7.0)
    turn(x, start, step, p, n, coef, 0.5, out, panel, top)
    np.testing.assert_array_equal(panel[top : top + p, :n], rows.T)
    np.testing.assert_array_equal(out[:n], 0.5 + rows @ coef)
    end = top + -(-p // 8) * 8
    assert np.all(panel[top + p : end, :n] == 0.0)
    assert np.all(panel[end:] == 7.0)
    assert np.all(panel[0] == 7.0)
    assert np.all(panel[:, -8:] == 7.0)
    assert out[-1] == 7.0


def test_a_row_that_is_nan_stays_in_its_row():
    """Rows that come next are not read into sums that they do not belong to."""
    add_squares, add_row, add_both, predict, _ = compiled()
    p, n = 5, 3
    x = np.full(5 * p, np.nan)
    x[p : (n + 1) * p] = dyadic(n * p)
    rows, ones = rows_of(x, p, n, p), np.ones(n)
    out, fit, grad = np.zeros(p * 8), np.zeros(8), np.zeros(8)
    add_squares(x, p, p, ones, n, out, 0)
    add_row(ones, x, p, p, None, n, grad, 0)
    both = np.zeros((p + 1) * 8)
    add_both(ones, x, p, p, None, n, both, 0)
    predict(x, p, p, p, n, np.ones(p), 0.0, fit)
    lower = np.tril_indices(p)
    np.testing.assert_array_equal(out.reshape(p, 8)[:, :p][lower], (rows.T @ rows)[lower])
    np.testing.assert_array_equal(grad[:p], rows.sum(axis=0))
    np.testing.assert_array_equal(both.reshape(p + 1, 8)[:p, :p][lower], (rows.T @ rows)[lower])
    np.testing.assert_array_equal(both[p * 8 :][:p], grad[:p])
    np.testing.assert_array_equal(fit[:n], rows.sum(axis=1))


@pytest.mark.parametrize(("n", "p"), SHAPES[1:])
def test_nothing_is_read_beyond_the_end_of_a_matrix(n, p):
    add_squares, add_row, add_both, predict, turn = compiled()
    n = min(n, 512 // p)  # a page
    x, memory = before_guard_page(n * p, np.float64)
    w, other = before_guard_page(n, np.float64)
    x[:], w[:] = 1.0, 1.0
    width = -(-p // 8) * 8
    out, coef, fit = np.zeros(p * width), np.ones(p), np.zeros(n + 8)
    add_squares(x, 0, p, w, n, out, 0)
    assert out[0] == n
    add_row(w, x, 0, p, w, n, out, 0)
    add_both(w, x, 0, p, w, n, np.zeros((p + 1) * width), 0)
    predict(x, 0, p, p, n, coef, 0.0, fit)
    assert np.all(fit[:n] == p)
    panel, fit = np.zeros((p + products.ROOM, n + 8)), np.zeros(n + 8)
    turn(x, 0, p, p, n, coef, 0.0, fit, panel, 0)
    assert np.all(panel[:p, :n] == 1.0)
    assert np.all(fit[:n] == p)
    del x, w
    assert not memory.closed
    assert not other.closed


@pytest.mark.skipif(not JIT, reason="needs machine code")
def test_sums_do_not_depend_on_how_rows_are_aligned(rng):
    """Bit for bit, at any place in memory and beside any neighbours."""
    add_squares, _, add_both, predict, turn = compiled()
    x, w, coef = rng.normal(size=40 * 11), rng.random(40), rng.normal(size=11)
    outs, boths, fits, turns = [], [], [], []
    for shift in range(4):
        moved = np.concatenate([rng.normal(size=shift), x, rng.normal(size=20)])
        out, fit = np.zeros(11 * 16), np.zeros(40)
        add_squares(moved, shift, 11, w, 40, out, 0)
        both = np.zeros(8 * 8 + 8)
        add_both(w, moved, shift, 8, w, 40, both, 0)
        boths.append(np.append(np.tril(both[:64].reshape(8, 8)), both[64:]).tobytes())
        predict(moved, shift, 11, 11, 40, coef, 0.0, fit)
        panel, turned = np.zeros((11 + products.ROOM, 40)), np.zeros(40)
        turn(moved, shift, 11, 11, 40, coef, 0.0, turned, panel, 0)
        np.testing.assert_array_equal(panel[:11], x.reshape(40, 11).T)
        turns.append(turned.tobytes())
        outs.append(np.tril(out.reshape(11, 16)[:, :11]).tobytes())
        fits.append(fit.tobytes())
    assert len(set(outs)) == len(set(boths)) == len(set(fits)) == len(set(turns)) == 1


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "p"), [*SHAPES, (41, 4), (42, 6), (43, 8), (519, 5)])
def test_sums_found_together_are_those_found_apart(n, p, weighted, rng):
    """Bit for bit: what a response has with a design does not depend on who else asks for it."""
    add_squares, add_row, add_both, _, _ = compiled()
    x, y, w = rng.normal(size=n * p), rng.normal(size=n), rng.random(n) if weighted else None
    width = -(-p // 8) * 8
    both, squares, row = np.zeros((p + 1) * width), np.zeros(p * width), np.zeros(width)
    add_both(y, x, 0, p, w, n, both, 0)
    add_squares(x, 0, p, w, n, squares, 0)
    add_row(y, x, 0, p, w, n, row, 0)
    lower = np.tril_indices(p)
    parts = (sums.reshape(p, width)[:, :p][lower] for sums in (both[: p * width], squares))
    np.testing.assert_array_equal(*parts)
    np.testing.assert_array_equal(both[p * width :][:p], row[:p])
