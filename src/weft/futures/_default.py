"""The default thread pool, and `async_`, which gives it one task.

Made on first use, with the defaults of `ThreadPoolExecutor`; a forked child makes its own. `weft.reset()` shuts it
down; the next use makes another. At the end of the interpreter it ends like any pool.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weft._core import Future
    from weft.executors.threads import ThreadPoolExecutor

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


def default_executor() -> ThreadPoolExecutor:
    """The pool that weft uses where none is named."""
    global _pool
    pool = _pool
    if pool is not None:
        return pool
    from weft.executors.threads import ThreadPoolExecutor

    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(thread_name_prefix="weft")
        return _pool


def shutdown_default_executor(wait: bool = True) -> None:
    """Shut the default pool down, if there is one; the next use makes another."""
    global _pool
    with _lock:
        pool, _pool = _pool, None
    if pool is not None:
        pool.shutdown(wait=wait)


def async_[**P, T](fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Run `fn(*args, **kwargs)` on the default thread pool, never on the caller.

    Args:
        fn: the function.
        *args: its arguments.
        **kwargs: its keyword arguments.

    Returns:
        The task's future.

    Raises:
        TypeError: fn is not callable.
        RuntimeError: the interpreter is shutting down.

    Example:
        >>> import weft
        >>> weft.async_(pow, 2, 10).result()
        1024
    """
    return default_executor().submit(fn, *args, **kwargs)


def _forget(*_: Any) -> None:
    global _pool, _lock
    _lock = threading.Lock()
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
