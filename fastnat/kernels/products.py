"""Sums of products over the rows of matrices, where they lie: each row is read as vectors.

What is summed is w a_j b, for some columns a_j of one matrix with all columns b of another: each
a_j of a row is broadcast, and multiplies the row of the other as vectors of eight.  So nothing is
transposed, and many sums are in flight.  Order of summation: the rows of a call, one after the
other, then calls.
"""

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


def _make_tile(most: int) -> Callable[..., None]:
    """Make a function of (size, a, start, step, b, start, step, columns, w, n, out, at, step).

    Row i of a is the ``size`` elements, at most ``most``, of the flat ``a`` from its start + i *
    step on, that of b so many ``columns`` of the flat ``b``, at most MOST_VECTORS vectors.  The sum
    over i < n of w[i] a[i, j] b[i, c] is added to ``out[at + j * step + c]``, where there is room
    for whole vectors; w may be None.
    """

    def kinds_of(*kinds: Any) -> Any:
        check_types((kinds[1], kinds[8]), kinds[4], kinds[10])
        return call_of(kinds), lambda *call: emit_tiles(most, *call)

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
        n: int,
        out: Any,
        at: int,
        out_step: int,
    ) -> None:
        left = _rows_of(a, a_start, a_step, n, size)
        right = _rows_of(b, b_start, b_step, n, columns)
        sums = left.T @ (right if w is None else w[:n, None] * right)
        for j in range(size):
            out[at + j * out_step : at + j * out_step + columns] += sums[j]

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

_tile, _row = _make_tile(WIDTH), _make_tile(1)
_MOST = MOST_VECTORS * WIDTH


@helper
def wide(p):
    """Room for ``p`` sums, in whole vectors."""
    return WIDTH * ((p + WIDTH - 1) // WIDTH)


@helper
def add_squares(x, start, p, w, n, out, at):
    """Add X' W X to ``out``, from ``at`` on in rows of `wide(p)`: on and below the diagonal.

    x : flat, of which n rows of p columns begin at ``start``; w : (at least n,).
    Above the diagonal there is junk.
    """
    step = wide(p)
    for j in range(0, p, WIDTH):
        size, end = min(WIDTH, p - j), min(j + WIDTH, p)
        for c in range(0, end, _MOST):
            here, to = min(_MOST, end - c), at + j * step + c
            _tile(size, x, start + j, p, x, start + c, p, here, w, n, out, to, step)


@helper
def add_row(a, x, start, p, n, out, at):
    """Add a' X to ``out``, from ``at`` on; a : (at least n,), the rest as in `add_squares`."""
    for c in range(0, p, _MOST):
        _row(1, a, 0, 1, x, start + c, p, min(_MOST, p - c), None, n, out, at + c, 0)
