"""The multivariate normal with missing entries: natural-gradient steps to a maximum.

Steps are taken in the chart of `missing`, around the last accepted point, under the observed
information there where it is positive definite, else under the expected one.
"""

import math

import numpy as np

from fastnat.kernels import ascent, codes
from fastnat.kernels._jit import helper
from fastnat.kernels.curvature import copy, copy_matrix
from fastnat.kernels.linalg import cholesky
from fastnat.kernels.missing import TRIAL, evaluate, gradient, information, n_params
from fastnat.kernels.mvn_start import relative_pivot

_FLOOR = 1e-24  # decrements below it are rounding
SINGULAR = 1e-6  # standard deviations of what others do not explain, relative: none is left
_SHARE = 0.25  # of the expected information, more each time, in a metric that needs it


@helper
def place(mu, root, theta, low, new_mu, new_root):
    """The point ``theta`` away from (mu, root); False if its covariance is not one.

    low : (d, d), scratch: the inverse of I - A.
    """
    d = mu.size
    for i in range(d):
        a = 1.0 - 0.5 * theta[d + i * (i + 3) // 2]
        if not a > 0.0:
            return False
        for j in range(i):
            total = 0.0
            for k in range(j, i):
                total += theta[d + i * (i + 1) // 2 + k] * low[k, j]
            low[i, j] = total / a
        low[i, i] = 1.0 / a
    for i in range(d):
        for j in range(i + 1):
            total = 0.0
            for k in range(j, i + 1):
                total += root[i, k] * low[k, j]
            new_root[i, j] = total
    for i in range(d):
        new_mu[i] = mu[i]
        for j in range(i + 1):
            new_mu[i] += new_root[i, j] * theta[j]
    return True


@helper
def to_chart(grad, info, d):
    """Information of the chart from that of (u, E): what second derivatives of E add."""
    for i in range(d):
        for j in range(i + 1):
            first = d + i * (i + 1) // 2 + j
            x = 1.0 if i > j else 0.5
            # with u_j: g_u' A t
            info[first, j] -= x * grad[i]
            info[j, first] -= x * grad[i]
            for k in range(d):
                # A A': a_ij with a_kj
                if k >= j:
                    y = 1.0 if k > j else 0.5
                    second = d + k * (k + 1) // 2 + j
                    info[first, second] -= 2.0 * x * y * _element(grad, d, i, k)
                # A A: a_ij with a_jk
                if k <= j:
                    y = 1.0 if j > k else 0.5
                    second = d + j * (j + 1) // 2 + k
                    value = 2.0 * x * y * _element(grad, d, k, i)
                    info[first, second] -= value
                    info[second, first] -= value


@helper
def _element(grad, d, i, j):
    """Of G, the derivative by E."""
    if i == j:
        return grad[d + i * (i + 3) // 2]
    low, high = min(i, j), max(i, j)
    return 0.5 * grad[d + high * (high + 1) // 2 + low]


@helper
def climb(found, total, tol, max_iter, mu, root, tools, info):
    """From (mu, root) uphill: (status, log-likelihood, accepted steps, least pivot).

    mu, root : in and out, the last accepted point.
    info : (p, p), out: the observed information there.
    """
    d = mu.size
    state, theta, grad, metric = ascent.new_tools(n_params(d))
    new_mu, new_root, low = mu.copy(), root.copy(), np.zeros((d, d))
    expected = np.empty_like(metric)
    for k in range(theta.size):
        theta[k] = 0.0
    ascent.start(state, theta, total, tol, _FLOOR, max_iter)
    code, least = ascent.RUNNING, 0.0
    while code == ascent.RUNNING:
        pivot, loglik = 0.0, -math.inf
        for k in range(grad.size):
            grad[k] = 0.0
        if place(mu, root, theta, low, new_mu, new_root):
            value, pivot = evaluate(found, new_mu, new_root, tools)
            if math.isfinite(value):
                loglik = value
                gradient(tools, grad)
        accepted = ascent.accepts(state, loglik, grad)
        if accepted:
            copy(new_mu, mu)
            copy_matrix(new_root, root)
            information(False, tools, info)
            least = min(pivot, relative_pivot(root))
            if least < SINGULAR:
                return codes.SINGULAR, loglik, state[ascent.NIT] + 1.0, pivot
            _choose_metric(grad, tools, info, expected, metric)
            least = pivot
        code = ascent.advance(state, loglik, grad, metric, theta)
        if accepted:  # the coordinates are those around the new point
            for k in range(theta.size):
                theta[k] -= state[ascent.BASE + k]
                state[ascent.BASE + k] = 0.0
    return code, state[ascent.LOGLIK], state[ascent.NIT], least


@helper
def _choose_metric(grad, tools, info, expected, metric):
    """The observed information in the chart, with as little of the expected one as it needs."""
    d = tools[0].shape[0]
    share = 0.0
    while True:
        copy_matrix(info, metric)
        to_chart(grad, metric, d)
        if share > 0.0:
            for i in range(grad.size):
                for j in range(grad.size):
                    metric[i, j] += share * (expected[i, j] - metric[i, j])
            if share >= 1.0:
                return
            copy_matrix(metric, tools[TRIAL])
        else:
            copy_matrix(metric, tools[TRIAL])
        if cholesky(tools[TRIAL]):
            return
        if share == 0.0:
            information(True, tools, expected)
        share += _SHARE
