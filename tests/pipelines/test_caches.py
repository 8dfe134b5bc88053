"""What every cache can do; and what may befall one on disk: damage, other processes, no room, no leave to write."""

import logging
import multiprocessing
import os
import pickle
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.executors.child import wait_until
from tests.guards import PATIENCE, held, is_in_guard, is_interrupted
from weft._locks import Guard
from weft.errors import Interrupted, InvalidSetting
from weft.pipelines import Cache, CacheSpec, DiskCache, FsspecCache, MemoryCache, RedisCache, _digests, _work
from weft.pipelines._cache import _base

LARGE = list(range(100_000))


def made(kind: str, folder: Path, request: pytest.FixtureRequest) -> Cache:
    match kind:
        case "memory":
            return MemoryCache()
        case "disk":
            return DiskCache(folder / "cache")
        case "redis":
            return RedisCache(request.getfixturevalue("redis_server").url, prefix=f"{folder}:")
        case "fsspec-local":
            return FsspecCache(f"file://{folder}/cache")
        case _:
            return FsspecCache(f"memory:/{folder}")


@pytest.fixture(params=["memory", "disk", "redis", "fsspec-local", "fsspec-memory"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cache]:
    with made(request.param, tmp_path, request) as cache:
        yield cache


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[DiskCache]:
    with DiskCache(tmp_path / "cache") as cache:
        yield cache


@pytest.mark.parametrize(
    "value",
    [None, 0, "text", b"", 1.5, [1, [2]], {"a": (1, 2)}, {3}, LARGE, b"x" * 100_000],
    ids=lambda v: type(v).__name__,
)
def test_what_is_put_is_found(cache: Cache, value: object) -> None:
    missing = object()
    assert cache.get(b"key", missing) is missing
    cache.put(b"key", value, node="n", seconds=1)
    assert cache.contains(b"key")
    assert not cache.contains(b"other")
    assert cache.get(b"key", missing) == value
    assert len(cache) == 1
    assert (cache.stats.hits, cache.stats.misses, cache.stats.stored) == (1, 1, 1)
    cache.clear()
    assert cache.get(b"key", missing) is missing
    assert len(cache) == 0


def test_each_hit_is_an_object_of_its_own(cache: Cache) -> None:
    value = [1]
    cache.put(b"key", value)
    value.append(2)
    cache.get(b"key").append(3)
    assert cache.get(b"key") == [1]


def test_it_is_pickled_as_its_spec(disk: DiskCache) -> None:
    disk.put(b"key", 1, seconds=1)
    copy = pickle.loads(pickle.dumps(disk))
    assert copy.get(b"key") == 1
    assert pickle.loads(pickle.dumps(disk)) is copy
    copy.close()
    with pytest.raises(InvalidSetting, match="did you mean 'disk'"):
        CacheSpec("disc", "x").create()


def test_a_memory_cache_is_bounded() -> None:
    cache = MemoryCache(max_entries=2)
    for number in range(3):
        cache.put(b"%d" % number, number)
        cache.get(b"0")
    assert [cache.get(b"%d" % number) for number in range(3)] == [0, None, 2]
    small = MemoryCache(max_bytes=10_000)
    for number in range(10):
        small.put(b"%d" % number, "x" * 3000)
    assert 1 <= len(small) <= 3
    for wrong in ({"max_bytes": 0}, {"max_entries": 0}):
        with pytest.raises(InvalidSetting, match=next(iter(wrong))):
            MemoryCache(**wrong)


def test_a_disk_cache_is_bounded_and_drops_what_was_not_used(tmp_path: Path) -> None:
    with DiskCache(tmp_path, max_bytes=400_000) as cache:
        for number in range(12):
            cache.put(b"large %d" % number, os.urandom(50_000), seconds=1)
            assert cache.get(b"large 0") is not None
        assert cache.bytes <= 400_000
        assert cache.contains(b"large 11")
        assert cache.contains(b"large 0")
        assert not cache.contains(b"large 1")
        assert len([*(tmp_path / "blobs").glob("*/*")]) == len(cache)


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "inline"])
def test_a_damaged_entry_is_a_miss_with_a_warning(
    disk: DiskCache, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    disk.put(b"key", [1] if damage == "inline" else LARGE, seconds=1)
    if damage == "inline":
        disk.close()
        with sqlite3.connect(disk.path / "results.sqlite") as database:
            (value,) = database.execute("SELECT value FROM entries").fetchone()
            database.execute("UPDATE entries SET value = ?", (value[:-1] + bytes([value[-1] ^ 1]),))
        database.close()
    else:
        (blob,) = (disk.path / "blobs").glob("*/*")
        data = bytearray(blob.read_bytes())
        data[len(data) // 2] ^= 1
        blob.unlink() if damage == "gone" else blob.write_bytes(data if damage == "flipped" else data[:100])
    with caplog.at_level(logging.WARNING, "weft.pipelines"):
        assert disk.get(b"key", "none") == "none"
    assert "is damaged" in caplog.text
    assert disk.stats.damaged == 1
    assert not disk.contains(b"key")
    disk.put(b"key", [2], seconds=1)
    assert disk.get(b"key") == [2]


def test_a_database_that_is_none_is_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "results.sqlite").write_bytes(b"this is no database" * 1000)
    with caplog.at_level(logging.WARNING, "weft.pipelines"), DiskCache(tmp_path) as cache:
        cache.put(b"key", 1, seconds=1)
        assert cache.get(b"key") == 1
    assert "is put aside" in caplog.text
    assert (tmp_path / "results.sqlite.damaged").exists()


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidSetting, match="path=.*it cannot be written .*: give a folder that can"):
        DiskCache(tmp_path / "file" / "cache")
    with pytest.raises(InvalidSetting, match="give the path of a folder"):
        DiskCache(3)


def test_what_cannot_be_pickled_is_not_kept_and_told_once(disk: DiskCache, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "weft.pipelines"):
        for _ in range(3):
            disk.put(b"key", threading.Lock(), node="locks")
    assert caplog.text.count("what node 'locks' gives is not cached") == 1
    assert disk.get(b"key", "none") == "none"


def test_no_room_is_told_and_nothing_else_lost(disk: DiskCache, caplog: pytest.LogCaptureFixture) -> None:
    disk.put(b"before", 1, seconds=1)
    pages = disk._connection_lock_held().execute("PRAGMA page_count").fetchone()[0]
    disk._connection_lock_held().execute(f"PRAGMA max_page_count = {pages}")
    with caplog.at_level(logging.WARNING, "weft.pipelines"):
        for number in range(100):
            disk.put(b"%d" % number, os.urandom(10_000), seconds=1)
    assert "full" in caplog.text
    assert disk.get(b"before") == 1


def _fill(path: str, number: int) -> None:
    with DiskCache(path) as cache:
        for one in range(200):
            cache.put(b"%d" % one, one, seconds=one % 2)
            assert cache.get(b"%d" % one) == one


def test_processes_share_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=_fill, args=(str(tmp_path), number)) for number in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(50)
    assert [child.exitcode for child in children] == [0, 0, 0]
    with DiskCache(tmp_path) as cache:
        assert len(cache) == 200


def test_a_new_folder_is_opened_by_many_at_once(tmp_path: Path) -> None:
    def opened(folder: Path) -> None:
        barrier.wait()
        with DiskCache(folder) as cache:
            cache.put(b"key", 1)

    barrier = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        for number in range(25):
            list(pool.map(opened, [tmp_path / str(number)] * 4))


def test_threads_share_one(cache: Cache) -> None:
    barrier, failures = threading.Barrier(4), []

    def work() -> None:
        barrier.wait()
        try:
            for one in range(200):
                cache.put(b"%d" % one, [one])
                assert cache.get(b"%d" % one) == [one]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_a_connection_of_its_own(disk: DiskCache) -> None:
    disk.put(b"key", 1, seconds=1)
    child = os.fork()
    if not child:
        try:
            disk.put(b"child", 2, seconds=1)
            os._exit(0 if disk.get(b"key") == 1 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert disk.get(b"child") == 2


# ---- their locks -----------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "disk", "redis"])
def guarded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Cache, Guard]]:
    with made(request.param, tmp_path, request) as cache:
        yield cache, cache._guard


@pytest.mark.parametrize("method", ["get", "put", "history", "clear"])
def test_a_memory_cache_is_used_by_one_thread_at_a_time(method: str) -> None:
    """On the free-threaded 3.13 an `OrderedDict` has no lock of its own."""
    cache = MemoryCache()
    cache.put(b"key", 1, node="n")
    arguments = {"get": (b"key",), "put": (b"other", 2), "history": ("n",), "clear": ()}[method]
    other = threading.Thread(target=getattr(cache, method), args=arguments)
    with held(cache._guard):
        other.start()
        wait_until(lambda: is_in_guard(other) or not other.is_alive(), "it waits or is done")
        assert other.is_alive()
    other.join(PATIENCE)
    assert not other.is_alive()


def test_who_is_interrupted_as_it_waits_for_a_cache_leaves_it_usable(guarded: tuple[Cache, Guard]) -> None:
    cache, guard = guarded
    cache.put(b"key", 1, seconds=1)
    assert is_interrupted(guard, lambda: cache.get(b"key"))
    assert cache.get(b"key") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_uses_a_cache_that_another_thread_was_using(guarded: tuple[Cache, Guard]) -> None:
    cache, guard = guarded
    cache.put(b"key", 1, seconds=1)
    with held(guard):
        assert in_child(lambda: cache.get(b"key")) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_the_locks_of_all_caches_and_works_free() -> None:
    def use() -> int:
        assert CacheSpec("memory").create().get(b"key") is None
        assert _digests.function_digest(lambda: 1)
        return len(_work._received("token", pickle.dumps((None, (), {}))).options)

    with held(_base._guard), held(_digests._guard), held(_work._guard):
        assert in_child(use) == 0


def in_child(body: Callable[[], int]) -> int:
    """What a function gives in a forked child; -1 if it fails there, or waits."""
    child = os.fork()
    if not child:
        signal.alarm(10)
        try:
            os._exit(body())
        finally:
            os._exit(255)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return -1 if status == 255 else status


# ---- what a disk cache has not recorded yet --------------------------------------------------------------


class Growing(set[bytes]):
    """Is added to as it is iterated over, as by a hit in another thread."""

    def __iter__(self) -> Iterator[bytes]:
        for one in super().__iter__():
            self.add(one + b"'")
            yield one


def test_a_hit_may_come_while_results_are_recorded(disk: DiskCache) -> None:
    disk._touched = Growing([b"key"])
    disk.put(b"key", 1, seconds=1)
    disk.close()
    assert disk.get(b"key") == 1


class Interrupting:
    """A connection whose user is interrupted when a statement has been executed."""

    def __init__(self, database: sqlite3.Connection, after: str) -> None:
        self._database = database
        self._after = after

    def execute(self, statement: str, *rest: Any) -> Any:
        result = self._database.execute(statement, *rest)
        if statement == self._after:
            self._after = ""
            raise Interrupted("now")
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


@pytest.mark.parametrize("after", ["BEGIN IMMEDIATE", "SELECT bytes FROM totals", "COMMIT"])
def test_what_an_interrupt_has_kept_from_being_recorded_is_recorded_later(disk: DiskCache, after: str) -> None:
    disk.put(b"key", [1])
    disk._database = Interrupting(disk._connection_lock_held(), after)
    with pytest.raises(Interrupted):
        disk.flush()
    assert disk.get(b"key") == [1]
    disk.put(b"other", [2], seconds=1)
    with DiskCache(disk.path) as another:
        assert (another.get(b"key"), another.get(b"other")) == ([1], [2])
