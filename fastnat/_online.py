"""`OnlineNormal`: estimates that follow a stream, one observation after the other."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnat import _blocks, _limits
from fastnat._arrays import Array, as_array, as_integer, as_number, as_shape, check_n_threads
from fastnat._normal_stats import NormalStats
from fastnat.kernels import censored, codes, estimates, online

_BLOCK = 1 << 18  # observations that a thread takes at a time, about


class OnlineNormal:
    """Mean and standard deviation of many series, followed by natural-gradient steps.

    For complete data with equal weights this is the running maximum of the likelihood; with
    ``forgetting`` old observations lose their weight, so that estimates follow a drift.  With
    limits each observation moves the estimates by a step of the natural gradient; unlike
    `NormalStats` nothing is solved, and forgetting is possible.

    Parameters
    ----------
    shape : int or tuple of int, default ()
        The shape of the batch of series.
    left, right : array_like, optional
        Limits of every series: values at or below ``left`` are only known to be so, and values
        at or above ``right``.  Numbers, or arrays that broadcast to ``shape``.
    forgetting : float, default 0.0
        The share of its weight that an observation loses with each that follows; 0 for equal
        weights, less than 1.
    burn_in : int, default 50
        With limits: so many observations of a series are fitted by `NormalStats` before steps
        begin, or more, until they have a maximum.

    Attributes
    ----------
    mu, sigma : (...) ndarray
        Estimates; NaN before there are any.
    stderr : (..., 2) ndarray
        Their standard errors, from the expected information at the estimates, if nothing drifts.
    nobs : (...) ndarray
        Observations so far, without missing ones.
    n_eff : (...) ndarray
        How many equally weighted observations would be as accurate: ``nobs`` without forgetting,
        in the long run (2 - forgetting) / forgetting with it.
    ready : (...) ndarray of bool
        Whether steps have begun; always, without limits.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used.

    Notes
    -----
    A step is F^-1 times the score over the total weight, F the expected information of an
    observation with these limits (Amari 1998, Neural Computation 10, 251-276).  It makes the
    estimates as accurate as those of maximum likelihood in the long run; the metric of complete
    data, that of online EM, would be far less so where much is censored.

    For a mean that takes random steps of standard deviation q sigma, forgetting is best at
    (sqrt(q**4 + 4 q**2) - q**2) / 2.

    Examples
    --------
    >>> from fastnat.streaming import OnlineNormal
    >>> online = OnlineNormal(forgetting=0.1)
    >>> for value in [1.0, 3.0, 2.0, 8.0, 9.0, 8.5]:
    ...     online.update(value)
    >>> print(online.mu.round(4), online.n_eff.round(4))
    5.783 5.8132
    """

    def __init__(
        self,
        shape: int | tuple[int, ...] = (),
        *,
        left: ArrayLike | None = None,
        right: ArrayLike | None = None,
        forgetting: float = 0.0,
        burn_in: int = 50,
    ) -> None:
        self.shape = as_shape(shape)
        self.forgetting = as_number("forgetting", forgetting)
        if not 0.0 <= self.forgetting < 1.0:
            raise ValueError(f"forgetting must be at least 0 and less than 1, not {forgetting}")
        self.burn_in = as_integer("burn_in", burn_in, 2)
        self._n_series = math.prod(self.shape)
        self._state = np.zeros((online.SIZE, self._n_series))
        self._limited = left is not None or right is not None
        self._waiting: NormalStats | None = None
        stats = NormalStats(self.shape, left=left, right=right, nan_policy="omit")
        self.left, self.right = stats.left, stats.right
        self._limits = _limits.of_problems(self.left, self.right, self.shape)
        if self._limited:
            self._waiting = stats
        else:
            self._state[online.READY] = 1.0

    def __repr__(self) -> str:
        batch = f"{self._n_series:,} series, " if self.shape else ""
        return f"<OnlineNormal: {batch}nobs = {self._state[online.COUNT].sum():.10g}>"

    def update(self, x: ArrayLike, *, n_threads: int | None = None) -> None:
        """Take in one observation of each series, or several.

        Parameters
        ----------
        x : (...) or (..., n) array_like
            The next observations, in the order in which they were made.  NaN is a missing one.
        n_threads : int, optional
            At most so many threads; the result does not depend on it.

        Raises
        ------
        TypeError, ValueError
            If the shape is another, or a value is infinite and within the limits.
        """
        check_n_threads(n_threads)
        values = as_array("x", x)
        if values.shape == self.shape:
            values = values[..., None]
        if values.shape[:-1] != self.shape:
            raise ValueError(f"x of shape {values.shape} must be of shape {self.shape} or (..., n)")
        rows = values.reshape(self._n_series, values.shape[-1])
        low, high = (limit[:, None] for limit in self._limits)
        beyond = ((rows <= low) & (low > -np.inf)) | ((rows >= high) & (high < np.inf))
        if np.any(np.isinf(rows) & ~beyond):
            raise ValueError("x must be finite, NaN or beyond a limit")
        while self._waiting is not None and rows.shape[1]:
            self._begin(self._waiting, rows[:, : self.burn_in], n_threads)
            rows = rows[:, self.burn_in :]
        self._follow(rows, n_threads)

    def _follow(self, rows: Array, n_threads: int | None) -> None:
        """Steps of those series that are ready, some observations of a series at a time."""
        for begin in range(0, rows.shape[1], _BLOCK):
            self._follow_some(rows[:, begin : begin + _BLOCK], n_threads)

    def _follow_some(self, rows: Array, n_threads: int | None) -> None:
        n, decay = rows.shape[1], 1.0 - self.forgetting
        step = max(1, _BLOCK // n)
        starts = range(0, self._n_series, step)

        def work(i: int) -> None:
            here = slice(starts[i], starts[i] + step)
            x, state = _blocks.flat(rows[here]), np.ascontiguousarray(self._state[:, here])
            if self._limited:
                left, right = (a if a.size == 1 else a[here] for a in self._limits)
                online.follow_limited(x, left, right, n, decay, state)
            else:
                online.follow(x, n, decay, state)
            self._state[:, here] = state

        _blocks.run(work, len(starts), n_threads, 64 * rows.size)

    def _begin(self, waiting: NormalStats, rows: Array, n_threads: int | None) -> None:
        """Steps of those that are ready; the others are fitted to all that they have seen."""
        state = self._state
        ready = state[online.READY] > 0.0
        self._follow(rows, n_threads)
        rest = np.where(ready[:, None], np.nan, rows)
        waiting.update(rest.reshape(*self.shape, -1), n_threads=n_threads)
        fit = waiting.fit(cov_type=None, n_threads=n_threads)
        found, nobs = np.reshape(fit.success, -1), np.reshape(fit.nobs, -1)
        decay = 1.0 - self.forgetting
        weight = nobs if decay == 1.0 else (1.0 - decay**nobs) / self.forgetting
        new = {
            online.COUNT: nobs,
            online.WEIGHT: weight,
            online.SQUARES: 1.0 / np.maximum(nobs, 1.0),
            online.ORIGIN: np.where(found, np.reshape(fit.mu, -1), np.nan),
            online.MEAN: 0.0,
            online.SPREAD: np.where(found, np.reshape(fit.sigma, -1), np.nan),
            online.READY: found & (nobs >= self.burn_in),
        }
        for row, value in new.items():
            state[row] = np.where(ready, state[row], value)
        if np.all(state[online.READY] > 0.0):
            self._waiting = None

    def _result(self, flat: Array) -> Any:
        return flat.reshape(flat.shape[:-1] + self.shape)[()]

    @property
    def mu(self) -> Any:
        known = self._state[online.COUNT] > 0.0
        mu = self._state[online.ORIGIN] + self._state[online.MEAN]
        return self._result(np.where(known, mu, np.nan))

    @property
    def sigma(self) -> Any:
        spread = self._state[online.SPREAD]
        if not self._limited:
            spread = np.sqrt(spread)
        return self._result(np.where(self._state[online.COUNT] > 0.0, spread, np.nan))

    @property
    def nobs(self) -> Any:
        return self._result(self._state[online.COUNT].copy())

    @property
    def n_eff(self) -> Any:
        squares = self._state[online.SQUARES]
        return self._result(np.where(squares > 0.0, 1.0 / np.where(squares, squares, 1.0), 0.0))

    @property
    def ready(self) -> Any:
        return self._result(self._state[online.READY] > 0.0)

    @property
    def stderr(self) -> Array:
        out = np.full((estimates.SIZE, self._n_series), np.nan)
        out[estimates.MU], out[estimates.SIGMA] = (
            np.reshape(self.mu, -1),
            np.reshape(self.sigma, -1),
        )
        out[estimates.NOBS] = np.reshape(self.n_eff, -1)
        fine = out[estimates.SIGMA] > 0.0
        out[estimates.STATUS] = np.where(fine, codes.OK, codes.NO_DATA)
        left, right = self._limits
        censored.expected_of_limits(left, right, 0, self._n_series, out)
        errors = self._result(out[estimates.SE_MU : estimates.CORR])
        return np.asarray(np.moveaxis(errors, 0, -1))
