"""The initializer: once in each worker, before its first task; one that fails breaks the pool and says why."""

from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from typing import Any

import pytest

from tests.executors import tasks
from tests.executors.conftest import Pools, noted
from tests.executors.flavors import PATIENCE, Can, needs
from tests.executors.set_up_tasks import note
from weft.errors import InitializerFailed
from weft.executors import ThreadPoolExecutor

pytestmark = needs(Can.INITIALIZE, Can.OVERLAP)


def test_once_in_each_worker_with_its_arguments(pools: Pools, new_path: Callable[[], str]):
    path = new_path()
    pool = pools(3, initializer=tasks.note_the_worker, initargs=(path, 1, "two"))
    with pools.held(pool, workers=3):
        pass
    for _ in range(50):
        pool.submit(tasks.nothing)
    pool.shutdown()
    workers = noted(path)
    assert len(set(workers)) == len(workers) == 3
    assert all(worker.endswith(" (1, 'two')") for worker in workers)


def test_before_the_first_task(pools: Pools):
    pool = pools(4, initializer=tasks.get_ready)
    futures = [pool.submit(tasks.is_ready) for _ in range(200)]
    assert all(future.result(PATIENCE) for future in futures)


def test_not_where_there_is_no_task(pools: Pools, new_path: Callable[[], str]):
    path = new_path()
    pools(4, initializer=note, initargs=(path, "here")).shutdown()
    assert noted(path) == []


def test_what_is_not_callable_is_refused(pools: Pools):
    with pytest.raises(TypeError, match="initializer must be a callable"):
        pools.flavor.make(1, initializer=3)


def test_one_that_fails_breaks_the_pool(pools: Pools, caplog: pytest.LogCaptureFixture):
    gate = pools.gate()
    pool = pools(2, initializer=tasks.wait_then_fail, initargs=(gate, ValueError("no licence")))
    futures = [pool.submit(tasks.nothing) for _ in range(20)]
    callbacks: list[bool] = []
    for future in futures:
        future.add_done_callback(lambda f: callbacks.append(f.done()))
    gate.set()
    for future in futures:
        with pytest.raises(pools.flavor.broken):
            future.result(PATIENCE)
        assert isinstance(future.exception(), BrokenExecutor)
    assert pool._broken
    with pytest.raises(pools.flavor.broken):
        pool.submit(tasks.nothing)
    with pytest.raises(pools.flavor.broken):
        list(pool.map(tasks.echo, [1]))
    pool.shutdown()
    assert callbacks == [True] * 20
    assert "no licence" in caplog.text
    assert {record.name for record in caplog.records} == {"concurrent.futures"}


@needs(Can.OWN_FUTURES)
def test_the_error_says_why(pools: Pools, caplog: pytest.LogCaptureFixture):
    pool = pools(1, initializer=tasks.fail, initargs=(ValueError("no licence"),))
    with pytest.raises(InitializerFailed, match="no licence") as caught:
        pool.submit(tasks.nothing).result(PATIENCE)
    assert repr(caught.value.__cause__) == "ValueError('no licence')"
    with pytest.raises(InitializerFailed, match="no licence") as caught:
        pool.submit(tasks.nothing)
    assert repr(caught.value.__cause__) == "ValueError('no licence')"


@needs(Can.OWN_FUTURES, Can.SHARE)
def test_the_cause_is_what_was_raised(pools: Pools, caplog: pytest.LogCaptureFixture):
    cause = ValueError("no licence")
    pool = pools(1, initializer=tasks.fail, initargs=(cause,))
    with pytest.raises(InitializerFailed) as caught:
        pool.submit(tasks.nothing).result(PATIENCE)
    assert caught.value.__cause__ is cause
    with pytest.raises(InitializerFailed) as caught:
        pool.submit(tasks.nothing)
    assert caught.value.__cause__ is cause


@needs(Can.HELP, Can.SHARE)
def test_one_that_uses_its_own_pool(pools: Pools):
    """It may submit; the task runs when the worker is ready."""
    futures: list[Any] = []
    pool: Any = None

    def initialize() -> None:
        futures.append(pool.submit(tasks.echo, 5))

    pool = pools(1, initializer=initialize)
    assert pool.submit(tasks.echo, 6).result(PATIENCE) == 6
    assert futures[0].result(PATIENCE) == 5


def test_a_task_that_comes_while_the_pool_breaks_is_not_left_in_it() -> None:
    """With the first worker the pool breaks, perhaps before the task that it was started for is queued."""

    def fail() -> None:
        raise ValueError("no")

    for _ in range(200):
        pool = ThreadPoolExecutor(1, initializer=fail)
        with pytest.raises(BrokenExecutor):
            pool.submit(abs, -1).result(PATIENCE)
        pool.shutdown()
        assert pool._queued() == 0
