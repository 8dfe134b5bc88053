"""A worker process, as the caller holds it: its pid, its pidfd, how it ended, and a way to kill it.

The template is its parent: it reaps it at once and reports how it ended. So its pid may be another process's any
time; a signal goes through a pidfd, or where there is none (macOS) through the template, which knows whom it has not
reaped.

What is called `…_lock_held` is for process.py, the rest for any thread. What the template reports arrives on the thread
that reads its socket there.
Pinned by tests/executors/test_template.py and test_template_ends.py.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

__all__ = ["WorkerProcess"]


class WorkerProcess:
    """One worker of a template. Made by `Template.start_worker`.

    Attributes:
        pid: Its process id. It may be another's once the worker has ended.
        pidfd: A descriptor that is ready to read when the worker has ended, and that the caller closes; -1 where the
            system has none.
    """

    pid: int
    pidfd: int

    def __init__(self, pid: int, pidfd: int, changed: threading.Condition, send_signal: Callable[[int], None]) -> None:
        """Takes a worker over.

        Args:
            pid: See the attribute.
            pidfd: See the attribute.
            changed: Is notified of every report of the template; its lock guards what is private here.
            send_signal: Has the template do it.
        """
        self.pid = pid
        self.pidfd = pidfd
        self._own = os.dup(pidfd) if pidfd >= 0 else -1  # for `kill`, whatever the caller does with the other
        self._changed = changed
        self._send_signal = send_signal
        self._status: int | None = None

    def status(self, timeout: float | None = None) -> int | None:
        """How it ended, waiting for that.

        Args:
            timeout: Seconds to wait; None for as long as it lives.

        Returns:
            The exit status, or minus the number of the signal that killed it, or None if it has not ended in time.
            -SIGKILL if the template died first: its workers are killed then, and nobody hears what became of them.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._status is not None, timeout)
            return self._status

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Sends it a signal, if it has not ended. Never to another process that has its number now."""
        with self._changed:
            if self._status is not None:
                return
            if self._own >= 0:
                with suppress(ProcessLookupError):  # ended, and the report is on its way
                    signal.pidfd_send_signal(self._own, number)
                return
        self._send_signal(number)

    def end_lock_held(self, status: int) -> None:
        """The template has reported its end."""
        self._status = status
        self._close_lock_held()

    def kill_with_template_lock_held(self) -> None:
        """The template is gone, and its workers with it."""
        if self._own >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._own, signal.SIGKILL)

    def end_with_template_lock_held(self, end: float) -> None:
        """Waits until it is dead, by `end` in the time of `time.monotonic`."""
        if self._own >= 0:
            poll = select.poll()
            poll.register(self._own, select.POLLIN)
            poll.poll(max(0.0, end - time.monotonic()) * 1000)
        self.end_lock_held(-signal.SIGKILL)

    def forget_in_child(self) -> None:
        """In a forked child, where nothing is reported and the lock may be held by nobody that exists."""
        self._changed = threading.Condition()
        self.end_lock_held(-signal.SIGKILL)

    def _close_lock_held(self) -> None:
        if self._own >= 0:
            os.close(self._own)
            self._own = -1

    def drop_lock_held(self) -> None:
        """Nobody is to have it: closes all that it holds."""
        self._close_lock_held()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1
