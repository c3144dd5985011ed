"""What the search for a regression's maximum remembers: a tuple of arrays."""

import numpy as np

from fastnat.kernels import ascent, root
from fastnat.kernels._jit import helper, kernel

(
    CELLS,
    SIZES,
    NORMS,
    BASIS_X,
    STEP_X,
    ORIGIN,
    STEP_ORIGIN,
    BASIS_Z,
    STEP_Z,
    SQUARES_Z,
    STATE,
    GRAD,
    METRIC,
    SPARE,
    INFORMATION,
    MEAT,
    START,
    PLANE,
    FACTOR,
    FIRST,
    PROFILE,
    BEST,
    KNOWN,
    OWN_START,
    WAYS,
    LIMITS,
) = range(26)
"""Its arrays: cells; units and norms of the columns; how coordinates are related to X, those of the
last step, the fit that was taken from the values, and the last part of it; the same for Z, and its
squares; the ascent's state; vectors and matrices; (p, p) matrices for ascents in b alone; the state
of `linear_noise`, and the best point of its search; squares of X and the values of exact rows;
where to start if no start is given; the ways of `linear_limit`, those of coordinates that are not
open 0, and where coefficients of the scale go, 0 if they are estimates."""

READ = (CELLS, NORMS, BASIS_X, ORIGIN, BASIS_Z, SQUARES_Z)
"""Those that rows look at, by `linear_long.tell`."""

(
    PHASE,
    STATUS,
    MODEL,
    COV,
    TOL,
    MAX_ITER,
    SURE,
    CLUSTERED,
    LOST,
    STARTED,
    WITH_NOISE,
    N_ROWS,
    UNIT,
    STEP_UNIT,
    MOVED,
    LOGLIK,
    NIT,
    TOTAL,
    DENSE,
    NOISE_FREE,
    PASSES,
    RSS,
    REST,
    SIZE,
    LOG_DET,
    COLUMN,
    WANTED,
    ESCAPES,
    VERDICT,
    LONE,
    RESCALED,
    TURNED,
    INFORMED,
    FRAMES,
    OPEN,
    PRECISE,
    TRIED,
    SIGN,
    BACK,
    FALLEN,
    MEAN_NOISE,
    N_CELLS,
) = range(42)
"""Cells.  SURE: whether a maximum is known to exist; CLUSTERED: whether scores are summed up by
clusters; LOST: degrees of freedom that restricted likelihood takes; STARTED: whether a start is
given; UNIT and STEP_UNIT: the unit of the values and its last change; MOVED: whether coordinates
have changed; TOTAL, DENSE and NOISE_FREE: the
weight of all rows, of those with a density, of those without noise; RSS, REST, SIZE, LOG_DET:
residual sum of squares, that of the exact rows by their own fit, without a unit, size of the
values, log det X'X; COLUMN: the first column that depends on
those before it, or -1; ESCAPES: saddles that were left; VERDICT: what the ascent
found before shorter steps were tried; LONE: whether a few rows make the likelihood infinite;
RESCALED: whether units of the columns were asked for, or taken; TURNED: whether the last step has
changed the coordinates of X or Z; INFORMED: whether the information at
the last accepted point is known; FRAMES: how often the ascent has changed its coordinates; OPEN:
as long as it is to be shown that there is a maximum, residuals that are rounding, else 0; PRECISE:
whether single precision was not enough for the information; TRIED, SIGN,
BACK and FALLEN: which way `linear_limit` tries, and up or down, how many steps it is back (-1 where
the other end was tried), and the weight of the rows whose sigma is 0 far along it; MEAN_NOISE,
without a unit."""

PROFILE_SIZE = 17 + root.SIZE

COMPLETE, CENSORED, CUT, SCALED, NOISY = range(5)
"""Models: known values and a constant sigma; limits; truncation; a sigma with covariates, and
anything else; a constant sigma and known noise, for which `linear_noise` searches."""

UNDECIDED, PENDING = 100, 101
"""Statuses for the front door: known values alone do not tell whether there is a maximum; the
kernels of plain problems have left this one to `linear`."""


@kernel
def new_memory(p, q):
    k = p + q
    return (
        np.zeros(N_CELLS),
        np.ones(k + 1),
        np.empty(k),
        np.empty((p, p)),
        np.empty((p, p)),
        np.empty(p),
        np.empty(p),
        np.empty((q, q)),
        np.empty((q, q)),
        np.empty((q, q)),
        np.empty(ascent.state_size(k)),
        np.empty(k),
        np.empty((k, k)),
        np.empty((k, k)),
        np.empty((k, k)),
        np.empty((k, k)),
        np.empty(k),
        np.empty((p, p)),
        np.empty((p, p)),
        np.empty((p, p)),
        np.empty(PROFILE_SIZE),
        np.empty(p + 1),
        np.empty((p + 1, p + 1)),
        np.empty(k),
        np.zeros((q, q)),
        np.zeros(q),
    )


@helper
def prepare(memory, options, sure, lost, lone):
    """Describe a problem.

    options : (model, cov, tol, max_iter, clustered, started, with_noise).
    """
    cells = memory[CELLS]
    for k in range(N_CELLS):
        cells[k] = 0.0
    cells[MODEL], cells[COV], cells[TOL], cells[MAX_ITER] = (
        options[0],
        options[1],
        options[2],
        options[3],
    )
    cells[CLUSTERED], cells[STARTED], cells[WITH_NOISE] = options[4], options[5], options[6]
    cells[SURE], cells[LOST], cells[LONE] = sure, lost, lone
    leave_none_open(memory)


@helper
def leave_none_open(memory):
    """All coefficients of the scale are estimates."""
    memory[WAYS][:, :] = 0.0
    memory[LIMITS][:] = 0.0


@helper
def close(memory, matrix):
    """In (p + q, p + q), open coordinates become constants that are known.

    What is left says all of everything that they do not touch, whatever constants they are.
    """
    ways, p = memory[WAYS], memory[ORIGIN].size
    for j in range(ways.shape[0]):
        if ways[j, j] != 0.0:
            for k in range(matrix.shape[0]):
                matrix[p + j, k] = matrix[k, p + j] = 0.0
            matrix[p + j, p + j] = 1.0
