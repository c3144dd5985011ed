"""Print what Dask gains and costs: medians of fits that take turns.

    python asv_bench/side_by_side_dask.py

Dask's threads beside the same fit in memory on as many; two worker processes beside one, and
beside two threads in memory.  Takes 4 GB and a few minutes.  Needs what
`pip install -e '.[bench,dask]' distributed` installs.  With FASTNAT_BENCH_QUICK=1 the data are
small: a smoke test.
"""

import logging

import dask
import dask.array as da
import distributed
import numpy as np
from benchmarks import common, linear
from side_by_side import describe_machine

import fastnat
import fastnat.dask

CHUNKS = 16
NUMBERS = 10**5 if common.QUICK else 10**8


def say(what, seconds, name, other):
    print(f"{what:52}{1e3 * seconds:10.4g} ms    {name} {other / seconds:.3g}", flush=True)


def chunked(array):
    """A Dask array of views, which is not hashed."""
    rows = -(-len(array) // CHUNKS)
    return da.from_array(array, chunks=(rows, *array.shape[1:]), name=False)


def compare_threads():
    """Two threads of Dask beside two of ours."""
    x = np.random.default_rng(0).normal(size=NUMBERS)
    lazy = chunked(x)
    X = x[: NUMBERS // 25 * 24].reshape(-1, 24)
    y = X @ np.linspace(-1.0, 1.0, 24) + x[: len(X)]
    parts = chunked(y), chunked(X)
    cases = {
        f"fit_normal, {NUMBERS:,} values": (fastnat.fit_normal, (x,), (lazy,), {}, 15),
        "  with one limit": (fastnat.fit_normal, (x,), (lazy,), {"left": 0.5}, 9),
        f"Tobit {len(y):,} x 24": (fastnat.fit_linear, (y, X), parts, {"left": 0.0}, 5),
    }
    for what, (door, ours, theirs, options, rounds) in cases.items():
        by_dask = getattr(fastnat.dask, door.__name__)
        with dask.config.set(scheduler="threads", num_workers=2):
            memory, chunks = common.medians(
                lambda door=door, a=ours, o=options: door(*a, **o, n_threads=2),
                lambda door=by_dask, a=theirs, o=options: door(*a, **o),
                rounds=rounds,
            )
        say(f"{what}, Dask, 2 threads", chunks, "in memory, 2 threads", memory)


def rows_of(seed, which, n):
    """A chunk of y, X or Z."""
    return linear.scale_problem(n, seed=seed)[which]


def on_workers(client, n):
    """(y, X, Z) in chunks on the workers, each with its share, as if they had read their files."""
    workers, step = sorted(client.nthreads()), n // CHUNKS
    arrays = []
    for which, width in enumerate(((), (20,), (5,))):
        futures = [
            client.submit(
                rows_of, k, which, step, pure=False, workers=[workers[k * len(workers) // CHUNKS]]
            )
            for k in range(CHUNKS)
        ]
        distributed.wait(futures)
        blocks = [da.from_delayed(f, (step, *width), np.float64) for f in futures]
        arrays.append(da.concatenate(blocks))
    return arrays


def compare_workers():
    """A regression with covariates for the scale: bound by arithmetic."""
    n = NUMBERS // 25 // CHUNKS * CHUNKS
    parts = [linear.scale_problem(n // CHUNKS, seed=k) for k in range(CHUNKS)]
    y, X, Z = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    del parts

    def on(client):
        with client.as_current():
            arrays = on_workers(client, n)

        def fit():
            with client.as_current():
                return fastnat.dask.fit_linear(*arrays)

        return fit

    options = {
        "threads_per_worker": 1,
        "processes": True,
        "dashboard_address": ":0",
        "silence_logs": logging.CRITICAL,  # of connections that end with their cluster
    }
    with (
        distributed.LocalCluster(n_workers=1, **options) as small,
        distributed.LocalCluster(n_workers=2, **options) as large,
        distributed.Client(small, set_as_default=False) as one,
        distributed.Client(large, set_as_default=False) as two,
    ):
        fits = on(one), on(two), lambda: fastnat.fit_linear(y, X, Z, n_threads=2)
        alone, both, memory = common.medians(*fits, rounds=7)
    what = f"scale regression {n:,} x (20 + 5), two workers"
    say(what, both, "one worker", alone)
    say("  the same", both, "in memory, 2 threads", memory)


def main():
    describe_machine(2)
    compare_threads()
    compare_workers()


if __name__ == "__main__":
    main()
