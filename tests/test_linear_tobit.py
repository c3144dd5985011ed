"""Plain Tobit models, which have kernels of their own: known values, and others beyond a limit."""

import naive_linear as nl
import numpy as np
import pytest

import fastnat
from fastnat import Status
from fastnat.kernels import codes, linear, linear_memory, linear_outcome, linear_plain, linear_tobit

INF = np.inf
EMPTY = np.empty(0)


def data(rng, n, p, share=0.3, sides="left"):
    """(y, X, limits): a normal regression of which about that share is beyond its limits."""
    X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    y = X @ rng.normal(size=p) + rng.normal(size=n)
    ends = np.quantile(y, [share / 2, 1.0 - share / 2])
    if sides == "left":
        ends = np.quantile(y, share), INF
    elif sides == "right":
        ends = -INF, np.quantile(y, 1.0 - share)
    return y, X, {"left": ends[0], "right": ends[1]}


def kernel(y, X, limits, cov=1):
    """What the kernel alone makes of one problem; its status, and whether it has taken it."""
    n, p = X.shape
    left, right = (np.full(n, limits[side]) for side in ("left", "right"))
    columns = (y, EMPTY, left, right, *[EMPTY] * 5)
    out = tuple(np.empty(s) for s in [(1, linear_outcome.R_SIZE), (1, p + 1), (1, p + 1)])
    options = (linear_memory.CENSORED, cov, 1e-12, 100, 0, 0, 0)
    ends = np.array([0, n])
    corr = np.empty((1, p + 1, p + 1))
    pending = linear_tobit.fit_rows(columns, X, ends, 0, options, 0, *out, corr)
    return pending, out


def assert_maximum(fit, problem):
    assert fit.status == Status.OK
    decrement, definite = nl.at_maximum(problem, *fit)
    assert definite
    assert decrement <= 1e-18
    np.testing.assert_allclose(fit.loglik, nl.loglik(problem, *fit), rtol=1e-11)
    covariance = nl.covariance(problem, *fit)
    np.testing.assert_allclose(fit.stderr, np.sqrt(np.diag(covariance)), rtol=1e-8)
    sizes = np.outer(fit.stderr, fit.stderr)
    np.testing.assert_allclose(fit.cov_params / sizes, covariance / sizes, atol=1e-8)


@pytest.mark.parametrize("sides", ["left", "right", "both"])
@pytest.mark.parametrize(
    ("n", "p", "share"),
    [(12, 1, 0.3), (40, 2, 0.5), (60, 5, 0.8), (50, 9, 0.1), (513, 3, 0.3), (1100, 4, 0.02)],
)
def test_maxima(sides, n, p, share, rng):
    """The kernel has them, and they are those of slow code; n crosses blocks and vectors."""
    y, X, limits = data(rng, n, p, share, sides)
    pending, (results, params, _) = kernel(y, X, limits)
    assert pending == 0
    fit = fastnat.fit_linear(y, X, **limits)
    np.testing.assert_array_equal(params[0, :p], fit.coef)
    assert results[0, linear_outcome.R_LOGLIK] == fit.loglik
    assert_maximum(fit, nl.problem(y, X, **limits))


def test_limits_of_their_own_and_half_lines(rng):
    y, X, _ = data(rng, 80, 3)
    left = np.where(rng.random(80) < 0.5, -INF, rng.normal(size=80))
    right = np.where(rng.random(80) < 0.5, INF, left.clip(-3.0) + 2.0)
    P = nl.problem(y, X, left=left, right=right)
    fit = fastnat.fit_linear(y, X, left=left, right=right)
    assert_maximum(fit, P)
    again = fastnat.fit_linear(P.lower, X, upper=P.upper)
    np.testing.assert_allclose(again.params, fit.params, rtol=1e-13)


@pytest.mark.parametrize("own", [False, True])
def test_many(own, rng):
    """Problems share a design or have their own; one that is not plain leaves the others alone."""
    n_fits, n, p = 7, 40, 3
    problems = [data(rng, n, p) for _ in range(n_fits)]
    Y = np.array([y for y, _, _ in problems])
    X = np.array([x for _, x, _ in problems]) if own else problems[0][1]
    Y[2, 5] = np.nan
    Y[4] = -9.0  # all censored
    fit = fastnat.fit_linear(Y, X, left=-0.5, nan_policy="omit")
    assert fit.status.tolist() == [0, 0, 0, 0, Status.MU_INFINITE, 0, 0]
    for k in (0, 1, 2, 3, 5, 6):
        kept = ~np.isnan(Y[k])
        P = nl.problem(Y[k][kept], (X[k] if own else X)[kept], left=-0.5)
        assert nl.at_maximum(P, fit.coef[k], np.log(fit.sigma[k, None]))[0] <= 1e-18


@pytest.mark.parametrize("offset", [0.0, 30.0, 1e7])
@pytest.mark.parametrize("unit", [1.0, 1e-130, 1e130])
def test_shift_and_scale(offset, unit, rng):
    """Of values and limits: the constant and sigma follow; offsets cost the digits they must."""
    y, X, limits = data(rng, 70, 3, sides="both")
    y, limits = np.round(y, 3), {side: np.round(limit, 3) for side, limit in limits.items()}
    base = fastnat.fit_linear(y, X, **limits)
    moved = {side: (limit + offset) * unit for side, limit in limits.items()}
    pending, _ = kernel((y + offset) * unit, X, moved)
    assert pending == 0
    fit = fastnat.fit_linear((y + offset) * unit, X, **moved)
    slack = 1e-12 + 4.0 * 2.0**-52 * offset
    np.testing.assert_allclose(fit.coef / unit, base.coef + np.array([offset, 0, 0]), atol=slack)
    np.testing.assert_allclose(fit.sigma / unit, base.sigma, rtol=slack)
    known = np.sum((y > limits["left"]) & (y < limits["right"]))
    loglik = base.loglik - known * np.log(unit)
    np.testing.assert_allclose(fit.loglik, loglik, rtol=1e-11, atol=70 * slack)


def test_weights_of_two(rng):
    """These are fitted by other code: the same estimates, twice the log-likelihood."""
    y, X, limits = data(rng, 90, 4)
    plain, double = (fastnat.fit_linear(y, X, weights=w, **limits) for w in (1.0, 2.0))
    np.testing.assert_allclose(double.params, plain.params, rtol=1e-11)
    np.testing.assert_allclose(double.loglik, 2.0 * plain.loglik, rtol=1e-13)
    np.testing.assert_allclose(double.stderr, plain.stderr / np.sqrt(2.0), rtol=1e-9)


def test_what_is_not_plain_is_left_to_others(rng):
    """Known values on a plane, too few or none; numbers that are missing; dependent columns."""
    n = 30
    y, X, limits = data(rng, n, 2, 0.4)
    beyond = y <= limits["left"]
    on_a_plane = np.where(beyond, y, X @ [5.0, 0.01])
    few = np.where(np.arange(n) < 2, y + 99.0, -99.0)
    nan = np.where(np.arange(n) == 3, np.nan, y)
    alike = np.column_stack([X, X[:, 1] + 1e-5 * y])
    for values, design in [(on_a_plane, X), (few, X), (nan, X), (y, alike), (y[:2], X[:2])]:
        assert kernel(values, design, limits)[0] == 1
    assert kernel(y, X, limits)[0] == 0
    none = fastnat.fit_linear(np.full(n, -99.0), X, **limits)
    assert none.status == Status.MU_INFINITE
    # Near the plane rows beyond their limits are unlikely, so there is a maximum.
    fit = fastnat.fit_linear(on_a_plane, X, **limits)
    assert_maximum(fit, nl.problem(on_a_plane, X, **limits))


def test_sigma_far_larger_than_at_the_start():
    """Two of many are known: the spread of values and limits is a small part of sigma."""
    y = np.concatenate([np.zeros(1261), [3.12, 3.59]])
    X, limits = np.ones((1263, 1)), {"left": 0.0, "right": INF}
    assert kernel(y, X, limits)[0] == 1
    fit = fastnat.fit_linear(y, X, **limits)
    assert_maximum(fit, nl.problem(y, X, **limits))
    assert fit.sigma > 20.0 * np.std(y)


def test_known_values_that_are_near_each_other_and_far_from_zero(rng):
    """Their squares would cancel at the maximum, whose sigma is that of limits far away."""
    y = np.concatenate([rng.normal(100.0, 1.0, 90), np.zeros(10)])
    X, limits = np.ones((100, 1)), {"left": 0.0, "right": INF}
    assert kernel(y, X, limits)[0] == 1
    assert_maximum(fastnat.fit_linear(y, X, **limits), nl.problem(y, X, **limits))


def test_out_of_steps(rng):
    y, X, limits = data(rng, 40, 2)
    assert fastnat.fit_linear(y, X, **limits, max_iter=1).status == Status.MAX_ITER
    whole = fastnat.fit_linear(y, X, **limits)
    assert fastnat.fit_linear(y, X, **limits, max_iter=int(whole.nit)).status == Status.OK


def test_no_covariance_and_none_censored(rng):
    y, X, limits = data(rng, 40, 2)
    fit = fastnat.fit_linear(y, X, **limits, cov_type=None)
    assert fit.params.tolist() == fastnat.fit_linear(y, X, **limits).params.tolist()
    assert fit.cov_type is None
    assert kernel(y, X, {"left": -99.0, "right": INF})[0] == 0
    known, closed = fastnat.fit_linear(y, X, left=-99.0), fastnat.fit_linear(y, X)
    np.testing.assert_allclose(known.params, closed.params, rtol=1e-12)
    np.testing.assert_allclose(known.stderr, closed.stderr, rtol=1e-12)
    np.testing.assert_allclose(known.loglik, closed.loglik, rtol=1e-14)


def test_more_rows_than_are_gathered(rng):
    n = linear_tobit.MOST_ROWS
    y, X, limits = data(rng, n + 1, 2)
    assert kernel(y, X, limits)[0] == 1
    assert kernel(y[:n], X[:n], limits)[0] == 0


def test_only_pending_problems_are_fitted_again(rng):
    """What the plain kernels have found stays as it is."""
    y, X, _ = data(rng, 20, 2)
    Y = np.stack([y, y])
    out = [np.empty(s) for s in [(2, linear_outcome.R_SIZE), (2, 3), (2, 3), (2, 3, 3)]]
    options = (linear_memory.COMPLETE, 1, 1e-12, 100, 0, 0, 0)
    weights = np.concatenate([np.ones(20), np.full(20, 3.0)])
    weights[33] = 0.0  # which is not plain
    ends = np.array([0, 20, 40])
    head = Y.ravel(), weights, X, ends, 0
    assert linear_plain.fit_rows(*head, False, 1, 0, *out) == 1
    assert out[0][:, linear_outcome.R_STATUS].tolist() == [codes.OK, linear_memory.PENDING]
    out[1][0] = 7.0
    columns = (Y.ravel(), *[EMPTY] * 6, weights, EMPTY)
    none, starts = np.empty((0, 0)), np.zeros((1, 3))
    how = False, False, options, False, 0, starts, True, 0
    assert linear.fit_rows(columns, X, none, ends, 0, 0, *how, *out) == 0
    assert out[0][:, linear_outcome.R_STATUS].tolist() == [codes.OK, codes.OK]
    assert out[1][0].tolist() == [7.0] * 3
    fit = fastnat.fit_linear(y, X, weights=weights[20:] / 3.0)
    np.testing.assert_allclose(out[1][1], fit.params, rtol=1e-13)
