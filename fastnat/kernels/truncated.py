"""Truncated observations: each could be seen only because it lies within its bounds.

In the natural parameters (e1, e2) of the exponential family, exp(e1 t + e2 t**2) with t relative
to an anchor, the log-likelihood is concave, and its curvature is the Fisher information: Newton's
step, Fisher scoring and the natural-gradient step are one.  e2 < 0; where the likelihood grows
towards e2 = 0 there is no maximum, and the limit is an exponential distribution (del Castillo
1994, Annals of the Institute of Statistical Mathematics 46, 57-66).
"""

import math

import numpy as np

from fastnat.kernels import ascent, codes, compression, estimates
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels._scalar import weight_at
from fastnat.kernels._stop import stopped
from fastnat.kernels.ascent import GRAD, METRIC, STATE, THETA
from fastnat.kernels.outcome import NO_COV
from fastnat.kernels.quadrature import truncated_moments

_FLOOR = 1e-22  # decrements below it are rounding
_MOST = 100  # steps in one dimension
_CLOSE = 1e-26  # decrement there

T, LOWER, UPPER, WEIGHT, N_ROWS = range(5)
"""Rows of the workspace: the observations of a problem, in its own units."""


@kernel
def fit_rows(x, lower, upper, w, offsets, omit, cov, max_iter, tol, first, out):
    """Fit rows of observations, ``offsets[b]`` to ``offsets[b + 1] - 1``; returns bad weights.

    x, lower, upper, w : (n_total,) values, their bounds and weights; w may be (0,).
    omit : whether a missing observation is left out.
    cov : the kind of covariance, as `outcome` numbers them.
    out : (estimates.SIZE, at least first + n_rows), out.
    """
    work = np.empty((N_ROWS, compression.longest(offsets)))
    tools = ascent.new_tools(np.int64(2))
    theta = tools[THETA]
    bad_weights = 0
    for b in range(offsets.size - 1):
        column = first + b
        status, n, total = gather(x, lower, upper, w, offsets[b], offsets[b + 1], omit, work)
        bad_weights += status < 0
        if status != codes.OK:
            estimates.blame(max(status, codes.NO_DATA), total, column, out)
            continue
        problem, origin, scale = standardise(work, n, total)
        status, mu, supremum = _judge(problem, tools)
        loglik = supremum - total * math.log(scale)
        if status == codes.SIGMA_ZERO:
            estimates.give_up(status, origin + scale * mu, 0.0, math.inf, total, column, out)
            continue
        if status != codes.OK:
            estimates.give_up(status, math.nan, math.inf, loglik, total, column, out)
            continue
        code, loglik, nit = _ascend(problem, max_iter, tol, tools)
        spread = math.sqrt(-0.5 / theta[1])
        mu, sigma = origin + scale * theta[0] * spread * spread, scale * spread
        status = codes.OK if code == codes.OK else codes.MAX_ITER
        loglik -= total * math.log(scale)
        estimates.arrive(status, mu, sigma, loglik, total, nit, column, out)
        if status == codes.OK and cov != NO_COV:
            estimates.set_covariance(_covariance(problem, cov, tools), sigma, column, out)
    return bad_weights


@helper
def gather(x, lower, upper, w, start, stop, omit, work):
    """(status, number, total weight) of the usable observations of a row, copied to ``work``.

    The status is -1 if a weight cannot be used; an observation of weight 0 is not looked at.
    """
    n, missing, invalid, total = np.int64(0), 0, 0, 0.0
    for i in range(start, stop):
        weight = weight_at(w, i)
        if not 0.0 <= weight < math.inf:
            return np.int64(-1), n, total
        if weight == 0.0:
            continue
        value, least, most = float(x[i]), float(lower[i]), float(upper[i])
        total += weight
        fine = least < most and not math.isinf(value)
        if fine and value != value:
            missing += 1
            total -= weight if omit else 0.0
            continue
        invalid += not (fine and least <= value <= most)
        work[T, n], work[LOWER, n], work[UPPER, n], work[WEIGHT, n] = value, least, most, weight
        n += 1
    if not total < math.inf:
        return np.int64(-1), n, total
    status = codes.OK
    if missing > 0 and not omit:
        status = codes.NAN_INPUT
    elif invalid > 0:
        status = codes.INVALID_INPUT
    elif n == 0:
        status = codes.NO_DATA
    return np.int64(status), n, total


@helper
def standardise(work, n, total):
    """(problem, origin, scale): the observations relative to their mean and standard deviation.

    A problem is (t, lower, upper, weights, whether the bounds are common, W, sum of w t, of
    w t**2).
    """
    t, lower, upper, weights = work[T][:n], work[LOWER][:n], work[UPPER][:n], work[WEIGHT][:n]
    largest = 0.0
    for i in range(n):
        largest = max(largest, abs(t[i]))
    unit = compression.unit_of(largest)
    origin = 0.0
    for i in range(n):
        origin += weights[i] / total * (t[i] / unit)
    square = slack = 0.0
    for i in range(n):
        d = t[i] / unit - origin
        slack += weights[i] / total * d
        square += weights[i] / total * d * d
    # What rounding has left in the mean goes into the origin; all equal, it is the value.
    origin += slack
    spread = math.sqrt(square)
    if not spread > 0.0:
        origin, spread = t[0] / unit, max(1.0, abs(t[0] / unit)) * 2.0**-60
    first = second = 0.0
    common = True
    for i in range(n):
        t[i] = (t[i] / unit - origin) / spread
        lower[i] = (lower[i] / unit - origin) / spread
        upper[i] = (upper[i] / unit - origin) / spread
        common = common and lower[i] == lower[0] and upper[i] == upper[0]
        first += weights[i] * t[i]
        second += weights[i] * t[i] * t[i]
    problem = t, lower, upper, weights, common, total, first, second
    return problem, origin * unit, spread * unit


@helper
def _judge(problem, tools):
    """(status, mu, supremum of the log-likelihood in these units): OK if there is a maximum."""
    t, lower, upper = problem[:3]
    degenerate, mu = _collapses(t, lower, upper)
    if degenerate:
        return codes.SIGMA_ZERO, mu, math.inf
    loglik = exponential_limit(problem, tools)
    # There, the likelihood falls towards e2 > 0 if and only if it has a maximum at e2 < 0.
    if loglik == -math.inf or tools[GRAD][1] < 0.0:
        return codes.OK, math.nan, math.nan
    return codes.SIGMA_INFINITE, math.nan, loglik


@helper
def exponential_limit(problem, tools):
    """The supremum of the log-likelihood as sigma goes to infinity; -inf if it has no limit.

    Leaves e1 and the gradient there in the tools.
    """
    _, lower, upper = problem[:3]
    below = above = False
    for i in range(lower.size):
        no_lower, no_upper = lower[i] == -math.inf, upper[i] == math.inf
        below, above = below or no_lower, above or no_upper
    if below and above:
        return -math.inf
    return _exponential(problem, below, above, tools)


@helper
def _collapses(t, lower, upper):
    """(whether, m) each value is where its bounds let some m be: sigma can go to 0 at no cost."""
    low, high, value, inside = -math.inf, math.inf, 0.0, False
    for i in range(t.size):
        if t[i] == lower[i]:
            high = min(high, t[i])
        elif t[i] == upper[i]:
            low = max(low, t[i])
        elif inside and t[i] != value:
            return False, math.nan
        else:
            value, inside = t[i], True
    if inside:
        return low <= value <= high, value
    return low <= high, low if low == high else math.nan


@helper
def _exponential(problem, below, above, tools):
    """The largest log-likelihood at e2 = 0, where e1 has a sign if a side is open.

    Leaves the gradient there in the tools.
    """
    theta, grad, metric = tools[THETA], tools[GRAD], tools[METRIC]
    low, high = -math.inf, math.inf
    theta[0], theta[1] = 0.0, 0.0
    if above:
        high, theta[0] = 0.0, -1.0
    elif below:
        low, theta[0] = 0.0, 1.0
    loglik = evaluate(problem, tools)
    for _ in range(_MOST):
        # Concave in e1: the maximum is where the slope points to.
        if grad[0] > 0.0:
            low = theta[0]
        else:
            high = theta[0]
        step = grad[0] / metric[0, 0]
        if not grad[0] * step > _CLOSE * problem[5]:
            break
        new = theta[0] + step
        if not low < new < high:
            new = 0.5 * (theta[0] + (low if step < 0.0 else high))
        if new == theta[0]:
            break
        theta[0] = new
        loglik = evaluate(problem, tools)
    return loglik


@helper
def evaluate(problem, tools):
    """Log-likelihood; its gradient and curvature go to ``tools[GRAD]`` and ``tools[METRIC]``."""
    t, lower, upper, weights, common, total, first, second = problem
    theta, grad, metric = tools[THETA], tools[GRAD], tools[METRIC]
    e1, e2 = theta[0], theta[1]
    log_z, m, k2, k3, k4 = truncated_moments(e1, e2, lower[0], upper[0])
    if common:
        sums = _add((0.0, 0.0, 0.0, 0.0, 0.0, 0.0), total, log_z, m, k2, k3, k4)
    else:
        sums = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(1 if stopped() else t.size):
            if i > 0 and (lower[i] != lower[i - 1] or upper[i] != upper[i - 1]):
                log_z, m, k2, k3, k4 = truncated_moments(e1, e2, lower[i], upper[i])
            sums = _add(sums, weights[i], log_z, m, k2, k3, k4)
    grad[0], grad[1] = first - sums[1], second - sums[2]
    metric[0, 0], metric[0, 1], metric[1, 0], metric[1, 1] = sums[3], sums[4], sums[4], sums[5]
    return e1 * first + e2 * second - sums[0]


@helper
def _add(sums, w, log_z, m, k2, k3, k4):
    """Add an observation's log Z, E t, E t**2, and the covariance of (t, t**2)."""
    return (
        sums[0] + w * log_z,
        sums[1] + w * m,
        sums[2] + w * (k2 + m * m),
        sums[3] + w * k2,
        sums[4] + w * (k3 + 2.0 * m * k2),
        sums[5] + w * (k4 - k2 * k2 + 4.0 * m * k3 + 4.0 * m * m * k2),
    )


@helper
def _ascend(problem, max_iter, tol, tools):
    """(code, log-likelihood, accepted steps) from the untruncated mean and standard deviation."""
    state, theta, grad, metric = tools[STATE], tools[THETA], tools[GRAD], tools[METRIC]
    theta[0], theta[1] = 0.0, -0.5
    ascent.start(state, theta, problem[5], tol, _FLOOR, max_iter)
    code = ascent.RUNNING
    while code == ascent.RUNNING:
        loglik = evaluate(problem, tools)
        code = ascent.advance(state, loglik, grad, metric, theta)
        if code == ascent.RUNNING:
            ascent.keep_sign(state, grad, metric, theta)
    return code, state[ascent.LOGLIK], state[ascent.NIT]


@helper
def _covariance(problem, cov, tools):
    """Of (mu / sigma, log sigma); the curvature is the expected information as well."""
    theta, metric = tools[THETA], tools[METRIC]
    evaluate(problem, tools)
    information = metric[0, 0], metric[0, 1], metric[1, 1]
    products = _products(problem, theta[0], theta[1])
    natural = estimates.covariance(cov, information, information, products)
    return to_mu_and_sigma(natural, theta)


@helper
def to_mu_and_sigma(cov, theta):
    """Covariance of (e1, e2) -> of (mu / sigma, log sigma)."""
    variance = -0.5 / theta[1]
    root = math.sqrt(variance)
    return estimates.transform(cov, (root, 0.0), (2.0 * theta[0] * variance * root, variance))


@helper
def _products(problem, e1, e2):
    """Sum of the outer products of the scores in (e1, e2)."""
    t, lower, upper, weights, _, _, _, _ = problem
    a = b = c = m = k2 = 0.0
    for i in range(t.size):
        if i == 0 or lower[i] != lower[i - 1] or upper[i] != upper[i - 1]:
            _, m, k2, _, _ = truncated_moments(e1, e2, lower[i], upper[i])
        first, second = t[i] - m, t[i] * t[i] - (k2 + m * m)
        a += weights[i] * first * first
        b += weights[i] * first * second
        c += weights[i] * second * second
    return a, b, c
