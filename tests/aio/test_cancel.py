"""Cancelling the task that awaits, in every state of the work; and who else awaits it. Under asyncio and under trio."""

import asyncio
import threading
from typing import Any

import pytest

from tests.aio.conftest import Held
from tests.aio.libraries import CANCELLED, PATIENCE, Asyncio, Library
from tests.executors.child import wait_until
from weft import aio
from weft.errors import Interrupted
from weft.executors import ThreadPoolExecutor


async def cancel_one(library: Library, future: Any) -> Any:
    """Awaits a future in a task that is cancelled; what became of the task."""

    async def wait() -> Any:
        return await future

    async with library.children() as start:
        child = start(wait)
        await library.settle()
        child.cancel()
        return await child.end()


def test_queued_work_never_runs(library: Library, one: Held) -> None:
    ran: list[int] = []

    async def main() -> None:
        gate, held = one.hold()
        future = one.submit(ran.append, 1)
        assert await cancel_one(library, future) == CANCELLED
        assert future.cancelled()
        gate.set()
        assert await held == "held"

    library.run(main)
    one.close()
    assert ran == []


def test_running_work_is_interrupted(library: Library, one: Held) -> None:
    async def main() -> None:
        future = one.spin()
        assert await cancel_one(library, future) == CANCELLED
        assert isinstance(future.exception(PATIENCE), Interrupted)
        assert await one.submit(pow, 2, 3) == 8  # the worker is there for the next task

    library.run(main)


def test_work_that_waits_for_its_retry_is_cancelled(library: Library) -> None:
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        raise ValueError

    async def main() -> None:
        future = pool.options(retries=5, backoff=60).submit(fail)
        wait_until(lambda: tries and not future.running(), "waits for its retry")
        assert await cancel_one(library, future) == CANCELLED
        assert future.cancelled()

    with ThreadPoolExecutor(1) as pool:
        library.run(main)
        pool.shutdown(cancel_futures=True)  # which does not wait for the time of the retry
    assert len(tries) == 1


def test_work_that_is_done_and_not_yet_delivered(library: Library, one: Held) -> None:
    """The loop has not had a turn since: the cancellation goes first, as it does with asyncio's own futures."""

    async def main() -> None:
        gate, future = one.hold()

        async def wait() -> Any:
            return await future

        async with library.children() as start:
            child = start(wait)
            await library.settle()
            gate.set()
            assert future.result(PATIENCE) == "held"
            child.cancel()
            assert await child.end() == CANCELLED

    library.run(main)


def test_a_task_that_is_woken_is_not_cancelled_by_it(library: Library, one: Held) -> None:
    async def main() -> None:
        gate, future = one.hold()

        async def wait() -> Any:
            got = await future
            return got, await future

        async with library.children() as start:
            child = start(wait)
            await library.settle()
            gate.set()
            assert await child.end() == ("held", "held")
            child.cancel()
            assert await child.end() == ("held", "held")

    library.run(main)


def test_only_the_last_to_await_stops_the_work(library: Library, one: Held) -> None:
    async def main() -> None:
        gate, future = one.hold()
        queued = one.submit(pow, 2, 10)

        async def wait() -> Any:
            return await queued

        async with library.children() as start:
            first, second, third = start(wait), start(wait), start(wait)
            await library.settle()
            first.cancel()
            assert await first.end() == CANCELLED
            second.cancel()
            assert await second.end() == CANCELLED
            assert not queued.cancelled()
            gate.set()
            assert await third.end() == 1024
        assert await future == "held"

    library.run(main)


def test_all_of_several_that_await_are_cancelled(library: Library, one: Held) -> None:
    async def main() -> None:
        future = one.spin()

        async def wait() -> Any:
            return await future

        async with library.children() as start:
            children = [start(wait) for _ in range(3)]
            await library.settle()
            for child in children:
                child.cancel()
            assert [await child.end() for child in children] == [CANCELLED] * 3
        assert isinstance(future.exception(PATIENCE), Interrupted)

    library.run(main)


def test_an_await_on_another_loop_keeps_the_work(library: Library, one: Held) -> None:
    gate, future = one.hold()
    queued = one.submit(pow, 2, 10)
    results: list[Any] = []
    waiting = threading.Event()

    def thread() -> None:
        async def main() -> Any:
            async def wait() -> Any:
                return await queued

            async with library.children() as start:
                child = start(wait)
                await library.settle()
                waiting.set()
                return await child.end()

        results.append(library.run(main))

    other = threading.Thread(target=thread)
    other.start()
    assert waiting.wait(PATIENCE)

    async def main() -> None:
        assert await cancel_one(library, queued) == CANCELLED

    library.run(main)
    gate.set()
    other.join(PATIENCE)
    assert results == [1024]
    assert future.result(PATIENCE) == "held"


def test_a_callback_does_not_keep_the_work(library: Library, one: Held) -> None:
    """It observes, as one that logs does; awaiting is what asks for a result."""
    called: list[Any] = []

    async def main() -> None:
        one.hold()
        future = one.submit(print)
        future.add_done_callback(called.append)
        assert await cancel_one(library, future) == CANCELLED
        assert called == [future]
        assert future.cancelled()

    library.run(main)


def test_a_timeout(library: Library, one: Held) -> None:
    async def main() -> None:
        future = one.spin()
        assert await library.timed_out(0.01, future)
        assert isinstance(future.exception(PATIENCE), Interrupted)

    library.run(main)


def test_awaited_again_after_a_timeout_of_another(library: Library, one: Held) -> None:
    """Those who gave up count no more, and what is left of them is not in the way."""

    async def main() -> None:
        gate, future = one.hold()

        async def wait() -> Any:
            return await future

        async with library.children() as start:
            child = start(wait)
            await library.settle()
            for _ in range(50):
                assert await library.timed_out(0, wrapped(future, library))
            gate.set()
            assert await child.end() == "held"

    library.run(main)


async def wrapped(future: Any, library: Library) -> Any:
    return await future


def test_before_it_awaits(library: Library, one: Held) -> None:
    """Cancelled before its first step, a task has not come to await anything: the work goes on."""

    async def main() -> None:
        gate, _ = one.hold()
        queued = one.submit(pow, 2, 10)

        async def wait() -> Any:
            await library.turn()
            return await queued

        async with library.children() as start:
            child = start(wait)
            child.cancel()
            assert await child.end() == CANCELLED
        assert not queued.cancelled()
        gate.set()
        assert await queued == 1024

    library.run(main)


def test_shield_keeps_the_work(one: Held) -> None:
    async def main() -> None:
        gate, future = one.hold()

        async def wait() -> Any:
            return await asyncio.shield(future)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not future.done()
        gate.set()
        assert await future == "held"

    Asyncio().run(main)


def test_a_failing_sibling_in_asyncios_group_stops_the_work(one: Held) -> None:
    async def main() -> None:
        future = one.spin()

        async def wait() -> Any:
            return await future

        async def fail() -> None:
            raise ValueError

        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(wait())
                group.create_task(fail())
        assert isinstance(future.exception(PATIENCE), Interrupted)

    Asyncio().run(main)


def test_the_end_of_the_run_cancels_what_its_tasks_await(one: Held) -> None:
    async def main() -> Any:
        future = one.spin()

        async def wait() -> None:
            await future

        main.task = asyncio.create_task(wait())  # type: ignore[attr-defined]  # lest it be collected
        await asyncio.sleep(0)
        return future

    future = Asyncio().run(main)
    assert isinstance(future.exception(PATIENCE), Interrupted)


def test_cancelling_many_in_one_turn(library: Library, one: Held) -> None:
    async def main() -> None:
        one.hold()
        futures = [one.submit(print) for _ in range(300)]

        async def wait(future: Any) -> Any:
            return await future

        async with library.children() as start:
            children = [start(lambda future=future: wait(future)) for future in futures]
            await library.settle()
            for child in children:
                child.cancel()
            assert [await child.end() for child in children] == [CANCELLED] * 300
        assert all(future.cancelled() for future in futures)

    library.run(main)


def test_await_all_stops_all(library: Library, one: Held) -> None:
    async def main() -> None:
        running, queued = one.spin(), one.submit(print)
        assert await cancel_one(library, aio.await_all(running, queued)) == CANCELLED
        assert queued.cancelled()
        assert isinstance(running.exception(PATIENCE), Interrupted)

    library.run(main)
