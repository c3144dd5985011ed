"""Models as a user writes them, each with data, a truth and SciPy's density as an oracle.

A model that joins ``ZOO`` is held to every property in test_models.py.  Compiling one takes more
than a second, so all tests share these instances.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from conftest import scaled
from numba.extending import register_jitable
from scipy import special, stats

import fastnat
from fastnat import models


@dataclass(frozen=True)
class Case:
    """A model and what is known about it from elsewhere."""

    name: str
    model: Any
    truth: tuple[float, ...]
    sample: Callable[..., tuple]
    """``sample(rng, shape, truth)``: arrays of data."""
    logpdf: Callable[..., Any]
    """``logpdf(theta, *data)``: SciPy's log-density of every observation."""
    start: tuple[float, ...]
    fisher: Callable[..., Any] | None = None
    """``fisher(theta)``: expected information of one observation, from a textbook."""
    affine: Callable[..., tuple] | None = None
    """``affine(theta, shift, factor)``: the parameters of factor * x + shift."""
    shifts: bool = True
    """Whether ``affine`` knows shifts."""
    n_obs: int = 50

    @property
    def p(self):
        return len(self.truth)

    def data(self, rng, shape):
        return self.sample(rng, shape, self.truth)

    def fit(self, data, **options):
        """fastnat.fit, from this case's start unless another is given."""
        data = data[0] if len(data) == 1 else tuple(data)
        return fastnat.fit(self.model, data, **({"start": self.start} | options))

    def loglik(self, theta, data):
        """The sum of SciPy's log-densities; -inf outside the domain."""
        with np.errstate(all="ignore"):
            total = np.sum(self.logpdf(theta, *data))
        return float(total) if np.isfinite(total) else -math.inf

    def scores(self, theta, data):
        """The score of every observation, (n, p), one after the other in plain Python."""
        point = tuple(float(t) for t in theta)
        rows = zip(*(np.asarray(d, float).tolist() for d in data), strict=True)
        return np.array([self.model.score(*row, *point) for row in rows]).reshape(-1, self.p)

    def total(self, theta, data):
        """The exactly rounded sum of the model's own log-densities; -inf outside the domain."""
        point = tuple(float(t) for t in theta)
        rows = zip(*(np.asarray(d, float).tolist() for d in data), strict=True)
        try:
            total = math.fsum(self.model.loglik(*row, *point) for row in rows)
        except (ValueError, ArithmeticError):
            return -math.inf
        return total if math.isfinite(total) else -math.inf

    def gradient(self, theta, data):
        """The exactly rounded sum of the scores; NaN outside the domain."""
        try:
            return np.array([math.fsum(column) for column in self.scores(theta, data).T])
        except (ValueError, ArithmeticError):
            return np.full(self.p, np.nan)

    def information(self, theta, data, unit):
        """Minus the Hessian, from differences of ``gradient`` with steps of 1e-3 units."""
        info = np.empty((self.p, self.p))
        for j in range(self.p):
            step = np.zeros(self.p)
            step[j] = 1e-3 * unit[j]
            far, near = (
                self.gradient(theta - k * step, data) - self.gradient(theta + k * step, data)
                for k in (2, 1)
            )
            info[j] = (8.0 * near - far) / (12.0 * step[j])
        return 0.5 * (info + info.T)

    def polish(self, theta, data, unit):
        """Newton's steps to where the exactly rounded gradient is zero."""
        for _ in range(3):
            info = self.information(theta, data, unit)
            theta = theta + np.linalg.solve(info, self.gradient(theta, data))
        return theta

    def unit(self, theta, data):
        """Standard deviations of one observation, from the scatter of the scores."""
        return 1.0 / np.sqrt(np.mean(self.scores(theta, data) ** 2, axis=0))


def location_scale(theta, shift, factor):
    """For parameters (location, log scale, ...)."""
    return (factor * theta[0] + shift, theta[1] + math.log(factor), *theta[2:])


# The article's Gaussian, and the same in other charts.


def normal_sample(rng, shape, truth):
    return (rng.normal(truth[0], math.exp(truth[1]), shape),)


NORMAL = Case(
    "normal",
    models.normal,
    (2.0, 0.4),
    normal_sample,
    lambda t, x: stats.norm.logpdf(x, t[0], np.exp(t[1])),
    (0.0, 0.0),
    lambda t: np.diag([math.exp(-2.0 * t[1]), 2.0]),
    location_scale,
)


def variance_loglik(x, mu, v):
    return -0.5 * (x - mu) ** 2 / v - 0.5 * math.log(v) - 0.5 * math.log(2.0 * math.pi)


def variance_score(x, mu, v):
    z = (x - mu) / v
    return z, 0.5 * (z * z - 1.0 / v)


def variance_fisher(mu, v):  # noqa: ARG001
    return (1.0 / v, 0.0), (0.0, 0.5 / v**2)


VARIANCE = Case(
    "normal in (mu, v)",
    fastnat.Model(variance_loglik, variance_score, fisher=variance_fisher, check=False),
    (2.0, 2.25),
    lambda rng, shape, t: (rng.normal(t[0], math.sqrt(t[1]), shape),),
    lambda t, x: stats.norm.logpdf(x, t[0], np.sqrt(t[1])),
    (0.0, 1.0),
    lambda t: np.diag([1.0 / t[1], 0.5 / t[1] ** 2]),
    lambda t, shift, factor: (factor * t[0] + shift, factor**2 * t[1]),
)


def olsen_loglik(x, m, h):
    z = h * x - m
    return math.log(h) - 0.5 * z * z - 0.5 * math.log(2.0 * math.pi)


def olsen_score(x, m, h):
    z = h * x - m
    return z, 1.0 / h - z * x


def olsen_fisher(m, h):
    return (1.0, -m / h), (-m / h, (2.0 + m * m) / h**2)


OLSEN = Case(
    "normal in (mu / sigma, 1 / sigma)",
    fastnat.Model(olsen_loglik, olsen_score, fisher=olsen_fisher),
    (1.2, 0.6),
    lambda rng, shape, t: (rng.normal(t[0] / t[1], 1.0 / t[1], shape),),
    lambda t, x: np.where(t[1] > 0.0, stats.norm.logpdf(x, t[0] / t[1], 1.0 / t[1]), np.nan),
    (0.0, 1.0),
    lambda t: np.array([[1.0, -t[0] / t[1]], [-t[0] / t[1], (2.0 + t[0] ** 2) / t[1] ** 2]]),
    lambda t, shift, factor: (t[0] + shift * t[1] / factor, t[1] / factor),
)


def natural_loglik(x, a, b):
    return (
        a * x
        + b * x * x
        + 0.25 * a * a / b
        + 0.5 * math.log(-2.0 * b)
        - 0.5 * math.log(2.0 * math.pi)
    )


def natural_score(x, a, b):
    mu = -0.5 * a / b
    return x - mu, x * x - mu * mu + 0.5 / b


def natural_fisher(a, b):
    mu, v = -0.5 * a / b, -0.5 / b
    return (v, 2.0 * mu * v), (2.0 * mu * v, 4.0 * mu * mu * v + 2.0 * v * v)


def _natural(mu, v):
    return (mu / v, -0.5 / v)


NATURAL = Case(
    "normal in natural parameters",
    fastnat.Model(natural_loglik, natural_score, fisher=natural_fisher, check=False),
    _natural(1.5, 2.25),
    lambda rng, shape, t: (rng.normal(-0.5 * t[0] / t[1], math.sqrt(-0.5 / t[1]), shape),),
    lambda t, x: np.where(
        t[1] < 0.0, stats.norm.logpdf(x, -0.5 * t[0] / t[1], np.sqrt(np.abs(0.5 / t[1]))), np.nan
    ),
    (0.0, -0.5),
    # The covariance of (x, x**2), by the moments of the normal distribution.
    lambda t: np.array(
        [
            [-0.5 / t[1], 0.5 * t[0] / t[1] ** 2],
            [0.5 * t[0] / t[1] ** 2, 0.5 / t[1] ** 2 - 0.5 * t[0] ** 2 / t[1] ** 3],
        ]
    ),
    lambda t, shift, factor: _natural(
        factor * (-0.5 * t[0] / t[1]) + shift, factor**2 * (-0.5 / t[1])
    ),
)


# Location and scale.


def t4_loglik(x, mu, log_scale):
    z = (x - mu) * math.exp(-log_scale)
    return math.log(0.375) - log_scale - 2.5 * math.log1p(0.25 * z * z)


def t4_score(x, mu, log_scale):
    unit = math.exp(-log_scale)
    z = (x - mu) * unit
    pull = 5.0 * z / (4.0 + z * z)
    return pull * unit, pull * z - 1.0


def t_fisher(nu, log_scale):
    """Lange, Little and Taylor (1989), JASA 84, 881-896."""
    return np.diag([(nu + 1.0) / (nu + 3.0) * math.exp(-2.0 * log_scale), 2.0 * nu / (nu + 3.0)])


T4 = Case(
    "Student t, 4 degrees of freedom",
    fastnat.Model(t4_loglik, t4_score),
    (1.0, 0.5),
    lambda rng, shape, t: (t[0] + math.exp(t[1]) * rng.standard_t(4.0, shape),),
    lambda t, x: stats.t.logpdf(x, 4.0, t[0], np.exp(t[1])),
    (0.0, 0.0),
    lambda t: t_fisher(4.0, t[1]),
    location_scale,
)


@register_jitable
def digamma(x):
    """By recurrence and the asymptotic series, Abramowitz and Stegun 6.3.5 and 6.3.18."""
    total = 0.0
    while x < 12.0:
        total -= 1.0 / x
        x += 1.0
    y = 1.0 / (x * x)
    series = y * (
        1.0 / 12.0 - y * (1.0 / 120.0 - y * (1.0 / 252.0 - y * (1.0 / 240.0 - y / 132.0)))
    )
    return total + math.log(x) - 0.5 / x - series


def t_loglik(x, mu, log_scale, log_nu):
    nu = math.exp(log_nu)
    z = (x - mu) * math.exp(-log_scale)
    return (
        math.lgamma(0.5 * (nu + 1.0))
        - math.lgamma(0.5 * nu)
        - 0.5 * math.log(math.pi * nu)
        - log_scale
        - 0.5 * (nu + 1.0) * math.log1p(z * z / nu)
    )


def t_score(x, mu, log_scale, log_nu):
    nu = math.exp(log_nu)
    unit = math.exp(-log_scale)
    z = (x - mu) * unit
    pull = (nu + 1.0) * z / (nu + z * z)
    slope = digamma(0.5 * (nu + 1.0)) - digamma(0.5 * nu) - math.log1p(z * z / nu)
    return pull * unit, pull * z - 1.0, 0.5 * (nu * slope + pull * z - 1.0)


T3 = Case(
    "Student t, 3 parameters",
    fastnat.Model(t_loglik, t_score),
    (1.0, 0.5, math.log(3.0)),
    lambda rng, shape, t: (t[0] + math.exp(t[1]) * rng.standard_t(math.exp(t[2]), shape),),
    lambda t, x: stats.t.logpdf(x, np.exp(t[2]), t[0], np.exp(t[1])),
    (0.0, 0.0, 1.0),
    None,
    location_scale,
    n_obs=scaled(300, 150),
)


def gumbel_loglik(x, mu, log_beta):
    z = (x - mu) * math.exp(-log_beta)
    return -z - math.exp(-z) - log_beta


def gumbel_score(x, mu, log_beta):
    unit = math.exp(-log_beta)
    z = (x - mu) * unit
    pull = 1.0 - math.exp(-z)
    return pull * unit, pull * z - 1.0


def gumbel_fisher(mu, log_beta):  # noqa: ARG001
    unit, g = math.exp(-log_beta), 1.0 - 0.5772156649015329
    return (unit * unit, -g * unit), (-g * unit, g * g + math.pi**2 / 6.0)


def gumbel_information(t):
    """Johnson, Kotz and Balakrishnan, Continuous Univariate Distributions 2, section 22.8."""
    unit, g = math.exp(-t[1]), 1.0 - np.euler_gamma
    return np.array([[unit**2, -g * unit], [-g * unit, g**2 + math.pi**2 / 6.0]])


GUMBEL = Case(
    "Gumbel",
    fastnat.Model(gumbel_loglik, gumbel_score, fisher=gumbel_fisher),
    (-1.0, 0.7),
    lambda rng, shape, t: (rng.gumbel(t[0], math.exp(t[1]), shape),),
    lambda t, x: stats.gumbel_r.logpdf(x, t[0], np.exp(t[1])),
    (0.0, 0.0),
    gumbel_information,
    location_scale,
)


def weibull_loglik(x, log_scale, log_shape):
    shape = math.exp(log_shape)
    y = math.log(x) - log_scale
    return log_shape - log_scale + (shape - 1.0) * y - math.exp(shape * y)


def weibull_score(x, log_scale, log_shape):
    shape = math.exp(log_shape)
    y = math.log(x) - log_scale
    pull = math.exp(shape * y) - 1.0
    return shape * pull, 1.0 - shape * y * pull


def weibull_information(t):
    """log x is a Gumbel minimum with location log_scale and scale exp(-log_shape)."""
    k, g = math.exp(t[1]), 1.0 - np.euler_gamma
    return np.array([[k * k, -g * k], [-g * k, g**2 + math.pi**2 / 6.0]])


WEIBULL = Case(
    "Weibull",
    fastnat.Model(weibull_loglik, weibull_score),
    (0.8, 0.5),
    lambda rng, shape, t: (math.exp(t[0]) * rng.weibull(math.exp(t[1]), shape),),
    lambda t, x: stats.weibull_min.logpdf(x, np.exp(t[1]), 0.0, np.exp(t[0])),
    (0.0, 0.0),
    weibull_information,
    lambda t, shift, factor: (t[0] + math.log(factor), t[1]),  # noqa: ARG005
    shifts=False,
)


def logistic_loglik(x, mu, log_s):
    z = abs(x - mu) * math.exp(-log_s)
    return -z - log_s - 2.0 * math.log1p(math.exp(-z))


def logistic_score(x, mu, log_s):
    unit = math.exp(-log_s)
    z = (x - mu) * unit
    pull = math.tanh(0.5 * z)
    return pull * unit, pull * z - 1.0


def logistic_fisher(mu, log_s):  # noqa: ARG001
    return (math.exp(-2.0 * log_s) / 3.0, 0.0), (0.0, (3.0 + math.pi**2) / 9.0)


LOGISTIC = Case(
    "logistic",
    fastnat.Model(logistic_loglik, logistic_score, fisher=logistic_fisher),
    (3.0, -0.5),
    lambda rng, shape, t: (rng.logistic(t[0], math.exp(t[1]), shape),),
    lambda t, x: stats.logistic.logpdf(x, t[0], np.exp(t[1])),
    (0.0, 0.0),
    lambda t: np.diag([math.exp(-2.0 * t[1]) / 3.0, (3.0 + math.pi**2) / 9.0]),
    location_scale,
)


# One parameter.


def exponential_loglik(x, log_rate):
    return log_rate - math.exp(log_rate) * x


def exponential_score(x, log_rate):
    return (1.0 - math.exp(log_rate) * x,)


def exponential_fisher(log_rate):  # noqa: ARG001
    return ((1.0,),)


EXPONENTIAL = Case(
    "exponential",
    fastnat.Model(exponential_loglik, exponential_score, fisher=exponential_fisher),
    (-1.2,),
    lambda rng, shape, t: (rng.exponential(math.exp(-t[0]), shape),),
    lambda t, x: stats.expon.logpdf(x, 0.0, np.exp(-t[0])),
    (0.0,),
    lambda t: np.array([[1.0]]),  # noqa: ARG005
    lambda t, shift, factor: (t[0] - math.log(factor),),  # noqa: ARG005
    shifts=False,
)


def poisson_loglik(x, log_mean):
    return x * log_mean - math.exp(log_mean) - math.lgamma(x + 1.0)


def poisson_score(x, log_mean):
    return (x - math.exp(log_mean),)


POISSON = Case(
    "Poisson",
    fastnat.Model(poisson_loglik, poisson_score),
    (1.1,),
    lambda rng, shape, t: (rng.poisson(math.exp(t[0]), shape),),
    lambda t, x: stats.poisson.logpmf(x, np.exp(t[0])),
    (0.0,),
    lambda t: np.array([[math.exp(t[0])]]),
)


def cauchy_loglik(x, mu):
    return -math.log1p((x - mu) ** 2)


def cauchy_score(x, mu):
    return (2.0 * (x - mu) / (1.0 + (x - mu) ** 2),)


cauchy = fastnat.Model(cauchy_loglik, cauchy_score)
"""Not in the zoo, for it has as many maxima as the data please."""


# Regression.


def line_loglik(y, x, a, b, log_sigma):
    z = (y - a - b * x) * math.exp(-log_sigma)
    return -0.5 * z * z - log_sigma - 0.5 * math.log(2.0 * math.pi)


def line_score(y, x, a, b, log_sigma):
    unit = math.exp(-log_sigma)
    z = (y - a - b * x) * unit
    return z * unit, z * unit * x, z * z - 1.0


def line_sample(rng, shape, truth):
    x = rng.uniform(-1.0, 2.0, shape)
    return truth[0] + truth[1] * x + rng.normal(0.0, math.exp(truth[2]), shape), x


LINE = Case(
    "regression on one column",
    fastnat.Model(line_loglik, line_score, n_data=2),
    (1.0, -0.7, -0.3),
    line_sample,
    lambda t, y, x: stats.norm.logpdf(y, t[0] + t[1] * x, np.exp(t[2])),
    (0.0, 0.0, 0.0),
    None,
    lambda t, shift, factor: (factor * t[0] + shift, factor * t[1], t[2] + math.log(factor)),
)


def binary_loglik(y, x, a, b):
    eta = a + b * x
    return y * eta - max(eta, 0.0) - math.log1p(math.exp(-abs(eta)))


def binary_score(y, x, a, b):
    rest = y - 0.5 * (1.0 + math.tanh(0.5 * (a + b * x)))
    return rest, rest * x


def binary_sample(rng, shape, truth):
    x = rng.normal(0.0, 1.5, shape)
    return (rng.random(shape) < special.expit(truth[0] + truth[1] * x)).astype(float), x


BINARY = Case(
    "logistic regression",
    fastnat.Model(binary_loglik, binary_score, n_data=2),
    (-0.4, 0.9),
    binary_sample,
    lambda t, y, x: stats.bernoulli.logpmf(y, special.expit(t[0] + t[1] * x)),
    (0.0, 0.0),
    n_obs=80,
)


def cubic_loglik(y, x, a, b, c, d, log_sigma):
    z = (y - (a + x * (b + x * (c + x * d)))) * math.exp(-log_sigma)
    return -0.5 * z * z - log_sigma - 0.5 * math.log(2.0 * math.pi)


def cubic_score(y, x, a, b, c, d, log_sigma):
    unit = math.exp(-log_sigma)
    z = (y - (a + x * (b + x * (c + x * d)))) * unit
    pull = z * unit
    return pull, pull * x, pull * x * x, pull * x * x * x, z * z - 1.0


def cubic_sample(rng, shape, truth):
    x = rng.uniform(-2.0, 2.0, shape)
    mean = np.polynomial.polynomial.polyval(x, truth[:4])
    return mean + rng.normal(0.0, math.exp(truth[4]), shape), x


CUBIC = Case(
    "cubic regression",
    fastnat.Model(cubic_loglik, cubic_score, n_data=2),
    (1.0, -0.5, 0.3, 0.2, -0.6),
    cubic_sample,
    lambda t, y, x: stats.norm.logpdf(y, np.polynomial.polynomial.polyval(x, t[:4]), np.exp(t[4])),
    (0.0, 0.0, 0.0, 0.0, 0.0),
    None,
    lambda t, shift, factor: (
        factor * t[0] + shift,
        *(factor * c for c in t[1:4]),
        t[4] + math.log(factor),
    ),
)

ZOO = [
    NORMAL,
    VARIANCE,
    OLSEN,
    NATURAL,
    T4,
    T3,
    GUMBEL,
    WEIBULL,
    LOGISTIC,
    EXPONENTIAL,
    POISSON,
    LINE,
    BINARY,
    CUBIC,
]


# Murray's twelve observations (1977, Journal of the Royal Statistical Society B 39, 27-28): a
# bivariate normal with means 0 of which some know one coordinate only.  Two maxima, correlation
# 1/2 and -1/2 with variances 8/3, and a saddle between them, correlation 0 with variances 5/2.


def murray_loglik(x, y, seen, log_s, log_t, turn):
    a, b, rho = x * math.exp(-log_s), y * math.exp(-log_t), math.tanh(turn)
    if seen == 1.0:
        return -log_s - 0.5 * a * a
    if seen == 2.0:
        return -log_t - 0.5 * b * b
    q = (a * a - 2.0 * rho * a * b + b * b) / (1.0 - rho * rho)
    return -log_s - log_t - 0.5 * math.log(1.0 - rho * rho) - 0.5 * q


def murray_score(x, y, seen, log_s, log_t, turn):
    a, b, rho = x * math.exp(-log_s), y * math.exp(-log_t), math.tanh(turn)
    if seen == 1.0:
        return a * a - 1.0, 0.0, 0.0
    if seen == 2.0:
        return 0.0, b * b - 1.0, 0.0
    w = 1.0 / (1.0 - rho * rho)
    q = (a * a - 2.0 * rho * a * b + b * b) * w
    return w * (a * a - rho * a * b) - 1.0, w * (b * b - rho * a * b) - 1.0, rho + a * b - rho * q


murray = fastnat.Model(murray_loglik, murray_score, n_data=3)
MURRAY = np.array(
    [
        (1, 1, 0),
        (1, -1, 0),
        (-1, 1, 0),
        (-1, -1, 0),
        *[(2, 0, 1), (-2, 0, 1)] * 2,
        *[(0, 2, 2), (0, -2, 2)] * 2,
    ],
    float,
).T
