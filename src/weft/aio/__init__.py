"""weft for event loops: await what runs on an executor, from asyncio and from trio.

A `weft.Future` can be awaited as it is. Here is what is made of many: `await_all`, `await_any`, `as_completed`, `map`;
ways to get one: `to_thread`, `to_interpreter`, `to_process`, `run_in_executor`, `wrap_future`; and a twin of each
algorithm of `weft.parallel`.

Everything here is called on an event loop's own thread, and never blocks it. Cancelling the task that awaits cancels
the work: what is queued never runs, what runs is interrupted. The modules behind the names are imported when a name is
first used, and none of them imports asyncio or trio before one of them runs.
Pinned by tests/aio/.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weft.aio._algorithms import (
        all_of,
        any_of,
        copy,
        copy_if,
        count,
        count_if,
        exclusive_scan,
        fill,
        fill_n,
        find,
        find_if,
        for_each,
        for_loop,
        inclusive_scan,
        iota,
        none_of,
        reduce,
        sort,
        stable_sort,
        transform,
        transform_reduce,
    )
    from weft.aio._calls import run_in_executor, to_interpreter, to_process, to_thread, wrap_future
    from weft.aio._many import as_completed, await_all, await_any
    from weft.aio._map import map  # noqa: A004  # the stdlib's executors have a map too

__all__ = [
    "all_of",
    "any_of",
    "as_completed",
    "await_all",
    "await_any",
    "copy",
    "copy_if",
    "count",
    "count_if",
    "exclusive_scan",
    "fill",
    "fill_n",
    "find",
    "find_if",
    "for_each",
    "for_loop",
    "inclusive_scan",
    "iota",
    "map",
    "none_of",
    "reduce",
    "run_in_executor",
    "sort",
    "stable_sort",
    "to_interpreter",
    "to_process",
    "to_thread",
    "transform",
    "transform_reduce",
    "wrap_future",
]

_HOMES = {
    "all_of": "weft.aio._algorithms",
    "any_of": "weft.aio._algorithms",
    "as_completed": "weft.aio._many",
    "await_all": "weft.aio._many",
    "await_any": "weft.aio._many",
    "copy": "weft.aio._algorithms",
    "copy_if": "weft.aio._algorithms",
    "count": "weft.aio._algorithms",
    "count_if": "weft.aio._algorithms",
    "exclusive_scan": "weft.aio._algorithms",
    "fill": "weft.aio._algorithms",
    "fill_n": "weft.aio._algorithms",
    "find": "weft.aio._algorithms",
    "find_if": "weft.aio._algorithms",
    "for_each": "weft.aio._algorithms",
    "for_loop": "weft.aio._algorithms",
    "inclusive_scan": "weft.aio._algorithms",
    "iota": "weft.aio._algorithms",
    "map": "weft.aio._map",
    "none_of": "weft.aio._algorithms",
    "reduce": "weft.aio._algorithms",
    "run_in_executor": "weft.aio._calls",
    "sort": "weft.aio._algorithms",
    "stable_sort": "weft.aio._algorithms",
    "to_interpreter": "weft.aio._calls",
    "to_process": "weft.aio._calls",
    "to_thread": "weft.aio._calls",
    "transform": "weft.aio._algorithms",
    "transform_reduce": "weft.aio._algorithms",
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
