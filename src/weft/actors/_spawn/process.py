"""Spawn method `process`: the actor is a fresh process, forked from a clean template that has imported what it needs.

The templates are those of process pools (weft.executors._template), one for each event loop library. Forking takes a
few milliseconds, and copies nothing of this process. A template kills its actors when this process is gone.
Pinned by tests/actors/test_spawn.py and test_ending.py.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

import weft.executors._ending  # noqa: F401  # pyright: ignore[reportUnusedImport]  # ends the templates at exit
from weft.actors._child import prepare_spare
from weft.actors._loops import daemons_allowed
from weft.actors._spawn._child_handle import Child, End, Start
from weft.executors._template.template import Template
from weft.executors._template.worker_process import WorkerProcess
from weft.executors._worker_threads import start_thread

__all__ = ["expect", "forget", "lacks", "spawn"]

_REAPED_WITHIN = 1.0  # seconds from the end of the last actor to the template's report

_lock = threading.Lock()
_templates: dict[str, Template] = {}


def lacks() -> str | None:
    """What this system lacks for it."""
    return None if hasattr(os, "posix_spawn") and hasattr(os, "fork") else "a POSIX system"


def _template(library: str) -> Template:
    with _lock:
        if library not in _templates:
            modules = prepare_spare(library)
            _templates[library] = Template(modules[1:], run=f"{modules[0]}:live_in_process")
        return _templates[library]


def expect(library: str) -> None:
    """Has the template started: an actor is going to need it."""
    _template(library).start()


def forget() -> None:
    """Ends the templates that have no actors."""
    with _lock:
        templates = list(_templates.values())
        _templates.clear()
    for template in templates:
        if template.wait_idle(_REAPED_WITHIN):
            template.close()


def spawn(start: Start) -> Child:
    """Starts an actor."""
    with start.end:
        worker = _template(start.library).start_worker((0, 0), (start.end.fileno(),), start.setup)
    return ProcessChild(worker)


class ProcessChild:
    """An actor that is a process of a template's."""

    is_process = True

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker
        self.pid = worker.pid
        self.descriptor = worker.pidfd

    def on_end(self, fn: Callable[[], object]) -> None:
        """See `Child`; where there is no pidfd."""

        def wait() -> None:
            self._worker.status()
            fn()

        start_thread(threading.Thread(target=wait, name="weft-actor-end", daemon=daemons_allowed()))

    def end(self) -> End | None:
        """See `Child`."""
        status = self._worker.status(0)
        if status is None:
            return None
        return End(signal=-status) if status < 0 else End(exit_code=status)

    def interrupt(self) -> None:
        """See `Child`."""
        self._worker.kill(signal.SIGTERM)

    def kill(self) -> bool:
        """See `Child`."""
        self._worker.kill()
        return True

    def close(self) -> None:
        """See `Child`."""
        if self.descriptor >= 0:
            with suppress(OSError):
                os.close(self.descriptor)
            self.descriptor = -1


def _new_lock() -> None:
    global _lock
    _lock = threading.Lock()
    _templates.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)
