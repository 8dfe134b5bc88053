"""Spawn method `interpreter_legacy`: the actor has an interpreter that shares the GIL of this one.

For extension modules that refuse interpreters with a GIL of their own. It isolates modules, and nothing runs in
parallel; code stuck in C with the GIL stops everything.
Pinned by tests/actors/test_spawn.py.
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
    return _homes.spawn(start, own_gil=False)
