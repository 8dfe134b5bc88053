"""What is read, when, and by which thread; and where results go."""

import array
import collections
import itertools
import operator
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.executors.race import race
from tests.parallel.conftest import CHUNKS, Pools
from weft.execution import dynamic_chunk_size, par, seq, task
from weft.executors import ThreadPoolExecutor
from weft.parallel import (
    any_of,
    copy,
    copy_if,
    count,
    exclusive_scan,
    fill,
    fill_n,
    find,
    find_if,
    for_each,
    iota,
    none_of,
    reduce,
    sort,
    transform,
    transform_reduce,
)
from weft.parallel._feeds import Seat, Sizes, Stream
from weft.parallel._sources import indexed


def counted(read: list[int], items: Any) -> Iterator[int]:
    for item in items:
        read.append(item)
        yield item


LAZY = [dynamic_chunk_size(), dynamic_chunk_size(5), CHUNKS[0]]


@pytest.mark.parametrize("chunks", LAZY, ids=repr)
def test_an_endless_source_ends_with_a_hit(chunks: Any, pools: Pools) -> None:
    for pool in pools.all():
        policy = par.with_(chunks).on(pool)
        assert find_if(policy, itertools.count(), lambda x: x == 777) == 777
        assert find(policy, itertools.count(5), 50) == 45
        assert any_of(policy, itertools.count(), lambda x: x > 100)
        assert not none_of(policy, itertools.cycle([0, 1]), bool)
    assert find_if(seq, itertools.count(), lambda x: x == 777) == 777


def test_an_endless_source_ends_with_an_error(two: ThreadPoolExecutor) -> None:
    with pytest.raises(ZeroDivisionError):
        for_each(par.on(two), itertools.count(-500), lambda x: 1 / x)


def test_seq_reads_no_further_than_it_must() -> None:
    read: list[int] = []
    source = counted(read, range(100))
    assert find_if(seq, source, lambda x: x == 10) == 10
    assert read == list(range(11))
    assert next(source) == 11
    seen: list[int] = []
    for_each(seq, counted([], range(10)), seen.append)
    order: list[str] = []
    for_each(seq, (order.append(f"read {x}") for x in range(3)), lambda _: order.append("done"))
    assert order == ["read 0", "done", "read 1", "done", "read 2", "done"]


def test_reading_ahead_is_bounded(two: ThreadPoolExecutor) -> None:
    """Two chunks for each worker, and what they work on (invariant 6)."""
    read: list[int] = []
    done: list[int] = []
    most = [0]

    def body(item: int) -> None:
        most[0] = max(most[0], len(read) - len(done))
        done.append(item)

    for_each(par.with_(dynamic_chunk_size(10)).on(two), counted(read, range(5000)), body)
    assert len(done) == 5000
    assert most[0] <= 10 * (2 * 2 + 2 + 1)


@pytest.mark.parametrize("chunks", CHUNKS, ids=repr)
def test_an_iterator_is_read_by_the_calling_thread_alone(chunks: Any, four: ThreadPoolExecutor) -> None:
    readers: set[int] = set()

    def some() -> Iterator[int]:
        for item in range(500):
            readers.add(threading.get_ident())
            yield item

    policy = par.with_(chunks).on(four)
    seen: list[int] = []
    for_each(policy, some(), seen.append)
    assert sorted(seen) == list(range(500))
    assert reduce(policy, some()) == sum(range(500))
    copy(policy, some(), seen)
    assert seen == list(range(500))
    assert readers == {threading.get_ident()}


def test_elements_that_are_slow_to_come_are_not_kept_until_a_chunk_is_full() -> None:
    def some() -> Iterator[int]:
        yield from range(3000)
        for item in range(3000, 3005):
            threading.Event().wait(0.004)  # longer than a chunk is to take
            yield item

    stream = Stream(some(), Sizes(1000, 1), 5)
    while not stream.is_exhausted(10_000):
        stream.refill(10_000)
        stream.more_lock_held(10_000)
    sizes = []
    while (chunk := stream.next_lock_held(Seat(), 10_000)) is not None:
        sizes.append(chunk.stop - chunk.start)
    assert sum(sizes) == 3005
    assert sizes[-3:] == [1, 1, 1]


def test_a_source_that_changes_its_length_is_noticed(two: ThreadPoolExecutor) -> None:
    items = list(range(20_000))

    def body(item: int) -> None:
        if item == 100:
            del items[5000:]

    with pytest.raises(RuntimeError, match="changed its length"):
        for_each(par.with_(dynamic_chunk_size(10_000)).on(two), items, body)


class Lengthless:
    """Iterable by index alone, as Python's oldest protocol has it."""

    def __getitem__(self, index: int) -> int:
        if index == 50:
            raise IndexError(index)
        return index


def test_every_kind_of_source(pools: Pools) -> None:
    sources: list[Any] = [
        list(range(50)),
        tuple(range(50)),
        range(50),
        bytes(range(50)),
        bytearray(range(50)),
        memoryview(bytes(range(50))),
        array.array("h", range(50)),
        collections.deque(range(50)),
        dict.fromkeys(range(50)),
        dict.fromkeys(range(50)).keys(),
        set(range(50)),
        Lengthless(),
        iter(range(50)),
    ]
    for policy in pools.policies():
        for source in sources[:-1]:
            assert reduce(policy, source) == sum(range(50)), source
            assert count(policy, source, 7) == 1
        assert reduce(policy, iter(range(50))) == sum(range(50))
    assert "".join(reduce(par, "text", init=[], op=lambda a, b: [*a, *b])) == "text"


def test_a_memoryview_is_read_by_many_threads() -> None:
    """Views of it share a count with it, which free threads do not change in one step on 3.13: it came to be released."""

    def read(view: memoryview) -> None:
        source = indexed(view)
        assert source is not None
        for _ in range(2000):
            assert source.read(10, 13) == [10, 11, 12]

    def check(view: memoryview, outcomes: list[Any]) -> None:
        assert outcomes == [None] * 4
        assert view[49] == 49

    race(read, read, read, read, setup=lambda: memoryview(bytes(range(50))), check=check)


def test_every_kind_of_destination(pools: Pools) -> None:
    for policy in pools.policies():
        for make in (lambda: [0] * 30, lambda: array.array("h", [0] * 30), lambda: bytearray(30),
                     lambda: memoryview(bytearray(30)), lambda: collections.deque([0] * 30),
                     lambda: collections.UserList([0] * 30)):  # fmt: skip
            dst: Any = make()
            transform(policy, range(30), dst, lambda x: x + 1)
            assert list(dst) == list(range(1, 31))
            iota(policy, dst, 3, 2)
            assert list(dst) == list(range(3, 63, 2))
            fill_n(policy, dst, 29, 9)
            assert list(dst) == [9] * 29 + [61]
            sort(policy, dst, reverse=True)
            assert list(dst) == [61] + [9] * 29
            assert copy_if(policy, range(30), dst, lambda x: x < 3) == 3
            assert list(dst)[:4] == [0, 1, 2, 9]
            exclusive_scan(policy, range(10), dst)
            assert list(dst)[:10] == [0, 0, 1, 3, 6, 10, 15, 21, 28, 36]
            fill(policy, dst, 1)
            assert list(dst) == [1] * 30


def test_too_little_room_is_said_before_anything_is_done(pools: Pools) -> None:
    def never(_: Any) -> Any:
        raise AssertionError

    for policy in pools.policies():
        for source in ([1, 2, 3], iter([1, 2, 3])):
            dst = [0, 0]
            with pytest.raises(ValueError, match=r"dst has 2 elements, and the source 3: make it as long.*None\] \* 3"):
                transform(policy, source, dst, never)
            assert dst == [0, 0]
        with pytest.raises(ValueError, match="dst has 2 elements, and chosen are 3"):
            copy_if(policy, [1, 2, 3], dst, lambda _: True)
        assert dst == [0, 0]
        with pytest.raises(ValueError, match="count must be 0 or more, not -1"):
            fill_n(policy, dst, -1, 0)
        with pytest.raises(ValueError, match="dst has 2 elements, and count is 3"):
            fill_n(policy, dst, 3, 0)
        with pytest.raises(ValueError, match="other has 2 elements, and the source 3"):
            transform(policy, [1, 2, 3], [0] * 3, operator.add, other=[1, 2])
        with pytest.raises(ValueError, match="other has 2 elements"):
            transform_reduce(policy, [1, 2, 3], other=[1, 2], init=0, reduce_op=max, transform_op=max)


def test_what_cannot_be_written_to_is_refused_at_once() -> None:
    for bad in ((0, 0), "ab", b"ab", range(2), 3, None, {1, 2}):
        for policy in (seq, par, par(task)):
            with pytest.raises(TypeError, match=r"(dst|data) must be a list or another mutable sequence"):
                fill(policy, bad, 0)  # type: ignore[call-overload]
            with pytest.raises(TypeError, match=r"data must be a list or another mutable sequence"):
                sort(policy, bad)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="read-only"):
        fill(par, memoryview(b"ab"), 0)
