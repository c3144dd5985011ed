"""`fit_normal` of complete data, on one thread, beside what else there is."""

import functools

import numpy as np

import fastnat

from . import common
from .measuring import Timed, Work, fraction, measured, times, told


def _fit(*args, **kwargs):
    return fastnat.fit_normal(*args, n_threads=1, **kwargs)


def _scipy(x):
    import scipy.stats

    return scipy.stats.norm.fit(x)


def _scaler(x, **options):
    """Means and variances of columns by scikit-learn."""
    from sklearn.preprocessing import StandardScaler

    return StandardScaler(**options).fit(x)


def _sample(n, dtype=np.float64):
    x = common.normal(n).astype(dtype, copy=False)
    return Work(
        lambda: _fit(x),
        {
            "numpy": lambda: common.numpy_fit(x),
            "numpy in float64": lambda: [f(x, dtype=np.float64) for f in (np.mean, np.std)],
            "scipy": lambda: _scipy(x),
        },
        reads=(x,),
        flops=4.0 * x.size,
        items=x.size,
    )


SAMPLES = {
    "n=100": functools.partial(_sample, 100),
    "n=1e7": functools.partial(_sample, 10**7),
    "n=1e7 float32": functools.partial(_sample, 10**7, np.float32),
}


class Samples(Timed):
    """One sample."""

    works, params, param_names = SAMPLES, common.few(SAMPLES), ["case"]

    def time_fit_normal(self, case):
        self.work.ours()


class SamplesBeside:
    params, param_names = common.few(SAMPLES), ["case"]
    timeout = 300

    def setup_cache(self):
        return measured(SAMPLES)

    track_seconds = told("seconds", "s")
    track_times_numpy = times("numpy")
    track_times_numpy_in_float64 = times("numpy in float64")
    track_times_scipy = times("scipy")
    track_fraction_of_reading = fraction("read")
    track_gflops = told("gflops", "GFLOP/s")
    track_flops_a_byte = told("flops a byte")


def _batch(shape, axis, sklearn=False):
    x = common.normal(*shape)
    peers = {"numpy": lambda: common.numpy_fit(x, axis)}
    if sklearn:
        peers["sklearn"] = lambda: _scaler(x)
    return Work(lambda: _fit(x, axis=axis), peers, reads=(x,), flops=4.0 * x.size, items=x.size)


BATCHES = {
    "(1e3, 1e5)": functools.partial(_batch, (10**3, 10**5), -1),
    "(1e5, 1e3)": functools.partial(_batch, (10**5, 10**3), -1),
    "(1e6, 32)": functools.partial(_batch, (10**6, 32), -1),
    "(32, 1e6) axis 0": functools.partial(_batch, (32, 10**6), 0),
    "(1e3, 1e5) axis 0": functools.partial(_batch, (10**3, 10**5), 0, sklearn=True),
    "(1e5, 1e3) axis 0": functools.partial(_batch, (10**5, 10**3), 0, sklearn=True),
}


class Batches(Timed):
    """Many samples in one call: (n_fits, n_obs), or the other way round along axis 0."""

    works, params, param_names = BATCHES, common.few(BATCHES), ["case"]

    def time_fit_normal(self, case):
        self.work.ours()


class BatchesBeside:
    params, param_names = common.few(BATCHES), ["case"]
    timeout = 600

    def setup_cache(self):
        return measured(BATCHES)

    track_times_numpy = times("numpy")
    track_times_sklearn = times("sklearn")
    track_fraction_of_reading = fraction("read")


def _omitted(*shape):
    x = common.with_nans(common.normal(*shape))
    return Work(
        lambda: _fit(x, nan_policy="omit"),
        {
            "numpy": lambda: common.numpy_nan_fit(x),
            "bottleneck": lambda: common.bottleneck_fit(x),
            "numbagg": lambda: common.numbagg_fit(x),
        },
        reads=(x,),
        items=x.size,
    )


def _weighted(*shape):
    x = common.normal(*shape)
    w = common.weights_for(x)

    def statsmodels():
        from statsmodels.stats.weightstats import DescrStatsW

        told = DescrStatsW(x, w)
        return told.mean, told.std

    peers = {"numpy": lambda: common.numpy_weighted_fit(x, w)}
    if len(shape) == 1:
        peers["statsmodels"] = statsmodels
    return Work(lambda: _fit(x, weights=w), peers, reads=(x, w), items=x.size)


def _four_moments(n):
    x = common.normal(n)
    return Work(
        lambda: _fit(x, cov_type="sandwich").stderr,
        {"numpy": lambda: common.numpy_four_moments(x)},
        reads=(x,),
        items=x.size,
    )


OPTIONS = {
    "(1e5, 100) 10 % NaN": functools.partial(_omitted, 10**5, 100),
    "(1e5, 100) weights": functools.partial(_weighted, 10**5, 100),
    "n=1e7 10 % NaN": functools.partial(_omitted, 10**7),
    "n=1e7 weights": functools.partial(_weighted, 10**7),
    "n=1e7 sandwich": functools.partial(_four_moments, 10**7),
}
CHOSEN = list(OPTIONS)[-3:] if common.QUICK else list(OPTIONS)


class Options(Timed):
    """Missing values, weights, and standard errors from third and fourth moments."""

    works, params, param_names = OPTIONS, CHOSEN, ["case"]

    def time_fit_normal(self, case):
        self.work.ours()


class OptionsBeside:
    params, param_names = CHOSEN, ["case"]
    timeout = 600

    def setup_cache(self):
        return measured(OPTIONS, CHOSEN)

    track_times_numpy = times("numpy")
    track_times_bottleneck = times("bottleneck")
    track_times_numbagg = times("numbagg")
    track_times_statsmodels = times("statsmodels")
    track_fraction_of_reading = fraction("read")
