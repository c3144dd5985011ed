"""The LLVM side of `panels`: rows turned into columns, columns weighed, and their products."""

import copy
from collections.abc import Sequence
from typing import Any

from fastnat.kernels._llvm import (
    ZERO,
    Argument,
    LlvmLanes,
    eight_rows,
    integer,
    lanes_below,
    loop,
    splat,
    transpose_four,
)
from fastnat.kernels._llvm_rows import Call
from fastnat.kernels._llvm_tiles import emit_shapes
from fastnat.kernels._numpy_lanes import WIDTH, Shape

_TOGETHER = 5  # columns that are weighed in one loop over the rows
HALF = WIDTH // 2
"""Columns that are turned at a time."""


class Panel(Argument):
    """A panel, or a column of one, as if it were contiguous: element k of it is at `load(k)`."""

    def column(self, number: Any) -> "Panel":
        column = copy.copy(self)
        column.data = self.builder.gep(self.data, [self.builder.mul(number, integer(WIDTH))])
        return column

    def _pointer(self, index: Any, width: int = WIDTH) -> Any:
        """Of eight elements, of which the first is a multiple of eight."""
        group = self.builder.lshr(index, integer(WIDTH.bit_length() - 1))
        return super()._pointer(self.builder.mul(group, self.columns), width)


def emit_turn(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Code of ``turn(x, start, step, columns, n, coefs, shift, outs, panel, first, ahead)``."""
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
            # A line: a quarter of what eight rows of four columns are.
            skip = builder.lshr(builder.mul(i, columns), integer(2))
            skip = builder.add(skip, builder.mul(k, integer(2)))
            x.prefetch(builder.add(ahead, skip))
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
    """Code of ``weigh(panel, first, columns, n, w, by, sums, at)``."""
    kinds = signature.args
    panel = Panel(context, builder, kinds[0], args[0])
    w, by, out = (Argument(context, builder, kinds[i], args[i]) for i in (4, 5, 6))
    first, columns, n, at = (args[i] for i in (1, 2, 3, 7))
    lanes = LlvmLanes(builder)

    def some(j: Any, count: int) -> list[Any]:
        """As many columns from j on: what is read of all rows is read once for them."""
        numbers = [builder.add(j, integer(c)) for c in range(count)]
        places = [builder.add(at, builder.mul(number, integer(WIDTH))) for number in numbers]
        own = [panel.column(builder.add(first, number)) for number in numbers]

        def add(k: Any, sums: list[Any], mask: Any = None) -> list[Any]:
            weights, factors = w.load(k), by.load(k, mask)
            values = [column.load(k) for column in own]
            for value, column in zip(values, own, strict=True):
                column.store(lanes.mul(value, weights), k)
            if mask is not None:
                values = [lanes.select(mask, value, ZERO) for value in values]
            return [lanes.fma(v, factors, s) for v, s in zip(values, sums, strict=True)]

        def tail(k: Any, sums: list[Any]) -> list[Any]:
            return add(k, sums, lanes_below(builder, builder.sub(n, k)))

        whole = builder.and_(n, integer(-WIDTH))
        sums = [out.load(place) for place in places]
        k, sums = loop(builder, integer(0), whole, WIDTH, sums, add)
        _, sums = loop(builder, k, n, WIDTH, sums, tail)
        for place, total in zip(places, sums, strict=True):
            out.store(total, place)
        return []

    together = builder.sub(columns, builder.urem(columns, integer(_TOGETHER)))
    j, _ = loop(builder, integer(0), together, _TOGETHER, [], lambda j, _: some(j, _TOGETHER))
    loop(builder, j, columns, 1, [], lambda j, _: some(j, 1))
    return context.get_dummy_value()


class _Asking(Call):
    """A call that asks for a line of ``ahead`` with each vector."""

    ahead: Argument

    def prefetch(self, at: Any, distance: Any) -> None:
        self.ahead.prefetch(self.builder.add(at, distance))


def emit_tile(
    shapes: Sequence[Shape], context: Any, builder: Any, signature: Any, args: Any
) -> Any:
    """Code of ``tile(shape, panel, first, second, n, out, at, ahead, position)``."""
    kinds = signature.args
    panel = Panel(context, builder, kinds[1], args[1])
    out, ahead = (Argument(context, builder, kinds[i], args[i]) for i in (5, 7))

    def call_of(shape: Shape, places: list[Any]) -> Call:
        call = _Asking(shape.body, 0, builder, [*map(panel.column, places)], ())
        call.ahead = ahead
        return call

    chosen = args[0], *args[2:4]
    emit_shapes(shapes, context, builder, chosen, call_of, args[4], args[8], out, args[6])
    return context.get_dummy_value()
