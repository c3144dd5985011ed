"""The slow, obvious oracle: exact rational moments, textbook formulas, 80 digits.

Nothing of fastnat is used here, and nothing clever: every sum is over the observations.
"""

import math
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction

import mpmath
import numpy as np

mp = mpmath.mp.clone()
mp.dps = 80
LARGEST = mp.ldexp(1, 1024) - mp.ldexp(1, 970)  # halfway between the largest double and 2**1024


def number(value):
    """A Fraction, a double or an integer as an mpf, without loss."""
    if isinstance(value, Fraction):
        return mp.mpf(value.numerator) / value.denominator
    return mp.mpf(value)


@dataclass
class Fit:
    """What is known about one problem; the names are those of the package."""

    status: str
    mu: mpmath.mpf
    sigma: mpmath.mpf
    loglik: mpmath.mpf
    nobs: Fraction
    values: tuple = ()  # (x, weight) of every distinct observation that is used
    reml: bool = False

    def _information(self):
        """Minus the Hessian of the (restricted) log-likelihood in (mu, sigma)."""
        s = self.sigma
        info = mp.zeros(2)
        for x, w in self.values:
            z = (x - self.mu) / s
            info += w * mp.matrix([[1, 2 * z], [2 * z, 3 * z**2 - 1]]) / s**2
        if self.reml:
            info[1, 1] += 1 / s**2  # of the term + log(sigma)
        return info

    def _outer_products(self):
        """Summed outer products of the scores; the term + log(sigma) is shared out evenly."""
        s = self.sigma
        shared = 1 / number(self.nobs) if self.reml else 0
        total = mp.zeros(2)
        for x, w in self.values:
            z = (x - self.mu) / s
            score = mp.matrix([z / s, (z**2 - 1 + shared) / s])
            total += w * score * score.T
        return total

    def cov(self, cov_type="observed"):
        """The covariance of (mu, sigma); NaN if there is none."""
        nowhere = mp.matrix([[mp.nan, mp.nan], [mp.nan, mp.nan]])
        if self.status != "OK":
            return nowhere
        if cov_type == "expected":
            w = number(self.nobs)
            dof = w - 1 if self.reml else w
            return mp.matrix([[self.sigma**2 / w, 0], [0, self.sigma**2 / (2 * dof)]])
        if cov_type == "opg":
            # Two distinct values determine their scores: the matrix has rank one.
            return nowhere if len(self.values) == 2 else self._outer_products() ** -1
        cov = self._information() ** -1
        if cov_type == "sandwich":
            cov = cov * self._outer_products() * cov
        if abs(cov[0, 1]) < mp.mpf(10) ** -40 * self.sigma**2 / number(self.nobs):
            cov[0, 1] = cov[1, 0] = 0  # what rounding to 80 digits left of it
        return cov

    def stderr(self, cov_type="observed"):
        cov = self.cov(cov_type)
        return [mp.sqrt(cov[0, 0]), mp.sqrt(cov[1, 1])]

    def quantile(self, q, cov_type="observed"):
        """(value, standard error) of mu + z sigma."""
        z = normal_quantile(q)
        cov = self.cov(cov_type)
        return self.mu + z * self.sigma, mp.sqrt(cov[0, 0] + 2 * z * cov[0, 1] + z**2 * cov[1, 1])

    def wald(self, level, cov_type="observed"):
        z = normal_quantile((1 + number(level)) / 2)
        (se_mu, se_sigma), factor = self.stderr(cov_type), mp.nan
        if self.status == "OK":
            factor = mp.exp(z * se_sigma / self.sigma)
        return [
            [self.mu - z * se_mu, self.mu + z * se_mu],
            [self.sigma / factor, self.sigma * factor],
        ]

    def _loglik_at(self, mu, sigma):
        squares = sum(w * (x - mu) ** 2 for x, w in self.values)
        w = number(self.nobs)
        return -w * mp.log(sigma) - w * mp.log(2 * mp.pi) / 2 - squares / (2 * sigma**2)

    def profile(self, level):
        """Where the profile log-likelihood of mu, and of sigma, is chi2 / 2 lower, by bisection."""
        if self.status != "OK":
            return [[mp.nan, mp.nan], [mp.nan, mp.nan]]
        drop = mp.erfinv(number(level)) ** 2  # half of the chi-square quantile

        def of_mu(t):  # t = (mu - mu-hat) / sigma-hat
            return self._loglik_at(self.mu + t * self.sigma, self.sigma * mp.sqrt(1 + t**2))

        def of_sigma(t):  # t = log(sigma / sigma-hat); the best mu is the mean
            return self._loglik_at(self.mu, self.sigma * mp.exp(t))

        def end(profile, sign):
            def excess(t):
                return self.loglik - profile(sign * t) - drop

            near, far = mp.mpf(0), mp.mpf(1)
            while excess(far) < 0:
                far *= 2
            while far - near > far * mp.mpf(10) ** -30:
                middle = (near + far) / 2
                near, far = (middle, far) if excess(middle) < 0 else (near, middle)
            return sign * far

        return [
            [self.mu + end(of_mu, -1) * self.sigma, self.mu + end(of_mu, 1) * self.sigma],
            [self.sigma * mp.exp(end(of_sigma, -1)), self.sigma * mp.exp(end(of_sigma, 1))],
        ]


def normal_quantile(q):
    return mp.sqrt(2) * mp.erfinv(2 * number(q) - 1)


def fit(x, weights=None, *, reml=False, nan_policy="propagate"):
    """One problem: x and weights are sequences of doubles (weights may be Fractions)."""
    weights = [1] * len(x) if weights is None else weights
    used = [(float(v), Fraction(w)) for v, w in zip(x, weights, strict=True) if w != 0]
    if nan_policy == "omit":
        used = [(v, w) for v, w in used if not math.isnan(v)]
    nobs = sum((w for _, w in used), Fraction(0))
    if not used:
        return Fit("NO_DATA", mp.nan, mp.nan, mp.mpf(0), nobs)
    if any(math.isnan(v) for v, _ in used):
        return Fit("NAN_INPUT", mp.nan, mp.nan, mp.nan, nobs)
    if any(math.isinf(v) for v, _ in used):
        return Fit("INVALID_INPUT", mp.nan, mp.nan, mp.nan, nobs)
    return _maximum(used, nobs, reml)


def _maximum(used, nobs, reml):
    counts = Counter()
    for v, w in used:
        counts[Fraction(v)] += w
    mean = sum(v * w for v, w in counts.items()) / nobs
    squares = sum(w * (v - mean) ** 2 for v, w in counts.items())
    dof = nobs - 1 if reml else nobs
    if dof < 0:  # (1 - W) log(sigma) grows without bound
        return Fit("SIGMA_INFINITE", mp.nan, mp.inf, mp.inf, nobs)
    if dof == 0 and squares == 0:  # the restricted likelihood is the constant 1
        return Fit("NOT_IDENTIFIED", mp.nan, mp.nan, mp.mpf(0), nobs)
    if dof == 0:  # -squares / (2 sigma**2)
        return Fit("SIGMA_INFINITE", mp.nan, mp.inf, mp.mpf(0), nobs)
    if squares == 0:
        return Fit("SIGMA_ZERO", number(mean), mp.mpf(0), mp.inf, nobs)
    sigma = mp.sqrt(number(squares / dof))
    d = number(dof)
    loglik = -d * mp.log(sigma) - d * mp.log(2 * mp.pi) / 2 - d / 2
    if reml:
        loglik -= mp.log(number(nobs)) / 2
    values = tuple((number(v), number(w)) for v, w in counts.items())
    return Fit("OK", number(mean), sigma, loglik, nobs, values, reml)


def fit_large(x, weights=None, **options):
    """As `fit`, for arrays with many observations but few distinct ones."""
    x = np.ravel(x).astype(np.float64)
    weights = np.broadcast_to(1.0 if weights is None else weights, x.shape)
    x_levels, i = np.unique(x, return_inverse=True)
    w_levels, j = np.unique(weights, return_inverse=True)
    counts = np.bincount(i * w_levels.size + j)
    pairs = np.nonzero(counts)[0]
    totals = [Fraction(float(w_levels[k % w_levels.size])) * int(counts[k]) for k in pairs]
    return fit(x_levels[pairs // w_levels.size], totals, **options)


def fit_table(X, weights=None):
    """(mean, covariance, log-likelihood) of a table, its rows sequences of doubles; exactly."""
    weights = [1] * len(X) if weights is None else weights
    rows = [
        ([Fraction(float(v)) for v in row], Fraction(float(w)))
        for row, w in zip(X, weights, strict=True)
        if w
    ]
    d, total = len(X[0]), sum(w for _, w in rows)
    mean = [sum(w * row[j] for row, w in rows) / total for j in range(d)]
    cov = [
        [sum(w * (r[i] - mean[i]) * (r[j] - mean[j]) for r, w in rows) / total for j in range(d)]
        for i in range(d)
    ]
    left, log_det = [list(row) for row in cov], mp.mpf(0)
    for k in range(d):
        log_det += mp.log(number(left[k][k])) if left[k][k] else -mp.inf
        for i in range(k + 1, d):
            factor = left[i][k] / left[k][k] if left[k][k] else 0
            for j in range(k, d):
                left[i][j] -= factor * left[k][j]
    loglik = -number(total) / 2 * (d * (mp.log(2 * mp.pi) + 1) + log_det)
    return mean, cov, loglik


def fit_nested_table(X):
    """(mean, covariance) of a table whose columns are missing in nested sets of rows; exactly.

    Each column is regressed on those that more rows have, in the rows that have it.
    """
    d = len(X[0])
    rows = [[None if math.isnan(v) else Fraction(float(v)) for v in row] for row in X]
    order = sorted(range(d), key=lambda j: sum(row[j] is None for row in rows))
    mean, cov = [None] * d, [[None] * d for _ in range(d)]
    for k, j in enumerate(order):
        before = order[:k]
        known = [row for row in rows if row[j] is not None]
        part = [[row[i] for i in (*before, j)] for row in known]
        center, scatter, _ = fit_table(part)
        coefs = solve_exactly([r[:k] for r in scatter[:k]], scatter[k][:k])
        rest = scatter[k][k] - sum(c * v for c, v in zip(coefs, scatter[k][:k], strict=True))
        mean[j] = center[k] + sum(
            c * (mean[i] - m) for c, i, m in zip(coefs, before, center, strict=False)
        )
        for i in before:
            cov[i][j] = cov[j][i] = sum(c * cov[i][a] for c, a in zip(coefs, before, strict=True))
        cov[j][j] = rest + sum(c * cov[a][j] for c, a in zip(coefs, before, strict=True))
    return mean, cov


def solve_exactly(a, b):
    """Gauss's elimination of Fractions, for positive definite a."""
    n = len(b)
    a, b = [list(row) for row in a], list(b)
    for k in range(n):
        for i in range(k + 1, n):
            factor = a[i][k] / a[k][k]
            a[i] = [x - factor * y for x, y in zip(a[i], a[k], strict=True)]
            b[i] -= factor * b[k]
    x = [Fraction(0)] * n
    for k in range(n - 1, -1, -1):
        x[k] = (b[k] - sum(a[k][j] * x[j] for j in range(k + 1, n))) / a[k][k]
    return x


def table_scores(X, mean, cov):
    """(log-likelihoods, scores by the mean and the covariance's lower triangle) of rows with NaN.

    Row by row, with the inverse of the covariance of what the row has; nothing is shared.
    """
    X = np.asarray(X, float)
    d = X.shape[1]
    rows, columns = np.tril_indices(d)
    logliks, scores = np.zeros(len(X)), np.zeros((len(X), d + rows.size))
    for i, x in enumerate(X):
        known = np.flatnonzero(~np.isnan(x))
        part = cov[np.ix_(known, known)]
        inverse = np.zeros((d, d))
        inverse[np.ix_(known, known)] = np.linalg.inv(part)
        r = np.where(np.isnan(x), 0.0, x - mean)
        solved = inverse @ r
        log_det = np.linalg.slogdet(part)[1]
        logliks[i] = -0.5 * (known.size * math.log(2 * math.pi) + log_det + r @ solved)
        by_cov = 0.5 * (np.outer(solved, solved) - inverse)
        scores[i, :d] = solved
        scores[i, d:] = by_cov[rows, columns] * np.where(rows == columns, 1.0, 2.0)
    return logliks, scores


def table_information(X, weights, mean, cov):
    """Minus the second derivatives of the log-likelihood, row by row, in the parameters themselves.

    By S_ij and S_kl, with s = S^-1 r and E the change of S: s'E S^-1 E's - tr(S^-1 E S^-1 E') / 2.
    """
    X = np.asarray(X, float)
    d = X.shape[1]
    rows, columns = np.tril_indices(d)
    change = np.zeros((rows.size, d, d))
    change[np.arange(rows.size), rows, columns] = 1.0
    change[np.arange(rows.size), columns, rows] = 1.0
    info = np.zeros((d + rows.size,) * 2)
    for x, w in zip(X, weights, strict=True):
        known = np.flatnonzero(~np.isnan(x))
        inverse = np.zeros((d, d))
        inverse[np.ix_(known, known)] = np.linalg.inv(cov[np.ix_(known, known)])
        moved = change @ (inverse @ np.where(np.isnan(x), 0.0, x - mean))
        info[:d, :d] += w * inverse
        info[:d, d:] += w * inverse @ moved.T
        both = np.einsum("aij,bji->ab", inverse @ change, inverse @ change)
        info[d:, d:] += w * (moved @ inverse @ moved.T - 0.5 * both)
    info[d:, :d] = info[:d, d:].T
    return info


def error(got, want, unit=None):
    """abs(got - want) / unit (default: abs(want)); 0 if both are the same infinity or NaN.

    What is larger than the largest double is infinite.  One unit of the subnormal numbers is no
    error: closer is not possible.
    """
    got, want = number(float(got)), number(want)
    if abs(want) >= LARGEST:
        want = mp.sign(want) * mp.inf
    if mp.isnan(want) or mp.isinf(want):
        same = mp.isnan(got) if mp.isnan(want) else got == want
        return 0.0 if same else math.inf
    if not mp.isfinite(got):
        return math.inf
    gap = abs(got - want)
    if gap <= mp.ldexp(1, -1074):
        return 0.0
    unit = abs(want) if unit is None else abs(number(unit))
    return float(gap / unit) if unit else math.inf
