"""The command line and files that are broken, or made to do harm: one line, or a fit, always."""

import builtins
import contextlib
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import scaled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from fastnat import _files
from fastnat.__main__ import main

MARK = Path("executed")


class Trap:
    """Whoever unpickles this opens a file for writing."""

    def __reduce__(self):
        return builtins.open, (str(MARK), "w")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty working directory, in which nobody executes anything."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not MARK.exists()


def fit(name, *argv):
    """(exit code, sentence): a fit and silence, or one sentence that names the file."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["fit", name, *argv])
    if code == 0:
        assert err.getvalue() == ""
        assert out.getvalue().startswith(name)
        return code, ""
    assert code in (1, 2)
    assert out.getvalue() == ""
    line, end, rest = err.getvalue().partition("\n")
    assert (end, rest) == ("\n", "")
    assert line.isprintable()
    assert line.startswith(f"fastnat: {name}")
    assert len(line) < 400
    return code, line


def fit_bytes(kind, content, *argv):
    Path(f"x.{kind}").write_bytes(content)
    return fit(f"x.{kind}", *argv)


# ---- whole files, to be broken ---------------------------------------------------------------


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def npz(save, **arrays):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def pq(columns, **options):
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file, **options)
    return file.getvalue()


TABLE = np.arange(12.0).reshape(3, 4)
WHOLE = {
    "npy": [
        npy(TABLE),
        npy(np.asfortranarray(TABLE)),
        npy(np.arange(5, dtype=">f4"), version=(2, 0)),
        npy(np.arange(6.0), version=(3, 0)),
        npy(np.array([Trap()], object)),
        npy(np.zeros(3, [("a", float)])),
        npy(np.zeros((0, 3))),
    ],
    "npz": [
        npz(save, **arrays)
        for save in (np.savez, np.savez_compressed)
        for arrays in (
            {"a": TABLE},
            {"a": np.arange(4.0), "b": np.arange(4)},
            {"a": np.array([Trap()], object)},
            {"a": np.zeros((0, 2))},
        )
    ],
    "csv": [
        b"a,b\n1,2\n3,4\n5,9\n",
        b"\xef\xbb\xbfa,b\r\n1,2\r\n3,\r\n5,1e999\r\n",
        b"1,2\n3,4\n",
        b'"a","b"\n"1","u"\n"2","v"\n',
        "a,b\n1,2\n".encode("utf-16"),
        pickle.dumps(Trap(), 0),
    ],
    "parquet": [
        pq({"a": [1.0, 2.0, 5.0], "b": ["u", "v", "u"]}),
        pq({"a": pa.array([1, None, 3])}, compression="gzip"),
        pq({"a": np.arange(300.0), "b": np.arange(300)}, row_group_size=100),
        pq({"a": [1.5, 2.5], "b": [b"\xff", b"x"], "l": [[1.0], [2.0]]}),
    ],
}
OPTIONS = [
    [],
    ["--columns", "a"],
    ["--columns", "a", "--weights", "b"],
    ["--columns", "a", "--group", "b"],
    ["--columns", "a", "--upper", "b", "--out", "o.csv"],
    ["--nan-policy", "omit", "--out", "o.npz"],
    ["--left", "2"],
    ["--truncation", "0,9"],
]


def breakages(size):
    """(place, how many bytes are taken away, what is put there) of a file of so many bytes."""
    anywhere = st.integers(0, size) | st.integers(0, min(size, 140)) | st.integers(-40, -1)
    lengths = st.sampled_from([0, 1, 1, 2, 4, 4, 16, 1 << 30])
    put = st.sampled_from(
        [b"", b"\xff", b"\xff\xff\xff\xff", b"\0\0\0\0", b"9999", b"((((", b"'", b'"', b"\n", b","]
    )
    return st.tuples(anywhere, lengths, put | st.binary(max_size=6))


@st.composite
def broken_files(draw, kind):
    content = draw(st.sampled_from(WHOLE[kind]))
    for place, taken, put in draw(st.lists(breakages(len(content)), min_size=1, max_size=6)):
        place = place if place >= 0 else max(0, len(content) + place)
        content = content[:place] + put + content[place + taken :]
    return content


EXAMPLES = {"npy": scaled(400, 100), "npz": scaled(500, 200), "csv": 100, "parquet": 200}


@pytest.mark.parametrize("kind", WHOLE)
def test_broken_files(kind):
    @settings(max_examples=EXAMPLES[kind], suppress_health_check=[HealthCheck.too_slow])
    @given(broken_files(kind), st.sampled_from(OPTIONS))
    def check(content, argv):
        fit_bytes(kind, content, *([] if kind == "npy" and "--columns" in argv else argv))
        assert not MARK.exists()

    check()


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("content", [b"", b"\0" * 1000, b"\xff" * 1000, pickle.dumps(Trap())])
def test_what_is_no_file_of_its_kind(kind, content):
    names_only = kind == "csv" and content[:1] == b"\0"  # a column with a strange name
    assert fit_bytes(kind, content)[0] == (0 if names_only else 1)


@pytest.mark.parametrize("kind", WHOLE)
def test_what_is_not_there(kind):
    Path(f"d.{kind}").mkdir()
    assert fit(f"d.{kind}") == (1, f"fastnat: d.{kind}: Is a directory")
    Path(f"l.{kind}").symlink_to("nowhere")
    assert fit(f"l.{kind}") == (1, f"fastnat: l.{kind}: No such file or directory")


def test_a_trap_is_one():
    """What the fixture looks for can happen."""
    pickle.loads(pickle.dumps(Trap())).close()
    assert MARK.exists()
    MARK.unlink()
    for content in (npy(np.array([Trap()], object)), npz(np.savez, a=np.array([Trap()], object))):
        loaded = np.load(io.BytesIO(content), allow_pickle=True)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            loaded = loaded["a"]
        loaded[0].close()
        assert MARK.exists()
        MARK.unlink()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_pickles_are_not_loaded(save):
    trap = np.array([Trap(), Trap()], object)
    record = np.array([(1.0, Trap())], [("a", float), ("o", object)])
    for array in (trap, record):
        assert fit_bytes("npy", npy(array))[0] == 1
        assert fit_bytes("npz", npz(save, a=array, b=np.arange(2.0)), "--columns", "a")[0] == 1
        whole = npz(save, a=array, b=np.arange(2.0))
        assert fit_bytes("npz", whole, "--columns", "b", "--weights", "a")[0] == 1
    assert fit_bytes("npz", npz(save, a=trap, b=np.arange(2.0)), "--columns", "b")[0] == 0


# ---- headers that claim what is not there ----------------------------------------------------


def header(shape="(3,)", descr="'<f8'", order="False", data=b"\0" * 96, text=None):
    """A .npy file with this in its header."""
    if text is None:
        text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("latin1") + data


CLAIMS = {
    "more than there is": header("(13,)"),
    "2**63": header("(9223372036854775807,)"),
    "2**124": header("(4611686018427387904, 4611686018427387904)"),
    "10**400": header(f"({10**400},)"),
    "nothing, 2**62 times": header("(4611686018427387904, 0)"),
    "nothing, 2**40 times": header("(1099511627776, 0)"),
    "negative": header("(-3,)"),
    "negative twice": header("(-3, -4)"),
    "a fraction": header("(3.0,)"),
    "a flag": header("(True,)"),
    "a list": header("[3]"),
    "65 dimensions": header(f"({'1,' * 65})"),
    "a large item": header("(1,)", "'S2147483647'"),
    "a larger item": header("(1,)", "'V99999999999'"),
    "objects": header("(3,)", "'O'"),
    "text": header("(3,)", "'<U8'"),
    "a flag of 1": header(order="1"),
    "parentheses": header(text="(" * 5000),
    "brackets": header(text="[" * 3000 + "]" * 3000),
    "signs": header(text="-" * 9000 + "1"),
    "a call": header(text=f"__import__('pathlib').Path('{MARK}').touch()"),
    "a call inside": header(descr=f"open('{MARK}', 'w')"),
    "nothing": header(text=""),
    "zeros": header(text="\0" * 100),
    "a long header": header(text=" " * 60000),
    "a header of 4 GB": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b"x" * 50,
    "version 9": b"\x93NUMPY\x09\x00\x10\x00" + b"x" * 50,
    "half of the magic": b"\x93NUM",
}


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("compression", [None, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_claims(claim, compression):
    """Nothing is allocated, nothing executed, whatever a header claims."""
    if compression is None:
        assert fit_bytes("npy", CLAIMS[claim])[0] == 1
        return
    with zipfile.ZipFile("x.npz", "w", compression) as archive:
        archive.writestr("a.npy", CLAIMS[claim])
    assert fit("x.npz")[0] == 1


def test_what_a_header_may_say():
    """The headers above are refused for what is wrong with them."""
    assert fit_bytes("npy", header("(12,)"))[0] == 0
    assert fit_bytes("npy", header("(1000, 0)"))[0] == 0
    assert fit_bytes("npy", header("(96,)", "'|b1'", data=bytes(range(96))))[0] == 0


def archive_of(**members):
    with zipfile.ZipFile("x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_archives(here):
    good = header("(12,)")
    archive_of()
    assert fit("x.npz")[1] == "fastnat: x.npz: there is no array in the archive"
    archive_of(**{"readme.txt": b"x", "a": good})
    assert fit("x.npz")[1] == "fastnat: x.npz: there is no array in the archive"
    archive_of(**{"../../a.npy": good, "/b.npy": good})
    assert fit("x.npz", "--columns", "../../a")[0] == 0
    assert {path.name for path in here.iterdir()} == {"x.npz"}
    archive_of(**{"a\n\x1b[2J.npy": good, "n" * 5000 + ".npy": good})
    code, line = fit("x.npz")
    assert code == 2
    assert r"'a\n\x1b[2J'" in line
    # The sum of a compressed member is checked.
    archive_of(**{"a.npy": npy(np.arange(1000.0))})
    whole = Path("x.npz").read_bytes()
    spoilt = bytearray(whole)
    spoilt[whole.index(b"PK\x01\x02") + 16] ^= 1
    assert "Bad CRC-32" in fit_bytes("npz", bytes(spoilt))[1]
    encrypted = bytearray(whole)
    for flags in (6, whole.index(b"PK\x01\x02") + 8):
        encrypted[flags] |= 1
    assert "is encr" in fit_bytes("npz", bytes(encrypted))[1]


# ---- tables ----------------------------------------------------------------------------------


def test_tables_with_strange_names():
    long = "n" * 5000
    content = f'"{long}","a\n\x1b[2J"\n1,2\n2,4\n'.encode()
    assert fit_bytes("csv", content)[0] == 0
    code, line = fit_bytes("csv", content, "--columns", "a")
    assert code == 1
    assert r"'a\n\x1b[2J'" in line
    assert fit_bytes("csv", f"{long},b\nx,1\n".encode(), "--weights", long)[0] == 1
    assert fit_bytes("csv", f"{long},b\n,1\n".encode(), "--columns", "b", "--group", long)[0] == 1
    names = [long, "a\n\x1b[2J", "", "a.b", "a"]
    content = pq({name: [1.0, 2.0] for name in names})
    assert fit_bytes("parquet", content)[0] == 0
    assert fit_bytes("parquet", content, "--columns", "a.b")[0] == 0
    code, line = fit_bytes("parquet", content, "--columns", "b")
    assert code == 1
    assert r"'a\n\x1b[2J'" in line


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_columns_of_one_name(kind):
    if kind == "csv":
        content = b"a,a\n1,2\n"
    else:
        file = io.BytesIO()
        parquet.write_table(pa.table([pa.array([1.0]), pa.array([2.0])], names=["a", "a"]), file)
        content = file.getvalue()
    assert fit_bytes(kind, content) == (1, f"fastnat: x.{kind}: 2 columns are named 'a'")


@pytest.mark.parametrize(
    "groups",
    [[[1], [2], [1]], [[1], [2, 3], [1]], [b"\xff", b"x", b"\xff"], [{"k": 1}, {"k": 2}, {"k": 1}]],
    ids=["lists", "ragged lists", "bytes", "structures"],
)
def test_groups_of_anything(groups):
    """Each is its text."""
    content = pq({"a": [1.0, 2.0, 5.0], "g": groups})
    argv = ["--columns", "a", "--group", "g", "--out", "o.npz"]
    assert fit_bytes("parquet", content, *argv)[0] == 0
    with np.load("o.npz") as file:
        assert sorted(file["mu"]) == [2.0, 3.0]


def test_missing_values_that_trap():
    """Signalling NaN in a column that is widened to double precision."""
    x = np.array([0x7FA00001, 0, 0x3F800000], np.uint32).view(np.float32)
    assert fit_bytes("parquet", pq({"a": x}), "--nan-policy", "omit")[0] == 0
    assert fit_bytes("npy", npy(x), "--nan-policy", "omit")[0] == 0


ENCODINGS = {
    "UTF-16": "a,b\n1,2\n".encode("utf-16"),
    "UTF-32": "a,b\n1,2\n".encode("utf-32"),
    "Latin-1": b"a,\xfc\n1,2\n",
    "late": b"a\n" + b"1\n" * 20000 + b"\xff\n",
    "a half": b"a\n1\n\xe2\x82",
    "surrogates": b"a\n\xed\xa0\x80\n",
    "gzip": b"\x1f\x8b\x08",
}


@pytest.mark.parametrize("case", ENCODINGS)
def test_other_encodings(case):
    code, line = fit_bytes("csv", ENCODINGS[case])
    assert code == 1
    assert line.startswith("fastnat: x.csv: is not UTF-8 text (")


@pytest.mark.parametrize(
    "content",
    [
        b'"',
        b'a\n"1\n2',
        b"a\n" + b"1" * 200_000,
        b"a,b\n1,2\n3\n",
        b"a\n" + b"1," * 100_000,
    ],
    ids=["a quote", "no end", "a long cell", "short row", "long row"],
)
def test_malformed_csv(content):
    assert fit_bytes("csv", content)[0] == 1


def test_wide_and_deep_csv():
    row = b",".join([b"1"] * scaled(20_000, 500)) + b"\n"
    assert fit_bytes("csv", row * 3)[0] == 0
    assert fit_bytes("csv", b"a\n" + b"9" * 5000 + b"\n1\n")[0] == 0  # inf


def test_names_of_columns_are_looked_at_once():
    """Not once for each of them: 20,000 columns took 9 seconds, and take 0.2."""

    class Names(list):
        looks = 0

        def __iter__(self):
            Names.looks += 1
            return super().__iter__()

        def count(self, _):
            raise AssertionError

        index = __contains__ = count

    names = Names(f"gene_{i}" for i in range(100))
    assert _files.select_names(names, "table", None, {"weights": "gene_7"}) == [
        name for name in names if name != "gene_7"
    ]
    assert Names.looks < 10


def test_names_of_files_that_are_not_there():
    for name in ("a\nb.npy", "x\udcff.csv", "\x1b[2J.parquet"):
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            assert main(["fit", name]) == 1
        assert err.getvalue().count("\n") == 1
        assert err.getvalue()[:-1].isprintable()


def test_errors_of_the_disk_stay_what_they_are():
    """`reading` is about what is in a file."""
    with pytest.raises(PermissionError), _files.reading(Path("x"), "an array"):
        raise PermissionError(13, os.strerror(13), "x")
    with pytest.raises(KeyboardInterrupt), _files.reading(Path("x"), "an array"):
        raise KeyboardInterrupt
    with pytest.raises(_files.Refused, match="MemoryError"), _files.reading(Path("x"), "an array"):
        raise MemoryError
    long = "y" * 300
    with pytest.raises(_files.Refused) as caught, _files.reading(Path("x"), "an array"):
        raise ValueError(long + "\nand more")
    assert len(str(caught.value)) < 200
