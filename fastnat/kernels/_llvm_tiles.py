"""The LLVM side of `tiles`: sums of products of some rows of a matrix with others."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from numba.core import types

from fastnat.kernels._llvm import ZERO, Argument, in_registers, integer, transpose_and_add
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

    def call_of(shape: Shape, places: list[Any]) -> Call:
        return Call(shape.body, 0, builder, [*map(rows.row, places), w], flags)

    emit_shapes(
        shapes, context, builder, (args[0], *args[2:4]), call_of, args[5], None, out, args[8]
    )
    return context.get_dummy_value()


def emit_shapes(
    shapes: Sequence[Shape],
    context: Any,
    builder: Any,
    chosen: Sequence[Any],
    call_of: Callable[[Shape, list[Any]], Call],
    n: Any,
    ahead: Any,
    out: Argument,
    at: Any,
) -> None:
    """Code that adds the sums of a shape over ``n`` elements to ``out[at:]``, once for each shape.

    chosen : which shape it is, where its own rows begin, and where the others do.
    call_of : (shape, numbers of its rows) -> what is read of them; ahead : as of `Part.run`.
    """
    number, first, second = chosen
    after = builder.append_basic_block("after")
    switch = builder.switch(number, after)
    for which, shape in enumerate(shapes):
        block = builder.append_basic_block("tile")
        switch.add_case(integer(which), block)
        builder.position_at_end(block)
        places = [builder.add(first, integer(j)) for j in range(shape.own)]
        places += [builder.add(second, integer(j)) for j in range(shape.others)]
        found = [
            part.run([integer(0)], [[]], n, ahead)
            for part in parts_of(call_of(shape, places), 1, shape.unroll, in_registers(context))
        ]
        vectors = [vector for (vector,) in itertools.chain(*found)]
        vectors += [ZERO] * (-len(vectors) % WIDTH)
        for begin in range(0, len(vectors), WIDTH):
            sums = transpose_and_add(builder, vectors[begin : begin + WIDTH])
            place = builder.add(at, integer(begin))
            out.store(builder.fadd(out.load(place), sums), place)
        builder.branch(after)
    builder.position_at_end(after)
