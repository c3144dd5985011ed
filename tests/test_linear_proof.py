"""That a search shows by itself that there is a maximum: beside linear programs, and SciPy."""

import numpy as np
import pytest
from conftest import scaled
from scipy import special

import fastnat
from fastnat import Status, _existence, _linear
from fastnat.kernels import linear_memory, linear_proof, linear_terms, linear_values

INF = np.inf
N = scaled(40, 8)


def nobody(*_):
    raise AssertionError("a linear program is asked")


def designs(rng, n_fits, n, p):
    x = rng.normal(size=(n_fits, n, p))
    x[..., 0] = 1.0
    return x, x @ np.linspace(0.5, -1.0, p) + rng.normal(size=(n_fits, n))


def rounded(y, to):
    low = np.floor(y / to) * to
    return low, low + to


def as_limits(y, limit):
    """Only whether each value is above its limit."""
    above = y > limit
    return np.where(above, limit, -INF), np.where(above, INF, limit)


def cases(rng):
    x, y = designs(rng, N, 60, 3)
    yield x, rounded(y, 1.0), {}
    yield x, rounded(y, 1e-5), {}
    yield x, as_limits(y, rng.normal(size=y.shape)), {}
    yield x, (1e8 + y, 1e8 + y + 0.25), {}
    yield x, rounded(1e-150 * y, 2e-151), {}
    yield x * [1.0, 1e9, 1e-9], rounded(y, 1.0), {}
    yield x, rounded(y, 1.0), {"weights": 10.0 ** rng.integers(-6, 7, y.shape)}
    yield x, rounded(y, 1.0), {"cov_type": "sandwich", "tol": 1e-6}
    low, high = rounded(y, 1.0)
    low[:, :2] = high[:, :2] = y[:, :2]  # two values are known
    yield x, (low, high), {}


def test_where_there_is_a_maximum_nothing_else_is_asked(rng, monkeypatch):
    monkeypatch.setattr(_linear, "judge", nobody)
    for x, (low, high), options in cases(rng):
        fit = fastnat.fit_linear(low, x, upper=high, **options)
        assert np.all(fit.status == Status.OK), (options, np.unique(fit.status))
        assert np.max(fit.nit) <= 40


def test_one_long_problem_asks_nobody_either(rng, monkeypatch):
    """Its rows are told by segments."""
    monkeypatch.setattr(_linear, "judge", nobody)
    monkeypatch.setattr(_linear, "LONG", 50)
    x, y = designs(rng, 1, 300, 3)
    low, high = rounded(y[0], 0.5)
    fit = fastnat.fit_linear(low, x[0], upper=high)
    monkeypatch.undo()
    short = fastnat.fit_linear(low, x[0], upper=high)
    assert fit.status == short.status == Status.OK
    np.testing.assert_allclose(fit.params, short.params, rtol=1e-10)


def test_with_covariates_of_the_scale_programs_are_asked(rng, monkeypatch):
    """Also of a long problem, whose search then goes on."""
    x, y = designs(rng, 1, 80, 2)
    low, high = rounded(y[0], 0.5)
    short, asked = fastnat.fit_linear(low, x[0], x[0], upper=high), []
    judge = _linear.judge
    monkeypatch.setattr(_linear, "LONG", 50)
    monkeypatch.setattr(_linear, "judge", lambda *problem: asked.append(1) or judge(*problem))
    fit = fastnat.fit_linear(low, x[0], x[0], upper=high)
    assert asked == [1]
    assert fit.status == short.status == Status.OK
    np.testing.assert_allclose(fit.params, short.params, rtol=1e-10)


@pytest.mark.parametrize(
    ("curvature", "slope", "proven"),
    [
        (1.0, 0.01, True),
        (1.0, 0.1, False),
        (1.0, np.nan, False),
        (0.0, 0.01, False),
        (np.nan, 0.01, False),
    ],
)
def test_slope_and_curvature_decide(curvature, slope, proven):
    """Of two parameters of which nothing is asked: M is 1 for 1 / sigma, which is 1."""
    memory = linear_memory.new_memory(1, 1)
    for matrix in (linear_memory.INFORMATION, linear_memory.BASIS_X):
        memory[matrix][:] = np.eye(len(memory[matrix]))
    memory[linear_memory.INFORMATION][0, 0] = curvature
    memory[linear_memory.GRAD][:] = slope
    told = np.zeros(linear_values.told_size(1, 1))
    assert linear_proof.is_proven(memory, told, np.array([0.0, 1.0])) == proven


@pytest.mark.parametrize(("total", "proven"), [(4e27, True), (2e28, False)])
def test_rounding_counts_in_the_columns_as_they_are_given(total, proven):
    """Both H_jj (H^-1)_jj are 1, whatever the units and the basis, and trace(H^-1 M) is 1 / 4."""
    memory = linear_memory.new_memory(2, 1)
    memory[linear_memory.INFORMATION][:] = np.diag([9.0, 9.0, 4.0])
    memory[linear_memory.BASIS_X][:] = np.diag([1e-3, 1e5])
    memory[linear_memory.GRAD][:] = 0.0
    memory[linear_memory.CELLS][linear_memory.TOTAL] = total * 2.0 / 3.0
    told = np.zeros(linear_values.told_size(2, 1))
    at = np.array([0.0, 0.0, 1.0])
    assert linear_proof.is_proven(memory, told, at) == proven
    # A second column that is the first but for 1e-3 of its length has 1e6 of both.
    memory[linear_memory.BASIS_X][:] = [[1.0, 1.0], [0.0, 1e-3]]
    memory[linear_memory.CELLS][linear_memory.TOTAL] = total / 1e6
    assert linear_proof.is_proven(memory, told, at) == proven


def random_problem(rng):
    """A few rows of all kinds, with designs that often separate them."""
    n, p = int(rng.integers(3, 13)), int(rng.integers(1, 4))
    x = np.round(rng.normal(size=(n, p)), int(rng.integers(0, 2)))
    x[:, 0] = 1.0
    y = np.round(x @ rng.normal(size=p) + rng.normal(size=n), int(rng.integers(0, 3)))
    kind = rng.choice(4, n, p=rng.dirichlet([0.5, 1.0, 1.0, 1.0]))
    width = rng.choice([0.1, 1.0, 4.0])
    low = np.where(kind == 1, -INF, y)
    high = np.select([kind == 0, kind == 2, kind == 3], [y, INF, y + width], y)
    return low, high, x


def test_a_search_never_calls_a_maximum_what_is_none(rng):
    """Linear programs, which share nothing with the proof, say the same of every problem."""
    seen = {True: 0, False: 0}
    none = np.empty(0)
    for _ in range(scaled(600, 150)):
        low, high, x = random_problem(rng)
        fit = fastnat.fit_linear(low, x, upper=high)
        if fit.status == Status.NOT_IDENTIFIED:
            continue
        columns = low, high, none, none, none, none, none, none, none
        problem = _existence.Problem(columns, x, np.empty((0, 0)), linear_memory.CENSORED)
        limit = _existence.judge(problem, _linear.loglik_of)
        assert (limit is None) == (fit.status == Status.OK), (low, high, x, limit, fit)
        if limit is not None:
            assert fit.status == limit.status
        seen[limit is None] += 1
    assert min(seen.values()) > scaled(80, 5)


@pytest.mark.parametrize("tol", [1e-3, 1e-12, 1e-300])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_separated_rows_are_no_maximum_wherever_the_search_stops(rng, tol, scale):
    """A column separates the rows that have it; the others have intervals."""
    x, y = designs(rng, N, 40, 3)
    x[:, :10, 2] = 0.0
    x[:, 10:, 2] = np.sign(x[:, 10:, 2])
    low, high = rounded(y, 1.0)
    up = x[..., 2] > 0.0
    low[:, 10:] = np.where(up, y - 3.0, -INF)[:, 10:]
    high[:, 10:] = np.where(up, INF, y + 3.0)[:, 10:]
    weights = np.full(y.shape, scale)
    fit = fastnat.fit_linear(low, x, upper=high, tol=tol, weights=weights)
    assert np.all(fit.status == Status.MU_INFINITE)


def test_limits_on_a_plane_but_for_rounding_say_nothing_of_sigma(rng):
    for n, p, round_x in ((20, 2, False), (60, 3, True)):
        x, y = designs(rng, N, n, p)
        x = np.round(x, 1) if round_x else x
        limit = x @ np.linspace(0.3, -0.7, p)
        low, high = as_limits(y, limit)
        fit = fastnat.fit_linear(low, x, upper=high)
        assert np.all(fit.status == Status.NOT_IDENTIFIED)


@pytest.mark.parametrize(
    ("weight", "shift", "tol"),
    [(1e10, 100.0, 1e-20), (1e4, 1e5, 1e-300), (1e14, 100.0, 1e-12), (1e12, 0.0, 1e-300)],
)
def test_heavy_rows_that_depend_but_for_rounding_hide_no_separation(rng, weight, shift, tol):
    """A column is a combination of others in all rows but a few, which it separates."""
    x, _ = designs(rng, N, 30, 3)
    low, high = rounded(x[..., 1] + rng.normal(size=x.shape[:2]), 1.0)
    x[..., 1] += shift
    x[..., 2] = 0.3 * x[..., 1] + 0.7
    up = rng.random(x.shape[:2]) < 0.5
    x[:, 22:, 2] += np.where(up, 1.0, -1.0)[:, 22:]
    low[:, 22:] = np.where(up, low, -INF)[:, 22:]
    high[:, 22:] = np.where(up, INF, high)[:, 22:]
    weights = np.full(low.shape, weight)
    weights[:, 22:] = 1.0
    fit = fastnat.fit_linear(low, x, upper=high, weights=weights, tol=tol)
    assert np.all(fit.status == Status.MU_INFINITE)


def test_known_values_on_a_plane_but_for_rounding_have_no_sigma(rng):
    """Also if they come as intervals without width, or some of them are limits."""
    x, _ = designs(rng, N, 12, 3)
    y = x @ [0.1, -0.7, 0.3]
    assert np.all(fastnat.fit_linear(y, x, upper=y).status == Status.SIGMA_ZERO)
    above = np.where(np.arange(12) < 3, INF, y)
    assert np.all(
        fastnat.fit_linear(y - 0.01 * (above == INF), x, upper=above).status == Status.SIGMA_ZERO
    )


def test_densities_at_the_ends_of_an_interval_are_bounded(rng):
    """By what the proof takes for a bound, less what it takes for the largest end."""
    lower = np.concatenate([rng.normal(0.0, 8.0, 2000), rng.normal(0.0, 1.0, 2000)])
    width = 10.0 ** rng.uniform(-6.0, 2.0, lower.size)
    upper = lower + width
    size = np.maximum(np.abs(lower), np.abs(upper))
    flip = lower > 0.0  # to the side where probabilities keep their digits
    a, b = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
    log_p = special.log_ndtr(b) + np.log(-np.expm1(special.log_ndtr(a) - special.log_ndtr(b)))
    density = np.exp(-0.5 * np.array([a, b]) ** 2 - 0.5 * np.log(2.0 * np.pi) - log_p)
    assert np.all(np.isfinite(density))
    assert np.all(size + density.sum(axis=0) <= linear_terms.AT_ENDS * (1.0 / width + size + 1.0))
