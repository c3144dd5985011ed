"""Rows of one long problem in chunks, which do not move: whoever holds them is asked for sums.

That is workers of `distributed`, or this process; what neither tells is asked by tasks.
"""

import math
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from dask.base import compute_as_if_collection
from dask.core import flatten
from dask.delayed import Delayed

from fastnat import _blocks, _chunked, _long, _observed, _workers
from fastnat._arrays import Array

_NAMES = ("upper", "left", "right", *_observed.BOUNDS, "noise_std", "weights", "clusters")

_SILENCE = 1.0  # seconds without tasks, after which a step goes by tasks, for 20 ms more


class Held(NamedTuple):
    """Where rows are."""

    make: Callable[..., _long.Rows]  # rows of the chunks of a part
    parts: list[list[Any]]  # the keys of the chunks that make each, in the order of the rows
    chunks: Mapping[Any, Any]  # by key: futures, or what is in this process
    workers: _workers.Workers | None  # who has them, if that is known


class Chunks:
    """Rows of one problem in chunks.

    Chunks of arrays that a worker holds are made rows of there, at each step anew, for that is
    taking views; all others by tasks, once, and the rows are kept where these have run.

    labels : of the dimensions along which there are observations.
    omit : whether rows with NaN are left out.
    """

    def __init__(
        self, sources: _chunked.Sources, labels: tuple[int, ...], omit: bool, n_threads: int | None
    ) -> None:
        self.n_threads, self.rooms = int(n_threads or 1), _long.Rooms()
        self.last_tasks = time.monotonic()
        held = _held_by_workers(sources, labels, omit) or _cut_by_tasks(sources, labels, omit)
        self.make, self.parts, self.chunks = held.make, held.parts, held.chunks
        # Who holds them, while all of these answer and no task may have moved any.
        self.workers = held.workers
        self.seen = [b""] * len(self.parts)
        # In this process threads share segments, which end more evenly than tasks do.
        threads = _chunked.threads_of_tasks()
        self.here = _rows_here(held) if threads else []
        if self.here:
            self.n_threads *= threads

    def ask(self, question: _long.Question) -> _long.Answer:
        """Ask all rows: where they lie, and in tasks of those that nobody has told of.

        Of workers all are asked in tasks now and then, or always if a step takes long: a scheduler
        that sees none takes its workers for idle, and may send them away.
        """
        if self.here:
            return _long.merge(_long.tell(self.here, question, self.n_threads, self.rooms))
        tell = _Tell(question, self.n_threads, self.make, self.rooms)
        told = dict[int, tuple[_long.Answer, bytes]]()
        self.workers = workers = self.workers or _workers.who_holds(self.parts, self.chunks)
        if time.monotonic() - self.last_tasks < _SILENCE:
            told |= workers.apply(tell, self.seen)
        left = [k for k in range(len(self.parts)) if k not in told]
        if left:
            groups = workers.for_tasks(left)
            tasks = [
                (tell, [self.seen[k] for k in group], [self.parts[k] for k in group])
                for group in groups
            ]
            for group, own in zip(groups, self._compute("tell", tasks), strict=True):
                told |= zip(group, own, strict=True)
        answers = [told[k] for k in range(len(self.parts))]
        self.seen = [seen for _, seen in answers]
        return _long.merge([answer for answer, _ in answers])

    def first(self, n: int) -> list[_long.Rows]:
        """The rows of the first chunks, brought here."""
        return self._compute("bring", [(self.make, *keys) for keys in self.parts[:n]])

    def _compute(self, what: str, tasks: list[Any]) -> list[Any]:
        name = f"{what}-{uuid.uuid4().hex}"
        graph = {(name, k): task for k, task in enumerate(tasks)}
        self.last_tasks, self.workers = time.monotonic(), None
        return list(compute_as_if_collection(Delayed, {**self.chunks, **graph}, list(graph)))


def _held_by_workers(sources: _chunked.Sources, labels: tuple[int, ...], omit: bool) -> Held | None:
    """Chunks as they lie on workers, if all do, and those of the same rows on one.

    Not with clusters, which would be sorted at each step.
    """
    client = _workers.client_of_tasks()
    if client is None or "clusters" in sources.arrays:
        return None
    futures = sources.at_hand(labels, _workers.future_type()).values()
    if not futures:
        return None
    chunks = {future.key: future for own in futures for future in own}
    parts = [[future.key for future in own] for own in futures]
    workers = _workers.who_holds(parts, chunks)
    if workers.client is not client or workers.n_parts < len(parts):
        return None
    return Held(sources.by_name(_Cut(omit), labels), parts, chunks, workers)


def _cut_by_tasks(sources: _chunked.Sources, labels: tuple[int, ...], omit: bool) -> Held:
    rows = sources.blocks(_Cut(omit), labels, once=True).persist()
    parts = [[key] for key in flatten(rows.__dask_keys__())]
    return Held(_as_they_are, parts, rows.dask.layers[rows.name].mapping, None)


def _rows_here(held: Held) -> list[_long.Rows]:
    """Rows as tasks have left them in the graph; nothing if Dask should keep them otherwise."""
    rows = [held.chunks[key] for key, *_ in held.parts]
    return rows if all(isinstance(own, _long.Rows) for own in rows) else []


@dataclass(frozen=True)
class _Cut:
    """A chunk of each argument as rows."""

    omit: bool

    def __call__(self, given: dict[str, Any]) -> _long.Rows:
        main = given["y" if "y" in given else "x"]
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
        return _long.rows_of(tuple(columns), x, z, members, self.omit)


def _as_they_are(rows: _long.Rows) -> _long.Rows:
    return rows


@dataclass(frozen=True)
class _Tell:
    """What parts of the rows answer, and what has been seen of their segments."""

    question: _long.Question
    n_threads: int  # for each of Dask's
    make: Callable[..., _long.Rows]
    rooms: _long.Rooms

    def __call__(
        self,
        seen: list[bytes],
        parts: list[list[Any]],
        pool: Executor | None = None,
        n_threads: int = 1,
    ) -> list[tuple[_long.Answer, bytes]]:
        """Ask in one thread of Dask's, or so many of its pool; or in ours, if there can be more."""
        rows = [self.make(*chunks) for chunks in parts]
        for own, known in zip(rows, seen, strict=True):
            if known:
                own.seen[:] = known
        ours = min(n_threads * self.n_threads, _blocks.cpu_count())
        if ours > n_threads:
            n_threads, pool = ours, None
        told = _long.tell(rows, self.question, n_threads, self.rooms, pool)
        return [(answer, bytes(own.seen)) for answer, own in zip(told, rows, strict=True)]
