"""Retries and timeouts of nodes: how often, how long, what is worth it; in the caller and in workers."""

import threading
import time
from pathlib import Path

import pytest

from tests.pipelines import graphs
from tests.pipelines.conftest import Places
from weft import RuntimeConfig
from weft.errors import PipelineError, TaskTimeout
from weft.executors import ThreadPoolExecutor
from weft.pipelines import Pipeline, PipelineCallback, node
from weft.pipelines._calling import pause_before


@node(output_name="tries", retries=2, backoff=0)
def third_time(path: str) -> int:
    with open(path, "a") as file:
        file.write("x")
    size = Path(path).stat().st_size
    if size < 3:
        raise OSError(size)
    return size


endless = node(output_name="y", timeout=0.05)(graphs.spin)


@pytest.mark.leaves_threads("the executors of the module's fixture")
def test_a_node_is_tried_again_everywhere(places: Places, kind: str, tmp_path: Path) -> None:
    pipeline = Pipeline([third_time])
    config = places.config(kind)
    assert pipeline.run(path=str(tmp_path / "run"), config=config) == {"tries": 3}
    assert pipeline.map({"path": [str(tmp_path / "map")]}, map_over="path", config=config) == [{"tries": 3}]


@pytest.mark.leaves_threads("the executors of the module's fixture")
def test_a_node_that_takes_too_long_is_stopped_everywhere(places: Places, kind: str) -> None:
    pipeline = Pipeline([endless])
    config = places.config(kind)
    began = time.monotonic()
    for call in (
        lambda: pipeline.run(x=1, config=config),
        lambda: pipeline.map({"x": [1]}, map_over="x", config=config),
    ):
        with pytest.raises(PipelineError) as caught:
            call()
        assert isinstance(caught.value.__cause__, TaskTimeout)
        assert caught.value.node == "spin"
    assert time.monotonic() - began < 25


@pytest.mark.parametrize("executor", [None, "threads"])
def test_what_is_not_worth_it_is_not_tried_again(executor) -> None:
    seen: list[int] = []

    def fails(x: int) -> None:
        seen.append(x)
        raise KeyError

    pipeline = Pipeline([node(output_name="y", retries=5, backoff=0, retry_on=(OSError, ValueError))(fails)])
    with ThreadPoolExecutor(1) as pool, pytest.raises(PipelineError) as caught:
        pipeline.run(x=1, config=RuntimeConfig(executor=pool if executor else None))
    assert (seen, caught.value.attempts) == ([1], 1)


@pytest.mark.parametrize("executor", [None, "threads"])
def test_a_failure_for_good_says_how_often_it_was_tried(executor) -> None:
    told: list[tuple[str, int]] = []

    class Tell(PipelineCallback):
        def on_node_retry(self, node, attempt, error, context):
            told.append((node, attempt))

    pipeline = Pipeline([node(output_name="y", backoff=0)(graphs.invert.fn).with_name("invert")])
    with ThreadPoolExecutor(1) as pool:
        config = RuntimeConfig(executor=pool if executor else None, retries=2, callbacks=(Tell(),))
        with pytest.raises(PipelineError, match="node 'invert' failed, 3 times: ZeroDivisionError") as caught:
            pipeline.run(x=0, config=config)
    assert caught.value.attempts == 3
    assert told == [("invert", 2), ("invert", 3)]


def test_the_wait_for_a_retry_holds_no_worker() -> None:
    waited = threading.Event()

    def fails_first(x: int) -> int:
        if waited.is_set():
            return x
        raise OSError

    def other(x: int) -> int:
        waited.set()
        return x

    made = [
        node(output_name="a", retries=1, backoff=0.05)(fails_first),
        node(output_name="b")(other),
    ]
    with ThreadPoolExecutor(1) as pool:
        assert Pipeline(made).run(x=1, config=RuntimeConfig(executor=pool)) == {"a": 1, "b": 1}


def test_the_waits_double_up_to_a_minute() -> None:
    assert [pause_before(attempt, 0.5) for attempt in (2, 3, 4, 20)] == [0.5, 1.0, 2.0, 60.0]
