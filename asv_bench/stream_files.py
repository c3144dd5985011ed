"""Print how fast files are streamed, beside reading them, and how much memory that takes.

    python asv_bench/stream_files.py
    python asv_bench/stream_files.py --numbers 250_000_000 --total 1_000_000_000 --folder /tmp

A file of made-up numbers is written, read until it is in the page cache, and streamed again and
again.  The read speed is that of the faster of two ways to read it from there: into a buffer, and
by np.dot where it is mapped.  With FASTNAT_BENCH_QUICK=1 the file is small: a smoke test.
"""

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import fastnat
from fastnat.streaming import NormalStats

QUICK = os.environ.get("FASTNAT_BENCH_QUICK") == "1"
CHUNK = 1 << 24
LEFT = 9.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--numbers", type=int, default=100_000 if QUICK else 125_000_000)
    parser.add_argument("--total", type=int, default=400_000 if QUICK else 1_000_000_000)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    fastnat.warmup("fit_normal", "streaming")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "x.npy"
        write(path, options.numbers)
        reading = min(read(path) for _ in range(3))
        passes = -(-options.total // options.numbers)
        gigabytes = 8e-9 * options.numbers
        print(
            f"a file of {gigabytes:.3g} GB, {passes} times: {passes * options.numbers:.3g} numbers"
        )
        print(f"cached read speed: {gigabytes / reading:.1f} GB/s")
        for name, left in (("complete", None), ("censored", LEFT)):
            with Memory() as memory:
                stats = NormalStats(left=left)
                seconds = [stream(path, stats) for _ in range(passes)]
                fit = stats.fit()
            best, median = min(seconds), sorted(seconds)[passes // 2]
            print(
                f"{name}: {gigabytes / median:.1f} GB/s (best {gigabytes / best:.1f}),"
                f" {reading / median:.2f} of the read speed (best {reading / best:.2f});"
                f" memory {memory.text()}; {fit}"
            )
        compare(path)


def write(path, n):
    """Normal numbers about 10, in pieces."""
    x = np.lib.format.open_memmap(path, "w+", np.float64, (n,))
    rng = np.random.default_rng(1)
    block = 10.0 + rng.standard_normal(min(n, 1 << 20))
    for first in range(0, n, block.size):
        x[first : first + block.size] = block[: n - first] + 1e-3 * (first % 97)
    x.flush()


def read(path):
    """Seconds of the faster way to read the file."""
    buffer = bytearray(1 << 22)
    start = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    first = time.perf_counter() - start
    start = time.perf_counter()
    for chunk in chunks(path):
        np.dot(chunk, chunk)
    return min(first, time.perf_counter() - start)


def chunks(path):
    """The numbers, mapped a chunk at a time, so that none stays mapped."""
    x = np.load(path, mmap_mode="r")
    for first in range(0, x.size, CHUNK):
        size = min(CHUNK, x.size - first)
        yield np.memmap(path, x.dtype, "r", x.offset + 8 * first, (size,))


def stream(path, stats):
    """Seconds of one pass."""
    start = time.perf_counter()
    for chunk in chunks(path):
        stats.update(chunk)
    return time.perf_counter() - start


def compare(path):
    """A censored stream in one pass, and the fit of an array in memory."""
    stats = NormalStats(left=LEFT)
    stream(path, stats)
    got, want = stats.fit(), fastnat.fit_normal(np.load(path), left=LEFT)
    for name in ("mu", "sigma", "loglik"):
        print(f"{name} off by {abs(getattr(got, name) / getattr(want, name) - 1.0):.1e}", end="; ")
    print(f"stderr by {np.max(np.abs(got.stderr / want.stderr - 1.0)):.1e}")


class Memory:
    """The most memory of this process while the block runs, looked at every 10 ms."""

    def __enter__(self):
        self.first = self.now()
        self.most = self.first
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def now(self):
        """Megabytes: (in all, without pages of files)."""
        lines = Path("/proc/self/status").read_text().splitlines()
        values = dict(
            line.split(":") for line in lines if line.startswith("Rss") or "VmRSS" in line
        )
        return tuple(int(values[key].split()[0]) / 1024 for key in ("VmRSS", "RssAnon"))

    def watch(self):
        while not self.done.wait(0.01):
            self.most = tuple(map(max, self.most, self.now(), strict=True))

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def text(self):
        grown = [most - first for most, first in zip(self.most, self.first, strict=True)]
        return f"+{grown[0]:.0f} MB in all, +{grown[1]:.0f} MB without pages of the file"


if __name__ == "__main__":
    main()
