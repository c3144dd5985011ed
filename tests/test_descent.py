"""Steepest descent under any metric, on functions whose minimum is known."""

import math

import numpy as np
import pytest
from conftest import refused, scaled
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

import fastnat
from fastnat import steepest_descent

A = np.array([[1.0, -0.5], [-0.5, 1.0]])
START = [8.0, 3.0]


def fun(x):
    """The article's x1**2 + x2**2 - x1 x2, whose Hessian is 2 A."""
    return x[0] ** 2 + x[1] ** 2 - x[0] * x[1]


def grad(x):
    return np.array([2.0 * x[0] - x[1], 2.0 * x[1] - x[0]])


class Counted:
    """A function, and how often it was called."""

    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, x):
        self.calls += 1
        return self.function(x)


# ---- the article's example -------------------------------------------------------------------


def test_under_the_hessian_one_step_arrives():
    result = steepest_descent(fun, grad, START, metric=2.0 * A, trace=True)
    assert result.success
    assert result.status == 0
    assert (result.nit, result.nfev, result.njev) == (1, 2, 2)
    # A step of 8.5 in length, correct to a few ulp.
    np.testing.assert_allclose(result.x, 0.0, atol=1e-14)
    np.testing.assert_array_equal(result.path[0], START)
    np.testing.assert_array_equal(result.path[1], result.x)


def test_under_half_of_it_the_iterate_oscillates():
    result = steepest_descent(fun, grad, START, metric=A, max_iter=101, trace=True)
    assert not result.success
    assert result.status == 1
    assert result.nit == 101
    signs = (-1.0) ** np.arange(102)
    # x -> -x; every step adds a rounding of a few ulp.
    np.testing.assert_allclose(result.path, signs[:, None] * START, rtol=1e-12)


def test_half_a_step_is_the_remedy():
    result = steepest_descent(fun, grad, START, metric=A, step_size=0.5)
    assert result.success
    assert result.nit == 1
    np.testing.assert_allclose(result.x, 0.0, atol=1e-14)
    searched = steepest_descent(fun, grad, START, metric=A, line_search=True)
    assert searched.success
    assert (searched.nit, searched.nfev, searched.njev) == (1, 3, 2)
    np.testing.assert_allclose(searched.x, 0.0, atol=1e-14)


def test_the_euclidean_metric_converges_at_the_rate_one_half():
    """I - step_size 2 A has the eigenvalues 1/2 and -1/2."""
    result = steepest_descent(fun, grad, START, step_size=0.5, trace=True)
    assert result.success
    # The norm of A in itself: f falls by a quarter each step, exactly, in powers of two.
    values = [fun(x) for x in result.path]
    np.testing.assert_array_equal(np.array(values[1:]) / values[:-1], 0.25)
    assert result.decrement < 1e-12 <= np.sum(grad(result.path[-2]) ** 2)
    whole = steepest_descent(fun, grad, START, max_iter=200)
    assert not whole.success
    assert whole.fun > fun(np.array(START)), "with a whole step it diverges"


# ---- metrics ---------------------------------------------------------------------------------


def test_a_vector_is_a_diagonal_matrix():
    results = [
        steepest_descent(fun, grad, START, metric=metric, max_iter=30, trace=True)
        for metric in [[2.0, 4.0], np.diag([2.0, 4.0]), lambda x: [2.0, 4.0]]  # noqa: ARG005
    ]
    for result in results[1:]:
        np.testing.assert_array_equal(result.path, results[0].path)
        assert result.decrement == results[0].decrement
    ones = steepest_descent(fun, grad, START, metric=[1.0, 1.0], step_size=0.5, trace=True)
    euclidean = steepest_descent(fun, grad, START, step_size=0.5, trace=True)
    np.testing.assert_array_equal(ones.path, euclidean.path)


def test_a_function_as_metric_is_newton():
    result = steepest_descent(
        optimize.rosen,
        optimize.rosen_der,
        [-1.2, 1.0],
        metric=optimize.rosen_hess,
        line_search=True,
    )
    assert result.success
    assert result.nit < 50
    np.testing.assert_allclose(result.x, 1.0, atol=1e-6)  # the square root of tol


def test_a_metric_that_is_not_definite_is_damped():
    for metric in [lambda x: [[1.0, 2.0], [2.0, 1.0]], lambda x: -A]:  # noqa: ARG005
        result = steepest_descent(fun, grad, START, metric=metric, line_search=True, max_iter=20000)
        assert result.success
        np.testing.assert_allclose(result.x, 0.0, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_matching_metric_makes_coordinates_irrelevant(seed):
    """x = B y + c with the metric B' G B: the paths are images of each other."""
    rng = np.random.default_rng(seed)
    b, c = np.eye(2) + 0.4 * rng.normal(size=(2, 2)), rng.normal(size=2)

    def other_metric(y):
        return b.T @ metric(b @ y + c) @ b

    def metric(x):
        return np.array([[1.0 + x[0] ** 2, 0.3], [0.3, 2.0]]) * 400.0

    def symmetric(y):
        g = other_metric(y)
        return 0.5 * (g + g.T)

    x0 = np.array([-1.2, 1.0])
    first = steepest_descent(
        optimize.rosen, optimize.rosen_der, x0, metric=metric, max_iter=40, trace=True
    )
    second = steepest_descent(
        lambda y: optimize.rosen(b @ y + c),
        lambda y: b.T @ optimize.rosen_der(b @ y + c),
        np.linalg.solve(b, x0 - c),
        metric=symmetric,
        max_iter=40,
        trace=True,
    )
    # 40 steps of rounding, through a B whose condition is below 100.
    np.testing.assert_allclose(second.path @ b.T + c, first.path, rtol=0, atol=1e-10)
    assert second.decrement == pytest.approx(first.decrement, rel=1e-8)


@pytest.mark.parametrize("scale", [1e-200, 1e-20, 1e20, 1e200])
def test_units_of_a_metric_do_not_matter(scale):
    """A metric positive definite in one unit is so in any other: x in nanometres, say."""
    metric = np.array([[2.0 * scale, -1.0], [-1.0, 2.0 / scale]])  # of condition 3, scaled
    root = math.sqrt(scale)

    def scaled_grad(y):
        return grad(y * [root, 1.0 / root]) * [root, 1.0 / root]

    result = steepest_descent(
        lambda y: fun(y * [root, 1.0 / root]), scaled_grad, [8.0 / root, 3.0 * root], metric=metric
    )
    assert result.success
    assert result.nit == 1


# ---- when it stops ---------------------------------------------------------------------------


def test_tol_zero_never_stops_early():
    for options in [{"metric": 2.0 * A}, {"step_size": 0.5}, {"line_search": True}]:
        result = steepest_descent(fun, grad, START, tol=0, max_iter=60, **options)
        assert (result.nit, result.status, result.success) == (60, 1, False)
        np.testing.assert_allclose(result.x, 0.0, atol=1e-7)
    assert steepest_descent(fun, grad, [0.0, 0.0], tol=0.0, max_iter=5).nit == 5


def test_max_iter_zero_looks_only():
    result = steepest_descent(fun, grad, START, max_iter=0, trace=True)
    assert (result.nit, result.nfev, result.njev, result.status) == (0, 1, 1, 1)
    np.testing.assert_array_equal(result.x, START)
    assert result.fun == 49.0
    np.testing.assert_array_equal(result.jac, grad(result.x))
    assert result.decrement == 13.0**2 + 2.0**2
    np.testing.assert_array_equal(result.path, [START])
    assert steepest_descent(fun, grad, [0.0, 0.0], max_iter=0).success


def test_a_start_at_the_minimum_is_a_success():
    result = steepest_descent(fun, grad, [0, 0])
    assert result.success
    assert (result.nit, result.nfev, result.njev) == (0, 1, 1)


def test_a_tiny_step_size_is_taken():
    """Where the gradient is huge: 'without a line search every step is taken'."""
    for line_search in [False, True]:
        result = steepest_descent(
            lambda x: 1e30 * float(x @ x),
            lambda x: 2e30 * x,
            [1.0, 2.0],
            step_size=0.25e-30,
            line_search=line_search,
        )
        assert result.success, result.message
        np.testing.assert_allclose(result.x, 0.0, atol=1e-20)
    still = steepest_descent(fun, grad, START, step_size=1e-25, max_iter=3)
    assert still.status == 1


def test_a_wrong_gradient_is_no_descent():
    """Uphill nothing falls, and a line search says so instead of creeping up within rounding."""
    for x0 in [[10.0], [1.0, 2.0]]:
        result = steepest_descent(
            lambda x: float(x @ x), lambda x: -2.0 * x, x0, line_search=True, max_iter=100
        )
        assert not result.success
        assert result.fun <= float(np.sum(np.square(x0)))
        assert result.status == 2


@pytest.mark.parametrize("scale", [1.0, 1e-10, 1e-20, 1e-100])
def test_a_line_search_lowers_small_functions_too(scale):
    """Steps three times too long: without halving each of them would climb."""
    result = steepest_descent(
        lambda x: scale * float(x @ x),
        lambda x: 2.0 * scale * x,
        [1.0, 2.0],
        step_size=3.0 / scale,
        line_search=True,
        tol=0.0,
        max_iter=30,
        trace=True,
    )
    values = np.sum(result.path**2, axis=1)
    assert np.all(np.diff(values) <= 1e-12 * values[:-1])
    np.testing.assert_allclose(result.x, 0.0, atol=1e-3)


def test_a_large_constant_does_not_stop_a_line_search():
    result = steepest_descent(
        lambda x: 1e10 + fun(x), grad, START, metric=1.5 * A, line_search=True
    )
    assert result.success


# ---- results ---------------------------------------------------------------------------------

PROBLEMS = {
    "quadratic": (fun, grad, START, {"metric": 2.0 * A}),
    "Rosenbrock": (
        optimize.rosen,
        optimize.rosen_der,
        [-1.2, 1.0],
        {"metric": optimize.rosen_hess},
    ),
    "Rosenbrock of four": (
        optimize.rosen,
        optimize.rosen_der,
        [0.5, 0.8, 0.7, 0.9],
        {"metric": optimize.rosen_hess},
    ),
    "log cosh": (
        lambda x: float(np.sum(np.log(np.cosh(x - [1.0, 2.0, 3.0])))),
        lambda x: np.tanh(x - [1.0, 2.0, 3.0]),
        [0.0, 0.0, 0.0],
        {},
    ),
    "logistic": (
        lambda x: math.log1p(math.exp(-x[0])) + 0.1 * x[0] ** 2 + x[1] ** 4 - x[1],
        lambda x: [-1.0 / (1.0 + math.exp(x[0])) + 0.2 * x[0], 4.0 * x[1] ** 3 - 1.0],
        [0.0, 1.0],
        {},
    ),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_against_scipy(case):
    function, slope, x0, options = PROBLEMS[case]
    result = steepest_descent(function, slope, x0, line_search=True, **options)
    peer = optimize.minimize(function, x0, jac=lambda x: np.asarray(slope(x)), tol=1e-10)
    assert result.success
    # A decrement of 1e-12 is a distance of 1e-6 in the metric; Hessians here exceed 0.1.
    np.testing.assert_allclose(result.x, peer.x, atol=2e-5)
    np.testing.assert_allclose(result.fun, peer.fun, rtol=1e-9, atol=1e-9)
    missing = {"x", "fun", "jac", "nit", "nfev", "njev", "success", "status", "message"} - set(
        result
    )
    assert not missing
    for name in ["nit", "nfev", "njev", "status"]:
        assert type(result[name]) is type(peer[name]) is int, name
    assert isinstance(result.success, bool)
    assert isinstance(result.message, str)


def test_it_is_an_optimize_result():
    result = steepest_descent(fun, grad, START, step_size=0.5)
    assert isinstance(result, optimize.OptimizeResult)
    assert result["x"] is result.x
    assert result.x.dtype == result.jac.dtype == np.float64
    assert isinstance(result.fun, float)
    assert result.fun == fun(result.x)
    np.testing.assert_array_equal(result.jac, grad(result.x))
    assert "path" not in result
    assert "success: True" in repr(result)


@pytest.mark.parametrize(
    "options",
    [
        {"step_size": 0.5},
        {"line_search": True},
        {"line_search": True, "step_size": 100.0},
        {"metric": A, "max_iter": 7},
        {"metric": lambda x: 2.0 * A, "tol": 0.0, "max_iter": 4},  # noqa: ARG005
        {"max_iter": 0},
        {"step_size": 1e3, "line_search": True, "metric": [1.0, 5.0]},
    ],
)
def test_calls_are_counted(options):
    counted, slope = Counted(fun), Counted(grad)
    result = steepest_descent(counted, slope, START, trace=True, **options)
    assert (result.nfev, result.njev) == (counted.calls, slope.calls)
    assert result.path.shape == (result.nit + 1, 2)
    np.testing.assert_array_equal(result.path[0], START)
    np.testing.assert_array_equal(result.path[-1], result.x)


def test_calls_are_counted_when_nothing_is_finite():
    for bad in [
        lambda x: math.nan if x[0] < 8.0 else 1.0,
        lambda x: -math.inf if x[0] < 8.0 else 1.0,
    ]:
        counted, slope = Counted(bad), Counted(grad)
        result = steepest_descent(counted, slope, START)
        assert result.status == 3
        assert (result.nfev, result.njev, result.nit) == (counted.calls, slope.calls, 0)
        np.testing.assert_array_equal(result.x, START)
        assert result.fun == 1.0


# ---- functions that behave oddly -------------------------------------------------------------


def spoil(x):
    value = fun(x)
    x[:] = np.nan
    return value


def test_arguments_may_be_modified():
    def slope(x):
        x *= -2.0
        return -0.5 * np.array([2.0 * x[0] - x[1], 2.0 * x[1] - x[0]])

    def metric(x):
        x[:] = np.inf
        return 2.0 * A

    start = np.array(START)
    want = steepest_descent(fun, grad, START, metric=2.0 * A, trace=True)
    result = steepest_descent(spoil, slope, start, metric=metric, trace=True)
    np.testing.assert_array_equal(result.path, want.path)
    np.testing.assert_array_equal(start, START)


def test_results_may_be_reused_buffers():
    buffer, matrix = np.empty(2), np.empty((2, 2))

    def slope(x):
        buffer[:] = grad(x)
        return buffer

    def metric(x):  # noqa: ARG001
        matrix[:] = 2.5 * A
        return matrix

    want = steepest_descent(fun, grad, START, metric=2.5 * A, trace=True)
    result = steepest_descent(fun, slope, START, metric=metric, trace=True)
    np.testing.assert_array_equal(result.path, want.path)
    np.testing.assert_array_equal(result.jac, grad(result.x))
    kept = result.jac.copy()
    buffer[:] = 1e9
    np.testing.assert_array_equal(result.jac, kept)
    fixed = 2.5 * A
    steepest_descent(fun, grad, START, metric=fixed)
    np.testing.assert_array_equal(fixed, 2.5 * A)


@pytest.mark.parametrize(
    "wrap",
    [
        np.array,
        np.float32,
        lambda v: np.array([v]),
        lambda v: [[v]],
        np.longdouble,
        lambda v: int(v) if v == int(v) else v,
    ],
)
def test_values_of_every_kind(wrap):
    result = steepest_descent(lambda x: wrap(fun(x)), grad, START, metric=2.0 * A)
    assert result.success
    assert isinstance(result.fun, float)


def test_starts_of_every_kind():
    want = steepest_descent(fun, grad, START, step_size=0.5)
    for x0 in [
        [8, 3],
        (8, 3),
        np.array([8, 3], np.int8),
        np.array(START, ">f4"),
        np.float32(START),
    ]:
        result = steepest_descent(fun, lambda x: grad(x).tolist(), x0, step_size=0.5)
        np.testing.assert_array_equal(result.x, want.x)
    one = steepest_descent(lambda x: (x[0] - 1) ** 2, lambda x: 2 * (x - 1), [True], step_size=0.5)
    assert one.nit == 0
    frozen = np.array(START)
    frozen.flags.writeable = False
    assert steepest_descent(fun, grad, frozen, step_size=0.5).nit == want.nit


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("line_search", [False, True])
def test_values_that_are_not_finite(bad, line_search):
    options = {"line_search": line_search, "trace": True}
    at_start = [
        steepest_descent(lambda x: bad, grad, START, **options),  # noqa: ARG005
        steepest_descent(fun, lambda x: [bad, 1.0], START, **options),  # noqa: ARG005
        steepest_descent(fun, grad, START, metric=lambda x: [bad, 1.0], **options),  # noqa: ARG005
        steepest_descent(fun, grad, START, metric=lambda x: [[1, bad], [bad, 1]], **options),  # noqa: ARG005
    ]
    for result in at_start:
        assert (result.status, result.success, result.nit) == (3, False, 0)
        assert "finite" in result.message
        np.testing.assert_array_equal(result.x, START)
    # A gradient that is lost on the way: the last point is kept.
    result = steepest_descent(
        fun, lambda x: grad(x) if x[0] > 7.0 else [bad, 1.0], START, step_size=0.1
    )
    assert (result.status, result.nit) == (3, 1)


def test_a_line_search_backs_out_of_a_forbidden_region():
    for outside in [math.inf, math.nan]:
        result = steepest_descent(
            lambda x, outside=outside: x[0] - math.log(x[0]) if x[0] > 0.0 else outside,
            lambda x: [1.0 - 1.0 / x[0]],
            [10.0],
            line_search=True,
            step_size=100.0,
        )
        assert result.success
        np.testing.assert_allclose(result.x, 1.0, atol=1e-6)


def test_steps_beyond_the_largest_double_do_not_warn():
    result = steepest_descent(
        lambda x: -float(x[0]),
        lambda x: [-1e308],  # noqa: ARG005
        [1e308],
        step_size=10.0,
        max_iter=5,
    )
    assert result.status == 3
    result = steepest_descent(
        lambda x: -float(np.abs(x[0])) if np.isfinite(x[0]) else math.inf,
        lambda x: [-1e308],  # noqa: ARG005
        [1e308],
        step_size=10.0,
        line_search=True,
        max_iter=5,
    )
    assert not result.success


def test_exceptions_of_the_functions_are_theirs():
    def fails(x):  # noqa: ARG001
        raise KeyError("mine")

    for arguments in [(fails, grad), (fun, fails)]:
        with pytest.raises(KeyError, match="mine"):
            steepest_descent(*arguments, START)
    with pytest.raises(KeyError, match="mine"):
        steepest_descent(fun, grad, START, metric=fails)


# ---- what is refused -------------------------------------------------------------------------

BAD_OPTIONS = [
    ({"metric": "newton"}, ValueError, ["metric", "'newton'", "'euclidean'"]),
    ({"metric": None}, TypeError, ["metric"]),
    ({"metric": 2.0}, ValueError, ["metric", "(2, 2)", "()"]),
    ({"metric": np.eye(3)}, ValueError, ["metric", "(2, 2)", "(3, 3)"]),
    ({"metric": [1.0, 2.0, 3.0]}, ValueError, ["metric", "(2,)", "(3,)"]),
    ({"metric": [[1.0, 2.0], [3.0, 40.0]]}, ValueError, ["metric", "symmetric"]),
    ({"metric": [[1.0, 2.0], [2.0, 1.0]]}, ValueError, ["metric", "positive definite"]),
    ({"metric": np.zeros((2, 2))}, ValueError, ["metric", "positive definite"]),
    ({"metric": [1.0, 0.0]}, ValueError, ["metric", "positive definite"]),
    ({"metric": [1.0, -2.0]}, ValueError, ["metric", "positive definite"]),
    ({"metric": [1.0, np.nan]}, ValueError, ["metric", "finite"]),
    ({"metric": np.full((2, 2), np.nan)}, ValueError, ["metric", "finite"]),
    ({"metric": np.diag([1.0, np.inf])}, ValueError, ["metric", "finite"]),
    ({"metric": 1j * A}, TypeError, ["metric", "complex128"]),
    ({"metric": np.ma.masked_array(A)}, TypeError, ["metric", "masked"]),
    ({"metric": lambda x: None}, TypeError, ["metric"]),  # noqa: ARG005
    ({"metric": lambda x: 2.0}, ValueError, ["metric", "()"]),  # noqa: ARG005
    ({"metric": lambda x: np.eye(3)}, ValueError, ["metric", "(3, 3)"]),  # noqa: ARG005
    ({"metric": lambda x: [[1, 2], [3, 4]]}, ValueError, ["metric", "symmetric"]),  # noqa: ARG005
    ({"step_size": 0.0}, ValueError, ["step_size", "0.0"]),
    ({"step_size": -0.5}, ValueError, ["step_size", "-0.5"]),
    ({"step_size": np.nan}, ValueError, ["step_size", "nan"]),
    ({"step_size": np.inf}, ValueError, ["step_size", "inf"]),
    ({"step_size": None}, TypeError, ["step_size", "None"]),
    ({"step_size": "0.5"}, TypeError, ["step_size", "'0.5'"]),
    ({"step_size": 0.5j}, TypeError, ["step_size", "0.5j"]),
    ({"step_size": np.complex128(0.5)}, TypeError, ["step_size"]),
    ({"step_size": 10**400}, ValueError, ["step_size"]),
    ({"tol": -1e-9}, ValueError, ["tol", "-1e-09"]),
    ({"tol": np.nan}, ValueError, ["tol", "nan"]),
    ({"tol": None}, TypeError, ["tol", "None"]),
    ({"tol": np.complex128(1.0)}, TypeError, ["tol"]),
    ({"max_iter": -1}, ValueError, ["max_iter", "-1"]),
    ({"max_iter": 10.0}, TypeError, ["max_iter", "10.0"]),
    ({"max_iter": None}, TypeError, ["max_iter", "None"]),
    ({"trace": "yes"}, TypeError, ["trace", "'yes'"]),
    ({"trace": None}, TypeError, ["trace", "None"]),
    ({"line_search": 1}, TypeError, ["line_search", "1"]),
    ({"line_search": "armijo"}, TypeError, ["line_search", "'armijo'"]),
]


@pytest.mark.parametrize(("options", "error", "words"), BAD_OPTIONS, ids=lambda v: repr(v)[:40])
def test_options_that_are_refused(options, error, words):
    with refused(error, *words):
        steepest_descent(fun, grad, START, **({"max_iter": 3} | options))


@pytest.mark.parametrize(
    ("x0", "error", "words"),
    [
        ([[1.0, 2.0]], ValueError, ["one dimension", "(1, 2)"]),
        ([], ValueError, ["empty"]),
        (1.0, ValueError, ["one dimension", "()"]),
        ([1.0, np.nan], ValueError, ["finite"]),
        ([np.inf, 1.0], ValueError, ["finite"]),
        (["a", "b"], TypeError, ["real numbers"]),
        ([1j, 0.0], TypeError, ["complex128"]),
        (None, TypeError, ["real numbers"]),
        ([[1.0], [1.0, 2.0]], ValueError, ["rectangular"]),
        (np.ma.masked_array(START), TypeError, ["masked"]),
    ],
)
def test_starts_that_are_refused(x0, error, words):
    with refused(error, "x0", *words):
        steepest_descent(fun, grad, x0)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([1.0, 2.0], ["number", "(2,)"]),
        ([], ["number", "(0,)"]),
        ("a", ["number"]),
        (None, ["number"]),
        (1j, ["number"]),
        ([[1.0], [1.0, 2.0]], ["rectangular"]),
        ({}, ["number"]),
    ],
)
def test_values_that_are_refused(value, words):
    with refused((TypeError, ValueError), "fun", *words):
        steepest_descent(lambda x: value, grad, START)  # noqa: ARG005


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.0, ["(2,)", "()"]),
        ([1.0], ["(2,)", "(1,)"]),
        ([[1.0, 2.0]], ["(2,)", "(1, 2)"]),
        ([1.0, 2.0, 3.0], ["(2,)", "(3,)"]),
        (None, []),
        (["a", "b"], []),
        ([1j, 0.0], []),
        ([[1.0], [1.0, 2.0]], []),
    ],
)
def test_gradients_that_are_refused(value, words):
    with refused((TypeError, ValueError), "grad", *words):
        steepest_descent(fun, lambda x: value, START)  # noqa: ARG005


def test_what_is_no_function():
    with refused(TypeError, "fun", "function", "3.0"):
        steepest_descent(3.0, grad, START)
    with refused(TypeError, "grad", "function", "None"):
        steepest_descent(fun, None, START)


def test_options_are_keywords():
    with pytest.raises(TypeError, match="positional"):
        steepest_descent(fun, grad, START, A)


# ---- any quadratic ---------------------------------------------------------------------------

ENTRIES = st.floats(-3.0, 3.0).map(lambda v: round(v, 3))


@given(st.lists(ENTRIES, min_size=4, max_size=4), st.lists(ENTRIES, min_size=2, max_size=2))
def test_any_quadratic(entries, x0):
    """Its own Hessian arrives in one step from anywhere; a line search never climbs."""
    root = np.reshape(entries, (2, 2))
    hessian = root @ root.T + 0.1 * np.eye(2)
    centre = np.array([1.0, -2.0])

    def value(x):
        return 0.5 * float((x - centre) @ hessian @ (x - centre))

    def slope(x):
        return hessian @ (x - centre)

    result = steepest_descent(value, slope, x0, metric=hessian)
    assert result.success
    assert result.nit <= 1
    # A decrement below 1e-12 at the least curvature of 0.1.
    np.testing.assert_allclose(result.x, centre, atol=1e-5)
    result = steepest_descent(
        value, slope, x0, line_search=True, max_iter=scaled(50, 20), trace=True
    )
    values = np.array([value(x) for x in result.path])
    assert np.all(np.diff(values) <= 1e-12 * (1.0 + values[:-1]))


def test_natural_gradient_of_the_normal():
    """The article's own use: Fisher's metric in (mu, log sigma) is diag(1 / sigma**2, 2)."""
    x = np.array([1.0, 2.0, 4.0, 7.0])

    def value(theta):
        z = (x - theta[0]) * math.exp(-theta[1])
        return float(np.mean(0.5 * z**2) + theta[1])

    def slope(theta):
        z = (x - theta[0]) * math.exp(-theta[1])
        return [-float(np.mean(z)) * math.exp(-theta[1]), 1.0 - float(np.mean(z**2))]

    result = steepest_descent(
        value,
        slope,
        [0.0, 0.0],
        metric=lambda theta: [math.exp(-2.0 * theta[1]), 2.0],
        line_search=True,
    )
    want = fastnat.fit_normal(x)
    assert result.success
    np.testing.assert_allclose(result.x, [want.mu, math.log(want.sigma)], atol=1e-5)
