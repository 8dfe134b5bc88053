"""The functions that calls name by number: one table for each pool, or one for all.

A function that its name leads to is known by identity: after the first time, its number costs a dict look-up, and
nothing is pickled. One that goes by value is known by its content: what it captured may have changed since, and then
it has to be sent anew. Where all that it captured is plain and unchanged, it is not pickled to find that out.

Invariants:
- A number belongs to one definition for ever, and equal definitions have one number.
- A definition stays while a function lives that has it. After that it is one of `kept` idle ones, the oldest of
  which make room. `numbered` gives number and definition at once, for a caller that is to hold a definition for
  as long as a call that names it is on its way.
- Memory is bounded by the living functions and the idle definitions (by count and by bytes).

Any thread may call everything here, on both builds. A look-up that finds its function takes no lock: it reads one
dict, whose entries are never changed after they are put in. The rest holds the table's lock, but never while
cloudpickle runs the caller's code. Weak references report a function's end at any moment, also within the lock: so
they only append to a list, which the next one to hold the lock empties. A collection may run the caller's ``__del__``
there too, which may submit something: so the lock is one that its holder can take again, and each step that is done
under it holds even if that happens before the next.

There is nothing to close: a table ends when it is dropped.
Not a `WeakKeyDictionary`: it compares keys with ``==``, and is not made for threads without the GIL.
Pinned by tests/payloads/test_functions.py.
"""

from collections import OrderedDict, deque
from threading import RLock
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Final, cast
from weakref import ref

from weft._payloads.culprits import payload_error
from weft._payloads.main_module import is_interruption
from weft._payloads.references import dump_by_value, reference_to

__all__ = ["FunctionTable"]

KEPT: Final = 1024
KEPT_BYTES: Final = 64 * 1024 * 1024

PLAIN: Final = frozenset({type(None), bool, int, float, complex, str, bytes})

type Captured = tuple[object, ...]


class _Definition:
    """What a worker makes one function of. All but the constants are the table's, under its lock."""

    __slots__ = ("living", "number", "payload")

    def __init__(self, number: int, payload: bytes) -> None:
        self.number: Final = number
        self.payload: Final = payload
        self.living = 0  # functions that have it


class _Known:
    """What was found out about one living function. Never changed."""

    __slots__ = ("captured", "definition", "function", "names")

    def __init__(
        self,
        function: "ref[object] | _Always",
        definition: _Definition,
        names: tuple[str, ...] = (),
        captured: Captured | None = (),
    ) -> None:
        self.function: Final = function
        self.definition: Final = definition
        self.names: Final = names  # the globals that its code may use
        self.captured: Final = captured  # None: something in it can change unseen


class _Always:
    """Stands for a weak reference to what can have none."""

    __slots__ = ("thing",)

    def __init__(self, thing: object) -> None:
        self.thing: Final = thing

    def __call__(self) -> object:
        return self.thing


class FunctionTable:
    """Gives functions numbers, and tells what a worker is to make of a number.

    Args:
        kept: How many definitions are kept whose function is gone.
        kept_bytes: How many bytes these may have together.
    """

    def __init__(self, kept: int = KEPT, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept = kept
        self._kept_bytes = kept_bytes
        self._lock = RLock()
        self._known: dict[int, _Known] = {}  # by the identity of the function
        self._by_number: dict[int, _Definition] = {}
        self._by_payload: dict[bytes, _Definition] = {}
        self._idle: OrderedDict[int, _Definition] = OrderedDict()
        self._idle_bytes = 0
        self._next = 1  # 0 is for calls that bring their callable along
        self._ended: deque[tuple[int, ref[object]]] = deque()

    def number(self, fn: object) -> int | None:
        """The number of a function or class; None for other callables, which go along with each call.

        A `functools.partial`, a bound method or a callable object has a state of its own, which may differ in the
        next call. They are what call number 0 is for.

        Raises:
            MissingDependency: It can only go by value, and cloudpickle is not installed.
            PayloadError: It can only go by value, and something that it captured cannot be pickled.
        """
        numbered = self.numbered(fn)
        return None if numbered is None else numbered[0]

    def definition(self, number: int) -> bytes:
        """What a worker's `load_function` makes the function of.

        Raises:
            KeyError: No function with this number lives, and so many came after it that it is forgotten.
        """
        return self._by_number[number].payload

    def numbered(self, fn: object) -> tuple[int, bytes] | None:
        """Number and definition at once; see `number` and `definition`."""
        known = self._known.get(id(fn))
        if known is None or known.function() is not fn:
            known = self._learn(fn)
            if known is None:
                return None
        elif known.captured != ():  # by value
            assert isinstance(fn, FunctionType | type)
            if known.captured is None or not _same(known.captured, _gathered(fn, known.names)):
                known = self._learn_by_value(fn)
        return known.definition.number, known.definition.payload

    def _learn(self, fn: object) -> _Known | None:
        reference = reference_to(fn)
        if reference is not None:
            return self._remember(fn, reference.encode(), (), ())
        if isinstance(fn, FunctionType | type):
            return self._learn_by_value(fn)
        return None

    def _learn_by_value(self, fn: FunctionType | type) -> _Known:
        # Its code is part of what a function captured, so that an empty tuple can mean "by name".
        names = _names_in(fn.__code__) if isinstance(fn, FunctionType) else ()
        # Before it is pickled: what changes meanwhile is seen the next time.
        captured = _gathered(fn, names)
        if captured is not None and not all(map(_is_settled, captured)):
            captured = None
        return self._remember(fn, _pickled(fn), names, captured)

    def _remember(self, fn: object, payload: bytes, names: tuple[str, ...], captured: Captured | None) -> _Known:
        identity = id(fn)
        ended = self._ended
        try:
            function = ref(fn, lambda gone: ended.append((identity, gone)))
        except TypeError:
            function = _Always(fn)
        with self._lock:
            self._bury_lock_held()
            definition = self._by_payload.get(payload)
            if definition is None:
                definition = _Definition(self._next, payload)
                self._next += 1
                self._by_number[definition.number] = self._by_payload[payload] = definition
            elif self._idle.pop(definition.number, None) is not None:
                self._idle_bytes -= len(payload)
            definition.living += 1
            replaced = self._known.get(identity)
            known = self._known[identity] = _Known(function, definition, names, captured)
            if replaced is not None:
                self._release_lock_held(replaced.definition)
            return known

    def _bury_lock_held(self) -> None:
        """Forgets the functions that have ended, and the oldest definitions that nobody has any more."""
        while self._ended:
            identity, gone = self._ended.popleft()
            known = self._known.get(identity)
            # Another function may have its address by now.
            if known is not None and known.function is gone:
                del self._known[identity]
                self._release_lock_held(known.definition)

    def _release_lock_held(self, definition: _Definition) -> None:
        definition.living -= 1
        if definition.living:
            return
        self._idle[definition.number] = definition
        self._idle_bytes += len(definition.payload)
        while self._idle and (len(self._idle) > self._kept or self._idle_bytes > self._kept_bytes):
            _, oldest = self._idle.popitem(last=False)
            self._idle_bytes -= len(oldest.payload)
            del self._by_number[oldest.number]
            if self._by_payload.get(oldest.payload) is oldest:
                del self._by_payload[oldest.payload]


def _pickled(fn: FunctionType | type) -> bytes:
    """A function by value; the caller's code may run (``__reduce__`` of what it captured)."""
    from weft.errors import MissingDependency

    last: object = fn

    def see(thing: object) -> None:
        nonlocal last
        last = thing

    try:
        return dump_by_value(fn, see)
    except BaseException as error:
        if is_interruption(error) or isinstance(error, MissingDependency):
            raise
        raise payload_error(error, last, {"fn": fn}, task=fn.__qualname__) from error


def _names_in(code: CodeType) -> tuple[str, ...]:
    """What a function's code, and that of functions in it, may look up among the globals."""
    names = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= dict.fromkeys(_names_in(constant))
    return tuple(names)


def _gathered(fn: FunctionType | type, names: tuple[str, ...]) -> Captured | None:
    """What a function by value takes along; None where that is not all in places that can be compared.

    Annotations are left out: to read them may run code, and they do not change.
    """
    if isinstance(fn, type) or fn.__dict__ or fn.__kwdefaults__:
        return None
    try:
        cells = [cell.cell_contents for cell in fn.__closure__ or ()]
    except ValueError:  # one is empty yet
        return None
    values = fn.__globals__
    used = [values.get(name) for name in names]
    return (fn.__code__, fn.__name__, fn.__qualname__, fn.__doc__, *(fn.__defaults__ or ()), *cells, *used)


def _is_settled(value: object) -> bool:
    """Whether a value stays what it is, or goes by name."""
    kind = type(value)
    if kind in PLAIN or kind is CodeType or kind is ModuleType or kind is BuiltinFunctionType:
        return True
    if kind is tuple:
        return all(map(_is_settled, cast("tuple[object, ...]", value)))
    return (kind is FunctionType or kind is type) and reference_to(value) is not None


def _same(one: Captured, other: Captured | None) -> bool:
    """Whether both hold the very same objects: `==` would run the caller's code, and find 1 and True alike."""
    return other is not None and len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
