"""Tracing: on, off, and what it has seen.

The core does the work: each thread writes its events into a buffer of its own, and one native thread, which needs
neither the GIL nor any Python object, drains them into the file about ten times a second (native/trace/PROTOCOL.md).
Here it is only decided what is written where, and nothing is called per task.

Ends with `disable_tracing`, at the latest at the interpreter's end, after the pools have ended. A crash loses what the
last tenth of a second brought; the lines that are written are whole. In a forked child tracing is off, and the file
remains the parent's.
Pinned by tests/debug/test_tracing.py, test_trace_files.py and test_trace_ends.py.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from weft import _core
from weft.debug import _trace_file

type State = Literal["done", "failed", "cancelled", "timeout", "retried", "interrupted", "abandoned"]

MOST_CHUNKS = 512
"""Chunks of 32 KiB that a thread's buffer may grow to before events are dropped: some 250,000 events."""

EXIT_WITHIN = 5.0
"""Seconds that the interpreter's end waits for the rest of a trace to be written."""

_logger = logging.getLogger("weft")


class TraceEvent(NamedTuple):
    """One try of one task, as a trace has it.

    Attributes:
        name: the task's name: that of its options, or the qualified name of its function.
        worker: the name of the worker's thread; None if it did not run.
        flavor: the kind of worker: "threads" or "serial".
        start: when it began, in seconds since 1970, as `time.time()` has it; None if it did not run.
        duration: how long it ran, in seconds; None if it did not run.
        state: what became of it: "done"; "failed"; "cancelled", before it began; "timeout", stopped because its time
            was up; "retried", failed and to be tried again (each try is an event); "interrupted"; "abandoned", its time
            was up, and its thread is stuck in a call that cannot be interrupted.
        queued: seconds from `submit` to its start, or to its end if it did not run. After a retry: since the last try.
        pool: the pool's name.
        thread: the system's id of the thread that ran it, as `threading.get_native_id()` has it; None if none did.

    Example:
        >>> from weft import debug
        >>> from weft.executors import ThreadPoolExecutor
        >>> debug.enable_tracing()
        >>> with ThreadPoolExecutor(1, thread_name_prefix="io") as pool:
        ...     pool.options(name="power").submit(pow, 2, 10).result()
        1024
        >>> [event] = debug.disable_tracing().events
        >>> event.name, event.worker, event.flavor, event.state
        ('power', 'io_0', 'threads', 'done')
    """

    name: str
    worker: str | None
    flavor: Literal["threads", "serial"]
    start: float | None
    duration: float | None
    state: State
    queued: float
    pool: str
    thread: int | None


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace that has ended.

    Attributes:
        path: the file that it was written to; None if it was kept in memory.
        events: the events, if they were kept in memory, thread by thread and not in the order of time; else none.
        written: how many events there are in the file or in `events`.
        dropped: how many there was no room for, because the file could not be written as fast as tasks ended.

    Example:
        >>> from weft import debug
        >>> debug.enable_tracing()
        >>> debug.disable_tracing()
        Trace(path=None, events=[], written=0, dropped=0)
    """

    path: Path | None
    events: list[TraceEvent]
    written: int
    dropped: int


_lock = threading.RLock()  # so that a signal handler may end what the main thread is beginning
_path: Path | None = None  # of the trace that is on


def enable_tracing(path: str | os.PathLike[str] | None = None) -> None:
    """Begins to trace the tasks that are submitted from now on, to all pools of this interpreter.

    Args:
        path: the file to write. If it ends in `.json`: a Chrome trace, for https://ui.perfetto.dev and
            `chrome://tracing`. Else JSON lines: an object for each event, with the fields of `TraceEvent`. A file that
            exists is overwritten. None: the events stay in memory, some 80 bytes each, until `disable_tracing` returns
            them.

    Raises:
        RuntimeError: tracing is on already, or another process is writing this file.
        OSError: the file cannot be written.
        TypeError: `path` is neither a path nor None.

    Example:
        >>> from weft import debug
        >>> debug.enable_tracing()
        >>> debug.disable_tracing().written
        0
    """
    try:
        file = None if path is None else Path(path)
    except TypeError:
        raise TypeError(f"path must be a str, a path or None, not {path!r}; an open file will not do") from None
    with _lock:
        refuse_if_enabled()
        descriptor = -1 if file is None else _trace_file.open_alone(file)
        if descriptor is None:
            raise RuntimeError(f"another process is writing a trace to {file}; give each a path of its own")
        begin(file, descriptor)


def refuse_if_enabled() -> None:
    """Raises if tracing is on. Before a file is opened, which empties it."""
    if _core.is_tracing():
        where = "in memory" if _path is None else f"to {_path}"
        raise RuntimeError(f"tracing is on already, {where}; call disable_tracing() first")


def begin(path: Path | None, descriptor: int) -> None:
    """Begins a trace; the descriptor is closed when it ends."""
    global _path
    with _lock:
        chrome = path is not None and path.suffix == ".json"
        label = os.path.basename(sys.argv[0]) if sys.argv else ""
        try:
            _core.trace_start(descriptor, chrome, label or "python", os.getpid(), MOST_CHUNKS)
        except BaseException:
            if descriptor >= 0:
                os.close(descriptor)
            raise
        _path = path


def disable_tracing() -> Trace | None:
    """Ends the trace. Tasks that have not ended yet are not in it.

    Waits until everything is written. Ctrl-C ends the wait, for a file that does not take what is written to it.

    Returns:
        The trace; None if tracing was off.

    Raises:
        OSError: the file could not be written to its end; what there is of it is in order.

    Example:
        >>> from weft import debug
        >>> from weft.executors import SerialExecutor
        >>> debug.enable_tracing()
        >>> SerialExecutor().submit(abs, -1).result()
        1
        >>> [(event.name, event.state) for event in debug.disable_tracing().events]
        [('abs', 'done')]
        >>> debug.disable_tracing()  # it is off
    """
    return _end(want_events=True)


def _end(*, want_events: bool, seconds: float = math.inf) -> Trace | None:
    path = _path
    ended = _core.trace_stop(want_events, seconds)
    if ended is None:
        return None
    written, dropped, error, rows = ended
    if dropped:
        _logger.warning(
            "%d of %d events are not in the trace: they came faster than they could be written; "
            "trace fewer and longer tasks, or to a faster disk",
            dropped,
            dropped + written,
        )
    if error:
        raise OSError(error, f"{os.strerror(error)}; the trace is incomplete", str(path))
    return Trace(path, [TraceEvent._make(row) for row in rows or ()], written, dropped)


def _at_exit() -> None:
    try:
        _end(want_events=False, seconds=EXIT_WITHIN)
    except OSError as error:
        _logger.warning("the trace could not be written to its end: %s", error)


def _after_fork_in_child() -> None:
    global _lock, _path
    _lock = threading.RLock()
    _path = None
    _core.trace_after_fork_in_child()


# After the pools have ended, which is before any of these: what their last tasks did is still seen.
atexit.register(_at_exit)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
