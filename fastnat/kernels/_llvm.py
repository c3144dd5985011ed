"""The LLVM side of `lanes`: eight lanes as ``<8 x double>``, emitted through llvmlite."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.errors import TypingError

from fastnat.kernels._numpy_lanes import WIDTH, Body, Count, NumpyLanes, accumulate, halve

_DOUBLE = ir.DoubleType()
AHEAD = 1280  # elements: eight rows at a time are short streams, which no hardware follows
_INDEX = ir.IntType(64)
_VECTOR = ir.VectorType(_DOUBLE, WIDTH)
ZERO = ir.Constant(_VECTOR, [0.0] * WIDTH)
_BYTE = ir.IntType(8)


def integer(value: int) -> Any:
    """A constant."""
    return ir.Constant(_INDEX, value)


class LlvmLanes:
    """The operations of a body on ``<8 x double>``, emitted through an LLVM IR builder."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder

    def constant(self, value: float) -> Any:
        return ir.Constant(_VECTOR, [float(value)] * WIDTH)

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
        fma = _declare(self.builder.module, "llvm.fma.v8f64", _VECTOR, [_VECTOR] * 3)
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
        if total.type == _VECTOR:
            return self.add(total, self.select(mask, self.constant(1.0), ZERO))
        bits = self.builder.bitcast(mask, _BYTE)
        return self.builder.add(total, self.builder.zext(self.builder.ctpop(bits), _INDEX))


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


def _declare(module: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    known = module.globals.get(name)
    return known or ir.Function(module, ir.FunctionType(result, arguments), name)


def splat(builder: Any, scalar: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    one = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return shuffle(builder, one, undefined, [0] * WIDTH)


def shuffle(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), lanes))


def eight_rows(builder: Any, first: Any, last: Any) -> list[Any]:
    """Numbers of eight rows from ``first`` on, with ``last`` in the place of those beyond it."""
    rows = [builder.add(first, integer(r)) for r in range(WIDTH)]
    return [builder.select(builder.icmp_signed("<", r, last), r, last) for r in rows]


def lanes_below(builder: Any, active: Any) -> Any:
    """Lanes below ``active``, as ``<8 x i1>``."""
    wide = ir.VectorType(_INDEX, WIDTH)
    undefined = ir.Constant(wide, ir.Undefined)
    one = builder.insert_element(undefined, active, ir.Constant(ir.IntType(32), 0))
    limit = shuffle(builder, one, undefined, [0] * WIDTH)
    return builder.icmp_signed("<", ir.Constant(wide, list(range(WIDTH))), limit)


class Argument:
    """The data pointer, element type and row length of an array argument."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        array = context.make_array(kind)(context, builder, value)
        self.builder = builder
        self.data = array.data
        self.element = context.get_data_type(kind.dtype)
        self.align = kind.dtype.bitwidth // 8
        self.columns = builder.extract_value(array.shape, kind.ndim - 1)

    def _pointer(self, index: Any) -> Any:
        kind = ir.VectorType(self.element, WIDTH).as_pointer()
        return self.builder.bitcast(self.builder.gep(self.data, [index]), kind)

    def scalar(self, index: Any) -> Any:
        return self.builder.load(self.builder.gep(self.data, [index]))

    def load(self, index: Any, mask: Any = None) -> Any:
        """Eight elements from ``index`` as doubles; masked lanes are not read and are zero."""
        builder, kind = self.builder, ir.VectorType(self.element, WIDTH)
        pointer = self._pointer(index)
        if mask is None:
            value = builder.load(pointer, align=self.align)
        else:
            name = f"llvm.masked.load.v8f{self.align * 8}.p0v8f{self.align * 8}"
            masked = _declare(
                builder.module, name, kind, [pointer.type, ir.IntType(32), mask.type, kind]
            )
            zero = ir.Constant(kind, [0.0] * WIDTH)
            align = ir.Constant(ir.IntType(32), self.align)
            value = builder.call(masked, [pointer, align, mask, zero])
        return value if self.element == _DOUBLE else builder.fpext(value, _VECTOR)

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


class _Call:
    """One call of `row_sums` or `column_sums`: its arguments, and its body on eight lanes."""

    def __init__(
        self, body: Body, n_consts: int, context: Any, builder: Any, kinds: Any, values: Any
    ) -> None:
        self.body = body
        self.n_consts = n_consts
        self.builder = builder
        self.arrays = [
            None
            if kind == types.none
            else Argument(context, builder, kind, builder.extract_value(values[0], i))
            for i, kind in enumerate(kinds[0])
        ]
        self.consts = Argument(context, builder, kinds[1], values[1])
        self.flags = tuple(kind != types.none for kind in kinds[2])
        self.out = Argument(context, builder, kinds[3], values[3])
        self.lanes = LlvmLanes(builder)
        # Which sums there are: ask the body, with zeros.
        zeros = tuple(None if a is None else np.zeros(WIDTH) for a in self.arrays)
        terms = body(NumpyLanes(), zeros, [np.zeros(WIDTH)] * n_consts, self.flags)
        self.n_sums = len(terms)
        self.zeros = [integer(0) if isinstance(term, Count) else ZERO for term in terms]

    def add(self, sums: list[Any], at: Any, constants: list[Any], mask: Any = None) -> list[Any]:
        """The sums, with the eight elements from ``at``, or those of a mask, added."""
        values = tuple(None if a is None else a.load(at, mask) for a in self.arrays)
        terms = self.body(self.lanes, values, constants, self.flags)
        if mask is None:
            return accumulate(self.lanes, sums, terms)
        lanes = self.lanes
        terms = [Count(lanes.both(mask, t.mask)) if isinstance(t, Count) else t for t in terms]
        pairs = zip(accumulate(lanes, sums, terms), sums, strict=True)
        return [lanes.select(mask, a, b) if a.type == _VECTOR else a for a, b in pairs]

    def places(self, u: int, r: int, rows: int) -> list[int]:
        """Where the sums of row r in vector u are; integers are shared, for they never round."""
        us = [u if zero.type == _VECTOR else 0 for zero in self.zeros]
        return [(v * rows + r) * self.n_sums + s for s, v in enumerate(us)]

    def prefetch(self, at: Any, distance: Any) -> None:
        """Short streams defeat the hardware's prefetcher: ask for what comes ``distance`` later."""
        for array in self.arrays:
            if array is not None:
                array.prefetch(self.builder.add(at, distance))


def loop(builder: Any, begin: Any, end: Any, step: int, carried: list[Any], emit: Any) -> Any:
    """``for k in range(begin, end, step): carried = emit(k, carried)``; returns (k, carried)."""
    before = builder.block
    head = builder.append_basic_block("head")
    inside = builder.append_basic_block("inside")
    after = builder.append_basic_block("after")
    builder.branch(head)
    builder.position_at_end(head)
    k = builder.phi(_INDEX)
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


def emit_rows(
    body: Body,
    n_consts: int,
    rows: int,
    unroll: int,
    context: Any,
    builder: Any,
    signature: Any,
    args: Any,
) -> Any:
    """Code of ``sums(arrays, start, stride, n, last, consts, flags, out, top, column)``."""
    arguments = (0, 5, 6, 7)
    kinds, values = [signature.args[i] for i in arguments], [args[i] for i in arguments]
    call = _Call(body, n_consts, context, builder, kinds, values)
    start, stride, n, last = args[1:5]
    next_rows, least = builder.mul(stride, integer(rows)), integer(AHEAD)
    ahead = builder.select(builder.icmp_signed("<", next_rows, least), least, next_rows)

    starts, constants = [], []
    for r in range(rows):
        row = integer(r)
        row = builder.select(builder.icmp_signed("<", row, last), row, last)
        starts.append(builder.add(start, builder.mul(row, stride)))
        cells = [integer(WIDTH * c + r) for c in range(n_consts)]
        constants.append([splat(builder, call.consts.scalar(c)) for c in cells])

    def add_vectors(k: Any, sums: list[Any], count: int, mask: Any = None) -> list[Any]:
        """Add ``count`` vectors of each row from element k; sums are [vector][row][sum]."""
        sums = list(sums)
        for u in range(count):
            for r in range(rows):
                at = builder.add(starts[r], builder.add(k, integer(u * WIDTH)))
                if rows > 1:
                    call.prefetch(at, ahead)
                places = call.places(u, r, rows)
                new = call.add([sums[i] for i in places], at, constants[r], mask)
                for i, value in zip(places, new, strict=True):
                    sums[i] = value
        return sums

    def tail(k: Any, sums: list[Any]) -> list[Any]:
        return add_vectors(k, sums, 1, lanes_below(builder, builder.sub(n, k)))

    step = WIDTH * unroll
    whole = builder.and_(n, integer(-step))
    vectors = builder.and_(n, integer(-WIDTH))
    k, sums = integer(0), call.zeros * (unroll * rows)
    k, sums = loop(builder, k, whole, step, sums, lambda k, s: add_vectors(k, s, unroll))
    if unroll > 1:
        k, sums = loop(builder, k, vectors, WIDTH, sums, lambda k, s: add_vectors(k, s, 1))
    k, sums = loop(builder, k, n, WIDTH, sums, tail)

    def total(s: int, r: int) -> Any:
        """Sum s of row r: eight lanes of a vector, or an integer."""
        parts = [sums[call.places(u, r, rows)[s]] for u in range(unroll)]
        return halve(parts, builder.fadd) if parts[0].type == _VECTOR else parts[0]

    by_sum = [[total(s, r) for r in range(rows)] for s in range(call.n_sums)]
    _store_rows(builder, by_sum, call.out, args[8], args[9])
    return context.get_dummy_value()


def _store_rows(builder: Any, by_sum: Any, out: Argument, top: Any, column: Any) -> None:
    """Store the sums over lanes of vectors [sum][row] at ``out[top + sum, column + row]``.

    Integers are the sum already.
    """
    cells = []
    for s, vectors in enumerate(by_sum):
        row = builder.add(top, integer(s))
        cell = builder.add(builder.mul(out.columns, row), column)
        if vectors[0].type == _INDEX:
            for r, count in enumerate(vectors):
                at = builder.add(cell, integer(r))
                builder.store(builder.sitofp(count, _DOUBLE), builder.gep(out.data, [at]))
        elif len(vectors) == WIDTH:
            out.store(transpose_and_add(builder, vectors), cell)
        else:
            cells += [(vector, cell, r) for r, vector in enumerate(vectors)]
    for first in range(0, len(cells), WIDTH):
        store_sums(builder, cells[first : first + WIDTH], out)


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


def transpose_and_add(builder: Any, vectors: list[Any]) -> Any:
    """The sums over the lanes of eight vectors as one vector: seven additions instead of 56."""
    step = 1
    while len(vectors) > 1:
        even, odd = _PAIRS[step]
        vectors = [
            builder.fadd(shuffle(builder, a, b, even), shuffle(builder, a, b, odd))
            for a, b in zip(vectors[::2], vectors[1::2], strict=True)
        ]
        step *= 2
    return vectors[0]


# Which lanes of two vectors meet at each level: lanes are added as neighbours, as in `halve`.
_PAIRS = {
    1: ([0, 8, 2, 10, 4, 12, 6, 14], [1, 9, 3, 11, 5, 13, 7, 15]),
    2: ([0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15]),
    4: ([0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15]),
}


def emit_columns(
    body: Body,
    n_consts: int,
    rows: int,
    context: Any,
    builder: Any,
    signature: Any,
    args: Any,
) -> Any:
    """Code of ``sums(arrays, start, stride, width, consts, flags, out, top)``."""
    arguments = (0, 4, 5, 6)
    kinds, values = [signature.args[i] for i in arguments], [args[i] for i in arguments]
    call = _Call(body, n_consts, context, builder, kinds, values)
    start, stride, width = args[1:4]
    top = args[7]
    next_rows = builder.mul(stride, integer(rows))

    def const_at(c: int, j: Any) -> Any:
        return builder.add(builder.mul(call.consts.columns, integer(c)), j)

    def sum_at(s: int, j: Any) -> Any:
        row = builder.add(top, integer(s))
        return builder.add(builder.mul(call.out.columns, row), j)

    def sweep(j: Any, mask: Any = None) -> list[Any]:
        constants = [call.consts.load(const_at(c, j)) for c in range(n_consts)]
        sums = [call.out.load(sum_at(s, j)) for s in range(call.n_sums)]
        for r in range(rows):
            row = builder.add(start, builder.mul(stride, integer(r)))
            at = builder.add(row, j)
            if rows > 1:
                call.prefetch(at, next_rows)
            sums = call.add(sums, at, constants, mask)
        for s in range(call.n_sums):
            call.out.store(sums[s], sum_at(s, j))
        return []

    def tail(j: Any, _: list[Any]) -> list[Any]:
        return sweep(j, lanes_below(builder, builder.sub(width, j)))

    vectors = builder.and_(width, integer(-WIDTH))
    j, _ = loop(builder, integer(0), vectors, WIDTH, [], lambda j, _: sweep(j))
    loop(builder, j, width, WIDTH, [], tail)
    return context.get_dummy_value()
