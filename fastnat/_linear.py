"""How regressions are fitted: blocks of problems, or of one problem's rows."""

import math
from typing import Any, NamedTuple

import numpy as np

from fastnat import _blocks, _long, _scale_limits
from fastnat._arrays import Array, check_weights
from fastnat._existence import Known, Limit, Problem, judge
from fastnat._linear_arguments import Samples, arrange, model_of, only_numbers
from fastnat._observed import Given
from fastnat._rows import BLOCK, WORK, Rows
from fastnat.kernels import (
    codes,
    linear,
    linear_memory,
    linear_outcome,
    linear_plain,
    linear_tobit,
)
from fastnat.kernels.outcome import COV_EXPECTED, COV_OBSERVED, NO_COV

LONG = 1 << 16
"""Longer problems are evaluated in segments of rows, on threads, the sums merged in order."""

_MANY = 1 << 17  # observations in a block of plain problems: in a small one Python takes a third
_ENOUGH = 30  # steps, after which it is asked what a climb was heading for


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


def solve(samples: Samples, starts: Array | None, options: Options) -> Found:
    """Fit all problems, by the search that ``options.model`` names."""
    n_fits, k = math.prod(samples.batch), sum(samples.n_params)
    found = _new(n_fits, k)
    flat = None if starts is None else _flat_starts(starts, samples.batch)
    job = _Job(samples, flat, options, found)
    if samples.n_obs > LONG:
        for f in range(n_fits):
            job.fit_long(f, sure=False)
    else:
        job.fit_blocks()
    undecided = np.flatnonzero(found.results[:, linear_outcome.R_STATUS] == linear_memory.UNDECIDED)
    for f in undecided.tolist():
        job.decide(f)
    if options.model == linear_memory.SCALED and options.max_iter >= _ENOUGH:
        stopped = np.flatnonzero(found.results[:, linear_outcome.R_STATUS] == codes.MAX_ITER)
        for f in stopped.tolist():
            job.look_beyond(f)
    return found


def _new(n_fits: int, k: int) -> Found:
    shapes = (n_fits, linear_outcome.R_SIZE), (n_fits, k), (n_fits, k), (n_fits, k, k)
    return Found(*map(np.empty, shapes))


def _flat_starts(starts: Array, batch: tuple[int, ...]) -> Array:
    k = starts.shape[-1]
    flat = np.empty((math.prod(batch), k))  # writeable, or numba would compile once more for it
    flat.reshape(*batch, k)[...] = starts
    return flat


def solve_scaled(
    samples: Samples, starts: Array | None, options: Options, constant: Options
) -> Found:
    """`solve` with a Z; ``constant``: the options for problems in which it is `only_numbers`.

    Each problem is told apart from the others, so it does not matter which are beside it.
    """
    assert samples.z is not None
    numbers = np.broadcast_to(only_numbers(samples.z), samples.batch).reshape(-1)
    if not np.any(numbers):
        return solve(samples, starts, options)
    if np.all(numbers):
        return _in_unit(samples, starts, constant, numbers)
    found = _new(numbers.size, sum(samples.n_params))
    flat = None if starts is None else _flat_starts(starts, samples.batch)
    for which in map(np.flatnonzero, (numbers == 0.0, numbers)):
        some, own = samples.take(which), None if flat is None else flat[which]
        if numbers[which[0]]:
            part = _in_unit(some, own, constant, numbers[which])
        else:
            part = solve(some, own, options)
        for whole, piece in zip(found, part, strict=True):
            whole[which] = piece
    return found


def _in_unit(samples: Samples, starts: Array | None, options: Options, numbers: Array) -> Found:
    """`solve` with these numbers in Z, by way of a column of ones."""
    if starts is not None:
        starts = _flat_starts(starts, samples.batch)
        starts[:, -1] *= numbers
        starts = starts.reshape(*samples.batch, -1)
    found = solve(samples._replace(z=None), starts, options)
    to_unit(found, numbers)
    return found


def to_unit(found: Found, numbers: Array) -> None:
    """The coefficients of columns of ones in Z become those of columns of these numbers."""
    found.params[:, -1] /= numbers
    found.stderr[:, -1] /= np.abs(numbers)
    sign = np.copysign(1.0, numbers)[:, None]
    found.corr[:, -1, :-1] *= sign
    found.corr[:, :-1, -1] *= sign


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
        self.is_started = starts is not None
        self.numbers = options.numbers(clusters is not None, self.is_started, noise is not None)

    def fit_blocks(self) -> None:
        """Each block is a number of problems."""
        samples = self.samples
        matrices = [m if m is not None and m.ndim > 2 else None for m in (samples.x, samples.z)]
        columns = (*samples.columns, *matrices)
        rows = Rows(columns, samples.batch, _MANY if self._is_plain else BLOCK)

        def fit(flat: Any, offsets: Any, at: int) -> None:
            x, z = self._matrix(samples.x, flat[-2]), self._matrix(samples.z, flat[-1])
            self._fit_rows(flat[:-2], x, z, offsets, at, sure=False)

        rows.run(fit, self.options.n_threads, WORK + sum(samples.n_params) ** 2)

    def _matrix(self, matrix: Array | None, own: Array | None) -> Array:
        """Rows of X or Z: those of these problems, or those that all share."""
        if matrix is None:
            return _long.NO_MATRIX
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
        given = tuple(map(_blocks.or_nothing, columns))
        out = at, found.results, found.params, found.stderr, found.corr
        pending = None if sure else self._fit_plain(given, x, offsets, x_step, out)
        if pending == 0:
            return
        bad = linear.fit_rows(
            given,
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
            pending is not None,
            *out,
        )
        check_weights(bad)

    @property
    def _is_plain(self) -> bool:
        """Whether `linear_plain` is asked first: least squares, as a rule."""
        model, cov = self.options.model, self.options.cov
        known = model == linear_memory.COMPLETE and self.samples.z is None
        return known and cov in (NO_COV, COV_OBSERVED, COV_EXPECTED)

    def _fit_plain(self, given: Any, x: Array, offsets: Any, x_step: int, out: Any) -> int | None:
        """How many the kernel of such plain problems leaves PENDING; None if they have none."""
        model, cov, head = self.options.model, self.options.cov, (x, offsets, x_step)
        if self._is_plain:
            how = self.options.reml, cov
            return int(linear_plain.fit_rows(given[0], given[7], *head, *how, *out))
        censored = model == linear_memory.CENSORED and self.samples.z is None
        if censored and cov in (NO_COV, COV_OBSERVED):
            if not self.is_started:
                return int(linear_tobit.fit_rows(given, *head, self.numbers, *out))
        return None

    def _rows(self, f: int) -> _long.Rows:
        """All rows of one problem."""
        samples = self.samples
        at = _blocks.place(f, samples.batch)

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
        rooms, n_threads = _long.Rooms(), self.options.n_threads
        search.run(lambda question: _long.tell([rows], question, n_threads, rooms)[0], sure, out)

    def decide(self, f: int) -> None:
        """Known values leave it open whether there is a maximum: look at the censored ones too."""
        columns, x, z = self._rows(f).read(slice(None))
        verdict = judge(Problem(columns, x, z, self.options.model), loglik_of)
        if verdict is None:
            self._fit_again(f, columns, x, z)
            return
        self._set_limit(f, verdict, z)

    def look_beyond(self, f: int) -> None:
        """A climb that is out of steps may have been on its way to a limit."""
        options, params, results = self.options, self.found.params, self.found.results
        if not np.all(np.isfinite(params[f])):
            return
        columns, x, z = self._rows(f).read(slice(None))
        problem = Problem(columns, x, z, options.model)
        verdict = _scale_limits.judge(problem, params[f], options.tol, options.max_iter)
        if isinstance(verdict, Limit):
            self._set_limit(f, verdict, z)
        elif verdict is not None:
            done = results[f, linear_outcome.R_NIT]
            job = _Job(self.samples, np.full(params.shape, verdict), options, self.found)
            job._fit_again(f, columns, x, z)
            results[f, linear_outcome.R_NIT] += done

    def _fit_again(self, f: int, columns: Any, x: Array, z: Array) -> None:
        if self.samples.n_obs > LONG:
            self.fit_long(f, sure=True)
        else:
            ends = _blocks.offsets(1, self.samples.n_obs)
            self._fit_rows(columns, x, z, ends, f, sure=True)

    def _set_limit(self, f: int, verdict: Limit, z: Array) -> None:
        results, params, stderr, corr = (array[f] for array in self.found)
        total = results[linear_outcome.R_NOBS]
        linear_outcome.give_up(verdict.status, total, results, params, stderr, corr)
        results[linear_outcome.R_LOGLIK] = verdict.loglik
        if verdict.coef is not None:
            params[: verdict.coef.size] = verdict.coef
        limits = {codes.SIGMA_ZERO: -math.inf, codes.SIGMA_INFINITE: math.inf}
        if z.size == 0:
            params[-1] = limits.get(verdict.status, math.nan)


def loglik_of(known: Known) -> float:
    """The largest log-likelihood of a regression."""
    given = Given(known.low, upper=known.high, noise=known.noise, weights=known.w)
    samples = arrange(given, known.x, known.z, None)
    constant = Options(model_of(given, False), 0, 100, 1e-12, False, False, 1)
    if known.z is None:
        found = solve(samples, None, constant)
    else:
        scaled = constant._replace(model=model_of(given, True))
        found = solve_scaled(samples, None, scaled, constant)
    return float(found.results[0, linear_outcome.R_LOGLIK])
