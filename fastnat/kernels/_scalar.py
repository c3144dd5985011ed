"""What numba has no word for: fused multiply-add, selection without a branch, bits of a double,
views of memory without counting references, parts of arrays that may not be given.

Each has a Python twin, for kernels that run as plain Python.
"""

import struct

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from fastnat.kernels._jit import helper

_SPLITTER = 2.0**27 + 1.0
_SPLITTABLE = 2.0**990


if config.DISABLE_JIT:

    def fma(a, b, c):
        """``a * b + c``, almost with one rounding: that of the product is added (Dekker 1971).

        Half of the time of kernels in plain Python is spent here, so nothing is called.
        """
        # Python's numbers are several times as fast as NumPy's; a NumPy number in `c` gives one.
        x, y, z = float(a), float(b), float(c)
        product, most = x * y, _SPLITTABLE
        if not (-most < x < most and -most < y < most and -most < product < most > abs(z)):
            return a * b + c
        big, other = _SPLITTER * x, _SPLITTER * y
        x_high, y_high = big - (big - x), other - (other - y)
        x_low, y_low = x - x_high, y - y_high
        error = x_low * y_low - (((product - x_high * y_high) - x_low * y_high) - x_high * y_low)
        total = product + z
        shadow = total - product
        total += ((product - (total - shadow)) + (z - shadow)) + error
        return total if z is c else type(product + c)(total)

    def select(mask, a, b):
        """``a`` if mask else ``b``, both of them evaluated."""
        return a if mask else b

    def to_bits(x):
        """The bits of a double, as an integer."""
        return struct.unpack("<q", struct.pack("<d", x))[0]

    def from_bits(n):
        """The double of these bits."""
        wrapped = (int(n) + 2**63) % 2**64 - 2**63
        return struct.unpack("<d", struct.pack("<q", wrapped))[0]

    def borrow(arrays):
        """An array, or a tuple of them and of numbers, whose references nobody counts."""
        return arrays

    def keep(arrays):
        """What has been borrowed lives until here."""

    def matrix_at(flat, start, rows, columns):
        """The matrix that lies in a flat array from ``start`` on, borrowed."""
        return flat[start : start + rows * columns].reshape(rows, columns)

else:

    @intrinsic
    def fma(typing, a, b, c):
        """``a * b + c`` with one rounding."""
        double = types.float64

        def emit(context, builder, signature, args):
            return builder.fma(*args)

        return double(double, double, double), emit

    @intrinsic
    def select(typing, mask, a, b):
        """``a`` if mask else ``b``, both of them evaluated: no branch to stop a vector loop."""
        double = types.float64

        def emit(context, builder, signature, args):
            return builder.select(*args)

        return double(types.boolean, double, double), emit

    @intrinsic
    def to_bits(typing, x):
        """The bits of a double, as an integer."""

        def emit(context, builder, signature, args):
            return builder.bitcast(args[0], ir.IntType(64))

        return types.int64(types.float64), emit

    @intrinsic
    def from_bits(typing, n):
        """The double of these bits."""

        def emit(context, builder, signature, args):
            return builder.bitcast(args[0], ir.DoubleType())

        return types.float64(types.int64), emit

    def _without_owner(context, builder, kind, value):
        if isinstance(kind, types.BaseTuple):
            for i, member in enumerate(kind):
                part = builder.extract_value(value, i)
                part = _without_owner(context, builder, member, part)
                value = builder.insert_value(value, part, i)
        elif isinstance(kind, types.Array):
            array = context.make_array(kind)(context, builder, value)
            array.meminfo = cgutils.get_null_value(array.meminfo.type)
            value = array._getvalue()
        return value

    @intrinsic
    def borrow(typing, arrays):
        """An array, or a tuple of them and of numbers, whose references nobody counts.

        Numba counts atomically, at every view and every part of a tuple that is looked at.
        """

        def emit(context, builder, signature, args):
            return _without_owner(context, builder, signature.args[0], args[0])

        return arrays(arrays), emit

    @intrinsic
    def keep(typing, arrays):
        """What has been borrowed lives until here."""
        return types.void(arrays), lambda context, *_: context.get_dummy_value()

    @intrinsic
    def matrix_at(typing, flat, start, rows, columns):
        """The matrix that lies in a flat array from ``start`` on, borrowed."""
        result = types.Array(flat.dtype, 2, "C")

        def emit(context, builder, signature, args):
            source = context.make_array(signature.args[0])(context, builder, args[0])
            first, *shape = args[1:]
            size = context.get_constant(types.intp, flat.dtype.bitwidth // 8)
            strides = [builder.mul(shape[1], size), size]
            matrix = context.make_array(result)(context, builder)
            data = builder.gep(source.data, [first])
            populate_array(matrix, data, shape, strides, size, None)
            return matrix._getvalue()

        return result(flat, types.intp, types.intp, types.intp), emit


@helper
def weight_at(w, i):
    """The weight of an observation; none are given as (0,), so that there is one signature."""
    return w[i] if w.size > 0 else 1.0


@helper
def part(x, start, stop):
    """Elements ``start`` to ``stop - 1`` of an array, None of None: numba prunes what is not so."""
    if x is not None:
        return x[start:stop]
    return x
