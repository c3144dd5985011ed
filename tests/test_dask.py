"""Dask: the numbers of fits in memory, whatever the chunks, also when a worker is killed."""

import itertools
import operator
import pickle
import uuid
from concurrent import futures

import dask
import dask.array as da
import numpy as np
import pytest
from conftest import assert_same_bits, refused, scaled
from dask.array.core import normalize_chunks
from dask.callbacks import Callback
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph

import fastnat
import fastnat.dask
from fastnat import _blocks, _chunked, _chunked_rows, _long, _reduce
from fastnat.kernels import columns, rows

N = scaled(60, 20)


def compute(fit):
    """The fit, computed if it was lazy."""
    return dask.compute(fit, scheduler="sync")[0] if dask.is_dask_collection(fit) else fit


def assert_same(fit, want, rtol=1e-12):
    """The promise: 1e-12 of what a fit in memory says, and the same kind of fit."""
    assert isinstance(fit, type(want))
    assert np.array_equal(fit.status, want.status)
    assert fit.message == want.message
    names = ["params", "nobs", "loglik"] + ["stderr", "cov_params"] * (want.cov_type is not None)
    for name in names:
        a, b = np.asarray(getattr(fit, name)), np.asarray(getattr(want, name))
        assert a.dtype == b.dtype, name
        # Relative to the standard error where an estimate is near 0.
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol, err_msg=name)


# ---- fit_normal ------------------------------------------------------------------------------

CHUNKS = scaled([(2, N), (2, 13), (5, 7), (5, N)], [(2, N), (5, 7)])


def normal_cases(rng):
    x = rng.normal(1.0, 2.0, (5, N))
    e = rng.uniform(0.3, 0.6, N)
    limits = rng.normal(0.0, 1.0, (5, 1))
    return x, {
        "complete": {},
        "columns": {"axis": 0},
        "all": {"axis": None},
        "weights": {"weights": rng.integers(0, 3, (5, N))},
        "reml": {"reml": True},
        "sandwich": {"cov_type": "sandwich"},
        "no covariance": {"cov_type": None},
        "one limit": {"left": 0.0},
        "a limit each": {"left": limits, "right": 4.0, "cov_type": "opg"},
        "limits of all": {"left": x - 0.5 + rng.normal(size=x.shape), "axis": None},
        "limits of each": {"left": np.minimum(x, rng.normal(size=N))},
        "intervals": {"upper": x + 1.0, "axis": None, "cov_type": "sandwich"},
        "truncation": {"truncation": (-9.0, 9.0), "axis": None},
        "noise": {"noise_std": e, "axis": None},
        "noise, reml": {"noise_std": e, "axis": None, "reml": True},
        "noise, reml, opg": {"noise_std": e, "axis": None, "reml": True, "cov_type": "opg"},
        "noise of each": {"noise_std": e},
    }


NORMAL = list(normal_cases(np.random.default_rng(0))[1])


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("case", NORMAL)
def test_fit_normal(case, chunks, rng):
    x, cases = normal_cases(rng)
    options = cases[case]
    fit = fastnat.dask.fit_normal(da.from_array(x, chunks=chunks), **options)
    assert_same(compute(fit), fastnat.fit_normal(x, **options))


def test_noise_with_limits(rng):
    """A search of another kind, of which fit_normal promises a maximum to 1e-10."""
    x = rng.normal(1.0, 2.0, N)
    options = {"noise_std": 0.5, "left": 0.0}
    fit = fastnat.dask.fit_normal(da.from_array(x, chunks=17), **options)
    assert_same(fit, fastnat.fit_normal(x, **options), rtol=1e-10)


def test_arguments_are_cut_like_the_data(rng):
    """Dask or not, in whatever chunks, and broadcast."""
    x, w, left = rng.normal(size=(4, N)), rng.integers(0, 3, (3, 1, N)), rng.normal(size=(4, 1))
    want = fastnat.fit_normal(x, weights=w, left=left)
    for chunks in ((3, 1, N), (1, 1, 11)):
        fit = fastnat.dask.fit_normal(
            da.from_array(x, chunks=(3, 25)), weights=da.from_array(w, chunks=chunks), left=left
        )
        assert_same(compute(fit), want)
    assert_same(compute(fastnat.dask.fit_normal(x, weights=da.from_array(w), left=left)), want)


@pytest.mark.parametrize("order", ["sorted", "mixed"])
@pytest.mark.parametrize("options", [{}, {"cov_type": "opg"}, {"left": 0.0}, {"reml": True}])
def test_groups(order, options, rng):
    codes = rng.integers(0, 7, 5 * N)
    codes = np.sort(codes) if order == "sorted" else codes
    x = rng.normal(size=codes.size)
    want = fastnat.fit_normal(x, groups=codes, **options)
    for groups in (codes, da.from_array(codes, chunks=40)):
        fit = fastnat.dask.fit_normal(da.from_array(x, chunks=70), groups=groups, **options)
        assert_same(compute(fit), want)


@pytest.mark.parametrize("chunks", [(2, 6), (1, 3)])
def test_statuses(chunks):
    x = np.array(
        [[1.0, 2, 3, 4, 5, 7], [3.0] * 6, [1, np.nan, 2, 3, 4, 5], [1, np.inf, 2, 2, 2, 2]]
    )
    data = da.from_array(x, chunks=chunks)
    assert_same(compute(fastnat.dask.fit_normal(data)), fastnat.fit_normal(x))
    assert_same(compute(fastnat.dask.fit_normal(data, left=9.0)), fastnat.fit_normal(x, left=9.0))


@pytest.mark.parametrize(
    ("name", "x", "options"),
    [
        ("all below their limits", [1.0, 2.0, 3.0, 4.0], {"left": [5.0, 6.0, 7.0, 8.0]}),
        ("one value", [1.0, 1.0, 5.0, 6.0], {"left": [0.0, 0.0, 7.0, 8.0]}),
        ("an exponential limit", [1.0, 1.5, 2.0, 30.0], {"truncation": (1.0, np.inf)}),
        ("NaN", [1.0, np.nan, 3.0, 4.0], {"left": [0.0, 1.0, 2.0, 3.0]}),
        ("weight 0", [1.0, 2.0], {"left": [0.0, 1.0], "weights": [0.0, 0.0]}),
        ("sigma is 0", [1.0, 1.1, 0.9, 1.0], {"noise_std": [1.0, 2.0, 1.0, 1.0]}),
    ],
)
def test_no_maximum_of_a_long_sample(name, x, options):  # noqa: ARG001 - for the report
    fit = fastnat.dask.fit_normal(da.from_array(np.array(x), chunks=1), **options)
    want = fastnat.fit_normal(x, **options)
    assert fit.status is want.status
    np.testing.assert_allclose(fit.params, want.params, rtol=1e-9)
    np.testing.assert_allclose(fit.loglik, want.loglik, rtol=1e-9)
    assert fit.nobs == want.nobs


# ---- fit_linear, fit_mvn ---------------------------------------------------------------------


def linear_cases(rng):
    X = np.column_stack([np.ones(N), rng.normal(size=N)])
    y = X @ [1.0, 2.0] + np.exp(0.2 * X[:, 1]) * rng.normal(size=(3, N))
    return (
        y,
        X,
        {
            "complete": {},
            "weights": {"weights": rng.integers(0, 3, N)},
            "reml": {"reml": True},
            "Tobit": {"left": 0.0},
            "intervals": {"upper": y + 1.0},
            "truncation": {"truncation": (-20.0, 20.0)},
            "noise": {"noise_std": 0.5},
            "scale": {"Z": X},
            "one number": {"Z": np.full((N, 1), -2.0), "left": 0.0, "start": [1.0, 2.0, 0.1]},
            "one number, no limits": {"Z": np.full((N, 1), 0.5)},
            "sandwich": {"cov_type": "sandwich"},
            "clusters": {"cov_type": "sandwich", "clusters": rng.integers(0, 9, N) - 4},
            "start": {"start": np.array([1.0, 2.0, 0.0]), "left": 0.0},
            "starts": {"start": rng.normal(size=(3, 3)), "left": 0.0},
        },
    )


LINEAR = list(linear_cases(np.random.default_rng(0))[2])


@pytest.mark.parametrize("chunks", [(2, N), (3, 13)])
@pytest.mark.parametrize("case", LINEAR)
@pytest.mark.parametrize("lone", [False, True])
def test_fit_linear(case, chunks, lone, rng):
    y, X, cases = linear_cases(rng)
    options = cases[case]
    if lone:
        y, chunks = y[0], chunks[1:]
        for name in ("upper", "start"):
            if np.ndim(options.get(name)) == 2:
                options[name] = options[name][0]
    fit = fastnat.dask.fit_linear(da.from_array(y, chunks=chunks), X, **options)
    assert_same(compute(fit), fastnat.fit_linear(y, X, **options))


def test_single_chunks_are_not_copied():
    """Where a dimension is gathered; several chunks are put together."""
    x = np.arange(6.0).reshape(2, 3)
    assert _chunked._join("x", [[x]], (0, 1)) is x
    both = _chunked._join("x", [[x, x + 1], [x + 2, x + 3]], (0, 1))
    np.testing.assert_array_equal(both, np.block([[x, x + 1], [x + 2, x + 3]]))


@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize("n_chunks", [8, 20])
def test_a_chunk_is_a_task_and_so_is_the_root(n_chunks, made):
    """None of which hands on what another has done: each takes as long as a million numbers."""
    x, done = da.from_array(np.arange(4.0 * n_chunks), chunks=4), []
    if made:
        x = da.arange(4.0 * n_chunks, chunks=4)
    how = "threads" if made else "sync"
    with Callback(posttask=lambda key, *_: done.append(key)), dask.config.set(scheduler=how):
        fit = fastnat.dask.fit_normal(x)
    assert fit.nobs == x.size
    assert len(done) == n_chunks + (0 if n_chunks <= _chunked._FAN_IN else 3) + 1


@pytest.mark.parametrize("kind", ["x", "weights", "limits", "y and X", "a table", "groups"])
def test_chunks_that_are_at_hand_need_no_tasks_of_their_own(kind, rng, monkeypatch):
    """The same numbers as of chunks that are made, whatever is broadcast, bit by bit."""
    x, w = rng.normal(size=(3, 40)), rng.uniform(0.5, 2.0, (1, 40))
    X = rng.normal(size=(40, 2))
    fit, arguments, options = {
        "x": (fastnat.dask.fit_normal, [(x, (2, 9))], {}),
        "weights": (fastnat.dask.fit_normal, [(x, (2, 9)), (w, (1, 9))], {}),
        "limits": (fastnat.dask.fit_normal, [(x, (2, 9)), (x[:, :1], (2, 1))], {"axis": 1}),
        "y and X": (fastnat.dask.fit_linear, [(x, (2, 9)), (X, (9, 2))], {}),
        "a table": (fastnat.dask.fit_mvn, [(X, (9, 2))], {}),
        "groups": (fastnat.dask.fit_normal, [(x[0], 9), (np.arange(40) % 3, 9)], {}),
    }[kind]
    name = {"weights": "weights", "limits": "left", "y and X": "X", "groups": "groups"}.get(kind)
    make, calls, found = _chunked.Sources._tasks, [], []
    monkeypatch.setattr(_chunked.Sources, "_tasks", lambda *all: calls.append(0) or make(*all))
    for made in (False, True):
        arrays = [da.from_array(a, chunks=chunks) for a, chunks in arguments]
        if made:
            arrays = [array + array.dtype.type(0) for array in arrays]
        found.append(
            compute(fit(*arrays[:1], **dict(zip([name], arrays[1:], strict=False)), **options))
        )
    assert len(calls) == 1
    for what in ("params", "stderr", "loglik"):
        np.testing.assert_array_equal(*(getattr(each, what) for each in found))


SHARED = {
    "complete": {},
    "weights": {"weights": True, "cov_type": "sandwich"},
    "missing": {"nan_policy": "omit", "missing": True},
    "NaN": {"missing": True},
    "one limit": {"left": 0.5},
    "two limits, weights": {"left": 0.0, "right": 1.5, "weights": True, "cov_type": "opg"},
}


def held(array, chunks):
    """A Dask array that has views of this one, of which `da.from_array` makes copies."""
    name, sizes = f"held-{uuid.uuid4().hex}", normalize_chunks(chunks, array.shape)
    graph = {}
    for place in itertools.product(*(range(len(own)) for own in sizes)):
        ends = [(sum(own[:k]), sum(own[: k + 1])) for own, k in zip(sizes, place, strict=True)]
        graph[(name, *place)] = array[tuple(slice(*end) for end in ends)]
    return da.Array(graph, name, sizes, dtype=array.dtype)


LAYOUTS = {
    "a row": lambda x: x[1:2],
    "rows": lambda x: x,
    "columns": lambda x: np.repeat(x.T[..., None], 3, axis=2)[..., 1:2],
    "Fortran": np.asfortranarray,
    "float32": lambda x: x.astype(np.float32),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", SHARED)
def test_threads_share_the_observations_of_all_chunks(case, layout, rng, monkeypatch):
    """The bits that tasks give, with chunks shorter and longer than a segment, and no tasks."""
    x, options = rng.normal(1.0, 2.0, (3, 40)), dict(SHARED[case])
    if options.pop("missing", False):
        x[1, 7] = np.nan
    x, w = (LAYOUTS[layout](a) for a in (x, rng.uniform(0.5, 2.0, x.shape)))
    x.flags.writeable = False
    axis = {"a row": -1, "columns": (0, 1)}.get(layout)
    chunks = {"columns": ((17, 3, 20), 2, 1)}.get(layout, (2, (17, 3, 20)))
    more = dict(options)
    if options.pop("weights", False):
        more["weights"], options["weights"] = held(w, chunks), w
    monkeypatch.setattr(rows, "SEGMENT", 8)
    monkeypatch.setattr(columns, "SEGMENT", 8)
    monkeypatch.setattr(_blocks, "DIRECT_BYTES", (1, 1 << 6))
    monkeypatch.setattr(_reduce, "_SMALL", 4)
    monkeypatch.setattr(_blocks, "cpu_count", lambda: 3)
    cut, turned = _reduce._column_segments, []
    monkeypatch.setattr(_reduce, "_column_segments", lambda *a: turned.append(0) or cut(*a))
    lazy, done = held(x, chunks), []
    with dask.config.set(scheduler="sync"):
        want = fastnat.dask.fit_normal(lazy, axis=axis, **more)
    with Callback(posttask=lambda key, *_: done.append(key)):
        for n in (1, 3):
            with dask.config.set(scheduler="threads", num_workers=n):
                fit = fastnat.dask.fit_normal(lazy, axis=axis, **more)
            assert_same_bits(fit, want)
    assert done == []
    assert bool(turned) == (layout == "columns" and "weights" not in more)
    assert_same(fit, fastnat.fit_normal(x, axis=axis, **options))


@pytest.mark.parametrize("n_chunks", [9, 65, 130])
def test_threads_that_share_chunks_merge_them_in_the_same_tree(n_chunks, rng):
    x = da.from_array(rng.normal(1e3, 1.0, 3 * n_chunks), chunks=3)
    with dask.config.set(scheduler="sync"):
        want = fastnat.dask.fit_normal(x, left=999.0)
    with dask.config.set(scheduler="threads"):
        assert_same_bits(fastnat.dask.fit_normal(x, left=999.0), want)


def test_so_many_threads_share_as_are_asked_for(monkeypatch):
    """Those of Dask, so many times; and none of ours where the user has a pool."""
    x, run, asked = da.from_array(np.arange(40.0), chunks=10), _blocks.run_all, []

    def watch(works, n_threads, n_bytes):
        asked.append((len(works), n_threads, n_bytes))
        run(works, n_threads, n_bytes)

    monkeypatch.setattr(_blocks, "run_all", watch)
    for own, want in ((None, 3), (2, 6), (np.int8(100), 300)):
        with dask.config.set(scheduler="threads", num_workers=3):
            assert fastnat.dask.fit_normal(x, n_threads=own).mu == 19.5
        assert asked == [(4, want, 320)]
        asked.clear()
    with dask.config.set(scheduler="threads", num_workers=3):
        w = da.from_array(np.ones(40), chunks=10)
        assert fastnat.dask.fit_normal(x, weights=w).mu == 19.5
    assert asked == [(4, 3, 640)]
    asked.clear()
    with futures.ThreadPoolExecutor(2) as pool, dask.config.set(scheduler="threads", pool=pool):
        assert fastnat.dask.fit_normal(x).mu == 19.5
    assert asked == []


@pytest.mark.parametrize("scheduler", ["threads", "sync"])
def test_what_a_chunk_has_is_refused_whoever_reads_it(scheduler):
    x, w = np.arange(40.0), np.ones(40)
    w[33] = -1.0
    lazy, weights = da.from_array(x, chunks=10), da.from_array(w, chunks=10)
    y = np.where(x == 17.0, np.nan, x)
    with dask.config.set(scheduler=scheduler):
        with refused(ValueError, "weights must be finite"):
            fastnat.dask.fit_normal(lazy, weights=weights)
        with refused(ValueError, "x contains NaN"):
            fastnat.dask.fit_normal(da.from_array(y, chunks=10), nan_policy="raise")
        with refused(ValueError, "weights has 10 along axis 0 in a chunk, where x has 9"):
            key, short = "short", {("short", k): x[: 9 if k else 10] for k in range(4)}
            short = da.Array(short, key, ((10,) * 4,), dtype=float)
            fastnat.dask.fit_normal(short, weights=da.ones(40, chunks=10))


def test_threads_take_several_chunks_that_are_at_hand():
    """As many as leave some for the others; and one at a time if they have to be made."""
    x = np.arange(40.0)
    parts = {n: da.from_array(x[:n], chunks=1) for n in (1, 3, 8, 40)}
    with dask.config.set(scheduler="threads", num_workers=2):
        batches = {n: _chunked._batches(array) for n, array in parts.items()}
        assert batches == {n: {"chunksize": k} for n, k in {1: 1, 3: 2, 8: 4, 40: 4}.items()}
        assert _chunked._batches(parts[8] + 1.0) == {}
        with futures.ThreadPoolExecutor(2) as pool, dask.config.set(pool=pool):
            assert _chunked._batches(parts[8]) == {}
        fits = [fastnat.dask.fit_normal(da.from_array(x, chunks=k)) for k in (1, 7)]
    assert [float(fit.mu) for fit in fits] == [19.5, 19.5]
    with dask.config.set(scheduler="sync"):
        assert _chunked._batches(parts[8]) == {}


def test_designs_in_chunks(rng):
    """X and Z of the problems' own, cut as they like."""
    y, X = rng.normal(size=(4, N)), rng.normal(size=(4, N, 3))
    X[..., 0] = 1.0
    want = fastnat.fit_linear(y, X)
    for chunks in ((1, N, 3), (2, 11, 2)):
        fit = fastnat.dask.fit_linear(y, da.from_array(X, chunks=chunks))
        assert_same(compute(fit), want)


def own_scales(rng):
    """(y, X, Z): one column of the scale for each problem, some of them one number."""
    X = np.column_stack([np.ones(N), rng.normal(size=N)])
    Z = np.ones((6, N, 1))
    Z[1] = -2.0
    Z[2, :, 0] = X[:, 1]
    Z[3, 5:] = 1.5
    Z[4, 3] = np.nan
    Z[5] = 0.0
    return X @ [1.0, 2.0] + rng.normal(size=(6, N)), X, Z


@pytest.mark.parametrize(
    "chunks", scaled([(1, N), (2, N), (4, 11), (6, N), (6, 7)], [(2, N), (6, 7)])
)
@pytest.mark.parametrize(
    "options", [{}, {"left": 0.0, "start": [1.0, 2.0, 0.1]}, {"noise_std": 0.5}]
)
def test_constant_scales_whatever_the_chunks(chunks, options, rng):
    """Whether the column of Z is one number is decided for each problem, not for each chunk."""
    y, X, Z = own_scales(rng)
    want = fastnat.fit_linear(y, X, Z, **options)
    fit = compute(
        fastnat.dask.fit_linear(da.from_array(y, chunks=chunks), X, da.from_array(Z), **options)
    )
    assert_same(fit, want)
    lone = fastnat.dask.fit_linear(
        da.from_array(y[1], chunks=chunks[1:]), X, da.from_array(Z[1], chunks=(9, 1)), **options
    )
    assert_same(compute(lone), fastnat.fit_linear(y[1], X, Z[1], **options))
    for some in (fit, want, compute(lone)):
        with refused(ValueError, "no Z"):
            some.conf_int(method="exact")


def test_exact_intervals_of_long_problems(rng):
    y, X, _ = linear_cases(rng)
    fit = fastnat.dask.fit_linear(da.from_array(y[0], chunks=20), X)
    want = fastnat.fit_linear(y[0], X)
    np.testing.assert_allclose(fit.conf_int(0.9, "exact"), want.conf_int(0.9, "exact"), rtol=1e-12)


def mvn_cases(rng):
    X = rng.normal(size=(3, N, 3)) @ np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 1.0]])
    missing = np.where(rng.random(X.shape) < 0.1, np.nan, X)
    return {
        "complete": (X, {}),
        "weights": (X, {"weights": rng.integers(0, 3, N)}),
        "sandwich": (X, {"cov_type": "sandwich"}),
        "omit": (missing, {"nan_policy": "omit"}),
        "propagate": (missing, {}),
        "missing": (missing, {"nan_policy": "mle"}),
        "start": (missing, {"nan_policy": "mle", "start": (np.zeros(3), np.eye(3))}),
        "singular": (X[..., [0, 0, 1]], {}),
    }


MVN = list(mvn_cases(np.random.default_rng(0)))


@pytest.mark.parametrize("chunks", [(2, N, 3), (2, 17, 2)])
@pytest.mark.parametrize("case", MVN)
def test_fit_mvn(case, chunks, rng):
    X, options = mvn_cases(rng)[case]
    fit = compute(fastnat.dask.fit_mvn(da.from_array(X, chunks=chunks), **options))
    want = fastnat.fit_mvn(X, **options)
    # Missing entries: a search that stops where the decrement is 1e-12, from other sums.
    assert_same(fit, want, rtol=1e-9 if options.get("nan_policy") == "mle" else 1e-12)
    np.testing.assert_allclose(fit.correlation, want.correlation, atol=1e-9)
    np.testing.assert_allclose(fit.stderr_mean, want.stderr_mean, rtol=1e-9)


# ---- lazy fits -------------------------------------------------------------------------------


@pytest.fixture
def lazy(rng):
    x = rng.normal(size=(6, N))
    x[3] = 1.0
    return fastnat.dask.fit_normal(da.from_array(x, chunks=(4, N))), fastnat.fit_normal(x)


def test_a_lazy_fit_looks_like_a_fit(lazy):
    fit, want = lazy
    assert isinstance(fit, fastnat.NormalFit)
    assert repr(fit) == "<NormalFit: 6 fits, not computed yet>"
    for name in (
        "mu",
        "sigma",
        "params",
        "stderr",
        "cov_params",
        "loglik",
        "nobs",
        "nit",
        "status",
    ):
        array = getattr(fit, name)
        assert isinstance(array, da.Array), name
        expected = np.asarray(getattr(want, name))
        assert (array.shape, array.dtype) == (expected.shape, expected.dtype), name
        assert array.chunks[0] == (4, 2)
        np.testing.assert_array_equal(array.compute(scheduler="sync"), expected, err_msg=name)
    np.testing.assert_array_equal(fit.success.compute(scheduler="sync"), want.success)
    mu, sigma = (array.compute(scheduler="sync") for array in fit)
    np.testing.assert_array_equal(mu, want.mu)
    np.testing.assert_array_equal(sigma, want.sigma)
    assert fit.reml is False
    assert fit.shape == (6,)
    assert fit.cov_type == "observed"
    with refused(ValueError, "compute()"):
        _ = fit.message
    with refused(ValueError, "compute()"):
        fit.raise_for_status()


def test_methods_of_a_lazy_fit(lazy):
    fit, want = lazy
    for method in ("wald", "profile", "exact"):
        found = fit.conf_int(0.9, method).compute(scheduler="sync")
        np.testing.assert_array_equal(found, want.conf_int(0.9, method))
    value, error = dask.compute(*fit.quantile([0.1, 0.9]), scheduler="sync")
    np.testing.assert_array_equal(value, want.quantile([0.1, 0.9]).value)
    np.testing.assert_array_equal(error, want.quantile([0.1, 0.9]).stderr)
    with refused(ValueError, "level"):
        fit.conf_int(2.0)
    with refused(ValueError, "method"):
        fit.conf_int(method="best")
    with refused(ValueError, "q must be"):
        fit.quantile(1.5)


def test_a_computed_fit_of_blocks(lazy):
    fit, want = lazy
    done = fit.compute(scheduler="sync")
    assert repr(done) == repr(want) == "<NormalFit: 6 fits: 5 ok, 1 sigma_zero>"
    assert not dask.is_dask_collection(done)
    np.testing.assert_array_equal(done.conf_int(0.9, "exact"), want.conf_int(0.9, "exact"))
    again = pickle.loads(pickle.dumps(done))
    np.testing.assert_array_equal(again.params, want.params)
    with pytest.raises(fastnat.FitError, match="sigma_zero"):
        done.raise_for_status()
    kept = fit.persist(scheduler="sync")
    assert dask.is_dask_collection(kept)
    np.testing.assert_array_equal(kept.mu.compute(scheduler="sync"), want.mu)


def test_profile_intervals_need_the_data(rng):
    """They are found in the task that has them."""
    x = rng.normal(size=(3, N))
    fit = fastnat.dask.fit_normal(da.from_array(x, chunks=(2, N)), left=-0.5)
    want = fastnat.fit_normal(x, left=-0.5).conf_int(method="profile")
    found = fit.conf_int(method="profile").compute(scheduler="sync")
    np.testing.assert_array_equal(found, want)
    with refused(ValueError, "needs the data"):
        fit.compute(scheduler="sync").conf_int(method="profile")


def test_one_problem_is_a_fit_of_one_problem(rng):
    x = rng.normal(size=N)
    fit = fastnat.dask.fit_normal(da.from_array(x, chunks=-1))
    assert fit.mu.shape == ()
    assert fit.mu.compute(scheduler="sync") == fastnat.fit_normal(x).mu
    done = fit.compute(scheduler="sync")
    assert done.status is fastnat.Status.OK
    assert repr(done) == repr(fastnat.fit_normal(x))


def test_lazy_regressions_and_tables(rng):
    y, X, _ = linear_cases(rng)
    fit = fastnat.dask.fit_linear(da.from_array(y, chunks=(2, N)), X)
    want = fastnat.fit_linear(y, X)
    for name in ("coef", "scale_coef", "sigma", "aic", "bic"):
        np.testing.assert_array_equal(
            getattr(fit, name).compute(scheduler="sync"), getattr(want, name), err_msg=name
        )
    mean, sd = dask.compute(*fit.predict(X[:4]), scheduler="sync")
    np.testing.assert_array_equal(mean, want.predict(X[:4]).mean)
    np.testing.assert_array_equal(sd, want.predict(X[:4]).sd)
    with refused(ValueError, "summary"):
        fit.summary()
    with refused(ValueError, "X must have two dimensions"):
        fit.predict(np.ones((3, 4, 2)))
    T = rng.normal(size=(3, N, 2))
    tables = fastnat.dask.fit_mvn(da.from_array(T, chunks=(2, N, 2)))
    mean, covariance = tables
    np.testing.assert_array_equal(mean.compute(scheduler="sync"), fastnat.fit_mvn(T).mean)
    np.testing.assert_array_equal(
        covariance.compute(scheduler="sync"), fastnat.fit_mvn(T).covariance
    )


# ---- hostile ---------------------------------------------------------------------------------

X1 = da.from_array(np.array([[1.0, 2.0, 4.0], [2.0, 3.0, 7.0]]), chunks=(1, 3))
LONG = X1.rechunk((2, 2))
REFUSED = [
    ("axis", {"axis": 2}),
    ("left", {"left": [1.0, 2.0]}),
    ("left", {"left": np.nan}),
    ("truncation", {"truncation": 3.0}),
    ("truncation", {"truncation": (0.0, 9.0), "left": 1.0}),
    ("weights", {"weights": np.ones(4)}),
    ("weights", {"weights": da.ones(3, chunks=3, dtype=complex)}),
    ("noise_std", {"noise_std": -1.0}),
    ("groups", {"groups": [0, 0, 1]}),
    ("groups must be integers", {"groups": da.from_array(np.array(["a", "b", "a"]))}),
    ("groups must be integers", {"groups": np.array(["a", "b", "a"])}),
    ("nan_policy", {"nan_policy": "drop"}),
    ("cov_type", {"cov_type": "best"}),
    ("reml", {"reml": True, "left": 1.0}),
    ("max_iter", {"max_iter": 0}),
    ("tol", {"tol": 2.0}),
    ("n_threads", {"n_threads": 0}),
]


@pytest.mark.parametrize("x", [X1, LONG], ids=["problems", "observations"])
@pytest.mark.parametrize(("name", "options"), REFUSED)
def test_bad_arguments_get_one_sentence(x, name, options):
    """At the call, before anything is computed."""
    with refused((TypeError, ValueError), name), dask.config.set(scheduler=refuse_to_compute):
        fastnat.dask.fit_normal(x, **options)


def refuse_to_compute(*_, **__):
    raise AssertionError("computed")


def test_something_must_be_a_dask_array():
    for call in (
        fastnat.dask.fit_normal,
        fastnat.dask.fit_mvn,
        lambda v: fastnat.dask.fit_linear(v, v),
    ):
        with refused(TypeError, "Dask array"):
            call(np.ones((3, 2)))


def test_chunks_of_unknown_size():
    x = da.from_array(np.arange(9.0), chunks=3)
    with refused(ValueError, "compute_chunk_sizes"):
        fastnat.dask.fit_normal(x[x > 2.0])


@pytest.mark.parametrize("x", [X1, LONG], ids=["problems", "observations"])
@pytest.mark.parametrize("options", [{}, {"left": 1.5}, {"noise_std": 1.0, "axis": None}])
def test_bad_cells_are_found_when_they_are_read(x, options):
    with refused(ValueError, "weights must be finite"):
        compute(fastnat.dask.fit_normal(x, weights=[1.0, -1.0, 1.0], **options))
    bad = da.where(x == 2.0, np.nan, x)
    with refused(ValueError, "NaN"):
        compute(fastnat.dask.fit_normal(bad, nan_policy="raise", **options))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("X", {"X": np.ones((4, 1))}),
        ("X", {"X": np.ones(3)}),
        ("Z", {"Z": np.ones((4, 1))}),
        ("clusters", {"clusters": [0, 1], "cov_type": "sandwich"}),
        ("clusters", {"clusters": [0, 1, 2]}),
        ("start", {"start": [1.0]}),
        ("upper", {"upper": [1.0, 2.0]}),
        ("reml", {"reml": True, "left": 0.0}),
    ],
)
def test_bad_arguments_of_regressions(name, options):
    y = da.from_array(np.array([1.0, 2.0, 4.0]), chunks=2)
    with refused((TypeError, ValueError), name):
        fastnat.dask.fit_linear(y, **{"X": np.ones((3, 1))} | options)


def test_empty():
    fit = fastnat.dask.fit_normal(da.zeros((0, 4), chunks=(1, 2)))
    assert compute(fit).mu.shape == (0,)
    fit = fastnat.dask.fit_normal(da.zeros((2, 0), chunks=(1, 1)))
    assert compute(fit).status.tolist() == [fastnat.Status.NO_DATA] * 2


@pytest.mark.parametrize("scheduler", ["threads", "sync"])
def test_chunks_remember_what_they_are(scheduler, rng, monkeypatch):
    """Rows in this process, or that Dask hands to every step: X is looked at once."""
    looks = []
    look = _long.linear_long.look
    monkeypatch.setattr(_long.linear_long, "look", lambda *rows: looks.append(1) or look(*rows))
    y, X = rng.normal(size=40), rng.normal(size=(40, 2))
    parts = da.from_array(y, chunks=10), da.from_array(X, chunks=(10, 2))
    with dask.config.set(scheduler=scheduler):
        fit = fastnat.dask.fit_linear(*parts, left=-0.5)
    assert fit.nit > 1
    assert len(looks) == 4


@pytest.fixture
def runs(monkeypatch):
    """(blocks, threads) of each step that is told in this process, whose segments are short."""
    run, seen = _long._blocks.run, []

    def watch(work, n_blocks, n_threads, *how):
        if work.__module__ == _long.__name__:
            seen.append((n_blocks, n_threads))
        run(work, n_blocks, n_threads, *how)

    monkeypatch.setattr(_long, "_SEGMENT", 2)
    monkeypatch.setattr(_long.Rows, "segments_of_a_task", lambda *_: 1)
    monkeypatch.setattr(_long._blocks, "run", watch)
    return seen


@pytest.mark.parametrize("case", ["Tobit", "scale", "clusters", "float32"])
def test_threads_share_segments(case, runs, rng, monkeypatch):
    """Of chunks in this process, without tasks: the sums that these tell, chunk by chunk."""
    y, X, cases = linear_cases(rng)
    y, options = y[0], cases["scale" if case == "float32" else case]
    if case == "float32":  # which is copied first
        y, X = y.astype(np.float32), X.astype(np.float32)
    data = da.from_array(y, chunks=7)
    with dask.config.set(scheduler="sync"):
        want = fastnat.dask.fit_linear(data, X, **options)
    full, rest = divmod(N, 7)
    assert set(runs) == {(4, 1), (-(-rest // 2), 1)}  # each chunk by itself
    runs.clear()
    monkeypatch.setattr(_chunked_rows.Chunks, "_compute", None)  # a step by tasks would call it
    with dask.config.set(scheduler="threads", num_workers=2):
        fit = fastnat.dask.fit_linear(data, X, n_threads=2, **options)
    blocks = [4] * full + [-(-rest // 2)]
    by_four = {(sum(blocks[k : k + 4]), 4) for k in range(0, len(blocks), 4)}
    assert set(runs) == {(sum(blocks), 4)} | (by_four if case == "clusters" else set())
    assert_same(fit, want, rtol=0.0)


def test_threads_share_segments_of_chunks_that_are_not_alike(runs, rng, monkeypatch):
    """Some that kernels read where they are, and some that are copied, with tasks of several."""
    y, X, cases = linear_cases(rng)
    monkeypatch.setattr(_long.Rows, "segments_of_a_task", lambda *_: 3)
    read_only, fortran = y[0].copy(), np.asfortranarray(X)
    read_only.flags.writeable = False
    half = N // 2
    data = [
        da.concatenate([da.from_array(own, chunks=chunks) for own in both])
        for both, chunks in (
            ((read_only[:half], y[0].astype(np.float32)[half:]), half),
            ((X[:half], fortran[half:]), (half, 2)),
        )
    ]
    fits = []
    for scheduler in ("sync", "threads"):
        with dask.config.set(scheduler=scheduler, num_workers=2):
            fits.append(fastnat.dask.fit_linear(*data, **cases["scale"]))
    assert_same(fits[1], fits[0], rtol=0.0)
    n_tasks = -(-half // 6)
    assert set(runs) == {(n_tasks, 1), (2 * n_tasks, 2)}


def test_threads_of_a_pool_of_the_users_take_chunks(runs, rng):
    """Ours are no part of it."""
    y, X, cases = linear_cases(rng)
    with futures.ThreadPoolExecutor(2) as pool, dask.config.set(scheduler="threads", pool=pool):
        fit = fastnat.dask.fit_linear(da.from_array(y[0], chunks=N // 2), X, **cases["scale"])
    assert set(runs) == {(N // 4, 1)}
    assert_same(fit, fastnat.fit_linear(y[0], X, **cases["scale"]))


def test_segments_share_their_room(rng, monkeypatch):
    """Workers of distributed give back what is freed: in a new room each page is cleared anew.

    So do parts of a step, of which each is told by itself.
    """
    rooms, new_room = [], _long.linear_long.new_room
    monkeypatch.setattr(_long, "_SEGMENT", 5)
    monkeypatch.setattr(_long.linear_long, "new_room", lambda *a: rooms.append(1) or new_room(*a))
    x = np.column_stack([np.ones(40), rng.normal(size=40)])
    columns = (x @ [1.0, 2.0], *[None] * 8)
    rows = _long.rows_of(columns, x, None, np.empty(0, np.int64), False)
    memory = _long.linear_memory.new_memory(2, 1)
    memory[_long.linear_memory.CELLS][_long.linear_memory.UNIT] = 1.0
    question = _long.Question(_long.values.GRAM, np.zeros(3), memory)
    shared = _long.Rooms()
    once, again = (_long.tell([rows], question, 1, shared)[0] for _ in range(2))
    assert len(rows.seen) == 8
    assert len(rooms) == 1
    np.testing.assert_array_equal(once.told, again.told)


@pytest.mark.parametrize("n_fits", [scaled(3000, 30)])
def test_many_problems(n_fits, rng):
    x = rng.normal(size=(n_fits, 20))
    fit = fastnat.dask.fit_normal(da.from_array(x, chunks=(n_fits // 4, 20)), left=-1.0)
    assert_same(compute(fit), fastnat.fit_normal(x, left=-1.0))


def test_dask_that_is_no_array():
    lazy = dask.delayed([1.0, 2.0])
    with refused(TypeError, "x", "Delayed", "to_dask_array"):
        fastnat.dask.fit_normal(lazy)


def test_a_lazy_fit_in_a_task_of_somebody_else(lazy):
    """Dask asks for the layers of its graph."""
    fit, want = lazy
    sigma = dask.delayed(lambda known: known.sigma)(fit).compute(scheduler="sync")
    np.testing.assert_array_equal(sigma, want.sigma)


def test_groups_with_limits_of_their_own(rng):
    codes = rng.integers(0, 3, N)
    x = rng.normal(size=N)
    left = np.minimum(x, rng.normal(size=N))
    fit = fastnat.dask.fit_normal(da.from_array(x, chunks=7), groups=codes, left=left)
    assert_same(compute(fit), fastnat.fit_normal(x, groups=codes, left=left))


def test_a_long_regression_with_a_missing_value():
    X, y = (
        np.column_stack([np.ones(6), np.arange(6.0)]),
        np.array([1.0, 3.0, 2.0, np.nan, 5.0, 4.0]),
    )
    with refused(ValueError, "NaN", "nan_policy"):
        fastnat.dask.fit_linear(da.from_array(y, chunks=2), X, nan_policy="raise")


def test_weights_of_a_long_sample_in_one_number(rng):
    """Whoever has no weights in chunks may have one for all."""
    x = rng.normal(size=N)
    fit = fastnat.dask.fit_normal(da.from_array(x, chunks=7), upper=x + 1.0, weights=2.0)
    assert_same(compute(fit), fastnat.fit_normal(x, upper=x + 1.0, weights=2.0), rtol=1e-11)


def test_other_graphs_can_depend_on_a_lazy_fit(lazy):
    """By the layers that it names."""
    fit, want = lazy
    first = next(flatten(fit.__dask_keys__()))
    task = {"mine": (operator.attrgetter("mu"), first)}
    graph = HighLevelGraph.from_collections("mine", task, dependencies=[fit])
    np.testing.assert_array_equal(dask.get(graph, "mine"), want.mu[:4])
