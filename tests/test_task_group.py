"""`weft.TaskGroup`: waits for all, fails together, loses no failure; on weft's pools and on the stdlib's."""

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import weft
from tests.lateness import check_within
from weft.errors import Interrupted
from weft.executors import SerialExecutor, ThreadPoolExecutor

POOLS: dict[str, Callable[[], concurrent.futures.Executor]] = {
    "weft": lambda: ThreadPoolExecutor(4),
    "stdlib": lambda: concurrent.futures.ThreadPoolExecutor(4),
}


@pytest.fixture(params=POOLS)
def pool(request: pytest.FixtureRequest) -> Iterator[concurrent.futures.Executor]:
    with POOLS[request.param]() as executor:
        yield executor


def fail(error: BaseException) -> None:
    raise error


def spin(started: threading.Event) -> None:
    """Runs until it is interrupted: Python code, so that each moment has a bytecode to be interrupted at."""
    started.set()
    while True:
        pass


# ---- plain code: all is well -----------------------------------------------------------------------------


def test_leaving_waits_for_all(pool: concurrent.futures.Executor) -> None:
    go = threading.Event()
    threading.Timer(0.05, go.set).start()
    with weft.TaskGroup(pool) as group:
        futures = [group.submit(go.wait, 30) for _ in range(10)]
    assert [future.result(0) for future in futures] == [True] * 10
    assert pool.submit(pow, 2, 3).result() == 8  # the executor is left running


def test_default_pool() -> None:
    with weft.TaskGroup() as group:
        future = group.submit(pow, 2, exp=10)
    assert future.result(0) == 1024
    with weft.Run(flavor="none") as default, weft.TaskGroup(default) as group:
        assert group.submit(pow, 2, 3).result() == 8


def test_an_empty_group() -> None:
    with weft.TaskGroup():
        pass


def test_map_is_in_order_and_ends_with_the_shortest(pool: concurrent.futures.Executor) -> None:
    with weft.TaskGroup(pool) as group:
        powers = group.map(pow, [2, 3, 4], [10, 2])
    assert list(powers) == [1024, 9]
    assert list(powers) == []


def test_map_starts_at_once_and_can_be_read_in_the_block(pool: concurrent.futures.Executor) -> None:
    started = threading.Event()
    with weft.TaskGroup(pool) as group:
        results = group.map(lambda event: event.set(), [started])
        assert started.wait(30)
        assert next(results) is None


def test_serial() -> None:
    with weft.TaskGroup(SerialExecutor()) as group:
        assert group.submit(threading.get_ident).result(0) == threading.get_ident()


def test_tasks_may_submit_to_their_group_while_it_waits(pool: concurrent.futures.Executor) -> None:
    done: list[int] = []

    def task(depth: int) -> None:
        if depth:
            group.submit(task, depth - 1)
        done.append(depth)

    with weft.TaskGroup(pool) as group:
        group.submit(task, 50)
    assert sorted(done) == list(range(51))


@pytest.mark.invariant(5)
def test_groups_nest_in_a_pool_of_one_worker() -> None:
    def task(depth: int) -> int:
        if depth == 0:
            return 0
        with weft.TaskGroup(pool) as group:
            future = group.submit(task, depth - 1)
        return future.result() + 1

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(task, 20).result() == 20


def test_many_threads_submit_at_once(pool: concurrent.futures.Executor) -> None:
    barrier = threading.Barrier(4)
    counts: list[int] = []

    def submitter(group: weft.TaskGroup) -> None:
        barrier.wait(30)
        for number in range(200):
            group.submit(counts.append, number)

    with weft.TaskGroup(pool) as group:
        threads = [threading.Thread(target=submitter, args=(group,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(counts) == 800


# ---- plain code: wrong use -------------------------------------------------------------------------------


def test_submit_only_inside(pool: concurrent.futures.Executor) -> None:
    group = weft.TaskGroup(pool)
    with pytest.raises(RuntimeError, match="not been entered"):
        group.submit(print)
    with group:
        pass
    with pytest.raises(RuntimeError, match="has closed"):
        group.submit(print)
    with pytest.raises(RuntimeError, match="entered before"), group:
        pass


def test_an_executor_that_refuses_is_not_waited_for(pool: concurrent.futures.Executor) -> None:
    closed = ThreadPoolExecutor(1)
    closed.shutdown()
    with pytest.raises(ExceptionGroup) as caught, weft.TaskGroup(closed) as group:
        group.submit(print)
    assert [type(error) for error in caught.value.exceptions] == [RuntimeError]


# ---- plain code: failures ----------------------------------------------------------------------------------


def test_a_failure_leaves_in_a_group(pool: concurrent.futures.Executor) -> None:
    error = ValueError("one")
    with pytest.raises(ExceptionGroup, match="a failure in a TaskGroup") as caught, weft.TaskGroup(pool) as group:
        group.submit(fail, error)
    assert caught.value.exceptions == (error,)


def test_no_failure_is_lost() -> None:
    """All are running when the first one fails, so none of them can be cancelled."""
    barrier = threading.Barrier(4)

    def task(number: int) -> None:
        barrier.wait(30)
        raise ValueError(number)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        with pytest.raises(ExceptionGroup, match="4 failures") as caught, weft.TaskGroup(pool) as group:
            for number in range(4):
                group.submit(task, number)
    assert sorted(error.args[0] for error in caught.value.exceptions) == [0, 1, 2, 3]


def test_the_first_failure_cancels_what_has_not_begun() -> None:
    for make in (ThreadPoolExecutor, concurrent.futures.ThreadPoolExecutor):
        with make(1) as pool:
            go = threading.Event()

            def task(go: threading.Event = go) -> None:
                go.wait(30)
                raise ValueError

            with pytest.raises(ExceptionGroup), weft.TaskGroup(pool) as group:
                failing = group.submit(task)
                waiting = [group.submit(pow, 2, 3) for _ in range(20)]
                go.set()
            assert isinstance(failing.exception(0), ValueError)
            assert sum(future.cancelled() for future in waiting) >= 19  # the worker may be ahead by one


def test_a_worker_takes_no_other_task_while_the_waiting_thread_is_still_cancelling() -> None:
    """Both see that a future is done; whichever is first, the worker goes on only when the rest is cancelled."""
    waiting_thread = threading.current_thread()
    waiter_cancels, worker_is_past = threading.Event(), threading.Event()

    class Slow(concurrent.futures.Future[None]):
        def cancel(self) -> bool:
            if threading.current_thread() is waiting_thread:
                waiter_cancels.set()
                worker_is_past.wait(30)
            return super().cancel()

    class ByHand(concurrent.futures.Executor):
        def __init__(self) -> None:
            self.given: list[concurrent.futures.Future[None]] = []

        def submit(self, *_: object, **__: object) -> concurrent.futures.Future[None]:
            future = Slow() if self.given else concurrent.futures.Future[None]()
            future.add_done_callback(lambda future: future.cancelled() or waiter_cancels.wait(30))
            self.given.append(future)
            return future

    pool = ByHand()
    begun: list[bool] = []

    def worker() -> None:
        pool.given[0].set_running_or_notify_cancel()
        pool.given[0].set_exception(ValueError())
        begun.extend(future.set_running_or_notify_cancel() for future in pool.given[1:])
        worker_is_past.set()

    thread = threading.Thread(target=worker)
    with pytest.raises(ExceptionGroup), weft.TaskGroup(pool) as group:
        for _ in range(3):
            group.submit(print)
        thread.start()
    thread.join(30)
    assert begun == [False, False]


def test_the_first_failure_interrupts_what_runs() -> None:
    started = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        with pytest.raises(ExceptionGroup) as caught, weft.TaskGroup(pool) as group:
            spinning = group.submit(spin, started)
            assert started.wait(30)
            group.submit(fail, ValueError("one"))
    # What the abort brings about is no failure of its own.
    assert [str(error) for error in caught.value.exceptions] == ["one"]
    assert isinstance(spinning.exception(0), Interrupted)


def test_submitting_on_after_a_failure_ends_the_block_and_adds_nothing() -> None:
    with pytest.raises(ExceptionGroup) as caught, weft.TaskGroup(SerialExecutor()) as group:
        for number in range(10):
            group.submit(fail, ValueError(number))
    assert [error.args for error in caught.value.exceptions] == [(0,)]


def test_the_blocks_own_failure_is_in_the_group(pool: concurrent.futures.Executor) -> None:
    gate = threading.Lock()  # an Event's wait that is interrupted may fail instead: its own lock is lost then
    with pytest.raises(ExceptionGroup) as caught, gate, weft.TaskGroup(pool) as group:
        group.submit(lambda: None).result()
        running = threading.Event()
        group.submit(lambda: (running.set(), gate.acquire(timeout=0.2)))
        assert running.wait(30)
        raise KeyError("block")
    assert [type(error) for error in caught.value.exceptions] == [KeyError]


def test_a_failure_that_the_block_repeats_counts_once(pool: concurrent.futures.Executor) -> None:
    with pytest.raises(ExceptionGroup) as caught, weft.TaskGroup(pool) as group:
        group.submit(fail, ValueError("one")).result()
    assert [str(error) for error in caught.value.exceptions] == ["one"]


def test_a_block_that_waits_for_a_cancelled_task_adds_nothing() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        go = threading.Event()

        def task() -> None:
            go.wait(30)
            raise ValueError("one")

        with pytest.raises(ExceptionGroup) as caught, weft.TaskGroup(pool) as group:
            group.submit(task)
            waiting = [group.submit(pow, 2, 3) for _ in range(5)]
            go.set()
            waiting[-1].result()
    assert [str(error) for error in caught.value.exceptions] == ["one"]


def test_a_task_that_its_owner_cancels_is_no_failure() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        go = threading.Event()
        with weft.TaskGroup(pool) as group:
            group.submit(go.wait, 30)
            waiting = group.submit(pow, 2, 3)
            assert waiting.cancel()
            go.set()


class Odd(BaseException):
    """No Exception."""


def test_failures_that_are_no_exceptions_make_a_base_group() -> None:
    barrier = threading.Barrier(2)

    def task(error: BaseException) -> None:
        barrier.wait(30)
        raise error

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        with pytest.raises(BaseExceptionGroup) as caught, weft.TaskGroup(pool) as group:
            group.submit(task, Odd())
            group.submit(task, ValueError())
    assert not isinstance(caught.value, ExceptionGroup)
    assert {type(error) for error in caught.value.exceptions} == {Odd, ValueError}


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, Odd, Interrupted])
def test_what_is_no_exception_leaves_the_block_as_it_is(kind: type[BaseException]) -> None:
    started = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(kind), weft.TaskGroup(pool) as group:
            spinning = group.submit(spin, started)
            waiting = group.submit(pow, 2, 3)
            assert started.wait(30)
            raise kind
        assert waiting.cancelled()
        assert isinstance(spinning.exception(30), Interrupted)


@pytest.mark.invariant(4)
def test_after_ctrl_c_a_task_that_cannot_be_interrupted_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    started, go = threading.Event(), threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        try:
            with caplog.at_level(logging.WARNING, "weft.futures"), pytest.raises(KeyboardInterrupt):
                with weft.TaskGroup(pool) as group:
                    group.submit(lambda: (started.set(), go.wait(30)))
                    assert started.wait(30)
                    begin = time.monotonic()
                    raise KeyboardInterrupt
            took = time.monotonic() - begin
        finally:
            go.set()
    check_within(took, 0.2)
    assert "left behind" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.invariant(4)
def test_ctrl_c_while_the_end_is_waited_for() -> None:
    started, leaving = threading.Event(), threading.Event()
    pressed: list[float] = []

    def press() -> None:
        started.wait(30)
        leaving.wait(30)
        pressed.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    with ThreadPoolExecutor(1) as pool:
        presser.start()
        with pytest.raises(KeyboardInterrupt), weft.TaskGroup(pool) as group:
            spinning = group.submit(spin, started)
            waiting = group.submit(pow, 2, 3)
            leaving.set()
        took = time.monotonic() - pressed[0]
        assert waiting.cancelled()
        assert isinstance(spinning.exception(30), Interrupted)
    presser.join()
    check_within(took, 0.2)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals")
@pytest.mark.invariant(4)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a finalizer of Python's is interrupted
def test_handlers_that_raise_leave_no_lock_taken(rng: random.Random) -> None:
    """Wherever they raise: each group ends, and so does the pool."""

    class Raised(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Raised

    before = signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(abs, range(100)))
            end = time.monotonic() + 0.5
            while time.monotonic() < end or not interrupted:
                try:
                    signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.00001, 0.002))
                    try:
                        with weft.TaskGroup(pool) as group:
                            for number in range(40):
                                group.submit(abs, number)
                    finally:
                        signal.setitimer(signal.ITIMER_REAL, 0)
                except* Raised:
                    interrupted += 1
    finally:
        signal.signal(signal.SIGALRM, before)


def test_tracebacks_lead_to_the_task(pool: concurrent.futures.Executor) -> None:
    with pytest.raises(ExceptionGroup) as caught, weft.TaskGroup(pool) as group:
        group.submit(fail, ValueError())
    frame = caught.value.exceptions[0].__traceback__
    names: list[str] = []
    while frame is not None:
        names.append(frame.tb_frame.f_code.co_name)
        frame = frame.tb_next
    assert names[-1] == "fail"


# ---- asyncio -------------------------------------------------------------------------------------------


def test_async_waits_for_all_without_blocking_the_loop(pool: concurrent.futures.Executor) -> None:
    async def main() -> None:
        go = threading.Event()
        asyncio.get_running_loop().call_later(0.05, go.set)  # runs only if the loop turns
        async with weft.TaskGroup(pool) as group:
            futures = [group.submit(go.wait, 30) for _ in range(10)]
        assert [future.result(0) for future in futures] == [True] * 10

    asyncio.run(main())


def test_async_results_can_be_awaited_in_the_block(pool: concurrent.futures.Executor) -> None:
    async def main() -> int:
        async with weft.TaskGroup(pool) as group:
            return await asyncio.wrap_future(group.submit(pow, 2, 10))

    assert asyncio.run(main()) == 1024


def test_async_failure_cancels_the_block(pool: concurrent.futures.Executor) -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with weft.TaskGroup(pool) as group:
                group.submit(fail, ValueError("one"))
                await asyncio.sleep(3600)
        assert [str(error) for error in caught.value.exceptions] == ["one"]
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0  # the group has cleaned up after itself
        await asyncio.sleep(0)

    asyncio.run(main())


def test_async_failure_while_leaving(pool: concurrent.futures.Executor) -> None:
    async def main() -> None:
        go = threading.Event()

        def task() -> None:
            go.wait(30)
            raise ValueError("one")

        asyncio.get_running_loop().call_later(0.05, go.set)
        with pytest.raises(ExceptionGroup, match="a failure"):
            async with weft.TaskGroup(pool) as group:
                group.submit(task)
        await asyncio.sleep(0)

    asyncio.run(main())


def test_async_failure_of_the_block_is_in_the_group(pool: concurrent.futures.Executor) -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with weft.TaskGroup(pool) as group:
                group.submit(pow, 2, 3)
                raise KeyError("block")
        assert [type(error) for error in caught.value.exceptions] == [KeyError]

    asyncio.run(main())


def test_async_cancel_cancels_the_tasks() -> None:
    async def main() -> None:
        started = threading.Event()
        futures: list[concurrent.futures.Future[Any]] = []

        async def block(pool: concurrent.futures.Executor) -> None:
            async with weft.TaskGroup(pool) as group:
                futures.append(group.submit(spin, started))
                futures.append(group.submit(pow, 2, 3))

        with ThreadPoolExecutor(1) as pool:
            task = asyncio.create_task(block(pool))
            while not started.is_set():
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert isinstance(futures[0].exception(0), Interrupted)
            assert futures[1].cancelled()

    asyncio.run(main())


def test_async_cancel_in_the_block_waits_for_what_runs() -> None:
    async def main() -> None:
        started, go = threading.Event(), threading.Event()
        futures: list[concurrent.futures.Future[Any]] = []

        async def block(pool: concurrent.futures.Executor) -> None:
            async with weft.TaskGroup(pool) as group:
                futures.append(group.submit(lambda: (started.set(), go.wait(30))))
                await asyncio.sleep(3600)

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            task = asyncio.create_task(block(pool))
            while not started.is_set():
                await asyncio.sleep(0.001)
            task.cancel()
            asyncio.get_running_loop().call_later(0.05, go.set)
            with pytest.raises(asyncio.CancelledError):
                await task
            assert futures[0].done()

    asyncio.run(main())


def test_async_timeout_around_a_group() -> None:
    async def main() -> None:
        with ThreadPoolExecutor(1) as pool:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    async with weft.TaskGroup(pool) as group:
                        group.submit(spin, threading.Event())

    asyncio.run(main())


def test_async_failure_and_cancel_from_outside_at_once(pool: concurrent.futures.Executor) -> None:
    """The failures go first; the next await sees the cancellation. As asyncio.TaskGroup does."""

    async def main() -> None:
        go = threading.Event()
        seen: list[str] = []

        def task() -> None:
            go.wait(30)
            raise ValueError("one")

        async def block() -> None:
            try:
                async with weft.TaskGroup(pool) as group:
                    group.submit(task)
                    running.set()
                    try:
                        await asyncio.sleep(3600)
                    finally:
                        go.set()
            except ExceptionGroup:
                seen.append("failures")
            with contextlib.suppress(TimeoutError):
                await asyncio.sleep(0)
            seen.append("went on")

        running = asyncio.Event()
        outer = asyncio.create_task(block())
        await running.wait()
        await asyncio.sleep(0)
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
        assert seen in ([], ["failures"])  # the task's failure may come before or after the abort

    asyncio.run(main())


def test_async_needs_a_task() -> None:
    loop = asyncio.new_event_loop()
    try:
        entering = weft.TaskGroup().__aenter__()
        with pytest.raises(RuntimeError):
            entering.send(None)
    finally:
        loop.close()


def test_repr_tells_the_state() -> None:
    group = weft.TaskGroup(SerialExecutor())
    assert repr(group) == "<weft.TaskGroup not entered, 0 tasks unfinished>"
    with group:
        assert repr(group) == "<weft.TaskGroup open, 0 tasks unfinished>"
    assert repr(group) == "<weft.TaskGroup closed, 0 tasks unfinished>"
