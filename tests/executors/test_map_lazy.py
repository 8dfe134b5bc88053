"""`map(buffersize=)`: input may be endless, and no more of it is read than was allowed."""

import itertools
import operator
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any

import pytest

from tests.executors import tasks
from tests.executors.conftest import Pools, shared_pool
from tests.executors.flavors import PATIENCE, Can, needs

pool = shared_pool(2)

pytestmark = needs(Can.MAP_LAZILY)


class Counted(Iterator[int]):
    """0, 1, 2, ... for ever; knows how far it was read."""

    def __init__(self) -> None:
        self.read = 0

    def __next__(self) -> int:
        self.read += 1
        return self.read - 1


@pytest.mark.parametrize("buffersize", [1, 2, 3, 4, 8, 1000])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_results_are_those_of_the_builtin(pool: Any, count: int, buffersize: int):
    ints = range(count)
    assert list(pool.map(str, ints, buffersize=buffersize)) == list(map(str, ints))
    assert list(pool.map(operator.add, ints, ints, buffersize=buffersize)) == [2 * n for n in ints]
    assert list(pool.map(str, buffersize=buffersize)) == []


@pytest.mark.invariant(6)
@pytest.mark.parametrize("buffersize", [1, 2, 7, 64])
def test_an_endless_input(pool: Any, buffersize: int):
    results = pool.map(str, itertools.count(), buffersize=buffersize)
    assert list(itertools.islice(results, 1000)) == [str(n) for n in range(1000)]
    results = pool.map(operator.add, itertools.count(), itertools.count(), buffersize=buffersize)
    assert [next(results), next(results), next(results)] == [0, 2, 4]


@needs(Can.MAP_UNORDERED)
@pytest.mark.invariant(6)
@pytest.mark.parametrize("chunksize", [None, 1, 3, 100])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("buffersize", [1, 2, 7, 64])
def test_no_more_is_read_ahead_than_was_allowed(pool: Any, buffersize: int, ordered: bool, chunksize: int | None):
    source = Counted()
    results = pool.map(tasks.echo, source, buffersize=buffersize, ordered=ordered, chunksize=chunksize)
    assert source.read <= buffersize
    got: list[int] = []
    for taken in range(1, 500):
        got.append(next(results))
        assert source.read <= taken + buffersize
    results.close()
    assert source.read <= len(got) + buffersize
    assert len(set(got)) == len(got)
    if ordered:
        assert got == list(range(499))


@pytest.mark.invariant(6)
@pytest.mark.parametrize("buffersize", [1, 2, 3])
def test_as_much_is_read_ahead_as_was_allowed(pools: Pools, buffersize: int):
    """And worked on, without a result being read."""
    pool = pools(2)
    source = iter(range(10))
    results = pool.map(str, source, buffersize=buffersize)
    pool.shutdown(wait=True)
    assert next(source) == buffersize
    del results


@needs(Can.SHARE)
def test_an_endless_map_that_is_dropped_stops(pools: Pools):
    pool, source = pools(2), Counted()
    results = pool.map(tasks.echo, source, buffersize=4)
    assert next(results) == 0
    del results
    pool.shutdown()
    assert source.read <= 5


def test_an_error_of_the_input_comes_out(pool: Any):
    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("the input")

    with pytest.raises(OSError, match="the input"):
        list(pool.map(tasks.echo, items(), buffersize=2))


def test_an_error_comes_in_its_place(pool: Any):
    results = pool.map(tasks.inverse, itertools.chain([1, 2, 0], itertools.count(4)), buffersize=2)
    assert [next(results), next(results)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


@pytest.mark.parametrize("buffersize", ["foo", 2.0])
def test_a_size_of_the_wrong_type_is_refused(pool: Any, buffersize: Any):
    with pytest.raises(TypeError, match="buffersize must be an integer or None"):
        pool.map(str, range(4), buffersize=buffersize)


@pytest.mark.parametrize("buffersize", [0, -1])
def test_a_size_of_nothing_is_refused(pool: Any, buffersize: int):
    with pytest.raises(ValueError, match="buffersize must be None or > 0"):
        pool.map(str, range(4), buffersize=buffersize)


@needs(Can.OVERLAP, Can.SHARE)
@pytest.mark.invariant(6)
def test_items_are_let_go_of(pools: Pools):
    """A thousand items of 1 MB pass through; a handful lives at any time."""
    most = 0
    made: list[None] = []
    gone: list[None] = []  # no lock: an object may end in the middle of anything, another's __init__ too

    class Item:
        def __init__(self) -> None:
            nonlocal most
            made.append(None)
            most = max(most, len(made) - len(gone))

        def __del__(self) -> None:
            gone.append(None)

    pool = pools(2)
    results = pool.map(tasks.nothing_of, (Item() for _ in range(1000)), buffersize=4)
    assert sum(result is None for result in results) == 1000
    assert len(made) == 1000
    assert most < 100


@needs(Can.OVERLAP)
def test_after_shutdown_the_rest_is_refused(pools: Pools):
    pool: Executor = pools(2)
    results: Any = pool.map(tasks.echo, itertools.count(), buffersize=2)
    assert next(results) == 0
    pool.shutdown()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        for _ in range(100):
            next(results)


@needs(Can.OVERLAP, Can.SHARE)
def test_lazy_reading_from_a_worker(pools: Pools, one: Any):
    """The reader is the only worker itself."""

    def reader() -> list[int]:
        return list(itertools.islice(one.map(tasks.echo, itertools.count(), buffersize=3), 50))

    results = pools(2).submit(reader)
    assert results.result(PATIENCE) == list(range(50))
