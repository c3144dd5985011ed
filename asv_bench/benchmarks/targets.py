"""What is asked of the package: each target, with the benchmark and case that tell if it is met.

The numbers are those of the design, which took them from what the hardware can do; ratios to
peers are of medians in turns in one process, on one thread where nothing else is said.
"""

from typing import NamedTuple


class Target(NamedTuple):
    """``least`` or ``most`` is asked of what ``benchmark`` tells of ``case`` (None: has none)."""

    area: str
    what: str
    benchmark: str
    case: str | None
    least: float | None = None
    most: float | None = None


def _at_least(area, benchmark, *rows):
    return [Target(area, what, benchmark, case, least=least) for what, case, least in rows]


def _at_most(area, benchmark, *rows):
    return [Target(area, what, benchmark, case, most=most) for what, case, most in rows]


SAMPLES, BATCHES, OPTIONS = (
    f"bench_normal.{name}Beside" for name in ("Samples", "Batches", "Options")
)
OWN, ONE, CENSORED = (
    f"bench_censored.{name}Beside" for name in ("OwnLimits", "OneLimit", "Batches")
)
FISHER, SCALE, MANY = "bench_fisher.", "bench_linear.ScaleBeside", "bench_linear.ManyBeside"
TABLES, MISSING = "bench_mvn.TablesBeside", "bench_mvn.MissingBeside"
FILES, DASK = "bench_streaming.FilesBeside", "bench_dask.DaskBeside"
READING, NUMPY = "track_fraction_of_reading", "track_times_numpy"
READ, TIMES = "of the read speed", "times as fast as"

TARGETS = [
    *_at_least(
        "moments",
        f"{SAMPLES}.{READING}",
        (READ, "n=1e7", 0.80),
        (f"{READ}, float32", "n=1e7 float32", 0.80),
    ),
    *_at_least("moments", f"{SAMPLES}.{NUMPY}", (f"{TIMES} np.mean + np.std", "n=1e7", 8)),
    *_at_least("moments", f"{SAMPLES}.track_times_scipy", (f"{TIMES} norm.fit", "n=1e7", 8)),
    *_at_least(
        "missing values and weights",
        f"{OPTIONS}.{READING}",
        (READ, "n=1e7 10 % NaN", 0.80),
        (READ, "n=1e7 weights", 0.80),
    ),
    *_at_least(
        "missing values and weights",
        f"{OPTIONS}.track_times_bottleneck",
        (f"{TIMES} bottleneck", "n=1e7 10 % NaN", 5),
    ),
    *_at_least(
        "missing values and weights",
        f"{OPTIONS}.{NUMPY}",
        (f"{TIMES} np.nanmean + np.nanstd", "n=1e7 10 % NaN", 20),
        (f"{TIMES} np.average twice", "n=1e7 weights", 8),
    ),
    *_at_most(
        "accuracy",
        "bench_accuracy.Digits.track_variance_error",
        ("variance of 1e8 sorted values, kappa 1e8", None, 1e-14),
    ),
    *_at_least(
        "many rows",
        f"{BATCHES}.{READING}",
        (READ, "(1e3, 1e5)", 0.55),
        (READ, "(1e5, 1e3)", 0.55),
        (READ, "(1e6, 32)", 0.55),
    ),
    *_at_least(
        "many rows",
        f"{BATCHES}.{NUMPY}",
        (f"{TIMES} np.mean + np.std", "(1e3, 1e5)", 7),
        (f"{TIMES} np.mean + np.std", "(1e5, 1e3)", 7),
        (f"{TIMES} np.mean + np.std", "(1e6, 32)", 9),
    ),
    *_at_least(
        "many columns",
        f"{BATCHES}.{READING}",
        (READ, "(32, 1e6) axis 0", 0.5),
        (READ, "(1e3, 1e5) axis 0", 0.5),
        (READ, "(1e5, 1e3) axis 0", 0.5),
    ),
    *_at_least(
        "many columns",
        f"{BATCHES}.{NUMPY}",
        (f"{TIMES} np.mean + np.std", "(32, 1e6) axis 0", 4),
        (f"{TIMES} np.mean + np.std", "(1e3, 1e5) axis 0", 4),
        (f"{TIMES} np.mean + np.std", "(1e5, 1e3) axis 0", 4),
    ),
    *_at_most("a call", f"{SAMPLES}.track_seconds", ("seconds", "n=100", 3e-6)),
    *_at_least("a call", f"{SAMPLES}.{NUMPY}", (f"{TIMES} np.mean + np.std", "n=100", 3)),
    *_at_most(
        "normal tail",
        "bench_special.SpecialBeside.track_ns_a_value",
        ("ns a hazard", "hazard", 2),
    ),
    *_at_least(
        "normal tail",
        "bench_special.SpecialBeside.track_times_scipy",
        (f"{TIMES} scipy erfcx", "hazard", 10),
        (f"{TIMES} scipy log_ndtr", "log_ndtr", 5),
    ),
    *_at_most(
        "normal tail",
        "bench_accuracy.Digits.track_hazard_error",
        ("error of the hazard on [-37, 40]", None, 1e-15),
    ),
    *_at_most(
        "normal tail",
        "bench_accuracy.Digits.track_log_ndtr_error",
        ("error of log_ndtr on [-37, 5]", None, 2e-15),
    ),
    *_at_most("an iteration", f"{OWN}.track_ns_an_iteration", ("ns a value", "n=1e4", 2.5)),
    *_at_least(
        "an iteration",
        f"{OWN}.track_iteration_times_numpy",
        (f"{TIMES} NumPy and scipy.special", "n=1e4", 12),
    ),
    *_at_least(
        "own limits",
        f"{OWN}.track_times_scipy",
        (f"{TIMES} norm.fit", "n=1e3", 100),
        (f"{TIMES} norm.fit", "n=1e5", 100),
    ),
    *_at_least(
        "own limits",
        f"{OWN}.track_times_lbfgs_by_hand",
        (f"{TIMES} L-BFGS by hand", "n=1e3", 10),
        (f"{TIMES} L-BFGS by hand", "n=1e5", 10),
        (f"{TIMES} L-BFGS by hand", "n=1e6", 10),
    ),
    *_at_least(
        "one limit",
        f"{ONE}.track_times_scipy",
        (f"{TIMES} norm.fit", "n=1e3", 500),
        (f"{TIMES} norm.fit", "n=1e5", 500),
    ),
    *_at_least(
        "one limit",
        f"{ONE}.track_times_plain_fit",
        (f"{TIMES} a plain fit (1.3 times its time)", "n=1e6", 1 / 1.3),
    ),
    *_at_least(
        "many censored",
        f"{CENSORED}.track_times_scipy",
        (f"{TIMES} a loop over norm.fit", "(1e5, 100) a limit each", 10_000),
    ),
    *_at_most(
        "many censored",
        f"{CENSORED}.track_ns_a_problem",
        ("ns a problem", "(1e5, 100) a limit each", 400),
    ),
    *_at_most(
        "many censored",
        f"{CENSORED}.track_failures",
        ("failures", "(1e5, 100) a limit each", 0),
    ),
    *_at_least(
        "Fisher matrix of a model",
        f"{FISHER}ModelBeside.{NUMPY}",
        *((f"{TIMES} numpy", f"p={p}", n) for p, n in ((2, 12), (4, 6), (8, 4), (20, 4), (50, 2))),
    ),
    *_at_least(
        "its products alone",
        f"{FISHER}TilesBeside.track_fraction_of_dgemm",
        *(("of dgemm's GFLOP/s", f"p={p}", 0.5) for p in (4, 8, 20, 50)),
    ),
    *_at_least(
        "many small systems",
        f"{FISHER}CholeskyBeside.{NUMPY}",
        *(
            (f"{TIMES} np.linalg.solve", f"p={p}", n)
            for p, n in ((2, 7), (3, 7), (4, 5), (8, 3), (20, 2.5))
        ),
    ),
    *_at_least(
        "regression with scale, an iteration",
        f"{SCALE}.track_iteration_times_numpy_gram",
        (f"{TIMES} (X * w[:, None]).T @ X", "n=1e6, 20 + 5", 4),
    ),
    *_at_least(
        "regression with scale, an iteration",
        f"{SCALE}.track_iteration_fraction_of_reading",
        (READ, "n=1e6, 20 + 5", 0.3),
    ),
    *_at_least(
        "regression with scale, an iteration",
        f"{SCALE}.track_two_threads_times_numpy_gram",
        ("two threads, " + f"{TIMES} (X * w[:, None]).T @ X", "n=1e6, 20 + 5", 6),
    ),
    *_at_least(
        "multivariate normal",
        f"{TABLES}.{NUMPY}",
        *(
            (f"{TIMES} np.cov", f"(1, {n}, {d})", least)
            for n, d, least in (("1e6", 2, 25), ("1e6", 5, 10), ("1e6", 20, 4), ("3e5", 100, 1.3))
        ),
        (f"{TIMES} mean and np.matmul", "(1e5, 100, 3)", 12),
    ),
    *_at_least(
        "two threads",
        f"{OWN}.track_two_threads",
        (f"{TIMES} one, own limits", "n=1e6", 1.5),
    ),
    *_at_least(
        "two threads",
        f"{CENSORED}.track_two_threads",
        (f"{TIMES} one, many censored", "(1e5, 100) a limit each", 1.5),
    ),
    *_at_least(
        "two threads",
        f"{SCALE}.track_two_threads",
        (f"{TIMES} one, regression with scale", "n=1e6, 20 + 5", 1.5),
    ),
    *_at_least(
        "two threads",
        f"{MANY}.track_two_threads",
        (f"{TIMES} one, Tobit", "(5e4, 500, 5) Tobit", 1.5),
    ),
    *_at_least(
        "two threads",
        "bench_fit.FitBeside.track_two_threads",
        (f"{TIMES} one, fit of a model", "(1e4, 100)", 1.5),
    ),
    *_at_most(
        "same bits",
        "bench_accuracy.Bits.track_differences_between_threads",
        ("differences between one and two threads", None, 0),
    ),
    *_at_most(
        "same bits",
        "bench_accuracy.Bits.track_differences_between_instruction_sets",
        ("differences between AVX2 and what there is", None, 0),
    ),
    *_at_most(
        "start",
        "bench_startup.Import.track_import_beyond_numpy",
        ("seconds to import, beyond NumPy", None, 0.35),
    ),
    *_at_most(
        "start",
        "bench_startup.Import.track_import_and_first_fit",
        ("seconds to import and first fit, warm", None, 0.7),
    ),
    *_at_most(
        "start",
        "bench_startup.FirstCallBeside.track_seconds_cold",
        ("seconds of a first call, cold", "fit_normal", 1.5),
        ("seconds of a first call, cold", "fit_linear", 4),
    ),
    *_at_least(
        "known noise",
        "bench_noise.NoiseBeside.track_times_pymare",
        (f"{TIMES} PyMARE", "(2e5, 20)", 10),
    ),
    *_at_least(
        "many regressions",
        f"{MANY}.track_times_statsmodels",
        (f"{TIMES} statsmodels, Tobit", "(5e4, 500, 5) Tobit", 100),
        (f"{TIMES} a loop over OLS", "(5e4, 500, 5)", 50),
        (f"{TIMES} a loop over OLS", "(2e3, 500, 5) own designs", 50),
    ),
    *_at_least(
        "missing entries",
        f"{MISSING}.track_times_em_by_hand",
        (f"{TIMES} EM in NumPy", "(1, 13, 5) cement", 100),
        (f"{TIMES} EM in NumPy", "(1e4, 40, 3)", 100),
    ),
    *_at_least(
        "groups",
        "bench_groups.GroupsBeside.track_times_pandas_agg",
        (f"{TIMES} pandas' mean and std", "in order", 1),
        (f"{TIMES} pandas' mean and std", "any order", 1),
    ),
    *_at_least(
        "groups",
        "bench_groups.GroupsBeside.track_times_pandas_agg_unsorted",
        (f"{TIMES} pandas' without sorting", "in order", 1),
        (f"{TIMES} pandas' without sorting", "any order", 1),
    ),
    *_at_least(
        "groups",
        "bench_groups.GroupsBeside.track_times_pandas_apply",
        (f"{TIMES} a loop", "in order", 50),
        (f"{TIMES} a loop", "any order", 50),
    ),
    *_at_least(
        "files",
        f"{FILES}.{READING}",
        (READ, "complete", 0.7),
        (READ, "censored", 0.7),
    ),
    *_at_most(
        "files",
        f"{FILES}.track_memory",
        ("memory, of the file (a chunk of it is 0.084)", "complete", 0.1),
        ("memory, of the file (a chunk of it is 0.084)", "censored", 0.1),
    ),
    *_at_most(
        "files",
        f"{FILES}.track_error",
        ("differences from the fit in memory", "complete", 1e-12),
        ("differences from the fit in memory", "censored", 1e-12),
    ),
    *_at_least(
        "Dask",
        f"{DASK}.track_times_in_memory",
        *(
            (f"{TIMES} in memory, as many threads (1.15 times its time)", case, 1 / 1.15)
            for case in (
                "1e8 values",
                "1e8 values, one limit",
                "Tobit 4e6 x 24",
                "scale 4e6 x (20 + 5)",
                "scale 4e6 x (20 + 5), two workers",
                "scale 4e6 x (20 + 5), one worker",
                "scale 4e6 x (20 + 5), one worker of two threads",
            )
        ),
    ),
    *_at_least(
        "Dask",
        f"{DASK}.track_times_one_worker",
        (f"{TIMES} one worker", "scale 4e6 x (20 + 5), two workers", 1.5),
    ),
]
