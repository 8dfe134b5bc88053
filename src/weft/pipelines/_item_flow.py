"""One item of a map, in a worker, with its nodes side by side on an executor there: what `CompositeExecutor` sends.

All nodes go to that executor, those too that have a configuration of their own: it is the one that was named for nodes.
Pinned by tests/pipelines/test_executors.py.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from weft.config import RuntimeConfig
from weft.pipelines._flow import Flow
from weft.pipelines._places import Places

if TYPE_CHECKING:
    from weft.pipelines._context import RunContext
    from weft.pipelines._hooks import Teller
    from weft.pipelines._keys import Keys
    from weft.pipelines._work import Work

__all__ = ["ItemFlow", "run_item"]


class ItemFlow:
    """Where the nodes of items go.

    Args:
        executor: The executor; a configuration makes one for each task of items.
    """

    def __init__(self, executor: Executor | RuntimeConfig) -> None:
        self._given = executor

    @contextmanager
    def opened(self) -> Generator[Executor | None]:
        """The executor, for as long as it is needed."""
        if isinstance(self._given, RuntimeConfig):
            with Places() as places:
                yield places.executor(self._given)
        else:
            yield self._given


class There:
    """What `Flow` has to know of a call, where there is no `RunContext`."""

    forced = True
    map_over = ()

    def __init__(self, work: Work, hooks: Teller | None, keys: Keys | None) -> None:
        self.work = work
        self.hooks = hooks
        self.keys = keys
        self.config = RuntimeConfig()

    def config_for(self, step: object, outer: object = None) -> RuntimeConfig:
        return self.config

    def executor_for(self, config: RuntimeConfig) -> None:
        return None


def run_item(
    executor: Executor | None, work: Work, hooks: Teller | None, keys: Keys | None, given: dict[str, Any], number: int
) -> dict[str, Any]:
    """Runs one item, and tells of it."""
    began = time.perf_counter()
    if hooks is not None:
        hooks.item_start(number)
    try:
        return Flow(cast("RunContext", There(work, hooks, keys)), executor).run(given, number)
    finally:
        if hooks is not None:
            hooks.item_end(number, time.perf_counter() - began)
