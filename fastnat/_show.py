"""How the command line shows estimates: a table whose points are below each other."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from fastnat import _files
from fastnat.normal import NormalFit
from fastnat.result import Status

_SHOWN = 20  # problems in a table, at most


def print_text(text: str) -> None:
    """Print what may hold other people's characters, whatever the terminal can show."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def print_fit(path: Path, fit: NormalFit, names: list[str] | None, skipped: list[str]) -> None:
    """Print a table of estimates, shortened in the middle, and what its statuses mean."""
    shape = np.shape(fit.mu)
    status = np.reshape(fit.status, -1)
    n_fits = status.size
    shown = list(range(n_fits))
    if n_fits > _SHOWN:
        shown = [*range(_SHOWN // 2), *range(n_fits - _SHOWN // 2, n_fits)]
    called = [_printable(label) for label in _files.labels(names, shape, shown)]
    mu, sigma = np.reshape(fit.mu, -1)[shown], np.reshape(fit.sigma, -1)[shown]
    errors = fit.stderr.reshape(-1, 2)[shown]
    rows = [["name" if names is not None else "index" * bool(shape), "n"]]
    rows[0] += ["mu", "+- se", "sigma", "+- se", "status"]
    for i, label in enumerate(called):
        numbers = (*_number(mu[i], errors[i, 0]), *_number(sigma[i], errors[i, 1]))
        n_obs = f"{np.reshape(fit.nobs, -1)[shown[i]]:.10g}"
        rows.append([label, n_obs, *numbers, Status(int(status[shown[i]])).name.lower()])
    lines = align(rows)
    if n_fits > _SHOWN:
        lines.insert(1 + _SHOWN // 2, "...")
    counts = f": {fit.message}" if shape else ""
    method = "restricted maximum likelihood" if fit.reml else "maximum likelihood"
    print_text(f"{path}, {method}{counts}\n\n" + "\n".join(lines) + "\n")
    for code in map(Status, np.unique(status).tolist()):
        message = code.message
        if code is Status.NAN_INPUT:
            message = "A value is missing or NaN; --nan-policy omit leaves such values out."
        if code is not Status.OK:
            print_text(f"{code.name.lower()}: {message}")
    if skipped:
        words = ", ".join(map(repr, skipped[:_SHOWN])) + ", ..." * (len(skipped) > _SHOWN)
        print_text(f"Skipped, no numbers: {words}")


def _printable(label: tuple[Any, ...]) -> str:
    """The label on one line, without control characters, and not too long."""
    text = ",".join(map(str, label))
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return text if len(text) <= 40 else text[:37] + "..."


def _number(value: float, error: float) -> tuple[str, str]:
    """Estimate and standard error, to the third digit of the latter."""
    if not (np.isfinite(value) and np.isfinite(error) and error > 0.0):
        return f"{value:.10g}", "" if np.isnan(error) else f"{error:.3g}"
    decimals = max(0, 2 - int(np.floor(np.log10(error))))
    if decimals <= 12 and max(abs(value), error) < 10.0 ** (15 - decimals):
        return f"{value:.{decimals}f}", f"{error:.{decimals}f}"
    return f"{value:.10g}", f"{error:.3g}"


def align(rows: list[list[str]]) -> list[str]:
    """Names and statuses to the left, numbers with their points below each other."""
    first, *middle, last = (list(column) for column in zip(*rows, strict=True))
    columns = [[cell.ljust(max(map(len, first))) for cell in first] if any(first) else []]
    for head, *cells in middle:
        fraction = [len(cell) - cell.find(".") if "." in cell else 0 for cell in cells]
        most = max(fraction, default=0)
        cells = [cell + " " * (most - n) for cell, n in zip(cells, fraction, strict=True)]
        width = max(map(len, [head, *cells]))
        columns.append([cell.rjust(width) for cell in [head, *cells]])
    columns.append(last)
    lines = zip(*filter(None, columns), strict=True)
    return ["  ".join(line).rstrip() for line in lines]
