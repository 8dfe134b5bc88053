"""The default thread pool: `init`, `shutdown`, `is_running`; and `async_`, which gives it one task.

Made on first use, with the defaults of `ThreadPoolExecutor`, or by `init` with settings of the program's; a forked
child makes its own, with the same settings. `shutdown` and `weft.reset()` end it; the next use makes another. At the
end of the interpreter it ends like any pool.

Any thread may call anything; the lock guards the pool and its settings.
Pinned by tests/futures/test_default.py.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from weft import _core
from weft.errors import InvalidSetting

if TYPE_CHECKING:
    from weft.executors.threads import ThreadPoolExecutor

MODE = "WEFT_ASYNC_MODE"
_MODES = ("async", "deferred")


@dataclass(frozen=True)
class _Settings:
    """What `init` was told; None: nothing was said."""

    threads: int | None = None
    initializer: Callable[..., object] | None = None
    initargs: tuple[Any, ...] = ()
    max_pending: int | None = None

    def __str__(self) -> str:
        default = _Settings()
        said = [f"{name}={value!r}" for name, value in vars(self).items() if value != getattr(default, name)]
        return f"init({', '.join(said)})"


_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_settings = _Settings()
_deferred = False


def default_executor() -> ThreadPoolExecutor:
    """The pool that weft uses where none is named."""
    pool = _pool
    return pool if pool is not None else _make(None)


def _make(settings: _Settings | None) -> ThreadPoolExecutor:
    """The pool; with these settings, if any are given."""
    global _pool, _settings, _deferred
    from weft.executors.threads import ThreadPoolExecutor

    with _lock:
        if _pool is not None:
            if settings is not None and settings != _settings:
                raise RuntimeError(
                    f"the default pool runs already, made with {_settings}; {settings} asks for another: "
                    "call weft.shutdown() first, or make a ThreadPoolExecutor of your own"
                )
            return _pool
        deferred = _read_mode()
        wanted = _settings if settings is None else settings
        pool = ThreadPoolExecutor(
            wanted.threads, "weft", wanted.initializer, wanted.initargs, max_pending=wanted.max_pending
        )
        _pool, _settings, _deferred = pool, wanted, deferred
        return pool


def _read_mode() -> bool:
    mode = os.environ.get(MODE, "async")
    if mode not in _MODES:
        raise InvalidSetting(setting=MODE, value=mode, allowed=_MODES)
    return mode == "deferred"


def init(
    threads: int | None = None,
    *,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    max_pending: int | None = None,
) -> None:
    """Starts the default pool with settings of your own. Without it the first use does, with the defaults.

    Again with the same settings it does nothing; after `shutdown` it may be called with others.

    Args:
        threads: How many workers at most; None: as many as `ThreadPoolExecutor` takes.
        initializer: Called in each worker before its first task.
        initargs: With these arguments.
        max_pending: How many tasks may wait before a submit does; None: any number.

    Raises:
        RuntimeError: The pool runs already, with other settings; both are shown.
        ValueError: `threads` or `max_pending` is less than 1.
        TypeError: An argument is of the wrong type.

    Example:
        >>> import weft
        >>> weft.shutdown()
        >>> weft.init(threads=2)
        >>> weft.is_running()
        True
        >>> weft.shutdown()
    """
    from weft.executors._options import checked_initargs

    if threads is not None:
        from weft.executors._pool import checked_max_workers

        checked_max_workers(threads, "threads")
    _make(_Settings(threads, initializer, checked_initargs(initargs), max_pending))


def shutdown(wait: bool = True, *, cancel_futures: bool = False) -> None:
    """Ends the default pools, as far as there are any, and forgets the settings. The next use makes others.

    Those are the thread pool, and the pools of `to_interpreter` and `to_process`.

    Args:
        wait: Return when their tasks are done and their workers gone.
        cancel_futures: Cancel the tasks that have not begun.

    Raises:
        RuntimeError: Called with `wait` from a task of the pool, which would wait for itself.

    Example:
        >>> import weft
        >>> weft.shutdown()
        >>> weft.is_running()
        False
    """
    global _pool, _settings
    with _lock:
        pool = _pool
        if pool is not None and wait:
            pool._wait_left(0)  # raises in a task of its own: then nothing has happened
        _pool, _settings = None, _Settings()
    workers = sys.modules.get("weft.futures._default_workers")
    if workers is not None:
        workers.shutdown(wait, cancel_futures=cancel_futures)
    if pool is not None:
        pool.shutdown(wait=wait, cancel_futures=cancel_futures)


def is_running() -> bool:
    """Whether the default pool has been made and takes tasks.

    Returns:
        False before the first use and after `shutdown`.

    Example:
        >>> import weft
        >>> weft.async_(pow, 2, 3).result()
        8
        >>> weft.is_running()
        True
    """
    pool = _pool
    return pool is not None and pool._is_open()


def async_[**P, T](fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> _core.Future[T]:
    """Run `fn(*args, **kwargs)` on the default thread pool, never on the caller.

    With ``WEFT_ASYNC_MODE=deferred`` in the environment when the pool is made it waits until somebody wants it: the
    first `result` or `exception` runs it there, on that thread, which makes a program easier to debug; whatever else
    asks for its end (`then`, `await`, a callback, `concurrent.futures.wait`) starts it on the pool.

    Args:
        fn: the function.
        *args: its arguments.
        **kwargs: its keyword arguments.

    Returns:
        The task's future.

    Raises:
        TypeError: fn is not callable.
        RuntimeError: the interpreter is shutting down.
        weft.errors.InvalidSetting: WEFT_ASYNC_MODE is neither "async" nor "deferred".

    Example:
        >>> import weft
        >>> weft.async_(pow, 2, 10).result()
        1024
    """
    pool = default_executor()
    if _deferred:
        return _core.deferred(pool, fn, *args, **kwargs)
    return pool.submit(fn, *args, **kwargs)


def _after_fork_in_child() -> None:
    global _pool, _lock
    _lock = threading.Lock()
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
