"""The thread pool: `ThreadPoolExecutor`, a drop-in for the stdlib's.

Workers are threads of this interpreter over the native scheduler. On a GIL build they overlap waiting, not Python
code; on a free-threaded build they run Python code in parallel.

Ends: `shutdown`, leaving the `with` block, or dropping the last reference (what is queued still runs). At the end of
the interpreter: `weft.executors._ending`.
Pinned by tests/executors/, and by CPython's own tests for its pool.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import threading
from collections.abc import Callable
from typing import Any

from weft import _core
from weft._capabilities import usable_cpus
from weft.executors._options import checked_initargs, checked_string
from weft.executors._pool import PoolExecutor, checked_max_pending, checked_max_workers
from weft.executors._trace_variable import trace_if_asked
from weft.executors._worker_threads import WorkerThreads


class _QueueView:
    """What libraries that look into the stdlib's pool expect behind `_work_queue`."""

    def __init__(self, pool: _core.Pool) -> None:
        self._pool = pool

    def qsize(self) -> int:
        return self._pool._queued()

    def empty(self) -> bool:
        return self.qsize() == 0


class ThreadPoolExecutor(PoolExecutor, concurrent.futures.ThreadPoolExecutor):
    """A pool of threads.

    Args:
        max_workers: how many threads at most; None for `min(32, CPUs + 4)`, counting the CPUs that this process may
            use (affinity and cgroup quota), not those of the machine. Threads are started when they are needed.
        thread_name_prefix: threads are called `<prefix>_<number>`.
        initializer: called in each thread before its first task. If it returns a context manager, that is entered,
            and left when the thread has done its last task. If it raises, the pool is broken: every task fails with
            `weft.errors.InitializerFailed`, whose cause is what it raised.
        initargs: arguments for it.
        max_pending: how many tasks may wait; `submit` then waits for room (not in a task of this pool, which would wait
            for itself). None: no limit.

    Raises:
        ValueError: `max_workers` or `max_pending` is out of range.
        TypeError: an argument is of the wrong type.

    Example:
        >>> from weft.executors import ThreadPoolExecutor
        >>> with ThreadPoolExecutor(max_workers=2) as pool:
        ...     future = pool.submit(sum, [1, 2, 3])
        ...     future.result()
        6
    """

    _counter = itertools.count().__next__

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_pending: int | None = None,
    ) -> None:
        cpus = usable_cpus()
        workers = min(32, cpus + 4) if max_workers is None else checked_max_workers(max_workers)
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer must be a callable, not {initializer!r}")
        checked_string("thread_name_prefix", thread_name_prefix)
        self._max_workers = workers
        self._thread_name_prefix = thread_name_prefix or f"ThreadPoolExecutor-{ThreadPoolExecutor._counter()}"
        self._workers = WorkerThreads()
        trace_if_asked()
        self._open(
            workers,
            cpus,
            self._thread_name_prefix,
            self._workers,
            None if initializer is None else self._workers.entering(initializer),
            checked_initargs(initargs),
            checked_max_pending(max_pending),
            False,
        )

    # What the stdlib's class keeps in attributes, for libraries that look there.

    @property
    def _threads(self) -> set[threading.Thread]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._workers.alive()

    @property
    def _work_queue(self) -> _QueueView:  # pyright: ignore[reportIncompatibleVariableOverride]
        return _QueueView(self)

    @property
    def _shutdown(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return not self._is_open()

    @property
    def _broken(self) -> BaseException | bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._broken_by() or False
