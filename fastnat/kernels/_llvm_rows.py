"""The LLVM side of `lanes`: rows reduced to a number each, and sweeps over columns."""

import itertools
from typing import Any

import numpy as np
from numba.core import cgutils, types

from fastnat.kernels._llvm import (
    AHEAD,
    DOUBLE,
    INDEX,
    VECTOR,
    ZERO,
    Argument,
    LlvmLanes,
    groups,
    in_registers,
    integer,
    lanes_below,
    loop,
    splat,
    store_sums,
    transpose_and_add,
)
from fastnat.kernels._numpy_lanes import WIDTH, Body, Count, NumpyLanes, accumulate, halve

_EVERY = slice(None)


class Call:
    """A body on eight lanes: what it reads, and the sums it makes.

    arrays : an `Argument` each, or None; flags : booleans.
    """

    def __init__(
        self, body: Body, n_consts: int, builder: Any, arrays: list[Any], flags: tuple[bool, ...]
    ) -> None:
        self.body = body
        self.n_consts = n_consts
        self.builder = builder
        self.arrays = arrays
        self.flags = flags
        self.lanes = LlvmLanes(builder)
        # Which sums there are: ask the body, with zeros.
        zeros = tuple(None if a is None else np.zeros(WIDTH) for a in self.arrays)
        terms = body(NumpyLanes(), zeros, [np.zeros(WIDTH)] * n_consts, self.flags)
        self.n_sums = len(terms)
        self.zeros = [integer(0) if isinstance(term, Count) else ZERO for term in terms]

    def add(
        self, which: slice, sums: list[Any], at: Any, constants: list[Any], mask: Any = None
    ) -> list[Any]:
        """These of the sums, with the eight elements from ``at``, or those of a mask, added."""
        values = tuple(None if a is None else a.load(at, mask) for a in self.arrays)
        terms = self.body(self.lanes, values, constants, self.flags)[which]
        if mask is None:
            return accumulate(self.lanes, sums, terms)
        lanes = self.lanes
        terms = [Count(lanes.both(mask, t.mask)) if isinstance(t, Count) else t for t in terms]
        pairs = zip(accumulate(lanes, sums, terms), sums, strict=True)
        return [lanes.select(mask, a, b) if a.type == VECTOR else a for a, b in pairs]

    def prefetch(self, at: Any, distance: Any) -> None:
        """Short streams defeat the hardware's prefetcher: ask for what comes ``distance`` later."""
        for array in self.arrays:
            if array is not None:
                array.prefetch(self.builder.add(at, distance))


class Part:
    """Some of the sums of so many rows of a call of `row_sums`: what registers hold."""

    def __init__(self, call: Call, rows: int, sums: range, unroll: int) -> None:
        self.call = call
        self.rows = rows
        self.which = slice(sums.start, sums.stop)
        self.unroll = unroll
        self.zeros = call.zeros[self.which]

    def _places(self, u: int, i: int) -> list[int]:
        """Where the sums of row i in vector u are; integers are shared, for they never round."""
        us = [u if zero.type == VECTOR else 0 for zero in self.zeros]
        return [(v * self.rows + i) * len(us) + s for s, v in enumerate(us)]

    def run(self, starts: list[Any], constants: list[Any], n: Any, ahead: Any) -> list[list[Any]]:
        """The loops over n elements; the sums, [sum][row], eight lanes of a vector or integers."""
        call, builder, unroll = self.call, self.call.builder, self.unroll

        def add(k: Any, sums: list[Any], count: int, mask: Any = None) -> list[Any]:
            """Add ``count`` vectors of each row from element k; sums are [vector][row][sum]."""
            sums = list(sums)
            for u in range(count):
                for i in range(self.rows):
                    at = builder.add(starts[i], builder.add(k, integer(u * WIDTH)))
                    if ahead is not None:
                        call.prefetch(at, ahead)
                    places = self._places(u, i)
                    here = [sums[place] for place in places]
                    new = call.add(self.which, here, at, constants[i], mask)
                    for place, value in zip(places, new, strict=True):
                        sums[place] = value
            return sums

        def tail(k: Any, sums: list[Any]) -> list[Any]:
            return add(k, sums, 1, lanes_below(builder, builder.sub(n, k)))

        step = WIDTH * unroll
        whole, vectors = (builder.and_(n, integer(-size)) for size in (step, WIDTH))
        k, sums = integer(0), self.zeros * (unroll * self.rows)
        k, sums = loop(builder, k, whole, step, sums, lambda k, s: add(k, s, unroll))
        if unroll > 1:
            k, sums = loop(builder, k, vectors, WIDTH, sums, lambda k, s: add(k, s, 1))
        _, sums = loop(builder, k, n, WIDTH, sums, tail)

        def total(s: int, i: int) -> Any:
            parts = [sums[self._places(u, i)[s]] for u in range(unroll)]
            return halve(parts, builder.fadd) if parts[0].type == VECTOR else parts[0]

        return [[total(s, i) for i in range(self.rows)] for s in range(len(self.zeros))]


def parts_of(call: Call, rows: int, unroll: int, most: int) -> list[Part]:
    """What is summed in loops of its own, so that ``most`` sums at a time are enough.

    Few sums, each held in several vectors, stay together: reading rows again would take longer.
    """
    if unroll > 1:
        return [Part(call, rows, range(call.n_sums), unroll)]
    while rows > 1 and rows * call.n_sums > most:
        rows //= 2
    return [Part(call, rows, some, unroll) for some in groups(call.n_sums, most)]


def _call_of(
    body: Body, n_consts: int, context: Any, builder: Any, signature: Any, args: Any
) -> tuple[Call, Argument, Argument]:
    """The call, its constants and where its sums go: arguments 0, 5, 6 and 7."""
    kinds = signature.args
    arrays = [
        None
        if kind == types.none
        else Argument(context, builder, kind, builder.extract_value(args[0], i))
        for i, kind in enumerate(kinds[0])
    ]
    flags = tuple(kind != types.none for kind in kinds[6])
    consts, out = (Argument(context, builder, kinds[i], args[i]) for i in (5, 7))
    return Call(body, n_consts, builder, arrays, flags), consts, out


def emit_rows(
    body: Body,
    n_consts: int,
    rows: int,
    unroll: int,
    prefetch: bool,
    context: Any,
    builder: Any,
    signature: Any,
    args: Any,
) -> Any:
    """Code of ``sums(arrays, start, stride, n, last, consts, flags, out, top, column)``."""
    call, consts, out = _call_of(body, n_consts, context, builder, signature, args)
    start, stride, n, last = args[1:5]
    next_rows, least = builder.mul(stride, integer(rows)), integer(AHEAD)
    ahead = builder.select(builder.icmp_signed("<", next_rows, least), least, next_rows)
    parts = parts_of(call, rows, unroll, in_registers(context))

    def run(first: Any) -> list[list[Any]]:
        """All sums of the rows of a part, [sum][row]."""
        starts, constants = [], []
        for i in range(parts[0].rows):
            r = builder.add(first, integer(i))
            row = builder.select(builder.icmp_signed("<", r, last), r, last)
            starts.append(builder.add(start, builder.mul(row, stride)))
            cells = [builder.add(r, integer(WIDTH * c)) for c in range(n_consts)]
            constants.append([splat(builder, consts.scalar(c)) for c in cells])
        found = [part.run(starts, constants, n, ahead if prefetch else None) for part in parts]
        return list(itertools.chain(*found))

    if parts[0].rows == rows:
        by_sum = run(integer(0))
    else:
        by_sum = _in_turn(builder, call.zeros, rows, parts[0].rows, run)
    _store_rows(builder, by_sum, out, args[8], args[9])
    return context.get_dummy_value()


def _in_turn(builder: Any, zeros: list[Any], rows: int, step: int, run: Any) -> list[list[Any]]:
    """What `run` finds of ``step`` rows at a time, of all of them: a loop, for less code."""
    room = [cgutils.alloca_once(builder, zero.type, size=rows) for zero in zeros]

    def some(first: Any, _: list[Any]) -> list[Any]:
        for place, found in zip(room, run(first), strict=True):
            for i, total in enumerate(found):
                builder.store(total, builder.gep(place, [builder.add(first, integer(i))]))
        return []

    loop(builder, integer(0), integer(rows), step, [], some)
    return [[builder.load(builder.gep(at, [integer(r)])) for r in range(rows)] for at in room]


def _store_rows(builder: Any, by_sum: Any, out: Argument, top: Any, column: Any) -> None:
    """Store the sums over lanes of vectors [sum][row] at ``out[top + sum, column + row]``.

    Integers are the sum already.
    """
    cells = []
    for s, vectors in enumerate(by_sum):
        row = builder.add(top, integer(s))
        cell = builder.add(builder.mul(out.columns, row), column)
        if vectors[0].type == INDEX:
            for r, count in enumerate(vectors):
                at = builder.add(cell, integer(r))
                builder.store(builder.sitofp(count, DOUBLE), builder.gep(out.data, [at]))
        elif len(vectors) == WIDTH:
            out.store(transpose_and_add(builder, vectors), cell)
        else:
            cells += [(vector, cell, r) for r, vector in enumerate(vectors)]
    for first in range(0, len(cells), WIDTH):
        store_sums(builder, cells[first : first + WIDTH], out)


def emit_columns(
    body: Body, n_consts: int, context: Any, builder: Any, signature: Any, args: Any
) -> Any:
    """Code of ``sums(arrays, start, stride, rows, width, consts, flags, out, top)``."""
    call, consts, out = _call_of(body, n_consts, context, builder, signature, args)
    start, stride, rows, width = args[1:5]
    top = args[8]
    next_rows = builder.mul(stride, rows)

    def const_at(c: int, j: Any) -> Any:
        return builder.add(builder.mul(consts.columns, integer(c)), j)

    def sum_at(s: int, j: Any) -> Any:
        row = builder.add(top, integer(s))
        return builder.add(builder.mul(out.columns, row), j)

    def sweep(j: Any, unrolled: bool, mask: Any = None) -> list[Any]:
        constants = [consts.load(const_at(c, j)) for c in range(n_consts)]
        sums = [out.load(sum_at(s, j)) for s in range(call.n_sums)]
        first = builder.add(start, j)

        def add(r: Any, sums: list[Any]) -> list[Any]:
            at = builder.add(first, builder.mul(stride, r))
            if unrolled:
                call.prefetch(at, next_rows)
            return call.add(_EVERY, sums, at, constants, mask)

        if unrolled:
            for r in range(WIDTH):
                sums = add(integer(r), sums)
        else:
            _, sums = loop(builder, integer(0), rows, 1, sums, add)
        for s in range(call.n_sums):
            out.store(sums[s], sum_at(s, j))
        return []

    def tail(j: Any, _: list[Any]) -> list[Any]:
        return sweep(j, False, lanes_below(builder, builder.sub(width, j)))

    # Eight rows, which there are nearly always, take no loop; all the rest does, for less code.
    vectors = builder.and_(width, integer(-WIDTH))
    eights = builder.select(builder.icmp_signed("==", rows, integer(WIDTH)), vectors, integer(0))
    j, _ = loop(builder, integer(0), eights, WIDTH, [], lambda j, _: sweep(j, True))
    j, _ = loop(builder, j, vectors, WIDTH, [], lambda j, _: sweep(j, False))
    loop(builder, j, width, WIDTH, [], tail)
    return context.get_dummy_value()
