"""Rows of values with known noise, to problems in units in which no power can overflow.

Noise of less than 1e-140 of the range counts as that.
"""

import math

import numpy as np

from fastnat.kernels import codes
from fastnat.kernels._jit import helper
from fastnat.kernels._scalar import weight_at
from fastnat.kernels.lanes import WIDTH
from fastnat.kernels.tiles import new_cells

VALUES, SQUARES, WEIGHTS, TERMS, N_ROWS = range(5)
"""Rows of the memory for one problem, as long as its observations: values, noise (then squared),
weights, and room for their terms of the log-likelihood."""

_LEAST, _MOST = 1e-140, 1e140  # noise, in units of the range
_ROUNDING = 1e-9  # of a sum of squares, more than it may be wrong
_NEXT_TO_NONE = 1e-60  # noise**2 that is as good as none, relative to the least of the others
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


@helper
def select(x, noise, w, start, stop, omit, room):
    """Copy what is used of a row; returns (status, how many, their weight), -1 for weights."""
    n, total = 0, 0.0
    missing = invalid = False
    for i in range(start, stop):
        weight = weight_at(w, i)
        if not 0.0 <= weight < math.inf:
            return np.int64(-1), 0, math.nan
        value, error = x[i], noise[i]
        if weight == 0.0 or (omit and value != value) or error == math.inf > abs(value):
            continue
        total += weight
        if not (abs(value) < math.inf and error >= 0.0):
            missing |= value != value
            invalid |= value == value
            continue
        room[VALUES, n], room[SQUARES, n], room[WEIGHTS, n] = value, error, weight
        n += 1
    if not total < math.inf:
        return np.int64(-1), 0, total
    code = codes.OK
    if missing:
        code = codes.NAN_INPUT
    elif invalid:
        code = codes.INVALID_INPUT
    elif n == 0:
        code = codes.NO_DATA
    return np.int64(code), n, total


@helper
def survey(room, n):
    """(least value, greatest, reference, greatest noise, least value without noise, greatest,
    weight without noise) of what `select` has left.
    """
    x, noise, w = room[VALUES], room[SQUARES], room[WEIGHTS]
    low, high, reference, least, most = math.inf, -math.inf, 0, math.inf, 0.0
    exact_low, exact_high, exact_weight = math.inf, -math.inf, 0.0
    for i in range(n):
        value, error = x[i], noise[i]
        low = value if value < low else low
        high = value if value > high else high
        most = error if error > most else most
        if error < least:
            reference, least = i, error
        if error == 0.0:
            exact_low, exact_high = min(exact_low, value), max(exact_high, value)
            exact_weight += w[i]
    return low, high, reference, most, exact_low, exact_high, exact_weight


@helper
def judge(facts, n, total, reml):
    """(status, supremum) where there is no maximum, as far as that can be seen."""
    low, high, _, most, exact_low, exact_high, exact_weight = facts
    if reml and total <= 1.0:
        # Nothing is left for the scatter: without it the likelihood has no mode, or is flat.
        flat = total == 1.0 and low == high and (n == 1 or most == 0.0)
        code = codes.NOT_IDENTIFIED if flat else codes.SIGMA_INFINITE
        return code, 0.0 if total == 1.0 else math.inf
    if exact_low != exact_high:  # also if there are none
        return codes.OK, 0.0
    if most == 0.0:
        return codes.SIGMA_ZERO, math.inf
    # The restricted likelihood spends a weight of 1 on mu.
    if reml and exact_weight <= 1.0:
        return codes.OK, 0.0
    return codes.UNBOUNDED, math.inf


@helper
def new_scratch():
    """Room for the sums of `noise.evaluate`, its constants, and one sum."""
    return np.empty((5, 1)), np.empty((3, WIDTH)), new_cells(1)


@helper
def standardise(room, n, facts, total, reml, scratch):
    """What `select` has left, to a problem, and the way back.

    Returns (values, noise**2, weights, room, noise**2 of the reference, total weight, weight that
    mu takes up, where mu is fixed or NaN, scratch) and (origin, unit, unit of the weights, constant
    of the log-likelihood).
    """
    low, high, reference, _, exact_low, exact_high, _ = facts
    x, squares, w = room[VALUES, :n], room[SQUARES, :n], room[WEIGHTS, :n]
    for row in (x, squares, w):
        row[0], row[reference] = row[reference], row[0]
    half, back = (1.0, 1.0) if high - low < math.inf else (0.5, 2.0)
    size = max(half * high - half * low, squares[0])
    exponent = max(-1020, min(1020, math.frexp(size)[1]))
    inverse, origin = math.ldexp(1.0, -exponent), x[0]
    weight_exponent = 0 if 1e-100 < total < 1e100 else max(-1020, min(1020, math.frexp(total)[1]))
    weight_inverse = math.ldexp(1.0, -weight_exponent)
    constant, least = 0.0, math.inf
    for i in range(n):
        x[i] = (half * x[i] - half * origin) * inverse * back
        e = squares[i] * inverse
        if squares[i] > 0.0:
            if e > _MOST:
                constant -= w[i] * (math.log(squares[i]) - exponent * math.log(2.0))
                constant += w[i] * math.log(_MOST)
            e = _MOST if e > _MOST else e
            e = _LEAST if e < _LEAST else e
            least = e if e < least else least
        squares[i] = e * e
        w[i] *= weight_inverse
    if exact_low == exact_high:
        # Restricted likelihood of one value without noise, which is 0 / 0 at v = 0.
        for i in range(n):
            squares[i] = max(squares[i], least * least * _NEXT_TO_NONE)
    lost = weight_inverse if reml else 0.0
    scaled_total, free = total * weight_inverse, math.nan
    problem = x, squares, w, room[TERMS, :n], squares[0], scaled_total, lost, free, scratch
    unit = math.ldexp(1.0, exponent)
    constant -= total * _HALF_LOG_2PI + total * exponent * math.log(2.0)
    if reml:
        constant += _HALF_LOG_2PI + exponent * math.log(2.0)
    return problem, (origin, unit, 1.0 / weight_inverse, constant)


@helper
def highest(problem):
    """A v beyond which the profile only falls; not positive if it does from 0 on."""
    x, squares, w, _, least, total, lost, fixed, _ = problem
    low = high = 0.0 if fixed != fixed else fixed
    most = moment = second = 0.0
    light = False
    for i in range(x.size):
        value, square = x[i], squares[i]
        low = value if value < low else low
        high = value if value > high else high
        most = square if square > most else most
        light |= w[i] < lost
        u = w[i] * value
        moment += u
        second += u * value
    center = moment / total if fixed != fixed else fixed
    about = second - center * (2.0 * moment - center * total) + _ROUNDING * second
    top = (high - low) * (high - low) - least
    if light:
        top = (total * top + lost * most) / (total - lost)
    free, linear = total - lost, about + lost * (most - least)
    root = math.sqrt(linear * linear + 4.0 * free * about * (most - least))
    other = (linear + root) / (2.0 * free) - least
    return max(0.0, other if other < top else top)  # the former may overflow, and be NaN


@helper
def squares_without_noise(problem):
    """Sum of squares about their mean of the values without noise, which is not zero."""
    x, squares, w = problem[0], problem[1], problem[2]
    weight = moment = total = 0.0
    for i in range(x.size):
        if squares[i] == 0.0:
            weight += w[i]
            moment += w[i] * x[i]
    for i in range(x.size):
        if squares[i] == 0.0:
            r = x[i] - moment / weight
            total += w[i] * r * r
    return total
