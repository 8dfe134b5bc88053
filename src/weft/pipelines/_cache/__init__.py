"""Caches: where results of nodes are kept, by key.

    _base     what every cache can do, and the spec by which a worker makes its own
    _codec    values in bytes, with a checksum
    _memory   in this process          _disk     SQLite and files
    _entries  what keeps bytes elsewhere and may fail to:  _redis  _fsspec

A cache may be used by any number of threads. What is wrong with one (a damaged entry, a full disk)
costs time, never a result: it is a miss, and logged to ``weft.pipelines``.
"""

from __future__ import annotations

from weft.errors import InvalidSetting
from weft.pipelines._cache._base import Cache, CacheSpec

__all__ = ["Cache", "CacheSpec", "checked_cache"]


def checked_cache(value: object) -> Cache | None:
    """The cache of a configuration.

    Raises:
        InvalidSetting: It is none.
    """
    if value is None or isinstance(value, Cache):
        return value
    if isinstance(value, CacheSpec):
        return value.create()
    remedy = "give a cache of weft.pipelines, such as DiskCache('results'), a CacheSpec, or None"
    raise InvalidSetting(setting="cache", value=value, remedy=remedy)
