"""The default pools of interpreters and of processes, which `to_interpreter` and `to_process` run on.

Each is made when it is first used, with the defaults of its class; a forked child makes its own. `weft.shutdown` and
`weft.reset` end them; the next use makes another. At the end of the interpreter they end like any pool.

Any thread.
Pinned by tests/aio/test_calls.py.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft.executors._pool import PoolExecutor

_lock = threading.Lock()
_pools: dict[str, PoolExecutor] = {}


def default_workers(flavor: str) -> PoolExecutor:
    """The default pool of a flavor: "interpreters" or "processes".

    Raises:
        weft.errors.FlavorUnavailable: This Python has none.
    """
    with _lock:
        pool = _pools.get(flavor)
        if pool is None or not pool._is_open():
            pool = _pools[flavor] = _make(flavor)
        return pool


def _make(flavor: str) -> PoolExecutor:
    from weft import executors

    if flavor == "interpreters":
        return executors.InterpreterPoolExecutor(thread_name_prefix="weft-interpreter")
    return executors.ProcessPoolExecutor()


def shutdown(wait: bool = True, *, cancel_futures: bool = False) -> None:
    """Ends those that there are."""
    with _lock:
        pools = list(_pools.values())
        _pools.clear()
    for pool in pools:
        pool.shutdown(wait=wait, cancel_futures=cancel_futures)


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
