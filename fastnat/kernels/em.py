"""Missing entries of many variables: expectation-maximisation, extrapolated.

A step of EM is the natural gradient under the information about complete data, which is the
identity in the coordinates of `missing`: there is nothing to solve, but convergence is only linear.
So every two steps are extrapolated (SQUAREM: Varadhan and Roland 2008, Scandinavian Journal of
Statistics 35, 335-353), in means and the elements of a root of the covariance, the diagonal ones by
their logarithms, so that no step leaves the covariances.
"""

import math

import numpy as np

from fastnat.kernels import codes
from fastnat.kernels._jit import helper
from fastnat.kernels.missing import evaluate, gradient, n_params, new_tools
from fastnat.kernels.mvn_start import cholesky_lower, relative_pivot

_LINEAR = 1e-8  # of the tolerance, for a decrement under EM's metric falls short of the distance
_GROWTH = 4.0  # of the longest extrapolation, when it has been as long as it may be


@helper
def _em_step(total, mu, root, grad, e, low):
    """One step of EM from (mu, root), in place; returns the decrement per unit of weight."""
    d = mu.size
    decrement, cell = 0.0, d
    for i in range(d):
        decrement += grad[i] * grad[i]
        for j in range(i + 1):
            factor = 2.0 if i == j else 1.0
            decrement += factor * grad[cell] * grad[cell]
            e[i, j] = (factor * grad[cell] - grad[i] * grad[j] / total) / total
            if i == j:
                e[i, i] += 1.0
            cell += 1
    if not cholesky_lower(e, d, 0.0, low):
        return math.nan
    for i in range(d - 1, -1, -1):
        for j in range(i + 1):
            mu[i] += root[i, j] * grad[j] / total
        for j in range(i + 1):
            value = 0.0
            for k in range(j, i + 1):
                value += root[i, k] * low[k, j]
            root[i, j] = value
    return decrement / total / total


@helper
def _pack(mu, root, theta):
    d = mu.size
    cell = d
    for i in range(d):
        theta[i] = mu[i]
        for j in range(i + 1):
            theta[cell] = root[i, j] if i > j else math.log(root[i, i])
            cell += 1


@helper
def _unpack(theta, mu, root):
    d = mu.size
    cell = d
    for i in range(d):
        mu[i] = theta[i]
        for j in range(i + 1):
            root[i, j] = theta[cell] if i > j else math.exp(theta[cell])
            cell += 1


@helper
def _extrapolate(points, longest):
    """From three points, the last two by EM, to where they go: the length, 1 for no further."""
    first, second, third = points[0], points[1], points[2]
    steps = bends = 0.0
    for k in range(first.size):
        step = second[k] - first[k]
        bend = third[k] - second[k] - step
        steps += step * step
        bends += bend * bend
    length = math.sqrt(steps / bends) if bends > 0.0 else 1.0
    length = max(1.0, min(longest, length))
    for k in range(first.size):
        step = second[k] - first[k]
        bend = third[k] - second[k] - step
        first[k] += 2.0 * length * step + length * length * bend
    return length


@helper
def climb_by_em(found, total, tol, max_iter, singular, mu, root):
    """From (mu, root) uphill, in place: (status, log-likelihood, iterations, least pivot).

    found : of `patterns.compress`, of this total weight.
    singular : a relative pivot below which a covariance counts as singular.
    An iteration is two steps of EM and their extrapolation.  OK is for the information to judge: it
    ends here too where the next covariance would be none (NaN), which may be a saddle to leave.
    """
    d = mu.size
    p = n_params(d)
    tools, grad = new_tools(d, found[0].size, False), np.empty(p)
    e, low, points, longest = np.zeros((d, d)), np.zeros((d, d)), np.empty((3, p)), 1.0
    loglik, least = evaluate(found, mu, root, tools)
    for nit in range(max_iter):
        _pack(mu, root, points[0])
        before, decrement = loglik, 0.0
        for step in range(2):
            if step == 1:
                before, least = evaluate(found, mu, root, tools)
            gradient(tools, grad)
            decrement = _em_step(total, mu, root, grad, e, low)
            _pack(mu, root, points[step + 1])
            if not decrement > _LINEAR * tol:
                loglik, least = evaluate(found, mu, root, tools)
                return codes.OK, loglik, float(nit + 1), least
        length = _extrapolate(points, longest)
        _unpack(points[0], mu, root)
        loglik, least = evaluate(found, mu, root, tools)
        if not loglik >= before:
            longest = max(1.0, longest / _GROWTH)
            _unpack(points[2], mu, root)
            loglik, least = evaluate(found, mu, root, tools)
        elif length == longest:
            longest *= _GROWTH
        if min(least, relative_pivot(root)) < singular:
            return codes.SINGULAR, loglik, float(nit + 1), least
    return codes.MAX_ITER, loglik, float(max_iter), least
