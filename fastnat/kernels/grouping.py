"""Codes of ragged problems -> their observations side by side, in one pass for each array."""

import numpy as np

from fastnat.kernels._jit import kernel


@kernel
def count(groups, counts):
    """Add the number of observations of each group to ``counts``; returns whether groups ascend.

    groups : (n,) int64, from 0 to counts.size - 1.
    """
    ascending, before = True, np.int64(0)
    for i in range(groups.size):
        group = groups[i]
        counts[group] += 1
        ascending = ascending and group >= before
        before = group
    return ascending


@kernel
def collect(groups, values, places, out):
    """Write the values of each group to neighbouring places, in their order: a counting sort.

    places : (n_groups,) int64, where each group begins; lost.
    out : (n,), out.
    """
    for i in range(groups.size):
        place = places[groups[i]]
        places[groups[i]] = place + 1
        out[place] = values[i]
