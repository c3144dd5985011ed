"""Print how fast regressions of fastnat are beside their peers: medians of calls that take turns.

    python asv_bench/side_by_side_linear.py
    python asv_bench/side_by_side_linear.py --threads 2

Needs what `pip install -e '.[bench]'` installs, and statsmodels and lifelines where they are to be
measured.  With FASTNAT_BENCH_QUICK=1 the data are small: a smoke test.
"""

import argparse
import importlib.util

import numpy as np
from benchmarks import common, linear
from side_by_side import describe_machine

import fastnat


def say(what, seconds, *peers):
    ratios = ", ".join(f"{name} {theirs / seconds:.3g}" for name, theirs in peers)
    print(f"{what:44}{1e3 * seconds:12.5g} ms    {ratios}", flush=True)


def compare_scale(threads):
    """One long problem with covariates for the scale."""
    y, X, Z = linear.scale_problem(10**4 if common.QUICK else 10**6)

    def ours(n_threads=threads, **options):
        return fastnat.fit_linear(y, X, Z, n_threads=n_threads, **options)

    fit = ours()
    w = np.exp(-2.0 * (Z @ fit.scale_coef))
    functions = [
        ours,
        lambda: ours(cov_type=None),
        lambda: linear.numpy_gram(X, w),
        lambda: linear.numpy_iteration(y, X, Z, *fit),
        lambda: ours(cov_type=None, max_iter=2),
    ]
    whole, bare, gram, step, short = common.medians(*functions, rounds=5)
    each = bare / fit.nit
    peers = [("(X * w[:, None]).T @ X", gram), ("Fisher scoring with NumPy", step)]
    say(f"heteroscedastic {len(y):,} x (20 + 5), fit", whole)
    say(f"  of its {fit.nit} iterations, each (no covariance)", each, *peers)
    if fit.nit > 2:
        say("  one more iteration", (bare - short) / (fit.nit - 2), *peers)
    if threads == 1:
        one, two = common.medians(ours, lambda: ours(2), rounds=5)
        say("  on two threads", two, ("one thread", one))


def compare_tobit(threads):
    """One design, many responses."""
    Y, X = linear.tobit_problems(200 if common.QUICK else 100_000)

    def ours(n_threads=threads):
        return fastnat.fit_linear(Y, X, left=0.0, n_threads=n_threads)

    fit = ours()
    (seconds,) = common.medians(ours, rounds=3)
    known = {"statsmodels": "statsmodels", "lifelines": "lifelines"}
    peers = []
    for name, peer in linear.PEERS.items():
        module = known.get(name.split()[0])
        if module is not None and importlib.util.find_spec(module) is None:
            continue
        b, sigma = peer(Y[0], X)
        # Of each what it can: SciPy's and lifelines' stops are loose.
        assert np.allclose(b, fit.coef[0], atol=1e-3)
        assert np.isclose(sigma, fit.sigma[0], atol=1e-3)
        peers.append((name, linear.seconds_of_loop(peer, Y, X)))
    censored = np.mean(Y <= 0.0)
    n = len(Y)
    say(f"Tobit {n:,} x (500 x 5), {censored:.0%} censored, each", seconds / n, *peers)
    median = np.median(fit.nit)
    print(f"  {int(np.sum(fit.success)):,} at a maximum, median {median:.0f} iterations")
    if threads == 1:
        one, two = common.medians(ours, lambda: ours(2), rounds=3)
        say("  on two threads", two / n, ("one thread", one / n))


def compare_least_squares(threads):
    Y, X = linear.tobit_problems(200 if common.QUICK else 100_000)
    stacked = np.repeat(X[None], 100 if common.QUICK else 2000, axis=0)
    few = Y[:200]
    functions = [
        lambda: fastnat.fit_linear(Y, X, n_threads=threads),
        lambda: linear.least_squares_by_numpy(Y, X),
        lambda: fastnat.fit_linear(Y[: len(stacked)], stacked, n_threads=threads),
    ]
    ours, theirs, own = (t for t in common.medians(*functions, rounds=5))
    peers = [("numpy.linalg.lstsq, all at once", theirs / len(Y))]
    if importlib.util.find_spec("statsmodels") is not None:
        (loop,) = common.medians(lambda: linear.least_squares_by_statsmodels(few, X), rounds=3)
        peers.append(("statsmodels OLS loop", loop / len(few)))
    say(f"least squares {len(Y):,} x (500 x 5), each", ours / len(Y), *peers)
    say("  with a design of its own, each", own / len(stacked), *peers[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--threads", type=int, default=1, help="threads of fastnat, BLAS and numba (default: 1)"
    )
    threads = parser.parse_args().threads
    common.limit_threads(threads)
    describe_machine(threads)
    print(f"\n{'':44}{'time':>15}    times as fast as")
    compare_scale(threads)
    compare_tobit(threads)
    compare_least_squares(threads)


if __name__ == "__main__":
    main()
