"""Regressions: rows of many problems -> estimates; and blocks of rows of a long one -> values."""

import math

import numpy as np

from fastnat.kernels import codes, linear_outcome, linear_search
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels.compression import longest, unit_of
from fastnat.kernels.linear_memory import (
    BASIS_X,
    BASIS_Z,
    CELLS,
    COMPLETE,
    LOST,
    MODEL,
    MOVED,
    ORIGIN,
    SCALED,
    SIZES,
    SQUARES_Z,
    START,
    STEP_ORIGIN,
    STEP_UNIT,
    STEP_X,
    STEP_Z,
    TOTAL,
    UNIT,
    WITH_NOISE,
    new_memory,
    prepare,
)
from fastnat.kernels.linear_rows import (
    BLOCK,
    EXACT,
    NOISE,
    STRIDE,
    change_basis,
    move,
    new_block,
    pack,
    z_row,
)
from fastnat.kernels.linear_values import CLUSTERS, DONE, new_terms, parts, tell, told_size


@kernel
def fit_rows(
    columns,
    x,
    z,
    offsets,
    x_step,
    z_step,
    omit,
    reml,
    options,
    sure,
    n_clusters,
    starts,
    first,
    results,
    params,
    stderr,
    corr,
):
    """Fit problems whose rows lie one after the other; returns how many have bad weights.

    columns, x, z : as `linear_rows.pack` takes them; the rows of problem b begin at b * x_step and
        b * z_step.
    offsets : (n_fits + 1,) int64, where the rows of a problem begin.
    omit, reml : bool; options : what `linear_memory.prepare` takes; sure : whether maxima exist.
    starts : (n_fits, p + q), looked at if the options say so.
    results : (at least first + n_fits, R_SIZE), and so on as in `linear_outcome.finish`; out.
    """
    p = x.shape[1]
    q = max(np.int64(1), z.shape[1])
    n_blocks = max(np.int64(1), (longest(offsets) + BLOCK - 1) // BLOCK)
    blocks, work = new_block(n_blocks, p, q), new_terms()
    memory, told, theta = new_memory(p, q), np.empty(told_size(p, q)), np.empty(p + q)
    places, fit = np.empty(BLOCK, np.int64), np.empty(STRIDE)
    by_cluster = np.zeros((n_clusters, p + q))
    bad = 0
    for b in range(offsets.size - 1):
        start, n = offsets[b], offsets[b + 1] - offsets[b]
        code, total, n_used = _pack_all(
            columns, x, z, start, n, b * x_step, b * z_step, omit, places, blocks
        )
        row = first + b
        if code != codes.OK:
            bad += code < 0
            linear_outcome.give_up(
                np.int64(code), total, results[row], params[row], stderr[row], corr[row]
            )
            continue
        n_used_blocks = (n + BLOCK - 1) // BLOCK
        lone = options[0] == SCALED and _has_lone_rows(blocks, n_used_blocks, p, q)
        prepare(memory, options, sure, float(p) if reml else 0.0, n_used, lone)
        _set_sizes(blocks, n_used_blocks, p, q, memory[SIZES])
        for j in range(p + q):
            memory[START][j] = starts[b % starts.shape[0], j]
        request = linear_search.begin(memory, theta)
        while request != DONE:
            if memory[CELLS][MOVED] > 0.0:
                _move_all(memory, blocks, n_used_blocks, fit)
            told[:] = 0.0
            by_cluster[:] = 0.0
            for i in range(n_used_blocks):
                _tell(request, theta, memory, _block(blocks, i), work, told, by_cluster)
            if request == CLUSTERS:
                fold_clusters(by_cluster, p, q, told)
            request = linear_search.proceed(memory, told, theta)
        linear_outcome.finish(memory, theta, results[row], params[row], stderr[row], corr[row])
    return bad


@helper
def _block(blocks, i):
    return blocks[0][i], blocks[1][i], blocks[2][i]


@helper
def _pack_all(columns, x, z, start, n, x_first, z_first, omit, places, blocks):
    """Pack the rows of a problem; returns (status, total weight, number of rows that are used)."""
    code, total, n_used = np.int64(codes.NO_DATA), 0.0, np.int64(0)
    for i in range((n + BLOCK - 1) // BLOCK):
        cells, design, ends = _block(blocks, i)
        skip = i * BLOCK
        found, weight = pack(
            columns,
            x,
            z,
            start + skip,
            min(np.int64(BLOCK), n - skip),
            x_first + skip,
            z_first + skip,
            omit,
            places,
            cells,
            design,
            ends,
        )
        total += weight
        n_used += ends[-1]
        code = worse(code, found)
    return code, total, n_used


@kernel
def worse(a, b):
    """The status of a problem with such parts: bad weights, NaN, impossible, some data, none."""
    for code in (-1, codes.NAN_INPUT, codes.INVALID_INPUT, codes.OK):
        if code in (a, b):
            return np.int64(code)
    return np.int64(codes.NO_DATA)


@helper
def _has_lone_rows(blocks, n_blocks, p, q):
    """Whether a column of Z is a dummy for so few known values that a plane goes through them.

    Their scale alone can go to 0, so the likelihood has no bound, whatever local maxima it has.
    """
    own_z, rows = z_row(p), np.empty((p, p))
    for j in range(q):
        count, alone = 0, True
        for i in range(n_blocks):
            cells, design, ends = _block(blocks, i)
            for t in range(ends[-1]):
                value = design[own_z + j, t]
                if value == 0.0:
                    continue
                known = ends[EXACT] <= t < ends[EXACT + 1] and cells[NOISE, t] == 0.0
                alone = alone and known and count < p
                if not alone:
                    break
                for k in range(p):
                    rows[count, k] = design[k, t]
                count += 1
            if not alone:
                break
        if alone and count > 0 and _independent(rows[:count]):
            return True
    return False


@helper
def _independent(rows):
    """Whether rows (lost) are linearly independent, by elimination."""
    n, p = rows.shape
    for i in range(n):
        best = 0
        for k in range(p):
            best = k if abs(rows[i, k]) > abs(rows[i, best]) else best
        if rows[i, best] == 0.0:
            return False
        for m in range(i + 1, n):
            factor = rows[m, best] / rows[i, best]
            size = 0.0
            for k in range(p):
                size = max(size, abs(rows[m, k]))
                rows[m, k] -= factor * rows[i, k]
            for k in range(p):
                if abs(rows[m, k]) < 1e-12 * size:
                    rows[m, k] = 0.0
    return True


@helper
def _set_sizes(blocks, n_blocks, p, q, sizes):
    """Units of X, the values and Z: powers of two, 1 where numbers are of moderate size."""
    own_z = z_row(p)
    for j in range(p + 1 + q):
        line = j if j <= p else own_z + j - p - 1
        largest = 0.0
        for i in range(n_blocks):
            _, design, ends = _block(blocks, i)
            for t in range(ends[-1]):
                largest = max(largest, abs(design[line, t]))
        sizes[j] = unit_of(largest)


@helper
def _move_all(memory, blocks, n_blocks, fit):
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    own_z = z_row(p)
    for i in range(n_blocks):
        block = _block(blocks, i)
        move(block, p, memory[STEP_X], memory[STEP_ORIGIN], memory[CELLS][STEP_UNIT], fit)
        change_basis(block[1][own_z : own_z + q], block[2][-1], memory[STEP_Z])


@helper
def _tell(request, theta, memory, block, work, told, by_cluster):
    cells = memory[CELLS]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    shift, share = -math.log(cells[UNIT]), 0.0
    if cells[MODEL] == COMPLETE and cells[TOTAL] > 0.0:
        share = cells[LOST] / cells[TOTAL]
    noisy = cells[WITH_NOISE] > 0.0
    tell(request, theta, shift, share, noisy, block, p, q, work, told, by_cluster)


@kernel
def fold_clusters(by_cluster, p, q, told):
    """Sums of scores by cluster (n, p + q) -> the sum of their outer products, in ``told``."""
    _, _, by_x, zx, zz = parts(told, p, q)
    for c in range(by_cluster.shape[0]):
        row = by_cluster[c]
        for j in range(p):
            for k in range(p):
                by_x[j, k] += row[j] * row[k]
        for j in range(q):
            for k in range(p):
                zx[j, k] += row[p + j] * row[k]
            for k in range(q):
                zz[j, k] += row[p + j] * row[p + k]


@kernel
def tell_segment(request, theta, memory, columns, x, z, omit, told, by_cluster):
    """Add the values of a segment of the rows of one long problem to ``told``.

    columns, x, z, omit : as in `fit_rows`, all of the segment.
    memory : of the search; only read.
    """
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    blocks, work = new_block(1, p, q), new_terms()
    places, fit = np.empty(BLOCK, np.int64), np.empty(STRIDE)
    block, own_z = _block(blocks, 0), z_row(p)
    for skip in range(0, columns[0].size, BLOCK):
        size = min(BLOCK, columns[0].size - skip)
        pack(columns, x, z, skip, size, skip, skip, omit, places, block[0], block[1], block[2])
        move(block, p, memory[BASIS_X], memory[ORIGIN], memory[CELLS][UNIT], fit)
        change_basis(block[1][own_z : own_z + q], block[2][-1], memory[BASIS_Z])
        _tell(request, theta, memory, block, work, told, by_cluster)


@kernel
def survey_segment(columns, x, z, omit, largest):
    """What is wrong with a segment: (status, total weight, rows used); and how large numbers are.

    largest : (p + 1 + q,), out: of the columns of X, the values, the columns of Z.
    """
    p = x.shape[1]
    q = max(np.int64(1), z.shape[1])
    blocks, places = new_block(1, p, q), np.empty(BLOCK, np.int64)
    cells, design, ends = _block(blocks, 0)
    code, total, n_used = np.int64(codes.NO_DATA), 0.0, np.int64(0)
    largest[:] = 0.0
    for skip in range(0, columns[0].size, BLOCK):
        size = min(BLOCK, columns[0].size - skip)
        found, weight = pack(
            columns, x, z, skip, size, skip, skip, omit, places, cells, design, ends
        )
        code = worse(code, found)
        total += weight
        n_used += ends[-1]
        for j in range(p + 1 + q):
            line = j if j <= p else z_row(p) + j - p - 1
            for t in range(ends[-1]):
                largest[j] = max(largest[j], abs(design[line, t]))
    return code, total, n_used


@kernel
def begin_long(memory, theta, options, sure, lost, n_used, largest):
    """Begin the search for the maximum of a long problem; see `linear_search`."""
    prepare(memory, options, sure, lost, n_used, False)
    for j in range(largest.size):
        memory[SIZES][j] = unit_of(largest[j])
    return linear_search.begin(memory, theta)
