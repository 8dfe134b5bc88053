"""What a function finds around it, the globals that it looks up, and what tells whether a worker has the same.

Both sides run this: the caller on the function that it has, a worker on what it has made of it. Equal labels with equal
digests mean that the function finds the same in both. A digest is of values, never of identities or addresses, so it is
the same in every process; the order of a dict counts, that of a set does not.

Looked at are the function, the functions, classes and objects that it names among its globals, and what those name in
turn, as far as they are the program's own. What is installed counts by its name only, unless the function itself is of
that package: libraries have caches and locks of their own.

Any thread. The caller's ``__reduce__`` may run. What is looked at may change meanwhile: then the digest is of something
in between, which equals no other. Workers load this when a function is about to be moved, not before.
Pinned by tests/executors/test_portable.py.
"""

import sys
from contextlib import suppress
from copyreg import dispatch_table
from hashlib import blake2b
from marshal import dumps
from operator import is_
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType

from weft._payloads.main_module import ALIAS, is_interruption
from weft._payloads.references import reference_to

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    type Guard = tuple[Callable[[Any], tuple[object, ...]], object, tuple[object, ...]]
    """How to read what something holds, the thing, and what that gave."""

__all__ = ["Incomparable", "Look", "Surroundings", "has_attributes_only", "likeness", "reduced_of"]

PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes})

# Classes whose objects stay what they are, by name: a worker need not import them to know.
SETTLED = frozenset(
    {
        *("re.Pattern", "enum.Enum", "pathlib.PurePath", "pathlib._local.PurePath", "decimal.Decimal", "uuid.UUID"),
        *("datetime.date", "datetime.time", "datetime.timedelta", "datetime.timezone", "fractions.Fraction"),
        *("zoneinfo.ZoneInfo", "logging.Logger", "builtins.range", "builtins.slice", "builtins.ellipsis"),
    }
)

WRAPPING = ("functools", "weft.pipelines._node")

MOST = 100_000  # values in one global that are looked at one by one
MOST_BYTES = 1 << 26
MOST_FUNCTIONS = 1000


class Incomparable(Exception):
    """Something that cannot be told from another one of its kind.

    Attributes:
        thing: What.
        why: None: it is of a kind that has an identity, such as a lock.
    """

    def __init__(self, thing: object, why: str | None = None) -> None:
        super().__init__(why)
        self.thing = thing
        self.why = why


class Look:
    """Looks at values: what tells them from others, which functions and classes are in them, and what of it can change.

    Args:
        is_own: Whether what is in a module of this name is to be looked into.

    Attributes:
        functions: Those that were come by, of modules that are to be looked into.
        kinds: The same for classes.
        guards: What can change, and how it was.
    """

    def __init__(self, is_own: "Callable[[str], bool]") -> None:
        self.functions: list[FunctionType] = []
        self.kinds: list[type] = []
        self.guards: list[Guard] = []
        self._is_own = is_own
        self._left = MOST
        self._bytes_left = MOST_BYTES
        self._path: set[int] = set()

    def digest(self, value: object) -> bytes:
        """What tells a value from others.

        Raises:
            Incomparable: Nothing does, or it is too large to be worth it.
        """
        return _hashed(self._at(value))

    def digest_of_code(self, function: FunctionType) -> bytes:
        """What tells a function from others, wherever it is and whatever it is called: its code and defaults."""
        defaults = self.digest((function.__defaults__, function.__kwdefaults__))
        return _hashed(b"code and defaults", self._at_code(function.__code__), defaults)

    def _at(self, value: object) -> bytes:
        kind = type(value)
        if kind in PLAIN:
            plain: Any = value
            return self._weighed(dumps(plain, 2))
        self._left -= 1
        if self._left < 0 or len(self._path) > 200:
            raise Incomparable(value, "is too large to be looked at")
        if isinstance(value, type):
            return self._at_class(value)
        if isinstance(value, ModuleType):
            return b"module " + value.__name__.encode()
        if isinstance(value, FunctionType):
            return self._at_function(value)
        if id(value) in self._path:  # it is in itself
            return b"again"
        self._path.add(id(value))
        try:
            return self._at_object(value, kind)
        finally:
            self._path.discard(id(value))

    def _at_object(self, value: "Any", kind: type) -> bytes:
        if kind is tuple or kind is frozenset:
            return self._at_items(kind.__name__, value)
        if kind is list or kind is set:
            self.guards.append((tuple, value, tuple(value)))
            return self._at_items(kind.__name__, value)
        if kind is dict:
            entries = _entries(value)
            self.guards.append((_entries, value, entries))
            return self._at_items("dict", entries)
        if kind is bytearray:
            self.guards.append((_content, value, _content(value)))
            return b"bytearray" + self._weighed(bytes(value))
        if kind is MethodType:
            return _hashed(b"method", self._at(value.__func__), self._at(value.__self__))
        wrapped = getattr(value, "__wrapped__", None) if kind.__module__ in WRAPPING else None
        if type(wrapped) is FunctionType:  # functools.lru_cache, or a node of a pipeline
            return _hashed(b"wrapped", self._at(wrapped))
        if kind is BuiltinFunctionType and not isinstance(value.__self__, ModuleType | type | None):
            return _hashed(b"method", value.__name__.encode(), self._at(value.__self__))
        if kind.__qualname__ == "ContextVar":
            return b"context variable " + value.name.encode()
        if kind.__qualname__ == "mappingproxy":
            entries = _entries(value)
            self.guards.append((_entries, value, entries))
            return self._at_items("view", entries)
        reference = reference_to(value) if kind.__module__ == "builtins" else None
        if reference is not None:  # a function of C
            return b"named " + reference.encode()
        return self._at_instance(value, kind)

    def _at_items(self, kind: str, items: "Any") -> bytes:
        if PLAIN.issuperset(map(type, items)):
            if kind not in ("set", "frozenset"):
                return _hashed(kind.encode(), self._weighed(dumps(tuple(items), 2)))
            parts = [dumps(item, 2) for item in items]
            self._weighed(b"".join(parts))
        else:
            parts = [_hashed(self._at(item)) for item in tuple(items)]
        if kind in ("set", "frozenset"):
            parts.sort()
        return _hashed(kind.encode(), *parts)

    def _at_class(self, kind: type) -> bytes:
        if self._is_own(kind.__module__):
            self.kinds.append(kind)
        return f"class {_module(kind.__module__)}:{kind.__qualname__}".encode()

    def _at_function(self, function: FunctionType) -> bytes:
        name = f"function {_module(function.__module__)}:{function.__qualname__}".encode()
        if not self._is_own(function.__module__) or id(function) in self._path:
            return name
        self.functions.append(function)
        self._path.add(id(function))
        try:
            defaults = self._at((function.__defaults__, function.__kwdefaults__))
            return _hashed(name, self._at_code(function.__code__), defaults)
        finally:
            self._path.discard(id(function))

    def _at_code(self, code: CodeType) -> bytes:
        constants = (self._at_code(one) if isinstance(one, CodeType) else self._at(one) for one in code.co_consts)
        return _hashed(b"code", code.co_code, dumps((code.co_names, code.co_freevars), 2), *constants)

    def _at_instance(self, value: "Any", kind: type) -> bytes:
        if kind is object:
            raise Incomparable(value)
        name = self._at_class(kind)
        reduced = reduced_of(value)  # which refuses what holds more than Python can see
        if has_attributes_only(kind):
            attributes = _attributes(value)
            if not _is_frozen(kind):
                self.guards.append((_attributes, value, attributes))
            return _hashed(name, self._at_items("attributes", attributes))
        guards = len(self.guards)
        made = _hashed(name, *map(self._at, reduced))
        # Its parts were made for this: what it holds is looked at anew each time.
        del self.guards[guards:]
        if not _is_settled(kind):
            self.guards.append((self._again, value, (made,)))
        return made

    def _again(self, value: object) -> tuple[object, ...]:
        return (Look(self._is_own)._at_instance(value, type(value)),)

    def _weighed(self, data: bytes) -> bytes:
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            raise Incomparable(data, "is too large to be looked at")
        return data


class Surroundings:
    """What a function, and what it names in turn, finds around it.

    Args:
        roots: The function; the class of the object that it is bound to, likewise.
        by_name: Whether a worker finds it by its name, so that the variables around it are the worker's own.

    Attributes:
        values: What was found, by label.
        digests: What tells it from something else, by label.
        guards: What of it can change, by label; that another thing takes its place not included.
        readers: The functions that look it up, and by which name, by label.
        imports: Modules that functions import when they run, and have imported.
        objections: What would differ elsewhere, whatever it is now.
        looked_into: The functions that were found, and methods of classes that were.
    """

    def __init__(self, roots: "Iterable[object]", *, by_name: bool) -> None:
        functions = [root for root in roots if type(root) is FunctionType]
        kinds = [root for root in roots if isinstance(root, type)]
        modules = [one.__module__ for one in (*functions, *kinds)]
        self._root = modules[0] if modules and type(modules[0]) is str else ""
        self._own: dict[str, bool] = {}
        self._is_stdlib = _top(self._root) in sys.stdlib_module_names
        self.values: dict[str, object] = {}
        self.digests: dict[str, bytes] = {}
        self.guards: dict[str, list[Guard]] = {}
        self._places: dict[str, Guard] = {}  # where it was found
        self._globals: dict[int, tuple[dict[str, Any], list[str], list[object]]] = {}
        self.readers: dict[str, list[tuple[FunctionType, str]]] = {}
        self.imports: dict[str, None] = {}
        self.objections: list[str] = []
        self.looked_into: list[FunctionType] = []
        roots = tuple(functions)
        seen: set[object] = {root.__code__ for root in roots}
        for root in roots:
            self._look_into(root, functions, kinds, by_name=by_name)
        # The lists grow while they are gone through.
        for kind, function in _growing(kinds, functions):
            if kind is not None and kind not in seen:
                seen.add(kind)
                self._look_into_class(kind, functions, kinds)
            if function is not None and function.__code__ not in seen and len(seen) < MOST_FUNCTIONS:
                seen.add(function.__code__)
                self._look_into(function, functions, kinds)

    def changed(self) -> bool:
        """Whether something is not the very thing that it was."""
        try:
            return not (
                all(all(map(is_, map(names.get, own), seen)) for names, own, seen in self._globals.values())
                and all(_same(read(thing), seen) for read, thing, seen in self._places.values())
                and all(_same(read(thing), seen) for guards in self.guards.values() for read, thing, seen in guards)
            )
        except Exception:  # changed while it was read, or not there any more
            return True

    def is_own(self, module: str) -> bool:
        """Whether what is in that module is to be looked into."""
        found = self._own.get(module)
        if found is None:
            found = self._own[module] = not self._is_stdlib and self._find_out(module)
        return found

    def _find_out(self, module: str) -> bool:
        if type(module) is not str:
            return False
        top = _top(module)
        if module in ("__main__", ALIAS) or top == _top(self._root):
            return True
        file = getattr(sys.modules.get(module), "__file__", None)
        installed = type(file) is not str or "site-packages" in file or "dist-packages" in file
        return not installed and top not in sys.stdlib_module_names

    def _look_into(
        self, fn: FunctionType, functions: "list[FunctionType]", kinds: "list[type]", *, by_name: bool = True
    ) -> None:
        self.looked_into.append(fn)
        for code in codes(fn.__code__):
            self.objections += [
                f"it assigns to {name!r}, which is not its own" for name in dict.fromkeys(assigned(code))
            ]
            self.imports |= dict.fromkeys(name for name in code.co_names if name in sys.modules)
        for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
            content = _content_of_cell(cell)
            if not by_name:
                self._come_by(content, functions, kinds)
                continue
            label = f"the variable {name!r} around {fn.__qualname__}"
            while label in self.values:  # of another function of the same name
                label += "'"
            self._places[label] = (_content_of_cell, cell, content)
            self._look_at(label, content, functions, kinds)
        names = fn.__globals__
        if not self.is_own(names.get("__name__", "")):
            return
        for code in codes(fn.__code__):
            for name in code.co_names:
                if name not in names or (name.startswith("__") and name.endswith("__")):
                    continue
                value = names[name]
                self._look_at_global(fn, name, names, name, functions, kinds)
                if isinstance(value, ModuleType) and self.is_own(value.__name__):
                    # Names of attributes are names of the code too: which of them are the module's, nothing tells.
                    for attribute in code.co_names:
                        if attribute in value.__dict__ and not attribute.startswith("__"):
                            at = f"{name}.{attribute}"
                            self._look_at_global(fn, attribute, value.__dict__, at, functions, kinds)

    def _look_at_global(
        self,
        fn: FunctionType,
        name: str,
        names: "dict[str, Any]",
        called: str,
        functions: "list[FunctionType]",
        kinds: "list[type]",
    ) -> None:
        """One global; `called` is what the function's source calls it."""
        module = names.get("__name__", "")
        label = f"the global {name!r}" if module == self._root else f"the global {name!r} of {_module(module)}"
        readers = self.readers.setdefault(label, [])
        if (fn, called) not in readers:
            readers.append((fn, called))
        if label not in self.digests:
            _, own, seen = self._globals.setdefault(id(names), (names, [], []))
            own.append(name)
            seen.append(names[name])
            self._look_at(label, names[name], functions, kinds)

    def _come_by(self, value: object, functions: "list[FunctionType]", kinds: "list[type]") -> None:
        """Looks into the functions of something that goes along with the function."""
        look = Look(self.is_own)
        with suppress(Exception):  # it is pickled or refused
            look.digest(value)
        functions += look.functions
        kinds += look.kinds

    def _look_into_class(self, kind: type, functions: "list[FunctionType]", kinds: "list[type]") -> None:
        kinds += [base for base in kind.__mro__ if self.is_own(base.__module__)]
        if any(f"{base.__module__}.{base.__qualname__}" in SETTLED for base in kind.__mro__):
            return
        attributes: list[tuple[str, object]] = list(vars(kind).items())
        for name, value in attributes:
            parts = [
                getattr(value, "__func__", value),
                *(getattr(value, part, None) for part in ("fget", "fset", "fdel")),
            ]
            functions += [part for part in parts if type(part) is FunctionType and self._is_written_here(part)]
            if name.startswith(("__", "_abc_")) or hasattr(value, "__get__"):
                continue
            label = f"the attribute {kind.__qualname__}.{name}"
            self._places[label] = (_value_in_class(name), kind, (value,))
            self._look_at(label, value, functions, kinds)

    def _is_written_here(self, function: FunctionType) -> bool:
        """Not for those that dataclasses and their like have made, which do nothing else."""
        module = function.__globals__.get("__name__", "")
        return (
            self.is_own(module) and function.__code__.co_filename != "<string>" and "annotate" not in function.__name__
        )

    def _look_at(self, label: str, value: object, functions: "list[FunctionType]", kinds: "list[type]") -> None:
        look = Look(self.is_own)
        self.values[label] = value
        try:
            self.digests[label] = look.digest(value)
        except Incomparable as error:
            self.digests[label] = b""
            if error.why is None:
                holds = "" if error.thing is value else ", which holds"
                self.objections.append(
                    f"it uses {label}{holds}, a {type(error.thing).__name__} that may have to be this one"
                )
            else:
                self.objections.append(f"it uses {label}, which {error.why}")
        except Exception as error:  # changed while it was looked at
            self.digests[label] = b""
            self.objections.append(f"it uses {label}, which cannot be looked at: {type(error).__name__}: {error}")
        self.guards[label] = look.guards
        functions += look.functions
        kinds += look.kinds


def likeness(roots: "tuple[object, ...]", by_name: bool, imports: "tuple[str, ...]") -> dict[str, bytes]:
    """What a function finds around it in this interpreter: digests by label.

    Raises:
        ImportError: It imports a module when it runs, which cannot be had here.
    """
    for name in imports:
        __import__(name)
    return Surroundings(roots, by_name=by_name).digests


def codes(code: CodeType) -> "Iterator[CodeType]":
    """A function's code, and that of what is defined inside of it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def assigned(code: CodeType) -> "Iterator[str]":
    """Names of globals, and of variables of an enclosing function, that it assigns to or deletes."""
    from dis import get_instructions

    for instruction in get_instructions(code):
        if instruction.opname in ("STORE_GLOBAL", "DELETE_GLOBAL") or (
            instruction.opname in ("STORE_DEREF", "DELETE_DEREF") and instruction.argval in code.co_freevars
        ):
            yield instruction.argval


def _growing(
    kinds: "list[type]", functions: "list[FunctionType]"
) -> "Iterator[tuple[type | None, FunctionType | None]]":
    at = 0
    while at < max(len(kinds), len(functions)):
        yield (kinds[at] if at < len(kinds) else None), (functions[at] if at < len(functions) else None)
        at += 1


def reduced_of(value: object) -> "Iterable[object]":
    """What pickle would make it anew of."""
    try:
        by_kind: Any = dispatch_table.get(type(value))
        reduced: Any = value.__reduce_ex__(4) if by_kind is None else by_kind(value)
    except BaseException as error:
        if is_interruption(error):
            raise
        raise Incomparable(value) from error
    if type(reduced) is str:
        return (reduced,)
    return [list(part) if index > 2 and part is not None else part for index, part in enumerate(reduced[:5])]


def has_attributes_only(kind: type) -> bool:
    """Whether all that an object of it holds is in attributes, and it is pickled by them."""
    by_default: Any = kind
    return (
        kind not in dispatch_table
        and by_default.__reduce_ex__ is object.__reduce_ex__
        and by_default.__reduce__ is object.__reduce__
        and (by_default.__getstate__ is object.__getstate__ or _is_frozen(kind))  # which may have one for its slots
        and all(base is object or base.__flags__ & (1 << 9) for base in kind.__mro__)
    )


def _is_frozen(kind: type) -> bool:
    return bool(getattr(getattr(kind, "__dataclass_params__", None), "frozen", False))


def _is_settled(kind: type) -> bool:
    return any(f"{base.__module__}.{base.__qualname__}" in SETTLED for base in kind.__mro__)


def _attributes(value: object) -> tuple[object, ...]:
    """Names and values of what an object holds."""
    found: list[object] = list(_entries(getattr(value, "__dict__", {})))
    for base in type(value).__mro__:
        slots: Any = base.__dict__.get("__slots__", ())
        for name in (slots,) if type(slots) is str else slots:
            if name not in ("__dict__", "__weakref__"):
                private = name.startswith("__") and not name.endswith("__")
                name = f"_{base.__name__.lstrip('_')}{name}" if private else name
                found += [name, getattr(value, name, None)]
    return tuple(found)


def _entries(table: "dict[Any, Any]") -> tuple[object, ...]:
    return (*table, *table.values())


def _content(data: bytearray) -> tuple[object, ...]:
    return (bytes(data),)


def _content_of_cell(cell: "Any") -> tuple[object, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # not assigned yet
        return ()


def _value_in_class(name: str) -> "Callable[[Any], tuple[object, ...]]":
    def value(kind: type) -> tuple[object, ...]:
        return (vars(kind)[name],)

    return value


def _same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    """The very same objects: ``==`` would run the caller's code, and find 1 and True alike."""
    if len(one) != len(other):
        return False
    return all(map(is_, one, other)) or all(
        a is b or (type(a) is bytes and a == b) for a, b in zip(one, other, strict=True)
    )


def _hashed(kind: bytes, *parts: bytes) -> bytes:
    state = blake2b(kind, digest_size=16)
    for part in parts:
        state.update(len(part).to_bytes(8) + part)
    return state.digest()


def _top(module: str) -> str:
    return module.partition(".")[0]


def _module(name: str) -> str:
    return "__main__" if name == ALIAS else name
