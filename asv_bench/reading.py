"""What asv has left in asv_bench/results, in a form for tables and plots."""

import itertools
import json
import math
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def newest(folder):
    """The newest results of asv below this folder, or None."""
    runs = [json.loads(path.read_text()) for path in folder.glob("*/*-*.json")]
    return max(runs, key=lambda run: run["date"], default=None)


def values_of(run):
    """{class: {case: {what: value}}}, in the order in which asv has them.

    A class ``XBeside`` says more about the cases of ``X``: they are one.
    """
    tables = {}
    for name, row in run["results"].items():
        given = dict(zip(run["result_columns"], row, strict=False))
        found, cases = given["result"] or [], list(itertools.product(*given["params"]))
        *group, what = name.split(".")
        key = ".".join(group).removeprefix("bench_").removesuffix("Beside")
        table = tables.setdefault(key, {})
        for case, value in zip(cases, found, strict=False):
            label = ", ".join(word.strip("'\"") for word in case)
            table.setdefault(label, {})[what] = value
    return tables


def is_number(value):
    return value is not None and not math.isnan(value)


def value_of(values, benchmark, case):
    """A measured number, or None."""
    group, _, what = benchmark.rpartition(".")
    key = group.removeprefix("bench_").removesuffix("Beside")
    value = values.get(key, {}).get(case or "", {}).get(what)
    return value if is_number(value) else None
