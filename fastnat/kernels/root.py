"""A root of a function of one variable: Newton's steps, kept within a bracket.

Like the ascent, it is told values:

    x = start(state, lower, upper, rising)
    while x == x:
        x = advance(state, value of the function at x, its slope there)
    root = state[ROOT]

(Press et al., Numerical Recipes, 3rd edition, section 9.4: Newton with bisection.)
"""

import math

from fastnat.kernels._jit import kernel

LOWER, UPPER, ROOT, SIGN, LAST, SIZE = range(6)
"""Cells of the state: the bracket, the point asked about, the sign of the function at its lower
end, the length of the last step; and how many cells there are."""

_RESOLUTION = 2.0**-52


@kernel
def start(state, lower, upper, rising):
    """Look between ``lower`` and ``upper``, where the function has opposite signs.

    state : (SIZE,), out.
    rising : whether the function is negative at ``lower`` and positive at ``upper``.

    Returns the first point to be told about, the middle.
    """
    state[LOWER], state[UPPER] = lower, upper
    state[SIGN] = -1.0 if rising else 1.0
    state[ROOT] = lower + 0.5 * (upper - lower)
    state[LAST] = abs(upper - lower)
    return state[ROOT]


@kernel
def advance(state, value, slope):
    """Take note of the function at ``state[ROOT]`` and return the next point; NaN at the end.

    value, slope : the function and its derivative there; a useless slope (0, NaN, the wrong
        sign) costs a bisection.

    Ends when the root is found to the resolution of doubles, or at a value that is NaN.
    """
    x = state[ROOT]
    if value == 0.0 or value != value:
        return math.nan
    if (value > 0.0) == (state[SIGN] > 0.0):
        state[LOWER] = x
    else:
        state[UPPER] = x
    lower, upper = state[LOWER], state[UPPER]
    new = x - value / slope
    # Newton's step must stay inside and be at most half as long as the one before.
    if not (lower < new < upper and abs(new - x) <= 0.5 * state[LAST]):
        new = lower + 0.5 * (upper - lower)
    state[LAST] = abs(new - x)
    state[ROOT] = new
    if new in (lower, upper) or state[LAST] <= _RESOLUTION * abs(new):
        return math.nan
    return new
