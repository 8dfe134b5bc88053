"""`then`, `when_all`, `when_any`, `dataflow`, `ready_future`, `shared_future`: what they give, and in which order things happen."""

import asyncio
import concurrent.futures
import contextvars
import gc
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest

import weft
from tests.executors.child import run_child, times, wait_until
from weft.errors import Interrupted
from weft.executors import SerialExecutor, ThreadPoolExecutor

PATIENCE = 20


@pytest.fixture(params=[1, 3])
def pool(request: pytest.FixtureRequest) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(request.param) as pool:
        yield pool


class Gate:
    """Tasks that wait until they may go on."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def task(self, value: Any = None) -> Any:
        assert self.event.wait(PATIENCE)
        if isinstance(value, BaseException):
            raise value
        return value


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.event.set()


def increment(future: concurrent.futures.Future[int]) -> int:
    return future.result() + 1


# ---- then -------------------------------------------------------------------------------------------------


def test_then_is_called_with_the_future_itself(pool: ThreadPoolExecutor, gate: Gate) -> None:
    source = pool.submit(gate.task, 5)
    seen: list[object] = []
    following = source.then(lambda future: (seen.append(future), future.result())[1])
    assert isinstance(following, weft.Future)
    assert not following.done()
    assert not following.running()
    gate.event.set()
    assert following.result(PATIENCE) == 5
    assert seen == [source]


def test_then_on_what_is_done_runs_on_a_worker_too(pool: ThreadPoolExecutor) -> None:
    source = pool.submit(abs, -3)
    source.result(PATIENCE)
    following = source.then(lambda _: threading.current_thread())
    assert following.result(PATIENCE) in pool._threads


def test_a_failure_skips_functions_down_the_chain(pool: ThreadPoolExecutor, gate: Gate) -> None:
    error = KeyError("here")
    called: list[object] = []
    end = source = pool.submit(gate.task, error)
    for _ in range(5):
        end = end.then(called.append)
    gate.event.set()
    assert end.exception(PATIENCE) is error
    assert source.exception(0) is error
    assert called == []


def test_a_cancelled_input_cancels_what_follows(gate: Gate) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(gate.task)
        source = pool.submit(abs, -1)
        end = source.then(increment).then(increment)
        assert source.cancel()
        assert end.cancelled()
        with pytest.raises(CancelledError):
            end.result(0)
        gate.event.set()


def test_cancelling_what_waits_leaves_the_input_alone(pool: ThreadPoolExecutor, gate: Gate) -> None:
    source = pool.submit(gate.task, 1)
    following = source.then(increment)
    end = following.then(increment)
    assert following.cancel()
    assert end.cancelled()
    gate.event.set()
    assert source.result(PATIENCE) == 1


def test_what_then_calls_may_fail(pool: ThreadPoolExecutor) -> None:
    with pytest.raises(ZeroDivisionError):
        pool.submit(int).then(lambda future: 1 // future.result()).result(PATIENCE)


def test_interrupt_reaches_what_then_calls(pool: ThreadPoolExecutor) -> None:
    begun = threading.Event()

    def spin(_: object) -> None:
        begun.set()
        while True:
            pass

    following = pool.submit(int).then(spin)
    assert begun.wait(PATIENCE)
    assert following.interrupt()
    assert isinstance(following.exception(PATIENCE), Interrupted)


def test_then_runs_in_the_context_of_its_caller(pool: ThreadPoolExecutor, gate: Gate) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    source = pool.submit(gate.task)
    variable.set("set")
    following = source.then(lambda _: variable.get())
    variable.set("later")
    gate.event.set()
    assert following.result(PATIENCE) == "set"


@pytest.mark.parametrize("fn", [None, 5, "name"])
def test_then_wants_something_to_call(pool: ThreadPoolExecutor, fn: Any) -> None:
    with pytest.raises(TypeError, match="fn must be callable"):
        pool.submit(int).then(fn)


def test_a_future_is_no_callback(pool: ThreadPoolExecutor) -> None:
    future: Any = pool.submit(int)
    with pytest.raises(TypeError, match="not a Future"):
        future.add_done_callback(pool.submit(int))


def test_share_is_the_future_itself(pool: ThreadPoolExecutor) -> None:
    future = pool.submit(int)
    assert future.share() is future


@pytest.mark.invariant(5)
def test_waiting_inside_for_what_waits() -> None:
    with ThreadPoolExecutor(1) as pool:

        def outer() -> int:
            return pool.submit(abs, -1).then(increment).then(increment).result(PATIENCE)

        assert pool.submit(outer).result(PATIENCE) == 3


# ---- pools that come and go -------------------------------------------------------------------------------


@pytest.mark.invariant(2)
def test_leaving_the_pool_runs_what_continues_its_tasks() -> None:
    gate = Gate()
    with ThreadPoolExecutor(2) as pool:
        end = pool.submit(gate.task, 0)
        for _ in range(100):
            end = end.then(increment)
        both = weft.when_all(end, end.then(increment))
        wait_until(lambda: pool._stats()["workers"] >= 1, "a worker")
        threading.Timer(0.05, gate.event.set).start()
    assert end.result(0) == 100
    assert both.result(PATIENCE) == (100, 101)


def test_after_its_pool_it_runs_on_the_default_one() -> None:
    with ThreadPoolExecutor(1) as pool:
        source = pool.submit(abs, -1)
    assert source.then(lambda _: threading.current_thread().name).result(PATIENCE).startswith("weft")


@pytest.mark.parametrize("first", [False, True])
def test_shutdown_that_cancels(first: bool) -> None:
    gate = Gate()
    pool = ThreadPoolExecutor(1)
    running = pool.submit(gate.task, 1)
    queued = pool.submit(gate.task, 2)
    after_running, after_queued = running.then(increment), queued.then(increment)
    if first:
        gate.event.set()
    pool.shutdown(wait=False, cancel_futures=True)
    gate.event.set()
    pool.shutdown()
    for future in (running, queued, after_running, after_queued):
        assert future.done()
    assert after_running.cancelled() or after_running.result(0) == 2


def test_a_pool_that_breaks_fails_what_continues_its_tasks() -> None:
    entered, go = threading.Event(), threading.Event()

    def initializer() -> None:
        entered.set()
        assert go.wait(PATIENCE)
        raise ValueError("no")

    pool = ThreadPoolExecutor(1, initializer=initializer)
    source = pool.submit(abs, -1)
    following = source.then(increment)
    assert entered.wait(PATIENCE)
    go.set()
    assert isinstance(following.exception(PATIENCE), concurrent.futures.BrokenExecutor)
    assert following.exception(0) is source.exception(0)
    pool.shutdown()


def test_the_serial_executor_calls_at_once() -> None:
    with SerialExecutor() as serial:
        following = serial.submit(abs, -1).then(lambda future: (future.result(), threading.get_ident()))
        assert following.done()
        assert following.result(0) == (1, threading.get_ident())


# ---- when_all, when_any -----------------------------------------------------------------------------------


def test_all_results_in_order(pool: ThreadPoolExecutor) -> None:
    futures = [pool.submit(pow, number, 2) for number in range(50)]
    assert weft.when_all(*futures).result(PATIENCE) == tuple(number * number for number in range(50))
    assert weft.when_all(futures).result(PATIENCE) == weft.when_all(iter(futures)).result(PATIENCE)
    assert weft.when_all(futures[3], futures[3]).result(0) == (9, 9)


def test_all_of_none() -> None:
    assert weft.when_all().result(0) == ()
    assert weft.when_all([]).result(0) == ()


def test_the_first_failure_decides_at_once(gate: Gate) -> None:
    error = ValueError("first")
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(gate.task, 1)
        every = weft.when_all(slow, pool.submit(Gate.task, ready_gate(), error), weft.ready_future(3))
        assert every.exception(PATIENCE) is error
        assert not slow.done()
        gate.event.set()
        assert slow.result(PATIENCE) == 1


def ready_gate() -> Gate:
    gate = Gate()
    gate.event.set()
    return gate


def test_all_with_a_cancelled_one(gate: Gate) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(gate.task)
        futures = [pool.submit(abs, -number) for number in range(3)]
        every = weft.when_all(futures)
        futures[1].cancel()
        assert every.cancelled()
        gate.event.set()
        assert futures[2].result(PATIENCE) == 2


def test_cancelling_all_cancels_none(pool: ThreadPoolExecutor, gate: Gate) -> None:
    futures = [pool.submit(gate.task, 1), pool.submit(gate.task, 2)]
    every = weft.when_all(futures)
    assert every.cancel()
    gate.event.set()
    assert [future.result(PATIENCE) for future in futures] == [1, 2]
    assert every.cancelled()


def test_any_gives_the_callers_own_objects(gate: Gate) -> None:
    other: concurrent.futures.Future[str] = concurrent.futures.Future()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(gate.task)
        first = weft.when_any(slow, other)
        assert not first.done()
        other.set_result("other")
        index, futures = first.result(PATIENCE)
        assert index == 1
        assert futures[0] is slow
        assert futures[1] is other
        gate.event.set()


@pytest.mark.parametrize("end", ["fails", "is cancelled"])
def test_any_is_content_with_any_end(end: str) -> None:
    future: concurrent.futures.Future[str] = concurrent.futures.Future()
    first = weft.when_any([future])
    if end == "fails":
        future.set_exception(ValueError("it"))
    else:
        future.cancel()
    assert first.result(PATIENCE) == (0, [future])


def test_any_of_those_that_are_done_is_the_first() -> None:
    futures = [weft.ready_future(number) for number in range(3)]
    assert weft.when_any(futures).result(0)[0] == 0
    assert weft.when_any(futures[2], futures[2], futures[0]).result(0)[0] == 0


def test_any_of_none() -> None:
    with pytest.raises(ValueError, match="there are no futures"):
        weft.when_any()
    with pytest.raises(ValueError, match="there are no futures"):
        weft.when_any([])


@pytest.mark.parametrize("function", [weft.when_all, weft.when_any])
@pytest.mark.parametrize("wrong", [5, "text", None, [5], object()])
def test_what_is_no_future(function: Any, wrong: Any) -> None:
    with pytest.raises(TypeError, match="is not a future but"):
        function(wrong)


# ---- dataflow ---------------------------------------------------------------------------------------------


def test_dataflow_calls_with_results_and_plain_values(pool: ThreadPoolExecutor, gate: Gate) -> None:
    one, two = pool.submit(gate.task, 1), pool.submit(gate.task, 2)
    plain = [1, 2]
    call = weft.dataflow(lambda *args, **kwargs: (args, kwargs), one, 7, [two, 3], (one,), plain, key=two, other="x")
    assert not call.done()
    gate.event.set()
    args, kwargs = call.result(PATIENCE)
    assert args == (1, 7, [2, 3], (1,), [1, 2])
    assert args[4] is plain
    assert kwargs == {"key": 2, "other": "x"}


def test_dataflow_without_inputs_is_a_task() -> None:
    assert weft.dataflow(divmod, 7, 2).result(PATIENCE) == (3, 1)


def test_dataflow_is_known_by_its_function(gate: Gate) -> None:
    call = weft.dataflow(gate.task, weft.ready_future(1))
    wait_until(call.running, "it runs")
    names = [name for live in weft._core.live_pools() for _, name, _ in live._running()]
    assert "Gate.task" in names
    gate.event.set()


def test_dataflow_fails_with_its_first_failure(pool: ThreadPoolExecutor, gate: Gate) -> None:
    error = ValueError("input")
    called: list[Any] = []
    call = weft.dataflow(called.append, pool.submit(gate.task, error))
    gate.event.set()
    assert call.exception(PATIENCE) is error
    assert called == []


def test_dataflow_wants_a_function_first() -> None:
    wrong: Any = weft.ready_future(1)
    with pytest.raises(TypeError, match="fn must be callable"):
        weft.dataflow(wrong, 1)


# ---- futures of others ------------------------------------------------------------------------------------


def test_futures_of_the_stdlib() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as other:
        assert weft.when_all(other.submit(abs, -1), weft.async_(abs, -2)).result(PATIENCE) == (1, 2)
        assert weft.dataflow(max, other.submit(abs, -1), [other.submit(abs, -2)][0]).result(PATIENCE) == 2
        error = weft.shared_future(other.submit(divmod, 1, 0)).exception(PATIENCE)
        assert isinstance(error, ZeroDivisionError)


def test_shared_future_of_ours_is_itself(pool: ThreadPoolExecutor) -> None:
    future = pool.submit(int)
    assert weft.shared_future(future) is future


def test_cancelling_a_mirror_leaves_the_original_alone() -> None:
    original: concurrent.futures.Future[int] = concurrent.futures.Future()
    mirror = weft.shared_future(original)
    assert mirror.cancel()
    original.set_result(1)
    assert mirror.cancelled()


def test_shared_future_of_nothing() -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match="5 is not a future"):
        weft.shared_future(wrong)


@pytest.mark.parametrize("how", ["result", "error", "cancelled"])
@pytest.mark.parametrize("where", ["on its loop", "from another thread"])
def test_futures_of_asyncio(how: str, where: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        theirs: asyncio.Future[int] = loop.create_future()
        every = (
            weft.when_all(theirs, weft.ready_future(2))
            if where == "on its loop"
            else await asyncio.to_thread(weft.when_all, theirs, weft.ready_future(2))
        )
        if how == "result":
            theirs.set_result(1)
        elif how == "error":
            theirs.set_exception(KeyError("theirs"))
        else:
            theirs.cancel()
        if how == "result":
            assert await asyncio.wait_for(asyncio.wrap_future(every), PATIENCE) == (1, 2)
        else:
            error = await asyncio.to_thread(every.exception, PATIENCE)
            assert isinstance(error, KeyError if how == "error" else CancelledError)

    asyncio.run(main())


# ---- size and order ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [None, ValueError("far away")])
@pytest.mark.parametrize("gated", [True, False])
def test_a_chain_of_a_hundred_thousand(error: ValueError | None, gated: bool) -> None:
    length = 100_000
    gate = Gate()
    with ThreadPoolExecutor(2) as pool:
        end: Any = pool.submit(gate.task, 0 if error is None else error)
        if not gated:
            gate.event.set()
        for _ in range(length):
            end = end.then(increment)
        gate.event.set()
        if error is None:
            assert end.result(40) == length
        else:
            assert end.exception(40) is error


def test_a_chain_of_a_hundred_thousand_that_is_cancelled_or_dropped() -> None:
    gate = Gate()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(gate.task)
        source = pool.submit(int)
        end = source
        for _ in range(100_000):
            end = end.then(increment)
        assert source.cancel()
        assert end.cancelled()
        gate.event.set()


def test_a_tree_of_a_hundred_thousand() -> None:
    leaves = 50_000
    level: list[weft.Future[int]] = [weft.async_(int) for _ in range(leaves)]
    while len(level) > 1:
        pairs = [weft.dataflow(lambda a, b: a + b + 1, *level[at : at + 2]) for at in range(0, len(level) - 1, 2)]
        level = pairs + level[2 * len(pairs) :]
    assert level[0].result(40) == leaves - 1


def test_only_the_live_frontier_is_kept() -> None:
    """A chain that is built while it runs holds on to nothing that is done."""

    class Value:
        pass

    alive: list[weakref.ref[Value]] = []

    def step(future: weft.Future[Any]) -> Value:
        future.result()
        value = Value()
        alive.append(weakref.ref(value))
        return value

    with ThreadPoolExecutor(1) as pool:
        end: weft.Future[Any] = pool.submit(Value)
        for _ in range(20_000):
            end = end.then(step)
            if len(alive) % 100 == 99:
                end.result(PATIENCE)
        end.result(PATIENCE)
        gc.collect()
        assert sum(reference() is not None for reference in alive) <= 2


def test_a_future_that_outlives_many_races_does_not_collect_them() -> None:
    """`when_any` in a loop, with one input that is never done: what the others left on it is cleared away."""
    never: concurrent.futures.Future[None] = concurrent.futures.Future()
    long = weft.shared_future(never)

    class Value:
        pass

    alive: list[weakref.ref[Any]] = []
    for _ in range(2_000):
        value = Value()
        alive.append(weakref.ref(value))
        assert weft.when_any(long, weft.ready_future(value)).result(PATIENCE)[0] == 1
        short = weft.async_(Value)
        weft.when_any(long, short).result(PATIENCE)
        alive.append(weakref.ref(short.result(0)))
        del value, short
    gc.collect()
    assert sum(reference() is not None for reference in alive) <= 200
    never.set_result(None)


def test_callbacks_and_continuations_keep_their_order(gate: Gate) -> None:
    with ThreadPoolExecutor(1) as pool:
        source = pool.submit(gate.task)
        order: list[str] = []
        source.add_done_callback(lambda _: order.append("first"))
        every = weft.when_all(source)
        every.add_done_callback(lambda _: order.append("when_all"))
        source.add_done_callback(lambda _: order.append("second"))
        gate.event.set()
        every.result(PATIENCE)
        wait_until(lambda: len(order) == 3, "the callbacks")
    assert order == ["first", "second", "when_all"]


def test_a_callback_may_wait_for_what_it_brings_about(gate: Gate) -> None:
    """Inside a callback, which runs in the middle of a cascade, a chain settles at once."""
    inner: concurrent.futures.Future[int] = concurrent.futures.Future()
    outcome: list[Any] = []

    def callback(_: object) -> None:
        chained = weft.when_all(weft.when_all(inner))
        inner.set_result(1)
        outcome.append(chained.result(PATIENCE))

    with ThreadPoolExecutor(1) as pool:
        source = pool.submit(gate.task)
        weft.when_all(weft.when_all(source)).add_done_callback(callback)
        gate.event.set()
        wait_until(lambda: outcome, "the callback")
    assert outcome == [((1,),)]


def test_a_cycle_that_nobody_holds_is_collected() -> None:
    class Value:
        pass

    value = Value()
    reference = weakref.ref(value)
    never: concurrent.futures.Future[None] = concurrent.futures.Future()
    future = weft.shared_future(never).then(lambda _, value=value: value)
    del never, future, value
    gc.collect()
    assert reference() is None


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork there")
def test_a_forked_child_is_told() -> None:
    ended = run_child(
        """
import os, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import weft
from weft.errors import PoolForked
gate = threading.Event()
source = weft.async_(gate.wait, 20)
done = weft.async_(abs, -1)
done.result()
pid = os.fork()
if pid == 0:
    code = 1
    try:
        weft.when_all(source)
    except PoolForked:
        code = 0
    if done.then(lambda future: future.result() + 1).result(10) != 2 or weft.when_all(done).result(0) != (1,):
        code = 2
    os._exit(code)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
gate.set()
"""
    )
    ended.check_sound()


def test_exit_runs_what_continues_pending_work() -> None:
    ended = run_child(
        """
import os, time, weft
future = weft.async_(time.sleep, 0.3)
for _ in range(50):
    future = future.then(lambda future: future.result())
future.then(lambda _: os.write(1, b"the end"))
"""
    )
    ended.check_sound()
    assert ended.output == "the end"


def test_exit_does_not_wait_for_what_can_never_come() -> None:
    ended = run_child(
        """
import concurrent.futures, os, time, weft
never = concurrent.futures.Future()
future = weft.dataflow(print, never)
os.write(1, b"exit %f\\n" % time.monotonic())
"""
    )
    ended.check_sound()
    assert ended.exit_seconds < 4  # less than WEFT_EXIT_GRACE


def test_memory_does_not_grow_with_what_is_done() -> None:
    from tests.executors.child import resident_bytes

    def use() -> None:
        gate = threading.Event()
        futures = [weft.async_(gate.wait, PATIENCE)]
        for _ in range(300):
            futures.append(futures[-1].then(lambda future: future.result()))
            futures.append(weft.when_all(futures[-2:]))
            futures.append(weft.when_any(futures[-2:]).then(lambda future: future.result()))
        futures[7].cancel()
        gate.set()
        concurrent.futures.wait(futures, PATIENCE)

    for _ in range(20):
        use()
    gc.collect()
    before = resident_bytes()
    end = time.monotonic() + 30
    for _ in range(times(400, 60)):
        use()
        assert time.monotonic() < end
    gc.collect()
    assert resident_bytes() - before < 8 << 20
