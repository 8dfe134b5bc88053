"""What every cache can do; and `CacheSpec`, which says how to make one somewhere else.

A cache is pickled as its spec, and made of it where it is first used: once in each process for each spec.
Pinned by tests/pipelines/test_caches.py, which runs against all kinds.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from weft._locks import Guard
from weft.errors import InvalidSetting

__all__ = ["Cache", "CacheSpec", "CacheStats"]

logger = logging.getLogger("weft.pipelines")

KINDS = {"memory": "MemoryCache", "disk": "DiskCache", "redis": "RedisCache", "fsspec": "FsspecCache"}


@dataclass(slots=True)
class CacheStats:
    """What a cache has done in this process. On free threads, all but that of a `MemoryCache` is approximate.

    Attributes:
        hits: Results that were found.
        misses: Results that were not.
        stored: Results that were put there.
        damaged: Entries that were found damaged, and dropped.
        refused: Results that could not be kept.
    """

    hits: int = 0
    misses: int = 0
    stored: int = 0
    damaged: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class CacheSpec:
    """How to make a cache: plain data, for the far side.

    Attributes:
        kind: "memory", "disk", "redis" or "fsspec".
        path: Where it is: a folder or an address; None for memory.
        options: What else its class takes, by name.

    Example:
        >>> from weft.pipelines import CacheSpec
        >>> CacheSpec("memory", None, {"max_entries": 10}).create()
        <MemoryCache: 0 entries>
    """

    kind: str
    path: str | None = None
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    def create(self) -> Cache:
        """The cache; the same one each time in a process.

        Raises:
            InvalidSetting: There is no such kind.
            TypeError: Its class has no such option.
        """
        key = (self.kind, self.path, tuple(sorted((name, repr(value)) for name, value in self.options.items())))
        return _guard(self._create_lock_held, key)

    def _create_lock_held(self, key: object) -> Cache:
        found = _made.get(key)
        if found is None or found.closed:
            found = _made[key] = self._make()
        return found

    def _make(self) -> Cache:
        if self.kind not in KINDS:
            raise InvalidSetting(setting="kind", value=self.kind, allowed=tuple(KINDS))
        from importlib import import_module

        module = import_module(f"weft.pipelines._cache._{self.kind}")
        make: Callable[..., Cache] = getattr(module, KINDS[self.kind])
        return make(**self.options) if self.path is None else make(self.path, **self.options)


_guard = Guard()
_made: dict[object, Cache] = {}


class Cache(ABC):
    """Where results are kept. Any thread.

    Attributes:
        stats: What it has done in this process.
        is_shared: Whether one that is made of its spec in another process finds what is in this one.
        closed: Whether it has been closed.

    Example:
        >>> from weft.pipelines import Cache, MemoryCache
        >>> isinstance(MemoryCache(), Cache)
        True
    """

    is_shared = True
    closed = False

    def __init__(self) -> None:
        self.stats = CacheStats()
        self._told: set[tuple[str, type[BaseException]]] = set()

    @property
    @abstractmethod
    def spec(self) -> CacheSpec:
        """How to make it elsewhere."""

    @abstractmethod
    def get(self, key: bytes, default: Any = None) -> Any:
        """What is kept under a key, or the default."""

    @abstractmethod
    def put(self, key: bytes, value: Any, *, node: str = "", seconds: float = 0.0, parts: bytes = b"") -> None:
        """Keeps a value, if it can be.

        Args:
            key: The key.
            value: The value.
            node: The node that made it.
            seconds: How long that took.
            parts: What the key is made of, to explain a miss.
        """

    def history(self, node: str) -> list[bytes]:
        """What the keys of a node's results were made of, as far as that is known; the newest first."""
        return []

    @abstractmethod
    def contains(self, key: bytes) -> bool:
        """Whether something is kept under a key; it may still turn out to be damaged."""

    @abstractmethod
    def clear(self) -> None:
        """Drops everything."""

    @abstractmethod
    def __len__(self) -> int:
        """How many results are kept."""

    def flush(self) -> None:  # noqa: B027  # most have nothing to do
        """Has all that was put recorded for good."""

    def close(self) -> None:
        """Lets go of files and connections. Using it again opens them again."""
        self.flush()

    def _refuse(self, what: str, error: BaseException) -> None:
        """Tells what cannot be done: once for each kind of error, whose text may name another file each time."""
        self.stats.refused += 1
        kind = what, type(error)
        if kind not in self._told:
            self._told.add(kind)
            logger.warning("%s: %s; the pipeline goes on without", what, error)

    def __bool__(self) -> bool:
        return True

    def __reduce__(self) -> Any:
        return _create, (self.spec,)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _create(spec: CacheSpec) -> Cache:
    return spec.create()
