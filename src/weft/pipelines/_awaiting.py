"""Pipelines that are awaited, under asyncio or trio: asynchronous nodes run on the caller's loop, side by side.

Nodes that are not asynchronous do not keep the loop waiting: they go to the executor of their configuration, else to
weft's default thread pool. A pipeline without any asynchronous node goes there as a whole, in one call.

Each step that can begin does. Results and errors are those of `_sequential`: when a step fails, those before it in the
plan's order are waited for, and it is the first failure that counts; those after it are cancelled.
One task of the caller's drives an item; a step that is asynchronous has a task of its own. When the caller is
cancelled, so are they.
Pinned by tests/pipelines/test_async.py, under both libraries.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, cast

from weft import _core
from weft.aio._library import over_within, running_library, start_task
from weft.config import RuntimeConfig, check_config, check_count
from weft.errors import PipelineError, TaskTimeout
from weft.pipelines import _inputs, _mapping, _running
from weft.pipelines._calling import collected, pause_before
from weft.pipelines._context import RunContext, context_for
from weft.pipelines._failures import failure_of
from weft.pipelines._flow import timed, timed_there
from weft.pipelines._hooks import Hooks, Recorder, Teller
from weft.pipelines._places import shares_objects
from weft.pipelines._sequential import MISSING, Runner

if TYPE_CHECKING:
    from weft.pipelines._keys import Keys
    from weft.pipelines._pipeline import Pipeline
    from weft.pipelines._plan import InnerMap, Plan, Step
    from weft.pipelines._work import Work

__all__ = ["map_in_new_loop", "run", "run_in_new_loop", "run_map"]

_SIDE_BY_SIDE = 64  # items under way, where no limit is given
_END: Any = object()


async def run(pipeline: Pipeline, plan: Plan, given: dict[str, Any], config: RuntimeConfig | None) -> dict[str, Any]:
    """Runs a plan once."""
    running_library()  # which says so if there is none
    _inputs.check(pipeline, plan, given)
    if config is not None:
        check_config("config", config)
    if not plan.is_async:
        from weft.aio import to_thread

        return await to_thread(_running.run, pipeline, plan, given, config)
    with context_for(pipeline, plan, config) as context:
        hooks = context.hooks
        outputs: dict[str, Any] = {}
        if hooks is not None:
            hooks.pipeline_start(context.name, given)
        try:
            outputs = await _Item(context, context.work, hooks, context.keys, None, "").run(given, None)
            return outputs
        finally:
            if hooks is not None:
                hooks.pipeline_end(context.name, outputs, context.seconds)


def _close(results: Generator[Any]) -> None:
    try:
        results.close()
    except ValueError as error:
        # Cancelled while a worker was in it: that is interrupted, which unwinds it there.
        if "already executing" not in str(error):
            raise


async def run_map(
    pipeline: Pipeline,
    plan: Plan,
    items: _inputs.Items,
    config: RuntimeConfig | None,
    *,
    return_exceptions: bool,
    buffersize: int | None = None,
) -> AsyncIterator[Any]:
    """Runs a plan for each item; gives their outputs in order."""
    running_library()
    check_count("buffersize", buffersize)
    if config is not None:
        check_config("config", config)
    if not plan.is_async:
        from weft.aio import to_thread

        results = _mapping.outcomes_of(pipeline, plan, items, config, buffersize, return_exceptions)
        try:
            while (outcome := await to_thread(next, results, _END)) is not _END:
                yield outcome
        finally:
            _close(results)
        return
    with context_for(pipeline, plan, config) as context:
        hooks = context.hooks
        if hooks is not None:
            hooks.map_start(context.name, items.total)
        outcomes = _side_by_side(
            context, context.work, items.rows, items.over, items.shared, hooks, context.keys, None, "", buffersize
        )
        try:
            async for outcome in outcomes:
                if isinstance(outcome, PipelineError) and not return_exceptions:
                    raise outcome from outcome.__cause__
                yield outcome
        finally:
            await outcomes.aclose()
            if hooks is not None:
                hooks.map_end(context.name, context.seconds)


def run_in_new_loop(context: RunContext, given: dict[str, Any]) -> dict[str, Any]:
    """Runs a plan once in an event loop of its own, for a caller who has none."""
    import asyncio

    context.inline = True
    return asyncio.run(_Item(context, context.work, context.hooks, context.keys, None, "").run(given, None))


def map_in_new_loop(
    context: RunContext, rows: Iterator[tuple[Any, ...]], shared: dict[str, Any]
) -> Iterator[dict[str, Any] | PipelineError]:
    """Runs a plan for each item in an event loop of its own, for a caller who has none."""
    import asyncio

    context.inline = True
    limit = context.buffersize
    with asyncio.Runner() as runner:
        outcomes = _side_by_side(
            context, context.work, rows, context.map_over, shared, context.hooks, context.keys, None, "", limit
        )

        async def following() -> Any:
            return await anext(outcomes, _END)

        try:
            while (outcome := runner.run(following())) is not _END:
                yield outcome
        finally:
            runner.run(_closed(outcomes))


async def _side_by_side(
    context: RunContext,
    work: Work,
    rows: Iterator[tuple[Any, ...]],
    over: tuple[str, ...],
    shared: dict[str, Any],
    hooks: Teller | None,
    keys: Keys | None,
    config: RuntimeConfig | None,
    prefix: str,
    limit: int | None,
    path: tuple[int, ...] = (),
) -> AsyncGenerator[dict[str, Any] | PipelineError]:
    """Items of a map, several at a time; their outcomes in order."""
    box = _core.Mailbox()
    tasks: deque[_Task] = deque()
    number = 0
    try:
        while True:
            while len(tasks) < (limit or _SIDE_BY_SIDE) and (row := next(rows, None)) is not None:
                recorder = None if hooks is None else Recorder()
                item = _Item(context, work, recorder, keys, config, prefix, path)
                given = {**shared, **dict(zip(over, row, strict=True))}
                tasks.append(_Task(item.run_told(given, number), box, recorder))
                number += 1
            if not tasks:
                return
            while not tasks[0].done:
                await box.wait(1)
                box.take()
            task = tasks.popleft()
            if task.recorder is not None:
                _tell(hooks, task.recorder.events)
            if task.error is not None and not isinstance(task.error, PipelineError):
                raise task.error
            yield task.result if task.error is None else task.error
    finally:
        box.close()
        for task in tasks:
            await task.stop()


async def _closed(outcomes: AsyncGenerator[Any]) -> None:
    await outcomes.aclose()


def _tell(hooks: Teller | None, events: list[tuple[Any, ...]]) -> None:
    if isinstance(hooks, Recorder):
        hooks.events.extend(events)
    elif isinstance(hooks, Hooks):
        hooks.replay(events)


class _Task:
    """A coroutine that runs beside the caller, and what came of it."""

    def __init__(
        self, work: Awaitable[Any], box: _core.Mailbox, recorder: Recorder | None = None, step: Step | None = None
    ) -> None:
        self.recorder = recorder
        self.step = step
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self._work = work
        self._box = box
        self._stop = start_task(self._run)

    async def stop(self) -> None:
        """Cancels it, and waits for its end."""
        await self._stop()
        cast("Any", self._work).close()  # where it has not even begun

    async def _run(self) -> None:
        try:
            self.result = await self._work
        except Exception as error:
            self.error = error
        self.done = True
        self._box(self)


class _Item:
    """One item on its way. For one task of the loop."""

    def __init__(
        self,
        context: RunContext,
        work: Work,
        hooks: Teller | None,
        keys: Keys | None,
        config: RuntimeConfig | None,
        prefix: str,
        path: tuple[int, ...] = (),
    ) -> None:
        self._context = context
        self._work = work
        self._hooks = hooks
        self._keys = keys
        self._config = config
        self._prefix = prefix
        self._path = path
        self._box = _core.Mailbox()
        self._under_way: dict[int, _Task] = {}
        self._opened: dict[str, list[Any]] = {}
        self._slots: list[bytes | None] | None = None

    async def run_told(self, given: dict[str, Any], number: int) -> dict[str, Any]:
        hooks = self._hooks
        if hooks is None:
            return await self.run(given, number)
        began = time.perf_counter()
        hooks.item_start(number)
        try:
            return await self.run(given, number)
        finally:
            hooks.item_end(number, time.perf_counter() - began)

    async def run(self, given: dict[str, Any], number: int | None) -> dict[str, Any]:
        plan = self._work.plan
        values = plan.start(given)
        skipped: dict[int, bool] = {}
        if self._keys is not None:
            self._slots, skipped = Runner(self._work, None, self._keys).look_up(values)
        for step in plan.steps:
            for scope in step.scopes:
                self._opened.setdefault(scope, [None, 0])[1] += 1
        waiting = [len(step.after) for step in plan.steps]
        ready = [step.index for step in plan.steps if not step.after]
        failure: PipelineError | None = None
        failed_at = len(plan.steps)
        try:
            while ready or self._under_way:
                ready.sort(reverse=True)
                done: list[tuple[Step, Any, BaseException | None]] = []
                while ready:
                    index = ready.pop()
                    if index > failed_at:
                        continue
                    step = plan.steps[index]
                    self._open_scopes(step)
                    if index in skipped or self._found(step, values):
                        if self._hooks is not None and skipped.get(index, True):
                            self._hooks.node_cached(f"{self._prefix}{step.path}")
                        done.append((step, _END, None))
                    else:
                        self._start(step, tuple([values[slot] for slot in step.args]))
                if not done:
                    if failure is not None and not any(index < failed_at for index in self._under_way):
                        break
                    await self._box.wait(1)
                    done = [self._taken(one) for one in self._box.take()]
                for step, result, error in done:
                    if error is None and result is not _END:
                        error = self._settle(step, values, *result)
                    if error is None:
                        self._close_scopes(step)
                        for index in plan.successors[step.index]:
                            waiting[index] -= 1
                            if not waiting[index]:
                                ready.append(index)
                    elif step.index < failed_at:
                        failure, failed_at = self._failure(step, values, error, number), step.index
        finally:
            self._box.close()
            for one in self._under_way.values():
                await one.stop()
        if failure is not None:
            raise failure from failure.__cause__
        return plan.results(values)

    # ---- one step ---------------------------------------------------------------------------------------

    def _start(self, step: Step, args: tuple[Any, ...]) -> None:
        if self._hooks is not None:
            self._hooks.node_start(f"{self._prefix}{step.path}")
        self._under_way[step.index] = _Task(self._attempts(step, args), self._box, step=step)

    def _taken(self, task: Any) -> tuple[Step, Any, BaseException | None]:
        step = cast("Step", task.step)
        del self._under_way[step.index]
        return step, task.result, task.error

    async def _attempts(self, step: Step, args: tuple[Any, ...]) -> tuple[float, Any]:
        options = self._work.options[step.index]
        attempt = 1
        while True:
            began = time.perf_counter()
            try:
                result = await self._call(step, args, options.timeout)
                return time.perf_counter() - began, result
            except PipelineError:
                raise
            except Exception as error:
                if attempt > options.retries or not isinstance(error, options.retry_on):
                    raise _Spent(attempt) from error
                attempt += 1
                if self._hooks is not None:
                    self._hooks.node_retry(f"{self._prefix}{step.path}", attempt, error)
            await _sleep(pause_before(attempt, options.backoff))

    async def _call(self, step: Step, args: tuple[Any, ...], timeout: float | None) -> Any:
        if step.kind == "map":
            return await self._map(step, args)
        if step.kind.startswith("async"):
            made = step.call(args)
            return await _within(made if step.kind == "async" else collected(made), timeout, step.path)
        _, result = await self._elsewhere(step, args, timeout)
        return result

    async def _elsewhere(self, step: Step, args: tuple[Any, ...], timeout: float | None) -> tuple[float, Any]:
        """A step that is not asynchronous: on its executor, or the default one."""
        from weft.aio import wrap_future

        executor = self._context.executor_for(self._context.config_for(step, self._config))
        if executor is None or not hasattr(executor, "submit"):
            if self._context.inline or getattr(self._context.config.executor, "runs_in_caller", False):
                return timed(step, args, timeout)
            from weft.futures._default import default_executor

            executor = default_executor()
        if shares_objects(cast("Executor", executor)):
            return await wrap_future(executor.submit(timed, step, args, timeout))
        work = self._context.work
        work.packed()
        return await wrap_future(executor.submit(timed_there, work, (*self._path, step.index), args, timeout))

    async def _map(self, step: Step, args: tuple[Any, ...]) -> Any:
        inner: InnerMap = cast("Any", step.fn)
        rows, shared = inner.rows(args)
        path = f"{self._prefix}{step.path}"
        keys = None if self._keys is None else self._keys.inner(step.index)
        own = self._config is not None or step.config is not None
        config = self._context.config_for(step, self._config) if own else None
        began = time.perf_counter()
        recorder = None if self._hooks is None else Recorder()
        outcomes = _side_by_side(
            self._context,
            self._work.inner[step.index],
            iter(rows),
            inner.over,
            shared,
            recorder,
            keys,
            config,
            f"{path}/",
            None,
            (*self._path, step.index),
        )
        results: list[dict[str, Any]] = []
        try:
            async for outcome in outcomes:
                if isinstance(outcome, PipelineError):
                    raise outcome from outcome.__cause__
                results.append(outcome)
        finally:
            await outcomes.aclose()
            if self._hooks is not None and recorder is not None:
                self._hooks.map_start(path, len(rows))
                _tell(self._hooks, recorder.events)
                self._hooks.map_end(path, time.perf_counter() - began)
        return inner.columns(results)

    def _settle(self, step: Step, values: list[Any], seconds: float, result: Any) -> BaseException | None:
        """Takes a result; gives the error, if it is none that can be taken."""
        try:
            step.put(values, result)
        except Exception as error:
            return error
        cache = self._work.options[step.index].cache
        key = None if self._slots is None or not step.outs else self._slots[step.outs[0]]
        path = f"{self._prefix}{step.path}"
        if cache is not None and key is not None:
            outs = tuple([values[slot] for slot in step.outs])
            parts = b"" if self._keys is None or self._slots is None else self._keys.parts(step, self._slots)
            cache.put(key, outs[0] if step.single else outs, node=path, seconds=seconds, parts=parts)
        if self._hooks is not None:
            self._hooks.node_end(path, seconds)
        return None

    def _found(self, step: Step, values: list[Any]) -> bool:
        """Whether the result is in the cache, of a step whose key is known only now."""
        slots, cache = self._slots, self._work.options[step.index].cache
        if slots is None or cache is None or self._keys is None or slots[step.outs[0]] is not None:
            return False
        key = self._keys.of_step(step, values, slots)
        found = MISSING if key is None else cache.get(key, MISSING)
        if found is MISSING:
            return False
        step.put(values, found)
        return True

    def _failure(self, step: Step, values: list[Any], error: BaseException, number: int | None) -> PipelineError:
        attempt = error.attempts if isinstance(error, _Spent) else 1
        if isinstance(error, _Spent) and error.__cause__ is not None:
            error = error.__cause__
        if self._hooks is not None and not isinstance(error, PipelineError):
            self._hooks.error(f"{self._prefix}{step.path}", error)
        args = tuple([values[slot] for slot in step.args])
        return failure_of(self._work.plan, step, args, error, item=number, attempts=attempt)

    # ---- nested pipelines ---------------------------------------------------------------------------------

    def _open_scopes(self, step: Step) -> None:
        for scope in step.scopes:
            if self._opened[scope][0] is None:
                self._opened[scope][0] = time.perf_counter()
                if self._hooks is not None:
                    self._hooks.nested_start(f"{self._prefix}{scope}")

    def _close_scopes(self, step: Step) -> None:
        for scope in reversed(step.scopes):
            self._opened[scope][1] -= 1
            if not self._opened[scope][1] and self._hooks is not None:
                self._hooks.nested_end(f"{self._prefix}{scope}", time.perf_counter() - self._opened[scope][0])


class _Spent(Exception):
    """A step has failed for good, after so many tries; the last error is the cause."""

    def __init__(self, attempts: int) -> None:
        super().__init__(attempts)
        self.attempts = attempts


async def _within(awaitable: Awaitable[Any], timeout: float | None, path: str) -> Any:
    """Awaits something for so long.

    Raises:
        TaskTimeout: It took longer, and was cancelled.
    """
    if timeout is None:
        return await awaitable
    found: list[Any] = []

    async def keep() -> None:
        found.append(await awaitable)

    if not await over_within(keep(), timeout):
        raise TaskTimeout(task=path, timeout=timeout, started=True)
    return found[0]


async def _sleep(seconds: float) -> None:
    sleep: Callable[[float], Awaitable[None]]
    if running_library() == "trio":
        from trio import sleep
    else:
        from asyncio import sleep
    await sleep(seconds)
