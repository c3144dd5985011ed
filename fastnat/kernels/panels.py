"""Columns of a few rows of a matrix, and sums of their products, in register tiles.

A *panel* is (groups, width): eight rows are a group, and of a group all columns lie one after the
other, as vectors of eight: element (i, j) is ``panel[i // 8, 8 * j + i % 8]``.  So what is known of
a few rows is in few lines of the first-level cache, and in few pages.

Sums are added to *cells*, a flat array, until somebody takes them.
"""

from typing import Any

import numpy as np

from fastnat.kernels._jit import helper, with_twin
from fastnat.kernels._llvm import call_of, check_types
from fastnat.kernels._llvm_panels import emit_tile, emit_turn, emit_weigh
from fastnat.kernels._numpy_lanes import WIDTH, Shape, sums_of_row
from fastnat.kernels.aligned import aligned_rows

ROWS = 96
"""Rows that are multiplied at a time: thirty columns of them are in the first-level cache."""

TILE = 5
CELLS = 32
"""Cells of a tile, of which 25 are sums."""

_ROOM = 4  # columns beyond those that are wanted, which `turn` and tiles may touch


@helper
def new_panel(columns, rows):
    """Room for so many; an odd number of columns, so that groups do not share lines of a cache."""
    return aligned_rows((rows + WIDTH - 1) // WIDTH, WIDTH * ((columns + _ROOM) | 1))


def _columns(panel: Any, first: int, count: int, n: int) -> Any:
    """Columns of a panel as rows, a copy."""
    groups = panel.reshape(len(panel), -1, WIDTH)[:, first : first + count]
    return groups.transpose(1, 0, 2).reshape(count, WIDTH * len(panel))[:, :n]


def _set_columns(panel: Any, first: int, values: Any) -> None:
    """Set columns to rows; the last group gets zeros beyond."""
    count, n = values.shape
    groups = -(-n // WIDTH)
    room = np.zeros((count, groups * WIDTH))
    room[:, :n] = values
    every = panel.reshape(len(panel), -1, WIDTH)
    every[:groups, first : first + count] = room.reshape(count, groups, WIDTH).transpose(1, 0, 2)


def _kinds_of_turn(*kinds: Any) -> Any:
    check_types((*kinds[5], *kinds[7]), kinds[0], kinds[8])
    return call_of(kinds), emit_turn


@with_twin(_kinds_of_turn)
def turn(
    x: Any,
    start: int,
    step: int,
    columns: int,
    n: int,
    coefs: tuple[Any, ...],
    shift: float,
    outs: tuple[Any, ...],
    panel: Any,
    first: int,
    ahead: int,
) -> None:
    """Column j of the rows of the flat ``x`` becomes column ``first`` + j of the panel.

    Row i begins at ``start`` + i * ``step``.  An element of ``outs`` becomes ``shift`` plus rows
    times the coefficients of the same place.  Columns are taken by fours: those that are not there
    become 0.  Rows of ``outs`` have room for the next multiple of eight.
    ahead : where what is read next begins; a quarter of as much is asked for.
    """
    rows = x[start + step * np.arange(n)[:, None] + np.arange(columns)]
    room = np.zeros((4 * (-(-columns // 4)), n))
    room[:columns] = rows.T
    _set_columns(panel, first, room)
    for coef, out in zip(coefs, outs, strict=True):
        out[:n] = shift + rows @ coef[:columns]


def _kinds_of_weigh(*kinds: Any) -> Any:
    check_types((kinds[4], kinds[5]), kinds[0], kinds[6])
    return call_of(kinds), emit_weigh


@with_twin(_kinds_of_weigh)
def weigh(
    panel: Any, first: int, columns: int, n: int, w: Any, by: Any, sums: Any, at: int
) -> None:
    """Columns from ``first`` on are multiplied by w.

    The sums of ``by`` times what was there are added to ``sums``, lane by lane, from ``at`` on.
    """
    values = _columns(panel, first, columns, n)
    for j, row in enumerate(values * by[:n]):
        for lane in range(min(WIDTH, n)):
            for value in row[lane::WIDTH]:
                sums[at + WIDTH * j + lane] += value
    _set_columns(panel, first, values * w[:n])


def _pairs(v: Any, values: Any, consts: Any, flags: Any) -> Any:
    """Products of each of the first columns with each of the second ones."""
    return [(a, b) for a in values[:-TILE] for b in values[-TILE:]]


def _lower_pairs(v: Any, values: Any, consts: Any, flags: Any) -> Any:
    """Products of each column with those up to itself."""
    return [(values[i], values[j]) for i in range(len(values)) for j in range(i + 1)]


_SIZES = range(1, TILE + 1)
# Six sums in flight hide most of the latency of a multiply-add, and fit in registers of any kind.
_UNROLL = {1: 4, 2: 2}
_SHAPES = (
    *(Shape(_lower_pairs, size, 0, _UNROLL.get(size, 1)) for size in _SIZES),
    *(Shape(_pairs, size, TILE, 1) for size in _SIZES),
)
_LOWER, _FULL = -1, TILE - 1  # and the size, is a shape


def _kinds_of_tile(*kinds: Any) -> Any:
    check_types((kinds[1], kinds[7]), kinds[5], kinds[5])
    return call_of(kinds), lambda *call: emit_tile(_SHAPES, *call)


@with_twin(_kinds_of_tile)
def _tile(
    shape: int,
    panel: Any,
    first: int,
    second: int,
    n: int,
    cells: Any,
    at: int,
    ahead: Any,
    position: int,
) -> None:
    """Add the sums of a shape over ``n`` rows to ``cells[at:]``.

    Its own columns are those from ``first`` on, the others those from ``second`` on.
    """
    body, own, others, unroll = _SHAPES[shape]
    arrays = [*_columns(panel, first, own, n), *_columns(panel, second, others, n)]
    for s, found in enumerate(sums_of_row(body, arrays, [], (), n, unroll)):
        cells[at + s] += found


@helper
def squares_tiles(p):
    """How many tiles `add_squares` needs."""
    n = (p + TILE - 1) // TILE
    return n * (n + 1) // 2


@helper
def add_squares(panel, p, n, cells, at, ahead, position, end):
    """Add the sums over ``n`` rows of the products of each two of the first ``p`` columns.

    at : where the cells of these sums begin.
    ahead, position, end : what is asked for in advance, elements of a flat array.
    """
    for j in range(0, p, TILE):
        size = min(TILE, p - j)
        for k in range(0, j + 1, TILE):
            shape = (_LOWER if k == j else _FULL) + size
            _tile(shape, panel, j, k, n, cells, at, ahead, position)
            at += CELLS
            position = min(position + n, end)


@helper
def take_squares(cells, at, p, out):
    """Add what `add_squares` has found to ``out`` (p, p), on both sides; cells become 0."""
    for j in range(0, p, TILE):
        for k in range(0, j + 1, TILE):
            cell = at
            for i in range(j, min(j + TILE, p)):
                for m in range(k, i + 1 if k == j else k + TILE):
                    out[i, m] += cells[cell]
                    out[m, i] += cells[cell] if i != m else 0.0
                    cell += 1
            cells[at : at + CELLS] = 0.0
            at += CELLS


@helper
def take_sums(cells, at, p, out):
    """Add what `weigh` has found to ``out`` (p,); cells become 0."""
    for j in range(p):
        for lane in range(WIDTH):
            out[j] += cells[at + WIDTH * j + lane]
            cells[at + WIDTH * j + lane] = 0.0


@helper
def take_column(panel, j, n, out):
    """Column ``j`` becomes a row, with room for the next multiple of eight."""
    for group in range((n + WIDTH - 1) // WIDTH):
        for lane in range(WIDTH):
            out[WIDTH * group + lane] = panel[group, WIDTH * j + lane]
