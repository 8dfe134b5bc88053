"""Which names of the standard library's modules weft has of its own, and modules that have those beside all others.

A module that stands for another has the names of `REPLACED`, in managed mode; any other name is looked up in the
original each time, so that what is patched there is seen here.
Pinned by tests/compat/test_names.py.
"""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from weft.compat._mode import is_managed

_LOOPS = "weft.compat._loops"
_THREADS = {"ThreadPoolExecutor": "weft.executors"}
_PROCESSES = {"ProcessPoolExecutor": "weft.executors"}
_INTERPRETERS = {"InterpreterPoolExecutor": "weft.executors"}
_RUNNERS = {"Runner": _LOOPS, "run": _LOOPS}
_TO_THREAD = {"to_thread": _LOOPS}
_NEW_LOOP = {"new_event_loop": _LOOPS}

REPLACED = {
    "concurrent.futures": _THREADS | _PROCESSES | _INTERPRETERS,
    "concurrent.futures._base": {},
    "concurrent.futures.thread": _THREADS,
    "concurrent.futures.process": _PROCESSES,
    "concurrent.futures.interpreter": _INTERPRETERS,
    "asyncio": _RUNNERS | _TO_THREAD | _NEW_LOOP,
    "asyncio.runners": _RUNNERS,
    "asyncio.threads": _TO_THREAD,
    "asyncio.events": _NEW_LOOP,
}
"""Of each module: the names that weft has, and where they are."""


def replaced_in(original: ModuleType) -> dict[str, str]:
    """What is replaced in a module of this Python: one before 3.14 has no interpreter pool."""
    there = getattr(original, "__all__", None)
    names = REPLACED[original.__name__]
    return {name: home for name, home in names.items() if there is None or name in there}


def stand_in(module: str, *submodules: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and the `__dir__` of the module that stands for one of the standard library's.

    Args:
        module: The original's name.
        *submodules: Modules in it that can be had as attributes though nobody has imported them.

    Raises:
        ImportError: This Python has no such module.
        weft.errors.InvalidSetting: `WEFT_COMPAT_MODE` has a value that cannot be.
    """
    original = importlib.import_module(module)
    homes = replaced_in(original) if is_managed() else {}
    prefix = f"weft.compat.{module}" if is_managed() else module

    def get(name: str) -> Any:
        if name in homes:
            return getattr(importlib.import_module(homes[name]), name)
        # A stand-in that had the original's path would load its submodules a second time.
        if name == "__path__":
            raise AttributeError(f"module 'weft.compat.{module}' has no attribute '__path__'")
        if name in submodules:
            try:
                return importlib.import_module(f"{prefix}.{name}")
            except ModuleNotFoundError:  # this Python has none
                pass
        return getattr(original, name)

    def list_names() -> list[str]:
        return sorted({*dir(original), *submodules})

    return get, list_names
