"""Fits of a likelihood, on threads: blocks of problems, or blocks of one long problem's rows."""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from types import FunctionType
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core.errors import NumbaError
from numba.core.registry import CPUDispatcher
from numpy.typing import NDArray

from fastnat import _blocks
from fastnat._arrays import Array, as_array, check_weights, shown
from fastnat._compile import DOMAIN_ERRORS, Compiled, plain_function, with_policy
from fastnat.kernels import codes, likelihood, outcome, search

SEGMENT = 1 << 17
"""Longer problems are evaluated in segments of so many rows, the sums merged in order."""

_BLOCK_SIZE = 1 << 14  # observations in a block of problems: some 0.01 s for a usual model
_EVALUATIONS = 20  # of a usual fit: so many times are the data read


class Samples(NamedTuple):
    """Problems along the last axis of arrays of one shape."""

    columns: tuple[Array, ...]
    weights: Array | None
    batch: tuple[int, ...]
    n_obs: int


class Options(NamedTuple):
    """What a search is told, in the numbers of `fastnat.kernels.search`."""

    metric: int
    cov: int
    max_iter: int
    tol: float
    fixed: Array
    trace: bool


class Outcome(NamedTuple):
    """What became of every problem, in the shape of the batch."""

    theta: Array
    loglik: Array
    total: Array
    nit: NDArray[np.int64]
    status: NDArray[np.int8]
    stderr: Array
    corr: Array
    path: Array | None


def arrange(data: Any, weights: Any, n_data: int) -> Samples:
    """Broadcast the arrays of a likelihood's data and its weights."""
    if n_data == 1 and not (isinstance(data, tuple) and len(data) == 1 and np.ndim(data[0])):
        data = (data,)
    if not isinstance(data, tuple | list) or len(data) != n_data:
        got = f"{len(data)}" if isinstance(data, tuple | list) else f"one {type(data).__name__}"
        raise ValueError(f"data must be a tuple of {n_data} arrays, as n_data says, not {got}")
    names = ["data"] if n_data == 1 else [f"data[{k}]" for k in range(n_data)]
    arrays = [as_array(name, value) for name, value in zip(names, data, strict=True)]
    if weights is not None:
        names.append("weights")
        arrays.append(as_array("weights", weights))
    try:
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
    except ValueError:
        shapes = ", ".join(f"{n} {a.shape}" for n, a in zip(names, arrays, strict=True))
        raise ValueError(f"shapes do not broadcast: {shapes}") from None
    if not shape:
        raise ValueError(f"{names[0]} must have at least one dimension")
    arrays = [np.broadcast_to(a, shape) for a in arrays]
    factors = None if weights is None else arrays.pop()
    return Samples(tuple(arrays), factors, shape[:-1], shape[-1])


def climb(
    model: Compiled,
    samples: Samples,
    starts: Any,
    check_at: Callable[[list[tuple[float, ...]], Array], None] | None,
    omit: bool,
    options: Options,
    n_threads: int | None,
) -> Outcome:
    """Fit all problems.

    starts : (..., p), or a function of one problem's data.
    check_at : called with some observations of the first problem and its start, if not None.
    omit : leave out observations with a NaN.
    """
    n_fits, p = math.prod(samples.batch), model.n_params
    room = options.max_iter + 1 if options.trace else 0
    out = _Arrays(
        np.empty((n_fits, p)),
        np.empty((n_fits, 2 + p)),
        np.empty((n_fits, p, p)),
        np.empty(n_fits),
        np.empty(n_fits, np.int64),
        np.full((n_fits, room, p), np.nan),
    )
    set_starts = _starter(samples, starts, p)
    fit = _fit_long if samples.n_obs > SEGMENT else _fit_blocks
    if n_fits and check_at is not None:
        _check_first(samples, set_starts, check_at, p)
    if n_fits:
        fit(_Job(model, samples, set_starts, omit, options, n_threads, out))
    batch = samples.batch
    nit = out.result[:, 1].astype(np.int64)
    path = None
    if options.trace:
        way = out.path[:, : 1 + int(np.max(nit, initial=0))]
        path = np.moveaxis(way, 1, 0).reshape(way.shape[1], *batch, p)
    return Outcome(
        out.theta.reshape(*batch, p),
        out.result[:, 0].reshape(batch),
        np.where(out.status == codes.NAN_INPUT, np.nan, out.total).reshape(batch),
        nit.reshape(batch),
        out.status.astype(np.int8).reshape(batch),
        out.result[:, 2:].reshape(*batch, p),
        out.corr.reshape(*batch, p, p),
        path,
    )


class _Arrays(NamedTuple):
    """Where the kernels write, a row for each problem."""

    theta: Array
    result: Array
    corr: Array
    total: Array
    status: Array
    path: Array


SetStarts = Callable[[Any, Array], None]


class _Job(NamedTuple):
    """All that the drivers need."""

    model: Compiled
    samples: Samples
    set_starts: SetStarts
    omit: bool
    options: Options
    n_threads: int | None
    out: _Arrays


def _starter(samples: Samples, starts: Any, p: int) -> SetStarts:
    """What writes the starts of a block of problems: ``set_starts(index, theta)``."""
    if not callable(starts):

        def take(index: Any, theta: Array) -> None:
            theta[:] = starts[index].reshape(theta.shape)

        return take
    function = starts
    if isinstance(starts, _FUNCTIONS) and not numba.config.DISABLE_JIT:
        function = _start_function(starts, len(samples.columns))

    def call(index: Any, theta: Array) -> None:
        columns, weights = _take(samples, index)
        n = columns[0].size // len(theta)
        for r, row in enumerate(theta):
            here = slice(r * n, (r + 1) * n)
            values = [column[here] for column in columns]
            keep = ~np.any([np.isnan(v) for v in values], axis=0)
            if weights.size > 0:
                keep &= weights[here] > 0.0
            if np.any(keep):
                if not np.all(keep):
                    values = [v[keep] for v in values]
                for v in values:  # they may be the caller's
                    v.flags.writeable = False
                row[:] = _call_start(function, values, p)

    return call


_FUNCTIONS = FunctionType, CPUDispatcher  # others may be equal to what they are not


@lru_cache(maxsize=128)  # a fit in a loop compiles it once
def _start_function(start: Any, n_data: int) -> Any:
    """The function compiled, or as it is if numba does not know what it uses."""
    read_only = numba.types.Array(numba.types.float64, 1, "C", readonly=True)
    try:
        function: Any = with_policy("start", plain_function("start", start))
        function.compile((read_only,) * n_data)
    except Exception:  # then Python, only more slowly
        return start
    return function


def _call_start(function: Any, values: list[Array], p: int) -> Any:
    """Where to start one problem: p numbers, NaN outside of the domain of the function."""
    try:
        with np.errstate(all="ignore"):
            start = function(*values)
    except DOMAIN_ERRORS as error:
        if "read-only" in str(error):
            raise ValueError("start must not change its arguments, which are the data") from error
        return math.nan
    except Exception as error:
        raise TypeError(f"start fails with {type(error).__name__}: {error}") from error
    try:
        numbers = np.asarray(start, np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (p,):
        raise ValueError(f"start must return {p} numbers; it returns {shown(start)}")
    return numbers


def _check_first(
    samples: Samples,
    set_starts: SetStarts,
    check_at: Callable[[list[tuple[float, ...]], Array], None],
    p: int,
) -> None:
    """Hold the model against some observations of the first problem, at its start."""
    index, n = (0,) * len(samples.batch), samples.n_obs
    theta = np.zeros((1, p))
    if n:
        set_starts(index, theta)
        some = sorted({0, n // 2, n - 1})
        rows = [tuple(float(c[(*index, i)]) for c in samples.columns) for i in some]
        check_at(rows, theta[0])


def _fit_blocks(job: _Job) -> None:
    """Each block is a number of problems."""
    model, samples, set_starts, omit, options, n_threads, out = job
    limit = max(1, _BLOCK_SIZE // max(1, samples.n_obs))
    blocks = list(_blocks.cut(samples.batch, limit))
    numbers = options[:4]

    def work(i: int) -> None:
        index, first, n_fits = blocks[i]
        here = slice(first, first + n_fits)
        columns, weights = _take(samples, index)
        offsets = _blocks.offsets(n_fits, samples.n_obs)
        theta, result, corr, total, status, path = (array[here] for array in out)
        check_weights(likelihood.survey(columns, weights, omit, offsets, total, status))
        set_starts(index, theta)
        _call(
            likelihood.fit_many,
            likelihood.places_of(*model, len(columns)),
            columns,
            weights,
            omit,
            offsets,
            total,
            status,
            numbers,
            options.fixed,
            theta,
            result,
            corr,
            path,
            likelihood.make_scratch(model.n_params),
        )

    n_bytes = 8 * math.prod(samples.batch) * samples.n_obs * _EVALUATIONS
    _blocks.run(work, len(blocks), n_threads, n_bytes)


def _fit_long(job: _Job) -> None:
    """One problem after the other, each evaluated in segments whose sums are merged in order."""
    model, samples, set_starts, omit, options, n_threads, out = job
    p = model.n_params
    spans = [
        (first, min(first + SEGMENT, samples.n_obs)) for first in range(0, samples.n_obs, SEGMENT)
    ]
    parts = np.empty((len(spans), p + 1 + p * p))
    totals, statuses = np.empty(len(spans)), np.empty(len(spans), np.int64)
    memory = likelihood.make_scratch(p)[-1]

    def over_segments(work: Callable[[int, Any, Any], None], index: Any) -> None:
        def on_segment(i: int) -> None:
            work(i, *_take(samples, (*index, slice(*spans[i]))))

        _blocks.run(on_segment, len(spans), n_threads, 8 * samples.n_obs * _EVALUATIONS)

    for f in range(math.prod(samples.batch)):
        index = _blocks.place(f, samples.batch)
        theta, result, corr, path = out.theta[f], out.result[f], out.corr[f], out.path[f]

        def look(i: int, columns: Any, weights: Any) -> None:
            ends = np.array([0, columns[0].size])
            here = slice(i, i + 1)
            found = totals[here], statuses[here]
            check_weights(likelihood.survey(columns, weights, omit, ends, *found))

        over_segments(look, index)
        out.total[f] = np.sum(totals)
        out.status[f] = codes.OK if out.total[f] > 0.0 else codes.NO_DATA
        if np.any(statuses == codes.NAN_INPUT):
            out.status[f] = codes.NAN_INPUT
        if out.status[f] != codes.OK:
            outcome.give_up(out.status[f], theta, result, corr)
            continue
        set_starts(index, theta[None])
        want = search.begin(
            memory,
            theta,
            out.total[f],
            options.metric,
            options.cov,
            options.tol,
            options.max_iter,
        )
        while want != search.DONE:
            ask = partial(_evaluate_segment, model, omit, want, theta, parts)
            over_segments(ask, index)
            told = np.sum(parts, axis=0)  # one after the other
            want = search.proceed(memory, told, options.fixed, theta, path)
        out.status[f] = outcome.finish(memory, theta, result, corr)


def _evaluate_segment(
    model: Compiled,
    omit: bool,
    want: int,
    theta: Array,
    parts: Array,
    i: int,
    columns: tuple[Array, ...],
    weights: Array,
) -> None:
    scores, used, _, _ = likelihood.make_scratch(model.n_params)
    places = likelihood.places_of(*model, len(columns))
    sample = places, columns, weights, omit, 0, columns[0].size
    _call(likelihood.evaluate, *sample, want, theta, scores, used, parts[i])


def _call(kernel: Callable[..., None], *arguments: Any) -> None:
    """Run a kernel that calls the user's functions, which should not raise."""
    try:
        kernel(*arguments)
    except NumbaError:
        raise
    except Exception as error:
        raised = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise ValueError(
            f"loglik, score or fisher raises {raised}; let it return math.nan instead"
        ) from error


def _take(samples: Samples, index: Any) -> tuple[tuple[Array, ...], Array]:
    """A part of the data, and its weights or nothing, as flat arrays that kernels read."""
    columns = tuple(_blocks.flat(c[index], float32=False) for c in samples.columns)
    weights = None if samples.weights is None else samples.weights[index]
    return columns, _blocks.flat(_blocks.or_nothing(weights), float32=False)
