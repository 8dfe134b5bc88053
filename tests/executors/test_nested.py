"""Tasks that submit to their own pool and wait: at any depth, on any number of workers (invariant 5)."""

import concurrent.futures
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from tests.executors import tasks
from tests.executors.conftest import Pools
from tests.executors.flavors import PATIENCE, Can, needs

pytestmark = [needs(Can.HELP, Can.SHARE), pytest.mark.invariant(5)]

WAITS: dict[str, Callable[[Future[Any]], Any]] = {
    "result": lambda future: future.result(PATIENCE),
    "result without timeout": lambda future: future.result(),
    "exception": lambda future: (future.exception(), future.result())[1],
    "wait": lambda future: concurrent.futures.wait([future]).done.pop().result(),
    "wait for the first": lambda future: concurrent.futures.wait([future], None, "FIRST_COMPLETED").done.pop().result(),
    "as_completed": lambda future: next(concurrent.futures.as_completed([future])).result(),
}


@pytest.fixture(params=WAITS)
def wait_for(request: pytest.FixtureRequest) -> Callable[[Future[Any]], Any]:
    return WAITS[request.param]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_chain(pools: Pools, wait_for: Callable[[Future[Any]], Any], workers: int):
    pool = pools(workers)

    def task(depth: int) -> int:
        return 1 + wait_for(pool.submit(task, depth - 1)) if depth else 0

    assert pool.submit(task, 60).result(PATIENCE) == 60


@pytest.mark.parametrize("workers", [1, 2])
def test_a_chain_of_five_hundred(pools: Pools, workers: int):
    pool = pools(workers)

    def task(depth: int) -> int:
        return 1 + pool.submit(task, depth - 1).result() if depth else 0

    assert pool.submit(task, 500).result(PATIENCE) == 500
    assert pool.submit(tasks.echo, 5).result(PATIENCE) == 5


@pytest.mark.parametrize("workers", [1, 3])
def test_a_tree(pools: Pools, wait_for: Callable[[Future[Any]], Any], workers: int):
    pool = pools(workers)

    def task(depth: int) -> int:
        if not depth:
            return 1
        branches = [pool.submit(task, depth - 1) for _ in range(3)]
        return sum(wait_for(branch) for branch in branches)

    assert pool.submit(task, 4).result(PATIENCE) == 81


@pytest.mark.parametrize("order", [1, -1])
def test_waiting_for_many_at_once(pools: Pools, order: int):
    pool = pools(1)

    def task() -> list[int]:
        futures = [pool.submit(tasks.echo, number) for number in range(100)]
        assert concurrent.futures.wait(futures[::order], PATIENCE).not_done == set()
        assert set(concurrent.futures.as_completed(futures[::order], PATIENCE)) == set(futures)
        return [future.result() for future in futures[::order]][::order]

    assert pool.submit(task).result(PATIENCE) == list(range(100))


def test_an_error_comes_up_the_chain(pools: Pools):
    pool = pools(1)

    def task(depth: int) -> int:
        return pool.submit(task, depth - 1).result() if depth else 1 // 0

    with pytest.raises(ZeroDivisionError):
        pool.submit(task, 30).result(PATIENCE)


@needs(Can.OVERLAP)
def test_a_wait_inside_a_task_may_time_out(pools: Pools):
    """The task it waits for runs elsewhere and does not end in time."""
    pool = pools(2)
    gate = pools.gate()
    late = pool.submit(tasks.wait_then, gate, 5)
    while not late.running():
        pool.submit(tasks.nothing).result(PATIENCE)

    def task() -> str:
        try:
            late.result(0.05)
        except TimeoutError:
            return "late"
        return "in time"

    assert pool.submit(task).result(PATIENCE) == "late"
    gate.set()
    assert late.result(PATIENCE) == 5


@needs(Can.OVERLAP)
def test_pools_that_wait_for_each_other(pools: Pools):
    first, second = pools(1), pools(1)

    def task(depth: int, here: Executor, there: Executor) -> int:
        return 1 + there.submit(task, depth - 1, there, here).result() if depth else 0

    assert first.submit(task, 40, first, second).result(PATIENCE) == 40


@needs(Can.OVERLAP)
def test_two_tasks_wait_for_the_same_third(pools: Pools):
    pool = pools(1)
    third = None

    def task() -> int:
        assert third is not None
        return third.result()

    with pools.held(pool):
        futures = [pool.submit(task) for _ in range(5)]
        third = pool.submit(tasks.echo, 5)
    assert [future.result(PATIENCE) for future in futures] == [5] * 5


@needs(Can.OVERLAP)
def test_what_a_helping_worker_waits_for_may_be_cancelled(pools: Pools):
    pool = pools(1)
    gate, begun = pools.gate(), pools.gate()

    def outer() -> str:
        inner = pool.submit(tasks.nothing)
        begun.set()
        gate.wait(PATIENCE)
        inner.cancel()
        try:
            inner.result()
        except concurrent.futures.CancelledError:
            return "cancelled"
        return "ran"

    future = pool.submit(outer)
    assert begun.wait(PATIENCE)
    gate.set()
    assert future.result(PATIENCE) == "cancelled"
