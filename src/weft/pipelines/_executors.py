"""Executors for pipelines, beside those of `weft.executors`: in the caller, on an event loop, and two in one.

`AsyncExecutor` has one event loop in one thread, where asynchronous nodes of all items run side by side, and a pool for
those that are not. `CompositeExecutor` is an engine: it has each item done by one executor, and its nodes by another.
Pinned by tests/pipelines/test_executors.py.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from weft._locks import Guard
from weft.config import RuntimeConfig, check_count, check_executor
from weft.errors import InvalidSetting, PipelineError
from weft.executors import SerialExecutor, ThreadPoolExecutor
from weft.executors._worker_threads import start_thread
from weft.pipelines._places import Places, shares_objects

if TYPE_CHECKING:
    import asyncio

    from weft.pipelines._context import RunContext
    from weft.pipelines._pipeline import Pipeline

__all__ = ["AsyncExecutor", "CompositeExecutor", "SequentialExecutor"]


class SequentialExecutor(SerialExecutor):
    """Runs everything in the caller, one after the other, whatever the configuration says otherwise.

    Example:
        >>> from weft import RuntimeConfig
        >>> from weft.pipelines import Pipeline, SequentialExecutor, node
        >>> double = node(output_name="y")(lambda x: 2 * x)
        >>> Pipeline([double]).run(x=1, config=RuntimeConfig(executor=SequentialExecutor()))
        {'y': 2}
    """


class AsyncExecutor(Executor):
    """Runs asynchronous nodes on one event loop of asyncio's, in a thread of its own, and all others in a thread pool.

    Args:
        max_workers: How many threads the others have at most. None: by the CPUs that this process may use.
        max_concurrency: How many coroutines may be under way at a time. None: any number.

    Example:
        >>> import asyncio
        >>> from weft.pipelines import AsyncExecutor
        >>> async def answer():
        ...     await asyncio.sleep(0)
        ...     return 42
        >>> with AsyncExecutor() as executor:
        ...     executor.submit(answer).result()
        42
    """

    runs_coroutines = True
    shares_objects = True

    def __init__(self, max_workers: int | None = None, *, max_concurrency: int | None = None) -> None:
        self._most = check_count("max_concurrency", max_concurrency)
        self._pool = ThreadPoolExecutor(max_workers, thread_name_prefix="weft-async")
        self._max_workers = self._most or 64
        self._guard = Guard()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._slots: asyncio.Semaphore | None = None
        self._open: set[Future[Any]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()  # on the loop's thread only: what was submitted, and has begun
        self._closing: asyncio.Event | None = None
        self._closed = False

    def submit[**P, T](self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Calls a function, or runs a coroutine function on the loop.

        Args:
            fn: The function.
            *args: Its arguments.
            **kwargs: Its keyword arguments.

        Returns:
            The future of its result.

        Raises:
            RuntimeError: The executor has been shut down.
        """
        if not inspect.iscoroutinefunction(fn):
            return self._pool.submit(fn, *args, **kwargs)
        future = self._guard(self._submit_lock_held, lambda: self._bounded(fn, args, kwargs))
        future.add_done_callback(self._open.discard)
        return future

    def _submit_lock_held(self, begin: Callable[[], Coroutine[Any, Any, Any]]) -> Future[Any]:
        import asyncio

        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future = asyncio.run_coroutine_threadsafe(begin(), self._loop or self._started_lock_held())
        self._open.add(future)
        return future

    async def _bounded(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        import asyncio

        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._slots is None:
            return await fn(*args, **kwargs)
        async with self._slots:
            return await fn(*args, **kwargs)

    def _started_lock_held(self) -> asyncio.AbstractEventLoop:
        import asyncio

        runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        loop, closing = runner.get_loop(), asyncio.Event()
        self._slots = None if self._most is None else asyncio.Semaphore(self._most)
        thread = threading.Thread(target=self._run, args=(runner, closing), name="weft-async-loop", daemon=True)
        try:
            start_thread(thread)
        except BaseException:  # interrupted: the next one starts another; if this one runs, it ends
            loop.call_soon_threadsafe(closing.set)
            raise
        self._loop, self._thread, self._closing = loop, thread, closing
        return loop

    def _run(self, runner: asyncio.Runner, closing: asyncio.Event) -> None:
        with runner:
            runner.run(self._until_closed(closing))

    async def _until_closed(self, closing: asyncio.Event) -> None:
        """Ends when all is done that was submitted. What that leaves running on the loop the runner cancels then."""
        import asyncio

        await closing.wait()
        await asyncio.sleep(0)  # what was submitted before the loop ran begins
        while self._tasks:
            await asyncio.wait(self._tasks)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more; what is under way still ends, unless it is to be cancelled.

        Args:
            wait: Return when all is done.
            cancel_futures: Cancel the coroutines, and the calls that have not begun.
        """
        left = self._guard(self._close_lock_held)
        if cancel_futures:
            for future in left:
                future.cancel()
        if self._loop is not None and self._closing is not None:  # and nobody sets these any more
            with suppress(RuntimeError):  # it has ended: this is not the first shutdown
                self._loop.call_soon_threadsafe(self._closing.set)
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)
        if wait and self._thread is not None:
            self._thread.join()

    def _close_lock_held(self) -> list[Future[Any]]:
        """Takes no more; gives what is left."""
        self._closed = True
        return [*self._open]


class CompositeExecutor:
    """Items side by side on one executor, and the independent nodes of each side by side on another.

    Args:
        map_executor: Where the items of `map` go.
        node_executor: Where the nodes of an item go, and those of `run`. Where the items go to other interpreters or
            processes, a `RuntimeConfig` that says what each of these is to have, as no executor can go there.

    Raises:
        InvalidSetting: One is no executor, or cannot go where the items go.

    Example:
        >>> from weft import RuntimeConfig
        >>> from weft.executors import ThreadPoolExecutor
        >>> from weft.pipelines import CompositeExecutor, Pipeline, node
        >>> double = node(output_name="y")(lambda x: 2 * x)
        >>> with ThreadPoolExecutor(2) as items, ThreadPoolExecutor(2) as nodes:
        ...     both = CompositeExecutor(map_executor=items, node_executor=nodes)
        ...     Pipeline([double]).map({"x": [1, 2]}, map_over="x", config=RuntimeConfig(executor=both))
        [{'y': 2}, {'y': 4}]
    """

    def __init__(self, *, map_executor: Executor, node_executor: Executor | RuntimeConfig) -> None:
        if map_executor is None:  # pyright: ignore[reportUnnecessaryComparison]
            raise InvalidSetting(setting="map_executor", value=None, remedy="give an executor")
        check_executor("map_executor", map_executor)
        if isinstance(node_executor, RuntimeConfig):
            if node_executor.executor is not None and not shares_objects(map_executor):
                remedy = "give a RuntimeConfig that says what executor to make, not one that brings it"
                raise InvalidSetting(setting="node_executor", value=node_executor, remedy=remedy)
        else:
            check_executor("node_executor", node_executor)
            if not shares_objects(map_executor):
                remedy = "no executor can go where map_executor's workers are: give a RuntimeConfig(flavor=...) for it"
                raise InvalidSetting(setting="node_executor", value=node_executor, remedy=remedy)
        self.map_executor = map_executor
        self.node_executor = node_executor

    def submit[**P, T](self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Submits to the executor of the items."""
        return self.map_executor.submit(fn, *args, **kwargs)

    def run_pipeline(
        self, pipeline: Pipeline, inputs: dict[str, Any], ctx: RunContext, output_name: tuple[str, ...]
    ) -> dict[str, Any]:
        """Runs a pipeline once, independent nodes side by side. See `Engine`."""
        from weft.pipelines._flow import Flow

        with Places() as places:
            return Flow(ctx, self._nodes(places)).run(inputs)

    def map_items(
        self,
        pipeline: Pipeline,
        items: Iterator[tuple[Any, ...]],
        inputs: dict[str, Any],
        ctx: RunContext,
        output_name: tuple[str, ...],
    ) -> Iterator[dict[str, Any] | PipelineError]:
        """Runs a pipeline for each item. See `Engine`."""
        from weft.pipelines._chunks import map_in_chunks
        from weft.pipelines._item_flow import ItemFlow

        return map_in_chunks(ctx, self.map_executor, items, inputs, ItemFlow(self.node_executor))

    def _nodes(self, places: Places) -> Executor | None:
        given = self.node_executor
        return places.executor(given) if isinstance(given, RuntimeConfig) else given
