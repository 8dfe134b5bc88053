"""Saboteurs: tasks, arguments, results, callbacks and initializers that do what they should not.

After each: the right error, the pool usable, nothing left behind. Invariants 2, 3 and 5.
"""

import gc
import logging
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Future, as_completed, wait
from contextlib import contextmanager
from typing import Any

import pytest

from tests.executors.child import (
    descriptors_of_this_process,
    resident_bytes,
    run_child,
    threads_of_this_process,
    times,
    wait_until,
)
from weft.errors import InitializerFailed, Interrupted
from weft.executors import SerialExecutor, ThreadPoolExecutor

linux = pytest.mark.skipif(sys.platform != "linux", reason="counts threads and descriptors through /proc")


def check_usable(pool: ThreadPoolExecutor | SerialExecutor) -> None:
    futures = [pool.submit(pow, 2, exponent) for exponent in range(20)]
    assert [future.result(20) for future in futures] == [2**exponent for exponent in range(20)]
    if isinstance(pool, ThreadPoolExecutor):
        barrier = threading.Barrier(pool.max_workers)
        for future in [pool.submit(barrier.wait, 20) for _ in range(pool.max_workers)]:
            future.result(20)
        assert pool._stats()["workers"] == pool.max_workers


@contextmanager
def nothing_left() -> Iterator[None]:
    """Invariant 3: threads, native ones too, and descriptors are the same before and after."""
    threads, descriptors = threads_of_this_process(), descriptors_of_this_process()
    yield
    gc.collect()
    wait_until(lambda: threads_of_this_process() <= threads, "threads end")
    assert descriptors_of_this_process() == descriptors


@pytest.fixture(params=["threads-1", "threads-4", "serial"])
def pool(request: pytest.FixtureRequest) -> Iterator[ThreadPoolExecutor | SerialExecutor]:
    flavor, _, workers = request.param.partition("-")
    with nothing_left():
        with ThreadPoolExecutor(int(workers)) if flavor == "threads" else SerialExecutor() as pool:
            yield pool
            check_usable(pool)
        del pool


# ---- tasks ------------------------------------------------------------------------------------------------


def raise_it(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(3),
        GeneratorExit(),
        StopIteration(1),
        CancelledError(),
        Interrupted(),
        MemoryError(),
        BaseException(1),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_task_that_raises_what_tasks_do_not_raise(
    pool: ThreadPoolExecutor | SerialExecutor, error: BaseException
) -> None:
    future = pool.submit(raise_it, error)
    assert future.exception(20) is error
    assert not future.cancelled()
    with pytest.raises(type(error)):
        future.result()


@pytest.mark.parametrize("workers", [1, 4])
def test_keyboard_interrupt_raised_by_a_task_is_its_error(workers: int) -> None:
    with nothing_left(), ThreadPoolExecutor(workers) as pool:
        error = KeyboardInterrupt("not a signal")
        assert pool.submit(raise_it, error).exception(20) is error
        check_usable(pool)


def test_keyboard_interrupt_in_the_caller_reaches_the_caller() -> None:
    with SerialExecutor() as executor:
        with pytest.raises(KeyboardInterrupt):
            executor.submit(raise_it, KeyboardInterrupt())
        check_usable(executor)


def test_sys_exit_in_a_task(pool: ThreadPoolExecutor | SerialExecutor) -> None:
    error = pool.submit(sys.exit, 3).exception(20)
    assert isinstance(error, SystemExit)
    assert error.code == 3


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Unmakeable(Exception):
    def __init__(self) -> None:
        raise RuntimeError("cannot be made")


class Unnotable(Exception):
    def add_note(self, note: str) -> None:
        raise RuntimeError("takes no notes")


def test_an_error_that_cannot_be_shown(pool: ThreadPoolExecutor | SerialExecutor) -> None:
    error = Unprintable()
    assert pool.submit(raise_it, error).exception(20) is error
    future = pool.submit(raise_it, error)
    wait([future], 20)
    assert "Unprintable" in repr(future)


def raise_class(kind: type[BaseException]) -> None:
    raise kind


def test_an_error_that_cannot_be_made(pool: ThreadPoolExecutor | SerialExecutor) -> None:
    error = pool.submit(raise_class, Unmakeable).exception(20)
    assert isinstance(error, RuntimeError)
    assert str(error) == "cannot be made"


def test_an_interrupt_that_cannot_be_made(pool: ThreadPoolExecutor | SerialExecutor) -> None:
    begun = threading.Event()

    def task() -> None:
        begun.set()
        while True:
            pass

    def interrupt() -> None:
        assert begun.wait(20)
        while not futures:  # in the caller, submit has not returned
            for one, _, _ in pool._running():
                futures.append(one)
            if isinstance(pool, SerialExecutor):
                return
        futures[0].interrupt(Unmakeable)

    if isinstance(pool, SerialExecutor):
        pytest.skip("the caller has no future to interrupt before the task is done")
    futures: list[Any] = []
    other = threading.Thread(target=interrupt)
    other.start()
    future = pool.submit(task)
    other.join()
    assert isinstance(future.exception(20), RuntimeError)


def test_an_error_that_takes_no_notes(pool: ThreadPoolExecutor | SerialExecutor) -> None:
    error = Unnotable()
    assert pool.options(retries=2, backoff=0).submit(raise_it, error).exception(20) is error


def test_retry_on_a_class_whose_check_raises(pool: ThreadPoolExecutor | SerialExecutor) -> None:
    class Meta(type):
        def __subclasscheck__(cls, other: type) -> bool:
            raise RuntimeError("no opinion")

    class Odd(Exception, metaclass=Meta):
        pass

    assert isinstance(
        pool.options(retries=1, backoff=0, retry_on=Odd).submit(raise_it, KeyError()).exception(20), KeyError
    )


# ---- arguments and results --------------------------------------------------------------------------------


class RaisesWhenDropped:
    def __del__(self) -> None:
        raise RuntimeError("from __del__")


@contextmanager
def unraisable() -> Iterator[list[Any]]:
    """What sys.unraisablehook is told meanwhile: the interpreter's way to report an error in __del__."""
    told: list[Any] = []
    before, sys.unraisablehook = sys.unraisablehook, told.append
    try:
        yield told
    finally:
        sys.unraisablehook = before


def swallow(*args: object, **kwargs: object) -> int:
    return len(args) + len(kwargs)


@pytest.mark.parametrize("count", [1, 3, 9])
def test_arguments_whose_end_raises(pool: ThreadPoolExecutor | SerialExecutor, count: int) -> None:
    with unraisable() as told:
        future = pool.submit(swallow, *[RaisesWhenDropped() for _ in range(count)], last=RaisesWhenDropped())
        assert future.result(20) == count + 1
        wait_until(lambda: len(told) == count + 1, "all arguments are dropped")
        assert {type(one.exc_value) for one in told} == {RuntimeError}


def test_a_result_whose_end_raises(pool: ThreadPoolExecutor | SerialExecutor) -> None:
    with unraisable() as told:
        future = pool.submit(RaisesWhenDropped)
        wait([future], 20)
        del future
        pool.submit(RaisesWhenDropped)  # nobody ever looks at this one

        def all_dropped() -> bool:
            # On a free-threaded build an object ends on the thread that made it, when that next runs Python code.
            wait([pool.submit(swallow) for _ in range(pool.max_workers)], 20)
            return len(told) == 2

        wait_until(all_dropped, "the results are dropped")


class UsesPoolWhenDropped:
    """Its end submits to the pool, waits, and asks about the future that held it."""

    def __init__(self, pool: ThreadPoolExecutor | SerialExecutor, into: list[int]) -> None:
        self.pool, self.into = pool, into

    def __del__(self) -> None:
        self.into.append(self.pool.submit(pow, 2, 5).result(20))


def test_arguments_whose_end_uses_the_pool(pool: ThreadPoolExecutor | SerialExecutor) -> None:
    into: list[int] = []
    for _ in range(20):
        pool.submit(swallow, UsesPoolWhenDropped(pool, into)).result(20)
    wait_until(lambda: len(into) == 20, "all arguments are dropped")
    assert set(into) == {32}


def test_a_cancelled_task_whose_arguments_use_the_pool(pool: ThreadPoolExecutor | SerialExecutor) -> None:
    if isinstance(pool, SerialExecutor):
        pytest.skip("nothing is ever queued")
    into: list[int] = []
    gate = threading.Event()
    for _ in range(pool.max_workers):
        pool.submit(gate.wait, 20)
    future = pool.submit(swallow, UsesPoolWhenDropped(pool, into))
    opener = threading.Thread(target=lambda: (wait_until(future.cancelled, "it is cancelled"), gate.set()))
    opener.start()
    assert future.cancel()  # drops the argument, which waits for the pool to get free
    wait_until(lambda: into == [32], "the argument is dropped")
    opener.join(20)


class Uncopyable:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no attributes")

    def __call__(self) -> int:
        return 7


def test_a_callable_without_a_name(pool: ThreadPoolExecutor | SerialExecutor) -> None:
    assert pool.submit(Uncopyable()).result(20) == 7

    class Odd:
        def __getattribute__(self, name: str) -> Any:
            raise ValueError("no name")

        def __call__(self) -> None:
            while True:
                pass

        def __repr__(self) -> str:
            raise RuntimeError("no repr either")

    error = pool.options(timeout=0.05).submit(Odd()).exception(20)
    assert isinstance(error, TimeoutError)


def test_map_over_items_that_cannot_be_read(pool: ThreadPoolExecutor | SerialExecutor) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise RuntimeError("no more of this")

    with pytest.raises(RuntimeError, match="no more"):
        list(pool.map(abs, items()))
    with pytest.raises(RuntimeError, match="no more"):
        list(pool.map(abs, items(), buffersize=4))


# ---- callbacks --------------------------------------------------------------------------------------------


def test_callbacks_that_raise(pool: ThreadPoolExecutor | SerialExecutor, caplog: pytest.LogCaptureFixture) -> None:
    called: list[int] = []
    gate = threading.Event()
    if isinstance(pool, SerialExecutor):
        gate.set()
    future = pool.submit(gate.wait, 20)
    done = threading.Event()
    with caplog.at_level(logging.ERROR, "concurrent.futures"):
        for error in (ValueError("one"), Unprintable(), ValueError("two")):

            def callback(_: Future[Any], error: BaseException = error) -> None:
                called.append(1)
                raise error

            future.add_done_callback(callback)
        future.add_done_callback(lambda _: done.set())
        gate.set()
        assert done.wait(20)
    assert future.result(20) is True
    assert len(called) == 3
    assert [record.name for record in caplog.records] == ["concurrent.futures"] * 3


@pytest.mark.parametrize("error", [SystemExit(1), GeneratorExit()], ids=lambda error: type(error).__name__)
def test_callbacks_that_raise_what_callbacks_do_not_raise(
    pool: ThreadPoolExecutor | SerialExecutor, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    gate = threading.Event()
    if isinstance(pool, SerialExecutor):
        gate.set()
    with caplog.at_level(logging.CRITICAL + 1, "concurrent.futures"):
        future = pool.submit(gate.wait, 20)
        future.add_done_callback(lambda _: raise_it(error))
        gate.set()
        assert future.result(20) is True
        check_usable(pool)


def test_a_callback_that_blocks() -> None:
    """It holds its worker, and nobody else."""
    gate, entered = threading.Event(), threading.Event()

    def block(_: Future[Any]) -> None:
        entered.set()
        assert gate.wait(20)

    with nothing_left(), ThreadPoolExecutor(2) as pool:
        start = threading.Event()
        future = pool.submit(start.wait, 20)
        future.add_done_callback(block)
        start.set()
        assert future.result(20) is True  # which does not wait for the callback
        assert entered.wait(20)
        assert pool.submit(pow, 2, 3).result(20) == 8
        gate.set()
        check_usable(pool)


def test_callbacks_that_resubmit(pool: ThreadPoolExecutor | SerialExecutor) -> None:
    done = threading.Event()
    left = [500]

    def again(_: Future[Any]) -> None:
        left[0] -= 1
        if left[0] == 0:
            done.set()
        elif left[0] % 100 or not isinstance(pool, SerialExecutor):
            pool.submit(pow, 2, 3).add_done_callback(again)
        else:
            done.set()

    pool.submit(pow, 2, 3).add_done_callback(again)
    assert done.wait(30)


def test_a_callback_that_waits_for_its_own_pool() -> None:
    with nothing_left(), ThreadPoolExecutor(1) as pool:
        got: list[int] = []
        done = threading.Event()
        gate = threading.Event()

        def waits(_: Future[Any]) -> None:
            got.append(pool.submit(pow, 2, 6).result(20))
            done.set()

        future = pool.submit(gate.wait, 20)
        future.add_done_callback(waits)
        gate.set()
        assert done.wait(30)
        assert got == [64]
        check_usable(pool)


def test_a_callback_that_cancels_and_drops_everything(pool: ThreadPoolExecutor | SerialExecutor) -> None:
    futures: list[Future[Any]] = []
    done = threading.Event()

    def clear(_: Future[Any]) -> None:
        for future in futures:
            future.cancel()
        futures.clear()
        done.set()

    futures.extend(pool.submit(pow, 2, 3) for _ in range(500))
    futures[len(futures) // 2].add_done_callback(clear)
    assert done.wait(20)


# ---- initializers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [ValueError("no set-up"), Unprintable(), SystemExit(2), KeyboardInterrupt()],
    ids=lambda e: type(e).__name__,
)
def test_an_initializer_that_raises(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()

    def initializer() -> None:
        assert gate.wait(20)
        raise error

    with nothing_left(), caplog.at_level(logging.CRITICAL + 1, "concurrent.futures"):
        with ThreadPoolExecutor(2, initializer=initializer) as pool:
            futures = [pool.submit(pow, 2, 3) for _ in range(20)]
            gate.set()
            for future in futures:
                failure = future.exception(20)
                assert isinstance(failure, InitializerFailed)
                assert isinstance(failure, BrokenExecutor)
                assert failure.__cause__ is error
            with pytest.raises(InitializerFailed):
                pool.submit(pow, 2, 3)
            with pytest.raises(InitializerFailed):
                list(pool.map(abs, [1]))


def test_an_initializer_that_fails_in_some_threads(caplog: pytest.LogCaptureFixture) -> None:
    first = threading.Lock()
    busy = threading.Event()
    stop = threading.Event()

    def initializer() -> None:
        if not first.acquire(blocking=False):
            raise ValueError("one is enough")

    with nothing_left(), caplog.at_level(logging.CRITICAL + 1, "concurrent.futures"):
        with ThreadPoolExecutor(2, initializer=initializer) as pool:
            running = pool.submit(lambda: (busy.set(), stop.wait(20))[1])
            assert busy.wait(20)
            queued = pool.submit(pow, 2, 3)
            assert isinstance(queued.exception(20), InitializerFailed)
            stop.set()
            assert running.result(20) is True  # what ran went on


def test_a_broken_pool_drops_arguments_that_interrupt_their_task(caplog: pytest.LogCaptureFixture) -> None:
    """While it is being failed, a queued task counts as running, on no thread: an interrupt must not wait for one."""
    futures: list[Future[Any]] = []
    gate = threading.Event()
    answers: list[bool] = []

    class InterruptsWhenDropped:
        def __del__(self) -> None:
            answers.append(futures[0].interrupt())

    def initializer() -> None:
        assert gate.wait(20)
        raise ValueError("no set-up")

    with caplog.at_level(logging.CRITICAL + 1, "concurrent.futures"):
        with ThreadPoolExecutor(1, initializer=initializer) as pool:
            futures.append(pool.submit(swallow, InterruptsWhenDropped()))
            gate.set()
            assert isinstance(futures[0].exception(20), InitializerFailed)
    assert len(answers) == 1


# ---- threads that cannot be had ---------------------------------------------------------------------------

NO_MORE_THREADS = """
import threading
from weft.executors import ThreadPoolExecutor
pool = ThreadPoolExecutor(4)
assert pool.submit(pow, 2, 3).result(20) == 8
threading.stack_size(1 << 46)  # more than there is address space
futures = [pool.submit(pow, 2, 3) for _ in range(200)]
assert [future.result(20) for future in futures] == [8] * 200, "the threads that there are do the work"
other = ThreadPoolExecutor(4)
try:
    other.submit(pow, 2, 3)
except RuntimeError as error:
    print("refused:", error)
threading.stack_size(0)
assert other.submit(pow, 2, 3).result(20) == 8
pool.shutdown()
other.shutdown()
print("exit 0")
"""


@linux
def test_no_more_threads() -> None:
    ended = run_child(NO_MORE_THREADS)
    ended.check_sound()
    assert "refused: can't start new thread" in ended.output


# ---- nested submission ------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [500, 5_000])
@pytest.mark.parametrize("workers", [1, 2])
def test_nested_submission(depth: int, workers: int) -> None:
    """Invariant 5."""
    with nothing_left(), ThreadPoolExecutor(workers) as pool:

        def down(left: int) -> int:
            return 0 if left == 0 else pool.submit(down, left - 1).result() + 1

        assert pool.submit(down, depth).result(50) == depth
        check_settles(pool)


def check_settles(pool: ThreadPoolExecutor) -> None:
    wait_until(lambda: pool._stats()["workers"] <= pool.max_workers, "surplus workers leave")
    assert pool._stats()["blocked"] == 0
    check_usable(pool)


@pytest.mark.parametrize("how", ["wait", "as_completed", "result", "exception", "map", "timeout"])
def test_nested_waits_of_every_kind(how: str) -> None:
    depth = 60
    with nothing_left(), ThreadPoolExecutor(1) as pool:

        def down(left: int) -> int:
            if left == 0:
                return 0
            if how == "map":
                return next(iter(pool.map(down, [left - 1]))) + 1
            future = pool.submit(down, left - 1)
            if how == "wait":
                wait([future])
            elif how == "as_completed":
                list(as_completed([future]))
            elif how == "exception":
                future.exception()
            elif how == "timeout":
                return future.result(40) + 1
            return future.result() + 1

        assert pool.submit(down, depth).result(50) == depth
        check_settles(pool)


def test_a_tree_of_tasks() -> None:
    with nothing_left(), ThreadPoolExecutor(3) as pool:

        def count(depth: int) -> int:
            if depth == 0:
                return 1
            children = [pool.submit(count, depth - 1) for _ in range(3)]
            return sum(child.result() for child in children)

        assert pool.submit(count, 6).result(50) == 3**6
        check_settles(pool)


def test_two_pools_that_wait_for_each_other() -> None:
    with nothing_left(), ThreadPoolExecutor(1) as here, ThreadPoolExecutor(1) as there:

        def down(left: int, mine: ThreadPoolExecutor, other: ThreadPoolExecutor) -> int:
            return 0 if left == 0 else other.submit(down, left - 1, other, mine).result() + 1

        both = [here.submit(down, 200, here, there), there.submit(down, 200, there, here)]
        assert [future.result(50) for future in both] == [200, 200]
        check_settles(here)
        check_settles(there)


@pytest.mark.parametrize(("workers", "waiting"), [(2, 1), (3, 2), (4, 3)])
def test_a_task_is_not_kept_behind_those_that_wait_for_it(workers: int, waiting: int) -> None:
    """Tasks begin in the order of their submission: with a worker to spare, the one that others wait for has its turn.

    They wait in a way that the pool does not see, as for a lock.
    """
    for number in range(times(500, 40)):
        event = threading.Event()
        with ThreadPoolExecutor(workers) as pool:
            if number % 2:
                pool.submit(pow, 2, 3).result(20)
            futures = [pool.submit(event.wait, 10) for _ in range(waiting)]
            futures.append(pool.submit(event.set))
            futures += [pool.submit(event.wait, 10) for _ in range(8)]
            assert futures[0].result() is True


# ---- leaks ------------------------------------------------------------------------------------------------


@linux
def test_a_timer_thread_goes_with_its_pools() -> None:
    """Invariant 3, for the one thread that Python does not know of."""
    with nothing_left():
        before = threads_of_this_process()
        one, two = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        assert one.options(timeout=30).submit(pow, 2, 3).result(20) == 8
        assert two.options(timeout=30).submit(pow, 2, 3).result(20) == 8
        assert len(threads_of_this_process() - before) == 3  # two workers, one timer
        one.shutdown()
        del one
        assert two.options(timeout=0.05).submit(spin).exception(20) is not None
        two.shutdown()
        del two


def spin() -> None:
    while True:
        pass


def use_and_close(how: str) -> None:
    pool = ThreadPoolExecutor(3)
    futures = [pool.submit(pow, 2, 3) for _ in range(10)]
    if how == "timeouts":
        futures += [pool.options(timeout=20).submit(pow, 2, 3) for _ in range(10)]
    if how == "map":
        assert list(pool.map(abs, range(100))) == list(range(100))
        next(pool.map(abs, range(1_000), buffersize=20))
    if how == "cancel":
        pool.shutdown(wait=True, cancel_futures=True)
    elif how == "failure":
        pool.submit(raise_it, ValueError()).exception(20)
        pool.shutdown()
    elif how != "dropped":
        pool.shutdown()
    else:
        wait(futures)


@linux
@pytest.mark.deadline(300)
@pytest.mark.parametrize("how", ["shutdown", "cancel", "dropped", "timeouts", "map", "failure"])
def test_hundreds_of_pools_leave_nothing(how: str) -> None:
    with nothing_left():
        for _ in range(30):  # what is allocated once
            use_and_close(how)
        gc.collect()
        wait_until(lambda: threading.active_count() <= 2, "threads end")
        before = resident_bytes()
        for _ in range(times(2_000, 200)):
            use_and_close(how)
        gc.collect()
        wait_until(lambda: threading.active_count() <= 2, "threads end")
        assert resident_bytes() - before < 8 << 20


SIZE = 10_000


@linux
@pytest.mark.parametrize("what", ["results", "errors", "cancelled", "timeouts", "nested", "callbacks"])
def test_memory_does_not_grow_with_the_tasks_done(what: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        kinds: dict[str, Callable[[], object]] = {
            "results": lambda: [pool.submit(bytes, SIZE) for _ in range(1000)][-1].result(20),
            "errors": lambda: [pool.submit(raise_it, ValueError("x" * SIZE)) for _ in range(300)][-1].exception(20),
            "cancelled": lambda: [pool.submit(bytes, SIZE).cancel() for _ in range(1000)],
            "timeouts": lambda: [pool.options(timeout=9).submit(bytes, SIZE) for _ in range(500)][-1].result(20),
            "nested": lambda: pool.submit(lambda: [pool.submit(bytes, SIZE).result() for _ in range(300)]).result(20),
            "callbacks": lambda: [
                pool.submit(bytes, SIZE).add_done_callback(lambda future: future.result()) for _ in range(500)
            ],
        }
        for _ in range(20):
            kinds[what]()
        gc.collect()
        before = resident_bytes()
        for _ in range(times(400, 40)):
            kinds[what]()
        pool.submit(pow, 2, 3).result(20)
        gc.collect()
        assert resident_bytes() - before < 60 << 20  # of at least 120 MB that have passed


def test_a_dropped_pool_in_a_cycle_is_collected() -> None:
    with nothing_left():
        pool = ThreadPoolExecutor(2)
        pool.submit(pow, 2, 3).result(20)
        pool.itself = pool  # type: ignore[attr-defined]
        pool.submit(pow, 2, 3).add_done_callback(lambda _, pool=pool: None)
        gone = weakref.ref(pool)
        del pool
        gc.collect()
        wait_until(lambda: gc.collect() is not None and gone() is None, "the pool is collected")


class OwnsItsPool:
    """What many programs do: an object makes the pool whose workers it sets up."""

    def __init__(self) -> None:
        self.set_up = 0
        self.pool = ThreadPoolExecutor(1, initializer=self.begin, initargs=([self],))

    def begin(self, _: object) -> None:
        self.set_up += 1


@pytest.mark.parametrize(("tasks", "shut_down"), [(0, False), (0, True), (1, True)])
def test_a_pool_in_a_cycle_with_its_initializer_is_collected(tasks: int, shut_down: bool) -> None:
    """As the stdlib's: not while a worker lives, which has the initializer too."""
    with nothing_left():
        owner = OwnsItsPool()
        for _ in range(tasks):
            owner.pool.submit(pow, 2, 3).result(20)
        assert owner.set_up == tasks
        if shut_down:
            owner.pool.shutdown()
        gone = weakref.ref(owner)
        del owner
        wait_until(lambda: gc.collect() is not None and gone() is None, "owner and pool are collected")


def test_a_pool_whose_other_handle_lives_keeps_its_initializer() -> None:
    begun: list[str] = []
    pool = ThreadPoolExecutor(1, initializer=begun.append, initargs=("begun",))
    named = pool.options(name="other")
    vars(pool)["itself"] = pool
    del pool
    gc.collect()
    with named:
        assert named.submit(pow, 2, 3).result(20) == 8
    assert begun == ["begun"]


def test_a_pool_dropped_by_its_own_task() -> None:
    """The last reference goes on a worker: its end must not wait for itself."""
    with nothing_left():
        for _ in range(50):
            pools = [ThreadPoolExecutor(1)]
            gate = threading.Event()
            future = pools[0].submit(lambda: (gate.wait(20), pools.clear()))
            gate.set()
            future.result(20)
            assert not pools


def test_shutdown_by_its_own_task() -> None:
    with nothing_left():
        pool = ThreadPoolExecutor(2)
        with pytest.raises(RuntimeError, match="its own|wait"):
            pool.submit(pool.shutdown).result(20)
        pool = ThreadPoolExecutor(2)
        assert pool.submit(pool.shutdown, False).result(20) is None
        with pytest.raises(RuntimeError):
            pool.submit(pow, 2, 3)


@linux
def test_subprocesses_inherit_no_descriptor() -> None:
    with ThreadPoolExecutor(2) as pool:
        pool.options(timeout=9).submit(pow, 2, 3).result(20)
        listed = pool.submit(
            subprocess.check_output,
            [sys.executable, "-c", "import os; print(sorted(os.listdir('/proc/self/fd')))"],
            close_fds=False,
            text=True,
        ).result(20)
    assert set(eval(listed)) <= set(os.listdir("/proc/self/fd")) | {"3", "4", "5"}
