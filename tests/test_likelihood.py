"""`fastnat.Model` and `fastnat.fit` as front doors: what is refused, shapes, results, threads."""

import contextlib
import functools
import math
import multiprocessing
import pickle
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numba
import numpy as np
import pandas as pd
import pytest
from conftest import (
    COMPILED,
    assert_one_sentence,
    assert_same_bits,
    refused,
    same_bits,
    scaled,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy import hanning as window

import fastnat
from fastnat import _blocks, _climb
from fastnat.kernels import _jit, tuples

compiled_only = pytest.mark.skipif(not COMPILED, reason="says what numba has to say")

X = [1.0, 2.0, 4.0, 7.0]


# ---- models: each costs a second of compilation, so they are shared ---------------------------


def loglik(x, mu, log_sigma):
    z = (x - mu) * math.exp(-log_sigma)
    return -0.5 * z * z - log_sigma - 0.5 * math.log(2.0 * math.pi)


def score(x, mu, log_sigma):
    unit = math.exp(-log_sigma)
    z = (x - mu) * unit
    return z * unit, z * z - 1.0


def fisher(mu, log_sigma):  # noqa: ARG001
    return (math.exp(-2.0 * log_sigma), 0.0), (0.0, 2.0)


NORMAL = fastnat.Model(loglik, score, fisher=fisher)


def line_loglik(x, y, a, b):
    return -0.5 * (y - a - b * x) ** 2


def line_score(x, y, a, b):
    r = y - a - b * x
    return r, r * x


LINE = fastnat.Model(line_loglik, line_score, n_data=2)


def one(x, a):
    return -0.5 * (x - a) ** 2


def one_score(x, a):
    return (x - a,)


ONE = fastnat.Model(one, one_score)


def normal(**options):
    """The shared functions, which are compiled once, in a new Model."""
    return fastnat.Model(loglik, score, **options)


# ---- models that are refused at once ---------------------------------------------------------


def returns(value):
    return lambda x, mu, log_sigma: value  # noqa: ARG005


def sign(x, mu, log_sigma):
    a, b = score(x, mu, log_sigma)
    return -a, -b


def sign_of_one(x, mu, log_sigma):
    a, b = score(x, mu, log_sigma)
    return a, -b


def off_by_one(x, mu, log_sigma):
    a, b = score(x, mu, log_sigma)
    return a, b + 1.0


def doubled(x, mu, log_sigma):
    a, b = score(x, mu, log_sigma)
    return 2.0 * a, b


def swapped(x, mu, log_sigma):
    a, b = score(x, mu, log_sigma)
    return b, a


def wrong_above(x, mu, log_sigma):
    a, b = score(x, mu, log_sigma)
    return a, b if x < 1.0 else 0.5 * b


def fisher_of(value):
    return lambda mu, log_sigma: value  # noqa: ARG005


class Everything:
    """Says nothing about its arguments."""

    def __call__(self, *args, **kwargs):  # noqa: ARG002
        return 0.0


NUMBERS = np.array([[1.0, 2.0], [3.0, 4.0]])

BAD_MODELS = {
    "loglik is no function": (3.0, score, {}, TypeError, ["loglik", "function", "3.0"]),
    "score is no function": (loglik, None, {}, TypeError, ["score", "function", "None"]),
    "loglik with *args": (lambda *v: 0.0, score, {}, TypeError, ["loglik", "without *"]),  # noqa: ARG005
    "score with **": (loglik, lambda x, **k: 0.0, {}, TypeError, ["score", "without *"]),  # noqa: ARG005
    "keyword only": (lambda x, *, a: 0.0, score, {}, TypeError, ["loglik"]),  # noqa: ARG005
    "an instance": (Everything(), score, {}, TypeError, ["loglik", "plain function"]),
    "a NumPy function": (np.exp, score, {}, TypeError, ["loglik"]),
    "a class": (dict, score, {}, TypeError, ["loglik"]),
    "no parameter": (lambda x: x, lambda x: (), {}, ValueError, ["loglik", "parameter"]),  # noqa: ARG005
    "no argument": (lambda: 0.0, lambda: (), {}, ValueError, ["loglik", "parameter"]),
    "n_data leaves no parameter": (
        loglik,
        score,
        {"n_data": 3},
        ValueError,
        ["loglik", "3", "parameter"],
    ),
    "fewer arguments": (
        loglik,
        one_score,
        {},
        ValueError,
        ["score", "mu, log_sigma", "2", "loglik"],
    ),
    "more arguments": (one, score, {}, ValueError, ["score", "x, a", "3", "loglik"]),
    "score too short": (
        loglik,
        returns((1.0,)),
        {},
        ValueError,
        ["score", "tuple of 2", "mu, log"],
    ),
    "score too long": (loglik, returns((1.0,) * 3), {}, ValueError, ["score", "tuple of 2"]),
    "score a float": (loglik, returns(1.0), {}, TypeError, ["score", "tuple of 2", "float"]),
    "score a list": (loglik, returns([1.0, 2.0]), {}, TypeError, ["score", "tuple of 2", "list"]),
    "score an array": (loglik, returns(NUMBERS[0]), {}, TypeError, ["score", "tuple", "ndarray"]),
    "score nested": (loglik, returns(((1.0, 2.0),)), {}, ValueError, ["score", "tuple of 2"]),
    "score of arrays": (
        loglik,
        returns((NUMBERS, NUMBERS)),
        {},
        TypeError,
        ["score", "tuple of 2", "ndarray"],
    ),
    "score of strings": (loglik, returns(("a", "b")), {}, TypeError, ["score", "tuple of 2 num"]),
    "score None": (loglik, returns(None), {}, TypeError, ["score", "tuple of 2"]),
    "wrong sign": (loglik, sign, {}, ValueError, ["score", "sign", "mu"]),
    "wrong sign of one": (loglik, sign_of_one, {}, ValueError, ["score", "sign", "log_sigma"]),
    "wrong in one": (loglik, off_by_one, {}, ValueError, ["score", "loglik", "to log_sigma is"]),
    "wrong factor": (loglik, doubled, {}, ValueError, ["score", "loglik", "respect to mu is"]),
    "swapped": (loglik, swapped, {}, ValueError, ["score", "loglik", "respect to mu is"]),
    "wrong for some x": (loglik, wrong_above, {}, ValueError, ["score", "loglik", "log_sigma"]),
    "loglik None": (returns(None), score, {}, TypeError, ["loglik", "number", "None"]),
    "loglik a tuple": (returns((1.0,)), score, {}, TypeError, ["loglik", "number", "tuple"]),
    "loglik a string": (returns("a"), score, {}, TypeError, ["loglik", "number", "str"]),
    "loglik an array": (returns(NUMBERS), score, {}, TypeError, ["loglik", "number", "ndarray"]),
    "undefined": (
        lambda x, mu, log_sigma: nowhere(x),  # noqa: F821, ARG005
        score,
        {},
        TypeError,
        ["loglik", "nowhere", "not defined"],
    ),
    "score undefined": (
        loglik,
        lambda x, mu, log_sigma: (nowhere, 0.0),  # noqa: F821, ARG005
        {},
        TypeError,
        ["score", "nowhere", "not defined"],
    ),
    "index": (lambda x, a: ()[1], one_score, {}, TypeError, ["loglik", "IndexError"]),  # noqa: ARG005
    "endless": (
        lambda x, a: endless(x, a),
        one_score,
        {},
        TypeError,
        ["loglik", "RecursionError"],
    ),
    "n_data 0": (loglik, score, {"n_data": 0}, ValueError, ["n_data", "0"]),
    "n_data negative": (loglik, score, {"n_data": -1}, ValueError, ["n_data", "-1"]),
    "n_data a float": (loglik, score, {"n_data": 1.0}, TypeError, ["n_data", "1.0"]),
    "n_data a string": (loglik, score, {"n_data": "1"}, TypeError, ["n_data", "'1'"]),
    "check 1": (loglik, score, {"check": 1}, TypeError, ["check", "1"]),
    "fisher a number": (loglik, score, {"fisher": 3}, TypeError, ["fisher", "function"]),
    "fisher undefined": (
        loglik,
        score,
        {"fisher": lambda mu, log_sigma: nowhere},  # noqa: F821, ARG005
        TypeError,
        ["fisher", "nowhere"],
    ),
}
BAD_FISHERS = {
    "flat": (1.0, 2.0),
    "too small": ((1.0,),),
    "too large": ((1.0, 0.0, 0.0),) * 3,
    "an array": np.eye(2),
    "lists": [[1.0, 0.0], [0.0, 1.0]],
    "a tuple of lists": ([1.0, 0.0], [0.0, 1.0]),
    "None": None,
    "strings": (("a", "b"), ("b", "c")),
    "asymmetric": ((1.0, 1.0), (0.0, 1.0)),
    "negative": ((1.0, 0.0), (0.0, -1.0)),
}


def endless(x, a):
    return endless(x, a)


@pytest.mark.parametrize("case", BAD_MODELS)
def test_models_that_are_refused(case):
    first, second, options, error, words = BAD_MODELS[case]
    with refused(error, *words):
        fastnat.Model(first, second, **options)


@pytest.mark.parametrize("case", BAD_FISHERS)
def test_informations_that_are_refused(case):
    with refused((TypeError, ValueError), "fisher"):
        normal(fisher=fisher_of(BAD_FISHERS[case]))


def test_fisher_takes_the_parameters_only():
    """The message names the arguments that fisher must take, not those of loglik."""
    with refused(ValueError, "fisher", "mu, log_sigma", "3"):
        normal(fisher=score)
    with pytest.raises(ValueError, match="fisher") as caught:
        normal(fisher=score)
    assert "as loglik does" not in str(caught.value), "loglik takes 3"


@pytest.mark.parametrize(
    ("start", "error", "words"),
    [
        (1.0, ValueError, ["2 numbers", "mu, log_sigma", "()"]),
        ([1.0], ValueError, ["2 numbers", "(1,)"]),
        ([1.0, 2.0, 3.0], ValueError, ["2 numbers", "(3,)"]),
        ([], ValueError, ["2 numbers", "(0,)"]),
        ([1.0, np.nan], ValueError, ["finite"]),
        ([np.inf, 0.0], ValueError, ["finite"]),
        ("ab", TypeError, ["real numbers"]),
        ([1j, 0.0], TypeError, ["real numbers"]),
        ([None, 0.0], TypeError, ["real numbers"]),
        ([[1.0], [1.0, 2.0]], ValueError, []),
        (np.ma.masked_array([1.0, 2.0]), TypeError, ["masked"]),
        ({"mu": 1.0}, TypeError, []),
    ],
)
def test_starts_that_are_refused(start, error, words):
    with refused(error, "start", *words):
        normal(start=start)
    with refused(error, "start", *words):
        fastnat.fit(NORMAL, X, start=start)


def test_starts_whose_shape_does_not_fit():
    for start in [np.zeros((2, 2)), np.zeros((3, 2, 2)), np.zeros((1, 4, 2))]:
        with refused(ValueError, "start", str(start.shape), "(3,)"):
            fastnat.fit(NORMAL, np.ones((3, 5)), start=start)
    with refused(ValueError, "start", "(3, 2)"):
        fastnat.fit(NORMAL, X, start=np.zeros((3, 2)))
    with refused(ValueError, "start", "(4, 2)"):
        fastnat.fit(normal(start=np.zeros((4, 2))), np.ones((3, 5)))


NOTHING = {}
BAD_START_FUNCTIONS = {
    "too long": lambda x: (1.0, 2.0, 3.0),  # noqa: ARG005
    "too short": lambda x: (1.0,),  # noqa: ARG005
    "a number": lambda x: 1.0,  # noqa: ARG005
    "None": lambda x: None,  # noqa: ARG005
    "strings": lambda x: ("a", "b"),  # noqa: ARG005
    "too many arguments": lambda x, y: (1.0, 2.0),  # noqa: ARG005
    "no arguments": lambda: (1.0, 2.0),
    "a missing key": lambda x: NOTHING["b"] + x,
    "undefined": lambda x: nowhere(x),  # noqa: F821
}


@pytest.mark.parametrize("case", BAD_START_FUNCTIONS)
def test_start_functions_that_are_refused(case):
    """Whatever is wrong, the message names the argument that is."""
    with refused((TypeError, ValueError), "start"):
        fastnat.fit(normal(start=BAD_START_FUNCTIONS[case]), X)


def test_a_start_function_belongs_to_the_model():
    with refused(TypeError, "start"):
        fastnat.fit(NORMAL, X, start=lambda x: (1.0, 2.0))  # noqa: ARG005


# ---- models that are refused when they are compiled, or meet data ------------------------------


class Unknown:
    """A type that numba does not know."""

    factor = 1.0


UNKNOWN = Unknown()
TABLE = [1.0, 2.0]


def plain_helper(x, a):
    return -0.5 * (x - a) ** 2


def recursive(x, a):
    return -0.5 * (x - a) ** 2 if x < 1e9 else recursive(0.5 * x, a)


def maybe(x, a):
    if x > -1e9:
        return -0.5 * (x - a) ** 2
    return None


def guarded(x, a):
    try:
        return -0.5 * (x - a) ** 2
    except ValueError:
        return math.nan


NOT_COMPILABLE = {
    "f-string of a dict": lambda x, a: -0.5 * (x - a) ** 2 + 0.0 * len(f"{dict(b=1)}"),  # noqa: C408
    "a generator": lambda x, a: -0.5 * sum((v - a) ** 2 for v in (x,)),
    "pandas": lambda x, a: -0.5 * (pd.Series([x]).iloc[0] - a) ** 2,
    "an object": lambda x, a: -0.5 * UNKNOWN.factor * (x - a) ** 2,
    "a list outside": lambda x, a: -0.5 * TABLE[0] * (x - a) ** 2,
    "recursion": recursive,
    "sometimes None": maybe,
    "except": guarded,
}


@compiled_only
@pytest.mark.parametrize("case", NOT_COMPILABLE)
def test_functions_that_numba_does_not_compile(case):
    with refused((TypeError, ValueError), "loglik"):
        fastnat.fit(fastnat.Model(NOT_COMPILABLE[case], one_score), X)


@compiled_only
def test_tuples_are_of_contiguous_arrays():
    @_jit.uncached
    def first(x):
        return tuples.at((x,), 0)

    x = np.arange(6.0)
    assert first(x[3:]) == (3.0,)
    with pytest.raises(numba.core.errors.TypingError, match="C-contiguous"):
        first(x[::2])


@compiled_only
def test_a_plain_function_that_is_called_by_loglik():
    """It is compiled as well, and so is what it calls in turn."""
    model = fastnat.Model(lambda x, a: plain_helper(x, a), one_score)
    assert fastnat.fit(model, X).params == pytest.approx(np.mean(X), rel=1e-12)


@compiled_only
@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("loglik", lambda x, a: None),  # noqa: ARG005
        ("loglik", lambda x, a: (1.0,)),  # noqa: ARG005
        ("loglik", lambda x, a: 1j),  # noqa: ARG005
        ("loglik", lambda x, a: "a"),  # noqa: ARG005
        ("loglik", lambda x, a: np.ones(1)),  # noqa: ARG005
        ("score", lambda x, a: x - a),
        ("score", lambda x, a: (x - a, x)),
        ("score", lambda x, a: [x - a]),
        ("score", lambda x, a: ((x - a,),)),
        ("score", lambda x, a: ("a",)),  # noqa: ARG005
        ("score", lambda x, a: None),  # noqa: ARG005
        ("fisher", lambda a: (1.0,)),  # noqa: ARG005
        ("fisher", lambda a: [[1.0]]),  # noqa: ARG005
        ("fisher", lambda a: ((1.0, 0.0),)),  # noqa: ARG005
        ("fisher", lambda a: None),  # noqa: ARG005
    ],
)
def test_types_are_looked_at_even_if_nothing_is_checked(name, bad):
    functions = {"loglik": one, "score": one_score} | {name: bad}
    with refused((TypeError, ValueError), name, "number"):
        fastnat.fit(fastnat.Model(**functions, check=False), X)


def test_check_false_does_not_look_at_values():
    fastnat.Model(returns(None), off_by_one, fisher=fisher_of(None), check=False)


def wrong_below(x, a):
    return (x - a if x > 0.0 else 2.0 * (x - a),)


def test_a_score_that_is_wrong_at_the_data_only():
    """The made-up observations are positive."""
    model = fastnat.Model(one, wrong_below)
    for data in [[-1.0, 2.0, 3.0], [1.0, 2.0, -3.0], [[1.0, -2.0, 3.0], [1.0, 2.0, 3.0]]]:
        with refused(ValueError, "score", "loglik", "respect to a is", "x = -"):
            fastnat.fit(model, data)
    assert fastnat.fit(fastnat.Model(one, wrong_below, check=False), [1.0, 2.0]).success


@pytest.mark.parametrize("size", [1e10, 1e12, 1e14, 1e18])
def test_a_right_score_is_not_blamed_for_large_data(size):
    """Bytes, nanoseconds, dollars: differences that rounding has eaten prove nothing."""
    fastnat.fit(normal(), size * np.array([1.998, 3.1, 5.2, 4.4]), max_iter=2)


def test_a_right_score_is_not_blamed_for_small_data():
    for size in [1e-6, 1e-12, 1e-100]:
        fastnat.fit(normal(), size * np.array(X), max_iter=2)


# ---- what a function may be ------------------------------------------------------------------


class Square:
    """An instance that is called."""

    def __init__(self, half):
        self.half = half

    def __call__(self, x, a):
        return -self.half * (x - a) ** 2


def assert_fits_the_mean(model):
    fit = fastnat.fit(model, X)
    assert fit.status is fastnat.Status.OK
    assert abs(fit.params[0] - 3.5) < 1e-12  # tol, and a quadratic likelihood
    assert abs(fit.stderr[0] - 0.5) < 1e-9  # differences of the score


HALF = 0.5


def closure():
    half = 0.5

    def inner(x, a):
        return -half * (x - a) ** 2

    return inner


def branching(x, a):
    if x > a:
        return -0.5 * (x - a) ** 2
    return -0.5 * (a - x) ** 2


def with_default(x, a=1.0):
    return -0.5 * (x - a) ** 2


@numba.njit
def compiled_helper(x, a):
    return -0.5 * (x - a) ** 2


STYLES = {
    "global": lambda x, a: -HALF * (x - a) ** 2,
    "closure": closure(),
    "branches": branching,
    "a default": with_default,
    "njit": numba.njit(one),
    "njit for one type": numba.njit("f8(f8, f8)")(one),
    "calls njit": lambda x, a: compiled_helper(x, a),
    "math": lambda x, a: math.log(math.exp(-0.5 * math.pow(x - a, 2.0))),
    "NumPy": lambda x, a: np.log(np.exp(-0.5 * np.square(np.abs(x - a)))),
    "an integer at times": lambda x, a: -0.5 * (x - a) ** 2 if x != a else 0,
    "static": staticmethod(one).__func__,
}


@pytest.mark.parametrize("style", STYLES)
def test_functions_of_every_style(style):
    assert_fits_the_mean(fastnat.Model(STYLES[style], one_score))


CALLABLES = {
    "partial": functools.partial(lambda half, x, a: -half * (x - a) ** 2, 0.5),
    "instance": Square(0.5),
    "method": Square(0.5).__call__,
    "lru_cache": functools.lru_cache(one),
}


@pytest.mark.parametrize("style", CALLABLES)
def test_callables_that_are_no_functions(style):
    """They either work, or Model says which argument it is that must be a plain function."""
    try:
        model = fastnat.Model(CALLABLES[style], one_score)
    except TypeError as error:
        assert_one_sentence(str(error), "loglik", "function")
        return
    try:
        assert_fits_the_mean(model)
    except TypeError as error:
        assert_one_sentence(str(error), "loglik", "function")


def test_np_where():
    """A choice of two numbers, which numba makes an array without dimensions."""
    try:
        model = fastnat.Model(lambda x, a: np.where(x > a, -0.5, -0.5) * (x - a) ** 2, one_score)
        assert_fits_the_mean(model)
    except TypeError as error:
        assert_one_sentence(str(error), "loglik", "number", "if")


def test_constants():
    """The likelihood that says nothing; of integers and booleans."""
    for value, scores in [(0, (0,)), (True, (False,))]:
        constant = fastnat.Model(
            (lambda x, a: 0) if value == 0 else (lambda x, a: True),  # noqa: ARG005
            (lambda x, a: (0,)) if scores == (0,) else (lambda x, a: (False,)),  # noqa: ARG005
        )
        assert fastnat.fit(constant, X).status.name == "NOT_IDENTIFIED"


def test_names_and_repr():
    assert NORMAL.param_names == ("mu", "log_sigma")
    assert repr(NORMAL) == "<Model: mu, log_sigma>"
    assert LINE.param_names == ("a", "b")
    assert fastnat.Model(loglik, score, n_data=2, check=False).param_names == ("log_sigma",)


def test_a_start_outside_of_its_domain_is_that_of_one_problem():
    """As a likelihood: whatever Python raises there, the others are fitted."""

    def start(x):
        return float(str(math.log(x[1]))), 0.0  # not for numba

    fit = fastnat.fit(normal(start=start), BATCH)
    assert list(fit.success) == [True, False, True]
    np.testing.assert_allclose(fit.params[[0, 2], 0], BATCH[[0, 2]].mean(axis=1), rtol=1e-9)


def test_a_score_that_has_no_value_where_the_likelihood_has_one():
    """Such points say nothing about the score; where both have one, a wrong score is seen."""

    def partial(x, a):
        return (x - a + 0.0 * math.log(a),)

    def wrong(x, a):
        return (2.0 * (x - a) + 0.0 * math.log(a),)

    def parabola(x, a):
        return -0.5 * (x - a) ** 2

    fit = fastnat.fit(fastnat.Model(parabola, partial, start=[1.0]), X)
    assert fit.params == pytest.approx(np.mean(X), rel=1e-12)
    with refused(ValueError, "score does not match loglik"):
        fastnat.Model(parabola, wrong, start=[1.0])


def test_information_that_is_infinite_somewhere():
    """Such points say nothing about its symmetry."""

    def parabola(x, a):
        return -0.5 * (x - a) ** 2

    def at_most_zero(a):
        return ((1.0 if a > 0.0 else math.inf,),)

    model = fastnat.Model(parabola, one_score, fisher=at_most_zero, start=[1.0])
    assert fastnat.fit(model, X).params == pytest.approx(np.mean(X), rel=1e-12)


def test_a_score_beside_the_end_of_the_domain():
    """Differences cannot tell there, for one end of them has no value: nothing is refused."""
    edges = []

    def edge(x, a):
        edges.append(a)
        return -0.5 * (x - a) ** 2 if a == edges[0] else math.nan

    fastnat.Model(edge, lambda x, a: (5.0 * (x - a),))


def test_a_function_that_raises_where_nobody_looked_before():
    """What numba knows about the error is said, and what to do; nobody else's error is hidden."""

    def picky(x, a):
        if x == 7.0:
            raise RuntimeError("no sevens")
        return -0.5 * (x - a) ** 2

    model = fastnat.Model(picky, one_score)
    assert fastnat.fit(model, [1.0, 2.0, 4.0]).success
    with refused(ValueError, "loglik", "RuntimeError: no sevens", "math.nan"):
        fastnat.fit(model, [1.0, 7.0, 2.0, 3.0, 4.0])


def test_a_function_of_numpy_that_is_plain_python():
    """Numba has its own of it."""
    model = fastnat.Model(lambda x, a: -0.5 * window(3)[1] * (x - a) ** 2, one_score)
    assert fastnat.fit(model, X).params == pytest.approx(np.mean(X), rel=1e-12)


# ---- one problem that cannot be evaluated never ends the others --------------------------------

BATCH = np.array([[1.0, 2.0, 3.0, 5.0], [1.0, 0.0, 3.0, 5.0], [4.0, 5.0, 7.0, 2.0]])


@numba.njit
def helper_that_divides(x):
    return 1.0 / x


def finite_part(x, a, extra):
    return -0.5 * (x - a) ** 2 + 0.0 * extra


OUTSIDE = {
    "division": lambda x, a: -0.5 * (x - a) ** 2 + 0.0 * (1.0 / x),
    "division in a helper": lambda x, a: -0.5 * (x - a) ** 2 + 0.0 * helper_that_divides(x),
    "remainder": lambda x, a: -0.5 * (x - a) ** 2 + 0.0 * (1.0 % x),
    "logarithm": lambda x, a: -0.5 * (x - a) ** 2 + 0.0 * math.log(x - 0.5),
    "power": lambda x, a: -0.5 * (x - a) ** 2 + 0.0 * (x - 0.5) ** 0.5,
    "gamma": lambda x, a: -0.5 * (x - a) ** 2 + 0.0 * math.lgamma(x),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_one_problem_outside_of_the_domain(case):
    """Also where division by zero is an exception in Python: the promise of `Model`."""
    fit = fastnat.fit(fastnat.Model(OUTSIDE[case], one_score), BATCH)
    assert list(fit.success) == [True, False, True]
    assert np.isnan(fit.params[1, 0])
    np.testing.assert_allclose(fit.params[[0, 2], 0], BATCH[[0, 2]].mean(axis=1), rtol=1e-12)


def test_one_problem_that_cannot_start():
    """The first is checked in Python; the others must not raise or warn either."""
    for name in ["numba", "Python"]:
        factor = 1.0 if name == "numba" else Unknown()

        def start(x, factor=factor):
            scale = factor if isinstance(factor, float) else factor.factor
            return scale * np.log(x[1]) / x[1], 0.0

        model = normal(start=lambda x, start=start: start(x))
        fit = fastnat.fit(model, BATCH)
        assert list(fit.success) == [True, False, True], name


def test_infinite_values_in_several_columns():
    """inf and -inf of one observation are no missing value, and no warning."""
    model = fastnat.Model(line_loglik, line_score, n_data=2, start=lambda x, y: (0.0, 0.0))  # noqa: ARG005
    x = np.array([[1.0, 2.0, 3.0], [np.inf, 2.0, 3.0], [1.5e308, 1.0, 2.0]])
    y = np.array([[1.0, 3.0, 2.0], [-np.inf, 2.0, 3.0], [1.5e308, 1.0, 2.0]])
    fit = fastnat.fit(model, (x, y))
    assert list(fit.success) == [True, False, False]
    assert_same_bits(fit, fastnat.fit(LINE, (x, y)))


# ---- options ---------------------------------------------------------------------------------

BAD_OPTIONS = [
    ({"weights": "a"}, TypeError, ["weights", "real numbers"]),
    ({"weights": [1.0, 2.0]}, ValueError, ["weights", "(2,)", "(4,)"]),
    ({"weights": np.ones((3, 2))}, ValueError, ["weights", "(3, 2)"]),
    ({"weights": [[1.0], [1.0, 2.0]]}, ValueError, ["weights"]),
    ({"weights": 1j}, TypeError, ["weights", "complex128"]),
    ({"weights": np.ma.masked_array(np.ones(4))}, TypeError, ["weights", "masked", "filled(0)"]),
    ({"weights": -1.0}, ValueError, ["weights", "finite", "negative"]),
    ({"weights": [1.0, 1.0, 1.0, -5e-324]}, ValueError, ["weights", "finite", "negative"]),
    ({"weights": [1.0, np.nan, 1.0, 1.0]}, ValueError, ["weights", "finite", "negative"]),
    ({"weights": [np.inf, 0.0, 1.0, 1.0]}, ValueError, ["weights", "finite", "negative"]),
    ({"weights": 1e308}, ValueError, ["weights", "sum"]),
    ({"nan_policy": "skip"}, ValueError, ["nan_policy", "'skip'", "'omit'"]),
    ({"nan_policy": None}, ValueError, ["nan_policy", "None"]),
    ({"nan_policy": ["omit"]}, ValueError, ["nan_policy"]),
    ({"metric": "Newton"}, ValueError, ["metric", "'Newton'", "'observed'", "'auto'"]),
    ({"metric": None}, TypeError, ["metric"]),
    ({"metric": 1.0}, ValueError, ["metric", "(2, 2)", "()"]),
    ({"metric": [1.0, 1.0]}, ValueError, ["metric", "(2, 2)", "(2,)"]),
    ({"metric": np.eye(3)}, ValueError, ["metric", "(2, 2)", "(3, 3)"]),
    ({"metric": -np.eye(2)}, ValueError, ["metric", "positive definite"]),
    ({"metric": np.ones((2, 2))}, ValueError, ["metric", "positive definite"]),
    ({"metric": [[1.0, 2.0], [3.0, 40.0]]}, ValueError, ["metric", "symmetric"]),
    ({"metric": np.full((2, 2), np.nan)}, ValueError, ["metric", "finite"]),
    ({"metric": np.diag([1.0, np.inf])}, ValueError, ["metric", "finite"]),
    ({"metric": 1j * np.eye(2)}, TypeError, ["metric", "complex128"]),
    ({"metric": b"auto"}, TypeError, ["metric"]),
    ({"cov_type": "HC0"}, ValueError, ["cov_type", "'HC0'", "'sandwich'"]),
    ({"cov_type": True}, ValueError, ["cov_type", "True"]),
    ({"max_iter": 0}, ValueError, ["max_iter", "0"]),
    ({"max_iter": -3}, ValueError, ["max_iter", "-3"]),
    ({"max_iter": 10.0}, TypeError, ["max_iter", "10.0"]),
    ({"max_iter": None}, TypeError, ["max_iter", "None"]),
    ({"max_iter": 1 << 70}, (TypeError, ValueError), ["max_iter"]),
    ({"tol": -1e-9}, ValueError, ["tol", "-1e-09"]),
    ({"tol": np.nan}, ValueError, ["tol", "nan"]),
    ({"tol": "small"}, TypeError, ["tol", "'small'"]),
    ({"tol": None}, TypeError, ["tol", "None"]),
    ({"tol": 1j}, TypeError, ["tol", "1j"]),
    ({"tol": 10**400}, (TypeError, ValueError), ["tol"]),
    ({"trace": 1}, TypeError, ["trace", "1"]),
    ({"trace": None}, TypeError, ["trace", "None"]),
    ({"n_threads": 0}, ValueError, ["n_threads", "0"]),
    ({"n_threads": 1.0}, TypeError, ["n_threads", "1.0"]),
    ({"n_threads": "2"}, TypeError, ["n_threads", "'2'"]),
]


@pytest.mark.parametrize(("options", "error", "words"), BAD_OPTIONS, ids=lambda v: repr(v)[:40])
def test_options_that_are_refused(options, error, words):
    with refused(error, *words):
        fastnat.fit(NORMAL, X, **options)


def test_what_needs_fisher():
    for option in ["metric", "cov_type"]:
        with refused(ValueError, option, "'expected'", "fisher"):
            fastnat.fit(LINE, (X, X), **{option: "expected"})


def test_options_are_keywords():
    with pytest.raises(TypeError, match="positional"):
        fastnat.fit(NORMAL, X, [0.0, 1.0])
    with pytest.raises(TypeError, match="positional"):
        fastnat.Model(loglik, score, 1)


@pytest.mark.parametrize("model", [None, loglik, fastnat.Model, "normal"])
def test_what_is_no_model(model):
    with refused(TypeError, "model", "Model"):
        fastnat.fit(model, X)


def test_numbers_of_numpy_are_options():
    want = fastnat.fit(NORMAL, X, max_iter=50, tol=1.0 / 1024.0)
    for tol in [np.float64(1.0 / 1024.0), np.float32(1.0 / 1024.0)]:
        assert_same_bits(fastnat.fit(NORMAL, X, max_iter=np.int64(50), tol=tol), want)
    zero = fastnat.fit(NORMAL, X, tol=0)
    assert_same_bits(fastnat.fit(NORMAL, X, tol=np.int64(0), n_threads=np.int64(1)), zero)


BAD_DATA = {
    "a number": (1.0, ValueError, ["data", "dimension"]),
    "an array of no dimension": (np.array(1.0), ValueError, ["data", "dimension"]),
    "a string": ("abc", TypeError, ["data", "real numbers"]),
    "strings": (["1", "2"], TypeError, ["data", "real numbers"]),
    "complex": ([1.0, 2j], TypeError, ["data", "complex128"]),
    "objects": ([1.0, None], TypeError, ["data", "real numbers"]),
    "None": (None, TypeError, ["data"]),
    "dates": (np.array(["2020-01-01"], "M8[D]"), TypeError, ["data", "datetime64"]),
    "ragged": ([[1.0, 2.0], [3.0]], ValueError, ["data", "rectangular"]),
    "masked": (np.ma.masked_array(X), TypeError, ["data", "masked", "filled(np.nan)"]),
    "a mapping": ({"x": X}, TypeError, ["data"]),
}
BAD_PAIRS = {
    "one array": (np.array(X), ValueError, ["data", "tuple of 2", "n_data"]),
    "rows": (np.array([X, X]), ValueError, ["data", "tuple of 2", "n_data"]),
    "one of two": ((X,), ValueError, ["data", "tuple of 2"]),
    "three": ((X, X, X), ValueError, ["data", "tuple of 2", "3"]),
    "lengths": ((X, X[:3]), ValueError, ["data[0]", "(4,)", "data[1]", "(3,)"]),
    "numbers": ((1.0, 2.0), ValueError, ["data[0]", "dimension"]),
    "a string": ((X, "abcd"), TypeError, ["data[1]", "real numbers"]),
    "None": ((None, X), TypeError, ["data[0]"]),
    "masked": ((X, np.ma.masked_array(X)), TypeError, ["data[1]", "masked"]),
    "a number": (1.0, ValueError, ["data", "tuple of 2"]),
    "a mapping": ({"x": X, "y": X}, ValueError, ["data", "tuple of 2"]),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_data_that_are_refused(case):
    data, error, words = BAD_DATA[case]
    with refused(error, *words):
        fastnat.fit(NORMAL, data)


@pytest.mark.parametrize("case", BAD_PAIRS)
def test_tuples_of_data_that_are_refused(case):
    data, error, words = BAD_PAIRS[case]
    with refused(error, *words):
        fastnat.fit(LINE, data)


def test_weights_that_do_not_broadcast_name_all_shapes():
    with refused(ValueError, "weights (5,)", "data[0] (4,)"):
        fastnat.fit(LINE, (X, X), weights=np.ones(5))


def test_nan_policy_raise():
    for data in [[1.0, np.nan], [[1.0, 2.0], [np.nan, 3.0]]]:
        with refused(ValueError, "data", "NaN", "nan_policy"):
            fastnat.fit(NORMAL, data, nan_policy="raise")
    fit = fastnat.fit(NORMAL, [*X, np.nan], nan_policy="raise", weights=[1, 1, 1, 1, 0])
    assert fit.success


@pytest.mark.parametrize("scale", [1e4, 1e10, 1e150])
@pytest.mark.parametrize("correlation", [0.0, 0.9, 0.999999])
def test_a_badly_scaled_metric_is_positive_definite(scale, correlation):
    """Units must not matter: it is positive definite in any."""
    product = correlation  # of the two scales, which are inverse to each other
    metric = np.array([[scale**2, product], [product, scale**-2]])
    assert fastnat.fit(NORMAL, X, metric=metric, max_iter=3).nobs == 4.0


# ---- shapes ----------------------------------------------------------------------------------

N_OBS = scaled(40, 9)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (1, 2, 2), (0,), (2, 0)])
@pytest.mark.parametrize("cov_type", ["observed", "expected", "opg", "sandwich", None])
def test_shapes(shape, cov_type, rng):
    x = rng.normal(3.0, 2.0, (*shape, N_OBS))
    fit = fastnat.fit(NORMAL, x, cov_type=cov_type, trace=True)
    assert fit.params.shape == (*shape, 2)
    for name in ["loglik", "nobs", "nit", "status", "success"]:
        assert np.shape(getattr(fit, name)) == shape, name
    assert fit.params.dtype == np.float64
    assert fit.path.shape == (1 + np.max(fit.nit, initial=0), *shape, 2)
    assert np.all(fit.success)
    assert np.all(np.asarray(fit.nobs) == N_OBS)
    if cov_type is None:
        for ask in [lambda: fit.stderr, lambda: fit.cov_params, fit.conf_int]:
            with refused(ValueError, "cov_type"):
                ask()
    else:
        assert fit.stderr.shape == (*shape, 2)
        assert fit.cov_params.shape == (*shape, 2, 2)
        assert fit.conf_int().shape == (*shape, 2, 2)
    # Estimates against the closed form: tol is in standard deviations of one observation.
    want = fastnat.fit_normal(x)
    np.testing.assert_allclose(fit.params[..., 0], want.mu, rtol=0, atol=1e-10)
    np.testing.assert_allclose(fit.params[..., 1], np.log(want.sigma), rtol=0, atol=1e-10)
    np.testing.assert_allclose(fit.loglik, want.loglik, rtol=1e-12)
    first, second = fit
    assert same_bits(np.asarray(first), fit.params[..., 0])
    assert same_bits(np.asarray(second), fit.params[..., 1])
    if not shape:
        assert isinstance(fit.status, fastnat.Status)
        assert isinstance(fit.success, bool)
        for name in ["loglik", "nobs", "nit"]:
            assert isinstance(getattr(fit, name), np.generic), name
    else:
        assert fit.status.dtype == np.int8


def test_no_observations():
    for x, shape in [([], ()), (np.empty((3, 0)), (3,)), (np.empty((0, 0)), (0,))]:
        fit = fastnat.fit(NORMAL, x)
        assert np.shape(fit.status) == shape
        assert np.all(np.asarray(fit.status) == fastnat.Status.NO_DATA)
        assert np.all(np.isnan(fit.params))
        assert np.all(np.asarray(fit.loglik) == 0.0)
        assert np.all(np.asarray(fit.nobs) == 0.0)
    fit = fastnat.fit(LINE, ([], []), trace=True)
    assert fit.status.name == "NO_DATA"
    assert fit.path.shape == (1, 2)


def test_data_broadcast(rng):
    x, y = rng.normal(0, 1, N_OBS), rng.normal(0, 1, (2, 3, N_OBS))
    fit = fastnat.fit(LINE, (x, y))
    assert fit.params.shape == (2, 3, 2)
    assert_same_bits(fit, fastnat.fit(LINE, [np.broadcast_to(x, y.shape).copy(), y]))
    assert_same_bits(fit, fastnat.fit(LINE, (x, y), weights=1.0))
    column = fastnat.fit(LINE, (x[:, None, None], y[0, 0]))
    assert column.params.shape == (N_OBS, 1, 2)
    assert np.all(column.status == fastnat.Status.NOT_IDENTIFIED)  # x is constant
    # y = a + b x: least squares, whose condition is that of a handful of observations.
    want = np.polynomial.polynomial.polyfit(x, y.reshape(6, -1).T, 1).T
    np.testing.assert_allclose(fit.params.reshape(6, 2), want, rtol=0, atol=1e-10)


def test_weights_enlarge(rng):
    x = rng.normal(3.0, 2.0, N_OBS)
    weights = rng.integers(0, 4, (2, 2, N_OBS))
    fit = fastnat.fit(NORMAL, x, weights=weights)
    assert fit.params.shape == (2, 2, 2)
    for index in np.ndindex(2, 2):
        alone = fastnat.fit(NORMAL, x, weights=weights[index])
        for name in ["params", "stderr", "loglik", "nobs", "nit"]:
            assert same_bits(
                np.asarray(getattr(alone, name)), np.asarray(getattr(fit, name)[index])
            )
        repeated = fastnat.fit(NORMAL, np.repeat(x, weights[index]))
        # Sums in another order, through an iteration that stops at 1e-12 (see tol).
        np.testing.assert_allclose(fit.params[index], repeated.params, rtol=0, atol=1e-10)
        np.testing.assert_allclose(fit.stderr[index], repeated.stderr, rtol=1e-9)
        np.testing.assert_allclose(fit.loglik[index], repeated.loglik, rtol=1e-13)
    per_problem = fastnat.fit(NORMAL, np.stack([x, x]), weights=np.array([[1.0], [2.0]]))
    np.testing.assert_array_equal(per_problem.nobs, [N_OBS, 2 * N_OBS])


@pytest.mark.parametrize("metric", ["auto", "observed", "empirical", "expected", "euclidean"])
def test_unit_weights_change_nothing(metric, rng):
    x = rng.normal(0.5, 1.5, (3, N_OBS))
    fit = fastnat.fit(NORMAL, x, metric=metric)
    assert_same_bits(fit, fastnat.fit(NORMAL, x, metric=metric, weights=np.ones(N_OBS)))
    assert_same_bits(fit, fastnat.fit(NORMAL, x, metric=metric, nan_policy="omit"))


def test_weight_zero_and_omitted_are_not_looked_at(rng):
    x = rng.normal(3.0, 2.0, N_OBS)
    wide = np.concatenate([[np.nan], x[:4], [np.inf, -np.inf, np.nan], x[4:]])
    used = np.isfinite(wide).astype(float)
    want = fastnat.fit(NORMAL, x)
    for fit in [
        fastnat.fit(NORMAL, wide, weights=used),
        fastnat.fit(NORMAL, np.where(used > 0, wide, np.nan), nan_policy="omit"),
        fastnat.fit(NORMAL, wide, weights=used, nan_policy="omit"),
        fastnat.fit(normal(start=lambda x: (x[0], 0.0)), wide, weights=used),
    ]:
        np.testing.assert_allclose(fit.params, want.params, rtol=0, atol=1e-10)
        np.testing.assert_allclose(fit.stderr, want.stderr, rtol=1e-9)
        assert fit.nobs == want.nobs


VIEWS = {
    "fortran": np.asfortranarray,
    "reversed": lambda x: x[::-1, ::-1][::-1, ::-1],
    "strided": lambda x: np.repeat(np.repeat(x, 2, 0), 3, 1)[::2, ::3],
    "read-only": lambda x: np.broadcast_to(x, x.shape),
    "big-endian": lambda x: x.astype(">f8"),
    "float32": lambda x: x.astype(np.float32),
    "integers": lambda x: x.astype(np.int16),
    "unsigned": lambda x: x.astype(np.uint8),
    "long double": lambda x: x.astype(np.longdouble),
    "lists": lambda x: x.tolist(),
    "a frame": pd.DataFrame,
    "unaligned": lambda x: (
        np.frombuffer(b"a" + x.tobytes(), np.uint8)[1:].view("f8").reshape(x.shape)
    ),
}


@pytest.mark.parametrize("view", VIEWS)
def test_layouts_and_dtypes(view, rng):
    x = rng.integers(0, 100, (3, N_OBS)).astype(float)
    before = x.copy()
    start = [50.0, 3.0]
    want = fastnat.fit(NORMAL, x, start=start)
    assert np.all(want.success)
    assert_same_bits(fastnat.fit(NORMAL, VIEWS[view](x), start=start), want)
    assert_same_bits(
        fastnat.fit(NORMAL, x, weights=VIEWS[view](np.ones_like(x)), start=start),
        want,
    )
    np.testing.assert_array_equal(x, before)


def test_booleans_and_series():
    flags = np.array([True, False, True, True])
    fit = fastnat.fit(NORMAL, flags)
    assert_same_bits(fit, fastnat.fit(NORMAL, flags.astype(float)))
    series = pd.Series(X, index=list("abcd"))
    assert_same_bits(fastnat.fit(NORMAL, series), fastnat.fit(NORMAL, X))
    assert_same_bits(fastnat.fit(LINE, (series, series**2)), fastnat.fit(LINE, (X, np.square(X))))
    weights = pd.Series([1, 0, 2, 1])
    assert fastnat.fit(NORMAL, series, weights=weights).nobs == 4.0


def test_a_tuple_of_one_array():
    assert_same_bits(fastnat.fit(NORMAL, (np.array(X),)), fastnat.fit(NORMAL, X))
    assert_same_bits(fastnat.fit(NORMAL, tuple(X)), fastnat.fit(NORMAL, X))


# ---- starts ----------------------------------------------------------------------------------


def test_starts_of_every_kind(rng):
    x = rng.normal(3.0, 2.0, (3, N_OBS))
    starts = np.stack([x.mean(axis=1), np.zeros(3)], axis=1)
    want = fastnat.fit(NORMAL, x, start=starts, trace=True)
    assert same_bits(want.path[0], starts)
    for start in [
        lambda x: (x.mean(), 0.0),
        lambda x: [np.mean(x), 0],
        lambda x: np.array([np.mean(x), 0.0]),
        lambda x: (float(str(np.mean(x))), 0.0),  # not for numba
    ]:
        fit = fastnat.fit(normal(start=start), x, trace=True)
        # The mean of numba and that of NumPy sum in different orders.
        np.testing.assert_allclose(fit.path[0], starts, rtol=0, atol=1e-14)
        np.testing.assert_allclose(fit.params, want.params, rtol=0, atol=1e-10)
    for start in [[2.5, 0.0], np.array([[2.5, 0.0]]), np.array([2.5, 0.0], np.float32)]:
        fit = fastnat.fit(NORMAL, x, start=start, trace=True)
        assert np.all(fit.path[0] == [2.5, 0.0])
        assert_same_bits(fit, fastnat.fit(normal(start=start), x))
    assert np.all(fastnat.fit(NORMAL, x, trace=True).path[0] == 0.0)
    fit = fastnat.fit(normal(start=[9.0, 9.0]), x, start=[1, 1], trace=True)
    assert np.all(fit.path[0] == 1.0)


def test_a_start_is_not_modified():
    start = np.array([2.5, 0.0])
    model = normal(start=start)
    fastnat.fit(model, X)
    fastnat.fit(NORMAL, X, start=start)
    np.testing.assert_array_equal(start, [2.5, 0.0])
    start[:] = 1e9
    assert fastnat.fit(model, X, trace=True).path[0, 0] == 2.5, "a model keeps its own start"


def sorts(x):
    x.sort()
    return x[0], 0.0


def test_a_start_function_cannot_change_data_that_are_read_only():
    x = np.array([3.0, 1.0, 2.0, 5.0])
    before = x.copy()
    x.flags.writeable = False
    with contextlib.suppress(ValueError):  # says that the data are read-only
        fastnat.fit(normal(start=sorts), x)
    np.testing.assert_array_equal(x, before)


@compiled_only
def test_a_start_function_is_compiled_once(monkeypatch):
    made, compiled = [], _climb.with_policy
    monkeypatch.setattr(_climb, "with_policy", lambda *a: made.append(a) or compiled(*a))
    model = normal(start=lambda x: (x.mean(), 0.5))
    fits = [fastnat.fit(model, [1.0, 2.0, 4.0]) for _ in range(3)]
    assert len(made) == 1
    assert all(same_bits(fit.params, fits[0].params) for fit in fits)


class Alike:
    """Callables that say they are equal to all others, and one that has no hash."""

    def __init__(self, first, hashed=True):
        self.first, self.hashed = first, hashed

    def __call__(self, _):
        return self.first, 0.5

    def __eq__(self, other):
        return True

    def __hash__(self):
        if not self.hashed:
            raise TypeError("unhashable")
        return 1


def test_start_functions_are_who_they_are():
    for start in (Alike(1.0), Alike(2.0), Alike(3.0, hashed=False)):
        fit = fastnat.fit(normal(start=start), [1.0, 2.0, 4.0], trace=True)
        assert fit.path[0, 0] == start.first


def test_start_functions_see_what_counts():
    seen = []

    def start(x):
        seen.append(np.array(x, copy=True))
        return float(str(x[0])), 0.0  # not for numba

    x = np.array([[np.nan, 2.0, 3.0, 5.0], [np.nan] * 4, [1.0, 2.0, 4.0, 5.0]])
    weights = np.array([1.0, 1.0, 0.0, 1.0])
    fit = fastnat.fit(normal(start=start), x, weights=weights, nan_policy="omit")
    assert fit.status[1] == fastnat.Status.NO_DATA
    wanted = [[2.0, 5.0], [1.0, 2.0, 5.0]]
    assert [list(v) for v in seen[-2:]] == wanted


# ---- results ---------------------------------------------------------------------------------


def test_results_of_one_problem(rng):
    x = rng.normal(3.0, 2.0, N_OBS)
    fit = fastnat.fit(NORMAL, x)
    mu, log_sigma = fit
    want = fastnat.fit_normal(x)
    assert abs(mu - want.mu) < 1e-10
    assert abs(math.exp(log_sigma) - want.sigma) < 1e-10
    # The information comes from differences of the score: 3e-9 was seen.
    sigma = want.sigma
    np.testing.assert_allclose(fit.stderr, [sigma / N_OBS**0.5, 1 / (2 * N_OBS) ** 0.5], rtol=1e-8)
    np.testing.assert_allclose(np.diag(fit.cov_params), fit.stderr**2, rtol=1e-15)
    np.testing.assert_allclose(fit.cov_params, fit.cov_params.T, rtol=1e-12, atol=1e-15)
    interval = fit.conf_int(0.9)
    half = 1.6448536269514722 * fit.stderr
    np.testing.assert_allclose(interval[:, 0], fit.params - half, rtol=1e-14)
    np.testing.assert_allclose(interval[:, 1], fit.params + half, rtol=1e-14)
    assert fit.message == "The likelihood has its maximum here."
    assert repr(fit).startswith("<ModelFit: mu = ")
    assert "log_sigma = " in repr(fit)
    assert " +- " in repr(fit)
    assert " +- " not in repr(fastnat.fit(NORMAL, x, cov_type=None))
    fit.raise_for_status()


def test_kinds_of_covariance(rng):
    """Against the sums written out at the estimates."""
    x = rng.standard_t(5, scaled(500, 30))
    mu, log_sigma = fastnat.fit(NORMAL, x)
    scores = np.array([score(v, mu, log_sigma) for v in x])
    products = scores.T @ scores
    information = len(x) * np.array(fisher(mu, log_sigma))
    inverse = np.linalg.inv(information)  # observed and expected agree at a normal's maximum
    wanted = {
        "observed": inverse,
        "expected": inverse,
        "opg": np.linalg.inv(products),
        "sandwich": inverse @ products @ inverse,
    }
    for cov_type, want in wanted.items():
        fit = fastnat.fit(NORMAL, x, cov_type=cov_type)
        # The OPG is taken one step before the end: a distance of sqrt(tol) = 1e-6.
        atol = 1e-5 * want.max()
        np.testing.assert_allclose(fit.cov_params, want, rtol=1e-5, atol=atol)


def test_methods_of_intervals():
    fit = fastnat.fit(NORMAL, X)
    for method in ["profile", "exact"]:
        with refused(ValueError, f"'{method}'", "wald"):
            fit.conf_int(method=method)
    with refused(ValueError, "method", "'bootstrap'"):
        fit.conf_int(method="bootstrap")
    with refused(ValueError, "level", "95"):
        fit.conf_int(95)


def test_messages_and_repr_of_a_batch():
    x = np.array([X, [np.nan, 1, 2, 3], [5.0, 5.0, 5.0, 5.0], X])
    fit = fastnat.fit(NORMAL, x, weights=[[1.0], [1.0], [1.0], [0.0]])
    assert fit.message == "4 fits: 1 ok, 1 no_data, 1 nan_input, 1 max_iter"
    assert repr(fit) == f"<ModelFit: {fit.message}>"
    with pytest.raises(fastnat.FitError, match="1 nan_input"):
        fit.raise_for_status()
    assert np.all(np.isnan(fit.stderr[1:]))
    assert np.all(np.isnan(fit.conf_int()[1:]))
    assert np.all(np.isnan(fit.params[[1, 3]]))
    np.testing.assert_array_equal(fit.nobs, [4.0, np.nan, 4.0, 0.0])


def test_a_start_without_a_likelihood_is_not_blamed_on_the_data():
    """The observations are fine: the message has to say where to look."""
    fit = fastnat.fit(NORMAL, X, start=[1e200, 0.0])
    assert not fit.success
    assert "start" in fit.message


def test_pickle(rng):
    x = rng.normal(0, 1, (5, N_OBS))
    for options in [{}, {"cov_type": None}, {"trace": True}]:
        fit = fastnat.fit(NORMAL, x, **options)
        data = pickle.dumps(fit)
        again = pickle.loads(data)
        assert_same_bits(again, fit)
        assert repr(again) == repr(fit)
        assert again.param_names == fit.param_names
        assert (again.path is None) == ("trace" not in options)
    large = fastnat.fit(NORMAL, np.ones((2, scaled(100_000, 2000))), max_iter=1)
    assert len(pickle.dumps(large)) < 5000, "the data are not taken along"


@pytest.mark.parametrize("metric", ["auto", "observed", "empirical", "expected", "euclidean"])
def test_path(metric, rng):
    x = rng.normal(0.5, 1.3, (2, 3, N_OBS))
    x[1, 1, 3] = np.nan
    fit = fastnat.fit(NORMAL, x, start=[1.0, 0.5], metric=metric, trace=True, max_iter=200)
    assert fit.path.shape == (1 + fit.nit.max(), 2, 3, 2)
    for index in np.ndindex(2, 3):
        way, nit = fit.path[:, *index], fit.nit[index]
        if index == (1, 1):
            assert np.all(np.isnan(way))
            assert nit == 0
            continue
        assert np.all(way[0] == [1.0, 0.5])
        assert np.all(np.isfinite(way[: nit + 1]))
        assert np.all(np.isnan(way[nit + 1 :]))
        # The last accepted point; the free step from there is below the square root of tol.
        np.testing.assert_allclose(way[nit], fit.params[index], rtol=0, atol=3e-6)
        values = [sum(loglik(v, *point) for v in x[index]) for point in way[: nit + 1]]
        slack = 1e-12 * abs(values[-1])  # a loop sums in another order
        assert np.all(np.diff(values) >= -slack), "every accepted step ascends"
    assert fastnat.fit(NORMAL, x, metric=metric).path is None


def test_max_iter():
    fit = fastnat.fit(NORMAL, X, max_iter=1, trace=True)
    assert fit.status is fastnat.Status.MAX_ITER
    assert fit.nit == 1
    assert fit.path.shape == (2, 2)
    assert same_bits(fit.path[1], fit.params), "the last iterate"
    assert np.all(np.isnan(fit.stderr))
    assert "max_iter" in repr(fit)


FAST = ["auto", "observed", "expected"]
SLOW = ["empirical", "euclidean"]  # linear convergence does not get to tol=0


@pytest.mark.parametrize(
    ("metric", "tol"),
    [*product(FAST, [1e-3, 1e-6, 1e-12, 0.0]), *product(SLOW, [1e-3, 1e-6, 1e-12])],
)
def test_tol(metric, tol, rng):
    """A success is within sqrt(tol) standard deviations of the maximum, and tol=0 arrives."""
    x = rng.normal(0.5, 1.3, (4, N_OBS))
    fit = fastnat.fit(NORMAL, x, metric=metric, tol=tol, max_iter=2000)
    assert np.all(fit.success)
    error = np.abs(fit.params - np.stack([x.mean(-1), np.log(x.std(-1))], -1)) / x.std(-1)[:, None]
    assert np.all(error <= max(math.sqrt(tol), 1e-7))


# ---- neighbours ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["plain", "weights", "omit", "start"])
def test_bad_problems_do_not_change_their_neighbours(mode, rng):
    x = rng.normal(3.0, 2.0, (9, N_OBS))
    weights = rng.integers(0, 3, x.shape).astype(float)
    model, options = NORMAL, {}
    if mode == "weights":
        options = {"weights": weights}
        weights[4, 2] = 1.0
    elif mode == "omit":
        options = {"nan_policy": "omit"}
    elif mode == "start":
        model = normal(start=lambda x: (x.mean(), 0.5))
    want = fastnat.fit(model, x, **options)
    spoilt = x.copy()
    spoilt[1] = np.nan
    spoilt[3] = 5.0
    spoilt[4, 2] = np.inf
    spoilt[6] *= 1e200
    weights[7] = 0.0
    fit = fastnat.fit(model, spoilt, **options)
    assert not np.any(fit.success[[1, 3, 4, 6]])
    for k in [0, 2, 5, 8]:
        alone = fastnat.fit(
            model, x[k], **(options | {"weights": weights[k]} if mode == "weights" else options)
        )
        for name in ["params", "stderr", "cov_params", "loglik", "nobs", "nit", "status"]:
            got = np.asarray(getattr(fit, name)[k])
            assert same_bits(got, np.asarray(getattr(want, name)[k])), name
            if name != "status":
                assert same_bits(got, np.asarray(getattr(alone, name))), name


# ---- long problems ---------------------------------------------------------------------------


@pytest.fixture
def short_segments(monkeypatch):
    monkeypatch.setattr(_climb, "SEGMENT", scaled(1000, 20))
    return scaled(10_500, 110)


def long_and_short(monkeypatch, model, data, **options):
    """The fit in segments, and the same as one block."""
    long = fastnat.fit(model, data, **options)
    with monkeypatch.context() as patch:
        patch.setattr(_climb, "SEGMENT", 1 << 40)
        short = fastnat.fit(model, data, **options)
    return long, short


@pytest.mark.parametrize("metric", ["auto", "observed", "empirical", "expected"])
@pytest.mark.parametrize("mode", ["plain", "weights", "omit", "start"])
def test_long_problems(metric, mode, short_segments, monkeypatch, rng):
    n = short_segments
    x = rng.normal(0.5, 1.5, (2, n))
    model, options = NORMAL, {"metric": metric, "cov_type": "sandwich", "trace": True}
    if mode == "weights":
        options["weights"] = rng.integers(0, 3, x.shape)
        x[0, options["weights"][0] == 0] = np.nan
    elif mode == "omit":
        options["nan_policy"] = "omit"
        x[rng.random(x.shape) < 0.1] = np.nan
    elif mode == "start":
        model = normal(start=lambda x: (x.mean(), math.log(x.std())), fisher=fisher)
    long, short = long_and_short(monkeypatch, model, x, **options)
    assert np.all(long.success)
    np.testing.assert_array_equal(long.nobs, short.nobs)
    # Sums of n terms in another order, through the same iteration.
    np.testing.assert_allclose(long.params, short.params, rtol=0, atol=1e-11)
    np.testing.assert_allclose(long.stderr, short.stderr, rtol=1e-9)
    np.testing.assert_allclose(long.loglik, short.loglik, rtol=1e-13)
    for n_threads in scaled([1, 2, 3, 16], [3]):
        again = fastnat.fit(model, x, n_threads=n_threads, **options)
        assert_same_bits(again, long)
        assert same_bits(again.path, long.path)


def test_long_problems_without_a_maximum(short_segments, monkeypatch, rng):
    x = rng.normal(0.5, 1.5, (5, short_segments))
    x[1, -1] = np.nan
    x[2, 3] = np.inf
    x[3] = 1.0
    weights = np.ones((5, 1))
    weights[4] = 0.0
    long, short = long_and_short(monkeypatch, NORMAL, x, weights=weights, trace=True)
    np.testing.assert_array_equal(long.status, short.status)
    assert [fastnat.Status(s).name for s in long.status[:3]] == ["OK", "NAN_INPUT", "INVALID_INPUT"]
    assert long.status[4] == fastnat.Status.NO_DATA
    np.testing.assert_array_equal(long.nobs, short.nobs)
    np.testing.assert_array_equal(np.isnan(long.params), np.isnan(short.params))
    alone = fastnat.fit(NORMAL, x[0])
    assert same_bits(alone.params, long.params[0]), "neighbours"


def test_long_problems_with_a_bad_weight(short_segments):
    weights = np.ones(short_segments)
    weights[-1] = -1.0
    for n_threads in [1, 2]:
        with refused(ValueError, "weights", "finite", "negative"):
            fastnat.fit(NORMAL, np.ones(short_segments), weights=weights, n_threads=n_threads)


def test_long_problems_of_several_columns(short_segments, monkeypatch, rng):
    x = rng.normal(0, 1, short_segments)
    y = 1.0 + 2.0 * x + rng.normal(0, 1, (2, short_segments))
    long, short = long_and_short(monkeypatch, LINE, (x, y))
    np.testing.assert_allclose(long.params, short.params, rtol=0, atol=1e-12)
    wide = np.repeat(y, 2, axis=-1)[:, ::2]
    assert_same_bits(fastnat.fit(LINE, (x.astype(">f8"), wide)), long)


@compiled_only
def test_a_long_problem_of_the_real_length(rng):
    x = rng.normal(3.0, 2.0, 3 * _climb.SEGMENT + 17)
    fit = fastnat.fit(NORMAL, x)
    want = fastnat.fit_normal(x)
    np.testing.assert_allclose(fit.params, [want.mu, math.log(want.sigma)], rtol=0, atol=1e-11)
    for n_threads in [1, 2]:
        assert_same_bits(fastnat.fit(NORMAL, x, n_threads=n_threads), fit)
    at_the_border = fastnat.fit(NORMAL, x[: _climb.SEGMENT])
    beyond = fastnat.fit(
        NORMAL, x[: _climb.SEGMENT + 1], weights=np.arange(_climb.SEGMENT + 1) < _climb.SEGMENT
    )
    np.testing.assert_allclose(beyond.params, at_the_border.params, rtol=0, atol=1e-11)


def test_many_blocks_and_threads(rng):
    """Blocks of problems, with shapes that are cut in the middle."""
    x = rng.normal(3.0, 2.0, scaled((7, 300, 40), (2, 3, 9)))
    fit = fastnat.fit(NORMAL, x, n_threads=1)
    for n_threads in [2, 5, None]:
        assert_same_bits(fastnat.fit(NORMAL, x, n_threads=n_threads), fit)
    assert same_bits(fastnat.fit(NORMAL, x[1, 2]).params, fit.params[1, 2])


LONG = scaled(2_000_000, 2000)
STARTED = normal(start=lambda x: (x[0], 1.0))


@pytest.mark.parametrize("model", [NORMAL, STARTED], ids=["numbers", "a start function"])
@pytest.mark.parametrize("layout", ["contiguous", "reversed", "float32"])
def test_no_temporary_of_the_size_of_the_input(model, layout, monkeypatch):
    monkeypatch.setattr(_climb, "SEGMENT", scaled(1 << 17, 100))
    x = np.linspace(0.0, 5.0, LONG)
    x = {"contiguous": x, "reversed": x[::-1], "float32": x.astype(np.float32)}[layout]
    fastnat.fit(model, x[: 2 * _climb.SEGMENT], max_iter=2)  # compiles
    tracemalloc.start()
    try:
        fastnat.fit(model, x, max_iter=2, n_threads=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    scratch = 8 * _climb.SEGMENT + (1 << 20)  # a segment that had to be copied
    if model is STARTED:  # is given all observations as one array, those that are known
        scratch += 3 * LONG + (0 if layout == "contiguous" else 8 * LONG)
    assert peak < scratch
    if layout == "contiguous":
        assert scaled(scratch < x.nbytes, True), "the test can see a copy"


# ---- Ctrl-C, threads, processes --------------------------------------------------------------


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("kind", ["one long problem", "many problems"])
def test_ctrl_c_ends_a_fit(kind, n_threads, monkeypatch):
    """With the identity as a metric the location of so wide a sample takes millions of steps."""
    monkeypatch.setattr(_climb, "SEGMENT", scaled(1 << 17, 500))
    x = np.linspace(-2e3, 2e3, scaled(1_000_000, 4000))
    options = {"metric": "euclidean", "tol": 0.0, "start": [900.0, 7.0], "n_threads": n_threads}
    options["max_iter"] = 10**7
    if kind == "many problems":
        x = x.reshape(-1, 100)
        options["max_iter"] = 10**4
    fastnat.fit(NORMAL, x[:10], **(options | {"max_iter": 1}))  # compiles

    def interrupt():
        time.sleep(0.3)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):  # before the fit ends, which takes hours; a block 0.1 s
        fastnat.fit(NORMAL, x, **options)
    thread.join()
    assert fastnat.fit(NORMAL, X).success


def test_many_threads_at_once(rng):
    """Also the first call, which compiles."""
    x = rng.normal(3.0, 2.0, (scaled(20, 4), N_OBS))
    want = fastnat.fit(NORMAL, x)

    def new(x, a):
        return -0.5 * (x - a) ** 2 - 1.0

    fresh = fastnat.Model(new, one_score)
    with ThreadPoolExecutor(8) as pool:
        fits = [pool.submit(fastnat.fit, NORMAL, x, n_threads=1 + k % 3) for k in range(24)]
        others = [pool.submit(fastnat.fit, fresh, x) for _ in range(8)]
        for future in fits:
            assert_same_bits(future.result(), want)
        for future in others:
            assert_same_bits(future.result(), others[0].result())


def test_a_fit_in_a_worker_of_the_pool(rng):
    x = rng.normal(3.0, 2.0, (scaled(30, 5), N_OBS))
    want = fastnat.fit(NORMAL, x)
    fits = [None] * 12

    def work(i):
        fits[i] = fastnat.fit(NORMAL, x, n_threads=4)

    _blocks.run(work, len(fits), 4, 1 << 30)
    for fit in fits:
        assert_same_bits(fit, want)


SAMPLE = np.random.default_rng(3).normal(3.0, 2.0, (scaled(64, 8), N_OBS))


def fit_in_child(k):
    return fastnat.fit(NORMAL, SAMPLE[k:], n_threads=2).params


@pytest.mark.filterwarnings("default:This process:DeprecationWarning")  # forking is the test
def test_works_after_fork():
    want = fastnat.fit(NORMAL, SAMPLE).params
    _blocks.run(lambda _: time.sleep(0.001), 20, 2, 1 << 30)  # the pool has threads
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for k, params in enumerate(pool.map_async(fit_in_child, range(4)).get(60)):
            assert same_bits(params, want[k:])
        pool.close()
        pool.join()


@compiled_only
def test_the_same_functions_are_compiled_once(rng):
    x = rng.normal(3.0, 2.0, (3, N_OBS))
    fastnat.fit(NORMAL, x)
    with numba.core.event.install_recorder("numba:compile") as events:
        fastnat.fit(NORMAL, x)
        fastnat.fit(NORMAL, np.asfortranarray(x).astype(">f4"), start=[1, 1], metric="observed")
        fastnat.fit(NORMAL, x[0], cov_type="sandwich", trace=True, tol=1e-3)
        fastnat.fit(NORMAL, np.broadcast_to(x, (2, 3, N_OBS)), n_threads=2)
        fastnat.fit(fastnat.Model(loglik, score, fisher=fisher, start=[1.0, 1.0]), x)
    assert not events.buffer


# ---- anything at all -------------------------------------------------------------------------

ENDS = """
import sys
import fastnat
fit = fastnat.fit(fastnat.models.normal, [0.0], metric=sys.argv[1])
assert not fit.success
"""


def test_every_fit_ends():
    """One observation at the start: no score of mu, no curvature of log_sigma."""
    for metric in ["auto", "empirical", "expected", "euclidean"]:
        assert not fastnat.fit(NORMAL, [0.0], metric=metric).success
    command = [sys.executable, "-c", ENDS, "observed"]
    subprocess.run(command, check=True, timeout=600)  # else it would wait for ever


VALUES = st.one_of(
    st.floats(-1e3, 1e3, width=32),
    st.floats(allow_nan=False),
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1e200, 1e-200, 5e-324]),
)
WEIGHTS = st.sampled_from([0.0, 1.0, 1.0, 2.0, 0.5, 1e-3, 1e4])
OPTIONS = st.fixed_dictionaries(
    {
        "nan_policy": st.sampled_from(["propagate", "omit"]),
        "metric": st.sampled_from(["auto", "observed", "expected", "empirical", "euclidean"]),
        "cov_type": st.sampled_from(["observed", "expected", "opg", "sandwich"]),
        "tol": st.sampled_from([1e-12, 1e-6, 0.0]),
        "trace": st.booleans(),
    }
)
UNCHECKED = normal(fisher=fisher, check=False)


@settings(max_examples=scaled(400, 40))
@given(st.lists(st.tuples(VALUES, WEIGHTS), max_size=12), st.booleans(), OPTIONS)
def test_any_sample(pairs, weighted, options):
    """A status, never an exception or a warning; a success is where the closed form is."""
    x = np.array([p[0] for p in pairs])
    weights = np.array([p[1] for p in pairs])
    if not weighted:
        weights = np.ones(len(x))
    # See test_every_fit_ends: a kernel that does not end cannot be interrupted.
    assume(options["metric"] != "observed" or np.any(np.abs(x[weights > 0]) > 1e-100))
    fit = fastnat.fit(UNCHECKED, x, weights=weights if weighted else None, **options)
    fit.stderr, fit.cov_params, fit.conf_int(), fit.message, repr(fit), tuple(fit)
    used = weights > 0
    missing = np.isnan(x) & used
    if missing.any() and options["nan_policy"] == "propagate":
        assert fit.status.name == "NAN_INPUT"
        return
    used &= ~missing
    if not used.any():
        assert fit.status.name == "NO_DATA"
        return
    assert fit.nobs == pytest.approx(weights[used].sum(), rel=1e-14)
    if not np.all(np.isfinite(x[used])):
        assert not fit.success
    if not fit.success:
        assert np.all(np.isnan(fit.stderr))
        return
    want = fastnat.fit_normal(x[used], weights=weights[used])
    assert want.success
    distance = np.abs(fit.params - [want.mu, math.log(want.sigma)]) / [want.sigma, 1.0]
    # sqrt(tol), and what rounding leaves of a mean that is large beside its deviation.
    rounding = 1e-7 + 1e-13 * abs(want.mu) / want.sigma
    assert np.all(distance <= math.sqrt(options["tol"]) + rounding)
    # Of two distinct values the OPG is singular, and the score of sigma may be 0 for each: then
    # the sandwich of its variance is.  So it is to rounding if others are as good as equal to them.
    distinct = np.unique(np.round((x[used] - want.mu) / want.sigma, 6))
    if options["cov_type"] in ("observed", "expected") or len(distinct) > 2:
        assert np.all(fit.stderr > 0.0)
