"""Geometry of many distributions, beside the textbook's formulas, which cancel."""

import functools

import numpy as np

from fastnat import geometry

from . import common
from .measuring import Timed, Work, measured, times, told

N, N_TABLES = (1000, 20) if common.QUICK else (1_000_000, 10_000)


@functools.cache
def _normals():
    return common.normal(N), np.exp(common.normal(N))


@functools.cache
def _mvns():
    root = common.normal(N_TABLES, 3, 6)
    return root[..., 0], np.matmul(root, root.swapaxes(-1, -2))


def _of_normals(function, peer=None, *rest):
    mu, sigma = _normals()
    peers = {"numpy": lambda: peer(mu, sigma)} if peer else {}
    return Work(lambda: function(mu, sigma, *rest), peers, items=N)


def _textbook(mu, sigma):
    return np.log(1.0 / sigma) + (sigma**2 + mu**2) / 2.0 - 0.5


def _distance(mu, sigma):
    return np.sqrt(2.0) * np.arccosh(1.0 + (0.5 * mu**2 + (sigma - 1.0) ** 2) / (2.0 * sigma))


def _kl_mvn_by_numpy():
    mean, cov = _mvns()
    trace = np.trace(cov, axis1=-2, axis2=-1)
    return 0.5 * (trace + np.sum(mean**2, axis=-1) - 3.0 - np.linalg.slogdet(cov)[1])


def _of_mvns(function, *rest, peer=None):
    mean, cov = _mvns()
    peers = {"numpy": peer} if peer else {}
    return Work(lambda: function(mean, cov, *rest), peers, items=N_TABLES)


def _whitened():
    mean, cov = _mvns()

    def numpy():
        return np.sqrt(np.sum(mean * np.linalg.solve(cov, mean[..., None])[..., 0], axis=-1))

    ours = lambda: geometry.mahalanobis(mean, np.zeros(3), covariance=cov)  # noqa: E731
    return Work(ours, {"numpy": numpy}, items=N_TABLES)


def _back():
    theta = geometry.to_chart(*_normals())
    return Work(lambda: geometry.from_chart(theta), items=N)


WORKS = {
    "kl_normal": functools.partial(_of_normals, geometry.kl_normal, _textbook, 0.0, 1.0),
    "fisher_normal": functools.partial(_of_normals, geometry.fisher_normal),
    "fisher_rao_distance": functools.partial(
        _of_normals, geometry.fisher_rao_distance, _distance, 0.0, 1.0
    ),
    "fisher_rao_geodesic": functools.partial(
        _of_normals, geometry.fisher_rao_geodesic, None, 0.0, 1.0, 0.5
    ),
    "from_chart": _back,
    "to_chart": functools.partial(_of_normals, geometry.to_chart),
    "kl_normal_quadratic": functools.partial(
        _of_normals, geometry.kl_normal_quadratic, None, 0.0, 1.0
    ),
    "fisher_mvn": lambda: Work(lambda: geometry.fisher_mvn(_mvns()[1]), items=N_TABLES),
    "kl_mvn": functools.partial(
        _of_mvns, geometry.kl_mvn, np.zeros(3), np.eye(3), peer=_kl_mvn_by_numpy
    ),
    "kl_mvn_quadratic": functools.partial(
        _of_mvns, geometry.kl_mvn_quadratic, np.zeros(3), np.eye(3)
    ),
    "mahalanobis": _whitened,
}


class Geometry(Timed):
    """A million normal distributions, or ten thousand of three dimensions."""

    works, params, param_names = WORKS, common.few(WORKS), ["case"]

    def time_function(self, case):
        self.work.ours()


class GeometryBeside:
    params, param_names = list(WORKS), ["case"]
    timeout = 300

    def setup_cache(self):
        return measured(WORKS, list(WORKS))

    track_ns_each = told("ns each", "ns")
    track_times_numpy = times("numpy")
