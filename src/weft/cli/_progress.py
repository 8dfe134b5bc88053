"""Progress on standard error: a bar where rich is installed, a line that rewrites itself on a plain terminal.

Where standard error is no terminal, a line for each thing that was done, when it is. Standard output is left to the
results. Pinned by tests/cli/test_progress.py.
"""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO, override

if TYPE_CHECKING:
    from rich.progress import Progress as RichBars
    from rich.progress import TaskID


class Progress:
    """What is told while one thing after another is done; a context manager. This one says nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The display ends; nothing of what has not ended is left on it."""

    def begin(self, name: str, total: int | None, unit: str = "files") -> None:
        """What is called so begins, with so many of these units to do; None: nobody knows how many."""

    def update(self, done: int) -> None:
        """So many are done."""

    def finish(self, outcome: str) -> None:
        """It has ended; `outcome` says how in a few words."""


def make_progress(*, show: bool) -> Progress:
    """The progress display that suits standard error."""
    if not show:
        return Progress()
    if not sys.stderr.isatty():
        return Lines(sys.stderr)
    try:
        return Bars()
    except ImportError:
        return RewrittenLine(sys.stderr)


class Lines(Progress):
    """A line for each when it has ended, for logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._name = ""
        self._of = ""

    @override
    def begin(self, name: str, total: int | None, unit: str = "files") -> None:
        self._name, self._of = name, unit if total is None else f"of {total:,} {unit}"

    @override
    def finish(self, outcome: str) -> None:
        print(f"{self._name}: {outcome}", file=self._stream, flush=True)


class RewrittenLine(Lines):
    """One line that is written over and over, for a terminal without rich."""

    @override
    def update(self, done: int) -> None:
        self._rewrite(f"{self._name}: {done:,} {self._of}")

    @override
    def finish(self, outcome: str) -> None:
        self._rewrite(f"{self._name}: {outcome}\n")

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._rewrite("")

    def _rewrite(self, text: str) -> None:
        # Back to the margin, and erase what was there.
        self._stream.write(f"\r\x1b[K{text}")
        self._stream.flush()


class Bars(Progress):
    """A bar for each, drawn by rich.

    Raises:
        ImportError: rich is not installed.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._bars: RichBars = Progress(
            TextColumn("{task.description:<20}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[outcome]}"),
            console=Console(stderr=True),
        )
        self._task: TaskID | None = None

    @override
    def __enter__(self) -> Self:
        self._bars.start()
        return self

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    @override
    def begin(self, name: str, total: int | None, unit: str = "files") -> None:
        self._task = self._bars.add_task(name, total=total, outcome="")

    @override
    def update(self, done: int) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=done)

    @override
    def finish(self, outcome: str) -> None:
        if self._task is not None:
            self._bars.update(self._task, outcome=outcome)
