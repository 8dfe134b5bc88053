"""The serial executor: tasks run in `submit`, on the caller's thread. For debugging, where `breakpoint()` must work.

Everything but the place is as in the pools: options, timeouts, retries (the caller waits for them), context, the same
Future. Ctrl-C in a task reaches the caller as well as the future.
"""

from __future__ import annotations

import concurrent.futures

from weft.executors._pool import PoolExecutor
from weft.executors._trace_variable import trace_if_asked
from weft.executors._worker_threads import WorkerThreads


class SerialExecutor(PoolExecutor, concurrent.futures.Executor):
    """Runs each task at once, in the caller; `submit` returns when it is done.

    Example:
        >>> from weft.executors import SerialExecutor
        >>> with SerialExecutor() as executor:
        ...     executor.submit(divmod, 7, 2).result()
        (3, 1)
    """

    runs_in_caller = True

    def __init__(self) -> None:
        self._max_workers = 1
        self._workers = WorkerThreads()
        trace_if_asked()
        self._open(1, 1, "SerialExecutor", self._workers, None, (), 0, True)
