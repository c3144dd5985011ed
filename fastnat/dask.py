"""Fits of arrays that are larger than memory, or on many machines, with Dask.

Needs Dask (``pip install fastnat[dask]``).  The functions have the names and the arguments of those
of fastnat.  What comes back depends on how the data are cut:

*Problems in chunks*, the observations of each in one: a lazy fit, of the same class, whose
attributes are Dask arrays; ``compute()`` it, or only what you need of it.

*Observations in chunks*: the fit is computed, and its attributes are NumPy arrays.  Data stay
where they are; what travels are statistics, merged in a tree, or the sums that a step of the search
needs.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

try:
    import dask
    import dask.array as da
except ImportError as error:
    raise ImportError("fastnat.dask needs Dask: pip install 'fastnat[dask]'") from error

import fastnat
from fastnat import _chunk_stats, _chunked, _map_reduce, _observed, _tables
from fastnat import _linear_arguments as arguments
from fastnat._arrays import CovType, NanPolicy, as_codes, check_groups, reduced_axes
from fastnat._chunked import Sources
from fastnat._lazy import LinearBlocks, MvnBlocks, NormalBlocks
from fastnat.multivariate import MvnNanPolicy

__all__ = ["fit_linear", "fit_mvn", "fit_normal"]

_CLOSED = ("observed", "expected", None)  # kinds of covariance that statistics know


def fit_normal(
    x: da.Array,
    upper: ArrayLike | None = None,
    *,
    left: ArrayLike | None = None,
    right: ArrayLike | None = None,
    truncation: tuple[ArrayLike, ArrayLike] | None = None,
    noise_std: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    axis: int | tuple[int, ...] | None = -1,
    nan_policy: NanPolicy = "propagate",
    reml: bool = False,
    cov_type: CovType = "observed",
    max_iter: int = 100,
    tol: float = 1e-12,
    n_threads: int | None = None,
) -> fastnat.NormalFit:
    """Fit a normal distribution to each of many samples in a Dask array.

    Parameters
    ----------
    x, upper, left, right, truncation, noise_std, weights, groups : dask.array.Array or array_like
        As of `fastnat.fit_normal`; one of them at least is a Dask array.
    axis, nan_policy, reml, cov_type, max_iter, tol : optional
        As of `fastnat.fit_normal`.
    n_threads : int, optional
        Threads for each thread of Dask, by default 1.

    Returns
    -------
    NormalFit
        Lazy if no sample is in several chunks, else computed; see the notes.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used; what only the data show is raised when they are computed.

    Notes
    -----
    *Observations in several chunks*: complete data, limits that the observations of a problem
    share, ``groups`` also with such limits, take one pass, in which statistics (`NormalStats`) are
    merged in a tree.  For one sample whose observations have limits of their own, intervals, bounds
    or noise, the search asks every chunk for sums at each step, which are those of
    `fastnat.fit_linear`; chunks are kept in the memory of the workers meanwhile.  Many such samples
    have the observations of each brought together, in one task for a number of samples.

    Examples
    --------
    >>> import dask.array as da
    >>> import fastnat.dask
    >>> x = da.arange(12.0, chunks=4).reshape(3, 4)
    >>> fit = fastnat.dask.fit_normal(x)
    >>> fit
    <NormalFit: 3 fits, not computed yet>
    >>> fit.mu.compute()
    array([1.5, 5.5, 9.5])
    >>> float(fastnat.dask.fit_normal(x, axis=None).mu)
    5.5
    """
    named = {
        "x": x,
        "upper": upper,
        "left": left,
        "right": right,
        **_observed.bounds_apart(truncation),
    }
    named |= {"noise_std": noise_std, "weights": weights}
    how = {"nan_policy": nan_policy, "reml": reml, "cov_type": cov_type}
    options = _in_tasks(n_threads, **how, max_iter=max_iter, tol=tol)
    sources = _chunked.read(named | {"groups": groups}, lambda _, ndim: tuple(range(-ndim, 0)))
    sample = _chunked.sample_of(fastnat.fit_normal, sources.without("groups"), options)
    given = _given(sources)
    _, shape = _observed.broadcast(given)
    if groups is not None:
        return _fit_groups(sources, given, shape, axis, options, sample)
    reduced = tuple(a - len(shape) for a in reduced_axes(axis, len(shape)))
    batch = tuple(a for a in range(-len(shape), 0) if a not in reduced)
    sources = sources.unified()
    inside = options | {"axis": reduced}
    if sources.count(reduced) == 1:
        return _chunked.lazy(NormalBlocks, sources, fastnat.fit_normal, inside, sample, batch)
    alone = all(shape[a] == 1 for a in batch)
    plain = not given.limited and given.noise is None
    if plain or _observed.limits_are_common(given, axis):
        gather = _chunk_stats.Normal(_moments(cov_type), nan_policy, reduced)
        out, finish = (*batch, *reduced), _chunk_stats.finish(options)
        if alone:
            stats = sources.statistics(gather, out, options["n_threads"])
            if stats is not None:
                done: fastnat.NormalFit = finish(stats)
                return done
        parts = sources.blocks(gather, out, once=True)
        return _chunked.merged(NormalBlocks, parts, len(batch), finish, sample)
    if alone and not (reml and _moments(cov_type) == 4):
        fit = _map_reduce.fit_normal(
            sources, given, reduced, tuple(shape[a] for a in batch), options
        )
        if fit is not None:
            return fit
    return _chunked.together(
        NormalBlocks, sources, fastnat.fit_normal, inside, sample, batch, reduced
    )


def _in_tasks(n_threads: int | None, **options: Any) -> dict[str, Any]:
    """Options of the fits in tasks, each in one thread by default."""
    return options | {"n_threads": 1 if n_threads is None else n_threads}


def _given(sources: Sources) -> _observed.Given:
    """Stand-ins for the arguments that say how observations are known, checked."""
    like = _observed.bounds_together(_chunked.stand_ins(sources.without("groups")))
    values = like.pop("x")
    names = ("upper", "left", "right", "truncation", "noise_std", "weights")
    rest: Any = [like.get(name) for name in names]
    return _observed.read(values, *rest)


def _moments(cov_type: CovType) -> int:
    return 2 if cov_type in _CLOSED else 4


def _fit_groups(
    sources: Sources,
    given: _observed.Given,
    shape: tuple[int, ...],
    axis: Any,
    options: dict[str, Any],
    sample: fastnat.NormalFit,
) -> fastnat.NormalFit:
    """Ragged problems, whose observations may be in any chunk."""
    if axis not in (-1, 0, None) or len(shape) != 1 or "groups" not in sources.arrays:
        raise ValueError("groups needs x with one dimension, and no axis")
    codes = sources.arrays["groups"]
    as_codes("groups", np.broadcast_to(np.zeros((), codes.dtype), codes.shape), "x", *shape)
    plain = not given.limited and given.noise is None
    common = _observed.limits_are_common(given, axis) and not {"left", "right"} & {*sources.arrays}
    if not (plain or common):
        door = fastnat.fit_normal
        return _chunked.together(NormalBlocks, sources, door, options, sample, (-1,), (-1,))
    most = -1
    if codes.size:
        least, most = map(int, dask.compute(da.min(codes), da.max(codes)))
        check_groups(least, most, codes.size)
    gather = _chunk_stats.Normal(
        _moments(options["cov_type"]), options["nan_policy"], n_groups=most + 1
    )
    parts = sources.unified().blocks(gather, (-1,), once=True)
    return _chunked.merged(NormalBlocks, parts, 0, _chunk_stats.finish(options), sample)


def fit_linear(
    y: da.Array,
    X: ArrayLike,
    Z: ArrayLike | None = None,
    *,
    upper: ArrayLike | None = None,
    left: ArrayLike | None = None,
    right: ArrayLike | None = None,
    truncation: tuple[ArrayLike, ArrayLike] | None = None,
    noise_std: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    nan_policy: NanPolicy = "propagate",
    reml: bool = False,
    cov_type: CovType = "observed",
    start: ArrayLike | None = None,
    max_iter: int = 100,
    tol: float = 1e-12,
    n_threads: int | None = None,
) -> fastnat.LinearFit:
    """Fit a normal regression to each of many samples in Dask arrays.

    Parameters
    ----------
    y, X, Z, upper, left, right, truncation, noise_std, weights, clusters : array_like
        As of `fastnat.fit_linear`; one of them at least is a `dask.array.Array`.
    nan_policy, reml, cov_type, start, max_iter, tol : optional
        As of `fastnat.fit_linear`.
    n_threads : int, optional
        Threads for each thread of Dask, by default 1.

    Returns
    -------
    LinearFit
        Lazy if no problem's rows are in several chunks, else computed; see the notes.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used; what only the data show is raised when they are computed.

    Notes
    -----
    *Rows in several chunks*: complete data with a constant sigma take one pass, in which triangles
    of QR decompositions (`LinearStats`) are merged in a tree.  For one problem of any other kind,
    or with ``cov_type`` "opg" or "sandwich", the search asks every chunk for sums at each step;
    chunks are kept in the memory of the workers meanwhile.  Many such problems have the rows of
    each brought together.

    Examples
    --------
    >>> import dask.array as da
    >>> import fastnat.dask
    >>> t = da.arange(6.0, chunks=3)
    >>> X = da.stack([da.ones(6, chunks=3), t], axis=1)
    >>> y = da.from_array([0.0, 0.0, 1.1, 2.8, 4.2, 4.9], chunks=3)
    >>> fastnat.dask.fit_linear(y, X, left=0.0).coef.round(4)
    array([-1.4815,  1.3429])
    """
    named = {"y": y, "X": X, "Z": Z, "upper": upper, "left": left, "right": right}
    named |= _observed.bounds_apart(truncation)
    named |= {"noise_std": noise_std, "weights": weights, "clusters": clusters}
    how = {"nan_policy": nan_policy, "reml": reml, "cov_type": cov_type}
    options = _in_tasks(n_threads, **how, max_iter=max_iter, tol=tol)
    sources = _chunked.read(named | {"start": start}, _labels_of_rows)
    problem = _map_reduce.describe(sources, options, start)
    sources = sources.unified()
    sample = _sample_of_linear(sources, problem, options)
    batch = tuple(range(-1 - len(problem.batch), -1))
    if sources.count((-1,)) == 1:
        return _chunked.lazy(LinearBlocks, sources, fastnat.fit_linear, options, sample, batch)
    rows = sources.without("start")
    if isinstance(start, da.Array):
        start = arguments.as_start(start.compute(), problem.batch, problem.p + problem.q)
    if problem.complete and Z is None and cov_type in _CLOSED:
        finish = _chunk_stats.finish(options, "reml", "cov_type")
        parts = rows.blocks(_chunk_stats.Linear(nan_policy), (*batch, -1), once=True)
        return _chunked.merged(LinearBlocks, parts, len(batch), finish, sample)
    if all(size == 1 for size in problem.batch):
        alone = _map_reduce.fit_linear(rows, problem, start, nan_policy)
        if alone is not None:
            return alone
    return _chunked.together(
        LinearBlocks, sources, fastnat.fit_linear, options, sample, batch, (-1,)
    )


def _sample_of_linear(
    sources: Sources, problem: _map_reduce.Regression, options: dict[str, Any]
) -> fastnat.LinearFit:
    """A fit of no problems."""
    none: dict[str, Any] = {
        name: np.empty((0, 1), array.dtype) for name, array in sources.arrays.items()
    }
    none["X"] = np.ones((1, problem.p))
    if problem.scaled:
        none["Z"] = np.ones((1, problem.q))
    if "clusters" in none:
        none["clusters"] = np.zeros(1, np.int64)
    none.pop("start", None)
    return fastnat.fit_linear(**_observed.bounds_together(none | sources.numbers), **options)


def _labels_of_rows(name: str, ndim: int) -> tuple[Any, ...]:
    """-1 for rows, before it the batch; columns of matrices have numbers of their own."""
    if name in ("X", "Z"):
        return (*range(-ndim + 1, 0), 0 if name == "X" else 1)
    if name == "start":
        return (*range(-ndim, -1), 2)
    return tuple(range(-ndim, 0))


def fit_mvn(
    X: da.Array,
    *,
    weights: ArrayLike | None = None,
    nan_policy: MvnNanPolicy = "propagate",
    cov_type: CovType = "observed",
    start: Any = None,
    max_iter: int = 100,
    tol: float = 1e-12,
    n_threads: int | None = None,
) -> fastnat.MvnFit:
    """Fit a multivariate normal distribution to each of many tables in a Dask array.

    Parameters
    ----------
    X, weights : dask.array.Array or array_like
        As of `fastnat.fit_mvn`; one of them is a Dask array.
    nan_policy, cov_type, start, max_iter, tol : optional
        As of `fastnat.fit_mvn`; a ``start`` is one mean and one covariance.
    n_threads : int, optional
        Threads for each thread of Dask, by default 1.

    Returns
    -------
    MvnFit
        Lazy if no table's rows are in several chunks, else computed; see the notes.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used; what only the data show is raised when they are computed.

    Notes
    -----
    *Rows in several chunks* take one pass, in which statistics (`MvnStats`; with missing entries,
    of each pattern of them) are merged in a tree.  With a ``start``, or ``cov_type`` "opg" or
    "sandwich", the rows of each table are brought together.

    Examples
    --------
    >>> import dask.array as da
    >>> import fastnat.dask
    >>> X = da.from_array([[1.0, 2.0], [3.0, 1.0], [4.0, 7.0], [0.0, 3.0]], chunks=(2, 2))
    >>> fastnat.dask.fit_mvn(X).mean
    array([2.  , 3.25])
    """
    how = {"nan_policy": nan_policy, "cov_type": cov_type}
    options = _in_tasks(n_threads, **how, max_iter=max_iter, tol=tol)
    sources = _chunked.read({"X": X, "weights": weights}, _labels_of_tables)
    like = _chunked.stand_ins(sources)
    source = _tables.arrange(like["X"], like.get("weights"), False)
    options["start"] = start
    sample = fastnat.fit_mvn(np.empty((0, 1, source.d)), **options)
    sources, batch = sources.unified(), tuple(range(-1 - len(source.batch), -1))
    if sources.count((-1,)) == 1:
        return _chunked.lazy(MvnBlocks, sources, fastnat.fit_mvn, options, sample, batch)
    if start is None and cov_type in _CLOSED:
        parts = sources.blocks(_chunk_stats.Mvn(nan_policy), (*batch, -1), once=True)
        finish = _chunk_stats.finish(options, "cov_type", "max_iter", "tol", "n_threads")
        return _chunked.merged(MvnBlocks, parts, len(batch), finish, sample)
    return _chunked.together(MvnBlocks, sources, fastnat.fit_mvn, options, sample, batch, (-1,))


def _labels_of_tables(name: str, ndim: int) -> tuple[Any, ...]:
    return (*range(-ndim + 1, 0), 0) if name == "X" else tuple(range(-ndim, 0))
