"""Write docs/measured.md, which docs/benchmarks.md shows, from what asv has measured.

    make measure

or, step by step,

    cd asv_bench
    asv machine --yes
    asv run --python=same --set-commit-hash "$(git rev-parse HEAD)"
    python tables.py

Takes the newest results in asv_bench/results: first the table of targets, then pictures, then a
table for each class of benchmarks.  Nothing in it is typed.
"""

from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine
from benchmarks.targets import TARGETS
from reading import RESULTS, is_number, newest, value_of, values_of

DOCS = Path(__file__).parent.parent / "docs"
OUT = DOCS / "measured.md"
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def in_words(what, value):
    """A time with its unit, or a number with three digits."""
    if not is_number(value):
        return ""
    if what.startswith("peakmem_"):
        return f"{1e-6 * value:.3g} MB"
    if not what.startswith("time_"):
        return f"{value:.3g}"
    size, unit = next(((s, u) for s, u in UNITS if value >= s), UNITS[-1])
    return f"{value / size:.3g} {unit}"


def heading_of(what):
    kind, _, words = what.partition("_")
    words = words.replace("_", " ")
    if words.startswith("times "):
        return f"times as fast as {words.removeprefix('times ')}"
    ends = {"time": ", time", "peakmem": ", largest process"}
    return words + ends.get(kind, "")


def table_of(cases):
    """One class of benchmarks, as a Markdown table."""
    columns = sorted({w for row in cases.values() for w in row})
    columns.sort(key=lambda w: not w.startswith("time_"))
    yield "| case | " + " | ".join(map(heading_of, columns)) + " |"
    yield "| --- " * (len(columns) + 1) + "|"
    for case, row in cases.items():
        cells = [in_words(what, row.get(what)) for what in columns]
        yield f"| {case or 'all'} | " + " | ".join(cells) + " |"


def reached(target, value):
    """What is measured as a fraction of what is asked: 1 and more is met."""
    if target.least is not None:
        return value / target.least
    return target.most / value if value else 1.0


def targets_of(values):
    """The table of targets; those not measured are left out, and counted."""
    rows = [(t, value_of(values, t.benchmark, t.case)) for t in TARGETS]
    known = [(t, value, reached(t, value)) for t, value in rows if value is not None]
    met = sum(share >= 1.0 for *_, share in known)
    yield f"{met} of {len(known)} targets are met; {len(rows) - len(known)} were not measured.\n"
    yield "| area | target | case | asked | measured | reached |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for target, value, share in known:
        bound, asked = ("<=", target.most) if target.least is None else (">=", target.least)
        share = f"{share:.3g}" if share >= 1.0 else f"**{share:.2g}**"
        case = target.case or ""
        yield (
            f"| {target.area} | {target.what} | {case} | {bound}&nbsp;{asked:.3g} | {value:.3g} |"
            f" {share} |"
        )


def where(run, values):
    """Commit, day, machine and versions."""
    day = datetime.fromtimestamp(run["date"] / 1000, UTC).date()
    yield f"Commit {run['commit_hash'][:12]}, {day}."
    if value_of(values, "bench_machine.Machine.track_versions", None) == machine.digest():
        yield machine.describe()
    else:
        given = run["params"]
        yield (
            f"{given.get('cpu', 'An unknown processor')}, {given.get('num_cpu', '?')} processors;"
            f" {given.get('os', 'unknown system')}; other versions than here."
        )
    speeds = [
        value_of(values, f"bench_machine.Machine.track_{w}", None)
        for w in ("read_speed", "dgemm_speed")
    ]
    if None not in speeds:
        yield f"One thread reads {speeds[0]:.3g} GB/s; dgemm reaches {speeds[1]:.3g} GFLOP/s."


def page_of(run, pictures=()):
    """The whole of docs/measured.md; pictures: {file: what it shows}."""
    yield "<!-- Written by asv_bench/tables.py: do not edit. -->"
    yield ""
    if run is None:
        yield "**Nothing has been measured for this version yet.** The command above does it."
        return
    values = values_of(run)
    yield from where(run, values)
    yield "\n## Targets\n"
    yield from targets_of(values)
    if pictures:
        yield "\n## Pictures"
    for path, text in dict(pictures).items():
        yield f"\n![{text}]({path})\n\n*{text}*"
    for name, cases in sorted(values.items()):
        yield f"\n## {name}\n"
        yield from table_of(cases)


def main():
    run = newest(RESULTS)
    pictures = {}
    if run is not None:
        import plots

        pictures = plots.draw(values_of(run), DOCS)
    OUT.write_text("\n".join(page_of(run, pictures)) + "\n")
    print(f"{OUT}: {'nothing measured' if run is None else run['commit_hash'][:12]}")


if __name__ == "__main__":
    main()
