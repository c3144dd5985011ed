"""What a search remembers, in one array: cells, the states of its parts, vectors and matrices."""

import numpy as np

from fastnat.kernels import ascent, differences
from fastnat.kernels._jit import helper, kernel

# Cells.
PHASE, METRIC, COV, STATUS, LOGLIK, NIT, DOUBTS, ESCAPES, SADDLE_AT, SEEDED, PROBE = range(11)
TOTAL, TOL, MAX_ITER, WANTED = range(11, 15)
N_CELLS = 15

# Vectors and matrices.
GRAD, SPARE, CHANGE = range(3)
_N_VECTORS = 3
BFGS, WORK, INFORMATION, PRODUCTS = range(4)
_N_MATRICES = 4


@kernel
def memory_size(p):
    """The length of the memory for ``p`` parameters."""
    return np.int64(_vectors(p) + _N_VECTORS * p + _N_MATRICES * p * p)


@helper
def _vectors(p):
    """Where the vectors begin."""
    return N_CELLS + ascent.state_size(p) + differences.state_size(p)


@helper
def ascent_state(memory, p):
    return memory[N_CELLS : N_CELLS + ascent.state_size(p)]


@helper
def differences_state(memory, p):
    return memory[N_CELLS + ascent.state_size(p) : _vectors(p)]


@helper
def vector(memory, p, which):
    first = _vectors(p) + which * p
    return memory[first : first + p]


@helper
def matrix(memory, p, which):
    """One of the matrices of the memory, (p, p)."""
    first = _vectors(p) + _N_VECTORS * p + which * p * p
    return memory[first : first + p * p].reshape(p, p)
