"""Exceptions: the one that a loop would have met is raised, and the rest of the range is abandoned."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.executors.child import wait_until
from tests.lateness import Late
from tests.parallel.conftest import CHUNKS, Pools
from weft.execution import dynamic_chunk_size, par, seq, static_chunk_size, task
from weft.executors import ThreadPoolExecutor
from weft.parallel import (
    all_of,
    copy_if,
    count_if,
    find_if,
    for_each,
    for_loop,
    inclusive_scan,
    reduce,
    sort,
    transform,
    transform_reduce,
)


class Bad(Exception):
    pass


class Unrelated(BaseException):
    """One that `except Exception` does not catch."""


def fail_from(first: int, error: Any = Bad) -> Any:
    def body(index: int) -> int:
        if index >= first:
            raise error(index)
        return index

    return body


@pytest.mark.parametrize("first", [0, 1, 37, 99])
def test_the_lowest_index_wins(pools: Pools, first: int) -> None:
    """All from `first` on fail; in parallel several do, in any order."""
    body = fail_from(first)
    into = [0] * 100
    for policy in pools.policies():
        for call in (
            lambda p: for_loop(p, 0, 100, body),
            lambda p: for_each(p, list(range(100)), body),
            lambda p: for_each(p, iter(range(100)), body),
            lambda p: transform(p, range(100), into, body),
            lambda p: count_if(p, range(100), body),
            lambda p: copy_if(p, range(100), into, body),
            lambda p: find_if(p, range(100), lambda x: body(x) < 0),
            lambda p: all_of(p, range(100), lambda x: body(x) >= 0),
            lambda p: transform_reduce(p, range(100), init=0, reduce_op=max, transform_op=body),
            lambda p: sort(p, list(range(100)), key=body),
        ):
            with pytest.raises(Bad) as caught:
                call(policy)
            assert caught.value.args == (first,), policy


def test_it_keeps_the_traceback_of_where_it_was_raised(two: ThreadPoolExecutor) -> None:
    with pytest.raises(Bad) as caught:
        for_loop(par.with_(dynamic_chunk_size(1)).on(two), 0, 10, fail_from(3))
    assert caught.traceback[-1].name == "body"


def test_all_before_it_were_done(pools: Pools) -> None:
    for policy in pools.policies():
        seen: list[int] = []

        def body(index: int, seen: list[int] = seen) -> None:
            if index in (40, 70, 90):
                raise Bad(index)
            seen.append(index)

        with pytest.raises(Bad, match="40"):
            for_loop(policy, 0, 100, body)
        assert set(range(40)) <= set(seen)


@pytest.mark.parametrize("as_task", [False, True])
def test_the_rest_is_abandoned(four: ThreadPoolExecutor, as_task: bool) -> None:
    """Chunks behind it do not begin; one that runs stops at its next element, however many it has left."""
    for chunks in (static_chunk_size(), dynamic_chunk_size(2500)):
        policy: Any = par.with_(chunks).on(four)
        begun, failed = threading.Event(), threading.Event()
        after: list[int] = []

        def body(index: int, begun: Any = begun, failed: Any = failed, after: list[int] = after) -> None:
            if index == 0:
                assert begun.wait(30)
                failed.set()
                raise Bad(index)
            if index == 2500:
                begun.set()
                assert failed.wait(30)
            if failed.is_set():
                after.append(index)
                threading.Event().wait(0.001)  # an element takes its time, so that the end of 2,500 would be seen

        with pytest.raises(Bad):
            outcome = for_loop(policy(task) if as_task else policy, 0, 10_000, body)
            outcome.result(30)  # type: ignore[union-attr]
        if len(after) >= 1500:
            raise Late(f"{len(after)} elements after the failure, with {chunks}")


def test_a_hit_makes_later_errors_unheard_of(pools: Pools) -> None:
    def pred(index: int) -> bool:
        if index > 50:
            raise Bad(index)
        return index == 50

    for policy in pools.policies():
        assert find_if(policy, range(100), pred) == 50
        assert find_if(policy, iter(range(100)), pred) == 50


def test_an_error_before_the_hit_is_raised(pools: Pools) -> None:
    def pred(index: int) -> bool:
        if index == 20:
            raise Bad(index)
        return index >= 50

    for policy in pools.policies():
        with pytest.raises(Bad, match="20"):
            find_if(policy, range(100), pred)


@pytest.mark.parametrize("error", [StopIteration, KeyError, Unrelated, SystemExit, GeneratorExit])
def test_every_kind_of_exception_arrives(pools: Pools, error: Any) -> None:
    """`StopIteration` must not pass for the end of the elements."""
    for policy in pools.policies():
        for last in (5, 6):  # in the middle of a part, and as its last element
            for call in (
                lambda last=last: for_loop(policy, 0, last, fail_from(5, error)),
                lambda last=last: transform(policy, range(last), [0] * last, fail_from(5, error)),
                lambda last=last: count_if(policy, range(last), fail_from(5, error)),
                lambda last=last: transform_reduce(
                    policy, range(last), init=0, reduce_op=max, transform_op=fail_from(5, error)
                ),
            ):
                if last == 5:
                    call()
                else:
                    with pytest.raises(error) as caught:
                        call()
                    assert caught.value.args == (5,)


def test_operations_that_fail(pools: Pools) -> None:
    """`+` refuses the poisoned element, whether that comes first in a chunk or later."""
    items: list[Any] = [1] * 77 + [None] + [1] * 22
    for policy in pools.policies():
        with pytest.raises(TypeError, match="unsupported operand"):
            reduce(policy, items)
        into = ["as it was"] * 100
        with pytest.raises(TypeError, match="unsupported operand"):
            inclusive_scan(policy, items, into)
        assert into[77:] == ["as it was"] * 23


def test_an_iterator_that_fails_after_some_elements(pools: Pools) -> None:
    def some() -> Iterator[int]:
        yield from range(30)
        raise Bad("iterator")

    for policy in pools.policies():
        seen: list[int] = []
        with pytest.raises(Bad, match="iterator"):
            for_each(policy, some(), seen.append)
        if policy.chunk_name in ("auto", "dynamic"):
            assert sorted(seen) == list(range(30))  # those were elements, and are worked on
        with pytest.raises(Bad, match="iterator"):
            reduce(policy, some())
        if policy.chunk_name in ("auto", "dynamic"):
            assert find_if(policy, some(), lambda x: x == 29) == 29
            with pytest.raises(Bad, match="^3$"):
                for_each(policy, some(), fail_from(3))


def test_through_a_future(two: ThreadPoolExecutor) -> None:
    for policy in (par(task).on(two), seq(task).on(two)):
        future = for_loop(policy, 0, 100, fail_from(10))
        error = future.exception(30)
        assert isinstance(error, Bad)
        assert error.args == (10,)


def test_nothing_is_left_after_an_error(four: ThreadPoolExecutor) -> None:
    """When it is raised, no element runs any more."""
    for chunks in CHUNKS:
        running: set[int] = set()

        def body(index: int, running: set[int] = running) -> None:
            running.add(index)
            try:
                if index % 17 == 5:
                    raise Bad(index)
            finally:
                running.discard(index)

        with pytest.raises(Bad, match="^5$"):
            for_loop(par.with_(chunks).on(four), 0, 1000, body)
        assert running == set()
    wait_until(lambda: four._stats()["queued"] == 0, "what did not begin has left the queue")


def test_the_errors_do_not_keep_what_they_saw(two: ThreadPoolExecutor) -> None:
    """A failed algorithm leaves no cycle through its region: what it read goes with the exception."""
    import gc
    import weakref

    class Element:
        pass

    def body(element: Element) -> None:
        raise Bad

    elements = [Element() for _ in range(10)]
    watch = weakref.ref(elements[0])
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(Bad):
            for_each(par.on(two), elements, body)
        gc.collect()
        elements.clear()
        gc.collect()
        assert watch() is None
    finally:
        gc.enable()
