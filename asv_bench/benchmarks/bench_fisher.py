"""Scores to gradient and empirical Fisher matrix, on one thread, beside NumPy."""

import functools

import numpy as np
from numba import njit

from fastnat import kernels

from . import common, engine
from .engine import BLOCK, STRIDE
from .measuring import Timed, Work, fraction, measured, times, told


def _model(p):
    case = engine.Fisher(p, 10**6 if p < 8 else 2 * 10**5)
    for ours, theirs in zip(case.ours(), case.numpy(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-6)
    n = len(case.data[0])
    # Products of scores, the scores' and the sums' own: z, s, and what it takes to add them.
    flops = n * (p * (p + 1.0) + 4.0 * p)
    return Work(case.ours, {"numpy": case.numpy}, reads=case.data, flops=flops, items=n)


MODELS = {f"p={p}": functools.partial(_model, p) for p in (2, 4, 8, 20, 50)}


class Model(Timed):
    """Log-likelihood, score and Fisher matrix of a compiled model, an evaluation."""

    works, params, param_names = MODELS, common.few(MODELS), ["case"]

    def time_evaluate(self, case):
        self.work.ours()


class ModelBeside:
    params, param_names = common.few(MODELS), ["case"]
    timeout = 600

    def setup_cache(self):
        return measured(MODELS)

    track_ns_an_observation = told("ns each", "ns")
    track_times_numpy = times("numpy")
    track_fraction_of_dgemm = fraction("dgemm")
    track_gflops = told("gflops", "GFLOP/s")
    track_flops_a_byte = told("flops a byte")


@njit
def _accumulate_often(scores, gradient, fisher):
    """As compiled code calls it: a call from Python takes as long as the products of four rows."""
    for _ in range(20):
        kernels.accumulate(scores, None, BLOCK, gradient, fisher)


def _tiles(p):
    """A block of scores that stay in the cache, again and again."""
    scores = np.random.default_rng(5).standard_normal((p, STRIDE))
    block = scores[:, :BLOCK]
    gradient, fisher = np.zeros(p), np.zeros((p, p))

    def ours():
        _accumulate_often(scores, gradient, fisher)

    def numpy():
        for _ in range(20):
            fisher[:] += block @ block.T
            gradient[:] += block.sum(axis=1)

    n = 20 * BLOCK
    flops = n * (p * (p + 1.0) + p)
    return Work(ours, {"numpy": numpy}, reads=(scores,) * 20, flops=flops, items=n)


TILES = {f"p={p}": functools.partial(_tiles, p) for p in (2, 4, 8, 20, 50)}


class Tiles(Timed):
    """The products alone."""

    works, params, param_names = TILES, common.few(TILES), ["case"]

    def time_accumulate(self, case):
        self.work.ours()


class TilesBeside:
    params, param_names = common.few(TILES), ["case"]
    timeout = 300

    def setup_cache(self):
        return measured(TILES)

    track_ns_an_observation = told("ns each", "ns")
    track_times_numpy = times("numpy")
    track_fraction_of_dgemm = fraction("dgemm")
    track_gflops = told("gflops", "GFLOP/s")


def _cholesky(p):
    case = engine.Cholesky(p, 200_000 if p < 8 else 20_000)
    np.testing.assert_allclose(case.ours(), case.numpy(), rtol=1e-6, atol=1e-6)
    return Work(case.ours, {"numpy": case.numpy}, items=len(case.a))


SYSTEMS = {f"p={p}": functools.partial(_cholesky, p) for p in (2, 3, 4, 8, 20)}


class Cholesky(Timed):
    """Many small systems: `cholesky_many` and `cholesky_solve_many`, a copy of the input too."""

    works, params, param_names = SYSTEMS, common.few(SYSTEMS), ["case"]

    def time_solve(self, case):
        self.work.ours()


class CholeskyBeside:
    params, param_names = common.few(SYSTEMS), ["case"]
    timeout = 300

    def setup_cache(self):
        return measured(SYSTEMS)

    track_ns_a_problem = told("ns each", "ns")
    track_times_numpy = times("numpy")
