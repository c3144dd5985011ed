"""Chunks that lie on workers of `distributed`: these are asked where they lie, in one message each.

A task that does nothing takes 10 ms there and back, a message 2.  What a worker does not say,
because it has died or has given its chunks away, is said by tasks, of which Dask takes care.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import dask.array as da


class Workers(NamedTuple):
    """Who holds the chunks of an array that is persisted; nobody without `distributed`."""

    client: Any
    shares: dict[str, list[Any]]  # keys of chunks by address, each in one place only

    def apply(self, function: Callable[[Any], Any]) -> dict[Any, Any]:
        """Apply a function to chunks where they lie; returns what it gives, by key.

        Nothing in a task, whose thread may be the only one that could answer.
        """
        if not self.shares or _in_a_task():
            return {}
        ask, loads = self.client.run, _pickle().loads
        told = ask(_apply_here, function, self.shares, workers=[*self.shares], on_error="ignore")
        return {key: value for own in told.values() for key, value in loads(own).items()}

    def for_tasks(self, keys: list[Any]) -> list[list[Any]]:
        """These keys, together for each thread that has their chunks; else one by one."""
        threads = self.client.nthreads() if self.shares else {}
        left, groups = keys, list[list[Any]]()
        for place, share in self.shares.items():
            held = set(share)
            own = [key for key in left if key in held]
            n = min(len(own), threads.get(place, 1))
            groups += [own[k::n] for k in range(n)]
            left = [key for key in left if key not in held]
        return groups + [[key] for key in left]


def who_holds(blocks: da.Array) -> Workers:
    """Wait until all chunks are made, and ask where."""
    distributed: Any = sys.modules.get("distributed")
    futures = distributed.futures_of(blocks) if distributed else []
    if not futures:
        return Workers(None, {})
    client, shares = futures[0].client, dict[str, list[Any]]()
    if not _in_a_task():  # then nobody may be there to make them
        with client.as_current():
            distributed.wait(futures)
    for key, places in client.who_has(futures).items():
        if places:
            least = min(places, key=lambda place: len(shares.get(place, ())))
            shares.setdefault(least, []).append(key)
    return Workers(client, shares)


def _pickle() -> Any:
    return sys.modules["distributed"].protocol.pickle


def _in_a_task() -> bool:
    try:
        sys.modules["distributed"].get_worker()
    except ValueError:
        return False
    return True


async def _apply_here(
    function: Callable[[Any], Any], shares: dict[str, list[Any]], dask_worker: Any
) -> bytes:
    """Apply a function to the chunks of this worker, in the threads of its tasks.

    Returns what it gives by key, pickled: `distributed` makes a frame of each array in a message,
    and so many small ones take longer than all the rest of it.

    What has been spilled comes into memory when a thread needs it soon, and not all of it at once:
    one chunk more than there are threads is ready for whichever is free first.
    """
    keys = [key for key in shares[dask_worker.address] if key in dask_worker.data]
    loop, threads = asyncio.get_running_loop(), dask_worker.executors["default"]
    ready = asyncio.Semaphore(dask_worker.state.nthreads + 1)

    async def ask(key: Any) -> Any:
        async with ready:
            return await loop.run_in_executor(threads, function, dask_worker.data[key])

    values = await asyncio.gather(*map(ask, keys))
    answers: bytes = _pickle().dumps(dict(zip(keys, values, strict=True)))
    return answers
