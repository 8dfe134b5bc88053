"""Whether a function may run in a worker that shares nothing with its caller, and still come to the same.

Judged by what it is made of and by one of its calls: it must not assign to globals, nor leave an argument, a global or
a variable of its closure other than it was, nor return nothing (then it is called for what it does), nor take or give
what cannot be pickled. What it finds among the globals (`surroundings`) must be what a worker finds there, which the
router asks one; what can change must only be read (`_reading`), and is looked at again before each call that is sent.
The same goes for the functions and classes that it names, as far as they are the program's own.

What this cannot see: what another call than the one that was watched does by a way that the source does not show,
files, and what libraries remember. A program that depends on those says where it wants to run, with a flavor.
Pinned by tests/executors/test_portable.py.
"""

from __future__ import annotations

import ast
import functools
import pickletools
import sys
import tokenize
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any, cast

from weft._payloads.main_module import ALIAS, is_interruption, main_can_be_found
from weft._payloads.pickling import PayloadPickler, dump
from weft._payloads.references import reference_to
from weft._payloads.surroundings import Incomparable, Look, Surroundings
from weft.executors._reading import why_not_read
from weft.executors._router import function_of

__all__ = ["Around", "Static", "Trial", "around", "examine", "main_is_guarded", "why_not_main"]

_LARGEST_PICKLE = 1 << 28  # bytes of what a call is given, or gives


class Trial:
    """One call of a function, watched.

    Args:
        fn: The function.
        inputs: What it is given.
    """

    def __init__(self, fn: Callable[..., Any], inputs: tuple[Any, ...]) -> None:
        self._fn = fn
        self._watched: dict[str, object] = {"an argument": inputs, **_brought_along(fn)}
        self._around = _surroundings(fn)
        self.why_not = next(iter(_objections(self._around, function_of(fn))), None)
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
        changed = _differing(self._around, _surroundings(self._fn))
        if self.why_not is None and changed:
            return f"it changes {', '.join(changed)}"
        if self.why_not is None and _fingerprint(result) is None:
            return "its result cannot be pickled, or is too large"
        return self.why_not

    @property
    def around(self) -> Around:
        """What the function found around it when it was called."""
        return Around(self._fn, self._around)

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
    watched = _brought_along(fn)
    around = _surroundings(fn)
    objections = _objections(around, function_of(fn))
    objections += [f"{name} cannot be pickled" for name, thing in watched.items() if _fingerprint(thing) is None]
    changing = [label for label in around.values if _can_change(around, label)]
    return Static(tuple(objections), (*watched, *changing))


class Around:
    """What a function that is sent away finds around it here, and whether that is still what it was.

    Args:
        fn: The function.
        found: What was found.
    """

    def __init__(self, fn: Callable[..., Any], found: Surroundings) -> None:
        self._fn = fn
        self._found = found

    @property
    def question(self) -> tuple[tuple[object, ...], bool, tuple[str, ...]]:
        """What a worker is to be asked for the likeness of."""
        return _roots(self._fn), _goes_by_name(self._fn), tuple(self._found.imports)

    def why_not_there(self, there: Mapping[str, bytes]) -> str | None:
        """Why it has to stay, where a worker finds that around it; None if it may go there."""
        here = self._found.digests
        for label in dict.fromkeys((*here, *there)):
            if here.get(label) != there.get(label):
                return f"it uses {label}, which a worker has as its module made it: here it is another one by now"
        return None

    def changed(self) -> str | None:
        """What is not any more what it was; costs next to nothing where nothing was touched.

        Something that was put there anew and is equal does not count; from then on that is what is looked at.
        """
        if not self._found.changed():
            return None
        try:
            now = _surroundings(self._fn)
        except Exception:  # another thread changes it this moment
            return "what it finds around it"
        differing = _differing(self._found, now)
        if differing:
            return differing[0]
        self._found = now
        return None


def around(fn: Callable[..., Any]) -> Around:
    """What a function finds around it now."""
    return Around(fn, _surroundings(fn))


def _brought_along(fn: Any) -> dict[str, object]:
    """What goes to a worker along with a function, in each of its calls or once."""
    found: dict[str, object] = {}
    if isinstance(fn, (functools.partial, MethodType)):
        found["the object that it is bound to"] = fn
    inner = function_of(fn)
    if not isinstance(inner, FunctionType | type) and not _goes_by_name(inner):
        found["the object that is called"] = inner
    if isinstance(inner, FunctionType) and not _goes_by_name(inner):
        for name, cell in zip(inner.__code__.co_freevars, inner.__closure__ or (), strict=True):
            found[f"the variable {name!r} around it"] = _contents(cell)
    return found


def _goes_by_name(fn: Any) -> bool:
    return reference_to(function_of(fn)) is not None


def _roots(fn: Any) -> tuple[FunctionType | type, ...]:
    """The function under partials and methods, and the classes of what these are bound to."""
    found: list[FunctionType | type] = [_or_its_class(function_of(fn))]
    while isinstance(fn, functools.partial | MethodType):
        if isinstance(fn, MethodType):
            found.append(_or_its_class(fn.__self__))
        bound = cast("Any", fn)
        fn = bound.__func__ if isinstance(fn, MethodType) else bound.func
    # What a function of C is an object of has no name.
    return tuple(one for one in found if isinstance(one, FunctionType) or one.__module__ != "builtins")


def _or_its_class(thing: object) -> FunctionType | type:
    return thing if isinstance(thing, FunctionType | type) else type(thing)


def _surroundings(fn: Any) -> Surroundings:
    return Surroundings(_roots(fn), by_name=_goes_by_name(fn))


def _objections(around: Surroundings, fn: Any) -> list[str]:
    """Why it has to stay, by what can be seen before it is called."""
    found = list(dict.fromkeys(around.objections))
    for label, readers in around.readers.items():
        if not _can_change(around, label) or not around.digests[label]:
            continue
        value = around.values[label]
        deep = any(thing is not value for _, thing, _ in around.guards[label])
        settled = functools.partial(_is_settled, around)
        for reader, name in readers:
            why_not = why_not_read(reader, name, value, deep=deep, settled=settled)
            if why_not is not None:
                found.append(f"it {why_not}" if reader is fn else f"{reader.__qualname__}, which it uses, {why_not}")
    return found


def _can_change(around: Surroundings, label: str) -> bool:
    return bool(around.guards[label])


def _is_settled(around: Surroundings, value: object) -> bool:
    look = Look(around.is_own)
    try:
        look.digest(value)
    except Incomparable:
        return False
    return not look.guards


def _differing(one: Surroundings, other: Surroundings) -> list[str]:
    return [label for label in one.digests | other.digests if one.digests.get(label) != other.digests.get(label)]


def why_not_main(thing: object) -> str | None:
    """Why a worker must not run the program's script for this; None if it may, or need not."""
    data, _, _ = dump(thing, [])
    if data is None or not _names_main(data) or not main_can_be_found():
        return None
    if main_is_guarded(getattr(sys.modules["__main__"], "__file__", None)):
        return None
    return "it is defined in a script without `if __name__ == '__main__':`, which a worker would run as a whole"


def _names_main(pickled: bytes) -> bool:
    """Whether something in it is found by the name of the program's module; a path with `__main__` in it is not."""
    names = ("__main__", ALIAS)
    if not any(name.encode() in pickled for name in names):
        return False
    return any(argument in names for _, argument, _ in pickletools.genops(pickled) if isinstance(argument, str))


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
