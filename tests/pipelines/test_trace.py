"""`TraceCallback`: what is in the file."""

import json
import pickle
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.executors.child import wait_until
from tests.guards import held, is_in_guard
from tests.lateness import check_within
from tests.pipelines import graphs
from tests.pipelines.conftest import Places
from weft import RuntimeConfig
from weft.errors import InvalidSetting, PipelineError
from weft.pipelines import MemoryCache, Pipeline, TraceCallback, node


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class Tries(list[int]):
    """What was tried; nothing that a result depends on."""

    __cache_key__ = "tries"


@pytest.mark.leaves_threads("the executors of the module's fixture")
def test_all_that_happened(places: Places, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    began = time.time()
    graphs.words.map(
        {"text": ["a", "b c"]},
        map_over="text",
        output_name="count",
        config=places.config(kind, callbacks=(TraceCallback(path),)),
    )
    ended = time.time()
    lines = lines_of(path)
    name = graphs.words.name
    expected = [
        (kind, name, item)
        for item in (0, 1)
        for kind, name in (("node", "split"), ("node", "count"), ("item", str(item)))
    ]
    assert [(line["kind"], line["name"], line.get("item")) for line in lines] == [*expected, ("map", name, None)]
    for line in lines:
        assert line["state"] == "done"
        assert began - 0.1 <= line["start"] <= line["start"] + line["duration"] <= ended + 0.1


def test_times_are_those_of_the_nodes(tmp_path: Path) -> None:
    @node(output_name="y")
    def sleep(x: float) -> float:
        time.sleep(x)
        return x

    path = tmp_path / "trace.jsonl"
    config = RuntimeConfig(flavor="threads", max_workers=2, callbacks=(TraceCallback(path),))
    Pipeline([sleep]).map({"x": [0.1, 0.1]}, map_over="x", config=config)
    nodes = [line for line in lines_of(path) if line["kind"] == "node"]
    assert len(nodes) == 2
    for line in nodes:
        assert line["duration"] >= 0.09
        check_within(line["duration"], 0.18, "a node that sleeps for 0.1 s")


def test_what_was_cached_tried_again_and_failed(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    tries = Tries()

    @node(output_name="y")
    def second(x: int) -> int:
        tries.append(x)
        if x == 1 and tries.count(1) < 2:
            raise KeyError("first")
        if x == 2:
            raise ValueError("two")
        return x

    pipeline = Pipeline([second])
    config = RuntimeConfig(retries=1, cache=MemoryCache(), callbacks=(TraceCallback(path),))
    for _ in range(2):
        assert isinstance(
            pipeline.map({"x": [1, 2]}, map_over="x", config=config, return_exceptions=True)[1], PipelineError
        )
    first, failed, cached, again = [line for line in lines_of(path) if line["kind"] == "node"]
    assert (first["state"], first["attempts"]) == ("done", 2)
    assert (failed["state"], failed["error"]) == ("failed", "ValueError: two")
    assert cached["state"] == "cached"
    assert again["state"] == "failed"
    items = [line["state"] for line in lines_of(path) if line["kind"] == "item"]
    assert items == ["done", "failed", "done", "failed"]
    assert [line["state"] for line in lines_of(path) if line["kind"] == "map"] == ["done", "done"]


def test_a_chrome_trace(tmp_path: Path) -> None:
    """What overlaps has lanes of its own; what is part of something lies in it."""

    @node(output_name="y")
    def sleep(x: float) -> float:
        time.sleep(x)
        return x

    path = tmp_path / "trace.json"
    config = RuntimeConfig(flavor="threads", max_workers=2, callbacks=(TraceCallback(path),))
    for _ in range(2):  # both are in it
        Pipeline([sleep], name="sleeping").map({"x": [0.05] * 4}, map_over="x", config=config)
    events = json.loads(path.read_text())["traceEvents"]
    assert len(events) == 2 * (1 + 4 + 4)
    check_lanes(events)


def check_lanes(events: list[dict[str, Any]]) -> None:
    for lane in {event["tid"] for event in events}:
        spans = sorted((event["ts"], -event["dur"]) for event in events if event["tid"] == lane)
        open_until: list[float] = []
        for start, negative in spans:
            while open_until and open_until[-1] <= start + 1:
                open_until.pop()
            assert not open_until or start - negative <= open_until[-1] + 1
            open_until.append(start - negative)


@pytest.mark.parametrize("suffix", ["jsonl", "json"])
def test_runs_at_the_same_time_do_not_mix(tmp_path: Path, suffix: str) -> None:
    """The first to begin is the last to end, and each is written whole, as it ends."""
    in_outer, inner_is_done = threading.Event(), threading.Event()

    @node(output_name="y")
    def first(x: int) -> int:
        return x

    @node(output_name="z")
    def wait(y: int) -> int:
        in_outer.set()
        assert inner_is_done.wait(20)
        return y

    path = tmp_path / f"trace.{suffix}"
    config = RuntimeConfig(callbacks=(TraceCallback(path),))
    outer = threading.Thread(target=Pipeline([first, wait], name="outer").run, kwargs={"x": 1, "config": config})
    outer.start()
    assert in_outer.wait(20)
    Pipeline([first], name="inner").run(x=1, config=config)
    inner_is_done.set()
    outer.join(20)
    if suffix == "jsonl":
        assert [line["name"] for line in lines_of(path)] == ["first", "inner", "first", "wait", "outer"]
    else:
        events = json.loads(path.read_text())["traceEvents"]
        assert [event["name"] for event in events] == ["inner", "first", "outer", "first", "wait"]
        check_lanes(events)
        lanes = {event["name"]: event["tid"] for event in events}
        assert lanes["inner"] != lanes["outer"]


def test_runs_that_end_at_the_same_time_are_written_one_after_the_other(tmp_path: Path) -> None:
    trace = TraceCallback(tmp_path / "trace.json")
    double = node(output_name="y")(lambda x: 2 * x).with_name("double")
    pipeline = Pipeline([double], name="doubling")
    run = threading.Thread(target=pipeline.run, kwargs={"x": 1, "config": RuntimeConfig(callbacks=(trace,))})
    with held(trace._guard):
        run.start()
        wait_until(lambda: is_in_guard(run) or not run.is_alive(), "it waits or is done")
        assert trace.path.read_text() == ""
    run.join(20)
    assert len(json.loads(trace.path.read_text())["traceEvents"]) == 2


def test_one_that_is_pickled_with_a_configuration(tmp_path: Path) -> None:
    trace = TraceCallback(tmp_path / "trace.jsonl")
    copy = pickle.loads(pickle.dumps(RuntimeConfig(callbacks=(trace,))))
    Pipeline([node(output_name="y")(lambda x: x).with_name("same")], name="copied").run(x=1, config=copy)
    assert [line["name"] for line in lines_of(trace.path)] == ["same", "copied"]


def test_a_file_that_cannot_be_written() -> None:
    with pytest.raises(InvalidSetting, match="/proc/nowhere"):
        TraceCallback("/proc/nowhere/trace.json")
