"""What can be wrong with a user's model, each in one sentence that says what to mend."""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numba.core.errors import NumbaError

from fastnat._compile import DOMAIN_ERRORS, is_complex, what_numba_says

Function = Callable[..., Any]
Point = tuple[float, ...]

_OUTSIDE = object()  # what a function has no value for
_TOLERANCE = 1e-3  # far above what differences lose, far below what a wrong formula gives
_STEP = 1e-4


def argument_names(name: str, function: Function) -> tuple[str, ...]:
    """The names of the arguments, all positional."""
    parameters = inspect.signature(function).parameters.values()
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
        if value is not _OUTSIDE and not _is_number(value):
            raise TypeError(f"loglik must return a number, not {_in_words(value)}")
        if scores is _OUTSIDE:
            continue
        scores = _as_tuple(scores, names[n_data:])
        if value is _OUTSIDE or not all(map(math.isfinite, (value, *scores))):
            continue
        for j, given in enumerate(scores, n_data):
            slope, noise = _slope(loglik, point, j) or (given, 0.0)
            error = _TOLERANCE * (1.0 + abs(slope) + abs(given)) + noise
            if abs(given - slope) > error:
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


def check_fisher(
    loglik: Function, fisher: Function, names: Sequence[str], points: list[Point]
) -> None:
    """The expected information must be a nested tuple, symmetric and positive, in the domain."""
    p = len(names)
    for full_point in points:
        inside = _call("loglik", loglik, full_point)
        point = full_point[-p:]
        value = _call("fisher", fisher, point)
        if value is _OUTSIDE or inside is _OUTSIDE or not math.isfinite(inside):
            continue
        try:
            matrix = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            matrix = np.empty(0)
        tuples = isinstance(value, tuple) and all(isinstance(row, tuple) for row in value)
        if not tuples or matrix.shape != (p, p):
            raise ValueError(f"fisher must return a nested tuple of {p} x {p} numbers")
        if not np.all(np.isfinite(matrix)):
            continue
        if not np.allclose(matrix, matrix.T, rtol=1e-9, atol=0.0) or np.any(np.diag(matrix) < 0.0):
            where = ", ".join(f"{n} = {v:.6g}" for n, v in zip(names, point, strict=True))
            raise ValueError(f"fisher must be symmetric with a positive diagonal; not at {where}")


def _call(name: str, function: Function, point: Point) -> Any:
    """The value in plain Python, _OUTSIDE of the domain."""
    try:
        with np.errstate(all="ignore"):
            value = function(*point)
    except DOMAIN_ERRORS:
        return _OUTSIDE
    except Exception as error:
        text = what_numba_says(error) if isinstance(error, NumbaError) else str(error)
        text = f": {text}" if text else ""
        raise TypeError(f"{name} fails with {type(error).__name__}{text}") from error
    return _OUTSIDE if is_complex(value) else value


def _in_words(value: Any) -> str:
    """What a function returned, without its digits."""
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return type(value).__name__


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) or (
        isinstance(value, np.ndarray) and value.ndim == 0
    )


def _as_tuple(scores: Any, names: Sequence[str]) -> tuple[float, ...]:
    expected = f"a tuple of {len(names)} numbers, one for each of {', '.join(names)}"
    if not isinstance(scores, tuple):
        raise TypeError(f"score must return {expected}, not {_in_words(scores)}")
    if len(scores) != len(names):
        raise ValueError(f"score must return {expected}, not {_in_words(scores)}")
    if not all(map(_is_number, scores)):
        kinds = ", ".join(type(s).__name__ for s in scores)
        raise TypeError(f"score must return {expected}, not a tuple of {kinds}")
    return tuple(float(s) for s in scores)


def _slope(function: Function, point: Point, j: int) -> tuple[float, float] | None:
    """The derivative along argument j and its rounding error; None if differences do not tell."""
    slopes, noise = [], 0.0
    for step in (_STEP, 0.5 * _STEP):
        step *= 1.0 + abs(point[j])
        ends = [
            _call("loglik", function, (*point[:j], point[j] + side, *point[j + 1 :]))
            for side in (-step, step)
        ]
        if any(end is _OUTSIDE or not math.isfinite(end) for end in ends):
            return None
        slopes.append((ends[1] - ends[0]) / (2.0 * step))
        noise = 100.0 * np.finfo(float).eps * max(map(abs, ends)) / step
    best = (4.0 * slopes[1] - slopes[0]) / 3.0
    smooth = abs(slopes[1] - slopes[0]) <= 0.1 * _TOLERANCE * (1.0 + abs(best))
    return (float(best), float(noise)) if smooth else None


def points_near(rows: list[Point], theta: Any) -> Iterator[Point]:
    """Observations at a start that is moved a little off round numbers."""
    moved = [t + 0.01234 * (1.0 + abs(t)) for t in np.asarray(theta, float).tolist()]
    for row in rows:
        yield (*row, *moved)
