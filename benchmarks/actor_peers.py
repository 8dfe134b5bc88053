"""Actors of others, called as weft's are: start one, call a function in it, end it.

`multiprocessing` with a pipe by hand, and its Manager; tractor and ray where they are installed.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import Any

from benchmarks.actor_functions import add, add_async

type Timed = Callable[[int], float]


# ---- multiprocessing, a pipe by hand -------------------------------------------------------------------------------


def serve(end: Any) -> None:
    """What the process does."""
    while (call := end.recv()) is not None:
        fn, kwargs = call
        end.send(fn(**kwargs))


class PipeActor:
    """A process that answers over a pipe."""

    def __init__(self) -> None:
        from multiprocessing import get_context

        context = get_context("spawn")
        self._end, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs,))
        self.process.start()
        theirs.close()

    def call(self, fn: Callable[..., Any], **kwargs: Any) -> Any:
        """Calls a function there."""
        self._end.send((fn, kwargs))
        return self._end.recv()

    def end(self) -> None:
        """Ends it."""
        with suppress(OSError):
            self._end.send(None)
        self.process.join()
        self._end.close()


def pipe_start(count: int) -> float:
    """Seconds until a process has answered its first call; the mean."""
    spent = 0.0
    for _ in range(count):
        begun = perf_counter()
        actor = PipeActor()
        actor.call(add, a=1, b=2)
        spent += perf_counter() - begun
        actor.end()
    return spent / count


def pipe_trip(count: int) -> float:
    """Seconds for a call there and back."""
    actor = PipeActor()
    actor.call(add, a=1, b=2)
    begun = perf_counter()
    for _ in range(count):
        actor.call(add, a=1, b=2)
    spent = perf_counter() - begun
    actor.end()
    return spent / count


def pipe_end(count: int) -> float:
    """Seconds to end an idle process."""
    spent = 0.0
    for _ in range(count):
        actor = PipeActor()
        actor.call(add, a=1, b=2)
        begun = perf_counter()
        actor.end()
        spent += perf_counter() - begun
    return spent / count


def send_items(end: Any, size: int, count: int) -> None:
    """A process that sends so many items of so many bytes."""
    item = bytes(size)
    end.send(None)
    for _ in range(count):
        end.send(item)
    end.close()


def pipe_stream(size: int, count: int) -> float:
    """Items a second that come out of a pipe."""
    from multiprocessing import get_context

    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=send_items, args=(theirs, size, count))
    process.start()
    theirs.close()
    ours.recv()
    begun = perf_counter()
    for _ in range(count):
        ours.recv()
    spent = perf_counter() - begun
    process.join()
    ours.close()
    return count / spent


def manager_trip(count: int) -> float:
    """Seconds for a call of a proxy's method."""
    from multiprocessing import get_context

    with get_context("spawn").Manager() as manager:
        values = manager.list([1])
        len(values)
        begun = perf_counter()
        for _ in range(count):
            len(values)
        return (perf_counter() - begun) / count


# ---- tractor -------------------------------------------------------------------------------------------------------


def _run_tractor(main: Callable[[Any], Any]) -> float:
    trio: Any = importlib.import_module("trio")
    tractor: Any = importlib.import_module("tractor")

    async def run() -> float:
        async with tractor.open_nursery() as nursery:
            return await main(nursery)

    return trio.run(run)


def tractor_start(count: int) -> float:
    """Seconds to start an actor, and to have a call answered."""

    async def main(nursery: Any) -> float:
        spent = 0.0
        for number in range(count):
            begun = perf_counter()
            portal = await nursery.start_actor(f"a{number}", enable_modules=[add_async.__module__])
            await portal.run(add_async, a=1, b=2)
            spent += perf_counter() - begun
            await portal.cancel_actor()
        return spent / count

    return _run_tractor(main)


def tractor_trip(count: int) -> float:
    """Seconds for a call there and back."""

    async def main(nursery: Any) -> float:
        portal = await nursery.start_actor("a", enable_modules=[add_async.__module__])
        await portal.run(add_async, a=1, b=2)
        begun = perf_counter()
        for _ in range(count):
            await portal.run(add_async, a=1, b=2)
        spent = perf_counter() - begun
        await portal.cancel_actor()
        return spent / count

    return _run_tractor(main)


def tractor_end(count: int) -> float:
    """Seconds to cancel an idle actor."""

    async def main(nursery: Any) -> float:
        spent = 0.0
        for number in range(count):
            portal = await nursery.start_actor(f"a{number}", enable_modules=[add_async.__module__])
            begun = perf_counter()
            await portal.cancel_actor()
            spent += perf_counter() - begun
        return spent / count

    return _run_tractor(main)


# ---- ray -----------------------------------------------------------------------------------------------------------


def _ray_actor() -> tuple[Any, Any]:
    ray: Any = importlib.import_module("ray")
    if not ray.is_initialized():
        ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", configure_logging=False)

    class Sums:
        def add(self, a: int, b: int) -> int:
            return a + b

    return ray, ray.remote(Sums)


def ray_start(count: int) -> float:
    """Seconds to start an actor, and to have a call answered."""
    ray, kind = _ray_actor()
    spent = 0.0
    for _ in range(count):
        begun = perf_counter()
        actor = kind.remote()
        ray.get(actor.add.remote(1, 2))
        spent += perf_counter() - begun
        ray.kill(actor)
    return spent / count


def ray_trip(count: int) -> float:
    """Seconds for a call there and back."""
    ray, kind = _ray_actor()
    actor = kind.remote()
    ray.get(actor.add.remote(1, 2))
    begun = perf_counter()
    for _ in range(count):
        ray.get(actor.add.remote(1, 2))
    spent = perf_counter() - begun
    ray.kill(actor)
    return spent / count


# ---- what is there -------------------------------------------------------------------------------------------------


def thread_trip(count: int) -> float:
    """Seconds for a call in asyncio's own thread pool, which shares everything."""

    async def main() -> float:
        await asyncio.to_thread(add, a=1, b=2)
        begun = perf_counter()
        for _ in range(count):
            await asyncio.to_thread(add, a=1, b=2)
        return (perf_counter() - begun) / count

    return asyncio.run(main())


def _installed(**found: Timed) -> dict[str, Timed]:
    return {name: side for name, side in found.items() if _is_there(name)}


def _is_there(name: str) -> bool:
    if importlib.util.find_spec(name) is None:
        return False
    if name == "tractor":  # the release of PyPI, 0.1.0a5, needs a trio of before 0.25, with MultiError
        try:
            importlib.import_module(name)
        except ImportError:
            return False
    return True


STARTS: dict[str, Timed] = {"Process, Pipe": pipe_start, **_installed(tractor=tractor_start, ray=ray_start)}
TRIPS: dict[str, Timed] = {
    "Process, Pipe": pipe_trip,
    "Manager": manager_trip,
    "to_thread": thread_trip,
    **_installed(tractor=tractor_trip, ray=ray_trip),
}
ENDS: dict[str, Timed] = {"Process, Pipe": pipe_end, **_installed(tractor=tractor_end)}
