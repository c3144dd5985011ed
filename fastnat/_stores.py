"""Files of arrays and columns that need not fit into memory: .npz archives and .parquet tables."""

import shutil
import struct
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastnat._files import Array, Refused, check_size, listed, reading, select_names

_ROWS = 1 << 20  # of a table, read at a time, if so few numbers
_NUMBERS = 1 << 22  # read at a time
_COPIED = 1 << 20  # bytes of a compressed array at a time
_LOCAL_HEADER = 30  # bytes of the fixed part of a zip file's local header
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npz(path: Path, names: Sequence[str]) -> list[Array]:
    """Arrays of these names, mapped into memory; if compressed, from a temporary file.

    names : no name at all is that of the only array.
    """
    with reading(path, "arrays"), np.errstate(over="raise"), zipfile.ZipFile(path) as archive:
        known = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
        if not known:
            raise Refused(f"{path}: there is no array in the archive")
        if not names and len(known) != 1:
            raise Refused(f"{path}: --columns must name one of the arrays, {listed(known)}", 2)
        return [check_size(_read_member(path, archive, name, known)) for name in names or known]


def _read_member(path: Path, archive: zipfile.ZipFile, name: str, known: Sequence[str]) -> Array:
    if name not in known:
        raise Refused(f"{path}: there is no array {name!r}; there are {listed(known)}")
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type == zipfile.ZIP_STORED:
        with path.open("rb") as file:
            file.seek(info.header_offset + _LOCAL_HEADER - 4)
            end = file.seek(sum(struct.unpack("<HH", file.read(4))), 1) + info.file_size
            mapped = _map(file)
        if mapped is not None:
            if mapped.offset + mapped.nbytes > end:
                raise ValueError(f"the header of {name!r} claims more than there is")
            return mapped
    with archive.open(info) as packed, tempfile.TemporaryFile(prefix="fastnat-") as file:
        shutil.copyfileobj(packed, file, _COPIED)  # which checks its sum as well
        file.seek(0)
        mapped = _map(file)
        if mapped is not None:
            return mapped
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)


def _map(file: Any) -> "np.memmap[Any, Any] | None":
    """The array that begins here, mapped; None if it is of a kind that must be read."""
    read_header = _HEADERS.get(np.lib.format.read_magic(file))
    if read_header is None:
        return None
    shape, fortran, dtype = read_header(file)
    if dtype.hasobject or 0 in shape:
        return None
    order: Any = "F" if fortran else "C"
    return np.memmap(file, dtype, "r", file.tell(), shape, order)


class Chunk(NamedTuple):
    """Rows ``done - n`` to ``done`` of columns (k, n), and what goes with them, (n,) each."""

    values: Array
    extras: dict[str, Array]
    done: int


class Parquet:
    """Columns of a .parquet file, read in chunks of rows.

    columns, roles : as of `fastnat._files.read_csv`.
    """

    def __init__(self, path: Path, columns: Sequence[str] | None, roles: Mapping[str, str]) -> None:
        try:
            from pyarrow import parquet
        except ImportError as error:
            raise Refused(
                f"{path}: a .parquet file needs pyarrow: pip install 'fastnat[parquet]'"
            ) from error
        self.path, self.roles = path, roles
        path.open("rb").close()  # whose errors are those of other files
        with self._reading():
            self.file = parquet.ParquetFile(path)
            schema = self.file.schema_arrow
            fields = dict(zip(schema.names, schema.types, strict=True))
        wanted = select_names(schema.names, str(path), columns, roles)
        numeric = [name for name in wanted if _is_numeric(fields[name])]
        others = [name for role, name in roles.items() if role != "groups"]
        for name in [*(wanted if columns is not None else []), *others]:
            if not _is_numeric(fields[name]):
                raise Refused(f"{path}: column {name!r} holds {fields[name]}, not numbers")
        if not numeric:
            raise Refused(f"{path}: there is no column of numbers to fit")
        self.names = numeric
        self.skipped = [name for name in wanted if name not in numeric]
        self.n_rows: int = self.file.metadata.num_rows

    def _reading(self) -> AbstractContextManager[None]:
        return reading(self.path, "a table")

    def groups(self) -> Array:
        """The names of all groups, in order."""
        found: set[str] = set()
        with self._reading():
            for batch in self._batches(_ROWS, [self.roles["groups"]]):
                found.update(np.unique(self._extra(batch, "groups")).tolist())
        return np.array(sorted(found), dtype=str)

    def chunks(self) -> Iterator[Chunk]:
        """All rows, in order."""
        columns = list(dict.fromkeys([*self.names, *self.roles.values()]))
        batches = self._batches(max(1, min(_ROWS, _NUMBERS // len(columns))), columns)
        done = 0
        while True:
            with self._reading():  # what is done with a chunk elsewhere is not meant
                batch = next(batches, None)
                if batch is None:
                    return
                done += batch.num_rows
                values = np.stack([_numbers(batch.column(name)) for name in self.names])
                extras = {role: self._extra(batch, role) for role in self.roles}
            yield Chunk(values, extras, done)

    def _batches(self, size: int, columns: list[str]) -> Iterator[Any]:
        """One row group after the other: pyarrow keeps what it has read of those asked for."""
        for group in range(self.file.num_row_groups):
            yield from self.file.iter_batches(size, row_groups=[group], columns=columns)

    def _extra(self, batch: Any, role: str) -> Array:
        column = batch.column(self.roles[role])
        if role != "groups":
            return _numbers(column)
        if column.null_count:
            raise Refused(f"{self.path}, column {self.roles[role]!r}: a group has no name")
        return np.array([str(name) for name in column.to_pylist()], dtype=str)

    def read(self) -> tuple[Array, dict[str, Array]]:
        """All rows at once."""
        chunks = list(self.chunks())
        empty = np.empty((len(self.names), 0))
        values = np.concatenate([empty, *(chunk.values for chunk in chunks)], axis=1)
        extras = {
            role: np.concatenate([chunk.extras[role] for chunk in chunks] or [np.empty(0)])
            for role in self.roles
        }
        return values, extras


def _is_numeric(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind))


def _numbers(column: Any) -> Array:
    """A column as floats, NaN where there is none."""
    with np.errstate(invalid="ignore"):  # of NaN that trap
        return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
