"""Where the steps of a run go: an executor for each configuration that says something about it, for as long as it runs.

A configuration that brings an executor has it used and left running. One that says how (a flavor, a number of workers,
what the tasks are like) gets a `weft.Run`, which ends with the pipeline's run. One that says neither means here, in the
calling thread: to start workers takes longer than most nodes do, and whoever wants them says so.
Pinned by tests/pipelines/test_executors.py.
"""

from __future__ import annotations

from concurrent.futures import Executor
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from weft.config import RuntimeConfig
    from weft.pipelines._plan import Plan

__all__ = ["Places", "goes_elsewhere", "says_where", "shares_objects", "steps_differ"]


def says_where(config: RuntimeConfig) -> bool:
    """Whether a configuration says anything about where tasks run."""
    if config.executor is not None:
        return not getattr(config.executor, "runs_in_caller", False)
    if config.flavor in ("serial", "none") or (config.flavor == "auto" and not config.auto):
        return config.flavor == "none"
    return config.flavor != "auto" or any(
        (
            config.max_workers,
            config.cpu_bound,
            config.io_bound,
            config.force_threads,
            config.force_process,
            config.prefers_subinterpreters,
        )
    )


def goes_elsewhere(plan: Plan, config: RuntimeConfig, *, forced: bool) -> bool:
    """Whether a step of a plan may run anywhere but in the calling thread.

    Args:
        plan: The plan.
        config: The configuration that counts for what has none of its own.
        forced: It counts for all.
    """
    return says_where(config) or (not forced and steps_differ(plan, config))


def steps_differ(plan: Plan, config: RuntimeConfig) -> bool:
    """Whether some step has a configuration of its own that says where it runs."""
    return any(
        step.config is not None and step.config is not config and says_where(step.config) for step in plan.all_steps()
    )


def shares_objects(executor: Executor) -> bool:
    """Whether what is submitted arrives as the very object."""
    told = getattr(executor, "shares_objects", None)
    if isinstance(told, bool):
        return told
    from weft._flavors import flavor_of

    return flavor_of(executor) in ("threads", "serial")


class Places:
    """The executors of one run. One thread."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._found: dict[int, tuple[RuntimeConfig, Executor | None]] = {}

    def executor(self, config: RuntimeConfig) -> Executor | None:
        """The executor for what has this configuration; None: the calling thread."""
        found = self._found.get(id(config))
        if found is None:
            found = self._found[id(config)] = config, self._open(config)
        return found[1]

    def _open(self, config: RuntimeConfig) -> Executor | None:
        if not says_where(config):
            return None
        if config.executor is not None:
            return config.executor
        from weft._run import Run

        return self._stack.enter_context(Run(config=config))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Any:
        return self._stack.__exit__(kind, error, traceback)
