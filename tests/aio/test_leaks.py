"""Awaited futures, in every way that an await can end: memory stays flat. 100,000 of each under WEFT_CHAOS=full."""

import asyncio
import gc
import sys
import weakref
from typing import Any

import pytest

from tests.aio.conftest import Held
from tests.aio.libraries import PATIENCE, Library
from tests.executors.child import resident_bytes, times
from weft import aio

pytestmark = [
    pytest.mark.deadline(180),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

ROUNDS = times(100, 8)
EACH = 1_000


def kept() -> int:
    """How many blocks of memory are in use; where threads are free, which give them back late, how many objects there are."""
    return sys.getallocatedblocks() if sys._is_gil_enabled() else len(gc.get_objects())


async def fail_to_wait(future: Any) -> None:
    try:
        await future
    except ZeroDivisionError:
        return


async def results(library: Library, held: Held) -> None:
    async with library.children() as start:

        async def wait(future: Any) -> int:
            return await future

        futures = [held.submit(int, 5) for _ in range(EACH)]
        children = [start(lambda future=future: wait(future)) for future in futures]
        for child in children:
            assert await child.end() == 5


async def failures(library: Library, held: Held) -> None:
    futures = [held.submit(divmod, 1, 0) for _ in range(EACH)]
    for future in futures:
        await fail_to_wait(future)


async def cancellations(library: Library, held: Held) -> None:
    gates = [held.hold()[0] for _ in range(2)]
    held.gates.clear()
    futures = [held.submit(int) for _ in range(EACH)]
    async with library.children() as start:

        async def wait(future: Any) -> int:
            return await future

        children = [start(lambda future=future: wait(future)) for future in futures]
        await library.settle()
        for child in children:
            child.cancel()
        for child in children:
            await child.end()
    assert all(future.cancelled() for future in futures)
    for gate in gates:
        gate.set()


async def all_together(library: Library, held: Held) -> None:
    await aio.await_all([held.submit(int) for _ in range(EACH)])


async def mapped(library: Library, held: Held) -> None:
    async for _ in aio.map(int, range(EACH), executor=held.pool):
        pass


@pytest.mark.parametrize("way", [results, failures, cancellations, all_together, mapped], ids=lambda way: way.__name__)
def test_memory_is_flat(library: Library, two: Held, way: Any) -> None:
    sizes: list[int] = []
    counts: list[int] = []

    async def main() -> None:
        for round_ in range(ROUNDS):
            await way(library, two)
            if round_ in (ROUNDS // 2, ROUNDS - 1):
                gc.collect()
                sizes.append(resident_bytes())
                counts.append(kept())

    library.run(main, seconds=150)
    # One object kept for every other future would show.
    assert counts[1] - counts[0] < ROUNDS // 2 * EACH // 2
    grown = sizes[1] - sizes[0]
    assert grown < max(4.0, 8 * ROUNDS / 100) * 2**20, f"{grown / 2**20:.1f} MiB more"


class Thing:
    """Something that can be watched."""


@pytest.mark.parametrize("end", ["result", "cancelled", "timed out"])
def test_nothing_is_kept_of_an_await_that_is_over(library: Library, one: Held, end: str) -> None:
    async def main() -> list[weakref.ref[Any]]:
        gate, held = one.hold()
        thing = Thing()
        references = [weakref.ref(thing)]

        async def wait(thing: Any) -> Any:
            return await held

        async with library.children() as start:
            other = start(lambda: wait(None))  # keeps the work alive
            child = start(lambda thing=thing: wait(thing))
            del thing
            await library.settle()
            if end == "cancelled":
                child.cancel()
            elif end == "timed out":
                await library.timed_out(0, child.end())
                child.cancel()
            else:
                gate.set()
            await child.end()
            del child
            await library.settle()
            gc.collect()
            # What is left of the await in the future's list holds nothing of the task.
            gone = references[0]() is None
            gate.set()
            await other.end()
        assert gone
        return references

    references = library.run(main)
    assert one.submit(pow, 2, 3).result(PATIENCE) == 8
    gc.collect()
    assert references[0]() is None


def test_a_pending_await_on_a_loop_that_is_gone_is_collected(one: Held) -> None:
    gate, held = one.hold()

    async def wait(thing: Any) -> None:
        await held

    async def begin(thing: Any) -> Any:
        task = asyncio.create_task(wait(thing))
        await asyncio.sleep(0)
        return task

    thing = Thing()
    reference = weakref.ref(thing)
    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(begin(thing))
    loop.close()
    task._log_destroy_pending = False
    del thing, task, loop
    gate.set()
    held.result(PATIENCE)
    assert one.submit(pow, 2, 3).result(PATIENCE) == 8
    gc.collect()
    assert reference() is None
