"""Arguments that are Dask arrays: labels of their dimensions, chunks, blocks of problems, trees."""

import copy
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import dask
import dask.array as da
import dask.threaded
import numpy as np
from dask.array.core import unify_chunks
from dask.base import compute_as_if_collection, get_scheduler
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.system import CPU_COUNT
from dask.utils import key_split

from fastnat._arrays import Array, as_array, as_integers
from fastnat._lazy import Blocks, Get
from fastnat._observed import bounds_together
from fastnat.result import FitResult

F = TypeVar("F", bound=FitResult)

_FAN_IN = 8  # statistics that one task merges
_TOGETHER = 4  # tasks that a thread takes at a time, at most


class Gather(Protocol):
    """Makes statistics of chunks, given their arguments by name."""

    def __call__(self, given: dict[str, Any]) -> Any: ...
    def each(self, chunks: list[dict[str, Any]], n_threads: int) -> list[Any]: ...


class Sources(NamedTuple):
    """The arguments that are arrays, by name, with the labels of their dimensions."""

    arrays: dict[str, da.Array]
    labels: dict[str, tuple[Any, ...]]
    numbers: dict[str, Any]  # the arguments that are single numbers

    def unified(self) -> "Sources":
        """With chunks of the same sizes along a label."""
        pairs = [v for name in self.arrays for v in (self.arrays[name], self.labels[name])]
        _, arrays = unify_chunks(*pairs)
        return self._replace(arrays=dict(zip(self.arrays, arrays, strict=True)))

    def without(self, *names: str) -> "Sources":
        arrays = {name: a for name, a in self.arrays.items() if name not in names}
        return self._replace(arrays=arrays)

    def count(self, labels: Iterable[Any]) -> int:
        """In how many chunks one problem is, at most."""
        wanted, most = set(labels), 1
        for name, array in self.arrays.items():
            own = zip(self.labels[name], array.numblocks, strict=True)
            most = max([most, *(n for label, n in own if label in wanted)])
        return most

    def together(self, labels: Iterable[Any]) -> "Sources":
        """With one chunk along these labels."""
        wanted = set(labels)
        whole = {
            name: array.rechunk({k: -1 for k, own in enumerate(self.labels[name]) if own in wanted})
            for name, array in self.arrays.items()
        }
        return self._replace(arrays=whole).unified()

    def blocks(
        self, function: Callable[..., Any], out: tuple[Any, ...], *, once: bool = False
    ) -> da.Array:
        """What ``function`` makes of each chunk, given its arguments by name.

        The name begins with that of the first array: if Dask fuses a chunk with what makes it, and
        their names differ, it hands every result on by one more task.

        once : whether nobody will ask for the same again, so that the name need not be a hash.
        """
        if once and (chunks := self.at_hand(out, np.ndarray)):
            return self._tasks(function, out, chunks)
        pairs = [v for name in self.arrays for v in (self.arrays[name], self.labels[name])]
        prefix = key_split(next(iter(self.arrays.values())).name)
        axes = {
            name: tuple(k for k, label in enumerate(self.labels[name]) if label not in out)
            for name in self.arrays
        }
        return da.blockwise(
            _ByName(function, axes, self._lengths(out), self.numbers),
            out,
            *pairs,
            name=f"{prefix}-{uuid.uuid4().hex}" if once else None,
            token=prefix,
            dtype=object,
            meta=np.empty((0,) * len(out), object),
        )

    def at_hand(self, out: tuple[Any, ...], kind: type) -> dict[tuple[int, ...], list[Any]]:
        """The chunks of each part by its place, if all are of this type; else nothing.

        Nor if more than one chunk of an array makes a part.
        """
        found = list[dict[Any, Any]]()
        for name, array in self.arrays.items():
            layer, labels = array.dask.layers.get(array.name), self.labels[name]
            cut = [k for k, n in zip(labels, array.numblocks, strict=True) if n > 1]
            if type(layer) is not MaterializedLayer or not {*out}.issuperset(cut):
                return {}
            keys = flatten(array.__dask_keys__())
            found.append({key[1:]: layer.mapping.get(key) for key in keys})
            if any(type(chunk) is not kind for chunk in found[-1].values()):
                return {}
        parts = dict[tuple[int, ...], list[Any]]()
        for place in product(*(range(len(own)) for own in self._sizes(out).values())):
            at, parts[place] = dict(zip(out, place, strict=True)), list[Any]()
            for (name, array), chunks in zip(self.arrays.items(), found, strict=True):
                ends = zip(self.labels[name], array.numblocks, strict=True)
                parts[place].append(chunks[tuple(min(at.get(k, 0), n - 1) for k, n in ends)])
        return parts

    def by_name(self, function: Callable[..., Any], out: tuple[Any, ...]) -> "_ByName":
        """A function of arguments by name as one of the chunks of a part."""
        lengths = self._lengths(out)
        return _ByName(function, dict.fromkeys(self.arrays, ()), lengths, self.numbers)

    def _lengths(self, out: tuple[Any, ...]) -> "_Lengths":
        """What a block has of each array, by axis: None where blocks may differ."""
        return {
            name: tuple(
                (label, None if len(own) > 1 and label in out else sum(own))
                for label, own in zip(self.labels[name], array.chunks, strict=True)
            )
            for name, array in self.arrays.items()
        }

    def _sizes(self, out: tuple[Any, ...]) -> dict[Any, tuple[int, ...]]:
        """Those of chunks along each label; a dimension of 1 is that of all."""
        sizes: dict[Any, tuple[int, ...]] = dict.fromkeys(out, (1,))
        for name, array in self.arrays.items():
            for label, own in zip(self.labels[name], array.chunks, strict=True):
                if label in sizes:
                    sizes[label] = max(sizes[label], own, key=lambda own: (len(own), sum(own)))
        return sizes

    def statistics(self, gather: Gather, out: tuple[Any, ...], n_threads: int) -> Any:
        """Those of one sample, if Dask would run tasks on threads of this process, which has it.

        Then ours, so many for each of Dask's, share the blocks of all chunks: between two tasks a
        thread of Dask's finds nothing in the cache that Python needs.  None if it is for tasks.
        """
        threads = threads_of_tasks()
        chunks = self.at_hand(out, np.ndarray) if threads else {}
        if not chunks:
            return None
        call = self.by_name(gather, out)
        given = [call.given(*own) for own in chunks.values()]
        threads *= int(n_threads)  # which may be one of NumPy's, and overflow
        parts = gather.each(given, threads)
        while len(parts) > _FAN_IN:
            parts = [_merge(parts[k : k + _FAN_IN]) for k in range(0, len(parts), _FAN_IN)]
        return _merge(parts)

    def _tasks(
        self,
        function: Callable[..., Any],
        out: tuple[Any, ...],
        chunks: dict[tuple[int, ...], list[Array]],
    ) -> da.Array:
        """`blocks` of chunks that are at hand.

        Dask would make a task of each, fuse it with ours, and put the two in order when it runs
        them, all of which takes longer than what we do.
        """
        call, token = self.by_name(function, out), f"parts-{uuid.uuid4().hex}"
        graph = {(token, *place): (call, *own) for place, own in chunks.items()}
        sizes = tuple(self._sizes(out).values())
        meta = np.empty((0,) * len(out), object)
        return da.Array(graph, token, sizes, dtype=object, meta=meta)


_Lengths = dict[str, tuple[tuple[Any, int | None], ...]]  # label and length of each axis, by name


@dataclass(frozen=True)
class _ByName:
    """A function of arguments by name, called by position."""

    function: Callable[..., Any]
    axes: dict[str, tuple[int, ...]]  # along which each argument comes in lists of chunks
    lengths: _Lengths
    numbers: dict[str, Any]

    def __call__(self, *arrays: Any) -> Any:
        return self.function(self.given(*arrays))

    def given(self, *arrays: Any) -> dict[str, Any]:
        """The arguments, by name."""
        given = zip(self.axes.items(), arrays, strict=True)
        chunks = {name: _join(name, a, axes) for (name, axes), a in given}
        _check_shapes(chunks, self.lengths)
        return chunks | self.numbers


def _check_shapes(chunks: dict[str, Array], lengths: _Lengths) -> None:
    """Refuse what is not as its array said: kernels would read beyond its end, NumPy broadcast."""
    common = dict[Any, tuple[str, int]]()
    for name, axes in lengths.items():
        shape = chunks[name].shape
        if len(shape) != len(axes):
            raise ValueError(
                f"{name} has {len(shape)} dimensions in a chunk, where the array has {len(axes)}"
            )
        for axis, (size, (label, length)) in enumerate(zip(shape, axes, strict=True)):
            known = common.setdefault(label, (name, size)) if length is None else None
            whose, want = known or ("the array", length)
            if size != want:
                raise ValueError(
                    f"{name} has {size} along axis {axis} in a chunk, where {whose} has {want}"
                )


def _join(name: str, chunks: Any, axes: tuple[int, ...]) -> Array:
    """Put together what is cut along these axes; Dask would copy a single chunk as well."""
    if not axes:
        return _check_of(name)(name, chunks)  # which need not be what its array said
    parts = [_join(name, part, axes[1:]) for part in chunks]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axes[0])


@dataclass(frozen=True)
class Fit:
    """Fit a block of problems in memory, and ask the fit something."""

    door: Callable[..., Any]
    options: dict[str, Any]
    get: Get = copy.deepcopy  # which leaves the data behind

    def __call__(self, given: dict[str, Any]) -> Any:
        return self.get(self.door(**bounds_together(given), **self.options))


def read(named: dict[str, Any], labels: Callable[[str, int], tuple[Any, ...]]) -> Sources:
    """Check the kinds of arguments; one of them must be a Dask array."""
    arrays, numbers = {}, {}
    for name, value in named.items():
        if value is None:
            continue
        array = _as_dask(name, value)
        if array.ndim:
            arrays[name] = array
        else:
            numbers[name] = array
    if not any(isinstance(value, da.Array) for value in named.values()):
        first = next(iter(named))
        raise TypeError(
            f"{first} must be a Dask array, not a {type(named[first]).__name__}; the functions of"
            " fastnat take others"
        )
    return Sources(arrays, {name: labels(name, a.ndim) for name, a in arrays.items()}, numbers)


def _check_of(name: str) -> Callable[[str, Any], Array]:
    return as_integers if name in ("groups", "clusters") else as_array


def _as_dask(name: str, value: Any) -> Any:
    """A Dask array whose chunks are not empty unless it is, or a NumPy array of no dimension."""
    check = _check_of(name)
    if isinstance(value, da.Array):
        if np.isnan(value.size):
            raise ValueError(f"{name} has chunks of unknown sizes: call its compute_chunk_sizes()")
        masked = isinstance(value._meta, np.ma.MaskedArray)
        check(name, (np.ma if masked else np).empty(0, value.dtype))
        if value.ndim == 0:
            return check(name, value.compute())
        chunks = tuple(tuple(size for size in own if size) or (0,) for own in value.chunks)
        return value.rechunk(chunks)
    if type(value).__module__.startswith("dask"):
        raise TypeError(
            f"{name} is a {type(value).__name__} of Dask; pass to_dask_array(lengths=True) of it"
        )
    array = check(name, value)
    return da.from_array(array, chunks=-1) if array.ndim else array


def lazy(
    kind: type[Blocks],
    sources: Sources,
    door: Callable[..., F],
    options: dict[str, Any],
    sample: F,
    out: tuple[int, ...],
) -> F:
    """A fit of problems in blocks, each in memory; ``out``: labels of the batch."""
    sources = sources.unified()
    blocks = sources.blocks(Fit(door, options), out)

    def refit(get: Get) -> da.Array:
        return sources.blocks(Fit(door, options, get), out)

    fit: Any = kind(blocks, blocks.chunks, sample, refit)
    return cast("F", fit)


def together(
    kind: type[Blocks],
    sources: Sources,
    door: Callable[..., F],
    options: dict[str, Any],
    sample: F,
    out: tuple[int, ...],
    labels: tuple[int, ...],
) -> F:
    """`lazy` of one chunk along these labels, computed."""
    fit = lazy(kind, sources.together(labels), door, options, sample, out)
    return cast("F", dask.compute(fit)[0])


def merged(
    kind: type[Blocks], parts: da.Array, n_batch: int, finish: Callable[[Any], Any], sample: F
) -> F:
    """Merge statistics in a tree along all but the first dimensions, finish and compute.

    parts : statistics in place of each chunk, with ``merge``; the first ``n_batch`` dimensions are
        those of the batch.
    """
    n_blocks = parts.numblocks
    name, graph = f"merged-{parts.name}", dict[Any, Any]()
    ends: list[Any] = []
    for place in product(*(range(n) for n in n_blocks[:n_batch])):
        rest = product(*(range(n) for n in n_blocks[n_batch:]))
        level: list[Any] = [(parts.name, *place, *other) for other in rest]
        depth = 0
        while len(level) > _FAN_IN:
            depth += 1
            groups = [level[k : k + _FAN_IN] for k in range(0, len(level), _FAN_IN)]
            level = [(name, depth, *place, k) for k in range(len(groups))]
            graph |= {key: (_merge, group) for key, group in zip(level, groups, strict=True)}
        ends.append((name, 0, *place, 0))
        graph[ends[-1]] = (_finish, finish, level)
    whole = HighLevelGraph.from_collections(name, graph, dependencies=[parts])
    done = np.empty(len(ends), object)
    done[:] = compute_as_if_collection(da.Array, whole, ends, **_batches(parts))
    fit: Any = done[0] if done.size == 1 else None
    if fit is None:
        fit = kind(done.reshape(n_blocks[:n_batch]), parts.chunks[:n_batch], sample)
    return cast("F", fit)


def _batches(parts: da.Array) -> dict[str, int]:
    """Several tasks at a time for each of Dask's threads, if all are ready at once.

    Between two of them a thread waits until Dask has been told of the first, up to 1 ms.
    """
    threads = threads_of_tasks()
    if not threads or len(parts.dask) > parts.npartitions:
        return {}
    return {"chunksize": min(_TOGETHER, -(-parts.npartitions // threads))}


def threads_of_tasks() -> int:
    """On how many threads of its own Dask would run tasks now; 0 if elsewhere.

    Also for a pool of the user's, and for the synchronous scheduler, which is for debugging.
    """
    own = get_scheduler(cls=da.Array) is dask.threaded.get and not dask.config.get("pool", None)
    return int(dask.config.get("num_workers", None) or CPU_COUNT) if own else 0


def _finish(finish: Callable[[Any], Any], parts: list[Any]) -> Any:
    """The root of a tree: as a task of its own, it would cost as much as a chunk."""
    return finish(_merge(parts))


def _merge(parts: list[Any]) -> Any:
    """Merge statistics, which others may still need as they are."""
    total = copy.deepcopy(parts[0])
    for part in parts[1:]:
        total.merge(part)
    return total


def stand_ins(sources: Sources) -> dict[str, Array]:
    """Arrays of the same shapes that take no memory."""
    like = {
        name: np.broadcast_to(np.zeros((), array.dtype), array.shape)
        for name, array in sources.arrays.items()
    }
    return like | sources.numbers


def sample_of(door: Callable[..., F], sources: Sources, options: dict[str, Any]) -> F:
    """A fit of no problems: refuses what is wrong with the options."""
    none = {name: np.empty((0, 1), array.dtype) for name, array in sources.arrays.items()}
    return door(**bounds_together(none | sources.numbers), **options)
