"""Location-scale regression, slow and obvious: one problem, NumPy, and one quadrature for all.

mu = X b and log sigma = Z g; an observation is normal with standard deviation
s = sqrt(sigma**2 + noise**2), known to lie between ``lower`` and ``upper`` (equal: exactly), and
it would not have been seen outside of ``least`` and ``most``.  Nothing of fastnat is used here.
"""

from dataclasses import dataclass, replace

import mpmath
import numpy as np
from scipy import linalg, optimize

mp = mpmath.mp.clone()
mp.dps = 60
NODES, SHARES = np.polynomial.legendre.leggauss(80)
DROP = 45.0
"""What is e**-45 times as likely as the likeliest value does not count."""


@dataclass
class Problem:
    """Rows of one problem; arrays of n, X (n, p) and Z (n, q); ``left`` and ``right`` are (n,)."""

    X: np.ndarray
    Z: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    least: np.ndarray
    most: np.ndarray
    left: np.ndarray
    right: np.ndarray
    noise: np.ndarray
    weights: np.ndarray
    reml: bool = False

    @property
    def p(self):
        return self.X.shape[1]


def problem(y, X, Z=None, *, upper=None, truncation=None, **rest):
    """The arguments of fit_linear, for one problem; rows of weight 0 are dropped."""
    y, X = np.asarray(y, float), np.asarray(X, float)
    Z = np.ones((len(y), 1)) if Z is None else np.asarray(Z, float)

    def column(value, default):
        return np.array(np.broadcast_to(default if value is None else value, y.shape), float)

    left, right = column(rest.get("left"), -np.inf), column(rest.get("right"), np.inf)
    ends = (None, None) if truncation is None else truncation
    if upper is None:
        lower = np.where(y <= left, -np.inf, np.minimum(y, right))
        upper = np.where(y >= right, np.inf, np.maximum(y, left))
    else:
        lower, upper = y, np.asarray(upper, float)
    whole = Problem(
        X,
        Z,
        lower,
        upper,
        column(ends[0], -np.inf),
        column(ends[1], np.inf),
        left,
        right,
        column(rest.get("noise_std"), 0.0),
        column(rest.get("weights"), 1.0),
        rest.get("reml", False),
    )
    return rows_of(whole, whole.weights > 0)


def rows_of(whole, kept):
    """The same problem with these rows only."""
    names = [name for name in vars(whole) if name != "reml"]
    return replace(whole, **{name: getattr(whole, name)[kept] for name in names})


def part_of_normal(lower, upper, mu, s):
    """A standard normal z between two limits: log of its probability, E z, central moments 2 to 4.

    Quadrature from the end nearer to 0, as far as the density counts; all arrays are (...).
    """
    with np.errstate(invalid="ignore"):
        a, b, width = (lower - mu) / s, (upper - mu) / s, (upper - lower) / s
        sign = np.where(a + b < 0, -1.0, 1.0)
        a, b = np.where(sign < 0, -b, a), np.where(sign < 0, -a, b)
    start = np.maximum(a, -np.sqrt(2 * DROP))
    peak = np.maximum(start, 0.0)
    reach = peak - start + 2 * DROP / (peak + np.sqrt(peak**2 + 2 * DROP))
    length = np.minimum(np.where(start == a, width, b - start), reach)
    t = 0.5 * length[..., None] * (1.0 + NODES)
    mass = SHARES * np.exp(-t * (start[..., None] + 0.5 * t))
    total = mass.sum(-1)
    mean = (mass * t).sum(-1) / total
    k2, k3, k4 = ((mass * (t - mean[..., None]) ** k).sum(-1) / total for k in (2, 3, 4))
    log_prob = -0.5 * start**2 - 0.5 * np.log(2 * np.pi) + np.log(0.5 * length * total)
    return log_prob, sign * (start + mean), k2, sign * k3, k4


def known(lower, upper, mu, s):
    """(loglik, d / dmu * s, d / dlog s, minus second derivatives in the same units): six arrays.

    An exact value is an interval of width 0, but for its log-likelihood.  With l the log-density
    of what was not seen, the derivatives of log E exp l are E l' and E l'' + Var l'.
    """
    exact, nothing = lower == upper, np.isinf(lower) & np.isinf(upper)
    with np.errstate(all="ignore"):
        if np.all(exact | nothing):  # no quadrature, which takes most of the time
            log_prob = m = k2 = k3 = k4 = np.zeros(np.broadcast_shapes(lower.shape, mu.shape))
        else:
            log_prob, m, k2, k3, k4 = part_of_normal(lower, upper, mu, s)
        z = (lower - mu) / s
        m = np.where(exact, z, m)
        k2, k3, k4 = (np.where(exact, 0.0, k) for k in (k2, k3, k4))
        density = -0.5 * z**2 - np.log(s) - 0.5 * np.log(2 * np.pi)
        var_square = k4 - k2**2 + 4 * m * k3 + 4 * m**2 * k2
        six = (
            np.where(exact, density, log_prob),
            m,
            m**2 + k2 - 1.0,
            1.0 - k2,
            2 * m - (k3 + 2 * m * k2),
            2 * (m**2 + k2) - var_square,
        )
    return [np.where(nothing, 0.0, value) for value in six]


def per_row(problem, b, g):
    """Log-likelihood (n,), scores (n, p + q) and observed information (n, p + q, p + q)."""
    return in_parameters(problem, problem.Z @ g, *of_rows(problem, problem.X @ b, problem.Z @ g))


def of_rows(problem, mu, log_sigma):
    """The six arrays of `known`, with what would not have been seen taken into account."""
    s = np.hypot(np.exp(log_sigma), problem.noise)
    seen = known(problem.lower, problem.upper, mu, s)
    possible = known(problem.least, problem.most, mu, s)
    return s, *(one - other for one, other in zip(seen, possible, strict=True))


def in_parameters(problem, log_sigma, s, loglik, sm, sl, jmm, jml, jll):
    """The chain rule through X, Z and s = sqrt(sigma**2 + noise**2)."""
    share = (np.exp(log_sigma) / s) ** 2  # d log s / d log sigma
    X, Z = problem.X, problem.Z
    score = np.concatenate([(sm / s)[..., None] * X, (share * sl)[..., None] * Z], axis=-1)
    jll = share**2 * jll - 2 * share * (1 - share) * sl
    u = np.concatenate([X / s[..., None], 0 * Z], axis=-1)
    v = np.concatenate([0 * X, Z], axis=-1)
    cross = (share * jml)[..., None, None] * u[..., :, None] * v[..., None, :]
    info = jmm[..., None, None] * u[..., :, None] * u[..., None, :]
    info = info + cross + np.swapaxes(cross, -1, -2)
    return loglik, score, info + jll[..., None, None] * v[..., :, None] * v[..., None, :]


def loglik(problem, b, g):
    """The log-likelihood, restricted if ``reml``: integrated over b, with a flat prior."""
    total = float(problem.weights @ per_row(problem, b, g)[0])
    if problem.reml:
        s = np.hypot(np.exp(problem.Z @ g), problem.noise)
        r = np.linalg.qr(problem.X * (np.sqrt(problem.weights) / s)[:, None], mode="r")
        total += 0.5 * problem.p * np.log(2 * np.pi) - np.log(np.abs(np.diag(r))).sum()
    return total


def score(problem, b, g):
    return problem.weights @ per_row(problem, b, g)[1]


def observed(problem, b, g):
    return np.tensordot(problem.weights, per_row(problem, b, g)[2], 1)


def outer_products(problem, b, g, clusters=None):
    """Sum of w s s'; with clusters, sum over clusters of (sum w s) (sum w s)'."""
    s = per_row(problem, b, g)[1]
    if clusters is None:
        return np.einsum("i,ij,ik->jk", problem.weights, s, s)
    s = s * problem.weights[:, None]
    totals = np.array([s[clusters == c].sum(0) for c in np.unique(clusters)])
    return totals.T @ totals


def expected(problem, b, g, panels=40):
    """E of the outer products of the scores, over all that the rows could have been.

    Of values in ``least`` to ``most`` those beyond ``left`` and ``right`` would be censored there;
    the others are summed up by 20-point Gauss-Legendre rules.
    """
    mu, s = problem.X @ b, np.hypot(np.exp(problem.Z @ g), problem.noise)
    nodes, shares = np.polynomial.legendre.leggauss(20)
    steps = (np.arange(panels)[:, None] + 0.5 * (nodes + 1)).ravel() / panels
    low = np.maximum(np.maximum(problem.left, problem.least), mu - 12 * s)
    high = np.maximum(low, np.minimum(np.minimum(problem.right, problem.most), mu + 12 * s))
    inside = known(problem.least, problem.most, mu, s)[0]
    total = 0.0
    for step, share in zip(steps, np.tile(shares, panels) / (2 * panels), strict=True):
        x = low + step * (high - low)
        log_density = known(x, x, mu, s)[0] - inside
        one = replace(problem, lower=x, upper=x)
        scores = per_row(one, b, g)[1]
        shares_of_rows = problem.weights * share * (high - low) * np.exp(log_density)
        total += np.einsum("i,ij,ik->jk", shares_of_rows, scores, scores)
    infinity = np.full(len(mu), np.inf)
    for lower, upper in ((-infinity, problem.left), (problem.right, infinity)):
        kept = np.isfinite(lower) | np.isfinite(upper)
        one = rows_of(replace(problem, lower=lower, upper=upper), kept)
        prob = np.exp(known(lower, upper, mu, s)[0][kept])
        scores = per_row(one, b, g)[1]
        total += np.einsum("i,ij,ik->jk", one.weights * prob, scores, scores)
    return total


def flattened(problem):
    """The problem in orthonormal columns, and the triangular R: its parameters are R theta."""
    (qx, rx), (qz, rz) = np.linalg.qr(problem.X), np.linalg.qr(problem.Z)
    return replace(problem, X=qx, Z=qz), linalg.block_diag(rx, rz)


def covariance(problem, b, g, kind="observed", clusters=None):
    """Of (b, g): inverse information, or a sandwich of it."""
    flat, r = flattened(problem)
    theta = r @ np.concatenate([b, g])
    at = flat, theta[: flat.p], theta[flat.p :]
    if kind == "opg":
        cov = linalg.inv(outer_products(*at))
    else:
        cov = linalg.inv(expected(*at) if kind == "expected" else observed(*at))
    if kind == "sandwich" or clusters is not None:
        cov = cov @ outer_products(*at, clusters) @ cov
    half = linalg.solve_triangular(r, cov)
    return linalg.solve_triangular(r, half.T).T


def at_maximum(problem, b, g):
    """(Newton's decrement per weight, whether the observed information is positive definite)."""
    flat = flattened(problem)[0]
    values = of_rows(problem, problem.X @ b, problem.Z @ g)
    _, s, info = in_parameters(flat, problem.Z @ g, *values)
    total, info = problem.weights @ s, np.tensordot(problem.weights, info, 1)
    scale = np.sqrt(np.abs(np.diag(info)))
    if not np.linalg.eigvalsh(info / scale / scale[:, None])[0] > 1e-12:
        return np.inf, False
    return float(total @ linalg.solve(info, total)) / problem.weights.sum(), True


def is_maximum(problem, b, g, tolerance=1e-10):
    decrement, definite = at_maximum(problem, b, g)
    return bool(definite and decrement <= tolerance)


def climb(problem, b, g):
    """A maximum near a start, by SciPy's trust-region method and Newton's last steps: (b, g)."""
    flat, r = flattened(problem)
    p = problem.p
    found = optimize.minimize(
        lambda t: -loglik(flat, t[:p], t[p:]),
        r @ np.concatenate([b, g]),
        jac=lambda t: -score(flat, t[:p], t[p:]),
        hess=lambda t: observed(flat, t[:p], t[p:]),
        method="trust-exact",
        options={"gtol": 1e-8, "maxiter": 1000},
    ).x
    for _ in range(3):
        at = flat, found[:p], found[p:]
        found = found + linalg.solve(observed(*at), score(*at))
    found = linalg.solve_triangular(r, found)
    return found[:p], found[p:]


def start(problem):
    """Least squares with limits for values; the logarithm of the residuals' size."""
    lower, upper = problem.lower, problem.upper
    middle = np.where(
        np.isinf(lower), upper, np.where(np.isinf(upper), lower, lower / 2 + upper / 2)
    )
    b = np.linalg.lstsq(problem.X, middle, rcond=None)[0]
    size = np.log(np.std(middle - problem.X @ b))
    return b, np.linalg.lstsq(problem.Z, np.full(len(middle), size), rcond=None)[0]


def loglik_mp(problem, b, g):
    """The log-likelihood with 60 digits; every double is taken as it is."""

    def log_between(lower, upper, mu, s):
        a, b = ((mp.mpf(float(end)) - mu) / s for end in (lower, upper))
        if a + b > 0:  # the nearer tail
            a, b = -b, -a
        return mp.log(mp.ncdf(b) - mp.ncdf(a))

    total = mp.mpf(0)
    for i in range(len(problem.lower)):
        x, z = ([mp.mpf(float(v)) for v in row] for row in (problem.X[i], problem.Z[i]))
        mu, t = mp.fdot(x, [mp.mpf(v) for v in b]), mp.fdot(z, [mp.mpf(v) for v in g])
        s = mp.sqrt(mp.exp(2 * t) + mp.mpf(float(problem.noise[i])) ** 2)
        if problem.lower[i] == problem.upper[i]:
            r = (mp.mpf(float(problem.lower[i])) - mu) / s
            value = -r * r / 2 - mp.log(s) - mp.log(2 * mp.pi) / 2
        else:
            value = log_between(problem.lower[i], problem.upper[i], mu, s)
        value -= log_between(problem.least[i], problem.most[i], mu, s)
        total += mp.mpf(float(problem.weights[i])) * value
    return total
