"""Scores to gradient and empirical Fisher matrix."""

from fastnat.kernels._jit import kernel
from fastnat.kernels._scalar import borrow, keep
from fastnat.kernels.tiles import (
    CHECKED,
    add_moments,
    add_totals,
    moments_tiles,
    new_cells,
    take_moments,
    take_totals,
    totals_tiles,
)

BLOCK = 512
"""Observations in a block: their scores stay in the first-level cache for small p."""

STRIDE = BLOCK + 8
"""From one row of a block to the next: 4 kB apart, they would fall on one place of the cache."""


@kernel
def accumulate(scores, weights, n, grad, fisher):
    """Add the sums and the sums of products of ``n`` observations' scores.

    Parameters
    ----------
    scores : (q, m) ndarray
        Row j holds the scores of parameter j; q >= p, m >= n.
    weights : (n,) ndarray or None
        Not negative, and maybe longer; an observation of weight 0 is not looked at.
    n : int
        The number of observations.
    grad : (q,) ndarray
        Added to: sum of w s, for all q rows.
    fisher : (p, p) ndarray
        Added to: sum of w s s', of the first p rows.  p may be 0.

    Notes
    -----
    All are C-contiguous and float64.  The order of summation depends on n and on the number of
    rows.  It is fastest where each row of the scores begins with a line of the cache, 64 bytes.
    """
    p, others = fisher.shape[0], scores.shape[0] - fisher.shape[0]
    n_cells = max(moments_tiles(p), totals_tiles(others))
    owners = scores, weights, grad, fisher, new_cells(n_cells)
    rows, w, totals, products, cells = borrow(owners)
    add_moments(rows, 0, p, w, n, CHECKED, cells, 0)
    take_moments(cells, 0, p, totals, products)
    add_totals(rows, p, others, w, n, CHECKED, cells, 0)
    take_totals(cells, 0, others, totals[p:])
    keep(owners)
