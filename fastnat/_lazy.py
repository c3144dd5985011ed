"""Fits in blocks of problems, not computed yet or computed elsewhere, that look like one fit."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import dask.array as da
import numpy as np
from dask.base import DaskMethodsMixin
from numpy.typing import ArrayLike

from fastnat._arrays import Array
from fastnat.linear import LinearFit, Prediction
from fastnat.multivariate import MvnFit
from fastnat.normal import NormalFit, Quantile
from fastnat.result import ConfIntMethod, FitResult

Get = Callable[[Any], Any]


@dataclass(frozen=True)
class _Call:
    """What a method returns."""

    name: str
    arguments: tuple[Any, ...]

    def __call__(self, fit: Any) -> Any:
        return getattr(fit, self.name)(*self.arguments)


@dataclass(frozen=True)
class _Item:
    """One of the arrays that a fit unpacks to, or that a method returns."""

    number: int
    call: _Call | None = None

    def __call__(self, fit: Any) -> Any:
        return tuple(fit if self.call is None else self.call(fit))[self.number]


def _itself(value: Any) -> Any:
    return value


def _array_of(fit: Any, get: Get, dtype_of: Any) -> Array:
    return np.asarray(get(fit), dtype_of)


class Attribute:
    """An attribute of a fit, put together from those of its blocks."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._get = attrgetter(name)

    def __get__(self, fits: Any, owner: type) -> Any:
        return self if fits is None else fits._gather(self._get)


class Blocks(DaskMethodsMixin, FitResult):  # type: ignore[misc]
    """A fit of many problems in blocks; a Dask collection, until it is computed.

    Lazy, each attribute is a `dask.array.Array`; computed, a NumPy array.

    blocks : dask.array.Array, or (*n_blocks) ndarray, of objects
        The fits of blocks of problems, one in place of each chunk; computed if it is an ndarray.
    chunks : tuple of tuple of int
        Sizes of the blocks along each dimension of the batch.
    sample : FitResult
        A fit of no problems with the same options: shapes, dtypes, and what is refused.
    refit : function, optional
        (get) -> what ``get`` says of fits that still have their data, in place of each chunk.
    """

    def __init__(
        self,
        blocks: Any,
        chunks: tuple[tuple[int, ...], ...],
        sample: FitResult,
        refit: Callable[[Get], da.Array] | None = None,
    ) -> None:
        self._blocks = blocks
        self._chunks = chunks
        self._sample = sample
        self._refit = refit
        self.cov_type = sample.cov_type

    @property
    def _lazy(self) -> bool:
        return isinstance(self._blocks, da.Array)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the batch."""
        return tuple(sum(sizes) for sizes in self._chunks)

    def _gather(self, get: Get, with_data: bool = False) -> Any:
        """What ``get`` says of every block, as one array; options are checked at once."""
        with np.errstate(all="ignore"):
            like = np.asarray(get(self._sample))
        tail = like.shape[1:]
        if self._lazy:
            blocks = self._blocks
            if with_data and self._refit is not None:
                blocks, get = self._refit(get), _itself
            batch = tuple(range(len(self._chunks)))
            new = {len(batch) + k: size for k, size in enumerate(tail)}
            return da.blockwise(
                _array_of,
                (*batch, *new),
                blocks,
                batch,
                get=get,
                dtype_of=like.dtype,
                new_axes=new,
                dtype=like.dtype,
                meta=np.empty((0,) * (len(batch) + len(tail)), like.dtype),
            )
        out = np.empty((*self.shape, *tail), like.dtype)
        ends = [np.cumsum((0, *sizes)) for sizes in self._chunks]
        for place, fit in np.ndenumerate(self._blocks):
            here = (slice(e[i], e[i + 1]) for e, i in zip(ends, place, strict=True))
            out[tuple(here)] = get(fit)
        return out

    # ---- what every fit has ----

    params, stderr, cov_params = Attribute(), Attribute(), Attribute()
    status, success, loglik, nobs, nit = (Attribute() for _ in range(5))

    @property
    def _status(self) -> Any:
        if self._lazy:
            raise ValueError("the fit is not computed yet; call compute() first")
        return self.status

    def conf_int(self, level: float = 0.95, method: ConfIntMethod = "wald") -> Any:
        return self._gather(_Call("conf_int", (level, method)), with_data=method == "profile")

    def _profile(self, level: float) -> Array:
        raise NotImplementedError  # conf_int asks the blocks

    _exact = _profile

    def summary(self, level: float = 0.95) -> str:  # noqa: ARG002
        raise ValueError("summary needs a fit of one problem, computed; call compute() first")

    def __iter__(self) -> Iterator[Any]:
        return iter([self._gather(_Item(k)) for k in range(len(tuple(self._sample)))])

    def __repr__(self) -> str:
        if not self._lazy:
            return f"<{self._kind}: {self.message}>"
        n_fits = int(np.prod(self.shape))
        return f"<{self._kind}: {n_fits:,} fit{'s' * (n_fits != 1)}, not computed yet>"

    @property
    def _kind(self) -> str:
        """The name of the fit in blocks."""
        return type(self).__bases__[-1].__name__

    # ---- the protocol of Dask's collections ----

    __dask_scheduler__ = staticmethod(da.Array.__dask_scheduler__)
    __dask_optimize__ = staticmethod(da.Array.__dask_optimize__)

    def __getstate__(self) -> dict[str, Any]:
        """All but the input."""
        return self.__dict__ | {"_refit": None}

    def __dask_graph__(self) -> Any:
        return self._blocks.__dask_graph__() if self._lazy else None

    def __dask_keys__(self) -> Any:
        return self._blocks.__dask_keys__()

    def __dask_layers__(self) -> Any:
        return self._blocks.__dask_layers__()

    def __dask_tokenize__(self) -> Any:
        return type(self).__name__, self._blocks.name

    def __dask_postcompute__(self) -> Any:
        return _assembled, (type(self), self._chunks, self._sample)

    def __dask_postpersist__(self) -> Any:
        rebuild, arguments = self._blocks.__dask_postpersist__()
        return _persisted, ((type(self), self._chunks, self._sample), rebuild, *arguments)


def _assembled(nested: Any, kind: type[Blocks], chunks: Any, sample: FitResult) -> Any:
    """The fit itself if there is one block, else all of them."""
    n_blocks = tuple(len(sizes) for sizes in chunks)
    blocks = np.empty(n_blocks, object)
    for place in np.ndindex(n_blocks):
        fit = nested if n_blocks else nested[0]
        for i in place:
            fit = fit[i]
        blocks[place] = fit
    return blocks.item() if blocks.size == 1 else kind(blocks, chunks, sample)


def _persisted(graph: Any, own: Any, rebuild: Any, *arguments: Any, **options: Any) -> Any:
    kind, chunks, sample = own
    return kind(rebuild(graph, *arguments, **options), chunks, sample)


class NormalBlocks(Blocks, NormalFit):
    """A `NormalFit` in blocks."""

    mu, sigma = Attribute(), Attribute()

    @property
    def reml(self) -> bool:
        return bool(self._sample.reml)  # type: ignore[attr-defined]

    def quantile(self, q: ArrayLike) -> Quantile:
        call = _Call("quantile", (q,))
        return Quantile(self._gather(_Item(0, call)), self._gather(_Item(1, call)))


class LinearBlocks(Blocks, LinearFit):
    """A `LinearFit` in blocks."""

    coef, scale_coef, sigma, aic, bic = (Attribute() for _ in range(5))

    @property
    def _batch(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.shape

    def predict(self, X: ArrayLike, Z: ArrayLike | None = None) -> Prediction:
        for name, matrix in (("X", X), ("Z", Z)):
            if matrix is not None and np.ndim(matrix) != 2:
                raise ValueError(f"{name} must have two dimensions: one design for all blocks")
        call = _Call("predict", (X, Z))
        return Prediction(self._gather(_Item(0, call)), self._gather(_Item(1, call)))


class MvnBlocks(Blocks, MvnFit):
    """A `MvnFit` in blocks."""

    mean, covariance, correlation = Attribute(), Attribute(), Attribute()
    stderr_mean, stderr_covariance, stderr_correlation = (Attribute() for _ in range(3))
