"""The Future: its states, cancelling, callbacks, and what the stdlib reads of it. For every executor's futures."""

import concurrent.futures
import copy
import gc
import logging
import pickle
import re
import signal
import threading
import time
import weakref
from concurrent.futures import CancelledError, Executor, Future
from typing import Any

import pytest

from tests.executors import tasks
from tests.executors.conftest import Pools, shared_pool
from tests.executors.flavors import PATIENCE, Can, needs

pool = shared_pool(2)


def states(future: Future[Any]) -> tuple[bool, bool, bool]:
    return future.running(), future.done(), future.cancelled()


PENDING = (False, False, False)
RUNNING = (True, False, False)
FINISHED = (False, True, False)
CANCELLED = (False, True, True)

# ---- states ----------------------------------------------------------------------------------------------


@needs(Can.OVERLAP)
def test_states_follow_the_task(pools: Pools, one: Executor):
    with pools.held(one) as gate:
        begun, second = pools.gate(), pools.gate()
        future = one.submit(tasks.begin_and_wait, begun, second)
        assert states(future) == PENDING
        gate.set()
        assert begun.wait(PATIENCE)
        assert states(future) == RUNNING
        second.set()
        assert future.result(PATIENCE) is True
        assert states(future) == FINISHED


@needs(Can.OVERLAP)
def test_repr_is_the_stdlibs(pools: Pools, one: Executor):
    def shape(future: Future[Any]) -> str:
        assert (match := re.fullmatch(r"<Future at 0x[0-9a-f]+ state=(.*)>", repr(future))), repr(future)
        return match[1]

    with pools.held(one) as gate:
        begun, second = pools.gate(), pools.gate()
        running, failed = one.submit(tasks.begin_and_wait, begun, second), one.submit(tasks.inverse, 0)
        cancelled, pending = one.submit(tasks.nothing), one.submit(tasks.nothing)
        assert shape(pending) == "pending"
        assert cancelled.cancel()
        assert shape(cancelled) == "cancelled"
        gate.set()
        assert begun.wait(PATIENCE)
        assert shape(running) == "running"
        second.set()
        assert isinstance(failed.exception(PATIENCE), ZeroDivisionError)
        assert pending.result(PATIENCE) is None
    assert shape(failed) == "finished raised ZeroDivisionError"
    assert shape(running) == "finished returned bool"
    assert shape(pending) == "finished returned NoneType"


@needs(Can.OVERLAP)
@pytest.mark.parametrize("timeout", [0, 0.0, -1, 0.001, 0.05])
@pytest.mark.parametrize("method", ["result", "exception"])
def test_a_wait_with_a_timeout_gives_up_and_the_task_goes_on(pools: Pools, one: Executor, method: str, timeout: float):
    with pools.held(one) as gate:
        future = one.submit(tasks.echo, 5)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                getattr(future, method)(timeout)
            with pytest.raises(concurrent.futures.TimeoutError):
                getattr(future, method)(timeout=timeout)
        assert states(future) == PENDING
        gate.set()
        assert future.result(PATIENCE) == 5


@pytest.mark.parametrize("timeout", [None, 0, -1, 0.0, 5, 1e6])
def test_a_timeout_does_not_matter_to_what_is_done(pool: Executor, timeout: float | None):
    good, bad = pool.submit(tasks.echo, 1), pool.submit(tasks.inverse, 0)
    concurrent.futures.wait([good, bad], PATIENCE)
    assert good.result(timeout) == 1
    assert good.exception(timeout) is None
    assert isinstance(bad.exception(timeout=timeout), ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        bad.result(timeout=timeout)


@needs(Can.OVERLAP)
@pytest.mark.parametrize("timeout", ["x", object(), [1]])
def test_a_timeout_that_is_no_number_is_refused(pools: Pools, one: Executor, timeout: Any):
    with pools.held(one):
        with pytest.raises(TypeError):
            one.submit(tasks.nothing).result(timeout)


@needs(Can.OVERLAP)
@pytest.mark.parametrize("how", ["result", "exception", "wait", "as_completed"])
def test_waiters_in_many_threads_all_see_the_end(pools: Pools, pool: Executor, how: str):
    gate = pools.gate()
    future = pool.submit(tasks.wait_then, gate, 7)
    ways = {
        "result": lambda: future.result(PATIENCE),
        "exception": lambda: (future.exception(PATIENCE), future.result())[1],
        "wait": lambda: concurrent.futures.wait([future], PATIENCE).done.pop().result(),
        "as_completed": lambda: next(concurrent.futures.as_completed([future], PATIENCE)).result(),
    }
    results: list[int] = []
    ready = threading.Barrier(6)

    def waiter() -> None:
        ready.wait(PATIENCE)
        results.append(ways[how]())

    threads = [threading.Thread(target=waiter) for _ in range(5)]
    for thread in threads:
        thread.start()
    ready.wait(PATIENCE)
    gate.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == [7] * 5


@needs(Can.OWN_FUTURES)
@pytest.mark.parametrize(
    ("method", "args"), [("set_result", (1,)), ("set_exception", (OSError(),)), ("set_running_or_notify_cancel", ())]
)
def test_the_state_is_the_runtimes(pool: Executor, method: str, args: tuple[Any, ...]):
    future = pool.submit(tasks.echo, 5)
    with pytest.raises(RuntimeError):
        getattr(future, method)(*args)
    assert future.result(PATIENCE) == 5
    with pytest.raises(RuntimeError):
        getattr(future, method)(*args)
    assert future.result() == 5


@needs(Can.OWN_FUTURES)
def test_a_future_cannot_be_made_by_hand(pool: Executor):
    with pytest.raises(TypeError):
        type(pool.submit(tasks.nothing))()
    with pytest.raises(TypeError):
        type("Sub", (type(pool.submit(tasks.nothing)),), {})


def test_a_future_is_refused_by_pickle_and_copy(pool: Executor):
    future = pool.submit(tasks.nothing)
    future.result(PATIENCE)
    with pytest.raises(TypeError):
        pickle.dumps(future)
    with pytest.raises(TypeError):
        copy.deepcopy(future)


def test_a_future_can_be_a_key_and_carry_attributes(pool: Executor):
    future, other = pool.submit(tasks.echo, 1), pool.submit(tasks.echo, 1)
    assert future == future
    assert future != other
    assert len({future, other, future}) == 2
    future.tag = "mine"  # type: ignore[attr-defined]
    assert future.tag == "mine"  # type: ignore[attr-defined]
    del future.tag  # type: ignore[attr-defined]
    assert not hasattr(future, "tag")


@needs(Can.OVERLAP)
def test_the_private_state_reads_as_the_stdlibs(pools: Pools, one: Executor):
    with pools.held(one) as gate:
        begun, second = pools.gate(), pools.gate()
        running, failed = one.submit(tasks.begin_and_wait, begun, second), one.submit(tasks.inverse, 0)
        cancelled = one.submit(tasks.nothing)
        assert running._state == "PENDING"  # type: ignore[attr-defined]
        assert cancelled.cancel()
        assert cancelled._state in {"CANCELLED", "CANCELLED_AND_NOTIFIED"}  # type: ignore[attr-defined]
        gate.set()
        assert begun.wait(PATIENCE)
        assert running._state == "RUNNING"  # type: ignore[attr-defined]
        second.set()
        failed.exception(PATIENCE)
    assert (running._state, running._result, running._exception) == ("FINISHED", True, None)  # type: ignore[attr-defined]
    assert failed._state == "FINISHED"  # type: ignore[attr-defined]
    assert failed._exception is failed.exception()  # type: ignore[attr-defined]
    assert failed._result is None  # type: ignore[attr-defined]
    with running._condition:  # type: ignore[attr-defined]
        assert list(running._waiters) == []  # type: ignore[attr-defined]


@needs(Can.OVERLAP)
def test_a_condition_held_by_another_thread_wakes_when_done(pools: Pools, pool: Executor):
    """Code that sleeps on the stdlib's private condition is notified."""
    gate = pools.gate()
    future = pool.submit(tasks.wait_then, gate, 7)
    with future._condition:  # type: ignore[attr-defined]
        gate.set()
        assert future._condition.wait_for(future.done, PATIENCE)  # type: ignore[attr-defined]
    assert future.result(0) == 7


# ---- cancel ----------------------------------------------------------------------------------------------


@needs(Can.OVERLAP, Can.SHARE)
def test_a_cancelled_task_never_runs(pools: Pools, one: Executor):
    ran: list[int] = []
    with pools.held(one):
        futures = [one.submit(ran.append, number) for number in range(50)]
        assert [future.cancel() for future in futures[::2]] == [True] * 25
        assert [future.cancel() for future in futures[::2]] == [True] * 25
        assert {states(future) for future in futures[::2]} == {CANCELLED}
        for future in futures[::2]:
            with pytest.raises(CancelledError):
                future.result(0)
            with pytest.raises(CancelledError):
                future.exception()
    one.shutdown()
    assert ran == list(range(1, 50, 2))


@needs(Can.OVERLAP)
def test_a_running_task_is_not_cancelled(pools: Pools, one: Executor):
    begun, gate = pools.gate(), pools.gate()
    future = one.submit(tasks.begin_and_wait, begun, gate)
    assert begun.wait(PATIENCE)
    assert not future.cancel()
    assert states(future) == RUNNING
    gate.set()
    assert future.result(PATIENCE) is True


def test_a_finished_task_is_not_cancelled(pool: Executor):
    for future in (pool.submit(tasks.echo, 1), pool.submit(tasks.inverse, 0)):
        concurrent.futures.wait([future], PATIENCE)
        assert not future.cancel()
        assert states(future) == FINISHED


@needs(Can.OVERLAP)
def test_cancelling_wakes_those_who_wait(pools: Pools, one: Executor):
    with pools.held(one):
        future = one.submit(tasks.nothing)
        errors: list[BaseException] = []
        ready = threading.Barrier(4)

        def waiter() -> None:
            ready.wait(PATIENCE)
            try:
                future.result(PATIENCE)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=waiter) for _ in range(3)]
        for thread in threads:
            thread.start()
        ready.wait(PATIENCE)
        assert future.cancel()
        for thread in threads:
            thread.join(PATIENCE)
        assert [type(error) for error in errors] == [CancelledError] * 3


@needs(Can.OVERLAP, Can.SHARE)
def test_a_task_may_try_to_cancel_itself(one: Executor, pools: Pools):
    box: list[Future[Any]] = []
    gate = pools.gate()

    def task() -> bool:
        gate.wait(PATIENCE)
        return box[0].cancel()

    box.append(one.submit(task))
    gate.set()
    assert box[0].result(PATIENCE) is False


# ---- callbacks -------------------------------------------------------------------------------------------


@needs(Can.OVERLAP, Can.SHARE)
@pytest.mark.parametrize("count", [1, 2, 3, 10, 1000])
def test_callbacks_run_in_order_with_the_future_done(pools: Pools, one: Executor, count: int):
    seen: list[tuple[int, bool, bool]] = []
    finished = threading.Event()
    with pools.held(one):
        future = one.submit(tasks.echo, 5)
        for number in range(count):
            future.add_done_callback(lambda f, n=number: seen.append((n, f is future, f.done())))
        future.add_done_callback(lambda f: finished.set())
        assert seen == []
    assert finished.wait(PATIENCE)
    assert seen == [(number, True, True) for number in range(count)]


def test_a_callback_of_what_is_done_runs_at_once_here(pool: Executor):
    future = pool.submit(tasks.echo, 5)
    future.result(PATIENCE)
    seen: list[Any] = []
    assert future.add_done_callback(lambda f: seen.append((f.result(), threading.get_ident()))) is None
    assert seen == [(5, threading.get_ident())]


@needs(Can.OVERLAP)
def test_a_callback_of_a_cancelled_future_runs_where_it_was_cancelled(pools: Pools, one: Executor):
    seen: list[Any] = []
    with pools.held(one):
        future = one.submit(tasks.nothing)
        future.add_done_callback(lambda f: seen.append((f.cancelled(), threading.get_ident())))
        assert future.cancel()
        assert seen == [(True, threading.get_ident())]
        assert future.cancel()
    one.shutdown()
    assert len(seen) == 1


def test_the_same_callback_twice_runs_twice(pools: Pools):
    pool = pools(2)
    future = pool.submit(tasks.nothing)
    seen: list[Any] = []
    future.add_done_callback(seen.append)
    future.add_done_callback(seen.append)
    pool.shutdown()
    assert seen == [future, future]


@needs(Can.OVERLAP, Can.SHARE)
@pytest.mark.parametrize("outcome", ["result", "error", "cancel"])
def test_an_error_in_a_callback_is_logged_and_swallowed(
    pools: Pools, one: Executor, caplog: pytest.LogCaptureFixture, outcome: str
):
    seen: list[int] = []
    with pools.held(one):
        future = one.submit(tasks.inverse, 0 if outcome == "error" else 1)
        future.add_done_callback(lambda f: seen.append(1))
        future.add_done_callback(lambda f: tasks.fail(ValueError("in a callback")))
        future.add_done_callback(lambda f: seen.append(2))
        if outcome == "cancel":
            assert future.cancel()
    one.shutdown()
    assert seen == [1, 2]
    assert caplog.record_tuples == [("concurrent.futures", logging.ERROR, f"exception calling callback for {future!r}")]
    assert "in a callback" in caplog.text


def test_ctrl_c_in_a_callback_on_the_main_thread_is_not_swallowed(pool: Executor, caplog: pytest.LogCaptureFixture):
    future = pool.submit(pow, 2, 3)
    future.result(PATIENCE)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            future.add_done_callback(lambda f: tasks.fail(KeyboardInterrupt()))
            time.sleep(5)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not caplog.records


def test_an_error_in_a_late_callback_is_logged_and_swallowed(pool: Executor, caplog: pytest.LogCaptureFixture):
    future = pool.submit(tasks.nothing)
    future.result(PATIENCE)
    future.add_done_callback(lambda f: tasks.fail(ValueError("late")))
    assert "exception calling callback for" in caplog.text
    assert "late" in caplog.text


@needs(Can.OVERLAP, Can.OWN_FUTURES)
@pytest.mark.parametrize(
    "error", [SystemExit(1), KeyboardInterrupt(), tasks.Unrelated()], ids=lambda e: type(e).__name__
)
def test_not_even_what_is_no_exception_gets_out_of_a_callback(
    pools: Pools, one: Executor, caplog: pytest.LogCaptureFixture, error: BaseException
):
    seen: list[int] = []
    with pools.held(one):
        future = one.submit(tasks.echo, 5)
        future.add_done_callback(lambda f: tasks.fail(error))
        future.add_done_callback(lambda f: seen.append(2))
        following = one.submit(tasks.echo, 6)
    assert following.result(PATIENCE) == 6
    assert future.result(PATIENCE) == 5
    one.shutdown()  # results wake their waiters first, and run callbacks then
    assert seen == [2]
    assert "exception calling callback for" in caplog.text


@needs(Can.OVERLAP, Can.SHARE)
def test_a_callback_added_in_a_callback_runs(pools: Pools, one: Executor):
    seen: list[str] = []
    with pools.held(one):
        future = one.submit(tasks.nothing)
        future.add_done_callback(lambda f: (f.add_done_callback(lambda g: seen.append("inner")), seen.append("outer")))
        future.add_done_callback(lambda f: seen.append("next"))
    one.shutdown()
    assert seen == ["inner", "outer", "next"]


@needs(Can.OVERLAP, Can.SHARE, Can.HELP)
def test_a_callback_may_use_the_pool(pools: Pools, one: Executor):
    """On the only worker: a callback submits, and waits for what it has submitted."""
    results: list[Any] = []
    finished = threading.Event()

    def callback(future: Future[int]) -> None:
        results.append(future.result(0))
        results.append(one.submit(tasks.echo, 6).result(PATIENCE))
        finished.set()

    with pools.held(one):
        one.submit(tasks.echo, 5).add_done_callback(callback)
    assert finished.wait(PATIENCE)
    assert results == [5, 6]


@needs(Can.OVERLAP, Can.SHARE)
def test_a_callback_may_cancel_others(pools: Pools, one: Executor):
    with pools.held(one):
        first, second = one.submit(tasks.nothing), one.submit(tasks.nothing)
        outcome: list[bool] = []
        first.add_done_callback(lambda f: outcome.append(second.cancel()))
    one.shutdown()
    assert outcome == [True]
    assert second.cancelled()


@needs(Can.OVERLAP, Can.SHARE)
def test_a_result_can_be_had_before_the_callbacks_end(pools: Pools, pool: Executor):
    gate, callback_gate = pools.gate(), pools.gate()
    future = pool.submit(tasks.wait_then, gate, 6)
    future.add_done_callback(lambda f: callback_gate.wait(PATIENCE))
    gate.set()
    assert future.result(PATIENCE) == 6
    callback_gate.set()


@needs(Can.OVERLAP, Can.OWN_FUTURES)
def test_callbacks_are_let_go_after_they_ran(pools: Pools, one: Executor):
    class Callback:
        def __call__(self, future: Future[Any]) -> None:
            pass

    callback = Callback()
    reference = weakref.ref(callback)
    with pools.held(one):
        future = one.submit(tasks.nothing)
        future.add_done_callback(callback)
        del callback
        assert reference() is not None
    one.shutdown()
    gc.collect()
    assert reference() is None
    assert future.done()
