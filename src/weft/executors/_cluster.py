"""What executors on other engines have in common: packed calls out, packed outcomes back, and the stdlib's futures.

An engine carries bytes (weft/_payloads/far.py); its executor says how a call is begun (`_launch`), and settles the
future when it is told of the end. All else is here, once: options, `map`, cancelling, shutting down, and pipelines.

A future is pending until its engine says that the call has ended: engines do not tell when one begins. So `cancel`
works until then; whether what runs already is stopped is up to the engine, its outcome is not waited for in any case.

Ends when the last future has settled after `shutdown`: then what the executor itself has opened is closed.
Any thread. Pinned by tests/executors/test_cluster.py and tests/engines/.
"""

from __future__ import annotations

import concurrent.futures
import copy
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from weft._payloads import far
from weft._payloads.far import TaskSettings
from weft.errors import InvalidSetting, MissingDependency, PayloadError
from weft.executors import _map
from weft.executors._options import RetryOn, make_task_options

if TYPE_CHECKING:
    from weft.errors import PipelineError
    from weft.executors._pool import PoolExecutor
    from weft.pipelines._context import RunContext
    from weft.pipelines._pipeline import Pipeline

__all__ = ["PATIENCE", "ClusterExecutor", "ClusterFuture", "imported", "unreachable"]

PATIENCE = 6.0
"""Seconds within which a cluster has to answer; with what else there is to do, ten."""

LARGE = 256 * 1024
"""Bytes from which on something is put into the cluster once, and not sent along with each task."""


def imported(module: str, extra: str) -> Any:
    """A module of a package that an extra brings, without its types.

    Raises:
        MissingDependency: It is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise MissingDependency(extra=extra, package=package) from error


def unreachable(engine: str, address: object, error: object, remedy: str) -> InvalidSetting:
    """The error for a cluster that does not answer."""
    text = " ".join(str(error).split())[:200] or type(error).__name__
    return InvalidSetting(setting="address", value=address, remedy=f"no {engine} answers there ({text}): {remedy}")


class ClusterFuture(Future[Any]):
    """The future of a call on a cluster.

    Attributes:
        handle: What the engine knows the call by.
    """

    def __init__(self, owner: _Shared, name: str) -> None:
        super().__init__()
        self.handle: Any = None
        self.name = name
        self._owner = owner
        self._once = threading.Lock()
        self._decided = False

    def _decide(self) -> bool:
        """Whether it is for the caller to say how this ends."""
        with self._once:
            decided, self._decided = self._decided, True
        return not decided

    def cancel(self) -> bool:
        """Cancels the call; the engine is told.

        Returns:
            False if it has ended.
        """
        if not self._decide():
            return self.cancelled()
        super().cancel()
        self.set_running_or_notify_cancel()  # whoever waits for it is told, too
        self._owner.left(self)
        self._owner.executor._cancel(self)  # pyright: ignore[reportPrivateUsage]
        return True

    def settle(self, data: bytes | BaseException) -> None:
        """The call has ended.

        Args:
            data: What `weft._payloads.far.call` gave, or the engine's own error.
        """
        if not self._decide():
            return
        try:
            self.set_running_or_notify_cancel()
            result, error = (None, data) if isinstance(data, BaseException) else far.outcome_of(data)
            if error is None:
                self.set_result(result)
            else:
                self.set_exception(error)
            self.handle = None
        finally:
            self._owner.left(self)  # not before it is done: who shuts down waits for those that have not left


class _Shared:
    """What all views of one executor share."""

    def __init__(self, executor: ClusterExecutor) -> None:
        self.executor = executor
        self.lock = threading.Lock()
        self.open: set[ClusterFuture] = set()
        self.closed = False
        self.waiting = 0  # for the end: then it is they who close
        self.ended = False

    def enter(self, future: ClusterFuture) -> None:
        with self.lock:
            if self.closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self.open.add(future)

    def left(self, future: ClusterFuture) -> None:
        with self.lock:
            self.open.discard(future)
            last = self.closed and not self.open and not self.waiting
        if last:
            self.end()

    def wait_no_more(self) -> None:
        """Who has waited for the end was interrupted, and leaves it to others."""
        with self.lock:
            self.waiting -= 1
            last = not self.open and not self.waiting
        if last:
            self.end()

    def end(self) -> None:
        with self.lock:
            ended, self.ended = self.ended, True
        if not ended:
            self.executor._close()  # pyright: ignore[reportPrivateUsage]


class ClusterExecutor(Executor, ABC):
    """The shared part of executors on other engines. Internal: use `DaskExecutor` and its like."""

    shares_objects = False
    spread: Callable[[list[bytes]], list[bytes]] | None = None
    """In a worker: runs calls of `far.call` in further ones, and gives their outcomes in order."""
    chunk_nanoseconds = _chunk_nanoseconds = 50_000_000  # of work in a chunk of `map`: a task costs milliseconds
    _settings = TaskSettings()

    def __init__(self) -> None:
        self._shared = _Shared(self)

    # ---- what an engine has to say ------------------------------------------------------------------------

    @abstractmethod
    def _launch(self, future: ClusterFuture, payload: bytes, blobs: tuple[Any, ...]) -> None:
        """Begins `far.call(payload, *blobs)` in a worker, and has ``future.settle`` called with what it gives."""

    def _cancel(self, future: ClusterFuture) -> None:
        """Nobody waits for a call any more."""

    def _put(self, data: bytes) -> Any:
        """Puts bytes where all workers find them; gives what stands for them among the ``blobs`` of calls."""
        return data

    def _close(self) -> None:
        """Closes what this executor itself has opened. Called once, by whichever thread is last."""

    @property
    @abstractmethod
    def max_workers(self) -> int:
        """How many calls run at a time, as far as is known."""

    @property
    def _max_workers(self) -> int:
        return self.max_workers

    # ---- the executor ---------------------------------------------------------------------------------------

    def submit[**P, T](self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Calls a function in a worker.

        Args:
            fn: The function. Workers import it by its name; lambdas, closures and what is defined in ``__main__`` go by
                value.
            *args: Its arguments.
            **kwargs: Its keyword arguments.

        Returns:
            The future of its result: pending until the engine says that the call has ended.

        Raises:
            RuntimeError: The executor has been shut down.
            weft.errors.PayloadError: Something of it cannot be pickled.
        """
        return self.submit_with((), fn, args, cast("dict[str, Any]", kwargs))

    def _submit_now(self, past_limit: bool, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """What a pool with a `max_pending` has for `map`. Here no `submit` waits for room."""
        return self.submit(fn, *args)

    def submit_with(
        self, blobs: tuple[Any, ...], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[Any]:
        """Calls a function with first arguments that are in the cluster already (`put`)."""
        if not callable(fn):
            raise TypeError(f"submit(): fn must be callable, not {fn!r}")
        name = self._settings.name or getattr(fn, "__qualname__", type(fn).__name__)
        future = ClusterFuture(self._shared, name)
        self._shared.enter(future)
        try:
            self._launch(future, far.pack(fn, args, kwargs, self._settings, task=name), blobs)
        except BaseException:
            self._shared.left(future)
            raise
        return future

    def put(self, thing: object, what: str) -> Any:
        """Puts an object where all workers find it, if it is large.

        Args:
            thing: The object.
            what: What it is, for the message of an error.

        Returns:
            A first argument for `submit_with`.

        Raises:
            weft.errors.PayloadError: It cannot be pickled.
        """
        try:
            data = far.dump_far(thing)
        except (MissingDependency, PayloadError):
            raise
        except Exception as error:
            raise PayloadError(f"{what} cannot be sent to a worker: {error}", path=what) from error
        return data if len(data) < LARGE else self._put(data)

    def map[T](
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
        ordered: bool = True,
    ) -> Iterator[T]:
        """`fn` of each item, in the workers; an iterator over the results.

        Items travel in chunks, which adapt to the measured time of an item.

        Args:
            fn: Called with one item of each iterable.
            *iterables: The inputs; the shortest ends it.
            timeout: Seconds from this call until a result must be there.
            chunksize: Items in a task; None adapts.
            buffersize: How many items may be read ahead of the results that were taken; None: all, at the call.
            ordered: False gives results as they come.

        Returns:
            The results.

        Raises:
            TimeoutError: From the iterator, when a result is not there in time.
            ValueError: ``chunksize`` or ``buffersize`` is less than 1.
        """
        return _map.parallel_map(
            cast("PoolExecutor", self),
            fn,
            iterables,
            timeout=timeout,
            chunksize=chunksize,
            buffersize=buffersize,
            ordered=ordered,
            one_by_one=not self._settings.is_plain,
            runners=cast("Any", (far.run_chunk, far.run_one)),
        )

    def options(
        self,
        *,
        timeout: float | None = None,
        retries: int = 0,
        backoff: float = 0.1,
        retry_on: RetryOn = Exception,
        name: str | None = None,
    ) -> Self:
        """A view of this executor whose tasks have these options. The worker keeps to them.

        Args:
            timeout: Seconds that a task may run, counted from its start; then it is interrupted, and fails with
                `weft.errors.TaskTimeout`.
            retries: How often a task that failed is run again.
            backoff: Seconds before the first retry; doubles with each.
            retry_on: The exception class, or classes, that are worth a retry.
            name: The tasks' name in messages, and where the engine shows names.

        Returns:
            An executor over the same workers.

        Raises:
            weft.errors.InvalidSetting: A value is not allowed.
        """
        make_task_options(
            timeout=timeout, retries=retries, backoff=backoff, retry_on=retry_on, priority=0, name=name, context="copy"
        )
        return self._view(_settings=TaskSettings(timeout, retries, backoff, retry_on, name))

    def _view(self, **changes: Any) -> Self:
        view = copy.copy(self)
        for name, value in changes.items():
            setattr(view, name, value)
        return view

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more; what was submitted still runs, unless it is to be cancelled. Once is enough.

        The engine is left running, where it was there before.

        Args:
            wait: Return when all calls have ended.
            cancel_futures: Cancel those that have not.
        """
        _map.finish_all(cast("PoolExecutor", self), cancel=cancel_futures)
        with self._shared.lock:
            self._shared.closed = True
            self._shared.waiting += wait
            left = [*self._shared.open]
        try:
            if cancel_futures:
                for future in left:
                    future.cancel()
            if wait:
                concurrent.futures.wait(left)
        except BaseException:
            if wait:
                self._shared.wait_no_more()
            raise
        if wait or not left:
            self._shared.end()

    def _same_pool(self, other: object) -> bool:
        return isinstance(other, ClusterExecutor) and other._shared is self._shared

    def _is_open(self) -> bool:
        return not self._shared.closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Ctrl-C or sys.exit: whoever leaves like this does not want the rest of the work.
        unwanted = exc_type is not None and not issubclass(exc_type, Exception)
        self.shutdown(wait=not unwanted, cancel_futures=unwanted)

    @property
    def is_plain(self) -> bool:
        """Whether tasks have no options that the worker would have to keep to."""
        return self._settings.is_plain

    def is_view(self, other: object) -> bool:
        """Whether another executor is of the same cluster, and all the same to its tasks but for what they need."""
        return isinstance(other, ClusterExecutor) and self._same_pool(other) and other.is_plain

    # ---- pipelines --------------------------------------------------------------------------------------------

    def run_pipeline(
        self, pipeline: Pipeline, inputs: dict[str, Any], ctx: RunContext, output_name: tuple[str, ...]
    ) -> dict[str, Any]:
        """Runs a pipeline once. See `weft.pipelines._engine.Engine`."""
        from weft.pipelines._clusters import run_on

        return run_on(self, ctx, inputs)

    def map_items(
        self,
        pipeline: Pipeline,
        items: Iterator[tuple[Any, ...]],
        inputs: dict[str, Any],
        ctx: RunContext,
        output_name: tuple[str, ...],
    ) -> Iterator[dict[str, Any] | PipelineError]:
        """Runs a pipeline for each item. See `weft.pipelines._engine.Engine`."""
        from weft.pipelines._clusters import map_on

        return map_on(self, ctx, items, inputs)
