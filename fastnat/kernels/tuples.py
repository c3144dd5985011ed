"""Arrays to tuples and back: how functions of one observation read and write whole arrays.

Each is straight code of a length known at compile time.  Loads and stores are marked as never
touching the same memory, so LLVM vectorises a loop over observations without asking at run time.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.errors import TypingError

from fastnat.kernels._jit import with_twin

_INDEX = ir.IntType(64)


def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return context.make_array(kind)(context, builder, value).data


def _mark(builder: Any, instruction: Any, *, is_store: bool) -> None:
    """Say that loads of observations and stores of scores are of different memory."""
    module = builder.module
    domain = module.add_metadata([ir.MetaDataString(module, "fastnat")])
    scopes = [
        module.add_metadata([module.add_metadata([ir.MetaDataString(module, name), domain])])
        for name in ("fastnat observations", "fastnat scores")
    ]
    instruction.set_metadata("alias.scope", scopes[is_store])
    instruction.set_metadata("noalias", scopes[not is_store])


def _check_layout(*arrays: Any) -> None:
    for array in arrays:
        if not isinstance(array, types.Array) or array.layout != "C":
            raise TypingError("tuples are read from and written to C-contiguous arrays")


def _leading(array: Any, like: Any) -> Any:
    _check_layout(array)
    result = types.UniTuple(types.float64, len(like))

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = _data(context, builder, signature.args[0], args[0])
        cells = [builder.gep(data, [ir.Constant(_INDEX, k)]) for k in range(len(like))]
        return context.make_tuple(builder, result, [builder.load(cell) for cell in cells])

    return result(array, like), emit


def _at(arrays: Any, *_: Any) -> Any:
    _check_layout(*arrays)
    result = types.UniTuple(types.float64, len(arrays))

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        elements = []
        for k, kind in enumerate(signature.args[0]):
            data = _data(context, builder, kind, builder.extract_value(args[0], k))
            elements.append(builder.load(builder.gep(data, [args[1]])))
            _mark(builder, elements[-1], is_store=False)
        return context.make_tuple(builder, result, elements)

    return result(arrays, types.int64), emit


def _scatter(values: Any, out: Any, *_: Any) -> Any:
    _check_layout(out)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = _data(context, builder, signature.args[1], args[1])
        index = args[2]
        for kind, value in _flatten(builder, signature.args[0], args[0]):
            value = context.cast(builder, value, kind, types.float64)
            stored = builder.store(value, builder.gep(data, [index]))
            _mark(builder, stored, is_store=True)
            index = builder.add(index, args[3])
        return context.get_dummy_value()

    return types.void(values, out, types.int64, types.int64), emit


def _flatten(builder: Any, kind: Any, value: Any) -> Any:
    """(type, value) of each number of a nested tuple."""
    if not isinstance(kind, types.BaseTuple):
        yield kind, value
        return
    for k, inner in enumerate(kind):
        yield from _flatten(builder, inner, builder.extract_value(value, k))


@with_twin(_leading)
def leading(array, like):
    """The first ``len(like)`` elements of a C-contiguous array, as a tuple."""
    return tuple(array.reshape(-1)[: len(like)].tolist())


@with_twin(_at)
def at(arrays, i):
    """Element i of each of a tuple of flat C-contiguous arrays."""
    return tuple(float(a[i]) for a in arrays)


@with_twin(_scatter)
def scatter(values, out, start, stride):
    """Element k of the flattened tuple goes to element ``start + k * stride`` of ``out``."""
    flat = np.asarray(values, np.float64).reshape(-1)
    out.reshape(-1)[start : start + len(flat) * stride : stride] = flat
