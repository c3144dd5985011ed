"""What can be wrong with a user's model, each in one sentence that says what to mend."""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numba import types

Function = Callable[..., Any]
Point = tuple[float, ...]

_DOMAIN_ERRORS = (ValueError, ArithmeticError)  # log(-1), 1 / 0, exp(1000) in plain Python
_TOLERANCE = 1e-3  # far above what differences lose, far below what a wrong formula gives
_STEP = 1e-4


def plain(name: str, function: object) -> Function:
    """The Python function, also of a compiled one."""
    python = getattr(function, "py_func", function)
    if not callable(python):
        raise TypeError(f"{name} must be a function, not {function!r}")
    return python


def argument_names(name: str, function: Function) -> tuple[str, ...]:
    """The names of the arguments, all positional."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a Python function with named arguments") from None
    if any(p.kind not in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters):
        raise TypeError(f"{name} must name its arguments one by one, without * and **")
    return tuple(p.name for p in parameters)


def made_up_points(n_data: int, n_params: int) -> list[Point]:
    """Points at which most models are defined: positive ones first."""
    rng = np.random.default_rng(20)
    points = []
    for low in (0.2, 0.2, 0.2, -0.8, -0.8, -0.8):
        observation = rng.uniform(0.2, 1.8, n_data)
        points.append((*observation.tolist(), *rng.uniform(low, 0.8, n_params).tolist()))
    return points


def check_score(
    loglik: Function, score: Function, names: Sequence[str], n_data: int, points: list[Point]
) -> None:
    """Hold the score against differences of the log-likelihood, where both are numbers."""
    findings: dict[bool, tuple[str, float, float, str]] = {}
    for point in points:
        value, scores = _call("loglik", loglik, point), _call("score", score, point)
        if value is not None and not _is_number(value):
            raise TypeError(f"loglik must return a number, not {type(value).__name__}")
        if scores is None:
            continue
        scores = _as_tuple(scores, names[n_data:])
        if value is None or not all(map(math.isfinite, (value, *scores))):
            continue
        for j, given in enumerate(scores, n_data):
            slope = _slope(loglik, point, j)
            error = _TOLERANCE * (1.0 + abs(slope or 0.0) + abs(given))
            if slope is not None and abs(given - slope) > error:
                opposite = abs(given + slope) <= error
                where = ", ".join(f"{n} = {v:.6g}" for n, v in zip(names, point, strict=True))
                findings.setdefault(opposite, (names[j], slope, given, where))
    if False in findings:
        name, slope, given, where = findings[False]
        raise ValueError(
            f"score does not match loglik: its derivative with respect to {name} is {slope:.6g} by"
            f" differences at {where}, and score gives {given:.6g}"
        )
    if True in findings:
        name, slope, given, where = findings[True]
        raise ValueError(
            f"score has the wrong sign: the derivative of loglik with respect to {name} is"
            f" {slope:.6g} at {where}, and score gives {given:.6g}"
        )


def check_fisher(fisher: Function, names: Sequence[str], points: list[Point]) -> None:
    """The expected information must be a nested tuple, symmetric and positive."""
    p = len(names)
    for point in points:
        value = _call("fisher", fisher, point)
        if value is None:
            continue
        try:
            matrix = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            matrix = np.empty(0)
        if not isinstance(value, tuple) or matrix.shape != (p, p):
            raise ValueError(f"fisher must return a nested tuple of {p} x {p} numbers")
        if not np.all(np.isfinite(matrix)):
            continue
        if not np.allclose(matrix, matrix.T, rtol=1e-9, atol=0.0) or np.any(np.diag(matrix) < 0.0):
            where = ", ".join(f"{n} = {v:.6g}" for n, v in zip(names, point, strict=True))
            raise ValueError(f"fisher must be symmetric with a positive diagonal; not at {where}")


def _call(name: str, function: Function, point: Point) -> Any:
    """The value in plain Python, None outside the domain."""
    try:
        with np.errstate(all="ignore"):
            return function(*point)
    except _DOMAIN_ERRORS:
        return None
    except Exception as error:
        raise TypeError(f"{name} fails with {type(error).__name__}: {error}") from error


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) or (
        isinstance(value, np.ndarray) and value.ndim == 0
    )


def _as_tuple(scores: Any, names: Sequence[str]) -> tuple[float, ...]:
    expected = f"a tuple of {len(names)} numbers, one for each of {', '.join(names)}"
    if not isinstance(scores, tuple):
        raise TypeError(f"score must return {expected}, not {type(scores).__name__}")
    if len(scores) != len(names) or not all(map(_is_number, scores)):
        raise ValueError(f"score must return {expected}; it returns {scores!r}")
    return tuple(float(s) for s in scores)


def _slope(function: Function, point: Point, j: int) -> float | None:
    """The derivative along argument j; None where differences cannot tell it."""
    slopes = []
    for step in (_STEP, 0.5 * _STEP):
        step *= 1.0 + abs(point[j])
        ends = [
            _call("loglik", function, (*point[:j], point[j] + side, *point[j + 1 :]))
            for side in (-step, step)
        ]
        if any(end is None or not math.isfinite(end) for end in ends):
            return None
        slopes.append((ends[1] - ends[0]) / (2.0 * step))
    best = (4.0 * slopes[1] - slopes[0]) / 3.0
    smooth = abs(slopes[1] - slopes[0]) <= 0.1 * _TOLERANCE * (1.0 + abs(best))
    return float(best) if smooth else None


def first_points(columns: Sequence[Any], theta: Any) -> Iterator[Point]:
    """A few observations of a problem, at its start, moved a little off round numbers."""
    n = len(columns[0])
    moved = [t + 0.01234 * (1.0 + abs(t)) for t in np.asarray(theta, float).tolist()]
    for i in sorted({0, n // 2, n - 1}):
        yield (*(float(column[i]) for column in columns), *moved)


def what_numba_says(error: Exception) -> str:
    """The line of numba's message that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Failed in")]
    return lines[0].rstrip(":.") if lines else type(error).__name__


def check_type(name: str, kind: Any, n_params: int) -> None:
    """The type that numba has found for what a function returns."""
    scalars = (types.Float, types.Integer, types.Boolean)
    if name == "loglik":
        if not isinstance(kind, scalars):
            raise TypeError(f"loglik must return a number, not {kind}")
        return
    rows = [kind] if name == "score" else kind
    good = isinstance(kind, types.BaseTuple) and (name == "score" or len(kind) == n_params)
    for row in rows if good else ():
        good = good and isinstance(row, types.BaseTuple) and len(row) == n_params
        good = good and all(isinstance(element, scalars) for element in row)
    if not good:
        shape = f"a tuple of {n_params}"
        if name == "fisher":
            shape = f"a nested tuple of {n_params} x {n_params}"
        raise TypeError(f"{name} must return {shape} numbers, not {kind}")


def nan_outside(name: str, function: Function, n_params: int) -> Function:
    """A function that is NaN where plain Python raises, as compiled code is."""
    row = (math.nan,) * n_params
    outside = {"loglik": math.nan, "score": row, "fisher": (row,) * n_params}[name]

    def total(*point: float) -> Any:
        try:
            return function(*point)
        except _DOMAIN_ERRORS:
            return outside

    return total
