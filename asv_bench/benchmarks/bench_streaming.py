"""Chunks that come one after the other, on one thread, beside NumPy, scikit-learn and reading."""

import functools
import tempfile
from pathlib import Path

import numpy as np

import fastnat

from . import common
from .measuring import Timed, Work, fraction, measured, times, told

streaming = fastnat.streaming


def _chunks(left):
    """One sample in chunks of a million; Chan's update by NumPy is the peer."""
    x = common.normal(10, 1_000_000)

    def ours():
        stats = streaming.NormalStats(left=left)
        for chunk in x:
            stats.update(chunk, n_threads=1)
        return stats.fit()

    def numpy():
        n, mean, m2 = 0, 0.0, 0.0
        for chunk in x:
            gap = chunk.mean() - mean
            m2 += chunk.var() * chunk.size + gap * gap * n * chunk.size / (n + chunk.size)
            mean += gap * chunk.size / (n + chunk.size)
            n += chunk.size
        return mean, np.sqrt(m2 / n)

    return Work(ours, {"numpy": numpy} if left is None else {}, reads=tuple(x), items=x.size)


def _many():
    """A million problems, four more observations of each."""
    x = common.normal(1_000_000, 4)
    stats = streaming.NormalStats(len(x))
    stats.update(x)
    return Work(lambda: stats.update(x, n_threads=1), items=len(x))


def _tables(d):
    """Chunks of 10,000 rows of a table."""
    x = common.normal(10_000, d) + 1000.0
    stats = streaming.MvnStats()
    return Work(lambda: stats.update(x, n_threads=1), {"numpy": lambda: np.cov(x.T)}, items=len(x))


def _columns():
    """Chunks of 10,000 rows, each column on its own, which scikit-learn can add up, too."""
    x = common.normal(10_000, 20)
    stats = streaming.NormalStats(20)

    @functools.cache
    def scaler():
        from sklearn.preprocessing import StandardScaler

        return StandardScaler()

    sklearn = lambda: scaler().partial_fit(x)  # noqa: E731
    return Work(lambda: stats.update(x.T, n_threads=1), {"sklearn": sklearn}, items=len(x))


def _regressions(d):
    """The same table, a column on the others."""
    x = common.normal(10_000, d) + 1000.0
    stats = streaming.LinearStats()
    return Work(lambda: stats.update(x[:, 0], x[:, 1:], n_threads=1), items=len(x))


def _followed(left):
    """100,000 series, ten more observations of each."""
    x = common.normal(100_000, 10)
    online = streaming.OnlineNormal(len(x), left=left, burn_in=50)
    for _ in range(20):
        online.update(x, n_threads=1)
    return Work(lambda: online.update(x, n_threads=1), items=x.size)


WORKS = {
    "chunks": functools.partial(_chunks, None),
    "chunks, censored": functools.partial(_chunks, -0.5),
    "1e6 problems": _many,
    "columns": _columns,
    "tables, d=3": functools.partial(_tables, 3),
    "tables, d=20": functools.partial(_tables, 20),
    "regressions, d=3": functools.partial(_regressions, 3),
    "regressions, d=20": functools.partial(_regressions, 20),
    "online": functools.partial(_followed, None),
    "online, censored": functools.partial(_followed, -1.0),
}


class Streaming(Timed):
    works, params, param_names = WORKS, common.few(WORKS), ["case"]

    def time_update(self, case):
        self.work.ours()


class StreamingBeside:
    params, param_names = list(WORKS), ["case"]
    timeout = 600

    def setup_cache(self):
        return measured(WORKS, list(WORKS))

    track_ns_each = told("ns each", "ns")
    track_times_numpy = times("numpy")
    track_times_sklearn = times("sklearn")
    track_fraction_of_reading = fraction("read")


# ---- files -----------------------------------------------------------------------------------

NUMBERS = 100_000 if common.QUICK else 25_000_000  # of 8 bytes
CHUNK = 1 << 21  # numbers that are mapped at a time
LEFT = 9.0


class _File:
    """Normal numbers about 10 in a file, which stays in the page cache."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="fastnat-")
        self.path = Path(self._folder.name) / "x.f8"
        rng = np.random.default_rng(1)
        with self.path.open("wb") as file:
            for first in range(0, NUMBERS, CHUNK):
                x = 10.0 + rng.standard_normal(min(CHUNK, NUMBERS - first)) + 1e-3 * (first % 97)
                file.write(x.data)

    def chunks(self):
        """The numbers, mapped a chunk at a time, so that none stays mapped."""
        for first in range(0, NUMBERS, CHUNK):
            shape = (min(CHUNK, NUMBERS - first),)
            yield np.memmap(self.path, np.float64, "r", 8 * first, shape)

    def read(self):
        """The way into a buffer."""
        buffer = bytearray(1 << 22)
        with self.path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    def add_up(self):
        """The way where it is mapped."""
        for chunk in self.chunks():
            common.read(chunk)


def _streamed(left):
    file = _File()

    def ours():
        stats = streaming.NormalStats(left=left)
        for chunk in file.chunks():
            stats.update(chunk)
        return stats.fit()

    def more():
        got, want = ours(), fastnat.fit_normal(np.fromfile(file.path), left=left)
        off = [np.max(np.abs(getattr(got, k) / getattr(want, k) - 1.0)) for k in SAME]
        return {"memory": _resident_growth(ours) / (8 * NUMBERS), "error": max(off)}

    peers = {"into a buffer": file.read, "mapped": file.add_up}
    return Work(ours, peers, items=NUMBERS, more=more)


SAME = "mu", "sigma", "loglik", "stderr"
FILES = {
    "complete": functools.partial(_streamed, None),
    "censored": functools.partial(_streamed, LEFT),
}


def _resident_growth(function):
    """By how many bytes a call makes the process larger, pages of files among them; Linux only."""

    def memory(key):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith(key)).split()[1])

    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        return np.nan
    reset.write_text("5")  # the most so far is what there is now
    before = memory("VmRSS")
    function()
    return memory("VmHWM") - before


class FilesBeside:
    """A file in the page cache, in one pass, beside reading it."""

    params, param_names = common.few(FILES), ["case"]
    timeout = 600

    def setup_cache(self):
        return measured(FILES)

    def track_fraction_of_reading(self, found, case):
        """Of the faster of two ways."""
        return min(found[case]["times into a buffer"], found[case]["times mapped"])

    track_fraction_of_reading.unit = "of 1"
    track_ns_a_value = told("ns each", "ns")
    track_memory = told("memory", "of the file")
    track_error = told("error", "of 1")
