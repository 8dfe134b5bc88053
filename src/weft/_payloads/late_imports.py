"""What is to be done to a module once somebody imports it, so that a worker's start need not.

One finder on `sys.meta_path` waits for all such modules, and stays there: before Python 3.14, another thread's import
that goes through the list while something is taken out of it misses the one behind, and may not find its module.
Pinned by tests/payloads/test_late_imports.py.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

__all__ = ["when_imported"]


def when_imported(name: str, imported: "Callable[[], object]") -> "Callable[[], None]":
    """Calls a function once a module has been imported here: now, if it has been.

    Args:
        name: The module's whole name.
        imported: The function. What it raises the import raises.

    Returns:
        What has it not be called any more.
    """
    if name in sys.modules:
        imported()
        return lambda: None
    _waiting.setdefault(name, []).append(imported)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)

    def remove() -> None:
        try:  # noqa: SIM105  # contextlib is not loaded for this
            _waiting.get(name, []).remove(imported)
        except ValueError:  # called already
            pass

    return remove


_waiting: "dict[str, list[Callable[[], object]]]" = {}  # by the module's name, which it goes with


class _Finder:
    """Gives the modules that are waited for a loader that tells of their import."""

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if not _waiting.get(name):
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader)  # type: ignore[assignment]  # a loader in what it does
                return spec
        return None


class _Loader:
    """A module's loader, until the module is loaded."""

    def __init__(self, loader: "Any") -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> "Any":  # somebody may only have asked for the spec
        return getattr(self._loader, name)

    def exec_module(self, module: "ModuleType") -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        for imported in _waiting.pop(module.__name__, ()):
            imported()


_finder: "Any" = _Finder()
