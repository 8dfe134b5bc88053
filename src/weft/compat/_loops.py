"""asyncio's ways to a loop, and to its threads, with a thread pool of weft's as the loop's default executor.

The pool belongs to the loop: `shutdown_default_executor` ends it, which asyncio's runners call, or else `close`.
An executor that the program has set stays. All else is asyncio's own, and so is what cancelling means: a call that
runs already goes on (`weft.to_thread` stops it).

Here are asyncio's originals by name: in a program run by ``python -m weft.compat`` those in asyncio are these here.
Pinned by tests/compat/test_asyncio.py, and by CPython's own tests of asyncio.
"""

from __future__ import annotations

import asyncio
from asyncio import Runner as _Runner
from asyncio import new_event_loop as _new_event_loop
from asyncio import to_thread as _to_thread
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextlib import suppress
from contextvars import Context
from typing import Any, Self

from weft.executors.threads import ThreadPoolExecutor

# What asyncio asks a default executor to be. In `concurrent.futures` there may be weft's own class by now.
_Threads = next(base for base in ThreadPoolExecutor.__bases__ if base.__module__ == "concurrent.futures.thread")


def give_pool(loop: asyncio.AbstractEventLoop) -> None:
    """Makes a pool of weft's the default executor of a loop that has none yet."""
    if getattr(loop, "_default_executor", None) is None:
        with suppress(NotImplementedError):  # a loop that runs nothing elsewhere
            loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))


def new_event_loop() -> asyncio.AbstractEventLoop:
    """`asyncio.new_event_loop`, with a pool of weft's as the loop's default executor.

    Example:
        >>> from weft.compat import asyncio
        >>> loop = asyncio.new_event_loop()
        >>> loop.run_until_complete(loop.run_in_executor(None, pow, 2, 10))
        1024
        >>> loop.run_until_complete(loop.shutdown_default_executor())
        >>> loop.close()
    """
    loop = _new_event_loop()
    give_pool(loop)
    return loop


class Runner(_Runner):  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]  # final, says typeshed
    """`asyncio.Runner`, with a pool of weft's as the loop's default executor.

    Example:
        >>> from weft.compat import asyncio
        >>> with asyncio.Runner() as runner:
        ...     runner.run(asyncio.to_thread(pow, 2, 10))
        1024
    """

    _has_pool = False

    def __enter__(self) -> Self:
        super().__enter__()
        self.get_loop()
        return self

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """See `asyncio.Runner.get_loop`."""
        loop = super().get_loop()
        if not self._has_pool:
            give_pool(loop)
            self._has_pool = True
        return loop

    def run[T](self, coro: Coroutine[Any, Any, T], *, context: Context | None = None) -> T:
        """See `asyncio.Runner.run`."""
        if asyncio._get_running_loop() is None:  # else it is refused, and no loop is made
            self.get_loop()
        return super().run(coro, context=context)


def run[T](
    main: Coroutine[Any, Any, T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> T:
    """`asyncio.run`, with a pool of weft's as the loop's default executor.

    Example:
        >>> from weft.compat import asyncio
        >>> asyncio.run(asyncio.to_thread(pow, 2, 10))
        1024
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("asyncio.run() cannot be called from a running event loop")
    with Runner(debug=debug, loop_factory=loop_factory) as runner:
        return runner.run(main)


async def to_thread[**P, T](func: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """`asyncio.to_thread`; a loop without a default executor gets a pool of weft's.

    Example:
        >>> from weft.compat import asyncio
        >>> asyncio.run(asyncio.to_thread(sum, [1, 2, 3]))
        6
    """
    loop = asyncio.get_running_loop()
    if hasattr(loop, "_default_executor"):  # else nobody can tell whether the program has set one
        give_pool(loop)
    return await _to_thread(func, *args, **kwargs)


def set_default_executor(self: Any, executor: Executor) -> None:
    """The loops' method, which takes the standard library's pools of threads and interpreters, and weft's.

    asyncio's own takes instances of what `concurrent.futures.ThreadPoolExecutor` is at that time.
    """
    if not isinstance(executor, _Threads):
        raise TypeError("executor must be ThreadPoolExecutor instance")
    self._default_executor = executor
