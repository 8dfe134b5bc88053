"""`TraceCallback`: what is in the file."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

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
    for line in nodes:
        assert line["duration"] == pytest.approx(0.1, abs=0.08)


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
    for lane in {event["tid"] for event in events}:
        spans = sorted((event["ts"], -event["dur"]) for event in events if event["tid"] == lane)
        open_until: list[float] = []
        for start, negative in spans:
            while open_until and open_until[-1] <= start + 1:
                open_until.pop()
            assert not open_until or start - negative <= open_until[-1] + 1
            open_until.append(start - negative)


def test_a_file_that_cannot_be_written() -> None:
    with pytest.raises(InvalidSetting, match="/proc/nowhere"):
        TraceCallback("/proc/nowhere/trace.json")
