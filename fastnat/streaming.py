"""Observations that come in chunks: mergeable statistics, and fits that follow a stream."""

from fastnat._normal_stats import NormalStats

__all__ = ["NormalStats"]
