"""The files of the command line: samples in, estimates out, and a sentence if that cannot be."""

import csv
import errno
import io
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TextIO

import numpy as np

from fastnat._arrays import Array
from fastnat._spool import PIECE, Codes, Spool, Table
from fastnat.normal import NormalFit
from fastnat.result import Status

Report = Callable[[int, int], object]
"""Told (done, in all) of whatever is counted: for progress bars."""

_CHUNK = 512  # rows of text at a time: more would leave the cache, and be collected as garbage
_ROWS = 1 << 14  # rows written at a time
_MISSING = ("", "NA")  # and whatever float() reads as NaN
_INPUTS = (".csv", ".npy", ".npz", ".parquet")
_OUTPUTS = (".csv", ".npz")


class Refused(Exception):  # noqa: N818 (what happened to the command, not a defect)
    """What the command line cannot do, in one sentence, and its exit code: 2 for wrong usage."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code


def check_input(path: Path) -> str:
    """How to read a file, by its name; refuse one whose name does not say it."""
    kind = path.suffix.lower()
    if kind not in _INPUTS:
        known = f"{', '.join(_INPUTS[:-1])} or {_INPUTS[-1]}"
        raise Refused(f"{path}: the name of the input must end in {known}", 2)
    return kind


def check_output(path: Path, inputs: Sequence[Path]) -> None:
    """Refuse what could not be written, before anything is computed."""
    if path.suffix.lower() not in _OUTPUTS:
        raise Refused(f"{path}: the name of --out must end in {' or '.join(_OUTPUTS)}", 2)
    if not path.parent.is_dir():
        raise Refused(f"{path}: there is no directory {path.parent}")
    if path.is_dir():
        raise Refused(f"{path}: is a directory")
    if path.exists() and any(given.exists() and path.samefile(given) for given in inputs):
        raise Refused(f"{path}: --out would replace the input", 2)


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Whatever goes wrong in a library that reads a file becomes one sentence.

    Of a broken file it may be anything: `struct.error`, `zlib.error`, `tokenize.TokenError`,
    NotImplementedError, MemoryError where a header claims too much, OSError without a number.
    """
    try:
        yield
    except Refused:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # of the disk, not of what is on it
        reason = (str(error).strip() or type(error).__name__).partition("\n")[0].rstrip(".")
        reason = reason if len(reason) <= 120 else f"{reason[:117]}..."
        raise Refused(f"{path}: not {what} that can be read ({reason})") from error


def read_csv(
    file: IO[bytes],
    label: str,
    columns: Sequence[str] | None,
    roles: Mapping[str, str],
    report: Report,
) -> Table:
    """Read columns of numbers, a piece at a time.

    Parameters
    ----------
    file : open binary file
    label : what messages call it
    columns : names of the columns to read, in this order; None for all that hold numbers
    roles : names of other columns, by what they are to `fit_normal`: "weights", "groups", ...
    report : called with (bytes read, bytes in all) now and then
    """
    size = 0
    if file.seekable():
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
    text, codes = io.TextIOWrapper(file, encoding="utf-8-sig", newline=""), Codes()
    # np.loadtxt would need a second path for missing cells and text, with other rules, and is
    # only 1.6 times as fast (and slower as soon as some of the columns will do).
    try:
        with Spool(roles) as spool:
            chunks = _chunks(text, label)
            names = next(chunks)[0][0]
            places = dict(zip(names, range(len(names)), strict=True))
            readers = [
                _Column(label, name, places[name], columns is not None)
                for name in select_names(names, label, columns, roles)
            ]
            extras = {role: _extra(names, label, role, name, codes) for role, name in roles.items()}
            every = max(1, PIECE // (_CHUNK * (len(readers) + len(extras))))
            for i, (rows, lines) in enumerate(chunks):
                cells = list(zip(*rows, strict=True))
                for reader in (*readers, *extras.values()):
                    reader.add(cells[reader.position], lines)
                if not i % every:
                    _flush(readers, extras, spool)
                    report(file.tell() if size else 0, size)
            _flush(readers, extras, spool)
            used = [reader.name for reader in readers if reader.bad is None]
            if not used:
                raise Refused(f"{label}: there is no column of numbers to fit")
            skipped = [reader.name for reader in readers if reader.bad is not None]
            return spool.table(used, skipped, codes)
    except UnicodeDecodeError as error:
        raise Refused(f"{label}: is not UTF-8 text ({error.reason})") from error
    finally:
        text.detach()  # the file is the caller's to close


def _flush(
    readers: Sequence["_Column"], extras: Mapping[str, "_Column | _Labels"], spool: Spool
) -> None:
    """Put away what has been read of columns that are numbers so far."""
    columns = {reader.name: reader.take() for reader in readers if reader.bad is None}
    spool.add(columns, {role: reader.take() for role, reader in extras.items()})


def _chunks(text: TextIO, label: str) -> Iterator[tuple[list[list[str]], list[int]]]:
    """First the names of the columns, as the only row; then rows and the lines they end on.

    A first row of nothing but numbers and missing cells is no header.  Blank lines are skipped.
    """
    reader = csv.reader(text, strict=True, skipinitialspace=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    width = -1  # not known
    try:
        for row in reader:
            if len(row) != width:
                if not row or (len(row) == 1 and not row[0].strip()):
                    continue
                if width > 0:
                    raise _unlike(label, reader.line_num, len(row), width)
                width = len(row)
                header = any(_number(cell) is None for cell in row)
                yield [_names(row if header else [""] * width)], [reader.line_num]
                if header:
                    continue
            rows.append(row)
            lines.append(reader.line_num)
            if len(rows) == _CHUNK:
                yield rows, lines
                rows, lines = [], []
    except csv.Error as error:
        raise Refused(f"{label}, line {reader.line_num}: {error}") from error
    if width < 0:
        raise Refused(f"{label}: is empty")
    if rows:
        yield rows, lines


def _names(header: list[str]) -> list[str]:
    return [cell.strip() or f"column_{i + 1}" for i, cell in enumerate(header)]


def _unlike(label: str, line: int, found: int, width: int) -> Refused:
    cells = "1 cell" if found == 1 else f"{found} cells"
    return Refused(f"{label}, line {line}: {cells}, but the first row has {width}")


def select_names(
    names: list[str], label: str, columns: Sequence[str] | None, roles: Mapping[str, str]
) -> list[str]:
    """The columns to fit; all that are named have to be there, once."""
    taken = set(roles.values())
    wanted = [name for name in names if name not in taken] if columns is None else columns
    for role, name in roles.items():
        if name in wanted:
            what = _WORDS[role]
            raise Refused(f"{label}: column {name!r} holds {what} and cannot be fitted too", 2)
    counts = Counter(names)
    for name in (*wanted, *roles.values()):
        if not counts[name]:
            raise Refused(f"{label}: there is no column {name!r}; there are {listed(names)}")
        if counts[name] > 1:
            raise Refused(f"{label}: {counts[name]} columns are named {_shorten(name)}")
    return list(dict.fromkeys(wanted))


_WORDS = {
    "weights": "the weights",
    "upper": "the upper ends",
    "left": "the limits",
    "right": "the limits",
    "noise_std": "the noise",
    "groups": "the groups",
}


def _extra(names: list[str], label: str, role: str, name: str, codes: Codes) -> "_Column | _Labels":
    position = names.index(name)
    if role == "groups":
        return _Labels(label, name, position, codes)
    return _Column(label, name, position, True, weights=role == "weights")


def listed(names: Sequence[str]) -> str:
    """The first names, for messages."""
    return ", ".join(map(_shorten, names[:10])) + ", ..." * (len(names) > 10)


class _Reader:
    """One column while it is read."""

    __slots__ = ("label", "name", "parts", "position")

    def __init__(self, label: str, name: str, position: int) -> None:
        self.label = label
        self.name = name
        self.position = position
        self.parts: list[Array] = []

    def take(self) -> Array:
        """The numbers that have been added since the last time."""
        numbers = np.concatenate([np.empty(0), *self.parts])
        self.parts.clear()
        return numbers


class _Column(_Reader):
    """One of numbers."""

    __slots__ = ("bad", "numeric", "required", "weights")

    def __init__(
        self, label: str, name: str, position: int, required: bool, weights: bool = False
    ) -> None:
        super().__init__(label, name, position)
        self.required = required  # asked for, so that text is an error
        self.weights = weights
        self.numeric = False  # there has been a number
        self.bad: tuple[int, str] | None = None  # line and text of the first bad cell

    def add(self, cells: Sequence[str], lines: list[int]) -> None:
        part = _floats(cells)
        if part is None:
            part = self._mixed(cells, lines)
        self.numeric = self.numeric or not np.isnan(part).all()
        if self.bad is not None:
            if self.required or self.numeric:
                line, cell = self.bad
                hint = "a missing cell is empty, NA or nan"
                if cell.lstrip()[:1] in ("<", ">"):
                    hint = "for one beyond a limit write the limit, and use --left or --right"
                raise self._refused(line, f"{_shorten(cell)} is not a number ({hint})")
            return
        if self.weights:
            wrong = ~(np.isfinite(part) & (part >= 0.0))
            if wrong.any():
                i = int(np.argmax(wrong))
                raise self._refused(
                    lines[i], f"a weight must be finite and not negative, not {part[i]:g}"
                )
        self.parts.append(part)

    def _mixed(self, cells: Sequence[str], lines: list[int]) -> Array:
        """The slow way, for cells that are not all numbers."""
        known = {cell: _number(cell) for cell in set(cells)}
        if self.bad is None and None in known.values():
            i = next(i for i, cell in enumerate(cells) if known[cell] is None)
            self.bad = lines[i], cells[i]
        return np.array([known[cell] for cell in cells], np.float64)  # None becomes NaN

    def _refused(self, line: int, what: str) -> Refused:
        return Refused(f"{self.label}, line {line}, column {_shorten(self.name)}: {what}")


class _Labels(_Reader):
    """One of names, numbers among them."""

    __slots__ = ("codes",)

    def __init__(self, label: str, name: str, position: int, codes: Codes) -> None:
        super().__init__(label, name, position)
        self.codes = codes

    def add(self, cells: Sequence[str], lines: list[int]) -> None:
        cells = [cell.strip() for cell in cells]
        if "" in cells:
            place = f"line {lines[cells.index('')]}, column {_shorten(self.name)}"
            raise Refused(f"{self.label}, {place}: a group has no name")
        self.parts.append(self.codes.of(cells))


def _floats(cells: Sequence[str]) -> Array | None:
    """The numbers in the cells; None if one of them is something else."""
    try:
        numbers = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None
    # float() takes 1_000, which nobody means in a table.
    return None if "_" in "".join(cells) else numbers


def _number(cell: str) -> float | None:
    """The number in the cell, NaN if it is missing, None if it is something else."""
    cell = cell.strip()
    if cell in _MISSING:
        return np.nan
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _shorten(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else cell[:37] + "...")


def labels(
    names: list[str] | None, shape: tuple[int, ...], rows: Sequence[int]
) -> list[tuple[Any, ...]]:
    """What problems are called: the names of the columns, or the indices in the batch."""
    if names is not None:
        return [(names[i],) for i in rows]
    if not shape:
        return [()] * len(rows)
    indices = np.unravel_index(np.asarray(rows, np.intp), shape)
    return list(zip(*(i.tolist() for i in indices), strict=True))


def write_fit(path: Path, fit: NormalFit, names: list[str] | None, report: Report) -> None:
    """Write all estimates; whatever goes wrong, ``path`` is whole or as it was before."""
    target = path.resolve()  # renaming would replace a link, not what it points to
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        if path.suffix.lower() == ".npz":
            with temporary.open("xb") as binary:
                _write_npz(binary, fit, names)
        else:
            with temporary.open("x", encoding="utf-8", newline="") as text:
                _write_csv(text, fit, names, report)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write_npz(file: IO[bytes], fit: NormalFit, names: list[str] | None) -> None:
    arrays = {key: getattr(fit, key) for key in ("mu", "sigma", "stderr", "loglik", "nobs")}
    arrays["status"] = np.asarray(fit.status, np.int8)
    if names is not None:
        arrays["names"] = np.array(names)
    np.savez(file, **arrays)


def _write_csv(file: TextIO, fit: NormalFit, names: list[str] | None, report: Report) -> None:
    shape = np.shape(fit.mu)
    errors = fit.stderr.reshape(-1, 2).T
    estimates = [fit.nobs, fit.mu, errors[0], fit.sigma, errors[1], fit.loglik]
    columns = [np.reshape(column, -1) for column in estimates]
    status = np.reshape(fit.status, -1)
    words = {int(code): code.name.lower() for code in Status}
    writer = csv.writer(file, lineterminator="\n")
    head = ["name"] if names is not None else [f"index_{k}" for k in range(len(shape))]
    writer.writerow([*head, "n", "mu", "se_mu", "sigma", "se_sigma", "loglik", "status"])
    for start in range(0, status.size, _ROWS):
        stop = min(start + _ROWS, status.size)
        nobs, *rest = (column[start:stop].tolist() for column in columns)
        counts = [repr(n).removesuffix(".0") for n in nobs]
        outcomes = [words[code] for code in status[start:stop].tolist()]
        called = labels(names, shape, range(start, stop))
        for label, *values in zip(called, counts, *rest, outcomes, strict=True):
            writer.writerow([*label, *values])
        report(stop, status.size)
