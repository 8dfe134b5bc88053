"""The tasks of a trace, of either format that `weft.debug.enable_tracing` writes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Task", "UnreadableError", "read_trace"]


class UnreadableError(Exception):
    """A file that is no trace; the message says why."""


@dataclass(frozen=True, slots=True)
class Task:
    """One event of a trace.

    Attributes:
        name: The task's name.
        worker: The worker's name; None: it never ran.
        flavor: The kind of worker.
        start: When it began, in seconds, from whatever the trace counts from; None: it never did.
        duration: How long it ran, in seconds.
        queued: How long it waited before that, in seconds.
        state: What became of it, as `weft.debug` has it.
    """

    name: str
    worker: str | None
    flavor: str
    start: float | None
    duration: float
    queued: float
    state: str


def read_trace(path: Path) -> list[Task]:
    """Reads a file.

    Raises:
        UnreadableError: It cannot be read, or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{path} is no trace of weft's: it is not text") from error
    try:
        return list(_of_chrome(text) if text.lstrip().startswith("[") else _of_lines(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableError(f"{path} is no trace of weft's: {type(error).__name__}: {error}") from error


def _of_lines(text: str) -> Iterator[Task]:
    for line in text.splitlines():
        if not line.strip():
            continue
        event: dict[str, Any] = json.loads(line)
        yield Task(
            event["name"],
            event["worker"],
            event["flavor"],
            event["start"],
            event["duration"] or 0.0,
            event.get("queued") or 0.0,
            event["state"],
        )


def _of_chrome(text: str) -> Iterator[Task]:
    text = text.strip()
    if not text.endswith("]"):  # its process has crashed, or goes on
        text = text.removesuffix(",") + "]"
    events: list[dict[str, Any]] = json.loads(text)
    workers = {
        (event["pid"], event["tid"]): event["args"]["name"] for event in events if event["name"] == "thread_name"
    }
    ran = {(event["name"], event["ts"]) for event in events if event["ph"] == "X"}
    begun: dict[str, float] = {}
    for event in events:
        if event["ph"] == "X":
            told = event["args"]
            worker = workers.get((event["pid"], event["tid"]), str(event["tid"]))
            start, duration, waited = event["ts"] / 1e6, event["dur"] / 1e6, told["queued_us"] / 1e6
            yield Task(event["name"], worker, event["cat"], start, duration, waited, told["state"])
        elif event["ph"] == "b":
            begun[event["id"]] = event["ts"]
        elif event["ph"] == "e" and (event["name"], event["ts"]) not in ran:  # all that it did was wait
            waited = (event["ts"] - begun[event["id"]]) / 1e6
            yield Task(event["name"], None, "", None, 0.0, waited, event["args"]["state"])
