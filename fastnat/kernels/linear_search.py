"""The search for the maximum of a regression's likelihood; told values, like `search`.

    request = begin(memory, ...)
    while request != DONE:
        if memory[CELLS][MOVED] > 0: rows go to the new coordinates
        told[:] = values at theta, as `request` says
        request = proceed(memory, told, theta)

First come the coordinates (`linear_frame`), and with them the least-squares fit, which is all of
it for complete data and a constant sigma.  Then whether known values alone say that the likelihood
of censored rows has a maximum; the ascent; and the information at its end.

Within, theta is (beta, gamma): X b = X' (origin + unit beta), log sigma = Z' gamma, and the ascent
has a chart of its own.
"""

import math

from fastnat.kernels import codes, linear_climb, linear_limit, linear_noise
from fastnat.kernels import linear_least_squares as least_squares
from fastnat.kernels._jit import helper
from fastnat.kernels.curvature import copy, copy_matrix
from fastnat.kernels.linalg import cholesky, least_alone
from fastnat.kernels.linear_climb import (
    AT_END,
    CLIMB,
    FACE,
    FRAME,
    LIMIT,
    MEAT_WANTED,
    NOISE,
    PROOF,
    REFRAME,
    climb_from,
    end_badly,
    stop,
)
from fastnat.kernels.linear_frame import (
    factor,
    set_identity,
    solve_factor,
    times,
)
from fastnat.kernels.linear_memory import (
    BASIS_X,
    BASIS_Z,
    BEST,
    CELLS,
    CENSORED,
    CLUSTERED,
    COLUMN,
    COMPLETE,
    COV,
    CUT,
    DENSE,
    ESCAPES,
    FACTOR,
    FRAMES,
    GRAD,
    INFORMATION,
    KNOWN,
    LOGLIK,
    LONE,
    LOST,
    MEAN_NOISE,
    MEAT,
    METRIC,
    MODEL,
    MOVED,
    NOISE_FREE,
    NOISY,
    OPEN,
    ORIGIN,
    OWN_START,
    PHASE,
    RESCALED,
    RSS,
    SCALED,
    SIZES,
    SQUARES_Z,
    START,
    STARTED,
    STATUS,
    STEP_ORIGIN,
    STEP_UNIT,
    STEP_X,
    STEP_Z,
    SURE,
    TOTAL,
    UNDECIDED,
    UNIT,
    WITH_NOISE,
)
from fastnat.kernels.linear_precise import is_poor, turn
from fastnat.kernels.linear_proof import is_proven
from fastnat.kernels.linear_values import (
    CLUSTERS,
    DONE,
    EXPECTED,
    GRAM,
    OBSERVED,
    PRODUCTS,
    UNITS,
    VALUE,
    metric_of,
    parts,
)
from fastnat.kernels.outcome import COV_EXPECTED, COV_OBSERVED, NO_COV

_CERTAIN = 1e-10  # of known columns, beside the others, that leaves no doubt about their rank
_TINY = 5e-324  # so that what is rounding is not 0
_ESCAPE = 0.3  # how far a saddle is left, in standard deviations of an observation
_MOST_ESCAPES = 2
_MOST_FRAMES = 4  # coordinates
_LEAST_SCALE = 1e-3  # of the noise, at the start


@helper
def begin(memory, theta):
    """Begin with a problem that `linear_memory.prepare` has described; returns what is wanted."""
    cells = memory[CELLS]
    cells[COLUMN], cells[PHASE], cells[STATUS] = -1.0, FRAME, codes.OK
    cells[UNIT] = cells[STEP_UNIT] = 1.0
    for basis in (memory[BASIS_X], memory[STEP_X], memory[BASIS_Z], memory[STEP_Z]):
        set_identity(basis)
    memory[ORIGIN][:] = 0.0
    memory[STEP_ORIGIN][:] = 0.0
    memory[SIZES][:] = 1.0
    theta[:] = 0.0
    return GRAM


@helper
def proceed(memory, told, theta):
    """Take what was asked for at ``theta`` (p + q,), and say what is wanted next, and where."""
    cells = memory[CELLS]
    cells[MOVED] = 0.0
    answer = _proceed(memory, told, theta)
    if answer == DONE and cells[OPEN] > 0.0:
        cells[STATUS] = UNDECIDED
    return answer


@helper
def _proceed(memory, told, theta):
    phase = memory[CELLS][PHASE]
    if phase == FRAME:
        return _find_frame(memory, told, theta)
    if phase == CLIMB:
        return _take_from_climb(memory, linear_climb.proceed(memory, told, theta), theta)
    if phase == REFRAME:
        return linear_climb.take_frame(memory, told, theta)
    if phase == PROOF:
        return _take_proof(memory, told, theta)
    if phase == FACE:
        return linear_climb.proceed_on_face(memory, told, theta)
    if phase == NOISE:
        return _take_from_noise(memory, linear_noise.proceed(memory, told, theta), theta)
    if phase == LIMIT:
        return _take_limit(memory, linear_limit.proceed(memory, told, theta), theta)
    return _finish(memory, told, theta)


# ---- from least squares to the model ---------------------------------------------------------


@helper
def _find_frame(memory, told, theta):
    if memory[CELLS][RESCALED] == 1.0:
        least_squares.take_units(memory, told)
        memory[CELLS][RESCALED] = 2.0
        return GRAM
    answer = least_squares.fit(memory, told)
    if answer == least_squares.NO_UNITS:
        return UNITS
    if answer == least_squares.DEPENDENT:
        memory[CELLS][LOGLIK] = math.nan  # there is a supremum, but of another regression
        return stop(memory, codes.NOT_IDENTIFIED)
    return GRAM if answer == least_squares.MORE else _set_out(memory, told, theta)


@helper
def _set_out(memory, told, theta):
    """The rows are in their coordinates: what is next depends on the model."""
    cells = memory[CELLS]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    grad, aims, _, _, _ = parts(told, p, q)
    spread = math.sqrt(cells[RSS] / cells[TOTAL])
    if cells[MODEL] == COMPLETE or least_squares.is_spent(memory):
        code = least_squares.finish(memory, aims, theta)
        return _want_meat(memory, True) if code == codes.OK else stop(memory, code)
    copy(memory[GRAD][:p], theta)
    plain = cells[MODEL] == SCALED and cells[WITH_NOISE] == 0.0 and cells[DENSE] == cells[TOTAL]
    if (plain or cells[MODEL] == CUT) and least_squares.is_perfect(memory, aims):
        cells[LOGLIK] = math.inf
        return stop(memory, codes.SIGMA_ZERO)
    if cells[LONE] > 0.0:
        cells[LOGLIK] = math.inf
        return stop(memory, codes.UNBOUNDED)
    # Nothing moves a scale that is nothing beside the noise.
    spread = max(spread, _LEAST_SCALE * cells[MEAN_NOISE] / cells[UNIT])
    _set_start(memory, grad[p:], spread if spread > 0.0 else 1.0)
    doubtful = cells[MODEL] == CENSORED or cells[DENSE] != cells[TOTAL]
    if doubtful and cells[SURE] == 0.0 and not _is_certain(memory, aims):
        if cells[MODEL] != CENSORED:
            return stop(memory, UNDECIDED)
        rounding = least_squares.rounding(memory, aims)
        if not rounding < math.inf:
            return stop(memory, UNDECIDED)
        cells[OPEN] = max(rounding, _TINY)
    if cells[MODEL] == NOISY:
        cells[PHASE] = NOISE
        return linear_noise.begin(memory, theta)
    return linear_climb.begin(memory, theta)


@helper
def _set_start(memory, z_sums, spread):
    """Where to start: least squares and a constant sigma, or what was given."""
    cells, start, own = memory[CELLS], memory[START], memory[OWN_START]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    log_sigma = math.log(spread) + math.log(cells[UNIT])
    for j in range(p):
        own[j] = memory[GRAD][j]
    for j in range(q):
        own[p + j] = z_sums[j] * log_sigma
    solve_factor(memory[METRIC], q, own[p:])
    if cells[STARTED] == 0.0:
        copy(own, start)
        return
    times(memory[BASIS_X], start[:p])
    times(memory[BASIS_Z], start[p:])
    for j in range(p):
        start[j] = (start[j] - memory[ORIGIN][j]) / cells[UNIT]


@helper
def _is_certain(memory, aims):
    """Known values of full rank, which no plane goes through, have a maximum.

    With covariates of the scale, they need full rank only: what else can go wrong is seen later.
    """
    p = memory[ORIGIN].size
    if memory[CELLS][MODEL] == CENSORED and least_squares.is_perfect_where_known(memory, aims):
        return False
    n = p if memory[CELLS][MODEL] == SCALED else p + 1
    upper = memory[METRIC]
    if not factor(memory[KNOWN], n, upper) > _CERTAIN:
        return False
    return least_alone(upper, n, memory[BEST]) > _CERTAIN


# ---- known noise -----------------------------------------------------------------------------


@helper
def _take_from_noise(memory, answer, theta):
    """Pass on what the search wants, or take what it has found."""
    cells, best = memory[CELLS], memory[BEST]
    p = memory[ORIGIN].size
    if answer >= 0:
        return answer
    if answer == linear_noise.FAILED:
        if cells[NOISE_FREE] == 0.0:
            return stop(memory, codes.MAX_ITER)
        cells[LOGLIK] = math.inf
        alone = cells[NOISE_FREE] == cells[TOTAL]
        return stop(memory, codes.SIGMA_ZERO if alone else codes.UNBOUNDED)
    cells[LOGLIK] -= cells[DENSE] * math.log(cells[UNIT])
    if cells[LOST] > 0.0:
        cells[LOGLIK] += _restricted_constant(memory)
    copy(best[:p], theta)
    theta[p] = -math.inf
    if best[p] > 0.0:
        theta[p] = 0.5 * math.log(best[p]) + math.log(cells[UNIT])
        if cells[LOST] == 0.0:
            cells[PHASE] = AT_END
            return OBSERVED
    else:
        cells[STATUS] = codes.BOUNDARY
        linear_limit.open_constant(memory)
    return _want_meat(memory, cells[LOST] > 0.0)


@helper
def _restricted_constant(memory):
    """From X'WX in these coordinates to that of X, and the 2 pi of as many values."""
    p, total = memory[ORIGIN].size, 0.5 * memory[CELLS][LOST] * math.log(2.0 * math.pi)
    for j in range(p):
        total -= math.log(abs(memory[BASIS_X][j, j])) - math.log(memory[CELLS][UNIT])
    return total


# ---- information -----------------------------------------------------------------------------


@helper
def _take_from_climb(memory, answer, theta):
    """Pass on what the ascent wants, or go on where it has ended, with the information there."""
    return _judge(memory, theta) if answer == linear_climb.ARRIVED else answer


@helper
def _take_proof(memory, told, theta):
    """Whether this is a maximum is clear now, or has to be found by other means."""
    cells = memory[CELLS]
    # On a plane but for rounding, values and limits have a maximum that is none.
    sigma = cells[UNIT] / theta[memory[ORIGIN].size]
    if sigma < least_squares.SOUND * cells[OPEN] or not is_proven(memory, told, theta):
        return stop(memory, UNDECIDED)
    cells[OPEN] = 0.0
    return _take_from_climb(memory, linear_climb.arrive(memory, codes.OK, theta), theta)


@helper
def _finish(memory, told, theta):
    """Take the information at the end, or the products of the scores."""
    cells = memory[CELLS]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    if cells[PHASE] == MEAT_WANTED:
        expected = cells[COV] == COV_EXPECTED
        metric_of(told, p, q, memory[INFORMATION] if expected else memory[MEAT])
        return DONE
    metric_of(told, p, q, memory[INFORMATION])
    cells[LOGLIK] = told[VALUE] - cells[DENSE] * math.log(cells[UNIT])
    return _judge(memory, theta)


@helper
def _judge(memory, theta):
    """Whether the information at the end is that of a maximum."""
    cells = memory[CELLS]
    if cells[MODEL] == SCALED:
        if cells[FRAMES] < _MOST_FRAMES and is_poor(memory, memory[INFORMATION]):
            return _turn(memory, theta)
        code = linear_limit.judge(memory)
        if code == codes.SADDLE and cells[ESCAPES] < _MOST_ESCAPES:
            return _escape(memory, theta)
        if code != codes.OK:
            return end_badly(memory, code, theta)
        if linear_limit.has_open(memory):
            cells[PHASE] = LIMIT
            return linear_limit.begin(memory, theta)
        return _want_meat(memory, False)
    copy_matrix(memory[INFORMATION], memory[METRIC])
    if not cholesky(memory[METRIC]):
        return stop(memory, codes.NOT_IDENTIFIED)
    return _want_meat(memory, False)


@helper
def _turn(memory, theta):
    """Go on in coordinates for the weights that rows have here, with all that is known."""
    turn(memory, memory[FACTOR])
    for b in (theta, memory[START], memory[OWN_START]):
        times(memory[STEP_X], b[: memory[ORIGIN].size])
    return climb_from(memory, theta)


@helper
def _take_limit(memory, answer, theta):
    """Pass on what is wanted, or whether the likelihood is largest in a limit; go on if not."""
    cells = memory[CELLS]
    if answer == linear_limit.FOUND:
        cells[STATUS] = codes.BOUNDARY
        return _want_meat(memory, False)
    if answer == linear_limit.HIGHER and cells[ESCAPES] < _MOST_ESCAPES:
        cells[ESCAPES] += 1.0
        return climb_from(memory, theta)
    if answer in (linear_limit.NONE, linear_limit.HIGHER):
        return end_badly(memory, codes.NOT_IDENTIFIED, theta)
    return answer


@helper
def _escape(memory, theta):
    """Leave a saddle along a direction of positive curvature of the likelihood."""
    cells, direction = memory[CELLS], memory[GRAD]
    cells[ESCAPES] += 1.0
    far = _ESCAPE * math.sqrt(cells[TOTAL])
    for j in range(theta.size):
        theta[j] += far * direction[j]
    return climb_from(memory, theta)


@helper
def _want_meat(memory, least_squares):
    """What the covariance needs beyond the observed information."""
    cells = memory[CELLS]
    cells[PHASE] = MEAT_WANTED
    cov = cells[COV]
    if cov in (NO_COV, COV_OBSERVED) or (cov == COV_EXPECTED and least_squares):
        return DONE
    if cov == COV_EXPECTED:
        return EXPECTED
    return CLUSTERS if cells[CLUSTERED] > 0.0 else PRODUCTS
