"""The command line: what it reads, prints, writes and refuses."""

import csv
import datetime as dt
import decimal
import errno
import functools
import io
import math
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tqdm
from conftest import scaled
from pyarrow import parquet
from scipy import stats

import fastnat
from fastnat import __main__ as cli
from fastnat import _blocks, _files, _show, _spool, _stores
from fastnat.__main__ import main

ROOT = Path(fastnat.__file__).parents[1]
NAN = float("nan")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory, so that messages hold short names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(here, capsys):
    """Run the command line in process -> (exit code, stdout, stderr)."""

    assert Path.cwd() == here

    def run(*argv):
        try:
            code = main([str(word) for word in argv])
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return run


@pytest.fixture
def estimates(run, here):
    """Fit the bytes of a CSV file -> {name: (n, mu, se_mu, sigma, se_sigma, loglik, status)}."""

    def estimates(content, *argv):
        (here / "data.csv").write_bytes(content)
        code, _, err = run("fit", "data.csv", "--out", "out.csv", *argv)
        assert (code, err) == (0, "")
        with Path("out.csv").open(newline="", encoding="utf-8") as file:
            head, *rows = csv.reader(file)
        assert head == ["name", "n", "mu", "se_mu", "sigma", "se_sigma", "loglik", "status"]
        return {row[0]: (*map(float, row[1:-1]), row[-1]) for row in rows}

    return estimates


def refused(run, *argv, code=1):
    """The one sentence on stderr."""
    got, out, err = run(*argv)
    assert (got, out) == (code, "")
    assert re.fullmatch(r"fastnat: [^\n]+\n", err)
    return err[len("fastnat: ") : -1]


def refused_csv(run, content, *argv, code=1):
    Path("bad.csv").write_bytes(content)
    return refused(run, "fit", "bad.csv", *argv, code=code)


def expected(x, **options):
    fit = fastnat.fit_normal(np.array(x, np.float64), **options)
    errors = fit.stderr
    numbers = (fit.nobs, fit.mu, errors[0], fit.sigma, errors[1], fit.loglik)
    return (*map(float, numbers), fit.status.name.lower())


def assert_same(got, want):
    """Bit for bit, NaN included."""
    assert got[-1] == want[-1]
    np.testing.assert_array_equal(got[:-1], want[:-1])


# CSV


def test_csv_columns_are_problems(estimates):
    got = estimates(b"b,a\n1,2.5\n2,-3\n4,1e2\n")
    assert list(got) == ["b", "a"]
    assert_same(got["b"], expected([1, 2, 4]))
    assert_same(got["a"], expected([2.5, -3, 100]))
    np.testing.assert_allclose(got["b"][1], 7 / 3, rtol=1e-15)
    np.testing.assert_allclose(got["b"][3], np.std([1, 2, 4]), rtol=1e-15)


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\r\n1,5\r\n2,6\r\n4,9\r\n",
        b"a,b\r1,5\r2,6\r4,9\r",
        b"\xef\xbb\xbfa,b\n1,5\n2,6\n4,9\n",
        b'\xef\xbb\xbf"a","b"\n1,5\n2,6\n4,9\n',
        b"a,b\n1,5\n2,6\n4,9",
        b"\n\na,b\n\n1,5\n  \n2,6\n4,9\n\n\n",
        b' a , "b"\n 1, 5 \n2 , "6"\n4,\t9\n',
        b"a,text,b\n1,x,5\n2,4x,6\n4,,9\n",
    ],
    ids=["crlf", "cr", "bom", "bom quoted", "no last newline", "blank", "spaces", "text column"],
)
def test_csv_dialects(estimates, content):
    got = estimates(content)
    assert list(got) == ["a", "b"]
    assert_same(got["a"], expected([1, 2, 4]))
    assert_same(got["b"], expected([5, 6, 9]))


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\n"])
def test_csv_without_header(estimates, start):
    got = estimates(start + b"1,NA\n2,5\n4,6\n", "--nan-policy", "omit")
    assert list(got) == ["column_1", "column_2"]
    assert_same(got["column_1"], expected([1, 2, 4]))
    assert_same(got["column_2"], expected([5, 6]))


def test_csv_names(estimates, run):
    names = ['width, "mm"', "two\nlines", "na\u00efve", "column_4", "1"]
    content = io.StringIO()
    writer = csv.writer(content)
    writer.writerow(names)
    writer.writerows([[1, 2, 3, 4, 5], [2, 4, 6, 8, 10]])
    got = estimates(content.getvalue().encode())
    assert list(got) == names
    for k, name in enumerate(names, 1):
        assert_same(got[name], expected([k, 2 * k]))
    out = run("fit", "data.csv")[1]
    assert "\ntwo\\nlines" in out
    assert "\nna\u00efve" in out


def test_csv_empty_name_is_filled_in(estimates):
    assert list(estimates(b",x\n1,2\n2,3\n")) == ["column_1", "x"]


def test_csv_missing_cells(estimates, run):
    content = b'a,b,c\n1,,3\n2,NA,nan\n"",7,NaN\n4, NA ,5\n'
    got = estimates(content)
    for name in "abc":
        assert got[name][-1] == "nan_input"
        assert np.isnan(got[name][1])
    out = run("fit", "data.csv")[1]
    assert out.count(" nan_input") == 4  # the rows, and the counts
    assert "--nan-policy omit" in out
    got = estimates(content, "--nan-policy", "omit")
    assert_same(got["a"], expected([1, 2, 4]))
    assert_same(got["b"], expected([7]))
    assert_same(got["c"], expected([3, 5]))
    assert "nan" in refused(run, "fit", "data.csv", "--nan-policy", "raise").lower()


def test_csv_columns_option(estimates, run):
    content = b"a,b,text,b,c\n1,2,x,3,4\n2,3,y,4,9\n"
    got = estimates(content, "--columns", "c", "a", "c")
    assert list(got) == ["c", "a"]
    assert len(Path("out.csv").read_text().splitlines()) == 3
    assert_same(got["c"], expected([4, 9]))
    assert "2 columns are named 'b'" in refused(run, "fit", "data.csv")
    assert "2 columns are named 'b'" in refused(run, "fit", "data.csv", "--columns", "b")
    sentence = refused(run, "fit", "data.csv", "--columns", "a", "q")
    assert sentence == "data.csv: there is no column 'q'; there are 'a', 'b', 'text', 'b', 'c'"
    sentence = refused(run, "fit", "data.csv", "--columns", "text")
    assert "line 2, column 'text': 'x' is not a number" in sentence


def test_csv_weights(estimates, run):
    content = b"x,w,y\n1,2,5\n2,0,6\n,0,8\n4,1.5,9\n"
    got = estimates(content, "--weights", "w")
    w = [2, 0, 0, 1.5]
    assert list(got) == ["x", "y"]
    assert_same(got["x"], expected([1, 2, NAN, 4], weights=np.array(w)))
    assert_same(got["y"], expected([5, 6, 8, 9], weights=np.array(w)))
    assert got["x"][0] == 3.5
    assert list(estimates(content, "--weights", "w", "--columns", "y")) == ["y"]
    assert "no column 'v'" in refused(run, "fit", "data.csv", "--weights", "v")
    both = refused(run, "fit", "data.csv", "--weights", "w", "--columns", "x", "w", code=2)
    assert "'w' holds the weights" in both


@pytest.mark.parametrize("cell", [b"-1", b"", b"inf", b"nan"])
def test_csv_bad_weight(run, cell):
    sentence = refused_csv(run, b"x,w\n1,2\n2," + cell + b"\n", "--weights", "w")
    assert sentence.startswith("bad.csv, line 3, column 'w': a weight must be finite and not neg")


def test_csv_limits(estimates):
    content = b"a,b\n1,4\n0.5,2\n3,9\n2,7\n0.5,1\n"
    a, b = [1, 0.5, 3, 2, 0.5], [4, 2, 9, 7, 1]
    for argv, options in (
        (["--left", "0.5"], {"left": 0.5}),
        (["--right", "7"], {"right": 7.0}),
        (["--left=-1e-3", "--right", "2.5"], {"left": -1e-3, "right": 2.5}),
        (["--truncation", "0,inf"], {"truncation": (0.0, np.inf)}),
        (["--truncation=-1,10"], {"truncation": (-1.0, 10.0)}),
    ):
        got = estimates(content, *argv)
        assert_same(got["a"], expected(a, **options))
        assert_same(got["b"], expected(b, **options))


def test_csv_upper_and_noise(estimates):
    """A histogram, value-and-error tables, and both with weights or a limit."""
    content = b"low,high,count,se\n-inf,1,3,0.5\n1,2,4,0.1\n2,3,2,0.3\n3,inf,1,0.2\n"
    low, high = np.array([-np.inf, 1, 2, 3]), np.array([1, 2, 3, np.inf])
    count = np.array([3.0, 4.0, 2.0, 1.0])
    got = estimates(content, "--columns", "low", "--upper", "high", "--weights", "count")
    assert_same(got["low"], expected(low, upper=high, weights=count))
    assert got["low"][-1] == "ok"
    std = np.array([0.5, 0.1, 0.3, 0.2])
    got = estimates(content, "--columns", "count", "--noise-std", "se")
    assert_same(got["count"], expected(count, noise_std=std))
    got = estimates(content, "--columns", "count", "--noise-std", "se", "--left", "1.5")
    assert_same(got["count"], expected(count, noise_std=std, left=1.5))
    got = estimates(content, "--columns", "count", "--noise-std", "se", "--reml")
    assert_same(got["count"], expected(count, noise_std=std, reml=True))


def test_csv_limits_of_each_row(estimates):
    """A column of limits, one of noise or the same noise for all; with groups as well."""
    x = np.array([1.0, 0.7, 3.0, 0.5, 2.0, 4.0, 2.5])
    limit = np.array([0.5, 0.7, 0.7, 0.5, -np.inf, 0.7, 0.5])
    most, g = np.where(x < 2.8, 9.0, 2.8), np.array(list("babbaab"))
    rows = zip(x, limit, most, g, strict=True)
    content = "x,limit,most,g\n" + "".join(f"{a},{b},{c},{d}\n" for a, b, c, d in rows)
    argv = ["--columns", "x", "--left", "limit"]
    assert_same(estimates(content.encode(), *argv)["x"], expected(x, left=limit))
    both = estimates(content.encode(), *argv, "--right", "3.5", "--noise-std", "0.25")
    assert_same(both["x"], expected(x, left=limit, right=3.5, noise_std=0.25))
    both = estimates(content.encode(), *argv, "--right", "most")
    assert_same(both["x"], expected(x, left=limit, right=most))
    assert both["x"] != expected(x, left=limit)
    grouped = estimates(content.encode(), *argv, "--group", "g")
    for name in ("a", "b"):
        assert_same(grouped[name], expected(x[g == name], left=limit[g == name]))


def test_csv_groups(estimates, run):
    """Groups are names, in order; each is fitted as if it were alone."""
    rows = [("b", 1.0, 1), ("a", 2.0, 2), ("b", 4.0, 1), ("a", 7.0, 3), ("10", 3.0, 1), ("b", 2, 2)]
    content = "g,x,w\n" + "".join(f" {g} ,{x},{w}\n" for g, x, w in rows)
    argv = ["--columns", "x", "--group", "g", "--weights", "w"]
    for more in [], ["--left", "1.5"]:
        got = estimates(content.encode(), *argv, *more)
        assert list(got) == ["10", "a", "b"]
        for name in got:
            x, w = zip(*(row[1:] for row in rows if row[0] == name), strict=True)
            # (Limits of observations, for those of a whole problem have a shorter way.)
            options = {"left": np.full(len(x), 1.5)} if more else {}
            assert_same(got[name], expected(x, weights=np.array(w, float), **options))
    out = run("fit", "data.csv", *argv)[1]
    assert re.search(r"^b +4 +2\.2", out, re.MULTILINE)
    sentence = refused(run, "fit", "data.csv", "--group", "g", code=2)
    assert sentence.startswith("--group needs one column to fit, named by --columns, not 'x', 'w'")
    sentence = refused_csv(run, b"g,x\na,1\n,2\n", "--group", "g")
    assert sentence == "bad.csv, line 3, column 'g': a group has no name"


def test_csv_roles_that_are_refused(run):
    content = b"x,e,text\n1,0.5,u\n2,0.5,v\n"
    for option, what in (
        ("--upper", "the upper ends"),
        ("--noise-std", "the noise"),
        ("--left", "the limits"),
        ("--right", "the limits"),
        ("--group", "the groups"),
    ):
        argv = ["--columns", "x", "e", option, "e"]
        assert f"'e' holds {what}" in refused_csv(run, content, *argv, code=2)
        assert "no column 'f'" in refused_csv(run, content, option, "f")
    for option in ("--upper", "--noise-std", "--left"):
        sentence = refused_csv(run, content, option, "text")
        assert sentence.startswith("bad.csv, line 2, column 'text': 'u' is not a number")
    for argv, words in (
        (["--left", "3", "--right", "1"], "left must not be above right"),
        (["--left", "nan"], "left must be a number or -inf"),
        (["--truncation", "2,1"], "truncation must be a lower and a higher bound"),
        (["--truncation", "0,9", "--left", "1"], "truncation cannot be combined"),
        (["--reml", "--left", "1"], "reml=True needs values without limits"),
        (["--upper", "e", "--left", "1"], "with upper, x is a lower limit"),
    ):
        assert words in refused_csv(run, content, "--columns", "x", *argv)


def test_csv_reml(estimates):
    got = estimates(b"a\n1\n2\n4\n", "--reml")
    assert_same(got["a"], expected([1, 2, 4], reml=True))
    np.testing.assert_allclose(got["a"][3], np.std([1, 2, 4], ddof=1), rtol=1e-15)


def test_csv_degenerate_is_no_error(estimates, run):
    got = estimates(b"a,b,c\n3,inf,1\n3,2,2\n")
    assert [row[-1] for row in got.values()] == ["sigma_zero", "invalid_input", "ok"]
    out = run("fit", "data.csv")[1]
    assert "3 fits: 1 ok, 1 invalid_input, 1 sigma_zero" in out
    assert f"sigma_zero: {fastnat.Status.SIGMA_ZERO.message}" in out


def test_csv_header_only(estimates):
    got = estimates(b"a,b\n")
    assert [(row[0], row[-1]) for row in got.values()] == [(0.0, "no_data")] * 2


@pytest.mark.parametrize("content", [b"", b"\n\n  \n", b"\xef\xbb\xbf"])
def test_csv_empty(run, content):
    assert refused_csv(run, content) == "bad.csv: is empty"


def test_csv_text_only(run):
    assert refused_csv(run, b"a,b\nx,y\nz,\n") == "bad.csv: there is no column of numbers to fit"


@pytest.mark.parametrize("cell", ["x", "1_000", "0x10", "1 2", "N/A", "1e", "--", "1+2j"])
def test_csv_bad_cell(run, cell):
    # Line numbers count blank lines and line breaks in quotes.
    content = f'"a\nb",c\n1,2\n\n3,{cell}\n5,6\n'.encode()
    sentence = refused_csv(run, content)
    assert sentence.startswith(f"bad.csv, line 5, column 'c': {cell!r} is not a number")


@pytest.mark.parametrize("cell", ["<0.1", " > 5"])
def test_csv_cell_with_a_limit(run, cell):
    sentence = refused_csv(run, f"a\n1\n{cell}\n".encode())
    assert "is not a number" in sentence
    assert sentence.endswith("(for one beyond a limit write the limit, and use --left or --right)")


def test_csv_bad_cell_far_from_numbers(run):
    # A number anywhere makes text an error, also chunks later, and the first text is named.
    rows = [b"1,t"] * 1000 + [b"1,7"] + [b"1,u"] * 1000
    sentence = refused_csv(run, b"a,b\n" + b"\n".join(rows))
    assert sentence.startswith("bad.csv, line 2, column 'b': 't' is not a number")
    rows = [b"1,7"] * 2000 + [b"1," + 50 * b"u"] + [b"1,2"] * 1000
    sentence = refused_csv(run, b"a,b\n" + b"\n".join(rows))
    assert sentence.startswith("bad.csv, line 2002, column 'b': 'uuuuu")
    assert 50 * "u" not in sentence
    chunks = 2 * _files._CHUNK
    rows = [b"1,7"] * chunks + [b"1,u"] * chunks
    sentence = refused_csv(run, b"a,b\n" + b"\n".join(rows))
    assert sentence.startswith(f"bad.csv, line {chunks + 2}, column 'b': 'u' is not a number")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b\n1,2\n3\n", "line 3: 1 cell, but the first row has 2"),
        (b"a,b\n1,2\n3,4,\n", "line 3: 3 cells, but the first row has 2"),
        (b"1\n1,234\n", "line 2: 2 cells, but the first row has 1"),
        (b'a,b\n1,"2\n3,4\n', "line 3: unexpected end of data"),
        (b'a,b\n1,"2"3\n', "line 2: "),
        (b'a\n1\n"' + 200_000 * b"x" + b"\n", "line 3: field larger than field limit"),
        (b"a,b\n1,\xff\n", "is not UTF-8 text"),
        ("a,b\n1,2\n".encode("utf-16"), "is not UTF-8 text"),
        (b"a\n1\n2\0\n", "line 3, column 'a': '2\\x00' is not a number"),
    ],
)
def test_csv_broken(run, content, words):
    assert words in refused_csv(run, content)


def test_csv_long(estimates):
    """Across chunks, with missing cells here and there."""
    x = np.random.default_rng(3).normal(size=(3001, 2))
    text = "\n".join(f"{a!r},{b!r}" for a, b in x.tolist())
    got = estimates(text.encode())
    assert_same(got["column_2"], expected(x[:, 1]))
    x[[5, 700, 3000], 0] = NAN
    text = "\n".join(f"{a!r},{b!r}".replace("nan", "") for a, b in x.tolist())
    got = estimates(text.encode(), "--nan-policy", "omit")
    assert_same(got["column_1"], expected(x[:, 0], nan_policy="omit"))
    assert got["column_1"][0] == 2998


def test_csv_never_runs_code(run, here):
    cell = "__import__('pathlib').Path('made').touch()"
    refused_csv(run, f'a\n1\n"{cell}"\n'.encode())
    assert not (here / "made").exists()


def test_csv_takes_no_axis(run):
    assert "--axis is for .npy" in refused_csv(run, b"a\n1\n", "--axis", "-1", code=2)


# .npy


@pytest.fixture
def arrays(run):
    """Fit an array through a file -> the arrays in the .npz that comes out."""

    def arrays(x, *argv):
        np.save("x.npy", x)
        code, _, err = run("fit", "x.npy", "--out", "out.npz", *argv)
        assert (code, err) == (0, "")
        with np.load("out.npz") as file:
            return dict(file)

    return arrays


def assert_equals_fit(got, fit):
    assert set(got) == {"mu", "sigma", "stderr", "loglik", "nobs", "status"}
    for key in ("mu", "sigma", "stderr", "loglik", "nobs"):
        np.testing.assert_array_equal(got[key], getattr(fit, key))
        assert got[key].shape == np.shape(getattr(fit, key))
        assert got[key].dtype == np.float64
    np.testing.assert_array_equal(got["status"], fit.status)
    assert got["status"].dtype == np.int8


@pytest.mark.parametrize("dtype", ["f8", ">f8", "f4", "f2", "i1", "u2", "i8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("argv", "axis"),
    [
        ([], -1),
        (["--axis", "0"], 0),
        (["--axis", "-2"], -2),
        (["--axis", "0,2"], (0, 2)),
        (["--axis=-1,-3"], (-1, -3)),
        (["--axis", "none"], None),
    ],
)
def test_npy(arrays, dtype, order, argv, axis):
    x = np.random.default_rng(1).normal(3.0, 20.0, (4, 5, 6)).clip(0, 100)
    x = np.asarray(x.astype(dtype), order=order)
    fit = fastnat.fit_normal(x, axis=axis)
    assert_equals_fit(arrays(x, *argv), fit)
    np.testing.assert_allclose(fit.mu, np.mean(x.astype(float), axis=axis), rtol=1e-12)


def test_npy_limits(arrays, run):
    rng = np.random.default_rng(3)
    x = rng.normal(3.0, 1.0, (4, 6))
    std, upper, codes = rng.uniform(0.1, 0.5, 6), x + 0.5, np.array([1, 0, 1, 0, 1, 0])
    for name, array in (("e.npy", std), ("u.npy", upper), ("g.npy", codes)):
        np.save(name, array)
    fit = fastnat.fit_normal(x, left=2.0, right=4.0, axis=0)
    assert_equals_fit(arrays(x, "--left", "2", "--right", "4", "--axis", "0"), fit)
    fit = fastnat.fit_normal(x, truncation=(-9.0, 9.0))
    assert_equals_fit(arrays(x, "--truncation=-9,9"), fit)
    assert_equals_fit(arrays(x, "--noise-std", "e.npy"), fastnat.fit_normal(x, noise_std=std))
    assert_equals_fit(arrays(x, "--noise-std", "0.25"), fastnat.fit_normal(x, noise_std=0.25))
    assert_equals_fit(arrays(x, "--upper", "u.npy"), fastnat.fit_normal(x, upper))
    np.save("l.npy", std + 2.5)
    assert_equals_fit(arrays(x, "--left", "l.npy"), fastnat.fit_normal(x, left=std + 2.5))
    assert_equals_fit(arrays(x[0], "--group", "g.npy"), fastnat.fit_normal(x[0], groups=codes))
    sentence = refused(run, "fit", "x.npy", "--group", "g.csv", code=2)
    assert sentence == "--group must be a .npy file if FILE is one, not 'g.csv'"
    sentence = refused(run, "fit", "x.npy", "--noise-std", "e", code=2)
    assert sentence == "--noise-std must be a number or a .npy file if FILE is one, not 'e'"
    np.save("g.npy", codes - 1)
    assert "groups must not be negative" in refused(run, "fit", "x.npy", "--group", "g.npy")


@pytest.mark.parametrize("shape", [(3, 0), (0, 3), (0, 0), (0,), (2, 0, 3)])
@pytest.mark.parametrize("axis", [-1, 0])
def test_npy_zero_size(arrays, run, shape, axis):
    x = np.empty(shape)
    got = arrays(x, f"--axis={axis}")
    assert_equals_fit(got, fastnat.fit_normal(x, axis=axis))
    assert run("fit", "x.npy", f"--axis={axis}", "--out", "out.csv")[0] == 0
    assert len(Path("out.csv").read_text().splitlines()) == 1 + got["mu"].size


def test_npy_options(arrays, run):
    x = np.random.default_rng(2).normal(size=(3, 7))
    x[1, 2] = NAN
    w = np.arange(7.0)
    np.save("w.npy", w)
    got = arrays(x, "--weights", "w.npy", "--nan-policy", "omit", "--reml")
    assert_equals_fit(got, fastnat.fit_normal(x, weights=w, nan_policy="omit", reml=True))
    np.save("w.npy", -w)
    assert "weights must be finite" in refused(run, "fit", "x.npy", "--weights", "w.npy")
    np.save("w.npy", np.ones(4))
    assert "do not broadcast" in refused(run, "fit", "x.npy", "--weights", "w.npy")
    assert "w.npy" in refused(run, "fit", "x.npy", "--weights", "w.csv", code=2).replace(
        "csv", "npy"
    )
    assert "--columns is for files with names" in refused(
        run, "fit", "x.npy", "--columns", "a", code=2
    )
    assert "axis 2 is out of range" in refused(run, "fit", "x.npy", "--axis", "2")


def test_npy_of_objects_is_not_unpickled(run, here):
    class Trap:
        def __reduce__(self):
            return Path.touch, (here / "made",)

    np.save("x.npy", np.array([Trap()], object), allow_pickle=True)
    assert "x.npy: not an array that can be read" in refused(run, "fit", "x.npy")
    Path("x.npy").write_bytes(pickle.dumps(Trap()))
    assert "x.npy: not an array that can be read" in refused(run, "fit", "x.npy")
    np.save("w.npy", np.ones(3))
    assert "x.npy" in refused(run, "fit", "w.npy", "--weights", "x.npy")
    assert not (here / "made").exists()


@pytest.mark.parametrize("keep", [0, 5, 60, 128, 1000])
def test_npy_truncated(run, keep):
    np.save("x.npy", np.ones(1000))
    Path("x.npy").write_bytes(Path("x.npy").read_bytes()[:keep])
    assert "x.npy: not an array that can be read" in refused(run, "fit", "x.npy")


def test_npy_that_is_an_archive(run):
    with Path("x.npy").open("wb") as file:
        np.savez(file, a=np.ones(3))
    assert "x.npy: not an array that can be read" in refused(run, "fit", "x.npy")


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.ones(3, complex), "real numbers, not complex128"),
        (np.array(["a"]), "real numbers"),
        (np.zeros(3, [("a", "f8")]), "real numbers"),
        (np.array(["2020-01-01"], "M8[D]"), "real numbers"),
        (np.array(3.0), "at least one dimension"),
    ],
    ids=["complex", "text", "structured", "dates", "one number"],
)
def test_npy_that_cannot_be_fitted(run, x, words):
    np.save("x.npy", x)
    sentence = refused(run, "fit", "x.npy")
    assert sentence.startswith("x.npy: ")
    assert words in sentence


# .npz and .parquet


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npz(run, save, order):
    x = np.asarray(np.random.default_rng(5).normal(size=(4, 7)), order=order)
    w = np.arange(7.0)
    save("x.npz", pixels=x, counts=w)
    argv = ["--columns", "pixels", "--weights", "counts", "--out", "o.npz"]
    assert run("fit", "x.npz", *argv)[0] == 0
    with np.load("o.npz") as file:
        assert_equals_fit(dict(file), fastnat.fit_normal(x, weights=w))
    save("x.npz", x.T)
    assert run("fit", "x.npz", "--axis", "0", "--left", "-0.5", "--out", "o.npz")[0] == 0
    with np.load("o.npz") as file:
        assert_equals_fit(dict(file), fastnat.fit_normal(x, left=-0.5))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_is_mapped_not_read(save, run):
    """If it is compressed, from a temporary file."""
    a, b = np.arange(15.0).reshape(3, 5), np.arange(4, dtype=np.int16)
    save("x.npz", a=a, b=b)
    for array, saved in zip(_stores.read_npz(Path("x.npz"), ["a", "b"]), (a, b), strict=True):
        assert isinstance(array, np.memmap)
        np.testing.assert_array_equal(array, saved)
    assert run("fit", "x.npz", "--columns", "b")[0] == 0
    save("x.npz", np.empty((0, 3)))
    assert _stores.read_npz(Path("x.npz"), [])[0].shape == (0, 3)


def test_npz_that_cannot_be_fitted(run):
    np.savez("x.npz", a=np.zeros(3), b=np.array([{}], object))
    assert "--columns must name one of the arrays, 'a', 'b'" in refused(run, "fit", "x.npz", code=2)
    assert "no array 'c'; there are 'a', 'b'" in refused(run, "fit", "x.npz", "--columns", "c")
    words = refused(run, "fit", "x.npz", "--columns", "a", "b", code=2)
    assert "--columns must name the one array" in words
    words = refused(run, "fit", "x.npz", "--weights", "a", code=2)
    assert "--columns must name the one array" in words
    assert "Object arrays cannot be loaded" in refused(run, "fit", "x.npz", "--columns", "b")
    whole = Path("x.npz").read_bytes()
    for content in (b"", b"PK", whole[:200], whole.replace(b"NUMPY", b"LUMPY")):
        Path("x.npz").write_bytes(content)
        assert refused(run, "fit", "x.npz", "--columns", "a").startswith("x.npz: not arrays that")


@pytest.fixture
def table(here):
    """A table of 300 rows in row groups of 100, and what is in it."""
    rng = np.random.default_rng(6)
    columns = {
        "length": rng.normal(5.0, 2.0, 300),
        "count": rng.integers(0, 4, 300),
        "site": np.array(["north", "south", "west"])[rng.integers(0, 3, 300)],
        "small": rng.normal(size=300).astype(np.float32),
    }
    parquet.write_table(pa.table(columns), here / "x.parquet", row_group_size=100)
    return columns


def test_parquet(run, table, monkeypatch):
    """In pieces; the same as from memory."""
    monkeypatch.setattr(_stores, "PIECE", 100)
    code, out, _ = run("fit", "x.parquet", "--out", "o.npz")
    assert code == 0
    assert "Skipped, no numbers: 'site'" in out
    with np.load("o.npz") as file:
        got = dict(file)
    assert got.pop("names").tolist() == ["length", "count", "small"]
    numbers = np.stack([table[name].astype(float) for name in ("length", "count", "small")])
    want = fastnat.fit_normal(numbers)
    for name in ("mu", "sigma", "stderr", "loglik", "nobs"):
        np.testing.assert_allclose(got[name], getattr(want, name), 1e-12)
    argv = ["--columns", "length", "--weights", "count", "--left", "3", "--out", "o.npz"]
    assert run("fit", "x.parquet", *argv)[0] == 0
    with np.load("o.npz") as file:
        got = dict(file)
    want = fastnat.fit_normal(table["length"][None], weights=table["count"], left=3.0)
    for name in ("mu", "sigma", "stderr", "loglik", "nobs"):
        np.testing.assert_allclose(got[name], getattr(want, name), 1e-12)


@pytest.mark.parametrize("more", [[], ["--left", "3"], ["--truncation=-20,20"]])
def test_parquet_of_groups(run, table, more, monkeypatch):
    """In pieces too, which are put in order."""
    monkeypatch.setattr(_stores, "PIECE", 100)
    argv = ["--columns", "length", "--weights", "count", "--group", "site", "--out", "o.npz"]
    assert run("fit", "x.parquet", *argv, *more)[0] == 0
    names, groups = np.unique(table["site"], return_inverse=True)
    with np.load("o.npz") as file:
        got = dict(file)
    assert got.pop("names").tolist() == names.tolist()
    options = {"left": 3.0} if "--left" in more else {}
    options |= {"truncation": (-20.0, 20.0)} if len(more) == 1 else {}
    want = fastnat.fit_normal(table["length"], weights=table["count"], groups=groups, **options)
    for name in ("mu", "sigma", "stderr", "loglik", "nobs"):
        np.testing.assert_allclose(got[name], getattr(want, name), 1e-12)


@pytest.fixture
def spooled(monkeypatch, here):
    """A piece is some rows, a file is not small, and the folder of temporary files is this one."""
    folder = here / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    for module in (_files, _spool, _stores):
        monkeypatch.setattr(module, "PIECE", 100)
    monkeypatch.setattr(_files, "_CHUNK", 7)
    monkeypatch.setattr(_spool, "_SMALL", 1)
    return folder


KINDS = ["csv", "parquet"]
SPOOLED = {
    "complete": {},
    "weights, a limit": {"weights": "count", "left": 4.0},
    "intervals": {"upper": "above"},
    "noise": {"noise_std": "std"},
    "noise, weights, limits": {"noise_std": "std", "weights": "count", "right": 7.0},
    "truncation": {"truncation": (-20.0, 20.0)},
}


def write_rows(kind, n, rng):
    """A table of n rows in a file of this kind -> (its columns, the name of the file)."""
    x = rng.normal(5.0, 2.0, n)
    columns = {"x": x, "above": x + rng.uniform(0.1, 2.0, n), "std": rng.uniform(0.1, 0.9, n)}
    columns |= {"count": rng.integers(0, 4, n).astype(float), "y": rng.normal(5.0, 1.0, n)}
    columns["site"] = np.array(["west", "north", "south, far", "nan"])[rng.integers(0, 4, n)]
    if kind == "parquet":
        parquet.write_table(pa.table(columns), "x.parquet", row_group_size=97)
    else:
        with Path("x.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    return columns, f"x.{kind}"


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("case", SPOOLED)
@pytest.mark.parametrize("kind", KINDS)
def test_tables_in_pieces(run, spooled, rng, kind, case, grouped):
    """The bits of a fit in memory, whatever is asked for, and nothing is left behind."""
    columns, path = write_rows(kind, 350, rng)
    options, argv = dict(SPOOLED[case]), ["--columns", "x", *["y"] * (not grouped)]
    for name, value in options.items():
        shown = ",".join(map(str, value)) if name == "truncation" else value
        argv.append(f"--{name.replace('_', '-')}={shown}")
        options[name] = columns[value] if isinstance(value, str) else value
    values, names = np.stack([columns["x"], columns["y"]]), ["x", "y"]
    if grouped:
        argv += ["--group", "site"]
        names, options["groups"] = np.unique(columns["site"], return_inverse=True)
        values = columns["x"]
    want = fastnat.fit_normal(values, options.pop("upper", None), **options)
    assert run("fit", path, *argv, "--out", "o.npz")[0] == 0
    with np.load("o.npz") as file:
        got = dict(file)
    assert got.pop("names").tolist() == list(names)
    assert_equals_fit(got, want)
    assert list(spooled.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_tables_are_mapped_not_read(spooled, rng, kind):
    """Neither columns nor codes are in memory."""
    write_rows(kind, 350, rng)
    table = read_rows(kind, ["x"], {"noise_std": "std", "groups": "site"})
    for array in (table.values, *table.extras.values()):
        assert isinstance(array, np.memmap)
    assert list(spooled.iterdir()) == []


def read_rows(kind, columns, roles, report=lambda _done, _total: None):
    if kind == "parquet":
        return _stores.read_parquet(Path("x.parquet"), columns, roles, report)
    with Path("x.csv").open("rb") as file:
        return _files.read_csv(file, "x.csv", columns, roles, report)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("spooled")
def test_memory_of_tables_is_flat(rng, kind, monkeypatch):
    """What is allocated is less than one of four columns, where all are needed."""
    n, roles = scaled(200_000, 40_000), {"weights": "count", "noise_std": "std", "groups": "site"}
    write_rows(kind, 50, rng)
    read_rows(kind, ["x"], roles)  # imports and compiles
    write_rows(kind, n, rng)
    for module in (_files, _spool, _stores):
        monkeypatch.setattr(module, "PIECE", n // 40)
    monkeypatch.setattr(_files, "_CHUNK", 64)
    tracemalloc.start()
    try:
        table = read_rows(kind, ["x"], roles)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert table.values.shape == (1, n)
    assert peak < 8 * n


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("method", "at"), [("add", 2), ("_read", 1), ("_sort", 1)])
def test_tables_and_ctrl_c(run, here, spooled, rng, monkeypatch, kind, method, at):
    """While it is read or put in order: nothing is left, and what was there stays."""
    _, path = write_rows(kind, 350, rng)
    (here / "o.npz").write_bytes(b"as it was")
    before, calls = sorted(here.iterdir()), []
    inner = getattr(_spool.Spool, method)

    def interrupt(*arguments):
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        return inner(*arguments)

    monkeypatch.setattr(_spool.Spool, method, interrupt)
    argv = ["--columns", "x", "--out", "o.npz", *["--group", "site"] * (method == "_sort")]
    assert refused(run, "fit", path, *argv, code=130) == "interrupted"
    assert sorted(here.iterdir()) == before
    assert (here / "o.npz").read_bytes() == b"as it was"
    assert list(spooled.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", ["write", "posix_fallocate"])
def test_no_space_for_a_temporary_file(run, spooled, rng, monkeypatch, kind, call):
    """One sentence, not the signal that a map of a file without space would get."""
    _, path = write_rows(kind, 350, rng)
    full = Fails(OSError(errno.ENOSPC, "No space left on device"))
    if call == "write":
        monkeypatch.setattr(tempfile.SpooledTemporaryFile, "write", full)
    else:
        monkeypatch.setattr(os, call, full)
    assert refused(run, "fit", path, "--columns", "x") == "No space left on device"
    assert list(spooled.iterdir()) == []


def test_parquet_categories_without_rows_are_no_groups(run, here):
    site = pa.DictionaryArray.from_arrays([1, 0, 1, 0], ["b", "a", "unused"])
    table = pa.table({"x": [1.0, 2.0, 4.0, 7.0], "site": site})
    parquet.write_table(table, here / "x.parquet")
    assert run("fit", "x.parquet", "--group", "site", "--out", "o.npz")[0] == 0
    with np.load("o.npz") as file:
        assert file["names"].tolist() == ["a", "b"]
        np.testing.assert_array_equal(file["mu"], [2.5, 4.5])


def test_parquet_with_missing_values(run, here):
    columns = {"a": [1.0, None, 2.5, 4.0], "b": [1, 2, None, 4]}
    parquet.write_table(pa.table(columns), here / "x.parquet")
    out = run("fit", "x.parquet")[1]
    assert "2 fits: 2 nan_input" in out
    assert "2 fits: 2 ok" in run("fit", "x.parquet", "--nan-policy", "omit")[1]
    assert "contains NaN" in refused(run, "fit", "x.parquet", "--nan-policy", "raise")


def test_parquet_decimals_are_numbers(run, here):
    """As a database writes them; dates and truth values are left out by name."""
    price = pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("2.75")], pa.decimal128(9, 2))
    day = pa.array([dt.date(2024, 1, k) for k in (1, 2, 3)])
    table = pa.table({"price": price, "day": day, "sold": [True, False, True]})
    parquet.write_table(table, here / "x.parquet")
    code, out, _ = run("fit", "x.parquet", "--nan-policy", "omit", "--out", "o.npz")
    assert code == 0
    assert "Skipped, no numbers: 'day', 'sold'" in out
    with np.load("o.npz") as file:
        np.testing.assert_array_equal([file["mu"], file["nobs"]], [[2.0], [2.0]])


def test_parquet_that_cannot_be_fitted(run, table, here, monkeypatch):
    assert "no column 'x'; there are" in refused(run, "fit", "x.parquet", "--columns", "x")
    words = refused(run, "fit", "x.parquet", "--columns", "site")
    assert "column 'site' holds string, not numbers" in words
    assert "--axis is for" in refused(run, "fit", "x.parquet", "--axis", "0", code=2)
    words = refused(run, "fit", "x.parquet", "--group", "site", code=2)
    assert "--group needs one column to fit" in words
    words = refused(run, "fit", "x.parquet", "--columns", "count", "--weights", "small")
    assert "weights must be finite" in words
    parquet.write_table(pa.table({"site": table["site"]}), here / "y.parquet")
    assert "no column of numbers" in refused(run, "fit", "y.parquet")
    whole = (here / "x.parquet").read_bytes()
    for content in (b"", whole[:500], b"PAR1" * 20):
        (here / "y.parquet").write_bytes(content)
        assert refused(run, "fit", "y.parquet").startswith("y.parquet: not a table that can be")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install 'fastnat[parquet]'" in refused(run, "fit", "x.parquet")


# The table


def test_table_is_aligned(run):
    Path("data.csv").write_text("length,n\n300.1,3\n299.9,3\n300.3,3\n")
    fit = fastnat.fit_normal([300.1, 299.9, 300.3])
    mu, se_mu, sigma, se_sigma = fit.mu, fit.stderr[0], fit.sigma, fit.stderr[1]
    assert run("fit", "data.csv")[1] == (
        "data.csv, maximum likelihood: 2 fits: 1 ok, 1 sigma_zero\n\n"
        "name    n        mu   +- se   sigma   +- se  status\n"
        f"length  3  {mu:.4f}  {se_mu:.4f}  {sigma:.4f}  {se_sigma:.4f}  ok\n"
        "n       3    3               0               sigma_zero\n\n"
        f"sigma_zero: {fastnat.Status.SIGMA_ZERO.message}\n"
    )


def test_table_of_one_problem(run):
    np.save("x.npy", np.arange(5.0))
    assert run("fit", "x.npy")[1] == (
        "x.npy, maximum likelihood\n\n"
        "n     mu  +- se  sigma  +- se  status\n"
        "5  2.000  0.632  1.414  0.447  ok\n\n"
    )


@pytest.mark.parametrize(("n_fits", "n_lines"), [(20, 21), (21, 22), (10_011, 22)])
def test_table_of_a_batch_is_short(run, n_fits, n_lines):
    x = np.repeat(np.arange(float(n_fits)), 2).reshape(-1, 2)
    x[:, 1] += 1.0
    x[3, 0] = NAN
    np.save("x.npy", x)
    code, out, _ = run("fit", "x.npy")
    assert code == 0
    assert f"{n_fits:,} fits: {n_fits - 1:,} ok, 1 nan_input" in out
    table = out.split("\n\n")[1].splitlines()
    assert len(table) == n_lines
    assert ("..." in table) == (n_fits > 20)
    shown = [int(line.split()[0]) for line in table[1:] if line != "..."]
    assert shown == [*range(10), *range(n_fits - 10, n_fits)]
    assert float(table[-1].split()[2]) == n_fits - 0.5


@pytest.mark.parametrize(
    ("value", "error", "want"),
    [
        (299.8524, 0.00786, ("299.85240", "0.00786")),
        (-12345.678, 1234.5, ("-12346", "1234")),
        (1e9, 1e-9, ("1000000000", "1e-09")),
        (1e20, 1.2345, ("1e+20", "1.23")),
        (3.0, NAN, ("3", "")),
        (NAN, NAN, ("nan", "")),
        (1.5e-300, 2e-301, ("1.5e-300", "2e-301")),
    ],
)
def test_numbers_are_shown_to_their_error(value, error, want):
    assert _show._number(value, error) == want


@pytest.mark.usefixtures("here")
def test_characters_the_terminal_lacks(monkeypatch):
    Path("data.csv").write_text("na\u00efve,\x1b[31mred\n1,2\n2,3\n", encoding="utf-8")
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    assert main(["fit", "data.csv"]) == 0
    shown = stdout.buffer.getvalue()
    assert b"\nna\\xefve" in shown
    assert b"\n\\x1b[31mred" in shown


# --out


def test_out_csv_of_a_batch(run):
    shape = scaled((3, 50, 200), (3, 5, 20))
    x = np.random.default_rng(4).normal(size=(*shape, 4))
    x[1, 2, 3] = 7.0
    np.save("x.npy", x)
    assert run("fit", "x.npy", "--out", "o.csv")[0] == 0
    fit = fastnat.fit_normal(x)
    with Path("o.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    want = ["n", "mu", "se_mu", "sigma", "se_sigma", "loglik", "status"]
    assert head == ["index_0", "index_1", "index_2", *want]
    assert len(rows) == math.prod(shape)
    index = np.array([row[:3] for row in rows], int)
    np.testing.assert_array_equal(index, np.array(list(np.ndindex(shape))))
    got = np.array([row[3:-1] for row in rows], float).T
    parts = [fit.nobs, fit.mu, fit.stderr[..., 0], fit.sigma, fit.stderr[..., 1], fit.loglik]
    np.testing.assert_array_equal(got, [np.ravel(part) for part in parts])
    assert [row[-1] for row in rows if row[-1] != "ok"] == ["sigma_zero"]
    odd = rows[np.ravel_multi_index((1, 2, 3), shape)]
    assert (odd[:4], odd[-1]) == (["1", "2", "3", "4"], "sigma_zero")


def test_out_csv_of_one_problem(run):
    np.save("x.npy", np.arange(5.0))
    assert run("fit", "x.npy", "--out", "o.csv")[0] == 0
    head, row = Path("o.csv").read_text().splitlines()
    assert head == "n,mu,se_mu,sigma,se_sigma,loglik,status"
    assert_same((*map(float, row.split(",")[:-1]), row.split(",")[-1]), expected(range(5)))


def test_out_npz_of_csv(run):
    Path("data.csv").write_text("a,na\u00efve\n1,2\n2,7\n", encoding="utf-8")
    code, out, _ = run("fit", "data.csv", "--out", "o.NPZ")
    assert code == 0
    assert "o.NPZ" in out
    with np.load("o.NPZ") as file:  # nothing in it is pickled
        got = dict(file)
    assert got.pop("names").tolist() == ["a", "na\u00efve"]
    assert_equals_fit(got, fastnat.fit_normal([[1.0, 2.0], [2.0, 7.0]]))


def test_out_is_refused_before_anything_is_read(run, here):
    (here / "dir.csv").mkdir()
    assert "must end in .csv or .npz" in refused(run, "fit", "none.csv", "--out", "o.txt", code=2)
    assert "must end in .csv or .npz" in refused(run, "fit", "none.csv", "--out", "o", code=2)
    assert "no directory" in refused(run, "fit", "none.csv", "--out", "no/o.csv")
    assert "is a directory" in refused(run, "fit", "none.csv", "--out", "dir.csv")


def test_out_does_not_replace_the_input(run):
    content = "a\n1\n2\n"
    Path("data.csv").write_text(content)
    Path("link.csv").symlink_to("data.csv")
    for name in ("data.csv", "./data.csv", "link.csv"):
        assert "replace the input" in refused(run, "fit", "data.csv", "--out", name, code=2)
    assert Path("data.csv").read_text() == content


def test_out_follows_a_link_and_keeps_the_umask(run, here):
    Path("data.csv").write_text("a\n1\n2\n")
    (here / "there").mkdir()
    Path("link.csv").symlink_to("there/o.csv")
    assert run("fit", "data.csv", "--out", "link.csv")[0] == 0
    assert Path("link.csv").is_symlink()
    assert Path("there/o.csv").stat().st_mode == Path("data.csv").stat().st_mode


class Fails:
    """Raises an error whenever it is called."""

    def __init__(self, error):
        self.error = error

    def __call__(self, *_args, **_options):
        raise self.error


@pytest.mark.parametrize("name", ["o.csv", "o.npz"])
@pytest.mark.parametrize("old", [None, b"as it was"])
@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 1, "No space left on device"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "not enough memory"),
    ],
    ids=["full", "ctrl-c", "memory"],
)
def test_failing_write_leaves_nothing_behind(run, here, monkeypatch, name, old, error, code, words):
    Path("data.csv").write_text("a\n1\n2\n")
    if old is not None:
        Path(name).write_bytes(old)
    before = sorted(here.iterdir())
    write = _files._write_npz if name.endswith("npz") else _files._write_csv

    def write_and_fail(*args):
        write(*args)
        assert len(list(here.iterdir())) == len(before) + 1
        raise error

    monkeypatch.setattr(_files, write.__name__, write_and_fail)
    assert words in refused(run, "fit", "data.csv", "--out", name, code=code)
    assert sorted(here.iterdir()) == before
    assert old is None or Path(name).read_bytes() == old


# Refusals, exit codes, help


def test_input_that_is_not_there(run):
    assert refused(run, "fit", "none.csv") == "none.csv: No such file or directory"
    assert refused(run, "fit", "none.npy") == "none.npy: No such file or directory"
    assert "must end in .csv, .npy, .npz or .parquet" in refused(run, "fit", "none.xlsx", code=2)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["fit"],
        ["fly"],
        ["fit", "x.npy", "--axis", "a"],
        ["fit", "x.npy", "--axis", "0,"],
        ["fit", "x.npy", "--nan-policy", "drop"],
        ["fit", "x.npy", "--truncation", "0"],
        ["fit", "x.npy", "--truncation", "0,b"],
        ["fit", "x.npy", "--ou", "o.csv"],
        ["demo", "--fits", "0"],
        ["demo", "--fits", "-3"],
    ],
)
def test_usage(run, argv):
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert err.startswith("usage: python -m fastnat")


def test_help_and_version(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert run("--version") == (0, f"fastnat {fastnat.__version__}\n", "")
    for argv in (["--help"], ["fit", "--help"], ["demo", "--help"]):
        code, out, err = run(*argv)
        assert (code, err) == (0, "")
        assert max(map(len, out.splitlines())) <= 80
    assert "python -m fastnat fit lengths.csv" in run("fit", "--help")[1]


def test_interrupt(run, monkeypatch):
    np.save("x.npy", np.ones(3))
    monkeypatch.setattr(cli, "fit_normal", Fails(KeyboardInterrupt()))
    assert refused(run, "fit", "x.npy", code=130) == "interrupted"


# Progress


@pytest.fixture
def terminal(run, monkeypatch):
    """Run where a bar is drawn at every step of whatever lasts at all."""
    monkeypatch.setattr(cli, "_PROGRESS_AFTER", 0.0)
    monkeypatch.setattr(tqdm, "tqdm", functools.partial(tqdm.tqdm, mininterval=0.0))
    np.save("x.npy", np.zeros((2, 20_000)))

    def terminal(*argv, isatty=True):
        # Pytest puts another stderr in place between fixtures and tests.
        monkeypatch.setattr(sys.stderr, "isatty", lambda: isatty)
        return run(*argv)

    return terminal


def test_progress(terminal):
    code, out, err = terminal("fit", "x.npy", "--out", "o.csv")
    assert code == 0
    assert "%" not in out
    assert re.search(r"Fitting +100 % .*Writing +100 %", err, re.DOTALL)
    assert "Reading" not in err
    assert re.search(r"\r +\r$", err)  # nothing of it stays
    assert _blocks.on_block.get() is None
    Path("x.csv").write_text("1\n" * 2000)
    assert re.search(r"Reading +\d+ %.*Reading +100 %", terminal("fit", "x.csv")[2], re.DOTALL)


def test_no_progress_for_short_runs(terminal, monkeypatch):
    monkeypatch.setattr(cli, "_PROGRESS_AFTER", 1000.0)
    assert terminal("fit", "x.npy", "--out", "o.csv")[2] == ""


def test_no_progress_without_a_terminal(terminal):
    assert terminal("fit", "x.npy", isatty=False)[2] == ""


def test_no_progress_without_tqdm(terminal, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert terminal("fit", "x.npy")[2] == ""


# The demo


def test_michelson_data():
    text = resources.files("fastnat").joinpath("data", "michelson.csv").read_text("ascii")
    name, *values = text.split()
    x = np.array(values, float)
    assert name == "speed_of_light"
    assert x.size == 100
    # Exact in hundredths: NIST's certified mean is the mean of these numbers and no others.
    hundredths = np.rint(100.0 * x).astype(int)
    assert hundredths.sum() == 2_998_524
    ss = 100 * int((hundredths**2).sum()) - int(hundredths.sum()) ** 2
    assert f"{np.sqrt(ss / 9900) / 100:.12f}" == "0.079010547819"


def test_demo(run):
    sd = 0.0790105478190518
    code, out, err = run("demo", "--fits", "20")
    assert (code, err) == (0, "")
    lines = {line[:30].strip(): line for line in out.splitlines()}
    assert "299.852400000000" in lines["restricted (reml=True): mean"]
    assert "299.852400000000" in lines["maximum likelihood: mean"]
    assert "299.852400000000" in lines["certified by NIST: mean"]
    assert "0.0790105478190518" in lines["certified by NIST: sd"]
    shown = re.search(r": sd +(\d\.\d{16}) ", lines["restricted (reml=True): sd"])
    assert abs(float(shown[1]) / sd - 1.0) < 1e-13
    shown = re.search(r": sd +(\d\.\d{16}) ", lines["maximum likelihood: sd"])
    assert abs(float(shown[1]) / (sd * np.sqrt(0.99)) - 1.0) < 1e-13
    half = stats.t.ppf(0.975, 99) * sd / 10
    interval = f"{299.8524 - half:.4f} to {299.8524 + half:.4f}"
    assert interval in lines["restricted (reml=True): mean"]
    low, high = sd * np.sqrt(99 / stats.chi2.ppf([0.975, 0.025], 99))
    assert f"{low:.4f} to {high:.4f}" in lines["restricted (reml=True): sd"]
    half = stats.norm.ppf(0.975) * sd * np.sqrt(0.99) / 10
    interval = f"{299.8524 - half:.4f} to {299.8524 + half:.4f}"
    assert interval in lines["maximum likelihood: mean"]
    assert "20 samples of 32" in out
    assert "20 fits: 20 ok" in out
    assert "200 made-up values" in out
    assert out.count("NumPy, np.mean and np.std") == 2
    assert "NumPy gives no standard errors" in out


# Another process


def python(*argv, **options):
    command = [sys.executable, *map(str, argv)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False, **options
    )


def test_module_runs(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("a\n1\n2\nx\n")
    done = python("-m", "fastnat", "fit", path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"fastnat: {path}, line 4, column 'a': 'x' is not a number")
    path.write_text("a\n1\n2\n3\n")
    done = python("-W", "error", "-m", "fastnat", "fit", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^a +3 +2\.000 +0\.471 +0\.816 +0\.333 +ok$", done.stdout, re.MULTILINE)


def test_closed_pipe(tmp_path):
    """`| head` is neither an error message nor the end of --out."""
    np.save(tmp_path / "x.npy", np.ones((30, 3)))
    reader, writer = os.pipe()
    os.close(reader)
    argv = ["-m", "fastnat", "fit", tmp_path / "x.npy", "--out", tmp_path / "o.csv"]
    done = subprocess.run(
        [sys.executable, *map(str, argv)],
        cwd=ROOT,
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=300,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 31


def test_ctrl_c(tmp_path):
    """While it waits for the data."""
    fifo = tmp_path / "slow.csv"
    os.mkfifo(fifo)
    # A shell may have started these tests with the signal ignored, which would be inherited.
    code = (
        "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "sys.argv = ['fastnat', 'fit', sys.argv[1], '--out', sys.argv[1] + '.npz'];"
        "runpy.run_module('fastnat', run_name='__main__')"
    )
    command = [sys.executable, "-c", code, str(fifo)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        while process.poll() is None:
            try:
                pipe = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # nobody reads yet
                time.sleep(0.02)
            else:
                break
        os.write(pipe, b"a\n1\n2\n")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=600)
        os.close(pipe)
    assert (process.returncode, out, err) == (130, b"", b"fastnat: interrupted\n")
    assert list(tmp_path.iterdir()) == [fifo]


def test_parquet_groups_without_a_name(run, here):
    """A nested type, whose missing values pyarrow counts."""
    site = pa.array([["a"], None, ["b"], ["a"]])
    parquet.write_table(pa.table({"x": [1.0, 2.0, 4.0, 3.0], "site": site}), here / "x.parquet")
    message = refused(run, "fit", "x.parquet", "--columns", "x", "--group", "site")
    assert "'site': a group has no name" in message
