"""weft for event loops: await what runs on an executor, from asyncio and from trio.

A `weft.Future` can be awaited as it is. Here is what is made of many (`await_all`, `await_any`, `as_completed`, `map`)
and ways to get one (`to_thread`, `run_in_executor`, `wrap_future`).

Everything here is called on an event loop's own thread, and never blocks it. Cancelling the task that awaits cancels
the work: what is queued never runs, what runs is interrupted. The modules behind the names are imported when a name is
first used, and none of them imports asyncio or trio before one of them runs.
Pinned by tests/aio/.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weft.aio._calls import run_in_executor, to_thread, wrap_future
    from weft.aio._many import as_completed, await_all, await_any
    from weft.aio._map import map  # noqa: A004  # the stdlib's executors have a map too

__all__ = ["as_completed", "await_all", "await_any", "map", "run_in_executor", "to_thread", "wrap_future"]

_HOMES = {
    "as_completed": "weft.aio._many",
    "await_all": "weft.aio._many",
    "await_any": "weft.aio._many",
    "map": "weft.aio._map",
    "run_in_executor": "weft.aio._calls",
    "to_thread": "weft.aio._calls",
    "wrap_future": "weft.aio._calls",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
