"""The LLVM side of `panels`: rows turned into columns, columns weighed, and their products."""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import types

from fastnat.kernels._llvm import (
    VECTOR,
    ZERO,
    Argument,
    LlvmLanes,
    eight_rows,
    emit_cases,
    groups,
    in_registers,
    integer,
    lanes_below,
    loop,
    shuffle,
    splat,
    transpose_and_add,
    transpose_four,
)
from fastnat.kernels._numpy_lanes import WIDTH

_TOGETHER = 5  # columns that are weighed in one loop over the rows
HALF = WIDTH // 2
"""Columns that are turned at a time."""
PAIR = 2 * WIDTH
"""Rows of two groups, which one vector of single precision holds."""
_SINGLES = ir.VectorType(ir.FloatType(), PAIR)
_LOW, _HIGH = list(range(WIDTH)), list(range(WIDTH, PAIR))


class Pairs(NamedTuple):
    """A tile: which columns are multiplied, how many are its own, how many others, in what."""

    pairs: list[tuple[int, int]]
    own: int
    others: int
    single: bool


class Panel(Argument):
    """A panel, or a column of one, as if it were contiguous: element k of it is at `load(k)`.

    In single precision both groups of a pair are where the first one was.
    """

    def column(self, number: Any) -> "Panel":
        column = copy.copy(self)
        column.data = self.builder.gep(self.data, [self.builder.mul(number, integer(WIDTH))])
        return column

    def _pointer(self, index: Any, width: int = WIDTH) -> Any:
        """Of eight elements, of which the first is a multiple of eight."""
        group = self.builder.lshr(index, integer(WIDTH.bit_length() - 1))
        return super()._pointer(self.builder.mul(group, self.columns), width)

    def _place(self, index: Any, single: bool) -> Any:
        place = self._pointer(index)
        return self.builder.bitcast(place, _SINGLES.as_pointer()) if single else place

    def load_as(self, index: Any, single: bool) -> Any:
        """Eight elements, or a pair of groups in single precision."""
        return self.builder.load(self._place(index, single), align=self.align)

    def store_pair(self, low: Any, high: Any, index: Any, single: bool) -> None:
        """Store two groups."""
        builder = self.builder
        if not single:
            self.store(low, index)
            self.store(high, builder.add(index, integer(WIDTH)))
            return
        half = ir.VectorType(_SINGLES.element, WIDTH)
        both = shuffle(
            builder, builder.fptrunc(low, half), builder.fptrunc(high, half), [*_LOW, *_HIGH]
        )
        builder.store(both, self._place(index, True), align=self.align)


def emit_turn(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Code of `panels.turn`, whose arguments are those of its twin."""
    kinds = signature.args
    x = Argument(context, builder, kinds[0], args[0])
    panel = Panel(context, builder, kinds[8], args[8])
    coefs, outs = (
        [
            Argument(context, builder, kind, builder.extract_value(args[i], k))
            for k, kind in enumerate(kinds[i])
        ]
        for i in (5, 7)
    )
    start, step, columns, n, shift, first, ahead = (args[i] for i in (1, 2, 3, 4, 6, 9, 10))
    lines = 1 if kinds[11] == types.none else HALF  # of those of eight rows and four columns
    lanes = LlvmLanes(builder)
    last = builder.sub(n, integer(1))
    skips = [builder.mul(step, integer(row)) for row in range(WIDTH)]

    def eight(i: Any, tail: bool) -> list[Any]:
        if tail:
            rows = eight_rows(builder, i, last)
            begins = [builder.add(start, builder.mul(row, step)) for row in rows]
        else:
            begin = builder.add(start, builder.mul(i, step))
            begins = [builder.add(begin, skip) for skip in skips]

        def add(k: Any, sums: list[Any], active: Any = None) -> list[Any]:
            mask = None if active is None else lanes_below(builder, active, HALF)
            skip = builder.mul(integer(lines), builder.mul(i, columns))
            skip = builder.add(builder.lshr(skip, integer(2)), builder.mul(integer(2 * lines), k))
            for line in range(lines):
                x.prefetch(builder.add(ahead, builder.add(skip, integer(line * WIDTH))))
            values = [x.load(builder.add(begin, k), mask, HALF) for begin in begins]
            for c, column in enumerate(transpose_four(builder, values)):
                place = integer(c)
                panel.column(builder.add(first, builder.add(k, place))).store(column, i)
                if active is not None:  # beyond it is 0 times anything that is there
                    inside = builder.icmp_signed("<", place, active)
                    place = builder.select(inside, place, integer(0))
                for m, coef in enumerate(coefs):
                    factor = splat(builder, coef.scalar(builder.add(k, place)))
                    at = 2 * m + c % 2
                    sums[at] = lanes.fma(factor, column, sums[at])
            return sums

        def edge(k: Any, sums: list[Any]) -> list[Any]:
            return add(k, [*sums], builder.sub(columns, k))

        fours = builder.and_(columns, integer(-HALF))
        sums = [splat(builder, shift), ZERO] * len(coefs)
        k, sums = loop(builder, integer(0), fours, HALF, sums, lambda k, sums: add(k, [*sums]))
        _, sums = loop(builder, k, columns, HALF, sums, edge)
        for m, out in enumerate(outs):
            out.store(lanes.add(*sums[2 * m : 2 * m + 2]), i)
        return []

    whole = builder.and_(n, integer(-WIDTH))
    i, _ = loop(builder, integer(0), whole, WIDTH, [], lambda i, _: eight(i, False))
    loop(builder, i, n, WIDTH, [], lambda i, _: eight(i, True))
    return context.get_dummy_value()


def emit_weigh(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Code of ``weigh(panel, first, columns, n, w, by, sums, at, single)``."""
    kinds = signature.args
    panel = Panel(context, builder, kinds[0], args[0])
    w, by, out = (Argument(context, builder, kinds[i], args[i]) for i in (4, 5, 6))
    first, columns, n, at = (args[i] for i in (1, 2, 3, 7))
    lanes = LlvmLanes(builder)

    def some(j: Any, count: int, single: bool) -> list[Any]:
        """As many columns from j on: what is read of all rows is read once for them."""
        numbers = [builder.add(j, integer(c)) for c in range(count)]
        places = [builder.add(at, builder.mul(number, integer(WIDTH))) for number in numbers]
        own = [panel.column(builder.add(first, number)) for number in numbers]

        def add(k: Any, sums: list[Any], masks: Sequence[Any] = (None, None)) -> list[Any]:
            steps = k, builder.add(k, integer(WIDTH))
            here = list(zip(steps, masks, strict=True))
            weights, factors = ([row.load(*place) for place in here] for row in (w, by))
            new = []
            for column, total in zip(own, sums, strict=True):
                values = [column.load(*place) for place in here]
                low, high = map(lanes.mul, values, weights)
                column.store_pair(low, high, k, single)
                for value, factor in zip(values, factors, strict=True):
                    total = lanes.fma(value, factor, total)
                new.append(total)
            return new

        def tail(k: Any, sums: list[Any]) -> list[Any]:
            left = builder.sub(n, k)
            beyond = builder.sub(left, integer(WIDTH))
            return add(k, sums, [lanes_below(builder, left), lanes_below(builder, beyond)])

        whole = builder.and_(n, integer(-PAIR))
        sums = [out.load(place) for place in places]
        k, sums = loop(builder, integer(0), whole, PAIR, sums, add)
        _, sums = loop(builder, k, n, PAIR, sums, tail)
        for place, total in zip(places, sums, strict=True):
            out.store(total, place)
        return []

    def every(single: bool) -> None:
        together = builder.sub(columns, builder.urem(columns, integer(_TOGETHER)))

        def of(count: int) -> Any:
            return lambda j, _: some(j, count, single)

        j, _ = loop(builder, integer(0), together, _TOGETHER, [], of(_TOGETHER))
        loop(builder, j, columns, 1, [], of(1))

    emit_cases(builder, args[8], [False, True], every)
    return context.get_dummy_value()


def emit_tile(
    shapes: Sequence[Pairs], context: Any, builder: Any, signature: Any, args: Any
) -> Any:
    """Code of ``tile(shape, panel, first, second, n, out, at, ahead, position)``."""
    kinds = signature.args
    panel = Panel(context, builder, kinds[1], args[1])
    out, ahead = (Argument(context, builder, kinds[i], args[i]) for i in (5, 7))
    first, second, n, at, position = (args[i] for i in (2, 3, 4, 6, 8))

    def add(shape: Pairs) -> None:
        numbers = [builder.add(first, integer(j)) for j in range(shape.own)]
        numbers += [builder.add(second, integer(j)) for j in range(shape.others)]
        columns = list(map(panel.column, numbers))
        vectors: list[Any] = []
        for some in groups(len(shape.pairs), in_registers(context)):
            pairs = shape.pairs[some.start : some.stop]
            vectors += _sums_of(builder, columns, pairs, shape.single, n, ahead, position)
        width, zero = vectors[0].type.count, ir.Constant(vectors[0].type, None)
        vectors += [zero] * (-len(vectors) % width)
        for begin in range(0, len(vectors), width):
            sums = transpose_and_add(builder, vectors[begin : begin + width])
            for k, eight in enumerate(_as_doubles(builder, sums)):
                place = builder.add(at, integer(begin + k * WIDTH))
                out.store(builder.fadd(out.load(place), eight), place)

    emit_cases(builder, args[0], shapes, add)
    return context.get_dummy_value()


def _as_doubles(builder: Any, vector: Any) -> list[Any]:
    """The elements of a vector of any kind, eight at a time."""
    if vector.type == VECTOR:
        return [vector]
    halves = [shuffle(builder, vector, vector, lanes) for lanes in (_LOW, _HIGH)]
    return [builder.fpext(half, VECTOR) for half in halves]


def _sums_of(
    builder: Any,
    columns: list[Panel],
    pairs: list[tuple[int, int]],
    single: bool,
    n: Any,
    ahead: Argument,
    position: Any,
) -> list[Any]:
    """Vectors whose lanes are to be added up, of each product; a line is asked for eight rows."""
    lanes, step = LlvmLanes(builder), PAIR if single else WIDTH

    def add(k: Any, sums: list[Any]) -> list[Any]:
        for row in range(0, step, WIDTH):
            ahead.prefetch(builder.add(position, builder.add(k, integer(row))))
        values = [column.load_as(k, single) for column in columns]
        return [lanes.fma(values[a], values[b], s) for (a, b), s in zip(pairs, sums, strict=True)]

    zero = ir.Constant(_SINGLES if single else VECTOR, None)
    _, sums = loop(builder, integer(0), n, step, [zero] * len(pairs), add)
    return list(sums)
