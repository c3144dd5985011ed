"""What a climb with covariates of the scale was heading for when it was out of steps.

Two ways lead on for ever.  Truncated rows become exponential where sigma goes to infinity and mu
with its square: in (b, g) that is a narrow curved valley, along which steps are short.  It is
straight in the coordinates here, mu = x'beta / tau and log sigma = z'gamma - log(tau) / 2, where
it ends at tau = 0 (del Castillo 1994, Annals of the Institute of Statistical Mathematics 46, 57-66,
for a sample).  And some rows that a plane goes through may have a scale that can go to zero while
no other's does: that is a linear program.
"""

import math
from typing import NamedTuple

import numpy as np

from fastnat._arrays import Array
from fastnat._existence import Limit, Problem
from fastnat.kernels import ascent, codes, quadrature

_CLOSE = 1e-9  # of rows of unit size, which are in the span if no more is left of them
_WIDE = 1.0  # logarithm of a scale in units of what is seen, beyond which a limit is near
_NEAR_FACE = 1e-7  # of tau at the start
_STEEPEST = 1e100  # of 1 / sigma**2 in units of the other rows: squares are finite
_FLOOR = 1e-22  # decrements below it are rounding
_TOLERANCE = 1e-7  # of the program's solver


class _Cut(NamedTuple):
    """Truncated rows in units of their own: values, bounds, weights and orthonormal columns."""

    t: Array
    lower: Array
    upper: Array
    w: Array
    x: Array
    z: Array


def judge(problem: Problem, params: Array, tol: float, max_iter: int) -> Limit | Array | None:
    """What there is beyond the last point: a limit, a better start, or None."""
    y, _, _, _, least, _, noise, w, _ = problem.columns
    p = problem.x.shape[1]
    weights = w if w.size else np.ones(y.size)
    used = (weights > 0.0) & ~np.isnan(y)
    used &= ~np.isnan(problem.x).any(axis=1) & ~np.isnan(problem.z).any(axis=1)
    used &= noise < np.inf if noise.size else True
    noisy = noise[used] > 0.0 if noise.size else np.zeros(int(used.sum()), dtype=bool)
    b, g = params[:p], params[p:]
    if _is_unbounded(problem, used, noisy, weights[used], g):
        return Limit(codes.UNBOUNDED, math.inf, None)
    if least.size == 0 or np.any(noisy):
        return None
    return _beyond(problem, used, weights[used], b, g, tol, max_iter)


# ---- some scales go to zero -------------------------------------------------------------------


def _is_unbounded(problem: Problem, used: Array, noisy: Array, w: Array, g: Array) -> bool:
    """Whether the rows with the least scales, which a plane goes through, can have even less."""
    from scipy.optimize import linprog

    y, upper, left, right = (
        column[used] if column.size else column for column in problem.columns[:4]
    )
    x, z = problem.x[used], problem.z[used]
    dense = ~noisy
    dense &= y == upper if upper.size else True
    dense &= y > left if left.size else True
    dense &= y < right if right.size else True
    x = x / np.max(np.abs(x), axis=0)
    log_sigma = z @ g
    z = np.linalg.qr(z / np.max(np.abs(z), axis=0))[0] * math.sqrt(len(z))
    cost = (w * (dense | noisy)) @ z
    order = np.flatnonzero(dense)[np.argsort(log_sigma[dense])]
    for k in range(1, min(x.shape[1], order.size - 1) + 1):
        few = order[:k]
        if np.linalg.matrix_rank(x[few], tol=_CLOSE) < k:
            return False
        others = np.delete(z, few, axis=0)
        found = linprog(
            cost, A_ub=-others, b_ub=np.zeros(len(others)), bounds=[(-1.0, 1.0)] * z.shape[1]
        )
        if found.x is not None and cost @ found.x < -1e2 * _TOLERANCE * np.abs(cost).sum():
            return True
    return False


# ---- all scales go to infinity ----------------------------------------------------------------


def _beyond(
    problem: Problem, used: Array, w: Array, b: Array, g: Array, tol: float, max_iter: int
) -> Limit | Array | None:
    """Climb on in other coordinates, and where tau has become small, at tau = 0."""
    y, least, most = (problem.columns[k][used] for k in (0, 4, 5))
    x, z = problem.x[used], problem.z[used]
    (qx, rx), qz = np.linalg.qr(x), _without_constant(z)
    edge = np.where(np.isfinite(least), least, np.where(np.isfinite(most), most, y))
    unit = float(np.average(np.abs(y - edge), weights=w))
    log_sigma = z @ g - math.log(unit) if unit > 0.0 else np.zeros(len(y))
    center = float(np.average(log_sigma, weights=w))
    if qz is None or center < _WIDE:
        return None
    origin = qx.T @ edge
    shift = qx @ origin
    t, lower, upper = ((values - shift) / unit for values in (y, least, most))
    rows = _Cut(t, lower, upper, w, qx, qz)
    tau = math.exp(-2.0 * center)
    beta = (rx @ b - origin) / unit * tau
    theta = np.concatenate([beta, qz.T @ (log_sigma - center), [tau]])
    code, value = _climb(rows, theta, tol, max_iter)
    if code == codes.OK and theta[-1] > _NEAR_FACE * tau:
        spread = qz @ theta[beta.size : -1] - 0.5 * math.log(theta[-1]) + math.log(unit)
        location = np.linalg.solve(rx, origin + unit * theta[: beta.size] / theta[-1])
        return np.concatenate([location, np.linalg.lstsq(z, spread, rcond=None)[0]])
    theta[-1] = 0.0
    code, value = _climb(rows, theta, tol, max_iter, at_zero=True)
    by_tau = _values(rows, theta)[1][-1]
    if code == codes.OK and by_tau <= 0.0:
        return Limit(codes.SIGMA_INFINITE, value - w.sum() * math.log(unit), None)
    return None


def _without_constant(z: Array) -> Array | None:
    """Orthonormal columns that span Z with ones, those left out; None if Z does not have them."""
    ones = np.ones((len(z), 1)) / math.sqrt(len(z))
    q, _ = np.linalg.qr(z / np.linalg.norm(z, axis=0))
    if np.linalg.norm(ones[:, 0] - q @ (q.T @ ones[:, 0])) > _CLOSE:
        return None
    rest = np.linalg.svd(q.T @ ones)[0][:, 1:]
    return np.asarray(q @ rest)


def _climb(
    rows: _Cut, theta: Array, tol: float, max_iter: int, at_zero: bool = False
) -> tuple[int, float]:
    """Newton's steps from ``theta``, in place: (code, log-likelihood)."""
    k = theta.size - at_zero
    part = theta[:k]
    state = np.empty(ascent.state_size(k))
    ascent.start(state, part, rows.w.sum(), tol, _FLOOR, max_iter)
    while True:
        value, grad, safe, observed = _values(rows, theta)
        metric = observed[:k, :k].copy()
        if np.isfinite(value) and np.linalg.eigvalsh(metric)[0] <= 0.0:
            metric = safe[:k, :k].copy()
        code = ascent.advance(state, value, grad[:k], metric, part)
        if code != ascent.RUNNING:
            return int(code), float(state[ascent.LOGLIK])
        if not at_zero:
            ascent.keep_sign(state, grad, metric, part)


@np.errstate(all="ignore")  # on the way to infinity
def _values(rows: _Cut, theta: Array) -> tuple[float, Array, Array, Array]:
    """Log-likelihood, gradient, and the information: its part that is never negative, and all."""
    t, lower, upper, w, x, z = rows
    p, tau = x.shape[1], theta[-1]
    n, k = t.size, theta.size
    h = np.exp(-2.0 * (z @ theta[p:-1]))
    e1, e2 = (x @ theta[:p]) * h, -0.5 * tau * h
    free = (upper == np.inf) & (e1 >= 0.0) | (lower == -np.inf) & (e1 <= 0.0)
    if not np.all(h < _STEEPEST) or (tau == 0.0 and np.any(free)):
        return -math.inf, np.full(k, np.nan), np.eye(k), np.eye(k)
    log_z, m, k2, k3, k4 = quadrature.moments_of_rows(e1, e2, lower, upper)
    first, second = w * (t - m), w * ((t - m) * (t + m) - k2)
    none = np.zeros((n, 1))
    by_1 = np.concatenate([h[:, None] * x, -2.0 * e1[:, None] * z, none], axis=1)
    by_2 = np.concatenate([np.zeros_like(x), -2.0 * e2[:, None] * z, -0.5 * h[:, None]], axis=1)
    cross = by_1.T @ ((w * (k3 + 2.0 * m * k2))[:, None] * by_2)
    square = w * (k4 - k2 * k2 + 4.0 * m * (k3 + m * k2))
    safe = by_1.T @ ((w * k2)[:, None] * by_1) + by_2.T @ (square[:, None] * by_2)
    safe += cross + cross.T
    # Natural parameters are not linear in these coordinates.
    bend = np.zeros((k, k))
    bend[:p, p:-1] = -2.0 * x.T @ ((first * h)[:, None] * z)
    bend[p:-1, -1] = z.T @ (second * h)
    bend += bend.T
    bend[p:-1, p:-1] = 4.0 * z.T @ ((first * e1 + second * e2)[:, None] * z)
    value = float(np.sum(w * (e1 * t + e2 * t * t - log_z)))
    return value, first @ by_1 + second @ by_2, safe, safe - bend
