"""`async with weft.Run()`: it ends with everything stopped and does not block the loop. Under asyncio and under trio."""

import threading
from typing import Any

import pytest

import weft
from tests.aio.libraries import CANCELLED, PATIENCE, Library
from tests.lateness import Late, crowding
from weft.errors import Interrupted


def test_it_waits_for_its_tasks(library: Library) -> None:
    async def main() -> None:
        gate = threading.Event()
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await library.turn()
                ticks += 1
                if ticks == 50:
                    gate.set()  # which nobody could do if leaving blocked the loop

        async with library.children() as start:
            start(tick)
            async with weft.Run(max_workers=2) as executor:
                future = executor.submit(gate.wait, PATIENCE)
            assert future.result(0) is True

    library.run(main)


def test_a_block_that_raises_cancels_what_waits(library: Library) -> None:
    async def main() -> Any:
        futures: list[Any] = []
        with pytest.raises(KeyError):
            async with weft.Run(max_workers=1) as executor:
                gate = threading.Event()
                futures.append(executor.submit(gate.wait, PATIENCE))
                futures.append(executor.submit(print))
                futures[1].add_done_callback(lambda _: gate.set())
                raise KeyError
        return futures

    _, queued = library.run(main)
    assert queued.cancelled()


@pytest.mark.parametrize("where", ["in the block", "leaving it"])
def test_a_cancelled_block_stops_its_tasks(library: Library, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft._run.GRACE_SECONDS", 0.05 * crowding())
    begun, stop = threading.Event(), threading.Event()
    futures: list[Any] = []

    def spin() -> None:
        begun.set()
        while not stop.is_set():
            pass

    async def main() -> None:
        async def use() -> None:
            async with weft.Run(max_workers=1) as executor:
                futures.append(executor.submit(spin))
                if where == "in the block":
                    await library.sleep(PATIENCE)

        async with library.children() as start:
            child = start(use)
            while not begun.is_set():
                await library.turn()
            await library.settle()
            child.cancel()
            assert await child.end() == CANCELLED
        if not futures[0].done():  # at the end of the scope, not some time after
            raise Late("the interrupt was not heard within the grace that comes after it")
        assert isinstance(futures[0].exception(0), Interrupted)

    try:
        library.run(main)
    finally:
        stop.set()
