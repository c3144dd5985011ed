"""Whether the likelihood of a censored regression has a maximum, where known values do not tell.

In (b / sigma, 1 / sigma) it is concave, so it has one unless along some direction no row ever
loses: a linear program says so.  (Rockafellar 1970, Convex Analysis, section 27; for regression
Silvapulle and Burridge 1986, Journal of the Royal Statistical Society B 48, 100-106.)
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastnat._arrays import Array
from fastnat.kernels import codes, linear_memory

_TOLERANCE = 1e-7  # of the program's solver, in columns of unit size
_SLACK = 1e-4  # that is enough, in values of unit size
_ROUNDING = 1e-14  # of values, which fit to a plane if no more is left of them
_STEPS = 100  # of Newton's method for a probit model


class Problem(NamedTuple):
    """One problem: columns as the kernels take them, X, Z and the model."""

    columns: tuple[Array, ...]
    x: Array
    z: Array
    model: int


class Limit(NamedTuple):
    """What there is instead of a maximum: a status, the supremum, and b if that is one point."""

    status: int
    loglik: float
    coef: Array | None


class Known(NamedTuple):
    """What is known of each value: an interval, X, the weight; noise and Z, if there are any."""

    low: Array
    high: Array
    x: Array
    w: Array
    noise: Array | None = None
    z: Array | None = None

    @property
    def exact(self) -> Array:
        return np.asarray(self.low == self.high)

    def only(self, rows: Array) -> "Known":
        return Known(**{name: c[rows] for name, c in self._asdict().items() if c is not None})


def judge(problem: Problem, refit: Callable[[Known], float]) -> Limit | None:
    """None if there is a maximum.

    refit : gives the log-likelihood of such a regression at its maximum.
    """
    raw = _used(problem)
    known = _standardise(raw)
    noisy = raw.noise is not None and bool(np.any(raw.noise > 0.0))
    plain = problem.model != linear_memory.SCALED and not noisy
    # With known noise there is spread at sigma = 0 as well.
    can_vanish = plain or (not noisy and raw.z is not None and _spans_constant(raw.z))
    can_vanish = can_vanish and _is_interpolated(known)
    if can_vanish and np.any(known.exact):
        return _at_zero(raw, known)
    along = _separation(known)
    if np.any(np.abs(along) > _TOLERANCE):
        return Limit(codes.MU_INFINITE, _beyond(raw, along, refit), None)
    if can_vanish:
        at_zero = _at_zero(raw, known)
        # With covariates of sigma, rows at an end of their interval have a supremum of their own.
        return at_zero if plain or at_zero.loglik == 0.0 else at_zero._replace(loglik=math.nan)
    # What else can go wrong with sigma is seen in the search, but for this.
    half_lines = not np.any(np.isfinite(known.low) & np.isfinite(known.high))
    return _at_infinity(known) if plain and half_lines else None


def is_decisive(some: Problem) -> bool:
    """Whether a maximum that some rows have by themselves is one of all: in general it is.

    Not if they leave a coefficient open, or are half-lines only: then others may say that sigma is
    infinite, which none of them excludes.
    """
    low, high, x, *_ = _used(some)
    sizes = np.max(np.abs(x), axis=0, initial=0.0)
    if not (np.any(np.isfinite(low) & np.isfinite(high)) and np.all(sizes > 0.0)):
        return False
    tolerance = _TOLERANCE * math.sqrt(len(x))
    return bool(np.linalg.matrix_rank(x / sizes, tol=tolerance) == x.shape[1])


def _at_infinity(known: Known) -> Limit | None:
    """Half-lines only: where sigma is infinite they are a probit model."""
    right = np.isfinite(known.low)
    sign, limit = np.where(right, 1.0, -1.0), np.where(right, known.low, known.high)
    loglik, score = _probit(known.x, sign, known.w)
    if -np.sum(score * limit) > 0.0:
        return None
    return Limit(codes.SIGMA_INFINITE, loglik, None)


def _spans_constant(z: Array) -> bool:
    """Whether log sigma can change by the same for all rows."""
    ones = np.ones(len(z))
    rest = ones - z @ np.linalg.lstsq(z, ones, rcond=None)[0]
    return bool(np.max(np.abs(rest), initial=0.0) < _TOLERANCE)


def _used(problem: Problem) -> Known:
    """The rows that are used, as intervals."""
    y, upper, left, right, _, _, noise, w, _ = problem.columns
    low = y.copy()
    high = upper.copy() if upper.size else y.copy()
    if left.size:
        below = y <= left
        low[below], high[below] = -np.inf, left[below]
    if right.size:
        above = (y >= right) & (low > -np.inf)
        low[above], high[above] = right[above], np.inf
    weights = w if w.size else np.ones(y.size)
    used = (weights > 0.0) & (np.isfinite(low) | np.isfinite(high))
    if noise.size:
        used &= noise < np.inf
    for column in (low, high, *problem.x.T, *problem.z.T):
        used &= ~np.isnan(column)
    rest = noise if noise.size else None, problem.z if problem.z.size else None
    return Known(low, high, problem.x, weights, *rest).only(used)


def _standardise(known: Known) -> Known:
    """The same with orthogonal X, and values of unit size that fit to nothing."""
    low, high, x, w, *_ = known
    q, _ = np.linalg.qr(x / np.max(np.abs(x), axis=0))
    q *= math.sqrt(len(q))
    middle = np.where(np.isfinite(low), low, high)
    shift = q @ np.linalg.lstsq(q, middle, rcond=None)[0]
    size = np.max(np.abs(middle - shift), initial=0.0)
    if size <= _ROUNDING * np.max(np.abs(middle), initial=0.0):
        size, shift = 1.0, middle
    return Known((low - shift) / size, (high - shift) / size, q, w)


def _cone(known: Known) -> tuple[Array, Array]:
    """(equal, at most) 0 times directions (d, dh) along which no row loses."""
    low, high, x, *_ = known
    exact = known.exact
    left, right = np.isfinite(high) & ~exact, np.isfinite(low) & ~exact
    equal = np.column_stack([x[exact], -low[exact]])
    below = np.column_stack([x[left], -high[left]])
    above = np.column_stack([-x[right], low[right]])
    return equal, np.concatenate([below, above])


def _optimum(cost: Array, equal: Any, most: Any, bounds: Any) -> Array | None:
    """What minimises the cost; ``equal`` and ``most`` are pairs (matrix, right side)."""
    from scipy.optimize import linprog

    given: dict[str, Array] = {}
    if len(equal[0]):
        given |= {"A_eq": equal[0], "b_eq": equal[1]}
    if len(most[0]):
        given |= {"A_ub": most[0], "b_ub": most[1]}
    found = linprog(cost, bounds=bounds, method="highs", **given)
    return None if found.x is None else np.asarray(found.x)


def _direction(known: Known, cost: Array, bounds: Any) -> Array:
    equal, most = _cone(known)
    found = _optimum(cost, (equal, np.zeros(len(equal))), (most, np.zeros(len(most))), bounds)
    return np.zeros(cost.size) if found is None else found


def _separation(known: Known) -> Array:
    """How X d changes for each row, for some d along which no row loses at any sigma."""
    p = known.x.shape[1]
    _, most = _cone(known)
    bounds = [(-1.0, 1.0)] * p + [(0.0, 0.0)]
    return np.asarray(known.x @ _direction(known, most.sum(axis=0), bounds)[:p])


def _beyond(raw: Known, along: Array, refit: Callable[[Known], float]) -> float:
    """The supremum: separated rows are certain, the others have a likelihood of their own."""
    rest = raw.only(np.abs(along) <= _TOLERANCE)
    if not rest.w.size:
        return 0.0
    x, z = _basis(rest.x), None if rest.z is None else _basis(rest.z)
    if x.size == 0 or (z is not None and z.size == 0):
        return math.nan
    return refit(rest._replace(x=x, z=z))


def _basis(columns: Array) -> Array:
    """Of what they span, orthonormal."""
    u, s, _ = np.linalg.svd(columns / np.max(np.abs(columns), axis=0, initial=1.0))
    return np.asarray(u[:, : int(np.sum(s > _TOLERANCE * s[0]))])


def _is_interpolated(known: Known) -> bool:
    """Whether a plane goes through all intervals, so that sigma can go to 0."""
    p = known.x.shape[1]
    cost = np.zeros(p + 1)
    cost[p] = -1.0
    return bool(_direction(known, cost, [(None, None)] * p + [(0.0, 1.0)])[p] > 0.5)


def _at_zero(raw: Known, known: Known) -> Limit:
    """As sigma goes to 0, rows that a plane is inside of are certain; at ends it stays a probit."""
    exact = known.exact
    if np.any(exact):
        x = raw.x[exact]
        fixed = np.linalg.matrix_rank(x) == x.shape[1]
        coef = np.linalg.lstsq(x, raw.low[exact], rcond=None)[0] if fixed else None
        return Limit(codes.SIGMA_ZERO, math.inf, coef)
    low, high, x, w, *_ = known
    n, p = x.shape
    ends, rows = [], []
    for sign, limit in ((-1.0, low), (1.0, high)):
        here = np.flatnonzero(np.isfinite(limit))
        slack = np.zeros((here.size, n))
        slack[np.arange(here.size), here] = 1.0
        rows.append(np.column_stack([sign * x[here], slack]))
        ends.append(sign * limit[here])
    cost = np.concatenate([np.zeros(p), -np.ones(n)])
    bounds = [(None, None)] * p + [(0.0, _SLACK)] * n
    none = np.zeros((0, p + n)), np.zeros(0)
    found = _optimum(cost, none, (np.concatenate(rows), np.concatenate(ends)), bounds)
    if found is None:
        return Limit(codes.SIGMA_ZERO, math.nan, None)
    tight = found[p:] < 1e-2 * _SLACK
    if not np.any(tight):
        return Limit(codes.SIGMA_ZERO, 0.0, None)
    plane = x[tight] @ found[:p]
    at_low = np.abs(plane - low[tight]) < np.abs(high[tight] - plane)
    loglik, _ = _probit(x[tight], np.where(at_low, 1.0, -1.0), w[tight])
    if np.all(tight) and not np.any(np.isfinite(low) & np.isfinite(high)):
        return Limit(codes.NOT_IDENTIFIED, loglik, None)
    coef = None
    if np.linalg.matrix_rank(x[tight]) == p:
        ends_ = np.where(at_low, raw.low[tight], raw.high[tight])
        coef = np.linalg.lstsq(raw.x[tight], ends_, rcond=None)[0]
    return Limit(codes.SIGMA_ZERO, loglik, coef)


def _probit(x: Array, sign: Array, w: Array) -> tuple[float, Array]:
    """Largest sum of w log Phi(sign x d) over d, and the score of each row there."""
    from fastnat import special

    q, _ = np.linalg.qr(x)
    q *= math.sqrt(len(q))
    d = np.zeros(q.shape[1])
    for _ in range(_STEPS):
        t = -sign * (q @ d)
        hazard = special.hazard(t)
        curvature = (q.T * (w * hazard * special.hazard_remainder(t))) @ q
        grad = q.T @ (w * sign * hazard)
        step = np.linalg.lstsq(curvature, grad, rcond=None)[0]
        # Newton's steps on this concave function are shortened so that none goes far.
        d = d + step / max(1.0, float(np.max(np.abs(q @ step))))
        if grad @ step <= 1e-20 * w.sum():
            break
    t = -sign * (q @ d)
    return float(np.sum(w * special.log_ndtr(-t))), w * sign * special.hazard(t)
