"""The LLVM side of `tiles`: sums of products of some rows of a matrix with others."""

import itertools
from collections.abc import Sequence
from typing import Any

from numba.core import types

from fastnat.kernels._llvm import (
    ZERO,
    Argument,
    emit_cases,
    in_registers,
    integer,
    transpose_and_add,
)
from fastnat.kernels._llvm_rows import Call, parts_of
from fastnat.kernels._numpy_lanes import WIDTH, Shape


def emit_tile(
    shapes: Sequence[Shape], context: Any, builder: Any, signature: Any, args: Any
) -> Any:
    """Code of ``tile(shape, rows, first, second, w, n, flags, out, at)``, once for each shape."""
    kinds = signature.args
    rows, out = (Argument(context, builder, kinds[i], args[i]) for i in (1, 7))
    w = None if kinds[4] == types.none else Argument(context, builder, kinds[4], args[4])
    flags = tuple(kind != types.none for kind in kinds[6])

    first, second, n, at = (args[i] for i in (2, 3, 5, 8))

    def add(shape: Shape) -> None:
        places = [builder.add(first, integer(j)) for j in range(shape.own)]
        places += [builder.add(second, integer(j)) for j in range(shape.others)]
        call = Call(shape.body, 0, builder, [*map(rows.row, places), w], flags)
        found = [
            part.run([integer(0)], [[]], n, None)
            for part in parts_of(call, 1, shape.unroll, in_registers(context))
        ]
        vectors = [vector for (vector,) in itertools.chain(*found)]
        vectors += [ZERO] * (-len(vectors) % WIDTH)
        for begin in range(0, len(vectors), WIDTH):
            sums = transpose_and_add(builder, vectors[begin : begin + WIDTH])
            place = builder.add(at, integer(begin))
            out.store(builder.fadd(out.load(place), sums), place)

    emit_cases(builder, args[0], shapes, add)
    return context.get_dummy_value()
