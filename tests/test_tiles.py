"""Sums over rows in register tiles, against NumPy, of values whose sums are exact in any order."""

import numpy as np
import pytest
from test_lanes import dyadic

from fastnat.kernels import tiles

SIZES = [(1, 1), (2, 3), (3, 4), (4, 5), (5, 2), (7, 9), (8, 8), (12, 1)]
CELL = -3.0  # what is in cells that nobody should touch


def table(rows, n, beyond=5):
    """Rows that are longer than ``n``; what is beyond is NaN."""
    out = np.full((rows, n + beyond), np.nan)
    out[:, :n] = dyadic(rows * n).reshape(rows, n)
    return out


def cells_for(n_tiles):
    cells = tiles.new_cells(n_tiles + 2)
    cells[: tiles.CELLS] = cells[-tiles.CELLS :] = CELL
    return cells


def check_cells(cells):
    """They are 0 again, and none beyond has changed."""
    assert np.all(cells[: tiles.CELLS] == CELL)
    assert np.all(cells[-tiles.CELLS :] == CELL)
    assert np.all(cells[tiles.CELLS : -tiles.CELLS] == 0.0)


def weights_of(kind, n):
    """(weights, kind of them, what they are for NumPy)."""
    if kind == "none":
        return None, tiles.SIGNED, np.ones(n)
    w = np.append(dyadic(n), np.nan)
    if kind == "signed":
        return w, tiles.SIGNED, w[:n]
    w = np.abs(w)
    w[: n // 2 : 2] = 0.0
    return w, tiles.CHECKED, w[:n]


@pytest.mark.parametrize("kind", ["none", "signed", "checked"])
@pytest.mark.parametrize("n", [0, 1, 7, 8, 40, 53])
@pytest.mark.parametrize(("p", "q"), SIZES)
def test_sums_equal_numpy(p, q, n, kind):
    first, second, end = 2, 2 + q, 2 + q + -(-p // 4) * 4
    rows = table(end, n)
    w, flags, factor = weights_of(kind, n)
    values = rows[:, :n].copy()
    if kind == "checked":  # an observation of weight 0 is not looked at
        rows[:, :n][:, factor == 0.0] = np.nan
    a, b, at = values[first:second], values[second : second + p], tiles.CELLS
    cells, out = cells_for(tiles.totals_tiles(q)), np.ones(q)
    for _ in range(2):
        tiles.add_totals(rows, first, q, w, n, flags, cells, at)
    tiles.take_totals(cells, at, q, out)
    np.testing.assert_array_equal(out, 1.0 + 2.0 * a @ factor)
    check_cells(cells)
    cells = cells_for(tiles.moments_tiles(q))
    totals, out = np.ones(q), np.ones((q, q))
    for _ in range(2):
        tiles.add_moments(rows, first, q, w, n, flags, cells, at)
    tiles.take_moments(cells, at, q, totals, out)
    np.testing.assert_array_equal(totals, 1.0 + 2.0 * a @ factor)
    np.testing.assert_array_equal(out, 1.0 + 2.0 * (a * factor) @ a.T)
    check_cells(cells)
    cells = cells_for(tiles.products_tiles(q, p))
    out = np.ones((q, p))
    for _ in range(2):
        tiles.add_products(rows, first, q, second, p, w, n, flags, cells, at)
    tiles.take_products(cells, at, q, p, out)
    np.testing.assert_array_equal(out, 1.0 + 2.0 * (a * factor) @ b.T)
    check_cells(cells)


@pytest.mark.parametrize("n", [0, 1, 8, 31, 100])
def test_a_total_leaves_its_cells_as_they_were(n):
    row, cells = np.append(dyadic(n), np.nan), tiles.new_cells(1)
    assert tiles.total(row, n, cells) == row[:n].sum()
    assert np.all(cells == 0.0)
