"""What a block leaves behind: `track_resource_deltas` looks before and after it, and says what has grown.

Things end a little after whoever ended them has said so (a thread has its last instructions, a process is reaped): so
the look after the block is repeated, for `settle` seconds at most, until nothing has grown. Cycles are collected first.
Growth is counted: a descriptor that was closed and another that was opened are none.
Any thread; blocks it. Pinned by tests/debug/test_resources.py.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from math import isfinite
from typing import Any, cast

from weft.debug._resources import KINDS, Held, Resources, look
from weft.errors import InvalidSetting

__all__ = ["ResourceDelta", "track_resource_deltas"]

_LOOK_AGAIN = 0.01  # seconds; nothing tells when a thread or a process is gone
_SINGULAR = {"processes": "process", "shared_memory": "segment of shared memory"}
_PLURAL = {"shared_memory": "segments of shared memory"}
_SHOWN = 10  # of each kind


@dataclass(frozen=True, slots=True)
class ResourceDelta:
    """What a process held before and after a block.

    Its text is one line if nothing has grown; else what has, and what is new of that.

    Attributes:
        label: What the block was called.
        before: What there was before it.
        after: What there was after it, when it had settled.
        seconds: How long the block took.

    Example:
        >>> from weft.debug import ResourceDelta, Resources
        >>> before = Resources({1: "MainThread"}, {}, {}, {}, {})
        >>> after = Resources({1: "MainThread", 2: "left"}, {}, {}, {}, {})
        >>> print(ResourceDelta("load", before, after, 0.1))
        load: 1 thread more
          thread 2: left
    """

    label: str
    before: Resources
    after: Resources
    seconds: float

    @property
    def growth(self) -> dict[str, int]:
        """How many more there are, of each kind that has grown: ``{"threads": 1}``."""
        return {kind: more for kind in KINDS if (more := len(self._after(kind)) - len(self._before(kind))) > 0}

    def added(self, kind: str) -> Held:
        """What of a kind is there after the block and was not before.

        Args:
            kind: ``threads``, ``interpreters``, ``processes``, ``descriptors`` or ``shared_memory``.
        """
        before = self._before(kind)
        return {key: name for key, name in self._after(kind).items() if before.get(key) != name}

    def removed(self, kind: str) -> Held:
        """What of a kind was there before the block and is not after.

        Args:
            kind: As for `added`.
        """
        after = self._after(kind)
        return {key: name for key, name in self._before(kind).items() if after.get(key) != name}

    def check(self) -> None:
        """Raises AssertionError, with what has grown, if something has. Will do as a ``writer``."""
        if self.growth:
            raise AssertionError(str(self))

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON: label, seconds, growth, and for each kind what was added and removed."""
        kinds = {
            kind: {"added": _plain(self.added(kind)), "removed": _plain(self.removed(kind))}
            for kind in KINDS
            if getattr(self.after, kind) is not None
        }
        return {"label": self.label, "seconds": self.seconds, "growth": self.growth, **kinds}

    def __str__(self) -> str:
        growth = self.growth
        if not growth:
            return f"{self.label}: nothing more than before"
        lines = [f"{self.label}: {', '.join(_counted(kind, more) for kind, more in growth.items())} more"]
        for kind in growth:
            new = self.added(kind)
            lines += [f"  {_name(kind, 1)} {key}: {name}" for key, name in list(new.items())[:_SHOWN]]
            if len(new) > _SHOWN:
                lines.append(f"  and {len(new) - _SHOWN} others")
        return "\n".join(lines)

    def _before(self, kind: str) -> Held:
        return _of(self.before, kind)

    def _after(self, kind: str) -> Held:
        return _of(self.after, kind)


def _of(resources: Resources, kind: str) -> Held:
    if kind not in KINDS:
        raise InvalidSetting(setting="kind", value=kind, allowed=KINDS)
    return cast("Held | None", getattr(resources, kind)) or {}


def _plain(held: Held) -> dict[str, str]:
    return {str(key): name for key, name in held.items()}


def _name(kind: str, count: int) -> str:
    if count == 1:
        return _SINGULAR.get(kind, kind.removesuffix("s"))
    return _PLURAL.get(kind, kind)


def _counted(kind: str, count: int) -> str:
    return f"{count} {_name(kind, count)}"


def track_resource_deltas(
    label: str, *, writer: Callable[[ResourceDelta], object], settle: float = 1.0
) -> AbstractContextManager[None]:
    """Looks at what this process holds before and after a block: threads, interpreters, processes, descriptors, memory.

    Args:
        label: What to call the block.
        writer: Gets the `ResourceDelta` when the block has been left, by an error too. ``print`` shows it,
            `ResourceDelta.check` fails if something has grown. What it raises leaves the block.
        settle: Seconds that what the block has started may take to end after it. Waits only for as long as something
            has grown, and blocks its thread: within an event loop use 0.

    Returns:
        A context manager, for one ``with``.

    Raises:
        TypeError: ``label`` is no str, or ``writer`` cannot be called.
        weft.errors.InvalidSetting: ``settle`` is no number of seconds >= 0.

    Example:
        >>> from weft.debug import track_resource_deltas
        >>> from weft.executors import ThreadPoolExecutor
        >>> with track_resource_deltas("two workers", writer=print):
        ...     with ThreadPoolExecutor(2) as pool:
        ...         total = sum(pool.map(len, ["warp", "weft"]))
        two workers: nothing more than before
    """
    if not isinstance(label, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"label must be a str that says what the block is, not {label!r}")
    if not callable(writer):
        raise TypeError(f"writer must be a function that takes a ResourceDelta, such as print, not {writer!r}")
    check_settle(settle)
    return _tracked(label, writer, settle)


def check_settle(settle: float) -> None:
    """Raises InvalidSetting unless this is a number of seconds."""
    if isinstance(settle, bool) or not isinstance(settle, int | float) or not isfinite(settle) or settle < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidSetting(setting="settle", value=settle, remedy="use a number of seconds >= 0")


@contextmanager
def _tracked(label: str, writer: Callable[[ResourceDelta], object], settle: float) -> Generator[None]:
    before, begun = look(), time.monotonic()
    try:
        yield
    finally:
        writer(settled(label, before, time.monotonic() - begun, settle))


def settled(label: str, before: Resources, seconds: float, settle: float) -> ResourceDelta:
    """What has become of `before`, as soon as nothing has grown, or after `settle` seconds."""
    end = time.monotonic() + settle
    gc.collect()
    while (delta := ResourceDelta(label, before, look(), seconds)).growth and time.monotonic() < end:
        time.sleep(_LOOK_AGAIN)
    return delta
