"""What tells a value from all others, in the same way in every process: the keys of cached results are made of it.

- None, bool, int, float, complex, str and bytes by their type and value: 1, 1.0 and True differ.
- Tuples, lists, dicts (their order counts) and sets by their items; buffers and numpy arrays by type, shape and bytes.
- Functions by their code and what is around it (`function_digest`); classes and modules by name.
- An object that has a ``__cache_key__``, a method or a value, by its class and that.
- Other objects by their class and attributes, those left out that begin with an underscore; where a class says itself
  how it is pickled, by what it says.
What has none of these, such as a lock or an open file, has no digest: `NoDigest`.

Any thread; the caller's ``__cache_key__`` and ``__reduce__`` run. Pinned by tests/pipelines/test_digests.py.
"""

from __future__ import annotations

import functools
import sys
from array import array
from collections import OrderedDict
from hashlib import blake2b
from marshal import dumps
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, cast

from weft._locks import Guard
from weft._payloads.main_module import ALIAS
from weft._payloads.references import reference_to
from weft._payloads.surroundings import Incomparable, Look, Surroundings, has_attributes_only, reduced_of

__all__ = ["SIZE", "NoDigest", "digest_of", "function_digest", "joined"]

SIZE = 20
"""Bytes of a digest: two values that differ have the same one in a number of tries with 24 zeros."""

PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes})
DEEPEST = 500


class NoDigest(Exception):
    """Something that cannot be told from others of its kind."""

    def __init__(self, thing: object) -> None:
        super().__init__(f"a {type(thing).__name__} has no digest")
        self.kind = type(thing).__name__


def digest_of(value: object) -> bytes:
    """What tells a value from all others.

    Raises:
        NoDigest: Nothing does.
    """
    if type(value) in PLAIN:
        return blake2b(dumps(value, 2), digest_size=SIZE).digest()  # type: ignore[arg-type]
    state = blake2b(digest_size=SIZE)
    _Walk(state.update).at(value)
    return state.digest()


def joined(kind: bytes, *parts: bytes) -> bytes:
    """One digest of several."""
    return blake2b(kind + b"".join(parts), digest_size=SIZE).digest()


def _type(value: object) -> type:
    return type(value)


class _Walk:
    """Goes through one value and gives all that is in it, each with what kind it is and how long, to one sink."""

    def __init__(self, sink: Any) -> None:
        self._sink = sink
        self._path: dict[int, int] = {}

    def at(self, value: Any) -> None:
        kind = _type(value)
        if kind in PLAIN:
            data = dumps(value, 2)
            self._sink(b"p%d:" % len(data))
            self._sink(data)
            return
        if id(value) in self._path:  # it is in itself: so far up
            self._sink(b"^%d" % (len(self._path) - self._path[id(value)]))
            return
        if len(self._path) > DEEPEST:
            raise NoDigest(value)
        self._path[id(value)] = len(self._path)
        try:
            self._in_it(value, kind)
        except RecursionError:
            raise NoDigest(value) from None
        finally:
            del self._path[id(value)]

    def _in_it(self, value: Any, kind: type) -> None:
        if kind is tuple or kind is list:
            self._items(kind.__name__, value)
        elif kind is dict:
            self._items("dict", [*value, *value.values()])
        elif kind is set or kind is frozenset:
            self._items(kind.__name__, sorted(map(digest_of, value)))
        elif isinstance(value, type):
            self._named(b"class", f"{_module(value.__module__)}:{value.__qualname__}")
        elif kind is ModuleType:
            self._named(b"module", value.__name__)
        elif kind is FunctionType:
            self._sink(b"f" + function_digest(value))
        elif kind is MethodType:
            self._items("method", (value.__func__, value.__self__))
        elif kind is bytearray or kind is memoryview or kind is array:
            self._buffer(memoryview(value), kind.__name__)
        elif hasattr(kind, "__cache_key__"):
            told = value.__cache_key__
            self._named(b"own", _name(kind))
            self.at(told() if callable(told) else told)
        elif not self._array(value, kind):
            self._object(value, kind)

    def _items(self, name: str, items: Any) -> None:
        self._named(b"items", f"{name} {len(items)}")
        if PLAIN.issuperset(map(type, items)):
            self.at_plain(items)
        else:
            for item in items:
                self.at(item)

    def at_plain(self, items: Any) -> None:
        data = dumps(tuple(items), 2)
        self._sink(b"P%d:" % len(data))
        self._sink(data)

    def _named(self, kind: bytes, name: str) -> None:
        data = name.encode()
        self._sink(b"%b%d:%b" % (kind, len(data), data))

    def _buffer(self, view: memoryview, name: str) -> None:
        self._named(b"buffer", f"{name} {view.format} {view.shape}")
        self._sink(view if view.c_contiguous else view.tobytes())

    def _array(self, value: Any, kind: type) -> bool:
        """Whether it is an array of numpy's, whose bytes are all there is to it."""
        numpy: Any = sys.modules.get("numpy")
        if numpy is None or kind is not getattr(numpy, "ndarray", None) or value.dtype.hasobject:
            return False
        self._named(b"array", f"{value.dtype.descr} {value.shape}")
        self._sink(memoryview(numpy.ascontiguousarray(value).reshape(-1).view("uint8")))
        return True

    def _object(self, value: Any, kind: type) -> None:
        if kind is BuiltinFunctionType or kind.__name__ in ("method_descriptor", "wrapper_descriptor", "ufunc"):
            reference = reference_to(value)
            if reference is not None:
                self._named(b"named", reference)
                return
        if kind is object:
            raise NoDigest(value)
        wrapped = getattr(value, "__wrapped__", None)
        if type(wrapped) is FunctionType and kind.__module__.partition(".")[0] in ("functools", "weft"):
            self._named(b"wrapped", _name(kind))
            self.at(wrapped)
            return
        self._named(b"object", _name(kind))
        try:
            reduced = tuple(reduced_of(value))  # which refuses what holds more than Python can see
        except Incomparable:
            raise NoDigest(value) from None
        if has_attributes_only(kind):
            public = {name: held for name, held in _attributes(value) if not name.startswith("_")}
            self._items("attributes", [*public, *public.values()])
        else:
            self._items("reduced", reduced)


def _attributes(value: object) -> list[tuple[str, object]]:
    """Names and values of what an object holds, by name."""
    found: dict[str, object] = dict(getattr(value, "__dict__", {}))
    for base in type(value).__mro__:
        slots: Any = base.__dict__.get("__slots__", ())
        for name in (slots,) if type(slots) is str else slots:
            if not name.startswith("_") and hasattr(value, name):
                found[name] = getattr(value, name)
    return sorted(found.items())


def _name(kind: type) -> str:
    return f"{_module(kind.__module__)}:{kind.__qualname__}"


def _module(name: str) -> str:
    return "__main__" if name == ALIAS else name


# ---- functions -----------------------------------------------------------------------------------------

_KEPT = 1024
_known: OrderedDict[int, tuple[Any, Surroundings, bytes]] = OrderedDict()
_guard = Guard()


def function_digest(fn: Any) -> bytes:
    """What tells a function from others: its code and defaults, its helpers', and what it finds around it.

    Looked into is what is the program's own, as far as it can be reached from the function: other functions, classes,
    globals and closures. What is installed counts by name. Where nothing has changed since the last time, the
    answer is the last one.

    Raises:
        NoDigest: It is an object that has none.
    """
    if type(fn) is FunctionType:
        return _digest_of_root(fn)
    bound = [] if isinstance(fn, FunctionType | type) else [_bound(fn)]
    return joined(b"callable", *map(_digest_of_root, _roots(fn)), *bound)


def _digest_of_root(root: Any) -> bytes:
    found = _known.get(id(root))
    if found is not None and found[0] is root and not found[1].changed():
        return found[2]
    around = Surroundings((root,), by_name=True)
    look = Look(around.is_own)
    parts = [look.digest(root)] if type(root) is not FunctionType else [look.digest_of_code(root)]
    for label in sorted(around.digests):
        value = around.values[label]
        found_by_look = b"" if _has_key(value) else around.digests[label]
        parts += label.encode(), found_by_look or _large(value)
    parts += sorted({look.digest_of_code(one) for one in around.looked_into})
    digest = joined(b"function", *(b"%d:%b" % (len(part), part) for part in parts))
    _guard(_keep_lock_held, root, around, digest)
    return digest


def _keep_lock_held(root: Any, around: Surroundings, digest: bytes) -> None:
    _known[id(root)] = root, around, digest
    _known.move_to_end(id(root))
    while len(_known) > _KEPT:
        _known.popitem(last=False)


def _has_key(value: object) -> bool:
    """Whether a value says itself what counts; what is in the variable of a closure is in a tuple."""
    held = cast("tuple[object, ...]", value) if type(value) is tuple else (value,)
    return len(held) == 1 and hasattr(type(held[0]), "__cache_key__")


def _large(value: object) -> bytes:
    """What is too large for `Surroundings`, or cannot be told from others: then it counts as if it were not there."""
    try:
        return digest_of(value)
    except NoDigest:
        return b"-"


def _roots(fn: Any) -> list[Any]:
    """The functions and classes that a callable is made of."""
    found: list[Any] = []
    while isinstance(fn, functools.partial | MethodType):
        if isinstance(fn, MethodType):
            found.append(type(fn.__self__))
            fn = fn.__func__
        else:
            fn = cast("functools.partial[Any]", fn).func
    found.append(fn if isinstance(fn, FunctionType | type) else type(fn))
    return [one for one in found if isinstance(one, FunctionType) or one.__module__ != "builtins"]


def _bound(fn: Any) -> bytes:
    """What a callable that is no plain function holds besides code."""
    if isinstance(fn, functools.partial):
        bound = cast("functools.partial[Any]", fn)
        inner = bound.func if isinstance(bound.func, FunctionType) else _bound(bound.func)
        return joined(b"partial", digest_of((inner, bound.args, bound.keywords)))
    if isinstance(fn, MethodType):
        return digest_of((fn.__func__, fn.__self__))
    return digest_of(fn)
