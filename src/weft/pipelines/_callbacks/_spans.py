"""What a callback is told, as spans: each with a name, a beginning, an end and what became of it.

The base of those that write spans down. A node that a worker ran is told when it comes back, with the time that was
measured there: its span ends when it was told to have ended, and is as long as that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from weft.pipelines._hooks import CallbackContext, PipelineCallback

__all__ = ["Span", "SpanCallback"]


@dataclass(slots=True)
class Span:
    """One thing that a pipeline did.

    Attributes:
        kind: "run", "map", "item", "pipeline" (a nested one) or "node".
        name: Its path; for an item, its number.
        parent: What it is part of.
        began: When, in seconds since the epoch.
        ended: When; the same until it has.
        state: "done", "cached" or "failed".
        attempts: How often a node was tried.
        error: What it failed with.
        item: The item that it is for.
        held: What an heir wants to keep with it.
    """

    kind: str
    name: str
    parent: Span | None
    began: float
    ended: float = 0.0
    state: str = "done"
    attempts: int = 1
    error: BaseException | None = None
    item: int | None = None
    held: Any = field(default=None, repr=False)


class SpanCallback(PipelineCallback):
    """Puts spans together; heirs take them."""

    def span_began(self, span: Span, context: CallbackContext) -> None:
        """One has begun; its parent has before."""

    def span_ended(self, span: Span, context: CallbackContext) -> None:
        """One has ended; what is part of it has before."""

    def run_ended(self, context: CallbackContext) -> None:
        """The outermost has ended, and with it the run."""

    # ---- hooks

    def on_pipeline_start(self, pipeline: str, inputs: dict[str, Any], context: CallbackContext) -> None:
        self._open("run", pipeline, context)

    def on_pipeline_end(self, pipeline: str, outputs: dict[str, Any], seconds: float, context: CallbackContext) -> None:
        self._close("run", pipeline, seconds, context)

    def on_nested_pipeline_start(self, pipeline: str, context: CallbackContext) -> None:
        self._open("pipeline", pipeline, context)

    def on_nested_pipeline_end(self, pipeline: str, seconds: float, context: CallbackContext) -> None:
        self._close("pipeline", pipeline, seconds, context)

    def on_map_start(self, pipeline: str, total: int | None, context: CallbackContext) -> None:
        self._open("map", pipeline, context)

    def on_map_end(self, pipeline: str, seconds: float, context: CallbackContext) -> None:
        self._close("map", pipeline, seconds, context)

    def on_map_item_start(self, item: int, context: CallbackContext) -> None:
        self._open("item", str(item), context)

    def on_map_item_end(self, item: int, seconds: float, context: CallbackContext) -> None:
        self._close("item", str(item), seconds, context)

    def on_node_start(self, node: str, context: CallbackContext) -> None:
        self._open("node", node, context)

    def on_node_end(self, node: str, seconds: float, context: CallbackContext) -> None:
        self._close("node", node, seconds, context)

    def on_node_cached(self, node: str, context: CallbackContext) -> None:
        self._open("node", node, context).state = "cached"
        self._close("node", node, 0.0, context)

    def on_node_retry(self, node: str, attempt: int, error: BaseException, context: CallbackContext) -> None:
        span = self._find("node", node, context)
        if span is not None:
            span.attempts = attempt

    def on_error(self, node: str, error: BaseException, context: CallbackContext) -> None:
        span = self._find("node", node, context) or self._open("node", node, context)
        span.state, span.error = "failed", error
        above = span.parent
        while above is not None:
            above.state = "failed"
            if above.kind == "item":  # others of the map may well be done
                break
            above = above.parent
        self._close("node", node, None, context)

    # ---- what is open

    def _spans(self, context: CallbackContext) -> list[Span]:
        key = f"weft.spans.{id(self)}"
        spans = context.get(key)
        if spans is None:
            context.set(key, spans := [])
        return spans

    def _find(self, kind: str, name: str, context: CallbackContext) -> Span | None:
        return next((one for one in reversed(self._spans(context)) if one.kind == kind and one.name == name), None)

    def _open(self, kind: str, name: str, context: CallbackContext) -> Span:
        spans = self._spans(context)
        # Nodes may run beside each other; all else is nested, and the map that a node is has its name.
        parent = self._find("node", name, context) if kind == "map" else None
        parent = parent or next((one for one in reversed(spans) if one.kind != "node"), None)
        span = Span(kind, name, parent, context.time, context.time, item=context.item)
        spans.append(span)
        self.span_began(span, context)
        return span

    def _close(self, kind: str, name: str, seconds: float | None, context: CallbackContext) -> None:
        span = self._find(kind, name, context)
        if span is None:
            return
        spans = self._spans(context)
        spans.remove(span)
        span.ended = context.time
        if seconds is not None and kind in ("node", "map"):
            span.began = min(max(span.began, span.ended - seconds), span.ended)
        self.span_ended(span, context)
        if not spans:
            self.run_ended(context)
