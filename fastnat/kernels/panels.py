"""Columns of a few rows of a matrix, and sums of their products, in register tiles.

A *panel* is (groups, width): eight rows are a group, and of a group all columns lie one after the
other, as vectors of eight: element (i, j) is ``panel[i // 8, 8 * j + i % 8]``.  So what is known of
a few rows is in few lines of the first-level cache, and in few pages.  In *single precision* the 16
elements of a pair of groups are where those of the first one were.

Sums are added to *cells*, a flat array, until somebody takes them.
"""

from typing import Any

import numpy as np

from fastnat.kernels._jit import helper, with_twin
from fastnat.kernels._llvm import call_of, check_types
from fastnat.kernels._llvm_panels import PAIR, Pairs, emit_tile, emit_turn, emit_weigh
from fastnat.kernels._numpy_lanes import WIDTH, add_lanes
from fastnat.kernels.aligned import aligned_rows

ROWS = 80
"""Rows that are multiplied at a time: thirty columns, and what is known of the rows, are in the
first-level cache."""

TILE = 5
CELLS = 32
"""Cells of a tile, of which 25 are sums."""

_ROOM = 4  # columns beyond those that are wanted, which `turn` and tiles may touch


@helper
def new_panel(columns, rows):
    """Room for so many; an odd number of columns, so that groups do not share lines of a cache."""
    return aligned_rows((rows + PAIR - 1) // PAIR * 2, WIDTH * ((columns + _ROOM) | 1))


def _columns(panel: Any, first: int, count: int, n: int) -> Any:
    """Columns of a panel as rows, a copy."""
    groups = panel.reshape(len(panel), -1, WIDTH)[:, first : first + count]
    return groups.transpose(1, 0, 2).reshape(count, WIDTH * len(panel))[:, :n]


def _set_columns(panel: Any, first: int, values: Any, least: int) -> None:
    """Set columns to rows, and to zeros beyond, up to a multiple of ``least``."""
    count, n = values.shape
    room = np.zeros((count, -(-n // least) * least))
    room[:, :n] = values
    groups = room.shape[1] // WIDTH
    every = panel.reshape(len(panel), -1, WIDTH)
    every[:groups, first : first + count] = room.reshape(count, groups, WIDTH).transpose(1, 0, 2)


def _as_single(panel: Any, n: int) -> Any:
    """The pairs of ``n`` rows in single precision: (pairs, columns, PAIR), a view."""
    pairs = panel[: -(-n // PAIR) * 2 : 2]
    return pairs.view(np.float32).reshape(len(pairs), panel.shape[1] // WIDTH, PAIR)


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
    whole: Any,
) -> None:
    """Column j of the rows of the flat ``x`` becomes column ``first`` + j of the panel.

    Row i begins at ``start`` + i * ``step``.  An element of ``outs`` becomes ``shift`` plus rows
    times the coefficients of the same place.  Columns are taken by fours: those that are not there
    become 0.  Rows of ``outs`` have room for the next multiple of eight.
    ahead : where what is read next begins; as much is asked for if ``whole`` is True, and a quarter
    of it if that is None.
    """
    rows = x[start + step * np.arange(n)[:, None] + np.arange(columns)]
    room = np.zeros((4 * (-(-columns // 4)), n))
    room[:columns] = rows.T
    _set_columns(panel, first, room, WIDTH)
    for coef, out in zip(coefs, outs, strict=True):
        out[:n] = shift + rows @ coef[:columns]


def _kinds_of_weigh(*kinds: Any) -> Any:
    check_types((kinds[4], kinds[5]), kinds[0], kinds[6])
    return call_of(kinds), emit_weigh


@with_twin(_kinds_of_weigh)
def weigh(
    panel: Any, first: int, columns: int, n: int, w: Any, by: Any, sums: Any, at: int, single: bool
) -> None:
    """Columns from ``first`` on are multiplied by w, and set to 0 beyond, as tiles want them.

    The sums of ``by`` times what was there are added to ``sums``, lane by lane, from ``at`` on.
    single : whether columns shall be in single precision.
    """
    values = _columns(panel, first, columns, n)
    for j, row in enumerate(values * by[:n]):
        for lane in range(min(WIDTH, n)):
            for value in row[lane::WIDTH]:
                sums[at + WIDTH * j + lane] += value
    weighed = values * w[:n]
    _set_columns(panel, first, weighed, PAIR)
    if single:
        room = _columns(panel, first, columns, -(-n // PAIR) * PAIR).reshape(columns, -1, PAIR)
        with np.errstate(over="ignore"):  # what is too large becomes infinite
            _as_single(panel, n)[:, first : first + columns] = room.transpose(1, 0, 2)


def _shapes(single: bool) -> list[Pairs]:
    """Of each column with those up to itself, and of all with five others."""
    sizes = range(1, TILE + 1)
    lower = ([(i, j) for i in range(size) for j in range(i + 1)] for size in sizes)
    full = ([(i, size + j) for i in range(size) for j in range(TILE)] for size in sizes)
    return [
        *(Pairs(pairs, size, 0, single) for size, pairs in zip(sizes, lower, strict=True)),
        *(Pairs(pairs, size, TILE, single) for size, pairs in zip(sizes, full, strict=True)),
    ]


_SHAPES = *_shapes(False), *_shapes(True)
_LOWER, _FULL, _SINGLE = -1, TILE - 1, 2 * TILE  # and the size, is a shape


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

    Its own columns are those from ``first`` on, the others those from ``second`` on.  Beyond the
    rows columns are 0, up to the next whole vector.
    """
    pairs, own, others, single = _SHAPES[shape]
    numbers = [*range(first, first + own), *range(second, second + others)]
    groups = panel[: -(-n // WIDTH)].reshape(-1, panel.shape[1] // WIDTH, WIDTH)
    vectors = (_as_single(panel, n) if single else groups)[:, numbers]
    for s, (a, b) in enumerate(pairs):
        total = np.zeros(PAIR if single else WIDTH, vectors.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            for row in vectors:
                total = row[a] * row[b] + total
            cells[at + s] += add_lanes(total)


@helper
def squares_tiles(p):
    """How many tiles `add_squares` needs."""
    n = (p + TILE - 1) // TILE
    return n * (n + 1) // 2


@helper
def add_squares(panel, first, p, n, single, cells, at, ahead, position, end):
    """Add the sums over ``n`` rows of the products of each two of ``p`` columns from ``first`` on.

    They are as `weigh` leaves them; single : whether in single precision.
    at : where the cells of these sums begin.
    ahead, position, end : what is asked for in advance, elements of a flat array.
    """
    kind = _SINGLE if single else 0
    for j in range(0, p, TILE):
        size = kind + min(TILE, p - j)
        for k in range(0, j + 1, TILE):
            shape = (_LOWER if k == j else _FULL) + size
            _tile(shape, panel, first + j, first + k, n, cells, at, ahead, position)
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


@helper
def put_column(row, n, panel, j):
    """A row becomes column ``j``."""
    for i in range(n):
        panel[i // WIDTH, WIDTH * j + i % WIDTH] = row[i]
