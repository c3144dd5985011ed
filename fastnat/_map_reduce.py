"""One long problem whose rows are in chunks: the search asks all chunks for sums, step by step.

The driver of `fastnat.kernels.linear_search` for chunks elsewhere, as `_linear.fit_long` is for
segments in memory.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import dask
import numpy as np
from dask.delayed import delayed

import fastnat
from fastnat import _blocks, _chunked, _linear, _observed
from fastnat import _linear_arguments as arguments
from fastnat._arrays import COVS, Array, CovType, as_array, as_integer, as_tolerance
from fastnat._existence import Problem, judge
from fastnat._searched import Searched
from fastnat.kernels import (
    codes,
    estimates,
    linear,
    linear_memory,
    linear_outcome,
    linear_search,
)
from fastnat.kernels import linear_values as values

_SEGMENT = 1 << 14
_NO_MATRIX = np.empty((0, 0))
_NAMES = (
    *("upper", "left", "right", "truncation[0]", "truncation[1]", "noise_std"),
    *("weights", "clusters"),
)


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


def describe(sources: _chunked.Sources, options: dict[str, Any]) -> Regression:
    """Check the arguments of a regression, by stand-ins for its arrays."""
    like = _chunked.join(_chunked.stand_ins(sources))
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
        if clusters.shape != (samples.n_obs,) or clusters.dtype.kind not in "iu":
            raise ValueError(f"clusters must be {samples.n_obs} integers, one for each value in y")
    if "start" in like:
        arguments.as_start(like["start"], samples.batch, p + q)
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


class _Piece(NamedTuple):
    """Some rows of the problem, where they are."""

    columns: tuple[Array | None, ...]  # as in `Samples`; clusters numbered here
    x: Array
    z: Array | None
    members: Array  # the codes of its clusters
    omit: bool
    careful: bool  # whether X and Z may have numbers that are not finite

    def segments(self) -> Iterator[tuple[Any, Array, Array]]:
        """(columns, X, Z) as kernels read them."""
        n = len(self.x)
        for first in range(0, max(n, 1), _SEGMENT):
            rows = slice(first, first + _SEGMENT)
            columns = (
                np.empty(0) if c is None else _blocks.flat(c[rows], float32=False)
                for c in self.columns
            )
            z = None if self.z is None else self.z[rows]
            yield tuple(columns), _flat(self.x[rows]), _flat(z)


def _flat(matrix: Array | None) -> Array:
    if matrix is None:
        return _NO_MATRIX
    return _blocks.flat(matrix, float32=False).reshape(-1, matrix.shape[-1])


@dataclass(frozen=True)
class _Cut:
    """A chunk of each argument as a piece."""

    omit: bool

    def __call__(self, given: dict[str, Any]) -> _Piece:
        main = given["y"]
        rest = {name: given[name] for name in _NAMES if name in given}
        shape = np.broadcast_shapes(np.shape(main), *(np.shape(v) for v in rest.values()))
        n = math.prod(shape)

        def row(value: Any) -> Array:
            if np.ndim(value) == 0:
                return np.broadcast_to(value, (n,))
            return np.broadcast_to(value, shape).reshape(-1)

        columns = [row(main), *(row(rest[k]) if k in rest else None for k in _NAMES)]
        members = np.empty(0, np.int64)
        if columns[-1] is not None:
            members, own = np.unique(columns[-1], return_inverse=True)
            columns[-1] = own.astype(np.int64)
        x, z = given.get("X", np.ones((1, 1))), given.get("Z")
        x = np.broadcast_to(x, (n, 1)) if "X" not in given else x.reshape(-1, x.shape[-1])
        z = None if z is None else z.reshape(-1, z.shape[-1])
        finite = np.all(np.isfinite(x)) and (z is None or np.all(np.isfinite(z)))
        return _Piece(tuple(columns), x, z, members, self.omit, not finite)


class _Answer(NamedTuple):
    """What some rows say at a point."""

    told: Array
    by_cluster: Array | None  # scores
    members: Array  # the codes of those clusters
    status: int
    total: float  # weight


@delayed  # type: ignore[untyped-decorator]
def _tell(piece: _Piece, question: Any, p: int, q: int) -> _Answer:
    request, theta, memory = question
    told = np.zeros(values.told_size(p, q))
    by_cluster = np.zeros((len(piece.members), p + q))
    code, total = codes.NO_DATA, 0.0
    for columns, x, z in piece.segments():
        own = np.zeros_like(told)
        options = piece.omit, piece.careful
        found, weight = linear.tell_segment(
            request, theta, memory, columns, x, z, *options, own, by_cluster
        )
        code, total = int(linear.worse(code, found)), total + weight
        told += own
    scores = by_cluster if request == values.CLUSTERS else None
    return _Answer(told, scores, piece.members, code, total)


class _Search:
    """One search."""

    def __init__(self, pieces: list[Any], problem: Regression, start: Array | None) -> None:
        self.pieces, self.problem, self.start = pieces, problem, start
        self.p, self.q = problem.p, problem.q

    def run(self, clustered: bool, found: _linear.Found) -> None:
        """Fit, once more where known values do not decide whether there is a maximum."""
        out = tuple(array[0] for array in found)
        self._climb(False, clustered, out)
        if out[0][linear_outcome.R_STATUS] == linear_memory.UNDECIDED and self._has_maximum():
            self._climb(True, clustered, out)

    def _climb(self, sure: bool, clustered: bool, out: Any) -> None:
        p, q, options = self.p, self.q, self.problem.options
        numbers = (
            *(options.model, options.cov, options.tol, options.max_iter),
            *(int(clustered), int(self.start is not None)),
            int(self.problem.given.noise is not None),
        )
        memory, theta = linear_memory.new_memory(p, q), np.empty(p + q)
        memory[linear_memory.START][:] = 0.0 if self.start is None else self.start
        lost = float(p) if options.reml else 0.0
        request = linear.begin_long(memory, theta, numbers, sure, lost)
        answers = self._ask(request, theta, memory)
        code = codes.NO_DATA
        for answer in answers:
            code = int(linear.worse(code, answer.status))
        if code < 0:
            raise ValueError("weights must be finite and not negative, and so must their sum")
        if code != codes.OK:
            linear_outcome.give_up(code, sum(answer.total for answer in answers), *out)
            return
        while True:
            told = np.add.reduce([answer.told for answer in answers], axis=0)  # in order
            if request == values.CLUSTERS:
                linear.fold_clusters(_by_cluster(answers, p + q), p, q, told)
            request = linear_search.proceed(memory, told, theta)
            if request == values.DONE:
                break
            answers = self._ask(request, theta, memory)
        linear_outcome.finish(memory, theta, *out)

    def _ask(self, request: int, theta: Array, memory: Any) -> tuple[_Answer, ...]:
        question = delayed((request, theta, memory), pure=False, traverse=False)
        asked = (_tell(piece, question, self.p, self.q) for piece in self.pieces)
        return tuple(dask.compute(*asked))

    def _has_maximum(self) -> bool:
        """Whether some rows have a maximum; then all have, if none of the others is a density.

        For the log-likelihood of the others is bounded in Olsen's chart, or falls as well.
        """
        n = 1
        while True:
            some = dask.compute(*self.pieces[:n])
            if self.problem.model == linear_memory.CENSORED or n >= len(self.pieces):
                verdict = judge(_joined(some, self.problem.model), _linear._loglik_of)
                if verdict is None:
                    return True
            if n >= len(self.pieces):
                return False
            n *= 4


def _joined(pieces: Any, model: int) -> Problem:
    """All rows of some pieces."""
    parts = [segment for piece in pieces for segment in piece.segments()]
    columns = tuple(np.concatenate(c) for c in zip(*(part[0] for part in parts), strict=True))
    x, z = (np.concatenate([part[k] for part in parts]) for k in (1, 2))
    return Problem(columns, x, z, model)


def _by_cluster(answers: tuple[_Answer, ...], k: int) -> Array:
    """Scores of clusters that are in several chunks, added up in order."""
    known = np.unique(np.concatenate([answer.members for answer in answers]))
    sums = np.zeros((known.size, k))
    for answer in answers:
        sums[np.searchsorted(known, answer.members)] += np.asarray(answer.by_cluster)
    return sums


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
    blocks = sources.blocks(_Cut(problem.options.omit), labels).persist()
    pieces = list(blocks.to_delayed(optimize_graph=False).ravel())
    _Search(pieces, problem, start).run("clusters" in sources.arrays, found)
    return found


_SEEN_IN_PASSING = (codes.OK, codes.BOUNDARY, codes.NO_DATA, codes.NAN_INPUT, codes.INVALID_INPUT)


def fit_linear(
    sources: _chunked.Sources, problem: Regression, start: Any, nan_policy: str
) -> fastnat.LinearFit | None:
    """Fit a regression; None if there is no maximum, of which all rows together can say more."""
    begin = None if start is None else np.asarray(start, np.float64).reshape(-1)
    found = _solve(sources, problem, begin, (-1,))
    status = found.results[0, linear_outcome.R_STATUS]
    if status == codes.NAN_INPUT and nan_policy == "raise":
        raise ValueError("y, X or Z contains NaN, and nan_policy is 'raise'")
    if status not in (*_SEEN_IN_PASSING, codes.MAX_ITER):
        return None
    dof = None
    unweighted = "weights" not in sources.arrays and "weights" not in sources.numbers
    if problem.complete and not problem.scaled and unweighted:
        if problem.cov_type in ("observed", "expected"):
            dof = found.results[:, linear_outcome.R_NOBS].reshape(problem.batch) - problem.p
    shape = problem.p, problem.q
    return fastnat.LinearFit(found, problem.batch, shape, not problem.scaled, dof, problem.cov_type)


def fit_normal(
    sources: _chunked.Sources,
    given: _observed.Given,
    labels: tuple[int, ...],
    batch: tuple[int, ...],
    options: dict[str, Any],
) -> fastnat.NormalFit | None:
    """Fit a sample as a regression on a constant; None as of `fit_linear`."""
    arrays = {("y" if name == "x" else name): a for name, a in sources.arrays.items()}
    names = {("y" if name == "x" else name): a for name, a in sources.labels.items()}
    model = arguments.model_of(given, False)
    problem = Regression(
        batch, 1, 1, False, model, options["cov_type"], _as_options(model, options), given
    )
    found = _solve(sources._replace(arrays=arrays, labels=names), problem, None, labels)
    results, params, stderr, corr = (array[0] for array in found)
    status = results[linear_outcome.R_STATUS]
    if status == codes.NAN_INPUT and options["nan_policy"] == "raise":
        raise ValueError("x contains NaN, and nan_policy is 'raise'")
    if status not in _SEEN_IN_PASSING:
        return None
    sigma = np.exp(params[1])
    out = np.empty((estimates.SIZE, 1))
    out[:, 0] = (
        *(params[0], sigma, results[linear_outcome.R_NOBS], status),
        *(results[linear_outcome.R_LOGLIK], results[linear_outcome.R_NIT]),
        *(stderr[0], sigma * stderr[1], corr[0, 1]),
    )

    def shape(flat: Array) -> Array:
        return flat.reshape(flat.shape[:-1] + batch)

    def describe(shaped: Array) -> Searched:
        return Searched(shaped, options["reml"], given.kind, None)

    return fastnat.NormalFit(out, shape, describe, options["cov_type"])
