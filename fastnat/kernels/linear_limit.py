"""Whether a regression's search has ended at a maximum; known noise may leave one in a limit.

Where noise explains the scatter of some rows, say of one of two groups that Z tells apart, their
sigma goes to 0 and the likelihood to a finite supremum, as it does with a constant sigma.  The
information about some coefficients of the scale dies away then, and what is known of the others,
and of the mean, is that of the limit.

A coordinate of the scale is *open* if information about it, given those before it, is none; with
those it makes a direction that no other row can tell.  That this is a limit where sigma is 0 is
found far along it, where the likelihood must not be lower.
"""

import math

from fastnat.kernels import ascent, codes
from fastnat.kernels._jit import helper
from fastnat.kernels.curvature import copy, definite
from fastnat.kernels.linear_frame import set_identity, solve_upper
from fastnat.kernels.linear_memory import (
    BASIS_Z,
    CELLS,
    DENSE,
    GRAD,
    INFORMATION,
    LIMITS,
    LOGLIK,
    MEAT,
    METRIC,
    NORMS,
    ORIGIN,
    OWN_START,
    SQUARES_Z,
    STATE,
    TOTAL,
    TRIAL,
    UNIT,
    WAYS,
    WITH_NOISE,
    close,
    leave_none_open,
)
from fastnat.kernels.linear_values import HUGE, OBSERVED, TINY, VALUE

# Information on the scale that is none, 1e-7 of that of known values, in the terms of `definite`.
_FLAT = 1e12
_FAR = 60.0  # how much log sigma changes at least, in the mean of the rows whose sigma changes
_SAME = 1e-9  # of log-likelihoods, a row
_NOTHING = 1e-6  # of the largest change of log sigma by a coefficient: rounding

FOUND, NONE = -1, -2
"""Answers beyond requests: the likelihood is largest in the limit; there is none."""


@helper
def judge(memory):
    """Whether the information is positive definite; on the scale, whether there is any at all.

    With known noise, coordinates about which there is none are left open.
    """
    leave_none_open(memory)
    code = _judge(memory)
    while code == codes.NOT_IDENTIFIED and memory[CELLS][WITH_NOISE] > 0.0 and _open_one(memory):
        code = _judge(memory)
    return code


@helper
def _judge(memory):
    information, least = memory[INFORMATION], memory[MEAT]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    set_identity(least)
    for j in range(p):
        least[j, j] = abs(information[j, j])
    for j in range(q):
        least[p + j, p + j] = _FLAT * memory[SQUARES_Z][j, j]
    return definite(information, least, memory[METRIC], memory[GRAD])


@helper
def _open_one(memory):
    """Leave a coordinate of the scale open, the last one of the direction without information."""
    direction, ways, p = memory[GRAD], memory[WAYS], memory[ORIGIN].size
    last = direction.size - 1
    while direction[last] == 0.0:
        last -= 1
    if last < p:
        return False
    for k in range(last - p + 1):
        ways[last - p, k] = direction[p + k] / direction[last]
    close(memory, memory[INFORMATION])
    return True


@helper
def has_open(memory):
    n_open = 0
    for j in range(memory[LIMITS].size):
        n_open += memory[WAYS][j, j] != 0.0
    return n_open > 0


@helper
def open_constant(memory):
    """A constant sigma is 0."""
    memory[WAYS][0, 0], memory[LIMITS][0] = 1.0, -math.inf


# ---- where it leads --------------------------------------------------------------------------


@helper
def begin(memory, theta):
    """Go on as the scale has come from its start, of all open coordinates; returns a request."""
    cells, ways, way = memory[CELLS], memory[WAYS], memory[GRAD]
    p, q = memory[ORIGIN].size, memory[LIMITS].size
    copy(theta, memory[STATE][ascent.BASE :])
    cells[TRIAL] = 0.0
    for k in range(q):
        way[p + k] = 0.0
        for j in range(k, q):
            way[p + k] += (theta[p + j] - memory[OWN_START][p + j]) * ways[j, k]
    return _go_far(memory, way[p:], 1.0, theta)


@helper
def proceed(memory, told, theta):
    """Take the values far away; returns what is wanted, or FOUND or NONE.

    The way from the start is trial 0: some rows' sigma must go to 0 along it, and that of no other
    to infinity.  Then each open coordinate by itself, up (trials 1, 3, ...) and down (2, 4, ...).
    """
    cells, ways = memory[CELLS], memory[WAYS]
    loglik, trial = told[VALUE] - cells[DENSE] * math.log(cells[UNIT]), int(cells[TRIAL])
    same = loglik >= cells[LOGLIK] - _SAME * (cells[TOTAL] + abs(cells[LOGLIK]))
    if trial == 0 and not (same and told[TINY] > 0.0 and told[HUGE] == 0.0):
        return NONE
    j, up = (trial - 1) // 2, trial % 2 == 1
    if trial > 0 and up and not same:
        cells[TRIAL] += 1.0
        return _go_far(memory, ways[j], -1.0, theta)
    if trial > 0:
        _lead(memory, j, math.nan if not same else math.inf if up else -math.inf)
    for k in range(j + 1, ways.shape[0]):
        if ways[k, k] != 0.0:
            cells[TRIAL] = 2.0 * k + 1.0
            return _go_far(memory, ways[k], 1.0, theta)
    copy(memory[STATE][ascent.BASE : ascent.BASE + theta.size], theta)
    return FOUND


@helper
def _go_far(memory, way, sign, theta):
    """Ask for the values far along a way of the scale, (q,)."""
    base, p = memory[STATE][ascent.BASE :], memory[ORIGIN].size
    length = math.sqrt(_square(memory[SQUARES_Z], way) / memory[CELLS][TOTAL])
    for j in range(way.size):
        theta[p + j] = base[p + j] + (sign * _FAR / length * way[j] if length > 0.0 else 0.0)
    return OBSERVED


@helper
def _square(squares, way):
    total = 0.0
    for j in range(way.size):
        for k in range(way.size):
            total += way[j] * squares[j, k] * way[k]
    return total


@helper
def _lead(memory, j, end):
    """An open coordinate goes to this end, and takes coefficients along, up or down.

    It is NaN if neither leads to the limit, as are coefficients that are taken both ways.
    """
    basis, limits, change = memory[BASIS_Z], memory[LIMITS], memory[GRAD][: memory[LIMITS].size]
    copy(memory[WAYS][j], change)
    solve_upper(basis, change)
    largest = 0.0
    for i in range(change.size):
        change[i] *= memory[NORMS][memory[ORIGIN].size + i]
        largest = max(largest, abs(change[i]))
    for i in range(change.size):
        if abs(change[i]) > _NOTHING * largest:
            own = math.copysign(1.0, change[i]) * end
            limits[i] = own if limits[i] in (0.0, own) else math.nan
