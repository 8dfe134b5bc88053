"""Context variables follow the task: each sees a copy of its submitter's, and keeps its changes to itself."""

import contextvars
import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.executors.conftest import Pools, noted, shared_pool
from tests.executors.flavors import PATIENCE, Can, needs
from tests.executors.remote_tasks import count_on, note_set_and_fail, number, said, set_and_say, variable
from weft.errors import InvalidSetting

pool = shared_pool(2)

pytestmark = needs(Can.CARRY_CONTEXT)


@pytest.fixture(autouse=True)
def own_context():
    """What a test sets is unset after it."""
    token, other_token = variable.set("nothing"), number.set(0)
    yield
    variable.reset(token)
    number.reset(other_token)


def test_a_task_sees_its_submitters_variables(pool: Any):
    assert pool.submit(said).result(PATIENCE) == "nothing"
    variable.set("mine")
    assert pool.submit(said).result(PATIENCE) == "mine"


@needs(Can.OVERLAP)
def test_they_are_those_of_the_moment_of_submit(pools: Pools, one: Any):
    with pools.held(one):
        variable.set("early")
        future = one.submit(said)
        variable.set("late")
    assert future.result(PATIENCE) == "early"


def test_a_change_stays_in_the_task(pool: Any):
    variable.set("mine")
    assert [pool.submit(set_and_say, "task").result(PATIENCE) for _ in range(50)] == ["mine"] * 50
    assert variable.get() == "mine"


def test_a_change_stays_in_the_task_where_nothing_was_set(pool: Any):
    """Also where the submitter's context is empty, which costs no copy."""
    empty = contextvars.Context()
    futures = [empty.run(pool.submit, set_and_say, "task") for _ in range(50)]
    assert [future.result(PATIENCE) for future in futures] == ["nothing"] * 50
    assert pool.submit(said).result(PATIENCE) == "nothing"
    assert empty.run(said) == "nothing"


@pytest.mark.parametrize("chunksize", [None, 1, 10, 1000])
def test_each_item_of_a_map_has_its_own_copy(pool: Any, chunksize: int | None):
    variable.set("mine")
    assert set(pool.map(set_and_say, map(str, range(100)), chunksize=chunksize)) == {"mine"}
    from_nothing = contextvars.Context().run(lambda: list(pool.map(set_and_say, "ab" * 50, chunksize=chunksize)))
    assert set(from_nothing) == {"nothing"}
    assert set(pool.map(count_on, range(100), chunksize=chunksize)) == {1}
    assert variable.get() == "mine"


@pytest.mark.parametrize("chunksize", [None, 1, 10])
def test_an_item_that_fails_leaves_nothing_to_the_next(
    pools: Pools, chunksize: int | None, new_path: Callable[[], str]
):
    path, pool = new_path(), pools(2)
    for start in (contextvars.copy_context(), contextvars.Context()):
        with pytest.raises(ValueError):
            list(start.run(pool.map, note_set_and_fail, itertools.repeat(path, 30), chunksize=chunksize))
    pool.shutdown()
    assert set(noted(path)) == {"nothing"}


def test_a_lazy_map_carries_the_context_too(pool: Any):
    variable.set("mine")
    assert list(pool.map(set_and_say, map(str, range(50)), buffersize=3)) == ["mine"] * 50


@needs(Can.SHARE)
def test_a_submission_in_a_task_carries_the_tasks_context(pool: Any):
    def outer() -> tuple[str, str]:
        variable.set("outer")
        inner = pool.submit(set_and_say, "inner").result(PATIENCE)
        return inner, variable.get()

    variable.set("mine")
    assert pool.submit(outer).result(PATIENCE) == ("outer", "outer")
    assert variable.get() == "mine"


@needs(Can.OVERLAP, Can.HELP, Can.SHARE)
def test_a_task_that_helps_keeps_its_own_context(one: Any):
    """The only worker runs the inner task inside of the outer one's wait."""

    def outer(depth: int) -> list[str]:
        variable.set(str(depth))
        below = one.submit(outer, depth - 1).result(PATIENCE) if depth else []
        return [variable.get(), *below]

    assert one.submit(outer, 5).result(PATIENCE) == ["5", "4", "3", "2", "1", "0"]
    assert one.submit(said).result(PATIENCE) == "nothing"


@needs(Can.OVERLAP)
def test_each_thread_has_its_own(pools: Pools):
    pool = pools(3)
    wrong: list[Any] = []

    def submitter(me: str) -> None:
        variable.set(me)
        futures = [pool.submit(set_and_say, "task") for _ in range(300)]
        wrong.extend(result for future in futures if (result := future.result(PATIENCE)) != me)

    threads = [threading.Thread(target=submitter, args=(str(number),)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert wrong == []


# ---- options(context=) -----------------------------------------------------------------------------------


@needs(Can.TAKE_OPTIONS)
def test_an_empty_context(pool: Any):
    variable.set("mine")
    bare = pool.options(context="empty")
    assert [bare.submit(set_and_say, "task").result(PATIENCE) for _ in range(5)] == ["nothing"] * 5
    assert set(bare.map(set_and_say, "abc")) == {"nothing"}
    assert pool.submit(said).result(PATIENCE) == "mine"


@needs(Can.TAKE_OPTIONS)
def test_a_context_to_run_in(one: Any):
    context = contextvars.Context()
    context.run(variable.set, "theirs")
    variable.set("mine")
    inside = one.options(context=context)
    assert inside.submit(said).result(PATIENCE) == "theirs"
    assert list(inside.map(set_and_say, ["theirs"] * 5)) == ["theirs"] * 5
    assert one.submit(said).result(PATIENCE) == "mine"


@needs(Can.TAKE_OPTIONS, Can.SHARE)
def test_a_context_to_run_in_keeps_what_tasks_do_to_it(pool: Any):
    context = contextvars.copy_context()
    inside = pool.options(context=context)
    assert [inside.submit(count_on).result(PATIENCE) for _ in range(5)] == [1, 2, 3, 4, 5]
    assert context[number] == 5
    assert number.get() == 0


@needs(Can.TAKE_OPTIONS, Can.OVERLAP, Can.SHARE)
def test_a_context_is_entered_by_one_task_at_a_time(pools: Pools):
    """The second is refused, as `Context.run` refuses; the pool is none the worse for it."""
    pool = pools(2)
    inside = pool.options(context=contextvars.copy_context())
    with pools.held(inside):
        with pytest.raises(RuntimeError, match="context"):
            inside.submit(said).result(PATIENCE)
    assert inside.submit(said).result(PATIENCE) == "nothing"
    assert pool.submit(said).result(PATIENCE) == "nothing"


@needs(Can.TAKE_OPTIONS)
@pytest.mark.parametrize("context", ["share", None, object(), {}, 3, "COPY"])
def test_anything_else_is_refused_at_once(pool: Any, context: Any):
    with pytest.raises(InvalidSetting, match="context"):
        pool.options(context=context)
