"""What each row of a regression adds to log-likelihood, gradient and curvature, kind by kind.

A row has two predictors, for its location and for its scale.  What they are depends on the chart:

    SCALE     mu and log sigma
    VARIANCE  mu and sigma**2
    OLSEN     mu / sigma and 1 / sigma (Olsen 1978, Econometrica 46, 1211-1215)
    NATURAL   mu / sigma**2 and -1 / (2 sigma**2), the natural parameters of the normal family

The log-likelihood of censored rows is concave in Olsen's chart and that of truncated ones in the
natural chart, where the curvature is the observed information.  In the other two it is that, or a
positive semi-definite part of it (``observed`` 1 or 0).  There, known noise may be part of the
standard deviation s of an observation: s**2 = sigma**2 + noise**2.
"""

import math

from fastnat.kernels._jit import helper, inlined
from fastnat.kernels.linear_rows import (
    BETWEEN,
    EXACT,
    LEAST,
    LEFT,
    LOW,
    MOST,
    NOISE,
    RIGHT,
    TRUNCATED,
    WEIGHT,
    WIDTH,
)
from fastnat.kernels.observation import expected_information, interval
from fastnat.kernels.quadrature import truncated_moments
from fastnat.kernels.special import exp, log, tail

SCALE, VARIANCE, OLSEN, NATURAL = range(4)

A, C, LOGLIK, BY_A, BY_C, AA, AC, CC, INV, LOG_S, RATE, BEND, N_TERMS = range(13)
"""Rows of the terms of a block: the predictors a and c; log-likelihood, derivatives and curvature,
times the weight; 1 / s, log s, its first and second derivative by c.  And how many they are."""

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_LARGEST_LOG = 300.0  # of a scale: its square must be a number


@helper
def find_terms(chart, noisy, observed, cells, ends, terms):
    """Fill all rows of ``terms`` (N_TERMS, STRIDE) but the predictors, which are there.

    noisy : whether any row has noise.
    observed : 1.0 or 0.0, which curvature in the charts SCALE and VARIANCE.
    cells, ends : of a block of `linear_rows`.
    """
    if chart == OLSEN:
        first, last = ends[EXACT], ends[EXACT + 1]
        _olsen_exact(cells, first, last, terms)
        _olsen_beyond(cells, ends[LEFT], ends[LEFT + 1], -1.0, terms)
        _olsen_beyond(cells, ends[RIGHT], ends[RIGHT + 1], 1.0, terms)
        for i in range(ends[BETWEEN], ends[BETWEEN + 1]):
            _olsen_between(cells, i, terms)
    elif chart == NATURAL:
        for i in range(ends[TRUNCATED], ends[TRUNCATED + 1]):
            _natural(cells, i, terms)
    else:
        n = ends[-1]
        if chart == VARIANCE:
            _spread_of_variance(terms[C], cells[NOISE], n, terms)
        elif noisy:
            _spread_with_noise(terms[C], cells[NOISE], n, terms)
        else:
            _spread(terms[C], n, terms)
        _exact(cells, ends[EXACT], ends[EXACT + 1], observed, terms)
        _beyond(cells, ends[LEFT], ends[LEFT + 1], -1.0, observed, terms)
        _beyond(cells, ends[RIGHT], ends[RIGHT + 1], 1.0, observed, terms)
        for i in range(ends[BETWEEN], ends[BETWEEN + 1]):
            _between(cells, i, observed, terms)
        for i in range(ends[TRUNCATED], ends[TRUNCATED + 1]):
            _truncated(cells, i, observed, terms)


@helper
def to_products(cells, n, terms):
    """The curvature becomes what each row adds to the outer product of the scores."""
    for i in range(n):
        a, c = terms[BY_A, i], terms[BY_C, i]
        w = cells[WEIGHT, i]
        terms[AA, i], terms[AC, i], terms[CC, i] = a * a / w, a * c / w, c * c / w


@helper
def to_derivatives(second, cells, n, terms):
    """The curvature by location becomes its first or second derivative by the variance.

    Of known values, in the chart VARIANCE; that by scale becomes its expected value.
    """
    for i in range(n):
        precision = terms[INV, i] * terms[INV, i]
        square = cells[WEIGHT, i] * precision * precision
        terms[AA, i] = 2.0 * square * precision if second else -square
        terms[AC, i], terms[CC, i] = 0.0, 0.5 * square


@helper
def to_expected(cells, ends, terms):
    """The curvature becomes the expected information, for which it takes all limits.

    In the charts SCALE and VARIANCE, and not for intervals.
    """
    for i in range(ends[-1]):
        inv, rate, w = terms[INV, i], terms[RATE, i], cells[WEIGHT, i]
        lower, upper = (cells[LEAST, i] - terms[A, i]) * inv, (cells[MOST, i] - terms[A, i]) * inv
        if ends[TRUNCATED] <= i < ends[TRUNCATED + 1]:
            _, mean, k2, k3, k4 = truncated_moments(0.0, -0.5, lower, upper)
            mm, ml, ll = _covariance(mean, k2, k3, k4)
        else:
            mm, ml, ll = expected_information(lower, upper)
        terms[AA, i] = w * inv * inv * mm
        terms[AC, i] = w * inv * rate * ml
        terms[CC, i] = w * rate * rate * ll


# ---- standard deviations ---------------------------------------------------------------------


@helper
def _spread(c, n, terms):
    inv, log_s, rate, bend = terms[INV], terms[LOG_S], terms[RATE], terms[BEND]
    for i in range(n):
        value = max(min(c[i], _LARGEST_LOG), -_LARGEST_LOG)
        inv[i] = exp(-value, 0.0)
        log_s[i] = value
        rate[i] = 1.0
        bend[i] = 0.0


@helper
def _spread_with_noise(c, noise, n, terms):
    inv, log_s, rate, bend = terms[INV], terms[LOG_S], terms[RATE], terms[BEND]
    for i in range(n):
        variance = exp(2.0 * max(min(c[i], _LARGEST_LOG), -_LARGEST_LOG), 0.0)
        total = variance + noise[i] * noise[i]
        share = variance / total
        inv[i] = 1.0 / math.sqrt(total)
        log_s[i] = 0.5 * log(total)
        rate[i] = share
        bend[i] = 2.0 * share * (noise[i] * noise[i] / total)


@helper
def _spread_of_variance(c, noise, n, terms):
    inv, log_s, rate, bend = terms[INV], terms[LOG_S], terms[RATE], terms[BEND]
    for i in range(n):
        total = c[i] + noise[i] * noise[i]
        precision = 1.0 / total
        inv[i] = math.sqrt(precision)
        log_s[i] = 0.5 * log(total)
        rate[i] = 0.5 * precision
        bend[i] = -0.5 * precision * precision


# ---- the charts SCALE and VARIANCE -----------------------------------------------------------


@inlined
def _by_chart(w, loglik, s_m, s_l, g, extra, inv, rate, bend):
    """Terms from score and information in (mu / s, log s).

    g : (mm, ml, ll), positive semi-definite; the observed information is that plus ``extra``
        times ((0, s_m), (s_m, s_l)), in these coordinates.
    """
    g_mm, g_ml, g_ll = g
    by_a = w * inv
    by_c = w * rate
    ml = g_ml + extra * s_m
    ll = g_ll + extra * s_l
    return (
        w * loglik,
        by_a * s_m,
        by_c * s_l,
        by_a * inv * g_mm,
        by_a * rate * ml,
        by_c * rate * ll - (w * min(extra, 1.0) * bend) * s_l,
    )


@helper
def _exact(cells, first, last, observed, terms):
    y, w, a, inv = cells[LOW], cells[WEIGHT], terms[A], terms[INV]
    log_s, rate, bend = terms[LOG_S], terms[RATE], terms[BEND]
    t0, t1, t2, t3, t4, t5 = _outputs(terms)
    for i in range(first, last):
        z = (y[i] - a[i]) * inv[i]
        square = z * z
        loglik = -0.5 * square - log_s[i] - _HALF_LOG_2PI
        found = _by_chart(
            w[i],
            loglik,
            z,
            square - 1.0,
            (1.0, z, 1.0 + square),
            observed,
            inv[i],
            rate[i],
            bend[i],
        )
        t0[i], t1[i], t2[i], t3[i], t4[i], t5[i] = found


@helper
def _beyond(cells, first, last, sign, observed, terms):
    limit, w, a, inv = cells[LOW], cells[WEIGHT], terms[A], terms[INV]
    rate, bend = terms[RATE], terms[BEND]
    t0, t1, t2, t3, t4, t5 = _outputs(terms)
    for i in range(first, last):
        t = sign * (limit[i] - a[i]) * inv[i]
        hazard, remainder, log_prob = tail(t)
        g = hazard * remainder
        found = _by_chart(
            w[i],
            log_prob,
            sign * hazard,
            t * hazard,
            (g, sign * t * g, t * t * g),
            observed,
            inv[i],
            rate[i],
            bend[i],
        )
        t0[i], t1[i], t2[i], t3[i], t4[i], t5[i] = found


@helper
def _between(cells, i, observed, terms):
    inv, width = terms[INV, i], cells[WIDTH, i] * terms[INV, i]
    a = (cells[LOW, i] - terms[A, i]) * inv
    loglik, s_m, s_l, g_mm, g_ml, g_ll = interval(a, a + width, width)
    found = _by_chart(
        cells[WEIGHT, i],
        loglik,
        s_m,
        s_l,
        (g_mm, g_ml, g_ll),
        observed,
        inv,
        terms[RATE, i],
        terms[BEND, i],
    )
    _put(terms, i, found)


@helper
def _truncated(cells, i, observed, terms):
    inv, a = terms[INV, i], terms[A, i]
    z = (cells[LOW, i] - a) * inv
    lower, upper = (cells[LEAST, i] - a) * inv, (cells[MOST, i] - a) * inv
    log_z, mean, k2, k3, k4 = truncated_moments(0.0, -0.5, lower, upper)
    found = _by_chart(
        cells[WEIGHT, i],
        -0.5 * z * z - log_z - terms[LOG_S, i],
        z - mean,
        (z - mean) * (z + mean) - k2,
        _covariance(mean, k2, k3, k4),
        2.0 * observed,
        inv,
        terms[RATE, i],
        terms[BEND, i],
    )
    _put(terms, i, found)


@inlined
def _covariance(mean, k2, k3, k4):
    """Covariance of (t, t**2), from the central moments of t."""
    both = k3 + 2.0 * mean * k2
    return k2, both, k4 - k2 * k2 + 4.0 * mean * (k3 + mean * k2)


@helper
def _outputs(terms):
    return terms[LOGLIK], terms[BY_A], terms[BY_C], terms[AA], terms[AC], terms[CC]


@helper
def _put(terms, i, found):
    for k in range(6):
        terms[LOGLIK + k, i] = found[k]


# ---- the concave charts ----------------------------------------------------------------------


@helper
def _olsen_exact(cells, first, last, terms):
    y, w, a, c = cells[LOW], cells[WEIGHT], terms[A], terms[C]
    t0, t1, t2, t3, t4, t5 = _outputs(terms)
    for i in range(first, last):
        z = y[i] * c[i] - a[i]
        sigma = 1.0 / c[i]
        t0[i] = w[i] * (-0.5 * z * z + log(c[i]) - _HALF_LOG_2PI)
        t1[i] = w[i] * z
        t2[i] = w[i] * (sigma - z * y[i])
        t3[i] = w[i]
        t4[i] = -w[i] * y[i]
        t5[i] = w[i] * (sigma * sigma + y[i] * y[i])


@helper
def _olsen_beyond(cells, first, last, sign, terms):
    limit, w, a, c = cells[LOW], cells[WEIGHT], terms[A], terms[C]
    t0, t1, t2, t3, t4, t5 = _outputs(terms)
    for i in range(first, last):
        hazard, remainder, log_prob = tail(sign * (limit[i] * c[i] - a[i]))
        score = sign * w[i] * hazard
        curvature = w[i] * hazard * remainder
        t0[i] = w[i] * log_prob
        t1[i] = score
        t2[i] = -score * limit[i]
        t3[i] = curvature
        t4[i] = -curvature * limit[i]
        t5[i] = curvature * limit[i] * limit[i]


@helper
def _olsen_between(cells, i, terms):
    beta, h, w = terms[A, i], terms[C, i], cells[WEIGHT, i]
    width = cells[WIDTH, i] * h
    a = cells[LOW, i] * h - beta
    loglik, s_m, s_l, g_mm, g_ml, g_ll = interval(a, a + width, width)
    terms[LOGLIK, i] = w * loglik
    terms[BY_A, i] = w * s_m
    terms[BY_C, i] = -w * (s_l + beta * s_m) / h
    terms[AA, i] = w * g_mm
    terms[AC, i] = -w * (beta * g_mm + g_ml) / h
    terms[CC, i] = w * (beta * (beta * g_mm + 2.0 * g_ml) + g_ll) / (h * h)


@helper
def _natural(cells, i, terms):
    e1, e2, y, w = terms[A, i], terms[C, i], cells[LOW, i], cells[WEIGHT, i]
    if e2 == 0.0 and not (cells[MOST, i] < math.inf and cells[LEAST, i] > -math.inf):
        # An exponential distribution must fall towards the side that has no bound.
        free = cells[MOST, i] == math.inf
        if (free and cells[LEAST, i] == -math.inf) or (e1 >= 0.0 if free else e1 <= 0.0):
            for k in range(6):
                terms[LOGLIK + k, i] = -math.inf if k == 0 else math.nan
            return
    log_z, mean, k2, k3, k4 = truncated_moments(e1, e2, cells[LEAST, i], cells[MOST, i])
    terms[LOGLIK, i] = w * (e1 * y + e2 * y * y - log_z)
    terms[BY_A, i] = w * (y - mean)
    terms[BY_C, i] = w * ((y - mean) * (y + mean) - k2)
    first, both, second = _covariance(mean, k2, k3, k4)
    terms[AA, i], terms[AC, i], terms[CC, i] = w * first, w * both, w * second
