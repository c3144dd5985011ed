"""Seconds that lines of Python take in processes of their own."""

import os
import statistics
import subprocess
import sys
from pathlib import Path

import fastnat

from . import common

IMPORT_BEYOND_NUMPY = "import numpy | import fastnat"
IMPORT_AND_FIT = "import fastnat; fastnat.fit_normal([1.0, 2.0, 4.0])"
FIRST_MODEL = "import fastnat | fastnat.fit(fastnat.models.normal, [1.0, 2.0, 4.0])"
WARMUP = "import fastnat | fastnat.warmup()"
SCIPY_STATS_BEYOND_NUMPY = "import numpy | import scipy.stats"
SCIPY_STATS_AND_FIT = "import scipy.stats; scipy.stats.norm.fit([1.0, 2.0, 4.0])"


def environment(cache_dir=None):
    """Of a process that imports this fastnat, and keeps what it compiles in a folder.

    Byte code is cached as well, as for an installed package.
    """
    env = os.environ | {"PYTHONPATH": str(Path(fastnat.__file__).parents[1])}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    if cache_dir is not None:
        env["NUMBA_CACHE_DIR"] = str(cache_dir)
        env["PYTHONPYCACHEPREFIX"] = str(Path(cache_dir) / "bytecode")
    return env


def seconds_of(code, cache_dir=None):
    """The seconds that ``code`` takes in a process of its own.

    code : a line of Python; what stands before a ``|`` does not count.
    cache_dir : where numba caches machine code, and Python byte code; by default where it does.
    """
    before, _, timed = code.rpartition("|")
    clock = f"import time; start = time.perf_counter(); {timed}; print(time.perf_counter() - start)"
    line = f"{before}; {clock}" if before else clock
    command = [sys.executable, "-c", line]
    env = environment(cache_dir)
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True)
    return float(done.stdout)


def median_of(code, cache_dir=None, rounds=5):
    """The median of some processes after a first one, which fills caches; smoke runs take one."""
    if common.QUICK:
        return seconds_of(code, cache_dir)
    seconds_of(code, cache_dir)
    return statistics.median(seconds_of(code, cache_dir) for _ in range(rounds))
