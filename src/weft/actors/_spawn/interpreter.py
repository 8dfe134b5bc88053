"""Spawn method `interpreter`: the actor has an interpreter with a GIL of its own, on a thread of this process.

One is kept warm, as for pools (weft.executors._spares), with what an actor imports. The thread that the actor lives on
enters it, and ends it. One that cannot be stopped is left behind: then the process leaves without taking Python apart.
Pinned by tests/actors/test_spawn.py and test_ending.py.
"""

from __future__ import annotations

from weft.actors._spawn import _homes
from weft.actors._spawn._child_handle import Child, Start

__all__ = ["lacks", "spawn"]


def lacks() -> str | None:
    """What this Python lacks for it."""
    return _homes.lacks()


def spawn(start: Start) -> Child:
    """Starts an actor."""
    return _homes.spawn(start, own_gil=True)
