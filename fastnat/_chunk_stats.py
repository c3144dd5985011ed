"""Chunks of observations as statistics that can be merged."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnat._arrays import Array, NanPolicy, arrange
from fastnat._normal_stats import update_all
from fastnat.multivariate import MvnNanPolicy
from fastnat.streaming import LinearStats, MvnStats, NormalStats


@dataclass(frozen=True)
class Normal:
    """A chunk of observations as statistics."""

    moments: int
    nan_policy: NanPolicy
    reduced: tuple[int, ...] = (-1,)
    n_groups: int | None = None

    def __call__(self, given: dict[str, Any]) -> NormalStats:
        codes, weights = given.get("groups"), given.get("weights")
        if codes is not None:
            stats = self._new(_limits(given), self.n_groups)
            stats.update(given["x"], weights=weights, groups=codes)
        else:
            stats, x = self._begin(given)
            stats.update(x, weights=weights, axis=self.reduced, n_threads=1)
        return stats

    def each(self, chunks: list[dict[str, Any]], n_threads: int) -> list[NormalStats]:
        """The statistics of each chunk, whose observations threads share; not with groups."""
        begun = [self._begin(given) for given in chunks]
        problems = [
            arrange(x, given.get("weights"), self.reduced)
            for (_, x), given in zip(begun, chunks, strict=True)
        ]
        statistics = [stats for stats, _ in begun]
        update_all(statistics, problems, n_threads)
        return statistics

    def _begin(self, given: dict[str, Any]) -> tuple[NormalStats, Array]:
        """Statistics of nothing yet, and the observations for them."""
        x, limits = given["x"], _limits(given)
        shape = np.broadcast_shapes(*(np.shape(value) for value in given.values()))
        if np.shape(x) != shape:
            x = np.broadcast_to(x, shape)
        first = tuple(0 if a in self.reduced else slice(None) for a in range(-len(shape), 0))
        for name, limit in limits.items():
            if np.ndim(limit):
                limits[name] = np.broadcast_to(limit, shape)[first]
        return self._new(limits, None), x

    def _new(self, limits: dict[str, Any], shape: int | None) -> NormalStats:
        return NormalStats(shape, moments=self.moments, nan_policy=self.nan_policy, **limits)


def _limits(given: dict[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in ("left", "right") if name in given}


@dataclass(frozen=True)
class Linear:
    """A chunk of the rows of regressions as statistics."""

    nan_policy: NanPolicy

    def __call__(self, given: dict[str, Any]) -> LinearStats:
        stats = LinearStats(nan_policy=self.nan_policy)
        stats.update(given["y"], given["X"], weights=given.get("weights"), n_threads=1)
        return stats


@dataclass(frozen=True)
class Mvn:
    """A chunk of the rows of tables as statistics."""

    nan_policy: MvnNanPolicy

    def __call__(self, given: dict[str, Any]) -> MvnStats:
        stats = MvnStats(nan_policy=self.nan_policy)
        stats.update(given["X"], weights=given.get("weights"), n_threads=1)
        return stats


@dataclass(frozen=True)
class Finish:
    """Fit statistics."""

    options: dict[str, Any]

    def __call__(self, stats: Any) -> Any:
        return copy.deepcopy(stats.fit(**self.options))


def finish(options: dict[str, Any], *names: str) -> Finish:
    wanted = names or ("reml", "cov_type", "max_iter", "tol", "n_threads")
    return Finish({name: options[name] for name in wanted})
