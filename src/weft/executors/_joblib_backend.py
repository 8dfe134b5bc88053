"""joblib's side of weft: a parallel backend over `ThreadPoolExecutor`.

joblib makes one for each use of `parallel_backend`, and calls it from the thread that runs `Parallel`: `configure`,
then `submit` for the first tasks; the rest are submitted by the callbacks of those that are done, on the workers.
`terminate` ends the pool; `abort_everything` does so because a task has failed, so what runs is interrupted.

Not one pool for all of a program's `Parallel` calls: joblib waits for its tasks by looking again and again, where a
worker could not help, so nested calls would wait for workers that wait for them.
Pinned by tests/executors/test_joblib.py.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import joblib._parallel_backends as backends  # pyright: ignore[reportMissingTypeStubs]

from weft._capabilities import usable_cpus
from weft.executors.threads import ThreadPoolExecutor

_backends: Any = backends  # joblib has no types


class WeftBackend(_backends.ParallelBackendBase):
    """The backend that joblib knows as "weft". Internal: made by joblib."""

    supports_retrieve_callback = True
    supports_sharedmem = True
    uses_threads = True

    parallel: Any = None
    nesting_level: int | None
    _pool: ThreadPoolExecutor | None = None
    _n_jobs = 1

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many workers `n_jobs` stands for; -1 for all CPUs that this process may use."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning; -1 takes all CPUs")
        if n_jobs is None:
            return 1
        return n_jobs if n_jobs > 0 else max(usable_cpus() + 1 + n_jobs, 1)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **backend_kwargs: Any) -> int:
        """Makes ready for a `Parallel`; the pool is made with its first task."""
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise _backends.FallbackToBackend(_backends.SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        self._n_jobs = n_jobs
        return n_jobs

    def submit(self, func: Callable[[], Any], callback: Callable[[Future[Any]], None] | None = None) -> Future[Any]:
        """Starts a batch of tasks."""
        pool = self._pool
        if pool is None:
            pool = self._pool = ThreadPoolExecutor(self._n_jobs, thread_name_prefix="weft-joblib")
        try:
            future = pool.submit(func)
        except RuntimeError:
            if pool._is_open():
                raise
            # It is being aborted or terminated, while a batch that has just ended sends the next one after it.
            never = Future[Any]()
            never.cancel()
            return never
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """The result of a batch that is done, or what it raised."""
        return out.result()

    def terminate(self) -> None:
        """Ends the pool."""
        pool = self._pool
        if pool is not None:
            pool.shutdown(wait=True)
            self._pool = None

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Stops what is queued and what runs: a task has failed, or nobody wants the rest."""
        pool = self._pool
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
            for future, _, _ in pool._running():
                future.interrupt()
            pool.shutdown(wait=True)
            self._pool = None  # not before: what the last batches send after it must not begin anew
        with self.parallel._lock:  # joblib 1.5 has the next call of a managed block run what this one had made ready
            while not self.parallel._ready_batches.empty():
                self.parallel._ready_batches.get()
        if ensure_ready:
            self.configure(n_jobs=self.parallel.n_jobs, parallel=self.parallel)

    def get_nested_backend(self) -> tuple[Any, None]:
        """What a `Parallel` within a task uses: a pool of its own, and none further down."""
        level = (self.nesting_level or 0) + 1
        if level > 1:
            return _backends.SequentialBackend(nesting_level=level), None
        return WeftBackend(nesting_level=level), None
