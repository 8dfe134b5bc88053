"""Many futures, awaited together: `await_all`, `await_any`, `as_completed`.

Each call has one mailbox (`_core.Mailbox`) into which the futures put themselves when they are done, and wakes its task
once for all that have arrived, however many there are.

Whose work is stopped: as with `await future`, cancelling the task stops every future of the call that is not done,
except for one that somebody else awaits too. Ending without being cancelled (a failure, a timeout, the first of
`await_any`) stops nothing.
Pinned by tests/aio/test_many.py.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, cast

from weft import _core
from weft.aio._calls import wrap_future
from weft.aio._library import over_within

type AnyFuture[T] = Future[T] | Awaitable[T]
"""A future of ours, of the standard library's executors, or of asyncio."""


async def await_all[T](*futures: AnyFuture[T] | Iterable[AnyFuture[T]]) -> tuple[T, ...]:
    """Await all futures; their results, in order.

    The first failure is raised at once, and the others go on. Cancelling the caller cancels all that are not done.
    One wake-up of the loop for all of them: cheaper than `asyncio.gather`, which makes a task of each.

    Args:
        *futures: futures of weft, of `concurrent.futures` or of asyncio; or one list of such.

    Returns:
        The results; an empty tuple if there are no futures.

    Raises:
        TypeError: something is no future.
        BaseException: whatever the first task to fail raised.

    Example:
        >>> import asyncio
        >>> from weft.aio import await_all
        >>> from weft.executors import ThreadPoolExecutor
        >>> async def main():
        ...     with ThreadPoolExecutor(2) as pool:
        ...         return await await_all(pool.submit(pow, 2, 10), pool.submit(abs, -3))
        >>> asyncio.run(main())
        (1024, 3)
    """
    wanted = _checked("await_all", futures)
    box = _core.Mailbox(fail_fast=True)
    arrived = await _arrived(box, wanted, len(wanted))
    for future in arrived:
        if future.cancelled() or future.exception() is not None:
            await wrap_future(future)  # raises, in the words of the library that runs
    return tuple(future.result() for future in wanted)


async def await_any[T](*futures: AnyFuture[T] | Iterable[AnyFuture[T]]) -> tuple[int, list[AnyFuture[T]]]:
    """Await the first of some futures to be done, in whatever way.

    The others go on. Cancelling the caller cancels all of them.

    Args:
        *futures: futures of weft, of `concurrent.futures` or of asyncio; or one list of such.

    Returns:
        The place of the first one, counted from 0, and the futures as they were given.

    Raises:
        ValueError: no futures.
        TypeError: something is no future.

    Example:
        >>> import asyncio
        >>> from weft.aio import await_any
        >>> from weft.executors import ThreadPoolExecutor
        >>> async def main():
        ...     with ThreadPoolExecutor(2) as pool:
        ...         index, futures = await await_any(pool.submit(pow, 2, 10))
        ...         return index, await futures[index]
        >>> asyncio.run(main())
        (0, 1024)
    """
    wanted = _checked("await_any", futures)
    if not wanted:
        raise ValueError("await_any() of no futures would wait for ever; give it one at least")
    first = (await _arrived(_core.Mailbox(), wanted, 1))[0]
    return next(index for index, future in enumerate(wanted) if future is first), list(wanted)


def as_completed[F](futures: Iterable[F], timeout: float | None = None) -> AsyncIterator[F]:
    """The futures in the order in which they are done, for `async for`.

    Each comes once, however often it is given. Leaving the loop early, or a timeout, lets the rest go on; cancelling
    the task cancels them.

    Args:
        futures: futures of weft, of `concurrent.futures` or of asyncio.
        timeout: seconds from this call until all must be done; None for as long as it takes.

    Raises:
        TypeError: something is no future.
        TimeoutError: from the iteration, when the time is up.

    Example:
        >>> import asyncio
        >>> from weft.aio import as_completed
        >>> from weft.executors import ThreadPoolExecutor
        >>> async def main():
        ...     with ThreadPoolExecutor(2) as pool:
        ...         futures = [pool.submit(pow, 2, n) for n in range(4)]
        ...         return sorted([future.result() async for future in as_completed(futures)])
        >>> asyncio.run(main())
        [1, 2, 4, 8]
    """
    wanted = list(dict.fromkeys(_checked("as_completed", (futures,))))
    deadline = None if timeout is None else time.monotonic() + timeout
    return cast("AsyncIterator[F]", _in_order_of_completion(wanted, deadline))


async def _in_order_of_completion(wanted: Sequence[Future[Any]], deadline: float | None) -> AsyncGenerator[Future[Any]]:
    box = _core.Mailbox()
    left = len(wanted)
    stop = False
    watched = 0
    try:
        for future in wanted:
            box.watch(future)
            watched += 1
        while left:
            seconds = None if deadline is None else deadline - time.monotonic()
            try:
                in_time = await over_within(box.wait(1), seconds)
            except GeneratorExit:
                raise
            except BaseException:  # cancelled while it waited
                stop = True
                raise
            if not in_time:
                raise TimeoutError(f"{left} (of {len(wanted)}) futures unfinished")
            for future in box.take():
                left -= 1
                yield future
    finally:
        box.close()
        _let_go(wanted[:watched], stop=stop)


async def _arrived(box: _core.Mailbox, wanted: Sequence[Future[Any]], count: int) -> list[Future[Any]]:
    """Waits until so many are done; those that are, in the order of completion."""
    watched = 0
    stop = False
    try:
        for future in wanted:
            box.watch(future)
            watched += 1
        await box.wait(count)
        return box.take()
    except GeneratorExit:  # the loop is gone
        raise
    except BaseException:
        stop = True
        raise
    finally:
        box.close()
        _let_go(wanted[:watched], stop=stop)


def _let_go(futures: Sequence[Future[Any]], *, stop: bool) -> None:
    """No longer awaits these; what is not done is stopped, if asked for and nobody else awaits it."""
    # The latest first: nothing that has not begun should begin because a worker is freed here.
    for future in reversed(futures):
        if not future.done():
            _core.end_await(future, stop)


def _checked(name: str, futures: tuple[Any, ...]) -> Sequence[Future[Any]]:
    """The futures of a call, given one by one or as one iterable."""
    if len(futures) == 1 and not hasattr(futures[0], "add_done_callback"):
        if not isinstance(futures[0], Iterable):
            raise TypeError(f"{name}(): futures must be futures or one iterable of them, not {futures[0]!r}")
        futures = tuple(cast("Iterable[Any]", futures[0]))
    for position, future in enumerate(futures):
        if not hasattr(future, "add_done_callback"):
            raise TypeError(
                f"{name}(): futures[{position}] must be a future, not {future!r}; make one with executor.submit(fn), "
                f"or with asyncio.create_task(...) of a coroutine"
            )
    return futures
