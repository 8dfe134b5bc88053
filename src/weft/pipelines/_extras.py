"""Packages that an extra of weft brings: imported where they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from weft.errors import MissingDependency

__all__ = ["imported"]


def imported(module: str, extra: str) -> Any:
    """A module of a package that an extra brings, without its types.

    Raises:
        MissingDependency: It is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingDependency(extra=extra, package=module.partition(".")[0]) from error
