"""Shutting down: what is queued still runs or is cancelled, what comes later is refused, and all of it ends."""

import concurrent.futures
import gc
import threading
import weakref
from concurrent.futures import CancelledError, Executor, Future
from typing import Any

import pytest

from tests.executors import tasks
from tests.executors.child import times
from tests.executors.conftest import Pools
from tests.executors.flavors import PATIENCE, Can, needs

REFUSED = "cannot schedule new futures after shutdown"


def test_what_comes_later_is_refused(pool: Executor):
    pool.submit(tasks.nothing)
    pool.shutdown()
    for _ in range(2):
        with pytest.raises(RuntimeError, match=REFUSED):
            pool.submit(tasks.nothing)
        with pytest.raises(RuntimeError, match=REFUSED):
            pool.map(tasks.echo, [1, 2])


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("cancel_futures", [True, False])
def test_an_unused_pool_and_one_that_is_shut_down(pool: Executor, wait: bool, cancel_futures: bool):
    for _ in range(3):
        pool.shutdown(wait, cancel_futures=cancel_futures)
    pool.shutdown()


def test_cancel_futures_is_keyword_only(pool: Executor):
    with pytest.raises(TypeError):
        pool.shutdown(True, True)  # type: ignore[misc]


@needs(Can.OVERLAP)
def test_what_is_queued_still_runs(pools: Pools):
    pool = pools(2)
    with pools.held(pool, workers=2):
        futures = [pool.submit(tasks.echo, number) for number in range(200)]
        pool.shutdown(wait=False)
        with pytest.raises(RuntimeError, match=REFUSED):
            pool.submit(tasks.nothing)
        assert not any(future.done() for future in futures)
    assert [future.result(PATIENCE) for future in futures] == list(range(200))


@needs(Can.OVERLAP)
def test_shutdown_waits_for_what_is_queued(pools: Pools):
    pool = pools(2)
    futures = [pool.submit(tasks.echo, number) for number in range(500)]
    pool.shutdown(wait=True)
    assert all(future.done() for future in futures)
    assert [future.result(0) for future in futures] == list(range(500))


@needs(Can.OVERLAP)
def test_a_second_shutdown_waits_where_the_first_did_not(pools: Pools):
    pool = pools(1)
    gate, (held,) = pools.hold(pool)
    pool.shutdown(wait=False)
    threading.Timer(0.05, gate.set).start()
    pool.shutdown(wait=True)
    assert held.done()


@needs(Can.OVERLAP)
@pytest.mark.parametrize("wait", [True, False])
def test_cancelling_what_has_not_begun(pools: Pools, wait: bool):
    pool = pools(2)
    gate, running = pools.hold(pool, workers=2)
    pending = [pool.submit(tasks.nothing) for _ in range(100)]
    called: list[bool] = []

    def note(future: Future[None]) -> None:
        called.append(future.cancelled())
        if wait and len(called) == len(pending):
            gate.set()  # not before all are cancelled: else some would run

    for future in pending:
        future.add_done_callback(note)
    pool.shutdown(wait=wait, cancel_futures=True)
    assert all(future.cancelled() for future in pending)
    assert called == [True] * 100
    with pytest.raises(CancelledError):
        pending[0].result(0)
    gate.set()
    assert [future.result(PATIENCE) for future in running] == [True, True]


@needs(Can.OVERLAP)
def test_cancelling_cancels_a_map(pools: Pools):
    pool = pools(1)
    gate, _ = pools.hold(pool)
    results = pool.map(tasks.echo, range(1000))
    pool.shutdown(wait=False, cancel_futures=True)
    gate.set()
    with pytest.raises(CancelledError):
        next(results)


def test_with_waits_and_refuses_afterwards(pool: Executor):
    with pool as inner:
        assert inner is pool
        futures = [pool.submit(tasks.echo, number) for number in range(50)]
    assert [future.result(0) for future in futures] == list(range(50))
    with pytest.raises(RuntimeError, match=REFUSED):
        pool.submit(tasks.nothing)


def test_an_error_in_with_passes_and_waits(pool: Executor):
    futures: list[Any] = []
    with pytest.raises(ValueError, match="mine"):
        with pool:
            futures += [pool.submit(tasks.echo, number) for number in range(50)]
            raise ValueError("mine")
    assert all(future.done() for future in futures)
    assert [future.result(0) for future in futures] == list(range(50))


@needs(Can.OVERLAP)
def test_many_threads_shut_down(pools: Pools):
    pool = pools(2)
    gate, futures = pools.hold(pool, workers=2)
    futures += [pool.submit(tasks.nothing) for _ in range(20)]
    done: list[bool] = []
    barrier = threading.Barrier(5)

    def closer() -> None:
        barrier.wait(PATIENCE)
        pool.shutdown(wait=True)
        done.append(all(future.done() for future in futures))

    threads = [threading.Thread(target=closer) for _ in range(4)]
    for thread in threads:
        thread.start()
    barrier.wait(PATIENCE)
    gate.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert done == [True] * 4


@needs(Can.OVERLAP, Can.SHARE)
def test_a_task_may_shut_its_pool_down_without_waiting(pools: Pools):
    pool = pools(1)
    future = pool.submit(pool.shutdown, wait=False)
    assert future.result(PATIENCE) is None
    with pytest.raises(RuntimeError, match=REFUSED):
        pool.submit(tasks.nothing)


@needs(Can.OVERLAP, Can.OWN_FUTURES, Can.SHARE)
def test_a_task_that_would_wait_for_itself_is_told(pools: Pools):
    pool = pools(1)
    with pytest.raises(RuntimeError, match="task"):
        pool.submit(pool.shutdown).result(PATIENCE)
    pool.shutdown()


@needs(Can.OVERLAP, Can.SHARE)
def test_a_task_may_submit_until_the_pool_is_shut_down(pools: Pools):
    """A task that submits while the pool ends gets a future that settles, or the refusal."""
    pool = pools(2)
    outcomes: list[str] = []

    def chain() -> None:
        try:
            pool.submit(chain)
        except RuntimeError as refusal:
            outcomes.append(str(refusal))

    for _ in range(4):
        pool.submit(chain)
    pool.shutdown(wait=True)
    assert outcomes == [REFUSED] * 4


@needs(Can.OVERLAP, Can.SHARE)
def test_a_dropped_pool_finishes_its_work_and_goes(pools: Pools):
    pool = pools.flavor.make(2)
    futures = [pool.submit(tasks.echo, number) for number in range(100)]
    threads = list(pool._threads)
    gone = weakref.ref(pool)
    del pool
    gc.collect()
    assert [future.result(PATIENCE) for future in futures] == list(range(100))
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    del futures
    gc.collect()
    assert gone() is None


@needs(Can.OVERLAP, Can.NAME_THREADS)
@pytest.mark.invariant(3)
def test_no_thread_is_left(pools: Pools):
    before = threading.active_count()
    pool = pools(4)
    with pools.held(pool, workers=4):
        threads = set(pool._threads)
        assert len(threads) == 4
        assert threading.active_count() == before + 4
    pool.shutdown(wait=True)
    assert not any(thread.is_alive() for thread in threads)
    assert threading.active_count() == before


@needs(Can.OVERLAP, Can.CANCEL_AT_ONCE)
def test_wait_and_as_completed_go_on_over_a_shutdown(pools: Pools):
    pool = pools(1)
    gate, (running,) = pools.hold(pool)
    pending = pool.submit(tasks.nothing)
    ended: list[Any] = []
    waiter = threading.Thread(target=lambda: ended.append(concurrent.futures.wait([running, pending], PATIENCE)))
    waiter.start()
    pool.shutdown(wait=False, cancel_futures=True)
    gate.set()
    waiter.join(PATIENCE)
    assert ended == [({running, pending}, set())]


@needs(Can.OVERLAP)
@pytest.mark.deadline(180)  # two hundred interpreters
@pytest.mark.parametrize("rounds", [times(100, 25)])
def test_pools_come_and_go(pools: Pools, rounds: int):
    for number in range(rounds):
        with pools.flavor.make(2) as pool:
            assert pool.submit(tasks.echo, number).result(PATIENCE) == number
