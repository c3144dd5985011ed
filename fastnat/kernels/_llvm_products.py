"""The LLVM side of `products`: rows of matrices where they lie, broadcasts times vectors."""

from typing import Any

from numba.core import types

from fastnat.kernels._llvm import (
    AHEAD,
    ZERO,
    Argument,
    LlvmLanes,
    eight_rows,
    groups,
    in_registers,
    integer,
    lanes_below,
    loop,
    splat,
    transpose,
    transpose_and_add,
)
from fastnat.kernels._numpy_lanes import WIDTH, halve, unroll_of

MOST_VECTORS = 3
"""Vectors of a row in a tile: with eight columns of the other matrix, 24 sums."""


def emit_tiles(most: int, context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Code of a tile of `products`, one for each shape up to ``most`` x MOST_VECTORS."""
    kinds = signature.args
    a, b, out = (Argument(context, builder, kinds[i], args[i]) for i in (1, 4, 10))
    w = None if kinds[8] == types.none else Argument(context, builder, kinds[8], args[8])
    size, columns = args[0], args[7]
    vectors = builder.udiv(builder.add(columns, integer(WIDTH - 1)), integer(WIDTH))
    shape = builder.add(builder.mul(size, integer(MOST_VECTORS + 1)), vectors)
    after = builder.append_basic_block("after")
    chosen = builder.switch(shape, after)
    for n_rows in range(1, most + 1):
        for n_vectors in range(1, MOST_VECTORS + 1):
            block = builder.append_basic_block("tile")
            chosen.add_case(integer(n_rows * (MOST_VECTORS + 1) + n_vectors), block)
            builder.position_at_end(block)
            unroll = unroll_of(n_rows * n_vectors)
            for part in _parts(n_rows, n_vectors, in_registers(context) // unroll):
                _emit_part(builder, *part, unroll, (a, b, w, out), args)
            builder.branch(after)
    builder.position_at_end(after)
    return context.get_dummy_value()


def _parts(n_rows: int, n_vectors: int, most: int) -> list[tuple[range, range, bool]]:
    """(rows, vectors, whether the last one is among them) of parts of at most so many sums.

    One row stays together: broadcasts are few.
    """
    whole = n_rows == 1 or n_rows * n_vectors <= most
    by_vector = groups(n_vectors, n_vectors if whole else 1)
    by_row = groups(n_rows, n_rows if whole else max(1, most))
    return [(js, ks, ks[-1] == n_vectors - 1) for ks in by_vector for js in by_row]


def _emit_part(
    builder: Any, rows: range, vectors: range, ends: bool, unroll: int, arrays: Any, args: Any
) -> None:
    a, b, w, out = arrays
    a_start, a_step, b_start, b_step, columns = (args[i] for i in (2, 3, 5, 6, 7))
    n, at, out_step = args[9], args[11], args[12]
    lanes = LlvmLanes(builder)
    # Vectors before the last one are whole.
    masks: list[Any] = [None] * len(vectors)
    if ends:
        rest = builder.sub(columns, integer(WIDTH * vectors[-1]))
        masks[-1] = lanes_below(builder, rest)
    places = [(j, k) for j in rows for k in range(len(vectors))]
    n_sums = len(places)

    def add(i: Any, sums: list[Any]) -> list[Any]:
        first = builder.add(b_start, builder.mul(i, b_step))
        right = [
            b.load(builder.add(first, integer(WIDTH * k)), mask)
            for k, mask in zip(vectors, masks, strict=True)
        ]
        if w is not None:
            weight = splat(builder, w.scalar(i))
            right = [lanes.mul(weight, vector) for vector in right]
        begin = builder.add(a_start, builder.mul(i, a_step))
        left = {j: splat(builder, a.scalar(builder.add(begin, integer(j)))) for j in rows}
        return [lanes.fma(left[j], right[k], s) for (j, k), s in zip(places, sums, strict=True)]

    def add_many(i: Any, sums: list[Any]) -> list[Any]:
        new = []
        for u in range(unroll):
            new += add(builder.add(i, integer(u)), sums[u * n_sums : (u + 1) * n_sums])
        return new

    whole = builder.and_(n, integer(-unroll))
    i, sums = loop(builder, integer(0), whole, unroll, [ZERO] * (unroll * n_sums), add_many)
    if unroll > 1:
        _, rest = loop(builder, i, n, 1, sums[:n_sums], add)
        sums = [*rest, *sums[n_sums:]]
    for s, (j, k) in enumerate(places):
        place = builder.add(at, builder.mul(out_step, integer(j)))
        place = builder.add(place, integer(WIDTH * vectors[k]))
        total = halve([sums[u * n_sums + s] for u in range(unroll)], lanes.add)
        out.store(lanes.add(out.load(place), total), place)


def emit_predict(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Code of ``predict(x, start, step, columns, n, coef, shift, out)``."""
    kinds = signature.args
    x, coef, out = (Argument(context, builder, kinds[i], args[i]) for i in (0, 5, 7))
    start, step, columns, n, shift = args[1], args[2], args[3], args[4], args[6]
    lanes = LlvmLanes(builder)
    last = builder.sub(n, integer(1))
    constant = splat(builder, shift)

    def eight(i: Any, _: list[Any]) -> list[Any]:
        rows = eight_rows(builder, i, last)
        begins = [builder.add(start, builder.mul(row, step)) for row in rows]

        def add(k: Any, sums: list[Any]) -> list[Any]:
            mask = lanes_below(builder, builder.sub(columns, k))
            factor = coef.load(k, mask)
            for begin in begins:
                x.prefetch(builder.add(begin, builder.add(k, integer(AHEAD))))
            values = [x.load(builder.add(begin, k), mask) for begin in begins]
            return [lanes.fma(v, factor, s) for v, s in zip(values, sums, strict=True)]

        _, sums = loop(builder, integer(0), columns, WIDTH, [ZERO] * WIDTH, add)
        out.store(lanes.add(constant, transpose_and_add(builder, sums)), i)
        return []

    loop(builder, integer(0), n, WIDTH, [], eight)
    return context.get_dummy_value()


def emit_turn(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Code of ``turn(x, start, step, columns, n, coef, shift, out, panel, row)``."""
    kinds = signature.args
    x, coef, out, panel = (Argument(context, builder, kinds[i], args[i]) for i in (0, 5, 7, 8))
    start, step, columns, n, shift, top = (args[i] for i in (1, 2, 3, 4, 6, 9))
    lanes = LlvmLanes(builder)
    last = builder.sub(n, integer(1))

    def eight(i: Any, _: list[Any]) -> list[Any]:
        rows = eight_rows(builder, i, last)
        begins = [builder.add(start, builder.mul(row, step)) for row in rows]

        def add(k: Any, sums: list[Any], active: Any = None) -> list[Any]:
            mask = None if active is None else lanes_below(builder, active)
            for begin in begins:
                x.prefetch(builder.add(begin, builder.add(k, integer(AHEAD))))
            values = [x.load(builder.add(begin, k), mask) for begin in begins]
            for c, column in enumerate(transpose(builder, values)):
                row = builder.add(top, builder.add(k, integer(c)))
                panel.store(column, builder.add(builder.mul(row, panel.columns), i))
                place = integer(c)
                if active is not None:  # beyond it is 0 times anything that is there
                    inside = builder.icmp_signed("<", place, active)
                    place = builder.select(inside, place, integer(0))
                factor = splat(builder, coef.scalar(builder.add(k, place)))
                odd = c % 2
                sums[odd] = lanes.fma(factor, column, sums[odd])
            return sums

        def edge(k: Any, sums: list[Any]) -> list[Any]:
            return add(k, [*sums], builder.sub(columns, k))

        whole = builder.and_(columns, integer(-WIDTH))
        sums = [splat(builder, shift), ZERO]
        k, sums = loop(builder, integer(0), whole, WIDTH, sums, lambda k, sums: add(k, [*sums]))
        _, sums = loop(builder, k, columns, WIDTH, sums, edge)
        out.store(lanes.add(*sums), i)
        return []

    loop(builder, integer(0), n, WIDTH, [], eight)
    return context.get_dummy_value()
