"""Regressions: segments of the rows of one long problem -> values, for which a search asks."""

import math

import numpy as np

from fastnat.kernels import codes, linear_known, linear_outcome, linear_search
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels._scalar import borrow, keep
from fastnat.kernels.fisher import BLOCK
from fastnat.kernels.linear import WHOLE, is_limited, move_block, tell_block, worse
from fastnat.kernels.linear_memory import CELLS, NORMS, ORIGIN, SQUARES_Z, TURNED, UNIT, prepare
from fastnat.kernels.linear_rows import all_finite, new_blocks, new_scratch, pack
from fastnat.kernels.linear_values import GRAM, OBSERVED, ROUGHLY, collect, new_work
from fastnat.kernels.tiles import total as total_of

UNSEEN, ODD, FINITE, KNOWN = range(4)
"""What the rows of a segment are: X or Z have numbers that are not finite; they have not; and
nothing but values and weights is given, and all of these are finite, and no weight is 0."""


@kernel
def look(columns, x, z, first, last):
    """What the rows first, ..., last - 1 are: ODD, FINITE or KNOWN.

    columns, x, z : as in `linear.fit_rows`.
    """
    n = last - first
    if not (all_finite(x, first, n) and all_finite(z, first, n if z.size > 0 else 0)):
        return np.int64(ODD)
    if is_limited(columns) or z.size == 0 or n == 0:
        return np.int64(FINITE)
    y, w, odd = columns[0], columns[7], np.int64(0)
    for i in range(np.uint64(first), np.uint64(last)):
        odd += not abs(y[i]) < math.inf
    for i in range(np.uint64(first), np.uint64(last if w.size > 0 else first)):
        odd += not 0.0 < w[i] < math.inf
    return np.int64(FINITE if odd > 0 else KNOWN)


@kernel
def new_room(p, q, z_columns):
    """What `tell` works with: for one task after the other, for what is freed may go far.

    Workers of distributed give free memory back to the system, which clears each page anew.
    """
    return new_blocks(1, p, z_columns), new_scratch(p), new_work(p, q), linear_known.new_tools(p, q)


@kernel
def tell(request, theta, memory, columns, x, z, omit, seen, skip, size, room, told, scores, found):
    """Add the values of segments of the rows of one long problem to ``told``.

    columns, x, z, omit : as in `linear.fit_rows`, of all segments, which have ``size`` rows each.
    seen : (segments,), what `look` says of each that is to be told, after ``skip`` others.
    memory : of the search; only read.
    room : of nobody else at the time.
    told, scores, found : of each segment, so that sums do not depend on who tells how many: its
        values, scores by cluster, (status, total weight).
    """
    owners = room, (columns, x, z), (theta, memory, told, scores, found)
    tools, (columns, x, z), (theta, memory, told, scores, found) = borrow(owners)
    for s in range(told.shape[0]):
        first = (skip + s) * size
        last = min(first + size, columns[0].size)
        rows = columns, x, z, first, last
        code, total = _tell_segment(
            request, theta, memory, rows, omit, seen[s], tools, told[s], scores[s]
        )
        found[s, 0], found[s, 1] = code, total
    keep(owners)


@helper
def _tell_segment(request, theta, memory, rows, omit, seen, tools, told, by_cluster):
    columns, x, z, first, last = rows
    blocks, scratch, work, known = tools
    cells, p, q = memory[CELLS], memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    if seen == KNOWN and request in (GRAM, OBSERVED, ROUGHLY) and cells[TURNED] == 0.0:
        frame, shift = (memory[ORIGIN], memory[NORMS], cells[UNIT]), -math.log(cells[UNIT])
        own = columns[0][first:last], columns[7][first:last], x[first:last], z[first:last]
        total = total_of(own[1], last - first, work[2]) if own[1].size > 0 else float(last - first)
        if request == GRAM:
            linear_known.add_gram(frame, own, total, known, told)
        else:
            linear_known.add_rows(theta, request == ROUGHLY, shift, frame, own, known, told)
            linear_known.collect(p, q, known, told)
        return np.int64(codes.OK), total
    limited, flat = is_limited(columns), (x.reshape(x.size), z.reshape(z.size))
    code, total = np.int64(codes.NO_DATA), 0.0
    for skip in range(first, last, BLOCK):
        size = min(BLOCK, last - skip)
        found, weight = pack(
            columns, x, z, skip, size, skip, skip, omit, seen == ODD, scratch, 0, blocks
        )
        code, total = worse(code, found), total + weight
        block = x, z, *flat, skip, skip
        move_block(memory, WHOLE, block, limited, scratch, 0, blocks)
        tell_block(request, theta, memory, block, 0, blocks, work, told, by_cluster)
    collect(p, q, work, told)
    return code, total


@kernel
def begin(memory, theta, options, sure, lost):
    """Begin the search for the maximum of a long problem; see `linear_search`."""
    prepare(memory, options, sure, lost, False)
    return linear_search.begin(memory, theta)


@kernel
def proceed(memory, told, theta):
    """Go on with it, told the values of all rows; returns the next request."""
    return linear_search.proceed(memory, told, theta)


@kernel
def finish(memory, theta, result, params, stderr, corr):
    """What it has found; see `linear_outcome.finish`."""
    linear_outcome.finish(memory, theta, result, params, stderr, corr)
