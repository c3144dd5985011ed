"""Chunks that lie on workers of `distributed`: these are asked where they lie, in one message each.

A task that does nothing takes 10 ms there and back, a message 2 to 3.  What a worker does not say,
because it has died or has given its chunks away, is said by tasks, of which Dask takes care.
"""

import asyncio
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple

import dask.array as da
from dask.base import get_scheduler

Keys = list[Any]  # of the chunks that make a part
# What is known of some parts already, their chunks, a pool, how many of its threads -> answers.
Ask = Callable[[list[bytes], list[list[Any]], Executor, int], list[Any]]
Asked = list[tuple[int, bytes, Keys]]  # parts, what is known of each, the keys of its chunks


class Workers(NamedTuple):
    """Who holds the parts of something; nobody without `distributed`."""

    client: Any
    shares: dict[str, dict[int, Keys]]  # parts by address, each in one place only

    @property
    def n_parts(self) -> int:
        return sum(map(len, self.shares.values()))

    def apply(self, ask: Ask, known: Sequence[bytes]) -> dict[int, Any]:
        """Ask of each part where it lies; returns the answers.

        Nothing in a task, whose thread may be the only one that could answer.
        """
        if not self.shares or _in_a_task():
            return {}
        asked = {
            place: [(k, known[k], keys) for k, keys in share.items()]
            for place, share in self.shares.items()
        }
        told = self._run(pickle.dumps(ask), asked)
        loads = _distributed().protocol.pickle.loads
        return {k: answer for own in told for k, answer in loads(own).items()}

    def _run(self, ask: bytes, asked: dict[str, Asked]) -> list[bytes]:
        """What workers say, without those who fail."""
        client = self.client
        if _reaches_workers(client):
            told: list[bytes] = client.sync(_run_directly, client, ask, asked)
            return told
        by_place = client.run(_apply_here, ask, asked, workers=[*asked], on_error="ignore")
        return [*by_place.values()]

    def for_tasks(self, parts: list[int]) -> list[list[int]]:
        """These parts, together for each thread that has them; else one by one."""
        threads = self.client.nthreads() if self.shares else {}
        left, groups = set(parts), list[list[int]]()
        for place, share in self.shares.items():
            own = [k for k in share if k in left]
            n = min(len(own), threads.get(place, 1))
            groups += [own[k::n] for k in range(n)]
            left.difference_update(own)
        return groups + [[k] for k in sorted(left)]


def who_holds(parts: Sequence[Keys], chunks: Mapping[Any, Any]) -> Workers:
    """Wait until all chunks are made, but not in a task, and ask where.

    parts : the keys of the chunks that make each.
    chunks : by key; nobody holds them if they are no futures.
    """
    distributed = _distributed()
    futures = [c for c in chunks.values() if distributed and isinstance(c, distributed.Future)]
    if not futures:
        return Workers(None, {})
    client, shares = futures[0].client, dict[str, dict[int, Keys]]()
    made = all(future.status == "finished" for future in futures)
    if not made and not _in_a_task():  # where nobody may be there to make them
        with client.as_current():
            distributed.wait(futures)
    held = client.who_has(futures)
    for k, keys in enumerate(parts):
        places = set.intersection(*(set(held.get(key, ())) for key in keys))
        if places:
            least = min(sorted(places), key=lambda place: len(shares.get(place, ())))
            shares.setdefault(least, {})[k] = keys
    return Workers(client, shares)


def client_of_tasks() -> Any:
    """The client that Dask would have run tasks now, if it has one."""
    client, distributed = getattr(get_scheduler(cls=da.Array), "__self__", None), _distributed()
    return client if distributed and isinstance(client, distributed.Client) else None


def future_type() -> Any:
    return _distributed().Future


def _distributed() -> Any:
    return sys.modules.get("distributed")


def _in_a_task() -> bool:
    try:
        _distributed().get_worker()
    except ValueError:
        return False
    return True


def _reaches_workers(client: Any) -> bool:
    """Whether a client may ask workers itself, rather than have the scheduler do so.

    As it was told when it was made, or by ``distributed.client.direct-to-workers``; else if they
    are on this machine.
    """
    if client.direct_to_workers is not None:
        return bool(client.direct_to_workers)
    return isinstance(client.cluster, _distributed().LocalCluster)


async def _run_directly(client: Any, ask: bytes, asked: dict[str, Asked]) -> list[bytes]:
    """`distributed.Client.run` without the scheduler, which knocks at each worker anew."""
    function = pickle.dumps(_apply_here)
    answers = (
        client.rpc(place).run(function=function, args=pickle.dumps((ask, {place: own})))
        for place, own in asked.items()
    )
    done = await asyncio.gather(*answers, return_exceptions=True)
    return [d["result"] for d in done if isinstance(d, dict) and d["status"] == "OK"]


async def _apply_here(ask: bytes, asked: dict[str, Asked], dask_worker: Any) -> bytes:
    """Ask of the parts of this worker, in the threads of its tasks; those that fail say nothing.

    Returns answers by part, pickled: `distributed` makes a frame of each array in a message, and so
    many small ones take longer than all the rest of it.

    All parts are asked together, and threads that are free share them.  But if some have been
    spilled, all may be more than there is memory: then each is asked by itself, and one more than
    there are threads is ready for whichever is free first.
    """
    data, pool = dask_worker.data, dask_worker.executors["default"]
    n_threads = dask_worker.state.nthreads
    loop, ready = asyncio.get_running_loop(), asyncio.Semaphore(n_threads + 1)
    function: Ask = _distributed().protocol.pickle.loads(ask)
    own = [part for part in asked[dask_worker.address] if all(key in data for key in part[2])]
    groups = [own] if own else []
    in_memory = data if isinstance(data, dict) else getattr(data, "fast", ())
    if not all(key in in_memory for _, _, keys in own for key in keys):
        groups, n_threads = [[part] for part in own], 1

    async def answer(group: Asked) -> dict[int, Any]:
        async with ready:
            known = [seen for _, seen, _ in group]
            chunks = [[data[key] for key in keys] for _, _, keys in group]
            told = await loop.run_in_executor(pool, function, known, chunks, pool, n_threads)
        return dict(zip((k for k, _, _ in group), told, strict=True))

    answers = await asyncio.gather(*map(answer, groups), return_exceptions=True)
    told = {k: a for own in answers if isinstance(own, dict) for k, a in own.items()}
    return pickle.dumps(told)
