"""Tables that come in pieces, and become arrays that may be larger than the memory."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnat._arrays import Array
from fastnat.kernels import grouping

PIECE = 1 << 20
"""Numbers of a table that are in memory at a time, about."""

_SMALL = 1 << 24  # bytes that are not worth a file


class Table(NamedTuple):
    """What a file of columns holds: names of k of them, their values (k, n), and what goes along.

    ``extras`` are columns (n,) by what they are to `fit_normal`, and ``groups`` are the names of
    its groups, if these are asked for.
    """

    names: list[str]
    values: Array
    extras: dict[str, Array]
    skipped: list[str]  # columns that are no numbers
    groups: list[str] | None


class Codes:
    """Names of groups as numbers, in the order in which they turn up."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def of(self, names: Iterable[str]) -> Array:
        codes = self._codes
        return np.array([codes.setdefault(name, len(codes)) for name in names], np.float64)

    def sorted(self) -> tuple[list[str], NDArray[np.int64]]:
        """All names in order, and the place of each code among them."""
        names = sorted(self._codes)
        places = np.empty(len(names), np.int64)
        places[[self._codes[name] for name in names]] = np.arange(len(names))
        return names, places


class _Piece(NamedTuple):
    """Some rows: (n,) of each column, by name or role."""

    columns: dict[str, Array]
    extras: dict[str, Array]
    rows: slice

    def groups(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The place of each row's group among all."""
        return np.asarray(places[self.extras["groups"].astype(np.int64)])


class Spool:
    """Columns of numbers in pieces, as many rows of each at a time, in a temporary file.

    It has no name, where the system can do that: nothing is left of it, however the process ends.

    roles : what goes along with the columns to fit, and is in every piece; `Codes` for "groups".
    """

    def __init__(self, roles: Iterable[str]) -> None:
        self._file = tempfile.SpooledTemporaryFile(_SMALL, prefix="fastnat-")  # noqa: SIM115
        self._roles = list(roles)
        self._pieces: list[tuple[list[str], int]] = []  # which columns, and how many rows

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, columns: Mapping[str, Array], extras: Mapping[str, Array]) -> None:
        """Add rows: (n,) of each column, by name or role."""
        arrays = [*(extras[role] for role in self._roles), *columns.values()]
        if not arrays:  # no column has been numbers so far
            return
        piece = np.stack(arrays)
        self._file.write(np.asarray(piece, np.float64).reshape(-1).data)
        self._pieces.append((list(columns), piece.shape[1]))

    def _read(self) -> Iterator[_Piece]:
        self._file.seek(0)
        start, n_roles = 0, len(self._roles)
        for names, n in self._pieces:
            piece = np.empty((n_roles + len(names), n))
            self._file.readinto(piece.reshape(-1).data)
            columns = dict(zip(names, piece[n_roles:], strict=True))
            extras = dict(zip(self._roles, piece[:n_roles], strict=True))
            yield _Piece(columns, extras, slice(start, start + n))
            start += n

    def table(self, names: Sequence[str], skipped: Sequence[str], codes: Codes) -> Table:
        """All rows of these columns; those of a group side by side, in their order."""
        roles = [role for role in self._roles if role != "groups"]
        whole = _new(len(names) + len(self._roles), sum(n for _, n in self._pieces))
        values, others = whole[: len(names)], whole[len(names) :]
        extras = dict(zip(roles, others, strict=False))
        groups = None
        if "groups" in self._roles:
            extras["groups"] = others[-1].view(np.int64)
            groups, places = codes.sorted()
            self._sort(names, values, extras, places)
        else:
            for piece in self._read():
                for name, row in zip(names, values, strict=True):
                    row[piece.rows] = piece.columns[name]
                for role, row in extras.items():
                    row[piece.rows] = piece.extras[role]
        return Table(list(names), values, extras, list(skipped), groups)

    def _sort(
        self,
        names: Sequence[str],
        values: Array,
        extras: Mapping[str, Array],
        places: NDArray[np.int64],
    ) -> None:
        """Write columns in the order of the groups, and the numbers of the groups."""
        counts = np.zeros(places.size, np.int64)
        for piece in self._read():
            counts += np.bincount(piece.groups(places), minlength=counts.size)
        ends = np.cumsum(counts)
        starts = ends - counts
        for piece in self._read():
            groups = piece.groups(places)
            rows = [(piece.columns[name], row) for name, row in zip(names, values, strict=True)]
            rows += [(piece.extras[k], row) for k, row in extras.items() if k != "groups"]
            for numbers, row in rows:
                following = starts.copy()
                grouping.collect(groups, numbers, following, row)
            starts = following
        sorted_groups = extras["groups"]
        for start in range(0, sorted_groups.size, PIECE):
            here = np.arange(start, min(start + PIECE, sorted_groups.size))
            sorted_groups[here] = np.searchsorted(ends, here, side="right")


def _new(k: int, n: int) -> Array:
    """Rows of numbers, mapped if they are many."""
    if 8 * k * n <= _SMALL:
        return np.empty((k, n))
    with tempfile.TemporaryFile(prefix="fastnat-") as file:
        if hasattr(os, "posix_fallocate"):  # to write to a map where there is no space is the end
            os.posix_fallocate(file.fileno(), 0, 8 * k * n)
        return np.memmap(file, np.float64, "r+", shape=(k, n))
