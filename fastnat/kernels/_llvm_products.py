"""The LLVM side of `products`: rows of matrices where they lie, broadcasts times vectors."""

from typing import Any

from llvmlite import ir
from numba.core import types

from fastnat.kernels._llvm import (
    _INDEX,
    _ZERO,
    AHEAD,
    LlvmLanes,
    _Array,
    _loop,
    _mask,
    _splat,
    _transpose_and_add,
)
from fastnat.kernels._numpy_lanes import WIDTH, halve

MOST_VECTORS = 3
"""Vectors of a row in a tile: with eight columns of the other matrix, 24 sums are in registers."""


def _index(value: int) -> Any:
    return ir.Constant(_INDEX, value)


def unroll_of(n_sums: int) -> int:
    """How many rows at a time: eight sums or more in flight hide the latency of a multiply-add."""
    return 4 if n_sums < 4 else 2 if n_sums < 8 else 1


def emit_tiles(most: int, context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Code of a tile of `products`, one for each shape up to ``most`` x MOST_VECTORS."""
    kinds = signature.args
    a, b, out = (_Array(context, builder, kinds[i], args[i]) for i in (1, 4, 10))
    w = None if kinds[8] == types.none else _Array(context, builder, kinds[8], args[8])
    size, columns = args[0], args[7]
    vectors = builder.udiv(builder.add(columns, _index(WIDTH - 1)), _index(WIDTH))
    shape = builder.add(builder.mul(size, _index(MOST_VECTORS + 1)), vectors)
    after = builder.append_basic_block("after")
    chosen = builder.switch(shape, after)
    for n_rows in range(1, most + 1):
        for n_vectors in range(1, MOST_VECTORS + 1):
            block = builder.append_basic_block("tile")
            chosen.add_case(_index(n_rows * (MOST_VECTORS + 1) + n_vectors), block)
            builder.position_at_end(block)
            _emit_tile(builder, n_rows, n_vectors, (a, b, w, out), args)
            builder.branch(after)
    builder.position_at_end(after)
    return context.get_dummy_value()


def _emit_tile(builder: Any, n_rows: int, n_vectors: int, arrays: Any, args: Any) -> None:
    a, b, w, out = arrays
    a_start, a_step, b_start, b_step, columns = (args[i] for i in (2, 3, 5, 6, 7))
    n, at, out_step = args[9], args[11], args[12]
    lanes = LlvmLanes(builder)
    masks = [_mask(builder, builder.sub(columns, _index(WIDTH * k))) for k in range(n_vectors)]
    n_sums = n_rows * n_vectors
    unroll = unroll_of(n_sums)

    def add(i: Any, sums: list[Any]) -> list[Any]:
        first = builder.add(b_start, builder.mul(i, b_step))
        vectors = [
            b.load(builder.add(first, _index(WIDTH * k)), mask) for k, mask in enumerate(masks)
        ]
        if w is not None:
            weight = _splat(builder, w.scalar(i))
            vectors = [lanes.mul(weight, vector) for vector in vectors]
        left = builder.add(a_start, builder.mul(i, a_step))
        new = []
        for j in range(n_rows):
            factor = _splat(builder, a.scalar(builder.add(left, _index(j))))
            for k, vector in enumerate(vectors):
                new.append(lanes.fma(factor, vector, sums[j * n_vectors + k]))
        return new

    def add_many(i: Any, sums: list[Any]) -> list[Any]:
        new = []
        for u in range(unroll):
            new += add(builder.add(i, _index(u)), sums[u * n_sums : (u + 1) * n_sums])
        return new

    whole = builder.and_(n, _index(-unroll))
    i, sums = _loop(builder, _index(0), whole, unroll, [_ZERO] * (unroll * n_sums), add_many)
    if unroll > 1:
        _, rest = _loop(builder, i, n, 1, sums[:n_sums], add)
        sums = [*rest, *sums[n_sums:]]
    for s in range(n_sums):
        j, k = divmod(s, n_vectors)
        place = builder.add(at, builder.mul(out_step, _index(j)))
        place = builder.add(place, _index(WIDTH * k))
        total = halve([sums[u * n_sums + s] for u in range(unroll)], lanes.add)
        out.store(lanes.add(out.load(place), total), place)


def emit_predict(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Code of ``predict(x, start, step, columns, n, coef, shift, out)``."""
    kinds = signature.args
    x, coef, out = (_Array(context, builder, kinds[i], args[i]) for i in (0, 5, 7))
    start, step, columns, n, shift = args[1], args[2], args[3], args[4], args[6]
    lanes = LlvmLanes(builder)
    last = builder.sub(n, _index(1))
    constant = _splat(builder, shift)

    def eight(i: Any, _: list[Any]) -> list[Any]:
        rows = [builder.add(i, _index(r)) for r in range(WIDTH)]
        rows = [builder.select(builder.icmp_signed("<", r, last), r, last) for r in rows]
        begins = [builder.add(start, builder.mul(row, step)) for row in rows]

        def add(k: Any, sums: list[Any]) -> list[Any]:
            mask = _mask(builder, builder.sub(columns, k))
            factor = coef.load(k, mask)
            for begin in begins:
                x.prefetch(builder.add(begin, builder.add(k, _index(AHEAD))))
            values = [x.load(builder.add(begin, k), mask) for begin in begins]
            return [lanes.fma(v, factor, s) for v, s in zip(values, sums, strict=True)]

        _, sums = _loop(builder, _index(0), columns, WIDTH, [_ZERO] * WIDTH, add)
        out.store(lanes.add(constant, _transpose_and_add(builder, sums)), i)
        return []

    _loop(builder, _index(0), n, WIDTH, [], eight)
    return context.get_dummy_value()
