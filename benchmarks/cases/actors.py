"""Actors: start, calls, streams, the end; beside multiprocessing, and tractor and ray where they are installed.

`weft` is asked under asyncio. A call is of a plain function, which runs in the actor's worker thread, unless the row
says async.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Any

import anyio

from benchmarks import actor_functions as functions
from benchmarks.actor_peers import ENDS, STARTS, TRIPS, pipe_stream
from benchmarks.case import Case, Side, Unit
from benchmarks.judge import Judge, Limit, NoTarget
from weft.actors import Nursery, open_nursery
from weft.actors._spawn import METHODS, lacks
from weft.errors import ActorDied, ChannelClosed

HERE = [method for method in METHODS if lacks(method) is None]
MODULES = [functions.__name__]
_READY_WITHIN = 0.5  # seconds in which a spare is there again


def _run(method: str, main: Callable[[Nursery], Awaitable[float]], **options: Any) -> float:
    async def run() -> float:
        async with open_nursery(spawn=method, **options) as nursery:
            return await main(nursery)

    return anyio.run(run)


def start(method: str, warm: bool, count: int) -> float:
    """Seconds from `start_actor` to its portal, with a spare at hand or none; the mean."""

    async def main(nursery: Nursery) -> float:
        spent = 0.0
        for number in range(count + warm):
            if number:
                await anyio.sleep(_READY_WITHIN)
            begun = perf_counter()
            portal = await nursery.start_actor(f"a{number}", enable_modules=MODULES)
            if number or not warm:
                spent += perf_counter() - begun
            await portal.cancel_actor()
        return spent / count

    return _run(method, main)


def first_call(method: str, count: int) -> float:
    """Seconds for the first call to a fresh actor and back; the mean."""

    async def main(nursery: Nursery) -> float:
        spent = 0.0
        for number in range(count):
            portal = await nursery.start_actor(f"a{number}", enable_modules=MODULES)
            begun = perf_counter()
            await portal.run(functions.add, a=1, b=2)
            spent += perf_counter() - begun
            await portal.cancel_actor()
        return spent / count

    return _run(method, main)


def trip(method: str, fn: Callable[..., Any], count: int) -> float:
    """Seconds for a later call there and back; the mean."""

    async def main(nursery: Nursery) -> float:
        portal = await nursery.start_actor("a", enable_modules=MODULES)
        for _ in range(10):
            await portal.run(fn, a=1, b=2)
        begun = perf_counter()
        for _ in range(count):
            await portal.run(fn, a=1, b=2)
        return (perf_counter() - begun) / count

    return _run(method, main)


def stream(method: str, size: int, count: int) -> float:
    """Items of so many bytes that come over a stream, a second."""

    async def main(nursery: Nursery) -> float:
        portal = await nursery.start_actor("a", enable_modules=MODULES)
        async with portal.open_context(functions.send, size=size, count=count) as (ctx, _), ctx.open_stream() as items:
            begun = perf_counter()
            async for _ in items:
                pass
            return count / (perf_counter() - begun)

    return _run(method, main)


def many(method: str, count: int) -> float:
    """Seconds for each of so many actors that live at once: start, one call, end."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # each takes three to five descriptors

    async def main(nursery: Nursery) -> float:
        begun = perf_counter()
        portals = [await nursery.start_actor(f"a{number}", enable_modules=MODULES) for number in range(count)]
        async with anyio.create_task_group() as tasks:
            for portal in portals:
                tasks.start_soon(partial(portal.run, functions.add, a=1, b=2))
        async with anyio.create_task_group() as tasks:
            for portal in portals:
                tasks.start_soon(portal.cancel_actor)
        return (perf_counter() - begun) / count

    try:
        return _run(method, main)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def end_idle(method: str, count: int) -> float:
    """Seconds to cancel an idle actor, until it has ended; the mean."""

    async def main(nursery: Nursery) -> float:
        spent = 0.0
        for number in range(count):
            portal = await nursery.start_actor(f"a{number}", enable_modules=MODULES)
            begun = perf_counter()
            await portal.cancel_actor()
            spent += perf_counter() - begun
        return spent / count

    return _run(method, main)


def end_spinning(method: str, count: int) -> float:
    """Seconds to end an actor whose loop is in ``while True: pass``; the mean."""
    return _end_stubborn(method, functions.spin, {}, count)


def end_stuck(method: str, count: int) -> float:
    """Seconds to be done with an actor that sleeps in C for 3 s, of which 0.5 are given: killed or abandoned."""
    return _end_stubborn(method, functions.sleep_in_c, {"seconds": 3.0}, count)


def _end_stubborn(method: str, fn: Callable[..., Any], arguments: Mapping[str, Any], count: int) -> float:
    async def main() -> float:
        spent = 0.0
        for _ in range(count):
            async with open_nursery(spawn=method, grace=0.25, hard_kill=0.5) as nursery:
                portal = await nursery.start_actor("a", enable_modules=MODULES)
                async with anyio.create_task_group() as tasks:

                    async def call(run: Any = portal.run) -> None:
                        with suppress(ChannelClosed):
                            await run(fn, **arguments)

                    tasks.start_soon(call)
                    await anyio.sleep(0.1)
                    begun = perf_counter()
                    nursery.cancel()
            spent += perf_counter() - begun
        return spent / count

    return anyio.run(main)


def notice_death(method: str, count: int) -> float:
    """Seconds from a call in which the actor's process ends to the error; the mean."""

    async def one() -> float:
        begun = perf_counter()
        try:
            async with open_nursery(spawn=method) as nursery:
                portal = await nursery.start_actor("a", enable_modules=MODULES)
                begun = perf_counter()
                await portal.run(functions.die)
        except* ActorDied:
            pass
        return perf_counter() - begun

    async def main() -> float:
        return sum([await one() for _ in range(count)]) / count

    return anyio.run(main)


def _case(
    name: str,
    work: str,
    side: Side,
    *,
    size: int,
    quick: int,
    peers: Mapping[str, Side] | None = None,
    judge: Judge | None = None,
    unit: Unit = Unit.TIME,
    in_child: bool = False,
    note: str = "",
) -> list[Case]:
    """The row beside the first peer, and one more for each other peer."""
    others = list((peers or {}).items())
    found: list[Case] = []
    for number, peer in enumerate(others or [None]):
        found.append(
            Case(
                name=f"actors-{name}" + ("" if number == 0 or peer is None else f"-beside-{peer[0].lower()}"),
                work=f"actors: {work}",
                unit=unit,
                sides={"weft": side} | (dict([peer]) if peer is not None else {}),
                size=size,
                quick=quick,
                judge=(judge if number == 0 else None) or NoTarget(),
                in_child=in_child,
                note=note,
            )
        )
    return found


_WARM = {"interpreter": Limit(5e-3, "5 ms"), "process": Limit(12e-3, "12 ms")}
_TRIP = {"interpreter": Limit(60e-6, "60 µs"), "process": Limit(100e-6, "100 µs")}
_STUBBORN = {"interpreter": Limit(0.3, "0.3 s")}
_MANY = {"thread": 1000, "process": 1000, "interpreter": 200}
_MANY_NOTE = {
    "thread": "bounded by descriptors: four each",
    "process": "bounded by memory: 15 MB each, of which most is shared with the template",
    "interpreter": "200: bounded by memory, some 10 MB each, and by the second that making one takes on one core",
}


def _cases() -> list[Case]:
    found: list[Case] = []
    for method in HERE:
        peers = STARTS if method == "process" else None
        found += _case(f"start-cold-{method}", f"start, cold: {method}", partial(start, method, False), size=1, quick=1,
                       in_child=True)  # fmt: skip
        found += _case(f"start-warm-{method}", f"start, warm: {method}", partial(start, method, True), size=5, quick=2,
                       peers=peers, judge=_WARM.get(method))  # fmt: skip
        found += _case(f"first-call-{method}", f"first call and back: {method}", partial(first_call, method), size=5,
                       quick=2, judge=Limit(1e-3, "1 ms"))  # fmt: skip
        found += _case(f"trip-{method}", f"a later call there and back: {method}", partial(trip, method, functions.add),
                       size=2000, quick=300, peers=TRIPS if method == "process" else None,
                       judge=_TRIP.get(method))  # fmt: skip
        found += _case(f"trip-async-{method}", f"a later call of an async function: {method}",
                       partial(trip, method, functions.add_async), size=2000, quick=300,
                       judge=_TRIP.get(method))  # fmt: skip
        found += _case(f"cancel-{method}", f"cancel and reap an idle one: {method}", partial(end_idle, method), size=5,
                       quick=2, peers=ENDS if method == "process" else None, judge=Limit(3e-3, "3 ms"))  # fmt: skip
    for method in (method for method in ("interpreter", "process", "thread") if method in HERE):
        beside = method == "process"
        for text, size, count in (("100 bytes", 100, 20_000), ("1 MB", 10**6, 500)):
            found += _case(f"stream-{text.replace(' ', '')}-{method}", f"items of {text} over a stream: {method}",
                           partial(stream, method, size), size=count, quick=count // 10, unit=Unit.TASKS,
                           peers={"Process, Pipe": partial(pipe_stream, size)} if beside else None)  # fmt: skip
        found += _case(f"spinning-{method}", f"end one that spins in Python: {method}", partial(end_spinning, method),
                       size=3, quick=1, judge=_STUBBORN.get(method))  # fmt: skip
        found += _case(f"stuck-{method}", f"be done with one stuck in C, of 0.5 s given: {method}",
                       partial(end_stuck, method), size=2, quick=1, in_child=True)  # fmt: skip
        found += _case(f"many-{method}", f"many that live at once, each: {method}", partial(many, method),
                       size=_MANY[method], quick=20, in_child=True, note=_MANY_NOTE[method])  # fmt: skip
    found += _case("death-process", "a child that dies in a call, until the error", partial(notice_death, "process"),
                   size=5, quick=2)  # fmt: skip
    return found


CASES = tuple(_cases())
