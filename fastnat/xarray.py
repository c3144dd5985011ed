"""`fit_normal` for labelled arrays: a `xarray.DataArray` in, a `xarray.Dataset` of estimates out.

Needs xarray (``pip install fastnat[xarray]``), and Dask for arrays that are backed by it.
"""

from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

import numpy as np

try:
    import xarray as xr
except ImportError as error:
    raise ImportError("fastnat.xarray needs xarray: pip install 'fastnat[xarray]'") from error

import fastnat
from fastnat._arrays import Array, CovType, NanPolicy, shown
from fastnat._observed import bounds_apart, bounds_together

__all__ = ["fit_normal"]


class _Variable(NamedTuple):
    """A variable of the result."""

    attribute: str  # of the fit
    place: tuple[int, ...]  # what of its last dimensions
    dtype: type
    long_name: str
    in_units: bool = False  # of the data: it keeps their attributes


_VARIABLES = {
    "mu": _Variable("mu", (), float, "mean", True),
    "sigma": _Variable("sigma", (), float, "standard deviation", True),
    "mu_stderr": _Variable("stderr", (0,), float, "standard error of the mean", True),
    "sigma_stderr": _Variable(
        "stderr", (1,), float, "standard error of the standard deviation", True
    ),
    "mu_sigma_cov": _Variable("cov_params", (0, 1), float, "covariance of mu and sigma"),
    "loglik": _Variable("loglik", (), float, "log-likelihood at the maximum"),
    "nobs": _Variable("nobs", (), float, "total weight of the observations used"),
    "nit": _Variable("nit", (), np.int64, "accepted iterations"),
    "status": _Variable("status", (), np.int8, "what became of the fit"),
    "success": _Variable("success", (), np.bool_, "whether the estimates are a maximum"),
}
_WITH_COVARIANCE = ("mu_stderr", "sigma_stderr", "mu_sigma_cov")


def fit_normal(
    x: xr.DataArray,
    upper: xr.DataArray | float | None = None,
    *,
    dim: Hashable | Iterable[Hashable] | None = None,
    left: xr.DataArray | float | None = None,
    right: xr.DataArray | float | None = None,
    truncation: tuple[xr.DataArray | float, xr.DataArray | float] | None = None,
    noise_std: xr.DataArray | float | None = None,
    weights: xr.DataArray | float | None = None,
    nan_policy: NanPolicy = "propagate",
    reml: bool = False,
    cov_type: CovType = "observed",
    max_iter: int = 100,
    tol: float = 1e-12,
    n_threads: int | None = None,
) -> xr.Dataset:
    """Fit a normal distribution along some dimensions of a labelled array.

    Parameters
    ----------
    x : DataArray
        Observations, backed by NumPy or by Dask.  With ``upper``, lower ends of intervals.
    upper, left, right, noise_std, weights : DataArray or float, optional
        See `fastnat.fit_normal`.  They broadcast with ``x`` by the names of their dimensions, and
        may have dimensions of their own: weights of ("replicate", "time") are a bootstrap.
    truncation : (DataArray or float, DataArray or float), optional
        Bounds beyond which a value would not have been observed.
    dim : hashable, iterable of hashable or None, default None
        Dimensions of the observations of one problem; all of ``x`` by default, also if ``...``.
    nan_policy, reml, cov_type, max_iter, tol : optional
        See `fastnat.fit_normal`.
    n_threads : int, optional
        See `fastnat.fit_normal`; by default 1 in each task of Dask, which has its own threads.

    Returns
    -------
    Dataset
        ``mu``, ``sigma``, ``mu_stderr``, ``sigma_stderr``, ``mu_sigma_cov`` (these three not with
        ``cov_type=None``), ``loglik``, ``nobs``, ``nit``, ``status`` and ``success``, along the
        other dimensions and with their coordinates.  Those in the units of ``x`` keep its
        attributes; ``status`` says in its own what its numbers mean (flag_values and flag_meanings
        of the CF conventions).  Lazy if an argument is backed by Dask.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used, or its labels are not those of ``x``.  What only the data
        of a lazy array show is raised when they are computed.

    Notes
    -----
    With Dask, each task fits the problems of a chunk.  A problem whose observations are in several
    chunks has them brought together in one task; `fastnat.dask` need not do that.

    Examples
    --------
    >>> import xarray as xr
    >>> import fastnat.xarray
    >>> x = xr.DataArray(
    ...     [[1.0, 2.0, 6.0], [4.0, 5.0, 9.0]],
    ...     dims=("station", "time"),
    ...     coords={"station": ["north", "south"]},
    ... )
    >>> fit = fastnat.xarray.fit_normal(x, dim="time")
    >>> fit.mu.sel(station="south").item()
    6.0
    """
    arguments = {
        "x": x,
        "upper": upper,
        "left": left,
        "right": right,
        **bounds_apart(truncation),
        "noise_std": noise_std,
        "weights": weights,
    }
    given = {name: value for name, value in arguments.items() if value is not None}
    _check_labels(given)
    reduced = _reduced(dim, x)
    lazy = any(_is_lazy(value) for value in given.values())
    options = {
        "nan_policy": nan_policy,
        "reml": reml,
        "cov_type": cov_type,
        "max_iter": max_iter,
        "tol": tol,
        "n_threads": 1 if lazy and n_threads is None else n_threads,
    }
    variables = _variables(cov_type)
    _check_free(given, reduced, variables)
    own = [[d for d in reduced if d in getattr(value, "dims", ())] for value in given.values()]
    fit = _Fit(
        tuple(given),
        tuple(tuple(slice(None) if d in dims else None for d in reduced) for dims in own),
        tuple(range(-len(reduced), 0)),
        tuple(variables.values()),
        options,
    )
    if lazy:  # what is wrong with the options is said now
        fit(*(_empty(value, dims) for value, dims in zip(given.values(), own, strict=True)))
    results = xr.apply_ufunc(
        fit,
        *given.values(),
        input_core_dims=own,
        output_core_dims=[[] for _ in variables],
        keep_attrs=True,
        dask="parallelized",
        dask_gufunc_kwargs={"allow_rechunk": True},
        output_dtypes=[variable.dtype for variable in variables.values()],
    )
    return _dataset(dict(zip(variables, results, strict=True)))


def _variables(cov_type: CovType) -> dict[str, _Variable]:
    """Those of a dataset; without covariances, if none are asked for."""
    wanted = [name for name in _VARIABLES if cov_type is not None or name not in _WITH_COVARIANCE]
    return {name: _VARIABLES[name] for name in wanted}


def _check_free(
    given: dict[str, Any], reduced: Iterable[Hashable], variables: Iterable[str]
) -> None:
    """No dimension that stays may have the name of a result, which would become its coordinate."""
    for name, value in given.items():
        for dimension in {*getattr(value, "dims", ())} - {*reduced}:
            if dimension in variables:
                raise ValueError(
                    f"{name} has a dimension {dimension!r}, which is the name of a result;"
                    f" {name}.rename({{{dimension!r}: ...}}) gives it another"
                )


def _dataset(results: dict[str, Any]) -> xr.Dataset:
    """Those of `_VARIABLES` that there are, with attributes of their own."""
    for name, result in results.items():
        if not _VARIABLES[name].in_units:
            result.attrs = {"long_name": _VARIABLES[name].long_name}
    dataset = xr.Dataset(results)
    dataset.status.attrs |= {
        "flag_values": np.array([int(code) for code in fastnat.Status], np.int8),
        "flag_meanings": " ".join(code.name.lower() for code in fastnat.Status),
    }
    return dataset


def _check_labels(given: dict[str, Any]) -> None:
    """Arrays have names for their dimensions, and the same labels along those they share."""
    x = given["x"]
    for name, value in given.items():
        if isinstance(value, xr.DataArray):
            continue
        if name == "x":
            way_out = "fastnat.fit_normal takes arrays"
            if isinstance(value, xr.Dataset):
                way_out = "choose a variable, or use x.to_dataarray()"
            raise TypeError(f"x must be a DataArray, not a {type(value).__name__}; {way_out}")
        if np.ndim(value):
            raise TypeError(
                f"{name} must be a number or a DataArray, whose dimensions have names, not a"
                f" {type(value).__name__}"
            )
    for name, value in given.items():
        if isinstance(value, xr.DataArray):
            try:
                xr.align(x, value, join="exact", copy=False)
            except ValueError as error:
                raise ValueError(
                    f"{name} and x differ in the labels or the size of a dimension they share;"
                    " see xarray.align"
                ) from error


def _reduced(dim: Any, x: xr.DataArray) -> tuple[Hashable, ...]:
    dims: tuple[Hashable, ...]
    if dim is None or dim is ...:
        dims = tuple(x.dims)
    elif isinstance(dim, str) or not isinstance(dim, Iterable):
        dims = (dim,)
    else:
        dims = tuple(dim)
    for d in dims:
        if d not in x.dims:
            raise ValueError(f"dim {shown(d)} is not among the dimensions of x, {x.dims}")
    if len(set(dims)) < len(dims) or not dims:
        raise ValueError(f"dim must name different dimensions, at least one, not {shown(dim)}")
    return dims


def _is_lazy(value: Any) -> bool:
    return isinstance(value, xr.DataArray) and value.chunks is not None


def _empty(value: Any, dims: list[Hashable]) -> Any:
    """No problems of one observation, in place of an array that is not computed yet."""
    if not isinstance(value, xr.DataArray):
        return value
    return np.empty((0,) + (1,) * len(dims), value.dtype)


class _Fit(NamedTuple):
    """What fits arrays whose last dimensions are those of the observations that they have."""

    names: tuple[str, ...]
    places: tuple[Any, ...]  # where the dimensions of the observations are in each array
    reduced: tuple[int, ...]
    variables: tuple[_Variable, ...]
    options: dict[str, Any]

    def __call__(self, *arrays: Any) -> tuple[Array, ...]:
        pairs = zip(arrays, self.places, strict=True)
        views = [np.asarray(array)[(..., *place)] for array, place in pairs]
        arguments = bounds_together(dict(zip(self.names, views, strict=True)))
        fit = fastnat.fit_normal(**arguments, axis=self.reduced, **self.options)
        return tuple(self._values(fit, variable) for variable in self.variables)

    def _values(self, fit: fastnat.NormalFit, variable: _Variable) -> Array:
        values: Array = np.asarray(getattr(fit, variable.attribute), variable.dtype)
        index: Any = (..., *variable.place)
        return np.asarray(values[index])
