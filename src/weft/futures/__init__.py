"""Futures and what is made of them: `async_`, `when_all`, `dataflow`, `TaskGroup`, the `Future` itself.

The modules behind the names are imported when a name is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weft._core import Future
    from weft.futures._compose import dataflow, ready_future, shared_future, when_all, when_any
    from weft.futures._default import async_, init, is_running, shutdown
    from weft.futures._group import TaskGroup

__all__ = [
    "Future",
    "TaskGroup",
    "async_",
    "dataflow",
    "init",
    "is_running",
    "ready_future",
    "shared_future",
    "shutdown",
    "when_all",
    "when_any",
]

_HOMES = {
    "Future": "weft._core",
    "TaskGroup": "weft.futures._group",
    "async_": "weft.futures._default",
    "dataflow": "weft.futures._compose",
    "init": "weft.futures._default",
    "is_running": "weft.futures._default",
    "ready_future": "weft.futures._compose",
    "shared_future": "weft.futures._compose",
    "shutdown": "weft.futures._default",
    "when_all": "weft.futures._compose",
    "when_any": "weft.futures._compose",
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
