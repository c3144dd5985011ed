"""The natural-gradient step, the ascent and the root, driven by Python and by compiled code."""

import math

import numpy as np
import pytest
import scipy.optimize
from conftest import EPS, same_bits, scaled
from numba import njit

from fastnat.kernels import ascent, codes, natural_step, natural_step_mvn, root

# ---- the step --------------------------------------------------------------------------------


def definite(rng, p):
    """A positive definite matrix with a condition number below 100."""
    x = rng.standard_normal((p, 3 * p + 5))
    return x @ x.T


def stepped(metric, grad, damping=0.0):
    """(decrement, step, what is left of the metric)."""
    metric, grad = np.array(metric, float), np.array(grad, float)
    before, step = grad.copy(), np.full(len(grad), 7.0)
    decrement = natural_step(metric, grad, damping, step)
    assert same_bits(grad, before)
    return decrement, step, metric


def damping_used(metric, factor):
    """The multiple of the absolute diagonal that U'U has beyond the metric."""
    u = np.triu(factor)
    size = np.abs(np.diag(metric))
    size = np.where(size > 0.0, size, size.max())
    shares = (np.diag(u.T @ u) - np.diag(metric)) / size
    # Differences of entries that the factor's error of some EPS is relative to.
    assert np.ptp(shares) <= 16 * EPS * (1.0 + np.abs(shares).max())
    return shares[0]


def test_step_solves_and_leaves_the_factor(rng):
    for p in range(1, 13):
        metric, grad = definite(rng, p), rng.standard_normal(p)
        decrement, step, left = stepped(metric, grad)
        expected = np.linalg.solve(metric, grad)
        # Two backward stable solutions, condition number below 100.
        tolerance = 200 * p * EPS
        assert np.linalg.norm(step - expected) <= tolerance * np.linalg.norm(expected)
        assert abs(decrement - grad @ expected) <= tolerance * abs(grad @ expected)
        u = np.triu(left)
        size = np.sqrt(np.diag(metric))
        # The factor's backward error, see test_linalg.py.
        assert np.all(np.abs(u.T @ u - metric) <= (p + 8) * EPS * np.outer(size, size))
        lower = np.tril_indices(p, -1)
        assert same_bits(left[lower], metric[lower])


def test_step_without_parameters():
    assert stepped(np.zeros((0, 0)), [])[0] == 0.0


def test_zero_gradient_is_no_step(rng):
    decrement, step, _ = stepped(definite(rng, 4), np.zeros(4))
    assert decrement == 0.0
    assert np.all(step == 0.0)


def test_units_by_powers_of_two_change_no_digit(rng):
    """Also of the damping, which is relative to the diagonal."""
    for metric in (definite(rng, 5), np.ones((5, 5)), 3.0 * np.ones((5, 5)) - 2.5 * np.eye(5)):
        grad, d = rng.standard_normal(5), 2.0 ** rng.integers(-99, 99, 5)
        for damping in (0.0, 0.25):
            decrement, step, _ = stepped(metric, grad, damping)
            other, scaled_step, _ = stepped(metric * np.outer(d, d), grad * d, damping)
            assert other == decrement
            assert same_bits(scaled_step, step / d)


@pytest.mark.parametrize("damping", [1e-12, 0.125, 1.0, 1e12])
def test_damping_asked_for_is_added(damping, rng):
    for metric in (
        definite(rng, 4),
        np.diag([1.0, -2.0, 3.0, 4.0]) if damping > 1.0 else np.eye(4),
    ):
        grad = rng.standard_normal(4)
        damped = metric + damping * np.diag(np.abs(np.diag(metric)))
        decrement, step, left = stepped(metric, grad, damping)
        expected = stepped(damped, grad)
        assert decrement == expected[0]
        assert same_bits(step, expected[1])
        assert same_bits(np.triu(left), np.triu(expected[2]))


@pytest.mark.parametrize("beyond", [1e-8, 1e-6, 0.01, 0.3, 1.0, 7.0, 1e4, 1e8])
@pytest.mark.parametrize("p", [2, 3])
def test_no_more_damping_than_tenfold_what_is_needed(beyond, p):
    """Correlations of 1 + beyond: the least eigenvalue, over the diagonal, is exactly -beyond."""
    metric = np.eye(p)
    metric[0, 1] = metric[1, 0] = 1.0 + beyond
    grad = np.arange(1.0, p + 1)
    decrement, step, left = stepped(metric, grad)
    used = damping_used(metric, left)
    # A hair more for the pivots that must stand out of rounding, 2**-46 of the diagonal.
    assert beyond < used <= 10.0 * beyond * (1.0 + 1e-6)
    assert decrement > 0.0
    assert decrement == pytest.approx(grad @ step, rel=1e-15)
    damped = metric + used * np.diag(np.diag(metric))
    # The condition number of the damped metric is at most (2 + 11 beyond) / (used - beyond).
    tolerance = 1e-5
    np.testing.assert_allclose(damped @ step, grad, rtol=tolerance)


def test_singular_metrics_are_damped_as_little_as_can_be():
    metric = np.ones((3, 3))
    _, _, left = stepped(metric, np.ones(3))
    assert damping_used(metric, left) == pytest.approx(1e-9, rel=1e-6)
    # With some damping of its own it needs none.
    _, _, left = stepped(metric, np.ones(3), 0.5)
    assert damping_used(metric, left) == pytest.approx(0.5, rel=1e-14)


def test_a_zero_on_the_diagonal_is_damped_as_the_largest():
    decrement, step, left = stepped(np.diag([0.0, 4.0]), [1.0, 1.0])
    assert damping_used(np.diag([0.0, 4.0]), left) == pytest.approx(1e-9, rel=1e-6)
    np.testing.assert_allclose(step, [1.0 / 4e-9, 0.25], rtol=1e-8)  # the damping of the second
    assert decrement == pytest.approx(step.sum(), rel=1e-15)


def test_the_step_ascends_whatever_the_metric(rng):
    for _ in range(50):
        p = int(rng.integers(1, 6))
        metric = rng.standard_normal((p, p)) * 10.0 ** rng.uniform(-3, 3, (p, 1))
        metric = metric + metric.T
        grad = rng.standard_normal(p)
        decrement, step, _ = stepped(metric, grad)
        assert decrement > 0.0
        assert decrement == pytest.approx(grad @ step, rel=1e-12)  # sums of at most five terms


def test_a_metric_that_no_damping_helps():
    good = np.array([[4.0, 1.0, 2.0], [1.0, 3.0, -1.0], [2.0, -1.0, 5.0]])
    cases = [np.zeros((1, 1)), np.zeros((3, 3))]
    for j in range(3):
        for k in range(3):
            for bad in (np.nan, np.inf, -np.inf):
                spoilt = good.copy()
                spoilt[j, k] = spoilt[k, j] = bad
                cases.append(spoilt)
    for metric in cases:
        for damping in (0.0, 1.0):
            assert math.isnan(stepped(metric, np.ones(len(metric)), damping)[0]), metric


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_gradient_is_never_a_finite_decrement(bad, rng):
    for place in range(3):
        grad = np.ones(3)
        grad[place] = bad
        assert not math.isfinite(stepped(definite(rng, 3), grad)[0])


# ---- the ascent ------------------------------------------------------------------------------


class Climb:
    """One ascent, driven from Python, and all that could be seen on the way."""

    def __init__(self, model, theta, tol=1e-8, floor=0.0, max_iter=100, total=1.0, junk=np.nan):
        self.theta = np.array(theta, float)
        p = len(self.theta)
        assert ascent.state_size(p) == ascent.BASE + 2 * p
        state = self.state = np.full(ascent.state_size(p), junk)
        assert ascent.start(state, self.theta, total, tol, floor, max_iter) is None
        self.trials, self.accepted, self.told = [], [], []
        code = ascent.RUNNING
        while code == ascent.RUNNING:
            here = self.theta.copy()
            loglik, grad, metric = model(here)
            grad, metric = np.array(grad, float), np.array(metric, float)
            before = metric.copy()
            ok = ascent.accepts(state, loglik, grad)
            assert ok in (True, False)
            code = ascent.advance(state, loglik, grad, metric, self.theta)
            self.trials.append(here)
            self.told.append(loglik)
            self.accepted.append(bool(ok))
            base = state[ascent.BASE : ascent.BASE + p]
            if ok:
                assert same_bits(base, here)
                assert state[ascent.LOGLIK] == loglik
            else:
                assert same_bits(metric, before), "not looked at if the point is rejected"
            assert len(self.trials) < 5000
        self.code = code
        self.nit = int(state[ascent.NIT])
        self.nfev = len(self.trials)
        self.last = [t for t, ok in zip(self.trials, self.accepted, strict=True) if ok][-1:]
        assert self.nit == max(sum(self.accepted) - 1, 0)
        # Wherever it ends: theta is the last accepted point.
        assert same_bits(self.theta, self.last[0] if self.last else np.array(theta, float))


def quadratic(centre, metric):
    centre, metric = np.array(centre, float), np.array(metric, float)

    def model(theta):
        d = theta - centre
        return -0.5 * d @ metric @ d, -metric @ d, metric

    return model


def test_a_quadratic_takes_one_step(rng):
    for p in (1, 2, 5):
        metric, centre = definite(rng, p), rng.standard_normal(p)
        climb = Climb(quadratic(centre, metric), rng.standard_normal(p) + 5.0)
        assert (climb.code, climb.nit, climb.nfev) == (codes.OK, 1, 2)
        # The step of length below 20 is solved for with a condition number below 100.
        np.testing.assert_allclose(climb.theta, centre, atol=20 * 100 * p * EPS)
        again = Climb(quadratic(centre, metric), centre)
        assert (again.code, again.nit, again.nfev) == (codes.OK, 0, 1)
        assert same_bits(again.theta, centre)


def hyperbola(theta):
    """-sqrt(1 + x x): Newton's steps overshoot from beyond one, to minus the cube."""
    x = theta[0]
    r = math.sqrt(1.0 + x * x)
    return -r, [-x / r], [[1.0 / r**3]]


@pytest.mark.parametrize("start", [2.0, -3.0, 10.0, 40.0])
def test_steps_are_halved_until_they_bring_a_share_of_the_promise(start):
    climb = Climb(hyperbola, [start], tol=1e-10)
    assert climb.code == codes.OK
    assert abs(climb.theta[0]) <= 1e-10
    assert not all(climb.accepted)
    base = loglik = size = None
    for trial, told, ok in zip(climb.trials, climb.told, climb.accepted, strict=True):
        if base is not None:
            x = base[0]
            step = -x * (1.0 + x * x)
            # The trial is where the halving says, to the rounding of the quotients.
            assert abs(trial[0] - (x + size * step)) <= 8 * EPS * abs(size * step) + 1e-300
            promised = size * step * (-x / math.sqrt(1.0 + x * x))
            margin = told - (loglik + 1e-4 * promised)
            if abs(margin) > 2e-13 * (1.0 + abs(loglik)):  # else the slack for rounding decides
                assert ok == (margin > 0.0)
        if ok:
            base, loglik, size = trial, told, 1.0
        else:
            size *= 0.5


def test_the_share_is_a_ten_thousandth_and_depends_on_size_and_total():
    for total in (1.0, 64.0):
        for halvings in (0, 1, 4):
            theta, state = np.zeros(1), np.empty(ascent.state_size(1))
            ascent.start(state, theta, total, 1e-9, 0.0, 10)
            grad = np.array([total])
            args = (grad, np.array([[total]]), theta)  # a step of one, a promise of total
            assert ascent.advance(state, 0.0, *args) == ascent.RUNNING
            for k in range(halvings):
                assert theta[0] == 0.5**k
                assert ascent.advance(state, -1.0, *args) == ascent.RUNNING
            assert theta[0] == 0.5**halvings
            needed = 1e-4 * total * 0.5**halvings
            assert not ascent.accepts(state, 0.999 * needed, grad)
            assert ascent.accepts(state, 1.001 * needed, grad)
            assert ascent.accepts(state, math.inf, grad)
            for bad in (-math.inf, math.nan, -1.0, 0.0):
                assert not ascent.accepts(state, bad, grad)
            assert not ascent.accepts(state, 1.0, np.array([math.nan]))
            assert ascent.accepts(state, math.inf, np.array([math.nan]))


def test_rounding_of_a_large_log_likelihood_is_not_held_against_a_step():
    theta, state = np.zeros(1), np.empty(ascent.state_size(1))
    grad = np.array([1e-3])
    ascent.start(state, theta, 1.0, 1e-12, 0.0, 10)
    assert ascent.advance(state, 1e9, grad, np.eye(1), theta) == ascent.RUNNING
    assert ascent.accepts(state, np.nextafter(1e9, 0.0), grad)
    assert not ascent.accepts(state, 1e9 * (1.0 - 1e-12), grad)


def test_weight_of_the_observations_changes_nothing():
    """Decrements are taken for one observation, so 64 copies of the data go the same way."""

    def copies(theta):
        loglik, grad, metric = hyperbola(theta)
        return 64 * loglik, 64 * np.array(grad), 64 * np.array(metric)

    one, many = Climb(hyperbola, [3.0]), Climb(copies, [3.0], total=64.0)
    assert one.code == many.code == codes.OK
    assert [t[0] for t in one.trials] == [t[0] for t in many.trials]
    assert one.state[ascent.DECREMENT] == many.state[ascent.DECREMENT]


@pytest.mark.parametrize("junk", [0.0, np.nan, np.inf, -3.0])
def test_nothing_is_left_of_an_earlier_ascent(junk):
    fresh, other = Climb(hyperbola, [5.0], junk=1.0), Climb(hyperbola, [5.0], junk=junk)
    assert [t[0] for t in fresh.trials] == [t[0] for t in other.trials]
    assert fresh.code == other.code
    assert same_bits(fresh.state, other.state)


def test_a_state_is_used_again_after_a_failure():
    theta, state = np.array([3.0]), np.empty(ascent.state_size(1))
    ascent.start(state, theta, 1.0, 1e-8, 0.0, 0)
    ascent.advance(state, math.inf, np.array([math.nan]), np.eye(1), theta)
    ascent.start(state, theta, 1.0, 1e-8, 0.0, 9)
    assert ascent.advance(state, -4.5, np.array([-3.0]), np.eye(1), theta) == ascent.RUNNING
    assert theta[0] == 0.0
    assert ascent.advance(state, 0.0, np.array([0.0]), np.eye(1), theta) == codes.OK


# Values that are not numbers.


@pytest.mark.parametrize(
    ("loglik", "slope", "code"),
    [
        (math.nan, 1.0, codes.INVALID_INPUT),
        (-math.inf, 1.0, codes.INVALID_INPUT),
        (0.0, math.nan, codes.INVALID_INPUT),
        (0.0, math.inf, codes.INVALID_INPUT),
        (math.nan, math.nan, codes.INVALID_INPUT),
        (math.inf, 1.0, codes.UNBOUNDED),
        (math.inf, math.nan, codes.UNBOUNDED),
    ],
)
def test_bad_values_at_the_start(loglik, slope, code):
    climb = Climb(lambda _: (loglik, [1.0, slope], np.eye(2)), [3.0, 4.0])
    assert (climb.code, climb.nit, climb.nfev) == (code, 0, 1)
    assert list(climb.theta) == [3.0, 4.0]


@pytest.mark.parametrize(
    "bad", [(math.nan, 0.0), (-math.inf, 0.0), (0.0, math.nan), (0.0, math.inf), (0.0, -math.inf)]
)
def test_bad_values_at_a_trial_halve_the_step(bad):
    """Beyond 2.5 the model has no values; a quarter of the right metric leads to 5."""

    def model(theta):
        x = theta[0]
        if x > 2.5:
            return bad[0], [bad[1]], [[math.nan]]
        return -0.5 * (x - 2.0) ** 2, [2.0 - x], [[0.25]]

    climb = Climb(model, [1.0])
    assert (climb.code, climb.nit) == (codes.OK, 1)
    assert [t[0] for t in climb.trials] == [1.0, 5.0, 3.0, 2.0]
    assert climb.accepted == [True, False, False, True]


def test_an_infinite_log_likelihood_ends_the_ascent_where_it_is():
    climb = Climb(lambda t: (math.inf if t[0] == 2.0 else 0.0, [2.0], [[1.0]]), [0.0])
    assert (climb.code, climb.nit, climb.nfev) == (codes.UNBOUNDED, 1, 2)
    assert climb.theta[0] == 2.0


def test_an_unusable_metric_ends_the_ascent_where_it_is():
    for bad in (math.nan, math.inf, 0.0):
        climb = Climb(lambda _, bad=bad: (0.0, [1.0], [[bad]]), [3.0])
        assert (climb.code, climb.nit, climb.nfev) == (codes.NOT_IDENTIFIED, 0, 1)
        later = Climb(
            lambda t, bad=bad: (t[0], [1.0], [[1.0 if t[0] == 3.0 else bad]]), [3.0], tol=1e-9
        )
        assert (later.code, later.nit, later.nfev) == (codes.NOT_IDENTIFIED, 1, 2)
        assert later.theta[0] == 4.0


# Where it stops.


def test_out_of_steps():
    for max_iter in (0, 1, 3):
        climb = Climb(lambda t: (t[0], [1.0], [[1.0]]), [0.0], max_iter=max_iter)
        assert (climb.code, climb.nit, climb.nfev) == (codes.MAX_ITER, max_iter, max_iter + 1)
        assert climb.theta[0] == max_iter
    at_rest = Climb(lambda t: (t[0], [0.0], [[1.0]]), [0.0], max_iter=0)
    assert at_rest.code == codes.OK


def test_halvings_are_not_steps():
    climb = Climb(hyperbola, [40.0], max_iter=1)
    assert (climb.code, climb.nit) == (codes.MAX_ITER, 1)
    assert climb.nfev > 4


def test_nothing_ascends():
    """The gradient lies: after 60 halvings, or when a step adds nothing, theta is where it was."""
    start = [0.25, -3.0]
    for theta, least, most in ((start, 50, 57), ([0.0, 0.0], 61, 63)):
        climb = Climb(
            lambda t, at=theta: (-1.0 if list(t) != at else 0.0, [1.0, 0.0], np.eye(2)), theta
        )
        assert (climb.code, climb.nit) == (codes.MAX_ITER, 0)
        assert list(climb.theta) == theta
        assert least <= climb.nfev <= most


def test_a_gradient_of_the_wrong_sign_gains_no_more_than_rounding():
    """Steps below 1e-13 pass for rounding, so up to max_iter of them are taken."""
    climb = Climb(lambda t: (-t[0], [1.0, 0.0], np.eye(2)), [0.25, -3.0])
    assert climb.code == codes.MAX_ITER
    assert climb.told[0] - climb.state[ascent.LOGLIK] <= 100 * 1e-13 * 1.26
    assert abs(climb.theta[0] - 0.25) <= 100 * 1e-13 * 1.26


def half_way(theta):
    """Each step goes half of the way, so the decrement x x falls to a quarter; all exact."""
    x = theta[0]
    return -x * x, [-2.0 * x], [[4.0]]


@pytest.mark.parametrize("power", [4, 7, 14])
def test_one_more_step_after_the_decrement_is_small(power):
    for factor, extra in ((1.0, 0), (0.99, 1)):  # at the tolerance, and just not
        climb = Climb(half_way, [1.0], tol=4.0**-power * factor)
        # Decrements after k steps are 4**-k; one step follows the first that is small.
        assert (climb.code, climb.nit) == (codes.OK, power + extra + 1)
        assert climb.theta[0] == 0.5**climb.nit
        assert climb.nfev == climb.nit + 1


def test_no_step_at_all_below_the_square_of_the_tolerance():
    tol = 2.0**-11
    for start, nit in ((tol, 0), (1.01 * tol, 1)):  # the decrement is the square of the start
        climb = Climb(half_way, [start], tol=tol)
        assert (climb.code, climb.nit) == (codes.OK, nit)


def test_tolerance_of_zero_goes_to_the_end():
    exact = Climb(quadratic([3.0], [[4.0]]), [-8.0], tol=0.0)
    assert (exact.code, exact.nit, exact.theta[0]) == (codes.OK, 1, 3.0)
    # Without a floor the decrement has to be zero: here it underflows.
    climb = Climb(half_way, [1.0], tol=0.0, max_iter=2000)
    assert climb.code == codes.OK
    assert climb.state[ascent.DECREMENT] == 0.0
    assert 0.0 <= climb.theta[0] <= 2.0**-536


def decrements(sequence, floor, tol=0.0):
    """Codes that follow from decrements of a model whose log-likelihood always rises."""
    theta, state, seen = np.zeros(1), np.empty(ascent.state_size(1)), []
    ascent.start(state, theta, 1.0, tol, floor, 100)
    for k, decrement in enumerate(sequence):
        grad = np.array([math.sqrt(decrement)])
        seen.append(ascent.advance(state, float(k), grad, np.eye(1), theta))
    return seen


def test_below_the_floor_it_stops_when_the_decrement_no_longer_falls():
    running = ascent.RUNNING
    falling = [2.0**-40, 2.0**-50, 2.0**-60, 2.0**-70]
    assert decrements(falling, 2.0**-46) == [running] * 4
    assert decrements([2.0**-50, 2.0**-60, 2.0**-58], 2.0**-46) == [running, running, codes.OK]
    assert decrements([2.0**-50, 2.0**-50], 2.0**-46) == [running, codes.OK]
    assert decrements([2.0**-50, 2.0**-44, 2.0**-42], 2.0**-46) == [running] * 3
    assert decrements([2.0**-50, 2.0**-46], 2.0**-46) == [running, codes.OK], "the floor itself"
    assert decrements([2.0**-50, 2.0**-40, 2.0**-30], 0.0) == [running] * 3, "no floor"


def test_a_full_step_too_small_to_be_seen_is_an_arrival():
    """At 2**60 a step of one is less than the spacing of doubles."""
    climb = Climb(lambda _: (0.0, [2.0**-30], [[2.0**-30]]), [2.0**60], tol=2.0**-20)
    assert (climb.code, climb.nit, climb.nfev) == (codes.OK, 0, 1)
    assert climb.theta[0] == 2.0**60
    climb = Climb(lambda _: (0.0, [2.0**-30], [[2.0**-30]]), [2.0**60], tol=0.0, floor=2.0**-20)
    assert (climb.code, climb.nit, climb.nfev) == (codes.OK, 0, 1)


# Compiled code of other people.


@njit
def normal(theta, grad, metric):
    """A normal sample of 100 with mean 0.3 and mean square 2, in its mean and log sigma."""
    n, precision, d = 100.0, math.exp(-2.0 * theta[1]), 0.3 - theta[0]
    square = (2.0 - 0.3 * 0.3 + d * d) * precision
    grad[0], grad[1] = n * d * precision, n * (square - 1.0)
    metric[0, 0], metric[1, 1] = n * precision, 2.0 * n
    metric[0, 1] = metric[1, 0] = 0.0
    return -n * (theta[1] + 0.5 * square)


@njit
def climb_compiled(theta, tol, max_iter):
    p = theta.shape[0]
    state, grad, metric = np.empty(ascent.state_size(p)), np.empty(p), np.empty((p, p))
    ascent.start(state, theta, 100.0, tol, 0.0, max_iter)
    code, count = ascent.RUNNING, 0
    while code == ascent.RUNNING:
        loglik = normal(theta, grad, metric)
        code = ascent.advance(state, loglik, grad, metric, theta)
        count += 1
    return code, count, state[ascent.NIT], state[ascent.LOGLIK]


def normal_values(theta):
    grad, metric = np.empty(2), np.empty((2, 2))
    return normal(theta, grad, metric), grad, metric


def test_ascent_in_compiled_code_takes_the_same_way(rng):
    for _ in range(scaled(50, 10)):
        begin = rng.uniform([-1.0, 0.0], [1.0, 2.0])
        theta = begin.copy()
        code, count, nit, loglik = climb_compiled(theta, 1e-10, 100)
        climb = Climb(normal_values, begin, tol=1e-10, total=100.0)
        assert code == climb.code == codes.OK
        assert (count, nit) == (climb.nfev, climb.nit)
        assert same_bits(theta, climb.theta)
        assert loglik == climb.state[ascent.LOGLIK]
        # One step after a decrement of 1e-10, with Fisher scoring: quadratic at the maximum.
        np.testing.assert_allclose(theta, [0.3, 0.5 * math.log(1.91)], atol=1e-9)


@njit
def step_compiled(metric, grad, damping):
    step = np.empty_like(grad)
    return natural_step(metric, grad, damping, step), step


def test_step_in_compiled_code(rng):
    for metric in (definite(rng, 4), np.ones((4, 4)), np.zeros((4, 4))):
        grad = rng.standard_normal(4)
        decrement, step = step_compiled(metric.copy(), grad, 0.0)
        expected = stepped(metric, grad)
        assert same_bits(np.float64(decrement), np.float64(expected[0]))
        assert same_bits(step, expected[1])


# ---- the root --------------------------------------------------------------------------------


def find(function, lower, upper, rising, most=3000):
    """(root, how often the function was asked)."""
    state = np.full(root.SIZE, np.nan)
    x, count = root.start(state, lower, upper, rising), 0
    asked = x
    while x == x:
        assert x == state[root.ROOT]
        assert min(lower, upper) <= x <= max(lower, upper), "never outside of the bracket"
        value, slope = function(float(x))
        asked, x = x, root.advance(state, value, slope)
        count += 1
        assert count <= most
    assert math.isfinite(asked)
    return float(state[root.ROOT]), count


def changes_sign(function, x, ulps):
    """Whether the function is zero at x, or changes sign within so many doubles of it."""
    near = [x]
    for direction in (-math.inf, math.inf):
        y = x
        for _ in range(ulps):
            y = float(np.nextafter(y, direction))
            near.append(y)
    values = [function(y)[0] for y in near]
    return min(values) <= 0.0 <= max(values)


def power(k, c):
    return lambda x: (x**k - c, k * x ** (k - 1))


def logarithm(x):
    return (math.log(x), 1.0 / x) if x > 0.0 else (-math.inf, math.inf)


def tangent(scale, at):
    return lambda x: (math.atan(scale * (x - at)), scale / (1.0 + (scale * (x - at)) ** 2))


def linear(slope, at):
    return lambda x: (slope * (x - at), slope)


# Function, bracket, rising, and the most evaluations that it may take.
FUNCTIONS = {
    "square root of 2": (power(2, 2.0), 0.0, 2.0, True, 8),
    "cosine": (lambda x: (math.cos(x) - x, -math.sin(x) - 1.0), 0.0, 2.0, False, 8),
    "exponential": (lambda x: (math.exp(x) - 1e5, math.exp(x)), -50.0, 50.0, True, 30),
    "ninth power": (power(9, 3.0), 0.0, 40.0, True, 30),
    "flat at its root": (power(3, 0.0), -1.0, 1.75, True, 700),
    "odd flat root": (lambda x: ((x - 1.3) ** 5, 5 * (x - 1.3) ** 4), 0.0, 4.0, True, 130),
    "steep": (tangent(1e9, 0.3), 0.0, 1.0, True, 60),
    "flat far away": (tangent(1e3, 7.0), -1e5, 2e5, True, 60),
    "logarithm": (lambda x: (logarithm(x)[0] - 2.0, logarithm(x)[1]), 0.0, 100.0, True, 20),
    "logarithm from nothing": (logarithm, 0.0, 1e9, True, 60),
    "tiny": (linear(1.0, 1.3e-300), 0.0, 1e-299, True, 4),
    "tiny values": (linear(1e-300, 0.3), 0.0, 1.0, True, 4),
    "huge": (linear(1.0, 1.3e300), 0.0, 1e301, True, 4),
    "huge values": (linear(-1e300, 0.3), 0.0, 1.0, False, 4),
    "subnormal": (linear(1e300, 1e-310), 0.0, 1e-308, True, 4),
    "negative": (linear(-3.0, -17.3), -1000.0, -1.0, False, 4),
    "bracket across zero": (linear(2.0, 1e-5), -1.0, 1.0, True, 6),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_roots_of_many_functions(name):
    function, lower, upper, rising, most = FUNCTIONS[name]
    x, count = find(function, lower, upper, rising)
    assert changes_sign(function, x, 2), "a step of EPS is at most two doubles long"
    assert count <= most
    with np.errstate(all="ignore"):
        brent = scipy.optimize.brentq(
            lambda y: max(min(function(y)[0], 1e300), -1e300),
            lower,
            upper,
            xtol=5e-324,
            rtol=4 * EPS,
            maxiter=3000,
        )
    if name != "flat at its root":  # where the function underflows, far from 0 to both
        # Brent's tolerance of 4 EPS, and the rounding of the function at a flat root.
        assert abs(x - brent) <= 8 * EPS * abs(brent)


def test_roots_of_random_cubics(rng):
    for _ in range(scaled(300, 100)):
        at, a, b = rng.normal(), 10.0 ** rng.uniform(-6, 6), 10.0 ** rng.uniform(-6, 6)
        sign = rng.choice([-1.0, 1.0])

        def cubic(x, at=at, a=a, b=b, sign=sign):
            d = x - at
            return sign * (a * d + b * d**3), sign * (a + 3 * b * d * d)

        lower, upper = at - 10.0 ** rng.uniform(-9, 6), at + 10.0 ** rng.uniform(-9, 6)
        x, count = find(cubic, lower, upper, sign > 0)
        assert changes_sign(cubic, x, 2)
        assert count <= 70


def test_newton_is_not_followed_by_fifty_bisections(rng):
    """Where a step is too small to be seen, the root has been found; Brent takes about 14."""
    for _ in range(100):
        c = rng.uniform(0.5, 15.0)
        _, count = find(lambda x, c=c: (x**3 + x - c, 3 * x * x + 1), -2.0, 8.0, True)
        assert count <= 20


@pytest.mark.parametrize("slope", [0.0, -0.0, math.nan, -1.0, math.inf, -math.inf, 1e300, 1e-300])
def test_a_useless_slope_costs_a_bisection(slope):
    """53 halvings of (0, 1) end at the doubles next to 0.3, which lie 2**-54 apart."""
    for rising in (True, False):
        sign = 1.0 if rising else -1.0
        x, count = find(lambda x, s=sign: (s * (x - 0.3), s * slope), 0.0, 1.0, rising)
        assert abs(x - 0.3) <= 2.0**-53
        assert count <= 60


def test_slopes_at_random_cost_time_and_nothing_else(rng):
    for _ in range(scaled(200, 50)):
        at = rng.uniform(0.0, 1.0)

        def confused(x, at=at):
            return x - at, rng.standard_normal() * 0.9

        x, count = find(confused, 0.0, 1.0, True)
        assert abs(x - at) <= 2 * EPS * at
        assert count <= 300


def test_a_jump_is_found():
    for at in (0.3, 0.5, 1.0 / 3.0):
        x, count = find(lambda x, at=at: (1.0 if x >= at else -1.0, 0.0), 0.0, 1.0, True)
        assert abs(x - at) <= EPS * at
        assert count <= 56


def test_values_and_slopes_may_be_python_numbers():
    """They are in a loop in Python, with or without compilation; zero is no exception."""
    state = np.empty(root.SIZE)
    root.start(state, 0.0, 1.0, True)
    assert root.advance(state, 0.2, 0.0) == 0.25
    root.start(state, 0.0, 1.0, True)
    assert root.advance(state, -1e300, 1e-300) == 0.75


def test_a_steep_place_is_not_taken_for_the_root():
    """Newton's step from 0.5 is a single double long, yet the root is at 0.35."""

    def function(x):
        t = math.tanh((x - 0.5) * 3.5e16)
        return x - 0.25 + 0.1 * t, 1.0 + 3.5e15 * (1.0 - t * t)

    x, _ = find(function, 0.0, 1.0, True)
    assert changes_sign(function, x, 2)


@pytest.mark.parametrize("rising", [True, False])
def test_a_root_at_an_end_of_the_bracket(rising):
    sign = 1.0 if rising else -1.0
    for lower, upper, at in ((1.0, 2.0, 1.0), (1.0, 2.0, 2.0), (-1.0, 0.0, -1.0), (0.0, 8.0, 8.0)):
        x, count = find(linear(sign, at), lower, upper, rising)
        assert abs(x - at) <= EPS * abs(at)
        assert count <= 56
    x, count = find(linear(sign, 0.0), 0.0, 1.0, rising)
    assert x == 0.0
    assert count <= 1100, "zero is 1074 halvings away"


def test_the_widest_bracket_there_is():
    """Its length is more than the largest double."""
    most = np.finfo(float).max
    state = np.empty(root.SIZE)
    assert root.start(state, -most, most, True) == 0.0
    x, _ = find(linear(1e-308, 1.3e300), -most, most, True)
    assert abs(x - 1.3e300) <= 2 * EPS * 1.3e300


def test_it_ends_at_a_zero_and_at_nan():
    for value in (0.0, -0.0, math.nan):
        state = np.empty(root.SIZE)
        x = root.start(state, 1.0, 4.0, True)
        assert x == 2.5
        assert math.isnan(root.advance(state, value, 1.0))
        assert state[root.ROOT] == 2.5


def test_an_end_that_is_the_root_already():
    x, count = find(linear(1.0, 3.0), 3.0, 3.0, True)
    assert (x, count) == (3.0, 1)
    x, count = find(linear(1.0, 3.0), 3.0, float(np.nextafter(3.0, 4.0)), True)
    assert abs(x - 3.0) <= EPS * 3.0
    assert count <= 2


@njit
def quantile_of_exponential_pair(level):
    """The root of 1 - exp(-x) + x / 8 = level, in other people's compiled code."""
    state = np.empty(root.SIZE)
    x, count = root.start(state, 0.0, 64.0, True), 0
    while x == x:
        x = root.advance(state, 1.0 - math.exp(-x) + x / 8.0 - level, math.exp(-x) + 0.125)
        count += 1
    return state[root.ROOT], count


def test_root_in_compiled_code():
    for level in (0.5, 0.9, 1.0, 3.0, 7.5):

        def function(x, level=level):
            return 1.0 - math.exp(-x) + x / 8.0 - level, math.exp(-x) + 0.125

        x, count = quantile_of_exponential_pair(level)
        assert count <= 20
        # 1 - exp(-x) rounds by half an EPS of one, where the slope is at least 1 / 8.
        brent = scipy.optimize.brentq(lambda x, f=function: f(x)[0], 0.0, 64.0, xtol=1e-16)
        assert abs(x - brent) <= 16 * EPS * max(1.0, brent)
        assert find(function, 0.0, 64.0, True)[1] <= 20


# ---- a mean and a root of a covariance -------------------------------------------------------


def fisher_of_mvn(factor):
    """The Fisher information of (mean, root row by row), from the textbook's formula for Sigma."""
    d = len(factor)
    rows, columns = np.tril_indices(d)
    inverse = np.linalg.inv(factor @ factor.T)
    moves = []  # of the covariance, with each element of the root
    for i, j in zip(rows, columns, strict=True):
        change = np.zeros((d, d))
        change[i, j] = 1.0
        moves.append(change @ factor.T + factor @ change.T)
    info = np.zeros((d + rows.size,) * 2)
    info[:d, :d] = inverse
    for a, first in enumerate(moves):
        for b, second in enumerate(moves):
            info[d + a, d + b] = 0.5 * np.trace(inverse @ first @ inverse @ second)
    return info


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_natural_step_of_a_mean_and_a_root(d, rng):
    factor = np.linalg.cholesky(definite(rng, d))
    rows, columns = np.tril_indices(d)
    grad_mean, grad_root = rng.normal(size=d), rng.normal(size=(d, d))
    step_mean, step_root = np.full(d, 7.0), np.full((d, d), 7.0)
    decrement = natural_step_mvn(factor, grad_mean, grad_root, step_mean, step_root)
    grad = np.concatenate([grad_mean, grad_root[rows, columns]])
    want = np.linalg.solve(fisher_of_mvn(factor), grad)
    got = np.concatenate([step_mean, step_root[rows, columns]])
    assert np.allclose(got, want, rtol=1e-11, atol=1e-11 * np.max(np.abs(want)))
    assert math.isclose(decrement, grad @ want, rel_tol=1e-11)
    assert np.array_equal(np.triu(step_root, 1), np.zeros((d, d)))


def test_natural_steps_go_to_the_mean_and_the_covariance(rng):
    """The average log-likelihood of complete data, by short steps."""
    x = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3)) + 2.0
    mean, factor = np.zeros(3), np.eye(3)
    step_mean, step_root = np.empty(3), np.empty((3, 3))
    for _ in range(200):
        r = x - mean
        solved = np.linalg.solve(factor @ factor.T, r.T)  # Sigma^-1 r
        grad_root = np.tril(solved @ solved.T @ factor / 50.0) - np.diag(1.0 / np.diag(factor))
        decrement = natural_step_mvn(factor, solved.mean(axis=1), grad_root, step_mean, step_root)
        size = min(0.5, 0.5 / math.sqrt(decrement))
        mean, factor = mean + size * step_mean, factor + size * step_root
    assert np.allclose(mean, x.mean(axis=0), rtol=1e-12)
    assert np.allclose(factor @ factor.T, np.cov(x.T, bias=True), rtol=1e-10)
