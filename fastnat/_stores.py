"""Files that need not fit into memory: .npy arrays, .npz archives and .parquet tables."""

import math
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastnat._arrays import Array
from fastnat._files import Refused, Report, listed, reading, select_names
from fastnat._spool import PIECE, Codes, Spool, Table

_NOTHING = 1 << 24  # problems of an array without a value, at most
_COPIED = 1 << 20  # bytes of a compressed array at a time
_LOCAL_HEADER = 30  # bytes of the fixed part of a zip file's local header
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npy(path: Path) -> Array:
    """The array in the file, mapped into memory; pickled objects are never loaded."""
    with reading(path, "an array"), np.errstate(over="raise"):  # of sizes that a header claims
        # Unlike np.load, this takes .npy files only, and never a zip archive or a pickle.
        return _checked(np.lib.format.open_memmap(path, mode="r"))


def _checked(array: Array) -> Array:
    """Refuse what is nothing, but would be a result of gigabytes."""
    if 0 in array.shape and math.prod(filter(None, array.shape)) > _NOTHING:
        raise ValueError(f"nothing in an array of shape {array.shape}")
    return array


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
        return [_checked(_read_member(path, archive, name, known)) for name in names or known]


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


def read_parquet(
    path: Path, columns: Sequence[str] | None, roles: Mapping[str, str], report: Report
) -> Table:
    """Read columns of numbers, a piece at a time; the arguments are those of `read_csv`."""
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise Refused(
            f"{path}: a .parquet file needs pyarrow: pip install 'fastnat[parquet]'"
        ) from error
    path.open("rb").close()  # whose errors are those of other files
    with reading(path, "a table"):
        file = parquet.ParquetFile(path)
        numeric, skipped = _select(file, path, columns, roles)
        names = list(dict.fromkeys([*numeric, *roles.values()]))
        size, codes, done = max(1, PIECE // len(names)), Codes(), 0
        with Spool(roles) as spool:
            # One row group after the other: pyarrow keeps what it has read of those asked for.
            for group in range(file.num_row_groups):
                for batch in file.iter_batches(size, row_groups=[group], columns=names):
                    extras = {k: _extra(path, batch, k, name, codes) for k, name in roles.items()}
                    spool.add({name: _numbers(batch.column(name)) for name in numeric}, extras)
                    done += batch.num_rows
                    report(done, file.metadata.num_rows)
            return spool.table(numeric, skipped, codes)


def _select(
    file: Any, path: Path, columns: Sequence[str] | None, roles: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """The columns to fit, and those that are no numbers."""
    schema = file.schema_arrow
    fields = dict(zip(schema.names, schema.types, strict=True))
    wanted = select_names(schema.names, str(path), columns, roles)
    numeric = [name for name in wanted if _is_numeric(fields[name])]
    skipped = [name for name in wanted if not _is_numeric(fields[name])]
    others = [name for role, name in roles.items() if role != "groups"]
    for name in [*(wanted if columns is not None else []), *others]:
        if not _is_numeric(fields[name]):
            raise Refused(f"{path}: column {name!r} holds {fields[name]}, not numbers")
    if not numeric:
        raise Refused(f"{path}: there is no column of numbers to fit")
    return numeric, skipped


def _extra(path: Path, batch: Any, role: str, name: str, codes: Codes) -> Array:
    column = batch.column(name)
    if role != "groups":
        return _numbers(column)
    if column.null_count:
        raise Refused(f"{path}, column {name!r}: a group has no name")
    if _is_nested(column.type):  # which has no codes
        return codes.of(map(str, column.to_pylist()))
    encoded = column.dictionary_encode()
    used, places = np.unique(encoded.indices.to_numpy(zero_copy_only=False), return_inverse=True)
    known = encoded.dictionary.to_pylist()  # which may have names that no row has
    return np.asarray(codes.of(str(known[i]) for i in used.tolist())[places])


def _is_numeric(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _is_nested(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_nested(kind))


def _numbers(column: Any) -> Array:
    """A column as floats, NaN where there is none."""
    from pyarrow import types

    if types.is_decimal(column.type):
        column = column.cast("float64")
    with np.errstate(invalid="ignore"):  # of NaN that trap
        return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
