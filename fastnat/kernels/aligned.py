"""Room for rows of numbers where no vector of eight lies across two lines of the cache.

NumPy aligns arrays to 16 bytes and numba to 32, so that of most of them each vector would lie
across two lines.  Products of rows in the caches then take 1.1 to 1.6 times as long with AVX-512.
"""

import numpy as np

from fastnat.kernels._jit import helper

_LINE = 8  # elements


def aligned(n, length):
    """Room for (n, length), whose rows begin with a line if ``length`` is a multiple of eight."""
    flat = np.empty(n * length + _LINE - 1)
    skip = -(np.int64(flat.ctypes.data) // flat.itemsize) % _LINE
    return flat[skip : skip + n * length].reshape(n, length)


aligned_rows = helper(aligned)
"""The same in kernels."""
