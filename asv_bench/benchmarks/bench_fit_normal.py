"""`fit_normal` on one thread, beside what else there is."""

import numpy as np

import fastnat

from . import common


def _one_thread(*args, **kwargs):
    return fastnat.fit_normal(*args, n_threads=1, **kwargs)


class Shapes:
    cases = {
        "100": ((100,), -1),
        "1e7": ((10**7,), -1),
        "1000x1e5": ((1000, 10**5), -1),
        "1e5x1000": ((10**5, 1000), -1),
        "1e6x32": ((10**6, 32), -1),
        "1000x1e5 axis 0": ((1000, 10**5), 0),
        "1e5x1000 axis 0": ((10**5, 1000), 0),
        "32x1e6 axis 0": ((32, 10**6), 0),
    }
    params = common.few(cases)
    param_names = ["case"]

    def setup(self, case):
        shape, self.axis = self.cases[case]
        self.x = common.normal(*shape)
        self._fit()

    def _fit(self):
        return _one_thread(self.x, axis=self.axis)

    def _numpy(self):
        return common.numpy_fit(self.x, self.axis)

    def time_fit_normal(self, case):
        self._fit()

    def time_numpy(self, case):
        self._numpy()

    def track_ratio_numpy(self, case):
        return common.ratio(self._numpy, self._fit)

    def track_bandwidth_fraction(self, case):
        """Of the speed at which this machine reads the same array."""
        return common.ratio(lambda: common.read(self.x), self._fit)


class NanOmit:
    """One value in ten is missing."""

    cases = {"1e7": (10**7,), "1e5x100": (10**5, 100)}
    params = common.few(cases)
    param_names = ["case"]

    def setup(self, case):
        self.x = common.with_nans(common.normal(*self.cases[case]))
        self._fit()
        self._numbagg()  # compiles

    def _fit(self):
        return _one_thread(self.x, nan_policy="omit")

    def _numpy(self):
        return common.numpy_nan_fit(self.x)

    def _bottleneck(self):
        return common.bottleneck_fit(self.x)

    def _numbagg(self):
        return common.numbagg_fit(self.x)

    def time_fit_normal(self, case):
        self._fit()

    def time_numpy(self, case):
        self._numpy()

    def time_bottleneck(self, case):
        self._bottleneck()

    def time_numbagg(self, case):
        self._numbagg()

    def track_ratio_numpy(self, case):
        return common.ratio(self._numpy, self._fit)

    def track_ratio_bottleneck(self, case):
        return common.ratio(self._bottleneck, self._fit)

    def track_ratio_numbagg(self, case):
        return common.ratio(self._numbagg, self._fit)

    def track_bandwidth_fraction(self, case):
        return common.ratio(lambda: common.read(self.x), self._fit)


class Weights:
    cases = {"1e7": (10**7,), "1e5x100": (10**5, 100)}
    params = common.few(cases)
    param_names = ["case"]

    def setup(self, case):
        self.x = common.normal(*self.cases[case])
        self.w = common.weights_for(self.x)
        self._fit()

    def _fit(self):
        return _one_thread(self.x, weights=self.w)

    def _numpy(self):
        return common.numpy_weighted_fit(self.x, self.w)

    def time_fit_normal(self, case):
        self._fit()

    def time_numpy(self, case):
        self._numpy()

    def track_ratio_numpy(self, case):
        return common.ratio(self._numpy, self._fit)

    def track_bandwidth_fraction(self, case):
        return common.ratio(lambda: common.read(self.x, self.w), self._fit)


class Float32:
    """Estimates are float64 all the same, which NumPy needs to be told."""

    cases = {"1e7": ((10**7,), -1), "1000x1e5 axis 0": ((1000, 10**5), 0)}
    params = common.few(cases)
    param_names = ["case"]

    def setup(self, case):
        shape, self.axis = self.cases[case]
        self.x = common.normal(*shape).astype(np.float32)
        self._fit()

    def _fit(self):
        return _one_thread(self.x, axis=self.axis)

    def _numpy(self):
        return common.numpy_fit(self.x, self.axis)

    def _numpy_float64(self):
        return [f(self.x, axis=self.axis, dtype=np.float64) for f in (np.mean, np.std)]

    def time_fit_normal(self, case):
        self._fit()

    def time_numpy(self, case):
        self._numpy()

    def time_numpy_float64(self, case):
        self._numpy_float64()

    def track_ratio_numpy(self, case):
        return common.ratio(self._numpy, self._fit)

    def track_ratio_numpy_float64(self, case):
        return common.ratio(self._numpy_float64, self._fit)

    def track_bandwidth_fraction(self, case):
        return common.ratio(lambda: common.read(self.x), self._fit)


class Sandwich:
    """Standard errors from third and fourth moments, taken in the same pass."""

    def setup(self):
        self.x = common.normal(10**7)
        self._fit()

    def _fit(self):
        return _one_thread(self.x, cov_type="sandwich").stderr

    def _numpy(self):
        return common.numpy_four_moments(self.x)

    def time_fit_normal(self):
        self._fit()

    def time_numpy(self):
        self._numpy()

    def track_ratio_numpy(self):
        return common.ratio(self._numpy, self._fit)

    def track_bandwidth_fraction(self):
        return common.ratio(lambda: common.read(self.x), self._fit)
