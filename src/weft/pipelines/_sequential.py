"""Runs a plan in the calling thread, step by step, with all that there is to do besides calling: hooks, cache, retries.

An item goes in three passes, of which the first two are for the cache:
1. forward: the key of each step whose inputs' keys are known without running anything;
2. backward from the outputs that are wanted: a step whose result is found needs nothing before it;
3. forward: what is needed and was not found is run, and kept.

So a result that is found saves all that only led to it. A step after one that is not cached has its key made of the
values that it gets.
Pinned by tests/pipelines/test_cache.py, test_callbacks.py and test_retries.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from weft.errors import PipelineError
from weft.pipelines._calling import attempts
from weft.pipelines._failures import failure_of

if TYPE_CHECKING:
    from weft.pipelines._hooks import Teller
    from weft.pipelines._keys import Keys
    from weft.pipelines._plan import Step
    from weft.pipelines._work import Work

__all__ = ["MISSING", "Runner"]

MISSING: Any = object()
"""In place of a value that is not there yet."""


class Runner:
    """Runs items of one work. One thread at a time.

    Args:
        work: What is to be done.
        hooks: Who is told, or None.
        keys: The keys of results, or None: then no cache is used.
        prefix: The path of what this is part of, with a slash at its end.
    """

    def __init__(self, work: Work, hooks: Teller | None, keys: Keys | None = None, prefix: str = "") -> None:
        self._work = work
        self._plan = work.plan
        self._hooks = hooks
        self._keys = keys
        self._prefix = prefix
        self._last_in_scope = _last_in_scope(self._plan.steps) if hooks is not None else {}

    def run(self, given: dict[str, Any], item: int | None = None) -> dict[str, Any]:
        """Runs one item.

        Args:
            given: The inputs.
            item: Its number, where it is one of many.

        Returns:
            The outputs.

        Raises:
            PipelineError: A step has failed.
        """
        plan = self._plan
        values = plan.start(given)
        keys, skipped = (None, ()) if self._keys is None else self.look_up(values)
        if self._hooks is None and len(skipped) == len(plan.steps):
            return plan.results(values)
        opened: dict[str, float] = {}
        for step in plan.steps:
            if step.index in skipped:
                if self._hooks is not None and skipped[step.index]:
                    self._open_scopes(step, opened)
                    self._hooks.node_cached(f"{self._prefix}{step.path}")
                    self._close_scopes(step, opened)
                continue
            if self._hooks is not None:
                self._open_scopes(step, opened)
            self.run_step(step, values, keys, item)
            if self._hooks is not None:
                self._close_scopes(step, opened)
        return plan.results(values)

    def run_step(self, step: Step, values: list[Any], keys: list[bytes | None] | None, item: int | None) -> None:
        """Runs one step: takes its inputs from ``values``, and puts there what it gives.

        Raises:
            PipelineError: It has failed.
        """
        args = tuple([values[slot] for slot in step.args])
        options = self._work.options[step.index]
        hooks, path = self._hooks, f"{self._prefix}{step.path}"
        key = None
        if keys is not None and self._keys is not None:
            key = keys[step.outs[0]] if step.outs else None
            if key is None and options.cache is not None:
                # What it takes comes from a step that is not cached: only now is it known what that is.
                key = self._keys.of_step(step, values, keys)
                found = MISSING if key is None else options.cache.get(key, MISSING)
                if found is not MISSING:
                    self._found(step, values, found)
                    if hooks is not None:
                        hooks.node_cached(path)
                    return
        if hooks is not None:
            hooks.node_start(path)
        began = time.perf_counter()
        tries = [1]
        try:
            if step.kind == "map":
                result = self._run_map(step, args, path)
            else:
                result = attempts(step, args, options, self._on_retry(path), tries)
            step.put(values, result)
        except Exception as error:
            told = failure_of(self._plan, step, args, error, item=item, attempts=tries[0])
            if hooks is not None and not (step.kind == "map" and isinstance(error, PipelineError)):
                hooks.error(path, error)
            raise told from told.__cause__
        seconds = time.perf_counter() - began
        if key is not None and options.cache is not None:
            outs = tuple([values[slot] for slot in step.outs])
            parts = b"" if keys is None or self._keys is None else self._keys.parts(step, keys)
            options.cache.put(key, outs[0] if step.single else outs, node=path, seconds=seconds, parts=parts)
        if hooks is not None:
            hooks.node_end(path, seconds)

    def _on_retry(self, path: str) -> Callable[[int, BaseException], None] | None:
        hooks = self._hooks
        return None if hooks is None else lambda attempt, error: hooks.node_retry(path, attempt, error)

    def _run_map(self, step: Step, args: tuple[Any, ...], path: str) -> Any:
        work = self._work.inner[step.index]
        if self._hooks is None and work.is_plain:
            return step.fn(*args)
        rows, shared = step.fn.rows(args)  # type: ignore[attr-defined]
        keys = None if self._keys is None else self._keys.inner(step.index)
        runner = Runner(work, self._hooks, keys, f"{path}/")
        return step.fn.columns(runner.run_all(rows, step.fn.over, shared, path))  # type: ignore[attr-defined]

    def run_all(
        self, rows: list[tuple[Any, ...]], over: tuple[str, ...], shared: dict[str, Any], path: str
    ) -> list[dict[str, Any]]:
        """Runs all items of a map.

        Raises:
            PipelineError: The first that fails.
        """
        hooks = self._hooks
        if hooks is None:
            return [self.run({**shared, **dict(zip(over, row, strict=True))}, n) for n, row in enumerate(rows)]
        began = time.perf_counter()
        hooks.map_start(path, len(rows))
        try:
            return [self.run_item(n, row, over, shared) for n, row in enumerate(rows)]
        finally:
            hooks.map_end(path, time.perf_counter() - began)

    def run_item(
        self, number: int, row: tuple[Any, ...], over: tuple[str, ...], shared: dict[str, Any]
    ) -> dict[str, Any]:
        """Runs one item of a map, and tells of it."""
        hooks = self._hooks
        given = {**shared, **dict(zip(over, row, strict=True))}
        if hooks is None:
            return self.run(given, number)
        began = time.perf_counter()
        hooks.item_start(number)
        try:
            return self.run(given, number)
        finally:
            hooks.item_end(number, time.perf_counter() - began)

    # ---- the cache -------------------------------------------------------------------------------------

    def look_up(self, values: list[Any]) -> tuple[list[bytes | None], dict[int, bool]]:
        """The keys as far as they are known, and the steps that need not run: True for those that were found."""
        assert self._keys is not None
        plan, options = self._plan, self._work.options
        keys = self._keys.ahead(values)
        skipped: dict[int, bool] = {}
        needed = {slot for _, slot in plan.outputs}
        for step in reversed(plan.steps):
            if needed.isdisjoint(step.outs):
                skipped[step.index] = False
                continue
            cache = options[step.index].cache
            key = keys[step.outs[0]] if cache is not None else None
            found = MISSING if key is None or cache is None else cache.get(key, MISSING)
            if found is MISSING:
                needed.update(step.args)
            else:
                self._found(step, values, found)
                skipped[step.index] = True
        return keys, skipped

    def _found(self, step: Step, values: list[Any], found: Any) -> None:
        if step.single:
            values[step.outs[0]] = found
        else:
            for slot, value in zip(step.outs, found, strict=True):
                values[slot] = value

    # ---- nested pipelines ------------------------------------------------------------------------------

    def _open_scopes(self, step: Step, opened: dict[str, float]) -> None:
        assert self._hooks is not None
        for scope in step.scopes:
            if scope not in opened:
                opened[scope] = time.perf_counter()
                self._hooks.nested_start(f"{self._prefix}{scope}")

    def _close_scopes(self, step: Step, opened: dict[str, float]) -> None:
        assert self._hooks is not None
        for scope in reversed(step.scopes):
            if self._last_in_scope[scope] == step.index and scope in opened:
                self._hooks.nested_end(f"{self._prefix}{scope}", time.perf_counter() - opened[scope])


def _last_in_scope(steps: tuple[Step, ...]) -> dict[str, int]:
    return {scope: step.index for step in steps for scope in step.scopes}
