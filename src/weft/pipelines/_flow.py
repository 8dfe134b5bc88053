"""Drives the steps of one or several items through executors: a step is submitted when those before it are done.

All of it happens in the thread that takes the results; workers only call functions and put what they are done with
into a queue. An item is a frame: its slots, and how many steps each step still waits for. A pipeline that is mapped
over items is a step that has frames of its own, a few at a time.

Results and errors are those of `_sequential`. Steps have an order, in which that would run them. When one fails, those
before it are still run to their end, for one of them may fail too, and it is the first failure that counts; those after
it are not begun, and stopped where they run.

What frames that run side by side have to tell is written down for each, and told frame by frame.
Pinned by tests/pipelines/test_executors.py and test_same_everywhere.py.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from functools import partial
from heapq import heappop, heappush
from itertools import count
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, cast

from weft import _core
from weft._capabilities import usable_cpus
from weft.errors import PayloadError, PipelineError
from weft.pipelines._calling import call_once, collected, pause_before
from weft.pipelines._failures import failure_of
from weft.pipelines._hooks import Hooks, Recorder, Teller
from weft.pipelines._places import shares_objects
from weft.pipelines._sequential import MISSING, Runner

if TYPE_CHECKING:
    from weft.config import RuntimeConfig
    from weft.pipelines._context import RunContext
    from weft.pipelines._keys import Keys
    from weft.pipelines._plan import InnerMap, Step
    from weft.pipelines._work import Work

__all__ = ["Flow"]

type Order = tuple[int, ...]
type Outcome = dict[str, Any] | PipelineError

_AHEAD = 4  # items of a map that are under way, for each worker


def timed(step: Step, args: tuple[Any, ...], timeout: float | None) -> tuple[float, Any]:
    """What a worker does for a step, where it has the step itself."""
    began = time.perf_counter()
    result = call_once(step, args, timeout)
    return time.perf_counter() - began, result


async def awaited(step: Step, args: tuple[Any, ...], timeout: float | None) -> tuple[float, Any]:
    """The same on an executor that has an event loop."""
    import asyncio

    began = time.perf_counter()
    made = step.call(args)
    result = await asyncio.wait_for(made if step.kind == "async" else collected(made), timeout)
    return time.perf_counter() - began, result


def timed_there(work: Work, path: tuple[int, ...], args: tuple[Any, ...], timeout: float | None) -> tuple[float, Any]:
    """The same where the step is to be found in what was sent: at the end of a path through mapped pipelines."""
    for index in path[:-1]:
        work = work.inner[index]
    return timed(work.plan.steps[path[-1]], args, timeout)


class _Frame:
    """One item on its way."""

    __slots__ = (
        "began",
        "children",
        "config",
        "failed_at",
        "failure",
        "hooks",
        "keys",
        "left",
        "names",
        "number",
        "opened",
        "order",
        "parent",
        "path",
        "pending",
        "prefix",
        "root",
        "skipped",
        "started",
        "tries",
        "values",
        "waiting",
        "work",
    )  # fmt: skip

    def __init__(
        self, work: Work, given: dict[str, Any], number: int | None, order: Order, hooks: Teller | None,
        config: RuntimeConfig | None, parent: tuple[_Frame, Step] | None = None, prefix: str = "",
    ) -> None:  # fmt: skip
        self.work = work
        self.values = work.plan.start(given)
        self.number = number
        self.order = order
        self.hooks = hooks
        self.config = config
        self.parent = parent
        self.prefix = prefix
        self.root: _Frame = self if parent is None else parent[0].root
        self.path: tuple[int, ...] = () if parent is None else (*parent[0].path, parent[1].index)
        self.keys: list[bytes | None] | None = None
        self.skipped: dict[int, bool] = {}
        self.waiting = [len(step.after) for step in work.plan.steps]
        self.left = len(work.plan.steps)
        self.opened: dict[str, list[Any]] = {}
        self.started: dict[int, float] = {}
        self.tries: dict[int, int] = {}
        self.children: dict[int, _Children] = {}
        self.began = time.perf_counter()
        # Of a root only: the first failure, where it was, and the steps that are ready or under way.
        self.failure: PipelineError | None = None
        self.failed_at: Order = ()
        self.pending: set[Order] = set()

    def order_of(self, step: Step) -> Order:
        return (*self.order, step.index)

    def is_dead(self, order: Order) -> bool:
        """Whether a step comes after one that has failed."""
        return self.root.failure is not None and order > self.root.failed_at


class _Children:
    """The frames of one step that is mapped over items."""

    def __init__(self, rows: list[tuple[Any, ...]], shared: dict[str, Any]) -> None:
        self.rows = rows
        self.shared = shared
        self.next = 0
        self.results: list[Any] = [None] * len(rows)
        self.events: list[list[tuple[Any, ...]]] = [[]] * len(rows)
        self.left = len(rows)


class Flow:
    """Drives items of one call.

    Args:
        context: The call.
        executor: Where steps go whose configuration does not say another place; None: the calling thread.
    """

    def __init__(self, context: RunContext, executor: Executor | None) -> None:
        self._context = context
        self._executor = executor
        self._ready: list[tuple[Order, int, _Frame, Step]] = []
        self._delayed: list[tuple[float, int, _Frame, Step]] = []
        self._done: SimpleQueue[tuple[_Frame, Step, Future[Any]]] = SimpleQueue()
        self._flying: dict[Future[Any], tuple[_Frame, Order]] = {}
        self._ending: set[Future[Any]] = set()  # of these, such as were interrupted
        self._numbers = count()
        self._finished: set[_Frame] = set()
        self._width = _AHEAD * (getattr(executor, "_max_workers", None) or usable_cpus())

    # ---- what it is asked for ---------------------------------------------------------------------------

    def run(self, given: dict[str, Any], number: int | None = None) -> dict[str, Any]:
        """Runs one item.

        Raises:
            PipelineError: A step has failed.
        """
        frame = _Frame(self._context.work, given, number, (0,), self._context.hooks, None)
        try:
            self._begin(frame)
            self._until(frame)
        finally:
            self._stop()
        if frame.failure is not None:
            raise frame.failure from frame.failure.__cause__
        return frame.work.plan.results(frame.values)

    def map(self, rows: Iterator[tuple[Any, ...]], shared: dict[str, Any], width: int | None) -> Iterator[Outcome]:
        """Runs many, so many at a time; gives their outcomes in order."""
        context = self._context
        names = context.map_over
        open_frames: deque[_Frame] = deque()
        numbers = count()
        try:
            while True:
                while len(open_frames) < (width or self._width):
                    row = next(rows, None)
                    if row is None:
                        break
                    number = next(numbers)
                    given = {**shared, **dict(zip(names, row, strict=True))}
                    hooks = None if context.hooks is None else Recorder()
                    frame = _Frame(context.work, given, number, (number,), hooks, None)
                    open_frames.append(frame)
                    self._begin(frame)
                if not open_frames:
                    return
                frame = open_frames.popleft()
                self._until(frame)
                if context.hooks is not None:
                    context.hooks.item_start(cast("int", frame.number))
                    context.hooks.replay(cast("Recorder", frame.hooks).events)
                    context.hooks.item_end(cast("int", frame.number), time.perf_counter() - frame.began)
                yield frame.work.plan.results(frame.values) if frame.failure is None else frame.failure
        finally:
            self._stop()

    # ---- the loop -------------------------------------------------------------------------------------

    def _until(self, frame: _Frame) -> None:
        """Works until a root is done."""
        while frame not in self._finished:
            while self._ready:
                self._start(*heappop(self._ready)[2:])
            if frame in self._finished:
                break
            try:
                self._take(*_core.blocking(self._done.get, True, self._pause()))
            except Empty:
                now = time.monotonic()
                while self._delayed and self._delayed[0][0] <= now:
                    _, number, late, step = heappop(self._delayed)
                    heappush(self._ready, (late.order_of(step), number, late, step))
        self._finished.discard(frame)

    def _pause(self) -> float | None:
        return max(0.0, self._delayed[0][0] - time.monotonic()) if self._delayed else None

    def _begin(self, frame: _Frame) -> None:
        keys = self._keys_for(frame)
        if keys is not None:
            frame.keys, frame.skipped = Runner(frame.work, None, keys).look_up(frame.values)
        for step in frame.work.plan.steps:
            for scope in step.scopes:
                frame.opened.setdefault(scope, [None, 0])[1] += 1
        for step in frame.work.plan.steps:
            if not frame.waiting[step.index]:
                self._push(frame, step)
        if not frame.left:
            self._finish(frame)

    def _keys_for(self, frame: _Frame) -> Keys | None:
        keys = self._context.keys
        for index in frame.path:
            keys = None if keys is None else keys.inner(index)
        return keys

    def _push(self, frame: _Frame, step: Step) -> None:
        order = frame.order_of(step)
        frame.root.pending.add(order)
        heappush(self._ready, (order, next(self._numbers), frame, step))

    # ---- one step ---------------------------------------------------------------------------------------

    def _start(self, frame: _Frame, step: Step) -> None:
        order = frame.order_of(step)
        if frame.is_dead(order):
            self._forget(frame, order)
            return
        hooks, path = frame.hooks, f"{frame.prefix}{step.path}"
        first = step.index not in frame.started
        if first:
            frame.started[step.index] = time.perf_counter()
            self._open_scopes(frame, step)
        if step.index in frame.skipped:
            if hooks is not None and frame.skipped[step.index]:
                hooks.node_cached(path)
            self._ended(frame, step, order)
            return
        options = frame.work.options[step.index]
        if first and frame.keys is not None and options.cache is not None and self._found(frame, step):
            if hooks is not None:
                hooks.node_cached(path)
            self._ended(frame, step, order)
            return
        args = tuple([frame.values[slot] for slot in step.args])
        if hooks is not None and first:
            hooks.node_start(path)
        outer = frame.config
        config = self._context.config_for(step, outer)
        own = step.config is not None or outer is not None
        executor = self._context.executor_for(config) if own and not self._context.forced else self._executor
        if step.kind == "map":
            self._spread(frame, step, args)
            return
        if executor is None:
            self._do_here(frame, step, order, args, options.timeout)
            return
        try:
            future = self._submit(executor, frame, step, args, options.timeout)
        except PayloadError as error:
            self._fail(frame, step, order, error)
            return
        self._flying[future] = frame, order
        future.add_done_callback(partial(_report, self._done, frame, step))

    def _submit(
        self, executor: Executor, frame: _Frame, step: Step, args: tuple[Any, ...], timeout: float | None
    ) -> Future[Any]:
        if step.kind.startswith("async") and getattr(executor, "runs_coroutines", False):
            return executor.submit(awaited, step, args, timeout)
        if shares_objects(executor):
            return executor.submit(timed, step, args, timeout)
        work = self._context.work
        work.packed()  # at once, and with the name of the node that cannot be
        return executor.submit(timed_there, work, (*frame.path, step.index), args, timeout)

    def _do_here(self, frame: _Frame, step: Step, order: Order, args: tuple[Any, ...], timeout: float | None) -> None:
        try:
            seconds, result = timed(step, args, timeout)
        except Exception as error:
            self._failed(frame, step, order, error)
        else:
            self._settle(frame, step, order, seconds, result)

    def _take(self, frame: _Frame, step: Step, future: Future[Any]) -> None:
        """Takes what a worker is done with."""
        _, order = self._flying.pop(future)
        self._ending.discard(future)
        if future.cancelled():
            self._forget(frame, order)
            return
        error = future.exception()
        if error is None:
            seconds, result = future.result()
            self._settle(frame, step, order, seconds, result)
        elif isinstance(error, Exception):
            self._failed(frame, step, order, error)
        elif frame.is_dead(order):  # it was interrupted for that
            self._forget(frame, order)
        else:
            raise error

    def _failed(self, frame: _Frame, step: Step, order: Order, error: Exception) -> None:
        options = frame.work.options[step.index]
        tries = frame.tries[step.index] = frame.tries.get(step.index, 1) + 1
        if tries - 1 > options.retries or not isinstance(error, options.retry_on) or frame.is_dead(order):
            frame.tries[step.index] -= 1
            self._fail(frame, step, order, error)
            return
        if frame.hooks is not None:
            frame.hooks.node_retry(f"{frame.prefix}{step.path}", tries, error)
        due = time.monotonic() + pause_before(tries, options.backoff)
        heappush(self._delayed, (due, next(self._numbers), frame, step))

    def _settle(self, frame: _Frame, step: Step, order: Order, seconds: float, result: Any) -> None:
        """A step has given its result."""
        try:
            step.put(frame.values, result)
        except Exception as error:
            self._fail(frame, step, order, error)
            return
        path = f"{frame.prefix}{step.path}"
        cache = frame.work.options[step.index].cache
        key = None if frame.keys is None or not step.outs else frame.keys[step.outs[0]]
        if cache is not None and key is not None:
            outs = tuple([frame.values[slot] for slot in step.outs])
            keys = self._keys_for(frame)
            parts = b"" if keys is None or frame.keys is None else keys.parts(step, frame.keys)
            cache.put(key, outs[0] if step.single else outs, node=path, seconds=seconds, parts=parts)
        if frame.hooks is not None:
            frame.hooks.node_end(path, seconds)
        self._ended(frame, step, order)

    def _found(self, frame: _Frame, step: Step) -> bool:
        """Whether the result of a step is in the cache whose key is known only now."""
        keys, own = self._keys_for(frame), frame.keys
        cache = frame.work.options[step.index].cache
        if keys is None or own is None or cache is None or own[step.outs[0]] is not None:
            return False
        key = keys.of_step(step, frame.values, own)
        found = MISSING if key is None else cache.get(key, MISSING)
        if found is MISSING:
            return False
        step.put(frame.values, found if step.single else tuple(found))
        return True

    def _ended(self, frame: _Frame, step: Step, order: Order) -> None:
        self._close_scopes(frame, step)
        frame.left -= 1
        for index in frame.work.plan.successors[step.index]:
            frame.waiting[index] -= 1
            if not frame.waiting[index]:
                self._push(frame, frame.work.plan.steps[index])
        if not frame.left:
            self._finish(frame)  # which may begin another one, before this step is forgotten
        self._forget(frame, order)

    def _fail(self, frame: _Frame, step: Step, order: Order, error: Exception) -> None:
        """A step has failed for good."""
        if not (step.kind == "map" and isinstance(error, PipelineError)) and frame.hooks is not None:
            frame.hooks.error(f"{frame.prefix}{step.path}", error)
        root = frame.root
        if root.failure is None or order < root.failed_at:
            args = tuple([frame.values[slot] for slot in step.args])
            tries = frame.tries.get(step.index, 1)
            told = failure_of(frame.work.plan, step, args, error, item=frame.number, attempts=tries)
            at: tuple[_Frame, Step] | None = frame.parent
            while at is not None:
                above, mapped = at
                told = failure_of(above.work.plan, mapped, (), told, item=above.number)
                at = above.parent
            root.failure, root.failed_at = told, order
            for future, (other, its_order) in list(self._flying.items()):
                if other.root is root and its_order > order:
                    self._end(future)
            for entry in [one for one in self._delayed if one[2].is_dead(one[2].order_of(one[3]))]:
                self._delayed.remove(entry)
                root.pending.discard(entry[2].order_of(entry[3]))
        self._forget(frame, order)

    def _forget(self, frame: _Frame, order: Order) -> None:
        """A step is neither ready nor under way any more."""
        root = frame.root
        root.pending.discard(order)
        if root.failure is not None and not any(one < root.failed_at for one in root.pending):
            self._finished.add(root)

    def _finish(self, frame: _Frame) -> None:
        """All steps of a frame are done."""
        if frame.parent is None:
            self._finished.add(frame)
            return
        above, step = frame.parent
        children = above.children[step.index]
        number = cast("int", frame.number)
        children.results[number] = frame.work.plan.results(frame.values)
        if isinstance(frame.hooks, Recorder):
            frame.hooks.item_end(number, time.perf_counter() - frame.began)
            children.events[number] = frame.hooks.events
        frame.values = []
        children.left -= 1
        self._next_child(above, step)

    # ---- mapped pipelines ---------------------------------------------------------------------------------

    def _spread(self, frame: _Frame, step: Step, args: tuple[Any, ...]) -> None:
        inner: InnerMap = cast("Any", step.fn)
        order = frame.order_of(step)
        try:
            children = frame.children[step.index] = _Children(*inner.rows(args))
        except Exception as error:
            self._fail(frame, step, order, error)
            return
        for _ in range(min(self._width, len(children.rows)) or 1):
            self._next_child(frame, step)
        self._forget(frame, order)  # it is the steps of its frames that are under way

    def _next_child(self, frame: _Frame, step: Step) -> None:
        children = frame.children[step.index]
        order = frame.order_of(step)
        if not children.left:
            self._tell_of(frame, step, children)
            inner: InnerMap = cast("Any", step.fn)
            seconds = time.perf_counter() - frame.started[step.index]
            self._settle(frame, step, order, seconds, inner.columns(children.results))
            return
        if children.next == len(children.rows):
            return
        number, row = children.next, children.rows[children.next]
        children.next += 1
        inner = cast("Any", step.fn)
        given = {**children.shared, **dict(zip(inner.over, row, strict=True))}
        hooks = None
        if frame.hooks is not None:
            hooks = Recorder()
            hooks.item_start(number)
        config = self._context.config_for(step, frame.config)
        own = frame.config is not None or step.config is not None
        child = _Frame(
            frame.work.inner[step.index], given, number, (*order, number), hooks, config if own else None,
            (frame, step), f"{frame.prefix}{step.path}/",
        )  # fmt: skip
        self._begin(child)

    def _tell_of(self, frame: _Frame, step: Step, children: _Children) -> None:
        hooks = frame.hooks
        if hooks is None:
            return
        path = f"{frame.prefix}{step.path}"
        hooks.map_start(path, len(children.rows))
        for events in children.events:
            if isinstance(hooks, Recorder):
                hooks.events.extend(events)
            else:
                cast("Hooks", hooks).replay(events)
        hooks.map_end(path, time.perf_counter() - frame.started[step.index])

    # ---- nested pipelines ---------------------------------------------------------------------------------

    def _open_scopes(self, frame: _Frame, step: Step) -> None:
        for scope in step.scopes:
            if frame.opened[scope][0] is None:
                frame.opened[scope][0] = time.perf_counter()
                if frame.hooks is not None:
                    frame.hooks.nested_start(f"{frame.prefix}{scope}")

    def _close_scopes(self, frame: _Frame, step: Step) -> None:
        for scope in reversed(step.scopes):
            frame.opened[scope][1] -= 1
            if not frame.opened[scope][1] and frame.hooks is not None:
                frame.hooks.nested_end(f"{frame.prefix}{scope}", time.perf_counter() - frame.opened[scope][0])

    # ---- the end --------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """Stops what is still under way: nobody waits for it."""
        for future in list(self._flying):
            self._end(future)
        self._flying.clear()

    def _end(self, future: Future[Any]) -> None:
        """Cancels a future, or interrupts what runs, where it can be: once, as it may be in a `finally` after that."""
        if future in self._ending or future.cancel():
            return
        interrupt: Callable[[], bool] | None = getattr(future, "interrupt", None)
        if interrupt is not None and interrupt():
            self._ending.add(future)


def _report(queue: SimpleQueue[Any], frame: _Frame, step: Step, future: Future[Any]) -> None:
    queue.put((frame, step, future))
