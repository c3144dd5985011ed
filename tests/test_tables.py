"""The tables of benchmarks are written from what asv leaves."""

import importlib.util
import json
from pathlib import Path

import pytest

FILE = Path(__file__).parent.parent / "asv_bench" / "tables.py"


@pytest.fixture
def tables():
    spec = importlib.util.spec_from_file_location("tables", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RUN = {
    "commit_hash": "0123456789abcdef",
    "date": 1_764_000_000_000,
    "params": {"cpu": "a processor", "num_cpu": "2", "os": "Linux 6"},
    "result_columns": ["result", "params", "version"],
    "results": {
        "bench_x.Shapes.time_fit": [[0.0123, 4.5e-9, None], [["'a'", "'b'", "'c'"]], "v"],
        "bench_x.Shapes.track_ratio_numpy": [[7.891, 0.5, float("nan")], [["'a'", "'b'", "'c'"]]],
        "bench_x.Descent.time_one": [[2.5], []],
        "bench_x.Descent.track_failed": [None, []],
    },
}


def test_page_of_measurements(tables):
    page = list(tables.page_of(RUN))
    assert page[2] == "Commit 0123456789ab, 2025-11-24; a processor, 2 processors; Linux 6."
    assert page[3:] == [
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


def test_without_measurements_the_page_says_so(tables, tmp_path):
    assert tables.newest(tmp_path) is None
    assert "Nothing has been measured" in "\n".join(tables.page_of(None))


def test_the_newest_run_counts(tables, tmp_path):
    (tmp_path / "machine").mkdir()
    (tmp_path / "machine" / "machine.json").write_text("{}")
    for name, date in (("a-env.json", 1), ("b-env.json", 3), ("c-env.json", 2)):
        (tmp_path / "machine" / name).write_text(json.dumps({"date": date}))
    assert tables.newest(tmp_path)["date"] == 3
