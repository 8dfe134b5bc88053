"""Workers: made when needed and no more than allowed, named, and as many as before after whatever has happened."""

import os
import re
import threading
from concurrent.futures import Executor, Future
from typing import Any

import pytest

import weft
from tests.executors import tasks
from tests.executors.conftest import Pools
from tests.executors.flavors import PATIENCE, Can, needs

pytestmark = needs(Can.OVERLAP, Can.NAME_THREADS)


def at_full_strength(pool: Executor, workers: int) -> None:
    """So many tasks run at a time, and not one more."""
    together = threading.Barrier(workers)
    futures: list[Future[Any]] = [pool.submit(together.wait, PATIENCE) for _ in range(workers)]
    assert sorted(future.result(PATIENCE) for future in futures) == list(range(workers))
    lock, now, most = threading.Lock(), 0, 0

    def task() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        os.sched_yield() if hasattr(os, "sched_yield") else None
        with lock:
            now -= 1

    futures = [pool.submit(task) for _ in range(300)]
    assert all(future.result(PATIENCE) is None for future in futures)
    assert most <= workers


def test_threads_are_named_after_the_prefix(pools: Pools):
    pool = pools(5, thread_name_prefix="Special")
    with pools.held(pool, workers=5):
        names = {thread.name for thread in pool._threads}
    assert names == {f"Special_{number}" for number in range(5)}
    assert pool.submit(threading.current_thread).result(PATIENCE).name in names


def test_threads_are_named_without_a_prefix(pools: Pools):
    names: list[str] = []
    for _ in range(2):
        pool = pools(2)
        with pools.held(pool, workers=2):
            names += [thread.name for thread in pool._threads]
    assert all(re.fullmatch(r"ThreadPoolExecutor-\d+_[01]", name) for name in names), names
    assert len(set(names)) == 4


def test_threads_are_pythons_own(pools: Pools):
    pool = pools(2)
    with pools.held(pool, workers=2):
        assert pool._threads <= set(threading.enumerate())
        assert all(thread.is_alive() and thread.ident for thread in pool._threads)
    thread = pool.submit(threading.current_thread).result(PATIENCE)
    assert thread in pool._threads
    assert thread is not threading.main_thread()


@pytest.mark.deadline(20)
def test_threads_start_where_a_wake_up_is_lost(monkeypatch: pytest.MonkeyPatch):
    """As on the free-threaded 3.13, whose `Thread.start()` may wait for ever for a thread that has begun."""
    monkeypatch.setattr(threading.Condition, "notify_all", lambda _: None)
    with weft.executors.ThreadPoolExecutor(2) as pool:
        assert pool.submit(abs, -1).result(PATIENCE) == 1


def test_threads_are_made_on_demand(pools: Pools):
    pool = pools(50)
    assert len(pool._threads) == 0
    for _ in range(20):
        pool.submit(tasks.nothing).result(PATIENCE)
    assert 1 <= len(pool._threads) < 50


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_no_more_than_max_workers(pools: Pools, workers: int):
    pool = pools(workers)
    with pools.held(pool, workers=workers):
        for _ in range(50):
            pool.submit(tasks.nothing)
        assert len(pool._threads) == workers
        assert pool._max_workers == workers
        assert pool._work_queue.qsize() == 50
    at_full_strength(pool, workers)


def test_the_default_is_counted_from_the_usable_cpus(pools: Pools):
    expected = min(32, weft.capabilities().cpu_count + 4)
    for pool in (pools.flavor.make(), pools.flavor.make(None), pools.flavor.make(max_workers=None)):
        assert pool._max_workers == expected
        pool.shutdown()


def test_thread_locals_stay_with_the_thread(one: Executor):
    local = threading.local()

    def count() -> int:
        local.count = getattr(local, "count", 0) + 1
        return local.count

    assert [one.submit(count).result(PATIENCE) for _ in range(5)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("error", [SystemExit(), KeyboardInterrupt(), GeneratorExit(), tasks.Unrelated()], ids=repr)
def test_full_strength_after_tasks_that_raise(pools: Pools, error: BaseException):
    pool = pools(3)
    for future in [pool.submit(tasks.fail, error) for _ in range(30)]:
        assert future.exception(PATIENCE) is error
    at_full_strength(pool, 3)


@needs(Can.HELP)
@pytest.mark.parametrize("way", ["help", "stand-in"])
def test_full_strength_after_tasks_that_waited_for_others(pools: Pools, way: str):
    """Where a worker that waits has a stand-in, the surplus worker goes again."""
    pool = pools(2)

    def outer() -> int:
        inner = pool.submit(tasks.echo, 5)
        if way == "stand-in":
            own = threading.Event()
            inner.add_done_callback(lambda f: own.set())
            from concurrent.futures import wait

            wait([inner], PATIENCE)
        return inner.result(PATIENCE)

    assert [future.result(PATIENCE) for future in [pool.submit(outer) for _ in range(50)]] == [5] * 50
    at_full_strength(pool, 2)


def test_full_strength_after_a_map_that_was_dropped(pools: Pools):
    pool = pools(2)
    results = pool.map(tasks.echo, range(1000))
    next(results)
    del results
    at_full_strength(pool, 2)


def test_the_attributes_libraries_look_at(pools: Pools):
    pool = pools(2, thread_name_prefix="x")
    assert pool._max_workers == 2
    assert pool._work_queue.qsize() == 0
    assert not pool._shutdown
    assert not pool._broken
    assert pool._thread_name_prefix == "x"
    pool.shutdown()
    assert pool._shutdown
