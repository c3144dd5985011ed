"""A likelihood given as functions of one observation: evaluation and fits of many problems.

``loglik(*observation, *theta)`` is a number, ``score(*observation, *theta)`` a tuple of p, and
``fisher(*theta)``, if there is one, a nested tuple.  They are compiled into loops over blocks of
512 observations whose scores lie in a structure of arrays, which LLVM vectorises if they are free
of branches and of calls.  All the rest finds these loops by their addresses, so that it is compiled
once a process, and not for each model.
"""

import math
from functools import lru_cache

import numpy as np

from fastnat.kernels import codes, outcome, search
from fastnat.kernels._jit import (
    address_of,
    at_address,
    call_at,
    helper,
    kernel,
    linked,
    uncached,
)
from fastnat.kernels._scalar import weight_at
from fastnat.kernels.aligned import aligned
from fastnat.kernels.fisher import BLOCK, STRIDE, accumulate
from fastnat.kernels.memory import memory_size
from fastnat.kernels.tuples import at, leading, scatter

_accumulate, _begin, _proceed = linked(accumulate), linked(search.begin), linked(search.proceed)
_finish, _give_up = linked(outcome.finish), linked(outcome.give_up)


@kernel
def survey(arrays, weights, omit, offsets, totals, statuses):
    """The total weight of each problem, and whether it can be fitted; returns bad weights.

    arrays : tuple of flat arrays, the data; problem r is ``offsets[r]`` to ``offsets[r + 1]``.
    weights : flat, or (0,) if there are none.
    omit : whether observations with a NaN are left out; else they are NAN_INPUT.
    totals, statuses : a cell each problem, out.
    """
    bad = 0
    for r in range(totals.shape[0]):
        total, missing = 0.0, False
        for i in range(offsets[r], offsets[r + 1]):
            weight = weight_at(weights, i)
            if not 0.0 <= weight < math.inf:
                bad += 1
            if weight != 0.0:
                if _is_known(at(arrays, i)):
                    total += weight
                elif not omit:
                    missing = True
        totals[r] = total
        bad += not total < math.inf
        statuses[r] = codes.OK if total > 0.0 else codes.NO_DATA
        if missing:
            statuses[r] = codes.NAN_INPUT
    return bad


@helper
def _is_known(observation):
    known = True
    for value in observation:
        known = known and value == value
    return known


@helper
def _weigh(arrays, weights, omit, first, n, used):
    """The weights of ``n`` observations from ``first``, 0 for those left out; returns the sum."""
    total = 0.0
    for i in range(n):
        weight = weight_at(weights, first + i)
        if omit and not _is_known(at(arrays, first + i)):
            weight = 0.0
        used[i] = weight
        total += weight
    return total


def compile_fill(loglik, score, n_params):
    """Compile functions of one observation to loops over a block of them.

    The result is ``fill(arrays, first, n, theta, scores, with_loglik)``, for n <= BLOCK
    observations from ``first`` on:

    arrays : as for `survey`.
    theta : (p,).
    scores : (p + 1, STRIDE), out: the scores, and in row p log-likelihoods, if these are wanted.
    """
    like = (0.0,) * n_params

    @at_address
    def fill(arrays, first, n, theta, scores, with_loglik):
        point = leading(theta, like)
        for i in range(n):
            scatter(score(*(at(arrays, first + i) + point)), scores, i, STRIDE)
        if with_loglik:
            for i in range(n):
                term = loglik(*(at(arrays, first + i) + point))
                scatter((term,), scores, n_params * STRIDE + i, STRIDE)

    return fill


def compile_inform(fisher, n_params):
    """Compile the information of one observation: ``inform(theta, told)``, as `evaluate` has it."""
    like = (0.0,) * n_params

    @at_address
    def inform(theta, told):
        scatter(fisher(*leading(theta, like)), told, n_params + 1, 1)

    return inform


@lru_cache(maxsize=256)
def places_of(fill, inform, n_params, n_data):
    """Where the machine code of these is, for so many arrays of data.

    inform : None if there is no expected information, which nobody asks for then.
    """
    arrays, theta = (np.empty(0),) * n_data, np.empty(n_params)
    scores, _, told, _ = make_scratch(n_params)
    place = address_of(fill, arrays, 0, 0, theta, scores, True)
    return place, place if inform is None else address_of(inform, theta, told)


@uncached
def evaluate(places, arrays, weights, omit, first, stop, want, theta, scores, used, told):
    """Values of observations ``first`` to ``stop - 1``.

    places : of `places_of`.
    arrays, weights, omit : as for `survey`.
    want : what of `search` is wanted.
    theta : (p,).
    scores, used : (p + 1, STRIDE) and (BLOCK,), scratch.
    told : (p + 1 + p * p,), out: gradient, log-likelihood, and the OPG or the expected information.
    """
    p = theta.shape[0]
    fill, inform = places
    told[:] = 0.0
    curvature = told[p + 1 :].reshape(p, p)
    products = curvature if want == search.OUTER else curvature[:0, :0]
    with_loglik = want != search.SCORE
    rows = scores if with_loglik else scores[:p]
    total = 0.0
    for i in range(first, stop, BLOCK):
        n = min(BLOCK, stop - i)
        call_at(fill, (arrays, i, n, theta, scores, with_loglik))
        if weights.size == 0 and not omit:
            _accumulate((rows, None, n, told, products))
            total += n
        else:
            total += _weigh(arrays, weights, omit, i, n, used)
            _accumulate((rows, used, n, told, products))
    if want == search.EXPECTED:
        call_at(inform, (theta, told))
        for k in range(p + 1, told.shape[0]):
            told[k] *= total


@uncached
def fit_many(
    places,
    arrays,
    weights,
    omit,
    offsets,
    totals,
    statuses,
    options,
    fixed,
    thetas,
    results,
    corrs,
    paths,
    scratch,
):
    """Fit one problem after the other.

    places : of `places_of`.
    arrays, weights, omit, offsets, totals, statuses : as for `survey`; statuses are updated.
    options : metric (a number of `search`), covariance (of `outcome`), max_iter, tol.
    fixed : (p, p) or (0, 0), a given metric.
    thetas : (n, p), in: starts; out: estimates.
    results : (n, 2 + p), out: loglik, nit, standard errors.
    corrs : (n, p, p), out: correlations of the estimates.
    paths : (n, max_iter + 1, p) or (n, 0, p), out: the way.
    scratch : of `make_scratch`.
    """
    metric, cov, max_iter, tol = options
    scores, used, told, memory = scratch
    for r in range(thetas.shape[0]):
        theta, result, corr, path = thetas[r], results[r], corrs[r], paths[r]
        if statuses[r] != codes.OK:
            _give_up((statuses[r], theta, result, corr))
            continue
        first, stop = offsets[r], offsets[r + 1]
        want = _begin((memory, theta, totals[r], metric, cov, tol, max_iter))
        while want != search.DONE:
            evaluate(places, arrays, weights, omit, first, stop, want, theta, scores, used, told)
            want = _proceed((memory, told, fixed, theta, path))
        statuses[r] = _finish((memory, theta, result, corr))


def make_scratch(n_params):
    """Memory for one thread: scores, used, told (of `evaluate`) and that of `search`."""
    n_told = n_params + 1 + n_params * n_params
    memory = np.empty(memory_size(n_params))
    scores = aligned(n_params + 1, STRIDE)
    scores[:] = 0.0
    return scores, np.empty(BLOCK), np.empty(n_told), memory
