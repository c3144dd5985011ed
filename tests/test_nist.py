"""NIST's Statistical Reference Datasets, univariate summary statistics, and larger copies.

The certified standard deviation divides by n - 1.  NumAcc1 to NumAcc4 are generated as their
files say.  A double cannot hold 10000000.1, so the exact answer for the doubles is another one
than the certified: fits are held against the exact one, and come as close to the certified one.
"""

import json
from pathlib import Path

import naive
import numpy as np
import pytest
from conftest import assert_same_bits, scaled

import fastnat

MICHELSO, LEW = (
    json.loads((Path(__file__).parent / "data" / name).read_text())
    for name in ("michelso.json", "lew.json")
)


def pairs(first, low, high):
    return np.array([first] + [low, high] * 500)


# name: (data, certified mean, certified standard deviation)
DATA = {
    "NumAcc1": (np.array([10000001.0, 10000003.0, 10000002.0]), 10000002.0, 1.0),
    "NumAcc2": (pairs(1.2, 1.1, 1.3), 1.2, 0.1),
    "NumAcc3": (pairs(1000000.2, 1000000.1, 1000000.3), 1000000.2, 0.1),
    "NumAcc4": (pairs(10000000.2, 10000000.1, 10000000.3), 10000000.2, 0.1),
    "Michelso": (
        np.array(MICHELSO["x"]),
        MICHELSO["published"]["mean"],
        MICHELSO["published"]["sd"],
    ),
    "Lew": (np.array(LEW["x"]), LEW["published"]["mean"], LEW["published"]["sd"]),
}


def assert_exact(fit, exact, variance=1e-14):
    assert fit.status.name == exact.status == "OK"
    assert naive.error(fit.mu, exact.mu) <= 2.0**-52
    assert naive.error(float(fit.sigma) ** 2, exact.sigma**2) <= variance
    assert fit.nobs == exact.nobs


@pytest.mark.parametrize("name", DATA)
def test_certified_values(name):
    x, mean, sd = DATA[name]
    fit = fastnat.fit_normal(x, reml=True)
    exact = naive.fit(x, reml=True)
    assert_exact(fit, exact)
    # As many digits of the certified values as the doubles of the data allow, at most 14.
    mean, sd = naive.number(mean), naive.number(sd)
    assert naive.error(fit.mu, mean) <= abs((exact.mu - mean) / mean) + 1e-14
    assert naive.error(fit.sigma, sd) <= abs(exact.sigma - sd) / sd + 1e-14


@pytest.mark.parametrize("order", ["as given", "sorted", "reversed", "shuffled"])
@pytest.mark.parametrize("kind", ["plain", "nan", "unit weights", "weights", "reml"])
@pytest.mark.parametrize("name", ["NumAcc2", "NumAcc3", "NumAcc4"])
def test_tiled_to_a_million(name, kind, order, rng):
    x = arranged(np.resize(DATA[name][0], scaled(10**6, 9_000)), order, rng)
    options = {}
    if kind == "nan":
        x[::7] = np.nan
        x[2:3000] = np.nan
        options = {"nan_policy": "omit"}
    if kind == "reml":
        options = {"reml": True}
    weights = None
    if kind == "unit weights":
        weights = np.ones(x.size)
        assert_same_bits(fastnat.fit_normal(x, weights=weights), fastnat.fit_normal(x))
    if kind == "weights":
        weights = rng.choice([0.0, 0.3, 1.0, 2.5], x.size)
    exact = naive.fit_large(x, weights, **options)
    fit = fastnat.fit_normal(x, weights=weights, **options)
    if kind == "weights":
        # The sum of weights such as 0.3 is itself rounded.
        assert abs(fit.nobs - exact.nobs) <= 1e-14 * exact.nobs
        exact.nobs = fit.nobs
    assert_exact(fit, exact)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["as given", "sorted"])
@pytest.mark.parametrize("weights", [None, 0.3])
def test_tiled_to_ten_million(weights, order, rng):
    x = arranged(np.resize(DATA["NumAcc4"][0], scaled(10**7, 300_000)), order, rng)
    exact = naive.fit_large(x, weights)
    fit = fastnat.fit_normal(x, weights=weights)
    assert abs(fit.nobs - exact.nobs) <= 1e-13 * exact.nobs
    exact.nobs = fit.nobs
    assert_exact(fit, exact)


def test_along_another_axis():
    """Data sets as columns: the same digits."""
    x = DATA["NumAcc4"][0]
    table = np.stack([x, x[::-1], np.sort(x)] * 3, axis=1)
    fit = fastnat.fit_normal(table, axis=0, reml=True)
    exact = naive.fit(x, reml=True)
    for k in range(table.shape[1]):
        assert naive.error(fit.mu[k], exact.mu) <= 2.0**-52
        assert naive.error(fit.sigma[k] ** 2, exact.sigma**2) <= 1e-14


def arranged(x, order, rng):
    if order == "sorted":
        return np.sort(x)
    if order == "shuffled":
        return rng.permutation(x)
    return x[::-1].copy() if order == "reversed" else x
