"""A pool at the moment when it opens, closes, or is let go of; with everything that can be asked of it at the same time."""

import gc
import itertools
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, wait
from typing import Any

import pytest

from tests.executors.flavors import PATIENCE
from tests.executors.race import race
from weft.executors import ThreadPoolExecutor

pytestmark = pytest.mark.deadline(120)

REFUSED = "cannot schedule new futures after shutdown"


class Case:
    """A pool of its own for each round, what it ran, and what it accepted."""

    def __init__(self, workers: int = 2, **keywords: Any) -> None:
        self.pool = ThreadPoolExecutor(workers, **keywords)
        self.ran: list[Any] = []
        self.futures: list[Future[Any]] = []

    def submit(self, tasks: int = 20) -> int:
        """Gives how many were accepted."""
        for number in range(tasks):
            try:
                self.futures.append(self.pool.submit(self.ran.append, number))
            except RuntimeError as refusal:
                assert str(refusal) == REFUSED  # noqa: PT017
                return number
        return tasks

    def check(self) -> None:
        """All that was accepted has run once or is cancelled."""
        self.pool.shutdown(wait=True)
        assert wait(self.futures, PATIENCE).not_done == set()
        assert len(self.ran) == sum(not future.cancelled() for future in self.futures)
        assert all(future.cancelled() or future.result(0) is None for future in self.futures)


@pytest.mark.parametrize("cancel_futures", [False, True])
@pytest.mark.parametrize("wait_for_it", [False, True])
def test_submit_against_shutdown(wait_for_it: bool, cancel_futures: bool):
    def check(case: Case, returned: list[Any]) -> None:
        assert returned[2:] == [None, None]
        assert returned[0] + returned[1] == len(case.futures)
        case.check()
        assert cancel_futures or not any(future.cancelled() for future in case.futures)

    race(
        Case.submit,
        Case.submit,
        lambda case: case.pool.shutdown(wait=wait_for_it, cancel_futures=cancel_futures),
        lambda case: case.pool.shutdown(wait=True),
        setup=Case,
        check=check,
    )


def test_the_first_submits_of_a_pool():
    """Its threads are made by those who submit: no more than it may have, each with its own name."""

    def check(case: Case, returned: list[Any]) -> None:
        assert returned == [20] * 4
        threads = case.pool._threads
        assert 1 <= len(threads) <= 3
        assert len({thread.name for thread in threads}) == len(threads)
        case.check()
        assert len(case.ran) == 80

    race(*[Case.submit] * 4, setup=lambda: Case(3), check=check)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("cancel_futures", [False, True])
def test_map_against_shutdown(cancel_futures: bool, ordered: bool):
    """All results, or those before an error that says why not; never fewer without a word."""

    def read(case: Case) -> tuple[list[int], str]:
        got: list[int] = []
        try:
            for result in case.pool.map(abs, range(-100, 0), chunksize=3, ordered=ordered):
                got.append(result)
        except RuntimeError as refusal:
            assert str(refusal) == REFUSED  # noqa: PT017
            return got, "refused"
        except CancelledError:
            return got, "cancelled"
        return got, "all"

    def check(case: Case, returned: list[Any]) -> None:
        for got, end in returned[:2]:
            assert end != "cancelled" or cancel_futures
            assert len(set(got)) == len(got)
            if end == "all":
                assert sorted(got) == list(range(1, 101))
            if ordered:
                assert got == list(range(100, 100 - len(got), -1))
        case.check()

    race(
        read, read, lambda case: case.pool.shutdown(wait=False, cancel_futures=cancel_futures), setup=Case, check=check
    )


@pytest.mark.parametrize("lazy", [False, True])
def test_a_map_that_is_dropped_against_its_workers(lazy: bool):
    def drop(case: Case) -> None:
        source: Any = itertools.count() if lazy else range(200)
        results = case.pool.map(abs, source, chunksize=2, buffersize=10 if lazy else None)
        next(results)
        del results

    def check(case: Case, returned: list[Any]) -> None:
        assert returned == [None] * 3
        case.check()

    race(drop, drop, lambda case: case.submit(10) and None, setup=Case, check=check)


def test_dropping_a_pool_against_its_workers():
    """The last reference goes with a task, a view, or the test; all that was accepted runs."""

    class Dropped:
        def __init__(self) -> None:
            pool = ThreadPoolExecutor(2)
            self.reference = weakref.ref(pool)
            self.ran: list[int] = []
            self.holder: list[Any] = [pool, pool.options(priority=1)]
            self.futures = [pool.submit(self.task, pool, number) for number in range(5)]

        def task(self, pool: ThreadPoolExecutor, number: int) -> None:
            self.ran.append(number)

    def drop(case: Dropped) -> None:
        pool = case.holder.pop()
        case.futures.append(pool.submit(case.ran.append, 9))
        del pool

    def check(case: Dropped, returned: list[Any]) -> None:
        assert returned == [None] * 2
        assert wait(case.futures, PATIENCE).not_done == set()
        assert sorted(case.ran) == [0, 1, 2, 3, 4, 9, 9]
        case.futures.clear()
        for _ in range(1000):
            if case.reference() is None:
                break
            gc.collect()
        assert case.reference() is None

    race(drop, drop, setup=Dropped, check=check)


def test_max_pending_against_everything():
    """Who waits for room gets it, from a worker or from a cancel, or is refused: nobody is forgotten."""

    def cancel(case: Case) -> None:
        for _ in range(20):
            for future in list(case.futures):
                future.cancel()

    def check(case: Case, returned: list[Any]) -> None:
        assert returned[0] + returned[1] == len(case.futures)
        assert returned[2:] == [None, None]
        case.check()

    race(
        Case.submit,
        Case.submit,
        cancel,
        lambda case: case.pool.submit(print, end="").result(PATIENCE),
        setup=lambda: Case(1, max_pending=1),
        check=check,
    )


def test_priorities_against_each_other():
    def submit(priority: int):
        def action(case: Case) -> None:
            view = case.pool.options(priority=priority)
            for number in range(20):
                case.futures.append(view.submit(case.ran.append, (priority, number)))

        return action

    def check(case: Case, returned: list[Any]) -> None:
        assert returned == [None] * 4
        case.check()
        assert sorted(case.ran) == [(priority, number) for priority in (-5, 0, 5, 7) for number in range(20)]

    race(*(submit(priority) for priority in (-5, 0, 5, 7)), setup=lambda: Case(3), check=check)


def test_retries_against_cancel_and_shutdown():
    """A task that backs off belongs to the timer; whoever takes it from there, it settles once."""

    class Retried(Case):
        def submit_failing(self) -> None:
            view = self.pool.options(retries=2, backoff=0.0005)
            for _ in range(3):
                try:
                    future = view.submit(self.fail)
                except RuntimeError as refusal:
                    assert str(refusal) == REFUSED  # noqa: PT017
                    return
                future.add_done_callback(lambda f: self.ended.append(f))
                self.futures.append(future)

        def fail(self) -> None:
            self.tries.append(1)
            raise ValueError

        def __init__(self) -> None:
            super().__init__()
            self.tries: list[int] = []
            self.ended: list[Future[Any]] = []

        def cancel(self) -> None:
            for _ in range(20):
                for future in list(self.futures):
                    future.cancel()

    def check(case: Retried, returned: list[Any]) -> None:
        assert returned == [None] * 3
        case.pool.shutdown()
        assert wait(case.futures, PATIENCE).not_done == set()
        assert len(case.ended) == len(set(case.ended)) == len(case.futures)
        assert all(future.cancelled() or isinstance(future.exception(), ValueError) for future in case.futures)
        assert len(case.tries) <= 3 * len(case.futures)

    race(
        Retried.submit_failing,
        Retried.cancel,
        lambda case: case.pool.shutdown(wait=False),
        setup=Retried,
        check=check,
    )


def test_helping_against_stealing_and_cancelling():
    """Tasks wait for tasks that others take, run, or cancel at the same time."""
    pool = ThreadPoolExecutor(2)

    class Helped:
        def __init__(self) -> None:
            self.inner: list[Future[Any]] = []
            self.outer = [pool.submit(self.task) for _ in range(2)]

        def task(self) -> int:
            mine = [pool.submit(int, number) for number in range(5)]
            self.inner.extend(mine)
            done = 0
            for future in reversed(mine):
                try:
                    done += future.result(PATIENCE) >= 0
                except CancelledError:
                    done += 1
            return done

    def cancel(case: Helped) -> None:
        for _ in range(10):
            for future in list(case.inner):
                future.cancel()

    def check(case: Helped, returned: list[Any]) -> None:
        assert returned == [[5, 5], None, None]

    with pool:
        race(
            lambda case: [future.result(PATIENCE) for future in case.outer],
            cancel,
            lambda case: [pool.submit(int).result(PATIENCE) for _ in range(5)] and None,
            setup=Helped,
            check=check,
        )


def test_many_pools_in_many_threads():
    def action(numbers: Iterator[int]) -> list[int]:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(abs, range(-5, 0)))

    race(
        *[action] * 4, setup=lambda: iter(range(10)), check=lambda _, returned: compare(returned, [[5, 4, 3, 2, 1]] * 4)
    )


def compare(got: Any, expected: Any) -> None:
    assert got == expected
