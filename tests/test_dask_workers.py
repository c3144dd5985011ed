"""Dask on processes of their own: who is asked, what travels, and what if one is killed."""

import asyncio
import collections
import math
import multiprocessing
import os
import signal
import threading
import time
import types
import warnings
from concurrent import futures
from multiprocessing import forkserver

import dask
import dask.array as da
import distributed
import numpy as np
import pytest
from distributed.protocol.pickle import dumps, loads
from test_dask import N, assert_same, linear_cases

import fastnat
import fastnat.dask
from fastnat import _blocks, _chunked, _chunked_rows, _long, _workers
from fastnat.kernels import linear_memory, linear_values


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    # Workers, also those that replace the killed, are copies of a process that has imported all.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["distributed", "fastnat.dask"])
    forkserver.ensure_running()
    method = {"distributed.worker.multiprocessing-method": "forkserver"}
    with dask.config.set(method), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of sockets, when workers are killed
        cluster = distributed.LocalCluster(processes=True, **options)
        with cluster, distributed.Client(cluster) as client:
            yield client


def kill_a_worker(client):
    """As the kernel does when memory is short."""
    pid = next(iter(client.run(os.getpid).values()))
    os.kill(pid, signal.SIGKILL)


def test_on_two_processes(client, rng):
    x = rng.normal(1.0, 2.0, (6, N))
    lazy = fastnat.dask.fit_normal(da.from_array(x, chunks=(2, N)))
    assert len(client.scheduler_info()["workers"]) == 2
    assert_same(lazy.compute(), fastnat.fit_normal(x))
    np.testing.assert_array_equal(lazy.persist().mu.compute(), fastnat.fit_normal(x).mu)
    tree = fastnat.dask.fit_normal(da.from_array(x, chunks=(3, 11)), left=0.0)
    assert_same(tree, fastnat.fit_normal(x, left=0.0))


@pytest.mark.usefixtures("client")
def test_searches_on_two_processes(rng):
    y, X, cases = linear_cases(rng)
    for case in ("Tobit", "scale", "clusters"):
        fit = fastnat.dask.fit_linear(da.from_array(y[0], chunks=8), X, **cases[case])
        assert_same(fit, fastnat.fit_linear(y[0], X, **cases[case]))


@pytest.fixture(params=[True, False, None])
def reached(client, request, monkeypatch):
    """The client, which reaches its workers or does not, or was told nothing, of its cluster."""
    monkeypatch.setattr(client, "direct_to_workers", request.param)
    return client


@pytest.fixture
def tasks(monkeypatch):
    """The tasks that searches have made."""
    compute, made = _chunked_rows.Chunks._compute, []
    monkeypatch.setattr(
        _chunked_rows.Chunks, "_compute", lambda *args: made.extend(args[2]) or compute(*args)
    )
    return made


@pytest.mark.usefixtures("client")
def test_a_step_is_a_message_to_each_worker(rng, tasks, monkeypatch):
    """And no task, which takes longer than many steps do."""
    monkeypatch.setattr(_chunked_rows, "_SILENCE", math.inf)
    look, looks = _workers.who_holds, []
    monkeypatch.setattr(_workers, "who_holds", lambda *args: looks.append(1) or look(*args))
    y, X, cases = linear_cases(rng)
    data = da.from_array(y[0], chunks=5)
    fit = fastnat.dask.fit_linear(data, X, **cases["scale"])
    assert not tasks
    assert len(looks) == 1
    with dask.config.set(scheduler="sync"):
        by_tasks = fastnat.dask.fit_linear(data, X, **cases["scale"])
    assert len(tasks) > fit.nit * (N // 5)
    np.testing.assert_array_equal(fit.params, by_tasks.params)


@pytest.mark.usefixtures("client")
def test_a_long_step_is_a_task_for_each_thread(rng, tasks, monkeypatch):
    """For a scheduler that sees none for long may close the cluster, or send workers away."""
    y, X, cases = linear_cases(rng)
    data = da.from_array(y[0], chunks=5)
    monkeypatch.setattr(_chunked_rows, "_SILENCE", math.inf)
    want = fastnat.dask.fit_linear(data, X, **cases["scale"])
    monkeypatch.setattr(_chunked_rows, "_SILENCE", 0.0)
    fit = fastnat.dask.fit_linear(data, X, **cases["scale"])
    np.testing.assert_array_equal(fit.params, want.params)
    n_chunks, n_asked = N // 5, sum(len(group) for _, group, _ in tasks)
    assert n_asked % n_chunks == 0
    assert fit.nit < n_asked // n_chunks
    assert len(tasks) <= 2 * (n_asked // n_chunks)


@pytest.mark.usefixtures("client")
def test_after_a_long_step_the_next_is_tasks_as_well(rng, tasks, monkeypatch):
    y, X, cases = linear_cases(rng)
    compute, run, asked = _chunked_rows.compute_as_if_collection, _workers.Workers._run, []

    def take_long(*args):
        time.sleep(0.3)
        return compute(*args)

    def watch(self, *args):
        asked.append(1)
        time.sleep(0.25)
        return run(self, *args)

    monkeypatch.setattr(_chunked_rows, "compute_as_if_collection", take_long)
    monkeypatch.setattr(_workers.Workers, "_run", watch)
    monkeypatch.setattr(_chunked_rows, "_SILENCE", 0.2)
    fit = fastnat.dask.fit_linear(da.from_array(y[0], chunks=8), X, **cases["scale"])
    assert fit.nit > 2
    assert len(asked) <= 1  # the first one, before any has taken long
    assert tasks


def held(client, *arrays, step=8, where=lambda k, places: places[k % len(places)]):
    """Dask arrays whose chunks lie on these workers, those of the same rows together."""
    places, lazy = sorted(client.nthreads()), []
    for array in arrays:
        blocks = [
            client.scatter(array[k : k + step], workers=[where(k // step, places)], hash=False)
            for k in range(0, len(array), step)
        ]
        name = f"held-{id(blocks)}"
        graph = {(name, k, *(0,) * (array.ndim - 1)): block for k, block in enumerate(blocks)}
        rows = tuple(len(array[k : k + step]) for k in range(0, len(array), step))
        chunks = (rows, *((width,) for width in array.shape[1:]))
        lazy.append(da.Array(graph, name, chunks, dtype=array.dtype))
    return lazy


def test_chunks_that_lie_on_workers_need_no_tasks(reached, rng, tasks, monkeypatch):
    """What makes rows of a chunk is done where it lies, and it is looked at once."""
    monkeypatch.setattr(_chunked_rows, "_SILENCE", math.inf)
    monkeypatch.setattr(_chunked.Sources, "blocks", None)
    y, X, cases = linear_cases(rng)
    reached.wait_for_workers(2)
    reached.run(count_looks)
    try:
        fit = fastnat.dask.fit_linear(*held(reached, y[0], X, X))
    finally:
        looks = reached.run(count_no_more)
    assert not tasks
    n_chunks = -(-N // 8)
    assert sorted(looks.values()) == [n_chunks // 2, n_chunks - n_chunks // 2]
    want = fastnat.fit_linear(y[0], X, **cases["scale"])
    assert fit.nit > 2
    assert_same(fit, want)


@pytest.mark.parametrize("weights", [2, "each"])
def test_chunks_of_a_sample_that_lie_on_workers(client, weights, rng, tasks, monkeypatch):
    """Also with a number for all, and arrays of more than one dimension."""
    monkeypatch.setattr(_chunked_rows, "_SILENCE", math.inf)
    monkeypatch.setattr(_chunked.Sources, "blocks", None)
    x = rng.normal(1.0, 2.0, (N, 3))
    w = weights if weights == 2 else rng.integers(1, 3, x.shape)
    client.wait_for_workers(2)
    data, upper, *rest = held(client, x, x + 1.0, *([] if weights == 2 else [w]))
    fit = fastnat.dask.fit_normal(data, upper, weights=rest[0] if rest else w, axis=None)
    assert not tasks
    assert_same(fit, fastnat.fit_normal(x, x + 1.0, weights=w, axis=None))


def test_missing_values_in_chunks_that_lie_on_workers(client, rng):
    y, X, _ = linear_cases(rng)
    y = np.where(rng.random(N) < 0.2, np.nan, y[0])
    client.wait_for_workers(2)
    arrays = held(client, y, X, X)
    fit = fastnat.dask.fit_linear(*arrays, nan_policy="omit")
    assert_same(fit, fastnat.fit_linear(y, X, X, nan_policy="omit"))
    with pytest.raises(ValueError, match="NaN"):
        fastnat.dask.fit_linear(*arrays, nan_policy="raise")


def test_chunks_of_the_same_rows_on_different_workers(client, rng, monkeypatch):
    """Then tasks bring them together, once."""
    y, X, cases = linear_cases(rng)
    client.wait_for_workers(2)
    cuts, cut = [], _chunked.Sources.blocks
    monkeypatch.setattr(
        _chunked.Sources, "blocks", lambda *args, **how: cuts.append(1) or cut(*args, **how)
    )
    (data,) = held(client, y[0])
    (design,) = held(client, X, where=lambda k, places: places[(k + (k == 1)) % len(places)])
    fit = fastnat.dask.fit_linear(data, design, design)
    assert len(cuts) == 1
    assert_same(fit, fastnat.fit_linear(y[0], X, **cases["scale"]))


def test_what_is_wrong_with_a_chunk_that_lies_on_a_worker(client, rng):
    """Is raised by a task, as if it had not been there."""
    y, X, _ = linear_cases(rng)
    client.wait_for_workers(2)
    data, design = held(client, np.ma.masked_array(y[0], y[0] > 0.0), X)
    with pytest.raises(TypeError, match="y is a masked array"):
        fastnat.dask.fit_linear(data, design, left=0.0)


@pytest.mark.parametrize("told", [False, None])
def test_a_worker_is_killed_with_chunks_that_others_can_make(client, told, rng, monkeypatch):
    """The search goes on, with the same bits, and asks workers again."""
    y, X, _ = linear_cases(rng)
    client.wait_for_workers(2)
    monkeypatch.setattr(client, "direct_to_workers", told)
    monkeypatch.setattr(_chunked_rows, "_SILENCE", math.inf)
    together = da.from_array(np.column_stack([y[0], X]), chunks=(8, 3)).persist()
    parts = together[:, 0].persist(), together[:, 1:].persist()
    distributed.wait(parts)
    undisturbed = fastnat.dask.fit_linear(*parts, parts[1])
    run, asked = _workers.Workers._run, []

    def kill_first(self, *args):
        asked.append(self.n_parts)
        if len(asked) == 2:
            kill_a_worker(client)
        return run(self, *args)

    monkeypatch.setattr(_workers.Workers, "_run", kill_first)
    with dask.config.set({"distributed.comm.timeouts.connect": "5s"}):
        fit = fastnat.dask.fit_linear(*parts, parts[1])
    assert len(asked) > 2
    np.testing.assert_array_equal(fit.params, undisturbed.params)
    client.wait_for_workers(2)


def count_looks():
    look, looks = _long.linear_long.look, []
    _long.linear_long.look = lambda *rows: looks.append(1) or look(*rows)
    _long.linear_long.uncounted, _long.linear_long.looks = look, looks


def count_no_more():
    _long.linear_long.look = _long.linear_long.uncounted
    return len(_long.linear_long.looks)


@pytest.fixture
def single():
    """A client, not the default, of one worker with one thread."""
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0"}
    with (
        distributed.LocalCluster(processes=False, **options) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def test_a_client_that_is_no_default(single, rng):
    y, X, _ = linear_cases(rng)
    with dask.config.set(scheduler=single):
        fit = fastnat.dask.fit_linear(da.from_array(y[0], chunks=8), X, left=0.0)
    assert_same(fit, fastnat.fit_linear(y[0], X, left=0.0))


def fit_in_a_task(y, X):
    distributed.get_client()  # and not the threads of this process
    return fastnat.dask.fit_linear(da.from_array(y, chunks=8), X, left=0.0).params


def test_a_search_in_a_task(single, rng):
    """Which holds the only thread of the only worker, that therefore cannot be asked."""
    y, X, _ = linear_cases(rng)
    params = single.submit(fit_in_a_task, y[0], X).result(timeout=300)
    np.testing.assert_allclose(params, fastnat.fit_linear(y[0], X, left=0.0).params, rtol=1e-12)


def sum_of(known, parts, *_):
    sums = [sum(int(chunk.sum()) for chunk in chunks) for chunks in parts]
    return list(zip(known, sums, strict=True))


def fail(known, *_):
    if b"b" in known:
        raise RuntimeError
    return known


def test_workers_tell_of_the_parts_that_they_hold(reached):
    """Workers say nothing of what they do not hold; an error is for a task to raise."""
    reached.wait_for_workers(2)
    [blocks] = held(reached, np.arange(6), step=2)
    chunks = {future.key: future for future in blocks.dask.values()}
    parts = [[key] for key in chunks] + [["elsewhere"]]
    workers = _workers.who_holds(parts, chunks)
    assert workers.n_parts == 3
    known = [b"a", b"b", b"c"]
    assert workers.apply(sum_of, known) == {0: (b"a", 1), 1: (b"b", 5), 2: (b"c", 9)}
    assert workers.apply(fail, known) == {0: b"a", 2: b"c"}


def test_what_is_made_is_not_waited_for(client, monkeypatch):
    client.wait_for_workers(2)
    [blocks] = held(client, np.arange(6), step=2)
    chunks = {future.key: future for future in blocks.dask.values()}
    monkeypatch.setattr(distributed, "wait", None)
    assert _workers.who_holds([[key] for key in chunks], chunks).n_parts == 3


def test_what_workers_say_is_one_frame(client):
    client.wait_for_workers(2)
    [blocks] = held(client, np.arange(6), step=2)
    keys = [future.key for future in blocks.dask.values()]
    places = client.who_has([*blocks.dask.values()])
    asked = {
        place: [(k, b"", [key]) for k, key in enumerate([*keys, "elsewhere"])]
        for place in client.nthreads()
    }
    pickled = client.run(_workers._apply_here, dumps(sum_of), asked)
    assert {type(own) for own in pickled.values()} == {bytes}
    answers = {place: loads(own) for place, own in pickled.items()}
    assert {key: [w for w, own in answers.items() if k in own] for k, key in enumerate(keys)} == {
        key: list(places[key]) for key in keys
    }


@pytest.mark.parametrize(("told", "direct"), [(True, True), (False, False), (None, True)])
def test_who_asks_workers(client, told, direct, rng, monkeypatch):
    """The client itself, if it was told so or its cluster is on this machine."""
    monkeypatch.setattr(client, "direct_to_workers", told)
    run, asked = distributed.Client.run, []
    monkeypatch.setattr(
        distributed.Client, "run", lambda *args, **how: asked.append(1) or run(*args, **how)
    )
    y, X, cases = linear_cases(rng)
    fit = fastnat.dask.fit_linear(da.from_array(y[0], chunks=8), X, **cases["scale"])
    assert_same(fit, fastnat.fit_linear(y[0], X, **cases["scale"]))
    assert bool(asked) != direct


def test_chunks_are_asked_where_tasks_would_run(client, rng):
    """Else a search would fail as soon as one of its steps goes by tasks."""
    client.wait_for_workers(2)
    sources = _chunked.read(
        dict(zip("yX", held(client, rng.normal(size=N), rng.normal(size=(N, 2))), strict=True)),
        lambda name, _: {"y": (-1,), "X": (-1, "p")}[name],
    )

    def is_held():
        return _chunked_rows._held_by_workers(sources, (-1,), False) is not None

    assert is_held()
    with dask.config.set(scheduler="threads"):
        assert not is_held()
    other = distributed.Client(client.scheduler.address, set_as_default=False)
    with other, dask.config.set(scheduler=other):
        assert not is_held()


def test_a_client_of_somebody_elses_cluster(client):
    address = client.scheduler.address
    with distributed.Client(address, set_as_default=False) as other:
        assert not _workers._reaches_workers(other)


done = []


def of_a_number(_, parts, pool, n_threads):
    done.append((len(parts), pool, n_threads))
    return [chunks[0] for chunks in parts]


@pytest.mark.parametrize(
    ("kind", "fast", "ahead", "jobs"),
    [
        (dict, (), 8, [(8, 2)]),
        (collections.UserDict, range(8), 8, [(8, 2)]),
        (collections.UserDict, [0, 1, 2, 4, 5, 6, 7], 3, [(1, 1)] * 8),
        (collections.UserDict, (), 3, [(1, 1)] * 8),
    ],
    ids=["memory", "none spilled", "one spilled", "all spilled"],
)
def test_threads_share_what_has_not_been_spilled(kind, fast, ahead, jobs):
    """But all may be more than the worker's memory: then one is ready for a thread that is free."""
    read, most = [], []
    done.clear()

    class Data(kind):
        def __getitem__(self, key):
            read.append(key)
            most.append(len(read) - sum(n for n, *_ in done))
            return super().__getitem__(key)

    data = Data({k: k * k for k in range(8)})
    data.fast = fast
    parts = [(k, b"", [k]) for k in range(9)]
    with futures.ThreadPoolExecutor(2) as pool:
        worker = types.SimpleNamespace(
            address="here",
            data=data,
            executors={"default": pool},
            state=types.SimpleNamespace(nthreads=2),
        )
        told = asyncio.run(_workers._apply_here(dumps(of_a_number), {"here": parts}, worker))
    assert loads(told) == {k: k * k for k in range(8)}
    assert max(most) == ahead
    assert done == [(n, pool, n_threads) for n, n_threads in jobs]


@pytest.mark.parametrize(
    ("n_threads", "processors", "ours"),
    [(None, 1, False), (None, 4, False), (2, 1, False), (2, 4, True)],
)
def test_a_worker_of_two_threads(n_threads, processors, ours, rng, monkeypatch):
    """They share segments of all chunks, however few processors we may use.

    Ours do so instead if more are asked for and may be used.  Where some chunks have been spilled
    each goes by itself.  Bits are the same.
    """
    tell, threads, both = _long._Segments.tell, dict[str, None](), threading.Barrier(2)

    def meet(self, *args):
        name = threading.current_thread().name
        if name not in threads and len(threads) < 2:
            threads[name] = None
            both.wait(60.0)
        return tell(self, *args)

    jobs, call = [], _chunked_rows._Tell.__call__
    monkeypatch.setattr(
        _chunked_rows._Tell,
        "__call__",
        lambda self, seen, *how: jobs.append(len(seen)) or call(self, seen, *how),
    )
    monkeypatch.setattr(_chunked_rows, "_SILENCE", math.inf)
    monkeypatch.setattr(_blocks, "cpu_count", lambda: processors)
    monkeypatch.setattr(_blocks, "_pool", None)  # one of so many threads
    y, X, _ = linear_cases(rng)
    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": ":0"}
    # The memory of this process, which many tests share, is not the worker's to spill for.
    memory = {f"distributed.worker.memory.{limit}": False for limit in ("spill", "pause")}
    with (
        dask.config.set(memory),
        distributed.LocalCluster(processes=False, memory_limit="1GiB", **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        arrays = held(client, y[0], X, X)
        with monkeypatch.context() as patch:
            patch.setattr(_long._Segments, "tell", meet)
            fit = fastnat.dask.fit_linear(*arrays, n_threads=n_threads)
        n_chunks = -(-N // 8)
        assert set(jobs) == {n_chunks}
        jobs.clear()
        client.run(spill_one)
        after = fastnat.dask.fit_linear(*arrays, n_threads=n_threads)
    assert len(threads) == 2
    assert any(name.startswith("fastnat") for name in threads) == ours
    assert jobs[:n_chunks] == [1] * n_chunks
    assert jobs[-1] == n_chunks
    assert_same(fit, fastnat.fit_linear(y[0], X, X))
    np.testing.assert_array_equal(after.params, fit.params)


def test_a_question_is_sent_without_what_only_the_search_needs():
    memory = [np.full_like(array, 0.5) for array in linear_memory.new_memory(3, 2)]
    question = _long.Question(linear_values.GRAM, np.arange(5.0), tuple(memory))
    sent = loads(dumps(question))
    assert sent.request == question.request
    np.testing.assert_array_equal(sent.theta, question.theta)
    assert len(sent.memory) == len(memory)
    for k, (own, array) in enumerate(zip(sent.memory, memory, strict=True)):
        assert (own.ndim, own.size) == (array.ndim, array.size if k in linear_memory.READ else 0)
        assert (own == 0.5).all()


def spill_one(dask_worker):
    dask_worker.data.evict()
    assert len(dask_worker.data.slow) == 1


def test_a_worker_is_killed_while_statistics_are_taken(client, rng, tmp_path):
    x = rng.normal(1.0, 2.0, (4, N))
    flag = tmp_path / "killed"

    def kill_once(block):
        if not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return block

    data = da.from_array(x, chunks=(4, 9)).map_blocks(kill_once, meta=np.empty((0, 0)))
    fit = fastnat.dask.fit_normal(data)
    assert flag.exists()
    assert_same(fit, fastnat.fit_normal(x))
    client.wait_for_workers(2)


def test_a_worker_is_killed_in_the_middle_of_a_search(client, rng, monkeypatch):
    """Its chunks are made again; the answer has the same bits, for sums are added in order."""
    y, X, cases = linear_cases(rng)
    data = da.from_array(y[0], chunks=8)
    with dask.config.set(scheduler="sync"):
        undisturbed = fastnat.dask.fit_linear(data, X, **cases["scale"])
    proceed, steps = _long.linear_long.proceed, []

    def watch(*arguments):
        steps.append(1)
        if len(steps) == 2:
            kill_a_worker(client)
        return proceed(*arguments)

    monkeypatch.setattr(_long.linear_long, "proceed", watch)
    fit = fastnat.dask.fit_linear(data, X, **cases["scale"])
    assert len(steps) > 3
    np.testing.assert_array_equal(fit.params, undisturbed.params)
    assert_same(fit, fastnat.fit_linear(y[0], X, **cases["scale"]))


def test_a_worker_is_killed_when_it_is_asked(client, rng, monkeypatch, tasks):
    y, X, cases = linear_cases(rng)
    data = da.from_array(y[0], chunks=8)
    client.wait_for_workers(2)
    monkeypatch.setattr(_chunked_rows, "_SILENCE", math.inf)
    run, asked = _workers.Workers._run, []
    look, looks = _workers.who_holds, []
    monkeypatch.setattr(_workers, "who_holds", lambda *args: looks.append(1) or look(*args))

    def kill_first(self, *args):
        asked.append(1)
        if len(asked) == 2:
            kill_a_worker(client)
        return run(self, *args)

    monkeypatch.setattr(_workers.Workers, "_run", kill_first)
    # How long one knocks at the door of the dead, if they have closed it by then.
    with dask.config.set({"distributed.comm.timeouts.connect": "5s"}):
        fit = fastnat.dask.fit_linear(data, X, **cases["scale"])
    assert len(asked) > 2
    assert len(looks) == 2  # at first, and when not all have answered
    assert 0 < len(tasks) < len(data.chunks[0])  # those of one step, for what the dead one held
    assert_same(fit, fastnat.fit_linear(y[0], X, **cases["scale"]))
