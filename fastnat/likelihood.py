"""A user's own likelihood: `Model`, `fit` and its result."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnat import _climb
from fastnat import _model_check as check_that
from fastnat._arrays import (
    COVS,
    Array,
    CovType,
    NanPolicy,
    as_array,
    as_integer,
    as_tolerance,
    bad_choice,
    check_cov_type,
    check_flag,
    check_metric,
    check_n_threads,
    check_nan_policy,
    nan_found,
)
from fastnat._compile import compiled, plain_function
from fastnat._searched import covariance
from fastnat.kernels import codes, search
from fastnat.result import FitResult

Function = Callable[..., Any]
Metric = Literal["auto", "expected", "observed", "empirical", "euclidean"] | ArrayLike

_METRICS = {
    "auto": search.AUTO,
    "observed": search.MEASURED,
    "expected": search.MODELLED,
    "empirical": search.EMPIRICAL,
    "euclidean": search.FIXED,
}


class Model:
    """A likelihood, given as two small functions about one observation.

    Parameters
    ----------
    loglik : callable
        ``loglik(x, mu, log_sigma) -> float``: the log-density of one observation.  The first
        ``n_data`` arguments are the observation, the others the parameters, all of them floats;
        parameters are named after the arguments and range over all real numbers (outside of a
        model's domain the value is NaN or -inf).
    score : callable
        ``score(x, mu, log_sigma) -> tuple``: its derivatives with respect to the parameters.
    n_data : int, default 1
        How many numbers an observation has.
    start : sequence of p floats or callable, optional
        Where to start: p numbers, or a function of one problem's data, ``start(x) -> tuple``,
        given arrays of its observations.  Default zeros.
    fisher : callable, optional
        ``fisher(mu, log_sigma) -> ((a, b), (b, c))``: the expected information of one
        observation, for ``metric="expected"`` and ``cov_type="expected"``.
    check : bool, default True
        Whether to hold the score against differences of ``loglik``, here at made-up points and
        in the first fit at real ones.

    Attributes
    ----------
    param_names : tuple of str

    Raises
    ------
    TypeError, ValueError
        If a function is not what it should be; the message says what to mend.

    Notes
    -----
    Functions are written in Python with ``math`` or NumPy functions of numbers, and compiled by
    numba when first used, with the values that they have captured by then.  Of functions compiled
    already the Python source is compiled once more, so that a division by zero is inf or NaN
    instead of an exception that ends a million fits.
    The fastest functions have no branches and no logarithms or exponentials of the data.

    Examples
    --------
    >>> import math
    >>> import fastnat
    >>> def loglik(x, log_rate):
    ...     return log_rate - math.exp(log_rate) * x
    >>> def score(x, log_rate):
    ...     return (1.0 - math.exp(log_rate) * x,)
    >>> exponential = fastnat.Model(loglik, score)
    >>> exponential
    <Model: log_rate>
    """

    def __init__(
        self,
        loglik: Function,
        score: Function,
        *,
        n_data: int = 1,
        start: ArrayLike | Function | None = None,
        fisher: Function | None = None,
        check: bool = True,
    ) -> None:
        self.loglik = plain_function("loglik", loglik)
        self.score = plain_function("score", score)
        self.fisher = None if fisher is None else plain_function("fisher", fisher)
        self.n_data = as_integer("n_data", n_data, 1)
        names = check_that.argument_names("loglik", self.loglik)
        if len(names) <= self.n_data:
            raise ValueError(
                f"loglik must take the data (n_data = {self.n_data}) and at least one parameter;"
                f" it takes only {', '.join(names) or 'nothing'}"
            )
        self.param_names = names[self.n_data :]
        n = len(check_that.argument_names("score", self.score))
        if n != len(names):
            raise ValueError(
                f"score must take {', '.join(names)} as loglik does, not {n} arguments"
            )
        if self.fisher is not None:
            n = len(check_that.argument_names("fisher", self.fisher))
            if n != len(self.param_names):
                known = ", ".join(self.param_names)
                raise ValueError(
                    f"fisher must take the parameters {known} and nothing else, not {n} arguments"
                )
        self.start = start if start is None or callable(start) else self._as_start(start)
        check_flag("check", check)
        self._unchecked = check
        if check:
            points = check_that.made_up_points(self.n_data, len(self.param_names))
            check_that.check_score(self.loglik, self.score, names, self.n_data, points)
            if self.fisher is not None:
                check_that.check_fisher(self.loglik, self.fisher, self.param_names, points)

    def _as_start(self, start: Any) -> Array:
        if callable(start):
            raise TypeError("start must be numbers here; give a function to Model(start=...)")
        array = as_array("start", start).astype(np.float64)
        p = len(self.param_names)
        if array.ndim == 0 or array.shape[-1] != p:
            raise ValueError(
                f"start must hold {p} numbers, one for each of {', '.join(self.param_names)}; its"
                f" shape is {array.shape}"
            )
        if not np.all(np.isfinite(array)):
            raise ValueError("start must be finite")
        return array

    def _check_at(self, rows: list[tuple[float, ...]], theta: Array) -> None:
        """Hold the score against differences once more, at real data."""
        names = check_that.argument_names("loglik", self.loglik)
        points = list(check_that.points_near(rows, theta))
        check_that.check_score(self.loglik, self.score, names, self.n_data, points)
        self._unchecked = False

    def __repr__(self) -> str:
        return f"<Model: {', '.join(self.param_names)}>"


class ModelFit(FitResult):
    """The result of `fit`; unpacks to the estimates, in the order of the model's parameters.

    What all fits have is said in `FitResult`.

    Attributes
    ----------
    param_names : tuple of str
        The names of the parameters.
    path : (nit_max + 1, ..., p) ndarray or None
        With ``trace=True``, the accepted points from the start on; NaN after a problem's end.
    """

    def __init__(
        self, found: _climb.Outcome, param_names: tuple[str, ...], cov_type: CovType
    ) -> None:
        self._outcome = found
        self.param_names = param_names
        self.cov_type = cov_type

    @property
    def _names(self) -> tuple[str, ...]:
        return self.param_names

    @property
    def _status(self) -> NDArray[np.int8]:
        return self._outcome.status

    @property
    def params(self) -> Array:
        return self._outcome.theta

    @property
    def nobs(self) -> Any:
        return self._outcome.total[()]

    @property
    def loglik(self) -> Any:
        return self._outcome.loglik[()]

    @property
    def nit(self) -> Any:
        return self._outcome.nit[()]

    @property
    def path(self) -> Array | None:
        return self._outcome.path

    @property
    def cov_params(self) -> Array:
        return covariance(self.stderr, self._outcome.corr)

    @property
    def stderr(self) -> Array:
        self._need_covariance()
        return self._outcome.stderr

    def _profile(self, level: float) -> Array:  # noqa: ARG002
        raise ValueError("method='profile' is for fit_normal; use method='wald' for a Model")

    def _exact(self, level: float) -> Array:  # noqa: ARG002
        raise ValueError("method='exact' is for fit_normal; use method='wald' for a Model")

    def _estimates(self) -> str:
        return self._named(self.param_names)


def fit(
    model: Model,
    data: ArrayLike | tuple[ArrayLike, ...],
    *,
    start: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    nan_policy: NanPolicy = "propagate",
    metric: Metric = "auto",
    cov_type: CovType = "observed",
    max_iter: int = 100,
    tol: float = 1e-12,
    trace: bool = False,
    n_threads: int | None = None,
) -> ModelFit:
    """Fit a model of your own to each of many samples by maximum likelihood.

    Each step is a natural-gradient step: the score, preconditioned with a metric, halved until
    the log-likelihood rises.  An end counts as a maximum only if the observed information there,
    from differences of the score, is positive definite and says that nothing is left to climb.

    Parameters
    ----------
    model : Model
        What to fit.
    data : array_like (..., n), or tuple of ``model.n_data`` of them
        Observations along the last dimension; the others are independent problems.  Several
        arrays are broadcast with each other.
    start : array_like (p,) or (..., p), optional
        Where to start; by default where the model says, else at zeros.
    weights : array_like, optional
        Frequency weights, broadcast with the data: an integer weight equals repetition.  An
        observation of weight 0 is not looked at.
    nan_policy : {"propagate", "omit", "raise"}, default "propagate"
        An observation with a NaN makes its problem's estimates NaN, is left out, or raises.
    metric : {"auto", "expected", "observed", "empirical", "euclidean"} or (p, p) array_like
        The curvature a step is preconditioned with.  "auto": BFGS, seeded with the outer product
        of the scores, the most reliable here.  "expected": Fisher scoring, needs the model's
        ``fisher``.  "observed": Newton, by differences of the score.  "empirical": the outer
        product of the scores (BHHH), which is poor far from the maximum and where the model is
        wrong.  "euclidean": plain gradient ascent on the mean log-likelihood.  An array: its
        metric for one observation, symmetric and positive definite.
    cov_type : {"observed", "expected", "opg", "sandwich"} or None, default "observed"
        Kind of covariance: inverse observed or expected information, inverse outer product of
        the scores, or the sandwich that is robust to a wrong model.
    max_iter : int, default 100
        Accepted steps at most.
    tol : float, default 1e-12
        Scaled decrement g' M^-1 g / W at which to stop: its square root is the distance to the
        maximum in standard deviations of one observation.
    trace : bool, default False
        Whether to keep the path, which takes memory for ``max_iter + 1`` points a problem.
    n_threads : int, optional
        At most so many threads; by default one for small data, else one a processor.  The
        result does not depend on it.

    Returns
    -------
    ModelFit
        ``params``, ``stderr``, ``loglik``, ``status`` and more.  A problem without a maximum gets
        a status, not an exception.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used, or the model is wrong; the message says what to mend.

    Notes
    -----
    The step is that of Amari (1998), Neural Computation 10, 251-276; BHHH is Berndt, Hall, Hall
    and Hausman (1974), Annals of Economic and Social Measurement 3, 653-665; why the empirical
    Fisher is no curvature: Kunstner, Balles and Hennig (2019), NeurIPS 32.  The maximum is local:
    a likelihood with several may need several starts.

    Examples
    --------
    >>> import math
    >>> import numpy as np
    >>> import fastnat
    >>> def loglik(x, log_rate):
    ...     return log_rate - math.exp(log_rate) * x
    >>> def score(x, log_rate):
    ...     return (1.0 - math.exp(log_rate) * x,)
    >>> exponential = fastnat.Model(loglik, score)
    >>> fit = fastnat.fit(exponential, [[1.0, 2.0, 3.0], [0.5, 1.0, 1.5]])
    >>> np.exp(-fit.params[:, 0]).round(9)
    array([2., 1.])
    """
    if not isinstance(model, Model):
        raise TypeError(f"model must be a fastnat.Model, not {type(model).__name__}")
    problems = _climb.arrange(data, weights, model.n_data)
    check_nan_policy(nan_policy)
    check_cov_type(cov_type)
    if cov_type == "expected" and model.fisher is None:
        raise ValueError("cov_type='expected' needs a Model with fisher")
    check_flag("trace", trace)
    tol = as_tolerance(tol)
    check_n_threads(n_threads)
    p = len(model.param_names)
    kind, fixed = _metric(metric, model)
    starts: Any = model.start if start is None else model._as_start(start)
    if starts is None:
        starts = np.zeros(p)
    if not callable(starts):
        try:
            starts = np.broadcast_to(starts, (*problems.batch, p))
        except ValueError:
            raise ValueError(
                f"start of shape {starts.shape} does not broadcast with {problems.batch} problems"
                f" of {p} parameters"
            ) from None
    options = _climb.Options(
        kind, COVS[cov_type], as_integer("max_iter", max_iter, 1), tol, fixed, trace
    )
    found = _climb.climb(
        compiled(model.loglik, model.score, model.fisher, p, model.n_data),
        problems,
        starts,
        model._check_at if model._unchecked else None,
        nan_policy == "omit",
        options,
        n_threads,
    )
    if nan_policy == "raise" and np.any(found.status == codes.NAN_INPUT):
        raise nan_found("data contain")
    return ModelFit(found, model.param_names, cov_type)


def _metric(metric: Any, model: Model) -> tuple[int, Array]:
    """The number of the metric, and its matrix if it is a given one."""
    p = len(model.param_names)
    if isinstance(metric, str):
        if metric not in _METRICS:
            raise ValueError(f"{bad_choice('metric', metric, tuple(_METRICS))}, or an array")
        if metric == "expected" and model.fisher is None:
            raise ValueError("metric='expected' needs a Model with fisher")
        return _METRICS[metric], np.eye(p) if metric == "euclidean" else np.zeros((0, 0))
    matrix = as_array("metric", metric).astype(np.float64)
    if matrix.shape != (p, p):
        raise ValueError(f"metric must be of shape {(p, p)}, not {matrix.shape}")
    check_metric(matrix)
    return search.FIXED, np.ascontiguousarray(matrix)
