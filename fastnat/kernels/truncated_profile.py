"""Profile-likelihood intervals for rows of truncated observations."""

import math

import numpy as np

from fastnat.kernels import ascent, codes, compression, estimates, profile, truncated
from fastnat.kernels._jit import kernel
from fastnat.kernels.outcome import COV_OBSERVED


@kernel
def intervals(x, lower, upper, w, offsets, drop, fits, first, out):
    """Ends of the intervals of mu and sigma, for rows as in `truncated.fit_rows`.

    drop : how much less than its maximum the log-likelihood is at the ends.
    fits : (estimates.SIZE, at least first + n_rows), what was fitted to these rows.
    out : (4, at least first + n_rows), out: lower and upper for mu, then for sigma; NaN unless OK.
    """
    work = np.empty((truncated.N_ROWS, compression.longest(offsets)))
    state = np.empty(profile.SIZE)
    tools = ascent.new_tools(np.int64(2))
    theta, grad, metric = (
        tools[ascent.THETA],
        tools[ascent.GRAD],
        tools[ascent.METRIC],
    )
    for b in range(offsets.size - 1):
        column = first + b
        if fits[estimates.STATUS, column] != codes.OK:
            out[:, column] = math.nan
            continue
        start, stop = offsets[b], offsets[b + 1]
        _, n, total = truncated.gather(x, lower, upper, w, start, stop, True, work)
        problem, origin, scale = truncated.standardise(work, n, total)
        mu = (fits[estimates.MU, column] - origin) / scale
        sigma = fits[estimates.SIGMA, column] / scale
        theta[1] = -0.5 / sigma / sigma
        theta[0] = mu / sigma / sigma
        loglik = truncated.evaluate(problem, tools)
        information = metric[0, 0], metric[0, 1], metric[1, 1]
        natural = estimates.covariance(COV_OBSERVED, information, information, information)
        cov = truncated.to_mu_and_sigma(natural, theta)
        spread = sigma * math.sqrt(cov[0]), math.sqrt(cov[2])
        profile.begin(state, theta, loglik, drop, total, -2.0, 2.0, spread)
        going = True
        while going:
            loglik = truncated.evaluate(problem, tools)
            going = profile.advance(state, loglik, grad, metric, theta)
        for k in range(2):
            out[k, column] = origin + state[profile.ENDS + k] * scale
            out[2 + k, column] = state[profile.ENDS + 2 + k] * sigma * scale
