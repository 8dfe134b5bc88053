"""Spawn method `thread`: the actor is a thread of this interpreter, with an event loop of its own.

What it is sent is pickled as for any other method, so that the method can be changed; but modules are shared.
Pinned by tests/actors/test_spawn.py.
"""

from __future__ import annotations

from weft import _core
from weft.actors._child import live
from weft.actors._spawn._child_handle import Child, Start, ThreadChild
from weft.errors import Interrupted

__all__ = ["lacks", "spawn"]


def lacks() -> str | None:
    """What this Python lacks for it."""
    return None


def spawn(start: Start) -> Child:
    """Starts an actor."""
    return ThreadChild(
        start.name,
        lambda: live(start.end, start.setup, alone=False),
        lambda thread: _core.raise_in_thread(thread, Interrupted),
        daemon=_core.in_main_interpreter(),
        interrupt_blocks=False,
    )
