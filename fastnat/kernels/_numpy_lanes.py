"""The NumPy side of `lanes`: eight lanes as an array of eight, and what both sides share."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

WIDTH = 8

Body = Callable[[Any, tuple[Any, ...], list[Any], tuple[bool, ...]], list[Any]]
TableBody = Callable[[Any, list[Any], Any, list[list[Any]]], list[Any]]


class Shape(NamedTuple):
    """So many rows of a matrix, so many others, what is summed of them, and in how many vectors."""

    body: Body
    own: int
    others: int
    unroll: int


@dataclass(frozen=True)
class Count:
    """A sum that counts the lanes of a mask."""

    mask: Any


class NumpyLanes:
    """The operations of a body on NumPy arrays of eight: the Python twin of `LlvmLanes`.

    ``fma`` rounds twice here, so compiled and uncompiled sums agree to rounding, and to the bit
    where every product is exact.
    """

    def constant(self, value: float) -> Any:
        return np.full(WIDTH, value)

    def add(self, a: Any, b: Any) -> Any:
        return a + b

    def sub(self, a: Any, b: Any) -> Any:
        return a - b

    def mul(self, a: Any, b: Any) -> Any:
        return a * b

    def div(self, a: Any, b: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):  # beyond the end of a row
            return a / b

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        return a * b + c

    def le(self, a: Any, b: Any) -> Any:
        return a <= b

    def lt(self, a: Any, b: Any) -> Any:
        return a < b

    def not_lt(self, a: Any, b: Any) -> Any:
        """Not a < b: true if one of them is NaN."""
        return ~(a < b)

    def both(self, a: Any, b: Any) -> Any:
        return a & b

    def select(self, mask: Any, a: Any, b: Any) -> Any:
        return np.where(mask, a, b)

    def count(self, total: Any, mask: Any) -> Any:
        return total + mask


def accumulate(lanes: Any, sums: list[Any], terms: list[Any]) -> list[Any]:
    """Add what a body returned to the running sums."""

    def add(total: Any, term: Any) -> Any:
        if isinstance(term, Count):
            return lanes.count(total, term.mask)
        if isinstance(term, tuple):
            return lanes.fma(*term, total)
        return lanes.add(total, term)

    return [add(total, term) for total, term in zip(sums, terms, strict=True)]


def halve(parts: list[Any], add: Callable[[Any, Any], Any]) -> Any:
    """Add neighbours until one is left."""
    while len(parts) > 1:
        parts = [add(parts[i], parts[i + 1]) for i in range(0, len(parts), 2)]
    return parts[0]


def order_of_vectors(n: int, unroll: int) -> Iterator[tuple[int, int, int]]:
    """(accumulator, first element, active lanes) of each vector of a row, in order."""
    main = n - n % (WIDTH * unroll)
    for k in range(0, n, WIDTH):
        yield (k // WIDTH % unroll if k < main else 0), k, min(WIDTH, n - k)
    if n == 0:
        yield 0, 0, 0


def padded(values: Any) -> Any:
    padded = np.zeros(WIDTH)
    padded[: len(values)] = values
    return padded


def add_lanes(vector: Any) -> Any:
    return halve(list(vector), np.add)


def sums_of_row(
    body: Body,
    arrays: Sequence[Any],
    constants: list[Any],
    flags: tuple[bool, ...],
    n: int,
    unroll: int,
) -> list[Any]:
    """What a body finds of the first n elements of arrays or None, in the order of machine code."""
    lanes = NumpyLanes()
    sums: list[list[Any]] = [[] for _ in range(unroll)]
    for u, k, active in order_of_vectors(n, unroll):
        values = tuple(None if a is None else padded(a[k : k + active]) for a in arrays)
        terms = body(lanes, values, constants, flags)
        sums[u] = sums[u] or [np.zeros(WIDTH) for _ in terms]
        new = accumulate(lanes, sums[u], terms)
        inside = np.arange(WIDTH) < active
        sums[u] = [np.where(inside, a, b) for a, b in zip(new, sums[u], strict=True)]
    parts = [own or [np.zeros(WIDTH)] * len(sums[0]) for own in sums]
    return [add_lanes(halve(list(part), np.add)) for part in zip(*parts, strict=True)]


def unroll_of(n_sums: int) -> int:
    """In how many vectors each sum is held.

    Eight or more in flight hide the latency of a multiply-add.
    """
    return 4 if n_sums < 4 else 2 if n_sums < 8 else 1


def sums_of_table(body: TableBody, d: int, weighted: bool) -> tuple[int, int]:
    """How many sums there are, and in how many vectors each is held."""
    zeros = [np.zeros(WIDTH)] * d
    n_sums = len(body(NumpyLanes(), zeros, zeros[0] if weighted else None, [zeros, zeros]))
    return n_sums, unroll_of(n_sums)
