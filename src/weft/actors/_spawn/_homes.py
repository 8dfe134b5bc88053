"""Interpreters for actors to live in: some kept warm, each lived in once.

What is kept is what was used: for each event loop library and kind of GIL, as many as `WEFT_SPARE_INTERPRETERS` says
(1), from the first time that one is asked for. They end with the interpreter, and before a fork.
Any thread. Pinned by tests/actors/test_spawn.py.
"""

from __future__ import annotations

import marshal
import os
import threading
import weakref
from functools import partial

from weft import _core
from weft._capabilities import flavor_needs
from weft.actors._child import prepare_spare
from weft.actors._spawn._child_handle import Child, Start, ThreadChild
from weft.executors import _ending
from weft.executors._spares import Spares, wanted

__all__ = ["expect", "forget", "lacks", "spawn"]

_lock = threading.Lock()
_spares: dict[tuple[str, bool], Spares] = {}
_lived_in: weakref.WeakValueDictionary[int, ThreadChild] = weakref.WeakValueDictionary()


def lacks() -> str | None:
    """What this Python lacks for interpreters."""
    return flavor_needs("interpreters")


def _drop(_home: object) -> None:
    """It ends with its last reference."""


def _spares_for(library: str, own_gil: bool) -> Spares:
    key = library, own_gil
    with _lock:
        if key not in _spares:
            make = partial(_core.make_actor_interpreter, own_gil, prepare_spare(library))
            _spares[key] = Spares(wanted(), make, _drop)
        return _spares[key]


def expect(library: str, *, own_gil: bool) -> None:
    """Has one made: an actor is going to need it."""
    _spares_for(library, own_gil).expect()


def forget() -> None:
    """Ends those that are ready; the next actor has one made again."""
    for spares in list(_spares.values()):
        spares.close()
        spares.reopen()


def spawn(start: Start, *, own_gil: bool) -> Child:
    """Starts an actor in an interpreter."""
    spares = _spares_for(start.library, own_gil)
    home: list[object] = []
    data = marshal.dumps((start.end.detach(), start.setup))

    def run() -> None:
        try:
            found = spares.take() or _core.make_actor_interpreter(own_gil, prepare_spare(start.library))
        except BaseException:
            os.close(marshal.loads(data)[0])
            raise
        home.append(found)
        _core.run_actor_interpreter(found, "weft.actors._child", "live_in_interpreter", data)
        home.clear()

    def interrupt(thread: int) -> None:
        for each in home:
            _core.interrupt_actor_interpreter(each, thread)

    child = ThreadChild(start.name, run, interrupt, daemon=_core.in_main_interpreter(), interrupt_blocks=True)
    _lived_in[id(child)] = child
    return child


def _end_interpreter() -> None:
    for spares in list(_spares.values()):
        spares.close()
    left = [child.name for child in list(_lived_in.values()) if child.end() is None]
    if left and _core.in_main_interpreter():
        _ending.leave_at_exit(left)


threading._register_atexit(_end_interpreter)  # type: ignore[attr-defined]  # as weft.executors._ending


def _before_fork() -> None:
    for spares in list(_spares.values()):
        spares.close()


def _after_fork_in_parent() -> None:
    for spares in list(_spares.values()):
        spares.reopen()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    _spares.clear()
    _lived_in.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
