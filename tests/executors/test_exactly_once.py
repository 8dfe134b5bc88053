"""Invariant 2: a task runs exactly once, or its future says why not; and every future settles."""

import random
import threading
from concurrent.futures import CancelledError, Future, wait
from typing import Any

import pytest

from tests.executors.conftest import Pools
from tests.executors.flavors import PATIENCE, Can, needs

pytestmark = [needs(Can.OVERLAP, Can.SHARE), pytest.mark.invariant(2)]


class Ledger:
    """How often each task has run."""

    def __init__(self, tasks: int) -> None:
        self.runs = [0] * tasks
        self.locks = [threading.Lock() for _ in range(tasks)]

    def task(self, number: int) -> int:
        with self.locks[number]:
            self.runs[number] += 1
        return number

    def check(self, futures: list[Future[int]]) -> int:
        """Gives how many were cancelled."""
        cancelled = 0
        for number, future in enumerate(futures):
            if future.cancelled():
                cancelled += 1
                assert self.runs[number] == 0
                with pytest.raises(CancelledError):
                    future.result(0)
            else:
                assert self.runs[number] == 1
                assert future.result(0) == number
        return cancelled


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_all_run_once(pools: Pools, workers: int):
    ledger = Ledger(5000)
    pool = pools(workers)
    futures = [pool.submit(ledger.task, number) for number in range(5000)]
    pool.shutdown()
    assert ledger.check(futures) == 0


@pytest.mark.parametrize("workers", [1, 3])
def test_cancelled_or_run_but_never_both(pools: Pools, rng: random.Random, workers: int):
    ledger = Ledger(4000)
    pool = pools(workers)
    futures: list[Future[int]] = []
    order = list(range(4000))
    rng.shuffle(order)
    ready = threading.Barrier(3)
    said: set[int] = set()

    def canceller(numbers: list[int]) -> None:
        ready.wait(PATIENCE)
        for number in numbers:
            if number < len(futures) and futures[number].cancel():
                said.add(number)

    threads = [threading.Thread(target=canceller, args=(order[half::2],)) for half in range(2)]
    for thread in threads:
        thread.start()
    ready.wait(PATIENCE)
    for number in range(4000):
        futures.append(pool.submit(ledger.task, number))
    for thread in threads:
        thread.join(PATIENCE)
    pool.shutdown()
    assert ledger.check(futures) == len(said)
    assert said == {number for number, future in enumerate(futures) if future.cancelled()}


@needs(Can.CANCEL_AT_ONCE)
def test_every_future_settles_when_the_pool_is_shut_down_at_any_moment(pools: Pools, rng: random.Random):
    for _ in range(40):
        pool = pools.flavor.make(2)
        ledger = Ledger(300)
        futures: list[Future[int]] = []
        moment, cancel = rng.randrange(300), rng.random() < 0.5
        now = threading.Event()

        def closer(pool: Any = pool, now: threading.Event = now, cancel: bool = cancel) -> None:
            now.wait(PATIENCE)
            pool.shutdown(wait=True, cancel_futures=cancel)

        thread = threading.Thread(target=closer)
        thread.start()
        try:
            for number in range(300):
                futures.append(pool.submit(ledger.task, number))
                if number == moment:
                    now.set()
        except RuntimeError as refusal:
            assert "after shutdown" in str(refusal)  # noqa: PT017
        thread.join(PATIENCE)
        assert wait(futures, PATIENCE).not_done == set()
        cancelled = ledger.check(futures)
        assert cancelled == 0 or cancel
        assert sum(ledger.runs) == len(futures) - cancelled


@needs(Can.TAKE_OPTIONS)
def test_a_mixture_of_options(pools: Pools, rng: random.Random):
    """Each lane of the queue loses nothing to the others."""
    ledger = Ledger(3000)
    pool = pools(3)
    views = [pool, *(pool.options(priority=priority) for priority in (-1000, -3, -1, 1, 2, 1000))]
    futures = [rng.choice(views).submit(ledger.task, number) for number in range(3000)]
    pool.shutdown()
    assert ledger.check(futures) == 0
