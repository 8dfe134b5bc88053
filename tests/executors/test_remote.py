"""What interpreters and processes promise beyond the conformance suite: what crosses, what is refused, and how they stop."""

import pickle
import sys
import threading
import time
from concurrent.futures import Executor
from typing import Any

import pytest

from tests.executors import remote_tasks as tasks
from tests.executors.child import wait_until
from tests.lateness import check_within
from weft.errors import Interrupted, MissingDependency, PayloadError, TaskTimeout
from weft.executors import InterpreterPoolExecutor, ProcessPoolExecutor

KINDS: dict[str, Any] = {"processes": ProcessPoolExecutor}
if sys.version_info >= (3, 14):
    KINDS["interpreters"] = InterpreterPoolExecutor


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


@pytest.fixture
def pool(kind: Any) -> Any:
    with kind(2) as pool:
        yield pool


# ---- what crosses


def test_workers_are_somewhere_else(pool: Executor) -> None:
    assert pool.submit(tasks.where).result(30) != tasks.where()


def test_an_exception_arrives_whole(pool: Executor) -> None:
    error = pool.submit(tasks.fail_with_all).exception(30)
    assert isinstance(error, ExceptionGroup)
    value, missing = error.exceptions
    assert isinstance(value, ValueError)
    assert value.__notes__ == ["a note"]
    assert isinstance(missing, FileNotFoundError)
    assert isinstance(error.__cause__, KeyError)


def test_where_it_was_raised_is_told(pool: Executor) -> None:
    import traceback

    error = pool.submit(tasks.raise_in_start, "here").exception(30)
    assert error is not None
    assert "in raise_in_start" in "".join(traceback.format_exception(error))


def test_a_lambda_crosses(pool: Executor) -> None:
    pytest.importorskip("cloudpickle")
    number = 5
    assert pool.submit(lambda x: x + number, 3).result(30) == 8


def test_a_lambda_without_cloudpickle(pool: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(MissingDependency, match=r"weft\[closures\]"):
        pool.submit(lambda: 3)


def test_proxies_of_managers_cross(kind: Any) -> None:
    import multiprocessing

    with multiprocessing.get_context("spawn").Manager() as manager, kind(1) as pool:
        queue = manager.Queue()
        pool.submit(tasks.put, queue, "from the worker").result(30)
        assert queue.get(timeout=30) == "from the worker"


# ---- what is refused, and where


def test_what_cannot_be_pickled_is_refused_at_submit(pool: Executor) -> None:
    began = time.monotonic()
    with pytest.raises(PayloadError) as caught:
        pool.submit(tasks.echo_array, {"config": {"sock": threading.Lock()}})
    check_within(time.monotonic() - began, 0.1)
    assert caught.value.path == "args[0]['config']['sock']"
    assert isinstance(caught.value, pickle.PicklingError)
    assert pool.submit(abs, -1).result(30) == 1


@pytest.mark.parametrize("buffersize", [None, 8])
@pytest.mark.parametrize("ordered", [True, False])
def test_an_item_of_a_map_that_cannot_be_pickled(pool: Any, ordered: bool, buffersize: int | None) -> None:
    """The results of those before it come first; none is left out without a word."""
    items = [*range(50), threading.Lock(), *range(51, 60)]
    results = pool.map(tasks.echo_array, items, chunksize=1, ordered=ordered, buffersize=buffersize)
    assert sorted(next(results) for _ in range(50)) == list(range(50))
    with pytest.raises(PayloadError):
        next(results)
    assert list(results) == []
    assert pool.submit(abs, -1).result(30) == 1


def test_shutting_down_with_an_item_left_that_cannot_be_pickled(kind: Any) -> None:
    pool = kind(1)
    results = pool.map(tasks.echo_array, [*range(50), threading.Lock()], chunksize=1)
    pool.shutdown()
    assert [next(results) for _ in range(50)] == list(range(50))
    with pytest.raises(PayloadError):
        next(results)


@pytest.mark.parametrize("moment", ["pickle", "unpickle"])
def test_bombs_among_the_arguments(pool: Executor, moment: str) -> None:
    if moment == "pickle":
        with pytest.raises(PayloadError, match="bomb"):
            pool.submit(tasks.echo_array, tasks.Bomb(moment))
    else:
        with pytest.raises(PayloadError, match="bomb"):
            pool.submit(tasks.echo_array, tasks.Bomb(moment)).result(30)
    assert pool.submit(abs, -1).result(30) == 1


@pytest.mark.parametrize("moment", ["pickle", "unpickle"])
def test_bombs_as_results(pool: Executor, moment: str) -> None:
    with pytest.raises(PayloadError, match="bomb"):
        pool.submit(tasks.make_bomb, moment).result(30)
    assert pool.submit(abs, -1).result(30) == 1


def test_a_result_that_cannot_be_pickled(pool: Executor) -> None:
    with pytest.raises(PayloadError) as caught:
        pool.submit(tasks.lock).result(30)
    assert caught.value.path == "result['a'][0]"
    assert pool.submit(abs, -1).result(30) == 1


# ---- setting up


def test_an_initializer_that_cannot_cross(kind: Any) -> None:
    with pytest.raises(PayloadError, match=r"initargs\[0\]"):
        kind(2, initializer=tasks.add_to_kept, initargs=(threading.Lock(),))


@pytest.mark.parametrize("preload", ["json", [3], 5])
def test_preload_that_is_no_list_of_names(kind: Any, preload: Any) -> None:
    with pytest.raises(TypeError, match="preload"):
        kind(1, preload=preload)


# ---- stopping


def test_an_endless_loop_among_many_tasks(pool: Any) -> None:
    """The row of the table, with fewer tasks."""
    futures = [pool.submit(abs, -number) for number in range(500)]
    stuck = pool.options(timeout=0.2).submit(tasks.spin)
    futures += [pool.submit(abs, -number) for number in range(500, 1000)]
    assert [future.result(30) for future in futures] == list(range(1000))
    with pytest.raises(TaskTimeout):
        stuck.result(30)
    assert [pool.submit(abs, -number).result(30) for number in range(10)] == list(range(10))
    assert pool._stats()["abandoned"] == 0


def test_a_first_endless_loop_ends_when_its_time_is_over(pool: Any) -> None:
    """What interrupts it has nothing left to load beside it."""
    assert pool.submit(abs, -1).result(30) == 1
    began = time.monotonic()
    with pytest.raises(TaskTimeout):
        pool.options(timeout=0.1).submit(tasks.spin).result(30)
    check_within(time.monotonic() - began, 0.4)


def test_tasks_behind_a_long_one_are_not_held_up(pool: Any) -> None:
    """Short tasks teach it to send ahead; then one is long."""
    assert sum(future.result(30) for future in [pool.submit(abs, -1) for _ in range(2000)]) == 2000
    long = pool.submit(tasks.nap_for_ever)
    wait_until(long.running, "it runs")
    began = time.monotonic()
    assert sum(future.result(30) for future in [pool.submit(abs, -1) for _ in range(200)]) == 200
    check_within(time.monotonic() - began, 1)
    assert long.interrupt()
    assert isinstance(long.exception(30), Interrupted)


def test_many_tasks_of_all_sizes(pool: Any) -> None:
    sent = [bytes(number * 37 % 200_000) for number in range(300)]
    assert [len(one) for one in pool.map(tasks.echo_array, sent)] == [len(one) for one in sent]
