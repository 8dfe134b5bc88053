"""A pipeline for each of many items: all at once (`map`) or as results are taken (`imap`).

In the calling thread where nothing says otherwise: then the plan's own loop takes less than a microsecond an item. Else
by an engine. Items that failed are told by the engine; here it is decided whether that ends it.
Pinned by tests/pipelines/test_running.py and test_executors.py.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

from weft.config import RuntimeConfig, check_config, check_count
from weft.errors import InvalidSetting, PipelineError
from weft.pipelines._calling import refuse_loop
from weft.pipelines._context import RunContext, context_for
from weft.pipelines._running import is_quiet
from weft.pipelines._sequential import Runner

if TYPE_CHECKING:
    from weft.pipelines._inputs import Items
    from weft.pipelines._pipeline import Pipeline
    from weft.pipelines._plan import Plan

__all__ = ["iterate", "map_here", "outcomes_of", "run"]

type Outcome = dict[str, Any] | PipelineError


def run(
    pipeline: Pipeline, plan: Plan, items: Items, config: RuntimeConfig | None, *, return_exceptions: bool
) -> list[Any]:
    """The outputs of all items."""
    if not isinstance(return_exceptions, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidSetting(setting="return_exceptions", value=return_exceptions, remedy="give True or False")
    if config is not None:
        check_config("config", config)
    if plan.is_plain and is_quiet(config or pipeline.effective_config):
        loop = plan.functions.items_or_errors if return_exceptions else plan.functions.items
        return loop(items.rows, items.over, items.shared)
    return list(outcomes_of(pipeline, plan, items, config, None, return_exceptions))


def iterate(
    pipeline: Pipeline,
    plan: Plan,
    items: Items,
    config: RuntimeConfig | None,
    *,
    return_exceptions: bool,
    buffersize: int | None,
) -> Iterator[Any]:
    """The outputs of each item, as they are asked for."""
    if config is not None:
        check_config("config", config)
    check_count("buffersize", buffersize)
    return outcomes_of(pipeline, plan, items, config, buffersize, return_exceptions)


def outcomes_of(
    pipeline: Pipeline,
    plan: Plan,
    items: Items,
    config: RuntimeConfig | None,
    buffersize: int | None,
    return_exceptions: bool,
) -> Generator[Any]:
    with context_for(pipeline, plan, config) as context:
        context.map_over, context.total, context.buffersize = items.over, items.total, buffersize
        hooks = context.hooks
        if hooks is not None:
            hooks.map_start(context.name, items.total)
        outcomes = _started(context, items.rows, items.shared)
        try:
            for outcome in outcomes:
                if isinstance(outcome, PipelineError) and not return_exceptions:
                    raise outcome from outcome.__cause__
                yield outcome
        finally:
            close = getattr(outcomes, "close", None)
            if close is not None:
                close()
            if hooks is not None:
                hooks.map_end(context.name, context.seconds)


def _started(context: RunContext, rows: Iterator[tuple[Any, ...]], shared: dict[str, Any]) -> Iterator[Outcome]:
    wanted = tuple(name for name, _ in context.plan.outputs)
    if context.config.backend is not None:
        from weft.pipelines._backends import checked_backend

        return checked_backend(context.config.backend).map(context.pipeline, rows, shared, context, wanted)
    return map_here(context, rows, shared, wanted)


def map_here(
    context: RunContext, rows: Iterator[tuple[Any, ...]], shared: dict[str, Any], wanted: tuple[str, ...]
) -> Iterator[Outcome]:
    """Maps on this machine, or wherever the executor has it done."""
    if not context.has_work_elsewhere and context.plan.is_async:
        from weft.pipelines._awaiting import map_in_new_loop

        refuse_loop(context.name)
        return map_in_new_loop(context, rows, shared)
    if not context.has_work_elsewhere:
        return _in_caller(context, rows, shared)
    from weft.pipelines._engine import engine_for

    engine = engine_for(context.executor_for(context.config))
    return engine.map_items(context.pipeline, rows, shared, context, wanted)


def _in_caller(context: RunContext, rows: Iterator[tuple[Any, ...]], shared: dict[str, Any]) -> Iterator[Outcome]:
    over = context.map_over
    if context.work.is_plain and context.hooks is None:
        loop = context.plan.functions.loop(over)
        results: list[Any] = []
        for number, row in enumerate(rows):
            try:
                loop(iter((row,)), results, number, **shared)
            except PipelineError as error:
                results.append(error)
            yield results.pop()
        return
    runner = Runner(context.work, context.hooks, context.keys)
    for number, row in enumerate(rows):
        try:
            yield runner.run_item(number, row, over, shared)
        except PipelineError as error:
            yield error
