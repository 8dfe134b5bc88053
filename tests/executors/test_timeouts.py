"""Timeouts and interrupts: they stop the task they are meant for, and no other. Invariants 2 and 5."""

import itertools
import logging
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, as_completed
from contextlib import ExitStack, contextmanager

import pytest

from tests.executors.child import times, wait_until
from tests.lateness import Late, check_within
from weft.errors import Interrupted, TaskTimeout
from weft.executors import SerialExecutor, ThreadPoolExecutor


def spin() -> None:
    while True:
        pass


def check_full_strength(pool: ThreadPoolExecutor) -> None:
    """All workers that the pool may have are there, and no more."""
    barrier = threading.Barrier(pool.max_workers)
    for future in [pool.submit(barrier.wait, 20) for _ in range(pool.max_workers)]:
        future.result(20)
    wait_until(lambda: pool._stats()["workers"] <= pool.max_workers, "surplus workers leave")
    assert pool._stats()["blocked"] == 0
    assert pool._stats()["abandoned"] == 0


@contextmanager
def held_lock() -> Iterator[threading.Lock]:
    """A lock that cannot be had before the end of the block: a call in C that nothing interrupts."""
    lock = threading.Lock()
    with lock:
        yield lock


# ---- the table's row: an infinite loop among 10,000 tasks -------------------------------------------------


@pytest.mark.parametrize("workers", [1, 4])
def test_an_endless_loop_among_ten_thousand_tasks(workers: int, rng: random.Random) -> None:
    endless = rng.randrange(10_000)

    def task(index: int) -> int:
        if index == endless:
            spin()
        return index

    with ThreadPoolExecutor(workers) as pool:
        timed = pool.options(timeout=1.0)
        futures = [timed.submit(task, index) for index in range(10_000)]
        results = {future.result(30) for index, future in enumerate(futures) if index != endless}
        with pytest.raises(TaskTimeout) as caught:
            futures[endless].result(30)
        assert results == set(range(10_000)) - {endless}
        assert caught.value.timeout == 1.0
        assert caught.value.started is True
        assert caught.value.task is not None
        assert caught.value.task.endswith("task")
        assert isinstance(caught.value.__cause__, Interrupted)
        check_full_strength(pool)


def test_as_many_endless_loops_as_workers() -> None:
    with ThreadPoolExecutor(3) as pool:
        loops = [pool.options(timeout=0.2).submit(spin) for _ in range(6)]
        others = [pool.submit(divmod, index, 7) for index in range(500)]
        assert [future.result(30) for future in others] == [divmod(index, 7) for index in range(500)]
        assert all(isinstance(future.exception(30), TaskTimeout) for future in loops)
        check_full_strength(pool)


def test_map_gives_each_item_the_timeout() -> None:
    with ThreadPoolExecutor(2) as pool:
        items = pool.options(timeout=0.2).map(lambda item: spin() if item == 3 else item, range(6))
        try:
            assert [next(items), next(items), next(items)] == [0, 1, 2]
        except TaskTimeout as error:
            raise Late(f"before the one that spins: {error}") from error
        with pytest.raises(TaskTimeout):
            next(items)
        check_full_strength(pool)


# ---- what the task makes of it ----------------------------------------------------------------------------


def test_except_exception_does_not_swallow_the_request() -> None:
    def stubborn() -> None:
        while True:
            try:
                spin()
            except Exception:
                continue

    with ThreadPoolExecutor(1) as pool:
        assert isinstance(pool.options(timeout=0.1).submit(stubborn).exception(20), TaskTimeout)
        check_full_strength(pool)


def test_a_task_that_cleans_up() -> None:
    seen: list[str] = []

    def tidy() -> None:
        try:
            spin()
        except Interrupted:
            seen.append("caught")
            raise
        finally:
            seen.append("cleaned up")

    with ThreadPoolExecutor(1) as pool:
        error = pool.options(timeout=0.1, name="tidy").submit(tidy).exception(20)
    if not seen:
        raise Late("its time was up before it was inside of its try")
    assert seen == ["caught", "cleaned up"]
    assert isinstance(error, TaskTimeout)
    assert error.task == "tidy"
    assert isinstance(error.__cause__, Interrupted)


def test_a_result_after_the_time_is_up_is_too_late() -> None:
    def late() -> str:
        try:
            spin()
        except Interrupted:
            pass
        return "too late"

    with ThreadPoolExecutor(1) as pool:
        assert isinstance(pool.options(timeout=0.1).submit(late).exception(20), TaskTimeout)


def test_another_error_after_the_time_is_up_is_the_cause() -> None:
    def clumsy() -> None:
        try:
            spin()
        except Interrupted:
            raise KeyError("while cleaning up") from None

    with ThreadPoolExecutor(1) as pool:
        error = pool.options(timeout=0.1).submit(clumsy).exception(20)
    assert isinstance(error, TaskTimeout)
    if isinstance(error.__cause__, Interrupted):
        raise Late("its time was up before it was inside of its try")
    assert isinstance(error.__cause__, KeyError)


def test_a_task_that_refuses_to_stop_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """After the grace period its future fails, and another thread takes its place; it comes back when it likes."""
    enough = threading.Event()

    def refuse() -> str:
        while True:
            try:
                while not enough.is_set():
                    try:
                        enough.wait(0.01)
                    except BaseException:
                        continue
                return "never seen"
            except BaseException:  # between the lines above
                continue

    with caplog.at_level(logging.WARNING, "weft"), ThreadPoolExecutor(1) as pool:
        future = pool.options(timeout=0.1, name="refuse").submit(refuse)
        with pytest.raises(TaskTimeout) as caught:
            future.result(20)
        if "stuck" not in str(caught.value):
            enough.set()
            raise Late("its time was up before it was inside of its try")
        assert pool.submit(pow, 2, 3).result(20) == 8
        assert pool._stats()["abandoned"] == 1
        enough.set()
        wait_until(lambda: pool._stats()["abandoned"] == 0, "the thread comes back")
        check_full_strength(pool)
        assert isinstance(future.exception(), TaskTimeout)
    assert [record.args for record in caplog.records if record.name == "weft"] == [("refuse",)]


# ---- stuck in C -------------------------------------------------------------------------------------------


def test_a_task_stuck_in_c_is_abandoned_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    called = threading.Semaphore(0)
    with ThreadPoolExecutor(1) as pool, held_lock() as lock:
        began = time.monotonic()
        future = pool.options(timeout=0.1).submit(lock.acquire)
        future.add_done_callback(lambda _: called.release())
        with pytest.raises(TaskTimeout, match="stuck") as caught:
            future.result(20)
        assert time.monotonic() - began > 1.0
        check_within(time.monotonic() - began, 3)
        assert caught.value.__cause__ is None
        # The pool has its one worker all the same, with the stuck one still there.
        assert [pool.submit(abs, -index).result(20) for index in range(50)] == list(range(50))
        assert pool._stats()["abandoned"] == 1
        lock.release()
        wait_until(lambda: pool._stats()["abandoned"] == 0, "the thread comes back")
        lock.acquire(blocking=False)
        check_full_strength(pool)
    assert called.acquire(timeout=5)
    assert not called.acquire(blocking=False)
    assert "its thread is left to finish by itself" in caplog.text


def test_several_stuck_tasks_do_not_cost_the_pool_its_workers() -> None:
    with ThreadPoolExecutor(2) as pool, ExitStack() as held:
        locks = [held.enter_context(held_lock()) for _ in range(4)]
        stuck = [pool.options(timeout=0.05).submit(lock.acquire) for lock in locks]
        assert pool.submit(pow, 2, 3).result(20) == 8
        assert all(isinstance(future.exception(20), TaskTimeout) for future in stuck)
        barrier = threading.Barrier(2)
        for future in [pool.submit(barrier.wait, 20) for _ in range(2)]:
            future.result(20)
        assert pool._stats()["abandoned"] == 4
        for lock in locks:
            lock.release()
        wait_until(lambda: pool._stats()["abandoned"] == 0, "the threads come back")
        check_full_strength(pool)
        for lock in locks:
            lock.acquire(blocking=False)


def test_shutdown_waits_for_an_abandoned_thread() -> None:
    with held_lock() as lock:
        pool = ThreadPoolExecutor(1)
        assert isinstance(pool.options(timeout=0.05).submit(lock.acquire).exception(20), TaskTimeout)
        pool.shutdown(wait=False)
        assert not pool._wait_left(0.05)
        lock.release()
        pool.shutdown(wait=True)
        assert not pool._threads
        lock.acquire(blocking=False)


# ---- nested -----------------------------------------------------------------------------------------------


def test_a_task_times_out_inside_of_the_one_that_waits_for_it() -> None:
    """The pool has one worker, so the outer task runs the inner one itself."""
    with ThreadPoolExecutor(1) as pool:

        def outer() -> str:
            inner = pool.options(timeout=0.1).submit(spin)
            with pytest.raises(TaskTimeout):
                inner.result()
            return "goes on"

        assert pool.submit(outer).result(20) == "goes on"
        check_full_strength(pool)


def test_a_task_times_out_while_it_waits_for_another() -> None:
    finish = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        inner: list[Future[bool]] = []

        def outer() -> bool:
            inner.append(pool.submit(finish.wait, 20))
            return inner[0].result()

        error = pool.options(timeout=0.2).submit(outer).exception(20)
        assert isinstance(error, TaskTimeout)
        finish.set()
        if not inner:
            raise Late("its time was up before it had submitted the other")
        assert inner[0].result(20) is True  # which nobody asked to stop
        check_full_strength(pool)


@pytest.mark.parametrize("depth", [10, 80])
def test_the_innermost_of_many_times_out(depth: int) -> None:
    with ThreadPoolExecutor(1) as pool:

        def down(left: int) -> int:
            if left == 0:
                spin()
            view = pool.options(timeout=0.2) if left == 1 else pool
            try:
                return view.submit(down, left - 1).result() + 1
            except TaskTimeout:
                return 0

        assert pool.submit(down, depth).result(30) == depth - 1
        check_full_strength(pool)


def test_the_outermost_of_many_times_out() -> None:
    """The tasks under it go on: it is they that were not asked to stop."""
    finish = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        innermost: list[bool] = []

        def down(left: int) -> None:
            if left == 0:
                innermost.append(finish.wait(20))
            else:
                pool.submit(down, left - 1).result()

        assert isinstance(pool.options(timeout=0.2).submit(down, 20).exception(20), TaskTimeout)
        finish.set()
    assert innermost == [True]


def test_a_task_that_helps_is_interrupted_when_it_is_back() -> None:
    inner_runs = threading.Event()
    finish = threading.Event()
    with ThreadPoolExecutor(1) as pool:

        def inner() -> str:
            inner_runs.set()
            assert finish.wait(20)
            return "whole"

        inners: list[Future[str]] = []

        def outer() -> str:
            inners.append(pool.submit(inner))
            return inners[0].result()

        future = pool.submit(outer)
        assert inner_runs.wait(20)
        assert future.interrupt() is True
        finish.set()
        assert isinstance(future.exception(20), Interrupted)
        assert inners[0].result(20) == "whole"


# ---- retries ----------------------------------------------------------------------------------------------


def test_each_try_has_the_whole_time() -> None:
    starts: list[float] = []

    def slow_at_first() -> str:
        starts.append(time.monotonic())
        if len(starts) < 3:
            spin()
        return "in the end"

    with ThreadPoolExecutor(1) as pool:
        patient = pool.options(timeout=0.15, retries=20, backoff=0.01, retry_on=TaskTimeout)
        assert patient.submit(slow_at_first).result(20) == "in the end"
    if len(starts) > 3 or any(after - before < 0.15 for before, after in itertools.pairwise(starts)):
        raise Late(f"a try that began a while after its time did: {starts}")
    assert len(starts) == 3


def test_an_interrupted_task_is_not_tried_again() -> None:
    runs = threading.Semaphore(0)

    def task() -> None:
        runs.release()
        spin()

    with ThreadPoolExecutor(1) as pool:
        future = pool.options(retries=5, backoff=0, retry_on=BaseException).submit(task)
        assert runs.acquire(timeout=20)
        assert future.interrupt()
        assert isinstance(future.exception(20), Interrupted)
    assert not runs.acquire(blocking=False)


# ---- in the caller ----------------------------------------------------------------------------------------


def test_timeout_in_the_caller() -> None:
    with SerialExecutor() as executor:
        timed = executor.options(timeout=0.1)
        assert isinstance(timed.submit(spin).exception(), TaskTimeout)
        try:
            assert timed.submit(pow, 2, 3).result() == 8
        except TaskTimeout as error:
            raise Late(f"a task that takes no time: {error}") from error
        # What was posted for the task does not reach the code after it.
        assert sum(range(200_000)) == 19_999_900_000


def test_timeout_in_a_caller_that_is_not_the_main_thread() -> None:
    with ThreadPoolExecutor(1) as pool, SerialExecutor() as executor:
        assert isinstance(
            pool.submit(lambda: executor.options(timeout=0.1).submit(spin).exception()).result(20), TaskTimeout
        )
        check_full_strength(pool)


def test_timeout_of_a_task_in_the_caller_that_is_stuck_in_c() -> None:
    """Nobody can stand in for the caller: it has to wait, but what it gets is the timeout."""
    with SerialExecutor() as executor:
        began = time.monotonic()
        future = executor.options(timeout=0.05).submit(time.sleep, 1.5)
        assert time.monotonic() - began >= 1.5
        assert isinstance(future.exception(), TaskTimeout)
        assert executor.submit(pow, 2, 3).result() == 8


def test_nested_timeouts_in_the_caller() -> None:
    with SerialExecutor() as executor:

        def outer() -> str:
            assert isinstance(executor.options(timeout=0.1).submit(spin).exception(), TaskTimeout)
            return "goes on"

        assert executor.options(timeout=10).submit(outer).result() == "goes on"


# ---- the right task ---------------------------------------------------------------------------------------


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns every few microseconds: with a GIL the tasks would else run from end to end."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


def work(index: int, turns: int) -> int:
    total = 0
    for turn in range(turns):
        total += turn & 1
    return index


def check_only_targets_were_hit(futures: list[Future[int]], targets: set[int]) -> int:
    """Each other task has its own result. Gives how many were hit."""
    hit = 0
    for index, future in enumerate(futures):
        error = future.exception(30)
        if error is None:
            assert future.result() == index
        else:
            assert isinstance(error, Interrupted), repr(error)
            assert index in targets, f"task {index} was hit, and nobody asked for it"
            hit += 1
    return hit


@pytest.mark.deadline(300)
@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("workers", [1, 4])
def test_interrupts_hit_nobody_else(workers: int, rng: random.Random, caplog: pytest.LogCaptureFixture) -> None:
    """Tasks of some microseconds and interrupts from three threads, so that most arrive at the edges of a task."""
    rounds, batch = times(60, 6), 2_000
    hit = asked = 0
    for _ in range(rounds):
        turns = [rng.choice((0, 1, 10, 100, 400)) for _ in range(batch)]
        chosen = [index for index in range(batch) if rng.random() < 0.4]
        callbacks: list[int] = []

        def called(future: Future[int], into: list[int] = callbacks) -> None:
            into.append(work(1, 20))  # Python code on the worker, right behind the task

        with ThreadPoolExecutor(workers) as pool:
            start = threading.Barrier(3 + workers)
            for _ in range(workers):
                pool.submit(start.wait, 20)
            futures: list[Future[int]] = []
            for index in range(batch):
                future = pool.submit(work, index, turns[index])
                future.add_done_callback(called)
                futures.append(future)
            asked_for: list[set[int]] = [set(), set(), set()]

            def fire(number: int) -> None:
                start.wait(20)
                for index in chosen[number::3]:
                    future = futures[index]
                    while not future.done():
                        if future.interrupt():
                            asked_for[number].add(index)
                            break

            threads = [threading.Thread(target=fire, args=(number,)) for number in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            targets = set().union(*asked_for)
            hit += check_only_targets_were_hit(futures, targets)
            asked += len(targets)
        assert len(callbacks) == batch
    assert not caplog.records, caplog.text  # no callback was hit
    print(f"{asked} interrupts posted, {hit} tasks stopped by one")
    if hit == 0:  # where others have the cores, the three come too late for tasks as short as these
        raise Late(f"{asked} interrupts, and none in time")


@pytest.mark.deadline(300)
@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("how", ["interrupt", "timeout"])
def test_an_interrupt_waits_while_a_worker_is_started(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """In the middle of Thread.start() it would leave a thread that neither runs nor is forgotten by `threading`."""
    started: list[threading.Thread] = []
    begun = threading.Event()
    start = threading.Thread.start

    def start_slowly(thread: threading.Thread) -> None:
        begun.set()
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            pass
        start(thread)
        started.append(thread)

    def outer() -> None:
        monkeypatch.setattr(threading.Thread, "start", start_slowly)
        pool.submit(pow, 2, 3)
        while True:
            pass

    with ThreadPoolExecutor(2) as pool:
        future = pool.options(timeout=0.1 if how == "timeout" else None).submit(outer)
        wait_until(lambda: begun.is_set() or future.done(), "a worker is being started")
        if not begun.is_set():
            monkeypatch.undo()
            raise Late("its time was up before that")
        if how == "interrupt":
            assert future.interrupt()
        assert isinstance(future.exception(30), TaskTimeout if how == "timeout" else Interrupted)
        assert [thread.name[-2:] for thread in started] == ["_1"]


def test_interrupts_hit_nobody_else_when_tasks_help(rng: random.Random) -> None:
    """Outer tasks wait for inner ones and run them themselves; an interrupt of the one is none of the other."""
    for _ in range(times(40, 4)):
        count = 300
        inner_asked: set[int] = set()
        outer_asked: set[int] = set()
        inners: list[Future[int] | None] = [None] * count
        with ThreadPoolExecutor(2) as pool:

            def outer(index: int) -> str:
                inner = inners[index] = pool.submit(work, index, 200)
                try:
                    return f"{inner.result()}"
                except Interrupted:
                    # Its own, or the inner task's that passes through: the two are told apart below.
                    return "interrupted"

            outers = [pool.submit(outer, index) for index in range(count)]

            def fire(seed: int) -> None:
                chance = random.Random(seed)
                while not outers[-1].done():
                    index = chance.randrange(count)
                    if outers[index].running() and chance.random() < 0.2:
                        outer_asked.add(index)
                        outers[index].interrupt()
                    inner = inners[index]
                    if inner is not None and inner.running():
                        inner_asked.add(index)
                        inner.interrupt()

            threads = [threading.Thread(target=fire, args=(rng.random(),)) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for index, future in enumerate(outers):
                inner = inners[index]
                inner_error = None if inner is None else inner.exception(30)
                if inner_error is not None:
                    assert isinstance(inner_error, Interrupted)
                    assert index in inner_asked, f"inner task {index} was hit, and nobody asked for it"
                error = future.exception(30)
                if error is None and future.result() == str(index):
                    continue
                assert index in outer_asked or inner_error is not None, f"outer task {index} was hit: {error!r}"


@pytest.mark.deadline(300)
def test_timeouts_hit_nobody_else(rng: random.Random) -> None:
    """Tasks that end at about the time at which they time out, between tasks that have no timeout."""
    for _ in range(times(20, 2)):
        with ThreadPoolExecutor(3) as pool:
            timed: dict[Future[int], int] = {}
            untimed: dict[Future[int], int] = {}
            for index in range(400):
                milliseconds = rng.uniform(0.2, 4)
                view = pool.options(timeout=milliseconds / 1e3)
                timed[view.submit(busy, index, milliseconds * rng.choice((0.5, 0.95, 1, 1.05)))] = index
                untimed[pool.submit(busy, index, 0.1)] = index
            for future in as_completed(untimed, timeout=60):
                assert future.result() == untimed[future]
            for future in as_completed(timed, timeout=60):
                error = future.exception()
                assert error is None or isinstance(error, TaskTimeout), repr(error)
                assert error is not None or future.result() == timed[future]
            check_full_strength(pool)


def busy(index: int, milliseconds: float) -> int:
    end = time.perf_counter() + milliseconds / 1e3
    while time.perf_counter() < end:
        pass
    return index


def test_the_thread_goes_on_unharmed_after_a_late_interrupt() -> None:
    """Interrupts of one task in a row, up to its very end: the next task on the thread sees none of them."""
    with ThreadPoolExecutor(1) as pool:
        for _ in range(times(2_000, 200)):
            first = pool.submit(work, 1, 50)
            second = pool.submit(work, 2, 50)
            while not first.done():
                first.interrupt()
            assert second.result(20) == 2


def test_interrupt_with_another_exception() -> None:
    class Stop(Exception):
        pass

    begun = threading.Event()

    def task(then: Callable[[], None]) -> None:
        begun.set()
        then()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(task, spin)
        assert begun.wait(20)
        assert future.interrupt(Stop)
        assert isinstance(future.exception(20), Stop)
        assert future.interrupt() is False
