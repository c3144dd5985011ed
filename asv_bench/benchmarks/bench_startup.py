"""Seconds until the first answer, in processes of their own."""

import os
import tempfile

from . import common


class Startup:
    unit = "s"
    timeout = 600

    def setup(self):
        self.directory = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.cache = self.directory.name
        if common.QUICK:  # a smoke run does not measure what compiling takes
            self.cache = os.environ.get("NUMBA_CACHE_DIR", self.cache)

    def teardown(self):
        self.directory.cleanup()

    def track_import_beyond_numpy(self):
        return common.median_in_new_processes(common.IMPORT_BEYOND_NUMPY, self.cache)

    def track_scipy_stats_beyond_numpy(self):
        return common.median_in_new_processes(common.SCIPY_STATS_BEYOND_NUMPY, self.cache)

    def track_first_fit_warm(self):
        """Import and first `fit_normal`, its machine code being cached."""
        return common.median_in_new_processes(common.IMPORT_AND_FIT, self.cache)

    def track_first_fit_scipy_stats(self):
        return common.median_in_new_processes(common.SCIPY_STATS_AND_FIT, self.cache)

    def track_first_fit_cold(self):
        """Import and first `fit_normal`, which has to be compiled."""
        return common.seconds_in_new_process(common.IMPORT_AND_FIT, self.cache)

    def track_first_model(self):
        """First fit of a user's model, which is compiled in every process."""
        return common.median_in_new_processes(common.FIRST_MODEL, self.cache)

    def track_warmup_cold(self):
        """`fastnat.warmup()`, which compiles everything."""
        return common.seconds_in_new_process(common.WARMUP, self.cache)
