"""The spawn methods: what an actor lives in, each a module with one function, `spawn`, of the same signature.

    interpreter         an interpreter with a GIL of its own, on a thread of this process; Python 3.14
    interpreter_legacy  one that shares the GIL, for extension modules that refuse isolation; Python 3.14
    process             a fresh process, forked from a clean template that is kept warm
    mp_spawn            a child of `multiprocessing`, start method spawn
    mp_forkserver       the same, start method forkserver
    thread              a thread of this interpreter

`find` imports a method's module when it is asked for. A method that this Python lacks says at once what it needs.
Any thread. Pinned by tests/actors/test_spawn.py.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Final

from weft import _core
from weft.actors._spawn._child_handle import Child, Start
from weft.errors import InvalidSetting, SpawnMethodUnavailable

__all__ = ["METHODS", "Child", "Start", "check", "default_method", "find", "try_set_start_method"]

METHODS: Final = ("interpreter", "interpreter_legacy", "process", "mp_spawn", "mp_forkserver", "thread")

_chosen: str | None = None


def try_set_start_method(key: str) -> None:
    """Makes a spawn method the default of all nurseries that are opened from now on.

    Args:
        key: ``interpreter``, ``interpreter_legacy``, ``process``, ``mp_spawn``, ``mp_forkserver`` or ``thread``.

    Raises:
        weft.errors.SpawnMethodUnavailable: This Python lacks it; the default stays what it was.
        weft.errors.InvalidSetting: There is no such method.

    Example:
        >>> from weft.actors import try_set_start_method
        >>> try_set_start_method("thread")
    """
    global _chosen
    check(key)
    _chosen = key


def default_method() -> str:
    """What was set, else an interpreter where there are such, else a process."""
    chosen = _chosen  # which another thread may forget in between
    if chosen is not None:
        return chosen
    return "process" if lacks("interpreter") else "interpreter"


def forget() -> None:
    """Nothing has been set."""
    global _chosen
    _chosen = None


def lacks(method: str) -> str | None:
    """What it would take to have this method here, if it is lacking."""
    needs: str | None = import_module(f"weft.actors._spawn.{method}").lacks()
    return needs


def check(method: str) -> None:
    """Raises what there is to say against a method."""
    if method not in METHODS:
        raise InvalidSetting(setting="spawn", value=method, allowed=METHODS)
    needs = lacks(method)
    if needs is None and method in ("mp_spawn", "mp_forkserver") and not _core.in_main_interpreter():
        needs = "the main interpreter"
    if needs is not None:
        raise SpawnMethodUnavailable(method=method, needs=needs)


def find(method: str) -> Callable[[Start], Child]:
    """The function that starts an actor by this method: blocking, for any thread."""
    spawn: Callable[[Start], Child] = import_module(f"weft.actors._spawn.{method}").spawn
    return spawn
