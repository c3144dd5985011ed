"""What each row of a regression adds to log-likelihood, gradient and curvature, kind by kind.

A row has two predictors, for its location and for its scale.  What they are depends on the chart:

    SCALE     mu and log sigma
    VARIANCE  mu and sigma**2
    OLSEN     mu / sigma and 1 / sigma (Olsen 1978, Econometrica 46, 1211-1215)
    NATURAL   mu / sigma**2 and -1 / (2 sigma**2), the natural parameters of the normal family

The log-likelihood of censored rows is concave in Olsen's chart and that of truncated ones in the
natural chart, where the curvature is the observed information; in Olsen's, exact rows are not here,
for sums of their squares say all (`linear_climb`).  In the other two it is that, or a positive
semi-definite part of it (``observed`` 1 or 0).  There, known noise may be part of the standard
deviation s of an observation: s**2 = sigma**2 + noise**2.
"""

import math

import numpy as np

from fastnat.kernels._jit import helper, inlined
from fastnat.kernels._scalar import select
from fastnat.kernels.fisher import STRIDE
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

# Where rows begin in cells and terms as flat arrays.  Loops over rows of two-dimensional arrays are
# not vectorised: LLVM does not know that so many rows do not overlap.
_LOW, _WEIGHT, _NOISE = (np.uint64(row * STRIDE) for row in (LOW, WEIGHT, NOISE))
_A, _C, _LOGLIK, _BY_A, _BY_C, _AA, _AC, _CC, _INV, _LOG_S, _RATE, _BEND = (
    np.uint64(row * STRIDE) for row in range(N_TERMS)
)

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
AT_ENDS = 10.0  # times (1 / width + |t| + 1): more than the densities at an interval's ends and |t|
_LARGEST_LOG = 300.0


@helper
def find_terms(chart, noisy, observed, cells, ends, terms):
    """Fill all rows of ``terms`` (N_TERMS, STRIDE) but the predictors, which are there.

    noisy : whether any row has noise.
    observed : 1.0 or 0.0, which curvature in the charts SCALE and VARIANCE.
    cells, ends : of a block of `linear_rows`.
    """
    known, found = cells.reshape(cells.size), terms.reshape(terms.size)
    if chart == OLSEN:
        _olsen_beyond(known, ends[LEFT], ends[LEFT + 1], -1.0, found)
        _olsen_beyond(known, ends[RIGHT], ends[RIGHT + 1], 1.0, found)
        for i in range(ends[BETWEEN], ends[BETWEEN + 1]):
            _olsen_between(cells, i, terms)
    elif chart == NATURAL:
        for i in range(ends[TRUNCATED], ends[TRUNCATED + 1]):
            _natural(cells, i, terms)
    else:
        n = ends[-1]
        if chart == VARIANCE:
            _spread_of_variance(known, n, found)
        elif noisy:
            _spread_with_noise(known, n, found)
        else:
            _spread(n, found)
        _exact(known, ends[EXACT], ends[EXACT + 1], observed, found)
        _beyond(known, ends[LEFT], ends[LEFT + 1], -1.0, observed, found)
        _beyond(known, ends[RIGHT], ends[RIGHT + 1], 1.0, observed, found)
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


@helper
def find_bounds(cells, ends, terms):
    """In the place of terms: c**2 times an outer product, as `linear_proof` has it; chart OLSEN.

    Of the derivatives of t, at the limit or in the middle, and of the width of intervals.  The
    hazard is below |t| + 1, the slope of an interval below its largest |t|.
    """
    for i in range(ends[EXACT]):
        low, h, most = cells[LOW, i], terms[C, i], max(cells[WEIGHT, i], 1.0)
        width = cells[WIDTH, i] if ends[BETWEEN] <= i < ends[BETWEEN + 1] else 0.0
        t = low * h - terms[A, i]
        size = max(abs(t), abs(t + width * h)) + 1.0
        by_width = AT_ENDS * (1.0 / h + width * size) if width > 0.0 else 0.0
        at, square = low + 0.5 * width, most * 4.0 * size * size
        terms[LOGLIK, i] = terms[BY_A, i] = terms[BY_C, i] = 0.0
        terms[AA, i], terms[AC, i] = square, -square * at
        terms[CC, i] = square * at * at + most * by_width * by_width


# ---- standard deviations ---------------------------------------------------------------------


@inlined
def bounded(log_sigma):
    """The logarithm of a scale of which the square is a number."""
    value = select(log_sigma < -_LARGEST_LOG, -_LARGEST_LOG, log_sigma)
    return select(log_sigma > _LARGEST_LOG, _LARGEST_LOG, value)


@helper
def _spread(n, terms):
    for i in range(np.uint64(n)):
        value = bounded(terms[i + _C])
        terms[i + _INV] = exp(-value, 0.0)
        terms[i + _LOG_S] = value
        terms[i + _RATE] = 1.0
        terms[i + _BEND] = 0.0


@helper
def _spread_with_noise(cells, n, terms):
    for i in range(np.uint64(n)):
        value, noise = bounded(terms[i + _C]), cells[i + _NOISE]
        variance = exp(2.0 * value, 0.0)
        total = variance + noise * noise
        share = variance / total
        terms[i + _INV] = 1.0 / np.sqrt(total)
        terms[i + _LOG_S] = 0.5 * log(total)
        terms[i + _RATE] = share
        terms[i + _BEND] = 2.0 * share * (noise * noise / total)


@helper
def _spread_of_variance(cells, n, terms):
    for i in range(np.uint64(n)):
        noise = cells[i + _NOISE]
        total = terms[i + _C] + noise * noise
        precision = 1.0 / total
        terms[i + _INV] = np.sqrt(precision)
        terms[i + _LOG_S] = 0.5 * log(total)
        terms[i + _RATE] = 0.5 * precision
        terms[i + _BEND] = -0.5 * precision * precision


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
    for i in range(np.uint64(first), np.uint64(last)):
        inv = terms[i + _INV]
        z = (cells[i + _LOW] - terms[i + _A]) * inv
        square = z * z
        found = _by_chart(
            cells[i + _WEIGHT],
            -0.5 * square - terms[i + _LOG_S] - _HALF_LOG_2PI,
            z,
            square - 1.0,
            (1.0, z, 1.0 + square),
            observed,
            inv,
            terms[i + _RATE],
            terms[i + _BEND],
        )
        _put_row(terms, i, found)


@helper
def _beyond(cells, first, last, sign, observed, terms):
    for i in range(np.uint64(first), np.uint64(last)):
        inv = terms[i + _INV]
        t = sign * (cells[i + _LOW] - terms[i + _A]) * inv
        hazard, remainder, log_prob = tail(t)
        g = hazard * remainder
        found = _by_chart(
            cells[i + _WEIGHT],
            log_prob,
            sign * hazard,
            t * hazard,
            (g, sign * t * g, t * t * g),
            observed,
            inv,
            terms[i + _RATE],
            terms[i + _BEND],
        )
        _put_row(terms, i, found)


@inlined
def _put_row(terms, i, found):
    loglik, by_a, by_c, aa, ac, cc = found
    terms[i + _LOGLIK] = loglik
    terms[i + _BY_A] = by_a
    terms[i + _BY_C] = by_c
    terms[i + _AA] = aa
    terms[i + _AC] = ac
    terms[i + _CC] = cc


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
def _put(terms, i, found):
    for k in range(6):
        terms[LOGLIK + k, i] = found[k]


# ---- the concave charts ----------------------------------------------------------------------


@helper
def _olsen_beyond(cells, first, last, sign, terms):
    for i in range(np.uint64(first), np.uint64(last)):
        limit, w = cells[i + _LOW], cells[i + _WEIGHT]
        hazard, remainder, log_prob = tail(sign * (limit * terms[i + _C] - terms[i + _A]))
        score = sign * w * hazard
        curvature = w * hazard * remainder
        by_limit = curvature * limit
        _put_row(
            terms,
            i,
            (w * log_prob, score, -score * limit, curvature, -by_limit, by_limit * limit),
        )


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
