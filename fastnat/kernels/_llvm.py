"""The LLVM side of explicit lanes: eight of them as ``<8 x double>``, through llvmlite."""

import copy
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.errors import TypingError

from fastnat.kernels._numpy_lanes import WIDTH, halve

DOUBLE = ir.DoubleType()
AHEAD = 1280  # elements: eight rows at a time are short streams, which no hardware follows
INDEX = ir.IntType(64)
VECTOR = ir.VectorType(DOUBLE, WIDTH)
ZERO = ir.Constant(VECTOR, [0.0] * WIDTH)
_BYTE = ir.IntType(8)


def integer(value: int) -> Any:
    """A constant."""
    return ir.Constant(INDEX, value)


class LlvmLanes:
    """The operations of a body on ``<8 x double>``, emitted through an LLVM IR builder."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder

    def constant(self, value: float) -> Any:
        return ir.Constant(VECTOR, [float(value)] * WIDTH)

    def add(self, a: Any, b: Any) -> Any:
        return self.builder.fadd(a, b)

    def sub(self, a: Any, b: Any) -> Any:
        return self.builder.fsub(a, b)

    def mul(self, a: Any, b: Any) -> Any:
        return self.builder.fmul(a, b)

    def div(self, a: Any, b: Any) -> Any:
        return self.builder.fdiv(a, b)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        # llvmlite's builder.fma refuses vectors.
        name = f"llvm.fma.v{a.type.count}f{64 if a.type.element == DOUBLE else 32}"
        fma = _declare(self.builder.module, name, a.type, [a.type] * 3)
        return self.builder.call(fma, [a, b, c])

    def le(self, a: Any, b: Any) -> Any:
        return self.builder.fcmp_ordered("<=", a, b)

    def lt(self, a: Any, b: Any) -> Any:
        return self.builder.fcmp_ordered("<", a, b)

    def not_lt(self, a: Any, b: Any) -> Any:
        return self.builder.fcmp_unordered(">=", a, b)

    def both(self, a: Any, b: Any) -> Any:
        return self.builder.and_(a, b)

    def select(self, mask: Any, a: Any, b: Any) -> Any:
        return self.builder.select(mask, a, b)

    def count(self, total: Any, mask: Any) -> Any:
        """Lanes of their own, or an integer, whose unit has little else to do."""
        if total.type == VECTOR:
            return self.add(total, self.select(mask, self.constant(1.0), ZERO))
        bits = self.builder.bitcast(mask, _BYTE)
        return self.builder.add(total, self.builder.zext(self.builder.ctpop(bits), INDEX))


def call_of(kinds: Any) -> Any:
    """The signature of a call that returns nothing; whole numbers have 64 bits."""
    wide = (types.int64 if isinstance(kind, types.Integer) else kind for kind in kinds)
    return types.void(*wide)


def check_types(arrays: Any, consts: Any, out: Any) -> None:
    for array in (*arrays, consts, out):
        if array == types.none:
            continue
        if array.layout != "C" or not isinstance(array.dtype, types.Float):
            raise TypingError("lanes read C-contiguous arrays of float64 or float32")


def in_registers(context: Any) -> int:
    """How many sums of eight lanes are held at a time.

    Of 512 bits there are 32 registers, for which everything is laid out.  Of 256 bits there are 16,
    and a vector takes two; some are needed for what is multiplied.
    """
    features = context.codegen().magic_tuple()[2]
    return 1000 if "+avx512f" in features else 5


def groups(n: int, most: int) -> list[range]:
    """Cut 0, ..., n - 1 into as few groups of at most so many as can be, almost equal ones."""
    count = -(-n // most)
    ends = [n * i // count for i in range(count + 1)]
    return [range(a, b) for a, b in itertools.pairwise(ends)]


def _declare(module: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    known = module.globals.get(name)
    return known or ir.Function(module, ir.FunctionType(result, arguments), name)


def splat(builder: Any, scalar: Any) -> Any:
    undefined = ir.Constant(VECTOR, ir.Undefined)
    one = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return shuffle(builder, one, undefined, [0] * WIDTH)


def shuffle(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    kind = ir.VectorType(ir.IntType(32), len(lanes))
    return builder.shuffle_vector(a, b, ir.Constant(kind, lanes))


def eight_rows(builder: Any, first: Any, last: Any) -> list[Any]:
    """Numbers of eight rows from ``first`` on, with ``last`` in the place of those beyond it."""
    rows = [builder.add(first, integer(r)) for r in range(WIDTH)]
    return [builder.select(builder.icmp_signed("<", r, last), r, last) for r in rows]


def lanes_below(builder: Any, active: Any, width: int = WIDTH) -> Any:
    """Lanes below ``active``, as ``<8 x i1>``, or so many."""
    wide = ir.VectorType(INDEX, width)
    undefined = ir.Constant(wide, ir.Undefined)
    one = builder.insert_element(undefined, active, ir.Constant(ir.IntType(32), 0))
    limit = shuffle(builder, one, undefined, [0] * width)
    return builder.icmp_signed("<", ir.Constant(wide, list(range(width))), limit)


class Argument:
    """The data pointer, element type and row length of an array argument."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        array = context.make_array(kind)(context, builder, value)
        self.builder = builder
        self.data = array.data
        self.element = context.get_data_type(kind.dtype)
        self.align = kind.dtype.bitwidth // 8
        self.columns = builder.extract_value(array.shape, kind.ndim - 1)

    def _pointer(self, index: Any, width: int = WIDTH) -> Any:
        kind = ir.VectorType(self.element, width).as_pointer()
        return self.builder.bitcast(self.builder.gep(self.data, [index]), kind)

    def scalar(self, index: Any) -> Any:
        return self.builder.load(self.builder.gep(self.data, [index]))

    def load(self, index: Any, mask: Any = None, width: int = WIDTH) -> Any:
        """So many elements from ``index`` as doubles; masked lanes are not read and are zero."""
        builder, kind = self.builder, ir.VectorType(self.element, width)
        pointer = self._pointer(index, width)
        if mask is None:
            value = builder.load(pointer, align=self.align)
        else:
            name = f"llvm.masked.load.v{width}f{self.align * 8}.p0v{width}f{self.align * 8}"
            masked = _declare(
                builder.module, name, kind, [pointer.type, ir.IntType(32), mask.type, kind]
            )
            zero = ir.Constant(kind, [0.0] * width)
            align = ir.Constant(ir.IntType(32), self.align)
            value = builder.call(masked, [pointer, align, mask, zero])
        double = ir.VectorType(DOUBLE, width)
        return value if self.element == DOUBLE else builder.fpext(value, double)

    def row(self, number: Any) -> "Argument":
        """This row, from its first element on; an array of one dimension is a row."""
        row = copy.copy(self)
        row.data = self.builder.gep(self.data, [self.builder.mul(number, self.columns)])
        return row

    def prefetch(self, index: Any) -> None:
        """Ask for the second-level cache; harmless beyond the end of the array."""
        builder, i32 = self.builder, ir.IntType(32)
        pointer = builder.gep(self.data, [index])
        pointer = builder.bitcast(pointer, ir.IntType(8).as_pointer())
        arguments = [pointer.type, i32, i32, i32]
        prefetch = _declare(builder.module, "llvm.prefetch.p0i8", ir.VoidType(), arguments)
        builder.call(prefetch, [pointer, *(ir.Constant(i32, c) for c in (0, 2, 1))])

    def store(self, value: Any, index: Any) -> None:
        self.builder.store(value, self._pointer(index), align=self.align)


def loop(builder: Any, begin: Any, end: Any, step: int, carried: list[Any], emit: Any) -> Any:
    """``for k in range(begin, end, step): carried = emit(k, carried)``; returns (k, carried)."""
    before = builder.block
    head = builder.append_basic_block("head")
    inside = builder.append_basic_block("inside")
    after = builder.append_basic_block("after")
    builder.branch(head)
    builder.position_at_end(head)
    k = builder.phi(INDEX)
    k.add_incoming(begin, before)
    phis = [builder.phi(value.type) for value in carried]
    for phi, value in zip(phis, carried, strict=True):
        phi.add_incoming(value, before)
    builder.cbranch(builder.icmp_signed("<", k, end), inside, after)
    builder.position_at_end(inside)
    new = emit(k, phis)
    k.add_incoming(builder.add(k, integer(step)), builder.block)
    for phi, value in zip(phis, new, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return k, phis


def emit_cases(builder: Any, number: Any, cases: Sequence[Any], emit: Callable[[Any], Any]) -> None:
    """``emit(cases[number])``, of which the code is there once for each; nothing beyond them."""
    after = builder.append_basic_block("after")
    switch = builder.switch(number, after)
    for which, case in enumerate(cases):
        block = builder.append_basic_block("case")
        switch.add_case(ir.Constant(number.type, which), block)
        builder.position_at_end(block)
        emit(case)
        builder.branch(after)
    builder.position_at_end(after)


def store_sums(builder: Any, cells: list[tuple[Any, Any, int]], out: Argument) -> None:
    """Store the sum over the lanes of each (vector, cell, column beyond it), at most eight."""
    lanes = [ir.Constant(ir.IntType(32), i) for i in range(WIDTH)]
    vectors = [vector for vector, _, _ in cells]
    if len(cells) > WIDTH // 4:
        together = transpose_and_add(builder, vectors + [ZERO] * (WIDTH - len(cells)))
        totals = [builder.extract_element(together, i) for i in lanes[: len(cells)]]
    else:
        each = [[builder.extract_element(vector, i) for i in lanes] for vector in vectors]
        totals = [halve(elements, builder.fadd) for elements in each]
    for total, (_, cell, column) in zip(totals, cells, strict=True):
        at = builder.add(cell, integer(column))
        builder.store(total, builder.gep(out.data, [at]))


def _meeting(width: int, unit: int, span: int) -> tuple[list[int], list[int]]:
    """Lanes of two vectors that meet, ``unit`` neighbours together: first ones and second ones.

    Within each ``span`` they are those of the first vector, then those of the other.
    """
    first = [
        source + begin + at + lane
        for begin in range(0, width, span)
        for source in (0, width)
        for at in range(0, span, 2 * unit)
        for lane in range(unit)
    ]
    return first, [lane + unit for lane in first]


def _levels(width: int) -> list[tuple[list[int], list[int]]]:
    """Which lanes meet in turn, until all of a vector have: first within 128 bits, then across.

    So all shuffles are of the kinds that need no vector of indices.
    """
    own = width // 4
    within = [_meeting(width, 1, own)] * (own.bit_length() - 1)
    return within + [_meeting(width, own, width)] * 2


_LEVELS = {width: _levels(width) for width in (WIDTH, 2 * WIDTH)}


def transpose_and_add(builder: Any, vectors: list[Any]) -> Any:
    """The sums over the lanes of as many vectors, as one: of eight by seven additions, not by 56.

    Lanes are added as neighbours, as in `halve`.
    """
    for first, second in _LEVELS[len(vectors)]:
        vectors = [
            builder.fadd(shuffle(builder, a, b, first), shuffle(builder, a, b, second))
            for a, b in zip(vectors[::2], vectors[1::2], strict=True)
        ]
    return vectors[0]


def transpose(builder: Any, vectors: list[Any]) -> list[Any]:
    """Eight vectors of eight: vector i becomes lane i."""
    for first, second in _LEVELS[WIDTH]:
        pairs = list(zip(vectors[::2], vectors[1::2], strict=True))
        vectors = [shuffle(builder, a, b, lanes) for lanes in (first, second) for a, b in pairs]
    return vectors


def transpose_four(builder: Any, vectors: list[Any]) -> list[Any]:
    """Eight vectors of four, of as many rows: vector i becomes lane i of four vectors of eight.

    Halves are put together as they are loaded; no shuffle needs a vector of indices.
    """
    halves = [shuffle(builder, vectors[a], vectors[b], list(range(WIDTH))) for a, b in _HALVES]
    for even, odd in _LEVELS[WIDTH][:2]:
        pairs = list(zip(halves[::2], halves[1::2], strict=True))
        halves = [shuffle(builder, a, b, lanes) for lanes in (even, odd) for a, b in pairs]
    return halves


_HALVES = (0, 2), (1, 3), (4, 6), (5, 7)
