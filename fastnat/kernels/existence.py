"""Whether censored observations have a likelihood with a maximum, decided before any iteration.

A problem is what `compression` has made of its observations.  The log-likelihood is concave in
(mu / sigma, 1 / sigma); it has a maximum if and only if there is no direction in which no
observation ever loses (Rockafellar 1970, Convex Analysis, section 27; conditions of this type for
regression are in Silvapulle and Burridge 1986, Journal of the Royal Statistical Society B 48,
100-106).
"""

import math

from fastnat.kernels import codes
from fastnat.kernels._jit import helper
from fastnat.kernels._scalar import fma


@helper
def judge(exact, left, right, between):
    """(status, mu, sigma, supremum of the log-likelihood); OK if there is a maximum.

    exact : (weight, origin, mean, M2, M3, M4) of the values that are known.
    left, right : arrays (limit, weight) of what is known to be at most, or at least, the limit.
    between : arrays (lower, upper, weight).
    """
    weight, origin, mean, m2, _, _ = exact
    value = origin + mean
    if weight > 0.0 and m2 > 0.0:
        return codes.OK, math.nan, math.nan, math.nan
    low, top = _common_part(left[0], right[0], between)
    if weight > 0.0:
        if value < low or value > top:
            return codes.OK, math.nan, math.nan, math.nan
        return codes.SIGMA_ZERO, value, 0.0, math.inf
    bounded = between[0].size > 0
    if low < top:
        if bounded or (left[0].size > 0 and right[0].size > 0):
            return codes.SIGMA_ZERO, math.nan, 0.0, 0.0
        mu = math.inf if right[0].size > 0 else -math.inf
        return codes.MU_INFINITE, mu, math.nan, 0.0
    if low == top:
        return _touching(low, left, right, between)
    if bounded or _gap_of_means(left, right) > 0.0:
        return codes.OK, math.nan, math.nan, math.nan
    supremum = _binomial(total_of(left[1]), total_of(right[1]))
    return codes.SIGMA_INFINITE, math.nan, math.inf, supremum


@helper
def _common_part(left, right, between):
    """Ends of the intersection of all intervals."""
    low, top = -math.inf, math.inf
    for k in range(left.size):
        top = min(top, left[k])
    for k in range(right.size):
        low = max(low, right[k])
    for k in range(between[0].size):
        low, top = max(low, between[0][k]), min(top, between[1][k])
    return low, top


@helper
def _touching(point, left, right, between):
    """All intervals have just one point in common.

    As sigma goes to 0 the intervals that end there share the probability; the others have all.
    """
    below = above = 0.0
    others = between[0].size
    for k in range(left[0].size):
        ends = left[0][k] == point
        below += left[1][k] if ends else 0.0
        others += not ends
    for k in range(right[0].size):
        ends = right[0][k] == point
        above += right[1][k] if ends else 0.0
        others += not ends
    for k in range(between[0].size):
        below += between[2][k] if between[1][k] == point else 0.0
        above += between[2][k] if between[0][k] == point else 0.0
    supremum = _binomial(below, above)
    if others > 0:
        return codes.SIGMA_ZERO, point, 0.0, supremum
    return codes.NOT_IDENTIFIED, math.nan, math.nan, supremum


@helper
def _binomial(below, above):
    """The largest log-likelihood of so much weight on either side of a point."""
    total = below + above
    return below * math.log(below / total) + above * math.log(above / total)


@helper
def total_of(weights):
    """Their sum, in four parts that do not wait for each other."""
    a = b = c = d = 0.0
    whole = weights.size - weights.size % 4
    for k in range(0, whole, 4):
        a += weights[k]
        b += weights[k + 1]
        c += weights[k + 2]
        d += weights[k + 3]
    for k in range(whole, weights.size):
        a += weights[k]
    return (a + b) + (c + d)


@helper
def _gap_of_means(left, right):
    """A number with the sign of the mean left limit less the mean right one.

    Twice the precision, for at a tie there is no maximum.
    """
    first, first_low = _weighted_sum(left[0], left[1])
    second, second_low = _weighted_sum(right[0], right[1])
    weight_left, weight_right = total_of(left[1]), total_of(right[1])
    product = second * weight_left
    gap = fma(first, weight_right, -product) - fma(second, weight_left, -product)
    return gap + (first_low * weight_right - second_low * weight_left)


@helper
def _weighted_sum(limits, weights):
    """Sum of the products, and what its rounding has lost (Ogita, Rump and Oishi 2005)."""
    total = lost = 0.0
    for k in range(limits.size):
        product = weights[k] * limits[k]
        new = total + product
        shadow = new - total
        lost += (total - (new - shadow)) + (product - shadow)
        lost += fma(weights[k], limits[k], -product)
        total = new
    return total, lost
