"""Whether a function may run in a worker that shares nothing with its caller, and still come to the same.

Judged by what it is made of and by one of its calls: it must not assign to globals, nor use globals that are more than
constants, nor leave an argument, a table or a variable of its closure other than it was, nor return
nothing (then it is called for what it does), nor take or give what cannot be pickled. Functions of its own module that
it names are looked at too.

What this cannot see: attributes of modules and classes that are set, files, and what libraries remember. A program that
depends on those says where it wants to run, with a flavor.
Pinned by tests/executors/test_portable.py.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
import tokenize
import zlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from logging import Logger
from pathlib import PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from weft._payloads.main_module import ALIAS, is_interruption, main_can_be_found
from weft._payloads.pickling import PayloadPickler, dump
from weft.executors._router import function_of

__all__ = ["Static", "Trial", "examine", "main_is_guarded", "why_not_main"]

_CONSTANTS = (type(None), bool, int, float, complex, str, bytes, range, re.Pattern, Enum, PurePath, Logger, ContextVar)
_TABLES = (list, dict, set, bytearray)
_HARMLESS = (ModuleType, type, BuiltinFunctionType, *_CONSTANTS)
_DEEPEST = 4  # functions that call functions
_LARGEST = 100_000  # entries of a table that is looked at
_LARGEST_PICKLE = 1 << 28  # bytes of what a call is given, or gives


class Trial:
    """One call of a function, watched.

    Args:
        fn: The function.
        inputs: What it is given.
    """

    def __init__(self, fn: Callable[..., Any], inputs: tuple[Any, ...]) -> None:
        self._watched: dict[str, object] = {"an argument": inputs}
        self.why_not = next(_objections(fn, self._watched), None)
        """Why it has to stay; None as far as is known."""
        self._before = self._fingerprints()

    def ended(self, result: object, *, gives_nothing: bool) -> str | None:
        """The call has come back.

        Args:
            result: What with; anything that holds the results will do.
            gives_nothing: Whether these are None.

        Returns:
            Why the function has to stay, or None if it may move.
        """
        if self.why_not is not None:
            return self.why_not
        if gives_nothing:
            return "it returns nothing: it may be called for what it does here"
        after = self._fingerprints()
        if self.why_not is None and after != self._before:
            changed = [name for name in after if after[name] != self._before.get(name)]
            return f"it changes {', '.join(changed)}"
        table = next((name for name in self._watched if name.startswith("the global ")), None)
        if self.why_not is None and table is not None:
            return f"it uses {table}, which a worker would have as its module made it, whatever was put in since"
        if self.why_not is None and _fingerprint(result) is None:
            return "its result cannot be pickled, or is too large"
        return self.why_not

    def _fingerprints(self) -> dict[str, tuple[int, int] | None]:
        if self.why_not is not None:
            return {}
        found = {name: _fingerprint(thing) for name, thing in self._watched.items()}
        for name, one in found.items():
            if one is None:
                self.why_not = f"{name} cannot be pickled, or is too large"
        return found


@dataclass(frozen=True, slots=True)
class Static:
    """What is known of a function before it is called.

    Attributes:
        objections: Why it has to stay where it is; empty: nothing speaks against moving it.
        watched: What a call is watched for: it must not change these.
    """

    objections: tuple[str, ...]
    watched: tuple[str, ...]


def examine(fn: Callable[..., Any]) -> Static:
    """Looks at a function without calling it: all that a `Trial` holds against it before its call, not the first only.

    Args:
        fn: The function.
    """
    watched: dict[str, object] = {}
    objections = list(_objections(fn, watched))
    objections += [f"{name} cannot be pickled" for name, thing in watched.items() if _fingerprint(thing) is None]
    return Static(tuple(objections), tuple(watched))


def _objections(fn: Any, watched: dict[str, object]) -> Iterator[str]:
    """Why it has to stay; puts into `watched` what a call must not change."""
    if isinstance(fn, (functools.partial, MethodType)):
        watched["the object that it is bound to"] = fn
    yield from _look_into(function_of(fn), watched, set(), 0)


def _look_into(fn: Any, watched: dict[str, object], seen: set[CodeType], depth: int) -> Iterator[str]:
    if not isinstance(fn, FunctionType) or fn.__code__ in seen:
        return
    seen.add(fn.__code__)
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        watched[f"the variable {name!r} around it"] = _contents(cell)
    for code in _codes(fn.__code__):
        for assigned in dict.fromkeys(_assigned(code)):
            yield f"it assigns to {assigned!r}, which is not its own"
        for name in code.co_names:
            yield from _look_at_global(fn, name, watched, seen, depth)


def _look_at_global(
    fn: FunctionType, name: str, watched: dict[str, object], seen: set[CodeType], depth: int
) -> Iterator[str]:
    names = fn.__globals__
    if name not in names or names.get("__name__", "").partition(".")[0] in sys.stdlib_module_names:
        return
    value = names[name]
    if isinstance(value, _HARMLESS) or _is_constant(value):
        return
    if isinstance(value, FunctionType):
        if value.__module__ == fn.__module__ and depth < _DEEPEST:
            yield from _look_into(value, watched, seen, depth + 1)
        return
    if isinstance(value, _TABLES) and len(value) <= _LARGEST:  # pyright: ignore[reportUnknownArgumentType]
        watched[f"the global {name!r}"] = value
        return
    kind: type = type(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(getattr(names[name], "__wrapped__", None), FunctionType):  # as by functools.lru_cache
        return
    yield f"it uses the global {name!r}, a {kind.__name__} that may have to be this one"


def why_not_main(thing: object) -> str | None:
    """Why a worker must not run the program's script for this; None if it may, or need not."""
    data, _, _ = dump(thing, [])
    if data is None or not (b"__main__" in data or ALIAS.encode() in data) or not main_can_be_found():
        return None
    if main_is_guarded(getattr(sys.modules["__main__"], "__file__", None)):
        return None
    return "it is defined in a script without `if __name__ == '__main__':`, which a worker would run as a whole"


@functools.cache
def main_is_guarded(path: str | None) -> bool:
    """Whether the source has a top-level `if` that asks for `__name__`."""
    if path is None:
        return False
    try:
        with tokenize.open(path) as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return False
    tests = (statement.test for statement in tree.body if isinstance(statement, ast.If))
    return any(isinstance(part, ast.Name) and part.id == "__name__" for test in tests for part in ast.walk(test))


def _contents(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _is_constant(value: object) -> bool:
    if type(value) in (tuple, frozenset):
        return all(isinstance(one, _CONSTANTS) or _is_constant(one) for one in value)  # type: ignore[attr-defined]
    return False


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The function's code, and that of what is defined inside of it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _assigned(code: CodeType) -> Iterator[str]:
    """Names of globals, and of variables of an enclosing function, that it assigns to or deletes."""
    from dis import get_instructions

    for instruction in get_instructions(code):
        if instruction.opname in ("STORE_GLOBAL", "DELETE_GLOBAL") or (
            instruction.opname in ("STORE_DEREF", "DELETE_DEREF") and instruction.argval in code.co_freevars
        ):
            yield instruction.argval


class _Digest:
    """A file that keeps nothing of what is written but what tells it from something else."""

    def __init__(self) -> None:
        self.size = 0
        self.sum = 0

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self.size += size
        if self.size > _LARGEST_PICKLE:
            raise OverflowError
        self.sum = zlib.crc32(data, self.sum)
        return size


def _fingerprint(thing: object) -> tuple[int, int] | None:
    """What tells whether it has changed; None if it cannot be pickled, or is too large to be worth it."""
    digest = _Digest()
    buffers: list[Any] = []
    try:
        PayloadPickler(digest, 5, buffer_callback=buffers.append).dump(thing)
        for buffer in buffers:
            digest.write(buffer.raw())
    except BaseException as error:
        if is_interruption(error):
            raise
        return None
    return digest.size, digest.sum
