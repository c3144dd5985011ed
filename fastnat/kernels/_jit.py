"""How kernels are compiled: the policy, said once.  The only file that imports ``njit``."""

import ctypes
import hashlib
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
from llvmlite import ir
from numba import cfunc, config, njit, typeof, types
from numba.core import cgutils
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic

from fastnat.kernels._cache import KernelCache
from fastnat.kernels._parts import PartCompiler

F = TypeVar("F", bound=Callable[..., Any])


def _digest_of_sources() -> str:
    """A short digest of every source file of the package."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


DIGEST = _digest_of_sources()
"""Changes whenever a source file of the package does; part of every cache file's name."""

if hasattr(os, "register_at_fork"):
    # A child inherits a lock that some thread of its parent's held, but not the thread: it would
    # wait for ever for the first kernel.  So a fork waits until nobody compiles.
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )

# The NumPy error model: a division by zero gives inf or NaN instead of an exception, which would
# end a million fits for one of them, and its absence lets LLVM vectorise loops that divide.
_POLICY: Any = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}

_CONSTANTS = types.IntegerLiteral, types.BooleanLiteral


def kernel(function: F) -> F:
    """Compile an entry point: cached on disk, without the GIL, NumPy's error model.

    Numba's cache notices a change in the file of the cached function only, not in the files of
    the functions it calls.  The digest in the qualified name, from which numba makes the name of
    the cache file, is what keeps an edit or an upgrade from running old machine code.
    """
    compiled: F
    if config.DISABLE_JIT:  # plain Python, which does not warn about inf and NaN either
        compiled = np.errstate(all="ignore")(function)
        return compiled
    function.__qualname__ += "-" + DIGEST
    compiled = njit(**_POLICY)(function)
    compiled._cache = KernelCache(function)  # type: ignore[attr-defined]
    _see_types_only(compiled)
    return compiled


def helper(function: F) -> F:
    """Compile a function that kernels call; it is cached as a part of them."""
    return _part(function, _POLICY)


def inlined(function: F) -> F:
    """Compile a function that becomes a part of every loop that calls it, to be vectorised."""
    return _part(function, _POLICY | {"forceinline": True})


def _part(function: F, policy: Any) -> F:
    """Compile for kernels; if Python calls it, once more, as a whole."""
    if config.DISABLE_JIT:
        return function
    whole = njit(**policy)(function)
    part: Any = njit(no_cpython_wrapper=True, pipeline_class=PartCompiler, **policy)(function)
    # A call from Python looks into a table, to which this adds nothing, and then asks.
    part._insert = lambda *_: None
    part._compile_for_args = lambda *_, **__: whole
    _see_types_only(part)
    return part  # type: ignore[no-any-return]


def _see_types_only(dispatcher: Any) -> None:
    """Have it see types of numbers, not their values, in calls from compiled code.

    Numba would compile anew for each constant among the arguments, and for what looks like one
    until the end of a loop has been seen.  What is made of these is the same machine code.
    """
    find = dispatcher.get_call_template

    def get_call_template(args: Any, kws: Any) -> Any:
        kinds = [types.unliteral(a) if isinstance(a, _CONSTANTS) else a for a in args]
        return find(tuple(kinds), kws)

    dispatcher.get_call_template = get_call_template


def uncached(function: F) -> F:
    """Compile an entry point that knows where in this process others are: numba cannot cache those.

    Where another one calls it, it is a part of that, and has no machine code of its own.
    """
    compiled: F
    if config.DISABLE_JIT:
        compiled = np.errstate(all="ignore")(function)
        return compiled
    compiled = _part(function, _POLICY)
    return compiled


def c_function(function: Callable[..., float], n_arguments: int) -> Any:
    """A compiled function of so many doubles with the address and calling convention of C."""
    if config.DISABLE_JIT:
        doubles = [ctypes.c_double] * n_arguments
        return SimpleNamespace(ctypes=ctypes.CFUNCTYPE(ctypes.c_double, *doubles)(function))
    signature = types.float64(*[types.float64] * n_arguments)
    if n_arguments == 1:
        return cfunc(signature)(lambda a: function(a))
    return cfunc(signature)(lambda a, b: function(a, b))


def with_twin(kinds_of: Callable[..., Any]) -> Callable[[F], F]:
    """An intrinsic that has the arguments of the decorated function, its twin in plain Python.

    kinds_of : what numba's `intrinsic` takes, but for the typing context: (types of the arguments)
        -> (signature, function that emits code).
    """

    def decorate(twin: F) -> F:
        if config.DISABLE_JIT:
            return twin

        def typing(_: Any, *kinds: Any) -> Any:
            return kinds_of(*kinds)

        # Numba reads the names of the arguments from here.
        context = inspect.Parameter("typing", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = [context, *inspect.signature(twin).parameters.values()]
        typing.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        typing.__name__ = twin.__name__
        made: F = intrinsic(typing)
        made.twin = twin  # type: ignore[attr-defined]
        return made

    return decorate


def linked(function: F) -> F:
    """A kernel as `uncached` functions call it: by its address, with a tuple of its arguments.

    A plain call makes LLVM optimise the kernel anew as a part of its caller, which takes longer
    than all the rest of that.
    """
    if config.DISABLE_JIT:
        return lambda arguments: function(*arguments)  # type: ignore[return-value]

    def call(_: Any, arguments: Any) -> Any:
        kinds = tuple(arguments)
        address, result = _machine_code(function, kinds)

        def emit(context: Any, builder: Any, _: Any, args: Any) -> Any:
            place = ir.Constant(ir.IntType(64), address)
            return _emit_call(context, builder, place, result, kinds, args[0])

        return result(arguments), emit

    made: F = intrinsic(call)
    return made


def at_address(function: F) -> F:
    """Compile a function that returns nothing, for `call_at`."""
    if config.DISABLE_JIT:
        return function
    compiled: F = njit(no_cpython_wrapper=True, **_POLICY)(function)
    return compiled


def address_of(function: Any, *arguments: Any) -> Any:
    """Where `call_at` finds the machine code for such arguments, as long as there is the function.

    In plain Python it is the function.
    """
    if config.DISABLE_JIT:
        return function
    return _machine_code(function, tuple(map(typeof, arguments)))[0]


def _kinds_of_call_at(address: Any, arguments: Any) -> Any:
    kinds = tuple(arguments)

    def emit(context: Any, builder: Any, _: Any, args: Any) -> Any:
        return _emit_call(context, builder, args[0], types.none, kinds, args[1])

    return types.none(address, arguments), emit


@with_twin(_kinds_of_call_at)
def call_at(address: Any, arguments: Any) -> None:
    """Call what is at this address with a tuple of arguments, as those that `address_of` was given.

    So code that calls functions of the user's is compiled once, and not for each of them.
    """
    address(*arguments)


def _machine_code(function: Any, kinds: tuple[Any, ...]) -> tuple[int, Any]:
    """(address, type of the result) of a compiled function for arguments of these types."""
    # LLVM has a lock of its own, which the look-up takes: a fork waits for numba's.
    with global_compiler_lock:
        function.compile(kinds)
        made = function.overloads[kinds]
        address = made.library.get_pointer_to_function(made.fndesc.llvm_func_name)
    return address, made.signature.return_type


def _emit_call(
    context: Any, builder: Any, address: Any, result: Any, kinds: tuple[Any, ...], arguments: Any
) -> Any:
    """A call of numba's: exceptions are passed on."""
    callee = context.call_conv.get_function_type(result, kinds).as_pointer()
    values = cgutils.unpack_tuple(builder, arguments)
    status, value = context.call_conv.call_function(
        builder, builder.inttoptr(address, callee), result, kinds, values
    )
    with cgutils.if_unlikely(builder, status.is_error):
        context.call_conv.return_status_propagate(builder, status)
    return value
