"""A future at the moment when it settles: everything that can be asked of it at the same time."""

import concurrent.futures
import gc
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, as_completed, wait
from typing import Any

import pytest

from tests.executors.flavors import PATIENCE
from tests.executors.race import race
from weft.errors import Interrupted
from weft.executors import ThreadPoolExecutor

pytestmark = pytest.mark.deadline(120)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def at_once(pool: ThreadPoolExecutor, result: Any = 5) -> Future[Any]:
    """Settles about now."""
    return pool.submit(lambda: result)


def outcome_of(future: Future[Any]) -> Any:
    try:
        return future.result(PATIENCE)
    except CancelledError:
        return CancelledError


def test_cancel_against_run(pool: ThreadPoolExecutor):
    """Cancelled, or run once; and whoever cancels is told the truth."""

    class Case:
        def __init__(self) -> None:
            self.runs = 0
            self.future: Future[int] | None = None
            self.ready = threading.Event()

        def task(self) -> int:
            self.runs += 1
            return 5

    def submit(case: Case) -> None:
        case.future = pool.submit(case.task)
        case.ready.set()

    def cancel(case: Case) -> bool:
        while case.future is None:
            pass
        return case.future.cancel()

    def check(case: Case, returned: list[Any]) -> None:
        assert case.future is not None
        wait([case.future], PATIENCE)
        cancelled = case.future.cancelled()
        assert returned == [None, cancelled, cancelled]
        assert case.runs == (not cancelled)
        assert outcome_of(case.future) == (CancelledError if cancelled else 5)

    race(submit, cancel, cancel, setup=Case, check=check)


def test_callbacks_against_settling(pool: ThreadPoolExecutor):
    """Each is called exactly once, whether it came in time or not."""

    class Case:
        def __init__(self) -> None:
            self.called: list[tuple[int, int]] = []
            self.gate = threading.Event()
            self.future = pool.submit(self.gate.wait, PATIENCE)

    def add(me: int):
        def action(case: Case) -> None:
            for number in range(10):
                case.future.add_done_callback(lambda f, n=number: case.called.append((me, n)))

        return action

    def check(case: Case, returned: list[Any]) -> None:
        assert returned == [None] * 3
        wait([case.future, pool.submit(int), pool.submit(int)], PATIENCE)
        until = time.monotonic() + PATIENCE
        while len(case.called) < 20 and time.monotonic() < until:
            time.sleep(0)  # a callback that was in time may run a moment after result()
        assert sorted(case.called) == [(me, number) for me in range(2) for number in range(10)]

    race(lambda case: case.gate.set(), add(0), add(1), setup=Case, check=check)


def test_a_callback_for_what_is_done_runs_at_once(pool: ThreadPoolExecutor):
    """Who has seen the result, or that there is one, gets the callback here and now."""

    def after_result(future: Future[Any]) -> bool:
        future.result(PATIENCE)
        return at_once_and_here(future)

    def after_done(future: Future[Any]) -> bool:
        while not future.done():
            pass
        return at_once_and_here(future)

    def at_once_and_here(future: Future[Any]) -> bool:
        seen: list[int] = []
        future.add_done_callback(lambda f: seen.append(threading.get_ident()))
        return seen == [threading.get_ident()]

    race(
        after_result,
        after_done,
        setup=lambda: at_once(pool),
        check=lambda future, returned: tell(returned == [True, True], returned),
    )


@pytest.mark.parametrize("settle", ["result", "error", "cancel"])
def test_the_condition_against_settling(pool: ThreadPoolExecutor, settle: str):
    """It is made real while the future settles: who waits on it is woken, who reads sees one state or the other."""

    class Case:
        def __init__(self) -> None:
            self.gate = threading.Event()
            self.blockers = [pool.submit(self.gate.wait, PATIENCE) for _ in range(2)] if settle == "cancel" else []
            self.future: Future[Any] = pool.submit(self.task)

        def task(self) -> int:
            self.gate.wait(PATIENCE)
            return 1 // (settle == "result")

        def settle(self) -> None:
            if settle == "cancel":
                assert self.future.cancel()
            self.gate.set()

    def wait_by_condition(case: Case) -> str:
        future: Any = case.future
        with future._condition:
            while not future.done():
                assert future._condition.wait(PATIENCE)
            return future._state

    def check(case: Case, returned: list[Any]) -> None:
        name = "CANCELLED_AND_NOTIFIED" if settle == "cancel" else "FINISHED"
        assert returned[0] is None
        assert returned[1] == name
        assert returned[2] == ({case.future}, set())
        assert returned[3] == [case.future]
        assert not case.future._waiters  # type: ignore[attr-defined]
        wait(case.blockers, PATIENCE)

    race(
        Case.settle,
        wait_by_condition,
        lambda case: wait([case.future], PATIENCE),
        lambda case: list(as_completed([case.future], PATIENCE)),
        setup=Case,
        check=check,
    )


def test_wait_for_many_against_settling(pool: ThreadPoolExecutor):
    def first(futures: list[Future[Any]]) -> int:
        return len(wait(futures, PATIENCE, concurrent.futures.FIRST_COMPLETED).done)

    def check(futures: list[Future[Any]], returned: list[Any]) -> None:
        assert returned[0] >= 1
        assert returned[1] == (set(futures), set())
        assert len(returned[2]) == len(futures)

    race(
        first,
        lambda futures: wait(futures, PATIENCE),
        lambda futures: list(as_completed(futures, PATIENCE)),
        setup=lambda: [at_once(pool, number) for number in range(20)],
        check=check,
    )


def test_result_in_many_threads_against_settling(pool: ThreadPoolExecutor):
    def poll(future: Future[Any]) -> int:
        while not future.done():
            assert repr(future).startswith("<Future")
        return future.result(0)

    race(
        *[lambda future: future.result(PATIENCE)] * 2,
        *[lambda future: (future.exception(PATIENCE), future.result(0))[1]],
        poll,
        setup=lambda: at_once(pool),
        check=lambda future, returned: tell(returned == [5] * 4, returned),
    )


def test_a_timeout_against_settling(pool: ThreadPoolExecutor):
    """`result(timeout)` that gives up at the moment when there is something: the one or the other."""

    def ask(future: Future[Any]) -> Any:
        try:
            return future.result(0.0001)
        except TimeoutError:
            return 5 if future.result(PATIENCE) == 5 else "late and wrong"

    race(
        ask,
        ask,
        ask,
        setup=lambda: pool.submit(lambda: time.sleep(0.0001) or 5),
        check=lambda future, returned: tell(returned == [5] * 3, returned),
    )


def test_attributes_against_settling(pool: ThreadPoolExecutor):
    """The first attribute makes the future one that the collector looks at; so does its result. Once is enough."""

    class Case:
        def __init__(self) -> None:
            self.gate = threading.Event()
            self.future: Any = pool.submit(self.task)

        def task(self) -> list[Any]:
            self.gate.wait(PATIENCE)
            return [self]

    def check(case: Case, returned: list[Any]) -> None:
        assert returned == [None] * 4
        assert case.future.result(PATIENCE) == [case]
        assert (case.future.one, case.future.two) == (1, 2)

    race(
        lambda case: case.gate.set(),
        lambda case: setattr(case.future, "one", 1),
        lambda case: setattr(case.future, "two", 2),
        lambda case: case.future._waiters.clear(),
        setup=Case,
        check=check,
    )


def test_dropping_against_settling(pool: ThreadPoolExecutor):
    """The last reference goes while the worker settles, or while somebody waits."""

    class Thing:
        pass

    class Case:
        def __init__(self) -> None:
            self.thing = Thing()
            self.reference = weakref.ref(self.thing)
            self.gate = threading.Event()
            self.holder: list[Any] = [pool.submit(self.task, self.thing)]
            self.holder.append(self.holder[0])
            del self.thing

        def task(self, thing: Thing) -> list[Any]:
            self.gate.wait(PATIENCE)
            return [thing]

    def wait_and_drop(case: Case) -> None:
        future = case.holder.pop()
        assert len(future.result(PATIENCE)) == 1

    def check(case: Case, returned: list[Any]) -> None:
        assert returned == [None] * 3
        for _ in range(2):
            wait([pool.submit(int), pool.submit(int)], PATIENCE)
        until = time.monotonic() + PATIENCE
        while case.reference() is not None and time.monotonic() < until:
            gc.collect(0)
            pool.submit(int).result(PATIENCE)  # the worker has put the task away when it takes the next
        assert case.reference() is None

    race(lambda case: case.gate.set(), lambda case: case.holder.pop() and None, wait_and_drop, setup=Case, check=check)


def test_interrupting_against_the_end(pool: ThreadPoolExecutor):
    """The result or the interrupt; a False was too early or too late."""

    def task() -> int:
        total = 0
        for number in range(300):
            total += number
        return total

    def check(future: Future[Any], returned: list[Any]) -> None:
        error = future.exception(PATIENCE)
        assert error is None or isinstance(error, Interrupted)
        assert error is None or True in returned
        assert all(isinstance(one, bool) for one in returned)
        assert not future.interrupt()  # type: ignore[attr-defined]
        assert pool.submit(task).result(PATIENCE) == 44850

    race(*[lambda future: future.interrupt()] * 2, setup=lambda: pool.submit(task), check=check)


def test_collecting_against_settling(pool: ThreadPoolExecutor):
    """The collector walks over futures whose callbacks, waiters and attributes come and go."""

    class Case:
        def __init__(self) -> None:
            self.gate = threading.Event()
            self.futures: list[Any] = [pool.submit(self.task) for _ in range(2)]

        def task(self) -> Any:
            self.gate.wait(PATIENCE)
            return self

    def fiddle(case: Case) -> None:
        for _ in range(5):
            for future in case.futures:
                future.add_done_callback(lambda f, c=case: None)
                future.me = case

    def check(case: Case, returned: list[Any]) -> None:
        assert returned == [None] * 4
        assert [future.result(PATIENCE) for future in case.futures] == [case] * 2

    race(
        lambda case: case.gate.set(),
        fiddle,
        lambda case: [gc.collect(0), gc.collect(1)] and None,
        lambda case: wait(case.futures, PATIENCE) and None,
        setup=Case,
        check=check,
    )


def tell(truth: bool, what: Any) -> None:
    assert truth, what
