"""`DiskCache`: results in a folder: small ones in SQLite, large ones in files beside it.

Safe between processes: SQLite's write-ahead log has one writer at a time and readers that need not wait. Atomic
under kill -9: a row is there whole or not at all, and a file is renamed into place before the row that names it is
written. Entries have checksums besides, for what no journal guards against.

A result that took longer than `QUICK` to make is recorded at once. Quicker ones are recorded together, some hundred at
a time or after `DELAY` seconds: to commit each would take longer than to make it.
What is wrong (no room, a damaged file) is logged and counts as a miss; a database that is none is put aside.

Any thread; a connection in each process. Pinned by tests/pipelines/test_caches.py and test_resume.py.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from weft._locks import Guard
from weft.errors import InvalidSetting
from weft.pipelines._cache._base import Cache, CacheSpec
from weft.pipelines._cache._codec import Damaged, Unkept, decode, encode
from weft.pipelines._cache._memory import checked_bytes

__all__ = ["DiskCache"]

logger = logging.getLogger("weft.pipelines")

INLINE = 16_384
"""Bytes of an entry that still goes into the database."""

PATIENCE = 30.0
"""Seconds that a connection waits for the others."""

QUICK = 0.001
DELAY = 0.05
BATCH = 256

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    key BLOB PRIMARY KEY, value BLOB, size INTEGER NOT NULL, node TEXT NOT NULL, parts BLOB, used REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS by_use ON entries (used);
CREATE INDEX IF NOT EXISTS by_node ON entries (node);
CREATE TABLE IF NOT EXISTS totals (one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL);
INSERT OR IGNORE INTO totals VALUES (1, 0);
CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON entries BEGIN UPDATE totals SET bytes = bytes + NEW.size; END;
CREATE TRIGGER IF NOT EXISTS gone AFTER DELETE ON entries BEGIN UPDATE totals SET bytes = bytes - OLD.size; END;
"""

type _Pending = tuple[bytes | None, int, str, bytes]  # the entry, unless it is in a file; its size, node and parts


class DiskCache(Cache):
    """Keeps results in a folder, for this program's next run and for all processes that name the same folder.

    Args:
        path: The folder; made if it is not there.
        max_bytes: What all results may take together; the ones that were not used for longest make room.

    Raises:
        InvalidSetting: The folder cannot be made or written.

    Example:
        >>> import tempfile
        >>> from weft.pipelines import DiskCache
        >>> with tempfile.TemporaryDirectory() as folder, DiskCache(folder) as cache:
        ...     cache.put(b"key", [1, 2])
        ...     cache.get(b"key"), cache.get(b"other", "none")
        ([1, 2], 'none')
    """

    def __init__(self, path: str | os.PathLike[str], max_bytes: int = 10 << 30) -> None:
        super().__init__()
        self.max_bytes = checked_bytes(max_bytes)
        try:
            self.path = Path(path).absolute()
        except TypeError:
            raise InvalidSetting(setting="path", value=path, remedy="give the path of a folder") from None
        self._guard = Guard()
        self._database: sqlite3.Connection | None = None
        self._pid = 0
        self._pending: dict[bytes, _Pending] = {}
        self._since = 0.0
        self._touched: set[bytes] = set()
        try:
            (self.path / "blobs").mkdir(parents=True, exist_ok=True)
            self._connection_lock_held().execute("UPDATE totals SET bytes = bytes")
        except (OSError, sqlite3.Error) as error:
            remedy = f"it cannot be written ({error}): give a folder that can"
            raise InvalidSetting(setting="path", value=str(path), remedy=remedy) from error

    @property
    def spec(self) -> CacheSpec:
        return CacheSpec("disk", str(self.path), {"max_bytes": self.max_bytes})

    def __repr__(self) -> str:
        return f"<DiskCache {str(self.path)!r}>"

    def __len__(self) -> int:
        return self._ask(lambda database: database.execute("SELECT count(*) FROM entries").fetchone()[0], 0)

    @property
    def bytes(self) -> int:
        """What all results take."""
        return self._ask(lambda database: database.execute("SELECT bytes FROM totals").fetchone()[0], 0)

    # ---- one result -----------------------------------------------------------------------------------

    def get(self, key: bytes, default: Any = None) -> Any:
        entry = self._entry(key)
        if entry is None:
            self.stats.misses += 1
            return default
        try:
            value = decode(entry)
        except Damaged as error:
            self._damaged(key, error)
            return default
        self.stats.hits += 1
        self._touched.add(key)
        return value

    def _entry(self, key: bytes) -> bytes | None:
        pending = self._pending.get(key)
        if pending is not None and pending[0] is not None:
            return pending[0]
        row = self._ask(
            lambda database: database.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone(), None
        )
        if row is None and pending is None:
            return None
        if row is not None and row[0] is not None:
            return row[0]
        try:
            return self._blob(key).read_bytes()
        except OSError:
            return b""  # gone: as good as damaged

    def _damaged(self, key: bytes, error: Damaged) -> None:
        logger.warning("a cached result in %s is damaged (%s): it is dropped, and made anew", self.path, error)
        self.stats.damaged += 1
        self.stats.misses += 1
        self._guard(self._drop_lock_held, key)

    def _drop_lock_held(self, key: bytes) -> None:
        self._pending.pop(key, None)
        self._ask(lambda database: database.execute("DELETE FROM entries WHERE key = ?", (key,)), None)

    def put(self, key: bytes, value: Any, *, node: str = "", seconds: float = 0.0, parts: bytes = b"") -> None:
        try:
            entry = encode(value)
            size = len(entry)
            inline: bytes | None = entry
            if size > INLINE:
                self._write_blob(key, entry)
                inline = None
        except Unkept as error:
            self._refuse(f"what node {node!r} gives is not cached", error)
            return
        except OSError as error:
            self._refuse(f"nothing can be kept in {self.path}", error)
            return
        self._guard(self._put_lock_held, key, (inline, size, node, parts), seconds)

    def _put_lock_held(self, key: bytes, result: _Pending, seconds: float) -> None:
        if not self._pending:
            self._since = time.monotonic()
        self._pending[key] = result
        self.stats.stored += 1
        late = time.monotonic() - self._since > DELAY
        if seconds >= QUICK or late or len(self._pending) >= BATCH:
            self.flush()

    def contains(self, key: bytes) -> bool:
        if key in self._pending:
            return True
        query = "SELECT 1 FROM entries WHERE key = ?"
        return self._ask(lambda database: database.execute(query, (key,)).fetchone(), None) is not None

    def history(self, node: str) -> list[bytes]:
        self.flush()
        query = "SELECT parts FROM entries WHERE node = ? ORDER BY rowid DESC LIMIT 1000"
        rows: list[tuple[bytes]] = self._ask(lambda database: database.execute(query, (node,)).fetchall(), [])
        return [row[0] for row in rows]

    # ---- all of them ----------------------------------------------------------------------------------

    def flush(self) -> None:
        """Records what waits to be recorded."""
        self._guard(self._flush_lock_held)

    def _flush_lock_held(self) -> None:
        if not self._pending and len(self._touched) < 1000:
            return
        pending, touched = self._pending, self._touched
        self._pending, self._touched = {}, set()
        try:
            self._ask(lambda database: self._record(database, pending, touched), None)
        except BaseException:  # nothing is wrong with the disk: this thread was interrupted, say
            self._pending = pending | self._pending
            raise

    def _record(self, database: sqlite3.Connection, pending: dict[bytes, _Pending], touched: set[bytes]) -> None:
        now = time.time()
        rows = [(key, value, size, node, parts, now) for key, (value, size, node, parts) in pending.items()]
        dropped: list[bytes] = []
        try:
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", rows)
            used = [(now, key) for key in frozenset(touched)]  # a copy: a hit that came meanwhile adds to it
            database.executemany("UPDATE entries SET used = ? WHERE key = ?", used)
            if database.execute("SELECT bytes FROM totals").fetchone()[0] > self.max_bytes:
                dropped = self._evict(database)
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        for key in dropped:
            self._blob(key).unlink(missing_ok=True)

    def _evict(self, database: sqlite3.Connection) -> list[bytes]:
        """Drops what was not used for longest, to a tenth below the bound; gives the keys of those in files."""
        dropped: list[bytes] = []
        while database.execute("SELECT bytes FROM totals").fetchone()[0] > self.max_bytes * 0.9:
            query = "SELECT key, value IS NULL FROM entries ORDER BY used, rowid LIMIT 64"
            oldest: list[tuple[bytes, int]] = database.execute(query).fetchall()
            if not oldest:
                break
            for key, is_file in oldest:
                database.execute("DELETE FROM entries WHERE key = ?", (key,))
                if is_file:
                    dropped.append(key)
                if database.execute("SELECT bytes FROM totals").fetchone()[0] <= self.max_bytes * 0.9:
                    break
        return dropped

    def clear(self) -> None:
        self._guard(self._clear_lock_held)

    def _clear_lock_held(self) -> None:
        self._pending.clear()
        self._ask(lambda database: database.execute("DELETE FROM entries"), None)
        for blob in (self.path / "blobs").glob("*/*"):
            blob.unlink(missing_ok=True)

    def close(self) -> None:
        self._guard(self._close_lock_held)

    def _close_lock_held(self) -> None:
        self.flush()
        database, self._database = self._database, None
        if database is not None and self._pid == os.getpid():
            database.close()

    # ---- files ------------------------------------------------------------------------------------------

    def _blob(self, key: bytes) -> Path:
        name = key.hex()
        return self.path / "blobs" / name[:2] / name

    def _write_blob(self, key: bytes, entry: bytes) -> None:
        blob = self._blob(key)
        blob.parent.mkdir(exist_ok=True)
        part = blob.with_name(f"{blob.name}.{os.getpid()}.{threading.get_ident()}.part")
        try:
            part.write_bytes(entry)
            os.replace(part, blob)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def _connection_lock_held(self) -> sqlite3.Connection:
        if self._database is None or self._pid != os.getpid():  # of the parent's, before a fork: not to be used
            self._database, self._pid = self._opened(), os.getpid()
        return self._database

    def _opened(self) -> sqlite3.Connection:
        file = self.path / "results.sqlite"
        end, damaged = time.monotonic() + PATIENCE, False
        while True:
            database = sqlite3.connect(file, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
            try:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = NORMAL")
                database.executescript(_SCHEMA)
                return database
            except sqlite3.OperationalError as error:
                database.close()
                # SQLite does not wait by itself where several make a new file a write-ahead log's.
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    raise
                time.sleep(0.01)
            except sqlite3.DatabaseError as error:
                database.close()
                if damaged:
                    raise
                damaged = True
                self._put_aside(file, error)

    def _put_aside(self, file: Path, error: sqlite3.Error) -> None:
        logger.warning("the cache %s is damaged (%s): it is put aside, and begun anew", file, error)
        self.stats.damaged += 1
        for name in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
            if name.exists():
                os.replace(name, name.with_name(f"{name.name}.damaged"))

    def _ask[T](self, question: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Asks the database; what it cannot answer costs a miss."""
        return self._guard(self._ask_lock_held, question, otherwise)

    def _ask_lock_held[T](self, question: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        try:
            return question(self._connection_lock_held())
        except sqlite3.OperationalError as error:
            self._refuse(f"the cache {self.path} cannot be used", error)
        except sqlite3.DatabaseError as error:
            database, self._database = self._database, None
            if database is not None:
                database.close()
                self._put_aside(self.path / "results.sqlite", error)
        except OSError as error:
            self._refuse(f"the cache {self.path} cannot be used", error)
        return otherwise
