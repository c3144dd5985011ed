"""Profile-likelihood intervals of problems with censored observations."""

import math

import numpy as np

from fastnat.kernels import ascent, censored, codes, compression, estimates, olsen, profile
from fastnat.kernels._jit import kernel


@kernel
def intervals(stats, lists, ends, units, drop, fits, first, out):
    """Ends of the intervals of mu and sigma, for problems as in `censored.fit`.

    drop : how much less than its maximum the log-likelihood is at the ends.
    fits : (estimates.SIZE, at least first + n_fits), what was fitted to these problems.
    out : (4, at least first + n_fits), out: lower and upper for mu, then for sigma; NaN unless OK.
    """
    state = np.empty(profile.SIZE)
    tools = olsen.new_tools()
    theta, grad, metric = tools[ascent.THETA], tools[ascent.GRAD], tools[ascent.METRIC]
    for j in range(units.size):
        column = first + j
        if fits[estimates.STATUS, column] != codes.OK:
            out[:, column] = math.nan
            continue
        unit = units[j]
        problem = compression.problem_of(stats, lists, ends, units, j)
        mu, sigma = fits[estimates.MU, column] / unit, fits[estimates.SIGMA, column] / unit
        origin = olsen.nearest_datum(problem, 0.0, mu)
        theta[0], theta[1] = (mu - origin) / sigma, 1.0 / sigma
        loglik = olsen.evaluate(problem, origin, theta[0], theta[1], tools)
        curvature = metric[0, 0], metric[0, 1], metric[1, 1]
        a, _, c = censored.information(theta, curvature)
        spread = sigma / math.sqrt(a), 1.0 / math.sqrt(c)
        total = fits[estimates.NOBS, column]
        profile.begin(state, theta, loglik, drop, total, 1.0, 1.0, spread)
        going = True
        while going:
            loglik = olsen.evaluate(problem, origin, theta[0], theta[1], tools)
            going = profile.advance(state, loglik, grad, metric, theta)
        for k in range(2):
            out[k, column] = (origin + state[profile.ENDS + k]) * unit
            out[2 + k, column] = state[profile.ENDS + 2 + k] * sigma * unit


@kernel
def intervals_common(stats, tally, limits, drop, fits, out):
    """The same for problems as in `censored.fit_common`."""
    (lists, ends, _, units), _ = compression.from_tally(stats, tally, limits, 0)
    intervals(stats, lists, ends, units, drop, fits, 0, out)
