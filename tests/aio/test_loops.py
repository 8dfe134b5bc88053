"""How loops are told of completions: in batches; and loops that are closed, many, or of another make."""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio

from tests.aio.conftest import Held
from tests.aio.libraries import PATIENCE, Asyncio, Library
from tests.executors.child import wait_until
from weft.executors import ThreadPoolExecutor


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts how often it is told from another thread that there is something to do."""

    def __init__(self) -> None:
        super().__init__()
        self.told = 0

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:
        self.told += 1
        return super().call_soon_threadsafe(callback, *args, context=context)


def test_one_wake_up_for_all_that_are_done_in_a_turn(one: Held) -> None:
    loop = CountingLoop()

    async def main() -> None:
        gate, held = one.hold()
        futures = [one.submit(pow, n, 2) for n in range(2_000)]
        gathered = asyncio.gather(*futures)
        await asyncio.sleep(0)  # all wait now
        gate.set()
        one.submit(int).result(PATIENCE)  # which blocks the loop until all of them have been posted
        before = loop.told
        assert before == 1
        assert await gathered == [n**2 for n in range(2_000)]
        assert loop.told == before
        assert await held == "held"

    Asyncio(lambda: loop).run(main)


def test_completions_between_turns_wake_it_again(one: Held) -> None:
    loop = CountingLoop()

    async def main() -> None:
        for round_ in range(3):
            gate, held = one.hold()
            threading.Timer(0.005, gate.set).start()
            assert await held == "held"
            assert loop.told == round_ + 1

    Asyncio(lambda: loop).run(main)


def test_one_wake_up_under_trio(one: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    async def main() -> None:
        gate, _ = one.hold()
        futures = [one.submit(pow, n, 2) for n in range(500)]
        results: list[int] = []

        async def wait(future: Any) -> None:
            results.append(await future)

        def post(token: trio.lowlevel.TrioToken, *args: Any) -> None:
            told.append(args)
            original(token, *args)

        original = trio.lowlevel.TrioToken.run_sync_soon
        monkeypatch.setattr(trio.lowlevel.TrioToken, "run_sync_soon", post)
        async with trio.open_nursery() as nursery:
            for future in futures:
                nursery.start_soon(wait, future)
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            gate.set()
            one.submit(int).result(PATIENCE)
        assert sorted(results) == [n**2 for n in range(500)]
        monkeypatch.undo()

    trio.run(main)
    assert len(told) == 1


# ---- loops that are closed early ----------------------------------------------------------------------------------


def pending_at_the_end(one: Held, caplog: pytest.LogCaptureFixture, count: int) -> Any:
    """Has `count` tasks of a loop await work that is done when the loop is closed; the gate of that work."""
    loop = asyncio.new_event_loop()
    gate, held = one.hold()
    futures = [held, *(one.submit(pow, 2, 3) for _ in range(count - 1))]

    async def wait(future: Any) -> None:
        await future

    async def begin() -> list[Any]:
        tasks = [asyncio.create_task(wait(future)) for future in futures]
        await asyncio.sleep(0)
        return tasks

    tasks = loop.run_until_complete(begin())
    loop.close()
    for task in tasks:
        task._log_destroy_pending = False  # asyncio's own complaint, right as it is
    return gate, tasks, futures


@pytest.mark.parametrize("count", [1, 50])
def test_a_loop_that_is_closed_early_is_a_warning(one: Held, caplog: pytest.LogCaptureFixture, count: int) -> None:
    gate, tasks, futures = pending_at_the_end(one, caplog, count)
    with caplog.at_level(logging.DEBUG):
        gate.set()
        for future in futures:
            future.result(PATIENCE)
        assert one.submit(pow, 2, 3).result(PATIENCE) == 8
        wait_until(lambda: caplog.records, "the warning")
    (record,) = caplog.records  # one for all: nothing on 'concurrent.futures', where errors of callbacks go
    assert (record.name, record.levelname) == ("weft.aio", "WARNING")
    assert "the event loop that awaited it has ended (Event loop is closed)" in record.getMessage()
    del tasks


def test_a_run_of_trio_that_has_ended(one: Held, caplog: pytest.LogCaptureFixture) -> None:
    """Its tasks are cancelled before it ends, so that nobody has to be told anything."""

    async def main() -> Any:
        gate, future = one.hold()
        with trio.move_on_after(0):
            await future
        return gate, future

    gate, future = trio.run(main)
    with caplog.at_level(logging.DEBUG):
        gate.set()
        with pytest.raises(BaseException):  # interrupted, at the latest when its wait is over
            future.result(PATIENCE)
            raise KeyError
        assert one.submit(pow, 2, 3).result(PATIENCE) == 8
    assert caplog.records == []


def test_asyncio_run_leaves_nobody_to_be_told(one: Held, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> Any:
        gate, _ = one.hold()
        future = one.submit(pow, 2, 3)

        async def wait() -> None:
            await future

        main.task = asyncio.create_task(wait())  # type: ignore[attr-defined]  # lest it be collected
        await asyncio.sleep(0)
        return gate, future

    with caplog.at_level(logging.DEBUG, "weft"):
        gate, future = asyncio.run(main())
        gate.set()
        assert one.submit(pow, 2, 3).result(PATIENCE) == 8
    assert future.cancelled()
    assert caplog.records == []


def test_a_loop_that_is_stopped_and_goes_on(one: Held) -> None:
    loop = asyncio.new_event_loop()
    try:
        gate, held = one.hold()
        results: list[Any] = []

        async def wait() -> None:
            results.append(await held)

        async def begin() -> Any:
            task = asyncio.create_task(wait())
            await asyncio.sleep(0)
            return task

        task = loop.run_until_complete(begin())
        gate.set()
        assert held.result(PATIENCE) == "held"
        assert results == []
        loop.run_until_complete(task)
        assert results == ["held"]
    finally:
        loop.close()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=["SystemExit", "KeyboardInterrupt"])
def test_a_step_that_ends_the_loop_loses_no_wake_up(one: Held, error: BaseException) -> None:
    """SystemExit and KeyboardInterrupt leave run_forever; who was woken in the same batch is woken when it runs again."""
    loop = asyncio.new_event_loop()
    try:
        gate, held = one.hold()
        results: list[Any] = []

        async def wait(number: int) -> None:
            await held
            if number == 3:
                raise error
            results.append(number)

        async def begin() -> list[Any]:
            tasks = [asyncio.create_task(wait(number)) for number in range(10)]
            await asyncio.sleep(0)
            return tasks

        tasks = loop.run_until_complete(begin())
        gate.set()
        with pytest.raises(type(error)):
            loop.run_until_complete(asyncio.wait(tasks))
        assert results == [0, 1, 2]
        loop.run_until_complete(asyncio.wait(tasks))
        assert results == [0, 1, 2, 4, 5, 6, 7, 8, 9]
        assert tasks[3].exception() is error
    finally:
        loop.close()


# ---- many, and of another make ---------------------------------------------------------------------------------------


def test_many_loops_in_many_threads(library: Library, two: Held) -> None:
    results: list[int] = []

    def thread() -> None:
        async def main() -> int:
            total = 0
            async with library.children() as start:

                async def wait(number: int) -> int:
                    return await two.submit(int, number)

                for _ in range(3):
                    children = [start(lambda number=number: wait(number)) for number in range(100)]
                    total += sum([await child.end() for child in children])
            return total

        results.append(library.run(main))

    threads = [threading.Thread(target=thread) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(PATIENCE)
    assert results == [3 * sum(range(100))] * 6


def test_many_loops_one_after_the_other(library: Library, two: Held) -> None:
    for number in range(50):
        assert library.run(lambda number=number: awaited(two, number)) == number


async def awaited(held: Held, number: int) -> int:
    return await held.submit(int, number)


def test_a_loop_is_gone_when_its_user_lets_go(two: Held) -> None:
    """Nothing of weft's keeps a loop that has ended: it holds its inbox, not the other way round."""
    import gc
    import weakref

    loop = asyncio.new_event_loop()
    loop.run_until_complete(awaited(two, 3))
    loop.close()
    reference = weakref.ref(loop)
    del loop

    def is_gone() -> bool:
        gc.collect()
        return reference() is None

    wait_until(is_gone, "nobody has the loop")  # the worker that has just told it may still hold it


class PrivateLoop(CountingLoop):
    """A loop that refuses attributes of others, as one made in C may."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_weft_inbox":
            raise AttributeError(name)
        super().__setattr__(name, value)


def test_a_loop_that_takes_no_attributes(one: Held) -> None:
    async def main() -> None:
        gate, held = one.hold()
        others = [one.submit(pow, n, 2) for n in range(20)]
        gathered = asyncio.gather(held, *others)
        await asyncio.sleep(0)
        gate.set()
        assert await gathered == ["held", *(n**2 for n in range(20))]

    Asyncio(PrivateLoop).run(main)


def test_as_default_executor(two: Held) -> None:
    with ThreadPoolExecutor(2, thread_name_prefix="loop") as pool:

        async def main() -> str:
            asyncio.get_running_loop().set_default_executor(pool)
            assert await asyncio.to_thread(pow, 2, 10) == 1024
            named: Callable[[], threading.Thread] = threading.current_thread
            return (await asyncio.get_running_loop().run_in_executor(None, named)).name

        assert Asyncio().run(main).startswith("loop_")
