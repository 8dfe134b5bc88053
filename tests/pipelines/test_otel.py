"""`OpenTelemetryCallback`: the spans, as OpenTelemetry's own exporter gets them."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from tests.lateness import check_within
from tests.pipelines import graphs
from tests.pipelines.conftest import Places
from tests.without import said_without
from weft import RuntimeConfig
from weft.errors import PipelineError
from weft.pipelines import OpenTelemetryCallback, Pipeline, node


class Exported:
    """A provider of spans, and those that have ended."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.callback = OpenTelemetryCallback(self.provider)

    def spans(self) -> list[Any]:
        return [*self.exporter.get_finished_spans()]

    def tree(self) -> dict[str, Any]:
        """The names of spans, each with those that are part of it."""
        spans = self.spans()
        children: dict[Any, list[Any]] = {}
        for span in spans:
            children.setdefault(None if span.parent is None else span.parent.span_id, []).append(span)

        def below(span_id: Any) -> dict[str, Any]:
            return {span.name: below(span.context.span_id) for span in children.get(span_id, [])}

        return below(None)


@pytest.fixture
def exported() -> Iterator[Exported]:
    exported = Exported()
    yield exported
    exported.provider.shutdown()


@pytest.mark.leaves_threads("the executors of the module's fixture")
def test_spans_are_nested(places: Places, kind: str, exported: Exported) -> None:
    pipeline = Pipeline(
        [graphs.words.as_node(name="texts", map_over="text", output_mapping={"count": "counts"}), graphs.add_up],
        name="all",
    )
    pipeline.run(text=["a", "b c"], config=places.config(kind, callbacks=(exported.callback,)), output_name="total")
    item = {"texts/split": {}, "texts/count": {}}
    assert exported.tree() == {"all": {"texts": {"texts": {"0": item, "1": item}}, "add_up": {}}}
    for span in exported.spans():
        assert span.status.status_code is StatusCode.UNSET
        assert span.attributes["weft.state"] == "done"
        assert span.start_time <= span.end_time


def test_they_are_part_of_the_span_that_is_current(exported: Exported) -> None:
    tracer = exported.provider.get_tracer("test")
    with tracer.start_as_current_span("request"):
        graphs.words.run(text="a", output_name="count", config=RuntimeConfig(callbacks=(exported.callback,)))
    assert exported.tree() == {"request": {graphs.words.name: {"split": {}, "count": {}}}}


def test_times_are_those_of_the_nodes(exported: Exported) -> None:
    @node(output_name="y")
    def sleep(x: float) -> float:
        time.sleep(x)
        return x

    config = RuntimeConfig(flavor="threads", max_workers=1, callbacks=(exported.callback,))
    Pipeline([sleep]).map({"x": [0.1, 0.1]}, map_over="x", config=config)
    spans = [span for span in exported.spans() if span.name == "sleep"][-2:]
    for took in [(span.end_time - span.start_time) / 1e9 for span in spans]:
        assert took >= 0.09
        check_within(took, 0.18, "a node that sleeps for 0.1 s, and its turn in the queue is none of its time")


def test_a_failure(exported: Exported) -> None:
    @node(output_name="y")
    def inverse(x: int) -> float:
        return 1 / x

    with pytest.raises(PipelineError):
        Pipeline([inverse], name="inverses").run(x=0, config=RuntimeConfig(callbacks=(exported.callback,)))
    spans = {span.name: span for span in exported.spans()}
    for name in ("inverse", "inverses"):
        assert spans[name].status.status_code is StatusCode.ERROR
        assert spans[name].attributes["weft.state"] == "failed"
    assert spans["inverse"].status.description == "ZeroDivisionError: division by zero"
    assert [event.name for event in spans["inverse"].events] == ["exception"]


def test_without_opentelemetry() -> None:
    said = said_without("opentelemetry", "weft.pipelines.OpenTelemetryCallback()")
    assert said == 'opentelemetry is not installed; run: pip install "weft[otel]"\n'
