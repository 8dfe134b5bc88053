"""What frames carry: calls, values and failures, packed by one side and unpacked by the other.

What is plain and not large goes as `marshal` writes it, everything else as a pickle with its buffers out of band, by
the pickler of the pools (weft._payloads). A function crosses once for each actor and is a number from then on.
Any thread. A value that cannot cross is a `PayloadError` that names the path to the culprit.
Pinned by tests/actors/test_calls.py.
"""

from __future__ import annotations

import marshal
from _pickle import PickleBuffer
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from weft._payloads.culprits import payload_error
from weft._payloads.failures import RemoteTraceback, load_failure
from weft._payloads.pickling import dump, load
from weft._payloads.references import look_up, reference_to
from weft.actors._frames import MOST_BUFFERS, Buffer
from weft.actors._memory import LEAST
from weft.errors import PayloadError, RemoteActorError, RemoteError

__all__ = ["load_function", "module_of", "pack", "pack_call", "pack_function", "remote_error", "unpack", "unpack_call"]

_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes})
_PICKLE = 0x80  # the first byte of a pickle, which is none of marshal's


def pack(value: object, what: str = "result") -> tuple[bytes, Sequence[Buffer]]:
    """A value in bytes, and the buffers that go beside them.

    Args:
        value: The value.
        what: The expression that stands for it in the message of an error.

    Raises:
        PayloadError: It cannot be pickled.
    """
    if type(value) in _PLAIN and not _is_large(value):
        return marshal.dumps(cast("Any", value)), ()
    return _dump(_beside(value), {what: value})


def pack_call(function: int, kwargs: Mapping[str, object], task: str) -> tuple[bytes, Sequence[Buffer]]:
    """A call in bytes.

    Raises:
        PayloadError: An argument cannot be pickled.
    """
    if _PLAIN.issuperset(map(type, kwargs.values())) and not any(map(_is_large, kwargs.values())):
        return marshal.dumps((function, tuple(kwargs), *cast("Any", kwargs.values()))), ()
    call = (function, tuple(kwargs), *map(_beside, kwargs.values()))
    return _dump(call, {f"kwargs[{name!r}]": value for name, value in kwargs.items()}, task)


def _dump(thing: object, roots: Mapping[str, object], task: str | None = None) -> tuple[bytes, Sequence[Buffer]]:
    pickled: list[Any] = []
    data, culprit, error = dump(thing, pickled)
    if len(pickled) > MOST_BUFFERS:
        pickled = []
        data, culprit, error = dump(thing, None)
    if data is None:
        assert error is not None
        raise payload_error(error, culprit, roots, task=task) from error
    return data, [buffer.raw() for buffer in pickled]


class _Beside:
    """Stands for bytes in a pickle, which would take them in, and has them go beside it."""

    __slots__ = ("data",)

    def __init__(self, data: bytes | bytearray) -> None:
        self.data = data

    def __reduce_ex__(self, _protocol: object, /) -> Any:
        return type(self.data), (PickleBuffer(self.data),)


def _is_large(value: object) -> bool:
    return type(value) in (bytes, bytearray) and len(cast("bytes", value)) >= LEAST


def _beside(value: object) -> object:
    return _Beside(cast("bytes", value)) if _is_large(value) else value


def unpack(head: Buffer, buffers: Sequence[Buffer], what: str) -> Any:
    """The value of `pack`.

    Raises:
        PayloadError: It cannot be rebuilt here.
    """
    if head[0] != _PICKLE:
        return marshal.loads(head)
    try:
        return load(head if isinstance(head, bytes) else memoryview(head), buffers)
    except Exception as error:
        raise PayloadError(
            f"{what} cannot be rebuilt here: {type(error).__name__}: {error}; send what this side can import and make"
        ) from error


def unpack_call(head: Buffer, buffers: Sequence[Buffer]) -> tuple[int, dict[str, Any]]:
    """The number of the function, and the arguments."""
    function, names, *values = unpack(head, buffers, "an argument")
    return function, dict(zip(names, values, strict=True))


def module_of(fn: Callable[..., object]) -> str:
    """The module that a function says it is from."""
    return str(getattr(fn, "__module__", None) or "")


def pack_function(fn: Callable[..., object]) -> bytes:
    """What an actor is to make a function of: its name, where that leads to it, else its value.

    Raises:
        PayloadError: It cannot go by value.
    """
    reference = reference_to(fn)
    if reference is not None:
        return reference.encode()
    data, culprit, error = dump(fn, None)
    if data is None:
        assert error is not None
        raise payload_error(error, culprit, {"fn": fn}) from error
    return data


def load_function(definition: Buffer) -> Callable[..., Any]:
    """The function; raises what finding it raises."""
    data = bytes(definition)
    found: Any = load(data) if data[0] == _PICKLE else look_up(data.decode())
    return found


def remote_error(failure: Buffer, path: Sequence[str]) -> RemoteActorError:
    """What an actor raised, as its parent's side sees it; the exception itself is the cause."""
    cause = load_failure(bytes(failure))
    traceback = None
    link: BaseException | None = cause
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        if isinstance(link, RemoteTraceback):
            traceback = link.tb
            break
        seen.add(id(link))
        link = link.__cause__ or link.__context__
    if isinstance(cause, RemoteError) and cause.type_name:
        name = cause.type_name
    else:
        kind = type(cause)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    error = RemoteActorError(
        f"actor {'/'.join(path)!r} raised {name}: {cause}", path=path, type_name=name, traceback=traceback
    )
    error.__cause__ = cause
    return error
