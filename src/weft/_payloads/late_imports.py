"""What is to be done to a module once somebody imports it, so that a worker's start need not.

A finder on `sys.meta_path` waits for it, and goes away.
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
    finder: Any = _Finder(name, imported)
    sys.meta_path.insert(0, finder)
    return finder.remove


class _Finder:
    """A finder and, for that one module, a loader."""

    def __init__(self, name: str, imported: "Callable[[], object]") -> None:
        self._name = name
        self._imported = imported
        self._loader: Any = None

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if name != self._name:
            return None
        self.remove()
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                self._loader, spec.loader = spec.loader, self  # type: ignore[assignment]  # a loader in what it does
                return spec
        return None

    def remove(self) -> None:
        """Waits no longer."""
        try:  # noqa: SIM105  # contextlib is not loaded for this
            sys.meta_path.remove(self)  # type: ignore[arg-type]
        except ValueError:  # another thread imports it too
            pass

    def create_module(self, spec: "ModuleSpec") -> "ModuleType | None":
        return self._loader.create_module(spec)

    def exec_module(self, module: "ModuleType") -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._imported()
