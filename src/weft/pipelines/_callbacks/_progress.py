"""`ProgressCallback`: bars for what a pipeline does, drawn by rich, on a terminal or in a notebook.

A bar for each map, and under it one for each of its nodes, as nested as they are. They count what is done: a node that
gave its result or had it in the cache. Bars are told at most ten times a second, however many items there are.
Pinned by tests/pipelines/test_progress.py.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from weft.pipelines._extras import imported
from weft.pipelines._hooks import CallbackContext, PipelineCallback

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["ProgressCallback"]

_PAUSE = 0.1  # seconds between two updates


@dataclass(slots=True)
class _Bar:
    """What is known of one bar. Told to rich now and then."""

    task: Any
    total: int | None
    done: int = 0
    cached: int = 0
    failed: int = 0

    def note(self) -> str:
        parts = [f"{self.cached:,} cached"] if self.cached else []
        if self.failed:
            parts.append(f"[red]{self.failed:,} failed[/red]")
        return ", ".join(parts)


class ProgressCallback(PipelineCallback):
    """Shows how far a pipeline is: a bar for each map and each node (extra ``progress``).

    Where standard error is no terminal it shows each bar once, at the end. One object may serve any number of runs; of
    runs at the same time, the first one has the terminal.

    Args:
        console: Where it is shown; by default standard error.
        transient: Whether the bars go when the run has ended.

    Raises:
        MissingDependency: rich is not installed.

    Example:
        >>> from weft import RuntimeConfig
        >>> from weft.pipelines import Pipeline, ProgressCallback, node
        >>> double = node(output_name="y")(lambda x: 2 * x)
        >>> config = RuntimeConfig(callbacks=(ProgressCallback(transient=True),))
        >>> Pipeline([double.with_name("double")], name="doubling").map({"x": [1, 2]}, map_over="x", config=config)
        [{'y': 2}, {'y': 4}]
    """

    def __init__(self, *, console: Console | None = None, transient: bool = False) -> None:
        imported("rich.progress", "progress")
        self.console = console
        self.transient = transient

    def on_pipeline_start(self, pipeline: str, inputs: dict[str, Any], context: CallbackContext) -> None:
        if context.depth == 1:
            self._open(context).begin(pipeline)

    def on_map_start(self, pipeline: str, total: int | None, context: CallbackContext) -> None:
        bars = self._bars(context) or self._open(context)
        bars.begin(pipeline)
        bars.expect(pipeline, total)

    def on_map_item_end(self, item: int, seconds: float, context: CallbackContext) -> None:
        if (bars := self._bars(context)) is not None:
            bars.count(bars.innermost, "done")

    def on_map_end(self, pipeline: str, seconds: float, context: CallbackContext) -> None:
        self._end(context)

    def on_pipeline_end(self, pipeline: str, outputs: dict[str, Any], seconds: float, context: CallbackContext) -> None:
        if context.depth == 1:
            self._end(context)

    def on_node_start(self, node: str, context: CallbackContext) -> None:
        if (bars := self._bars(context)) is not None:
            bars.expect_one(node)

    def on_node_end(self, node: str, seconds: float, context: CallbackContext) -> None:
        if (bars := self._bars(context)) is not None:
            bars.count(node, "done")

    def on_node_cached(self, node: str, context: CallbackContext) -> None:
        if (bars := self._bars(context)) is not None:
            bars.expect_one(node)
            bars.count(node, "done", "cached")

    def on_error(self, node: str, error: BaseException, context: CallbackContext) -> None:
        if (bars := self._bars(context)) is not None:
            bars.count(node, "done", "failed")

    def _open(self, context: CallbackContext) -> _Bars:
        bars = _Bars(self.console, transient=self.transient)
        context.set(self._key, bars)
        return bars

    def _bars(self, context: CallbackContext) -> _Bars | None:
        return context.get(self._key)

    def _end(self, context: CallbackContext) -> None:
        bars = self._bars(context)
        if bars is not None and bars.leave():
            context.set(self._key, None)

    @property
    def _key(self) -> str:
        return f"weft.progress.{id(self)}"


class _Bars:
    """The display of one run."""

    def __init__(self, console: Console | None, *, transient: bool) -> None:
        progress = imported("rich.progress", "progress")
        if console is None:
            console = imported("rich.console", "progress").Console(stderr=True)
        self._display = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("{task.fields[note]}"),
            console=console,
            transient=transient,
        )
        self._rows: dict[str, _Bar] = {}
        self._maps: set[str] = set()
        self._open: list[str] = []
        self._told = 0.0
        try:
            self._display.start()
        except imported("rich.errors", "progress").LiveError:  # another display has the terminal
            self._display.disable = True

    @property
    def innermost(self) -> str:
        """The map or pipeline that is open within all others."""
        return self._open[-1]

    def begin(self, path: str) -> None:
        """A pipeline or a map opens."""
        self._open.append(path)

    def expect(self, path: str, total: int | None) -> None:
        """So many more items of a map; None: nobody knows. It was there before if it is one of a map's items."""
        row = self._rows.get(path)
        if row is None or path not in self._maps:
            if row is not None:  # that of the node which the map is
                self._display.remove_task(row.task)
                del self._rows[path]
            self._maps.add(path)
            self._row(path, len(self._open) - 1, total)
        else:
            row.total = None if row.total is None or total is None else row.total + total
        self._tell()

    def expect_one(self, node: str) -> None:
        """A node is about to run; it does once for each item of the map that it is in."""
        if node in self._maps:  # its bar is that of its items
            return
        above = self._rows.get(self.innermost)
        row = self._row(node, len(self._open), 1 if above is None else above.total)
        if above is not None:
            row.total = above.total
        self._tell()

    def count(self, path: str, *what: str) -> None:
        """One more is done."""
        row = self._rows.get(path)
        if row is None or (path in self._maps and path != self.innermost):
            return
        for name in what:
            setattr(row, name, getattr(row, name) + 1)
        self._tell()

    def leave(self) -> bool:
        """The innermost ends; True: it was the last, and so the display ends."""
        self._open.pop()
        self._tell(now=not self._open)
        if not self._open:
            self._display.stop()
        return not self._open

    def _row(self, path: str, depth: int, total: int | None) -> _Bar:
        row = self._rows.get(path)
        if row is None:
            name = path.rpartition("/")[2] if depth else path
            row = self._rows[path] = _Bar(self._display.add_task("  " * depth + name, total=total, note=""), total)
        return row

    def _tell(self, *, now: bool = False) -> None:
        moment = time.monotonic()
        if not now and moment - self._told < _PAUSE:
            return
        self._told = moment
        for row in self._rows.values():
            self._display.update(row.task, total=row.total, completed=row.done, note=row.note())
