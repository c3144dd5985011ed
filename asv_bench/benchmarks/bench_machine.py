"""What the machine can do with one thread, and what the figures beside it were measured with."""

from . import machine, measuring


class Machine:
    timeout = 300

    def track_read_speed(self):
        return measuring.read_speed()

    def track_dgemm_speed(self):
        return measuring.dgemm_speed()

    def track_versions(self):
        """A digest of versions: a step in it explains steps elsewhere."""
        return machine.digest()

    track_read_speed.unit = "GB/s"
    track_dgemm_speed.unit = "GFLOP/s"
    track_versions.unit = "digest"
