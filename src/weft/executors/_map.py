"""`Executor.map`: items in chunks, as many chunks under way as keep the workers busy.

A chunk is one ordinary task, so helping, cancelling, priorities and shutdown need nothing of their own. How large it is
follows from the measured time of an item: about `_TARGET` seconds of work, never so much that a worker would be left
without at the end.

Without a GIL only the time counts, so that many workers can be fed. With one, threads take turns anyhow, and what a
chunk holds is best found in the cache by whoever takes it next.

Two ways to feed it. Without `buffersize` the input is read at the call, and each chunk that ends submits the next one,
from the worker: the work goes on whether results are read or not. With `buffersize` the input is read only when results
are taken, on the thread that takes them: user iterators are not thread-safe, and memory stays bounded (invariant 6).

Whoever feeds holds the map's lock, which nobody does who waits: a worker that reads a map's results would wait for the
lock, and not make the room that its owner waits for. Where a pool's `max_pending` leaves no room, the chunk stays in
hand; whoever has the lock next submits it. A chunk that ends does not wait for the lock either, as user code may run
under it: it leaves a report, which is taken at once if the lock is free, and else by its owner after letting go of it.

Ends when the results are exhausted, when an item raises or a result is late (the rest is cancelled), when the
iterator is closed or dropped half way (likewise; whoever waits for a result on another thread comes to the end then),
or with the pool: shutting down cancels what is left, or submits it whatever `max_pending` says, as nobody is to wait
for that. Where `submit` refuses a chunk, that is raised after the results of those before it.
Pinned by tests/executors/test_map.py and test_max_pending.py.
"""

from __future__ import annotations

import contextvars
import itertools
import math
import operator
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, SupportsFloat, cast

from weft import _core
from weft._capabilities import capabilities
from weft._live import Live
from weft.errors import Interrupted, PoolForked

if TYPE_CHECKING:
    from weft.executors._pool import PoolExecutor

# results; error, in bytes from a worker that shares no objects with us; items; nanoseconds
type _Chunk = tuple[list[Any], BaseException | bytes | None, int, int]

type Runner = Callable[[Callable[..., Any], list[Any], bool], _Chunk]

_TARGET = 2_000_000  # nanoseconds of work in a chunk
_MOST_WITH_GIL = 4_000  # items in a chunk: what one thread has made of them is in the cache when another takes it
_GROWTH = 8  # a chunk is at most so many times the last one
_AHEAD = 2  # chunks under way for each worker


def unpack_failure(packed: bytes) -> BaseException:
    """An item's error."""
    from weft._payloads.calling import unpack_failure as unpack  # the thread pool can do without

    return unpack(packed)


def run_chunk(fn: Callable[..., Any], items: list[Any], star: bool) -> _Chunk:
    start = time.perf_counter_ns()
    untouched = contextvars.copy_context()
    results, error = _core.call_chunk(fn, items, star)
    if error is not None and not isinstance(error, Interrupted):
        # All items are worked on, whatever became of others; what comes after an error is never handed out.
        for item in itertools.islice(items, len(results) + 1, None):
            if isinstance(untouched.copy().run(_core.call_chunk, fn, [item], star)[1], Interrupted):
                break
    return results, error, len(items), time.perf_counter_ns() - start


def run_one(fn: Callable[..., Any], items: list[Any], star: bool) -> _Chunk:
    """A chunk of one item whose error is the task's own, so that the options of a view apply to it."""
    start = time.perf_counter_ns()
    result = fn(*items[0]) if star else fn(items[0])
    return [result], None, 1, time.perf_counter_ns() - start


def _not_the_end(error: BaseException) -> BaseException:
    """What to raise in place of an item's error, where a `StopIteration` would be taken for the end of the results."""
    if not isinstance(error, StopIteration):
        return error
    instead = RuntimeError("a task of map() raised StopIteration")
    instead.__cause__ = error
    return instead


for _runner in (run_chunk, run_one):  # in traces, the tasks bear the name of what they run
    _core.name_by_first_argument(_runner)


class _Map:
    """One call of map: what is left of its input, and its chunks under way."""

    def __init__(
        self,
        pool: PoolExecutor,
        fn: Callable[..., Any],
        items: Iterator[Any],
        *,
        star: bool,
        total: int | None,
        chunksize: int | None,
        buffersize: int | None,
        ordered: bool,
        one_by_one: bool,
        timeout: float | None,
        runners: tuple[Runner, Runner],
    ) -> None:
        self.pool: PoolExecutor | None = pool  # until all is submitted: a pool that was dropped ends although we live
        self._workers = pool.max_workers
        self._target: int = getattr(pool, "_chunk_nanoseconds", _TARGET)
        self._fn = fn
        self._items = items
        self._star = star
        self.left = total  # items not yet submitted; None: unknown
        self._run = runners[one_by_one]
        self._fixed = 1 if one_by_one else chunksize
        self._size = self._fixed or 1
        self._most = _MOST_WITH_GIL if capabilities().gil_enabled else sys.maxsize
        self._buffer = buffersize
        self._ordered = ordered
        self._timeout = timeout
        self._deadline = _deadline_after(timeout)
        self._context = contextvars.copy_context()
        self._lock = threading.RLock()  # a chunk may run, and end, inside of submit
        self._chunks: deque[Future[_Chunk]] = deque()  # in order of submission, results not yet taken
        self._reports: SimpleQueue[Future[_Chunk]] = SimpleQueue()  # chunks that have ended, not yet counted
        self._ended: SimpleQueue[Future[_Chunk]] = SimpleQueue()  # only kept if not ordered
        self._under_way = 0  # chunks
        self._ahead = 0  # items submitted whose results have not been taken; only kept with a buffer
        self._handed = 0  # of them, those that the reader has in hand and has taken when it comes back
        self._exhausted = False
        self._in_hand: list[Any] = []  # items of the next chunk, which found no room; counted as submitted
        self._waiters = 0  # threads that feed, and wait for room
        self._feeding = False  # on the thread that has the lock
        self._started = False
        self._closed = False
        self._error: BaseException | None = None

    # ---- feeding

    def _next_size(self) -> int:
        size = self._size
        if self._fixed is None and self.left is not None:
            size = max(1, min(size, -(-self.left // (2 * self._workers))))
        if self._buffer is not None:
            most = self._buffer if self._fixed else max(1, self._buffer // (2 * self._workers))
            size = min(size, most)
            room = self._buffer - self._ahead
            if size > room:  # rather no chunk now than a small one, but all that is allowed is read at the call
                size = 0 if self._started else room
        return size

    def _next_items_lock_held(self) -> list[Any]:
        """Those of the next chunk, which stay in hand; none, if there is none to be submitted now."""
        if not self._in_hand and not self._exhausted and self.pool is not None:
            size = self._next_size()
            if size > 0:
                items = list(itertools.islice(self._items, size))
                self._exhausted = len(items) < size
                self._in_hand = items
                self._ahead += len(items)
                if self.left is not None:
                    self.left -= len(items)
        return self._in_hand

    def _submit_next_lock_held(self, *, past_limit: bool = False) -> bool | None:
        """Whether there was another chunk to submit; None if there is, and no room for it."""
        items = self._next_items_lock_held()
        pool = self.pool
        if not items or pool is None:
            return False
        # From a worker, too: the items see the context of whoever called map. A copy, since a context runs one thing.
        context = self._context.copy()
        self._in_hand = []
        try:
            future = context.run(pool._submit_now, past_limit, self._run, self._fn, items, self._star)
        except Exception as error:  # the pool was shut down under us, or an item cannot go there
            self._exhausted = True
            self._error = error
            self.pool = None
            return False
        if future is None:
            self._in_hand = items
            return None
        self._under_way += 1
        self._chunks.append(future)
        future.add_done_callback(self._chunk_ended)
        if self.left == 0:
            self.pool = None
        return True

    def _chunk_ended(self, future: Future[_Chunk]) -> None:
        self._reports.put(future)
        self._take_reports()

    def _take_reports(self) -> None:
        """Not waiting for the lock. Whoever had it calls this when they no longer have it."""
        while not self._reports.empty() and self._lock.acquire(blocking=False):
            wait = False
            try:
                while not self._reports.empty():
                    self._count_lock_held(self._reports.get_nowait())
                if self._buffer is None:
                    wait = not self._feed_lock_held() and not self._waiters
            finally:
                self._lock.release()
            if wait:
                self._feed_on()

    def _count_lock_held(self, future: Future[_Chunk]) -> None:
        self._under_way -= 1
        if not future.cancelled() and future.exception() is None:
            self._adapt(*future.result()[2:])
        if not self._ordered:
            self._ended.put(future)

    def _adapt(self, items: int, nanoseconds: int) -> None:
        if self._fixed is None and items >= self._size // 2:
            wanted = self._target * items // max(nanoseconds, 1)
            self._size = max(1, min(wanted, self._size * _GROWTH, self._most))

    def _feed_lock_held(self) -> bool:
        """False: the pool has no room for what is to be submitted now."""
        if self._feeding:  # called back by a chunk that ended inside of its submit: the loop below us goes on
            return True
        self._feeding = True
        ahead = _AHEAD * self._workers
        submitted: bool | None = True
        try:
            while submitted and (self._under_way < ahead or not self._chunks or self._buffer is not None):
                submitted = self._submit_next_lock_held()
        finally:
            self._feeding = False
        return submitted is not None

    def _feed_on(self) -> None:
        """Feeds, and waits for room until that is done. Not called with the lock."""
        while True:
            with self._lock:
                pool = self.pool
                if self._feed_lock_held() or pool is None:
                    return
                self._waiters += 1
            try:
                pool._wait_for_room()
            finally:
                with self._lock:
                    self._waiters -= 1

    def _feed(self) -> None:
        try:
            with self._lock:
                self._ahead -= self._handed
                self._handed = 0
                room = self._feed_lock_held()
            if not room:
                self._feed_on()
        finally:
            self._take_reports()

    def start(self) -> None:
        self._feed()
        self._started = True
        if self._error is not None:
            raise self._error

    def flush(self) -> None:
        """Submit all that is left, waiting for nothing: the pool is about to close its gate."""
        if self._buffer is not None:
            return
        with self._lock:
            feeding, self._feeding = self._feeding, True
            try:
                while self._submit_next_lock_held(past_limit=True):
                    pass
            finally:
                self._feeding = feeding
        self._take_reports()

    # ---- taking

    def fetch(self) -> list[Any]:
        """The next list of results; raises StopIteration at the end."""
        if self._buffer is not None:
            self._feed()
        while True:
            future = self._next_chunk()
            if future is None:
                raise StopIteration if self._error is None else _not_the_end(self._error)
            try:
                results, error, items, _ = future.result(self._time_left())
            except StopIteration as raised:
                raise _not_the_end(raised) from None
            except CancelledError:
                if self._closed:
                    raise StopIteration from None
                raise
            if isinstance(error, bytes):
                error = unpack_failure(error)
            room = True
            try:
                with self._lock:
                    if self._closed:  # on another thread, while this one waited
                        raise StopIteration
                    self._chunks.popleft() if self._ordered else self._chunks.remove(future)
                    self._ahead -= 1  # the others are taken when the reader is back
                    self._handed = items - 1
                    if error is not None:
                        self._error = error
                        self._give_up_lock_held()
                    elif self._buffer is not None:
                        room = self._feed_lock_held()
                if not room:
                    self._feed_on()
            finally:
                self._take_reports()
            if results:
                return results

    def _next_chunk(self) -> Future[_Chunk] | None:
        while True:
            with self._lock:
                # There are none if all have ended, and been taken before the callbacks ran that submit the next.
                fed = bool(self._chunks) or self._feed_lock_held()
                first = self._chunks[0] if self._chunks else None
            self._take_reports()
            if first is not None or fed:
                break
            self._feed_on()
        if first is None:
            return None
        if self._ordered:
            return first
        if _core.in_worker():
            # A worker must wait for a task, so that it can help; it takes what has ended, or else the oldest.
            try:
                return self._ended.get_nowait()
            except Empty:
                with suppress(CancelledError):  # it is among those that have ended
                    first.exception(self._time_left())
        try:
            return self._ended.get(timeout=self._time_left())
        except Empty:
            raise TimeoutError from None

    def _time_left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def _give_up_lock_held(self) -> None:
        self._exhausted = True
        self._in_hand = []
        # No global name in here: the interpreter's end drops iterators after it has emptied this module.
        chunks = [*self._chunks]
        self._chunks.clear()
        for future in chunks:
            future.cancel()

    def cancel(self) -> None:
        """Cancel what has not begun; nobody wants the results."""
        with self._lock:
            self._closed = True
            self._give_up_lock_held()
        self._take_reports()

    def abandon(self) -> None:
        """Cancel what has not begun; whoever reads the results gets those that are there, then a `CancelledError`."""
        with self._lock:
            if self._in_hand or (not self._exhausted and self.left != 0):
                self._error = CancelledError()
            self._in_hand = []
            self._exhausted = True
            for future in list(self._chunks):
                future.cancel()
        self._take_reports()

    def after_fork_in_child(self) -> None:
        """The map goes on in the parent; whoever reads its results here is told so."""
        self._lock = threading.RLock()
        self._reports = SimpleQueue()
        self._chunks = deque()
        self._in_hand = []
        self._waiters = 0
        self._exhausted = True
        self.pool = None
        self._error = PoolForked(
            "this map() was called before os.fork(): its pool's threads run in the parent process only; "
            "make a new pool in the child and call map() again"
        )


_live = Live[_Map]()


def _checked_count(name: str, value: object, *, message: str | None = None) -> None:
    if value is None:
        return
    try:
        count = operator.index(value)  # type: ignore[arg-type]  # that is the question
    except TypeError:
        raise TypeError(f"{name} must be an integer or None, not {value!r}") from None
    if count < 1:
        raise ValueError(message or f"{name} must be None or > 0, not {count}")


def _deadline_after(timeout: object) -> float | None:
    """On time.monotonic()'s clock; None: there is none, or none that a wait could be given."""
    if timeout is None:
        return None
    if not isinstance(timeout, SupportsFloat):
        raise TypeError(f"timeout must be a number of seconds or None, not {timeout!r}")
    seconds = float(timeout)
    if math.isnan(seconds):
        raise ValueError("timeout must be a number of seconds or None, not nan")
    return None if seconds > threading.TIMEOUT_MAX else time.monotonic() + seconds


def parallel_map(
    pool: PoolExecutor,
    fn: Callable[..., Any],
    iterables: tuple[Iterable[Any], ...],
    *,
    timeout: float | None,
    chunksize: int | None,
    buffersize: int | None,
    ordered: bool,
    one_by_one: bool,
    runners: tuple[Runner, Runner],
) -> Iterator[Any]:
    """The iterator behind `map`; see `PoolExecutor.map`."""
    _checked_count("chunksize", chunksize, message="chunksize must be >= 1.")
    _checked_count("buffersize", buffersize)
    if not callable(fn):
        raise TypeError(f"map(): fn must be callable, not {fn!r}")
    star = len(iterables) != 1
    source: Iterable[Any] = zip(*iterables) if star else iterables[0]  # noqa: B905  # the shortest ends it
    total: int | None = None
    if buffersize is None:
        unchanging = type(source) in (range, tuple)
        source = held = cast("Sequence[Any]", source) if unchanging else list(source)
        total = len(held)
    work = _Map(
        pool,
        fn,
        iter(source),
        star=star,
        total=total,
        chunksize=chunksize,
        buffersize=buffersize,
        ordered=ordered,
        one_by_one=one_by_one,
        timeout=timeout,
        runners=runners,
    )
    _live.add(work)
    work.start()
    return _core.Drain(work.fetch, work.cancel)


def items_to_come(pool: PoolExecutor) -> int:
    """How many items the maps of this pool have yet to submit, as far as that is known."""
    return sum(work.left or 0 for work in _live.all() if (its := work.pool) is not None and its._same_pool(pool))


def finish_all(pool: PoolExecutor, *, cancel: bool) -> None:
    """The pool closes: submit, or cancel, what its maps have left."""
    maps = [work for work in _live.all() if (its := work.pool) is not None and its._same_pool(pool)]
    for work in maps:
        if cancel:
            work.abandon()
        else:
            work.flush()


def flush_all() -> None:
    """The interpreter ends: submit what all maps have left."""
    for work in _live.all():
        if (pool := work.pool) is not None and pool._is_open():
            work.flush()
