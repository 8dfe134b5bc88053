"""The initializer: once in each worker, before its first task; one that fails breaks the pool and says why."""

import threading
from concurrent.futures import BrokenExecutor
from concurrent.futures.thread import BrokenThreadPool
from typing import Any

import pytest

from tests.executors import tasks
from tests.executors.conftest import Pools
from tests.executors.flavors import PATIENCE, Can, needs
from weft.errors import InitializerFailed

pytestmark = needs(Can.INITIALIZE, Can.OVERLAP, Can.SHARE)


def test_once_in_each_worker_with_its_arguments(pools: Pools):
    seen: list[tuple[int, Any]] = []
    pool = pools(3, initializer=lambda *args: seen.append((threading.get_ident(), args)), initargs=(1, "two"))
    with pools.held(pool, workers=3):
        pass
    for _ in range(50):
        pool.submit(tasks.nothing)
    pool.shutdown()
    assert len({thread for thread, _ in seen}) == len(seen) == 3
    assert {args for _, args in seen} == {(1, "two")}


def test_before_the_first_task(pools: Pools):
    ready = threading.local()

    def initialize() -> None:
        ready.yes = True

    pool = pools(4, initializer=initialize)
    futures = [pool.submit(lambda: ready.yes) for _ in range(200)]
    assert all(future.result(PATIENCE) for future in futures)


def test_not_where_there_is_no_task(pools: Pools):
    seen: list[int] = []
    pools(4, initializer=seen.append, initargs=(1,)).shutdown()
    assert seen == []


def test_what_is_not_callable_is_refused(pools: Pools):
    with pytest.raises(TypeError, match="initializer must be a callable"):
        pools.flavor.make(1, initializer=3)


def test_one_that_fails_breaks_the_pool(pools: Pools, caplog: pytest.LogCaptureFixture):
    gate = pools.gate()

    def initialize() -> None:
        gate.wait(PATIENCE)
        raise ValueError("no licence")

    pool = pools(2, initializer=initialize)
    futures = [pool.submit(tasks.nothing) for _ in range(20)]
    callbacks: list[bool] = []
    for future in futures:
        future.add_done_callback(lambda f: callbacks.append(f.done()))
    gate.set()
    for future in futures:
        with pytest.raises(BrokenThreadPool):
            future.result(PATIENCE)
        assert isinstance(future.exception(), BrokenExecutor)
    assert pool._broken
    with pytest.raises(BrokenThreadPool):
        pool.submit(tasks.nothing)
    with pytest.raises(BrokenThreadPool):
        list(pool.map(tasks.echo, [1]))
    pool.shutdown()
    assert callbacks == [True] * 20
    assert "no licence" in caplog.text
    assert {record.name for record in caplog.records} == {"concurrent.futures"}


@needs(Can.OWN_FUTURES)
def test_the_error_says_why(pools: Pools, caplog: pytest.LogCaptureFixture):
    cause = ValueError("no licence")
    pool = pools(1, initializer=tasks.fail, initargs=(cause,))
    with pytest.raises(InitializerFailed, match="no licence") as caught:
        pool.submit(tasks.nothing).result(PATIENCE)
    assert caught.value.__cause__ is cause
    with pytest.raises(InitializerFailed, match="no licence") as caught:
        pool.submit(tasks.nothing)
    assert caught.value.__cause__ is cause


@needs(Can.HELP)
def test_one_that_uses_its_own_pool(pools: Pools):
    """It may submit; the task runs when the worker is ready."""
    futures: list[Any] = []
    pool: Any = None

    def initialize() -> None:
        futures.append(pool.submit(tasks.echo, 5))

    pool = pools(1, initializer=initialize)
    assert pool.submit(tasks.echo, 6).result(PATIENCE) == 6
    assert futures[0].result(PATIENCE) == 5
