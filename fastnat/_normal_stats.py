"""`NormalStats`: what fits of normal distributions need to know of observations that are gone."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnat import _closed_form, _levels, _limits, _observed
from fastnat._arrays import (
    COVS,
    Array,
    CovType,
    NanPolicy,
    Problems,
    arrange,
    as_array,
    as_integer,
    as_shape,
    as_tolerance,
    check_cov_type,
    check_flag,
    check_n_threads,
    check_nan_policy,
    check_weights,
    nan_found,
)
from fastnat._closed_form import ClosedForm
from fastnat._reduce import Batch, Use, collector, reduce_batches, reduce_groups, reduce_moments
from fastnat._searched import Searched
from fastnat.kernels import deviations, moments
from fastnat.normal import NormalFit


class NormalStats:
    """Statistics of samples that come in chunks, for many problems at a time.

    They are all that `fit_normal` needs: chunks are forgotten, memory does not grow, and the fit
    is that of all observations at once, to rounding.

    Parameters
    ----------
    shape : int or tuple of int, optional
        The shape of the batch; by default that of the limits, or of the first chunk.
    left, right : array_like, optional
        Limits of every problem: values at or below ``left`` are only known to be so, and values
        at or above ``right``.  Numbers, or arrays that broadcast to ``shape``.
    moments : {2, 4}, default 2
        4 for third and fourth moments as well, which ``cov_type="opg"`` and ``"sandwich"`` need.
    nan_policy : {"propagate", "omit", "raise"}, default "propagate"
        A missing value makes its problem's estimates NaN, is left out, or is refused with its
        chunk.

    Attributes
    ----------
    shape : tuple of int or None
        The shape of the batch; None if it is not known yet.
    left, right, moments, nan_policy : optional
        As they were given.
    weighted : bool
        Whether a chunk has had weights.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used.

    Notes
    -----
    Statistics are merged as in Chan, Golub and LeVeque (1983), The American Statistician 37,
    242-247, relative to origins in the data, and never more than 64 times one after the other: so
    neither an offset nor the number of chunks costs digits.  A chunk that is refused leaves
    everything as it was.

    Examples
    --------
    >>> from fastnat.streaming import NormalStats
    >>> stats = NormalStats(left=0.5)
    >>> for chunk in ([0.5, 2.2], [0.9, 1.3, 0.5]):
    ...     stats.update(chunk)
    >>> stats.fit()
    <NormalFit: mu = 0.8143230898 +- 0.484, sigma = 0.962369 +- 0.434, nobs = 5>
    """

    def __init__(
        self,
        shape: int | tuple[int, ...] | None = None,
        *,
        left: ArrayLike | None = None,
        right: ArrayLike | None = None,
        moments: int = 2,
        nan_policy: NanPolicy = "propagate",
    ) -> None:
        check_nan_policy(nan_policy)
        if as_integer("moments", moments, 2) not in (2, 4):
            raise ValueError(f"moments must be 2 or 4, not {moments}")
        given = _observed.read(0.0, None, left, right, None, None, None)
        self.shape = None if shape is None else as_shape(shape)
        self.nan_policy = nan_policy
        self.moments = moments
        self.weighted = False
        self.left, self.right = given.left, given.right
        self.shape = _limits.check_batch(given.left, given.right, self.shape)
        self._levels = _levels.Levels(self._merge)

    @property
    def _limited(self) -> bool:
        return self.left is not None or self.right is not None

    @property
    def _high(self) -> Any:
        return True if self.moments == 4 else None

    def _merge(self, into: _levels.Parts, other: _levels.Parts) -> None:
        stats, tally = into
        moments.merge_columns(other[0], self._high, stats)
        tally += other[1]

    def __repr__(self) -> str:
        total = self._levels.total()
        nobs = 0.0 if total is None else float(_weights(*total).sum())
        return _levels.describe(self, nobs)

    def update(
        self,
        x: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        axis: int | tuple[int, ...] | None = -1,
        n_threads: int | None = None,
    ) -> None:
        """Take in a chunk of observations.

        Parameters
        ----------
        x, weights, groups, axis, n_threads : optional
            As of `fit_normal`; without ``axis``, ``x`` has the shape of the batch.  With
            ``groups``, which need a ``shape`` of one dimension, a chunk may have any of the groups.

        Raises
        ------
        TypeError, ValueError
            If the chunk cannot be used; a negative, NaN or infinite weight is one reason.
        """
        check_n_threads(n_threads)
        values = as_array("x", x)
        factors = None if weights is None else as_array("weights", weights)
        if groups is None:
            (problems, use, finish), parts, shape = self._begin(arrange(values, factors, axis))
            reduce_moments(problems, use, self._limited, n_threads, finish)
            self._end(problems, parts, shape)
        else:
            parts = self._reduce_groups(values, factors, groups, axis, n_threads)
            self._take(parts, weights is not None)

    def _take(self, parts: _levels.Parts, weighted: bool) -> None:
        """Check statistics of a chunk, and keep them."""
        stats, _ = parts
        check_weights(not np.all(_weights(*parts) < np.inf))
        if self.nan_policy == "raise":
            if np.any(np.isnan(stats[moments.MEAN]) & (stats[moments.W] > 0.0)):
                raise nan_found("x contains")
        self.weighted = self.weighted or weighted
        self._levels.add(parts)

    def _use(self) -> Use:
        return Use(None, True if self.nan_policy == "omit" else None, self._high)

    def _shapes(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        n_fits, n_outside = math.prod(shape), deviations.N_OUTSIDE if self._limited else 0
        return (self._use().n_stats, n_fits), (n_outside, n_fits)

    def _empty(self, shape: tuple[int, ...]) -> _levels.Parts:
        stats, tally = (np.zeros(each) for each in self._shapes(shape))
        stats[moments.SCALE] = 1.0
        return stats, tally

    def _begin(self, problems: Problems) -> tuple[Batch, _levels.Parts, tuple[int, ...]]:
        """How to reduce a chunk, what will then hold its statistics, and their shape."""
        shape = problems.to_result(np.empty((0, problems.n_fits))).shape[1:]
        _levels.check_shape("x", shape, self.shape)
        use = self._use()
        if self._limited:
            limits = _limits.of_problems(self.left, self.right, shape)
            if limits.shape[1] > 1 or problems.n_fits == 1:
                limits = problems.from_result(limits.reshape(2, *shape))
            use = use._replace(limits=_limits.inside(np.ascontiguousarray(limits)))
        stats, tally = self._empty(shape)
        return Batch(problems, use, collector(stats, tally)), (stats, tally), shape

    def _end(self, problems: Problems, parts: _levels.Parts, shape: tuple[int, ...]) -> None:
        """Take in a chunk that is reduced."""
        if problems.order is not None:
            ordered = (np.ascontiguousarray(problems.to_result(part)) for part in parts)
            parts = tuple(part.reshape(part.shape[0], problems.n_fits) for part in ordered)
        self._take(parts, problems.weights is not None)
        self.shape = shape

    def _reduce_groups(
        self, x: Array, weights: Array | None, groups: Any, axis: Any, n_threads: int | None
    ) -> _levels.Parts:
        if self.shape is None or len(self.shape) != 1:
            raise ValueError("groups needs statistics made with a shape, the number of groups")
        given = _observed.Given(x, weights=weights)
        rows = _observed.rows_of(given, groups, axis, self.shape[0])
        use = self._use()
        if self._limited:
            limits = _limits.of_problems(self.left, self.right, self.shape)
            use = use._replace(limits=_limits.inside(np.ascontiguousarray(limits)))
        stats, tally = self._empty(self.shape)
        reduce_groups(rows, use, self._limited, n_threads, collector(stats, tally))
        return stats, tally

    def merge(self, other: "NormalStats") -> None:
        """Take in all that ``other`` has seen; it stays as it is.

        Parameters
        ----------
        other : NormalStats
            Made with the same options, and of the same shape.

        Raises
        ------
        TypeError, ValueError
            If it is something else.
        """
        _levels.check_other(self, other, "left", "right", "moments", "nan_policy")
        if other.shape is None:
            return
        _levels.check_shape("other", other.shape, self.shape)
        self.shape = other.shape
        total = other._levels.total()
        self.weighted = self.weighted or other.weighted
        if total is not None:
            self._levels.add(total)

    def _total(self) -> _levels.Parts:
        """The statistics of all chunks; those of none say that there are no data."""
        return self._levels.total() or self._empty(self.shape or ())

    def fit(
        self,
        *,
        reml: bool = False,
        cov_type: CovType = "observed",
        max_iter: int = 100,
        tol: float = 1e-12,
        n_threads: int | None = None,
    ) -> NormalFit:
        """Fit the observations so far; more may follow.

        Parameters
        ----------
        reml, cov_type, max_iter, tol, n_threads : optional
            As of `fit_normal`.

        Returns
        -------
        NormalFit

        Raises
        ------
        TypeError, ValueError
            If an option cannot be used, or needs ``moments=4``.
        """
        check_flag("reml", reml)
        check_cov_type(cov_type)
        check_n_threads(n_threads)
        max_iter, tol = as_integer("max_iter", max_iter, 1), as_tolerance(tol)
        if cov_type in ("opg", "sandwich") and self.moments != 4:
            raise ValueError(f"cov_type={cov_type!r} needs statistics made with moments=4")
        if reml and self._limited:
            raise ValueError("reml=True needs values without limits or truncation")
        if not self._limited:
            return self._fit_complete(reml, cov_type)
        return self._fit_limited(
            _limits.Options(
                self.nan_policy == "omit", False, COVS[cov_type], max_iter, tol, n_threads
            ),
            cov_type,
        )

    def _fit_complete(self, reml: bool, cov_type: CovType) -> NormalFit:
        stats, _ = self._total()
        if cov_type not in ("opg", "sandwich"):
            stats = stats[: moments.M3]
        out = np.empty((6 if stats.shape[0] > moments.M3 else 4, stats.shape[1]))
        _closed_form.maximise(stats, stats.shape[1], 1.0 if reml else 0.0, 0, out)
        weighted = self.weighted

        def describe(shaped: Array) -> ClosedForm:
            return ClosedForm(shaped, cov_type, reml, weighted)

        return NormalFit(out, self._to_result(), describe, cov_type)

    def _fit_limited(self, options: _limits.Options, cov_type: CovType) -> NormalFit:
        stats, tally = self._total()
        if not _limits.needs_high(options.cov):
            stats = stats[: moments.M3]
        limits = _limits.of_problems(self.left, self.right, self.shape or ())
        out = _limits.fit_all(stats, tally, limits, options)
        to_result = self._to_result()

        def ends(level: float) -> Array:
            from scipy.special import chdtri

            drop = 0.5 * float(chdtri(1.0, 1.0 - level))
            intervals: Array = to_result(_limits.profile(stats, tally, limits, drop, out))
            return intervals

        def describe(shaped: Array) -> Searched:
            return Searched(shaped, False, "censored ones", ends)

        return NormalFit(out, to_result, describe, cov_type)

    def _to_result(self) -> Any:
        shape = self.shape or ()
        return lambda flat: flat.reshape(flat.shape[:-1] + shape)

    def to_arrays(self) -> dict[str, Array]:
        """All of it as arrays, for `numpy.savez`; none is of objects.

        Returns
        -------
        dict of ndarray
        """
        shape = [-1] if self.shape is None else self.shape
        stats, tally = self._total() if self.shape is not None else (np.empty((0, 0)),) * 2
        none = np.empty(0)
        return _levels.label("NormalStats") | {
            "shape": np.array(shape, np.int64),
            "left": none if self.left is None else np.asarray(self.left, np.float64),
            "right": none if self.right is None else np.asarray(self.right, np.float64),
            "moments": np.array(self.moments),
            "nan_policy": np.array(self.nan_policy),
            "weighted": np.array(self.weighted),
            "stats": stats,
            "tally": tally,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> "NormalStats":
        """Statistics from what `to_arrays` gave, or from the file it was saved to.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            Such as `numpy.load` returns.

        Returns
        -------
        NormalStats

        Raises
        ------
        ValueError
            If the arrays are not those of a NormalStats, or of a later version.
        """
        name = "NormalStats"
        _levels.check_label(name, arrays)
        shape = _levels.get_shape(name, arrays)
        left, right = (_levels.get(name, arrays, key, "f", None) for key in ("left", "right"))
        new = cls(
            shape,
            left=left if left.size or left.ndim != 1 else None,
            right=right if right.size or right.ndim != 1 else None,
            moments=int(_levels.get(name, arrays, "moments", "iu")),
            nan_policy=str(_levels.get(name, arrays, "nan_policy", "U")),  # type: ignore[arg-type]
        )
        new.weighted = bool(_levels.get(name, arrays, "weighted", "b"))
        if shape is not None:
            parts = _levels.get_all(name, arrays, ("stats", "tally"), new._shapes(shape))
            _levels.check_moments(*parts)
            new._levels.add(parts)
        return new


def update_all(
    statistics: Sequence[NormalStats], chunks: Sequence[Problems], n_threads: int | None
) -> None:
    """`NormalStats.update` of each with its chunk, whose blocks threads share.

    All must have been made with the same options.
    """
    begun = [own._begin(chunk) for own, chunk in zip(statistics, chunks, strict=True)]
    reduce_batches([batch for batch, *_ in begun], statistics[0]._limited, n_threads)
    for own, (batch, parts, shape) in zip(statistics, begun, strict=True):
        own._end(batch.problems, parts, shape)


def _weights(stats: Array, tally: Array) -> Array:
    """Total weight of each problem, what is beyond the limits included."""
    total: Array = stats[moments.W] + tally.sum(axis=0)
    return total
