"""Profile-likelihood intervals for rows of values with known noise."""

import math

import numpy as np

from fastnat.kernels import codes, estimates, noise, root
from fastnat.kernels._jit import helper, kernel

_FACTOR = 2.0  # between neighbouring v that are looked at
_DOWN, _UP = -90, 60  # so many factors from the square of the range
_FARTHEST = 1e15  # ranges that are as good as infinity
_MAX_ITER, _TOL = 100.0, 1e-12


@kernel
def intervals(x, std, w, offsets, drop, fits, first, out):
    """Ends of the intervals of mu and sigma, for rows as in `noise.fit_rows`.

    drop : how much less than its maximum the log-likelihood is at the ends.
    fits : (estimates.SIZE, at least first + n_rows), what was fitted to these rows.
    out : (4, at least first + n_rows), out: lower and upper for mu, then for sigma; NaN unless OK
        or BOUNDARY.

    Where the profile has several maxima the interval holds all that is high enough.
    """
    work = np.empty((noise.N_ROWS, noise.longest(offsets)))
    grid, state = noise.new_grid(), np.empty(root.SIZE)
    for b in range(offsets.size - 1):
        column = first + b
        if fits[estimates.STATUS, column] > codes.BOUNDARY:
            out[:, column] = math.nan
            continue
        _, n, total = noise.gather(x, std, w, offsets[b], offsets[b + 1], True, work)
        problem, origin, scale = noise.standardise(work, n)
        v = (fits[estimates.SIGMA, column] / scale) ** 2
        mu, loglik = noise.profile_loglik(problem, v, math.nan, False)
        target = loglik - drop
        low, high = _of_v(problem, v, target, state)
        out[2, column], out[3, column] = math.sqrt(low) * scale, math.sqrt(high) * scale
        step = math.sqrt(2.0 * drop / noise.sums_at(problem, v, math.nan, False)[noise.A1])
        for k, sign in ((0, -1.0), (1, 1.0)):
            end = _of_mu(problem, mu, sign * step, target, total, grid, state)
            out[k, column] = origin + scale * end


@helper
def _excess(problem, v, target):
    return noise.profile_loglik(problem, v, math.nan, False)[1] - target


@helper
def _of_v(problem, best, target, state):
    """The smallest and largest v whose profile reaches the target."""
    low, high = best, best
    below, above = 0.0, math.inf  # neighbours that are too low
    for k in range(_DOWN, _UP):
        v = _FACTOR**k
        fine = _excess(problem, v, target) >= 0.0
        if fine:
            low, high = min(low, v), max(high, v)
    for k in range(_DOWN, _UP):
        v = _FACTOR**k
        if v < low:
            below = max(below, v)
        if v > high:
            above = min(above, v)
    at_zero = _has_zero(problem) and _excess(problem, 0.0, target) >= 0.0
    lower = 0.0
    if not at_zero and below > 0.0:
        lower = _root_of_v(problem, below, low, True, target, state)
    upper = above
    if above < math.inf:
        upper = _root_of_v(problem, max(high, 1e-300), above, False, target, state)
    return lower, upper


@helper
def _has_zero(problem):
    """Whether v = 0 has a likelihood: no value is without noise."""
    noises = problem[1]
    least = math.inf
    for i in range(noises.size):
        least = min(least, noises[i])
    return least > 0.0


@helper
def _root_of_v(problem, low, high, rising, target, state):
    u = root.start(state, math.log(low), math.log(high), rising)
    while u == u:
        v = math.exp(u)
        slope = noise.sums_at(problem, v, math.nan, False)[noise.SCORE]
        u = root.advance(state, _excess(problem, v, target), v * slope)
    return math.exp(state[root.ROOT])


@helper
def _of_mu(problem, mu, step, target, total, grid, state):
    """The end of the interval of mu in the direction of the step."""
    inside, size = mu, 1.0
    while size * abs(step) < _FARTHEST:
        outside = mu + size * step
        excess, _ = _at_mu(problem, outside, target, total, grid)
        if excess < 0.0:
            break
        inside, size = outside, 2.0 * size
    if not size * abs(step) < _FARTHEST:
        return math.copysign(math.inf, step)
    rising = step < 0.0
    at = root.start(state, min(inside, outside), max(inside, outside), rising)
    while at == at:
        excess, slope = _at_mu(problem, at, target, total, grid)
        at = root.advance(state, excess, slope)
    return state[root.ROOT]


@helper
def _at_mu(problem, mu, target, total, grid):
    """(log-likelihood at the best v for this mu, less the target; its slope)."""
    state = np.empty(root.SIZE)
    v = noise.search(problem, mu, total, False, _MAX_ITER, _TOL, grid, state)[2]
    x, noises, weights = problem
    slope = 0.0
    for i in range(x.size):
        slope += weights[i] * (x[i] - mu) / (v + noises[i] * noises[i])
    return noise.loglik_at(problem, mu, v) - target, slope
