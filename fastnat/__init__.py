"""Fit Gaussian likelihoods by natural gradient: a million problems, or one huge one, in a call."""

from fastnat import kernels, models, special, streaming
from fastnat._warmup import warmup
from fastnat.descent import steepest_descent
from fastnat.likelihood import Model, ModelFit, fit
from fastnat.linear import LinearFit, Prediction, fit_linear
from fastnat.multivariate import MvnFit, fit_mvn
from fastnat.normal import NormalFit, Quantile, fit_normal
from fastnat.result import FitError, FitResult, Status

__all__ = [
    "FitError",
    "FitResult",
    "LinearFit",
    "Model",
    "ModelFit",
    "MvnFit",
    "NormalFit",
    "Prediction",
    "Quantile",
    "Status",
    "fit",
    "fit_linear",
    "fit_mvn",
    "fit_normal",
    "kernels",
    "models",
    "special",
    "steepest_descent",
    "streaming",
    "warmup",
]
__version__ = "0.1.0"
