"""Where an algorithm reads, and where it writes.

A source with a length whose elements can be had by index (a list, a range, an array, any sequence) is *indexed*:
workers read it themselves, a piece at a time. Everything else is an iterator of the user's, which is not thread-safe:
it is read by the thread that runs the algorithm, and nothing else touches it.

Pieces are lists that nobody else has. Emptying one ends a loop over it at its next element: that is how a chunk is
stopped from outside, at no cost for the elements (see `weft.parallel._chunks`).
Pinned by tests/parallel/test_sources.py.
"""

from __future__ import annotations

import numbers
from collections.abc import Buffer, Callable, Iterable, Iterator, MutableSequence, Sequence
from typing import Any, cast

PART = 4096
"""Elements that are read at a time: few enough to stay in the cache."""

_SLICED = (tuple, range, str, bytes, bytearray)

type Destination[T] = MutableSequence[T] | Buffer
"""Where results go: a list, or an array of the right type."""


class Indexed:
    """A source that any thread may read by index."""

    __slots__ = ("_cut", "length")

    def __init__(self, length: int, cut: Callable[[int, int], list[Any]]) -> None:
        self.length = length
        self._cut = cut

    def read(self, start: int, stop: int) -> list[Any]:
        """The elements from `start` to `stop`, in a list of the caller's own."""
        items = self._cut(start, stop)
        if len(items) != stop - start:
            raise RuntimeError("the source changed its length while an algorithm was reading it")
        return items


def indexed(source: Any) -> Indexed | None:
    """The source by index, or None if it has to be iterated over."""
    elements: Any = source
    kind = cast("type[Any]", type(elements))
    if kind is list:
        return Indexed(len(elements), lambda start, stop: elements[start:stop])
    # Not views of a view: those share a count, which the free-threaded 3.13 does not change in one step.
    if kind in _SLICED or (isinstance(source, Buffer) and kind is not memoryview):
        return Indexed(len(elements), lambda start, stop: list(elements[start:stop]))
    if isinstance(source, Sequence):
        return Indexed(len(elements), lambda start, stop: [elements[index] for index in range(start, stop)])
    return None


def all_read(source: Iterable[Any] | Indexed) -> Indexed:
    """The source by index: what has to be iterated over is read now, on this thread."""
    if isinstance(source, Indexed):
        return source
    found = indexed(source)
    if found is None:
        items = list(source)
        found = Indexed(len(items), lambda start, stop: items[start:stop])
    return found


def zipped(source: Iterable[Any], other: Any) -> Indexed | Iterator[Any]:
    """Pairs of one element of each; `other` may be a number that goes with every element.

    Raises:
        ValueError: both have a length, and these differ.
    """
    if isinstance(other, numbers.Number):
        first = indexed(source)
        if first is None:
            return ((element, other) for element in source)
        return Indexed(first.length, lambda start, stop: [(x, other) for x in first.read(start, stop)])
    first, second = indexed(source), indexed(other)
    if first is None or second is None:
        return zip(source, other, strict=True)
    if first.length != second.length:
        raise ValueError(f"other has {second.length} elements, and the source {first.length}: give as many of each")
    return Indexed(
        first.length,
        lambda start, stop: list(zip(first.read(start, stop), second.read(start, stop), strict=True)),
    )


class Written:
    """A destination, checked once, which any thread may write to where no other does."""

    __slots__ = ("_slices", "_target", "length")

    _target: Any

    def __init__(self, destination: Destination[Any], name: str = "dst") -> None:
        target: Any = destination
        kind: Any = type(destination)
        if not hasattr(kind, "__setitem__") or not hasattr(kind, "__len__"):
            raise TypeError(
                f"{name} must be a list or another mutable sequence, or a writable buffer, not {target!r}; "
                f"results are written into it"
            )
        if isinstance(destination, memoryview) and destination.readonly:
            raise TypeError(f"{name} is a read-only memoryview; results are written into it")
        self._target = target
        self._slices = kind is list
        self.length = len(target)

    def check_room(self, needed: int, what: str = "the source") -> None:
        """Raises ValueError if `needed` elements do not fit."""
        if needed > self.length:
            raise ValueError(
                f"dst has {self.length} elements, and {what} {needed}: make it as long, for example [None] * {needed}"
            )

    def write(self, start: int, values: Sequence[Any]) -> None:
        """Puts values from the index `start` on."""
        if self._slices:
            self._target[start : start + len(values)] = values
        else:
            target = self._target
            for index, value in enumerate(values, start):
                target[index] = value
