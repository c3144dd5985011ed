"""Known values with a scale of their own: the quick sums beside those of rows of any kind.

What is summed for rows of any kind is compared elsewhere with references; here long problems are
told by both, and a whole fit is at a maximum by NumPy.
"""

import math
import pickle

import numpy as np
import pytest

import fastnat
from fastnat import _linear, _long
from fastnat.kernels import codes, linear_long, linear_memory
from fastnat.kernels import linear_values as values
from fastnat.kernels.curvature import outlasts_singles
from fastnat.kernels.linalg import cholesky

NONE = np.empty(0)


def problem(rng, n, p, q, weighted):
    X, Z = rng.normal(size=(n, p)), 0.3 * rng.normal(size=(n, q))
    X[:, 0] = 1.0
    Z[:, 0] = 1.0
    y = 1000.0 + 3.0 * rng.normal(size=n)
    return y, X, Z, 0.1 + rng.random(n) if weighted else NONE


def memory_of(rng, p, q, unit, origin=True):
    """Of a search that has taken a fit from the values, or not."""
    memory = linear_memory.new_memory(p, q)
    memory[linear_memory.ORIGIN][:] = rng.normal(size=p) if origin else 0.0
    memory[linear_memory.ORIGIN][0] = 1000.0 if origin else 0.0
    memory[linear_memory.NORMS][:] = 1.0
    memory[linear_memory.CELLS][linear_memory.UNIT] = unit
    return memory


def tell(memory, theta, data, seen, request=values.OBSERVED):
    """(values, status, weight), by the kernel for known values if rows are said to be KNOWN."""
    y, X, Z, w = data
    p, q, n = X.shape[1], Z.shape[1], len(y)
    columns = (y, *[NONE] * 6, w, NONE)
    told, scores = np.zeros((1, values.told_size(p, q))), np.zeros((1, 0, p + q))
    looked, room = np.array([seen]), linear_long.new_room(p, q, q)
    found = np.empty((1, 2))
    rest = columns, X, Z, False, looked, 0, n, room, told, scores, found
    linear_long.tell(request, theta, memory, *rest)
    status, total = found[0]
    assert all(np.all(cells == 0.0) for cells in (room[2][2], room[3][2], room[3][3]))
    return told[0], status, total


@pytest.mark.parametrize("request_", [values.OBSERVED, values.GRAM])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("unit", [1.0, 4.0, 2.0**-1040])
@pytest.mark.parametrize("origin", [False, True])
@pytest.mark.parametrize(("n", "p", "q"), [(1, 1, 1), (79, 2, 1), (97, 5, 3), (513, 20, 5)])
def test_sums_are_those_of_rows_of_any_kind(n, p, q, origin, unit, weighted, request_, rng):
    data = problem(rng, n, p, q, weighted)
    theta = 0.1 * rng.normal(size=p + q)
    if unit < 1.0:  # values are as small
        data = data[0] * unit, *data[1:]
    memory = memory_of(rng, p, q, unit, origin)
    memory[linear_memory.ORIGIN][:] *= unit if unit < 1.0 else 1.0
    quick, status, total = tell(memory, theta, data, linear_long.KNOWN, request_)
    slow, status_of_slow, total_of_slow = tell(memory, theta, data, linear_long.FINITE, request_)
    assert (quick != slow).any() or p < 5  # told by another kernel
    assert status == status_of_slow == codes.OK
    assert total == pytest.approx(total_of_slow, rel=1e-13)
    scale = np.abs(slow).max()  # rounding is that of sums whose terms cancel
    np.testing.assert_allclose(quick, slow, rtol=1e-11, atol=1e-13 * scale)


def test_rows_are_known_only_if_there_is_nothing_else(rng):
    """Limits, odd numbers and weights of 0 are left to the kernels of rows of any kind."""
    y, X, Z, w = problem(rng, 60, 2, 2, True)
    columns, look = [y, *[NONE] * 6, w, NONE], linear_long.look
    assert look(tuple(columns), X, Z, 0, 60) == linear_long.KNOWN
    assert look((y, *[NONE] * 8), X, Z, 0, 60) == linear_long.KNOWN
    assert look(tuple(columns), X, np.empty((0, 0)), 0, 60) == linear_long.FINITE
    assert look(tuple(columns), X, Z, 7, 7) == linear_long.FINITE
    for k in range(1, 7):
        given = [*columns[:k], y, *columns[k + 1 :]]
        assert look(tuple(given), X, Z, 0, 60) == linear_long.FINITE
    for k, odd in ((0, np.nan), (0, np.inf), (7, 0.0), (7, -1.0), (7, np.nan), (7, np.inf)):
        given = [column.copy() for column in columns]
        given[k][50] = odd
        assert look(tuple(given), X, Z, 0, 60) == linear_long.FINITE
        assert look(tuple(given), X, Z, 0, 50) == linear_long.KNOWN
        assert look(tuple(given), X, Z, 51, 60) == linear_long.KNOWN
    for k in range(2):
        given = [X.copy(), Z.copy()]
        given[k][50, 1] = -np.inf
        assert look(tuple(columns), *given, 0, 60) == linear_long.ODD
        assert look(tuple(columns), *given, 51, 60) == linear_long.KNOWN


@pytest.mark.parametrize("request_", [values.SAFE, values.UNITS, values.PRODUCTS])
def test_other_sums_are_those_of_rows_of_any_kind(request_, rng):
    data = problem(rng, 130, 3, 2, True)
    memory, theta = memory_of(rng, 3, 2, 4.0), 0.1 * rng.normal(size=5)
    known, finite = (
        tell(memory, theta, data, seen, request_)[0]
        for seen in (linear_long.KNOWN, linear_long.FINITE)
    )
    np.testing.assert_array_equal(known, finite)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "p", "q"), [(1, 1, 1), (97, 5, 3), (513, 20, 5)])
def test_only_curvature_is_rough(n, p, q, weighted, rng):
    """All else has the same bits; and rows of any kind tell it as precisely as ever."""
    data = problem(rng, n, p, q, weighted)
    memory, theta = memory_of(rng, p, q, 4.0), 0.1 * rng.normal(size=p + q)
    (rough, *_), (fine, *_) = (
        tell(memory, theta, data, linear_long.KNOWN, request)
        for request in (values.ROUGHLY, values.OBSERVED)
    )
    first = values.N_CELLS + p + q
    assert (rough[values.ROUGH], fine[values.ROUGH]) == (n, 0)
    rough[values.ROUGH] = 0.0
    np.testing.assert_array_equal(rough[:first], fine[:first])
    sizes = np.sqrt(np.concatenate([np.diag(part) for part in curvature(fine, p, q)[::2]]))
    metrics = (assembled(told, p, q) / np.outer(sizes, sizes) for told in (rough, fine))
    np.testing.assert_allclose(*metrics, atol=1e-6)
    slow, slow_and_fine = (
        tell(memory, theta, data, linear_long.FINITE, request)[0]
        for request in (values.ROUGHLY, values.OBSERVED)
    )
    np.testing.assert_array_equal(slow, slow_and_fine)


def curvature(told, p, q):
    """Of X with itself, Z with X, Z with itself."""
    return values.parts(told, p, q)[2:]


def assembled(told, p, q):
    by_x, zx, zz = curvature(told, p, q)
    return np.block([[by_x, zx.T], [zx, zz]])


@pytest.mark.parametrize("weighted", [False, True])
def test_a_scale_that_has_left_the_data_behind_is_noted(weighted, rng):
    data = problem(rng, 120, 2, 2, weighted)
    data[2][::7, 1] = -100.0
    memory, theta = memory_of(rng, 2, 2, 1.0), np.array([0.0, 0.0, 0.5, 0.7])
    quick, slow = (
        tell(memory, theta, data, seen)[0] for seen in (linear_long.KNOWN, linear_long.FINITE)
    )
    tiny = data[3][::7].sum() if weighted else 18.0
    assert quick[values.TINY] == pytest.approx(tiny, rel=1e-13)
    for cell in (values.TINY, values.SHARP, values.HUGE):
        assert quick[cell] == pytest.approx(slow[cell], rel=1e-13)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("kind", ["plain", "weights", "float32", "reversed", "a NaN", "a 0"])
def test_a_long_fit_is_at_a_maximum(kind, n_threads, rng, monkeypatch):
    """Of several segments, some of which are told by other kernels."""
    monkeypatch.setattr(_long, "_SEGMENT", 500)
    monkeypatch.setattr(_linear, "LONG", 1000)
    y, X, Z, w = problem(rng, 2300, 3, 2, kind in ("weights", "a 0"))
    weights, policy = (w if w.size else None), "omit" if kind == "a NaN" else "propagate"
    used = np.ones(2300, bool)
    used[[700, 1999]] = kind not in ("a NaN", "a 0")
    if kind == "float32":
        X, Z = np.float32(X), np.float32(Z)
    elif kind == "reversed":
        y, X, Z = y[::-1], X[::-1], Z[::-1]
    elif kind == "a NaN":
        y[~used] = np.nan
    elif kind == "a 0":
        weights[~used] = 0.0
        y[~used] = np.inf
    options = {"weights": weights, "nan_policy": policy, "n_threads": n_threads}
    fit = fastnat.fit_linear(y, X, Z, **options)
    assert fit.status == codes.OK
    y, X, Z = (np.float64(a)[used] for a in (y, X, Z))
    w = np.ones(len(y)) if weights is None else weights[used]
    log_sigma = Z @ fit.scale_coef
    r = (y - X @ fit.coef) * np.exp(-log_sigma)
    scores = np.append(X.T @ (w * r * np.exp(-log_sigma)), Z.T @ (w * (r * r - 1.0)))
    np.testing.assert_allclose(scores * fit.stderr, 0.0, atol=1e-7)
    loglik = np.sum(w * (-0.5 * r * r - log_sigma - 0.5 * math.log(2.0 * math.pi)))
    assert fit.loglik == pytest.approx(loglik, rel=1e-12)


@pytest.fixture
def asked(monkeypatch):
    """What a long problem, of more than 200 rows, has asked for: a list that grows."""
    requests, answer = [], _long.tell

    def tell(rows, question, *how):
        requests.append(question.request)
        return answer(rows, question, *how)

    monkeypatch.setattr(_linear, "LONG", 200)
    monkeypatch.setattr(_long, "tell", tell)
    return requests


def fit_precisely(*data, **options):
    """By double precision only."""
    with pytest.MonkeyPatch.context() as patch:
        answer = _long.tell

        def tell(rows, question, *how):
            if question.request == values.ROUGHLY:
                question = question._replace(request=values.OBSERVED)
            return answer(rows, question, *how)

        patch.setattr(_long, "tell", tell)
        return fastnat.fit_linear(*data, **options)


def check_equal(fit, other, scale=1.0):
    assert fit.status == other.status == codes.OK
    assert fit.nit == other.nit
    assert fit.loglik == pytest.approx(other.loglik, rel=1e-13)
    params = fit.params / scale, other.params / scale
    np.testing.assert_allclose(*params, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(fit.stderr, other.stderr, rtol=1e-11)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_end_of_the_search_is_precise(weighted, rng, asked):
    """Not one evaluation more than without single precision, and the same numbers."""
    y, X, Z, w = problem(rng, 400, 4, 2, weighted)
    options = {"weights": w if weighted else None}
    fit = fastnat.fit_linear(y, X, Z, **options)
    steps = [request for request in asked if request != values.GRAM]
    assert steps == [values.ROUGHLY] * int(fit.nit) + [values.OBSERVED]
    check_equal(fit, fit_precisely(y, X, Z, **options))


def test_who_wants_no_errors_gets_no_precise_information(rng, asked):
    y, X, Z, _ = problem(rng, 400, 4, 2, False)
    fit = fastnat.fit_linear(y, X, Z, cov_type=None)
    steps = [request for request in asked if request != values.GRAM]
    assert steps == [values.ROUGHLY] * (int(fit.nit) + 1)
    full = fastnat.fit_linear(y, X, Z)
    assert (fit.status, fit.nit, fit.loglik) == (codes.OK, full.nit, full.loglik)
    np.testing.assert_array_equal(fit.params, full.params)


@pytest.mark.parametrize("power", [-120, -30, 30, 120])
def test_columns_of_any_size(power, rng, asked):
    """Single precision holds neither their squares nor, often, themselves."""
    y, X, Z, _ = problem(rng, 400, 3, 2, False)
    X[:, 1] *= 10.0**power
    fit = fastnat.fit_linear(y, X, Z)
    assert asked.count(values.ROUGHLY) == 1
    scale = np.ones(5)
    scale[1] = 10.0**-power
    check_equal(fit, fit_precisely(y, X, Z), scale)


def test_a_search_that_begins_where_nothing_is_definite_is_precise(rng, asked):
    """From there on; that rounding is not what makes it indefinite is asked once."""
    y, X, Z, _ = problem(rng, 400, 3, 2, False)
    late = np.arange(400) >= 200
    Z[:, 1] = late
    X[:, 2] = X[:, 1] + late * X[:, 2]
    y = X @ [1.0, 2.0, 3.0] + np.exp(7.0 * late) * rng.normal(size=400)
    fit = fastnat.fit_linear(y, X, Z)
    assert asked.count(values.ROUGHLY) == 1
    assert values.SAFE in asked
    check_equal(fit, fit_precisely(y, X, Z))


def test_columns_that_heavy_rows_make_a_chain(rng, asked):
    """Each near the one before: no pivot is below 1e-4, but the inverse is 1e7 in their units."""
    y, X, Z, _ = problem(rng, 3000, 3, 2, False)
    late, s = np.arange(3000) >= 1500, 0.0125
    Z[:, 1] = late
    a, b, c = np.ones(3000), rng.normal(size=3000), rng.normal(size=3000)
    X[~late] = np.column_stack([a, a + s * b, b + s * c])[~late]
    y = X @ [1.0, 2.0, -1.0] + np.exp(9.0 * late) * rng.normal(size=3000)
    fine = fit_precisely(y, X, Z)
    start = fine.params + 1e-3 * fine.stderr  # else the search begins where nothing is definite
    asked.clear()
    fit = fastnat.fit_linear(y, X, Z, start=start)
    # Once from the start, and once more in the coordinates that the end of the search asks for.
    assert asked.count(values.ROUGHLY) == 2
    check_equal(fit, fit_precisely(y, X, Z, start=start))


def test_what_single_precision_leaves_to_go_by():
    """Of what the inverse is in units of the columns, and of squares."""
    n, good = 100.0, np.array([[1.0, 0.9], [0.9, 1.0]])
    near = np.array([[1.0, 1.0 - 1e-5], [1.0 - 1e-5, 1.0]])
    for matrix, expected in (
        (n * good, True),
        (n * near, False),
        (1e-23 * n * good, True),
        (1e-25 * n * good, False),
        (n * np.array([[1.0, 0.0], [0.0, 1e-25]]), False),
    ):
        factor = matrix.copy()
        assert cholesky(factor)
        assert outlasts_singles(matrix, factor, n, np.empty(2)) == expected


def test_weights_add_up_to_the_same_bits_on_any_number_of_threads(rng, monkeypatch):
    """Also those of a problem that fails, whose tasks have other segments."""
    monkeypatch.setattr(_linear, "LONG", 1000)
    monkeypatch.setattr(_long, "_SEGMENT", 100)
    y, X, Z, w = problem(rng, 5000, 3, 2, True)
    y[17] = np.nan
    found = set()
    for segments in (1, 3, 50):
        monkeypatch.setattr(_long.Rows, "segments_of_a_task", lambda *_, n=segments: n)
        fit = fastnat.fit_linear(y, X, Z, weights=w, n_threads=2)
        assert fit.status == codes.NAN_INPUT
        found.add(float(fit.nobs))
    assert len(found) == 1


def test_rows_may_come_from_memory_that_nobody_can_write_to(rng):
    """As what distributed has received may be."""
    y, X, Z, _ = problem(rng, 40, 2, 2, False)
    columns = (y, *[None] * 8)
    buffers = []
    rows = _long.rows_of(columns, X, Z, np.empty(0, np.int64), False)
    sent = pickle.dumps(rows, protocol=5, buffer_callback=buffers.append)
    received = pickle.loads(sent, buffers=[bytes(buffer) for buffer in buffers])
    memory, theta = memory_of(rng, 2, 2, 1.0), 0.1 * rng.normal(size=4)
    question = _long.Question(values.OBSERVED, theta, memory)
    answers = [_long.tell([each], question, 1, _long.Rooms())[0] for each in (rows, received)]
    np.testing.assert_array_equal(answers[0].told, answers[1].told)
