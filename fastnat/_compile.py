"""A user's functions, compiled with the package's policy, or why they cannot be."""

import inspect
import math
import types as python_types
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numba
from numba import types
from numba.core.registry import CPUDispatcher

from fastnat._arrays import shown
from fastnat.kernels import likelihood
from fastnat.kernels._jit import helper

Function = Callable[..., Any]

DOMAIN_ERRORS = (ValueError, ArithmeticError)
"""What plain Python raises where compiled code gives NaN: log(-1), 1 / 0, exp(1000)."""

_KNOWN_TO_NUMBA = {"math", "cmath", "numpy", "numba", "scipy", "builtins"}


class Compiled(NamedTuple):
    """A likelihood, compiled; see `fastnat.kernels.likelihood`."""

    fill: Function
    inform: Function | None
    n_params: int


@lru_cache(maxsize=128)
def compiled(
    loglik: Function, score: Function, fisher: Function | None, n_params: int, n_data: int
) -> Compiled:
    """Compile the functions of a model, or say in one sentence why that is not possible."""
    n_arguments = n_data + n_params
    fill = likelihood.compile_fill(
        _compile("loglik", loglik, n_arguments, n_params),
        _compile("score", score, n_arguments, n_params),
        n_params,
    )
    if fisher is None:
        return Compiled(fill, None, n_params)
    inform = likelihood.compile_inform(_compile("fisher", fisher, n_params, n_params), n_params)
    return Compiled(fill, inform, n_params)


def _compile(name: str, function: Function, n_arguments: int, n_params: int) -> Function:
    if numba.config.DISABLE_JIT:
        return _nan_outside(name, function, n_params)
    made: Any = with_policy(name, function)
    try:
        made.compile((types.float64,) * n_arguments)
    except Exception as error:  # numba raises errors of many kinds
        raise ValueError(f"{name} cannot be compiled by numba: {what_numba_says(error)}") from error
    _check_type(name, made.nopython_signatures[0].return_type, n_params)
    compiled_function: Function = made
    return compiled_function


def with_policy(name: str, function: Function) -> Function:
    """The function compiled by our policy, and with it the functions that it calls by name.

    Those that numba has compiled already would raise at a division by zero, which would end a
    million fits for one of them; plain ones numba would not take.
    """
    return _Rebuilder(name).compile(function)


class _Rebuilder:
    """Functions made anew, with the functions in their globals and closures compiled."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.done: dict[Function, Function] = {}

    def compile(self, function: Any) -> Function:
        if function not in self.done:
            self.done[function] = function  # a recursive one is left to numba
            code = function.__code__
            names = code.co_names
            own = {n: self.replace(n, v) for n, v in function.__globals__.items() if n in names}
            cells = function.__closure__ or ()
            closure = tuple(
                python_types.CellType(self.replace(n, cell.cell_contents))
                for n, cell in zip(code.co_freevars, cells, strict=True)
            )
            copy = python_types.FunctionType(
                code, function.__globals__ | own, function.__name__, function.__defaults__, closure
            )
            self.done[function] = helper(copy)
        return self.done[function]

    def replace(self, name: str, value: Any) -> Any:
        if isinstance(value, list | dict | set):
            kind = type(value).__name__
            raise ValueError(
                f"{self.name} uses the {kind} {name}: make it a tuple or a NumPy array"
            )
        python = value.py_func if isinstance(value, CPUDispatcher) else value
        if not isinstance(python, python_types.FunctionType):
            return value
        if (python.__module__ or "").partition(".")[0] in _KNOWN_TO_NUMBA:
            return value
        return self.compile(python)


def what_numba_says(error: Exception) -> str:
    """The line of numba's message that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Failed in")]
    return lines[0].rstrip(":.") if lines else type(error).__name__


def _is_scalar(kind: Any) -> bool:
    return isinstance(kind, types.Float | types.Integer | types.Boolean)


def _check_type(name: str, kind: Any, n_params: int) -> None:
    """The type that numba has found for what a function returns."""
    if name == "loglik":
        if not _is_scalar(kind):
            raise TypeError(f"loglik must return a number, not {_describe(kind)}")
        return
    rows = [kind] if name == "score" else kind
    good = isinstance(kind, types.BaseTuple) and (name == "score" or len(kind) == n_params)
    for row in rows if good else ():
        good = good and isinstance(row, types.BaseTuple) and len(row) == n_params
        good = good and all(map(_is_scalar, row))
    if not good:
        shape = f"a tuple of {n_params}"
        if name == "fisher":
            shape = f"a nested tuple of {n_params} x {n_params}"
        raise TypeError(f"{name} must return {shape} numbers, not {_describe(kind)}")


def _describe(kind: Any) -> str:
    """A type of numba's in plain words."""
    if isinstance(kind, types.BaseTuple):
        if all(map(_is_scalar, kind)):
            return f"a tuple of {len(kind)}"
        return f"a tuple of {', '.join(map(_describe, kind))}"
    if isinstance(kind, types.Array):
        return "an array; `a if condition else b` takes the place of np.where"
    if isinstance(kind, types.Optional | types.NoneType):
        return "a number or None; return a number on every branch"
    if isinstance(kind, types.Complex):
        return "a complex number"
    return "a number" if _is_scalar(kind) else f"{kind}"


def _nan_outside(name: str, function: Function, n_params: int) -> Function:
    """A function that is NaN where plain Python raises, as compiled code is."""
    row = (math.nan,) * n_params
    outside: Any = {"loglik": math.nan, "score": row, "fisher": (row,) * n_params}[name]

    def total(*point: float) -> Any:
        try:
            value = function(*point)
        except DOMAIN_ERRORS:
            return outside
        return outside if is_complex(value) else value

    return total


def is_complex(value: Any) -> bool:
    """Whether a number, or one of a tuple, is complex: plain Python's root of a negative one."""
    if isinstance(value, tuple):
        return any(map(is_complex, value))
    return isinstance(value, complex)


def plain_function(name: str, function: object) -> Function:
    """The Python function, also of a compiled one, or one sentence."""
    python: Any = getattr(function, "py_func", function)
    if not callable(python):
        raise TypeError(f"{name} must be a function, not {shown(function)}")
    if not inspect.isfunction(python):
        kind = type(python).__name__
        raise TypeError(f"{name} must be a plain function, not a {kind}; write a def that calls it")
    return python
