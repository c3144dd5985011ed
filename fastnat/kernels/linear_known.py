"""Known values with a scale of their own: all that their rows say is one symmetric product.

With r = (y - x'b) / sigma and log sigma = z'g, the observed information of a row is the outer
product of (x / sigma, r z) with itself, but for a factor of 2 wherever z is.  So columns are
weighed once, and nothing but their products is left: three quarters of the operations of rows of
any kind, whose columns have weights of their own in each product (`linear_values`).  Likewise the
squares and products of all columns, from which the search begins.  Rows are read where the caller's
are, in pieces that stay in the first-level cache.

Products may be of single precision, in half the time, where they say no more than where to go:
within a piece, for sums of pieces are doubles.  Everything else is of double precision always.
"""

import math

import numpy as np

from fastnat.kernels._jit import helper
from fastnat.kernels._numpy_lanes import WIDTH
from fastnat.kernels._scalar import fma
from fastnat.kernels.aligned import aligned_rows
from fastnat.kernels.linear_frame import factors_of, lead_of
from fastnat.kernels.linear_terms import bounded
from fastnat.kernels.linear_values import (
    DENSITY,
    NO_NOISE,
    ROUGH,
    SHARP,
    SMALLEST,
    TINY,
    VALUE,
    WEIGHT_SUM,
    known_part,
    parts,
)
from fastnat.kernels.linear_values import ROWS as N_ROWS
from fastnat.kernels.panels import (
    CELLS,
    ROWS,
    add_squares,
    new_panel,
    put_column,
    squares_tiles,
    take_column,
    take_squares,
    take_sums,
    turn,
    weigh,
)
from fastnat.kernels.special import exp

A, C, FIT, LEAD, LOGLIK, BY_A, BY_C, TO_X, TO_Z, WEIGHT, ROOT, N_TERMS = range(12)
"""Rows of the terms of a piece: both predictors; the fit that is taken from the values, and the
column of its largest part; log-likelihood, of all pieces, and its derivatives by the predictors; by
what X and Z are weighed; weights and their roots.  And how many they are."""

_A, _C, _FIT, _LEAD, _LOGLIK, _BY_A, _BY_C, _TO_X, _TO_Z, _WEIGHT, _ROOT = (
    np.uint64(row * ROWS) for row in range(N_TERMS)
)

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


@helper
def new_tools(p, q):
    """(terms, panel, cells, squares, coefficients): what `add_rows` works with."""
    tiles = max(squares_tiles(p + q), squares_tiles(p + 1) + squares_tiles(q))
    cells = np.zeros(WIDTH * (p + 1 + q) + CELLS * tiles)
    terms, panel = aligned_rows(N_TERMS, ROWS), new_panel(p + 1 + q, ROWS)
    return terms, panel, cells, np.zeros((p + q, p + q)), np.empty(p)


@helper
def add_rows(theta, single, shift, frame, rows, tools, told):
    """Add values at ``theta`` of rows that are KNOWN to ``told``, or to the cells of ``tools``.

    single : whether products may be of single precision.
    shift : what is added to Z theta.
    frame : (origin, sizes of the columns, unit): values lose X origin, and their unit.
    rows : (y, w, X, Z), each of as many, all of them finite; w may be (0,), and is never 0.
    """
    y, w, x, z = rows
    terms, panel, cells, _, rest = tools
    origin, sizes, unit = frame
    (n, p), q, found = x.shape, z.shape[1], terms.reshape(terms.size)
    flat_x, flat_z = x.reshape(x.size), z.reshape(z.size)
    lead, factor = lead_of(origin, sizes, rest)
    change, taken = (-factor, *factors_of(unit)), factor != 0.0
    terms[FIT] = terms[LEAD] = terms[LOGLIK] = 0.0
    terms[WEIGHT] = terms[ROOT] = 1.0
    for first in range(0, n, ROWS):
        m, then = min(ROWS, n - first), first + 2 * ROWS
        here, places = (flat_x, first * p, p, p, m), (panel, 0, then * p, None)
        if taken:
            turn(*here, (theta, rest), 0.0, (terms[A], terms[FIT]), *places)
            take_column(panel, lead, m, terms[LEAD])
        else:
            turn(*here, (theta,), 0.0, (terms[A],), *places)
        here, places = (flat_z, first * q, q, q, m), (panel, p, then * q, True)
        turn(*here, (theta[p:],), shift, (terms[C],), *places)
        if w.size > 0:
            _read_weights(w, first, m, found)
        _find_terms(y, first, m, change, found)
        _note_extremes(m, found, told)
        weigh(panel, 0, p, m, terms[TO_X], terms[BY_A], cells, 0, single)
        weigh(panel, p, q, m, terms[TO_Z], terms[BY_C], cells, WIDTH * p, single)
        # To turn X asks for a quarter of what comes next but one, products ask for more of it.
        ahead, end = then * p + ROWS * p // 4, (then + ROWS) * p
        add_squares(panel, 0, p + q, m, single, cells, WIDTH * (p + q), flat_x, ahead, end)
    for i in range(ROWS):
        told[VALUE] += terms[LOGLIK, i]
    told[ROUGH] += n if single else 0


@helper
def _read_weights(w, first, n, terms):
    begin = np.uint64(first)
    for i in range(np.uint64(n)):
        terms[i + _WEIGHT] = w[begin + i]
        terms[i + _ROOT] = math.sqrt(w[begin + i])


@helper
def _value(y, change, i, terms):
    """The value ``y`` of row i in the coordinates of the search."""
    factor, unit, more = change
    return (fma(factor, terms[i + _LEAD], y) - terms[i + _FIT]) * unit * more


@helper
def _find_terms(y, first, n, change, terms):
    begin = np.uint64(first)
    for i in range(np.uint64(n)):
        log_sigma, w = bounded(terms[i + _C]), terms[i + _WEIGHT]
        inv = exp(-log_sigma, 0.0)
        to_x = terms[i + _ROOT] * inv
        to_z = (_value(y[begin + i], change, i, terms) - terms[i + _A]) * to_x
        square = to_z * to_z
        terms[i + _LOGLIK] += -0.5 * square - w * (log_sigma + _HALF_LOG_2PI)
        terms[i + _BY_A] = to_x * to_z
        terms[i + _BY_C] = square - w
        terms[i + _TO_X] = to_x
        terms[i + _TO_Z] = to_z


@helper
def _note_extremes(n, terms, told):
    """As in `linear_values`: all rows have a density, without noise."""
    count = np.int64(0)
    for i in range(np.uint64(n)):
        count += terms[i + _C] < SMALLEST
    for i in range(np.uint64(n if count > 0 else 0)):
        tiny = terms[i + _WEIGHT] if terms[i + _C] < SMALLEST else 0.0
        told[TINY] += tiny
        told[SHARP] += tiny


@helper
def collect(p, q, tools, told):
    """After the last row: what has been summed goes to ``told``."""
    _, _, cells, squares, _ = tools
    grad, _, by_x, zx, zz = parts(told, p, q)
    take_sums(cells, 0, p + q, grad)
    take_squares(cells, WIDTH * (p + q), p + q, squares)
    for j in range(p):
        for k in range(p):
            by_x[j, k] += squares[j, k]
    for j in range(q):
        for k in range(p):
            zx[j, k] += 2.0 * squares[p + j, k]
        for k in range(q):
            zz[j, k] += 2.0 * squares[p + j, p + k]
    squares[:] = 0.0


@helper
def add_gram(frame, rows, total, tools, told):
    """Add squares and products of X and the values, and of Z, to ``told``; else as `add_rows`.

    total : weight of the rows.
    """
    y, w, x, z = rows
    terms, panel, cells, _, rest = tools
    origin, sizes, unit = frame
    (n, p), q, found = x.shape, z.shape[1], terms.reshape(terms.size)
    flat_x, flat_z = x.reshape(x.size), z.reshape(z.size)
    lead, factor = lead_of(origin, sizes, rest)
    change, by_x = (-factor, *factors_of(unit)), WIDTH * (p + 1 + q)
    by_z = by_x + CELLS * squares_tiles(p + 1)
    terms[LEAD] = 0.0
    terms[WEIGHT] = terms[ROOT] = 1.0
    for first in range(0, n, ROWS):
        m, then = min(ROWS, n - first), first + 2 * ROWS
        here, places = (flat_x, first * p, p, p, m), (panel, 0, then * p, None)
        turn(*here, (rest,), 0.0, (terms[FIT],), *places)
        if factor != 0.0:
            take_column(panel, lead, m, terms[LEAD])
        _find_values(y, first, m, change, found)
        put_column(terms[A], m, panel, p)
        turn(flat_z, first * q, q, q, m, (), 0.0, (), panel, p + 1, then * q, True)
        if w.size > 0:
            _read_weights(w, first, m, found)
        weigh(panel, 0, p + 1 + q, m, terms[ROOT], terms[WEIGHT], cells, 0, False)
        ahead, end = then * p + ROWS * p // 4, (then + ROWS) * p
        add_squares(panel, 0, p + 1, m, False, cells, by_x, flat_x, ahead, end)
        add_squares(panel, p + 1, q, m, False, cells, by_z, flat_x, end, end)
    grad, _, _, _, zz = parts(told, p, q)
    take_sums(cells, WIDTH * (p + 1), q, grad[p:])
    cells[: WIDTH * (p + 1)] = 0.0
    take_squares(cells, by_x, p + 1, known_part(told, p, q))
    take_squares(cells, by_z, q, zz)
    told[N_ROWS] += n
    for cell in (WEIGHT_SUM, DENSITY, NO_NOISE):
        told[cell] += total


@helper
def _find_values(y, first, n, change, terms):
    begin = np.uint64(first)
    for i in range(np.uint64(n)):
        terms[i + _A] = _value(y[begin + i], change, i, terms)
