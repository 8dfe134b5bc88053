"""Locks of threads that have `Interrupted` raised in them.

From Python 3.14 on an exception from outside may come between the moment at which `with lock:` has the lock and that
from which it gives it back. A plain lock is then held for ever, and whoever asks for it next waits for ever: first of
all the thread itself, on its way out. So these are `RLock`s, which their thread has again; and when nothing more is
raised in it, or it needs the lock no more, it lets go of what it may still hold.
Pinned by tests/actors/test_locks.py.
"""

from __future__ import annotations

from weft.executors._worker_threads import let_go

__all__ = ["let_go"]
