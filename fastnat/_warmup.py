"""`warmup`: compile before the clock runs."""

from collections.abc import Callable
from itertools import product

import numpy as np

from fastnat._arrays import bad_choice
from fastnat._linear import LONG
from fastnat.kernels.rows import SEGMENT
from fastnat.likelihood import fit
from fastnat.linear import fit_linear
from fastnat.models import normal
from fastnat.multivariate import fit_mvn
from fastnat.normal import fit_normal
from fastnat.streaming import LinearStats, MvnStats, NormalStats, OnlineNormal


def warmup(*names: str) -> None:
    """Compile what public functions need, or load it from numba's cache.

    Numba compiles at the first call with arguments of a new kind, which takes seconds once per
    installation; later processes load the result.  Call this in an image build, or before a
    measurement, to have it behind you.

    Parameters
    ----------
    *names : str
        What to warm up: "fit_normal", "fit_linear", "fit_mvn", "streaming", "fit" (all but the
        user's own functions, which numba cannot cache: about 1.5 s once a process and model).  By
        default all.

    Raises
    ------
    ValueError
        If a name is not known.

    Examples
    --------
    >>> import fastnat
    >>> fastnat.warmup("fit_normal")
    """
    for name in names:
        if not isinstance(name, str) or name not in _WARMUPS:
            raise bad_choice("each of names", name, tuple(_WARMUPS))
    for name in names or _WARMUPS:
        _WARMUPS[name]()


def _fit_normal() -> None:
    """Rows and columns, weights, missing values, one long row; limits, intervals, noise."""
    x = np.arange(6.0).reshape(2, 3)
    for axis, weights, policy in product((0, -1), (None, x), ("propagate", "omit")):
        fit_normal(x, axis=axis, weights=weights, nan_policy=policy)
    fit_normal(x.astype(np.float32))
    for weights in (None, x):
        fit_normal(x, x + 1.0, weights=weights)
        fit_normal(x, left=2.0, weights=weights)
        fit_normal(x, left=x - 1.0, weights=weights)
        fit_normal(x, right=x + 1.0, weights=weights)
        fit_normal(x, truncation=(-1.0, 9.0), weights=weights)
        fit_normal(x, noise_std=1.0, weights=weights)
    fit_normal(np.arange(SEGMENT + 1.0))
    fit_normal(x[0], groups=[1, 0, 1])


def _fit() -> None:
    """Without and with weights."""
    x = np.arange(6.0)
    fit(normal, x)
    fit(normal, x, weights=x)


def _fit_linear() -> None:
    """Plain problems, long ones, and all others: each has kernels of its own."""
    y = np.sin(np.arange(LONG + 1.0))
    x = np.column_stack([np.ones(y.size), np.arange(y.size)])
    fit_linear(y[:6], x[:6])
    fit_linear(y[:6], x[:6], left=0.0)
    fit_linear(y[:6], x[:6], cov_type="opg")
    fit_linear(y, x)


def _fit_mvn() -> None:
    """Few columns, each number of which has its own machine code, and many; missing entries."""
    x = np.arange(30.0).reshape(3, 10) ** np.array([[0.5], [1.0], [1.5]])
    for d, weights in product((2, 3, 4, 5, 6, 10), (None, np.ones(3))):
        fit_mvn(x[:, :d], weights=weights)
    x[0, 0] = x[1, 1] = np.nan
    for weights in (None, np.ones(3)):
        _ = fit_mvn(x[:, :2], weights=weights, nan_policy="mle").stderr


def _streaming() -> None:
    """Merges, with limits and without, and steps of both kinds."""
    x = np.arange(6.0)
    for left, moments in product((None, 1.0), (2, 4)):
        stats = NormalStats(left=left, moments=moments)
        for half in (x[:3], x[3:]):
            stats.update(half)
        _ = stats.fit()
    tables, regressions = MvnStats(), LinearStats()
    for _ in range(2):
        tables.update(np.column_stack([x, np.square(x)]))
        regressions.update(np.sin(x), np.column_stack([np.ones(6), x]))
    _ = tables.fit(), regressions.fit()
    for left in (None, 1.0):
        OnlineNormal(left=left, burn_in=2).update(x)


_WARMUPS: dict[str, Callable[[], None]] = {
    "fit_normal": _fit_normal,
    "fit_linear": _fit_linear,
    "fit_mvn": _fit_mvn,
    "streaming": _streaming,
    "fit": _fit,
}
