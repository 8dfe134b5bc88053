"""Checks a file against the Trace Event Format, as far as weft uses it.

After "Trace Event Format" (Google, the document that chrome://tracing and Perfetto's legacy importer follow): the JSON Array
Format, whose closing bracket is optional; metadata, complete and nestable async events. Anything else is refused here.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

REQUIRED = {"ph", "name", "pid", "tid", "ts"}
FIELDS = {
    "M": REQUIRED | {"args"},
    "X": REQUIRED | {"dur", "cat", "args"},
    "b": REQUIRED | {"cat", "id"},
    "e": REQUIRED | {"cat", "id", "args"},
}
METADATA = {"process_name", "thread_name"}


def load(path: Path, *, cut_off: bool = False) -> list[dict[str, Any]]:
    """The events of a file; of one that a crash has cut off, those that are whole are all there are."""
    text = path.read_text(encoding="utf-8")
    assert text.startswith("[\n")
    if cut_off:
        assert not text.endswith("]\n")
        text += "\n]"
    return json.loads(text)


def check(events: list[dict[str, Any]], *, cut_off: bool = False) -> dict[str, list[dict[str, Any]]]:
    """Fails if an event is not as the format wants it; gives the events by phase."""
    by_phase: dict[str, list[dict[str, Any]]] = defaultdict(list)
    open_pairs: dict[tuple[str, str, int], dict[str, Any]] = {}
    for event in events:
        phase = event["ph"]
        assert set(event) == FIELDS[phase], event
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert isinstance(event["ts"], int | float)
        assert event["ts"] >= 0
        assert isinstance(event.get("args", {}), dict)
        if phase == "M":
            assert event["name"] in METADATA
            assert set(event["args"]) == {"name"}
            assert isinstance(event["args"]["name"], str)
        elif phase == "X":
            assert isinstance(event["dur"], int | float)
            assert event["dur"] >= 0
        else:
            assert isinstance(event["id"], str)
            key = (event["cat"], event["id"], event["pid"])
            if phase == "b":
                assert key not in open_pairs, "begun twice"
                open_pairs[key] = event
            else:
                begin = open_pairs.pop(key)  # KeyError: ended and never begun
                assert begin["name"] == event["name"]
                assert begin["ts"] <= event["ts"]
        by_phase[phase].append(event)
    assert len(open_pairs) <= cut_off, "begun and never ended"
    check_nesting(by_phase["X"])
    named = {(event["pid"], event["tid"]) for event in by_phase["M"] if event["name"] == "thread_name"}
    assert {(event["pid"], event["tid"]) for event in by_phase["X"]} <= named
    return by_phase


def check_nesting(slices: list[dict[str, Any]]) -> None:
    """Complete events of one thread lie one after the other or one within the other: viewers draw nothing else."""
    by_thread: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    for event in slices:
        # Thousandths of a microsecond, as integers: the sum of two floats may be off in the last place.
        start, duration = round(event["ts"] * 1000), round(event["dur"] * 1000)
        by_thread[event["pid"], event["tid"]].append((start, start + duration))
    for spans in by_thread.values():
        spans.sort(key=lambda span: (span[0], -span[1]))
        stack: list[tuple[float, float]] = []
        for start, end in spans:
            while stack and stack[-1][1] <= start:
                stack.pop()
            assert not stack or end <= stack[-1][1], "two slices of a thread overlap"
            stack.append((start, end))
