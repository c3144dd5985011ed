"""Values with known noise, x_i ~ N(mu, v + noise_i**2): the scatter v = sigma**2 >= 0 beyond it.

Given v, the best mu is a weighted mean, so all is a search in v for the highest maximum of the
profile, which may have several.  Its derivative is evaluated at 0 and at points a constant factor
apart, and every root at which it falls is refined by safeguarded Newton steps.

A problem is worked on in units in which no power can overflow, relative to the value with the
least noise, the reference.  With p = v + its noise**2, all sums are of

    t_i = p / (v + noise_i**2), between 0 and 1, and the residuals r_i = x_i - mu(v),

and the function whose roots are looked for is p**2 times twice the derivative of the profile,

    k(v) = sum w t**2 r**2 - p sum w t  [+ p sum w t**2 / sum w t, restricted likelihood],

a straight line if all noise is equal.  (Random-effects meta-analysis: Hardy and Thompson 1996,
Statistics in Medicine 15, 619-629; restricted: Viechtbauer 2005, Journal of Educational and
Behavioral Statistics 30, 261-293.)

Where roots can be.  Residuals are at most the range, so k < 0 where p is range**2 and beyond; for
the restricted likelihood, too, if no weight is less than 1, else a little later.  And as t <= 1 and
mu makes sum w t r**2 least, k is at most S - p sum w t (+ p for the restricted likelihood), where S
is the sum of squares about the mean of all.  With M the greatest noise**2, sum w t is at least
W p / (v + M), so k < 0 beyond the positive root of a quadratic in p; if all noise is equal that is
where k = 0.  Far below the least noise**2, nothing depends on v.  If some values have no noise,
k > 0 below their sum of squares over the total weight.
"""

import math

import numpy as np

from fastnat.kernels import codes, compression, estimates, lanes, noise_data, root
from fastnat.kernels._jit import helper, inlined, kernel
from fastnat.kernels._scalar import borrow, keep
from fastnat.kernels._stop import stopped
from fastnat.kernels.outcome import COV_EXPECTED, COV_OBSERVED, COV_OPG, COV_SANDWICH, NO_COV
from fastnat.kernels.special import log
from fastnat.kernels.tiles import total as sum_of

_FACTOR = 0.3  # from one point of the search to the next
_LOWEST = 0.25  # times the least noise**2: the last of them
_TURNS = 20  # looks, at most, at a place where k seems to come near 0 between two points
_CLOSE = 2.0**-27  # of v: the Newton step after which there are no digits left to gain

_MU, _V, _P, _N_CONSTS = range(4)  # of the sums

BEST_V, _LOGLIK, _NIT, _CODE, _COUNT, BEST_SIZE = range(6)


@kernel
def fit_rows(x, noise, w, offsets, omit, reml, cov, max_iter, tol, first, out):
    """Fit the rows ``offsets[b]`` to ``offsets[b + 1]``; returns how many have bad weights.

    x, noise, w : (n_total,) float64; noise is a standard deviation, infinite for a value that
        says nothing; w is (0,) for unit weights.
    omit : leave out observations whose value is NaN, or say NAN_INPUT.
    reml : maximise the restricted likelihood, of contrasts.
    cov : kind of standard errors, see `outcome`.
    max_iter : Newton steps towards a root.
    tol : the decrement per unit of weight at which they may end.
    out : (estimates.SIZE, at least first + n_rows), out.

    Standard errors are those of (mu, v), taken to (mu, sigma).  With the restricted likelihood,
    which has no mu, observed information is diagonal: sum w om for mu, with om the reciprocal
    variance, and minus the second derivative for v; expected information has tr(PP) / 2 there;
    the scores of v, 1/2 (om**2 r**2 - om (1 - om / sum w om)), share out the correction.
    """
    owners = (
        np.empty((noise_data.N_ROWS, compression.longest(offsets))),
        noise_data.new_scratch(),
        (np.empty(root.SIZE), np.empty(BEST_SIZE)),
    )
    room, scratch, (state, best) = borrow(owners)
    bad_weights = 0
    for b in range(offsets.size - 1):
        column = first + b
        code, n, total = noise_data.select(x, noise, w, offsets[b], offsets[b + 1], omit, room)
        if code < 0:
            bad_weights += 1
            code = codes.INVALID_INPUT
        if code != codes.OK:
            estimates.blame(code, total, column, out)
            continue
        facts = noise_data.survey(room, n)
        code, supremum = noise_data.judge(facts, n, total, reml)
        if code != codes.OK:
            zero = code == codes.SIGMA_ZERO
            mu, sigma = (facts[0], 0.0) if zero else (math.nan, math.nan)
            sigma = math.inf if code == codes.SIGMA_INFINITE else sigma
            estimates.give_up(code, mu, sigma, supremum, total, column, out)
            continue
        problem, units = noise_data.standardise(room, n, facts, total, reml, scratch)
        maximise(problem, lowest(problem, facts), max_iter, tol, state, best)
        _report(problem, units, total, reml, cov, best, column, out)
    keep(owners)
    return bad_weights


def _of_means(v, values, consts, flags):
    """Sums of u = w t and u x."""
    x, squares, w = values
    u = v.mul(w, v.div(consts[_P], v.add(consts[_V], squares)))
    return [u, (u, x)]


def _of_residuals(v, values, consts, flags):
    """Sums of u = w t**2, u t, u r, u r**2 and u r**2 t."""
    x, squares, w = values
    t = v.div(consts[_P], v.add(consts[_V], squares))
    u, r = v.mul(v.mul(w, t), t), v.sub(x, consts[_MU])
    once = v.mul(u, r)
    return [u, (u, t), once, (once, r), (v.mul(once, r), t)]


_mean_sums = lanes.row_sums(_of_means, _N_CONSTS, rows=1, unroll=1, prefetch=False)
_residual_sums = lanes.row_sums(_of_residuals, _N_CONSTS, rows=1, unroll=1, prefetch=False)


@inlined
def evaluate(problem, v):
    """(mu, sum w t, sum w t**2, sum w t**3, sum w t**2 r, sum w t**2 r**2, sum w t**3 r**2, gap).

    gap = (sum w t)**2 - lost sum w t**2, which would cancel if the reference outweighs the rest.
    """
    x, squares, w, _, least, _, lost, fixed, (sums, consts, _) = problem
    n = 0 if stopped() else x.size - 1
    consts[_V, 0], consts[_P, 0] = v, v + least
    _mean_sums((x, squares, w), 1, 0, n, 0, consts, (), sums, 0, 0)
    s1, w0 = sums[0, 0], w[0]
    mu = sums[1, 0] / (w0 + s1) if fixed != fixed else fixed
    consts[_MU, 0] = mu
    _residual_sums((x, squares, w), 1, 0, n, 0, consts, (), sums, 0, 0)
    s2, s3, first, second, third = sums[0, 0], sums[1, 0], sums[2, 0], sums[3, 0], sums[4, 0]
    gap = w0 * (w0 - lost) + 2.0 * w0 * s1 + s1 * s1 - lost * s2
    own = w0 * mu * mu
    return mu, w0 + s1, w0 + s2, w0 + s3, first - w0 * mu, second + own, third + own, gap


@inlined
def _falling(problem, v, sums):
    """(k, its slope, p**2 times twice the second derivative of the profile)."""
    _, s1, s2, s3, first, second, third, gap = sums
    p, lost, fixed = v + problem[4], problem[6], problem[7]
    k = second - p * (gap / s1)
    moving = first * (first / s1) if fixed != fixed else 0.0
    curvature = s2 - 2.0 * (third - moving) / p
    if lost > 0.0:
        ratio = s2 / s1
        curvature -= lost * (2.0 * s3 / s1 - ratio * ratio)
    return k, curvature + 2.0 * k / p, curvature


@inlined
def loglik_at(problem, v):
    """Log-likelihood of v and the best mu, but for the constant, in units of the weights."""
    return _loglik_and_sums(problem, v)[0]


@inlined
def _loglik_and_sums(problem, v):
    """The same, and what `evaluate` has to say."""
    x, squares, w, terms, least, _, lost, _, scratch = problem
    sums = evaluate(problem, v)
    mu, s1 = sums[:2]
    p = v + least
    for i in range(x.size):
        r = x[i] - mu
        variance = v + squares[i]
        terms[i] = w[i] * (r * r / variance + log(variance))
    of_values = sum_of(terms, x.size, scratch[2])
    # Not s1 / p, which might overflow.
    return -0.5 * (of_values + lost * (math.log(s1) - math.log(p))), sums


@helper
def lowest(problem, facts):
    """Below this v the search need not look, but at 0."""
    if facts[4] < facts[5]:
        return 0.5 * noise_data.squares_without_noise(problem) / problem[5]
    return _LOWEST * problem[4]


@helper
def maximise(problem, floor, max_iter, tol, state, best):
    """Find the best v: ``best`` tells it, what was spent on it, and OK, BOUNDARY or MAX_ITER.

    floor : the result of `lowest`.
    """
    best[_COUNT] = 0.0
    upper, zero = start(problem), look(problem, 0.0)
    while upper[0] > 0.0:
        lower, upper = next_bracket(problem, floor, upper, zero)
        if lower[0] >= 0.0:
            v, nit, code = refine(problem, lower, upper, max_iter, tol, state)
            _offer(problem, v, nit, code, best)
        upper = lower
    if best[_COUNT] == 0.0 or not zero[1] > 0.0:
        _offer(problem, 0.0, 0.0, np.int64(codes.BOUNDARY), best)


@inlined
def look(problem, v):
    """The point (v, k there, its slope)."""
    if v == 0.0 == problem[4]:
        return v, math.inf, math.nan
    k, slope, _ = _falling(problem, v, evaluate(problem, v))
    return v, k, slope


@inlined
def start(problem):
    """The point from which the search goes down."""
    v = noise_data.highest(problem)
    if not 0.0 < v < math.inf:  # infinite for a fixed mu beyond all numbers
        return 0.0, -1.0, 0.0
    _, k, slope = look(problem, v)
    return v, min(k, 0.0), slope


@inlined
def next_bracket(problem, floor, upper, zero):
    """Go down from the point ``upper`` until k changes from negative to positive.

    zero : the point 0.

    Returns two points, of which the lower one is the last if it is at 0; if it is below, there is
    no further bracket.
    """
    last = False
    while not (last or stopped()):
        v = _FACTOR * upper[0]
        last = v <= floor
        lower = zero if last else look(problem, v)
        if lower[1] > 0.0 >= upper[1]:
            return lower, upper
        between = upper
        if _turns(lower, upper):
            between = _turn(problem, lower, upper)
        if 0.0 < between[0] < upper[0]:
            if between[1] > 0.0:
                return between, upper
            return lower, between
        upper = lower
    return (-1.0, zero[1], zero[2]), upper


@inlined
def _turns(lower, upper):
    """Whether k comes nearer to 0 from both ends."""
    sign = 1.0 if lower[1] > 0.0 else -1.0
    return sign * lower[2] < 0.0 < sign * upper[2]


@helper
def _turn(problem, lower, upper):
    """A point between two of the same sign of k where it has the other one, or one below 0.

    Looked for only where the tangents at the ends say so, which bound a convex function.
    """
    sign = 1.0 if lower[1] > 0.0 else -1.0
    for _ in range(_TURNS):
        a, at_a, slope_a = lower
        b, at_b, slope_b = upper
        step = (at_b - at_a - slope_b * (b - a)) / (slope_a - slope_b)
        if not (0.0 < step < b - a and sign * (at_a + slope_a * step) < 0.0):
            break
        between = look(problem, a + step)
        if (between[1] > 0.0) != (at_a > 0.0):
            return between
        if sign * between[2] < 0.0:
            lower = between
        else:
            upper = between
    return -1.0, 0.0, 0.0


@inlined
def refine(problem, low, high, max_iter, tol, state):
    """(root of k between two points, evaluations, OK or MAX_ITER)."""
    lower, at_lower, _ = low
    upper, at_upper, _ = high
    v = root.start(state, lower, upper, False)
    guess = lower + (upper - lower) * (at_lower / (at_lower - at_upper))
    if lower < guess < upper:
        state[root.ROOT] = v = guess
    nit, code = 0.0, codes.OK
    while v == v:
        if nit >= max_iter:
            code = codes.MAX_ITER
            break
        k, slope, curvature = _falling(problem, v, evaluate(problem, v))
        nit += 1.0
        step, p = k / slope, v + problem[4]
        near = abs(step) <= _CLOSE * v and lower < v - step < upper and curvature < 0.0
        if near and -0.5 * curvature * (step / p) * (step / p) <= tol * problem[5]:
            state[root.ROOT] = v - step
            break
        v = root.advance(state, k, slope)
    return state[root.ROOT], nit, np.int64(code)


@inlined
def _offer(problem, v, nit, code, best):
    """Keep v if it is the best so far; the likelihood is not looked at while it is the only one."""
    better = best[_COUNT] == 0.0
    if not better:
        if best[_COUNT] == 1.0:
            best[_LOGLIK] = loglik_at(problem, best[BEST_V])
        loglik = loglik_at(problem, v)
        better = loglik > best[_LOGLIK]
        if better:
            best[_LOGLIK] = loglik
    best[_COUNT] += 1.0
    if better:
        best[BEST_V], best[_NIT], best[_CODE] = v, nit, code


@helper
def _report(problem, units, total, reml, cov, best, column, out):
    """The estimates, and their standard errors unless the search was cut short."""
    origin, unit, weight_unit, constant = units
    v, code = best[BEST_V], int(best[_CODE])
    loglik, sums = _loglik_and_sums(problem, v)
    loglik = weight_unit * loglik + constant
    # The sum may be a number where its second part is not.
    mu = origin + unit * sums[0]
    if not abs(mu) < math.inf:
        mu = 2.0 * (0.5 * origin + 0.5 * unit * sums[0])
    sigma = unit * math.sqrt(v)
    estimates.arrive(np.int64(code), mu, sigma, loglik, total, best[_NIT], column, out)
    if cov == NO_COV or code == codes.MAX_ITER:
        return
    if code == codes.BOUNDARY:
        error = unit * _error_at_zero(problem, sums, weight_unit, cov)
        estimates.set_errors(error, math.nan, math.nan, column, out)
        return
    observed, expected = _information(problem, v, sums, weight_unit, reml)
    products = 0.0, 0.0, 0.0
    if cov in (COV_OPG, COV_SANDWICH):
        products = _products(problem, v, evaluate(problem, v), weight_unit)
    result = estimates.covariance(cov, observed, expected, products)
    estimates.set_covariance(result, sigma, column, out)


@helper
def _error_at_zero(problem, sums, weight_unit, cov):
    """Standard error of mu if v is 0 and no parameter."""
    p, s1, second = problem[4], sums[1], sums[5]
    if cov in (COV_OBSERVED, COV_EXPECTED):
        return math.sqrt(p / (weight_unit * s1))
    if cov == COV_OPG:
        return p / math.sqrt(weight_unit * second) if second > 0.0 else math.nan
    return math.sqrt(second / weight_unit) / s1


@helper
def _information(problem, v, sums, weight_unit, reml):
    """Observed and expected information of (mu / sigma, log sigma) at a maximum."""
    _, s1, s2, s3, first, _, third, _ = sums
    p, lost = v + problem[4], problem[6]
    share = v / p
    factor = weight_unit * share * share
    of_mu = weight_unit * share * s1
    # With the restricted likelihood, tr(PP); else the second and third term vanish.
    trace = s2 - lost * (2.0 * s3 / s1 - s2 / s1 * (s2 / s1))
    expected = of_mu, 0.0, 2.0 * factor * trace
    if reml:
        curvature = _falling(problem, v, sums)[2]
        return (of_mu, 0.0, -2.0 * factor * curvature), expected
    both = 2.0 * factor * first / math.sqrt(v)
    return (of_mu, both, factor * (4.0 * third / p - 2.0 * s2)), expected


@helper
def _products(problem, v, sums, weight_unit):
    """Sum of the outer products of the scores of (mu / sigma, log sigma)."""
    x, squares, w, lost = problem[0], problem[1], problem[2], problem[6]
    p, sigma, mu, s1 = v + problem[4], math.sqrt(v), sums[0], sums[1]
    share = v / p
    a = b = c = 0.0
    for i in range(x.size):
        r = x[i] - mu
        t = p / (v + squares[i])
        of_mu = sigma * t * r / p
        of_sigma = share * t * (t * (r * r) / p - 1.0 + lost * t / s1)
        a += w[i] * of_mu * of_mu
        b += w[i] * of_mu * of_sigma
        c += w[i] * of_sigma * of_sigma
    return weight_unit * a, weight_unit * b, weight_unit * c
