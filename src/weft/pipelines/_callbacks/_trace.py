"""`TraceCallback`: what a pipeline did and when, in a file. Pinned by tests/pipelines/test_trace.py."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from weft._locks import Guard
from weft.errors import InvalidSetting
from weft.pipelines._callbacks._spans import Span, SpanCallback
from weft.pipelines._hooks import CallbackContext

__all__ = ["TraceCallback"]


class TraceCallback(SpanCallback):
    """Writes down what pipelines do: runs, maps, their items, nested pipelines and nodes, each when it has ended.

    Lines of JSON: ``name``, ``kind`` ("run", "map", "item", "pipeline" or "node"), ``start`` in seconds since the
    epoch, ``duration`` in seconds, ``state`` ("done", "cached" or "failed"), and where there is one the ``item``'s
    number, the ``error`` and the number of ``attempts``. A path that ends in ``.json`` gets a Chrome trace instead, for
    Perfetto. Written when a run ends; further ones come after it in the same file, and runs at the same time one after
    the other.

    Args:
        path: The file, which is made anew.

    Raises:
        InvalidSetting: It cannot be written.

    Example:
        >>> import json, pathlib, tempfile
        >>> from weft import RuntimeConfig
        >>> from weft.pipelines import Pipeline, TraceCallback, node
        >>> file = pathlib.Path(tempfile.mkdtemp(), "trace.jsonl")
        >>> double = node(output_name="y")(lambda x: 2 * x).with_name("double")
        >>> Pipeline([double], name="doubling").run(x=1, config=RuntimeConfig(callbacks=(TraceCallback(file),)))
        {'y': 2}
        >>> [(line["kind"], line["name"]) for line in map(json.loads, file.read_text().splitlines())]
        [('node', 'double'), ('run', 'doubling')]
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self.path.write_text("")
        except OSError as error:
            remedy = "give the path of a file that can be written"
            raise InvalidSetting(f"path={path!r}: {error.strerror}; {remedy}", setting="path", value=path) from error
        self._guard = Guard()
        self._all: list[dict[str, Any]] = []
        self._lanes: list[float] = []  # when the last span in each of them ends

    def span_ended(self, span: Span, context: CallbackContext) -> None:
        ended: list[Span] | None = context.get(self._key)
        if ended is None:
            context.set(self._key, ended := [])
        ended.append(span)

    def run_ended(self, context: CallbackContext) -> None:
        spans: list[Span] = context.get(self._key)
        context.set(self._key, None)
        self._guard(self._write_lock_held, spans)

    def _write_lock_held(self, spans: list[Span]) -> None:
        if self.path.suffix == ".json":
            self._all += _chrome(spans, self._lanes)
            self.path.write_text(json.dumps({"traceEvents": self._all}))
            return
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(_line(span))}\n" for span in spans)

    @property
    def _key(self) -> str:
        return f"weft.trace.{id(self)}"


def _line(span: Span) -> dict[str, Any]:
    line: dict[str, Any] = {
        "name": span.name,
        "kind": span.kind,
        "start": span.began,
        "duration": span.ended - span.began,
        "state": span.state,
    }
    return line | _more(span)


def _more(span: Span) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if span.item is not None:
        more["item"] = span.item
    if span.attempts > 1:
        more["attempts"] = span.attempts
    if span.error is not None:
        more["error"] = f"{type(span.error).__name__}: {span.error}"
    return more


def _chrome(spans: list[Span], free: list[float]) -> list[dict[str, Any]]:
    """Complete events, in lanes: what overlaps what is beside it gets another one.

    Args:
        spans: Those of a run.
        free: When the last span of each lane ends, of all runs; it is kept up.
    """
    lanes: dict[int, int] = {}  # of spans, by identity
    last: dict[tuple[int, int], float] = {}  # when the last part of a span ends that is in its lane
    events: list[dict[str, Any]] = []
    for span in sorted(spans, key=lambda span: (span.began, -span.ended)):
        above = lanes.get(id(span.parent), -1)
        if above >= 0 and last.get((id(span.parent), above), 0.0) <= span.began:
            lane = above
            last[id(span.parent), above] = span.ended
        else:
            lane = next((one for one, end in enumerate(free) if end <= span.began), len(free))
            free[lane : lane + 1] = [span.ended]
        free[lane] = max(free[lane], span.ended)
        lanes[id(span)] = lane
        events.append(
            {
                "name": span.name,
                "cat": span.kind,
                "ph": "X",
                "ts": span.began * 1e6,
                "dur": (span.ended - span.began) * 1e6,
                "pid": os.getpid(),
                "tid": lane,
                "args": {"state": span.state} | _more(span),
            }
        )
    return events
