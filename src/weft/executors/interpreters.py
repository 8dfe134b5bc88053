"""The interpreter pool: `InterpreterPoolExecutor`, a drop-in for the stdlib's.

Workers are interpreters with a GIL of their own, each on a thread of this process: Python code runs in parallel in
them, on a build with a GIL too. They share no objects with the caller. What crosses is pickled, or marshalled where it
is plain, when it is submitted: what cannot cross is refused there. Memoryviews are lent, not copied.

Ends as the thread pool does; an interpreter is closed by its worker's thread. Python cannot end while one is stuck in
a call in C: then the process leaves without, see `_ending`.
Not the stdlib's way, which has each worker wait at a queue of the caller's interpreter, and takes its GIL for each
task. Pinned by tests/executors/, and by CPython's own tests for its pool.
"""

from __future__ import annotations

import concurrent.futures
import functools
import itertools
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from weft._capabilities import flavor_needs, usable_cpus
from weft._payloads import starting
from weft._payloads.functions import FunctionTable
from weft.errors import FlavorUnavailable, InitializerFailed
from weft.executors._isolation import check_importable
from weft.executors._map import Runner
from weft.executors._options import checked_initargs, checked_string
from weft.executors._payloads import CHUNK_RUNNERS, checked_inner_threads, checked_preload, payloads
from weft.executors._pool import PoolExecutor, checked_max_pending, checked_max_workers
from weft.executors._spares import spares
from weft.executors._trace_variable import trace_if_asked
from weft.executors._worker_threads import WorkerThreads

if TYPE_CHECKING:
    _Stdlib = concurrent.futures.ThreadPoolExecutor
else:  # the stdlib's interpreter pool is a thread pool, too; before 3.14 there is none
    _Stdlib = getattr(concurrent.futures, "InterpreterPoolExecutor", concurrent.futures.ThreadPoolExecutor)


@functools.cache
def _payloads() -> Any:
    from concurrent.futures.interpreter import BrokenInterpreterPool  # pyright: ignore[reportMissingTypeStubs]

    class InitializerFailedInInterpreter(InitializerFailed, BrokenInterpreterPool):
        """`InitializerFailed`, also for programs that catch what the stdlib's pool raises."""

    return payloads(InitializerFailedInInterpreter)


class InterpreterPoolExecutor(PoolExecutor, _Stdlib):
    """A pool of interpreters.

    Functions of modules, and of a script that runs its own work under ``if __name__ == "__main__":``, are imported in
    the workers; lambdas and closures are sent by value with the extra `closures`. Arguments and results are copies,
    but for memoryviews, which show the caller's own memory.

    Args:
        max_workers: how many interpreters at most; None for `min(32, CPUs + 4)`, counting the CPUs that this process
            may use (affinity and cgroup quota), not those of the machine. They are made when they are needed.
        thread_name_prefix: their threads are called `<prefix>_<number>`.
        initializer: called in each interpreter before its first task. If it returns a context manager, that is
            entered, and left when the interpreter has done its last task. If it raises, the pool is broken: every task
            fails with `weft.errors.InitializerFailed`, whose cause is what it raised.
        initargs: arguments for it.
        preload: names of modules that each interpreter imports before its first task.
        max_pending: how many tasks may wait; `submit` then waits for room. None: no limit.
        inner_threads: how many threads OpenMP may use for each interpreter, where threadpoolctl is installed. None: as
            many as it likes.

    Raises:
        weft.errors.FlavorUnavailable: this Python has no interpreters with a GIL of their own: before 3.14; or they
            cannot import a module of `preload`, whose extension refuses that.
        weft.errors.PayloadError: the initializer or an argument of it cannot be pickled.
        ValueError: `max_workers` or `max_pending` is out of range.
        TypeError: an argument is of the wrong type.

    Example:
        >>> from weft.executors import InterpreterPoolExecutor
        >>> with InterpreterPoolExecutor(max_workers=2) as pool:  # doctest: +SKIP
        ...     pool.submit(sum, [1, 2, 3]).result()
        6
    """

    _alone = True
    _counter = itertools.count().__next__

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        preload: Iterable[str] = (),
        max_pending: int | None = None,
        inner_threads: int | None = None,
    ) -> None:
        if (needs := flavor_needs("interpreters")) is not None:
            raise FlavorUnavailable(flavor="interpreters", needs=needs)
        cpus = usable_cpus()
        workers = min(32, cpus + 4) if max_workers is None else checked_max_workers(max_workers)
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer must be a callable, not {initializer!r}")
        checked_string("thread_name_prefix", thread_name_prefix)
        threads = checked_inner_threads(inner_threads)
        names = checked_preload(preload)
        check_importable(names, isolated=True)
        setup, _ = starting.pack_setup(initializer, checked_initargs(initargs), names, threads, own_process=False)
        self._max_workers = workers
        self._thread_name_prefix = thread_name_prefix or f"InterpreterPoolExecutor-{self._counter()}"
        self._workers = WorkerThreads(hold_interpreters=True)
        trace_if_asked()
        pending = checked_max_pending(max_pending)
        self._open(workers, cpus, self._thread_name_prefix, self._workers, None, (), pending, False)
        self._share_nothing(_payloads(), FunctionTable(), setup, False, spares.take, 0, 0, False)
        spares.expect()

    @property
    def _threads(self) -> set[threading.Thread]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What libraries that look into the stdlib's pool expect."""
        return self._workers.alive()

    @property
    def _broken(self) -> BaseException | bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._broken_by() or False

    def _chunk_runners(self) -> tuple[Runner, Runner]:
        return CHUNK_RUNNERS
