"""Stochastic natural gradients: (mu, sigma) of many series, one observation after the other.

A step is the gain times F(theta)^-1 score, F the expected information of one observation.  In the
mean parameters of complete data, (E x, E x**2), it is a weighted mean of what was and what is new;
with limits it is taken in (mu / sigma, log sigma).  A gain of 1 / t makes the estimates efficient
(Amari 1998, Neural Computation 10, 251-276), which a metric of complete data would not.
"""

import math

from fastnat.kernels._jit import helper, kernel
from fastnat.kernels.observation import expected_information
from fastnat.kernels.special import tail

COUNT, WEIGHT, SQUARES, ORIGIN, MEAN, SPREAD, READY, SIZE = range(8)
"""Rows of the state, a column for each series.  COUNT: observations so far; WEIGHT: the sum of
their weights if that of the newest is 1; SQUARES: the sum of the squares of their weights if they
add up to 1; MEAN: mu less ORIGIN; SPREAD: the variance, with limits sigma; READY: whether steps
are taken."""

_MOST = 0.5  # that a single observation may move either coordinate


@kernel
def follow(x, n, decay, state):
    """Take in ``n`` complete observations of each series; NaN are left out.

    x : (n_series * n,), the observations of a series are neighbours.
    decay : what is left of a weight after the next observation; 1 for weights that stay.
    state : (SIZE, n_series), in and out.
    """
    for b in range(state.shape[1]):
        mean, variance = state[MEAN, b], state[SPREAD, b]
        for i in range(b * n, (b + 1) * n):
            value = float(x[i])
            if value != value:
                continue
            if state[COUNT, b] == 0.0:
                state[ORIGIN, b] = value
            gain = _advance(b, decay, state)
            d = (value - state[ORIGIN, b]) - mean
            mean += gain * d
            variance = (1.0 - gain) * (variance + gain * d * d)
        state[MEAN, b], state[SPREAD, b] = mean, variance


@helper
def _advance(b, decay, state):
    """Count an observation; its gain."""
    state[COUNT, b] += 1.0
    state[WEIGHT, b] = decay * state[WEIGHT, b] + 1.0
    gain = 1.0 / state[WEIGHT, b]
    rest = 1.0 - gain
    state[SQUARES, b] = rest * rest * state[SQUARES, b] + gain * gain
    return gain


@kernel
def follow_limited(x, left, right, n, decay, state):
    """`follow` for those series with limits that are READY.

    left, right : (1,) or (n_series,), values at or beyond are only known to be so.
    """
    for b in range(state.shape[1]):
        if state[READY, b] == 0.0:
            continue
        least = left[b % left.size] - state[ORIGIN, b]
        most = right[b % right.size] - state[ORIGIN, b]
        for i in range(b * n, (b + 1) * n):
            value = float(x[i]) - state[ORIGIN, b]
            if value == value:
                _step(value, least, most, _advance(b, decay, state), b, state)


@helper
def _step(value, least, most, gain, b, state):
    """One step, from an observation and limits relative to the origin."""
    mean, sigma = state[MEAN, b], state[SPREAD, b]
    low, high = (least - mean) / sigma, (most - mean) / sigma
    if value <= least:
        hazard = tail(-low)[0]
        of_mean, of_scale = -hazard, -low * hazard
    elif value >= most:
        hazard = tail(high)[0]
        of_mean, of_scale = hazard, high * hazard
    else:
        z = (value - mean) / sigma
        of_mean, of_scale = z, z * z - 1.0
    first, both, second = expected_information(low, high)
    det = first * second - both * both
    d_mean = gain * (second * of_mean - both * of_scale) / det
    d_scale = gain * (first * of_scale - both * of_mean) / det
    size = max(abs(d_mean), abs(d_scale))
    if not size < math.inf:  # there is no information in observations like this
        return
    share = min(1.0, _MOST / size) if size > 0.0 else 0.0
    state[MEAN, b] = mean + sigma * share * d_mean
    state[SPREAD, b] = sigma * math.exp(share * d_scale)
