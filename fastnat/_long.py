"""One long problem, whose rows are in blocks: a search asks for sums, and the rows tell them.

All rows may be in one place, or some here and some elsewhere: whoever has rows answers for them,
and answers are merged in the order of the rows.  So the sums have the same bits whoever adds them
up, on however many threads or machines.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import numpy as np

from fastnat import _blocks
from fastnat._arrays import Array, check_weights
from fastnat.kernels import codes, linear, linear_long, linear_memory, linear_outcome
from fastnat.kernels import linear_values as values

_SEGMENT = 1 << 14  # rows that are added up by themselves, whoever does it
# How many bytes could be read while a row is looked at, about, beside a quarter for each product.
_KNOWN_WORK, _OTHER_WORK = 400, 3600
NO_MATRIX = np.empty((0, 0))
"""A matrix that is not given, as kernels take it."""


class Question(NamedTuple):
    """What the search wants to know of all rows (`kernels.linear_values`), and where."""

    request: int
    theta: Array
    memory: Any

    def __reduce__(self) -> tuple[Any, ...]:
        """Without what only the search needs, which is most of it."""
        read = [self.memory[k] for k in linear_memory.READ]
        return _question_of, (self.request, self.theta, read)


@cache
def _no_memory() -> tuple[Array, ...]:
    """An empty array in place of each, of the type that kernels read."""
    return tuple(array[:0] for array in linear_memory.new_memory(1, 1))


def _question_of(request: int, theta: Array, read: list[Array]) -> Question:
    """A question that was sent."""
    memory = [*_no_memory()]
    for k, array in zip(linear_memory.READ, read, strict=True):
        memory[k] = array
    return Question(request, theta, tuple(memory))


class Answer(NamedTuple):
    """What some rows say."""

    told: Array
    members: Array  # the codes of their clusters, if these are asked for
    scores: Array  # of each
    status: int
    total: float  # weight


class Rooms:
    """Arrays that threads work in, one after the other: what is freed may go far.

    Of one problem: what it does not have, like weights, is filled in once.  Workers of distributed
    give free memory back to the system, which clears each page anew: 6000 of them in a fit.
    """

    def __init__(self) -> None:
        self._empty = defaultdict[Any, SimpleQueue[Any]](SimpleQueue)

    @contextmanager
    def lend(self, new: Callable[..., Any], *sizes: int) -> Iterator[Any]:
        """What ``new`` makes of these sizes, as somebody has left it."""
        empty = self._empty[new, sizes]
        try:
            room = empty.get_nowait()
        except Empty:
            room = new(*sizes)
        yield room
        empty.put(room)

    def __reduce__(self) -> tuple[Any, ...]:
        return Rooms, ()  # all are left behind


def _new_sums(n: int, size: int) -> Array:
    return np.empty((n, size))


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one problem that are in one place.

    Not a tuple, of which Dask makes a new one for each task, which knows no more what it has seen.
    """

    columns: tuple[Array | None, ...]  # (n,) as in `Samples`; clusters are numbered
    x: Array  # (n, p)
    z: Array | None
    members: Array  # the codes of the clusters that have these numbers
    omit: bool
    seen: list[int]  # what the rows of each segment are, as `linear_long.look` says, or UNSEEN

    def read(self, part: slice) -> tuple[tuple[Array, ...], Array, Array]:
        """(columns, X, Z) as kernels read them."""
        columns = (
            None if c is None else _blocks.flat(c[part], float32=False) for c in self.columns
        )
        given = tuple(map(_blocks.or_nothing, columns))
        return given, _flat(self.x, part), _flat(self.z, part)

    def work(self, k: int) -> int:
        """What is done with a row, as bytes that could be read meanwhile."""
        known = all(column is None for column in self.columns[1:7])
        return (_KNOWN_WORK if known else _OTHER_WORK) + k * k // 4

    def is_direct(self) -> bool:
        """Whether kernels read everything where it is, so that parts need not be made."""
        given = [array for array in (*self.columns, self.x, self.z) if array is not None]
        return all(_blocks.readable(array, float32=False) for array in given)

    def segments_of_a_task(
        self, k: int, n: int, n_threads: int | None, pool: Executor | None
    ) -> int:
        """Several if kernels read matrices where they are, for what is copied is to be little.

        n : all rows that threads share.
        n_threads, pool : as of `_blocks.run`.
        """
        matrices = [self.x] if self.z is None else [self.x, self.z]
        if not all(_blocks.readable(matrix, float32=False) for matrix in matrices):
            return 1
        row = sum(matrix.shape[1] for matrix in matrices) * self.x.itemsize
        rows = min(
            _blocks.direct_bytes(row * n, n_threads, pool) // row,
            _blocks.LONG_BYTES // self.work(k),
        )
        return max(1, int(rows) // _SEGMENT)

    def look(self, own: slice, skip: int, columns: tuple[Array, ...], x: Array, z: Array) -> None:
        """Look at the segments of a task, if nobody has; they come after ``skip`` others."""
        for k, i in enumerate(range(own.start, own.stop)):
            if self.seen[i] == linear_long.UNSEEN:
                first = (skip + k) * _SEGMENT
                last = min(first + _SEGMENT, len(x))
                self.seen[i] = int(linear_long.look(columns, x, z, first, last))


def rows_of(
    columns: tuple[Array | None, ...], x: Array, z: Array | None, members: Array, omit: bool
) -> Rows:
    """Rows at which nobody has looked."""
    seen = [linear_long.UNSEEN] * max(1, -(-len(x) // _SEGMENT))
    return Rows(columns, x, z, members, omit, seen)


class _Segments:
    """What is told by the segments of some rows, one by one.

    sums : (n_segments, ...), where it goes.
    """

    def __init__(self, rows: Rows, question: Question, sums: Array) -> None:
        self.rows, self.question, self.sums = rows, question, sums
        n, clustered = len(rows.seen), question.request == values.CLUSTERS
        self.members = rows.members[: None if clustered else 0]
        self.scores = np.zeros((n, self.members.size, question.theta.size))
        self.found = np.empty((n, 2))
        self.whole = rows.read(slice(None)) if rows.is_direct() else None

    def tell(self, segments: slice, rooms: Rooms) -> None:
        """Let these segments tell what they know."""
        rows, part = self.rows, slice(segments.start * _SEGMENT, segments.stop * _SEGMENT)
        read, skip = (self.whole, segments.start) if self.whole else (rows.read(part), 0)
        rows.look(segments, skip, *read)
        p, q = read[1].shape[1], self.question.theta.size - read[1].shape[1]
        with rooms.lend(linear_long.new_room, p, q, read[2].shape[1]) as room:
            how = rows.omit, np.array(rows.seen[segments]), skip, _SEGMENT, room
            outs = self.sums[segments], self.scores[segments], self.found[segments]
            linear_long.tell(*self.question, *read, *how, *outs)

    def answer(self) -> Answer:
        """What all have told, added up in their order."""
        sums = np.sum(self.sums, axis=0), self.members, np.sum(self.scores, axis=0)
        return Answer(*sums, *_survey((code, total) for code, total in self.found.tolist()))


def tell(
    parts: Sequence[Rows],
    question: Question,
    n_threads: int | None,
    rooms: Rooms,
    pool: Executor | None = None,
) -> list[Answer]:
    """The answer of each of these parts, whose segments threads share as they finish them.

    But of clusters only as many parts at a time as there are threads, for scores by segment may be
    large.

    n_threads, pool : as of `_blocks.run`.
    """
    n = n_threads or 1 if question.request == values.CLUSTERS else len(parts)
    groups = (parts[k : k + n] for k in range(0, len(parts), n))
    told = (_tell_together(group, question, n_threads, rooms, pool) for group in groups)
    return [answer for group in told for answer in group]


def _tell_together(
    parts: Sequence[Rows],
    question: Question,
    n_threads: int | None,
    rooms: Rooms,
    pool: Executor | None,
) -> list[Answer]:
    p, k, n = parts[0].x.shape[1], question.theta.size, sum(len(rows.x) for rows in parts)
    ends = np.cumsum([0, *(len(rows.seen) for rows in parts)])
    with rooms.lend(_new_sums, int(ends[-1]), values.told_size(p, k - p)) as sums:
        sums[:] = 0.0
        asked = [
            _Segments(rows, question, sums[first:last])
            for rows, first, last in zip(parts, ends[:-1], ends[1:], strict=True)
        ]
        tasks = list[tuple[_Segments, slice]]()
        for part in asked:
            last, each = len(part.rows.seen), part.rows.segments_of_a_task(k, n, n_threads, pool)
            tasks += [(part, slice(i, min(last, i + each))) for i in range(0, last, each)]

        def work(i: int) -> None:
            part, segments = tasks[i]
            part.tell(segments, rooms)

        n_bytes = sum(len(rows.x) * rows.work(k) for rows in parts)
        _blocks.run(work, len(tasks), n_threads, n_bytes, pool)
        return [part.answer() for part in asked]


def _flat(matrix: Array | None, part: slice) -> Array:
    if matrix is None:
        return NO_MATRIX
    return _blocks.flat(matrix[part], float32=False).reshape(-1, matrix.shape[-1])


def _survey(found: Iterable[tuple[float, float]]) -> tuple[int, float]:
    """(status, total weight) of rows with such parts."""
    status, total = codes.NO_DATA, 0.0
    for code, weight in found:
        status, total = int(linear.worse(status, int(code))), total + weight
    return status, total


def merge(answers: Sequence[Answer]) -> Answer:
    """The answer of all rows, added up in their order."""
    told = np.sum([answer.told for answer in answers], axis=0)
    members = np.unique(np.concatenate([answer.members for answer in answers]))
    scores = np.zeros((members.size, answers[0].scores.shape[1]))
    for answer in answers:
        scores[np.searchsorted(members, answer.members)] += answer.scores
    return Answer(told, members, scores, *_survey([(a.status, a.total) for a in answers]))


class Search(NamedTuple):
    """What is searched for; ``numbers``: what `linear_memory.prepare` calls options."""

    p: int
    q: int
    numbers: tuple[Any, ...]
    lost: float  # degrees of freedom that restricted likelihood takes
    start: Array

    def run(self, ask: Callable[[Question], Answer], sure: bool, out: tuple[Array, ...]) -> None:
        """Ask all rows until the search is done.

        ask : gives the merged answer of all rows.
        sure : whether a maximum is known to exist.
        out : a row of each array of `_linear.Found`.
        """
        memory, theta = linear_memory.new_memory(self.p, self.q), np.empty(self.p + self.q)
        memory[linear_memory.START][:] = self.start
        request = linear_long.begin(memory, theta, self.numbers, sure, self.lost)
        while request != values.DONE:
            told, _, scores, status, total = ask(Question(request, theta, memory))
            check_weights(status < 0)
            if status != codes.OK:
                linear_outcome.give_up(status, total, *out)
                return
            if request == values.CLUSTERS:
                linear.fold_clusters(scores, self.p, self.q, told)
            request = linear_long.proceed(memory, told, theta)
        linear_long.finish(memory, theta, *out)
