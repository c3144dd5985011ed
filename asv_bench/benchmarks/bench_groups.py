"""Ragged groups on one thread, beside pandas' groupby."""

import functools

import numpy as np

import fastnat

from . import common, observed
from .measuring import Timed, Work, measured, times, told


def _grouped(in_order):
    n, n_groups = observed.size(10**7, 10**4), observed.size(10**5, 100)
    rng = np.random.default_rng(0)
    codes, x = rng.integers(0, n_groups, n), rng.normal(size=n)
    codes = np.sort(codes) if in_order else codes
    few = codes < max(1, n_groups // 50)  # a loop over all takes half a minute

    @functools.cache
    def frames():
        import pandas as pd

        frame = pd.DataFrame({"group": codes, "x": x})
        return frame, frame[few]

    def agg(**options):
        return frames()[0].groupby("group", **options)["x"].agg(["mean", "std"])

    def loop():
        import pandas as pd

        own = frames()[1].groupby("group")["x"]
        return own.apply(lambda v: pd.Series({"mu": v.mean(), "sigma": v.std(ddof=0)}))

    return Work(
        lambda: fastnat.fit_normal(x, groups=codes, n_threads=1),
        {"pandas agg": agg, "pandas agg unsorted": lambda: agg(sort=False), "pandas apply": loop},
        {"pandas apply": n / np.sum(few)},
        items=n,
    )


WORKS = {
    "in order": functools.partial(_grouped, True),
    "any order": functools.partial(_grouped, False),
}


class Groups(Timed):
    """1e7 values of 1e5 groups."""

    works, params, param_names = WORKS, common.few(WORKS), ["case"]

    def time_fit_normal(self, case):
        self.work.ours()


class GroupsBeside:
    params, param_names = common.few(WORKS), ["case"]
    timeout = 600

    def setup_cache(self):
        return measured(WORKS)

    track_ns_a_value = told("ns each", "ns")
    track_times_pandas_agg = times("pandas agg")
    track_times_pandas_agg_unsorted = times("pandas agg unsorted")
    track_times_pandas_apply = times("pandas apply")
