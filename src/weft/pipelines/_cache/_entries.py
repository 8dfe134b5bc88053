"""`EntryCache`: what caches have in common that keep bytes somewhere else, and may fail to.

One says how an entry is loaded, stored and dropped; what goes wrong there is logged once, and is a miss.
Pinned by tests/pipelines/test_caches.py.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from weft.errors import InvalidSetting
from weft.pipelines._cache._base import Cache
from weft.pipelines._cache._codec import Damaged, Unkept, decode, encode

__all__ = ["EntryCache", "checked_text"]

logger = logging.getLogger("weft.pipelines")

HISTORY = 1000
"""Keys of a node whose parts are kept, to explain a miss."""


class EntryCache(Cache):
    """Keeps entries where `_load`, `_store` and the others say; each may raise what it likes."""

    where: str
    """What a message calls the place: without passwords."""

    @abstractmethod
    def _load(self, key: bytes) -> bytes | None:
        """The entry, or None."""

    @abstractmethod
    def _store(self, key: bytes, entry: bytes, node: str, parts: bytes) -> None:
        """Keeps an entry, and remembers what the key is made of."""

    @abstractmethod
    def _drop(self, key: bytes) -> None:
        """Drops an entry, if there is one."""

    @abstractmethod
    def _has(self, key: bytes) -> bool:
        """Whether there is an entry."""

    @abstractmethod
    def _count(self) -> int:
        """How many entries there are."""

    @abstractmethod
    def _parts(self, node: str) -> list[bytes]:
        """What the node's keys are made of; the newest first."""

    @abstractmethod
    def _drop_all(self) -> None:
        """Drops everything of this cache, and nothing else that is there."""

    def get(self, key: bytes, default: Any = None) -> Any:
        entry = self._ask(lambda: self._load(key), None)
        if entry is not None:
            try:
                value = decode(entry)
            except Damaged as error:
                logger.warning("a cached result in %s is damaged (%s): it is dropped, and made anew", self.where, error)
                self.stats.damaged += 1
                self._ask(lambda: self._drop(key), None)
            else:
                self.stats.hits += 1
                return value
        self.stats.misses += 1
        return default

    def put(self, key: bytes, value: Any, *, node: str = "", seconds: float = 0.0, parts: bytes = b"") -> None:
        try:
            entry = encode(value)
        except Unkept as error:
            self._refuse(f"what node {node!r} gives is not cached", error)
            return
        if self._ask(lambda: (self._store(key, entry, node, parts), True)[1], False):
            self.stats.stored += 1

    def contains(self, key: bytes) -> bool:
        return self._ask(lambda: self._has(key), False)

    def history(self, node: str) -> list[bytes]:
        return self._ask(lambda: self._parts(node), list[bytes]())

    def clear(self) -> None:
        self._ask(self._drop_all, None)

    def __len__(self) -> int:
        return self._ask(self._count, 0)

    def _ask[T](self, question: Callable[[], T], otherwise: T) -> T:
        try:
            return question()
        except MemoryError:
            raise
        except Exception as error:  # of any client and any file system
            self._refuse(f"the cache {self.where} cannot be used", error)
            return otherwise


def checked_text(setting: str, value: object, remedy: str) -> str:
    """Refuses what is no text, or empty."""
    if isinstance(value, str) and value:
        return value
    raise InvalidSetting(setting=setting, value=value, remedy=remedy)
