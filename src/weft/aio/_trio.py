"""Awaiting under trio, through trio's own `wait_task_rescheduled`.

The core calls `awaiting` where trio is imported (see await_source in _core/awaiter.cpp), so this module is never
loaded where it is not. Each run of trio has one inbox, as each loop of asyncio has: completions are posted in batches,
with one `run_sync_soon` for all that have arrived.

Threads: the run's own. Ends with the run: a completion that comes later is reported to the logger ``weft.aio``.
Pinned by tests/aio/, whose tests run under both libraries.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import trio
import trio.lowlevel

from weft import _core
from weft.aio._library import in_trio, running_library

_inbox: trio.lowlevel.RunVar[_core.Inbox] = trio.lowlevel.RunVar("weft.inbox")


def awaiting(source: Any) -> Generator[Any, None, Any] | None:
    """What awaiting a future iterates over in a task of trio's; None in one that is not."""
    if not in_trio() or running_library() != "trio":
        return None
    return _wait(source).__await__()


async def _wait(source: Any) -> Any:
    awaiter: _core.Awaiter[Any] = _core.Awaiter(source)
    task = trio.lowlevel.current_task()
    if awaiter.begin(_inbox_of_this_run(), lambda _: trio.lowlevel.reschedule(task)):

        def abort(_: object) -> trio.lowlevel.Abort:
            # Delivered but not yet woken counts as not yet done: a cancellation goes first, as under asyncio.
            awaiter.cancel()
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
    return awaiter.outcome()


def _inbox_of_this_run() -> _core.Inbox:
    try:
        return _inbox.get()
    except LookupError:
        inbox = _core.Inbox(trio.lowlevel.current_trio_token())
        _inbox.set(inbox)
        return inbox
