"""Executors on engines whose unit is a job over many elements: calls that wait go into one together.

A job costs such an engine milliseconds, whatever is in it, and an element next to nothing. So the first call is a job
by itself, and what comes while as many jobs run as the engine has workers is the next one. The results of a job come
when all of it is done.

A job fails as a whole when a worker dies: then its calls are run again, each in a job of its own, and the one on which
that happens again fails with `WorkerCrashed`. So a call may begin more than once.

Each job has a thread, which ends with it; where none can be had, the thread of the job before does it.
Pinned by tests/executors/test_cluster.py, and by tests/engines/test_spark.py and test_daft.py.
"""

from __future__ import annotations

import itertools
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import uuid4

from weft.errors import WorkerCrashed
from weft.executors._cluster import ClusterExecutor, ClusterFuture
from weft.executors._worker_threads import start_thread

__all__ = ["Call", "Job", "JobExecutor"]

_AT_ONCE = 1000  # calls in a job
_BYTES_AT_ONCE = 64 * 1024 * 1024


class Call(NamedTuple):
    """A call that waits: what it is settled by, `far.call`'s payload, and what goes before its arguments."""

    future: ClusterFuture
    payload: bytes
    blobs: tuple[Any, ...]


class Job:
    """Calls that run together.

    Attributes:
        calls: The calls.
        name: What tells it from others, in any process.
        wanted: How many of them somebody waits for; under the executor's lock.
        begun: Whether its thread runs; likewise.
    """

    def __init__(self, calls: list[Call]) -> None:
        self.calls = calls
        self.name = f"weft-{uuid4().hex}"
        self.wanted = len(calls)
        self.begun = False


class _Queue:
    """What waits, and what runs; one for all views of an executor."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting: deque[Call] = deque()
        self.jobs: set[Job] = set()
        self.numbers = itertools.count()


class JobExecutor(ClusterExecutor):
    """The shared part of executors on engines that run jobs. Internal: use `SparkExecutor` and `DaftExecutor`."""

    _engine = ""

    def __init__(self) -> None:
        super().__init__()
        self._queue = _Queue()

    # ---- what an engine has to say ------------------------------------------------------------------------

    @abstractmethod
    def _outcomes(self, job: Job) -> list[bytes]:
        """Runs a job, and gives what `far.call` gave for each of its calls, in order."""

    def _cancel_job(self, job: Job) -> None:
        """Nobody waits for any call of a job."""

    def _make_thread(self, target: Callable[[], None], name: str) -> threading.Thread:
        return threading.Thread(target=target, name=name, daemon=True)

    # ---- for the base -------------------------------------------------------------------------------------------

    def _launch(self, future: ClusterFuture, payload: bytes, blobs: tuple[Any, ...]) -> None:
        call = Call(future, payload, blobs)
        with self._queue.lock:
            self._queue.waiting.append(call)
        try:
            self._start_job()
        except BaseException:  # its caller hears that it does not run
            with self._queue.lock, suppress(ValueError):
                self._queue.waiting.remove(call)
            self._start_others()
            raise

    def _cancel(self, future: ClusterFuture) -> None:
        with self._queue.lock:
            job, future.handle = future.handle, None
            if job is None:  # it waits, and is left out when its turn comes
                return
            job.wanted -= 1
            if job.wanted or job not in self._queue.jobs:
                return
        self._cancel_job(job)

    # ---- jobs -----------------------------------------------------------------------------------------------------

    def _start_job(self) -> None:
        """Has what waits run, if there is room for another job."""
        job = self._next_job()
        if job is None:
            return
        name = f"weft-{self._engine.lower()}-{next(self._queue.numbers)}"
        try:
            start_thread(self._make_thread(lambda: self._run(job), name))
        except BaseException:
            with self._queue.lock:
                # Interrupted, it may have begun, or be about to: whoever is first here decides.
                if not job.begun:
                    self._queue.jobs.discard(job)
                    for call in job.calls:
                        call.future.handle = None
                    self._queue.waiting.extendleft(reversed(job.calls))
            raise

    def _next_job(self) -> Job | None:
        """What waits, if there is room for another job."""
        with self._queue.lock:
            calls: list[Call] = []
            size = 0
            if len(self._queue.jobs) < self.max_workers:
                while self._queue.waiting and len(calls) < _AT_ONCE and size < _BYTES_AT_ONCE:
                    call = self._queue.waiting.popleft()
                    if not call.future.done():
                        calls.append(call)
                        size += len(call.payload)
            return self._enter_lock_held(calls) if calls else None

    def _enter_lock_held(self, calls: list[Call]) -> Job:
        job = Job(calls)
        for call in calls:
            call.future.handle = job
        self._queue.jobs.add(job)
        return job

    def _run(self, job: Job | None) -> None:
        while job is not None:
            with self._queue.lock:
                if job not in self._queue.jobs:  # its start has failed, as it seemed
                    return
                job.begun = True
            try:
                self._do(job)
            finally:
                with self._queue.lock:
                    self._queue.jobs.discard(job)
                job = self._start_next()

    def _start_others(self) -> None:
        """A job did not start: those whose calls were in it, or came meanwhile, are not here to try again."""
        try:
            self._start_job()
        except RuntimeError as error:
            with self._queue.lock:
                lost = [] if self._queue.jobs else [*self._queue.waiting]
                if lost:
                    self._queue.waiting.clear()
            for call in lost:
                call.future.settle(error)

    def _start_next(self) -> Job | None:
        """Has what waits run, once a job has ended. What is returned is to be run here: there is no thread for it."""
        try:
            self._start_job()
        except RuntimeError:
            return self._next_job()
        return None

    def _do(self, job: Job) -> None:
        try:
            outcomes = self._outcomes(job)
        except Exception as error:
            left = [call for call in job.calls if not call.future.done()]
            if len(job.calls) == 1:
                for call in left:
                    call.future.settle(self._told(call.future, error))
                return
            for call in left:  # it was one of them, it may be, and the others have nothing to do with it
                with self._queue.lock:
                    alone = self._enter_lock_held([call])
                try:
                    self._do(alone)
                finally:
                    with self._queue.lock:
                        self._queue.jobs.discard(alone)
        else:
            for call, outcome in zip(job.calls, outcomes, strict=True):
                call.future.settle(outcome)

    def _told(self, future: ClusterFuture, error: Exception) -> BaseException:
        """An error of the engine's own: the call itself never raises."""
        lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
        why = next((line for line in lines if "Exception:" in line and "Py4J" not in line), (lines or [""])[0])
        made = WorkerCrashed(
            f"task {future.name!r} was not run to its end by {self._engine}: {type(error).__name__}: {why[:300]}; see "
            "the logs of its workers: one may have run out of memory, and they need weft in the caller's version",
            task=future.name,
        )
        made.__cause__ = error
        return made
