"""Problems whose observations share their limits: from statistics to estimates."""

import math
from typing import NamedTuple

import numpy as np

from fastnat import _blocks
from fastnat._arrays import Array, check_weights
from fastnat.kernels import censored, censored_profile, estimates, olsen_lanes, outcome

Packed = tuple[Array, Array, Array, Array, Array]

_BLOCK = 1 << 13  # problems that are fitted at a time
_INWARDS = np.array([[np.inf], [-np.inf]])


class Options(NamedTuple):
    """What is asked for, in the numbers of the kernels."""

    omit: bool
    reml: bool
    cov: int
    max_iter: int
    tol: float
    n_threads: int | None


def check_batch(
    left: Array | None, right: Array | None, shape: tuple[int, ...] | None
) -> tuple[int, ...] | None:
    """The shape of the batch, which limits of problems say if nothing else does."""
    for name, limit in (("left", left), ("right", right)):
        if limit is None or not limit.ndim:
            continue
        shape = limit.shape if shape is None else shape
        try:
            np.broadcast_to(limit, shape)
        except ValueError:
            raise ValueError(
                f"{name} of shape {limit.shape} does not broadcast to the batch, {shape}"
            ) from None
    return shape


def of_problems(left: Array | None, right: Array | None, shape: tuple[int, ...]) -> Array:
    """Limits (2, 1), or (2, n_fits) in the order of the batch."""
    low = np.asarray(-np.inf if left is None else left, np.float64)
    high = np.asarray(np.inf if right is None else right, np.float64)
    if low.ndim == high.ndim == 0:
        return np.array([[low], [high]])
    return np.stack([np.broadcast_to(a, shape).reshape(-1) for a in (low, high)])


def inside(limits: Array) -> Array:
    """The values next to limits (2, n), between which values are known exactly."""
    if limits.shape[1] == 1:  # in a tenth of the time
        low, high = float(limits[0, 0]), float(limits[1, 0])
        one = low if math.isinf(low) else math.nextafter(low, math.inf)
        other = high if math.isinf(high) else math.nextafter(high, -math.inf)
        near = np.empty((2, 1))
        near[0, 0], near[1, 0] = one, other
        return near
    with np.errstate(under="ignore"):
        between: Array = np.nextafter(limits, _INWARDS)
    np.copyto(between, limits, where=np.isinf(limits))
    return between


def needs_high(cov: int) -> bool:
    """Whether this kind of covariance needs third and fourth moments."""
    return cov in (outcome.COV_OPG, outcome.COV_SANDWICH)


def fit_packed(packed: Packed, options: Options, first: int, out: Array) -> None:
    """Fit; the standard errors of the expected information are for others to add."""
    nothing = np.full((olsen_lanes.N_FOUND, packed[-1].size), np.nan)
    censored.fit(*packed, nothing, *_end(options), first, out)


def _end(options: Options) -> tuple[int, int, float]:
    cov = outcome.NO_COV if options.cov == outcome.COV_EXPECTED else options.cov
    return cov, options.max_iter, options.tol


def fit(
    stats: Array, tally: Array, limits: Array, options: Options, first: int, out: Array
) -> None:
    """Fit problems of which the moments between the limits, and the weight beyond, say all.

    stats, tally : (5 or 7, n) and (3, n) of problems ``first`` to ``first + n - 1``, as
        `_reduce.reduce_rows` leaves them with the limits `inside`.
    limits : (2, 1) or (2, at least first + n).
    out : (estimates.SIZE, at least first + n), out.
    """
    check_weights(censored.fit_common(stats, tally, limits, *_end(options), first, out))
    if options.cov == outcome.COV_EXPECTED:
        n_fits = stats.shape[1]
        censored.expected_of_limits(limits[0], limits[1], first, n_fits, out)


def fit_all(stats: Array, tally: Array, limits: Array, options: Options) -> Array:
    """`fit` of all problems, in blocks on threads."""
    n_fits = stats.shape[1]
    out, starts = np.empty((estimates.SIZE, n_fits)), range(0, n_fits, _BLOCK)

    def work(i: int) -> None:
        here = slice(starts[i], starts[i] + _BLOCK)
        own = np.ascontiguousarray(stats[:, here]), np.ascontiguousarray(tally[:, here])
        fit(*own, limits, options, starts[i], out)

    _blocks.run(work, len(starts), options.n_threads, n_fits * _blocks.SERIAL_BYTES // 1000)
    return out


def profile(stats: Array, tally: Array, limits: Array, drop: float, fits: Array) -> Array:
    """Ends of the profile intervals (4, n) of problems that were fitted from these statistics."""
    found = np.empty((4, stats.shape[1]))
    censored_profile.intervals_common(stats, tally, limits, drop, fits, found)
    return found
