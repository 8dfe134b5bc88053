"""The worker's side: the core calls these in the interpreter or process that runs tasks.

A worker's thread calls them, between tasks; nothing is kept here, but what loading a function or the caller's
``__main__`` leaves in the interpreter. What cannot be rebuilt or pickled is a `PayloadError`; KeyboardInterrupt,
MemoryError and weft's own `Interrupted` pass as they are.

A fresh worker loads this module before its first result: it imports C modules and what it needs of this package.
Pinned by tests/payloads/test_import_time.py, test_calls.py and test_failures.py.
"""

from marshal import loads as load_plain

from weft._payloads.main_module import is_interruption, prepare_main, preparing_main
from weft._payloads.pickling import dump, load
from weft._payloads.references import look_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _pickle import PickleBuffer
    from collections.abc import Callable, Sequence
    from typing import Any

    from weft.errors import PayloadError

    def call_chunk(fn: Callable[..., Any], items: list[Any], star: bool, /) -> tuple[list[Any], BaseException | None]:
        """`_core.call_chunk`, which the core puts here: a worker need not import `_core` for it."""
        ...


__all__ = [
    "load_function",
    "pack_failure",
    "pack_result",
    "prepare_main",
    "preparing_main",
    "unpack_call",
]

PICKLE = 0x80
"""The first byte of a pickle, which is none of marshal's and begins no text."""


def load_function(definition: bytes) -> "Callable[..., Any]":
    """The function that a table of the caller's gave a number; once for each worker.

    Raises:
        PayloadError: It cannot be found or made here.
    """
    try:
        if definition[0] == PICKLE:
            return load(definition)
        function: Any = look_up(definition.decode())
        return function
    except BaseException as error:
        if is_interruption(error):
            raise
        name = "a function" if definition[0] == PICKLE else f"function {definition.decode().replace(':', '.')}"
        raise _cannot_rebuild(error, name, "see that the worker can import what it is made of") from error


def unpack_call(data: "bytes | memoryview", buffers: "Sequence[object]" = ()) -> "tuple[Any, ...]":
    """The number of the function, the names of the keyword arguments or None, and the values.

    Raises:
        PayloadError: A value cannot be rebuilt here.
    """
    if data[0] != PICKLE:
        return load_plain(data)
    try:
        return load(data, buffers)
    except BaseException as error:
        if is_interruption(error):
            raise
        raise _cannot_rebuild(error, "an argument", "pass what the worker can import and make") from error


def _cannot_rebuild(error: BaseException, what: str, remedy: str) -> "PayloadError":
    from weft._payloads.culprits import short
    from weft._payloads.isolation import EXPLAINED, refusing_extension
    from weft.errors import PayloadError

    extension = refusing_extension(error)
    if extension is not None:
        return PayloadError(f"{what} cannot be rebuilt in an interpreter: {EXPLAINED.format(extension)}")
    return PayloadError(f"{what} cannot be rebuilt in the worker: {type(error).__name__}: {short(error)}; {remedy}")


def pack_result(value: object, *, task: str | None = None) -> "tuple[bytes, list[PickleBuffer]]":
    """What a task returned in bytes, and the buffers that go beside them.

    Raises:
        PayloadError: It cannot be pickled; its ``path`` leads to the culprit.
    """
    buffers: list[PickleBuffer] = []
    data, culprit, error = dump(value, buffers)
    if data is not None:
        return data, buffers
    from weft._payloads.culprits import payload_error

    assert error is not None
    raise payload_error(error, culprit, {"result": value}, task=task) from error


def pack_failure(exception: BaseException) -> bytes:
    """What a task raised, for `unpack_failure` of the caller's side. See failures.py."""
    from weft._payloads.failures import dump_failure

    return dump_failure(exception)
