"""Chunks of observations as statistics that can be merged."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnat._arrays import NanPolicy, Problems, arrange
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
        codes = given.get("groups")
        if codes is None:
            return self.each([given], 1)[0]
        stats = self._new(_limits(given), self.n_groups)
        stats.update(given["x"], weights=given.get("weights"), groups=codes)
        return stats

    def each(self, chunks: list[dict[str, Any]], n_threads: int) -> list[NormalStats]:
        """The statistics of each chunk, whose observations threads share."""
        begun = [self._begin(given) for given in chunks]
        statistics = [stats for stats, _ in begun]
        update_all(statistics, [problems for _, problems in begun], n_threads)
        return statistics

    def _begin(self, given: dict[str, Any]) -> tuple[NormalStats, Problems]:
        limits = _limits(given)
        shape = np.broadcast_shapes(*(np.shape(value) for value in given.values()))
        x = given["x"]
        if np.shape(x) != shape:
            x = np.broadcast_to(x, shape)
        first = tuple(0 if a in self.reduced else slice(None) for a in range(-len(shape), 0))
        for name, limit in limits.items():
            if np.ndim(limit):
                limits[name] = np.broadcast_to(limit, shape)[first]
        return self._new(limits, None), arrange(x, given.get("weights"), self.reduced)

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
