"""Regressions: rows of many problems -> estimates."""

import math

import numpy as np

from fastnat.kernels import codes, linear_outcome, linear_search
from fastnat.kernels._jit import helper, kernel
from fastnat.kernels._scalar import borrow, keep
from fastnat.kernels._stop import stopped
from fastnat.kernels.compression import longest
from fastnat.kernels.fisher import BLOCK
from fastnat.kernels.linear_memory import (
    BASIS_X,
    BASIS_Z,
    CELLS,
    COMPLETE,
    LOST,
    MODEL,
    MOVED,
    NORMS,
    ORIGIN,
    PENDING,
    SCALED,
    SQUARES_Z,
    START,
    STEP_ORIGIN,
    STEP_UNIT,
    STEP_X,
    STEP_Z,
    TOTAL,
    TURNED,
    UNIT,
    WITH_NOISE,
    new_memory,
    prepare,
)
from fastnat.kernels.linear_outcome import R_STATUS
from fastnat.kernels.linear_rows import (
    EXACT,
    N_KINDS,
    NOISE,
    all_finite,
    change_basis,
    move,
    new_blocks,
    new_scratch,
    own,
    pack,
    x_of,
    z_of,
)
from fastnat.kernels.linear_values import (
    CLUSTERS,
    DONE,
    collect,
    new_work,
    parts,
    tell,
    told_size,
)


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
    pending,
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
    pending : whether to fit only problems whose status in the results is PENDING.
    results : (at least first + n_fits, R_SIZE), and so on as in `linear_outcome.finish`; out.
    """
    p = x.shape[1]
    q = max(np.int64(1), z.shape[1])
    n_blocks = max(np.int64(1), (longest(offsets) + BLOCK - 1) // BLOCK)
    owners = (
        new_memory(p, q),
        new_blocks(n_blocks, p, z.shape[1]),
        new_scratch(p),
        new_work(p, q),
        (np.empty(told_size(p, q)), np.empty(p + q), np.zeros((n_clusters, p + q))),
        (columns, x, z),
        (results, params, stderr, corr),
    )
    memory, blocks, scratch, work, (told, theta, by_cluster), given, found = borrow(owners)
    tools = memory, blocks, scratch, work, told, theta, by_cluster
    problems = offsets, x_step, z_step, starts, pending, first
    bad = _fit_all(given, problems, (omit, reml, options, sure), tools, found)
    keep(owners)
    return bad


@helper
def _fit_all(given, problems, how, tools, found):
    """`fit_rows`, with nothing left to allocate, and references that nobody counts."""
    columns, x, z = given
    offsets, x_step, z_step, starts, pending, first = problems
    omit, reml, options, sure = how
    memory, blocks, scratch, _, _, theta, _ = tools
    results, params, stderr, corr = found
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    bad, careful = 0, True
    for b in range(offsets.size - 1):
        start, n = offsets[b], offsets[b + 1] - offsets[b]
        rows = x, z, x.reshape(x.size), z.reshape(z.size), b * x_step, b * z_step
        row = first + b
        if b == 0 or x_step > 0 or z_step > 0:
            careful = not (all_finite(x, rows[4], n) and all_finite(z, rows[5], n))
        if pending and results[row, R_STATUS] != PENDING:
            continue
        out = results[row], params[row], stderr[row], corr[row]
        n_used = (n + BLOCK - 1) // BLOCK
        code, total = _pack_all(columns, rows, start, n, omit, careful, scratch, blocks)
        if code != codes.OK:
            bad += code < 0
            linear_outcome.give_up(np.int64(code), total, *out)
            continue
        lone = options[0] == SCALED and _has_lone_rows(rows, blocks, n_used, p)
        prepare(memory, options, sure, float(p) if reml else 0.0, lone)
        for j in range(p + q):
            memory[START][j] = starts[b % starts.shape[0], j]
        _search(rows, n_used, is_limited(columns), tools)
        linear_outcome.finish(memory, theta, *out)
    return bad


@helper
def _search(rows, n_blocks, limited, tools):
    """The search for the maximum of a problem that has been prepared."""
    memory, blocks, scratch, work, told, theta, by_cluster = tools
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    request = linear_search.begin(memory, theta)
    while request != DONE and not stopped():
        if memory[CELLS][MOVED] > 0.0:
            for i in range(n_blocks):
                move_block(memory, STEPS, rows, limited, scratch, i, blocks)
        told[:] = 0.0
        by_cluster[:] = 0.0
        for i in range(n_blocks):
            tell_block(request, theta, memory, rows, i, blocks, work, told, by_cluster)
        if request == CLUSTERS:
            fold_clusters(by_cluster, p, q, told)
        collect(p, q, work, told)
        request = linear_search.proceed(memory, told, theta)


@helper
def is_limited(columns):
    """Whether more is known, or less, than values: limits, bounds or noise."""
    limited = False
    for column in columns[1:7]:
        limited = limited or column.size > 0
    return limited


@helper
def _pack_all(columns, rows, start, n, omit, careful, scratch, blocks):
    """Pack the rows of a problem; returns (status, total weight)."""
    x, z, _, _, x_first, z_first = rows
    code, total = np.int64(codes.NO_DATA), 0.0
    for i in range((n + BLOCK - 1) // BLOCK):
        skip = i * BLOCK
        size = min(np.int64(BLOCK), n - skip)
        found, weight = pack(
            columns,
            x,
            z,
            start + skip,
            size,
            x_first + skip,
            z_first + skip,
            omit,
            careful,
            scratch,
            i,
            blocks,
        )
        total += weight
        code = worse(code, found)
    return code, total


@kernel
def worse(a, b):
    """The status of a problem with such parts: bad weights, NaN, impossible, some data, none."""
    for code in (-1, codes.NAN_INPUT, codes.INVALID_INPUT, codes.OK):
        if code in (a, b):
            return np.int64(code)
    return np.int64(codes.NO_DATA)


@helper
def _has_lone_rows(rows, blocks, n_blocks, p):
    """Whether a column of Z is a dummy for so few known values that a plane goes through them.

    Their scale alone can go to 0, so the likelihood has no bound, whatever local maxima it has.
    """
    q, few = rows[1].shape[1], np.empty((p, p))
    for j in range(q):
        count, alone = 0, True
        for i in range(n_blocks):
            cells, ends, x, x_start, z, z_start = _rows_of(rows, i, blocks)
            for t in range(ends[N_KINDS]):
                if z[z_start + t * q + j] == 0.0:
                    continue
                alone = alone and t >= ends[EXACT] and cells[NOISE, t] == 0.0 and count < p
                if not alone:
                    break
                for k in range(p):
                    few[count, k] = x[x_start + t * p + k]
                count += 1
            if not alone:
                break
        if alone and count > 0 and _independent(few[:count]):
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
def _rows_of(rows, i, blocks):
    """Block ``i`` as `tell` takes it."""
    _, _, x, z, x_first, z_first = rows
    own_x, x_start = x_of(blocks, x, x_first, i)
    own_z, z_start = z_of(blocks, z, z_first, i)
    return blocks[0][i], blocks[1][i], own_x, x_start, own_z, z_start


STEPS = (STEP_X, STEP_Z, STEP_ORIGIN, STEP_UNIT)
"""The last change of coordinates; and all of them."""
WHOLE = (BASIS_X, BASIS_Z, ORIGIN, UNIT)


@helper
def move_block(memory, change, rows, limited, scratch, i, blocks):
    """Block ``i`` goes to other coordinates, which its rows do in a copy of theirs."""
    x, z, flat, _, x_first, z_first = rows
    to_x, to_z, origin, unit = change
    p, n = memory[ORIGIN].size, blocks[1][i, N_KINDS]
    if memory[CELLS][TURNED] > 0.0:
        if blocks[4][i] == 0:
            order = scratch[1]
            for t in range(n):
                order[t] = t
            own(x, z, x_first + i * BLOCK, z_first + i * BLOCK, order, i, blocks)
        change_basis(blocks[2], i * BLOCK * p, n, memory[to_x])
        if z.size > 0:
            change_basis(blocks[3], i * BLOCK * z.shape[1], n, memory[to_z])
    own_x, start = x_of(blocks, flat, x_first, i)
    cells = memory[CELLS]
    sizes = memory[NORMS]
    move(blocks[0][i], n, own_x, start, p, memory[origin], sizes, cells[unit], limited, scratch)


@helper
def tell_block(request, theta, memory, rows, i, blocks, work, told, by_cluster):
    cells = memory[CELLS]
    p, q = memory[ORIGIN].size, memory[SQUARES_Z].shape[0]
    shift, share = -math.log(cells[UNIT]), 0.0
    if cells[MODEL] == COMPLETE and cells[TOTAL] > 0.0:
        share = cells[LOST] / cells[TOTAL]
    noisy = cells[WITH_NOISE] > 0.0
    block = _rows_of(rows, i, blocks)
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
