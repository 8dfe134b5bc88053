"""Backends: where a pipeline runs. `LocalBackend` is this machine; those of clusters are of the same shape.

A backend has `run` and `map`, and does all there is to do: it is handed the pipeline, the inputs and the `RunContext`.
Pinned by tests/pipelines/test_executors.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, cast

from weft.errors import InvalidSetting, PipelineError

if TYPE_CHECKING:
    from weft.pipelines._context import RunContext
    from weft.pipelines._pipeline import Pipeline

__all__ = ["Backend", "LocalBackend", "checked_backend"]


class Backend(Protocol):
    """Where a pipeline runs."""

    def run(
        self, pipeline: Pipeline, inputs: dict[str, Any], ctx: RunContext, output_name: tuple[str, ...]
    ) -> dict[str, Any]:
        """Runs it once; see `weft.pipelines._engine.Engine.run_pipeline`."""
        ...

    def map(
        self,
        pipeline: Pipeline,
        items: Iterator[tuple[Any, ...]],
        inputs: dict[str, Any],
        ctx: RunContext,
        output_name: tuple[str, ...],
    ) -> Iterator[dict[str, Any] | PipelineError]:
        """Runs it for each item; see `weft.pipelines._engine.Engine.map_items`."""
        ...


class LocalBackend:
    """This machine: what the configuration says otherwise counts.

    Example:
        >>> from weft import RuntimeConfig
        >>> from weft.pipelines import LocalBackend, Pipeline, node
        >>> double = node(output_name="y")(lambda x: 2 * x)
        >>> Pipeline([double]).run(x=1, config=RuntimeConfig(backend=LocalBackend()))
        {'y': 2}
    """

    def run(
        self, pipeline: Pipeline, inputs: dict[str, Any], ctx: RunContext, output_name: tuple[str, ...]
    ) -> dict[str, Any]:
        """Runs a pipeline once."""
        from weft.pipelines._running import run_here

        return run_here(ctx, inputs, output_name)

    def map(
        self,
        pipeline: Pipeline,
        items: Iterator[tuple[Any, ...]],
        inputs: dict[str, Any],
        ctx: RunContext,
        output_name: tuple[str, ...],
    ) -> Iterator[dict[str, Any] | PipelineError]:
        """Runs a pipeline for each item."""
        from weft.pipelines._mapping import map_here

        return map_here(ctx, items, inputs, output_name)


def checked_backend(value: object) -> Backend:
    """The backend of a configuration.

    Raises:
        InvalidSetting: It is none.
    """
    if not (callable(getattr(value, "run", None)) and callable(getattr(value, "map", None))) or isinstance(value, type):
        raise InvalidSetting(setting="backend", value=value, remedy="give a backend, such as LocalBackend(), or None")
    return cast("Backend", value)
