"""Locks of threads that have an exception from outside raised in them: Ctrl-C's, or that of a task's interrupt.

It may come between the moment at which ``with lock:`` has the lock and that from which it gives it back; from Python
3.14 on in any such block, before in those of a `threading.Condition`, whose ``__enter__`` is written in Python. A plain
lock is then held for ever, and whoever asks for it next waits for ever: first of all the thread itself, on its way out.
So these are `RLock`s, which their thread has again; and when nothing more is raised in it, or it needs the lock no
more, it lets go of what it may still hold.
Pinned by tests/actors/test_locks.py and tests/test_task_group.py.
"""

from typing import Any


def let_go(lock: Any) -> None:
    """Gives back an `RLock` as often as the calling thread has it."""
    try:
        while True:
            lock.release()
    except RuntimeError:  # it is not this thread's any more
        pass
