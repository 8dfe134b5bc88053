"""Locks of threads that have an exception from outside raised in them: Ctrl-C's, or that of a task's interrupt.

It may come between the moment at which ``with lock:`` has the lock and that from which it gives it back; from Python
3.14 on in any such block, before in those of a `threading.Condition`, whose ``__enter__`` is written in Python. A plain
lock is then held for ever, and whoever asks for it next waits for ever: first of all the thread itself, on its way out.
So these are `RLock`s, which their thread has again; and when nothing more is raised in it, or it needs the lock no
more, it lets go of what it may still hold. A `Guard` sees to that itself, where what is done with the lock held is a
call.
Pinned by tests/test_guard.py, tests/actors/test_locks.py and tests/test_task_group.py.
"""

from collections.abc import Callable
from threading import RLock
from typing import Any

from weft._live import Live


def let_go(lock: Any) -> None:
    """Gives back an `RLock` as often as the calling thread has it."""
    try:
        while True:
            lock.release()
    except RuntimeError:  # it is not this thread's any more
        pass


class Guard:
    """A lock that is held for a call, and free after it, whatever was raised in it or on its way.

    Any thread, and in such a call again. In a forked child it is free: nobody there gives back what other threads held.
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock: Any = RLock()
        _live.add(self)

    def __call__[*Ts, T](self, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        """Calls a function with the lock held."""
        lock = self._lock
        before = lock._recursion_count()
        try:
            with lock:
                return fn(*args)
        except BaseException:
            while lock._recursion_count() > before:
                lock.release()
            raise

    def __reduce__(self) -> Any:
        return Guard, ()  # elsewhere it is another one

    def after_fork_in_child(self) -> None:
        """Another thread may have had it."""
        self._lock = RLock()


_live = Live[Guard]()
