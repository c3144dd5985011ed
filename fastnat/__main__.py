"""The command line: `python -m fastnat fit FILE` and `python -m fastnat demo`."""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

import fastnat
from fastnat import _blocks, _files
from fastnat._arrays import NanPolicy
from fastnat.normal import NormalFit, fit_normal
from fastnat.result import ConfIntMethod, Status

Array = NDArray[Any]

_PROGRESS_AFTER = 1.0  # seconds
_SHOWN = 20  # problems in a table, at most
_CERTIFIED_MEAN, _CERTIFIED_SD = "299.852400000000", "0.0790105478190518"

_ABOUT = """\
Maximum-likelihood fits of normal distributions: a million small samples, or
one huge one."""

_EXAMPLES = """\
examples:
  python -m fastnat demo
  python -m fastnat fit lengths.csv
  python -m fastnat fit --help
"""

_FIT_ABOUT = """\
Fit a normal distribution to each column of a .csv file, or along an axis of a
.npy file, and print estimates +- standard errors.  Maximum likelihood: mu is
the mean, sigma the standard deviation with divisor n (n - 1 with --reml)."""

_FIT_EXAMPLES = """\
Limits, intervals, truncation and known noise are what they are to
fastnat.fit_normal; its documentation says which of them go together.

A .csv file is UTF-8 text, its cells separated by commas.  Columns of text and
blank lines are skipped.  A missing cell is empty, NA or nan.  If the first row
holds nothing but numbers, columns are called column_1, column_2 and so on.

examples:
  python -m fastnat fit lengths.csv --nan-policy omit
  python -m fastnat fit lengths.csv --columns left right --weights count --reml
  python -m fastnat fit water.csv --columns lead --left 0.5 --group station
  python -m fastnat fit histogram.csv --columns low --upper high --weights count
  python -m fastnat fit survey.csv --columns effect --noise-std se
  python -m fastnat fit pixels.npy --axis 0 --out estimates.npz
  python -m fastnat fit pixels.npy --axis=-2,-1 --out estimates.csv
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        options.command(options)
        sys.stdout.flush()
    except _files.Refused as refusal:
        return _complain(str(refusal), refusal.code)
    except BrokenPipeError:  # the reader, `head` perhaps, has seen enough
        return 1
    except OSError as error:
        name = "" if error.filename is None else f"{error.filename}: "
        return _complain(f"{name}{error.strerror or error}", 1)
    except MemoryError:
        return _complain("there is not enough memory", 1)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    return 0


def _complain(sentence: str, code: int) -> int:
    print(f"fastnat: {sentence}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m fastnat",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fastnat {fastnat.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    fit = commands.add_parser(
        "fit",
        help="fit the samples in a file",
        description=_FIT_ABOUT,
        epilog=_FIT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    fit.set_defaults(command=_fit)
    add = fit.add_argument
    add("file", metavar="FILE", type=Path, help="a .csv or .npy file")
    add(
        "--axis",
        type=_axis,
        default=argparse.SUPPRESS,
        metavar="A",
        help=".npy: the axes of the observations of one sample, such as 0 or 0,1 or none for all"
        " (default: the last)",
    )
    add("--columns", nargs="+", metavar="NAME", help=".csv: the columns to fit (default: all)")
    add(
        "--weights",
        metavar="W",
        help="frequency weights: the name of a column for .csv, a .npy file that broadcasts with"
        " FILE for .npy",
    )
    add(
        "--nan-policy",
        choices=get_args(NanPolicy),
        default="propagate",
        help="a missing value makes its sample's estimates NaN (propagate, the default), is left"
        " out (omit), or is an error (raise)",
    )
    add("--left", type=_float, metavar="L", help="values at or below L are only known to be so")
    add("--right", type=_float, metavar="R", help="values at or above R are only known to be so")
    add(
        "--upper",
        metavar="U",
        help="upper ends: an observation is only known to lie between its value and this; named"
        " like the weights",
    )
    add(
        "--truncation",
        type=_bounds,
        metavar="LOW,HIGH",
        help="bounds beyond which nothing could have been observed, such as 0,inf",
    )
    add("--noise-std", metavar="E", help="known standard errors of the values, named likewise")
    add(
        "--group",
        metavar="G",
        help="fit the values of each group for itself: a column of names, or a .npy file of codes",
    )
    add("--reml", action="store_true", help="restricted maximum likelihood: divisor n - 1")
    add("--out", type=Path, metavar="FILE", help="write all estimates to this .csv or .npz file")
    demo = commands.add_parser(
        "demo",
        help="fit a classic, then a million samples, then one huge one",
        description="Fit Michelson's speed of light against the values that NIST certifies, then"
        " a million samples, then one huge one, both timed against NumPy.",
        allow_abbrev=False,
    )
    demo.set_defaults(command=_demo)
    demo.add_argument(
        "--fits",
        type=_positive,
        default=1_000_000,
        metavar="N",
        help="how many samples of 32 values; the huge one has 10 N (default: %(default)s)",
    )
    return parser


def _axis(text: str) -> int | tuple[int, ...] | None:
    if text.lower() == "none":
        return None
    try:
        axes = tuple(int(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be an integer, integers separated by commas, or none, not {text!r}"
        ) from None
    return axes[0] if len(axes) == 1 else axes


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, not {text!r}") from None


def _bounds(text: str) -> tuple[float, float]:
    words = text.split(",")
    if len(words) != 2:
        raise argparse.ArgumentTypeError(f"must be two numbers and a comma, not {text!r}")
    return _float(words[0]), _float(words[1])


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text!r}")
    return int(text)


@contextmanager
def _progress(what: str) -> Iterator[_files.Report]:
    """A bar on a terminal for what takes longer than a second; nothing without tqdm."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield lambda _done, _total: None
        return
    bar_format = "{desc} {percentage:3.0f} % |{bar}| {elapsed} < {remaining}"
    with tqdm(desc=what, delay=_PROGRESS_AFTER, leave=False, bar_format=bar_format) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield report


class _Input(NamedTuple):
    """What `fit_normal` is given, and what its problems are called."""

    values: Array
    extras: dict[str, Any]  # more arguments
    axis: int | tuple[int, ...] | None
    names: list[str] | None
    skipped: list[str]


def _fit(options: argparse.Namespace) -> None:
    path = options.file
    _files.check_input(path)
    is_csv = path.suffix.lower() == ".csv"
    if options.out is not None:
        inputs = [path] if is_csv else [path, *map(Path, _roles(options).values())]
        _files.check_output(options.out, inputs)
    data = _read_csv(options) if is_csv else _read_npy(options)
    with _progress("Fitting") as report:
        token = _blocks.on_block.set(report)
        try:
            fit = fit_normal(
                data.values,
                **data.extras,
                left=options.left,
                right=options.right,
                truncation=options.truncation,
                axis=data.axis,
                nan_policy=options.nan_policy,
                reml=options.reml,
            )
        except (TypeError, ValueError) as error:
            raise _files.Refused(f"{path}: {error}") from error
        finally:
            _blocks.on_block.reset(token)
    if options.out is not None:  # before anything is printed: `head` may close the pipe
        with _progress("Writing") as report:
            _files.write_fit(options.out, fit, data.names, report)
    _print_fit(path, fit, data)
    if options.out is not None:
        _print(f"All estimates are in {options.out}.")


def _roles(options: argparse.Namespace) -> dict[str, str]:
    """The options that name columns or files, by what they are to `fit_normal`."""
    named = {
        "weights": options.weights,
        "upper": options.upper,
        "noise_std": options.noise_std,
        "groups": options.group,
    }
    return {role: name for role, name in named.items() if name is not None}


def _read_csv(options: argparse.Namespace) -> _Input:
    if "axis" in options:
        raise _files.Refused("--axis is for .npy files; a .csv file is fitted column by column", 2)
    with options.file.open("rb") as file, _progress("Reading") as report:
        label = str(options.file)
        sample = _files.read_csv(file, label, options.columns, _roles(options), report)
    if options.group is None:
        return _Input(sample.values, sample.extras, -1, sample.names, sample.skipped)
    if len(sample.names) != 1:
        names = ", ".join(map(repr, sample.names))
        raise _files.Refused(f"--group needs one column to fit, named by --columns, not {names}", 2)
    groups, codes = np.unique(sample.extras["groups"], return_inverse=True)
    extras: dict[str, Any] = sample.extras | {"groups": codes.reshape(-1)}
    return _Input(sample.values[0], extras, -1, groups.tolist(), sample.skipped)


def _read_npy(options: argparse.Namespace) -> _Input:
    if options.columns is not None:
        raise _files.Refused("--columns is for .csv files; a .npy file has no names", 2)
    extras: dict[str, Any] = {}
    for role, name in _roles(options).items():
        if not name.lower().endswith(".npy"):
            option = {"groups": "group"}.get(role, role).replace("_", "-")
            raise _files.Refused(f"--{option} must be a .npy file if FILE is one, not {name!r}", 2)
        extras[role] = _files.read_npy(Path(name))
    values = _files.read_npy(options.file)
    return _Input(values, extras, getattr(options, "axis", -1), None, [])


def _print(text: str) -> None:
    """Print what may hold other people's characters, whatever the terminal can show."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def _print_fit(path: Path, fit: NormalFit, data: _Input) -> None:
    shape = np.shape(fit.mu)
    status = np.reshape(fit.status, -1)
    n_fits = status.size
    shown = list(range(n_fits))
    if n_fits > _SHOWN:
        shown = [*range(_SHOWN // 2), *range(n_fits - _SHOWN // 2, n_fits)]
    called = [_printable(label) for label in _files.labels(data.names, shape, shown)]
    mu, sigma = np.reshape(fit.mu, -1)[shown], np.reshape(fit.sigma, -1)[shown]
    errors = fit.stderr.reshape(-1, 2)[shown]
    rows = [["name" if data.names is not None else "index" * bool(shape), "n"]]
    rows[0] += ["mu", "+- se", "sigma", "+- se", "status"]
    for i, label in enumerate(called):
        numbers = (*_number(mu[i], errors[i, 0]), *_number(sigma[i], errors[i, 1]))
        n_obs = f"{np.reshape(fit.nobs, -1)[shown[i]]:.10g}"
        rows.append([label, n_obs, *numbers, Status(int(status[shown[i]])).name.lower()])
    lines = _align(rows)
    if n_fits > _SHOWN:
        lines.insert(1 + _SHOWN // 2, "...")
    counts = f": {fit.message}" if shape else ""
    method = "restricted maximum likelihood" if fit.reml else "maximum likelihood"
    _print(f"{path}, {method}{counts}\n\n" + "\n".join(lines) + "\n")
    for code in map(Status, np.unique(status).tolist()):
        message = code.message
        if code is Status.NAN_INPUT:
            message = "A value is missing or NaN; --nan-policy omit leaves such values out."
        if code is not Status.OK:
            _print(f"{code.name.lower()}: {message}")
    if data.skipped:
        names = ", ".join(map(repr, data.skipped[:_SHOWN])) + ", ..." * (len(data.skipped) > _SHOWN)
        _print(f"Skipped as text: {names}")


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


def _align(rows: list[list[str]]) -> list[str]:
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


def _demo(options: argparse.Namespace) -> None:
    n_fits, n_obs = options.fits, 32
    print(f"fastnat {fastnat.__version__}, NumPy {np.__version__}\n", flush=True)
    print("Getting the kernels ready (the first run compiles them, which takes some seconds) ...")
    seconds = _timed(lambda: [fit_normal(np.zeros(n)) for n in (n_obs, 10 * n_fits)])[0]
    print(f"... {_duration(seconds)}\n", flush=True)
    _demo_michelson()
    rng = np.random.default_rng(1879)
    print(f"A batch: {n_fits:,} samples of {n_obs} made-up values", flush=True)
    _race(rng.normal(5.0, 2.0, (n_fits, n_obs)))
    print(f"One huge sample: {10 * n_fits:,} made-up values", flush=True)
    _race(rng.normal(5.0, 2.0, 10 * n_fits))


def _demo_michelson() -> None:
    source = resources.files("fastnat").joinpath("data", "michelson.csv")
    with source.open("rb") as file:
        sample = _files.read_csv(file, "michelson.csv", None, {}, lambda _done, _total: None)
    x = sample.values[0]
    fit, restricted = fit_normal(x), fit_normal(x, reml=True)
    rows = [["", "estimate", "std. error", "95 % interval", ""]]
    ways: list[tuple[str, NormalFit, ConfIntMethod]] = [
        ("maximum likelihood", fit, "wald"),
        ("restricted (reml=True)", restricted, "exact"),
    ]
    for name, result, method in ways:
        ends = result.conf_int(0.95, method=method)
        for k, (parameter, digits) in enumerate((("mean", 12), ("sd", 16))):
            estimate, error = result.params[k], result.stderr[k]
            interval = f"{ends[k, 0]:.4f} to {ends[k, 1]:.4f}"
            words = [f"{name}: {parameter}", f"{estimate:.{digits}f}", f"{error:.4f}", interval]
            rows.append([*words, method])
    rows.append(["certified by NIST: mean", _CERTIFIED_MEAN, "", "", ""])
    rows.append(["certified by NIST: sd", _CERTIFIED_SD, "", "", ""])
    print(f"Michelson's speed of light, {x.size} measurements of 1879, millions of m/s\n")
    print("\n".join(_align(rows)))
    off = abs(restricted.sigma / float(_CERTIFIED_SD) - 1.0)
    print(f"\nThe restricted sd is off by {off:.1g} of itself: 299.85 has no exact binary form.\n")


def _race(x: Array) -> None:
    """Time fits against NumPy, in turns, since a busy machine is slower for both."""
    ways: dict[str, Callable[[], Any]] = {
        "fastnat": lambda: fit_normal(x),
        "fastnat, with standard errors": lambda: fit_normal(x).stderr,
        "NumPy, np.mean and np.std": lambda: (np.mean(x, axis=-1), np.std(x, axis=-1)),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    results = {way: run() for way, run in ways.items()}  # not timed: the first time is special
    for order in permutations(ways):  # whoever follows NumPy finds less of x in the caches
        for way in order:
            seconds[way].append(_timed(ways[way])[0])
    fit, (mean, sd) = results["fastnat"], results["NumPy, np.mean and np.std"]
    medians = {way: statistics.median(times) for way, times in seconds.items()}
    numpy = medians["NumPy, np.mean and np.std"]
    rows = [["", "median of 6", "speed"]]
    rows += [[way, _duration(t), f"{numpy / t:.1f} x"] for way, t in medians.items()]
    off = max(np.max(np.abs(fit.mu - mean)), np.max(np.abs(fit.sigma - sd)))
    print("\n".join(f"  {line}" for line in _align(rows)))
    if x.ndim > 1:
        print(f"  {fit.message}")
    print(f"  The estimates differ by {off:.1g} at most; NumPy gives no standard errors.")
    print(f"  Processors: up to {_blocks.cpu_count()} for fastnat, one for NumPy.\n", flush=True)


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1.0 else f"{1e3 * seconds:.3g} ms"


if __name__ == "__main__":
    sys.exit(main())
