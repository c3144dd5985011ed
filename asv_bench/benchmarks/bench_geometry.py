"""Divergences of many distributions, beside the textbook's formula, which cancels."""

import numpy as np

from fastnat import geometry

from . import common


class Divergences:
    def setup(self):
        self.mu, self.sigma = common.normal(1_000_000), np.exp(common.normal(1_000_000))
        root = common.normal(10_000, 3, 6)
        self.covariance = np.matmul(root, root.swapaxes(-1, -2))
        self.mean = root[..., 0]

    def time_kl_normal(self):
        geometry.kl_normal(self.mu, self.sigma, 0.0, 1.0)

    def time_kl_normal_textbook(self):
        np.log(1.0 / self.sigma) + (self.sigma**2 + self.mu**2) / 2.0 - 0.5

    def time_fisher_rao_distance(self):
        geometry.fisher_rao_distance(self.mu, self.sigma, 0.0, 1.0)

    def time_kl_mvn(self):
        geometry.kl_mvn(self.mean, self.covariance, np.zeros(3), np.eye(3))
