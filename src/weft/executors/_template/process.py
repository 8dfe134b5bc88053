"""One template process, as the caller sees it: started once, asked for workers, gone for good when it is gone.

Any thread may ask. One thread reads what the template says, since a message that an interrupt tears apart would leave
the rest unreadable; those who wait, wait for that thread, and can be interrupted.

States: it *imports* (requests are sent already, and wait there), it is *ready*, it is *gone*. The reading thread
moves it on, and lasts as long as the process: it reaps it, and kills what workers it leaves behind.

Ends when the caller closes, drops or leaves it (`leave`: the template kills its workers, reports and exits), or dies.
In a forked child it is not the child's: `forget_in_child` closes the child's copy of the socket, which would keep it
alive. Not waiting in the asking threads without a thread of its own: Ctrl-C between a message and its place is a lost
message.
Pinned by tests/executors/test_template.py and test_template_ends.py.
"""

from __future__ import annotations

import errno
import functools
import itertools
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from weft._payloads.failures import load_failure
from weft.errors import InitializerFailed, WorkerStartFailed
from weft.executors._template import surroundings
from weft.executors._template.launch import Orders, spawn
from weft.executors._template.messages import MOST_DESCRIPTORS, ancillary, frame, receive
from weft.executors._template.worker_process import WorkerProcess
from weft.executors._worker_threads import start_thread

__all__ = ["TemplateDied", "TemplateProcess"]

_EXITS_WITHIN = 1.5  # seconds from the end of its socket to its own; it takes 0.8 at most
_DIES_WITHIN = 1.0  # seconds from SIGKILL to the end of a process

_GONE = {errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN}

_REMEDIES = {
    errno.EMFILE: "raise `ulimit -n`, or use fewer workers",
    errno.ENFILE: "the whole system has no more; use fewer workers",
    errno.EAGAIN: "raise `ulimit -u`, or use fewer workers",
    errno.ENOMEM: "use fewer workers, or give them less",
    errno.ENOENT: "sys.executable must be a Python interpreter",
    errno.EACCES: "sys.executable must be a Python interpreter that may be executed",
}


class TemplateDied(Exception):  # not an error of anybody: whoever asks another template need not know
    """The template was killed before it answered. No worker came of the request."""


class TemplateProcess:
    """A template process and its workers."""

    def __init__(self, preload: Sequence[str], run: str, environment: dict[str, str], *, daemon: bool) -> None:
        """Starts it, and returns at once.

        Args:
            preload: Modules that it imports, beside what workers need.
            run: ``module:function`` that its workers call.
            environment: What it finds there beside what is here.
            daemon: Whether the thread that reads is one.

        Raises:
            weft.errors.WorkerStartFailed: There is no interpreter, or no room for one.
        """
        folder, here, path, arguments = surroundings.look()
        self.surroundings = folder, here | environment, path, arguments
        self._changed = threading.Condition()
        self._sending = threading.RLock()  # a collection under it may drop the template, whose finalizer takes it too
        self._numbers = itertools.count(1)
        self._waiting: dict[int, WorkerProcess | OSError | None] = {}  # requests, and the answers that are there
        self._workers: dict[int, WorkerProcess] = {}  # those that have not ended
        self._ready = False
        self._failure: Callable[[], BaseException] | None = None  # each who waits gets one of their own
        self._gone = False
        self._owner = os.getpid()
        orders: Orders = {
            "surroundings": self.surroundings,
            "preload": tuple(preload),
            "run": run,
            "parent": self._owner,
        }
        held: list[int] = []
        try:
            self._socket, theirs = socket.socketpair()
            with theirs:
                try:
                    lifeline, self._lifeline = os.pipe()
                    held.append(lifeline)
                    self.pid = spawn(self.surroundings[1], theirs.fileno(), lifeline)
                except BaseException:
                    self._socket.close()
                    if held:
                        held.append(self._lifeline)
                    raise
        except OSError as error:
            raise start_failed(error) from error
        finally:
            for number in held:
                os.close(number)
        self._watch = _watch(self.pid)
        self._reader = threading.Thread(target=self._read, name="weft-template", daemon=daemon)
        try:
            start_thread(self._reader)
        except BaseException:
            self._kill_and_reap()
            with self._sending:
                self._close_lock_held()
            raise
        with self._sending, suppress(OSError):  # it is gone already; the reader finds out how
            self._socket.sendall(frame((orders,)))

    @property
    def is_gone(self) -> bool:
        """Whether it takes no more requests."""
        return self._gone

    def wait_idle(self, timeout: float) -> bool:
        """Waits until it has no workers, and nobody waits for one; False if that is not so in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._workers and not self._waiting, timeout)

    # ---- any thread --------------------------------------------------------------------------------

    def start_worker(
        self, numbers: Sequence[int], descriptors: Sequence[int], setup: bytes, handed: Sequence[int] = ()
    ) -> WorkerProcess:
        """Has a worker forked.

        Raises:
            TemplateDied: The template was killed; no worker came of it.
            weft.errors.InitializerFailed: A module to preload raised.
            weft.errors.WorkerStartFailed: There is no room for a worker, or the template did not start.
        """
        now = surroundings.look()
        number = next(self._numbers)
        passed = (*descriptors, *handed)
        message = frame(
            ("start", number, tuple(numbers), bytes(setup), None if now == self.surroundings else now), len(passed)
        )
        with self._changed:
            if self._gone:
                raise self._why_gone_lock_held()
            self._waiting[number] = None
        try:
            self._send(message, passed)
            with self._changed:
                self._changed.wait_for(lambda: self._waiting[number] is not None or self._gone)
                answer = self._waiting.pop(number)
                if answer is None:
                    raise self._why_gone_lock_held()
        except BaseException:
            self._abandon(number)
            raise
        if isinstance(answer, OSError):
            raise start_failed(answer) from answer
        return answer

    def _abandon(self, number: int) -> None:
        """Nobody waits for that worker any more."""
        with self._changed:
            answer = self._waiting.pop(number, None)
            if isinstance(answer, WorkerProcess):
                answer.kill()
                answer.drop_lock_held()

    def _send(self, message: bytes, descriptors: Sequence[int] = ()) -> None:
        with self._sending:
            try:
                sent = self._socket.sendmsg([message], ancillary(descriptors))
                if sent < len(message):
                    self._socket.sendall(memoryview(message)[sent:])
            except OSError as error:
                # If it is gone, the reader says so to those who wait.
                if not self._gone and error.errno not in _GONE:
                    raise
            except BaseException:
                # Interrupted in the middle of a message: the rest would be read as another one.
                self.leave()
                raise

    def _why_gone_lock_held(self) -> BaseException:
        return TemplateDied() if self._failure is None else self._failure()

    def leave(self) -> None:
        """Has the template kill its workers and exit. Returns at once; finalizers call it, on any thread."""
        if self._owner != os.getpid():
            return
        with suppress(OSError):  # it is gone
            self._socket.shutdown(socket.SHUT_WR)  # also fails a send that blocks, and holds the lock
        if not self._ready:
            with self._sending:
                self._end_lifeline_lock_held()

    def close(self) -> None:
        """The same, and waits until it is gone and reaped, its workers too."""
        self.leave()
        if threading.current_thread() is self._reader:
            return
        self._reader.join(_EXITS_WITHIN)
        if self._reader.is_alive():  # stopped, perhaps; as long as this thread has not seen the end, nobody reaps it
            with self._sending:
                if self._watch >= 0:
                    signal.pidfd_send_signal(self._watch, signal.SIGKILL)
                elif not self._gone:
                    os.kill(self.pid, signal.SIGKILL)
            self._reader.join(_EXITS_WITHIN + 2 * _DIES_WITHIN)

    def _end_lifeline_lock_held(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def forget_in_child(self) -> None:
        """In a forked child, where the reader does not exist: gives up the copies of what leads to the template."""
        self._gone = True
        self._changed = threading.Condition()
        self._sending = threading.RLock()
        for worker in self._workers.values():
            worker.forget_in_child()
        self._workers.clear()
        self._close_lock_held()

    # ---- the reading thread ------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            while True:
                message, descriptors = receive(self._socket)
                self._take(message, descriptors)
        except (EOFError, OSError):
            pass
        finally:
            self._end()

    def _take(self, message: tuple[Any, ...], descriptors: list[int] | None) -> None:
        what, *fields = message
        unwanted: int | None = None
        with self._changed:
            if what == "ready":
                self._ready = True
            elif what == "failed":
                self._failure = functools.partial(_preload_failed, *fields)
            elif what == "started":
                number, pid = fields
                if descriptors is None:  # no room for the pidfd in this process
                    answer: WorkerProcess | OSError = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
                    unwanted = number
                else:
                    answer = self._worker(number, pid, descriptors)
                    unwanted = number if isinstance(answer, OSError) or number not in self._waiting else None
                if number in self._waiting:
                    self._waiting[number] = answer
                elif isinstance(answer, WorkerProcess):
                    answer.drop_lock_held()
                    del self._workers[number]
            elif what == "refused":
                number, code = fields
                if number in self._waiting:
                    self._waiting[number] = OSError(code, os.strerror(code))
            elif what == "ended":
                number, status = fields
                worker = self._workers.pop(number, None)
                if worker is not None:
                    worker.end_lock_held(status)
            self._changed.notify_all()
        if unwanted is not None:
            self._send(frame(("kill", unwanted, int(signal.SIGKILL))))

    def _worker(self, number: int, pid: int, descriptors: list[int]) -> WorkerProcess | OSError:
        pidfd = descriptors[0] if descriptors else -1

        def send_signal(which: int) -> None:
            self._send(frame(("kill", number, int(which))))

        try:
            worker = WorkerProcess(pid, pidfd, self._changed, send_signal)
        except OSError as error:
            os.close(pidfd)
            return error
        self._workers[number] = worker
        return worker

    def _end(self) -> None:
        with self._changed:
            self._gone = True  # from now on nobody asks; those who wait are told below
            for worker in self._workers.values():
                worker.kill_with_template_lock_held()
            end = time.monotonic() + _DIES_WITHIN
            for worker in self._workers.values():
                worker.end_with_template_lock_held(end)
            self._workers.clear()
        status = self._reap()
        with self._changed:
            if self._failure is None and not self._ready and status not in (-signal.SIGKILL, -signal.SIGTERM, 0):
                self._failure = functools.partial(_died_starting, status)
            self._changed.notify_all()
        with self._sending:
            self._close_lock_held()

    def _reap(self) -> int | None:
        """Waits for the template's end, a while; then makes it end. Its status, or None where another has reaped it."""
        if self._watch >= 0:
            poll = select.poll()
            poll.register(self._watch, select.POLLIN)
            if not poll.poll(_EXITS_WITHIN * 1000):
                return self._kill_and_reap()
            return self._wait(0)
        end = time.monotonic() + _EXITS_WITHIN
        while time.monotonic() < end:
            if (status := self._wait(os.WNOHANG)) != 0:
                return status
            time.sleep(0.002)  # macOS: nothing to wait for without taking SIGCHLD from the program
        return self._kill_and_reap()

    def _kill_and_reap(self) -> int | None:
        try:
            os.kill(self.pid, signal.SIGKILL)  # not reaped, so the pid is still its own
        except ProcessLookupError:
            return None
        return self._wait(0)

    def _wait(self, flags: int) -> int | None:
        try:
            pid, status = os.waitpid(self.pid, flags)
        except ChildProcessError:
            return None
        return os.waitstatus_to_exitcode(status) if pid else 0

    def _close_lock_held(self) -> None:
        self._socket.close()
        self._end_lifeline_lock_held()
        if self._watch >= 0:
            os.close(self._watch)
            self._watch = -1


def _watch(pid: int) -> int:
    """A pidfd, or -1."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def check_request(numbers: Sequence[int], descriptors: Sequence[int], handed: Sequence[int] = ()) -> None:
    """Raises ValueError unless a worker can be given these descriptors in these places."""
    wanted = sum(number >= 0 for number in numbers[1:])
    if wanted != len(descriptors) or wanted + len(handed) > MOST_DESCRIPTORS:
        raise ValueError(
            f"numbers asks for {wanted} descriptors ({MOST_DESCRIPTORS} at most), and there are {len(descriptors)}"
        )


def start_failed(error: OSError) -> WorkerStartFailed:
    """What a caller is told about an error of the system."""
    return WorkerStartFailed(
        why=f"{type(error).__name__}: {error}", remedy=_REMEDIES.get(error.errno or 0, "see the cause")
    )


def _died_starting(status: int | None) -> WorkerStartFailed:
    if status is None:
        how = "it ended, and another part of the program took its exit status"
    elif status < 0:
        how = f"it was killed by signal {-status}"
    else:
        how = f"it exited with status {status}"
    return WorkerStartFailed(
        why=f"the process that workers are forked from did not get ready: {how}",
        remedy="its last words are on stderr",
    )


def _preload_failed(module: str, failure: bytes) -> InitializerFailed:
    cause = load_failure(failure)
    error = InitializerFailed(
        f"module {module!r}, which workers import before they begin, raised {type(cause).__name__}: {cause}; "
        "fix it, or take it out of `preload`, and make a new pool"
    )
    error.__cause__ = cause
    return error
