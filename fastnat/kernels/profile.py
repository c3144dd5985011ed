"""Profile-likelihood intervals of mu and sigma, for likelihoods that are concave in a chart (p, q).

In Olsen's chart (mu / sigma, 1 / sigma) and in the natural one (mu / sigma**2, -1 / (2 sigma**2)),
p is mu times a multiple of q, and q depends on sigma alone.  So fixing either leaves a concave
function of one variable.  Like the ascent, this is told values:

    begin(state, theta, loglik, drop, total, slant, power, spread)
    while advance(state, loglik, grad, metric, theta):
        ... values at theta ...
    ends = state[ENDS : ENDS + 4]

(Venzon and Moolgavkar 1988, Applied Statistics 37, 87-94, for the intervals; the search here is
a bracketed root, so that an end at infinity is found to be there.)
"""

import math

from fastnat.kernels import root
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels._stop import stopped

ENDS = 0
"""Cells from here on: lower and upper end for mu (relative to the origin), then for sigma."""

_END, _ROOTING, _TARGET, _TOTAL, _SLANT, _POWER = range(4, 10)
_MU, _LOG_SIGMA, _P, _Q, _SPREAD_MU, _SPREAD_SIGMA = range(10, 16)
_AT, _STEP, _INSIDE, _LOW, _HIGH, _COUNT = range(16, 22)
_ROOT = 22
SIZE = _ROOT + root.SIZE

_CLOSE = 1e-22  # decrement per unit of weight of the inner search
_MOST = 80  # steps of the inner search
_FARTHEST = 2.0**60  # standard errors of mu that are as good as infinity
_LARGEST_LOG = 700.0  # and how far the logarithm of sigma may go


@kernel
def begin(state, theta, loglik, drop, total, slant, power, spread):
    """Begin at the maximum; ``theta`` (2,) becomes the first point to be told about.

    state : (SIZE,), out.
    drop : how much less than ``loglik`` the log-likelihood is at the ends.
    total : total weight.
    slant : p / (mu q); 1 in Olsen's chart, -2 in the natural one.
    power : q is proportional to sigma**-power.
    spread : standard errors of mu and log sigma, positive, to begin with.
    """
    state[_TARGET], state[_TOTAL] = loglik - drop, total
    state[_SLANT], state[_POWER] = slant, power
    state[_P], state[_Q] = theta[0], theta[1]
    state[_MU] = theta[0] / (slant * theta[1])
    state[_LOG_SIGMA] = 0.0  # relative to the estimate
    reach = math.sqrt(2.0 * drop)
    state[_SPREAD_MU], state[_SPREAD_SIGMA] = reach * spread[0], reach * spread[1]
    _next_end(state, 0.0, theta)


@helper
def _next_end(state, end, theta):
    """Set out for an end, from the maximum."""
    state[_END], state[_ROOTING] = end, 0.0
    of_mu = end < 2.0
    state[_STEP] = state[_SPREAD_MU] if of_mu else min(state[_SPREAD_SIGMA], 1.0)
    state[_INSIDE] = state[_MU] if of_mu else state[_LOG_SIGMA]
    theta[0], theta[1] = state[_P], state[_Q]
    _go_to(state, state[_INSIDE] + _direction(state) * state[_STEP], theta)


@helper
def _direction(state):
    return 1.0 if state[_END] in (1.0, 3.0) else -1.0


@helper
def _go_to(state, at, theta):
    """Fix mu or log sigma there, and begin the inner search near the last point."""
    state[_AT], state[_COUNT] = at, 0.0
    state[_LOW], state[_HIGH] = -math.inf, math.inf
    if state[_END] < 2.0:
        theta[0] = state[_SLANT] * at * theta[1]
        # q keeps its sign.
        if theta[1] > 0.0:
            state[_LOW] = 0.0
        else:
            state[_HIGH] = 0.0
    else:
        q = state[_Q] * math.exp(-state[_POWER] * at)
        # As sigma falls mu stays where it is, and as it grows p does: both have limits.
        if abs(q) > abs(theta[1]):
            theta[0] *= q / theta[1]
        theta[1] = q


@kernel
def advance(state, loglik, grad, metric, theta):
    """Take the values at ``theta`` and say whether others are wanted, at the new ``theta``."""
    if stopped():
        return False
    if _inner(state, grad, metric, theta):
        return True
    excess = loglik - state[_TARGET]
    if state[_ROOTING] == 0.0:
        if _expand(state, excess, theta):
            return True
    else:
        at = root.advance(state[_ROOT:], excess, _slope(state, grad, theta))
        if at == at:
            _go_to(state, at, theta)
            return True
        _set_end(state, state[_ROOT + root.ROOT])
    if state[_END] == 3.0:
        return False
    _next_end(state, state[_END] + 1.0, theta)
    return True


@helper
def _slope(state, grad, theta):
    """Derivative of the profile by mu or log sigma: the other one is at its best."""
    if state[_END] < 2.0:
        return grad[0] * state[_SLANT] * theta[1]
    return -state[_POWER] * theta[1] * grad[1]


@helper
def _inner(state, grad, metric, theta):
    """One step of the search on the line that the fixed parameter leaves; whether it goes on."""
    if state[_END] < 2.0:
        slant = state[_SLANT] * state[_AT]
        t, slope = theta[1], slant * grad[0] + grad[1]
        curvature = slant * (slant * metric[0, 0] + 2.0 * metric[0, 1]) + metric[1, 1]
    else:
        slant = 0.0
        t, slope, curvature = theta[0], grad[0], metric[0, 0]
    state[_COUNT] += 1.0
    # Concave: the maximum is where the slope points to.  Not a number is too far out.
    if slope > 0.0:
        state[_LOW] = t
    elif slope < 0.0:
        state[_HIGH] = t
    step = slope / curvature
    done = slope == 0.0 or slope * step <= _CLOSE * state[_TOTAL]
    if done or slope != slope or not curvature > 0.0 or state[_COUNT] >= _MOST:
        return False
    new = t + step
    if not state[_LOW] < new < state[_HIGH]:
        new = 0.5 * (t + (state[_LOW] if step < 0.0 else state[_HIGH]))
    if new == t or not math.isfinite(new):
        return False
    if state[_END] < 2.0:
        theta[0], theta[1] = slant * new, new
    else:
        theta[0] = new
    return True


@helper
def _expand(state, excess, theta):
    """Go out until the log-likelihood is below the target; whether the search goes on."""
    of_mu = state[_END] < 2.0
    if not excess > 0.0:
        rising = _direction(state) < 0.0
        low, high = state[_INSIDE], state[_AT]
        if rising:
            low, high = high, low
        state[_ROOTING] = 1.0
        _go_to(state, root.start(state[_ROOT:], low, high, rising), theta)
        return True
    state[_INSIDE] = state[_AT]
    state[_STEP] *= 2.0
    too_far = state[_STEP] > (_FARTHEST * state[_SPREAD_MU] if of_mu else _LARGEST_LOG)
    if too_far:
        _set_end(state, _direction(state) * math.inf)
        return False
    _go_to(state, state[_AT] + _direction(state) * state[_STEP], theta)
    return True


@helper
def _set_end(state, at):
    """Note an end: of mu, or of sigma relative to its estimate."""
    state[ENDS + int(state[_END])] = at if state[_END] < 2.0 else math.exp(at)
