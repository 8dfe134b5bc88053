"""`OpenTelemetryCallback`: what a pipeline does, as spans of OpenTelemetry. Pinned by tests/pipelines/test_otel.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from weft.pipelines._callbacks._spans import Span, SpanCallback
from weft.pipelines._extras import imported
from weft.pipelines._hooks import CallbackContext

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

__all__ = ["OpenTelemetryCallback"]


class OpenTelemetryCallback(SpanCallback):
    """Gives OpenTelemetry a span for each run, map, item, nested pipeline and node (extra ``otel``).

    The outermost is part of the span that is current where the pipeline is called. What a worker did has the times of
    the worker. Attributes: ``weft.kind``, ``weft.state``, ``weft.item``, ``weft.attempts``; a failure is recorded as
    an exception, with the status of an error.

    Args:
        tracer_provider: Whose spans they are; None: the global one.

    Raises:
        MissingDependency: OpenTelemetry is not installed.

    Example:
        >>> from opentelemetry.sdk.trace import TracerProvider
        >>> from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        >>> from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        >>> from weft import RuntimeConfig
        >>> from weft.pipelines import OpenTelemetryCallback, Pipeline, node
        >>> exporter, provider = InMemorySpanExporter(), TracerProvider()
        >>> provider.add_span_processor(SimpleSpanProcessor(exporter))
        >>> double = node(output_name="y")(lambda x: 2 * x).with_name("double")
        >>> config = RuntimeConfig(callbacks=(OpenTelemetryCallback(provider),))
        >>> Pipeline([double], name="doubling").run(x=1, config=config)
        {'y': 2}
        >>> [span.name for span in exporter.get_finished_spans()]
        ['double', 'doubling']
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._trace = imported("opentelemetry.trace", "otel")
        self._tracer = self._trace.get_tracer("weft.pipelines", tracer_provider=tracer_provider)

    def span_began(self, span: Span, context: CallbackContext) -> None:
        if span.kind != "node":  # when a node has begun is known when it has ended, unless something is part of it
            self._made(span)

    def span_ended(self, span: Span, context: CallbackContext) -> None:
        made = self._made(span)
        made.set_attribute("weft.state", span.state)
        if span.attempts > 1:
            made.set_attribute("weft.attempts", span.attempts)
        if span.error is not None:
            made.record_exception(span.error, timestamp=_nanoseconds(span.ended))
        if span.state == "failed":
            said = None if span.error is None else f"{type(span.error).__name__}: {span.error}"
            made.set_status(self._trace.Status(self._trace.StatusCode.ERROR, said))
        made.end(_nanoseconds(span.ended))

    def _made(self, span: Span) -> Any:
        if span.held is None:
            above = None if span.parent is None else self._trace.set_span_in_context(self._made(span.parent))
            attributes: dict[str, Any] = {"weft.kind": span.kind}
            if span.item is not None:
                attributes["weft.item"] = span.item
            span.held = self._tracer.start_span(
                span.name, context=above, start_time=_nanoseconds(span.began), attributes=attributes
            )
        return span.held


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
