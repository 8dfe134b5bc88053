"""Pipelines on every engine: what they give, and how they fail, is what they do in the calling thread."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engines import tasks
from tests.pipelines import graphs, random_graphs
from weft import RuntimeConfig
from weft.errors import PayloadError, PipelineError
from weft.executors import ThreadPoolExecutor
from weft.pipelines import DiskCache, MemoryCache, Pipeline, PipelineCallback, node

pytestmark = [
    pytest.mark.deadline(180),
    pytest.mark.leaves_threads("those of the engine's own client"),
]

IN_CALLER = RuntimeConfig()


@pytest.fixture
def config(executor: Any) -> RuntimeConfig:
    return RuntimeConfig(executor=executor)


def outcome(call: Any) -> Any:
    """What comes of a call, in a form that can be compared."""
    try:
        return call()
    except PipelineError as error:
        return told(error)


def told(error: PipelineError) -> Any:
    cause = error.__cause__
    return str(error), error.node, error.item, error.inputs, error.attempts, type(cause), cause and cause.args


class Seen(PipelineCallback):
    """Writes down all that is told, in a form that can be compared."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_"):
            return object.__getattribute__(self, name)

        def hook(*args: Any) -> None:
            plain = [one for one in args[:-1] if isinstance(one, str | int | type(None))]
            self.events.append((name, *plain, args[-1].depth, args[-1].item))

        return hook


def test_the_corpus(config: RuntimeConfig) -> None:
    expected = graphs.corpus.run(texts=graphs.TEXTS)
    assert graphs.corpus.run(texts=graphs.TEXTS, config=config) == expected
    assert graphs.corpus.run(texts=graphs.TEXTS, output_name="total", config=config) == {"total": expected["total"]}
    many = {"texts": [graphs.TEXTS] * 50}
    assert graphs.corpus.map(many, map_over="texts", config=config) == [expected] * 50
    assert graphs.words.run(text="to be", config=config) == graphs.words.run(text="to be")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=10)
@given(data=st.data())
def test_a_random_graph_gives_what_it_gives_here(config: RuntimeConfig, data: st.DataObject) -> None:
    pipeline = data.draw(random_graphs.pipelines())
    inputs, over = data.draw(random_graphs.inputs_of(pipeline))
    expected = random_graphs.outcome(pipeline, inputs, None, over)
    assert random_graphs.outcome(pipeline, inputs, config, over) == expected


def test_a_map_that_is_lazy(config: RuntimeConfig) -> None:
    read: list[int] = []

    def numbers() -> Any:
        for number in range(1000):
            read.append(number)
            yield number

    results = tasks.diamond.imap({"x": numbers()}, map_over="x", output_name="both", config=config, buffersize=20)
    assert [next(results)["both"] for _ in range(5)] == [(n + 1, n + 2) for n in range(5)]
    assert len(read) <= 30
    results.close()


@pytest.mark.parametrize("x", [0, 2])
def test_a_failure_is_that_of_the_first_node_with_its_inputs(config: RuntimeConfig, x: int) -> None:
    for pipeline in (tasks.failing, Pipeline([tasks.right, tasks.failing.as_node(name="inner")], name="outer")):
        expected = outcome(lambda: pipeline.run(x=x, config=IN_CALLER))
        assert outcome(lambda: pipeline.run(x=x, config=config)) == expected


def test_failures_of_items(config: RuntimeConfig) -> None:
    items = {"x": [1, 0, 2, 0]}
    expected = tasks.failing.map(items, map_over="x", config=IN_CALLER, return_exceptions=True)
    results = tasks.failing.map(items, map_over="x", config=config, return_exceptions=True)
    assert [told(one) if isinstance(one, PipelineError) else one for one in results] == [
        told(one) if isinstance(one, PipelineError) else one for one in expected
    ]
    with pytest.raises(PipelineError, match="failed on item 1: ZeroDivisionError") as caught:
        tasks.failing.map(items, map_over="x", config=config)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    inner = tasks.failing.as_node(name="each", map_over="x")
    for values in ([1, 0, 2], [1, 2, 3]):
        expected = outcome(lambda: Pipeline([inner]).run(x=values, config=IN_CALLER))
        assert outcome(lambda: Pipeline([inner]).run(x=values, config=config)) == expected


def test_retries_and_timeouts_of_nodes(config: RuntimeConfig, tmp_path: Path) -> None:
    patient = Pipeline([node(output_name="tried", retries=2, backoff=0.01)(tasks.flaky.fn).with_name("flaky")])
    assert patient.run(path=str(tmp_path / "a"), times=2, config=config) == {"tried": 3}
    with pytest.raises(PipelineError, match="failed, 3 times: LookupError: try 3") as caught:
        patient.run(path=str(tmp_path / "b"), times=5, config=config)
    assert caught.value.attempts == 3
    items = {"path": [str(tmp_path / "c"), str(tmp_path / "d")], "times": 1}
    assert patient.map(items, map_over="path", config=config) == [{"tried": 2}] * 2
    bounded = Pipeline([tasks.sleep])
    limited = RuntimeConfig(executor=config.executor, timeout=0.3)
    for call in (
        lambda: bounded.run(x=1, config=limited),
        lambda: bounded.map({"x": [1]}, map_over="x", config=limited),
    ):
        with pytest.raises(PipelineError, match="TaskTimeout"):
            call()


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_what_is_cached_is_not_run_again(config: RuntimeConfig, tmp_path: Path, kind: str) -> None:
    counts = tmp_path / "counts"
    twice = Pipeline([tasks.counted, node(output_name="end")(graphs.add_one).with_name("add")])
    with DiskCache(tmp_path / "cache") if kind == "disk" else MemoryCache() as cache:
        cached = RuntimeConfig(executor=config.executor, cache=cache)
        for _ in range(2):
            assert twice.run(x=1, path=str(counts), config=cached)["end"] == 2
        assert counts.read_text() == "x"
        items = {"x": [1, 2, 3], "path": str(counts)}
        for _ in range(2):
            assert [one["counted"] for one in twice.map(items, map_over="x", config=cached)] == [2, 3, 4]
        assert counts.read_text() == "xxx"
        if kind == "disk":  # one that was run here is found there
            assert twice.run(x=9, path=str(counts), config=RuntimeConfig(cache=cache))["counted"] == 10
            cache.flush()
            assert twice.run(x=9, path=str(counts), config=cached)["counted"] == 10
            assert counts.read_text() == "xxxx"


def test_callbacks_are_told_the_same(config: RuntimeConfig) -> None:
    calls: list[Any] = [
        lambda config: graphs.corpus.run(texts=graphs.TEXTS, config=config),
        # One node after the other: what is beside one that fails may have run, or not.
        lambda config: outcome(lambda: Pipeline([tasks.inverse, tasks.later]).run(x=0, config=config)),
        lambda config: tasks.diamond.map({"x": [1, 2, 3]}, map_over="x", config=config),
    ]
    for call in calls:
        here, there = Seen(), Seen()
        call(RuntimeConfig(callbacks=(here,)))
        call(RuntimeConfig(executor=config.executor, callbacks=(there,)))
        # Independent nodes may be done in another order.
        assert sorted(map(repr, there.events)) == sorted(map(repr, here.events))
        assert there.events[0] == here.events[0]
        assert there.events[-1] == here.events[-1]


def test_asynchronous_nodes_and_generators(config: RuntimeConfig) -> None:
    assert Pipeline([graphs.waited]).run(x=1, config=config) == {"waited": 2}
    assert Pipeline([graphs.waited]).map({"x": range(4)}, map_over="x", config=config) == [
        {"waited": x + 1} for x in range(4)
    ]


def test_closures_and_what_cannot_be_sent(config: RuntimeConfig) -> None:
    here = 5
    by_value = Pipeline([node(output_name="y")(lambda x: x + here)])
    assert by_value.run(x=1, config=config) == {"y": 6}
    assert by_value.map({"x": [1]}, map_over="x", config=config) == [{"y": 6}]
    held = tasks.lock()
    locked = Pipeline([node(output_name="y")(lambda x: held).with_name("locked")])
    for call in (lambda: locked.run(x=1, config=config), lambda: locked.map({"x": [1]}, map_over="x", config=config)):
        with pytest.raises((PayloadError, PipelineError), match="node 'locked'"):
            call()
    with pytest.raises((PayloadError, PipelineError), match="'left'"):
        tasks.diamond.run(x=tasks.lock(), config=config)
    unsendable = Pipeline([node(output_name="y")(graphs.add_one).with_name("n"), tasks.wrap])
    with pytest.raises(PipelineError, match="node 'wrap' failed"):
        unsendable.run(x=1, config=config)


def test_large_inputs_are_shared(config: RuntimeConfig) -> None:
    text = "word " * 200_000
    assert graphs.words.run(text=text, output_name="count", config=config) == {"count": 200_000}
    sized = Pipeline([node(output_name="y")(lambda x, text: x + len(text))])
    items = {"x": [1, 2, 3], "text": text}
    assert sized.map(items, map_over="x", config=config) == [{"y": x + len(text)} for x in (1, 2, 3)]


def test_a_node_with_a_place_of_its_own(config: RuntimeConfig) -> None:
    with ThreadPoolExecutor(1) as threads:
        near = node(output_name="near")(lambda where: (os.getpid(), where)).with_config(RuntimeConfig(executor=threads))
        pipeline = Pipeline([tasks.where, near], config=config)
        pid, there = pipeline.run(x=1)["near"]
        assert pid == os.getpid()
        assert pipeline.map({"x": [1, 2]}, map_over="x")[1]["near"][0] == pid
        assert isinstance(there, int)


def test_python_versions_agree(config: RuntimeConfig) -> None:
    version = Pipeline([node(output_name="version")(lambda x: __import__("sys").version)])
    assert version.run(x=1, config=config) == {"version": sys.version}
