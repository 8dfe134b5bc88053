"""Exceptions in bytes and back: a chain or group of them crosses link by link.

Each exception of the graph that ``__cause__``, ``__context__`` and the members of groups make is written by itself, so
that one that cannot cross does not take the others with it. The worker rebuilds each, to see that the caller will
be able to; two ways are tried:

1. as pickle does it (``cls(*args)`` and the attributes, or the class's own ``__reduce__``);
2. without running a Python constructor: the builtin base's ``__new__`` and ``__init__``, ``args`` as they were, and the
   attributes. It is for constructors that take other arguments than ``args`` has, and so raise, or silently do wrong.

What neither gives back arrives as `RemoteError`, with type name, message, notes and traceback as text.

The traceback of the worker comes as the last link of the chain (`RemoteTraceback`), the place of the root cause: it
is what a printed traceback begins with. The stdlib's process pool puts it in ``__cause__`` of the exception itself,
and loses the real one; where there is none, the two are the same. Not a note: notes are the task's own, and come last.

Nothing that an exception does in ``__str__``, ``__repr__``, ``__reduce__`` or its constructor breaks this, and the size
is bounded, however long a chain or message is. Any thread may call it; a worker loads it when a task first fails.
Pinned by tests/payloads/test_failures.py.
"""

# It looks into objects of any type, whose parts have no type that a checker could know.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import marshal
import traceback
from types import BuiltinFunctionType, WrapperDescriptorType
from typing import Any, NamedTuple

from weft._payloads.main_module import ALIAS, is_interruption
from weft._payloads.pickling import dump, load
from weft.errors import RemoteError

__all__ = ["RemoteTraceback", "dump_failure", "load_failure", "remote_traceback"]

MOST = 1000
"""Exceptions of one chain or group that cross."""

PICKLED = 16 * 1024 * 1024
"""Bytes that all of them may have as pickles together."""

MESSAGE, OWN_TEXT, WHOLE_TEXT = 4 * 1024, 8 * 1024, 64 * 1024
"""Characters of a message or note, of the traceback of one exception, and of the whole chain's."""

ORDINARY, REMADE, GROUP = 0, 1, 2


class RemoteTraceback(Exception):
    """The last link of the chain of an exception from another interpreter or process: its traceback there.

    Attributes:
        tb: The text, as the stdlib's process pool calls it.
    """

    def __init__(self, tb: str) -> None:
        super().__init__(tb)
        self.tb = tb

    def __str__(self) -> str:
        return f'\n"""\n{self.tb}"""'


class _Record(NamedTuple):
    """One exception: plain data, so that `marshal` can carry it."""

    pickled: bytes | None  # None: it cannot cross, and `why` says why
    why: str
    type_name: str
    message: str
    notes: tuple[str, ...]
    cause: int | None  # numbers of other records
    context: int | None
    suppress: bool
    members: tuple[int, ...]
    left_out: int  # members for which there was no room
    text: str


# ---- on the worker's side --------------------------------------------------------------------------


def dump_failure(exception: BaseException) -> bytes:
    """An exception with all that it is linked to."""
    exceptions, numbers = _graph(exception)
    whole = _whole_traceback_of(exception)
    alone = len(exceptions) == 1
    left = PICKLED
    records: list[Any] = []
    for each in exceptions:
        pickled, why = _pickled(each)
        if pickled is not None and len(pickled) > left:
            pickled, why = None, f"it has {len(pickled)} bytes as a pickle, which is too much"
        left -= len(pickled or b"")
        members = [numbers.get(id(member)) for member in _members(each)]
        records.append(
            tuple(
                _Record(
                    pickled=pickled,
                    why=_bounded(why, MESSAGE),
                    type_name=_type_name(each),
                    message=_bounded(_str(each), MESSAGE),
                    notes=_notes(each),
                    cause=numbers.get(id(each.__cause__)),
                    context=numbers.get(id(each.__context__)),
                    suppress=each.__suppress_context__,
                    members=tuple(number for number in members if number is not None),
                    left_out=members.count(None),
                    text=_bounded(whole, OWN_TEXT) if alone else _own_traceback_of(each),
                )
            )
        )
    return marshal.dumps((whole, tuple(records)))


def _graph(exception: BaseException) -> tuple[list[BaseException], dict[int, int]]:
    """All exceptions that one leads to, itself first, and the number of each by its identity."""
    exceptions = [exception]
    numbers = {id(exception): 0}
    for each in exceptions:  # grows meanwhile
        for other in (each.__cause__, each.__context__, *_members(each)):
            # One that came from a worker of this worker: its text is in ours.
            if other is None or id(other) in numbers or isinstance(other, RemoteTraceback) or len(exceptions) == MOST:
                continue
            numbers[id(other)] = len(exceptions)
            exceptions.append(other)
    return exceptions, numbers


def _members(exception: BaseException) -> tuple[BaseException, ...]:
    if not isinstance(exception, BaseExceptionGroup):
        return ()
    return _true(exception, BaseExceptionGroup, "exceptions")


def _pickled(exception: BaseException) -> tuple[bytes | None, str]:
    """An exception without its links in bytes that are known to give it back, or None and why not."""
    if isinstance(exception, BaseExceptionGroup):
        message = _true(exception, BaseExceptionGroup, "message")
        return _checked((GROUP, type(exception), message, _own_state(exception)), exception, [RemoteError()])
    pickled, why = _checked((ORDINARY, exception), exception)
    if pickled is not None:
        return pickled, ""
    try:
        reduce = _of_builtin_base(type(exception), "__reduce__")
        reduced: Any = reduce(exception)
        state: dict[str, Any] = dict((reduced[2] if len(reduced) > 2 else None) or {})
        state |= _own_state(exception) or {}
    except BaseException as error:
        if is_interruption(error):
            raise
        return None, f"{type(error).__name__}: {_str(error)}"
    args = _true(exception, BaseException, "args")
    pickled, _ = _checked((REMADE, type(exception), reduced[1], state, args), exception)
    return pickled, why


def _checked(
    shape: tuple[Any, ...], exception: BaseException, members: list[BaseException] | None = None
) -> tuple[bytes | None, str]:
    """The bytes of what `_rebuilt` takes, if that gives the exception back."""
    try:
        pickled, _, error = dump(shape, None)
        if pickled is None:
            assert error is not None
            raise error
        again = _rebuilt(pickled, members)
        if type(again) is not type(exception):
            return None, f"it is rebuilt as {_type_name(again)}"
        if members is None and not _alike(again.args, exception.args):
            return None, "its constructor makes other args of its args"
    except BaseException as error:
        if is_interruption(error):
            raise
        return None, f"{type(error).__name__}: {_str(error)}"
    return pickled, ""


def _true(exception: BaseException, kind: type, name: str) -> Any:
    """An attribute as the builtin class has it, past what a subclass may have made of it."""
    return kind.__dict__[name].__get__(exception)


def _own_state(exception: BaseException) -> dict[str, Any] | None:
    return object.__getattribute__(exception, "__dict__") or None


def _alike(one: object, other: object) -> bool:
    """Whether two objects look the same, as far as can be told without the caller's ``__eq__``."""
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if type(one) in {bool, int, str, bytes}:
        return one == other
    return True


def _type_name(exception: BaseException) -> str:
    kind = type(exception)
    module = kind.__module__
    if module == "builtins":
        return kind.__qualname__
    return f"{'__main__' if module == ALIAS else module}.{kind.__qualname__}"


def _notes(exception: BaseException) -> tuple[str, ...]:
    notes = (_own_state(exception) or {}).get("__notes__")
    if not isinstance(notes, list):
        return ()
    return tuple(_bounded(str.__str__(note), MESSAGE) for note in notes[:100] if isinstance(note, str))


def _str(exception: BaseException) -> str:
    try:
        text = str(exception)
        return str.__str__(text)  # of a subclass of str, which marshal refuses, the text
    except BaseException as error:
        if is_interruption(error):
            raise
        return f"<{type(exception).__name__} whose str raises {type(error).__name__}>"


def _whole_traceback_of(exception: BaseException) -> str:
    """What would be printed of an exception, its chain and its members here."""
    try:
        return _bounded("".join(traceback.format_exception(exception)), WHOLE_TEXT)
    except BaseException as error:  # a `__notes__` or `__cause__` of the class's own
        if is_interruption(error):
            raise
        return _own_traceback_of(exception)


def _own_traceback_of(exception: BaseException) -> str:
    """The same of one exception alone. Not by `traceback`, which goes through all of the chain for each."""
    frames = "".join(traceback.format_tb(_true(exception, BaseException, "__traceback__")))
    header = "Traceback (most recent call last):\n" if frames else ""
    return _bounded(f"{header}{frames}{_type_name(exception)}: {_str(exception)}\n", OWN_TEXT)


def _bounded(text: str, longest: int) -> str:
    """A text with its middle left out where it is too long; the end of a traceback says more than its beginning."""
    if len(text) <= longest:
        return text
    head = longest // 4
    return f"{text[:head]}\n  [... {len(text) - longest} characters left out ...]\n{text[head - longest :]}"


# ---- on both sides ---------------------------------------------------------------------------------


def _rebuilt(pickled: bytes, members: list[BaseException] | None) -> Any:
    way, *shape = load(pickled)
    if way == ORDINARY:
        return shape[0]
    if way == GROUP:
        kind, message, state = shape
        group = _of_builtin_base(kind, "__new__")(kind, message, members)
        if state:
            BaseException.__setstate__(group, state)
        return group
    kind, given, state, args = shape
    exception = _of_builtin_base(kind, "__new__")(kind, *given)
    # OSError, UnicodeError and others read their attributes from what they are given here.
    _of_builtin_base(kind, "__init__")(exception, *given)
    if state:
        BaseException.__setstate__(exception, state)
    exception.args = args
    return exception


def _of_builtin_base(kind: type, name: str) -> Any:
    """A special method of the nearest base that is not made in Python."""
    for base in kind.__mro__:
        method = base.__dict__.get(name)
        if isinstance(method, BuiltinFunctionType | WrapperDescriptorType | type(BaseException.__reduce__)):
            return method
    raise TypeError(f"{kind.__qualname__} has no builtin {name}")


# ---- on the caller's side --------------------------------------------------------------------------


def load_failure(data: bytes) -> BaseException:
    """The inverse of `dump_failure`."""
    whole, plain = marshal.loads(data)
    records = [_Record(*fields) for fields in plain]
    exceptions: dict[int, BaseException] = {}
    for number in range(len(records)):
        _build(number, records, exceptions)
    for number, record in enumerate(records):
        exception = exceptions[number]
        exception.__cause__ = None if record.cause is None else exceptions[record.cause]
        exception.__context__ = None if record.context is None else exceptions[record.context]
        exception.__suppress_context__ = record.suppress
    _append(exceptions[0], RemoteTraceback(whole))
    return exceptions[0]


def _build(number: int, records: list[_Record], exceptions: dict[int, BaseException]) -> BaseException:
    """The exception of a record, after the members of its group; those of a group cannot lead back to it."""
    if number in exceptions:
        return exceptions[number]
    record = records[number]
    members = [_build(member, records, exceptions) for member in record.members]
    exceptions[number] = exception = _stand_in_unless_rebuilt(record, members)
    if members and record.left_out:
        exception.add_note(f"{record.left_out} more exceptions of this group were left out")
    return exception


def _stand_in_unless_rebuilt(record: _Record, members: list[BaseException]) -> BaseException:
    why = record.why
    if record.pickled is not None:
        try:
            exception = _rebuilt(record.pickled, members)
            if isinstance(exception, BaseException):
                return exception
            why = f"it is rebuilt as {type(exception).__name__}"
        except BaseException as error:
            if is_interruption(error):
                raise
            why = f"{type(error).__name__}: {_str(error)}"
    why = f"this stands for {record.type_name}, which could not be rebuilt here: {why}"
    if members:
        # str() of a group ends with the count of its members.
        message = f"{record.type_name}: {record.message.rpartition(' (')[0] or record.message}"
        stand_in = BaseExceptionGroup(message, members)
    else:
        message = f"{record.type_name}: {record.message}" if record.message else record.type_name
        stand_in = RemoteError(message, type_name=record.type_name, traceback=record.text)
    for note in (*record.notes, why):
        stand_in.add_note(note)
    return stand_in


def _append(exception: BaseException, last: RemoteTraceback) -> None:
    """Makes the remote traceback the end of the chain that is printed."""
    seen: set[int] = set()
    while id(exception) not in seen:
        seen.add(id(exception))
        following = exception.__cause__
        if following is None and not exception.__suppress_context__:
            following = exception.__context__
        if following is None:
            # Where the context is hidden, it still is.
            suppress = exception.__suppress_context__
            exception.__cause__ = last
            exception.__suppress_context__ = suppress
            return
        exception = following
    # A chain that leads back to itself has no end.
    exception.add_note(last.tb)


def remote_traceback(exception: BaseException) -> str | None:
    """The traceback that an exception had in its worker, or None if it is from here."""
    following: BaseException | None = exception
    seen: set[int] = set()
    while following is not None and id(following) not in seen:
        if isinstance(following, RemoteTraceback):
            return following.tb
        seen.add(id(following))
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    return exception.traceback if isinstance(exception, RemoteError) else None
