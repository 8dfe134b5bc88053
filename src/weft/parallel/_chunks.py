"""A chunk: a part of the range that one thread works on, element by element, until it is done or halted.

Work on a chunk is a plain `for` loop over the parts that it yields, so that Ctrl-C and interrupts come through at each
element. `halt` may be called by any thread: it empties the list that the loop runs over, which ends the loop at its
next element on both builds. There is no flag to look at for each element.
Pinned by tests/parallel/test_errors.py.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import Any

from weft.parallel._sources import PART, Indexed


class Chunk:
    """The elements from `start` to `stop`.

    Attributes:
        start: index of its first element.
        stop: index after its last.
        at: index of the first element of the part that is being worked on.
        halted: its results are of no use any more.
    """

    __slots__ = ("_items", "_part", "_source", "at", "halted", "start", "stop")

    def __init__(self, source: Indexed, start: int, stop: int) -> None:
        self._source = source
        self.start = self.at = start
        self.stop = stop
        self.halted = False
        self._items: list[Any] = []
        self._part: Iterator[Any] = iter(())

    def __iter__(self) -> Iterator[Iterator[Any]]:
        """The elements, in parts. Only one thread does this, once."""
        for at in range(self.start, self.stop, PART):
            self._items = []
            self.at = at
            items = self._source.read(at, min(at + PART, self.stop))
            self._items = items
            if self.halted:  # looked at after the list is where `halt` finds it: one of the two sees the other
                items.clear()
                return
            self._part = iter(items)
            yield self._part

    def spans(self) -> Iterator[range]:
        """The indices, in parts, for work that does not read the source."""
        for at in range(self.start, self.stop, PART):
            self.at = at
            if self.halted:
                return
            yield range(at, min(at + PART, self.stop))

    def halt(self) -> None:
        """Any thread: no further element is begun."""
        self.halted = True
        self._items.clear()

    def failed_at(self) -> int:
        """The index of the element at which the work on this chunk raised; of use only if it was not halted."""
        if not self._items:
            return self.at
        return max(self.at, self.at + len(self._items) - operator.length_hint(self._part) - 1)


class Whole:
    """The whole range as one chunk that is worked on in order, with nothing read before it is needed: for `seq`."""

    __slots__ = ("_source", "at", "start", "stop")

    def __init__(self, source: Indexed | Iterable[Any]) -> None:
        self._source = source
        self.start = self.at = 0
        self.stop = source.length if isinstance(source, Indexed) else -1

    def __iter__(self) -> Iterator[Iterator[Any]]:
        source = self._source
        if not isinstance(source, Indexed):
            yield iter(source)
            return
        for at in range(0, self.stop, PART):
            self.at = at
            yield iter(source.read(at, min(at + PART, self.stop)))

    def spans(self) -> Iterator[range]:
        """The indices, in parts."""
        for at in range(0, self.stop, PART):
            yield range(at, min(at + PART, self.stop))


type Work = Chunk | Whole
