"""Cholesky of one matrix and of many, and the curvature kept in matrices: against exact ones."""

import math

import mpmath
import numpy as np
import pytest
import scipy.linalg
from conftest import EPS, same_bits, scaled

from fastnat.kernels import (
    cholesky,
    cholesky_many,
    cholesky_solve,
    cholesky_solve_many,
    codes,
    curvature,
    linalg,
    log_det,
)


def definite(rng, p, spread=0.0):
    """A positive definite matrix, its correlation well conditioned, its scales 10**spread wide."""
    x = rng.standard_normal((p, 3 * p + 5))
    scale = 10.0 ** rng.uniform(-spread, spread, p)
    a = (x @ x.T) * np.outer(scale, scale)
    return (a + a.T) / 2


def upper_only(a):
    """The matrix with NaN where nothing may be read or written."""
    a = np.array(a, float)
    a[np.tril_indices(len(a), -1)] = np.nan
    return a


def below(a):
    return a[np.tril_indices(len(a), -1)]


def factored(a):
    """What `cholesky` makes of the upper triangle: U with NaN below."""
    factor = upper_only(a)
    assert cholesky(factor) is True
    assert np.all(np.isnan(below(factor)))
    return factor


def clean(factor):
    return np.where(np.tri(len(factor), k=-1, dtype=bool), 0.0, factor)


def lanes(matrices):
    """(n, p, p) or (n, p) as (p, p, n) or (p, n)."""
    return np.ascontiguousarray(np.moveaxis(np.array(matrices, float), 0, -1))


def hilbert(p):
    return 1.0 / (np.arange(1.0, p + 1)[:, None] + np.arange(p))


def exact(a):
    return mpmath.matrix(a.tolist())


def exact_pivots(a):
    """The pivots of elimination, over the diagonal, with 200 digits; the matrix is what it is."""
    p = len(a)
    with mpmath.workdps(200):
        m = exact(a)
        ratios = []
        for j in range(p):
            ratios.append(float(m[j, j] / mpmath.mpf(a[j, j])))
            for i in range(j + 1, p):
                share = m[i, j] / m[j, j]
                for k in range(j, p):
                    m[i, k] -= share * m[j, k]
        return ratios


def correlation(a):
    scale = 1.0 / np.sqrt(np.diag(a))
    return a * np.outer(scale, scale)


# ---- one matrix ------------------------------------------------------------------------------


def test_factor_and_solution_are_those_of_lapack_for_every_size(rng):
    for p in range(1, 61):
        a = definite(rng, p, spread=5.0)
        factor = factored(a)
        u = clean(factor)
        size = np.sqrt(np.diag(a))
        # |A - U'U| <= (p + 1) EPS / 2 |U'||U| (Higham, Accuracy and Stability, theorem 10.3), and
        # |U'||U| <= outer(size, size); as much again for the reciprocal roots and for this product.
        assert np.all(np.abs(a - u.T @ u) <= (p + 8) * EPS * np.outer(size, size))
        # Correlations have condition numbers below 100, so both are right to 100 p EPS.
        tolerance = 200 * p * EPS
        lapack = scipy.linalg.cholesky(a)
        assert np.all(np.abs(u - lapack) <= tolerance * size)
        b = rng.standard_normal(p) * size
        x = b.copy()
        assert cholesky_solve(factor, x) is None
        expected = scipy.linalg.cho_solve((lapack, False), b)
        length = np.linalg.norm(expected * size)
        assert np.linalg.norm((x - expected) * size) <= tolerance * length
        assert abs(log_det(factor) - np.linalg.slogdet(a)[1]) <= tolerance * p


def test_lower_triangle_is_not_read_when_solving_or_adding_logarithms(rng):
    """They have worked above with NaN there; with anything else the bits are the same."""
    a = definite(rng, 7)
    factor = factored(a)
    other = clean(factor)
    b = rng.standard_normal(7)
    x, y = b.copy(), b.copy()
    cholesky_solve(factor, x)
    cholesky_solve(other, y)
    assert same_bits(x, y)
    assert log_det(factor) == log_det(other)


@pytest.mark.parametrize("p", range(1, 12))
def test_hilbert_matrices_against_exact_arithmetic(p, rng):
    a = hilbert(p)
    factor = factored(a)
    size = np.sqrt(np.diag(a))
    with mpmath.workdps(60):
        m, u = exact(a), exact(clean(factor))
        residual = np.array((m - u.T * u).tolist(), float).reshape(p, p)
        # Backward stable whatever the condition: Higham's theorem 10.3, and 3 EPS for the roots.
        assert np.all(np.abs(residual) <= (p + 3) * EPS * np.outer(size, size))
        b = rng.standard_normal(p)
        x = b.copy()
        cholesky_solve(factor, x)
        # (A + dA) x = b with |dA| <= (3 p + 1) EPS / 2 |U'||U| (his theorem 10.4).
        left = np.array((m * exact(x[:, None]) - exact(b[:, None])).tolist(), float).ravel()
        bound = 2 * (p + 1) * EPS * np.abs(clean(factor)).T @ np.abs(clean(factor)) @ np.abs(x)
        assert np.all(np.abs(left) <= bound)
        condition = np.linalg.cond(correlation(a))
        solved = mpmath.lu_solve(m, exact(b[:, None]))
        expected = np.array(solved.tolist(), float).ravel()
        # The diagonally scaled condition number is what counts (theorem 10.6); |dA| in norm is p
        # times its entries.  From p = 10 on this promises nothing.
        length = np.linalg.norm(expected * size)
        relative = np.linalg.norm((x - expected) * size) / length
        assert relative <= 2 * p * (p + 1) * EPS * condition
        determinant = float(mpmath.log(mpmath.det(m)))
        # The logarithm of a pivot is off by its relative error, at most that of the last.
        assert abs(log_det(factor) - determinant) <= p * (p + 3) * EPS * condition


def test_what_counts_as_definite_is_the_pivot_over_the_diagonal():
    """Hilbert matrices: the exact pivots decide, but for those the rounding of pivots may turn."""
    seen = set()
    for p in range(1, 21):
        ratio = min(exact_pivots(hilbert(p))) / linalg.SMALLEST_PIVOT
        if not 0.5 < ratio < 1.5:  # pivots carry errors of a few EPS, a quarter of the limit
            expected = ratio > 1.0
            assert cholesky(upper_only(hilbert(p))) is expected
            assert cholesky_many(lanes([hilbert(p)])) == (not expected)
            seen.add(expected)
    assert seen == {True, False}


@pytest.mark.parametrize(("gap", "fine"), [(4, True), (3, True), (2, False), (1, False)])
def test_the_limit_itself(gap, fine):
    """Correlation 1 - gap 2**-48 leaves a pivot of gap 2**-47, in exact arithmetic and in this."""
    assert linalg.SMALLEST_PIVOT == 2.0**-46
    r = 1.0 - gap * 2.0**-48
    for scale in (1.0, 2.0**-500, 2.0**300):
        a = scale * np.array([[1.0, r], [r, 1.0]])
        assert cholesky(a.copy()) is fine
        assert cholesky_many(lanes([a])) == (not fine)


def test_exact_where_arithmetic_is_exact(rng):
    """U with powers of two on its diagonal comes back to the bit."""
    for p in (1, 2, 3, 5, 8, 13):
        u = np.triu(rng.integers(-8, 9, (p, p)) / 4)
        np.fill_diagonal(u, 2.0 ** rng.integers(-3, 4, p))
        a = u.T @ u
        assert same_bits(clean(factored(a)) + 0.0, u + 0.0)
        many = lanes([upper_only(a)])
        assert cholesky_many(many) == 0
        assert same_bits(clean(many[:, :, 0]) + 0.0, u + 0.0)
        x = rng.integers(-9, 10, p).astype(float)
        b = a @ x
        cholesky_solve(u, b)
        assert np.array_equal(b, x)
        # Sums of logarithms of powers of two: rounded once a term, relative to the largest sum.
        total = 2 * math.log(2.0) * np.log2(np.diag(u)).sum()
        assert abs(log_det(u) - total) <= 2 * p * p * 3 * EPS


def not_definite():
    a = np.array([[4.0, 1.0, 2.0], [1.0, 3.0, -1.0], [2.0, -1.0, 5.0]])
    yield from (np.zeros((p, p)) for p in (1, 2, 5))
    yield from (np.full((1, 1), bad) for bad in (-1.0, -0.0, np.nan, np.inf, -np.inf))
    yield np.ones((3, 3))
    yield -np.eye(2)
    yield np.array([[1.0, 2.0], [2.0, 1.0]])
    yield np.array([[0.0, 1.0], [1.0, 0.0]])
    yield np.diag([1.0, 2.0, 0.0])
    yield np.diag([0.0, 2.0, 1.0])
    yield np.diag([1.0, -1e-300])
    for j in range(3):
        for k in range(j, 3):
            for bad in (np.nan, np.inf, -np.inf):
                spoilt = a.copy()
                spoilt[j, k] = bad
                yield spoilt


def test_what_is_not_definite_is_told():
    for a in not_definite():
        one = upper_only(a)
        assert cholesky(one) is False, a
        assert np.all(np.isnan(below(one)))
        many = lanes([upper_only(a)])
        assert cholesky_many(many) == 1, a
        assert np.isnan(many[-1, -1, 0]), "factors hold NaN"
        b = np.ones((len(a), 1))
        cholesky_solve_many(many, b)
        assert np.all(np.isnan(b)), "nobody mistakes it for a solution"


def test_lower_triangle_is_left_alone_whatever_happens(rng):
    for a in (definite(rng, 6), np.ones((6, 6))):
        one = a.copy()
        cholesky(one)
        assert same_bits(below(one), below(a))
        many = lanes([a, a])
        cholesky_many(many)
        assert same_bits(below(many[:, :, 1]), below(a))


def test_scales_by_powers_of_two_change_no_digit(rng):
    """Scales of parameters, far apart; pivots are judged relative to the diagonal."""
    for p in (1, 2, 3, 8, 20):
        a = definite(rng, p)
        if p == 8:  # near the limit too
            a = hilbert(p)
        d = 2.0 ** rng.integers(-200, 200, p)
        scaled_a = a * np.outer(d, d)
        factor, other = factored(a), factored(scaled_a)
        assert same_bits(other, factor * d)
        b = rng.standard_normal(p)
        x, y = b.copy(), b * d
        cholesky_solve(factor, x)
        cholesky_solve(other, y)
        assert same_bits(y, x / d)
        many = lanes([a, scaled_a])
        assert cholesky_many(many) == 0
        assert same_bits(clean(many[:, :, 1]), clean(many[:, :, 0]) * d)
    bad = np.ones((3, 3))
    d = np.array([2.0**-300, 1.0, 2.0**300])
    assert not cholesky(bad * np.outer(d, d))


@pytest.mark.parametrize("power", [-1074, -1022, 1022])
def test_smallest_and_largest_numbers(power):
    """The smallest subnormal, the smallest normal and nearly the largest double."""
    one = np.array([[2.0**power]])
    many = lanes([one])
    assert cholesky(one)
    assert cholesky_many(many) == 0
    assert one[0, 0] == many[0, 0, 0] == 2.0 ** (power // 2)
    assert abs(log_det(one) - power * math.log(2.0)) <= 2 * EPS * abs(power)
    b = np.array([3.0 * 2.0**power / 2.0])
    cholesky_solve(one, b)
    assert b[0] == (1.5 if power > -1074 else 2.0), "3 / 2 of the smallest double is rounded to 2"


def test_no_parameters_at_all():
    empty = np.zeros((0, 0))
    assert cholesky(empty)
    assert log_det(empty) == 0.0
    cholesky_solve(empty, np.zeros(0))
    cholesky_solve_many(np.zeros((0, 0, 5)), np.zeros((0, 5)))
    around = np.full(40, -1.0)  # what lies next to the empty array is not looked at
    assert cholesky_many(around[20:20].reshape(0, 0, 5)) == 0


# ---- many matrices ---------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("n", [0, 1, 2, 63, 64, 65, 128, 200])
def test_many_are_bit_for_bit_a_loop_of_single_ones(p, n, rng):
    """Also where they do not fill a tile of 64, and where some are not definite."""
    n = scaled(n, min(n, 66))
    matrices = [definite(rng, p, spread=3.0) for _ in range(n)]
    failing = [i for i in range(n) if i % 7 == 3]
    for i in failing:
        matrices[i][p - 1, p - 1] *= -1
    rhs = rng.standard_normal((n, p))
    factors = np.full((p, p, n), np.nan)
    for i, a in enumerate(matrices):
        factors[:, :, i] = upper_only(a)
    b = lanes(rhs) if n else np.zeros((p, 0))
    assert cholesky_many(factors) == len(failing)
    assert cholesky_solve_many(factors, b) is None
    for i, a in enumerate(matrices):
        if i in failing:
            assert np.isnan(factors[p - 1, p - 1, i])
            continue
        one, x = factored(a), rhs[i].copy()
        cholesky_solve(one, x)
        assert same_bits(factors[:, :, i], one)
        assert same_bits(b[:, i], x)


@pytest.mark.parametrize("p", [1, 2, 5])
def test_bad_problems_do_not_touch_their_neighbours(p, rng):
    n = 130
    good = lanes([definite(rng, p) for _ in range(n)])
    rhs = rng.standard_normal((p, n))
    places = [0, 17, 63, 64, 127, 129]
    spoilt, b = good.copy(), rhs.copy()
    for place, bad in zip(places, (0.0, np.nan, np.inf, -1.0, -np.inf, np.nan), strict=True):
        spoilt[:, :, place] = bad
        b[:, place] = bad
    x = rhs.copy()
    assert cholesky_many(good) == 0
    cholesky_solve_many(good, x)
    assert cholesky_many(spoilt) == len(places)
    cholesky_solve_many(spoilt, b)
    others = np.delete(np.arange(n), places)
    assert same_bits(spoilt[:, :, others], good[:, :, others])
    assert same_bits(b[:, others], x[:, others])
    assert np.all(np.isnan(b[:, places]))


@pytest.mark.parametrize(("p", "n"), [(1, 1), (2, 9), (5, 64), (13, 3)])
def test_inverses_of_many_factors(p, n, rng):
    """Each is what scaling leaves, whatever is below the diagonal, and no lane knows of others."""
    units = 2.0 ** rng.integers(-100, 100, (n, p))
    uppers = [scipy.linalg.cholesky(definite(rng, p)) for _ in range(n)]
    factors = lanes([upper_only(u * unit) for u, unit in zip(uppers, units, strict=True)])
    out = np.full((p, p, n), 7.0)
    linalg.invert_many(factors, out)
    for t in range(n):
        inverse = np.triu(out[:, :, t]) * units[t][:, None]
        np.testing.assert_allclose(inverse @ uppers[t], np.eye(p), atol=1e-13)
        assert np.all(below(out[:, :, t]) == 7.0)
        alone = np.full((p, p, 1), 7.0)
        linalg.invert_many(factors[:, :, [t]].copy(), alone)
        assert same_bits(alone[:, :, 0], out[:, :, t])


# ---- curvature -------------------------------------------------------------------------------


def quietly(function, *args):
    """Helpers are called by kernels, which silence NumPy where they run as plain Python."""
    with np.errstate(all="ignore"):
        return function(*args)


def inverted(a):
    a = np.array(a, float)
    p = len(a)
    stderr, corr = np.full(p, 7.0), np.full((p, p), 7.0)
    quietly(curvature.invert, a, np.empty(p), stderr, corr)
    return stderr, corr


def test_inverse_as_standard_errors_and_correlations(rng):
    for p in (1, 2, 3, 7, 12):
        a = definite(rng, p, spread=100.0)  # whose inverse has entries up to 1e200
        stderr, corr = inverted(a)
        scale = 1.0 / np.sqrt(np.diag(a))
        expected = np.linalg.inv(correlation(a))
        root = np.sqrt(np.diag(expected))
        # Two backward stable inverses of a matrix whose condition number is below 100.
        np.testing.assert_allclose(stderr, scale * root, rtol=100 * p * EPS)
        np.testing.assert_allclose(corr, expected / np.outer(root, root), atol=200 * p * EPS)
        assert np.all(np.diag(corr) == 1.0)


@pytest.mark.parametrize(
    "a",
    [
        np.zeros((2, 2)),
        np.ones((2, 2)),
        np.diag([1.0, 0.0]),
        np.diag([1.0, -2.0]),
        np.array([[1.0, 2.0], [2.0, 1.0]]),
        np.full((2, 2), np.nan),
    ],
    ids=["zero", "singular", "zero entry", "negative", "indefinite", "nan"],
)
def test_inverse_of_what_has_none_is_nan(a):
    stderr, corr = inverted(a)
    assert np.all(np.isnan(stderr))
    assert np.all(np.isnan(corr[~np.eye(2, dtype=bool)]))


def test_sandwich_is_bread_meat_bread(rng):
    for p in (1, 2, 5):
        a, meat = definite(rng, p), definite(rng, p)
        stderr, corr = inverted(a)
        quietly(curvature.sandwich, meat.copy(), np.empty(p), np.empty((p, p)), stderr, corr)
        bread = np.linalg.inv(a)
        expected = bread @ meat @ bread
        root = np.sqrt(np.diag(expected))
        # Condition numbers below 100 each, three products.
        np.testing.assert_allclose(stderr, root, rtol=1e4 * EPS * p)
        np.testing.assert_allclose(corr, expected / np.outer(root, root), atol=1e4 * EPS * p)


def judged(information, products=None):
    information = np.array(information, float)
    p = len(information)
    products = np.zeros((p, p)) if products is None else np.array(products, float)
    before, direction = information.copy(), np.empty(p)
    code = quietly(curvature.definite, information, products, np.empty((p, p)), direction)
    assert same_bits(information, before)
    return code, direction


def test_definite_tells_a_maximum_from_a_saddle(rng):
    for p in (1, 2, 4, 7):
        a = definite(rng, p, spread=50.0)
        assert judged(a)[0] == codes.OK
        for j in range(p):
            b = a.copy()
            b[j, j] = -b[j, j]
            code, v = judged(b)
            assert code == codes.SADDLE
            assert v @ b @ v < 0.0
        flat = a.copy()
        flat[p - 1] = flat[:, p - 1] = 0.0
        assert judged(flat)[0] == codes.NOT_IDENTIFIED
        for bad in (np.nan, np.inf):
            spoilt = a.copy()
            spoilt[p - 1, p - 1] = bad
            assert judged(spoilt)[0] == codes.MAX_ITER
    # A pivot of gap, to first order, is rounding below 1e-9.
    for gap, code in ((2e-9, codes.OK), (5e-10, codes.NOT_IDENTIFIED)):
        r = 1.0 - 0.5 * gap
        assert judged([[1.0, r], [r, 1.0]])[0] == code
        assert judged([[1.0, 1.0 / r], [1.0 / r, 1.0]])[0] == (code or codes.SADDLE)
    # The outer product says how large rounding may be.
    edge = 1.0 / (curvature._FLAT * curvature._NOISE)
    assert judged([[1.0]], [[0.9 * edge]])[0] == codes.OK
    assert judged([[1.0]], [[1.1 * edge]])[0] == codes.NOT_IDENTIFIED
    assert judged([[-1.0]], [[1.1 * edge]])[0] == codes.NOT_IDENTIFIED
    assert judged([[-1.0]], [[0.9 * edge]])[0] == codes.SADDLE


def test_bfgs_learns_the_curvature_of_a_step(rng):
    p = 4
    for _ in range(20):
        bfgs, a = definite(rng, p), definite(rng, p)
        base, theta, grad = rng.standard_normal((3, p))
        step = theta - base
        grad_there = grad - a @ step
        args = (base, theta, grad, grad_there, np.empty(p), np.empty(p))
        if step @ a @ step >= 0.2 * (step @ bfgs @ step):  # else Powell damps
            new = bfgs.copy()
            quietly(curvature.update_bfgs, new, *args)
            size = np.abs(bfgs).max() + np.abs(a).max()
            # The secant equation; a rank-two update of matrices of condition numbers below 100.
            np.testing.assert_allclose(new @ step, a @ step, atol=1e4 * EPS * size)
        # It stays positive definite where the log-likelihood is convex, or does not change.
        for there in (grad + a @ step, grad):
            new = bfgs.copy()
            quietly(curvature.update_bfgs, new, base, theta, grad, there, *args[4:])
            assert np.linalg.eigvalsh(new)[0] > 0.0
            # Powell's choice: a fifth of the curvature is left.
            np.testing.assert_allclose(step @ new @ step, 0.2 * (step @ bfgs @ step), rtol=1e-10)
        new = bfgs.copy()
        quietly(curvature.update_bfgs, new, base, base.copy(), grad, grad, *args[4:])
        assert same_bits(new, bfgs), "no step, nothing learnt"


@pytest.mark.parametrize("p", [1, 2, 5, 9])
def test_what_the_others_leave_of_a_column(p, rng):
    """1 over the inflation of its variance, whatever the units."""
    x = rng.normal(size=(30, p)) @ np.triu(rng.normal(size=(p, p)) + 2.0 * np.eye(p))
    gram = x.T @ x
    upper, column = np.zeros((p + 1, p + 1)), np.full(p + 1, 7.0)
    upper[:p, :p] = np.linalg.cholesky(gram).T
    want = np.min(1.0 / (np.diag(gram) * np.diag(np.linalg.inv(gram))))
    np.testing.assert_allclose(linalg.least_alone(upper, p, column), want, rtol=1e-12)
    assert column[p] == 7.0
    assert want < 1.0 or p == 1
