"""Observations that come in chunks: mergeable statistics, and fits that follow a stream."""

from fastnat._linear_stats import LinearStats
from fastnat._mvn_stats import MvnStats
from fastnat._normal_stats import NormalStats
from fastnat._online import OnlineNormal

__all__ = ["LinearStats", "MvnStats", "NormalStats", "OnlineNormal"]
