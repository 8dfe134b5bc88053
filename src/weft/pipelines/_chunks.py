"""Maps a pipeline over items in workers: many items in one task, as many tasks as keep the workers busy.

How many items a task has follows from the time that items take: about `TARGET` seconds of work, and never so much that
a worker would be left without at the end. The first tasks have one item.

A worker runs an item as the caller would: by the plan's own functions where there is nothing else to do, else by
`_sequential`. An error ends no task: it is put in place of the item's outputs, and the caller decides.

Ends when the results are exhausted or the iterator is closed: what has not begun is cancelled, what runs is
interrupted. Pinned by tests/pipelines/test_executors.py.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from itertools import islice
from typing import TYPE_CHECKING, Any

from weft._capabilities import usable_cpus
from weft.errors import PipelineError
from weft.pipelines._hooks import Carried, Recorder
from weft.pipelines._item_flow import run_item
from weft.pipelines._places import shares_objects
from weft.pipelines._sequential import Runner

if TYPE_CHECKING:
    from weft.pipelines._context import RunContext
    from weft.pipelines._item_flow import ItemFlow
    from weft.pipelines._keys import Keys
    from weft.pipelines._work import Work

__all__ = ["map_in_chunks", "run_rows"]

TARGET = 0.02  # seconds of work in a task
GROWTH = 8  # a task has at most so many times the items of the last one
MOST = 10_000
AHEAD = 2  # tasks under way for each worker


class Failed:
    """An item's error on its way from a worker, with its cause, which pickle would leave behind."""

    __slots__ = ("error",)

    def __init__(self, error: PipelineError) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        cause = self.error.__cause__
        return _failed, (self.error, None if cause is None else Carried(cause))


def _failed(error: PipelineError, cause: Carried | None) -> Failed:
    if cause is not None:
        error.__cause__ = cause.error
    return Failed(error)


type Told = list[tuple[Any, ...]] | None


def run_rows(
    work: Work,
    rows: list[tuple[Any, ...]],
    over: tuple[str, ...],
    shared: dict[str, Any],
    first: int,
    told: bool,
    keys: Keys | None = None,
    flow: ItemFlow | None = None,
) -> tuple[list[dict[str, Any] | Failed], list[Told], float]:
    """What a worker does: runs some items.

    Args:
        work: What is to be done.
        rows: The inputs of each item that differ.
        over: Their names.
        shared: All other inputs.
        first: The number of the first item.
        told: Whether what happens is to be written down.
        keys: The keys of cached results, where the caller's can be used.
        flow: Where nodes go; None: they are run one after the other.

    Returns:
        The outputs of each item, or its error; what was written down for each; the seconds that all took.
    """
    began = time.perf_counter()
    if work.is_plain and not told and flow is None:
        found = work.plan.functions.items_or_errors(rows, over, shared, first)
        results = [Failed(one) if isinstance(one, PipelineError) else one for one in found]
        return results, [], time.perf_counter() - began
    if keys is None and work.caches:
        from weft.pipelines._keys import Keys

        keys = Keys(work)
    results: list[dict[str, Any] | Failed] = []
    events: list[Told] = []
    with nullcontext() if flow is None else flow.opened() as executor:
        for number, row in enumerate(rows, first):
            recorder = Recorder() if told else None
            try:
                if flow is None:
                    results.append(Runner(work, recorder, keys).run_item(number, row, over, shared))
                else:
                    given = {**shared, **dict(zip(over, row, strict=True))}
                    results.append(run_item(executor, work, recorder, keys, given, number))
            except PipelineError as error:
                results.append(Failed(error))
            events.append(None if recorder is None else recorder.events)
    for cache in work.caches:
        cache.flush()
    return results, events, time.perf_counter() - began


def map_in_chunks(
    ctx: RunContext,
    executor: Executor,
    items: Iterator[tuple[Any, ...]],
    shared: dict[str, Any],
    flow: ItemFlow | None = None,
) -> Iterator[dict[str, Any] | PipelineError]:
    """The outcomes of all items, in their order."""
    chunks = _Chunks(ctx, executor, items, shared, flow)
    try:
        yield from chunks.outcomes()
    finally:
        chunks.stop()


class _Chunks:
    def __init__(
        self,
        ctx: RunContext,
        executor: Executor,
        items: Iterator[tuple[Any, ...]],
        shared: dict[str, Any],
        flow: ItemFlow | None,
    ) -> None:
        self._ctx = ctx
        self._flow = flow
        self._executor = executor
        self._items = items
        self._shared = shared
        self._workers: int = getattr(executor, "_max_workers", None) or usable_cpus()
        self._target: float = getattr(executor, "_chunk_nanoseconds", TARGET * 1e9) / 1e9
        # Workers that share objects share the digests of functions, too.
        self._keys = ctx.keys if shares_objects(executor) else None
        if not shares_objects(executor):
            ctx.work.packed()  # at once, and with the name of the node that cannot be
        self._under_way: deque[tuple[Future[Any], int]] = deque()
        self._ahead = 0  # items that were read and not handed out
        self._size = 1
        self._number = 0
        self._exhausted = False

    def outcomes(self) -> Iterator[dict[str, Any] | PipelineError]:
        hooks = self._ctx.hooks
        while True:
            self._feed()
            if not self._under_way:
                return
            future, size = self._under_way[0]
            results, events, seconds = future.result()
            self._under_way.popleft()
            self._adapt(size, seconds)
            self._feed()  # before anybody looks at the results
            for position, result in enumerate(results):
                if hooks is not None:
                    hooks.replay(events[position] or [])
                self._ahead -= 1
                yield result.error if type(result) is Failed else result

    def stop(self) -> None:
        while self._under_way:
            future, _ = self._under_way.pop()
            if not future.cancel():
                interrupt = getattr(future, "interrupt", None)
                if interrupt is not None:
                    interrupt()

    def _feed(self) -> None:
        limit = self._ctx.buffersize
        while not self._exhausted and len(self._under_way) < AHEAD * self._workers:
            room = self._size if limit is None else min(self._size, max(limit - self._ahead, 0))
            if limit is not None and not self._under_way and not self._ahead:
                room = max(room, 1)
            rows = list(islice(self._items, room)) if room else []
            if not rows:
                self._exhausted = bool(room)
                return
            ctx = self._ctx
            told = ctx.hooks is not None
            future = self._executor.submit(
                run_rows, ctx.work, rows, ctx.map_over, self._shared, self._number, told, self._keys, self._flow
            )
            self._under_way.append((future, len(rows)))
            self._number += len(rows)
            self._ahead += len(rows)

    def _adapt(self, size: int, seconds: float) -> None:
        fitting = int(self._target * size / seconds) if seconds > 0 else MOST
        left = self._ctx.total
        if left is not None:
            fitting = min(fitting, (left - self._number) // (AHEAD * self._workers))
        self._size = max(1, min(fitting, size * GROWTH, MOST))
