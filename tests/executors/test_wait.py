"""The stdlib's `wait` and `as_completed`, with futures of every executor, and with the stdlib's own among them."""

import gc
import threading
import weakref
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    Executor,
    Future,
    as_completed,
    wait,
)
from typing import Any

import pytest

from tests.executors import tasks
from tests.executors.conftest import Pools, shared_pool
from tests.executors.flavors import PATIENCE, Can, needs

pool = shared_pool(2)

MOMENT = 0.05
"""Seconds, for a wait that is to give up."""


def stdlib_future(result: Any = None, error: BaseException | None = None) -> Future[Any]:
    future: Future[Any] = Future()
    if error:
        future.set_exception(error)
    else:
        future.set_result(result)
    return future


def test_wait_for_all(pool: Executor):
    futures = [pool.submit(tasks.echo, 1), pool.submit(tasks.inverse, 0), pool.submit(tasks.nothing)]
    done, not_done = wait(futures, PATIENCE)
    assert (done, not_done) == (set(futures), set())


def test_wait_for_none(flavor: Any):
    assert wait([]) == (set(), set())
    assert list(as_completed([])) == []


def test_the_same_future_twice(pool: Executor):
    future = pool.submit(tasks.echo, 1)
    assert wait([future, future], PATIENCE, ALL_COMPLETED) == ({future}, set())
    assert list(as_completed([future, future], PATIENCE)) == [future]


@needs(Can.OVERLAP)
def test_wait_for_the_first(pools: Pools, pool: Executor):
    with pools.held(pool):
        gate = pools.gate()
        late = pool.submit(tasks.wait_at, gate)
        assert wait([late], MOMENT, FIRST_COMPLETED) == (set(), {late})
        gate.set()
        assert wait([late], PATIENCE, FIRST_COMPLETED) == ({late}, set())


@needs(Can.OVERLAP)
def test_wait_for_the_first_of_two(pools: Pools, pool: Executor):
    first_gate, second_gate = pools.gate(), pools.gate()
    first, second = pool.submit(tasks.wait_at, first_gate), pool.submit(tasks.wait_at, second_gate)
    threading.Timer(MOMENT, second_gate.set).start()
    assert wait([first, second], PATIENCE, FIRST_COMPLETED) == ({second}, {first})
    first_gate.set()
    assert wait([first, second], PATIENCE) == ({first, second}, set())


@needs(Can.OVERLAP)
def test_wait_for_the_first_error(pools: Pools):
    pool = pools(3)
    gates = [pools.gate() for _ in range(3)]
    good, late = pool.submit(tasks.wait_at, gates[0]), pool.submit(tasks.wait_at, gates[1])
    failing = pool.submit(tasks.wait_then_fail, gates[2], OSError())
    gates[0].set()
    assert good.result(PATIENCE)
    threading.Timer(MOMENT, gates[2].set).start()
    assert wait([good, failing, late], PATIENCE, FIRST_EXCEPTION) == ({good, failing}, {late})
    gates[1].set()
    assert wait([good, late], PATIENCE, FIRST_EXCEPTION) == ({good, late}, set())


@needs(Can.OVERLAP)
@pytest.mark.parametrize("return_when", [ALL_COMPLETED, FIRST_EXCEPTION, FIRST_COMPLETED])
def test_wait_that_times_out(pools: Pools, pool: Executor, return_when: str):
    gate = pools.gate()
    late = pool.submit(tasks.wait_at, gate)
    for timeout in (0, MOMENT):
        assert wait([late], timeout, return_when) == (set(), {late})
    assert not late._waiters  # type: ignore[attr-defined]


@needs(Can.OVERLAP, Can.CANCEL_AT_ONCE)
@pytest.mark.parametrize("return_when", [ALL_COMPLETED, FIRST_EXCEPTION, FIRST_COMPLETED])
@pytest.mark.parametrize("moment", ["before", "during"])
def test_a_cancelled_future_is_done(pools: Pools, one: Executor, return_when: str, moment: str):
    with pools.held(one):
        future = one.submit(tasks.nothing)
        canceller = threading.Timer(0 if moment == "before" else MOMENT, future.cancel)
        canceller.start()
        if moment == "before":
            canceller.join(PATIENCE)
        assert wait([future], PATIENCE, return_when) == ({future}, set())
        assert list(as_completed([future], PATIENCE)) == [future]
        canceller.join(PATIENCE)


@needs(Can.OVERLAP)
def test_wait_with_futures_of_the_stdlib(pools: Pools, pool: Executor):
    gate = pools.gate()
    good, bad, open_ = stdlib_future(1), stdlib_future(error=OSError()), Future[Any]()
    ours, late = pool.submit(tasks.echo, 1), pool.submit(tasks.wait_at, gate)
    assert wait([good, ours], PATIENCE) == ({good, ours}, set())
    assert wait([ours, open_], PATIENCE, FIRST_COMPLETED) == ({ours}, {open_})
    assert wait([late, bad], PATIENCE, FIRST_EXCEPTION) == ({bad}, {late})
    assert wait([late, open_], MOMENT) == (set(), {late, open_})
    threading.Timer(MOMENT, lambda: open_.set_result(3)).start()
    assert wait([late, open_], PATIENCE, FIRST_COMPLETED) == ({open_}, {late})
    gate.set()
    assert wait([late, open_, good, bad, ours], PATIENCE) == ({late, open_, good, bad, ours}, set())


def test_as_completed_yields_each_once(pool: Executor):
    futures = [pool.submit(tasks.echo, number) for number in range(500)]
    futures += [pool.submit(tasks.inverse, 0)]
    seen = list(as_completed(futures, PATIENCE))
    assert len(seen) == len(futures)
    assert set(seen) == set(futures)


@needs(Can.OVERLAP)
def test_as_completed_goes_by_the_end_not_by_the_beginning(pools: Pools):
    pool = pools(3)
    gates = [pools.gate() for _ in range(3)]
    futures = [pool.submit(tasks.wait_then, gate, number) for number, gate in enumerate(gates)]
    stdlibs: Future[Any] = Future()
    gates[2].set()
    completed = as_completed([*futures, stdlibs], PATIENCE)
    assert next(completed) is futures[2]
    gates[0].set()
    assert next(completed) is futures[0]
    stdlibs.set_result(1)
    assert next(completed) is stdlibs
    gates[1].set()
    assert list(completed) == [futures[1]]


@needs(Can.OVERLAP)
def test_as_completed_that_times_out_says_how_many(pools: Pools, pool: Executor):
    gate = pools.gate()
    futures = [pool.submit(tasks.nothing), pool.submit(tasks.wait_at, gate), stdlib_future(), Future[Any]()]
    seen: list[Future[Any]] = []
    wait(futures[:1], PATIENCE)
    with pytest.raises(TimeoutError, match=r"2 \(of 4\) futures unfinished"):
        seen.extend(as_completed(futures, MOMENT))
    with pytest.raises(TimeoutError, match=r"2 \(of 4\) futures unfinished"):
        for future in as_completed(futures, MOMENT):
            seen.append(future)
    assert set(seen) == {futures[0], futures[2]}
    assert not futures[1]._waiters  # type: ignore[attr-defined]


@needs(Can.OVERLAP)
def test_as_completed_left_early_leaves_no_waiter(pools: Pools, pool: Executor):
    gate = pools.gate()
    late = pool.submit(tasks.wait_at, gate)
    completed = as_completed([pool.submit(tasks.nothing), late], PATIENCE)
    next(completed)
    completed.close()  # type: ignore[attr-defined]
    assert not late._waiters  # type: ignore[attr-defined]


def test_as_completed_lets_go_of_what_it_has_yielded(pool: Executor):
    futures = [pool.submit(tasks.echo, number) for number in range(5)]
    wait(futures, PATIENCE)
    pool.shutdown()
    for future in as_completed(futures, PATIENCE):
        futures.remove(future)
        reference = weakref.ref(future)
        del future
        gc.collect()
        assert reference() is None


@needs(Can.OVERLAP, Can.WORKERS)
@pytest.mark.parametrize("rounds", [30])
def test_wait_in_many_threads_while_tasks_end(pools: Pools, rounds: int):
    """Every wait registers with each future while that settles: no wake-up may be lost."""
    pool = pools(4)
    for _ in range(rounds):
        futures = [pool.submit(tasks.echo, number) for number in range(60)]
        results: list[int] = []

        def waiter(own: list[Future[int]] = futures, into: list[int] = results) -> None:
            into.append(len(wait(own, PATIENCE).done))
            into.append(len(list(as_completed(own, PATIENCE))))

        threads = [threading.Thread(target=waiter) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert results == [60] * 6
