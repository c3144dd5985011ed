"""Scores to gradient and Fisher matrix: against a loop over observations."""

import numba
import numpy as np
import pytest
from conftest import COMPILED, EPS, same_bits, scaled

from fastnat.kernels import accumulate

SIZES = range(1, 22)  # every remainder of the tile of four, up to five tiles and one
LENGTHS = scaled((0, 1, 7, 8, 9, 31, 32, 33, 64, 600), (0, 1, 7, 8, 9, 33))


def sums(scores, weights=None, p=None, n=None):
    """Gradient and Fisher matrix of the scores, from nothing."""
    q, m = scores.shape
    p = q if p is None else p
    grad, fisher = np.zeros(q), np.zeros((p, p))
    assert accumulate(scores, weights, m if n is None else n, grad, fisher) is None
    return grad, fisher


def loop(scores, weights=None, p=None):
    """The same, an observation at a time."""
    q, n = scores.shape
    p = q if p is None else p
    grad, fisher = np.zeros(q), np.zeros((p, p))
    for i in range(n):
        w = 1.0 if weights is None else weights[i]
        if w > 0.0:
            s = scores[:, i]
            grad += w * s
            fisher += w * np.outer(s[:p], s[:p])
    return grad, fisher


def whole(rng, q, n):
    """Scores whose products and sums are exact in any order."""
    return rng.integers(-99, 100, (q, n)).astype(float)


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def bits(a, b):
    return all(same_bits(x, y) for x, y in zip(a, b, strict=True))


# ---- what is added up ------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("q", SIZES)
def test_whole_numbers_are_summed_exactly(q, weighted, rng):
    for n in LENGTHS:
        scores = whole(rng, q, n)
        weights = rng.integers(0, 4, n).astype(float) if weighted else None
        assert equal(sums(scores, weights), loop(scores, weights))


@pytest.mark.parametrize("weighted", [False, True])
def test_every_length(weighted, rng):
    """All tails of a vector and of several, for sizes of all kinds."""
    for n in range(scaled(601, 70)):
        q = 1 + n % scaled(9, 5)
        scores = whole(rng, q, n)
        weights = rng.integers(0, 4, n).astype(float) if weighted else None
        assert equal(sums(scores, weights), loop(scores, weights))


@pytest.mark.parametrize("weighted", [False, True])
def test_any_numbers_are_summed_to_rounding(weighted, rng):
    for q in (1, 2, 3, 4, 6, 9, 21):
        n = scaled(600, 50)
        scores = rng.standard_normal((q, n)) * 10.0 ** rng.uniform(-9, 9, (q, 1)) + 0.1
        weights = rng.uniform(0.0, 2.0, n) if weighted else None
        sizes = loop(np.abs(scores), weights)
        for got, expected, size in zip(
            sums(scores, weights), loop(scores, weights), sizes, strict=True
        ):
            # Each of n additions rounds by half an EPS of a partial sum, in both.
            assert np.all(np.abs(got - expected) <= (n + 4) * EPS * size)


def test_only_the_first_n_observations_are_looked_at(rng):
    for q in (1, 2, 3, 4, 5):
        for n in (0, 1, 8, 13, 40):
            scores, weights = whole(rng, q, n + 9), np.ones(n + 9)
            scores[:, n:] = np.nan
            weights[n:] = 1.0
            expected = loop(scores[:, :n])
            assert equal(sums(scores, None, n=n), expected)
            assert equal(sums(scores, weights, n=n), expected)


@pytest.mark.parametrize("p", [0, 1, 2, 3, 4, 5, 8, 9])
def test_rows_beyond_the_parameters_are_summed_only(p, rng):
    """A log-likelihood in a row of its own, say; it may be anything."""
    for extra in (1, 2, 3, 4, 5):
        n = scaled(101, 20)
        scores = whole(rng, p + extra, n)
        weights = rng.integers(0, 3, n).astype(float)
        for w in (None, weights):
            assert equal(sums(scores, w, p=p), loop(scores, w, p=p))
        scores[p:, n // 2] = -np.inf
        grad, fisher = sums(scores, None, p=p)
        assert np.all(grad[p:] == -np.inf)
        assert np.array_equal(fisher, loop(scores[:p])[1])


def test_result_is_added_to_what_is_there(rng):
    for q in (1, 3, 4, 7):
        scores = rng.standard_normal((q, 45))
        grad, fisher = sums(scores)
        grad_0, fisher_0 = rng.standard_normal(q), rng.standard_normal((q, q))
        fisher_0 += fisher_0.T
        grad_1, fisher_1 = grad_0.copy(), fisher_0.copy()
        accumulate(scores, None, 45, grad_1, fisher_1)
        assert same_bits(grad_1, grad_0 + grad)
        assert same_bits(fisher_1, fisher_0 + fisher)


def test_no_observations_add_nothing(rng):
    grad, fisher = rng.standard_normal(6), rng.standard_normal((6, 6))
    before = grad.copy(), fisher.copy()
    for weights in (None, np.ones(3)):
        accumulate(np.full((6, 3), np.nan), weights, 0, grad, fisher)
        accumulate(np.empty((6, 0)), None if weights is None else np.empty(0), 0, grad, fisher)
    assert bits((grad, fisher), before)


def test_blocks_add_up(rng):
    scores, weights = whole(rng, 5, 100), rng.integers(0, 3, 100).astype(float)
    grad, fisher = np.zeros(5), np.zeros((5, 5))
    for first in range(0, 100, 30):
        part = np.ascontiguousarray(scores[:, first : first + 30])
        accumulate(part, weights[first : first + 30], part.shape[1], grad, fisher)
    assert equal((grad, fisher), loop(scores, weights))


def test_arguments_are_left_alone(rng):
    scores, weights = rng.standard_normal((6, 50)), rng.integers(0, 2, 50).astype(float)
    copies = scores.copy(), weights.copy()
    sums(scores, weights)
    assert bits((scores, weights), copies)


def test_arrays_that_are_not_contiguous_are_refused():
    if not COMPILED:
        return  # only the compiled form has types
    with pytest.raises(numba.TypingError, match="lanes read C-contiguous arrays"):
        sums(np.ones((10, 2)).T)


# ---- weights ---------------------------------------------------------------------------------


@pytest.mark.parametrize("q", [1, 2, 3, 4, 5, 11])
def test_weights_are_repetitions(q, rng):
    n = scaled(150, 30)
    scores, weights = whole(rng, q, n), rng.integers(0, 5, n)
    repeated = np.repeat(scores, weights, axis=1)
    assert equal(sums(scores, weights.astype(float)), sums(repeated))


@pytest.mark.parametrize("q", SIZES)
def test_unit_weights_change_no_bit(q, rng):
    for n in (1, 9, scaled(517, 40)):
        scores = rng.standard_normal((q, n))
        assert bits(sums(scores, np.ones(n)), sums(scores))


@pytest.mark.parametrize("q", SIZES)
def test_what_has_no_weight_is_not_looked_at(q, rng):
    n = scaled(90, 30)
    scores = rng.standard_normal((q, n))
    weights = rng.uniform(0.5, 2.0, n)
    out = rng.permutation(n)[: n // 3]
    weights[out] = 0.0
    weights[out[0]] = -0.0
    scores[:, out] = 0.0
    expected = sums(scores, weights)
    for bad in (np.nan, np.inf, -np.inf, 1e308):
        scores[:, out] = bad
        assert bits(sums(scores, weights), expected)
    assert np.all(np.isfinite(expected[1]))


def test_scaling_weights_by_a_power_of_two_scales_the_result(rng):
    scores, weights = rng.standard_normal((7, 60)), rng.uniform(0.0, 2.0, 60)
    grad, fisher = sums(scores, weights)
    assert bits(sums(scores, weights * 2.0**-300), (grad * 2.0**-300, fisher * 2.0**-300))


# ---- parameters do not meet ------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("q", SIZES)
def test_the_matrix_is_symmetric_to_the_bit(q, weighted, rng):
    n = scaled(517, 40)
    scores = rng.standard_normal((q, n))
    fisher = sums(scores, rng.uniform(0.0, 2.0, n) if weighted else None)[1]
    assert same_bits(fisher, fisher.T)
    assert np.all(np.diag(fisher) > 0.0)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_bad_score_spoils_its_own_parameter_only(weighted, rng):
    n = 40
    weights = np.ones(n) if weighted else None
    for q in (2, 4, 5, 9):
        scores = rng.standard_normal((q, n))
        grad, fisher = sums(scores, weights)
        for row in range(q):
            spoilt = scores.copy()
            spoilt[row, 33] = np.nan
            grad[row] = fisher[row] = fisher[:, row] = np.nan
            assert bits(sums(spoilt, weights), (grad, fisher))
            grad, fisher = sums(scores, weights)


@pytest.mark.parametrize("q", [4, 8, 12])
def test_another_parameter_changes_no_bit_of_whole_tiles(q, rng):
    """Others are summed in more vectors at once, and so in another order."""
    n = scaled(517, 70)
    scores = rng.standard_normal((q + 1, n))
    grad, fisher = sums(scores)
    alone = sums(scores[:q].copy())
    assert bits(alone, (grad[:q], fisher[:q, :q]))


@pytest.mark.parametrize("q", [2, 4, 5, 9])
def test_units_of_parameters_by_powers_of_two_change_no_digit(q, rng):
    n = scaled(517, 70)
    scores, weights = rng.standard_normal((q, n)), rng.uniform(0.0, 2.0, n)
    d = 2.0 ** rng.integers(-100, 100, q)
    for w in (None, weights):
        grad, fisher = sums(scores, w)
        assert bits(sums(scores * d[:, None], w), (grad * d, fisher * np.outer(d, d)))
