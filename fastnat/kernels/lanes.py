"""Explicit SIMD reductions: what is summed is written once, and runs on LLVM vectors or on NumPy.

A *body* is a Python function ``body(lanes, values, consts, flags)`` that says what one vector of
eight observations adds to the sums.  `row_sums` and `column_sums` turn it into a function for
kernels: rows of memory reduced to one number each, or a sweep over rows in which each lane is a
problem of its own.  Explicit lanes instead of fast-math make the order of every addition part of
the source, so the result has the same bits on AVX2 and AVX-512.

``values`` are eight neighbouring elements of each array (None for an array not given), ``consts``
are eight copies of each constant, ``flags`` are booleans known at compile time.  The body returns
one entry a sum: a vector to be added, a pair whose product is added with one rounding, or the
`Count` of a mask, of which fewer instructions are made than of a sum of ones.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fastnat.kernels._jit import with_twin
from fastnat.kernels._llvm import call_of, check_types
from fastnat.kernels._llvm_rows import emit_columns, emit_rows
from fastnat.kernels._llvm_tables import emit_table, emit_transpose
from fastnat.kernels._numpy_lanes import (
    WIDTH,
    Body,
    Count,
    NumpyLanes,
    TableBody,
    accumulate,
    add_lanes,
    halve,
    order_of_vectors,
    padded,
    sums_of_row,
    sums_of_table,
)

__all__ = ["WIDTH", "Count", "centre_transposed", "column_sums", "row_sums", "table_sums"]


def row_sums(
    body: Body, n_consts: int, rows: int, unroll: int, prefetch: bool
) -> Callable[..., None]:
    """Make ``sums(arrays, start, stride, n, last, consts, flags, out, top, column)``.

    Row r, for r < ``rows``, is the ``n`` elements from ``start + min(r, last) * stride`` of each
    flat array.  Its constants are ``consts[:, r]`` (of eight columns), its sums go to
    ``out[top:, column + r]``.  Each sum is held in ``unroll`` vectors, so the order of summation
    depends on ``n`` and ``unroll`` alone, not on how many rows are taken at a time.  With
    ``prefetch`` what follows is asked for while rows are read; not for rows that were just made.
    """
    emit = partial(emit_rows, body, n_consts, rows, unroll, prefetch)

    def kinds_of(*kinds: Any) -> Any:
        check_types(kinds[0], kinds[5], kinds[7])
        return call_of(kinds), emit

    @with_twin(kinds_of)
    def sums(
        arrays: Any,
        start: int,
        stride: int,
        n: int,
        last: int,
        consts: Any,
        flags: Any,
        out: Any,
        top: int,
        column: int,
    ) -> None:
        booleans = tuple(flag is not None for flag in flags)
        for r in range(rows):
            first = start + min(r, last) * stride
            constants = [np.full(WIDTH, c[r]) for c in consts[:n_consts]]
            here = [None if a is None else a[first:] for a in arrays]
            for s, found in enumerate(sums_of_row(body, here, constants, booleans, n, unroll)):
                out[top + s, column + r] = found

    return sums


def column_sums(body: Body, n_consts: int) -> Callable[..., None]:
    """Make ``sums(arrays, start, stride, rows, width, consts, flags, out, top)``, over columns.

    For each column j < ``width``, the elements ``start + r * stride + j``, r < ``rows``, of each
    flat array are added to ``out[top:, j]``; the column's constants are ``consts[:, j]``.  The
    number of columns of ``consts`` and ``out`` is a multiple of eight; those beyond ``width`` get
    junk.
    """

    def kinds_of(*kinds: Any) -> Any:
        check_types(kinds[0], kinds[5], kinds[7])
        return call_of(kinds), lambda *call: emit_columns(body, n_consts, *call)

    @with_twin(kinds_of)
    def sums(
        arrays: Any,
        start: int,
        stride: int,
        rows: int,
        width: int,
        consts: Any,
        flags: Any,
        out: Any,
        top: int,
    ) -> None:
        lanes = NumpyLanes()
        booleans = tuple(flag is not None for flag in flags)
        for j in range(0, width, WIDTH):
            here = slice(j, j + WIDTH)
            active = min(WIDTH, width - j)
            for r in range(rows):
                first = start + r * stride + j
                values = tuple(
                    None if a is None else padded(a[first : first + active]) for a in arrays
                )
                terms = body(lanes, values, [c[here] for c in consts[:n_consts]], booleans)
                sums = out[top : top + len(terms), here]
                sums[:] = accumulate(lanes, list(sums), terms)

    return sums


def table_sums(body: TableBody) -> Callable[..., None]:
    """Make ``sums(x, w, start, n, like, consts, out, top)``: a table, its rows the observations.

    The flat ``x`` has ``d = len(like)`` columns; n of its rows from ``start`` on are summed, and
    so many of the flat ``w`` (or None).  The body is ``body(lanes, columns, weight, consts)``,
    with a vector for each column, of eight rows, and ``consts[:, j]`` for column j; sum s of what
    it returns goes to ``out[top + s]``.
    """

    def kinds_of(*kinds: Any) -> Any:
        check_types(kinds[:2], kinds[5], kinds[6])
        return call_of(kinds), lambda *call: emit_table(body, *call)

    @with_twin(kinds_of)
    def sums(
        x: Any, w: Any, start: int, n: int, like: Any, consts: Any, out: Any, top: int
    ) -> None:
        lanes, d = NumpyLanes(), len(like)
        n_sums, unroll = sums_of_table(body, d, w is not None)
        sums = [[np.zeros(WIDTH)] * n_sums for _ in range(unroll)]
        constants = [[np.full(WIDTH, c) for c in row[:d]] for row in consts[:2]]
        for u, k, active in order_of_vectors(n, unroll):
            rows = slice(start + k, start + k + active)
            table = x.reshape(-1, d)[rows]
            weight = None if w is None else padded(w[rows])
            terms = body(lanes, [padded(column) for column in table.T], weight, constants)
            new = accumulate(lanes, sums[u], terms)
            inside = np.arange(WIDTH) < active
            sums[u] = [np.where(inside, a, b) for a, b in zip(new, sums[u], strict=True)]
        for s in range(n_sums):
            out[top + s] = add_lanes(halve([part[s] for part in sums], np.add))

    return sums


def _kinds_of_centre(*kinds: Any) -> Any:
    check_types(kinds[:1], kinds[4], kinds[5])
    return call_of(kinds), emit_transpose


@with_twin(_kinds_of_centre)
def centre_transposed(x: Any, start: int, n: int, d: int, consts: Any, out: Any) -> None:
    """Write n > 0 rows of a flat table of d columns to ``out[:d, :n]``.

    They lose ``consts[0]`` and then ``consts[1]``.  The rows of ``out`` and their length are at
    least d and n, rounded up to eights: what is beyond gets junk.  Rows of ``consts`` have d
    elements or more.
    """
    table = x.reshape(-1, d)[start : start + n]
    out[:d, :n] = ((table - consts[0, :d]) - consts[1, :d]).T
