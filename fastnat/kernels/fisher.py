"""Scores to gradient and empirical Fisher matrix."""

from fastnat.kernels._jit import kernel
from fastnat.kernels.tiles import CHECKED, add_squares, add_totals, new_sums

BLOCK = 512
"""Observations in a block: their scores stay in the first-level cache for small p."""


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
    rows.
    """
    sums = new_sums()
    add_totals(scores, weights, n, CHECKED, sums, grad)
    add_squares(scores, fisher.shape[0], weights, n, CHECKED, sums, fisher)
