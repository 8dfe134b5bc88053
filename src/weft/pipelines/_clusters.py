"""Pipelines on the executors of clusters: a run as a graph of the engine's references, a map as tasks of many items.

A run is handed to the engine whole: each step is a task that takes references to what the steps before it gave, so
that nothing of that comes to the caller but the outputs that are wanted. What is to be told comes back for each step,
and results and errors are those of `_sequential`: it is the failure of the plan's first step to fail that counts.

It goes step by step by way of the caller (`_flow`) where it has to: an engine that has no references, nodes with places
of their own, a cache that lies in the caller's memory.
Pinned by tests/engines/.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

from weft._payloads import far
from weft.errors import PayloadError, PipelineError
from weft.executors._references import ReferencingExecutor
from weft.pipelines._chunks import map_in_chunks
from weft.pipelines._failures import failure_of
from weft.pipelines._far_steps import report_of, run_far_rows, run_step, told_of
from weft.pipelines._flow import Flow
from weft.pipelines._sequential import Runner

if TYPE_CHECKING:
    from weft.executors._cluster import ClusterExecutor, ClusterFuture
    from weft.pipelines._context import RunContext
    from weft.pipelines._plan import Step

__all__ = ["map_on", "run_on"]


def run_on(executor: ClusterExecutor, ctx: RunContext, given: dict[str, Any]) -> dict[str, Any]:
    """Runs a pipeline once.

    Raises:
        PipelineError: A step has failed.
    """
    if isinstance(executor, ReferencingExecutor) and executor.is_plain and _all_there(executor, ctx):
        return _Graph(executor, ctx).run(given)
    return Flow(ctx, executor).run(given)


def map_on(
    executor: ClusterExecutor, ctx: RunContext, items: Iterator[tuple[Any, ...]], shared: dict[str, Any]
) -> Iterator[dict[str, Any] | PipelineError]:
    """Runs a pipeline for each item; their outcomes in order."""
    if not _all_there(executor, ctx):
        return Flow(ctx, executor).map(items, shared, ctx.buffersize)
    return map_in_chunks(ctx, cast("Any", _Rows(executor, ctx, shared)), items, shared)


def _all_there(executor: ClusterExecutor, ctx: RunContext) -> bool:
    """Whether all that there is to do can be done in the cluster."""
    if any(not cache.is_shared for cache in ctx.work.caches):
        return False
    return not ctx.places_differ or all(
        executor.is_view(config.executor) for config in map(ctx.config_for, ctx.plan.all_steps())
    )


class _Rows:
    """What `map_in_chunks` submits to: the work, and what all items share, are in the cluster already."""

    shares_objects = False

    def __init__(self, executor: ClusterExecutor, ctx: RunContext, shared: dict[str, Any]) -> None:
        self._executor = executor
        self._chunk_nanoseconds = executor.chunk_nanoseconds
        self._max_workers = executor.max_workers
        self._blobs = executor.put(ctx.work, "the pipeline"), executor.put(shared, "an input that all items share")

    def submit(
        self,
        fn: Callable[..., Any],
        work: object,
        rows: list[tuple[Any, ...]],
        over: tuple[str, ...],
        shared: object,
        first: int,
        told: bool,
        *_: object,
    ) -> Future[Any]:
        return self._executor.submit_with(self._blobs, run_far_rows, (rows, over, first, told), {})


class _OnWorker:
    """In place of a value that is not here."""

    def __repr__(self) -> str:
        return "<on a worker>"


class _Graph:
    """One run. For the calling thread."""

    def __init__(self, executor: ReferencingExecutor, ctx: RunContext) -> None:
        self._executor = executor
        self._ctx = ctx
        self._plan = ctx.plan
        self._box: SimpleQueue[tuple[Step, Future[Any]]] = SimpleQueue()
        self._handles: dict[int, Any] = {}
        self._open: dict[int, ClusterFuture] = {}
        self._scopes: dict[str, list[Any]] = {}
        self._values: list[Any] = []
        self._skipped: dict[int, bool] = {}
        self._blobs: dict[int, Any] = {}

    def run(self, given: dict[str, Any]) -> dict[str, Any]:
        ctx, plan = self._ctx, self._plan
        self._values = plan.start(given)
        keys: list[bytes | None] | None = None
        if ctx.keys is not None:
            keys, self._skipped = Runner(ctx.work, None, ctx.keys).look_up(self._values)
        for step in plan.steps:
            for scope in step.scopes:
                self._scopes.setdefault(scope, [None, 0])[1] += 1
        try:
            work = self._executor.put(ctx.work, "the pipeline")
            failure: tuple[int, PipelineError] | None = None
            for step in plan.steps:
                if step.index in self._skipped:
                    self._tell_skipped(step)
                    continue
                try:
                    self._begin(step, work, keys)
                except PayloadError as error:  # an input of this step: those before it may still fail
                    failure = step.index, self._failure(step, error)
                    break
            while any(failure is None or index < failure[0] for index in self._open):
                step, future = self._box.get()
                if self._open.pop(step.index, None) is None:
                    continue
                error = self._taken(step, future)
                if error is not None and (failure is None or step.index < failure[0]):
                    failure = step.index, error
                    self._stop(after=step.index)
        finally:
            self._stop(after=-1)
            self._executor.drop([*self._handles.values()])
        if failure is not None:
            raise failure[1] from failure[1].__cause__
        return plan.results(self._values)

    def _begin(self, step: Step, work: Any, keys: list[bytes | None] | None) -> None:
        """Hands a step to the engine, which begins it when those before it are done."""
        before = [index for index in step.after if index in self._handles]
        made = {slot for index in before for slot in self._plan.steps[index].outs}
        slots = tuple(dict.fromkeys(slot for slot in step.args if slot not in made))
        blobs = [self._blob(step, slot) for slot in slots]
        told = self._ctx.hooks is not None
        payload = far.dump_far((step.index, told, slots, keys))
        wanted = tuple(slot for _, slot in self._plan.outputs if slot in step.outs)
        executor = self._executor
        if self._ctx.places_differ:
            executor = cast("Any", self._ctx.config_for(step).executor)
        handle = executor.begin(
            step.path, run_step, executor.spread, payload, work, *blobs, *(self._handles[index] for index in before)
        )
        self._handles[step.index] = handle
        future = self._executor.watch(f"{step.path}-report", report_of, handle, wanted)
        self._open[step.index] = future
        future.add_done_callback(partial(_report, self._box, step))

    def _blob(self, step: Step, slot: int) -> Any:
        """A value that comes from outside, in the cluster."""
        if slot not in self._blobs:
            name = next(name for name, its in zip(step.names, step.args, strict=True) if its == slot)
            self._blobs[slot] = self._executor.put(self._values[slot], f"input {name!r} of node {step.path!r}")
        return self._blobs[slot]

    def _taken(self, step: Step, future: Future[Any]) -> PipelineError | None:
        """A step has ended: takes what it gave, tells of it, and gives its failure."""
        hooks = self._ctx.hooks
        error = None if future.cancelled() else future.exception()
        if future.cancelled() or error is not None:
            if error is not None and not isinstance(error, Exception):
                raise error
            made = self._failure(step, error or RuntimeError("the cluster has cancelled it"))
            if hooks is not None:
                hooks.node_start(step.path)
                hooks.error(step.path, cast("BaseException", made.__cause__))
            return made
        report, outs = future.result()
        failed, events = told_of(report)
        if hooks is not None:
            if events:
                self._open_scopes(step)
            hooks.replay(events)
        if failed is not None:
            return failed.error
        for slot, value in outs.items():
            self._values[slot] = value
        self._close_scopes(step)
        return None

    def _failure(self, step: Step, error: Exception) -> PipelineError:
        elsewhere = {slot for index in self._handles for slot in self._plan.steps[index].outs}
        args = tuple(_OnWorker() if slot in elsewhere else self._values[slot] for slot in step.args)
        return failure_of(self._plan, step, args, error, item=None)

    def _stop(self, after: int) -> None:
        """Stops what comes after a step: nobody waits for it."""
        for index in [index for index in self._open if index > after]:
            self._open.pop(index).cancel()
            self._executor.drop([self._handles.pop(index)])

    # ---- who is told ----------------------------------------------------------------------------------------

    def _tell_skipped(self, step: Step) -> None:
        if self._ctx.hooks is not None and self._skipped[step.index]:
            self._open_scopes(step)
            self._ctx.hooks.node_cached(step.path)
        self._close_scopes(step)

    def _open_scopes(self, step: Step) -> None:
        for scope in step.scopes:
            if self._scopes[scope][0] is None:
                self._scopes[scope][0] = time.perf_counter()
                if self._ctx.hooks is not None:
                    self._ctx.hooks.nested_start(scope)

    def _close_scopes(self, step: Step) -> None:
        for scope in reversed(step.scopes):
            self._scopes[scope][1] -= 1
            began, left = self._scopes[scope]
            if not left and began is not None and self._ctx.hooks is not None:
                self._ctx.hooks.nested_end(scope, time.perf_counter() - began)


def _report(box: SimpleQueue[Any], step: Step, future: Future[Any]) -> None:
    box.put((step, future))
