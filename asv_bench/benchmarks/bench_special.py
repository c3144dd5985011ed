"""The normal tail: `fastnat.special` on 4096 numbers, which stay in the first-level cache."""

import functools

import numpy as np

from fastnat import kernels, special

from . import common
from .measuring import Timed, Work, measured, times, told

ROOT = np.sqrt(2.0 / np.pi)


def _scipy():
    import scipy.special

    return scipy.special


def _numbers():
    return np.random.default_rng(1).uniform(-5.0, 5.0, 4096)


def _tail(ours, theirs):
    x = _numbers()
    library = _scipy()
    # 8 bytes read and written; about 50 operations (21 multiply-adds, a division).
    return Work(lambda: ours(x), {"scipy": lambda: theirs(library, x)}, items=x.size)


def _interval():
    a = _numbers()
    b = a + 0.5
    library = _scipy()

    def naive():
        return np.log(library.ndtr(b) - library.ndtr(a))

    return Work(lambda: special.log_interval_prob(a, b), {"scipy": naive}, items=a.size)


WORKS = {
    "hazard": functools.partial(
        _tail, special.hazard, lambda s, x: ROOT / s.erfcx(x / np.sqrt(2.0))
    ),
    "log_ndtr": functools.partial(_tail, special.log_ndtr, lambda s, x: s.log_ndtr(x)),
    "ndtr": functools.partial(_tail, special.ndtr, lambda s, x: s.ndtr(x)),
    "hazard_remainder": functools.partial(
        _tail,
        special.hazard_remainder,
        lambda s, x: ROOT / s.erfcx(x / np.sqrt(2.0)) - x,
    ),
    "log_interval_prob": _interval,
}


class Special(Timed):
    works, params, param_names = WORKS, common.few(WORKS), ["case"]

    def time_function(self, case):
        self.work.ours()


class SpecialBeside:
    params, param_names = common.few(WORKS), ["case"]
    timeout = 300

    def setup_cache(self):
        return measured(WORKS)

    track_ns_a_value = told("ns each", "ns")
    track_times_scipy = times("scipy")


class LowLevel:
    """An integral by SciPy's quadrature of our function, beside its own."""

    def setup(self):
        import scipy.integrate
        import scipy.special

        self.quad, self.ndtr = scipy.integrate.quad, scipy.special.ndtr
        self.ours = special.low_level_callable("ndtr")
        self._ours()

    def _ours(self):
        return self.quad(self.ours, -5.0, 5.0)

    def time_quad(self):
        self._ours()

    def track_times_scipy(self):
        return common.ratio(lambda: self.quad(self.ndtr, -5.0, 5.0), self._ours)


class Scalars:
    """Kernels called from Python, a number at a time: mostly what a call costs."""

    params, param_names = (
        (
            [
                "hazard",
                "hazard_remainder",
                "log_ndtr",
                "ndtr",
                "log_interval_prob",
                "truncated_moments",
            ]
        ),
        ["function"],
    )
    if common.QUICK:
        params = params[:1]

    def setup(self, function):
        self.function, self.arguments = {
            "hazard": (kernels.hazard, (1.0,)),
            "hazard_remainder": (kernels.hazard_remainder, (1.0,)),
            "log_ndtr": (kernels.log_ndtr, (1.0,)),
            "ndtr": (kernels.ndtr, (1.0,)),
            "log_interval_prob": (kernels.log_interval_prob, (0.5, 1.0)),
            "truncated_moments": (kernels.truncated_moments, (0.5, -0.5, -1.0, 2.0)),
        }[function]
        self.function(*self.arguments)

    def time_call(self, function):
        self.function(*self.arguments)
