"""Futures and what is made of them: `async_`, `TaskGroup`, the `Future` itself.

The modules behind the names are imported when a name is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weft._core import Future
    from weft.futures._default import async_
    from weft.futures._group import TaskGroup

__all__ = ["Future", "TaskGroup", "async_"]

_HOMES = {
    "Future": "weft._core",
    "TaskGroup": "weft.futures._group",
    "async_": "weft.futures._default",
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
