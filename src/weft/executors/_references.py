"""Executors on engines in which results may stay where they are: pipelines have them run as graphs.

Pinned by tests/engines/.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from weft.executors._cluster import ClusterExecutor, ClusterFuture

__all__ = ["ReferencingExecutor"]


class ReferencingExecutor(ClusterExecutor):
    """The shared part of executors whose results may stay in the cluster. Internal, as `ClusterExecutor`."""

    @abstractmethod
    def begin(self, name: str, fn: Callable[..., Any], /, *args: Any) -> Any:
        """Begins a call whose result stays in the cluster; arguments may be what this gave for others."""

    @abstractmethod
    def _watch(self, future: ClusterFuture, fn: Callable[..., bytes], args: tuple[Any, ...]) -> None:
        """Begins a call as `begin` does, and has the future settled with what it gives."""

    def drop(self, handles: list[Any]) -> None:
        """Nobody wants what these calls give."""

    def watch(self, name: str, fn: Callable[..., bytes], /, *args: Any) -> ClusterFuture:
        """Begins a call that takes what `begin` gave, and gives an outcome (`far.outcome_of`) for the caller.

        Raises:
            RuntimeError: The executor has been shut down.
        """
        future = ClusterFuture(self._shared, name)
        self._shared.enter(future)
        try:
            self._watch(future, fn, args)
        except BaseException:
            self._shared.left(future)
            raise
        return future
