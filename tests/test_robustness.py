"""Counted: many random problems, judged by code that shares nothing with the package.

Those with known noise are in test_noise_kernel.py.
"""

import numpy as np
import pytest
from scipy import special

import fastnat
from fastnat import Status

INF = np.inf
NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)


def hazard(x):
    return np.sqrt(2.0 / np.pi) / special.erfcx(x / np.sqrt(2.0))


def interval_scores(lower, upper, mu, sigma):
    """Scores in (mu / sigma, log sigma) of every observation, by SciPy and by quadrature."""
    a, b, width = (lower - mu) / sigma, (upper - mu) / sigma, (upper - lower) / sigma
    flip = a + b < 0
    low, high = np.where(flip, -b, a), np.where(flip, -a, b)
    with np.errstate(all="ignore"):
        centre = 0.5 * (low + high)
        share = np.exp(-width * centre)
        share = np.where(np.isinf(high), 0.0, share)
        p = hazard(low)
        p = p / (1.0 - np.where(np.isinf(high), 0.0, p / hazard(high) * share))
        first = np.where(np.isinf(high), p, -p * np.expm1(-width * centre))
        second = low * p - np.where(np.isinf(high), 0.0, high * p * share)
        t = 0.5 * width[..., None] * NODES
        mass = WEIGHTS * np.exp(-t * (centre[..., None] + 0.5 * t))
        values = centre[..., None] + t
        total = mass.sum(-1)
        narrow = (width < 0.5) & (width * centre < 1.0)
        first = np.where(narrow, (mass * values).sum(-1) / total, first)
        second = np.where(narrow, (mass * values**2).sum(-1) / total - 1.0, second)
    first = np.where(flip, -first, first)
    exact = lower == upper
    return np.where(exact, a, first), np.where(exact, a * a - 1.0, second)


def exists(lower, upper):
    """What becomes of each row of intervals, by the theorem, written down once more."""
    exact = lower == upper
    value = np.where(exact, lower, np.nan)
    with np.errstate(all="ignore"):
        least = np.where(exact, lower, INF).min(1)
        most = np.where(exact, lower, -INF).max(1)
    low = np.where(exact, -INF, lower).max(1)
    high = np.where(exact, INF, upper).min(1)
    none, one = ~exact.any(1), exact.any(1) & (least == most)
    outside = (least < low) | (least > high)
    finite = (~exact & np.isfinite(lower) & np.isfinite(upper)).any(1)
    lefts, rights = np.isinf(lower) & ~exact, np.isinf(upper) & ~exact
    n_left, n_right = lefts.sum(1), rights.sum(1)
    with np.errstate(all="ignore"):
        mean_left = np.where(lefts, upper, 0.0).sum(1) / n_left
        mean_right = np.where(rights, lower, 0.0).sum(1) / n_right
    status = np.full(len(lower), int(Status.OK))
    status[one & ~outside] = Status.SIGMA_ZERO
    apart = none & (low > high)
    status[apart & ~finite & ~(mean_left > mean_right)] = Status.SIGMA_INFINITE
    together = none & (low < high)
    one_sided = together & ((n_left == lower.shape[1]) | (n_right == lower.shape[1]))
    status[together] = Status.SIGMA_ZERO
    status[one_sided] = Status.MU_INFINITE
    touching = none & (low == high)
    half_lines_there = (lefts & (upper == low[:, None])) | (rights & (lower == low[:, None]))
    status[touching] = Status.SIGMA_ZERO
    status[touching & half_lines_there.all(1)] = Status.NOT_IDENTIFIED
    assert np.isfinite(value[exact]).all()
    return status


def censored_problems(rng, kind, n_fits, n):
    """Intervals of one kind; from 5 to 99.9 % of the observations are not exact."""
    x = rng.normal(size=(n_fits, n))
    share = rng.uniform(0.05, 0.999, (n_fits, 1))
    order = np.sort(x, axis=1)
    inexact = rng.random((n_fits, n)) < share
    which = np.where(inexact, rng.integers(1, 4, (n_fits, n)), 0)
    if kind == "left":
        limit = np.take_along_axis(order, np.minimum((share * n).astype(int), n - 1), 1)
        return np.where(x <= limit, -INF, x), np.maximum(x, limit)
    if kind == "right":
        limit = np.take_along_axis(order, np.minimum(((1 - share) * n).astype(int), n - 1), 1)
        return np.minimum(x, limit), np.where(x >= limit, INF, x)
    if kind == "half-lines":
        limit = rng.normal(size=(n_fits, n)) * 10.0 ** rng.uniform(-1, 1, (n_fits, 1))
        return np.where(x > limit, limit, -INF), np.where(x > limit, INF, limit)
    if kind == "bins":
        width = 10.0 ** rng.uniform(-2, 1, (n_fits, 1))
        return np.floor(x / width) * width, (np.floor(x / width) + 1.0) * width
    sizes = 10.0 ** rng.uniform(-4, 4, (n_fits, n))
    if kind == "decades":
        x = x * sizes
    below, above = sizes * rng.random((n_fits, n)), sizes * rng.random((n_fits, n))
    lower = np.where(which == 0, x, np.where(which == 1, -INF, x - below))
    return lower, np.where(which == 0, x, np.where(which == 2, INF, x + above))


CENSORED = ["left", "right", "half-lines", "bins", "mixed", "decades"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", CENSORED)
def test_censored(kind):
    """Of 1e6 problems in all: each maximum reached, each that does not exist named."""
    rng = np.random.default_rng(CENSORED.index(kind))
    left = 170_000
    while left > 0:
        n = int(np.exp(rng.uniform(np.log(2), np.log(200))))
        n_fits = min(left, 200_000 // n + 1)
        left -= n_fits
        scale = 10.0 ** rng.uniform(-4, 4, (n_fits, 1))
        lower, upper = (scale * ends for ends in censored_problems(rng, kind, n_fits, n))
        fit = fastnat.fit_normal(lower, upper)
        assert np.array_equal(fit.status, exists(lower, upper))
        good = fit.status == Status.OK
        mu, sigma = fit.mu[good][:, None], fit.sigma[good][:, None]
        first, second = interval_scores(lower[good], upper[good], mu, sigma)
        score = np.stack([first.sum(1), second.sum(1)], axis=-1)
        cov = fit.cov_params[good] / fit.sigma[good][:, None, None] ** 2
        decrement = np.einsum("bi,bij,bj->b", score, cov, score) / n
        assert np.all(decrement <= 1e-10), decrement.max()


def moments_by_quadrature(e1, e2, lower, upper):
    """E t and E t**2, and the covariance of both, of exp(e1 t + e2 t**2) on an interval."""
    nodes, weights = np.polynomial.legendre.leggauss(160)
    with np.errstate(all="ignore"):
        peak = np.where(e2 < 0, -0.5 * e1 / e2, np.where(e1 > 0, INF, -INF))
    peak = np.clip(peak, lower, upper)
    slope = np.abs(e1 + 2.0 * e2 * peak)
    reach = 80.0 / (slope + np.sqrt(slope**2 - 160.0 * e2) + 1e-300)
    low, high = np.maximum(lower, peak - reach), np.minimum(upper, peak + reach)
    t = 0.5 * (low + high)[..., None] + 0.5 * (high - low)[..., None] * nodes
    f = e1[..., None] * (t - peak[..., None]) + e2[..., None] * (t**2 - peak[..., None] ** 2)
    mass = weights * np.exp(f)
    mass /= mass.sum(-1, keepdims=True)
    first, second = (mass * t).sum(-1), (mass * t**2).sum(-1)
    a, b = t - first[..., None], t**2 - second[..., None]
    return first, second, (mass * a * a).sum(-1), (mass * a * b).sum(-1), (mass * b * b).sum(-1)


def best_exponential(t, lower, upper):
    """e1 of the exponential distribution with the same mean, by bisection."""
    low, high = np.full(len(t), -1e6), np.full(len(t), 1e6)
    high[np.isinf(upper)] = 0.0
    low[np.isinf(lower)] = 0.0
    zero = np.zeros(len(t))
    for _ in range(120):
        middle = 0.5 * (low + high)
        above = moments_by_quadrature(middle, zero, lower, upper)[0] > t.mean(1)
        high, low = np.where(above, middle, high), np.where(above, low, middle)
    return 0.5 * (low + high)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["below", "above", "both"])
def test_truncated(kind):
    """1e5 problems: the gradient vanishes, or the exponential limit is better than all."""
    rng = np.random.default_rng(["below", "above", "both"].index(kind))
    left, counts = 34_000, np.zeros(13, int)
    while left > 0:
        n = int(np.exp(rng.uniform(np.log(3), np.log(200))))
        n_fits = min(left, 2000)
        left -= n_fits
        cut = rng.uniform(-2.0, 3.0, n_fits)
        width = 10.0 ** rng.uniform(-0.5, 1, n_fits)
        lower = np.full(n_fits, -INF) if kind == "above" else cut
        upper = np.full(n_fits, INF) if kind == "below" else cut + width
        p = rng.random((n_fits, n))
        low, high = special.ndtr(lower)[:, None], special.ndtr(upper)[:, None]
        x = np.clip(special.ndtri(low + p * (high - low)), lower[:, None], upper[:, None])
        scale = 10.0 ** rng.uniform(-4, 4, n_fits)[:, None]
        bounds = (lower[:, None] * scale, upper[:, None] * scale)
        fit = fastnat.fit_normal(x * scale, truncation=bounds)
        counts += np.bincount(fit.status, minlength=13)
        centre, spread = x.mean(1), x.std(1)
        t = (x - centre[:, None]) / spread[:, None]
        a, b = (lower - centre) / spread, (upper - centre) / spread
        good = fit.status == Status.OK
        s = fit.sigma[good] / scale[good, 0] / spread[good]
        m = (fit.mu[good] / scale[good, 0] - centre[good]) / spread[good]
        first, second, k, both, o = moments_by_quadrature(m / s**2, -0.5 / s**2, a[good], b[good])
        g, h = t[good].mean(1) - first, (t[good] ** 2).mean(1) - second
        decrement = (o * g * g - 2 * both * g * h + k * h * h) / (k * o - both * both)
        # mu and sigma of nearly exponential data are far out, and so are their last digits.
        assert np.all(decrement <= 1e-10), decrement.max()
        limit = best_exponential(t, a, b)
        second = moments_by_quadrature(limit, np.zeros(n_fits), a, b)[1]
        slope = (t**2).mean(1) - second
        clear = np.abs(slope) > 1e-9 * (1 + second)
        assert np.array_equal(good[clear], (slope < 0)[clear])
        assert np.all(fit.status[~good] == Status.SIGMA_INFINITE)
    assert counts[Status.OK] > 0
    assert counts[Status.SIGMA_INFINITE] > 0


def coverage(fit, truth, method):
    """The shares of intervals that cover mu and sigma; all fits must have succeeded but a few."""
    assert np.mean(fit.success) > 0.998
    ends = fit.conf_int(0.95, method=method)[fit.success]
    return np.mean((ends[..., 0] < truth) & (truth < ends[..., 1]), axis=0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["limit", "limits", "bins", "noise", "one bound", "two bounds"])
def test_coverage(kind):
    """Nominal 95 % intervals of mu and sigma, Wald's and by profile, where n is large.

    Within 4 standard errors of a share among 4000, and half a percent for what n has left.
    """
    n_fits, n = 4000, 400
    rng = np.random.default_rng(11)
    x = rng.normal(size=(n_fits, n))
    low, p = special.ndtr(-1.0), rng.random((n_fits, n))
    std = rng.uniform(0.3, 1.0, n)
    fit = {
        "limit": lambda: fastnat.fit_normal(x, left=0.5),
        "limits": lambda: fastnat.fit_normal(x, right=rng.normal(size=n)),
        "bins": lambda: fastnat.fit_normal(np.floor(x), np.floor(x) + 1.0),
        "noise": lambda: fastnat.fit_normal(x + std * rng.normal(size=x.shape), noise_std=std),
        "one bound": lambda: fastnat.fit_normal(
            special.ndtri(low + (1.0 - low) * p), truncation=(-1.0, INF)
        ),
        "two bounds": lambda: fastnat.fit_normal(
            special.ndtri(low + (1.0 - 2.0 * low) * p), truncation=(-1.0, 1.0)
        ),
    }[kind]()
    allowed = 4.0 * np.sqrt(0.95 * 0.05 / n_fits) + 0.005
    assert np.all(np.abs(coverage(fit, [0.0, 1.0], "profile") - 0.95) < allowed)
    if kind != "two bounds":  # skewed: at n = 400 Wald's intervals of mu cover 97.8 %
        assert np.all(np.abs(coverage(fit, [0.0, 1.0], "wald") - 0.95) < allowed)


PUBLISHED_COVERAGE = {
    # (n, limit): shares of 1500 replicates whose 95 % interval of mu covers it.
    (50, 1.0): {"observed": 0.901, "expected": 0.901, "opg": 0.915, "sandwich": 0.881},
    (200, 1.0): {"observed": 0.931, "expected": 0.929, "opg": 0.939, "sandwich": 0.924},
    (20, -INF): {"observed": 0.923},
}
PROFILE_COVERAGE = {(50, 1.0): 0.951, (200, 1.0): 0.961, (20, -INF): 0.937}


@pytest.mark.slow
@pytest.mark.parametrize(("n", "limit"), PUBLISHED_COVERAGE)
def test_coverage_of_small_samples(n, limit):
    """84 % of a standard normal sample are below a limit of 1: known shares, known shortfall."""
    n_fits = 20_000
    x = np.random.default_rng(n).normal(size=(n_fits, n))
    published = [
        (cov_type, "wald", share) for cov_type, share in PUBLISHED_COVERAGE[n, limit].items()
    ]
    published.append(("observed", "profile", PROFILE_COVERAGE[n, limit]))
    for cov_type, method, share in published:
        fit = fastnat.fit_normal(x, left=limit, cov_type=cov_type)
        of_mu, of_sigma = coverage(fit, [0.0, 1.0], method)
        # Both shares are counted: theirs among 1500, ours among more.
        error = np.sqrt(share * (1.0 - share) * (1.0 / 1500 + 1.0 / n_fits))
        assert abs(of_mu - share) < 3.0 * error, (cov_type, method, of_mu)
        if method == "profile":
            assert abs(of_sigma - 0.95) < 0.015
