"""The two event loop libraries: which of them runs here, and what weft.aio needs of either beyond awaiting.

Looks into `sys.modules` before it imports anything: a library that is not imported does not run. Where both are at
work in one thread (trio as a guest of asyncio, or the other way round), a task of asyncio's goes first, since
`asyncio.current_task()` knows of none while trio's code runs.
All functions here are for the loop's own thread. Pinned by the tests of tests/aio/, which run under both.
"""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal

type Library = Literal["asyncio", "trio"]


def running_library() -> Library:
    """The library whose event loop runs the caller.

    Raises:
        RuntimeError: no event loop runs on this thread.
    """
    asyncio: Any = sys.modules.get("asyncio")
    loop = None if asyncio is None else asyncio._get_running_loop()
    if asyncio is not None and loop is not None and (not in_trio() or asyncio.current_task() is not None):
        return "asyncio"
    if in_trio():
        return "trio"
    raise RuntimeError("no event loop runs on this thread; call this from a coroutine under asyncio.run or trio.run")


def in_trio() -> bool:
    """Whether the caller is a task of a trio run."""
    trio: Any = sys.modules.get("trio")
    lowlevel: Any = getattr(trio, "lowlevel", None)  # another thread may be importing it right now
    if lowlevel is None:
        return False
    try:
        lowlevel.current_task()
    except RuntimeError:
        return False
    return True


async def over_within(awaitable: Awaitable[object], seconds: float | None) -> bool:
    """Awaits something, which is cancelled when the time is up.

    Args:
        awaitable: What to await; its result is dropped.
        seconds: How long it may take; None for as long as it takes.

    Returns:
        Whether it was over in time.
    """
    if seconds is None:
        await awaitable
        return True
    if running_library() == "trio":
        import trio

        with trio.move_on_after(max(0.0, seconds)) as scope:
            await awaitable
        return not scope.cancelled_caught
    import asyncio

    timeout = asyncio.timeout(seconds)
    try:
        async with timeout:
            await awaitable
    except TimeoutError:
        if not timeout.expired():
            raise
        return False
    return True


async def shielded(awaitable: Awaitable[object]) -> None:
    """Awaits something although the task is cancelled already: trio would let it await nothing more."""
    if running_library() != "trio":
        await awaitable
        return
    import trio

    with trio.CancelScope(shield=True):
        await awaitable


def start_task(run: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], Coroutine[Any, Any, None]]:
    """Starts a task of the library's that runs beside the caller.

    Args:
        run: What it runs. It must let nothing out but its cancellation.

    Returns:
        A function that cancels the task and waits for its end.
    """
    if running_library() == "trio":
        import trio

        scope, ended = trio.CancelScope(), trio.Event()

        async def bounded() -> None:
            try:
                with scope:
                    await run()
            finally:
                ended.set()

        async def stop_in_trio() -> None:
            scope.cancel()
            with trio.CancelScope(shield=True):  # our own task may be cancelled
                await ended.wait()

        trio.lowlevel.spawn_system_task(bounded, context=contextvars.copy_context())
        return stop_in_trio
    import asyncio

    task = asyncio.get_running_loop().create_task(run())

    async def stop_in_asyncio() -> None:
        task.cancel()
        await asyncio.wait([task])

    return stop_in_asyncio
