"""Fit Gaussian likelihoods by natural gradient: a million problems, or one huge one, in a call."""

from fastnat._warmup import warmup
from fastnat.normal import NormalFit, Quantile, fit_normal
from fastnat.result import FitError, FitResult, Status

__all__ = ["FitError", "FitResult", "NormalFit", "Quantile", "Status", "fit_normal", "warmup"]
__version__ = "0.1.0"
