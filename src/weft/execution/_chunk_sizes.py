"""Chunk sizes: in which pieces a parallel algorithm cuts its range. Plain, immutable data.

What they do to a range is in `weft.parallel._feeds`, and in the core for buffers.
Pinned by tests/parallel/test_policies.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from weft.errors import InvalidSetting

type ChunkName = Literal["auto", "static", "dynamic", "guided"]

_LARGEST = 2**62


@dataclass(frozen=True, slots=True)
class ChunkSize:
    """In which pieces a range is cut. Made by the four functions of this module, and given to a policy's `with_`.

    Attributes:
        name: `"auto"`, `"static"`, `"dynamic"` or `"guided"`.
        size: elements in a chunk (for `guided`, the least); None for the default of the kind.

    Example:
        >>> from weft.execution import dynamic_chunk_size
        >>> dynamic_chunk_size(64)
        dynamic_chunk_size(64)
    """

    name: ChunkName
    size: int | None = None

    def __repr__(self) -> str:
        return f"{self.name}_chunk_size({'' if self.size is None else self.size})"


def _made(name: ChunkName, size: object) -> ChunkSize:
    setting = f"{name}_chunk_size"
    if size is None:
        return ChunkSize(name)
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"{setting}: the size must be a whole number of elements, not {size!r}")
    if not 0 < size <= _LARGEST:
        raise InvalidSetting(
            setting=setting, value=size, remedy="give the elements in a chunk, 1 or more, or nothing for the default"
        )
    return ChunkSize(name, size)


def static_chunk_size(size: int | None = None, /) -> ChunkSize:
    """Equal contiguous ranges, dealt to the workers in advance.

    For elements that all take about the same time. The same ranges in every run, whatever the machine does: results of
    operations that are not quite associative (floats) repeat.

    Args:
        size: elements in a range; None for one range for each worker.

    Returns:
        What a policy's `with_` takes.

    Raises:
        weft.errors.InvalidSetting: size is less than 1.
        TypeError: size is not a whole number.

    Example:
        >>> from weft.execution import par, static_chunk_size
        >>> par.with_(static_chunk_size(1000))
        par.with_(static_chunk_size(1000))
    """
    return _made("static", size)


def dynamic_chunk_size(size: int | None = None, /) -> ChunkSize:
    """So many elements at a time, taken by whichever worker is free.

    For elements that take very different times.

    Args:
        size: elements at a time; None for 1 (over buffers, for what the core finds best).

    Returns:
        What a policy's `with_` takes.

    Raises:
        weft.errors.InvalidSetting: size is less than 1.
        TypeError: size is not a whole number.

    Example:
        >>> from weft.execution import dynamic_chunk_size
        >>> dynamic_chunk_size(8).size
        8
    """
    return _made("dynamic", size)


def guided_chunk_size(least: int | None = None, /) -> ChunkSize:
    """A share of what is left: large chunks at first, small ones at the end, taken by whichever worker is free.

    Args:
        least: elements that a chunk has at least, but for the last one; None for 1 (over buffers, for what the core
            finds best).

    Returns:
        What a policy's `with_` takes.

    Raises:
        weft.errors.InvalidSetting: least is less than 1.
        TypeError: least is not a whole number.

    Example:
        >>> from weft.execution import guided_chunk_size
        >>> guided_chunk_size().name
        'guided'
    """
    return _made("guided", least)


def auto_chunk_size() -> ChunkSize:
    """As many elements as take about two milliseconds, as measured while the algorithm runs. The default.

    Returns:
        What a policy's `with_` takes.

    Example:
        >>> from weft.execution import auto_chunk_size
        >>> auto_chunk_size()
        auto_chunk_size()
    """
    return ChunkSize("auto")
