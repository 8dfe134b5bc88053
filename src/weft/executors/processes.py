"""The process pool: `ProcessPoolExecutor`, a drop-in for the stdlib's.

Workers are child processes, forked from a clean template process (`_template`), each spoken to by one thread of this
process over a pair of rings in shared memory, or over a socket where there is none. Large buffers lie in shared memory
that both sides map. A process that dies fails the task that it was running; another one takes its place.

Ends as the thread pool does. A process that is left is asked to end, terminated after a second, killed after another;
it ends by itself when this process does, whatever ends that.
Not built on `multiprocessing.Pool`, whose result thread cannot tell which task a dead child was running.
Pinned by tests/executors/, and by CPython's own tests for its pool.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterable
from typing import Any

from weft import errors
from weft._capabilities import flavor_needs, usable_cpus
from weft._payloads import main_module, starting
from weft._payloads.functions import FunctionTable
from weft._payloads.initializing import Handover, Inherited
from weft.executors._isolation import check_importable
from weft.executors._map import Runner
from weft.executors._options import checked_initargs
from weft.executors._payloads import (
    CHUNK_RUNNERS,
    InitializerFailedInProcess,
    checked_inner_threads,
    checked_preload,
    payloads,
)
from weft.executors._pool import PoolExecutor, checked_max_pending, checked_max_workers
from weft.executors._template.template import Template, acquire, release
from weft.executors._template.worker_process import WorkerProcess
from weft.executors._trace_variable import trace_if_asked
from weft.executors._worker_threads import WorkerThreads

_LEAVES_WITHIN = 2.0  # seconds from a worker's last word to its end
_LOOKS_AGAIN = 0.05  # seconds after which processes that are to be killed are looked for again
_LEAST_MEMORY = 32 * 2**20  # an interpreter that has imported nothing takes half of that


_PAYLOADS = payloads(InitializerFailedInProcess)


class _Process:
    """One worker process, as the core knows it; and whether it is still to be ended."""

    def __init__(self, starter: _Starter, worker: WorkerProcess) -> None:
        self._starter = starter
        self._worker = worker
        self.pid = worker.pid
        self.pidfd = worker.pidfd  # the core's

    def send_signal(self, number: int) -> None:
        self._worker.kill(number)

    def status(self, timeout: float) -> int | None:
        return self._worker.status(timeout)

    def close(self) -> None:
        """It has ended, is about to, or is to be forgotten."""
        self._starter.forget(self)

    # As multiprocessing.Process has it, for programs that look into a pool's `_processes`.

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def join(self, timeout: float | None = None) -> None:
        self._worker.status(timeout)

    def is_alive(self) -> bool:
        return self.exitcode is None

    @property
    def exitcode(self) -> int | None:
        return self._worker.status(0)


class _Starter:
    """Makes the processes of one pool. Knows nothing of the executor, so that it can be dropped while they run."""

    def __init__(self, template: Template, inherited: Inherited | None) -> None:
        self.template = template
        self.inherited = inherited
        self.running: dict[int, _Process] = {}
        self._leaving: set[_Process] = set()

    def __call__(self, kind: int, descriptors: tuple[int, ...], greeting: bytes) -> _Process:
        passed = [number for number in descriptors if number >= 0]
        with Handover() as handover:
            told = handover.add_to(greeting, self.inherited)
            worker = self.template.start_worker((kind, *descriptors), passed, told, handover.descriptors)
        process = _Process(self, worker)
        self.running[process.pid] = process
        return process

    def forget(self, process: _Process) -> None:
        """It takes no more tasks. It may be about what a process does at its end: what is in queues is sent then."""
        self.running.pop(process.pid, None)
        self._leaving.difference_update([one for one in self._leaving.copy() if not one.is_alive()])
        if process.is_alive():
            self._leaving.add(process)

    def wait_until_gone(self) -> None:
        """Waits for such processes, a while: one that waits for somebody to read its queue is left to do so."""
        until = time.monotonic() + _LEAVES_WITHIN
        while leaving := self._leaving.copy():  # other threads may wait for the same ones
            for process in leaving:
                process.join(max(0.0, until - time.monotonic()))
            self._leaving.difference_update(leaving)


class ProcessPoolExecutor(PoolExecutor, concurrent.futures.ProcessPoolExecutor):
    """A pool of processes.

    Functions of modules, and of a script that runs its own work under ``if __name__ == "__main__":``, are imported in
    the workers; lambdas and closures are sent by value with the extra `closures`. Arguments and results are copies;
    large buffers (numpy arrays among them) are copied once, into shared memory.

    Args:
        max_workers: how many processes at most; None for one for each CPU that this process may use (affinity and
            cgroup quota). They are made when they are needed.
        mp_context: accepted for the sake of programs made for the stdlib's pool; processes always come from a clean
            template process, whatever it says.
        initializer: called in each process before its first task. If it returns a context manager, that is entered,
            and left when the process has done its last task. If it raises, the pool is broken: every task fails with
            `weft.errors.InitializerFailed`, whose cause is what it raised.
        initargs: arguments for it; also locks, queues, pipes, shared values and arrays of `multiprocessing`, made by a
            context that does not fork.
        max_tasks_per_child: after so many tasks another process takes the place of one. None: no limit.
        max_memory_per_child: a process that has more bytes of memory than this after a task is replaced. None: no
            limit.
        preload: names of modules that are imported before the first task, once for all processes.
        max_pending: how many tasks may wait; `submit` then waits for room. None: no limit.
        inner_threads: how many threads BLAS, OpenMP and numba may use in each process. None: as many as they like,
            mostly one for each CPU.

    Raises:
        weft.errors.PayloadError: the initializer or an argument of it cannot be pickled.
        ValueError: a number is out of range.
        TypeError: an argument is of the wrong type.
        RuntimeError: the program's `__main__` has no guard, and made this pool while a worker was running it.

    Example:
        >>> from weft.executors import ProcessPoolExecutor
        >>> with ProcessPoolExecutor(max_workers=2) as pool:
        ...     pool.submit(sum, [1, 2, 3]).result()
        6
    """

    _alone = True
    _counter = itertools.count().__next__

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: Any = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        max_memory_per_child: int | None = None,
        preload: Iterable[str] = (),
        max_pending: int | None = None,
        inner_threads: int | None = None,
    ) -> None:
        if (needs := flavor_needs("processes")) is not None:
            raise errors.FlavorUnavailable(flavor="processes", needs=needs)
        refuse_unguarded_main()
        cpus = usable_cpus()
        workers = cpus if max_workers is None else checked_max_workers(max_workers)
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer must be a callable, not {initializer!r}")
        if mp_context is not None and not hasattr(mp_context, "get_start_method"):
            raise TypeError(f"mp_context must be a context of multiprocessing or None, not {mp_context!r}")
        calls = _checked_limit("max_tasks_per_child", max_tasks_per_child, 1)
        memory = _checked_limit("max_memory_per_child", max_memory_per_child, _LEAST_MEMORY)
        names = checked_preload(preload)
        check_importable(names, isolated=False)
        threads = checked_inner_threads(inner_threads)
        setup, inherited = starting.pack_setup(initializer, checked_initargs(initargs), names, threads)
        self._max_workers = workers
        self._mp_context = multiprocessing.get_context("spawn") if mp_context is None else mp_context
        self._starter = _Starter(acquire(names, inner_threads=threads), inherited)
        self._workers = WorkerThreads()
        trace_if_asked()
        name = f"ProcessPoolExecutor-{self._counter()}"
        self._open(workers, cpus, name, self._workers, None, (), checked_max_pending(max_pending), False)
        self._share_nothing(_PAYLOADS, FunctionTable(), setup, True, self._starter, calls, memory, False)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `PoolExecutor.shutdown`."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        if wait:
            self._starter.wait_until_gone()
            release(self._starter.template)
            self._starter.inherited = None

    def terminate_workers(self) -> None:
        """Ends the processes with SIGTERM, whatever they do, and the pool with them."""
        self._force_shutdown(operation="terminate")

    def kill_workers(self) -> None:
        """Ends the processes with SIGKILL, whatever they do, and the pool with them."""
        self._force_shutdown(operation="kill")

    def _force_shutdown(self, operation: str) -> None:  # the stdlib's name for it
        if operation not in ("terminate", "kill"):
            raise ValueError(f"operation must be 'terminate' or 'kill', not {operation!r}")
        self.shutdown(wait=False, cancel_futures=True)
        told: set[_Process] = set()
        while True:
            # Once each: what a process does at SIGTERM is not to be broken off by another one.
            for process in list(self._starter.running.values()):
                if process not in told:
                    told.add(process)
                    getattr(process, operation)()
            if self._wait_left(_LOOKS_AGAIN):  # until then one that was being started may have come
                break
        self.shutdown(wait=True)

    @property
    def _broken(self) -> BaseException | bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._broken_by() or False

    @property
    def _processes(self) -> dict[int, Any]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What libraries that look into the stdlib's pool expect."""
        return dict(self._starter.running)

    def _chunk_runners(self) -> tuple[Runner, Runner]:
        return CHUNK_RUNNERS


def refuse_unguarded_main() -> None:
    """Raises RuntimeError in a worker that runs the caller's script in order to find a function of it."""
    if main_module.preparing_main():
        raise RuntimeError(
            "this script makes a pool while a worker of another pool imports it: put what it does when it is started "
            "under `if __name__ == '__main__':`"
        )


def _checked_limit(name: str, value: object, least: int) -> int:
    """A limit as the core takes it: 0 for None."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number or None, not {value!r}")
    if value < least:
        raise errors.InvalidSetting(setting=name, value=value, remedy=f"{name} must be at least {least}")
    return value
