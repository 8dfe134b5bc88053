"""Spawn method `mp_forkserver`: the actor is a child of `multiprocessing`, by its start method `forkserver`.

For programs whose set-up is tied to multiprocessing. `process` starts sooner.
Pinned by tests/actors/test_spawn.py.
"""

from __future__ import annotations

from weft.actors._spawn._child_handle import Child, Start

__all__ = ["lacks", "spawn"]


def lacks() -> str | None:
    """What this system lacks for it."""
    from weft.actors._spawn import _multiprocessing

    return _multiprocessing.lacks("forkserver")


def spawn(start: Start) -> Child:
    """Starts an actor."""
    from weft.actors._spawn import _multiprocessing

    return _multiprocessing.spawn(start, "forkserver")
