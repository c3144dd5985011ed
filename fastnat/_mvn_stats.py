"""`MvnStats`: what fits of multivariate normals need to know of rows that are gone."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnat import _levels, _table_stats, _tables
from fastnat._arrays import (
    COVS,
    Array,
    as_integer,
    as_shape,
    as_tolerance,
    check_cov_type,
    check_n_threads,
    check_nan_policy,
    check_weights,
    nan_found,
)
from fastnat.kernels import mvn
from fastnat.multivariate import MvnFit, MvnNanPolicy

_PIECE = 1 << 20  # numbers that are sorted by pattern at a time

Closed = Literal["observed", "expected"] | None


class MvnStats:
    """Statistics of tables whose rows come in chunks, for many problems at a time.

    They are all that `fit_mvn` needs: chunks are forgotten, memory does not grow, and the fit
    is that of all rows at once, to rounding.

    Parameters
    ----------
    shape : int or tuple of int, optional
        The shape of the batch; by default that of the first chunk.
    nan_policy : {"propagate", "omit", "raise", "mle"}, default "propagate"
        A row with a NaN makes its problem's estimates NaN, is left out, or is refused with its
        chunk; "mle" takes NaN as a missing entry, and keeps statistics of each pattern of them.

    Attributes
    ----------
    shape : tuple of int or None
        The shape of the batch; None if it is not known yet.
    n_dim : int or None
        The number of columns, likewise.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used.

    Notes
    -----
    Besides means and scatter, the triangle of a QR decomposition of the centred rows is kept, and
    merged by QR: it tells the rank where the scatter has lost it.  With "mle", the rows that lack
    the same entries are a complete table of the others; memory is n_dim**2 numbers for each
    pattern that has occurred in any problem, and each problem.

    Examples
    --------
    >>> from fastnat.streaming import MvnStats
    >>> stats = MvnStats()
    >>> for chunk in ([[1.0, 2.0], [3.0, 1.0]], [[4.0, 7.0], [0.0, 3.0]]):
    ...     stats.update(chunk)
    >>> stats.fit().covariance
    array([[2.5   , 1.75  ],
           [1.75  , 5.1875]])
    """

    def __init__(
        self,
        shape: int | tuple[int, ...] | None = None,
        *,
        nan_policy: MvnNanPolicy = "propagate",
    ) -> None:
        check_nan_policy(nan_policy, "mle")
        self.shape = None if shape is None else as_shape(shape)
        self.nan_policy = nan_policy
        self.n_dim: int | None = None
        # By which columns are observed.
        self._patterns: dict[tuple[bool, ...], _levels.Levels] = {}

    def __repr__(self) -> str:
        columns = [] if self.n_dim is None else [f"{self.n_dim} columns"]
        nobs = sum(float(_table_stats.weight(parts).sum()) for _, parts in self._totals())
        return _levels.describe(self, nobs, *columns)

    def update(
        self, X: ArrayLike, *, weights: ArrayLike | None = None, n_threads: int | None = None
    ) -> None:
        """Take in a chunk of rows.

        Parameters
        ----------
        X, weights, n_threads : optional
            As of `fit_mvn`; without its last two dimensions, ``X`` has the shape of the batch.

        Raises
        ------
        TypeError, ValueError
            If the chunk cannot be used; a negative, NaN or infinite weight is one reason.
        """
        check_n_threads(n_threads)
        source = _tables.arrange(X, weights, self.nan_policy == "omit")
        self._check_shape("X", source.batch, source.d)
        if self.nan_policy == "mle":
            chunks = _by_pattern(source, n_threads)
        else:
            parts = _table_stats.reduce(source, n_threads)
            if self.nan_policy == "raise" and _table_stats.has_nan(parts):
                raise nan_found("X contains")
            chunks = [((True,) * source.d, parts)]
        self.shape, self.n_dim = source.batch, source.d
        for pattern, parts in chunks:
            self._add(pattern, parts)

    def _add(self, pattern: tuple[bool, ...], parts: _levels.Parts) -> None:
        if pattern not in self._patterns:
            self._patterns[pattern] = _table_stats.levels()
        self._patterns[pattern].add(parts)

    def _check_shape(self, name: str, shape: tuple[int, ...], d: int | None) -> None:
        _levels.check_shape(name, shape, self.shape)
        if self.n_dim is not None and d != self.n_dim:
            raise ValueError(f"{name} has {d} columns, these statistics have {self.n_dim}")

    def merge(self, other: "MvnStats") -> None:
        """Take in all that ``other`` has seen; it stays as it is.

        Parameters
        ----------
        other : MvnStats
            Made with the same options, and of the same shape and number of columns.

        Raises
        ------
        TypeError, ValueError
            If it is something else.
        """
        _levels.check_other(self, other, "nan_policy")
        if other.shape is None:
            return
        self._check_shape("other", other.shape, other.n_dim or self.n_dim)
        self.shape, self.n_dim = other.shape, other.n_dim or self.n_dim
        for pattern, parts in list(other._totals()):
            self._add(pattern, parts)

    def _totals(self) -> list[tuple[tuple[bool, ...], _levels.Parts]]:
        """Statistics of each pattern, as new arrays, in an order that chunks do not change."""
        totals = ((p, self._patterns[p].total()) for p in sorted(self._patterns, reverse=True))
        return [(pattern, parts) for pattern, parts in totals if parts is not None]

    def fit(
        self,
        *,
        cov_type: Closed = "observed",
        max_iter: int = 100,
        tol: float = 1e-12,
        n_threads: int | None = None,
    ) -> MvnFit:
        """Fit the rows so far; more may follow.

        Parameters
        ----------
        cov_type : {"observed", "expected"} or None, default "observed"
            Kind of covariance; the others that `fit_mvn` knows need the data.
        max_iter, tol, n_threads : optional
            As of `fit_mvn`.

        Returns
        -------
        MvnFit

        Raises
        ------
        TypeError, ValueError
            If an option cannot be used, or there has been no chunk yet.
        """
        check_cov_type(cov_type)
        check_n_threads(n_threads)
        max_iter, tol = as_integer("max_iter", max_iter, 1), as_tolerance(tol)
        if cov_type in ("opg", "sandwich"):
            raise ValueError(f"cov_type={cov_type!r} needs the data: use fit_mvn")
        if self.n_dim is None or self.shape is None:
            raise ValueError("fit needs a chunk that says how many columns there are")
        totals, n_fits, full = self._totals(), math.prod(self.shape), (True,) * self.n_dim
        complete = dict(totals).get(full)
        if complete is None:
            complete = _table_stats.new(n_fits, self.n_dim)
        found = _table_stats.fit(complete)
        rest = [(pattern, parts) for pattern, parts in totals if pattern != full]
        search = _tables.Search(_no_start(self.n_dim), max_iter, tol)
        missing = _Missing(totals, rest, found, search, n_threads)

        def relative(which: NDArray[np.int64]) -> Array:
            return missing.covariances(which, COVS[cov_type])

        return MvnFit(found, self.shape, cov_type, relative)

    def to_arrays(self) -> dict[str, Array]:
        """All of it as arrays, for `numpy.savez`; none is of objects.

        Returns
        -------
        dict of ndarray
        """
        totals = self._totals()
        patterns = np.array([pattern for pattern, _ in totals], bool)
        return (
            _levels.label("MvnStats")
            | {
                "shape": np.array([-1] if self.shape is None else self.shape, np.int64),
                "n_dim": np.array(self.n_dim or 0),
                "nan_policy": np.array(self.nan_policy),
                "patterns": patterns.reshape(len(totals), self.n_dim or 0),
            }
            | {
                f"{key}_{k}": array
                for k, (_, parts) in enumerate(totals)
                for key, array in zip(("stats", "triangles", "counts"), parts, strict=True)
            }
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> "MvnStats":
        """Statistics from what `to_arrays` gave, or from the file it was saved to.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            Such as `numpy.load` returns.

        Returns
        -------
        MvnStats

        Raises
        ------
        ValueError
            If the arrays are not those of a MvnStats, or of a later version.
        """
        name = "MvnStats"
        _levels.check_label(name, arrays)
        policy: Any = str(_levels.get(name, arrays, "nan_policy", "U"))
        new = cls(_levels.get_shape(name, arrays), nan_policy=policy)
        new.n_dim = _levels.get_size(name, arrays, "n_dim")
        patterns = _levels.get(name, arrays, "patterns", "b", None)
        if patterns.size and (patterns.ndim != 2 or patterns.shape[1] != new.n_dim):
            raise ValueError(f"arrays['patterns'] must have {new.n_dim} columns, arrays['n_dim']")
        if not patterns.any(axis=-1).all():
            raise ValueError("arrays['patterns'] must have a column that is there in each")
        for k, pattern in enumerate(patterns.tolist()):
            n_fits, d = math.prod(new.shape or ()), sum(pattern)
            new._add(tuple(pattern), _table_stats.from_arrays(name, arrays, n_fits, d, f"_{k}"))
        return new


def _no_start(d: int) -> tuple[Array, Array]:
    return np.empty((0, d)), np.empty((0, d, d))


def _by_pattern(
    source: _tables.Tables, n_threads: int | None
) -> list[tuple[tuple[bool, ...], _levels.Parts]]:
    """Statistics of the rows of each pattern of missing entries."""
    w = source.weights
    check_weights(w is not None and not np.all((w >= 0.0) & (w < np.inf)))
    chunks = []
    step = max(1, _PIECE // max(1, source.n_fits * source.d))
    for begin in range(0, source.n_obs, step):
        rows = slice(begin, begin + step)
        values = np.ascontiguousarray(source.x[..., rows, :]).reshape(-1, source.d)
        weights = None if w is None else np.ascontiguousarray(w[..., rows]).reshape(-1)
        known = ~np.isnan(values)
        if weights is not None:
            known[~(weights > 0.0)] = False
        n_rows = values.shape[0] // max(1, source.n_fits)
        if known.all():
            ends = np.arange(source.n_fits + 1) * n_rows
            parts = _of_ragged(values, weights, ends, source.n_fits, n_threads)
            chunks.append(((True,) * source.d, parts))
            continue
        patterns, which = np.unique(np.packbits(known, axis=1), axis=0, return_inverse=True)
        for k in range(len(patterns)):
            members = np.flatnonzero(which.reshape(-1) == k)
            pattern = known[members[0]]
            if not pattern.any():
                continue
            ends = np.searchsorted(members, np.arange(source.n_fits + 1) * n_rows)
            own = None if weights is None else weights[members]
            parts = _of_ragged(values[members][:, pattern], own, ends, source.n_fits, n_threads)
            chunks.append((tuple(pattern.tolist()), parts))
    return chunks


def _of_ragged(
    values: Array, weights: Array | None, ends: Array, n_fits: int, n_threads: int | None
) -> _levels.Parts:
    """Statistics of complete tables of unequal lengths, which begin at ``ends``.

    Tables of one length are reduced together.
    """
    lengths = np.diff(ends)
    parts = _table_stats.new(n_fits, values.shape[1])
    for n in np.unique(lengths[lengths > 0]):
        which = np.flatnonzero(lengths == n)
        rows = ends[which][:, None] + np.arange(n)
        own = None if weights is None else weights[rows]
        tables = _tables.Tables(values[rows], own, (which.size,), False)
        for whole, part in zip(parts, _table_stats.reduce(tables, n_threads), strict=True):
            whole[which] = part
    return parts


class _Missing:
    """Fits of those problems that have missing entries, from few rows with their statistics.

    totals : statistics of all patterns, and ``rest`` those with missing entries.
    found : where to write, for the closed form is there already.
    """

    def __init__(
        self,
        totals: list[tuple[tuple[bool, ...], _levels.Parts]],
        rest: list[tuple[tuple[bool, ...], _levels.Parts]],
        found: _tables.Estimates,
        search: _tables.Search,
        n_threads: int | None,
    ) -> None:
        incomplete = np.zeros(found.mean.shape[0], bool)
        for _, parts in rest:
            incomplete |= _table_stats.weight(parts) > 0.0
        self.which = np.flatnonzero(incomplete)
        self.n_threads = n_threads
        if not self.which.size:
            return
        own = [(np.array(p), tuple(a[self.which] for a in parts)) for p, parts in totals]
        n_fits, d = self.which.size, found.mean.shape[1]
        origins, most = np.zeros((n_fits, d)), np.zeros((n_fits, d))
        for pattern, parts in own:
            weight, mean = _table_stats.weight(parts), _table_stats.center(parts, 0.0)
            for a, j in enumerate(np.flatnonzero(pattern)):
                better = (weight > most[:, j]) & np.isfinite(mean[:, a])
                origins[better, j], most[better, j] = mean[better, a], weight[better]
        n_rows = [2 * int(pattern.sum()) for pattern, _ in own]
        x = np.full((n_fits, sum(n_rows), d), np.nan)
        w = np.empty((n_fits, sum(n_rows)))
        first = 0
        for (pattern, parts), n in zip(own, n_rows, strict=True):
            rows = slice(first, first + n)
            x[:, rows, pattern], w[:, rows] = _table_stats.points(parts, origins[:, pattern])
            first += n
        self.source = _tables.Tables(x, w, (n_fits,), False)
        self.found = _tables.new_estimates(n_fits, d)
        _tables.fit(self.source, self.found, search, n_threads)
        self.found.numbers[:, mvn.NOBS] = sum(_table_stats.weight(parts) for _, parts in own)
        for all_of, part in zip(found, self.found, strict=True):
            all_of[self.which] = part
        found.mean[self.which] += origins

    def covariances(self, which: NDArray[np.int64], kind: int) -> Array:
        """Covariances of these problems in units of standard deviations."""
        own = np.searchsorted(self.which, which)
        return _tables.relative_covariances(self.source, self.found, own, kind, self.n_threads)
