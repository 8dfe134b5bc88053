"""Feeds: which chunk a thread takes next. One for each way of cutting a range.

- `Cursor` (auto, dynamic, guided): one shared place in the range; whoever is free takes the next elements.
- `Dealt` (static): ranges of equal length, dealt in advance into one hand for each worker. Whoever has finished its
  own takes over a hand that nobody holds, because a worker is busy elsewhere, and then helps others with theirs.
- `Stream` (auto and dynamic over an iterator): the thread that runs the algorithm reads ahead, bounded; others take.

Methods that end in `_lock_held` are called with the region's lock held. `limit` is an index from which on nothing is
to be begun any more; nothing below it is ever left out.
Pinned by tests/parallel/test_chunks.py.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from itertools import islice
from operator import length_hint
from typing import Any

from weft.execution import Policy, TaskPolicy
from weft.parallel._chunks import Chunk
from weft.parallel._sources import Indexed

TARGET = 2_000_000
"""Nanoseconds of work in a chunk, where that is measured."""

_WORTH_SHARING = 100_000  # nanoseconds of work that are not cut any smaller

_GROWTH = 16  # a chunk is at most so many times the last one
_AHEAD = 2  # chunks that are read ahead for each worker


def has_gil() -> bool:
    """Whether threads of this interpreter run Python code one at a time."""
    is_enabled = getattr(sys, "_is_gil_enabled", None)
    return is_enabled is None or bool(is_enabled())


class Seat:
    """One of those that take part. What it holds is guarded by the region's lock."""

    __slots__ = ("hand",)

    def __init__(self) -> None:
        self.hand: Iterator[int] | None = None  # the ranges dealt to it that are left, by number


class Sizes:
    """How many elements the next chunk has: a fixed number, or what was measured."""

    def __init__(self, fixed: int | None, seats: int) -> None:
        self._fixed = fixed
        self._seats = seats
        self._measured = 1
        self._least = 1

    def next(self, left: int | None) -> int:
        """At least 1. `left`: elements that are left, if that is known."""
        if self._fixed is not None:
            return self._fixed
        if left is None:
            return self._measured
        return min(self._measured, max(self._least, -(-left // (2 * self._seats))))

    def ran(self, elements: int, nanoseconds: int) -> None:
        """Takes note of a chunk. Any thread, without a lock: the last one counts, and all are right."""
        if self._fixed is None and elements >= self._measured // 2:
            most, nanoseconds = elements * _GROWTH, max(nanoseconds, 1)
            self._measured = max(1, min(TARGET * elements // nanoseconds, most))
            self._least = max(1, min(_WORTH_SHARING * elements // nanoseconds, most))


class Guided(Sizes):
    """A share of what is left."""

    def __init__(self, least: int, seats: int) -> None:
        super().__init__(least, seats)
        self._least = least

    def next(self, left: int | None) -> int:
        """Half of what each would get if it were shared out now."""
        assert left is not None  # a source without a length has been read before
        return max(self._least, -(-left // (2 * self._seats)))


class Feed:
    """What a region takes its chunks from. This class has what holds for a source that is there as a whole.

    Attributes:
        sizes: is told how long chunks took.
        read: how many elements an iterator has given.
        error: what it raised after these.
    """

    sizes: Sizes | None = None
    read: int = 0
    error: BaseException | None = None

    def refill(self, limit: int) -> bool:
        """Only by the thread that runs the algorithm: reads a chunk ahead, if there is one and room for it."""
        return False

    def is_exhausted(self, limit: int) -> bool:
        """Only by the thread that runs the algorithm: whether `refill` is of no more use."""
        return True

    def next_lock_held(self, seat: Seat, limit: int) -> Chunk | None:
        """The next chunk for this seat; None if there is none, or none now."""
        raise NotImplementedError

    def more_lock_held(self, limit: int) -> bool:
        """Whether `next_lock_held` may find something for a new seat."""
        raise NotImplementedError

    def leave_lock_held(self, seat: Seat) -> None:
        """This seat takes no more: what it holds is for others."""


class Cursor(Feed):
    """One shared place in the range."""

    def __init__(self, source: Indexed, sizes: Sizes) -> None:
        self._source = source
        self._at = 0
        self.sizes = sizes

    def next_lock_held(self, seat: Seat, limit: int) -> Chunk | None:
        """The next elements."""
        start, length = self._at, self._source.length
        if start >= min(length, limit):
            return None
        assert self.sizes is not None
        self._at = stop = min(length, start + self.sizes.next(length - start))
        return Chunk(self._source, start, stop)

    def more_lock_held(self, limit: int) -> bool:
        """Whether the end is not reached."""
        return self._at < min(self._source.length, limit)


class Dealt(Feed):
    """Ranges dealt in advance."""

    def __init__(self, source: Indexed, size: int | None, seats: int) -> None:
        self._source = source
        self._size = size or max(1, -(-source.length // seats))
        self._ranges = -(-source.length // self._size)
        self._hands = min(seats, self._ranges)
        self._begun: list[Iterator[int]] = []  # hands
        self._left: list[Iterator[int]] = []  # of these, such as nobody holds

    def next_lock_held(self, seat: Seat, limit: int) -> Chunk | None:
        """The next range of the seat's hand, or of one that nobody holds."""
        while True:
            if seat.hand is None:
                seat.hand = self._hand()
            if seat.hand is None:
                return None
            number = next(seat.hand, None)
            if number is None or number * self._size >= limit:  # what follows in a hand lies behind it
                seat.hand = None
                continue
            start = number * self._size
            return Chunk(self._source, start, min(start + self._size, self._source.length))

    def more_lock_held(self, limit: int) -> bool:
        """Whether there may be a range left."""
        return len(self._begun) < self._hands or any(map(length_hint, self._begun))

    def _hand(self) -> Iterator[int] | None:
        """One that nobody holds, or else one of somebody's that is not through yet."""
        if self._left:
            return self._left.pop()
        if len(self._begun) < self._hands:
            self._begun.append(iter(range(len(self._begun), self._ranges, self._hands)))
            return self._begun[-1]
        return next((hand for hand in self._begun if length_hint(hand)), None)

    def leave_lock_held(self, seat: Seat) -> None:
        """Its hand can be taken over."""
        if seat.hand is not None and length_hint(seat.hand) > 0:
            self._left.append(seat.hand)
        seat.hand = None


class Stream(Feed):
    """What was read ahead of an iterator."""

    def __init__(self, iterator: Iterator[Any], sizes: Sizes, seats: int) -> None:
        self._iterator = iterator
        self.sizes = sizes
        self._most = _AHEAD * seats
        self._ready: deque[Chunk] = deque()
        self._ended = False

    def is_exhausted(self, limit: int) -> bool:
        """Whether there is nothing more to read."""
        return self._ended or self.read >= limit

    def refill(self, limit: int) -> bool:
        """Reads one chunk, if there is room for it. An element that is slow to come ends the chunk."""
        if self.is_exhausted(limit) or len(self._ready) >= self._most:
            return False
        assert self.sizes is not None
        size = self.sizes.next(None)
        items: list[Any] = []
        start, step = time.perf_counter_ns(), 1
        try:
            while (room := size - len(items)) > 0:
                before = len(items)
                for item in islice(self._iterator, min(step, room)):  # not extend(): what came before an error counts
                    items.append(item)  # noqa: PERF402
                if len(items) == before:
                    self._ended = True
                    break
                if time.perf_counter_ns() - start > TARGET:
                    break
                step *= 2
        except Exception as error:
            self._ended = True
            self.error = error
        if items:
            first = self.read
            source = Indexed(first + len(items), lambda start, stop: items[start - first : stop - first])
            self.read += len(items)
            self._ready.append(Chunk(source, first, first + len(items)))
        return bool(items)

    def next_lock_held(self, seat: Seat, limit: int) -> Chunk | None:
        """The oldest of those that are ready."""
        while self._ready:
            chunk = self._ready.popleft()
            if chunk.start < limit:
                return chunk
        return None

    def more_lock_held(self, limit: int) -> bool:
        """Whether one is ready."""
        return bool(self._ready)


def feed(policy: Policy | TaskPolicy, source: Indexed | Iterator[Any], seats: int) -> Feed:
    """What `seats` threads take the chunks of this source from, under this policy."""
    kind, size = policy.chunk_name, policy.chunk_size
    sizes = Sizes(size or 1, seats) if kind == "dynamic" else Sizes(None, seats)
    if not isinstance(source, Indexed):
        if kind in ("auto", "dynamic"):
            return Stream(source, sizes, seats)
        items = list(source)
        source = Indexed(len(items), lambda start, stop: items[start:stop])
    if kind == "static":
        return Dealt(source, size, seats)
    return Cursor(source, Guided(size or 1, seats) if kind == "guided" else sizes)
