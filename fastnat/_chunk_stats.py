"""Chunks of observations as statistics that can be merged."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnat._arrays import NanPolicy
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
        limits: dict[str, Any] = {k: given[k] for k in ("left", "right") if k in given}
        if codes is not None:
            stats = NormalStats(
                self.n_groups, moments=self.moments, nan_policy=self.nan_policy, **limits
            )
            stats.update(given["x"], weights=weights, groups=codes)
            return stats
        shape = np.broadcast_shapes(*(np.shape(value) for value in given.values()))
        x = given["x"]
        if np.shape(x) != shape:
            x = np.broadcast_to(x, shape)
        first = tuple(0 if a in self.reduced else slice(None) for a in range(-len(shape), 0))
        for name, limit in limits.items():
            if np.ndim(limit):
                limits[name] = np.broadcast_to(limit, shape)[first]
        stats = NormalStats(moments=self.moments, nan_policy=self.nan_policy, **limits)
        stats.update(x, weights=weights, axis=self.reduced, n_threads=1)
        return stats


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
