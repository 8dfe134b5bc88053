"""`RunRecord`: what nodes did in one run or several, for a picture."""

from __future__ import annotations

from dataclasses import dataclass

from weft.pipelines import CallbackContext, PipelineCallback

__all__ = ["RunRecord", "Seen"]


@dataclass(slots=True)
class Seen:
    """What one node did.

    Attributes:
        calls: How often it gave a result that it had computed.
        cached: How often its result was in the cache.
        failed: How often it failed for good.
        retries: How often it was tried again.
        seconds: What its calls took together.
    """

    calls: int = 0
    cached: int = 0
    failed: int = 0
    retries: int = 0
    seconds: float = 0.0


class RunRecord(PipelineCallback):
    """Counts what each node does: for ``pipeline.visualize(run=...)``.

    Attributes:
        nodes: What each did, by its path.

    Example:
        >>> from weft import RuntimeConfig
        >>> from weft.pipelines import Pipeline, node
        >>> from weft.viz import RunRecord
        >>> double = node(output_name="y")(lambda x: 2 * x).with_name("double")
        >>> record = RunRecord()
        >>> pipeline = Pipeline([double], config=RuntimeConfig(callbacks=(record,)))
        >>> pipeline.map({"x": [1, 2, 3]}, map_over="x")
        [{'y': 2}, {'y': 4}, {'y': 6}]
        >>> record.nodes["double"].calls
        3
    """

    def __init__(self) -> None:
        self.nodes: dict[str, Seen] = {}

    def of(self, path: str) -> Seen:
        """What a node did; nothing, if it has not run."""
        return self.nodes.get(path) or Seen()

    def _node(self, path: str) -> Seen:
        return self.nodes.setdefault(path, Seen())

    def on_node_end(self, node: str, seconds: float, context: CallbackContext) -> None:
        seen = self._node(node)
        seen.calls += 1
        seen.seconds += seconds

    def on_node_cached(self, node: str, context: CallbackContext) -> None:
        self._node(node).cached += 1

    def on_node_retry(self, node: str, attempt: int, error: BaseException, context: CallbackContext) -> None:
        self._node(node).retries += 1

    def on_error(self, node: str, error: BaseException, context: CallbackContext) -> None:
        self._node(node).failed += 1
