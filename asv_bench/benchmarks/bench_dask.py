"""Dask beside the same fit in memory, on as many threads, and two worker processes beside one.

Two threads of workers share two processors with the client and the scheduler; one leaves them one.

Data are 1e8 numbers, in 8 chunks of 1e8 bytes, about what Dask itself chooses: what it costs a
chunk and a step of a search does not depend on their size, so its share shrinks with larger ones.
"""

import contextlib
import functools
import logging
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np

from . import common, linear
from .measuring import Work, measured, times, told

CHUNKS = 8
N = 25_000 if common.QUICK else 100_000_000  # numbers
BUDGET = 30.0  # seconds, for nine turns: single fits by processes differ by a quarter


def _chunked(array):
    """A Dask array of views, which is not hashed."""
    import dask.array as da

    rows = -(-len(array) // CHUNKS)
    return da.from_array(array, chunks=(rows, *array.shape[1:]), name=False)


def _on_threads(by_dask, in_memory):
    import dask

    def ours():
        with dask.config.set(scheduler="threads", num_workers=2):
            return by_dask()

    return Work(ours, {"in memory": in_memory}, items=N, budget=BUDGET)


def _values(left, _):
    import fastnat.dask

    x = np.random.default_rng(0).normal(size=N)
    lazy = _chunked(x)
    return _on_threads(
        lambda: fastnat.dask.fit_normal(lazy, left=left),
        lambda: fastnat.fit_normal(x, left=left, n_threads=2),
    )


def _tobit(_):
    import fastnat.dask

    x = np.random.default_rng(0).normal(size=(N // 25, 25))
    X = np.ascontiguousarray(x[:, 1:])
    y = X @ np.linspace(-1.0, 1.0, 24) + x[:, 0]
    parts = _chunked(y), _chunked(X)
    return _on_threads(
        lambda: fastnat.dask.fit_linear(*parts, left=0.0),
        lambda: fastnat.fit_linear(y, X, left=0.0, n_threads=2),
    )


def _scale_data():
    n = N // 25 // CHUNKS
    parts = [linear.scale_problem(n, seed=k) for k in range(CHUNKS)]
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


def _scale(_):
    import fastnat.dask

    data = _scale_data()
    parts = [_chunked(a) for a in data]
    return _on_threads(
        lambda: fastnat.dask.fit_linear(*parts),
        lambda: fastnat.fit_linear(*data, n_threads=2),
    )


def _rows_of(seed, which, n):
    """A chunk of y, X or Z."""
    return linear.scale_problem(n, seed=seed)[which]


def _on_workers(client, n, places):
    """(y, X, Z) in chunks on these workers, each with its share, as if read from files there."""
    import dask.array as da
    import distributed

    step = n // CHUNKS
    arrays = []
    for which, width in enumerate(((), (20,), (5,))):
        futures = [
            client.submit(
                _rows_of, k, which, step, pure=False, workers=[places[k * len(places) // CHUNKS]]
            )
            for k in range(CHUNKS)
        ]
        blocks = [da.from_delayed(f, (step, *width), np.float64) for f in futures]
        arrays.append(da.concatenate(blocks).persist())
    distributed.wait(arrays)
    return arrays


def _client(n_workers, n_threads, stack):
    import distributed

    cluster = distributed.LocalCluster(
        n_workers=n_workers,
        threads_per_worker=n_threads,
        processes=True,
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,  # of connections that end with their cluster
    )
    cluster = stack.enter_context(cluster)
    return stack.enter_context(distributed.Client(cluster, set_as_default=False))


def _workers(n_workers, n_threads, stack):
    """Worker processes beside as many threads as they have, and one of two that has it all."""
    import fastnat.dask

    client, data = _client(n_workers, n_threads, stack), _scale_data()

    def on(places):
        with client.as_current():
            arrays = _on_workers(client, len(data[0]), places)

        def fit():
            with client.as_current():
                return fastnat.dask.fit_linear(*arrays)

        return fit

    places = sorted(client.nthreads())
    in_memory = functools.partial(fastnat.fit_linear, *data, n_threads=n_workers * n_threads)
    peers = {"in memory": in_memory}
    if n_workers > 1:
        peers["one worker"] = on(places[:1])
    return Work(on(places), peers, items=N, budget=BUDGET)


WORKS = {
    "1e8 values": functools.partial(_values, None),
    "1e8 values, one limit": functools.partial(_values, 0.5),
    "Tobit 4e6 x 24": _tobit,
    "scale 4e6 x (20 + 5)": _scale,
    "scale 4e6 x (20 + 5), two workers": functools.partial(_workers, 2, 1),
    "scale 4e6 x (20 + 5), one worker": functools.partial(_workers, 1, 1),
    "scale 4e6 x (20 + 5), one worker of two threads": functools.partial(_workers, 1, 2),
}


def _measure():
    with contextlib.ExitStack() as stack:
        return measured({case: functools.partial(make, stack) for case, make in WORKS.items()})


class DaskBeside:
    params, param_names = common.few(WORKS), ["case"]
    timeout = 900

    def setup_cache(self):
        # Workers are started by a process of its own: under asv's they never come up.
        command = [sys.executable, "-m", "benchmarks.bench_dask"]
        done = subprocess.run(
            command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, check=True
        )
        return pickle.loads(done.stdout)

    track_seconds = told("seconds", "s")
    track_times_in_memory = times("in memory")
    track_times_one_worker = times("one worker")


if __name__ == "__main__":
    sys.stdout.buffer.write(pickle.dumps(_measure()))
