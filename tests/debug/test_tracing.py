"""What a trace has of the tasks: every state, their names, their times, all of them, and none of others."""

import collections
import functools
import itertools
import sys
import threading
import time
from collections.abc import Callable

import pytest

import weft
from tests.executors.child import times, wait_until
from tests.executors.flavors import PATIENCE
from weft import debug
from weft.debug import Trace, TraceEvent
from weft.errors import InitializerFailed, Interrupted, TaskTimeout
from weft.executors import SerialExecutor, ThreadPoolExecutor

type Events = Callable[[], list[TraceEvent]]


def nothing(*_: object) -> None:
    pass


def fail() -> None:
    raise ValueError("as it should")


def span(event: TraceEvent) -> tuple[float, float]:
    """When a task that ran began and ended."""
    assert event.start is not None
    assert event.duration is not None
    return event.start, event.start + event.duration


def spin() -> None:
    while True:
        pass


# ---- on and off -------------------------------------------------------------------------------------------


def test_on_twice_is_refused_and_off_twice_is_nothing(ended: Callable[[], Trace]) -> None:
    debug.enable_tracing()
    with pytest.raises(RuntimeError, match=r"on already, in memory; call disable_tracing\(\) first"):
        debug.enable_tracing()
    assert ended() == Trace(None, [], 0, 0)
    assert debug.disable_tracing() is None
    assert debug.disable_tracing() is None


def test_on_again_is_another_trace(events: Events) -> None:
    with ThreadPoolExecutor(1) as pool:
        for round_ in range(5):
            debug.enable_tracing()
            pool.options(name=f"round {round_}").submit(nothing).result(PATIENCE)
            assert [event.name for event in events()] == [f"round {round_}"]
            pool.options(name="between").submit(nothing).result(PATIENCE)


def test_a_task_of_before_is_not_in_the_trace_nor_one_that_ends_after_it(events: Events) -> None:
    gate = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        before = pool.submit(gate.wait, PATIENCE)
        debug.enable_tracing()
        pool.options(name="within").submit(nothing).result(PATIENCE)
        begun = threading.Event()
        after = pool.submit(lambda: (begun.set(), gate.wait(PATIENCE)))
        assert begun.wait(PATIENCE)
        assert [event.name for event in events()] == ["within"]
        debug.enable_tracing()  # another one: what was submitted in the first is not in it
        gate.set()
        before.result(PATIENCE)
        after.result(PATIENCE)
        assert events() == []


@pytest.mark.parametrize("path", [7, object(), sys.stderr])
def test_a_path_of_the_wrong_type_is_named(path: object) -> None:
    with pytest.raises(TypeError, match="path must be a str, a path or None"):
        debug.enable_tracing(path)
    assert debug.disable_tracing() is None


# ---- states -----------------------------------------------------------------------------------------------


def check_sound(event: TraceEvent, began: float, ended: float) -> None:
    slack = 2e-3  # what the clock may have been set by meanwhile, and what a float of today's date can hold
    assert event.queued >= 0
    if event.start is None:
        assert (event.duration, event.worker, event.thread) == (None, None, None)
        return
    assert event.duration is not None
    assert event.duration >= 0
    assert began - slack <= event.start - event.queued
    assert event.start + event.duration <= ended + slack
    assert event.thread is not None


def test_every_state(events: Events) -> None:
    debug.enable_tracing()
    began = time.time()
    tries = iter([True, False])
    with ThreadPoolExecutor(1, thread_name_prefix="states") as pool:

        def named(name: str, **options: object) -> ThreadPoolExecutor:
            return pool.options(name=name, **options)

        named("done").submit(nothing).result(PATIENCE)
        assert isinstance(named("failed").submit(fail).exception(PATIENCE), ValueError)
        assert isinstance(named("timeout", timeout=0.02).submit(spin).exception(PATIENCE), TaskTimeout)
        named("retried", retries=2, backoff=0.001).submit(lambda: 1 / (not next(tries))).result(PATIENCE)
        running = threading.Event()
        interrupted = named("interrupted").submit(lambda: (running.set(), spin()))
        assert running.wait(PATIENCE)
        assert interrupted.interrupt()
        assert isinstance(interrupted.exception(PATIENCE), Interrupted)
        gate = threading.Event()
        held = named("held").submit(gate.wait, PATIENCE)
        cancelled = named("cancelled").submit(nothing)
        assert cancelled.cancel()
        gate.set()
        held.result(PATIENCE)
    ended = time.time()
    found = {(event.name, event.state): event for event in events()}
    assert set(found) == {
        ("done", "done"),
        ("failed", "failed"),
        ("timeout", "timeout"),
        ("retried", "retried"),
        ("retried", "done"),
        ("interrupted", "interrupted"),
        ("held", "done"),
        ("cancelled", "cancelled"),
    }
    for event in found.values():
        check_sound(event, began, ended)
        assert (event.pool, event.flavor) == ("states", "threads")
        assert event.worker == (None if event.state == "cancelled" else "states_0")
    first, second = found["retried", "retried"], found["retried", "done"]
    assert second.queued >= 0.001  # the wait before the next try
    assert span(second)[0] > span(first)[0]
    began, ended = span(found["timeout", "timeout"])
    assert ended - began >= 0.019


@pytest.mark.deadline(120)
def test_a_task_that_is_given_up(events: Events) -> None:
    gate = threading.Lock()
    gate.acquire()
    debug.enable_tracing()
    with ThreadPoolExecutor(1, thread_name_prefix="stuck") as pool:
        # Waits in C, where no exception can be raised in it: on the lock itself.
        error = pool.options(name="stuck", timeout=0.05).submit(gate.acquire).exception(PATIENCE)
        assert isinstance(error, TaskTimeout)
        (event,) = events()
        gate.release()
    assert (event.name, event.state, event.worker) == ("stuck", "abandoned", "stuck_0")
    assert event.duration is not None
    assert event.duration >= 0.05


def test_an_interrupt_that_the_task_survives_is_no_interrupt(events: Events) -> None:
    running = threading.Event()

    def survives() -> str:
        try:
            running.set()
            spin()
        except Interrupted:
            return "still here"
        return "never"

    debug.enable_tracing()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(survives)
        assert running.wait(PATIENCE)
        future.interrupt()
        assert future.result(PATIENCE) == "still here"
    assert [event.state for event in events()] == ["done"]


def test_an_interrupt_while_the_task_waits_for_another(events: Events) -> None:
    gate, waits = threading.Event(), threading.Event()
    debug.enable_tracing()
    with ThreadPoolExecutor(2) as pool:
        inner = pool.options(name="inner").submit(gate.wait, PATIENCE)
        wait_until(inner.running, "the inner task runs")
        outer = pool.options(name="outer").submit(lambda: (waits.set(), inner.result()))
        assert waits.wait(PATIENCE)
        assert outer.interrupt()
        assert isinstance(outer.exception(PATIENCE), Interrupted)
        gate.set()
    assert {event.name: event.state for event in events()} == {"inner": "done", "outer": "interrupted"}


def test_tasks_of_a_broken_pool_failed_without_having_run(events: Events) -> None:
    debug.enable_tracing()
    queued = threading.Event()
    pool = ThreadPoolExecutor(1, initializer=lambda: (queued.wait(PATIENCE), fail()))
    future = pool.submit(nothing)
    queued.set()
    assert isinstance(future.exception(PATIENCE), InitializerFailed)
    pool.shutdown()
    (event,) = events()
    assert (event.state, event.start) == ("failed", None)


def test_cancelled_by_the_end_of_the_pool(events: Events) -> None:
    gate = threading.Event()
    debug.enable_tracing()
    pool = ThreadPoolExecutor(1)
    held = pool.options(name="held").submit(gate.wait, PATIENCE)
    wait_until(held.running, "the task runs")
    futures = [pool.submit(nothing) for _ in range(50)]
    pool.shutdown(wait=False, cancel_futures=True)
    gate.set()
    pool.shutdown()
    assert all(future.cancelled() for future in futures)
    assert collections.Counter(event.state for event in events()) == {"cancelled": 50, "done": 1}


# ---- the serial executor -----------------------------------------------------------------------------------


def test_serial_tasks(events: Events) -> None:
    debug.enable_tracing()
    with SerialExecutor() as executor:
        executor.submit(nothing).result()
        executor.submit(fail).exception()
        tries = iter([True, False])
        executor.options(retries=1, backoff=0.001).submit(lambda: 1 / (not next(tries))).result()
    found = events()
    assert [event.state for event in found] == ["done", "failed", "retried", "done"]
    for event in found:
        assert (event.flavor, event.worker, event.pool) == ("serial", "SerialExecutor", "SerialExecutor")
        assert event.thread == threading.get_native_id()


def test_a_task_within_a_task_lies_within_it(events: Events) -> None:
    debug.enable_tracing()
    with ThreadPoolExecutor(1) as pool:
        pool.options(name="outer").submit(lambda: pool.options(name="inner").submit(nothing).result()).result(PATIENCE)
    found = {event.name: event for event in events()}
    inner, outer = found["inner"], found["outer"]
    assert inner.thread == outer.thread
    assert span(outer)[0] <= span(inner)[0]
    assert span(inner)[1] <= span(outer)[1] + 1e-6


# ---- names ------------------------------------------------------------------------------------------------


class Scaler:
    def method(self) -> None:
        pass

    def __call__(self) -> None:
        pass


class NoName:
    def __getattr__(self, name: str) -> object:
        raise ValueError("no such thing")

    def __call__(self) -> None:
        pass


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (nothing, "nothing"),
        (lambda: None, "<lambda>"),
        (functools.partial(nothing, 1), "partial(nothing)"),
        (functools.partial(functools.partial(Scaler().method)), "partial(Scaler.method)"),
        (Scaler().method, "Scaler.method"),
        (Scaler(), "Scaler"),
        (NoName(), "NoName"),
        (Scaler, "Scaler"),
        (sys.getrefcount, "getrefcount"),
        ([].clear, "list.clear"),
        (dict, "dict"),
    ],
    ids=repr,
)
def test_names(events: Events, function: Callable[..., object], name: str) -> None:
    arguments = (1,) if function is sys.getrefcount else ()
    debug.enable_tracing()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(function, *arguments).result(PATIENCE)
    assert [event.name for event in events()] == [name]


def test_what_continues_a_future(events: Events) -> None:
    """`then` and `dataflow` are tasks; what an input's failure skips is there too, and never began."""
    gate = threading.Event()
    debug.enable_tracing()
    with ThreadPoolExecutor(1) as pool:
        source = pool.submit(gate.wait, PATIENCE)
        following = source.then(nothing)
        call = weft.dataflow(nothing, following)
        skipped = pool.submit(fail).then(nothing)
        cancelled = source.then(nothing)
        assert cancelled.cancel()
        gate.set()
        call.result(PATIENCE)
        assert isinstance(skipped.exception(PATIENCE), ValueError)
    found = collections.Counter((event.name, event.state, event.start is None) for event in events())
    assert found[("nothing", "done", False)] == 2
    assert found[("nothing", "failed", True)] == 1
    assert found[("nothing", "cancelled", True)] == 1


@pytest.mark.parametrize("name", ["fetch", 'a "b"\n\\', "naïve – 日本語 🧵", "lone \udc80", "", "x" * 5000, "é" * 600])
def test_names_of_options(events: Events, name: str) -> None:
    debug.enable_tracing()
    with ThreadPoolExecutor(1, thread_name_prefix=f"of {name[:50]}") as pool:
        pool.options(name=name).submit(nothing).result(PATIENCE)
    (event,) = events()
    escaped = name.encode("utf-8", "backslashreplace")
    assert event.name == escaped[:1000].decode("utf-8", "ignore")
    assert event.worker == f"of {name[:50].encode('utf-8', 'backslashreplace').decode()}_0"


@pytest.mark.parametrize("chunksize", [None, 1, 7])
def test_a_map_is_named_after_its_function(events: Events, chunksize: int | None) -> None:
    debug.enable_tracing()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(nothing, range(20), chunksize=chunksize))
        list(pool.options(retries=1).map(nothing, range(3)))
        list(pool.options(name="mine").map(nothing, range(3)))
    assert {event.name for event in events()} == {"nothing", "mine"}


def test_a_name_outlives_its_function(events: Events) -> None:
    """The drainer must not touch an object of the program's: by then it may be gone."""
    debug.enable_tracing()
    with ThreadPoolExecutor(2) as pool:
        for number in range(2000):
            function = eval(f"lambda: {number}")
            function.__qualname__ = f"task number {number}"
            pool.submit(function)
            del function
    assert {event.name for event in events()} == {f"task number {number}" for number in range(2000)}


# ---- all of them ------------------------------------------------------------------------------------------


@pytest.mark.deadline(120)
def test_a_hundred_thousand_tasks_on_four_workers(ended: Callable[[], Trace]) -> None:
    count = 100_000
    debug.enable_tracing()
    with ThreadPoolExecutor(4, thread_name_prefix="many") as pool:
        for future in [pool.submit(nothing) for _ in range(count)]:
            future.result()
    trace = ended()
    assert trace.written + trace.dropped == count
    assert trace.dropped == 0
    assert len(trace.events) == count
    assert {event.name for event in trace.events} == {"nothing"}
    assert {event.worker for event in trace.events} <= {f"many_{number}" for number in range(4)}
    # Tasks of one worker follow each other: no two at a time.
    by_worker = collections.defaultdict(list)
    for event in trace.events:
        by_worker[event.worker].append(span(event))
    for spans in by_worker.values():
        spans.sort()
        for (_, end), (start, _) in itertools.pairwise(spans):
            assert start >= end - 2e-6


def test_what_is_settled_is_in_the_trace(events: Events) -> None:
    """An event is written before its future settles, so that no wait is needed between the two."""
    with ThreadPoolExecutor(2) as pool:
        for _ in range(300):
            debug.enable_tracing()
            futures = [pool.submit(nothing) for _ in range(5)]
            for future in futures:
                future.result(PATIENCE)
            assert len(events()) == 5


@pytest.mark.deadline(120)
def test_on_and_off_in_the_middle_of_work() -> None:
    """Every event of every trace is whole, and each trace has a part of the work."""
    stop = threading.Event()
    pools = [ThreadPoolExecutor(2, thread_name_prefix=f"pool{number}") for number in range(2)]

    def submitter(pool: ThreadPoolExecutor) -> None:
        mine = pool.options(name=pool._thread_name_prefix)
        while not stop.is_set():
            for future in [mine.submit(nothing) for _ in range(50)]:
                future.result(PATIENCE)

    threads = [threading.Thread(target=submitter, args=(pool,)) for pool in pools for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(times(400, 60)):
            debug.enable_tracing()
            pools[1].options(name="pool1").submit(nothing).result(PATIENCE)
            trace = debug.disable_tracing()
            assert trace is not None
            assert trace.written > 0
            for event in trace.events:
                assert event.name == event.pool
                assert event.worker is not None
                assert event.worker.startswith(event.pool)
                assert event.state == "done"
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
        for pool in pools:
            pool.shutdown()


@pytest.mark.deadline(120)
def test_traces_begun_and_ended_by_many_threads() -> None:
    """One of them has it, the others are told so; each trace is ended once."""
    begun, refused, ended = [], [], []
    start = threading.Barrier(4)

    def one() -> None:
        start.wait(PATIENCE)
        for _ in range(times(500, 100)):
            try:
                debug.enable_tracing()
                begun.append(1)
            except RuntimeError:
                refused.append(1)
            pool.submit(nothing)
            if debug.disable_tracing() is not None:
                ended.append(1)

    with ThreadPoolExecutor(2) as pool:
        threads = [threading.Thread(target=one) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert len(begun) == len(ended)
    assert len(begun) + len(refused) == 4 * times(500, 100)


def test_pools_that_come_and_go(events: Events) -> None:
    debug.enable_tracing()
    for number in range(50):
        with ThreadPoolExecutor(2, thread_name_prefix=f"pool{number}") as pool:
            for future in [pool.submit(nothing) for _ in range(10)]:
                future.result(PATIENCE)
    found = collections.Counter(event.pool for event in events())
    assert found == {f"pool{number}": 10 for number in range(50)}


def test_tasks_submitted_by_tasks_and_by_callbacks(events: Events) -> None:
    debug.enable_tracing()
    with ThreadPoolExecutor(2) as pool:
        again = threading.Event()

        def outer() -> None:
            pool.options(name="inner").submit(nothing).result()

        future = pool.options(name="outer").submit(outer)
        future.add_done_callback(lambda _: (pool.options(name="callback").submit(nothing), again.set()))
        assert again.wait(PATIENCE)
    assert collections.Counter(event.name for event in events()) == {"outer": 1, "inner": 1, "callback": 1}
