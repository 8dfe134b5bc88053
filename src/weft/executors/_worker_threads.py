"""The threads under a pool's workers.

They are `threading.Thread`s, so that they have names and that profilers, debuggers and `threading.enumerate()` know
them. Daemon threads in the main interpreter: ending them in order is the business of
`weft.executors._ending`, which knows how long to wait and what to say; `threading`'s own wait at exit knows neither.

`WorkerThreads` is called by the core, on whatever thread a worker is found missing. It knows nothing of the executor,
so that an executor can be dropped while its threads run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from weft import _core
from weft._locks import let_go
from weft._payloads.starting import enter

_STARTS_WITHIN = 10.0  # seconds that a thread may take to begin, once it was asked to


class _Started:
    """What `Thread.start()` waits for, in place of an `Event`, of which it asks no more than this.

    An `Event` has a lock that both sides take, and Ctrl-C in the one that waits may leave it taken: then the thread
    never begins. Here a lock is only what one waits at. On the free-threaded 3.13, besides, an `Event` was seen not to
    hear that it is set: a loop that starts threads and does nothing else comes to a stand there after some ten
    thousand, on a busy machine. So whoever waits looks again.
    """

    def __init__(self) -> None:
        self._at_fork_reinit()
        self._is_set = False

    def _at_fork_reinit(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        if not self._is_set:
            self._is_set = True
            self._gate.release()

    def wait(self) -> bool:
        while not self._is_set:
            if self._gate.acquire(timeout=0.1):
                self._gate.release()
        return True


def start_thread(thread: threading.Thread) -> None:
    """Starts a thread, and does not wait for ever where `Thread.start()` would.

    Nor does it leave a lock behind when it is interrupted. From 3.14 on Ctrl-C may come between the moment at which
    `Thread.start()` has taken the lock of all threads and that from which it would give it back: no thread of the
    process could begin or end any more.
    """
    lock = getattr(threading, "_active_limbo_lock", None)  # private, as `_started`; without them, as anybody's thread
    held = lock is None or lock._is_owned()
    if hasattr(thread, "_started"):
        thread._started = _Started()  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    try:
        thread.start()
    except BaseException:
        if not held:
            let_go(lock)
        raise


class WorkerThreads:
    """Starts threads for a pool's workers, and knows which of them live."""

    def __init__(self, *, hold_interpreters: bool = False) -> None:
        self.hold_interpreters = hold_interpreters  # each has an interpreter of its own, which ends with it
        self._here = threading.local()  # `end`: what a thread calls last
        self._threads: dict[threading.Thread, bool] = {}  # and whether it has begun; those that have ended, for a while

    def __call__(self, entry: Callable[[], None], name: str) -> None:
        for thread in list(self._threads):
            if self._has_ended(thread):
                self._threads.pop(thread, None)
        thread = self._make(entry, name)
        self._threads[thread] = False
        try:
            start_thread(thread)
        except BaseException as error:
            if not thread.is_alive():
                self._threads.pop(thread, None)
            if isinstance(error, KeyError) and error.args == (thread,) and error.__context__ is not None:
                # Thread.start() wanted to forget a thread that had begun meanwhile: not what a signal handler raised.
                raise error.__context__ from None
            raise

    def _make(self, entry: Callable[[], None], name: str) -> threading.Thread:
        # Isolated sub-interpreters allow no daemon threads; the others do not survive one that is left at their end.
        daemon = _core.in_main_interpreter()
        return threading.Thread(target=self._work, args=(entry,), name=name, daemon=daemon)

    def _work(self, entry: Callable[[], None]) -> None:
        self._threads[threading.current_thread()] = True
        entry()
        end: Callable[[], object] | None = getattr(self._here, "end", None)
        if end is not None:
            end()

    def entering(self, initializer: Callable[..., object]) -> Callable[..., None]:
        """An initializer that enters the context manager that `initializer` returns, if it does; left at the end."""

        def initialize(*args: object) -> None:
            self._here.end = enter(initializer(*args))

        return initialize

    def _has_ended(self, thread: threading.Thread) -> bool:
        return self._threads.get(thread, True) and not thread.is_alive()

    def alive(self) -> set[threading.Thread]:
        """The threads that have not ended, as a new set."""
        return {thread for thread in list(self._threads) if not self._has_ended(thread)}

    def join(self, timeout: float | None = None) -> None:
        """Wait for the threads to end; their workers have left already, so this is short."""
        for thread in self.alive():
            if thread is not threading.current_thread() and self._begins(thread):
                thread.join(timeout)

    def _begins(self, thread: threading.Thread) -> bool:
        """Waits for one that somebody else is starting at this moment: before it runs, it cannot be joined."""
        end = time.monotonic() + _STARTS_WITHIN
        while not thread.is_alive():
            if self._has_ended(thread) or time.monotonic() > end:
                return False
            time.sleep(0.0005)
        return True
