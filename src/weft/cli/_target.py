"""Finds what the user means by ``module:name``, in the process that is to have it.

With dots in the name for what is in classes; a file in place of the module is imported as the module that it would be
from its own folder, or from that of the package that it is in.
Pinned by tests/cli/test_explain.py.
"""

import difflib
import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["NotFoundError", "Target", "find", "find_function"]


class NotFoundError(Exception):
    """There is no such thing. The message says what there is."""


@dataclass(frozen=True, slots=True)
class Target[T]:
    """What was meant.

    Attributes:
        module: Where it was looked up.
        name: Its name there.
        value: The function, or what else was looked for.
        script: The file, where one was named in place of a module.
    """

    module: ModuleType
    name: str
    value: T
    script: str | None


def find_function(text: str) -> Target[Callable[..., Any]]:
    """Imports the module and looks the function up.

    Raises:
        NotFoundError: There is no such module or function, or it cannot be called.
        ImportError: The module was found and could not be imported; so may anything else that it raises.
    """
    found = find(text, "FUNCTION", "json:dumps or jobs.py:resize")
    if not callable(found.value):
        raise NotFoundError(f"{text} is a {type(found.value).__name__}, which cannot be called")
    return found


def find(text: str, what: str, example: str) -> Target[Any]:
    """Imports the module and looks the name up.

    Args:
        text: ``module:name`` or ``file.py:name``.
        what: What is wanted, for the error.
        example: How that is written.

    Raises:
        NotFoundError: There is no such module or name.
        ImportError: The module was found and could not be imported; so may anything else that it raises.
    """
    where, colon, name = text.rpartition(":")
    if not colon or not where or not name:
        raise NotFoundError(f"{text!r} is not MODULE:{what}{_with_colon(text) or f', such as {example}'}")
    is_file = where.endswith(".py") or "/" in where or os.sep in where
    module = _import_file(where) if is_file else _import_module(where)
    found: Any = module
    reached = where
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise NotFoundError(f"{reached} has no {part!r}{_did_you_mean(part, _names(found))}") from None
        reached = f"{reached}.{part}" if ":" in reached else f"{reached}:{part}"
    return Target(module, name, found, where if is_file else None)


def _with_colon(text: str) -> str:
    """What was meant by ``json.dumps``."""
    module, dot, name = text.strip(":").rpartition(".")
    if dot and name != "py" and _exists(module):
        return f"; did you mean {module}:{name}?"
    return ""


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _import_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name != missing and not name.startswith(f"{missing}."):
            raise  # it is there, and wants another one that is not
        parent, _, last = missing.rpartition(".")
        prefix = f"{parent}." if parent else ""
        near = difflib.get_close_matches(last, _modules_in(parent), n=1)
        hint = f"; did you mean {prefix}{near[0]}?" if near else ""
        raise NotFoundError(f"there is no module {missing!r}{hint}") from None
    except (TypeError, ValueError):
        raise NotFoundError(f"{name!r} is no name of a module") from None


def _modules_in(package: str) -> list[str]:
    if not package:
        return [*sys.stdlib_module_names, *(module.name for module in pkgutil.iter_modules())]
    return [module.name for module in pkgutil.iter_modules(getattr(sys.modules.get(package), "__path__", []))]


def _import_file(where: str) -> ModuleType:
    path = Path(where).resolve()
    if not path.is_file():
        near = difflib.get_close_matches(path.name, (one.name for one in path.parent.glob("*.py")), n=1)
        hint = f"; did you mean {Path(where).with_name(near[0])}?" if near else ""
        raise NotFoundError(f"there is no file {where}{hint}")
    parts, folder = [path.stem], path.parent
    while (folder / "__init__.py").is_file() and folder.parent != folder:
        parts.insert(0, folder.name)
        folder = folder.parent
    name = ".".join(parts).removesuffix(".__init__")
    sys.path.insert(0, str(folder))
    module = importlib.import_module(name)
    file = getattr(module, "__file__", None)
    if file is None or not path.samefile(file):
        raise NotFoundError(f"{where} cannot be imported: Python has another module called {name!r}; rename the file")
    return module


def _names(thing: object) -> list[str]:
    return [name for name in dir(thing) if not name.startswith("__")]


def _did_you_mean(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
