"""Columns of a few rows, weighed and multiplied: against NumPy, of values whose sums are exact."""

from functools import cache

import numba
import numpy as np
import pytest
from numba import njit
from test_lanes import before_guard_page, dyadic

from fastnat.kernels import panels
from fastnat.kernels.aligned import aligned

JIT = not numba.config.DISABLE_JIT
SHAPES = [(0, 1), (1, 1), (3, 2), (7, 3), (9, 4), (16, 5), (33, 8), (40, 9), (21, 17), (80, 26)]
CELL = -3.0  # what is in cells that nobody should touch


@cache  # of what compiles once
def compiled():
    """The intrinsics as Python can call them; ``turn`` with none, one or two predictors."""
    lay, scale = panels.turn, panels.weigh
    if not JIT:
        return lay, scale

    @njit
    def turn(x, start, step, columns, n, coefs, shift, outs, panel, first, ahead, whole):
        lay(x, start, step, columns, n, coefs, shift, outs, panel, first, ahead, whole)

    @njit
    def weigh(panel, first, columns, n, w, by, sums, at, single):
        scale(panel, first, columns, n, w, by, sums, at, single)

    return turn, weigh


def column(panel, j, n, single=False):
    """Element by element, where the module says that they are."""
    if single:
        numbers = panel.view(np.float32)
        return np.array([numbers[i // 16 * 2, 16 * j + i % 16] for i in range(n)])
    return np.array([panel[i // 8, 8 * j + i % 8] for i in range(n)])


def new_panel(columns, rows=panels.ROWS):
    panel = panels.new_panel(columns, rows)
    panel[:] = np.nan
    return panel


def filled(values, single=None):
    """A panel with these columns, and NaN wherever there is none.

    single : whether in single precision, and with zeros up to the next multiple of 16, as tiles
        want them; None: not for tiles.
    """
    p, n = values.shape
    panel = new_panel(p)
    for i in range(n if single is None else -(-n // 16) * 16):
        column = values[:, i] if i < n else np.zeros(p)
        if single:
            panel.view(np.float32)[i // 16 * 2, i % 16 : 16 * p : 16] = column
        else:
            panel[i // 8, i % 8 : 8 * p : 8] = column
    return panel


def coefficients(p, count):
    return tuple(dyadic(p) for _ in range(count))


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_columns_and_what_they_predict(n, p, count):
    """Of a matrix whose rows are a part of longer ones; coefficients end where the columns do."""
    turn, _ = compiled()
    step, start, top = p + 2, 3, 1
    x, coefs = dyadic(n * step + start + 1), coefficients(p, count)
    rows = np.array([x[start + i * step :][:p] for i in range(n)]).reshape(n, p)
    panel = new_panel(top + p)
    panel[:] = 7.0
    outs = tuple(np.full(-(-n // 8) * 8 + 1, 7.0) for _ in coefs)
    turn(x, start, step, p, n, coefs, 0.5, outs, panel, top, 0, None)
    for coef, out in zip(coefs, outs, strict=True):
        np.testing.assert_array_equal(out[:n], 0.5 + rows @ coef)
        assert out[-1] == 7.0
    for j in range(p):
        np.testing.assert_array_equal(column(panel, top + j, n), rows[:, j])
    end = top + -(-p // 4) * 4
    for j in range(top + p, end):
        np.testing.assert_array_equal(column(panel, j, n), 0.0)
    assert np.all(panel[:, :8] == 7.0)
    assert np.all(panel[:, 8 * end :] == 7.0)
    assert np.all(panel[-(-n // 8) :] == 7.0)


@pytest.mark.parametrize("whole", [None, True])
@pytest.mark.parametrize(("n", "p"), SHAPES[1:])
def test_nothing_is_read_beyond_the_end_of_a_matrix(n, p, whole):
    """But asked for it may be."""
    turn, _ = compiled()
    n = min(n, 512 // p)  # a page
    x, memory = before_guard_page(n * p, np.float64)
    x[:] = 1.0
    panel, out = new_panel(p), np.zeros(n + 8)
    turn(x, 0, p, p, n, (np.ones(p),), 0.0, (out,), panel, 0, n * p, whole)
    assert np.all(out[:n] == p)
    assert np.all(column(panel, p - 1, n) == 1.0)
    del x
    assert not memory.closed


@pytest.mark.skipif(not JIT, reason="needs machine code")
def test_predictors_do_not_depend_on_how_rows_are_aligned(rng):
    turn, _ = compiled()
    x, coef = rng.normal(size=40 * 11), rng.normal(size=11)
    found = set()
    for shift in range(4):
        moved = np.concatenate([rng.normal(size=shift), x, rng.normal(size=20)])
        out = np.zeros(40)
        turn(moved, shift, 11, 11, 40, (coef,), 0.0, (out,), new_panel(11), 0, 0, None)
        found.add(out.tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_columns_are_weighed_and_summed(n, p, single):
    """What is beyond the rows is in no sum, whatever it is, and becomes 0."""
    _, weigh = compiled()
    values = dyadic((p + 2) * n).reshape(p + 2, n)
    panel, sums = filled(values), np.full(8 * p + 16, CELL)
    w, by = (np.append(dyadic(n), np.full(16, np.nan)) for _ in range(2))
    sums[8:-8] = 0.0
    for _ in range(2):  # of the second one sums are added to those of the first
        panel = filled(values)
        weigh(panel, 1, p, n, w, by, sums, 8, single)
    for j in range(p + 2):
        weighed = 1 <= j <= p
        found = column(panel, j, n, single and weighed)
        np.testing.assert_array_equal(found, (w[:n] if weighed else 1.0) * values[j])
        if weighed:
            beyond = column(panel, j, -(-n // 16) * 16, single)[n:]
            np.testing.assert_array_equal(beyond, 0.0)
    out = np.ones(p)
    panels.take_sums(sums, 8, p, out)
    np.testing.assert_array_equal(out, 1.0 + 2.0 * values[1:-1] @ by[:n])
    assert np.all(sums[8:-8] == 0.0)
    assert np.all(sums[:8] == CELL)
    assert np.all(sums[-8:] == CELL)


def test_what_single_precision_cannot_hold_is_infinite_or_0():
    _, weigh = compiled()
    values = np.array([[1e300, -1e39, 1e-60, 1.0 + 2.0**-30, 3.0]])
    panel, one = filled(values), np.ones(16)
    weigh(panel, 0, 1, 5, one, one, np.zeros(8), 0, True)
    np.testing.assert_array_equal(column(panel, 0, 5, True), [np.inf, -np.inf, 0.0, 1.0, 3.0])


def cells_for(n_tiles):
    cells = np.zeros((n_tiles + 2) * panels.CELLS)
    cells[: panels.CELLS] = cells[-panels.CELLS :] = CELL
    return cells


def check_cells(cells):
    """They are 0 again, and none beyond has changed."""
    assert np.all(cells[: panels.CELLS] == CELL)
    assert np.all(cells[-panels.CELLS :] == CELL)
    assert np.all(cells[panels.CELLS : -panels.CELLS] == 0.0)


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("first", [0, 3])
@pytest.mark.parametrize("n", [0, 1, 7, 8, 15, 16, 40, 53])
@pytest.mark.parametrize("p", [1, 2, 3, 4, 5, 6, 9, 12, 26])
def test_squares_equal_numpy(p, n, first, single):
    every = dyadic((first + p) * n).reshape(first + p, n)
    values = every[first:]
    panel, cells = filled(every, single), cells_for(panels.squares_tiles(p))
    out, at = np.ones((p, p)), panels.CELLS
    for _ in range(2):
        panels.add_squares(panel, first, p, n, single, cells, at, cells, 0, 0)
    panels.take_squares(cells, at, p, out)
    check_cells(cells)
    np.testing.assert_array_equal(out, 1.0 + 2.0 * values @ values.T)


def test_sums_of_pieces_are_doubles():
    """What one piece loses is not lost again by adding it to others."""
    values = filled(np.ones((1, 16)), True)
    cells, out = np.zeros(panels.CELLS), np.zeros((1, 1))
    cells[0] = 2.0**30
    panels.add_squares(values, 0, 1, 16, True, cells, 0, cells, 0, 0)
    panels.take_squares(cells, 0, 1, out)
    assert out[0, 0] == 2.0**30 + 16.0  # no number of single precision


@pytest.mark.parametrize("n", [5, 80])
def test_single_precision_rounds_no_more_than_it_must(n, rng):
    _, weigh = compiled()
    values = rng.normal(size=(7, n))
    panel, one = filled(values), np.ones(n + 16)
    cells, out = np.zeros(panels.CELLS * panels.squares_tiles(7)), np.zeros((7, 7))
    weigh(panel, 0, 7, n, one, one, np.zeros(56), 0, True)
    panels.add_squares(panel, 0, 7, n, True, cells, 0, cells, 0, 0)
    panels.take_squares(cells, 0, 7, out)
    # Each factor once, each product and sum of a lane, and four levels of sums over lanes.
    most = (3.0 + n / 16.0 + 4.0) * 2.0**-24 * (abs(values) @ abs(values.T))
    assert np.all(abs(out - values @ values.T) <= most)
    assert np.any(out != values @ values.T)


@pytest.mark.parametrize("n", [0, 1, 8, 21])
def test_a_column_becomes_a_row(n):
    values = dyadic(3 * n).reshape(3, n)
    panel, row = filled(values), np.full(n + 8, 7.0)
    panels.take_column(panel, 1, n, row)
    np.testing.assert_array_equal(row[:n], values[1])
    assert np.all(row[-(-n // 8) * 8 :] == 7.0)


@pytest.mark.parametrize("n", [0, 1, 8, 21])
def test_a_row_becomes_a_column(n):
    values, rows = dyadic(3 * n).reshape(3, n), np.zeros((3, n + 8))
    panel, row = filled(values), dyadic(n + 8)[::-1].copy()
    panels.put_column(row, n, panel, 1)
    for j in range(3):
        panels.take_column(panel, j, n, rows[j])
    values[1] = row[:n]
    np.testing.assert_array_equal(rows[:, :n], values)


@pytest.mark.parametrize("columns", [1, 2, 24, 25, 60])
def test_groups_begin_with_different_lines(columns):
    """Else those of one column would all be in the same few places of the cache."""
    panel = panels.new_panel(columns, 40)
    assert panel.shape[0] == 6  # pairs of groups
    assert panel.shape[1] // 8 % 2 == 1
    assert panel.shape[1] >= 8 * (columns + 3)
    assert aligned(1, 8).ctypes.data % 64 == panel.ctypes.data % 64 == 0
