"""Profile-likelihood intervals of mu and sigma, for rows of values with known noise.

Of v = sigma**2 and of mu, the interval reaches from the lowest to the highest value whose profile
likelihood is high enough, for the profiles may have several maxima.  Those of v are found as in
`noise`, and tell of those of mu.  For say that mu has no profile high enough at c, but has one
beyond c.  Of all v together with the best mu from c on, take the best.  That mu is not c, so it is
the best for this v without the bound, too, and this v a maximum of the profile of v: high enough,
and with its mu beyond c.  (Hardy and Thompson 1996, Statistics in Medicine 15, 619-629.)
"""

import math

import numpy as np

from fastnat.kernels import codes, compression, estimates, noise, noise_data, root
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels._stop import stopped

_MAX_ITER, _TOL = 100, 1e-12
_FARTHEST = 30  # times a distance from the estimate is made four times as long: as good as infinity
_DOUBLINGS = 1000  # and of v


@kernel
def intervals(x, std, w, offsets, drop, fits, first, ends):
    """Ends of the intervals of rows as in `noise.fit_rows`, without the restricted likelihood.

    drop : how much less than at its maximum the log-likelihood may be.
    fits : (estimates.SIZE, at least first + n_rows), what was fitted to these rows.
    ends : (4, at least first + n_rows), out: lower and upper for mu, then for sigma; NaN unless
        OK or BOUNDARY.
    """
    room = np.empty((noise_data.N_ROWS, compression.longest(offsets)))
    state, best = np.empty(root.SIZE), np.empty(noise.BEST_SIZE)
    scratch = noise_data.new_scratch()
    for b in range(offsets.size - 1):
        column = first + b
        if fits[estimates.STATUS, column] > codes.BOUNDARY:
            ends[:, column] = math.nan
            continue
        _, n, total = noise_data.select(x, std, w, offsets[b], offsets[b + 1], True, room)
        facts = noise_data.survey(room, n)
        problem, units = noise_data.standardise(room, n, facts, total, False, scratch)
        origin, unit, weight_unit, _ = units
        v = (fits[estimates.SIGMA, column] / unit) ** 2
        floor = noise.lowest(problem, facts)
        target = noise.loglik_at(problem, v) - drop / weight_unit
        low, high = _of_v(problem, floor, v, target, state)
        ends[2, column], ends[3, column] = unit * math.sqrt(low), unit * math.sqrt(high)
        sums = noise.evaluate(problem, v)
        step = math.sqrt(2.0 * drop * (v + problem[4]) / (weight_unit * sums[1]))
        for k in range(2):
            sign = 2.0 * k - 1.0
            end = _of_mu(problem, floor, sums[0], sign * step, target, state, best)
            ends[k, column] = origin + unit * end


@helper
def _of_v(problem, floor, v, target, state):
    """The lowest and highest v whose profile reaches the target, at ``v`` among others."""
    low, high, below = v, v, 0.0
    upper, zero = noise.start(problem), noise.look(problem, 0.0)
    while upper[0] > 0.0:
        top, upper = _next_maximum(problem, floor, upper, zero, state)
        if top > 0.0:
            if noise.loglik_at(problem, top) >= target:
                high = max(high, top)
                if top < low:
                    low, below = top, 0.0
            elif top < low:
                below = max(below, top)
    if problem[4] > 0.0 and noise.loglik_at(problem, 0.0) >= target:
        low = 0.0
    if low > 0.0:
        low = _root_of_v(problem, below, low, True, target, state)
    return low, _beyond(problem, high, target, state)


@helper
def _next_maximum(problem, floor, upper, zero, state):
    """(v of the next maximum of the profile below a point, or 0; the point where to go on)."""
    lower, upper = noise.next_bracket(problem, floor, upper, zero)
    top = 0.0
    if lower[0] >= 0.0:
        top = noise.refine(problem, lower, upper, _MAX_ITER, _TOL, state)[0]
    return top, lower


@helper
def _beyond(problem, inside, target, state):
    """The highest v whose profile reaches the target, beyond the last maximum that does."""
    v = 2.0 * inside + problem[4]
    for _ in range(_DOUBLINGS):
        if noise.loglik_at(problem, v) < target:
            return _root_of_v(problem, inside, v, False, target, state)
        inside, v = v, 2.0 * v
    return math.inf


@helper
def _root_of_v(problem, lower, upper, rising, target, state):
    v = root.start(state, lower, upper, rising)
    while v == v:
        excess = noise.loglik_at(problem, v) - target
        p = v + problem[4]
        v = root.advance(state, excess, 0.5 * (noise.look(problem, v)[1] / p) / p)
    return state[root.ROOT]


@helper
def _of_mu(problem, floor, mu, step, target, state, best):
    """The end of the interval of mu in the direction of the step."""
    end = _crossing(problem, floor, mu, step, target, state, best)
    upper, zero = noise.start(problem), noise.look(problem, 0.0)
    while upper[0] > 0.0 and abs(end) < math.inf:
        v, upper = _next_maximum(problem, floor, upper, zero, state)
        # Or it is that at 0, which there is none of if a value has no noise.
        if (v > 0.0 or problem[4] > 0.0) and noise.loglik_at(problem, v) >= target:
            mu = noise.evaluate(problem, v)[0]
            if (mu - end) * step > 0.0:
                end = _crossing(problem, floor, mu, step, target, state, best)
    return end


@helper
def _crossing(problem, floor, mu, step, target, state, best):
    """Where the profile of mu falls below the target, from a mu that is high enough."""
    inside, outside = _outwards(problem, floor, mu, step, target, state, best)
    if not abs(outside) < math.inf:
        return outside
    own = np.empty(root.SIZE)
    at = root.start(own, min(inside, outside), max(inside, outside), step < 0.0)
    while at == at:
        excess, slope = _at_mu(problem, floor, at, target, state, best)
        at = root.advance(own, excess, slope)
    return own[root.ROOT]


@helper
def _outwards(problem, floor, inside, step, target, state, best):
    """From a mu that is high enough, in the direction of the step: (last that is, first not)."""
    outside = inside + step
    for _ in range(_FARTHEST):
        if stopped() or _at_mu(problem, floor, outside, target, state, best)[0] < 0.0:
            return inside, outside
        step *= 4.0
        inside, outside = outside, outside + step
    return inside, math.copysign(math.inf, step)


@helper
def _at_mu(problem, floor, mu, target, state, best):
    """(log-likelihood at mu and the best v, less the target; its slope)."""
    x, squares, w, terms, least, total, lost, _, scratch = problem
    fixed = x, squares, w, terms, least, total, lost, mu, scratch
    noise.maximise(fixed, floor, _MAX_ITER, _TOL, state, best)
    v = best[noise.BEST_V]
    excess, slope = noise.loglik_at(fixed, v) - target, 0.0
    for i in range(1 if stopped() else x.size):
        slope += w[i] * (x[i] - mu) / (v + squares[i])
    return excess, slope
