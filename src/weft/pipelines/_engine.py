"""`PipelineExecutionEngine`: carries pipelines out on an executor that knows nothing of them.

A run goes node by node (`_flow`): independent nodes run side by side. A map goes item by item: each item whole in one
worker, many items in one task (`_chunks`), which costs the least. Where that cannot be, because nodes have places of
their own, or a cache that lies in the caller's memory is to be used by workers that do not share it, a map goes node by
node as well, some items at a time.

An executor that has `run_pipeline` and `map_items` is its own engine, `CompositeExecutor` and those of clusters.
Pinned by tests/pipelines/test_executors.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Protocol, cast

from weft.config import check_executor
from weft.errors import PipelineError
from weft.pipelines._chunks import map_in_chunks
from weft.pipelines._flow import Flow
from weft.pipelines._places import shares_objects

if TYPE_CHECKING:
    from weft.pipelines._context import RunContext
    from weft.pipelines._pipeline import Pipeline

__all__ = ["Engine", "PipelineExecutionEngine", "engine_for"]


class Engine(Protocol):
    """What carries pipelines out: a `PipelineExecutionEngine`, or an executor that takes them whole."""

    def run_pipeline(
        self, pipeline: Pipeline, inputs: dict[str, Any], ctx: RunContext, output_name: tuple[str, ...]
    ) -> dict[str, Any]:
        """Runs a pipeline once.

        Args:
            pipeline: The pipeline.
            inputs: All inputs.
            ctx: How it is to be run, and who is told.
            output_name: The outputs that are wanted.

        Returns:
            These by name.

        Raises:
            PipelineError: A node has failed.
        """
        ...

    def map_items(
        self,
        pipeline: Pipeline,
        items: Iterator[tuple[Any, ...]],
        inputs: dict[str, Any],
        ctx: RunContext,
        output_name: tuple[str, ...],
    ) -> Iterator[dict[str, Any] | PipelineError]:
        """Runs a pipeline for each item.

        Args:
            pipeline: The pipeline.
            items: The values of the inputs that ``ctx.map_over`` names, for each item.
            inputs: All other inputs.
            ctx: How it is to be run, and who is told.
            output_name: The outputs that are wanted.

        Returns:
            The outputs of each item by name, in the order of the items, or the error that a node of it has raised.
            Closing it ends the work.
        """
        ...


class PipelineExecutionEngine:
    """Carries pipelines out on any `concurrent.futures.Executor`.

    Args:
        executor: The executor; None: the calling thread, but for nodes that have a place of their own.

    Raises:
        InvalidSetting: It is no executor.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> from weft import RuntimeConfig
        >>> from weft.pipelines import Pipeline, node
        >>> double = node(output_name="y")(lambda x: 2 * x)
        >>> with ThreadPoolExecutor(2) as pool:  # which needs no engine to be named
        ...     Pipeline([double]).map({"x": range(3)}, map_over="x", config=RuntimeConfig(executor=pool))
        [{'y': 0}, {'y': 2}, {'y': 4}]
    """

    def __init__(self, executor: Executor | None) -> None:
        check_executor("executor", executor)
        self.executor = executor

    def run_pipeline(
        self, pipeline: Pipeline, inputs: dict[str, Any], ctx: RunContext, output_name: tuple[str, ...]
    ) -> dict[str, Any]:
        """Runs a pipeline once, independent nodes side by side. See `Engine`."""
        return Flow(ctx, self.executor).run(inputs)

    def map_items(
        self,
        pipeline: Pipeline,
        items: Iterator[tuple[Any, ...]],
        inputs: dict[str, Any],
        ctx: RunContext,
        output_name: tuple[str, ...],
    ) -> Iterator[dict[str, Any] | PipelineError]:
        """Runs a pipeline for each item, items side by side. See `Engine`."""
        if self.executor is None or ctx.places_differ or self._lacks_cache(self.executor, ctx):
            return Flow(ctx, self.executor).map(items, inputs, ctx.buffersize)
        return map_in_chunks(ctx, self.executor, items, inputs)

    def _lacks_cache(self, executor: Executor, ctx: RunContext) -> bool:
        """Whether workers would not find what is cached here."""
        return not shares_objects(executor) and any(not cache.is_shared for cache in ctx.work.caches)


def engine_for(executor: Executor | None) -> Engine:
    """What carries pipelines out on an executor."""
    if hasattr(executor, "run_pipeline") and hasattr(executor, "map_items"):
        return cast("Engine", executor)
    return PipelineExecutionEngine(executor)
