"""The two event loop libraries behind one face, so that a test is written once and runs under both.

A test that takes the fixture `library` (conftest.py) runs under asyncio and under trio. What it does with tasks goes
through `start`; what only one library has belongs into a test for that library.
"""

import asyncio
import concurrent.futures
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import trio

PATIENCE = 30.0
"""Seconds after which a wait of a test has failed; never waited for where all is well."""

CANCELLED = "cancelled"

type Main[T] = Callable[[], Coroutine[Any, Any, T]]


class Child:
    """A task beside the test's own."""

    def __init__(self, cancel: Callable[[], object], end: Callable[[], Awaitable[Any]]) -> None:
        self.cancel = cancel
        self.end = end
        """Waits for its end: its result, the exception that it raised, or CANCELLED."""


class Asyncio:
    """asyncio, on its own loop or on that of another make."""

    name = "asyncio"
    cancelled_error: type[BaseException] = asyncio.CancelledError
    """What awaiting a future raises that was cancelled by somebody else."""

    def __init__(self, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> None:
        self.loop_factory = loop_factory

    def run[T](self, main: Main[T], seconds: float = PATIENCE) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(seconds):
                return await main()

        with asyncio.Runner(loop_factory=self.loop_factory) as runner:
            return runner.run(bounded())

    async def turn(self) -> None:
        """Lets all that can go on go on, once."""
        await asyncio.sleep(0)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def settle(self) -> None:
        """Lets the other tasks run until they wait, for what these tests have them do before."""
        for _ in range(5):
            await asyncio.sleep(0)

    @asynccontextmanager
    async def children(self) -> AsyncIterator[Callable[[Main[Any]], Child]]:
        """Gives what starts a child; at the end, those that are left are cancelled and waited for."""
        tasks: set[asyncio.Task[Any]] = set()

        def start(main: Main[Any]) -> Child:
            task = asyncio.create_task(main())
            tasks.add(task)

            async def end() -> Any:
                await asyncio.wait([task])
                tasks.discard(task)
                return CANCELLED if task.cancelled() else task.exception() or task.result()

            return Child(task.cancel, end)

        try:
            yield start
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def timed_out(self, seconds: float, awaitable: Awaitable[Any]) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await awaitable
        except TimeoutError:
            return True
        return False


class Trio:
    """trio."""

    name = "trio"
    cancelled_error: type[BaseException] = concurrent.futures.CancelledError

    def run[T](self, main: Main[T], seconds: float = PATIENCE) -> T:
        async def bounded() -> T:
            with trio.fail_after(seconds):
                return await main()

        return trio.run(bounded)

    async def turn(self) -> None:
        await trio.lowlevel.checkpoint()

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def settle(self) -> None:
        for _ in range(5):
            await trio.lowlevel.checkpoint()

    @asynccontextmanager
    async def children(self) -> AsyncIterator[Callable[[Main[Any]], Child]]:
        async with trio.open_nursery() as nursery:

            def start(main: Main[Any]) -> Child:
                scope, ended = trio.CancelScope(), trio.Event()
                outcome: list[Any] = []

                async def child() -> None:
                    try:
                        with scope:
                            try:
                                outcome.append(await main())
                            except Exception as error:
                                outcome.append(error)
                        if scope.cancelled_caught:
                            outcome.append(CANCELLED)
                    finally:
                        ended.set()

                nursery.start_soon(child)

                async def end() -> Any:
                    await ended.wait()
                    return outcome[0]

                return Child(scope.cancel, end)

            try:
                yield start
            finally:
                nursery.cancel_scope.cancel()

    async def timed_out(self, seconds: float, awaitable: Awaitable[Any]) -> bool:
        with trio.move_on_after(seconds) as scope:
            await awaitable
        return scope.cancelled_caught


type Library = Asyncio | Trio
