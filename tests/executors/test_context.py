"""Context variables follow the task: each sees a copy of its submitter's, and keeps its changes to itself."""

import contextvars
import threading
from contextvars import ContextVar
from typing import Any

import pytest

from tests.executors.conftest import Pools
from tests.executors.flavors import PATIENCE, Can, needs
from weft.errors import InvalidSetting

pytestmark = needs(Can.CARRY_CONTEXT)

var: ContextVar[str] = ContextVar("var", default="unset")
other: ContextVar[int] = ContextVar("other", default=0)


@pytest.fixture(autouse=True)
def own_context():
    """What a test sets is unset after it."""
    token, other_token = var.set("unset"), other.set(0)
    yield
    var.reset(token)
    other.reset(other_token)


def swap(value: str) -> str:
    """What was there; leaves something else."""
    before = var.get()
    var.set(value)
    return before


def count() -> int:
    other.set(other.get() + 1)
    return other.get()


def test_a_task_sees_its_submitters_variables(pool: Any):
    assert pool.submit(var.get).result(PATIENCE) == "unset"
    var.set("mine")
    assert pool.submit(var.get).result(PATIENCE) == "mine"


@needs(Can.OVERLAP)
def test_they_are_those_of_the_moment_of_submit(pools: Pools, one: Any):
    with pools.held(one):
        var.set("early")
        future = one.submit(var.get)
        var.set("late")
    assert future.result(PATIENCE) == "early"


def test_a_change_stays_in_the_task(pool: Any):
    var.set("mine")
    assert [pool.submit(swap, "task").result(PATIENCE) for _ in range(50)] == ["mine"] * 50
    assert var.get() == "mine"


def test_a_change_stays_in_the_task_where_nothing_was_set(pool: Any):
    """Also where the submitter's context is empty, which costs no copy."""
    empty = contextvars.Context()
    futures = [empty.run(pool.submit, swap, "task") for _ in range(50)]
    assert [future.result(PATIENCE) for future in futures] == ["unset"] * 50
    assert pool.submit(var.get).result(PATIENCE) == "unset"
    assert empty.run(var.get) == "unset"


@pytest.mark.parametrize("chunksize", [None, 1, 10, 1000])
def test_each_item_of_a_map_has_its_own_copy(pool: Any, chunksize: int | None):
    var.set("mine")
    assert set(pool.map(swap, map(str, range(100)), chunksize=chunksize)) == {"mine"}
    assert set(contextvars.Context().run(lambda: list(pool.map(swap, "ab" * 50, chunksize=chunksize)))) == {"unset"}
    assert set(pool.map(lambda _: count(), range(100), chunksize=chunksize)) == {1}
    assert var.get() == "mine"


@pytest.mark.parametrize("chunksize", [None, 1, 10])
def test_an_item_that_fails_leaves_nothing_to_the_next(pool: Any, chunksize: int | None):
    seen: list[str] = []

    def task(number: int) -> None:
        seen.append(swap(str(number)))
        raise ValueError

    for start in (contextvars.copy_context(), contextvars.Context()):
        with pytest.raises(ValueError):
            list(start.run(pool.map, task, range(30), chunksize=chunksize))
    pool.shutdown()
    assert set(seen) == {"unset"}


def test_a_lazy_map_carries_the_context_too(pool: Any):
    var.set("mine")
    assert list(pool.map(lambda _: var.get(), range(50), buffersize=3)) == ["mine"] * 50


def test_a_submission_in_a_task_carries_the_tasks_context(pool: Any):
    def outer() -> tuple[str, str]:
        var.set("outer")
        inner = pool.submit(swap, "inner").result(PATIENCE)
        return inner, var.get()

    var.set("mine")
    assert pool.submit(outer).result(PATIENCE) == ("outer", "outer")
    assert var.get() == "mine"


@needs(Can.OVERLAP, Can.HELP)
def test_a_task_that_helps_keeps_its_own_context(one: Any):
    """The only worker runs the inner task inside of the outer one's wait."""

    def outer(depth: int) -> list[str]:
        var.set(str(depth))
        below = one.submit(outer, depth - 1).result(PATIENCE) if depth else []
        return [var.get(), *below]

    assert one.submit(outer, 5).result(PATIENCE) == ["5", "4", "3", "2", "1", "0"]
    assert one.submit(var.get).result(PATIENCE) == "unset"


@needs(Can.OVERLAP)
def test_each_thread_has_its_own(pools: Pools):
    pool = pools(3)
    wrong: list[Any] = []

    def submitter(me: str) -> None:
        var.set(me)
        futures = [pool.submit(swap, "task") for _ in range(300)]
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
    var.set("mine")
    bare = pool.options(context="empty")
    assert [bare.submit(swap, "task").result(PATIENCE) for _ in range(5)] == ["unset"] * 5
    assert set(bare.map(swap, "abc")) == {"unset"}
    assert pool.submit(var.get).result(PATIENCE) == "mine"


@needs(Can.TAKE_OPTIONS)
def test_a_context_to_run_in_keeps_what_tasks_do_to_it(pool: Any):
    context = contextvars.copy_context()
    inside = pool.options(context=context)
    assert [inside.submit(count).result(PATIENCE) for _ in range(5)] == [1, 2, 3, 4, 5]
    assert context[other] == 5
    assert other.get() == 0


@needs(Can.TAKE_OPTIONS, Can.OVERLAP)
def test_a_context_is_entered_by_one_task_at_a_time(pools: Pools):
    """The second is refused, as `Context.run` refuses; the pool is none the worse for it."""
    pool = pools(2)
    inside = pool.options(context=contextvars.copy_context())
    with pools.held(inside):
        with pytest.raises(RuntimeError, match="context"):
            inside.submit(var.get).result(PATIENCE)
    assert inside.submit(var.get).result(PATIENCE) == "unset"
    assert pool.submit(var.get).result(PATIENCE) == "unset"


@needs(Can.TAKE_OPTIONS)
@pytest.mark.parametrize("context", ["share", None, object(), {}, 3, "COPY"])
def test_anything_else_is_refused_at_once(pool: Any, context: Any):
    with pytest.raises(InvalidSetting, match="context"):
        pool.options(context=context)
