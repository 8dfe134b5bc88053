"""One step of a plan on a worker of a cluster, whose results stay there until another step, or the caller, wants them.

A step comes to a pair: what it gave (`Done`), for the steps after it, and what is to be told, in bytes, for the caller.
It never raises: what fails is told, and steps after it find that out from its `Done` and do nothing.

A pipeline that is mapped over items is one step; its items go on to further workers by way of the engine (`Spread`).
Loaded by workers. Pinned by tests/engines/.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from weft._payloads import far
from weft._payloads.failures import dump_failure
from weft._payloads.far import TaskSettings
from weft._payloads.pickling import load
from weft.errors import PipelineError
from weft.pipelines._chunks import Failed, run_rows
from weft.pipelines._hooks import Recorder
from weft.pipelines._keys import Keys
from weft.pipelines._sequential import Runner

if TYPE_CHECKING:
    from weft.pipelines._plan import Step
    from weft.pipelines._work import Work

__all__ = ["Done", "report_of", "run_far_rows", "run_step", "told_of"]

type Spread = Callable[[list[bytes]], list[bytes]]
"""Runs calls of `far.call` in workers, and gives their outcomes in order."""

PARTS = 32
"""Into how many tasks the items of a mapped pipeline go, at most."""


class Done:
    """What a step gave, by slot; ``ok`` is False where it failed, or never began as one before it has.

    Attributes:
        ok: Whether there is anything.
        outs: The values.
        keys: Their keys in caches.
        report: What is to be told: `far.GIVEN` or `far.FAILED`, and bytes.
    """

    __slots__ = ("keys", "ok", "outs", "report")

    def __init__(self, ok: bool, outs: dict[int, Any], keys: dict[int, bytes | None], report: bytes) -> None:
        self.ok = ok
        self.outs = outs
        self.keys = keys
        self.report = report

    def __reduce__(self) -> Any:
        return Done, (self.ok, self.outs, self.keys, self.report)


def run_step(spread: Spread, payload: bytes, work_blob: bytes, *rest: Any) -> Done:
    """What a worker does for a step.

    Args:
        spread: How items of a mapped pipeline go on.
        payload: Which step it is, and how it is told.
        work_blob: The work, in bytes.
        *rest: Values that come from outside, in bytes; then what the steps before it gave.
    """
    try:
        index, told, slots, given_keys = cast("tuple[int, bool, tuple[int, ...], Any]", load(payload))
        work: Work = load(work_blob)
        step: Step = work.plan.steps[index]
        values: list[Any] = [None] * work.plan.size
        keys: list[bytes | None] | None = given_keys
        for slot, data in zip(slots, rest, strict=False):
            values[slot] = load(data)
        for before in rest[len(slots) :]:
            if not before.ok:
                return Done(False, {}, {}, _NOTHING)
            for slot, value in before.outs.items():
                values[slot] = value
                if keys is not None:
                    keys[slot] = before.keys[slot]
        recorder = Recorder() if told else None
        runner = _Runner(work, recorder, None if keys is None else Keys(work), spread)
        failed: Failed | None = None
        try:
            runner.run_step(step, values, keys, None)
        except PipelineError as error:
            failed = Failed(error)
        for cache in work.caches:
            cache.flush()
        report = far.GIVEN + far.dump_far((failed, [] if recorder is None else recorder.events))
        if failed is not None:
            return Done(False, {}, {}, report)
        outs: dict[int, Any] = {slot: values[slot] for slot in step.outs}
        return Done(True, outs, {slot: None if keys is None else keys[slot] for slot in step.outs}, report)
    except BaseException as error:
        return Done(False, {}, {}, far.FAILED + dump_failure(error))


def report_of(done: Done, wanted: tuple[int, ...]) -> bytes:
    """What the caller is told of a step, for `far.outcome_of`: its report, and the outputs that the caller wants."""
    if done.report[:1] == far.FAILED:
        return done.report
    outs = {slot: done.outs[slot] for slot in wanted if done.ok}
    values = [*outs.values()]
    return far.given((done.report, outs), {"result": values[0] if len(values) == 1 else values})


def told_of(report: bytes) -> tuple[Failed | None, list[tuple[Any, ...]]]:
    """What is in a report: the failure, and the events."""
    return load(memoryview(report)[1:])


_PLAIN = TaskSettings()
_NOTHING = far.GIVEN + far.dump_far((None, ()))


def run_far_rows(
    work: Work, shared: dict[str, Any], rows: list[tuple[Any, ...]], over: tuple[str, ...], first: int, told: bool
) -> Any:
    """Items of `map`, whole, in one worker: see `weft.pipelines._chunks.run_rows`."""
    return run_rows(work, rows, over, shared, first, told)


class _Runner(Runner):
    """Has the items of mapped pipelines done by further workers."""

    def __init__(self, work: Work, recorder: Recorder | None, keys: Keys | None, spread: Spread) -> None:
        super().__init__(work, recorder, keys)
        self._recorder = recorder
        self._spread = spread

    def _run_map(self, step: Step, args: tuple[Any, ...], path: str) -> Any:
        inner: Any = step.fn
        rows, shared = inner.rows(args)
        if len(rows) < 2:
            return super()._run_map(step, args, path)
        work = self._work.inner[step.index]
        size = -(-len(rows) // PARTS)
        told = self._recorder is not None
        payloads = [
            far.pack(
                run_part, (work, rows[at : at + size], inner.over, shared, at, told, f"{path}/"), {}, _PLAIN, task=path
            )
            for at in range(0, len(rows), size)
        ]
        began = time.perf_counter()
        if self._recorder is not None:
            self._recorder.map_start(path, len(rows))
        results: list[dict[str, Any]] = []
        try:
            for data in self._spread(payloads):
                outcome, error = far.outcome_of(data)
                if error is not None:
                    raise error
                found, failed, events = cast("tuple[list[Any], Failed | None, list[tuple[Any, ...]]]", outcome)
                if self._recorder is not None:
                    self._recorder.events.extend(events)
                if failed is not None:
                    raise failed.error from failed.error.__cause__
                results.extend(found)
        finally:
            if self._recorder is not None:
                self._recorder.map_end(path, time.perf_counter() - began)
        return inner.columns(results)


def run_part(
    work: Work,
    rows: list[tuple[Any, ...]],
    over: tuple[str, ...],
    shared: dict[str, Any],
    first: int,
    told: bool,
    prefix: str,
) -> tuple[list[dict[str, Any]], Failed | None, list[tuple[Any, ...]]]:
    """Some items of a mapped pipeline, up to the first that fails."""
    recorder = Recorder() if told else None
    runner = Runner(work, recorder, Keys(work) if work.caches else None, prefix)
    results: list[dict[str, Any]] = []
    failed: Failed | None = None
    for number, row in enumerate(rows, first):
        try:
            results.append(runner.run_item(number, row, over, shared))
        except PipelineError as error:
            failed = Failed(error)
            break
    for cache in work.caches:
        cache.flush()
    return results, failed, [] if recorder is None else recorder.events
