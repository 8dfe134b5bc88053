"""`RedisCache`: results in a Redis server, for all machines that reach it.

An entry is one string, written in one round trip together with what its key is made of. How much is kept, and what
makes room, is the server's to say (`maxmemory`, with a policy such as `allkeys-lru`) or `expire`'s.
Pinned by tests/pipelines/test_caches.py and test_redis.py.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from weft._locks import Guard
from weft.config import check_seconds
from weft.errors import InvalidSetting
from weft.pipelines._cache._base import CacheSpec
from weft.pipelines._cache._entries import HISTORY, EntryCache, checked_text
from weft.pipelines._extras import imported

__all__ = ["RedisCache"]

PATIENCE = 5.0
"""Seconds within which a server has to answer."""

AT_ONCE = 500
"""Keys that one command asks for or drops."""


class RedisCache(EntryCache):
    """Keeps results in a Redis server (extra ``redis``).

    Args:
        url: Where it is, such as ``"redis://127.0.0.1:6379/0"``; ``rediss://`` for TLS, ``unix://`` for a socket.
        prefix: What the names of its keys begin with. Nothing else in the database is touched.
        expire: Seconds after which a result is dropped. None: when the server makes room.

    Raises:
        InvalidSetting: There is no such server, or it does not answer within 5 s.
        MissingDependency: The package redis is not installed.

    Example:
        A spec in its place connects no earlier than it is used:

        >>> from weft.pipelines import CacheSpec
        >>> CacheSpec("redis", "redis://127.0.0.1:6379/0", {"expire": 3600}).kind
        'redis'
    """

    def __init__(self, url: str, *, prefix: str = "weft:", expire: float | None = None) -> None:
        super().__init__()
        self.url = url
        self.prefix = checked_text("prefix", prefix, "give the beginning of its keys, such as 'weft:'")
        self.expire = check_seconds("expire", expire)
        self._prefix = prefix.encode()
        self._guard = Guard()
        self._client: Any = None
        self._pid = 0
        self.where = _without_password(url)
        client = self._connected()
        try:
            client.ping()
        except Exception as error:
            remedy = f"no Redis server answers there ({error}): start one, or give another address"
            raise InvalidSetting(setting="url", value=self.where, remedy=remedy) from error

    @property
    def spec(self) -> CacheSpec:
        return CacheSpec("redis", self.url, {"prefix": self.prefix, "expire": self.expire})

    def __repr__(self) -> str:
        return f"<RedisCache {self.where!r}>"

    def close(self) -> None:
        client = self._guard(self._taken_lock_held)
        if client is not None and self._pid == os.getpid():
            client.close()

    def _taken_lock_held(self) -> Any:
        client, self._client = self._client, None
        return client

    def _connected(self) -> Any:
        return self._guard(self._connected_lock_held)

    def _connected_lock_held(self) -> Any:
        if self._client is None or self._pid != os.getpid():  # not the parent's, after a fork
            self._client, self._pid = self._made(), os.getpid()
        return self._client

    def _made(self) -> Any:
        redis = imported("redis", "redis")
        try:
            return redis.Redis.from_url(self.url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)
        except (AttributeError, TypeError, ValueError) as error:
            remedy = f"{error}: give an address such as 'redis://127.0.0.1:6379/0'"
            raise InvalidSetting(setting="url", value=self.where, remedy=remedy) from None

    def _key(self, key: bytes) -> bytes:
        return self._prefix + b"entry:" + key

    def _node(self, node: str) -> bytes:
        return self._prefix + b"node:" + node.encode()

    def _load(self, key: bytes) -> bytes | None:
        return self._connected().get(self._key(key))

    def _store(self, key: bytes, entry: bytes, node: str, parts: bytes) -> None:
        pipe = self._connected().pipeline(transaction=False)
        pipe.set(self._key(key), entry, px=None if self.expire is None else max(1, round(self.expire * 1000)))
        pipe.lpush(self._node(node), parts)
        pipe.ltrim(self._node(node), 0, HISTORY - 1)
        pipe.execute()

    def _drop(self, key: bytes) -> None:
        self._connected().unlink(self._key(key))

    def _has(self, key: bytes) -> bool:
        return bool(self._connected().exists(self._key(key)))

    def _count(self) -> int:
        return sum(1 for _ in self._names(b"entry:"))

    def _parts(self, node: str) -> list[bytes]:
        return self._connected().lrange(self._node(node), 0, -1)

    def _drop_all(self) -> None:
        names = list(self._names(b""))
        for begin in range(0, len(names), AT_ONCE):
            self._connected().unlink(*names[begin : begin + AT_ONCE])

    def _names(self, kind: bytes) -> Any:
        pattern = b"".join(b"\\" + bytes([byte]) if byte in b"*?[]\\^-" else bytes([byte]) for byte in self._prefix)
        return self._connected().scan_iter(match=pattern + kind + b"*", count=AT_ONCE)


def _without_password(url: object) -> str:
    if not isinstance(url, str):
        return repr(url)
    try:
        password = urlsplit(url).password
    except ValueError:
        return url
    return url.replace(f":{password}@", ":***@", 1) if password else url
