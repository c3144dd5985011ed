"""The LLVM side of `products`: rows of matrices where they lie, broadcasts times vectors."""

from typing import Any

from llvmlite import ir
from numba.core import types

from fastnat.kernels._llvm import (
    _INDEX,
    _ZERO,
    LlvmLanes,
    _Array,
    _loop,
    _mask,
    _splat,
    _transpose_and_add,
)
from fastnat.kernels._numpy_lanes import WIDTH


def _index(value: int) -> Any:
    return ir.Constant(_INDEX, value)


def _masks(builder: Any, columns: Any, n_vectors: int) -> list[Any]:
    """Which lanes of each vector of a row are columns."""
    return [_mask(builder, builder.sub(columns, _index(WIDTH * k))) for k in range(n_vectors)]


def emit_tile(
    n_rows: int, n_vectors: int, unroll: int, context: Any, builder: Any, signature: Any, args: Any
) -> Any:
    """Code of a tile of `products`: (a, start, step, b, start, step, columns, w, n, out, at, step)."""
    kinds = signature.args
    a, b, out = (_Array(context, builder, kinds[i], args[i]) for i in (0, 3, 9))
    w = None if kinds[7] == types.none else _Array(context, builder, kinds[7], args[7])
    a_start, a_step, b_start, b_step, columns = (args[i] for i in (1, 2, 4, 5, 6))
    n, at, out_step = args[8], args[10], args[11]
    lanes = LlvmLanes(builder)
    masks = _masks(builder, columns, n_vectors)
    n_sums = n_rows * n_vectors

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

    whole = builder.sub(n, builder.urem(n, _index(unroll)))
    i, sums = _loop(builder, _index(0), whole, unroll, [_ZERO] * (unroll * n_sums), add_many)
    i, rest = _loop(builder, i, n, 1, sums[:n_sums], add)
    sums = [*rest, *sums[n_sums:]]
    for j in range(n_rows):
        row = builder.add(at, builder.mul(out_step, _index(j)))
        for k in range(n_vectors):
            place = builder.add(row, _index(WIDTH * k))
            total = sums[j * n_vectors + k]
            for u in range(1, unroll):
                total = lanes.add(total, sums[u * n_sums + j * n_vectors + k])
            out.store(lanes.add(out.load(place), total), place)
    return context.get_dummy_value()


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
            values = [x.load(builder.add(begin, k), mask) for begin in begins]
            return [lanes.fma(v, factor, s) for v, s in zip(values, sums, strict=True)]

        _, sums = _loop(builder, _index(0), columns, WIDTH, [_ZERO] * WIDTH, add)
        out.store(lanes.add(constant, _transpose_and_add(builder, sums)), i)
        return []

    _loop(builder, _index(0), n, WIDTH, [], eight)
    return context.get_dummy_value()
