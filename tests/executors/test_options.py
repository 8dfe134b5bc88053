"""`options()`: a view of the same pool whose tasks are retried, ranked, named, or stopped in time."""

import itertools
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import pytest

from tests.executors import remote_tasks, tasks
from tests.executors.child import wait_until
from tests.executors.conftest import Pools, noted, shared_pool
from tests.executors.flavors import PATIENCE, Can, needs
from tests.executors.set_up_tasks import note
from tests.lateness import Late
from weft.errors import InvalidSetting, TaskTimeout

pool = shared_pool(2)

pytestmark = needs(Can.TAKE_OPTIONS)


type NewFlaky = Callable[..., tasks.Flaky]


@pytest.fixture
def flaky(new_path: Callable[[], str]) -> NewFlaky:
    """Makes a `tasks.Flaky` that was never called."""
    return lambda *how: tasks.Flaky(new_path(), *how)


# ---- the view --------------------------------------------------------------------------------------------


def test_a_view_is_an_executor_of_the_same_class(pool: Any):
    view = pool.options(name="x")
    assert type(view) is type(pool)
    assert view is not pool
    assert view.max_workers == pool.max_workers
    assert view.submit(pow, 2, 3).result(PATIENCE) == 8
    assert list(view.map(abs, range(-3, 3))) == [3, 2, 1, 0, 1, 2]


def test_a_view_is_the_same_pool(pools: Pools):
    pool = pools(1)
    view = pool.options(priority=1)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        view.submit(tasks.nothing)


def test_shutting_a_view_down_shuts_the_pool_down(pools: Pools):
    pool = pools(1)
    with pool.options(priority=1) as view:
        future = view.submit(tasks.echo, 1)
    assert future.result(0) == 1
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.submit(tasks.nothing)


def test_a_view_keeps_the_pool(pools: Pools):
    view = pools.flavor.make(1).options(name="x")
    assert view.submit(tasks.echo, 1).result(PATIENCE) == 1
    again = view.options(name="y")
    del view
    assert again.submit(tasks.echo, 2).result(PATIENCE) == 2
    again.shutdown()


def test_options_are_replaced_not_merged(pool: Any, flaky: NewFlaky):
    task = flaky(1)
    with pytest.raises(ValueError):
        pool.options(retries=5, backoff=0).options(name="x").submit(task).result(PATIENCE)
    assert task.calls == 1


def test_options_are_keyword_only(pool: Any):
    with pytest.raises(TypeError):
        pool.options(3)
    with pytest.raises(TypeError, match="time_out"):
        pool.options(time_out=3)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("timeout", value) for value in (0, -1, -0.5, math.nan, "1", True, [1])),
        *(("retries", value) for value in (-1, 1.5, "1", True, None, 10**9)),
        *(("backoff", value) for value in (-1, math.nan, "1", None, True)),
        *(("retry_on", value) for value in (3, int, None, ValueError(), [ValueError], (ValueError, 3), "ValueError")),
        *(("priority", value) for value in (1001, -1001, 0.5, "high", None, True)),
        *(("name", value) for value in (3, b"x", ["x"])),
    ],
)
def test_a_bad_value_is_refused_at_once(pool: Any, option: str, value: Any):
    with pytest.raises(InvalidSetting, match=option) as caught:
        pool.options(**{option: value})
    assert caught.value.setting == option
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": None},
        {"timeout": 30},
        {"timeout": 30.5},
        {"timeout": math.inf},
        {"timeout": 1e12},
        {"retries": 0, "backoff": 0},
        {"retries": 1_000_000},
        {"backoff": 1e12, "retries": 1},
        {"retry_on": OSError},
        {"retry_on": (OSError, ValueError)},
        {"retry_on": BaseException},
        {"priority": 1000},
        {"priority": -1000},
        {"name": "näme 🧵"},
        {"name": ""},
        {"name": "x" * 10_000},
    ],
    ids=str,
)
def test_a_good_value_is_taken(pool: Any, options: dict[str, Any]):
    assert pool.options(**options).submit(tasks.echo, 5).result(PATIENCE) == 5


# ---- retries ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failures", [0, 1, 3])
def test_a_task_that_fails_is_run_again(pool: Any, failures: int, flaky: NewFlaky):
    task = flaky(failures)
    future = pool.options(retries=3, backoff=0).submit(task)
    assert future.result(PATIENCE) == failures + 1
    assert future.exception() is None
    assert task.calls == failures + 1


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_the_last_failure_is_the_result(pool: Any, retries: int, flaky: NewFlaky):
    task = flaky(10)
    future = pool.options(retries=retries, backoff=0).submit(task)
    error = future.exception(PATIENCE)
    assert error.args == (retries + 1,)
    assert len(getattr(error, "__notes__", [])) == (retries > 0)
    assert not retries or f"failed {retries + 1} times" in error.__notes__[0]
    assert task.calls == retries + 1


@pytest.mark.parametrize(
    ("retry_on", "error", "calls"),
    [
        (Exception, ValueError, 3),
        (OSError, ValueError, 1),
        (OSError, FileNotFoundError, 3),
        ((OSError, ValueError), ValueError, 3),
        ((), ValueError, 1),
        (Exception, tasks.Unrelated, 1),
        (tasks.Unrelated, tasks.Unrelated, 3),
        (Exception, SystemExit, 1),
        (Exception, tasks.Falsy, 3),
    ],
)
def test_only_failures_that_are_worth_it(
    pool: Any, retry_on: Any, error: type[BaseException], calls: int, flaky: NewFlaky
):
    task = flaky(10, error)
    future = pool.options(retries=2, backoff=0, retry_on=retry_on).submit(task)
    try:
        caught = future.exception(PATIENCE)
    except BaseException as raised:
        caught = raised
    assert type(caught) is error
    assert task.calls == calls


def test_callbacks_are_called_once_at_the_end(pools: Pools, flaky: NewFlaky):
    calls: list[int] = []
    pool, task = pools(2), flaky(2)
    future = pool.options(retries=3, backoff=0.01).submit(task)
    future.add_done_callback(lambda f: calls.append(f.result()))
    pool.shutdown()
    assert calls == [3]


@needs(Can.OVERLAP)
def test_backing_off_holds_no_worker(one: Any, flaky: NewFlaky):
    task = flaky(1)
    begin = time.monotonic()
    future = one.options(retries=1, backoff=0.3).submit(task)
    while not task.calls:
        one.submit(tasks.nothing).result(PATIENCE)
    assert one.submit(tasks.echo, 5).result(PATIENCE) == 5
    if future.done():
        raise Late("the other task was through after the back-off")
    wait_until(lambda: not future.running(), "it waits to be tried again")
    assert future.result(PATIENCE) == 2
    assert time.monotonic() - begin >= 0.29


@needs(Can.OVERLAP)
def test_the_back_off_doubles(one: Any, new_path: Callable[[], str]):
    path = new_path()
    assert one.options(retries=3, backoff=0.05).submit(tasks.note_the_time_and_fail, path).exception(PATIENCE)
    times = [float(line) for line in noted(path)]
    assert len(times) == 4
    pauses = [after - before for before, after in zip(times, times[1:], strict=False)]
    for pause, expected in zip(pauses, (0.05, 0.1, 0.2), strict=True):
        assert expected * 0.95 <= pause


@needs(Can.OVERLAP)
def test_a_task_that_backs_off_can_be_cancelled(one: Any, flaky: NewFlaky):
    task = flaky(5)
    future = one.options(retries=5, backoff=60).submit(task)
    while not task.calls:
        one.submit(tasks.nothing).result(PATIENCE)
    wait_until(lambda: not future.running(), "it waits to be tried again")
    assert future.cancel()
    assert future.cancelled()
    with pytest.raises(CancelledError):
        future.result(PATIENCE)
    assert task.calls == 1


@needs(Can.OVERLAP)
def test_shutdown_waits_for_retries(one: Any, flaky: NewFlaky):
    future = one.options(retries=3, backoff=0.02).submit(flaky(3))
    one.shutdown(wait=True)
    assert future.result(0) == 4


@needs(Can.OVERLAP)
def test_shutdown_that_cancels_does_not_wait_for_retries(one: Any, flaky: NewFlaky):
    task = flaky(3)
    future = one.options(retries=3, backoff=60).submit(task)
    while not task.calls:
        one.submit(tasks.nothing).result(PATIENCE)
    wait_until(lambda: not future.running(), "it waits to be tried again")
    one.shutdown(wait=True, cancel_futures=True)
    assert future.cancelled()


@pytest.mark.parametrize("chunksize", [None, 1, 4])
def test_each_item_of_a_map_is_retried(pool: Any, chunksize: int | None, new_path: Callable[[], str]):
    paths = [new_path() for _ in range(20)]
    view = pool.options(retries=2, backoff=0)
    assert list(view.map(tasks.fail_by_remainder, paths, range(20), chunksize=chunksize)) == list(range(20))
    assert [tasks.tallied(path) for path in paths] == [item % 3 + 1 for item in range(20)]


def test_arguments_are_those_of_the_first_time(pool: Any, new_path: Callable[[], str]):
    path = new_path()
    view = pool.options(retries=2, backoff=0)
    assert view.submit(tasks.note_the_arguments_and_fail, path, 1, 2, key=3).exception(PATIENCE)
    assert noted(path) == ["((1, 2), {'key': 3})"] * 3


# ---- priority --------------------------------------------------------------------------------------------


@needs(Can.OVERLAP)
def test_higher_runs_first_and_equals_in_order(pools: Pools, one: Any, new_path: Callable[[], str]):
    path = new_path()
    with pools.held(one):
        for number, priority in enumerate([0, 5, -5, 5, 0, 1000, -1000, 1]):
            one.options(priority=priority).submit(note, path, f"{priority} {number}")
    one.shutdown()
    assert noted(path) == ["1000 5", "5 1", "5 3", "1 7", "0 0", "0 4", "-5 2", "-1000 6"]


@needs(Can.OVERLAP)
@pytest.mark.parametrize(("low", "high"), [(-10, 10), (-10, 0), (0, 10), (5, 10), (-10, -5)])
def test_the_lowest_does_not_starve(pools: Pools, one: Any, low: int, high: int, new_path: Callable[[], str]):
    """However many tasks of a higher priority there are, and whoever submits them."""
    path = new_path()
    with pools.held(one):
        one.options(priority=low).submit(note, path, "low")
        above = one.options(priority=high)
        for _ in range(300):
            above.submit(note, path, "high")
    one.shutdown()
    ran = noted(path)
    assert ran.index("low") < 100
    assert len(ran) == 301


# ---- name and timeout ------------------------------------------------------------------------------------


@needs(Can.INTERRUPT)
def test_a_task_is_stopped_in_time_and_named(one: Any):
    future = one.options(timeout=0.05, name="the spinner").submit(remote_tasks.spin)
    with pytest.raises(TaskTimeout, match="the spinner") as caught:
        future.result(PATIENCE)
    assert (caught.value.task, caught.value.timeout, caught.value.started) == ("the spinner", 0.05, True)
    assert isinstance(caught.value, TimeoutError)
    assert one.submit(tasks.echo, 5).result(PATIENCE) == 5


@needs(Can.INTERRUPT)
def test_without_a_name_the_functions_is_used(one: Any):
    error = one.options(timeout=0.05).submit(remote_tasks.nap_for_ever).exception(PATIENCE)
    assert "nap_for_ever" in str(error)


@needs(Can.OVERLAP)
def test_time_in_the_queue_does_not_count(pools: Pools, one: Any):
    with pools.held(one) as gate:
        future = one.options(timeout=0.2).submit(tasks.echo, 5)
        threading.Timer(0.3, gate.set).start()
        try:
            assert future.result(PATIENCE) == 5
        except TaskTimeout as error:
            raise Late(f"once it ran: {error}") from error


@needs(Can.INTERRUPT)
def test_a_timeout_is_worth_a_retry(one: Any, new_path: Callable[[], str]):
    one.submit(tasks.nothing).result(PATIENCE)  # a worker that must import the module first does so in the task's time
    view = one.options(timeout=0.05, retries=20, backoff=0, retry_on=TimeoutError)  # later ones may be too late as well
    assert view.submit(tasks.spin_the_first_time, new_path()).result(PATIENCE) >= 2


@needs(Can.INTERRUPT)
def test_a_timeout_is_each_items_own_in_a_map(one: Any):
    """Twenty items that take 0.02 s each are not one task of 0.4 s; the one that hangs fails alone."""
    one.submit(tasks.nothing).result(PATIENCE)
    results = one.options(timeout=0.1).map(tasks.nap_or_spin_at, range(20), itertools.repeat(12))
    try:
        assert [next(results) for _ in range(12)] == list(range(12))
    except TaskTimeout as error:
        raise Late(f"before the one that hangs: {error}") from error
    with pytest.raises(TaskTimeout):
        next(results)
