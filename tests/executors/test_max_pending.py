"""`max_pending`: a `submit` that finds no room waits, and nothing that could make room is held up by it."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

import pytest

from tests.executors import tasks
from tests.executors.conftest import Pools
from tests.executors.flavors import PATIENCE, Can, needs
from tests.lateness import check_within
from weft.errors import InvalidSetting

pytestmark = needs(Can.LIMIT_PENDING, Can.OVERLAP)

MOMENT = 0.05
"""Seconds in which what must not happen would have happened."""


class Submitter:
    """A thread that submits one task, and may have to wait for it."""

    def __init__(self, pool: Any, value: int) -> None:
        self.pool, self.value = pool, value
        self.outcome: Any = None
        self.submitted = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        try:
            self.outcome = self.pool.submit(tasks.echo, self.value)
        except BaseException as error:
            self.outcome = error
        self.submitted.set()

    def end(self) -> Any:
        assert self.submitted.wait(PATIENCE)
        self.thread.join(PATIENCE)
        return self.outcome


@pytest.mark.parametrize("room", [1, 2, 5])
def test_a_submit_without_room_waits_for_it(pools: Pools, room: int):
    pool = pools(1, max_pending=room)
    with pools.held(pool) as gate:
        futures = [pool.submit(tasks.echo, number) for number in range(room)]
        late = Submitter(pool, 99)
        assert not late.submitted.wait(MOMENT)
        gate.set()
        assert late.end().result(PATIENCE) == 99
    assert [future.result(PATIENCE) for future in futures] == list(range(room))


def test_cancelling_makes_room(pools: Pools):
    pool = pools(1, max_pending=1)
    with pools.held(pool):
        waiting = pool.submit(tasks.echo, 1)
        late = Submitter(pool, 99)
        assert not late.submitted.wait(MOMENT)
        assert waiting.cancel()
        future = late.end()
        assert not future.done()
    assert future.result(PATIENCE) == 99


@pytest.mark.parametrize("cancel_futures", [True, False])
def test_shutting_down_wakes_who_waits(pools: Pools, cancel_futures: bool):
    pool = pools(1, max_pending=1)
    with pools.held(pool):
        pool.submit(tasks.echo, 1)
        late = [Submitter(pool, number) for number in range(3)]
        assert not any(one.submitted.wait(MOMENT) for one in late)
        pool.shutdown(wait=False, cancel_futures=cancel_futures)
        begin = time.monotonic()
        for one in late:
            assert one.submitted.wait(PATIENCE)
            check_within(time.monotonic() - begin, 0.5, "they find out by themselves, not because they were told")
            assert isinstance(one.end(), RuntimeError)
            assert "after shutdown" in str(one.outcome)


def test_many_submitters_all_get_through(pools: Pools):
    pool = pools(2, max_pending=3)
    results: list[int] = []
    barrier = threading.Barrier(5)

    def submitter(me: int) -> None:
        barrier.wait(PATIENCE)
        futures = [pool.submit(tasks.echo, me * 1000 + number) for number in range(300)]
        results.extend(future.result(PATIENCE) for future in futures)

    threads = [threading.Thread(target=submitter, args=(me,)) for me in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(results) == [me * 1000 + number for me in range(5) for number in range(300)]


@pytest.mark.invariant(6)
def test_no_more_than_that_waits(pools: Pools, new_path: Callable[[], str]):
    pool = pools(1, max_pending=4)
    path = new_path()
    most = 0
    for submitted in range(1, 2001):
        pool.submit(tasks.tally, path)
        most = max(most, submitted - tasks.tallied(path))
    pool.shutdown()
    assert tasks.tallied(path) == 2000
    taken = 4 if pools.flavor.ahead else 1
    assert most <= 4 + taken + 1  # waiting, those that the worker has taken, the one just submitted


@needs(Can.SHARE)
def test_a_task_of_the_pool_does_not_wait_for_itself(pools: Pools):
    pool = pools(1, max_pending=1)

    def task() -> list[int]:
        return [future.result(PATIENCE) for future in [pool.submit(tasks.echo, number) for number in range(20)]]

    assert pool.submit(task).result(PATIENCE) == list(range(20))


def test_map_takes_its_time(pools: Pools):
    pool = pools(2, max_pending=2)
    assert list(pool.map(tasks.echo, range(2000))) == list(range(2000))
    assert list(pool.map(tasks.echo, range(200), chunksize=1)) == list(range(200))


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("room", [1, 2])
def test_map_with_less_room_than_it_keeps_under_way(pools: Pools, room: int, ordered: bool):
    """Who submits its next chunk may have to wait, and the workers whose chunks end meanwhile must go on to make room."""
    pool = pools(2, max_pending=room)
    assert sorted(pool.map(tasks.nap, range(100), chunksize=1, ordered=ordered)) == list(range(100))


@pytest.mark.parametrize("room", [1, 2])
def test_shutdown_submits_what_a_map_has_left(pools: Pools, room: int):
    pool = pools(2, max_pending=room)
    results = pool.map(tasks.nap, range(100), chunksize=1)
    pool.shutdown()
    assert list(results) == list(range(100))


def run_aside(function: Callable[..., object], *args: Any, **keywords: Any) -> threading.Event:
    """Calls it on another thread, whose end the event tells."""
    ended = threading.Event()

    def run() -> None:
        try:
            function(*args, **keywords)
        finally:
            ended.set()

    threading.Thread(target=run, daemon=True).start()
    return ended


@needs(Can.SHARE)
def test_shutdown_and_a_worker_that_reads_a_map_do_not_wait_for_each_other(pools: Pools):
    pool = pools(1, max_pending=1)
    begun, gate = pools.gate(), pools.gate()

    def read() -> list[int]:
        results = pool.map(tasks.echo, range(50), chunksize=1)
        begun.set()
        assert gate.wait(PATIENCE)
        return list(results)

    reader = pool.submit(read)
    assert begun.wait(PATIENCE)
    assert run_aside(pool.shutdown, wait=False).wait(PATIENCE / 6), "it need not wait for room"
    gate.set()
    assert reader.result(PATIENCE) == list(range(50))


@needs(Can.SHARE, Can.MAP_LAZILY)
def test_a_worker_closes_a_map_whose_reader_waits_for_room(pools: Pools):
    pool = pools(1, max_pending=1)
    results = pool.map(tasks.echo, range(50), chunksize=1, buffersize=4)
    begun, gate = pools.gate(), pools.gate()

    def close() -> None:
        begun.set()
        assert gate.wait(PATIENCE)
        results.close()

    closer = pool.submit(close)
    assert begun.wait(PATIENCE)
    pool.submit(tasks.nothing)
    read: list[int] = []
    ended = run_aside(read.extend, results)
    assert not ended.wait(MOMENT)
    gate.set()
    closer.result(PATIENCE)
    assert ended.wait(PATIENCE)
    assert read == list(range(len(read)))


def test_shutdown_does_not_wait_for_a_map_that_waits_for_room(pools: Pools):
    pool = pools(1, max_pending=1)
    with pools.held(pool):
        mapped = run_aside(lambda: suppressed(pool.map, tasks.echo, range(50), chunksize=1))
        assert not mapped.wait(MOMENT)
        assert run_aside(pool.shutdown, wait=False, cancel_futures=True).wait(PATIENCE / 6)
        assert mapped.wait(PATIENCE / 6)


def suppressed(function: Callable[..., Any], *args: Any, **keywords: Any) -> None:
    with suppress(RuntimeError, CancelledError):
        list(function(*args, **keywords))


def test_a_view_has_the_same_limit(pools: Pools):
    pool = pools(1, max_pending=1)
    with pools.held(pool) as gate:
        pool.submit(tasks.nothing)
        late = Submitter(pool.options(priority=5), 99)
        assert not late.submitted.wait(MOMENT)
        gate.set()
        assert late.end().result(PATIENCE) == 99


@pytest.mark.parametrize("limit", [0, -1, 2**40])
def test_an_impossible_limit_is_refused(pools: Pools, limit: int):
    with pytest.raises(InvalidSetting, match="max_pending"):
        pools.flavor.make(1, max_pending=limit)


@pytest.mark.parametrize("limit", ["1", 1.5, True])
def test_a_limit_that_is_no_number_is_refused(pools: Pools, limit: Any):
    with pytest.raises(TypeError, match="max_pending"):
        pools.flavor.make(1, max_pending=limit)
