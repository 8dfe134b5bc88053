"""`AdaptiveExecutor`: a thread pool that has other workers run what threads of this Python would take turns at.

See `_router` for what it does; here is what it is: a `weft.executors.ThreadPoolExecutor` in all its ways.
Pinned by tests/executors/test_adaptive.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from weft.executors._pool import PoolExecutor
from weft.executors._router import Move, Router
from weft.executors.threads import ThreadPoolExecutor

__all__ = ["AdaptiveExecutor"]


class AdaptiveExecutor(ThreadPoolExecutor):
    """A pool of threads that measures, and moves Python code that waits for the GIL to interpreters or processes.

    Args:
        max_workers: As for `ThreadPoolExecutor`; also of the pools that tasks are moved to, as far as there are CPUs.
        thread_name_prefix: Likewise.
        flavors: Where tasks may be moved to, best first: "interpreters", "processes".
        tell: Called with a `Move` when something is found out, on any thread.
        inner_threads: Of the pools that tasks are moved to: how many threads libraries may use in each worker.
        told: The tasks are said to compute: all are moved, and nothing is measured.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        *,
        flavors: Sequence[str],
        tell: Callable[[Move], object],
        inner_threads: int | None = None,
        told: bool = False,
    ) -> None:
        super().__init__(max_workers, thread_name_prefix)
        most, prefix = self._max_workers, self._thread_name_prefix or ""
        self._router = Router(flavors, lambda flavor: _make_pool(flavor, most, prefix, inner_threads), tell, told=told)
        self._router.start(self)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait, cancel_futures=cancel_futures)
        self._router.end(self, wait=wait)


def _make_pool(flavor: str, most: int, prefix: str, inner_threads: int | None) -> PoolExecutor:
    from weft._capabilities import usable_cpus

    workers = min(most, usable_cpus())
    if flavor == "interpreters":
        from weft.executors.interpreters import InterpreterPoolExecutor

        return InterpreterPoolExecutor(workers, f"{prefix}-interpreter", inner_threads=inner_threads)
    from weft.executors.processes import ProcessPoolExecutor

    return ProcessPoolExecutor(workers, inner_threads=inner_threads)
