"""The LLVM side of `lanes` for tables: rows of memory that are observations, columns variables."""

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
    _shuffle,
    _splat,
    _store_sums,
)
from fastnat.kernels._numpy_lanes import WIDTH, TableBody, accumulate, halve, sums_of_table


def _index(value: int) -> Any:
    return ir.Constant(_INDEX, value)


def _columns(builder: Any, vectors: list[Any]) -> list[Any]:
    """Eight rows of a table of d columns, given as d vectors, to one vector a column."""
    d = len(vectors)
    columns = []
    for j in range(d):
        places = [divmod(lane * d + j, WIDTH) for lane in range(WIDTH)]
        first, *others = dict.fromkeys(source for source, _ in places)
        column, lanes = vectors[first], [at for _, at in places]
        for source in others:
            lanes = [
                WIDTH + at if here == source else lane
                for lane, (here, at) in zip(lanes, places, strict=True)
            ]
            column = _shuffle(builder, column, vectors[source], lanes)
            lanes = list(range(WIDTH))
        columns.append(column)
    return columns


def emit_table(body: TableBody, context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Code of ``sums(x, w, start, n, like, consts, out)``."""
    d = len(signature.args[4])
    weighted = signature.args[1] != types.none
    x = _Array(context, builder, signature.args[0], args[0])
    w = _Array(context, builder, signature.args[1], args[1]) if weighted else None
    consts = _Array(context, builder, signature.args[5], args[5])
    out = _Array(context, builder, signature.args[6], args[6])
    start, n = args[2], args[3]
    lanes = LlvmLanes(builder)
    rows = [
        [
            _splat(builder, consts.scalar(builder.add(consts.columns, _index(j)) if c else _index(j)))
            for j in range(d)
        ]
        for c in range(2)
    ]
    n_sums, unroll = sums_of_table(body, d, weighted)

    def add(k: Any, sums: list[Any], active: Any = None) -> list[Any]:
        row = builder.add(start, k)
        first = builder.mul(row, _index(d))
        vectors = []
        for u in range(d):
            mask = None
            if active is not None:
                mask = _mask(builder, builder.sub(builder.mul(active, _index(d)), _index(u * WIDTH)))
            vectors.append(x.load(builder.add(first, _index(u * WIDTH)), mask))
        inside = None if active is None else _mask(builder, active)
        weight = None if w is None else w.load(row, inside)
        terms = body(lanes, _columns(builder, vectors), weight, rows)
        new = accumulate(lanes, sums, terms)
        if inside is None:
            return new
        return [lanes.select(inside, a, b) for a, b in zip(new, sums, strict=True)]

    def add_many(k: Any, sums: list[Any], count: int) -> list[Any]:
        sums = list(sums)
        for u in range(count):
            here = slice(u * n_sums, (u + 1) * n_sums)
            sums[here] = add(builder.add(k, _index(u * WIDTH)), sums[here])
        return sums

    def tail(k: Any, sums: list[Any]) -> list[Any]:
        return [*add(k, sums[:n_sums], builder.sub(n, k)), *sums[n_sums:]]

    step = WIDTH * unroll
    k, sums = _index(0), [_ZERO] * (unroll * n_sums)
    whole = builder.and_(n, _index(-step))
    k, sums = _loop(builder, k, whole, step, sums, lambda k, s: add_many(k, s, unroll))
    if unroll > 1:
        vectors = builder.and_(n, _index(-WIDTH))
        k, sums = _loop(builder, k, vectors, WIDTH, sums, lambda k, s: add_many(k, s, 1))
    _, sums = _loop(builder, k, n, WIDTH, sums, tail)
    totals = [halve([sums[u * n_sums + s] for u in range(unroll)], builder.fadd) for s in range(n_sums)]
    for first in range(0, n_sums, WIDTH):
        cells = [(totals[s], _index(s), 0) for s in range(first, min(first + WIDTH, n_sums))]
        _store_sums(builder, cells, out)
    return context.get_dummy_value()


def _transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """Eight vectors of eight: row i becomes lane i."""
    rows = list(rows)
    for step in (4, 2, 1):
        low = [c if not c & step else WIDTH + c - step for c in range(WIDTH)]
        high = [c + step if not c & step else WIDTH + c for c in range(WIDTH)]
        for r in range(WIDTH):
            if not r & step:
                a, b = rows[r], rows[r + step]
                rows[r], rows[r + step] = (_shuffle(builder, a, b, lanes) for lanes in (low, high))
    return rows


def emit_transpose(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Code of ``centre(x, start, n, d, consts, out)``."""
    x, consts, out = (
        _Array(context, builder, signature.args[i], args[i]) for i in (0, 4, 5)
    )
    start, n, d = args[1:4]
    last = builder.sub(n, _index(1))

    def tile(i: Any, j: Any, mask: Any) -> None:
        shifts = [consts.load(builder.add(builder.mul(consts.columns, _index(c)), j), mask) for c in range(2)]
        rows = []
        for r in range(WIDTH):
            row = builder.add(i, _index(r))
            row = builder.select(builder.icmp_signed("<", row, last), row, last)
            at = builder.add(builder.mul(builder.add(start, row), d), j)
            value = x.load(at, mask)
            rows.append(builder.fsub(builder.fsub(value, shifts[0]), shifts[1]))
        for c, column in enumerate(_transpose(builder, rows)):
            at = builder.add(builder.mul(builder.add(j, _index(c)), out.columns), i)
            out.store(column, at)

    def block(i: Any, _: list[Any]) -> list[Any]:
        whole = builder.and_(d, _index(-WIDTH))

        def inside(j: Any, _: list[Any]) -> list[Any]:
            tile(i, j, None)
            return []

        def edge(j: Any, _: list[Any]) -> list[Any]:
            tile(i, j, _mask(builder, builder.sub(d, j)))
            return []

        j, _ = _loop(builder, _index(0), whole, WIDTH, [], inside)
        _loop(builder, j, d, WIDTH, [], edge)
        return []

    _loop(builder, _index(0), n, WIDTH, [], block)
    return context.get_dummy_value()
