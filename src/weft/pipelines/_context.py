"""`RunContext`: all that one call of a pipeline has to know, for the engine that carries it out.

Made by `_running` for `run` and by `_mapping` for `map`; the same for every engine, those of clusters too: what is to
be done (`work`, which can be sent), who is told (`hooks`), and where the steps of a run on this machine go
(`executor_for`). Pinned by tests/pipelines/test_executors.py.
"""

from __future__ import annotations

import time
from concurrent.futures import Executor
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from weft.pipelines._hooks import Hooks, checked_callbacks
from weft.pipelines._places import Places, says_where, steps_differ
from weft.pipelines._work import Work, work_for

if TYPE_CHECKING:
    from weft.config import RuntimeConfig
    from weft.pipelines._keys import Keys
    from weft.pipelines._pipeline import Pipeline
    from weft.pipelines._plan import Plan, Step

__all__ = ["RunContext", "context_for"]


class RunContext:
    """What is to be done, how, and who is told. For engines; a context manager.

    Attributes:
        pipeline: The pipeline.
        plan: Its plan, for the outputs that are wanted.
        work: The plan and how its steps are run. Can be pickled.
        config: The configuration that counts.
        forced: It counts for nodes that have one of their own, too.
        hooks: Who is told; None: nobody.
        map_over: The names of the inputs that an item brings, in the order in which it has them.
        buffersize: How many items may be read ahead of results that were taken. None: any number.
        inline: In an event loop: nodes that are not asynchronous run in it, too.
        total: How many items there are, where that is known.

    Example:
        >>> from weft.pipelines import RunContext
        >>> RunContext.__name__
        'RunContext'
    """

    def __init__(self, pipeline: Pipeline, plan: Plan, config: RuntimeConfig, *, forced: bool) -> None:
        self.pipeline = pipeline
        self.plan = plan
        self.config = config
        self.forced = forced
        self.work: Work = work_for(plan, config, forced=forced)
        callbacks = checked_callbacks(config.callbacks)
        self.hooks = Hooks(callbacks) if callbacks else None
        self.map_over: tuple[str, ...] = ()
        self.buffersize: int | None = None
        self.total: int | None = None
        self.inline = False
        self._places = Places()
        self._began = 0.0

    @property
    def name(self) -> str:
        """What the pipeline is called when it is told of."""
        return self.pipeline.name or "pipeline"

    @cached_property
    def keys(self) -> Keys | None:
        """The keys of cached results; None: there is no cache."""
        if not self.work.caches:
            return None
        from weft.pipelines._keys import Keys

        return Keys(self.work)

    def config_for(self, step: Step, outer: RuntimeConfig | None = None) -> RuntimeConfig:
        """The configuration that counts for a step."""
        return self.config if self.forced else step.config or outer or self.config

    def executor_for(self, config: RuntimeConfig) -> Executor | None:
        """The executor for what has this configuration; None: the calling thread."""
        return self._places.executor(config)

    @cached_property
    def places_differ(self) -> bool:
        """Whether some step has a configuration of its own that says where it runs."""
        return not self.forced and steps_differ(self.plan, self.config)

    @cached_property
    def has_work_elsewhere(self) -> bool:
        return says_where(self.config) or self.places_differ

    def __enter__(self) -> Self:
        self._places.__enter__()
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Any:
        try:
            return self._places.__exit__(kind, error, traceback)
        finally:
            for cache in self.work.caches:
                cache.flush()

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.perf_counter() - self._began


def context_for(pipeline: Pipeline, plan: Plan, config: RuntimeConfig | None) -> RunContext:
    """The context of a call."""
    if config is None:
        return RunContext(pipeline, plan, pipeline.effective_config, forced=False)
    return RunContext(pipeline, plan, config, forced=True)
