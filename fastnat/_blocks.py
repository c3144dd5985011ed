"""Cut work into blocks and run them on one process-wide pool of threads.

Most blocks are short (at most about 0.2 s), so that Ctrl-C is seen between them.  A long problem
that a kernel fits as a whole is worked on aside, while the main thread waits for Ctrl-C; then the
kernel is asked to end (`kernels._stop`).  Blocks write to places of their own, and whatever is
merged is merged in an order that does not depend on the threads.
"""

import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numba import config
from numpy.typing import NDArray

from fastnat.kernels import _stop

DIRECT_BYTES = 1 << 22, 1 << 25
"""What a block of an array that kernels can read as it is may hold: at least, at most."""

SCRATCH_BYTES = 1 << 18
"""What a block that must be copied first may hold: the copy stays in the second-level cache."""

SERIAL_BYTES = 1 << 24
"""Less than this is reduced in about a millisecond, too little to wake a second thread for."""

LONG_BYTES = 1 << 26
"""A block of more takes long enough to be worth a thread of its own, which takes 0.1 ms."""

Work = tuple[Callable[[int], None], int]
"""What does a block of it, by number, and how many there are."""

_PATIENCE = 0.1  # seconds: where a wait is not interrupted, as on Windows, Ctrl-C is seen after it

on_block: contextvars.ContextVar[Callable[[int, int], object] | None] = contextvars.ContextVar(
    "on_block", default=None
)
"""Called with (blocks done, blocks in all) in the calling thread: for progress bars."""

_worker = threading.local()
_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


def cpu_count() -> int:
    """The number of processors this process may use.

    Numba's limit holds, too: joblib, for one, sets NUMBA_NUM_THREADS for its worker processes.
    """
    most = int(config.NUMBA_NUM_THREADS)
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), most)
    return min(os.cpu_count() or 1, most)


def _forget_pool() -> None:
    """In a forked child the threads are gone, and the lock may be held by one of them."""
    global _pool, _lock
    _pool = None
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def _get_pool() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(cpu_count(), thread_name_prefix="fastnat")
        return _pool


def direct_bytes(n_bytes: int, n_threads: int | None, pool: Executor | None = None) -> int:
    """What a block of so many bytes, that kernels can read as they are, may hold.

    Between two blocks Python finds nothing of its own in the cache, and takes ten times as long: so
    they are large.  But a thread has some eight of them, for the last ones to end together.

    n_threads, pool : as of `run`.
    """
    n_threads, (least, most) = _threads_for(n_threads, n_bytes, pool), DIRECT_BYTES
    share = n_bytes // (8 * n_threads) if n_threads > 1 else n_bytes
    return min(max(share, least), most)


def _threads_for(n_threads: int | None, n_bytes: int, pool: Executor | None) -> int:
    """How many threads read so much: as many as are asked for and there are processors."""
    if n_threads is None:
        return 1 if n_bytes < SERIAL_BYTES else cpu_count()
    return min(n_threads, cpu_count()) if pool is None else n_threads


def run(
    work: Callable[[int], None],
    n_blocks: int,
    n_threads: int | None,
    n_bytes: int,
    pool: Executor | None = None,
) -> None:
    """Call ``work(i)`` for i < n_blocks, on up to ``n_threads`` threads, the caller's included.

    By default (None), all processors, or one thread if there are fewer than SERIAL_BYTES to read.
    A call from a thread that helps runs serially.  The first exception ends all and is raised.

    pool : whose threads help, also if they are more than the processors; by default ours.
    """
    n_threads = _threads_for(n_threads, n_bytes, pool)
    stop = threading.Event()
    go = partial(_run, work, n_blocks, n_threads, stop, pool)
    long = n_bytes > n_blocks * LONG_BYTES
    if long and threading.current_thread() is threading.main_thread():
        _run_aside(go, stop)
    else:
        go()


def run_all(works: Sequence[Work], n_threads: int | None, n_bytes: int) -> None:
    """`run` all blocks of several pieces of work."""
    if len(works) == 1:
        run(*works[0], n_threads, n_bytes)
        return
    blocks = [(work, i) for work, n_blocks in works for i in range(n_blocks)]

    def work(i: int) -> None:
        own, j = blocks[i]
        own(j)

    run(work, len(blocks), n_threads, n_bytes)


def _run_aside(go: Callable[[], None], stop: threading.Event) -> None:
    """`_run` in a thread of its own, while this one, which gets the signals, waits for them."""
    context, report, reports = contextvars.copy_context(), on_block.get(), deque[Any]()
    context.run(on_block.set, lambda *progress: reports.append(progress))
    begun, done, errors = threading.Event(), threading.Event(), list[BaseException]()

    def run() -> None:
        begun.set()
        try:
            context.run(_serve, stop, go)
        except BaseException as error:  # raised below
            errors.append(error)
        finally:
            done.set()

    aside = threading.Thread(target=run, name="fastnat-aside")
    try:
        if not _starts(aside):
            go()
            return
        finished = False
        while not finished:
            finished = done.wait(_PATIENCE)  # a join that Ctrl-C ends takes the thread for finished
            while report is not None and reports:
                report(*reports.popleft())
    except BaseException:
        _stop.begin(stop)
        raise
    finally:
        if begun.is_set():  # else it may not even be there, and will do nothing
            done.wait()
            aside.join()
        _stop.end(stop)
    if errors:
        raise errors.pop()


def _starts(thread: threading.Thread) -> bool:
    """Start a thread; False if there can be none, for the interpreter is ending."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True


def _run(
    work: Callable[[int], None],
    n_blocks: int,
    n_threads: int,
    stop: threading.Event,
    pool: Executor | None,
) -> None:
    """Work on blocks, until ``stop`` is set, in this thread and those of the pool."""
    numbers = iter(range(n_blocks))  # next() on it is atomic
    n_helpers = min(n_threads, n_blocks) - 1
    if n_helpers < 1 or getattr(_worker, "busy", False):
        _take_blocks(work, numbers, n_blocks, stop)
        return
    # Futures of our own: a pool that cannot start a thread may have queued what it was given.
    helpers, given = [Future[None]() for _ in range(n_helpers)], [work]
    try:
        pool = pool or _get_pool()
        with suppress(RuntimeError):  # no more threads, or none as the interpreter is ending
            for helper in helpers:
                pool.submit(_serve, stop, _help, helper, given, numbers, stop)
        _take_blocks(work, numbers, n_blocks, stop)
    except BaseException:
        stop.set()
        raise
    finally:
        # Helpers that have not begun are not needed any more; the others end within a block.
        started = [helper for helper in helpers if not helper.cancel()]
        wait(started)
        given.clear()  # and not kept in the queue of a pool that is busy
    for helper in started:
        helper.result()


def _serve(stop: threading.Event, function: Callable[..., None], *args: Any) -> None:
    with _stop.serving(stop):
        function(*args)


def _take_blocks(
    work: Callable[[int], None], numbers: Iterator[int], n_blocks: int, stop: threading.Event
) -> None:
    """Work on the blocks that nobody else takes, and report progress."""
    report = on_block.get()
    try:
        for i in numbers:
            if stop.is_set():
                return
            work(i)
            if report is not None:
                report(i + 1, n_blocks)
    except BaseException:
        stop.set()
        raise


def _help(
    helper: Future[None],
    given: list[Callable[[int], None]],
    numbers: Iterator[int],
    stop: threading.Event,
) -> None:
    """`_take_blocks` in a thread of the pool, unless the helper is not needed any more."""
    if not helper.set_running_or_notify_cancel():
        return
    _worker.busy = True
    try:
        _take_blocks(given[0], numbers, 0, stop)
    except BaseException as error:
        helper.set_exception(error)
    else:
        helper.set_result(None)
    finally:
        _worker.busy = False


def cut(shape: tuple[int, ...], limit: int) -> Iterator[tuple[tuple[int | slice, ...], int, int]]:
    """Cut the elements of ``shape``, in C order, into blocks of at most ``limit`` (but one).

    Yields (index of the block, its first element, its number of elements).
    """
    if not shape:
        yield (), 0, 1
        return
    inner = 1
    for size in shape[1:]:
        inner *= size
    if inner <= limit or len(shape) == 1:
        step = max(1, limit // max(inner, 1))
        for i in range(0, shape[0], step):
            stop = min(i + step, shape[0])
            yield (slice(i, stop),), i * inner, (stop - i) * inner
        return
    for i in range(shape[0]):
        for index, first, count in cut(shape[1:], limit):
            yield (i, *index), i * inner + first, count


def place(f: int, batch: tuple[int, ...]) -> tuple[Any, ...]:
    """The index of problem f in a batch, which for a single problem has no dimension."""
    return tuple(np.unravel_index(f, batch)) if batch else ()


@lru_cache(maxsize=32)
def offsets(n_rows: int, n: int) -> NDArray[np.int64]:
    """Where each of ``n_rows`` rows of ``n`` begins, and where the last one ends."""
    return np.arange(n_rows + 1, dtype=np.int64) * n


class _Alias:
    """The memory of an array, said to be writeable."""

    def __init__(self, array: NDArray[Any]) -> None:
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface
        self.owner = array


_FLOAT64 = np.dtype(np.float64)
_FLOAT32 = np.dtype(np.float32)


def readable(block: NDArray[Any], *, float32: bool = True) -> bool:
    """Whether kernels can read the block where it is."""
    flags, dtype = block.flags, block.dtype
    known = dtype == _FLOAT64 or (float32 and dtype == _FLOAT32)
    return known and flags.c_contiguous and flags.aligned


_NOTHING = np.empty(0)


def or_nothing(array: NDArray[Any] | None) -> NDArray[Any]:
    """An array, or if it is not given none of a length, for kernels that have one signature."""
    return _NOTHING if array is None else array


def flat(block: NDArray[Any], *, float32: bool = True) -> NDArray[Any]:
    """The block as a flat array that kernels read: the block itself, or a copy as float64."""
    if not (block.dtype is _FLOAT64 and block.flags.carray):  # the quick way to the same answer
        if not readable(block, float32=float32):
            with np.errstate(over="ignore", invalid="ignore"):  # of long doubles and odd NaN
                return np.array(block, dtype=np.float64, order="C").reshape(-1)
        if not block.flags.writeable:
            # Numba would compile once more for read-only arrays; kernels never write here.
            block = np.asarray(_Alias(block))
    return block if block.ndim == 1 else block.reshape(-1)
