"""Print how fast ragged groups are fitted beside pandas' groupby: medians of calls in turns.

    python asv_bench/side_by_side_groups.py

Needs what `pip install -e '.[bench]'` installs, and pandas.  With FASTNAT_BENCH_QUICK=1 the data
are small: a smoke test.
"""

import numpy as np
import pandas as pd
from benchmarks import common
from side_by_side import describe_machine

import fastnat

LOOPED = 50  # times fewer groups are given to the loop over groups, which takes half a minute


def compare(name, codes, x):
    frame = pd.DataFrame({"group": codes, "x": x})
    part = frame[frame.group < codes.max() // LOOPED]
    share = len(part) / len(frame)

    def loop():
        own = part.groupby("group")["x"]
        return own.apply(lambda v: pd.Series({"mu": v.mean(), "sigma": v.std(ddof=0)}))

    seconds, aggregated, unsorted, looped = common.medians(
        lambda: fastnat.fit_normal(x, groups=codes, n_threads=1),
        lambda: frame.groupby("group")["x"].agg(["mean", "std"]),
        lambda: frame.groupby("group", sort=False)["x"].agg(["mean", "std"]),
        loop,
        rounds=5,
    )
    print(
        f"{name:16}{1e3 * seconds:10.4g} ms    pandas agg {aggregated / seconds:.3g},"
        f" without sorting {unsorted / seconds:.3g}, apply {looped / share / seconds:.3g}",
        flush=True,
    )


def main():
    describe_machine(1)
    n, n_groups = (10**5, 10**3) if common.QUICK else (10**7, 10**5)
    rng = np.random.default_rng(0)
    codes, x = rng.integers(0, n_groups, n), rng.normal(size=n)
    compare("codes in order", np.sort(codes), x)
    compare("in any order", codes, x)


if __name__ == "__main__":
    main()
