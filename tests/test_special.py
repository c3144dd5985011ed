"""The normal tail and intervals of it, against mpmath."""

import math
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import COMPILED, EPS, refused, scaled
from mpmath import mp
from scipy import integrate
from scipy import special as scipy_special

from fastnat import kernels, special
from fastnat.kernels import observation, truncated_moments
from fastnat.kernels import special as scalar
from fastnat.kernels._jit import kernel

INF = np.inf


def points(rng):
    grid = np.linspace(-37.0, 40.0, scaled(1541, 78))
    tiny = 10.0 ** rng.uniform(-300, -1, scaled(100, 10))
    dense = rng.uniform(-40.0, 40.0, scaled(600, 20))
    return np.concatenate([grid, tiny, -tiny, dense, rng.normal(0.0, 0.3, scaled(400, 20))])


def upper_tail(x):
    return mp.erfc(x / mp.sqrt(2)) / 2


def worst(got, want):
    """The largest relative error, of normal numbers."""
    errors = [
        abs((mp.mpf(float(g)) - w) / w) for g, w in zip(got, want, strict=True) if abs(w) > 1e-300
    ]
    return float(max(errors))


@pytest.fixture
def digits():
    with mp.workdps(50):
        yield


@pytest.mark.usefixtures("digits")
def test_tail_functions(rng):
    """Better than 2e-15 over [-37, 40], and as far beyond as doubles are normal."""
    x = points(rng)
    exact = [mp.mpf(float(v)) for v in x]
    hazards = [mp.npdf(v) / upper_tail(v) for v in exact]
    assert worst(special.hazard(x), hazards) < 2e-15
    remainders = [h - v for h, v in zip(hazards, exact, strict=True)]
    assert worst(special.hazard_remainder(x), remainders) < 2e-15
    assert worst(special.ndtr(-x), [upper_tail(v) for v in exact]) < 2e-15
    logs = [mp.log(upper_tail(v)) if v > -5 else mp.log1p(-upper_tail(-v)) for v in exact]
    assert worst(special.log_ndtr(-x), logs) < 2e-15


def test_limits():
    x = np.array([-INF, INF, np.nan, 0.0, -0.0])
    half = math.sqrt(2.0 / math.pi)
    for function, want in (
        (special.hazard, [0.0, INF, np.nan, half, half]),
        (special.hazard_remainder, [INF, 0.0, np.nan, half, half]),
        (special.log_ndtr, [-INF, 0.0, np.nan, -math.log(2.0), -math.log(2.0)]),
        (special.ndtr, [0.0, 1.0, np.nan, 0.5, 0.5]),
    ):
        np.testing.assert_allclose(function(x), want, rtol=2 * EPS, equal_nan=True)


@pytest.mark.parametrize("x", [1e3, 1e20, 1e21, 1e100, 1e155, 1e308])
def test_far_arguments(x):
    assert special.hazard(x) == pytest.approx(x, rel=2e-6)
    assert special.hazard_remainder(x) == pytest.approx(1.0 / x, rel=2e-6)
    assert special.hazard(-x) == 0.0
    assert special.hazard_remainder(-x) == x
    assert special.log_ndtr(-x) == pytest.approx(max(-0.5 * x * x, -INF), rel=1e-4)
    assert (special.log_ndtr(x), special.ndtr(x), special.ndtr(-x)) == (0.0, 1.0, 0.0)


def test_underflow_is_gradual():
    x = np.array([-38.0, -38.4, -38.55])
    want = np.exp(-0.5 * np.longdouble(x) ** 2) / np.sqrt(2 * np.longdouble(math.pi))
    assert np.all(np.abs(special.hazard(x) - want) <= 1e-323 + 1e-13 * want)
    assert special.hazard(-38.6) == 0.0


def test_shapes_and_dtypes():
    x = np.arange(6.0).reshape(2, 3)
    expected = scipy_special.log_ndtr(x)
    for same in (x, x.tolist(), np.asfortranarray(x), x.astype(np.float32), x.astype(int)):
        np.testing.assert_allclose(special.log_ndtr(same), expected, rtol=1e-13)
    assert isinstance(special.ndtr(1), np.float64)
    assert special.log_interval_prob([[0.0], [1.0]], [2.0, 3.0, 4.0]).shape == (2, 3)
    frozen = np.arange(3.0)
    frozen.flags.writeable = False
    assert special.ndtr(frozen).shape == (3,)
    assert special.ndtr([]).shape == (0,)
    with refused(TypeError, "x"):
        special.hazard(["a"])
    with refused(ValueError, "a", "b"):
        special.log_interval_prob([1.0, 2.0], [1.0, 2.0, 3.0])


def exact_interval(a, w):
    """What `interval` returns, from an end and the width."""
    a, w = mp.mpf(float(a)), mp.mpf(float(w))
    b = a + w
    low, high = (a, b) if a + b >= 0 else (-b, -a)  # no cancellation to speak of
    inside = upper_tail(low) - upper_tail(high)
    p, q = mp.npdf(a) / inside, mp.npdf(b) / inside
    m = [a**k * p - b**k * q for k in range(4)]
    return (
        mp.log(inside),
        m[0],
        m[1],
        m[0] ** 2 - m[1],
        m[0] * m[1] - m[2],
        m[1] ** 2 - m[3],
    )


def intervals(rng, n):
    """Narrow and wide, near and far; the ends are those that doubles have."""
    w = 10.0 ** rng.uniform(-9, 2, n)
    a = rng.choice([-1.0, 1.0], n) * 10.0 ** rng.uniform(-3, 1.5, n) - 0.5 * w
    near = rng.random(n) < 0.3
    a[near] = rng.normal(0.0, 1.5, near.sum())
    return a, w


def test_interval(rng):
    a, w = intervals(rng, scaled(1500, 60))
    with mp.workdps(120):
        for a_k, w_k in zip(a.tolist(), w.tolist(), strict=True):
            got = observation.interval(a_k, a_k + w_k, w_k)
            want = exact_interval(a_k, w_k)
            # b, rounded, is off by half a unit in the last place, which moves the centre.
            slack = 2 * EPS * max(abs(a_k), abs(a_k + w_k)) * (1 + abs(a_k) + w_k)
            s = 1 + abs(want[1])
            units = (1 + abs(want[0]), s, s * s, 1, s, s * s)
            for g, e, unit in zip(got, want, units, strict=True):
                assert abs(g - e) <= (1e-12 + slack) * unit


def test_interval_is_antisymmetric(rng):
    signs = np.array([1.0, -1.0, 1.0, 1.0, -1.0, 1.0])
    a, w = intervals(rng, 200)
    for a_k, w_k in zip(a.tolist(), w.tolist(), strict=True):
        b_k = a_k + w_k
        forth = np.array(observation.interval(a_k, b_k, w_k))
        back = np.array(observation.interval(-b_k, -a_k, w_k))
        if a_k + b_k != 0.0:
            assert np.array_equal(forth, signs * back)


def test_a_wide_interval_is_one_sided():
    for a in (-3.0, 0.5, 8.0):
        hazard, remainder, log_tail = scalar.tail(a)
        got = observation.interval(a, a + 80.0, 80.0)
        part = hazard * remainder
        want = (log_tail, hazard, a * hazard, part, a * part, a * a * part)
        np.testing.assert_allclose(got, want, rtol=1e-10)


def test_log_interval_prob(rng):
    a, w = intervals(rng, scaled(300, 30))
    with mp.workdps(120):
        for a_k, b_k in zip(a.tolist(), (a + w).tolist(), strict=True):
            want = exact_interval(a_k, mp.mpf(b_k) - mp.mpf(a_k))[0]
            got = special.log_interval_prob(a_k, b_k)
            assert abs(got - want) <= 1e-13 * (1 + abs(want))
    assert special.log_interval_prob(-INF, INF) == 0.0
    assert special.log_interval_prob(1.0, 1.0) == -INF
    assert np.all(np.isnan(special.log_interval_prob([2.0, np.nan, 1.0], [1.0, 1.0, np.nan])))
    np.testing.assert_allclose(special.log_interval_prob(-INF, -3.0), special.log_ndtr(-3.0))
    np.testing.assert_allclose(special.log_interval_prob(3.0, INF), special.log_ndtr(-3.0))


@pytest.mark.parametrize("rate", [1e3, 1e16, 1e20, 1e50])
def test_moments_of_a_steep_exponential_distribution(rate):
    """Its width may be less than the distance between neighbours of its peak: 1 / rate."""
    log_z, mean, k2, k3, k4 = truncated_moments(-rate, 0.0, 1.0, INF)
    assert math.isclose(log_z, -rate - math.log(rate), rel_tol=1e-15)
    assert math.isclose(mean, 1.0 + 1.0 / rate, rel_tol=1e-15)
    np.testing.assert_allclose([k2 * rate**2, k3 * rate**3, k4 * rate**3 * rate], [1, 2, 9], 1e-13)


@pytest.mark.parametrize("e1", scaled([-30.0, -1.0, 0.0, 0.3, 25.0], [-1.0, 25.0]))
@pytest.mark.parametrize("e2", [0.0, -1e-6, -0.5, -40.0])
@pytest.mark.parametrize("ends", [(-1.0, 2.5), (0.0, INF), (-INF, 1.0), (-INF, INF), (3.0, 3.01)])
def test_truncated_moments(e1, e2, ends):
    lower, upper = ends
    if e2 == 0.0 and ((not e1 < 0.0 and upper == INF) or (not e1 > 0.0 and lower == -INF)):
        return  # no such distribution
    got = truncated_moments(e1, e2, lower, upper)
    with mp.workdps(40):
        peak = min(max(lower, -0.5 * e1 / e2 if e2 else math.copysign(INF, e1 or 1.0)), upper)
        slope = abs(e1 + 2 * e2 * peak) if math.isfinite(peak) else 0.0
        unit = 1 / max(slope, math.sqrt(-2 * e2), 1 / (upper - lower))
        steps = [peak + k * unit for k in (-90, -30, -9, -3, 0, 3, 9, 30, 90)]
        cuts = [mp.mpf(lower), *[mp.mpf(s) for s in steps if lower < s < upper], mp.mpf(upper)]
        cuts = [c for c in cuts if mp.isfinite(c)]
        density = lambda t: mp.exp(e1 * (t - peak) + e2 * (t * t - peak * peak))  # noqa: E731
        mass = mp.quad(density, cuts)
        mean = mp.quad(lambda t: (t - peak) * density(t), cuts) / mass
        centred = lambda k: (  # noqa: E731
            mp.quad(lambda t: (t - peak - mean) ** k * density(t), cuts) / mass
        )
        k2 = centred(2)
        root = mp.sqrt(k2)
        log_z = mp.log(mass) + e1 * peak + e2 * peak * peak
        assert abs(got[0] - log_z) <= 1e-13 * (1 + abs(log_z))
        assert abs(got[1] - peak - mean) <= 1e-12 * root + 2 * EPS * abs(peak)
        assert abs(got[2] / k2 - 1) <= 2e-13
        assert abs(got[3] - centred(3)) <= 2e-13 * root**3
        assert abs(got[4] / centred(4) - 1) <= 2e-13


def test_low_level_callables():
    for name, primitive in (
        ("ndtr", lambda x: x * special.ndtr(x) + math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)),
        ("hazard", lambda x: -special.log_ndtr(-x)),
    ):
        value, _ = integrate.quad(special.low_level_callable(name), -2.0, 3.0)
        assert value == pytest.approx(primitive(3.0) - primitive(-2.0), rel=1e-12)
    assert special.low_level_callable("ndtr") is special.low_level_callable("ndtr")
    assert special.low_level_callable("log_interval_prob").signature == "double (double, double)"
    with refused(ValueError, "name"):
        special.low_level_callable("erf")


def test_kernels_call_them():
    @kernel
    def total(x):
        result = 0.0
        for i in range(x.size):
            result += kernels.hazard(x[i]) + kernels.log_ndtr(x[i]) + kernels.ndtr(x[i])
            result += kernels.hazard_remainder(x[i])
            result += kernels.log_interval_prob(x[i], x[i] + 1.0)
            result += kernels.truncated_moments(0.0, -0.5, x[i], x[i] + 1.0)[1]
        return result

    x = np.array([-1.0, 0.5])
    parts = [special.hazard(x), special.log_ndtr(x), special.ndtr(x), special.hazard_remainder(x)]
    parts.append(special.log_interval_prob(x, x + 1.0))
    inside = special.ndtr(x + 1.0) - special.ndtr(x)
    density = lambda t: np.exp(-0.5 * t * t) / math.sqrt(2 * math.pi)  # noqa: E731
    parts.append((density(x) - density(x + 1.0)) / inside)
    assert total(x) == pytest.approx(np.sum(parts), rel=1e-13)


_LOOP = """
import numpy as np
from fastnat.kernels import special
from fastnat.kernels._jit import kernel

@kernel
def loop(x, a, b, c):
    for i in range(x.size):
        a[i], b[i], c[i] = special.tail(x[i])

x = np.linspace(-1, 1, 64)
loop(x, *np.empty((3, 64)))
print("\\n".join(loop.inspect_asm().values()))
"""


@pytest.mark.skipif(not COMPILED, reason="there are no instructions without a compiler")
def test_loops_are_vectorised(tmp_path):
    """Packed fused multiply-adds and divisions, and no call of a mathematical library."""
    script = tmp_path / "loop.py"
    script.write_text(_LOOP)
    asm = subprocess.run(
        [sys.executable, script], check=True, capture_output=True, text=True
    ).stdout
    packed = re.findall(r"\bvfn?m(?:add|sub)\d+pd\b.*[yz]mm", asm)
    divisions = re.findall(r"\bvdivpd\b.*[yz]mm", asm)
    assert len(packed) >= 40
    assert len(divisions) >= 3
    assert not re.findall(r"call.*\b(exp|log|erfc?|pow)\b", asm)
