"""The LLVM side of `lanes`: eight lanes as ``<8 x double>``, emitted through llvmlite."""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.errors import TypingError

from fastnat.kernels._numpy_lanes import WIDTH, Body, NumpyLanes, accumulate, halve

_DOUBLE = ir.DoubleType()
_INDEX = ir.IntType(64)
_VECTOR = ir.VectorType(_DOUBLE, WIDTH)
_ZERO = ir.Constant(_VECTOR, [0.0] * WIDTH)


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

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        # llvmlite's builder.fma refuses vectors.
        fma = _declare(self.builder.module, "llvm.fma.v8f64", _VECTOR, [_VECTOR] * 3)
        return self.builder.call(fma, [a, b, c])

    def le(self, a: Any, b: Any) -> Any:
        return self.builder.fcmp_ordered("<=", a, b)

    def lt(self, a: Any, b: Any) -> Any:
        return self.builder.fcmp_ordered("<", a, b)

    def both(self, a: Any, b: Any) -> Any:
        return self.builder.and_(a, b)

    def select(self, mask: Any, a: Any, b: Any) -> Any:
        return self.builder.select(mask, a, b)


def check_types(arrays: Any, consts: Any, out: Any) -> None:
    for array in (*arrays, consts, out):
        if array != types.none and array.layout != "C":
            raise TypingError("lanes read C-contiguous arrays")


def _declare(module: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    known = module.globals.get(name)
    return known or ir.Function(module, ir.FunctionType(result, arguments), name)


def _splat(builder: Any, scalar: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    one = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return _shuffle(builder, one, undefined, [0] * WIDTH)


def _shuffle(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), lanes))


def _mask(builder: Any, active: Any) -> Any:
    """Lanes below ``active``, as ``<8 x i1>``."""
    wide = ir.VectorType(_INDEX, WIDTH)
    undefined = ir.Constant(wide, ir.Undefined)
    one = builder.insert_element(undefined, active, ir.Constant(ir.IntType(32), 0))
    limit = _shuffle(builder, one, undefined, [0] * WIDTH)
    return builder.icmp_signed("<", ir.Constant(wide, list(range(WIDTH))), limit)


class _Array:
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


def _arrays_of(context: Any, builder: Any, kinds: Any, value: Any) -> list[_Array | None]:
    return [
        None
        if kind == types.none
        else _Array(context, builder, kind, builder.extract_value(value, i))
        for i, kind in enumerate(kinds)
    ]


def _prefetch(builder: Any, arrays: list[_Array | None], at: Any, stride: Any, rows: int) -> None:
    """Ask for what the next ``rows`` rows hold: short streams defeat the hardware's prefetcher."""
    ahead = builder.add(at, builder.mul(stride, ir.Constant(_INDEX, rows)))
    for array in arrays:
        if array is not None:
            array.prefetch(ahead)


def _flags_of(kinds: Any) -> tuple[bool, ...]:
    return tuple(kind != types.none for kind in kinds)


def _number_of_sums(body: Body, arrays: list[Any], flags: tuple[bool, ...], n_consts: int) -> int:
    """Ask the body, with zeros."""
    values = tuple(None if a is None else np.zeros(WIDTH) for a in arrays)
    return len(body(NumpyLanes(), values, [np.zeros(WIDTH)] * n_consts, flags))


def _loop(builder: Any, begin: Any, end: Any, step: int, carried: list[Any], emit: Any) -> Any:
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
    k.add_incoming(builder.add(k, ir.Constant(_INDEX, step)), builder.block)
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
    kinds = signature.args
    start, stride, n, last = args[1:5]
    arrays = _arrays_of(context, builder, kinds[0], args[0])
    consts = _Array(context, builder, kinds[5], args[5])
    out = _Array(context, builder, kinds[7], args[7])
    flags = _flags_of(kinds[6])
    lanes = LlvmLanes(builder)
    n_sums = _number_of_sums(body, arrays, flags, n_consts)

    starts, constants = [], []
    for r in range(rows):
        row = ir.Constant(_INDEX, r)
        row = builder.select(builder.icmp_signed("<", row, last), row, last)
        starts.append(builder.add(start, builder.mul(row, stride)))
        columns = [ir.Constant(_INDEX, WIDTH * c + r) for c in range(n_consts)]
        constants.append([_splat(builder, consts.scalar(c)) for c in columns])

    def add_vectors(k: Any, sums: list[Any], count: int, mask: Any = None) -> list[Any]:
        """Add ``count`` vectors of each row from element k; sums are [vector][row][sum]."""
        sums = list(sums)
        for u in range(count):
            for r in range(rows):
                at = builder.add(starts[r], builder.add(k, ir.Constant(_INDEX, u * WIDTH)))
                values = tuple(None if a is None else a.load(at, mask) for a in arrays)
                if rows > 1:
                    _prefetch(builder, arrays, at, stride, rows)
                here = slice((u * rows + r) * n_sums, (u * rows + r + 1) * n_sums)
                new = accumulate(lanes, sums[here], body(lanes, values, constants[r], flags))
                if mask is not None:
                    pairs = zip(new, sums[here], strict=True)
                    new = [builder.select(mask, a, b) for a, b in pairs]
                sums[here] = new
        return sums

    def tail(k: Any, sums: list[Any]) -> list[Any]:
        return add_vectors(k, sums, 1, _mask(builder, builder.sub(n, k)))

    step = WIDTH * unroll
    whole = builder.and_(n, ir.Constant(_INDEX, -step))
    vectors = builder.and_(n, ir.Constant(_INDEX, -WIDTH))
    k, sums = ir.Constant(_INDEX, 0), [_ZERO] * (unroll * rows * n_sums)
    k, sums = _loop(builder, k, whole, step, sums, lambda k, s: add_vectors(k, s, unroll))
    if unroll > 1:
        k, sums = _loop(builder, k, vectors, WIDTH, sums, lambda k, s: add_vectors(k, s, 1))
    k, sums = _loop(builder, k, n, WIDTH, sums, tail)

    for s in range(n_sums):
        by_row = []
        for r in range(rows):
            parts = [sums[(u * rows + r) * n_sums + s] for u in range(unroll)]
            by_row.append(halve(parts, builder.fadd))
        at = builder.add(builder.mul(out.columns, ir.Constant(_INDEX, s)), args[8])
        if rows == WIDTH:
            out.store(_transpose_and_add(builder, by_row), at)
        else:
            for r, vector in enumerate(by_row):
                elements = [
                    builder.extract_element(vector, ir.Constant(ir.IntType(32), i))
                    for i in range(WIDTH)
                ]
                cell = builder.gep(out.data, [builder.add(at, ir.Constant(_INDEX, r))])
                builder.store(halve(elements, builder.fadd), cell)
    return context.get_dummy_value()


def _transpose_and_add(builder: Any, vectors: list[Any]) -> Any:
    """The sums over the lanes of eight vectors as one vector: seven additions instead of 56."""
    step = 1
    while len(vectors) > 1:
        even, odd = _PAIRS[step]
        vectors = [
            builder.fadd(_shuffle(builder, a, b, even), _shuffle(builder, a, b, odd))
            for a, b in zip(vectors[::2], vectors[1::2], strict=True)
        ]
        step *= 2
    return vectors[0]


# Which lanes of two vectors meet at each level, so that lanes are added as neighbours, like `halve`.
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
    kinds = signature.args
    start, stride, width = args[1:4]
    arrays = _arrays_of(context, builder, kinds[0], args[0])
    consts = _Array(context, builder, kinds[4], args[4])
    out = _Array(context, builder, kinds[6], args[6])
    flags = _flags_of(kinds[5])
    lanes = LlvmLanes(builder)
    n_sums = _number_of_sums(body, arrays, flags, n_consts)

    def cell(array: _Array, row: int, j: Any) -> Any:
        return builder.add(builder.mul(array.columns, ir.Constant(_INDEX, row)), j)

    def sweep(j: Any, mask: Any = None) -> list[Any]:
        constants = [consts.load(cell(consts, c, j)) for c in range(n_consts)]
        sums = [out.load(cell(out, s, j)) for s in range(n_sums)]
        for r in range(rows):
            row = builder.add(start, builder.mul(stride, ir.Constant(_INDEX, r)))
            at = builder.add(row, j)
            values = tuple(None if a is None else a.load(at, mask) for a in arrays)
            if rows > 1:
                _prefetch(builder, arrays, at, stride, rows)
            sums = accumulate(lanes, sums, body(lanes, values, constants, flags))
        for s in range(n_sums):
            out.store(sums[s], cell(out, s, j))
        return []

    vectors = builder.and_(width, ir.Constant(_INDEX, -WIDTH))
    j, _ = _loop(builder, ir.Constant(_INDEX, 0), vectors, WIDTH, [], lambda j, _: sweep(j))
    _loop(
        builder, j, width, WIDTH, [], lambda j, _: sweep(j, _mask(builder, builder.sub(width, j)))
    )
    return context.get_dummy_value()
