"""`FsspecCache`: results in files of any file system that fsspec knows: S3, GCS, Azure, SSH, HDFS, memory.

An entry is a file, `entries/ab/abcd…`; what its key is made of is another, in a folder of the node. Where files can be
renamed at no cost, which is the local disk, an entry is renamed into place; object stores put a file there whole or not
at all. An entry that was torn nevertheless has a wrong checksum, and is a miss.
Nothing makes room: what is old is for the store's own rules to drop.
Pinned by tests/pipelines/test_caches.py and test_fsspec.py.
"""

from __future__ import annotations

import os
import posixpath
import threading
from contextlib import suppress
from hashlib import blake2b
from typing import Any

from weft.errors import InvalidSetting, MissingDependency
from weft.pipelines._cache._base import CacheSpec
from weft.pipelines._cache._entries import HISTORY, EntryCache, checked_text
from weft.pipelines._extras import imported

__all__ = ["FsspecCache"]


class FsspecCache(EntryCache):
    """Keeps results in the files of a folder, wherever fsspec finds that (extra ``fsspec``).

    Args:
        url: The folder, such as ``"s3://bucket/results"`` or ``"memory://results"``; it is made where it can be.
        storage_options: What the file system takes, such as ``{"anon": True}``.

    Raises:
        InvalidSetting: The folder cannot be written, or there is no such file system.
        MissingDependency: fsspec is not installed, or what it needs for this kind of address.

    Example:
        >>> from weft.pipelines import FsspecCache
        >>> cache = FsspecCache("memory://results")
        >>> cache.put(b"key", [1, 2])
        >>> cache.get(b"key"), cache.get(b"other", "none")
        ([1, 2], 'none')
    """

    def __init__(self, url: str, *, storage_options: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.url = self.where = checked_text("url", url, "give the address of a folder, such as 's3://bucket/results'")
        self.storage_options = dict(storage_options or {})
        core = imported("fsspec.core", "fsspec")
        try:
            self._files, self._root = core.url_to_fs(url, **self.storage_options)
        except ImportError as error:
            raise MissingDependency(f"the file system of {url!r} needs a package: {error}", extra="fsspec") from error
        except (TypeError, ValueError) as error:
            raise InvalidSetting(setting="url", value=url, remedy=f"there is no such file system ({error})") from error
        protocol: str | tuple[str, ...] = self._files.protocol
        protocols = (protocol,) if isinstance(protocol, str) else protocol
        self._renames = "file" in protocols
        self.is_shared = "memory" not in protocols
        try:
            self._write(self._at("mark"), b"weft")
        except Exception as error:
            raise InvalidSetting(
                setting="url", value=url, remedy=f"it cannot be written ({error}): give a folder that can"
            ) from error

    @property
    def spec(self) -> CacheSpec:
        return CacheSpec("fsspec", self.url, {"storage_options": self.storage_options})

    def __repr__(self) -> str:
        return f"<FsspecCache {self.url!r}>"

    def _at(self, *names: str) -> str:
        return posixpath.join(self._root, *names)

    def _entry(self, key: bytes) -> str:
        name = key.hex()
        return self._at("entries", name[:2], name)

    def _node(self, node: str) -> str:
        return self._at("nodes", blake2b(node.encode(), digest_size=12).hexdigest())

    def _write(self, path: str, data: bytes) -> None:
        self._files.makedirs(posixpath.dirname(path), exist_ok=True)
        if not self._renames:
            self._files.pipe_file(path, data)
            return
        part = f"{path}.{os.getpid()}.{threading.get_ident()}.part"
        try:
            self._files.pipe_file(part, data)
            os.replace(part, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(part)
            raise

    def _load(self, key: bytes) -> bytes | None:
        try:
            return self._files.cat_file(self._entry(key))
        except FileNotFoundError:
            return None

    def _store(self, key: bytes, entry: bytes, node: str, parts: bytes) -> None:
        self._write(posixpath.join(self._node(node), key.hex()), parts)
        self._write(self._entry(key), entry)

    def _drop(self, key: bytes) -> None:
        with suppress(FileNotFoundError):
            self._files.rm_file(self._entry(key))

    def _has(self, key: bytes) -> bool:
        return self._files.exists(self._entry(key))

    def _count(self) -> int:
        self._files.invalidate_cache()
        return sum(1 for path in self._files.find(self._at("entries")) if not path.endswith(".part"))

    def _parts(self, node: str) -> list[bytes]:
        self._files.invalidate_cache()
        found: list[str] = [path for path in self._files.find(self._node(node)) if not path.endswith(".part")]
        if len(found) > 1:
            with suppress(NotImplementedError):
                found.sort(key=self._files.modified, reverse=True)
        return [self._files.cat_file(path) for path in found[:HISTORY]]

    def _drop_all(self) -> None:
        for folder in ("entries", "nodes"):
            with suppress(FileNotFoundError):
                self._files.rm(self._at(folder), recursive=True)
        self._files.invalidate_cache()
