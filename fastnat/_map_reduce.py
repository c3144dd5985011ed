"""One long problem whose rows are in chunks: the search asks all chunks for sums, step by step.

What chunks are asked, and how their sums are merged, is that of problems in memory (`_long`).  Here
is where the rows are: in chunks that Dask has made, and which do not move.
"""

import math
from typing import Any, NamedTuple

import dask.array as da
import numpy as np

import fastnat
from fastnat import _chunked, _linear, _long, _observed
from fastnat import _linear_arguments as arguments
from fastnat._arrays import (
    COVS,
    Array,
    CovType,
    as_array,
    as_codes,
    as_integer,
    as_tolerance,
    nan_found,
)
from fastnat._chunked_rows import Chunks
from fastnat._existence import Problem, is_decisive, judge
from fastnat._searched import Searched
from fastnat.kernels import codes, estimates, linear_memory, linear_outcome


class Regression(NamedTuple):
    """What is asked for, beyond the data."""

    batch: tuple[int, ...]
    p: int
    q: int
    scaled: bool  # whether there is a Z
    model: int
    cov_type: CovType
    options: _linear.Options
    given: _observed.Given  # stand-ins

    @property
    def complete(self) -> bool:
        return self.model == linear_memory.COMPLETE


def describe(sources: _chunked.Sources, options: dict[str, Any], start: Any) -> Regression:
    """Check the arguments of a regression, by stand-ins for its arrays but for a start at hand."""
    like = _observed.bounds_together(_chunked.stand_ins(sources))
    names = ("upper", "left", "right", "truncation", "noise_std", "weights")
    rest: Any = [*(like.get(name) for name in names), "y"]
    given = _observed.read(like["y"], *rest)
    design, scale, clusters = as_array("X", like["X"]), like.get("Z"), like.get("clusters")
    arguments.check_combination(
        given, scale is not None, options["reml"], options["cov_type"], clusters is not None
    )
    samples = arguments.arrange(given, design, scale, None)
    p, q = samples.n_params
    if clusters is not None:
        as_codes("clusters", clusters, "y", samples.n_obs)
    if start is not None:
        begin = like["start"] if isinstance(start, da.Array) else start
        arguments.as_start(begin, samples.batch, p + q)
    model = arguments.model_of(given, scale is not None)
    return Regression(
        samples.batch,
        p,
        q,
        scale is not None,
        model,
        options["cov_type"],
        _as_options(model, options),
        given,
    )


def _as_options(model: int, options: dict[str, Any]) -> _linear.Options:
    return _linear.Options(
        model,
        COVS[options["cov_type"]],
        as_integer("max_iter", options["max_iter"], 1),
        as_tolerance(options["tol"]),
        options["nan_policy"] == "omit",
        options["reml"],
        options["n_threads"],
    )


def _has_maximum(chunks: Chunks, model: int) -> bool:
    """Whether some rows have a maximum; then all have, if none of the others is a density.

    For the log-likelihood of the others is bounded in Olsen's chart, or falls as well.
    """
    n = 1
    while True:
        every = n >= len(chunks.parts)
        if model == linear_memory.CENSORED or every:
            parts = [rows.read(slice(None)) for rows in chunks.first(n)]
            columns = zip(*(part[0] for part in parts), strict=True)
            x, z = (np.concatenate([part[k] for part in parts]) for k in (1, 2))
            some = Problem(tuple(map(np.concatenate, columns)), x, z, model)
            if (every or is_decisive(some)) and judge(some, _linear.loglik_of) is None:
                return True
        if every:
            return False
        n *= 4


def _solve(
    sources: _chunked.Sources,
    problem: Regression,
    start: Array | None,
    labels: tuple[int, ...],
) -> _linear.Found:
    k = problem.p + problem.q
    found = _linear.Found(
        np.empty((1, linear_outcome.R_SIZE)),
        np.empty((1, k)),
        np.empty((1, k)),
        np.empty((1, k, k)),
    )
    out, options = tuple(array[0] for array in found), problem.options
    chunks = Chunks(sources, labels, options.omit, options.n_threads)
    clustered, noisy = "clusters" in sources.arrays, problem.given.noise is not None
    search = _long.Search(
        problem.p,
        problem.q,
        options.numbers(clustered, start is not None, noisy),
        float(problem.p) if options.reml else 0.0,
        np.zeros(k) if start is None else start,
    )
    search.run(chunks.ask, False, out)
    undecided = out[0][linear_outcome.R_STATUS] == linear_memory.UNDECIDED
    if undecided and _has_maximum(chunks, problem.model):
        search.run(chunks.ask, True, out)
    return found


def _only_number(sources: _chunked.Sources) -> float:
    """`_linear_arguments.only_numbers` of the only problem."""
    z = sources.arrays.get("Z")
    if z is None or z.shape[-1] != 1 or z.size == 0:
        return 0.0
    least, most = map(float, da.compute(z.min(), z.max()))
    return least if least == most and math.isfinite(least) else 0.0


_SEEN_IN_PASSING = (codes.OK, codes.BOUNDARY, codes.NO_DATA, codes.NAN_INPUT, codes.INVALID_INPUT)


def fit_linear(
    sources: _chunked.Sources, problem: Regression, start: Any, nan_policy: str
) -> fastnat.LinearFit | None:
    """Fit a regression; None if there is no maximum, of which all rows together can say more."""
    begin = None if start is None else np.array(start, np.float64).reshape(-1)
    number = _only_number(sources)
    if number:  # sigma is constant
        model = arguments.model_of(problem.given, False)
        options = problem.options._replace(model=model)
        problem = problem._replace(model=model, options=options)
        sources = sources.without("Z")
        if begin is not None:
            begin[-1] *= number
    found = _solve(sources, problem, begin, (-1,))
    _linear.to_unit(found, np.array([number or 1.0]))
    status = found.results[0, linear_outcome.R_STATUS]
    if status == codes.NAN_INPUT and nan_policy == "raise":
        raise nan_found("y, X or Z contains")
    stopped = status == codes.MAX_ITER and problem.model != linear_memory.SCALED
    if status not in _SEEN_IN_PASSING and not stopped:
        return None
    shape = problem.p, problem.q
    return fastnat.LinearFit(
        found, problem.batch, shape, not problem.scaled, None, problem.cov_type
    )


def fit_normal(
    sources: _chunked.Sources,
    given: _observed.Given,
    labels: tuple[int, ...],
    batch: tuple[int, ...],
    options: dict[str, Any],
) -> fastnat.NormalFit | None:
    """Fit a sample as a regression on a constant; None as of `fit_linear`."""
    model = arguments.model_of(given, False)
    problem = Regression(
        batch, 1, 1, False, model, options["cov_type"], _as_options(model, options), given
    )
    found = _solve(sources, problem, None, labels)
    results, params, stderr, corr = (array[0] for array in found)
    status = results[linear_outcome.R_STATUS]
    if status == codes.NAN_INPUT and options["nan_policy"] == "raise":
        raise nan_found("x contains")
    if status not in _SEEN_IN_PASSING:
        return None
    sigma, nobs = np.exp(params[1]), results[linear_outcome.R_NOBS]
    out = np.empty((estimates.SIZE, 1))
    out[:, 0] = (
        *(params[0], sigma, nobs, status),
        *(results[linear_outcome.R_LOGLIK], results[linear_outcome.R_NIT]),
        *(stderr[0], sigma * stderr[1], corr[0, 1]),
    )

    def shape(flat: Array) -> Array:
        return flat.reshape(flat.shape[:-1] + batch)

    def describe(shaped: Array) -> Searched:
        return Searched(shaped, options["reml"], given.kind, None)

    return fastnat.NormalFit(out, shape, describe, options["cov_type"])
