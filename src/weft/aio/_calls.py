"""One call on an executor, awaited: `to_thread`, `to_interpreter`, `to_process`, `run_in_executor`.

And `wrap_future`, for futures that others made.

For an event loop's thread; the work runs where the executor runs it.
Pinned by tests/aio/test_calls.py.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Awaitable, Callable, Generator
from typing import Any, cast

from weft import _core


async def to_thread[**P, T](fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `fn(*args, **kwargs)` on weft's default thread pool, and await its result.

    As `asyncio.to_thread`, under trio too. Context variables are passed on. Cancelling the caller cancels the call; if
    it runs already, `weft.errors.Interrupted` is raised in it, and nobody waits for its end.

    Args:
        fn: the function.
        *args: its arguments.
        **kwargs: its keyword arguments.

    Returns:
        What the function returns.

    Raises:
        TypeError: fn is not callable.
        BaseException: whatever the function raises.

    Example:
        >>> import asyncio, weft
        >>> asyncio.run(weft.to_thread(pow, 2, 10))
        1024
    """
    from weft.futures._default import default_executor

    return await default_executor().submit(fn, *args, **kwargs)


async def to_interpreter[**P, T](fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `fn(*args, **kwargs)` in an interpreter of weft's default pool of them, and await its result.

    Python code runs in parallel there, on a build with a GIL too. Else as `to_thread`; what is passed and returned is
    pickled.

    Args:
        fn: the function.
        *args: its arguments.
        **kwargs: its keyword arguments.

    Returns:
        What the function returns.

    Raises:
        TypeError: fn is not callable.
        weft.errors.FlavorUnavailable: this Python is older than 3.14.
        weft.errors.PayloadError: the function, an argument or the result cannot cross.
        BaseException: whatever the function raises.

    Example:
        >>> import asyncio, weft
        >>> asyncio.run(weft.to_interpreter(pow, 2, 10))  # doctest: +SKIP
        1024
    """
    from weft.futures._default_workers import default_workers

    return await default_workers("interpreters").submit(fn, *args, **kwargs)


async def to_process[**P, T](fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `fn(*args, **kwargs)` in a process of weft's default pool of them, and await its result.

    As `to_interpreter`, for functions that interpreters refuse, and those that may crash.

    Args:
        fn: the function.
        *args: its arguments.
        **kwargs: its keyword arguments.

    Returns:
        What the function returns.

    Raises:
        TypeError: fn is not callable.
        weft.errors.PayloadError: the function, an argument or the result cannot cross.
        weft.errors.WorkerCrashed: the process died.
        BaseException: whatever the function raises.

    Example:
        >>> import asyncio, weft
        >>> asyncio.run(weft.to_process(pow, 2, 10))
        1024
        >>> weft.shutdown()
    """
    from weft.futures._default_workers import default_workers

    return await default_workers("processes").submit(fn, *args, **kwargs)


async def run_in_executor[*Ts, T](
    executor: concurrent.futures.Executor | None, fn: Callable[[*Ts], T], /, *args: *Ts
) -> T:
    """Run `fn(*args)` on an executor, and await its result.

    As the event loop's method of this name, but a coroutine function: the call is submitted when this is awaited.
    Cancelling the caller cancels the call, and interrupts it on weft's own pools.

    Args:
        executor: any `concurrent.futures.Executor`; None for weft's default thread pool.
        fn: the function.
        *args: its arguments.

    Returns:
        What the function returns.

    Raises:
        TypeError: fn is not callable.
        RuntimeError: the executor has been shut down.
        BaseException: whatever the function raises.

    Example:
        >>> import asyncio
        >>> from weft.aio import run_in_executor
        >>> from weft.executors import ThreadPoolExecutor
        >>> with ThreadPoolExecutor(2) as pool:
        ...     asyncio.run(run_in_executor(pool, divmod, 7, 2))
        (3, 1)
    """
    if executor is None:
        from weft.futures._default import default_executor

        executor = default_executor()
    return await wrap_future(executor.submit(fn, *args))


def wrap_future[T](future: concurrent.futures.Future[T] | Awaitable[T], /) -> Awaitable[T]:
    """An awaitable for a future of any executor, under asyncio and under trio.

    A `weft.Future` is one already and comes back as it is, as does anything else that can be awaited. Cancelling the
    task that awaits a future of another library cancels that future, if its work has not begun.

    Args:
        future: a `concurrent.futures.Future`.

    Raises:
        TypeError: it is no future.

    Example:
        >>> import asyncio
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> from weft.aio import wrap_future
        >>> async def main():
        ...     with ThreadPoolExecutor(1) as stdlib:
        ...         return await wrap_future(stdlib.submit(pow, 2, 10))
        >>> asyncio.run(main())
        1024
    """
    if isinstance(cast("object", future), _core.Future) or hasattr(future, "__await__"):
        return cast("Awaitable[T]", future)
    if not isinstance(future, concurrent.futures.Future):
        raise TypeError(f"wrap_future(): future must be a concurrent.futures.Future, not {future!r}")
    return _Wrapped(future)


class _Wrapped[T]:
    """A stdlib future with an `__await__`."""

    __slots__ = ("_future",)

    def __init__(self, future: concurrent.futures.Future[T]) -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, T]:
        return _core.await_future(self._future)

    def __repr__(self) -> str:
        return f"<awaitable {self._future!r}>"
