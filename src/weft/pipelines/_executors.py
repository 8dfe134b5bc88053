"""Executors for pipelines, beside those of `weft.executors`: in the caller, on an event loop, and two in one.

`AsyncExecutor` has one event loop in one thread, where asynchronous nodes of all items run side by side, and a pool for
those that are not. `CompositeExecutor` is an engine: it has each item done by one executor, and its nodes by another.
Pinned by tests/pipelines/test_executors.py.
"""

from __future__ import annotations

import concurrent.futures
import inspect
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

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
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._slots: asyncio.Semaphore | None = None
        self._open: set[Future[Any]] = set()
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
        import asyncio

        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            loop = self._started()
            future: Future[Any] = asyncio.run_coroutine_threadsafe(self._bounded(fn, args, kwargs), loop)
            self._open.add(future)
        future.add_done_callback(self._open.discard)
        return future

    async def _bounded(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._slots is None:
            return await fn(*args, **kwargs)
        async with self._slots:
            return await fn(*args, **kwargs)

    def _started(self) -> asyncio.AbstractEventLoop:
        import asyncio

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._slots = None if self._most is None else asyncio.Semaphore(self._most)
            self._thread = threading.Thread(target=self._run, args=(self._loop,), name="weft-async-loop", daemon=True)
            start_thread(self._thread)
        return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        import asyncio

        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more; what is under way still ends, unless it is to be cancelled.

        Args:
            wait: Return when all is done.
            cancel_futures: Cancel the coroutines, and the calls that have not begun.
        """
        with self._lock:
            self._closed = True
            loop, thread, left = self._loop, self._thread, [*self._open]
        if cancel_futures:
            for future in left:
                future.cancel()
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)
        if loop is None or thread is None:
            return

        def end() -> None:
            if wait or cancel_futures:
                concurrent.futures.wait(left)
            if thread.is_alive():
                loop.call_soon_threadsafe(loop.stop)

        if wait:
            end()
            thread.join()
        else:
            _after(left, lambda: loop.call_soon_threadsafe(loop.stop))


def _after(futures: list[Future[Any]], then: Callable[[], object]) -> None:
    """Calls a function when all futures are done, on the thread of the last one."""
    left = len(futures)
    lock = threading.Lock()
    if not left:
        then()

    def one_less(_: Future[Any]) -> None:
        nonlocal left
        with lock:
            left -= 1
            last = not left
        if last:
            then()

    for future in futures:
        future.add_done_callback(one_less)


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
