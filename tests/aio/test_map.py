"""`aio.map`: bounded, lazy, ordered or not, over plain and asynchronous input. Under asyncio and under trio."""

import asyncio
import concurrent.futures
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from tests.aio.conftest import Held
from tests.aio.libraries import CANCELLED, PATIENCE, Asyncio, Library
from tests.executors.child import wait_until
from weft import aio
from weft.executors import SerialExecutor


async def collect(iterator: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in iterator]


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


def test_an_input_that_was_cancelled_says_so(two: Held) -> None:
    """Not the reading of it: something that it awaits."""

    async def numbers_and_a_cancelled_task() -> AsyncIterator[int]:
        yield 1
        task = asyncio.ensure_future(asyncio.sleep(PATIENCE))
        task.cancel()
        await task

    async def main() -> None:
        results: list[int] = []
        with pytest.raises(asyncio.CancelledError):
            async for result in aio.map(abs, numbers_and_a_cancelled_task(), executor=two.pool):
                results.append(result)
        assert results == [1]
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()  # it was not we

    Asyncio().run(main)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("source", ["plain", "asynchronous"])
@pytest.mark.parametrize("limit", [None, 1, 7])
def test_all_results(library: Library, two: Held, source: str, ordered: bool, limit: int | None) -> None:
    async def main() -> None:
        items: Any = range(200) if source == "plain" else numbers(200)
        results = await collect(aio.map(lambda n: n * n, items, executor=two.pool, limit=limit, ordered=ordered))
        expected = [number**2 for number in range(200)]
        assert (results if ordered else sorted(results)) == expected

    library.run(main)


def test_several_inputs_end_with_the_shortest(library: Library) -> None:
    async def main() -> None:
        assert await collect(aio.map(pow, [2, 3, 4], [10, 2])) == [1024, 9]
        assert await collect(aio.map(pow, [], [10, 2])) == []

    library.run(main)


@pytest.mark.parametrize("make", [concurrent.futures.ThreadPoolExecutor, SerialExecutor])
def test_on_other_executors(library: Library, make: Any) -> None:
    async def main() -> None:
        with make() as executor:
            assert await collect(aio.map(abs, range(-50, 0), executor=executor)) == list(range(50, 0, -1))

    library.run(main)


@pytest.mark.invariant(6)
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("source", ["plain", "asynchronous"])
def test_the_input_is_read_as_results_are_taken(library: Library, two: Held, source: str, ordered: bool) -> None:
    read = 0

    def endless() -> Iterator[int]:
        nonlocal read
        for number in itertools.count():
            read += 1
            yield number

    async def endless_async() -> AsyncIterator[int]:
        for number in endless():
            yield number

    async def main() -> None:
        own = endless_async()  # whoever makes a generator closes it
        items: Any = endless() if source == "plain" else own
        results = aio.map(int, items, executor=two.pool, limit=5, ordered=ordered)
        async with aclosing(own), aclosing(results):
            taken = 0
            async for _ in results:
                taken += 1
                assert read <= taken + 5
                if taken == 100:
                    break

    library.run(main)


def test_at_most_so_many_at_a_time(library: Library) -> None:
    running = most = 0
    lock = threading.Lock()
    together = threading.Barrier(3)

    def task(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(PATIENCE)  # three run at a time, or nobody goes on
        with lock:
            running -= 1

    async def main() -> None:
        with concurrent.futures.ThreadPoolExecutor(8) as executor:
            await collect(aio.map(task, range(12), executor=executor, limit=3, ordered=False))

    library.run(main)
    assert most == 3


def test_unordered_gives_what_is_there(library: Library, two: Held) -> None:
    gate = threading.Event()
    two.gates.append(gate)

    def task(number: int) -> int:
        if number == 0:
            assert gate.wait(PATIENCE)
        return number

    async def main() -> list[int]:
        seen: list[int] = []
        async for number in aio.map(task, range(4), executor=two.pool, ordered=False):
            seen.append(number)
            if len(seen) == 3:
                gate.set()
        return seen

    seen = library.run(main)
    assert sorted(seen[:3]) == [1, 2, 3]
    assert seen[3:] == [0]


def test_a_result_does_not_wait_for_the_next_input(library: Library, two: Held) -> None:
    """Each input comes only after the last result has been taken, as in a conversation."""

    async def main() -> list[int]:
        taken = 0

        async def replies() -> AsyncIterator[int]:
            for number in range(5):
                while taken < number:
                    await library.sleep(0.001)
                yield number

        results: list[int] = []
        async for result in aio.map(lambda n: n * n, replies(), executor=two.pool):
            results.append(result)
            taken += 1
        return results

    assert library.run(main) == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("source", ["plain", "asynchronous"])
def test_a_failure_comes_in_its_place_and_stops_the_rest(library: Library, one: Held, source: str) -> None:
    def task(number: int) -> int:
        return 1 // (2 - number)

    async def main() -> list[int]:
        items: Any = itertools.count() if source == "plain" else numbers(1_000_000)
        results: list[int] = []
        with pytest.raises(ZeroDivisionError):
            async for result in aio.map(task, items, executor=one.pool, limit=10):
                results.append(result)
        return results

    assert library.run(main) == [0, 1]
    wait_until(lambda: one.pool._queued() == 0, "the rest is cancelled")


@pytest.mark.parametrize("source", ["plain", "asynchronous"])
def test_a_failing_input_comes_after_its_results(library: Library, two: Held, source: str) -> None:
    def plain() -> Iterator[int]:
        yield from (1, 2, 3)
        raise KeyError("input")

    async def asynchronous() -> AsyncIterator[int]:
        for number in plain():
            yield number

    async def main() -> list[int]:
        results: list[int] = []
        with pytest.raises(KeyError, match="input"):
            async for result in aio.map(int, plain() if source == "plain" else asynchronous(), executor=two.pool):
                results.append(result)
        return results

    assert library.run(main) == [1, 2, 3]


@pytest.mark.parametrize("way", ["cancelled", "closed"])
def test_what_is_left_is_stopped(library: Library, one: Held, way: str) -> None:
    submitted: list[Any] = []
    begun, stop = threading.Event(), threading.Event()
    one.gates.append(stop)

    def task(number: int) -> int:
        if number == 0:
            return 0
        begun.set()
        while not stop.is_set():
            pass
        return number

    class Recording(concurrent.futures.Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            submitted.append(one.submit(fn, *args, **kwargs))
            return submitted[-1]

    async def main() -> None:
        async def read() -> None:
            results = aio.map(task, range(5), executor=Recording(), limit=5)
            async with aclosing(results):
                async for _ in results:
                    if way == "closed":
                        assert begun.wait(PATIENCE)
                        return

        async with library.children() as start:
            child = start(read)
            while not begun.is_set():
                await library.turn()
            if way == "cancelled":
                child.cancel()
            assert await child.end() == (CANCELLED if way == "cancelled" else None)

    library.run(main)
    assert isinstance(submitted[1].exception(PATIENCE), BaseException)  # it ran: interrupted
    assert [future.cancelled() for future in submitted[2:]] == [True] * 3


def test_the_task_that_reads_has_ended(library: Library, two: Held) -> None:
    ended: list[str] = []

    async def source() -> AsyncIterator[int]:
        try:
            yield 1
            await library.sleep(60)
        finally:
            ended.append("source")

    async def main() -> None:
        results = aio.map(int, source(), executor=two.pool)
        async with aclosing(results):
            async for _ in results:
                break
        assert ended == ["source"]

    library.run(main)


def test_nothing_is_read_or_submitted_before_the_first_result_is_asked_for(library: Library, two: Held) -> None:
    async def main() -> None:
        read: list[int] = []
        results = aio.map(int, (read.append(n) or n for n in range(3)), executor=two.pool)
        await library.settle()
        assert read == []
        assert await collect(results) == [0, 1, 2]

    library.run(main)


def test_bad_input_is_refused_at_once() -> None:
    async def coroutine(_: int) -> None: ...

    async def endless() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="fn must be callable, not 5"):
        aio.map(5, [1])
    with pytest.raises(TypeError, match="is a coroutine function"):
        aio.map(coroutine, [1])
    with pytest.raises(TypeError, match="at least one iterable"):
        aio.map(int)
    with pytest.raises(TypeError, match="limit must be a whole number or None, not 1.5"):
        aio.map(int, [1], limit=1.5)
    with pytest.raises(ValueError, match="limit must be at least 1, not 0"):
        aio.map(int, [1], limit=0)
    with pytest.raises(TypeError, match=r"iterables\[1\] is asynchronous"):
        aio.map(pow, [1], endless())
    with pytest.raises(TypeError, match="not iterable"):
        aio.map(int, 5)


def test_the_loop_goes_on_meanwhile() -> None:
    async def main() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counter = asyncio.create_task(count())
        await collect(aio.map(threading.Event().wait, [0.01] * 5, limit=1))
        counter.cancel()
        return turns

    assert Asyncio().run(main) > 10
