"""A root of a function of one variable: Newton's steps, kept within a bracket.

Like the ascent, it is told values::

    x = start(state, lower, upper, rising)
    while x == x:
        x = advance(state, value of the function at x, its slope there)
    root = state[ROOT]

(Press et al., Numerical Recipes, 3rd edition, section 9.4: Newton with bisection.)
"""

import math

from fastnat.kernels._jit import helper, kernel
from fastnat.kernels._stop import stopped

LOWER, UPPER, ROOT, SIGN, LAST, PROBE, SIZE = range(7)
"""Cells of the state: the bracket, the point asked about, the sign of the function at its lower
end, the length of the last step, how far to look beyond an arrival; and how many they are."""

_RESOLUTION = 2.0**-52
_FARTHEST_PROBE = 64.0


@kernel
def start(state, lower, upper, rising):
    """Look between two points at which the function has opposite signs.

    Parameters
    ----------
    state : (SIZE,) ndarray
        Out.
    lower, upper : float
        The points.
    rising : bool
        Whether the function is negative at ``lower`` and positive at ``upper``.

    Returns
    -------
    float
        The first point to be told about, the middle.

    Notes
    -----
    Bisections halve the bracket: where it spans many powers of ten, give the function a logarithm.
    """
    state[LOWER], state[UPPER] = lower, upper
    state[SIGN] = -1.0 if rising else 1.0
    state[ROOT] = _middle(lower, upper)
    state[LAST], state[PROBE] = math.inf, 0.0
    return state[ROOT]


@helper
def _middle(lower, upper):
    # The sum of the ends, or their difference, may not be a number.
    if lower < 0.0 < upper:
        return 0.5 * lower + 0.5 * upper
    return lower + 0.5 * (upper - lower)


@kernel
def advance(state, value, slope):
    """Take note of the function at ``state[ROOT]`` and go on.

    Parameters
    ----------
    state : (SIZE,) ndarray
        What `start` has begun.
    value, slope : float
        The function and its derivative there; a useless slope (0, NaN, the wrong sign) costs a
        bisection.

    Returns
    -------
    float
        The next point; NaN at the end, which is a value of zero (or NaN), or a bracket as small
        as doubles allow.
    """
    x = state[ROOT]
    if value == 0.0 or value != value or stopped():
        return math.nan
    if (value > 0.0) == (state[SIGN] > 0.0):
        state[LOWER] = x
    else:
        state[UPPER] = x
    lower, upper = state[LOWER], state[UPPER]
    least = _RESOLUTION * abs(x)
    new = _middle(lower, upper)
    if new in (lower, upper) or upper - lower <= least:
        return math.nan
    step = value / slope if slope != 0.0 else math.inf
    if abs(step) < least and state[PROBE] < _FARTHEST_PROBE:
        # Newton has arrived.  A point just beyond closes the bracket without bisections.
        state[PROBE] = max(1.0, 4.0 * state[PROBE])
        beyond = state[PROBE] * least
        probe = x + beyond if x == lower else x - beyond
        if lower < probe < upper:
            new = probe
    elif abs(step) >= least:
        # A step must stay inside and be at most half as long as the one before.
        state[PROBE] = 0.0
        if lower <= x - step <= upper and abs(step) <= 0.5 * state[LAST]:
            new = x - step
    state[LAST] = abs(new - x)
    state[ROOT] = new
    return new
