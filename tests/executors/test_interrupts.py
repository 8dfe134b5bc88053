"""`Future.interrupt()`: a running task stops, with what it was asked to raise, and its worker goes on."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.executors import tasks
from tests.executors.conftest import Pools
from tests.executors.flavors import PATIENCE, Can, needs
from tests.executors.gates import Gate
from tests.lateness import check_within
from weft.errors import Interrupted

pytestmark = needs(Can.INTERRUPT)

MOMENT = 0.05
"""Seconds in which what must not happen would have happened."""


@pytest.mark.parametrize("task", [tasks.begin_and_spin, tasks.begin_and_nap], ids=["spins", "sleeps"])
def test_a_running_task_stops(pools: Pools, one: Any, task: Callable[[Gate], None]):
    begun = pools.gate()
    future = one.submit(task, begun)
    assert begun.wait(PATIENCE)
    asked = time.monotonic()
    assert future.interrupt()
    with pytest.raises(Interrupted):
        future.result(PATIENCE)
    check_within(time.monotonic() - asked, 1)
    assert one.submit(tasks.echo, 5).result(PATIENCE) == 5


@pytest.mark.parametrize("error", [ZeroDivisionError, tasks.Unrelated, KeyboardInterrupt])
def test_with_another_exception(pools: Pools, one: Any, error: type[BaseException]):
    begun = pools.gate()
    future = one.submit(tasks.begin_and_spin, begun)
    assert begun.wait(PATIENCE)
    assert future.interrupt(error)
    assert type(future.exception(PATIENCE)) is error
    assert one.submit(tasks.echo, 5).result(PATIENCE) == 5


def test_what_does_not_run_is_not_interrupted(pools: Pools, one: Any):
    with pools.held(one):
        queued = one.submit(tasks.echo, 5)
        assert not queued.interrupt()
    assert queued.result(PATIENCE) == 5
    assert not queued.interrupt()


def test_full_strength_after_interrupts(pools: Pools):
    pool = pools(3)
    for _ in range(5):
        begun = [pools.gate() for _ in range(3)]
        futures = [pool.submit(tasks.begin_and_spin, mark) for mark in begun]
        assert all(mark.wait(PATIENCE) for mark in begun)
        assert [future.interrupt() for future in futures] == [True] * 3
        assert all(isinstance(future.exception(PATIENCE), Interrupted) for future in futures)
        assert [future.interrupt() for future in futures] == [False] * 3
    with pools.held(pool, workers=3) as gate:
        one_too_many = pools.gate()
        future = pool.submit(tasks.begin_and_wait, one_too_many, gate)
        assert not one_too_many.wait(MOMENT)
    assert future.result(PATIENCE)
