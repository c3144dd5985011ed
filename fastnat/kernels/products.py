"""Sums of products over the rows of matrices, where they lie: each row is read as vectors.

What is summed is w a_j b, for some columns a_j of one matrix with all columns b of another: each
a_j of a row is broadcast, and multiplies the row of the other as vectors of eight.  So nothing is
transposed, and many sums are in flight.  Order of summation: the rows of a call, one after the
other, then calls.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import config
from numba.core import types
from numba.extending import intrinsic

from fastnat.kernels._jit import helper
from fastnat.kernels._llvm import check_types
from fastnat.kernels._llvm_products import emit_predict, emit_tile
from fastnat.kernels._numpy_lanes import WIDTH


def _rows_of(flat: Any, start: int, step: int, n: int, columns: int) -> Any:
    at = start + step * np.arange(n)[:, None] + np.arange(columns)
    return flat[at]


def _make_tile(n_rows: int, n_vectors: int, unroll: int) -> Callable[..., None]:
    """Make ``tile(a, a_start, a_step, b, b_start, b_step, columns, w, n, out, at, out_step)``.

    Row i of a is the ``n_rows`` elements of the flat ``a`` from ``a_start + i * a_step`` on, that
    of b so many ``columns`` of the flat ``b``, at most ``n_vectors`` vectors of them.  The sum over
    i < n of w[i] a[i, j] b[i, c] is added to ``out[at + j * out_step + c]``; w may be None.
    """

    def twin(
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
        left = _rows_of(a, a_start, a_step, n, n_rows)
        right = _rows_of(b, b_start, b_step, n, min(columns, WIDTH * n_vectors))
        if w is not None:
            right = w[:n, None] * right
        for j in range(n_rows):
            here = at + j * out_step
            for c in range(right.shape[1]):
                out[here + c] += np.dot(left[:, j], right[:, c])

    if config.DISABLE_JIT:
        return twin

    @intrinsic  # type: ignore[untyped-decorator]
    def tile(
        typing: Any,
        a: Any,
        a_start: Any,
        a_step: Any,
        b: Any,
        b_start: Any,
        b_step: Any,
        columns: Any,
        w: Any,
        n: Any,
        out: Any,
        at: Any,
        out_step: Any,
    ) -> Any:
        check_types((a, w), b, out)
        ints = types.int64
        signature = types.void(a, ints, ints, b, ints, ints, ints, w, ints, out, ints, ints)
        return signature, lambda *call: emit_tile(n_rows, n_vectors, unroll, *call)

    tile.twin = twin
    made: Callable[..., None] = tile
    return made


def _make_predict() -> Callable[..., None]:
    def twin(
        x: Any, start: int, step: int, columns: int, n: int, coef: Any, shift: float, out: Any
    ) -> None:
        out[:n] = shift + _rows_of(x, start, step, n, columns) @ coef[:columns]

    if config.DISABLE_JIT:
        return twin

    @intrinsic  # type: ignore[untyped-decorator]
    def predict(
        typing: Any,
        x: Any,
        start: Any,
        step: Any,
        columns: Any,
        n: Any,
        coef: Any,
        shift: Any,
        out: Any,
    ) -> Any:
        check_types((x,), coef, out)
        ints = types.int64
        signature = types.void(x, ints, ints, ints, ints, coef, types.float64, out)
        return signature, emit_predict

    predict.twin = twin
    made: Callable[..., None] = predict
    return made


predict = _make_predict()
"""``(x, start, step, columns, n, coef, shift, out)``: ``out[i]`` becomes ``shift`` plus row i of the
flat ``x`` times ``coef``; ``out`` has room for the next multiple of eight."""

# Eight sums or more in flight hide the latency of a multiply-add.
_1_1, _1_2, _1_3 = _make_tile(1, 1, 8), _make_tile(1, 2, 4), _make_tile(1, 3, 4)
_2_1, _2_2, _2_3 = _make_tile(2, 1, 4), _make_tile(2, 2, 2), _make_tile(2, 3, 2)
_4_1, _4_2, _4_3 = _make_tile(4, 1, 2), _make_tile(4, 2, 1), _make_tile(4, 3, 1)
_8_1, _8_2, _8_3 = _make_tile(8, 1, 1), _make_tile(8, 2, 1), _make_tile(8, 3, 1)

_MOST = 3 * WIDTH


@helper
def wide(p):
    """Room for ``p`` sums, in whole vectors."""
    return WIDTH * ((p + WIDTH - 1) // WIDTH)


@helper
def _one(a, i, a_step, b, j, b_step, columns, w, n, out, at, out_step):
    if columns <= WIDTH:
        _1_1(a, i, a_step, b, j, b_step, columns, w, n, out, at, out_step)
    elif columns <= 2 * WIDTH:
        _1_2(a, i, a_step, b, j, b_step, columns, w, n, out, at, out_step)
    else:
        _1_3(a, i, a_step, b, j, b_step, columns, w, n, out, at, out_step)


@helper
def _two(a, i, a_step, b, j, b_step, columns, w, n, out, at, out_step):
    if columns <= WIDTH:
        _2_1(a, i, a_step, b, j, b_step, columns, w, n, out, at, out_step)
    elif columns <= 2 * WIDTH:
        _2_2(a, i, a_step, b, j, b_step, columns, w, n, out, at, out_step)
    else:
        _2_3(a, i, a_step, b, j, b_step, columns, w, n, out, at, out_step)


@helper
def _four(a, i, a_step, b, j, b_step, columns, w, n, out, at, out_step):
    if columns <= WIDTH:
        _4_1(a, i, a_step, b, j, b_step, columns, w, n, out, at, out_step)
    elif columns <= 2 * WIDTH:
        _4_2(a, i, a_step, b, j, b_step, columns, w, n, out, at, out_step)
    else:
        _4_3(a, i, a_step, b, j, b_step, columns, w, n, out, at, out_step)


@helper
def _eight(a, i, a_step, b, j, b_step, columns, w, n, out, at, out_step):
    if columns <= WIDTH:
        _8_1(a, i, a_step, b, j, b_step, columns, w, n, out, at, out_step)
    elif columns <= 2 * WIDTH:
        _8_2(a, i, a_step, b, j, b_step, columns, w, n, out, at, out_step)
    else:
        _8_3(a, i, a_step, b, j, b_step, columns, w, n, out, at, out_step)


@helper
def _some_rows(size, a, i, a_step, b, j, b_step, columns, w, n, out, at, out_step):
    """Up to eight columns of a, with all columns of b."""
    for c in range(0, columns, _MOST):
        here = min(_MOST, columns - c)
        k, row = 0, at + c
        if size == WIDTH:
            _eight(a, i, a_step, b, j + c, b_step, here, w, n, out, row, out_step)
            continue
        if size & 4:
            _four(a, i, a_step, b, j + c, b_step, here, w, n, out, row, out_step)
            k += 4
        if size & 2:
            _two(a, i + k, a_step, b, j + c, b_step, here, w, n, out, row + k * out_step, out_step)
            k += 2
        if size & 1:
            _one(a, i + k, a_step, b, j + c, b_step, here, w, n, out, row + k * out_step, out_step)


@helper
def add_squares(x, start, p, w, n, out, at):
    """Add X' W X to ``out``, from ``at`` on in rows of `wide(p)`: on and below the diagonal.

    x : flat, of which n rows of p columns begin at ``start``; w : (at least n,) or None.
    Above the diagonal there is junk.
    """
    step = wide(p)
    for j in range(0, p, WIDTH):
        size = min(WIDTH, p - j)
        columns = min(j + WIDTH, p)
        _some_rows(size, x, start + j, p, x, start, p, columns, w, n, out, at + j * step, step)


@helper
def add_products(a, a_start, q, x, start, p, w, n, out, at):
    """Add A' W X to ``out``, from ``at`` on, q rows of `wide(p)`; the rest as in `add_squares`."""
    step = wide(p)
    for j in range(0, q, WIDTH):
        size = min(WIDTH, q - j)
        _some_rows(size, a, a_start + j, q, x, start, p, p, w, n, out, at + j * step, step)
