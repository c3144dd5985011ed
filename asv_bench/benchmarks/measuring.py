"""Measurements in turns, and the `track_*` benchmarks that tell what they found.

A class named ``...Beside`` measures each of its cases once, in `setup_cache`: ours, every peer and
what the machine can do take turns in one process, so all see the same noise.  Each `track_*` of
the class tells one of the numbers.  `time_*` are in a class of their own, for asv's statistics.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import common


@dataclass
class Work:
    """Something to be measured, and what it is held against.

    peers : by name; those that are not installed are left out.
    shares : how many times the work is what the peer of that name does of it, else 1.
    reads : the arrays that are read.
    flops : useful floating-point operations of a call, a multiplication and an addition being two.
    items : observations, or problems, a call has.
    on_two_threads : the same with two threads.
    score : of the result, its largest score at the end in units of standard errors.
    budget : seconds that turns may take, more where few of them would say little.
    """

    ours: Callable[[], Any]
    peers: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    reads: tuple[np.ndarray, ...] = ()
    flops: float = 0.0
    items: float = 1.0
    on_two_threads: Callable[[], Any] | None = None
    score: Callable[[Any], float] | None = None
    more: Callable[[], dict[str, float]] | None = None
    budget: float = common.BUDGET


class Timed:
    """The base of `time_*`: ``works`` are makers of `Work` by case, which `setup` warms."""

    timeout = 300
    rounds, repeat = 1, (3, 10, 1.0)
    warmup_time = 0.0

    def setup(self, case):
        self.work = self.works[case]()
        self.work.ours()


def measured(works, cases=None):
    """What is found of each case, or of these: {case: {what: number}}."""
    return {case: _measure(works[case]()) for case in cases or common.few(works)}


def _measure(work):
    """In turns: ours, peers, reading, multiplication of matrices, two threads."""
    functions = {"ours": work.ours}
    for name, peer in work.peers.items():
        if _is_there(peer):
            functions[f"times {name}"] = peer
    if work.reads:
        functions["read fraction"] = lambda: common.read(*work.reads)
    if work.flops:
        functions["dgemm"] = _dgemm
    medians = common.medians(*functions.values(), budget=work.budget)
    seconds = dict(zip(functions, medians, strict=True))
    ours = seconds.pop("ours")
    found = {"seconds": ours, "ns each": 1e9 * ours / work.items}
    if work.flops:
        gflops, most = 1e-9 * work.flops / ours, 1e-9 * _DGEMM_FLOPS / seconds.pop("dgemm")
        found |= {"gflops": gflops, "dgemm fraction": gflops / most}
        found["flops a byte"] = work.flops / sum(x.nbytes for x in work.reads)
    for what, theirs in seconds.items():
        found[what] = theirs / ours * work.shares.get(what.removeprefix("times "), 1.0)
    return found | _ends(work) | _threads(work) | (work.more() if work.more else {})


def _is_there(peer):
    try:
        peer()
    except ModuleNotFoundError:
        return False
    return True


_SIDE = 100 if common.QUICK else 1200
_DGEMM_FLOPS = 2.0 * _SIDE**3
_MATRIX = np.ones((_SIDE, _SIDE))


def _dgemm():
    return _MATRIX @ _MATRIX


def read_speed():
    """Gigabytes a second, of an array that no cache holds."""
    x = common.normal(5 * 10**7)
    return 1e-9 * x.nbytes / common.medians(lambda: common.read(x))[0]


def dgemm_speed():
    """GFLOP/s of NumPy's product of square matrices."""
    return 1e-9 * _DGEMM_FLOPS / common.medians(_dgemm)[0]


def _ends(work):
    """Where the search ended, and after how many iterations."""
    if work.score is None:
        return {}
    fit = work.ours()
    return {
        "iterations": float(np.mean(fit.nit)),
        "failures": float(np.sum(~np.asarray(fit.success))),
        "score": float(work.score(fit)),
    }


def _threads(work):
    """Two threads in turns with one, after the rest: a BLAS's pool that just ran slows them."""
    if work.on_two_threads is None:
        return {}
    common.limit_threads(2)
    one, two = common.medians(work.ours, work.on_two_threads)
    common.limit_threads(1)
    return {"two threads": one / two}


def told(what, unit=""):
    """A benchmark that tells what `measured` has found under this name; NaN if nothing."""

    def track(_, found, *case):
        return found[case[0]].get(what, math.nan)

    track.unit = unit
    return track


def times(peer):
    """How many times longer the peer takes."""
    return told(f"times {peer}", "times as fast")


def fraction(what):
    """What is reached of what the machine can do: "read", or "dgemm"."""
    return told(f"{what} fraction", "of 1")


def largest(score, stderr):
    """The largest score in units of standard errors, not counting what is not finite."""
    return np.nanmax(np.abs(np.where(np.isfinite(stderr), score * stderr, 0.0)), initial=0.0)
