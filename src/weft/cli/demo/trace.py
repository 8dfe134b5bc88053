"""`weft demo --trace`: the traces of several trials, each a process of its own, made into one file.

Each trial writes a part of the same format into a temporary folder. In a Chrome trace every process is a group of
threads, and gets its contender's name; in JSON lines each event gets a field `contender`.

Pinned by tests/cli/test_trace.py.
"""

import json
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class TraceParts:
    """The parts of one trace, gathered while the trials run."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._path = path
        self._folder = folder
        self._contenders: list[str] = []

    def part_for(self, contender: str) -> str:
        """Where the next trial is to write its part."""
        self._contenders.append(contender)
        return str(self._part(len(self._contenders) - 1))

    def _part(self, number: int) -> Path:
        return self._folder / f"part{number}{self._path.suffix}"

    def write(self) -> int:
        """Writes the one file.

        Returns:
            The number of tasks in it.
        """
        chrome = self._path.suffix == ".json"
        lines: list[str] = []
        tasks = 0
        for number, contender in enumerate(self._contenders):
            part = self._part(number)
            text = part.read_text(encoding="utf-8") if part.exists() else ""  # a trial may have died before
            events = _events_of_chrome(text) if chrome else [json.loads(line) for line in text.splitlines()]
            for event in events:
                if not chrome:
                    event = {"contender": contender, **event}
                elif event["name"] == "process_name":
                    event["args"]["name"] = contender
                tasks += not chrome or event["ph"] == "X"
                lines.append(json.dumps(event, ensure_ascii=False))
        whole = "[\n" + ",\n".join(lines) + "\n]\n" if chrome else "".join(f"{line}\n" for line in lines)
        self._path.write_text(whole, encoding="utf-8")
        return tasks


def _events_of_chrome(text: str) -> list[dict[str, Any]]:
    """The events of a part; the closing bracket is missing if its trial was killed."""
    if not text:
        return []
    return json.loads(text if text.endswith("]\n") else f"{text.rstrip()}\n]")


@contextmanager
def trace_parts(path: Path | None) -> Generator[TraceParts | None]:
    """Gathers the parts of a trace; None if none is wanted. The folder that they are in is gone afterwards."""
    if path is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="weft-demo-") as folder:
        yield TraceParts(path, Path(folder))
