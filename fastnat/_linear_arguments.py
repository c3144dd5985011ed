"""The arguments of regressions: arrays of one shape, and what cannot be asked for together."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnat._arrays import Array, CovType, as_array, as_codes
from fastnat._observed import Given, broadcast, check_expected
from fastnat.kernels import linear_memory


class Samples(NamedTuple):
    """Columns (..., n), X (n, p) or (..., n, p), Z likewise or None."""

    columns: tuple[Array | None, ...]
    x: Array
    z: Array | None
    batch: tuple[int, ...]
    n_obs: int

    @property
    def n_params(self) -> tuple[int, int]:
        return self.x.shape[-1], 1 if self.z is None else self.z.shape[-1]

    def take(self, which: NDArray[np.intp]) -> "Samples":
        """Some of the problems, copied."""
        at = np.unravel_index(which, self.batch)
        columns = tuple(None if c is None else c[at] for c in self.columns)
        x, z = (m if m is None or m.ndim == 2 else m[at] for m in (self.x, self.z))
        return Samples(columns, x, z, (which.size,), self.n_obs)  # type: ignore[arg-type]


def arrange(given: Given, x: Array, z: Array | None, clusters: Any) -> Samples:
    """Broadcast everything to one batch."""
    views, shape = broadcast(given, "y")
    n_obs, batch = shape[-1], shape[:-1]
    for name, matrix in (("X", x), ("Z", z)):
        if matrix is None:
            continue
        if matrix.ndim < 2:
            raise ValueError(
                f"{name} of shape {matrix.shape} must have two dimensions at least: one covariate"
                f" is {name}[:, None], a constant is a column of ones"
            )
        if matrix.shape[-2] != n_obs:
            column = "; a column of values is y[:, 0]" * (shape == (matrix.shape[-2], 1))
            raise ValueError(
                f"{name} of shape {matrix.shape} must have a row for each of {n_obs} values in y,"
                f" along its last dimension{column}"
            )
        if matrix.shape[-1] == 0:
            raise ValueError(f"{name} must have a column at least")
        try:
            batch = np.broadcast_shapes(batch, matrix.shape[:-2])
        except ValueError:
            raise ValueError(
                f"{name} of shape {matrix.shape} does not broadcast with {batch} problems"
            ) from None
    members = None if clusters is None else as_codes("clusters", clusters, "y", n_obs)
    columns = [None if v is None else np.broadcast_to(v, (*batch, n_obs)) for v in views]
    if members is not None:
        numbers = np.unique(members, return_inverse=True)[1].astype(np.int64)
        columns.append(np.broadcast_to(numbers, (*batch, n_obs)))
    else:
        columns.append(None)
    full = (*batch, n_obs)
    return Samples(
        tuple(columns), _stack(x, full), None if z is None else _stack(z, full), batch, n_obs
    )


def check_combination(
    given: Given, scaled: bool, reml: bool, cov_type: CovType, clustered: bool
) -> None:
    noisy = given.noise is not None
    if reml and (given.limited or scaled):
        raise ValueError("reml=True needs values without limits or truncation, and no Z")
    if reml and noisy and cov_type in ("opg", "sandwich"):
        raise ValueError("cov_type must be 'observed' or 'expected' for reml=True with noise_std")
    check_expected(given, cov_type)
    if clustered and cov_type != "sandwich":
        raise ValueError("clusters are for cov_type='sandwich'")


def only_numbers(z: Array) -> Array:
    """What a single column of Z is everywhere in a problem, if that is one number, else 0.

    Sigma is constant in such a problem, whatever the others are: (...), the batch of Z.
    """
    if z.shape[-1] != 1 or z.shape[-2] == 0:
        return np.zeros(z.shape[:-2])
    first = z[..., :1, 0].astype(np.float64)
    alone = np.isfinite(first[..., 0]) & np.all(z[..., 0] == first, axis=-1)
    return np.where(alone, first[..., 0], 0.0)


def model_of(given: Given, scaled: bool) -> int:
    if scaled:
        return linear_memory.SCALED
    if given.noise is not None:
        return linear_memory.NOISY
    if given.least is not None:
        return linear_memory.CUT
    return linear_memory.CENSORED if given.limited else linear_memory.COMPLETE


def as_start(start: ArrayLike, batch: tuple[int, ...], k: int) -> Array:
    array = as_array("start", start).astype(np.float64)
    if array.ndim == 0 or array.shape[-1] != k:
        raise ValueError(f"start of shape {array.shape} must have {k} numbers: b, then g")
    if not np.all(np.isfinite(array)):
        raise ValueError("start must be finite")
    try:
        return np.broadcast_to(array, (*batch, k))
    except ValueError:
        raise ValueError(
            f"start of shape {array.shape} does not broadcast with {batch} problems"
        ) from None


def _stack(matrix: Array, shape: tuple[int, ...]) -> Array:
    """A matrix that all problems share stays as it is."""
    if math.prod(matrix.shape[:-2]) == 1:
        return matrix.reshape(matrix.shape[-2:])
    return np.broadcast_to(matrix, (*shape, matrix.shape[-1]))
