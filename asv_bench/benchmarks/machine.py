"""Processor, BLAS, threads and versions, in words and as a digest."""

import importlib.metadata
import os
import platform
import zlib
from pathlib import Path

import scipy.linalg  # noqa: F401  (so that threadpoolctl sees its BLAS and NumPy's)
import threadpoolctl

PEERS = (
    "scipy",
    "bottleneck",
    "numbagg",
    "scikit-learn",
    "statsmodels",
    "surpyval",
    "PyMARE",
    "pystatistics",
    "pandas",
)


def processor():
    """Its name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def blas():
    """Each BLAS: name, version, and the processor type whose kernels it has chosen."""
    found = (
        f"{pool['internal_api']} {pool['version']} with kernels for"
        f" {pool.get('architecture', 'an unknown type')}"
        for pool in threadpoolctl.threadpool_info()
        if pool["user_api"] == "blas"
    )
    asked = os.environ.get("OPENBLAS_CORETYPE")
    chosen = f"asked for by OPENBLAS_CORETYPE={asked}" if asked else "OPENBLAS_CORETYPE not set"
    return f"{'; '.join(sorted(set(found))) or 'none'} ({chosen})"


def versions():
    """Python, what fastnat stands on, and its peers."""
    return f"Python {platform.python_version()}, " + ", ".join(
        f"{name} {_version(name)}" for name in ("numpy", "numba", "llvmlite", *PEERS)
    )


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def describe():
    """Sentences."""
    smoke = os.environ.get("FASTNAT_BENCH_QUICK") == "1"
    return ("**A smoke run on tiny data: no number means anything.** " if smoke else "") + (
        f"{processor()}, {os.cpu_count()} processors. BLAS: {blas()}."
        f" One thread, of BLAS too, where nothing else is said. {versions()}."
    )


def digest():
    """A number that changes with what `describe` says."""
    return zlib.crc32(describe().encode())
