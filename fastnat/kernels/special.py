"""The tail of the normal distribution, without libm and without branches.

Every function takes one number and is inlined into the loop that calls it, which LLVM then
vectorises: about a nanosecond each.  Only exp and log are needed besides, and they are here.

All rest on the remainder r(x) = phi(x) / Q(x) - x of the hazard for x >= 0, Q = 1 - Phi, which is
close to a rational function with positive coefficients, so that nothing cancels.  For x < 0 the
same rational function gives Q(-x), and Q(x) = 1 - Q(-x).
"""

from fastnat.kernels._jit import inlined
from fastnat.kernels._scalar import fma, from_bits, select, to_bits

# r(x) = P(x) / Q(x) on [0, inf): rational interpolation at 22 Chebyshev nodes of
# (x - 4) / (x + 4), in 60 digits; relative error 8.3e-17.  Constants first; the highest
# coefficient of Q is 1.
_P = (
    4771474.204927806,
    6816981.314596622,
    4920330.587886262,
    2314241.724977226,
    777065.5061842385,
    193524.37445398173,
    36124.09569287821,
    4994.820105355468,
    491.5737291637901,
    31.353748179619245,
    1.0,
)
_Q = (
    5980156.076872256,
    11267359.004968945,
    10481200.864167523,
    6277944.700636768,
    2672638.596338319,
    846406.2494517186,
    203325.89230042676,
    37101.2431494221,
    5057.527601729929,
    493.57372916372367,
    31.353748179619355,
)

_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_ROUND = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer
_ROUND_BITS = 4843621399236968448
_HALF_BITS = 4604544269498187776  # of about sqrt(1/2), where the logarithm's reduction begins
_LEAST_EXPONENT = -800.0  # exp is 0 there
_FAR = 1e8  # r is 1 / x from there on, and phi is 0
_BIAS = 1023 + 600  # of a power of two that is a normal number wherever phi is not 0
_DENSITY_UNIT = 0.3989422804014327 * 2.0**-600
_LOG_SQRT_2PI = 0.9189385332046727
# exp(r) = 1 + r + r**2 q(r) for |r| <= log(2) / 2: q interpolates at 10 Chebyshev nodes, in 60
# digits; relative error of exp 1.6e-17.
_E = (
    0.5000000000000001,
    0.16666666666666669,
    0.041666666666623824,
    0.008333333333330039,
    0.0013888888917367081,
    0.00019841269863171557,
    2.4801521057868204e-05,
    2.7557268276905696e-06,
    2.7620201591031547e-07,
    2.5100472505694996e-08,
)
# log((1 + s) / (1 - s)) = 2 s + s**3 p(s**2) for s <= 3 - sqrt(8): p interpolates at 7 Chebyshev
# nodes, in 60 digits; relative error of the logarithm 4.2e-18.
_L = (
    0.666666666666667,
    0.39999999999899444,
    0.2857142862600327,
    0.22222211130259878,
    0.18182889455674947,
    0.15331710618210773,
    0.14616585424888623,
)


@inlined
def _split_exp(y, low):
    """(m, k) with exp(y + low) = m * 2**k."""
    y = select(y < _LEAST_EXPONENT, _LEAST_EXPONENT, y)  # NaN stays
    shifted = fma(y, _LOG2_E, _ROUND)
    whole = shifted - _ROUND
    r = fma(whole, -_LN2_HIGH, y)
    r = fma(whole, -_LN2_LOW, r) + low
    p = fma(_E[9], r, _E[8])
    p = fma(p, r, _E[7])
    p = fma(p, r, _E[6])
    p = fma(p, r, _E[5])
    p = fma(p, r, _E[4])
    p = fma(p, r, _E[3])
    p = fma(p, r, _E[2])
    p = fma(p, r, _E[1])
    p = fma(p, r, _E[0])
    p = fma(p * r, r, r) + 1.0
    return p, to_bits(shifted) - _ROUND_BITS


@inlined
def exp(y, low):
    """exp(y + low), y at most 709, low much smaller than 1."""
    p, k = _split_exp(y, low)
    # Two factors, for the power of two may be below the smallest double.
    half = k >> 1
    return p * from_bits((half + 1023) << 52) * from_bits((k - half + 1023) << 52)


@inlined
def log(v):
    """log(v) for normal numbers v > 0."""
    bits = to_bits(v)
    k = (bits - _HALF_BITS) >> 52
    f = from_bits(bits - (k << 52)) - 1.0
    s = f / (f + 2.0)
    z = s * s
    p = fma(_L[6], z, _L[5])
    p = fma(p, z, _L[4])
    p = fma(p, z, _L[3])
    p = fma(p, z, _L[2])
    p = fma(p, z, _L[1])
    p = fma(p, z, _L[0])
    whole = from_bits(k + _ROUND_BITS) - _ROUND
    # 2 s = f - s f, of which f is exact.
    return fma(whole, _LN2_HIGH, f + fma(s, z * p - f, whole * _LN2_LOW))


@inlined
def _fraction(a):
    """(p, q) with r(a) = p / q, for a up to _FAR."""
    p = fma(_P[10], a, _P[9])
    q = a + _Q[10]
    p = fma(p, a, _P[8])
    p = fma(p, a, _P[7])
    p = fma(p, a, _P[6])
    p = fma(p, a, _P[5])
    p = fma(p, a, _P[4])
    p = fma(p, a, _P[3])
    p = fma(p, a, _P[2])
    p = fma(p, a, _P[1])
    p = fma(p, a, _P[0])
    q = fma(q, a, _Q[9])
    q = fma(q, a, _Q[8])
    q = fma(q, a, _Q[7])
    q = fma(q, a, _Q[6])
    q = fma(q, a, _Q[5])
    q = fma(q, a, _Q[4])
    q = fma(q, a, _Q[3])
    q = fma(q, a, _Q[2])
    q = fma(q, a, _Q[1])
    q = fma(q, a, _Q[0])
    return p, q


@inlined
def _parts(x):
    """What the functions below are made of, at a = abs(x), or _FAR if that is less.

    (p, q, p + a q, phi(a), rounding error of -a**2 / 2), with r(a) = p / q.  NaN stays NaN.
    """
    a = abs(x)
    a = select(a > _FAR, _FAR, a)
    p, q = _fraction(a)
    half = -0.5 * a
    y = half * a
    low = fma(half, a, -y)
    mantissa, k = _split_exp(y, low)
    density = mantissa * from_bits((k + _BIAS) << 52) * _DENSITY_UNIT
    return p, q, fma(a, q, p), density, low


@inlined
def tail(x):
    """(hazard, its remainder, log Q) at x, which share most of their work.

    The hazard is phi(x) / Q(x), the remainder is the hazard less x.
    """
    p, q, numerator, density, low = _parts(x)
    mills = q / numerator
    beyond = density * mills  # Q(a)
    rest = 1.0 - beyond
    inverse = 1.0 / rest
    lost = ((1.0 - rest) - beyond) * inverse
    logarithm = log(select(x >= 0.0, mills, rest))
    right = ((logarithm - _LOG_SQRT_2PI) - 0.5 * x * x) + low
    ratio = select(x > _FAR, 1.0, p) / select(x > _FAR, x, q)
    ratio = select(x >= 0.0, ratio, density * inverse)
    hazard = select(x >= 0.0, x + ratio, ratio)
    remainder = select(x >= 0.0, ratio, ratio - x)
    return hazard, remainder, select(x >= 0.0, right, logarithm + lost)


@inlined
def right_tail(x):
    """`tail` for x >= 0, without an exponential: in half of the time."""
    a = select(x > _FAR, _FAR, x)
    p, q = _fraction(a)
    remainder = select(x > _FAR, 1.0, p) / select(x > _FAR, x, q)
    first = x + remainder
    half = -0.5 * a
    low = fma(half, a, -half * a)
    return first, remainder, ((-log(first) - _LOG_SQRT_2PI) - 0.5 * x * x) + low


@inlined
def hazard(x):
    """The hazard phi(x) / (1 - Phi(x)) of the normal distribution, the inverse Mills ratio.

    Parameters
    ----------
    x : float
        Any number.

    Returns
    -------
    float
        Its value.
    """
    p, q, numerator, density, _ = _parts(x)
    # The remainder for x >= 0, the hazard for x < 0: one division.
    above = select(x >= 0.0, p, density * numerator)
    ratio = above / select(x >= 0.0, q, numerator - density * q)
    return select(x >= 0.0, x + ratio, ratio)


@inlined
def hazards(x):
    """(hazard, its remainder) at x."""
    p, q, numerator, density, _ = _parts(x)
    above = select(x >= 0.0, p, density * numerator)
    below = select(x >= 0.0, q, numerator - density * q)
    ratio = select(x > _FAR, 1.0, above) / select(x > _FAR, x, below)
    return select(x >= 0.0, x + ratio, ratio), select(x >= 0.0, ratio, ratio - x)


@inlined
def hazard_remainder(x):
    """The hazard less x, without cancellation: about 1 / x for large x.

    Parameters
    ----------
    x : float
        Any number.

    Returns
    -------
    float
        Its value.
    """
    return hazards(x)[1]


@inlined
def log_ndtr(x):
    """The logarithm of Phi(x), accurate in both tails.

    Parameters
    ----------
    x : float
        Any number.

    Returns
    -------
    float
        Its value.
    """
    return tail(-x)[2]


@inlined
def ndtr(x):
    """The normal distribution function Phi(x), accurate in both tails.

    Parameters
    ----------
    x : float
        Any number.

    Returns
    -------
    float
        Its value.
    """
    _, q, numerator, density, _ = _parts(x)
    beyond = density * q / numerator
    return select(x >= 0.0, 1.0 - beyond, beyond)
