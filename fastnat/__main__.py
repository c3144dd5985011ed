"""The command line: `python -m fastnat fit FILE` and `python -m fastnat demo`."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, get_args

import fastnat
from fastnat import _blocks, _files, _spool, _stores
from fastnat._arrays import Array, NanPolicy
from fastnat._demo import demo
from fastnat._show import print_fit, print_text
from fastnat.normal import NormalFit, fit_normal

_PROGRESS_AFTER = 1.0  # seconds

_AS_WRITTEN: Any = {  # with their line breaks
    "formatter_class": argparse.RawDescriptionHelpFormatter,
    "allow_abbrev": False,
}

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
Fit a normal distribution to each column of a .csv or .parquet file, or along an
axis of a .npy or .npz file, and print estimates +- standard errors.  Maximum
likelihood: mu is the mean, sigma the standard deviation with divisor n (n - 1
with --reml)."""

_FIT_EXAMPLES = """\
Limits, intervals, truncation and known noise are what they are to
fastnat.fit_normal; its documentation says which of them go together.

A .csv file is UTF-8 text, its cells separated by commas.  Columns of text and
blank lines are skipped.  A missing cell is empty, NA or nan.  If the first row
holds nothing but numbers, columns are called column_1, column_2 and so on.

Files may be larger than the memory: a .npy file is read where it is, and so is
an array of a .npz file; columns of .csv and .parquet files and compressed
arrays by way of a temporary file, in TMPDIR.

examples:
  python -m fastnat fit lengths.csv --nan-policy omit
  python -m fastnat fit lengths.csv --columns left right --weights count --reml
  python -m fastnat fit water.csv --columns lead --left 0.5 --group station
  python -m fastnat fit water.csv --columns lead --left limit
  python -m fastnat fit histogram.csv --columns low --upper high --weights count
  python -m fastnat fit survey.csv --columns effect --noise-std se
  python -m fastnat fit pixels.npy --axis 0 --out estimates.npz
  python -m fastnat fit pixels.npy --axis=-2,-1 --out estimates.csv
  python -m fastnat fit archive.npz --columns pixels --axis 0
  python -m fastnat fit trips.parquet --columns fare --nan-policy omit
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
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in sentence)
    print(f"fastnat: {line}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m fastnat", description=_ABOUT, epilog=_EXAMPLES, **_AS_WRITTEN
    )
    parser.add_argument("--version", action="version", version=f"fastnat {fastnat.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    fit = commands.add_parser(
        "fit",
        help="fit the samples in a file",
        description=_FIT_ABOUT,
        epilog=_FIT_EXAMPLES,
        **_AS_WRITTEN,
    )
    fit.set_defaults(command=_fit)
    _add_data(fit.add_argument)
    _add_observed(fit.add_argument)
    add = fit.add_argument
    add("--reml", action="store_true", help="restricted maximum likelihood: divisor n - 1")
    add("--out", type=Path, metavar="FILE", help="write all estimates to this .csv or .npz file")
    show = commands.add_parser(
        "demo",
        help="fit a classic, then a million samples, then one huge one",
        description="Fit Michelson's speed of light against the values that NIST certifies, then"
        " a million samples, then one huge one, both timed against NumPy.",
        allow_abbrev=False,
    )
    show.set_defaults(command=lambda options: demo(options.fits))
    show.add_argument(
        "--fits",
        type=_positive,
        default=1_000_000,
        metavar="N",
        help="how many samples of 32 values; the huge one has 10 N (default: %(default)s)",
    )
    return parser


def _add_data(add: Callable[..., object]) -> None:
    """What is in the file, and which of it counts."""
    add("file", metavar="FILE", type=Path, help="a .csv, .parquet, .npy or .npz file")
    add(
        "--axis",
        type=_axis,
        default=argparse.SUPPRESS,
        metavar="A",
        help=".npy, .npz: the axes of the observations of one sample, such as 0 or 0,1 or none for"
        " all (default: the last)",
    )
    add(
        "--columns",
        nargs="+",
        metavar="NAME",
        help=".csv, .parquet: the columns to fit (default: all); .npz: the array",
    )
    add(
        "--weights",
        metavar="W",
        help="frequency weights: the name of a column for .csv and .parquet, of an array for .npz,"
        " a .npy file that broadcasts with FILE for .npy",
    )
    add(
        "--nan-policy",
        choices=get_args(NanPolicy),
        default="propagate",
        help="a missing value makes its sample's estimates NaN (propagate, the default), is left"
        " out (omit), or is an error (raise)",
    )


def _add_observed(add: Callable[..., object]) -> None:
    """How the observations are known, and which belong together."""
    add(
        "--left",
        metavar="L",
        help="values at or below L are only known to be so: a number, or a name like the weights'",
    )
    add("--right", metavar="R", help="values at or above R are only known to be so, likewise")
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
    add("--noise-std", metavar="E", help="known standard errors of the values, likewise")
    add(
        "--group",
        metavar="G",
        help="fit the values of each group for itself: a column of names, or a .npy file of codes",
    )


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


def _bounds(text: str) -> tuple[float, float]:
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be two numbers and a comma, not {text!r}") from None
    return low, high


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
    kind = _files.check_input(path)
    if options.out is not None:
        others = _roles(options).values() if kind == ".npy" else ()
        _files.check_output(options.out, [path, *map(Path, others)])
    fit, names, skipped = _READERS[kind](options)
    if options.out is not None:  # before anything is printed: `head` may close the pipe
        with _progress("Writing") as report:
            _files.write_fit(options.out, fit, names, report)
    print_fit(path, fit, names, skipped)
    if options.out is not None:
        print_text(f"All estimates are in {options.out}.")


_Result = tuple[NormalFit, list[str] | None, list[str]]  # and names, and those skipped


def _fit_arrays(options: argparse.Namespace, data: _Input) -> _Result:
    """Fit what is in memory, or mapped into it."""
    with _progress("Fitting") as report:
        token = _blocks.on_block.set(report)
        try:
            fit = fit_normal(
                data.values,
                **_numbers(options),
                **data.extras,
                truncation=options.truncation,
                axis=data.axis,
                nan_policy=options.nan_policy,
                reml=options.reml,
            )
        except (TypeError, ValueError) as error:
            raise _files.Refused(f"{options.file}: {error}") from error
        finally:
            _blocks.on_block.reset(token)
    return fit, data.names, data.skipped


_OR_NUMBERS = ("left", "right", "noise_std")


def _numbers(options: argparse.Namespace) -> dict[str, Any]:
    """The options that may name a column, but are a number."""
    numbers = {}
    for role in _OR_NUMBERS:
        with suppress(TypeError, ValueError):  # None, or a name
            numbers[role] = float(getattr(options, role))
    return numbers


def _roles(options: argparse.Namespace) -> dict[str, str]:
    """The options that name columns or files, by what they are to `fit_normal`."""
    named = {
        "weights": options.weights,
        "upper": options.upper,
        "left": options.left,
        "right": options.right,
        "noise_std": options.noise_std,
        "groups": options.group,
    }
    numbers = _numbers(options)
    return {k: name for k, name in named.items() if name is not None and k not in numbers}


def _fit_csv(options: argparse.Namespace) -> _Result:
    _refuse_axis(options)
    with options.file.open("rb") as file, _progress("Reading") as report:
        label = str(options.file)
        table = _files.read_csv(file, label, options.columns, _roles(options), report)
    return _fit_table(options, table)


def _fit_parquet(options: argparse.Namespace) -> _Result:
    _refuse_axis(options)
    with _progress("Reading") as report:
        table = _stores.read_parquet(options.file, options.columns, _roles(options), report)
    return _fit_table(options, table)


def _refuse_axis(options: argparse.Namespace) -> None:
    if "axis" in options:
        kind = options.file.suffix.lower()
        raise _files.Refused(
            f"--axis is for .npy and .npz files; a {kind} file is fitted column by column", 2
        )


def _fit_table(options: argparse.Namespace, table: _spool.Table) -> _Result:
    """Each column is a problem, or each group of the only one."""
    values, names = table.values, table.names
    if table.groups is not None:
        if len(names) != 1:
            listed = ", ".join(map(repr, names))
            raise _files.Refused(
                f"--group needs one column to fit, named by --columns, not {listed}", 2
            )
        values, names = values[0], table.groups
    return _fit_arrays(options, _Input(values, table.extras, -1, names, table.skipped))


def _fit_npy(options: argparse.Namespace) -> _Result:
    if options.columns is not None:
        raise _files.Refused("--columns is for files with names; a .npy file has none", 2)
    extras: dict[str, Any] = {}
    for role, name in _roles(options).items():
        if not name.lower().endswith(".npy"):
            option = {"groups": "group"}.get(role, role).replace("_", "-")
            what = "a number or a .npy file" if role in _OR_NUMBERS else "a .npy file"
            raise _files.Refused(f"--{option} must be {what} if FILE is one, not {name!r}", 2)
        extras[role] = _stores.read_npy(Path(name))
    values = _stores.read_npy(options.file)
    return _fit_arrays(options, _Input(values, extras, getattr(options, "axis", -1), None, []))


def _fit_npz(options: argparse.Namespace) -> _Result:
    columns, roles = options.columns or [], _roles(options)
    if len(columns) > 1 or (roles and not columns):
        raise _files.Refused("--columns must name the one array of the .npz file to fit", 2)
    values, *others = _stores.read_npz(options.file, [*columns, *roles.values()])
    extras = dict(zip(roles, others, strict=True))
    return _fit_arrays(options, _Input(values, extras, getattr(options, "axis", -1), None, []))


_READERS = {
    ".csv": _fit_csv,
    ".npy": _fit_npy,
    ".npz": _fit_npz,
    ".parquet": _fit_parquet,
}


if __name__ == "__main__":
    sys.exit(main())
