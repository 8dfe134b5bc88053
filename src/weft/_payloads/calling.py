"""Calls, results and failures, as the caller sees them: the core calls these in the interpreter that submits.

A call of a function without a number is number 0, and its first value is what to call.

Any thread may call everything here; nothing is kept. A failure to pickle is a `PayloadError` that names the path to
the culprit. KeyboardInterrupt, MemoryError and weft's own `Interrupted` pass as they are.
Pinned by tests/payloads/test_calls.py and tests/payloads/test_failures.py.
"""

from collections.abc import Sequence
from pickle import PickleBuffer

from weft._payloads.culprits import payload_error, short
from weft._payloads.failures import load_failure
from weft._payloads.main_module import is_interruption
from weft._payloads.pickling import dump, load

__all__ = ["pack_call", "unpack_failure", "unpack_result"]


def pack_call(
    number: int, kwnames: tuple[str, ...] | None, values: Sequence[object], *, task: str | None = None
) -> tuple[bytes, list[PickleBuffer]]:
    """A call in bytes, and the buffers that go beside them.

    Args:
        number: The number of the function, or 0 where the first value is what to call.
        kwnames: The names of the keyword arguments, whose values are the last ones.
        values: The positional arguments, then the keyword arguments.
        task: The name of the task, for the message of an error.

    Raises:
        PayloadError: One of the values cannot be pickled; its ``path`` leads there.
    """
    buffers: list[PickleBuffer] = []
    data, culprit, error = dump((number, kwnames, *values), buffers)
    if data is not None:
        return data, buffers
    assert error is not None
    raise payload_error(error, culprit, _roots(number, kwnames, values), task=task) from error


def _roots(number: int, kwnames: tuple[str, ...] | None, values: Sequence[object]) -> dict[str, object]:
    """The values by the expressions that stand for them, in order."""
    names = [f"kwargs[{name!r}]" for name in kwnames or ()]
    positional = len(values) - len(names)
    bring = 1 if number == 0 else 0
    names = ["fn"][:bring] + [f"args[{index}]" for index in range(positional - bring)] + names
    return dict(zip(names, values, strict=True))


def unpack_result(data: bytes | memoryview, buffers: Sequence[object] = ()) -> object:
    """What a task returned.

    Raises:
        PayloadError: It cannot be rebuilt here.
    """
    if data[0] != 0x80:
        from marshal import loads

        return loads(data)
    try:
        return load(data, buffers)
    except BaseException as error:
        if is_interruption(error):
            raise
        from weft.errors import PayloadError

        raise PayloadError(
            f"the result of a task cannot be rebuilt here: {type(error).__name__}: {short(error)}; "
            "return what this side can import and make"
        ) from error


def unpack_failure(data: bytes) -> BaseException:
    """What a task raised, or `RemoteError` for as much of it as cannot be rebuilt; never raises for the former.

    The end of its chain of causes is a `RemoteTraceback`, so that printing it begins with what happened there.
    """
    return load_failure(data)
