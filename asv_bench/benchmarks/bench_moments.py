"""The moments kernels, called as the driver calls them, on data that fit the caches."""

import functools

import numpy as np

from fastnat.kernels import normal as kernels
from fastnat.kernels.columns import reduce_columns
from fastnat.kernels.moments import merge_segments
from fastnat.kernels.rows import SEGMENT, reduce_rows

from . import common
from .measuring import Timed, Work, measured, times, told

KINDS = ["plain", "weights", "omit", "high"]


class _Kind:
    """Arguments of a kernel for each of `KINDS`, and what NumPy has to do for the same."""

    def __init__(self, shape, kind, axis):
        self.x = common.normal(*shape)
        self.flat = self.x.reshape(-1)
        self.w = common.weights_for(self.flat) if kind == "weights" else None
        self.use = (None, True if kind == "omit" else None, True if kind == "high" else None)
        self.stats = np.empty((7 if kind == "high" else 5, self.x.size // self.x.shape[axis]))
        self.ends = np.arange(len(self.x) + 1) * self.x.shape[1]
        self.kind, self.axis = kind, axis

    def rows(self):
        reduce_rows(self.flat, self.w, self.ends, *self.use, 0, self.stats, None)

    def columns(self):
        n, width = self.x.shape
        sizes = (0, 1, n * width, n, width, width)  # one slab of n rows
        reduce_columns(self.flat, self.w, *sizes, *self.use, 0, self.stats, None)

    def numpy(self):
        if self.kind == "weights":
            return common.numpy_weighted_fit(self.x, self.w.reshape(self.x.shape), self.axis)
        peer = {
            "plain": common.numpy_fit,
            "omit": common.numpy_nan_fit,
            "high": common.numpy_four_moments,
        }[self.kind]
        return peer(self.x, self.axis)


def _rows(shape, kind):
    case = _Kind(shape, kind, -1)
    return Work(case.rows, {"numpy": case.numpy}, items=case.x.size)


def _columns(shape, kind):
    case = _Kind(shape, kind, 0)
    return Work(case.columns, {"numpy": case.numpy}, items=case.x.size)


def _cases(make, shapes):
    named = {"({}, {})".format(*shape): shape for shape in shapes}
    return {
        f"{name} {kind}": functools.partial(make, shape, kind)
        for name, shape in named.items()
        for kind in KINDS
    }


ROWS = _cases(_rows, ((10_000, 10), (1000, 100), (1, SEGMENT)))
COLUMNS = _cases(_columns, ((10_000, 10), (10, 10_000), (1000, 100)))


class Rows(Timed):
    works, params, param_names = ROWS, common.few(ROWS), ["case"]

    def time_reduce_rows(self, case):
        self.work.ours()


class RowsBeside:
    params, param_names = common.few(ROWS), ["case"]
    timeout = 300

    def setup_cache(self):
        return measured(ROWS)

    track_ns_a_value = told("ns each", "ns")
    track_times_numpy = times("numpy")


class Columns(Timed):
    works, params, param_names = COLUMNS, common.few(COLUMNS), ["case"]

    def time_reduce_columns(self, case):
        self.work.ours()


class ColumnsBeside:
    params, param_names = common.few(COLUMNS), ["case"]
    timeout = 300

    def setup_cache(self):
        return measured(COLUMNS)

    track_ns_a_value = told("ns each", "ns")
    track_times_numpy = times("numpy")


class MergeSegments:
    """One problem of about 1e8 observations."""

    n_segments = 1024

    def setup(self):
        means = common.normal(self.n_segments)
        n = means.size
        self.fresh = np.stack(
            [np.zeros(n), np.ones(n), np.full(n, float(SEGMENT)), means, np.full(n, 1.0)]
        )
        self.parts = self.fresh.copy()
        self.stats = np.empty((5, 1))
        self._merge()

    def _merge(self):
        self.parts[:] = self.fresh  # the kernel uses it up
        merge_segments(self.parts, self.parts.shape[1], self.parts.shape[1], 1, None, 0, self.stats)

    def _numpy(self):
        _, _, w, mean, m2 = self.fresh
        total = np.average(mean, weights=w)
        return np.sum(w), total, np.sum(m2) + np.sum(w * (mean - total) ** 2)

    def time_merge_segments(self):
        self._merge()

    def track_times_numpy(self):
        return common.ratio(self._numpy, self._merge)


class Finish:
    """Statistics of many problems to their estimates."""

    n_fits = 10000

    def setup(self):
        n = common.normal(self.n_fits).size
        self.stats = np.abs(common.normal(5, n)) + 1.0
        self.out = np.empty((4, n))
        self._finish()

    def _finish(self):
        kernels.finish(self.stats, self.out.shape[1], 0.0, 0, self.out)

    def _numpy(self):
        origin, scale, w, mean, m2 = self.stats
        self.out[kernels.MU] = origin + scale * mean
        self.out[kernels.SIGMA] = scale * np.sqrt(m2 / w)
        self.out[kernels.NOBS] = w
        self.out[kernels.STATUS] = ~((m2 > 0.0) & (w > 0.0))

    def time_finish(self):
        self._finish()

    def track_times_numpy(self):
        return common.ratio(self._numpy, self._finish)
