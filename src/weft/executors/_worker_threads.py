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
from weft._payloads.starting import enter

_STARTS_WITHIN = 10.0  # seconds that a thread may take to begin, once it was asked to


class _Started(threading.Event):
    """What `Thread.start()` waits for, without end: on the free-threaded 3.13 it was seen not to hear that it is set.

    A loop that starts threads and does nothing else comes to a stand there after some ten thousand, on a busy machine.
    """

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is not None:
            return super().wait(timeout)
        while not super().wait(0.1):
            pass
        return True


def start_thread(thread: threading.Thread) -> None:
    """Starts a thread, and does not wait for ever where `Thread.start()` would."""
    if hasattr(thread, "_started"):  # private; without it, a thread is started as anybody's
        thread._started = _Started()  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    thread.start()


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
