"""How kernels are compiled: the policy, said once.  The only file that imports ``njit``."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numba import config, njit

F = TypeVar("F", bound=Callable[..., Any])


def _digest_of_sources() -> str:
    """A short digest of every source file of the package."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


DIGEST = _digest_of_sources()
"""Changes whenever a source file of the package does; part of every cache file's name."""

# The NumPy error model: a division by zero gives inf or NaN instead of an exception, which would
# end a million fits for one of them, and its absence lets LLVM vectorise loops that divide.
_POLICY: Any = {"nogil": True, "error_model": "numpy"}


def kernel(function: F) -> F:
    """Compile an entry point: cached on disk, without the GIL, NumPy's error model.

    Numba's cache notices a change in the file of the cached function only, not in the files of
    the functions it calls.  The digest in the qualified name, from which numba makes the name of
    the cache file, is what keeps an edit or an upgrade from running old machine code.
    """
    compiled: F
    if config.DISABLE_JIT:  # plain Python, which does not warn about inf and NaN either
        compiled = np.errstate(all="ignore")(function)
        return compiled
    function.__qualname__ += "-" + DIGEST
    try:
        compiled = njit(cache=True, **_POLICY)(function)
    except RuntimeError:  # no directory can be written to: compile in every process
        compiled = njit(**_POLICY)(function)
    return compiled


def helper(function: F) -> F:
    """Compile a function that kernels call; it is cached as a part of them."""
    compiled: F = njit(**_POLICY)(function)
    return compiled
