"""Nopython code only: compiled by numba, callable from other compiled code.

``DIGEST`` changes whenever a source file of the package does.  Numba does not notice that a
function of yours that is compiled with ``cache=True`` and calls our kernels is out of date after
an upgrade; put the digest into the name of your cache directory, or clear it.
"""

from fastnat.kernels._jit import DIGEST

__all__ = ["DIGEST"]
