"""Sums of products over the rows of matrices, where they lie: each row is read as vectors.

What is summed is w a_j b, for some columns a_j of one matrix with all columns b of another: each
a_j of a row is broadcast, and multiplies the row of the other as vectors of eight.  So nothing is
transposed, and many sums are in flight.  Order of summation: the rows of a call, one after the
other, then calls.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnat.kernels._jit import helper, with_twin
from fastnat.kernels._llvm import call_of, check_types
from fastnat.kernels._llvm_products import MOST_VECTORS, emit_predict, emit_tiles, emit_turn
from fastnat.kernels._numpy_lanes import WIDTH


def _rows_of(flat: Any, start: int, step: int, n: int, columns: int) -> Any:
    at = start + step * np.arange(n)[:, None] + np.arange(columns)
    return flat[at]


def _make_tile(sizes: range, most: int) -> Callable[..., None]:
    """Make ``tile(size, a, start, step, b, start, step, columns, w, y, n, out, at, step)``.

    Row i of a is the ``size`` elements, of ``sizes``, of the flat ``a`` from its start + i * step
    on, that of b so many ``columns`` of the flat ``b``, at most ``most`` vectors.  The sum over i <
    n of w[i] a[i, j] b[i, c] is added to ``out[at + j * step + c]``, and that of w[i] y[i] b[i, c]
    to what would be row ``size``, where there is room for whole vectors.  w and y may be None.
    """
    shapes = list(itertools.product(sizes, range(1, most + 1)))

    def kinds_of(*kinds: Any) -> Any:
        check_types((kinds[1], kinds[8], kinds[9]), kinds[4], kinds[11])
        return call_of(kinds), lambda *call: emit_tiles(shapes, *call)

    @with_twin(kinds_of)
    def tile(
        size: int,
        a: Any,
        a_start: int,
        a_step: int,
        b: Any,
        b_start: int,
        b_step: int,
        columns: int,
        w: Any,
        y: Any,
        n: int,
        out: Any,
        at: int,
        out_step: int,
    ) -> None:
        left = _rows_of(a, a_start, a_step, n, size)
        right = _rows_of(b, b_start, b_step, n, columns)
        right = right if w is None else w[:n, None] * right
        sums = [*(left.T @ right), *([] if y is None else [y[:n] @ right])]
        for j, row in enumerate(sums):
            out[at + j * out_step : at + j * out_step + columns] += row

    return tile


def _kinds_of_predict(*kinds: Any) -> Any:
    check_types(kinds[:1], kinds[5], kinds[7])
    return call_of(kinds), emit_predict


@with_twin(_kinds_of_predict)
def predict(
    x: Any, start: int, step: int, columns: int, n: int, coef: Any, shift: float, out: Any
) -> None:
    """``out[i]`` becomes ``shift`` plus row i of the flat ``x`` times ``coef``.

    ``out`` has room for the next multiple of eight.
    """
    out[:n] = shift + _rows_of(x, start, step, n, columns) @ coef[:columns]


def _kinds_of_turn(*kinds: Any) -> Any:
    check_types(kinds[:1], kinds[5], kinds[7])
    check_types((), kinds[8], kinds[8])
    return call_of(kinds), emit_turn


@with_twin(_kinds_of_turn)
def turn(
    x: Any,
    start: int,
    step: int,
    columns: int,
    n: int,
    coef: Any,
    shift: float,
    out: Any,
    panel: Any,
    row: int,
) -> None:
    """`predict`, and column j of the rows becomes ``panel[row + j]``.

    Columns are taken by eights: those that are not there become 0, for which there are ROOM rows
    beyond.  Rows of ``panel`` have room for the next multiple of eight.
    """
    rows = _rows_of(x, start, step, n, columns)
    panel[row : row + columns, :n] = rows.T
    panel[row + columns : row + WIDTH * (-(-columns // WIDTH)), :n] = 0.0
    out[:n] = shift + rows @ coef[:columns]


ROOM = WIDTH
"""Rows of a panel that `turn` may fill beyond those that are wanted."""

_tile = _make_tile(range(1, WIDTH + 1), MOST_VECTORS)
_row = _make_tile(range(1), MOST_VECTORS)
_tile_and_row = _make_tile(range(1, WIDTH + 1), 1)
_MOST = MOST_VECTORS * WIDTH


@helper
def wide(p):
    """Room for ``p`` sums, in whole vectors."""
    return WIDTH * ((p + WIDTH - 1) // WIDTH)


@helper
def add_squares(x, start, p, w, n, out, at):
    """Add X' W X to ``out``, from ``at`` on in rows of `wide(p)`: on and below the diagonal.

    x : flat, of which n rows of p columns begin at ``start``; w : (at least n,), or None.
    Above the diagonal there is junk.
    """
    step = wide(p)
    for j in range(0, p, WIDTH):
        size, end = min(WIDTH, p - j), min(j + WIDTH, p)
        for c in range(0, end, _MOST):
            here, to = min(_MOST, end - c), at + j * step + c
            _tile(size, x, start + j, p, x, start + c, p, here, w, None, n, out, to, step)


@helper
def add_row(y, x, start, p, w, n, out, at):
    """Add y' W X to ``out``, from ``at`` on; w may be None, the rest is as in `add_squares`."""
    for c in range(0, p, _MOST):
        here = min(_MOST, p - c)
        _row(0, x, start, p, x, start + c, p, here, w, y, n, out, at + c, 0)


@helper
def add_squares_and_row(y, x, start, p, w, n, out, at):
    """`add_squares`, and below it what `add_row` adds: bit for bit, and X is read once."""
    if p <= WIDTH:
        _tile_and_row(p, x, start, p, x, start, p, p, w, y, n, out, at, WIDTH)
    else:
        add_squares(x, start, p, w, n, out, at)
        add_row(y, x, start, p, w, n, out, at + p * wide(p))
