"""What a future keeps alive, and for how long: nothing beyond what somebody may still ask for."""

import gc
import subprocess
import sys
import textwrap
import time
import weakref
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from tests.executors import tasks
from tests.executors.conftest import Pools
from tests.executors.flavors import PATIENCE, Can, needs

pytestmark = needs(Can.SHARE, Can.OWN_FUTURES)

FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()


class Thing:
    """Something that can be watched."""

    def method(self, *args: Any) -> None:
        pass


def is_gone(reference: weakref.ref[Any]) -> bool:
    """Collects where it has to: on a free-threaded build an object may wait for its own thread to count it down."""
    if FREE_THREADED:
        gc.collect()
    return reference() is None


def settled(pool: Executor) -> None:
    """Every worker has put its last task away."""
    pool.shutdown(wait=True)


@pytest.mark.parametrize("outcome", ["result", "error"])
def test_arguments_are_let_go_when_the_task_is_done(pool: Any, outcome: str):
    def task(thing: Thing, *, named: Thing) -> None:
        if outcome == "error":
            del thing, named
            raise ValueError

    thing, named = Thing(), Thing()
    references = [weakref.ref(thing), weakref.ref(named)]
    future = pool.submit(task, thing, named=named)
    del thing, named
    error = future.exception(PATIENCE)
    assert (error is not None) == (outcome == "error")
    settled(pool)
    assert all(is_gone(reference) for reference in references)
    assert future.done()


def test_the_function_is_let_go_when_the_task_is_done(pool: Any):
    thing = Thing()
    reference = weakref.ref(thing)
    future = pool.submit(thing.method)
    del thing
    future.result(PATIENCE)
    settled(pool)
    assert is_gone(reference)


@needs(Can.OVERLAP)
def test_arguments_of_a_cancelled_task_are_let_go(pools: Pools, one: Any):
    thing = Thing()
    reference = weakref.ref(thing)
    with pools.held(one):
        future = one.submit(tasks.echo, thing)
        del thing
        assert future.cancel()
    settled(one)
    assert is_gone(reference)
    assert future.cancelled()


@needs(Can.OVERLAP)
def test_arguments_are_let_go_although_the_worker_sleeps(one: Any):
    """Nothing else has to happen in the pool before they are."""
    thing = Thing()
    reference = weakref.ref(thing)
    one.submit(tasks.nothing_of, thing)
    del thing
    until = time.monotonic() + PATIENCE
    while reference() is not None and time.monotonic() < until:
        gc.collect()
        time.sleep(0.01)  # nothing tells; and an event that its finalizer sets might be set by who waits for it
    assert reference() is None


def test_a_future_that_nobody_holds_goes(pool: Any):
    future = pool.submit(tasks.echo, Thing())
    result, reference = weakref.ref(future.result(PATIENCE)), weakref.ref(future)
    settled(pool)
    del future
    assert is_gone(reference)
    assert is_gone(result)


def test_a_task_runs_although_nobody_holds_its_future(pool: Any):
    ran: list[int] = []
    for number in range(200):
        pool.submit(ran.append, number)
    settled(pool)
    assert sorted(ran) == list(range(200))


@needs(Can.OVERLAP)
@pytest.mark.parametrize("through", ["attribute", "callback", "argument", "result", "waiters"])
@pytest.mark.parametrize("state", ["finished", "cancelled", "pending"])
def test_a_cycle_through_a_future_is_collected(pools: Pools, one: Any, through: str, state: str):
    watched = Thing()
    reference = weakref.ref(watched)
    holder: dict[str, Any] = {"watched": watched}
    del watched
    gate, _ = pools.hold(one)
    future: Future[Any] = one.submit(tasks.echo, holder)
    reference_to_future = weakref.ref(future)
    links: dict[str, Any] = {
        "attribute": lambda: setattr(future, "holder", holder),
        "callback": lambda: future.add_done_callback(lambda f, h=holder: None),
        "argument": lambda: None,
        "result": lambda: None,
        "waiters": lambda: future._waiters.append(NoWaiter(holder)),  # type: ignore[attr-defined]
    }
    holder["future"] = future
    links[through]()
    if state == "cancelled":
        future.cancel()
    if state != "pending":
        gate.set()
        settled(one)
    else:
        one.shutdown(wait=False, cancel_futures=True)
        gate.set()
        settled(one)
    del future, holder, links
    gc.collect()
    assert reference() is None
    assert reference_to_future() is None


class NoWaiter:
    """What the stdlib's wait() hangs into a future, with something hanging on to it."""

    def __init__(self, holder: Any) -> None:
        self.holder = holder

    def add_result(self, future: Any) -> None:
        pass

    add_exception = add_cancelled = add_result


@needs(Can.OVERLAP)
def test_an_error_does_not_hold_its_future(pools: Pools, one: Any):
    """No cycle future → exception → traceback → frame → future, neither the worker's nor the reader's."""
    watched = Thing()
    reference = weakref.ref(watched)

    def task(thing: Thing) -> None:
        raise ValueError

    gc.collect()
    gc.disable()
    try:
        future = one.submit(task, watched)
        del watched
        try:
            future.result(PATIENCE)
        except ValueError:
            pass
        settled(one)
        del future
        if not FREE_THREADED:
            assert reference() is None
    finally:
        gc.enable()
    assert is_gone(reference)


def test_results_of_a_map_are_let_go_one_by_one(pool: Any):
    for chunksize in (None, 1, 5):
        for result in pool.map(lambda _: Thing(), range(7), chunksize=chunksize):
            reference = weakref.ref(result)
            del result
            assert is_gone(reference)


@pytest.mark.deadline(120)
def test_a_finished_future_is_small(flavor: Any):
    """In a process of its own, by its resident memory: what the core takes is not known to tracemalloc."""
    code = """
        import gc, os, sys
        from weft.executors import SerialExecutor, ThreadPoolExecutor

        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        pool = {make}
        count = 100_000
        keep = [None] * count
        warm = [pool.submit(int) for _ in range(count // 10)]
        for future in warm:
            future.result()
        del warm, future
        gc.collect()
        before = resident()
        for start in range(0, count, 1000):
            for number in range(start, start + 1000):
                keep[number] = pool.submit(int)
            for future in keep[start:start + 1000]:
                future.result()
        gc.collect()
        print((resident() - before) / count)
        pool.shutdown()
    """
    make = {"threads": "ThreadPoolExecutor(2)", "serial": "SerialExecutor()"}[flavor.name]
    script = textwrap.dedent(code).replace("{make}", make)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=True)
    assert float(done.stdout) < 250
