"""The LLVM side of `lanes` for tables: rows of memory that are observations, columns variables."""

from typing import Any

from numba.core import types

from fastnat.kernels._llvm import (
    AHEAD,
    ZERO,
    Argument,
    LlvmLanes,
    eight_rows,
    integer,
    lanes_below,
    loop,
    shuffle,
    splat,
    store_sums,
    transpose,
)
from fastnat.kernels._numpy_lanes import WIDTH, TableBody, accumulate, halve, sums_of_table


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
            column = shuffle(builder, column, vectors[source], lanes)
            lanes = list(range(WIDTH))
        columns.append(column)
    return columns


def _constants(builder: Any, consts: Argument, begin: Any, d: int) -> list[Any]:
    """Eight copies of each of d constants, from element ``begin`` on."""
    return [splat(builder, consts.scalar(builder.add(begin, integer(j)))) for j in range(d)]


def emit_table(body: TableBody, context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Code of ``sums(x, w, start, n, like, consts, out, top)``."""
    d = len(signature.args[4])
    weighted = signature.args[1] != types.none
    x = Argument(context, builder, signature.args[0], args[0])
    w = Argument(context, builder, signature.args[1], args[1]) if weighted else None
    consts = Argument(context, builder, signature.args[5], args[5])
    out = Argument(context, builder, signature.args[6], args[6])
    start, n = args[2], args[3]
    lanes = LlvmLanes(builder)
    rows = [_constants(builder, consts, begin, d) for begin in (integer(0), consts.columns)]
    n_sums, unroll = sums_of_table(body, d, weighted)

    def add(k: Any, sums: list[Any], active: Any = None) -> list[Any]:
        row = builder.add(start, k)
        first = builder.mul(row, integer(d))
        vectors = []
        for u in range(d):
            mask = None
            if active is not None:
                mask = lanes_below(
                    builder, builder.sub(builder.mul(active, integer(d)), integer(u * WIDTH))
                )
            place = builder.add(first, integer(u * WIDTH))
            x.prefetch(builder.add(place, integer(AHEAD)))
            vectors.append(x.load(place, mask))
        inside = None if active is None else lanes_below(builder, active)
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
            sums[here] = add(builder.add(k, integer(u * WIDTH)), sums[here])
        return sums

    def tail(k: Any, sums: list[Any]) -> list[Any]:
        return [*add(k, sums[:n_sums], builder.sub(n, k)), *sums[n_sums:]]

    step = WIDTH * unroll
    k, sums = integer(0), [ZERO] * (unroll * n_sums)
    whole = builder.and_(n, integer(-step))
    k, sums = loop(builder, k, whole, step, sums, lambda k, s: add_many(k, s, unroll))
    if unroll > 1:
        vectors = builder.and_(n, integer(-WIDTH))
        k, sums = loop(builder, k, vectors, WIDTH, sums, lambda k, s: add_many(k, s, 1))
    _, sums = loop(builder, k, n, WIDTH, sums, tail)
    totals = [
        halve([sums[u * n_sums + s] for u in range(unroll)], builder.fadd) for s in range(n_sums)
    ]
    for first in range(0, n_sums, WIDTH):
        numbers = range(first, min(first + WIDTH, n_sums))
        cells = [(totals[s], builder.add(args[7], integer(s)), 0) for s in numbers]
        store_sums(builder, cells, out)
    return context.get_dummy_value()


def emit_transpose(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Code of ``centre(x, start, n, d, consts, out)``."""
    x, consts, out = (Argument(context, builder, signature.args[i], args[i]) for i in (0, 4, 5))
    start, n, d = args[1:4]
    last = builder.sub(n, integer(1))

    def block(i: Any, _: list[Any]) -> list[Any]:
        rows = eight_rows(builder, i, last)
        begins = [builder.mul(builder.add(start, row), d) for row in rows]

        def tile(j: Any, mask: Any = None) -> list[Any]:
            second = builder.add(consts.columns, j)
            shift, running = consts.load(j, mask), consts.load(second, mask)
            for begin in begins:
                x.prefetch(builder.add(begin, builder.add(j, integer(AHEAD))))
            values = [x.load(builder.add(begin, j), mask) for begin in begins]
            values = [builder.fsub(builder.fsub(value, shift), running) for value in values]
            for c, column in enumerate(transpose(builder, values)):
                row = builder.mul(builder.add(j, integer(c)), out.columns)
                out.store(column, builder.add(row, i))
            return []

        def edge(j: Any, _: list[Any]) -> list[Any]:
            return tile(j, lanes_below(builder, builder.sub(d, j)))

        whole = builder.and_(d, integer(-WIDTH))
        j, _ = loop(builder, integer(0), whole, WIDTH, [], lambda j, _: tile(j))
        loop(builder, j, d, WIDTH, [], edge)
        return []

    loop(builder, integer(0), n, WIDTH, [], block)
    return context.get_dummy_value()
