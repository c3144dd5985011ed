"""Many threads, many processes, Ctrl-C anywhere: the same bits, and a library that still works."""

import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import calls
import joblib
import numba
import numpy as np
import pytest
from conftest import COMPILED, scaled
from numba.core.compiler_lock import global_compiler_lock

import fastnat
from fastnat import _blocks
from fastnat.kernels import _jit, _stop

compiled_only = pytest.mark.skipif(not COMPILED, reason="is about compiled code")

# ---- threads ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def serial():
    return {name: call() for name, call in calls.CALLS.items()}


def _in_turns(start, serial, until):
    """Call everything, beginning somewhere, until a time; what did not return the serial bits."""
    names = list(calls.CALLS)
    names = names[start:] + names[:start]
    wrong = [name for name in names if calls.differing(name, serial[name])]
    while time.monotonic() < until:
        wrong += [name for name in names if calls.differing(name, serial[name])]
    return wrong


@pytest.mark.parametrize(
    "seconds",
    [pytest.param(0.0, id="once"), pytest.param(60.0, id="a_minute", marks=pytest.mark.slow)],
)
def test_threads_get_the_bits_of_serial_calls(serial, seconds):
    until = time.monotonic() + seconds
    n = scaled(16, 2)
    with ThreadPoolExecutor(n) as pool:
        rounds = [pool.submit(_in_turns, 2 * k, serial, until) for k in range(n)]
        assert [round_.result() for round_ in rounds] == [[]] * n


def test_threads_of_the_caller_share_one_pool():
    """However many threads call: no more helpers than processors."""
    seen = set()

    def work(_):
        seen.add(threading.current_thread())
        time.sleep(0.001)

    with ThreadPoolExecutor(16) as pool:
        runs = [pool.submit(_blocks.run, work, 20, 8, 1 << 25) for _ in range(32)]
        for run in runs:
            run.result()
    assert len(seen) <= 16 + _blocks.cpu_count()


def test_numba_s_limit_is_kept(monkeypatch):
    """Joblib sets NUMBA_NUM_THREADS for its workers, lest there be more threads than processors."""
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 1)
    assert _blocks.cpu_count() == 1
    seen = set()
    _blocks.run(lambda _: seen.add(threading.current_thread()), 100, 8, 1 << 30)
    assert seen == {threading.current_thread()}


@pytest.mark.filterwarnings("error")
def test_threads_have_their_own_errstate(serial):
    """Neither do fits change that of their caller, nor does it change fits."""
    with np.errstate(all="raise"):
        before = np.geterr()
        assert not calls.differing("limits of their own", serial["limits of their own"])
        assert not calls.differing("geometry", serial["geometry"])
        assert np.geterr() == before


# ---- Ctrl-C ----------------------------------------------------------------------------------


POOL = {f"fastnat_{k}" for k in range(_blocks.cpu_count())}
"""Threads that stay, and do nothing while there is nothing to do."""


def _wait_for_the_end(_):
    """As a kernel that asks, and does nothing else."""
    while not _stop._is_stopped():
        time.sleep(0.001)


def _interrupt_when(begun):
    def interrupt():
        begun.wait()
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("n_blocks", "n_threads"), [(1, 1), (1, 2), (3, 2)])
def test_ctrl_c_ends_long_blocks(n_blocks, n_threads):
    begun = threading.Event()

    def work(i):
        begun.set()
        _wait_for_the_end(i)

    before = set(threading.enumerate())
    thread = _interrupt_when(begun)
    with pytest.raises(KeyboardInterrupt):
        _blocks.run(work, n_blocks, n_threads, 1 << 40)
    thread.join()
    assert _stop._n_stopping.value == 0
    assert not {t.name for t in set(threading.enumerate()) - before} - POOL
    done = []
    _blocks.run(done.append, 5, 2, 1 << 40)
    assert sorted(done) == list(range(5))


def test_a_long_block_runs_aside_and_raises_here():
    seen = []

    def work(_):
        seen.append(threading.current_thread())
        raise ValueError("block 0")

    with pytest.raises(ValueError, match="block 0"):
        _blocks.run(work, 1, 1, 1 << 40)
    assert seen[0] is not threading.main_thread()
    assert seen[0] not in threading.enumerate()
    assert _stop._n_stopping.value == 0


def test_progress_of_long_blocks_is_reported_here():
    seen = []

    def report(*progress):
        seen.append((*progress, threading.current_thread()))

    token = _blocks.on_block.set(report)
    try:
        _blocks.run(lambda _: None, 3, 1, 1 << 40)
    finally:
        _blocks.on_block.reset(token)
    assert seen == [(k, 3, threading.main_thread()) for k in (1, 2, 3)]


@pytest.fixture
def stopped():
    """What this thread does is in vain."""
    stop = threading.Event()
    with _stop.serving(stop):
        _stop.begin(stop)
        yield
        _stop.end(stop)


LONG_KERNELS = [
    "limits of their own",
    "intervals",
    "truncation",
    "noise",
    "noise and limits",
    "profiles with noise",
    "regressions",
    "censored regressions",
    "missing entries",
    "missing entries, many variables",
]


@pytest.mark.parametrize("name", [name for name in LONG_KERNELS if name in calls.CALLS])
def test_long_kernels_ask_whether_to_end(name, serial, stopped):  # noqa: ARG001
    """They end, and with something else, for they have not looked at the data."""
    assert calls.differing(name, serial[name])


def test_what_others_wait_for_goes_on(serial):
    """Beside work that is being stopped, all others get what they always get."""
    stop = threading.Event()
    _stop.begin(stop)
    try:
        for name in LONG_KERNELS[:4]:
            assert not calls.differing(name, serial[name])
    finally:
        _stop.end(stop)


@compiled_only
def test_compilation_ends_too(stopped):  # noqa: ARG001
    @_jit.helper
    def part(x):
        return x + 1.0

    @_jit.uncached
    def whole(x):
        return 2.0 * part(x)

    with pytest.raises(_stop.Stopped):
        whole(1.0)
    with _stop.serving(threading.Event()):
        assert whole(1.0) == 4.0


# ---- processes -------------------------------------------------------------------------------


def _send_mean(connection):
    connection.send(fastnat.fit_normal(calls.X[0]).mu)


def _fork():
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=_send_mean, args=(there,))
    child.start()
    return here, child


@compiled_only
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("default:This process:DeprecationWarning")  # forking is the test
def test_a_fork_waits_for_those_who_compile():
    """Else the child would wait for them, and they are not there."""
    locked, begun = threading.Event(), threading.Event()

    def compile_something():
        with global_compiler_lock:
            locked.set()
            begun.wait(0.5)

    thread = threading.Thread(target=compile_something)
    thread.start()
    locked.wait()
    here, child = _fork()
    assert not thread.is_alive() or not global_compiler_lock.is_locked()
    thread.join()
    assert here.poll(60)
    assert here.recv() == fastnat.fit_normal(calls.X[0]).mu
    child.join(60)
    assert child.exitcode == 0


@compiled_only
def test_a_fork_waits_for_those_who_look_for_machine_code():
    """They hold a lock of LLVM's, with which 5 of 40 children were born that waited for ever."""
    held = []

    def look(_):
        held.append(global_compiler_lock.is_locked())
        return 7

    library = SimpleNamespace(get_pointer_to_function=look)
    made = SimpleNamespace(
        library=library,
        fndesc=SimpleNamespace(llvm_func_name="f"),
        signature=numba.void(numba.float64),
    )
    function = SimpleNamespace(overloads={(numba.float64,): made}, compile=lambda _: None)
    assert _jit.address_of(function, 1.0) == 7
    assert held == [True]


AT_EXIT = """
import atexit
import numpy as np
import fastnat
from fastnat import _blocks

def say_goodbye():
    done = []
    _blocks.run(done.append, 4, 2, 1 << 26)
    _blocks.run(done.append, 1, 2, 1 << 40)
    print(sorted(done), fastnat.fit_normal([1.0, 3.0]).mu)

_blocks.run(lambda _: None, 4, 2, 1 << 26)
_blocks.run(lambda _: None, 1, 2, 1 << 40)
atexit.register(say_goodbye)
"""


def test_a_process_ends_and_may_fit_until_then():
    """When it ends no thread can be started any more."""
    env = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-W", "error", "-c", AT_EXIT]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "[0, 0, 1, 2, 3] 2.0\n"


# ---- machine code on disk --------------------------------------------------------------------


def _kernel():
    """The same function again, as another process has it."""

    def twice(x):
        return x + x

    return _jit.kernel(twice)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return tmp_path


@compiled_only
def test_processes_that_compile_at_once_do_not_mix_up_their_code(tmp_path, monkeypatch):
    """Whose files come last does not matter: those of numba's own name say what is in others."""
    for name, value in (("one", 2), ("other", 2.5)):  # neither knows of the other
        monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / name))
        assert _kernel()(value) == 2 * value
    shutil.copytree(tmp_path / "one", tmp_path / "both")
    no_index = shutil.ignore_patterns("*.nbi")
    shutil.copytree(tmp_path / "other", tmp_path / "both", ignore=no_index, dirs_exist_ok=True)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "both"))
    third = _kernel()
    assert (third(2), third(2.5)) == (4, 5.0)
    assert sum(third.stats.cache_hits.values()) == 2


@compiled_only
@pytest.mark.parametrize("damage", ["empty", "half", "not for us"])
def test_code_that_is_not_whole_is_compiled_again(folder, damage):
    assert _kernel()(2) == 4
    (path,) = folder.rglob("*.nbc")
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "half": whole[: len(whole) // 2], "not for us": b"N."}[damage])
    again = _kernel()
    assert again(2) == 4
    assert sum(again.stats.cache_misses.values()) == 1
    third = _kernel()
    assert third(2) == 4
    assert sum(third.stats.cache_hits.values()) == 1


@compiled_only
def test_a_directory_that_cannot_be_written_any_more(folder, monkeypatch):
    """The disk is full, or somebody else's by now: everything works, and leaves nothing behind."""
    late = _kernel()

    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", no_room)
    assert late(2) == 4
    assert list(folder.rglob("*.nb*")) == list(folder.rglob("*.tmp")) == []


@compiled_only
def test_an_installation_for_reading_only_is_read(folder, monkeypatch):
    """Compiled by one who may write, as in an image, and used by one who may not."""
    assert _kernel()(2) == 4

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", denied)  # with which numba tries directories
    reader = _kernel()
    assert reader._cache.cache_path is None
    assert reader(2) == 4
    assert sum(reader.stats.cache_hits.values()) == 1
    assert reader(2.5) == 5.0
    assert len(list(folder.rglob("*.nb*"))) == 1


@compiled_only
def test_recompiling_forgets_what_is_on_disk(folder):
    kernel = _kernel()
    assert kernel(2) == 4
    kernel.recompile()
    assert kernel(2) == 4
    assert len(list(folder.rglob("*.nbc"))) == 1


# ---- what takes long -------------------------------------------------------------------------

SOME = ["rows", "columns, weights", "single precision, omitted", "groups", "a common limit"]

ONE_OF_EIGHT = """
import json, pickle, sys
import calls

with open(sys.argv[1], "rb") as file:
    serial = pickle.load(file)
k = int(sys.argv[2]) % len(serial)
names = list(serial)[k:] + list(serial)[:k]
print(json.dumps([name for name in names if calls.differing(name, serial[name])]))
"""


@compiled_only
@pytest.mark.slow
def test_eight_processes_compile_into_one_empty_cache(serial, tmp_path):
    """Each begins with another call, so that they compile other signatures at the same time."""
    wanted = tmp_path / "wanted"
    wanted.write_bytes(pickle.dumps({name: serial[name] for name in SOME}))
    cache = tmp_path / "cache"
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    env = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": paths}

    def start(k):
        command = [sys.executable, "-W", "error", "-c", ONE_OF_EIGHT, str(wanted), str(k)]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    processes = [start(k) for k in range(8)]
    for process in processes:
        assert process.communicate() == (b"[]\n", b"")
    files = sorted(cache.rglob("*"))
    assert not [path for path in files if path.suffix == ".tmp"]
    times = [path.stat().st_mtime_ns for path in files]
    assert start(0).communicate() == (b"[]\n", b"")
    assert [path.stat().st_mtime_ns for path in sorted(cache.rglob("*"))] == times, "all was there"


@compiled_only
@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.filterwarnings("default:This process:DeprecationWarning")  # forking is the test
def test_processes_of_every_kind(serial, method):
    if method not in multiprocessing.get_all_start_methods():
        assert method != "spawn"
        return
    with multiprocessing.get_context(method).Pool(2) as pool:
        wrong = pool.starmap(calls.differing, [(name, serial[name]) for name in SOME])
        assert wrong == [False] * len(SOME)
        pool.close()
        pool.join()


@compiled_only
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_joblib(serial, backend):
    with joblib.Parallel(n_jobs=2, backend=backend) as parallel:
        tasks = (joblib.delayed(calls.differing)(name, serial[name]) for name in SOME)
        assert parallel(tasks) == [False] * len(SOME)
        if backend == "loky":
            share = max(1, joblib.cpu_count() // 2)
            assert parallel([joblib.delayed(_blocks.cpu_count)()] * 2) == [share] * 2


@compiled_only
@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_a_fit_that_takes_minutes():
    """One table with missing entries: without being asked to end it would go on for minutes."""
    rng = np.random.default_rng(3)
    x = np.where(rng.random((60_000, 32)) < 0.1, np.nan, rng.normal(size=(60_000, 32)))
    begun = threading.Event()
    thread = _interrupt_when(begun)
    threading.Timer(1.0, begun.set).start()
    with pytest.raises(KeyboardInterrupt):
        fastnat.fit_mvn(x, nan_policy="mle")
    thread.join()
    assert _stop._n_stopping.value == 0
