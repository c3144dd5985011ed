"""Digits, and bits: so that nothing becomes faster by becoming worse."""

import hashlib
import subprocess
import sys
from fractions import Fraction

import mpmath
import numpy as np

import fastnat
from fastnat import special

from . import common, linear, observed, processes

BITS = (
    "import hashlib, numpy, fastnat; x = numpy.random.default_rng(1).normal(9.0, 2.0, (50, 999));"
    "told = fastnat.fit_normal(x).params.tobytes() + fastnat.special.hazard(x).tobytes()"
    " + fastnat.fit_normal(x, left=8.0).params.tobytes();"
    "print(hashlib.sha256(told).hexdigest())"
)


def _worst(ours, exact, points):
    values = ours(points)
    with mpmath.workdps(40):
        errors = [abs((mpmath.mpf(v) - e) / e) for v, e in zip(values, exact, strict=True)]
    return float(max(errors))


class Digits:
    """Relative errors."""

    timeout = 300

    def track_variance_error(self):
        """NIST's NumAcc4 (three values about 1e7, kappa 1e8), 1e8 of them, sorted."""
        n = observed.size(10**8, 10_000)
        values, counts = [1e7 + 0.1, 1e7 + 0.2, 1e7 + 0.3], [n // 2, 1, n - n // 2 - 1]
        exact = [Fraction(v) for v in values]
        mean = sum(v * c for v, c in zip(exact, counts, strict=True)) / n
        var = sum((v - mean) ** 2 * c for v, c in zip(exact, counts, strict=True)) / n
        fit = fastnat.fit_normal(np.repeat(values, counts), n_threads=1)
        return abs(float(Fraction(float(fit.sigma)) ** 2 / var - 1))

    def track_hazard_error(self):
        x = np.linspace(-37.0, 40.0, 100 if common.QUICK else 1000)
        with mpmath.workdps(40):
            root = mpmath.sqrt(2)
            exact = [mpmath.npdf(v) * 2 / mpmath.erfc(mpmath.mpf(v) / root) for v in x]
        return _worst(special.hazard, exact, x)

    def track_log_ndtr_error(self):
        x = np.linspace(-37.0, 5.0, 100 if common.QUICK else 1000)
        with mpmath.workdps(40):
            root = mpmath.sqrt(2)
            exact = [mpmath.log(mpmath.erfc(-mpmath.mpf(v) / root) / 2) for v in x]
        return _worst(special.log_ndtr, exact, x)


class Bits:
    """Results that are not the same to the last bit."""

    timeout = 300

    def track_differences_between_threads(self):
        x = common.normal(1000, 1000)
        data = linear.scale_problem(observed.size(100_000))
        fits = (
            lambda n: fastnat.fit_normal(x, axis=None, n_threads=n),
            lambda n: fastnat.fit_normal(x, left=0.1, n_threads=n),
            lambda n: fastnat.fit_mvn(x[:, :5], n_threads=n),
            lambda n: fastnat.fit_linear(*data, n_threads=n),
        )
        return float(sum(not np.array_equal(fit(1).params, fit(2).params) for fit in fits))

    def track_differences_between_instruction_sets(self):
        """AVX2 beside what this processor has; a smoke run looks at the latter only."""
        avx2 = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"}
        told = []
        for more in ({}, {} if common.QUICK else avx2):
            env = processes.environment() | more
            command = [sys.executable, "-c", BITS]
            done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True)
            told.append(done.stdout)
        assert len(told[0].strip()) == 2 * hashlib.sha256().digest_size
        return float(told[0] != told[1])
