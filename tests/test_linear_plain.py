"""Plain least squares, many at a time: in 40 digits, beside others, and what is not plain."""

import mpmath
import numpy as np
import pytest
from conftest import assert_same_bits, same_bits, scaled

import fastnat
from fastnat import Status
from fastnat.kernels import codes, linear_design, linear_memory, linear_outcome, linear_plain

mp = mpmath.mp.clone()
mp.dps = 40
EMPTY = np.empty(0)


def data(rng, n_fits, n, p, noise=1.0):
    """(Y, X, weights): a design and weights for each, columns of different sizes."""
    X = rng.normal(size=(n_fits, n, p)) * 10.0 ** rng.integers(-3, 4, p)
    X[..., 0] = 1.0
    Y = np.sum(X * rng.normal(size=p), axis=2) + noise * rng.normal(size=(n_fits, n))
    return Y, X, rng.uniform(0.1, 3.0, (n_fits, n))


def kernel(Y, X, weights=EMPTY, cov=1, reml=False):
    """What the kernel alone makes of problems with a design each: how many are left, and which."""
    n_fits, n, p = X.shape
    results, params = np.empty((n_fits, linear_outcome.R_SIZE)), np.empty((n_fits, p + 1))
    out = results, params, np.empty((n_fits, p + 1)), np.empty((n_fits, p + 1, p + 1))
    ends = np.arange(n_fits + 1) * n
    flat = Y.reshape(-1), weights.reshape(-1), X.reshape(-1, p)
    pending = linear_plain.fit_rows(*flat, ends, n, reml, cov, 0, *out)
    left = results[:, linear_outcome.R_STATUS] == linear_memory.PENDING
    assert pending == np.sum(left)
    return np.flatnonzero(left).tolist(), params


def exact(y, X, w, reml):
    """(b, standard errors with that of log sigma, correlations of b, log-likelihood)."""
    n, p = X.shape
    x, y, w = mp.matrix(X.tolist()), mp.matrix(y.tolist()), [mp.mpf(value) for value in w]
    wx = mp.matrix(n, p)
    for i in range(n):
        for j in range(p):
            wx[i, j] = w[i] * x[i, j]
    gram = x.T * wx
    inverse = gram**-1
    b = inverse * (wx.T * y)
    rest = y - x * b
    total = mp.fsum(w)
    dof = total - p if reml else total
    variance = mp.fsum(w[i] * rest[i] ** 2 for i in range(n)) / dof
    loglik = -dof / 2 * (mp.log(2 * mp.pi * variance) + 1)
    if reml:
        loglik -= mp.log(mp.det(gram)) / 2
    errors = [mp.sqrt(inverse[j, j]) for j in range(p)]
    corr = [[inverse[j, k] / errors[j] / errors[k] for k in range(p)] for j in range(p)]
    errors = [mp.sqrt(variance) * error for error in errors] + [1 / mp.sqrt(2 * dof)]
    return [np.array(part, float) for part in (list(b), errors, corr, loglik)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize(("n", "p"), [(3, 1), (9, 2), (40, 5), (17, 8), (33, 11), (70, 26)])
@pytest.mark.parametrize("noise", [1.0, 1e-3])
def test_in_many_digits(n, p, reml, weighted, noise, rng):
    """More problems than lanes; a second pass where little is left of the values."""
    n_fits = scaled(67, 3)
    Y, X, weights = data(rng, n_fits, n, p, noise)
    assert kernel(Y, X, weights if weighted else EMPTY, reml=reml)[0] == []
    fit = fastnat.fit_linear(Y, X, weights=weights if weighted else None, reml=reml)
    assert np.all(fit.status == Status.OK)
    tol = 1e-14 * max(n, np.max(np.abs(Y)) / noise)
    for k in {0, n_fits - 1}:
        w = weights[k] if weighted else np.ones(n)
        b, errors, corr, loglik = exact(Y[k], X[k], w, reml)
        np.testing.assert_allclose((fit.coef[k] - b) / errors[:p], 0.0, atol=tol)
        np.testing.assert_allclose(fit.stderr[k], errors, rtol=tol)
        found = fit.cov_params[k] / np.outer(fit.stderr[k], fit.stderr[k])
        np.testing.assert_allclose(found[:p, :p], corr, atol=1e-11)
        assert np.all(found[p, :p] == 0.0)
        np.testing.assert_allclose(fit.loglik[k], loglik, atol=n * tol)
        np.testing.assert_allclose(fit.nobs[k], w.sum(), rtol=1e-15)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("p", [2, 5, 9])
def test_neighbours_do_not_matter(p, weighted, rng):
    """To the last bit: alone, in any lane, in any order, on threads, beside what is not plain."""
    n_fits = scaled(150, 5)
    Y, X, weights = data(rng, n_fits, 21, p)
    Y[1] = X[1] @ np.ones(p)  # a plane goes through all
    Y[2, 7], X[3, 4, 0] = np.nan, np.inf
    X[4, :, -1] = X[4, :, 0]
    options = {"weights": weights} if weighted else {}
    left, _ = kernel(Y, X, weights if weighted else EMPTY)
    assert left == [1, 2, 3, 4]
    fit = fastnat.fit_linear(Y, X, **options)
    assert_same_bits(fit, fastnat.fit_linear(Y, X, **options, n_threads=2))
    order = rng.permutation(n_fits)
    mixed = {name: w[order] for name, w in options.items()}
    other = fastnat.fit_linear(Y[order], X[order], **mixed)
    assert same_bits(other.params, fit.params[order])
    assert same_bits(other.stderr, fit.stderr[order])
    for k in (0, 1, 4, n_fits - 1):
        own = {name: w[k] for name, w in options.items()}
        alone = fastnat.fit_linear(Y[k], X[k], **own)
        for name in ("params", "stderr", "cov_params"):
            assert same_bits(getattr(alone, name), getattr(fit, name)[k]), (k, name)
        assert same_bits(alone.loglik, fit.loglik[k])
        assert alone.status == fit.status[k]


def test_a_design_that_all_share(rng):
    """Bit for bit what it is if it is each one's own, with weights as well."""
    n_fits = scaled(130, 3)
    Y, X, weights = data(rng, n_fits, 30, 4)
    own = np.repeat(X[:1], n_fits, axis=0)
    for options in ({}, {"weights": weights}, {"reml": True}, {"cov_type": None}):
        shared = fastnat.fit_linear(Y, X[0], **options)
        assert_same_bits(shared, fastnat.fit_linear(Y, own, **options))


def test_units_do_not_matter(rng):
    """Powers of two of the weights, the values and the columns change no digit."""
    Y, X, weights = data(rng, 3, 25, 4)
    fit = fastnat.fit_linear(Y, X, weights=weights)
    units = 2.0 ** np.array([-200, 0, 30, 120])
    other = fastnat.fit_linear(2.0**40 * Y, X * units, weights=weights)
    assert np.array_equal(other.coef, 2.0**40 * fit.coef / units)
    assert np.array_equal(other.stderr[:, :-1], 2.0**40 * fit.stderr[:, :-1] / units)
    np.testing.assert_allclose(other.sigma, 2.0**40 * fit.sigma, rtol=1e-14)
    heavy = fastnat.fit_linear(Y, X, weights=2.0**60 * weights)
    assert np.array_equal(heavy.coef, fit.coef)
    ones = fastnat.fit_linear(Y, X, weights=np.ones_like(Y))
    assert_same_bits(ones, fastnat.fit_linear(Y, X))


def test_whole_weights_are_repetitions(rng):
    Y, X, _ = data(rng, 1, 30, 3)
    counts = rng.integers(1, 4, 30)
    fit = fastnat.fit_linear(Y[0], X[0], weights=counts)
    repeated = fastnat.fit_linear(np.repeat(Y[0], counts), np.repeat(X[0], counts, axis=0))
    np.testing.assert_allclose(fit.params, repeated.params, rtol=1e-13)
    np.testing.assert_allclose(fit.stderr, repeated.stderr, rtol=1e-13)
    assert fit.nobs == repeated.nobs


def test_weights_that_are_not_plain(rng):
    """One of 0 hides its row; those that cannot be used raise; others are not touched."""
    Y, X, weights = data(rng, 4, 20, 2)
    Y[1, 3], weights[1, 3] = np.nan, 0.0
    weights[2] = 1e-300  # squares may underflow
    weights[3, 1:] = 0.0
    assert kernel(Y, X, weights)[0] == [1, 2, 3]
    fit = fastnat.fit_linear(Y, X, weights=weights)
    assert [Status(s).name for s in fit.status[[0, 1, 3]]] == ["OK", "OK", "NOT_IDENTIFIED"]
    rest = np.delete(np.arange(20), 3)
    dropped = fastnat.fit_linear(Y[1, rest], X[1, rest], weights=weights[1, rest])
    np.testing.assert_allclose(fit.params[1], dropped.params, rtol=1e-12)
    for bad in (-1.0, np.nan, np.inf):
        weights[0, 5] = bad
        assert kernel(Y, X, weights)[0] == [0, 1, 2, 3]
        with pytest.raises(ValueError, match="weights"):
            fastnat.fit_linear(Y, X, weights=weights)


def test_as_many_rows_as_coefficients_are_not_plain(rng):
    """Nor fewer, nor none, nor no more weight than coefficients where that is asked for."""
    for n in (0, 1, 3):
        Y, X, weights = data(rng, 2, n, 3)
        assert kernel(Y, X, weights)[0] == [0, 1]
        assert kernel(Y, X)[0] == [0, 1]
    Y, X, weights = data(rng, 2, 5, 3)
    light = weights * [[3.1], [2.9]] / weights.sum(axis=1, keepdims=True)
    assert kernel(Y, X, light)[0] == []
    assert kernel(Y, X, light, reml=True)[0] == [1]
    assert kernel(Y[:0], X[:0])[0] == []


def test_lanes():
    """As many as there are problems, few of large ones, one at least."""
    for p, n_fits, expected in (
        (1, 5, 5),
        (1, 10**6, 64),
        (20, 1000, 10),
        (500, 1000, 1),
        (3, 0, 1),
    ):
        assert linear_design.lanes_of(p, n_fits) == expected


@pytest.mark.parametrize(
    ("scale", "weight", "column"),
    [(1e202, 1e-301, 1e150), (1e-160, 1e170, 1.0), (1e150, 1e-200, 1.0), (1.0, 1e-290, 1.0)],
)
def test_weights_of_any_size_leave_a_sigma(scale, weight, column, rng):
    """Whose square may not be a number of moderate size."""
    y = 3.0 + rng.normal(size=50)
    fit = fastnat.fit_linear(scale * y, np.full((50, 1), column), weights=np.full(50, weight))
    assert fit.status == 0
    assert fit.scale_coef[0] - np.log(scale) == pytest.approx(np.log(np.std(y)), abs=1e-9)
    assert fit.coef[0] * (column / scale) == pytest.approx(np.mean(y), rel=1e-12)


@pytest.mark.parametrize("exponent", [-470, -460, -450, -440, -400, 0])
@pytest.mark.parametrize("seed", range(6))
def test_years_and_tiny_values_with_little_left(seed, exponent):
    """What a fit leaves may be 0 by rounding, and then too small for squares."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(400), 2000.0 + np.floor(10.0 * rng.random(400))])
    y = X @ [1.0, 0.002] + 1e-9 * rng.normal(size=400)
    fit = fastnat.fit_linear(np.ldexp(y, exponent), X)
    assert fit.status == 0
    coef, stderr = (np.ldexp(a, -exponent) for a in (fit.coef, fit.stderr[:2]))
    centred = X[:, 1] - X[:, 1].mean()
    slope = centred @ (y - y.mean()) / (centred @ centred)
    assert coef[1] == pytest.approx(slope, abs=1e-3 * stderr[1])
    assert coef @ X.mean(axis=0) == pytest.approx(y.mean(), rel=1e-12)
    assert stderr[1] == pytest.approx(1e-9 / np.sqrt(centred @ centred), rel=0.2)


def test_a_unit_is_no_less_than_the_least_number():
    """Where values are that, and a fit leaves nothing of them."""
    X = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 4.0]])
    for value in (5e-324, 1e-320, 2.0**-1022):
        fit = fastnat.fit_linear(np.full(4, value), X)
        assert fit.status == codes.SIGMA_ZERO
        assert fit.coef[0] == pytest.approx(value, abs=5e-324)
        assert abs(fit.coef[1]) <= value
