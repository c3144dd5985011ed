"""Calls of every public function, on little data: what they return, as arrays."""

import io
import pickle

import numpy as np
from conftest import COMPILED, same_bits

import fastnat
from fastnat import geometry, kernels, models, special
from fastnat.streaming import LinearStats, MvnStats, NormalStats, OnlineNormal

_rng = np.random.default_rng(20)
X = _rng.normal(2.0, 1.5, (4, 30))
W = _rng.uniform(0.5, 2.0, X.shape)
NOISE = _rng.uniform(0.2, 0.8, X.shape)
GROUPS = _rng.integers(0, 3, 30)
DESIGN = np.column_stack([np.ones(30), _rng.normal(size=30)])
GAPS = np.where(_rng.random((30, 3)) < 0.2, np.nan, _rng.normal(size=(30, 3)))
WIDE = _rng.normal(size=(300, 34))
WIDE[::3, 2] = np.nan
LONG = np.resize(X, 140_000)
COV = np.array([[2.0, 0.5], [0.5, 1.0]])


def _told(fit):
    """All that a fit says."""
    told = [fit.params, fit.nobs, fit.loglik, fit.status, fit.nit]
    if fit.cov_type is not None:
        told += [fit.stderr, fit.cov_params, fit.conf_int()]
    return told


def _normal(*args, **options):
    return _told(fastnat.fit_normal(*args, **options))


def _profile(**options):
    return [fastnat.fit_normal(X, **options).conf_int(method="profile")]


def _regression(**options):
    fit = fastnat.fit_linear(X, DESIGN, DESIGN, **options)
    return [*_told(fit), *fit.predict(DESIGN, DESIGN)[:2], np.frombuffer(repr(fit).encode(), "u1")]


def _tables(x, **options):
    fit = fastnat.fit_mvn(x, **options)
    return [*_told(fit), fit.correlation, fit.stderr_covariance]


def _descent():
    found = fastnat.steepest_descent(
        lambda x: float(x @ COV @ x), lambda x: 2.0 * COV @ x, [3.0, 1.0], metric=COV
    )
    return [found.x, found.fun]


def _stream(kind, *chunk, **options):
    one, two = kind(**options), kind(**options)
    half = len(chunk[0]) // 2
    one.update(*(part[:half] for part in chunk))
    two.update(*(part[half:] for part in chunk))
    one.merge(kind.from_arrays(two.to_arrays()))
    return _told(one.fit())


def _online(**options):
    online = OnlineNormal(4, burn_in=10, **options)
    online.update(X)
    return [online.mu, online.sigma, online.stderr]


def _geometry():
    mu, sigma = X[0], 1.0 + np.square(X[1])
    point = geometry.from_chart(geometry.to_chart(mu, sigma))
    path = geometry.fisher_rao_geodesic(mu, sigma, X[2], sigma, 0.3)
    return [
        *point,
        *path,
        geometry.kl_normal(mu, sigma, X[2], sigma[::-1]),
        geometry.kl_normal_quadratic(mu, sigma, X[2], sigma[::-1]),
        geometry.fisher_rao_distance(mu, sigma, X[2], sigma[::-1]),
        geometry.fisher_normal(mu, sigma),
        geometry.fisher_mvn(COV),
        geometry.kl_mvn(X[0, :2], COV, X[1, :2], 2.0 * COV),
        geometry.kl_mvn_quadratic(X[0, :2], COV, X[1, :2], 2.0 * COV),
        geometry.mahalanobis(X[0, :2], X[1, :2], covariance=COV),
    ]


def _special():
    one = (special.hazard, special.hazard_remainder, special.log_ndtr, special.ndtr)
    called = special.low_level_callable("log_ndtr").function
    return [*(f(X) for f in one), special.log_interval_prob(X, X + 1.0), [called is not None]]


def _linear_algebra():
    a = COV.copy()
    ok = kernels.cholesky(a)
    b = np.array([1.0, 2.0])
    kernels.cholesky_solve(a, b)
    return [[ok, kernels.log_det(a)], np.triu(a), b, kernels.truncated_moments(0.5, -0.5, 0.0, 2.0)]


CALLS = {
    "rows": lambda: _normal(X),
    "columns, weights": lambda: _normal(X, axis=0, weights=W, cov_type="sandwich"),
    "single precision, omitted": lambda: _normal(
        np.where(X > 4.0, np.nan, X).astype("f4"), nan_policy="omit"
    ),
    "one long row": lambda: _normal(LONG, n_threads=2),
    "groups": lambda: _normal(X[0], groups=GROUPS),
    "a common limit": lambda: _normal(X, left=1.0),
    "limits of their own": lambda: _normal(
        X.ravel(), left=X.ravel()[::-1] - 0.5, cov_type="expected"
    ),
    "intervals": lambda: _normal(np.floor(X), np.floor(X) + 1.0, weights=W),
    "truncation": lambda: _normal(X[:2, :9], truncation=(X[:2, :9] - 2.0, np.inf)),
    "noise": lambda: _normal(X, noise_std=NOISE),
    "noise and limits": lambda: _normal(X, left=1.0, noise_std=NOISE),
    "profiles": lambda: _profile(left=X[::-1] - 0.5),
    "profiles with noise": lambda: _profile(noise_std=NOISE),
    "a quantile": lambda: [*fastnat.fit_normal(X).quantile(0.1)[:2]],
    "regressions": lambda: _regression(),
    "censored regressions": lambda: _regression(left=1.0, weights=W),
    "clusters": lambda: _regression(clusters=GROUPS, cov_type="sandwich"),
    "tables": lambda: _tables(GAPS, nan_policy="omit"),
    "missing entries": lambda: _tables(GAPS, nan_policy="mle"),
    "missing entries, many variables": lambda: [
        fastnat.fit_mvn(WIDE, nan_policy="mle", cov_type=None).params
    ],
    "a model": lambda: _told(fastnat.fit(models.normal, X)),
    "descent": _descent,
    "a stream of numbers": lambda: _stream(NormalStats, X[0], left=1.0),
    "a stream of rows": lambda: _stream(MvnStats, X.T),
    "a stream of regressions": lambda: _stream(LinearStats, X[0], DESIGN),
    "step by step": _online,
    "step by step, limited": lambda: _online(left=1.0),
    "geometry": _geometry,
    "special functions": _special,
    "linear algebra": _linear_algebra,
    "pickles": lambda: _told(pickle.load(io.BytesIO(pickle.dumps(fastnat.fit_normal(X))))),
}


if not COMPILED:  # thirty seconds
    del CALLS["missing entries, many variables"]


def differing(name, want):
    """Whether a call does not return these bits now."""
    found = CALLS[name]()
    return len(found) != len(want) or not all(map(same_bits, found, want))
