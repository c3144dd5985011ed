"""Chunks that come one after the other, on one thread, beside NumPy and beside reading them."""

import numpy as np

import fastnat.streaming

from . import common


class Chunks:
    """One sample in chunks of a million; Chan's update by NumPy is the peer."""

    params = common.few({"complete": 0, "censored": 0})
    param_names = ["kind"]

    def setup(self, kind):
        self.x = common.normal(10, 1_000_000)
        self.left = None if kind == "complete" else -0.5
        self._stream()

    def _stream(self):
        stats = fastnat.streaming.NormalStats(left=self.left)
        for chunk in self.x:
            stats.update(chunk, n_threads=1)
        return stats.fit()

    def _numpy(self):
        n, mean, m2 = 0, 0.0, 0.0
        for chunk in self.x:
            gap = chunk.mean() - mean
            m2 += chunk.var() * chunk.size + gap * gap * n * chunk.size / (n + chunk.size)
            mean += gap * chunk.size / (n + chunk.size)
            n += chunk.size
        return mean, np.sqrt(m2 / n)

    def time_stream(self, kind):
        self._stream()

    def track_ratio_numpy(self, kind):
        return common.ratio(self._numpy, self._stream)

    def track_share_of_reading(self, kind):
        return common.ratio(lambda: common.read(*self.x), self._stream)


class Batch:
    """A million problems, four more observations of each."""

    def setup(self):
        self.x = common.normal(1_000_000, 4)
        self.stats = fastnat.streaming.NormalStats(len(self.x))
        self.stats.update(self.x)

    def time_update(self):
        self.stats.update(self.x, n_threads=1)

    def time_fit(self):
        self.stats.fit()


class Tables:
    """Chunks of 10,000 rows of a table, and of a regression on its other columns."""

    params = common.few({"3": 0, "20": 0})
    param_names = ["d"]

    def setup(self, d):
        self.x = common.normal(10_000, int(d)) + 1000.0
        self.tables = fastnat.streaming.MvnStats()
        self.regressions = fastnat.streaming.LinearStats()
        self.time_tables(d)
        self.time_regressions(d)

    def time_tables(self, d):
        self.tables.update(self.x, n_threads=1)

    def time_regressions(self, d):
        self.regressions.update(self.x[:, 0], self.x[:, 1:], n_threads=1)

    def track_ratio_cov(self, d):
        return common.ratio(lambda: np.cov(self.x.T), lambda: self.time_tables(d))


class Followed:
    """100,000 series, ten more observations of each."""

    params = common.few({"complete": 0, "censored": 0})
    param_names = ["kind"]

    def setup(self, kind):
        self.x = common.normal(100_000, 10)
        left = None if kind == "complete" else -1.0
        self.online = fastnat.streaming.OnlineNormal(len(self.x), left=left, burn_in=50)
        for _ in range(20):
            self.online.update(self.x, n_threads=1)

    def time_update(self, kind):
        self.online.update(self.x, n_threads=1)
