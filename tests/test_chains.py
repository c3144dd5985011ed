"""Tables and designs whose columns are each near one before, which pivots do not show.

They are X = N B with N well conditioned and B known; all numbers are dyadic and exact.  So what is
invariant, or changes by log|det B|, must be that of N.
"""

import math
from fractions import Fraction

import numpy as np
import pytest

import fastnat
from fastnat import Status
from fastnat.streaming import LinearStats, MvnStats

NAN, INF = np.nan, np.inf

# Tolerances are rounding times the condition, s**-(d - 1), times the weight, and some room.


def dyadic(values, bits=12):
    return np.round(values * 2.0**bits) / 2.0**bits


def links(d, s):
    """B: the first column, itself and a little of the second, the second and a little of ..."""
    b = np.diag(np.full(d, s)) + np.diag(np.ones(d - 1), 1)
    b[0, 0] = 1.0
    return b


def chain(rng, n, d, s):
    """(N, X): every pivot of X is about s**2, its condition s**-(d - 1)."""
    own = dyadic(rng.normal(size=(n, d)))
    return own, own @ links(d, s)


def change(d, s, rows):
    """Of the log-likelihood, if so many rows have the first d columns."""
    return -rows * (d - 1) * math.log(s)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("d", "tol"), [(2, 1e-9), (3, 1e-9), (4, 1e-7), (5, 1e-4)])
def test_tables(d, tol, weighted, rng):
    own, x = chain(rng, 60, d, 2.0**-6)
    w = rng.integers(1, 4, 60) if weighted else np.ones(60)
    weights = w if weighted else None
    fit, want = (fastnat.fit_mvn(table, weights=weights) for table in (x, own))
    assert fit.status is Status.OK
    assert math.isclose(
        fit.loglik, want.loglik + change(d, 2.0**-6, w.sum()), rel_tol=0.0, abs_tol=tol
    )


def test_a_table_that_is_singular(rng):
    """What is left of the last column is rounding, but its pivot is not."""
    own, x = chain(rng, 60, 5, 2.0**-7)
    x[:, 4] = own[:, 3]
    fit = fastnat.fit_mvn(x)
    assert fit.status is Status.SINGULAR
    assert "of rank 4 of 5" in fit.message


@pytest.mark.parametrize(("d", "tol"), [(3, 1e-8), (4, 1e-6), (5, 1e-3)])
def test_entries_that_are_missing(d, tol, rng):
    """The last columns are, so that what is left of X is what is left of N times a part of B."""
    s = 2.0**-6
    own, x = chain(rng, 60, d, s)
    for table in (own, x):
        table[:10, d - 1] = NAN
        table[:5, d - 2] = NAN
    fit, want = (fastnat.fit_mvn(table, nan_policy="mle") for table in (x, own))
    assert fit.status is Status.OK
    expected = want.loglik + change(d, s, 50) + change(d - 1, s, 5) + change(d - 2, s, 5)
    assert math.isclose(fit.loglik, expected, rel_tol=0.0, abs_tol=tol)
    stats = MvnStats(nan_policy="mle")
    for rows in (x[:25], x[25:]):
        stats.update(rows)
    assert math.isclose(stats.fit().loglik, expected, rel_tol=0.0, abs_tol=tol)


@pytest.mark.parametrize(("d", "tol"), [(4, 1e-7), (5, 1e-6), (6, 1e-4)])
def test_streams_of_tables_and_regressions(d, tol, rng):
    s = 2.0**-6
    own, x = chain(rng, 200, d, s)
    y = x[:, -1] + rng.normal(size=200)
    tables, rows = MvnStats(), LinearStats()
    for part in (slice(70), slice(70, 200)):
        tables.update(x[part])
        rows.update(y[part], x[part])
    expected = fastnat.fit_mvn(own).loglik + change(d, s, 200)
    assert math.isclose(tables.fit().loglik, expected, rel_tol=0.0, abs_tol=1e3 * tol)
    fit, want = rows.fit(), fastnat.fit_linear(y, own)
    assert fit.status is Status.OK
    assert math.isclose(fit.sigma, want.sigma, rel_tol=tol)
    assert math.isclose(fit.loglik, want.loglik, rel_tol=0.0, abs_tol=tol)
    np.testing.assert_allclose(links(d, s) @ fit.coef, want.coef, atol=tol)
    back = np.linalg.inv(links(d, s))
    spread = np.sqrt(np.diag(back @ want.cov_params[:-1, :-1] @ back.T))
    np.testing.assert_allclose(fit.stderr[:-1], spread, rtol=tol)


# ---- exact rows that do not tell a coefficient ------------------------------------------------


def null_vector(x):
    """The only direction in which rows do not change, exactly."""
    rows = [[Fraction(float(value)) for value in row] for row in x]
    pivots = []
    for column in range(x.shape[1]):
        at = len(pivots)
        below = [k for k in range(at, len(rows)) if rows[k][column] != 0]
        if not below:
            continue
        rows[at], rows[below[0]] = rows[below[0]], rows[at]
        rows[at] = [value / rows[at][column] for value in rows[at]]
        for k, row in enumerate(rows):
            if k != at and row[column] != 0:
                rows[k] = [a - row[column] * b for a, b in zip(row, rows[at], strict=True)]
        pivots.append(column)
    (free,) = {*range(x.shape[1])} - {*pivots}
    direction = [Fraction(0)] * x.shape[1]
    direction[free] = Fraction(1)
    for row, column in zip(rows, pivots, strict=False):
        direction[column] = -row[free]
    return direction


@pytest.mark.parametrize("kind", ["plain", "weights", "scale"])
@pytest.mark.parametrize(("d", "s", "seed"), [(4, 2.0**-8, 0), (5, 2.0**-7, 2), (6, 2.0**-6, 1)])
def test_exact_rows_that_leave_a_direction_open(d, s, seed, kind):
    """All censored rows gain along it, so there is no maximum."""
    rng, n, m = np.random.default_rng(seed), 60, 25
    own, x = chain(rng, n, d, s)
    x[:, -1] = own[:, -2]
    x[-m:] = dyadic(rng.normal(size=(m, d)))
    direction = null_vector(x[:-m])
    for row in x[-m:]:
        if sum(Fraction(float(a)) * b for a, b in zip(row, direction, strict=True)) > 0:
            row *= -1.0
    y = x.sum(axis=1) + rng.normal(size=n)
    low = np.where(np.arange(n) < n - m, y, -INF)
    options = {"weights": rng.uniform(0.5, 2.0, n)} if kind == "weights" else {}
    z = np.column_stack([np.ones(n), rng.normal(size=n)]) if kind == "scale" else None
    assert fastnat.fit_linear(low, x, z, upper=y, **options).status is Status.MU_INFINITE
