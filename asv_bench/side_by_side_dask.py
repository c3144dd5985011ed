"""Print what Dask gains and costs: medians of fits that take turns.

    python asv_bench/side_by_side_dask.py

Two worker processes beside one; Dask's threads beside the same fit in memory on as many.  Needs
what `pip install -e '.[bench,dask]' distributed` installs.  With FASTNAT_BENCH_QUICK=1 the data are
small: a smoke test.
"""

import dask
import dask.array as da
import distributed
import numpy as np
from benchmarks import common, linear
from side_by_side import describe_machine

import fastnat
import fastnat.dask

CHUNKS = 16


def say(what, seconds, name, other):
    print(f"{what:52}{1e3 * seconds:10.4g} ms    {name} {other / seconds:.3g}", flush=True)


def chunked(array):
    """A Dask array of views, which is not hashed."""
    rows = -(-len(array) // CHUNKS)
    return da.from_array(array, chunks=(rows, *array.shape[1:]), name=False)


def compare_workers():
    """A regression with covariates for the scale: bound by arithmetic."""
    y, X, Z = linear.scale_problem(10**4 if common.QUICK else 10**6)

    def on(client):
        with client.as_current():
            parts = client.persist([chunked(a) for a in (y, X, Z)])
            distributed.wait(parts)

        def fit():
            with client.as_current():
                return fastnat.dask.fit_linear(*parts)

        return fit

    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    with (
        distributed.LocalCluster(n_workers=1, **options) as small,
        distributed.LocalCluster(n_workers=2, **options) as large,
        distributed.Client(small, set_as_default=False) as one,
        distributed.Client(large, set_as_default=False) as two,
    ):
        alone, both = common.medians(on(one), on(two), rounds=5)
    say(f"scale regression {len(y):,} x (20 + 5), two workers", both, "one worker", alone)


def compare_overhead():
    """1e8 numbers in memory, on two threads."""
    n = 10**5 if common.QUICK else 10**8
    x = np.random.default_rng(0).normal(size=n)
    lazy = chunked(x)
    with dask.config.set(scheduler="threads", num_workers=2):
        memory, chunks = common.medians(
            lambda: fastnat.fit_normal(x, n_threads=2),
            lambda: fastnat.dask.fit_normal(lazy),
            rounds=9,
        )
        say(f"fit_normal, {n:,} values, Dask", chunks, "in memory", memory)
        memory, chunks = common.medians(
            lambda: fastnat.fit_normal(x, left=0.5, n_threads=2),
            lambda: fastnat.dask.fit_normal(lazy, left=0.5),
            rounds=9,
        )
        say("  with one limit", chunks, "in memory", memory)
        X = x[: n // 25 * 24].reshape(-1, 24)
        y = X @ np.linspace(-1.0, 1.0, 24) + x[: len(X)]
        parts = chunked(y), chunked(X)
        memory, chunks = common.medians(
            lambda: fastnat.fit_linear(y, X, left=0.0, n_threads=2),
            lambda: fastnat.dask.fit_linear(*parts, left=0.0),
            rounds=3,
        )
        say(f"Tobit {len(y):,} x 24, Dask", chunks, "in memory", memory)


def main():
    describe_machine(2)
    compare_overhead()
    compare_workers()


if __name__ == "__main__":
    main()
