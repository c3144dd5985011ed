"""How regressions are fitted: arrays of one shape, blocks of problems or of one problem's rows."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnat import _blocks, _limits, _long
from fastnat._arrays import Array, CovType, as_array
from fastnat._existence import Problem, judge
from fastnat._observed import Given, broadcast
from fastnat._rows import Rows
from fastnat.kernels import codes, linear, linear_memory, linear_outcome

LONG = 1 << 16
"""Longer problems are evaluated in segments of rows, on threads, the sums merged in order."""

_NOTHING = np.empty(0)
_NO_MATRIX = np.empty((0, 0))


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


class Options(NamedTuple):
    """What is asked for, in the numbers of the kernels."""

    model: int
    cov: int
    max_iter: int
    tol: float
    omit: bool
    reml: bool
    n_threads: int | None

    def numbers(self, clustered: bool, started: bool, noisy: bool) -> tuple[Any, ...]:
        """What `linear_memory.prepare` calls options."""
        how = self.model, self.cov, self.tol, self.max_iter
        return *how, int(clustered), int(started), int(noisy)


class Found(NamedTuple):
    """What became of every problem, a row each."""

    results: Array
    params: Array
    stderr: Array
    corr: Array


def arrange(given: Given, x: Array, z: Array | None, clusters: Any) -> Samples:
    """Broadcast everything to one batch."""
    views, shape = broadcast(given, "y")
    n_obs, batch = shape[-1], shape[:-1]
    for name, matrix in (("X", x), ("Z", z)):
        if matrix is None:
            continue
        if matrix.ndim < 2:
            raise ValueError(f"{name} must have two dimensions at least, not shape {matrix.shape}")
        if matrix.shape[-2] != n_obs:
            raise ValueError(
                f"{name} of shape {matrix.shape} must have a row for each of {n_obs} values in y"
            )
        if matrix.shape[-1] == 0:
            raise ValueError(f"{name} must have a column at least")
        try:
            batch = np.broadcast_shapes(batch, matrix.shape[:-2])
        except ValueError:
            raise ValueError(
                f"{name} of shape {matrix.shape} does not broadcast with {batch} problems"
            ) from None
    members = None if clusters is None else _as_clusters(clusters, n_obs)
    columns = [None if v is None else np.broadcast_to(v, (*batch, n_obs)) for v in views]
    if members is not None:
        columns.append(np.broadcast_to(members, (*batch, n_obs)))
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
    if cov_type == "expected" and given.upper is not None:
        raise ValueError(
            "cov_type='expected' needs the limits of every observation: give left and right"
            " instead of upper"
        )
    if clustered and cov_type != "sandwich":
        raise ValueError("clusters are for cov_type='sandwich'")


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


def _as_clusters(clusters: Any, n_obs: int) -> NDArray[np.int64]:
    members = as_array("clusters", clusters)
    if members.dtype.kind not in "iu":
        raise TypeError(f"clusters must be integers, not {members.dtype}; see np.unique's inverse")
    if members.shape != (n_obs,):
        raise ValueError(f"clusters of shape {members.shape} must have a code for each value in y")
    return np.unique(members, return_inverse=True)[1].astype(np.int64)


def solve(samples: Samples, starts: Array | None, options: Options) -> Found:
    """Fit all problems."""
    n_fits, k = math.prod(samples.batch), sum(samples.n_params)
    found = Found(
        np.empty((n_fits, linear_outcome.R_SIZE)),
        np.empty((n_fits, k)),
        np.empty((n_fits, k)),
        np.empty((n_fits, k, k)),
    )
    flat = None if starts is None else np.broadcast_to(starts, (*samples.batch, k)).reshape(-1, k)
    job = _Job(samples, flat, options, found)
    if samples.n_obs > LONG:
        for f in range(n_fits):
            job.fit_long(f, sure=False)
    else:
        job.fit_blocks()
    undecided = np.flatnonzero(found.results[:, linear_outcome.R_STATUS] == linear_memory.UNDECIDED)
    for f in undecided.tolist():
        job.decide(f)
    return found


class _Job:
    """One call of `solve`."""

    def __init__(
        self, samples: Samples, starts: Array | None, options: Options, found: Found
    ) -> None:
        self.samples = samples
        self.options = options
        self.found = found
        self.starts = np.zeros((1, sum(samples.n_params))) if starts is None else starts
        clusters, noise = samples.columns[-1], samples.columns[6]
        self.n_clusters = 0 if clusters is None else int(np.max(clusters, initial=-1)) + 1
        self.numbers = options.numbers(clusters is not None, starts is not None, noise is not None)

    def fit_blocks(self) -> None:
        """Each block is a number of problems."""
        samples = self.samples
        matrices = [m if m is not None and m.ndim > 2 else None for m in (samples.x, samples.z)]
        columns = (*samples.columns, *matrices)
        rows = Rows(columns, samples.batch)

        def fit(flat: Any, offsets: Any, at: int) -> None:
            x, z = self._matrix(samples.x, flat[-2]), self._matrix(samples.z, flat[-1])
            self._fit_rows(flat[:-2], x, z, offsets, at, sure=False)

        rows.run(fit, self.options.n_threads)

    def _matrix(self, matrix: Array | None, own: Array | None) -> Array:
        """Rows of X or Z: those of these problems, or those that all share."""
        if matrix is None:
            return _NO_MATRIX
        flat = _blocks.flat(matrix, float32=False) if own is None else own
        return flat.reshape(-1, matrix.shape[-1])

    def _fit_rows(
        self, columns: Any, x: Array, z: Array, offsets: Any, at: int, sure: bool
    ) -> None:
        options, found = self.options, self.found
        x_step, z_step = (
            self.samples.n_obs if own is not None and own.ndim > 2 else 0
            for own in (self.samples.x, self.samples.z)
        )
        bad = linear.fit_rows(
            _given(columns),
            x,
            z,
            offsets,
            x_step,
            z_step,
            options.omit,
            options.reml,
            self.numbers,
            sure,
            self.n_clusters,
            self.starts[at:] if self.starts.shape[0] > 1 else self.starts,
            at,
            found.results,
            found.params,
            found.stderr,
            found.corr,
        )
        _limits.check_weights(bad)

    def _rows(self, f: int) -> _long.Rows:
        """All rows of one problem."""
        samples = self.samples
        at: Any = np.unravel_index(f, samples.batch) if samples.batch else ()

        def own(matrix: Array) -> Array:
            return matrix if matrix.ndim == 2 else matrix[at]

        x, z = own(samples.x), None if samples.z is None else own(samples.z)
        columns = tuple(None if c is None else c[at] for c in samples.columns)
        return _long.rows_of(columns, x, z, np.arange(self.n_clusters), self.options.omit)

    def fit_long(self, f: int, sure: bool) -> None:
        """One problem, evaluated in segments of its rows."""
        rows, (p, q) = self._rows(f), self.samples.n_params
        lost = float(p) if self.options.reml else 0.0
        search = _long.Search(p, q, self.numbers, lost, self.starts[f % self.starts.shape[0]])
        out = tuple(array[f] for array in self.found)
        search.run(lambda question: rows.tell(question, self.options.n_threads), sure, out)

    def decide(self, f: int) -> None:
        """Known values leave it open whether there is a maximum: look at the censored ones too."""
        columns, x, z = self._rows(f).read(slice(None))
        verdict = judge(Problem(columns, x, z, self.options.model), loglik_of)
        if verdict is None:
            if self.samples.n_obs > LONG:
                self.fit_long(f, sure=True)
            else:
                ends = _blocks.offsets(1, self.samples.n_obs)
                self._fit_rows(columns, x, z, ends, f, sure=True)
            return
        results, params, stderr, corr = (array[f] for array in self.found)
        total = results[linear_outcome.R_NOBS]
        linear_outcome.give_up(verdict.status, total, results, params, stderr, corr)
        results[linear_outcome.R_LOGLIK] = verdict.loglik
        if verdict.coef is not None:
            params[: verdict.coef.size] = verdict.coef
        limits = {codes.SIGMA_ZERO: -math.inf, codes.SIGMA_INFINITE: math.inf}
        if z.size == 0:
            params[-1] = limits.get(verdict.status, math.nan)


def loglik_of(low: Array, x: Array, high: Array, w: Array) -> float:
    """The largest log-likelihood of a regression with a constant sigma."""
    samples = arrange(Given(low, upper=high, weights=w), x, None, None)
    options = Options(linear_memory.CENSORED, 0, 100, 1e-12, False, False, 1)
    return float(solve(samples, None, options).results[0, linear_outcome.R_LOGLIK])


def _given(columns: Any) -> tuple[Array, ...]:
    return tuple(_NOTHING if c is None else c for c in columns)
