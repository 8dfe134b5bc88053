"""Races, from a barrier: algorithms against each other on one pool and on one source, and against what stops them."""

import threading
from typing import Any

import pytest

from tests.executors.race import race
from tests.parallel.conftest import CHUNKS
from weft.errors import Interrupted
from weft.execution import dynamic_chunk_size, par, static_chunk_size, task
from weft.executors import ThreadPoolExecutor
from weft.parallel import find, find_if, for_each, for_loop, inclusive_scan, reduce, sort, transform

SOME = [CHUNKS[0], static_chunk_size(3), dynamic_chunk_size(1)]


@pytest.mark.parametrize("chunks", SOME, ids=repr)
def test_algorithms_on_one_pool_and_one_source(chunks: Any, two: ThreadPoolExecutor) -> None:
    policy = par.with_(chunks).on(two)
    source = list(range(60))

    def check(state: list[int], returned: list[Any]) -> None:
        assert returned == [1770, None, 40, None]
        assert state == [x + 1 for x in source]

    race(
        lambda _: reduce(policy, source),
        lambda state: transform(policy, source, state, lambda x: x + 1),
        lambda _: find(policy, iter(source), 40),
        lambda _: sort(policy, [(7 * x) % 61 for x in source]),
        setup=lambda: [0] * 60,
        check=check,
    )


@pytest.mark.parametrize("chunks", SOME, ids=repr)
def test_each_element_once_whoever_is_quicker(chunks: Any, four: ThreadPoolExecutor) -> None:
    """Caller and helpers take chunks at the same time."""
    policy = par.with_(chunks).on(four)

    def work(state: list[int]) -> None:
        for_loop(policy, 0, 200, state.append)
        for_each(policy, iter(range(200, 400)), state.append)

    def check(state: list[int], returned: list[Any]) -> None:
        assert returned == [None]
        assert sorted(state) == list(range(400))

    race(work, setup=list, check=check)


@pytest.mark.parametrize("chunks", SOME, ids=repr)
def test_the_lowest_of_many_events(chunks: Any, four: ThreadPoolExecutor) -> None:
    policy = par.with_(chunks).on(four)

    def body(index: int) -> None:
        if index >= 30:
            raise LookupError(index)

    def check(state: Any, returned: list[Any]) -> None:
        assert repr(returned) == "[LookupError(30), 30]"

    race(
        lambda _: for_loop(policy, 0, 100, body),
        lambda _: find_if(policy, range(100), lambda x: x >= 30),
        setup=lambda: True,
        check=check,
    )


# Where the interrupt comes into a finalizer (that of a thread which has ended, say), Python swallows it, and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("chunks", SOME, ids=repr)
def test_interrupt_against_the_end(chunks: Any, two: ThreadPoolExecutor) -> None:
    """The future ends with its result or with `Interrupted`; nothing hangs, and the pool is as good as before."""
    policy = par.with_(chunks)(task).on(two)

    def check(state: list[Any], returned: list[Any]) -> None:
        assert returned[0] == 1225 or isinstance(returned[0], Interrupted)
        assert two.submit(pow, 2, 3).result(30) == 8

    def begin() -> list[Any]:
        return [reduce(policy, list(range(50)), op=lambda a, b: a + b)]

    race(lambda state: state[0].result(30), lambda state: state[0].interrupt(), setup=begin, check=check)


def test_shutdown_against_an_algorithm() -> None:
    """The algorithm is refused at once, or comes through."""

    def check(pool: ThreadPoolExecutor, returned: list[Any]) -> None:
        assert returned[0] == 4950 or "cannot schedule new futures" in str(returned[0])
        pool.shutdown()

    race(
        lambda pool: reduce(par.with_(dynamic_chunk_size(1)).on(pool), range(100)),
        lambda pool: pool.shutdown(wait=False),
        setup=lambda: ThreadPoolExecutor(2),
        check=check,
    )


def test_scans_in_place(four: ThreadPoolExecutor) -> None:
    policy = par.with_(static_chunk_size(5)).on(four)

    def check(state: list[list[int]], returned: list[Any]) -> None:
        assert returned == [None, None]
        assert state == [list(range(1, 61))] * 2

    race(
        lambda state: inclusive_scan(policy, state[0], state[0]),
        lambda state: inclusive_scan(policy, state[1], state[1]),
        setup=lambda: [[1] * 60, [1] * 60],
        check=check,
    )


def test_halting_a_chunk_while_it_is_read(four: ThreadPoolExecutor) -> None:
    """The list under a running loop is emptied by another thread, over and over: the loop ends, and no more than that."""
    policy = par.with_(static_chunk_size()).on(four)
    seen = threading.local()

    def body(index: int) -> None:
        seen.last = index
        if index == 10:
            raise LookupError(index)

    def check(state: Any, returned: list[Any]) -> None:
        assert repr(returned) == "[LookupError(10)]"

    race(lambda _: for_loop(policy, 0, 40_000, body), setup=lambda: True, check=check)
