"""The tables of benchmarks are written from what asv leaves."""

import importlib
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "asv_bench"


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("tables")


RUN = {
    "commit_hash": "0123456789abcdef",
    "date": 1_764_000_000_000,
    "params": {"cpu": "a processor", "num_cpu": "2", "os": "Linux 6"},
    "result_columns": ["result", "params", "version"],
    "results": {
        "bench_x.Shapes.time_fit": [[0.0123, 4.5e-9, None], [["'a'", "'b'", "'c'"]], "v"],
        "bench_x.ShapesBeside.track_times_numpy": [
            [7.891, 0.5, float("nan")],
            [["'a'", "'b'", "'c'"]],
        ],
        "bench_x.Descent.time_one": [[2.5], []],
        "bench_x.Descent.track_failed": [None, []],
    },
}


def test_page_of_measurements(tables):
    page = list(tables.page_of(RUN, {"_static/a.png": "A picture."}))
    assert page[2] == "Commit 0123456789ab, 2025-11-24."
    assert page[3] == "a processor, 2 processors; Linux 6; other versions than here."
    assert page[4] == "\n## Targets\n"
    assert page[5].startswith("0 of 0 targets are met; ")
    assert page[8:] == [
        "\n## Pictures",
        "\n![A picture.](_static/a.png)\n\n*A picture.*",
        "\n## x.Descent\n",
        "| case | one, time |",
        "| --- | --- |",
        "| all | 2.5 s |",
        "\n## x.Shapes\n",
        "| case | fit, time | times as fast as numpy |",
        "| --- | --- | --- |",
        "| a | 12.3 ms | 7.89 |",
        "| b | 4.5 ns | 0.5 |",
        "| c |  |  |",
    ]


def test_targets_are_held_against_what_was_measured(tables):
    results = {
        "bench_special.SpecialBeside.track_times_scipy": [[5.0, 4.0], [["'hazard'", "'log_ndtr'"]]],
        "bench_special.SpecialBeside.track_ns_a_value": [[1.6], [["'hazard'"]]],
        "bench_accuracy.Bits.track_differences_between_threads": [[0.0], []],
    }
    page = list(tables.targets_of(tables.values_of(RUN | {"results": results})))
    assert page[0].startswith("2 of 4 targets are met; ")
    assert page[3:] == [
        "| normal tail | ns a hazard | hazard | <=&nbsp;2 | 1.6 | 1.25 |",
        "| normal tail | times as fast as scipy erfcx | hazard | >=&nbsp;10 | 5 | **0.5** |",
        "| normal tail | times as fast as scipy log_ndtr | log_ndtr | >=&nbsp;5 | 4 | **0.8** |",
        "| same bits | differences between one and two threads |  | <=&nbsp;0 | 0 | 1 |",
    ]


def test_a_count_that_should_be_zero(tables):
    target = tables.TARGETS[0]._replace(least=None, most=0)
    assert tables.reached(target, 0.0) == 1.0
    assert tables.reached(target, 3.0) == 0.0


def test_without_measurements_the_page_says_so(tables, tmp_path):
    assert tables.newest(tmp_path) is None
    assert "Nothing has been measured" in "\n".join(tables.page_of(None))


def test_the_newest_run_counts(tables, tmp_path):
    (tmp_path / "machine").mkdir()
    (tmp_path / "machine" / "machine.json").write_text("{}")
    for name, date in (("a-env.json", 1), ("b-env.json", 3), ("c-env.json", 2)):
        (tmp_path / "machine" / name).write_text(json.dumps({"date": date}))
    assert tables.newest(tmp_path)["date"] == 3
