"""Counted: millions of small problems of `fit_normal` and `fit_linear`, in batches.

Of ordinary numbers, many of them equal, by formulas that share nothing with the package, for all
problems of a batch at once: every OK is stationary, every other status is what it must be.
FASTNAT_PROBLEMS is the number of problems, a million by default, a tenth of which are regressions.
"""

import os
from collections import Counter

import numpy as np
import pytest
from scipy import special

import fastnat
from fastnat import Status

INF = np.inf
N_PROBLEMS = int(os.environ.get("FASTNAT_PROBLEMS", "1000000"))
SHARES = {"complete": 0.6, "left": 0.2, "intervals": 0.08, "noise": 0.08, "truncation": 0.04}
REGRESSIONS = {"complete": 0.08, "left": 0.015, "noise": 0.005}
BATCH = 20_000


def hazard(a):
    """phi(a) / (1 - Phi(a))."""
    return np.sqrt(2.0 / np.pi) / special.erfcx(a / np.sqrt(2.0))


def values_of(rng, shape):
    """Rows of few different values, of eighths, or of ordinary numbers; scaled and shifted."""
    kind = rng.integers(0, 3, (shape[0], 1))
    x = rng.normal(size=shape)
    x = np.select([kind == 0, kind == 1], [np.round(x), np.round(8.0 * x) / 8.0], x)
    return (x + rng.integers(-3, 4, (shape[0], 1))) * 2.0 ** rng.integers(-20, 21, (shape[0], 1))


def batches(rng, count):
    """(number of problems, observations of each) of one batch after the other."""
    while count > 0:
        n_fits = min(count, BATCH)
        yield n_fits, int(rng.integers(1, 10))
        count -= n_fits


def tally(status):
    """How often each status."""
    return Counter({s.name: n for s in Status if (n := int(np.sum(status == s)))})


# ---- fit_normal ------------------------------------------------------------------------------


def complete(rng, n_fits, n):
    x = values_of(rng, (n_fits, n))
    weights = rng.integers(0, 3, x.shape) if rng.random() < 0.5 else np.ones(x.shape)
    fit = fastnat.fit_normal(x, weights=weights)
    total = weights.sum(1)
    used = np.where(weights > 0, x, np.nan)
    some = total > 0
    same = np.zeros(n_fits, bool)
    same[some] = np.nanmin(used[some], axis=1) == np.nanmax(used[some], axis=1)
    want = np.select([~some, same], [Status.NO_DATA, Status.SIGMA_ZERO], Status.OK)
    assert np.array_equal(fit.status, want)
    good = want == Status.OK
    x, w, total = x[good], weights[good], total[good]
    mean = (w * x).sum(1) / total
    sd = np.sqrt((w * (x - mean[:, None]) ** 2).sum(1) / total)
    assert np.all(np.abs(fit.mu[good] - mean) <= 1e-14 * (np.abs(mean) + sd))
    assert np.all(np.abs(fit.sigma[good] - sd) <= 1e-13 * sd)
    loglik = -total * (np.log(sd) + 0.5 * np.log(2.0 * np.pi) + 0.5)
    assert np.all(np.abs(fit.loglik[good] - loglik) <= 1e-12 * (total + np.abs(loglik)))
    return fit.status


def left(rng, n_fits, n):
    """With a limit of each problem: a maximum unless nothing is known, or all is one value."""
    x = values_of(rng, (n_fits, n))
    limit = np.take_along_axis(np.sort(x, axis=1), rng.integers(0, n, (n_fits, 1)), 1)
    limit = limit - (rng.random((n_fits, 1)) < 0.2) * 2.0**-6 * np.ptp(x, axis=1, keepdims=True)
    fit = fastnat.fit_normal(x, left=limit)
    known = x > limit
    n_known = known.sum(1)
    least = np.where(known, x, INF).min(1)
    most = np.where(known, x, -INF).max(1)
    same = (least == most) & (n_known == n)  # a censored one below keeps sigma away from zero
    want = np.select([n_known == 0, same], [Status.MU_INFINITE, Status.SIGMA_ZERO], Status.OK)
    assert np.array_equal(fit.status, want)
    good = want == Status.OK
    mu, sigma = fit.mu[good][:, None], fit.sigma[good][:, None]
    x, known = x[good], known[good]
    z = (x - mu) / sigma
    a = (mu - limit[good]) / sigma
    h = hazard(a)
    score = np.stack(
        [np.where(known, z, -h).sum(1), np.where(known, z * z - 1.0, a * h).sum(1)], axis=-1
    )
    mills = h * (h - a)
    info = np.empty((len(x), 2, 2))  # minus the second derivatives in (mu / sigma, log sigma)
    info[:, 0, 0] = np.where(known, 1.0, mills).sum(1)
    info[:, 0, 1] = info[:, 1, 0] = np.where(known, 2.0 * z, -h - a * mills).sum(1)
    info[:, 1, 1] = np.where(known, 2.0 * z * z, a * h + a * a * mills).sum(1)
    assert_stationary(score, info, n)
    return fit.status


def assert_stationary(score, info, n):
    """The squared distance to the maximum is small, in standard deviations of an observation."""
    unit = np.sqrt(np.abs(np.einsum("bii->bi", info)))
    info = info / unit[:, :, None] / unit[:, None, :]
    assert np.all(np.linalg.eigvalsh(info)[:, 0] > 0.0)
    step = np.linalg.solve(info, (score / unit)[..., None])[..., 0]
    decrement = np.einsum("bi,bi->b", score / unit, step) / n
    assert np.all(decrement <= 1e-10), decrement.max()


NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)


def intervals(rng, n_fits, n):
    """Bins of one width, finite ones: mass and scores by quadrature."""
    x = values_of(rng, (n_fits, n))
    spread = np.ptp(x, axis=1, keepdims=True)
    width = np.where(spread > 0.0, spread, 1.0) * rng.choice([0.25, 0.5, 1.0], (n_fits, 1))
    lower = np.floor(x / width) * width
    upper = lower + width
    fit = fastnat.fit_normal(lower, upper)
    # All bins meet in a point or more: sigma is zero; else there is a maximum.
    meet = lower.max(1) <= upper.min(1)
    want = np.where(meet, int(Status.SIGMA_ZERO), int(Status.OK))
    assert np.array_equal(fit.status, want)
    good = ~meet
    mu, sigma = fit.mu[good][:, None], fit.sigma[good][:, None]
    low, high = (lower[good] - mu) / sigma, (upper[good] - mu) / sigma
    z = 0.5 * (low + high)[..., None] + 0.5 * (high - low)[..., None] * NODES
    peak = np.clip(0.0, low, high)[..., None]
    mass = WEIGHTS * np.exp(0.5 * (peak - z) * (peak + z))
    mass /= mass.sum(-1, keepdims=True)
    m1, m2, m3, m4 = ((mass * z**k).sum(-1) for k in (1, 2, 3, 4))
    score = np.stack([m1.sum(1), (m2 - 1.0).sum(1)], axis=-1)
    info = np.empty((len(low), 2, 2))
    info[:, 0, 0] = (1.0 - (m2 - m1 * m1)).sum(1)
    info[:, 0, 1] = info[:, 1, 0] = (2.0 * m1 - (m3 - m1 * m2)).sum(1)
    info[:, 1, 1] = (2.0 * m2 - (m4 - m2 * m2)).sum(1)
    assert_stationary(score, info, n)
    return fit.status


def noise(rng, n_fits, n):
    """Standard errors from a tenth of the spread to ten times of it."""
    n = max(n, 2)
    x = values_of(rng, (n_fits, n))
    spread = np.ptp(x, axis=1, keepdims=True)
    std = np.where(spread > 0.0, spread, 1.0) * 10.0 ** rng.uniform(-1, 1, (n_fits, n))
    fit = fastnat.fit_normal(x, noise_std=std)
    assert np.all(fit.status <= Status.BOUNDARY)
    u = std**2 + fit.sigma[:, None] ** 2
    r = x - fit.mu[:, None]
    flat = np.abs((r / u).sum(1)) <= 1e-8 * np.sqrt((1.0 / u).sum(1))
    assert np.all(flat)
    rise = 0.5 * ((r / u) ** 2 - 1.0 / u)  # of the log-likelihood with sigma**2
    size = (1.0 / u).sum(1)
    inside = fit.status == Status.OK
    assert np.all(np.abs(rise.sum(1))[inside] <= 1e-6 * size[inside])
    assert np.all(rise.sum(1)[~inside] <= 1e-9 * size[~inside])
    value = -0.5 * (np.log(2.0 * np.pi * u) + r * r / u).sum(1)
    assert np.all(np.abs(value - fit.loglik) <= 1e-10 * (n + np.abs(value)))
    # No sigma of a grid is better, each with its best mean.
    for share in (0.0, 0.1, 0.3, 1.0):
        u = std**2 + (share * spread) ** 2
        centre = (x / u).sum(1) / (1.0 / u).sum(1)
        other = -0.5 * (np.log(2.0 * np.pi * u) + (x - centre[:, None]) ** 2 / u).sum(1)
        assert np.all(other <= value + 1e-9 * (n + np.abs(value)))
    return fit.status


def truncation(rng, n_fits, n):
    """Both bounds are finite: moments are those of the sample, or the limit is an exponential."""
    n = max(n, 3)
    x = values_of(rng, (n_fits, n))
    spread = np.ptp(x, axis=1, keepdims=True)
    x = np.where(spread > 0.0, x, x + np.arange(n))
    spread = np.ptp(x, axis=1, keepdims=True)
    low = x.min(1, keepdims=True) - spread * rng.uniform(0.05, 3.0, (n_fits, 1))
    high = x.max(1, keepdims=True) + spread * rng.uniform(0.05, 3.0, (n_fits, 1))
    fit = fastnat.fit_normal(x, truncation=(low, high))
    good = fit.status == Status.OK
    assert np.all(fit.status[~good] == Status.SIGMA_INFINITE)
    centre = x.mean(1, keepdims=True)
    a, b, t = ((v - centre) / spread for v in (low, high, x))
    z = 0.5 * (a + b) + 0.5 * (b - a) * np.polynomial.legendre.leggauss(64)[0]
    dz = np.polynomial.legendre.leggauss(64)[1]

    def moments_of(e1, e2, most):
        """E z**k, k from 1 to ``most``, of exp(e1 z + e2 z**2) between the bounds."""
        f = e1[:, None] * z + e2[:, None] * z * z
        mass = dz * np.exp(f - f.max(1, keepdims=True))
        mass /= mass.sum(1, keepdims=True)
        moments = []
        for _ in range(most):
            mass = mass * z
            moments.append(mass.sum(1))
        return moments

    s = np.where(good, fit.sigma, 1.0) / spread[:, 0]
    m = (np.where(good, fit.mu, 0.0) - centre[:, 0]) / spread[:, 0]
    m1, m2, m3, m4 = moments_of(m / s**2, -0.5 / s**2, 4)
    score = n * np.stack([t.mean(1) - m1, (t * t).mean(1) - m2], axis=-1)
    info = n * np.stack([m2 - m1 * m1, m3 - m1 * m2, m3 - m1 * m2, m4 - m2 * m2], -1)
    sharp = s > 0.02 * (b - a)[:, 0]  # 64 nodes see it
    assert_stationary(score[good & sharp], info.reshape(-1, 2, 2)[good & sharp], n)
    # The exponential with this mean has a larger second moment if and only if there is a maximum.
    e1 = np.zeros(n_fits)
    for _ in range(25):
        m1, m2 = moments_of(e1, 0.0 * e1, 2)
        e1 = e1 + np.clip((t.mean(1) - m1) / (m2 - m1 * m1), -1.0, 1.0)
    gap = m2 - (t * t).mean(1)
    clear = (np.abs(t.mean(1) - m1) < 1e-12) & (np.abs(gap) > 1e-9 * m2)
    assert np.mean(clear) > 0.9
    assert np.array_equal(good[clear], gap[clear] > 0.0)
    return fit.status


NORMAL = {
    "complete": complete,
    "left": left,
    "intervals": intervals,
    "noise": noise,
    "truncation": truncation,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", NORMAL)
def test_many_samples(kind):
    rng = np.random.default_rng(list(NORMAL).index(kind))
    counts = Counter()
    for n_fits, n in batches(rng, int(SHARES[kind] * N_PROBLEMS)):
        counts += tally(NORMAL[kind](rng, n_fits, n))
    print(f"\n{kind}: {dict(counts)}")
    assert counts["OK"] > 0


# ---- fit_linear ------------------------------------------------------------------------------


def designs(rng, n_fits, n, p):
    """A constant and small integers or ordinary numbers, sometimes the same twice."""
    X = rng.normal(size=(n_fits, n, p))
    X = np.where(rng.random((n_fits, 1, 1)) < 0.5, np.round(2.0 * X), X)
    X[..., 0] = 1.0
    return X


def ranks(X):
    """Of small matrices whose entries are ordinary: numpy's, in units of columns."""
    size = np.linalg.norm(X, axis=1, keepdims=True)
    return np.linalg.matrix_rank(X / np.where(size > 0.0, size, 1.0), tol=1e-9)


def regress_complete(rng, n_fits, n, p):
    X = designs(rng, n_fits, n, p)
    y = np.round(4.0 * rng.normal(size=(n_fits, n))) / 4.0
    fit = fastnat.fit_linear(y, X)
    full = ranks(X) == p
    b = np.linalg.pinv(X, rcond=1e-9) @ y[..., None]
    rest = np.square(y[..., None] - X @ b).sum((1, 2))
    exact = rest <= 1e-20 * (1.0 + np.square(y).sum(1))
    want = np.select([~full, exact], [Status.NOT_IDENTIFIED, Status.SIGMA_ZERO], Status.OK)
    assert np.array_equal(fit.status, want)
    good = want == Status.OK
    r = y[good] - np.einsum("bnp,bp->bn", X[good], fit.coef[good])
    slope = np.einsum("bnp,bn->bp", X[good], r)
    size = np.linalg.norm(X[good], axis=1) * np.linalg.norm(y[good], axis=1)[:, None]
    assert np.all(np.abs(slope) <= 1e-11 * size)
    assert np.all(np.abs(fit.sigma[good] - np.sqrt(rest[good] / n)) <= 1e-7 * fit.sigma[good])
    return fit.status


def regress_left(rng, n_fits, n, p):
    """Where the known values are enough for a maximum there must be one, and it is stationary."""
    X = designs(rng, n_fits, n, p)
    y = X @ rng.normal(size=p) + rng.normal(size=(n_fits, n))
    fit = fastnat.fit_linear(y, X, left=0.0)
    good = fit.status == Status.OK
    known = y > 0.0
    own = np.where(known[..., None], X, 0.0)
    b = np.linalg.pinv(own, rcond=1e-9) @ np.where(known, y, 0.0)[..., None]
    rest = np.square(np.where(known, y, 0.0) - (own @ b)[..., 0]).sum(1)
    enough = (ranks(own) == p) & (rest > 1e-9)
    assert np.all(good[enough])
    assert np.all(fit.status[ranks(X) < p] == Status.NOT_IDENTIFIED)
    y, X, known = y[good], X[good], known[good]
    sigma = fit.sigma[good][:, None]
    mu = np.einsum("bnp,bp->bn", X, fit.coef[good])
    z, a = (y - mu) / sigma, mu / sigma
    h = hazard(a)
    mills = h * (h - a)
    of_mu = np.where(known, z, -h)
    of_log = np.where(known, z * z - 1.0, a * h)
    score = np.concatenate(
        [np.einsum("bn,bnp->bp", of_mu, X), of_log.sum(1)[:, None]], axis=-1
    )  # in (b / sigma, log sigma)
    info = np.empty((len(X), p + 1, p + 1))
    info[:, :p, :p] = np.einsum("bn,bnp,bnq->bpq", np.where(known, 1.0, mills), X, X)
    cross = np.einsum("bn,bnp->bp", np.where(known, 2.0 * z, -h - a * mills), X)
    info[:, p, :p] = info[:, :p, p] = cross
    info[:, p, p] = np.where(known, 2.0 * z * z, a * h + a * a * mills).sum(1)
    assert_stationary(score, info, n)
    return fit.status


def regress_noise(rng, n_fits, n, p):
    X = designs(rng, n_fits, n, p)
    std = 10.0 ** rng.uniform(-1, 1, (n_fits, n))
    y = X @ rng.normal(size=p) + rng.normal(size=(n_fits, n))
    fit = fastnat.fit_linear(y, X, noise_std=std)
    full = ranks(X) == p
    assert np.all(fit.status[~full] == Status.NOT_IDENTIFIED)
    assert np.all(fit.status[full] <= Status.BOUNDARY)
    y, X, std = y[full], X[full], std[full]
    inside = fit.status[full] == Status.OK
    u = std**2 + fit.sigma[full][:, None] ** 2
    r = y - np.einsum("bnp,bp->bn", X, fit.coef[full])
    slope = np.einsum("bn,bnp->bp", r / u, X)
    size = np.linalg.norm(X / np.sqrt(u)[..., None], axis=1)
    assert np.all(np.abs(slope) <= 1e-6 * size)
    rise, unit = 0.5 * ((r / u) ** 2 - 1.0 / u).sum(1), (1.0 / u).sum(1)
    assert np.all(np.abs(rise[inside]) <= 1e-5 * unit[inside])
    assert np.all(rise[~inside] <= 1e-8 * unit[~inside])
    return fit.status


LINEAR = {"complete": regress_complete, "left": regress_left, "noise": regress_noise}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LINEAR)
def test_many_regressions(kind):
    rng = np.random.default_rng(list(LINEAR).index(kind))
    counts = Counter()
    for n_fits, n in batches(rng, int(REGRESSIONS[kind] * N_PROBLEMS)):
        p = int(rng.integers(1, 4))
        counts += tally(LINEAR[kind](rng, n_fits, n + p + 1, p))
    print(f"\n{kind}: {dict(counts)}")
    assert counts["OK"] > 0
