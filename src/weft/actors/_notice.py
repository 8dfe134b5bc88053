"""`Notice`: what a task waits for that comes over a channel. Cheaper than an `anyio.Event`.

Under asyncio the task that waits goes on within `set` itself, if that is called where no task runs (by what reads a
channel): there is no further turn of the loop between an answer and whoever waits for it. Elsewhere it is an event's.

The loop's thread. Cancelling who waits is asyncio's, and anyio's scopes work as with any future.
Pinned by tests/actors/test_notice.py.
"""

from __future__ import annotations

from asyncio import CancelledError, current_task
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any

import anyio

from weft.actors._loops import Loop

__all__ = ["Notice"]


class _Wait:
    """What one task of asyncio awaits: it has the part of a future that tasks use."""

    __slots__ = ("_asyncio_future_blocking", "_callback", "_cancelled", "_context", "_loop", "_why")

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._asyncio_future_blocking = False
        self._callback: Callable[[Any], object] | None = None
        self._context: Context | None = None
        self._cancelled = False
        self._why: tuple[object, ...] = ()

    def __await__(self) -> Generator[Any]:
        self._asyncio_future_blocking = True
        yield self

    def get_loop(self) -> Any:
        return self._loop

    def add_done_callback(self, fn: Callable[[Any], object], *, context: Context | None = None) -> None:
        self._callback = fn
        self._context = context

    def result(self) -> None:
        if self._cancelled:
            raise CancelledError(*self._why)  # by which anyio knows its own

    def done(self) -> bool:
        return self._callback is None

    def cancelled(self) -> bool:
        return self._cancelled

    def cancel(self, msg: object = None) -> bool:
        """The task's own cancel: it goes on in a turn of its own, as with any future."""
        if self._callback is None:
            return False
        if not self._cancelled:
            self._cancelled = True
            self._why = () if msg is None else (msg,)
            self._loop.call_soon(self._go_on, context=self._context)
        return True

    def wake(self) -> None:
        if self._callback is None or self._cancelled:
            return
        if current_task(self._loop) is None and self._context is not None:
            self._context.run(self._go_on)
        else:
            self._loop.call_soon(self._go_on, context=self._context)

    def _go_on(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback(self)


class Notice:
    """Something that comes once.

    Args:
        loop: The loop whose tasks wait for it.
    """

    __slots__ = ("_event", "_is_set", "_loop", "_wait")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._is_set = False
        self._wait: _Wait | None = None
        self._event: anyio.Event | None = None

    def is_set(self) -> bool:
        """Whether it has come."""
        return self._is_set

    def set(self) -> None:
        """It has come."""
        if self._is_set:
            return
        self._is_set = True
        if self._event is not None:
            self._event.set()
        if self._wait is not None:
            self._wait.wake()

    async def wait(self) -> None:
        """Waits until it has come."""
        if self._is_set:
            return
        loop = self._loop.asyncio
        if loop is not None and self._wait is None:
            self._wait = _Wait(loop)
            try:
                await self._wait
            finally:
                self._wait = None
            return
        if self._event is None:
            self._event = anyio.Event()
        await self._event.wait()
