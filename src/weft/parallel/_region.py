"""A region: one range worked on by the thread that asks for it and by helpers, ordinary tasks of a pool.

Each helper is one task and works on one chunk. When a helper begins, it sees to it that another is submitted, as long
as there is something left and the pool has workers; when it is done, it submits its successor. So a small range costs
one task at most, and a large one is shared within microseconds. A helper takes its chunk when it begins, not when it
is submitted: the caller never waits for a task that has not begun, which is why a region inside a task of the same
pool cannot deadlock (invariant 5).

Invariants:
- *Lowest index*: an event (an element that raised, or that was looked for) at index i sets `limit` to i. Nothing from
  there on is begun, chunks that lie behind it are halted at their next element, and all elements before it are still
  worked on. So the event that is left at the end is the one that a sequential loop would have met.
- *Nothing is left*: `run` returns or raises when no helper runs any more, and none will begin. The one exception is
  Ctrl-C with a helper that is stuck in C: it is left behind after `CTRL_C_SECONDS`, and reported (invariant 4).
- No code of the user's runs, and nothing is submitted or cancelled, while the lock is held.

Threads: `run` is for the thread that made the region; helpers are tasks on workers. Helpers run in copies of the
context that `run` was called in, and so do the caller's own chunks.

An exception that is no `Exception` and arrives in the caller (Ctrl-C, `Interrupted`, `SystemExit`) aborts the region:
what has not begun is cancelled, what runs is halted and interrupted.

Such exceptions may come into any line of this file that runs in the caller or in a helper's task: a `with` on a lock
is no protection (3.14 looks for them between taking the lock and entering the block). So what they can leave undone is
done again, by `_recover`; and the lock is one that knows its owner. Callbacks of futures are no place for Python code
either: an exception that comes into one is swallowed. Theirs is the `append` of a deque, and whoever submits next, or
waits, looks there.
Pinned by tests/parallel/test_errors.py, test_nested.py, test_interrupts.py and test_races.py.
"""

from __future__ import annotations

import contextvars
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from weft.errors import Interrupted, PoolForked
from weft.parallel._chunks import Chunk
from weft.parallel._feeds import Feed, Seat

if TYPE_CHECKING:
    from weft._core import Future
    from weft.executors._pool import PoolExecutor

logger = logging.getLogger("weft.parallel")

CTRL_C_SECONDS = 0.1
"""What is left to helpers after Ctrl-C."""


class _Helper:
    """A task of a region, from before it is submitted until it has ended; and the caller's own part."""

    __slots__ = ("chunk", "leaving", "seat", "spawned", "stopped")

    def __init__(self) -> None:
        self.seat = Seat()
        self.chunk: Chunk | None = None
        self.leaving = False  # done with its chunk: its successor counts in its stead
        self.spawned: _Helper | None = None  # the one that it submitted last
        self.stopped = False  # its future was cancelled, or interrupted if it had begun


class Region[R]:
    """One run of `work` over all chunks of a feed.

    Args:
        pool: whose tasks the helpers are.
        feed: the chunks.
        work: called with each chunk, on any thread.
        found: from a result of `work` the index of what was looked for, or a negative number.
    """

    def __init__(
        self, pool: PoolExecutor, feed: Feed, work: Callable[[Chunk], R], found: Callable[[R], int] | None = None
    ) -> None:
        self._pool = pool
        self._feed = feed
        self._work = work
        self._found = found
        self._context = contextvars.copy_context()
        self._lock = threading.RLock()
        self._settled = threading.Condition(self._lock)
        self._results: dict[int, R] = {}  # by the first index of the chunk
        self._running: set[Chunk] = set()
        self._live: dict[Future[None], _Helper] = {}
        self._ended: deque[Future[None]] = deque()  # of these, such as are done, and not settled
        self._pending: set[_Helper] = set()  # about to be submitted
        self._submitted: deque[tuple[Future[None], _Helper]] = deque()  # such as are not in `_live` yet
        self._own = _Helper()
        self._most = pool.max_workers - 1
        self._closed = False
        self._aborted = False
        self._limit = sys.maxsize
        self._error: BaseException | None = None

    # ---- the thread that asks

    def run(self) -> list[R]:
        """Works until all is done; the results of the chunks, in order of their indices.

        Raises:
            BaseException: what the element of the lowest index raised.
        """
        _regions[id(self)] = self
        try:
            self._take_part()
            self._finish()
        except BaseException as error:
            self._abort(error)
            raise
        finally:
            _regions.pop(id(self), None)
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # which has this frame in its traceback
        return [result for _, result in sorted(self._results.items(), key=lambda pair: pair[0])]

    def _take_part(self) -> None:
        seat = self._own.seat
        while True:
            self._feed.refill(self._limit)
            chunk = self._take(seat)
            if chunk is not None:
                self._invite(self._own)
                while self._feed.refill(self._limit):  # others may begin while this thread reads on
                    self._invite(self._own)
                self._context.copy().run(self._run, chunk)
            elif self._feed.is_exhausted(self._limit):
                break
        if self._feed.error is not None:
            self._event(self._feed.read, self._feed.error)

    def _finish(self) -> None:
        """Lets no helper begin any more, and waits for those that run."""
        with self._lock:
            self._closed = True
        self._wait(None)

    def _abort(self, error: BaseException) -> None:
        """Stops everything, as far as it can be stopped."""
        self._recover(self._own)
        with self._lock:
            self._closed = self._aborted = True
            self._limit = -1
            running = list(self._running)
            for helper in self._live.values():
                helper.stopped = False  # cancelled, perhaps, but not interrupted
        for chunk in running:
            chunk.halt()
        self._wait(CTRL_C_SECONDS if isinstance(error, KeyboardInterrupt) else None)

    def _wait(self, seconds: float | None) -> None:
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            with self._lock:
                self._register_lock_held()
                live = list(self._live.items())
                if not live:
                    if not self._pending:
                        return
                    self._settled.wait(left)  # another thread is about to submit one
            for future, helper in reversed(live):
                if not helper.stopped:
                    helper.stopped = True
                    if not future.cancel() and self._aborted:
                        future.interrupt()
            if live:
                future = live[0][0]
                with suppress(CancelledError, TimeoutError):
                    future.exception(left)
                if future.done():
                    self._settle(future)
            if left == 0.0:
                logger.warning("Ctrl-C: %d tasks of a parallel algorithm are stuck, and left behind", len(live))
                return

    # ---- helpers

    def _invite(self, by: _Helper) -> None:
        """Submits a helper, if there is something for it to do and the pool has workers for it."""
        while self._ended:
            with suppress(IndexError):  # another thread was faster
                self._settle(self._ended.popleft())
        helper = by.spawned = _Helper()
        with self._lock:
            if self._closed or not self._feed.more_lock_held(self._limit):
                return
            # One that is not leaving will be here again, so that it is never nobody's turn.
            if sum(not other.leaving for other in {*self._pending, *self._live.values()}) >= self._most:
                return
            self._pending.add(helper)
        # From a worker, too: helpers see the context of the algorithm's caller.
        submit: Callable[[_Helper], Future[None]] = partial(
            cast("Any", self._context.copy().run), self._pool.submit, self._help
        )
        broken = None
        try:
            # One step of the interpreter: an interrupt that comes in there finds the future where `_wait` looks.
            self._submitted.extend(zip(map(submit, (helper,)), (helper,), strict=True))
        except BrokenExecutor as error:
            broken = error
        except RuntimeError:  # the pool is shut down, or cannot start a thread: it goes on without
            self._most = 0
        finally:
            with self._lock:
                self._pending.discard(helper)
                self._register_lock_held()
                self._settled.notify_all()
        if broken is not None:
            self._event(0, broken)

    def _register_lock_held(self) -> None:
        while self._submitted:
            future, helper = self._submitted[0]
            self._live[future] = helper
            future.add_done_callback(self._ended.append)
            self._submitted.popleft()

    def _help(self, helper: _Helper) -> None:
        """One task: one chunk, and a successor."""
        try:
            chunk = helper.chunk = self._take(helper.seat, helper)
            if chunk is not None:
                self._invite(helper)
                self._run(chunk)
                with self._lock:
                    self._feed.leave_lock_held(helper.seat)
                helper.leaving = True
                self._invite(helper)
        except BaseException:
            self._free_lock()
            raise

    def _settle(self, future: Future[None]) -> None:
        """Takes note of a helper that has ended. Any thread; the first call counts."""
        error = None if future.cancelled() else future.exception()
        with self._lock:
            helper = self._live.pop(future, None)
        if helper is not None and error is not None:
            # It did not come through `_run`, or is what became of it: a time limit, an initializer that failed.
            self._recover(helper)
            self._event(0 if helper.chunk is None else helper.chunk.at, error)

    def _recover(self, helper: _Helper) -> None:
        """Puts right what an exception left that came into our own code from outside: Ctrl-C, an interrupt."""
        self._free_lock()
        with self._lock:
            if helper.spawned is not None:
                self._pending.discard(helper.spawned)
            self._settled.notify_all()

    def _free_lock(self) -> None:
        """Gives the lock back, if this thread has it: such an exception can come between taking it and the block."""
        with suppress(RuntimeError):  # it does not
            while True:
                self._lock.release()

    # ---- chunks, on any thread

    def _take(self, seat: Seat, helper: _Helper | None = None) -> Chunk | None:
        with self._lock:
            chunk = None if self._closed else self._feed.next_lock_held(seat, self._limit)
            if chunk is not None:
                self._running.add(chunk)
            elif helper is not None:
                helper.leaving = True  # whoever adds to the feed from now on invites another
            return chunk

    def _run(self, chunk: Chunk) -> None:
        start = time.perf_counter_ns()
        try:
            result = self._work(chunk)
        except BaseException as error:
            if not chunk.halted:
                self._event(chunk.failed_at(), error)
            if not isinstance(error, Exception):
                raise
        else:
            if not chunk.halted:
                self._results[chunk.start] = result
                if self._found is not None and (index := self._found(result)) >= 0:
                    self._event(index, None)
            if self._feed.sizes is not None:
                self._feed.sizes.ran(chunk.stop - chunk.start, time.perf_counter_ns() - start)
        finally:
            with self._lock:
                self._running.discard(chunk)

    def _event(self, index: int, error: BaseException | None) -> None:
        """At this index the loop would have ended: with an error, or with what it looked for."""
        with self._lock:
            # What has become of an interrupted helper (`TaskTimeout`) says more than that it was interrupted.
            better = index == self._limit and isinstance(self._error, Interrupted)
            if index >= self._limit and not better:
                return
            self._limit = index
            self._error = error
            behind = [chunk for chunk in self._running if chunk.start > index]
        for chunk in behind:
            chunk.halt()

    def after_fork_in_child(self) -> None:
        """Its helpers run in the parent; what they had taken is never done here."""
        self._lock = threading.RLock()
        self._settled = threading.Condition(self._lock)
        self._closed = True
        self._live = {}
        self._pending = set()
        self._submitted = deque()
        self._limit = -1
        self._error = PoolForked(
            "os.fork() was called inside a parallel algorithm: its other threads run in the parent process only; "
            "fork outside of it"
        )


_regions: dict[int, Region[Any]] = {}  # that are running; no weak registry, whose callbacks would swallow Ctrl-C


def _after_fork_in_child() -> None:
    for region in list(_regions.values()):
        region.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
