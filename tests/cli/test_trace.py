"""`weft demo --trace`: the trials of weft's own workers, in one file."""

import json
from pathlib import Path

import pytest

from tests.cli.support import run_weft, write_tree
from tests.debug import trace_event_format
from weft.cli.demo.contenders import available_contenders


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "tree")


def test_a_chrome_trace(tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "out" / "trace.json"
    done = run_weft("demo", str(tree), "--workers", "2", "--no-progress", "--trace", str(path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    by_phase = trace_event_format.check(trace_event_format.load(path))
    processes = {event["pid"]: event["args"]["name"] for event in by_phase["M"] if event["name"] == "process_name"}
    flavors = frozenset({"threads", "interpreters", "processes", "auto"})
    ours = [contender.name for contender in available_contenders(flavors) if contender.by == "weft"]
    assert list(processes.values()) == ours
    ran = {processes[event["pid"]] for event in by_phase["X"]}
    assert ran >= {"threads", "processes"}
    # Before auto moves, it has a worker look whether the function finds the same things around it there.
    assert {event["name"] for event in by_phase["X"]} - {"likeness"} == {"measure_and_time"}
    assert f"The trace, of {len(by_phase['X'])} tasks on weft's own workers: {path}" in done.stdout


def test_json_lines(tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    done = run_weft("demo", str(tree), "--flavor", "threads", "--no-progress", "--trace", str(path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert events
    assert {(event["contender"], event["pool"], event["state"]) for event in events} == {("threads", "demo", "done")}


def test_a_path_that_cannot_be_written(tree: Path, tmp_path: Path) -> None:
    done = run_weft("demo", str(tree), "--no-progress", "--trace", str(tree), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"weft demo: {tree}: is a folder; --trace wants a file\n"
