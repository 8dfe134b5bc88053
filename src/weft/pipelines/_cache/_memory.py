"""`MemoryCache`: results in this process.

A value is kept in bytes, like everywhere else: so each hit gives an object of its own, and nobody who changes one
changes what is kept. Plain values, which cannot change, are kept as they are; so is what cannot be pickled, which only
this process can have anyway.
Pinned by tests/pipelines/test_caches.py.
"""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from typing import Any

from weft._locks import Guard
from weft._payloads.pickling import dump, load
from weft.config import check_count
from weft.errors import InvalidSetting
from weft.pipelines._cache._base import Cache, CacheSpec

__all__ = ["MemoryCache", "checked_bytes"]

_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes})


class MemoryCache(Cache):
    """Keeps results in this process, those that were used last; workers in other processes have none of it.

    Args:
        max_bytes: What all of them may take, as far as it can be told; the ones that were not used for longest make
            room.
        max_entries: How many there may be. None: any number.

    Example:
        >>> from weft import RuntimeConfig
        >>> from weft.pipelines import MemoryCache, Pipeline, node
        >>> @node(output_name="square")
        ... def square(x: int) -> int:
        ...     print("computing")
        ...     return x * x
        >>> pipeline = Pipeline([square], config=RuntimeConfig(cache=MemoryCache()))
        >>> pipeline.run(x=3), pipeline.run(x=3)
        computing
        ({'square': 9}, {'square': 9})
    """

    is_shared = False

    def __init__(self, max_bytes: int = 1 << 30, max_entries: int | None = None) -> None:
        super().__init__()
        self.max_bytes = checked_bytes(max_bytes)
        self.max_entries = max_entries
        if max_entries is not None and (isinstance(max_entries, bool) or max_entries < 1):
            check_count("max_entries", max_entries)
        self._guard = Guard()
        self._entries: OrderedDict[bytes, tuple[bool, Any, int]] = OrderedDict()
        self._bytes = 0
        self._history: dict[str, deque[bytes]] = {}

    @property
    def spec(self) -> CacheSpec:
        return CacheSpec("memory", None, {"max_bytes": self.max_bytes, "max_entries": self.max_entries})

    def __repr__(self) -> str:
        return f"<MemoryCache: {len(self._entries)} entries>"

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes, default: Any = None) -> Any:
        entry = self._guard(self._found_lock_held, key)
        if entry is None:
            return default
        return load(entry[1]) if entry[0] else entry[1]

    def _found_lock_held(self, key: bytes) -> tuple[bool, Any, int] | None:
        entry = self._entries.get(key)
        if entry is None:
            self.stats.misses += 1
            return None
        self.stats.hits += 1
        self._entries.move_to_end(key)
        return entry

    def put(self, key: bytes, value: Any, *, node: str = "", seconds: float = 0.0, parts: bytes = b"") -> None:
        if type(value) in _PLAIN:
            entry = False, value, sys.getsizeof(value)
        else:
            data, _, _ = dump(value, None)
            entry = (False, value, sys.getsizeof(value)) if data is None else (True, data, len(data))
        self._guard(self._keep_lock_held, key, entry, node, parts)

    def _keep_lock_held(self, key: bytes, entry: tuple[bool, Any, int], node: str, parts: bytes) -> None:
        # An interrupt comes after a call: there is none between what is kept and how many bytes that is.
        before = self._entries.get(key)
        self._bytes += entry[2] - (0 if before is None else before[2])
        self._entries[key] = entry
        self._entries.move_to_end(key)
        self._history.setdefault(node, deque(maxlen=1000)).appendleft(parts)
        self.stats.stored += 1
        most = self.max_entries or sys.maxsize
        while self._entries and (self._bytes > self.max_bytes or len(self._entries) > most):
            oldest = next(iter(self._entries))
            self._bytes -= self._entries[oldest][2]
            del self._entries[oldest]

    def history(self, node: str) -> list[bytes]:
        return self._guard(self._history_lock_held, node)

    def _history_lock_held(self, node: str) -> list[bytes]:
        return [*self._history.get(node, ())]

    def contains(self, key: bytes) -> bool:
        return key in self._entries

    def clear(self) -> None:
        self._guard(self._clear_lock_held)

    def _clear_lock_held(self) -> None:
        self._bytes = 0
        self._entries.clear()


def checked_bytes(value: object) -> int:
    """``max_bytes``, if it is a number of bytes."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidSetting(setting="max_bytes", value=value, remedy="give a number of bytes, such as 1 << 30")
    return value
