"""One run of a pipeline: finds who carries it out, and tells of its beginning and end.

In the calling thread where nothing says otherwise; by the backend or the executor, where that takes pipelines whole;
else by `PipelineExecutionEngine`, node by node.
Pinned by tests/pipelines/test_running.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from weft.config import RuntimeConfig, check_config
from weft.pipelines import _inputs
from weft.pipelines._calling import refuse_loop
from weft.pipelines._context import RunContext, context_for
from weft.pipelines._keys import Keys
from weft.pipelines._sequential import Runner
from weft.pipelines._work import work_here

if TYPE_CHECKING:
    from weft.pipelines._pipeline import Pipeline
    from weft.pipelines._plan import Plan

__all__ = ["is_quiet", "run", "run_told"]


def is_quiet(config: RuntimeConfig) -> bool:
    """Whether a configuration asks for nothing but that functions are called here."""
    from weft.pipelines._places import says_where

    return not (
        config.backend or config.callbacks or config.retries or config.timeout or config.cache is not None
    ) and not says_where(config)


def run(pipeline: Pipeline, plan: Plan, given: dict[str, Any], config: RuntimeConfig | None) -> dict[str, Any]:
    """Runs a plan once."""
    _inputs.check(pipeline, plan, given)
    if config is not None:
        check_config("config", config)
    counts = pipeline.effective_config if config is None else config
    work = work_here(plan, counts, forced=config is not None)
    if work is not None:
        if work.is_plain:
            return plan.functions.run(**given)
        try:
            return Runner(work, None, Keys(work) if work.caches else None).run(given)
        finally:
            for cache in work.caches:
                cache.flush()
    with context_for(pipeline, plan, config) as context:
        wanted = tuple(name for name, _ in plan.outputs)
        if context.config.backend is not None:
            from weft.pipelines._backends import checked_backend

            return checked_backend(context.config.backend).run(pipeline, given, context, wanted)
        return run_here(context, given, wanted)


def run_here(context: RunContext, given: dict[str, Any], wanted: tuple[str, ...]) -> dict[str, Any]:
    """Runs on this machine, or wherever the executor has it run."""
    return run_told(context, given, lambda: _outputs(context, given, wanted))


def _outputs(context: RunContext, given: dict[str, Any], wanted: tuple[str, ...]) -> dict[str, Any]:
    if not context.has_work_elsewhere and context.plan.is_async:
        from weft.pipelines._awaiting import run_in_new_loop

        refuse_loop(context.name)
        return run_in_new_loop(context, given)
    if not context.has_work_elsewhere:
        return Runner(context.work, context.hooks, context.keys).run(given)
    from weft.pipelines._engine import engine_for

    engine = engine_for(context.executor_for(context.config))
    return engine.run_pipeline(context.pipeline, given, context, wanted)


def run_told(context: RunContext, given: dict[str, Any], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Does what a run comes to, and tells of its beginning and end."""
    hooks = context.hooks
    began = time.perf_counter()
    outputs: dict[str, Any] = {}
    if hooks is not None:
        hooks.pipeline_start(context.name, given)
    try:
        outputs = work()
        return outputs
    finally:
        if hooks is not None:
            hooks.pipeline_end(context.name, outputs, time.perf_counter() - began)
