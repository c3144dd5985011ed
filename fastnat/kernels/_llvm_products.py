"""The LLVM side of `products`: rows of matrices where they lie, broadcasts times vectors."""

import itertools
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

_TOGETHER = 4  # rows between two tests for the end, where there are few sums
_A, _B, _W, _Y, _OUT = 1, 4, 8, 9, 11  # arguments of a tile that are arrays, or None

Part = tuple[list[tuple[int, int]], range]
"""Rows of sums, each with the number of vectors that hold one of them, and which vectors."""


def emit_tiles(
    shapes: list[tuple[int, int]], context: Any, builder: Any, signature: Any, args: Any
) -> Any:
    """Code of a tile of `products`, one for each shape: columns of a, vectors of a row of b."""
    rows, size, columns = _Rows(context, builder, signature, args), args[0], args[7]
    vectors = builder.udiv(builder.add(columns, integer(WIDTH - 1)), integer(WIDTH))
    number = builder.add(builder.mul(size, integer(MOST_VECTORS + 1)), vectors)
    after = builder.append_basic_block("after")
    chosen = builder.switch(number, after)
    for n_rows, n_vectors in shapes:
        block = builder.append_basic_block("tile")
        chosen.add_case(integer(n_rows * (MOST_VECTORS + 1) + n_vectors), block)
        builder.position_at_end(block)
        together = _TOGETHER if n_rows * n_vectors <= WIDTH else 1
        for part in _parts(n_rows, n_vectors, rows.responds, in_registers(context)):
            rows.emit(part, (n_rows, n_vectors), together)
        builder.branch(after)
    builder.position_at_end(after)
    return context.get_dummy_value()


def _parts(n_rows: int, n_vectors: int, responds: bool, most: int) -> list[Part]:
    """Parts of at most so many sums.

    Those of the response, which comes last, are held as if they were alone: so their order is that
    of a response alone.  One row stays together: broadcasts are few.
    """
    unroll, own = unroll_of(n_rows * n_vectors), unroll_of(n_vectors)
    rows, last = [(j, unroll) for j in range(n_rows)], [(n_rows, own)] * responds
    if not rows or n_vectors * (n_rows * unroll + len(last) * own) <= most:
        return [(rows + last, range(n_vectors))]
    whole = n_rows == 1 or n_rows * n_vectors * unroll <= most
    by_vector = groups(n_vectors, n_vectors if whole else 1)
    by_row = groups(n_rows, n_rows if whole else max(1, most // unroll))
    parts = [(rows[js[0] : js[-1] + 1], ks) for ks in by_vector for js in by_row]
    return parts + [(last, range(n_vectors))] * responds


class _Rows:
    """What is read of the arguments of a tile, row by row, and summed."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        kinds = signature.args
        self.arrays = {
            i: Argument(context, builder, kinds[i], args[i])
            for i in (_A, _B, _W, _Y, _OUT)
            if kinds[i] != types.none
        }
        self.builder, self.args, self.lanes = builder, args, LlvmLanes(builder)
        self.responds = _Y in self.arrays

    def _factors(self, i: Any, numbers: list[int], size: int) -> dict[int, Any]:
        """Eight copies of what multiplies row i of b: elements of a, and as number ``size`` y."""
        builder, a = self.builder, self.arrays[_A]
        begin = builder.add(self.args[2], builder.mul(i, self.args[3]))
        scalars = {j: a.scalar(builder.add(begin, integer(j))) for j in numbers if j < size}
        if size in numbers:
            scalars[size] = self.arrays[_Y].scalar(i)
        return {j: splat(builder, scalar) for j, scalar in scalars.items()}

    def _vectors(self, i: Any, places: dict[int, Any], ahead: bool) -> dict[int, Any]:
        """Row i of b, weighted; places : its vectors, and their masks."""
        builder, b = self.builder, self.arrays[_B]
        first = builder.add(self.args[5], builder.mul(i, self.args[6]))
        if ahead:
            b.prefetch(builder.add(first, integer(AHEAD)))
        vectors = {
            k: b.load(builder.add(first, integer(WIDTH * k)), mask) for k, mask in places.items()
        }
        if _W in self.arrays:
            weight = splat(builder, self.arrays[_W].scalar(i))
            vectors = {k: self.lanes.mul(weight, vector) for k, vector in vectors.items()}
        return vectors

    def emit(self, part: Part, shape: tuple[int, int], together: int) -> None:
        """Sum up a part of a tile of that shape, so many rows together."""
        builder, (rows, which), (size, n_vectors) = self.builder, part, shape
        # Vectors before the last one are whole.
        places: dict[int, Any] = dict.fromkeys(which)
        if n_vectors - 1 in places:
            rest = builder.sub(self.args[7], integer(WIDTH * (n_vectors - 1)))
            places[n_vectors - 1] = lanes_below(builder, rest)
        cells = [(j, k, held) for j, held in rows for k in which]
        *begins, n_sums = itertools.accumulate((held for _, _, held in cells), initial=0)
        ahead = self.responds and size > 0  # rows that nobody has read just before

        def add(i: Any, sums: list[Any], turn: int = 0) -> list[Any]:
            right = self._vectors(i, places, ahead)
            left, new = self._factors(i, [j for j, _ in rows], size), list(sums)
            for (j, k, held), begin in zip(cells, begins, strict=True):
                s = begin + turn % held
                new[s] = self.lanes.fma(left[j], right[k], sums[s])
            return new

        def add_many(i: Any, sums: list[Any]) -> list[Any]:
            for turn in range(together):
                sums = add(builder.add(i, integer(turn)), sums, turn)
            return sums

        n, sums = self.args[10], [ZERO] * n_sums
        whole = builder.and_(n, integer(-together))
        i, sums = loop(builder, integer(0), whole, together, sums, add_many)
        if together > 1:
            _, sums = loop(builder, i, n, 1, sums, lambda i, sums: add(i, sums))
        for (j, k, held), begin in zip(cells, begins, strict=True):
            self._add_total(halve(sums[begin : begin + held], self.lanes.add), j, k)

    def _add_total(self, total: Any, j: int, k: int) -> None:
        builder, out = self.builder, self.arrays[_OUT]
        place = builder.add(self.args[12], builder.mul(self.args[13], integer(j)))
        place = builder.add(place, integer(WIDTH * k))
        out.store(self.lanes.add(out.load(place), total), place)


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
