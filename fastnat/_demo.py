"""What `python -m fastnat demo` shows."""

import statistics
import time
from collections.abc import Callable
from importlib import resources
from itertools import permutations
from typing import Any

import numpy as np

from fastnat import __version__ as version
from fastnat import _blocks, _files
from fastnat._arrays import Array
from fastnat._show import align
from fastnat.normal import NormalFit, fit_normal
from fastnat.result import ConfIntMethod

_CERTIFIED_MEAN, _CERTIFIED_SD = "299.852400000000", "0.0790105478190518"


def demo(n_fits: int) -> None:
    """Fit a classic, then a million samples, then one huge one, beside NumPy."""
    n_obs = 32
    print(f"fastnat {version}, NumPy {np.__version__}\n", flush=True)
    print("Getting the kernels ready (the first run compiles them, which takes some seconds) ...")
    seconds = _timed(lambda: [fit_normal(np.zeros(n)) for n in (n_obs, 10 * n_fits)])[0]
    print(f"... {_duration(seconds)}\n", flush=True)
    _demo_michelson()
    rng = np.random.default_rng(1879)
    print(f"A batch: {n_fits:,} samples of {n_obs} made-up values", flush=True)
    _race(rng.normal(5.0, 2.0, (n_fits, n_obs)))
    print(f"One huge sample: {10 * n_fits:,} made-up values", flush=True)
    _race(rng.normal(5.0, 2.0, 10 * n_fits))


def _demo_michelson() -> None:
    source = resources.files("fastnat").joinpath("data", "michelson.csv")
    with source.open("rb") as file:
        sample = _files.read_csv(file, "michelson.csv", None, {}, lambda _done, _total: None)
    x = sample.values[0]
    fit, restricted = fit_normal(x), fit_normal(x, reml=True)
    rows = [["", "estimate", "std. error", "95 % interval", ""]]
    ways: list[tuple[str, NormalFit, ConfIntMethod]] = [
        ("maximum likelihood", fit, "wald"),
        ("restricted (reml=True)", restricted, "exact"),
    ]
    for name, result, method in ways:
        ends = result.conf_int(0.95, method=method)
        for k, (parameter, digits) in enumerate((("mean", 12), ("sd", 16))):
            estimate, error = result.params[k], result.stderr[k]
            interval = f"{ends[k, 0]:.4f} to {ends[k, 1]:.4f}"
            words = [f"{name}: {parameter}", f"{estimate:.{digits}f}", f"{error:.4f}", interval]
            rows.append([*words, method])
    rows.append(["certified by NIST: mean", _CERTIFIED_MEAN, "", "", ""])
    rows.append(["certified by NIST: sd", _CERTIFIED_SD, "", "", ""])
    print(f"Michelson's speed of light, {x.size} measurements of 1879, millions of m/s\n")
    print("\n".join(align(rows)))
    off = abs(restricted.sigma / float(_CERTIFIED_SD) - 1.0)
    print(f"\nThe restricted sd is off by {off:.1g} of itself: 299.85 has no exact binary form.\n")


def _race(x: Array) -> None:
    """Time fits against NumPy, in turns, since a busy machine is slower for both."""
    ways: dict[str, Callable[[], Any]] = {
        "fastnat": lambda: fit_normal(x),
        "fastnat, with standard errors": lambda: fit_normal(x).stderr,
        "NumPy, np.mean and np.std": lambda: (np.mean(x, axis=-1), np.std(x, axis=-1)),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    results = {way: run() for way, run in ways.items()}  # not timed: the first time is special
    for order in permutations(ways):  # whoever follows NumPy finds less of x in the caches
        for way in order:
            seconds[way].append(_timed(ways[way])[0])
    fit, (mean, sd) = results["fastnat"], results["NumPy, np.mean and np.std"]
    medians = {way: statistics.median(times) for way, times in seconds.items()}
    numpy = medians["NumPy, np.mean and np.std"]
    rows = [["", "median of 6", "speed"]]
    rows += [[way, _duration(t), f"{numpy / t:.1f} x"] for way, t in medians.items()]
    off = max(np.max(np.abs(fit.mu - mean)), np.max(np.abs(fit.sigma - sd)))
    print("\n".join(f"  {line}" for line in align(rows)))
    if x.ndim > 1:
        print(f"  {fit.message}")
    print(f"  The estimates differ by {off:.1g} at most; NumPy gives no standard errors.")
    print(f"  Processors: up to {_blocks.cpu_count()} for fastnat, one for NumPy.\n", flush=True)


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1.0 else f"{1e3 * seconds:.3g} ms"
