"""`map`: a function over many items on an executor, as an asynchronous iterator with bounded concurrency.

At most `limit` items are under way at any time: read from the input and not yet handed out as a result. So the input is
read only as fast as results are taken, and memory is bounded by the limit, not by the input (invariant 6).

An asynchronous input is read by a task of its own, which is given leave to read item by item: a result that is there is
handed out although the input keeps everybody waiting. One task for the whole input, since a generator may hold a
cancel scope or a lock that belongs to the task.

Ends when the results are exhausted, at the first failure, or when the iterator is closed or its task cancelled: what is
left is then cancelled or interrupted, and the reading task has ended.
Pinned by tests/aio/test_map.py.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Any, Protocol, cast

from weft import _core
from weft._capabilities import usable_cpus
from weft.aio._calls import wrap_future
from weft.aio._library import start_task

_AHEAD = 2  # items under way for each worker, where no limit is given: one that runs, one that waits


def map[T](  # noqa: A001  # the stdlib's executors have a map too
    fn: Callable[..., T],
    /,
    *iterables: Iterable[Any] | AsyncIterable[Any],
    executor: Executor | None = None,
    limit: int | None = None,
    ordered: bool = True,
) -> AsyncGenerator[T]:
    """`fn` of each item on an executor, as an asynchronous iterator over the results.

    The input is read only as fast as results are taken, so it may be endless, and may be asynchronous. The first
    failure is raised in its place and ends it; then, and when the iterator is closed (`contextlib.aclosing`) or its
    task is cancelled, what is queued is cancelled and what runs is interrupted.

    Args:
        fn: called with one item of each iterable; a plain function.
        *iterables: the inputs, the shortest ends it; or one asynchronous iterable.
        executor: any `concurrent.futures.Executor`; None for weft's default thread pool.
        limit: how many items may be under way: read, and their results not yet taken. None for twice the executor's
            workers.
        ordered: False gives results as they come.

    Raises:
        TypeError: fn is not callable or is a coroutine function; there is no input, or several of which one is
            asynchronous.
        ValueError: limit is less than 1.
        BaseException: from the iteration, whatever a call or the input raised.

    Example:
        >>> import asyncio
        >>> from weft import aio
        >>> async def main():
        ...     return [root async for root in aio.map(pow, range(5), [2] * 5)]
        >>> asyncio.run(main())
        [0, 1, 4, 9, 16]
    """
    if not callable(fn):
        raise TypeError(f"map(): fn must be callable, not {fn!r}")
    if inspect.iscoroutinefunction(fn):
        raise TypeError(
            f"map(): fn must be a plain function, and {fn!r} is a coroutine function; await it in a task of the loop"
        )
    if not iterables:
        raise TypeError("map() takes at least one iterable")
    if limit is not None and (isinstance(limit, bool) or not isinstance(cast("object", limit), int)):
        raise TypeError(f"map(): limit must be a whole number or None, not {limit!r}")
    if limit is not None and limit < 1:
        raise ValueError(f"map(): limit must be at least 1, not {limit}; leave it out for twice the executor's workers")
    if executor is None:
        from weft.futures._default import default_executor

        executor = default_executor()
    if limit is None:
        workers: int | None = getattr(executor, "_max_workers", None)
        limit = _AHEAD * (workers or usable_cpus())
    return _mapped(fn, _source_of(iterables), executor, limit, ordered)


async def _mapped[T](
    fn: Callable[..., T], source: _Source, executor: Executor, limit: int, ordered: bool
) -> AsyncGenerator[T]:
    box = _core.Mailbox()
    under_way: dict[Future[T], None] = {}  # in the order of the input
    done: deque[Future[T]] = deque()  # in the order of completion; only used if not ordered
    reads = 0  # items that the input has been asked for

    def submit(items: tuple[Any, ...]) -> None:
        future = executor.submit(fn, *items)
        under_way[future] = None
        box.watch(future)

    try:
        while True:
            while not source.ended and len(under_way) + reads < limit:
                items = source.next_item(box)
                if items is None:
                    reads += not source.ended
                else:
                    submit(items)
            for arrived in box.take():
                if isinstance(arrived, _Item):
                    reads -= 1
                    submit((arrived.value,))
                elif isinstance(arrived, _End):
                    source.ended = True
                    source.error = arrived.error
                    reads = 0
                elif not ordered:
                    done.append(arrived)
            first = next(iter(under_way), None) if ordered else done.popleft() if done else None
            if first is not None and first.done():
                result = await wrap_future(first)
                del under_way[first], first
                yield result
                del result  # the caller's alone
            elif under_way or not source.ended:
                first = None
                await box.wait(1)
            elif source.error is not None:
                raise source.error
            else:
                return
    finally:
        box.close()
        for future in reversed(under_way):
            _core.end_await(future, True)
        await source.close()


class _Item:
    """An item of an asynchronous input, in the mailbox."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class _End:
    """The end of an asynchronous input, in the mailbox."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Source(Protocol):
    """An input."""

    ended: bool
    error: BaseException | None

    def next_item(self, box: _core.Mailbox) -> tuple[Any, ...] | None:
        """The arguments of the next call; None if there are none now: they come into the mailbox, or it has ended."""
        ...

    async def close(self) -> None:
        """Reads no more."""
        ...


def _source_of(iterables: tuple[Iterable[Any] | AsyncIterable[Any], ...]) -> _Source:
    if len(iterables) == 1 and isinstance(iterables[0], AsyncIterable):
        return _AsyncSource(iterables[0])
    for position, iterable in enumerate(iterables):
        if isinstance(iterable, AsyncIterable):
            raise TypeError(f"map(): iterables[{position}] is asynchronous, and there are several; make one of them")
    return _PlainSource(zip(*cast("tuple[Iterable[Any], ...]", iterables)))  # noqa: B905  # the shortest ends it


class _PlainSource:
    """One or several ordinary iterables."""

    def __init__(self, items: Iterator[tuple[Any, ...]]) -> None:
        self._items = items
        self.ended = False
        self.error: BaseException | None = None

    def next_item(self, box: _core.Mailbox) -> tuple[Any, ...] | None:
        try:
            return next(self._items)
        except StopIteration:
            self.ended = True
        except Exception as error:  # raised after the results of the items before it
            self.ended = True
            self.error = error
        return None

    async def close(self) -> None:
        pass


class _AsyncSource:
    """An asynchronous iterable, read by a task of its own."""

    def __init__(self, items: AsyncIterable[Any]) -> None:
        self._items: AsyncIterator[Any] = aiter(items)
        self._leave = _core.Mailbox()  # one thing in it for each item that may be read
        self._stop: Callable[[], Coroutine[Any, Any, None]] | None = None
        self.ended = False
        self.error: BaseException | None = None

    def next_item(self, box: _core.Mailbox) -> None:
        if self._stop is None:
            self._stop = start_task(lambda: self._read(box))
        self._leave(True)

    async def _read(self, box: _core.Mailbox) -> None:
        while True:
            await self._leave.wait(1)
            for _ in self._leave.take():
                try:
                    item = await anext(self._items)
                except StopAsyncIteration:
                    box(_End(None))
                    return
                except BaseException as error:
                    box(_End(error))  # a closed box drops it
                    if isinstance(error, Exception):
                        return
                    raise
                box(_Item(item))

    async def close(self) -> None:
        if self._stop is not None:
            await self._stop()
