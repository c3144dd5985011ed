"""Whether a regression's search has ended at a maximum; known noise may leave one in a limit.

Where noise explains the scatter of some rows, say of one of two groups that Z tells apart, their
sigma goes to 0 and the likelihood to a finite supremum, as it does with a constant sigma.  The
information about some coefficients of the scale dies away then, and what is known of the others,
and of the mean, is that of the limit.

A coordinate of the scale is *open* if the others leave no information about it; with them it makes
a way along which only such rows change.  That it leads to a limit where sigma is 0 is tried.
"""

import math

from fastnat.kernels import ascent
from fastnat.kernels._jit import helper
from fastnat.kernels.curvature import copy, copy_matrix, definite
from fastnat.kernels.linalg import cholesky, cholesky_solve
from fastnat.kernels.linear_frame import set_identity, solve_upper
from fastnat.kernels.linear_memory import (
    BACK,
    BASIS_Z,
    CELLS,
    DENSE,
    FALLEN,
    GRAD,
    INFORMATION,
    LIMITS,
    LOGLIK,
    MEAT,
    METRIC,
    NORMS,
    ORIGIN,
    OWN_START,
    SIGN,
    SQUARES_Z,
    STATE,
    STEP_Z,
    TOTAL,
    TRIED,
    UNIT,
    WAYS,
    WITH_NOISE,
    close,
    leave_none_open,
)
from fastnat.kernels.linear_values import HUGE, OBSERVED, TINY, VALUE

# Information on the scale that is none, beside the squares of Z; and in the terms of `definite`.
_NO_INFORMATION, _FLAT = 1e-7, 1e12
_FAR = 150.0  # how much log sigma changes far away, in the mean of all rows
_BACK, _MOST_BACK = 4.0, 15.0  # the same of the rows whose sigma is 0, a step back, and how many
_SAME = 1.5e-8  # of log-likelihoods, a row: a maximum that is higher has more information than none
_NOTHING = 1e-6  # of the largest change of log sigma by a coefficient: rounding

FOUND, NONE, HIGHER = -1, -2, -3
"""Answers beyond requests: the likelihood is largest in the limit; there is none; it is higher
at theta, on the way back."""


@helper
def judge(memory):
    """Whether the information is positive definite; on the scale, whether there is any at all.

    With known noise, coordinates of which the others leave none are open first.
    """
    information, least, squares = memory[INFORMATION], memory[MEAT], memory[SQUARES_Z]
    p, q = memory[ORIGIN].size, squares.shape[0]
    leave_none_open(memory)
    if memory[CELLS][WITH_NOISE] > 0.0:
        _open(memory)
        close(memory, information)
    set_identity(least)
    for j in range(p):
        least[j, j] = abs(information[j, j])
    for j in range(q):
        if memory[WAYS][j, j] == 0.0:
            least[p + j, p + j] = _FLAT * squares[j, j]
    return definite(information, least, memory[METRIC], memory[GRAD])


@helper
def _open(memory):
    """Find the coordinates that are open, and their ways: they change no other row.

    The others are swept out one by one, the best known first (Goodnight 1979, The American
    Statistician 33, 149-158), so that it matters little in which columns Z is given.
    """
    work, ways = memory[METRIC], memory[WAYS]
    p, q = memory[ORIGIN].size, ways.shape[0]
    copy_matrix(memory[INFORMATION], work)
    for j in range(p):
        if not work[j, j] > 0.0:
            return
        _sweep(work, j)
    set_identity(ways)
    known = _best_known(memory)
    while known >= 0:
        ways[known, known] = 0.0
        _sweep(work, p + known)
        known = _best_known(memory)
    for j in range(q):
        for k in range(q):
            if ways[j, j] != 0.0 and ways[k, k] == 0.0:
                ways[j, k] = -work[p + k, p + j]


@helper
def _best_known(memory):
    """Of the coordinates that may be open the one that is best known, -1 if all are."""
    work, ways, squares = memory[METRIC], memory[WAYS], memory[SQUARES_Z]
    p, best, most = memory[ORIGIN].size, -1, 1.0
    for j in range(ways.shape[0]):
        none = _NO_INFORMATION * squares[j, j]
        if ways[j, j] != 0.0 and not abs(work[p + j, p + j]) <= most * none:
            best, most = j, abs(work[p + j, p + j]) / none
    return best


@helper
def _sweep(a, k):
    """Solve for coordinate k: its column becomes that of an inverse, the others what is left."""
    inverse = 1.0 / a[k, k]
    for j in range(a.shape[0]):
        a[k, j] *= inverse
    for i in range(a.shape[0]):
        if i != k:
            factor = a[i, k]
            for j in range(a.shape[0]):
                a[i, j] -= factor * a[k, j]
            a[i, k] = -factor * inverse
    a[k, k] = inverse


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
    cells, base = memory[CELLS], memory[STATE][ascent.BASE :]
    copy(theta, base)
    _set_way(memory, theta, base[theta.size :][: memory[LIMITS].size])
    cells[TRIED], cells[SIGN], cells[BACK] = -1.0, 1.0, 0.0
    return _go(memory, _FAR, cells[TOTAL], theta)


@helper
def _way(memory):
    """That which is tried: of an open coordinate, or, first of all, the way from the start."""
    j, k = int(memory[CELLS][TRIED]), memory[GRAD].size
    all_ways = memory[STATE][ascent.BASE + k :][: memory[LIMITS].size]
    return memory[WAYS][j] if j >= 0 else all_ways


@helper
def _set_way(memory, theta, way):
    """The way from the start, as near as those of open coordinates come to it, over all rows."""
    ways, squares, products, shares = (
        memory[WAYS],
        memory[SQUARES_Z],
        memory[STEP_Z],
        memory[LIMITS],
    )
    p, q = memory[ORIGIN].size, way.size
    for j in range(q):
        way[j] = theta[p + j] - memory[OWN_START][p + j]
    set_identity(products)
    for j in range(q):
        shares[j] = _product(squares, ways[j], way)
        for k in range(q):
            if ways[j, j] != 0.0 and ways[k, k] != 0.0:
                products[j, k] = _product(squares, ways[j], ways[k])
    cholesky(products)
    cholesky_solve(products, shares)
    for k in range(q):
        way[k] = 0.0
        for j in range(q):
            way[k] += shares[j] * ways[j, k]
    for j in range(q):
        shares[j] = 0.0


@helper
def _product(squares, a, b):
    """Of what two ways change, summed up over rows."""
    total = 0.0
    for j in range(a.size):
        for k in range(b.size):
            total += a[j] * squares[j, k] * b[k]
    return total


@helper
def _go(memory, far, weight, theta):
    """Ask for the values so far along the way, in the mean of rows of that weight, if of those."""
    base, way, p = memory[STATE][ascent.BASE :], _way(memory), memory[ORIGIN].size
    length = math.sqrt(_product(memory[SQUARES_Z], way, way) / weight)
    step = memory[CELLS][SIGN] * far / length if length > 0.0 else 0.0
    for j in range(way.size):
        theta[p + j] = base[p + j] + step * way[j]
    return OBSERVED


@helper
def proceed(memory, told, theta):
    """Take the values on the way; returns what is wanted, or FOUND, NONE or HIGHER.

    Far along it, log-likelihood must be the same, some rows' sigma 0 and that of no other infinite.
    And on the way back, step by step until there is a difference, it must be lower: where noise
    leaves room for a scale it is higher, and the search came to rest too far down.
    """
    cells = memory[CELLS]
    gain = told[VALUE] - cells[DENSE] * math.log(cells[UNIT]) - cells[LOGLIK]
    slack, back = _SAME * (cells[TOTAL] + abs(cells[LOGLIK])), cells[BACK]
    if back > 0.0:
        if gain > slack:
            return HIGHER
        if gain < -slack:
            return _take_way(memory, cells[SIGN] * math.inf, theta)
    elif gain >= -slack and told[TINY] > 0.0 and told[HUGE] == 0.0:
        cells[FALLEN] = told[TINY]
    elif cells[TRIED] < 0.0:
        return NONE
    elif back < 0.0:
        return _take_way(memory, math.nan, theta)
    else:
        cells[SIGN], cells[BACK] = -cells[SIGN], -1.0
        return _go(memory, _FAR, cells[TOTAL], theta)
    cells[BACK] = max(back, 0.0) + 1.0
    if cells[BACK] > _MOST_BACK:
        return NONE
    return _go(memory, -_BACK * cells[BACK], cells[FALLEN], theta)


@helper
def _take_way(memory, end, theta):
    """A way leads to this end, NaN if to none; what is next."""
    cells, ways, q = memory[CELLS], memory[WAYS], memory[LIMITS].size
    if cells[TRIED] >= 0.0:
        _lead(memory, int(cells[TRIED]), end)
    base, k = memory[STATE][ascent.BASE :], memory[GRAD].size
    for j in range(int(cells[TRIED]) + 1, q):
        if ways[j, j] != 0.0:
            up = _product(memory[SQUARES_Z], base[k:][:q], ways[j]) > 0.0
            cells[TRIED], cells[SIGN], cells[BACK] = float(j), 1.0 if up else -1.0, 0.0
            return _go(memory, _FAR, cells[TOTAL], theta)
    copy(base[:k], theta)
    return FOUND


@helper
def _lead(memory, j, end):
    """An open coordinate goes to this end, and takes coefficients along, up or down.

    Those are NaN that go nowhere so, and those that are taken both ways.
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
