"""What a fit returns: estimates, their uncertainty, and what became of every problem."""

import abc
import enum
import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from fastnat._arrays import Array, bad_choice, check_level
from fastnat.kernels import codes

ConfIntMethod = Literal["wald", "profile", "exact"]


class Status(enum.IntEnum):
    """What became of a fit; ``success`` is true for OK and BOUNDARY."""

    OK = codes.OK
    BOUNDARY = codes.BOUNDARY
    NO_DATA = codes.NO_DATA
    NAN_INPUT = codes.NAN_INPUT
    INVALID_INPUT = codes.INVALID_INPUT
    SIGMA_ZERO = codes.SIGMA_ZERO
    SIGMA_INFINITE = codes.SIGMA_INFINITE
    MU_INFINITE = codes.MU_INFINITE
    UNBOUNDED = codes.UNBOUNDED
    SINGULAR = codes.SINGULAR
    NOT_IDENTIFIED = codes.NOT_IDENTIFIED
    SADDLE = codes.SADDLE
    MAX_ITER = codes.MAX_ITER

    @property
    def success(self) -> bool:
        """Whether the estimates are a maximum of the likelihood."""
        return self <= Status.BOUNDARY

    @property
    def message(self) -> str:
        """What it means, in one sentence."""
        return _SENTENCES[self]


_SENTENCES = {
    Status.OK: "The likelihood has its maximum here.",
    Status.BOUNDARY: "The likelihood has its maximum at sigma = 0, the boundary.",
    Status.NO_DATA: "There is no informative observation.",
    Status.NAN_INPUT: "An observation is NaN; nan_policy='omit' leaves such observations out.",
    Status.INVALID_INPUT: (
        "An observation is impossible (infinite, beyond its bounds, with crossed or missing limits"
        " or a negative noise), or the likelihood is not finite at the start."
    ),
    Status.SIGMA_ZERO: "The likelihood is largest in the limit of sigma going to 0.",
    Status.SIGMA_INFINITE: "The likelihood is largest in the limit of sigma going to infinity.",
    Status.MU_INFINITE: "The likelihood is largest in the limit of mu going to infinity.",
    Status.UNBOUNDED: "The likelihood is infinite because of some of the observations only.",
    Status.SINGULAR: "The covariance is singular: the likelihood grows without bound.",
    Status.NOT_IDENTIFIED: "The data say nothing about one direction of the parameters.",
    Status.SADDLE: "The end point is stationary but not a maximum.",
    Status.MAX_ITER: "The iteration was stopped before it converged.",
}


class FitError(RuntimeError):
    """Raised by `FitResult.raise_for_status` if a fit has not succeeded."""


class FitResult(abc.ABC):
    """Maximum-likelihood estimates of one problem or of an array of them.

    The leading dimensions are the shape of the batch; for one problem they are absent, and the
    scalars are NumPy scalars.  Unpacks to its estimates in the order of ``params``.

    Attributes
    ----------
    params : (..., p) ndarray
        The estimates.
    stderr : (..., p) ndarray
        Their standard errors.
    cov_params : (..., p, p) ndarray
        Their covariance, of the kind ``cov_type`` that was asked for.
    loglik : (...) ndarray
        Log-likelihood at the estimates, the term with 2 pi included.
    nobs : (...) ndarray
        Total weight of the observations used: their number, without weights.
    nit : (...) ndarray
        Accepted iterations; 0 where the maximum is known in closed form.
    status : (...) ndarray of int8, or Status
        What became of each problem; see `Status`.
    success : (...) ndarray of bool, or bool
        Whether the estimates are a maximum.
    """

    # The parameters whose confidence intervals are taken on the log scale.
    _positive: ClassVar[tuple[int, ...]] = ()

    cov_type: str | None

    @property
    @abc.abstractmethod
    def _status(self) -> NDArray[np.int8]: ...

    @property
    @abc.abstractmethod
    def params(self) -> Array: ...

    @property
    @abc.abstractmethod
    def _names(self) -> Sequence[str]:
        """What the parameters are called, in their order."""

    @property
    @abc.abstractmethod
    def nobs(self) -> Any: ...

    @property
    def status(self) -> Any:
        return self._status if self._status.ndim else Status(int(self._status))

    @property
    def success(self) -> Any:
        good = self._status <= Status.BOUNDARY
        return good if self._status.ndim else bool(good)

    @property
    @abc.abstractmethod
    def nit(self) -> Any: ...

    @property
    @abc.abstractmethod
    def loglik(self) -> Any: ...

    @property
    @abc.abstractmethod
    def cov_params(self) -> Array: ...

    @property
    @abc.abstractmethod
    def stderr(self) -> Array: ...

    @property
    def message(self) -> str:
        """One sentence, or for a batch the number of fits of each status."""
        if not self._status.ndim:
            return Status(int(self._status)).message
        counts = np.bincount(self._status.reshape(-1), minlength=len(Status))
        n_fits = self._status.size
        words = [f"{n:,} {Status(code).name.lower()}" for code, n in enumerate(counts) if n]
        return f"{n_fits:,} fit{'s' * (n_fits != 1)}: {', '.join(words) or 'none'}"

    def raise_for_status(self) -> None:
        """Raise a `FitError` with the message unless every fit has succeeded."""
        if not np.all(self.success):
            raise FitError(self.message)

    def conf_int(self, level: float = 0.95, method: ConfIntMethod = "wald") -> Array:
        """Confidence intervals of the parameters.

        Parameters
        ----------
        level : float, default 0.95
            Coverage, between 0 and 1.
        method : {"wald", "profile", "exact"}
            "wald": estimate +- z * standard error, on the log scale for scales.  "profile": the
            parameters that a likelihood-ratio test does not reject.  "exact": Student's t and
            chi-square, for complete unweighted data.

        Returns
        -------
        (..., p, 2) ndarray
            Lower and upper ends; NaN where there is no standard error.

        Raises
        ------
        ValueError
            If the level is not between 0 and 1, or the method is not known or does not apply.
        """
        check_level(level)
        methods = {"wald": self._wald, "profile": self._profile, "exact": self._exact}
        if not isinstance(method, str) or method not in methods:
            raise bad_choice("method", method, tuple(methods))
        # The ends of an interval may lie beyond the largest double.
        with np.errstate(all="ignore"):
            return methods[method](level)

    def _wald(self, level: float) -> Array:
        from scipy.special import ndtri

        half = ndtri(0.5 + 0.5 * level) * self.stderr
        ends = np.stack([self.params - half, self.params + half], axis=-1)
        for k in self._positive:
            factor = np.exp(half[..., k] / self.params[..., k])
            ends[..., k, 0] = self.params[..., k] / factor
            ends[..., k, 1] = self.params[..., k] * factor
        return ends

    @abc.abstractmethod
    def _profile(self, level: float) -> Array: ...

    @abc.abstractmethod
    def _exact(self, level: float) -> Array: ...

    def summary(self, level: float = 0.95) -> str:
        """Say in a table what one problem's estimates, standard errors and intervals are.

        Parameters
        ----------
        level : float, default 0.95
            Coverage of the (Wald) intervals.

        Returns
        -------
        str
            To be printed.

        Raises
        ------
        ValueError
            For a batch, which has no table, and if the level is not between 0 and 1.
        """
        check_level(level)
        if self._status.ndim:
            raise ValueError("summary needs a fit of one problem; this is a batch")
        head = f"{type(self).__name__}: {self._status_name()}, nobs = {self.nobs:.15g}"
        titles, columns = ["estimate"], [self.params]
        if self.cov_type is not None:
            titles += ["std. error", *(f"{end} {100.0 * level:g} %" for end in ("lower", "upper"))]
            columns += [self.stderr, *self.conf_int(level).T]
        width = max(10, *(len(name) for name in self._names))
        lines = [
            f"{head}, log-likelihood = {self.loglik:.10g}",
            " " * width + "".join(title.rjust(14) for title in titles),
        ]
        for name, *cells in zip(self._names, *columns, strict=True):
            lines.append(name.ljust(width) + "".join(f"{cell:14.6g}" for cell in cells))
        if self.cov_type is not None:
            lines.append(f"covariance: {self.cov_type}")
        if not self.success:
            lines += textwrap.wrap(self.message, 79)
        return "\n".join(lines)

    def __iter__(self) -> Iterator[Any]:
        return iter(np.moveaxis(self.params, -1, 0))

    def __repr__(self) -> str:
        text = self.message if self._status.ndim else self._describe()
        return f"<{type(self).__name__}: {text}>"

    def _describe(self) -> str:
        """The estimates of one problem, or why there are none."""
        nobs = f"nobs = {self.nobs:.15g}"
        if self.success:
            return f"{self._estimates()}, {nobs}"
        return f"{self._status_name()}, {nobs}: {self.message}"

    @abc.abstractmethod
    def _estimates(self) -> str:
        """Those of one problem, in a few words."""

    def _named(self, names: Sequence[str], formats: Sequence[str] = ()) -> str:
        """Each estimate of one problem with its standard error, if it has one."""
        errors = [math.nan] * len(names) if self.cov_type is None else self.stderr
        formats = formats or [".6g"] * len(names)
        cells = zip(names, self.params, formats, errors, strict=True)
        words = ((f"{name} = {v:{form}}", e) for name, v, form, e in cells)
        return ", ".join(word if np.isnan(e) else f"{word} +- {e:.3g}" for word, e in words)

    def _status_name(self) -> str:
        return Status(int(self._status)).name.lower()

    def _need_covariance(self) -> None:
        if self.cov_type is None:
            raise ValueError("cov_type=None was asked for; fit again with cov_type='observed'")
