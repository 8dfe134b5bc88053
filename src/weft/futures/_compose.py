"""`when_all`, `when_any`, `dataflow`, `ready_future`, `shared_future`: futures made of futures.

The work is done in the core (src/weft/_core/future/compose.hpp): no thread waits, and each call makes one future. Here
the inputs are told apart: those of weft are taken as they are; those of the standard library and of asyncio are
mirrored by one of weft's, which settles as they do.

Any thread may call anything. A future of asyncio belongs to its loop, so its callback is added there; its loop has to
run for anything to happen.
Pinned by tests/futures/test_compose.py.
"""

from __future__ import annotations

import concurrent.futures
import sys
from collections.abc import Callable, Iterable
from typing import Any, cast

from weft import _core
from weft.futures._default import default_executor

_Future = _core.Future

type _Input = concurrent.futures.Future[Any]

_WHAT_TO_PASS = "pass futures of weft, concurrent.futures or asyncio, one by one or in a list"


def _is_asyncio_future(value: object) -> bool:
    # Without asyncio imported nobody has one (and `import weft` must not import it).
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio.isfuture(value)


def _mirror_asyncio_future(future: Any) -> _core.Future[Any]:
    """Settles as the future does, on its loop's thread."""
    import asyncio

    loop: asyncio.AbstractEventLoop = future.get_loop()
    settled: _Input = concurrent.futures.Future()
    settled.set_running_or_notify_cancel()

    def tell(done: asyncio.Future[Any]) -> None:
        if done.cancelled():
            settled.set_exception(concurrent.futures.CancelledError())
        elif (error := done.exception()) is not None:
            settled.set_exception(error)
        else:
            settled.set_result(done.result())

    try:
        here = asyncio.get_running_loop() is loop
    except RuntimeError:
        here = False
    if here:
        future.add_done_callback(tell)
    else:
        loop.call_soon_threadsafe(future.add_done_callback, tell)
    return _core.mirror(settled)


def _as_input(value: object) -> _core.Future[Any] | None:
    """The future of weft for a future of any kind; None for another value."""
    if isinstance(value, _core.Future):
        return cast("_core.Future[Any]", value)
    if isinstance(value, concurrent.futures.Future):
        return _core.mirror(cast("_Input", value))
    return _mirror_asyncio_future(value) if _is_asyncio_future(value) else None


def _inputs(function: str, futures: tuple[Any, ...]) -> tuple[list[_core.Future[Any]], list[Any]]:
    """Futures of weft, and the objects of the caller that they stand for."""
    if len(futures) == 1 and _as_iterable(futures[0]) is not None:
        futures = tuple(futures[0])
    inputs: list[_core.Future[Any]] = []
    for position, value in enumerate(futures):
        one = _as_input(value)
        if one is None:
            raise TypeError(f"{function}(): argument {position} is not a future but {value!r}; {_WHAT_TO_PASS}")
        inputs.append(one)
    return inputs, list(futures)


def _as_iterable(value: object) -> Iterable[Any] | None:
    if isinstance(value, (concurrent.futures.Future, str, bytes)) or _is_asyncio_future(value):
        return None
    return cast("Iterable[Any]", value) if isinstance(value, Iterable) else None


def when_all(*futures: Any) -> _core.Future[tuple[Any, ...]]:
    """A future of the results of all of these, in their order.

    The first that fails or is cancelled decides: the future ends as that one did, without waiting for the others, which
    go on. Cancelling it cancels none of them.

    Args:
        *futures: Futures of weft, `concurrent.futures` or asyncio; or one iterable of such. None at all gives `()`.

    Returns:
        The future of the tuple.

    Raises:
        TypeError: An argument is not a future.

    Example:
        >>> import weft
        >>> weft.when_all([weft.async_(pow, 2, n) for n in range(4)]).result()
        (1, 2, 4, 8)
    """
    return _core.when_all(_inputs("when_all", futures)[0])


def when_any(*futures: Any) -> _core.Future[tuple[int, list[Any]]]:
    """A future of which of these is done first: with a result, an exception or cancelled.

    Args:
        *futures: As for `when_all`, but at least one.

    Returns:
        The future of (its index, the futures that were passed, as a list).

    Raises:
        TypeError: An argument is not a future.
        ValueError: There are none, so none would ever be first.

    Example:
        >>> import weft
        >>> first, futures = weft.when_any(weft.async_(pow, 2, 3)).result()
        >>> first, futures[first].result()
        (0, 8)
    """
    inputs, objects = _inputs("when_any", futures)
    if not inputs:
        raise ValueError(f"when_any(): there are no futures, so none can be the first; {_WHAT_TO_PASS}")
    return _core.when_any(inputs, objects)


def dataflow[T](fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> _core.Future[T]:
    """Calls a function on the default pool once the futures among its arguments are done, with their results.

    If one fails or is cancelled, the function is not called and the new future ends in the same way.

    Args:
        fn: What to call.
        *args: Futures of weft, `concurrent.futures` or asyncio, lists or tuples with such in them, and plain values,
            which are passed as they are.
        **kwargs: Likewise.

    Returns:
        The future of what the function returns.

    Raises:
        TypeError: `fn` cannot be called.
        RuntimeError: The interpreter is shutting down.

    Example:
        >>> import weft
        >>> weft.dataflow(max, weft.async_(pow, 2, 3), weft.async_(pow, 3, 2), 5).result()
        9
    """
    if not callable(fn):
        raise TypeError(f"dataflow(): fn must be callable, not {fn!r}; the inputs come after it")
    inputs: list[_core.Future[Any]] = []
    taken: list[Any] = []
    for value in args:
        if isinstance(value, _Future):  # the usual case, without a call
            inputs.append(cast("_core.Future[Any]", value))
            taken.append(value)
        else:
            taken.append(_take_argument(value, inputs))
    if kwargs:
        kwargs = {name: _take_argument(value, inputs) for name, value in kwargs.items()}
    return _core.dataflow(default_executor(), inputs, fn, *taken, **kwargs)


def _take_argument(value: Any, inputs: list[_core.Future[Any]]) -> Any:
    """The argument with futures of weft in place of others; its futures are added to the inputs."""
    if type(value) is list or type(value) is tuple:
        items = cast("list[Any] | tuple[Any, ...]", value)
        before = len(inputs)
        taken = [_take_input(item, inputs) for item in items]
        if len(inputs) == before:
            return items
        return taken if type(items) is list else tuple(taken)
    return _take_input(value, inputs)


def _take_input(value: Any, inputs: list[_core.Future[Any]]) -> Any:
    one = _as_input(value)
    if one is None:
        return value
    inputs.append(one)
    return one


def ready_future[T](value: T) -> _core.Future[T]:
    """A future that is done, with this result.

    Args:
        value: The result.

    Returns:
        The future.

    Example:
        >>> import weft
        >>> weft.ready_future(42).result()
        42
    """
    return _core.ready_future(value)


def shared_future[T](future: concurrent.futures.Future[T]) -> _core.Future[T]:
    """The future of weft that settles as this one does: for `then`, for `await`, and for any number of readers.

    Args:
        future: Of weft: it is returned itself. Of `concurrent.futures` or asyncio: a new future stands for it;
            cancelling that leaves the original alone.

    Returns:
        The future.

    Raises:
        TypeError: It is not a future.

    Example:
        >>> import concurrent.futures, weft
        >>> original = concurrent.futures.Future()
        >>> doubled = weft.shared_future(original).then(lambda future: 2 * future.result())
        >>> original.set_result(21)
        >>> doubled.result()
        42
    """
    one = _as_input(future)
    if one is None:
        raise TypeError(f"shared_future(): {future!r} is not a future; {_WHAT_TO_PASS}")
    return one
