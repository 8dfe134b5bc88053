"""Puts weft's names in the place of the standard library's, for the whole process, and for good.

Names in modules, not modules: whoever has `concurrent.futures` already gets weft's pools from it too. Weft's executors
are loaded before that, as they are subclasses of what is replaced. asyncio, which is slow to load, is changed when the
program imports it.
Pinned by tests/compat/test_program.py.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from weft.compat._mode import is_managed
from weft.compat._stand_in import REPLACED, replaced_in


def install() -> None:
    """From now on `concurrent.futures` and asyncio have weft's names. In passthrough mode nothing happens.

    Raises:
        weft.errors.InvalidSetting: `WEFT_COMPAT_MODE` has a value that cannot be.
    """
    if not is_managed():
        return
    _replace("concurrent.futures")
    if "asyncio" in sys.modules:
        _replace("asyncio")
    elif not any(isinstance(finder, _WhenImported) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WhenImported())


def _replace(package: str) -> None:
    """Replaces the names in a package and in the modules of it where they are at home."""
    # All are found before one is replaced: weft's classes are made of the originals.
    found = [
        (module, name, getattr(importlib.import_module(home), name))
        for module in _modules(package)
        for name, home in replaced_in(module).items()
    ]
    for module, name, value in found:
        setattr(module, name, value)
    if package == "asyncio":
        from asyncio.base_events import BaseEventLoop

        from weft.compat._loops import set_default_executor

        BaseEventLoop.set_default_executor = set_default_executor


def _modules(package: str) -> list[ModuleType]:
    modules: list[ModuleType] = []
    for name in REPLACED:
        if name == package or name.startswith(f"{package}."):
            try:
                modules.append(importlib.import_module(name))
            except ModuleNotFoundError:  # before Python 3.14 there is no pool of interpreters
                continue
    return modules


class _WhenImported:
    """Waits in `sys.meta_path` for asyncio, and has its names replaced once it is loaded.

    It stays there: before Python 3.14, an import of another thread misses a finder when one before it goes.
    """

    _done = False

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "asyncio" or self._done:
            return None
        # Asked by somebody who only wants to know, too: it stays until asyncio is loaded.
        found = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, found), None)
        loader: Any = None if spec is None else spec.loader
        if loader is not None:
            load = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                load(module)
                self._done = True
                _replace("asyncio")

            loader.exec_module = exec_module  # of this one loader, which loads nothing else
        return spec
