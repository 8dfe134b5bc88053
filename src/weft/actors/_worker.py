"""An actor's worker thread: it runs plain functions, one at a time, in the order in which their calls came.

The thread begins with the first of them. What comes of a call is handed to `report` in this thread, so that it goes to
the parent without a detour over the loop. The loop's thread may take a call back: one that waits is dropped, one that
runs has `Interrupted` raised in it. The lock sees to it that this hits no other call; an interrupt that comes as the
call begins or returns is swallowed here, and the call is reported all the same.

Ends with `end`, which interrupts what runs again and again, and returns when the thread has left. A call that is stuck
in C keeps it; then the parent kills or abandons the actor.
Pinned by tests/actors/test_calls.py and test_ending.py.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any

import anyio

from weft import _core
from weft._locks import let_go
from weft.actors._loops import Loop
from weft.errors import Interrupted
from weft.executors._worker_threads import start_thread

__all__ = ["Worker"]

_ASK_AGAIN = 0.02  # seconds between interrupts

type Report = Callable[[int, bool, object], None]


class Worker:
    """The worker thread of one actor.

    Args:
        loop: The actor's loop.
        report: Takes the number of a call, whether it returned, and what it returned or raised.
        name: What the thread is called.
    """

    def __init__(self, loop: Loop, report: Report, name: str) -> None:
        self._loop = loop
        self._report = report
        self._name = name
        self._queue: SimpleQueue[tuple[int, Callable[..., Any], Mapping[str, Any]] | None] = SimpleQueue()
        self._lock = threading.RLock()
        self._call: tuple[int, Callable[..., Any], Mapping[str, Any]] | None = None  # the thread's, as the next
        self._outcome: tuple[bool, object] | None = None
        self._current: int | None = None
        self._undisturbed = False
        self._put_off = False  # an interrupt, while that is so
        self._unwanted: set[int] = set()
        self._waiting: set[int] = set()
        self._thread: threading.Thread | None = None
        self._left = anyio.Event()
        self._context = contextvars.copy_context()

    def put(self, number: int, fn: Callable[..., Any], kwargs: Mapping[str, Any]) -> None:
        """A call has come. The loop's thread."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._context.run, args=(self._run,), name=self._name)
            self._thread.daemon = _core.in_main_interpreter()
            start_thread(self._thread)
        self._waiting.add(number)
        self._queue.put((number, fn, kwargs))

    def take_back(self, number: int) -> None:
        """A call is unwanted. The loop's thread."""
        with self._lock:
            if self._current == number:
                self._interrupt_lock_held()
            elif number in self._waiting:
                self._unwanted.add(number)

    def undisturbed[T](self, fn: Callable[[T], object], argument: T) -> None:
        """Calls something that is soon done; the thread's interrupts wait until then. Any thread.

        So goes what a call prints: half a frame would be the end of the channel, and of the actor.
        """
        if self._thread is None or self._thread.ident != threading.get_ident() or self._undisturbed:
            fn(argument)
            return
        self._undisturbed = True
        try:
            with self._lock:  # none is asked for from here on; one that was on its way comes within this block
                pass
            fn(argument)
        finally:
            with self._lock:
                self._undisturbed = False
                late, self._put_off = self._put_off, False
            let_go(self._lock)  # it may have come as the first block had the lock
            if late:
                raise Interrupted

    def _interrupt_lock_held(self) -> None:
        if self._undisturbed:
            self._put_off = True
        elif self._thread is not None and self._thread.ident is not None:
            _core.raise_in_thread(self._thread.ident, Interrupted)

    async def end(self) -> None:
        """No calls any more: drops those that wait, interrupts the one that runs, and waits for the thread."""
        if self._thread is None:
            return
        with self._lock:
            self._unwanted |= self._waiting
        self._queue.put(None)
        while True:
            with self._lock:
                if self._current is not None:
                    self._interrupt_lock_held()
            with anyio.move_on_after(_ASK_AGAIN):
                await self._left.wait()
            if self._left.is_set():
                self._thread.join()
                return

    def abandon(self) -> None:
        """The loop is over, however it ended: the thread ends as soon as it can, and is not waited for."""
        let_go(self._lock)
        if self._thread is None or self._left.is_set():
            return
        with self._lock:
            self._unwanted |= self._waiting
            if self._current is not None:
                self._interrupt_lock_held()
        self._queue.put(None)

    # ---- the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                if self._call is None:
                    self._call = self._queue.get()
                    if self._call is None:
                        break
                self._work(*self._call)
            except Interrupted:  # it came between two lines, while a call is this thread's: that is gone on with
                continue
        self._loop.post(self._left.set)

    def _work(self, number: int, fn: Callable[..., Any], kwargs: Mapping[str, Any]) -> None:
        if self._outcome is None:
            self._make_outcome(number, fn, kwargs)
        self._leave(number)
        assert self._outcome is not None
        (good, outcome), self._call, self._outcome = self._outcome, None, None
        self._report(number, good, outcome)

    def _make_outcome(self, number: int, fn: Callable[..., Any], kwargs: Mapping[str, Any]) -> None:
        try:
            with self._lock:
                self._waiting.discard(number)
                wanted = number not in self._unwanted
                if wanted:
                    self._current = number
            if wanted:
                self._outcome = True, fn(**kwargs)
            else:
                self._outcome = False, Interrupted("the call was taken back before it began")
        except BaseException as error:
            self._outcome = False, error
        self._current = None  # so that at most one more is on its way

    def _leave(self, number: int) -> None:
        """From here on no interrupt is raised; one that is on its way is met now."""
        while True:
            try:
                with self._lock:
                    self._unwanted.discard(number)
                break
            except Interrupted:
                continue
        let_go(self._lock)
