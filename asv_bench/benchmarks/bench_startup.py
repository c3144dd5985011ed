"""Seconds until the first answer, in processes of their own; a smoke run compiles nothing."""

import tempfile
from pathlib import Path

from . import common, processes
from .measuring import told

X = "x = numpy.arange(12.0).reshape(3, 4) ** 0.5"
CALLS = {
    "fit_normal": "fastnat.fit_normal([1.0, 2.0, 4.0])",
    "fit_normal columns": "fastnat.fit_normal(x, axis=0)",
    "fit_normal one limit": "fastnat.fit_normal(x, left=1.5)",
    "fit_normal own limits": "fastnat.fit_normal(x, right=x + 1.0)",
    "fit_normal intervals": "fastnat.fit_normal(x, x + 1.0)",
    "fit_normal truncation": "fastnat.fit_normal(x, truncation=(-1.0, 9.0))",
    "fit_normal noise_std": "fastnat.fit_normal(x, noise_std=1.0)",
    "fit_normal groups": "fastnat.fit_normal(x[0], groups=[1, 0, 1, 1])",
    "fit_linear": "fastnat.fit_linear(x[0], numpy.ones((4, 1)))",
    "fit_mvn": "fastnat.fit_mvn(x.T[:, :2])",
    "fit_mvn missing": "x[0, 0] = numpy.nan; fastnat.fit_mvn(x.T[:, :2], nan_policy='mle').stderr",
    "NormalStats": "fastnat.streaming.NormalStats().update(x[0])",
    "OnlineNormal": "fastnat.streaming.OnlineNormal(burn_in=2).update(x[0])",
    "steepest_descent": "fastnat.steepest_descent(lambda v: v @ v, lambda v: 2.0 * v, [1.0, 2.0])",
    "fit of a model": "fastnat.fit(fastnat.models.normal, [1.0, 2.0, 4.0])",
}
FEW = ["fit_normal", "steepest_descent"] if common.QUICK else list(CALLS)


class FirstCallBeside:
    """First calls, import not counted: cold in this order, each compiles what none before has."""

    params, param_names = FEW, ["case"]
    timeout = 1800

    def setup_cache(self):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            cache = None if common.QUICK else folder
            found, before = {}, 0
            for case in FEW:
                line = f"import numpy, fastnat; {X} | {CALLS[case]}"
                cold = processes.seconds_of(line, cache)
                files = [path.stat().st_size for path in Path(folder).rglob("*.nbc")]
                found[case] = {
                    "cold": cold,
                    "warm": processes.median_of(line, cache, rounds=3),
                    "signatures": float(len(files) - before),
                    "megabytes": 1e-6 * sum(files),
                }
                before = len(files)
        return found

    track_seconds_cold = told("cold", "s")
    track_seconds_warm = told("warm", "s")
    track_signatures_compiled = told("signatures", "files")
    track_cache_size = told("megabytes", "MB")


class Import:
    """With warm caches; SciPy's normal distribution is the peer."""

    timeout = 600

    def track_import_beyond_numpy(self):
        return processes.median_of(processes.IMPORT_BEYOND_NUMPY)

    def track_scipy_stats_beyond_numpy(self):
        return processes.median_of(processes.SCIPY_STATS_BEYOND_NUMPY)

    def track_import_and_first_fit(self):
        return processes.median_of(processes.IMPORT_AND_FIT)

    def track_import_and_first_fit_by_scipy(self):
        return processes.median_of(processes.SCIPY_STATS_AND_FIT)

    def track_first_model(self):
        """First fit of a user's model, which is compiled in every process."""
        return processes.median_of(processes.FIRST_MODEL)

    def track_warmup(self):
        """`fastnat.warmup()` of everything, which loads what an earlier one has compiled."""
        return processes.median_of(processes.WARMUP, rounds=3)

    track_import_beyond_numpy.unit = "s"
    track_scipy_stats_beyond_numpy.unit = "s"
    track_import_and_first_fit.unit = "s"
    track_import_and_first_fit_by_scipy.unit = "s"
    track_first_model.unit = "s"
    track_warmup.unit = "s"
