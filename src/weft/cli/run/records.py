"""The lines that `weft run` writes: for each item its inputs and its outputs, or the error, as JSON.

A file is written beside its place, as ``<name>.part``, and put there when it is whole. What a run that was interrupted
has left there, and what the file itself has, is what the next one keeps with `--resume`: all lines but those that are
errors or not whole. It is brought together in ``<name>.kept`` before the first new line is written, so that nothing is
lost if that run is interrupted too. Pinned by tests/cli/test_run.py.
"""

import dataclasses
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from weft.cli.run.inputs import Refused
from weft.errors import PipelineError

__all__ = ["ERROR", "Records", "line_of"]

ERROR = "@error"
"""The name of what stands in place of the outputs; no output can have it."""


def line_of(result: Mapping[str, Any] | PipelineError, item: Mapping[str, Any] | None = None) -> str:
    """One line.

    Raises:
        Refused: JSON cannot hold an output.
    """
    if isinstance(result, PipelineError):
        cause = result.__cause__
        error = {"node": result.node, "type": result.type_name, "message": str(cause), "attempts": result.attempts}
        return json.dumps({**(item or {}), ERROR: error})
    try:
        return json.dumps({**(item or {}), **result}, default=_plain)
    except (TypeError, ValueError):
        for name, value in result.items():
            try:
                json.dumps(value, default=_plain)
            except (TypeError, ValueError) as error:
                raise Refused(
                    f"output {name!r} cannot be written as JSON: {error}. Choose others with --output-name, or add a "
                    "node that gives what JSON has"
                ) from None
        raise


def _plain(value: Any) -> Any:
    """What JSON has for it: arrays and numbers of numpy and its like, dataclasses, paths."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, os.PathLike):
        return os.fspath(cast("os.PathLike[str]", value))
    raise TypeError(f"it is a {type(value).__name__}")


class Records:
    """Where lines go; a context manager.

    Args:
        path: The file; None: standard output.
        resume: Whether what is there is kept.

    Raises:
        Refused: The file cannot be written, or there is one already and nothing says that it may go.
    """

    def __init__(self, path: Path | None, *, resume: bool) -> None:
        self._path = path
        self._file = sys.stdout
        self._lines: list[str] = []
        if path is None:
            if resume:
                raise Refused("--resume goes on with a file: name it with --output")
            return
        self._part, self._kept = (path.with_name(path.name + ending) for ending in (".part", ".kept"))
        try:
            if resume:
                self._lines = _newer(_lines_of(self._part), _newer(_lines_of(self._kept), _lines_of(path)))
                if self._lines:
                    _put(self._kept, self._lines)
            elif self._part.exists():
                raise Refused(f"{self._part} is what an earlier run has left: go on with --resume, or remove it")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("w", encoding="utf-8")
        except OSError as error:
            raise Refused(f"--output {path}: {error.strerror}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._path is None:
            self._file.flush()
            return
        self._file.close()
        if kind is None:
            os.replace(self._part, self._path)
            self._kept.unlink(missing_ok=True)
        elif not self._part.stat().st_size:
            self._part.unlink()

    def write(self, line: str) -> None:
        """The next line."""
        print(line, file=self._file, flush=self._path is not None)

    def kept(self, number: int, item: Mapping[str, Any], names: set[str]) -> str | None:
        """The line that an earlier run has for an item, with what has these names; None if it has none, or an error.

        Raises:
            Refused: It is of another run.
        """
        if number >= len(self._lines):
            return None
        line = self._lines[number]
        record = json.loads(line)
        if ERROR in record:
            return None
        if record.keys() != names or any(record[name] != value for name, value in item.items()):
            raise Refused(
                f"{self._path}, line {number + 1}, is not of this run: it has other inputs or outputs. Give another "
                "--output, or leave --resume out"
            )
        return line


def _lines_of(path: Path) -> list[str]:
    """The lines that are whole, up to the first one that is not."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    lines = text.split("\n")[:-1]  # what follows the last newline was being written
    for number, line in enumerate(lines):
        try:
            whole = isinstance(json.loads(line), dict)
        except json.JSONDecodeError:
            whole = False
        if not whole:
            return lines[:number]
    return lines


def _newer(part: list[str], rest: list[str]) -> list[str]:
    """Line by line, the one of the later run where it has one and that is no error, else that of the earlier."""
    both = [
        other if ERROR in json.loads(line) and ERROR not in json.loads(other) else line
        for line, other in zip(part, rest, strict=False)
    ]
    return [*both, *part[len(both) :], *rest[len(both) :]]


def _put(path: Path, lines: list[str]) -> None:
    whole = path.with_name(f"{path.name}.new")
    with whole.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
    os.replace(whole, path)
