"""Write the tables of docs/benchmarks.md from what asv has measured.

    cd asv_bench
    asv machine --yes
    asv run --python=same --set-commit-hash "$(git rev-parse HEAD)"
    python tables.py

Takes the newest results in asv_bench/results and writes docs/measured.md: a table for each class of
benchmarks, a row for each case, a column for each thing that was measured.  Nothing in it is typed.
"""

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results"
OUT = HERE.parent / "docs" / "measured.md"
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def newest(folder):
    """The newest results of asv below this folder, or None."""
    runs = [json.loads(path.read_text()) for path in folder.glob("*/*-*.json")]
    return max(runs, key=lambda run: run["date"], default=None)


def values_of(run):
    """{class: {case: {what: value}}}, in the order in which asv has them."""
    tables = {}
    for name, row in run["results"].items():
        given = dict(zip(run["result_columns"], row, strict=False))
        found, cases = given["result"] or [], list(itertools.product(*given["params"]))
        *group, what = name.split(".")
        table = tables.setdefault(".".join(group).removeprefix("bench_"), {})
        for case, value in zip(cases, found, strict=False):
            label = ", ".join(word.strip("'\"") for word in case)
            table.setdefault(label, {})[what] = value
    return tables


def in_words(what, value):
    """A time with its unit, or a number with three digits."""
    if value is None or value != value:
        return ""
    if not what.startswith("time_"):
        return f"{value:.3g}"
    size, unit = next(((s, u) for s, u in UNITS if value >= s), UNITS[-1])
    return f"{value / size:.3g} {unit}"


def heading_of(what):
    kind, _, words = what.partition("_")
    words = words.replace("_", " ")
    if words.startswith("ratio "):
        return f"times as fast as {words.removeprefix('ratio ')}"
    return words if kind == "track" else f"{words}, time"


def table_of(cases):
    """One class of benchmarks, as a Markdown table."""
    columns = sorted({w for row in cases.values() for w in row}, key=lambda w: (w[0] == "t", w))
    columns.sort(key=lambda w: not w.startswith("time_"))
    yield "| case | " + " | ".join(map(heading_of, columns)) + " |"
    yield "| --- " * (len(columns) + 1) + "|"
    for case, row in cases.items():
        cells = [in_words(what, row.get(what)) for what in columns]
        yield f"| {case or 'all'} | " + " | ".join(cells) + " |"


def page_of(run):
    """The whole of docs/measured.md."""
    yield "<!-- Written by asv_bench/tables.py: do not edit. -->"
    yield ""
    if run is None:
        yield "**Nothing has been measured for this version yet.** The commands above do it."
        return
    machine = run["params"]
    day = datetime.fromtimestamp(run["date"] / 1000, UTC).date()
    yield (
        f"Commit {run['commit_hash'][:12]}, {day}; {machine.get('cpu', 'unknown processor')},"
        f" {machine.get('num_cpu', '?')} processors; {machine.get('os', 'unknown system')}."
    )
    for name, cases in sorted(values_of(run).items()):
        yield f"\n## {name}\n"
        yield from table_of(cases)


def main():
    run = newest(RESULTS)
    OUT.write_text("\n".join(page_of(run)) + "\n")
    print(f"{OUT}: {'nothing measured' if run is None else run['commit_hash'][:12]}")


if __name__ == "__main__":
    main()
