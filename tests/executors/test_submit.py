"""`submit`: what goes in comes out, and errors arrive as they were raised. For every executor."""

import functools
import operator
import threading
import traceback
from concurrent.futures import Executor, Future
from typing import Any

import pytest

import weft
from tests.executors import tasks
from tests.executors.conftest import Pools, shared_pool
from tests.executors.flavors import PATIENCE, Can, Flavor, needs

pool = shared_pool(2)


@pytest.mark.invariant(1)
def test_an_executor_is_one_of_the_stdlib(flavor: Flavor, pool: Executor):
    assert isinstance(pool, flavor.stdlib)
    assert isinstance(pool, Executor)
    assert type(pool) is flavor.cls
    assert flavor.cls.__name__ == flavor.stdlib.__name__ or flavor.stdlib is Executor


@pytest.mark.invariant(1)
def test_a_future_is_one_of_the_stdlib(pool: Executor):
    assert isinstance(pool.submit(tasks.nothing), Future)


@needs(Can.OWN_FUTURES)
@pytest.mark.invariant(1)
def test_a_future_of_ours_is_a_weft_future(pool: Executor):
    future = pool.submit(tasks.nothing)
    assert type(future) is weft.Future
    assert issubclass(weft.Future, Future)


def test_the_result_is_what_the_function_returned(pool: Executor):
    assert pool.submit(pow, 2, 8).result(PATIENCE) == 256
    assert pool.submit(pow, 2, exp=8).result(PATIENCE) == 256
    assert pool.submit(tasks.nothing).result(PATIENCE) is None


def test_keywords_may_have_any_name(pool: Executor):
    assert pool.submit(tasks.capture, 1, self=2, fn=3).result(PATIENCE) == ((1,), {"self": 2, "fn": 3})
    assert pool.submit(tasks.capture, **{"not a name": 1, "": 2}).result(PATIENCE) == ((), {"not a name": 1, "": 2})


def test_fn_is_positional_only_and_required(pool: Executor):
    with pytest.raises(TypeError):
        pool.submit()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        pool.submit(fn=tasks.nothing)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        pool.submit(arg=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("keywords", [0, 1, 2, 7, 40])
@pytest.mark.parametrize("positional", [0, 1, 2, 3, 7, 40])
def test_any_number_of_arguments(pool: Executor, positional: int, keywords: int):
    args = tuple(range(positional))
    kwargs = {f"k{number}": number for number in range(keywords)}
    got_args, got_kwargs = pool.submit(tasks.capture, *args, **kwargs).result(PATIENCE)
    assert (got_args, list(got_kwargs.items())) == (args, list(kwargs.items()))


@needs(Can.SHARE)
@pytest.mark.parametrize(
    ("function", "args", "expected"),
    [
        (lambda a, b=3: a + b, (4,), 7),
        (functools.partial(pow, 2), (5,), 32),
        ("a-b".split, ("-",), ["a", "b"]),
        (dict, ([(1, 2)],), {1: 2}),
        (operator.itemgetter(1), ("ab",), "b"),
        (int.__add__, (1, 2), 3),
        (type("Callable", (), {"__call__": lambda self, value: value + 1})(), (1,), 2),
        (type("Static", (), {"method": staticmethod(lambda: 5)}).method, (), 5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_all_kinds_of_callables(pool: Executor, function: Any, args: tuple[Any, ...], expected: Any):
    assert pool.submit(function, *args).result(PATIENCE) == expected


@needs(Can.SHARE)
def test_arguments_and_results_are_the_very_objects(pool: Executor):
    given, named = object(), object()
    args, kwargs = pool.submit(tasks.capture, given, name=named).result(PATIENCE)
    assert args[0] is given
    assert kwargs["name"] is named


@needs(Can.SHARE)
def test_the_callers_containers_are_not_kept(pool: Executor):
    kwargs = {"a": 1}
    args = [1, 2]
    future = pool.submit(tasks.capture, *args, **kwargs)
    kwargs["a"] = 2
    args.append(3)
    assert future.result(PATIENCE) == ((1, 2), {"a": 1})


@pytest.mark.parametrize(
    "error",
    [ValueError("why"), KeyError(1), StopIteration(3), GeneratorExit(), OSError(2, "x")],
    ids=lambda error: type(error).__name__,
)
def test_an_error_arrives(pool: Executor, error: BaseException):
    future = pool.submit(tasks.fail, error)
    with pytest.raises(type(error)) as caught:
        future.result(PATIENCE)
    assert caught.value.args == error.args
    assert future.exception(PATIENCE) is caught.value
    assert future.done()
    assert not future.cancelled()
    with pytest.raises(type(error)) as again:
        future.result()
    assert again.value is caught.value


@needs(Can.RAISE_FALSY)
@pytest.mark.parametrize("error", [tasks.Falsy("boo"), tasks.Empty("boo")], ids=lambda error: type(error).__name__)
def test_an_error_that_is_false_arrives(pool: Executor, error: BaseException):
    future = pool.submit(tasks.fail, error)
    with pytest.raises(type(error), match="boo"):
        future.result(PATIENCE)


@needs(Can.SHARE)
def test_the_traceback_shows_where_it_was_raised(pool: Executor):
    error = ValueError("why")
    future = pool.submit(tasks.fail_deep, error, 3)
    assert future.exception(PATIENCE) is error
    with pytest.raises(ValueError, match="why") as caught:
        future.result()
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames.count("fail_deep") == 4
    assert frames[0].startswith("test_")


@needs(Can.OVERLAP)
@pytest.mark.parametrize(
    "error", [KeyboardInterrupt("x"), SystemExit(3), tasks.Unrelated()], ids=lambda e: type(e).__name__
)
def test_what_is_no_exception_arrives_too_and_the_worker_lives(one: Executor, error: BaseException):
    for _ in range(3):
        future = one.submit(tasks.fail, error)
        assert type(future.exception(PATIENCE)) is type(error)
    assert one.submit(pow, 2, 3).result(PATIENCE) == 8


def test_an_exception_that_is_returned_is_a_result(pool: Executor):
    future = pool.submit(tasks.echo, ValueError("not raised"))
    assert isinstance(future.result(PATIENCE), ValueError)
    assert future.exception() is None


@needs(Can.SHARE)
def test_a_future_that_is_returned_is_a_result(pool: Executor):
    inner = pool.submit(tasks.echo, 5)
    assert pool.submit(tasks.echo, inner).result(PATIENCE) is inner


@needs(Can.OWN_FUTURES)
@pytest.mark.parametrize("thing", [3, None, "name", []])
def test_what_cannot_be_called_is_refused_at_once(pool: Executor, thing: Any):
    with pytest.raises(TypeError, match="callable"):
        pool.submit(thing)
    assert pool.submit(pow, 2, 3).result(PATIENCE) == 8


@pytest.mark.invariant(2)
def test_many_tasks(pool: Executor):
    futures = [pool.submit(tasks.echo, number) for number in range(3_000)]
    assert [future.result(PATIENCE) for future in futures] == list(range(3_000))


@needs(Can.SHARE)
@pytest.mark.invariant(2)
def test_submitting_from_many_threads_loses_and_doubles_nothing(pools: Pools):
    pool = pools(3)
    ran: list[tuple[int, int]] = []
    futures: list[list[Future[Any]]] = [[] for _ in range(6)]
    barrier = threading.Barrier(6)

    def submitter(me: int) -> None:
        barrier.wait(PATIENCE)
        futures[me] = [pool.submit(ran.append, (me, number)) for number in range(400)]

    threads = [threading.Thread(target=submitter, args=(me,)) for me in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert [future.result(PATIENCE) for own in futures for future in own] == [None] * 2_400
    assert sorted(ran) == [(me, number) for me in range(6) for number in range(400)]


@needs(Can.OVERLAP, Can.SHARE)
def test_one_worker_takes_tasks_in_order(one: Executor):
    ran: list[int] = []
    for number in range(500):
        one.submit(ran.append, number)
    one.shutdown()
    assert ran == list(range(500))


@needs(Can.OVERLAP, Can.WORKERS)
def test_as_many_tasks_as_workers_run_at_a_time(pools: Pools):
    pool = pools(4)
    with pools.held(pool, workers=4):
        pending = pool.submit(tasks.nothing)
        assert not pending.running()
        assert not pending.done()


@needs(Can.OVERLAP, Can.SHARE)
def test_tasks_may_wait_for_each_other_by_other_means(pools: Pools):
    """Each of four workers must get one of the four, however they were handed out."""
    pool = pools(4)
    for _ in range(50):
        barrier = threading.Barrier(4)
        futures = [pool.submit(barrier.wait, PATIENCE) for _ in range(4)]
        assert sorted(future.result(PATIENCE) for future in futures) == [0, 1, 2, 3]


@needs(Can.WORKERS)
@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_is_refused(flavor: Flavor, workers: int):
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        flavor.make(workers)
