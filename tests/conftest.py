"""Sizes, random numbers and comparisons that all tests share."""

import gc
import re
import signal
import zlib
from contextlib import contextmanager

import hypothesis
import numba
import numpy as np
import pytest

import fastnat

COMPILED = not numba.config.DISABLE_JIT
"""With NUMBA_DISABLE_JIT=1 kernels run as plain Python, about 1000 times slower."""

EPS = 2.0**-52

# All that numba has compiled stays, and Python's collector would walk over it a hundred times.
gc.set_threshold(100_000, 50, 1000)

hypothesis.settings.register_profile(
    "fastnat",
    deadline=None,  # the first example may compile
    derandomize=True,  # the same examples everywhere: a failure is never a matter of luck
    database=None,
    max_examples=300 if COMPILED else 25,
)
hypothesis.settings.load_profile("fastnat")


def scaled(compiled, plain):
    """The first when compiled, the second when kernels run as plain Python."""
    return compiled if COMPILED else plain


@pytest.fixture
def rng(request):
    """Random numbers of the test's own, the same at every run."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


def same_bits(a, b):
    """Whether two arrays are the same to the last bit and the sign of zero; any NaN is a NaN."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind != "f":
        return np.array_equal(a, b)
    return np.array_equal(a, b, equal_nan=True) and np.array_equal(
        np.signbit(a) & ~np.isnan(a), np.signbit(b) & ~np.isnan(b)
    )


def assert_same_bits(a, b):
    """All that two fits say agrees to the last bit."""
    names = ["params", "nobs", "loglik", "status", "nit"]
    if a.cov_type is not None:
        names += ["stderr", "cov_params"]
    for name in names:
        first, second = np.asarray(getattr(a, name)), np.asarray(getattr(b, name))
        assert first.shape == second.shape, name
        with np.errstate(invalid="ignore"):
            gap = np.abs(first - second)
        assert same_bits(first, second), f"{name} differs by up to {np.max(gap, initial=0.0)}"


def assert_agree(a, b, mu=4.0, sigma=1e-14):
    """The promise for other layouts: 4 ulp of the mean, 1e-14 of sigma.

    An ulp of the mean is taken at sigma where the mean is smaller: sums that cancel are not
    known any better, whatever the order of their terms.
    """
    assert np.array_equal(a.status, b.status)
    assert np.allclose(a.nobs, b.nobs, rtol=1e-15 * max(1, np.size(a.nobs)), atol=0)
    good = np.asarray(a.status) == fastnat.Status.OK
    assert same_bits(np.asarray(a.params)[~good], np.asarray(b.params)[~good])
    a_mu, b_mu, a_sigma, b_sigma = (np.asarray(v)[good] for v in (a.mu, b.mu, a.sigma, b.sigma))
    unit = np.spacing(np.maximum(np.abs(a_mu), a_sigma))
    assert np.all(np.abs(a_mu - b_mu) <= mu * unit)
    assert np.all(np.abs(a_sigma - b_sigma) <= sigma * a_sigma)


def assert_one_sentence(message, *words):
    """It names the argument, is one sentence of one line, and would read well aloud."""
    for word in words:
        assert word in message
    assert "\n" not in message
    assert not re.search(r"[.!?]\s+[A-Z]", message)
    assert not message.endswith((".", "!"))
    assert 10 < len(message) < 200
    assert message.isascii()


@contextmanager
def refused(error, *words):
    """The block raises this error, with one sentence that contains these words."""
    with pytest.raises(error) as caught:
        yield
    assert_one_sentence(str(caught.value), *words)


@pytest.fixture
def interruptible():
    """Python's own handler of Ctrl-C, which a test run in the background has not got."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
