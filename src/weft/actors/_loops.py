"""What actors need of an event loop that anyio does not give: to be told from other threads, and to read fast.

`here` is the loop of the running task. `Loop.post` may be called by any thread, all else by the loop's own.
Pinned by tests/actors/test_channel.py, under both libraries.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import anyio

from weft.aio._library import running_library
from weft.executors._worker_threads import start_thread

__all__ = ["Loop", "daemons_allowed", "here", "in_thread"]


class Loop:
    """The event loop of one thread.

    Attributes:
        library: ``asyncio`` or ``trio``.
        thread: The identifier of its thread.
        asyncio: asyncio's loop; None under another library.
    """

    def __init__(self) -> None:
        self.library = running_library()
        self.thread = threading.get_ident()
        self._context = contextvars.copy_context()  # by which anyio knows its library where no task runs
        self.asyncio: Any = None
        self._trio: Any = None
        if self.library == "asyncio":
            import asyncio

            self.asyncio = asyncio.get_running_loop()
        else:
            import trio

            self._trio = trio.lowlevel.current_trio_token()

    def post(self, fn: Callable[..., object], *args: Any) -> None:
        """Has the loop call a function soon. Any thread; nothing happens if the loop has ended."""
        with suppress(RuntimeError):  # it is closed
            if self.asyncio is not None:
                self.asyncio.call_soon_threadsafe(fn, *args, context=self._context)
            else:
                self._trio.run_sync_soon(fn, *args)

    def watch(self, descriptor: int, ready: Callable[[], object]) -> Callable[[], None] | None:
        """Calls a function whenever a descriptor can be read, where the loop can do that without a task: asyncio.

        Returns:
            What ends it; None where there is no such way, and a task has to wait for the descriptor.
        """
        if self.asyncio is None:
            return None
        loop = self.asyncio
        try:
            loop.add_reader(descriptor, ready)
        except NotImplementedError:  # Windows' proactor
            return None
        return lambda: loop.remove_reader(descriptor)


def here() -> Loop:
    """The loop that runs the caller."""
    return Loop()


async def in_thread[T](fn: Callable[[], T], name: str, undo: Callable[[T], object] | None = None) -> T:
    """Awaits something that blocks, in a thread of its own. Cancelling does not wait for it.

    Args:
        fn: What blocks.
        name: What the thread is called.
        undo: Is called there with what came of it, if the caller was cancelled meanwhile.
    """
    loop, done, lock = here(), anyio.Event(), threading.Lock()
    outcome: list[tuple[bool, object]] = []
    left = False

    def run() -> None:
        try:
            result: tuple[bool, object] = True, fn()
        except BaseException as error:
            result = False, error
        with lock:
            outcome.append(result)
            unwanted = left
        if not unwanted:
            loop.post(done.set)
        elif result[0] and undo is not None:
            undo(cast("T", result[1]))

    start_thread(threading.Thread(target=run, name=name, daemon=daemons_allowed()))
    try:
        await done.wait()
    except BaseException:
        with lock:
            left = True
            come = bool(outcome)
        if come and outcome[0][0] and undo is not None:
            undo(cast("T", outcome[0][1]))
        raise
    good, value = outcome[0]
    if good:
        return cast("T", value)
    assert isinstance(value, BaseException)
    raise value


def daemons_allowed() -> bool:
    """Whether Python may end without a thread of ours: only the main interpreter has such."""
    from weft import _core

    return _core.in_main_interpreter()
