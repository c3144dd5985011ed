"""Blocks on threads: all is done once, errors and Ctrl-C end the work, nests run serially."""

import gc
import itertools
import math
import multiprocessing
import os
import signal
import threading
import time
import weakref
from concurrent import futures

import numba
import numpy as np
import pytest

import fastnat
from fastnat import _blocks

rng = np.random.default_rng(22)


@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, 4), (2, 0, 3), (2, 3, 5), (1, 1, 7)])
@pytest.mark.parametrize("limit", [1, 2, 5, 12, 1000])
def test_cut_covers_everything_once_in_order(shape, limit):
    numbers = np.arange(math.prod(shape)).reshape(shape)
    seen, after = [], 0
    for index, first, count in _blocks.cut(shape, limit):
        block = numbers[index].reshape(-1)
        assert (first, count) == (after, block.size)
        assert block.size <= limit
        seen.extend(block)
        after += count
    assert seen == list(numbers.reshape(-1))


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8, None])
def test_every_block_is_worked_on_once(n_threads):
    done = []
    _blocks.run(done.append, 100, n_threads, 1 << 30)
    assert sorted(done) == list(range(100))


@pytest.mark.parametrize("n_threads", [1, 4])
def test_first_error_ends_the_work(n_threads):
    done = []

    def work(i):
        done.append(i)
        if i == 3:
            raise ValueError("block 3")
        time.sleep(0.001)

    with pytest.raises(ValueError, match="block 3"):
        _blocks.run(work, 1000, n_threads, 1 << 30)
    assert len(done) < 1000


def test_a_pool_that_cannot_start_the_thread_for_what_it_has_queued():
    """Another of its threads may work on a block, which is waited for."""
    done, begun = [], threading.Event()

    def work(i):
        if i == 0:
            assert begun.wait(60.0)
        else:
            begun.set()
            time.sleep(0.2)
        done.append(i)

    def refuse():
        raise RuntimeError("can't start new thread")

    with futures.ThreadPoolExecutor(2) as pool:
        pool.submit(int).result()
        pool._adjust_thread_count = refuse
        _blocks.run(work, 2, 2, 1, pool)
        assert done == [0, 1]


def test_a_busy_pool_keeps_nothing_of_what_it_was_not_needed_for():
    class Work:
        def __call__(self, _):
            assert threading.current_thread() is threading.main_thread()

    work, free = Work(), threading.Event()
    gone = weakref.ref(work)
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(free.wait)
        try:
            _blocks.run(work, 3, 3, 1, pool)
            del work
            gc.collect()
            assert gone() is None
        finally:
            free.set()


def test_blocks_are_cut_for_the_threads_of_a_pool(monkeypatch):
    """Of which there may be more than processors that we may use."""
    monkeypatch.setattr(_blocks, "cpu_count", lambda: 1)
    most = _blocks.DIRECT_BYTES[1]
    with futures.ThreadPoolExecutor(4) as pool:
        assert _blocks.direct_bytes(8 * most, 4) == most
        assert _blocks.direct_bytes(8 * most, 4, pool) == most // 4


def test_an_error_in_a_helper_is_raised_in_the_caller():
    caller = threading.get_ident()
    helped = threading.Event()

    def work(_):
        if threading.get_ident() != caller:
            helped.set()
            raise ValueError("in a helper")
        helped.wait(0.01)

    if _blocks.cpu_count() == 1:
        helped.set()  # there are no helpers
    else:
        with pytest.raises(ValueError, match="in a helper"):
            _blocks.run(work, 10_000, 2, 1 << 30)
    assert helped.is_set()


def test_a_call_from_a_worker_runs_serially():
    inside = []

    def nested(_):
        inside.append(threading.get_ident())

    def work(_):
        here = threading.get_ident()
        before = len(inside)
        if getattr(_blocks._worker, "busy", False):
            _blocks.run(nested, 3, 8, 1 << 30)
            assert set(inside[before:]) >= {here}

    _blocks.run(work, 200, 8, 1 << 30)


def test_blocks_are_large_but_leave_some_for_every_thread(monkeypatch):
    monkeypatch.setattr(_blocks, "cpu_count", lambda: 4)
    least, most = _blocks.DIRECT_BYTES
    assert _blocks.direct_bytes(1, None) == _blocks.direct_bytes(16 * least, 4) == least
    assert _blocks.direct_bytes(1 << 40, 4) == _blocks.direct_bytes(most + 1, 1) == most
    between = 32 * (least + 8)  # eight blocks for each of four threads, even if more are asked for
    assert {_blocks.direct_bytes(between, n) for n in (None, 4, 99)} == {least + 8}


def test_progress_is_reported_in_the_calling_thread():
    seen = []

    def report(done, total):
        seen.append((done, total, threading.get_ident()))

    token = _blocks.on_block.set(report)
    try:
        _blocks.run(lambda _: time.sleep(0.001), 50, 2, 1 << 30)
    finally:
        _blocks.on_block.reset(token)
    assert seen
    assert {total for _, total, _ in seen} == {50}
    assert {thread for _, _, thread in seen} == {threading.get_ident()}
    assert all(a[0] < b[0] for a, b in itertools.pairwise(seen))


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("n_threads", [1, 2])
def test_ctrl_c_ends_a_long_fit_and_leaves_the_library_usable(n_threads):
    def interrupt():
        time.sleep(0.2)
        signal.raise_signal(signal.SIGINT)

    done = []

    def work(block):
        time.sleep(0.01)
        done.append(block)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        _blocks.run(work, 100_000, n_threads, 1 << 30)
    thread.join()
    assert len(done) < 10_000
    assert fastnat.fit_normal([1.0, 2.0, 4.0]).success


def _fit_in_child(connection):
    x = np.random.default_rng(1).standard_normal((64, 3000))
    connection.send(fastnat.fit_normal(x, n_threads=2).mu)


@pytest.mark.filterwarnings("default:This process:DeprecationWarning")  # forking is the test
def test_works_after_fork():
    x = np.random.default_rng(1).standard_normal((64, 3000))
    mu = fastnat.fit_normal(x, n_threads=2).mu  # the pool has threads before the fork
    _blocks.run(lambda _: time.sleep(0.001), 20, 2, 1 << 30)
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=_fit_in_child, args=(there,))
    child.start()
    assert here.poll(60)
    np.testing.assert_array_equal(here.recv(), mu)
    child.join(60)
    assert child.exitcode == 0


def test_where_no_thread_can_be_started_this_one_does_all(monkeypatch):
    """The interpreter is ending, or the system has given all it has."""

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for n_blocks, n_bytes in ((5, 1 << 26), (1, 1 << 40)):  # short, and aside
        done = []
        _blocks.run(done.append, n_blocks, 2, n_bytes)
        assert sorted(done) == list(range(n_blocks))


@pytest.mark.parametrize("sizes", [(3,), (), (0, 2), (2, 0, 5)])
def test_blocks_of_several_pieces_of_work(sizes):
    done = [list[int]() for _ in sizes]
    _blocks.run_all([(own.append, n) for own, n in zip(done, sizes, strict=True)], 2, 1)
    assert [sorted(own) for own in done] == [list(range(n)) for n in sizes]


def test_processors_of_a_system_without_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 64)
    for known, want in ((3, 3), (100, 64), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda known=known: known)
        assert _blocks.cpu_count() == want


def test_read_only_arrays_are_read_where_they_are():
    x = rng.standard_normal((3, 4))
    x.flags.writeable = False
    flat = _blocks.flat(x)
    assert np.shares_memory(flat, x)
    assert flat.flags.writeable, "numba compiles again for read-only arrays"
    np.testing.assert_array_equal(flat, x.reshape(-1))
    assert not x.flags.writeable
