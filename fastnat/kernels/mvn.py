"""The multivariate normal with complete data: statistics -> maximum, in closed form."""

import math

import numpy as np

from fastnat.kernels import codes
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels.linalg import least_alone, reflect

NOBS, STATUS, LOGLIK, NIT, RANK, MISSING, SIZE = range(7)
"""Numbers of a fit, and how many they are.  RANK is that of the covariance; MISSING is 1 if
entries were."""

DOUBTFUL = -1.0
"""Left in RANK where the scatter does not tell it: `triangle` looks at the data themselves."""

_CLEAR = 1e-5  # a pivot above this part of its diagonal entry has eleven digits
_EPS = 2.0**-52
_LOG_2PI = math.log(2.0 * math.pi)
_ROUNDINGS = 16.0  # of the data that a direction without spread may have


@helper
def give_up(status, loglik, mean, scatter, numbers):
    """A problem without estimates."""
    for i in range(mean.size):
        mean[i] = math.nan
        for j in range(mean.size):
            scatter[i, j] = math.nan
    numbers[STATUS], numbers[LOGLIK], numbers[NIT], numbers[RANK] = status, loglik, 0.0, math.nan


@helper
def closed_loglik(weight, log_det, d):
    """The log-likelihood at the maximum."""
    return -0.5 * weight * (d * (_LOG_2PI + 1.0) + log_det)


@kernel
def finish(stats, mean, scatter, scale, work, numbers):
    """Maximise the likelihood of every row of ``stats`` (`tables`); returns bad weights.

    mean : (n, d), out.
    scatter : (n, d, d), out: the covariance, in units of ``scale``.
    scale : (n, d), out: a power of two for each variable.
    work : (d + 1, d), scratch.
    numbers : (n, SIZE), out; RANK may be DOUBTFUL.
    """
    bad_weights = 0
    d = mean.shape[1]
    for b in range(stats.shape[0]):
        row, means, cov = stats[b], mean[b], scatter[b]
        weight = row[3 * d]
        numbers[b, NOBS], numbers[b, NIT], numbers[b, MISSING] = weight, 0.0, 0.0
        for j in range(d):
            scale[b, j] = row[2 * d + j]
        if not weight < math.inf:
            bad_weights += 1
        elif weight == 0.0:
            give_up(codes.NO_DATA, 0.0, means, cov, numbers[b])
        elif row[d] != row[d]:
            give_up(codes.NAN_INPUT, math.nan, means, cov, numbers[b])
        elif row[d] == math.inf:
            give_up(codes.INVALID_INPUT, math.nan, means, cov, numbers[b])
        else:
            cell = 3 * d + 1
            for i in range(d):
                # The sum may be a number where scale * mean is not.
                means[i] = row[2 * d + i] * (row[i] / row[2 * d + i] + row[d + i])
                for j in range(i + 1):
                    cov[i, j] = cov[j, i] = row[cell] / weight
                    cell += 1
            _judge(weight, cov, row[2 * d :], work, numbers[b])
    return bad_weights


@helper
def _judge(weight, cov, scale, work, numbers):
    """Status, log-likelihood and rank, as far as elimination of the covariance tells them."""
    d = cov.shape[0]
    log_det, product, alone = 0.0, 1.0, 1.0
    numbers[STATUS], numbers[LOGLIK], numbers[RANK] = codes.OK, math.nan, DOUBTFUL
    for i in range(d):
        for j in range(i + 1):
            work[i, j] = cov[i, j]
    for j in range(d):
        pivot = work[j, j]
        if not pivot > _CLEAR * cov[j, j]:
            return
        alone *= pivot / cov[j, j]
        for i in range(j + 1, d):
            factor = work[i, j] / pivot
            for k in range(j + 1, i + 1):
                work[i, k] -= factor * work[k, j]
        if scale[j] != 1.0:
            log_det += 2.0 * math.log(scale[j])
        if 1e-75 < pivot < 1e75 and 1e-150 < product < 1e150:
            product *= pivot
        else:
            log_det += math.log(pivot)
    # Of no column less is left than the product of all pivots, which is quick to tell.
    if not (alone > _CLEAR or _least_alone(work) > _CLEAR):
        return
    log_det += math.log(product)
    numbers[LOGLIK], numbers[RANK] = closed_loglik(weight, log_det, d), d


@helper
def _least_alone(work):
    """`linalg.least_alone` after elimination, of which columns below the diagonal are left."""
    d = work.shape[1]
    for j in range(d):
        root = math.sqrt(work[j, j])
        for i in range(j + 1, d):
            work[j, i] = work[i, j] / root
        work[j, j] = root
    return least_alone(work, d, work[d])


@kernel
def triangle(x, w, start, n, stats, cov, r):
    """Update the triangle R of a QR decomposition with n rows, centred and of unit variance.

    stats, cov : the statistics of the table, and its covariance in their units.
    r : (d, d), in and out: R'R is the correlation times the weight so far.

    Householder's reflections, a block of d rows at a time on top of what is known.  (Golub and
    Van Loan, Matrix Computations, section 5.2.)
    """
    d = r.shape[0]
    block = np.zeros((2 * d, d))
    for first in range(start, start + n, d):
        size = min(d, start + n - first)
        for i in range(d):
            for j in range(d):
                block[i, j] = r[i, j] if j >= i else 0.0
        for i in range(first, first + size):
            weight = 1.0 if w is None else w[i]
            _standardise(x[i * d : (i + 1) * d], weight, stats, cov, block[d + i - first])
        for k in range(d):
            reflect(block, k, d + size)
        for i in range(d):
            for j in range(d):
                r[i, j] = block[i, j] if j >= i else 0.0


@helper
def _standardise(x, weight, stats, cov, row):
    """A row centred, in units of standard deviations, times the root of its weight."""
    d = x.size
    for j in range(d):
        row[j] = 0.0
        if weight > 0.0 and cov[j, j] > 0.0:
            value = x[j] / stats[2 * d + j] - stats[j] / stats[2 * d + j] - stats[d + j]
            row[j] = math.sqrt(weight) * value / math.sqrt(cov[j, j])


@kernel
def decide(stats, mean, cov, r, numbers):
    """What `triangle` has found of a DOUBTFUL problem: its rank, status and log-likelihood.

    A direction in which the data vary no more than they are rounded has no spread.  Rounding is
    judged by the size of the values before they were centred.
    """
    d = mean.size
    weight, log_det = numbers[NOBS], 0.0
    rounding, order = np.empty(d), np.arange(d)
    for j in range(d):
        sd = math.sqrt(cov[j, j])
        size = abs(mean[j] / stats[2 * d + j])
        rounding[j] = _EPS * (1.0 + size / sd) if sd > 0.0 else math.inf
        log_det += 2.0 * math.log(sd * stats[2 * d + j]) if sd > 0.0 else 0.0
    rank = 0
    while rank < d and _next_pivot(r, rank, order, rounding, math.sqrt(weight)):
        log_det += 2.0 * math.log(abs(r[rank, rank]) / math.sqrt(weight))
        rank += 1
    numbers[RANK] = rank
    numbers[STATUS] = codes.OK if rank == d else codes.SINGULAR
    numbers[LOGLIK] = closed_loglik(weight, log_det, d) if rank == d else math.inf


@helper
def _next_pivot(r, k, order, rounding, root):
    """Bring the column with most left to place k; whether that is more than rounding."""
    d = r.shape[0]
    best, most = k, -1.0
    for j in range(k, d):
        left = 0.0
        for i in range(k, d):
            left += r[i, j] * r[i, j]
        if left > most:
            best, most = j, left
    for i in range(d):
        r[i, k], r[i, best] = r[i, best], r[i, k]
    order[k], order[best] = order[best], order[k]
    # The combination of the columns before it that is closest to this one, and its rounding.
    noise = rounding[order[k]]
    if not noise < math.inf:
        return False
    coefs = np.empty(k)
    for i in range(k - 1, -1, -1):
        value = r[i, k]
        for j in range(i + 1, k):
            value -= r[i, j] * coefs[j]
        coefs[i] = value / r[i, i]
        noise += abs(coefs[i]) * rounding[order[i]]
    reflect(r, k, d)
    return abs(r[k, k]) > _ROUNDINGS * noise * root
