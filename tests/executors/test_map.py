"""`map`: the built-in's results in the built-in's order, whatever the chunks. For every executor."""

import itertools
import operator
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any

import pytest

from tests.executors import tasks
from tests.executors.conftest import Pools, shared_pool
from tests.executors.flavors import PATIENCE, Can, needs
from tests.lateness import Late
from weft.executors import _map

pool = shared_pool(2)

MOMENT = 0.05
"""Seconds in which a thread comes to where it waits."""

CHUNKS = [None, 1, 2, 3, 7, 100]


@pytest.mark.parametrize("chunksize", CHUNKS)
@pytest.mark.parametrize("count", [0, 1, 2, 20, 21])
def test_results_are_those_of_the_builtin(pool: Executor, count: int, chunksize: int | None):
    options: dict[str, Any] = {} if chunksize is None else {"chunksize": chunksize}
    assert list(pool.map(pow, range(count), range(count), **options)) == list(map(pow, range(count), range(count)))
    assert list(pool.map(tasks.echo, range(count), **options)) == list(range(count))


def test_many_items(pool: Executor):
    assert list(pool.map(operator.neg, range(20_000))) == [-n for n in range(20_000)]


@needs(Can.OWN_FUTURES)
def test_a_million_items_are_a_matter_of_course(pool: Executor):
    assert sum(pool.map(operator.neg, range(300_000))) == -sum(range(300_000))


@pytest.mark.parametrize("iterables", [0, 1, 2, 3])
def test_the_shortest_input_ends_it(pool: Executor, iterables: int):
    def inputs() -> list[Any]:
        return [range(5), range(3), itertools.count()][:iterables]

    expected = [(args, {}) for args in zip(*inputs(), strict=False)]
    assert list(pool.map(tasks.capture, *inputs())) == expected


def test_inputs_are_consumed_as_zip_does(pool: Executor):
    long, short = iter(range(10)), iter(range(3))
    assert list(pool.map(operator.add, long, short)) == [0, 2, 4]
    assert next(long) == 4  # zip has taken 3, and found the other at its end


def test_results_that_are_false(pool: Executor):
    items = [None, 0, "", [], False, (), 0.0, Ellipsis, NotImplemented]
    assert list(pool.map(tasks.echo, items)) == items
    assert list(pool.map(tasks.echo, items, chunksize=2)) == items


@pytest.mark.parametrize("chunksize", CHUNKS)
def test_an_error_comes_in_its_place(pool: Executor, chunksize: int | None):
    options: dict[str, Any] = {} if chunksize is None else {"chunksize": chunksize}
    results = pool.map(tasks.inverse, [1, 2, 4, 0, 5], **options)
    assert [next(results) for _ in range(3)] == [1, 0.5, 0.25]
    with pytest.raises(ZeroDivisionError):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


@pytest.mark.parametrize("error", [StopIteration(3), KeyboardInterrupt(), tasks.Unrelated(), GeneratorExit()])
@needs(Can.OVERLAP, Can.OWN_FUTURES)
def test_any_error_of_an_item_comes_out(pool: Executor, error: BaseException):
    results = pool.map(tasks.fail, [error])
    with pytest.raises(RuntimeError if isinstance(error, StopIteration) else type(error)):
        list(results)


def test_an_error_of_the_input_comes_out(pool: Executor):
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the input")

    with pytest.raises(OSError, match="the input"):
        list(pool.map(tasks.echo, items()))


def test_what_is_no_iterable_is_refused(pool: Executor):
    with pytest.raises(TypeError, match="iterable"):
        pool.map(tasks.echo, 5)  # type: ignore[arg-type]


@needs(Can.SHARE)
def test_it_begins_without_being_read(pools: Pools):
    pool = pools(2)
    ran: list[int] = []
    pool.map(ran.append, range(10))
    pool.shutdown()
    assert sorted(ran) == list(range(10))


@needs(Can.SHARE)
def test_an_iterator_dropped_untouched_runs_to_its_end(pools: Pools):
    pool = pools(1)
    ran: list[int] = []
    results = pool.map(ran.append, range(1000))
    del results
    pool.shutdown()
    assert sorted(ran) == list(range(1000))


@needs(Can.SHARE, Can.OWN_FUTURES)
@pytest.mark.parametrize("chunksize", CHUNKS)
def test_an_unread_error_does_not_stop_the_others(pools: Pools, chunksize: int | None):
    """Also not those of the same chunk: each item has an outcome of its own."""
    pool = pools(2)
    ran: list[int] = []

    def task(item: int) -> None:
        if item % 3 == 1:
            raise ValueError(item)
        ran.append(item)

    pool.map(task, range(20), chunksize=chunksize)
    pool.shutdown()
    assert sorted(ran) == [item for item in range(20) if item % 3 != 1]


@needs(Can.OVERLAP, Can.SHARE)
@pytest.mark.parametrize("way", ["close", "drop", "late"])
def test_leaving_half_way_cancels_what_has_not_begun(pools: Pools, one: Executor, way: str):
    ran: list[int] = []
    begun, gate = pools.gate(), pools.gate()

    def task(item: int) -> int:
        ran.append(item)
        if item:
            begun.set()
            gate.wait(PATIENCE)
        return item

    results: Any = one.map(task, range(50), chunksize=1, timeout=0.5 if way == "late" else None)
    try:
        assert next(results) == 0
    except TimeoutError as error:
        gate.set()
        raise Late("the first one was not done within 0.5 s") from error
    assert begun.wait(PATIENCE)
    if way == "close":
        results.close()
    elif way == "drop":
        del results
    else:
        with pytest.raises(TimeoutError):
            next(results)
    gate.set()
    one.shutdown()
    assert ran[0] == 0
    assert len(ran) == 2


@needs(Can.OVERLAP)
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("begun", ["begun", "queued"])
@needs(Can.MAP_UNORDERED, Can.OVERLAP)
def test_who_waits_for_a_result_comes_to_the_end_when_another_closes(pools: Pools, ordered: bool, begun: str):
    pool = pools(1)
    gate, _ = pools.hold(pool) if begun == "queued" else (pools.gate(), [])
    results = pool.map(tasks.wait_at, [gate] * 3, chunksize=1, ordered=ordered)
    outcome: list[Any] = []

    def read() -> None:
        try:
            outcome.extend(results)
        except BaseException as error:
            outcome.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    reader.join(MOMENT)
    results.close()
    gate.set()
    reader.join(PATIENCE)
    assert not reader.is_alive()
    assert outcome == []


def test_closed_is_closed(pool: Executor):
    results: Any = pool.map(tasks.echo, range(10))
    assert iter(results) is results
    next(results)
    results.close()
    results.close()
    assert list(results) == []


@needs(Can.OVERLAP)
@pytest.mark.parametrize("timeout", [0, 0.05])
def test_a_result_that_is_late_raises_and_cancels_the_rest(pools: Pools, one: Executor, timeout: float):
    with pools.held(one):
        results = one.map(tasks.echo, range(5), timeout=timeout)
        with pytest.raises(TimeoutError):
            next(results)
        with pytest.raises(StopIteration):
            next(results)
    assert one.submit(tasks.echo, 1).result(PATIENCE) == 1


@needs(Can.OVERLAP)
def test_the_timeout_counts_from_the_call(pools: Pools, pool: Executor):
    gate = pools.gate()
    results = pool.map(tasks.wait_then, [gate, gate], [1, 2], timeout=0.2)
    moment = threading.Event()
    threading.Timer(0.25, moment.set).start()
    assert moment.wait(PATIENCE)
    with pytest.raises(TimeoutError):
        next(results)


def test_a_timeout_that_is_not_reached(pool: Executor):
    assert list(pool.map(tasks.echo, range(50), timeout=PATIENCE)) == list(range(50))


@pytest.mark.parametrize("chunksize", [0, -1])
@needs(Can.OWN_FUTURES)
def test_a_chunk_of_nothing_is_refused(pool: Executor, chunksize: int):
    with pytest.raises(ValueError, match="chunksize"):
        pool.map(tasks.echo, [1], chunksize=chunksize)


@needs(Can.HELP)
@pytest.mark.invariant(5)
def test_map_in_a_task_of_the_only_worker(one: Executor):
    def inner(item: int) -> int:
        return sum(one.map(tasks.echo, range(item)))

    assert list(one.map(inner, range(30))) == [sum(range(n)) for n in range(30)]


@needs(Can.MAP_UNORDERED, Can.OVERLAP)
@pytest.mark.parametrize("ordered", [True, False])
def test_results_that_are_taken_before_their_chunks_have_ended(
    pools: Pools, monkeypatch: pytest.MonkeyPatch, ordered: bool
):
    """A result is there before the callback runs that submits the next chunk; that is not the end of the results."""
    ended = _map._Map._chunk_ended

    def end_late(work: Any, future: Any) -> None:
        time.sleep(0.02)
        ended(work, future)

    monkeypatch.setattr(_map._Map, "_chunk_ended", end_late)
    results = pools(1).map(tasks.echo, range(30), chunksize=1, ordered=ordered)
    assert sorted(results) == list(range(30))


def test_chunks_that_end_at_once(pools: Pools):
    """Each one submits the next: as many as there are, without a frame of the stack for each."""
    pool = pools(1)
    assert list(pool.map(tasks.echo, range(3000), chunksize=1)) == list(range(3000))


@needs(Can.OVERLAP, Can.SHARE)
@pytest.mark.invariant(2)
def test_each_item_is_worked_on_once(pools: Pools):
    pool = pools(4)
    for chunksize in (None, 1, 5):
        ran: list[int] = []
        options: dict[str, Any] = {} if chunksize is None else {"chunksize": chunksize}
        assert list(pool.map(lambda n, into=ran: (into.append(n), n)[1], range(2000), **options)) == list(range(2000))
        assert sorted(ran) == list(range(2000))


# ---- ordered=False ---------------------------------------------------------------------------------------


@needs(Can.MAP_UNORDERED)
@pytest.mark.parametrize("buffersize", [None, 1, 5, 1000])
@pytest.mark.parametrize("chunksize", CHUNKS)
def test_unordered_yields_each_result_once(pool: Any, chunksize: int | None, buffersize: int | None):
    results = pool.map(operator.neg, range(100), ordered=False, chunksize=chunksize, buffersize=buffersize)
    assert sorted(results) == [-n for n in reversed(range(100))]


@needs(Can.MAP_UNORDERED, Can.OVERLAP)
def test_unordered_does_not_wait_for_the_slow(pools: Pools):
    pool = pools(2)
    gate = pools.gate()
    results = pool.map(lambda n: gate.wait(PATIENCE) and n if n == 0 else n, range(10), ordered=False, chunksize=1)
    assert sorted(next(results) for _ in range(9)) == list(range(1, 10))
    gate.set()
    assert list(results) == [0]


@needs(Can.MAP_UNORDERED, Can.OVERLAP)
def test_unordered_raises_an_error_when_it_comes(pools: Pools):
    pool = pools(2)
    gate = pools.gate()

    def task(item: int) -> int:
        if item == 0:
            gate.wait(PATIENCE)
        return 1 // (item - 3)

    results = pool.map(task, range(4), ordered=False, chunksize=1)
    with pytest.raises(ZeroDivisionError):
        list(results)
    gate.set()
    assert list(results) == []


@needs(Can.MAP_UNORDERED, Can.OVERLAP)
def test_unordered_times_out(pools: Pools, one: Any):
    with pools.held(one):
        with pytest.raises(TimeoutError):
            next(one.map(tasks.echo, range(5), timeout=0.05, ordered=False))


@needs(Can.MAP_UNORDERED)
@pytest.mark.parametrize("ordered", [True, False])
def test_two_threads_may_read_one_iterator(pool: Any, ordered: bool):
    """Each result goes to one of them; or the second is told that the first is at it, as with a generator."""
    results = pool.map(tasks.echo, range(3000), ordered=ordered)
    read: list[list[int]] = [[], []]
    barrier = threading.Barrier(2)

    def reader(into: list[int]) -> None:
        barrier.wait(PATIENCE)
        while True:
            try:
                into.append(next(results))
            except StopIteration:
                return
            except ValueError as busy:
                assert "already" in str(busy)  # noqa: PT017

    threads = [threading.Thread(target=reader, args=(into,), daemon=True) for into in read]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE / 3)
        assert not thread.is_alive()
    assert sorted(read[0] + read[1]) == list(range(3000))
