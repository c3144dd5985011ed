"""Whether the likelihood of a censored regression has a maximum, where known values do not tell.

In (b / sigma, 1 / sigma) it is concave, so it has one unless along some direction no row ever
loses: a linear program says so.  (Rockafellar 1970, Convex Analysis, section 27; for regression
Silvapulle and Burridge 1986, Journal of the Royal Statistical Society B 48, 100-106.)
"""

import math
from typing import Any, NamedTuple

import numpy as np

from fastnat._arrays import Array
from fastnat.kernels import codes, linear_memory

_TOLERANCE = 1e-7  # of the program's solver, in columns of unit size
_STEPS = 100  # of Newton's method for the face where sigma is infinite


class Rows(NamedTuple):
    """One problem: columns as the kernels take them, X, Z and the model."""

    columns: tuple[Array, ...]
    x: Array
    z: Array
    model: int


class _Known(NamedTuple):
    """What is known of each value: an interval, X, and the weight."""

    low: Array
    high: Array
    x: Array
    w: Array


def judge(rows: Rows) -> tuple[int, float, float] | None:
    """None if there is a maximum, else (status, sign of the limit of log sigma, supremum)."""
    known = _read(rows)
    separated, along = _separates(known)
    if separated:
        every = bool(np.all(np.abs(along) > _TOLERANCE))
        return codes.MU_INFINITE, math.nan, 0.0 if every else math.nan
    if rows.model == linear_memory.SCALED:
        return None  # what else can go wrong with sigma_i is seen in the ascent
    if _is_interpolated(known):
        exact = bool(np.any(known.low == known.high))
        return codes.SIGMA_ZERO, -1.0, math.inf if exact else _supremum_at_zero(known)
    bounded = np.isfinite(known.low) & np.isfinite(known.high)
    if not np.any(bounded):
        loglik, slope = _face(known)
        if not slope > 0.0:
            return codes.SIGMA_INFINITE, 1.0, loglik
    return None


def _read(rows: Rows) -> _Known:
    """The rows that are used, in columns and values of unit size."""
    y, upper, left, right, _, _, _, w, _ = rows.columns
    low = y.copy()
    high = upper.copy() if upper.size else y.copy()
    if left.size:
        below = y <= left
        low[below], high[below] = -np.inf, left[below]
    if right.size:
        above = y >= right
        if left.size:
            above &= ~below
        low[above], high[above] = right[above], np.inf
    weights = w if w.size else np.ones(y.size)
    used = weights > 0.0
    used &= ~(np.isnan(low) | np.isnan(high) | np.any(np.isnan(rows.x), axis=1))
    if rows.z.size:
        used &= ~np.any(np.isnan(rows.z), axis=1)
    used &= np.isfinite(low) | np.isfinite(high)
    x, low, high = rows.x[used], low[used], high[used]
    q, _ = np.linalg.qr(x / np.max(np.abs(x), axis=0))
    q *= math.sqrt(len(q))
    middle = np.where(np.isfinite(low), low, high)
    shift = q @ np.linalg.lstsq(q, middle, rcond=None)[0]
    size = np.max(np.abs(middle - shift), initial=0.0) or 1.0
    return _Known((low - shift) / size, (high - shift) / size, q, weights[used])


def _cone(known: _Known) -> tuple[Array, Array]:
    """Matrices (equal, at most) of the directions (d, dh) along which no row loses."""
    low, high, x, _ = known
    exact = low == high
    equal = np.column_stack([x[exact], -low[exact]])
    left, right = np.isfinite(high) & ~exact, np.isfinite(low) & ~exact
    # dh low <= x d <= dh high
    most = np.concatenate(
        [
            np.column_stack([x[left], -high[left]]),
            np.column_stack([-x[right], low[right]]),
        ]
    )
    return equal, most


def _optimum(c: Array, equal: Array, most: Array, bounds: Any) -> Array:
    from scipy.optimize import linprog

    zeros_equal, zeros_most = np.zeros(len(equal)), np.zeros(len(most))
    found = linprog(
        c,
        A_ub=most if len(most) else None,
        b_ub=zeros_most if len(most) else None,
        A_eq=equal if len(equal) else None,
        b_eq=zeros_equal if len(equal) else None,
        bounds=bounds,
        method="highs",
    )
    return np.zeros(c.size) if found.x is None else np.asarray(found.x)


def _separates(known: _Known) -> tuple[bool, Array]:
    """Whether some d never loses at any sigma, and the gain of each row along it."""
    equal, most = _cone(known)
    p = known.x.shape[1]
    bounds = [(-1.0, 1.0)] * p + [(0.0, 0.0)]
    d = _optimum(most.sum(axis=0), equal, most, bounds)[:p]
    along = known.x @ d
    return bool(np.max(np.abs(along), initial=0.0) > _TOLERANCE), along


def _is_interpolated(known: _Known) -> bool:
    """Whether a plane goes through all intervals, so that sigma can go to 0."""
    equal, most = _cone(known)
    p = known.x.shape[1]
    bounds = [(None, None)] * p + [(0.0, 1.0)]
    c = np.zeros(p + 1)
    c[p] = -1.0
    return bool(_optimum(c, equal, most, bounds)[p] > 0.5)


def _supremum_at_zero(known: _Known) -> float:
    """As sigma goes to 0, rows that a plane is inside of have all of the probability."""
    from scipy.optimize import linprog

    low, high, x, _ = known
    left, right = np.isfinite(high), np.isfinite(low)
    ones = np.ones(len(x))
    a = np.concatenate(
        [np.column_stack([x[left], ones[left]]), np.column_stack([-x[right], ones[right]])]
    )
    b = np.concatenate([high[left], -low[right]])
    c = np.zeros(a.shape[1])
    c[-1] = -1.0
    bounds = [(None, None)] * x.shape[1] + [(None, 1.0)]
    found = linprog(c, A_ub=a, b_ub=b, bounds=bounds, method="highs")
    return 0.0 if found.x is not None and found.x[-1] > _TOLERANCE else math.nan


def _face(known: _Known) -> tuple[float, float]:
    """Where 1 / sigma is 0, a probit model: its maximum, and the slope by 1 / sigma there."""
    from fastnat import special

    low, high, x, w = known
    right = np.isfinite(low)
    sign, limit = np.where(right, 1.0, -1.0), np.where(right, low, high)
    d = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        t = -sign * (x @ d)
        hazard = special.hazard(t)
        curvature = hazard * special.hazard_remainder(t)
        grad = x.T @ (w * sign * hazard)
        step = np.linalg.solve((x.T * (w * curvature)) @ x, grad)
        # Newton's steps on this concave function are shortened so that none goes far.
        d = d + step / max(1.0, float(np.max(np.abs(x @ step))))
        if grad @ step <= 1e-20 * w.sum():
            break
    t = -sign * (x @ d)
    slope = -np.sum(w * sign * special.hazard(t) * limit)
    return float(np.sum(w * special.log_ndtr(-t))), float(slope)
