"""Chunk sizes are real: which ranges were worked on as one, seen from the elements themselves.

Each chunk runs in a context of its own, so a context variable tells the elements of one chunk from those of another.
"""

import contextvars
import threading
from typing import Any

import pytest

from tests.executors.child import wait_until
from weft.execution import (
    Policy,
    auto_chunk_size,
    dynamic_chunk_size,
    guided_chunk_size,
    par,
    static_chunk_size,
)
from weft.executors import ThreadPoolExecutor
from weft.parallel import for_each, for_loop
from weft.parallel._feeds import Dealt, Seat
from weft.parallel._sources import Indexed

_chunk: contextvars.ContextVar[list[int]] = contextvars.ContextVar("chunk")


class Recorder:
    """A body that notes which elements were one chunk, on which thread."""

    def __init__(self) -> None:
        self.chunks: list[tuple[int, list[int]]] = []

    def __call__(self, element: int) -> None:
        elements = _chunk.get(None)
        if elements is None:
            elements = []
            _chunk.set(elements)
            self.chunks.append((threading.get_ident(), elements))
        elements.append(element)

    def ranges(self) -> list[tuple[int, int]]:
        """In order; and checks that each was one range."""
        for _, elements in self.chunks:
            assert elements == list(range(elements[0], elements[-1] + 1))
        return sorted((elements[0], elements[-1] + 1) for _, elements in self.chunks)


def ranges(policy: Policy, length: int) -> list[tuple[int, int]]:
    recorder = Recorder()
    for_loop(policy, 0, length, recorder)
    found = recorder.ranges()
    assert [start for start, _ in found] == [0, *(stop for _, stop in found[:-1])]
    assert found[-1][1] == length
    return found


def test_static_is_one_range_for_each_worker(four: ThreadPoolExecutor) -> None:
    assert ranges(par.with_(static_chunk_size()).on(four), 100) == [(0, 25), (25, 50), (50, 75), (75, 100)]
    assert ranges(par.with_(static_chunk_size()).on(four), 10) == [(0, 3), (3, 6), (6, 9), (9, 10)]
    assert ranges(par.with_(static_chunk_size()).on(four), 2) == [(0, 1), (1, 2)]


def test_static_with_a_size(two: ThreadPoolExecutor) -> None:
    policy = par.with_(static_chunk_size(30)).on(two)
    for _ in range(20):
        assert ranges(policy, 100) == [(0, 30), (30, 60), (60, 90), (90, 100)]
    assert ranges(par.with_(static_chunk_size(10_000)).on(two), 25_000) == [
        (0, 10_000),
        (10_000, 20_000),
        (20_000, 25_000),
    ]


def test_static_ranges_are_dealt_in_turn() -> None:
    """To four seats, whichever comes when; a hand that nobody holds is taken over."""
    dealt = Dealt(Indexed(100, lambda start, stop: list(range(start, stop))), 10, 4)
    seats = [Seat() for _ in range(3)]

    def take(seat: Seat) -> int | None:
        chunk = dealt.next_lock_held(seat, 1000)
        return None if chunk is None else chunk.start

    assert [take(seat) for seat in seats] == [0, 10, 20]
    assert [take(seats[1]) for _ in range(2)] == [50, 90]
    assert take(seats[0]) == 40
    assert dealt.more_lock_held(1000)  # the fourth hand
    assert [take(seats[1]) for _ in range(2)] == [30, 70]
    dealt.leave_lock_held(seats[2])
    assert dealt.more_lock_held(1000)
    assert take(seats[1]) == 60
    assert take(seats[1]) == 80  # of the first seat's own, which is not through
    assert not dealt.more_lock_held(1000)
    assert [take(seat) for seat in seats] == [None] * 3


def test_dynamic_is_so_many_at_a_time(two: ThreadPoolExecutor) -> None:
    assert ranges(par.with_(dynamic_chunk_size(8)).on(two), 30) == [(0, 8), (8, 16), (16, 24), (24, 30)]
    assert ranges(par.with_(dynamic_chunk_size()).on(two), 5) == [(index, index + 1) for index in range(5)]


def test_guided_shrinks(four: ThreadPoolExecutor) -> None:
    sizes = [stop - start for start, stop in ranges(par.with_(guided_chunk_size()).on(four), 800)]
    assert sizes[0] == 100
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1
    sizes = [stop - start for start, stop in ranges(par.with_(guided_chunk_size(20)).on(four), 800)]
    assert sizes[0] == 100
    assert min(sizes[:-1]) == 20


def test_auto_follows_the_time_of_an_element(two: ThreadPoolExecutor) -> None:
    policy = par.with_(auto_chunk_size()).on(two)
    fast = ranges(policy, 200_000)
    assert len(fast) < 2000  # a hundred elements at a time, at the least
    gate = threading.Event()
    recorder = Recorder()

    def slow(element: int) -> None:
        recorder(element)
        gate.wait(0.003)

    for_loop(policy, 0, 30, slow)
    assert len(recorder.ranges()) == 30  # each by itself: one is more than a chunk's worth


def test_dynamic_goes_to_whoever_is_free(two: ThreadPoolExecutor) -> None:
    """While one thread is stuck in an element, the other does all the rest."""
    others_done, lock, left = threading.Event(), threading.Lock(), [99]

    def body(index: int) -> None:
        if index == 0:
            assert others_done.wait(30)
            return
        with lock:
            left[0] -= 1
        if left[0] == 0:
            others_done.set()

    for_loop(par.with_(dynamic_chunk_size(1)).on(two), 0, 100, body)


def test_a_busy_pool_costs_nothing_but_its_help(two: ThreadPoolExecutor) -> None:
    """Helpers that never begin hold no range, whatever the chunk size: the caller does it all."""
    gate, begun = threading.Event(), threading.Semaphore(0)

    def hold() -> None:
        begun.release()
        assert gate.wait(30)

    held = [two.submit(hold) for _ in range(2)]
    for _ in held:
        assert begun.acquire(timeout=30)
    try:
        for chunks in (auto_chunk_size(), static_chunk_size(), dynamic_chunk_size(10), guided_chunk_size()):
            recorder = Recorder()
            for_loop(par.with_(chunks).on(two), 0, 100, recorder)
            assert {thread for thread, _ in recorder.chunks} == {threading.get_ident()}
            assert sorted(element for _, elements in recorder.chunks for element in elements) == list(range(100))
    finally:
        gate.set()
    for future in held:
        future.result(30)
    wait_until(lambda: two._stats()["queued"] == 0, "what did not begin has left the queue")


def test_all_workers_take_part(four: ThreadPoolExecutor) -> None:
    for chunks in (auto_chunk_size(), static_chunk_size(), dynamic_chunk_size(1)):
        meet = threading.Barrier(4)
        for_loop(par.with_(chunks).on(four), 0, 4, lambda _, meet=meet: meet.wait(30))
        meet = threading.Barrier(4)
        for_each(par.with_(chunks).on(four), iter(range(4)), lambda _, meet=meet: meet.wait(30))


def test_no_more_threads_than_workers(four: ThreadPoolExecutor) -> None:
    now: list[int] = []
    most: list[int] = []

    def body(index: int) -> None:
        now.append(index)
        most.append(len(now))
        now.remove(index)

    for_loop(par.with_(dynamic_chunk_size(1)).on(four), 0, 500, body)
    assert max(most) <= 4


@pytest.mark.parametrize("chunks", [auto_chunk_size(), dynamic_chunk_size(3)], ids=repr)
def test_chunks_of_an_iterator(chunks: Any, two: ThreadPoolExecutor) -> None:
    recorder = Recorder()
    for_each(par.with_(chunks).on(two), iter(range(1000)), recorder)
    found = recorder.ranges()
    assert [start for start, _ in found] == [0, *(stop for _, stop in found[:-1])]
    if chunks.size:
        sizes = [stop - start for start, stop in found]
        assert max(sizes) == 3
        assert sizes.count(3) > 300  # of 333: an element that is slow to come ends a chunk
