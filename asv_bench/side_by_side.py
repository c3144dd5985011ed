"""Print how fast fastnat is beside its peers: medians of calls that take turns.

    python asv_bench/side_by_side.py
    python asv_bench/side_by_side.py --threads 2

Needs what `pip install -e '.[bench]'` installs.  With FASTNAT_BENCH_QUICK=1
the data are small: a smoke test.
"""

import argparse
import functools
import os
import platform
import tempfile
from pathlib import Path

import numba
import numpy as np
import threadpoolctl
from benchmarks import common, engine, processes

import fastnat


def describe_machine(threads):
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    cpu = next(models, platform.processor() or platform.machine())
    print(f"CPU {cpu}, {os.cpu_count()} cores; threads used: {threads}")
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, numba {numba.__version__},"
        f" fastnat {fastnat.__version__}"
    )
    for blas in threadpoolctl.threadpool_info():
        if blas["user_api"] == "blas":
            kernels = blas.get("architecture", "unknown")
            print(f"BLAS {blas['internal_api']} {blas['version']}, kernels for {kernels}", end="; ")
    print(f"OPENBLAS_CORETYPE {os.environ.get('OPENBLAS_CORETYPE', 'not set')}")


def compare(what, threads, arrays, options, **peers):
    """Print a row: seconds, bytes read a second, also as a fraction of plain reading; peers."""
    x = arrays[0]
    shape = " x ".join(f"{n:,}" for n in x.shape)
    functions = [
        lambda: fastnat.fit_normal(x, n_threads=threads, **options),
        lambda: common.read(*arrays),
        *(functools.partial(peer, *arrays) for peer in peers.values()),
    ]
    ours, reading, *theirs = common.medians(*functions)
    speed = 1e-9 * sum(a.nbytes for a in arrays) / ours
    ratios = ", ".join(f"{name} {t / ours:.1f}" for name, t in zip(peers, theirs, strict=True))
    figures = f"{1e3 * ours:10.4g} ms{speed:8.1f} GB/s{reading / ours:10.2f}"
    print(f"{shape + what:34}{figures}    {ratios}", flush=True)


def compare_samples(threads):
    """One long sample."""
    print(f"\n{'':34}{'time':>13}{'read':>13}{'fraction':>10}    times as fast as")
    for n in (10**7, 5 * 10**7):
        compare("", threads, [common.normal(n)], {}, numpy=common.numpy_fit)
    x = common.normal(10**7)
    compare(
        ", 10 % NaN omitted",
        threads,
        [common.with_nans(x)],
        {"nan_policy": "omit"},
        numpy_nan=common.numpy_nan_fit,
        bottleneck=common.bottleneck_fit,
        numbagg=common.numbagg_fit,
    )
    w = common.weights_for(x)
    compare(", weights", threads, [x, w], {"weights": w}, numpy_average=common.numpy_weighted_fit)
    compare(", float32", threads, [x.astype(np.float32)], {}, numpy=common.numpy_fit)


def compare_batches(threads):
    """Many samples in a call."""
    for shape, axis in (
        ((10**5, 1000), -1),
        ((10**6, 32), -1),
        ((1000, 10**5), 0),
        ((10**5, 1000), 0),
    ):
        peer = functools.partial(common.numpy_fit, axis=axis)
        options = {"axis": axis}
        compare(f", axis {axis}", threads, [common.normal(*shape)], options, numpy=peer)


def compare_overhead():
    """What a call costs, and the start of a process."""
    x = common.normal(100)
    functions = [lambda: fastnat.fit_normal(x), lambda: (np.mean(x), np.std(x))]
    ours, theirs = common.medians(*functions, rounds=31)
    print(f"\none call, n = 100: {1e6 * ours:.2f} us, np.mean(x), np.std(x) {1e6 * theirs:.2f} us")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        for what, ours, theirs in (
            (
                "import, beyond numpy",
                processes.IMPORT_BEYOND_NUMPY,
                processes.SCIPY_STATS_BEYOND_NUMPY,
            ),
            ("import and first fit", processes.IMPORT_AND_FIT, processes.SCIPY_STATS_AND_FIT),
        ):
            a, b = (processes.median_of(code, cache) for code in (ours, theirs))
            print(f"{what}, new process, warm cache: {a:.3f} s, scipy.stats {b:.3f} s")
        first = processes.median_of(processes.FIRST_MODEL, cache)
        print(f"first fit of a model, import not counted, warm cache: {first:.3f} s")


def compare_engine():
    """Kernels of the engine and fits of a user's model, on one thread."""
    print(f"\n{'':34}{'time':>16}    times as fast as")
    for p in (2, 4, 8, 20, 50):
        n = 10**6 if p < 8 else 2 * 10**5
        case = engine.Fisher(p, n)
        ours, theirs = common.medians(case.ours, case.numpy)
        each = 1e9 * ours / len(case.data[0])
        print(f"{f'Fisher matrix, p = {p}':34}{each:10.2f} ns each    numpy {theirs / ours:.1f}")
    for p in (2, 3, 4, 8, 20):
        n = 200_000 if p < 8 else 20_000
        case = engine.Cholesky(p, n)
        ours, theirs = common.medians(case.ours, case.numpy)
        each = 1e9 * ours / len(case.a)
        what = f"Cholesky and solve, p = {p}"
        print(f"{what:34}{each:10.1f} ns each    numpy.linalg.solve {theirs / ours:.1f}")
    for shape in ((10**5, 20), (10**4, 100), (10**6,)):
        x = common.normal(*shape)
        (ours,) = common.medians(
            functools.partial(fastnat.fit, fastnat.models.normal, x, n_threads=1), rounds=3
        )
        n_fits = x.size // x.shape[-1]
        what = "fit of a model, " + " x ".join(f"{n:,}" for n in shape)
        print(f"{what:34}{1e6 * ours / n_fits:10.2f} us each", flush=True)


def compare_multivariate():
    """Tables, on one thread."""
    print(f"\n{'':34}{'time':>16}    times as fast as")

    def row(what, x, scale, unit, options, number=1, **peers):
        functions = [lambda: fastnat.fit_mvn(x, n_threads=1, **options), *peers.values()]
        ours, *theirs = common.medians(*functions, rounds=5)
        ratios = ", ".join(
            f"{name} {t / ours * number:.1f}" for name, t in zip(peers, theirs, strict=True)
        )
        print(f"{what:34}{scale * ours:10.4g} {unit:5}    {ratios}", flush=True)

    for d in (2, 3, 5, 8, 20, 50, 100):
        x = common.normal(500_000 if d == 100 else 1_000_000, d) + 1000.0
        shape = " x ".join(f"{n:,}" for n in x.shape)
        row(shape, x, 1e3, "ms", {}, numpy_cov=lambda x=x: np.cov(x.T))
    x = common.normal(100_000, 100, 3)
    row("100,000 tables of 100 x 3", x, 1e3, "ms", {}, matmul=lambda: common.numpy_mvn(x))
    options, cement = {"nan_policy": "mle"}, common.CEMENT
    row("cement, 13 x 5", cement, 1e6, "us", options, numpy_em=lambda: common.numpy_em(cement))
    small = common.normal(10_000, 40, 3)
    small[np.random.default_rng(1).random(small.shape) < 0.2] = np.nan
    some, number = small[:20], len(small) / 20

    def em():
        return [common.numpy_em(one) for one in some]

    row("10,000 of 40 x 3, 20 % missing", small, 1e3, "ms", options, number, numpy_em=em)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--threads", type=int, default=1, help="threads of fastnat, BLAS and numba (default: 1)"
    )
    threads = parser.parse_args().threads
    common.limit_threads(threads)
    describe_machine(threads)
    compare_samples(threads)
    compare_batches(threads)
    compare_engine()
    compare_multivariate()
    compare_overhead()


if __name__ == "__main__":
    main()
