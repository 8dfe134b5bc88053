"""Notices: they come once, to all who wait; who waits can be cancelled; under asyncio they are no turn of the loop late."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from tests.actors.conftest import Run
from weft.actors._loops import here
from weft.actors._notice import Notice


@pytest.mark.parametrize("waiters", [1, 2, 5])
def test_all_who_wait_go_on_and_later_ones_do_not_wait(run: Run, waiters: int) -> None:
    async def main() -> None:
        notice = Notice(here())
        came: list[int] = []

        async def wait(number: int) -> None:
            await notice.wait()
            came.append(number)

        async with anyio.create_task_group() as tasks:
            for number in range(waiters):
                tasks.start_soon(wait, number)
            await anyio.wait_all_tasks_blocked()
            assert not notice.is_set()
            assert came == []
            notice.set()
            notice.set()
        assert sorted(came) == list(range(waiters))
        await notice.wait()

    run(main)


def test_who_waits_can_be_cancelled_and_wait_again(run: Run) -> None:
    async def main() -> None:
        notice = Notice(here())
        with anyio.move_on_after(0.01) as scope:
            await notice.wait()
        assert scope.cancelled_caught
        with anyio.CancelScope() as scope:
            scope.cancel()
            await notice.wait()
        assert scope.cancelled_caught
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(notice.wait)
            await anyio.wait_all_tasks_blocked()
            notice.set()
        assert notice.is_set()

    run(main)


def test_cancelled_and_set_at_once_is_one_of_the_two(run: Run) -> None:
    async def main() -> None:
        for first in ("set", "cancel"):
            notice = Notice(here())
            scope = anyio.CancelScope()

            async def wait(notice: Notice = notice, scope: anyio.CancelScope = scope) -> None:
                with scope:
                    await notice.wait()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                if first == "set":
                    notice.set()
                    scope.cancel()
                else:
                    scope.cancel()
                    notice.set()
            assert notice.is_set()

    run(main)


def test_under_asyncio_a_callback_of_the_loop_runs_who_waits_at_once() -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        notice = Notice(here())
        order: list[str] = []

        async def wait() -> None:
            await notice.wait()
            order.append("went on")

        def callback() -> None:
            loop.call_soon(order.append, "next turn")
            notice.set()
            order.append("set")

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        loop.call_soon(callback)
        await task
        await asyncio.sleep(0)
        return order

    assert asyncio.run(main()) == ["went on", "set", "next turn"]


def test_a_native_cancel_of_asyncio_and_its_timeout() -> None:
    async def main() -> None:
        notice = Notice(here())
        task = asyncio.create_task(notice.wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await notice.wait()
        asyncio.get_running_loop().call_later(0.01, notice.set)
        await asyncio.wait_for(notice.wait(), 10)

    asyncio.run(main())
