"""`Crew`: the tasks in which an actor runs async functions.

Under asyncio a task begins within `start` itself, and most are over when that returns: no turn of the loop, and no
group's bookkeeping. What each runs is in a cancel scope of its own, by which the crew is dismissed. Under trio they
are a nursery's.

The loop's thread. Leaving the block cancels all tasks, and waits for them.
Pinned by tests/actors/test_calls.py and test_ending.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.abc

from weft.actors._loops import Loop

__all__ = ["Crew"]


class Crew:
    """Tasks that are started one by one and end together.

    Args:
        loop: The loop that they are tasks of.
        scopes: Those of the tasks that run.
    """

    def __init__(self, loop: Loop, scopes: Mapping[int, anyio.CancelScope]) -> None:
        self._loop = loop.asyncio
        self._scopes = scopes
        self._group: anyio.abc.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._left = anyio.Event()  # is set by the last one, once they are dismissed
        self.is_hiring = False

    async def __aenter__(self) -> Self:
        self.is_hiring = True
        if self._loop is None:
            self._group = anyio.create_task_group()
            await self._group.__aenter__()
        return self

    def start(self, fn: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """Starts a task. The function enters a cancel scope first, and raises nothing but its cancellation."""
        if self._group is not None:
            self._group.start_soon(fn, *args)
            return
        task = asyncio.Task(fn(*args), loop=self._loop, name=fn.__qualname__, eager_start=True)
        if not task.done():
            self._tasks.add(task)
            task.add_done_callback(self._has_left)

    def _has_left(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks:
            self._left.set()

    def dismiss(self) -> None:
        """Cancels all. None is started from now on."""
        self.is_hiring = False
        if self._group is not None:
            self._group.cancel_scope.cancel()
        for scope in list(self._scopes.values()):
            scope.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        self.dismiss()
        if self._group is not None:
            return await self._group.__aexit__(kind, error, traceback)
        with anyio.CancelScope(shield=True):
            while self._tasks:
                self._left = anyio.Event()
                await self._left.wait()
        return None
